//! Whether an image is for the chip on the line, before it overwrites what ran there.

use std::fmt;

use guru_chip::{ImageRules, LegacyRevision, Revision};
use thiserror::Error;

use crate::contents::{Contents, ReadError};
use crate::header::ExtendedHeader;
use crate::image::{Form, Image, ImageError};

/// What contents are to a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compatibility {
    /// No image: data, or encrypted, or damaged in its structure. Nothing can be said.
    NotAnImage,
    /// An image for this chip.
    Fits,
    /// An image that this chip cannot or must not run.
    Mismatch(Mismatch),
}

/// Why an image is not for a chip. The text continues a sentence that begins with the image's
/// name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// It was made for another family.
    #[error("is an image for {0}")]
    OtherChip(Family),
    /// It was made for other revisions.
    #[error("requires chip revision {requirement} (this chip is revision {})", requirement.of(*revision))]
    Revision {
        /// What the image's header asks for.
        requirement: Requirement,
        /// The chip's revision.
        revision: Revision,
    },
}

/// The chip family that an image was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The ESP8266, whose images have no chip id.
    Esp8266,
    /// The chip id in the extended header.
    Id(u16),
}

impl Family {
    /// The family's name in print, where the id is known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Esp8266 => Some("ESP8266"),
            Self::Id(id) => guru_chip::known_chip_id(id).map(|chip| chip.name),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self) {
            (Some(name), _) => f.write_str(name),
            (None, Self::Id(id)) => write!(f, "an unknown chip (id {id})"),
            (None, Self::Esp8266) => f.write_str("ESP8266"),
        }
    }
}

/// The revisions that an image asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// This one or a later one.
    AtLeast(Revision),
    /// This one or an earlier one.
    AtMost(Revision),
    /// The first, the second, or one between.
    Between(Revision, Revision),
    /// The header's old field: one half of the revision, this or higher.
    Legacy {
        /// The lowest that will do.
        min: u8,
        /// Which half it is.
        of: LegacyRevision,
    },
}

impl Requirement {
    /// What a header asks for; `None`: any revision will do.
    fn from_header(header: &ExtendedHeader, legacy: LegacyRevision) -> Option<Self> {
        let (min, max) = (header.min_rev_full, header.max_rev_full);
        // Headers before ESP-IDF 4.4.3 have zeros in the new fields, and some tools fill in the
        // maximum alone.
        let old = max == 0 || (max == u16::MAX && min == 0);
        match (old, min, max) {
            (true, ..) => (header.min_rev != 0).then_some(Self::Legacy {
                min: header.min_rev,
                of: legacy,
            }),
            (false, min, u16::MAX) => Some(Self::AtLeast(Revision(min))),
            (false, 0, max) => Some(Self::AtMost(Revision(max))),
            (false, min, max) => Some(Self::Between(Revision(min), Revision(max))),
        }
    }

    /// Whether a chip of this revision will do.
    #[must_use]
    pub fn allows(self, revision: Revision) -> bool {
        match self {
            Self::AtLeast(min) => revision >= min,
            Self::AtMost(max) => revision <= max,
            Self::Between(min, max) => (min..=max).contains(&revision),
            Self::Legacy { min, of } => half(revision, of) >= u16::from(min),
        }
    }

    /// The chip's revision in the terms of the requirement.
    fn of(self, revision: Revision) -> String {
        match self {
            Self::Legacy { of, .. } => half(revision, of).to_string(),
            _ => revision.to_string(),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::AtLeast(min) => write!(f, "{} or higher", min),
            Self::AtMost(max) => write!(f, "{} or lower", max),
            Self::Between(min, max) => {
                write!(f, "in range {} - {}", min, max)
            }
            Self::Legacy { min, .. } => write!(f, "{min} or higher"),
        }
    }
}

fn half(revision: Revision, of: LegacyRevision) -> u16 {
    match of {
        LegacyRevision::Major => revision.major(),
        LegacyRevision::Minor => revision.minor(),
    }
}

/// Looks whether the image at the start of `contents` is for a chip with these rules. A
/// `revision` of `None`, where it cannot be read, leaves the revision out.
///
/// Only the structure counts: whether checksum and digest are right is another question. But an
/// image of a form that the chip does not have is named only when it is whole, since there the
/// structure alone could be chance.
///
/// # Errors
///
/// [`ReadError`] when the contents cannot be read.
pub fn compatibility(
    contents: &Contents,
    rules: &ImageRules,
    revision: Option<Revision>,
) -> Result<Compatibility, ReadError> {
    let Some(chip_id) = rules.chip_id else {
        let other = whole(contents, Form::Extended)?.and_then(|image| image.extended);
        return Ok(match other {
            Some(header) => mismatch(Family::Id(header.chip_id)),
            None if parsed(contents, Form::Short)?.is_some() => Compatibility::Fits,
            None => Compatibility::NotAnImage,
        });
    };
    let Some(header) = parsed(contents, Form::Extended)?.and_then(|image| image.extended) else {
        return Ok(match whole(contents, Form::Short)? {
            Some(_) => mismatch(Family::Esp8266),
            None => Compatibility::NotAnImage,
        });
    };
    if header.chip_id != chip_id {
        return Ok(mismatch(Family::Id(header.chip_id)));
    }
    let requirement = Requirement::from_header(&header, rules.legacy_revision);
    Ok(match (requirement, revision) {
        (Some(requirement), Some(revision)) if !requirement.allows(revision) => {
            Compatibility::Mismatch(Mismatch::Revision {
                requirement,
                revision,
            })
        }
        _ => Compatibility::Fits,
    })
}

fn mismatch(family: Family) -> Compatibility {
    Compatibility::Mismatch(Mismatch::OtherChip(family))
}

fn parsed(contents: &Contents, form: Form) -> Result<Option<Image>, ReadError> {
    match Image::parse(contents, form) {
        Ok(image) => Ok(Some(image)),
        Err(ImageError::Read(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

fn whole(contents: &Contents, form: Form) -> Result<Option<Image>, ReadError> {
    let Some(image) = parsed(contents, form)? else {
        return Ok(None);
    };
    match image.verify(contents) {
        Ok(()) => Ok(Some(image)),
        Err(ImageError::Read(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{extended, image};

    const C3: ImageRules = ImageRules {
        chip_id: Some(5),
        bootloader_offset: 0,
        legacy_revision: LegacyRevision::Minor,
        mmu_pages: &[0x1_0000],
    };
    const ESP32: ImageRules = ImageRules {
        chip_id: Some(0),
        bootloader_offset: 0x1000,
        legacy_revision: LegacyRevision::Major,
        mmu_pages: &[0x1_0000],
    };
    const ESP8266: ImageRules = ImageRules {
        chip_id: None,
        bootloader_offset: 0,
        legacy_revision: LegacyRevision::Major,
        mmu_pages: &[0x1_0000],
    };

    fn check(bytes: &[u8], rules: &ImageRules, revision: u16) -> Compatibility {
        let contents = Contents::from_bytes("image", bytes.to_vec()).unwrap();
        compatibility(&contents, rules, Some(Revision(revision))).unwrap()
    }

    /// The text of the mismatch; empty: it fits.
    fn text(bytes: &[u8], rules: &ImageRules, revision: u16) -> String {
        match check(bytes, rules, revision) {
            Compatibility::Fits => String::new(),
            Compatibility::Mismatch(mismatch) => mismatch.to_string(),
            Compatibility::NotAnImage => panic!("not an image"),
        }
    }

    fn with_revisions(chip_id: u16, min_rev: u8, min_rev_full: u16, max_rev_full: u16) -> Vec<u8> {
        image(
            Some(ExtendedHeader {
                min_rev,
                min_rev_full,
                max_rev_full,
                ..extended(chip_id)
            }),
            b"program",
        )
    }

    #[test]
    fn the_image_of_another_chip_is_named() {
        let bytes = image(Some(extended(9)), b"program");
        assert_eq!(text(&bytes, &C3, 3), "is an image for ESP32-S3");
        assert_eq!(text(&bytes, &ESP8266, 0), "is an image for ESP32-S3");
        let bytes = image(Some(extended(99)), b"program");
        assert_eq!(
            text(&bytes, &C3, 3),
            "is an image for an unknown chip (id 99)"
        );
        let bytes = image(None, b"program");
        assert_eq!(text(&bytes, &C3, 3), "is an image for ESP8266");
        assert_eq!(text(&bytes, &ESP8266, 0), "");
    }

    #[test]
    fn a_damaged_image_of_another_chip_is_still_named() {
        let mut bytes = image(Some(extended(9)), b"program");
        bytes[32] ^= 1;
        assert_eq!(text(&bytes, &C3, 3), "is an image for ESP32-S3");
    }

    #[test]
    fn data_is_no_image() {
        for bytes in [&b""[..], b"\xE9", &[0xFF; 100], b"name,type,subtype"] {
            assert_eq!(check(bytes, &C3, 3), Compatibility::NotAnImage);
            assert_eq!(check(bytes, &ESP8266, 0), Compatibility::NotAnImage);
        }
    }

    #[test]
    fn the_revision_must_lie_in_the_range_of_the_header() {
        let range = with_revisions(5, 0, 3, 199);
        assert_eq!(
            text(&range, &C3, 2),
            "requires chip revision in range v0.3 - v1.99 (this chip is revision v0.2)"
        );
        assert_eq!(text(&range, &C3, 3), "");
        assert_eq!(text(&range, &C3, 199), "");
        assert_ne!(text(&range, &C3, 200), "");
        let lowest = with_revisions(5, 0, 3, 0xFFFF);
        assert_eq!(
            text(&lowest, &C3, 1),
            "requires chip revision v0.3 or higher (this chip is revision v0.1)"
        );
        assert_eq!(text(&lowest, &C3, 101), "");
        let highest = with_revisions(5, 0, 0, 99);
        assert_eq!(
            text(&highest, &C3, 101),
            "requires chip revision v0.99 or lower (this chip is revision v1.1)"
        );
        assert_eq!(text(&highest, &C3, 99), "");
    }

    #[test]
    fn an_old_header_counts_the_minor_revision_on_the_c3_and_the_major_elsewhere() {
        for max in [0, 0xFFFF] {
            let c3 = with_revisions(5, 3, 0, max);
            assert_eq!(
                text(&c3, &C3, 2),
                "requires chip revision 3 or higher (this chip is revision 2)"
            );
            assert_eq!(text(&c3, &C3, 3), "");
            let esp32 = with_revisions(0, 3, 0, max);
            assert_eq!(
                text(&esp32, &ESP32, 203),
                "requires chip revision 3 or higher (this chip is revision 2)"
            );
            assert_eq!(text(&esp32, &ESP32, 300), "");
        }
    }

    #[test]
    fn the_old_field_is_nothing_beside_the_new_ones() {
        assert_eq!(text(&with_revisions(5, 9, 3, 199), &C3, 3), "");
        assert_eq!(text(&with_revisions(5, 9, 3, 0xFFFF), &C3, 3), "");
    }

    #[test]
    fn without_a_revision_only_the_chip_is_compared() {
        let contents = Contents::from_bytes("image", with_revisions(5, 0, 3, 199)).unwrap();
        assert_eq!(
            compatibility(&contents, &C3, None).unwrap(),
            Compatibility::Fits
        );
    }
}
