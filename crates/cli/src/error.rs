//! What can go wrong, which kind it is, and the exit code that follows from it.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use guru_image::{
    BuildError, ElfError, FirmwareError, ImageError, InfoError, MergeError, Place, RamError,
    SplitError,
};
use guru_link::LinkError;
use guru_loader::{Error as LoaderError, ErrorKind};
use guru_project::ProjectError;
use guru_sim::{OptionsError, ServeError};
use guru_size::{MapError, SizeError};
use guru_store::TableError;
use serde::Serialize;
use thiserror::Error;

use crate::config::ConfigError;

/// Exit codes. `docs/exit-codes.md` says what they mean.
pub mod exit {
    /// Everything was done.
    pub const SUCCESS: u8 = 0;
    /// The port failed while it was in use, output could not be stored, or something unexpected.
    pub const FAILURE: u8 = 1;
    /// Wrong input, a port that cannot be opened, a chip that does not answer or refuses.
    pub const REFUSED: u8 = 2;
    /// The contents of the flash are not what they should be.
    pub const DIFFERENT: u8 = 3;
    /// A security feature, or what the chip and its mode can do, forbids it.
    pub const FORBIDDEN: u8 = 4;
    /// Of several boards some failed: this much and their number, up to 25. Shells use 126 and more
    /// for themselves.
    pub const BOARDS: u8 = 100;
    /// Stopped by Ctrl-C.
    pub const INTERRUPTED: u8 = 130;
}

/// Why the program stops before its work is done.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line says something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// A file that is to be written or compared.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// A file that is no ELF file of a program, or a damaged one.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// An ELF file of which no image can be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A program that cannot be flashed, or what is beside it.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A program of whose size nothing can be said.
    #[error(transparent)]
    Size(SizeError),
    /// What is wrong with the value of an option.
    #[error("{option}: {error}")]
    InOption {
        /// The option.
        option: &'static str,
        /// What is wrong.
        error: Box<Error>,
    },
    /// A program for RAM.
    #[error(transparent)]
    Ram(RamError),
    /// A file that should be a firmware image.
    #[error("'{}' is no firmware image", file.display())]
    NoImage {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: Arc<InfoError>,
    },
    /// Files that cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A partition table among flash contents that is wrong.
    #[error("the partition table in '{file}' at 0x{offset:x} is wrong")]
    TableWithin {
        /// The file.
        file: String,
        /// Where in it the table begins.
        offset: u32,
        /// What is wrong.
        source: TableError,
    },
    /// Flash contents without a partition table.
    #[error("'{}' has no partition table{}", file.display(), at(*given))]
    NoTable {
        /// The file.
        file: PathBuf,
        /// The only flash address where it was looked for.
        given: Option<u32>,
    },
    /// Flash contents that cannot be taken apart.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// What is to be done depends on the chip, and none is asked.
    #[error("this depends on the chip, which must be named with --chip")]
    NoChip,
    /// A file of arguments cannot be read.
    #[error("the arguments in '{file}' cannot be read")]
    Arguments {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A program did not print what was waited for.
    #[error("'{text}' was not printed within {seconds} s")]
    NotPrinted {
        /// What was waited for.
        text: String,
        /// For how long.
        seconds: f64,
    },
    /// The last word of a list of addresses and files has no partner.
    #[error(
        "'{word}' has no partner; write pairs of an address and a file: 0x0 boot.bin 0x10000 app.bin"
    )]
    NoPartner {
        /// The word.
        word: String,
    },
    /// What stands before a file is no address.
    #[error("{reason} (an address stands before each file: 0x10000 app.bin)")]
    BadAddress {
        /// The word.
        word: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is to be erased is not made of whole sectors.
    #[error("the {what} 0x{value:x} is not a multiple of 0x1000, the size of a sector; {} would be", nearest(*value))]
    Unaligned {
        /// `address` or `size`.
        what: &'static str,
        /// Its value.
        value: u32,
    },
    /// More bytes of SFDP than are shown at once, or none.
    #[error("{length} bytes cannot be shown at once; 1 to {most} can")]
    SfdpLength {
        /// Bytes asked for.
        length: u32,
        /// The most that there can be.
        most: u32,
    },
    /// Two files touch the same sector of flash.
    #[error(
        "'{file}' at 0x{address:x} overlaps '{other}', which takes the sectors up to 0x{other_end:x}"
    )]
    Overlap {
        /// Where the second one begins.
        address: u32,
        /// Name of the second one.
        file: String,
        /// Name of the first one.
        other: String,
        /// First byte behind the first one's last sector.
        other_end: u64,
    },
    /// What is configured.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The session with the chip.
    #[error(transparent)]
    Session(#[from] LoaderError),
    /// No port was named, and none has a chip that answers.
    #[error("{}", no_port(*.tried, filter, there))]
    NoPort {
        /// Ports that were tried.
        tried: usize,
        /// What --port-filter says; empty: nothing.
        filter: String,
        /// The ports that there are, with what filters look at; looked up when none was tried.
        there: Vec<String>,
    },
    /// Some of several boards failed.
    #[error("{} of {boards} boards failed: {}", failed.len(), failed.join(", "))]
    Boards {
        /// Their ports.
        failed: Vec<String>,
        /// Boards in all.
        boards: usize,
    },
    /// A file is no valid partition table.
    #[error("'{file}': {error}")]
    Table {
        /// The file.
        file: String,
        /// What is wrong, and where.
        error: TableError,
    },
    /// A list of ports cannot be read.
    #[error("cannot read the list of ports '{}'", path.display())]
    PortList {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read '{}'", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An ELF file that is not of the firmware that printed a log.
    #[error("'{file}' is not the ELF file of the firmware that printed this")]
    OtherElf {
        /// The file.
        file: String,
    },
    /// A file cannot be made or written.
    #[error("cannot write '{}'", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The simulator cannot be started.
    #[error(transparent)]
    Simulator(#[from] OptionsError),
    /// A simulated chip cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The user asked to stop.
    #[error("interrupted{}", if state.is_empty() { String::new() } else { format!(": {state}") })]
    Interrupted {
        /// In what state the chip was left; empty when it was not reached yet.
        state: String,
    },
    /// Something that should not happen.
    #[error("{what}")]
    Unexpected {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

fn at(offset: Option<u32>) -> String {
    offset
        .map(|offset| format!(" for flash address 0x{offset:x}"))
        .unwrap_or_default()
}

/// Multiples of a sector beside a value.
fn nearest(value: u32) -> String {
    let below = value & !0xFFF;
    match below.checked_add(0x1000) {
        Some(above) => format!("0x{below:x} or 0x{above:x}"),
        None => format!("0x{below:x}"),
    }
}

/// The ports there are, for one who named another.
fn there_are() -> String {
    let ports: Vec<_> = guru_link::ports::list()
        .into_iter()
        .map(|port| port.path)
        .collect();
    match ports.is_empty() {
        true => "there is no serial port; sim://esp32c3 is a simulated chip".to_owned(),
        false => format!("there are {}", ports.join(", ")),
    }
}

fn no_port(tried: usize, filter: &str, there: &[String]) -> String {
    let those = match filter.is_empty() {
        true => String::new(),
        false => format!(" that --port-filter {filter} lets through"),
    };
    match (tried, there.len()) {
        (0, 0) => "there is no serial port".to_owned(),
        (0, 1) => format!("--port-filter {filter} does not let the only serial port through"),
        (0, count) => {
            format!("--port-filter {filter} lets none of the {count} serial ports through")
        }
        (1, _) => format!("no chip answers on the only serial port{those}"),
        (count, _) => format!("no chip answers on any of the {count} serial ports{those}"),
    }
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The request itself is wrong.
    Usage,
    /// The port cannot be opened.
    Port,
    /// The port failed while it was in use.
    Link,
    /// No chip answers, or another one than was named.
    Connect,
    /// The chip refused or stopped answering.
    Device,
    /// The contents are not what they should be.
    Verify,
    /// A security feature or the chip's mode forbids it.
    Forbidden,
    /// A file cannot be read, or cannot be made.
    File,
    /// What was read cannot be stored.
    Output,
    /// The user asked to stop.
    Interrupted,
    /// Some of several boards failed.
    Boards,
    /// Something that should not happen.
    Unexpected,
}

impl Kind {
    /// The exit code of the program `guru`; [`Error::exit_code`] adds the number of boards.
    fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Port | Self::Connect | Self::Device | Self::File => exit::REFUSED,
            Self::Link | Self::Output | Self::Unexpected => exit::FAILURE,
            Self::Verify => exit::DIFFERENT,
            Self::Forbidden => exit::FORBIDDEN,
            Self::Boards => exit::BOARDS,
            Self::Interrupted => exit::INTERRUPTED,
        }
    }

    /// The exit code under an old name, where only 0, 1 and 2 are known.
    pub fn old_exit_code(self) -> u8 {
        match self.exit_code() {
            exit::FAILURE => exit::FAILURE,
            _ => exit::REFUSED,
        }
    }
}

impl Error {
    /// The same, for the value of an option.
    pub fn in_option(self, option: &'static str) -> Self {
        Self::InOption {
            option,
            error: Box::new(self),
        }
    }

    /// The same, for those who work with a device.
    pub fn in_session(self) -> LoaderError {
        match self {
            Self::Session(error) => error,
            error => {
                let causes = error.causes().into_iter().map(|cause| format!(": {cause}"));
                LoaderError::BadRequest(format!("{error}{}", causes.collect::<String>()))
            }
        }
    }

    /// The exit code of the program `guru`.
    pub fn exit_code(&self) -> u8 {
        let code = self.kind().exit_code();
        match self {
            Self::Boards { failed, .. } => code + failed.len().clamp(1, 25) as u8,
            _ => code,
        }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::InOption { error, .. } => error.kind(),
            Self::Usage(_)
            | Self::NoPartner { .. }
            | Self::BadAddress { .. }
            | Self::Unaligned { .. }
            | Self::Overlap { .. }
            | Self::SfdpLength { .. }
            | Self::Table { .. }
            | Self::Config(_)
            | Self::Ram(_)
            | Self::NoChip
            | Self::TableWithin { .. }
            | Self::NoTable { .. }
            | Self::Size(_)
            | Self::Simulator(_) => Kind::Usage,
            Self::Elf(ElfError::Read(_)) | Self::Build(BuildError::Read(_)) => Kind::File,
            Self::Elf(_) | Self::Build(_) => Kind::Usage,
            Self::Project(ProjectError::Read { .. } | ProjectError::Contents(_)) => Kind::File,
            Self::Project(_) => Kind::Usage,
            Self::NoImage { source, .. } => match **source {
                InfoError::Image(ImageError::Read(_)) => Kind::File,
                _ => Kind::Usage,
            },
            Self::Split(SplitError::Read(_)) => Kind::File,
            Self::Split(_) => Kind::Usage,
            Self::Merge(MergeError::Read(_)) => Kind::File,
            Self::Merge(MergeError::Write(_)) => Kind::Output,
            Self::Merge(_) => Kind::Usage,
            Self::Arguments { .. } => Kind::File,
            Self::NotPrinted { .. } => Kind::Verify,
            Self::Serve(ServeError::Listen(..)) => Kind::Port,
            Self::Serve(_) => Kind::Usage,
            Self::Firmware(FirmwareError::Read(_)) | Self::Output { .. } => Kind::File,
            Self::Firmware(_) => Kind::Usage,
            Self::NoPort { .. } => Kind::Connect,
            Self::Boards { .. } => Kind::Boards,
            Self::PortList { .. } | Self::Input { .. } => Kind::File,
            Self::OtherElf { .. } => Kind::Verify,
            Self::Interrupted { .. } => Kind::Interrupted,
            Self::Unexpected { .. } => Kind::Unexpected,
            Self::Session(LoaderError::Link(LinkError::Lost(_) | LinkError::Io(_))) => Kind::Link,
            Self::Session(LoaderError::Sink(_)) => Kind::Output,
            Self::Session(error) => match error.kind() {
                ErrorKind::Usage => Kind::Usage,
                ErrorKind::Port => Kind::Port,
                ErrorKind::Connect => Kind::Connect,
                ErrorKind::Device => Kind::Device,
                ErrorKind::Verify => Kind::Verify,
                ErrorKind::Forbidden => Kind::Forbidden,
                ErrorKind::File => Kind::File,
                ErrorKind::Cancelled => Kind::Interrupted,
            },
        }
    }

    /// What lies behind it, the nearest cause first.
    pub fn causes(&self) -> Vec<String> {
        if let Self::InOption { error, .. } = self {
            return error.causes();
        }
        let mut causes = Vec::new();
        let mut shown = self.to_string();
        let mut next = self.source();
        while let Some(error) = next {
            let text = error.to_string();
            // A transparent wrapper says what it wraps.
            if text != shown {
                causes.push(text.clone());
            }
            shown = text;
            next = error.source();
        }
        causes
    }

    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        let own = match self {
            Self::InOption { error, .. } => return error.hints(),
            Self::NoPort { there, .. } if !there.is_empty() => None,
            Self::NoPort { tried: 0, .. } => {
                Some("connect a board, name a port with --port, or use --port sim://esp32c3")
            }
            Self::NoPort { .. } => {
                Some("name the port with --port; 'guru ports' lists what there is")
            }
            Self::Firmware(FirmwareError::Misplaced { place, .. }) => Some(match place {
                Place::Page(_) => "0x10000 is where most partition tables have the application",
                Place::Behind(_) => {
                    "0x10000 is where most partition tables have the application; write a \
                     bootloader and a partition table too"
                }
                Place::Start => "write it at 0x0",
            }),
            Self::NoTable { .. } => Some(
                "name its place in flash with --partition-table-offset, and with --offset that of the file's first byte",
            ),
            Self::NoChip => Some("name it as in --chip esp32c3"),
            Self::OtherElf { .. } => Some(
                "give the file of the build that was flashed; --force decodes by this one all the same",
            ),
            _ => None,
        };
        let ports = match self {
            Self::Session(LoaderError::Link(LinkError::NotFound { .. })) => Some(there_are()),
            Self::NoPort { there, .. } if !there.is_empty() => {
                Some(format!("there are {}", there.join(", ")))
            }
            _ => None,
        };
        let ids = match self {
            Self::Session(error) => [
                error.hint(),
                error.may_need_higher_rate().then_some("connect.low-rate"),
            ],
            _ => [None, None],
        };
        own.map(str::to_owned)
            .into_iter()
            .chain(ports)
            .chain(
                ids.into_iter()
                    .flatten()
                    .filter_map(guru_chip::hint)
                    .map(|hint| {
                        let mut text = format!("{} {}", hint.cause, hint.remedy);
                        if !hint.link.is_empty() {
                            text.push_str(&format!(" See {}", hint.link));
                        }
                        text
                    }),
            )
            .collect()
    }
}

impl Error {
    /// Whether the port can be talked to no more, so that the chip cannot be reset.
    pub fn ends_the_link(&self) -> bool {
        matches!(self.kind(), Kind::Link | Kind::Interrupted)
    }
}

impl From<RamError> for Error {
    fn from(error: RamError) -> Self {
        match error {
            RamError::Firmware(error) => Self::Firmware(error),
            error => Self::Ram(error),
        }
    }
}

impl From<SizeError> for Error {
    fn from(error: SizeError) -> Self {
        match error {
            SizeError::Elf(error) => Self::Elf(error),
            SizeError::Build(error) => Self::Build(error),
            SizeError::Map(MapError::Read(error)) => Self::Firmware(error.into()),
            error => Self::Size(error),
        }
    }
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        Self::Session(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_that_lets_no_port_through_is_told_with_the_ports_there_are() {
        let none = |filter: &str, there: &[&str]| Error::NoPort {
            tried: 0,
            filter: filter.to_owned(),
            there: there.iter().map(|port| (*port).to_owned()).collect(),
        };
        assert_eq!(none("", &[]).to_string(), "there is no serial port");
        let error = none("vid=0x303A", &["/dev/ttyUSB0 (10c4:ea60)", "/dev/ttyS0"]);
        assert_eq!(
            error.to_string(),
            "--port-filter vid=0x303A lets none of the 2 serial ports through"
        );
        assert_eq!(
            error.hints(),
            ["there are /dev/ttyUSB0 (10c4:ea60), /dev/ttyS0"]
        );
    }

    #[test]
    fn what_bad_input_gets_is_exit_code_2() {
        for error in [
            Error::Usage("x".into()),
            Error::NoPort {
                tried: 1,
                filter: String::new(),
                there: Vec::new(),
            },
            LinkError::NotFound { port: "p".into() }.into(),
            LinkError::Busy {
                port: "p".into(),
                holder: None,
            }
            .into(),
            LinkError::Permission {
                port: "p".into(),
                group: None,
            }
            .into(),
            LinkError::BadAddress {
                url: "p".into(),
                reason: "r".into(),
            }
            .into(),
            LoaderError::WrongChip {
                named: "ESP32",
                found: "ESP32-C3".into(),
            }
            .into(),
        ] {
            assert_eq!(error.exit_code(), exit::REFUSED, "{error:?}");
            assert_eq!(error.kind().old_exit_code(), exit::REFUSED, "{error:?}");
        }
    }

    #[test]
    fn old_names_know_only_1_and_2() {
        let lost: Error = LinkError::Lost(None).into();
        assert_eq!(lost.kind().old_exit_code(), exit::FAILURE);
        let differs: Error = LoaderError::Differs {
            failed: 1,
            files: 1,
        }
        .into();
        assert_eq!(differs.exit_code(), exit::DIFFERENT);
        assert_eq!(differs.kind().old_exit_code(), exit::REFUSED);
        let interrupted = Error::Interrupted {
            state: String::new(),
        };
        assert_eq!(interrupted.exit_code(), exit::INTERRUPTED);
        assert_eq!(interrupted.kind().old_exit_code(), exit::REFUSED);
    }

    #[test]
    fn the_exit_code_counts_boards_that_failed() {
        for (failed, code) in [(1, 101), (3, 103), (25, 125), (26, 125), (1000, 125)] {
            let error = Error::Boards {
                failed: vec!["p".to_owned(); failed],
                boards: 1000,
            };
            assert_eq!(error.exit_code(), code);
            assert_eq!(error.kind(), Kind::Boards);
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error: Error = LinkError::Lost(Some(io::Error::other("unplugged"))).into();
        assert_eq!(error.to_string(), "the connection to the port was lost");
        assert_eq!(error.causes(), ["unplugged"]);
    }
}
