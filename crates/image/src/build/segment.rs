//! Pieces of a program on their way into an image: merged, split, filled up. Their bytes stay in
//! the ELF file.

use std::ops::Range;

use guru_chip::MemoryRange;

use super::BuildNotice;
use crate::contents::{Contents, ReadError};
use crate::elf::{Elf, ElfPlace, Loadable};

/// Bytes of an image, as pieces of the ELF file and what is put between them.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    pub(super) pieces: Vec<Piece>,
    len: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// Bytes of the ELF file.
    Elf(Range<u32>),
    Zeros(u64),
    Bytes(Vec<u8>),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Elf(range) => range.len() as u64,
            Self::Zeros(count) => *count,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Cuts `count` bytes, which it has, off its start.
    fn cut(&mut self, count: u64) -> Self {
        match self {
            Self::Elf(range) => {
                // No more than the piece has, which is below 4 GB.
                let middle = range.start + count as u32;
                let cut = range.start..middle;
                range.start = middle;
                Self::Elf(cut)
            }
            Self::Zeros(left) => {
                *left -= count;
                Self::Zeros(count)
            }
            Self::Bytes(bytes) => {
                let rest = bytes.split_off(count as usize);
                Self::Bytes(std::mem::replace(bytes, rest))
            }
        }
    }
}

impl Data {
    pub(super) fn of(range: Range<u32>) -> Self {
        Self {
            len: range.len() as u64,
            pieces: vec![Piece::Elf(range)],
        }
    }

    pub(super) fn zeros(count: u64) -> Self {
        let mut data = Self::default();
        data.push_zeros(count);
        data
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// How many of its bytes are zeros that fill it up.
    pub(super) fn zero_count(&self) -> u64 {
        let zeros = self.pieces.iter().map(|piece| match piece {
            Piece::Zeros(count) => *count,
            Piece::Elf(_) | Piece::Bytes(_) => 0,
        });
        zeros.sum()
    }

    pub(super) fn push_zeros(&mut self, count: u64) {
        if count > 0 {
            self.pieces.push(Piece::Zeros(count));
            self.len += count;
        }
    }

    pub(super) fn pad_to(&mut self, align: u64) {
        self.push_zeros(self.len.next_multiple_of(align) - self.len);
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.pieces.append(&mut other.pieces);
        self.len += other.len;
    }

    /// Takes up to `count` bytes off the start.
    pub(super) fn take_front(&mut self, count: u64) -> Self {
        let mut front = Self::default();
        let mut whole = 0;
        for piece in &mut self.pieces {
            let left = count - front.len;
            let len = piece.len();
            if len > left {
                if left > 0 {
                    front.pieces.push(piece.cut(left));
                    front.len += left;
                }
                break;
            }
            whole += 1;
            front.len += len;
        }
        let partial = std::mem::take(&mut front.pieces);
        front.pieces = self.pieces.drain(..whole).collect();
        front.pieces.extend(partial);
        self.len -= front.len;
        front
    }

    /// Puts `bytes` in place of those at `offset`, which must all be zero and inside. Whether they
    /// were zero.
    pub(super) fn replace_zeros(
        &mut self,
        elf: &Contents,
        offset: u64,
        bytes: &[u8],
    ) -> Result<bool, ReadError> {
        let mut rest = std::mem::take(self);
        *self = rest.take_front(offset);
        let old = rest.take_front(bytes.len() as u64);
        let zero = old.is_zero(elf)?;
        self.pieces.push(Piece::Bytes(bytes.to_vec()));
        self.len += bytes.len() as u64;
        self.append(rest);
        Ok(zero)
    }

    /// All bytes.
    pub(super) fn read(&self, elf: &Contents) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            let start = bytes.len();
            match piece {
                Piece::Zeros(count) => bytes.resize(start + *count as usize, 0),
                Piece::Bytes(more) => bytes.extend(more),
                Piece::Elf(range) => {
                    bytes.resize(start + range.len(), 0);
                    elf.read_at(range.start, &mut bytes[start..])?;
                }
            }
        }
        Ok(bytes)
    }

    fn is_zero(&self, elf: &Contents) -> Result<bool, ReadError> {
        let mut zero = true;
        for piece in &self.pieces {
            match piece {
                Piece::Zeros(_) => {}
                Piece::Bytes(bytes) => zero &= bytes.iter().all(|byte| *byte == 0),
                Piece::Elf(range) => elf.for_each_chunk(range.clone(), |chunk| {
                    zero &= chunk.iter().all(|byte| *byte == 0);
                })?,
            }
        }
        Ok(zero)
    }
}

/// A segment of an image to be.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// What of the ELF file is, or was, first in it.
    pub(super) place: ElfPlace,
    pub(super) address: u32,
    pub(super) data: Data,
    align: u32,
}

impl Segment {
    /// A segment for each.
    pub(super) fn all(elf: &Elf, loadable: &[Loadable]) -> Vec<Self> {
        let segments = loadable.iter().map(|from| {
            let mut data = Data::of(from.data.clone());
            data.pad_to(4);
            Self {
                place: from.place(elf),
                address: from.address,
                data,
                align: from.align,
            }
        });
        segments.collect()
    }

    /// The address behind it, padding included.
    pub(super) fn end(&self) -> u64 {
        u64::from(self.address) + self.data.len()
    }

    /// Takes up to `count` bytes off the start.
    pub(super) fn take_front(&mut self, count: u64) -> Self {
        let front = Self {
            data: self.data.take_front(count),
            ..self.clone_without_data()
        };
        // A segment that was taken whole is used no more.
        self.address = self.address.wrapping_add(front.data.len() as u32);
        front
    }

    fn clone_without_data(&self) -> Self {
        Self {
            place: self.place.clone(),
            data: Data::default(),
            ..*self
        }
    }
}

/// Whether gaps that an alignment explains are filled when segments are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gaps {
    Fill,
    Keep,
}

/// Makes one segment of those that follow each other without a gap and begin in memory of the same
/// kinds.
pub(super) fn merge(
    segments: Vec<Segment>,
    map: &[MemoryRange],
    gaps: Gaps,
    tell: &mut dyn FnMut(BuildNotice),
) -> Vec<Segment> {
    let before = segments.len();
    let mut kinds = Vec::with_capacity(before);
    for segment in &segments {
        let inside = |range: &&MemoryRange| range.range.contains(&segment.address);
        let kinds_of_it: Vec<_> = map.iter().filter(inside).map(|range| range.name).collect();
        kinds.push(kinds_of_it);
    }
    // What a segment has itself decides, before others are merged into it. The fillings are told
    // from the last one on, as they always were.
    let mut segments = segments;
    let mut fillings = Vec::new();
    let mut joins = vec![false; before];
    for at in 1..before {
        let (left, right) = segments.split_at_mut(at);
        let (Some(one), Some(next)) = (left.last_mut(), right.first()) else {
            continue;
        };
        if gaps == Gaps::Fill {
            let aligned = one.end().next_multiple_of(u64::from(next.align.max(1)));
            if aligned != one.end() && aligned == u64::from(next.address) {
                let bytes = aligned - one.end();
                fillings.push(BuildNotice::GapFilled {
                    bytes,
                    before: one.place.name.clone(),
                    after: next.place.name.clone(),
                });
                one.data.push_zeros(bytes);
            }
        }
        joins[at] = kinds[at - 1] == kinds[at] && one.end() == u64::from(next.address);
    }
    for filling in fillings.into_iter().rev() {
        tell(filling);
    }
    let mut merged: Vec<Segment> = Vec::new();
    for (segment, joins) in segments.into_iter().zip(joins) {
        match merged.last_mut() {
            Some(last) if joins => last.data.append(segment.data),
            _ => merged.push(segment),
        }
    }
    if merged.len() < before {
        tell(BuildNotice::Merged {
            sections: before - merged.len(),
        });
    }
    merged
}
