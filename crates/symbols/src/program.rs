//! One ELF file: its sections, its symbols, and what it says of their source.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::OnceLock;

use flate2::read::ZlibDecoder;
use guru_image::{Contents, Elf, ElfDebug, ElfError, ElfSection, Machine, ReadError};
use thiserror::Error;

use crate::dwarf::{Code, Damage, Dwarf};
use crate::name::Name;
use crate::symbols::SourceFrame;
use crate::table::{self, Symbol, Table};
use crate::unwind::cfi;
use crate::unwind::riscv::Row;

/// Header of a compressed section (`Elf32_Chdr`): kind, size and alignment of what it holds.
const COMPRESSION_HEADER: usize = 12;
const ELFCOMPRESS_ZLIB: u32 = 1;

/// The most that compressed sections may hold together, as a multiple of the file's length. Debugging
/// information shrinks to a quarter.
const MOST_INFLATED: u64 = 16;

/// What ESP-IDF's linker scripts call sections in mapped flash. Some are flagged as writable, which
/// flash is not.
const FLASH: &str = ".flash.";

/// Why a file is of no use for finding symbols.
#[derive(Debug, Error)]
pub enum SymbolsError {
    /// It is no ELF file of a program for a known machine, or a damaged one.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// It is too large.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A program as an ELF file holds it. Headers and symbols are read when it is opened, debugging
/// information where it is needed.
pub struct Program {
    name: String,
    machine: Machine,
    entry: u32,
    bytes: Vec<u8>,
    sha256: OnceLock<[u8; 32]>,
    sections: Vec<ElfSection>,
    debug: Vec<Debug>,
    table: Table,
    names: Range<u32>,
    stripped: bool,
    dwarf: Dwarf,
    call_frames: OnceLock<cfi::Index>,
}

/// A section that has no place in memory.
struct Debug {
    section: ElfDebug,
    /// What it holds when it is compressed; nothing when that cannot be had.
    inflated: OnceLock<Vec<u8>>,
}

/// Bytes of a section and where they belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// Address of the first byte; 0 of a section that has no place in memory.
    pub address: u32,
    /// Its bytes, inflated where they are compressed.
    pub bytes: &'a [u8],
}

impl Program {
    /// Opens an ELF file. `name` stands for it in messages.
    ///
    /// # Errors
    ///
    /// [`SymbolsError`]. What symbols and debugging information say wrongly is left out instead.
    pub fn new(name: impl Into<String>, elf: Vec<u8>) -> Result<Self, SymbolsError> {
        let name = name.into();
        let contents = Contents::from_bytes(&name, elf)?;
        let elf = Elf::read(&contents)?;
        let layout = elf.layout()?;
        let (machine, entry) = (elf.machine, elf.entry);
        drop(elf);
        let bytes = contents.into_bytes()?;
        let section = |number: u16| {
            let sections = &layout.sections;
            let at = sections.binary_search_by_key(&number, |section| section.index);
            sections.get(at.ok()?).and_then(code_of)
        };
        let table = layout.table.as_ref().map(|table| {
            let names = part(&bytes, &table.names);
            Table::new(part(&bytes, &table.entries), names, section)
        });
        Ok(Self {
            name,
            machine,
            entry,
            sha256: OnceLock::new(),
            dwarf: Dwarf::new(Code::new(layout.sections.iter().filter_map(code_of))),
            call_frames: OnceLock::new(),
            stripped: layout.table.is_none(),
            names: layout.table.map_or(0..0, |table| table.names),
            table: table.unwrap_or_default(),
            debug: layout
                .debug
                .into_iter()
                .map(|section| Debug {
                    section,
                    inflated: OnceLock::new(),
                })
                .collect(),
            sections: layout.sections,
            bytes,
        })
    }

    /// What stands for the file in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whose instructions these are.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Address at which the program starts.
    #[must_use]
    pub fn entry(&self) -> u32 {
        self.entry
    }

    /// SHA-256 of the whole file, of which ESP-IDF prints the beginning as `ELF file SHA256`.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        *self.sha256.get_or_init(|| guru_image::sha256(&self.bytes))
    }

    /// Whether there is no symbol table.
    #[must_use]
    pub fn stripped(&self) -> bool {
        self.stripped
    }

    /// Whether there is debugging information that tells lines.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        let has = |name| {
            let mut debug = self.debug.iter();
            debug.any(|debug| debug.section.name == name && !debug.section.data.is_empty())
        };
        has(".debug_info") && has(".debug_line")
    }

    /// Why its debugging information tells less than it should. Looks through it.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        if let Some(debug) = self
            .debug
            .iter()
            .find(|debug| self.inflate(debug).is_none())
        {
            return Some(Damage::Compressed(debug.section.name.clone()));
        }
        self.dwarf.damage(&|name| self.debug(name))
    }

    /// Bytes of the ELF file.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The sections that have a place in memory, in the order of the file.
    #[must_use]
    pub fn sections(&self) -> &[ElfSection] {
        &self.sections
    }

    /// A section with bytes, by its name: one that has a place in memory, or one with debugging
    /// information (`.debug_frame`, an `.eh_frame` that stays in the file).
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Section<'_>> {
        let mut sections = self.sections.iter();
        let placed = sections.find_map(|section| match &section.data {
            Some(data) if section.name == name => Some(Section {
                address: section.address,
                bytes: part(&self.bytes, data),
            }),
            _ => None,
        });
        placed.or_else(|| {
            let bytes = self.debug(name);
            (!bytes.is_empty()).then_some(Section { address: 0, bytes })
        })
    }

    /// Whether an address is in a section that holds code.
    #[must_use]
    pub fn is_code(&self, address: u32) -> bool {
        self.dwarf.code().contains(address)
    }

    /// Fills `bytes` with what lies at an address, if all of it is in one section that a running
    /// program does not write to. `false`: it is not.
    pub fn read(&self, address: u32, bytes: &mut [u8]) -> bool {
        let found = self.sections.iter().find_map(|section| {
            let fixed = !section.writable || section.executable || section.name.starts_with(FLASH);
            let data = section.data.as_ref().filter(|_| fixed)?;
            let start = address.checked_sub(section.address)? as usize;
            let end = start.checked_add(bytes.len())?;
            part(&self.bytes, data).get(start..end)
        });
        let Some(found) = found else {
            return false;
        };
        bytes.copy_from_slice(found);
        true
    }

    /// The symbol of the code at an address: name and first address.
    #[must_use]
    pub fn symbol(&self, address: u32) -> Option<(Name, u32)> {
        self.table.find(address).map(|symbol| self.named(symbol))
    }

    /// The addresses of the function that holds an address; of a symbol without a size up to the
    /// next one.
    #[must_use]
    pub fn function(&self, address: u32) -> Option<Range<u32>> {
        let symbol = self.table.find(address)?;
        Some(symbol.address..symbol.end)
    }

    /// Where the symbol with this name is, as it stands in the file (mangled), if that is in a section
    /// with code.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<u32> {
        let names = part(&self.bytes, &self.names);
        let mut symbols = self.table.symbols().iter();
        let found = symbols.find(|symbol| table::is_named(names, symbol.name, name));
        found.map(|symbol| symbol.address)
    }

    /// The symbol without a section, hence a fixed address, that stands shortly before an address.
    #[must_use]
    pub fn fixed_symbol(&self, address: u32) -> Option<(Name, u32)> {
        let symbol = self.table.find_fixed(address)?;
        Some(self.named(symbol))
    }

    /// The rules for the frame of the RISC-V function at an address, by call frame information.
    pub(crate) fn frame_row(&self, address: u32) -> Option<Row> {
        self.call_frames().row(&self.call_frame_sections(), address)
    }

    fn call_frames(&self) -> &cfi::Index {
        let index = || cfi::Index::new(&self.call_frame_sections());
        self.call_frames.get_or_init(index)
    }

    fn call_frame_sections(&self) -> cfi::Sections<'_> {
        let debug_frame = self.section(".debug_frame");
        let eh_frame = self.section(".eh_frame");
        cfi::Sections {
            debug_frame: debug_frame.map_or(&[], |section| section.bytes),
            eh_frame: eh_frame.map_or(&[], |section| section.bytes),
            eh_frame_address: eh_frame.map_or(0, |section| section.address),
        }
    }

    /// Where in the source an address is, the innermost frame first; nothing where that is not
    /// known. `symbol` names the function where the debugging information does not, or less well.
    pub(crate) fn frames(&self, address: u32, symbol: Option<&str>) -> Vec<SourceFrame> {
        self.dwarf.frames(address, symbol, &|name| self.debug(name))
    }

    /// Reads now what the lookup of these addresses will need of the debugging information, so that it
    /// can be done by another thread.
    pub fn prepare(&self, addresses: &[u32]) {
        for address in addresses {
            self.dwarf.prepare(*address, &|name| self.debug(name));
        }
    }

    fn named(&self, symbol: Symbol) -> (Name, u32) {
        let names = part(&self.bytes, &self.names);
        (Name::of(table::name(names, symbol.name)), symbol.address)
    }

    /// A section with debugging information; empty when there is none.
    fn debug(&self, name: &str) -> &[u8] {
        let mut debug = self.debug.iter();
        let found = debug.find(|debug| debug.section.name == name);
        found
            .and_then(|debug| self.inflate(debug))
            .unwrap_or_default()
    }

    /// The bytes of a section, or `None` where they cannot be had.
    fn inflate<'a>(&'a self, debug: &'a Debug) -> Option<&'a [u8]> {
        let stored = part(&self.bytes, &debug.section.data);
        if !debug.section.compressed {
            return Some(stored);
        }
        let inflated = debug.inflated.get_or_init(|| {
            let all: u64 = self
                .debug
                .iter()
                .filter(|debug| debug.section.compressed)
                .filter_map(|debug| Compressed::of(part(&self.bytes, &debug.section.data)))
                .map(|one| u64::from(one.len))
                .sum();
            let compressed = Compressed::of(stored);
            let compressed = compressed.filter(|_| all <= MOST_INFLATED * self.bytes.len() as u64);
            compressed.and_then(Compressed::inflate).unwrap_or_default()
        });
        (!inflated.is_empty()).then_some(inflated)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}

/// What a section that is flagged as compressed says of itself.
struct Compressed<'a> {
    kind: u32,
    len: u32,
    stored: &'a [u8],
}

impl<'a> Compressed<'a> {
    fn of(section: &'a [u8]) -> Option<Self> {
        let (header, stored) = section.split_at_checked(COMPRESSION_HEADER)?;
        let word = |at| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
        Some(Self {
            kind: word(0)?,
            len: word(4)?,
            stored,
        })
    }

    fn inflate(self) -> Option<Vec<u8>> {
        if self.kind != ELFCOMPRESS_ZLIB {
            return None;
        }
        let mut bytes = Vec::new();
        // One more, to see that there is no more.
        let mut decoder = ZlibDecoder::new(self.stored).take(u64::from(self.len) + 1);
        decoder.read_to_end(&mut bytes).ok()?;
        (bytes.len() == self.len as usize).then_some(bytes)
    }
}

/// The addresses of a section with code.
fn code_of(section: &ElfSection) -> Option<Range<u32>> {
    let end = section.address.checked_add(section.size)?;
    let is_code = section.executable && section.data.is_some();
    is_code.then_some(section.address..end)
}

/// Bytes of a file; none outside of it.
fn part<'a>(bytes: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    bytes
        .get(range.start as usize..range.end as usize)
        .unwrap_or_default()
}
