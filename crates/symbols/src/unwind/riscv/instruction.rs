//! What an instruction does to the registers and the stack, as far as frames depend on it.
//!
//! Source: the RISC-V Instruction Set Manual, volume I (20191213), chapters 2 and 16; Zcmp from the
//! code size reduction extension, 1.0.

/// `x1`.
pub(crate) const RA: u8 = 1;
/// `x2`.
pub(crate) const SP: u8 = 2;
/// `x5`: the return address of support routines.
pub(crate) const T0: u8 = 5;
/// `mepc`, and `uepc` of a TEE's user mode: where a trap came from.
const EPC: [u32; 2] = [0x341, 0x041];

/// An instruction, as the walk through a function sees it. Registers are numbers below 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// `rd = rs + value`; from `x0` a constant.
    AddImmediate { rd: u8, rs: u8, value: i32 },
    /// `rd = value`.
    Constant { rd: u8, value: i32 },
    /// `rd` = its own address `+ value`.
    Near { rd: u8, value: i32 },
    /// `rd = a + b`.
    Add { rd: u8, a: u8, b: u8 },
    /// `rd = a - b`.
    Subtract { rd: u8, a: u8, b: u8 },
    /// A word goes to `base + offset`.
    Store { rs: u8, base: u8, offset: i32 },
    /// A word comes from `base + offset`.
    Load { rd: u8, base: u8, offset: i32 },
    /// `rd` is where a trap came from.
    TrapAddress { rd: u8 },
    /// Goes on elsewhere, or with the next one.
    Branch { offset: i32 },
    /// Goes on elsewhere; a call where `rd` is not `x0`.
    Jump { rd: u8, offset: i32 },
    /// Goes on at `rs + offset`; a call where `rd` is not `x0`.
    JumpRegister { rd: u8, rs: u8, offset: i32 },
    /// `cm.push`: `ra` and the first saved registers, `count` in all, to the top of `size` new bytes.
    Push { count: u8, size: i32 },
    /// `cm.pop`: the reverse; `returns` of `cm.popret` and `cm.popretz`.
    Pop { count: u8, size: i32, returns: bool },
    /// A call through a table (`cm.jalt`).
    TableCall,
    /// Nothing goes on behind it: `mret` and the like, and what is no instruction.
    End,
    /// Something else, which writes at most this register.
    Other { rd: u8 },
}

impl Op {
    /// Whether it is a call: it leaves the address behind it in `ra`.
    pub(crate) fn is_call(self) -> bool {
        matches!(
            self,
            Self::Jump { rd: RA, .. } | Self::JumpRegister { rd: RA, .. } | Self::TableCall
        )
    }
}

/// The length in bytes of the instruction that begins with this half word.
pub(crate) fn length(low: u16) -> u32 {
    if low & 3 == 3 { 4 } else { 2 }
}

/// Decodes one instruction. `high` is the half word behind the first, and counts for long ones only.
pub(crate) fn decode(low: u16, high: u16) -> Op {
    if length(low) == 4 {
        long(u32::from(high) << 16 | u32::from(low))
    } else {
        short(u32::from(low))
    }
}

/// The bits from `low` on, `count` of them.
fn bits(word: u32, low: u32, count: u32) -> u32 {
    word >> low & ((1 << count) - 1)
}

/// A register's number: five bits.
fn register(word: u32, low: u32) -> u8 {
    bits(word, low, 5) as u8
}

/// One of `x8` to `x15`: three bits.
fn short_register(word: u32, low: u32) -> u8 {
    bits(word, low, 3) as u8 + 8
}

/// The lower `count` bits as a number with a sign.
fn signed(value: u32, count: u32) -> i32 {
    ((value << (32 - count)) as i32) >> (32 - count)
}

fn long(word: u32) -> Op {
    let (rd, a, b) = (register(word, 7), register(word, 15), register(word, 20));
    let function = bits(word, 12, 3);
    let immediate = (word as i32) >> 20;
    match word & 0x7F {
        0x13 if function == 0 => Op::AddImmediate {
            rd,
            rs: a,
            value: immediate,
        },
        0x37 => Op::Constant {
            rd,
            value: (word & 0xFFFF_F000) as i32,
        },
        0x33 if function == 0 && word >> 25 == 0 => Op::Add { rd, a, b },
        0x33 if function == 0 && word >> 25 == 0x20 => Op::Subtract { rd, a, b },
        0x23 if function == 2 => Op::Store {
            rs: b,
            base: a,
            offset: immediate & !31 | i32::from(rd),
        },
        0x03 if function == 2 => Op::Load {
            rd,
            base: a,
            offset: immediate,
        },
        0x63 => Op::Branch {
            offset: signed(
                bits(word, 31, 1) << 12
                    | bits(word, 7, 1) << 11
                    | bits(word, 25, 6) << 5
                    | bits(word, 8, 4) << 1,
                13,
            ),
        },
        0x6F => Op::Jump {
            rd,
            offset: signed(
                bits(word, 31, 1) << 20
                    | bits(word, 12, 8) << 12
                    | bits(word, 20, 1) << 11
                    | bits(word, 21, 10) << 1,
                21,
            ),
        },
        0x67 => Op::JumpRegister {
            rd,
            rs: a,
            offset: immediate,
        },
        0x17 => Op::Near {
            rd,
            value: (word & 0xFFFF_F000) as i32,
        },
        0x73 if function == 0 => match word >> 20 {
            // mret, sret, uret
            0x302 | 0x102 | 0x002 => Op::End,
            _ => Op::Other { rd: 0 },
        },
        0x73 if function == 2 && a == 0 && EPC.contains(&(word >> 20)) => Op::TrapAddress { rd },
        // Of floating point only comparisons, conversions to integers and moves write these.
        0x53 if !matches!(word >> 27, 0x14 | 0x18 | 0x1C) => Op::Other { rd: 0 },
        // Other stores, fences, what is floating point, what a vendor has added.
        0x23 | 0x27 | 0x0F | 0x07 | 0x43 | 0x47 | 0x4B | 0x4F | 0x0B | 0x2B | 0x5B | 0x7B => {
            Op::Other { rd: 0 }
        }
        _ => Op::Other { rd },
    }
}

fn short(word: u32) -> Op {
    let rd = register(word, 7);
    let small = signed(bits(word, 12, 1) << 5 | bits(word, 2, 5), 6);
    match (word & 3, word >> 13) {
        (0, _) if word == 0 => Op::End,
        (0, 0) => Op::AddImmediate {
            rd: short_register(word, 2),
            rs: SP,
            value: (bits(word, 11, 2) << 4
                | bits(word, 7, 4) << 6
                | bits(word, 6, 1) << 2
                | bits(word, 5, 1) << 3) as i32,
        },
        (0, function @ (2 | 6)) => {
            let offset =
                (bits(word, 10, 3) << 3 | bits(word, 6, 1) << 2 | bits(word, 5, 1) << 6) as i32;
            let (base, register) = (short_register(word, 7), short_register(word, 2));
            if function == 2 {
                Op::Load {
                    rd: register,
                    base,
                    offset,
                }
            } else {
                Op::Store {
                    rs: register,
                    base,
                    offset,
                }
            }
        }
        // Zcb: loads of bytes and half words.
        (0, 4) if bits(word, 10, 3) < 2 => Op::Other {
            rd: short_register(word, 2),
        },
        (1, 0) => Op::AddImmediate {
            rd,
            rs: rd,
            value: small,
        },
        (1, function @ (1 | 5)) => Op::Jump {
            rd: if function == 1 { RA } else { 0 },
            offset: signed(
                bits(word, 12, 1) << 11
                    | bits(word, 11, 1) << 4
                    | bits(word, 9, 2) << 8
                    | bits(word, 8, 1) << 10
                    | bits(word, 7, 1) << 6
                    | bits(word, 6, 1) << 7
                    | bits(word, 3, 3) << 1
                    | bits(word, 2, 1) << 5,
                12,
            ),
        },
        (1, 2) => Op::Constant { rd, value: small },
        (1, 3) if rd == SP => Op::AddImmediate {
            rd,
            rs: SP,
            value: signed(
                bits(word, 12, 1) << 9
                    | bits(word, 6, 1) << 4
                    | bits(word, 5, 1) << 6
                    | bits(word, 3, 2) << 7
                    | bits(word, 2, 1) << 5,
                10,
            ),
        },
        (1, 3) => Op::Constant {
            rd,
            value: small << 12,
        },
        (1, 4) => {
            let rd = short_register(word, 7);
            if bits(word, 10, 3) == 3 && bits(word, 5, 2) == 0 {
                Op::Subtract {
                    rd,
                    a: rd,
                    b: short_register(word, 2),
                }
            } else {
                Op::Other { rd }
            }
        }
        (1, _) => Op::Branch {
            offset: signed(
                bits(word, 12, 1) << 8
                    | bits(word, 10, 2) << 3
                    | bits(word, 5, 2) << 6
                    | bits(word, 3, 2) << 1
                    | bits(word, 2, 1) << 5,
                9,
            ),
        },
        (2, 0) => Op::Other { rd },
        (2, 2) => Op::Load {
            rd,
            base: SP,
            offset: (bits(word, 12, 1) << 5 | bits(word, 4, 3) << 2 | bits(word, 2, 2) << 6) as i32,
        },
        (2, 4) => {
            let rs = register(word, 2);
            match (bits(word, 12, 1), rd, rs) {
                (0, 0, 0) => Op::End,
                (0, _, 0) => Op::JumpRegister {
                    rd: 0,
                    rs: rd,
                    offset: 0,
                },
                (0, ..) => Op::AddImmediate { rd, rs, value: 0 },
                // c.ebreak
                (_, 0, 0) => Op::Other { rd: 0 },
                (_, _, 0) => Op::JumpRegister {
                    rd: RA,
                    rs: rd,
                    offset: 0,
                },
                _ => Op::Add { rd, a: rd, b: rs },
            }
        }
        (2, 5) => push_or_pop(word),
        (2, 6) => Op::Store {
            rs: register(word, 2),
            base: SP,
            offset: (bits(word, 9, 4) << 2 | bits(word, 7, 2) << 6) as i32,
        },
        _ => Op::Other { rd: 0 },
    }
}

/// Zcmp and Zcmt, on cores that have no floating point of double precision.
fn push_or_pop(word: u32) -> Op {
    let list = bits(word, 4, 4);
    let (count, base) = match list {
        4..=7 => (list - 3, 16),
        8..=11 => (list - 3, 32),
        12..=14 => (list - 3, 48),
        // s10 comes with s11.
        15 => (13, 64),
        _ => (0, 0),
    };
    let (count, size) = (count as u8, base + 16 * bits(word, 2, 2) as i32);
    match (word >> 8, count) {
        (0xB8, 1..) => Op::Push { count, size },
        (0xBA, 1..) => Op::Pop {
            count,
            size,
            returns: false,
        },
        (0xBC | 0xBE, 1..) => Op::Pop {
            count,
            size,
            returns: true,
        },
        // cm.jt and cm.jalt: from the 32nd entry on they are calls.
        (0xA0..=0xA3, _) if bits(word, 2, 8) >= 32 => Op::TableCall,
        (0xA0..=0xA3, _) => Op::End,
        _ => Op::Other { rd: 0 },
    }
}
