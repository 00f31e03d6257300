//! Our stub, which calls the mask ROM, with the code of the real one.
//!
//! `GURU_TESTDATA` names a folder whose `rom/` holds Espressif's ELF files of the ROMs. Without it
//! the tests are reported as ignored; with `GURU_REQUIRE_PEERS` of 1 that is a failure.

mod host;
#[expect(dead_code, reason = "some of it is for other tests")]
mod programs;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use guru_wire::Command;
use host::Host;
use libtest_mimic::{Arguments, Trial};
use programs::{hear, start, stub};

/// Chips, and the file of their ROM.
const ROMS: &[(&str, &str)] = &[
    ("esp32", "esp32_rev300_rom.elf"),
    ("esp32c2", "esp32c2_rev100_rom.elf"),
    ("esp32c3", "esp32c3_rev101_rom.elf"),
    ("esp32c5", "esp32c5_rev100_rom.elf"),
    ("esp32c6", "esp32c6_rev0_rom.elf"),
    ("esp32c61", "esp32c61_rev100_rom.elf"),
    ("esp32h2", "esp32h2_rev0_rom.elf"),
    ("esp32p4", "esp32p4_rev300_rom.elf"),
    ("esp32s2", "esp32s2_rev0_rom.elf"),
    ("esp32s3", "esp32s3_rev0_rom.elf"),
    ("esp32s31", "esp32s31_rev0_rom.elf"),
];

fn main() -> ExitCode {
    let folder = env::var_os("GURU_TESTDATA").map(|folder| PathBuf::from(folder).join("rom"));
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let trial = |&(chip, file): &(&'static str, &'static str)| {
        let rom = folder.as_ref().map(|folder| folder.join(file));
        let found = rom.as_ref().is_some_and(|rom| rom.is_file());
        let name = format!("our_stub_attaches_the_flash_through_the_rom_of_{chip}");
        let run = move || match rom.filter(|rom| rom.is_file()) {
            Some(rom) => attach_through(chip, &rom),
            None => Err("GURU_TESTDATA has no such ROM".into()),
        };
        Trial::test(name, run).with_ignored_flag(!found && !required)
    };
    let trials = ROMS.iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn attach_through(chip: &str, rom: &Path) -> Result<(), libtest_mimic::Failed> {
    let mut host = Host::synced(&format!("sim://{chip}?rom={}", rom.display()));
    let (segments, entry) = stub(chip);
    start(&mut host, &segments, entry);
    let heard = hear(&mut host, Duration::from_millis(500));
    if !heard.ends_with(b"\xC0OHAI\xC0") {
        return Err(format!("{heard:x?} {:x?}", host.link.take_events()).into());
    }
    for command in [
        Command::SpiAttach { pins: 0 },
        Command::SpiSetParams { size: 4 << 20 },
    ] {
        host.send(&command);
        let answers = host.collect(Duration::from_millis(200));
        if answers.len() != 1 {
            return Err(format!("{answers:x?} {:x?}", host.link.take_events()).into());
        }
    }
    Ok(())
}
