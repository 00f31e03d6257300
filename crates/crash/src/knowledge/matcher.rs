//! Many regular expressions at once, at the price of one search for fixed texts.
//!
//! Each pattern must have a fixed text in it. One automaton looks for all of these in a single pass; only
//! the few patterns whose text is there are tried, and only those are ever compiled. A line that belongs
//! to no entry costs that one pass, and loading costs no compilation.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::bytes::{Captures, Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

/// Bytes of a text that are looked at: no message is longer.
pub(super) const TEXT_LIMIT: usize = 4096;

/// Bytes that a compiled pattern may take.
const SIZE_LIMIT: usize = 1 << 20;

/// Fixed texts shorter than this would let every line through.
const MIN_NEEDLE: usize = 3;

/// Fixed texts that one pattern may have: an alternative each.
const MAX_NEEDLES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Builder {
    patterns: Vec<Pattern>,
    needles: Vec<Vec<u8>>,
    owners: Vec<usize>,
}

impl Builder {
    /// Takes a pattern of the entry with this index; gives back the names of its groups.
    pub(super) fn add(&mut self, entry: usize, source: &str) -> Result<Vec<String>, String> {
        let hir = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .unicode(false)
            .nest_limit(50)
            .build()
            .parse(source)
            .map_err(|error| format!("pattern '{source}': {error}"))?;
        let needles = needles(&hir)
            .filter(|needles| shortest(needles) >= MIN_NEEDLE)
            .ok_or_else(|| {
                format!("pattern '{source}' has no fixed text of {MIN_NEEDLE} letters")
            })?;
        for needle in needles {
            self.needles.push(needle);
            self.owners.push(self.patterns.len());
        }
        self.patterns.push(Pattern {
            entry,
            source: source.to_owned(),
            regex: OnceLock::new(),
        });
        let mut names = Vec::new();
        group_names(&hir, &mut names);
        Ok(names)
    }

    pub(super) fn build(self) -> Result<Matcher, String> {
        // Made in a tenth of the time of the fastest kind, and fast enough for a console.
        let finder = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&self.needles)
            .map_err(|error| error.to_string())?;
        Ok(Matcher {
            finder,
            owners: self.owners,
            patterns: self.patterns,
        })
    }
}

#[derive(Debug)]
pub(super) struct Matcher {
    finder: AhoCorasick,
    /// The pattern of each fixed text.
    owners: Vec<usize>,
    patterns: Vec<Pattern>,
}

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

/// Fixed texts of which each match has one; `None` where there are none.
fn needles(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => needles(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => needles(&repetition.sub),
        HirKind::Concat(parts) => parts
            .iter()
            .filter_map(needles)
            .max_by_key(|needles| shortest(needles)),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(needles(part)?);
                if all.len() > MAX_NEEDLES {
                    return None;
                }
            }
            Some(all)
        }
        _ => None,
    }
}

fn shortest(needles: &[Vec<u8>]) -> usize {
    needles.iter().map(Vec::len).min().unwrap_or(0)
}

fn group_names(hir: &Hir, names: &mut Vec<String>) {
    match hir.kind() {
        HirKind::Capture(capture) => {
            names.extend(capture.name.as_deref().map(str::to_owned));
            group_names(&capture.sub, names);
        }
        HirKind::Repetition(repetition) => group_names(&repetition.sub, names),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            for part in parts {
                group_names(part, names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(patterns: &[&str], text: &str) -> Vec<usize> {
        let mut builder = Builder::default();
        for (entry, pattern) in patterns.iter().enumerate() {
            builder.add(entry, pattern).expect(pattern);
        }
        let matcher = builder.build().expect("an automaton");
        matcher
            .matches(text.as_bytes())
            .map(|(entry, ..)| entry)
            .collect()
    }

    #[test]
    fn patterns_match_in_the_order_of_the_data() {
        let patterns = ["^abort", r"PC 0x(?P<pc>[0-9a-f]+)", "(?:one|two) core"];
        assert_eq!(found(&patterns, "abort() was called at PC 0x400"), [0, 1]);
        assert_eq!(found(&patterns, "two core"), [2]);
        assert!(found(&patterns, "no abort").is_empty());
    }

    #[test]
    fn a_pattern_without_a_fixed_text_is_refused() {
        for pattern in [
            "[a-z]+",
            "(?i)abort",
            "ab",
            "abc|[0-9]",
            "(?:abcd)*",
            "(unclosed",
        ] {
            assert!(Builder::default().add(0, pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_disturb() {
        let mut builder = Builder::default();
        builder.add(0, "core [^ ]+ died").expect("a pattern");
        let matcher = builder.build().expect("an automaton");
        assert_eq!(matcher.matches(b"\xFFcore \xFE\x80 died").count(), 1);
    }
}
