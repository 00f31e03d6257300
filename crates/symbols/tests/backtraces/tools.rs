//! Compilers, and what they are told.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder for a test's files.
pub fn folder(name: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("backtraces")
        .join(name);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(folder)
}

pub fn tool(variable: &str) -> Result<OsString, String> {
    env::var_os(variable).ok_or_else(|| format!("{variable} is not set"))
}

/// A tool that lies beside another and has a name like it.
pub fn beside(variable: &str, name: &str, other: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(tool(variable)?);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(file.replacen(name, other, 1)))
}

pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {told}"))
}

pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// An ELF file's loadable parts, and its entry.
pub fn loaded(file: &[u8]) -> (Vec<(u32, &[u8])>, u32) {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
    let (headers, count) = (word(28) as usize, usize::from(file[44]));
    let parts = (0..count).map(|number| headers + 32 * number);
    let parts = parts.filter(|at| word(*at) == 1).map(|at| {
        let (offset, len) = (word(at + 4) as usize, word(at + 16) as usize);
        (word(at + 8), &file[offset..offset + len])
    });
    (parts.collect(), word(24))
}
