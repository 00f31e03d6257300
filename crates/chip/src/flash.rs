//! Flash sizes, frequencies and voltage.

use crate::model::*;
use crate::words::{Words, WordsError};

impl FlashTables {
    /// The size of this label, such as `4MB`; capitals do not count.
    #[must_use]
    pub fn size_by_label(&self, label: &str) -> Option<FlashSize> {
        self.sizes
            .iter()
            .copied()
            .find(|size| size.label.eq_ignore_ascii_case(label))
    }

    /// The size in byte 3 of an image header; its low nibble, the frequency, does not count.
    #[must_use]
    pub fn size_by_code(&self, byte: u8) -> Option<FlashSize> {
        self.sizes
            .iter()
            .copied()
            .find(|size| size.code == byte & 0xf0)
    }

    /// The size of so many bytes; of several labels for one size, the first.
    #[must_use]
    pub fn size_by_bytes(&self, bytes: u32) -> Option<FlashSize> {
        self.sizes.iter().copied().find(|size| size.bytes == bytes)
    }

    /// Labels of all sizes, for command lines and error messages.
    pub fn size_labels(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.sizes.iter().map(|size| size.label)
    }

    /// The header code of a frequency label, such as `40m`; capitals do not count.
    #[must_use]
    pub fn frequency_by_label(&self, label: &str) -> Option<u8> {
        let wanted = |(known, _): &&(&str, u8)| known.eq_ignore_ascii_case(label);
        self.frequencies.iter().find(wanted).map(|(_, code)| *code)
    }

    /// The label of the frequency in byte 3 of an image header; its high nibble, the size, does not
    /// count. Of several labels for one code, the first.
    #[must_use]
    pub fn frequency_by_code(&self, byte: u8) -> Option<&'static str> {
        let wanted = |(_, code): &&(&str, u8)| *code == byte & 0x0f;
        self.frequencies
            .iter()
            .find(wanted)
            .map(|(label, _)| *label)
    }

    /// Labels of all frequencies, for command lines and error messages.
    pub fn frequency_labels(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.frequencies.iter().map(|(label, _)| *label)
    }

    /// What sets the flash voltage, and to how much; `None` where the chip does not tell.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn voltage(&self, words: Words<'_>) -> Result<Option<FlashVoltage>, WordsError> {
        for rule in self.voltage {
            if rule.holds(words)? {
                return Ok(Some(FlashVoltage {
                    source: rule.source,
                    volts: rule.volts,
                }));
            }
        }
        Ok(None)
    }
}

/// What sets the flash voltage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashVoltage {
    /// What sets it, such as `eFuse` or `a strapping pin`.
    pub source: &'static str,
    /// The voltage, such as `3.3V` or `OFF`.
    pub volts: &'static str,
}

impl VoltageRule {
    fn holds(&self, words: Words<'_>) -> Result<bool, WordsError> {
        for (bits, value) in self.when {
            if bits.read(words)? != *value {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
