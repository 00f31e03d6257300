//! A firmware image in a file: where its parts lie, and whether it is whole.
//!
//! Behind the headers stand the segments, each with its address and length before it; then zeros,
//! so that a checksum ends a unit of 16 bytes; then, where the extended header says so, a SHA-256
//! of all that stands before. What follows that belongs to something else (merged files).

use std::ops::Range;

use guru_chip::ImageRules;
use thiserror::Error;

use crate::contents::{Contents, ReadError};
use crate::header::{ExtendedHeader, HEADER_LEN, Header, HeaderError};
use crate::sha256::Sha256;

/// Length in bytes of the address and length before each segment.
pub const SEGMENT_HEADER_LEN: u32 = 8;

/// Start value of the checksum, as in the serial protocol.
pub(crate) const CHECKSUM_SEED: u8 = 0xEF;

/// Length in bytes of the appended digest.
pub(crate) const DIGEST_LEN: u32 = 32;

/// Why contents are no image, or no whole one.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A header has a value that it cannot have.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It ends before all its parts are there.
    #[error("it ends at {len:#x}, before the end of {part} at {end:#x}")]
    Truncated {
        /// What was cut.
        part: Part,
        /// Where that would end.
        end: u64,
        /// Where the contents end.
        len: u32,
    },
    /// The checksum of the segments is another one.
    #[error("byte {offset:#x} (checksum) is {stored:#04x}, and the segments give {computed:#04x}")]
    Checksum {
        /// Where the checksum stands.
        offset: u32,
        /// What stands there.
        stored: u8,
        /// What the segments give.
        computed: u8,
    },
    /// The appended SHA-256 is not that of the image.
    #[error("the SHA-256 at {offset:#x} is not that of the image")]
    Digest {
        /// Where the digest stands.
        offset: u32,
    },
    /// The contents cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A part of an image, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The header or the extended header.
    Header,
    /// The address and length before a segment, counted from 0.
    SegmentHeader(u8),
    /// A segment behind these.
    Segment {
        /// Its number, counted from 0.
        number: u8,
        /// Its address in memory.
        address: u32,
        /// Where it begins in the contents.
        start: u32,
    },
    /// The checksum behind the segments.
    Checksum,
    /// The SHA-256 behind the checksum.
    Digest,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::SegmentHeader(number) | Self::Segment { number, .. } => {
                write!(f, "segment {number}")
            }
            Self::Checksum => f.write_str("the checksum"),
            Self::Digest => f.write_str("the SHA-256"),
        }
    }
}

/// Which headers an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The common header alone (ESP8266).
    Short,
    /// The common and the extended header (ESP32 and later).
    Extended,
}

impl Form {
    /// The form of a chip's images.
    #[must_use]
    pub fn of(rules: &ImageRules) -> Self {
        match rules.chip_id {
            Some(_) => Self::Extended,
            None => Self::Short,
        }
    }
}

/// Where the parts of an image lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The common header.
    pub header: Header,
    /// The extended header, where the form has one.
    pub extended: Option<ExtendedHeader>,
    /// The segments in the order of the file.
    pub segments: Vec<Segment>,
    /// Offset of the checksum byte.
    pub checksum_offset: u32,
}

/// One segment of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Address to which it is loaded or mapped.
    pub address: u32,
    /// Its bytes in the file, without the address and length before them.
    pub data: Range<u32>,
}

impl Image {
    /// Finds the parts of the image at the start of `contents`. Only the headers are read.
    ///
    /// # Errors
    ///
    /// Any but [`ImageError::Checksum`] and [`ImageError::Digest`], which
    /// [`verify`](Self::verify) finds.
    pub fn parse(contents: &Contents, form: Form) -> Result<Self, ImageError> {
        let image = Self::up_to_checksum(contents, form)?;
        if let Some(digest) = image.digest() {
            inside(contents, digest.start, DIGEST_LEN, Part::Digest)?;
        }
        Ok(image)
    }

    /// As [`parse`](Self::parse), of an image whose digest may be cut.
    pub(crate) fn up_to_checksum(contents: &Contents, form: Form) -> Result<Self, ImageError> {
        let header = Header::parse(&read(contents, 0, Part::Header)?)?;
        let mut offset = HEADER_LEN as u32;
        let extended = match form {
            Form::Short => None,
            Form::Extended => {
                let bytes = read(contents, offset, Part::Header)?;
                offset += ExtendedHeader::LEN as u32;
                Some(ExtendedHeader::parse(&bytes)?)
            }
        };
        Self::behind_headers(contents, offset, header, extended)
    }

    /// The segments from `offset` on, and the checksum.
    pub(crate) fn behind_headers(
        contents: &Contents,
        offset: u32,
        header: Header,
        extended: Option<ExtendedHeader>,
    ) -> Result<Self, ImageError> {
        let mut offset = offset;
        let mut segments = Vec::with_capacity(header.segments.into());
        for index in 0..header.segments {
            let segment = Segment::parse(contents, offset, index)?;
            offset = segment.data.end;
            segments.push(segment);
        }
        // The last byte of a unit of 16, also when a segment ends at a unit's end.
        let checksum_offset = offset | 0xF;
        inside(contents, checksum_offset, 1, Part::Checksum)?;
        Ok(Self {
            header,
            extended,
            segments,
            checksum_offset,
        })
    }

    /// Whether checksum and digest are those of the image. Reads all of it, piece by piece.
    ///
    /// # Errors
    ///
    /// [`ImageError::Checksum`], [`ImageError::Digest`], [`ImageError::Read`].
    pub fn verify(&self, contents: &Contents) -> Result<(), ImageError> {
        let mut sha = self.digest().map(|_| Sha256::new());
        let computed = self.checksum(contents, sha.as_mut())?;
        let offset = self.checksum_offset;
        let [stored] = read(contents, offset, Part::Checksum)?;
        if stored != computed {
            return Err(ImageError::Checksum {
                offset,
                stored,
                computed,
            });
        }
        if let Some(sha) = sha {
            let offset = offset + 1;
            let stored: [u8; DIGEST_LEN as usize] = read(contents, offset, Part::Digest)?;
            if stored != sha.finish() {
                return Err(ImageError::Digest { offset });
            }
        }
        Ok(())
    }

    /// The checksum that the segments give. In the same pass `sha` is given all bytes up to the
    /// checksum and with it.
    pub(crate) fn checksum(
        &self,
        contents: &Contents,
        mut sha: Option<&mut Sha256>,
    ) -> Result<u8, ReadError> {
        let mut sum = CHECKSUM_SEED;
        let mut at = 0;
        let mut take = |range: Range<u32>, summed: bool| {
            if !summed && sha.is_none() {
                return Ok(());
            }
            contents.for_each_chunk(range, |chunk| {
                if summed {
                    sum = chunk.iter().fold(sum, |sum, byte| sum ^ byte);
                }
                if let Some(sha) = &mut sha {
                    sha.update(chunk);
                }
            })
        };
        for segment in &self.segments {
            take(at..segment.data.start, false)?;
            take(segment.data.clone(), true)?;
            at = segment.data.end;
        }
        take(at..self.checksum_offset + 1, false)?;
        Ok(sum)
    }

    /// Where the appended SHA-256 stands, which covers all bytes before it.
    #[must_use]
    pub fn digest(&self) -> Option<Range<u32>> {
        let start = self.checksum_offset + 1;
        self.extended?
            .hash_appended
            .then_some(start..start + DIGEST_LEN)
    }
}

impl Segment {
    /// The segment whose address and length stand at `offset`.
    pub(crate) fn parse(contents: &Contents, offset: u32, number: u8) -> Result<Self, ImageError> {
        let header = Part::SegmentHeader(number);
        let [a0, a1, a2, a3, l0, l1, l2, l3] = read(contents, offset, header)?;
        let start = offset + SEGMENT_HEADER_LEN;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let address = u32::from_le_bytes([a0, a1, a2, a3]);
        let part = Part::Segment {
            number,
            address,
            start,
        };
        Ok(Self {
            address,
            data: start..inside(contents, start, len, part)?,
        })
    }
}

/// The `N` bytes at `offset`.
pub(crate) fn read<const N: usize>(
    contents: &Contents,
    offset: u32,
    part: Part,
) -> Result<[u8; N], ImageError> {
    inside(contents, offset, N as u32, part)?;
    let mut bytes = [0; N];
    contents.read_at(offset, &mut bytes)?;
    Ok(bytes)
}

/// The end of a part, which must lie inside the contents.
fn inside(contents: &Contents, offset: u32, len: u32, part: Part) -> Result<u32, ImageError> {
    let end = u64::from(offset) + u64::from(len);
    match u32::try_from(end) {
        Ok(end) if end <= contents.len() => Ok(end),
        _ => Err(ImageError::Truncated {
            part,
            end,
            len: contents.len(),
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A small image made by hand: one segment of `data`, with or without the extended header.
    pub(crate) fn image(extended: Option<ExtendedHeader>, data: &[u8]) -> Vec<u8> {
        let mut bytes = Header {
            segments: 1,
            flash_mode: 2,
            flash_size_freq: 0x1F,
            entry: 0x4038_0000,
        }
        .to_bytes()
        .to_vec();
        if let Some(extended) = extended {
            bytes.extend(extended.to_bytes());
        }
        bytes.extend(0x4038_0000_u32.to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        let checksum = data.iter().fold(0xEF, |sum, byte| sum ^ byte);
        bytes.resize(bytes.len() | 0xF, 0);
        bytes.push(checksum);
        if extended.is_some_and(|e| e.hash_appended) {
            let contents = Contents::from_bytes("image", bytes.clone()).unwrap();
            bytes.extend(contents.sha256(0..contents.len()).unwrap());
        }
        bytes
    }

    pub(crate) fn extended(chip_id: u16) -> ExtendedHeader {
        ExtendedHeader {
            wp_pin: ExtendedHeader::WP_PIN_DISABLED,
            drive: [0; 3],
            chip_id,
            min_rev: 0,
            min_rev_full: 0,
            max_rev_full: 0xFFFF,
            reserved: [0; 4],
            hash_appended: true,
        }
    }

    fn contents(bytes: Vec<u8>) -> Contents {
        Contents::from_bytes("image", bytes).unwrap()
    }

    #[test]
    fn a_segment_that_ends_a_unit_is_followed_by_a_unit_for_the_checksum() {
        for (len, checksum_offset) in [(15, 0x2F), (16, 0x3F), (17, 0x3F)] {
            let bytes = contents(image(Some(extended(5)), &vec![1; len]));
            let image = Image::parse(&bytes, Form::Extended).unwrap();
            assert_eq!(image.segments[0].data, 32..32 + len as u32);
            assert_eq!(image.checksum_offset, checksum_offset);
            image.verify(&bytes).unwrap();
        }
    }

    #[test]
    fn an_image_may_be_followed_by_anything() {
        let mut bytes = image(Some(extended(5)), b"program");
        let end = bytes.len() as u32;
        bytes.extend([0xA5; 1000]);
        let bytes = contents(bytes);
        let image = Image::parse(&bytes, Form::Extended).unwrap();
        assert_eq!(image.digest(), Some(end - 32..end));
        image.verify(&bytes).unwrap();
    }

    #[test]
    fn a_flipped_bit_in_a_segment_fails_the_checksum() {
        let mut bytes = image(None, b"program");
        bytes[20] ^= 4;
        let bytes = contents(bytes);
        let error = Image::parse(&bytes, Form::Short)
            .unwrap()
            .verify(&bytes)
            .unwrap_err();
        assert!(matches!(error, ImageError::Checksum { offset: 0x1F, .. }));
    }

    #[test]
    fn a_changed_header_fails_the_digest() {
        let mut bytes = image(Some(extended(5)), b"program");
        bytes[3] = 0x2F;
        let bytes = contents(bytes);
        let error = Image::parse(&bytes, Form::Extended)
            .unwrap()
            .verify(&bytes)
            .unwrap_err();
        assert!(matches!(error, ImageError::Digest { offset: 0x30 }));
    }

    #[test]
    fn a_cut_image_says_what_is_missing() {
        let whole = image(Some(extended(5)), b"program");
        let segment = Part::Segment {
            number: 0,
            address: 0x4038_0000,
            start: 32,
        };
        for (len, part) in [
            (3, Part::Header),
            (20, Part::Header),
            (30, Part::SegmentHeader(0)),
            (36, segment),
            (40, Part::Checksum),
            (60, Part::Digest),
        ] {
            let error = Image::parse(&contents(whole[..len].to_vec()), Form::Extended).unwrap_err();
            match error {
                ImageError::Truncated { part: found, .. } => assert_eq!(found, part),
                other => panic!("{len} bytes: {other}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            segments in 0_u8..20,
            long in any::<bool>(),
        ) {
            let mut bytes = bytes;
            if let Some([magic, count, ..]) = bytes.get_mut(..8) {
                *magic = 0xE9;
                *count = segments;
            }
            let bytes = contents(bytes);
            let form = if long { Form::Extended } else { Form::Short };
            if let Ok(image) = Image::parse(&bytes, form) {
                let _ = image.verify(&bytes);
                prop_assert!(image.checksum_offset < bytes.len());
            }
        }
    }
}
