use std::time::Duration;

use crate::{Cancel, Instant, LinkError, SystemClock};

/// The clock and the cancel token of a native link: how long it may wait at a stretch.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    clock: SystemClock,
    cancel: Cancel,
}

/// How long a device may refuse to take any byte before a write fails.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

impl Pace {
    pub(crate) fn start(cancel: Cancel) -> Self {
        Self {
            clock: SystemClock::start(),
            cancel,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How long to wait before looking again: zero if `deadline` has passed.
    pub(crate) fn slice(&self, deadline: Instant) -> Result<Duration, LinkError> {
        if self.cancel.is_cancelled() {
            return Err(LinkError::Cancelled);
        }
        Ok((deadline - self.now()).min(Cancel::POLL))
    }

    pub(crate) fn sleep(&self, time: Duration) -> Result<(), LinkError> {
        let deadline = self.now() + time;
        loop {
            let slice = self.slice(deadline)?;
            if slice.is_zero() {
                return Ok(());
            }
            std::thread::sleep(slice);
        }
    }
}
