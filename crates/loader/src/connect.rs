//! Reset, SYNC, detection: from an open port to a session.

use std::collections::BTreeMap;
use std::time::Duration;

use guru_chip::{
    Chip, Crystal, Detection, ESPRESSIF_VENDOR, MAGIC_ADDRESS, SecurityInfoForm,
    USB_SERIAL_JTAG_PRODUCT,
};
use guru_link::{Link, LinkError, PortInfo, ResetSequence};
use guru_wire::{Command, ErrorCode, SecurityInfo};

use crate::boot_log::BootLog;
use crate::channel::{Channel, Fault, Synced};
use crate::line::LineState;
use crate::{
    Before, ConnectFailure, ConnectOptions, DeviceInfo, Error, Event, Notice, Observer, Session,
    UsbMode,
};

/// Highest rate, in bits per second, at which a connection is begun.
const CONNECT_BAUD: u32 = 115_200;

/// Tries of SYNC after each reset.
const SYNC_TRIES: u32 = 5;

/// Pause between tries of SYNC.
const SYNC_PAUSE: Duration = Duration::from_millis(50);

/// How long GPIO0 is held low after reset: enough for most boards, and for those with a large
/// capacitor at EN.
const RESET_DELAYS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(550)];

/// Answers to a command that a ROM does not know come several times over; this long after the
/// last one nothing more follows.
const UNSUPPORTED_QUIET: Duration = Duration::from_millis(50);

impl<L: Link> Session<L> {
    /// Brings the chip into its loader, finds out which one it is, and sets the baud rate for the
    /// work.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] when no loader answers, [`Error::WrongChip`] when another chip than the
    /// named one does, [`Error::UnknownChip`], and what the link says.
    pub async fn connect(
        link: L,
        options: ConnectOptions,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let mut channel = Channel::new(link, options.timeouts);
        let port = channel.link().info().name.clone();
        observer.event(Event::Connecting { port: port.clone() });
        if options.before != Before::NoResetNoSync {
            let baud = options
                .baud
                .map_or(CONNECT_BAUD, |baud| baud.min(CONNECT_BAUD));
            channel.link_mut().set_baud(baud).await?;
        }
        synchronize(&mut channel, &options, observer).await?;
        observer.event(Event::DetectingChip);
        let (chip, security) = detect(&mut channel, options.chip, observer).await?;
        let secure_download = security.is_some_and(|info| info.flags.secure_download());
        let usb_mode = usb_mode(chip, channel.link());
        let mut session = Self {
            channel,
            chip,
            options,
            device: DeviceInfo {
                port,
                chip: chip.name,
                description: None,
                features: Vec::new(),
                crystal_mhz: None,
                usb_mode,
                mac: None,
                extended_mac: None,
                secure_download,
            },
            revision: None,
            mac: None,
            words: BTreeMap::new(),
            security,
            flash: None,
            line: LineState::default(),
            work_baud: None,
            reader: None,
            unfinished: None,
        };
        if secure_download {
            session.channel.allowed = Some(chip.rom.secure_commands);
            observer.event(Event::Notice(Notice::SecureDownload));
        } else {
            if usb_mode == Some(UsbMode::SerialJtag) {
                session.silence_watchdogs().await?;
            }
            session.identify(observer).await?;
        }
        observer.event(Event::Connected(Box::new(session.device.clone())));
        if !secure_download {
            session.power_flash().await?;
            if let Some(volts) = session.options.override_vddsdio {
                session.set_vddsdio(volts).await?;
            }
        }
        session.raise_baud(observer).await?;
        Ok(session)
    }

    /// Reads what says part, revision, features and MAC.
    async fn identify(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let chip = self.chip;
        let identity = self.learn(|words| chip.identify(words)).await?;
        self.revision = identity.revision;
        self.mac = Some(identity.mac);
        self.device.description = Some(identity.description);
        self.device.features = identity.features;
        self.device.mac = Some(identity.mac.to_string());
        self.device.extended_mac = identity.eui64.map(Into::into);
        self.device.crystal_mhz = Some(match self.chip.crystal {
            Crystal::Fixed(mhz) => mhz,
            Crystal::Estimated { .. } => {
                let divider = self.read_reg(self.chip.uart.clkdiv).await?;
                let baud = self.channel.link().baud();
                let estimate = self.chip.crystal.estimate(baud, divider);
                if estimate.is_doubtful() {
                    observer.event(Event::Notice(Notice::OddCrystal {
                        estimated_khz: estimate.measured_khz,
                        taken_mhz: estimate.mhz,
                    }));
                }
                estimate.mhz
            }
        });
        Ok(())
    }

    /// After the port was lost and opened again: brings the same chip back to where it was.
    pub(crate) async fn reconnect(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let present = self.channel.link().baud();
        let baud = self.work_baud.unwrap_or(present);
        if self.options.before != Before::NoResetNoSync {
            let initial = present.min(CONNECT_BAUD);
            self.channel.link_mut().set_baud(initial).await?;
        }
        synchronize(&mut self.channel, &self.options, observer).await?;
        let (chip, _) = detect(&mut self.channel, Some(self.chip), observer).await?;
        if chip.id != self.chip.id {
            return Err(Error::WrongChip {
                named: self.chip.name,
                found: chip.name.to_owned(),
            });
        }
        if self.device.secure_download {
            self.raise_baud_to(baud, observer).await?;
            return self.attach_again(observer).await;
        }
        if self.device.usb_mode == Some(UsbMode::SerialJtag) {
            self.silence_watchdogs().await?;
        }
        let before = std::mem::take(&mut self.words);
        let found = self.learn(|words| chip.identity.mac.read(words)).await?;
        if let Some(expected) = self.mac.filter(|mac| *mac != found) {
            return Err(Error::OtherDevice {
                expected: expected.to_string(),
                found: found.to_string(),
            });
        }
        self.words = before;
        self.power_flash().await?;
        self.raise_baud_to(baud, observer).await?;
        self.attach_again(observer).await
    }
}

/// Resets the chip into its loader and waits for an answer to SYNC.
async fn synchronize<L: Link>(
    channel: &mut Channel<L>,
    options: &ConnectOptions,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    match options.before {
        Before::NoResetNoSync => {
            observer.event(Event::Notice(Notice::NoReset));
            return Ok(());
        }
        Before::NoReset => observer.event(Event::Notice(Notice::NoReset)),
        Before::DefaultReset | Before::UsbReset => {}
    }
    let mut strategies = strategies(channel.link(), options);
    let mut log = BootLog::default();
    let mut attempt = 0_u32;
    loop {
        let mut stub = false;
        if let Some(sequence) = pick(&strategies, attempt) {
            if !channel.link().info().capabilities.network {
                channel.discard_input().await?;
            }
            match sequence.play(channel.link_mut()).await {
                Ok(()) => {}
                Err(LinkError::NoLines) => {
                    let port = channel.link().info().name.clone();
                    observer.event(Event::Notice(Notice::NotReset { port }));
                    strategies.clear();
                }
                Err(error) => return Err(error.into()),
            }
            let quiet = channel.quiet();
            channel.drain(quiet, quiet * 20).await?;
            log.take(&channel.take_text());
        }
        for _ in 0..SYNC_TRIES {
            if !channel.link().info().capabilities.network {
                channel.discard_input().await?;
            }
            match channel.sync().await {
                Ok(Synced::Stub) => stub = true,
                Ok(Synced::Rom) => {
                    let quiet = channel.quiet();
                    channel.drain(quiet, quiet * 10).await?;
                    channel.take_text();
                    return Ok(());
                }
                Err(Fault::Link(error)) => return Err(error.into()),
                Err(_) => {}
            }
            log.take(&channel.take_text());
            channel.link_mut().sleep(SYNC_PAUSE).await?;
        }
        attempt += 1;
        if options.attempts.is_some_and(|attempts| attempt >= attempts) {
            let reason = match log.verdict() {
                _ if stub => ConnectFailure::StubRunning,
                ConnectFailure::TxPathDown if is_own_usb(channel.link().info()) => {
                    ConnectFailure::UsbDownloadDisabled
                }
                ConnectFailure::Silence | ConnectFailure::Garbage if channel.packets_seen() => {
                    ConnectFailure::NoSyncReply
                }
                verdict => verdict,
            };
            let port = channel.link().info().name.clone();
            return Err(Error::Connect { port, reason });
        }
        observer.event(Event::ConnectAttempt { attempt });
    }
}

fn pick(strategies: &[ResetSequence], attempt: u32) -> Option<&ResetSequence> {
    strategies.get(attempt as usize % strategies.len().max(1))
}

/// The reset sequences to try, in turn.
fn strategies<L: Link>(link: &L, options: &ConnectOptions) -> Vec<ResetSequence> {
    let info = link.info();
    if options.before == Before::NoReset {
        return Vec::new();
    }
    if let Some(custom) = &options.reset {
        return vec![custom.clone()];
    }
    let jtag = info.usb.as_ref().is_some_and(|usb| {
        usb.vendor == ESPRESSIF_VENDOR && usb.product == USB_SERIAL_JTAG_PRODUCT
    });
    if jtag || options.before == Before::UsbReset {
        return vec![ResetSequence::usb_serial_jtag()];
    }
    let delays = options.reset_delay.map_or(RESET_DELAYS, |delay| [delay; 2]);
    let mut strategies = Vec::new();
    if info.capabilities.lines_together && !info.capabilities.network {
        strategies.extend(delays.map(ResetSequence::unix_tight));
    }
    strategies.extend(delays.map(ResetSequence::classic));
    if has_flow_control(info) {
        strategies = strategies
            .into_iter()
            .map(ResetSequence::for_flow_control)
            .collect();
    }
    strategies
}

/// Whether the adapter uses DTR or RTS for flow control of its own.
pub(crate) fn has_flow_control(info: &PortInfo) -> bool {
    let usb = info.usb.as_ref();
    usb.and_then(|usb| guru_chip::adapter(usb.vendor, usb.product))
        .is_some_and(|adapter| adapter.lines_flow_control)
}

/// Whether the port is a USB device of the chip itself.
fn is_own_usb(info: &PortInfo) -> bool {
    info.usb
        .as_ref()
        .is_some_and(|usb| usb.vendor == ESPRESSIF_VENDOR)
}

/// Which chip it is, and what it says about its security.
async fn detect<L: Link>(
    channel: &mut Channel<L>,
    named: Option<&'static Chip>,
    observer: &mut dyn Observer,
) -> Result<(&'static Chip, Option<SecurityInfo>), Error> {
    // A named chip whose ROM does not know the security command is not asked for it.
    if let Some(named) = named.filter(|chip| chip.rom.security_info == SecurityInfoForm::None)
        && Detection::Magic(magic_word(channel).await?) == named.detection
    {
        return Ok((named, None));
    }
    let security = security_info(channel).await?;
    let (found, read) = match security.and_then(|info| info.chip) {
        Some((chip_id, _)) => {
            let found = u16::try_from(chip_id).ok().and_then(guru_chip::by_chip_id);
            (found, describe_chip_id(chip_id))
        }
        None if security.is_some_and(|info| info.flags.secure_download()) => {
            // Registers cannot be read, and only one chip answers without a chip id.
            let short = |chip: &&Chip| chip.rom.security_info == SecurityInfoForm::Short;
            let found = guru_chip::CHIPS.iter().copied().find(short);
            (found, "it is in Secure Download Mode".to_owned())
        }
        None => {
            let mut magic = magic_word(channel).await?;
            if guru_chip::by_magic(magic).is_none() {
                magic = magic_word(channel).await?;
            }
            (
                guru_chip::by_magic(magic),
                format!("magic value 0x{magic:08x}"),
            )
        }
    };
    match (found, named) {
        (Some(found), Some(named)) if found.id != named.id => Err(Error::WrongChip {
            named: named.name,
            found: found.name.to_owned(),
        }),
        (Some(found), _) => Ok((found, security)),
        (None, Some(named)) => {
            let chip = named.name.to_owned();
            observer.event(Event::Notice(Notice::UnexpectedChip { chip, read }));
            Ok((named, security))
        }
        (None, None) => Err(Error::UnknownChip(read)),
    }
}

/// The ROM word that differs between the early chips.
async fn magic_word<L: Link>(channel: &mut Channel<L>) -> Result<u32, Error> {
    let command = Command::ReadReg {
        address: MAGIC_ADDRESS,
    };
    let timeout = channel.timeouts.command;
    Ok(channel
        .query(&command, 0, timeout, "detecting the chip")
        .await?
        .value)
}

/// Answer to GET_SECURITY_INFO; `None` where the ROM does not know the command.
async fn security_info<L: Link>(channel: &mut Channel<L>) -> Result<Option<SecurityInfo>, Error> {
    let command = Command::GetSecurityInfo;
    let timeout = channel.timeouts.command;
    match channel
        .exchange(&command, SecurityInfo::LONG_LEN, timeout)
        .await
    {
        Ok(answer) => Ok(SecurityInfo::decode(&answer.data).ok()),
        Err(Fault::Refused(ErrorCode::INVALID_FORMAT)) => {
            channel
                .drain(UNSUPPORTED_QUIET, UNSUPPORTED_QUIET * 10)
                .await?;
            Ok(None)
        }
        Err(Fault::Link(error)) => Err(error.into()),
        Err(_) => {
            channel.resync().await?;
            let doing = "detecting the chip";
            match channel
                .query(&command, SecurityInfo::LONG_LEN, timeout, doing)
                .await
            {
                Ok(answer) => Ok(SecurityInfo::decode(&answer.data).ok()),
                Err(Error::Refused { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
    }
}

/// A chip id in words, with the name of a chip that this version does not support.
fn describe_chip_id(chip_id: u32) -> String {
    let known = u16::try_from(chip_id)
        .ok()
        .and_then(guru_chip::known_chip_id);
    match known {
        Some(known) if known.dropped => {
            format!("{} (chip id {chip_id}) is no longer supported", known.name)
        }
        Some(known) => {
            format!(
                "{} (chip id {chip_id}) is not supported by this version",
                known.name
            )
        }
        None => format!("chip id {chip_id}"),
    }
}

fn usb_mode<L: Link>(chip: &Chip, link: &L) -> Option<UsbMode> {
    let usb = link
        .info()
        .usb
        .as_ref()
        .filter(|usb| usb.vendor == ESPRESSIF_VENDOR)?;
    if chip.usb.serial_jtag && usb.product == USB_SERIAL_JTAG_PRODUCT {
        Some(UsbMode::SerialJtag)
    } else if chip.usb.otg_product == Some(usb.product) {
        Some(UsbMode::Otg)
    } else {
        None
    }
}
