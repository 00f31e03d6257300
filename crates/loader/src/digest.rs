//! Comparing flash with contents by the ROM's digest command.

use std::ops::Range;

use guru_image::Contents;
use guru_link::Link;
use guru_plan::{SECTOR, sector_floor};
use guru_wire::{Command, Opcode, parse_md5};

use crate::{Error, Session};

/// Length of the digest in a ROM's answer, in hexadecimal characters.
const DIGEST_LEN: usize = 32;

/// Length of the digest in a stub's answer.
const STUB_DIGEST_LEN: usize = 16;

/// How often a digest is asked for on a line that damages answers, until two agree.
const AGREEMENTS: u32 = 8;

/// Contents and where they belong in flash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    /// Flash address of the first byte.
    pub start: u32,
    /// The bytes.
    pub contents: &'a Contents,
}

impl Placed<'_> {
    /// Flash addresses that the contents cover.
    pub fn range(&self) -> Range<u32> {
        self.start..self.start + self.contents.len()
    }

    /// Bytes of the contents that belong at these flash addresses.
    pub fn inside(&self, range: &Range<u32>) -> Range<u32> {
        range.start - self.start..range.end - self.start
    }

    /// Digest of the contents that belong at these flash addresses.
    pub fn digest(&self, range: &Range<u32>) -> Result<[u8; 16], Error> {
        self.contents.md5(self.inside(range)).map_err(Error::from)
    }
}

impl<L: Link> Session<L> {
    /// Whether the loader has a digest command in its present mode.
    pub(crate) fn has_digest(&self) -> bool {
        (self.stub_runs() || self.chip.rom.md5) && self.answers(Opcode::SpiFlashMd5)
    }

    /// MD5 of flash.
    pub(crate) async fn flash_digest(&mut self, range: &Range<u32>) -> Result<[u8; 16], Error> {
        let length = range.end - range.start;
        let command = Command::SpiFlashMd5 {
            offset: range.start,
            length,
        };
        let timeout = self.channel.timeouts.md5(length);
        let digest_len = if self.stub_runs() {
            STUB_DIGEST_LEN
        } else {
            DIGEST_LEN
        };
        for _ in 0..AGREEMENTS {
            let answer = self
                .channel
                .query(&command, digest_len, timeout, "asking for a digest")
                .await?;
            match parse_md5(&answer.data) {
                Ok(digest) => return Ok(digest),
                Err(_) => self.channel.count_fault(),
            }
        }
        Err(Error::NoAnswer {
            doing: "asking for a digest".to_owned(),
            opcode: Opcode::SpiFlashMd5,
            fault: "undamaged",
        })
    }

    /// Digest of flash, if it differs from `expected`. Neither request nor answer is protected, so
    /// on a line that has shown faults a difference counts only when it is found twice.
    pub(crate) async fn differs(
        &mut self,
        range: &Range<u32>,
        expected: [u8; 16],
    ) -> Result<Option<[u8; 16]>, Error> {
        let mut last = None;
        for _ in 0..AGREEMENTS {
            let found = self.flash_digest(range).await?;
            if found == expected {
                return Ok(None);
            }
            if self.channel.faults() == 0 || last == Some(found) {
                return Ok(Some(found));
            }
            last = Some(found);
        }
        Ok(last)
    }

    /// Whether flash holds the contents in this range.
    pub(crate) async fn holds(
        &mut self,
        placed: Placed<'_>,
        range: &Range<u32>,
    ) -> Result<bool, Error> {
        let expected = placed.digest(range)?;
        Ok(self.differs(range, expected).await?.is_none())
    }

    /// The end of the longest run of sectors, from the start of `range`, that hold the contents.
    pub(crate) async fn good_until(
        &mut self,
        placed: Placed<'_>,
        range: Range<u32>,
    ) -> Result<u32, Error> {
        let end = sector_floor(range.end);
        if end <= range.start || self.holds(placed, &(range.start..end)).await? {
            return Ok(end.max(range.start));
        }
        let mut good = range.start;
        let mut bad = end;
        while bad - good > SECTOR {
            let middle = good + sector_floor((bad - good) / 2);
            if self.holds(placed, &(good..middle)).await? {
                good = middle;
            } else {
                bad = middle;
            }
        }
        Ok(good)
    }

    /// The sectors of `range` that do not hold the contents, as ranges.
    pub(crate) async fn bad_ranges(
        &mut self,
        placed: Placed<'_>,
        range: Range<u32>,
    ) -> Result<Vec<Range<u32>>, Error> {
        let mut bad: Vec<Range<u32>> = Vec::new();
        let mut suspects = vec![range];
        while let Some(suspect) = suspects.pop() {
            if self.holds(placed, &suspect).await? {
                continue;
            }
            if suspect.end - suspect.start > SECTOR {
                let half = (suspect.end - suspect.start) / 2;
                let middle = suspect.start + sector_floor(half).max(SECTOR);
                // The lower half is looked at first: ranges come out in order.
                suspects.push(middle..suspect.end);
                suspects.push(suspect.start..middle);
                continue;
            }
            match bad.last_mut() {
                Some(last) if last.end == suspect.start => last.end = suspect.end,
                _ => bad.push(suspect),
            }
        }
        Ok(bad)
    }
}

/// A digest as people read it.
pub(crate) fn hex(digest: [u8; 16]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
