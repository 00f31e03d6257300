//! Tasks for people who work on Guru: `cargo xtask TASK`.

mod bench;
mod chips;
mod dist;
mod elf;
mod examples;
mod film;
mod image;
mod messages;
#[cfg(test)]
mod platform;
mod rom_symbols;
mod stub;

use std::error::Error;
use std::process::ExitCode;

use bench::Part;
use dist::Program;

const USAGE: &str = "\
usage: cargo xtask TASK

  examples [--check]   compile the programs in examples/ and write their images;
                       --check: compare them with those in the repository instead
  chips [--check]      write docs/chips.md from the data in chips/; --check: compare instead
  messages CHECKOUT[@REVISION].. [ELF..]
                       write what ESP-IDF and the ROMs print when a chip dies (crates/crash/data)
  stub [--check]       compile stub/ for every chip and write stub/blobs; --check: compare instead
  stub --test          test the parts of the stub that need no chip, with this machine's compiler
  rom-symbols [--check] FOLDER
                       read Espressif's ROM ELF files and write crates/symbols/src/rom/table.bin;
                       --check: compare instead
  dist [TRIPLE]        build an archive for a release, for this machine or another target
  dist --built PROGRAM pack a program that is built already, for this machine
  bench                measure beside esptool (GURU_ESPTOOL) and write docs/performance.md
  bench PART           measure one part anew: rom, stubs-esp32c3, stubs-esp32, stubs-esp8266, images, explain or cpu
";

/// What went wrong, for the person at the keyboard.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[expect(clippy::print_stderr, reason = "a program that talks to a person")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["examples"] => examples::run(examples::Mode::Write),
        ["examples", "--check"] => examples::run(examples::Mode::Check),
        ["chips"] => chips::run(chips::Mode::Write),
        ["chips", "--check"] => chips::run(chips::Mode::Check),
        ["messages", ref sources @ ..] if !sources.is_empty() => messages::run(sources),
        ["stub"] => stub::run(stub::Mode::Write),
        ["stub", "--check"] => stub::run(stub::Mode::Check),
        ["stub", "--test"] => stub::test::run(),
        ["rom-symbols", folder] => rom_symbols::run(folder, rom_symbols::Mode::Write),
        ["rom-symbols", "--check", folder] => rom_symbols::run(folder, rom_symbols::Mode::Check),
        ["dist"] => dist::run(Program::Here),
        ["dist", "--built", program] => dist::run(Program::Built(program.as_ref())),
        ["dist", target] => dist::run(Program::For(target)),
        ["bench"] => bench::measure_parts(&Part::ALL),
        ["bench", name] => match part(name) {
            Some(part) => bench::measure_parts(&[part]),
            None => return usage(),
        },
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a program that talks to a person")]
fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

/// The part of the bench that is named so.
fn part(name: &str) -> Option<Part> {
    Part::ALL.into_iter().find(|part| part.name() == name)
}

#[expect(clippy::print_stdout, reason = "a program that reports to a person")]
fn report(line: &str) {
    println!("{line}");
}
