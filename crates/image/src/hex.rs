//! Intel HEX: bytes with their addresses, as lines of text, read and written.
//!
//! Source: Intel, "Hexadecimal Object File Format Specification", revision A, 1988.
//!
//! A reader of our own: what matters to someone whose file is refused is the number of the line,
//! and files need not be held in memory as text.

use std::io::{self, BufRead, Read, Write};

use thiserror::Error;

/// Longest line in bytes: colon, 255 data bytes and 5 others with two digits each, line end, and
/// some blanks.
const MAX_LINE: u64 = 600;

/// Bytes of data in all records together, at most. Larger files are refused.
pub const MAX_DATA: usize = 256 << 20;

/// Why text is no Intel HEX.
#[derive(Debug, Error)]
pub enum HexError {
    /// A line is wrong.
    #[error("line {line}: {fault}")]
    Line {
        /// Counted from 1.
        line: u32,
        /// What is wrong.
        fault: Fault,
    },
    /// The last line is no end-of-file record, so the file may have been cut.
    #[error("the end record (:00000001FF) is missing: the file may have been cut")]
    NoEnd,
    /// Two records give a byte for the same address.
    #[error(
        "the byte at {address:#010x} is given twice, behind line {first} and behind line {second}"
    )]
    Overlap {
        /// The first such address.
        address: u32,
        /// Line at which one run of records that holds it begins.
        first: u32,
        /// Line at which the other one begins.
        second: u32,
    },
    /// More than [`MAX_DATA`] bytes.
    #[error("more than {MAX_DATA} bytes of data, which no flash holds")]
    TooLarge,
    /// The text cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// It does not begin with a colon.
    #[error("a record begins with ':'")]
    NoColon,
    /// It is longer than a record can be.
    #[error("longer than a record can be")]
    TooLong,
    /// A character is no hexadecimal digit, or the last byte has one digit.
    #[error("column {column}: expected a hexadecimal digit")]
    Digit {
        /// Counted from 1.
        column: usize,
    },
    /// It is shorter or longer than its count says.
    #[error("the record has {found} bytes, and its count makes {expected}")]
    Length {
        /// Bytes by the count: data and 5 others.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The bytes do not add up to zero.
    #[error("the checksum is {found:02X} and should be {expected:02X}")]
    Checksum {
        /// The one that fits.
        expected: u8,
        /// The one that is there.
        found: u8,
    },
    /// The type is none of 00 to 05.
    #[error("unknown record type {0:02X}")]
    Type(u8),
    /// The record's type needs another number of data bytes.
    #[error("a record of type {kind:02X} has {expected} bytes of data, and this has {found}")]
    DataLength {
        /// The type.
        kind: u8,
        /// What it needs.
        expected: u8,
        /// What is there.
        found: u8,
    },
    /// The data leaves its 64 KB segment, or the address space.
    #[error("the data ends beyond the addresses that can be given here")]
    Address,
    /// There is something behind the end record.
    #[error("a record behind the end record")]
    BehindEnd,
}

/// Bytes that follow each other, and the address of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Address of the first byte.
    pub address: u32,
    /// The bytes, at least one.
    pub bytes: Vec<u8>,
}

/// Whether a file that starts so is meant as Intel HEX: a colon and the count, address and type of
/// a record, or a colon and nothing but text. Something else that starts with a colon is binary.
///
/// A damaged HEX file is so still taken for what it is, and refused with the number of the line,
/// instead of being written as text.
#[must_use]
pub fn looks_like_hex(head: &[u8]) -> bool {
    let Some((b':', rest)) = head.split_first() else {
        return false;
    };
    let is_text = |b: &u8| matches!(b, b'\t' | b'\r' | b'\n' | b' '..=b'~');
    rest.get(..8)
        .is_some_and(|record| record.iter().all(u8::is_ascii_hexdigit))
        || rest.iter().all(is_text)
}

/// Reads Intel HEX. The runs are in the order of their addresses, with gaps between them.
///
/// # Errors
///
/// [`HexError`], with the line for all that is wrong in one.
pub fn parse(input: impl BufRead) -> Result<Vec<Run>, HexError> {
    parse_with_start(input).map(|(runs, _)| runs)
}

/// As [`parse`], and the address at which a program starts, where a record says so.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with_start(mut input: impl BufRead) -> Result<(Vec<Run>, Option<u32>), HexError> {
    let mut start = None;
    let mut builder = Builder::default();
    let mut base = Base::Linear(0);
    let mut ended = false;
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        let fault = |fault| HexError::Line { line, fault };
        if text.len() as u64 == MAX_LINE && text.last() != Some(&b'\n') {
            return Err(fault(Fault::TooLong));
        }
        let record = text.trim_ascii();
        if record.is_empty() {
            continue;
        }
        if ended {
            return Err(fault(Fault::BehindEnd));
        }
        let record = Record::parse(record).map_err(fault)?;
        match record.kind {
            0 => {
                let address = base
                    .address(record.offset, record.data.len())
                    .ok_or_else(|| fault(Fault::Address))?;
                builder.push(line, address, &record.data)?;
            }
            1 => {
                record.data::<0>().map_err(fault)?;
                ended = true;
            }
            2 => {
                let paragraph = u16::from_be_bytes(record.data().map_err(fault)?);
                base = Base::Segment(u32::from(paragraph) << 4);
            }
            4 => {
                let upper = u16::from_be_bytes(record.data().map_err(fault)?);
                base = Base::Linear(u32::from(upper) << 16);
            }
            // A segment and an offset, as only other processors have them.
            3 => {
                record.data::<4>().map_err(fault)?;
            }
            5 => start = Some(u32::from_be_bytes(record.data().map_err(fault)?)),
            kind => return Err(fault(Fault::Type(kind))),
        }
    }
    if !ended {
        return Err(HexError::NoEnd);
    }
    Ok((builder.finish()?, start))
}

/// What the 16-bit offsets of data records are added to.
#[derive(Clone, Copy)]
enum Base {
    /// Data may run on beyond an offset of 0xFFFF.
    Linear(u32),
    /// Offsets would wrap inside the segment, which nobody means: refused.
    Segment(u32),
}

impl Base {
    /// The address of a record's data, when all of it can be addressed.
    fn address(self, offset: u16, len: usize) -> Option<u32> {
        let (base, room) = match self {
            Self::Linear(base) => (base, (1 << 32) - u64::from(base)),
            Self::Segment(base) => (base, 1 << 16),
        };
        let fits = u64::from(offset) + len as u64 <= room;
        fits.then(|| base.checked_add(offset.into())).flatten()
    }
}

/// One line.
struct Record {
    offset: u16,
    kind: u8,
    data: Vec<u8>,
}

impl Record {
    fn parse(text: &[u8]) -> Result<Self, Fault> {
        let digits = text.strip_prefix(b":").ok_or(Fault::NoColon)?;
        let mut bytes = Vec::with_capacity(digits.len() / 2);
        for (index, pair) in digits.chunks(2).enumerate() {
            let digit = |place: usize| {
                pair.get(place)
                    .and_then(|c| char::from(*c).to_digit(16))
                    .ok_or(Fault::Digit {
                        column: 2 + 2 * index + place,
                    })
            };
            bytes.push((digit(0)? << 4 | digit(1)?) as u8);
        }
        let expected = bytes.first().map_or(5, |count| usize::from(*count) + 5);
        let ([_, o0, o1, kind, data @ ..], Some(checksum)) =
            (bytes.split_last().map_or(&[][..], |(_, b)| b), bytes.last())
        else {
            return Err(Fault::Length {
                expected,
                found: bytes.len(),
            });
        };
        if bytes.len() != expected {
            return Err(Fault::Length {
                expected,
                found: bytes.len(),
            });
        }
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        if sum != 0 {
            return Err(Fault::Checksum {
                expected: checksum.wrapping_sub(sum),
                found: *checksum,
            });
        }
        Ok(Self {
            offset: u16::from_be_bytes([*o0, *o1]),
            kind: *kind,
            data: data.to_vec(),
        })
    }

    /// The data of a record whose type fixes the length.
    fn data<const N: usize>(&self) -> Result<[u8; N], Fault> {
        self.data[..].try_into().map_err(|_| Fault::DataLength {
            kind: self.kind,
            expected: N as u8,
            found: self.data.len() as u8,
        })
    }
}

/// Runs in the order of the file, each with the line at which it began.
#[derive(Default)]
struct Builder {
    runs: Vec<(u32, Run)>,
    total: usize,
}

impl Builder {
    fn push(&mut self, line: u32, address: u32, data: &[u8]) -> Result<(), HexError> {
        if data.is_empty() {
            return Ok(());
        }
        self.total += data.len();
        if self.total > MAX_DATA {
            return Err(HexError::TooLarge);
        }
        if let Some((_, run)) = self.runs.last_mut()
            && run.end() == u64::from(address)
        {
            run.bytes.extend_from_slice(data);
        } else {
            let bytes = data.to_vec();
            self.runs.push((line, Run { address, bytes }));
        }
        Ok(())
    }

    /// Sorts the runs and joins those that touch.
    fn finish(mut self) -> Result<Vec<Run>, HexError> {
        self.runs.sort_by_key(|(_, run)| run.address);
        let mut joined: Vec<(u32, Run)> = Vec::new();
        for (line, mut run) in self.runs {
            match joined.last_mut() {
                Some((first, last)) if last.end() > run.address.into() => {
                    return Err(HexError::Overlap {
                        address: run.address,
                        first: *first,
                        second: line,
                    });
                }
                Some((_, last)) if last.end() == run.address.into() => {
                    last.bytes.append(&mut run.bytes);
                }
                _ => joined.push((line, run)),
            }
        }
        Ok(joined.into_iter().map(|(_, run)| run).collect())
    }
}

impl Run {
    /// Address behind the last byte.
    fn end(&self) -> u64 {
        u64::from(self.address) + self.bytes.len() as u64
    }
}

/// Data bytes in a record that is written.
const RECORD: usize = 16;

/// Writes Intel HEX, byte for byte as the Python library `intelhex` does: records of up to 16 bytes
/// that begin where data begin, and before each 64 KB one with the upper half of the address, unless
/// all addresses have 16 bits.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    /// Whether some address has more than 16 bits.
    wide: bool,
    /// Upper half of the address that the last record gave.
    upper: Option<u32>,
    /// Address of the first byte that waits.
    address: u32,
    waiting: [u8; RECORD],
    count: usize,
}

impl<W: Write> Writer<W> {
    /// Writes to `sink`. `last` is the highest address that there will be.
    pub fn new(sink: W, last: u32) -> Self {
        Self {
            sink,
            wide: last > 0xFFFF,
            upper: None,
            address: 0,
            waiting: [0; RECORD],
            count: 0,
        }
    }

    /// Bytes at an address, which is not below the end of those before. They end at the latest
    /// with the address space.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> io::Result<()> {
        let (mut address, mut rest) = (address, bytes);
        while !rest.is_empty() {
            if self.count > 0 && self.address.wrapping_add(self.count as u32) != address {
                self.record()?;
            }
            if self.count == 0 {
                self.address = address;
            }
            // A record does not reach beyond its 64 KB.
            let room = RECORD.min(0x1_0000 - (self.address & 0xFFFF) as usize) - self.count;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.waiting[self.count..self.count + now.len()].copy_from_slice(now);
            self.count += now.len();
            if now.len() == room {
                self.record()?;
            }
            address = address.wrapping_add(now.len() as u32);
            rest = later;
        }
        Ok(())
    }

    /// Ends the file, and gives the sink back.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn finish(mut self) -> io::Result<W> {
        if self.count > 0 {
            self.record()?;
        }
        line(&mut self.sink, 1, 0, &[])?;
        Ok(self.sink)
    }

    fn record(&mut self) -> io::Result<()> {
        let upper = self.address >> 16;
        if self.wide && self.upper != Some(upper) {
            line(&mut self.sink, 4, 0, &(upper as u16).to_be_bytes())?;
        }
        self.upper = Some(upper);
        let data = &self.waiting[..self.count];
        self.count = 0;
        line(&mut self.sink, 0, self.address as u16, data)
    }
}

/// One record of at most [`RECORD`] bytes, as a line.
fn line(sink: &mut impl Write, kind: u8, offset: u16, data: &[u8]) -> io::Result<()> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let [high, low] = offset.to_be_bytes();
    let head = [data.len() as u8, high, low, kind];
    let bytes = head.iter().chain(data);
    let sum = bytes
        .clone()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let mut text = [0; 1 + 2 * (4 + RECORD + 1) + 1];
    text[0] = b':';
    let mut len = 1;
    for byte in bytes.chain([&sum.wrapping_neg()]) {
        text[len] = DIGITS[usize::from(byte >> 4)];
        text[len + 1] = DIGITS[usize::from(byte & 0xF)];
        len += 2;
    }
    text[len] = b'\n';
    sink.write_all(&text[..=len])
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    const END: &str = ":00000001FF\n";

    fn record(kind: u8, offset: u16, data: &[u8]) -> String {
        let mut bytes = vec![data.len() as u8];
        bytes.extend(offset.to_be_bytes());
        bytes.push(kind);
        bytes.extend(data);
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes.push(sum.wrapping_neg());
        let mut text = String::from(":");
        for byte in bytes {
            write!(text, "{byte:02X}").unwrap();
        }
        text.push('\n');
        text
    }

    fn runs(text: &str) -> Vec<(u32, Vec<u8>)> {
        parse(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|run| (run.address, run.bytes))
            .collect()
    }

    fn error(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_example_of_the_format_is_understood() {
        let text = ":10010000214601360121470136007EFE09D2190140\n\
                    :100110002146017E17C20001FF5F16002148011928\r\n\
                    \n\
                    :00000001ff\n";
        let runs = runs(text);
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].0, 0x100);
        assert_eq!(runs[0].1[..4], [0x21, 0x46, 0x01, 0x36]);
        assert_eq!(runs[0].1.len(), 32);
    }

    #[test]
    fn the_bytes_are_split_at_gaps_and_joined_where_they_touch() {
        let text = record(4, 0, &[0, 1])
            + &record(0, 0x10, b"cd")
            + &record(0, 0x20, b"f")
            + &record(0, 0x0E, b"ab")
            + &record(0, 0x12, b"e")
            + END;
        assert_eq!(
            runs(&text),
            [(0x1000E, b"abcde".to_vec()), (0x10020, b"f".to_vec())]
        );
    }

    #[test]
    fn both_kinds_of_base_address_count() {
        let text = record(2, 0, &[0x12, 0x34])
            + &record(0, 0x10, b"a")
            + &record(4, 0, &[0x00, 0x02])
            + &record(0, 0xFFFF, b"bc")
            + &record(3, 0, &[0; 4])
            + &record(5, 0, &[0; 4])
            + END;
        assert_eq!(
            runs(&text),
            [(0x12350, b"a".to_vec()), (0x2FFFF, b"bc".to_vec())]
        );
    }

    #[test]
    fn a_file_without_data_has_no_runs() {
        assert_eq!(runs(END), []);
    }

    #[test]
    fn every_fault_names_its_line() {
        let good = record(0, 0, b"abcd");
        for (bad, message) in [
            ("10000\n", "line 2: a record begins with ':'"),
            (":0G\n", "line 2: column 3: expected a hexadecimal digit"),
            (":012\n", "line 2: column 5: expected a hexadecimal digit"),
            (
                ":0200000041BD\n",
                "line 2: the record has 6 bytes, and its count makes 7",
            ),
            (
                ":\n",
                "line 2: the record has 0 bytes, and its count makes 5",
            ),
            (
                ":0100000041BF\n",
                "line 2: the checksum is BF and should be BE",
            ),
            (":0000000AF6\n", "line 2: unknown record type 0A"),
            (
                ":01000004FBFF\n",
                "line 2: the checksum is FF and should be 00",
            ),
            (
                ":01000004FB00\n",
                "line 2: a record of type 04 has 2 bytes of data, and this has 1",
            ),
        ] {
            assert_eq!(error(&(good.clone() + bad + END)), message);
        }
        let long = format!(":{}\n", "0".repeat(1000));
        assert_eq!(
            error(&(good + &long)),
            "line 2: longer than a record can be"
        );
    }

    #[test]
    fn a_cut_file_is_refused_even_at_the_end_of_a_line() {
        assert!(matches!(
            parse(record(0, 0, b"abcd").as_bytes()),
            Err(HexError::NoEnd)
        ));
        assert!(matches!(parse(&b""[..]), Err(HexError::NoEnd)));
    }

    #[test]
    fn two_files_in_one_are_refused() {
        let text = record(0, 0, b"a") + END + &record(0, 0x10, b"b") + END;
        assert_eq!(error(&text), "line 3: a record behind the end record");
    }

    #[test]
    fn a_byte_given_twice_is_refused_with_both_places() {
        let text = record(0, 0x10, b"abcd") + &record(0, 0x20, b"x") + &record(0, 0x13, b"d") + END;
        assert_eq!(
            error(&text),
            "the byte at 0x00000013 is given twice, behind line 1 and behind line 3"
        );
    }

    #[test]
    fn data_beyond_the_addresses_is_refused() {
        let top = record(4, 0, &[0xFF, 0xFF]);
        assert_eq!(
            runs(&(top.clone() + &record(0, 0xFFFE, b"ab") + END)),
            [(0xFFFF_FFFE, b"ab".to_vec())]
        );
        for text in [
            top + &record(0, 0xFFFF, b"ab"),
            record(2, 0, &[0x10, 0]) + &record(0, 0xFFFF, b"ab"),
        ] {
            assert!(error(&(text + END)).starts_with("line 2: the data ends beyond"));
        }
    }

    #[test]
    fn a_damaged_hex_file_is_still_known_as_hex_and_a_binary_is_not() {
        assert!(looks_like_hex(
            b":10010000214601360121470136007EFE09D2190140\n"
        ));
        assert!(looks_like_hex(b":100100002146\x00\xff garbage"));
        assert!(looks_like_hex(b":1001 this is text all the same\r\n"));
        assert!(!looks_like_hex(b":\x00\x01\x02"));
        assert!(!looks_like_hex(b"\xE9:10010000"));
        assert!(!looks_like_hex(b""));
    }

    proptest! {
        #[test]
        fn what_is_written_as_hex_is_read_as_it_was(
            pieces in prop::collection::btree_map(0_u32..64, prop::collection::vec(any::<u8>(), 1..80), 1..10),
            width in 1_usize..32,
        ) {
            // Pieces 100 bytes apart, around the end of a 64 KB page.
            let mut text = String::new();
            let mut expected = Vec::new();
            for (slot, bytes) in pieces {
                let start = 0x3_F000 + slot * 100;
                for (index, chunk) in bytes.chunks(width).enumerate() {
                    let address = start + (index * width) as u32;
                    text += &record(4, 0, &((address >> 16) as u16).to_be_bytes());
                    text += &record(0, address as u16, chunk);
                }
                expected.push((start, bytes));
            }
            prop_assert_eq!(runs(&(text + END)), expected);
        }

        #[test]
        fn no_input_makes_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes[..]);
            let _ = looks_like_hex(&bytes);
        }

        #[test]
        fn no_text_of_records_makes_the_parser_panic(text in "(:[0-9A-F]{2,30}\n){0,8}") {
            let _ = parse(text.as_bytes());
        }
    }
}
