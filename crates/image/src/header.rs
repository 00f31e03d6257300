//! The header of a firmware image: eight bytes that every chip knows, and sixteen more since the
//! ESP32.
//!
//! Source: `esp_image_header_t` in ESP-IDF's `esp_app_format.h`. Numbers are little-endian.

use thiserror::Error;

/// First byte of every image that a ROM boots.
pub const MAGIC: u8 = 0xE9;

/// The most segments that a ROM or a bootloader loads.
pub const MAX_SEGMENTS: u8 = 16;

/// Length in bytes of the part that every chip knows.
pub const HEADER_LEN: usize = 8;

/// Why bytes are no image header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The first byte is another one.
    #[error("byte 0x0 is {found:#04x}, where an image has {MAGIC:#04x}")]
    Magic {
        /// The byte there.
        found: u8,
    },
    /// More segments than can be loaded.
    #[error("byte 0x1 counts {found} segments, and {MAX_SEGMENTS} is the most")]
    SegmentCount {
        /// The count there.
        found: u8,
    },
    /// The byte that says whether a digest is appended is neither 0 nor 1.
    #[error("byte 0x17 (digest appended) is {found:#04x}, and can be 0 or 1")]
    HashAppended {
        /// The byte there.
        found: u8,
    },
}

/// The part of the header that every chip knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of segments that follow, at most [`MAX_SEGMENTS`].
    pub segments: u8,
    /// Code of the flash mode: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT.
    pub flash_mode: u8,
    /// Code of the flash size in the high nibble, of its frequency in the low one.
    pub flash_size_freq: u8,
    /// Address at which the program starts.
    pub entry: u32,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Magic`] and [`HeaderError::SegmentCount`].
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, HeaderError> {
        let [magic, segments, flash_mode, flash_size_freq, entry @ ..] = *bytes;
        if magic != MAGIC {
            return Err(HeaderError::Magic { found: magic });
        }
        if segments > MAX_SEGMENTS {
            return Err(HeaderError::SegmentCount { found: segments });
        }
        Ok(Self {
            segments,
            flash_mode,
            flash_size_freq,
            entry: u32::from_le_bytes(entry),
        })
    }

    /// The header as it stands in an image.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [e0, e1, e2, e3] = self.entry.to_le_bytes();
        [
            MAGIC,
            self.segments,
            self.flash_mode,
            self.flash_size_freq,
            e0,
            e1,
            e2,
            e3,
        ]
    }
}

/// The part of the header that chips since the ESP32 know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedHeader {
    /// GPIO of the flash's WP pin; 0xEE: not to be set up by the ROM.
    pub wp_pin: u8,
    /// Drive strengths of the flash's pins, two in a byte, low nibble first: CLK and Q, D and CS,
    /// HD and WP.
    pub drive: [u8; 3],
    /// The chip family the image is for.
    pub chip_id: u16,
    /// Lowest chip revision as images before 2022 say it: the major one, on the ESP32-C3 the
    /// minor one.
    pub min_rev: u8,
    /// Lowest chip revision, major * 100 + minor.
    pub min_rev_full: u16,
    /// Highest chip revision, major * 100 + minor; 65535: any; 0: the image is older than this
    /// field.
    pub max_rev_full: u16,
    /// Not in use yet.
    pub reserved: [u8; 4],
    /// Whether a SHA-256 of the image follows its checksum.
    pub hash_appended: bool,
}

impl ExtendedHeader {
    /// Length in bytes.
    pub const LEN: usize = 16;
    /// WP pin of images that leave it alone.
    pub const WP_PIN_DISABLED: u8 = 0xEE;

    /// Reads the sixteen bytes behind the common header.
    ///
    /// # Errors
    ///
    /// [`HeaderError::HashAppended`].
    pub fn parse(bytes: &[u8; Self::LEN]) -> Result<Self, HeaderError> {
        let [
            wp_pin,
            drive0,
            drive1,
            drive2,
            id0,
            id1,
            min_rev,
            min0,
            min1,
            max0,
            max1,
            reserved @ ..,
            hash,
        ] = *bytes;
        Ok(Self {
            wp_pin,
            drive: [drive0, drive1, drive2],
            chip_id: u16::from_le_bytes([id0, id1]),
            min_rev,
            min_rev_full: u16::from_le_bytes([min0, min1]),
            max_rev_full: u16::from_le_bytes([max0, max1]),
            reserved,
            hash_appended: match hash {
                0 => false,
                1 => true,
                found => return Err(HeaderError::HashAppended { found }),
            },
        })
    }

    /// The header as it stands in an image.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [drive0, drive1, drive2] = self.drive;
        let [id0, id1] = self.chip_id.to_le_bytes();
        let [min0, min1] = self.min_rev_full.to_le_bytes();
        let [max0, max1] = self.max_rev_full.to_le_bytes();
        let [r0, r1, r2, r3] = self.reserved;
        [
            self.wp_pin,
            drive0,
            drive1,
            drive2,
            id0,
            id1,
            self.min_rev,
            min0,
            min1,
            max0,
            max1,
            r0,
            r1,
            r2,
            r3,
            u8::from(self.hash_appended),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The first 24 bytes of a second-stage bootloader of ESP-IDF for the ESP32-C3.
    const C3: [u8; 24] = [
        0xE9, 0x03, 0x02, 0x1F, 0x1A, 0xBF, 0x3C, 0x40, 0xEE, 0x00, 0x00, 0x00, 0x05, 0x00, 0x03,
        0x03, 0x00, 0xC7, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    ];

    #[test]
    fn the_header_of_a_bootloader_is_understood() {
        let (common, extended) = C3.split_first_chunk().unwrap();
        assert_eq!(
            Header::parse(common).unwrap(),
            Header {
                segments: 3,
                flash_mode: 2,
                flash_size_freq: 0x1F,
                entry: 0x403C_BF1A,
            }
        );
        assert_eq!(
            ExtendedHeader::parse(extended.try_into().unwrap()).unwrap(),
            ExtendedHeader {
                wp_pin: 0xEE,
                drive: [0; 3],
                chip_id: 5,
                min_rev: 3,
                min_rev_full: 3,
                max_rev_full: 199,
                reserved: [0; 4],
                hash_appended: true,
            }
        );
    }

    #[test]
    fn errors_say_which_byte_is_wrong() {
        let mut bytes = [0xE9, 17, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            Header::parse(&bytes).unwrap_err().to_string(),
            "byte 0x1 counts 17 segments, and 16 is the most"
        );
        bytes[0] = 0x7F;
        assert_eq!(
            Header::parse(&bytes).unwrap_err().to_string(),
            "byte 0x0 is 0x7f, where an image has 0xe9"
        );
        let mut extended = [0; 16];
        extended[15] = 2;
        assert_eq!(
            ExtendedHeader::parse(&extended).unwrap_err().to_string(),
            "byte 0x17 (digest appended) is 0x02, and can be 0 or 1"
        );
    }

    proptest! {
        #[test]
        fn what_is_understood_is_written_back_as_it_was(
            common in any::<[u8; 8]>(),
            extended in any::<[u8; 16]>(),
        ) {
            let mut common = common;
            common[0] = MAGIC;
            if let Ok(header) = Header::parse(&common) {
                prop_assert_eq!(header.to_bytes(), common);
            }
            if let Ok(header) = ExtendedHeader::parse(&extended) {
                prop_assert_eq!(header.to_bytes(), extended);
            }
        }
    }
}
