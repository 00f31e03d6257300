//! The search for the entry that a text belongs to.

use std::collections::HashMap;
use std::sync::OnceLock;

use guru_chip::Chip;
use regex::bytes::{Captures, Regex};

use super::compiled::Compiled;
use super::entry::{Entry, EntryId, Fields, Found, Place};
use super::error::KnowledgeError;
use super::esp_err::error_name;
use super::family::Family;
use super::load::{self, File};
use super::matcher::Matcher;
use super::template::fill;

/// The key of codes that hold for every chip but the ESP8266.
const ALL_CHIPS: &str = "all";

/// What the build script has made of `knowledge/`.
const BUILTIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/knowledge.json"));

/// What is known about messages.
#[derive(Debug)]
pub struct Knowledge {
    entries: Vec<Entry>,
    by_id: HashMap<EntryId, usize>,
    /// In the order of [`Place::ALL`].
    matchers: Vec<Matcher>,
}

impl Knowledge {
    /// What the program knows. Reading it takes a few milliseconds, once.
    ///
    /// # Panics
    ///
    /// Never: a test reads the same data.
    pub fn builtin() -> &'static Self {
        static KNOWLEDGE: OnceLock<Knowledge> = OnceLock::new();
        KNOWLEDGE.get_or_init(|| {
            let compiled = serde_json::from_slice(BUILTIN).map_err(|error| error.to_string());
            let knowledge = compiled.and_then(Self::new);
            knowledge.unwrap_or_else(|error| unreachable!("the data was tested: {error}"))
        })
    }

    /// Reads one file of entries.
    ///
    /// # Errors
    ///
    /// [`KnowledgeError`] names the entry and the field.
    pub fn parse(text: &str) -> Result<Self, KnowledgeError> {
        let file = "knowledge";
        let compiled = load::files(&[File::new(file, text)])?;
        Self::new(compiled).map_err(|message| KnowledgeError::Syntax {
            file: file.to_owned(),
            message,
        })
    }

    fn new(compiled: Compiled) -> Result<Self, String> {
        let Compiled { entries, patterns } = compiled;
        let matchers = patterns
            .iter()
            .map(|of_place| Matcher::new(of_place, &entries));
        let matchers = matchers.collect::<Result<_, _>>()?;
        let ids = entries.iter().map(|entry| entry.id.clone());
        Ok(Self {
            by_id: ids.zip(0..).collect(),
            entries,
            matchers,
        })
    }

    /// All entries, in the order of the data.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry with this name.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.get(*self.by_id.get(id)?)
    }

    /// The first entry with a pattern that matches the text and that can come from such a chip.
    pub fn find(
        &self,
        place: Place,
        text: &str,
        family: Option<Family>,
        chip: Option<&Chip>,
    ) -> Option<Found<'_>> {
        self.find_bytes(place, text.as_bytes(), family, chip)
    }

    /// The same for bytes that need not be text.
    pub fn find_bytes(
        &self,
        place: Place,
        text: &[u8],
        family: Option<Family>,
        chip: Option<&Chip>,
    ) -> Option<Found<'_>> {
        let mut all = self.all(place, text);
        all.find(|found| found.entry.can_come_from(family, chip))
    }

    /// Every entry with a pattern that matches the text, the most special first.
    pub fn all<'k, 't>(
        &'k self,
        place: Place,
        text: &'t [u8],
    ) -> impl Iterator<Item = Found<'k>> + use<'k, 't> {
        self.matchers
            .get(place as usize)
            .into_iter()
            .flat_map(|matcher| matcher.matches(text))
            .filter_map(|(index, regex, captures)| {
                Some(Found {
                    entry: self.entries.get(index)?,
                    fields: fields(regex, &captures),
                })
            })
    }

    /// What a reset means: by the name that the ROM printed, else by the number, which means different
    /// things on different chips. Without a chip only a number that means the same on all of them is
    /// found.
    pub fn reset(&self, code: u8, name: &str, chip: Option<&Chip>) -> Option<Found<'_>> {
        self.named_or_numbered(Place::Reset, code, name, chip)
    }

    /// What a boot mode means: by the name that the ROM printed, else by the number (ESP8266).
    pub fn boot_mode(&self, code: u8, name: &str, chip: Option<&Chip>) -> Option<Found<'_>> {
        self.named_or_numbered(Place::BootMode, code, name, chip)
    }

    fn named_or_numbered(
        &self,
        place: Place,
        code: u8,
        name: &str,
        chip: Option<&Chip>,
    ) -> Option<Found<'_>> {
        let entry = self
            .find(place, name, None, chip)
            .map(|found| found.entry)
            .or_else(|| self.numbered(place, code, chip))?;
        let fields = Fields::from([
            ("code".to_owned(), format!("{code:#x}")),
            ("name".to_owned(), name.to_owned()),
        ]);
        Some(Found { entry, fields })
    }

    fn numbered(&self, place: Place, code: u8, chip: Option<&Chip>) -> Option<&Entry> {
        let has = |entry: &Entry, key: &str| {
            entry
                .codes
                .get(key)
                .is_some_and(|codes| codes.contains(&code))
        };
        let mut entries = self.entries.iter().filter(|entry| entry.place == place);
        let Some(chip) = chip else {
            let special = self.entries.iter().any(|entry| {
                entry.place == place
                    && entry
                        .codes
                        .iter()
                        .any(|(key, codes)| key != ALL_CHIPS && codes.contains(&code))
            });
            return entries.find(|entry| !special && has(entry, ALL_CHIPS));
        };
        let own = entries.clone().find(|entry| has(entry, chip.id));
        own.or_else(|| {
            let is_esp8266 = Family::from(chip) == Family::Esp8266;
            entries.find(|entry| !is_esp8266 && has(entry, ALL_CHIPS))
        })
    }

    /// What else is known by what stood in a message: an assertion by its expression, an error by its
    /// name, or by its number where the firmware does not know names.
    pub fn detail(
        &self,
        entry: &Entry,
        fields: &Fields,
        family: Option<Family>,
        chip: Option<&Chip>,
    ) -> Option<Found<'_>> {
        let rule = entry.detail.as_ref()?;
        let mut fields = fields.clone();
        if rule.place == Place::Error {
            name_error(&mut fields);
        }
        let mut found = self.find(rule.place, &fill(&rule.text, &fields), family, chip)?;
        fields.append(&mut found.fields);
        Some(Found { fields, ..found })
    }
}

/// Names the error of a firmware that prints only its number.
fn name_error(fields: &mut Fields) {
    let known = fields
        .get("name")
        .is_some_and(|name| name.starts_with("ESP_"));
    if known {
        return;
    }
    let code = fields.get("code").and_then(|code| {
        let digits = code.trim_start_matches("0x");
        u32::from_str_radix(digits, 16).ok()
    });
    if let Some(name) = code.and_then(error_name) {
        fields.insert("name".to_owned(), name.to_owned());
    }
}

fn fields(regex: &Regex, captures: &Captures<'_>) -> Fields {
    regex
        .capture_names()
        .flatten()
        .filter_map(|name| {
            let value = captures.name(name)?.as_bytes();
            Some((
                name.to_owned(),
                String::from_utf8_lossy(value).trim().to_owned(),
            ))
        })
        .collect()
}
