//! What is set otherwise than by the command line: by the environment, by `guru.toml`, by
//! `esptool.cfg`, each going before the next one.

mod guru_toml;
mod ini;
pub mod setting;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use guru_chip::Quirk;
use guru_link::ResetSequence;
use guru_wire::Timeouts;
use thiserror::Error;

use crate::context::Mode;
use crate::globals::Globals;
use crate::ui::Message;
use setting::{Place, SETTINGS, Setting};

/// Set to 1 where a chip's design runs in an FPGA.
const FPGA: &str = "ESPTOOL_ENV_FPGA";

/// What there is no option for.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How long answers may take, apart from `max`.
    timeouts: Timeouts,
    /// Nothing takes longer; `None`: twice the time for erasing a chip.
    max_timeout: Option<Duration>,
    /// How long a port may take to take what is written.
    pub serial_write_timeout: Duration,
    /// Attempts at opening the port and connecting through it; 0 or less: without end.
    pub open_port_attempts: i64,
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
            max_timeout: None,
            serial_write_timeout: Duration::from_secs(10),
            open_port_attempts: 1,
            write_block_attempts: 3,
            reset_delay: None,
            reset: None,
            hard_reset: None,
        }
    }
}

impl Config {
    /// How long answers may take.
    pub fn timeouts(&self) -> Timeouts {
        let twice = self.timeouts.chip_erase.saturating_mul(2);
        Timeouts {
            max: self.max_timeout.unwrap_or(twice),
            ..self.timeouts
        }
    }

    /// Sets what a key of `esptool.cfg` names.
    ///
    /// # Errors
    /// What would be right.
    fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let timeouts = &mut self.timeouts;
        match key {
            "timeout" => timeouts.command = seconds(text)?,
            "sync_timeout" => timeouts.sync = seconds(text)?,
            "mem_end_rom_timeout" => timeouts.mem_end = seconds(text)?,
            "chip_erase_timeout" => timeouts.chip_erase = seconds(text)?,
            "erase_region_timeout_per_mb" => timeouts.erase_per_mb = seconds(text)?,
            "erase_write_timeout_per_mb" => timeouts.erase_write_per_mb = seconds(text)?,
            "md5_timeout_per_mb" => timeouts.md5_per_mb = seconds(text)?,
            "max_timeout" => self.max_timeout = Some(seconds(text)?),
            "serial_write_timeout" => self.serial_write_timeout = seconds(text)?,
            "reset_delay" => self.reset_delay = Some(seconds(text)?),
            "custom_reset_sequence" => self.reset = Some(sequence(text)?),
            "custom_hard_reset_sequence" => self.hard_reset = Some(sequence(text)?),
            "open_port_attempts" => {
                self.open_port_attempts = text
                    .trim()
                    .parse()
                    .map_err(|_| "write a number; 0 means without end".to_owned())?;
            }
            "write_block_attempts" => {
                self.write_block_attempts = text
                    .parse()
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or("write a number from 1 on")?;
            }
            // The others are options.
            _ => {}
        }
        Ok(())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.trim()
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "write seconds, such as 3 or 0.5".to_owned())
}

fn sequence(text: &str) -> Result<ResetSequence, String> {
    text.parse()
        .map_err(|error: guru_link::ResetSequenceError| error.to_string())
}

/// A key and its value in a file; an option that may be repeated can have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The values.
    pub values: Vec<String>,
    /// Line of the key, from 1.
    pub line: usize,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An option.
    CommandLine,
    /// This variable.
    Environment(&'static str),
    /// A line of a file, from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
}

impl Source {
    fn file(path: &Path, line: usize) -> Self {
        Self::File {
            path: path.to_owned(),
            line,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(variable) => f.write_str(variable),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// A value as it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The value, or several.
    pub values: Vec<String>,
    /// Where it stands.
    pub source: Source,
}

/// What was set, by the names of the settings.
pub type Origins = BTreeMap<&'static str, Origin>;

/// Why what is configured cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A value is not what its key takes.
    #[error("{place}: {key} = {value}: {reason}")]
    BadValue {
        /// Where it stands.
        place: Source,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What would be right.
        reason: String,
    },
    /// The environment has a value that cannot be read.
    #[error("{variable} is '{value}'; {reason}")]
    BadVariable {
        /// The variable.
        variable: &'static str,
        /// The value.
        value: String,
        /// What would be right.
        reason: String,
    },
    /// A file is not what its name says.
    #[error("{place}: {reason}")]
    Syntax {
        /// Where it stops being so.
        place: Source,
        /// What is wrong.
        reason: String,
    },
    /// A file is there and cannot be read.
    #[error("cannot read '{}'", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ConfigError {
    fn bad_value(place: Source, entry: &Entry, reason: String) -> Self {
        Self::BadValue {
            place,
            key: entry.key.clone(),
            value: entry.values.join(", "),
            reason,
        }
    }

    /// Whether it only matters to who resets a chip or opens a port.
    pub fn can_wait(&self) -> bool {
        match self {
            Self::BadValue { key, .. } => key.ends_with("_sequence"),
            Self::BadVariable { .. } => true,
            Self::Syntax { .. } | Self::Unreadable { .. } => false,
        }
    }
}

/// What the files and the environment say.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What there is no option for.
    pub config: Config,
    /// What was set, and where.
    pub origins: Origins,
    /// What the user may want to know.
    pub remarks: Vec<Message>,
    /// What is wrong.
    pub bad: Vec<ConfigError>,
    /// Variables with values that their options do not take, which matter where an option is not
    /// given.
    bad_variables: BTreeMap<&'static str, ConfigError>,
}

/// What an `esptool.cfg` with this text says.
pub fn esptool_cfg(text: &str, path: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    if let Ok(Some(entries)) = ini::section(text) {
        ini::take(entries, path, &mut loaded);
    }
    loaded
}

/// What a `guru.toml` with this text says.
pub fn guru_toml(text: &str, path: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    guru_toml::take(text, path, &mut loaded);
    loaded
}

/// Reads the files and the environment. The predecessor knows no `guru.toml`.
pub fn load(mode: Mode) -> Loaded {
    let mut loaded = Loaded::default();
    ini::load(&ini::Places::of_user(), &mut loaded);
    if mode == Mode::Guru {
        guru_toml::load(&guru_toml::places(), &mut loaded);
    }
    for setting in &SETTINGS {
        let Some((variable, value)) = setting.variable.and_then(variable_value) else {
            continue;
        };
        match setting.option {
            Place::Nowhere => loaded.set_variable(setting, variable, value),
            Place::Everywhere => loaded.check_variable(setting, variable, value),
            Place::In(_) => {}
        }
    }
    loaded
}

fn variable_value(variable: &'static str) -> Option<(&'static str, String)> {
    let value = std::env::var_os(variable)?;
    Some((variable, text(&value)))
}

fn text(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}

impl Loaded {
    /// Sets what an entry of a file says, if it can be.
    fn set(&mut self, setting: &'static Setting, entry: &Entry, source: Source) {
        let set = match (setting.cfg, &entry.values[..]) {
            _ if setting.is_option() => setting.check(&entry.values),
            (Some(key), [value]) => self.config.set(key, value),
            _ => Err("write one value".to_owned()),
        };
        match set {
            Err(reason) => self.bad.push(ConfigError::bad_value(source, entry, reason)),
            Ok(()) => {
                let values = entry.values.clone();
                self.origins.insert(setting.name, Origin { values, source });
            }
        }
    }

    fn set_variable(&mut self, setting: &'static Setting, variable: &'static str, value: String) {
        match self.config.set(setting.cfg.unwrap_or_default(), &value) {
            Err(reason) => self.bad.push(ConfigError::BadVariable {
                variable,
                value,
                reason,
            }),
            Ok(()) => {
                let source = Source::Environment(variable);
                let values = vec![value];
                self.origins.insert(setting.name, Origin { values, source });
            }
        }
    }

    /// An option looks at its variable even when it is given before a command.
    fn check_variable(&mut self, setting: &'static Setting, variable: &'static str, value: String) {
        if let Err(reason) = setting.check(std::slice::from_ref(&value)) {
            let error = ConfigError::BadVariable {
                variable,
                value,
                reason,
            };
            self.bad_variables.insert(setting.name, error);
        }
    }

    /// Whether the variable of a setting has a value that its option does not take.
    pub fn has_bad_variable(&self, setting: &Setting) -> bool {
        self.bad_variables.contains_key(setting.name)
    }

    /// Adds what the command line and the environment said of options.
    ///
    /// # Errors
    /// A variable that counts has a value that cannot be.
    pub fn add_given(&mut self, matches: &ArgMatches) -> Result<(), ConfigError> {
        for setting in SETTINGS.iter().filter(|setting| setting.is_option()) {
            let id = setting.id();
            let given = match setting.option {
                Place::Everywhere => matches.value_source(&id) == Some(ValueSource::CommandLine),
                // Those who show settings have no such option.
                _ => false,
            };
            let variable = setting.variable.and_then(variable_value);
            if let Some(error) = self.bad_variables.remove(setting.name)
                && !given
            {
                return Err(error);
            }
            let origin = match (given, variable) {
                (true, _) => Origin {
                    values: matches
                        .get_raw(&id)
                        .map(|values| values.map(text).collect())
                        .unwrap_or_default(),
                    source: Source::CommandLine,
                },
                (false, Some((variable, value))) => Origin {
                    values: vec![value],
                    source: Source::Environment(variable),
                },
                (false, None) => continue,
            };
            self.origins.insert(setting.name, origin);
        }
        Ok(())
    }

    /// What the environment says of boards that are no chips yet, and of the named chip.
    pub fn add_fpga(&mut self, globals: &Globals) {
        let fpga = variable_value(FPGA).is_some_and(|(_, value)| value.trim() == "1");
        let chip = globals.chip.named();
        if fpga && chip.is_some_and(|chip| chip.has(Quirk::SlowFpga)) {
            self.config.reset_delay = Some(FPGA_RESET_DELAY);
            let origin = Origin {
                values: vec![FPGA_RESET_DELAY.as_secs().to_string()],
                source: Source::Environment(FPGA),
            };
            self.origins.insert("reset-delay", origin);
        }
    }
}

/// How long an FPGA with a chip's design takes until it looks at GPIO0 (esptool's documentation of
/// `ESPTOOL_ENV_FPGA`).
const FPGA_RESET_DELAY: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder that goes away with the test.
    pub struct Folder(pub PathBuf);

    impl Folder {
        pub fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("guru-config-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub fn file(&self, name: &str, text: &str) -> PathBuf {
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
    fn every_setting_without_an_option_has_an_effect() {
        for setting in SETTINGS.iter().filter(|setting| !setting.is_option()) {
            let mut config = Config::default();
            let value = match setting.name {
                name if name.ends_with("sequence") => "D0|W0.5",
                _ => "77",
            };
            config.set(setting.cfg.unwrap(), value).unwrap();
            assert_ne!(config, Config::default(), "{}", setting.name);
            let bad = config.set(setting.cfg.unwrap(), "x");
            assert!(bad.is_err(), "{}", setting.name);
        }
    }

    #[test]
    fn nothing_takes_longer_than_twice_the_erase_unless_it_is_said() {
        let mut config = Config::default();
        assert_eq!(config.timeouts(), Timeouts::default());
        config.set("chip_erase_timeout", "10").unwrap();
        assert_eq!(config.timeouts().max, Duration::from_secs(20));
        config.set("max_timeout", "15").unwrap();
        assert_eq!(config.timeouts().max, Duration::from_secs(15));
    }
}
