use std::borrow::Cow;

use crate::{Instant, Lines, PortInfo};

/// What was recorded about a port before the first event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceHeader {
    /// The port.
    pub port: PortInfo,
    /// Baud rate at the start, in bits per second.
    pub baud: u32,
}

/// Something that happened on a link, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was done, on the link's clock; a file keeps microseconds.
    pub at: Instant,
    /// What happened.
    pub event: Event<'a>,
}

/// Something that happened on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Bytes came from the device; never empty.
    Read(Cow<'a, [u8]>),
    /// Bytes went to the device; never empty.
    Write(Cow<'a, [u8]>),
    /// The baud rate changed, in bits per second.
    Baud(u32),
    /// Lines were set.
    Lines(Lines),
    /// What had arrived was thrown away.
    Discard,
    /// The device went away.
    Lost,
    /// The port was opened again.
    Reopen,
}

/// Sums over a session that do not depend on how fast the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes to the device.
    pub bytes_out: u64,
    /// Bytes from the device.
    pub bytes_in: u64,
    /// Writes.
    pub writes: u64,
    /// Reads that brought something.
    pub reads: u64,
    /// How often something was sent and then waited for: writes in a row, and reads in a row,
    /// count once.
    pub round_trips: u64,
    waiting: bool,
}

impl Counters {
    /// The sums over recorded events.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event<'a>>) -> Self {
        let mut counters = Self::default();
        for event in events {
            counters.count(event);
        }
        counters
    }

    /// Adds an event.
    pub fn count(&mut self, event: &Event<'_>) {
        match event {
            Event::Write(bytes) => {
                self.bytes_out += bytes.len() as u64;
                self.writes += 1;
                self.waiting = true;
            }
            Event::Read(bytes) => {
                self.bytes_in += bytes.len() as u64;
                self.reads += 1;
                self.round_trips += u64::from(self.waiting);
                self.waiting = false;
            }
            // An answer that is given up was waited for by nobody.
            Event::Discard | Event::Lost | Event::Reopen => self.waiting = false,
            Event::Baud(_) | Event::Lines(_) => {}
        }
    }
}
