use std::ops::Range;

use guru_chip::EraseRule;

use crate::{BLOCK, SECTOR};

const SECTORS_PER_BLOCK: u32 = BLOCK / SECTOR;

/// Erase operations that a ROM makes for one BEGIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erases {
    /// Single sectors.
    pub sectors: u32,
    /// 64 KiB blocks.
    pub blocks: u32,
}

/// Sectors from `start` up to the next block boundary; a whole block from an aligned start.
fn head(start: u32) -> u32 {
    SECTORS_PER_BLOCK - start / SECTOR % SECTORS_PER_BLOCK
}

/// The operations with which a ROM erases `length` bytes from `start`, both sector-aligned: single
/// sectors up to the next block boundary, blocks while more than 16 sectors remain, then single
/// sectors (`SPIEraseArea` in the ROM of the ESP32-C3).
pub fn erases(start: u32, length: u32) -> Erases {
    let count = length / SECTOR;
    let head = head(start).min(count);
    let rest = count - head;
    let blocks = rest.saturating_sub(1) / SECTORS_PER_BLOCK;
    Erases {
        sectors: head + rest - blocks * SECTORS_PER_BLOCK,
        blocks,
    }
}

/// Divides the erase of a sector-aligned range into pieces of at most `max` bytes, a multiple of a
/// block, so that progress shows. A division one sector behind a block's boundary costs 15 single
/// sectors on its far side and one on its near side; a division at the boundary, 32.
pub fn erase_pieces(range: Range<u32>, max: u32) -> Vec<Range<u32>> {
    let mut pieces = Vec::new();
    let mut start = range.start;
    while range.end - start > max {
        let boundary = (start + max - SECTOR) / BLOCK * BLOCK;
        let end = boundary + SECTOR;
        pieces.push(start..end);
        start = end;
    }
    if start < range.end {
        pieces.push(start..range.end);
    }
    pieces
}

/// As [`erase_pieces`], for a stub, which erases the largest unit that alignment allows: it divides
/// at multiples of `max`.
pub fn aligned_pieces(range: Range<u32>, max: u32) -> Vec<Range<u32>> {
    let mut pieces = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let boundary = (start / max).saturating_add(1).saturating_mul(max);
        let end = range.end.min(boundary);
        pieces.push(start..end);
        start = end;
    }
    pieces
}

/// What to ask BEGIN for, in bytes, so that exactly `length` bytes from `start` are erased, both
/// sector-aligned; and how many bytes at the end it cannot erase without erasing more, which
/// must be erased in another way.
pub fn erase_request(rule: EraseRule, start: u32, length: u32) -> (u32, u32) {
    match rule {
        EraseRule::HeadBlocksTail => (length, 0),
        // Asked for n sectors, the ROM erases n plus the smaller of n and the head.
        EraseRule::HeadTwice => {
            let count = length / SECTOR;
            let head = head(start);
            if count >= 2 * head {
                ((count - head) * SECTOR, 0)
            } else {
                (count / 2 * SECTOR, count % 2 * SECTOR)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_aligned_start_costs_sixteen_single_sectors() {
        assert_eq!(
            erases(0, 0x10_0000),
            Erases {
                sectors: 32,
                blocks: 14
            }
        );
        assert_eq!(
            erases(0, 0x1_0000),
            Erases {
                sectors: 16,
                blocks: 0
            }
        );
        assert_eq!(
            erases(0xF000, 0x11000),
            Erases {
                sectors: 17,
                blocks: 0
            }
        );
        assert_eq!(
            erases(0xF000, 0x12000),
            Erases {
                sectors: 2,
                blocks: 1
            }
        );
    }

    /// What the ESP8266's ROM erases when asked for `asked` bytes.
    fn head_twice_erased(start: u32, asked: u32) -> u32 {
        asked + asked.min(head(start) * SECTOR)
    }

    #[test]
    fn an_erase_is_divided_where_it_costs_least() {
        let sum = |pieces: &[Range<u32>]| -> u32 {
            pieces
                .iter()
                .map(|piece| erases(piece.start, piece.len() as u32).sectors)
                .sum()
        };
        let pieces = erase_pieces(0..4 << 20, 1 << 20);
        let aligned: Vec<_> = (0..4_u32).map(|n| n << 20..(n + 1) << 20).collect();
        assert_eq!((sum(&pieces), sum(&aligned)), (80, 128));
    }

    proptest! {
        #[test]
        fn aligned_pieces_cover_the_range_and_divide_at_multiples(
            start in 0..0xF_FFFF_u32, count in 0..3000_u32, max in 1..64_u32,
        ) {
            let (range, max) = (start * SECTOR..(start + count).min(0xF_FFFF) * SECTOR, max * BLOCK);
            let mut at = range.start;
            for piece in aligned_pieces(range.clone(), max) {
                prop_assert_eq!(piece.start, at);
                prop_assert!(piece.end > at && piece.end - at <= max);
                prop_assert!(piece.end == range.end || piece.end % max == 0);
                at = piece.end;
            }
            prop_assert_eq!(at, range.end);
        }

        #[test]
        fn pieces_cover_the_range_in_order(start in 0_u32..2000, count in 0_u32..3000) {
            let range = start * SECTOR..(start + count) * SECTOR;
            let mut at = range.start;
            for piece in erase_pieces(range.clone(), 1 << 20) {
                prop_assert_eq!(piece.start, at);
                prop_assert!(piece.end > at && piece.end - at <= 1 << 20);
                at = piece.end;
            }
            prop_assert_eq!(at, range.end);
        }

        #[test]
        fn every_sector_is_erased_once(start in 0_u32..64, count in 0_u32..600) {
            let erases = erases(start * SECTOR, count * SECTOR);
            prop_assert_eq!(erases.sectors + erases.blocks * SECTORS_PER_BLOCK, count);
        }

        #[test]
        fn an_esp8266_never_erases_more_than_it_should(start in 0_u32..64, count in 0_u32..600) {
            let (start, length) = (start * SECTOR, count * SECTOR);
            let (asked, rest) = erase_request(EraseRule::HeadTwice, start, length);
            prop_assert_eq!(head_twice_erased(start, asked) + rest, length);
            prop_assert!(rest <= SECTOR);
        }
    }
}
