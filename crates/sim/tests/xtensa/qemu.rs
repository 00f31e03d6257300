//! Running a program on our core and on QEMU's.

use std::env;
use std::ffi::OsStr;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use guru_sim::cpu::xtensa::{Config, Core, Interrupts, Misaligned};
use guru_sim::cpu::{Access, AddressSpace, Cpu, Stop};

use super::programs::{self, Program, Target, result_len};

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

/// An ELF file of one segment.
fn elf(target: &Target, entry: u32, code: &[u8]) -> Vec<u8> {
    const HEADERS: u32 = 52 + 32;
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let half = |value: u16| value.to_le_bytes().to_vec();
    let len = code.len() as u32;
    let mut file = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([half(2), half(94)].concat());
    file.extend(words(&[1, entry, 52, 0, 0]));
    file.extend([half(52), half(32), half(1), half(40), half(0), half(0)].concat());
    file.extend(words(&[
        1,
        HEADERS,
        target.base,
        target.physical,
        len,
        len,
        7,
        4,
    ]));
    file.extend(code);
    file
}

/// What it leaves behind on QEMU's.
pub fn theirs(qemu: &OsStr, target: &Target, program: &Program) -> Vec<u8> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("guru-xtensa-{}-{number}.elf", process::id());
    let path = env::temp_dir().join(name);
    let file = elf(target, program.start, &program.bytes);
    std::fs::write(&path, file).expect("a temporary file");
    let loader = format!("loader,file={}", path.display());
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
    std::fs::remove_file(&path).expect("it was written");
    output.stdout
}
