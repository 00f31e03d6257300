//! Many regular expressions at once, at the price of one search for fixed texts.
//!
//! Each pattern must have a fixed text in it. One automaton looks for all of these in a single pass; only
//! the few patterns whose text is there are tried, and only those are ever compiled. A line that belongs
//! to no entry costs that one pass.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::bytes::{Captures, Regex, RegexBuilder};

use super::compiled::Patterns;
use super::entry::Entry;

/// Bytes of a text that are looked at: no message is longer.
pub(super) const TEXT_LIMIT: usize = 4096;

/// Bytes that a compiled pattern may take.
const SIZE_LIMIT: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Matcher {
    finder: AhoCorasick,
    /// The pattern of each fixed text.
    owners: Vec<usize>,
    patterns: Vec<Pattern>,
}

/// A pattern of the entry with this index.
#[derive(Debug)]
struct Pattern {
    entry: usize,
    source: String,
    /// `None`: it takes more room than it may.
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn regex(&self) -> Option<&Regex> {
        self.regex
            .get_or_init(|| {
                RegexBuilder::new(&self.source)
                    .unicode(false)
                    .size_limit(SIZE_LIMIT)
                    .build()
                    .ok()
            })
            .as_ref()
    }
}

impl Matcher {
    pub(super) fn new(patterns: &Patterns, entries: &[Entry]) -> Result<Self, String> {
        // Made in a tenth of the time of the fastest kind, and fast enough for a console.
        let finder = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(patterns.needles.iter().map(|needle| &needle.text))
            .map_err(|error| error.to_string())?;
        let sources = patterns.sources.iter().map(|source| {
            let entry = entries.get(source.entry);
            let pattern = entry.and_then(|entry| entry.patterns.get(source.pattern));
            Pattern {
                entry: source.entry,
                source: pattern.cloned().unwrap_or_default(),
                regex: OnceLock::new(),
            }
        });
        Ok(Self {
            finder,
            owners: patterns.needles.iter().map(|needle| needle.owner).collect(),
            patterns: sources.collect(),
        })
    }

    /// The entries whose patterns match, in the order of the data.
    pub(super) fn matches<'t>(
        &self,
        text: &'t [u8],
    ) -> impl Iterator<Item = (usize, &Regex, Captures<'t>)> {
        let text = text.get(..TEXT_LIMIT).unwrap_or(text);
        let mut candidates: Vec<usize> = self
            .finder
            .find_overlapping_iter(text)
            .filter_map(|found| self.owners.get(found.pattern().as_usize()).copied())
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().filter_map(move |index| {
            let pattern = self.patterns.get(index)?;
            let regex = pattern.regex()?;
            Some((pattern.entry, regex, regex.captures(text)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Place;
    use super::super::search::Knowledge;

    /// The entries that a text belongs to, of one with each pattern.
    fn found(patterns: &[&str], text: &[u8]) -> Vec<String> {
        let entry = |(number, pattern)| {
            format!(
                "[[entry]]\nid = \"e{number}\"\nwhere = \"line\"\npatterns = ['{pattern}']\n\
                 severity = \"note\"\ntitle = \"t\"\nmeaning = \"m\"\nremedies = [\"r\"]\n"
            )
        };
        let data: String = patterns.iter().enumerate().map(entry).collect();
        let knowledge = Knowledge::parse(&data).expect("it is right");
        let found = knowledge.all(Place::Line, text);
        found.map(|found| found.entry.id.to_string()).collect()
    }

    #[test]
    fn patterns_match_in_the_order_of_the_data() {
        let patterns = ["^abort", r"PC 0x(?P<pc>[0-9a-f]+)", "(?:one|two) core"];
        assert_eq!(
            found(&patterns, b"abort() was called at PC 0x400"),
            ["e0", "e1"]
        );
        assert_eq!(found(&patterns, b"two core"), ["e2"]);
        assert!(found(&patterns, b"no abort").is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_do_not_disturb() {
        assert_eq!(
            found(&["core [^ ]+ died"], b"\xFFcore \xFE\x80 died"),
            ["e0"]
        );
    }
}
