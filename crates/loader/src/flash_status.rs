//! Status registers of the flash: read, written and read back, and what they say about a write that
//! had no effect.

use std::ops::Range;
use std::time::Duration;

use guru_chip::{BitKind, JedecId, StatusLayout};
use guru_link::Link;
use guru_wire::ErrorCode;
use serde::Serialize;

use crate::spi::{Transaction, flash};
use crate::{Error, Event, FlashOptions, NotInSecureDownload, Observer, Session};

/// Commands that read register 1, 2 and 3.
const READ: [u8; 3] = [flash::READ_STATUS, 0x35, 0x15];
/// Commands that write them.
const WRITE: [u8; 3] = [0x01, 0x31, 0x11];

/// How long a write of status registers may take. Data sheets say up to 200 ms.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// Pause between two looks at a part that writes its status.
const WRITE_PAUSE: Duration = Duration::from_millis(5);

/// How often registers are read until two readings agree.
const AGREEMENTS: u32 = 8;

/// How many status registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "u8")]
pub enum StatusBytes {
    /// Register 1.
    One,
    /// Registers 1 and 2.
    Two,
    /// Registers 1 to 3.
    Three,
}

impl From<StatusBytes> for u8 {
    fn from(bytes: StatusBytes) -> Self {
        match bytes {
            StatusBytes::One => 1,
            StatusBytes::Two => 2,
            StatusBytes::Three => 3,
        }
    }
}

impl StatusBytes {
    /// The bits of the registers.
    pub fn mask(self) -> u32 {
        u32::MAX >> (32 - 8 * u32::from(u8::from(self)))
    }
}

/// Status registers of a flash.
#[derive(Debug, Clone, Serialize)]
pub struct FlashStatus {
    /// JEDEC id, manufacturer in the low byte.
    pub jedec_id: u32,
    /// Maker whose names the bits have; absent where the part is not known.
    pub maker: Option<&'static str>,
    /// Registers that were read.
    pub bytes: StatusBytes,
    /// Registers that the part is known to have.
    pub registers: Option<u8>,
    /// Their contents, register 1 lowest.
    pub value: u32,
    /// The bits that have a meaning.
    pub bits: Vec<FlashStatusBit>,
    /// Addresses that are protected from writing, the last one inclusive. Absent when nothing is, and
    /// when too few registers were read to know.
    pub protected: Option<(u32, u32)>,
}

/// A bit of a status register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlashStatusBit {
    /// Number, 0 to 23.
    pub bit: u8,
    /// Name in data sheets.
    pub name: &'static str,
    /// What it does when it is 1.
    pub meaning: &'static str,
    /// Whether it is 1.
    pub set: bool,
}

/// What is to be written into status registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusWrite {
    /// Contents, register 1 lowest.
    pub value: u32,
    /// Registers.
    pub bytes: StatusBytes,
    /// Whether it shall outlive the flash's power.
    pub non_volatile: bool,
}

/// A change of status registers.
#[derive(Debug, Clone, Serialize)]
pub struct StatusChange {
    /// What was there.
    pub before: FlashStatus,
    /// What is written.
    pub asked: u32,
    /// What was read afterwards; absent as long as nothing was written.
    pub after: Option<u32>,
    /// Whether it outlives the flash's power.
    pub non_volatile: bool,
    /// The bits that change.
    pub changes: Vec<BitChange>,
}

/// A bit that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BitChange {
    /// Number, 0 to 23.
    pub bit: u8,
    /// Name in data sheets; absent where it is not known.
    pub name: Option<&'static str>,
    /// What it does when it is 1.
    pub meaning: Option<&'static str>,
    /// Its new value.
    pub set: bool,
    /// Whether that can be undone.
    pub undo: Undo,
}

/// Whether the change of a bit can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// By writing it again.
    Yes,
    /// Not at all.
    Never,
    /// Not before the flash loses its power, and on some parts not then.
    Locks,
    /// It cannot be written, or not for a time.
    NoEffect,
    /// Nothing is known of this bit; on some parts such bits can be set only once.
    Unknown,
}

impl StatusChange {
    /// Bits that are to differ from what they are and did not, or the other way round.
    pub fn not_taken(&self) -> u32 {
        let fixed = self
            .layout()
            .map_or(0b11, |layout| layout.mask(BitKind::ReadOnly));
        match self.after {
            Some(after) => (after ^ self.asked) & !fixed & self.before.bytes.mask(),
            None => 0,
        }
    }

    /// Whether a change cannot be undone, as far as is known.
    pub fn is_final(&self) -> bool {
        self.changes
            .iter()
            .any(|change| matches!(change.undo, Undo::Never | Undo::Locks))
    }

    /// The registers as they were read back.
    ///
    /// # Errors
    ///
    /// [`Error::StatusNotTaken`] when they do not hold what was written.
    pub fn check(&self) -> Result<(), Error> {
        let (differ, Some(found)) = (self.not_taken(), self.after) else {
            return Ok(());
        };
        if differ == 0 {
            return Ok(());
        }
        let layout = self.layout();
        let name = |bit: u8| match layout.and_then(|layout| layout.bit(bit)) {
            Some(bit) => bit.name.to_owned(),
            None => format!("bit {bit}"),
        };
        let bits: Vec<_> = (0..24)
            .filter(|bit| differ & 1 << bit != 0)
            .map(name)
            .collect();
        Err(Error::StatusNotTaken {
            asked: self.asked,
            found,
            bits: bits.join(", "),
            locked: is_locked(layout, found),
        })
    }

    fn layout(&self) -> Option<&'static StatusLayout> {
        JedecId(self.before.jedec_id).status_layout()
    }
}

fn is_locked(layout: Option<&StatusLayout>, status: u32) -> bool {
    layout.is_some_and(|layout| status & layout.mask(BitKind::Lock) != 0)
}

impl FlashStatus {
    fn new(jedec_id: u32, bytes: StatusBytes, value: u32) -> Self {
        let id = JedecId(jedec_id);
        let layout = id.status_layout();
        let bits = layout.map_or(&[] as &[_], |layout| layout.bits).iter();
        // Whether a range is protected may depend on a register that was not read.
        let enough = layout.is_some_and(|layout| u8::from(bytes) >= layout.registers);
        let size = id.capacity().map(|capacity| capacity.bytes);
        Self {
            jedec_id,
            maker: id.maker(),
            bytes,
            registers: layout.map(|layout| layout.registers),
            value,
            bits: bits
                .filter(|bit| bit.number < 8 * u8::from(bytes))
                .map(|bit| FlashStatusBit {
                    bit: bit.number,
                    name: bit.name,
                    meaning: bit.meaning,
                    set: value & 1 << bit.number != 0,
                })
                .collect(),
            protected: layout
                .filter(|_| enough)
                .zip(size)
                .and_then(|(layout, size)| layout.protected(value, size))
                .map(|range| (range.start, range.end - 1)),
        }
    }
}

/// What a write would change.
fn changes(before: &FlashStatus, asked: u32, non_volatile: bool) -> Vec<BitChange> {
    let layout = JedecId(before.jedec_id).status_layout();
    let differ = (before.value ^ asked) & before.bytes.mask();
    let change = |number: u8| {
        let set = asked & 1 << number != 0;
        let bit = layout.and_then(|layout| layout.bit(number));
        // The first two are the flash's own in every part.
        let undo = match bit.map(|bit| bit.kind) {
            None if number < 2 => Undo::NoEffect,
            Some(BitKind::ReadOnly) => Undo::NoEffect,
            Some(BitKind::OneTime) if !set || !non_volatile => Undo::NoEffect,
            Some(BitKind::OneTime) => Undo::Never,
            Some(BitKind::Lock) if set => Undo::Locks,
            None => Undo::Unknown,
            Some(_) => Undo::Yes,
        };
        BitChange {
            bit: number,
            name: bit.map(|bit| bit.name),
            meaning: bit.map(|bit| bit.meaning),
            set,
            undo,
        }
    };
    (0..24)
        .filter(|number| differ & 1 << number != 0)
        .map(change)
        .collect()
}

impl<L: Link> Session<L> {
    /// Reads status registers.
    ///
    /// # Errors
    ///
    /// [`Error::SecureDownload`], and what the link and the chip say.
    pub async fn flash_status(
        &mut self,
        options: &FlashOptions,
        bytes: StatusBytes,
        observer: &mut dyn Observer,
    ) -> Result<FlashStatus, Error> {
        let id = self.attached_id(options, observer).await?;
        let controller = self.spi_begin().await?;
        let value = self.read_status_surely(bytes).await?;
        self.spi_end(controller).await?;
        Ok(FlashStatus::new(id, bytes, value))
    }

    /// Writes status registers, when `agree` lets it, and reads them back.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for a value that is wider than the registers, those of `agree`,
    /// [`Error::SecureDownload`], and what the link and the chip say. That the
    /// flash did not take the value is told by [`StatusChange::check`].
    pub async fn write_flash_status(
        &mut self,
        options: &FlashOptions,
        write: StatusWrite,
        agree: &mut dyn FnMut(&StatusChange) -> Result<(), Error>,
        observer: &mut dyn Observer,
    ) -> Result<StatusChange, Error> {
        let StatusWrite {
            value,
            bytes,
            non_volatile,
        } = write;
        if value & !bytes.mask() != 0 {
            return Err(Error::BadRequest(format!(
                "0x{value:x} has more bits than {} status register{}",
                u8::from(bytes),
                if bytes == StatusBytes::One { "" } else { "s" }
            )));
        }
        let before = self.flash_status(options, bytes, observer).await?;
        let mut change = StatusChange {
            changes: changes(&before, value, non_volatile),
            before,
            asked: value,
            after: None,
            non_volatile,
        };
        observer.event(Event::WritingStatus(Box::new(change.clone())));
        agree(&change)?;
        let controller = self.spi_begin().await?;
        let enable = if non_volatile {
            flash::WRITE_ENABLE
        } else {
            flash::WRITE_ENABLE_VOLATILE
        };
        let after = self.set_status(write, enable).await?;
        self.spi_end(controller).await?;
        change.after = Some(after);
        Ok(change)
    }

    /// Writes in the way that the part takes, and returns what it holds then. Older parts have one
    /// command for the first two registers, which clears the second one when it gets one byte; newer
    /// ones have a command for each and may not take two bytes at once.
    async fn set_status(&mut self, write: StatusWrite, enable: u8) -> Result<u32, Error> {
        let count = u8::from(write.bytes);
        let read_only = 0b11;
        let reached = |now: u32, mask: u32| (now ^ write.value) & mask & !read_only == 0;
        let pair = StatusBytes::Two.mask();
        let mut wanted = write.value;
        if write.bytes == StatusBytes::One {
            // The second register stays as it is.
            wanted |= self.read_status_surely(StatusBytes::Two).await? & 0xFF00;
        }
        self.send_status(enable, WRITE[0], (wanted & pair, 2))
            .await?;
        let mut now = self.read_status_surely(write.bytes).await?;
        if !reached(now, write.bytes.mask() & pair) {
            for (register, command) in (0..count.min(2)).zip(WRITE) {
                self.send_status(enable, command, (wanted >> (8 * register) & 0xFF, 1))
                    .await?;
            }
        }
        if count > 2 {
            self.send_status(enable, WRITE[2], (wanted >> 16 & 0xFF, 1))
                .await?;
        }
        self.spi_command(flash::WRITE_DISABLE).await?;
        now = self.read_status_surely(write.bytes).await?;
        Ok(now)
    }

    async fn send_status(&mut self, enable: u8, command: u8, data: (u32, u8)) -> Result<(), Error> {
        self.spi_command(enable).await?;
        self.spi(Transaction {
            command,
            write: Some(data),
            ..Transaction::default()
        })
        .await?;
        self.spi_idle(WRITE_LIMIT, WRITE_PAUSE).await
    }

    /// Registers, twice when a fault has shown on the line: no checksum protects an answer.
    async fn read_status_surely(&mut self, bytes: StatusBytes) -> Result<u32, Error> {
        let mut last = self.read_status(bytes).await?;
        for _ in 0..AGREEMENTS {
            if self.channel.faults() == 0 {
                break;
            }
            let again = self.read_status(bytes).await?;
            if again == last {
                break;
            }
            last = again;
        }
        Ok(last)
    }

    async fn read_status(&mut self, bytes: StatusBytes) -> Result<u32, Error> {
        let mut value = 0;
        for (register, command) in (0..u8::from(bytes)).zip(READ) {
            value |= u32::from(self.spi_byte(command).await?) << (8 * register);
        }
        Ok(value)
    }

    /// Says of an error that block protection is behind it, if it is. `range` is what was to be
    /// changed.
    pub(crate) async fn blame_protection(&mut self, error: Error, range: Range<u32>) -> Error {
        let suspicious = match &error {
            Error::VerifyFailed { .. } => true,
            Error::Refused { code, .. } => {
                matches!(*code, ErrorCode::FLASH_WRITE | ErrorCode::FAILED)
            }
            _ => false,
        };
        if !suspicious || self.device.secure_download {
            return error;
        }
        match self.protection_of(&range).await {
            Ok(Some(protected)) => protected,
            // The first error counts more than one in looking for its cause.
            Ok(None) | Err(_) => error,
        }
    }

    /// An error for a range of which the flash protects something.
    pub(crate) async fn protection_of(
        &mut self,
        range: &Range<u32>,
    ) -> Result<Option<Error>, Error> {
        let Some((layout, size)) = self.flash.as_ref().and_then(|flash| {
            let id = JedecId(flash.id?);
            Some((id.status_layout()?, id.capacity()?.bytes))
        }) else {
            return Ok(None);
        };
        let bytes = match layout.registers {
            1 => StatusBytes::One,
            2 => StatusBytes::Two,
            _ => StatusBytes::Three,
        };
        let touches = |status: u32| {
            layout
                .protected(status, size)
                .filter(|protected| protected.start < range.end && range.start < protected.end)
        };
        let controller = self.spi_begin().await?;
        let mut status = self.read_status(bytes).await?;
        // A damaged answer must not feign protection.
        let mut again = status;
        if touches(status).is_some() {
            again = self.read_status_surely(bytes).await?;
        }
        self.spi_end(controller).await?;
        if again != status {
            status &= again;
        }
        Ok(touches(status).map(|protected| Error::Protected {
            start: protected.start,
            end: protected.end - 1,
            status,
            locked: is_locked(Some(layout), status),
        }))
    }

    /// Switches block protection off until the flash loses its power or is reset, where it covers any
    /// of a range: what the ROM does before it erases, for an erase past the ROM.
    pub(crate) async fn lift_protection(&mut self, range: &Range<u32>) -> Result<(), Error> {
        let Some(Error::Protected { status, .. }) = self.protection_of(range).await? else {
            return Ok(());
        };
        let Some(layout) = self
            .flash
            .as_ref()
            .and_then(|flash| JedecId(flash.id?).status_layout())
        else {
            return Ok(());
        };
        let keep = layout
            .bits
            .iter()
            .filter(|bit| bit.name == "QE")
            .fold(0, |mask, bit| mask | 1 << bit.number);
        let write = StatusWrite {
            value: status & keep & StatusBytes::Two.mask(),
            bytes: if layout.registers > 1 {
                StatusBytes::Two
            } else {
                StatusBytes::One
            },
            non_volatile: false,
        };
        let controller = self.spi_begin().await?;
        self.set_status(write, flash::WRITE_ENABLE_VOLATILE).await?;
        self.spi_end(controller).await?;
        match self.protection_of(range).await? {
            Some(protected) => Err(protected),
            None => Ok(()),
        }
    }

    /// JEDEC id of the flash, attached.
    pub(crate) async fn attached_id(
        &mut self,
        options: &FlashOptions,
        observer: &mut dyn Observer,
    ) -> Result<u32, Error> {
        if self.device.secure_download {
            return Err(NotInSecureDownload::doing(
                "reading the flash's id, status or parameters",
            ));
        }
        let flash = self.attach(options, observer).await?;
        Ok(flash.id.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINBOND: u32 = 0x16_40_EF;

    fn change(before: u32, asked: u32, bytes: StatusBytes, non_volatile: bool) -> StatusChange {
        let before = FlashStatus::new(WINBOND, bytes, before);
        StatusChange {
            changes: changes(&before, asked, non_volatile),
            before,
            asked,
            after: None,
            non_volatile,
        }
    }

    #[test]
    fn what_cannot_be_undone_is_known_by_its_bit() {
        let undo = |asked, non_volatile| {
            change(0, asked, StatusBytes::Three, non_volatile).changes[0].undo
        };
        assert_eq!(undo(1 << 11, true), Undo::Never);
        assert_eq!(undo(1 << 11, false), Undo::NoEffect);
        assert_eq!(undo(1 << 8, true), Undo::Locks);
        assert_eq!(undo(1 << 8, false), Undo::Locks);
        assert_eq!(undo(1 << 9, true), Undo::Yes);
        assert_eq!(undo(1 << 15, true), Undo::NoEffect);
        assert_eq!(undo(1 << 19, true), Undo::Unknown);
        assert!(change(0, 0x0900, StatusBytes::Two, true).is_final());
        assert!(!change(0x0900, 0, StatusBytes::Two, true).is_final());
    }

    #[test]
    fn only_the_bits_that_differ_are_named_when_the_flash_did_not_take_them() {
        let mut change = change(0, 0x0207, StatusBytes::Two, true);
        assert!(change.check().is_ok());
        change.after = Some(0x0204);
        assert!(change.check().is_ok(), "BUSY and WEL are not ours");
        change.after = Some(0x0004);
        let error = change.check().unwrap_err();
        assert!(error.to_string().contains("(QE)"), "{error}");
    }

    #[test]
    fn protection_is_told_only_when_all_of_it_was_read() {
        let protected = |bytes| FlashStatus::new(WINBOND, bytes, 0x04).protected;
        assert_eq!(protected(StatusBytes::Two), None);
        assert_eq!(protected(StatusBytes::Three), Some((0x3F_0000, 0x3F_FFFF)));
    }
}
