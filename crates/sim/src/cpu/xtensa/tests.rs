//! Programs as words, encoded here from the manual's formats and not by the decoder's tables.

use proptest::prelude::*;

use super::core::ps;
use super::decode::{Op, decode, length};
use super::{Cause, Config, Core, Exception, Stop};
use crate::cpu::{self, Bus, Fault};

const RAM: u32 = 0x4008_0000;
const CODE: u32 = RAM + 0x400;
const STACK: u32 = RAM + 0xf000;
const END: u32 = 0x4010_0000;
/// Instructions at these addresses take words only.
const WORDS: u32 = 0x400a_0000;

/// 64 KB of memory that counts how often it was written where code was fetched.
struct Ram {
    bytes: Vec<u8>,
    epoch: u32,
}

impl Ram {
    fn new() -> Self {
        Self {
            bytes: vec![0; 0x1_0000],
            epoch: 0,
        }
    }
    fn place(&self, address: u32, width: u32) -> Result<usize, Fault> {
        if address & !0xffff == WORDS && (width != 4 || address & 3 != 0) {
            return Err(Fault::WordOnly);
        }
        let offset = address.checked_sub(RAM).ok_or(Fault::Unmapped)?;
        let end = offset.checked_add(width).ok_or(Fault::Unmapped)?;
        if end as usize > self.bytes.len() {
            return Err(Fault::Unmapped);
        }
        Ok(offset as usize)
    }
    fn get(&self, address: u32, width: u32) -> Result<u32, Fault> {
        let at = self.place(address, width)?;
        let bytes = &self.bytes[at..at + width as usize];
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, &b| value << 8 | u32::from(b)))
    }
    fn put(&mut self, address: u32, width: u32, value: u32) -> Result<(), Fault> {
        let at = self.place(address, width)?;
        self.bytes[at..at + width as usize].copy_from_slice(&value.to_le_bytes()[..width as usize]);
        self.epoch += 1;
        Ok(())
    }
    /// Places instructions; narrow ones are told by their first nibble.
    fn program(&mut self, mut address: u32, words: &[u32]) -> u32 {
        for &word in words {
            let width = u32::from(length(word as u8));
            self.put(address, width, word).expect("in RAM");
            address += width;
        }
        address
    }
}

impl Bus for Ram {
    fn load8(&mut self, address: u32) -> Result<u8, Fault> {
        self.get(address, 1).map(|v| v as u8)
    }
    fn load16(&mut self, address: u32) -> Result<u16, Fault> {
        self.get(address, 2).map(|v| v as u16)
    }
    fn load32(&mut self, address: u32) -> Result<u32, Fault> {
        self.get(address, 4)
    }
    fn store8(&mut self, address: u32, value: u8) -> Result<(), Fault> {
        self.put(address, 1, value.into())
    }
    fn store16(&mut self, address: u32, value: u16) -> Result<(), Fault> {
        self.put(address, 2, value.into())
    }
    fn store32(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        self.put(address, 4, value)
    }
    fn fetch(&mut self, address: u32) -> Result<u8, Fault> {
        self.get(address, 1).map(|v| v as u8)
    }
    fn code_epoch(&self) -> u32 {
        self.epoch
    }
}

fn rrr(op2: u32, op1: u32, r: u32, s: u32, t: u32) -> u32 {
    op2 << 20 | op1 << 16 | r << 12 | s << 8 | t << 4
}
fn rri8(r: u32, s: u32, t: u32, imm8: i32) -> u32 {
    (imm8 as u32 & 0xff) << 16 | r << 12 | s << 8 | t << 4 | 2
}
fn branch(r: u32, s: u32, t: u32, offset: i32) -> u32 {
    (offset as u32 & 0xff) << 16 | r << 12 | s << 8 | t << 4 | 7
}
fn movi(t: u32, value: i32) -> u32 {
    let value = value as u32;
    (value & 0xff) << 16 | 0xa000 | (value >> 8 & 0xf) << 8 | t << 4 | 2
}
fn addi(t: u32, s: u32, imm8: i32) -> u32 {
    rri8(0xc, s, t, imm8)
}
fn add(r: u32, s: u32, t: u32) -> u32 {
    rrr(8, 0, r, s, t)
}
fn beqz(s: u32, offset: i32) -> u32 {
    (offset as u32 & 0xfff) << 12 | s << 8 | 0x16
}
fn rsr(t: u32, number: u32) -> u32 {
    rrr(0, 3, number >> 4, number & 15, t)
}
fn wsr(t: u32, number: u32) -> u32 {
    rrr(1, 3, number >> 4, number & 15, t)
}
fn entry(s: u32, frame: u32) -> u32 {
    (frame / 8) << 12 | s << 8 | 0x36
}
/// `CALL4`, `CALL8` or `CALL12` at `from`.
fn call(n: u32, from: u32, to: u32) -> u32 {
    let offset = (to as i32 - (from as i32 & !3) - 4) >> 2;
    (offset as u32 & 0x3_ffff) << 6 | n << 4 | 5
}
fn s32e(t: u32, s: u32, offset: i32) -> u32 {
    rrr(4, 9, ((offset + 64) / 4) as u32, s, t)
}
fn l32e(t: u32, s: u32, offset: i32) -> u32 {
    rrr(0, 9, ((offset + 64) / 4) as u32, s, t)
}
const RETW: u32 = 0x90;
const RFWO: u32 = 0x3400;
const RFWU: u32 = 0x3500;
const RFE: u32 = 0x3000;
const ILL_N: u32 = 0xf06d;

/// The six handlers of the windowed calling convention, at `VECBASE`.
fn window_handlers(ram: &mut Ram) {
    let mut overflow8 = vec![s32e(0, 9, -16), l32e(0, 1, -12), s32e(1, 9, -12)];
    overflow8.extend([s32e(2, 9, -8), s32e(3, 9, -4)]);
    overflow8.extend((4..8).map(|n| s32e(n, 0, -32 + 4 * (n as i32 - 4))));
    overflow8.push(RFWO);
    let mut underflow8 = vec![l32e(0, 9, -16), l32e(1, 9, -12), l32e(2, 9, -8)];
    underflow8.extend([l32e(7, 1, -12), l32e(3, 9, -4)]);
    underflow8.extend((4..8).map(|n| l32e(n, 7, -32 + 4 * (n as i32 - 4))));
    underflow8.push(RFWU);
    let mut overflow12 = vec![s32e(0, 13, -16), l32e(0, 1, -12), s32e(1, 13, -12)];
    overflow12.extend([s32e(2, 13, -8), s32e(3, 13, -4)]);
    overflow12.extend((4..12).map(|n| s32e(n, 0, -48 + 4 * (n as i32 - 4))));
    overflow12.push(RFWO);
    let mut underflow12 = vec![l32e(0, 13, -16), l32e(1, 13, -12), l32e(2, 13, -8)];
    underflow12.extend([l32e(11, 1, -12), l32e(3, 13, -4)]);
    underflow12.extend((4..12).map(|n| l32e(n, 11, -48 + 4 * (n as i32 - 4))));
    underflow12.push(RFWU);
    let four = |op: fn(u32, u32, i32) -> u32, end| {
        let mut words: Vec<u32> = (0..4).map(|n| op(n, 5, -16 + 4 * n as i32)).collect();
        words.push(end);
        words
    };
    ram.program(RAM, &four(s32e, RFWO));
    ram.program(RAM + 0x40, &four(l32e, RFWU));
    ram.program(RAM + 0x80, &overflow8);
    ram.program(RAM + 0xc0, &underflow8);
    ram.program(RAM + 0x100, &overflow12);
    ram.program(RAM + 0x140, &underflow12);
    // The caller of the outermost frame, where handlers save that frame's upper registers.
    ram.put(STACK - 12, 4, STACK + 0x100).expect("in RAM");
}

fn core(config: Config) -> Core {
    let mut core = Core::new(Config {
        vecbase: RAM,
        ..config
    });
    core.set_ps(if config.windowed { ps::WOE } else { 0 });
    core.set_register(1, STACK);
    core.set_pc(CODE);
    core.trap_at(END);
    core
}

/// Runs `words` with registers `a2`, `a3`... set to `arguments`, until their end.
fn run_on(config: Config, words: &[u32], arguments: &[u32]) -> (Core, Ram, Stop) {
    let mut ram = Ram::new();
    let end = ram.program(CODE, words);
    let mut core = core(config);
    core.trap_at(end);
    for (number, &value) in (2..).zip(arguments) {
        core.set_register(number, value);
    }
    let run = core.run(&mut ram, 1000);
    (core, ram, run.stop)
}

/// What `word` leaves in `a4`, from `a2` and `a3`.
fn result(word: u32, a2: u32, a3: u32) -> u32 {
    let (core, _, stop) = run_on(Config::ESP32, &[word], &[a2, a3, 0x5555_5555]);
    assert_eq!(stop, Stop::Trap, "{word:06x}");
    core.register(4)
}

#[test]
fn arithmetic_wraps_and_shifts_as_the_manual_says() {
    let minus = u32::MAX;
    for (name, word, a2, a3, expected) in [
        ("add", add(4, 2, 3), minus, 2, 1),
        ("addx8", rrr(0xb, 0, 4, 2, 3), 3, 1, 25),
        ("sub", rrr(0xc, 0, 4, 2, 3), 1, 2, minus),
        ("subx4", rrr(0xe, 0, 4, 2, 3), 3, 2, 10),
        ("xor", rrr(3, 0, 4, 2, 3), 0xf0, 0xff, 0x0f),
        ("neg", rrr(6, 0, 4, 0, 3), 0, 1, minus),
        ("abs", rrr(6, 0, 4, 1, 3), 0, 0x8000_0000, 0x8000_0000),
        ("slli 4", rrr(1, 1, 4, 2, 12), 0xf000_0001, 0, 0x10),
        ("srai 31", rrr(3, 1, 4, 15, 3), 0, 0x8000_0000, minus),
        ("srli 4", rrr(4, 1, 4, 4, 3), 0, 0x8000_0000, 0x0800_0000),
        ("extui 20,4", rrr(3, 5, 4, 4, 3), 0, 0x12f4_5678, 0xf),
        ("sext 7", rrr(2, 3, 4, 2, 0), 0x80, 0, 0xffff_ff80),
        ("clamps 7", rrr(3, 3, 4, 2, 0), 1000, 0, 127),
        (
            "clamps 7 below",
            rrr(3, 3, 4, 2, 0),
            (-1000i32) as u32,
            0,
            (-128i32) as u32,
        ),
        ("min", rrr(4, 3, 4, 2, 3), minus, 1, minus),
        ("maxu", rrr(7, 3, 4, 2, 3), minus, 1, minus),
        ("nsa of 0", rrr(4, 0, 0xe, 2, 4), 0, 0, 31),
        ("nsa of -1", rrr(4, 0, 0xe, 2, 4), minus, 0, 31),
        ("nsau of 0", rrr(4, 0, 0xf, 2, 4), 0, 0, 32),
        ("nsau of 1", rrr(4, 0, 0xf, 2, 4), 1, 0, 31),
        (
            "mul16u",
            rrr(0xc, 1, 4, 2, 3),
            0x1_ffff,
            0xffff,
            0xfffe_0001,
        ),
        ("mul16s", rrr(0xd, 1, 4, 2, 3), 0xffff, 3, (-3i32) as u32),
        ("mull", rrr(8, 2, 4, 2, 3), 0x1_0001, 0x1_0001, 0x2_0001),
        ("muluh", rrr(0xa, 2, 4, 2, 3), minus, minus, minus - 1),
        ("mulsh", rrr(0xb, 2, 4, 2, 3), minus, minus, 0),
        ("quou", rrr(0xc, 2, 4, 2, 3), 100, 7, 14),
        (
            "quos overflow",
            rrr(0xd, 2, 4, 2, 3),
            0x8000_0000,
            minus,
            0x8000_0000,
        ),
        ("rems overflow", rrr(0xf, 2, 4, 2, 3), 0x8000_0000, minus, 0),
        ("rems", rrr(0xf, 2, 4, 2, 3), (-7i32) as u32, 2, minus),
        ("moveqz not", rrr(8, 3, 4, 2, 3), 7, 1, 0x5555_5555),
        ("movltz", rrr(0xa, 3, 4, 2, 3), 7, minus, 7),
        ("movi", movi(4, -2048), 0, 0, (-2048i32) as u32),
        ("addi", addi(4, 2, -128), 0, 0, (-128i32) as u32),
        ("addmi", rri8(0xd, 2, 4, -1), 0, 0, (-256i32) as u32),
        ("movi.n 95", 0xf45c, 0, 0, 95),
        ("movi.n -32", 0x046c, 0, 0, (-32i32) as u32),
        ("add.n", 0x423a, 5, 6, 11),
        ("addi.n -1", 0x420b, 5, 0, 4),
        ("mov.n", 0x024d, 5, 0, 5),
    ] {
        assert_eq!(result(word, a2, a3), expected, "{name}");
    }
}

#[test]
fn shifts_by_sar_reach_from_0_to_32() {
    let ssl = rrr(4, 0, 1, 3, 0);
    let ssr = rrr(4, 0, 0, 3, 0);
    let ssa8l = rrr(4, 0, 2, 3, 0);
    let sll = rrr(0xa, 1, 4, 2, 0);
    let srl = rrr(9, 1, 4, 0, 2);
    let sra = rrr(0xb, 1, 4, 0, 2);
    let src = rrr(8, 1, 4, 2, 3);
    for (words, a2, a3, expected) in [
        ([ssl, sll], 0x8000_0001, 0, 0x8000_0001),
        ([ssl, sll], 0x8000_0001, 31, 0x8000_0000),
        ([ssr, srl], 0x8000_0001, 31, 1),
        ([ssr, sra], 0x8000_0000, 31, u32::MAX),
        ([ssa8l, src], 0x1122_3344, 1, 0x4400_0000),
        ([ssl, srl], 0xffff_ffff, 0, 0),
    ] {
        let (core, _, stop) = run_on(Config::ESP32, &words, &[a2, a3]);
        assert_eq!(stop, Stop::Trap);
        assert_eq!(core.register(4), expected, "{words:x?} {a2:x} {a3:x}");
    }
}

#[test]
fn branches_compare_signed_unsigned_and_by_bit() {
    let minus = u32::MAX;
    // Over `movi a4, 0`; a4 is 1 before.
    let b4 = |m: u32, n: u32, r: u32| 2 << 16 | r << 12 | 2 << 8 | m << 6 | n << 4 | 6;
    for (name, word, a2, a3, taken) in [
        ("beq", branch(1, 2, 3, 2), 5, 5, true),
        ("bne", branch(9, 2, 3, 2), 5, 5, false),
        ("blt", branch(2, 2, 3, 2), minus, 0, true),
        ("bltu", branch(3, 2, 3, 2), minus, 0, false),
        ("bge", branch(0xa, 2, 3, 2), 0, minus, true),
        ("bgeu", branch(0xb, 2, 3, 2), 0, minus, false),
        ("bany", branch(8, 2, 3, 2), 6, 2, true),
        ("bnone", branch(0, 2, 3, 2), 6, 2, false),
        ("ball", branch(4, 2, 3, 2), 6, 2, true),
        ("bnall", branch(0xc, 2, 3, 2), 2, 6, true),
        ("bbc", branch(5, 2, 3, 2), 0, 33, true),
        ("bbs", branch(0xd, 2, 3, 2), 2, 33, true),
        ("bbsi 31", branch(0xf, 2, 15, 2), 0x8000_0000, 0, true),
        ("bbci 0", branch(6, 2, 0, 2), 1, 0, false),
        ("beqi -1", b4(0, 2, 0), minus, 0, true),
        ("bnei 256", b4(1, 2, 15), 256, 0, false),
        ("blti -1", b4(2, 2, 0), 0x8000_0000, 0, true),
        ("bltui 32768", b4(2, 3, 0), 0x7fff, 0, true),
        ("bgeui 65536", b4(3, 3, 1), 0xffff, 0, false),
        ("beqz", beqz(2, 2), 0, 0, true),
    ] {
        let words = [movi(4, 1), word, movi(4, 0)];
        let (core, _, stop) = run_on(Config::ESP32, &words, &[a2, a3]);
        assert_eq!(stop, Stop::Trap, "{name}");
        assert_eq!(core.register(4) == 1, taken, "{name}");
    }
}

#[test]
fn loads_extend_and_stores_truncate() {
    let at = RAM + 0x8000;
    let words = [
        rri8(4, 2, 3, 1), // s8i a3, a2, 1
        rri8(5, 2, 3, 1), // s16i a3, a2, 2
        rri8(0, 2, 4, 1), // l8ui
        rri8(1, 2, 5, 1), // l16ui
        rri8(9, 2, 6, 1), // l16si
        rri8(2, 2, 7, 0), // l32i
        rri8(6, 2, 3, 4), // s32i a3, a2, 16
    ];
    let (core, ram, stop) = run_on(Config::ESP32, &words, &[at, 0x1234_fedc]);
    assert_eq!(stop, Stop::Trap);
    assert_eq!(core.register(4), 0xdc);
    assert_eq!(core.register(5), 0xfedc);
    assert_eq!(core.register(6), 0xffff_fedc);
    assert_eq!(core.register(7), 0xfedc_dc00);
    assert_eq!(ram.get(at + 16, 4), Ok(0x1234_fedc));
}

#[test]
fn l32r_reads_a_literal_below_it_or_below_litbase() {
    let mut ram = Ram::new();
    ram.put(CODE - 8, 4, 0xcafe_f00d).expect("in RAM");
    ram.program(CODE, &[0xfffe << 8 | 4 << 4 | 1]);
    let mut core = core(Config::LX106);
    core.run(&mut ram, 1);
    assert_eq!(core.register(4), 0xcafe_f00d);

    ram.put(RAM + 0x1000 - 8, 4, 0x600d_cafe).expect("in RAM");
    core.set_register(2, RAM + 0x1001);
    let end = ram.program(CODE, &[wsr(2, 5), 0xfffe << 8 | 4 << 4 | 1]);
    core.trap_at(end);
    core.set_pc(CODE);
    assert_eq!(core.run(&mut ram, 10).stop, Stop::Trap);
    assert_eq!(core.register(4), 0x600d_cafe);
}

#[test]
fn a_loop_runs_its_body_as_often_as_told() {
    // loop a2, over the next instruction; loopnez of 0 and loopgtz of -1 skip it.
    let begin = |kind: u32| (3 - 1) << 16 | kind << 12 | 2 << 8 | 0x76;
    for (kind, count, expected) in [
        (8, 5, 5),
        (9, 0, 0),
        (9, 3, 3),
        (10, u32::MAX, 0),
        (10, 2, 2),
    ] {
        let (core, _, stop) = run_on(Config::ESP32, &[begin(kind), addi(4, 4, 1)], &[count]);
        assert_eq!(stop, Stop::Trap);
        assert_eq!(core.register(4), expected, "kind {kind}, count {count}");
    }
}

#[test]
fn an_instruction_of_an_absent_option_is_illegal() {
    for (config, word) in [
        (Config::LX106, rrr(0xc, 2, 4, 2, 3)), // quou
        (Config::LX106, entry(1, 32)),
        (Config::LX106, rrr(4, 3, 4, 2, 3)),      // min
        (Config::ESP32_S2, 2 << 16 | 0x8276),     // loop
        (Config::ESP32_S2, rri8(0xe, 2, 3, 0)),   // s32c1i
        (Config::ESP32_S2, rrr(0, 0xa, 0, 1, 2)), // add.s
        (Config::ESP32, 0),
        (Config::ESP32, ILL_N),
        (Config::ESP32, 0x0f),
    ] {
        let (core, _, stop) = run_on(config, &[word], &[]);
        let Stop::Exception(exception) = stop else {
            panic!("{word:06x}: {stop:?}");
        };
        assert_eq!(exception.cause, Cause::IllegalInstruction, "{word:06x}");
        assert_eq!(exception.pc, CODE);
        assert_eq!(core.pc(), RAM + config.vectors.kernel);
    }
}

/// Recursion through `CALL4`, `CALL8`, `CALL12` in the order of `pattern`: the sum of 1 to `depth`,
/// each frame keeping its own number in `a3`.
fn sum(pattern: &[u32], depth: u32) -> (u32, Core) {
    let mut ram = Ram::new();
    window_handlers(&mut ram);
    let function = |index: usize| CODE + 0x100 + 0x40 * index as u32;
    for (index, &n) in pattern.iter().enumerate() {
        let at = function(index);
        let callee = function((index + 1) % pattern.len());
        ram.program(
            at,
            &[
                entry(1, 64),
                beqz(2, 3 * 4 - 1),
                rrr(2, 0, 3, 2, 2), // mov a3, a2
                addi(4 * n + 2, 2, -1),
                call(n, at + 12, callee),
                add(2, 3, 4 * n + 2),
                RETW,
            ],
        );
    }
    ram.program(
        CODE,
        &[movi(6, depth as i32), call(1, CODE + 3, function(0))],
    );
    let mut core = core(Config::ESP32);
    core.trap_at(CODE + 6);
    let run = core.run(&mut ram, 1_000_000);
    assert_eq!(run.stop, Stop::Trap, "{pattern:?}");
    (core.register(6), core)
}

#[test]
fn deep_calls_overflow_and_underflow_through_the_handlers() {
    for pattern in [&[1][..], &[2], &[3], &[1, 2, 3], &[3, 1, 1, 2]] {
        for depth in [1, 5, 16, 17, 100] {
            let (value, core) = sum(pattern, depth);
            assert_eq!(value, depth * (depth + 1) / 2, "{pattern:?}, {depth} deep");
            assert_eq!(core.register(1), STACK);
            assert_eq!(core.window_start, 1 << core.window_base());
            assert_eq!(core.ps() & ps::EXCM, 0);
        }
    }
}

#[test]
fn movsp_asks_for_the_callers_registers_when_they_were_saved() {
    let movsp = rrr(0, 0, 1, 2, 4);
    let (core, _, stop) = run_on(Config::ESP32, &[movsp], &[7]);
    // The only frame has no caller in the register file: Alloca goes to the kernel vector, where
    // there is no code here.
    assert!(
        matches!(stop, Stop::Exception(Exception { double: true, .. })),
        "{stop:?}"
    );
    assert_eq!(core.epc[1], CODE);
    let mut core = super::tests::core(Config::ESP32);
    core.window_start |= 1 << 15;
    core.set_register(2, 7);
    let mut ram = Ram::new();
    ram.program(CODE, &[movsp]);
    assert_eq!(core.run(&mut ram, 1).stop, Stop::Budget);
    assert_eq!(core.register(4), 7);
}

#[test]
fn an_exception_goes_to_its_vector_and_rfe_returns_after_it() {
    for (user, vector) in [(0, 0x300), (ps::UM, 0x340)] {
        let mut ram = Ram::new();
        let handler = [rsr(5, 232), rsr(6, 177), addi(6, 6, 3), wsr(6, 177), RFE];
        ram.program(RAM + vector, &handler);
        ram.program(CODE, &[rrr(0, 0, 5, 0, 0), movi(4, 9)]); // syscall
        let mut core = core(Config::ESP32);
        core.set_ps(ps::WOE | user);
        core.trap_at(CODE + 6);
        assert_eq!(core.run(&mut ram, 100).stop, Stop::Trap);
        assert_eq!(core.register(5), 1);
        assert_eq!(core.register(4), 9);
    }
}

#[test]
fn a_refused_access_is_told_with_its_address() {
    let load = rri8(2, 2, 4, 1);
    let store = rri8(6, 2, 4, 1);
    let byte = rri8(0, 2, 4, 0);
    for (config, word, a2, cause, address) in [
        (Config::ESP32, load, 0, Cause::LoadProhibited, 4),
        (Config::ESP32, store, 0, Cause::StoreProhibited, 4),
        (Config::ESP32, byte, WORDS, Cause::LoadStoreError, WORDS),
        (
            Config::LX106,
            load,
            RAM + 1,
            Cause::LoadStoreAlignment,
            RAM + 5,
        ),
        (
            Config::ESP32,
            rrr(0, 0, 0, 2, 10),
            0x10,
            Cause::InstFetchProhibited,
            0x10,
        ), // jx
    ] {
        let (core, _, stop) = run_on(config, &[word], &[a2]);
        let Stop::Exception(exception) = stop else {
            panic!("{stop:?}");
        };
        assert_eq!((exception.cause, exception.address), (cause, Some(address)));
        assert_eq!(core.excvaddr, address);
    }
    let (core, _, stop) = run_on(Config::ESP32, &[load], &[RAM + 1]);
    assert_eq!((stop, core.register(4)), (Stop::Trap, 0));
}

#[test]
fn an_interrupt_of_a_high_level_is_taken_and_rfi_restores_ps() {
    let mut ram = Ram::new();
    let rfi5 = 0x3010 | 5 << 8;
    ram.program(RAM + 0x240, &[movi(4, 1), rsr(5, 181), rfi5]);
    ram.program(CODE, &[rrr(0, 0, 7, 0, 0), movi(6, 2)]); // waiti 0
    let mut core = core(Config::ESP32);
    core.trap_at(CODE + 6);
    core.intenable = 1 << 31;
    assert_eq!(core.run(&mut ram, 100).stop, Stop::Waiting);
    core.set_lines(1 << 30);
    assert_eq!(core.run(&mut ram, 100).stop, Stop::Waiting);
    core.set_lines(1 << 31);
    let run = core.run(&mut ram, 4);
    // The line stays up, so the handler runs again and again until the device lets go.
    assert_eq!((run.stop, core.register(4)), (Stop::Budget, 1));
    core.set_lines(0);
    assert_eq!(core.run(&mut ram, 100).stop, Stop::Trap);
    assert_eq!(core.register(5), CODE + 3);
    assert_eq!((core.register(6), core.ps()), (2, ps::WOE));
}

#[test]
fn a_timer_interrupts_at_its_cycle() {
    let mut ram = Ram::new();
    ram.program(RAM + 0x300, &[rsr(4, 234), 0x6 | (u32::MAX - 3) << 6]); // rsr ccount; j .
    ram.program(CODE, &[rrr(2, 0, 2, 2, 2), 0x6 | (u32::MAX - 6) << 6]); // or; j back
    let mut core = core(Config::ESP32);
    core.intenable = 1 << 6;
    core.set_ccompare(0, 50);
    core.run(&mut ram, 60);
    assert_eq!(core.register(4), 50);
    assert_eq!(core.exccause, 4);
    assert_eq!(core.interrupt() & 1 << 6, 1 << 6);
    core.set_ccompare(0, 1);
    assert_eq!(core.interrupt(), 0);
}

#[test]
fn s32c1i_stores_only_over_the_expected_value() {
    let at = RAM + 0x8000;
    let words = [wsr(3, 12), rri8(0xe, 2, 4, 0), rri8(2, 2, 5, 0)];
    for (expected, left) in [(0, 7), (1, 0)] {
        let (core, _, stop) = run_on(Config::ESP32, &words, &[at, expected, 7]);
        assert_eq!(stop, Stop::Trap);
        assert_eq!((core.register(4), core.register(5)), (0, left));
    }
}

#[test]
fn floating_point_needs_its_coprocessor_enabled() {
    let add_s = rrr(0, 0xa, 3, 1, 2);
    let words = [wsr(2, 224), rrr(0xf, 0xa, 1, 3, 5), rrr(0xf, 0xa, 2, 4, 5)];
    let words = [&words[..], &[add_s, rrr(0xf, 0xa, 5, 3, 4)]].concat();
    let (one, half) = (1f32.to_bits(), 0.5f32.to_bits());
    let (core, _, stop) = run_on(Config::ESP32, &words, &[1, one, half]);
    assert_eq!((stop, core.register(5)), (Stop::Trap, 1.5f32.to_bits()));
    let (core, _, stop) = run_on(Config::ESP32, &words, &[0, one, half]);
    assert!(matches!(stop, Stop::Exception(e) if e.cause == Cause::Coprocessor0Disabled));
    assert_eq!(core.exccause, 32);
}

#[test]
fn registers_of_a_chips_own_instructions_are_kept() {
    let wur = |number: u32| rrr(0xf, 3, number >> 4, number & 15, 2);
    let rur = |number: u32| rrr(0xe, 3, 4, number >> 4, number & 15);
    for (config, number) in [
        (Config::ESP32, 234),
        (Config::ESP32_S2, 0),
        (Config::ESP32_S3, 18),
    ] {
        let (core, _, stop) = run_on(config, &[wur(number), rur(number)], &[77]);
        assert_eq!((stop, core.register(4)), (Stop::Trap, 77), "{number}");
    }
}

#[test]
fn code_that_was_overwritten_is_decoded_anew() {
    let mut ram = Ram::new();
    ram.program(CODE, &[movi(4, 1)]);
    let mut core = core(Config::ESP32);
    core.run(&mut ram, 1);
    ram.program(CODE, &[movi(4, 2)]);
    core.set_pc(CODE);
    core.run(&mut ram, 1);
    assert_eq!(core.register(4), 2);
}

#[test]
fn every_instruction_word_decodes_to_what_its_core_has() {
    let small = Config {
        registers: 32,
        ..Config::ESP32
    };
    for config in [small, Config::ESP32_S2, Config::LX106] {
        for word in 0..1 << 24u32 {
            let insn = decode(word, CODE, &config);
            assert!(insn.quad < 4);
            if !config.windowed {
                assert!(insn.quad == 0 && insn.op != Op::Retw && insn.op != Op::Entry);
            }
        }
    }
}

#[test]
fn a_function_is_answered_natively_whichever_way_it_was_called() {
    let rom = CODE + 0x800;
    for (n, config) in [
        (0, Config::LX106),
        (0, Config::ESP32),
        (1, Config::ESP32),
        (2, Config::ESP32),
    ] {
        let mut ram = Ram::new();
        ram.program(CODE, &[call(n, CODE, rom), movi(5, 3)]);
        let mut core = core(config);
        cpu::Cpu::add_breakpoint(&mut core, rom);
        cpu::Cpu::set_register(&mut core, 4 * n as u8 + 3, 77);
        let ran = cpu::Cpu::run(&mut core, &mut ram, 10);
        assert_eq!(
            ran,
            cpu::Ran {
                steps: 1,
                stop: cpu::Stop::Breakpoint
            }
        );
        assert_eq!(cpu::Cpu::argument(&core, 1), 77);
        cpu::Cpu::return_with(&mut core, 0x2_0000_0001);
        assert_eq!(core.pc(), CODE + 3);
        assert_eq!(
            (
                core.register(4 * n as u8 + 2),
                core.register(4 * n as u8 + 3)
            ),
            (1, 2)
        );
    }
}

#[test]
fn a_breakpoint_is_passed_by_running_again_and_holds_the_next_time() {
    let mut ram = Ram::new();
    ram.program(CODE, &[addi(4, 4, 1), 0x6 | (u32::MAX - 6) << 6]); // j back
    let mut core = core(Config::ESP32);
    cpu::Cpu::add_breakpoint(&mut core, CODE);
    for times in 0..3 {
        let stop = cpu::Cpu::run(&mut core, &mut ram, 10).stop;
        assert_eq!((stop, core.register(4)), (cpu::Stop::Breakpoint, times));
    }
}

#[test]
fn a_core_without_handlers_locks_up_and_says_what_it_could_not_fetch() {
    let mut core = Core::new(Config::ESP32);
    let ran = cpu::Cpu::run(&mut core, &mut Ram::new(), 100);
    let cpu::Stop::LockedUp(exception) = ran.stop else {
        panic!("{ran:?}");
    };
    assert_eq!((exception.cause, exception.pc), (20, 0x4000_03c0));
}

proptest! {
    #[test]
    fn random_code_never_panics(
        code in proptest::collection::vec(any::<u8>(), 512),
        registers in proptest::collection::vec(any::<u32>(), 16),
        state in any::<u32>(),
        lines in any::<u32>(),
    ) {
        for config in [Config::ESP32, Config::ESP32_S2, Config::LX106] {
            let mut ram = Ram::new();
            for (slot, byte) in ram.bytes.iter_mut().zip(code.iter().cycle()) {
                *slot = *byte;
            }
            let mut core = core(config);
            for (number, value) in (0..).zip(&registers) {
                // Half of them addresses of memory.
                let value = if value & 1 == 0 { RAM | value & 0xffff } else { *value };
                core.set_register(number, value);
            }
            core.set_ps(state);
            core.cpenable = state >> 12 & 1;
            core.fcr = state >> 13 & 3;
            core.window_start = (state >> 16) as u16;
            core.window_changed();
            core.intenable = lines;
            core.set_lines(lines);
            for _ in 0..50 {
                match core.run(&mut ram, 40).stop {
                    Stop::Waiting | Stop::Trap => break,
                    Stop::Budget | Stop::Exception(_) => {}
                }
            }
        }
    }
}
