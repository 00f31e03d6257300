//! Instruction words to decoded instructions, after the Xtensa Instruction Set Architecture
//! Reference Manual, chapter 7 (instruction formats and opcodes).

use super::config::Config;
use super::mac;

/// What an instruction does. Names are the manual's; a narrow form has its wide form's name, and
/// an immediate operand was decoded into [`Insn::imm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Illegal,
    /// The caller asked to be given control here. Not an instruction.
    Trap,
    Nop,
    Abs,
    Add,
    Addi,
    Addx2,
    Addx4,
    Addx8,
    Sub,
    Subx2,
    Subx4,
    Subx8,
    And,
    Or,
    Xor,
    Neg,
    Slli,
    Srai,
    Srli,
    Src,
    Srl,
    Sll,
    Sra,
    Ssr,
    Ssl,
    Ssa8l,
    Ssa8b,
    Ssai,
    Extui,
    Sext,
    Clamps,
    Min,
    Max,
    Minu,
    Maxu,
    Salt,
    Saltu,
    Nsa,
    Nsau,
    Mul16u,
    Mul16s,
    Mull,
    Muluh,
    Mulsh,
    Quou,
    Quos,
    Remu,
    Rems,
    Mov,
    Movi,
    Moveqz,
    Movnez,
    Movltz,
    Movgez,
    Movf,
    Movt,
    L8ui,
    L16ui,
    L16si,
    L32i,
    L32r,
    S8i,
    S16i,
    S32i,
    S32c1i,
    L32e,
    S32e,
    J,
    Jx,
    Beq,
    Bne,
    Blt,
    Bge,
    Bltu,
    Bgeu,
    Beqi,
    Bnei,
    Blti,
    Bgei,
    Bltui,
    Bgeui,
    Beqz,
    Bnez,
    Bltz,
    Bgez,
    Bnone,
    Bany,
    Ball,
    Bnall,
    Bbc,
    Bbs,
    Bbci,
    Bbsi,
    Bf,
    Bt,
    Call0,
    Callx0,
    Call,
    Callx,
    Ret,
    Retw,
    Entry,
    Movsp,
    Rotw,
    Loop,
    Loopnez,
    Loopgtz,
    Andb,
    Andbc,
    Orb,
    Orbc,
    Xorb,
    Any4,
    All4,
    Any8,
    All8,
    Rsr,
    Wsr,
    Xsr,
    Rur,
    Wur,
    Rer,
    Wer,
    Rsil,
    Waiti,
    Isync,
    Rfe,
    Rfde,
    Rfi,
    Rfwo,
    Rfwu,
    Syscall,
    Break,
    BreakN,
    RegionRead,
    /// Any instruction of MAC16: which is in [`Insn::imm`].
    Mac16,
    AddS,
    SubS,
    MulS,
    MaddS,
    MsubS,
    MaddnS,
    DivnS,
    RoundS,
    TruncS,
    FloorS,
    CeilS,
    UtruncS,
    FloatS,
    UfloatS,
    MovS,
    AbsS,
    NegS,
    Rfr,
    Wfr,
    ConstS,
    Div0S,
    Recip0S,
    Sqrt0S,
    Rsqrt0S,
    Nexp01S,
    MksadjS,
    MkdadjS,
    AddexpS,
    AddexpmS,
    UnS,
    OeqS,
    UeqS,
    OltS,
    UltS,
    OleS,
    UleS,
    MoveqzS,
    MovnezS,
    MovltzS,
    MovgezS,
    MovfS,
    MovtS,
    Lsi,
    Lsip,
    Lsx,
    Lsxp,
    Ssi,
    Ssip,
    Ssx,
    Ssxp,
}

/// One decoded instruction. Sixteen bytes with its place in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Insn {
    pub op: Op,
    /// Length: 2 or 3 bytes.
    pub len: u8,
    /// The highest quarter of the window it names a register of, 0 to 3: what the window check needs.
    pub quad: u8,
    pub r: u8,
    pub s: u8,
    pub t: u8,
    /// The immediate; of a branch or jump its target.
    pub imm: u32,
    /// The second immediate of a comparison with a constant.
    pub second: Second,
}

/// Constants of `BEQI` and its kind, by their index; unsigned ones begin otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Second(u8);

const B4CONST: [u32; 32] = [
    u32::MAX,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    12,
    16,
    32,
    64,
    128,
    256, //
    0x8000,
    0x1_0000,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    12,
    16,
    32,
    64,
    128,
    256,
];

impl Second {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn value(self) -> u32 {
        B4CONST[usize::from(self.0 & 31)]
    }
}

/// The length of the instruction that begins with this byte. 0xE and 0xF begin instructions of
/// cores with wider ones, which these models do not have.
pub(super) fn length(first: u8) -> u8 {
    if first & 0x8 != 0 && first & 0xf < 0xe {
        2
    } else {
        3
    }
}

/// A field as a signed number of `bits` bits.
fn signed(value: u32, bits: u32) -> u32 {
    (((value << (32 - bits)) as i32) >> (32 - bits)) as u32
}

/// Decodes the instruction at `pc`; bytes beyond its length do not matter.
pub(super) fn decode(word: u32, pc: u32, config: &Config) -> Insn {
    Decoder { word, pc, config }.decode()
}

struct Decoder<'a> {
    word: u32,
    pc: u32,
    config: &'a Config,
}

impl Decoder<'_> {
    fn bits(&self, at: u32, count: u32) -> u32 {
        self.word >> at & ((1 << count) - 1)
    }
    fn t(&self) -> u32 {
        self.bits(4, 4)
    }
    fn s(&self) -> u32 {
        self.bits(8, 4)
    }
    fn r(&self) -> u32 {
        self.bits(12, 4)
    }
    fn op1(&self) -> u32 {
        self.bits(16, 4)
    }
    fn op2(&self) -> u32 {
        self.bits(20, 4)
    }
    fn imm8(&self) -> u32 {
        self.bits(16, 8)
    }
    fn branch8(&self) -> u32 {
        self.pc.wrapping_add(4).wrapping_add(signed(self.imm8(), 8))
    }
    fn branch12(&self) -> u32 {
        self.pc
            .wrapping_add(4)
            .wrapping_add(signed(self.bits(12, 12), 12))
    }

    /// An instruction whose named registers are those in `used`, a mask of 1 (t), 2 (s), 4 (r).
    fn insn(&self, op: Op, used: u32, imm: u32) -> Insn {
        let (r, s, t) = (self.r(), self.s(), self.t());
        let mut quad = 0;
        for (bit, register) in [(1, t), (2, s), (4, r)] {
            if used & bit != 0 {
                quad = quad.max(register >> 2);
            }
        }
        let quad = if self.config.windowed { quad as u8 } else { 0 };
        Insn {
            op,
            len: length(self.word as u8),
            quad,
            r: r as u8,
            s: s as u8,
            t: t as u8,
            imm,
            second: Second(r as u8),
        }
    }
    fn rst(&self, op: Op) -> Insn {
        self.insn(op, 7, 0)
    }
    fn rs(&self, op: Op, imm: u32) -> Insn {
        self.insn(op, 6, imm)
    }
    fn rt(&self, op: Op, imm: u32) -> Insn {
        self.insn(op, 5, imm)
    }
    fn st(&self, op: Op, imm: u32) -> Insn {
        self.insn(op, 3, imm)
    }
    fn only_s(&self, op: Op, imm: u32) -> Insn {
        self.insn(op, 2, imm)
    }
    fn only_t(&self, op: Op, imm: u32) -> Insn {
        self.insn(op, 1, imm)
    }
    fn none(&self, op: Op, imm: u32) -> Insn {
        self.insn(op, 0, imm)
    }
    fn illegal(&self) -> Insn {
        self.none(Op::Illegal, 0)
    }
    /// `insn` where the core has the option, otherwise an illegal instruction.
    fn with(&self, option: bool, insn: Insn) -> Insn {
        if option { insn } else { self.illegal() }
    }

    fn decode(&self) -> Insn {
        match self.word & 0xf {
            0x0 => self.qrst(),
            0x1 => {
                let offset = (self.bits(8, 16) | 0xffff_0000) << 2;
                self.only_t(Op::L32r, offset)
            }
            0x2 => self.lsai(),
            0x3 => self.with(self.config.float, self.lsci()),
            0x4 => self.with(self.config.mac16, self.mac16()),
            0x5 => self.calln(),
            0x6 => self.si(),
            0x7 => self.b(),
            0x8 => self.st(Op::L32i, self.r() << 2),
            0x9 => self.st(Op::S32i, self.r() << 2),
            0xa => self.rst(Op::Add),
            0xb => {
                let imm = if self.t() == 0 { u32::MAX } else { self.t() };
                // ADDI.N has its result in r, where ADDI has it in t.
                let mut insn = self.rs(Op::Addi, imm);
                insn.t = insn.r;
                insn
            }
            0xc => self.st2(),
            0xd => self.st3(),
            _ => self.illegal(),
        }
    }

    fn qrst(&self) -> Insn {
        match self.op1() {
            0x0 => self.rst0(),
            0x1 => self.rst1(),
            0x2 => self.rst2(),
            0x3 => self.rst3(),
            0x4 | 0x5 => {
                let mut insn = self.rt(Op::Extui, (2u32 << self.op2()) - 1);
                insn.s = (self.s() | (self.op1() & 1) << 4) as u8;
                insn
            }
            0x8 => self.with(self.config.float, self.lscx()),
            0xa => self.with(self.config.float, self.fp0()),
            0xb => self.with(self.config.float, self.fp1()),
            0x9 => {
                let offset = (self.r() << 2).wrapping_sub(64);
                let windowed = self.config.windowed;
                match self.op2() {
                    0 => self.with(windowed, self.st(Op::L32e, offset)),
                    4 => self.with(windowed, self.st(Op::S32e, offset)),
                    _ => self.illegal(),
                }
            }
            _ => self.illegal(),
        }
    }

    fn rst0(&self) -> Insn {
        match self.op2() {
            0x0 => self.st0(),
            0x1 => self.rst(Op::And),
            0x2 => self.rst(Op::Or),
            0x3 => self.rst(Op::Xor),
            0x4 => self.st1(),
            0x5 => self.tlb(),
            0x6 => match self.s() {
                0 => self.rt(Op::Neg, 0),
                1 => self.rt(Op::Abs, 0),
                _ => self.illegal(),
            },
            0x8 => self.rst(Op::Add),
            0x9 => self.rst(Op::Addx2),
            0xa => self.rst(Op::Addx4),
            0xb => self.rst(Op::Addx8),
            0xc => self.rst(Op::Sub),
            0xd => self.rst(Op::Subx2),
            0xe => self.rst(Op::Subx4),
            0xf => self.rst(Op::Subx8),
            _ => self.illegal(),
        }
    }

    fn st0(&self) -> Insn {
        let windowed = self.config.windowed;
        let booleans = self.config.booleans;
        match self.r() {
            0x0 => match (self.bits(6, 2), self.bits(4, 2)) {
                (2, 0) => self.none(Op::Ret, 0),
                (2, 1) => self.with(windowed, self.none(Op::Retw, 0)),
                (2, 2) => self.only_s(Op::Jx, 0),
                (3, 0) => self.only_s(Op::Callx0, 0),
                (3, n) => {
                    let mut insn = self.only_s(Op::Callx, n);
                    insn.quad = insn.quad.max(n as u8);
                    self.with(windowed, insn)
                }
                _ => self.illegal(),
            },
            0x1 => self.with(windowed, self.st(Op::Movsp, 0)),
            0x2 if self.s() == 0 => match self.t() {
                0x0 => self.none(Op::Isync, 0),
                0x1..=0x3 | 0x8 | 0xc | 0xd | 0xf => self.none(Op::Nop, 0),
                _ => self.illegal(),
            },
            0x3 => match (self.t(), self.s()) {
                (0, 0) => self.none(Op::Rfe, 0),
                (0, 2) => self.none(Op::Rfde, 0),
                (0, 4) => self.with(windowed, self.none(Op::Rfwo, 0)),
                (0, 5) => self.with(windowed, self.none(Op::Rfwu, 0)),
                (1, level) => {
                    let there = (2..=u32::from(self.config.top_level)).contains(&level);
                    self.with(there, self.none(Op::Rfi, level))
                }
                _ => self.illegal(),
            },
            0x4 => self.none(Op::Break, 0),
            0x5 if self.s() == 0 && self.t() == 0 => self.none(Op::Syscall, 0),
            0x6 => self.only_t(Op::Rsil, self.s()),
            0x7 if self.t() == 0 => self.none(Op::Waiti, self.s()),
            0x8 => self.with(booleans, self.none(Op::Any4, 0)),
            0x9 => self.with(booleans, self.none(Op::All4, 0)),
            0xa => self.with(booleans, self.none(Op::Any8, 0)),
            0xb => self.with(booleans, self.none(Op::All8, 0)),
            _ => self.illegal(),
        }
    }

    fn st1(&self) -> Insn {
        match self.r() {
            0x0 if self.t() == 0 => self.only_s(Op::Ssr, 0),
            0x1 if self.t() == 0 => self.only_s(Op::Ssl, 0),
            0x2 if self.t() == 0 => self.only_s(Op::Ssa8l, 0),
            0x3 if self.t() == 0 => self.only_s(Op::Ssa8b, 0),
            0x4 if self.t() & 0xe == 0 => self.none(Op::Ssai, self.s() | (self.t() & 1) << 4),
            0x6 => self.st(Op::Rer, 0),
            0x7 => self.st(Op::Wer, 0),
            0x8 if self.s() == 0 => self.with(
                self.config.windowed,
                self.none(Op::Rotw, signed(self.t(), 4)),
            ),
            0xe => self.st(Op::Nsa, 0),
            0xf => self.st(Op::Nsau, 0),
            _ => self.illegal(),
        }
    }

    /// Region protection is not modelled: what is read is 0, what is written is forgotten.
    fn tlb(&self) -> Insn {
        match self.r() {
            0x3 | 0x5 | 0x7 | 0xb | 0xd | 0xf => self.st(Op::RegionRead, 0),
            0x4 | 0xc => self.only_s(Op::Nop, 0),
            0x6 | 0xe => self.st(Op::Nop, 0),
            _ => self.illegal(),
        }
    }

    fn rst1(&self) -> Insn {
        let high = (self.op2() & 1) << 4;
        match self.op2() {
            0x0 | 0x1 => self.rs(Op::Slli, 32 - (self.t() | high)),
            0x2 | 0x3 => self.rt(Op::Srai, self.s() | high),
            0x4 => self.rt(Op::Srli, self.s()),
            0x6 => self.only_t(Op::Xsr, self.bits(8, 8)),
            0x8 => self.rst(Op::Src),
            0x9 if self.s() == 0 => self.rt(Op::Srl, 0),
            0xa if self.t() == 0 => self.rs(Op::Sll, 0),
            0xb if self.s() == 0 => self.rt(Op::Sra, 0),
            0xc => self.rst(Op::Mul16u),
            0xd => self.rst(Op::Mul16s),
            _ => self.illegal(),
        }
    }

    fn rst2(&self) -> Insn {
        let (booleans, div) = (self.config.booleans, self.config.div32);
        let high = self.config.mul32_high;
        match self.op2() {
            0x0 => self.with(booleans, self.none(Op::Andb, 0)),
            0x1 => self.with(booleans, self.none(Op::Andbc, 0)),
            0x2 => self.with(booleans, self.none(Op::Orb, 0)),
            0x3 => self.with(booleans, self.none(Op::Orbc, 0)),
            0x4 => self.with(booleans, self.none(Op::Xorb, 0)),
            0x6 => self.with(self.config.salt, self.rst(Op::Saltu)),
            0x7 => self.with(self.config.salt, self.rst(Op::Salt)),
            0x8 => self.rst(Op::Mull),
            0xa => self.with(high, self.rst(Op::Muluh)),
            0xb => self.with(high, self.rst(Op::Mulsh)),
            0xc => self.with(div, self.rst(Op::Quou)),
            0xd => self.with(div, self.rst(Op::Quos)),
            0xe => self.with(div, self.rst(Op::Remu)),
            0xf => self.with(div, self.rst(Op::Rems)),
            _ => self.illegal(),
        }
    }

    fn rst3(&self) -> Insn {
        let minmax = self.config.minmax;
        match self.op2() {
            0x0 => self.only_t(Op::Rsr, self.bits(8, 8)),
            0x1 => self.only_t(Op::Wsr, self.bits(8, 8)),
            0x2 => self.with(minmax, self.rs(Op::Sext, self.t() + 7)),
            0x3 => self.with(minmax, self.rs(Op::Clamps, self.t() + 7)),
            0x4 => self.with(minmax, self.rst(Op::Min)),
            0x5 => self.with(minmax, self.rst(Op::Max)),
            0x6 => self.with(minmax, self.rst(Op::Minu)),
            0x7 => self.with(minmax, self.rst(Op::Maxu)),
            0x8 => self.rst(Op::Moveqz),
            0x9 => self.rst(Op::Movnez),
            0xa => self.rst(Op::Movltz),
            0xb => self.rst(Op::Movgez),
            0xc => self.with(self.config.booleans, self.rs(Op::Movf, 0)),
            0xd => self.with(self.config.booleans, self.rs(Op::Movt, 0)),
            0xe => self.insn(Op::Rur, 4, self.bits(4, 8)),
            0xf => self.only_t(Op::Wur, self.bits(8, 8)),
            _ => self.illegal(),
        }
    }

    fn lsai(&self) -> Insn {
        let imm8 = self.imm8();
        match self.r() {
            0x0 => self.st(Op::L8ui, imm8),
            0x1 => self.st(Op::L16ui, imm8 << 1),
            0x2 | 0xb => self.st(Op::L32i, imm8 << 2),
            0x4 => self.st(Op::S8i, imm8),
            0x5 => self.st(Op::S16i, imm8 << 1),
            0x6 | 0xf => self.st(Op::S32i, imm8 << 2),
            // Cache instructions: there is no cache beside the chip's own, which is not the core's.
            0x7 => self.only_s(Op::Nop, 0),
            0x9 => self.st(Op::L16si, imm8 << 1),
            0xa => self.only_t(Op::Movi, signed(self.s() << 8 | imm8, 12)),
            0xc => self.st(Op::Addi, signed(imm8, 8)),
            0xd => self.st(Op::Addi, signed(imm8, 8) << 8),
            0xe => self.with(self.config.s32c1i, self.st(Op::S32c1i, imm8 << 2)),
            _ => self.illegal(),
        }
    }

    fn lsci(&self) -> Insn {
        let offset = self.imm8() << 2;
        match self.r() {
            0x0 => self.only_s(Op::Lsi, offset),
            0x4 => self.only_s(Op::Ssi, offset),
            0x8 => self.only_s(Op::Lsip, offset),
            0xc => self.only_s(Op::Ssip, offset),
            _ => self.illegal(),
        }
    }

    fn lscx(&self) -> Insn {
        match self.op2() {
            0x0 => self.st(Op::Lsx, 0),
            0x1 => self.st(Op::Lsxp, 0),
            0x4 => self.st(Op::Ssx, 0),
            0x5 => self.st(Op::Ssxp, 0),
            _ => self.illegal(),
        }
    }

    fn fp0(&self) -> Insn {
        match self.op2() {
            0x0 => self.none(Op::AddS, 0),
            0x1 => self.none(Op::SubS, 0),
            0x2 => self.none(Op::MulS, 0),
            0x4 => self.none(Op::MaddS, 0),
            0x5 => self.none(Op::MsubS, 0),
            0x6 => self.none(Op::MaddnS, 0),
            0x7 => self.none(Op::DivnS, 0),
            0x8 => self.insn(Op::RoundS, 4, 0),
            0x9 => self.insn(Op::TruncS, 4, 0),
            0xa => self.insn(Op::FloorS, 4, 0),
            0xb => self.insn(Op::CeilS, 4, 0),
            0xc => self.only_s(Op::FloatS, 0),
            0xd => self.only_s(Op::UfloatS, 0),
            0xe => self.insn(Op::UtruncS, 4, 0),
            0xf => match self.t() {
                0x0 => self.none(Op::MovS, 0),
                0x1 => self.none(Op::AbsS, 0),
                0x3 => self.none(Op::ConstS, 0),
                0x4 => self.insn(Op::Rfr, 4, 0),
                0x5 => self.only_s(Op::Wfr, 0),
                0x6 => self.none(Op::NegS, 0),
                0x7 => self.none(Op::Div0S, 0),
                0x8 => self.none(Op::Recip0S, 0),
                0x9 => self.none(Op::Sqrt0S, 0),
                0xa => self.none(Op::Rsqrt0S, 0),
                0xb => self.none(Op::Nexp01S, 0),
                0xc => self.none(Op::MksadjS, 0),
                0xd => self.none(Op::MkdadjS, 0),
                0xe => self.none(Op::AddexpS, 0),
                0xf => self.none(Op::AddexpmS, 0),
                _ => self.illegal(),
            },
            _ => self.illegal(),
        }
    }

    fn fp1(&self) -> Insn {
        match self.op2() {
            0x1 => self.none(Op::UnS, 0),
            0x2 => self.none(Op::OeqS, 0),
            0x3 => self.none(Op::UeqS, 0),
            0x4 => self.none(Op::OltS, 0),
            0x5 => self.none(Op::UltS, 0),
            0x6 => self.none(Op::OleS, 0),
            0x7 => self.none(Op::UleS, 0),
            0x8 => self.only_t(Op::MoveqzS, 0),
            0x9 => self.only_t(Op::MovnezS, 0),
            0xa => self.only_t(Op::MovltzS, 0),
            0xb => self.only_t(Op::MovgezS, 0),
            0xc => self.none(Op::MovfS, 0),
            0xd => self.none(Op::MovtS, 0),
            _ => self.illegal(),
        }
    }

    fn mac16(&self) -> Insn {
        let (op1, op2) = (self.op1(), self.op2());
        let Some(form) = mac::form(op2) else {
            return self.illegal();
        };
        // Unsigned products are of two registers of the window only; what loads meanwhile adds.
        let there = match (form.multiplies, form.loads) {
            (false, _) => op1 == 0,
            (true, Some(_)) => op1 >> 2 == 2,
            (true, None) => op1 >> 2 != 0 || op2 == 7,
        };
        let s = if form.first_is_window || form.loads.is_some() {
            2
        } else {
            0
        };
        let t = if form.second_is_window { 1 } else { 0 };
        self.with(there, self.insn(Op::Mac16, s | t, op2 << 4 | op1))
    }

    fn calln(&self) -> Insn {
        let n = self.bits(4, 2);
        let target = (self.pc & !3)
            .wrapping_add(4)
            .wrapping_add(signed(self.bits(6, 18), 18) << 2);
        if n == 0 {
            return self.none(Op::Call0, target);
        }
        let mut insn = self.none(Op::Call, target);
        insn.quad = n as u8;
        insn.t = n as u8;
        self.with(self.config.windowed, insn)
    }

    fn si(&self) -> Insn {
        let (n, m) = (self.bits(4, 2), self.bits(6, 2));
        let unsigned = |mut insn: Insn| {
            insn.second.0 |= 16;
            insn
        };
        match (n, m) {
            (0, _) => {
                let offset = signed(self.bits(6, 18), 18);
                self.none(Op::J, self.pc.wrapping_add(4).wrapping_add(offset))
            }
            (1, 0) => self.only_s(Op::Beqz, self.branch12()),
            (1, 1) => self.only_s(Op::Bnez, self.branch12()),
            (1, 2) => self.only_s(Op::Bltz, self.branch12()),
            (1, _) => self.only_s(Op::Bgez, self.branch12()),
            (2, 0) => self.only_s(Op::Beqi, self.branch8()),
            (2, 1) => self.only_s(Op::Bnei, self.branch8()),
            (2, 2) => self.only_s(Op::Blti, self.branch8()),
            (2, _) => self.only_s(Op::Bgei, self.branch8()),
            (_, 0) => self.with(
                self.config.windowed,
                self.only_s(Op::Entry, self.bits(12, 12) << 3),
            ),
            (_, 1) => {
                let end = self.pc.wrapping_add(4).wrapping_add(self.imm8());
                match self.r() {
                    0x0 => self.with(self.config.booleans, self.none(Op::Bf, self.branch8())),
                    0x1 => self.with(self.config.booleans, self.none(Op::Bt, self.branch8())),
                    0x8 => self.with(self.config.loops, self.only_s(Op::Loop, end)),
                    0x9 => self.with(self.config.loops, self.only_s(Op::Loopnez, end)),
                    0xa => self.with(self.config.loops, self.only_s(Op::Loopgtz, end)),
                    _ => self.illegal(),
                }
            }
            (_, 2) => unsigned(self.only_s(Op::Bltui, self.branch8())),
            _ => unsigned(self.only_s(Op::Bgeui, self.branch8())),
        }
    }

    fn b(&self) -> Insn {
        let op = match self.r() {
            0x0 => Op::Bnone,
            0x1 => Op::Beq,
            0x2 => Op::Blt,
            0x3 => Op::Bltu,
            0x4 => Op::Ball,
            0x5 => Op::Bbc,
            0x8 => Op::Bany,
            0x9 => Op::Bne,
            0xa => Op::Bge,
            0xb => Op::Bgeu,
            0xc => Op::Bnall,
            0xd => Op::Bbs,
            r => {
                let op = if r & 8 == 0 { Op::Bbci } else { Op::Bbsi };
                let mut insn = self.only_s(op, self.branch8());
                insn.t |= (r as u8 & 1) << 4;
                return insn;
            }
        };
        self.st(op, self.branch8())
    }

    fn st2(&self) -> Insn {
        let t = self.t();
        if t & 8 == 0 {
            // MOVI.N has its result in s, where MOVI has it in t; its range is -32 to 95.
            let value = (t & 7) << 4 | self.r();
            let value = if value >= 96 {
                value.wrapping_sub(128)
            } else {
                value
            };
            let mut insn = self.only_s(Op::Movi, value);
            insn.t = insn.s;
            return insn;
        }
        let target = self
            .pc
            .wrapping_add(4)
            .wrapping_add((t & 3) << 4 | self.r());
        self.only_s(if t & 4 == 0 { Op::Beqz } else { Op::Bnez }, target)
    }

    fn st3(&self) -> Insn {
        match (self.r(), self.t()) {
            (0x0, _) => self.st(Op::Mov, 0),
            (0xf, 0) => self.none(Op::Ret, 0),
            (0xf, 1) => self.with(self.config.windowed, self.none(Op::Retw, 0)),
            (0xf, 2) => self.none(Op::BreakN, 0),
            (0xf, 3) => self.none(Op::Nop, 0),
            _ => self.illegal(),
        }
    }
}
