//! The seam to the knowledge base: the parser knows how reports are built, the data knows texts.

use std::collections::BTreeMap;

use guru_chip::Chip;

use crate::knowledge::{EntryId, Family, Found, Knowledge, Place, Severity};

/// A text that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The entry.
    pub entry: EntryId,
    /// How much it weighs.
    pub severity: Severity,
    /// What stood in the text, by the names of the pattern's groups.
    pub fields: BTreeMap<String, String>,
}

/// Knows texts. A family or chip that is not known yet excludes nothing.
pub trait Recognise {
    /// The entry for a line, or for what stands behind the log's tag in it.
    fn line(
        &self,
        text: &str,
        family: Option<Family>,
        chip: Option<&'static Chip>,
    ) -> Option<Known>;

    /// The entry for the reason in the brackets of a `Guru Meditation Error`.
    fn reason(
        &self,
        text: &str,
        family: Option<Family>,
        chip: Option<&'static Chip>,
    ) -> Option<Known>;

    /// The entry for a reset, by its number and by the name that the ROM printed, which may be empty.
    fn reset(&self, code: u8, name: &str, chip: Option<&'static Chip>) -> Option<EntryId>;

    /// The entry for a boot mode, by the strapping pins and by the name that the ROM printed.
    fn boot_mode(&self, straps: u16, name: &str, chip: Option<&'static Chip>) -> Option<EntryId>;
}

/// Knows nothing: what is left is what the parser reads by itself.
impl Recognise for () {
    fn line(&self, _: &str, _: Option<Family>, _: Option<&'static Chip>) -> Option<Known> {
        None
    }

    fn reason(&self, _: &str, _: Option<Family>, _: Option<&'static Chip>) -> Option<Known> {
        None
    }

    fn reset(&self, _: u8, _: &str, _: Option<&'static Chip>) -> Option<EntryId> {
        None
    }

    fn boot_mode(&self, _: u16, _: &str, _: Option<&'static Chip>) -> Option<EntryId> {
        None
    }
}

impl Recognise for Knowledge {
    fn line(
        &self,
        text: &str,
        family: Option<Family>,
        chip: Option<&'static Chip>,
    ) -> Option<Known> {
        self.find(Place::Line, text, family, chip).map(known)
    }

    fn reason(
        &self,
        text: &str,
        family: Option<Family>,
        chip: Option<&'static Chip>,
    ) -> Option<Known> {
        self.find(Place::Reason, text, family, chip).map(known)
    }

    fn reset(&self, code: u8, name: &str, chip: Option<&'static Chip>) -> Option<EntryId> {
        let found = Self::reset(self, code, name, chip)?;
        Some(found.entry.id.clone())
    }

    fn boot_mode(&self, straps: u16, name: &str, chip: Option<&'static Chip>) -> Option<EntryId> {
        let found = Self::boot_mode(self, u8::try_from(straps).ok()?, name, chip)?;
        Some(found.entry.id.clone())
    }
}

fn known(found: Found<'_>) -> Known {
    Known {
        entry: found.entry.id.clone(),
        severity: found.entry.severity,
        fields: found.fields,
    }
}
