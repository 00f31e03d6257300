//! Build folders of PlatformIO: `.pio/build/ENVIRONMENT`.
//!
//! Sources: `builder/main.py` and `builder/frameworks` of platform-espressif32 and
//! platform-espressif8266; `idedata.json` is what `pio run -t idedata` leaves.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::build::{Build, BuildFile, Settings, System};
use crate::error::ProjectError;
use crate::find::{read_text, stem};
use crate::listing::{ListError, number};

const IDE_DATA: &str = "idedata.json";
const BOOTLOADER: &str = "bootloader.bin";
const TABLE: &str = "partitions.bin";

/// The build in `folder`, if it is one.
pub(crate) fn at(folder: &Path, program: &Path) -> Result<Option<Build>, ProjectError> {
    let file = |name: &str, file: &str| {
        let path = folder.join(file);
        path.is_file().then(|| BuildFile::new(name, path, None))
    };
    let name = match stem(program) {
        stem if folder.join(format!("{stem}.bin")).is_file() => stem,
        _ => "firmware".to_owned(),
    };
    let app = file("app", &format!("{name}.bin"));
    let whole = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let in_pio = whole
        .ancestors()
        .any(|folder| folder.file_name().is_some_and(|name| name == ".pio"));
    let (bootloader, table) = (
        file("bootloader", BOOTLOADER),
        file("partition-table", TABLE),
    );
    let said_by = match (in_pio, &bootloader, &table) {
        (_, Some(_), Some(_)) => TABLE,
        (true, ..) if app.is_some() => "firmware.bin",
        _ => return Ok(None),
    };
    let mut build = Build {
        system: System::PlatformIo,
        folder: folder.to_owned(),
        said_by: said_by.to_owned(),
        chip: None,
        settings: Settings::default(),
        bootloader,
        table,
        app: app.or_else(|| Some(BuildFile::new("app", folder.join("firmware.bin"), None))),
        others: Vec::new(),
    };
    if let Some(text) = read_text(&folder.join(IDE_DATA))? {
        let data = IdeData::parse(&text).map_err(|error| ProjectError::List {
            path: folder.join(IDE_DATA),
            error,
        })?;
        data.apply(&mut build);
    }
    Ok(Some(build))
}

/// What `idedata.json` says of flash.
#[derive(Debug, Default, PartialEq, Eq)]
struct IdeData {
    app: Option<u32>,
    images: Vec<(u32, PathBuf)>,
}

impl IdeData {
    fn parse(text: &str) -> Result<Self, ListError> {
        let root: Value =
            serde_json::from_str(text).map_err(|error| ListError::Json(error.to_string()))?;
        let Some(extra) = root.get("extra") else {
            return Ok(Self::default());
        };
        let app = match extra.get("application_offset").and_then(Value::as_str) {
            Some(text) => Some(number("extra.application_offset", text)?),
            None => None,
        };
        let mut images = Vec::new();
        let listed = extra.get("flash_images").and_then(Value::as_array);
        for (index, image) in listed.into_iter().flatten().enumerate().take(64) {
            let field = |key: &str| image.get(key).and_then(Value::as_str);
            if let (Some(offset), Some(path)) = (field("offset"), field("path")) {
                let place = format!("extra.flash_images.{index}.offset");
                images.push((number(&place, offset)?, PathBuf::from(path)));
            }
        }
        Ok(Self { app, images })
    }

    fn apply(self, build: &mut Build) {
        for (address, path) in self.images {
            let name = stem(&path);
            let path = build.folder.join(path);
            let place = match name.as_str() {
                "bootloader" => &mut build.bootloader,
                "partitions" => &mut build.table,
                // What otadata must say is known without it.
                "boot_app0" => continue,
                _ if path.is_file() => {
                    build
                        .others
                        .push(BuildFile::new(&name, path, Some(address)));
                    continue;
                }
                _ => continue,
            };
            if let Some(file) = place {
                file.address = Some(address);
            }
        }
        if let Some(app) = &mut build.app {
            app.address = self.app;
        }
        build.said_by = IDE_DATA.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idedata_tell_offsets_and_further_images() {
        let text = r#"{"cc_path": "gcc", "extra": {"application_offset": "0x20000", "flash_images": [
            {"offset": "0x0000", "path": "/p/.pio/build/e/bootloader.bin"},
            {"offset": "0xe000", "path": "/home/u/.platformio/packages/f/boot_app0.bin"}]}}"#;
        let data = IdeData::parse(text).unwrap();
        assert_eq!(data.app, Some(0x2_0000));
        assert_eq!(data.images.len(), 2);
        assert_eq!(IdeData::parse("{}").unwrap(), IdeData::default());
        let wrong = r#"{"extra": {"application_offset": "here"}}"#;
        assert_eq!(
            IdeData::parse(wrong).unwrap_err().to_string(),
            "extra.application_offset: 'here' is no flash address"
        );
    }
}
