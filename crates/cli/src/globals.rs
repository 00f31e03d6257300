//! Options that every command takes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use guru_chip::Chip;
use guru_link::ports::PortFilter;
use guru_loader::{After, Before, VddSdio};

use crate::stubs::StubChoice;
use crate::ui::Verbosity;

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection and output")]
pub struct Globals {
    /// Chip that must be there: auto, esp8266, esp32, esp32s2, esp32c3, ...
    #[arg(
        short,
        long,
        global = true,
        env = "ESPTOOL_CHIP",
        default_value = "auto",
        hide_env_values = true
    )]
    pub chip: ChipArg,

    /// Port: a serial port, rfc2217://HOST:PORT, socket://HOST:PORT, hwgrep://PATTERN or sim://CHIP;
    /// all serial ports are tried without it
    #[arg(
        short,
        long,
        global = true,
        env = "ESPTOOL_PORT",
        hide_env_values = true
    )]
    pub port: Vec<String>,

    /// Baud rate; the highest that the adapter is safe at without it
    #[arg(short, long, global = true, env = "ESPTOOL_BAUD", hide_env_values = true, value_parser = baud)]
    pub baud: Option<u32>,

    /// Only ports like this: vid=NUMBER, pid=NUMBER, name=TEXT or serial=TEXT; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub port_filter: Vec<PortFilter>,

    /// Take the ports from a file in place of the system's: one a line, then USB ids as 303a:1001 and
    /// a serial number if it has them. --all and --loop read it again and again
    #[arg(
        long,
        global = true,
        env = "GURU_PORT_LIST",
        hide_env_values = true,
        value_name = "FILE"
    )]
    pub port_list: Option<PathBuf>,

    /// How the chip is brought into its loader
    #[arg(
        long,
        global = true,
        env = "ESPTOOL_BEFORE",
        default_value = "default-reset",
        hide_env_values = true
    )]
    pub before: BeforeArg,

    /// How the chip is left
    #[arg(
        short,
        long,
        global = true,
        env = "ESPTOOL_AFTER",
        default_value = "hard-reset",
        hide_env_values = true
    )]
    pub after: AfterArg,

    /// Flasher stub, a program in the chip's RAM that does the work where that pays
    #[arg(long, global = true, value_name = "WHICH", default_value = "guru")]
    pub stub: StubChoice,

    /// Folder of flasher stubs, in place of those that are built in or found
    #[arg(long, global = true, value_name = "DIR")]
    pub stub_dir: Option<PathBuf>,

    /// Use the ROM loader alone, as with --stub none
    #[arg(long, global = true, conflicts_with = "stub_dir")]
    pub no_stub: bool,

    /// Attempts at reaching the chip; 0 or less: without end
    #[arg(
        long,
        global = true,
        env = "ESPTOOL_CONNECT_ATTEMPTS",
        hide_env_values = true,
        value_name = "COUNT",
        default_value = "7",
        allow_hyphen_values = true,
        value_parser = attempts
    )]
    pub connect_attempts: i64,

    /// Voltage of the ESP32's flash regulator, in place of what eFuse and strapping say
    #[arg(long, global = true, value_name = "VOLTAGE")]
    pub override_vddsdio: Option<VddSdioArg>,

    /// Show every packet on standard error
    #[arg(short, long, global = true)]
    pub trace: bool,

    /// Record the session in a file that tests can replay
    #[arg(long, global = true, value_name = "FILE")]
    pub trace_file: Option<PathBuf>,

    /// Tell everything
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,

    /// Tell only results and errors
    #[arg(short, long, global = true, alias = "silent", conflicts_with = "trace")]
    pub quiet: bool,

    /// Text for people, or one JSON object a line with the result last
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

impl Globals {
    /// Whether a flasher stub is to do the work.
    pub fn uses_stub(&self) -> bool {
        !self.no_stub && self.stub != StubChoice::None
    }

    /// How much is told.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Text,
    /// One JSON object a line, the result last.
    Json,
}

/// `--chip`.
#[derive(Debug, Clone, Copy)]
pub enum ChipArg {
    /// Find out.
    Auto,
    /// This one must be there.
    Named(&'static Chip),
}

impl ChipArg {
    /// The chip that was named.
    pub fn named(self) -> Option<&'static Chip> {
        match self {
            Self::Auto => None,
            Self::Named(chip) => Some(chip),
        }
    }
}

impl FromStr for ChipArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        if let Some(chip) = guru_chip::by_id(text) {
            return Ok(Self::Named(chip));
        }
        let here = guru_chip::CHIPS.iter().map(|chip| chip.id);
        let here = ["auto"]
            .into_iter()
            .chain(here)
            .collect::<Vec<_>>()
            .join(", ");
        Err(match guru_chip::known_name(text) {
            Some(known) if known.dropped => {
                format!(
                    "{} is an early sample that is no longer supported",
                    known.name
                )
            }
            _ => format!("'{text}' is no chip; there are {here}"),
        })
    }
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident => $target:ty { $($text:literal => $value:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub $target);

        impl ValueEnum for $name {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self($value)),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                $(if self.0 == $value {
                    // Underscores are how older build systems write it.
                    return Some(PossibleValue::new($text).alias($text.replace('-', "_")));
                })+
                None
            }
        }
    };
}

choices! {
    /// `--before`.
    BeforeArg => Before {
        "default-reset" => Before::DefaultReset,
        "usb-reset" => Before::UsbReset,
        "no-reset" => Before::NoReset,
        "no-reset-no-sync" => Before::NoResetNoSync,
    }
}

choices! {
    /// `--after`.
    AfterArg => After {
        "hard-reset" => After::HardReset,
        "soft-reset" => After::SoftReset,
        "no-reset" => After::NoReset,
        "no-reset-stub" => After::NoResetStub,
        "watchdog-reset" => After::WatchdogReset,
        "hold-in-reset" => After::HoldInReset,
    }
}

choices! {
    /// `--override-vddsdio`.
    VddSdioArg => VddSdio {
        "1.8V" => VddSdio::V1_8,
        "1.9V" => VddSdio::V1_9,
        "OFF" => VddSdio::Off,
    }
}

/// Reads a baud rate.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn baud(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|baud| (300..=20_000_000).contains(baud))
        .ok_or_else(|| format!("'{text}' is no baud rate; write a number such as 115200 or 921600"))
}

fn attempts(text: &str) -> Result<i64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("'{text}' is not a number; write one, 0 for no end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_are_named_in_any_case_and_with_hyphens() {
        for name in ["esp32c3", "ESP32-C3", "Esp32_c3"] {
            let chip = name.parse::<ChipArg>().unwrap().named().unwrap();
            assert_eq!(chip.id, "esp32c3");
        }
        assert!("auto".parse::<ChipArg>().unwrap().named().is_none());
        let error = "esp99".parse::<ChipArg>().unwrap_err();
        assert!(
            error.contains("'esp99'") && error.contains("esp32c3"),
            "{error}"
        );
        assert!(
            "esp32-h2-beta2"
                .parse::<ChipArg>()
                .unwrap_err()
                .contains("no longer supported")
        );
    }

    #[test]
    fn a_baud_rate_is_a_plausible_number() {
        assert_eq!(baud("115200"), Ok(115_200));
        for text in ["", "x", "-1", "0", "99999999", "4294967297"] {
            assert!(baud(text).unwrap_err().contains("921600"), "{text}");
        }
    }
}
