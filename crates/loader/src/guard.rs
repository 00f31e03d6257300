//! Proof that a write left its neighbours alone (`--guard`).

use std::ops::Range;

use guru_link::Link;
use guru_plan::{BLOCK, sector_ceil, sector_floor};

use crate::{Error, Event, Notice, Observer, Session, Unverified};

/// Digests of what lies outside of the written ranges, before the write.
#[derive(Debug)]
pub(crate) struct Guard {
    digests: Vec<(Range<u32>, [u8; 16])>,
}

impl<L: Link> Session<L> {
    /// Takes the digests, one a block of flash. `room` is the size of the flash in bytes.
    pub(crate) async fn guard_before(
        &mut self,
        written: &[Range<u32>],
        room: u64,
        observer: &mut dyn Observer,
    ) -> Result<Guard, Error> {
        let mut digests = Vec::new();
        if !self.has_digest() {
            let reason = Unverified::NoDigest;
            observer.event(Event::Notice(Notice::NotVerified { reason }));
            return Ok(Guard { digests });
        }
        self.tell_size(room.min(u64::from(u32::MAX)) as u32).await?;
        for range in outside(written, room) {
            let digest = self.flash_digest_surely(&range).await?;
            digests.push((range, digest));
        }
        Ok(Guard { digests })
    }

    /// Compares; the first change is the error.
    pub(crate) async fn guard_after(
        &mut self,
        guard: &Guard,
        room: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if guard.digests.is_empty() {
            return Ok(());
        }
        self.tell_size(room.min(u64::from(u32::MAX)) as u32).await?;
        let mut changed: Vec<Range<u32>> = Vec::new();
        for (range, digest) in &guard.digests {
            let suspect = self.differs(range, *digest).await?.is_some();
            if suspect && self.flash_digest_surely(range).await? != *digest {
                let length = range.end - range.start;
                let notice = Notice::NeighbourChanged {
                    start: range.start,
                    length,
                };
                observer.event(Event::Notice(notice));
                changed.push(range.clone());
            }
        }
        match changed.first() {
            Some(range) => Err(Error::NeighbourChanged {
                start: range.start,
                length: range.end - range.start,
            }),
            None => Ok(()),
        }
    }

    /// A digest that nothing can be compared with yet. Nothing protects request and answer, and a
    /// wrong one would name a change where there is none: it counts when it is found twice.
    pub(crate) async fn flash_digest_surely(
        &mut self,
        range: &Range<u32>,
    ) -> Result<[u8; 16], Error> {
        let mut digest = self.flash_digest(range).await?;
        loop {
            let again = self.flash_digest(range).await?;
            if again == digest {
                return Ok(digest);
            }
            self.channel.count_fault();
            digest = again;
        }
    }
}

/// What lies outside of the sectors of `written`, in pieces of at most a block.
fn outside(written: &[Range<u32>], room: u64) -> Vec<Range<u32>> {
    let mut sectors: Vec<(u64, u64)> = written
        .iter()
        .map(|range| {
            (
                u64::from(sector_floor(range.start)),
                sector_ceil(u64::from(range.end)),
            )
        })
        .collect();
    sectors.push((room, room));
    sectors.sort_unstable();
    let mut pieces = Vec::new();
    let mut at = 0;
    for (start, end) in sectors {
        while at < start {
            let stop = start.min((at / u64::from(BLOCK) + 1) * u64::from(BLOCK));
            if let (Ok(from), Ok(to)) = (u32::try_from(at), u32::try_from(stop)) {
                pieces.push(from..to);
            }
            at = stop;
        }
        at = at.max(end);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_written_sectors_is_outside() {
        let written = 0x1_0800..0x1_1001;
        let pieces = outside(std::slice::from_ref(&written), 0x3_0000);
        assert_eq!(
            pieces,
            [0..0x1_0000, 0x1_2000..0x2_0000, 0x2_0000..0x3_0000]
        );
    }
}
