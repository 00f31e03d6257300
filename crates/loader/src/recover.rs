//! Coming back after the port was lost.

use std::time::Duration;

use guru_link::Link;

use crate::{Error, Event, Observer, Session};

/// Attempts at opening a lost port again. A USB device takes a second or two to come back.
const ATTEMPTS: u32 = 7;

/// Pause before each attempt.
const PAUSE: Duration = Duration::from_secs(1);

impl<L: Link> Session<L> {
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
