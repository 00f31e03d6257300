use std::time::Duration;

use crate::{Cancel, Instant, LinkError, OpenOptions, SystemClock};

/// The clock, the cancel token and the limit of a native link: how long it may wait at a stretch.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    clock: SystemClock,
    cancel: Cancel,
    write_timeout: Duration,
}

impl Pace {
    pub(crate) fn start(options: &OpenOptions) -> Self {
        Self {
            clock: SystemClock::start(),
            cancel: options.cancel.clone(),
            write_timeout: options.write_timeout,
        }
    }

    /// When a device that has taken no byte since now has refused for too long.
    pub(crate) fn write_deadline(&self) -> Instant {
        self.now() + self.write_timeout
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
