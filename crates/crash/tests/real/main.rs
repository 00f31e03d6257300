//! Real logs, dumps and programs, of `GURU_TESTDATA`. Without it these tests are ignored, or, with
//! `GURU_REQUIRE_PEERS=1`, fail.

mod damaged;
mod dumps;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use guru_chip::ResetCause;
use guru_crash::explain::{ElfFit, Explanation, Force, Inputs, Log, explain, judge};
use guru_crash::knowledge::Knowledge;
use guru_crash::{Event, Parser};
use guru_symbols::Program;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

type Test = fn(&Path) -> Result<(), Failed>;

fn main() {
    let tests: [(&str, Test); 6] = [
        ("a_real_boot_log_has_one_boot_and_no_crash", boot_log),
        (
            "real_dumps_of_riscv_are_explained_with_gdbs_frames",
            dumps::riscv,
        ),
        (
            "real_dumps_of_xtensa_are_explained_with_gdbs_frames",
            dumps::xtensa,
        ),
        ("a_program_without_symbols_names_nothing", damaged::stripped),
        (
            "a_program_for_another_cpu_or_of_another_build_names_nothing",
            damaged::others,
        ),
        (
            "damaged_programs_end_in_no_panic_and_are_never_taken_for_the_firmware",
            damaged::at_random,
        ),
    ];
    let trials = tests.map(|(name, test)| Trial::ignorable_test(name, move || run(test)));
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

fn run(test: Test) -> Result<Completion, Failed> {
    match env::var_os("GURU_TESTDATA") {
        Some(folder) => test(&PathBuf::from(folder)).map(|()| Completion::Completed),
        None if env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1") => {
            Err("GURU_TESTDATA is not set".into())
        }
        None => Ok(Completion::ignored_with("GURU_TESTDATA is not set")),
    }
}

/// With colours, addresses that a monitor decoded, and times in four forms.
fn boot_log(folder: &Path) -> Result<(), Failed> {
    let log = fs::read(folder.join("monitor/in1.txt"))?;
    let mut parser = Parser::new(&(), None);
    let mut events = parser.push(&log);
    events.extend(parser.finish());
    let [Event::Boot(boot)] = &events[..] else {
        return Err(format!("{events:#?}").into());
    };
    let cause = boot.reset.as_ref().and_then(|reset| reset.cause);
    assert_eq!(cause, Some(ResetCause::PowerOn));
    assert_eq!(boot.chip.map(|chip| chip.id), Some("esp32"));
    let date = boot.rom.as_ref().map(|rom| rom.date.as_str());
    assert_eq!(date, Some("Jun  8 2016"));
    // From the first line to the bootloader's last.
    assert_eq!(boot.lines, 1..39);
    Ok(())
}

/// What is said of a log with a program. `None`: the program is no ELF file that can be read.
fn explained(log: &str, elf: Vec<u8>, force: Force) -> Option<Explanation> {
    let knowledge = Knowledge::builtin();
    let mut parser = Parser::new(knowledge, None);
    let mut seen = Log::new(None);
    for event in parser
        .push(log.as_bytes())
        .into_iter()
        .chain(parser.finish())
    {
        seen.add(event);
    }
    let program = Program::new("app.elf", elf).ok()?;
    let judged = judge(&seen, vec![program], force);
    Some(explain(
        &seen,
        knowledge,
        &Inputs {
            symbols: &judged.symbols,
            elf: &judged.verdict,
            settings: None,
            sources: None,
        },
    ))
}

/// What the verdict on the only file is.
fn fit(explanation: &Explanation) -> ElfFit {
    explanation.elf.files[0].fit
}

/// Functions that the explanation names, those of the ROM excluded.
fn named(explanation: &Explanation) -> Vec<&str> {
    let stacks = explanation.crashes.iter().flat_map(|crash| &crash.stacks);
    let frames = stacks.flat_map(|stack| stack.frames.iter().chain(&stack.possible));
    let places = frames
        .flat_map(|frame| &frame.places)
        .filter(|place| !place.rom);
    places
        .filter_map(|place| place.function.as_deref())
        .collect()
}
