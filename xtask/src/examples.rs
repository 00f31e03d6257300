//! `cargo xtask examples`: compiles the programs in examples/ and makes the images of them that are
//! in the repository, so that nobody needs a cross compiler to try them.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use guru_chip::Chip;

use crate::elf::Program;
use crate::{Result, film, image, report};

const RISCV: &str = "riscv64-unknown-elf-gcc";
const LX106: &str = "xtensa-lx106-elf-gcc";
const CLANG: &str = "clang-22";

/// The chips of examples/hello, and the compiler that build.sh calls for each.
const HELLO: [(&str, &str); 2] = [("esp32c3", RISCV), ("esp32", LX106)];

/// The same of examples/crash.
const CRASH: [(&str, &str); 6] = [
    ("esp32c3", RISCV),
    ("esp32c6", RISCV),
    ("esp32", CLANG),
    ("esp32s2", CLANG),
    ("esp32s3", CLANG),
    ("esp8266", LX106),
];

/// Bytes of the digest of its ELF file that examples/crash has.
const DIGEST_LEN: usize = 32;

/// What to do with a new image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Put it into the repository.
    Write,
    /// Compare it with the one that is there.
    Check,
}

/// One of the programs.
struct Example {
    /// Its folder in the repository, and where it is built.
    source: PathBuf,
    target: PathBuf,
    mode: Mode,
    /// What is in the repository and is not what the source gives.
    stale: Vec<PathBuf>,
}

/// Does so for every chip whose compiler is installed. A missing one is an error where
/// `GURU_REQUIRE_PEERS` is 1.
pub fn run(mode: Mode) -> Result<()> {
    let mut hello = Example::new("hello", mode)?;
    fs::write(hello.target.join("film.txt"), film::frames())?;
    for (id, compiler) in HELLO {
        if is_there(id, compiler)? {
            let (_, program) = hello.build(id)?;
            hello.settle(&format!("{id}.bin"), &image::build(&program, chip(id)?)?)?;
        }
    }
    let mut crash = Example::new("crash", mode)?;
    for (id, compiler) in CRASH {
        if is_there(id, compiler)? && crash.is_comparable(id, compiler)? {
            let (elf, mut program) = crash.build(id)?;
            crash.settle(&format!("{id}.elf"), &elf)?;
            // The ESP8266's report has no digest, and `load-ram` takes its ELF file.
            if chip(id)?.image.chip_id.is_some() {
                write_digest(&mut program, &elf)?;
                crash.settle(&format!("{id}.bin"), &image::build(&program, chip(id)?)?)?;
            }
        }
    }
    if let Some(path) = hello.stale.iter().chain(&crash.stale).next() {
        return Err(format!(
            "{} is not what its source gives here: run `cargo xtask examples` (another version of \
             the compiler may give another image)",
            path.display()
        )
        .into());
    }
    match mode {
        Mode::Write => write_logs(),
        // The tests compare the logs.
        Mode::Check => Ok(()),
    }
}

impl Example {
    fn new(name: &str, mode: Mode) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = root.join("target/examples").join(name);
        fs::create_dir_all(&target)?;
        Ok(Self {
            source: root.join("examples").join(name),
            target: target.canonicalize()?,
            mode,
            stale: Vec::new(),
        })
    }

    /// The ELF file, and what of it is loaded.
    fn build(&self, id: &str) -> Result<(Vec<u8>, Program)> {
        let elf = self.target.join(format!("{id}.elf"));
        let status = Command::new("sh")
            .arg(self.source.join("build.sh"))
            .arg(id)
            .arg(&elf)
            .status()?;
        if !status.success() {
            return Err(format!("build.sh {id} failed").into());
        }
        let elf = fs::read(elf)?;
        let program = Program::parse(&elf)?;
        Ok((elf, program))
    }

    /// Writes or compares a file of the repository.
    fn settle(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.source.join(name);
        let shown = format!(
            "{}/{name}",
            self.source.file_name().unwrap_or_default().display()
        );
        match self.mode {
            Mode::Write => {
                fs::write(&path, bytes)?;
                report(&format!("{shown}: wrote {} bytes", bytes.len()));
            }
            Mode::Check if fs::read(&path).is_ok_and(|old| old == bytes) => {
                report(&format!("{shown}: as in the repository"));
            }
            Mode::Check => self.stale.push(path),
        }
        Ok(())
    }

    /// Whether what is in the repository was made by the compiler that is installed, as far as its
    /// debug information tells. LLVM's packages change more often than a release of Debian does.
    fn is_comparable(&self, id: &str, compiler: &str) -> Result<bool> {
        if self.mode == Mode::Write || compiler != CLANG {
            return Ok(true);
        }
        let output = Command::new(compiler).arg("--version").output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().as_bytes();
        let elf = fs::read(self.source.join(format!("{id}.elf")))?;
        let same = elf
            .windows(version.len().max(1))
            .any(|part| part == version);
        if !same {
            report(&format!(
                "{id}: skipped, made by another version of {compiler}"
            ));
        }
        Ok(same)
    }
}

/// As ESP-IDF does: the image, not the ELF file, holds the digest of the ELF file.
fn write_digest(program: &mut Program, elf: &[u8]) -> Result<()> {
    use sha2::{Digest, Sha256};

    let entry = program.entry;
    let mut data = program.segments.iter_mut().filter(|(address, bytes)| {
        let offset = entry.wrapping_sub(*address);
        usize::try_from(offset).is_ok_and(|offset| offset >= bytes.len())
    });
    let place = data
        .next()
        .and_then(|(_, bytes)| bytes.get_mut(..DIGEST_LEN));
    let place = place.filter(|place| place.iter().all(|byte| *byte == 0));
    let place = place.ok_or("there is no place for the digest at the start of the data")?;
    place.copy_from_slice(&Sha256::digest(elf));
    Ok(())
}

/// What the virtual chips print: written by the test that otherwise compares it.
fn write_logs() -> Result<()> {
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "test",
            "--quiet",
            "-p",
            "guru-sim",
            "--test",
            "crash",
            "in_the_repository",
        ])
        .env("GURU_CRASH_LOGS", "overwrite")
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("the programs of examples/crash do not what their test expects".into())
    }
}

fn chip(id: &str) -> Result<&'static Chip> {
    Ok(guru_chip::by_id(id).ok_or("the chip has no entry under chips/")?)
}

/// Whether a compiler is installed.
fn is_there(id: &str, compiler: &str) -> Result<bool> {
    match Command::new(compiler).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(true),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ if env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1") => {
            Err(format!("{compiler} is not installed").into())
        }
        _ => {
            report(&format!("{id}: skipped, {compiler} is not installed"));
            Ok(false)
        }
    }
}
