//! The families of chips whose reports look alike.

use guru_chip::{Architecture, Chip};
use serde::{Deserialize, Serialize};

/// Chips whose reports of a crash have the same registers and the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Windowed Xtensa: ESP32, ESP32-S2, ESP32-S3.
    Xtensa,
    /// RISC-V: all later chips.
    RiscV,
    /// Xtensa without register windows, and another firmware: ESP8266.
    Esp8266,
}

impl Family {
    /// That of a chip.
    #[must_use]
    pub fn of(chip: &Chip) -> Self {
        Self::from(chip)
    }
}

impl From<&Chip> for Family {
    fn from(chip: &Chip) -> Self {
        match chip.architecture {
            Architecture::XtensaLx6 | Architecture::XtensaLx7 => Self::Xtensa,
            Architecture::XtensaLx106 => Self::Esp8266,
            Architecture::Riscv32 => Self::RiscV,
        }
    }
}
