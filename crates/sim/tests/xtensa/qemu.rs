//! Running a program on our core and on QEMU's.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use guru_sim::cpu::xtensa::{Config, Core, Interrupts, Misaligned};
use guru_sim::cpu::{Access, AddressSpace, Cpu, Stop};

use super::programs::{self, Program, Target, result_len};
use crate::emulator::Elf;

/// `EM_XTENSA`
const MACHINE: u16 = 94;

/// More than any of the programs runs.
const BUDGET: u64 = 300_000_000;

/// Interrupts of both cores with windows.
const INTERRUPTS: Interrupts = Interrupts {
    level: [
        1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 4, 5, 7, 1, 1, 1, 1, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    software: 0x880,
    edge: 0x003f_8000,
    timers: &[6, 10, 13],
    nmi: Some(14),
};

pub const DC232B: Target = Target {
    name: "dc232b",
    base: 0xd001_0000,
    physical: 0x0001_0000,
    config: Config {
        registers: 32,
        booleans: false,
        float: false,
        mul32_high: false,
        misc: 2,
        misaligned: Misaligned::Raises,
        interrupts: INTERRUPTS,
        ..Config::ESP32
    },
};

pub const DE233_FPU: Target = Target {
    name: "de233_fpu",
    base: 0x0001_0000,
    physical: 0x0001_0000,
    config: Config {
        registers: 32,
        mul32_high: false,
        salt: true,
        misc: 2,
        misaligned: Misaligned::Raises,
        interrupts: INTERRUPTS,
        ..Config::ESP32
    },
};

pub const LX106: Target = Target {
    name: "lx106",
    base: 0x6000_0000,
    physical: 0x6000_0000,
    config: Config::LX106,
};

fn ended(target: &Target, program: &Program) -> (Core, AddressSpace) {
    let mut space = AddressSpace::default();
    let ram = space.add_bank(programs::RAM_LEN);
    space
        .add_window(target.base, programs::RAM_LEN, ram, 0, Access::Ram)
        .expect("it fits");
    space.poke(target.base, &program.bytes).expect("it fits");
    let mut core = Core::new(target.config);
    core.set_pc(program.start);
    core.add_breakpoint(program.end);
    let ran = Cpu::run(&mut core, &mut space, BUDGET);
    assert_eq!(
        ran.stop,
        Stop::Breakpoint,
        "the program did not come to its end: {:#x}",
        Cpu::pc(&core)
    );
    (core, space)
}

/// What a program leaves behind on ours.
pub fn ours(target: &Target, program: &Program) -> Vec<u8> {
    let (_, space) = ended(target, program);
    let mut result = vec![0; result_len() as usize];
    space
        .peek(target.base + programs::DUMP, &mut result)
        .expect("it is memory");
    result
}

/// How many instructions a program executes.
pub fn steps(target: &Target, program: &Program) -> u64 {
    ended(target, program).0.steps()
}

/// What it leaves behind on QEMU's.
pub fn theirs(qemu: &OsStr, target: &Target, program: &Program) -> Vec<u8> {
    let (base, physical) = (target.base, target.physical);
    let elf = Elf::new(MACHINE, program.start, base, physical, &program.bytes);
    let loader = format!("loader,file={}", elf.0.display());
    let begin = format!("loader,cpu-num=0,addr={:#x}", program.start);
    // A program that goes astray there must not keep the test.
    let output = Command::new("timeout")
        .arg("60")
        .arg(qemu)
        .args(["-machine", "sim", "-cpu", target.name])
        .args(["-display", "none", "-serial", "none", "-monitor", "none"])
        .args(["-semihosting", "-device", &loader, "-device", &begin])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("QEMU runs");
    output.stdout
}
