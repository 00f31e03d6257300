//! Functions of the mask ROMs.

use guru_chip::Chip;

/// The functions of one mask ROM.
#[derive(Debug)]
pub struct Rom {
    /// The chip in which it is.
    pub chip: &'static Chip,
    functions: &'static [RomFunction],
}

/// A function of a mask ROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RomFunction {
    /// Its name in the ROM's symbol table.
    pub name: &'static str,
    /// Its first instruction.
    pub address: u32,
    /// Bytes.
    pub size: u32,
}

impl Rom {
    /// The function to which an address belongs.
    pub fn function(&'static self, address: u32) -> Option<&'static RomFunction> {
        let mut functions = self.functions.iter();
        functions.find(|function| {
            (address.checked_sub(function.address)).is_some_and(|at| at < function.size)
        })
    }
}
