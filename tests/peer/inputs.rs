//! Files for the command lines, made from a few words so that the repository need not hold them.
//! The same words make the same bytes everywhere.

use std::fs;
use std::path::Path;

use guru_chip::{Chip, by_id};
use guru_testkit::{code, noise};
use libtest_mimic::Failed;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// How a file is made.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Input {
    /// So many bytes without a pattern, from a seed.
    Noise {
        /// Bytes.
        length: usize,
        /// Chooses the bytes.
        seed: u64,
    },
    /// So many bytes that compress about as firmware does.
    Code {
        /// Bytes.
        length: usize,
        /// Chooses the bytes.
        seed: u64,
    },
    /// These characters.
    Text(String),
    /// A firmware image of this chip.
    Image(ImageInput),
    /// Intel HEX with regions of noise.
    Hex(Vec<Region>),
    /// A file of `tests/data`.
    Kept(String),
    /// A damaged copy of another file of the same case.
    Damaged {
        /// The file.
        of: String,
        /// Offsets of bytes that are inverted.
        at: Vec<usize>,
    },
}

/// A firmware image.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImageInput {
    /// Chip, as on the command line.
    chip: String,
    /// Bytes of its only segment.
    #[serde(default = "default_segment")]
    length: usize,
    /// Lowest revision: major * 100 + minor.
    #[serde(default)]
    min_revision: u16,
    /// Whether a SHA-256 is appended.
    #[serde(default)]
    digest: bool,
}

/// Bytes at an address.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    at: u32,
    length: usize,
    seed: u64,
}

fn default_segment() -> usize {
    2000
}

impl Input {
    /// Writes the file.
    pub fn make(&self, folder: &Path, name: &str) -> Result<(), Failed> {
        let bytes = match self {
            Self::Noise { length, seed } => noise(*length, *seed),
            Self::Code { length, seed } => code(*length, *seed),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Image(image) => image.bytes()?,
            Self::Hex(regions) => hex(regions).into_bytes(),
            Self::Kept(kept) => {
                let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
                fs::read(data.join(kept))?
            }
            Self::Damaged { of, at } => {
                let mut bytes = fs::read(folder.join(of))?;
                for at in at {
                    bytes[*at] ^= 0xFF;
                }
                bytes
            }
        };
        let path = folder.join(name);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        Ok(fs::write(path, bytes)?)
    }

    /// Whether the file is made from another one, which must be there before.
    pub fn follows(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

impl ImageInput {
    fn bytes(&self) -> Result<Vec<u8>, Failed> {
        let chip: &Chip = by_id(&self.chip).ok_or(format!("'{}' is no chip", self.chip))?;
        let mut image = vec![0xE9, 1, 2, 0x20];
        let entry = if chip.irom.start == 0 {
            0x4038_0000
        } else {
            chip.irom.start
        };
        image.extend(entry.to_le_bytes());
        if let Some(id) = chip.image.chip_id {
            image.extend([0xEE, 0, 0, 0]);
            image.extend(id.to_le_bytes());
            image.push(0);
            image.extend(self.min_revision.to_le_bytes());
            image.extend(if self.min_revision == 0 { 0 } else { 65535_u16 }.to_le_bytes());
            image.extend([0, 0, 0, 0, u8::from(self.digest)]);
        }
        let segment = code(self.length.next_multiple_of(4), 7);
        image.extend(0x4038_0000_u32.to_le_bytes());
        image.extend((segment.len() as u32).to_le_bytes());
        let checksum = segment.iter().fold(0xEF, |sum, byte| sum ^ byte);
        image.extend(segment);
        image.resize(image.len() | 0xF, 0);
        image.push(checksum);
        if self.digest {
            let digest = Sha256::digest(&image);
            image.extend(digest);
        }
        Ok(image)
    }
}

fn hex(regions: &[Region]) -> String {
    let mut text = String::new();
    let mut record = |kind: u8, address: u16, data: &[u8]| {
        let mut bytes = vec![data.len() as u8];
        bytes.extend(address.to_be_bytes());
        bytes.push(kind);
        bytes.extend(data);
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes.push(sum.wrapping_neg());
        text.push(':');
        text.extend(bytes.iter().map(|byte| format!("{byte:02X}")));
        text.push('\n');
    };
    for region in regions {
        let bytes = noise(region.length, region.seed);
        for (index, line) in bytes.chunks(16).enumerate() {
            let address = region.at + 16 * index as u32;
            record(4, 0, &((address >> 16) as u16).to_be_bytes());
            record(0, address as u16, line);
        }
    }
    record(1, 0, &[]);
    text
}
