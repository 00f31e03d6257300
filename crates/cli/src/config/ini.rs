//! `esptool.cfg` and what it may be called instead: INI files as Python's `configparser` reads them,
//! so that files which users have already mean the same here.

use std::path::{Path, PathBuf};

use super::{Entry, Loaded, Source, setting};
use crate::ui::{Message, UnknownKey};

/// Section that is read.
const SECTION: &str = "esptool";

/// Section whose keys every other section has as well.
const DEFAULTS: &str = "DEFAULT";

/// Files that are looked for in each folder, first one first.
const FILES: [&str; 3] = ["esptool.cfg", "setup.cfg", "tox.ini"];

/// Where files are looked for.
#[derive(Debug, Default)]
pub struct Places {
    /// The file that `ESPTOOL_CFGFILE` names.
    pub named: Option<PathBuf>,
    /// The working directory, the user's folder for configuration, the home directory.
    pub folders: Vec<PathBuf>,
}

impl Places {
    /// Those that the environment gives.
    pub fn of_user() -> Self {
        let home = std::env::home_dir();
        let mut folders = vec![std::env::current_dir().unwrap_or_default()];
        if let Some(home) = home {
            folders.push(if cfg!(windows) {
                home.join("AppData").join("Local").join(SECTION)
            } else {
                home.join(".config").join(SECTION)
            });
            folders.push(home);
        }
        Self {
            named: std::env::var_os("ESPTOOL_CFGFILE")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            folders,
        }
    }
}

/// Reads the named file, or the first one of the known names in the folders that has the section.
pub fn load(places: &Places, loaded: &mut Loaded) {
    let named = places.named.iter().map(|path| (path.clone(), true));
    let known = places
        .folders
        .iter()
        .flat_map(|folder| FILES.iter().map(move |name| (folder.join(name), false)));
    for (path, from_environment) in named.chain(known) {
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let section = String::from_utf8(bytes)
            .map_err(|_| "it is not UTF-8".to_owned())
            .and_then(|text| section(&text));
        match section {
            Err(reason) => loaded
                .remarks
                .push(Message::InvalidConfiguration { path, reason }),
            Ok(None) => {}
            Ok(Some(entries)) => {
                let path = std::path::absolute(&path).unwrap_or(path);
                take(entries, &path, loaded);
                loaded.remarks.push(Message::Configuration {
                    path,
                    from_environment,
                });
                return;
            }
        }
    }
}

/// Takes what the section of a file says.
pub fn take(entries: Vec<Entry>, path: &Path, loaded: &mut Loaded) {
    let mut unknown = Vec::new();
    for entry in entries {
        let source = Source::file(path, entry.line);
        match setting::by_cfg(&entry.key) {
            Some(setting) => loaded.set(setting, &entry, source),
            None => unknown.push(UnknownKey {
                key: entry.key,
                line: entry.line,
                meant: None,
            }),
        }
    }
    if !unknown.is_empty() {
        unknown.sort_by(|a, b| a.key.cmp(&b.key));
        loaded.remarks.push(Message::UnknownKeys {
            path: path.to_owned(),
            keys: unknown,
        });
    }
}

/// The keys and values of `[esptool]`; `None` without the section.
///
/// # Errors
/// What is wrong with the file.
pub fn section(text: &str) -> Result<Option<Vec<Entry>>, String> {
    let mut sections: Vec<(String, Vec<Entry>)> = Vec::new();
    let mut current: Option<usize> = None;
    // Indentation of the key whose value indented lines go on with.
    let mut open: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let entries = current.and_then(|at| sections.get_mut(at));
        if open.is_some_and(|key_indent| indent > key_indent)
            && let Some(value) = entries
                .and_then(|(_, entries)| entries.last_mut())
                .and_then(|entry| entry.values.last_mut())
        {
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        if let Some(header) = trimmed.strip_prefix('[') {
            let Some((name, _)) = header.rsplit_once(']') else {
                return Err(format!("line {number}: a section name needs a closing ']'"));
            };
            current = sections.iter().position(|(other, _)| other == name);
            if current.is_some() && name != DEFAULTS {
                return Err(format!("line {number}: section [{name}] is there twice"));
            }
            if current.is_none() {
                current = Some(sections.len());
                sections.push((name.to_owned(), Vec::new()));
            }
            open = None;
            continue;
        }
        let Some((_, entries)) = current.and_then(|at| sections.get_mut(at)) else {
            return Err(format!("line {number}: there is no section before it"));
        };
        let Some((key, value)) = trimmed.split_once(['=', ':']) else {
            return Err(format!("line {number}: neither a section nor key = value"));
        };
        let key = key.trim().to_lowercase();
        if key.is_empty() {
            return Err(format!("line {number}: a value without a key"));
        }
        if entries.iter().any(|entry| entry.key == key) {
            return Err(format!("line {number}: {key} is there twice"));
        }
        entries.push(Entry {
            key,
            values: vec![value.trim().to_owned()],
            line: number,
        });
        open = Some(indent);
    }
    let mut named = |name: &str| {
        let at = sections.iter().position(|(other, _)| other == name)?;
        Some(std::mem::take(&mut sections.get_mut(at)?.1))
    };
    let Some(mut entries) = named(SECTION) else {
        return Ok(None);
    };
    for default in named(DEFAULTS).unwrap_or_default() {
        if !entries.iter().any(|entry| entry.key == default.key) {
            entries.push(default);
        }
    }
    Ok(Some(entries))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::tests::Folder;

    fn search(named: Option<&Path>, folders: &[&Folder]) -> Loaded {
        let mut loaded = Loaded::default();
        let places = Places {
            named: named.map(Path::to_owned),
            folders: folders.iter().map(|folder| folder.0.clone()).collect(),
        };
        load(&places, &mut loaded);
        loaded
    }

    /// The file that was used, and whether the environment named it.
    fn used(loaded: &Loaded) -> Option<(PathBuf, bool)> {
        loaded.remarks.iter().find_map(|remark| match remark {
            Message::Configuration {
                path,
                from_environment,
            } => Some((path.clone(), *from_environment)),
            _ => None,
        })
    }

    #[test]
    fn the_first_file_with_the_section_wins() {
        let (first, second) = (Folder::new("first"), Folder::new("second"));
        first.file("esptool.cfg", "[other]\ntimeout = 1\n");
        first.file("tox.ini", "[esptool]\ntimeout = 2\n");
        second.file("esptool.cfg", "[esptool]\ntimeout = 3\n");
        let folders = [&first, &second];
        let found = search(None, &folders);
        assert_eq!(found.config.timeouts().command, Duration::from_secs(2));
        assert_eq!(used(&found), Some((first.0.join("tox.ini"), false)));
        let named = second.file("mine.ini", "[esptool]\ntimeout = 4\n");
        let found = search(Some(&named), &folders);
        assert_eq!(found.config.timeouts().command, Duration::from_secs(4));
        assert_eq!(used(&found), Some((named, true)));
        // One that is not there, or has no section, does not hide the others.
        let found = search(Some(&second.0.join("none")), &folders);
        assert_eq!(used(&found), Some((first.0.join("tox.ini"), false)));
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
        let found = search(None, &[&folder]);
        assert!(found.bad.is_empty(), "{:?}", found.bad);
        let config = found.config;
        let timeouts = config.timeouts();
        assert_eq!(timeouts.command, Duration::from_secs_f64(4.5));
        assert_eq!(timeouts.sync, Duration::from_millis(200));
        assert_eq!(timeouts.mem_end, Duration::from_millis(300));
        assert_eq!(timeouts.chip_erase, Duration::from_secs(10));
        assert_eq!(timeouts.erase_per_mb, Duration::from_secs(41));
        assert_eq!(timeouts.erase_write_per_mb, Duration::from_secs(42));
        assert_eq!(timeouts.md5_per_mb, Duration::from_secs(9));
        assert_eq!(timeouts.max, Duration::from_secs(20), "twice the erase");
        assert_eq!(config.serial_write_timeout, Duration::from_secs(1));
        assert_eq!(config.open_port_attempts, 2);
        assert_eq!(config.write_block_attempts, 5);
        assert_eq!(config.reset_delay, Some(Duration::from_millis(700)));
        assert_eq!(config.reset.unwrap().to_string(), "D0|R1|W0.1|D1|R0");
        assert_eq!(config.hard_reset.unwrap().to_string(), "R1|W0.2|R0");
        let attempts = &found.origins["connect-attempts"];
        assert_eq!(attempts.values, ["-1"]);
        assert_eq!(
            attempts.source,
            Source::file(&folder.0.join("esptool.cfg"), 10)
        );
        let Message::UnknownKeys { keys, .. } = &found.remarks[0] else {
            panic!("{:?}", found.remarks);
        };
        let keys: Vec<_> = keys.iter().map(|key| (&*key.key, key.line)).collect();
        assert_eq!(keys, [("a_unknown", 18), ("b_unknown", 17)]);
    }

    #[test]
    fn a_bad_value_names_file_line_key_and_value() {
        for (line, part) in [
            ("timeout = soon", "seconds"),
            ("timeout = -1", "seconds"),
            ("connect_attempts = many", "number"),
            ("open_port_attempts = many", "number"),
            ("write_block_attempts = 0", "from 1"),
            ("custom_reset_sequence = D0|Q1", "Q1"),
        ] {
            let folder = Folder::new("bad");
            let path = folder.file("esptool.cfg", &format!("[esptool]\n{line}\n"));
            let error = search(None, &[&folder]).bad[0].to_string();
            assert!(
                error.contains(&format!("{}:2: ", path.display())),
                "{error}"
            );
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
        let found = search(None, &[&folder]);
        let invalid = |remark: &&Message| matches!(remark, Message::InvalidConfiguration { .. });
        assert_eq!(found.remarks.iter().filter(invalid).count(), 2);
        assert_eq!(used(&found), Some((folder.0.join("tox.ini"), false)));
    }

    #[test]
    fn values_go_on_in_indented_lines_and_sections_end() {
        let text = "[a]\nx=1\n[esptool]\nkey = one\n  two\n\nother: 3\n[b]\ny=2\n";
        let entries = section(text).unwrap().unwrap();
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| (&*entry.key, &*entry.values[0], entry.line))
            .collect();
        assert_eq!(entries, [("key", "one\ntwo", 4), ("other", "3", 7)]);
        assert!(section("[esptool\n").is_err());
        assert!(section("[esptool]\na=1\nA=2\n").is_err());
        assert!(section("[esptool]\n[esptool]\n").is_err());
        assert!(section("[a]\nx=1\n").unwrap().is_none());
    }

    #[test]
    fn keys_of_the_default_section_count_unless_the_section_has_them() {
        let text = "[DEFAULT]\na=1\nb=2\n[esptool]\nb=3\n[DEFAULT]\nc=4\n";
        let entries = section(text).unwrap().unwrap();
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| (&*entry.key, &*entry.values[0]))
            .collect();
        assert_eq!(entries, [("b", "3"), ("a", "1"), ("c", "4")]);
        assert!(section("[DEFAULT]\na=1\n").unwrap().is_none());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\PC|[\\[\\]=: \n#;a]){0,80}") {
            let _ = section(&text);
        }
    }
}
