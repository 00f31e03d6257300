//! Core dumps and ROMs of Espressif's.

use std::ops::ControlFlow;
use std::path::PathBuf;

use guru_chip::Revision;
use guru_symbols::unwind::cfi::{Index, Sections};
use guru_symbols::unwind::{Frame, Registers, Trace, riscv, xtensa};
use guru_symbols::{Symbols, rom};
use libtest_mimic::Failed;

use crate::elf_core;
use crate::tools;

fn testdata() -> Result<PathBuf, String> {
    tools::tool("GURU_TESTDATA").map(PathBuf::from)
}

/// The ELF core file in a dump as it is printed: lines of base64, each by itself, a header in front
/// and a checksum behind.
fn dump(text: &str) -> Vec<u8> {
    const HEADER: usize = 24;
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for line in text.lines() {
        let (mut bits, mut count) = (0_u32, 0);
        for byte in line.bytes().filter(|byte| !matches!(byte, b'=' | b'\r')) {
            bits = bits << 6 | u32::from(digit(byte));
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
    }
    bytes.split_off(HEADER)
}

/// A frame as it is printed: address, where that is not the beginning of a line, and function.
type Printed<'a> = (Option<u32>, &'a str);

/// The backtraces of the threads as they are printed.
fn expected(text: &str) -> Vec<Vec<Printed<'_>>> {
    let mut threads: Vec<Vec<Printed<'_>>> = Vec::new();
    for line in text.lines() {
        if line.contains("= THREAD ") {
            threads.push(Vec::new());
        }
        let Some(thread) = threads.last_mut() else {
            continue;
        };
        if line.contains("ALL MEMORY REGIONS") {
            break;
        }
        let Some((_, rest)) = line.strip_prefix('#').and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let mut words = rest.split_whitespace();
        let first = words.next().unwrap_or_default();
        let frame = match first.strip_prefix("0x") {
            Some(digits) => {
                words.next();
                (
                    u32::from_str_radix(digits, 16).ok(),
                    words.next().unwrap_or_default(),
                )
            }
            None => (None, first),
        };
        // What GDB makes of a return address of 0.
        if !matches!(frame.0, Some(0 | 0x4000_0000)) {
            thread.push(frame);
        }
    }
    threads
}

fn same(name: &str, symbols: &Symbols, trace: &Trace, expected: &[Printed<'_>]) {
    assert!(trace.end.is_whole(), "{name}: {}", trace.end);
    let ours: Vec<(Frame, String)> = trace
        .frames
        .iter()
        .flat_map(|frame| {
            let location = frame.locate(symbols).expect("every frame is somewhere");
            let names: Vec<String> = match location.frames.as_slice() {
                [] => vec![location.symbol.unwrap_or_default()],
                frames => frames
                    .iter()
                    .map(|frame| frame.function.clone().unwrap_or_default())
                    .collect(),
            };
            names.into_iter().map(|name| (frame.clone(), name))
        })
        .collect();
    let names: Vec<&str> = ours.iter().map(|(_, name)| name.as_str()).collect();
    let theirs: Vec<&str> = expected.iter().map(|(_, name)| *name).collect();
    assert_eq!(names, theirs, "{name}");
    for ((frame, _), (pc, function)) in ours.iter().zip(expected) {
        if let Some(pc) = pc {
            assert_eq!(frame.pc, *pc, "{name}: {function}");
        }
    }
}

struct Case {
    symbols: Symbols,
    threads: Vec<Vec<u32>>,
    memory: elf_core::Pieces,
    expected: String,
}

fn case(name: &str, chip: &str, revision: u16) -> Result<Case, String> {
    let folder = testdata()?.join("coredump");
    let text = |extension: &str| {
        let bytes = tools::read(&folder.join(format!("{name}.{extension}")))?;
        String::from_utf8(bytes).map_err(|error| error.to_string())
    };
    let mut symbols = Symbols::new();
    let elf = tools::read(&folder.join(format!("{name}.elf")))?;
    symbols.add(name, elf).map_err(|error| error.to_string())?;
    let chip = guru_chip::by_id(chip).ok_or("no chip")?;
    symbols.set_rom(rom::find_revision(chip, Revision(revision)));
    let (threads, memory) = elf_core::read(&dump(&text("b64")?));
    Ok(Case {
        symbols,
        threads,
        memory,
        expected: text("expected.txt")?,
    })
}

pub fn riscv() -> Result<(), Failed> {
    for name in ["esp32c3", "esp32c3-2"] {
        let case = case(name, "esp32c3", 3)?;
        let expected = expected(&case.expected);
        assert_eq!(case.threads.len(), expected.len());
        for (number, (thread, expected)) in case.threads.iter().zip(&expected).enumerate() {
            let mut registers = Registers {
                pc: Some(thread[0]),
                ..Registers::default()
            };
            for (register, value) in registers.x[1..].iter_mut().zip(&thread[1..]) {
                *register = Some(*value);
            }
            let trace = riscv::unwind(&case.symbols, &registers, &case.memory);
            same(
                &format!("{name}, thread {}", number + 1),
                &case.symbols,
                &trace,
                expected,
            );
        }
    }
    Ok(())
}

pub fn xtensa() -> Result<(), Failed> {
    /// Where `ar0` is among the words.
    const AR: usize = 64;
    let case = case("esp32", "esp32", 300)?;
    let expected = expected(&case.expected);
    assert_eq!(case.threads.len(), expected.len());
    for (number, (thread, expected)) in case.threads.iter().zip(&expected).enumerate() {
        let mut registers = Registers {
            pc: Some(thread[0]),
            ps: Some(thread[1]),
            ..Registers::default()
        };
        for (register, value) in registers.x[..16].iter_mut().zip(&thread[AR..]) {
            *register = Some(*value);
        }
        let trace = xtensa::unwind(&case.symbols, &registers, &case.memory);
        same(
            &format!("thread {}", number + 1),
            &case.symbols,
            &trace,
            expected,
        );
    }
    Ok(())
}

/// Where a ROM's file has call frame information, a walk through the code finds the same at the calls.
pub fn rom_frames() -> Result<(), Failed> {
    for (file, chip, revision) in [
        ("esp32c5_rev100", "esp32c5", 100),
        ("esp32c61_rev100", "esp32c61", 100),
        ("esp32c6_rev0", "esp32c6", 0),
        ("esp32h2_rev0", "esp32h2", 0),
        ("esp32p4_rev0", "esp32p4", 0),
        ("esp32p4_rev300", "esp32p4", 300),
        ("esp32s31_rev0", "esp32s31", 0),
    ] {
        let mut symbols = Symbols::new();
        let elf = tools::read(&testdata()?.join("rom").join(format!("{file}_rom.elf")))?;
        let program = symbols.add(file, elf)?;
        let eh_frame = program.section(".eh_frame").ok_or(file)?;
        let sections = Sections {
            eh_frame: eh_frame.bytes,
            eh_frame_address: eh_frame.address,
            ..Sections::default()
        };
        let index = Index::new(&sections);
        let chip = guru_chip::by_id(chip).ok_or("no chip")?;
        let rom = rom::find_revision(chip, Revision(revision)).ok_or("no ROM")?;
        let saves = |at: u32| {
            let function = rom.function(at).filter(|function| function.address == at)?;
            riscv::saved_by(function.name)
        };
        let half = |at: u32| {
            let mut bytes = [0; 2];
            program
                .read(at, &mut bytes)
                .then(|| u16::from_le_bytes(bytes))
        };
        let (mut same, mut others) = (0, Vec::new());
        for function in rom.functions() {
            let code = riscv::Function {
                start: function.address,
                end: function.address + function.size,
                half: &half,
                saves: &saves,
            };
            if index
                .function(function.address)
                .is_none_or(|range| range.start != function.address)
            {
                continue;
            }
            code.walk(&mut |visit| {
                if let Some(told) = index.row(&sections, visit.address).filter(|_| visit.call) {
                    let walked = riscv::Row::of_state(&visit.state.after_call());
                    // A register that is not changed before the call may be told either way.
                    let same_s0 = |walked: &riscv::Row| {
                        let s0 = (walked.registers[8], told.registers[8]);
                        s0.0 == s0.1 || s0.0 == riscv::Rule::Same
                    };
                    let agrees = walked.is_some_and(|walked| {
                        let base = walked.base == told.base || walked.base.0 != told.base.0;
                        match told.pc {
                            // It has kept nothing, and never returns.
                            riscv::Rule::Same => walked.pc == riscv::Rule::Lost,
                            pc => base && walked.pc == pc && same_s0(&walked),
                        }
                    });
                    if agrees {
                        same += 1;
                    } else {
                        others.push((function.name, visit.address));
                    }
                }
                ControlFlow::Continue(())
            });
        }
        assert!(same > 1000, "{file}: {same}");
        assert!(
            others.len() * 200 < same,
            "{file}: {same} are the same, not these: {others:x?}"
        );
    }
    Ok(())
}
