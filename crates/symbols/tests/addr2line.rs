//! Thousands of addresses in real firmware, and what binutils' `addr2line` says of them. The
//! firmware is in `GURU_TESTDATA`; `addr2line` lies beside the compilers that `GURU_RISCV_GCC` and
//! `GURU_LX106_GCC` name. Without them these tests are ignored, or, with `GURU_REQUIRE_PEERS=1`, fail.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use guru_symbols::{Location, Machine, Symbols};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Folders of ELF files, and how many addresses of each file are compared.
const FOLDERS: [(&str, usize); 4] = [
    ("elf", 600),
    ("unwind", 1500),
    ("coredump", 1500),
    ("rom", 150),
];

/// At least so many addresses, and of a hundred so many the same to the letter.
const LEAST_ADDRESSES: usize = 5_000;
const LEAST_IDENTICAL: usize = 90;

/// Of a thousand, the most that are different for no known reason.
const MOST_UNEXPLAINED: usize = 100;

/// Examples of each difference that a failure shows.
const SHOWN: usize = 10;

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![Trial::ignorable_test(
        "places_are_those_that_addr2line_tells",
        || {
            let variables = ["GURU_TESTDATA", "GURU_RISCV_GCC", "GURU_LX106_GCC"];
            let values = variables.map(|name| env::var_os(name).map(PathBuf::from));
            let [Some(data), Some(riscv), Some(xtensa)] = values else {
                let missing = "GURU_TESTDATA, GURU_RISCV_GCC or GURU_LX106_GCC is not set";
                return match env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1") {
                    true => Err(missing.into()),
                    false => Ok(Completion::ignored_with(missing)),
                };
            };
            let outcome = compare(&data, &riscv, &xtensa);
            outcome.map_err(|error| Failed::from(error.to_string()))?;
            Ok(Completion::Completed)
        },
    )];
    libtest_mimic::run(&arguments, trials).exit();
}

/// A function and a place in it, as `addr2line` prints them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Frame {
    function: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

fn compare(data: &Path, riscv: &Path, xtensa: &Path) -> Result<()> {
    let mut addresses = 0;
    let mut identical = 0;
    let mut classes: BTreeMap<Class, (usize, String)> = BTreeMap::new();
    for (folder, count) in FOLDERS {
        let mut files: Vec<PathBuf> = fs::read_dir(data.join(folder))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "elf"));
        files.sort();
        for path in files {
            let mut symbols = Symbols::new();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let machine = symbols.add(name.clone(), fs::read(&path)?)?.machine();
            let tool = match machine {
                Machine::RiscV => riscv,
                Machine::Xtensa => xtensa,
            };
            let sample = sample(&symbols, count);
            let theirs = addr2line(tool, &path, &sample)?;
            if theirs.len() != sample.len() {
                return Err(format!("{name}: {} answers", theirs.len()).into());
            }
            for (address, theirs) in sample.into_iter().zip(theirs) {
                let ours = symbols.locate(address).map(frames).unwrap_or_default();
                addresses += 1;
                if ours == theirs {
                    identical += 1;
                    continue;
                }
                let class = Class::of(&symbols, address, &ours, &theirs);
                let (count, examples) = classes.entry(class).or_default();
                *count += 1;
                if *count <= SHOWN {
                    let text = format!("\n{name} {address:#x}\n  {ours:?}\n  {theirs:?}");
                    examples.push_str(&text);
                }
            }
        }
    }
    let mut report = format!("{identical} of {addresses} are identical");
    for (class, (count, examples)) in &classes {
        write!(report, "\n== {class:?}: {count}{examples}")?;
    }
    let unexplained = classes
        .get(&Class::Unexplained)
        .map_or(0, |(count, _)| *count);
    let enough = addresses >= LEAST_ADDRESSES
        && identical * 100 >= addresses * LEAST_IDENTICAL
        && unexplained * 1000 <= addresses * MOST_UNEXPLAINED;
    match enough {
        true => Ok(()),
        false => Err(report.into()),
    }
}

/// Why `addr2line` says something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It names the function before, which ends before the address: padding, literals, tables.
    BehindTheEnd,
    /// It chose another one of several names for the same place.
    OtherName,
    /// It tells a file where no line is known: that of the unit.
    FileWithoutLine,
    /// Names are written out otherwise: spaces, return types, hashes.
    Demangled,
    /// Something else.
    Unexplained,
}

impl Class {
    fn of(symbols: &Symbols, address: u32, ours: &[Frame], theirs: &[Frame]) -> Self {
        let program = &symbols.programs()[0];
        if let [] = ours {
            return match program.symbol(address) {
                None => Self::BehindTheEnd,
                Some(_) => Self::Unexplained,
            };
        }
        if ours.len() != theirs.len() {
            return Self::Unexplained;
        }
        let pairs = || ours.iter().zip(theirs);
        let same_places =
            pairs().all(|(one, other)| (&one.file, one.line) == (&other.file, other.line));
        if same_places {
            let start = program.symbol(address).map(|(_, start)| start);
            let named = theirs.last().and_then(|frame| frame.function.as_deref());
            if start.is_some() && named.and_then(|name| program.address_of(name)) == start {
                return Self::OtherName;
            }
            let plain = |frame: &Frame| {
                let name = frame.function.clone().unwrap_or_default();
                let end = name.find(['(', '<', '[', ' ', '{']).unwrap_or(name.len());
                name[..end].to_owned()
            };
            if pairs().all(|(one, other)| plain(one) == plain(other)) {
                return Self::Demangled;
            }
        }
        let unit = |(one, other): (&Frame, &Frame)| {
            one.function == other.function
                && (one == other || one.line.is_none() && other.line.is_none())
        };
        match pairs().all(unit) {
            true => Self::FileWithoutLine,
            false => Self::Unexplained,
        }
    }
}

/// Addresses all over the code.
fn sample(symbols: &Symbols, count: usize) -> Vec<u32> {
    let code = || {
        let sections = symbols.programs().iter().flat_map(|one| one.sections());
        sections.filter(|section| section.executable && section.data.is_some())
    };
    let all: usize = code().map(|section| section.size as usize).sum();
    let step = (all / count).max(1);
    let all = code().flat_map(|section| section.address..section.address + section.size);
    all.step_by(step).collect()
}

/// What we say, as `addr2line` says it.
fn frames(location: Location) -> Vec<Frame> {
    if location.frames.is_empty() {
        return vec![Frame {
            function: location.symbol,
            ..Frame::default()
        }];
    }
    let frames = location.frames.into_iter();
    frames
        .map(|frame| Frame {
            function: frame.function,
            file: frame.file,
            line: frame.line,
        })
        .collect()
}

/// What `addr2line` says of each address.
fn addr2line(gcc: &Path, elf: &Path, addresses: &[u32]) -> Result<Vec<Vec<Frame>>> {
    let gcc = gcc.to_str().ok_or("the compiler's path is odd")?;
    let tools = gcc.strip_suffix("gcc").ok_or("it is not named gcc")?;
    let mut child = Command::new(format!("{tools}addr2line"))
        .args(["-a", "-f", "-i", "-C", "-e"])
        .arg(elf)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("it has an input")?;
    let text: String = addresses.iter().map(|at| format!("{at:#x}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer ends")??;
    let mut answers: Vec<Vec<Frame>> = Vec::new();
    let output = String::from_utf8(output.stdout)?;
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") && line.len() == 10 {
            answers.push(Vec::new());
            continue;
        }
        let place = lines.next().ok_or("a place follows")?;
        let place = place.split(" (discriminator").next().unwrap_or(place);
        let (file, number) = place.rsplit_once(':').ok_or("a place has a line")?;
        let some = |text: &str| (text != "??").then(|| text.to_owned());
        let frame = Frame {
            function: some(line),
            file: some(file),
            line: number.parse().ok().filter(|number| *number != 0),
        };
        let answer = answers.last_mut().ok_or("an address goes before")?;
        if frame != Frame::default() {
            answer.push(frame);
        }
    }
    Ok(answers)
}
