//! Running a program on QEMU's `virt` machine.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use super::asm::RAM;
use crate::emulator::Elf;

/// `EM_RISCV`
const MACHINE: u16 = 243;

/// What the program sends.
pub fn theirs(qemu: &OsStr, code: &[u8]) -> Vec<u8> {
    let elf = Elf::new(MACHINE, RAM, RAM, RAM, code);
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
        .arg(&elf.0);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("QEMU runs");
    output.stdout
}
