//! Whether ELF files are those of the firmware that printed a log.

use guru_symbols::{Machine, Program, Symbols, rom};

use super::address::Region;
use super::crash::memory_map;
use super::log::Log;
use super::model::{ElfFile, ElfFit, ElfVerdict};
use crate::Family;

/// What to do with an ELF file that is another build's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It decodes nothing: its names would be wrong.
    No,
    /// It decodes all the same.
    Yes,
}

/// ELF files that were judged.
#[derive(Debug)]
pub struct Judged {
    /// What may be decoded by: the files that are taken, and the chip's ROM.
    pub symbols: Symbols,
    /// What is said of each file.
    pub verdict: ElfVerdict,
}

impl Judged {
    /// The file that is not the firmware's, if there is one.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        let refused = |file: &&ElfFile| !file.used;
        self.verdict
            .files
            .iter()
            .find(refused)
            .map(|file| file.name.as_str())
    }
}

/// Addresses of a log that are held against an ELF file.
const MAX_ADDRESSES: usize = 256;
/// Of these, for how many debugging information is read before it is clear whether the file is right.
const PREPARED: usize = 8;

/// Reads now, of the debugging information of ELF files, what this log will need. [`judge`] and
/// [`super::explain()`] do it where it was not done.
pub fn prepare(log: &Log, programs: &[Program]) {
    let addresses = addresses(log);
    for program in programs {
        program.prepare(addresses.get(..PREPARED).unwrap_or(&addresses));
    }
}

/// Judges ELF files by what the log printed.
#[must_use]
pub fn judge(log: &Log, programs: Vec<Program>, force: Force) -> Judged {
    let digests = log.printed_digests();
    let mut symbols = Symbols::new();
    let machine = machine(log);
    let addresses = addresses(log);
    let mut read = Vec::new();
    for program in programs {
        let sha256 = program.sha256();
        let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let same = digests.iter().any(|digits| sha256.starts_with(digits));
        read.push((program, sha256, same));
    }
    let one_is_same = read.iter().any(|(.., same)| *same);
    let mut verdict = ElfVerdict {
        printed_sha256: digests.first().map(|digits| (*digits).to_owned()),
        ..ElfVerdict::default()
    };
    for (program, sha256, same) in read {
        let in_code = addresses
            .iter()
            .filter(|address| program.is_code(**address))
            .count();
        let fit = if machine.is_some_and(|machine| machine != program.machine()) {
            ElfFit::OtherMachine
        } else if same {
            ElfFit::Same
        } else if one_is_same {
            ElfFit::Beside
        } else if !digests.is_empty() {
            ElfFit::OtherBuild
        } else if addresses.is_empty() {
            ElfFit::Unchecked
        } else if in_code == 0 {
            ElfFit::NoCode
        } else {
            ElfFit::Plausible
        };
        let used = match fit {
            ElfFit::OtherMachine => false,
            ElfFit::OtherBuild | ElfFit::NoCode => force == Force::Yes,
            _ => true,
        };
        let sha256: String = sha256.chars().take(16).collect();
        let mut text = said(
            program.name(),
            fit,
            &sha256,
            digests.first().copied(),
            program.machine(),
        );
        if used && matches!(fit, ElfFit::OtherBuild | ElfFit::NoCode) {
            text.push_str(
                " It is used all the same, as --force asks: functions and lines may be wrong.",
            );
        }
        if used && program.stripped() {
            text.push_str(
                " It has no symbols (it was stripped); the file that the linker made has them.",
            );
        } else if used && !program.has_lines() {
            text.push_str(
                " It has no debugging information: functions are named, files and lines are not.",
            );
        }
        verdict.files.push(ElfFile {
            name: program.name().to_owned(),
            sha256,
            fit,
            used,
            text,
        });
        if used {
            symbols.add_program(program);
        }
    }
    if let (Some(chip), Some(build)) = (log.chip, &log.rom) {
        let by_name = build.name.as_deref().and_then(|name| rom::find(chip, name));
        symbols.set_rom(by_name.or_else(|| rom::find(chip, &build.date)));
    }
    verdict.advice = advice(log, &verdict);
    Judged { symbols, verdict }
}

fn said(name: &str, fit: ElfFit, sha256: &str, printed: Option<&str>, machine: Machine) -> String {
    let printed = printed.unwrap_or_default();
    match fit {
        ElfFit::Same => format!("'{name}' is the firmware's: the log has its SHA-256 ({printed})."),
        ElfFit::Beside => format!("'{name}' is taken for a part of the same firmware."),
        ElfFit::Plausible => format!(
            "'{name}' can be the firmware's: addresses of the log are code in it. The log has no SHA-256 \
             of the ELF file, so that this cannot be checked."
        ),
        ElfFit::Unchecked => {
            format!("'{name}': the log has neither an address nor a SHA-256 to compare it with.")
        }
        ElfFit::OtherBuild => format!(
            "'{name}' is not the firmware's: the log was printed by a build whose ELF file's SHA-256 begins \
             with {printed}, and this one's is {sha256}. Nothing is decoded by it, since its functions and \
             lines would be wrong ones. The right file is the one from the very build that was flashed."
        ),
        ElfFit::OtherMachine => format!(
            "'{name}' is not the firmware's: it is for {}, and the crashed CPU is another.",
            match machine {
                Machine::Xtensa => "Xtensa",
                Machine::RiscV => "RISC-V",
            }
        ),
        ElfFit::NoCode => format!(
            "'{name}' cannot be the firmware's: not one address of the log is code in it. Nothing is decoded \
             by it."
        ),
    }
}

/// What to do about ELF files.
fn advice(log: &Log, verdict: &ElfVerdict) -> Vec<String> {
    if log.crashes.is_empty() || verdict.files.iter().any(|file| file.used) {
        return Vec::new();
    }
    let mut advice = Vec::new();
    if verdict.files.is_empty() {
        let mut text =
            "With the firmware's ELF file (--elf) addresses become functions, files and lines, \
             inlined callers are shown"
                .to_owned();
        let riscv = log
            .crashes
            .iter()
            .any(|seen| seen.crash.family == Some(Family::RiscV));
        if riscv {
            text.push_str(", and on RISC-V the callers are found at all");
        }
        text.push('.');
        advice.push(text);
    }
    advice.push(
        "It is build/PROJECT.elf with ESP-IDF, .pio/build/ENVIRONMENT/firmware.elf with PlatformIO, \
         target/TARGET/PROFILE/NAME with cargo; Arduino keeps it where --build-path says or, with Sketch > \
         Export Compiled Binary, in the sketch's folder."
            .to_owned(),
    );
    if let Some(digits) = &verdict.printed_sha256 {
        advice.push(format!(
            "The right file is the one whose SHA-256 (sha256sum FILE) begins with {digits}."
        ));
    }
    advice
}

/// What the crashed CPUs are.
fn machine(log: &Log) -> Option<Machine> {
    let mut families = log.crashes.iter().filter_map(|seen| seen.crash.family);
    let of_chip = || log.chip.map(Family::of);
    let family = families.next().or_else(of_chip)?;
    Some(match family {
        Family::RiscV => Machine::RiscV,
        Family::Xtensa | Family::Esp8266 => Machine::Xtensa,
    })
}

/// Addresses at which the firmware says that it has code.
fn addresses(log: &Log) -> Vec<u32> {
    let mut addresses = Vec::new();
    for seen in &log.crashes {
        let crash = &seen.crash;
        let map = memory_map(crash, log.chip);
        // A wild jump leads anywhere: only what can be the firmware's own code counts.
        let own = |address: &u32| {
            let region = map.region(*address).flatten();
            region.is_some_and(|region| region.may_hold_code() && region != Region::Rom)
        };
        for core in &crash.cores {
            let registers = [core.pc(), core.register("RA")];
            let frames = core
                .backtraces
                .iter()
                .flat_map(|backtrace| &backtrace.frames);
            let frames = frames.map(|frame| frame.pc);
            addresses.extend(registers.into_iter().flatten().chain(frames).filter(own));
        }
    }
    addresses.truncate(MAX_ADDRESSES);
    addresses
}
