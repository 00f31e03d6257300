//! What unwinding needs to know of programs and ROM.

use std::ops::Range;

use super::Memory;
use super::riscv::Row;
use crate::Symbols;
use crate::rom::Rom;

pub(crate) trait Code {
    /// Whether there is code at an address.
    fn is_code(&self, address: u32) -> bool;
    /// Whether no more than one program has code at an address.
    fn is_of_one_program(&self, address: u32) -> bool;
    /// Fills `bytes` with what the programs have there and do not write to.
    fn read(&self, address: u32, bytes: &mut [u8]) -> bool;
    /// The bounds of the function in a program to which an address belongs.
    fn function(&self, address: u32) -> Option<Range<u32>>;
    /// The name of the function at an address.
    fn name(&self, address: u32) -> Option<String>;
    /// What call frame information there is for the instruction at an address.
    fn row(&self, address: u32) -> Option<Row>;
    /// The mask ROM.
    fn rom(&self) -> Option<&'static Rom>;
}

impl Code for Symbols {
    fn is_code(&self, address: u32) -> bool {
        Symbols::is_code(self, address)
    }

    fn is_of_one_program(&self, address: u32) -> bool {
        let programs = self.programs().iter();
        programs.filter(|program| program.is_code(address)).count() <= 1
    }

    fn read(&self, address: u32, bytes: &mut [u8]) -> bool {
        Symbols::read(self, address, bytes)
    }

    fn function(&self, address: u32) -> Option<Range<u32>> {
        let mut programs = self.programs().iter();
        programs.find_map(|program| program.function(address))
    }

    fn name(&self, address: u32) -> Option<String> {
        let mut programs = self.programs().iter();
        programs.find_map(|program| program.symbol(address).map(|(name, _)| name.text))
    }

    fn row(&self, address: u32) -> Option<Row> {
        let mut programs = self.programs().iter();
        programs.find_map(|program| program.frame_row(address))
    }

    fn rom(&self) -> Option<&'static Rom> {
        Symbols::rom(self)
    }
}

/// A word of the device's memory, or else of the programs.
pub(crate) fn word(code: &dyn Code, memory: &dyn Memory, at: u32) -> Option<u32> {
    let mut bytes = [0; 4];
    // It would go on at address 0.
    at.checked_add(3)?;
    let known = memory.read(at, &mut bytes) || code.read(at, &mut bytes);
    known.then(|| u32::from_le_bytes(bytes))
}
