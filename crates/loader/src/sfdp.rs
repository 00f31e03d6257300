//! Serial Flash Discoverable Parameters (JEDEC JESD216, revisions A to F): what a flash says of
//! itself. Every number in them is the flash's, and none is trusted.

use std::collections::BTreeMap;

use guru_link::Link;
use serde::Serialize;
use thiserror::Error as ThisError;

use crate::spi::{Transaction, flash};
use crate::{Error, FlashOptions, Observer, Session};

/// Addresses have three bytes.
const SPACE: u32 = 1 << 24;

/// The most parameter headers that are looked at; parts have one to six.
const MAX_TABLES: usize = 32;

/// The most bytes of one table.
const MAX_TABLE: usize = 255 * 4;

/// Bytes read with one command.
const PIECE: usize = 64;

/// Ids of the tables that are decoded.
const BASIC: u16 = 0xFF00;
const FOUR_BYTE: u16 = 0xFF84;

/// What a flash says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sfdp {
    /// Revision of the whole, major and minor.
    pub revision: (u8, u8),
    /// Tables that it has.
    pub tables: Vec<SfdpTable>,
    /// Whether it names more tables than are listed.
    pub more_tables: bool,
    /// The table that every part has.
    pub basic: Option<BasicParameters>,
    /// Commands with four bytes of address.
    pub four_byte: Option<FourByteCommands>,
}

/// A table, as its header names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SfdpTable {
    /// Id: FFxx are JEDEC's, others name a maker by its bank and number in JEP106.
    pub id: u16,
    /// What it holds, for tables of JEDEC.
    pub name: Option<&'static str>,
    /// Major and minor.
    pub revision: (u8, u8),
    /// Where it begins.
    pub address: u32,
    /// Length in bytes.
    pub length: u16,
}

/// The basic flash parameter table. What a part's revision of it does not have is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BasicParameters {
    /// Bytes of flash.
    pub size: Option<u64>,
    /// Bytes of an address.
    pub address_bytes: AddressBytes,
    /// Whether DTR is there.
    pub dtr: bool,
    /// Command that enables a volatile write of the status registers, where it has them.
    pub volatile_status_enable: u8,
    /// Fast reads.
    pub reads: Vec<FastRead>,
    /// Erase commands.
    pub erases: Vec<EraseType>,
    /// Times and page size.
    pub program: Option<ProgramTimes>,
    /// How four data lines are enabled.
    pub quad_enable: Option<QuadEnable>,
    /// Commands for suspending and resuming an erase; absent without such.
    pub suspend: Option<Pair>,
    /// Commands into and out of deep power-down; absent without such.
    pub power_down: Option<Pair>,
    /// Ways of a reset by commands.
    pub soft_reset: Option<Vec<&'static str>>,
    /// Ways into the mode with four bytes of address.
    pub enter_four_byte: Option<Vec<&'static str>>,
    /// Ways out of it.
    pub leave_four_byte: Option<Vec<&'static str>>,
}

/// Bytes of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressBytes {
    /// Three.
    Three,
    /// Three, or four in another mode.
    ThreeOrFour,
    /// Four.
    Four,
    /// A value without a meaning.
    Unknown,
}

/// Two commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Into it.
    pub enter: u8,
    /// Out of it.
    pub leave: u8,
}

/// A read with wait states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FastRead {
    /// Lines of command, address and data, such as `1-1-4`.
    pub lines: &'static str,
    /// Command.
    pub opcode: u8,
    /// Clocks of mode bits behind the address.
    pub mode_clocks: u8,
    /// Clocks without meaning behind them.
    pub wait_states: u8,
}

/// An erase command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EraseType {
    /// Bytes that it erases.
    pub size: u64,
    /// Command.
    pub opcode: u8,
    /// How long it typically takes, in milliseconds.
    pub typical_ms: Option<u32>,
    /// How long it takes at most, in milliseconds.
    pub max_ms: Option<u32>,
}

/// Page size and times of programming and of a chip erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProgramTimes {
    /// Bytes of a page.
    pub page: u32,
    /// A page, in microseconds.
    pub page_us: u32,
    /// The first byte, in microseconds.
    pub first_byte_us: u32,
    /// Each further byte, in microseconds.
    pub next_byte_us: u32,
    /// How many times longer each of these may take.
    pub max_factor: u32,
    /// The whole chip, in milliseconds.
    pub chip_erase_ms: u32,
}

/// How four data lines are enabled (JESD216B, 15th word, bits 20 to 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuadEnable {
    /// Number in the table.
    pub code: u8,
    /// What it means.
    pub meaning: &'static str,
}

/// Commands with four bytes of address (table FF84).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FourByteCommands {
    /// Reads and programs.
    pub commands: Vec<(&'static str, u8)>,
    /// Size in bytes and command of each erase.
    pub erases: Vec<(u64, u8)>,
}

/// Why parameters cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub enum SfdpError {
    /// They do not begin with their signature.
    #[error("the flash has no discoverable parameters: they begin with {0:08x} in place of SFDP")]
    Signature(u32),
    /// These bytes are needed: address and length.
    #[error("bytes at {0:#x} are missing")]
    Missing(u32, usize),
}

/// Gives bytes at an address, if they are at hand.
type Bytes<'a> = &'a dyn Fn(u32, usize) -> Option<Vec<u8>>;

impl Sfdp {
    /// Decodes what a flash says, by bytes that may have to be fetched: when some are missing, fetch
    /// them and call again.
    ///
    /// # Errors
    ///
    /// [`SfdpError::Missing`] for bytes that are needed, [`SfdpError::Signature`] for what is no such
    /// table.
    pub fn decode(bytes: Bytes<'_>) -> Result<Self, SfdpError> {
        let get = |address: u32, length: usize| match bytes(address, length) {
            Some(found) if found.len() == length => Ok(found),
            _ => Err(SfdpError::Missing(address, length)),
        };
        let head = get(0, 8)?;
        let signature = word(&head, 0);
        if signature != u32::from_le_bytes(*b"SFDP") {
            return Err(SfdpError::Signature(signature.swap_bytes()));
        }
        // The first revision of the standard counts tables from 0 as well.
        let named = usize::from(head[6]) + 1;
        let headers = get(8, 8 * named.min(MAX_TABLES))?;
        let tables: Vec<SfdpTable> = headers.chunks_exact(8).map(SfdpTable::parse).collect();
        let contents = |id: u16| {
            // A later revision of a table stands behind an earlier one.
            let table = tables.iter().rev().find(|table| table.id == id);
            table
                .filter(|table| table.length > 0 && table.is_inside())
                .map(|table| get(table.address, usize::from(table.length)))
                .transpose()
        };
        let basic = contents(BASIC)?.map(|bytes| BasicParameters::parse(&words(&bytes)));
        let four_byte = contents(FOUR_BYTE)?
            .zip(basic.as_ref())
            .map(|(bytes, basic)| FourByteCommands::parse(&words(&bytes), basic));
        Ok(Self {
            revision: (head[5], head[4]),
            more_tables: named > tables.len(),
            tables,
            basic,
            four_byte,
        })
    }
}

impl SfdpTable {
    fn parse(header: &[u8]) -> Self {
        let id = u16::from_be_bytes([header[7], header[0]]);
        // Before revision B the high byte was reserved, and 00 alone was JEDEC's.
        let id = if id == 0x0000 { BASIC } else { id };
        let name = match id {
            BASIC => "basic flash parameters",
            0xFF81 => "sector map",
            0xFF03 => "replay protected monotonic counters",
            FOUR_BYTE => "commands with 4-byte addresses",
            0xFF05 => "xSPI profile 1.0",
            0xFF06 => "xSPI profile 2.0",
            0xFF87 => "map of status, control and configuration registers",
            0xFF88 => "the same for multi-chip parts",
            0xFF09 => "the same for xSPI profile 2.0",
            0xFF0A => "command sequences into octal DDR mode",
            _ => "",
        };
        Self {
            id,
            name: Some(name).filter(|name| !name.is_empty()),
            revision: (header[2], header[1]),
            address: word(header, 4) & 0x00FF_FFFF,
            length: u16::from(header[3]) * 4,
        }
    }

    /// Whether all of it has an address of three bytes.
    fn is_inside(&self) -> bool {
        self.address + u32::from(self.length) <= SPACE
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .iter()
        .skip(at)
        .take(4)
        .rev()
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|bytes| word(bytes, 0)).collect()
}

/// `width` bits from `at` on.
fn field(word: u32, at: u32, width: u32) -> u32 {
    word >> at & (u32::MAX >> (32 - width))
}

/// 1, 2, 4, ... bytes by their exponent; 0 and what is too large to be true are nothing.
fn power(exponent: u32) -> Option<u64> {
    (1..=40).contains(&exponent).then(|| 1_u64 << exponent)
}

impl BasicParameters {
    fn parse(words: &[u32]) -> Self {
        let word = |number: usize| words.get(number - 1).copied();
        let first = word(1).unwrap_or_default();
        Self {
            size: word(2).and_then(density),
            address_bytes: match field(first, 17, 2) {
                0 => AddressBytes::Three,
                1 => AddressBytes::ThreeOrFour,
                2 => AddressBytes::Four,
                _ => AddressBytes::Unknown,
            },
            dtr: first & 1 << 19 != 0,
            volatile_status_enable: if first & 1 << 4 == 0 { 0x50 } else { 0x06 },
            reads: fast_reads(first, &word),
            erases: erase_types(first, word(8), word(9), word(10)),
            program: word(11).map(program_times),
            quad_enable: word(15).map(quad_enable),
            suspend: word(12)
                .zip(word(13))
                .filter(|(word, _)| word & 1 << 31 == 0)
                .map(|(_, codes)| Pair {
                    enter: codes.to_be_bytes()[0],
                    leave: codes.to_be_bytes()[1],
                }),
            power_down: word(14)
                .filter(|word| word & 1 << 31 == 0)
                .map(|word| Pair {
                    enter: field(word, 23, 8) as u8,
                    leave: field(word, 15, 8) as u8,
                }),
            soft_reset: word(16).map(|word| ways(word, &SOFT_RESET)),
            enter_four_byte: word(16).map(|word| ways(word, &ENTER_FOUR_BYTE)),
            leave_four_byte: word(16).map(|word| ways(word, &LEAVE_FOUR_BYTE)),
        }
    }
}

/// Bytes by the density word: bits less one, or an exponent of bits.
fn density(word: u32) -> Option<u64> {
    if word & 1 << 31 == 0 {
        return Some((u64::from(word) + 1) / 8);
    }
    power(word & 0x7FFF_FFFF).map(|bits| bits / 8)
}

fn fast_reads(first: u32, word: &dyn Fn(usize) -> Option<u32>) -> Vec<FastRead> {
    // Lines, where it is said that they are there, word and first bit of the description.
    let places = [
        ("1-1-2", first & 1 << 16 != 0, 4, 0),
        ("1-2-2", first & 1 << 20 != 0, 4, 16),
        ("1-1-4", first & 1 << 22 != 0, 3, 16),
        ("1-4-4", first & 1 << 21 != 0, 3, 0),
        ("2-2-2", word(5).is_some_and(|word| word & 1 != 0), 6, 16),
        (
            "4-4-4",
            word(5).is_some_and(|word| word & 1 << 4 != 0),
            7,
            16,
        ),
    ];
    places
        .into_iter()
        .filter(|(_, there, ..)| *there)
        .filter_map(|(lines, _, number, at)| {
            let word = word(number)?;
            Some(FastRead {
                lines,
                opcode: field(word, at + 8, 8) as u8,
                mode_clocks: field(word, at + 5, 3) as u8,
                wait_states: field(word, at, 5) as u8,
            })
        })
        .collect()
}

fn erase_types(
    first: u32,
    eighth: Option<u32>,
    ninth: Option<u32>,
    times: Option<u32>,
) -> Vec<EraseType> {
    let (Some(eighth), Some(ninth)) = (eighth, ninth) else {
        // The oldest tables know only the sector.
        return (first & 3 == 1)
            .then_some(EraseType {
                size: 4096,
                opcode: field(first, 8, 8) as u8,
                typical_ms: None,
                max_ms: None,
            })
            .into_iter()
            .collect();
    };
    [(eighth, 0), (eighth, 16), (ninth, 0), (ninth, 16)]
        .into_iter()
        .zip([4, 11, 18, 25])
        .filter_map(|((word, at), time)| {
            let size = power(field(word, at, 8))?;
            let typical = times.map(|times| {
                let unit = [1, 16, 128, 1000][field(times, time + 5, 2) as usize];
                (field(times, time, 5) + 1) * unit
            });
            let factor = times.map(|times| 2 * (field(times, 0, 4) + 1));
            Some(EraseType {
                size,
                opcode: field(word, at + 8, 8) as u8,
                typical_ms: typical,
                max_ms: typical
                    .zip(factor)
                    .map(|(typical, factor)| typical * factor),
            })
        })
        .collect()
}

fn program_times(word: u32) -> ProgramTimes {
    let time = |at: u32, width: u32, units: &[u32]| {
        let unit = units[field(word, at + width, if units.len() > 2 { 2 } else { 1 }) as usize];
        (field(word, at, width) + 1) * unit
    };
    ProgramTimes {
        page: 1 << field(word, 4, 4),
        page_us: time(8, 5, &[8, 64]),
        first_byte_us: time(14, 4, &[1, 8]),
        next_byte_us: time(19, 4, &[1, 8]),
        max_factor: 2 * (field(word, 0, 4) + 1),
        chip_erase_ms: time(24, 5, &[16, 256, 4_000, 64_000]),
    }
}

fn quad_enable(word: u32) -> QuadEnable {
    let code = field(word, 20, 3) as u8;
    let meaning = match code {
        0 => "nothing enables it: it is always on, or not there",
        1 => "bit 1 of register 2, by 01 with two bytes; one byte clears it",
        2 => "bit 6 of register 1, by 01 with one byte",
        3 => "bit 7 of register 2, read by 3F and written by 3E",
        4 => "bit 1 of register 2, by 01 with two bytes; one byte leaves it alone",
        5 => "bit 1 of register 2, read by 35 and written by 01 with two bytes",
        6 => "bit 1 of register 2, read by 35 and written by 31",
        _ => "in a way that the standard does not name",
    };
    QuadEnable { code, meaning }
}

const SOFT_RESET: [(u32, &str); 6] = [
    (8, "FF on all lines, 8 clocks"),
    (9, "FF on all lines, 10 clocks"),
    (10, "FF on all lines, 16 clocks"),
    (11, "F0"),
    (12, "66, 99"),
    (13, "after leaving 0-4-4 mode"),
];

const LEAVE_FOUR_BYTE: [(u32, &str); 8] = [
    (14, "E9"),
    (15, "06, E9"),
    (16, "extended address register"),
    (17, "bank register"),
    (18, "configuration register"),
    (19, "hardware reset"),
    (20, "soft reset"),
    (21, "power cycle"),
];

const ENTER_FOUR_BYTE: [(u32, &str); 7] = [
    (24, "B7"),
    (25, "06, B7"),
    (26, "extended address register"),
    (27, "bank register"),
    (28, "configuration register"),
    (29, "4-byte commands"),
    (30, "always"),
];

fn ways(word: u32, names: &[(u32, &'static str)]) -> Vec<&'static str> {
    names
        .iter()
        .filter(|(bit, _)| word & 1 << bit != 0)
        .map(|(_, name)| *name)
        .collect()
}

/// Bits of the first word of table FF84, and the commands that they stand for.
const FOUR_BYTE_COMMANDS: [(&str, u32, u8); 12] = [
    ("read", 0, 0x13),
    ("fast read", 1, 0x0C),
    ("read 1-1-2", 2, 0x3C),
    ("read 1-2-2", 3, 0xBC),
    ("read 1-1-4", 4, 0x6C),
    ("read 1-4-4", 5, 0xEC),
    ("program", 6, 0x12),
    ("program 1-1-4", 7, 0x34),
    ("program 1-4-4", 8, 0x3E),
    ("DTR read", 13, 0x0E),
    ("DTR read 1-2-2", 14, 0xBE),
    ("DTR read 1-4-4", 15, 0xEE),
];

impl FourByteCommands {
    fn parse(words: &[u32], basic: &BasicParameters) -> Self {
        let commands = words.first().copied().unwrap_or_default();
        let opcodes = words.get(1).copied().unwrap_or(u32::MAX).to_le_bytes();
        Self {
            commands: FOUR_BYTE_COMMANDS
                .iter()
                .filter(|(_, bit, _)| commands & 1 << bit != 0)
                .map(|(name, _, opcode)| (*name, *opcode))
                .collect(),
            erases: basic
                .erases
                .iter()
                .zip(opcodes)
                .zip(9..)
                .filter(|(_, bit)| commands & 1 << bit != 0)
                .map(|((erase, opcode), _)| (erase.size, opcode))
                .collect(),
        }
    }
}

impl<L: Link> Session<L> {
    /// Reads discoverable parameters.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for a range beyond addresses of three bytes,
    /// [`Error::SecureDownload`], and what the link and the chip say.
    pub async fn read_sfdp(
        &mut self,
        options: &FlashOptions,
        address: u32,
        length: u32,
        observer: &mut dyn Observer,
    ) -> Result<Vec<u8>, Error> {
        if length == 0 || address.checked_add(length).is_none_or(|end| end > SPACE) {
            return Err(Error::BadRequest(format!(
                "{length} bytes from 0x{address:x} are not inside of 0x0 to 0x{:x}, where \
                 discoverable parameters can be",
                SPACE - 1
            )));
        }
        self.attached_id(options, observer).await?;
        let controller = self.spi_begin().await?;
        let bytes = self.sfdp_bytes(address, length as usize).await?;
        self.spi_end(controller).await?;
        Ok(bytes)
    }

    /// Reads and decodes the discoverable parameters.
    ///
    /// # Errors
    ///
    /// [`Error::NotPossible`] when the flash has none, and those of
    /// [`read_sfdp`](Self::read_sfdp).
    pub async fn sfdp(
        &mut self,
        options: &FlashOptions,
        observer: &mut dyn Observer,
    ) -> Result<Sfdp, Error> {
        self.attached_id(options, observer).await?;
        let controller = self.spi_begin().await?;
        let mut known: BTreeMap<(u32, usize), Vec<u8>> = BTreeMap::new();
        // Head, headers, and two tables: no more is ever asked for.
        let result = loop {
            match Sfdp::decode(&|address, length| known.get(&(address, length)).cloned()) {
                Ok(sfdp) => break Ok(sfdp),
                Err(SfdpError::Missing(address, length)) if length <= MAX_TABLE => {
                    let bytes = self.sfdp_bytes(address, length).await?;
                    known.insert((address, length), bytes);
                }
                Err(error) => break Err(Error::NotPossible(error.to_string())),
            }
        };
        self.spi_end(controller).await?;
        result
    }

    async fn sfdp_bytes(&mut self, address: u32, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let transaction = Transaction {
                command: flash::READ_SFDP,
                address: Some(address + bytes.len() as u32),
                dummy_bits: 8,
                read: (length - bytes.len()).min(PIECE),
                ..Transaction::default()
            };
            bytes.extend(self.spi(transaction).await?);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<Sfdp, SfdpError> {
        Sfdp::decode(&|address, length| {
            let start = (address as usize).min(bytes.len());
            let end = (start + length).min(bytes.len());
            let mut found = bytes[start..end].to_vec();
            found.resize(length, 0xFF);
            Some(found)
        })
    }

    /// Revision 1.5 with one table of sixteen words, as a Winbond part of 2 MB has it.
    fn winbond() -> Vec<u8> {
        let mut bytes = b"SFDP\x05\x01\x00\xFF\x00\x05\x01\x10\x80\x00\x00\xFF".to_vec();
        bytes.resize(0x80, 0xFF);
        for word in [
            0xFFF9_20E5_u32,
            0x00FF_FFFF,
            0x6B08_EB44,
            0xBB42_3B08,
            0xFFFF_FFFE,
            0x0000_FFFF,
            0xEB40_FFFF,
            0x520F_200C,
            0x0000_D810,
            0x00A6_0236,
            0xD314_EA82,
            0x7663_CDE9,
            0x757A_757A,
            0x5CD5_A2F7,
            0xFF4D_F719,
            0xA5F9_70E9,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_table_of_a_part_is_decoded() {
        let sfdp = decode(&winbond()).unwrap();
        assert_eq!(sfdp.revision, (1, 5));
        assert_eq!(sfdp.tables[0].name, Some("basic flash parameters"));
        let basic = sfdp.basic.unwrap();
        assert_eq!(basic.size, Some(2 << 20));
        assert!(basic.dtr);
        let sizes: Vec<_> = basic.erases.iter().map(|e| (e.size, e.opcode)).collect();
        assert_eq!(sizes, [(4096, 0x20), (32768, 0x52), (65536, 0xD8)]);
        assert_eq!(basic.program.unwrap().page, 256);
        let lines: Vec<_> = basic.reads.iter().map(|read| read.lines).collect();
        assert_eq!(lines, ["1-1-2", "1-2-2", "1-1-4", "1-4-4", "4-4-4"]);
        assert_eq!(basic.quad_enable.unwrap().code, 4);
        assert_eq!(
            basic.power_down,
            Some(Pair {
                enter: 0xB9,
                leave: 0xAB
            })
        );
    }

    #[test]
    fn a_table_of_nine_words_lacks_what_came_later() {
        let mut bytes = winbond();
        bytes[11] = 9;
        let basic = decode(&bytes).unwrap().basic.unwrap();
        assert_eq!(basic.erases.len(), 3);
        assert_eq!(basic.erases[0].typical_ms, None);
        assert!(basic.program.is_none() && basic.quad_enable.is_none());
        bytes[11] = 0;
        assert_eq!(decode(&bytes).unwrap().basic, None);
    }

    #[test]
    fn a_flash_without_parameters_is_told() {
        assert_eq!(decode(&[0xFF; 64]), Err(SfdpError::Signature(0xFFFF_FFFF)));
    }

    #[test]
    fn unknown_tables_are_listed_and_not_read() {
        let mut bytes = winbond();
        bytes[6] = 1;
        bytes[16..24].copy_from_slice(&[0xC8, 0x00, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
        let sfdp = decode(&bytes).unwrap();
        assert_eq!((sfdp.tables[1].id, sfdp.tables[1].name), (0x01C8, None));
        assert_eq!(sfdp.tables[1].address, 0xFF_FFFF);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..600),
            signed in any::<bool>(),
        ) {
            if signed && bytes.len() >= 16 {
                bytes[..4].copy_from_slice(b"SFDP");
                bytes[8] = 0;
                bytes[15] = 0xFF;
            }
            if let Ok(sfdp) = decode(&bytes) {
                prop_assert!(sfdp.tables.len() <= MAX_TABLES);
            }
        }
    }
}
