//! Coming back after the port was lost.

use std::time::Duration;

use guru_link::{Link, LinkError};

use crate::channel::Channel;
use crate::{Error, Event, Observer, Session};

/// Attempts at opening a lost port again. A USB device takes a second or two to come back.
const ATTEMPTS: u32 = 7;

/// Pause before each attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a step is begun again after the chip or the port was lost in it.
const INSISTENCE: u32 = 3;

/// How often it is looked whether a port is back.
const LOOK: Duration = Duration::from_millis(100);

/// How long a port may be away that left with a reset. A USB device is back after a second or two; the
/// driver of some systems takes longer.
pub(crate) const AWAY: Duration = Duration::from_secs(10);

/// Waits until a port that left with the chip's reset is back, and opens it. `false`: it is not,
/// within `limit`.
pub(crate) async fn wait_for_port<L: Link>(
    channel: &mut Channel<L>,
    limit: Duration,
    observer: &mut dyn Observer,
) -> Result<bool, LinkError> {
    let end = channel.now() + limit;
    loop {
        match reopen(channel, observer).await {
            Ok(()) => return Ok(true),
            Err(LinkError::Cancelled) => return Err(LinkError::Cancelled),
            // Not there yet, or the system has not said yet who may open it.
            Err(_) if channel.now() < end => channel.link_mut().sleep(LOOK).await?,
            Err(_) => return Ok(false),
        }
    }
}

/// Opens a lost port again, and tells when it has another name.
async fn reopen<L: Link>(
    channel: &mut Channel<L>,
    observer: &mut dyn Observer,
) -> Result<(), LinkError> {
    let before = channel.link().info().name.clone();
    channel.reopen().await?;
    let port = channel.link().info().name.clone();
    if port != before {
        observer.event(Event::PortMoved { before, port });
    }
    Ok(())
}

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
                // It may be a slow flash. One that hangs is not to be waited for without end.
                Err(Error::NoAnswer { .. }) if self.line.patience == 1 => self.line.wait_longer(),
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
            if let Err(error) = reopen(&mut self.channel, observer).await {
                if matches!(error, LinkError::Cancelled) {
                    return Err(error.into());
                }
                last = Some(error.into());
                continue;
            }
            self.device
                .port
                .clone_from(&self.channel.link().info().name);
            match self.reconnect(observer).await {
                Ok(()) => return Ok(()),
                Err(
                    error @ (Error::OtherDevice { .. }
                    | Error::WrongChip { .. }
                    | Error::BeyondAddresses { .. }
                    | Error::CannotEncrypt(_)),
                ) => {
                    return Err(error);
                }
                Err(Error::Link(LinkError::Cancelled)) => {
                    return Err(LinkError::Cancelled.into());
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(Error::Link(LinkError::Lost(None))))
    }
}
