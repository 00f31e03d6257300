//! The configuration file: an INI file with a section `[esptool]`, kept compatible with the file
//! of the same name that users have already.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guru_link::ResetSequence;
use guru_wire::Timeouts;
use thiserror::Error;

/// Section that is read.
pub const SECTION: &str = "esptool";

/// Files that are looked for in each folder, first one first.
pub const FILES: [&str; 3] = ["esptool.cfg", "setup.cfg", "tox.ini"];

/// Keys that have a meaning.
const KEYS: [&str; 15] = [
    "chip_erase_timeout",
    "connect_attempts",
    "custom_hard_reset_sequence",
    "custom_reset_sequence",
    "erase_region_timeout_per_mb",
    "erase_write_timeout_per_mb",
    "max_timeout",
    "md5_timeout_per_mb",
    "mem_end_rom_timeout",
    "open_port_attempts",
    "reset_delay",
    "serial_write_timeout",
    "sync_timeout",
    "timeout",
    "write_block_attempts",
];

/// What the file sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How long answers may take.
    pub timeouts: Timeouts,
    /// Attempts at reaching the loader; 0 or less: without end.
    pub connect_attempts: Option<i64>,
    /// Attempts at opening the port; 0: without end.
    pub open_port_attempts: Option<u32>,
    /// Attempts at one block.
    pub write_block_attempts: u32,
    /// How long GPIO0 is held low after a reset.
    pub reset_delay: Option<Duration>,
    /// In place of the built-in resets into the loader.
    pub reset: Option<ResetSequence>,
    /// In place of the built-in hard reset.
    pub hard_reset: Option<ResetSequence>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            connect_attempts: None,
            open_port_attempts: None,
            write_block_attempts: 3,
            reset_delay: None,
            reset: None,
            hard_reset: None,
        }
    }
}

/// The file that was found, and what was passed over on the way.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// What it sets.
    pub config: Config,
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// Whether `ESPTOOL_CFGFILE` named it.
    pub from_environment: bool,
    /// Keys in it without a meaning, sorted.
    pub unknown: Vec<String>,
    /// Files that are no INI files, with the reason.
    pub invalid: Vec<(PathBuf, String)>,
}

/// A value in the file is not what its key takes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {key} = {value}: {reason}", path.display())]
pub struct BadValue {
    /// The file.
    pub path: PathBuf,
    /// The key.
    pub key: &'static str,
    /// The value.
    pub value: String,
    /// What would be right.
    pub reason: String,
}

/// Looks for the file where the environment, the working directory and the home directory say.
///
/// # Errors
/// [`BadValue`] when the file has a value that cannot be read.
pub fn load() -> Result<Found, BadValue> {
    let home = env::home_dir();
    let mut folders = vec![env::current_dir().unwrap_or_default()];
    if let Some(home) = &home {
        folders.push(if cfg!(windows) {
            home.join("AppData").join("Local").join(SECTION)
        } else {
            home.join(".config").join(SECTION)
        });
        folders.push(home.clone());
    }
    let named = env::var_os("ESPTOOL_CFGFILE")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    search(named.as_deref(), &folders)
}

/// Looks for the file: the named one, then each known name in each folder. The first that has the
/// section counts.
///
/// # Errors
/// [`BadValue`] when that file has a value that cannot be read.
pub fn search(named: Option<&Path>, folders: &[PathBuf]) -> Result<Found, BadValue> {
    let mut found = Found::default();
    let candidates = named.map(|path| (path.to_owned(), true)).into_iter().chain(
        folders
            .iter()
            .flat_map(|folder| FILES.iter().map(move |name| (folder.join(name), false))),
    );
    for (path, from_environment) in candidates {
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let section = String::from_utf8(bytes)
            .map_err(|_| "it is not UTF-8".to_owned())
            .and_then(|text| section(&text));
        match section {
            Err(reason) => found.invalid.push((path, reason)),
            Ok(None) => {}
            Ok(Some(values)) => {
                let path = std::path::absolute(&path).unwrap_or(path);
                found.config = read(&values, &path)?;
                found.unknown = values
                    .into_keys()
                    .filter(|key| !KEYS.contains(&key.as_str()))
                    .collect();
                found.path = Some(path);
                found.from_environment = from_environment;
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// The keys and values of `[esptool]` in an INI file as Python's `configparser` reads it; `None`
/// without the section.
///
/// # Errors
/// What is wrong with the file.
pub fn section(text: &str) -> Result<Option<BTreeMap<String, String>>, String> {
    let mut sections: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    // Key and indentation of the value that indented lines go on with.
    let mut open: Option<(String, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let (Some((key, key_indent)), Some((_, values))) = (&open, sections.last_mut())
            && indent > *key_indent
        {
            if let Some(value) = values.get_mut(key) {
                value.push('\n');
                value.push_str(trimmed);
            }
            continue;
        }
        if let Some(header) = trimmed.strip_prefix('[') {
            let Some((name, _)) = header.rsplit_once(']') else {
                return Err(format!("line {number}: a section name needs a closing ']'"));
            };
            if sections.iter().any(|(other, _)| other == name) {
                return Err(format!("line {number}: section [{name}] is there twice"));
            }
            sections.push((name.to_owned(), BTreeMap::new()));
            open = None;
            continue;
        }
        let Some((_, values)) = sections.last_mut() else {
            return Err(format!("line {number}: there is no section before it"));
        };
        let Some(at) = trimmed.find(['=', ':']) else {
            return Err(format!("line {number}: neither a section nor key = value"));
        };
        let key = trimmed[..at].trim().to_lowercase();
        let value = trimmed[at + 1..].trim().to_owned();
        if key.is_empty() {
            return Err(format!("line {number}: a value without a key"));
        }
        if values.insert(key.clone(), value).is_some() {
            return Err(format!("line {number}: {key} is there twice"));
        }
        open = Some((key, indent));
    }
    Ok(sections
        .into_iter()
        .find(|(name, _)| name == SECTION)
        .map(|(_, values)| values))
}

/// What the keys and values of the section in the file at `path` mean.
///
/// # Errors
/// The first value that cannot be read.
pub fn read(values: &BTreeMap<String, String>, path: &Path) -> Result<Config, BadValue> {
    let bad = |key, value: &str, reason: String| BadValue {
        path: path.to_owned(),
        key,
        value: value.to_owned(),
        reason,
    };
    let seconds = |key, target: &mut Duration| match values.get(key) {
        None => Ok(()),
        Some(value) => {
            *target = value
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| bad(key, value, "write seconds, such as 3 or 0.5".to_owned()))?;
            Ok(())
        }
    };
    let sequence = |key| {
        values
            .get(key)
            .map(|value| {
                value
                    .parse::<ResetSequence>()
                    .map_err(|error| bad(key, value, error.to_string()))
            })
            .transpose()
    };
    let mut config = Config::default();
    let timeouts = &mut config.timeouts;
    seconds("timeout", &mut timeouts.command)?;
    seconds("sync_timeout", &mut timeouts.sync)?;
    seconds("mem_end_rom_timeout", &mut timeouts.mem_end)?;
    seconds("chip_erase_timeout", &mut timeouts.chip_erase)?;
    seconds("erase_region_timeout_per_mb", &mut timeouts.erase_per_mb)?;
    seconds(
        "erase_write_timeout_per_mb",
        &mut timeouts.erase_write_per_mb,
    )?;
    seconds("md5_timeout_per_mb", &mut timeouts.md5_per_mb)?;
    timeouts.max = timeouts.chip_erase.saturating_mul(2);
    seconds("max_timeout", &mut timeouts.max)?;
    let mut unused = Duration::ZERO;
    seconds("serial_write_timeout", &mut unused)?;
    if values.contains_key("reset_delay") {
        let mut delay = Duration::ZERO;
        seconds("reset_delay", &mut delay)?;
        config.reset_delay = Some(delay);
    }
    if let Some(value) = values.get("connect_attempts") {
        config.connect_attempts = Some(value.parse().map_err(|_| {
            bad(
                "connect_attempts",
                value,
                "write a number; 0 means without end".to_owned(),
            )
        })?);
    }
    if let Some(value) = values.get("open_port_attempts") {
        config.open_port_attempts = Some(value.parse().map_err(|_| {
            bad(
                "open_port_attempts",
                value,
                "write a number; 0 means without end".to_owned(),
            )
        })?);
    }
    if let Some(value) = values.get("write_block_attempts") {
        config.write_block_attempts =
            value
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| {
                    bad(
                        "write_block_attempts",
                        value,
                        "write a number from 1 on".to_owned(),
                    )
                })?;
    }
    config.reset = sequence("custom_reset_sequence")?;
    config.hard_reset = sequence("custom_hard_reset_sequence")?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("guru-config-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_first_file_with_the_section_wins() {
        let (first, second) = (Folder::new("first"), Folder::new("second"));
        first.file("esptool.cfg", "[other]\ntimeout = 1\n");
        first.file("tox.ini", "[esptool]\ntimeout = 2\n");
        second.file("esptool.cfg", "[esptool]\ntimeout = 3\n");
        let folders = [first.0.clone(), second.0.clone()];
        let found = search(None, &folders).unwrap();
        assert_eq!(found.config.timeouts.command, Duration::from_secs(2));
        assert_eq!(found.path, Some(first.0.join("tox.ini")));
        assert!(!found.from_environment);
        let named = second.file("mine.ini", "[esptool]\ntimeout = 4\n");
        let found = search(Some(&named), &folders).unwrap();
        assert_eq!(found.config.timeouts.command, Duration::from_secs(4));
        assert!(found.from_environment);
        // One that is not there, or has no section, does not hide the others.
        let found = search(Some(&second.0.join("none")), &folders).unwrap();
        assert_eq!(found.path, Some(first.0.join("tox.ini")));
    }

    #[test]
    fn every_key_is_read() {
        let folder = Folder::new("keys");
        folder.file(
            "esptool.cfg",
            "[esptool]\nTimeout: 4.5\nchip_erase_timeout=10\nsync_timeout=0.2\n\
             md5_timeout_per_mb=9\nerase_region_timeout_per_mb=41\nerase_write_timeout_per_mb=42\n\
             mem_end_rom_timeout=0.3\nserial_write_timeout=1\nconnect_attempts=-1\n\
             write_block_attempts=5\nreset_delay=0.7\nopen_port_attempts=2\n\
             custom_reset_sequence = D0|R1|W0.1|D1|R0\ncustom_hard_reset_sequence = R1|W0.2|R0\n\
             # a comment\nb_unknown = 1\na_unknown = 2\n",
        );
        let found = search(None, std::slice::from_ref(&folder.0)).unwrap();
        let config = found.config;
        assert_eq!(config.timeouts.command, Duration::from_secs_f64(4.5));
        assert_eq!(
            config.timeouts.max,
            Duration::from_secs(20),
            "twice the chip erase"
        );
        assert_eq!(config.connect_attempts, Some(-1));
        assert_eq!(config.open_port_attempts, Some(2));
        assert_eq!(config.write_block_attempts, 5);
        assert_eq!(config.reset_delay, Some(Duration::from_millis(700)));
        assert_eq!(config.reset.unwrap().to_string(), "D0|R1|W0.1|D1|R0");
        assert_eq!(config.hard_reset.unwrap().to_string(), "R1|W0.2|R0");
        assert_eq!(found.unknown, ["a_unknown", "b_unknown"]);
    }

    #[test]
    fn a_bad_value_names_file_key_and_value() {
        for (line, part) in [
            ("timeout = soon", "seconds"),
            ("timeout = -1", "seconds"),
            ("connect_attempts = many", "number"),
            ("write_block_attempts = 0", "from 1"),
            ("custom_reset_sequence = D0|Q1", "Q1"),
        ] {
            let folder = Folder::new("bad");
            let path = folder.file("esptool.cfg", &format!("[esptool]\n{line}\n"));
            let error = search(None, std::slice::from_ref(&folder.0))
                .unwrap_err()
                .to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert!(error.contains(line), "{error}");
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_ini_file_is_passed_over_and_told() {
        let folder = Folder::new("invalid");
        folder.file("esptool.cfg", "nonsense\n");
        fs::write(folder.0.join("setup.cfg"), b"[esptool]\n\xff\xfe").unwrap();
        folder.file("tox.ini", "[esptool]\n");
        let found = search(None, std::slice::from_ref(&folder.0)).unwrap();
        assert_eq!(found.invalid.len(), 2);
        assert_eq!(found.path, Some(folder.0.join("tox.ini")));
    }

    #[test]
    fn values_go_on_in_indented_lines_and_sections_end() {
        let values = section("[a]\nx=1\n[esptool]\nkey = one\n  two\n\nother: 3\n[b]\ny=2\n");
        let values = values.unwrap().unwrap();
        assert_eq!(values["key"], "one\ntwo");
        assert_eq!(values["other"], "3");
        assert_eq!(values.len(), 2);
        assert!(section("[esptool\n").is_err());
        assert!(section("[esptool]\na=1\nA=2\n").is_err());
        assert_eq!(section("[a]\nx=1\n"), Ok(None));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\PC|[\\[\\]=: \n#;a]){0,80}") {
            let _ = section(&text);
        }
    }
}
