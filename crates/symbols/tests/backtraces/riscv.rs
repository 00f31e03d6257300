//! Programs by GCC for RISC-V, stopped anywhere on our CPU model.

use std::path::{Path, PathBuf};
use std::process::Command;

use guru_sim::cpu::riscv::{Options, Riscv};
use guru_sim::cpu::{Access, AddressSpace, Bus, Cpu};
use guru_symbols::Symbols;
use guru_symbols::unwind::{End, How, Registers, Trace, riscv};
use guru_testkit::Random;
use libtest_mimic::Failed;

use crate::elf_core::{self, Pieces};
use crate::gdb::{self, Cases, Kind};
use crate::program;
use crate::tools;

const RAM: u32 = 0x4038_0000;
const RAM_LEN: u32 = 0x4_0000;
const STACK_TOP: u32 = RAM + RAM_LEN - 0x1000;

/// Stops of each program.
const STOPS: u32 = 24;

/// How programs are compiled.
const WAYS: &[&[&str]] = &[
    &["-O0", "-march=rv32imc_zicsr"],
    &["-O0", "-march=rv32imac_zicsr", "-fomit-frame-pointer"],
    &["-O1", "-march=rv32im_zicsr"],
    &["-Os", "-march=rv32imc_zicsr"],
    &["-Os", "-march=rv32imac", "-misa-spec=2.2", "-msave-restore"],
    &["-O2", "-march=rv32imc_zicsr"],
    &["-O2", "-march=rv32imac_zicsr", "-fno-omit-frame-pointer"],
    &["-O3", "-march=rv32imc_zicsr", "-mno-save-restore"],
];

const START: &str = "
    .section .text.start, \"ax\"
    .global _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined ra
    la sp, stack_top
    li a0, 5
    call run
    .cfi_endproc
    .size _start, . - _start

    .global finish
    .type finish, @function
finish:
    .cfi_startproc
    j finish
    .cfi_endproc
    .size finish, . - finish
";

fn script() -> String {
    format!(
        "ENTRY(_start)
SECTIONS {{
  . = {RAM:#x};
  .text : {{ *(.text.start) *(.text .text.*) }}
  .rodata : {{ *(.rodata .rodata.* .srodata .srodata.*) }}
  .data : {{ *(.data .data.* .sdata .sdata.*) }}
  .bss : {{ *(.bss .bss.* .sbss .sbss.* COMMON) }}
  stack_top = {STACK_TOP:#x};
}}
"
    )
}

/// Compiles and links, and gives the ELF file.
fn build(name: &str, way: &[&str], start: &str, source: &str) -> Result<PathBuf, String> {
    let folder = tools::folder(name)?;
    let path = |file: &str| folder.join(file);
    tools::write(&path("start.S"), start)?;
    tools::write(&path("program.c"), source)?;
    tools::write(&path("link.ld"), script())?;
    tools::run(
        Command::new(tools::tool("GURU_RISCV_GCC")?)
            .args([
                "-g",
                "-mabi=ilp32",
                "-ffreestanding",
                "-fno-builtin",
                "-nostdlib",
                "-Wl,--no-relax",
            ])
            .args(way)
            .arg("-T")
            .args([path("link.ld"), path("start.S"), path("program.c")])
            .args(["-lgcc", "-o"])
            .arg(path("program.elf")),
    )?;
    Ok(path("program.elf"))
}

/// A program at a place where it was stopped.
struct Stop {
    registers: Registers,
    memory: Pieces,
    /// The program counter and the addresses to return to, innermost first.
    chain: Vec<u32>,
}

/// Runs a program instruction by instruction, and stops at some of them.
struct Board {
    cpu: Riscv,
    space: AddressSpace,
    /// Addresses to return to, the outermost first; of interrupted places with their mark.
    calls: Vec<u32>,
}

impl Board {
    fn new(elf: &[u8]) -> Self {
        let mut space = AddressSpace::default();
        let ram = space.add_bank(RAM_LEN);
        space
            .add_window(RAM, RAM_LEN, ram, 0, Access::Ram)
            .expect("it fits");
        let (parts, entry) = tools::loaded(elf);
        for (address, bytes) in parts {
            space.poke(address, bytes).expect("it fits");
        }
        let mut cpu = Riscv::new(Options::default());
        cpu.set_pc(entry);
        Self {
            cpu,
            space,
            calls: Vec::new(),
        }
    }

    /// Executes one instruction; whether it was one that the program can be stopped at for ever.
    fn step(&mut self) {
        let pc = self.cpu.pc();
        let low = self.space.load16(pc).expect("code");
        let word = if low & 3 == 3 {
            self.space.load32(pc).expect("code")
        } else {
            low.into()
        };
        let handler = self.cpu.csr(0x305).unwrap_or(0);
        self.cpu.run(&mut self.space, 1);
        let next = self.cpu.pc();
        let call = match low & 3 {
            3 => matches!(word & 0xFFF, 0xEF | 0xE7),
            // c.jal; c.jalr.
            1 => low >> 13 == 1,
            _ => low & 0xF07F == 0x9002 && low != 0x9002,
        };
        if call {
            self.calls.push(pc + if low & 3 == 3 { 4 } else { 2 });
        } else if low == 0x8082 || word == 0x8067 || word == 0x3020_0073 {
            assert_eq!(self.calls.pop(), Some(next), "at {pc:#x}");
        } else if handler != 0 && next == handler {
            // It goes on behind the `ebreak`.
            self.calls.push(pc);
        }
    }

    fn stop(&self) -> Stop {
        let mut registers = Registers {
            pc: Some(self.cpu.pc()),
            ..Registers::default()
        };
        for (number, register) in (0..).zip(&mut registers.x) {
            *register = Some(self.cpu.register(number));
        }
        let sp = self.cpu.register(2);
        let mut stack = vec![0; STACK_TOP.saturating_sub(sp) as usize];
        self.space.peek(sp, &mut stack).expect("a stack");
        let mut chain = vec![self.cpu.pc()];
        chain.extend(self.calls.iter().rev());
        Stop {
            registers,
            memory: Pieces(vec![(sp, stack)]),
            chain,
        }
    }

    /// Stops at some of the instructions up to the last one, `finish`.
    fn stops(elf: &[u8], seed: u64, usable: &dyn Fn(u32) -> bool) -> Vec<Stop> {
        /// More than any of the programs executes.
        const MOST: u32 = 2_000_000;
        let symbols = symbols(elf.to_vec());
        let finish = symbols.programs()[0].address_of("finish").expect("finish");
        let mut board = Self::new(elf);
        let mut steps = 0;
        while board.cpu.pc() != finish && steps < MOST {
            board.step();
            steps += 1;
        }
        assert!(steps < MOST, "the program does not come to its end");
        let mut random = Random::new(seed);
        let mut places: Vec<u32> = (0..STOPS)
            .map(|_| 2 + random.below(u64::from(steps) - 2) as u32)
            .collect();
        places.sort_unstable();
        let mut board = Self::new(elf);
        let mut at = 0;
        let mut stops = Vec::new();
        for place in places {
            while at < place || !usable(board.cpu.pc()) {
                board.step();
                at += 1;
            }
            stops.push(board.stop());
        }
        while board.cpu.pc() != finish {
            board.step();
        }
        stops.push(board.stop());
        stops
    }
}

fn symbols(elf: Vec<u8>) -> Symbols {
    let mut symbols = Symbols::new();
    symbols.add("program.elf", elf).expect("an ELF file");
    symbols
}

/// Not in the compiler's support routines, which are called in their own way.
fn is_program(symbols: &Symbols) -> impl Fn(u32) -> bool {
    |pc| {
        let location = symbols.locate(pc);
        location
            .and_then(|location| location.symbol)
            .is_some_and(|name| !name.starts_with("__riscv_"))
    }
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

/// The frames that have a place on the stack, and a return address.
fn physical(trace: &Trace) -> Vec<u32> {
    let frames = trace
        .frames
        .iter()
        .filter(|frame| !matches!(frame.how, How::TailCall | How::Support));
    frames.map(|frame| frame.pc).collect()
}

fn check(name: &str, stop: &Stop, symbols: &Symbols) {
    let trace = riscv::unwind(symbols, &stop.registers, &stop.memory);
    let ours = physical(&trace);
    assert!(
        ours == stop.chain,
        "{name}: {}\nours    {}\nexpected {}",
        trace.end,
        show(&ours, symbols),
        show(&stop.chain, symbols)
    );
    assert_eq!(trace.end, End::Outermost, "{name}");
    assert!(trace.possible.is_empty(), "{name}");
    for (frame, caller) in trace.frames.iter().zip(trace.frames.iter().skip(1)) {
        if caller.how != How::TailCall && frame.how != How::TailCall {
            assert_eq!(frame.cfa, caller.registers.x[2], "{name}");
        }
    }
}

pub fn calls_and_gdb() -> Result<(), Failed> {
    let folder = tools::folder("gdb")?;
    let mut cases = Vec::new();
    let mut stops = Vec::new();
    for (number, way) in WAYS.iter().enumerate() {
        let name = format!("riscv-{number}");
        let elf = build(&name, way, START, &program::source(number as u64 + 1))?;
        let bytes = tools::read(&elf)?;
        let symbols = symbols(bytes.clone());
        let flags = u32::from_le_bytes(bytes[36..40].try_into().expect("4 bytes"));
        let mut cores = Vec::new();
        for (place, stop) in Board::stops(&bytes, 77, &is_program(&symbols))
            .into_iter()
            .enumerate()
        {
            let name = format!("{} stop {place}", way.join(" "));
            check(&name, &stop, &symbols);
            let core = folder.join(format!("{number}-{place}.core"));
            tools::write(&core, elf_core::write(&stop.registers, &stop.memory, flags))?;
            cores.push(core);
            let ours = riscv::unwind(&symbols, &stop.registers, &stop.memory);
            stops.push((name, stop, ours));
        }
        cases.push(Cases { elf, cores });
    }
    let theirs = gdb::backtraces(&folder, &cases)?;
    assert_eq!(theirs.len(), stops.len());
    assert!(stops.len() >= 100);
    let (mut tail_calls, mut not_unique) = (0, 0);
    for ((name, stop, ours), theirs) in stops.iter().zip(&theirs) {
        let of = |kind| {
            let frames = theirs.iter().filter(move |frame| frame.kind == kind);
            frames.map(|frame| frame.pc).collect::<Vec<u32>>()
        };
        assert_eq!(stop.chain, of(Kind::Normal), "{name}: GDB");
        let tails = ours
            .frames
            .iter()
            .filter(|frame| frame.how == How::TailCall);
        let tails: Vec<u32> = tails.map(|frame| frame.pc).collect();
        // Where there is more than one way, GDB shows what these have in common.
        let of_gdb = of(Kind::TailCall);
        let theirs = tails.iter().all(|pc| of_gdb.contains(pc));
        assert!(theirs, "{name}: tail calls {tails:x?}, GDB's {of_gdb:x?}");
        tail_calls += tails.len();
        not_unique += of_gdb.len() - tails.len();
    }
    assert!(
        tail_calls > not_unique,
        "{tail_calls}, and {not_unique} more"
    );
    Ok(())
}

/// The same program without call frame and debugging information.
fn without_information(elf: &Path) -> Result<PathBuf, Failed> {
    let bare = elf.with_file_name("bare.elf");
    tools::run(
        Command::new(tools::beside("GURU_RISCV_GCC", "gcc", "objcopy")?)
            .args(["-R", ".debug_frame", "-R", ".eh_frame", "--strip-debug"])
            .args([elf, &bare]),
    )?;
    Ok(bare)
}

pub fn without_frame_information() -> Result<(), Failed> {
    for (number, way) in WAYS.iter().enumerate() {
        let name = format!("bare-{number}");
        let elf = build(&name, way, START, &program::source(number as u64 + 101))?;
        let bytes = tools::read(&without_information(&elf)?)?;
        let symbols = symbols(bytes.clone());
        for (place, mut stop) in Board::stops(&bytes, 33, &|_| true).into_iter().enumerate() {
            // The first function saves nothing.
            let name = format!("{} stop {place}", way.join(" "));
            let trace = riscv::unwind(&symbols, &stop.registers, &stop.memory);
            let ours = physical(&trace);
            assert!(
                ours == stop.chain,
                "{name}: {}\nours    {}\nexpected {}",
                trace.end,
                show(&ours, &symbols),
                show(&stop.chain, &symbols)
            );
            let last = stop.chain.pop().ok_or("an empty chain")?;
            assert_eq!(trace.end, End::NoFrameInformation { pc: last }, "{name}");
        }
    }
    Ok(())
}

/// A handler as ESP-IDF's, on the interrupted function's stack.
const HANDLER: &str = "
    .section .text.start, \"ax\"
    .global _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined ra
    la sp, stack_top
    la t0, _panic_handler
    csrw mtvec, t0
    li a0, 5
    call run
    .cfi_endproc
    .size _start, . - _start

    .global finish
    .type finish, @function
finish:
    .cfi_startproc
    j finish
    .cfi_endproc
    .size finish, . - finish

    .balign 4
    .global _panic_handler
    .type _panic_handler, @function
_panic_handler:
    addi sp, sp, -160
    sw ra, 4(sp)
    sw tp, 16(sp)
    sw t0, 20(sp)
    sw t1, 24(sp)
    sw t2, 28(sp)
    sw s0, 32(sp)
    sw s1, 36(sp)
    sw a0, 40(sp)
    sw a1, 44(sp)
    sw a2, 48(sp)
    sw a3, 52(sp)
    sw a4, 56(sp)
    sw a5, 60(sp)
    sw a6, 64(sp)
    sw a7, 68(sp)
    sw s2, 72(sp)
    sw s3, 76(sp)
    sw s4, 80(sp)
    sw s5, 84(sp)
    sw s6, 88(sp)
    sw s7, 92(sp)
    sw s8, 96(sp)
    sw s9, 100(sp)
    sw s10, 104(sp)
    sw s11, 108(sp)
    sw t3, 112(sp)
    sw t4, 116(sp)
    sw t5, 120(sp)
    sw t6, 124(sp)
    sw gp, 12(sp)
    addi t0, sp, 160
    sw t0, 8(sp)
    csrr t0, mepc
    sw t0, 0(sp)
    mv a0, sp
    call panic
    j finish
    .size _panic_handler, . - _panic_handler
";

const PANIC: &str = "
__attribute__((noinline)) u report(u a) { sink = a; finish(); return a; }
void panic(u *frame) { sink = report(frame[0]) + frame[1]; }
";

/// At places all over the program the instruction becomes an `ebreak`.
pub fn through_handlers() -> Result<(), Failed> {
    for (number, way) in WAYS.iter().enumerate().skip(2).step_by(2) {
        let name = format!("handler-{number}");
        let source = program::source(number as u64 + 201) + PANIC;
        let elf = tools::read(&build(&name, way, HANDLER, &source)?)?;
        let symbols = symbols(elf.clone());
        let finish = symbols.programs()[0]
            .address_of("finish")
            .ok_or("no finish")?;
        let is_program = is_program(&symbols);
        let mut random = Random::new(5);
        for _ in 0..6 {
            let mut board = Board::new(&elf);
            let steps = 50 + random.below(3000) as u32;
            let mut done = 0;
            while done < steps && board.cpu.pc() != finish || !is_program(board.cpu.pc()) {
                board.step();
                done += 1;
            }
            let pc = board.cpu.pc();
            if pc == finish {
                continue;
            }
            // Both halves of a long one, so that what is there has the same length.
            board
                .space
                .poke(pc, &0x9002_u16.to_le_bytes())
                .expect("it is code");
            let before = board.stop();
            while board.cpu.pc() != finish {
                board.step();
            }
            let stop = board.stop();
            let name = format!("{} interrupted at {pc:#x}", way.join(" "));
            assert!(stop.chain.ends_with(&before.chain), "{name}");
            check(&name, &stop, &symbols);
            let trace = riscv::unwind(&symbols, &stop.registers, &stop.memory);
            let at = stop.chain.len() - before.chain.len();
            assert_eq!(trace.frames[at].how, How::Trap, "{name}");
            assert_eq!(trace.frames[at].registers, before.registers, "{name}");
        }
    }
    Ok(())
}

/// What happens to a stack.
#[derive(Debug, Clone, Copy)]
enum Harm {
    /// One word is anything.
    Word,
    /// One word is a copy of another one.
    Copy,
    /// Text runs over words upwards.
    Text,
    /// Zeros or a pattern do.
    Fill,
}

impl Harm {
    const ALL: [Self; 4] = [Self::Word, Self::Copy, Self::Text, Self::Fill];

    fn harm(self, stack: &mut [u8], random: &mut Random) {
        let words = stack.len() as u64 / 4;
        let at = 4 * random.below(words) as usize;
        let run = (4 * (1 + random.below(24)) as usize).min(stack.len() - at);
        match self {
            Self::Word => {
                let word = random.below(1 << 32) as u32;
                stack[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            Self::Copy => {
                let from = 4 * random.below(words) as usize;
                stack.copy_within(from..from + 4, at);
            }
            Self::Text => {
                for byte in &mut stack[at..at + run] {
                    *byte = b' ' + random.below(95) as u8;
                }
            }
            Self::Fill => {
                let byte = [0, 0xA5, 0xCE, 0xFF][random.below(4) as usize];
                stack[at..at + run].fill(byte);
            }
        }
    }
}

/// A damaged stack ends a trace: no frame is named that was not there.
pub fn damaged_stacks() -> Result<(), Failed> {
    const TIMES: u32 = 10;
    let (mut copies, mut misled) = (0, Vec::new());
    for (number, way) in WAYS.iter().enumerate() {
        let name = format!("damaged-{number}");
        let elf = build(&name, way, START, &program::source(number as u64 + 1))?;
        let whole = tools::read(&elf)?;
        let bare = tools::read(&without_information(&elf)?)?;
        let stops = Board::stops(&whole, 77, &is_program(&symbols(whole.clone())));
        let mut random = Random::new(number as u64);
        for symbols in [symbols(whole), symbols(bare)] {
            for stop in &stops {
                for harm in Harm::ALL {
                    for _ in 0..TIMES {
                        let mut memory = Pieces(stop.memory.0.clone());
                        harm.harm(&mut memory.0[0].1, &mut random);
                        let trace = riscv::unwind(&symbols, &stop.registers, &memory);
                        let ours = physical(&trace);
                        let right = stop.chain.starts_with(&ours);
                        if let Harm::Copy = harm {
                            copies += 1;
                            misled.extend((!right).then_some(ours));
                            continue;
                        }
                        assert!(
                            right,
                            "{harm:?}, {}: {}\nours {}\ntrue {}",
                            way.join(" "),
                            trace.end,
                            show(&ours, &symbols),
                            show(&stop.chain, &symbols)
                        );
                    }
                }
            }
        }
    }
    // A return address that calls of the same function left elsewhere cannot be told from its own.
    assert!(
        misled.len() * 500 < copies,
        "{} of {copies}: {misled:x?}",
        misled.len()
    );
    Ok(())
}
