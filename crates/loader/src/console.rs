//! What a program prints, from its first byte on.

use guru_link::{Instant, Link, LinkError, PortInfo, ResetSequence};

use crate::channel::Channel;
use crate::enter::strategies;
use crate::leave::{app_reset, reset_needs_loader};
use crate::recover::{AWAY, wait_for_port};
use crate::usb::is_own_usb;
use crate::{ConnectOptions, Leaving, Session};

/// A port on which a program prints. The bytes are given as they come: nothing in them is looked at.
#[derive(Debug)]
pub struct Console<L> {
    channel: Channel<L>,
}

impl<L: Link> Console<L> {
    /// On a port of which nothing was read so far.
    pub fn new(link: L) -> Self {
        Self {
            channel: Channel::new(link, ConnectOptions::default().timeouts),
        }
    }

    /// What is known about the port.
    pub fn info(&self) -> &PortInfo {
        self.channel.link().info()
    }

    /// Whether the chip can be reset into its application only by its loader: over the USB-OTG
    /// device of the ROM of some chips.
    pub fn reset_needs_loader(&self) -> bool {
        reset_needs_loader(self.info())
    }

    /// Resets the chip by the control lines, so that its application starts. What came before is
    /// forgotten.
    ///
    /// # Errors
    ///
    /// [`LinkError::NoLines`] where there are none, and what the link says.
    pub async fn reset_into_app(&mut self, options: &ConnectOptions) -> Result<Leaving, LinkError> {
        let (sequence, leaving) = app_reset(self.info(), options);
        self.play(&sequence).await?;
        Ok(leaving)
    }

    /// Resets the chip by the control lines into its loader, in the first way that
    /// [`Session::connect`] would try. `false`: the options say that no reset is to be made.
    ///
    /// # Errors
    ///
    /// As [`reset_into_app`](Self::reset_into_app).
    pub async fn reset_into_loader(&mut self, options: &ConnectOptions) -> Result<bool, LinkError> {
        let sequences = strategies(self.channel.link(), options);
        let Some(sequence) = sequences.first() else {
            return Ok(false);
        };
        self.play(sequence).await?;
        Ok(true)
    }

    async fn play(&mut self, sequence: &ResetSequence) -> Result<(), LinkError> {
        if !self.info().capabilities.network {
            self.channel.discard_input().await?;
        }
        match sequence.play(self.channel.link_mut()).await {
            // The chip's own USB goes away with the reset that was asked for.
            Err(error) if error.is_lost() && is_own_usb(self.info()) => Ok(()),
            result => result,
        }
    }

    /// Baud rate in bits per second.
    pub fn baud(&self) -> u32 {
        self.channel.link().baud()
    }

    /// Time by the link's clock.
    pub fn now(&self) -> Instant {
        self.channel.now()
    }

    /// Sets the baud rate, in bits per second.
    ///
    /// # Errors
    ///
    /// What the link says.
    pub async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        if baud == self.baud() {
            return Ok(());
        }
        self.channel.link_mut().set_baud(baud).await
    }

    /// What comes until `deadline`; empty: nothing did. A port that goes away, as the chip's own
    /// USB does when it is reset, is opened again.
    ///
    /// # Errors
    ///
    /// What the link says, when the port stays away or the user asks to stop.
    pub async fn read(&mut self, deadline: Instant) -> Result<Vec<u8>, LinkError> {
        match self.channel.read_raw(deadline).await {
            Err(error) if error.is_lost() => {
                self.come_back(error).await?;
                Ok(Vec::new())
            }
            result => result,
        }
    }

    /// Sends bytes to the program. A port that went away is opened again, and all of them are sent then.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        match self.channel.link_mut().write(bytes).await {
            Err(error) if error.is_lost() => {
                self.come_back(error).await?;
                self.channel.link_mut().write(bytes).await
            }
            result => result,
        }
    }

    /// Opens the port again that was lost with this error.
    async fn come_back(&mut self, error: LinkError) -> Result<(), LinkError> {
        if wait_for_port(&mut self.channel, AWAY, &mut |_| {}).await? {
            Ok(())
        } else {
            Err(error)
        }
    }
}

impl<L: Link> Session<L> {
    /// Ends the session without touching the chip, and goes on with what its program prints. What
    /// came behind the last answer is not lost.
    pub fn into_console(self) -> Console<L> {
        Console {
            channel: self.channel,
        }
    }
}
