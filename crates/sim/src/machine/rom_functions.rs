//! Functions of the mask ROM, answered natively.
//!
//! `chips/NAME.toml` says under `[machine.rom_functions]` at which address a chip has a function;
//! here is, by the same name, what it does. A call of an address in ROM that has no entry stops the
//! CPU and is reported.

use guru_chip::Machine;

use super::processor::Processor;
use crate::board::Board;
use crate::cpu::Cpu;

/// What a function does.
pub(super) type Function = fn(&mut Call<'_>) -> Answer;

/// How a function ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    dead_code,
    reason = "what functions that are not there yet will answer"
)]
pub(super) enum Answer {
    /// With a value, of which the caller takes as many words as it knows of.
    Return(u64),
    /// By a jump, with registers as the function left them.
    Jump(u32),
    /// Not yet: it is called again once a register may have changed.
    Wait,
    /// The ROM's loader goes on where it was.
    Loader,
    /// The chip is reset as a whole.
    Reset,
}

/// A call of a function, at its first instruction.
pub(super) struct Call<'a> {
    /// The CPU: arguments by [`Cpu::argument`].
    pub cpu: &'a mut Processor,
    /// Memory by `board.ram`, registers by [`Board::load`] and [`Board::store`].
    pub board: &'a mut Board,
    now: u64,
    spent: u64,
}

#[expect(dead_code, reason = "what functions that are not there yet will use")]
impl<'a> Call<'a> {
    pub fn new(cpu: &'a mut Processor, board: &'a mut Board, now: u64) -> Self {
        Self {
            cpu,
            board,
            now,
            spent: 0,
        }
    }

    /// An argument, counted from 0.
    pub fn argument(&self, number: u8) -> u32 {
        self.cpu.argument(number)
    }

    /// The present moment, in nanoseconds, with what was spent.
    pub fn now(&self) -> u64 {
        self.now + self.spent
    }

    /// The function takes so many nanoseconds more.
    pub fn spend(&mut self, time: u64) {
        self.spent += time;
    }

    pub(super) fn spent(&self) -> u64 {
        self.spent
    }
}

/// All functions, by name.
pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("esp_rom_spiflash_attach", attach),
    ("ets_efuse_get_spiconfig", spi_config),
];

/// Where a program that returns ends up: it has no name.
pub(super) const LOADER: Function = |_| Answer::Loader;

/// The address that a program is given to return to: the last word of the ROM, where no chip has
/// code.
pub(super) fn loader_address(map: &Machine) -> Option<u32> {
    map.rom.last().map(|range| range.end - 4)
}

/// `esp_rom_spiflash_attach(pads, legacy)`.
fn attach(call: &mut Call<'_>) -> Answer {
    call.board.spi.attached = true;
    Answer::Return(0)
}

/// `ets_efuse_get_spiconfig()`: 0, the usual pads.
fn spi_config(_: &mut Call<'_>) -> Answer {
    Answer::Return(0)
}
