use std::path::Path;

use guru::config::{self, ConfigError, Loaded};

/// An `esptool.cfg`: its section, and what its values mean.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
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
