//! Build folders of Arduino's core for the ESP32: `sketch.ino.elf` with `sketch.ino.bin`,
//! `sketch.ino.bootloader.bin` and `sketch.ino.partitions.bin`.
//!
//! Source: `platform.txt` of arduino-esp32, whose recipes name these files and their addresses, and
//! `boards.txt`, where the board is that `build.options.json` names.

use std::path::{Path, PathBuf};

use crate::boards::{BoardProperties, BuildOptionsFile};
use crate::build::{Build, BuildFile, Settings, System};
use crate::error::ProjectError;
use crate::find::{read_text, stem};
use crate::installed::expand;
use crate::listing::{FlashArgs, number};

/// The build in `folder`, if it is one.
pub(crate) fn at(folder: &Path, program: &Path) -> Result<Option<Build>, ProjectError> {
    let name = stem(program);
    let file = |what: &str, ending: &str| {
        let path = folder.join(format!("{name}{ending}"));
        path.is_file().then(|| BuildFile::new(what, path, None))
    };
    let Some(table) = file("partition-table", ".partitions.bin") else {
        return Ok(None);
    };
    let said_by = format!("{name}.partitions.bin");
    let mut build = Build {
        system: System::Arduino,
        folder: folder.to_owned(),
        said_by,
        chip: None,
        settings: Settings::default(),
        bootloader: file("bootloader", ".bootloader.bin"),
        table: Some(table),
        app: file("app", ".bin"),
        others: Vec::new(),
    };
    if let Some(board) = board(folder)? {
        let property = |key: &str| board.get(key).unwrap_or_default();
        build.chip = guru_chip::by_id(&property("build.mcu"));
        build
            .settings
            .set("flash_mode", &property("build.flash_mode"));
        let frequency = board.get("build.img_freq");
        let frequency = frequency.unwrap_or_else(|| property("build.flash_freq"));
        build.settings.set("flash_freq", &frequency);
        build
            .settings
            .set("flash_size", &property("build.flash_size"));
        if let Some(bootloader) = &mut build.bootloader {
            bootloader.address = number("", &property("build.bootloader_addr")).ok();
        }
    }
    // Newer cores leave a list as well, whose files may lie elsewhere: addresses and settings count.
    if let Some(text) = read_text(&folder.join("flash_args"))?
        && let Ok(list) = FlashArgs::parse(&text)
    {
        build.settings = list.settings.or(&build.settings);
        for listed in list.files {
            let path = folder.join(&listed.path);
            let known = [&mut build.bootloader, &mut build.table, &mut build.app];
            for file in known.into_iter().flatten() {
                if file.path == path {
                    file.address = Some(listed.address);
                }
            }
        }
    }
    Ok(Some(build))
}

/// The board that the sketch was built for, where both its name and its core are to be had.
fn board(folder: &Path) -> Result<Option<BoardProperties>, ProjectError> {
    let Some(options) = read_text(&folder.join("build.options.json"))? else {
        return Ok(None);
    };
    let Some(options) = BuildOptionsFile::parse(&options) else {
        return Ok(None);
    };
    let name = &options.board;
    let core = format!("{}/hardware/{}/*", name.package, name.architecture);
    for packages in &options.folders {
        for core in expand(&PathBuf::from(packages), &core) {
            if let Some(text) = read_text(&core.join("boards.txt"))? {
                return Ok(Some(BoardProperties::new(&text, name)));
            }
        }
    }
    Ok(None)
}
