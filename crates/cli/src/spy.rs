//! What passes on the line as `spy://` shows it, in pySerial's form: time, what, offset, bytes, text.

use std::fmt::Write as _;

use guru_link::trace::{Event, Record, TraceHeader, TraceSink};
use guru_link::{Instant, Lines};

use crate::port_url::SpyOptions;

/// Bytes in a row.
const ROW: usize = 16;

/// Shows records.
pub struct Spy<W> {
    write: W,
    colour: bool,
    raw: bool,
    begin: Option<Instant>,
}

impl<W: FnMut(&[u8])> Spy<W> {
    /// Hands what is to be shown to `write`.
    pub fn new(options: &SpyOptions, write: W) -> Self {
        Self {
            write,
            colour: options.colour,
            raw: options.raw,
            begin: None,
        }
    }

    fn bytes(&mut self, seconds: f64, label: &str, code: u8, bytes: &[u8]) {
        if self.raw {
            (self.write)(bytes);
            return;
        }
        for (number, row) in bytes.chunks(ROW).enumerate() {
            let text = format!("{:04X}  {}", number * ROW, hex(row));
            self.line(seconds, label, code, &text);
        }
    }

    fn line(&mut self, seconds: f64, label: &str, code: u8, text: &str) {
        if self.raw {
            return;
        }
        let line = format!("{seconds:010.3} {label:<4} {text}");
        let line = match self.colour {
            true => format!("\x1b[{code}m{line}\x1b[0m\n"),
            false => format!("{line}\n"),
        };
        (self.write)(line.as_bytes());
    }

    fn lines(&mut self, seconds: f64, lines: Lines) {
        for (label, level) in [("DTR", lines.dtr), ("RTS", lines.rts)] {
            if let Some(level) = level {
                let text = if level { "active" } else { "inactive" };
                self.line(seconds, label, CONTROL, text);
            }
        }
    }
}

/// Colours.
const RECEIVED: u8 = 32;
const SENT: u8 = 31;
const CONTROL: u8 = 37;

impl<W: FnMut(&[u8])> TraceSink for Spy<W> {
    fn start(&mut self, _: &TraceHeader) {}

    fn record(&mut self, record: &Record<'_>) {
        let begin = *self.begin.get_or_insert(record.at);
        let at = (record.at - begin).as_secs_f64();
        match &record.event {
            Event::Read(bytes) => self.bytes(at, "RX", RECEIVED, bytes),
            Event::Write(bytes) => self.bytes(at, "TX", SENT, bytes),
            Event::Lines(lines) => self.lines(at, *lines),
            Event::Discard => self.line(at, "Q-RX", CONTROL, "reset_input_buffer"),
            Event::Baud(baud) => self.line(at, "BAUD", CONTROL, &baud.to_string()),
            Event::Lost => self.line(at, "PORT", CONTROL, "lost"),
            Event::Reopen => self.line(at, "PORT", CONTROL, "opened again"),
        }
    }
}

/// A row of a hex dump, a gap in its middle, and its printable characters.
fn hex(row: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in row.iter().enumerate() {
        let gap = if at + 1 == ROW / 2 { " " } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02X} {gap}");
    }
    let shown = row.iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    });
    format!("{text:<49} {}", shown.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::*;

    fn shown(options: &SpyOptions) -> String {
        let mut out = Vec::new();
        let mut spy = Spy::new(options, |bytes: &[u8]| out.extend_from_slice(bytes));
        let begin = Instant::default();
        let events = [
            Event::Lines(Lines::both(true, false)),
            Event::Discard,
            Event::Write(Cow::Borrowed(b"Hello, world! 1234\x1b\n")),
            Event::Read(Cow::Borrowed(b"\xC0OK\xC0")),
            Event::Baud(921_600),
        ];
        for (number, event) in events.into_iter().enumerate() {
            let at = begin + Duration::from_millis(1234) * u32::try_from(number).unwrap();
            spy.record(&Record { at, event });
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn what_passes_has_time_direction_offset_bytes_and_text() {
        assert_eq!(
            shown(&SpyOptions::default()),
            "000000.000 DTR  active\n\
             000000.000 RTS  inactive\n\
             000001.234 Q-RX reset_input_buffer\n\
             000002.468 TX   0000  48 65 6C 6C 6F 2C 20 77  6F 72 6C 64 21 20 31 32  Hello, world! 12\n\
             000002.468 TX   0010  33 34 1B 0A                                       34..\n\
             000003.702 RX   0000  C0 4F 4B C0                                       .OK.\n\
             000004.936 BAUD 921600\n"
        );
    }

    #[test]
    fn colours_are_put_round_lines_and_raw_is_nothing_but_bytes() {
        let colour = SpyOptions {
            colour: true,
            ..SpyOptions::default()
        };
        assert!(shown(&colour).contains("\x1b[32m000003.702 RX"));
        let raw = SpyOptions {
            raw: true,
            ..SpyOptions::default()
        };
        assert_eq!(shown(&raw), "Hello, world! 1234\x1b\n\u{fffd}OK\u{fffd}");
    }
}
