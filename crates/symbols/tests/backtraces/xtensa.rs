//! Programs for both ABIs of Xtensa, stopped anywhere on our CPU model. There is no GDB for these; the
//! chain of calls is what the CPU was seen to do.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use guru_sim::cpu::xtensa::{Config, Core, window_vectors};
use guru_sim::cpu::{Access, AddressSpace, Cpu};
use guru_symbols::Symbols;
use guru_symbols::unwind::{End, How, Registers, Trace, call0, xtensa};
use guru_testkit::Random;
use libtest_mimic::Failed;

use crate::elf_core::Pieces;
use crate::program;
use crate::tools;

const VECTORS: u32 = 0x4000_0000;
const VECTORS_LEN: u32 = 0x1000;
const CODE: u32 = 0x4008_0000;
const DATA: u32 = 0x3FFB_0000;
const LEN: u32 = 0x2_0000;
const STACK_TOP: u32 = DATA + LEN - 0x100;

const STOPS: u32 = 40;

/// More than any of the programs executes.
const MOST: u32 = 8_000_000;

fn script() -> String {
    format!(
        "ENTRY(run)
SECTIONS {{
  . = {CODE:#x};
  .text : {{ *(.literal .literal.* .rodata.literal) . = ALIGN(4); *(.text .text.*) }}
  . = {DATA:#x};
  .rodata : {{ *(.rodata .rodata.*) }}
  .data : {{ *(.data .data.* .sdata .sdata.*) }}
  .bss : {{ *(.bss .bss.* .sbss .sbss.* COMMON) }}
}}
"
    )
}

/// A program with an end of its own.
fn source(seed: u64) -> String {
    program::source(seed) + "NO void finish(void) { for (;;) {} }\n"
}

fn link(folder: &Path, object: &Path) -> Result<PathBuf, String> {
    let (script_file, elf) = (folder.join("link.ld"), folder.join("program.elf"));
    tools::write(&script_file, script())?;
    tools::run(
        Command::new(tools::beside("GURU_LX106_GCC", "gcc", "ld")?)
            .arg("-T")
            .args([&script_file, object])
            .arg("-o")
            .arg(&elf),
    )?;
    Ok(elf)
}

/// LLVM's Xtensa compiler in steps: its driver knows no processors, and its assembler reads what its
/// compiler writes only after two changes.
fn by_llvm(name: &str, level: &str, source: &str) -> Result<PathBuf, String> {
    let folder = tools::folder(name)?;
    let path = |file: &str| folder.join(file);
    tools::write(&path("program.c"), source)?;
    tools::run(
        Command::new(tools::tool("GURU_CLANG")?)
            .args([
                "--target=xtensa",
                "-S",
                "-emit-llvm",
                "-g",
                "-ffreestanding",
                "-fno-builtin",
            ])
            .args(["-Wno-everything", level])
            .arg(path("program.c"))
            .arg("-o")
            .arg(path("program.ll")),
    )?;
    tools::run(
        Command::new(tools::beside("GURU_CLANG", "clang", "llc")?)
            .args(["-march=xtensa", "-mcpu=esp32"])
            .arg(path("program.ll"))
            .arg("-o")
            .arg(path("program.s")),
    )?;
    let assembly =
        String::from_utf8(tools::read(&path("program.s"))?).map_err(|error| error.to_string())?;
    let assembly = assembly
        .replace("\t.literal_position", "\t.p2align 2\n\t.literal_position")
        .replace(".cfi_def_cfa a7,", ".cfi_def_cfa 7,");
    tools::write(&path("program.s"), assembly)?;
    tools::run(
        Command::new(tools::beside("GURU_CLANG", "clang", "llvm-mc")?)
            .args(["-triple=xtensa", "-mcpu=esp32", "-filetype=obj"])
            .arg(path("program.s"))
            .arg("-o")
            .arg(path("program.o")),
    )?;
    link(&folder, &path("program.o"))
}

fn by_gcc(name: &str, level: &str, source: &str) -> Result<PathBuf, String> {
    let folder = tools::folder(name)?;
    let (file, object) = (folder.join("program.c"), folder.join("program.o"));
    // Without a library there is no division.
    let source = source.replace("b % 5", "(b & 3)").replace(" % 3]", " & 1]");
    tools::write(&file, source)?;
    tools::run(
        Command::new(tools::tool("GURU_LX106_GCC")?)
            .args([
                "-c",
                "-w",
                "-mlongcalls",
                "-ffreestanding",
                "-fno-builtin",
                level,
            ])
            .arg(&file)
            .arg("-o")
            .arg(&object),
    )?;
    link(&folder, &object)
}

struct Board {
    core: Core,
    space: AddressSpace,
    /// The vector of exceptions.
    exceptions: u32,
    /// Addresses to return to, the outermost first.
    calls: Vec<u32>,
}

impl Board {
    fn new(config: Config, elf: &[u8]) -> Self {
        let mut space = AddressSpace::default();
        for (address, len) in [(VECTORS, VECTORS_LEN), (CODE, LEN), (DATA, LEN)] {
            let bank = space.add_bank(len);
            space
                .add_window(address, len, bank, 0, Access::Ram)
                .expect("it fits");
        }
        space.poke(VECTORS, &window_vectors()).expect("they fit");
        // Where the first window's own caller would have its stack: the handlers look there.
        let above = (STACK_TOP + 0x80).to_le_bytes();
        space.poke(STACK_TOP - 12, &above).expect("it fits");
        let (parts, entry) = tools::loaded(elf);
        for (address, bytes) in parts {
            space.poke(address, bytes).expect("it fits");
        }
        let mut core = Core::new(config);
        core.enter(entry, STACK_TOP, 0);
        core.set_register(if config.windowed { 10 } else { 2 }, 5);
        Self {
            core,
            space,
            exceptions: VECTORS + config.vectors.user,
            calls: Vec::new(),
        }
    }

    fn pc(&self) -> u32 {
        Cpu::pc(&self.core)
    }

    /// Whether the next instruction is an `entry`: the window is the caller's still.
    fn at_entry(&self) -> bool {
        let mut byte = [0];
        self.space.peek(self.pc(), &mut byte).expect("code");
        byte == [0x36]
    }

    fn in_vectors(&self) -> bool {
        (VECTORS..VECTORS + VECTORS_LEN).contains(&self.pc())
    }

    fn step(&mut self) {
        let pc = self.pc();
        let mut bytes = [0; 3];
        self.space.peek(pc, &mut bytes).expect("code");
        let vector = self.in_vectors();
        Cpu::run(&mut self.core, &mut self.space, 1);
        if self.pc() == self.exceptions {
            // A change of the stack pointer whose caller's window is not there.
            let moved = self.core.finish_movsp(&mut self.space).expect("a stack");
            assert!(moved, "an exception at {pc:#x}");
            return;
        }
        // An instruction that needs a window spilled or filled first comes again.
        if vector || self.in_vectors() {
            return;
        }
        let [low, middle, high] = bytes;
        let call = low & 0xF == 5 || low & 0xCF == 0xC0 && middle & 0xF0 == 0 && high == 0;
        let returns =
            matches!(bytes, [0x80 | 0x90, 0, 0]) || matches!(bytes, [0x0D | 0x1D, 0xF0, _]);
        if call {
            self.calls.push(pc + 3);
        } else if returns {
            assert_eq!(self.calls.pop(), Some(self.pc()), "at {pc:#x}");
        }
    }

    fn chain(&self) -> Vec<u32> {
        let mut chain = vec![self.pc()];
        chain.extend(self.calls.iter().rev());
        chain
    }

    fn registers(&self) -> Registers {
        let mut registers = Registers {
            pc: Some(self.pc()),
            ps: Some(self.core.ps()),
            ..Registers::default()
        };
        for (number, register) in (0..16).zip(&mut registers.x) {
            *register = Some(Cpu::register(&self.core, number));
        }
        registers
    }

    fn memory(&self) -> Vec<u8> {
        let mut memory = vec![0; LEN as usize];
        self.space.peek(DATA, &mut memory).expect("memory");
        memory
    }

    /// Memory with all windows but the current one spilled, as a panic handler leaves it.
    fn spilled(&self) -> Vec<u8> {
        let mut memory = self.memory();
        let mut state = Vec::new();
        self.core.state(&mut state);
        let register = |quad: u32, number: u32| state[1 + ((4 * quad + number) & 63) as usize];
        let (current, starts) = (state[65] / 4, state[66]);
        let live: Vec<u32> = (1..=16)
            .map(|ahead| (current + ahead) & 15)
            .filter(|quad| starts >> quad & 1 != 0)
            .collect();
        let mut put = |at: u32, value: u32| {
            let at = (at - DATA) as usize;
            memory[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        let mut stored = std::collections::HashMap::new();
        for (place, &quad) in live.iter().enumerate() {
            let Some(&callee) = live.get(place + 1) else {
                break;
            };
            let sp = register(callee, 1);
            for number in 0..4 {
                put(sp - 16 + 4 * number, register(quad, number));
                stored.insert(sp - 16 + 4 * number, register(quad, number));
            }
            // The caller's stack pointer is below the frame's own.
            let extra = 4 * (((callee + 16 - quad) & 15) - 1);
            let below = register(quad, 1) - 12;
            let mut word = [0; 4];
            self.space.peek(below, &mut word).expect("memory");
            let top = stored
                .get(&below)
                .copied()
                .unwrap_or(u32::from_le_bytes(word));
            for number in 0..extra {
                if (DATA..DATA + LEN).contains(&top) {
                    put(
                        top - 16 - 4 * extra + 4 * number,
                        register(quad, 4 + number),
                    );
                }
            }
        }
        memory
    }
}

fn symbols(elf: &[u8]) -> Symbols {
    let mut symbols = Symbols::new();
    symbols
        .add("program.elf", elf.to_vec())
        .expect("an ELF file");
    symbols
}

fn show(chain: &[u32], symbols: &Symbols) -> String {
    let names = chain.iter().map(|pc| {
        let location = symbols.locate(*pc);
        let name = location
            .and_then(|location| location.symbol)
            .unwrap_or_default();
        format!("{pc:#x} {name}")
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Runs to places all over a program; of those, to some at the first instruction of a function, and
/// to some where a window has just been spilled or filled.
fn stops(config: Config, elf: &[u8], mut at_stop: impl FnMut(&Board)) -> Result<(), String> {
    let symbols = symbols(elf);
    let finish = symbols.programs()[0]
        .address_of("finish")
        .ok_or("no finish")?;
    let mut board = Board::new(config, elf);
    let (mut all, mut entries, mut windows) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0.. {
        if step >= MOST {
            let pc = board.pc();
            return Err(format!("the program does not come to its end: {pc:#x}"));
        }
        let in_vectors = board.in_vectors();
        if board.pc() == finish {
            break;
        }
        if !in_vectors {
            all.push(step);
            if config.windowed && board.at_entry() {
                entries.push(step);
            }
        }
        board.step();
        if in_vectors && !board.in_vectors() {
            windows.push(step + 1);
        }
    }
    let mut random = Random::new(9);
    let mut places = Vec::new();
    for of in [all, entries, windows] {
        assert!(!of.is_empty() || !config.windowed);
        let stops = if of.is_empty() { 0 } else { STOPS };
        places.extend((0..stops).map(|_| of[random.below(of.len() as u64) as usize]));
    }
    places.sort_unstable();
    let mut board = Board::new(config, elf);
    let mut done = 0;
    for place in places {
        while done < place {
            board.step();
            done += 1;
        }
        at_stop(&board);
    }
    Ok(())
}

/// The frames as the device prints them: of return addresses three bytes less.
fn printed(trace: &Trace) -> Vec<(u32, u32)> {
    let frames = trace.frames.iter().map(|frame| {
        let pc = if frame.is_return() {
            frame.pc - 3
        } else {
            frame.pc
        };
        (pc, frame.registers.x[1].unwrap_or(0))
    });
    frames.collect()
}

fn same(name: &str, symbols: &Symbols, trace: &Trace, expected: &[u32]) {
    let ours: Vec<u32> = trace.frames.iter().map(|frame| frame.pc).collect();
    assert!(
        ours == expected,
        "{name}: {}\nours     {}\nexpected {}",
        trace.end,
        show(&ours, symbols),
        show(expected, symbols)
    );
}

pub fn windowed() -> Result<(), Failed> {
    for (number, level) in ["-O0", "-O1", "-O2", "-Os"].into_iter().enumerate() {
        let elf = by_llvm(
            &format!("windowed-{number}"),
            level,
            &source(number as u64 + 1),
        )?;
        let elf = tools::read(&elf)?;
        let symbols = symbols(&elf);
        stops(Config::ESP32, &elf, |board| {
            let memory = Pieces(vec![(DATA, board.spilled())]);
            let registers = board.registers();
            let trace = xtensa::unwind(&symbols, &registers, &memory);
            same(level, &symbols, &trace, &board.chain());
            assert_eq!(trace.end, End::ReturnAddressZero, "{level}");
            // What the device prints of it: at an `entry` it leaves out the caller.
            let mut pairs = printed(&trace);
            if board.at_entry() && pairs.len() > 1 {
                pairs.remove(1);
            }
            let trace = xtensa::printed(&symbols, &pairs, &registers);
            let calls: Vec<u32> = printed(&trace).into_iter().map(|(pc, _)| pc).collect();
            let expected = board.chain();
            let expected = expected.iter().enumerate().map(|(place, pc)| match place {
                0 => *pc,
                _ => pc - 3,
            });
            assert_eq!(
                calls,
                expected.collect::<Vec<_>>(),
                "{level}: {}",
                trace.end
            );
        })?;
    }
    Ok(())
}

/// A program that calls what is no function: the caller's registers are in the window still.
pub fn wild_pointers() -> Result<(), Failed> {
    for (number, level) in ["-O0", "-Os"].into_iter().enumerate() {
        for wild in [0, 0xDEAD_BEEC_u32, 0x3FFB_0010] {
            let source = format!(
                "typedef unsigned u;
                 #define NO __attribute__((noinline))
                 volatile u pointer = {wild};
                 NO u third(u a) {{ return ((u (*)(u))pointer)(a) + a; }}
                 NO u second(u a) {{ volatile u t[40]; t[0] = a; return third(t[0] + 1) ^ a; }}
                 NO u first(u a) {{ return second(a) * 3 + a; }}
                 u run(u a) {{ return first(a) + second(1); }}"
            );
            let elf = tools::read(&by_llvm(&format!("wild-{number}"), level, &source)?)?;
            let symbols = symbols(&elf);
            let mut board = Board::new(Config::ESP32, &elf);
            let steps = (0..MOST).find(|_| {
                board.step();
                board.pc() == wild
            });
            assert!(steps.is_some());
            let memory = Pieces(vec![(DATA, board.spilled())]);
            let mut registers = board.registers();
            for ps in [registers.ps, None] {
                registers.ps = ps;
                let trace = xtensa::unwind(&symbols, &registers, &memory);
                same(level, &symbols, &trace, &board.chain());
                assert_eq!(trace.frames[1].how, How::Register);
                assert_eq!(trace.end, End::ReturnAddressZero, "{level}");
                // The device goes on at the caller's caller.
                let mut pairs = printed(&trace);
                pairs.remove(1);
                let printed = xtensa::printed(&symbols, &pairs, &registers);
                let [first, second] = [&printed.frames[0], &printed.frames[1]];
                assert_eq!((first.pc, second.pc), (wild, trace.frames[1].pc));
                assert_eq!(printed.frames.len(), trace.frames.len());
            }
        }
    }
    Ok(())
}

pub fn call0() -> Result<(), Failed> {
    for (number, level) in ["-O0", "-O2", "-Os"].into_iter().enumerate() {
        let elf = by_gcc(
            &format!("call0-{number}"),
            level,
            &source(number as u64 + 1),
        )?;
        let elf = tools::read(&elf)?;
        let symbols = symbols(&elf);
        stops(Config::LX106, &elf, |board| {
            let registers = board.registers();
            let sp = registers.x[1].unwrap_or(0);
            let memory = board.memory();
            let words = (sp..STACK_TOP).step_by(4).map(|at| {
                let place = (at - DATA) as usize;
                let word = memory[place..place + 4].try_into().expect("4 bytes");
                (at, u32::from_le_bytes(word))
            });
            let possible = call0::possible(&symbols, words);
            let found: HashSet<u32> = possible.iter().map(|one| one.pc).collect();
            let a0 = registers.x[0].unwrap_or(0);
            for pc in &board.chain()[1..] {
                assert!(
                    *pc == a0 || found.contains(pc),
                    "{level}: {pc:#x} is not among them"
                );
            }
        })?;
    }
    Ok(())
}
