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
const LEAST_IDENTICAL: usize = 91;

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
        && unexplained == 0;
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
    /// It names a label that the assembler made for itself, and that is in no source.
    AssemblersLabel,
    /// It names a label within the function that we name.
    LabelWithin,
    /// It gives a function that was inlined, and that has no name for the linker, the symbol of the
    /// one that holds it.
    InlinedByOthersName,
    /// It has no name for a function that the linker and the debugging information call the same.
    Nameless,
    /// It tells a file where no line is known: that of the unit.
    FileWithoutLine,
    /// It counts the files of DWARF 5 otherwise: binutils 2.40 names the file of the unit for one that
    /// it includes. GDB says what we say.
    OtherFile,
    /// Names are written out otherwise: spaces, return types, arguments of templates.
    Demangled,
    /// Something else.
    Unexplained,
}

impl Class {
    fn of(symbols: &Symbols, address: u32, ours: &[Frame], theirs: &[Frame]) -> Self {
        let program = &symbols.programs()[0];
        let symbol = program.symbol(address);
        let is_label = |frame: &Frame| {
            let name = frame.function.as_deref();
            name.is_some_and(|name| name.starts_with(".L"))
        };
        if theirs.iter().any(is_label) {
            return Self::AssemblersLabel;
        }
        if let ([], None) = (ours, &symbol) {
            return Self::BehindTheEnd;
        }
        if ours.len() != theirs.len() {
            return Self::Unexplained;
        }
        let all = |same: &dyn Fn(&Frame, &Frame) -> bool| {
            let mut pairs = ours.iter().zip(theirs);
            pairs.all(|(one, other)| one == other || same(one, other))
        };
        let place = |one: &Frame, other: &Frame| (&one.file, one.line) == (&other.file, other.line);
        if symbol.is_none() && all(&|one, other| place(one, other) && one.function.is_none()) {
            return Self::BehindTheEnd;
        }
        if all(&|one, other| place(one, other) && other.function.is_none()) {
            return Self::Nameless;
        }
        let start = symbol.map(|(_, start)| start);
        let outermost = theirs.last().and_then(|frame| frame.function.as_deref());
        let of_symbol = |frame: &Frame| {
            let name = frame.function.as_deref();
            let is_name = |name| start.is_some() && program.address_of(name) == start;
            name == outermost || name.is_some_and(is_name)
        };
        if ours.last() == theirs.last() && all(&|one, other| place(one, other) && of_symbol(other))
        {
            return Self::InlinedByOthersName;
        }
        let function = program.function(address);
        let label = outermost.and_then(|name| program.address_of(name));
        if let ([one], [other], Some(function), Some(label)) = (ours, theirs, function, label)
            && place(one, other)
            && function.contains(&label)
        {
            return Self::LabelWithin;
        }
        if all(&|one, other| place(one, other) && same_name(one, other)) {
            return Self::Demangled;
        }
        let same_function = |one: &Frame, other: &Frame| one.function == other.function;
        if all(&|one, other| same_function(one, other) && one.line.or(other.line).is_none()) {
            return Self::FileWithoutLine;
        }
        if all(&|one, other| same_function(one, other) && one.line == other.line) {
            return Self::OtherFile;
        }
        Self::Unexplained
    }
}

/// Whether two names are the same but for how they are written out: without the arguments of
/// templates and functions, and without the class, which debugging information leaves out. The
/// library's own names have abbreviations.
fn same_name(one: &Frame, other: &Frame) -> bool {
    let [one, other] = [one, other].map(|frame| frame.function.as_deref().unwrap_or_default());
    let last = |name: &str| {
        let name = name.replace("(anonymous namespace)", "");
        let end = name.find(['(', '<', '[', ' ', '{']).unwrap_or(name.len());
        let name = &name[..end];
        name.rsplit("::").next().unwrap_or(name).to_owned()
    };
    last(one) == last(other) || one.starts_with("std::") && other.starts_with("std::")
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
