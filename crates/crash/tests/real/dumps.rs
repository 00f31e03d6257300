//! Core dumps, printed as ESP-IDF prints a crash, and explained.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use guru_crash::explain::{ElfFit, ExplainedFrame, Force};
use guru_symbols::unwind::{self, Memory, Registers};
use guru_symbols::{Symbols, rom};
use libtest_mimic::Failed;

use super::{explained, fit};

/// Names in the order in which a report has them.
const RISCV: [&str; 32] = [
    "MEPC", "RA", "SP", "GP", "TP", "T0", "T1", "T2", "S0/FP", "S1", "A0", "A1", "A2", "A3", "A4",
    "A5", "A6", "A7", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "T3", "T4",
    "T5", "T6",
];
const C3_BANNER: &str = "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\nrst:0x1 (POWERON),boot:0xd \
    (SPI_FAST_FLASH_BOOT)\r\n";
const ESP32_BANNER: &str = "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 \
    (SPI_FAST_FLASH_BOOT)\r\n";

/// What was at addresses.
struct Pieces(Vec<(u32, Vec<u8>)>);

impl Memory for Pieces {
    fn read(&self, address: u32, bytes: &mut [u8]) -> bool {
        self.0.iter().any(|(start, piece)| {
            let at = address.wrapping_sub(*start) as usize;
            let found = piece.get(at..at.saturating_add(bytes.len()));
            found.map(|found| bytes.copy_from_slice(found)).is_some()
        })
    }
}

/// A dump, its program, and what GDB makes of it.
struct Case {
    elf: Vec<u8>,
    /// The digits of the program's SHA-256 that a report has.
    digits: String,
    /// The registers of each thread, as the dump has them.
    threads: Vec<Vec<u32>>,
    memory: Pieces,
    /// The functions of each thread's frames, with their addresses where GDB shows them.
    frames: Vec<Vec<(Option<u32>, String)>>,
}

impl Case {
    fn read(folder: &Path, name: &str) -> Result<Self, Failed> {
        let path = |extension: &str| folder.join("coredump").join(format!("{name}.{extension}"));
        let elf = fs::read(path("elf"))?;
        let mut symbols = Symbols::new();
        let sha256 = symbols.add(name, elf.clone())?.sha256();
        let digits: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let core = core_file(&fs::read_to_string(path("b64"))?);
        let (threads, memory) = threads(&core);
        let frames = frames(&fs::read_to_string(path("expected.txt"))?);
        assert_eq!(threads.len(), frames.len(), "{name}");
        Ok(Self {
            elf,
            digits: digits[..9].to_owned(),
            threads,
            memory,
            frames,
        })
    }

    /// The explanation has GDB's frames.
    fn check(&self, name: &str, thread: usize, log: &str) {
        let explanation = explained(log, self.elf.clone(), Force::No).expect("it is an ELF file");
        assert_eq!(fit(&explanation), ElfFit::Same, "{name}");
        let [crash] = &explanation.crashes[..] else {
            panic!("{name}: {}", explanation.summary)
        };
        assert_eq!(crash.torn, [""; 0], "{name}");
        let [stack] = &crash.stacks[..] else {
            panic!("{name}: {} stacks", crash.stacks.len())
        };
        assert_eq!(stack.end, None, "{name}");
        assert!(stack.possible.is_empty(), "{name}");
        let ours: Vec<_> = stack.frames.iter().flat_map(functions).collect();
        let names: Vec<_> = ours.iter().map(|(_, name)| name.as_str()).collect();
        let expected = &self.frames[thread];
        let theirs: Vec<_> = expected.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, theirs, "{name}");
        for ((address, _), (expected, function)) in ours.iter().zip(expected) {
            if let Some(expected) = expected {
                // A printed caller is the call, three bytes before the return.
                let before = expected.wrapping_sub(*address);
                assert!(
                    matches!(before, 0 | 3),
                    "{name}: {function} at {address:#x}"
                );
            }
        }
    }
}

/// The functions of a frame, those inlined into it first.
fn functions(frame: &ExplainedFrame) -> Vec<(u32, String)> {
    let names = frame.places.iter().map(|place| place.function.clone());
    names
        .map(|name| (frame.address, name.unwrap_or_default()))
        .collect()
}

pub fn riscv(folder: &Path) -> Result<(), Failed> {
    for name in ["esp32c3", "esp32c3-2"] {
        let case = Case::read(folder, name)?;
        for (number, thread) in case.threads.iter().enumerate() {
            let mut log = format!(
                "{C3_BANNER}Guru Meditation Error: Core  0 panic'ed (Load access fault). Exception was \
                 unhandled.\r\n\r\nCore  0 register dump:\r\n"
            );
            let values = thread.iter().chain([&0x1881, &0x4038_0001, &5, &0, &0]);
            let names = RISCV
                .iter()
                .chain(&["MSTATUS", "MTVEC", "MCAUSE", "MTVAL", "MHARTID"]);
            for (place, (name, value)) in names.zip(values).enumerate() {
                let end = if place % 4 == 3 { "\r\n" } else { "" };
                write!(log, "{name:8}: 0x{value:08x}  {end}")?;
            }
            log.push_str("\r\n\r\nStack memory:\r\n");
            let sp = thread[2];
            for row in (sp..).step_by(32).take(32) {
                let words = (0..8).map(|word| {
                    let mut bytes = [0xa5; 4];
                    case.memory.read(row + 4 * word, &mut bytes);
                    format!("0x{:08x}", u32::from_le_bytes(bytes))
                });
                let words: Vec<String> = words.collect();
                write!(log, "{row:08x}: {}\r\n", words.join(" "))?;
            }
            let digits = &case.digits;
            write!(
                log,
                "\r\n\r\nELF file SHA256: {digits}\r\n\r\nRebooting...\r\n"
            )?;
            case.check(&format!("{name}, thread {}", number + 1), number, &log);
        }
    }
    Ok(())
}

pub fn xtensa(folder: &Path) -> Result<(), Failed> {
    /// Where `ar0` is among the words of a dump.
    const AR: usize = 64;
    let case = Case::read(folder, "esp32")?;
    let mut symbols = Symbols::new();
    symbols.add("esp32", case.elf.clone())?;
    let chip = guru_chip::by_id("esp32").ok_or("no chip")?;
    symbols.set_rom(rom::find(chip, "Jul 29 2019"));
    for (number, thread) in case.threads.iter().enumerate() {
        let mut registers = Registers {
            pc: Some(thread[0]),
            ps: Some(thread[1]),
            ..Registers::default()
        };
        for (register, value) in registers.x[..16].iter_mut().zip(&thread[AR..]) {
            *register = Some(*value);
        }
        let trace = unwind::xtensa::unwind(&symbols, &registers, &case.memory);
        let mut log = format!(
            "{ESP32_BANNER}Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was \
             unhandled.\r\n\r\nCore  0 register dump:\r\nPC      : 0x{:08x}  PS      : 0x{:08x}  ",
            thread[0], thread[1]
        );
        for (place, value) in thread[AR..AR + 16].iter().enumerate() {
            let end = if place % 4 == 1 { "\r\n" } else { "" };
            write!(log, "{:8}: 0x{value:08x}  {end}", format!("A{place}"))?;
        }
        log.push_str(
            "SAR     : 0x00000000  EXCCAUSE: 0x0000001c  \r\nEXCVADDR: 0x00000000  LBEG    : 0x00000000  \
             LEND    : 0x00000000  LCOUNT  : 0x00000000  \r\n\r\n\r\nBacktrace:",
        );
        let mut sp = Some(thread[AR + 1]);
        for frame in &trace.frames {
            let at = sp.ok_or("the stack pointer is not known")?;
            write!(log, " 0x{:08x}:0x{at:08x}", frame.pc.wrapping_sub(3))?;
            sp = frame.cfa;
        }
        let digits = &case.digits;
        write!(
            log,
            "\r\n\r\n\r\n\r\n\r\nELF file SHA256: {digits}\r\n\r\nRebooting...\r\n"
        )?;
        case.check(&format!("thread {}", number + 1), number, &log);
    }
    Ok(())
}

/// The ELF core file in a dump as it is printed: lines of base64, each by itself, behind a header.
fn core_file(text: &str) -> Vec<u8> {
    const HEADER: usize = 24;
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    for line in text.lines() {
        let (mut bits, mut count) = (0_u32, 0);
        for byte in line.bytes() {
            let Some(digit) = DIGITS.iter().position(|digit| *digit == byte) else {
                continue;
            };
            bits = bits << 6 | u32::try_from(digit).expect("6 bits");
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
    }
    bytes.split_off(HEADER)
}

/// The registers of the threads of an ELF core file, the crashed one's first, and the memory.
fn threads(file: &[u8]) -> (Vec<Vec<u32>>, Pieces) {
    /// Where the registers are in a note of the kind `NT_PRSTATUS`.
    const REGISTERS: usize = 72;
    let words = |bytes: &[u8]| -> Vec<u32> {
        let words = bytes.chunks_exact(4);
        words
            .map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes")))
            .collect()
    };
    let word = |at: usize| words(&file[at..at + 4])[0];
    let (headers, count) = (word(28) as usize, usize::from(file[44]));
    let (mut threads, mut memory) = (Vec::new(), Pieces(Vec::new()));
    for header in (0..count).map(|number| headers + 32 * number) {
        let offset = word(header + 4) as usize;
        let end = offset + word(header + 16) as usize;
        if word(header) == 1 {
            memory
                .0
                .push((word(header + 8), file[offset..end].to_vec()));
            continue;
        }
        let mut at = offset;
        while at + 12 <= end {
            let (name, len, kind) = (word(at) as usize, word(at + 4) as usize, word(at + 8));
            let start = at + 12 + name.next_multiple_of(4);
            if kind == 1 && file[at + 12..].starts_with(b"CORE") {
                threads.push(words(&file[start + REGISTERS..start + len]));
            }
            at = start + len.next_multiple_of(4);
        }
    }
    (threads, memory)
}

/// The backtraces of the threads as they are printed.
fn frames(text: &str) -> Vec<Vec<(Option<u32>, String)>> {
    let mut threads: Vec<Vec<_>> = Vec::new();
    let text = text.split("ALL MEMORY REGIONS").next().unwrap_or_default();
    for line in text.lines() {
        if line.contains("= THREAD ") {
            threads.push(Vec::new());
        }
        let frame = line.strip_prefix('#').and_then(|rest| rest.split_once(' '));
        let (Some(thread), Some((_, frame))) = (threads.last_mut(), frame) else {
            continue;
        };
        let frame = frame.trim_start();
        let (address, function) = match frame.split_once(" in ") {
            Some((address, function)) if address.starts_with("0x") => {
                (u32::from_str_radix(&address[2..], 16).ok(), function)
            }
            _ => (None, frame),
        };
        // What GDB makes of a return address of 0.
        if !matches!(address, Some(0 | 0x4000_0000)) {
            let name = function.split(' ').next().unwrap_or_default();
            thread.push((address, name.to_owned()));
        }
    }
    threads
}
