//! `guru.toml`: the program's own configuration file. The nearest one counts, key by key: that of
//! the working directory, then those of the folders above it up to the home directory (or the root,
//! for who works elsewhere), then the user's own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Entry, Loaded, Source, setting};
use crate::ui::{Message, UnknownKey};

const NAME: &str = "guru.toml";

/// Paths that there may be a file at, the farthest one first, so that later ones override it.
pub fn places() -> Vec<PathBuf> {
    let home = std::env::home_dir();
    let variable = if cfg!(windows) {
        "APPDATA"
    } else {
        "XDG_CONFIG_HOME"
    };
    let user = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| {
            let folder = if cfg!(windows) {
                "AppData/Roaming"
            } else {
                ".config"
            };
            home.as_ref().map(|home| home.join(folder))
        });
    let working = std::env::current_dir().unwrap_or_default();
    in_order(user.as_deref(), &working, home.as_deref())
}

fn in_order(user: Option<&Path>, working: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let mut above: Vec<&Path> = working.ancestors().collect();
    if let Some(at) = above.iter().position(|folder| Some(*folder) == home) {
        above.truncate(at + 1);
    }
    let user = user.map(|folder| folder.join("guru").join(NAME));
    user.into_iter()
        .chain(above.into_iter().rev().map(|folder| folder.join(NAME)))
        .collect()
}

/// Reads the files that there are at these paths, later ones over earlier ones.
pub fn load(places: &[PathBuf], loaded: &mut Loaded) {
    for path in places {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                take(&text, path, loaded);
                loaded.remarks.push(Message::Configuration {
                    path: path.clone(),
                    from_environment: false,
                });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::NotADirectory => {}
            Err(source) => loaded.bad.push(ConfigError::Unreadable {
                path: path.clone(),
                source,
            }),
        }
    }
}

/// Takes what a file says.
pub fn take(text: &str, path: &Path, loaded: &mut Loaded) {
    let entries = match entries(text) {
        Ok(entries) => entries,
        Err((line, reason)) => {
            loaded.bad.push(ConfigError::Syntax {
                place: Source::file(path, line),
                reason,
            });
            return;
        }
    };
    let mut unknown = Vec::new();
    for (entry, problem) in entries {
        let source = Source::file(path, entry.line);
        match (setting::by_name(&entry.key), problem) {
            (None, _) => {
                let meant = entry.key.to_lowercase().replace('_', "-");
                unknown.push(UnknownKey {
                    meant: setting::by_name(&meant).map(|setting| setting.name),
                    key: entry.key,
                    line: entry.line,
                });
            }
            (Some(_), Some(reason)) => {
                loaded
                    .bad
                    .push(ConfigError::bad_value(source, &entry, reason.to_owned()));
            }
            (Some(setting), None) => {
                loaded.set(setting, &entry, source);
            }
        }
    }
    if !unknown.is_empty() {
        loaded.remarks.push(Message::UnknownKeys {
            path: path.to_owned(),
            keys: unknown,
        });
    }
}

/// A key, and what is wrong with the form of its value.
type Read = (Entry, Option<&'static str>);

/// The keys in a file in their order.
///
/// # Errors
/// The line in which it is no TOML, and why.
fn entries(text: &str) -> Result<Vec<Read>, (usize, String)> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (line(at), error.message().to_owned())
    })?;
    let mut entries: Vec<_> = table
        .get_ref()
        .iter()
        .map(|(key, value)| {
            let (values, problem) = match values(value) {
                Ok(values) => (values, None),
                Err(problem) => (vec!["...".to_owned()], Some(problem)),
            };
            let entry = Entry {
                key: key.get_ref().to_string(),
                values,
                line: line(key.span().start),
            };
            (entry, problem)
        })
        .collect();
    entries.sort_by_key(|(entry, _)| entry.line);
    Ok(entries)
}

/// A value as it would be written on the command line; a list is an option given several times.
fn values(value: &Spanned<DeValue>) -> Result<Vec<String>, &'static str> {
    match value.get_ref() {
        DeValue::Array(values) => values.iter().map(one).collect(),
        _ => one(value).map(|value| vec![value]),
    }
}

fn one(value: &Spanned<DeValue>) -> Result<String, &'static str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        // Hexadecimal ones become decimal.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "the number is too large"),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        _ => Err("write a text, a number, true or false, or a list of them"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::tests::Folder;

    fn read(text: &str) -> Loaded {
        crate::config::guru_toml(text, Path::new("/p/guru.toml"))
    }

    fn bad(text: &str) -> String {
        let loaded = read(text);
        assert_eq!(loaded.bad.len(), 1, "{text}: {:?}", loaded.bad);
        loaded.bad[0].to_string()
    }

    #[test]
    fn the_nearest_file_wins_key_by_key() {
        let folder = Folder::new("toml");
        let far = folder.file("far.toml", "baud = 9600\nchip = 'esp32'\ntimeout = 5\n");
        let near = folder.file("near.toml", "baud = 921600\n");
        let mut loaded = Loaded::default();
        load(
            &[folder.0.join("none.toml"), far.clone(), near.clone()],
            &mut loaded,
        );
        assert!(loaded.bad.is_empty(), "{:?}", loaded.bad);
        let origin = |name| &loaded.origins[name];
        assert_eq!(origin("baud").values, ["921600"]);
        assert_eq!(origin("baud").source, Source::file(&near, 1));
        assert_eq!(origin("chip").source, Source::file(&far, 2));
        assert_eq!(loaded.config.timeouts().command, Duration::from_secs(5));
    }

    #[test]
    fn files_are_looked_for_up_to_the_home_directory_or_the_root() {
        let order = |working: &str| -> Vec<String> {
            in_order(
                Some(Path::new("/home/me/.config")),
                Path::new(working),
                Some(Path::new("/home/me")),
            )
            .into_iter()
            .map(|path| path.display().to_string())
            .collect()
        };
        assert_eq!(
            order("/home/me/a/b"),
            [
                "/home/me/.config/guru/guru.toml",
                "/home/me/guru.toml",
                "/home/me/a/guru.toml",
                "/home/me/a/b/guru.toml",
            ]
        );
        assert_eq!(
            order("/srv"),
            [
                "/home/me/.config/guru/guru.toml",
                "/guru.toml",
                "/srv/guru.toml",
            ]
        );
    }

    #[test]
    fn values_are_those_of_the_options() {
        let loaded = read(
            "port-filter = ['vid=0x303A', 'name=usb']\nconnect-attempts = 0\nno-stub = true\n\
             flash-size = '8MB'\nreset-delay = 0.3\ncustom-reset-sequence = 'D0|W0.1'\n",
        );
        assert!(loaded.bad.is_empty(), "{:?}", loaded.bad);
        assert_eq!(
            loaded.origins["port-filter"].values,
            ["vid=0x303A", "name=usb"]
        );
        assert_eq!(loaded.config.reset_delay, Some(Duration::from_millis(300)));
        assert_eq!(loaded.origins.len(), 6);
    }

    #[test]
    fn a_mistake_names_file_line_and_what_would_be_right() {
        for (text, parts) in [
            (
                "\nbaud = 'fast'\n",
                ["/p/guru.toml:2: baud = fast: ", "115200"],
            ),
            (
                "chip = 'esp99'",
                ["/p/guru.toml:1: chip = esp99: ", "esp32c3"],
            ),
            ("before = 'x'", ["/p/guru.toml:1: before = x: ", "no-reset"]),
            ("no-stub = 1", ["/p/guru.toml:1: no-stub = 1: ", "true"]),
            (
                "timeout = 'x'",
                ["/p/guru.toml:1: timeout = x: ", "seconds"],
            ),
            ("port = {}", ["/p/guru.toml:1: port = ", "a text"]),
            (
                "timeout = [1, 2]",
                ["/p/guru.toml:1: timeout = 1, 2: ", "one"],
            ),
            ("baud = [1, 2]", ["/p/guru.toml:1: baud = 1, 2: ", ""]),
            ("port-filter = 'x=1'", [":1: port-filter = x=1: ", "vid="]),
            ("a = 1\nb = \n", ["/p/guru.toml:2: ", ""]),
            ("a = 1\na = 2\n", ["/p/guru.toml:2: ", "duplicate"]),
        ] {
            let error = bad(text);
            for part in parts {
                assert!(error.contains(part), "{text}: {error}");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_what_may_be_meant() {
        let loaded = read("\nconnect_attempts = 3\n[esptool]\ntimeout = 1\n");
        let Message::UnknownKeys { keys, .. } = &loaded.remarks[0] else {
            panic!("{:?}", loaded.remarks);
        };
        let keys: Vec<_> = keys
            .iter()
            .map(|key| (&*key.key, key.line, key.meant))
            .collect();
        assert_eq!(
            keys,
            [
                ("connect_attempts", 2, Some("connect-attempts")),
                ("esptool", 3, None)
            ]
        );
        assert!(loaded.origins.is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(\\PC|[\\[\\]=,' \n#a]){0,60}") {
            let _ = entries(&text);
        }
    }
}
