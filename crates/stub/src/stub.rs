use std::fmt;

use guru_chip::Chip;

use crate::StubError;

/// More than this no stub is, in bytes: the smallest chip has not much more RAM to spare.
const MOST: usize = 64 << 10;

/// Whose stub it is, and so what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Guru's own, from `stub/`: it can be asked for CAPABILITIES.
    Guru,
    /// Espressif's, as esptool ships it: the base protocol.
    Official,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guru => "Guru's",
            Self::Official => "Espressif's",
        })
    }
}

/// Bytes and where in RAM they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Address of the first byte, a multiple of 4.
    pub address: u32,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// A flasher stub for one chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// Whose.
    pub kind: Kind,
    /// File that it comes from, for messages.
    pub file: String,
    /// What is uploaded; no two overlap.
    pub segments: Vec<Segment>,
    /// Address of its first instruction, which lies in a segment.
    pub entry: u32,
}

impl Stub {
    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| segment.bytes.len())
            .sum()
    }

    /// Whether there is nothing to upload; no stub that was checked is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses what could not run on the chip, or would spoil another part of itself.
    pub(crate) fn checked(self, chip: &Chip) -> Result<Self, StubError> {
        let bad = |reason: String| Err(StubError::new(&self.file, reason));
        if self.len() > MOST {
            return bad(format!("{} bytes are too many for a stub", self.len()));
        }
        let mut ends: Vec<(u64, u64)> = Vec::new();
        for segment in &self.segments {
            let (start, length) = (segment.address, segment.bytes.len());
            let end = u64::from(start) + length as u64;
            if length == 0 || !start.is_multiple_of(4) {
                return bad(format!(
                    "a segment of {length} bytes at 0x{start:08x} cannot be uploaded"
                ));
            }
            if !is_ram(chip, start, end) {
                return bad(format!(
                    "0x{start:08x} to 0x{end:08x} does not lie in the RAM of {}",
                    chip.name
                ));
            }
            ends.push((u64::from(start), end));
        }
        ends.sort_unstable();
        if let Some(pair) = ends.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            return bad(format!("two segments overlap at 0x{:08x}", pair[1].0));
        }
        let entry = u64::from(self.entry);
        if !ends
            .iter()
            .any(|(start, end)| (*start..*end).contains(&entry))
        {
            return bad(format!(
                "the entry 0x{entry:08x} lies in none of its segments"
            ));
        }
        Ok(self)
    }
}

/// Whether memory between two addresses is RAM of the chip that programs may take.
fn is_ram(chip: &Chip, start: u32, end: u64) -> bool {
    let within =
        |range: &std::ops::Range<u32>| range.contains(&start) && end <= u64::from(range.end);
    if chip.rom.cache_ram.as_ref().is_some_and(within) {
        return true;
    }
    chip.memory.iter().any(|memory| {
        let ram = ["RAM", "MEM_INTERNAL", "CACHE"]
            .iter()
            .any(|kind| memory.name.contains(kind));
        ram && memory.name != "EXTRAM_DATA" && within(&memory.range)
    })
}
