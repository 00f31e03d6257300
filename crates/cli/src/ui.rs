//! The only place that prints. What a command does and finds arrives here as values; a [`Screen`]
//! makes text, JSON, or a predecessor's text of it.

mod chip;
mod escape;
mod explain;
mod flash;
mod image;
mod image_info;
mod json;
mod out;
mod partitions;
mod size;
mod split;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use guru_image::BuildNotice;
use guru_loader::{
    Event, ExtendedMac, FlashInfo, FlashStatus, SecurityReport, Sfdp, StatusChange, WriteReport,
};
use serde::Serialize;

use crate::cmd::MergeFormat;
use crate::cmd::reset::Into;
use crate::config::Source;
use crate::error::Error;

pub use escape::escape;
pub use explain::{ExplainReport, page as explanation_page};
pub use flash::{FlashPart, FlashReport};
pub use image::ImageFile;
pub use image_info::{ImagePiece, ImageReport, MergedFile};
pub use json::Json;
pub use out::{Out, Stream};
pub use partitions::{Holds, OtaDone, OtaReport, PartitionsReport};
pub use size::{OldSize, SizeLine, SizeReport, SizeTable, Slot};
pub use split::{SplitPart, SplitReport};
pub use text::Text;

/// Writes what a command makes to standard output.
///
/// # Errors
/// Those of the system, apart from a reader that went away.
pub fn data(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Asks a question at the terminal. `None`: there is none.
pub fn confirm(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    // To standard error: what goes to standard output may be read by a program.
    Out::new(Stream::Stderr).part(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).ok()?;
    let answer = answer.trim();
    Some(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

/// Writes what a program on a chip prints to standard output, as it is. Returns whether anybody
/// still reads it.
pub(crate) fn pass_on(bytes: &[u8]) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// Shows what happens.
pub trait Screen: Send {
    /// Something happened in a session with a chip.
    fn event(&mut self, event: &Event);

    /// Something happened in the program around it.
    fn message(&mut self, message: &Message);

    /// What the command was started for is known. The chip is left afterwards.
    fn report(&mut self, report: Report);

    /// Something that a program on the chip prints. Returns whether anybody still reads it.
    fn output(&mut self, _bytes: &[u8]) -> bool {
        true
    }

    /// The program ends. Returns its exit code.
    fn end(&mut self, outcome: Result<(), &Error>) -> u8;

    /// Something happened in the session with one of several boards.
    fn board_event(&mut self, _board: &str, _event: &Event) {}

    /// Something happened around the session with one of several boards.
    fn board_message(&mut self, _board: &str, _message: &Message) {}

    /// One of several boards is done.
    fn board_ended(&mut self, _board: &BoardReport) {}
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Results and errors.
    Quiet,
    /// What a person wants to follow.
    #[default]
    Normal,
    /// Every event.
    Verbose,
}

/// What happens in the program, outside of a session.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Message {
    /// A configuration file is used.
    Configuration {
        /// The file.
        path: PathBuf,
        /// Whether the environment named it.
        from_environment: bool,
    },
    /// Keys of a configuration file that have no meaning.
    UnknownKeys {
        /// The file.
        path: PathBuf,
        /// The keys.
        keys: Vec<UnknownKey>,
    },
    /// A file that is no configuration file, although it is named like one.
    InvalidConfiguration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No port was named; these are tried in this order.
    PortsFound {
        /// Names of the ports.
        ports: Vec<String>,
    },
    /// A port is being opened.
    OpeningPort {
        /// Name of the port.
        port: String,
    },
    /// A port could not be opened; it is tried again.
    OpenFailed {
        /// Name of the port.
        port: String,
        /// Why.
        reason: String,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// A port has no chip that answers; the next one is tried.
    PortFailed {
        /// Name of the port.
        port: String,
        /// Why.
        reason: String,
    },
    /// Something about an image that is being made.
    Image {
        /// What.
        #[serde(flatten)]
        notice: BuildNotice,
    },
    /// The chip is connected; its command begins.
    Ready,
    /// Files are being merged.
    Merging {
        /// Into what.
        format: MergeFormat,
        /// How many there are.
        files: usize,
    },
    /// A file's turn to be merged.
    Adding {
        /// Its name.
        file: String,
        /// Its flash offset.
        address: u32,
    },
    /// New boards are waited for.
    WaitingForBoards,
    /// Something good to know.
    Note {
        /// What.
        text: String,
    },
    /// Something that may go wrong.
    Warning {
        /// What.
        text: String,
    },
    /// A line that a program on the chip printed (`--format json`).
    Output {
        /// The line without its end; what is no UTF-8 is replaced.
        text: String,
    },
    /// A simulated chip can be reached.
    Simulator {
        /// Its chip.
        chip: String,
        /// What to give to `--port`.
        port: String,
        /// A command to try.
        command: String,
        /// Where the flash contents are kept; `None`: in memory, so that they end with the process.
        flash: Option<PathBuf>,
    },
    /// Something happened in the simulated chip.
    SimulatorEvent {
        /// What kind of event.
        kind: &'static str,
        /// What happened.
        text: String,
    },
}

/// A key of a configuration file that has no meaning.
#[derive(Debug, Clone, Serialize)]
pub struct UnknownKey {
    /// The key.
    pub key: String,
    /// Its line, from 1.
    pub line: usize,
    /// The one that is probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meant: Option<&'static str>,
}

/// The addresses of a chip.
#[derive(Debug, Clone, Serialize)]
pub struct Addresses {
    /// The base MAC.
    pub mac: String,
    /// The longer one, where the chip has one.
    #[serde(flatten)]
    pub extended: Option<ExtendedMac>,
}

/// What a command was started for.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Report {
    /// Any command on several boards.
    Boards {
        /// Each board, in the order in which they began.
        boards: Vec<BoardReport>,
    },
    /// `chip-id`.
    ChipId {
        /// The number, where the chip has one.
        chip_id: Option<u32>,
        /// The MAC.
        #[serde(flatten)]
        mac: Addresses,
    },
    /// `dump-mem`.
    DumpMem {
        /// The file that was made; `None`: standard output.
        file: Option<PathBuf>,
        /// First byte.
        address: u32,
        /// Bytes read.
        bytes: u64,
    },
    /// `elf2image`.
    Elf2image {
        /// The chip for which it is.
        chip: &'static str,
        /// The files that were made.
        files: Vec<ImageFile>,
    },
    /// `erase-flash`.
    EraseFlash,
    /// `erase-region`.
    EraseRegion {
        /// First byte.
        address: u32,
    },
    /// `explain`.
    Explain(Box<ExplainReport>),
    /// `flash`.
    Flash(Box<FlashReport>),
    /// `flash-id`.
    FlashId(FlashInfo),
    /// `get-security-info`.
    GetSecurityInfo(Box<SecurityReport>),
    /// `read-sdc-chip-info`.
    ReadSdcChipInfo {
        /// The file that was made.
        file: PathBuf,
        /// The chip info, in hexadecimal.
        chip_info: String,
        /// The nonce that is part of it, in hexadecimal.
        nonce: String,
    },
    /// `verify-sdc-certificate`: the chip has taken it.
    VerifySdcCertificate {
        /// JTAG is enabled again.
        jtag: bool,
        /// The loader knows all its commands again.
        download: bool,
        /// The chip boots from flash, whatever its pins say.
        spi_boot: bool,
    },
    /// `read-flash-status`.
    ReadFlashStatus(Box<FlashStatus>),
    /// `write-flash-status`.
    WriteFlashStatus(Box<StatusChange>),
    /// `read-flash-sfdp`.
    ReadFlashSfdp {
        /// First byte.
        address: u32,
        /// What is there.
        bytes: Vec<u8>,
        /// What the flash is; read under the old name only.
        #[serde(skip)]
        id: Option<FlashInfo>,
    },
    /// `read-flash-sfdp --decode`.
    #[serde(rename = "read-flash-sfdp")]
    DecodedSfdp(Box<Sfdp>),
    /// `image-info`.
    ImageInfo(Box<ImageReport>),
    /// `merge-bin`.
    MergeBin {
        /// The file that was made.
        file: PathBuf,
        /// What it is.
        format: MergeFormat,
        /// Its length in bytes.
        bytes: u64,
        /// Flash offset that a raw one is for.
        target: u32,
        /// What it was made of.
        files: Vec<MergedFile>,
    },
    /// `split-bin`.
    SplitBin(Box<SplitReport>),
    /// `load-ram`.
    LoadRam {
        /// The program.
        file: PathBuf,
        /// Number of segments.
        segments: usize,
        /// Bytes, padding included.
        bytes: u64,
        /// Where it was started.
        entry: u32,
    },
    /// `ota`.
    Ota(Box<OtaReport>),
    /// `partitions`.
    Partitions(Box<PartitionsReport>),
    /// `ports`.
    Ports {
        /// The ports, the likeliest first.
        ports: Vec<PortLine>,
        /// Number of those that --port-filter keeps back.
        filtered_out: usize,
    },
    /// `config show`.
    ConfigShow {
        /// All settings.
        settings: Vec<SettingLine>,
    },
    /// `read-flash`.
    ReadFlash {
        /// The file that was made; `None`: standard output.
        file: Option<PathBuf>,
        /// First byte.
        address: u32,
        /// Bytes read.
        bytes: u64,
    },
    /// `read-mac`.
    ReadMac(Addresses),
    /// `read-mem`.
    ReadMem {
        /// Address of the word.
        address: u32,
        /// Its value.
        value: u32,
    },
    /// `reset`.
    Reset {
        /// What runs now.
        into: Into,
    },
    /// `run`.
    Run,
    /// `size`.
    Size(Box<SizeReport>),
    /// `sim`: it was stopped.
    Sim,
    /// `verify-flash`.
    VerifyFlash {
        /// Number of files that were compared.
        files: usize,
    },
    /// `version`.
    Version {
        /// The program's version.
        version: &'static str,
    },
    /// `write-flash`.
    WriteFlash(WriteReport),
    /// `write-mem`.
    WriteMem {
        /// Address of the word.
        address: u32,
        /// Value as it was given.
        value: u32,
        /// Bits that were changed.
        mask: u32,
        /// Value before; `None`: it was not read.
        old: Option<u32>,
        /// Value that was written, whole.
        written: Option<u32>,
        /// Value that was read afterwards.
        new: Option<u32>,
    },
}

/// What became of one of several boards.
#[derive(Debug, Clone, Serialize)]
pub struct BoardReport {
    /// Its port.
    pub port: String,
    /// Its chip, when it answered.
    pub chip: Option<&'static str>,
    /// Its MAC, where that can be read.
    pub mac: Option<String>,
    /// What was done or found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Report>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<Error>>,
    /// Time that it took.
    pub seconds: f64,
}

impl BoardReport {
    /// Of a board of which nothing is known yet.
    pub fn new(port: String) -> Self {
        Self {
            port,
            chip: None,
            mac: None,
            seconds: 0.0,
            result: None,
            error: None,
        }
    }

    /// Whether it was stopped by Ctrl-C.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.error.as_deref(), Some(Error::Interrupted { .. }))
    }
}

/// A setting in the list of `config show`.
#[derive(Debug, Clone)]
pub struct SettingLine {
    /// Its name.
    pub name: &'static str,
    /// Its value, or several; none when it is not set.
    pub values: Vec<String>,
    /// What that means then.
    pub meaning: Option<&'static str>,
    /// Where it is from; `None`: it is the default.
    pub source: Option<Source>,
}

/// A port in the list of `ports`.
#[derive(Debug, Clone, Serialize)]
pub struct PortLine {
    /// Name to give to `--port`.
    pub name: String,
    /// USB vendor and product id.
    pub usb: Option<(u16, u16)>,
    /// USB serial number.
    pub serial: Option<String>,
    /// Where it is plugged in, where the system tells.
    pub location: Option<String>,
    /// What it is: the adapter's name, or what the device says of itself.
    pub description: Option<String>,
    /// Highest safe baud rate of the adapter.
    pub safe_baud: Option<u32>,
    /// Program that holds the port.
    pub holder: Option<String>,
    /// Whether it is what an Espressif board usually shows up as.
    pub likely: bool,
}
