//! From instruction words to what the CPU does, once for each address.

/// What an instruction does. Compressed instructions are the long ones they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Lui,
    Auipc,
    Jal,
    Jalr,
    Beq,
    Bne,
    Blt,
    Bge,
    Bltu,
    Bgeu,
    Lb,
    Lh,
    Lw,
    Lbu,
    Lhu,
    Sb,
    Sh,
    Sw,
    Addi,
    Slti,
    Sltiu,
    Xori,
    Ori,
    Andi,
    Slli,
    Srli,
    Srai,
    Add,
    Sub,
    Sll,
    Slt,
    Sltu,
    Xor,
    Srl,
    Sra,
    Or,
    And,
    Mul,
    Mulh,
    Mulhsu,
    Mulhu,
    Div,
    Divu,
    Rem,
    Remu,
    Lr,
    Sc,
    AmoSwap,
    AmoAdd,
    AmoXor,
    AmoAnd,
    AmoOr,
    AmoMin,
    AmoMax,
    AmoMinu,
    AmoMaxu,
    Fence,
    Ecall,
    Ebreak,
    Mret,
    Wfi,
    /// `imm` is the instruction word.
    Csr,
    /// `imm` is the instruction word.
    Illegal,
}

/// A decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub kind: Kind,
    /// Where the result goes; [`NOWHERE`] in place of `x0`.
    pub rd: u8,
    pub rs1: u8,
    pub rs2: u8,
    /// Length in bytes: 2 or 4.
    pub len: u8,
    pub imm: u32,
}

/// The register that takes what is written to `x0`, so that no instruction has to ask.
pub(super) const NOWHERE: u8 = 32;

impl Op {
    fn new(kind: Kind, rd: u32, rs1: u32, rs2: u32, imm: u32) -> Self {
        let rd = if rd & 31 == 0 {
            NOWHERE
        } else {
            (rd & 31) as u8
        };
        Self {
            kind,
            rd,
            rs1: (rs1 & 31) as u8,
            rs2: (rs2 & 31) as u8,
            len: 4,
            imm,
        }
    }

    pub const fn illegal(word: u32, len: u8) -> Self {
        Self {
            kind: Kind::Illegal,
            rd: NOWHERE,
            rs1: 0,
            rs2: 0,
            len,
            imm: word,
        }
    }
}

/// Whether the instruction that begins with these 16 bits has 16 more.
pub(super) const fn is_long(half: u16) -> bool {
    half & 3 == 3
}

/// `bits` bits of `word` from `low` on.
const fn field(word: u32, low: u32, bits: u32) -> u32 {
    (word >> low) & ((1 << bits) - 1)
}

/// The low `bits` bits of `value` as a signed number.
const fn signed(value: u32, bits: u32) -> u32 {
    (((value << (32 - bits)) as i32) >> (32 - bits)) as u32
}

/// Decodes 32 bits. `atomics`: whether the CPU has the A extension.
pub(super) fn long(word: u32, atomics: bool) -> Op {
    use Kind::*;
    let (rd, rs1, rs2) = (field(word, 7, 5), field(word, 15, 5), field(word, 20, 5));
    let (funct3, funct7) = (field(word, 12, 3), word >> 25);
    let i = signed(word >> 20, 12);
    let op = |kind, imm| Op::new(kind, rd, rs1, rs2, imm);
    let decoded = match field(word, 0, 7) {
        0x37 => Some(op(Lui, word & !0xFFF)),
        0x17 => Some(op(Auipc, word & !0xFFF)),
        0x6F => {
            let offset = field(word, 31, 1) << 20
                | field(word, 12, 8) << 12
                | field(word, 20, 1) << 11
                | field(word, 21, 10) << 1;
            Some(op(Jal, signed(offset, 21)))
        }
        0x67 if funct3 == 0 => Some(op(Jalr, i)),
        0x63 => {
            let offset = field(word, 31, 1) << 12
                | field(word, 7, 1) << 11
                | field(word, 25, 6) << 5
                | field(word, 8, 4) << 1;
            let kind = match funct3 {
                0 => Some(Beq),
                1 => Some(Bne),
                4 => Some(Blt),
                5 => Some(Bge),
                6 => Some(Bltu),
                7 => Some(Bgeu),
                _ => None,
            };
            kind.map(|kind| op(kind, signed(offset, 13)))
        }
        0x03 => match funct3 {
            0 => Some(op(Lb, i)),
            1 => Some(op(Lh, i)),
            2 => Some(op(Lw, i)),
            4 => Some(op(Lbu, i)),
            5 => Some(op(Lhu, i)),
            _ => None,
        },
        0x23 => {
            let offset = signed(funct7 << 5 | field(word, 7, 5), 12);
            match funct3 {
                0 => Some(op(Sb, offset)),
                1 => Some(op(Sh, offset)),
                2 => Some(op(Sw, offset)),
                _ => None,
            }
        }
        0x13 => match (funct3, funct7) {
            (0, _) => Some(op(Addi, i)),
            (2, _) => Some(op(Slti, i)),
            (3, _) => Some(op(Sltiu, i)),
            (4, _) => Some(op(Xori, i)),
            (6, _) => Some(op(Ori, i)),
            (7, _) => Some(op(Andi, i)),
            (1, 0x00) => Some(op(Slli, rs2)),
            (5, 0x00) => Some(op(Srli, rs2)),
            (5, 0x20) => Some(op(Srai, rs2)),
            _ => None,
        },
        0x33 => match (funct7, funct3) {
            (0x00, 0) => Some(Add),
            (0x20, 0) => Some(Sub),
            (0x00, 1) => Some(Sll),
            (0x00, 2) => Some(Slt),
            (0x00, 3) => Some(Sltu),
            (0x00, 4) => Some(Xor),
            (0x00, 5) => Some(Srl),
            (0x20, 5) => Some(Sra),
            (0x00, 6) => Some(Or),
            (0x00, 7) => Some(And),
            (0x01, 0) => Some(Mul),
            (0x01, 1) => Some(Mulh),
            (0x01, 2) => Some(Mulhsu),
            (0x01, 3) => Some(Mulhu),
            (0x01, 4) => Some(Div),
            (0x01, 5) => Some(Divu),
            (0x01, 6) => Some(Rem),
            (0x01, 7) => Some(Remu),
            _ => None,
        }
        .map(|kind| op(kind, 0)),
        // The ordering bits do not matter to one CPU that does things in order.
        0x2F if funct3 == 2 && atomics => match funct7 >> 2 {
            0x02 if rs2 == 0 => Some(Lr),
            0x03 => Some(Sc),
            0x01 => Some(AmoSwap),
            0x00 => Some(AmoAdd),
            0x04 => Some(AmoXor),
            0x0C => Some(AmoAnd),
            0x08 => Some(AmoOr),
            0x10 => Some(AmoMin),
            0x14 => Some(AmoMax),
            0x18 => Some(AmoMinu),
            0x1C => Some(AmoMaxu),
            _ => None,
        }
        .map(|kind| op(kind, 0)),
        0x0F if funct3 < 2 => Some(op(Fence, 0)),
        0x73 if funct3 == 0 => match word {
            0x0000_0073 => Some(op(Ecall, 0)),
            0x0010_0073 => Some(op(Ebreak, 0)),
            0x3020_0073 => Some(op(Mret, 0)),
            0x1050_0073 => Some(op(Wfi, 0)),
            _ => None,
        },
        0x73 if funct3 != 4 => Some(op(Csr, word)),
        _ => None,
    };
    decoded.unwrap_or(Op::illegal(word, 4))
}

/// Decodes 16 bits.
pub(super) fn short(half: u16) -> Op {
    use Kind::*;
    const RA: u32 = 1;
    const SP: u32 = 2;
    let w = u32::from(half);
    // The full register fields, and the two that reach x8 to x15 only.
    let (rd, rs2) = (field(w, 7, 5), field(w, 2, 5));
    let (low, high) = (8 + field(w, 2, 3), 8 + field(w, 7, 3));
    let imm6 = signed(field(w, 12, 1) << 5 | field(w, 2, 5), 6);
    let sign = field(w, 12, 1);
    let decoded = match (w & 3, field(w, 13, 3)) {
        (0, 0) => {
            let imm = field(w, 11, 2) << 4
                | field(w, 7, 4) << 6
                | field(w, 6, 1) << 2
                | field(w, 5, 1) << 3;
            (imm != 0).then(|| Op::new(Addi, low, SP, 0, imm))
        }
        (0, kind @ (2 | 6)) => {
            let imm = field(w, 10, 3) << 3 | field(w, 6, 1) << 2 | field(w, 5, 1) << 6;
            Some(if kind == 2 {
                Op::new(Lw, low, high, 0, imm)
            } else {
                Op::new(Sw, 0, high, low, imm)
            })
        }
        (1, 0) => Some(Op::new(Addi, rd, rd, 0, imm6)),
        (1, kind @ (1 | 5)) => {
            let offset = sign << 11
                | field(w, 11, 1) << 4
                | field(w, 9, 2) << 8
                | field(w, 8, 1) << 10
                | field(w, 7, 1) << 6
                | field(w, 6, 1) << 7
                | field(w, 3, 3) << 1
                | field(w, 2, 1) << 5;
            let link = if kind == 1 { RA } else { 0 };
            Some(Op::new(Jal, link, 0, 0, signed(offset, 12)))
        }
        (1, 2) => Some(Op::new(Addi, rd, 0, 0, imm6)),
        (1, 3) if rd == SP => {
            let imm = sign << 9
                | field(w, 6, 1) << 4
                | field(w, 5, 1) << 6
                | field(w, 3, 2) << 7
                | field(w, 2, 1) << 5;
            (imm != 0).then(|| Op::new(Addi, SP, SP, 0, signed(imm, 10)))
        }
        (1, 3) => (imm6 != 0).then(|| Op::new(Lui, rd, 0, 0, imm6 << 12)),
        (1, 4) => match (field(w, 10, 2), sign, field(w, 5, 2)) {
            (0, 0, _) => Some(Op::new(Srli, high, high, 0, rs2)),
            (1, 0, _) => Some(Op::new(Srai, high, high, 0, rs2)),
            (2, ..) => Some(Op::new(Andi, high, high, 0, imm6)),
            (3, 0, 0) => Some(Op::new(Sub, high, high, low, 0)),
            (3, 0, 1) => Some(Op::new(Xor, high, high, low, 0)),
            (3, 0, 2) => Some(Op::new(Or, high, high, low, 0)),
            (3, 0, 3) => Some(Op::new(And, high, high, low, 0)),
            _ => None,
        },
        (1, kind @ (6 | 7)) => {
            let offset = sign << 8
                | field(w, 10, 2) << 3
                | field(w, 5, 2) << 6
                | field(w, 3, 2) << 1
                | field(w, 2, 1) << 5;
            let kind = if kind == 6 { Beq } else { Bne };
            Some(Op::new(kind, 0, high, 0, signed(offset, 9)))
        }
        (2, 0) => (sign == 0).then(|| Op::new(Slli, rd, rd, 0, rs2)),
        (2, 2) => {
            let imm = sign << 5 | field(w, 4, 3) << 2 | field(w, 2, 2) << 6;
            (rd != 0).then(|| Op::new(Lw, rd, SP, 0, imm))
        }
        (2, 4) => match (sign, rd, rs2) {
            (0, 0, 0) => None,
            (0, _, 0) => Some(Op::new(Jalr, 0, rd, 0, 0)),
            (0, ..) => Some(Op::new(Add, rd, 0, rs2, 0)),
            (_, 0, 0) => Some(Op::new(Ebreak, 0, 0, 0, 0)),
            (_, _, 0) => Some(Op::new(Jalr, RA, rd, 0, 0)),
            _ => Some(Op::new(Add, rd, rd, rs2, 0)),
        },
        (2, 6) => {
            let imm = field(w, 9, 4) << 2 | field(w, 7, 2) << 6;
            Some(Op::new(Sw, 0, SP, rs2, imm))
        }
        _ => None,
    };
    decoded.map_or(Op::illegal(w, 2), |op| Op { len: 2, ..op })
}
