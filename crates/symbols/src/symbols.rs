//! What is known of a device's addresses, by its programs and its ROM together.

use guru_chip::Architecture;
use guru_image::Machine;

use crate::program::{Program, SymbolsError};
use crate::rom::Rom;

/// The top two bits of a return address are the size of the caller's window on Xtensa; those of
/// code are 01 on every chip.
const WINDOW: u32 = 0xC000_0000;
const CODE: u32 = 0x4000_0000;

/// ELF files of one device, and the functions of its ROM: address -> function, file, line, inlined
/// callers.
#[derive(Debug, Default)]
pub struct Symbols {
    programs: Vec<Program>,
    rom: Option<&'static Rom>,
}

/// What an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The address that was asked for, without the window bits of Xtensa.
    pub address: u32,
    /// The symbol to which it belongs, demangled.
    pub symbol: Option<String>,
    /// Bytes from the symbol's first one to the address; 0 without a symbol.
    pub offset: u32,
    /// Where in the source, the innermost function first. All but the last are inlined. Nothing when
    /// there are no lines.
    pub frames: Vec<SourceFrame>,
    /// Who tells it.
    pub origin: Origin,
}

/// A function, and a place in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceFrame {
    /// Its name, demangled.
    pub function: Option<String>,
    /// The source file as the compiler was told it, with the folder in which it ran.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
    /// Whether its code is part of the next frame's function.
    pub inlined: bool,
}

/// Who tells what an address stands for.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// A program, by its number among [`Symbols::programs`].
    Program(usize),
    /// A program that names an address which is not its own: a function of the ROM, by the linker's
    /// script. Its end is not known: the name is that of the last one not far before.
    Fixed(usize),
    /// The table of ROM functions.
    Rom(&'static Rom),
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Program(one), Self::Program(other)) => one == other,
            (Self::Fixed(one), Self::Fixed(other)) => one == other,
            (Self::Rom(one), Self::Rom(other)) => std::ptr::eq(*one, *other),
            _ => false,
        }
    }
}

impl Eq for Origin {}

impl Symbols {
    /// Knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens an ELF file. Where several have code at an address, what was added first is believed.
    /// Headers and symbols are read now, debugging information at the first lookup.
    ///
    /// # Errors
    ///
    /// [`SymbolsError`]; what was there before stays.
    pub fn add(&mut self, name: impl Into<String>, elf: Vec<u8>) -> Result<&Program, SymbolsError> {
        let number = self.programs.len();
        self.programs.push(Program::new(name, elf)?);
        Ok(&self.programs[number])
    }

    /// Takes a program that was opened already. Where several have code at an address, what was added
    /// first is believed.
    pub fn add_program(&mut self, program: Program) {
        self.programs.push(program);
    }

    /// Sets which ROM the chip has.
    pub fn set_rom(&mut self, rom: Option<&'static Rom>) {
        self.rom = rom;
    }

    /// The ROM of the chip, as far as it is known.
    #[must_use]
    pub fn rom(&self) -> Option<&'static Rom> {
        self.rom
    }

    /// The programs, in the order in which they were added.
    #[must_use]
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Whose instructions the device executes, as far as anything tells.
    #[must_use]
    pub fn machine(&self) -> Option<Machine> {
        let of_rom = |rom: &'static Rom| match rom.chip.architecture {
            Architecture::Riscv32 => Machine::RiscV,
            _ => Machine::Xtensa,
        };
        let of_program = self.programs.first().map(Program::machine);
        of_program.or_else(|| self.rom.map(of_rom))
    }

    /// What the instruction at an address belongs to.
    #[must_use]
    pub fn locate(&self, address: u32) -> Option<Location> {
        let mut programs = self.programs.iter().enumerate();
        programs
            .find_map(|(number, program)| in_program(number, program, address))
            .or_else(|| self.in_rom(address))
            .or_else(|| self.at_fixed_address(address))
    }

    /// What the call belongs to that returns to an address: the byte before is looked up, since
    /// behind a call that never returns another function can begin. The window bits of Xtensa are
    /// taken off. Address and offset are those of the return address.
    #[must_use]
    pub fn locate_return(&self, address: u32) -> Option<Location> {
        let address = self.without_window(address);
        let mut location = self.locate(address.checked_sub(1)?)?;
        location.address = address;
        if location.symbol.is_some() {
            location.offset = location.offset.saturating_add(1);
        }
        Some(location)
    }

    /// A return address without the window bits of Xtensa, where they make another address of one
    /// in the code.
    #[must_use]
    pub fn without_window(&self, address: u32) -> u32 {
        // 01 is the window of a `call4`, and what the address has by itself.
        let windowed = address & WINDOW > CODE;
        match self.machine() {
            Some(Machine::Xtensa) if windowed => (address & !WINDOW) | CODE,
            _ => address,
        }
    }

    /// Whether code is at an address, of a program or of the ROM.
    #[must_use]
    pub fn is_code(&self, address: u32) -> bool {
        let mut programs = self.programs.iter();
        programs.any(|program| program.is_code(address))
            || self.rom.is_some_and(|rom| rom.function(address).is_some())
    }

    /// Fills `bytes` with what lies at an address by the files, where the running program does not
    /// change it. `false`: nobody tells.
    pub fn read(&self, address: u32, bytes: &mut [u8]) -> bool {
        let mut programs = self.programs.iter();
        programs.any(|program| program.read(address, bytes))
    }

    fn in_rom(&self, address: u32) -> Option<Location> {
        let rom = self.rom?;
        let function = rom.function(address)?;
        Some(Location {
            address,
            symbol: Some(function.name.to_owned()),
            offset: address.saturating_sub(function.address),
            frames: Vec::new(),
            origin: Origin::Rom(rom),
        })
    }

    fn at_fixed_address(&self, address: u32) -> Option<Location> {
        // A program's own memory is no ROM.
        let own = |program: &Program| {
            let mut sections = program.sections().iter();
            sections.any(|section| section.memory().contains(&address.into()))
        };
        if self.programs.iter().any(own) {
            return None;
        }
        let mut programs = self.programs.iter().enumerate();
        programs.find_map(|(number, program)| {
            let (name, start) = program.fixed_symbol(address)?;
            Some(Location {
                address,
                symbol: Some(name.text),
                offset: address.saturating_sub(start),
                frames: Vec::new(),
                origin: Origin::Fixed(number),
            })
        })
    }
}

fn in_program(number: usize, program: &Program, address: u32) -> Option<Location> {
    if !program.is_code(address) {
        return None;
    }
    let (symbol, start) = match program.symbol(address) {
        Some((name, start)) => (Some(name.text), start),
        None => (None, address),
    };
    let frames = program.frames(address, symbol.as_deref());
    if symbol.is_none() && frames.is_empty() {
        return None;
    }
    Some(Location {
        address,
        offset: address.saturating_sub(start),
        symbol,
        frames,
        origin: Origin::Program(number),
    })
}
