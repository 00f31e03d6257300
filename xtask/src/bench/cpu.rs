//! How fast a virtual chip executes: a loop as compilers write them, with loads, stores and a branch.

use std::fs;

use guru_testkit::elf::{self, ElfWriter, RISCV};

use super::process::usages;
use super::{Section, Setup};
use crate::Result;

/// Millions of instructions a second, at the least.
const AIM: f64 = 50.0;
/// Instructions of the loop, and how often it is gone through.
const LOOP: u32 = 6;
const TURNS: u32 = 50 << 20;
/// What the program says at its end.
const DONE: &str = "executed";
/// Where it stands in the ESP32-C3's RAM, and what it works on.
const CODE: u32 = 0x4038_4000;
const DATA: u32 = 0x3FC9_0000;
const UART_FIFO: u32 = 0x6000_0000;

/// Millions of instructions that one core executes in a second of its time, the start and the upload
/// counted against it.
pub fn measure(setup: &Setup) -> Result<Option<f64>> {
    fs::write(setup.folder.join("loop.elf"), program().bytes())?;
    let line = ["--port", "sim://esp32c3?fast", "load-ram", "loop.elf"];
    let until = ["--monitor-until", DONE, "--monitor-for", "60"];
    let ours = || setup.ours(line.iter().chain(&until));
    let [spent] = usages([&ours], &setup.folder)?;
    let millions = f64::from(LOOP) * f64::from(TURNS) / 1e6;
    Ok(spent.cpu.map(|cpu| millions / cpu.as_secs_f64()))
}

/// What was aimed at.
pub fn section(mips: Option<f64>) -> Section {
    let aim = (
        format!("a virtual chip executes {AIM:.0} million instructions a second"),
        mips.map_or("unknown".to_owned(), |mips| format!("{mips:.0} million")),
        mips.is_some_and(|mips| mips >= AIM),
    );
    Section {
        aims: vec![aim],
        text: String::new(),
    }
}

fn program() -> ElfWriter {
    let [t0, t1, t2, a0, a1, a2] = [5, 6, 7, 10, 11, 12];
    let lui = |rd: u32, value: u32| value & 0xFFFF_F000 | rd << 7 | 0x37;
    let addi = |rd: u32, rs1: u32, value: i32| (value as u32) << 20 | rs1 << 15 | rd << 7 | 0x13;
    let sw = |rs2: u32, rs1: u32, at: u32| rs2 << 20 | rs1 << 15 | 2 << 12 | at << 7 | 0x23;
    let mut words = vec![
        lui(a0, DATA),
        lui(a1, UART_FIFO),
        lui(t0, TURNS),
        a0 << 15 | 2 << 12 | t1 << 7 | 0x03,
        t0 << 20 | t1 << 15 | t1 << 7 | 0x33,
        t0 << 20 | t1 << 15 | 4 << 12 | t2 << 7 | 0x33,
        sw(t2, a0, 4),
        addi(t0, t0, -1),
        // bnez t0, to the load: back over five words.
        0xFE02_96E3,
    ];
    for byte in DONE.bytes() {
        words.extend([addi(a2, 0, i32::from(byte)), sw(a2, a1, 0)]);
    }
    // For ever.
    words.push(0x6F);
    let code = words.into_iter().flat_map(u32::to_le_bytes).collect();
    ElfWriter {
        machine: RISCV,
        entry: CODE,
        sections: vec![elf::Section::new(".text", CODE, code)],
    }
}
