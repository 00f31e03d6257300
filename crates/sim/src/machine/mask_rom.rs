//! The mask ROM around a program that its loader has started, where there is no image of it: the
//! functions at their addresses, the handlers of interrupts behind the vectors, and the way back.

use guru_chip::{Architecture, Chip, Machine, Revision};

use super::call::Call;
use super::processor::Interrupted;
use super::routing;
use crate::cpu::{AddressSpace, Cpu, Fault};
use crate::options::UsbMode;
use crate::rom::{Caller, Functions, Outcome, Reset, variables};

/// Interrupts in interrupts, at the most: a handler masks its own level.
const MAX_DEPTH: usize = 16;
/// The interrupt of the CPU that the ROM's loader has led its UART to (`uartAttach`), on all chips.
const UART_INTERRUPT: u32 = 5;
/// The priority that it has.
const PRIORITY: u32 = 1;
/// Offset of the register that the chips' tables name, from the first one of the UART.
const CLKDIV: u32 = 0x14;
/// The loader's frame on the stack, in bytes.
const FRAME: u32 = 64;
/// Below the stack pointer, where the stack pointer of the frame above is saved on Xtensa.
const CALLER_STACK: u32 = 12;
/// Before an interrupt's handler runs and after it, the ROM saves and restores registers: in cycles,
/// together. An assumption.
const SAVING: u64 = 100;

/// Addresses in the ROM at which it takes over, where no chip has a function.
#[derive(Debug, Clone, Copy)]
struct Places {
    /// A program that returns.
    loader: u32,
    /// A handler that returns.
    handled: u32,
    /// Exceptions and interrupts.
    vectors: [u32; 2],
}

/// What there is of the ROM.
pub(super) struct MaskRom {
    functions: Option<Functions>,
    places: Places,
    chip: &'static Chip,
    revision: Revision,
    crystal: u32,
    interrupted: Vec<Interrupted>,
}

/// How the loader left the chip to the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandOver {
    pub revision: Revision,
    /// Frequency of the crystal, in Hz.
    pub crystal: u32,
    pub usb: UsbMode,
    /// Rate of the UART, in bits per second.
    pub baud: u32,
    /// Size of the flash as SPI_SET_PARAMS told it, in bytes.
    pub flash_size: u32,
    /// The ROM's own code is there: all but interrupts is left to it.
    pub image: bool,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The program goes on, after so many cycles.
    GoOn(u64),
    /// The same again at this time, in nanoseconds, or when something has changed.
    Again(u64),
    /// The ROM's loader goes on where it was.
    Loader,
    /// The ROM boots from flash.
    Boot,
    /// The chip is reset.
    Reset,
    /// The function was given what it cannot use.
    Fault(Fault),
    /// There is no such function.
    Unknown,
}

impl MaskRom {
    /// The ROM of a chip. `None`: where it is, is not known.
    pub fn new(chip: &'static Chip, left: HandOver) -> Option<Self> {
        let map = chip.machine.as_ref()?;
        Some(Self {
            functions: Functions::new(chip, left.revision, left.image),
            places: places(chip, map)?,
            chip,
            revision: left.revision,
            crystal: left.crystal,
            interrupted: Vec::new(),
        })
    }

    /// Calls a program as the loader does.
    pub fn enter(&self, call: &mut Call<'_>, entry: u32, left: HandOver) {
        let functions = self.functions.iter().flat_map(Functions::addresses);
        let places = &self.places;
        let own = [places.loader, places.handled]
            .into_iter()
            .chain(places.vectors);
        for address in functions.chain(own) {
            call.cpu.add_breakpoint(address);
        }
        let words = variables(
            self.chip,
            left.revision,
            left.usb,
            left.baud,
            left.flash_size,
        );
        for (address, word) in words {
            // One that is not in RAM is one that no program sees.
            let _ = call.board.ram.poke(address, &word.to_le_bytes());
        }
        let stack = self.chip.machine.as_ref().map_or(0, |map| map.stack);
        let source = self.chip.registers.uart.source.into();
        // Where there is no matrix there is nothing to lead.
        let _ = call.route_interrupt(source, UART_INTERRUPT);
        let _ = call.set_priority(UART_INTERRUPT, PRIORITY);
        // `Uart_Init`: each byte raises an interrupt. The first stubs leave it at that.
        let full = self.chip.registers.uart.rx_full;
        let uart = self.chip.uart.clkdiv.wrapping_sub(CLKDIV);
        let _ = call.store_word(uart.wrapping_add(full.addr), 1 << full.lsb);
        call.cpu.set_vector(places.vectors[0]);
        // The frame of the loader has one above it, to which windows of registers can overflow.
        let frame = stack.wrapping_sub(FRAME);
        let _ = call.store_word(frame.wrapping_sub(CALLER_STACK), stack);
        call.cpu.enter(entry, frame, places.loader);
    }

    /// Does what the ROM does at the address of a function, or of a place of its own.
    pub fn call(&mut self, call: &mut Call<'_>) -> Answer {
        let pc = call.cpu.pc();
        if pc == self.places.loader {
            let boots = self.functions.as_ref().and_then(Functions::user_start);
            return boots.map_or(Answer::Loader, |_| Answer::Boot);
        }
        if pc == self.places.handled {
            if let Some(before) = self.interrupted.pop() {
                call.cpu.resume(&before);
            }
            return Answer::GoOn(SAVING / 2);
        }
        if self.places.vectors.contains(&pc) {
            return self.interrupt(call);
        }
        call.revision = self.revision;
        call.crystal = self.crystal;
        let Some(functions) = &mut self.functions else {
            return Answer::Unknown;
        };
        match functions.call(pc, call) {
            Ok(Outcome::Return(value)) => call.cpu.return_with(value),
            Ok(Outcome::Again(at)) => {
                call.cpu.set_pc(pc);
                return Answer::Again(at.0.as_nanos() as u64);
            }
            Ok(Outcome::GoTo(address, arguments)) => {
                for (number, argument) in (0..).zip(arguments) {
                    call.cpu.set_argument(number, argument);
                }
                call.cpu.set_pc(address);
            }
            Ok(Outcome::Boot) => return Answer::Boot,
            Ok(Outcome::Reset(Reset::System | Reset::Cpu)) => return Answer::Reset,
            Err(fault) => return Answer::Fault(fault),
        }
        Answer::GoOn(0)
    }

    /// An exception or interrupt is to be handled.
    fn interrupt(&mut self, call: &mut Call<'_>) -> Answer {
        match call.finish_movsp() {
            Ok(true) => return Answer::GoOn(SAVING / 4),
            Ok(false) => {}
            Err(fault) => return Answer::Fault(fault),
        }
        let Some(interrupt) = call.cpu.interrupt_taken() else {
            return Answer::Unknown;
        };
        let number = routing::attached_number(self.chip, interrupt);
        let functions = self.functions.as_ref();
        let handler = functions.and_then(|functions| functions.handler(number));
        match handler {
            Some((handler, argument)) if self.interrupted.len() < MAX_DEPTH => {
                let before = call
                    .cpu
                    .call_handler(handler, argument, self.places.handled);
                self.interrupted.push(before);
            }
            // Nobody wants it.
            _ => {
                let bit = 1_u32.checked_shl(number).unwrap_or(0);
                if let Err(fault) = call.enable_interrupts(bit, false) {
                    return Answer::Fault(fault);
                }
                let before = call
                    .cpu
                    .call_handler(self.places.handled, 0, self.places.handled);
                call.cpu.resume(&before);
            }
        }
        Answer::GoOn(SAVING / 2)
    }
}

fn places(chip: &Chip, map: &Machine) -> Option<Places> {
    let end = map.rom.last()?.end;
    let vectors = match chip.architecture {
        Architecture::Riscv32 => [end - 0x100; 2],
        // Kernel and user exceptions.
        Architecture::XtensaLx106 => [VECTORS + 0x30, VECTORS + 0x50],
        Architecture::XtensaLx6 | Architecture::XtensaLx7 => [VECTORS + 0x300, VECTORS + 0x340],
    };
    Some(Places {
        loader: end - 4,
        handled: end - 8,
        vectors,
    })
}

/// VECBASE of Xtensa cores after a reset.
const VECTORS: u32 = 0x4000_0000;

/// What of the ROM a program reads, or executes as code: its version, and the handlers of window
/// overflows.
pub(crate) fn add_rom(chip: &Chip, space: &mut AddressSpace) {
    use crate::cpu::Access;
    use crate::cpu::xtensa::window_vectors;

    let windowed = matches!(
        chip.architecture,
        Architecture::XtensaLx6 | Architecture::XtensaLx7
    );
    if windowed {
        let code = window_vectors();
        let bank = space.add_bank(code.len() as u32);
        // Nothing else is there.
        let _ = space.add_window(VECTORS, code.len() as u32, bank, 0, Access::Rom);
        let _ = space.poke(VECTORS, &code);
    }
    let mut versions: Vec<u32> = chip
        .rom_code
        .iter()
        .filter_map(|code| code.data.eco_version)
        .collect();
    versions.dedup();
    for address in versions {
        let bank = space.add_bank(4);
        let _ = space.add_window(address, 4, bank, 0, Access::Constants);
    }
}
