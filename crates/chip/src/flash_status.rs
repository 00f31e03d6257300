//! The status registers of serial NOR flash: what each maker's bits mean, and what they protect.

use std::ops::Range;

use crate::JedecId;

/// What the status registers of a family of flash chips hold. Bit 0 to 7 are register 1 (read by
/// 05), 8 to 15 register 2 (35), 16 to 23 register 3 (15).
#[derive(Debug)]
pub struct StatusLayout {
    /// Maker, or the makers whose parts are alike.
    pub maker: &'static str,
    /// Registers that there are, 1 to 3.
    pub registers: u8,
    /// The bits that have a meaning, ascending.
    pub bits: &'static [StatusBit],
    /// How the protected range is coded.
    pub protection: Protection,
}

/// A bit of the status registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusBit {
    /// Number, from 0.
    pub number: u8,
    /// Name in data sheets.
    pub name: &'static str,
    /// What it does when it is 1.
    pub meaning: &'static str,
    /// What writing it does.
    pub kind: BitKind,
}

/// What writing a bit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitKind {
    /// Nothing: the flash sets it.
    ReadOnly,
    /// It can be changed as often as wanted.
    Setting,
    /// Once it is 1 it stays so for ever.
    OneTime,
    /// Once it is 1 no status register can be written until the flash loses its power, and on some
    /// parts, together with bit 7, never again.
    Lock,
}

/// How block protection is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Three bits from bit 2 on for a share of the flash, bit 5 from the bottom, bit 6 in sectors
    /// of 4 KiB, bit 14 turns it round.
    Shares,
    /// `bits` bits from bit 2 on for a number of 64 KiB blocks, each value twice as many as the one
    /// before.
    Blocks {
        /// 3 or 4.
        bits: u8,
        /// Bit that counts from the bottom, if there is one.
        bottom: Option<u8>,
        /// Bit that turns it round, if there is one.
        complement: Option<u8>,
    },
}

/// Smallest unit of protection, in bytes.
const SECTOR: u32 = 0x1000;
/// The usual unit of protection, in bytes.
const BLOCK: u32 = 0x1_0000;

impl StatusLayout {
    /// The bit of a number, if it has a meaning.
    #[must_use]
    pub fn bit(&self, number: u8) -> Option<&'static StatusBit> {
        self.bits.iter().find(|bit| bit.number == number)
    }

    /// Bits of a kind, as a mask.
    #[must_use]
    pub fn mask(&self, kind: BitKind) -> u32 {
        self.bits
            .iter()
            .filter(|bit| bit.kind == kind)
            .fold(0, |mask, bit| mask | 1 << bit.number)
    }

    /// Addresses that cannot be programmed and erased under a status, in a flash of `size` bytes.
    /// Bits of registers that were not read are to be 0. Where each block has a lock of its own
    /// (WPS), all are taken to be locked, as after power-up.
    ///
    /// Source: the tables "Status Register Memory Protection" of the data sheets.
    #[must_use]
    pub fn protected(&self, status: u32, size: u32) -> Option<Range<u32>> {
        let set = |bit: u8| status & 1 << bit != 0;
        if self.bits.contains(&WPS) && set(WPS.number) {
            return Some(0..size);
        }
        let (len, bottom, complement) = match self.protection {
            Protection::Shares => {
                let level = status >> 2 & 7;
                let len = match level {
                    0 => 0,
                    7 => size,
                    _ if set(6) => (SECTOR << (level - 1)).min(BLOCK / 2),
                    _ => share((size / 64).max(BLOCK), level, size),
                };
                (len, set(5), set(14))
            }
            Protection::Blocks {
                bits,
                bottom,
                complement,
            } => {
                let level = status >> 2 & ((1 << bits) - 1);
                (
                    share(BLOCK, level, size),
                    bottom.is_some_and(set),
                    complement.is_some_and(set),
                )
            }
        };
        let range = match (bottom, complement) {
            (false, false) => size - len..size,
            (true, false) => 0..len,
            (false, true) => 0..size - len,
            (true, true) => len..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// `unit` bytes for level 1, twice as many for each further one, at most `size`.
fn share(unit: u32, level: u32, size: u32) -> u32 {
    match level {
        0 => 0,
        level => (u64::from(unit) << (level - 1)).min(u64::from(size)) as u32,
    }
}

impl JedecId {
    /// What is known of the status registers of this flash.
    #[must_use]
    pub fn status_layout(self) -> Option<&'static StatusLayout> {
        let [maker, kind, capacity, _] = self.0.to_le_bytes();
        Some(match (maker, kind) {
            (0xEF, 0x30) => &WINBOND_X,
            (0xEF, 0x40) if capacity <= 0x14 => &WINBOND_SMALL,
            (0xEF, 0x40 | 0x60 | 0x70 | 0x80) if (0x19..=0x21).contains(&capacity) => {
                &WINBOND_LARGE
            }
            (0xEF, 0x40 | 0x60 | 0x70 | 0x80) => &WINBOND,
            (0xC8, 0x40 | 0x60) if capacity >= 0x19 => return None,
            (0xC8, 0x40 | 0x60) => &GIGADEVICE,
            (0x20, 0x40 | 0x41 | 0x70) => &XMC,
            // Parts after GigaDevice's.
            (0x0B | 0x5E | 0x68 | 0x85 | 0xA1 | 0xCD | 0xEB, 0x40 | 0x60) => &ALIKE,
            (0xC2, 0x20 | 0x25 | 0x28) => &MACRONIX,
            (0x9D, 0x40 | 0x60 | 0x70) => &ISSI,
            (0x1C, 0x30 | 0x70) => &EON,
            _ => return None,
        })
    }

    /// Name of the maker, where it is one that is often met (JEP106).
    #[must_use]
    pub const fn maker(self) -> Option<&'static str> {
        Some(match self.manufacturer() {
            0x0B => "XTX",
            0x1C => "EON",
            0x1F => "Adesto",
            0x20 => "XMC",
            0x5E => "Zbit",
            0x68 => "Boya",
            0x85 => "Puya",
            0x9D => "ISSI",
            0xA1 => "Fudan",
            0xC2 => "Macronix",
            0xC8 => "GigaDevice",
            0xCD => "TH",
            0xEF => "Winbond",
            _ => return None,
        })
    }
}

const fn bit(number: u8, name: &'static str, meaning: &'static str, kind: BitKind) -> StatusBit {
    StatusBit {
        number,
        name,
        meaning,
        kind,
    }
}

use BitKind::{Lock, OneTime, ReadOnly, Setting};

const AT_WORK: &str = "erasing, programming or writing its status";
const BUSY: StatusBit = bit(0, "BUSY", AT_WORK, ReadOnly);
const WIP: StatusBit = bit(0, "WIP", AT_WORK, ReadOnly);
const WEL: StatusBit = bit(1, "WEL", "the next command may write", ReadOnly);
const HOW_MUCH: &str = "how much is protected from writing";
const BP0: StatusBit = bit(2, "BP0", HOW_MUCH, Setting);
const BP1: StatusBit = bit(3, "BP1", HOW_MUCH, Setting);
const BP2: StatusBit = bit(4, "BP2", HOW_MUCH, Setting);
const BP3: StatusBit = bit(5, "BP3", HOW_MUCH, Setting);
const FROM_BOTTOM: &str = "protected from the bottom on, not from the top";
const IN_SECTORS: &str = "protection is counted in sectors of 4 KB";
const TB: StatusBit = bit(5, "TB", FROM_BOTTOM, Setting);
const SEC: StatusBit = bit(6, "SEC", IN_SECTORS, Setting);
const SRP0: StatusBit = bit(
    7,
    "SRP0",
    "the /WP pin can lock the status registers",
    Setting,
);
const PIN_LOCKS: &str = "the /WP pin can lock the status register";
const SRP: StatusBit = bit(7, "SRP", PIN_LOCKS, Setting);
const SRWD: StatusBit = bit(7, "SRWD", PIN_LOCKS, Setting);
const LOCKED: &str = "the status registers are locked until power-off, with bit 7 for ever";
const SRP1: StatusBit = bit(8, "SRP1", LOCKED, Lock);
const SRL: StatusBit = bit(8, "SRL", LOCKED, Lock);
const FOUR_LINES: &str = "four data lines can be used (modes qio and qout)";
const QE: StatusBit = bit(9, "QE", FOUR_LINES, Setting);
const LB1: StatusBit = bit(
    11,
    "LB1",
    "security register 1 is read-only for ever",
    OneTime,
);
const LB2: StatusBit = bit(
    12,
    "LB2",
    "security register 2 is read-only for ever",
    OneTime,
);
const LB3: StatusBit = bit(
    13,
    "LB3",
    "security register 3 is read-only for ever",
    OneTime,
);
const TURNED: &str = "protection is turned round: the rest is protected";
const CMP: StatusBit = bit(14, "CMP", TURNED, Setting);
const SUS: StatusBit = bit(
    15,
    "SUS",
    "an erase or program command is suspended",
    ReadOnly,
);
const WPS: StatusBit = bit(
    18,
    "WPS",
    "every block has a lock of its own, locked at power-up, in place of BP",
    Setting,
);
const DRIVERS: &str = "how strong the outputs are";
const DRV0: StatusBit = bit(21, "DRV0", DRIVERS, Setting);
const DRV1: StatusBit = bit(22, "DRV1", DRIVERS, Setting);
const HOLD_RST: StatusBit = bit(23, "HOLD/RST", "the /HOLD pin resets the flash", Setting);

/// BP0 to BP3, and nothing else.
const FROM_TOP: Protection = Protection::Blocks {
    bits: 4,
    bottom: None,
    complement: None,
};

/// W25X: one register (W25X20CL data sheet, "Status Register").
static WINBOND_X: StatusLayout = StatusLayout {
    maker: "Winbond",
    registers: 1,
    bits: &[BUSY, WEL, BP0, BP1, TB, SRP],
    protection: Protection::Blocks {
        bits: 2,
        bottom: Some(5),
        complement: None,
    },
};

/// W25Q up to 1 MB: two registers (W25Q80DV data sheet, section 7.1).
static WINBOND_SMALL: StatusLayout = StatusLayout {
    maker: "Winbond",
    registers: 2,
    bits: &[
        BUSY, WEL, BP0, BP1, BP2, TB, SEC, SRP0, SRP1, QE, LB1, LB2, LB3, CMP, SUS,
    ],
    protection: Protection::Shares,
};

/// W25Q up to 16 MB (W25Q32JV data sheet, revision G, section 7.1; HOLD/RST in the FV and DV parts).
static WINBOND: StatusLayout = StatusLayout {
    maker: "Winbond",
    registers: 3,
    bits: &[
        BUSY, WEL, BP0, BP1, BP2, TB, SEC, SRP0, SRL, QE, LB1, LB2, LB3, CMP, SUS, WPS, DRV0, DRV1,
        HOLD_RST,
    ],
    protection: Protection::Shares,
};

/// W25Q from 32 MB on (W25Q256JV data sheet, section 7.1).
static WINBOND_LARGE: StatusLayout = StatusLayout {
    maker: "Winbond",
    registers: 3,
    bits: &[
        BUSY,
        WEL,
        BP0,
        BP1,
        BP2,
        BP3,
        bit(6, "TB", FROM_BOTTOM, Setting),
        SRP0,
        SRL,
        QE,
        LB1,
        LB2,
        LB3,
        CMP,
        SUS,
        bit(16, "ADS", "addresses have four bytes now", ReadOnly),
        bit(
            17,
            "ADP",
            "addresses have four bytes from power-up on",
            Setting,
        ),
        WPS,
        DRV0,
        DRV1,
        HOLD_RST,
    ],
    protection: Protection::Blocks {
        bits: 4,
        bottom: Some(6),
        complement: Some(14),
    },
};

/// GD25Q (GD25Q32C data sheet, section 6).
static GIGADEVICE: StatusLayout = StatusLayout {
    maker: "GigaDevice",
    registers: 3,
    bits: &GIGADEVICE_BITS,
    protection: Protection::Shares,
};

const GIGADEVICE_BITS: [StatusBit; 19] = [
    WIP,
    WEL,
    BP0,
    BP1,
    BP2,
    bit(5, "BP3", FROM_BOTTOM, Setting),
    bit(6, "BP4", IN_SECTORS, Setting),
    SRP0,
    SRP1,
    QE,
    bit(10, "SUS2", "a program command is suspended", ReadOnly),
    LB1,
    LB2,
    LB3,
    CMP,
    bit(15, "SUS1", "an erase command is suspended", ReadOnly),
    DRV0,
    DRV1,
    HOLD_RST,
];

/// Parts whose registers are made after GigaDevice's.
static ALIKE: StatusLayout = StatusLayout {
    maker: "a maker whose parts are mostly like GigaDevice's",
    registers: 3,
    bits: &GIGADEVICE_BITS,
    protection: Protection::Shares,
};

/// XM25QH (XM25QH64C data sheet, "Status Register").
static XMC: StatusLayout = StatusLayout {
    maker: "XMC",
    registers: 3,
    bits: &[
        WIP, WEL, BP0, BP1, BP2, TB, SEC, SRP0, SRP1, QE, LB1, LB2, LB3, CMP, SUS, DRV0, DRV1,
        HOLD_RST,
    ],
    protection: Protection::Shares,
};

/// The register of parts that keep QE in it.
const ONE_REGISTER: [StatusBit; 8] = [
    WIP,
    WEL,
    BP0,
    BP1,
    BP2,
    BP3,
    bit(6, "QE", FOUR_LINES, Setting),
    SRWD,
];

/// MX25L: one register; what 15 reads is the configuration register, which is written as the second
/// byte behind 01 (MX25L3233F data sheet, section 9).
static MACRONIX: StatusLayout = StatusLayout {
    maker: "Macronix",
    registers: 1,
    bits: &ONE_REGISTER,
    protection: FROM_TOP,
};

/// IS25LP (IS25LP032D data sheet, section 6.1).
static ISSI: StatusLayout = StatusLayout {
    maker: "ISSI",
    registers: 1,
    bits: &ONE_REGISTER,
    protection: FROM_TOP,
};

/// EN25Q (EN25Q32C data sheet, "Status Register"; in OTP mode bit 7 locks the OTP sector).
static EON: StatusLayout = StatusLayout {
    maker: "EON",
    registers: 1,
    bits: &[
        WIP,
        WEL,
        BP0,
        BP1,
        BP2,
        BP3,
        bit(6, "WHDIS", "/WP and /HOLD are switched off", Setting),
        SRP,
    ],
    protection: FROM_TOP,
};

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u32 = 1 << 20;

    fn layout(id: u32) -> &'static StatusLayout {
        JedecId(id).status_layout().unwrap()
    }

    #[test]
    fn protected_ranges_are_those_of_the_data_sheets() {
        // W25Q32JV, section 7.1.9.
        let winbond = layout(0x16_40_EF);
        for (status, range) in [
            (0x00, None),
            (0x04, Some(0x3F_0000..0x40_0000)),
            (0x18, Some(0x20_0000..0x40_0000)),
            (0x1C, Some(0..0x40_0000)),
            (0x24, Some(0..0x1_0000)),
            (0x44, Some(0x3F_F000..0x40_0000)),
            (0x74, Some(0..0x8000)),
            (0x4000, Some(0..0x40_0000)),
            (0x4000 | 0x04, Some(0..0x3F_0000)),
            (0x4000 | 0x24, Some(0x1_0000..0x40_0000)),
            (0x4000 | 0x1C, None),
            (0x4_0000, Some(0..0x40_0000)),
        ] {
            assert_eq!(winbond.protected(status, 4 * MB), range, "{status:#x}");
        }
        // W25Q256JV: four bits, and TB one place higher.
        let large = layout(0x19_40_EF);
        assert_eq!(large.protected(0x24, 32 * MB), Some(16 * MB..32 * MB));
        assert_eq!(large.protected(0x44, 32 * MB), Some(0..BLOCK));
        assert_eq!(large.protected(0x3C, 32 * MB), Some(0..32 * MB));
    }

    #[test]
    fn bits_ascend_and_lie_in_the_registers_that_there_are() {
        for layout in [
            &WINBOND_X,
            &WINBOND_SMALL,
            &WINBOND,
            &WINBOND_LARGE,
            &GIGADEVICE,
            &ALIKE,
            &XMC,
            &MACRONIX,
            &ISSI,
            &EON,
        ] {
            let numbers: Vec<_> = layout.bits.iter().map(|bit| bit.number).collect();
            assert!(numbers.is_sorted(), "{}", layout.maker);
            assert!(numbers.iter().all(|bit| *bit < layout.registers * 8));
            assert_eq!(layout.mask(ReadOnly) & 3, 3);
        }
    }

    #[test]
    fn every_status_protects_a_range_inside_of_the_flash() {
        for id in [0x12_30_EF, 0x14_40_EF, 0x16_40_EF, 0x21_40_EF, 0x16_20_C2] {
            let layout = layout(id);
            let size = JedecId(id).capacity().unwrap().bytes;
            for status in 0..1 << 16 {
                if let Some(range) = layout.protected(status, size) {
                    assert!(range.start < range.end && range.end <= size);
                }
            }
        }
    }
}
