//! `cargo xtask examples`: compiles examples/hello and makes the images of it that are in the
//! repository, so that nobody needs a cross compiler to try them.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::elf::Program;
use crate::{Result, film, image, report};

/// The chips of the example, and the compiler that build.sh calls for each.
const CHIPS: [(&str, &str); 2] = [
    ("esp32c3", "riscv64-unknown-elf-gcc"),
    ("esp32", "xtensa-lx106-elf-gcc"),
];

/// What to do with a new image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Put it into the repository.
    Write,
    /// Compare it with the one that is there.
    Check,
}

/// Does so for every chip whose compiler is installed. A missing one is an error where
/// `GURU_REQUIRE_PEERS` is 1.
pub fn run(mode: Mode) -> Result<()> {
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = root.join("examples/hello");
    let target = root.join("target/examples/hello");
    fs::create_dir_all(&target)?;
    let target = target.canonicalize()?;
    fs::write(target.join("film.txt"), film::frames())?;

    let mut stale = Vec::new();
    for (id, compiler) in CHIPS {
        if !is_installed(compiler)? {
            if required {
                return Err(format!("{compiler} is not installed").into());
            }
            report(&format!("{id}: skipped, {compiler} is not installed"));
            continue;
        }
        let image = build(id, &source, &target)?;
        let path = source.join(format!("{id}.bin"));
        match mode {
            Mode::Write => {
                fs::write(&path, &image)?;
                report(&format!("{id}: wrote {} bytes", image.len()));
            }
            Mode::Check if fs::read(&path).is_ok_and(|old| old == image) => {
                report(&format!("{id}: as in the repository"));
            }
            Mode::Check => stale.push(path),
        }
    }
    match stale.first() {
        None => Ok(()),
        Some(path) => Err(format!(
            "{} is not what its source gives here: run `cargo xtask examples` (another version of \
             the compiler may give another image)",
            path.display()
        )
        .into()),
    }
}

fn build(id: &str, source: &Path, target: &Path) -> Result<Vec<u8>> {
    let chip = guru_chip::by_id(id).ok_or("the chip has no entry under chips/")?;
    let elf: PathBuf = target.join(format!("{id}.elf"));
    let status = Command::new("sh")
        .arg(source.join("build.sh"))
        .arg(id)
        .arg(&elf)
        .status()?;
    if !status.success() {
        return Err(format!("build.sh {id} failed").into());
    }
    image::build(&Program::parse(&fs::read(elf)?)?, chip)
}

fn is_installed(compiler: &str) -> Result<bool> {
    match Command::new(compiler).arg("--version").output() {
        Ok(output) => Ok(output.status.success()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}
