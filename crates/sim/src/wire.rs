//! Bytes on their way over a wire, and what becomes of them at the wrong baud rate.

use std::collections::VecDeque;

use crate::fault::Line;

/// Bits that a UART sends for a byte.
const BITS: u64 = 10;
/// Baud rates this far apart, in percent, are still understood: at the tenth bit the sampling
/// point has moved by less than half a bit.
const TOLERANCE: u64 = 4;

/// Bytes that go out one behind the other from `start` on.
#[derive(Debug)]
struct Segment {
    /// When the first byte begins, in nanoseconds.
    start: u64,
    byte_ns: u64,
    baud: u32,
    bytes: Vec<u8>,
    taken: usize,
}

/// One direction of the wire.
#[derive(Debug)]
pub(crate) struct Wire {
    segments: VecDeque<Segment>,
    /// When the last byte has passed, in nanoseconds.
    free_at: u64,
    line: Line,
    pending: usize,
}

/// A stretch of bytes that have arrived.
pub(crate) struct Arrived {
    pub bytes: Vec<u8>,
    pub baud: u32,
}

impl Wire {
    pub fn new(line: Line) -> Self {
        Self {
            segments: VecDeque::new(),
            free_at: 0,
            line,
            pending: 0,
        }
    }

    /// Sends bytes as soon as the wire is free, not before `at`.
    pub fn send(&mut self, at: u64, bytes: Vec<u8>, baud: u32, byte_ns: u64) {
        for run in self.line.pass(bytes) {
            let start = self.free_at.max(at) + run.pause.as_nanos() as u64;
            self.free_at = start + run.bytes.len() as u64 * byte_ns;
            if run.bytes.is_empty() {
                continue;
            }
            self.pending += run.bytes.len();
            self.segments.push_back(Segment {
                start,
                byte_ns,
                baud,
                bytes: run.bytes,
                taken: 0,
            });
        }
    }

    /// When the last byte has passed, in nanoseconds.
    pub fn free_at(&self) -> u64 {
        self.free_at
    }

    /// Bytes that were sent so far.
    pub fn sent(&self) -> u64 {
        self.line.passed()
    }

    /// Bytes that have not been taken.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Bytes that have not passed by `now`, if those before them have no pause.
    pub fn under_way(&self, now: u64) -> usize {
        let byte_ns = self.segments.back().map_or(1, |last| last.byte_ns.max(1));
        let left = self.free_at.saturating_sub(now) / byte_ns;
        usize::try_from(left).map_or(self.pending, |left| left.min(self.pending))
    }

    /// When the next byte has arrived.
    pub fn next_byte(&self) -> Option<u64> {
        self.segments.front().map(|front| front.end_of(front.taken))
    }

    /// When the next byte equal to `delimiter` has arrived, or the stretch that goes on without
    /// one has ended.
    pub fn next_delimiter(&self, delimiter: u8) -> Option<u64> {
        let front = self.segments.front()?;
        let rest = &front.bytes[front.taken..];
        let found = rest.iter().position(|byte| *byte == delimiter);
        let at = found.unwrap_or(rest.len() - 1);
        Some(front.end_of(front.taken + at))
    }

    /// Takes the next byte, if it has arrived by `now`.
    pub fn take_byte(&mut self, now: u64) -> Option<Arrived> {
        let front = self.segments.front_mut()?;
        if front.arrived(now) <= front.taken {
            return None;
        }
        let bytes = vec![front.bytes[front.taken]];
        let baud = front.baud;
        front.taken += 1;
        self.pending -= 1;
        if front.taken == front.bytes.len() {
            self.segments.pop_front();
        }
        Some(Arrived { bytes, baud })
    }

    /// Takes bytes of one stretch that have arrived by `now`, up to and including the first one
    /// that equals `delimiter`, if one is given.
    pub fn take(&mut self, now: u64, delimiter: Option<u8>) -> Option<Arrived> {
        let front = self.segments.front_mut()?;
        let arrived = front.arrived(now);
        if arrived <= front.taken {
            return None;
        }
        let fresh = &front.bytes[front.taken..arrived];
        let found = delimiter.and_then(|end| fresh.iter().position(|byte| *byte == end));
        let end = front.taken + found.map_or(fresh.len(), |at| at + 1);
        let bytes = front.bytes[front.taken..end].to_vec();
        let baud = front.baud;
        front.taken = end;
        self.pending -= bytes.len();
        if front.taken == front.bytes.len() {
            self.segments.pop_front();
        }
        Some(Arrived { bytes, baud })
    }

    /// Cuts off what has not passed by `now`: the sender was stopped.
    pub fn cut(&mut self, now: u64) {
        for segment in &mut self.segments {
            let arrived = segment.arrived(now).max(segment.taken);
            self.pending -= segment.bytes.len() - arrived;
            segment.bytes.truncate(arrived);
        }
        self.segments
            .retain(|segment| segment.taken < segment.bytes.len());
        self.free_at = self.free_at.min(now);
    }

    /// Throws away everything.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.pending = 0;
        self.free_at = 0;
    }
}

impl Segment {
    /// How many bytes have passed by `now`.
    fn arrived(&self, now: u64) -> usize {
        let passed = now.saturating_sub(self.start) / self.byte_ns.max(1);
        usize::try_from(passed).map_or(self.bytes.len(), |passed| passed.min(self.bytes.len()))
    }

    fn end_of(&self, index: usize) -> u64 {
        self.start + (index as u64 + 1) * self.byte_ns
    }
}

/// Time of one byte at a baud rate, in nanoseconds.
pub(crate) fn byte_ns(baud: u32) -> u64 {
    (BITS * 1_000_000_000 / u64::from(baud.max(1))).max(1)
}

/// Whether a receiver at one rate understands a sender at another.
pub(crate) fn understands(receiver: u32, sender: u32) -> bool {
    let (receiver, sender) = (u64::from(receiver), u64::from(sender));
    receiver.abs_diff(sender) * 100 <= sender * TOLERANCE
}

/// What a receiver makes of bytes that were sent at another rate: fewer or more of them, and
/// nothing of their contents.
pub(crate) fn garble(bytes: &[u8], sender: u32, receiver: u32) -> Vec<u8> {
    let count = bytes.len() as u64 * u64::from(receiver) / u64::from(sender.max(1));
    let count = count.clamp(1, bytes.len() as u64 * 4) as usize;
    (0..count)
        .map(|index| {
            let source = bytes[index * bytes.len() / count];
            // A slow receiver samples few, long levels; a fast one sees runs of equal bits.
            source.rotate_left(index as u32 % 7) ^ [0x3C, 0xF0, 0x81, 0x1E][index % 4]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> Wire {
        Wire::new(Line::new(&[], 0))
    }

    #[test]
    fn bytes_arrive_at_the_rate_of_the_line() {
        let mut wire = wire();
        wire.send(0, b"abc".to_vec(), 115_200, byte_ns(115_200));
        let byte = byte_ns(115_200);
        assert!(wire.take(byte - 1, None).is_none());
        assert_eq!(wire.take(byte, None).unwrap().bytes, b"a");
        assert_eq!(wire.next_byte(), Some(2 * byte));
        assert_eq!(wire.take(3 * byte, None).unwrap().bytes, b"bc");
        assert_eq!(wire.pending(), 0);
    }

    #[test]
    fn what_has_passed_is_not_under_way_though_nobody_took_it() {
        let mut wire = wire();
        wire.send(0, b"abcdef".to_vec(), 115_200, 100);
        assert_eq!(wire.under_way(0), 6);
        assert_eq!(wire.under_way(250), 3);
        assert_eq!(wire.under_way(600), 0);
        assert_eq!(wire.pending(), 6);
    }

    #[test]
    fn what_has_not_gone_out_when_the_sender_stops_is_lost() {
        let mut wire = wire();
        wire.send(0, b"abcdef".to_vec(), 115_200, 100);
        wire.cut(250);
        assert_eq!(wire.pending(), 2);
        assert_eq!(wire.take(10_000, None).unwrap().bytes, b"ab");
        assert!(wire.take(10_000, None).is_none());
    }

    #[test]
    fn rates_that_differ_by_more_than_a_few_percent_are_not_understood() {
        assert!(understands(115_200, 117_000));
        assert!(!understands(115_200, 74_880));
        assert!(!understands(115_200, 108_000));
        assert_ne!(garble(b"hello", 115_200, 115_000), b"hello");
        assert_eq!(garble(&[0; 100], 115_200, 57_600).len(), 50);
    }
}
