//! A file as a program that is loaded into RAM and started there.

use std::path::Path;

use guru_chip::{Chip, ImageRules, Revision};
use thiserror::Error;

use crate::build::load;
use crate::compatible::{Compatibility, compatibility};
use crate::contents::{Contents, ReadError};
use crate::elf::Elf;
use crate::firmware::{Firmware, FirmwareError};
use crate::image::{Form, Image, ImageError};

/// A program for RAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamProgram {
    /// What is loaded, in this order.
    pub segments: Vec<RamSegment>,
    /// Where it starts.
    pub entry: u32,
}

/// Bytes and where they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamSegment {
    /// Address of the first byte.
    pub address: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl RamSegment {
    /// With zeros behind it up to a multiple of 4: some RAM can only be written by words.
    #[must_use]
    pub fn padded(&self) -> Self {
        let mut padded = self.clone();
        padded.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        padded
    }
}

/// Why a file is no program for RAM.
#[derive(Debug, Error)]
pub enum RamError {
    /// It cannot be read, or it is of another kind.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// It is no firmware image.
    #[error("'{name}' is no firmware image")]
    Image {
        /// The file.
        name: String,
        /// Why not.
        source: ImageError,
    },
    /// Intel HEX with addresses in RAM, but without a record that says where the program starts.
    #[error("'{name}' does not say where its program starts; give --entry ADDR")]
    NoEntry {
        /// The file.
        name: String,
        /// Runs of addresses in it.
        runs: usize,
    },
    /// An image says itself where it starts.
    #[error("'{name}' says itself where its program starts: --entry is for Intel HEX")]
    TwoEntries {
        /// The file.
        name: String,
    },
    /// Intel HEX without data.
    #[error("'{name}' is empty")]
    Empty {
        /// The file.
        name: String,
    },
}

/// A file with a program, of which is known whether it is one for some chip. Which segments it has
/// depends on the chip's form of images.
#[derive(Debug, Clone)]
pub struct RamFile {
    name: String,
    kind: Kind,
    runs: usize,
}

#[derive(Debug, Clone)]
enum Kind {
    Image(Contents),
    Elf(Elf),
    /// Bytes that say themselves where they belong (Intel HEX).
    Program(RamProgram),
}

impl RamFile {
    /// Opens an ELF file, a firmware image, or Intel HEX with an image in it or with addresses in RAM. `entry`
    /// says where the latter starts, if it does not itself.
    ///
    /// # Errors
    ///
    /// [`RamError`].
    pub fn open(path: &Path, entry: Option<u32>) -> Result<Self, RamError> {
        let contents = Contents::open(path).map_err(FirmwareError::Read)?;
        Self::from_contents(contents, entry)
    }

    /// As [`open`](Self::open), of what a file holds.
    ///
    /// # Errors
    ///
    /// [`RamError`].
    pub fn from_contents(contents: Contents, entry: Option<u32>) -> Result<Self, RamError> {
        let name = contents.name().to_owned();
        let firmware = Firmware::from_contents(contents)?;
        let runs = firmware.parts.len();
        let Some(first) = firmware.parts.first() else {
            return Err(RamError::Empty { name });
        };
        if Elf::is_elf(&first.contents).map_err(FirmwareError::Read)? {
            if entry.is_some() {
                return Err(RamError::TwoEntries { name });
            }
            let elf = Elf::read(&first.contents).map_err(FirmwareError::Elf)?;
            let kind = Kind::Elf(elf);
            return Ok(Self { name, kind, runs });
        }
        let whole = [Form::Extended, Form::Short].map(|form| Image::parse(&first.contents, form));
        let is_image = runs == 1 && whole.iter().any(Result::is_ok);
        if is_image && entry.is_some() {
            return Err(RamError::TwoEntries { name });
        }
        if is_image || first.address.is_none() {
            if let [Err(source), Err(_)] = whole {
                return Err(RamError::Image { name, source });
            }
            let kind = Kind::Image(first.contents.clone());
            return Ok(Self { name, kind, runs });
        }
        let Some(entry) = entry.or(firmware.entry) else {
            return Err(RamError::NoEntry { name, runs });
        };
        let mut segments = Vec::with_capacity(runs);
        for part in &firmware.parts {
            segments.push(RamSegment {
                address: part.address.unwrap_or_default(),
                bytes: all(&part.contents).map_err(FirmwareError::Read)?,
            });
        }
        let kind = Kind::Program(RamProgram { segments, entry });
        Ok(Self { name, kind, runs })
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs of addresses in an Intel HEX file; 1 for any other.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// The program as a chip takes it.
    ///
    /// # Errors
    ///
    /// [`RamError::Image`] when it is an image of a form that the chip does not have,
    /// [`FirmwareError::Image`] when it is an ELF file that is not for the chip.
    pub fn program(&self, chip: &'static Chip) -> Result<RamProgram, RamError> {
        let rules = &chip.image;
        let contents = match &self.kind {
            Kind::Program(program) => return Ok(program.clone()),
            Kind::Elf(elf) => {
                return Ok(RamProgram {
                    segments: load(elf, chip).map_err(FirmwareError::Image)?,
                    entry: elf.entry,
                });
            }
            Kind::Image(contents) => contents,
        };
        let image = Image::parse(contents, Form::of(rules)).map_err(|source| RamError::Image {
            name: self.name.clone(),
            source,
        })?;
        let mut segments = Vec::with_capacity(image.segments.len());
        for segment in &image.segments {
            let mut bytes = vec![0; (segment.data.end - segment.data.start) as usize];
            contents
                .read_at(segment.data.start, &mut bytes)
                .map_err(FirmwareError::Read)?;
            segments.push(RamSegment {
                address: segment.address,
                bytes,
            });
        }
        Ok(RamProgram {
            segments,
            entry: image.header.entry,
        })
    }

    /// Why the program is not for a chip with these rules, if an image says so.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn mismatch(
        &self,
        rules: &ImageRules,
        revision: Option<Revision>,
    ) -> Result<Option<String>, ReadError> {
        let Kind::Image(contents) = &self.kind else {
            return Ok(None);
        };
        Ok(match compatibility(contents, rules, revision)? {
            Compatibility::Mismatch(mismatch) => Some(mismatch.to_string()),
            Compatibility::Fits | Compatibility::NotAnImage => None,
        })
    }
}

fn all(contents: &Contents) -> Result<Vec<u8>, ReadError> {
    let mut bytes = vec![0; contents.len() as usize];
    contents.read_at(0, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{extended, image};
    use guru_testkit::Scratch;

    fn chip(id: &str) -> &'static Chip {
        guru_chip::by_id(id).unwrap()
    }

    fn rules(id: &str) -> &'static ImageRules {
        &chip(id).image
    }

    #[test]
    fn an_image_is_its_segments_and_its_entry() {
        let scratch = Scratch::new();
        let file = scratch.file("ram.bin", image(Some(extended(5)), b"program"));
        let file = RamFile::open(&file, None).unwrap();
        let program = file.program(chip("esp32c3")).unwrap();
        assert_eq!(program.entry, 0x4038_0000);
        assert_eq!(program.segments[0].address, 0x4038_0000);
        assert_eq!(program.segments[0].padded().bytes, b"program\0");
        assert_eq!(file.mismatch(rules("esp32c3"), None).unwrap(), None);
        let mismatch = file.mismatch(rules("esp32"), None).unwrap().unwrap();
        assert!(mismatch.contains("ESP32-C3"), "{mismatch}");
    }

    #[test]
    fn hex_with_addresses_in_ram_needs_to_say_where_it_starts() {
        let text = b":020000043FC9F2\n:0400000001020304F2\n";
        let start = b":0400000540380000\x37\x46\n:00000001FF\n";
        let scratch = Scratch::new();
        let silent = scratch.file("silent.hex", [&text[..], b":00000001FF\n"].concat());
        let error = RamFile::open(&silent, None).unwrap_err();
        assert!(matches!(error, RamError::NoEntry { .. }), "{error}");
        let given = RamFile::open(&silent, Some(0x3FC9_0000)).unwrap();
        let program = given.program(chip("esp32c3")).unwrap();
        assert_eq!(program.entry, 0x3FC9_0000);
        assert_eq!(program.segments[0].address, 0x3FC9_0000);
        let told = scratch.file("told.hex", [&text[..], start].concat());
        let told = RamFile::open(&told, None).unwrap();
        assert_eq!(told.program(chip("esp32c3")).unwrap().entry, 0x4038_0000);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let scratch = Scratch::new();
        let file = scratch.file("text.bin", b"hello world");
        let error = RamFile::open(&file, None).unwrap_err();
        assert!(matches!(error, RamError::Image { .. }), "{error}");
    }
}
