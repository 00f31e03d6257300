//! The fixed texts in patterns, by which they are found.

use regex_syntax::hir::{Hir, HirKind};

/// Fixed texts shorter than this would let every line through.
const MIN_NEEDLE: usize = 3;

/// Fixed texts that one pattern may have: an alternative each.
const MAX_NEEDLES: usize = 64;

/// What is to be known of a pattern before it is compiled.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Fixed texts of which each match has one.
    pub needles: Vec<Vec<u8>>,
    /// The names of its groups.
    pub groups: Vec<String>,
}

impl Pattern {
    /// Reads a regular expression.
    pub(super) fn read(source: &str) -> Result<Self, String> {
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
        let mut groups = Vec::new();
        group_names(&hir, &mut groups);
        Ok(Self { needles, groups })
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
            assert!(Pattern::read(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn alternatives_have_a_fixed_text_each() {
        let pattern = Pattern::read("PC (?P<pc>[0-9a-f]+) (?:one|three)").expect("a pattern");
        assert_eq!(pattern.needles, [b"one".to_vec(), b"three".to_vec()]);
        assert_eq!(pattern.groups, ["pc"]);
    }
}
