use std::path::Path;

use guru::config::{self, ConfigError, Loaded};
use guru_project::{BoardName, BoardProperties, FlashArgs, FlasherArgs, RunnerArgs};

/// An `esptool.cfg`: its section, and what its values mean. And what build folders have in its place.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    build_folder(&text);
    check(&config::esptool_cfg(&text, Path::new("esptool.cfg")));
}

/// A `guru.toml`.
pub fn guru_toml(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    check(&config::guru_toml(&text, Path::new("guru.toml")));
}

/// What is refused is shown, and is not used.
fn check(loaded: &Loaded) {
    for error in &loaded.bad {
        if let ConfigError::BadValue { key, value, .. } = error {
            let text = error.to_string();
            assert!(text.contains(key) && text.contains(value), "{text}");
        }
    }
}

/// Files that builds leave: lists of files for the flash, arguments of a runner, properties of boards.
fn build_folder(text: &str) {
    if let Ok(list) = FlasherArgs::parse(text) {
        assert!(
            list.files
                .is_sorted_by(|one, next| one.address < next.address)
        );
    }
    if let Ok(list) = FlashArgs::parse(text) {
        assert!(!list.files.is_empty());
    }
    let _ = RunnerArgs::parse(text);
    // Its first word names a board.
    let name = text.split_whitespace().next().unwrap_or_default();
    if let Some(name) = BoardName::parse(name.trim_start_matches('#')) {
        let board = BoardProperties::new(text, &name);
        for key in ["build.mcu", "build.flash_mode", "build.bootloader_addr"] {
            let _ = board.get(key);
        }
    }
}
