//! `cargo xtask bench`: Guru beside the tool that it replaces, on the same virtual chip, and what
//! came of it in `docs/performance.md`.
//!
//! Both programs talk to a virtual chip over TCP through a proxy that records every byte. What
//! is compared does not depend on how busy this machine is: bytes, round trips, and the time that
//! one model computes from the recording. Only start-up and host times are measured by a clock.

mod cpu;
mod explain;
mod images;
mod process;
mod report;
mod stub;
mod stub_report;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use guru_chip::{CHIPS, Chip, by_id};
use guru_testkit::model::{Work, bound, work};
use guru_testkit::{Proxy, code, noise};
use guru_wire::Opcode;

use crate::Result;
use process::{Cost, Simulator, Startup, run, run_to, startup};

/// What both programs are given.
#[derive(Clone, Copy)]
struct Job {
    name: &'static str,
    chip: &'static str,
    /// Bytes of flash.
    flash: usize,
    /// Bytes that are written, verified or read.
    length: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Id,
    Write,
    WriteCompressed,
    Read,
    Verify,
}

/// Where everything is written and read.
const ADDRESS: u32 = 0x1_0000;
const MB: usize = 1 << 20;

const JOBS: &[Job] = &[
    Job::new("flash-id", "esp32c3", 0, Kind::Id),
    Job::new("write 1 MB", "esp32c3", MB, Kind::Write),
    Job::new(
        "write 1 MB, both compressed",
        "esp32c3",
        MB,
        Kind::WriteCompressed,
    ),
    Job::new("write 4 MB", "esp32c3", 4 * MB, Kind::Write),
    Job::new("verify 1 MB", "esp32c3", MB, Kind::Verify),
    Job::new("read 256 KB", "esp32c3", MB / 4, Kind::Read),
    Job::new("flash-id", "esp32", 0, Kind::Id),
    Job::new("write 1 MB", "esp32", MB, Kind::Write),
    Job::new("write 4 MB", "esp32", 4 * MB, Kind::Write),
    Job::new("verify 1 MB", "esp32", MB, Kind::Verify),
    Job::new("read 256 KB", "esp32", MB / 4, Kind::Read),
];

/// The full set, and for every other chip what its users do most.
fn jobs() -> Vec<Job> {
    let listed = |chip: &&&Chip| JOBS.iter().any(|job| job.chip == chip.id);
    let others = CHIPS.iter().filter(|chip| !listed(chip));
    let short = others.flat_map(|chip| {
        [
            Job::new("flash-id", chip.id, 0, Kind::Id),
            Job::new("write 1 MB", chip.id, MB, Kind::Write),
        ]
    });
    JOBS.iter().copied().chain(short).collect()
}

impl Job {
    const fn new(name: &'static str, chip: &'static str, length: usize, kind: Kind) -> Self {
        Self {
            name,
            chip,
            flash: 8 * MB,
            length,
            kind,
        }
    }
}

/// What both did.
struct Row {
    job: Job,
    ours: Side,
    reference: Side,
    /// The least that the ROM allows, where that is known.
    bound: Option<Work>,
}

/// What one of them did.
struct Side {
    work: Work,
    cost: Cost,
}

/// What was measured with the ROM alone, and of this machine.
struct ByRom {
    rows: Vec<Row>,
    startup_ours: Startup,
    startup_reference: Startup,
    /// A write of 16 MB by ours.
    large: Cost,
    /// A write to one board, and to a farm of them.
    board: Cost,
    farm: Cost,
}

/// Boards of the farm, and what is wrong with three of them.
const FARM: usize = 16;
const FAULTS: [(usize, &str); 3] = [
    (3, "&fault=drop:rx:1/2"),
    (7, "&fault=no-flash"),
    (
        12,
        "&fault=stuck-bit:0x11010.0,stuck-bit:0x11011.1,stuck-bit:0x11012.2,stuck-bit:0x11013.3",
    ),
];
/// Exit code of a command of which three boards failed (docs/exit-codes.md).
const THREE_FAILED: i32 = 103;

/// Where things are.
struct Setup {
    python: OsString,
    guru: PathBuf,
    folder: PathBuf,
}

impl Setup {
    fn new(part: Part) -> Result<Self> {
        let python = env::var_os("GURU_ESPTOOL")
            .filter(|python| !python.is_empty())
            .ok_or("GURU_ESPTOOL must name a Python that has esptool 5.6.0")?;
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--package", "guru"])
            .current_dir(root())
            .status()?;
        if !built.success() {
            return Err("guru cannot be built".into());
        }
        let folder = part.folder();
        fs::create_dir_all(&folder)?;
        Ok(Self {
            python,
            guru: fs::canonicalize(target().join("release/guru"))?,
            folder: fs::canonicalize(folder)?,
        })
    }

    /// A command line of ours.
    fn ours(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.guru);
        command.args(args);
        command
    }

    /// A command line of the reference.
    fn reference(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "esptool"]).args(args);
        command
    }

    fn stubs(&self, chip: &'static str) -> Result<Vec<stub::Row>> {
        let programs = stub::Programs {
            guru: &self.guru,
            python: &self.python,
            folder: &self.folder,
        };
        stub::measure(chip, &programs)
    }
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What is measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The ROM loaders, starting, and many boards.
    Rom,
    /// Flasher stubs on one chip.
    Stubs(&'static str),
    /// Commands on files alone.
    Images,
    /// Decoding crashes.
    Explain,
    /// How fast a virtual chip executes.
    Cpu,
}

/// What was aimed at, what was found, and whether that is enough.
type Aim = (String, String, bool);

/// What the page says of a part.
#[derive(serde::Serialize, serde::Deserialize)]
struct Section {
    aims: Vec<Aim>,
    text: String,
}

impl Part {
    /// As the page has them.
    pub const ALL: [Self; 7] = [
        Self::Rom,
        Self::Stubs(stub::CHIPS[0]),
        Self::Stubs(stub::CHIPS[1]),
        Self::Stubs(stub::CHIPS[2]),
        Self::Images,
        Self::Explain,
        Self::Cpu,
    ];

    /// As the command line has it.
    pub fn name(self) -> String {
        match self {
            Self::Rom => "rom".to_owned(),
            Self::Stubs(chip) => format!("stubs-{chip}"),
            Self::Images => "images".to_owned(),
            Self::Explain => "explain".to_owned(),
            Self::Cpu => "cpu".to_owned(),
        }
    }

    /// Its own, so that several parts can be measured at the same time.
    fn folder(self) -> PathBuf {
        target().join("bench").join(self.name())
    }

    /// Where its section waits for the others.
    fn file(self) -> PathBuf {
        self.folder().join("section.json")
    }

    fn measure(self, setup: &Setup) -> Result<Section> {
        Ok(match self {
            Self::Rom => report::by_rom(&by_rom(setup)?),
            Self::Stubs(chip) => stub_report::section(chip, &setup.stubs(chip)?),
            Self::Images => images::section(&images::measure(setup)?),
            Self::Explain => explain::measure(setup)?,
            Self::Cpu => cpu::section(cpu::measure(setup)?),
        })
    }
}

/// Measures some parts, prints what came of them, and writes the page of all that have been measured: now,
/// or by an earlier run.
pub fn measure_parts(parts: &[Part]) -> Result<()> {
    for part in parts {
        let section = part.measure(&Setup::new(*part)?)?;
        for (aim, found, met) in &section.aims {
            let met = if *met { "yes" } else { "no" };
            crate::report(&format!("{aim}: {found}: {met}"));
        }
        crate::report(&section.text);
        fs::write(part.file(), serde_json::to_vec(&section)?)?;
    }
    write_page()
}

fn write_page() -> Result<()> {
    let mut sections: Vec<Section> = Vec::new();
    let mut head = Some(stub_report::head());
    let mut missing = Vec::new();
    for part in Part::ALL {
        match fs::read(part.file()) {
            Ok(section) => {
                let mut section: Section = serde_json::from_slice(&section)?;
                // Whichever chip comes first begins the table.
                if let Part::Stubs(_) = part {
                    section.text.insert_str(0, &head.take().unwrap_or_default());
                }
                sections.push(section);
            }
            Err(_) => missing.push(part.name()),
        }
    }
    let page = report::page(&sections, &missing);
    fs::write(root().join("docs/performance.md"), page)?;
    Ok(())
}

fn by_rom(setup: &Setup) -> Result<ByRom> {
    let Setup { guru, folder, .. } = setup;

    let mut rows = Vec::new();
    for job in &jobs() {
        let files = Files::make(job, folder)?;
        let reference = measure(job, &files, guru, |port| {
            setup.reference([&["--port", port, "--no-stub"][..], &job.args(true)].concat())
        })?;
        let ours = measure(job, &files, guru, |port| {
            setup.ours([&["--port", port, "--stub", "none"][..], &job.args(false)].concat())
        })?;
        let bound = match job.kind {
            Kind::Write | Kind::WriteCompressed if inflates(job.chip) => {
                Some(bound(job.chip, &files.app, ADDRESS, &ours.work)?)
            }
            _ => None,
        };
        report::progress(job, &ours, &reference);
        rows.push(Row {
            job: *job,
            ours,
            reference,
            bound,
        });
    }

    let job = Job {
        flash: 16 * MB,
        ..Job::new("write 16 MB", "esp32c3", 16 * MB, Kind::Write)
    };
    let files = Files::make(&job, folder)?;
    let simulator = Simulator::start(guru, &job, &files.flash)?;
    let large = run(
        setup.ours([
            "--port",
            &simulator.port,
            "--stub",
            "none",
            "write-flash",
            "0x0",
            "app.bin",
        ]),
        folder,
    )?;

    fs::write(folder.join("app.bin"), code(MB / 4, 1))?;
    let board = run(setup.ours(farm(1, &[])), folder)?;
    let farm = run_to(THREE_FAILED, setup.ours(farm(FARM, &FAULTS)), folder)?;

    Ok(ByRom {
        rows,
        board,
        farm,
        startup_ours: startup(|| setup.ours(["version"]))?,
        startup_reference: startup(|| setup.reference(["version"]))?,
        large,
    })
}

/// The command line of a write to several boards, which take as long as real ones.
fn farm(boards: usize, faults: &[(usize, &str)]) -> Vec<String> {
    let port = |number| {
        let fault = faults.iter().find(|fault| fault.0 == number);
        let fault = fault.map_or("", |fault| fault.1);
        format!("sim://esp32c3?real&mac=7c:df:a1:00:01:{number:02x}{fault}")
    };
    let ports = (0..boards).flat_map(|number| ["--port".to_owned(), port(number)]);
    let command = ["-q", "write-flash", "0x10000", "app.bin"];
    ports.chain(command.map(str::to_owned)).collect()
}

/// Whether the chip's ROM takes compressed data.
fn inflates(chip: &str) -> bool {
    let commands = by_id(chip).map_or(&[][..], |chip| chip.rom.commands);
    commands.contains(&(Opcode::FlashDeflBegin as u8))
}

impl Job {
    /// The command line behind the port.
    fn args(&self, reference: bool) -> Vec<&'static str> {
        match self.kind {
            Kind::Id => vec!["flash-id"],
            Kind::WriteCompressed if reference => vec!["write-flash", "-z", "0x10000", "app.bin"],
            Kind::Write | Kind::WriteCompressed => vec!["write-flash", "0x10000", "app.bin"],
            Kind::Read => vec!["read-flash", "0x10000", "0x40000", "read.bin"],
            Kind::Verify => vec!["verify-flash", "0x10000", "app.bin"],
        }
    }
}

/// What is there before each of the two runs.
struct Files {
    folder: PathBuf,
    flash: PathBuf,
    app: Vec<u8>,
    before: Vec<u8>,
}

impl Files {
    fn make(job: &Job, folder: &Path) -> Result<Self> {
        let app = code(job.length, 1);
        fs::write(folder.join("app.bin"), &app)?;
        let mut before = noise(job.flash, 2);
        if job.kind == Kind::Verify {
            let at = ADDRESS as usize;
            before[at..at + app.len()].copy_from_slice(&app);
        }
        let files = Self {
            folder: folder.to_owned(),
            flash: folder.join("flash.bin"),
            app,
            before,
        };
        fs::write(&files.flash, &files.before)?;
        Ok(files)
    }
}

/// Runs one of the two on a fresh virtual chip.
fn measure(
    job: &Job,
    files: &Files,
    guru: &Path,
    client: impl Fn(&str) -> Command,
) -> Result<Side> {
    fs::write(&files.flash, &files.before)?;
    let _ = fs::remove_file(files.folder.join("read.bin"));
    let simulator = Simulator::start(guru, job, &files.flash)?;
    let proxy = Proxy::start(simulator.address()?)?;
    let cost = run(client(&proxy.port()), &files.folder)?;
    let recording = proxy.finish()?;
    drop(simulator);
    let flash = fs::read(&files.flash)?;
    let at = ADDRESS as usize;
    let right = match job.kind {
        Kind::Write | Kind::WriteCompressed => flash[at..at + job.length] == files.app,
        Kind::Read => fs::read(files.folder.join("read.bin"))? == flash[at..at + job.length],
        Kind::Id | Kind::Verify => true,
    };
    if !right {
        return Err(format!("{} on {}: the result is wrong", job.name, job.chip).into());
    }
    let written = match job.kind {
        Kind::Write | Kind::WriteCompressed => job.length,
        _ => 0,
    };
    Ok(Side {
        work: work(&recording, written),
        cost,
    })
}
