//! With flasher stubs: ours with its own, the reference with its own, and ours with the ROM alone,
//! on a virtual chip that executes both stubs and counts the time itself.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{env, fs};

use guru_chip::by_id;
use guru_link::Cancel;
use guru_plan::SECTOR;
use guru_sim::{Endpoint, ServeEvent, SimOptions, serve};
use guru_testkit::model::{Work, line_time, work};
use guru_testkit::{Proxy, code, noise};
use guru_wire::Opcode;

use super::process::run;
use super::{ADDRESS, MB};
use crate::Result;

/// Rate of the line in bits per second.
pub const BAUD: u32 = 921_600;
/// The one at which a session begins.
const FIRST_BAUD: u32 = 115_200;
/// Chips that are measured: one of RISC-V, one of Xtensa, and the oldest one.
pub const CHIPS: [&str; 3] = ["esp32c3", "esp32", "esp8266"];
/// Bytes of firmware in the flash that is read whole.
const FIRMWARE: &str = "ESP32_GENERIC-20240602-v1.23.0.bin";
/// How long the chip is waited for after its client has ended.
const END: Duration = Duration::from_secs(30);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Onto other contents.
    Fresh,
    /// What is there already.
    Unchanged,
    /// One byte differs.
    OneSector,
    /// 1 MB.
    Read,
    /// A flash of 4 MB, of which firmware fills a part.
    ReadWhole,
    /// The whole flash.
    Erase,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Fresh,
        Self::Unchanged,
        Self::OneSector,
        Self::Read,
        Self::ReadWhole,
        Self::Erase,
    ];

    /// As the report names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "write 1 MB",
            Self::Unchanged => "write 1 MB, unchanged",
            Self::OneSector => "write 1 MB, one sector changed",
            Self::Read => "read 1 MB",
            Self::ReadWhole => "read 4 MB with firmware",
            Self::Erase => "erase 4 MB",
        }
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Self::Fresh | Self::Unchanged | Self::OneSector => {
                &["write-flash", "0x10000", "app.bin"]
            }
            Self::Read => &["read-flash", "0x10000", "0x100000", "read.bin"],
            Self::ReadWhole => &["read-flash", "0x0", "0x400000", "read.bin"],
            Self::Erase => &["erase-flash"],
        }
    }

    /// Whether it is measured on all chips: what executes for minutes is left to the first one.
    fn everywhere(self) -> bool {
        !matches!(self, Self::ReadWhole | Self::Erase)
    }

    /// Whether the reference is measured as well, which writes everything whatever is there.
    fn by_reference(self) -> bool {
        !matches!(self, Self::Unchanged | Self::OneSector)
    }

    /// Whether the ROM alone is measured as well, which reads for most of an hour.
    fn by_rom(self) -> bool {
        !matches!(self, Self::Read | Self::ReadWhole)
    }
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Ours,
    Reference,
    Rom,
}

/// What a session was, and how long it took by the chip's clock: two runs, since a proxy that records
/// carries bytes alone, and a rate can be set only behind RFC 2217.
pub struct Session {
    /// What passed.
    pub work: Work,
    /// By the chip's clock: the line, the chip and its flash, without the host.
    pub took: Duration,
}

/// One command on one chip.
pub struct Row {
    /// How long ours takes to reach the chip, to know its flash and to leave it: resets, and what
    /// passes before the line has its rate.
    pub connected: Duration,
    pub chip: &'static str,
    pub kind: Kind,
    pub ours: Session,
    /// The reference with its own stub.
    pub reference: Option<Session>,
    /// Ours without a stub.
    pub rom: Option<Session>,
}

impl Row {
    /// How long the work of ours took, between connecting and leaving.
    pub fn took(&self) -> Duration {
        self.ours.took.saturating_sub(self.connected)
    }

    /// Bytes of it, both ways.
    pub fn bytes(&self) -> u64 {
        let Work { connect, .. } = self.ours.work;
        self.ours.work.bytes() - connect.out - connect.back
    }

    /// The same without the stub.
    pub fn bytes_beside_upload(&self) -> u64 {
        self.bytes() - self.ours.work.upload
    }

    /// What the line alone needs for these, each at the rate at which it passes: where the ROM cannot
    /// change it, the upload goes at the first one.
    pub fn line(&self) -> Duration {
        let slow = match rom_answers(self.chip, Opcode::ChangeBaudrate) {
            true => 0,
            false => self.ours.work.upload,
        };
        line_time(slow, FIRST_BAUD) + line_time(self.bytes() - slow, BAUD)
    }
}

/// Whether a chip's ROM knows a command.
pub fn rom_answers(chip: &str, opcode: Opcode) -> bool {
    by_id(chip).is_some_and(|chip| chip.rom.answers(opcode as u8, false))
}

/// What is run, and where.
pub struct Programs<'a> {
    pub guru: &'a Path,
    pub python: &'a OsStr,
    pub folder: &'a Path,
}

/// Measures all of it on one chip.
pub fn measure(chip: &'static str, programs: &Programs) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let connected = connecting(chip, programs)?;
    let measured = |kind: &Kind| kind.everywhere() || chip == CHIPS[0];
    for kind in Kind::ALL.into_iter().filter(measured) {
        let before = prepare(kind, programs.folder)?;
        let measure = |who| {
            let experiment = Experiment {
                who,
                chip,
                kind,
                before: &before,
                programs,
            };
            experiment.run()
        };
        let row = Row {
            connected,
            chip,
            kind,
            ours: measure(Who::Ours)?,
            reference: kind
                .by_reference()
                .then(|| measure(Who::Reference))
                .transpose()?,
            rom: kind.by_rom().then(|| measure(Who::Rom)).transpose()?,
        };
        progress(&row);
        rows.push(row);
    }
    Ok(rows)
}

#[expect(clippy::print_stderr, reason = "a program that talks to a person")]
fn progress(row: &Row) {
    eprintln!(
        "{} on {}: {:.2} s",
        row.kind.name(),
        row.chip,
        row.ours.took.as_secs_f64()
    );
}

/// A session that does nothing else.
fn connecting(chip: &str, programs: &Programs) -> Result<Duration> {
    let flash = programs.folder.join("flash.bin");
    fs::write(&flash, noise(4 * MB, 2))?;
    let board = Chip::start(chip, "counted", "rfc2217", &flash)?;
    let mut command = Command::new(programs.guru);
    command.args(["--port", &board.port, "--baud", &BAUD.to_string()]);
    command.args(["--stub", "none", "flash-id"]);
    run(command, programs.folder)?;
    board.stop()
}

/// Writes `app.bin`, and returns the flash's contents before.
fn prepare(kind: Kind, folder: &Path) -> Result<Vec<u8>> {
    let app = code(MB, 1);
    fs::write(folder.join("app.bin"), &app)?;
    let at = ADDRESS as usize;
    let mut flash = match kind {
        Kind::ReadWhole => {
            let mut flash = firmware()?;
            flash.resize(4 * MB, 0xFF);
            return Ok(flash);
        }
        Kind::Fresh | Kind::Erase => return Ok(noise(4 * MB, 2)),
        Kind::Unchanged | Kind::OneSector | Kind::Read => noise(4 * MB, 2),
    };
    flash[at..at + MB].copy_from_slice(&app);
    if kind == Kind::OneSector {
        flash[at + 77 * SECTOR as usize + 5] ^= 0x5A;
    }
    Ok(flash)
}

/// Real firmware where there is some; else contents that compress as it does.
fn firmware() -> Result<Vec<u8>> {
    Ok(match env::var_os("GURU_TESTDATA") {
        Some(folder) => fs::read(Path::new(&folder).join("firmware").join(FIRMWARE))?,
        None => code(3 * MB / 2, 3),
    })
}

/// The circumstances of both runs.
struct Experiment<'a> {
    who: Who,
    chip: &'static str,
    kind: Kind,
    before: &'a [u8],
    programs: &'a Programs<'a>,
}

impl Experiment<'_> {
    fn run(&self) -> Result<Session> {
        let recording = self.on_chip("tcp", |board| {
            let proxy = Proxy::start(board.address()?)?;
            run(self.command(&proxy.port()), self.programs.folder)?;
            proxy.finish()
        })?;
        let on_line = self.on_chip("rfc2217", |board| {
            run(self.command(&board.port), self.programs.folder)
        })?;
        Ok(Session {
            work: work(&recording.0, 0),
            took: on_line.1,
        })
    }

    /// Runs a client on a fresh chip. Returns also how long it was there.
    fn on_chip<T>(&self, way: &str, client: impl Fn(&Chip) -> Result<T>) -> Result<(T, Duration)> {
        let folder = self.programs.folder;
        let flash = folder.join("flash.bin");
        fs::write(&flash, self.before)?;
        // It may be from the last one, or not be there.
        let _ = fs::remove_file(folder.join("read.bin"));
        // Without a stub the host waits for the erased flash by its own clock.
        let pace = match (self.who, self.kind) {
            (Who::Rom, Kind::Erase) => "real",
            _ => "counted",
        };
        let board = Chip::start(self.chip, pace, way, &flash)?;
        let found = client(&board)?;
        let took = board.stop()?;
        check(self.kind, self.before, &fs::read(&flash)?, folder).map_err(|error| {
            let Self {
                who, chip, kind, ..
            } = self;
            format!("{} on {chip} by {who:?}: {error}", kind.name())
        })?;
        Ok((found, took))
    }

    fn command(&self, port: &str) -> Command {
        let mut command = match self.who {
            Who::Reference => {
                let mut command = Command::new(self.programs.python);
                command.args(["-m", "esptool"]);
                command
            }
            Who::Ours | Who::Rom => Command::new(self.programs.guru),
        };
        command.args(["--port", port, "--baud", &BAUD.to_string()]);
        if self.who == Who::Rom {
            command.args(["--stub", "none"]);
        }
        command.args(self.kind.args());
        command
    }
}

/// Whether the command did what it is for.
fn check(kind: Kind, before: &[u8], after: &[u8], folder: &Path) -> Result<()> {
    let at = ADDRESS as usize;
    let right = match kind {
        Kind::Fresh | Kind::Unchanged | Kind::OneSector => {
            after[at..at + MB] == fs::read(folder.join("app.bin"))?
                && after[..at] == before[..at]
                && after[at + MB..] == before[at + MB..]
        }
        Kind::Read => fs::read(folder.join("read.bin"))? == before[at..at + MB],
        Kind::ReadWhole => fs::read(folder.join("read.bin"))? == before,
        Kind::Erase => after.iter().all(|byte| *byte == 0xFF),
    };
    if right {
        Ok(())
    } else {
        Err("the result is wrong".into())
    }
}

/// A virtual chip behind a TCP port; time that is counted stands still while its client thinks.
struct Chip {
    port: String,
    cancel: Cancel,
    took: Receiver<Duration>,
    server: JoinHandle<std::result::Result<(), String>>,
}

impl Chip {
    fn start(chip: &str, pace: &str, way: &str, flash: &Path) -> Result<Self> {
        let mut options: SimOptions = format!("sim://{chip}?{pace}&flash-size=4MB").parse()?;
        options.flash = Some(flash.to_owned());
        let cancel = Cancel::default();
        let local = ([127, 0, 0, 1], 0).into();
        let endpoint = match way {
            "rfc2217" => Endpoint::Rfc2217(local),
            _ => Endpoint::Tcp(local),
        };
        let (listening, port) = channel();
        let (gone, took) = channel();
        let ends = cancel.clone();
        let server = thread::spawn(move || {
            serve(&options, &endpoint, &ends, &mut |event| match event {
                // Nobody listens any more only where the measurement has failed already.
                ServeEvent::Listening { port } => drop(listening.send(port)),
                ServeEvent::Disconnected { took } => drop(gone.send(took)),
                _ => {}
            })
            .map_err(|error| error.to_string())
        });
        Ok(Self {
            port: port.recv_timeout(END)?,
            cancel,
            took,
            server,
        })
    }

    fn address(&self) -> Result<&str> {
        Ok(self
            .port
            .strip_prefix("socket://")
            .ok_or("not a TCP port")?)
    }

    /// How long its client was there, by its own clock.
    fn stop(self) -> Result<Duration> {
        let took = self.took.recv_timeout(END)?;
        self.cancel.cancel();
        self.server
            .join()
            .map_err(|_| "the virtual chip panicked")??;
        Ok(took)
    }
}
