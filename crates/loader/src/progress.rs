use crate::event::Step;
use crate::{Event, Observer, Progress};

/// Counts what a step has done and tells it.
#[derive(Debug)]
pub(crate) struct Meter {
    step: Step,
    /// First flash address.
    start: u32,
    /// Bytes of contents in all.
    total: u64,
    /// Bytes of data that went over the line.
    sent: u64,
    /// Estimate of all that goes.
    to_send: u64,
}

impl Meter {
    /// Progress over `total` bytes from flash address `start`.
    pub fn new(step: Step, start: u32, total: u64) -> Self {
        Self {
            step,
            start,
            total,
            sent: 0,
            to_send: total,
        }
    }

    /// Data that went over the line.
    pub fn data_sent(&self) -> u64 {
        self.sent
    }

    /// `bytes` of data went over the line; contents before `address` are done.
    pub fn sent(&mut self, bytes: u64, address: u32, observer: &mut dyn Observer) {
        self.sent += bytes;
        self.at(address, observer);
    }

    /// `bytes` of contents were found in place: they need not go over the line.
    pub fn skip(&mut self, bytes: u64) {
        self.to_send = self.to_send.saturating_sub(bytes);
    }

    /// A stream of `raw` bytes goes as `packed` bytes.
    pub fn packed(&mut self, raw: u64, packed: u64) {
        self.to_send = self.to_send.saturating_sub(raw.saturating_sub(packed));
    }

    /// `bytes` more are in RAM, up to `address`. Segments may lie anywhere.
    pub fn loaded(&mut self, bytes: u64, address: u32, observer: &mut dyn Observer) {
        self.sent += bytes;
        observer.event(Event::Progress(Progress {
            step: self.step,
            address,
            done: self.sent.min(self.total),
            total: self.total,
            sent: 0,
            to_send: 0,
        }));
    }

    /// Contents before `address` are done.
    pub fn at(&self, address: u32, observer: &mut dyn Observer) {
        observer.event(Event::Progress(Progress {
            step: self.step,
            address,
            done: u64::from(address.saturating_sub(self.start)).min(self.total),
            total: self.total,
            sent: self.sent,
            to_send: self.to_send.max(self.sent),
        }));
    }
}
