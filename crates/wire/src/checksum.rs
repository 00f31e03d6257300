/// XOR of all bytes, seeded with 0xEF: the only protection that the protocol gives to data blocks.
/// Commands carry it as a 32-bit word.
pub fn checksum(data: &[u8]) -> u32 {
    u32::from(data.iter().fold(0xEF, |sum, byte| sum ^ byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_block_has_the_seed_as_checksum() {
        assert_eq!(checksum(&[]), 0xEF);
    }

    #[test]
    fn a_byte_taken_twice_cancels_out() {
        assert_eq!(checksum(&[0x55, 0x55]), 0xEF);
    }
}
