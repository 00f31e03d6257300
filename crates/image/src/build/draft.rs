//! An image as a list of what it is made of, and how that becomes bytes.
//!
//! Checksum and digests are worked out while the bytes go by, so that an image never has to be in
//! memory.

use std::io::{self, Write};

use thiserror::Error;

use super::BuildError;
use super::segment::{Data, Piece};
use crate::contents::{CHUNK, Contents, ReadError};
use crate::crc32::{crc32, of_sdk};
use crate::elf::ElfPlace;
use crate::header::HEADER_LEN;
use crate::image::{CHECKSUM_SEED, SEGMENT_HEADER_LEN};
use crate::sha256::Sha256;

/// A segment must be shorter than this (ESP-IDF, `SIXTEEN_MB` of `esp_image_format.c`).
const MAX_SEGMENT: u64 = 16 << 20;

/// Address of segments that fill gaps: nothing is loaded.
pub(super) const NOWHERE: u32 = 0;

/// Why an image could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The ELF file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What takes the bytes failed.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Whether bytes count for the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Summed {
    Yes,
    No,
}

/// The SHA-256 of the ELF file, to be put into a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct ElfDigest {
    /// Where in the image.
    pub(super) offset: u64,
    pub(super) digest: [u8; 32],
}

/// What the bytes of an image are. The numbers add up to its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Makeup {
    /// Those of the program: sections of the ELF file, the SHA-256 put into one included.
    pub program: u64,
    /// The headers of the image and of its segments.
    pub headers: u64,
    /// What fills gaps: before mapped segments, between sections, at the end.
    pub padding: u64,
    /// Checksum, SHA-256 and CRC.
    pub checks: u64,
}

impl Makeup {
    /// All bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.program + self.headers + self.padding + self.checks
    }
}

#[derive(Debug)]
enum Chunk {
    Bytes(Vec<u8>),
    Data(Data, Summed),
    /// Zeros, so that the checksum ends a unit of 16.
    Checksum,
    Sha256,
    Crc32,
    Erased(u64),
}

/// An image that is being put together.
#[derive(Debug)]
pub(super) struct Draft {
    chunks: Vec<Chunk>,
    position: u64,
    elf_digest: Option<ElfDigest>,
    /// Whether the digest of the ELF file has found its place.
    pub(super) placed: bool,
    /// Whether there are segments that are mapped by pages.
    pub(super) maps: bool,
}

impl Draft {
    /// Begins with a header, whose segments are counted later.
    pub(super) fn new(header: [u8; HEADER_LEN], elf_digest: Option<ElfDigest>) -> Self {
        let mut draft = Self {
            chunks: Vec::new(),
            position: 0,
            elf_digest,
            placed: false,
            maps: false,
        };
        draft.bytes(&header);
        draft
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// How much of it is what.
    pub(super) fn makeup(&self) -> Makeup {
        let mut makeup = Makeup::default();
        for chunk in &self.chunks {
            match chunk {
                Chunk::Bytes(bytes) => makeup.headers += bytes.len() as u64,
                Chunk::Data(data, _) => {
                    let padding = data.zero_count();
                    makeup.padding += padding;
                    makeup.program += data.len() - padding;
                }
                Chunk::Checksum => makeup.checks += 1,
                Chunk::Sha256 => makeup.checks += 32,
                Chunk::Crc32 => makeup.checks += 4,
                Chunk::Erased(count) => makeup.padding += count,
            }
        }
        // What stands before the checksum, so that it ends a unit of 16.
        makeup.padding += self.position - makeup.total();
        makeup
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        self.chunks.push(Chunk::Bytes(bytes.to_vec()));
    }

    /// A segment with address and length before it. `place` is of the section that it is for.
    pub(super) fn segment(
        &mut self,
        place: &ElfPlace,
        address: u32,
        mut data: Data,
        summed: Summed,
        elf: &Contents,
    ) -> Result<(), BuildError> {
        let len = data.len();
        self.place_digest(&mut data, elf)?;
        if !len.is_multiple_of(4) {
            let place = place.clone();
            return Err(BuildError::OddLength { place, len });
        }
        if len >= MAX_SEGMENT {
            let place = place.clone();
            return Err(BuildError::SegmentTooLong { place, len });
        }
        self.push(address, data, summed);
        Ok(())
    }

    /// A segment of zeros that nothing loads: so many, a multiple of 4 and less than a page.
    pub(super) fn padding(&mut self, len: u64, elf: &Contents) -> Result<(), BuildError> {
        let mut data = Data::zeros(len);
        self.place_digest(&mut data, elf)?;
        self.push(NOWHERE, data, Summed::Yes);
        Ok(())
    }

    fn push(&mut self, address: u32, data: Data, summed: Summed) {
        let len = data.len();
        self.bytes(&address.to_le_bytes());
        self.bytes(&(len as u32).to_le_bytes());
        self.position += len;
        self.chunks.push(Chunk::Data(data, summed));
    }

    /// Puts the digest of the ELF file into a segment that begins here, if it belongs there.
    fn place_digest(&mut self, data: &mut Data, elf: &Contents) -> Result<(), BuildError> {
        let Some(ElfDigest { offset, digest }) = self.elf_digest else {
            return Ok(());
        };
        let start = self.position + u64::from(SEGMENT_HEADER_LEN);
        let end = start + data.len();
        if offset < self.position || offset >= end {
            return Ok(());
        }
        if offset < start || offset + digest.len() as u64 > end {
            return Err(BuildError::DigestAtBoundary {
                offset,
                position: self.position,
                len: data.len(),
            });
        }
        if !data.replace_zeros(elf, offset - start, &digest)? {
            return Err(BuildError::DigestPlaceTaken { offset });
        }
        self.placed = true;
        Ok(())
    }

    pub(super) fn checksum(&mut self) {
        self.position = (self.position | 0xF) + 1;
        self.chunks.push(Chunk::Checksum);
    }

    pub(super) fn sha256(&mut self) {
        self.position += 32;
        self.chunks.push(Chunk::Sha256);
    }

    pub(super) fn crc32(&mut self) {
        self.position += 4;
        self.chunks.push(Chunk::Crc32);
    }

    pub(super) fn erased(&mut self, count: u64) {
        self.position += count;
        self.chunks.push(Chunk::Erased(count));
    }

    /// Writes the number of segments into the header.
    pub(super) fn set_count(&mut self, count: u8) {
        if let Some(Chunk::Bytes(header)) = self.chunks.first_mut()
            && let Some(byte) = header.get_mut(1)
        {
            *byte = count;
        }
    }

    /// Bytes without a header, as they stand in the ELF file.
    pub(super) fn raw(data: Data) -> Self {
        Self {
            position: data.len(),
            chunks: vec![Chunk::Data(data, Summed::No)],
            elf_digest: None,
            placed: false,
            maps: false,
        }
    }

    pub(super) fn write_to(&self, elf: &Contents, out: &mut dyn Write) -> Result<(), WriteError> {
        let has = |wanted: fn(&Chunk) -> bool| self.chunks.iter().any(wanted);
        let mut writer = Writer {
            out,
            position: 0,
            sum: CHECKSUM_SEED,
            sha: has(|chunk| matches!(chunk, Chunk::Sha256)).then(Sha256::new),
            crc: has(|chunk| matches!(chunk, Chunk::Crc32)).then_some(0),
        };
        for chunk in &self.chunks {
            match chunk {
                Chunk::Bytes(bytes) => writer.put(bytes, Summed::No)?,
                Chunk::Data(data, summed) => {
                    for piece in &data.pieces {
                        match piece {
                            Piece::Bytes(bytes) => writer.put(bytes, *summed)?,
                            Piece::Zeros(count) => writer.fill(0, *count)?,
                            Piece::Elf(range) => {
                                let put = |_, bytes: &[u8]| Ok(writer.put(bytes, *summed)?);
                                elf.try_for_each_chunk::<WriteError>(CHUNK, range.clone(), put)?;
                            }
                        }
                    }
                }
                Chunk::Checksum => {
                    writer.fill(0, 0xF - (writer.position & 0xF))?;
                    writer.put(&[writer.sum], Summed::No)?;
                }
                Chunk::Sha256 => {
                    if let Some(sha) = writer.sha.take() {
                        writer.put(&sha.finish(), Summed::No)?;
                    }
                }
                Chunk::Crc32 => {
                    if let Some(crc) = writer.crc.take() {
                        writer.put(&of_sdk(crc).to_le_bytes(), Summed::No)?;
                    }
                }
                Chunk::Erased(count) => writer.fill(0xFF, *count)?,
            }
        }
        Ok(())
    }
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    position: u64,
    sum: u8,
    sha: Option<Sha256>,
    crc: Option<u32>,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8], summed: Summed) -> io::Result<()> {
        if summed == Summed::Yes {
            self.sum = bytes.iter().fold(self.sum, |sum, byte| sum ^ byte);
        }
        if let Some(sha) = &mut self.sha {
            sha.update(bytes);
        }
        if let Some(crc) = &mut self.crc {
            *crc = crc32(*crc, bytes);
        }
        self.position += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Bytes that are all alike; zeros leave the checksum as it is, and no others are summed.
    fn fill(&mut self, byte: u8, count: u64) -> io::Result<()> {
        let block = [byte; 4096];
        let mut left = count;
        while left > 0 {
            let now = left.min(block.len() as u64);
            self.put(&block[..now as usize], Summed::No)?;
            left -= now;
        }
        Ok(())
    }
}
