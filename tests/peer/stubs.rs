//! Flasher stubs under the Python esptool, executed by the virtual chip: Espressif's, of both
//! versions, and ours, in files as esptool has them.

use std::fs;
use std::path::Path;

use guru_chip::{CHIPS, Chip, Revision};
use guru_stub::Source;
use guru_testkit::{code, noise};
use libtest_mimic::Failed;
use serde_json::json;

use crate::case::same_bytes;
use crate::clients::Reference;
use crate::simulator::{Simulator, Way};
use crate::{Folder, Test};

/// Where the work is done, and what of it.
const AT: usize = 0x1_0000;
const APP: usize = 24_000;
/// Of the flash.
const SIZE: usize = 1 << 20;
/// What the application in flash says.
const SAYS: &str = "the application runs";

/// Chips on which all commands are tried: both instruction sets, the one without a command for the
/// rate in its ROM, and one whose flash addresses have 32 bits.
const ALL_COMMANDS: [&str; 4] = ["esp8266", "esp32", "esp32c3", "esp32p4"];
/// The chip whose flash is erased: the stub polls all the while, which takes time to execute.
const ERASED: &str = "esp32c3";
/// Chips on which the first stubs are tried, one of each architecture; Guru tries all of them.
const FIRST: [&str; 3] = ["esp8266", "esp32", "esp32c3"];
/// Chips that are reached through their USB-Serial/JTAG too.
const OVER_JTAG: [&str; 3] = ["esp32c3", "esp32s3", "esp32c6"];
/// Chips that are reset through an adapter too, into their loader and at the end.
const WITH_LINES: [&str; 2] = ["esp8266", "esp32"];

/// Whose stub esptool uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    /// Espressif's, in C, which is taken unless told otherwise.
    Second,
    /// Espressif's first.
    First,
}

/// How the chip is reached, and which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Board {
    /// Plain bytes; it is in its loader.
    Plain,
    /// The one of the first revision.
    Old,
    /// Modem lines, through an adapter.
    Lines,
    /// Its own USB-Serial/JTAG.
    Jtag,
}

/// A stub on a board.
#[derive(Debug, Clone, Copy)]
struct Session {
    whose: Whose,
    chip: &'static Chip,
    board: Board,
}

/// Each stub on each chip that it is for, and in other ways on some.
pub fn trials() -> impl Iterator<Item = (String, Test<Reference>)> {
    let mut sessions = Vec::new();
    for chip in CHIPS.iter().filter(|chip| !chip.rom_code.is_empty()) {
        let boards = [
            (Board::Plain, true),
            (Board::Old, chip.id == "esp32p4"),
            (Board::Jtag, OVER_JTAG.contains(&chip.id)),
            (Board::Lines, WITH_LINES.contains(&chip.id)),
        ];
        for (board, _) in boards.into_iter().filter(|(_, has)| *has) {
            for whose in [Whose::Ours, Whose::Second, Whose::First] {
                sessions.push(Session { whose, chip, board });
            }
        }
    }
    sessions.retain(Session::is_tried);
    sessions.into_iter().map(|session| {
        let test = move |reference: &Reference| session.works(reference);
        (session.name(), Box::new(test) as Test<Reference>)
    })
}

impl Session {
    fn name(&self) -> String {
        let whose = match self.whose {
            Whose::Ours => "our stub",
            Whose::Second => "its own stub",
            Whose::First => "its first stub",
        };
        let (chip, board) = (self.chip.id, self.board);
        format!("reference works with {whose} on {chip} {board:?}")
    }

    /// Other ways to the chip are tried with ours.
    fn is_tried(&self) -> bool {
        let plain = self.board == Board::Plain;
        match self.whose {
            Whose::Ours => true,
            Whose::Second => plain || self.board == Board::Old,
            Whose::First => plain && FIRST.contains(&self.chip.id),
        }
    }

    /// The reference uploads the stub, changes the rate, writes, reads and erases, and all of it is
    /// found in the flash. Nothing that the stub touches is missing.
    fn works(&self, reference: &Reference) -> Result<(), Failed> {
        let folder = Folder::new(&self.name())?;
        // Espressif's second one does not go back to the ROM's loader.
        let all = ALL_COMMANDS.contains(&self.chip.id)
            && self.board == Board::Plain
            && self.whose == Whose::Ours;
        let before = noise(SIZE, 1);
        let app = code(APP, 2);
        let flash = folder.join("flash.bin");
        let file = folder.join("app.bin");
        fs::write(&flash, &before)?;
        fs::write(&file, &app)?;
        let stubs = match self.whose {
            Whose::Ours => as_files(self.chip, &folder)?,
            Whose::Second | Whose::First => String::new(),
        };
        let version = if self.whose == Whose::First { "1" } else { "2" };
        let (way, reset, options): (_, _, &[_]) = match self.board {
            Board::Plain => (Way::Tcp, "no-reset", &[]),
            Board::Old => (Way::Tcp, "no-reset", &["--rev", "1.0"]),
            Board::Lines => (Way::Rfc2217, "default-reset", &["--boot", "app"]),
            Board::Jtag => (
                Way::Rfc2217,
                "usb-reset",
                &["--boot", "app", "--set", "usb=jtag"],
            ),
        };
        let mut options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        options.extend(["--set".to_owned(), format!("says={SAYS}")]);
        let simulator = Simulator::start(self.chip.id, way, &flash, &options)?;
        let at = format!("{AT:#x}");
        let port = match way.has_lines() {
            // pySerial else waits 3 s for an answer, and here a stub is executed meanwhile.
            true => format!("{}?timeout=60", simulator.port),
            false => simulator.port.clone(),
        };
        let jobs = if all { "all" } else { "some" };
        let erases = all && self.chip.id == ERASED;
        let erase = if erases { "erase" } else { "keep" };
        let file = file.to_string_lossy();
        let arguments = [&port, reset, &stubs, version, &at, &file, jobs, erase, SAYS];
        let outcome = reference.session(include_str!("stub_session.py"), &arguments, &folder)?;
        let done = format!("worked with stub {version} on {}", self.chip.name);
        if !outcome.stdout.contains(&done) {
            let told = simulator.told().join("\n");
            return Err(format!("'{done}' is missing\n{outcome}-- simulator\n{told}").into());
        }
        if way.has_lines() && !simulator.tells("starts from flash") {
            return Err("the chip was not reset at the end".into());
        }
        if let Some(complaint) = simulator.complaint() {
            return Err(complaint.into());
        }
        let mut expected = if erases { vec![0xFF; SIZE] } else { before };
        let mut write = |at: usize, bytes: &[u8]| {
            let end = (at + bytes.len()).next_multiple_of(0x1000);
            expected[at..end].fill(0xFF);
            expected[at..at + bytes.len()].copy_from_slice(bytes);
        };
        write(AT, &app);
        write(AT + 0x8000, &app[..0x2345]);
        write(AT + 0x1000, &[0xFF; 0x2000]);
        same_bytes("flash", &simulator.stop()?, &expected)
    }
}

/// The stubs that we have for a chip, in a folder as esptool's own is.
fn as_files(chip: &Chip, folder: &Path) -> Result<String, Failed> {
    let stubs = folder.join("stubs");
    fs::create_dir_all(stubs.join("2"))?;
    for revision in [Revision(100), Revision(300)] {
        let stub = Source::Embedded.stub(chip, Some(revision))?;
        let stub = stub.ok_or("no stub")?;
        let (text, data): (Vec<_>, Vec<_>) = stub.segments.iter().partition(|segment| {
            let at = stub.entry.checked_sub(segment.address);
            at.is_some_and(|at| (at as usize) < segment.bytes.len())
        });
        let ([text], [data]) = (&text[..], &data[..]) else {
            return Err(format!("{} has other segments", stub.file).into());
        };
        let file = json!({
            "entry": stub.entry,
            "text": base64(&text.bytes), "text_start": text.address,
            "data": base64(&data.bytes), "data_start": data.address,
        });
        let name = stub.file.replace(".bin", ".json");
        fs::write(stubs.join("2").join(name), file.to_string())?;
    }
    Ok(stubs.to_string_lossy().into_owned())
}

fn base64(bytes: &[u8]) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, at| {
            word << 8 | usize::from(group.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let symbol = SYMBOLS[word >> (18 - 6 * at) & 63];
            text.push(if at > group.len() { '=' } else { symbol.into() });
        }
    }
    text
}
