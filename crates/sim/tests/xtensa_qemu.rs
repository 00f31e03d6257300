//! Random programs on our Xtensa cores and on QEMU's: they must leave the same registers, memory
//! and exceptions behind.
//!
//! QEMU has none of the chips' cores but the ESP8266's. Ours is given the options of the ones that
//! it has: DC232B (windows, loops, MAC16), DE233_FPU (the same, booleans, floating point), LX106.
//!
//! `GURU_QEMU_XTENSA` names the program `qemu-system-xtensa` (Debian: `qemu-system-misc`). Without
//! it the comparison is reported as ignored; with `GURU_REQUIRE_PEERS` of 1 that is a failure.

#[path = "xtensa/asm.rs"]
mod asm;
#[path = "xtensa/programs.rs"]
mod programs;

use std::env;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use guru_sim::cpu::xtensa::{Config, Core, Misaligned};
use guru_sim::cpu::{Access, AddressSpace, Cpu, Fault, Registers, Stop, Width};
use libtest_mimic::{Arguments, Trial};

use programs::{Program, Target, result_len};

const PROGRAMS: u64 = 40;
/// More than any of the programs runs.
const BUDGET: u64 = 20_000_000;

const DC232B: Target = Target {
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
        ..Config::ESP32
    },
};

const DE233_FPU: Target = Target {
    name: "de233_fpu",
    base: 0x0001_0000,
    physical: 0x0001_0000,
    config: Config {
        registers: 32,
        mul32_high: false,
        salt: true,
        misc: 2,
        misaligned: Misaligned::Raises,
        ..Config::ESP32
    },
};

const LX106: Target = Target {
    name: "lx106",
    base: 0x6000_0000,
    physical: 0x6000_0000,
    config: Config::LX106,
};

struct Nothing;

impl Registers for Nothing {
    fn read(&mut self, _: u32, _: Width) -> Result<u32, Fault> {
        Err(Fault::Unmapped)
    }
    fn write(&mut self, _: u32, _: Width, _: u32) -> Result<(), Fault> {
        Err(Fault::Unmapped)
    }
}

fn ours(target: &Target, program: &Program) -> Vec<u8> {
    let mut space = AddressSpace::new(Nothing);
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
    let mut result = vec![0; result_len() as usize];
    space
        .peek(target.base + programs::DUMP, &mut result)
        .expect("it is memory");
    result
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

fn theirs(qemu: &OsStr, target: &Target, program: &Program) -> Vec<u8> {
    let name = format!("guru-xtensa-{}-{}.elf", target.name, std::process::id());
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

fn compare(qemu: &OsStr, target: &Target) {
    for seed in 1..=PROGRAMS {
        let program = programs::program(target, seed);
        let (ours, theirs) = (ours(target, &program), theirs(qemu, target, &program));
        assert_eq!(ours.len(), theirs.len(), "program {seed}: bytes sent");
        // The exceptions first: what else differs often follows from one.
        let log = programs::LOG_IN_RESULT as usize;
        let mut order = (log..ours.len()).step_by(4).chain((0..log).step_by(4));
        let differs = order.find(|&at| ours[at..at + 4] != theirs[at..at + 4]);
        if let Some(at) = differs {
            let context = |sent: &[u8]| -> Vec<String> {
                let at = at & !15;
                sent[at.saturating_sub(16)..(at + 32).min(sent.len())]
                    .chunks_exact(4)
                    .map(|w| format!("{:08x}", u32::from_le_bytes([w[0], w[1], w[2], w[3]])))
                    .collect()
            };
            panic!(
                "program {seed}: {}:\n{:?}, on QEMU\n{:?}",
                programs::place(target, at as u32),
                context(&ours),
                context(&theirs)
            );
        }
    }
}

fn come_to_their_end(target: &Target) {
    for seed in 1..=PROGRAMS {
        ours(target, &programs::program(target, seed));
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let qemu = env::var_os("GURU_QEMU_XTENSA");
    let ignored = qemu.is_none() && !required;
    let mut trials = Vec::new();
    for target in [DC232B, DE233_FPU, LX106] {
        let name = target.name;
        let qemu = qemu.clone();
        let compared = move || {
            let qemu = qemu.ok_or("GURU_QEMU_XTENSA is not set")?;
            compare(&qemu, &target);
            Ok(())
        };
        let named = format!("random_programs_leave_the_same_behind_as_on_qemus_{name}");
        trials.push(
            Trial::test(named, compared)
                .with_kind("needs GURU_QEMU_XTENSA")
                .with_ignored_flag(ignored),
        );
        let named = format!("random_programs_for_{name}_come_to_their_end");
        trials.push(Trial::test(named, move || {
            come_to_their_end(&target);
            Ok(())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
