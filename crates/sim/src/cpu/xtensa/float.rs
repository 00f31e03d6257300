//! The floating point unit, coprocessor 0: single precision, four rounding modes, sticky flags.
//!
//! Division and square root are sequences of a dozen instructions that refine an estimate. Here
//! `MKDADJ.S` and `MKSADJ.S` compute the rounded result at once, `ADDEXPM.S` carries it over and
//! `ADDEXP.S` and `DIVN.S` leave it alone: a whole sequence gives what the unit gives, its
//! intermediate values differ. `RECIP0.S` and `RSQRT0.S` are estimates of full precision.
//! QEMU's model of the unit makes the same choice.

use super::core::{Cause, Core, Interruption};
use super::decode::{Insn, Op};
use crate::cpu::Bus;

/// Flags of `FSR`, and for each the enable bit of `FCR` five below, which nothing here looks at:
/// the unit has no floating point exceptions.
const INEXACT: u32 = 1 << 7;
const UNDERFLOW: u32 = 1 << 8;
const OVERFLOW: u32 = 1 << 9;
const DIVISION: u32 = 1 << 10;
const INVALID: u32 = 1 << 11;

const QUIET: u32 = 1 << 22;
const DEFAULT_NAN: u32 = 0x7fc0_0000;

/// What `CONST.S` gives.
const CONSTANTS: [f32; 4] = [0.0, 1.0, 2.0, 0.5];

/// `FCR`, bits 0 and 1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Nearest,
    Zero,
    Up,
    Down,
}

/// A result as bits, and the flags it raises.
type Told = (u32, u32);

fn is_nan(bits: u32) -> bool {
    f32::from_bits(bits).is_nan()
}

fn signals(bits: u32) -> u32 {
    if is_nan(bits) && bits & QUIET == 0 {
        INVALID
    } else {
        0
    }
}

/// The NaN that an operation on these gives: the last one, made quiet.
fn nan_of(operands: &[u32]) -> Option<Told> {
    let flags = operands
        .iter()
        .fold(0, |flags, &bits| flags | signals(bits));
    let last = operands.iter().rev().find(|&&bits| is_nan(bits))?;
    Some((last | QUIET, flags))
}

fn wide(bits: u32) -> f64 {
    f32::from_bits(bits).into()
}

fn toward_zero(value: f64) -> f64 {
    f64::from_bits(value.to_bits() - 1)
}

/// `value` plus a remainder too small for it, of which only the sign matters, as one number that
/// rounds the same way to fewer bits: its last bit is set ("rounding to odd").
fn sticky(value: f64, remainder: f64) -> f64 {
    if remainder == 0.0 || !value.is_finite() || value == 0.0 {
        return value;
    }
    let same_sign = remainder.is_sign_negative() == value.is_sign_negative();
    let truncated = if same_sign { value } else { toward_zero(value) };
    f64::from_bits(truncated.to_bits() | 1)
}

fn narrow(exact: f64, rounding: Rounding) -> f32 {
    let nearest = exact as f32;
    let back = f64::from(nearest);
    let bits = nearest.to_bits();
    let (up, down) = match rounding {
        Rounding::Nearest => (false, false),
        Rounding::Zero => (back < exact && exact < 0.0, back > exact && exact > 0.0),
        Rounding::Up => (back < exact, false),
        Rounding::Down => (false, back > exact),
    };
    // One step: away from 0 is one more, whatever the sign; a zero has the sign of `exact`.
    if up || down {
        let away = down == exact.is_sign_negative();
        return f32::from_bits(if away { bits + 1 } else { bits - 1 });
    }
    nearest
}

/// Rounds what [`sticky`] gave.
fn round(exact: f64, rounding: Rounding) -> Told {
    if exact.is_nan() {
        return (DEFAULT_NAN, INVALID);
    }
    let result = narrow(exact, rounding);
    let mut flags = 0;
    if f64::from(result) != exact {
        flags |= INEXACT;
        let least = f64::from(f32::MIN_POSITIVE);
        let scale = 2f64.powi(64);
        let unbounded = f64::from(narrow(exact * scale, rounding));
        if exact.abs() < least && unbounded.abs() < least * scale {
            flags |= UNDERFLOW;
        }
        if result.is_infinite() || exact.abs() >= 2f64.powi(128) {
            flags |= OVERFLOW;
        }
    }
    (result.to_bits(), flags)
}

/// The rounded sum of two numbers that are exact.
fn sum(a: f64, b: f64, rounding: Rounding) -> Told {
    let value = a + b;
    if value == 0.0 && rounding == Rounding::Down && a.is_sign_negative() != b.is_sign_negative() {
        return ((-0.0f32).to_bits(), 0);
    }
    let shown = value - a;
    let remainder = (a - (value - shown)) + (b - shown);
    let remainder = if value.is_finite() { remainder } else { 0.0 };
    round(sticky(value, remainder), rounding)
}

fn add(a: u32, b: u32, rounding: Rounding) -> Told {
    nan_of(&[a, b]).unwrap_or_else(|| sum(wide(a), wide(b), rounding))
}

fn subtract(a: u32, b: u32, rounding: Rounding) -> Told {
    nan_of(&[a, b]).unwrap_or_else(|| sum(wide(a), -wide(b), rounding))
}

fn multiply(a: u32, b: u32, rounding: Rounding) -> Told {
    nan_of(&[a, b]).unwrap_or_else(|| round(wide(a) * wide(b), rounding))
}

/// `c` plus, or less, the product, rounded once.
fn multiply_add(c: u32, a: u32, b: u32, negate: bool, rounding: Rounding) -> Told {
    let product = wide(a) * wide(b);
    if let Some((bits, flags)) = nan_of(&[a, b, c]) {
        let nothing = product.is_nan() && !is_nan(a) && !is_nan(b);
        return (bits, if nothing { flags | INVALID } else { flags });
    }
    if product.is_nan() {
        return (DEFAULT_NAN, INVALID);
    }
    let product = if negate { -product } else { product };
    sum(wide(c), product, rounding)
}

fn divide(a: u32, b: u32, rounding: Rounding) -> Told {
    if let Some(told) = nan_of(&[a, b]) {
        return told;
    }
    let (n, d) = (wide(a), wide(b));
    let quotient = n / d;
    if d == 0.0 && n != 0.0 && n.is_finite() {
        return ((quotient as f32).to_bits(), DIVISION);
    }
    let remainder = if quotient.is_finite() && d.is_finite() {
        (-quotient).mul_add(d, n) * d.signum()
    } else {
        0.0
    };
    round(sticky(quotient, remainder), rounding)
}

fn root(a: u32, rounding: Rounding) -> Told {
    nan_of(&[a]).unwrap_or_else(|| {
        let value = wide(a);
        let root = value.sqrt();
        let remainder = if root.is_finite() {
            (-root).mul_add(root, value)
        } else {
            0.0
        };
        round(sticky(root, remainder), rounding)
    })
}

/// To an integer, of a value that was multiplied by 2^`scale`.
fn integer(bits: u32, scale: u8, least: f64, most: f64, whole: fn(f64) -> f64) -> (f64, u32) {
    let value = wide(bits) * 2f64.powi(scale.into());
    let result = whole(value);
    if value.is_nan() {
        (most, INVALID)
    } else if result < least || result > most {
        (result.clamp(least, most), INVALID)
    } else {
        (result, if result == value { 0 } else { INEXACT })
    }
}

fn signed(bits: u32, scale: u8, whole: fn(f64) -> f64) -> Told {
    let (value, flags) = integer(bits, scale, i32::MIN.into(), i32::MAX.into(), whole);
    (value as i32 as u32, flags)
}

fn unsigned(bits: u32, scale: u8) -> Told {
    if bits >> 31 != 0 && !is_nan(bits) {
        // A negative number is out of range; what is left is its signed conversion.
        let (value, _) = signed(bits, scale, f64::trunc);
        return (value, INVALID);
    }
    let (value, flags) = integer(bits, scale, 0.0, u32::MAX.into(), f64::trunc);
    (value as u32, flags)
}

impl Core {
    /// Refuses while the coprocessor is not enabled.
    pub(super) fn coprocessor0(&self) -> Result<(), Interruption> {
        if self.cpenable & 1 == 0 {
            return Err(Cause::Coprocessor0Disabled.into());
        }
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        match self.fcr & 3 {
            0 => Rounding::Nearest,
            1 => Rounding::Zero,
            2 => Rounding::Up,
            _ => Rounding::Down,
        }
    }

    fn float(&self, number: u8) -> u32 {
        self.fr[usize::from(number & 15)]
    }

    fn set_float(&mut self, number: u8, (bits, flags): Told) {
        self.fr[usize::from(number & 15)] = bits;
        self.fsr |= flags;
    }

    fn set_result(&mut self, number: u8, (value, flags): Told) {
        self.set(number, value);
        self.fsr |= flags;
    }

    /// Executes an instruction of the unit.
    #[inline(never)]
    pub(super) fn execute_float<B: Bus>(
        &mut self,
        bus: &mut B,
        insn: Insn,
    ) -> Result<(), Interruption> {
        self.coprocessor0()?;
        let rounding = self.rounding();
        let (r, s, t, imm) = (insn.r, insn.s, insn.t, insn.imm);
        let (a, b) = (self.float(s), self.float(t));
        match insn.op {
            Op::AddS => self.set_float(r, add(a, b, rounding)),
            Op::SubS => self.set_float(r, subtract(a, b, rounding)),
            Op::MulS => self.set_float(r, multiply(a, b, rounding)),
            Op::MaddS | Op::MsubS => {
                let negate = insn.op == Op::MsubS;
                let told = multiply_add(self.float(r), a, b, negate, rounding);
                self.set_float(r, told);
            }
            Op::MaddnS => {
                let (bits, _) = multiply_add(self.float(r), a, b, false, Rounding::Nearest);
                self.set_float(r, (bits, 0));
            }
            Op::RoundS => self.set_result(r, signed(a, t, f64::round_ties_even)),
            Op::TruncS => self.set_result(r, signed(a, t, f64::trunc)),
            Op::FloorS => self.set_result(r, signed(a, t, f64::floor)),
            Op::CeilS => self.set_result(r, signed(a, t, f64::ceil)),
            Op::UtruncS => self.set_result(r, unsigned(a, t)),
            Op::FloatS => {
                let value = f64::from(self.get(s) as i32) * 2f64.powi(-i32::from(t));
                self.set_float(r, round(value, rounding));
            }
            Op::UfloatS => {
                let value = f64::from(self.get(s)) * 2f64.powi(-i32::from(t));
                self.set_float(r, round(value, rounding));
            }
            Op::MovS | Op::AddexpmS => self.set_float(r, (a, 0)),
            Op::AbsS => self.set_float(r, (a & !(1 << 31), 0)),
            Op::NegS => self.set_float(r, (a ^ 1 << 31, 0)),
            Op::Rfr => self.set(r, a),
            Op::Wfr => self.set_float(r, (self.get(s), 0)),
            Op::ConstS => {
                let value = CONSTANTS.get(usize::from(s)).copied().unwrap_or(0.0);
                self.set_float(r, (value.to_bits(), 0));
            }
            Op::MkdadjS => self.set_float(r, divide(a, self.float(r), rounding)),
            Op::MksadjS => self.set_float(r, root(a, rounding)),
            Op::Recip0S => self.set_float(r, divide(1f32.to_bits(), a, rounding)),
            Op::Rsqrt0S => {
                let (root, flags) = root(a, rounding);
                let (bits, more) = divide(1f32.to_bits(), root, rounding);
                self.set_float(r, (bits, flags | more));
            }
            Op::UnS | Op::OeqS | Op::UeqS | Op::OltS | Op::UltS | Op::OleS | Op::UleS => {
                self.compare(insn.op, r, a, b)
            }
            Op::MoveqzS if self.get(t) == 0 => self.set_float(r, (a, 0)),
            Op::MovnezS if self.get(t) != 0 => self.set_float(r, (a, 0)),
            Op::MovltzS if (self.get(t) as i32) < 0 => self.set_float(r, (a, 0)),
            Op::MovgezS if self.get(t) as i32 >= 0 => self.set_float(r, (a, 0)),
            Op::MovfS if self.br >> t & 1 == 0 => self.set_float(r, (a, 0)),
            Op::MovtS if self.br >> t & 1 != 0 => self.set_float(r, (a, 0)),
            Op::Lsi | Op::Lsip => {
                let address = self.get(s);
                let at = if insn.op == Op::Lsi {
                    address.wrapping_add(imm)
                } else {
                    address
                };
                let bits = self.load32(bus, at)?;
                self.set_float(t, (bits, 0));
                if insn.op == Op::Lsip {
                    self.set(s, address.wrapping_add(imm));
                }
            }
            Op::Ssi | Op::Ssip => {
                let address = self.get(s);
                let at = if insn.op == Op::Ssi {
                    address.wrapping_add(imm)
                } else {
                    address
                };
                self.store32(bus, at, b)?;
                if insn.op == Op::Ssip {
                    self.set(s, address.wrapping_add(imm));
                }
            }
            Op::Lsx | Op::Lsxp => {
                let (address, index) = (self.get(s), self.get(t));
                let at = if insn.op == Op::Lsx {
                    address.wrapping_add(index)
                } else {
                    address
                };
                let bits = self.load32(bus, at)?;
                self.set_float(r, (bits, 0));
                if insn.op == Op::Lsxp {
                    self.set(s, address.wrapping_add(index));
                }
            }
            Op::Ssx | Op::Ssxp => {
                let (address, index) = (self.get(s), self.get(t));
                let at = if insn.op == Op::Ssx {
                    address.wrapping_add(index)
                } else {
                    address
                };
                self.store32(bus, at, self.float(r))?;
                if insn.op == Op::Ssxp {
                    self.set(s, address.wrapping_add(index));
                }
            }
            // Conditions that do not hold, and steps of sequences: see above.
            _ => {}
        }
        Ok(())
    }

    fn compare(&mut self, op: Op, number: u8, a: u32, b: u32) {
        let (x, y) = (f32::from_bits(a), f32::from_bits(b));
        let unordered = x.is_nan() || y.is_nan();
        let holds = match op {
            Op::UnS => unordered,
            Op::OeqS => x == y,
            Op::UeqS => unordered || x == y,
            Op::OltS => x < y,
            Op::UltS => unordered || x < y,
            Op::OleS => x <= y,
            _ => unordered || x <= y,
        };
        self.fsr |= match op {
            // Ordered comparisons by size take no NaN at all.
            Op::OltS | Op::OleS if unordered => INVALID,
            _ => signals(a) | signals(b),
        };
        self.br = self.br & !(1 << number) | u32::from(holds) << number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: u32 = 1;
    const LARGEST: u32 = 0x7f7f_ffff;

    #[test]
    fn each_mode_rounds_to_its_side_and_says_so() {
        // 1 and a part of its last bit.
        let third = 1.0 + 2f64.powi(-25);
        let (one, above) = (1f32.to_bits(), 1f32.to_bits() + 1);
        for (mode, up, down) in [
            (Rounding::Nearest, one, one),
            (Rounding::Zero, one, one),
            (Rounding::Up, above, one),
            (Rounding::Down, one, above),
        ] {
            assert_eq!(round(third, mode), (up, INEXACT));
            assert_eq!(round(-third, mode), (down | 1 << 31, INEXACT));
        }
    }

    #[test]
    fn a_fused_product_is_rounded_once() {
        // (1 + e)^2 - 1 - 2e is e^2, which a rounded product has lost.
        let e = 2f32.powi(-20);
        let square = (1.0 + e).to_bits();
        let minus = (-(1.0 + 2.0 * e)).to_bits();
        let told = multiply_add(minus, square, square, false, Rounding::Nearest);
        assert_eq!(told, ((e * e).to_bits(), 0));
    }

    #[test]
    fn overflow_underflow_and_division_by_zero_raise_their_flags() {
        let two = 2f32.to_bits();
        let half = 0.5f32.to_bits();
        let nearest = Rounding::Nearest;
        let infinity = f32::INFINITY.to_bits();
        assert_eq!(
            multiply(LARGEST, two, nearest),
            (infinity, OVERFLOW | INEXACT)
        );
        assert_eq!(
            multiply(LARGEST, two, Rounding::Zero),
            (LARGEST, OVERFLOW | INEXACT)
        );
        assert_eq!(multiply(TINY, half, nearest), (0, UNDERFLOW | INEXACT));
        assert_eq!(divide(two, 0, nearest), (infinity, DIVISION));
        assert_eq!(divide(0, 0, nearest), (DEFAULT_NAN, INVALID));
        assert_eq!(root((-1f32).to_bits(), nearest), (DEFAULT_NAN, INVALID));
    }

    #[test]
    fn conversions_saturate() {
        let large = 3e9f32.to_bits();
        assert_eq!(signed(large, 0, f64::trunc), (i32::MAX as u32, INVALID));
        assert_eq!(unsigned(large, 0), (3_000_000_000, 0));
        assert_eq!(
            signed(DEFAULT_NAN, 0, f64::trunc),
            (i32::MAX as u32, INVALID)
        );
        assert_eq!(
            signed(2.5f32.to_bits(), 0, f64::round_ties_even),
            (2, INEXACT)
        );
        assert_eq!(signed(2.5f32.to_bits(), 1, f64::trunc), (5, 0));
    }

    proptest::proptest! {
        #[test]
        fn nearest_is_what_the_host_computes(a: u32, b: u32, c: u32) {
            let [x, y, z] = [a, b, c].map(f32::from_bits);
            let same = |told: Told, host: f32| {
                let ours = f32::from_bits(told.0);
                ours.to_bits() == host.to_bits() || ours.is_nan() && host.is_nan()
            };
            let nearest = Rounding::Nearest;
            proptest::prop_assert!(same(add(a, b, nearest), x + y));
            proptest::prop_assert!(same(subtract(a, b, nearest), x - y));
            proptest::prop_assert!(same(multiply(a, b, nearest), x * y));
            proptest::prop_assert!(same(divide(a, b, nearest), x / y));
            proptest::prop_assert!(same(root(a, nearest), x.sqrt()));
            let fused = multiply_add(c, a, b, false, nearest);
            proptest::prop_assert!(same(fused, x.mul_add(y, z)));
        }
    }
}
