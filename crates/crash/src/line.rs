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
            b'[' => match behind_colour(behind) {
                Some(behind) => {
                    let shown = SHOWN_ESCAPES.iter().find(|shown| kept.ends_with(shown));
                    kept.truncate(kept.len() - shown.map_or(0, |shown| shown.len()));
                    behind
                }
                None => {
                    kept.push(byte);
                    behind
                }
            },
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

/// How terminals, editors and web pages show the character ESC.
const SHOWN_ESCAPES: [&[u8]; 7] = [
    b"ESC",
    b"^[",
    b"\\x1b",
    b"\\033",
    b"\\e",
    "\u{241b}".as_bytes(),
    "\u{fffd}".as_bytes(),
];

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
/// `14:43:38.123 -> `, `2026-11-22T05:00:00Z `, `5.903834 [ERROR] `; and without the place in the source that
/// Rust's loggers put behind it.
pub(crate) fn without_prefix(mut text: &str) -> &str {
    for _ in 0..4 {
        let Some(rest) = behind_quote(text)
            .or_else(|| behind_brackets(text))
            .or_else(|| behind_time(text))
            .or_else(|| behind_seconds(text))
        else {
            break;
        };
        text = rest;
    }
    before_place(text)
}

fn behind_quote(text: &str) -> Option<&str> {
    text.strip_prefix("> ")
        .or_else(|| text.strip_prefix('>').filter(|rest| rest.is_empty()))
}

/// Time in brackets, possibly with words of the tool that put it there; or a level.
fn behind_brackets(text: &str) -> Option<&str> {
    /// Levels in full words. Single letters begin lines of Arduino's and ESPHome's logs, which have a tag too.
    const LEVELS: [&str; 7] = [
        "ERROR", "WARN", "WARNING", "INFO", "DEBUG", "TRACE", "NOTICE",
    ];
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    let spaced = rest.strip_prefix(' ');
    if LEVELS.contains(&inside.trim_end()) {
        return spaced;
    }
    let first = inside.bytes().next()?;
    let other = |byte: u8| {
        byte.is_ascii_digit()
            || byte.is_ascii_uppercase()
            || matches!(byte, b':' | b'.' | b',' | b'-' | b'+' | b' ' | b'/')
    };
    let timed = || {
        let mut starts = inside.char_indices().map(|(at, _)| inside.get(at..));
        starts.any(|at| at.is_some_and(|at| behind_shape(at, "00:00:00").is_some()))
    };
    let fits =
        inside.len() <= 40 && ((first.is_ascii_digit() && inside.bytes().all(other)) || timed());
    (fits && inside.len() > 1).then_some(spaced.unwrap_or(rest))
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
    let zones = ["Z", "+00:00", "-00:00", "+0000", "-0000"];
    let zone = zones.iter().find_map(|zone| behind_shape(rest, zone));
    let rest = zone.unwrap_or(rest);
    [" -> ", " > ", ": ", " ", "\t"]
        .iter()
        .find_map(|arrow| rest.strip_prefix(arrow))
        .or_else(|| rest.is_empty().then_some(rest))
}

/// Seconds with at least three decimals: since the start, or since 1970.
fn behind_seconds(text: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let rest = text.get(whole..)?.strip_prefix('.')?;
    let decimals = digits(rest);
    let fits = (1..=10).contains(&whole) && (3..=9).contains(&decimals);
    fits.then(|| rest.get(decimals..)?.strip_prefix(' '))?
}

/// A line without ` (esp_backtrace esp-backtrace/src/lib.rs:70)`, as loggers of Rust programs end lines.
fn before_place(text: &str) -> &str {
    let place = || {
        let (head, place) = text.strip_suffix(')')?.rsplit_once(" (")?;
        let (file, line) = place.rsplit_once(':')?;
        let fits = file.ends_with(".rs") && line.bytes().all(|byte| byte.is_ascii_digit());
        fits.then_some(head)
    };
    place().unwrap_or(text)
}

/// What stands before each line of a report, which differs in digits only: a host's name, a port, numbers
/// of lines. It is learnt from a line whose beginning is known.
#[derive(Debug, Default)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// Bytes that a prefix has at the most.
    const MOST: usize = 80;

    /// Learns from a line in which something known begins at `at`.
    pub(crate) fn learn(&mut self, text: &str, at: usize) {
        self.0.clear();
        // A register that the report is glued to is no prefix.
        if let Some(prefix) = text.get(..at)
            && prefix.len() <= Self::MOST
            && !prefix.contains("0x")
        {
            self.0.push_str(prefix);
        }
    }

    /// What follows the prefix; the line as it is where it has another one.
    pub(crate) fn strip<'t>(&self, text: &'t str) -> &'t str {
        self.behind(text)
            .filter(|_| !self.0.is_empty())
            .unwrap_or(text)
    }

    fn behind<'t>(&self, text: &'t str) -> Option<&'t str> {
        let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let behind = |text: &'t str| text.trim_start_matches(|c: char| c.is_ascii_digit());
        let mut rest = text;
        let mut known = self.0.as_str();
        while let Some(letter) = known.chars().next() {
            if digit(known) {
                digit(rest).then_some(())?;
                rest = behind(rest);
                known = known.trim_start_matches(|c: char| c.is_ascii_digit());
            } else if letter == ' ' {
                // Numbers are padded; a line's end may be cut off.
                rest = match rest.strip_prefix(' ') {
                    Some(rest) => rest.trim_start_matches(' '),
                    None => rest.is_empty().then_some(rest)?,
                };
                known = known.trim_start_matches(' ');
            } else {
                rest = rest.strip_prefix(letter)?;
                known = known.get(letter.len_utf8()..)?;
            }
        }
        Some(rest)
    }
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
            "ESC[0;31mE (5) x: yESC[0m",
            "\u{241b}[0;31mE (5) x: y\u{241b}[0m",
            "^[[0;31mE (5) x: y^[[0m",
            "\\x1b[0;31mE (5) x: y\\033[0m",
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
            "2026-11-22T05:00:01.25+02:00 ",
            "> [2026-11-22T05:00:01Z INFO ] ",
            "[Apr 29 09:30:57.782] ",
            "[154003] [DEBUG] ",
            "5.903834 [ERROR] ",
            "1700000000.123456 ",
        ] {
            assert_eq!(
                without_prefix(&format!("{prefix}PC : 1")),
                "PC : 1",
                "{prefix}"
            );
        }
        assert_eq!(without_prefix(">>>stack>>>"), ">>>stack>>>");
        for kept in ["[E][main.cpp:3]", "1.25 V", "[DEBUG]x", "1.234x"] {
            assert_eq!(without_prefix(kept), kept);
        }
        let rust = "panicked at src/main.rs:43:5 (esp_backtrace esp-backtrace/src/lib.rs:70)";
        assert_eq!(without_prefix(rust), "panicked at src/main.rs:43:5");
    }

    #[test]
    fn a_prefix_is_learnt_and_differs_in_digits_only() {
        let mut prefix = Prefix::default();
        assert_eq!(prefix.strip("a b"), "a b");
        let first = "Nov 22 05:59:59 host ser2net[7]: Guru";
        prefix.learn(first, first.find("Guru").expect("it is there"));
        for (line, rest) in [
            ("Nov 22 06:00:00 host ser2net[7]: PC", "PC"),
            ("Nov  3 06:00:00 host ser2net[12]:   x", "x"),
            ("Nov 22 06:00:00 host ser2net[7]:", ""),
            (
                "Nov 22 06:00:00 other ser2net[7]: PC",
                "Nov 22 06:00:00 other ser2net[7]: PC",
            ),
        ] {
            assert_eq!(prefix.strip(line), rest, "{line}");
        }
        // A report that is glued to a register.
        let glued = "PC      : 0x4008cc79Guru";
        prefix.learn(glued, 20);
        assert_eq!(prefix.strip(glued), glued);
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
