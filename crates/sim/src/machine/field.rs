//! Fields of registers.

use guru_chip::Bits;

/// The value of a field, given the whole register.
pub(super) fn get(word: u32, bits: Bits) -> u32 {
    word.checked_shr(bits.lsb.into()).unwrap_or(0) & ones(bits)
}

/// The register with another value in a field.
pub(super) fn set(word: u32, bits: Bits, value: u32) -> u32 {
    let place = |value: u32| value.checked_shl(bits.lsb.into()).unwrap_or(0);
    word & !place(ones(bits)) | place(value & ones(bits))
}

/// The bits of a field, in their places.
pub(super) fn mask(bits: Bits) -> u32 {
    set(0, bits, u32::MAX)
}

fn ones(bits: Bits) -> u32 {
    u32::MAX >> 32_u32.saturating_sub(bits.width.into()).min(31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_and_set_in_its_place() {
        let bits = |lsb, width| Bits {
            addr: 0,
            lsb,
            width,
        };
        assert_eq!(get(0xABCD_1234, bits(8, 8)), 0x12);
        assert_eq!(get(0xABCD_1234, bits(0, 32)), 0xABCD_1234);
        assert_eq!(set(0xABCD_1234, bits(28, 4), 0xFF), 0xFBCD_1234);
        assert_eq!(mask(bits(31, 1)), 0x8000_0000);
    }
}
