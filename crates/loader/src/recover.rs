//! Coming back after the port was lost.

use std::time::Duration;

use guru_link::Link;

use crate::{Error, Event, Observer, Session};

/// Attempts at opening a lost port again. A USB device takes a second or two to come back.
const ATTEMPTS: u32 = 7;

/// Pause before each attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a step is begun again after the chip or the port was lost in it.
const INSISTENCE: u32 = 3;

impl<L: Link> Session<L> {
    /// Does a step that can be repeated from its start: when the port or the chip is lost in it, both
    /// are brought back and it is done again.
    pub(crate) async fn insist<T>(
        &mut self,
        observer: &mut dyn Observer,
        mut step: impl AsyncFnMut(&mut Self, &mut dyn Observer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        for _ in 0..INSISTENCE {
            match step(self, observer).await {
                Err(Error::Link(error)) if error.is_lost() => {}
                Err(Error::NoAnswer { .. }) => {}
                // An earlier request may have arrived damaged, such as the size of the flash.
                Err(Error::Refused { .. }) if self.channel.faults() > 0 => {}
                result => return result,
            }
            self.recover(observer).await?;
        }
        step(self, observer).await
    }

    /// Opens the port again and brings the chip back to where it was: loader, baud rate, flash.
    pub(crate) async fn recover(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let mut last = None;
        for attempt in 1..=ATTEMPTS {
            observer.event(Event::LinkLost { attempt });
            self.channel.link_mut().sleep(PAUSE).await?;
            if let Err(error) = self.channel.link_mut().reopen().await {
                if matches!(error, guru_link::LinkError::Cancelled) {
                    return Err(error.into());
                }
                last = Some(error.into());
                continue;
            }
            match self.reconnect(observer).await {
                Ok(()) => return Ok(()),
                Err(error @ (Error::OtherDevice { .. } | Error::WrongChip { .. })) => {
                    return Err(error);
                }
                Err(Error::Link(guru_link::LinkError::Cancelled)) => {
                    return Err(guru_link::LinkError::Cancelled.into());
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(Error::Link(guru_link::LinkError::Lost(None))))
    }
}
