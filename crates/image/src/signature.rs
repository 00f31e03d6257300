//! Signatures behind an image, as far as they can be seen without a key.
//!
//! Source: `ets_secure_boot_sig_block_t` in ESP-IDF's `esp_rom/*/secure_boot.h`, and its guide to
//! secure boot.

use std::ops::Range;

use crate::contents::{Contents, ReadError};
use crate::crc32::crc32;

/// Bytes of a sector, at whose start the signatures of Secure Boot V2 stand.
const SECTOR: u32 = 0x1000;

/// Bytes of one of its signature blocks, and how many there can be.
const BLOCK_LEN: u32 = 1216;
const MAX_BLOCKS: u32 = 3;

/// Bytes of a block that its CRC covers; the CRC follows.
const CRC_COVERS: usize = 1196;

/// Bytes of the version and the signature of Secure Boot V1.
const V1_LEN: u64 = 68;

/// Signatures behind an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Where they stand.
    pub range: Range<u32>,
    /// What they are.
    pub scheme: SignatureScheme,
    /// Number of signature blocks.
    pub blocks: u32,
    /// Whether the blocks are undamaged and are for the bytes before them. Whose they are only a
    /// key can tell. Of [`SignatureScheme::V1`] nothing is known without one.
    pub fits: Option<bool>,
}

/// Kinds of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureScheme {
    /// Secure Boot V1: ECDSA, behind the last byte of the image.
    V1,
    /// Secure Boot V2 with RSA-3072.
    V2Rsa,
    /// Secure Boot V2 with ECDSA.
    V2Ecdsa,
}

impl SignatureScheme {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "Secure Boot V1 (ECDSA)",
            Self::V2Rsa => "Secure Boot V2 (RSA)",
            Self::V2Ecdsa => "Secure Boot V2 (ECDSA)",
        }
    }
}

/// The signatures behind an image that ends at `end`.
pub(crate) fn find(contents: &Contents, end: u32) -> Result<Option<Signature>, ReadError> {
    if let Some(start) = end.checked_next_multiple_of(SECTOR)
        && let Some(signature) = version_2(contents, start)?
    {
        return Ok(Some(signature));
    }
    let rest = u64::from(contents.len()).saturating_sub(end.into());
    // A file that was signed ends with the signature.
    if rest == V1_LEN {
        let mut bytes = [0; V1_LEN as usize];
        contents.read_at(end, &mut bytes)?;
        let (version, signature) = bytes.split_at(4);
        if version == [0; 4] && signature.iter().any(|byte| !matches!(byte, 0 | 0xFF)) {
            return Ok(Some(Signature {
                range: end..contents.len(),
                scheme: SignatureScheme::V1,
                blocks: 1,
                fits: None,
            }));
        }
    }
    Ok(None)
}

fn version_2(contents: &Contents, start: u32) -> Result<Option<Signature>, ReadError> {
    let mut found: Option<Signature> = None;
    let mut digest = None;
    for index in 0..MAX_BLOCKS {
        let Some(offset) = start.checked_add(index * BLOCK_LEN) else {
            break;
        };
        if u64::from(offset) + u64::from(BLOCK_LEN) > u64::from(contents.len()) {
            break;
        }
        let mut block = [0; BLOCK_LEN as usize];
        contents.read_at(offset, &mut block)?;
        let scheme = match block[..2] {
            [0xE7, 2] => SignatureScheme::V2Rsa,
            [0xE7, 3] => SignatureScheme::V2Ecdsa,
            _ => break,
        };
        let digest = match digest {
            Some(digest) => digest,
            None => *digest.insert(contents.sha256(0..start)?),
        };
        let stored_crc = &block[CRC_COVERS..CRC_COVERS + 4];
        let fits =
            crc32(0, &block[..CRC_COVERS]).to_le_bytes() == stored_crc && block[4..36] == digest;
        let signature = found.get_or_insert(Signature {
            range: start..start,
            scheme,
            blocks: 0,
            fits: Some(true),
        });
        signature.range.end = offset + BLOCK_LEN;
        signature.blocks += 1;
        signature.fits = signature.fits.map(|before| before && fits);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(version: u8, blocks: usize) -> Vec<u8> {
        let mut bytes = vec![0x5A; 5000];
        bytes.resize(8192, 0xFF);
        let digest = Contents::from_bytes("", bytes.clone())
            .unwrap()
            .sha256(0..8192)
            .unwrap();
        for _ in 0..blocks {
            let mut block = vec![0xE7, version, 0, 0];
            block.extend(digest);
            block.resize(CRC_COVERS, 0x33);
            let crc = crc32(0, &block);
            block.extend(crc.to_le_bytes());
            block.resize(BLOCK_LEN as usize, 0);
            bytes.extend(block);
        }
        bytes
    }

    fn found(bytes: Vec<u8>) -> Option<Signature> {
        find(&Contents::from_bytes("", bytes).unwrap(), 5000).unwrap()
    }

    #[test]
    fn blocks_of_secure_boot_v2_are_counted_and_compared_with_the_image() {
        let signature = found(signed(3, 2)).unwrap();
        assert_eq!(signature.scheme, SignatureScheme::V2Ecdsa);
        assert_eq!((signature.blocks, signature.fits), (2, Some(true)));
        assert_eq!(signature.range, 8192..8192 + 2 * BLOCK_LEN);
        for damaged in [100, 8192 + 200] {
            let mut bytes = signed(2, 1);
            bytes[damaged] ^= 1;
            assert_eq!(found(bytes).unwrap().fits, Some(false), "{damaged}");
        }
    }

    #[test]
    fn a_signature_of_secure_boot_v1_is_the_end_of_the_file() {
        let mut bytes = vec![0x5A; 5000];
        bytes.extend([0; 4]);
        bytes.extend([0x11; 64]);
        assert_eq!(found(bytes.clone()).unwrap().scheme, SignatureScheme::V1);
        bytes.push(0);
        assert_eq!(found(bytes), None);
    }

    #[test]
    fn what_is_cut_or_blank_is_no_signature() {
        let mut bytes = signed(2, 1);
        bytes.pop();
        assert_eq!(found(bytes), None);
        assert_eq!(found(vec![0xFF; 5068]), None);
        assert_eq!(found(vec![]), None);
    }
}
