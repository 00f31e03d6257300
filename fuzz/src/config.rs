use std::path::Path;

use guru::config;

/// A configuration file: its section, and what its values mean.
pub fn config(bytes: &[u8]) {
    let Ok(Some(values)) = config::section(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    if let Err(error) = config::read(&values, Path::new("esptool.cfg")) {
        assert!(error.to_string().contains(&error.value));
    }
}
