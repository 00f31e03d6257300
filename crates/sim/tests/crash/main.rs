//! examples/crash: every fault that it raises is reported as the CPU of the chip raises it, at the
//! place in the source where it happens, with the calls that led there.
//!
//! The images and logs are those of the repository; with `GURU_CRASH_LOGS=overwrite` the logs are
//! written instead of compared. Where `GURU_RISCV_GCC` names a compiler, the program is compiled for
//! the RISC-V chips with other levels of optimisation too; with `GURU_REQUIRE_PEERS` of 1 it has to
//! be there.

#[path = "../host/mod.rs"]
mod host;
#[path = "../programs/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod programs;

mod elf;
mod expected;
mod report;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use guru_link::{Link, block_on};
use guru_sim::Event;
use libtest_mimic::{Arguments, Failed, Trial};

use elf::Elf;
use expected::{FAULTS, Family, Fault};
use host::Host;
use programs::{Segments, hear, start};
use report::Report;

/// Chips of the example.
const CHIPS: [(&str, Family); 6] = [
    ("esp32c3", Family::Riscv),
    ("esp32c6", Family::Riscv),
    ("esp32", Family::Xtensa),
    ("esp32s2", Family::Xtensa),
    ("esp32s3", Family::Xtensa),
    ("esp8266", Family::Flat),
];

/// How long a program prints, at the most.
const PATIENCE: u32 = 100;
const A_MOMENT: Duration = Duration::from_millis(20);
/// What the ROM says of empty flash, over and over again.
const NO_IMAGE: &str = "invalid header: 0xffffffff\r\n";
/// The end of the ESP8266's report.
const CUT: &str =
    "<<<stack<<<\r\n\r\n--------------- CUT HERE FOR EXCEPTION DECODER ---------------\r\n";

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (chip, family) in CHIPS {
        trials.push(Trial::test(
            format!("{chip}_reports_every_fault_as_in_the_repository"),
            move || committed(chip, family),
        ));
    }
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let ignored = env::var_os("GURU_RISCV_GCC").is_none() && !required;
    for (chip, level) in [
        ("esp32c3", "-O0"),
        ("esp32c3", "-Os"),
        ("esp32c3", "-O2"),
        ("esp32c6", "-O2"),
    ] {
        let name = format!("{chip}_reports_every_fault_compiled_with_{}", &level[1..]);
        let trial = Trial::test(name, move || compiled(chip, level));
        trials.push(trial.with_ignored_flag(ignored));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/crash")
}

fn committed(chip: &str, family: Family) -> Result<(), Failed> {
    let elf = Elf::read(&example().join(format!("{chip}.elf")))?;
    let segments = if family == Family::Flat {
        elf.segments()
    } else {
        let image = fs::read(example().join(format!("{chip}.bin")))?;
        let (segments, entry) = programs::segments(&image);
        assert_eq!(entry, elf.entry, "{chip}: image and ELF file");
        segments
    };
    let overwrite = env::var_os("GURU_CRASH_LOGS").is_some_and(|value| value == "overwrite");
    for (fault, text) in reports(chip, family, &elf, &segments) {
        let path = example().join(format!("logs/{chip}-{}.txt", fault.name));
        if overwrite {
            fs::write(path, text)?;
        } else {
            let log = fs::read_to_string(&path).map_err(|error| format!("{path:?}: {error}"))?;
            assert_eq!(text, log, "{}", path.display());
        }
    }
    Ok(())
}

fn compiled(chip: &'static str, level: &str) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{chip}{level}.elf"));
    let output = Command::new("sh")
        .arg(example().join("build.sh"))
        .args([chip.as_ref(), path.as_os_str(), level.as_ref()])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let elf = Elf::read(&path)?;
    let segments = elf.segments();
    assert!(!reports(chip, Family::Riscv, &elf, &segments).is_empty());
    Ok(())
}

/// Raises every fault that the program has, each on a chip of its own, and checks what is said.
fn reports(
    chip: &str,
    family: Family,
    elf: &Elf,
    segments: &Segments,
) -> Vec<(&'static Fault, String)> {
    let (mut host, menu) = started(chip, elf, segments);
    let choices: Vec<(char, String)> = menu
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once("  "))
        .map(|(key, name)| (key.chars().next().unwrap_or(' '), name.to_owned()))
        .collect();
    let wanted = FAULTS.iter().filter(|fault| fault.is_on(chip, family));
    let wanted: Vec<&str> = wanted.map(|fault| fault.name).collect();
    let offered: Vec<&str> = choices.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(offered, wanted, "{chip}: the menu");

    let mut found = Vec::new();
    for (index, (key, name)) in choices.iter().enumerate() {
        if index > 0 {
            host = started(chip, elf, segments).0;
        }
        let what = format!("{chip}: {name}");
        let fault = FAULTS.iter().find(|fault| fault.name == name);
        let fault = fault.unwrap_or_else(|| panic!("{what}: not in the menu"));
        block_on(host.link.write(&[*key as u8])).expect("a byte");
        let end = if family == Family::Flat {
            CUT
        } else {
            NO_IMAGE
        };
        let text = heard_until(&mut host, end);
        let events = host.link.take_events();
        let crashed = events
            .iter()
            .any(|event| matches!(event, Event::Crashed { .. } | Event::UnknownRegister { .. }));
        let events = &events[..events.len().min(8)];
        assert!(!crashed, "{what}: {events:x?}\n{text}");
        let report = Report::parse(&text, family);
        fault.check(&what, &report, &text, elf, family);
        found.push((fault, text));
    }
    found
}

/// A chip that shows the menu.
fn started(chip: &str, elf: &Elf, segments: &Segments) -> (Host, String) {
    let mut host = Host::synced(&format!("sim://{chip}?fast"));
    start(&mut host, segments, elf.entry);
    let menu = heard_until(&mut host, "Which? ");
    host.link.take_events();
    (host, menu)
}

/// What a chip prints up to a text.
fn heard_until(host: &mut Host, end: &str) -> String {
    let mut heard = Vec::new();
    for _ in 0..PATIENCE {
        heard.extend(hear(host, A_MOMENT));
        let text = String::from_utf8_lossy(&heard);
        if let Some(at) = text.find(end) {
            return text[..at + end.len()].to_owned();
        }
    }
    panic!("no {end:?} in {}", String::from_utf8_lossy(&heard));
}
