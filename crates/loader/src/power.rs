//! Watchdogs, regulators and flash power: what must be set before the flash can be worked on.

use std::time::Duration;

use guru_chip::{Bits, Quirk, Revision};
use guru_link::Link;

use crate::{Error, Lacking, Session, VddSdio};

/// RTC_CNTL_SDIO_CONF of the ESP32 (technical reference manual, section 31).
const ESP32_SDIO_CONF: u32 = 0x3FF4_8074;

impl<L: Link> Session<L> {
    /// Keeps the RTC watchdog and the super watchdog from resetting the chip. Over USB-Serial/JTAG
    /// the application's watchdogs survive the way into the loader.
    pub(crate) async fn silence_watchdogs(&mut self) -> Result<(), Error> {
        let Some(watchdogs) = &self.chip.watchdogs else {
            return Ok(());
        };
        self.write_regs(&[
            (watchdogs.protect, watchdogs.key),
            (watchdogs.config0, 0),
            (watchdogs.protect, 0),
        ])
        .await?;
        if let Some(swd) = &watchdogs.swd {
            let config = self.read_reg_surely(swd.config).await?;
            self.write_regs(&[
                (swd.protect, swd.key),
                (swd.config, config | 1 << swd.auto_feed),
                (swd.protect, 0),
            ])
            .await?;
        }
        Ok(())
    }

    /// Starts the RTC watchdog so that it resets the chip, and waits for that.
    pub(crate) async fn watchdog_reset(&mut self) -> Result<(), Error> {
        /// Slow-clock cycles until the reset.
        const TIMEOUT: u32 = 2000;
        /// Enabled; stage 0 resets the system; long enough reset pulses.
        const CONFIG: u32 = 1 << 31 | 5 << 28 | 1 << 8 | 2;
        let Some(watchdogs) = self
            .chip
            .watchdogs
            .as_ref()
            .filter(|watchdogs| watchdogs.can_reset)
        else {
            return Err(Error::NotPossible(format!(
                "{} cannot be reset by its watchdog",
                self.chip.name
            )));
        };
        self.write_regs(&[
            (watchdogs.protect, watchdogs.key),
            (watchdogs.config1, TIMEOUT),
            (watchdogs.config0, CONFIG),
            (watchdogs.protect, 0),
        ])
        .await?;
        self.channel
            .link_mut()
            .sleep(Duration::from_millis(500))
            .await?;
        Ok(())
    }

    /// Sets the ESP32's flash regulator against eFuse and strapping.
    pub(crate) async fn set_vddsdio(&mut self, volts: VddSdio) -> Result<(), Error> {
        const FORCE: u32 = 1 << 22;
        const POWER_DOWN_ENABLE: u32 = 1 << 21;
        const POWER_ON: u32 = 1 << 31;
        const BOOST: u32 = 0b11_1111 << 25;
        if !self.chip.has(Quirk::AttachFromEfuse) {
            return Err(self.lacks(Lacking::VddSdio));
        }
        let volts = match volts {
            VddSdio::V1_8 => POWER_ON,
            VddSdio::V1_9 => POWER_ON | BOOST,
            VddSdio::Off => 0,
        };
        self.write_reg(ESP32_SDIO_CONF, FORCE | POWER_DOWN_ENABLE | volts)
            .await
    }

    /// Powers the flash of an ESP32-P4 v3.1 or v3.2, whose loader leaves it off so that a 1.8 V
    /// part is not harmed.
    pub(crate) async fn power_flash(&mut self) -> Result<(), Error> {
        if !self.chip.has(Quirk::FlashPowerUp) {
            return Ok(());
        }
        let v3_2 = Some(Revision::new(3, 2));
        if self.revision != Some(Revision::new(3, 1)) && self.revision != v3_2 {
            return Ok(());
        }
        let force_on = self.bits("flash_on")?;
        if self.revision == v3_2 && self.named_bits("download_xpd").await? != 0 {
            // The ROM has powered it, and trips over its own force bits the next time.
            let word = self.read_reg_surely(force_on.addr).await?;
            if word & force_on.mask() == force_on.mask() {
                self.write_reg(force_on.addr, word & !force_on.mask())
                    .await?;
            }
            return Ok(());
        }
        let pads = self.bits("flash_pads")?;
        let limit = self.bits("flash_limit")?;
        let tie_high = self.bits("flash_tieh")?;
        let target = self.bits("flash_target")?;
        self.write_reg(pads.addr, 1).await?;
        self.channel
            .link_mut()
            .sleep(Duration::from_millis(10))
            .await?;
        self.change(limit, Level::Ones).await?;
        self.change(tie_high, Level::Ones).await?;
        self.change(force_on, Level::Ones).await?;
        self.channel
            .link_mut()
            .sleep(Duration::from_micros(50))
            .await?;
        self.change(limit, Level::Zeros).await?;
        self.change(target, Level::Zeros).await?;
        // The regulator takes the voltage that eFuse names on the falling edge.
        self.change(tie_high, Level::Ones).await?;
        self.change(tie_high, Level::Zeros).await?;
        self.channel
            .link_mut()
            .sleep(Duration::from_micros(1800))
            .await?;
        Ok(())
    }

    async fn change(&mut self, bits: Bits, level: Level) -> Result<(), Error> {
        let word = self.read_reg_surely(bits.addr).await?;
        let word = match level {
            Level::Ones => word | bits.mask(),
            Level::Zeros => word & !bits.mask(),
        };
        self.write_reg(bits.addr, word).await
    }
}

#[derive(Debug, Clone, Copy)]
enum Level {
    Ones,
    Zeros,
}
