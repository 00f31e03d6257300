//! What can be set, and by what names.

use std::error::Error as _;

use clap::error::ContextKind;
use clap::{Arg, Args, Command};

use super::Origins;
use crate::cmd::flash::{FlashArgs, HeaderArgs};
use crate::globals::Globals;

/// Something that can be set.
#[derive(Debug)]
pub struct Setting {
    /// Name in `guru.toml`, and of the option where there is one.
    pub name: &'static str,
    /// Where its option is.
    pub option: Place,
    /// Variable of the environment.
    pub variable: Option<&'static str>,
    /// Key in `esptool.cfg`.
    pub cfg: Option<&'static str>,
    /// What it is when nothing sets it.
    pub default: Fallback,
}

/// Where the option of a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Every command has it.
    Everywhere,
    /// Some commands have it; this is one of them.
    In(&'static str),
    /// There is none.
    Nowhere,
}

/// What a setting is when nothing sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value.
    Value(&'static str),
    /// What it then means.
    Meaning(&'static str),
}

use Fallback::{Meaning, Value};
use Place::{Everywhere, In, Nowhere};

/// All of them, in the order in which they are shown.
pub static SETTINGS: [Setting; 29] = [
    option("port", "ESPTOOL_PORT", Meaning("all serial ports in turn")),
    Setting {
        variable: None,
        ..option("port-filter", "", Meaning("none"))
    },
    option("port-list", "GURU_PORT_LIST", Meaning("the system's")),
    option("chip", "ESPTOOL_CHIP", Value("auto")),
    option("baud", "ESPTOOL_BAUD", Meaning("highest safe one")),
    option("before", "ESPTOOL_BEFORE", Value("default-reset")),
    option("after", "ESPTOOL_AFTER", Value("hard-reset")),
    Setting {
        variable: None,
        ..option("stub", "", Value("guru"))
    },
    Setting {
        variable: None,
        ..option("stub-dir", "", Meaning("none"))
    },
    Setting {
        variable: None,
        ..option("no-stub", "", Value("false"))
    },
    Setting {
        variable: None,
        ..option("override-vddsdio", "", Meaning("none"))
    },
    Setting {
        cfg: Some("connect_attempts"),
        ..option("connect-attempts", "ESPTOOL_CONNECT_ATTEMPTS", Value("7"))
    },
    Setting {
        variable: Some("ESPTOOL_OPEN_PORT_ATTEMPTS"),
        ..key("open-port-attempts", "open_port_attempts", Value("1"))
    },
    key("write-block-attempts", "write_block_attempts", Value("3")),
    flash("flash-size", "ESPTOOL_FS"),
    flash("flash-mode", "ESPTOOL_FM"),
    flash("flash-freq", "ESPTOOL_FF"),
    key("timeout", "timeout", Value("3")),
    key("sync-timeout", "sync_timeout", Value("0.1")),
    key("mem-end-rom-timeout", "mem_end_rom_timeout", Value("0.2")),
    key("serial-write-timeout", "serial_write_timeout", Value("10")),
    key("chip-erase-timeout", "chip_erase_timeout", Value("120")),
    key(
        "erase-region-timeout-per-mb",
        "erase_region_timeout_per_mb",
        Value("40"),
    ),
    key(
        "erase-write-timeout-per-mb",
        "erase_write_timeout_per_mb",
        Value("40"),
    ),
    key("md5-timeout-per-mb", "md5_timeout_per_mb", Value("8")),
    key(
        "max-timeout",
        "max_timeout",
        Meaning("twice chip-erase-timeout"),
    ),
    key(
        "reset-delay",
        "reset_delay",
        Meaning("0.05 and 0.55 in turn"),
    ),
    key(
        "custom-reset-sequence",
        "custom_reset_sequence",
        Meaning("none"),
    ),
    key(
        "custom-hard-reset-sequence",
        "custom_hard_reset_sequence",
        Meaning("none"),
    ),
];

const fn option(name: &'static str, variable: &'static str, default: Fallback) -> Setting {
    Setting {
        name,
        option: Everywhere,
        variable: Some(variable),
        cfg: None,
        default,
    }
}

const fn flash(name: &'static str, variable: &'static str) -> Setting {
    Setting {
        option: In("write-flash"),
        ..option(name, variable, Value("keep"))
    }
}

const fn key(name: &'static str, cfg: &'static str, default: Fallback) -> Setting {
    Setting {
        name,
        option: Nowhere,
        variable: None,
        cfg: Some(cfg),
        default,
    }
}

/// The setting of a name in `guru.toml`.
pub fn by_name(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The setting of a key in `esptool.cfg`.
pub fn by_cfg(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.cfg == Some(key))
}

impl Setting {
    /// Whether there is an option for it.
    pub fn is_option(&self) -> bool {
        self.option != Nowhere
    }

    /// The option's id.
    pub fn id(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Whether its option takes these values.
    ///
    /// # Errors
    /// What the option would say.
    pub fn check(&self, values: &[String]) -> Result<(), String> {
        if self.is_flag() {
            return match values {
                [value] if value == "true" || value == "false" => Ok(()),
                _ => Err("write true or false".to_owned()),
            };
        }
        // The options alone: building all commands takes 20 times as long.
        let program = Command::new("guru").no_binary_name(true);
        let program = match self.option {
            Nowhere => return Ok(()),
            Everywhere => Globals::augment_args(program),
            In(_) => HeaderArgs::augment_args(FlashArgs::augment_args(program)),
        };
        // Only these values, whatever the environment says.
        let program = program.mut_args(|arg| arg.env(None::<&str>));
        let words = values
            .iter()
            .map(|value| format!("--{}={value}", self.name));
        match program.try_get_matches_from(words) {
            Ok(_) => Ok(()),
            Err(error) => Err(reason(&error)),
        }
    }

    /// Whether the predecessor knows the variable.
    pub fn is_of_predecessor(&self) -> bool {
        self.variable
            .is_some_and(|variable| variable.starts_with("ESPTOOL_"))
    }

    fn is_flag(&self) -> bool {
        matches!(self.default, Value("false"))
    }
}

/// Why an option refuses a value.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(valid) => format!("there are {valid}"),
        None => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

/// A command line whose options have what the files say for their defaults, so that the command line
/// and the environment go before. Variables for which `ignored` holds are not looked at.
pub fn with_defaults(
    mut command: Command,
    origins: &Origins,
    ignored: impl Fn(&Setting) -> bool,
) -> Command {
    for setting in SETTINGS.iter().filter(|setting| setting.is_option()) {
        let values = origins.get(setting.name).map(|origin| &origin.values);
        let ignored = ignored(setting);
        if values.is_none() && !ignored {
            continue;
        }
        command = setting.change(command, |mut arg| {
            if let Some(values) = values {
                arg = arg.default_values(values.clone());
            }
            if ignored {
                arg = arg.env(None::<&str>);
            }
            arg
        });
    }
    command
}

impl Setting {
    /// Changes its option wherever that is.
    fn change(&self, command: Command, change: impl Fn(Arg) -> Arg) -> Command {
        let id = self.id();
        if self.option == Everywhere {
            return command.mut_arg(id, change);
        }
        command.mut_subcommands(|sub| {
            let has = sub.get_arguments().any(|arg| arg.get_id() == id.as_str());
            match has {
                true => sub.mut_arg(id.clone(), &change),
                false => sub,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cmd::Cli;

    #[test]
    fn every_option_is_where_the_table_says_and_has_its_variable() {
        let program = Cli::command();
        for setting in &SETTINGS {
            let command = match setting.option {
                Everywhere => &program,
                In(name) => program.find_subcommand(name).unwrap(),
                Nowhere => continue,
            };
            let arg = command
                .get_arguments()
                .find(|arg| arg.get_id() == setting.id().as_str())
                .unwrap_or_else(|| panic!("{}", setting.name));
            assert_eq!(arg.get_long(), Some(setting.name));
            assert_eq!(
                arg.get_env().and_then(|variable| variable.to_str()),
                setting.variable,
                "{}",
                setting.name
            );
            if let (Value(value), false) = (setting.default, setting.is_flag()) {
                assert_eq!(arg.get_default_values(), [value], "{}", setting.name);
            }
        }
    }

    #[test]
    fn an_option_says_what_it_would_take() {
        let check = |name, value: &str| by_name(name).unwrap().check(&[value.to_owned()]);
        assert_eq!(check("baud", "115200"), Ok(()));
        assert!(check("baud", "fast").unwrap_err().contains("115200"));
        assert!(check("before", "now").unwrap_err().contains("usb-reset"));
        assert!(check("flash-mode", "x").unwrap_err().contains("qio"));
        assert!(check("chip", "esp99").unwrap_err().contains("esp32c3"));
        assert!(check("no-stub", "yes").unwrap_err().contains("true"));
        assert_eq!(check("connect-attempts", "-1"), Ok(()));
    }

    #[test]
    fn names_are_the_keys_of_the_predecessor_with_hyphens() {
        for setting in &SETTINGS {
            if let Some(cfg) = setting.cfg {
                assert_eq!(cfg, setting.id());
            }
        }
    }
}
