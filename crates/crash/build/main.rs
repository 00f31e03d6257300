//! Reads and checks `knowledge/*.toml`, so that the program has only to take the result. A file that breaks
//! a rule fails the build, with its name, the entry, the field and what is wrong with it.

#[path = "../src/knowledge/compiled.rs"]
mod compiled;
#[expect(dead_code, reason = "the search uses the rest")]
#[path = "../src/knowledge/entry.rs"]
mod entry;
#[path = "../src/knowledge/error.rs"]
mod error;
#[expect(dead_code, reason = "the search uses the rest")]
#[path = "../src/knowledge/family.rs"]
mod family;
#[path = "../src/knowledge/load.rs"]
mod load;
#[path = "../src/knowledge/needles.rs"]
mod needles;
#[path = "../src/knowledge/template.rs"]
mod template;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

/// The files of the knowledge base. The first entry that matches wins: what is special comes first.
const FILES: &[&str] = &[
    "exceptions.toml",
    "cache.toml",
    "protection.toml",
    "software.toml",
    "heap.toml",
    "sanitizers.toml",
    "watchdogs.toml",
    "power.toml",
    "panic.toml",
    "coredump.toml",
    "boot.toml",
    "security.toml",
    "startup.toml",
    "tee.toml",
    "esp8266.toml",
    "rom.toml",
    "resets.toml",
    "boot-modes.toml",
    "asserts.toml",
    "errors.toml",
    "rust.toml",
    "esphome.toml",
];

#[expect(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
fn main() -> ExitCode {
    // A directory stands for all that is in it, so that a new file is seen.
    for path in ["knowledge", "src/knowledge", "build"] {
        println!("cargo::rerun-if-changed={path}");
    }
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={}", problem.trim_end().replace('\n', "  "));
            ExitCode::FAILURE
        }
    }
}

fn compile() -> Result<(), String> {
    let home = env::var("CARGO_MANIFEST_DIR").map_err(|error| error.to_string())?;
    let out = env::var("OUT_DIR").map_err(|error| error.to_string())?;
    let dir = Path::new(&home).join("knowledge");
    let named = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    for entry in fs::read_dir(&dir).map_err(|error| named(&dir, error))? {
        let name = entry.map_err(|error| named(&dir, error))?.file_name();
        if !FILES.iter().any(|known| *known == name) {
            return Err(format!(
                "knowledge/{}: it has no place in the order of the files; see build/main.rs",
                name.display()
            ));
        }
    }
    let mut texts = Vec::new();
    for name in FILES {
        let path = dir.join(name);
        texts.push(fs::read_to_string(&path).map_err(|error| named(&path, error))?);
    }
    let files = FILES.iter().zip(&texts);
    let files: Vec<_> = files
        .map(|(name, text)| load::File::new(name, text))
        .collect();
    let compiled = load::files(&files).map_err(|error| format!("knowledge/{error}"))?;
    let json = serde_json::to_string(&compiled).map_err(|error| error.to_string())?;
    let path = Path::new(&out).join("knowledge.json");
    fs::write(&path, json).map_err(|error| named(&path, error))
}
