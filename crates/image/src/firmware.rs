//! A file that a user names, as what is to be written and where.

use std::io::BufReader;
use std::path::Path;

use guru_chip::Chip;
use thiserror::Error;

use crate::build::{BuildError, BuildOptions, SharedPage, WriteError, build};
use crate::contents::{Contents, ReadError};
use crate::elf::{Elf, ElfError};
use crate::hex::{self, HexError};

/// Bytes at the start of a file by which its kind is known.
const HEAD_LEN: u32 = 512;

/// Why a file cannot be written to flash.
#[derive(Debug, Error)]
pub enum FirmwareError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is Intel HEX with a mistake.
    #[error("'{name}' is not valid Intel HEX")]
    Hex {
        /// The file.
        name: String,
        /// The mistake.
        source: HexError,
    },
    /// It is an ELF file with a mistake.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// It is an ELF file of which no image can be made.
    #[error(transparent)]
    Image(#[from] BuildError),
    /// It is an ELF file, and its image makes no sense at an address.
    #[error("the image of '{name}' cannot be at {address:#x}: {}", match place {
        Place::Page(page) => format!("flash is mapped by pages, so only a multiple of {page:#x} will do"),
        Place::Behind(offset) => format!("it is mapped by a bootloader, which stands at {offset:#x}"),
        Place::Start => "the ROM boots it from 0x0".to_owned(),
    })]
    Misplaced {
        /// The file.
        name: String,
        /// Address in flash.
        address: u32,
        /// Where it could be.
        place: Place,
    },
}

/// Where the image of an ELF file could be in flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At a multiple of these bytes.
    Page(u32),
    /// Behind the bootloader at this offset.
    Behind(u32),
    /// At the start alone.
    Start,
}

/// What is to be written, from one file.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// The parts in the order of their addresses. A binary file is one part; an Intel HEX file
    /// has one for each run of addresses, and none when it holds no data.
    pub parts: Vec<FirmwarePart>,
    /// Where a program starts, if the file says so (a start record of Intel HEX).
    pub entry: Option<u32>,
}

/// Bytes that follow each other in flash.
#[derive(Debug, Clone)]
pub struct FirmwarePart {
    /// Flash offset, where the file gives one (Intel HEX). It counts more than what a user gives
    /// with the file.
    pub address: Option<u32>,
    /// The bytes. Their name is the file's.
    pub contents: Contents,
}

impl FirmwarePart {
    /// What is written to a chip's flash when the part is asked for at `address`: an ELF file as its
    /// image, anything else as it is.
    ///
    /// # Errors
    ///
    /// [`FirmwareError::Elf`], [`FirmwareError::Image`], and [`FirmwareError::Misplaced`] when an
    /// image would not run from there.
    pub fn for_chip(self, address: u32, chip: &'static Chip) -> Result<Vec<Self>, FirmwareError> {
        if !Elf::is_elf(&self.contents)? {
            return Ok(vec![self]);
        }
        let elf = Elf::read(&self.contents)?;
        let options = BuildOptions {
            shared_page: SharedPage::Join,
            ..BuildOptions::default()
        };
        let mut parts = Vec::new();
        for file in build(&elf, chip, &options, &mut |_| {})? {
            let misplaced = |place| FirmwareError::Misplaced {
                name: self.contents.name().to_owned(),
                address,
                place,
            };
            if file.offset.is_some() && address != 0 {
                return Err(misplaced(Place::Start));
            }
            if let Some(page) = file.page {
                let bootloader = chip.image.bootloader_offset;
                if address == bootloader {
                    return Err(misplaced(Place::Behind(bootloader)));
                }
                if !address.is_multiple_of(page) {
                    return Err(misplaced(Place::Page(page)));
                }
            }
            let mut bytes = Vec::new();
            file.write_to(&mut bytes).map_err(|error| match error {
                WriteError::Read(error) => error,
                WriteError::Write(source) => ReadError::Io {
                    name: self.contents.name().into(),
                    source,
                },
            })?;
            parts.push(Self {
                address: Some(address + file.offset.unwrap_or(0)),
                contents: Contents::from_bytes(self.contents.name(), bytes)?,
            });
        }
        Ok(parts)
    }
}

impl Firmware {
    /// Opens a binary or Intel HEX file. An ELF file is one part; for a chip it becomes others
    /// ([`for_chip`](FirmwarePart::for_chip)).
    ///
    /// # Errors
    ///
    /// [`FirmwareError`]. A file that begins as Intel HEX and has a mistake is refused, not taken
    /// for binary.
    pub fn open(path: &Path) -> Result<Self, FirmwareError> {
        Self::from_contents(Contents::open(path)?)
    }

    /// As [`open`](Self::open), of what a file holds.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_contents(contents: Contents) -> Result<Self, FirmwareError> {
        let mut head = vec![0; HEAD_LEN.min(contents.len()) as usize];
        contents.read_at(0, &mut head)?;
        if hex::looks_like_hex(&head) {
            return Self::from_hex(&contents);
        }
        Ok(Self {
            parts: vec![FirmwarePart {
                address: None,
                contents,
            }],
            entry: None,
        })
    }

    fn from_hex(contents: &Contents) -> Result<Self, FirmwareError> {
        let text = contents.reader(0..contents.len())?;
        let (runs, entry) =
            hex::parse_with_start(BufReader::new(text)).map_err(|error| match error {
                // A stream can fail only with an I/O error; inside is our own.
                HexError::Io(error) => match error.downcast::<ReadError>() {
                    Ok(error) => FirmwareError::Read(error),
                    Err(error) => FirmwareError::Hex {
                        name: contents.name().to_owned(),
                        source: HexError::Io(error),
                    },
                },
                source => FirmwareError::Hex {
                    name: contents.name().to_owned(),
                    source,
                },
            })?;
        let mut parts = Vec::with_capacity(runs.len());
        for run in runs {
            parts.push(FirmwarePart {
                address: Some(run.address),
                contents: Contents::from_bytes(contents.name(), run.bytes)?,
            });
        }
        Ok(Self { parts, entry })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use guru_testkit::Scratch;

    #[test]
    fn a_binary_file_is_one_part_without_an_address() {
        let scratch = Scratch::new();
        let file = scratch.file("part.bin", [0xE9; 100]);
        let firmware = Firmware::open(&file).unwrap();
        assert_eq!(firmware.parts.len(), 1);
        assert_eq!(firmware.parts[0].address, None);
        assert_eq!(firmware.parts[0].contents.len(), 100);
    }

    #[test]
    fn a_hex_file_is_a_part_for_each_run() {
        let text = b":020000001122CB\n:020010003344 77\n:00000001FF\n";
        let text: Vec<u8> = text.iter().copied().filter(|b| *b != b' ').collect();
        let scratch = Scratch::new();
        let file = scratch.file("runs.hex", &text);
        let firmware = Firmware::open(&file).unwrap();
        let addresses: Vec<_> = firmware.parts.iter().map(|part| part.address).collect();
        assert_eq!(addresses, [Some(0), Some(0x10)]);
        let mut buf = [0; 2];
        firmware.parts[1].contents.read_at(0, &mut buf).unwrap();
        assert_eq!(buf, [0x33, 0x44]);
    }

    #[test]
    fn bad_hex_is_refused_with_the_line_not_written_as_text() {
        let scratch = Scratch::new();
        let file = scratch.file("bad.hex", b":020000001122CB\n:02001000334478\n");
        let error = Firmware::open(&file).unwrap_err();
        assert!(error.to_string().ends_with("is not valid Intel HEX"));
        assert_eq!(
            error.source().unwrap().to_string(),
            "line 2: the checksum is 78 and should be 77"
        );
    }

    #[test]
    fn a_binary_that_begins_with_a_colon_is_binary() {
        let scratch = Scratch::new();
        let file = scratch.file("colon.bin", b":\x00\x01\x02\xFE");
        let firmware = Firmware::open(&file).unwrap();
        assert_eq!(firmware.parts[0].address, None);
    }

    #[test]
    fn a_cut_elf_file_is_no_firmware() {
        let scratch = Scratch::new();
        let file = scratch.file("app.elf", b"\x7FELF\x01\x01\x01");
        let part = Firmware::open(&file).unwrap().parts.remove(0);
        let error = part.for_chip(0, &guru_chip::ESP32).unwrap_err();
        assert!(matches!(error, FirmwareError::Elf(_)), "{error}");
    }

    #[test]
    fn an_empty_file_is_an_empty_part() {
        let scratch = Scratch::new();
        let file = scratch.file("empty.bin", b"");
        let firmware = Firmware::open(&file).unwrap();
        assert!(firmware.parts[0].contents.is_empty());
    }
}
