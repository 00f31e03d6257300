//! Stack memory of RISC-V reports and of the ESP8266.

use super::scan::{address, word};
use crate::StackBlock;

/// A line of stack memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub address: u32,
    pub words: Vec<u32>,
    /// A word is cut, or there is something else in the line.
    pub cut: bool,
}

/// `3fc91a40: 0x00000000 0x3fc8c000 ..`, the address with or without `0x`.
pub(super) fn riscv(text: &str) -> Option<Row> {
    let (start, rest) = leading(text)?;
    let rest = rest.strip_prefix(':')?;
    let mut rest = rest.trim_start();
    if !rest.is_empty() && !rest.starts_with("0x") {
        return None;
    }
    let mut words = Vec::with_capacity(8);
    while let Some((word, behind)) = address(rest) {
        words.push(word);
        rest = behind.trim_start();
    }
    let cut = !rest.is_empty() || words.len() < 8;
    Some(Row {
        address: start,
        words,
        cut,
    })
}

/// `3ffffed0:  00000000 40201f00 3fff0000 402020ab <`.
pub(super) fn esp8266(text: &str) -> Option<Row> {
    let (start, rest) = leading(text)?;
    let mut rest = rest.strip_prefix(':')?.trim_start();
    let mut words = Vec::with_capacity(4);
    while let Some((word, behind)) = word(rest) {
        words.push(word);
        rest = behind.trim_start();
    }
    let cut = !(rest.is_empty() || rest == "<") || words.len() < 4;
    Some(Row {
        address: start,
        words,
        cut,
    })
}

/// The address that begins the line.
fn leading(text: &str) -> Option<(u32, &str)> {
    let text = text.trim_start();
    word(text.strip_prefix("0x").unwrap_or(text)).filter(|(address, _)| address % 4 == 0)
}

/// Adds a row: to the last block where it continues it, else as a new one. Whether words are missing
/// between the two.
pub(super) fn add(blocks: &mut Vec<StackBlock>, row: Row) -> bool {
    if row.words.is_empty() {
        return false;
    }
    match blocks.last_mut() {
        Some(last) if last.end() == u64::from(row.address) => {
            last.words.extend(row.words);
            false
        }
        last => {
            let gap = last.is_some();
            blocks.push(StackBlock {
                address: row.address,
                words: row.words,
            });
            gap
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_up_to_where_they_are_whole() {
        let line = "3fc91a40: 0x00000001 0x00000002 0x00000003 0x00000004 0x00000005 0x00000006 0x00000007 0x00000008";
        let row = riscv(line).expect("a row");
        assert_eq!(
            (row.address, row.words.len(), row.cut),
            (0x3fc9_1a40, 8, false)
        );
        for length in 9..line.len() {
            let Some(row) = riscv(&line[..length]) else {
                assert_eq!(length, 11, "the first word has one digit");
                continue;
            };
            assert!(row.cut);
            let whole: Vec<u32> = (1..=8).take((length + 1).saturating_sub(10) / 11).collect();
            assert_eq!(row.words, whole, "{length}");
        }
        assert_eq!(riscv("3fc91a40: what else"), None);
        assert_eq!(riscv("12345678901: 0x00000001"), None);
        let row = esp8266("3ffffed0:  00000000 40201f00 3fff0000 402020ab <").expect("a row");
        assert_eq!((row.words.len(), row.cut), (4, false));
    }

    #[test]
    fn rows_that_do_not_follow_begin_a_block() {
        let row = |address, words: &[u32]| Row {
            address,
            words: words.to_vec(),
            cut: false,
        };
        let mut blocks = Vec::new();
        assert!(!add(&mut blocks, row(0x100, &[1, 2])));
        assert!(!add(&mut blocks, row(0x108, &[3])));
        assert!(add(&mut blocks, row(0x200, &[4])));
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[0].words, [1, 2, 3]);
        assert!(!add(&mut blocks, row(0xffff_fffc, &[])));
    }
}
