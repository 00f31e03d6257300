//! Several files as one: raw, as Intel HEX, or as UF2.
//!
//! Contents are read, and gaps are filled, a piece at a time: memory does not grow with either.

use std::io::{self, Write};

use thiserror::Error;

use crate::contents::{CHUNK, Contents, MAX_LEN, ReadError};
use crate::hex;
use crate::uf2::Blocks;

/// What erased flash reads as.
static ERASED: [u8; 4096] = [0xFF; 4096];

/// Contents and where they go.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Flash offset of the first byte.
    pub address: u32,
    /// The bytes.
    pub contents: Contents,
}

impl Placed {
    /// Offset behind the last byte.
    fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.contents.len())
    }

    /// Gives `write` the contents in pieces of `size` bytes, with the address of each, which was
    /// checked to have 32 bits.
    fn pieces(
        &self,
        size: usize,
        mut write: impl FnMut(u32, &[u8]) -> io::Result<()>,
    ) -> Result<(), MergeError> {
        let all = 0..self.contents.len();
        self.contents
            .try_for_each_chunk(size, all, |offset, bytes| {
                Ok(write(self.address + offset, bytes)?)
            })
    }
}

/// Why files cannot be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// Two of them have a byte for the same address.
    #[error("'{file}' at {address:#x} overlaps '{other}', which ends at {end:#x}")]
    Overlap {
        /// The second one.
        file: String,
        /// Where it begins.
        address: u32,
        /// The first one.
        other: String,
        /// Where that ends.
        end: u64,
    },
    /// One reaches beyond the addresses that there are.
    #[error("'{file}' at {address:#x} ends at {end:#x}, beyond 32 bits")]
    Address {
        /// The file.
        file: String,
        /// Where it begins.
        address: u32,
        /// Where it would end.
        end: u64,
    },
    /// One begins before the place that the merged file is for.
    #[error("'{file}' at {address:#x} begins before the target offset {target:#x}")]
    BeforeTarget {
        /// The file.
        file: String,
        /// Where it begins.
        address: u32,
        /// Where the merged file begins.
        target: u32,
    },
    /// The merged file would be larger than any flash.
    #[error("the merged file would have {len:#x} bytes, and no flash has more than {MAX_LEN:#x}")]
    TooLarge {
        /// Its length.
        len: u64,
    },
    /// The files cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The merged file cannot be written.
    #[error("cannot write the merged file")]
    Write(#[from] io::Error),
}

/// Files that lie beside each other in flash, ordered by their addresses.
#[derive(Debug, Clone)]
pub struct Merge {
    parts: Vec<Placed>,
}

impl Merge {
    /// Puts files in the order of their addresses; those with the same one, of which all but one
    /// are empty then, stay in theirs.
    ///
    /// # Errors
    ///
    /// [`MergeError::Overlap`] and [`MergeError::Address`].
    pub fn new(mut parts: Vec<Placed>) -> Result<Self, MergeError> {
        parts.sort_by_key(|part| part.address);
        let mut before: Option<&Placed> = None;
        for part in parts.iter().filter(|part| !part.contents.is_empty()) {
            if part.end() > 1 << 32 {
                return Err(MergeError::Address {
                    file: part.contents.name().to_owned(),
                    address: part.address,
                    end: part.end(),
                });
            }
            if let Some(other) = before.filter(|other| other.end() > part.address.into()) {
                return Err(MergeError::Overlap {
                    file: part.contents.name().to_owned(),
                    address: part.address,
                    other: other.contents.name().to_owned(),
                    end: other.end(),
                });
            }
            before = Some(part);
        }
        Ok(Self { parts })
    }

    /// The files, in the order of their addresses.
    #[must_use]
    pub fn parts(&self) -> &[Placed] {
        &self.parts
    }

    /// Checks that no file begins before the offset `target` that the merged file is for.
    ///
    /// # Errors
    ///
    /// [`MergeError::BeforeTarget`].
    pub fn check_target(&self, target: u32) -> Result<(), MergeError> {
        match self.parts.first() {
            Some(first) if first.address < target => Err(MergeError::BeforeTarget {
                file: first.contents.name().to_owned(),
                address: first.address,
                target,
            }),
            _ => Ok(()),
        }
    }

    /// Writes the bytes from the offset `target` on, with 0xFF in the gaps, and behind the last
    /// file up to the offset `pad_to` where that is not reached. Returns how many these are.
    ///
    /// # Errors
    ///
    /// [`MergeError`]; nothing was written but in the case of [`MergeError::Read`] and
    /// [`MergeError::Write`].
    pub fn raw(
        &self,
        target: u32,
        pad_to: Option<u32>,
        sink: &mut impl Write,
    ) -> Result<u64, MergeError> {
        self.check_target(target)?;
        let ends = self.parts.iter().map(Placed::end);
        let end = ends.chain(pad_to.map(u64::from)).max().unwrap_or(0);
        let len = end.saturating_sub(target.into());
        if len > MAX_LEN.into() {
            return Err(MergeError::TooLarge { len });
        }
        let mut at = u64::from(target);
        for part in &self.parts {
            // An empty file is a place up to which is filled, too.
            erased(sink, u64::from(part.address).saturating_sub(at))?;
            at = at.max(part.address.into());
            part.pieces(CHUNK, |_, bytes| sink.write_all(bytes))?;
            at += u64::from(part.contents.len());
        }
        erased(sink, end.saturating_sub(at))?;
        Ok(len)
    }

    /// Writes Intel HEX.
    ///
    /// # Errors
    ///
    /// [`MergeError::Read`] and [`MergeError::Write`].
    pub fn hex(&self, sink: &mut impl Write) -> Result<(), MergeError> {
        let filled = self.parts.iter().filter(|part| !part.contents.is_empty());
        let last = filled.map(|part| (part.end() - 1) as u32).max();
        let mut writer = hex::Writer::new(sink, last.unwrap_or(0));
        for part in &self.parts {
            part.pieces(CHUNK, |address, bytes| writer.write(address, bytes))?;
        }
        writer.finish()?;
        Ok(())
    }

    /// Writes UF2, with blocks counted for each file.
    ///
    /// # Errors
    ///
    /// [`MergeError::Read`] and [`MergeError::Write`].
    pub fn uf2(&self, blocks: &Blocks, sink: &mut impl Write) -> Result<(), MergeError> {
        let chunk = blocks.chunk() as usize;
        for part in &self.parts {
            let mut numbers = 0..;
            let count = blocks.count(part.contents.len());
            // Whole blocks at a time.
            part.pieces(CHUNK / chunk * chunk, |address, bytes| {
                let addresses = (address..).step_by(chunk);
                for ((data, address), number) in
                    bytes.chunks(chunk).zip(addresses).zip(&mut numbers)
                {
                    blocks.write(sink, address, data, number, count)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn erased(sink: &mut impl Write, count: u64) -> io::Result<()> {
    let mut left = count;
    while left > 0 {
        let now = left.min(ERASED.len() as u64) as usize;
        sink.write_all(&ERASED[..now])?;
        left -= now as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::uf2;

    fn placed(address: u32, bytes: &[u8]) -> Placed {
        let name = format!("{address:x}");
        Placed {
            address,
            contents: Contents::from_bytes(&name, bytes.to_vec()).unwrap(),
        }
    }

    fn merge(parts: &[(u32, &[u8])]) -> Result<Merge, MergeError> {
        Merge::new(parts.iter().map(|(at, bytes)| placed(*at, bytes)).collect())
    }

    fn raw(merge: &Merge, target: u32, pad_to: Option<u32>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let len = merge.raw(target, pad_to, &mut bytes).unwrap();
        assert_eq!(len, bytes.len() as u64);
        bytes
    }

    #[test]
    fn gaps_and_what_is_behind_are_erased_flash() {
        let merged = merge(&[(0x12, b"cd"), (0x10, b"a")]).unwrap();
        assert_eq!(raw(&merged, 0x10, None), b"a\xFFcd");
        assert_eq!(raw(&merged, 0xE, Some(0x16)), b"\xFF\xFFa\xFFcd\xFF\xFF");
        assert_eq!(raw(&merged, 0x10, Some(0x11)), b"a\xFFcd");
        assert!(matches!(
            merged.raw(0x11, None, &mut Vec::new()),
            Err(MergeError::BeforeTarget {
                address: 0x10,
                target: 0x11,
                ..
            })
        ));
    }

    #[test]
    fn files_may_touch_and_not_overlap() {
        assert!(merge(&[(0, b"ab"), (2, b"c"), (2, b""), (3, b"d")]).is_ok());
        assert!(matches!(
            merge(&[(1, b"c"), (0, b"ab")]),
            Err(MergeError::Overlap {
                address: 1,
                end: 2,
                ..
            })
        ));
        assert!(merge(&[(u32::MAX, b"a")]).is_ok());
        assert!(matches!(
            merge(&[(u32::MAX, b"ab")]),
            Err(MergeError::Address { .. })
        ));
    }

    #[test]
    fn a_file_larger_than_any_flash_is_refused_before_it_is_written() {
        let merged = merge(&[(0, b"a"), (0xF000_0000, b"b")]).unwrap();
        let mut bytes = Vec::new();
        assert!(matches!(
            merged.raw(0, None, &mut bytes),
            Err(MergeError::TooLarge { .. })
        ));
        assert_eq!(bytes, []);
        let mut text = Vec::new();
        merged.hex(&mut text).unwrap();
        assert_eq!(hex::parse(&text[..]).unwrap().len(), 2);
    }

    #[test]
    fn addresses_of_16_bits_need_no_record_for_the_upper_half() {
        let mut text = Vec::new();
        merge(&[(0xFFFE, &[0xAB, 0xCD])])
            .unwrap()
            .hex(&mut text)
            .unwrap();
        assert_eq!(text, b":02FFFE00ABCD89\n:00000001FF\n");
        text.clear();
        merge(&[(0xFFFE, &[1, 2, 3])])
            .unwrap()
            .hex(&mut text)
            .unwrap();
        let expected =
            ":020000040000FA\n:02FFFE000102FE\n:020000040001F9\n:0100000003FC\n:00000001FF\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    /// Files beside each other, some of them touching.
    fn parts() -> impl Strategy<Value = Vec<(u32, Vec<u8>)>> {
        let part = (
            prop_oneof![Just(0_u32), 1_u32..40, 65_500_u32..65_600],
            prop::collection::vec(any::<u8>(), 0..1000),
        );
        prop::collection::vec(part, 1..5).prop_map(|parts| {
            let mut at = 0;
            let placed = |(gap, bytes): (u32, Vec<u8>)| {
                let address = at + gap;
                at = address + bytes.len() as u32;
                (address, bytes)
            };
            parts.into_iter().map(placed).collect()
        })
    }

    proptest! {
        #[test]
        fn hex_gives_back_what_was_merged(parts in parts()) {
            let given: Vec<_> = parts.iter().map(|(at, bytes)| (*at, &bytes[..])).collect();
            let merged = merge(&given).unwrap();
            let mut text = Vec::new();
            merged.hex(&mut text).unwrap();
            let mut image = raw(&merged, 0, None);
            for run in hex::parse(&text[..]).unwrap() {
                let start = run.address as usize;
                let there = &mut image[start..start + run.bytes.len()];
                prop_assert_eq!(&there[..], &run.bytes[..]);
                there.fill(0xFF);
            }
            prop_assert!(image.iter().all(|byte| *byte == 0xFF));
        }

        #[test]
        fn uf2_gives_back_what_was_merged(
            parts in parts(),
            chunk in prop_oneof![Just(None), (1_u32..=113).prop_map(|words| Some(4 * words))],
            digest: bool,
        ) {
            let given: Vec<_> = parts.iter().map(|(at, bytes)| (*at, &bytes[..])).collect();
            let merged = merge(&given).unwrap();
            let blocks = Blocks::new(0x1234_5678, chunk, digest).unwrap();
            let mut bytes = Vec::new();
            merged.uf2(&blocks, &mut bytes).unwrap();
            let mut found = uf2::tests::blocks(&bytes, 0x1234_5678, digest).into_iter();
            for (address, expected) in parts {
                let mut data = Vec::new();
                let count = blocks.count(expected.len() as u32);
                for number in 0..count {
                    let (at, piece, is, of) = found.next().unwrap();
                    prop_assert_eq!((is, of), (number, count));
                    prop_assert_eq!(at, address + data.len() as u32);
                    data.extend(piece);
                }
                prop_assert_eq!(data, expected);
            }
            prop_assert!(found.next().is_none());
        }
    }
}
