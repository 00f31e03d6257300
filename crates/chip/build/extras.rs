//! The data files that are not about one chip: `known.toml`, `adapters.toml`, `hints.toml`.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

use super::schema::Chip;

/// The checked contents of the three files.
pub struct Extras {
    pub known: Vec<Known>,
    pub adapters: Vec<Adapter>,
    pub hints: Vec<Hint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownFile {
    known: Vec<Known>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdaptersFile {
    adapter: Vec<Adapter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HintsFile {
    hint: Vec<Hint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    pub chip_id: u16,
    pub chip: String,
    pub name: String,
    #[serde(default)]
    pub dropped: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    pub vendor: u16,
    /// Absent: any product of the vendor.
    pub product: Option<u16>,
    pub name: String,
    /// Absent: the line has no baud rate (USB inside the chip).
    pub max_baud: Option<u32>,
    #[serde(default)]
    pub lines_flow_control: bool,
    #[serde(default)]
    pub note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    pub id: String,
    pub symptom: String,
    pub cause: String,
    pub remedy: String,
    #[serde(default)]
    pub link: String,
}

/// Reads and checks the three files; `chips` are the entries of this version.
pub fn read(dir: &Path, chips: &[(String, Chip)]) -> Result<Extras, Vec<String>> {
    let mut known = super::read::<KnownFile>(&dir.join("known.toml"))?.known;
    let mut adapters = super::read::<AdaptersFile>(&dir.join("adapters.toml"))?.adapter;
    let mut hints = super::read::<HintsFile>(&dir.join("hints.toml"))?.hint;

    let mut problems = check_known(&known, chips);
    problems.extend(check_adapters(&adapters));
    problems.extend(check_hints(&hints));
    if !problems.is_empty() {
        return Err(problems);
    }
    known.sort_by_key(|k| k.chip_id);
    adapters.sort_by_key(|a| (a.vendor, a.product.is_none(), a.product));
    hints.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Extras {
        known,
        adapters,
        hints,
    })
}

fn check_known(known: &[Known], chips: &[(String, Chip)]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for entry in known {
        if !ids.insert(entry.chip_id) {
            problems.push(format!(
                "chips/known.toml: chip_id {} occurs twice",
                entry.chip_id
            ));
        }
    }
    for (id, chip) in chips {
        let Some(chip_id) = chip.image.chip_id else {
            continue;
        };
        let listed = known
            .iter()
            .any(|k| k.chip_id == chip_id && k.chip == *id && k.name == chip.name && !k.dropped);
        if !listed {
            problems.push(format!(
                "chips/known.toml: no entry with chip_id {chip_id}, chip \"{id}\" and name \"{}\"",
                chip.name
            ));
        }
    }
    problems
}

fn check_adapters(adapters: &[Adapter]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for adapter in adapters {
        let mut fail = |what: &str| {
            problems.push(format!("chips/adapters.toml: {}: {what}", adapter.name));
        };
        if !seen.insert((adapter.vendor, adapter.product)) {
            fail("vendor and product occur twice");
        }
        if adapter.max_baud.is_some_and(|baud| baud < 115_200) {
            fail("max_baud is below 115200");
        }
        if adapter.name.is_empty() {
            fail("name is empty");
        }
    }
    problems
}

fn check_hints(hints: &[Hint]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for hint in hints {
        let mut fail = |what: &str| problems.push(format!("chips/hints.toml: {}: {what}", hint.id));
        if !seen.insert(&hint.id) {
            fail("occurs twice");
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !hint.id.contains('.') || !hint.id.chars().all(plain) {
            fail("an id is AREA.NAME in small letters");
        }
        if hint.symptom.is_empty() || hint.cause.is_empty() || hint.remedy.is_empty() {
            fail("symptom, cause and remedy must be given");
        }
        if !hint.link.is_empty() && !hint.link.starts_with("https://") {
            fail("a link begins with https://");
        }
    }
    problems
}
