use std::ops::Range;

use crate::Kind;

/// The most bytes of UTF-8 that the table holds of a name.
pub const MAX_NAME: usize = 16;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name (label), at most [`MAX_NAME`] bytes.
    pub name: String,
    /// Type and subtype.
    pub kind: Kind,
    /// First byte in flash.
    pub offset: u32,
    /// Number of bytes.
    pub size: u32,
    /// What it may be used for.
    pub flags: Flags,
}

impl Partition {
    /// First byte behind it. Beyond 4 GiB it does not fit into 32 bits.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// Its bytes in flash.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset.into()..self.end()
    }
}

/// The flags of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// Encrypted where flash encryption is on, although its kind would not be.
    pub const ENCRYPTED: Self = Self(1 << 0);
    /// Never written by the application.
    pub const READONLY: Self = Self(1 << 1);

    /// All that have names, in the order in which they are written.
    pub(crate) const NAMES: [(&str, Self); 2] =
        [("encrypted", Self::ENCRYPTED), ("readonly", Self::READONLY)];

    /// Whether all of these flags are set.
    #[must_use]
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and those.
    #[must_use]
    pub fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// Names of the flags that are set, colons between them.
    #[must_use]
    pub fn names(self) -> String {
        let set = Self::NAMES.iter().filter(|(_, flag)| self.contains(*flag));
        set.map(|(name, _)| *name).collect::<Vec<_>>().join(":")
    }

    /// The flags that have no names.
    #[must_use]
    pub fn unknown(self) -> u32 {
        Self::NAMES
            .iter()
            .fold(self.0, |bits, (_, flag)| bits & !flag.0)
    }
}
