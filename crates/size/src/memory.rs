//! The memories of a chip as a program fills them.

use guru_chip::Chip;
use guru_image::ElfSection;

/// Where bytes are while a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Memory {
    /// Mapped flash, code.
    FlashCode,
    /// Mapped flash, anything else.
    FlashData,
    /// RAM behind the bus for instructions.
    Iram,
    /// RAM behind the bus for data.
    Dram,
    /// RAM that both buses have at the same addresses.
    Ram,
    /// Memory that lives on in deep sleep.
    Rtc,
    /// External RAM.
    External,
    /// Something else that the chip has.
    Other,
}

impl Memory {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::FlashCode,
        Self::FlashData,
        Self::Iram,
        Self::Dram,
        Self::Ram,
        Self::Rtc,
        Self::External,
        Self::Other,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FlashCode => "flash code",
            Self::FlashData => "flash data",
            Self::Iram => "IRAM",
            Self::Dram => "DRAM",
            Self::Ram => "RAM",
            Self::Rtc => "RTC memory",
            Self::External => "external RAM",
            Self::Other => "other memory",
        }
    }

    /// Whether it is flash, which an image fills and a running program does not use up.
    #[must_use]
    pub fn is_flash(self) -> bool {
        matches!(self, Self::FlashCode | Self::FlashData)
    }

    /// Where a section is, by the chip's memory map; `None`: it stands for no memory.
    ///
    /// Sections without bytes that linker scripts lay over addresses which show something else
    /// (the other half of mapped flash, RAM seen from the other bus) have `dummy` in their names,
    /// in ESP-IDF as in esp-hal.
    pub(crate) fn of(chip: &Chip, section: &ElfSection) -> Option<Self> {
        let mapped = chip.is_flash_mapped(section.address);
        if section.data.is_none() && (mapped || section.name.contains("dummy")) {
            return None;
        }
        if mapped {
            return Some(match section.executable {
                true => Self::FlashCode,
                false => Self::FlashData,
            });
        }
        let (mut instructions, mut data) = (false, false);
        for name in chip.memory_names(section.address) {
            match name {
                "EXTRAM_DATA" => return Some(Self::External),
                "DRAM" | "DIRAM_DRAM" => data = true,
                "IRAM" | "DIRAM_IRAM" | "CACHE_PRO" | "CACHE_APP" => instructions = true,
                _ if name.starts_with("RTC") => return Some(Self::Rtc),
                _ => {}
            }
        }
        Some(match (instructions, data) {
            (true, true) => Self::Ram,
            (true, false) => Self::Iram,
            (false, true) => Self::Dram,
            (false, false) => Self::Other,
        })
    }
}
