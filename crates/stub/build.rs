//! Embeds what `stub/blobs` holds: a new chip's stub is there without a line of code.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked when it runs: a script that cargo did not build again may stand in a moved checkout.
    let home = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let dir = Path::new(&home).join("../../stub/blobs");
    println!("cargo::rerun-if-changed={}", dir.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            names.push(path.canonicalize()?.with_extension(""));
        }
    }
    names.sort();
    let mut text = String::from("pub(crate) static BLOBS: &[Blob] = &[\n");
    for path in &names {
        let stem = path.file_name().unwrap_or_default().to_string_lossy();
        let (description, bytes) = (path.with_extension("toml"), path.with_extension("bin"));
        // A failed write to a String cannot happen.
        let _ = writeln!(
            text,
            "    Blob {{ stem: {stem:?}, description: include_str!({description:?}), \
             bytes: include_bytes!({bytes:?}) }},"
        );
    }
    text.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("blobs.rs"), text)
}
