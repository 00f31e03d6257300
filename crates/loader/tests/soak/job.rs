//! A command as it comes out of a seed, and how it is given.

use std::ops::Range;

use guru_image::Contents;
use guru_link::Link;
use guru_loader::{
    After, Compress, EraseRegion, Error, FilePart, FlashOptions, FlashSizeOption, MemoryWrite,
    Observer, ReadLength, ReadRequest, Session, Skip, StatusBytes, StatusWrite, Verify,
    VerifyRequest, WriteJob, WriteRequest,
};
use guru_testkit::{Random, code, noise};

use crate::board::{Board, State};

/// Bytes of a sector.
pub const SECTOR: u32 = 4096;

/// A file and its place.
#[derive(Clone)]
pub struct Part {
    pub address: u32,
    pub bytes: Vec<u8>,
    pub encrypt: bool,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.encrypt { "encrypted " } else { "" };
        write!(f, "{kind}{} bytes at {:#x}", self.bytes.len(), self.address)
    }
}

impl Part {
    /// The addresses of its bytes.
    pub fn range(&self) -> Range<usize> {
        self.address as usize..self.address as usize + self.bytes.len()
    }

    /// The addresses of the sectors that it has a share of.
    pub fn sectors(&self) -> Range<usize> {
        let sector = SECTOR as usize;
        let range = self.range();
        range.start / sector * sector..range.end.next_multiple_of(sector)
    }

    fn file(&self) -> Result<FilePart, Error> {
        Ok(FilePart {
            name: format!("{self:?}"),
            address: self.address,
            contents: Contents::from_bytes("file", self.bytes.clone())?,
            encrypt: self.encrypt,
            previous: None,
        })
    }
}

/// How files are written.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub compress: Compress,
    pub skip: Skip,
    pub verify: Verify,
    pub guard: bool,
    pub erase_all: bool,
    pub force: bool,
}

/// A command.
#[derive(Debug, Clone)]
pub enum Job {
    Write(Vec<Part>, Manner),
    Read(Range<u32>),
    Verify(Part, bool),
    EraseRegion(Range<u32>, bool),
    EraseFlash(bool),
    FlashId,
    Status(StatusBytes),
    WriteStatus(StatusWrite),
    SfdpBytes(Range<u32>),
    Sfdp,
    SecurityInfo,
    ChipId,
    ReadMemory(u32),
    WriteMemory(MemoryWrite),
    DumpMemory(Range<u32>),
    Leave(After),
}

/// What a command brought back.
#[derive(Debug, PartialEq, Eq)]
pub enum Brought {
    Nothing,
    Bytes(Vec<u8>),
    Id(u32),
    /// What was written, and what is there.
    Words(u32, u32),
}

impl Job {
    /// A name for each kind, for the tally.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Write(parts, _) if parts.iter().any(|part| part.encrypt) => "encrypted write",
            Self::Write(_, manner) if manner.compress == Compress::Never => "raw write",
            Self::Write(..) => "write",
            Self::Read(_) => "read",
            Self::Verify(..) => "verification",
            Self::EraseRegion(..) => "erase of a region",
            Self::EraseFlash(_) => "erase of the chip",
            Self::FlashId => "flash id",
            Self::Status(_) => "flash status",
            Self::WriteStatus(_) => "write of the flash status",
            Self::SfdpBytes(_) => "SFDP",
            Self::Sfdp => "decoded SFDP",
            Self::SecurityInfo => "security info",
            Self::ChipId => "chip id",
            Self::ReadMemory(_) => "read of memory",
            Self::WriteMemory(_) => "write of memory",
            Self::DumpMemory(_) => "dump of memory",
            Self::Leave(_) => "reset",
        }
    }

    /// Every kind.
    pub const KINDS: [&str; 18] = [
        "encrypted write",
        "raw write",
        "write",
        "read",
        "verification",
        "erase of a region",
        "erase of the chip",
        "flash id",
        "flash status",
        "write of the flash status",
        "SFDP",
        "decoded SFDP",
        "security info",
        "chip id",
        "read of memory",
        "write of memory",
        "dump of memory",
        "reset",
    ];

    pub fn random(board: &Board, model: &[u8], random: &mut Random) -> Self {
        let force = random.below(2) == 0;
        match random.below(22) {
            0..6 => write(board, model, force, random),
            6..8 => Self::Read(range(board, slow(board, 20_000), random)),
            8..10 => {
                let mut part = part(board, model, slow(board, 60_000), random);
                if random.below(2) == 0 {
                    part.bytes = model.get(part.range()).map_or(part.bytes, <[u8]>::to_vec);
                }
                Self::Verify(part, random.below(2) == 0)
            }
            10..12 => {
                let size = board.part.size / SECTOR;
                let start = random.below(u64::from(size)) as u32;
                // Now and then beyond the end, and no multiple of a sector.
                let count = 1 + random.below(40) as u32;
                let odd = if random.below(16) == 0 { 100 } else { 0 };
                let start = start * SECTOR;
                Self::EraseRegion(start..start + count * SECTOR + odd, force)
            }
            12 if random.below(3) == 0 => Self::EraseFlash(force),
            12 | 13 => Self::FlashId,
            14 => Self::Status(bytes(random)),
            15 => {
                let bytes = bytes(random);
                // QE and what protects blocks; nothing that locks, and nothing that can be set only once.
                let value = random.pick(&[0, 0, 0x200, 0x04, 0x1C, 0x204]) & bytes.mask();
                Self::WriteStatus(StatusWrite {
                    value,
                    bytes,
                    non_volatile: random.below(2) == 0,
                })
            }
            16 => {
                let start = random.below(0x100) as u32;
                Self::SfdpBytes(start..start + random.below(200) as u32)
            }
            17 => Self::Sfdp,
            18 => Self::SecurityInfo,
            19 | 20 => {
                let address = memory(board) + 4 * random.below(64) as u32;
                match random.below(3) {
                    0 => Self::ReadMemory(address),
                    1 => Self::WriteMemory(MemoryWrite {
                        address,
                        value: random.next() as u32,
                        mask: *random.pick(&[u32::MAX, 0xFF00]),
                    }),
                    _ => Self::DumpMemory(address..address + 4 * random.below(300) as u32),
                }
            }
            _ => Self::ChipId,
        }
    }

    /// Gives the command.
    pub async fn give<L: Link>(
        &self,
        board: &Board,
        session: &mut Session<L>,
        observer: &mut dyn Observer,
    ) -> Result<Brought, Error> {
        let flash = flash_options(board);
        let nothing = |()| Brought::Nothing;
        match self {
            Self::Write(parts, manner) => {
                let files: Result<_, Error> = parts.iter().map(Part::file).collect();
                let request = WriteRequest {
                    files: files?,
                    flash,
                    compress: manner.compress,
                    skip: manner.skip,
                    verify: manner.verify,
                    guard: manner.guard,
                    erase_all: manner.erase_all,
                    force: manner.force,
                    ..WriteRequest::default()
                };
                let job = WriteJob::new(request, None)?;
                session.write_flash(job, observer).await?;
                Ok(Brought::Nothing)
            }
            Self::Read(range) => {
                let request = ReadRequest {
                    address: range.start,
                    length: ReadLength::Bytes(range.end - range.start),
                };
                let mut bytes = Vec::new();
                session
                    .read_flash(&flash, request, &mut bytes, observer)
                    .await?;
                Ok(Brought::Bytes(bytes))
            }
            Self::Verify(part, diff) => {
                let request = VerifyRequest {
                    files: vec![part.file()?],
                    flash,
                    diff: *diff,
                    ..VerifyRequest::default()
                };
                session.verify_flash(request, observer).await.map(nothing)
            }
            Self::EraseRegion(range, force) => {
                let region = EraseRegion {
                    address: range.start,
                    length: ReadLength::Bytes(range.end - range.start),
                };
                session
                    .erase_region(&flash, region, *force, observer)
                    .await
                    .map(nothing)
            }
            Self::EraseFlash(force) => session
                .erase_flash(&flash, *force, observer)
                .await
                .map(nothing),
            Self::FlashId => {
                let info = session.flash_info(&flash, observer).await?;
                Ok(Brought::Id(info.jedec_id))
            }
            Self::Status(bytes) => {
                let status = session.flash_status(&flash, *bytes, observer).await?;
                Ok(Brought::Id(status.jedec_id))
            }
            Self::WriteStatus(write) => session
                .write_flash_status(&flash, *write, &mut |_| Ok(()), observer)
                .await?
                .check()
                .map(nothing),
            Self::SfdpBytes(range) => session
                .read_sfdp(&flash, range.start, range.end - range.start, observer)
                .await
                .map(Brought::Bytes),
            Self::Sfdp => {
                session.sfdp(&flash, observer).await?;
                Ok(Brought::Nothing)
            }
            Self::SecurityInfo => {
                session.security_report().await?;
                Ok(Brought::Nothing)
            }
            Self::ChipId => {
                session.chip_id().await?;
                Ok(Brought::Nothing)
            }
            Self::ReadMemory(address) => {
                session.read_memory(*address).await?;
                Ok(Brought::Nothing)
            }
            Self::WriteMemory(write) => {
                let change = session.change_memory(*write, false).await?;
                Ok(Brought::Words(change.written, change.new))
            }
            Self::DumpMemory(range) => {
                let mut bytes = Vec::new();
                session
                    .dump_memory(range.clone(), &mut bytes, observer)
                    .await?;
                Ok(Brought::Bytes(bytes))
            }
            Self::Leave(after) => {
                session.reset(*after, observer).await?;
                Ok(Brought::Nothing)
            }
        }
    }
}

/// In Secure Download Mode nothing but the user knows the size.
fn flash_options(board: &Board) -> FlashOptions {
    let size = if board.state == State::SecureDownload {
        FlashSizeOption::Set(format!("{}MB", board.part.size >> 20))
    } else {
        FlashSizeOption::Keep
    };
    FlashOptions {
        size,
        ..FlashOptions::default()
    }
}

/// The most bytes of a job that reads: without a command for it, that is slow.
fn slow(board: &Board, usual: u64) -> u64 {
    if board.chip.rom.md5 { usual } else { 3000 }
}

/// Instruction RAM behind what the loaders use.
fn memory(board: &Board) -> u32 {
    let iram = board.chip.memory.iter().find(|range| range.name == "IRAM");
    iram.map_or(0, |iram| iram.range.start + 0x4000)
}

fn bytes(random: &mut Random) -> StatusBytes {
    *random.pick(&[StatusBytes::One, StatusBytes::Two, StatusBytes::Three])
}

/// Mostly inside of the flash, at any address; now and then over its end.
fn range(board: &Board, longest: u64, random: &mut Random) -> Range<u32> {
    let length = 1 + random.below(longest) as u32;
    let room = board.part.size.saturating_sub(length).max(1);
    let mut start = random.below(u64::from(room)) as u32;
    match random.below(24) {
        0 => start = board.part.size - length / 2,
        1..8 => start = start / SECTOR * SECTOR,
        8..12 => start = start / 16 * 16,
        _ => start = start / 4 * 4,
    }
    start..start + length
}

fn part(board: &Board, model: &[u8], longest: u64, random: &mut Random) -> Part {
    let range = range(board, longest, random);
    let length = (range.end - range.start) as usize;
    let seed = random.next();
    let old = || {
        model
            .get(range.start as usize..range.end as usize)
            .map_or(Vec::new(), <[u8]>::to_vec)
    };
    let mut bytes = match random.below(8) {
        0 => noise(length, seed),
        1 => vec![0xFF; length],
        2 => vec![(seed >> 8) as u8; length],
        3 => old(),
        4 => {
            let mut bytes = old();
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 0x10;
            }
            bytes
        }
        _ => code(length, seed),
    };
    // What looks like an image is checked as one.
    if let Some(first @ (0xE9 | 0xEA)) = bytes.first_mut() {
        *first = 0x42;
    }
    Part {
        address: range.start,
        bytes,
        encrypt: false,
    }
}

fn write(board: &Board, model: &[u8], force: bool, random: &mut Random) -> Job {
    // One in twenty takes more than one stream.
    let longest = if random.below(20) == 0 && board.part.size > 3 << 20 {
        1_300_000
    } else {
        70_000
    };
    let mut parts: Vec<Part> = (0..1 + random.below(3))
        .map(|_| part(board, model, longest, random))
        .collect();
    let encrypts = board.state == State::Development
        || board.state == State::SecureDownload && random.below(4) == 0;
    if encrypts && random.below(3) > 0 {
        for part in &mut parts {
            part.address = part.address / 32 * 32;
            part.encrypt = true;
        }
    }
    let read_back = board.chip.rom.md5 || parts.iter().all(|part| part.bytes.len() < 3000);
    let verify = match random.below(6) {
        0 if read_back => Verify::ReadBack,
        1 => Verify::Never,
        _ => Verify::Digest,
    };
    let manner = Manner {
        compress: *random.pick(&[Compress::Auto, Compress::Auto, Compress::Never]),
        skip: *random.pick(&[Skip::Parts, Skip::Files, Skip::Never]),
        verify,
        guard: random.below(3) > 0,
        erase_all: random.below(12) == 0,
        force,
    };
    Job::Write(parts, manner)
}
