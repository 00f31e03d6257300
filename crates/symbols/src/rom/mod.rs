//! Functions of the mask ROMs: names, places, and how far a frame is from its caller's.
//!
//! What is here was read out of Espressif's ROM ELF files (espressif/esp-rom-elfs) by
//! `cargo xtask rom-symbols`: facts only, no code. Which ROM a chip has follows from its revision, or
//! from what it prints when it starts.

mod table;

use std::fmt;
use std::sync::OnceLock;

use guru_chip::{Banner, Chip, Revision};

/// The functions of one mask ROM.
pub struct Rom {
    /// The chip in which it is.
    pub chip: &'static Chip,
    /// The first revision of the chip that has it.
    pub min_revision: Revision,
    packed: table::Packed,
    functions: OnceLock<Vec<RomFunction>>,
}

/// A function of a mask ROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RomFunction {
    /// Its name in the ROM's symbol table.
    pub name: &'static str,
    /// Its first instruction.
    pub address: u32,
    /// Bytes; where the symbol table does not tell, up to the next symbol.
    pub size: u32,
    /// How its frame lies on the stack.
    pub frame: RomFrame,
}

/// How the frame of a function in ROM lies on the stack, while it calls another.
///
/// The *top* is the stack pointer that the caller had. Distances are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RomFrame {
    /// Nobody could tell.
    Unknown,
    /// RISC-V.
    Riscv {
        /// What the top is found by.
        base: RomBase,
        /// From that register up to the top.
        size: u32,
        /// Where the return address is.
        return_address: Kept,
        /// Where the caller's `s0` is.
        frame_pointer: Kept,
    },
    /// RISC-V: it takes exceptions or interrupts, and puts the program counter and all registers at
    /// the stack pointer in the order of ESP-IDF's `RvExcFrame`.
    Trap {
        /// From the stack pointer up to the top.
        size: u32,
    },
    /// Xtensa: the operand of its `entry`.
    Windowed {
        /// From the stack pointer up to the top.
        size: u32,
    },
}

/// Where a register of the caller's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kept {
    /// Where it was.
    Register,
    /// Nowhere.
    Lost,
    /// In the word that begins so far below the top.
    Below(u32),
}

/// The register by which a frame is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RomBase {
    /// `sp`.
    StackPointer,
    /// `s0`, in functions whose frame has no fixed size.
    FramePointer,
}

impl Rom {
    /// All functions, by ascending address.
    pub fn functions(&'static self) -> &'static [RomFunction] {
        self.functions
            .get_or_init(|| table::functions(&self.packed))
    }

    /// The function to which an address belongs.
    pub fn function(&'static self, address: u32) -> Option<&'static RomFunction> {
        let functions = self.functions();
        let after = functions.partition_point(|function| function.address <= address);
        // One may lie inside of another.
        functions[..after]
            .iter()
            .rev()
            .take(4)
            .find(|function| address - function.address < function.size)
    }

    /// The boot log of this ROM.
    pub fn banner(&self) -> Option<&'static Banner> {
        let mut banners = self.chip.rom.banners.iter();
        banners.find(|banner| banner.min_revision == self.min_revision.0)
    }
}

impl fmt::Debug for Rom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rom({} {})", self.chip.id, self.min_revision)
    }
}

/// All ROMs that are known.
pub fn all() -> &'static [Rom] {
    table::roms()
}

/// The ROM of a chip that prints this when it starts: the name in its first line
/// (`esp32c3-api1-20210207`, `ESP-ROM:` before it or not), its build date (`Feb  7 2021`), or the
/// ESP32's whole first line. `None` where the chip has a ROM of which no functions are known.
pub fn find(chip: &Chip, build: &str) -> Option<&'static Rom> {
    let name = build.trim();
    let name = name.strip_prefix("ESP-ROM:").unwrap_or(name);
    let date = name.strip_prefix("Build:").unwrap_or(name);
    let date = date.split_whitespace().collect::<Vec<_>>().join(" ");
    if date.is_empty() {
        return None;
    }
    let prints = |banner: &&Banner| {
        let lines = [banner.build]
            .into_iter()
            .chain(banner.lines.iter().copied());
        let mut lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let whole = |line: String| {
            line == date
                || ["ESP-ROM:", "Build:"]
                    .iter()
                    .any(|prefix| line.strip_prefix(prefix) == Some(date.as_str()))
                // The ESP32's has a time behind the date.
                || line.strip_prefix("ets ").is_some_and(|rest| rest.starts_with(&date))
        };
        lines.any(whole)
    };
    let banner = chip.rom.banners.iter().find(prints)?;
    of_banner(chip, banner)
}

/// The ROM in chips of a revision. Revisions count as image headers do: v0.3 is 3, and v3.0 is 300.
/// `None` where that chip has a ROM of which no functions are known.
pub fn find_revision(chip: &Chip, revision: Revision) -> Option<&'static Rom> {
    of_banner(chip, chip.rom.banner(revision)?)
}

/// Revisions that print the same first line have the same ROM.
fn of_banner(chip: &Chip, banner: &Banner) -> Option<&'static Rom> {
    all().iter().find(|rom| {
        rom.chip.id == chip.id && rom.banner().is_some_and(|of| of.build == banner.build)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(id: &str) -> &'static Chip {
        guru_chip::by_id(id).expect("a chip")
    }

    #[test]
    fn every_function_is_readable_and_in_order() {
        assert_eq!(all().len(), 15);
        for rom in all() {
            let functions = rom.functions();
            assert!(functions.len() > 800, "{rom:?}: {}", functions.len());
            assert!(
                functions.is_sorted_by(|a, b| a.address < b.address),
                "{rom:?}"
            );
            assert!(
                functions
                    .iter()
                    .all(|function| !function.name.is_empty() && function.size > 0)
            );
            assert!(rom.banner().is_some(), "{rom:?}");
        }
    }

    #[test]
    fn a_rom_is_told_by_name_by_date_and_by_revision() {
        let c3 = chip("esp32c3");
        for (build, revision) in [
            ("esp32c3-20200918", 0),
            ("ESP-ROM:esp32c3-api1-20210207", 3),
            ("Feb  7 2021", 3),
            ("Build:Feb 7 2021", 3),
            ("esp32c3-eco7-20230720", 101),
        ] {
            let rom = find(c3, build).expect(build);
            assert_eq!(rom.min_revision.0, revision, "{build}");
        }
        let esp32 = chip("esp32");
        let old = find(esp32, "ets Jun  8 2016 00:22:57").expect("the first ROM");
        assert_eq!(old.min_revision.0, 0);
        assert_eq!(
            find(esp32, "Jul 29 2019")
                .expect("the second")
                .min_revision
                .0,
            300
        );
        assert!(find(esp32, "Jul 29 2018").is_none());
        assert!(find(esp32, "").is_none());
        assert!(find(esp32, "20").is_none());
    }

    /// v0.3 of the ESP32-C3 was written "3" before revisions had two parts, and a file name with
    /// "300" in it means that one too.
    #[test]
    fn revision_three_of_the_c3_is_not_revision_three_hundred() {
        let c3 = chip("esp32c3");
        for (revision, rom) in [
            (0, 0),
            (2, 0),
            (3, 3),
            (4, 3),
            (100, 3),
            (101, 101),
            (300, 101),
        ] {
            let found = find_revision(c3, Revision(revision)).expect("every revision has one");
            assert_eq!(found.min_revision.0, rom, "revision {revision}");
        }
    }

    #[test]
    fn a_revision_whose_rom_is_not_known_has_none() {
        assert!(find_revision(chip("esp32p4"), Revision(100)).is_none());
        assert!(find_revision(chip("esp32c5"), Revision(102)).is_none());
        assert!(find_revision(chip("esp32c5"), Revision(0)).is_some());
        assert!(find_revision(chip("esp8266"), Revision(0)).is_none());
    }

    #[test]
    fn frames_of_well_known_functions() {
        let rom = |id, revision| find_revision(chip(id), Revision(revision)).expect("a ROM");
        // Where core dumps of real chips have it.
        let printf = rom("esp32c3", 3).function(0x4004_8721).expect("code");
        assert_eq!(printf.name, "ets_printf");
        let RomFrame::Riscv {
            base: RomBase::StackPointer,
            size,
            return_address: Kept::Below(distance),
            ..
        } = printf.frame
        else {
            panic!("{:?}", printf.frame);
        };
        assert!(0 < distance && distance <= size);
        let printf = rom("esp32", 300).function(0x4000_814A).expect("code");
        assert_eq!(printf.name, "ets_printf");
        assert!(matches!(printf.frame, RomFrame::Windowed { size } if size > 0));
        let mut functions = rom("esp32c3", 3).functions().iter();
        let takes_traps = |frame| matches!(frame, RomFrame::Trap { size } if size >= 128);
        assert!(functions.any(|function| takes_traps(function.frame)));
    }
}
