//! Random programs: vectors and handlers, a body, and an epilogue that stores what there is to see.

use guru_sim::cpu::xtensa::Config;

use super::asm::*;
use crate::random::Random;

/// A core on both sides.
#[derive(Clone, Copy)]
pub struct Target {
    /// QEMU's name of it.
    pub name: &'static str,
    /// Where RAM begins here, and `VECBASE`.
    pub base: u32,
    /// Where QEMU has that RAM behind its memory management.
    pub physical: u32,
    pub config: Config,
}

/// What is executed.
pub struct Program {
    pub bytes: Vec<u8>,
    pub start: u32,
    /// Where the result is complete, and code for QEMU alone begins.
    pub end: u32,
}

pub const RAM_LEN: u32 = 0x4_0000;
/// Offsets in RAM. The result is registers, then data, then the log of exceptions.
const POOL: u32 = 0x400;
const HANDLERS: u32 = 0xa00;
const SAVE: u32 = 0x1_f800;
pub const DUMP: u32 = 0x2_0000;
const WINDOWS_LEN: u32 = 0x100;
const DATA: u32 = DUMP + 0x400;
const DATA_LEN: u32 = 0x1000;
const LOG: u32 = DATA + DATA_LEN;
/// A power of two: the log begins anew when it is full.
const LOG_BITS: u32 = 14;
const STACK: u32 = 0x3_f000;

pub const LOG_IN_RESULT: u32 = LOG - DUMP;
const PIECES: usize = 500;

const EPC: u32 = 176;
const EPS: u32 = 192;
const EXCSAVE: u32 = 208;
const WINDOWBASE: u32 = 72;
const WINDOWSTART: u32 = 73;
const SCOMPARE1: u32 = 12;
const ATOMCTL: u32 = 99;
const CPENABLE: u32 = 224;
const INTSET: u32 = 226;
const INTCLEAR: u32 = 227;
const INTENABLE: u32 = 228;
const PS: u32 = 230;
const VECBASE: u32 = 231;
const EXCCAUSE: u32 = 232;
const DEBUGCAUSE: u32 = 233;
const EXCVADDR: u32 = 238;
const MISC: u32 = 244;
const FCR: u32 = 232;
const FSR: u32 = 233;
const THREADPTR: u32 = 231;

/// Interrupts that software sets: number 7 of level 1, and 11 of this one where there are windows.
const MEDIUM: u32 = 3;

const PS_WOE: u32 = 1 << 18;
const PS_UM: u32 = 1 << 5;

pub const fn result_len() -> u32 {
    LOG_IN_RESULT + (1 << LOG_BITS)
}

/// What is at an offset of the result, for people.
pub fn place(target: &Target, at: u32) -> String {
    if let Some(in_log) = at.checked_sub(LOG_IN_RESULT) {
        let what = ["cause", "address", "EXCVADDR", "PS"][in_log as usize % 16 / 4];
        return format!("exception {}, {what}", in_log / 16);
    }
    if let Some(in_data) = at.checked_sub(DATA - DUMP) {
        return format!("data at {in_data:#x}");
    }
    match at.checked_sub(WINDOWS_LEN) {
        None => format!("AR{} counted from the window", at / 4),
        Some(special) => {
            let (specials, users) = (specials(&target.config), users(&target.config));
            let index = special as usize / 4;
            if let Some(number) = specials.get(index) {
                format!("special register {number}")
            } else if let Some(number) = users.get(index - specials.len()) {
                format!("user register {number}")
            } else {
                format!("f{}", index - specials.len() - users.len())
            }
        }
    }
}

/// Special registers that are compared.
fn specials(config: &Config) -> Vec<u32> {
    let mut numbers = vec![3, EPC + 1, EXCSAVE + 2, EXCCAUSE, EXCVADDR, DEBUGCAUSE];
    let level = u32::from(config.debug_level);
    numbers.extend([EPC + level, EPS + level]);
    if config.loops {
        numbers.extend([0, 1, 2]);
    }
    if config.booleans {
        numbers.push(4);
    }
    if config.mac16 {
        numbers.extend([16, 17, 32, 33, 34, 35]);
    }
    if config.s32c1i {
        numbers.push(SCOMPARE1);
    }
    if config.windowed {
        numbers.extend([WINDOWSTART, CPENABLE]);
    }
    numbers.extend((0..u32::from(config.misc)).map(|n| MISC + n));
    numbers
}

fn users(config: &Config) -> Vec<u32> {
    let mut numbers = Vec::new();
    if config.threadptr {
        numbers.push(THREADPTR);
    }
    if config.float {
        numbers.extend([FCR, FSR]);
    }
    numbers
}

impl Random {
    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u32) as usize]
    }

    fn source(&mut self) -> u32 {
        self.below(16)
    }

    /// A register that a program may change: not the return address, not the stack.
    fn target(&mut self) -> u32 {
        2 + self.below(14)
    }

    /// A value at which arithmetic turns, or any.
    fn value(&mut self) -> u32 {
        let random = self.next();
        match self.below(4) {
            0 => self.one_of(&[
                0,
                1,
                u32::MAX,
                0x8000_0000,
                0x7FFF_FFFF,
                0xFFFF_8000,
                0x7F,
                0xFF80,
            ]),
            1 => self.float(),
            _ => random,
        }
    }

    /// The bits of a number, special ones among them.
    fn float(&mut self) -> u32 {
        let random = self.next();
        match self.below(8) {
            0 => self.one_of(&[
                0,
                0x8000_0000,
                0x7f80_0000,
                0xff80_0000,
                0x7fc0_1234,
                0xff80_0001,
                1,
                0x8000_0001,
                0x0080_0000,
                0x7f7f_ffff,
                0x3f80_0000,
            ]),
            // Few bits, so that ties and exact results come up.
            1..=2 => random & 0x8018_0000 | 0x3f80_0000,
            // Near each other.
            3..=5 => random & 0x81ff_ffff | 0x3e00_0000,
            _ => random,
        }
    }
}

struct Generator<'a> {
    random: Random,
    image: Image,
    config: &'a Config,
    base: u32,
}

/// The program of a seed.
pub fn program(target: &Target, seed: u64) -> Program {
    let base = target.base;
    let mut generator = Generator {
        random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        image: Image::new(base, (base + POOL, base + HANDLERS)),
        config: &target.config,
        base,
    };
    generator.vectors();
    generator.image.align();
    let start = generator.image.at;
    generator.prologue();
    for _ in 0..PIECES {
        generator.piece(true);
    }
    let end = generator.epilogue();
    let mut image = generator.image;
    assert!(image.at < base + SAVE, "the program is too long");
    let data: Vec<u8> = (0..DATA_LEN)
        .map(|_| generator.random.next() as u8)
        .collect();
    image.put(base + DATA, &data);
    Program {
        bytes: image.bytes,
        start,
        end,
    }
}

/// Where compiled code begins, behind what calls it.
pub const CODE: u32 = 0x2000;
/// What compiled code may use as its own data, zero or not: nothing is logged while it runs well.
pub const VARIABLES: u32 = LOG;

/// A program around compiled code: it calls the function at `function` with the address of
/// [`RESULTS`]. `parts` are addresses and what is there.
pub fn around(target: &Target, function: u32, parts: &[(u32, Vec<u8>)]) -> Program {
    let base = target.base;
    let mut generator = Generator {
        random: Random(1),
        image: Image::new(base, (base + POOL, base + HANDLERS)),
        config: &target.config,
        base,
    };
    generator.vectors();
    generator.image.align();
    let start = generator.image.at;
    generator.prologue();
    let windowed = target.config.windowed;
    let (argument, call) = if windowed { (10, 2) } else { (2, 0) };
    generator.image.l32r(argument, base + DATA);
    generator.image.l32r(9, function);
    generator.image.emit(rrr(0, 0, 0, 9, 0xc | call));
    let end = generator.epilogue();
    let mut image = generator.image;
    assert!(image.at < base + CODE, "the code around is too long");
    image.put(base + DATA, &[0; DATA_LEN as usize]);
    for (address, bytes) in parts {
        image.put(*address, bytes);
    }
    Program {
        bytes: image.bytes,
        start,
        end,
    }
}

/// Where compiled code's results are in what a program leaves.
pub const RESULTS: u32 = DATA - DUMP;

impl Generator<'_> {
    fn vectors(&mut self) {
        let (config, base) = (self.config, self.base);
        self.image.at = base + HANDLERS;
        let general = self.image.at;
        self.handler(1);
        let debug = self.image.at;
        self.handler(config.debug_level.into());
        // The level of the other interrupt that software sets.
        let medium = self.image.at;
        if config.windowed {
            self.handler(MEDIUM);
        }
        let rest = self.image.at;
        if config.windowed {
            let offset = config.vectors.level[MEDIUM as usize - 2];
            self.image.jump_at(base + offset, medium);
            self.window_vectors();
        }
        let vectors = config.vectors;
        for offset in [vectors.kernel, vectors.user] {
            self.image.jump_at(base + offset, general);
        }
        let offset = vectors.level[usize::from(config.debug_level) - 2];
        self.image.jump_at(base + offset, debug);
        self.image.at = rest;
    }

    /// The six handlers of the windowed calling convention.
    fn window_vectors(&mut self) {
        let base = self.base + self.config.vectors.window;
        let below = |n: u32| -16 + 4 * n as i32;
        let mut set = |offset: u32, words: Vec<u32>| {
            self.image.at = base + offset;
            self.image.emit_all(&words);
        };
        let four = |op: fn(u32, u32, i32) -> u32, next: u32| -> Vec<u32> {
            (0..4).map(|n| op(n, next, below(n))).collect()
        };
        set(0, [four(s32e, 5), vec![RFWO]].concat());
        set(0x40, [four(l32e, 5), vec![RFWU]].concat());
        for (offset, next, upper) in [(0x80, 9, 4..8), (0x100, 13, 4..12)] {
            let first = if upper.end == 8 { -32 } else { -48 };
            let mut over = vec![s32e(0, next, -16), l32e(0, 1, -12)];
            over.extend((1..4).map(|n| s32e(n, next, below(n))));
            over.extend(
                upper
                    .clone()
                    .map(|n| s32e(n, 0, first + 4 * (n as i32 - 4))),
            );
            over.push(RFWO);
            set(offset, over);
            let last = upper.end - 1;
            let mut under = vec![
                l32e(0, next, -16),
                l32e(1, next, -12),
                l32e(2, next, -8),
                l32e(last, 1, -12),
                l32e(3, next, -4),
            ];
            under.extend(upper.map(|n| l32e(n, last, first + 4 * (n as i32 - 4))));
            under.push(RFWU);
            set(offset + 0x40, under);
        }
    }

    /// Appends what it sees to the log, and continues after the instruction; an interrupt it takes
    /// back.
    fn handler(&mut self, level: u32) {
        let (epc, excsave) = (EPC + level, EXCSAVE + level);
        let image = &mut self.image;
        image.emit(wsr(0, excsave));
        image.l32r(0, self.base + SAVE);
        image.emit_all(&[s32i(2, 0, 0), s32i(3, 0, 4), s32i(4, 0, 8), l32i(3, 0, 12)]);
        image.l32r(2, self.base + LOG);
        image.emit_all(&[
            rrr(8, 0, 2, 2, 3),
            addi(3, 3, 16),
            // extui a3, a3, 0, 14
            rrr(LOG_BITS - 1, 4, 3, 0, 3),
            s32i(3, 0, 12),
            if level == 1 {
                rsr(3, EXCCAUSE)
            } else {
                rsr(3, DEBUGCAUSE)
            },
            s32i(3, 2, 0),
            rsr(4, epc),
            s32i(4, 2, 4),
            rsr(3, EXCVADDR),
            s32i(3, 2, 8),
            rsr(3, PS),
            s32i(3, 2, 12),
        ]);
        if level == MEDIUM {
            // slli a3, a3, 11
            image.emit_all(&[movi(3, 1), rrr(1, 1, 3, 3, 5), wsr(3, INTCLEAR)]);
        } else {
            image.emit(rsr(3, EXCCAUSE));
            // beqi a3, 4: an interrupt, if this is the handler of level 1.
            let interrupt = if level == 1 {
                17 << 16 | 4 << 12 | 3 << 8 | 0x26
            } else {
                NOP_N
            };
            image.emit(interrupt);
            image.emit_all(&[
                rri8(0, 4, 3, 0), // l8ui a3, a4, 0
                addi(4, 4, 2),
                bri8(0xe, 3, 3, 2), // bbsi a3, 3, over the next
                addi(4, 4, 1),
                wsr(4, epc),
            ]);
            let over = image.jump();
            image.emit_all(&[movi(3, 0x80), wsr(3, INTCLEAR)]);
            image.land(over);
        }
        image.emit_all(&[
            l32i(2, 0, 0),
            l32i(3, 0, 4),
            l32i(4, 0, 8),
            rsr(0, excsave),
            if level == 1 { RFE } else { rfi(level) },
        ]);
    }

    fn prologue(&mut self) {
        let config = self.config;
        self.image.l32r(1, self.base + STACK);
        self.image.l32r(2, self.base);
        self.image.emit(wsr(2, VECBASE));
        if config.windowed {
            self.image.emit_all(&[
                movi(2, 0),
                wsr(2, WINDOWBASE),
                movi(2, 1),
                wsr(2, WINDOWSTART),
                wsr(2, CPENABLE),
                addi(2, 1, 64),
                // The caller of the outermost frame, where handlers save that frame's registers.
                s32e(2, 1, -12),
            ]);
        }
        if config.float {
            // Compare and swap is done by the core, whatever the memory. The other core with it
            // has no such register, and always does.
            self.image.emit_all(&[movi(2, 0x2a), wsr(2, ATOMCTL)]);
        }
        if config.float {
            for number in 0..16 {
                let value = self.random.float();
                self.image.l32r(2, value);
                self.image.emit(rrr(0xf, 0xa, number, 2, 5));
            }
        }
        self.image.emit_all(&[
            movi(2, 0),
            wsr(2, EXCCAUSE),
            wsr(2, EXCVADDR),
            wsr(2, INTENABLE),
        ]);
        let user = if self.random.below(2) == 0 { PS_UM } else { 0 };
        let windows = if config.windowed { PS_WOE } else { 0 };
        self.image.l32r(2, user | windows);
        self.image.emit_all(&[wsr(2, PS), RSYNC]);
        for register in (0..16).filter(|&n| n != 1) {
            let value = self.random.value();
            self.image.l32r(register, value);
        }
    }

    /// A constant, as long as there is room for constants.
    fn constant(&mut self, register: u32, value: u32) {
        if self.image.has_room() {
            self.image.l32r(register, value);
        } else {
            self.image.emit(movi(register, value as i32 & 0xfff));
        }
    }

    /// A register that points into the data, mostly at a word.
    fn pointer(&mut self) -> u32 {
        let register = self.random.target();
        let offset = self
            .random
            .one_of(&[0, 0x400, 0x800, 0x900, 0x840, 0x900, 0x441, 0x802]);
        self.image.l32r(register, self.base + DATA + offset);
        register
    }

    fn piece(&mut self, calls: bool) {
        let config = self.config;
        if calls && self.random.below(16) == 0 {
            self.chain();
            return;
        }
        if self.random.below(8) == 0 {
            self.skip();
            return;
        }
        if config.loops && calls && self.random.below(24) == 0 {
            self.hardware_loop();
            return;
        }
        self.plain();
    }

    /// A piece that a branch jumps over, or not.
    fn skip(&mut self) {
        let branch = self.image.at;
        let (s, t) = (self.random.source(), self.random.source());
        let kind = self.random.below(6);
        self.image.emit(NOP_N);
        if kind != 5 {
            self.image.emit(0);
            self.image.at = branch + 3;
        }
        self.plain();
        let offset = (self.image.at - branch - 4) as i32;
        let b4 = |m: u32, n: u32, r: u32| {
            (offset as u32 & 0xff) << 16 | r << 12 | s << 8 | m << 6 | n << 4 | 6
        };
        let word = match kind {
            // All comparisons of two registers, and single bits.
            0 | 1 => bri8(self.random.below(16), s, t, offset),
            2 => (offset as u32) << 12 | s << 8 | self.random.below(4) << 6 | 0x16,
            3 => b4(self.random.below(4), 2, self.random.below(16)),
            4 if self.config.booleans && t < 8 => b4(1, 3, self.random.below(2)),
            4 => b4(2 + self.random.below(2), 3, self.random.below(16)),
            // beqz.n, bnez.n: up to 63 bytes ahead
            _ => {
                let ahead = offset as u32;
                let far = if ahead < 64 { ahead } else { return };
                narrow(0xc, far & 15, s, 8 | self.random.below(2) << 2 | far >> 4)
            }
        };
        let len = if is_narrow(word) { 2 } else { 3 };
        self.image.put(branch, &word.to_le_bytes()[..len]);
    }

    fn hardware_loop(&mut self) {
        let count = self.random.target();
        // LOOP takes 0 as 2^32, LOOPNEZ a negative number as a large one.
        let kind = self.random.below(3);
        let counts: &[_] = match kind {
            0 => &[1, 2, 5],
            1 => &[0, 1, 4],
            _ => &[-1, 0, 1, 3],
        };
        let value = self.random.one_of(counts);
        self.image.emit(movi(count, value));
        let at = self.image.at;
        self.image.emit(0x76);
        for _ in 0..1 + self.random.below(4) {
            self.plain();
        }
        let offset = self.image.at - at - 4;
        assert!(offset < 256, "a loop too long");
        let word = offset << 16 | (8 + kind) << 12 | count << 8 | 0x76;
        self.image.put(at, &word.to_le_bytes()[..3]);
    }

    /// Functions that call one another, each by as many registers as it likes.
    fn chain(&mut self) {
        let windowed = self.config.windowed;
        let over = self.image.jump();
        let mut callee = None;
        for _ in 0..1 + self.random.below(14) {
            self.image.align();
            let function = self.image.at;
            if windowed {
                self.image.emit(entry(64));
            } else {
                self.image.emit_all(&[addi(1, 1, -16), s32i(0, 1, 0)]);
            }
            for _ in 0..1 + self.random.below(3) {
                self.plain();
            }
            if let Some(callee) = callee {
                self.call(callee);
                self.plain();
            }
            if windowed {
                let word = if self.random.below(2) == 0 {
                    RETW
                } else {
                    0xf01d
                };
                self.image.emit(word);
            } else {
                self.image.emit_all(&[l32i(0, 1, 0), addi(1, 1, 16)]);
                let word = if self.random.below(2) == 0 {
                    RET
                } else {
                    0xf00d
                };
                self.image.emit(word);
            }
            callee = Some(function);
        }
        self.image.land(over);
        if let Some(callee) = callee {
            self.call(callee);
        }
    }

    fn call(&mut self, target: u32) {
        let n = if self.config.windowed {
            1 + self.random.below(3)
        } else {
            0
        };
        if self.random.below(3) == 0 && self.image.has_room() {
            let register = self.random.target();
            self.image.l32r(register, target);
            self.image.emit(rrr(0, 0, 0, register, 0xc | n));
        } else {
            self.image.call(n, target);
        }
    }

    /// At most 30 bytes that do not jump out of themselves.
    fn plain(&mut self) {
        let config = self.config;
        let (r, s, t) = (
            self.random.target(),
            self.random.source(),
            self.random.source(),
        );
        let any = self.random.next();
        match self.random.below(31) {
            30 => self.interrupt(r),
            0..=2 => {
                let op2 = self.random.one_of(&[1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15]);
                self.image.emit(rrr(op2, 0, r, s, t));
            }
            3..=4 => self.shift(r, s, t),
            5 => {
                let words = [
                    rrr(6, 0, r, 0, t),
                    rrr(6, 0, r, 1, t),
                    rrr(4, 0, 0xe, s, r),
                    rrr(4, 0, 0xf, s, r),
                    rrr(2, 3, r, s, t),
                    rrr(3, 3, r, s, t),
                ];
                let word = self.random.one_of(&words);
                self.image.emit(word);
            }
            6 => self.image.emit(rrr(4 + any % 4, 3, r, s, t)),
            7..=8 => {
                // Products and quotients, those of absent options among them.
                let word = match any % 10 {
                    0 => rrr(0xc, 1, r, s, t),
                    1 => rrr(0xd, 1, r, s, t),
                    n => rrr([8, 10, 11, 12, 13, 14, 15, 8][n as usize - 2], 2, r, s, t),
                };
                self.image.emit(word);
            }
            9 => self.image.emit(movi(r, (any % 4096) as i32)),
            10 => self.image.emit(addi(r, s, any as i32)),
            11 => self.image.emit(rri8(0xd, s, r, any)),
            12 => self.short(r, s, t),
            13 => self.image.emit(rrr(8 + any % 4, 3, r, s, t)),
            14..=16 => {
                let pointer = self.pointer();
                let word = match any % 9 {
                    0 => rri8(0, pointer, r, any >> 8),
                    1 => rri8(1, pointer, r, any >> 8),
                    2 => rri8(9, pointer, r, any >> 8),
                    3 => rri8(2, pointer, r, any >> 8),
                    4 => rri8(4, pointer, t, any >> 8),
                    5 => rri8(5, pointer, t, any >> 8),
                    6 => rri8(6, pointer, t, any >> 8),
                    7 => narrow(8, any >> 8 & 15, pointer, r),
                    _ => narrow(9, any >> 8 & 15, pointer, t),
                };
                self.image.emit(word);
            }
            17 => {
                let value = self.random.value();
                self.constant(r, value);
            }
            18 => {
                // Words of which some are no instructions; no jumps and no special registers.
                let op1 = any % 6;
                let op2 = any >> 8 & 15;
                let told = match op1 {
                    0 => matches!(op2, 0 | 4 | 5),
                    1 => matches!(op2, 0 | 1 | 6 | 15),
                    3 => matches!(op2, 0 | 1 | 14 | 15),
                    _ => false,
                };
                if told {
                    self.image.emit(NOP_N);
                } else {
                    let (s, t) = (self.random.target(), self.random.target());
                    self.image.emit(rrr(op2, op1, r, s, t));
                }
            }
            19 => {
                let word = self
                    .random
                    .one_of(&[SYSCALL, 0, 0xf06d, 0x4120, 0xf12d, ISYNC]);
                self.image.emit(word);
            }
            20 => self.special(r, t),
            21 if config.booleans => self.boolean(r, s),
            22..=23 if config.mac16 => self.mac16(any),
            24..=26 if config.float => self.float_piece(r, s, any),
            27 if config.s32c1i => {
                let pointer = self.pointer();
                let new = self.random.target();
                self.image.emit(rri8(2, pointer, r, 0));
                if r != pointer {
                    self.image.emit(wsr(r, SCOMPARE1));
                    self.image.emit(rri8(0xe, pointer, new, any & 1));
                }
            }
            28 if config.windowed => self.window(r, s, any),
            29 if self.image.has_room() => self.overwrite(r, any),
            _ => self.image.emit(rrr(8, 0, r, s, t)),
        }
    }

    fn shift(&mut self, r: u32, s: u32, t: u32) {
        let any = self.random.next();
        let high = any >> 8 & 1;
        // A shift left by 32 is left open.
        let left = if high == 1 { t } else { t.max(1) };
        // Each shift after the instructions that are meant for it: QEMU gets an arithmetic shift by
        // 32, which SSL leads to, wrong.
        let bytes = rrr(4, 0, 2 | any & 1, s, 0);
        let right = [
            rrr(4, 0, 0, s, 0),
            rrr(4, 0, 4, s, any & 1),
            rrr(4, 0, 2, s, 0),
        ];
        let right = self.random.one_of(&right);
        let (amount, word) = match any >> 16 & 7 {
            0 => (bytes, rrr(8, 1, r, s, t)),
            1 => (right, rrr(8, 1, r, s, t)),
            2 => (right, rrr(9, 1, r, 0, t)),
            3 => (right, rrr(0xb, 1, r, 0, t)),
            4 => (rrr(4, 0, 1, s, 0), rrr(0xa, 1, r, s, 0)),
            5 => (rrr(4, 0, 3, s, 0), rrr(0xa, 1, r, s, 0)),
            6 => (right, rrr(high, 1, r, s, left)),
            _ => {
                let word = [
                    rrr(2 | high, 1, r, s, t),
                    rrr(4, 1, r, s, t),
                    rrr(any >> 12 & 15, 4 | high, r, s, t),
                ];
                (right, self.random.one_of(&word))
            }
        };
        self.image.emit_all(&[amount, word]);
    }

    fn short(&mut self, r: u32, s: u32, t: u32) {
        let any = self.random.next();
        let word = match any % 5 {
            0 => narrow(0xa, r, s, t),
            1 => narrow(0xb, r, s, t),
            2 => narrow(0xc, any >> 8 & 15, r, any >> 12 & 7),
            3 => narrow(0xd, 0, s, r),
            _ => NOP_N,
        };
        self.image.emit(word);
    }

    /// Special registers that change nothing of how the program runs.
    fn special(&mut self, r: u32, t: u32) {
        let config = self.config;
        let any = self.random.next();
        let mut numbers = vec![EXCSAVE + 2, EXCVADDR];
        numbers.extend((0..u32::from(config.misc)).map(|n| MISC + n));
        if config.mac16 {
            numbers.extend([16, 17, 32, 33, 34, 35]);
        }
        if config.booleans {
            numbers.push(4);
        }
        if config.s32c1i {
            numbers.push(SCOMPARE1);
        }
        let number = self.random.one_of(&numbers);
        let mut readable = vec![3, EPC + 1, EXCCAUSE, PS, 176, 208];
        if config.loops {
            readable.extend([0, 1, 2]);
        }
        if config.windowed {
            readable.extend([WINDOWBASE, WINDOWSTART, CPENABLE]);
        }
        let read = self.random.one_of(&readable);
        // The last two are the core's name, which ours does not have.
        let read = if matches!(read, 176 | 208) {
            EPC + 1
        } else {
            read
        };
        let words = match any % 6 {
            0 => vec![rsr(r, number)],
            1 => vec![wsr(t, number)],
            2 => vec![xsr(r, number)],
            3 => vec![rsr(r, read)],
            // RSIL
            4 => vec![rrr(0, 0, 6, any >> 8 & 15, r)],
            _ if config.threadptr => vec![wur(t, THREADPTR), rur(r, THREADPTR)],
            _ => vec![rsr(r, number)],
        };
        self.image.emit_all(&words);
    }

    fn boolean(&mut self, r: u32, s: u32) {
        let any = self.random.next();
        let (b, c, d) = (any & 15, any >> 4 & 15, any >> 8 & 15);
        let word = match any >> 12 & 7 {
            0..=3 => rrr((any >> 16) % 5, 2, b, c, d),
            4 => rrr(0, 0, 8 + (any >> 16 & 1), c & 12, d),
            5 => rrr(0, 0, 10 + (any >> 16 & 1), c & 8, d),
            _ => rrr(12 + (any >> 16 & 1), 3, r, s, b),
        };
        self.image.emit(word);
    }

    fn mac16(&mut self, any: u32) {
        let (s, t) = (self.random.source(), self.random.source());
        let half = any & 3;
        let (m, n) = ((any >> 4 & 1) << 2, (any >> 5 & 1) << 2);
        let operation = (4 + (any >> 6) % 3 * 4) | half;
        let word = match (any >> 12) % 7 {
            0 => rrr(7, operation, 0, s, t),
            1 => rrr(7, half, 0, s, t),
            2 => rrr(3, operation, 0, s, n),
            3 => rrr(6, operation, m, 0, t),
            4 => rrr(2, operation, m, 0, n),
            5 => {
                let pointer = self.pointer();
                rrr(8 + (any >> 16 & 1), 0, any >> 17 & 3, pointer, 0)
            }
            _ => {
                let pointer = self.pointer();
                let w = any >> 17 & 3;
                let op2 = any >> 16 & 1;
                if any >> 20 & 1 == 0 {
                    rrr(op2, 8 | half, m | w, pointer, n)
                } else {
                    rrr(4 | op2, 8 | half, m | w, pointer, t)
                }
            }
        };
        self.image.emit(word | 4);
    }

    fn float_piece(&mut self, r: u32, s: u32, any: u32) {
        let (f, g, h) = (any & 15, any >> 4 & 15, any >> 8 & 15);
        let choice = any >> 16;
        let word = match choice % 16 {
            0 => rrr(0, 10, f, g, h),
            1 => rrr(1, 10, f, g, h),
            2 => rrr(2, 10, f, g, h),
            3 => rrr(4, 10, f, g, h),
            4 => rrr(5, 10, f, g, h),
            5 if h & 1 == 0 => {
                // QEMU's raises flags by scaling first, and drops them where an unsigned number
                // would be negative.
                let op2 = self.random.one_of(&[8, 9, 10, 11, 14]);
                self.image.emit(rrr(op2, 10, r, g, any >> 12 & 15));
                self.image.emit(movi(r, 0));
                wur(r, FSR)
            }
            5 => rrr(8 + (any >> 12) % 4, 10, r, g, 0),
            6 => rrr(12 + (any >> 12 & 1), 10, f, s, h),
            7 => rrr(15, 10, f, g, [0, 1, 6][h as usize % 3]),
            8 if h & 1 == 0 => rrr(15, 10, r, g, 4),
            8 => rrr(15, 10, f, s, 5),
            9..=10 => {
                // QEMU's loses what was done to another boolean register just before, unless it
                // translates the two by themselves.
                let jump = self.image.jump();
                self.image.land(jump);
                rrr(1 + h % 7, 11, f, g, any >> 12 & 15)
            }
            11 => rrr(8 + h % 6, 11, f, g, any >> 12 & 15),
            // Steps of division and square root that stand for the whole.
            12 if h & 3 == 0 => rrr(15, 10, f, g & 3, 3),
            12 => rrr(15, 10, f, g, [12, 13, 13, 15][any as usize >> 12 & 3]),
            13 => {
                let pointer = self.pointer();
                let kind = any >> 12 & 3;
                (any >> 14 & 0x7f) << 16 | kind << 14 | pointer << 8 | f << 4 | 3
            }
            14 => {
                let pointer = self.pointer();
                let index = if pointer == 2 { 3 } else { 2 };
                self.image.emit(movi(index, (h * 4) as i32));
                let op2 = [0, 1, 4, 5][any as usize >> 12 & 3];
                rrr(op2, 8, f, pointer, index)
            }
            _ => match h {
                // The rounding mode, the flags, and whether there is a unit.
                0..=2 => {
                    self.image.emit(movi(r, (any >> 12 & 3) as i32));
                    wur(r, FCR)
                }
                3 => {
                    self.image.emit(movi(r, 0));
                    wur(r, FSR)
                }
                4 => {
                    self.image.emit(movi(r, 0));
                    wsr(r, CPENABLE)
                }
                5..=9 => {
                    self.image.emit(movi(r, 1));
                    wsr(r, CPENABLE)
                }
                10 => rur(r, FCR),
                11..=12 => rur(r, FSR),
                _ => {
                    let value = self.random.float();
                    self.constant(r, value);
                    rrr(15, 10, f, r, 5)
                }
            },
        };
        self.image.emit(word);
    }

    /// Sets or allows interrupts. RSIL, which comes up elsewhere, masks them.
    fn interrupt(&mut self, r: u32) {
        let number = self
            .random
            .one_of(&[INTSET, INTENABLE, INTENABLE, INTCLEAR]);
        if self.config.windowed && self.random.below(2) == 0 {
            // Both, or the one of the higher level.
            let bits = self.random.one_of(&[1, 0x11]);
            self.image.emit_all(&[movi(r, bits), rrr(1, 1, r, r, 5)]);
            if bits == 0x11 {
                self.image.emit(rrr(4, 1, r, 4, r));
            }
        } else {
            self.image.emit(movi(r, 0x80));
        }
        self.image.emit(wsr(r, number));
    }

    fn window(&mut self, r: u32, s: u32, any: u32) {
        if any & 3 == 0 {
            self.image.emit(rrr(0, 0, 1, s, r));
            return;
        }
        // Turns the window where nothing checks it, and changes no register that may be a return
        // address or a stack pointer of a frame; nor the one that holds PS meanwhile.
        let held = self.random.one_of(&[4, 5, 8, 9, 12, 13]);
        let turn = (any >> 8) as i32 % 8;
        let free = [2, 3, 6, 7, 10, 11, 14, 15];
        self.image
            .emit_all(&[movi(held, 5), xsr(held, PS), rotw(turn)]);
        for _ in 0..2 {
            let target = self.random.one_of(&free);
            let (s, t) = (self.random.source(), self.random.source());
            self.image.emit(rrr(8, 0, target, s, t));
        }
        self.image.emit_all(&[rotw(-turn), wsr(held, PS), RSYNC]);
    }

    /// Overwrites the instruction that follows.
    fn overwrite(&mut self, r: u32, any: u32) {
        let pointer = self.random.target();
        let value = self.random.target();
        // l32r, movi, s8i, isync, j: 15 bytes; the immediate is the last byte of the next.
        let at = self.image.at + 15 + 2;
        self.image.l32r(pointer, at);
        if pointer != value {
            self.image.emit(movi(value, (any & 0xff) as i32));
        } else {
            self.image.emit(ISYNC);
        }
        self.image.emit_all(&[rri8(4, pointer, value, 0), ISYNC]);
        let jump = self.image.jump();
        self.image.land(jump);
        self.image.emit(addi(r, r, 0));
    }

    fn epilogue(&mut self) -> u32 {
        let config = self.config;
        let base = self.base;
        self.image.emit_all(&[rsr(15, PS), wsr(15, EXCSAVE + 2)]);
        // Interrupts masked, windows not checked, floating point allowed.
        self.image.emit_all(&[movi(15, 15), wsr(15, PS), RSYNC]);
        let turns = if config.windowed {
            u32::from(config.registers) / 16
        } else {
            1
        };
        for turn in 0..turns {
            self.image.emit(wsr(0, EXCSAVE + 1));
            self.image.l32r(0, base + DUMP + 64 * turn);
            for number in 1..16 {
                self.image.emit(s32i(number, 0, 4 * number));
            }
            self.image.emit_all(&[rsr(1, EXCSAVE + 1), s32i(1, 0, 0)]);
            if config.windowed {
                self.image.emit(rotw(4));
            }
        }
        self.image.l32r(3, base + DUMP + WINDOWS_LEN);
        for number in specials(config) {
            self.image
                .emit_all(&[rsr(4, number), s32i(4, 3, 0), addi(3, 3, 4)]);
        }
        if config.float {
            self.image.emit_all(&[movi(4, 1), wsr(4, CPENABLE)]);
        }
        for number in users(config) {
            self.image
                .emit_all(&[rur(4, number), s32i(4, 3, 0), addi(3, 3, 4)]);
        }
        if config.float {
            for number in 0..16 {
                self.image
                    .emit_all(&[rrr(0xf, 10, 4, number, 4), s32i(4, 3, 0), addi(3, 3, 4)]);
            }
        }
        let end = self.image.at;
        // Writes the result to the standard output, and ends.
        self.image.emit_all(&[movi(2, 4), movi(3, 1)]);
        self.image.l32r(4, base + DUMP);
        self.image.l32r(5, result_len());
        self.image
            .emit_all(&[SIMCALL, movi(2, 1), movi(3, 0), SIMCALL]);
        end
    }
}
