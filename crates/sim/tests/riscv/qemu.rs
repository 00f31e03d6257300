//! Running a program on QEMU's `virt` machine.

use std::env;
use std::ffi::OsStr;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::asm::{RAM, bytes};

/// An ELF file of one segment, loaded and entered at the start of RAM.
fn elf(code: &[u8]) -> Vec<u8> {
    const HEADERS: u32 = 52 + 32;
    let half = |value: u16| value.to_le_bytes().to_vec();
    let len = code.len() as u32;
    let mut file = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([half(2), half(243)].concat());
    file.extend(bytes(&[1, RAM, 52, 0, 0]));
    file.extend([half(52), half(32), half(1), half(40), half(0), half(0)].concat());
    file.extend(bytes(&[1, HEADERS, RAM, RAM, len, len, 7, 4]));
    file.extend(code);
    file
}

/// What the program sends.
pub fn theirs(qemu: &OsStr, code: &[u8]) -> Vec<u8> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("guru-riscv-{}-{number}.elf", process::id());
    let path = env::temp_dir().join(name);
    std::fs::write(&path, elf(code)).expect("a temporary file");
    let mut command = Command::new(qemu);
    command.args([
        "-machine", "virt", "-bios", "none", "-m", "32M", "-display", "none",
    ]);
    command.args([
        "-cpu",
        "rv32,d=false,f=false,zba=false,zbb=false,zbc=false,zbs=false",
    ]);
    command
        .args(["-serial", "stdio", "-monitor", "none", "-kernel"])
        .arg(&path);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("QEMU runs");
    std::fs::remove_file(&path).expect("it was written");
    output.stdout
}
