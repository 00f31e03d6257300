use std::collections::BTreeMap;
use std::ops::Range;

use guru_chip::{Bits, Chip, MacAddress, Revision, Words, WordsError};
use guru_link::Link;
use guru_wire::{Command, RegisterWrite, SecurityInfo};

use crate::attach::Flash;
use crate::channel::Channel;
use crate::line::LineState;
use crate::spi::Controller;
use crate::stub::StubState;
use crate::{ConnectOptions, DeviceInfo, Error};

/// A conversation with a chip's loader, from [`connect`](Self::connect) to
/// [`reset`](Self::reset).
///
/// What state the chip is in is kept here, outside of any future: when a job is interrupted,
/// [`unfinished`](Self::unfinished) says what of the flash is neither old nor new.
#[derive(Debug)]
pub struct Session<L> {
    pub(crate) channel: Channel<L>,
    pub(crate) chip: &'static Chip,
    pub(crate) options: ConnectOptions,
    pub(crate) device: DeviceInfo,
    pub(crate) revision: Option<Revision>,
    pub(crate) mac: Option<MacAddress>,
    /// eFuse words, which do not change while the chip runs.
    pub(crate) words: BTreeMap<u32, u32>,
    pub(crate) security: Option<SecurityInfo>,
    pub(crate) flash: Option<Flash>,
    pub(crate) line: LineState,
    pub(crate) stub: StubState,
    /// Rate of the work, in bits per second, once it was changed to.
    pub(crate) work_baud: Option<u32>,
    /// The SPI controller, while flash is read through it.
    pub(crate) reader: Option<Controller>,
    pub(crate) unfinished: Option<Range<u32>>,
}

impl<L: Link> Session<L> {
    /// What is known about the device.
    pub fn device(&self) -> &DeviceInfo {
        &self.device
    }

    /// The chip family.
    pub fn chip(&self) -> &'static Chip {
        self.chip
    }

    /// Wafer revision; `None` in Secure Download Mode and on chips without one.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Base MAC; `None` in Secure Download Mode.
    pub fn mac(&self) -> Option<MacAddress> {
        self.mac
    }

    /// Flash addresses that are erased or half written, when a job was interrupted.
    pub fn unfinished(&self) -> Option<Range<u32>> {
        self.unfinished.clone()
    }

    /// Damaged, lost and refused packets so far.
    pub fn faults(&self) -> u32 {
        self.channel.faults()
    }

    /// The link, for example to read its counters.
    pub fn link(&self) -> &L {
        self.channel.link()
    }

    /// Ends the session without touching the chip.
    pub fn into_link(self) -> L {
        self.channel.into_link()
    }

    /// Number that the ESP8266 derives from its MAC; `None` on chips without one.
    ///
    /// # Errors
    ///
    /// What the link and the chip say.
    pub async fn chip_id(&mut self) -> Result<Option<u32>, Error> {
        let chip = self.chip;
        self.learn(|words| chip.numeric_chip_id(words)).await
    }

    /// Contents of a register.
    pub(crate) async fn read_reg(&mut self, address: u32) -> Result<u32, Error> {
        let command = Command::ReadReg { address };
        let timeout = self.channel.timeouts.command;
        let doing = "reading a register";
        let answer = self.channel.query(&command, 0, timeout, doing).await?;
        Ok(answer.value)
    }

    /// Contents of a register by which something irreversible is decided. No checksum protects an
    /// answer, so on a line that has shown faults it is read until two answers agree.
    pub(crate) async fn read_reg_surely(&mut self, address: u32) -> Result<u32, Error> {
        let mut value = self.read_reg(address).await?;
        while self.channel.faults() > 0 {
            let again = self.read_reg(address).await?;
            if again == value {
                break;
            }
            self.channel.count_fault();
            value = again;
        }
        Ok(value)
    }

    /// Works something out of words that do not change while the loader runs, such as eFuse. Exactly
    /// the words that the answer depends on are read, each once a session.
    pub(crate) async fn learn<T>(
        &mut self,
        decide: impl Fn(Words<'_>) -> Result<T, WordsError>,
    ) -> Result<T, Error> {
        loop {
            let words = &self.words;
            match decide(&|address| words.get(&address).copied()) {
                Ok(answer) => return Ok(answer),
                Err(WordsError::Missing(address)) => {
                    let word = self.read_reg_surely(address).await?;
                    self.words.insert(address, word);
                }
                Err(error) => return Err(Error::NotPossible(error.to_string())),
            }
        }
    }

    /// Value of bits that the chip's data name for a quirk; bits of eFuse or of another register
    /// that does not change while the loader runs.
    pub(crate) async fn named_bits(&mut self, name: &'static str) -> Result<u32, Error> {
        let bits = self.bits(name)?;
        self.learn(|words| bits.read(words)).await
    }

    /// Where the bits are that the chip's data name for a quirk.
    pub(crate) fn bits(&self, name: &'static str) -> Result<Bits, Error> {
        self.chip.bits(name).ok_or_else(|| {
            Error::NotPossible(format!("the data of {} do not name {name}", self.chip.name))
        })
    }

    /// Writes a whole register.
    pub(crate) async fn write_reg(&mut self, address: u32, value: u32) -> Result<(), Error> {
        self.write_regs(&[(address, value)]).await
    }

    /// Writes whole registers, one after the other, in one round trip.
    pub(crate) async fn write_regs(&mut self, writes: &[(u32, u32)]) -> Result<(), Error> {
        let write = |(address, value): &(u32, u32)| RegisterWrite {
            address: *address,
            value: *value,
            mask: u32::MAX,
            delay_us: 0,
        };
        self.write_regs_in_time(writes.iter().map(write).collect())
            .await
    }

    /// As [`write_regs`](Self::write_regs), with masks and delays.
    pub(crate) async fn write_regs_in_time(
        &mut self,
        writes: Vec<RegisterWrite>,
    ) -> Result<(), Error> {
        let command = Command::WriteReg { writes };
        let timeout = self.channel.timeouts.command;
        self.channel
            .query(&command, 0, timeout, "writing registers")
            .await?;
        Ok(())
    }
}
