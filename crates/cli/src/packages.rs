//! Where packages with bootloaders lie, by the environment and the home folder.

use std::env;
use std::path::PathBuf;

use guru_project::Roots;

/// The folders of cargo, Arduino and PlatformIO.
pub fn roots() -> Roots {
    let home = env::home_dir();
    let named = |variable: &str| env::var_os(variable).filter(|path| !path.is_empty());
    let folder = |variable: &str, usual: &str| -> Vec<PathBuf> {
        let usual = || home.as_ref().map(|home| home.join(usual));
        let folder = named(variable).map(PathBuf::from).or_else(usual);
        folder.into_iter().collect()
    };
    let arduino = if cfg!(windows) {
        "AppData/Local/Arduino15"
    } else if cfg!(target_os = "macos") {
        "Library/Arduino15"
    } else {
        ".arduino15"
    };
    Roots {
        cargo: folder("CARGO_HOME", ".cargo"),
        arduino: folder("ARDUINO_DIRECTORIES_DATA", arduino),
        platformio: folder("PLATFORMIO_CORE_DIR", ".platformio"),
    }
}
