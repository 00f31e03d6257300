//! `cargo xtask stub`: compiles stub/ for every chip, and writes what the loader uploads to
//! stub/blobs. The same sources and compilers give the same bytes.

mod blob;
mod chip;
pub mod test;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::elf::Program;
use crate::{Result, report};
use blob::Blob;
use chip::{Entry, Stub};

/// More is an error: it would show that something has crept in.
const MAX_LEN: usize = 8 * 1024;

const SOURCES: [&str; 12] = [
    "main.c",
    "commands.c",
    "write.c",
    "read.c",
    "flash.c",
    "plan.c",
    "host.c",
    "slip.c",
    "uart.c",
    "usb_jtag.c",
    "md5.c",
    "inflate.c",
];

/// What to do with a new blob.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Put it into the repository.
    Write,
    /// Compare it with the one that is there.
    Check,
}

/// Builds all stubs. A missing compiler is an error: a check that checks nothing is none.
pub fn run(mode: Mode) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let blobs = root.join("stub/blobs");
    fs::create_dir_all(&blobs)?;
    let mut stale = Vec::new();
    for entry in chip::entries(&root.join("chips"))? {
        for stub in &entry.stub {
            let blob = build(&root, &entry, stub)?;
            let (bin, text) = (blob.bytes(), blob.description(&stub.blob));
            let files = [
                (blobs.join(format!("{}.bin", stub.blob)), bin.clone()),
                (blobs.join(format!("{}.toml", stub.blob)), text.into_bytes()),
            ];
            for (path, bytes) in files {
                match mode {
                    Mode::Write => fs::write(path, bytes)?,
                    Mode::Check if fs::read(&path).is_ok_and(|old| old == bytes) => {}
                    Mode::Check => stale.push(path),
                }
            }
            report(&format!("{}: {} bytes", stub.blob, bin.len()));
        }
    }
    match stale.first() {
        None => Ok(()),
        Some(path) => Err(format!(
            "{} is not what its source gives here: run `cargo xtask stub` (another version of the \
             compiler may give another stub)",
            path.display()
        )
        .into()),
    }
}

fn build(root: &Path, entry: &Entry, stub: &Stub) -> Result<Blob> {
    let folder = root.join("target/stub").join(&stub.blob);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("chip.h"), chip::header(entry, stub)?)?;
    fs::write(folder.join("link.ld"), chip::linker_script(stub))?;

    let (compiler, machine, assembly): (_, &[&str], &[&str]) = if entry.is_riscv() {
        (
            "riscv64-unknown-elf-gcc",
            &[
                "-march=rv32imc_zicsr",
                "-mabi=ilp32",
                "-msmall-data-limit=0",
                "-msave-restore",
            ],
            &["riscv/entry.S", "riscv/save.S"],
        )
    } else {
        (
            "xtensa-lx106-elf-gcc",
            &[
                "-mtext-section-literals",
                "-mno-target-align",
                // Where order matters between two registers, `ordered` of io.h says so.
                "-mno-serialize-volatile",
                // Smaller, found by trial.
                "-frename-registers",
                "-fira-algorithm=priority",
                "-fno-tree-loop-im",
                "-fno-tree-fre",
            ],
            &["xtensa/entry.S"],
        )
    };
    let source = root.join("stub/src");
    let elf = folder.join("stub.elf");
    let mut command = Command::new(compiler);
    command
        .args(machine)
        .args(["-std=c11", "-Os", "-Wall", "-Wextra", "-Werror"])
        .args([
            "-ffreestanding",
            "-fno-builtin",
            "-fno-tree-loop-distribute-patterns",
            // Smaller, found by trial.
            "-fno-move-loop-invariants",
            "-fno-tree-ch",
        ])
        .args([
            "-ffunction-sections",
            "-fdata-sections",
            "-fno-ident",
            "-flto",
            "-frandom-seed=0",
        ])
        .args(["-nostdlib", "-static", "-Wl,--gc-sections,--build-id=none"])
        .arg("-I")
        .arg(&folder)
        .arg("-T")
        .arg(folder.join("link.ld"))
        .arg("-o")
        .arg(&elf)
        .args(assembly.iter().map(|name| source.join("arch").join(name)));
    command.args(sources(&source));
    let status = command.status().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!(
            "{compiler} is not installed (Debian: gcc-riscv64-unknown-elf, gcc-xtensa-lx106)"
        ),
        _ => format!("{compiler}: {error}"),
    })?;
    if !status.success() {
        return Err(format!("{}: {compiler} failed", stub.blob).into());
    }
    let blob = Blob::new(Program::parse(&fs::read(elf)?)?, stub)?;
    let len = blob.bytes().len();
    if len > MAX_LEN {
        return Err(format!("{}: {len} bytes are more than {MAX_LEN}", stub.blob).into());
    }
    Ok(blob)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    SOURCES.iter().map(|name| folder.join(name)).collect()
}
