//! How a chip is left.

use std::time::Duration;

use guru_chip::{OtgReset, Quirk};
use guru_link::{Lines, Link, LinkError, PortInfo, ResetSequence};
use guru_wire::{Begin, Command};

use crate::boot_log::BootLog;
use crate::enter::has_flow_control;
use crate::recover::wait_for_port;
use crate::usb::{is_own_usb, otg_chips};
use crate::{
    After, Before, ConnectOptions, Error, Event, Leaving, NoSuchReset, Notice, Observer, Session,
    SpiConnection, UsbMode,
};

/// How long a port may be away that left with the last reset.
const AWAY: Duration = Duration::from_secs(3);

/// How long a boot log takes over a chip's own USB.
const BOOT_LOG: Duration = Duration::from_millis(300);

/// The sequence of control lines by which the chip behind a port starts its application.
pub(crate) fn app_reset(info: &PortInfo, options: &ConnectOptions) -> (ResetSequence, Leaving) {
    match &options.hard_reset {
        Some(custom) => (custom.clone(), Leaving::CustomReset),
        None => (by_pin(info, is_own_usb(info)), Leaving::HardReset),
    }
}

fn by_pin(info: &PortInfo, own_usb: bool) -> ResetSequence {
    if has_flow_control(info) {
        ResetSequence::hard_with_flow_control()
    } else {
        ResetSequence::hard(own_usb)
    }
}

/// Whether the chip behind a port can be reset into its application only by registers: over the
/// USB-OTG device of the ROM of some chips.
pub(crate) fn reset_needs_loader(info: &PortInfo) -> bool {
    otg_chips(info).any(|chip| chip.usb.otg_reset != OtgReset::Pin)
}

impl<L: Link> Session<L> {
    /// Whether the chip can be left in this way, over this port and in its mode. To be asked before
    /// a job begins.
    ///
    /// # Errors
    ///
    /// [`Error::NotPossible`] with the reason.
    pub fn can_leave(&self, after: After) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::NotPossible(reason));
        match after {
            After::WatchdogReset if self.options.no_such_reset == NoSuchReset::HardReset => Ok(()),
            After::WatchdogReset if self.device.secure_download => refuse(
                "a watchdog reset needs register access, which Secure Download Mode does not give; \
                 use --after hard-reset"
                    .to_owned(),
            ),
            After::WatchdogReset if !self.has_watchdog_reset() => refuse(format!(
                "{} cannot be reset by its watchdog; use --after hard-reset",
                self.chip.name
            )),
            After::HoldInReset => self.can_hold(),
            _ => Ok(()),
        }
    }

    /// Whether this session resets the chip as it likes.
    pub(crate) fn resets(&self) -> bool {
        matches!(self.options.before, Before::DefaultReset | Before::UsbReset)
    }

    fn can_hold(&self) -> Result<(), Error> {
        let info = self.channel.link().info();
        let why = if self.device.usb_mode.is_some() {
            "the chip's own USB has no line to EN, and goes away with the reset"
        } else if info.capabilities.network {
            "a server releases the lines of its port when the connection ends"
        } else if !info.capabilities.lines {
            "the port has no RTS"
        } else if has_flow_control(info) {
            "the adapter uses its lines for flow control"
        } else {
            return Ok(());
        };
        Err(Error::NotPossible(format!(
            "the chip cannot be held in reset over this port: {why}"
        )))
    }

    fn has_watchdog_reset(&self) -> bool {
        let watchdogs = self.chip.watchdogs.as_ref();
        !self.device.secure_download && watchdogs.is_some_and(|watchdogs| watchdogs.can_reset)
    }

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
        self.can_leave(after)?;
        let to_rom = matches!(after, After::NoReset | After::SoftReset);
        if to_rom && self.resets() && self.stub_runs() {
            self.leave_stub(observer).await?;
        }
        let leaving = match after {
            After::WatchdogReset if self.has_watchdog_reset() => {
                self.reset_by_watchdog(observer).await?
            }
            After::WatchdogReset => {
                observer.event(Event::Notice(Notice::NoWatchdogReset {
                    chip: self.chip.name,
                    secure_download: self.device.secure_download,
                }));
                self.hard_reset(observer).await?
            }
            After::HardReset => self.hard_reset(observer).await?,
            After::SoftReset => self.soft_reset().await?,
            After::NoReset | After::NoResetStub => Leaving::InLoader,
            After::HoldInReset => self.hold_in_reset().await?,
        };
        observer.event(Event::Leaving(leaving));
        Ok(leaving)
    }

    async fn hard_reset(&mut self, observer: &mut dyn Observer) -> Result<Leaving, Error> {
        let mode = self.device.usb_mode;
        if let Some(custom) = self.options.hard_reset.clone() {
            return self.play(custom, Leaving::CustomReset, observer).await;
        }
        let strapped = self.is_strapped().await?;
        if mode == Some(UsbMode::Otg) && strapped && self.has_watchdog_reset() {
            return self.reset_by_watchdog(observer).await;
        }
        let sequence = by_pin(self.channel.link().info(), mode.is_some());
        if mode.is_some() {
            // What comes now is the boot log.
            self.channel.discard_input().await?;
            self.channel.take_text();
        }
        let left = self.play(sequence, Leaving::HardReset, observer).await?;
        if left != Leaving::HardReset || mode.is_none() {
            return Ok(left);
        }
        if !self.is_back_in_loader(strapped, observer).await? {
            return Ok(left);
        }
        let watchdog = self.has_watchdog_reset();
        observer.event(Event::Notice(Notice::StuckInLoader { watchdog }));
        if watchdog && self.channel.resync().await? {
            return self.reset_by_watchdog(observer).await;
        }
        Ok(Leaving::InLoader)
    }

    async fn play(
        &mut self,
        sequence: ResetSequence,
        leaving: Leaving,
        observer: &mut dyn Observer,
    ) -> Result<Leaving, Error> {
        match sequence.play(self.channel.link_mut()).await {
            Ok(()) => Ok(leaving),
            // The chip's own USB goes away with the reset that was asked for.
            Err(error) if error.is_lost() && self.device.usb_mode.is_some() => Ok(leaving),
            Err(LinkError::NoLines) => {
                let port = self.device.port.clone();
                observer.event(Event::Notice(Notice::NotReset { port }));
                Ok(Leaving::InLoader)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// After a reset over the chip's own USB: waits for the port if it went away, and finds out
    /// whether the chip is in its loader again.
    async fn is_back_in_loader(
        &mut self,
        strapped: bool,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let quiet = self.channel.quiet();
        match self.channel.drain(quiet, BOOT_LOG).await {
            Ok(()) if self.device.usb_mode == Some(UsbMode::Otg) => return Ok(strapped),
            Ok(()) => {
                let mut log = BootLog::default();
                log.take(&self.channel.take_text());
                return Ok(log.shows_loader());
            }
            Err(error) if error.is_lost() => {}
            Err(error) => return Err(error.into()),
        }
        if !wait_for_port(&mut self.channel, AWAY, observer).await? {
            let port = self.device.port.clone();
            observer.event(Event::Notice(Notice::PortGone { port }));
            return Ok(false);
        }
        let info = self.channel.link().info();
        self.device.port.clone_from(&info.name);
        // As a USB-OTG device the ROM is told from applications by its product id.
        let product = info.usb.as_ref().map(|usb| usb.product);
        Ok(product.is_some() && product == self.chip.usb.otg_product)
    }

    /// Starts the watchdog, and waits for the reset and what it does to the port.
    async fn reset_by_watchdog(&mut self, observer: &mut dyn Observer) -> Result<Leaving, Error> {
        if self.device.usb_mode.is_some() {
            self.channel.discard_input().await?;
            self.channel.take_text();
        }
        self.end_forced_download().await?;
        self.watchdog_reset().await?;
        if self.device.usb_mode.is_some() && self.is_back_in_loader(false, observer).await? {
            let watchdog = false;
            observer.event(Event::Notice(Notice::StuckInLoader { watchdog }));
            return Ok(Leaving::InLoader);
        }
        Ok(Leaving::WatchdogReset)
    }

    /// Whether a pulse on RTS over USB-OTG would lead back into the loader: the boot pin was low at
    /// power-up, and download is not forced by software, which the reset would end.
    async fn is_strapped(&mut self) -> Result<bool, Error> {
        if self.device.secure_download {
            return Ok(false);
        }
        let otg = self.device.usb_mode == Some(UsbMode::Otg);
        let clears = self.chip.has(Quirk::ClearForceDownload);
        let forced = match self.forced_download().await {
            // A reset by RTS needs no answer.
            Err(Error::NoAnswer { .. } | Error::Refused { .. }) if !otg => false,
            Ok(true) if clears => {
                self.end_forced_download().await?;
                false
            }
            forced => forced?,
        };
        let strapping = self.chip.strapping.as_ref();
        match (self.chip.usb.otg_reset, strapping) {
            _ if !otg => Ok(false),
            (OtgReset::Watchdog, _) => Ok(true),
            (OtgReset::WatchdogIfStrapped, Some(strapping)) => {
                let strap = self.read_reg_surely(strapping.gpio_strap).await?;
                Ok(strap >> strapping.boot_bit & 1 == 0 && !forced)
            }
            _ => Ok(false),
        }
    }

    /// Whether software has asked for the loader at the next reset, where that can be asked and
    /// matters.
    async fn forced_download(&mut self) -> Result<bool, Error> {
        let otg = self.device.usb_mode == Some(UsbMode::Otg);
        let strapping = self.chip.strapping.as_ref();
        let Some(bits) = strapping
            .and_then(|strapping| strapping.force_download)
            .filter(|_| otg || self.chip.has(Quirk::ClearForceDownload))
        else {
            return Ok(false);
        };
        Ok(bits.of(self.read_reg_surely(bits.addr).await?) != 0)
    }

    /// Takes back what software has asked for.
    async fn end_forced_download(&mut self) -> Result<(), Error> {
        let strapping = self.chip.strapping.as_ref();
        let Some(bits) = strapping.and_then(|strapping| strapping.force_download) else {
            return Ok(());
        };
        let word = self.read_reg_surely(bits.addr).await?;
        if bits.of(word) != 0 {
            self.write_reg(bits.addr, word & !bits.mask()).await?;
        }
        Ok(())
    }

    /// Pulls EN low and leaves it so.
    async fn hold_in_reset(&mut self) -> Result<Leaving, Error> {
        let link = self.channel.link_mut();
        link.keep_lines().await?;
        link.set_lines(Lines::both(false, true)).await?;
        Ok(Leaving::HeldInReset)
    }

    /// The loader starts the application, without a reset.
    async fn soft_reset(&mut self) -> Result<Leaving, Error> {
        self.begin_to_leave(&mut |_| {}).await?;
        // To a ROM this means to go on with what is in flash; the application starts at once, and
        // an answer need not come.
        self.channel.send(&Command::FlashEnd { stay: true }).await?;
        Ok(Leaving::SoftReset)
    }

    /// Begins an empty write, whose end is the end of the loader.
    pub(crate) async fn begin_to_leave(
        &mut self,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if self.flash.is_none() {
            // A ROM begins no write, not even an empty one, without a flash.
            self.connect_pins(SpiConnection::Default, observer).await?;
        }
        let begin = Begin {
            erase_size: 0,
            blocks: 0,
            block_size: self.chip.rom.flash_block,
            offset: 0,
            encrypted: self.chip.rom.encrypts().then_some(false),
        };
        let timeout = self.channel.timeouts.command;
        let doing = "leaving the loader";
        let begin = Command::FlashBegin(begin);
        self.channel.query(&begin, 0, timeout, doing).await?;
        Ok(())
    }
}
