//! The two clients: the reference, and ours under its old name.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use libtest_mimic::Failed;

use crate::process::{Environment, Outcome, run, run_with};

/// Version of the reference that all expectations are from.
const VERSION: &str = "5.6.0";

/// The Python that has the reference.
#[derive(Debug, Clone)]
pub struct Reference(OsString);

impl Reference {
    /// Looks where `GURU_ESPTOOL` says.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find() -> Result<Self, String> {
        let python = env::var_os("GURU_ESPTOOL")
            .filter(|python| !python.is_empty())
            .ok_or("GURU_ESPTOOL names no Python that has esptool")?;
        let reference = Self(python);
        let outcome = reference
            .run(&["version"], Path::new("."))
            .map_err(|error| error.message().unwrap_or("cannot be run").to_owned())?;
        if outcome.stdout.contains(VERSION) {
            Ok(reference)
        } else {
            Err(format!("GURU_ESPTOOL has no esptool {VERSION}:\n{outcome}"))
        }
    }

    /// The Python that has it.
    pub fn python(&self) -> &OsStr {
        &self.0
    }

    /// Runs a program of ours in its Python.
    pub fn script(&self, text: &str, args: &[&str]) -> Result<Outcome, Failed> {
        run(&self.0, ["-c", text].iter().chain(args), Path::new("."))
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
        let words = ["-m", "esptool"].iter().chain(args);
        run_with(&self.0, words, folder, environment)
    }
}

/// Runs ours as `guru esptool`.
pub fn run_ours(
    args: &[&str],
    folder: &Path,
    environment: &Environment,
) -> Result<Outcome, Failed> {
    let guru = env!("CARGO_BIN_EXE_guru");
    run_with(guru, ["esptool"].iter().chain(args), folder, environment)
}
