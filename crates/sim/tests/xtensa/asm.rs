//! Instruction words after the manual's formats, and code with literals that is put together of
//! them.

use std::collections::BTreeMap;

pub fn rrr(op2: u32, op1: u32, r: u32, s: u32, t: u32) -> u32 {
    op2 << 20 | op1 << 16 | r << 12 | s << 8 | t << 4
}

pub fn rri8(r: u32, s: u32, t: u32, imm8: u32) -> u32 {
    (imm8 & 0xff) << 16 | r << 12 | s << 8 | t << 4 | 2
}

pub fn bri8(r: u32, s: u32, t: u32, offset: i32) -> u32 {
    (offset as u32 & 0xff) << 16 | r << 12 | s << 8 | t << 4 | 7
}

pub fn narrow(op0: u32, r: u32, s: u32, t: u32) -> u32 {
    r << 12 | s << 8 | t << 4 | op0
}

pub fn movi(t: u32, value: i32) -> u32 {
    let value = value as u32;
    rri8(0xa, value >> 8 & 0xf, t, value)
}

pub fn addi(t: u32, s: u32, value: i32) -> u32 {
    rri8(0xc, s, t, value as u32)
}

pub fn l32i(t: u32, s: u32, offset: u32) -> u32 {
    rri8(2, s, t, offset / 4)
}

pub fn s32i(t: u32, s: u32, offset: u32) -> u32 {
    rri8(6, s, t, offset / 4)
}

pub fn rsr(t: u32, number: u32) -> u32 {
    rrr(0, 3, number >> 4, number & 15, t)
}

pub fn wsr(t: u32, number: u32) -> u32 {
    rrr(1, 3, number >> 4, number & 15, t)
}

pub fn xsr(t: u32, number: u32) -> u32 {
    rrr(6, 1, number >> 4, number & 15, t)
}

pub fn rur(r: u32, number: u32) -> u32 {
    rrr(0xe, 3, r, number >> 4, number & 15)
}

pub fn wur(t: u32, number: u32) -> u32 {
    rrr(0xf, 3, number >> 4, number & 15, t)
}

pub fn rotw(quads: i32) -> u32 {
    rrr(4, 0, 8, 0, quads as u32 & 15)
}

pub fn entry(frame: u32) -> u32 {
    (frame / 8) << 12 | 1 << 8 | 0x36
}

pub fn s32e(t: u32, s: u32, offset: i32) -> u32 {
    rrr(4, 9, (offset + 64) as u32 / 4, s, t)
}

pub fn l32e(t: u32, s: u32, offset: i32) -> u32 {
    rrr(0, 9, (offset + 64) as u32 / 4, s, t)
}

pub const RET: u32 = 0x80;
pub const RETW: u32 = 0x90;
pub const RFE: u32 = 0x3000;
pub const RFWO: u32 = 0x3400;
pub const RFWU: u32 = 0x3500;
pub const SYSCALL: u32 = 0x5000;
pub const SIMCALL: u32 = 0x5100;
pub const ISYNC: u32 = 0x2000;
pub const RSYNC: u32 = 0x2010;
pub const NOP_N: u32 = 0xf03d;

pub fn rfi(level: u32) -> u32 {
    0x3010 | level << 8
}

/// Whether the instruction that begins with this byte has 2 bytes, otherwise 3.
pub fn is_narrow(first: u32) -> bool {
    first & 8 != 0
}

/// Memory from an address on, with code and literals in it.
pub struct Image {
    pub base: u32,
    pub bytes: Vec<u8>,
    /// Where the next instruction goes.
    pub at: u32,
    literals: BTreeMap<u32, u32>,
    /// Where literals go, and where their room ends.
    pool: (u32, u32),
}

impl Image {
    pub fn new(base: u32, pool: (u32, u32)) -> Self {
        Self {
            base,
            bytes: Vec::new(),
            at: base,
            literals: BTreeMap::new(),
            pool,
        }
    }

    pub fn put(&mut self, address: u32, bytes: &[u8]) {
        let at = (address - self.base) as usize;
        if self.bytes.len() < at + bytes.len() {
            self.bytes.resize(at + bytes.len(), 0);
        }
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn emit(&mut self, word: u32) {
        let len = if is_narrow(word) { 2 } else { 3 };
        self.put(self.at, &word.to_le_bytes()[..len]);
        self.at += len as u32;
    }

    pub fn emit_all(&mut self, words: &[u32]) {
        for &word in words {
            self.emit(word);
        }
    }

    pub fn align(&mut self) {
        while self.at & 3 != 0 {
            self.put(self.at, &[0]);
            self.at += 1;
        }
    }

    /// Loads a constant. While there is room for literals any is possible; then the nearest that
    /// was used before.
    pub fn l32r(&mut self, t: u32, value: u32) {
        let known = self.literals.get(&value).copied();
        let address = known.unwrap_or_else(|| {
            assert!(self.pool.0 < self.pool.1, "too many literals");
            let address = self.pool.0;
            self.pool.0 += 4;
            self.put(address, &value.to_le_bytes());
            self.literals.insert(value, address);
            address
        });
        let offset = address.wrapping_sub((self.at + 3) & !3) >> 2;
        self.emit((offset & 0xffff) << 8 | t << 4 | 1);
    }

    /// Whether [`Image::l32r`] takes any value still.
    pub fn has_room(&self) -> bool {
        self.pool.0 + 64 < self.pool.1
    }

    /// A jump, to be given its target by [`Image::land`].
    pub fn jump(&mut self) -> u32 {
        self.emit(6);
        self.at - 3
    }

    pub fn land(&mut self, jump: u32) {
        self.jump_at(jump, self.at);
    }

    pub fn jump_at(&mut self, at: u32, target: u32) {
        let offset = target.wrapping_sub(at + 4);
        self.put(at, &(offset << 6 | 6).to_le_bytes()[..3]);
    }

    /// `CALL0` to `CALL12`; the target is aligned.
    pub fn call(&mut self, n: u32, target: u32) {
        let offset = target.wrapping_sub((self.at & !3) + 4) >> 2;
        self.emit((offset & 0x3_ffff) << 6 | n << 4 | 5);
    }
}
