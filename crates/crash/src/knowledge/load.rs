//! Reads and checks the data.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::compiled::{Compiled, Needle, Patterns, Source};
use super::entry::{Cause, DetailRule, Entry, EntryId, Place, Severity};
use super::error::KnowledgeError;
use super::family::Family;
use super::needles::Pattern;
use super::template::places;

/// A file of entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'t> {
    name: &'t str,
    text: &'t str,
}

impl<'t> File<'t> {
    pub(super) const fn new(name: &'t str, text: &'t str) -> Self {
        Self { name, text }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    entry: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    id: String,
    #[serde(default)]
    families: Vec<Family>,
    #[serde(default)]
    chips: Vec<String>,
    #[serde(rename = "where")]
    place: Place,
    #[serde(default)]
    patterns: Vec<String>,
    #[serde(default)]
    codes: BTreeMap<String, Vec<u8>>,
    severity: Severity,
    title: String,
    meaning: String,
    #[serde(default)]
    causes: Vec<Cause>,
    #[serde(default)]
    check: Vec<String>,
    remedies: Vec<String>,
    #[serde(default)]
    settings: Vec<String>,
    link: Option<String>,
    detail: Option<DetailRule>,
    #[serde(default)]
    samples: Vec<String>,
}

/// Reads files, in the order in which their entries are asked.
pub(super) fn files(files: &[File<'_>]) -> Result<Compiled, KnowledgeError> {
    let mut entries = Vec::new();
    let mut ids = BTreeSet::new();
    let mut patterns: Vec<Patterns> = Place::ALL.iter().map(|_| Patterns::default()).collect();
    for file in files {
        let raw: RawFile = toml::from_str(file.text).map_err(|error| KnowledgeError::Syntax {
            file: file.name.to_owned(),
            message: error.to_string(),
        })?;
        for raw in raw.entry {
            let fault = Fault {
                file: file.name,
                entry: raw.id.clone(),
            };
            let groups = match patterns.get_mut(raw.place as usize) {
                Some(of_place) => add_patterns(of_place, entries.len(), &raw.patterns)
                    .map_err(|problem| fault.in_field("patterns", problem))?,
                None => BTreeSet::new(),
            };
            check(&raw, &groups).map_err(|(field, problem)| fault.in_field(field, problem))?;
            if !ids.insert(raw.id.clone()) {
                return Err(fault.in_field("id", "another entry has it".to_owned()));
            }
            entries.push(entry(raw));
        }
    }
    Ok(Compiled { entries, patterns })
}

/// Where an error is.
struct Fault<'f> {
    file: &'f str,
    entry: String,
}

impl Fault<'_> {
    fn in_field(&self, field: &'static str, problem: String) -> KnowledgeError {
        KnowledgeError::Field {
            file: self.file.to_owned(),
            entry: self.entry.clone(),
            field,
            problem,
        }
    }
}

/// Adds the patterns of an entry. The names of all groups.
fn add_patterns(
    patterns: &mut Patterns,
    entry: usize,
    sources: &[String],
) -> Result<BTreeSet<String>, String> {
    let mut groups = BTreeSet::new();
    for (number, source) in sources.iter().enumerate() {
        let pattern = Pattern::read(source)?;
        let owner = patterns.sources.len();
        let needles = pattern.needles.into_iter();
        patterns
            .needles
            .extend(needles.map(|text| Needle { text, owner }));
        patterns.sources.push(Source {
            entry,
            pattern: number,
        });
        groups.extend(pattern.groups);
    }
    Ok(groups)
}

fn check(raw: &RawEntry, groups: &BTreeSet<String>) -> Result<(), (&'static str, String)> {
    let kebab = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !kebab(&raw.id) {
        return Err(("id", "only a-z, 0-9 and '-'".to_owned()));
    }
    if raw.patterns.is_empty() && raw.codes.is_empty() {
        return Err((
            "patterns",
            "no text and no code leads to the entry".to_owned(),
        ));
    }
    if !raw.codes.is_empty() && !matches!(raw.place, Place::Reset | Place::BootMode) {
        return Err((
            "codes",
            "only resets and boot modes have numbers".to_owned(),
        ));
    }
    for chip in raw.chips.iter().chain(raw.codes.keys()) {
        if chip != "all" && guru_chip::by_id(chip).is_none() {
            return Err(("chips", format!("no chip is called '{chip}'")));
        }
    }
    for (field, texts) in [("check", &raw.check), ("remedies", &raw.remedies)] {
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err((field, "an empty sentence".to_owned()));
        }
    }
    if raw.remedies.is_empty() {
        return Err(("remedies", "what helps must be said".to_owned()));
    }
    for (field, text) in [("title", &raw.title), ("meaning", &raw.meaning)] {
        if text.trim().is_empty() {
            return Err((field, "must not be empty".to_owned()));
        }
    }
    if let Some(setting) = raw
        .settings
        .iter()
        .find(|setting| !setting.starts_with("CONFIG_"))
    {
        return Err((
            "settings",
            format!("'{setting}' is none: they start with CONFIG_"),
        ));
    }
    if let Some(link) = raw
        .link
        .as_ref()
        .filter(|link| !link.starts_with("https://"))
    {
        return Err(("link", format!("'{link}' is no https address")));
    }
    let causes = raw.causes.iter();
    if causes.clone().any(|cause| cause.text.trim().is_empty()) {
        return Err(("causes", "an empty sentence".to_owned()));
    }
    let sentences = [("title", &raw.title), ("meaning", &raw.meaning)]
        .into_iter()
        .chain(causes.map(|cause| ("causes", &cause.text)))
        .chain(raw.detail.iter().map(|rule| ("detail", &rule.text)))
        .chain(raw.check.iter().map(|text| ("check", text)))
        .chain(raw.remedies.iter().map(|text| ("remedies", text)));
    for (field, sentence) in sentences {
        let brought = raw.place.brings();
        if let Some(name) =
            places(sentence).find(|name| !groups.contains(*name) && !brought.contains(name))
        {
            return Err((field, format!("no pattern has a group '{name}'")));
        }
    }
    Ok(())
}

fn entry(raw: RawEntry) -> Entry {
    let mut causes = raw.causes;
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.rank));
    Entry {
        id: EntryId::from(raw.id.as_str()),
        families: raw.families,
        chips: raw.chips,
        place: raw.place,
        patterns: raw.patterns,
        codes: raw.codes,
        severity: raw.severity,
        title: raw.title,
        meaning: raw.meaning,
        causes,
        check: raw.check,
        remedies: raw.remedies,
        settings: raw.settings,
        link: raw.link,
        detail: raw.detail,
        samples: raw.samples,
    }
}
