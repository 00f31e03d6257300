//! Connecting the flash: pins, start-up faults, size.

use std::time::Duration;

use guru_chip::{Capacity, FlashSize, JedecId, Quirk};
use guru_link::Link;
use guru_wire::{Begin, Command, Opcode};

use crate::spi::{Transaction, flash};
use crate::stub::Need;
use crate::{
    Error, Event, FlashInfo, FlashOptions, FlashSizeOption, FlashVoltage, Lacking,
    NotInSecureDownload, Notice, Observer, Session, SpiConnection,
};

/// Label of the size that is assumed when the id does not tell it.
const ASSUMED_SIZE: &str = "4MB";

/// Beyond this the ROM's 24-bit addresses end, in bytes.
pub(crate) const ADDRESSABLE: u64 = 16 << 20;

/// Bytes "SFDP" at the start of the discoverable parameters (JESD216).
const SFDP_SIGNATURE: u32 = u32::from_le_bytes(*b"SFDP");

/// XMC's manufacturer id.
const XMC: u8 = 0x20;

/// The flash as it was attached.
#[derive(Debug, Clone)]
pub(crate) struct Flash {
    /// How it was connected.
    pub connection: SpiConnection,
    /// JEDEC id, manufacturer in the low byte; `None` in Secure Download Mode.
    pub id: Option<u32>,
    /// Size that the id tells, in bytes.
    pub detected: Option<u64>,
    /// Size that counts: what the user says, else what the id says, in bytes.
    pub size: u64,
    /// Size that the ROM was told and knows, in bytes.
    pub told: Option<u32>,
    /// Size that it is to know, in bytes.
    pub wanted: Option<u32>,
}

impl<L: Link> Session<L> {
    /// Connects the flash and finds its size.
    pub(crate) async fn attach(
        &mut self,
        options: &FlashOptions,
        observer: &mut dyn Observer,
    ) -> Result<Flash, Error> {
        if let Some(flash) = &self.flash
            && flash.connection == options.connection
        {
            return Ok(flash.clone());
        }
        self.connect_pins(options.connection, observer).await?;
        let id = if self.device.secure_download {
            None
        } else {
            Some(self.wake_flash(options.connection, observer).await?)
        };
        let detected = id.and_then(|id| JedecId(id).capacity());
        let flash = Flash {
            connection: options.connection,
            id,
            detected: detected.map(|capacity| u64::from(capacity.bytes)),
            size: 0,
            told: None,
            wanted: None,
        };
        self.flash = Some(flash.clone());
        Ok(flash)
    }

    /// As [`attach`](Self::attach), and settles which size counts; begun again when the port or the
    /// chip is lost.
    pub(crate) async fn attach_sized(
        &mut self,
        options: &FlashOptions,
        observer: &mut dyn Observer,
    ) -> Result<Flash, Error> {
        self.insist(observer, async |session, observer| {
            session.attach_and_size(options, observer).await
        })
        .await
    }

    async fn attach_and_size(
        &mut self,
        options: &FlashOptions,
        observer: &mut dyn Observer,
    ) -> Result<Flash, Error> {
        let set = self.size_option(&options.size)?;
        let mut flash = self.attach(options, observer).await?;
        observer.event(Event::ConfiguringFlash);
        let detected = flash.id.and_then(|id| JedecId(id).capacity());
        flash.size = match (set, detected) {
            (Some(set), _) => u64::from(set.bytes),
            (None, Some(Capacity { bytes, label })) => {
                let bytes = u64::from(bytes);
                if options.size == FlashSizeOption::Detect {
                    observer.event(Event::FlashSizeDetected { label, bytes });
                }
                bytes
            }
            (None, None)
                if self.device.secure_download && options.size == FlashSizeOption::Detect =>
            {
                return Err(NotInSecureDownload::DetectSize.into());
            }
            (None, None) if self.device.secure_download => {
                u64::from(self.chip.rom.default_flash_size)
            }
            (None, None) => {
                let assumed = self.chip.flash.size_by_label(ASSUMED_SIZE).ok_or_else(|| {
                    Error::NotPossible("the flash size cannot be told".to_owned())
                })?;
                observer.event(Event::Notice(Notice::FlashSizeAssumed {
                    id: flash.id.unwrap_or_default(),
                    label: assumed.label,
                }));
                u64::from(assumed.bytes)
            }
        };
        if flash.size > ADDRESSABLE && !self.stub_may_reach_all() {
            observer.event(Event::Notice(Notice::LargeFlash));
        }
        self.flash = Some(flash.clone());
        Ok(flash)
    }

    /// Whether the flash has a size that was not given and cannot be found out.
    pub(crate) fn size_is_unknown(&self, options: &FlashOptions) -> bool {
        self.device.secure_download && !matches!(options.size, FlashSizeOption::Set(_))
    }

    /// Refuses what lies beyond a size that cannot be known. `end` is behind the last byte.
    pub(crate) fn check_known(
        &self,
        options: &FlashOptions,
        flash: &Flash,
        end: u64,
    ) -> Result<(), Error> {
        if self.size_is_unknown(options) && end > flash.size {
            let size = flash.size;
            return Err(NotInSecureDownload::Beyond { end, size }.into());
        }
        Ok(())
    }

    /// Has the stub come for a job that only a stub's addresses reach, and refuses it without one. `end`
    /// is behind the last byte of the job, which lies in the flash.
    pub(crate) async fn reach(
        &mut self,
        end: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if end > ADDRESSABLE {
            return self.need_stub(Need::Addresses { end }, observer).await;
        }
        Ok(())
    }

    /// Refuses what the ROM would not write or erase, because it takes its flash for a smaller one and
    /// has no command to be told otherwise (ESP8266).
    pub(crate) fn check_rom_reach(&self, end: u64) -> Result<(), Error> {
        let size = self.chip.rom.default_flash_size;
        if !self.answers(Opcode::SpiSetParams) && end > u64::from(size) {
            return Err(Error::BeyondRom { end, size });
        }
        Ok(())
    }

    fn size_option(&self, option: &FlashSizeOption) -> Result<Option<FlashSize>, Error> {
        let FlashSizeOption::Set(label) = option else {
            return Ok(None);
        };
        match self.chip.flash.size_by_label(label) {
            Some(size) => Ok(Some(size)),
            None => Err(Error::BadRequest(format!(
                "flash size '{label}' is not one that {} knows; it knows {}",
                self.chip.name,
                self.chip.flash.size_labels().collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// Tells the ROM how much flash it may touch, in bytes.
    pub(crate) async fn tell_size(&mut self, size: u32) -> Result<(), Error> {
        if let Some(flash) = &mut self.flash {
            flash.wanted = Some(size);
        }
        if !self.answers(Opcode::SpiSetParams)
            || self
                .flash
                .as_ref()
                .is_some_and(|flash| flash.told == Some(size))
        {
            return Ok(());
        }
        let command = Command::SpiSetParams { size };
        let timeout = self.channel.timeouts.command;
        self.channel
            .query(&command, 0, timeout, "setting the flash parameters")
            .await?;
        if let Some(flash) = &mut self.flash {
            flash.told = Some(size);
        }
        Ok(())
    }

    /// Tells the ROM once more how much flash it may touch.
    pub(crate) async fn retell_size(&mut self) -> Result<(), Error> {
        let Some(flash) = &mut self.flash else {
            return Ok(());
        };
        flash.told = None;
        match flash.wanted {
            Some(size) => self.tell_size(size).await,
            None => Ok(()),
        }
    }

    /// After a reconnection: the flash is connected as before.
    pub(crate) async fn attach_again(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        // What is known stays known if this fails.
        let Some(flash) = &self.flash else {
            return Ok(());
        };
        let connection = flash.connection;
        self.connect_pins(connection, &mut |_| {}).await?;
        if !self.device.secure_download {
            self.wake_flash(connection, observer).await?;
        }
        self.retell_size().await
    }

    pub(crate) async fn connect_pins(
        &mut self,
        connection: SpiConnection,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let pins = self.pins_word(connection, observer).await?;
        let timeout = self.channel.timeouts.command;
        let doing = "connecting the flash";
        if self.chip.quirks.contains(&Quirk::LegacyAttach) {
            let begin = Begin {
                erase_size: 0,
                blocks: 0,
                block_size: self.chip.rom.flash_block,
                offset: 0,
                encrypted: None,
            };
            self.channel
                .query(&Command::FlashBegin(begin), 0, timeout, doing)
                .await?;
        } else {
            self.channel
                .query(&Command::SpiAttach { pins }, 0, timeout, doing)
                .await?;
        }
        Ok(())
    }

    /// The chip does not have what was asked for.
    pub(crate) fn lacks(&self, what: Lacking) -> Error {
        Error::Lacking {
            chip: self.chip.name,
            what,
        }
    }

    async fn pins_word(
        &mut self,
        connection: SpiConnection,
        observer: &mut dyn Observer,
    ) -> Result<u32, Error> {
        let known = &self.chip.spi.pins;
        match connection {
            SpiConnection::Hspi if known.hspi => Ok(1),
            SpiConnection::Hspi => Err(self.lacks(Lacking::Hspi)),
            SpiConnection::Pins { .. } if !known.custom => Err(self.lacks(Lacking::CustomPins)),
            SpiConnection::Pins { clk, q, d, hd, cs } => {
                let pins = [clk, q, d, hd, cs];
                let there = known.gpios;
                let valid = |pin: &u8| there.iter().any(|(a, b)| (*a..=*b).contains(pin));
                if let Some(bad) = pins.iter().find(|pin| !valid(pin)) {
                    return Err(self.lacks(Lacking::Gpio { gpio: *bad, there }));
                }
                if let Some(most) = known.hd_max.filter(|most| hd > *most) {
                    return Err(self.lacks(Lacking::HoldGpio { gpio: hd, most }));
                }
                let usb: Vec<u8> = pins
                    .into_iter()
                    .filter(|pin| known.usb_gpios.contains(pin))
                    .collect();
                if !usb.is_empty() {
                    observer.event(Event::Notice(Notice::UsbPins { pins: usb }));
                }
                Ok(pack_pins(pins))
            }
            SpiConnection::Default => {
                if self.chip.quirks.contains(&Quirk::AttachFromEfuse)
                    && !self.device.secure_download
                {
                    let pads = self.efuse_pads().await?;
                    if pads != [0; 5] {
                        observer.event(Event::AttachingFromEfuse { pads });
                        return Ok(pack_pins(pads));
                    }
                }
                observer.event(Event::AttachingDefault);
                Ok(0)
            }
        }
    }

    /// Pads of the flash inside the package of an ESP32: CLK, Q, D, HD, CS.
    async fn efuse_pads(&mut self) -> Result<[u8; 5], Error> {
        let mut pads = [0; 5];
        for (pad, name) in pads
            .iter_mut()
            .zip(["pad_clk", "pad_q", "pad_d", "pad_hd", "pad_cs"])
        {
            *pad = self.named_bits(name).await? as u8;
        }
        Ok(pads)
    }

    /// Finds out whether a flash answers and has started up rightly, and brings it back into its
    /// plain state, which an application may have left. Returns the JEDEC id.
    async fn wake_flash(
        &mut self,
        connection: SpiConnection,
        observer: &mut dyn Observer,
    ) -> Result<u32, Error> {
        let controller = self.spi_begin().await?;
        let mut id = self.spi_flash_id().await?;
        if !is_started_xmc(id) {
            let (signature, parameters) = self.sfdp_head().await?;
            if signature == SFDP_SIGNATURE && parameters.to_le_bytes()[0] == XMC {
                id = self.restart_xmc().await?;
                let fixed = is_started_xmc(id);
                observer.event(Event::Notice(Notice::XmcStartUp { fixed }));
            }
            if signature != SFDP_SIGNATURE && is_no_answer(id) {
                let custom_pins = matches!(connection, SpiConnection::Pins { .. });
                observer.event(Event::Notice(Notice::FlashNotConnected { id, custom_pins }));
            }
        }
        self.spi_commands(&[flash::RESET_ENABLE, flash::RESET])
            .await?;
        self.channel
            .link_mut()
            .sleep(Duration::from_millis(1))
            .await?;
        self.spi_end(controller).await?;
        Ok(id)
    }

    /// Signature of the discoverable parameters, and the word at 0x10, whose low byte is the
    /// maker's id in the second parameter header.
    async fn sfdp_head(&mut self) -> Result<(u32, u32), Error> {
        const LENGTH: usize = 20;
        let transaction = Transaction {
            command: flash::READ_SFDP,
            address: Some(0),
            dummy_bits: 8,
            read: LENGTH,
            ..Transaction::default()
        };
        let words = self.spi_words(transaction, &[0, 0x10]).await?;
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        Ok((word(0), word(1)))
    }

    /// Start-up sequence of XMC's XM25QHxxC after a power-up that was too slow for it (ESP-IDF,
    /// `bootloader_flash_xmc_startup`).
    async fn restart_xmc(&mut self) -> Result<u32, Error> {
        const ENTER_OTP: u8 = 0x79;
        const RELEASE: u8 = 0xFF;
        for command in [flash::POWER_DOWN, ENTER_OTP, RELEASE] {
            self.spi_command(command).await?;
        }
        self.channel
            .link_mut()
            .sleep(Duration::from_millis(2))
            .await?;
        self.spi_command(flash::RELEASE_POWER_DOWN).await?;
        self.channel
            .link_mut()
            .sleep(Duration::from_micros(20))
            .await?;
        self.spi_flash_id().await
    }

    /// Id, size, data lines and voltage of the flash.
    ///
    /// # Errors
    ///
    /// [`Error::SecureDownload`], and what the link and the chip say.
    pub async fn flash_info(
        &mut self,
        options: &FlashOptions,
        observer: &mut dyn Observer,
    ) -> Result<FlashInfo, Error> {
        let jedec_id = self.attached_id(options, observer).await?;
        let id = JedecId(jedec_id);
        let size = id.capacity();
        let tables = &self.chip.flash;
        let data_lines = match tables.type_bit {
            Some(bits) => Some(if self.learn(|words| bits.read(words)).await? == 0 {
                4
            } else {
                8
            }),
            None => None,
        };
        let voltage = self.learn(|words| tables.voltage(words)).await?;
        Ok(FlashInfo {
            jedec_id,
            manufacturer: id.manufacturer(),
            device: id.device(),
            size: size.map(|capacity| u64::from(capacity.bytes)),
            size_label: size.map(|capacity| capacity.label),
            data_lines,
            voltage: voltage.map(|voltage| FlashVoltage {
                volts: voltage.volts,
                source: voltage.source,
            }),
        })
    }
}

fn pack_pins([clk, q, d, hd, cs]: [u8; 5]) -> u32 {
    u32::from(hd) << 24
        | u32::from(cs) << 18
        | u32::from(d) << 12
        | u32::from(q) << 6
        | u32::from(clk)
}

/// Whether an id is one that XMC's parts have when they have started up rightly.
fn is_started_xmc(id: u32) -> bool {
    let [maker, kind, capacity, _] = id.to_le_bytes();
    maker == XMC
        && match kind {
            0x40 => (0x13..=0x20).contains(&capacity),
            0x41 => (0x17..=0x20).contains(&capacity),
            0x50 => (0x15..=0x16).contains(&capacity),
            _ => false,
        }
}

/// Whether an id is what a line without a flash reads as.
fn is_no_answer(id: u32) -> bool {
    matches!(id, 0 | 0xFF_FFFF | 0x3F_FFFF | 0xFF_FF3F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_packed_as_the_rom_takes_them() {
        assert_eq!(pack_pins([6, 17, 8, 11, 16]), 0x0B40_8446);
    }

    #[test]
    fn a_started_xmc_part_is_known_by_type_and_capacity() {
        assert!(is_started_xmc(0x17_40_20));
        assert!(!is_started_xmc(0x17_70_20));
        assert!(!is_started_xmc(0x16_40_EF));
    }
}
