//! A program into RAM, and started there; and the application in flash, started without a reset.

use std::ops::Range;

use guru_chip::Chip;
use guru_image::{RamProgram, RamSegment};
use guru_link::Link;
use guru_wire::{Command, Opcode};

use crate::channel::{Fault, Started};
use crate::event::Step;
use crate::memory::is_memory;
use crate::progress::Meter;
use crate::{Error, Event, Leaving, NotInSecureDownload, Notice, Observer, Session};

/// Attempts at one block on a bad line, and at all that does not read back.
const ATTEMPTS: u32 = 20;

/// The shortest block on a bad line, in bytes.
const SHORT_BLOCK: u32 = 64;

/// Words of a segment that are read back over a line without a fault.
const SAMPLE: u32 = 16;

/// Bytes that are read back at once.
const PIECE: u32 = 1024;

/// How often the loader is asked whether it is still there.
const PROBES: u32 = 3;

/// A program that is to run from RAM.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// Name for messages.
    pub name: String,
    /// What to load and where to start it.
    pub program: RamProgram,
    /// Why the program is not for the chip, if it is not.
    pub mismatch: Option<String>,
    /// Load it in spite of where it lies.
    pub force: bool,
}

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Number of segments.
    pub segments: usize,
    /// Bytes, padding included.
    pub bytes: u64,
    /// Where the program was started.
    pub entry: u32,
}

impl<L: Link> Session<L> {
    /// Loads a program into RAM and starts it. The loader ends with that:
    /// [`into_console`](Self::into_console) shows what the program prints.
    ///
    /// # Errors
    ///
    /// [`Error::SecureDownload`], [`Error::NotPossible`] where secure boot forbids it,
    /// [`Error::Harmful`] for a segment in the loader's own memory, in no RAM at all, or over another,
    /// [`Error::LineTooBad`], and what the link and the chip say. Nothing runs then.
    pub async fn load_ram(
        &mut self,
        request: &LoadRequest,
        observer: &mut dyn Observer,
    ) -> Result<Loaded, Error> {
        if !self.answers(Opcode::MemBegin) {
            return Err(NotInSecureDownload::doing("loading into RAM"));
        }
        if self.chip.rom.ram_needs_insecure_boot && self.secure_boot().await? {
            return Err(Error::NotPossible(format!(
                "secure boot is on, and then the ROM of {} starts no program in RAM",
                self.chip.name
            )));
        }
        if let Some(reason) = &request.mismatch {
            observer.event(Event::Notice(Notice::ProgramMismatch {
                file: request.name.clone(),
                reason: reason.clone(),
            }));
        }
        let segments = self.placed(request, observer)?;
        observer.event(Event::Loading {
            name: request.name.clone(),
        });
        let total: u64 = segments
            .iter()
            .map(|segment| segment.bytes.len() as u64)
            .sum();
        self.insist(observer, async |session, observer| {
            let mut meter = Meter::new(Step::Load, 0, total);
            for segment in &segments {
                let (address, length) = (segment.address, segment.bytes.len() as u32);
                observer.event(Event::LoadingSegment { address, length });
                session
                    .send_segment(segment, 0..length, &mut meter, observer)
                    .await?;
            }
            // What one segment has overwritten of another cannot be there.
            match overlap(&segments) {
                None => session.mend_segments(&segments, &mut meter, observer).await,
                Some(_) => Ok(()),
            }
        })
        .await?;
        let entry = request.program.entry;
        observer.event(Event::Loaded {
            name: request.name.clone(),
            segments: segments.len(),
            entry,
        });
        self.start(&Command::MemEnd { entry: Some(entry) }, observer)
            .await?;
        Ok(Loaded {
            segments: segments.len(),
            bytes: total,
            entry,
        })
    }

    /// The loader ends and goes on to boot from flash, without a reset.
    ///
    /// # Errors
    ///
    /// What the link and the chip say.
    pub async fn run(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        self.begin_to_leave(observer).await?;
        // What the wire's table calls staying is going on without a reset.
        self.start(&Command::FlashEnd { stay: true }, observer)
            .await
    }

    /// Ends the loader. A program that runs is not to be disturbed, and what it prints is not to be
    /// lost, so what comes is looked at closely.
    async fn start(
        &mut self,
        command: &Command<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let (opcode, timeout) = (command.opcode(), self.channel.timeouts.mem_end);
        let status_len = self.chip.rom.status_len;
        let mut refused = None;
        for _ in 0..ATTEMPTS {
            let started = self.channel.start(command, status_len, timeout).await?;
            let started = match started {
                Started::Silent => self.probe(opcode).await?,
                _ => started,
            };
            match started {
                Started::Answered | Started::Torn | Started::Silent => {
                    if started == Started::Silent {
                        observer.event(Event::Notice(Notice::StartUnanswered));
                    }
                    observer.event(Event::Leaving(Leaving::Running));
                    return Ok(());
                }
                Started::Refused(code) if refused == Some(code) => {
                    return Err(Error::Refused {
                        doing: "starting the program".to_owned(),
                        opcode,
                        code,
                    });
                }
                // The loader goes on: the request may have been damaged.
                Started::Refused(code) => refused = Some(code),
                Started::Not => {}
            }
            self.channel.count_fault();
            self.channel.resync().await?;
        }
        Err(Error::NoAnswer {
            doing: "starting the program".to_owned(),
            opcode,
            fault: "complete",
        })
    }

    /// Whether the loader still answers. What a program prints meanwhile is kept.
    async fn probe(&mut self, opcode: Opcode) -> Result<Started, Error> {
        let (timeout, status_len) = (self.channel.timeouts.sync, self.chip.rom.status_len);
        for _ in 0..PROBES {
            match self.channel.probe(opcode, status_len, timeout).await? {
                Started::Silent => {}
                started => return Ok(started),
            }
        }
        Ok(Started::Silent)
    }

    /// The segments that can be loaded.
    fn placed(
        &self,
        request: &LoadRequest,
        observer: &mut dyn Observer,
    ) -> Result<Vec<RamSegment>, Error> {
        let revision = self.revision.map_or(0, |revision| revision.0);
        let mut segments = Vec::new();
        for segment in &request.program.segments {
            let (address, length) = (segment.address, segment.bytes.len() as u32);
            let objection = match place(self.chip, revision, address, length) {
                Place::Ram => None,
                Place::Padding => continue,
                Place::Flash => {
                    observer.event(Event::Notice(Notice::SegmentInFlash { address, length }));
                    continue;
                }
                Place::Loader(used) => Some(format!(
                    "the segment of {length} bytes at 0x{address:08x} overlaps 0x{:08x} to \
                     0x{:08x}, in which the loader itself works",
                    used.start, used.end
                )),
                Place::Elsewhere => Some(format!(
                    "the segment of {length} bytes at 0x{address:08x} does not lie in the RAM of {}",
                    self.chip.name
                )),
            };
            if let Some(reason) = objection {
                object(request, reason, observer)?;
            }
            segments.push(segment.padded());
        }
        if let Some(address) = overlap(&segments) {
            let reason = format!(
                "two segments of '{}' overlap at 0x{address:08x}",
                request.name
            );
            object(request, reason, observer)?;
        }
        if segments.is_empty() {
            return Err(Error::BadRequest(format!(
                "'{}' has nothing that could be loaded into RAM; write-flash writes an application",
                request.name
            )));
        }
        Ok(segments)
    }

    /// Sends a part of a segment. What was acknowledged need not go again after a fault.
    pub(crate) async fn send_segment(
        &mut self,
        segment: &RamSegment,
        part: Range<u32>,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let mut at = part.start;
        let mut attempts = 0;
        while at < part.end {
            let before = at;
            match self
                .send_run(segment, &mut at, part.end, meter, observer)
                .await
            {
                Ok(()) => return Ok(()),
                Err(Fault::Link(error)) => return Err(error.into()),
                Err(fault) => {
                    if let Fault::Refused(_) = fault {
                        self.channel.count_fault();
                    }
                    self.channel.resync().await?;
                }
            }
            attempts = if at > before { 0 } else { attempts + 1 };
            if attempts >= ATTEMPTS {
                return Err(too_bad(segment.address.saturating_add(at)));
            }
        }
        Ok(())
    }

    /// Sends bytes of a segment from offset `at` on, which is moved behind what was acknowledged.
    async fn send_run(
        &mut self,
        segment: &RamSegment,
        at: &mut u32,
        end: u32,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Fault> {
        let rom = &self.chip.rom;
        let longest = if self.may_be_otg() {
            rom.ram_block.min(self.chip.usb.otg_block)
        } else {
            rom.ram_block
        };
        let faults = self.channel.faults().min(u32::BITS - 1);
        let block_size = (longest >> faults).max(SHORT_BLOCK);
        let bytes = &segment.bytes[*at as usize..end as usize];
        let size = bytes.len() as u32;
        let timeout = self.channel.timeouts.command;
        let begin = Command::MemBegin {
            size,
            blocks: size.div_ceil(block_size),
            block_size,
            address: segment.address.saturating_add(*at),
        };
        self.channel.exchange(&begin, 0, timeout).await?;
        for (sequence, data) in (0..).zip(bytes.chunks(block_size as usize)) {
            let block = Command::MemData { sequence, data };
            self.channel.exchange(&block, 0, timeout).await?;
            *at += data.len() as u32;
            let address = segment.address.saturating_add(*at);
            meter.loaded(data.len() as u64, address, observer);
        }
        Ok(())
    }

    /// Reads segments back, and sends again what differs: the checksum of a block is one byte, and
    /// nothing protects its address.
    pub(crate) async fn mend_segments(
        &mut self,
        segments: &[RamSegment],
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let mut bad = 0;
        for _ in 0..ATTEMPTS {
            let mut whole = true;
            let readable = |segment: &&RamSegment| is_memory(self.chip, segment.address);
            for segment in segments.iter().filter(readable) {
                if let Some(part) = self.difference(segment).await? {
                    whole = false;
                    bad = segment.address.saturating_add(part.start);
                    self.channel.count_fault();
                    self.send_segment(segment, part, meter, observer).await?;
                }
            }
            if whole {
                return Ok(());
            }
        }
        Err(too_bad(bad))
    }

    /// Offsets in a segment between which RAM holds something else.
    async fn difference(&mut self, segment: &RamSegment) -> Result<Option<Range<u32>>, Error> {
        if self.channel.faults() == 0 && self.sample_agrees(segment).await? {
            return Ok(None);
        }
        let length = segment.bytes.len() as u32;
        let mut differing: Option<Range<u32>> = None;
        for start in (0..length).step_by(PIECE as usize) {
            let end = length.min(start + PIECE);
            let range = segment.address.saturating_add(start)..segment.address.saturating_add(end);
            let found = self.read_words(range, &mut Vec::new()).await?;
            let held = segment.bytes[start as usize..end as usize].chunks(4);
            for (offset, (found, held)) in (start..).step_by(4).zip(found.chunks(4).zip(held)) {
                if found != held {
                    let first = differing.map_or(offset, |range| range.start);
                    differing = Some(first..offset + 4);
                }
            }
        }
        Ok(differing)
    }

    /// Whether some words of a segment are where they should be. Over the chip's own USB nothing
    /// can be damaged.
    async fn sample_agrees(&mut self, segment: &RamSegment) -> Result<bool, Error> {
        if self.device.usb_mode.is_some() || self.may_be_otg() {
            return Ok(true);
        }
        let words = segment.bytes.len() / 4;
        let step = words.div_ceil(SAMPLE as usize).max(1);
        let last = words.saturating_sub(1);
        let sample = || (0..words).step_by(step).chain([last]);
        let addresses = sample().map(|word| segment.address.saturating_add(word as u32 * 4));
        let timeout = self.channel.timeouts.command;
        match self.channel.read_words(addresses, timeout).await {
            Ok(found) => Ok(sample().zip(found).all(|(word, found)| {
                segment.bytes.get(word * 4..word * 4 + 4) == Some(&found.to_le_bytes()[..])
            })),
            Err(Fault::Link(error)) => Err(error.into()),
            Err(_) => {
                self.channel.count_fault();
                self.channel.resync().await?;
                Ok(false)
            }
        }
    }
}

/// Refuses, or only says what may go wrong.
fn object(request: &LoadRequest, reason: String, observer: &mut dyn Observer) -> Result<(), Error> {
    if !request.force {
        return Err(Error::Harmful { reason });
    }
    observer.event(Event::Notice(Notice::SegmentForced { reason }));
    Ok(())
}

/// The lowest address that more than one segment would fill.
fn overlap(segments: &[RamSegment]) -> Option<u32> {
    let mut ranges: Vec<_> = segments
        .iter()
        .map(|segment| (segment.address, segment.bytes.len() as u64))
        .collect();
    ranges.sort_unstable();
    let mut end = 0;
    for (address, length) in ranges {
        if u64::from(address) < end {
            return Some(address);
        }
        end = end.max(u64::from(address) + length);
    }
    None
}

fn too_bad(address: u32) -> Error {
    Error::LineTooBad {
        address,
        what: "loaded",
        attempts: ATTEMPTS,
    }
}

/// What is at the addresses of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Ram,
    /// Filling in an image, which has no address.
    Padding,
    /// A window through which flash is seen.
    Flash,
    /// Memory that the ROM's loader works in.
    Loader(Range<u32>),
    Elsewhere,
}

fn place(chip: &Chip, revision: u16, address: u32, length: u32) -> Place {
    let names = || chip.memory_names(address);
    if names().any(|name| name == "PADDING") {
        return Place::Padding;
    }
    let last = u64::from(address) + u64::from(length.max(1)) - 1;
    let is_ram = |name: &str| {
        ["RAM", "CACHE", "RTC_DATA", "MEM_INTERNAL2"]
            .iter()
            .any(|kind| name.contains(kind))
            && name != "EXTRAM_DATA"
    };
    let reserved = chip.rom_reserved.iter().find(|reserved| {
        (reserved.min_revision..=reserved.max_revision).contains(&revision)
            && u64::from(reserved.range.start) <= last
            && address < reserved.range.end
    });
    if let Some(reserved) = reserved {
        return Place::Loader(reserved.range.clone());
    }
    let whole = |memory: &&guru_chip::MemoryRange| {
        is_ram(memory.name) && memory.range.contains(&address) && last < u64::from(memory.range.end)
    };
    if chip.memory.iter().any(|memory| whole(&memory)) {
        return Place::Ram;
    }
    if chip.is_flash_mapped(address) || names().any(|name| name == "IROM" || name == "DROM") {
        return Place::Flash;
    }
    Place::Elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(chip: &str, address: u32, length: u32) -> Place {
        place(guru_chip::by_id(chip).unwrap(), 300, address, length)
    }

    #[test]
    fn segments_are_told_apart_by_where_they_lie() {
        assert_eq!(at("esp32c3", 0x4038_0000, 0x1000), Place::Ram);
        assert_eq!(at("esp32c3", 0x3FC9_0000, 0x1000), Place::Ram);
        assert_eq!(at("esp32c3", 0x5000_0000, 0x100), Place::Ram);
        assert_eq!(at("esp32c3", 0x4200_0020, 0x100), Place::Flash);
        assert_eq!(at("esp32c3", 0x3C00_0020, 0x100), Place::Flash);
        assert_eq!(at("esp32c3", 0, 0x100), Place::Padding);
        assert_eq!(at("esp32c3", 0x6000_0000, 0x100), Place::Elsewhere);
        assert_eq!(at("esp32c3", 0xFFFF_FFF0, 0x100), Place::Elsewhere);
        assert_eq!(at("esp32", 0x4008_0400, 0x100), Place::Ram);
        assert_eq!(at("esp32", 0x400D_0020, 0x100), Place::Flash);
        assert_eq!(at("esp8266", 0x4010_0000, 0x100), Place::Ram);
        assert_eq!(at("esp8266", 0x4020_1010, 0x100), Place::Flash);
    }

    #[test]
    fn the_loaders_own_memory_is_known_on_both_buses_and_by_revision() {
        for address in [0x3FCD_D000, 0x403D_D000, 0x3FCC_AE00, 0x403C_C000] {
            let place = at("esp32c3", address, 0x100);
            assert!(matches!(place, Place::Loader(_)), "{address:x}: {place:?}");
        }
        assert_eq!(at("esp32p4", 0x4FF3_B000, 0x100), Place::Ram);
        let p4 = guru_chip::by_id("esp32p4").unwrap();
        let early = place(p4, 103, 0x4FF3_B000, 0x100);
        assert!(matches!(early, Place::Loader(_)));
    }
}
