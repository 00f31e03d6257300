//! Numbers as a CSV partition table writes them.

/// Reads a number: decimal, or with `0x`, `0o` or `0b` before it, with a sign or without; `_` may
/// stand between digits, and `K` (1024) or `M` (1024 * 1024) behind them. `None`: it is none, or it
/// does not fit.
#[must_use]
pub fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (text, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    let (text, sign) = match text.as_bytes().first()? {
        b'-' => (&text[1..], -1),
        b'+' => (&text[1..], 1),
        _ => (text, 1),
    };
    let (digits, radix) = match text.get(..2) {
        Some("0x" | "0X") => (&text[2..], 16),
        Some("0o" | "0O") => (&text[2..], 8),
        Some("0b" | "0B") => (&text[2..], 2),
        _ => (text, 10),
    };
    // As in Python: underscores stand one at a time, between digits or behind the prefix.
    if digits.ends_with('_') || digits.contains("__") || (radix == 10 && digits.starts_with('_')) {
        return None;
    }
    let digits = digits.replace('_', "");
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    // `010` is octal for some and decimal for others.
    if radix == 10 && digits.starts_with('0') && digits.contains(|digit| digit != '0') {
        return None;
    }
    let number = i64::from_str_radix(&digits, radix).ok()?;
    number.checked_mul(unit)?.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_as_esp_idf_does() {
        for (text, value) in [
            ("0", 0),
            ("00", 0),
            ("0x9000", 0x9000),
            ("1M", 1 << 20),
            ("24k", 24 << 10),
            ("0x10K", 0x10 << 10),
            ("-0x200000", -0x20_0000),
            ("-1m", -(1 << 20)),
            ("+7", 7),
            ("1_000", 1000),
            ("0b101", 5),
            ("0o17", 15),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "",
            "k",
            "-",
            "0x",
            "010",
            "1.5",
            "x",
            "1 k2",
            "1__0",
            "_1",
            "1_",
            "--1",
            "-+1",
            "é",
            "0xfffffffffffffffff",
            "9223372036854775807K",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = number(&text);
        }
    }
}
