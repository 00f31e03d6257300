//! The data as the program carries them: read, checked and looked through when it is built.

use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// What the files say.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Compiled {
    /// In the order of the data.
    pub entries: Vec<Entry>,
    /// In the order of [`Place::ALL`](super::entry::Place::ALL).
    pub patterns: Vec<Patterns>,
}

/// The patterns for one place.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Patterns {
    /// In the order of the data.
    pub sources: Vec<Source>,
    /// The fixed texts by which they are found.
    pub needles: Vec<Needle>,
}

/// Where a pattern stands.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Source {
    /// Index of the entry.
    pub entry: usize,
    /// Index in [`Entry::patterns`].
    pub pattern: usize,
}

/// A fixed text; each match of its pattern has one of the pattern's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Needle {
    /// Its bytes.
    pub text: Vec<u8>,
    /// Index in [`Patterns::sources`].
    pub owner: usize,
}
