//! Numbers and pairs in a line. A number counts only when it is whole.

/// A hexadecimal number of exactly eight digits at the start, with what follows it; `None` when it is
/// shorter, or longer.
pub(super) fn word(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..8)?;
    let rest = text.get(8..)?;
    let whole = digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !rest
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_hexdigit());
    whole.then_some(())?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// `0x` and eight digits at the start, with what follows.
pub(super) fn address(text: &str) -> Option<(u32, &str)> {
    word(text.strip_prefix("0x")?)
}

/// `0x` and one to eight digits that something other than the end of the line ends, with what follows.
pub(super) fn number(text: &str) -> Option<(u32, &str)> {
    let rest = text.strip_prefix("0x")?;
    let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    let value = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
    let rest = rest.get(digits..).filter(|rest| !rest.is_empty())?;
    Some((value, rest))
}

/// The digits of an ELF file's SHA-256 behind their label, in small letters. Zeros are what stands in images
/// that were made without it: those of Arduino, ESPHome and Rust.
pub(super) fn digest(text: &str) -> Option<String> {
    let digits = text.trim().trim_end_matches('.');
    let hex = digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex && digits.bytes().any(|byte| byte != b'0')).then(|| digits.to_ascii_lowercase())
}

/// Decimal digits at the start, with what follows.
pub(super) fn decimal(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let value = text.get(..digits)?.parse().ok()?;
    Some((value, text.get(digits..)?))
}

/// What follows `marker`, wherever it stands.
pub(super) fn behind<'t>(text: &'t str, marker: &str) -> Option<&'t str> {
    text.split_once(marker).map(|(_, rest)| rest)
}

/// What follows `marker` up to `end`; `None` when the line ends before.
pub(super) fn between<'t>(text: &'t str, marker: &str, end: &str) -> Option<&'t str> {
    behind(text, marker)?
        .split_once(end)
        .map(|(inside, _)| inside)
}

/// A `NAME: 0xVALUE` or `NAME=0xVALUE` of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'t> {
    /// The name, as printed.
    pub name: &'t str,
    /// The value; `None` when it is cut or has something else in it.
    pub value: Option<u32>,
}

/// All of a line's. A name that is glued to what stands before it is not taken.
pub(super) fn fields(text: &str) -> impl Iterator<Item = Field<'_>> {
    text.match_indices("0x").filter_map(move |(at, _)| {
        let before = text.get(..at)?.trim_end_matches(' ');
        let before = before.strip_suffix([':', '='])?.trim_end_matches(' ');
        let start = before
            .bytes()
            .rposition(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_')))
            .map_or(0, |at| at + 1);
        let name = before.get(start..)?;
        let apart = before.get(..start)?.bytes().next_back();
        let named = name.len() <= 12 && name.bytes().next()?.is_ascii_alphabetic();
        (named && apart.is_none_or(|byte| matches!(byte, b' ' | b'|' | b','))).then_some(())?;
        let value = address(text.get(at..)?)
            .filter(|(_, rest)| rest.is_empty() || rest.starts_with([' ', ',', '|', ')']))
            .map(|(value, _)| value);
        Some(Field { name, value })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_count() {
        assert_eq!(address("0x4000c2e0 x"), Some((0x4000_c2e0, " x")));
        for cut in ["0x4000c2e", "0x4000c2e0f", "0x", "4000c2e0", "0x4000c2 0"] {
            assert_eq!(address(cut), None, "{cut}");
        }
        assert_eq!(number("0x103 ("), Some((0x103, " (")));
        assert_eq!(number("0x103"), None);
    }

    #[test]
    fn a_digest_of_zeros_is_none() {
        assert_eq!(digest("  aBc123456...").as_deref(), Some("abc123456"));
        for none in ["0000000000000000", " ", "abc", "0000x0000"] {
            assert_eq!(digest(none), None, "{none}");
        }
    }

    #[test]
    fn fields_have_names_of_their_own() {
        let line = "PC      : 0x400d1122  S0/FP : 0x0000001  X=0x00000002, 0x400d1122:0x3ffb0000";
        let found: Vec<_> = fields(line)
            .map(|field| (field.name, field.value))
            .collect();
        let expected = [("PC", Some(0x400d_1122)), ("S0/FP", None), ("X", Some(2))];
        assert_eq!(found, expected);
        assert_eq!(fields("(PC: 0x400d1122").count(), 0);
    }
}
