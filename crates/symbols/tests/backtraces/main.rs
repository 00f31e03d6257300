//! Backtraces beside what is known otherwise: the calls that a CPU model really made, GDB's, and the
//! ones that Espressif and probe-rs have published for real dumps.
//!
//! Tools are named by environment variables: `GURU_RISCV_GCC` (`riscv64-unknown-elf-gcc`, binutils
//! beside it), `GURU_GDB` (`gdb-multiarch`), `GURU_CLANG` and `GURU_LX106_GCC` (code with register
//! windows and without), `GURU_TESTDATA` (real dumps). What is missing is reported as ignored; with
//! `GURU_REQUIRE_PEERS` of 1 that is a failure.

mod elf_core;
mod espressif;
mod gdb;
mod probe_rs;
mod program;
mod riscv;
mod tools;
mod xtensa;

use std::env;

use libtest_mimic::{Arguments, Failed, Trial};

/// Whether a variable is set.
fn has(variable: &str) -> bool {
    env::var_os(variable).is_some()
}

fn main() {
    let arguments = Arguments::from_args();
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let mut trials = Vec::new();
    let mut add = |name: &str, needs: &'static [&'static str], test: fn() -> Result<(), Failed>| {
        let missing = needs.iter().find(|variable| !has(variable));
        let trial = Trial::test(name, move || match missing {
            Some(variable) => Err(format!("{variable} is not set").into()),
            None => test(),
        });
        let kind = missing.copied().unwrap_or_default();
        trials.push(
            trial
                .with_kind(kind)
                .with_ignored_flag(missing.is_some() && !required),
        );
    };
    add(
        "riscv_chains_are_those_of_the_calls_and_of_gdb",
        &["GURU_RISCV_GCC", "GURU_GDB"],
        riscv::calls_and_gdb,
    );
    add(
        "riscv_chains_without_frame_information_are_those_of_the_calls",
        &["GURU_RISCV_GCC"],
        riscv::without_frame_information,
    );
    add(
        "riscv_handlers_lead_to_what_they_interrupted",
        &["GURU_RISCV_GCC"],
        riscv::through_handlers,
    );
    add(
        "riscv_stacks_that_are_damaged_give_no_invented_frames",
        &["GURU_RISCV_GCC"],
        riscv::damaged_stacks,
    );
    add(
        "riscv_core_dumps_are_as_espressif_prints_them",
        &["GURU_TESTDATA"],
        espressif::riscv,
    );
    add(
        "xtensa_core_dump_is_as_espressif_prints_it",
        &["GURU_TESTDATA"],
        espressif::xtensa,
    );
    add(
        "a_rust_dump_is_as_probe_rs_unwinds_it",
        &["GURU_TESTDATA"],
        probe_rs::rust,
    );
    add(
        "rom_frames_by_code_are_those_of_their_frame_information",
        &["GURU_TESTDATA"],
        espressif::rom_frames,
    );
    add(
        "windowed_chains_are_those_of_the_calls",
        &["GURU_CLANG", "GURU_LX106_GCC"],
        xtensa::windowed,
    );
    add(
        "windowed_calls_of_wild_pointers_lead_to_the_caller",
        &["GURU_CLANG", "GURU_LX106_GCC"],
        xtensa::wild_pointers,
    );
    add(
        "call0_candidates_hold_the_calls",
        &["GURU_LX106_GCC"],
        xtensa::call0,
    );
    libtest_mimic::run(&arguments, trials).exit();
}
