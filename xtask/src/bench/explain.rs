//! Decoding a crash, beside Espressif's decoders: esp-idf-monitor's for addresses, which calls
//! addr2line, and the one for panics of RISC-V, which calls GDB.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, ffi::OsString};

use guru_symbols::{Location, Symbols};

use super::process::run;
use super::report::mb;
use super::{Aim, Section, Setup};
use crate::Result;

/// A panic, with loading, at the most.
const PANIC: Duration = Duration::from_millis(100);
/// How many times less a decoded line takes, at the least.
const LINE: f64 = 50.0;
/// Memory by the size of the ELF file, at the most.
const MEMORY: u64 = 2;

/// The real program, of [`GURU_TESTDATA`](https://github.com/espressif/esp-coredump).
const REAL: &str = "coredump/esp32c3.elf";
/// Functions of those that are generated, of 420 bytes each with what debuggers need.
const FUNCTIONS: usize = 28_800;
/// Source files of one of them, as programs have; the other is one file, which is the worst that can be.
const FILES: usize = 96;
/// Lines with addresses, and how many each has.
const LINES: usize = 20;
const ADDRESSES: usize = 4;
/// How often a panic is decoded; the one in the middle counts.
const TIMES: usize = 5;

/// What decoding by one ELF file takes.
struct Row {
    name: &'static str,
    /// Bytes of the file.
    elf: u64,
    load: [Duration; 2],
    line: [Duration; 2],
    panic: [Duration; 2],
    memory: [Option<u64>; 2],
    /// Of ours, without the ELF file.
    without: Option<u64>,
}

/// Espressif's decoders, with the tools that they call.
struct Decoders {
    python: OsString,
    script: PathBuf,
    prefix: PathBuf,
}

impl Decoders {
    fn new(setup: &Setup) -> Result<Self> {
        let prefix = setup.folder.join("riscv32-esp-elf-");
        // It lies beside the compiler.
        let gcc = named("GURU_RISCV_GCC")?.into_string();
        let addr2line = gcc.map_err(|_| "GURU_RISCV_GCC is not text")?;
        let addr2line = addr2line.replace("-gcc", "-addr2line");
        for (name, program) in [("gdb", named("GURU_GDB")?), ("addr2line", addr2line.into())] {
            let mut copy = prefix.clone().into_os_string();
            copy.push(name);
            fs::copy(program, copy)?;
        }
        let script = setup.folder.join("decoders.py");
        fs::write(&script, include_str!("decoders.py"))?;
        Ok(Self {
            python: named("GURU_IDF_MONITOR")?,
            script,
            prefix,
        })
    }

    fn command(&self, step: &str, elf: &Path, log: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).arg(step).arg(&self.prefix);
        command.arg(elf).arg(log);
        command
    }

    fn seconds(&self, step: &str, elf: &Path, log: &Path) -> Result<Duration> {
        let output = self.command(step, elf, log).output()?;
        let text = String::from_utf8(output.stdout)?;
        let seconds = text.trim().parse();
        Ok(Duration::from_secs_f64(seconds.map_err(|_| {
            String::from_utf8_lossy(&output.stderr).into_owned()
        })?))
    }
}

fn named(variable: &str) -> Result<OsString> {
    env::var_os(variable)
        .filter(|path| !path.is_empty())
        .ok_or_else(|| format!("{variable} must be set (CONTRIBUTING.md)").into())
}

/// The aims and the table.
pub fn measure(setup: &Setup) -> Result<Section> {
    let decoders = Decoders::new(setup)?;
    let real = Path::new(&named("GURU_TESTDATA")?).join(REAL);
    let many = generate(FILES, setup)?;
    let one = generate(1, setup)?;
    let rows = [
        row("ESP-IDF's, with a core dump", &real, setup, &decoders)?,
        row("generated, 96 source files", &many, setup, &decoders)?,
        row("generated, one source file", &one, setup, &decoders)?,
    ];
    Ok(Section {
        aims: aims(&rows),
        text: table(&rows),
    })
}

/// Compiles a program with many functions.
fn generate(files: usize, setup: &Setup) -> Result<PathBuf> {
    let elf = setup.folder.join(format!("generated-{files}.elf"));
    let mut command = Command::new(named("GURU_RISCV_GCC")?);
    command.args(["-march=rv32imc", "-mabi=ilp32", "-g", "-O1", "-nostdlib"]);
    command.args(["-Wl,-e,step_0", "-Wl,-Ttext=0x42000020", "-o"]);
    command.arg(&elf);
    for file in 0..files {
        let mut text = String::from(
            "volatile int sink __attribute__((common));\n\
             struct pair { int first, second; };\n",
        );
        for number in (file..FUNCTIONS).step_by(files) {
            let _ = writeln!(
                text,
                "static inline int scale_{number}(struct pair *pair, int by) {{\n  \
                 return pair->first * by + pair->second;\n}}\n\
                 int step_{number}(int value) {{\n  struct pair pair = {{ value, {number} }};\n  \
                 sink = scale_{number}(&pair, sink);\n  return sink + pair.second;\n}}"
            );
        }
        let source = setup.folder.join(format!("generated-{files}-{file}.c"));
        fs::write(&source, text)?;
        command.arg(source);
    }
    run(command, &setup.folder)?;
    Ok(elf)
}

fn row(name: &'static str, elf: &Path, setup: &Setup, decoders: &Decoders) -> Result<Row> {
    let bytes = fs::read(elf)?;
    let begin = Instant::now();
    let mut symbols = Symbols::new();
    let program = symbols.add("program", bytes.clone())?;
    let sha256 = program.sha256();
    let code = program
        .sections()
        .iter()
        .map(|section| section.memory())
        .filter(|memory| program.is_code(memory.start as u32))
        .max_by_key(|memory| memory.end - memory.start)
        .ok_or("no code in the program")?;
    let first = symbols.locate(code.start as u32 + 64);
    let loaded = begin.elapsed();
    drop(first);

    let known = |location: &Location| location.frames.first().is_some_and(|f| f.line.is_some());
    let step = ((code.end - code.start) as u32 / (8 * LINES * ADDRESSES) as u32).max(2) & !1;
    let mut addresses = (code.start as u32..code.end as u32).step_by(step as usize);
    let mut found = Vec::new();
    while found.len() < LINES * ADDRESSES {
        let address = addresses.next().ok_or("too few lines in the program")?;
        if symbols.locate(address).as_ref().is_some_and(known) {
            found.push(address);
        }
    }
    let begin = Instant::now();
    for address in &found {
        std::hint::black_box(symbols.locate(*address));
    }
    let line = begin.elapsed() / LINES as u32;

    let lines = setup.folder.join("lines.log");
    let text: String = found
        .chunks(ADDRESSES)
        .map(|four| {
            let four: Vec<_> = four.iter().map(|one| format!("{one:#010x}")).collect();
            format!("Backtrace: {}\n", four.join(" "))
        })
        .collect();
    fs::write(&lines, text)?;
    let log = setup.folder.join("panic.log");
    fs::write(&log, panic(&found, &sha256))?;

    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let mut memory = [None, None];
    let mut without = setup.ours(["explain"]);
    without.arg(&log);
    let without = run(without, &setup.folder)?.memory;
    for _ in 0..TIMES {
        let mut explain = setup.ours(["explain"]);
        explain.arg(&log).arg("--elf").arg(elf);
        let cost = run(explain, &setup.folder)?;
        ours.push(cost.wall);
        memory[0] = memory[0].max(cost.memory);
        let cost = run(decoders.command("panic", elf, &log), &setup.folder)?;
        theirs.push(cost.wall);
        memory[1] = memory[1].max(cost.memory);
    }
    ours.sort();
    theirs.sort();
    Ok(Row {
        name,
        elf: bytes.len() as u64,
        load: [loaded, decoders.seconds("load", elf, &lines)?],
        line: [line, decoders.seconds("lines", elf, &lines)?],
        panic: [ours[TIMES / 2], theirs[TIMES / 2]],
        memory,
        without,
    })
}

/// A panic of the ESP32-C3 in one of these functions, called by another.
fn panic(addresses: &[u32], sha256: &[u8; 32]) -> String {
    const SP: u32 = 0x3FC9_1000;
    const NAMES: [&str; 32] = [
        "MEPC", "RA", "SP", "GP", "TP", "T0", "T1", "T2", "S0/FP", "S1", "A0", "A1", "A2", "A3",
        "A4", "A5", "A6", "A7", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "T3",
        "T4", "T5", "T6",
    ];
    let mut text = String::from(
        "Guru Meditation Error: Core  0 panic'ed (Store access fault). Exception was unhandled.\n\n\
         Core  0 register dump:\n",
    );
    let values = [addresses[0], addresses[1], SP].into_iter().chain([0; 29]);
    let registers: Vec<_> = NAMES
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name:<8}: {value:#010x}"))
        .collect();
    for four in registers.chunks(4) {
        let _ = writeln!(text, "{}", four.join("  "));
    }
    text += "MSTATUS : 0x00001881  MTVEC   : 0x40380001  MCAUSE  : 0x00000007  MTVAL   : 0x00000000\n\
             MHARTID : 0x00000000\n\nStack memory:\n";
    for row in 0..32_u32 {
        let words = (0..8).map(|word| addresses[(8 * row as usize + word) % addresses.len()]);
        let words: Vec<_> = words.map(|word| format!("{word:#010x}")).collect();
        let _ = writeln!(text, "{:08x}: {}", SP + 32 * row, words.join(" "));
    }
    text += "\nELF file SHA256: ";
    for byte in &sha256[..8] {
        let _ = write!(text, "{byte:02x}");
    }
    text + "\n\nRebooting...\n"
}

fn aims(rows: &[Row]) -> Vec<Aim> {
    let slowest = rows
        .iter()
        .map(|row| row.panic[0])
        .max()
        .unwrap_or_default();
    let times = |row: &Row| row.line[1].as_secs_f64() / row.line[0].as_secs_f64();
    let least = rows.iter().map(times).fold(f64::INFINITY, f64::min);
    let most = rows
        .iter()
        .filter_map(|row| Some((row.memory[0]? - row.without?) as f64 / row.elf as f64))
        .fold(0.0, f64::max);
    vec![
        (
            format!(
                "explain: a panic decoded under {} ms, load included",
                PANIC.as_millis()
            ),
            format!("at most {}", ms(slowest)),
            slowest < PANIC,
        ),
        (
            format!("explain: {LINE:.0} times less time for a decoded line"),
            format!("{least:.0} times"),
            least >= LINE,
        ),
        (
            format!("explain: memory for an ELF file below {MEMORY} times the file"),
            format!("at most {most:.2} times"),
            most > 0.0 && most < MEMORY as f64,
        ),
    ]
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "\n## Crashes\n\n\
         Beside esp-idf-monitor 1.10's decoder of addresses and esp-idf-panic-decoder 1.5, which call addr2line and GDB: \
         until\nthe first address of an ELF file is decoded; a line with {ADDRESSES} addresses more; a whole panic of an \
         ESP32-C3, in a new\nprocess; most memory of that process, without GDB's, and what ours takes without the ELF file.\n\n\
         | ELF file | size | load | theirs | line | theirs | panic | theirs | memory | without | theirs |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let both = |[ours, theirs]: [Duration; 2]| format!("{} | {}", ms(ours), ms(theirs));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            mb(Some(row.elf)),
            both(row.load),
            both(row.line),
            both(row.panic),
            mb(row.memory[0]),
            mb(row.without),
            mb(row.memory[1]),
        );
    }
    text
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms < 1.0 {
        true => format!("{ms:.3} ms"),
        false => format!("{ms:.1} ms"),
    }
}
