//! Build folders of Zephyr: `zephyr/zephyr.elf`, and `zephyr/runners.yaml` beside it, which says how
//! `west flash` would write it.
//!
//! Sources: `scripts/west_commands/runners/esp32.py` and `boards/common/esp32.board.cmake` of Zephyr.
//! Its images come in three ways: started by the ROM itself (simple boot), by MCUboot, whose build
//! folder lies beside it under sysbuild, or, up to Zephyr 3.5, by ESP-IDF's bootloader.

use std::path::{Path, PathBuf};

use guru_chip::Chip;

use crate::build::{Build, BuildFile, Settings, System};
use crate::error::ProjectError;
use crate::find::{Wanted, read_text, stem};
use crate::listing::{ListError, number};

const RUNNERS: &str = "runners.yaml";

/// What `runners.yaml` says for the runner `esp32`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunnerArgs {
    /// The binary file, relative to the folder `zephyr`.
    pub bin_file: Option<String>,
    /// Where it goes.
    pub app_address: Option<u32>,
    /// A bootloader of ESP-IDF.
    pub bootloader: Option<String>,
    /// Where that goes.
    pub boot_address: Option<u32>,
    /// A partition table.
    pub table: Option<String>,
    /// Where that goes.
    pub table_address: Option<u32>,
    /// Flash parameters.
    pub settings: Settings,
}

impl RunnerArgs {
    /// Reads the parts that count, line by line as CMake writes them. `None`: there is no runner
    /// `esp32`.
    ///
    /// # Errors
    /// An address that is none.
    pub fn parse(text: &str) -> Result<Option<Self>, ListError> {
        let mut runner = Self::default();
        let (mut section, mut key) = (String::new(), String::new());
        let mut found = false;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let name = trimmed.strip_suffix(':').filter(|name| !name.contains(' '));
            if !line.starts_with([' ', '-']) {
                section = name.unwrap_or_default().to_owned();
                key.clear();
            } else if let (Some(name), false) = (name, trimmed.starts_with('-')) {
                key = name.to_owned();
                found |= section == "args" && key == "esp32";
            } else if section == "config"
                && let Some(file) = trimmed.strip_prefix("bin_file:")
            {
                runner.bin_file = Some(unquoted(file));
            } else if section == "args" && key == "esp32" {
                runner.take(&unquoted(trimmed.trim_start_matches("- ")))?;
            }
        }
        Ok(found.then_some(runner))
    }

    fn take(&mut self, argument: &str) -> Result<(), ListError> {
        let Some((name, value)) = argument
            .strip_prefix("--esp-")
            .and_then(|rest| rest.split_once('='))
        else {
            return Ok(());
        };
        let address = || number(&format!("--esp-{name}"), value).map(Some);
        let file = || Some(value.to_owned()).filter(|file| !file.is_empty());
        match name {
            "app-address" => self.app_address = address()?,
            "boot-address" => self.boot_address = address()?,
            "partition-table-address" => self.table_address = address()?,
            "flash-bootloader" => self.bootloader = file(),
            "flash-partition_table" | "flash-partition-table" => self.table = file(),
            name => self.settings.set(name, value),
        }
        Ok(())
    }
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    quoted('"')
        .or_else(|| quoted('\''))
        .unwrap_or(text)
        .to_owned()
}

/// The build in `folder`, which is that of `zephyr.elf`.
pub(crate) fn at(folder: &Path, wanted: Wanted<'_>) -> Result<Option<Build>, ProjectError> {
    let Some(runner) = runner(folder)? else {
        return Ok(None);
    };
    let bin = folder.join(runner.bin_file.as_deref().unwrap_or("zephyr.bin"));
    if let Wanted::Program(program) = wanted
        && !(program == "zephyr" || stem(&bin) == program)
    {
        return Ok(None);
    }
    let chip = chip(folder)?;
    let app_address = runner.app_address.unwrap_or(0x1_0000);
    let file = |name: &str, file: Option<String>, address: Option<u32>| {
        file.map(|file| BuildFile::new(name, folder.join(file), address))
    };
    let mut build = Build {
        system: System::Zephyr,
        folder: folder.to_owned(),
        said_by: RUNNERS.to_owned(),
        chip,
        bootloader: file("bootloader", runner.bootloader, runner.boot_address),
        table: file("partition-table", runner.table, runner.table_address),
        app: Some(BuildFile::new("app", bin, Some(app_address))),
        others: Vec::new(),
        settings: runner.settings,
    };
    let starts_itself = chip.is_some_and(|chip| chip.image.bootloader_offset == app_address);
    if build.bootloader.is_none() && !starts_itself {
        build.bootloader = mcuboot(folder)?;
    }
    Ok(Some(build))
}

/// MCUboot of the same sysbuild: `mcuboot/zephyr` beside `APPLICATION/zephyr`.
fn mcuboot(folder: &Path) -> Result<Option<BuildFile>, ProjectError> {
    let folder = folder.join("../../mcuboot/zephyr");
    let Some(runner) = runner(&folder)? else {
        return Ok(None);
    };
    let bin = folder.join(runner.bin_file.as_deref().unwrap_or("zephyr.bin"));
    Ok(Some(BuildFile::new("bootloader", bin, runner.app_address)))
}

fn runner(folder: &Path) -> Result<Option<RunnerArgs>, ProjectError> {
    let path: PathBuf = folder.join(RUNNERS);
    match read_text(&path)? {
        Some(text) => RunnerArgs::parse(&text).map_err(|error| ProjectError::List { path, error }),
        None => Ok(None),
    }
}

/// The chip by the configuration of the build.
fn chip(folder: &Path) -> Result<Option<&'static Chip>, ProjectError> {
    let config = read_text(&folder.join(".config"))?.unwrap_or_default();
    let soc = config
        .lines()
        .find_map(|line| line.strip_prefix("CONFIG_SOC="));
    Ok(soc.and_then(|soc| guru_chip::by_id(&unquoted(soc))))
}

#[cfg(test)]
mod tests {
    use guru_image::FlashMode;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_runner_tells_files_and_addresses() {
        let text = "# Available runners.\nrunners:\n- esp32\n- openocd\n\nflash-runner: esp32\n\
                    config:\n  board_dir: /z/boards\n  elf_file: zephyr.elf\n  bin_file: zephyr.signed.bin\n\
                    args:\n  esp32:\n    - --esp-idf-path=/z/hal\n    - \"--esp-app-address=0x20000\"\n    \
                    - --esp-flash-bootloader=/b/bootloader.bin\n    - --esp-boot-address=0x1000\n    \
                    - --esp-flash-mode=dio\n    - --esp-flash-size=detect\n  openocd:\n    - --esp-app-address=0x1\n";
        let runner = RunnerArgs::parse(text).unwrap().unwrap();
        assert_eq!(
            runner,
            RunnerArgs {
                bin_file: Some("zephyr.signed.bin".into()),
                app_address: Some(0x2_0000),
                bootloader: Some("/b/bootloader.bin".into()),
                boot_address: Some(0x1000),
                settings: Settings {
                    mode: Some(FlashMode::Dio),
                    detects_size: true,
                    ..Settings::default()
                },
                ..RunnerArgs::default()
            }
        );
    }

    #[test]
    fn other_boards_have_no_such_runner() {
        let text = "runners:\n- jlink\nargs:\n  jlink:\n    - --device=nRF52\n";
        assert_eq!(RunnerArgs::parse(text), Ok(None));
        let wrong = "args:\n  esp32:\n    - --esp-app-address=here\n";
        assert_eq!(
            RunnerArgs::parse(wrong).unwrap_err().to_string(),
            "--esp-app-address: 'here' is no flash address"
        );
    }

    proptest! {
        #[test]
        fn no_runners_file_makes_it_panic(text in "(args:|  esp32:|[ -]{0,4}[a-z=:\"-]{0,20}|\n){0,40}") {
            let _ = RunnerArgs::parse(&text);
        }
    }
}
