use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::{Event, Record, TraceHeader, TraceSink};
use crate::{Capabilities, Instant, Lines, PortInfo, Step, UsbId};

const MAGIC: &str = "guru-trace 1";

/// A recorded session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// About the port.
    pub header: TraceHeader,
    /// What happened, in order.
    pub records: Vec<Record<'static>>,
}

/// Why a text is not a trace file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct TraceError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Keeps a session as a trace file.
#[derive(Debug)]
pub struct TraceWriter<W> {
    out: W,
    error: Option<io::Error>,
}

impl<W: io::Write> TraceWriter<W> {
    /// Writes into `out`, a piece a line: buffer it.
    pub fn new(out: W) -> Self {
        Self { out, error: None }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The first one that writing met; nothing was written after it.
    pub fn finish(mut self) -> io::Result<W> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.flush().map(|()| self.out),
        }
    }

    fn put(&mut self, text: &impl fmt::Display) {
        if self.error.is_none() {
            self.error = write!(self.out, "{text}").err();
        }
    }
}

impl<W: io::Write> TraceSink for TraceWriter<W> {
    fn start(&mut self, header: &TraceHeader) {
        self.put(header);
    }

    fn record(&mut self, record: &Record<'_>) {
        self.put(record);
    }
}

impl fmt::Display for Trace {
    /// The file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header.fmt(f)?;
        self.records.iter().try_for_each(|record| record.fmt(f))
    }
}

impl fmt::Display for TraceHeader {
    /// The header's lines in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PortInfo {
            name,
            usb,
            capabilities,
        } = &self.port;
        writeln!(f, "{MAGIC}\nport {}", escape(name))?;
        if let Some(usb) = usb {
            write!(f, "usb {:04x}:{:04x}", usb.vendor, usb.product)?;
            if let Some(serial) = &usb.serial {
                write!(f, " serial={}", escape(serial))?;
            }
            if let Some(name) = &usb.name {
                write!(f, " name={}", escape(name))?;
            }
            if let Some(location) = &usb.location {
                write!(f, " location={}", escape(location))?;
            }
            writeln!(f)?;
        }
        write!(f, "capabilities")?;
        for (name, has) in [
            ("lines", capabilities.lines),
            ("together", capabilities.lines_together),
            ("baud", capabilities.baud),
            ("network", capabilities.network),
        ] {
            if has {
                write!(f, " {name}")?;
            }
        }
        write!(f, " latency={}", capabilities.latency.as_micros())?;
        if let Some(baud) = capabilities.safe_baud {
            write!(f, " safe={baud}")?;
        }
        writeln!(f, "\nbaud {}", self.baud)
    }
}

impl fmt::Display for Record<'_> {
    /// The event's line in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.at.0;
        write!(f, "{}.{:06} ", time.as_secs(), time.subsec_micros())?;
        match &self.event {
            Event::Read(bytes) => writeln!(f, "read {}", hex(bytes)),
            Event::Write(bytes) => writeln!(f, "write {}", hex(bytes)),
            Event::Baud(baud) => writeln!(f, "baud {baud}"),
            Event::Lines(lines) => writeln!(f, "lines {}", Step::Set(*lines)),
            Event::Discard => writeln!(f, "discard"),
            Event::Lost => writeln!(f, "lost"),
            Event::Reopen => writeln!(f, "reopen"),
        }
    }
}

impl FromStr for Trace {
    type Err = TraceError;

    /// Reads a file.
    ///
    /// # Errors
    /// The first line that is malformed, or a header without its port.
    fn from_str(text: &str) -> Result<Self, TraceError> {
        let mut lines = text.lines().enumerate();
        let mut header = TraceHeader {
            port: PortInfo {
                name: String::new(),
                usb: None,
                capabilities: Capabilities {
                    lines: false,
                    lines_together: false,
                    baud: false,
                    network: false,
                    latency: Duration::ZERO,
                    safe_baud: None,
                },
            },
            baud: 0,
        };
        let mut records: Vec<Record<'static>> = Vec::new();
        if lines.next().map(|(_, line)| line.trim_end()) != Some(MAGIC) {
            return Err(TraceError {
                line: 1,
                reason: format!("this is not a trace file: it does not begin with '{MAGIC}'"),
            });
        }
        for (at, line) in lines {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |reason: String| TraceError {
                line: at + 1,
                reason,
            };
            if !line.starts_with(|c: char| c.is_ascii_digit()) {
                if !records.is_empty() {
                    return Err(error(format!("'{}' is not an event", shorten(line))));
                }
                parse_header(line, &mut header).map_err(error)?;
                continue;
            }
            let record = parse_record(line).map_err(error)?;
            if records.last().is_some_and(|last| last.at > record.at) {
                return Err(error("the event is older than the one before".to_owned()));
            }
            records.push(record);
        }
        if header.port.name.is_empty() || header.baud == 0 {
            return Err(TraceError {
                line: 1,
                reason: "the header names no port, or no baud rate".to_owned(),
            });
        }
        Ok(Self { header, records })
    }
}

fn parse_header(line: &str, header: &mut TraceHeader) -> Result<(), String> {
    let bad = || format!("'{}' is not a line of a header", shorten(line));
    let (key, value) = line.split_once(' ').ok_or_else(bad)?;
    let port = &mut header.port;
    match key {
        "port" => port.name = unescape(value).ok_or_else(bad)?,
        "usb" => {
            let mut fields = value.split(' ');
            let (vendor, product) = fields
                .next()
                .and_then(|ids| ids.split_once(':'))
                .ok_or_else(bad)?;
            let id = |text| u16::from_str_radix(text, 16).map_err(|_| bad());
            let mut usb = UsbId {
                vendor: id(vendor)?,
                product: id(product)?,
                serial: None,
                name: None,
                location: None,
            };
            for field in fields {
                let (key, value) = field.split_once('=').ok_or_else(bad)?;
                let value = Some(unescape(value).ok_or_else(bad)?);
                match key {
                    "serial" => usb.serial = value,
                    "name" => usb.name = value,
                    "location" => usb.location = value,
                    _ => return Err(bad()),
                }
            }
            port.usb = Some(usb);
        }
        "capabilities" => {
            for field in value.split(' ') {
                let capabilities = &mut port.capabilities;
                match field.split_once('=') {
                    None => match field {
                        "lines" => capabilities.lines = true,
                        "together" => capabilities.lines_together = true,
                        "baud" => capabilities.baud = true,
                        "network" => capabilities.network = true,
                        _ => return Err(bad()),
                    },
                    Some(("latency", value)) => {
                        let micros = value.parse().map_err(|_| bad())?;
                        capabilities.latency = Duration::from_micros(micros);
                    }
                    Some(("safe", value)) => {
                        capabilities.safe_baud = Some(value.parse().map_err(|_| bad())?);
                    }
                    Some(_) => return Err(bad()),
                }
            }
        }
        "baud" => header.baud = value.parse().map_err(|_| bad())?,
        _ => return Err(bad()),
    }
    Ok(())
}

fn parse_record(line: &str) -> Result<Record<'static>, String> {
    let bad = || format!("'{}' is not an event", shorten(line));
    let mut fields = line.split(' ');
    let time = fields.next().and_then(parse_time).ok_or_else(bad)?;
    let word = fields.next().ok_or_else(bad)?;
    let value = fields.next();
    if fields.next().is_some() {
        return Err(bad());
    }
    let bytes = || {
        let bytes = value.and_then(parse_hex).ok_or_else(bad)?;
        Ok::<_, String>(Cow::Owned(bytes))
    };
    let event = match (word, value) {
        ("read", _) => Event::Read(bytes()?),
        ("write", _) => Event::Write(bytes()?),
        ("baud", Some(baud)) => Event::Baud(baud.parse().map_err(|_| bad())?),
        ("lines", Some(step)) => Event::Lines(parse_lines(step).ok_or_else(bad)?),
        ("discard", None) => Event::Discard,
        ("lost", None) => Event::Lost,
        ("reopen", None) => Event::Reopen,
        _ => return Err(bad()),
    };
    Ok(Record {
        at: Instant(time),
        event,
    })
}

fn parse_time(text: &str) -> Option<Duration> {
    let (seconds, micros) = text.split_once('.')?;
    if micros.len() != 6 || !micros.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros = Duration::from_micros(micros.parse().ok()?);
    Duration::from_secs(seconds.parse().ok()?).checked_add(micros)
}

fn parse_lines(text: &str) -> Option<Lines> {
    match text.parse().ok()? {
        Step::Set(lines) => Some(lines),
        Step::Wait(_) => None,
    }
}

/// At least one byte.
fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok())
        .collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02x}");
        }
        escaped
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.extend(parse_hex(part.get(..2)?)?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The beginning of a line, for a message.
fn shorten(line: &str) -> Cow<'_, str> {
    const LONGEST: usize = 60;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]).into(),
        None => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> impl Strategy<Value = Event<'static>> {
        let bytes = || prop::collection::vec(any::<u8>(), 1..40).prop_map(Cow::Owned);
        prop_oneof![
            bytes().prop_map(Event::Read),
            bytes().prop_map(Event::Write),
            any::<u32>().prop_map(Event::Baud),
            any::<(Option<bool>, Option<bool>)>()
                .prop_filter("no lines are no event", |lines| *lines != (None, None))
                .prop_map(|(dtr, rts)| Event::Lines(Lines { dtr, rts })),
            Just(Event::Discard),
            Just(Event::Lost),
            Just(Event::Reopen),
        ]
    }

    prop_compose! {
        fn header()(
            name in "\\PC{1,20}",
            usb in any::<Option<(u16, u16, Option<String>, Option<String>, Option<String>)>>(),
            (lines, lines_together, baud, network) in any::<(bool, bool, bool, bool)>(),
            latency: u32,
            safe_baud: Option<u32>,
            start in 1_u32..,
        ) -> TraceHeader {
            let usb = usb.map(|(vendor, product, serial, name, location)| UsbId {
                vendor,
                product,
                serial,
                name,
                location,
            });
            let latency = Duration::from_micros(latency.into());
            let capabilities =
                Capabilities { lines, lines_together, baud, network, latency, safe_baud };
            TraceHeader { port: PortInfo { name, usb, capabilities }, baud: start }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            header in header(),
            events in prop::collection::vec((0_u64..10_000_000, event()), 0..20),
        ) {
            let mut time = Duration::ZERO;
            let records = events
                .into_iter()
                .map(|(micros, event)| {
                    time += Duration::from_micros(micros);
                    Record { at: Instant(time), event }
                })
                .collect();
            let trace = Trace { header, records };
            prop_assert_eq!(trace.to_string().parse(), Ok(trace));
        }

        #[test]
        fn no_text_makes_the_parser_panic(lines in prop::collection::vec("[ -~é]{0,40}", 0..8)) {
            let _ = format!("{MAGIC}\n{}", lines.join("\n")).parse::<Trace>();
        }
    }

    #[test]
    fn a_malformed_line_is_named() {
        let head = format!("{MAGIC}\nport x\ncapabilities latency=1\nbaud 9600\n\n# a remark\n");
        assert!(head.parse::<Trace>().is_ok());
        for line in [
            "1 read 00",
            "1.5 read 00",
            "0.000001 read",
            "0.000001 read 0",
            "0.000001 read 0g",
            "0.000001 read 00 00",
            "0.000001 baud x",
            "0.000001 lines W1",
            "0.000001 sing",
            "0.000001 discard 1",
            "99999999999999999999.000000 lost",
            "tempo allegro",
        ] {
            let error = format!("{head}{line}\n").parse::<Trace>().unwrap_err();
            assert_eq!(error.line, 7, "{line}: {error}");
        }
        let back = format!("{head}2.000000 lost\n1.000000 lost\n");
        assert_eq!(back.parse::<Trace>().unwrap_err().line, 8);
        assert_eq!("ELF".parse::<Trace>().unwrap_err().line, 1);
        assert_eq!(MAGIC.parse::<Trace>().unwrap_err().line, 1);
    }
}
