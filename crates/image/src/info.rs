//! What is known of a firmware image from its bytes alone, and what keeps it from booting.

mod problem;

use std::ops::Range;

use guru_chip::{Chip, Revision};
use thiserror::Error;

use crate::compatible::{Compatibility, Mismatch, compatibility};
use crate::contents::{Contents, ReadError};
use crate::crc32::{crc32, of_sdk};
use crate::descriptor::{AppDescriptor, BootloaderDescriptor};
use crate::header::{ExtendedHeader, HEADER_LEN, Header, MAGIC};
use crate::image::{DIGEST_LEN, Form, Image, ImageError, Part, SEGMENT_HEADER_LEN, Segment, read};
use crate::kind::Kind;
use crate::sha256::Sha256;
use crate::signature::{self, Signature};

pub use problem::Problem;

/// First byte of the ESP8266's images of version 2, which a bootloader of its SDK starts.
pub const MAGIC_V2: u8 = 0xEA;

/// Why nothing can be said of an image.
#[derive(Debug, Error)]
pub enum InfoError {
    /// There is not one byte.
    #[error("it is empty")]
    Empty,
    /// The first byte is that of no image.
    #[error("byte 0x0 is {magic:#04x}, where an image has 0xe9 (or 0xea, ESP8266){}", hint(*kind))]
    NotAnImage {
        /// The byte there.
        magic: u8,
        /// What it is instead, where that can be told.
        kind: Option<Kind>,
    },
    /// It is an image for a chip of which nothing is known.
    #[error("byte 0xc (chip id) is {id}, which no known chip has")]
    UnknownChip {
        /// The chip id there.
        id: u16,
    },
    /// A part of it is missing, or a field has a value that it cannot have.
    #[error(transparent)]
    Image(#[from] ImageError),
}

fn hint(kind: Option<Kind>) -> String {
    kind.map(|kind| format!(": it looks like {kind}"))
        .unwrap_or_default()
}

impl From<ReadError> for InfoError {
    fn from(error: ReadError) -> Self {
        Self::Image(error.into())
    }
}

/// A firmware image, as its bytes describe it.
#[derive(Debug, Clone)]
pub struct ImageInfo {
    /// The chip it is for.
    pub chip: &'static Chip,
    /// The header; of an image of version 2 the second one, which counts.
    pub header: Header,
    /// The first header of an image of version 2 (ESP8266).
    pub outer: Option<Header>,
    /// The extended header, where the chip's images have one.
    pub extended: Option<ExtendedHeader>,
    /// The segments, in the order of the file.
    pub segments: Vec<SegmentInfo>,
    /// The checksum behind them.
    pub checksum: Checked<u8>,
    /// The SHA-256 behind that, where there is one, or should be.
    pub digest: Option<Checked<[u8; DIGEST_LEN as usize]>>,
    /// The CRC of an image of version 2 (ESP8266).
    pub crc: Option<Checked<u32>>,
    /// What the application says of itself.
    pub app: Option<AppDescriptor>,
    /// What the bootloader says of itself, and the number of the segment where it does.
    pub bootloader: Option<(usize, BootloaderDescriptor)>,
    /// Signatures behind the image.
    pub signature: Option<Signature>,
    /// Where the image ends, signatures left out. What is behind it is something else.
    pub end: u32,
    mismatch: Option<Mismatch>,
}

/// A segment of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Address to which it is loaded or mapped.
    pub address: u32,
    /// Its bytes in the file, without the address and length before them.
    pub data: Range<u32>,
    /// Names of the memory that holds the address.
    pub memory: Vec<&'static str>,
}

impl SegmentInfo {
    fn new(chip: &Chip, segment: &Segment) -> Self {
        Self {
            address: segment.address,
            data: segment.data.clone(),
            memory: chip.memory_names(segment.address).collect(),
        }
    }

    /// Offset of the address and length before its bytes.
    #[must_use]
    pub fn offset(&self) -> u32 {
        self.data.start.saturating_sub(SEGMENT_HEADER_LEN)
    }

    fn starts_in(&self, memory: &str) -> bool {
        self.memory.contains(&memory)
    }

    fn holds(&self, address: u32) -> bool {
        let end = u64::from(self.address) + self.data.len() as u64;
        (u64::from(self.address)..end).contains(&address.into())
    }
}

/// A value that stands in an image, and what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked<T> {
    /// Where it stands.
    pub offset: u32,
    /// What stands there; `None`: the file ends before.
    pub stored: Option<T>,
    /// What the image gives.
    pub computed: T,
}

impl<T: PartialEq> Checked<T> {
    /// Whether they are the same.
    pub fn is_valid(&self) -> bool {
        self.stored.as_ref() == Some(&self.computed)
    }
}

impl ImageInfo {
    /// Reads the image at the start of `contents`. A `chip` takes it for one of that chip,
    /// whatever the image says.
    ///
    /// # Errors
    ///
    /// [`InfoError`] when it is none, or a part up to the checksum is missing. What else is wrong
    /// is among the [`problems`](Self::problems).
    pub fn read(contents: &Contents, chip: Option<&'static Chip>) -> Result<Self, InfoError> {
        let magic = match contents.is_empty() {
            true => return Err(InfoError::Empty),
            false => read::<1>(contents, 0, Part::Header)?[0],
        };
        if magic != MAGIC && magic != MAGIC_V2 {
            let kind = Kind::guess(contents)?;
            return Err(InfoError::NotAnImage { magic, kind });
        }
        let chip = match chip {
            Some(chip) => chip,
            None => chip_of(contents, magic)?,
        };
        match (Form::of(&chip.image), magic) {
            (Form::Short, MAGIC_V2) => Self::read_version_2(contents, chip),
            (form, _) => Self::of_image(contents, chip, Image::up_to_checksum(contents, form)?),
        }
    }

    fn of_image(contents: &Contents, chip: &'static Chip, image: Image) -> Result<Self, InfoError> {
        let [stored] = read(contents, image.checksum_offset, Part::Checksum)?;
        let behind = read_if_there(contents, image.checksum_offset + 1)?;
        let mut sha = may_have_digest(&image, behind.as_ref()).then(Sha256::new);
        let checksum = Checked {
            offset: image.checksum_offset,
            stored: Some(stored),
            computed: image.checksum(contents, sha.as_mut())?,
        };
        let segments: Vec<_> = image
            .segments
            .iter()
            .map(|segment| SegmentInfo::new(chip, segment))
            .collect();
        let digest = sha.map(|sha| Checked {
            offset: image.checksum_offset + 1,
            stored: behind,
            computed: sha.finish(),
        });
        let digest = digest.filter(|digest| image.extended.is_some() || digest.is_valid());
        let end = match &digest {
            Some(digest) if digest.stored.is_some() => digest.offset + DIGEST_LEN,
            _ => image.checksum_offset + 1,
        };
        let mut info = Self {
            chip,
            header: image.header,
            outer: None,
            extended: image.extended,
            segments,
            checksum,
            digest,
            crc: None,
            app: None,
            bootloader: None,
            signature: None,
            end,
            mismatch: None,
        };
        info.app = info.find_app(contents)?;
        info.bootloader = info.find_bootloader(contents)?;
        info.signature = signature::find(contents, end)?;
        Ok(info)
    }

    /// Two headers, the code that is run from flash between them, and a CRC at the end.
    fn read_version_2(contents: &Contents, chip: &'static Chip) -> Result<Self, InfoError> {
        let [_, segments, flash_mode, flash_size_freq, entry @ ..] =
            read::<HEADER_LEN>(contents, 0, Part::Header)?;
        let outer = Header {
            segments,
            flash_mode,
            flash_size_freq,
            entry: u32::from_le_bytes(entry),
        };
        let mapped = Segment::parse(contents, HEADER_LEN as u32, 0)?;
        let inner = Header::parse(&read(contents, mapped.data.end, Part::Header)?)
            .map_err(ImageError::from)?;
        let offset = mapped.data.end + HEADER_LEN as u32;
        let image = Image::behind_headers(contents, offset, inner, None)?;
        let mut info = Self::of_image(contents, chip, image)?;
        info.outer = Some(outer);
        // Where it is mapped depends on where the image is written.
        let mapped = Segment {
            address: 0,
            ..mapped
        };
        info.segments.insert(0, SegmentInfo::new(chip, &mapped));
        // What may look like the digest of version 3 is none here.
        info.digest = None;
        info.end = info.checksum.offset + 1;
        let crc = Checked {
            offset: info.end,
            stored: read_if_there(contents, info.end)?.map(u32::from_le_bytes),
            computed: crc_of_sdk(contents, info.end)?,
        };
        if crc.stored.is_some() {
            info.end += 4;
        }
        info.crc = Some(crc);
        Ok(info)
    }

    /// The version of the format: 2 for images with two headers (ESP8266), else 1.
    #[must_use]
    pub fn version(&self) -> u8 {
        match self.outer {
            Some(_) => 2,
            None => 1,
        }
    }

    /// Label of the flash size in the header.
    #[must_use]
    pub fn flash_size(&self) -> Option<&'static str> {
        let code = self.header.flash_size_freq & 0xF0;
        let mut sizes = self.chip.flash.sizes.iter();
        sizes.find(|size| size.code == code).map(|size| size.label)
    }

    /// Label of the flash frequency in the header; the first one, where two have the same code.
    #[must_use]
    pub fn flash_frequency(&self) -> Option<&'static str> {
        let code = self.header.flash_size_freq & 0x0F;
        let mut known = self.chip.flash.frequencies.iter();
        known
            .find(|(_, known)| *known == code)
            .map(|(label, _)| *label)
    }

    /// Name of the flash mode in the header.
    #[must_use]
    pub fn flash_mode(&self) -> Option<&'static str> {
        let code = usize::from(self.header.flash_mode);
        ["QIO", "QOUT", "DIO", "DOUT"].get(code).copied()
    }

    /// Compares the image with the chip and the revision it is meant for. What does not fit is
    /// among the [`problems`](Self::problems) from now on.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the contents, those the image was read from, cannot be read.
    pub fn meant_for(
        &mut self,
        contents: &Contents,
        chip: &Chip,
        revision: Option<Revision>,
    ) -> Result<(), ReadError> {
        self.mismatch = match compatibility(contents, &chip.image, revision)? {
            Compatibility::Mismatch(mismatch) => Some(mismatch),
            Compatibility::Fits | Compatibility::NotAnImage => None,
        };
        Ok(())
    }

    /// An application's descriptor stands at the start of its read-only data.
    fn find_app(&self, contents: &Contents) -> Result<Option<AppDescriptor>, ReadError> {
        let segment = self.segments.iter().find(|one| one.starts_in("DROM"));
        let bytes = match segment {
            Some(segment) => start_of(contents, segment)?,
            None => None,
        };
        Ok(bytes.as_ref().and_then(AppDescriptor::parse))
    }

    /// A bootloader's descriptor stands at the start of its data, which is the first segment.
    fn find_bootloader(
        &self,
        contents: &Contents,
    ) -> Result<Option<(usize, BootloaderDescriptor)>, ReadError> {
        if self.extended.is_none() || self.segments.iter().any(|one| one.starts_in("DROM")) {
            return Ok(None);
        }
        for (number, segment) in self.segments.iter().enumerate() {
            if segment.starts_in("DRAM")
                && let Some(bytes) = start_of(contents, segment)?
                && let Some(descriptor) = BootloaderDescriptor::parse(&bytes)
            {
                return Ok(Some((number, descriptor)));
            }
        }
        Ok(None)
    }
}

/// The first bytes of a segment, where it has as many.
fn start_of<const N: usize>(
    contents: &Contents,
    segment: &SegmentInfo,
) -> Result<Option<[u8; N]>, ReadError> {
    if segment.data.len() < N {
        return Ok(None);
    }
    let mut bytes = [0; N];
    contents.read_at(segment.data.start, &mut bytes)?;
    Ok(Some(bytes))
}

/// The chip by what the image says. The ESP8266's say nothing: what fits no other may be one.
fn chip_of(contents: &Contents, magic: u8) -> Result<&'static Chip, InfoError> {
    let esp8266 = || {
        let mut chips = guru_chip::CHIPS.iter().copied();
        chips.find(|chip| chip.image.chip_id.is_none())
    };
    // There is always one; without it nothing is known of short images.
    let unknown = InfoError::UnknownChip { id: u16::MAX };
    if magic == MAGIC_V2 {
        return esp8266().ok_or(unknown);
    }
    // With its own checksum it is one, whatever else its first bytes may mean.
    let short = Image::up_to_checksum(contents, Form::Short);
    let whole = match &short {
        Ok(image) => {
            let stored = read(contents, image.checksum_offset, Part::Checksum)?;
            stored == [image.checksum(contents, None)?]
        }
        Err(_) => false,
    };
    let header = read(contents, HEADER_LEN as u32, Part::Header);
    let extended = match header.as_ref().map(ExtendedHeader::parse) {
        Ok(Ok(header)) => guru_chip::by_chip_id(header.chip_id).ok_or(header.chip_id),
        _ => Err(u16::MAX),
    };
    match (extended, short) {
        (_, Ok(_)) if whole => esp8266().ok_or(unknown),
        (Ok(chip), _) => Ok(chip),
        (_, Ok(_)) => esp8266().ok_or(unknown),
        (Err(id), Err(_)) if id != u16::MAX => Err(InfoError::UnknownChip { id }),
        (Err(_), Err(error)) => Err(error.into()),
    }
}

/// Whether there should be, or may be, a digest behind the checksum: announced by the extended
/// header, or, on an ESP8266 (version 3), there without a word.
fn may_have_digest(image: &Image, behind: Option<&[u8; DIGEST_LEN as usize]>) -> bool {
    match image.extended {
        Some(extended) => extended.hash_appended,
        None => behind.is_some(),
    }
}

/// The bytes at `offset`, unless the file ends before.
fn read_if_there<const N: usize>(
    contents: &Contents,
    offset: u32,
) -> Result<Option<[u8; N]>, ImageError> {
    match read(contents, offset, Part::Digest) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ImageError::Truncated { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The CRC that the ESP8266's SDK puts behind its images.
fn crc_of_sdk(contents: &Contents, end: u32) -> Result<u32, ReadError> {
    let mut crc = 0;
    contents.for_each_chunk(0..end, |chunk| crc = crc32(crc, chunk))?;
    Ok(of_sdk(crc))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::tests::{extended, image};

    fn contents(bytes: &[u8]) -> Contents {
        Contents::from_bytes("image", bytes.to_vec()).unwrap()
    }

    fn info(bytes: &[u8]) -> ImageInfo {
        ImageInfo::read(&contents(bytes), None).unwrap()
    }

    /// An image whose only segment is for an address, with the entry point there.
    fn at(address: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = image(Some(extended(5)), data);
        bytes[4..8].copy_from_slice(&address.to_le_bytes());
        bytes[24..28].copy_from_slice(&address.to_le_bytes());
        let end = bytes.len() - 32;
        let digest = contents(&bytes).sha256(0..end as u32).unwrap();
        bytes[end..].copy_from_slice(&digest);
        bytes
    }

    #[test]
    fn a_whole_image_has_no_problems() {
        let info = info(&at(0x4038_0000, b"program"));
        assert_eq!(info.chip.id, "esp32c3");
        assert_eq!(info.problems(), []);
        assert_eq!((info.version(), info.end), (1, 80));
        assert_eq!(info.segments[0].memory, ["IRAM"]);
        assert_eq!(info.segments[0].offset(), 24);
    }

    #[test]
    fn damage_is_found_where_it_shows() {
        let mut bytes = at(0x4038_0000, b"program");
        bytes[33] ^= 1;
        let [
            Problem::Checksum { offset: 0x2F, .. },
            Problem::Digest { offset: 0x30 },
        ] = info(&bytes).problems()[..]
        else {
            panic!("{:?}", info(&bytes).problems());
        };
        bytes.truncate(60);
        assert_eq!(
            info(&bytes).problems()[1],
            Problem::NoDigest { offset: 0x30 }
        );
        assert_eq!(info(&bytes).end, 48);
    }

    #[test]
    fn a_segment_that_the_mmu_cannot_map_is_named() {
        let bytes = at(0x4200_0020, b"program");
        assert_eq!(info(&bytes).problems(), []);
        let problems = info(&at(0x4200_0024, b"program")).problems();
        let [problem @ Problem::Misaligned { .. }] = &problems[..] else {
            panic!("{problems:?}");
        };
        assert_eq!(
            problem.to_string(),
            "segment 0 for 0x42000024 (IROM) stands at 0x20: in their pages of 0x10000 bytes these \
             must be the same, and are 0x24 and 0x20"
        );
    }

    #[test]
    fn an_entry_point_outside_and_unknown_codes_are_named() {
        let mut bytes = image(Some(extended(5)), b"program");
        bytes[4..8].copy_from_slice(&0x4038_0008_u32.to_le_bytes());
        bytes[2] = 9;
        bytes[3] = 0xF3;
        let texts: Vec<_> = info(&bytes)
            .problems()
            .iter()
            .map(Problem::to_string)
            .collect();
        assert_eq!(
            texts[1..],
            [
                "the entry point 0x40380008 lies in none of its segments",
                "its flash mode has the code 0x9, which the ESP32-C3 does not know",
                "its flash size has the code 0xf, which the ESP32-C3 does not know",
                "its flash frequency has the code 0x3, which the ESP32-C3 does not know",
            ]
        );
    }

    #[test]
    fn an_image_for_another_chip_or_revision_says_for_which() {
        let bytes = contents(&at(0x4038_0000, b"program"));
        let mut image = ImageInfo::read(&bytes, None).unwrap();
        let esp32 = guru_chip::by_id("esp32").unwrap();
        image.meant_for(&bytes, esp32, None).unwrap();
        assert_eq!(
            image.problems()[0].to_string(),
            "it is an image for ESP32-C3"
        );
        image
            .meant_for(&bytes, image.chip, Some(Revision(3)))
            .unwrap();
        assert_eq!(image.problems(), []);
    }

    #[test]
    fn the_esp8266_has_a_digest_only_where_it_is_right() {
        let mut bytes = image(None, b"program");
        bytes[16..20].copy_from_slice(b"prog");
        let end = bytes.len() as u32;
        assert_eq!(info(&bytes).digest, None);
        let digest = contents(&bytes).sha256(0..end).unwrap();
        bytes.extend(digest);
        let with = info(&bytes);
        assert_eq!((with.chip.id, with.end), ("esp8266", end + 32));
        assert!(with.digest.unwrap().is_valid());
        bytes[end as usize] ^= 1;
        assert_eq!(info(&bytes).digest, None);
    }

    #[test]
    fn version_2_has_a_mapped_segment_two_headers_and_a_crc() {
        let mut bytes = vec![0xEA, 4, 2, 0x20, 0, 0, 0x10, 0x40];
        bytes.extend([0, 0, 0, 0, 16, 0, 0, 0]);
        bytes.extend([7; 16]);
        bytes.extend(image(None, b"program"));
        let crc = crc_of_sdk(&contents(&bytes), bytes.len() as u32).unwrap();
        bytes.extend(crc.to_le_bytes());
        let whole = info(&bytes);
        assert_eq!((whole.version(), whole.segments.len()), (2, 2));
        assert_eq!(whole.segments[0].data, 16..32);
        assert!(whole.checksum.is_valid() && whole.crc.unwrap().is_valid());
        assert_eq!(whole.end as usize, bytes.len());
        bytes[20] ^= 1;
        let offset = bytes.len() as u32 - 4;
        assert_eq!(info(&bytes).problems(), [Problem::Crc { offset }]);
    }

    #[test]
    fn what_is_no_image_is_refused_with_what_it_looks_like() {
        let error = |bytes: &[u8]| {
            let error = ImageInfo::read(&contents(bytes), None).unwrap_err();
            error.to_string()
        };
        assert_eq!(error(b""), "it is empty");
        assert_eq!(
            error(&[0xFF; 64]),
            "byte 0x0 is 0xff, where an image has 0xe9 (or 0xea, ESP8266): it looks like erased flash"
        );
        assert_eq!(
            error(b"text"),
            "byte 0x0 is 0x74, where an image has 0xe9 (or 0xea, ESP8266)"
        );
        let unknown = image(
            Some(ExtendedHeader {
                chip_id: 77,
                ..extended(5)
            }),
            b"program",
        );
        assert_eq!(
            error(&unknown),
            "byte 0xc (chip id) is 77, which no known chip has"
        );
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            magic in prop_oneof![Just(MAGIC), Just(MAGIC_V2)],
            segments in 0_u8..4,
            lens in prop::collection::vec(0_u8..60, 4),
        ) {
            let mut bytes = bytes;
            if let Some(head) = bytes.get_mut(..32) {
                head[0] = magic;
                head[1] = segments;
                head[12..16].copy_from_slice(&[lens[0], 0, 0, 0]);
                head[23] = 1;
                head[28..32].copy_from_slice(&[lens[1], 0, 0, 0]);
            }
            let bytes = contents(&bytes);
            for chip in [None, guru_chip::by_id("esp8266"), guru_chip::by_id("esp32c6")] {
                if let Ok(image) = ImageInfo::read(&bytes, chip) {
                    prop_assert!(image.end <= bytes.len());
                    for problem in image.problems() {
                        prop_assert!(!problem.to_string().is_empty());
                    }
                }
            }
        }
    }
}
