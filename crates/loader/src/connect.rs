//! From an open port to a session: into the loader, detection, identity.

use std::collections::BTreeMap;
use std::time::Duration;

use guru_chip::{Chip, Crystal, Detection, MAGIC_ADDRESS, SecurityInfoForm};
use guru_link::Link;
use guru_wire::{Command, ErrorCode, SecurityInfo};

use crate::channel::{Channel, Fault};
use crate::enter::synchronize;
use crate::line::LineState;
use crate::stub::StubState;
use crate::usb::usb_mode;
use crate::{
    Before, ChipRead, ConnectOptions, DeviceInfo, Error, Event, Notice, Observer, Session, UsbMode,
};

/// Highest rate, in bits per second, at which a connection is begun.
const CONNECT_BAUD: u32 = 115_200;

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
        if channel.link().info().usb.is_none() && options.reset.is_none() {
            observer.event(Event::Notice(Notice::UnknownUsb { port }));
        }
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
        let usb_mode = usb_mode(chip, channel.link().info());
        let port = channel.link().info().name.clone();
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
            stub: StubState::default(),
            work_baud: None,
            reader: None,
            unfinished: None,
        };
        if secure_download {
            session.channel.allowed = Some(chip.rom.secure_commands);
            observer.event(Event::Notice(Notice::SecureDownload));
        } else if session.options.identify {
            if usb_mode == Some(UsbMode::SerialJtag) {
                session.silence_watchdogs().await?;
            }
            let identified = session.identify(observer).await;
            identified.map_err(|error| session.or_only_certificates(error))?;
        }
        session.choose_stub()?;
        observer.event(Event::Connected(Box::new(session.device.clone())));
        if !session.options.identify {
            return Ok(session);
        }
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
        self.stub_is_gone();
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
        self.attach_again(observer).await?;
        self.engage_stub_again(observer).await
    }
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
            (found, ChipRead::Id(chip_id))
        }
        None if security.is_some_and(|info| info.flags.secure_download()) => {
            // Registers cannot be read, and only one chip answers without a chip id.
            let short = |chip: &&Chip| chip.rom.security_info == SecurityInfoForm::Short;
            let found = guru_chip::CHIPS.iter().copied().find(short);
            (found, ChipRead::Id(0))
        }
        None => {
            let mut magic = magic_word(channel).await?;
            if guru_chip::by_magic(magic).is_none() {
                magic = magic_word(channel).await?;
            }
            (guru_chip::by_magic(magic), ChipRead::Magic(magic))
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
