//! Flash size from the JEDEC id.

/// What a flash chip answers to command 0x9F: manufacturer in bits 7..0, then two device bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JedecId(pub u32);

/// Capacity of a flash chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes.
    pub bytes: u32,
    /// As it is printed, such as `4MB`.
    pub label: &'static str,
}

/// Manufacturer id of Adesto (now Renesas), whose device bytes count differently.
const ADESTO: u8 = 0x1f;

/// Labels of 256 KB, twice that, and so on.
const LABELS: [&str; 11] = [
    "256KB", "512KB", "1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB", "256MB",
];

impl JedecId {
    /// Manufacturer.
    #[must_use]
    pub const fn manufacturer(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// The two device bytes, the first one high.
    #[must_use]
    pub const fn device(self) -> u16 {
        let [_, first, second, _] = self.0.to_le_bytes();
        u16::from_be_bytes([first, second])
    }

    /// Whether this is what a line without a flash reads as: all ones or all zeros.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        matches!(self.0 & 0x00ff_ffff, 0 | 0x00ff_ffff)
    }

    /// The capacity, by the usual rule that the last byte is the power of two; octal parts and stacked
    /// dies begin again at 0x20 and 0x32, and Adesto puts a size code into the first device byte.
    #[must_use]
    pub fn capacity(self) -> Option<Capacity> {
        let [manufacturer, first, size, _] = self.0.to_le_bytes();
        // Every form is brought to the exponent of the usual one: 0x12 is 256 KB.
        let exponent = match size {
            _ if manufacturer == ADESTO => match first & 0x1f {
                code @ 4..=9 => code + 0x0f,
                _ => return None,
            },
            0x12..=0x1c => size,
            0x20..=0x22 => size - 6,
            0x32..=0x3a => size - 0x20,
            _ => return None,
        };
        let label = LABELS.get(usize::from(exponent - 0x12))?;
        Some(Capacity {
            bytes: 1 << exponent,
            label,
        })
    }
}
