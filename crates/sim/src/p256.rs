//! Verification of ECDSA signatures on the curve P-256 (FIPS 186-4, SEC 1), as the chip's hardware does
//! it. Nothing here is secret, so nothing has to take the same time always; multiplication is bit by bit.

/// 256 bits, the least significant word first.
type Number = [u64; 4];

const ZERO: Number = [0; 4];
const ONE: Number = [1, 0, 0, 0];

const FIELD: Modulus = Modulus([
    0xffff_ffff_ffff_ffff,
    0x0000_0000_ffff_ffff,
    0x0000_0000_0000_0000,
    0xffff_ffff_0000_0001,
]);
/// Order of the curve's points.
const ORDER: Modulus = Modulus([
    0xf3b9_cac2_fc63_2551,
    0xbce6_faad_a717_9e84,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000,
]);
/// The b of y² = x³ - 3x + b.
const B: Number = [
    0x3bce_3c3e_27d2_604b,
    0x651d_06b0_cc53_b0f6,
    0xb3eb_bd55_7698_86bc,
    0x5ac6_35d8_aa3a_93e7,
];
const GENERATOR: Point = Point {
    x: [
        0xf4a1_3945_d898_c296,
        0x7703_7d81_2deb_33a0,
        0xf8bc_e6e5_63a4_40f2,
        0x6b17_d1f2_e12c_4247,
    ],
    y: [
        0xcbb6_4068_37bf_51f5,
        0x2bce_3357_6b31_5ece,
        0x8ee7_eb4a_7c0f_9e16,
        0x4fe3_42e2_fe1a_7f9b,
    ],
    z: ONE,
};

/// Whether `signature` (r, then s) is that of `key` (x, then y) for a message with this SHA-256. All are
/// big-endian.
pub fn verifies(key: &[u8; 64], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let [x, y] = halves(key);
    let [r, s] = halves(signature);
    let key = Point { x, y, z: ONE };
    let in_range = |number| number != ZERO && ORDER.holds(number);
    if !in_range(r) || !in_range(s) || !key.is_on_curve() {
        return false;
    }
    let digest = ORDER.reduced(number(digest));
    let inverse = ORDER.inverse(s);
    let sum = sum_of_products(
        ORDER.product(digest, inverse),
        &GENERATOR,
        ORDER.product(r, inverse),
        &key,
    );
    sum.affine_x().is_some_and(|x| ORDER.reduced(x) == r)
}

fn halves(bytes: &[u8; 64]) -> [Number; 2] {
    let (first, second) = bytes.split_at(32);
    [number(first), number(second)]
}

fn number(bytes: &[u8]) -> Number {
    let mut words = ZERO;
    for (word, bytes) in words.iter_mut().zip(bytes.rchunks(8)) {
        *word = bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    words
}

fn bit(number: Number, index: usize) -> bool {
    number[index / 64] >> (index % 64) & 1 != 0
}

/// The sum modulo 2^256, and what is carried out of it.
fn add(a: Number, b: Number) -> (Number, bool) {
    let (mut sum, mut carry) = (ZERO, false);
    for (sum, (a, b)) in sum.iter_mut().zip(a.into_iter().zip(b)) {
        let (first, over) = a.overflowing_add(b);
        let (second, over_again) = first.overflowing_add(u64::from(carry));
        (*sum, carry) = (second, over || over_again);
    }
    (sum, carry)
}

/// The difference modulo 2^256, and whether it was below 0.
fn subtract(a: Number, b: Number) -> (Number, bool) {
    let (mut difference, mut borrow) = (ZERO, false);
    for (difference, (a, b)) in difference.iter_mut().zip(a.into_iter().zip(b)) {
        let (first, under) = a.overflowing_sub(b);
        let (second, under_again) = first.overflowing_sub(u64::from(borrow));
        (*difference, borrow) = (second, under || under_again);
    }
    (difference, borrow)
}

/// A prime above 2^255. What its functions are given is below it, unless they say otherwise.
struct Modulus(Number);

impl Modulus {
    fn holds(&self, number: Number) -> bool {
        subtract(number, self.0).1
    }

    /// Any number, modulo this.
    fn reduced(&self, number: Number) -> Number {
        match subtract(number, self.0) {
            (_, true) => number,
            (rest, false) => rest,
        }
    }

    fn sum(&self, a: Number, b: Number) -> Number {
        match add(a, b) {
            (sum, true) => subtract(sum, self.0).0,
            (sum, false) => self.reduced(sum),
        }
    }

    fn difference(&self, a: Number, b: Number) -> Number {
        match subtract(a, b) {
            (difference, true) => add(difference, self.0).0,
            (difference, false) => difference,
        }
    }

    fn product(&self, a: Number, b: Number) -> Number {
        let mut product = ZERO;
        for index in (0..256).rev() {
            product = self.sum(product, product);
            if bit(a, index) {
                product = self.sum(product, b);
            }
        }
        product
    }

    fn square(&self, a: Number) -> Number {
        self.product(a, a)
    }

    /// By Fermat: the power by two less than the prime.
    fn inverse(&self, a: Number) -> Number {
        let (exponent, _) = subtract(self.0, [2, 0, 0, 0]);
        let mut power = ONE;
        for index in (0..256).rev() {
            power = self.square(power);
            if bit(exponent, index) {
                power = self.product(power, a);
            }
        }
        power
    }
}

/// A point as x / z², y / z³; z is 0 at infinity.
#[derive(Clone, Copy)]
struct Point {
    x: Number,
    y: Number,
    z: Number,
}

const INFINITY: Point = Point {
    x: ONE,
    y: ONE,
    z: ZERO,
};

impl Point {
    /// For a z of 1.
    fn is_on_curve(&self) -> bool {
        if !FIELD.holds(self.x) || !FIELD.holds(self.y) {
            return false;
        }
        let cube = FIELD.product(FIELD.square(self.x), self.x);
        let triple = FIELD.sum(self.x, FIELD.sum(self.x, self.x));
        let right = FIELD.sum(FIELD.difference(cube, triple), B);
        FIELD.square(self.y) == right
    }

    fn affine_x(&self) -> Option<Number> {
        if self.z == ZERO {
            return None;
        }
        let inverse = FIELD.inverse(self.z);
        Some(FIELD.product(self.x, FIELD.square(inverse)))
    }

    fn doubled(&self) -> Self {
        let f = &FIELD;
        let double = |a| f.sum(a, a);
        let delta = f.square(self.z);
        let gamma = f.square(self.y);
        let beta = f.product(self.x, gamma);
        let slope = f.product(f.difference(self.x, delta), f.sum(self.x, delta));
        let alpha = f.sum(slope, double(slope));
        let beta4 = double(double(beta));
        let x = f.difference(f.square(alpha), double(beta4));
        let z = f.square(f.sum(self.y, self.z));
        let z = f.difference(f.difference(z, gamma), delta);
        let gamma8 = double(double(double(f.square(gamma))));
        let y = f.difference(f.product(alpha, f.difference(beta4, x)), gamma8);
        Self { x, y, z }
    }

    fn plus(&self, other: &Self) -> Self {
        if self.z == ZERO {
            return *other;
        }
        if other.z == ZERO {
            return *self;
        }
        let f = &FIELD;
        let (z1, z2) = (f.square(self.z), f.square(other.z));
        let (u1, u2) = (f.product(self.x, z2), f.product(other.x, z1));
        let s1 = f.product(self.y, f.product(z2, other.z));
        let s2 = f.product(other.y, f.product(z1, self.z));
        let (h, r) = (f.difference(u2, u1), f.difference(s2, s1));
        if h == ZERO {
            return if r == ZERO { self.doubled() } else { INFINITY };
        }
        let h2 = f.square(h);
        let h3 = f.product(h, h2);
        let v = f.product(u1, h2);
        let x = f.difference(f.difference(f.square(r), h3), f.sum(v, v));
        let y = f.difference(f.product(r, f.difference(v, x)), f.product(s1, h3));
        let z = f.product(h, f.product(self.z, other.z));
        Self { x, y, z }
    }
}

/// `a` times `p` and `b` times `q`, together.
fn sum_of_products(a: Number, p: &Point, b: Number, q: &Point) -> Point {
    let both = p.plus(q);
    let mut sum = INFINITY;
    for index in (0..256).rev() {
        sum = sum.doubled();
        match (bit(a, index), bit(b, index)) {
            (true, true) => sum = sum.plus(&both),
            (true, false) => sum = sum.plus(p),
            (false, true) => sum = sum.plus(q),
            (false, false) => {}
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        let mut bytes = [0; N];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
        }
        bytes
    }

    // RFC 6979, A.2.5, SHA-256, message "sample".
    const KEY: &str = "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6\
                       7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299";
    const SIGNATURE: &str = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
                             F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8";

    #[test]
    fn the_signature_of_rfc_6979_is_right_and_any_change_makes_it_wrong() {
        let key = bytes::<64>(KEY);
        let signature = bytes::<64>(SIGNATURE);
        let digest = Sha256::digest(b"sample").into();
        assert!(verifies(&key, &digest, &signature));
        assert!(!verifies(&key, &Sha256::digest(b"test").into(), &signature));
        for at in [0, 31, 32, 63] {
            let mut wrong = signature;
            wrong[at] ^= 1;
            assert!(!verifies(&key, &digest, &wrong), "signature, byte {at}");
            let mut wrong = key;
            wrong[at] ^= 1;
            assert!(!verifies(&wrong, &digest, &signature), "key, byte {at}");
        }
    }

    #[test]
    fn numbers_out_of_range_verify_nothing() {
        let key = bytes::<64>(KEY);
        let digest = Sha256::digest(b"sample").into();
        let signature = bytes::<64>(SIGNATURE);
        for half in [0..32, 32..64] {
            for value in [0, 0xFF] {
                let mut wrong = signature;
                wrong[half.clone()].fill(value);
                assert!(!verifies(&key, &digest, &wrong));
                let mut wrong = key;
                wrong[half.clone()].fill(value);
                assert!(!verifies(&wrong, &digest, &signature));
            }
        }
    }
}
