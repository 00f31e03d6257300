use std::collections::VecDeque;
use std::fmt;
use std::io::Read as _;
use std::time::Duration;

use super::file::hex;
use super::{Event, Record, Trace};
use crate::{Instant, Lines, Link, LinkError, PortInfo};

/// Plays a recorded session back: what the program sends must be what was recorded, and the
/// device's answers come as they came then, on a virtual clock.
///
/// The clock stands still except in [`read`](Link::read) and [`sleep`](Link::sleep). Whenever
/// something is sent, the recorded time of that moment and the clock's are taken for the same, so
/// that an answer takes as long as it took, however fast the program has become.
#[derive(Debug)]
pub struct Replay {
    info: PortInfo,
    baud: u32,
    records: Vec<Record<'static>>,
    /// The next record.
    at: usize,
    /// How many bytes of a recorded write have been sent.
    written: usize,
    arrived: VecDeque<u8>,
    now: Instant,
    /// Moments that are the same: on the clock, and in the recording.
    anchor: (Instant, Instant),
}

impl Replay {
    /// Begins at the start of the recording.
    pub fn new(trace: Trace) -> Self {
        Self {
            info: trace.header.port,
            baud: trace.header.baud,
            records: trace.records,
            at: 0,
            written: 0,
            arrived: VecDeque::new(),
            now: Instant::default(),
            anchor: (Instant::default(), Instant::default()),
        }
    }

    /// Checks that all that was recorded as done by the program has been done.
    ///
    /// # Errors
    /// [`LinkError::Protocol`] that names the first thing that was not.
    pub fn finish(mut self) -> Result<(), LinkError> {
        self.take_arrivals();
        match self.records.get(self.at) {
            None => Ok(()),
            Some(_) => Err(self.mismatch(&"the session ended")),
        }
    }

    /// When a recorded moment comes on the clock.
    fn due(&self, recorded: Instant) -> Instant {
        self.anchor.0 + (recorded - self.anchor.1)
    }

    /// What came before the next thing that was done has arrived by now.
    fn take_arrivals(&mut self) {
        while let Some(Record {
            event: Event::Read(bytes),
            ..
        }) = self.records.get(self.at)
        {
            self.arrived.extend(bytes.iter());
            self.at += 1;
        }
    }

    /// Takes the next record, which must be about what the program does now.
    fn done(&mut self, event: &Event<'static>) -> Result<(), LinkError> {
        self.take_arrivals();
        match self.records.get(self.at) {
            Some(record) if record.event == *event => {
                self.anchor = (self.now, record.at);
                self.at += 1;
                Ok(())
            }
            Some(Record {
                event: Event::Lost, ..
            }) => {
                self.at += 1;
                Err(LinkError::Lost(None))
            }
            _ => Err(self.mismatch(&Shown(event))),
        }
    }

    fn mismatch(&self, found: &dyn fmt::Display) -> LinkError {
        let expected = match self.records.get(self.at) {
            Some(Record { at, event }) => {
                format!("{:.6} s: {} expected", at.0.as_secs_f64(), Shown(event))
            }
            None => "the recording has ended".to_owned(),
        };
        LinkError::Protocol(format!(
            "replay: event {} of {}, {expected}; {found}",
            self.at + 1,
            self.records.len()
        ))
    }
}

impl Link for Replay {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        if self.arrived.is_empty() {
            match self.records.get(self.at) {
                Some(Record { at, event }) if self.due(*at) <= deadline.max(self.now) => {
                    match event {
                        Event::Read(bytes) => self.arrived.extend(bytes.iter()),
                        Event::Lost => {
                            self.now = self.now.max(self.due(*at));
                            self.at += 1;
                            return Err(LinkError::Lost(None));
                        }
                        // Nothing came before the program did the next thing.
                        _ => {
                            self.now = self.now.max(deadline);
                            return Ok(0);
                        }
                    }
                    self.now = self.now.max(self.due(*at));
                    self.at += 1;
                }
                _ => {
                    self.now = self.now.max(deadline);
                    return Ok(0);
                }
            }
        }
        self.arrived.read(buffer).map_err(LinkError::Io)
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            if self.written == 0 {
                self.take_arrivals();
            }
            let Some(record) = self.records.get(self.at) else {
                return Err(self.mismatch(&Shown(&Event::Write(bytes.into()))));
            };
            let recorded = match &record.event {
                Event::Write(recorded) => recorded.get(self.written..).unwrap_or_default(),
                Event::Lost => {
                    self.at += 1;
                    return Err(LinkError::Lost(None));
                }
                _ => return Err(self.mismatch(&Shown(&Event::Write(bytes.into())))),
            };
            let count = recorded.len().min(bytes.len());
            let same = recorded
                .iter()
                .zip(bytes)
                .take_while(|(a, b)| a == b)
                .count();
            if same < count {
                let found = format!(
                    "byte {} differs: {} expected, {} sent",
                    self.written + same,
                    shown_bytes(&recorded[same..]),
                    shown_bytes(&bytes[same..]),
                );
                return Err(self.mismatch(&found));
            }
            self.written += count;
            bytes = &bytes[count..];
            if count == recorded.len() {
                self.anchor = (self.now, record.at);
                self.at += 1;
                self.written = 0;
            }
        }
        Ok(())
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        self.done(&Event::Baud(baud))?;
        self.baud = baud;
        Ok(())
    }

    fn baud(&self) -> u32 {
        self.baud
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        if !self.info.capabilities.lines {
            return Err(LinkError::NoLines);
        }
        self.done(&Event::Lines(lines))
    }

    async fn keep_lines(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        self.done(&Event::Discard)?;
        self.arrived.clear();
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        self.done(&Event::Reopen)
    }

    fn now(&self) -> Instant {
        self.now
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        self.now = self.now + time;
        Ok(())
    }
}

/// An event in a message, shortened.
struct Shown<'a, 'b>(&'a Event<'b>);

impl fmt::Display for Shown<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Read(bytes) => write!(f, "read {}", shown_bytes(bytes)),
            Event::Write(bytes) => write!(f, "write {}", shown_bytes(bytes)),
            Event::Baud(baud) => write!(f, "baud {baud}"),
            Event::Lines(lines) => write!(f, "lines {}", crate::Step::Set(*lines)),
            Event::Discard => f.write_str("discard"),
            Event::Lost => f.write_str("lost"),
            Event::Reopen => f.write_str("reopen"),
        }
    }
}

fn shown_bytes(bytes: &[u8]) -> String {
    const MOST: usize = 16;
    match bytes.get(..MOST) {
        Some(head) if bytes.len() > MOST => format!("{}... ({} bytes)", hex(head), bytes.len()),
        _ => hex(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;

    const HEAD: &str = "guru-trace 1\nport x\ncapabilities lines baud latency=1\nbaud 115200\n";

    fn replay(events: &str) -> Replay {
        Replay::new(format!("{HEAD}{events}").parse().unwrap())
    }

    fn read(replay: &mut Replay, wait: u64) -> Result<Vec<u8>, LinkError> {
        let mut buffer = [0; 64];
        let deadline = replay.now() + Duration::from_millis(wait);
        let count = block_on(replay.read(&mut buffer, deadline))?;
        Ok(buffer[..count].to_vec())
    }

    #[test]
    fn an_answer_takes_as_long_as_it_took() {
        let mut link = replay("5.000000 write aabb\n5.020000 read 01\n5.021000 read 02\n");
        block_on(link.write(&[0xAA])).unwrap();
        block_on(link.write(&[0xBB])).unwrap();
        assert_eq!(read(&mut link, 10).unwrap(), [], "not yet");
        assert_eq!(read(&mut link, 100).unwrap(), [1]);
        assert_eq!(link.now(), Instant(Duration::from_millis(20)));
        assert_eq!(read(&mut link, 100).unwrap(), [2]);
        assert_eq!(read(&mut link, 100).unwrap(), []);
        assert_eq!(link.now(), Instant(Duration::from_millis(121)));
        link.finish().unwrap();
    }

    #[test]
    fn a_deviation_is_named_with_its_place() {
        let mut link = replay("0.100000 lines U1,0\n1.500000 write 0102030405\n");
        block_on(link.set_lines(Lines::both(true, false))).unwrap();
        let error = block_on(link.write(&[1, 2, 9])).unwrap_err().to_string();
        for part in [
            "event 2 of 2",
            "1.500000 s",
            "byte 2 differs",
            "030405",
            "09",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn what_is_left_undone_is_named() {
        let mut link = replay("0.000000 discard\n0.100000 baud 9600\n");
        let error = block_on(link.set_baud(9600)).unwrap_err().to_string();
        assert!(error.contains("discard expected"), "{error}");
        block_on(link.discard_input()).unwrap();
        let error = link.finish().unwrap_err().to_string();
        assert!(error.contains("baud 9600"), "{error}");
    }

    #[test]
    fn sending_more_than_was_recorded_is_an_error() {
        let mut link = replay("0.000000 write 00\n");
        let error = block_on(link.write(&[0, 1])).unwrap_err().to_string();
        assert!(error.contains("the recording has ended"), "{error}");
    }

    #[test]
    fn a_recorded_loss_comes_back_in_its_place() {
        let mut link = replay("0.000000 write 00\n0.000100 lost\n2.000000 reopen\n");
        block_on(link.write(&[0])).unwrap();
        assert!(read(&mut link, 100).unwrap_err().is_lost());
        block_on(link.reopen()).unwrap();
        link.finish().unwrap();
    }
}
