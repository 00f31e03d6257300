//! From bytes to lines of bounded length, and from what a terminal or a mail made of a line back to
//! what the chip printed.

use std::borrow::Cow;

/// Bytes after which a line is cut in two: a backtrace of 100 frames, the longest line that a chip
/// prints, has 2.3 KB.
pub(crate) const LIMIT: usize = 8192;

/// Cuts a stream into lines. `\r`, alone or before or behind `\n`, ends one too, but only `\n` counts.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The line that has not ended yet; at most [`LIMIT`] bytes.
    open: Vec<u8>,
    /// Its number, from one.
    number: u64,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            open: Vec::new(),
            number: 1,
        }
    }

    /// Hands on every line that ends in `bytes`, and every piece of [`LIMIT`] bytes of longer ones,
    /// without the empty ones.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(u64, &[u8])) {
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (part, rest) = bytes.split_at(end);
            if self.open.is_empty() && part.len() <= LIMIT {
                if !part.is_empty() {
                    line(self.number, part);
                }
            } else {
                self.keep(part, &mut line);
                self.flush(&mut line);
            }
            if rest.first() == Some(&b'\n') {
                self.number += 1;
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.keep(bytes, &mut line);
    }

    /// Hands on the last line, when nothing ends it.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(u64, &[u8])) {
        self.flush(&mut line);
    }

    fn keep(&mut self, mut part: &[u8], line: &mut impl FnMut(u64, &[u8])) {
        while !part.is_empty() {
            if self.open.len() >= LIMIT {
                self.flush(line);
            }
            let (now, later) = part.split_at(part.len().min(LIMIT - self.open.len()));
            self.open.extend_from_slice(now);
            part = later;
        }
    }

    fn flush(&mut self, line: &mut impl FnMut(u64, &[u8])) {
        if !self.open.is_empty() {
            line(self.number, &self.open);
            self.open.clear();
        }
    }
}

/// The text of a line without escape sequences and control characters; what is no UTF-8 is replaced.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let control = |byte: &u8| *byte < b' ' || *byte == 0x7F;
    let coloured = || bytes.contains(&b'[') && bytes.contains(&b'm');
    if !bytes.iter().any(control) && !coloured() {
        return String::from_utf8_lossy(bytes);
    }
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = match byte {
            0x1B => behind_escape(behind),
            b'[' => behind_colour(behind).unwrap_or_else(|| {
                kept.push(byte);
                behind
            }),
            b'\t' => {
                kept.push(b' ');
                behind
            }
            0..b' ' | 0x7F => behind,
            _ => {
                kept.push(byte);
                behind
            }
        };
    }
    Cow::Owned(String::from_utf8_lossy(&kept).into_owned())
}

/// What follows an escape sequence; `bytes` begins behind ESC.
fn behind_escape(bytes: &[u8]) -> &[u8] {
    let Some(parameters) = bytes.strip_prefix(b"[") else {
        // Two characters, or a lone ESC before text.
        return bytes;
    };
    let end = parameters
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'?'));
    match end {
        Some(end) => parameters.get(end + 1..).unwrap_or_default(),
        None => &[],
    }
}

/// What follows a colour whose ESC was lost when the log was copied: `[0;32m`. `bytes` begins behind `[`.
fn behind_colour(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes
        .iter()
        .position(|byte| !byte.is_ascii_digit() && *byte != b';')?;
    (1..=6).contains(&end).then_some(())?;
    bytes.get(end..)?.strip_prefix(b"m")
}

/// A line without what terminals, monitors and mails put before it: `> `, `[14:43:38]`,
/// `14:43:38.123 -> `, `2026-11-22T05:00:00Z `.
pub(crate) fn without_prefix(mut text: &str) -> &str {
    for _ in 0..4 {
        let Some(rest) = behind_quote(text)
            .or_else(|| behind_brackets(text))
            .or_else(|| behind_time(text))
        else {
            break;
        };
        text = rest;
    }
    text
}

fn behind_quote(text: &str) -> Option<&str> {
    text.strip_prefix("> ")
        .or_else(|| text.strip_prefix('>').filter(|rest| rest.is_empty()))
}

/// Time in brackets, possibly with words of the tool that put it there.
fn behind_brackets(text: &str) -> Option<&str> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    let first = inside.bytes().next()?;
    let other = |byte: u8| {
        byte.is_ascii_digit()
            || byte.is_ascii_uppercase()
            || matches!(byte, b':' | b'.' | b',' | b'-' | b'+' | b' ' | b'/')
    };
    let fits = first.is_ascii_digit() && inside.len() <= 40 && inside.bytes().all(other);
    let spaced = rest.strip_prefix(' ').unwrap_or(rest);
    (fits && inside.len() > 1).then_some(spaced)
}

/// A time of day, possibly with a date before and an arrow behind.
fn behind_time(text: &str) -> Option<&str> {
    let dated = behind_shape(text, "0000-00-00")
        .and_then(|rest| rest.strip_prefix(' ').or_else(|| rest.strip_prefix('T')));
    let rest = behind_shape(dated.unwrap_or(text), "00:00:00")?;
    let rest = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let rest = rest.strip_prefix('Z').unwrap_or(rest);
    [" -> ", " > ", ": ", " ", "\t"]
        .iter()
        .find_map(|arrow| rest.strip_prefix(arrow))
        .or_else(|| rest.is_empty().then_some(rest))
}

/// What follows a text in which a digit stands wherever the shape has `0`.
fn behind_shape<'t>(text: &'t str, shape: &str) -> Option<&'t str> {
    let head = text.as_bytes().get(..shape.len())?;
    let fits = head.iter().zip(shape.bytes()).all(|(byte, wanted)| {
        if wanted == b'0' {
            byte.is_ascii_digit()
        } else {
            *byte == wanted
        }
    });
    if fits { text.get(shape.len()..) } else { None }
}

/// ESP-IDF's log line: what follows `E (1234) tag: `, `E (12:34:56.789) tag: ` or `E tag: `.
pub(crate) fn behind_log_tag(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(['E', 'W', 'I', 'D', 'V'])?;
    let rest = rest.strip_prefix(' ')?;
    let rest = match rest.strip_prefix('(') {
        Some(time) => time.split_once(") ")?.1,
        None => rest,
    };
    let (tag, body) = rest.split_once(": ")?;
    (!tag.is_empty() && tag.len() <= 40 && !tag.contains(['"', '(', ' '])).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(pieces: &[&[u8]]) -> Vec<(u64, Vec<u8>)> {
        let mut lines = Lines::new();
        let mut out = Vec::new();
        for piece in pieces {
            lines.push(piece, |number, line| out.push((number, line.to_vec())));
        }
        lines.finish(|number, line| out.push((number, line.to_vec())));
        out
    }

    #[test]
    fn doubled_carriage_returns_make_no_lines() {
        let expected = vec![(1, b"a".to_vec()), (2, b"b".to_vec()), (4, b"c".to_vec())];
        assert_eq!(cut(&[b"a\r\r\nb\n\r\n\rc"]), expected);
    }

    #[test]
    fn a_line_without_an_end_comes_in_pieces_and_is_not_kept() {
        let long = vec![b'A'; 3 * LIMIT + 5];
        let lengths: Vec<usize> = cut(&[&long]).iter().map(|(_, line)| line.len()).collect();
        assert_eq!(lengths, [LIMIT, LIMIT, LIMIT, 5]);
        let mut lines = Lines::new();
        for _ in 0..100 {
            lines.push(&long, |_, _| ());
        }
        assert!(lines.open.capacity() <= 2 * LIMIT);
    }

    #[test]
    fn colours_go_also_where_copying_took_their_escape_away() {
        for line in [
            "\x1b[0;31mE (5) x: y\x1b[0m",
            "[0;31mE (5) x: y[0m",
            "E (5) x: y",
        ] {
            assert_eq!(text(line.as_bytes()), "E (5) x: y");
        }
        assert_eq!(text(b"a[12] mm[3m"), "a[12] mm");
        assert_eq!(text(b"ab\x1b["), "ab");
    }

    #[test]
    fn what_a_terminal_puts_before_a_line_is_taken_off() {
        for prefix in [
            "",
            "> ",
            "> > ",
            "[14:43:38]",
            "[14:43:38.123] ",
            "14:43:38.123 -> ",
            "2026-11-22 05:00:01.5 ",
            "2026-11-22T05:00:01Z ",
            "> [2026-11-22T05:00:01Z INFO ] ",
        ] {
            assert_eq!(
                without_prefix(&format!("{prefix}PC : 1")),
                "PC : 1",
                "{prefix}"
            );
        }
        assert_eq!(without_prefix(">>>stack>>>"), ">>>stack>>>");
        assert_eq!(without_prefix("[E][main.cpp:3]"), "[E][main.cpp:3]");
    }

    #[test]
    fn tags_of_the_log_are_taken_off() {
        assert_eq!(behind_log_tag("E (12) task_wdt: - IDLE"), Some("- IDLE"));
        assert_eq!(behind_log_tag("E BOD: Brownout"), Some("Brownout"));
        assert_eq!(behind_log_tag("Every: thing"), None);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_come(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            at in 0usize..200,
        ) {
            let at = at.min(bytes.len());
            prop_assert_eq!(cut(&[&bytes]), cut(&[&bytes[..at], &bytes[at..]]));
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(cut(&[&bytes]), cut(&single));
        }

        #[test]
        fn any_bytes_have_a_text(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let text = text(&bytes);
            let _ = behind_log_tag(without_prefix(&text));
        }
    }
}
