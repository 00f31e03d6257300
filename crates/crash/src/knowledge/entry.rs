//! One thing that is known.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use guru_chip::Chip;
use serde::{Deserialize, Serialize};

use super::family::Family;
use super::template::fill;

/// What stood in the message, by the names of the pattern's groups.
pub type Fields = BTreeMap<String, String>;

/// The name of an entry, such as `load-prohibited`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(Arc<str>);

impl EntryId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EntryId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl Borrow<str> for EntryId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for EntryId {
    fn eq(&self, id: &str) -> bool {
        &*self.0 == id
    }
}

impl PartialEq<&str> for EntryId {
    fn eq(&self, id: &&str) -> bool {
        &*self.0 == *id
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Where a text stands that patterns are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Between the brackets of `Guru Meditation Error: Core  0 panic'ed (...)`.
    Reason,
    /// Anywhere in a line.
    Line,
    /// The name or the number of a reset.
    Reset,
    /// The name of a boot mode.
    BootMode,
    /// `function expression` of an assertion that failed: tells more than the line alone.
    Assert,
    /// The name of an error code of ESP-IDF, such as `ESP_ERR_NVS_NO_FREE_PAGES`.
    Error,
    /// The type of a C++ exception that nobody caught.
    Exception,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Reason,
        Self::Line,
        Self::Reset,
        Self::BootMode,
        Self::Assert,
        Self::Error,
        Self::Exception,
    ];

    /// Fields that the message around the text brings along.
    pub(super) fn brings(self) -> &'static [&'static str] {
        match self {
            Self::Reason => &["core"],
            Self::Line => &[],
            Self::Reset | Self::BootMode => &["code", "name"],
            Self::Assert => &["function", "expression"],
            Self::Error => &["code", "name"],
            Self::Exception => &["type"],
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Says something that helps, or belongs to a report.
    Note,
    /// Worth a look; the program goes on.
    Warning,
    /// Something failed; the program may go on.
    Error,
    /// The program ends, or does not start.
    Fatal,
}

/// Why it may have happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// A sentence; may have places for fields.
    pub text: String,
    /// How likely it is without a look at the dump: more is likelier.
    #[serde(default)]
    pub rank: u8,
    /// What makes it likelier when the dump shows it.
    #[serde(default)]
    pub evidence: Vec<String>,
}

/// Where more is known about a message, by what stood in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetailRule {
    /// Which patterns to ask.
    #[serde(rename = "where")]
    pub place: Place,
    /// The text to ask them for, with places for fields.
    pub text: String,
}

/// What is known about a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// Where it can appear; empty: everywhere.
    pub families: Vec<Family>,
    /// The chips on which it can appear, by [`Chip::id`]; empty: all of the families.
    pub chips: Vec<String>,
    /// Where the patterns are looked for.
    pub place: Place,
    /// Regular expressions (crate `regex`, bytes); one of them matches. Named groups become fields.
    pub patterns: Vec<String>,
    /// Numbers of resets and boot modes, by [`Chip::id`] or `all` (all but the ESP8266).
    pub codes: BTreeMap<String, Vec<u8>>,
    /// How bad it is.
    pub severity: Severity,
    /// What happened, in one sentence with places for fields.
    pub title: String,
    /// What the message means.
    pub meaning: String,
    /// Why it may have happened, the likeliest first.
    pub causes: Vec<Cause>,
    /// What to look at next.
    pub check: Vec<String>,
    /// What helps; never empty.
    pub remedies: Vec<String>,
    /// Settings of the firmware that have to do with it.
    pub settings: Vec<String>,
    /// A public page that tells more.
    pub link: Option<String>,
    /// Where more is known.
    pub detail: Option<DetailRule>,
    /// Texts that the patterns match, where no list of messages has one.
    pub samples: Vec<String>,
}

impl Entry {
    /// What happened, with what stood in the message.
    pub fn title(&self, fields: &Fields) -> String {
        fill(&self.title, fields)
    }

    /// Whether the message can come from such a chip; what is not known excludes nothing.
    pub fn can_come_from(&self, family: Option<Family>, chip: Option<&Chip>) -> bool {
        match chip {
            Some(chip) if !self.chips.is_empty() => self.chips.iter().any(|id| id == chip.id),
            Some(chip) => self.is_for(Family::from(chip)),
            None => family.is_none_or(|family| self.is_for(family)),
        }
    }

    fn is_for(&self, family: Family) -> bool {
        self.families.is_empty() || self.families.contains(&family)
    }
}

/// An entry that a text belongs to, and what stood in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'k> {
    /// The entry.
    pub entry: &'k Entry,
    /// What stood in the text.
    pub fields: Fields,
}
