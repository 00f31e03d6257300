//! The knowledge base beside the list of what ESP-IDF and the ROMs print (`data/messages.toml`, written
//! by `cargo xtask messages`): nothing in the list may be unknown, unexplained or without a remedy.

use std::collections::{BTreeMap, BTreeSet};

use guru_chip::Chip;
use guru_crash::explain::Evidence;
use guru_crash::knowledge::{Family, Knowledge, KnowledgeError, Place, Severity, esp_errors};
use regex::bytes::RegexBuilder;
use serde::Deserialize;

const LIST: &str = include_str!("../data/messages.toml");

/// A log in which nothing is wrong.
const HEALTHY: &str = include_str!("data/healthy.txt");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    message: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Message {
    kind: Kind,
    /// The printf format.
    text: String,
    /// Of a log line.
    tag: Option<String>,
    code: Option<u8>,
    /// Chips and families; empty: all.
    #[serde(default)]
    scope: Vec<String>,
    from: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Reason,
    Line,
    Reset,
    ResetCode,
    BootMode,
}

fn list() -> Vec<Message> {
    let list: List = toml::from_str(LIST).expect("the list");
    list.message
}

impl Message {
    /// As a chip prints it.
    fn sample(&self) -> String {
        let text = filled(&self.text);
        match &self.tag {
            Some(tag) => format!("E (1234) {tag}: {text}"),
            None => text,
        }
    }

    fn place(&self) -> Place {
        match self.kind {
            Kind::Reason => Place::Reason,
            Kind::Line => Place::Line,
            Kind::Reset | Kind::ResetCode => Place::Reset,
            Kind::BootMode => Place::BootMode,
        }
    }

    /// The chips and families from which it comes.
    fn sources(&self) -> Vec<(Option<Family>, Option<&'static Chip>)> {
        let mut sources: Vec<_> = self
            .scope
            .iter()
            .map(|scope| match scope.as_str() {
                "xtensa" => (Some(Family::Xtensa), None),
                "riscv" => (Some(Family::RiscV), None),
                id => (None, Some(guru_chip::by_id(id).expect(id))),
            })
            .collect();
        if sources.is_empty() {
            sources.push((None, None));
        }
        sources
    }
}

/// A printf format with values in it.
fn filled(format: &str) -> String {
    let mut text = String::new();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let mut wide = false;
        loop {
            match letters.next() {
                Some('d' | 'u' | 'i') => text.push('7'),
                Some('x' | 'X') if wide => text.push_str("4200a1b2"),
                Some('x' | 'X') => text.push_str("1f"),
                Some('p') => text.push_str("0x3fc91a40"),
                Some('s') if text.ends_with("0x") => text.push_str("4200a1b2"),
                Some('s') => text.push_str("name"),
                Some('c') => text.push('c'),
                Some('%') => text.push('%'),
                Some('8') => {
                    wide = true;
                    continue;
                }
                Some('0'..='9' | '.' | '-' | 'l' | 'h' | 'z' | '#') => continue,
                other => text.extend(other),
            }
            break;
        }
    }
    text
}

#[test]
fn every_message_is_recognised_explained_and_has_a_remedy() {
    let knowledge = Knowledge::builtin();
    let mut faults = Vec::new();
    let list = list();
    assert!(list.len() > 400, "the list is cut: {}", list.len());
    for message in list
        .iter()
        .filter(|message| message.kind != Kind::ResetCode)
    {
        let sample = message.sample();
        assert!(!message.from.is_empty(), "{sample}: from where?");
        for (family, chip) in message.sources() {
            match knowledge.find(message.place(), &sample, family, chip) {
                None => faults.push(format!("{sample:?} ({})", message.from[0])),
                Some(found) => {
                    let entry = found.entry;
                    assert!(
                        !entry.meaning.is_empty() && !entry.remedies.is_empty(),
                        "{}",
                        entry.id
                    );
                    assert!(!entry.title(&found.fields).is_empty(), "{}", entry.id);
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} are not known:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn every_reset_of_every_chip_has_a_meaning() {
    let knowledge = Knowledge::builtin();
    let mut chips = BTreeSet::new();
    let mut faults = Vec::new();
    for message in list()
        .iter()
        .filter(|message| message.kind == Kind::ResetCode)
    {
        let code = message.code.expect("a code");
        for (_, chip) in message.sources() {
            let chip = chip.expect("a chip");
            chips.insert(chip.id);
            if knowledge.reset(code, "", Some(chip)).is_none() {
                faults.push(format!("{} {code:#x} {}", chip.id, message.text));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(chips.len() >= 13, "{chips:?}");
}

#[test]
fn a_number_means_different_things_on_different_chips() {
    let knowledge = Knowledge::builtin();
    let meaning = |code, chip| {
        let found = knowledge.reset(code, "", guru_chip::by_id(chip));
        found.map(|found| found.entry.id.to_string())
    };
    assert_eq!(meaning(0x13, "esp32c3").as_deref(), Some("reset-glitch"));
    assert_eq!(
        meaning(0x13, "esp32p4").as_deref(),
        Some("reset-power-glitch")
    );
    assert_eq!(meaning(0x17, "esp32p4").as_deref(), Some("reset-usb"));
    assert_eq!(
        meaning(0x17, "esp32c3").as_deref(),
        Some("reset-power-glitch")
    );
    assert_eq!(meaning(0x06, "esp32").as_deref(), Some("reset-sdio"));
    assert_eq!(
        meaning(0x06, "esp32s31").as_deref(),
        Some("reset-deep-sleep")
    );
    assert_eq!(
        meaning(0x04, "esp8266").as_deref(),
        Some("reset-esp8266-watchdog")
    );
    assert!(
        knowledge.reset(0x13, "", None).is_none(),
        "the chip is not known"
    );
    assert!(
        knowledge.reset(0x0c, "", None).is_some(),
        "the same on all chips"
    );
    let named = knowledge.reset(0x13, "BROWNOUT_RST", None).expect("a name");
    assert_eq!(
        named.entry.id, "reset-brownout",
        "what the ROM printed counts"
    );
}

/// A text, and from where it can come.
type Sample = (String, Option<Family>, Option<&'static Chip>);

/// The texts of each place.
fn samples() -> BTreeMap<Place, Vec<Sample>> {
    let mut samples: BTreeMap<Place, Vec<_>> = BTreeMap::new();
    for message in list()
        .iter()
        .filter(|message| message.kind != Kind::ResetCode)
    {
        for (family, chip) in message.sources() {
            samples
                .entry(message.place())
                .or_default()
                .push((message.sample(), family, chip));
        }
    }
    for entry in Knowledge::builtin().entries() {
        let family = entry.families.first().copied();
        for sample in &entry.samples {
            samples
                .entry(entry.place)
                .or_default()
                .push((sample.clone(), family, None));
        }
    }
    for error in esp_errors() {
        let texts = samples.entry(Place::Error).or_default();
        texts.push((error.name.to_owned(), None, None));
    }
    samples
}

#[test]
fn every_entry_is_found_and_every_sample_finds_its_own() {
    let knowledge = Knowledge::builtin();
    let mut found_ids = BTreeSet::new();
    for (place, texts) in samples() {
        for (text, family, chip) in texts {
            if let Some(found) = knowledge.find(place, &text, family, chip) {
                found_ids.insert(found.entry.id.to_string());
            }
        }
    }
    let mut faults = Vec::new();
    for entry in knowledge.entries() {
        if !entry.patterns.is_empty() && !found_ids.contains(entry.id.as_str()) {
            faults.push(format!("{}: nothing leads to it", entry.id));
        }
        let family = entry.families.first().copied();
        for sample in &entry.samples {
            let found = knowledge.find(entry.place, sample, family, None);
            let found = found.map(|found| found.entry.id.to_string());
            if found.as_deref() != Some(entry.id.as_str()) {
                faults.push(format!("{}: '{sample}' leads to {found:?}", entry.id));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_entry_has_a_remedy_a_link_and_evidence_that_can_be_seen() {
    let mut faults = Vec::new();
    for entry in Knowledge::builtin().entries() {
        for name in entry.causes.iter().flat_map(|cause| &cause.evidence) {
            if let Err(error) = name.parse::<Evidence>() {
                faults.push(format!("{}: {error}", entry.id));
            }
        }
        if entry.remedies.is_empty() || entry.link.is_none() {
            faults.push(format!("{}: no remedy or no link", entry.id));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_pattern_matches_a_text_that_is_known() {
    let samples = samples();
    let mut faults = Vec::new();
    for entry in Knowledge::builtin().entries() {
        let texts = samples.get(&entry.place).map_or(&[][..], Vec::as_slice);
        for pattern in &entry.patterns {
            let regex = RegexBuilder::new(pattern).unicode(false).build();
            let regex = regex.unwrap_or_else(|error| panic!("{}: {error}", entry.id));
            if !texts
                .iter()
                .any(|(text, ..)| regex.is_match(text.as_bytes()))
            {
                faults.push(format!("{}: '{pattern}'", entry.id));
            }
        }
    }
    assert!(faults.is_empty(), "no text for\n{}", faults.join("\n"));
}

#[test]
fn ordinary_lines_raise_no_alarm() {
    let knowledge = Knowledge::builtin();
    for line in HEALTHY.lines() {
        for found in knowledge.all(Place::Line, line.as_bytes()) {
            let entry = found.entry;
            assert!(
                entry.severity == Severity::Note,
                "'{line}' is taken for {}",
                entry.id
            );
        }
    }
}

#[test]
fn error_codes_without_names_are_explained() {
    let knowledge = Knowledge::builtin();
    let line = "ESP_ERROR_CHECK failed: esp_err_t 0x110d at 0x400d1234";
    let found = knowledge
        .find(Place::Line, line, None, None)
        .expect("the line");
    assert_eq!(found.entry.id, "esp-error-check");
    let detail = knowledge
        .detail(found.entry, &found.fields, None, None)
        .expect("the error");
    assert_eq!(detail.entry.id, "err-nvs-pages");
    assert!(
        detail
            .entry
            .title(&detail.fields)
            .contains("ESP_ERR_NVS_NO_FREE_PAGES")
    );
    for error in esp_errors() {
        assert!(
            knowledge
                .find(Place::Error, error.name, None, None)
                .is_some(),
            "{}",
            error.name
        );
    }
}

#[test]
fn assertions_are_told_apart_by_their_expression() {
    let knowledge = Knowledge::builtin();
    let line = "assert failed: xQueueSemaphoreTake queue.c:1709 (( pxQueue ))";
    let found = knowledge
        .find(Place::Line, line, None, None)
        .expect("the line");
    assert_eq!(found.fields["function"], "xQueueSemaphoreTake");
    assert_eq!(found.fields["line"], "1709");
    assert_eq!(found.fields["expression"], "( pxQueue )");
    let detail = knowledge.detail(found.entry, &found.fields, None, None);
    let detail = detail.expect("the assertion");
    assert_eq!(detail.entry.id, "assert-queue-null");
}

#[test]
fn a_cut_line_of_the_brownout_detector_is_recognised() {
    let knowledge = Knowledge::builtin();
    let whole = "Brownout detector was triggered";
    for length in "Brownout det".len()..=whole.len() {
        let line = &whole[..length];
        let found = knowledge.find(Place::Line, line, None, None).expect(line);
        assert_eq!(found.entry.id, "brownout");
    }
}

const ENTRY: &str = r#"
[[entry]]
id = "x"
where = "line"
patterns = ['abcd (?P<task>\w+)']
severity = "note"
title = "Task {task}."
meaning = "m"
remedies = ["r"]
"#;

#[test]
fn what_is_wrong_in_the_data_is_named_with_entry_and_field() {
    assert!(Knowledge::parse(ENTRY).is_ok());
    for (from, to, names) in [
        ("id = \"x\"", "id = \"X\"", "'id'"),
        ("{task}", "{tusk}", "'title'"),
        ("remedies = [\"r\"]", "remedies = []", "'remedies'"),
        ("abcd (?P<task>", "(?P<task>", "'patterns'"),
        ("meaning = \"m\"", "meaning = \" \"", "'meaning'"),
        ("severity = \"note\"", "severity = \"bad\"", "severity"),
        (
            "severity = \"note\"",
            "severity = \"note\"\ndetail = { where = \"error\", text = \"{name}\" }",
            "'detail'",
        ),
        (
            "severity = \"note\"",
            "severity = \"note\"\ncolour = 1",
            "colour",
        ),
        (
            "severity = \"note\"",
            "severity = \"note\"\nchips = [\"esp33\"]",
            "'chips'",
        ),
        (
            "severity = \"note\"",
            "severity = \"note\"\ncodes = { all = [1] }",
            "'codes'",
        ),
        (
            "severity = \"note\"",
            "severity = \"note\"\nlink = \"http://x\"",
            "'link'",
        ),
        (
            "severity = \"note\"",
            "severity = \"note\"\nsettings = [\"X\"]",
            "'settings'",
        ),
    ] {
        let error = Knowledge::parse(&ENTRY.replace(from, to)).expect_err(to);
        let text = error.to_string();
        assert!(text.contains(names), "{text}");
        assert!(
            matches!(error, KnowledgeError::Syntax { .. }) || text.contains("entry"),
            "{text}"
        );
    }
    let twice = format!("{ENTRY}{ENTRY}");
    assert!(Knowledge::parse(&twice).is_err(), "the same id twice");
}
