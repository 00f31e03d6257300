//! How a chip is left.

use guru_chip::{OtgReset, Quirk};
use guru_link::{Link, LinkError, ResetSequence};
use guru_wire::{Begin, Command};

use crate::connect::has_flow_control;
use crate::{After, Error, Event, Leaving, Notice, Observer, Session, UsbMode};

impl<L: Link> Session<L> {
    /// Leaves the chip as asked.
    ///
    /// # Errors
    ///
    /// [`Error::NotPossible`] for a way that the chip does not have, and what the link and the
    /// chip say.
    pub async fn reset(
        &mut self,
        after: After,
        observer: &mut dyn Observer,
    ) -> Result<Leaving, Error> {
        let leaving = match after {
            After::HardReset => self.hard_reset(observer).await?,
            After::SoftReset => self.soft_reset().await?,
            After::NoReset | After::NoResetStub => Leaving::InLoader,
            After::WatchdogReset => {
                self.watchdog_reset().await?;
                Leaving::WatchdogReset
            }
        };
        observer.event(Event::Leaving(leaving));
        Ok(leaving)
    }

    async fn hard_reset(&mut self, observer: &mut dyn Observer) -> Result<Leaving, Error> {
        let otg = self.device.usb_mode == Some(UsbMode::Otg);
        let (sequence, leaving) = match self.options.hard_reset.clone() {
            Some(custom) => (custom, Leaving::CustomReset),
            None if otg && self.leaves_otg_by_watchdog().await? => {
                self.watchdog_reset().await?;
                return Ok(Leaving::WatchdogReset);
            }
            None if has_flow_control(self.channel.link().info()) => {
                (ResetSequence::hard_with_flow_control(), Leaving::HardReset)
            }
            None => {
                let usb = self.device.usb_mode.is_some();
                (ResetSequence::hard(usb), Leaving::HardReset)
            }
        };
        match sequence.play(self.channel.link_mut()).await {
            Ok(()) => Ok(leaving),
            Err(LinkError::NoLines) => {
                let port = self.device.port.clone();
                observer.event(Event::Notice(Notice::NotReset { port }));
                Ok(Leaving::InLoader)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Over USB-OTG a pulse on RTS brings some chips back into the loader: those whose boot pin is
    /// strapped low, unless download was forced.
    async fn leaves_otg_by_watchdog(&mut self) -> Result<bool, Error> {
        if self.device.secure_download {
            return Ok(false);
        }
        match self.chip.usb.otg_reset {
            OtgReset::Pin => Ok(false),
            OtgReset::Watchdog => Ok(true),
            OtgReset::WatchdogIfStrapped => {
                let Some(strapping) = &self.chip.strapping else {
                    return Ok(false);
                };
                let mut forced = false;
                if let Some(bits) = strapping.force_download {
                    let word = self.read_reg_surely(bits.addr).await?;
                    forced = bits.of(word) != 0;
                    if forced && self.chip.has(Quirk::ClearForceDownload) {
                        self.write_reg(bits.addr, word & !bits.mask()).await?;
                    }
                }
                let strap = self.read_reg_surely(strapping.gpio_strap).await?;
                Ok(strap >> strapping.boot_bit & 1 == 0 && !forced)
            }
        }
    }

    /// The loader starts the application, without a reset.
    async fn soft_reset(&mut self) -> Result<Leaving, Error> {
        if !self.chip.has(Quirk::LegacyAttach) {
            return Err(Error::NotPossible(format!(
                "{} cannot be reset by its ROM loader; use --after hard-reset",
                self.chip.name
            )));
        }
        let begin = Begin {
            erase_size: 0,
            blocks: 0,
            block_size: self.chip.rom.flash_block,
            offset: 0,
            encrypted: None,
        };
        let timeout = self.channel.timeouts.command;
        self.channel
            .query(
                &Command::FlashBegin(begin),
                0,
                timeout,
                "leaving the loader",
            )
            .await?;
        // The application starts at once: an answer need not come.
        self.channel
            .send(&Command::FlashEnd { stay: false })
            .await?;
        Ok(Leaving::SoftReset)
    }
}
