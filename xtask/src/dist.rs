//! `cargo xtask dist`: an archive with all that a release of one target consists of, and its digest.
//!
//! The same source, compiler and folders make the same bytes: entries are sorted, and have no owner and the
//! oldest time that a ZIP file can tell.

mod archive;
mod licences;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Result;
use archive::{Entry, Kind};

/// Shells, and what each wants its file to be called.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "guru.bash"),
    ("zsh", "_guru"),
    ("fish", "guru.fish"),
    ("powershell", "_guru.ps1"),
    ("elvish", "guru.elv"),
];

/// Files of the repository that come along.
const TEXTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// What is packed.
#[derive(Clone, Copy)]
pub enum Program<'a> {
    /// Built as it is released, for this machine.
    Here,
    /// The same for a target, by its triple.
    For(&'a str),
    /// This one, which is built already, for this machine.
    Built(&'a Path),
}

/// Builds the program, unless it is there, and packs.
pub fn run(program: Program) -> Result<()> {
    let root = fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    let host = host()?;
    let target = match program {
        Program::For(target) => target,
        Program::Here | Program::Built(_) => &host,
    };
    let windows = target.contains("windows");
    let metadata = metadata(&root, target)?;
    let output = PathBuf::from(text(&metadata["target_directory"])?);

    // What is made by running the program is made by one that runs here.
    let here = match program {
        Program::Built(path) => path.to_owned(),
        Program::Here | Program::For(_) => build(&root, &output, None)?,
    };
    let program = if target == host {
        here.clone()
    } else {
        build(&root, &output, Some(target))?
    };

    let name = format!("guru-{}-{target}", version(&metadata)?);
    let mut entries = vec![Entry {
        path: if windows { "guru.exe" } else { "guru" }.to_owned(),
        bytes: fs::read(program)?,
        executable: true,
    }];
    for path in TEXTS {
        entries.push(Entry::text(path, fs::read(root.join(path))?));
    }
    for path in files(&root.join("docs"))? {
        entries.push(Entry::text(
            format!("docs/{}", file_name(&path)),
            fs::read(&path)?,
        ));
    }
    for (shell, file) in COMPLETIONS {
        let completions = said(Command::new(&here).args(["completions", shell]))?;
        entries.push(Entry::text(format!("completions/{file}"), completions));
    }
    let pages = output.join("dist/man");
    if pages.exists() {
        fs::remove_dir_all(&pages)?;
    }
    said(Command::new(&here).arg("man").arg(&pages))?;
    for path in files(&pages)? {
        entries.push(Entry::text(
            format!("man/{}", file_name(&path)),
            fs::read(&path)?,
        ));
    }
    fs::remove_dir_all(&pages)?;
    entries.push(Entry::text("LICENSES.txt", licences::of(&metadata)?));
    for entry in &mut entries {
        entry.path = format!("{name}/{}", entry.path);
    }

    let kind = if windows { Kind::Zip } else { Kind::TarGz };
    let bytes = archive::pack(kind, entries)?;
    let file = format!("{name}.{}", kind.extension());
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = output.join("dist");
    fs::write(folder.join(&file), &bytes)?;
    // As `sha256sum --check` reads it.
    fs::write(
        folder.join(format!("{file}.sha256")),
        format!("{digest}  {file}\n"),
    )?;
    say(&folder.join(&file));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the next step of a release takes")]
fn say(path: &Path) {
    println!("{}", path.display());
}

/// Builds the program as it is released, for a target or for this machine, and returns its path.
fn build(root: &Path, output: &Path, target: Option<&str>) -> Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--quiet", "--locked", "--release", "--bin", "guru"])
        .current_dir(root);
    let mut folder = output.to_owned();
    if let Some(target) = target {
        command.args(["--target", target]);
        folder.push(target);
    }
    if !command.status()?.success() {
        return Err("guru cannot be built".into());
    }
    let windows = target.map_or(cfg!(windows), |target| target.contains("windows"));
    Ok(folder
        .join("release")
        .join(if windows { "guru.exe" } else { "guru" }))
}

fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = String::from_utf8(said(Command::new(rustc).arg("-vV"))?)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not say where it runs")?.to_owned())
}

/// What Cargo knows about the packages that are needed for a target.
fn metadata(root: &Path, target: &str) -> Result<Value> {
    let json = said(
        Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked"])
            .args(["--filter-platform", target])
            .current_dir(root),
    )?;
    Ok(serde_json::from_slice(&json)?)
}

fn version(metadata: &Value) -> Result<&str> {
    let packages = metadata["packages"].as_array();
    let guru = packages
        .and_then(|packages| packages.iter().find(|package| package["name"] == "guru"))
        .ok_or("the package guru is missing")?;
    text(&guru["version"])
}

fn text(value: &Value) -> Result<&str> {
    Ok(value.as_str().ok_or("cargo metadata has another form")?)
}

/// Runs a program that must succeed, and returns what it said.
fn said(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{command:?}: {}\n{errors}", output.status).into());
    }
    Ok(output.stdout)
}

/// The files of a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
