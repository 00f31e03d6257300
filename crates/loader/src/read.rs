//! Flash into a file, proved by digest where the ROM has one.

use std::io;
use std::ops::Range;
use std::time::Duration;

use guru_link::{Instant, Link};
use guru_plan::sector_floor;
use guru_wire::{Command, Opcode};
use md5::{Digest, Md5};

use crate::channel::Fault;
use crate::digest::Placed;
use crate::event::Step;
use crate::progress::Meter;
use crate::spi::{Transaction, flash};
use crate::{
    Error, Event, FlashOptions, NotInSecureDownload, Notice, Observer, Session, SlowJob, Unverified,
};

/// Bytes of one READ_FLASH_SLOW, or of one transaction with the SPI controller.
const STEP: u32 = 64;

/// Bytes that are read between two digests at first; more as long as the line is clean.
const FIRST_CHUNK: u32 = 64 << 10;

/// The most bytes between two digests: an interrupted read loses no more than that.
const MAX_CHUNK: u32 = 256 << 10;

/// Below this a piece that differs is read again rather than divided, in bytes.
const SMALLEST_PIECE: u32 = 512;

/// Attempts at one piece on a bad line.
const PIECE_ATTEMPTS: u32 = 60;

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    /// First byte.
    pub address: u32,
    /// How much.
    pub length: ReadLength,
}

/// How much to read or erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadLength {
    /// This many bytes.
    Bytes(u32),
    /// Up to the end of the flash, whose size must be known.
    All,
}

/// Takes what is read, and may hold the beginning from an earlier, interrupted read.
pub trait FlashSink {
    /// Bytes that it holds already.
    fn existing(&self) -> u64;

    /// Gives back bytes that it holds.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn read_back(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Forgets all behind the first `length` bytes.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Contents in memory.
impl FlashSink for Vec<u8> {
    fn existing(&self) -> u64 {
        self.len() as u64
    }

    fn read_back(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..offset.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        Self::truncate(self, usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// What was read and proved, and is on its way to the sink.
struct Proved<'a> {
    sink: &'a mut dyn FlashSink,
    bytes: Vec<u8>,
    result: io::Result<()>,
}

impl Proved<'_> {
    fn store(&mut self) {
        if self.result.is_ok() && !self.bytes.is_empty() {
            self.result = self.sink.append(&self.bytes);
            self.bytes.clear();
        }
    }
}

/// How flash is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// READ_FLASH_SLOW.
    Rom,
    /// Registers of the SPI controller (ESP8266).
    Registers,
}

impl<L: Link> Session<L> {
    /// Reads flash into `sink`, which gets only what was proved by digest, where the ROM has one.
    ///
    /// # Errors
    ///
    /// [`Error::SecureDownload`], [`Error::BadRequest`] for a range outside of
    /// the flash, [`Error::LineTooBad`], and what link, chip and sink say.
    pub async fn read_flash(
        &mut self,
        options: &FlashOptions,
        request: ReadRequest,
        sink: &mut dyn FlashSink,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        self.need_no_stub();
        let way = self.reading_way()?;
        let flash = self.attach_sized(options, observer).await?;
        let range = flash_range(request.address, request.length, flash.size)?;
        self.check_known(options, &flash, u64::from(range.end))?;
        self.reach(u64::from(range.end), observer).await?;
        if self.flash_encryption().await? {
            observer.event(Event::Notice(Notice::ReadsEncrypted));
        }
        self.tell_size(flash.size.min(u64::from(u32::MAX)) as u32)
            .await?;
        let length = range.end - range.start;
        if !self.engage_stub_to_read(length, observer).await? {
            self.tell_slow(way, length, observer);
        }
        let begun = self.channel.now();
        let resumed = self
            .insist(observer, async |session, observer| {
                session.resume(&range, sink, observer).await
            })
            .await?;
        let mut meter = Meter::new(Step::Read, range.start, u64::from(length));
        let mut at = range.start + resumed;
        meter.at(at, observer);
        let mut chunk = FIRST_CHUNK;
        let mut proved = Proved {
            sink,
            bytes: Vec::new(),
            result: Ok(()),
        };
        while at < range.end {
            let end = range.end.min(at.saturating_add(chunk));
            // What is proved goes to the sink while the next is on its way.
            let mut meanwhile = || proved.store();
            let read = self
                .read_chunk(&(at..end), &mut meanwhile, &mut meter, observer)
                .await;
            proved.store();
            std::mem::replace(&mut proved.result, Ok(())).map_err(Error::Sink)?;
            proved.bytes = match read {
                Ok(bytes) => bytes,
                Err(error) => {
                    let bytes = proved.sink.existing();
                    if bytes > 0 {
                        observer.event(Event::Notice(Notice::PartKept { bytes }));
                    }
                    return Err(error);
                }
            };
            at = end;
            if self.channel.faults() == 0 {
                chunk = chunk.saturating_mul(2).min(MAX_CHUNK);
            } else {
                chunk = FIRST_CHUNK;
            }
        }
        proved.store();
        proved.result.map_err(Error::Sink)?;
        self.tell_read(range, resumed, begun, observer);
        Ok(())
    }

    fn tell_read(
        &self,
        range: Range<u32>,
        resumed: u32,
        begun: Instant,
        observer: &mut dyn Observer,
    ) {
        let verified = self.has_digest();
        if !verified {
            observer.event(Event::Notice(Notice::NotVerified {
                reason: Unverified::NoDigest,
            }));
        }
        observer.event(Event::ReadDone {
            address: range.start,
            bytes: u64::from(range.end - range.start),
            resumed: u64::from(resumed),
            verified,
            elapsed: self.channel.now() - begun,
        });
    }

    fn reading_way(&self) -> Result<Way, Error> {
        if self.answers(Opcode::ReadFlashSlow) {
            Ok(Way::Rom)
        } else if self.answers(Opcode::ReadReg) {
            Ok(Way::Registers)
        } else {
            Err(NotInSecureDownload::doing("reading flash"))
        }
    }

    /// Says how long a read will take by the line alone, if that is worth a word.
    fn tell_slow(&self, way: Way, length: u32, observer: &mut dyn Observer) {
        /// Seconds that need no excuse.
        const SHORT: u64 = 10;
        let what = match way {
            Way::Rom => SlowJob::RomRead,
            Way::Registers => SlowJob::RegisterRead,
        };
        let seconds = self.time_to_read(way, length).as_secs();
        if seconds > SHORT {
            observer.event(Event::Notice(Notice::Slow { what, seconds }));
        }
    }

    /// Time that the line takes to read so many bytes in this way.
    fn time_to_read(&self, way: Way, length: u32) -> Duration {
        /// Bytes of request and answer with their frames, and round trips, for one step.
        const ROM_STEP: (u64, u32) = (18 + 78, 1);
        const REGISTER_STEP: (u64, u32) = (2 * (26 + 14) + 17 * (14 + 14), 19);
        let (bytes, trips) = match way {
            Way::Rom => ROM_STEP,
            Way::Registers => REGISTER_STEP,
        };
        let steps = length.div_ceil(STEP);
        self.time_of(bytes * u64::from(steps), trips.saturating_mul(steps))
    }

    /// Has a stub read, if that is faster for so many bytes.
    pub(crate) async fn engage_stub_to_read(
        &mut self,
        length: u32,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        if self.stub_runs() {
            return Ok(true);
        }
        let slow = self.time_to_read(self.reading_way()?, length);
        if !self.stub_pays(slow, length) {
            return Ok(false);
        }
        self.engage_stub(observer).await
    }

    /// A few bytes, as the ROM reads them.
    pub(crate) async fn read_little(
        &mut self,
        address: u32,
        length: u32,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = match self.reading_way()? {
            Way::Rom => self.read_slow(address, length).await?,
            Way::Registers => self.read_by_register(address, length).await?,
        };
        bytes.truncate(length as usize);
        Ok(bytes)
    }

    /// How much of an earlier read is still what stands in flash.
    async fn resume(
        &mut self,
        range: &Range<u32>,
        sink: &mut dyn FlashSink,
        observer: &mut dyn Observer,
    ) -> Result<u32, Error> {
        let length = u64::from(range.end - range.start);
        // Whole sectors: the last bytes of an interrupted write are not to be trusted.
        let head = sector_floor(sink.existing().min(length) as u32);
        if head > 0 && self.has_digest() {
            let mut digest = Md5::new();
            let mut buffer = vec![0; 64 << 10];
            let mut at = 0;
            while at < head {
                let count = buffer.len().min((head - at) as usize);
                sink.read_back(u64::from(at), &mut buffer[..count])
                    .map_err(Error::Sink)?;
                digest.update(&buffer[..count]);
                at += count as u32;
            }
            let expected = digest.finalize().into();
            if self
                .differs(&(range.start..range.start + head), expected)
                .await?
                .is_none()
            {
                sink.truncate(u64::from(head)).map_err(Error::Sink)?;
                return Ok(head);
            }
        }
        if sink.existing() > 0 {
            observer.event(Event::Notice(Notice::PartNotReused));
            sink.truncate(0).map_err(Error::Sink)?;
        }
        Ok(0)
    }

    /// Reads a range and makes sure of it. `meanwhile` is called once a stub has been asked.
    async fn read_chunk(
        &mut self,
        range: &Range<u32>,
        meanwhile: &mut dyn FnMut(),
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = self
            .read_range_by_stub(range, meanwhile, meter, observer)
            .await?;
        // What it has not read is left to the ROM.
        let left = range.start + bytes.len() as u32..range.end;
        if !left.is_empty() {
            let way = self.reading_way()?;
            let rest = self.read_chunk_by_rom(&left, way, meter, observer);
            bytes.append(&mut rest.await?);
        }
        Ok(bytes)
    }

    async fn read_chunk_by_rom(
        &mut self,
        range: &Range<u32>,
        way: Way,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = self.read_range(range, way, meter, observer).await?;
        if self.has_digest() {
            self.insist(observer, async |session, observer| {
                session
                    .correct(range, &mut bytes, way, meter, observer)
                    .await
            })
            .await?;
        } else if self.channel.faults() > 0 {
            self.confirm(range, &mut bytes, way, meter, observer)
                .await?;
        }
        Ok(bytes)
    }

    /// Finds by digest what was read wrongly, and reads it again.
    async fn correct(
        &mut self,
        range: &Range<u32>,
        bytes: &mut [u8],
        way: Way,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let mut suspects = vec![(range.clone(), 0)];
        while let Some((suspect, attempts)) = suspects.pop() {
            let inside = relative(range, &suspect);
            if !self
                .has_wrong(&suspect, &bytes[inside.clone()], way, meter, observer)
                .await?
            {
                continue;
            }
            if self.channel.faults() == 0 {
                self.channel.count_fault();
            }
            if attempts >= PIECE_ATTEMPTS {
                let address = suspect.start;
                return Err(Error::LineTooBad {
                    address,
                    what: "read",
                    attempts,
                });
            }
            let length = suspect.end - suspect.start;
            if length > SMALLEST_PIECE {
                let middle = suspect.start + (length / 2).next_multiple_of(STEP);
                suspects.push((middle..suspect.end, attempts));
                suspects.push((suspect.start..middle, attempts));
                continue;
            }
            let again = self.read_range(&suspect, way, meter, observer).await?;
            bytes[inside].copy_from_slice(&again);
            suspects.push((suspect, attempts + 1));
        }
        Ok(())
    }

    /// Whether bytes differ from flash. The digest command is known to work on multiples of 4; up
    /// to three bytes at the end are read twice instead.
    async fn has_wrong(
        &mut self,
        range: &Range<u32>,
        bytes: &[u8],
        way: Way,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let whole = bytes.len() / 4 * 4;
        let (head, tail) = bytes.split_at(whole);
        let middle = range.start + whole as u32;
        if !head.is_empty() {
            let expected = Md5::digest(head).into();
            if self
                .differs(&(range.start..middle), expected)
                .await?
                .is_some()
            {
                return Ok(true);
            }
        }
        if tail.is_empty() {
            return Ok(false);
        }
        let again = self
            .read_range(&(middle..range.end), way, meter, observer)
            .await?;
        Ok(again != tail)
    }

    /// Without a digest, on a line that has shown faults: reads until two readings of each piece
    /// agree. The chip is reset between them, because a damaged request may have left the SPI
    /// controller in a state in which every reading is wrong alike.
    async fn confirm(
        &mut self,
        range: &Range<u32>,
        bytes: &mut [u8],
        way: Way,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let mut pending: Vec<(Range<u32>, Vec<Vec<u8>>)> = range
            .clone()
            .step_by(STEP as usize)
            .map(|start| start..range.end.min(start + STEP))
            .map(|piece| {
                let inside = relative(range, &piece);
                let first = bytes[inside].to_vec();
                (piece, vec![first])
            })
            .collect();
        for _ in 0..PIECE_ATTEMPTS {
            self.start_afresh(observer).await?;
            // In the other direction: a request that was damaged unseen leaves the piece before in the
            // data words, and that must not be the same one twice.
            pending.reverse();
            let mut doubtful = Vec::new();
            for (piece, mut readings) in pending {
                let again = self.read_range(&piece, way, meter, observer).await?;
                if readings.contains(&again) {
                    bytes[relative(range, &piece)].copy_from_slice(&again);
                } else {
                    readings.push(again);
                    doubtful.push((piece, readings));
                }
            }
            if doubtful.is_empty() {
                return Ok(());
            }
            self.channel.count_fault();
            pending = doubtful;
        }
        let address = pending
            .first()
            .map_or(range.start, |(piece, _)| piece.start);
        Err(Error::LineTooBad {
            address,
            what: "read",
            attempts: PIECE_ATTEMPTS,
        })
    }

    /// Resets the chip into its loader again.
    async fn start_afresh(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        self.reader = None;
        match self.reconnect(observer).await {
            Err(Error::Link(error)) if error.is_lost() => self.recover(observer).await,
            Err(Error::Link(error)) => Err(error.into()),
            Err(_) => self.recover(observer).await,
            Ok(()) => Ok(()),
        }
    }

    async fn read_range(
        &mut self,
        range: &Range<u32>,
        way: Way,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        let mut at = range.start;
        let mut failures = 0;
        while at < range.end {
            let length = STEP.min(range.end - at);
            let result = match way {
                Way::Rom => self.read_slow(at, length).await,
                Way::Registers => self.read_by_register(at, length).await,
            };
            match result {
                Ok(mut piece) => {
                    piece.truncate(length as usize);
                    bytes.append(&mut piece);
                    at += length;
                    failures = 0;
                    meter.sent(u64::from(length), at, observer);
                }
                Err(Error::Link(error)) if error.is_lost() => self.recover(observer).await?,
                Err(error @ (Error::NoAnswer { .. } | Error::Refused { .. })) => {
                    failures += 1;
                    if failures > self.options.block_attempts {
                        return Err(error);
                    }
                    self.recover(observer).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }

    async fn read_slow(&mut self, address: u32, length: u32) -> Result<Vec<u8>, Error> {
        let command = Command::ReadFlashSlow {
            offset: address,
            length,
        };
        let timeout = self.channel.timeouts.command;
        let first = self
            .channel
            .exchange(&command, STEP as usize, timeout)
            .await;
        let answer = match first {
            Ok(answer) => answer,
            Err(Fault::Link(error)) => return Err(error.into()),
            Err(_) => {
                self.channel.resync().await?;
                self.channel
                    .query(&command, STEP as usize, timeout, "reading flash")
                    .await?
            }
        };
        Ok(answer.data)
    }

    /// Reads through the SPI controller; a read that begins inside of a word is no matter to it.
    async fn read_by_register(&mut self, address: u32, length: u32) -> Result<Vec<u8>, Error> {
        if self.reader.is_none() {
            self.reader = Some(self.spi_begin().await?);
        }
        let transaction = Transaction {
            command: flash::READ,
            address: Some(address),
            read: length as usize,
            ..Transaction::default()
        };
        self.spi(transaction).await
    }

    /// Flash address of the first byte that differs from contents, with flash and file byte;
    /// reads everything back.
    pub(crate) async fn first_difference(
        &mut self,
        placed: Placed<'_>,
        range: &Range<u32>,
        observer: &mut dyn Observer,
    ) -> Result<Option<(u32, u8, u8)>, Error> {
        let all = self.differences(placed, range, 1, observer).await?;
        Ok(all.into_iter().next())
    }

    /// Bytes that differ from contents, at most `limit`: address, flash, file.
    pub(crate) async fn differences(
        &mut self,
        placed: Placed<'_>,
        range: &Range<u32>,
        limit: usize,
        observer: &mut dyn Observer,
    ) -> Result<Vec<(u32, u8, u8)>, Error> {
        let way = self.reading_way()?;
        let length = range.end - range.start;
        if !self.engage_stub_to_read(length, observer).await? {
            self.tell_slow(way, length, observer);
        }
        let mut meter = Meter::new(Step::Verify, range.start, u64::from(length));
        let mut found = Vec::new();
        let mut expected = vec![0; FIRST_CHUNK as usize];
        for start in range.clone().step_by(FIRST_CHUNK as usize) {
            let part = start..range.end.min(start.saturating_add(FIRST_CHUNK));
            let mut bytes = self
                .read_chunk(&part, &mut || {}, &mut meter, observer)
                .await?;
            let expected = &mut expected[..bytes.len()];
            placed
                .contents
                .read_at(placed.inside(&part).start, expected)?;
            if bytes != expected && !self.has_digest() && self.channel.faults() == 0 {
                // Nothing has shown whether it is the flash or the line: registers have no check.
                self.confirm(&part, &mut bytes, way, &mut meter, observer)
                    .await?;
            }
            let pairs = (start..).zip(bytes.iter().zip(expected.iter()));
            found.extend(
                pairs
                    .filter(|(_, (flash, file))| flash != file)
                    .map(|(at, (a, b))| (at, *a, *b)),
            );
            if found.len() >= limit {
                found.truncate(limit);
                break;
            }
        }
        self.end_register_read().await?;
        Ok(found)
    }

    /// Gives the SPI controller back to the ROM after reading by registers.
    pub(crate) async fn end_register_read(&mut self) -> Result<(), Error> {
        match self.reader.take() {
            Some(controller) => self.spi_end(controller).await,
            None => Ok(()),
        }
    }
}

/// Where a piece of a range lies within the range's bytes.
fn relative(range: &Range<u32>, piece: &Range<u32>) -> Range<usize> {
    (piece.start - range.start) as usize..(piece.end - range.start) as usize
}

/// Flash addresses of a request, checked against the size of the flash in bytes.
pub(crate) fn flash_range(
    address: u32,
    length: ReadLength,
    size: u64,
) -> Result<Range<u32>, Error> {
    let end = match length {
        ReadLength::Bytes(length) => u64::from(address) + u64::from(length),
        ReadLength::All => size,
    };
    match u32::try_from(end) {
        Ok(end) if u64::from(end) <= size && address <= end => Ok(address..end),
        _ => Err(Error::OutsideFlash { address, end, size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_must_lie_inside_of_the_flash() {
        let size = 4 << 20;
        assert_eq!(
            flash_range(0x1000, ReadLength::All, size).unwrap(),
            0x1000..0x40_0000
        );
        assert_eq!(flash_range(0, ReadLength::Bytes(16), size).unwrap(), 0..16);
        assert!(flash_range(0x3F_FFFF, ReadLength::Bytes(2), size).is_err());
        assert!(flash_range(u32::MAX, ReadLength::Bytes(u32::MAX), size).is_err());
        assert!(flash_range(0x40_0001, ReadLength::All, size).is_err());
    }
}
