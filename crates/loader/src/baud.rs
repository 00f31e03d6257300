//! The baud rate of the work.

use std::time::Duration;

use guru_chip::{AssumedCrystal, Crystal, Quirk};
use guru_link::Link;
use guru_wire::{Command, Opcode};

use crate::channel::Fault;
use crate::{Error, Event, Notice, Observer, Session};

/// Rate, in bits per second, for adapters about which nothing is known.
const USUAL_BAUD: u32 = 460_800;

/// Time in which a chip and an adapter have changed their rate.
const SETTLE: Duration = Duration::from_millis(50);

impl<L: Link> Session<L> {
    /// Changes to the rate that was asked for, or to the adapter's highest safe one.
    pub(crate) async fn raise_baud(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let link = self.channel.link();
        let capabilities = link.info().capabilities;
        let baud = match self.options.baud {
            Some(baud) => baud,
            None if !capabilities.baud => return Ok(()),
            None => capabilities.safe_baud.unwrap_or(USUAL_BAUD),
        };
        self.raise_baud_to(baud, observer).await
    }

    /// Changes the rate of chip and port. A chip that does not answer at the new rate is reset
    /// and used at the old one.
    pub(crate) async fn raise_baud_to(
        &mut self,
        baud: u32,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let present = self.channel.link().baud();
        if baud == present || !self.channel.link().info().capabilities.baud {
            return Ok(());
        }
        if !self.answers(Opcode::ChangeBaudrate) {
            if self.options.baud.is_some() && !self.stub_may_run() {
                observer.event(Event::Notice(Notice::Ignored {
                    option: "--baud",
                    reason: format!("{}'s ROM cannot change its baud rate", self.chip.name),
                }));
            }
            return Ok(());
        }
        let command = if self.stub_runs() {
            // It scales the divider that is in use.
            Command::ChangeBaudrate {
                new: baud,
                old: present,
            }
        } else if let Some(new) = self.rom_baud(baud, observer).await? {
            Command::ChangeBaudrate { new, old: 0 }
        } else {
            if self.options.baud.is_some() {
                observer.event(Event::Notice(Notice::UnknownCrystal { baud: present }));
            }
            return Ok(());
        };
        observer.event(Event::ChangingBaud { baud });
        let timeout = self.channel.timeouts.command;
        // An answer that was lost does not say whether the rate was changed; the new rate tells.
        if let Err(Fault::Link(error)) = self.channel.exchange(&command, 0, timeout).await {
            return Err(error.into());
        }
        self.set_baud(baud).await?;
        if self.answers_at_this_rate().await? {
            self.line.faults_at_rate = self.channel.faults();
            self.work_baud = Some(baud);
            observer.event(Event::BaudChanged { baud });
            return Ok(());
        }
        observer.event(Event::Notice(Notice::BaudRefused {
            asked: baud,
            baud: present,
        }));
        self.work_baud = Some(present);
        self.set_baud(present).await?;
        if self.answers_at_this_rate().await? {
            return Ok(());
        }
        Box::pin(self.reconnect(observer)).await
    }

    /// Changes the port's rate.
    async fn set_baud(&mut self, baud: u32) -> Result<(), Error> {
        self.channel.link_mut().set_baud(baud).await?;
        self.channel.link_mut().sleep(SETTLE).await?;
        self.channel.discard_input().await?;
        Ok(())
    }

    /// Whether the chip answers; a rate that is only nearly right shows in a few answers.
    async fn answers_at_this_rate(&mut self) -> Result<bool, Error> {
        const TRIES: u32 = 3;
        if self.device.secure_download {
            return Ok(self.channel.resync().await?);
        }
        let command = Command::ReadReg {
            address: self.chip.uart.date,
        };
        let timeout = self.channel.timeouts.sync * 5;
        for _ in 0..TRIES {
            match self.channel.exchange(&command, 0, timeout).await {
                Ok(_) => return Ok(true),
                Err(Fault::Link(error)) => return Err(error.into()),
                Err(_) => self.channel.discard_input().await?,
            }
        }
        Ok(false)
    }

    /// The number to send so that the chip changes to `baud`. The ROM divides what it takes its clock
    /// to be; where that is another than the chip has, the number makes up for it. `None`: it cannot
    /// be known what the clock is.
    async fn rom_baud(
        &mut self,
        baud: u32,
        observer: &mut dyn Observer,
    ) -> Result<Option<u32>, Error> {
        let Crystal::Estimated { assumed, .. } = self.chip.crystal else {
            return Ok(Some(baud));
        };
        match (assumed, self.device.crystal_mhz) {
            (AssumedCrystal::Right, _) => self.rom_baud_by_oscillator(baud).await.map(Some),
            // In Secure Download Mode no register can be read: all chips of a series are taken to
            // have the crystal that the ROM is told of.
            (AssumedCrystal::Register { .. }, None) => Ok(Some(baud)),
            (AssumedCrystal::Always(_), None) => Ok(None),
            (_, Some(mhz)) => {
                let crystal = self.chip.crystal;
                let taken = self.learn(|words| crystal.assumed(words)).await?;
                let taken = taken.filter(|taken| *taken != 0).unwrap_or(mhz);
                if matches!(assumed, AssumedCrystal::Register { .. }) {
                    observer.event(Event::Notice(Notice::RomCrystal {
                        taken_mhz: taken,
                        found_mhz: mhz,
                    }));
                }
                let new = u64::from(baud) * u64::from(taken) / u64::from(mhz).max(1);
                Ok(Some(u32::try_from(new).unwrap_or(baud)))
            }
        }
    }

    /// The ESP32's ROM works out its clock from the calibration of its internal oscillator.
    async fn rom_baud_by_oscillator(&mut self, baud: u32) -> Result<u32, Error> {
        /// Between the ESP32's two crystals, in Hz.
        const CRYSTAL_LIMIT: u64 = 33_000_000;
        if !self.chip.has(Quirk::BaudFromRtcCalibration) || self.device.secure_download {
            return Ok(baud);
        }
        let cycles = u64::from(self.named_bits("rtc_calibration").await?);
        let oscillator = u64::from(self.named_bits("ck8m").await?);
        let believed = cycles * 15_625 * oscillator / 40;
        if believed == 0 {
            return Ok(baud);
        }
        let real = if believed > CRYSTAL_LIMIT {
            40_000_000
        } else {
            26_000_000
        };
        Ok(u32::try_from(u64::from(baud) * believed / real).unwrap_or(baud))
    }

    /// Whether the loader answers a command in its present mode.
    pub(crate) fn answers(&self, opcode: Opcode) -> bool {
        if let Some(known) = self.stub_answers(opcode) {
            return known;
        }
        let commands = if self.device.secure_download {
            self.chip.rom.secure_commands
        } else {
            self.chip.rom.commands
        };
        commands.contains(&(opcode as u8))
    }
}
