//! The two clients: the reference, and ours under its old name.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, fs};

use libtest_mimic::Failed;

use crate::fork::Forks;
use crate::process::{Environment, Outcome, run, run_with};

/// Version of the reference that all expectations are from.
const VERSION: &str = "5.6.0";

/// Time-outs, in seconds: what is tried is not how fast this machine is.
const PATIENCE: &str = "[esptool]
timeout = 60
sync_timeout = 2
serial_write_timeout = 60
md5_timeout_per_mb = 100
mem_end_rom_timeout = 20
";

/// What of itself the reference is asked at the start.
const WHO: &str = "import esptool, esptool.loader
print(esptool.__version__, esptool.loader.StubFlasher.STUB_DIR, sep=\"\\n\")";

/// The Python that has the reference.
#[derive(Debug)]
pub struct Reference {
    python: OsString,
    forks: Forks,
    stubs: PathBuf,
}

impl Reference {
    /// Looks where `GURU_ESPTOOL` says.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find() -> Result<Self, String> {
        let python = env::var_os("GURU_ESPTOOL")
            .filter(|python| !python.is_empty())
            .ok_or("GURU_ESPTOOL names no Python that has esptool")?;
        let outcome = run(&python, ["-c", WHO], Path::new("."))
            .map_err(|error| error.message().unwrap_or("cannot be run").to_owned())?;
        match outcome.stdout.lines().collect::<Vec<_>>()[..] {
            [VERSION, stubs] => Ok(Self {
                forks: Forks::new(&python),
                python,
                stubs: PathBuf::from(stubs),
            }),
            _ => Err(format!("GURU_ESPTOOL has no esptool {VERSION}:\n{outcome}")),
        }
    }

    /// The Python that has it.
    pub fn python(&self) -> &OsStr {
        &self.python
    }

    /// The folder in which it has its flasher stubs, a folder for each version.
    pub fn stubs(&self) -> &Path {
        &self.stubs
    }

    /// Runs a program of ours in its Python.
    pub fn script(&self, text: &str, args: &[&str]) -> Result<Outcome, Failed> {
        run(
            &self.python,
            ["-c", text].iter().chain(args),
            Path::new("."),
        )
    }

    /// The same, with all the patience that a busy machine may need.
    pub fn session(&self, text: &str, args: &[&str], folder: &Path) -> Result<Outcome, Failed> {
        fs::write(folder.join("esptool.cfg"), PATIENCE)?;
        let environment = Environment::new();
        if Forks::can_run(&environment) {
            return self.forks.run(Some(text), args, folder, &environment);
        }
        run(&self.python, ["-c", text].iter().chain(args), folder)
    }

    /// Runs it with these arguments.
    pub fn run(&self, args: &[&str], folder: &Path) -> Result<Outcome, Failed> {
        self.run_with(args, folder, &Environment::new())
    }

    /// Runs it with these arguments and variables.
    pub fn run_with(
        &self,
        args: &[&str],
        folder: &Path,
        environment: &Environment,
    ) -> Result<Outcome, Failed> {
        if Forks::can_run(environment) {
            return self.forks.run(None, args, folder, environment);
        }
        self.start(args, folder, environment)
    }

    /// The same, in a Python that is started for it.
    pub fn start(
        &self,
        args: &[&str],
        folder: &Path,
        environment: &Environment,
    ) -> Result<Outcome, Failed> {
        let words = ["-m", "esptool"].iter().chain(args);
        run_with(&self.python, words, folder, environment, Stdio::null())
    }
}

/// Runs ours as `guru esptool`.
pub fn run_ours(
    args: &[&str],
    folder: &Path,
    environment: &Environment,
) -> Result<Outcome, Failed> {
    let guru = env!("CARGO_BIN_EXE_guru");
    run_with(
        guru,
        ["esptool"].iter().chain(args),
        folder,
        environment,
        Stdio::null(),
    )
}
