//! Registers and memory, word by word.

use std::collections::BTreeSet;
use std::ops::Range;

use guru_chip::Chip;
use guru_link::Link;
use guru_wire::{Command, Opcode, RegisterWrite};

use crate::channel::Fault;
use crate::event::Step;
use crate::progress::Meter;
use crate::read::FlashSink;
use crate::{Error, Event, NotInSecureDownload, Notice, Observer, Session, UsbMode};

/// The most words that are asked for at once.
const MAX_AHEAD: u32 = 32;

/// Bytes of one request at the most: eight of header, four of address, two delimiters, and an escape
/// for each byte of the address.
const REQUEST: u32 = 18;

/// Bytes between two events of progress.
const STEP: u32 = 1024;

/// Further readings of a word until some in succession agree.
const READINGS: u32 = 16;

/// Writes of a word of memory until it is read back.
const WRITES: u32 = 4;

/// A write to a register or to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryWrite {
    /// Address, a multiple of 4.
    pub address: u32,
    /// New value of the masked bits.
    pub value: u32,
    /// Bits to change.
    pub mask: u32,
}

/// What a write to a register or to memory has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryChange {
    /// Value before.
    pub old: u32,
    /// Value that was written.
    pub written: u32,
    /// Value that is read now. It differs where bits cannot be written, or change by themselves.
    pub new: u32,
}

impl<L: Link> Session<L> {
    /// Reads a word. Nothing protects an answer over a UART, so memory is read until two readings
    /// agree. A register is read once, since reading changes some. On a line that has shown faults
    /// three readings must agree: a request that lost a byte reads some other address.
    ///
    /// # Errors
    ///
    /// [`Error::SecureDownload`] in Secure Download Mode, [`Error::BadRequest`] for an address that is
    /// not a multiple of 4, and what the link and the chip say.
    pub async fn read_memory(&mut self, address: u32) -> Result<u32, Error> {
        self.check_memory(address)?;
        let value = self.read_reg(address).await?;
        Ok(match self.settle(address, value).await? {
            Settled::Same(value) | Settled::Never(value) => value,
        })
    }

    /// Writes masked bits of a word, without reading it: reading changes some registers. A write to
    /// memory is sent until its answer comes; one to a register once, since a second one may do more.
    ///
    /// # Errors
    ///
    /// As [`read_memory`](Self::read_memory); [`Error::NoAnswer`] for a register says that the
    /// write may have been done.
    pub async fn write_memory(&mut self, write: MemoryWrite) -> Result<(), Error> {
        self.check_memory(write.address)?;
        let command = Command::WriteReg {
            writes: vec![RegisterWrite {
                address: write.address,
                value: write.value,
                mask: write.mask,
                delay_us: 0,
            }],
        };
        let timeout = self.channel.timeouts.command;
        if is_memory(self.chip, write.address) {
            let doing = "writing memory";
            self.channel.query(&command, 0, timeout, doing).await?;
        } else {
            let doing = "writing a register, which may have been done and is not repeated";
            self.channel.once(&command, timeout, doing).await?;
        }
        Ok(())
    }

    /// Writes masked bits of a word and says what it was before and is afterwards. The eFuse
    /// controller, where a write can burn a fuse, is left alone unless `force`.
    ///
    /// # Errors
    ///
    /// [`Error::Harmful`], and as [`read_memory`](Self::read_memory).
    pub async fn change_memory(
        &mut self,
        write: MemoryWrite,
        force: bool,
    ) -> Result<MemoryChange, Error> {
        self.check_memory(write.address)?;
        if self.chip.efuse.contains(write.address) && !force {
            return Err(Error::Harmful {
                reason: format!(
                    "0x{:08x} is a register of the eFuse controller, where a write can burn fuses \
                     for ever",
                    write.address
                ),
            });
        }
        let old = self.read_memory(write.address).await?;
        let written = old & !write.mask | write.value & write.mask;
        let attempts = match is_memory(self.chip, write.address) {
            true => WRITES,
            false => 1,
        };
        let mut new = old;
        // Nothing protects the request either.
        for _ in 0..attempts {
            self.write_memory(write).await?;
            new = self.read_memory(write.address).await?;
            if new == written {
                break;
            }
        }
        Ok(MemoryChange { old, written, new })
    }

    /// Reads a range of memory into `sink`.
    ///
    /// # Errors
    ///
    /// As [`read_memory`](Self::read_memory), for the range's ends; and what the sink says.
    pub async fn dump_memory(
        &mut self,
        range: Range<u32>,
        sink: &mut dyn FlashSink,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        self.check_memory(range.start)?;
        self.check_memory(range.end)?;
        let (address, length) = (range.start, range.end.saturating_sub(range.start));
        observer.event(Event::Dumping { address, length });
        let begun = self.channel.now();
        // What an earlier dump has left is of no use: memory changes.
        sink.truncate(0).map_err(Error::Sink)?;
        let meter = Meter::new(Step::Dump, address, u64::from(length));
        let mut at = address;
        let mut unsettled = Vec::new();
        while at < range.end {
            let end = range.end.min(at.saturating_add(STEP));
            let bytes = self.read_words(at..end, &mut unsettled).await?;
            sink.append(&bytes).map_err(Error::Sink)?;
            at = end;
            meter.at(at, observer);
        }
        if let (Some(first), Some(last)) = (unsettled.first(), unsettled.last()) {
            observer.event(Event::Notice(Notice::Unsettled {
                words: unsettled.len(),
                first: *first,
                last: *last,
            }));
        }
        observer.event(Event::Dumped {
            address,
            bytes: u64::from(length),
            elapsed: self.channel.now() - begun,
        });
        Ok(())
    }

    /// Reads words, by the rules of [`read_memory`](Self::read_memory). Those of which no two
    /// readings agree are told.
    pub(crate) async fn read_words(
        &mut self,
        range: Range<u32>,
        unsettled: &mut Vec<u32>,
    ) -> Result<Vec<u8>, Error> {
        let mut words = self.read_words_once(&range).await?;
        let mut differing = BTreeSet::new();
        let mut readings = 1;
        while readings < self.readings(range.start) {
            let again = self.read_words_once(&range).await?;
            readings += 1;
            let differ = words.iter().zip(&again).map(|(word, again)| word != again);
            differing.extend(
                (0..)
                    .zip(differ)
                    .filter_map(|(at, differs)| differs.then_some(at)),
            );
            words = again;
        }
        for at in differing {
            let address = range.start + at as u32 * 4;
            words[at] = match self.settle(address, words[at]).await? {
                Settled::Same(value) => value,
                Settled::Never(value) => {
                    unsettled.push(address);
                    value
                }
            };
        }
        Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
    }

    /// Reads a word that was read once until enough readings in succession agree.
    async fn settle(&mut self, address: u32, mut value: u32) -> Result<Settled, Error> {
        let mut agreeing = 1;
        for _ in 0..READINGS {
            if agreeing >= self.readings(address) {
                return Ok(Settled::Same(value));
            }
            let again = self.read_reg(address).await?;
            agreeing = if again == value { agreeing + 1 } else { 1 };
            value = again;
        }
        Ok(Settled::Never(value))
    }

    /// How many readings in succession must agree. What comes over the chip's own USB is protected
    /// there.
    fn readings(&self, address: u32) -> u32 {
        if self.channel.faults() > 0 {
            3
        } else if is_memory(self.chip, address) && self.device.usb_mode.is_none() {
            2
        } else {
            1
        }
    }

    async fn read_words_once(&mut self, range: &Range<u32>) -> Result<Vec<u32>, Error> {
        let mut words = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let left = (range.end - at) / 4;
            let count = self.words_ahead().min(left).max(1);
            if count == 1 {
                words.push(self.read_reg(at).await?);
            } else {
                let addresses = (0..count).map(|index| at + index * 4);
                let timeout = self.channel.timeouts.command;
                match self.channel.read_words(addresses, timeout).await {
                    Ok(read) => words.extend(read),
                    Err(Fault::Link(error)) => return Err(error.into()),
                    // From here on one at a time, since the line has shown a fault.
                    Err(_) => {
                        self.channel.count_fault();
                        self.channel.resync().await?;
                        continue;
                    }
                }
            }
            at = at.saturating_add(count * 4);
        }
        Ok(words)
    }

    /// How many words may be asked for at once. The ROM fills a ring by interrupt while it answers,
    /// and these requests must not fill more than half of it. What the ROM's USB-OTG takes is not
    /// known.
    pub(crate) fn words_ahead(&self) -> u32 {
        if self.channel.faults() > 0 || self.may_be_otg() {
            return 1;
        }
        let rom = (self.chip.rom.receive.size / 2 / REQUEST).clamp(1, MAX_AHEAD);
        self.stub_requests_ahead().unwrap_or(rom)
    }

    /// Whether the port is the ROM's USB-OTG device, or may be: behind a port about which nothing is
    /// known there may be one.
    pub(crate) fn may_be_otg(&self) -> bool {
        let known = self.channel.link().info().usb.is_some();
        match self.device.usb_mode {
            Some(UsbMode::Otg) => true,
            Some(UsbMode::SerialJtag) => false,
            None => !known && self.chip.usb.otg_product.is_some(),
        }
    }

    fn check_memory(&self, address: u32) -> Result<(), Error> {
        if !address.is_multiple_of(4) {
            return Err(Error::BadRequest(format!(
                "0x{address:x} is not a multiple of 4, as an address of memory must be"
            )));
        }
        if !self.answers(Opcode::ReadReg) {
            return Err(NotInSecureDownload::doing("reading or writing memory"));
        }
        Ok(())
    }
}

/// What came of reading a word again and again.
enum Settled {
    /// Readings in succession agree.
    Same(u32),
    /// They do not; the last one. The word changes by itself, or the line is very bad.
    Never(u32),
}

/// Whether an address is one of memory, which can be read and written twice without harm; of a
/// register that is not known.
pub(crate) fn is_memory(chip: &Chip, address: u32) -> bool {
    let mut names = chip.memory_names(address);
    names.any(|name| name != "PADDING" && name != "DPORT")
}
