//! Flash mode, frequency and size in the header of a bootloader, which tells the ROM how to read
//! the rest.

use std::fmt;
use std::str::FromStr;

use guru_chip::{FlashTables, ImageRules};
use thiserror::Error;

use crate::contents::{Contents, ReadError};
use crate::header::{HEADER_LEN, Header, HeaderError};
use crate::image::{Form, Image, ImageError};

/// A mode, frequency or size that the chip does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("flash {what} '{given}' is not supported by this chip; supported: {}", supported.join(", "))]
pub struct UnknownParameter {
    /// `mode`, `frequency` or `size`.
    pub what: &'static str,
    /// What was asked for.
    pub given: String,
    /// What there is.
    pub supported: Vec<&'static str>,
}

/// How the ROM and the bootloader address the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashMode {
    /// Address and data on four lines.
    Qio,
    /// Data on four lines.
    Qout,
    /// Address and data on two lines.
    Dio,
    /// Data on two lines.
    Dout,
}

impl FlashMode {
    /// All modes with their names, in the order of their codes in the header.
    const NAMES: [(&str, Self); 4] = [
        ("qio", Self::Qio),
        ("qout", Self::Qout),
        ("dio", Self::Dio),
        ("dout", Self::Dout),
    ];

    /// The code in byte 2 of the header.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl FromStr for FlashMode {
    type Err = UnknownParameter;

    fn from_str(given: &str) -> Result<Self, UnknownParameter> {
        match Self::NAMES.iter().find(|(name, _)| *name == given) {
            Some((_, mode)) => Ok(*mode),
            None => Err(UnknownParameter {
                what: "mode",
                given: given.to_owned(),
                supported: Self::NAMES.map(|(name, _)| name).to_vec(),
            }),
        }
    }
}

impl fmt::Display for FlashMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Self::NAMES[usize::from(self.code())];
        f.write_str(name)
    }
}

/// What shall stand in the header; `None` keeps what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlashParameters {
    mode: Option<FlashMode>,
    /// Code in the low nibble of byte 3.
    frequency: Option<u8>,
    /// Code in the high nibble of byte 3, in place.
    size: Option<u8>,
}

impl FlashParameters {
    /// Looks the labels (`40m`, `4MB`) up in the chip's tables.
    ///
    /// # Errors
    ///
    /// [`UnknownParameter`], which lists what the chip has.
    pub fn new(
        tables: &FlashTables,
        mode: Option<FlashMode>,
        frequency: Option<&str>,
        size: Option<&str>,
    ) -> Result<Self, UnknownParameter> {
        let frequencies = tables.frequencies.iter().copied();
        let sizes = tables.sizes.iter().map(|size| (size.label, size.code));
        Ok(Self {
            mode,
            frequency: look_up("frequency", frequency, frequencies)?,
            size: look_up("size", size, sizes)?,
        })
    }

    /// Code of the frequency in the low nibble of byte 3.
    pub(crate) fn frequency_code(&self) -> Option<u8> {
        self.frequency
    }

    /// Code of the size in the high nibble of byte 3, in place.
    pub(crate) fn size_code(&self) -> Option<u8> {
        self.size
    }

    /// Whether all is kept.
    #[must_use]
    pub fn keep_all(&self) -> bool {
        *self == Self::default()
    }
}

fn look_up(
    what: &'static str,
    given: Option<&str>,
    table: impl Iterator<Item = (&'static str, u8)> + Clone,
) -> Result<Option<u8>, UnknownParameter> {
    let Some(given) = given else {
        return Ok(None);
    };
    match table.clone().find(|(label, _)| *label == given) {
        Some((_, code)) => Ok(Some(code)),
        None => Err(UnknownParameter {
            what,
            given: given.to_owned(),
            supported: table.map(|(label, _)| label).collect(),
        }),
    }
}

/// Contents with the parameters in their header, and what was done to them.
#[derive(Debug)]
pub struct Patched {
    /// The contents to be written.
    pub contents: Contents,
    /// What was done.
    pub outcome: Outcome,
}

/// What [`patch`] did.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing: all is kept, or the contents are not for the offset from which the ROM boots, or
    /// too short for a header.
    NotAsked,
    /// Nothing: the contents do not begin as an image does.
    NotAnImage,
    /// Nothing: they begin as an image does, but are no valid one for this chip. Encrypted ones
    /// may look so.
    Invalid(ImageError),
    /// The header holds the parameters.
    Set {
        /// Bytes 2 and 3, the first one high: `0x0220`.
        word: u16,
        /// Whether they stood there before.
        changed: bool,
        /// Whether the image has a SHA-256, which is that of the new header now.
        digest: bool,
    },
}

/// Sets the parameters in the header of the image at the start of `contents`, and its SHA-256 to
/// match. What follows the image stays (merged files). `address` is where the contents go.
///
/// An image whose checksum or digest is wrong is left alone: a new digest would make a damaged
/// image look whole.
///
/// # Errors
///
/// [`ReadError`] when the contents cannot be read.
pub fn patch(
    contents: Contents,
    address: u32,
    rules: &ImageRules,
    parameters: FlashParameters,
) -> Result<Patched, ReadError> {
    let unchanged = |contents, outcome| Ok(Patched { contents, outcome });
    if parameters.keep_all()
        || address != rules.bootloader_offset
        || contents.len() < HEADER_LEN as u32
    {
        return unchanged(contents, Outcome::NotAsked);
    }
    let image = Image::parse(&contents, Form::of(rules))
        .and_then(|image| image.verify(&contents).map(|()| image));
    let image = match image {
        Ok(image) => image,
        Err(ImageError::Read(error)) => return Err(error),
        Err(ImageError::Header(HeaderError::Magic { .. })) => {
            return unchanged(contents, Outcome::NotAnImage);
        }
        Err(error) => return unchanged(contents, Outcome::Invalid(error)),
    };

    let old = image.header;
    let new = Header {
        flash_mode: parameters.mode.map_or(old.flash_mode, FlashMode::code),
        flash_size_freq: parameters.size.unwrap_or(old.flash_size_freq & 0xF0)
            | parameters.frequency.unwrap_or(old.flash_size_freq & 0x0F),
        ..old
    };
    let mut contents = contents;
    if new != old {
        contents = contents.with_replaced(0, &new.to_bytes())?;
        if let Some(range) = image.digest() {
            let digest = contents.sha256(0..range.start)?;
            contents = contents.with_replaced(range.start, &digest)?;
        }
    }
    Ok(Patched {
        contents,
        outcome: Outcome::Set {
            word: u16::from_be_bytes([new.flash_mode, new.flash_size_freq]),
            changed: new != old,
            digest: image.digest().is_some(),
        },
    })
}

#[cfg(test)]
mod tests {
    use guru_chip::{FlashSize, LegacyRevision};

    use super::*;
    use crate::image::tests::{extended, image};

    const RULES: ImageRules = ImageRules {
        chip_id: Some(5),
        bootloader_offset: 0,
        legacy_revision: LegacyRevision::Minor,
        mmu_pages: &[0x1_0000],
    };

    const TABLES: FlashTables = FlashTables {
        sizes: &[
            FlashSize {
                label: "2MB",
                code: 0x10,
                bytes: 2 << 20,
            },
            FlashSize {
                label: "4MB",
                code: 0x20,
                bytes: 4 << 20,
            },
        ],
        frequencies: &[("80m", 0xF), ("40m", 0)],
        encrypted_align: 16,
        address_32bit: false,
        type_bit: None,
        voltage: &[],
    };

    fn parameters(
        mode: Option<FlashMode>,
        freq: Option<&str>,
        size: Option<&str>,
    ) -> FlashParameters {
        FlashParameters::new(&TABLES, mode, freq, size).unwrap()
    }

    fn contents(bytes: &[u8]) -> Contents {
        Contents::from_bytes("image", bytes.to_vec()).unwrap()
    }

    fn all(contents: &Contents) -> Vec<u8> {
        let mut bytes = vec![0; contents.len() as usize];
        contents.read_at(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_digest_follows_the_parameters_and_what_is_merged_behind_stays() {
        let mut bytes = image(Some(extended(5)), b"program");
        let end = bytes.len();
        bytes.extend(b"partition table");
        let wanted = parameters(Some(FlashMode::Dio), Some("40m"), Some("4MB"));
        let patched = patch(contents(&bytes), 0, &RULES, wanted).unwrap();
        assert!(matches!(
            patched.outcome,
            Outcome::Set {
                word: 0x0220,
                changed: true,
                digest: true
            }
        ));
        let new = all(&patched.contents);
        assert_eq!(new[..4], [0xE9, 1, 2, 0x20]);
        assert_eq!(new[4..end - 32], bytes[4..end - 32]);
        assert_eq!(&new[end..], b"partition table");
        Image::parse(&patched.contents, Form::Extended)
            .unwrap()
            .verify(&patched.contents)
            .unwrap();
    }

    #[test]
    fn what_is_kept_stays() {
        let bytes = image(None, b"program");
        let rules = ImageRules {
            chip_id: None,
            ..RULES
        };
        for (wanted, word) in [
            (parameters(Some(FlashMode::Qio), None, None), 0x001F),
            (parameters(None, Some("40m"), None), 0x0210),
            (parameters(None, None, Some("4MB")), 0x022F),
        ] {
            match patch(contents(&bytes), 0, &rules, wanted).unwrap().outcome {
                Outcome::Set {
                    word: found,
                    changed: true,
                    digest: false,
                } => assert_eq!(found, word),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn parameters_that_already_stand_there_change_nothing() {
        let bytes = image(Some(extended(5)), b"program");
        let wanted = parameters(Some(FlashMode::Dio), Some("80m"), Some("2MB"));
        let patched = patch(contents(&bytes), 0, &RULES, wanted).unwrap();
        assert!(matches!(
            patched.outcome,
            Outcome::Set {
                word: 0x021F,
                changed: false,
                digest: true
            }
        ));
        assert_eq!(all(&patched.contents), bytes);
    }

    #[test]
    fn only_an_image_for_the_boot_offset_is_touched() {
        let bytes = image(Some(extended(5)), b"program");
        let wanted = parameters(None, None, Some("4MB"));
        let outcome = |bytes: &[u8], address, wanted| {
            let patched = patch(contents(bytes), address, &RULES, wanted).unwrap();
            assert_eq!(all(&patched.contents), bytes);
            patched.outcome
        };
        let keep = FlashParameters::default();
        assert!(matches!(outcome(&bytes, 0x1000, wanted), Outcome::NotAsked));
        assert!(matches!(outcome(&bytes, 0, keep), Outcome::NotAsked));
        assert!(matches!(outcome(&bytes[..7], 0, wanted), Outcome::NotAsked));
        assert!(matches!(outcome(&[0; 100], 0, wanted), Outcome::NotAnImage));
        assert!(matches!(
            outcome(&bytes[..50], 0, wanted),
            Outcome::Invalid(ImageError::Truncated { .. })
        ));
    }

    #[test]
    fn a_damaged_image_does_not_get_a_digest_that_makes_it_look_whole() {
        let wanted = parameters(None, None, Some("4MB"));
        let mut bytes = image(Some(extended(5)), b"program");
        // Twice the same bit: the checksum does not see it.
        bytes[0x20] ^= 1;
        bytes[0x21] ^= 1;
        let patched = patch(contents(&bytes), 0, &RULES, wanted).unwrap();
        assert!(matches!(
            patched.outcome,
            Outcome::Invalid(ImageError::Digest { .. })
        ));
        assert_eq!(all(&patched.contents), bytes);
    }

    #[test]
    fn an_unknown_parameter_is_answered_with_what_there_is() {
        let error = FlashParameters::new(&TABLES, None, Some("26m"), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "flash frequency '26m' is not supported by this chip; supported: 80m, 40m"
        );
        assert_eq!(
            "fast".parse::<FlashMode>().unwrap_err().to_string(),
            "flash mode 'fast' is not supported by this chip; supported: qio, qout, dio, dout"
        );
    }

    #[test]
    fn every_mode_has_the_code_of_its_place() {
        for (code, (name, mode)) in FlashMode::NAMES.into_iter().enumerate() {
            assert_eq!(usize::from(mode.code()), code);
            assert_eq!(mode.to_string(), name);
            assert_eq!(name.parse(), Ok(mode));
        }
    }
}
