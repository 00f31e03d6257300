//! What bytes are that are no firmware image.

use std::fmt;

use crate::contents::{Contents, ReadError};

/// Bytes at the start by which it is told.
const HEAD: u32 = 0x1000;

/// Bits a byte from which on data are taken for encrypted: 4096 random bytes have 7.95, machine
/// code 6, and compressed data are no usual contents of flash.
const RANDOM: f64 = 7.8;

/// What bytes look like that are no firmware image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Erased flash.
    Erased,
    /// A partition table.
    PartitionTable,
    /// An ELF file.
    Elf,
    /// A UF2 file.
    Uf2,
    /// Flash contents that were encrypted.
    Encrypted,
}

impl Kind {
    /// What the contents begin with.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when they cannot be read.
    pub fn guess(contents: &Contents) -> Result<Option<Self>, ReadError> {
        let mut head = vec![0; HEAD.min(contents.len()) as usize];
        contents.read_at(0, &mut head)?;
        Ok(match &head[..] {
            [0xAA, 0x50, ..] => Some(Self::PartitionTable),
            [0x7F, b'E', b'L', b'F', ..] => Some(Self::Elf),
            [b'U', b'F', b'2', b'\n', ..] => Some(Self::Uf2),
            head if head.iter().all(|byte| *byte == 0xFF) => Some(Self::Erased),
            head if head.len() >= 1024 && bits_a_byte(head) > RANDOM => Some(Self::Encrypted),
            _ => None,
        })
    }

    /// Its name, in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::PartitionTable => "partition-table",
            Self::Elf => "elf",
            Self::Uf2 => "uf2",
            Self::Encrypted => "encrypted",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erased => "erased flash",
            Self::PartitionTable => "a partition table",
            Self::Elf => "an ELF file, of which an image is made first",
            Self::Uf2 => "a UF2 file, as merge-bin makes it",
            Self::Encrypted => "encrypted flash contents",
        })
    }
}

/// Entropy of single bytes. Few bytes have less of it, however random: what can be reached counts.
fn bits_a_byte(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    let entropy: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum();
    // What is missing to 8 bits in a sample of random bytes, on average.
    entropy + 255.0 / (2.0 * total * std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(bytes: Vec<u8>) -> Option<Kind> {
        Kind::guess(&Contents::from_bytes("", bytes).unwrap()).unwrap()
    }

    #[test]
    fn what_is_no_image_is_told_by_its_first_bytes() {
        assert_eq!(guess(vec![0xFF; 5000]), Some(Kind::Erased));
        assert_eq!(
            guess(b"\xAA\x50\x01\x02".to_vec()),
            Some(Kind::PartitionTable)
        );
        assert_eq!(guess(b"\x7FELF\x01".to_vec()), Some(Kind::Elf));
        assert_eq!(guess(b"UF2\n".to_vec()), Some(Kind::Uf2));
        assert_eq!(guess(b"text that says nothing".repeat(300)), None);
    }

    #[test]
    fn only_what_looks_random_is_taken_for_encrypted() {
        let mut state = 1_u32;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 16) as u8
        };
        for len in [1024, 4096, 9000] {
            let bytes: Vec<u8> = (0..len).map(|_| random()).collect();
            assert_eq!(guess(bytes), Some(Kind::Encrypted), "{len}");
        }
        let code: Vec<u8> = (0..4096).map(|_| random() & 0x7F).collect();
        assert_eq!(guess(code), None);
    }
}
