//! Turns `chips/*.toml` into Rust tables. A file that breaks a rule fails the build, with its name,
//! the key and what was found; all such findings are listed at once.

mod bits;
mod check;
mod emit;
mod extras;
mod schema;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

/// Files in `chips/` that do not describe a chip.
const NOT_CHIPS: [&str; 3] = ["adapters", "hints", "known"];

#[expect(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
fn main() -> ExitCode {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../chips");
    println!("cargo:rerun-if-changed={}", dir.display());
    println!("cargo:rerun-if-changed=build");
    match generate(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            for problem in problems {
                println!("cargo::error={}", problem.replace('\n', "  "));
            }
            ExitCode::FAILURE
        }
    }
}

fn generate(dir: &Path) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let mut chips = Vec::new();
    for path in toml_files(dir).map_err(|e| vec![format!("{}: {e}", dir.display())])? {
        let id = stem(&path);
        if NOT_CHIPS.contains(&id.as_str()) {
            continue;
        }
        match read::<schema::Chip>(&path).and_then(|chip| check::chip(&id, &chip).map(|()| chip)) {
            Ok(chip) => chips.push((id, chip)),
            Err(more) => problems.extend(more),
        }
    }
    problems.extend(check::together(&chips));

    let extras = extras::read(dir, &chips).map_err(|more| problems.extend(more));
    match (problems.is_empty(), extras) {
        (true, Ok(extras)) => write(&chips, &extras).map_err(|e| vec![e]),
        _ => Err(problems),
    }
}

fn write(chips: &[(String, schema::Chip)], extras: &extras::Extras) -> Result<(), String> {
    let out = env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?;
    let path = Path::new(&out).join("chips.rs");
    let text = emit::chips(chips)? + &emit::extras(extras);
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Vec<String>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).map_err(|e| vec![format!("chips/{name}: {e}")])?;
    toml::from_str(&text).map_err(|e| vec![format!("chips/{name}: {e}")])
}

/// The data files in the order of their names, which is the order of the tables.
fn toml_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
