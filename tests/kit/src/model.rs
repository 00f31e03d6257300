//! One model of time for both programs: what passed over the line, and what the chip did for it.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use guru_chip::by_id;
use guru_plan::{FlashTimes, Line, SECTOR, erases};
use guru_wire::slip::{Decoder, Event, encode};
use guru_wire::{Begin, Command};

use crate::{From, Recording, Result};

/// Time of one turn-round beyond the chip's own work: two transfers over USB, 1 ms each.
pub const TURN_ROUND: Duration = Duration::from_millis(2);
/// Time of MD5 and of reading the flash for it, for one byte; as the virtual chip has it.
const DIGEST_BYTE: Duration = Duration::from_nanos(700);
/// Bytes of a flash page.
const PAGE: u64 = 256;
/// Bytes of an answer without data, framed.
const ANSWER: u64 = 14;
/// Longest packet.
const MAX_PACKET: usize = 64 * 1024;

/// What a session was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Bytes to the chip.
    pub out: u64,
    /// Bytes from the chip.
    pub back: u64,
    /// How often something was sent and an answer waited for.
    pub round_trips: u64,
    /// The chip's time for erasing.
    pub erase: Duration,
    /// The chip's time for programming.
    pub program: Duration,
    /// The chip's time for digests.
    pub digest: Duration,
    /// Bytes to the chip that carried a program into its RAM.
    pub upload: u64,
    /// The part before the first digest, BEGIN or upload.
    pub connect: Connect,
}

/// What the line alone needs for bytes at this rate.
pub fn line_time(bytes: u64, baud: u32) -> Duration {
    let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    Line::uart(baud, TURN_ROUND).byte.mul_f64(bytes)
}

/// Traffic before the work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connect {
    /// Bytes to the chip.
    pub out: u64,
    /// Bytes from the chip.
    pub back: u64,
    /// How often something was sent and an answer waited for.
    pub round_trips: u64,
}

impl Work {
    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.out + self.back
    }

    /// How long it takes at this rate. A rate other than the first one takes a command more.
    pub fn time(&self, baud: u32) -> Duration {
        let line = Line::uart(baud, TURN_ROUND);
        let trips = self.round_trips + u64::from(baud != 115_200);
        line_time(self.bytes(), baud)
            + line.turn_round * trips as u32
            + self.erase
            + self.program
            + self.digest
    }
}

/// Reads a recording. `written`: bytes of contents that were programmed.
pub fn work(recording: &Recording, written: usize) -> Work {
    let mut work = Work {
        program: programming(written as u64),
        ..Work::default()
    };
    let mut decoder = Decoder::new(MAX_PACKET);
    let mut at_work = false;
    let mut asked = false;
    for (who, bytes) in recording {
        match who {
            From::Chip => {
                work.back += bytes.len() as u64;
                work.round_trips += u64::from(asked);
                asked = false;
            }
            From::Client => {
                work.out += bytes.len() as u64;
                asked = true;
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (taken, event) = decoder.push(rest);
                    rest = &rest[taken..];
                    let Some(Event::Packet(packet)) = event else {
                        continue;
                    };
                    match Command::decode(&packet) {
                        Ok(Command::FlashBegin(begin) | Command::FlashDeflBegin(begin)) => {
                            at_work |= begin.erase_size > 0;
                            work.erase += erasing(&begin);
                        }
                        Ok(Command::SpiFlashMd5 { length, .. }) => {
                            at_work = true;
                            work.digest += DIGEST_BYTE * length;
                        }
                        Ok(
                            Command::MemBegin { .. }
                            | Command::MemData { .. }
                            | Command::MemEnd { .. },
                        ) => {
                            at_work = true;
                            work.upload += encode(&packet).len() as u64;
                        }
                        _ => {}
                    }
                }
            }
        }
        if !at_work {
            work.connect = Connect {
                out: work.out,
                back: work.back,
                round_trips: work.round_trips,
            };
        }
    }
    work
}

fn erasing(begin: &Begin) -> Duration {
    let start = begin.offset / SECTOR * SECTOR;
    let length = (begin.offset - start).saturating_add(begin.erase_size);
    FlashTimes::default().erase(erases(start, length.next_multiple_of(SECTOR)))
}

fn programming(bytes: u64) -> Duration {
    FlashTimes::default().page_program * bytes.div_ceil(PAGE) as u32
}

/// The least that the ROM allows for a write onto differing contents: one erase of the range, the
/// fewest bytes that zlib makes of it (raw where the ROM's inflater is not exact would be more),
/// one turn-round a block, one digest; and the traffic of `ours` before the work.
pub fn bound(chip: &str, app: &[u8], address: u32, ours: &Work) -> Result<Work> {
    let block_size = by_id(chip).ok_or("no such chip")?.rom.flash_block;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(app)?;
    let compressed = encoder.finish()?;
    let begin = Begin {
        erase_size: app.len() as u32,
        blocks: compressed.len().div_ceil(block_size as usize) as u32,
        block_size,
        offset: address,
        encrypted: Some(false),
    };
    let mut out = encode(&Command::FlashDeflBegin(begin).encode()).len() as u64;
    for (sequence, data) in (0..).zip(compressed.chunks(block_size as usize)) {
        out += encode(&Command::FlashDeflData { sequence, data }.encode()).len() as u64;
    }
    let digest = Command::SpiFlashMd5 {
        offset: address,
        length: app.len() as u32,
    };
    out += encode(&digest.encode()).len() as u64;
    let trips = u64::from(begin.blocks) + 2;
    Ok(Work {
        out: ours.connect.out + out,
        back: ours.connect.back + trips * ANSWER + 32,
        round_trips: ours.connect.round_trips + trips,
        erase: erasing(&begin),
        program: programming(app.len() as u64),
        digest: DIGEST_BYTE * app.len() as u32,
        upload: 0,
        connect: ours.connect,
    })
}
