//! UF2: flash contents as blocks of 512 bytes that a USB drive takes in any order.
//!
//! Source: Microsoft, "USB Flashing Format (UF2)". One thing is not as it says: block numbers and
//! counts begin anew with each run of bytes, as esptool writes them and its readers expect.

use std::io::{self, Write};

use md5::{Digest, Md5};
use thiserror::Error;

/// Length in bytes of a block.
pub const BLOCK_LEN: usize = 512;

/// Bytes of data that a block can hold.
pub const MAX_CHUNK: u32 = 476;

/// Bytes that a digest takes of them, with the address and length it is for.
const DIGEST_LEN: u32 = 24;

const FIRST_MAGIC: u32 = 0x0A32_4655;
const SECOND_MAGIC: u32 = 0x9E5D_5157;
const LAST_MAGIC: u32 = 0x0AB1_6F30;
const HAS_FAMILY: u32 = 0x2000;
const HAS_MD5: u32 = 0x4000;

/// Data in a block that cannot be so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{chunk} bytes of data do not fit into a UF2 block: a multiple of 4 up to {most} does")]
pub struct ChunkError {
    /// The length in bytes that was asked for.
    pub chunk: u32,
    /// The longest that fits.
    pub most: u32,
}

/// How blocks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    family: u32,
    chunk: u32,
    digest: bool,
}

impl Blocks {
    /// Blocks for the chips of a family, with a `digest` or without. `chunk` is the number of data
    /// bytes in each; as many as fit without it.
    ///
    /// # Errors
    ///
    /// [`ChunkError`] when there is no room for so many.
    pub fn new(family: u32, chunk: Option<u32>, digest: bool) -> Result<Self, ChunkError> {
        let most = if digest {
            MAX_CHUNK - DIGEST_LEN
        } else {
            MAX_CHUNK
        };
        let chunk = chunk.unwrap_or(most);
        if chunk == 0 || chunk > most || !chunk.is_multiple_of(4) {
            return Err(ChunkError { chunk, most });
        }
        Ok(Self {
            family,
            chunk,
            digest,
        })
    }

    /// Data bytes in each block but the last of a run.
    #[must_use]
    pub fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Blocks for a run of `len` bytes.
    #[must_use]
    pub fn count(&self, len: u32) -> u32 {
        len.div_ceil(self.chunk)
    }

    /// Writes block `number`, counted from 0, of `count`, with `data` for `address`; not more than
    /// [`chunk`](Self::chunk) bytes of it.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn write(
        &self,
        sink: &mut impl Write,
        address: u32,
        data: &[u8],
        number: u32,
        count: u32,
    ) -> io::Result<()> {
        let data = &data[..data.len().min(self.chunk as usize)];
        let len = (data.len() as u32).to_le_bytes();
        let flags = HAS_FAMILY | if self.digest { HAS_MD5 } else { 0 };
        let mut block = Vec::with_capacity(BLOCK_LEN);
        for word in [FIRST_MAGIC, SECOND_MAGIC, flags, address] {
            block.extend(word.to_le_bytes());
        }
        block.extend(len);
        for word in [number, count, self.family] {
            block.extend(word.to_le_bytes());
        }
        block.extend(data);
        if self.digest {
            // Right behind the data, wherever these end.
            block.extend(address.to_le_bytes());
            block.extend(len);
            block.extend(Md5::digest(data));
        }
        block.resize(BLOCK_LEN - 4, 0);
        block.extend(LAST_MAGIC.to_le_bytes());
        sink.write_all(&block)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Address, data, number and count of each block, checked in all other fields.
    pub(crate) fn blocks(bytes: &[u8], family: u32, digest: bool) -> Vec<(u32, Vec<u8>, u32, u32)> {
        assert_eq!(bytes.len() % BLOCK_LEN, 0);
        bytes
            .chunks(BLOCK_LEN)
            .map(|block| {
                let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
                assert_eq!(
                    [word(0), word(4), word(508)],
                    [0x0A324655, 0x9E5D5157, 0x0AB16F30]
                );
                assert_eq!(word(8), if digest { 0x6000 } else { 0x2000 });
                assert_eq!(word(28), family);
                let len = word(16) as usize;
                let data = &block[32..32 + len];
                let mut rest = &block[32 + len..508];
                if digest {
                    assert_eq!(rest[..4], word(12).to_le_bytes());
                    assert_eq!(rest[4..8], word(16).to_le_bytes());
                    assert_eq!(rest[8..24], Md5::digest(data)[..]);
                    rest = &rest[24..];
                }
                assert!(rest.iter().all(|byte| *byte == 0));
                (word(12), data.to_vec(), word(20), word(24))
            })
            .collect()
    }

    #[test]
    fn a_block_takes_what_the_digest_leaves() {
        assert_eq!(Blocks::new(0, None, true).unwrap().chunk(), 452);
        assert_eq!(Blocks::new(0, None, false).unwrap().chunk(), 476);
        for (chunk, digest) in [
            (456, true),
            (480, false),
            (0, true),
            (2, true),
            (u32::MAX, false),
        ] {
            let error = Blocks::new(0, Some(chunk), digest).unwrap_err();
            assert_eq!(error.chunk, chunk);
        }
        let error = Blocks::new(0, Some(500), true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "500 bytes of data do not fit into a UF2 block: a multiple of 4 up to 452 does"
        );
    }

    proptest! {
        #[test]
        fn blocks_hold_what_was_put_into_them(
            family: u32,
            address: u32,
            data in prop::collection::vec(any::<u8>(), 0..477),
            digest: bool,
        ) {
            let made = Blocks::new(family, None, digest).unwrap();
            let mut sink = Vec::new();
            made.write(&mut sink, address, &data, 3, 7).unwrap();
            let data = data[..data.len().min(made.chunk() as usize)].to_vec();
            prop_assert_eq!(blocks(&sink, family, digest), [(address, data, 3, 7)]);
        }
    }
}
