//! Whether a job pays for the upload of a stub. docs/stub.md has the reasons.

use std::time::Duration;

use guru_link::Link;

use crate::attach::ADDRESSABLE;
use crate::{Error, Observer, Session};

/// Bytes that the start of a stub costs beyond its own, both ways: requests, answers, proof.
const START: u64 = 1500;

/// Round trips of it.
const START_TRIPS: u32 = 30;

/// Below this many bytes a write through the ROM is done before a stub would be up.
pub(crate) const SMALL_WRITE: u64 = 32 << 10;

/// Below this many bytes the ROM erases as fast: what a stub gains are sectors that are blank already.
const SMALL_ERASE: u64 = 1 << 20;

impl<L: Link> Session<L> {
    /// Whether a stub reads so many bytes faster, its upload counted, than in this time.
    pub(crate) fn stub_pays(&self, slow: Duration, length: u32) -> bool {
        let read = u64::from(length) * 101 / 100;
        self.stub_may_run() && slow > self.start_time() + self.time_of(read, 1)
    }

    /// Has the stub write, if that is faster for so many bytes, or gives what the ROM has not: a digest.
    pub(crate) async fn engage_stub_to_write(
        &mut self,
        length: u64,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        if length >= SMALL_WRITE || !self.has_digest() {
            self.engage_stub(observer).await
        } else {
            Ok(self.stub_runs())
        }
    }

    /// Has the stub erase, if that may be faster.
    pub(crate) async fn engage_stub_to_erase(
        &mut self,
        length: u64,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        if length >= SMALL_ERASE {
            self.engage_stub(observer).await
        } else {
            Ok(self.stub_runs())
        }
    }

    /// Has the stub erase all of a flash of so many bytes, if its addresses reach that far.
    pub(crate) async fn engage_stub_to_erase_all(
        &mut self,
        size: u64,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let far = size > ADDRESSABLE;
        if far && !self.stub_may_reach_all() {
            return Ok(false);
        }
        Ok(self.engage_stub(observer).await? && (!far || self.stub_reaches_all()))
    }

    /// Time until a stub is up.
    fn start_time(&self) -> Duration {
        let stub = self.stub.stub.as_ref().map_or(0, |stub| stub.len());
        self.time_of(stub as u64 * 102 / 100 + START, START_TRIPS)
    }

    /// Time on the line, at its present rate.
    pub(crate) fn time_of(&self, bytes: u64, trips: u32) -> Duration {
        let link = self.channel.link();
        let baud = u64::from(link.baud().max(1));
        Duration::from_micros(bytes.saturating_mul(10_000_000) / baud)
            + link.info().capabilities.latency.saturating_mul(trips)
    }
}
