//! Where a stub comes from.

use std::sync::Arc;

use guru_chip::{Chip, Revision};

use crate::guru::Description;
use crate::{Kind, Stub, StubError, embedded, official};

/// A file that may be a stub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StubFile {
    /// Name without folder, such as `esp32c3.json`.
    pub name: String,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// Where stubs come from.
#[derive(Debug, Clone, Default)]
pub enum Source {
    /// Those that are embedded.
    #[default]
    Embedded,
    /// Files of a folder, in Guru's form or Espressif's, whichever kind was asked for.
    Files(Kind, Arc<Vec<StubFile>>),
}

impl Source {
    /// The stub for a revision of a chip, checked. `None`: there is none.
    ///
    /// # Errors
    ///
    /// A file for the chip that is malformed, fails its digest, or has segments that overlap or do not
    /// lie in the chip's RAM.
    pub fn stub(&self, chip: &Chip, revision: Option<Revision>) -> Result<Option<Stub>, StubError> {
        let (kind, files) = match self {
            Self::Embedded => return embedded::stub(chip, revision),
            Self::Files(kind, files) => (*kind, files),
        };
        let Some(stem) = embedded::stem(chip, revision)? else {
            return Ok(None);
        };
        let find = |ending: &str| {
            let name = format!("{stem}.{ending}");
            files.iter().find(|file| file.name == name)
        };
        let stub = match kind {
            Kind::Official => match find("json") {
                Some(file) => official::parse(&file.name, &file.bytes)?,
                None => return Ok(None),
            },
            Kind::Guru => match (find("toml"), find("bin")) {
                (Some(text), Some(bytes)) => {
                    let description = std::str::from_utf8(&text.bytes)
                        .map_err(|error| StubError::new(&text.name, error.to_string()))?;
                    Description::parse(&text.name, description)?.stub(&bytes.name, &bytes.bytes)?
                }
                (None, None) => return Ok(None),
                (Some(file), None) | (None, Some(file)) => {
                    return Err(StubError::new(
                        &file.name,
                        "the .toml and the .bin belong together, and one is missing",
                    ));
                }
            },
        };
        stub.checked(chip).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(kind: Kind, files: &[(&str, &[u8])]) -> Source {
        let file = |(name, bytes): &(&str, &[u8])| StubFile {
            name: (*name).to_owned(),
            bytes: bytes.to_vec(),
        };
        Source::Files(kind, Arc::new(files.iter().map(file).collect()))
    }

    fn refused(source: &Source) -> String {
        let chip = guru_chip::by_id("esp32c3").unwrap();
        source.stub(chip, None).unwrap_err().reason
    }

    fn official(text_start: u32, data_start: u32, entry: u32) -> Source {
        let json = format!(
            r#"{{"entry": {entry}, "text": "Zm9vYmFy", "text_start": {text_start}, "data": "Zm9v",
                 "data_start": {data_start}}}"#
        );
        files(Kind::Official, &[("esp32c3.json", json.as_bytes())])
    }

    #[test]
    fn an_official_stub_is_found_by_the_chips_name() {
        let chip = guru_chip::by_id("esp32c3").unwrap();
        let source = official(0x4038_0000, 0x3FC9_6000, 0x4038_0002);
        let stub = source.stub(chip, None).unwrap().unwrap();
        assert_eq!((stub.kind, stub.len()), (Kind::Official, 12));
        let other = guru_chip::by_id("esp32c6").unwrap();
        assert_eq!(source.stub(other, None), Ok(None));
    }

    #[test]
    fn segments_must_lie_in_ram_apart_and_hold_the_entry() {
        assert!(refused(&official(0x4200_0000, 0x3FC9_6000, 0x4200_0000)).contains("RAM of"));
        assert!(refused(&official(0x4038_0001, 0x3FC9_6000, 0x4038_0001)).contains("uploaded"));
        assert!(refused(&official(0x4038_0000, 0x4038_0004, 0x4038_0000)).contains("overlap"));
        assert!(refused(&official(0x4038_0000, 0x3FC9_6000, 0x4038_0008)).contains("entry"));
        assert!(refused(&official(0xFFFF_FFFC, 0x3FC9_6000, 0)).contains("RAM of"));
    }

    #[test]
    fn a_stub_that_fails_its_digest_is_refused() {
        let toml =
            b"entry = 0x40380000\nsha256 = 'ab'\nsegments = [{ address = 0x40380000, len = 4 }]";
        let source = files(
            Kind::Guru,
            &[("esp32c3.toml", toml), ("esp32c3.bin", b"code")],
        );
        assert!(refused(&source).contains("SHA-256"));
        let alone = files(Kind::Guru, &[("esp32c3.toml", toml)]);
        assert!(refused(&alone).contains("missing"));
    }
}
