use std::time::Duration;

use guru_chip::StatusBit;

use super::{Part, StatusWrite};

/// Where the basic parameter table stands.
const BASIC: usize = 0x80;
/// Length of the basic parameter table, in 32-bit words (JESD216 B).
const WORDS: usize = 16;
/// Where the second table stands: of the 4-byte commands, or of the maker.
const SECOND: usize = 0xC0;

/// Serial Flash Discoverable Parameters of a part (JESD216 B): the headers, the basic parameters, the
/// 4-byte commands of a part that has them, and a table of the maker's own, as all but Winbond have.
pub(super) fn table(part: &Part) -> [u8; 256] {
    let mut bytes = [0xFF; 256];
    let second = second_table(part);
    bytes[..8].copy_from_slice(b"SFDP\x06\x01\x00\xFF");
    bytes[8..16].copy_from_slice(&[0x00, 0x06, 0x01, WORDS as u8, BASIC as u8, 0, 0, 0xFF]);
    put(&mut bytes, BASIC, &basic(part));
    if let Some(([low, high], minor, words)) = second {
        // One table more than the one that must be there.
        bytes[6] = 1;
        let header = [
            low,
            minor,
            0x01,
            words.len() as u8,
            SECOND as u8,
            0,
            0,
            high,
        ];
        bytes[16..24].copy_from_slice(&header);
        put(&mut bytes, SECOND, &words);
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, words: &[u32]) {
    for (place, word) in bytes[at..].chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

/// Id, minor revision and words of the second table.
fn second_table(part: &Part) -> Option<([u8; 2], u8, Vec<u32>)> {
    match part.jedec[0] {
        _ if part.four_byte => {
            // 13, 0C, 12; erase types 1 and 3 by 21 and DC.
            let commands = 1 << 0 | 1 << 1 | 1 << 6 | 1 << 9 | 1 << 11;
            Some(([0x84, 0xFF], 0x06, vec![commands, 0xFFDC_FF21]))
        }
        0xEF => None,
        // The maker's id, in bank 1 of JEP106.
        maker => Some(([maker, 0x01], 0x00, vec![0x2700_3600, u32::MAX])),
    }
}

fn basic(part: &Part) -> [u32; WORDS] {
    let times = part.times;
    let layout = part.status_layout();
    // Address bytes: 00 three only, 01 three or four.
    let address_bytes: u32 = if part.four_byte { 1 } else { 0 };
    let density = if part.size >= 1 << 29 {
        0x8000_0000 | (part.size.ilog2() + 3)
    } else {
        part.size.saturating_mul(8).wrapping_sub(1)
    };
    let quad = match (
        layout.bits.iter().find(|bit| is_quad(bit)),
        part.status_write,
    ) {
        (None, _) => 0,
        (Some(bit), _) if bit.number < 8 => 0b010,
        (_, StatusWrite::Pair) => 0b001,
        (_, StatusWrite::Any) => 0b101,
        (_, StatusWrite::Single) => 0b110,
    };
    [
        // 4 KiB erase by 0x20, buffer of 64 bytes or more, 50 for volatile status; 1-1-2, 1-2-2,
        // 1-1-4 and 1-4-4 fast reads.
        0xFF80_20E5 | 0x0071_0000 | address_bytes << 17,
        density,
        // Fast reads: 1-4-4 EB, 1-1-4 6B, 1-1-2 3B, 1-2-2 BB.
        0x6B08_EB44,
        0xBB80_3B08,
        0xFFFF_FFEE,
        0xFF00_FFFF,
        0xFF00_FFFF,
        // Erase types: 4 KiB 20, 32 KiB 52, 64 KiB D8.
        0x520F_200C,
        0xFF00_D810,
        // At most 8 times as long as typically.
        3 | erase_time(times.sector()) << 4
            | erase_time(times.half_block()) << 11
            | erase_time(times.block()) << 18,
        // Pages of 256 bytes; at most 4 times as long as typically.
        1 | 8 << 4
            | coded(times.program(256), &[8, 64], 5) << 8
            | coded(times.program(1), &[1, 8], 4) << 14
            | coded(
                Duration::from_nanos(u64::from(times.next_byte_ns)),
                &[1, 8],
                4,
            ) << 19
            | coded(times.chip(part.size), &CHIP_UNITS, 5) << 24
            | 1 << 31,
        // No suspend.
        1 << 31 | 0x7FFF_FFFF,
        0x757A_757A,
        // Busy by bit 0 of 05; power-down by B9, left by AB within 4 us.
        0b1_0111 << 2 | 3 << 8 | 1 << 13 | 0xAB << 15 | 0xB9 << 23,
        quad << 20,
        // 06 for the kept status and 50 for the volatile one; reset by 66, 99; 4-byte mode by B7 and
        // E9.
        1 << 3
            | 1 << 12
            | if part.four_byte {
                1 << 14 | 1 << 24 | 1 << 29
            } else {
                0
            },
    ]
}

fn is_quad(bit: &StatusBit) -> bool {
    bit.name == "QE"
}

/// Units of the time of a chip erase, in microseconds.
const CHIP_UNITS: [u64; 4] = [16_000, 256_000, 4_000_000, 64_000_000];

fn erase_time(time: Duration) -> u32 {
    coded(time, &[1_000, 16_000, 128_000, 1_000_000], 5)
}

/// A time as a count of the smallest unit that reaches it: the count less one in `bits` bits, the
/// number of the unit above. Units are in microseconds.
fn coded(time: Duration, units: &[u64], bits: u32) -> u32 {
    let micros = time.as_micros() as u64;
    let most = 1_u64 << bits;
    let unit = units
        .iter()
        .position(|unit| micros.div_ceil(*unit) <= most)
        .unwrap_or(units.len() - 1);
    let count = micros.div_ceil(units[unit]).clamp(1, most) - 1;
    count as u32 | (unit as u32) << bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(table: &[u8; 256], at: usize) -> u32 {
        u32::from_le_bytes(table[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn the_table_tells_the_size_in_bits() {
        let table = table(Part::of_size(4 << 20).unwrap());
        assert_eq!(&table[..4], b"SFDP");
        assert_eq!(word(&table, BASIC + 4), (4 << 20) * 8 - 1);
    }

    #[test]
    fn times_are_those_of_the_data_sheet_rounded_up() {
        assert_eq!(erase_time(Duration::from_millis(45)), 2 | 1 << 5);
        assert_eq!(erase_time(Duration::from_millis(150)), 9 | 1 << 5);
        assert_eq!(coded(Duration::from_micros(400), &[8, 64], 5), 6 | 1 << 5);
    }

    #[test]
    fn makers_have_tables_of_their_own_and_large_parts_one_of_4_byte_commands() {
        let table_of = |name| table(Part::named(name).unwrap());
        assert_eq!(table_of("W25Q32JV")[6], 0);
        let xmc = table_of("XM25QH32C");
        assert_eq!((xmc[6], xmc[16], xmc[23]), (1, 0x20, 0x01));
        let large = table_of("W25Q256JV");
        assert_eq!((large[6], large[16], large[23]), (1, 0x84, 0xFF));
        assert_eq!(
            word(&large, SECOND + 4).to_le_bytes(),
            [0x21, 0xFF, 0xDC, 0xFF]
        );
    }
}
