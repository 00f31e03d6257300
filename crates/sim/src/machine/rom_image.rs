//! The mask ROM out of an ELF file, as Espressif publishes them (espressif/esp-rom-elfs).

use guru_chip::{Architecture, Chip, Machine};
use thiserror::Error;

use crate::cpu::{Access, AddressSpace, MapError};

/// `e_machine` of Xtensa and of RISC-V.
const XTENSA: u16 = 94;
const RISCV: u16 = 243;
/// `p_type` of a segment that is loaded.
const LOAD: u32 = 1;

/// Why a file is not the ROM of a chip.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RomError {
    /// Not an ELF file for a little-endian CPU of 32 bits.
    #[error("it is not an ELF file of 32 bits")]
    NotElf,
    /// It ends before what its headers promise.
    #[error("it is cut off")]
    CutOff,
    /// It is for another architecture.
    #[error("it is for another CPU than that of {0}")]
    OtherCpu(&'static str),
    /// No segment lies where this chip's ROM is.
    #[error("it holds nothing where the ROM of {0} is")]
    NothingThere(&'static str),
    /// No programs are executed on this chip.
    #[error("{0} executes no programs here")]
    NoMachine(&'static str),
}

/// What a ROM puts into memory.
#[derive(Debug, Clone)]
pub(crate) struct RomImage {
    map: &'static Machine,
    /// Contents of the ROM itself, by address.
    rom: Vec<(u32, Vec<u8>)>,
    /// First values of its variables in RAM.
    data: Vec<(u32, Vec<u8>)>,
}

impl RomImage {
    /// Takes the segments of an ELF file.
    ///
    /// # Errors
    ///
    /// The file is not the ROM of this chip.
    pub fn parse(chip: &'static Chip, elf: &[u8]) -> Result<Self, RomError> {
        let map = chip
            .machine
            .as_ref()
            .ok_or(RomError::NoMachine(chip.name))?;
        if elf.get(..6) != Some(b"\x7FELF\x01\x01") {
            return Err(RomError::NotElf);
        }
        let cpu = match chip.architecture {
            Architecture::Riscv32 => RISCV,
            _ => XTENSA,
        };
        if half(elf, 18)? != cpu {
            return Err(RomError::OtherCpu(chip.name));
        }
        let table = word(elf, 28)? as usize;
        let size = usize::from(half(elf, 42)?);
        let (mut rom, mut data) = (Vec::new(), Vec::new());
        for index in 0..usize::from(half(elf, 44)?) {
            let at = table.saturating_add(index * size);
            let field = |number: usize| word(elf, at.saturating_add(4 * number));
            let (offset, address, load, len) = (field(1)?, field(2)?, field(3)?, field(4)?);
            if field(0)? != LOAD || len == 0 {
                continue;
            }
            let start = offset as usize;
            let end = start.checked_add(len as usize);
            let bytes = end.and_then(|end| elf.get(start..end));
            let bytes = bytes.ok_or(RomError::CutOff)?.to_vec();
            // Variables stand in ROM too, at the address that they are copied from.
            if address != load && is_in(map, load) {
                rom.push((load, bytes.clone()));
            }
            if is_in(map, address) {
                rom.push((address, bytes));
            } else if map.ram.iter().any(|window| window.range.contains(&address)) {
                data.push((address, bytes));
            }
        }
        if rom.is_empty() {
            return Err(RomError::NothingThere(chip.name));
        }
        Ok(Self { map, rom, data })
    }

    /// Adds the ROM to a chip's memory.
    ///
    /// # Errors
    ///
    /// Something else is seen there.
    pub fn install(&self, space: &mut AddressSpace) -> Result<(), MapError> {
        for range in self.map.rom {
            let len = range.end - range.start;
            let bank = space.add_bank(len);
            space.add_window(range.start, len, bank, 0, Access::Rom)?;
        }
        put(&self.rom, space);
        Ok(())
    }

    /// Sets the variables to what the ROM sets them to after a reset.
    pub fn start(&self, space: &mut AddressSpace) {
        put(&self.data, space);
    }
}

/// What lies over the end of memory is left out.
fn put(segments: &[(u32, Vec<u8>)], space: &mut AddressSpace) {
    for (address, bytes) in segments {
        let _ = space.poke(*address, bytes);
    }
}

fn is_in(map: &Machine, address: u32) -> bool {
    map.rom.iter().any(|range| range.contains(&address))
}

fn half(elf: &[u8], at: usize) -> Result<u16, RomError> {
    let bytes = elf.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u16::from_le_bytes(*bytes.ok_or(RomError::CutOff)?))
}

fn word(elf: &[u8], at: usize) -> Result<u32, RomError> {
    let bytes = elf.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_le_bytes(*bytes.ok_or(RomError::CutOff)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with one segment.
    fn elf(machine: u16, address: u32, bytes: &[u8]) -> Vec<u8> {
        let mut file = b"\x7FELF\x01\x01\x01".to_vec();
        file.resize(52, 0);
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[28..32].copy_from_slice(&52_u32.to_le_bytes());
        file[42..44].copy_from_slice(&32_u16.to_le_bytes());
        file[44..46].copy_from_slice(&1_u16.to_le_bytes());
        let len = bytes.len() as u32;
        for word in [LOAD, 84, address, address, len, len, 5, 4] {
            file.extend(word.to_le_bytes());
        }
        file.extend_from_slice(bytes);
        file
    }

    fn parsed(file: &[u8]) -> Result<RomImage, RomError> {
        RomImage::parse(guru_chip::by_id("esp32c3").unwrap(), file)
    }

    #[test]
    fn code_in_the_file_is_seen_in_rom() {
        let image = parsed(&elf(RISCV, 0x4000_0100, b"code")).unwrap();
        let mut space = AddressSpace::default();
        image.install(&mut space).unwrap();
        assert_eq!(
            space.load_memory::<4>(0x4000_0100),
            Some(Ok(u32::from_le_bytes(*b"code")))
        );
    }

    #[test]
    fn files_that_are_not_this_rom_are_refused() {
        let good = elf(RISCV, 0x4000_0100, b"code");
        assert_eq!(parsed(b"no elf").unwrap_err(), RomError::NotElf);
        let other = elf(XTENSA, 0x4000_0100, b"code");
        assert_eq!(parsed(&other).unwrap_err(), RomError::OtherCpu("ESP32-C3"));
        let elsewhere = elf(RISCV, 0x4200_0000, b"code");
        assert_eq!(
            parsed(&elsewhere).unwrap_err(),
            RomError::NothingThere("ESP32-C3")
        );
        for len in 6..good.len() {
            assert_eq!(parsed(&good[..len]).unwrap_err(), RomError::CutOff, "{len}");
        }
    }
}
