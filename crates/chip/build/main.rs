//! Turns `chips/*.toml` into Rust tables. A file that breaks a rule fails the build, with its name,
//! the key and what was found; all such findings are listed at once.

#[path = "generate.rs"]
mod generate;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

#[expect(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
fn main() -> ExitCode {
    // A directory stands for all that is in it, so that a new file is seen.
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../chips");
    println!("cargo::rerun-if-changed={}", dir.display());
    println!("cargo::rerun-if-changed=build");
    let written = generate::generate(&dir).and_then(|text| write(&text).map_err(|e| vec![e]));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            for problem in problems {
                println!("cargo::error={}", problem.trim_end().replace('\n', "  "));
            }
            ExitCode::FAILURE
        }
    }
}

fn write(text: &str) -> Result<(), String> {
    let out = env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?;
    let path = Path::new(&out).join("chips.rs");
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}
