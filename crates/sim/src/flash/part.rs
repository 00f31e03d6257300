use std::time::Duration;

use guru_chip::{JedecId, Protection, StatusLayout};

const KB: u32 = 1024;
const MB: u32 = 1024 * KB;

/// A real flash chip, as its data sheet describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Name in print, such as `W25Q32JV`.
    pub name: &'static str,
    /// Manufacturer, memory type, capacity: what RDID (9F) answers.
    pub jedec: [u8; 3],
    /// Size in bytes.
    pub size: u32,
    /// How its status registers are written.
    pub status_write: StatusWrite,
    /// Whether the part has the 4-byte commands (13, 12, 21, DC) and mode (B7, E9).
    pub four_byte: bool,
    /// Typical times.
    pub times: &'static Times,
}

/// How the status registers of a part are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusWrite {
    /// 01 with one or two bytes; one byte clears the second register.
    Pair,
    /// 01 with one or two bytes, 31 and 11 with one.
    Any,
    /// 01, 31 and 11 with one byte; 01 with two is not taken.
    Single,
}

/// Typical times of a part.
#[derive(Debug, PartialEq, Eq)]
pub struct Times {
    /// The data sheet that they are from.
    pub source: &'static str,
    /// First byte of a program command, in microseconds.
    pub first_byte_us: u32,
    /// Each further byte, in nanoseconds, up to `page_us` in all.
    pub next_byte_ns: u32,
    /// A page of 256 bytes, in microseconds.
    pub page_us: u32,
    /// A sector of 4 KiB, in milliseconds.
    pub sector_ms: u32,
    /// A half block of 32 KiB, in milliseconds.
    pub half_block_ms: u32,
    /// A block of 64 KiB, in milliseconds.
    pub block_ms: u32,
    /// The whole chip, in milliseconds a MiB.
    pub chip_ms_per_mb: u32,
    /// Writing the status registers, in milliseconds.
    pub status_ms: u32,
}

const WINBOND: Times = Times {
    source: "Winbond W25Q32JV rev. G, AC electrical characteristics",
    first_byte_us: 30,
    next_byte_ns: 2500,
    page_us: 400,
    sector_ms: 45,
    half_block_ms: 120,
    block_ms: 150,
    chip_ms_per_mb: 2500,
    status_ms: 10,
};

const GIGADEVICE: Times = Times {
    source: "GigaDevice GD25Q32C, AC characteristics",
    first_byte_us: 30,
    next_byte_ns: 2500,
    page_us: 600,
    sector_ms: 50,
    half_block_ms: 150,
    block_ms: 250,
    chip_ms_per_mb: 3750,
    status_ms: 5,
};

const XMC: Times = Times {
    source: "XMC XM25QH128A, features",
    first_byte_us: 30,
    next_byte_ns: 2500,
    page_us: 500,
    sector_ms: 40,
    half_block_ms: 200,
    block_ms: 300,
    chip_ms_per_mb: 3750,
    status_ms: 10,
};

const MACRONIX: Times = Times {
    source: "Macronix MX25L3233F, AC characteristics",
    first_byte_us: 10,
    next_byte_ns: 2500,
    page_us: 330,
    sector_ms: 25,
    half_block_ms: 140,
    block_ms: 250,
    chip_ms_per_mb: 3250,
    status_ms: 10,
};

/// Parts of makers whose times have not been looked up: those of the slowest above, so that a
/// modelled time is not too good.
const OTHERS: Times = Times {
    source: "GigaDevice GD25Q32C, AC characteristics (taken for this part as well)",
    ..GIGADEVICE
};

const fn part(
    name: &'static str,
    jedec: [u8; 3],
    size: u32,
    status_write: StatusWrite,
    times: &'static Times,
) -> Part {
    Part {
        name,
        jedec,
        size,
        status_write,
        // Three bytes address 16 MiB.
        four_byte: size > 16 * MB,
        times,
    }
}

use StatusWrite::{Any, Pair, Single};

/// Every part that can be chosen, the default of each size first.
static PARTS: [Part; 20] = [
    part("W25X20CL", [0xEF, 0x30, 0x12], 256 * KB, Pair, &WINBOND),
    part("W25Q40CL", [0xEF, 0x40, 0x13], 512 * KB, Pair, &WINBOND),
    part("W25Q80DV", [0xEF, 0x40, 0x14], MB, Pair, &WINBOND),
    part("W25Q16JV", [0xEF, 0x40, 0x15], 2 * MB, Any, &WINBOND),
    part("W25Q32JV", [0xEF, 0x40, 0x16], 4 * MB, Any, &WINBOND),
    part("W25Q64JV", [0xEF, 0x40, 0x17], 8 * MB, Any, &WINBOND),
    part("W25Q128JV", [0xEF, 0x40, 0x18], 16 * MB, Any, &WINBOND),
    part("W25Q256JV", [0xEF, 0x40, 0x19], 32 * MB, Any, &WINBOND),
    part("W25Q512JV", [0xEF, 0x40, 0x20], 64 * MB, Any, &WINBOND),
    part("W25Q01JV", [0xEF, 0x40, 0x21], 128 * MB, Any, &WINBOND),
    part("GD25Q16C", [0xC8, 0x40, 0x15], 2 * MB, Any, &GIGADEVICE),
    part("GD25Q32C", [0xC8, 0x40, 0x16], 4 * MB, Single, &GIGADEVICE),
    part("GD25Q64C", [0xC8, 0x40, 0x17], 8 * MB, Single, &GIGADEVICE),
    part(
        "GD25Q128C",
        [0xC8, 0x40, 0x18],
        16 * MB,
        Single,
        &GIGADEVICE,
    ),
    part("XM25QH32C", [0x20, 0x40, 0x16], 4 * MB, Any, &XMC),
    part("XM25QH64C", [0x20, 0x40, 0x17], 8 * MB, Any, &XMC),
    part("BY25Q32BS", [0x68, 0x40, 0x16], 4 * MB, Any, &OTHERS),
    part("IS25LP032D", [0x9D, 0x60, 0x16], 4 * MB, Any, &OTHERS),
    part("MX25L3233F", [0xC2, 0x20, 0x16], 4 * MB, Any, &MACRONIX),
    part("EN25Q32C", [0x1C, 0x30, 0x16], 4 * MB, Any, &OTHERS),
];

/// Every part that can be chosen.
pub fn parts() -> &'static [Part] {
    &PARTS
}

impl Part {
    /// The part with this name, in any case.
    pub fn named(name: &str) -> Option<&'static Self> {
        PARTS
            .iter()
            .find(|part| part.name.eq_ignore_ascii_case(name))
    }

    /// What RDID says, as one number.
    pub fn id(&self) -> JedecId {
        let [maker, kind, capacity] = self.jedec;
        JedecId(u32::from_le_bytes([maker, kind, capacity, 0]))
    }

    /// What its status registers hold. Parts of which that is not known have one register without
    /// protection.
    pub fn status_layout(&self) -> &'static StatusLayout {
        self.id().status_layout().unwrap_or(&PLAIN)
    }

    /// The part that a board of this flash size gets when none is named.
    pub fn of_size(size: u32) -> Option<&'static Self> {
        PARTS.iter().find(|part| part.size == size)
    }
}

impl Times {
    /// A program command of `len` bytes.
    pub fn program(&self, len: usize) -> Duration {
        let first = Duration::from_micros(u64::from(self.first_byte_us));
        let rest =
            Duration::from_nanos(u64::from(self.next_byte_ns) * len.saturating_sub(1) as u64);
        (first + rest).min(Duration::from_micros(u64::from(self.page_us)))
    }

    /// Erasing a sector.
    pub fn sector(&self) -> Duration {
        millis(self.sector_ms)
    }

    /// Erasing a half block.
    pub fn half_block(&self) -> Duration {
        millis(self.half_block_ms)
    }

    /// Erasing a block.
    pub fn block(&self) -> Duration {
        millis(self.block_ms)
    }

    /// Erasing a chip of `size` bytes.
    pub fn chip(&self, size: u32) -> Duration {
        millis(self.chip_ms_per_mb).mul_f64(f64::from(size) / f64::from(MB))
    }

    /// Writing status registers.
    pub fn status(&self) -> Duration {
        millis(self.status_ms)
    }
}

static PLAIN: StatusLayout = StatusLayout {
    maker: "",
    registers: 1,
    bits: &[],
    protection: Protection::Blocks {
        bits: 0,
        bottom: None,
        complement: None,
    },
};

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_size_has_a_default_part() {
        let mut size = 256 * KB;
        while size <= 128 * MB {
            let part = Part::of_size(size).unwrap();
            assert_eq!(part.jedec[0], 0xEF, "{}", part.name);
            assert_eq!(part.four_byte, size > 16 * MB);
            size *= 2;
        }
    }

    #[test]
    fn the_status_registers_of_each_part_are_known() {
        for part in parts() {
            assert!(part.id().status_layout().is_some(), "{}", part.name);
        }
    }

    #[test]
    fn the_id_of_each_part_tells_its_size() {
        for part in parts() {
            let code = u32::from(part.jedec[2]);
            let exponent = if code >= 0x20 { code - 6 } else { code };
            assert_eq!(1 << exponent, part.size, "{}", part.name);
        }
    }

    #[test]
    fn a_page_takes_no_longer_than_its_data_sheet_says() {
        assert_eq!(WINBOND.program(256), Duration::from_micros(400));
        assert_eq!(WINBOND.program(32), Duration::from_nanos(107_500));
    }
}
