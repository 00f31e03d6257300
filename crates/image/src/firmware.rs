//! A file that a user names, as what is to be written and where.

use std::io::BufReader;
use std::path::Path;

use thiserror::Error;

use crate::contents::{Contents, ReadError};
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
    /// It is an ELF file, which says where a program runs, not where it lies in flash.
    #[error(
        "'{name}' is an ELF file, and ELF input is not accepted here: make an image of it first"
    )]
    Elf {
        /// The file.
        name: String,
    },
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

impl Firmware {
    /// Opens a binary or Intel HEX file.
    ///
    /// # Errors
    ///
    /// [`FirmwareError`]. A file that begins as Intel HEX and has a mistake is refused, not taken
    /// for binary.
    pub fn open(path: &Path) -> Result<Self, FirmwareError> {
        let contents = Contents::open(path)?;
        let mut head = vec![0; HEAD_LEN.min(contents.len()) as usize];
        contents.read_at(0, &mut head)?;
        if head.starts_with(b"\x7FELF") {
            return Err(FirmwareError::Elf {
                name: contents.name().to_owned(),
            });
        }
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
    use crate::scratch::Scratch;

    #[test]
    fn a_binary_file_is_one_part_without_an_address() {
        let file = Scratch::new("part.bin", &[0xE9; 100]);
        let firmware = Firmware::open(&file.0).unwrap();
        assert_eq!(firmware.parts.len(), 1);
        assert_eq!(firmware.parts[0].address, None);
        assert_eq!(firmware.parts[0].contents.len(), 100);
    }

    #[test]
    fn a_hex_file_is_a_part_for_each_run() {
        let text = b":020000001122CB\n:020010003344 77\n:00000001FF\n";
        let text: Vec<u8> = text.iter().copied().filter(|b| *b != b' ').collect();
        let file = Scratch::new("runs.hex", &text);
        let firmware = Firmware::open(&file.0).unwrap();
        let addresses: Vec<_> = firmware.parts.iter().map(|part| part.address).collect();
        assert_eq!(addresses, [Some(0), Some(0x10)]);
        let mut buf = [0; 2];
        firmware.parts[1].contents.read_at(0, &mut buf).unwrap();
        assert_eq!(buf, [0x33, 0x44]);
    }

    #[test]
    fn bad_hex_is_refused_with_the_line_not_written_as_text() {
        let file = Scratch::new("bad.hex", b":020000001122CB\n:02001000334478\n");
        let error = Firmware::open(&file.0).unwrap_err();
        assert!(error.to_string().ends_with("is not valid Intel HEX"));
        assert_eq!(
            error.source().unwrap().to_string(),
            "line 2: the checksum is 78 and should be 77"
        );
    }

    #[test]
    fn a_binary_that_begins_with_a_colon_is_binary() {
        let file = Scratch::new("colon.bin", b":\x00\x01\x02\xFE");
        let firmware = Firmware::open(&file.0).unwrap();
        assert_eq!(firmware.parts[0].address, None);
    }

    #[test]
    fn an_elf_file_is_refused() {
        let file = Scratch::new("app.elf", b"\x7FELF\x01\x01\x01");
        let error = Firmware::open(&file.0).unwrap_err();
        assert!(matches!(error, FirmwareError::Elf { .. }));
    }

    #[test]
    fn an_empty_file_is_an_empty_part() {
        let file = Scratch::new("empty.bin", b"");
        let firmware = Firmware::open(&file.0).unwrap();
        assert!(firmware.parts[0].contents.is_empty());
    }
}
