//! The lists of files and flash addresses that builds leave: `flasher_args.json` (ESP-IDF since 4.0)
//! and `flash_args` (ESP-IDF, Arduino's core for the ESP32 since 3.1), the command line of the
//! predecessor in a file.
//!
//! Sources: `flasher_args.json.in` and `project_include.cmake` of ESP-IDF's component `esptool_py`,
//! `platform.txt` of arduino-esp32.

use serde_json::Value;
use thiserror::Error;

use crate::build::Settings;

/// The most files that one list may have.
const MAX_FILES: usize = 64;

/// A file of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// What the list calls it: `bootloader`, `partition-table`, `app`, `otadata`, ...; empty where it
    /// has no name.
    pub name: String,
    /// Flash offset.
    pub address: u32,
    /// Path, as it is written: mostly relative to the list's folder.
    pub path: String,
    /// Whether it is encrypted on a chip with flash encryption.
    pub encrypt: bool,
}

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListError {
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    Json(String),
    /// It has no files.
    #[error("it names no files")]
    Empty,
    /// It has more files than anybody needs.
    #[error("it names more than {MAX_FILES} files")]
    TooMany,
    /// Something that should be an address is none.
    #[error("{place}: '{text}' is no flash address")]
    Address {
        /// Where it stands.
        place: String,
        /// What stands there.
        text: String,
    },
    /// A field has not the type that it should have.
    #[error("{place}: there should be {wanted}")]
    Field {
        /// Where it stands.
        place: String,
        /// What should stand there.
        wanted: &'static str,
    },
}

/// What `flasher_args.json` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlasherArgs {
    /// Name of the chip.
    pub chip: Option<String>,
    /// Flash parameters.
    pub settings: Settings,
    /// All files, by address.
    pub files: Vec<ListedFile>,
}

impl FlasherArgs {
    /// Reads the JSON.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let root: Value =
            serde_json::from_str(text).map_err(|error| ListError::Json(error.to_string()))?;
        let mut list = Self::default();
        let string = |object: &Value, key: &str| -> Option<String> {
            object.get(key)?.as_str().map(str::to_owned)
        };
        list.chip = root
            .get("extra_esptool_args")
            .and_then(|extra| string(extra, "chip"));
        if let Some(Value::Object(settings)) = root.get("flash_settings") {
            for (name, value) in settings {
                list.settings.set(name, value.as_str().unwrap_or_default());
            }
        }
        match root.get("flash_files") {
            Some(Value::Object(files)) => {
                for (address, path) in files {
                    let place = format!("flash_files.{address}");
                    let path = path.as_str().ok_or_else(|| ListError::Field {
                        place: place.clone(),
                        wanted: "the name of a file",
                    })?;
                    list.add(ListedFile {
                        name: String::new(),
                        address: number(&place, address)?,
                        path: path.to_owned(),
                        encrypt: false,
                    })?;
                }
            }
            Some(_) => {
                return Err(ListError::Field {
                    place: "flash_files".to_owned(),
                    wanted: "an object with addresses and files",
                });
            }
            None => {}
        }
        // Each entry of its own names one of the files, and says more of it.
        for (name, entry) in root.as_object().into_iter().flatten() {
            let (Some(offset), Some(path)) = (string(entry, "offset"), string(entry, "file"))
            else {
                continue;
            };
            let encrypt = match entry.get("encrypted") {
                Some(Value::Bool(encrypt)) => *encrypt,
                Some(Value::String(text)) => text == "true",
                _ => false,
            };
            list.add(ListedFile {
                name: name.replace('_', "-"),
                address: number(&format!("{name}.offset"), &offset)?,
                path,
                encrypt,
            })?;
        }
        list.files.sort_by_key(|file| file.address);
        match list.files.is_empty() {
            true => Err(ListError::Empty),
            false => Ok(list),
        }
    }

    /// Adds a file, or what is known more of one that is there.
    fn add(&mut self, file: ListedFile) -> Result<(), ListError> {
        let count = self.files.len();
        let mut files = self.files.iter_mut();
        match files.find(|known| known.address == file.address) {
            Some(known) if file.name.is_empty() => known.path = file.path,
            Some(known) => *known = file,
            None if count >= MAX_FILES => return Err(ListError::TooMany),
            None => self.files.push(file),
        }
        Ok(())
    }
}

/// What `flash_args` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlashArgs {
    /// Flash parameters.
    pub settings: Settings,
    /// The files, in their order; those whose names tell have names.
    pub files: Vec<ListedFile>,
}

impl FlashArgs {
    /// Reads options and pairs of an address and a file.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let mut list = Self::default();
        let mut words = words(text).into_iter();
        while let Some(word) = words.next() {
            if let Some(option) = word.strip_prefix("--") {
                let name = option.replace('-', "_");
                // An option with a value, all of which begin so; others are switches.
                if name.starts_with("flash_") {
                    list.settings.set(&name, &words.next().unwrap_or_default());
                }
                continue;
            }
            if word.starts_with('-') {
                continue;
            }
            let address = number("flash_args", &word)?;
            let path = words.next().ok_or_else(|| ListError::Field {
                place: format!("behind {word}"),
                wanted: "the name of a file",
            })?;
            if list.files.len() >= MAX_FILES {
                return Err(ListError::TooMany);
            }
            list.files.push(ListedFile {
                name: named_by(&path).to_owned(),
                address,
                path,
                encrypt: false,
            });
        }
        match list.files.is_empty() {
            true => Err(ListError::Empty),
            false => Ok(list),
        }
    }
}

/// What a file is by its name, as build systems call them.
fn named_by(path: &str) -> &'static str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    match file {
        _ if file.contains("bootloader") => "bootloader",
        _ if file.contains("partition") => "partition-table",
        _ if file.starts_with("ota_data") || file.starts_with("boot_app0") => "otadata",
        _ => "",
    }
}

/// Words as a shell parts them, quotes included; nothing in them stands for anything else.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A flash address as these files write it.
pub(crate) fn number(place: &str, text: &str) -> Result<u32, ListError> {
    let text = text.trim();
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| ListError::Address {
        place: place.to_owned(),
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use guru_image::FlashMode;
    use proptest::prelude::*;

    use super::*;

    const JSON: &str = r#"{
        "write_flash_args": ["--flash_mode", "dio", "--flash_size", "2MB", "--flash_freq", "80m"],
        "flash_settings": {"flash_mode": "dio", "flash_size": "2MB", "flash_freq": "80m"},
        "flash_files": {
            "0x0": "bootloader/bootloader.bin",
            "0x10000": "blink.bin",
            "0x8000": "partition_table/partition-table.bin",
            "0x110000": "storage.bin"
        },
        "bootloader": {"offset": "0x0", "file": "bootloader/bootloader.bin", "encrypted": "false"},
        "app": {"offset": "0x10000", "file": "blink.bin", "encrypted": "true"},
        "partition-table": {
            "offset": "0x8000", "file": "partition_table/partition-table.bin", "encrypted": "false"
        },
        "extra_esptool_args": {
            "after": "hard_reset", "before": "default_reset", "stub": true, "chip": "esp32c3"
        }
    }"#;

    #[test]
    fn flasher_args_tell_chip_settings_and_every_file() {
        let list = FlasherArgs::parse(JSON).unwrap();
        assert_eq!(list.chip.as_deref(), Some("esp32c3"));
        assert_eq!(list.settings.mode, Some(FlashMode::Dio));
        assert_eq!(list.settings.frequency.as_deref(), Some("80m"));
        assert_eq!(list.settings.size.as_deref(), Some("2MB"));
        let files: Vec<_> = list
            .files
            .iter()
            .map(|file| (file.address, file.name.as_str(), file.encrypt))
            .collect();
        assert_eq!(
            files,
            [
                (0, "bootloader", false),
                (0x8000, "partition-table", false),
                (0x1_0000, "app", true),
                (0x11_0000, "", false),
            ]
        );
        assert_eq!(list.files[3].path, "storage.bin");
    }

    #[test]
    fn what_is_wrong_with_flasher_args_is_told_with_its_place() {
        let error = |text: &str| FlasherArgs::parse(text).unwrap_err().to_string();
        assert!(error("{").starts_with("it is no JSON: "));
        assert_eq!(error("{}"), "it names no files");
        assert_eq!(error("[]"), "it names no files");
        assert_eq!(
            error(r#"{"flash_files": {"0xz": "a"}}"#),
            "flash_files.0xz: '0xz' is no flash address"
        );
        assert_eq!(
            error(r#"{"app": {"offset": "0x100000000", "file": "a"}}"#),
            "app.offset: '0x100000000' is no flash address"
        );
        assert_eq!(
            error(r#"{"flash_files": {"0": 7}}"#),
            "flash_files.0: there should be the name of a file"
        );
        let many: Vec<_> = (0..100).map(|at| format!(r#""{at}": "f""#)).collect();
        let many = format!(r#"{{"flash_files": {{{}}}}}"#, many.join(","));
        assert_eq!(error(&many), "it names more than 64 files");
    }

    #[test]
    fn flash_args_are_options_and_pairs() {
        let text = "--flash_mode dio --flash-freq 80m --flash_size keep\n\
                    0x0 bootloader/bootloader.bin\n0x8000 \"my table/partition-table.bin\"\n\
                    0xd000 ota_data_initial.bin\n0x10000 blink.bin\n";
        let list = FlashArgs::parse(text).unwrap();
        assert_eq!(list.settings.mode, Some(FlashMode::Dio));
        assert_eq!(list.settings.frequency.as_deref(), Some("80m"));
        assert_eq!(list.settings.size, None);
        let files: Vec<_> = list
            .files
            .iter()
            .map(|file| (file.address, file.name.as_str(), file.path.as_str()))
            .collect();
        assert_eq!(
            files,
            [
                (0, "bootloader", "bootloader/bootloader.bin"),
                (0x8000, "partition-table", "my table/partition-table.bin"),
                (0xD000, "otadata", "ota_data_initial.bin"),
                (0x1_0000, "", "blink.bin"),
            ]
        );
        let error = |text: &str| FlashArgs::parse(text).unwrap_err().to_string();
        assert_eq!(error("--flash_mode dio"), "it names no files");
        assert_eq!(
            error("app.bin"),
            "flash_args: 'app.bin' is no flash address"
        );
        assert_eq!(
            error("0x1000"),
            "behind 0x1000: there should be the name of a file"
        );
    }

    proptest! {
        #[test]
        fn no_list_makes_a_parser_panic(text: String) {
            let _ = (FlasherArgs::parse(&text), FlashArgs::parse(&text));
        }

        #[test]
        fn pairs_survive_being_quoted(files in prop::collection::vec((any::<u32>(), "[a-z /.]{1,12}"), 1..9)) {
            let lines: Vec<_> = files
                .iter()
                .map(|(address, path)| format!("{address:#x} '{path}'"))
                .collect();
            let list = FlashArgs::parse(&lines.join("\n")).unwrap();
            let read: Vec<_> = list
                .files
                .into_iter()
                .map(|file| (file.address, file.path))
                .collect();
            prop_assert_eq!(read, files);
        }
    }
}
