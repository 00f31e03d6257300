//! Numbers whose bits lie in several runs.

use crate::model::{Bits, EfuseField, Field};
use crate::words::{Words, WordsError};

/// How many bits runs have together.
fn width(runs: &[Bits]) -> u32 {
    runs.iter().map(|run| u32::from(run.width)).sum()
}

/// The number that runs make together, the least significant first.
fn join(runs: &[Bits], words: Words<'_>) -> Result<u32, WordsError> {
    let (mut value, mut shift) = (0, 0_u32);
    for run in runs {
        value |= run.read(words)?.checked_shl(shift).unwrap_or(0);
        shift += u32::from(run.width);
    }
    Ok(value)
}

/// Each run with its piece of a number; `None`: the number has more bits than they.
fn split(runs: &'static [Bits], value: u32) -> Option<impl Iterator<Item = (Bits, u32)>> {
    let rest = value.checked_shr(width(runs)).unwrap_or(0);
    let mut shift = 0_u32;
    (rest == 0).then(|| {
        runs.iter().map(move |run| {
            let piece = value.checked_shr(shift).unwrap_or(0) & run.ones();
            shift += u32::from(run.width);
            (*run, piece)
        })
    })
}

impl Field {
    /// Number of its bits.
    #[must_use]
    pub fn width(&self) -> u32 {
        width(self.parts)
    }

    /// The raw value: the runs joined.
    pub(crate) fn raw(&self, words: Words<'_>) -> Result<u32, WordsError> {
        join(self.parts, words)
    }

    /// Each run with its piece of a raw value; `None`: it does not fit.
    pub fn split(&self, raw: u32) -> Option<impl Iterator<Item = (Bits, u32)>> {
        split(self.parts, raw)
    }
}

impl EfuseField {
    /// Number of its bits.
    #[must_use]
    pub fn width(&self) -> u32 {
        width(self.parts)
    }

    /// The field's value.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn read(&self, words: Words<'_>) -> Result<u32, WordsError> {
        join(self.parts, words)
    }

    /// Each run with its piece of a value; `None`: it does not fit.
    pub fn split(&self, value: u32) -> Option<impl Iterator<Item = (Bits, u32)>> {
        split(self.parts, value)
    }
}
