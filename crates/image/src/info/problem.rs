//! What is wrong with an image, as far as it shows by itself.

use thiserror::Error;

use super::{Checked, ImageInfo};
use crate::compatible::Mismatch;
use crate::descriptor::AppDescriptor;

/// Bytes that the MMU maps at once where an image does not say otherwise.
const MMU_PAGE: u32 = 0x1_0000;

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// It is for another chip or revision.
    #[error("it {0}")]
    Mismatch(Mismatch),
    /// The checksum is wrong.
    #[error("the checksum at {offset:#x} is {stored:#04x}, and the segments give {computed:#04x}")]
    Checksum {
        /// Where it stands.
        offset: u32,
        /// What stands there.
        stored: u8,
        /// What the segments give.
        computed: u8,
    },
    /// The SHA-256 is wrong.
    #[error("the SHA-256 at {offset:#x} is not that of the image")]
    Digest {
        /// Where it stands.
        offset: u32,
    },
    /// The file ends before the SHA-256 that its header announces.
    #[error("the SHA-256 at {offset:#x}, which byte 0x17 announces, is missing")]
    NoDigest {
        /// Where it should stand.
        offset: u32,
    },
    /// The CRC of an image of version 2 is wrong or missing.
    #[error("the CRC-32 at {offset:#x} is not that of the image")]
    Crc {
        /// Where it should stand.
        offset: u32,
    },
    /// There is nothing to load.
    #[error("it has no segments")]
    NoSegments,
    /// The program starts where nothing is loaded.
    #[error("the entry point {entry:#010x} lies in none of its segments")]
    Entry {
        /// The entry point.
        entry: u32,
    },
    /// The MMU cannot map a segment from where it lies to where it belongs.
    #[error(
        "segment {segment} for {address:#010x} ({memory}) stands at {offset:#x}: in their pages of \
         {page:#x} bytes these must be the same, and are {:#x} and {:#x}", address % page, offset % page
    )]
    Misaligned {
        /// Number of the segment.
        segment: usize,
        /// `IROM` or `DROM`.
        memory: &'static str,
        /// Address to which it belongs.
        address: u32,
        /// Where its bytes stand in the file.
        offset: u32,
        /// Size of an MMU page, in bytes.
        page: u32,
    },
    /// The signature is not for this image.
    #[error("the signature at {offset:#x} is damaged, or not for this image")]
    Signature {
        /// Where it stands.
        offset: u32,
    },
    /// The flash mode, size or frequency has a code that the chip does not know.
    #[error("its flash {what} has the code {code:#x}, which the {chip} does not know")]
    FlashCode {
        /// `mode`, `size` or `frequency`.
        what: &'static str,
        /// The code.
        code: u8,
        /// Name of the chip.
        chip: &'static str,
    },
}

impl Problem {
    /// Whether it keeps the image from booting wherever it is; codes of the flash count only in a
    /// bootloader.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::FlashCode { .. })
    }
}

impl ImageInfo {
    /// All that is wrong with it, what keeps it from booting first.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<_> = self.mismatch.map(Problem::Mismatch).into_iter().collect();
        let Checked {
            offset,
            stored,
            computed,
        } = self.checksum;
        if let Some(stored) = stored.filter(|stored| *stored != computed) {
            problems.push(Problem::Checksum {
                offset,
                stored,
                computed,
            });
        }
        if let Some(digest) = self.digest.filter(|digest| !digest.is_valid()) {
            let offset = digest.offset;
            problems.push(match digest.stored {
                Some(_) => Problem::Digest { offset },
                None => Problem::NoDigest { offset },
            });
        }
        if let Some(crc) = self.crc.filter(|crc| !crc.is_valid()) {
            problems.push(Problem::Crc { offset: crc.offset });
        }
        let loaded = || {
            self.segments
                .iter()
                .filter(|segment| !segment.data.is_empty())
        };
        let entry = self.header.entry;
        if loaded().next().is_none() {
            problems.push(Problem::NoSegments);
        } else if self.extended.is_some() && !loaded().any(|segment| segment.holds(entry)) {
            problems.push(Problem::Entry { entry });
        }
        problems.extend(self.misaligned());
        if let Some(signature) = &self.signature
            && signature.fits == Some(false)
        {
            problems.push(Problem::Signature {
                offset: signature.range.start,
            });
        }
        let codes = self.header.flash_size_freq;
        for (what, code, known) in [
            ("mode", self.header.flash_mode, self.flash_mode()),
            ("size", codes >> 4, self.flash_size()),
            ("frequency", codes & 0xF, self.flash_frequency()),
        ] {
            if known.is_none() {
                let chip = self.chip.name;
                problems.push(Problem::FlashCode { what, code, chip });
            }
        }
        problems
    }

    /// Segments for mapped flash that the MMU cannot map.
    fn misaligned(&self) -> impl Iterator<Item = Problem> {
        let page = self.app.as_ref().and_then(AppDescriptor::mmu_page);
        let page = page.unwrap_or(MMU_PAGE);
        // The ESP8266 maps its flash as it is.
        let mapped = |address| self.extended.is_some() && self.chip.is_flash_mapped(address);
        let segments = self.segments.iter().enumerate();
        segments.filter_map(move |(number, segment)| {
            let (address, offset) = (segment.address, segment.data.start);
            let wrong =
                mapped(address) && !segment.data.is_empty() && address % page != offset % page;
            wrong.then(|| Problem::Misaligned {
                segment: number,
                memory: if self.chip.drom.contains(&address) {
                    "DROM"
                } else {
                    "IROM"
                },
                address,
                offset,
                page,
            })
        })
    }
}
