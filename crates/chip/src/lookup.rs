//! Look-ups in a chip's entry.

use crate::Revision;
use crate::model::*;
use crate::words::{Words, WordsError};

impl Chip {
    /// Whether the chip has a quirk.
    #[must_use]
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// Bits that a quirk's function needs. The names that [`Quirk`] gives are always there for a chip
    /// that has the quirk: the build checks it.
    #[must_use]
    pub fn bits(&self, name: &str) -> Option<Bits> {
        self.named_bits
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, bits)| *bits)
    }

    /// The first memory range, in the order of the entry, that holds an address.
    #[must_use]
    pub fn memory_at(&self, addr: u32) -> Option<&'static MemoryRange> {
        self.memory
            .iter()
            .find(|memory| memory.range.contains(&addr))
    }

    /// Names of all memory ranges that hold an address, in the order of the entry.
    pub fn memory_names(&self, addr: u32) -> impl Iterator<Item = &'static str> + use<> {
        let holds = move |memory: &&MemoryRange| memory.range.contains(&addr);
        self.memory.iter().filter(holds).map(|memory| memory.name)
    }

    /// Whether an address lies in a window through which flash is executed or read.
    #[must_use]
    pub fn is_flash_mapped(&self, addr: u32) -> bool {
        self.irom.contains(&addr) || self.drom.contains(&addr)
    }
}

impl EfuseSpace {
    /// The block of this name.
    #[must_use]
    pub fn block(&self, name: &str) -> Option<EfuseBlock> {
        self.blocks.iter().copied().find(|block| block.name == name)
    }

    /// The field of this name in the first revision that has it; upper and lower case are the same.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<EfuseField> {
        let named = |field: &EfuseField| field.name.eq_ignore_ascii_case(name);
        self.fields.iter().copied().find(named)
    }

    /// The fields that a revision has.
    pub fn fields_of(&self, revision: Revision) -> impl Iterator<Item = EfuseField> {
        let has = move |field: &EfuseField| field.since <= revision && revision < field.until;
        self.fields.iter().copied().filter(has)
    }

    /// The field of this name that a revision has; upper and lower case are the same.
    #[must_use]
    pub fn field_of(&self, revision: Revision, name: &str) -> Option<EfuseField> {
        self.fields_of(revision)
            .find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// Whether an address belongs to the controller.
    #[must_use]
    pub fn contains(&self, addr: u32) -> bool {
        addr.checked_sub(self.base)
            .is_some_and(|offset| offset < self.len)
    }
}

/// A crystal as far as the baud rate tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrystalEstimate {
    /// The crystal in MHz that lies nearest.
    pub mhz: u8,
    /// What was measured, in kHz.
    pub measured_khz: u32,
}

impl CrystalEstimate {
    /// Whether the measurement is more than 1 MHz off: then the crystal is odd, or the adapter's
    /// baud rate is.
    #[must_use]
    pub const fn is_doubtful(self) -> bool {
        self.measured_khz.abs_diff(self.mhz as u32 * 1000) > 1000
    }
}

impl Crystal {
    /// The crystal from the word at [`Uart::clkdiv`] while the line runs at `baud`. A fixed crystal
    /// needs no measurement and is never doubtful.
    #[must_use]
    pub fn estimate(self, baud: u32, clkdiv: u32) -> CrystalEstimate {
        match self {
            Self::Fixed(mhz) => CrystalEstimate {
                mhz,
                measured_khz: u32::from(mhz) * 1000,
            },
            Self::Estimated {
                divisor, choices, ..
            } => {
                // UART_CLKDIV has 20 bits; fractional bits above them are left out.
                let clock = u64::from(baud) * u64::from(clkdiv & 0xf_ffff);
                let khz = clock / 1000 / u64::from(divisor).max(1);
                let measured_khz = u32::try_from(khz).unwrap_or(u32::MAX);
                let distance = |mhz: &u8| measured_khz.abs_diff(u32::from(*mhz) * 1000);
                let mhz = choices
                    .iter()
                    .copied()
                    .min_by_key(distance)
                    .unwrap_or_default();
                CrystalEstimate { mhz, measured_khz }
            }
        }
    }

    /// What the ROM takes the crystal to be, in MHz, where that may be wrong.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn assumed(self, words: Words<'_>) -> Result<Option<u8>, WordsError> {
        let Self::Estimated { assumed, .. } = self else {
            return Ok(None);
        };
        match assumed {
            AssumedCrystal::Right => Ok(None),
            AssumedCrystal::Always(mhz) => Ok(Some(mhz)),
            AssumedCrystal::Register { bits, .. } => {
                let mhz = bits.read(words)?;
                Ok(Some(u8::try_from(mhz).unwrap_or(u8::MAX)))
            }
        }
    }

    /// The divider that makes [`Self::estimate`] give this crystal, for a simulator.
    #[must_use]
    pub fn clkdiv(self, baud: u32, mhz: u8) -> u32 {
        let divisor = match self {
            Self::Fixed(_) => 1,
            Self::Estimated { divisor, .. } => u64::from(divisor),
        };
        let clock = u64::from(mhz) * 1_000_000 * divisor;
        u32::try_from(clock / u64::from(baud.max(1))).unwrap_or(u32::MAX) & 0xf_ffff
    }
}
