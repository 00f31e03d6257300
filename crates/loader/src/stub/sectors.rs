//! Which sectors of a file differ from flash, by DIGEST_MAP.

use std::ops::Range;

use guru_link::Link;
use guru_plan::{SECTOR, sector_floor};
use guru_wire::{Command, Opcode};
use md5::{Digest, Md5};

use crate::digest::Placed;
use crate::job::sector_at;
use crate::{Error, Observer, Session};

/// Sectors of one answer.
const AT_ONCE: u32 = 64;

/// Places that are asked for first, one by one: where none of them is in place already, hardly any
/// other will be, and digests of all would cost the chip more time than they save.
const PLACES: u32 = 6;

/// Bytes of such a place. If they are as they should be, so has all of their sector to be.
const PLACE: u32 = 256;

/// Below this many sectors all are asked for.
const FEW: u32 = 16;

/// First bytes of a sector's MD5.
type Short = [u8; 4];

impl<L: Link> Session<L> {
    /// Flash addresses at which sectors differ from the contents, joined. `None`: the stub cannot tell,
    /// or it is not worth while to ask.
    pub(crate) async fn differing_sectors(
        &mut self,
        placed: Placed<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Vec<Range<u32>>>, Error> {
        if !self.stub_runs() || !self.answers(Opcode::DigestMap) {
            return Ok(None);
        }
        self.insist(observer, async |session, _| {
            if !session.stub_runs() || !session.answers(Opcode::DigestMap) {
                return Ok(None);
            }
            session.differing(placed).await
        })
        .await
    }

    async fn differing(&mut self, placed: Placed<'_>) -> Result<Option<Vec<Range<u32>>>, Error> {
        let whole = placed.range();
        let end = sector_floor(whole.end);
        let sectors = (end - whole.start) / SECTOR;
        if sectors > FEW {
            let mut places = (0..PLACES)
                .map(|index| whole.start + (sectors - 1) * index / (PLACES - 1) * SECTOR);
            let any_is_there = loop {
                let Some(at) = places.next() else {
                    break false;
                };
                if self.holds(placed, &(at..at + PLACE)).await?
                    && self.holds(placed, &(at..at + SECTOR)).await?
                {
                    break true;
                }
            };
            if !any_is_there {
                return Ok(None);
            }
        }
        let mut differing: Vec<Range<u32>> = Vec::new();
        let (mut start, mut differed) = (whole.start, false);
        while start < end {
            let part = start..end.min(start.saturating_add(AT_ONCE * SECTOR));
            start = part.end;
            // Changes lie together: where there was none, one digest of all says that most often.
            if !differed && self.holds(placed, &part).await? {
                continue;
            }
            let before = differing.last().map(|last| last.end);
            let found = self.map(&part).await?;
            for (at, found) in part.clone().step_by(SECTOR as usize).zip(found) {
                if found == expected(placed, at)? {
                    continue;
                }
                join(&mut differing, at..at + SECTOR);
            }
            differed = differing.last().map(|last| last.end) != before;
        }
        // What lies behind the contents in their last sector is nobody's.
        let tail = end..whole.end;
        if !tail.is_empty() && !self.holds(placed, &tail).await? {
            join(&mut differing, tail);
        }
        Ok(Some(differing))
    }

    /// DIGEST_MAP of whole sectors.
    async fn map(&mut self, range: &Range<u32>) -> Result<Vec<Short>, Error> {
        let length = range.end - range.start;
        let command = Command::DigestMap {
            offset: range.start,
            length,
        };
        let bytes = (length / SECTOR) as usize * size_of::<Short>();
        let timeout = self.channel.timeouts.md5(length);
        let answer = self
            .channel
            .query(&command, bytes, timeout, "asking for digests")
            .await?;
        let (digests, _) = answer.data.as_chunks();
        Ok(digests.to_vec())
    }
}

/// Adds a range behind the others.
fn join(ranges: &mut Vec<Range<u32>>, range: Range<u32>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// What the map says of a sector that holds the contents.
fn expected(placed: Placed<'_>, at: u32) -> Result<Short, Error> {
    let sector = sector_at(placed.contents, at - placed.start)?;
    let digest = Md5::digest(sector);
    let mut short = Short::default();
    short.copy_from_slice(&digest[..size_of::<Short>()]);
    Ok(short)
}
