use super::Part;

/// Where the basic parameter table stands.
const TABLE: usize = 0x80;
/// Length of the basic parameter table, in 32-bit words (JESD216 B).
const WORDS: usize = 16;

/// Serial Flash Discoverable Parameters of a part (JESD216 B): the header, and the basic
/// parameters that a driver needs to find sizes, addresses and erase commands.
pub(super) fn table(part: &Part) -> [u8; 256] {
    let mut bytes = [0xFF; 256];
    bytes[..8].copy_from_slice(b"SFDP\x06\x01\x00\xFF");
    bytes[8..16].copy_from_slice(&[0x00, 0x06, 0x01, WORDS as u8, TABLE as u8, 0, 0, 0xFF]);
    // Address bytes: 00 three only, 01 three or four.
    let address_bytes: u32 = if part.four_byte { 1 } else { 0 };
    let mut words = [0_u32; WORDS];
    // 4 KiB erase by 0x20; 1-1-2, 1-2-2, 1-1-4 and 1-4-4 fast reads.
    words[0] = 0xFF00_20E5 | 0x0071_0000 | address_bytes << 17;
    words[1] = part.size.saturating_mul(8).wrapping_sub(1);
    if part.size >= 1 << 29 {
        words[1] = 0x8000_0000 | (part.size.ilog2() + 3);
    }
    // Fast reads: 1-4-4 EB, 1-1-4 6B, 1-1-2 3B, 1-2-2 BB.
    words[2] = 0x6B08_EB44;
    words[3] = 0xBB80_3B08;
    words[4] = 0xFFFF_FFEE;
    words[5] = 0xFF00_FFFF;
    words[6] = 0xFF00_FFFF;
    // Erase types: 4 KiB 20, 32 KiB 52, 64 KiB D8.
    words[7] = 0x520F_200C;
    words[8] = 0xFF00_D810;
    // Page of 256 bytes in bits 4 to 7.
    words[10] = 8 << 4;
    // Soft reset by 66, 99.
    words[15] = 1 << 12;
    for (at, word) in words.iter().enumerate() {
        bytes[TABLE + at * 4..TABLE + at * 4 + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_the_size_in_bits() {
        let table = table(Part::of_size(4 << 20).unwrap());
        assert_eq!(&table[..4], b"SFDP");
        let word = u32::from_le_bytes(table[TABLE + 4..TABLE + 8].try_into().unwrap());
        assert_eq!(word, (4 << 20) * 8 - 1);
    }
}
