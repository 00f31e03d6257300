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
mod emulator;
#[expect(dead_code, reason = "compiled programs are for another test")]
#[path = "xtensa/programs.rs"]
mod programs;
#[expect(dead_code, reason = "speed is measured there")]
#[path = "xtensa/qemu.rs"]
mod qemu;
mod random;

use std::env;
use std::ffi::OsStr;

use libtest_mimic::{Arguments, Trial};

use programs::Target;
use qemu::{DC232B, DE233_FPU, LX106, ours, theirs};

const PROGRAMS: u64 = 40;
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

/// EXCCAUSE of an interrupt of level 1.
const INTERRUPT: [u8; 4] = [4, 0, 0, 0];

fn come_to_their_end(target: &Target) {
    let mut interrupts = 0;
    for seed in 1..=PROGRAMS {
        let result = ours(target, &programs::program(target, seed));
        let log = result[programs::LOG_IN_RESULT as usize..].chunks_exact(16);
        interrupts += log.filter(|entry| entry[..4] == INTERRUPT).count();
    }
    assert!(interrupts >= 10, "{interrupts} interrupts");
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
