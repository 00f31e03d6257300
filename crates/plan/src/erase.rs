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

    proptest! {
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
