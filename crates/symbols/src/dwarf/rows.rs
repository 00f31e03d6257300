//! Lines of code, by address, in a quarter of the room that they would take as numbers.
//!
//! Rows stand in blocks. A block is found by its first address; its rows are told by what is
//! different from the row before, as numbers of seven bits a byte.

use std::ops::Range;

/// Rows in a block, at the most: as many are read for one lookup.
const BLOCK: u32 = 32;

/// From an address on, up to the next row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) address: u32,
    /// Number in the list of files.
    pub(super) file: u32,
    /// 0: of no line.
    pub(super) line: u32,
    /// 0: the whole line.
    pub(super) column: u32,
}

/// Rows of sequences, one behind the other.
#[derive(Default)]
pub(super) struct Rows {
    blocks: Vec<Block>,
    bytes: Vec<u8>,
    /// The sequence that is being told.
    open: Open,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    /// Of its first row.
    address: u32,
    /// Where its rows begin.
    at: u32,
}

#[derive(Default)]
struct Open {
    /// Its first block, and where that begins.
    block: usize,
    at: usize,
    /// Rows in its last block.
    rows: u32,
    last: Row,
    first: Option<u32>,
    unsorted: bool,
}

impl Rows {
    /// Adds a row to the sequence.
    pub(super) fn push(&mut self, row: Row) {
        let open = &mut self.open;
        let begins = open.first.is_none() || open.rows == BLOCK || row.address < open.last.address;
        open.unsorted |= open.first.is_some() && row.address < open.last.address;
        open.first = Some(
            open.first
                .map_or(row.address, |first| first.min(row.address)),
        );
        let before = if begins {
            self.blocks.push(Block {
                address: row.address,
                at: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
            });
            open.rows = 0;
            Row {
                address: row.address,
                ..Row::default()
            }
        } else {
            open.last
        };
        open.rows += 1;
        open.last = row;
        let other_file = u64::from(row.file != before.file);
        let further = u64::from(row.address - before.address);
        write(&mut self.bytes, (further << 1) | other_file);
        if row.file != before.file {
            write(&mut self.bytes, row.file.into());
        }
        let lines = i64::from(row.line) - i64::from(before.line);
        // The sign goes to the lowest bit.
        write(&mut self.bytes, ((lines << 1) ^ (lines >> 63)) as u64);
        write(&mut self.bytes, row.column.into());
    }

    /// The lowest address of the sequence.
    pub(super) fn first_of_sequence(&self) -> Option<u32> {
        self.open.first
    }

    /// Ends the sequence. Returns its blocks.
    pub(super) fn finish(&mut self) -> Range<u32> {
        if self.open.unsorted {
            let blocks = self.open.block..self.blocks.len();
            let mut rows: Vec<Row> = blocks.flat_map(|block| self.block(block)).collect();
            rows.sort_by_key(|row| row.address);
            self.forget();
            for row in rows {
                self.push(row);
            }
        }
        let blocks = self.open.block as u32..self.blocks.len() as u32;
        self.begin();
        blocks
    }

    /// Forgets what there is of a sequence.
    pub(super) fn forget(&mut self) {
        self.blocks.truncate(self.open.block);
        self.bytes.truncate(self.open.at);
        self.begin();
    }

    fn begin(&mut self) {
        self.open = Open {
            block: self.blocks.len(),
            at: self.bytes.len(),
            ..Open::default()
        };
    }

    /// The row of an address, in the blocks of a sequence. Of several rows for one address the last one
    /// counts.
    pub(super) fn find(&self, blocks: &Range<u32>, address: u32) -> Option<Row> {
        let first = blocks.start as usize;
        let blocks = self.blocks.get(first..blocks.end as usize)?;
        let behind = blocks.partition_point(|block| block.address <= address);
        let rows = self.block(first + behind.checked_sub(1)?);
        rows.take_while(|row| row.address <= address).last()
    }

    fn block(&self, number: usize) -> impl Iterator<Item = Row> {
        let block = self.blocks.get(number);
        let next = self.blocks.get(number + 1);
        let end = next.map_or(self.bytes.len(), |next| next.at as usize);
        let bytes = block.and_then(|block| self.bytes.get(block.at as usize..end));
        let mut bytes = bytes.unwrap_or_default().iter();
        let mut row = Row {
            address: block.map_or(0, |block| block.address),
            ..Row::default()
        };
        std::iter::from_fn(move || {
            let step = read(&mut bytes)?;
            row.address += (step >> 1) as u32;
            if step & 1 == 1 {
                row.file = read(&mut bytes)? as u32;
            }
            let lines = read(&mut bytes)?;
            let lines = (lines >> 1) as i64 ^ -((lines & 1) as i64);
            row.line = (i64::from(row.line) + lines) as u32;
            row.column = read(&mut bytes)? as u32;
            Some(row)
        })
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.blocks.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// Bytes that they take.
    pub(super) fn size(&self) -> usize {
        size_of_val(self.blocks.as_slice()) + self.bytes.len()
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read<'a>(bytes: &mut impl Iterator<Item = &'a u8>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.next()?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let number = || prop_oneof![0_u32..5, any::<u32>()];
        let row = (0_u32..300, number(), number(), number());
        let row = row.prop_map(|(address, file, line, column)| Row {
            address,
            file,
            line,
            column,
        });
        proptest::collection::vec(row, 1..120)
    }

    proptest! {
        #[test]
        fn an_address_is_found_in_the_last_row_that_begins_before_it(
            sequences in proptest::collection::vec(rows(), 1..4),
            sorted: bool,
            address in 0_u32..310,
        ) {
            let mut kept = Rows::default();
            let mut found = Vec::new();
            for mut rows in sequences.clone() {
                if sorted {
                    rows.sort_by_key(|row| row.address);
                }
                for row in &rows {
                    kept.push(*row);
                }
                rows.sort_by_key(|row| row.address);
                prop_assert_eq!(kept.first_of_sequence(), rows.first().map(|row| row.address));
                found.push((kept.finish(), rows));
                kept.push(Row::default());
                kept.forget();
            }
            for (blocks, rows) in found {
                let right = rows.iter().rfind(|row| row.address <= address);
                prop_assert_eq!(kept.find(&blocks, address), right.copied());
            }
        }
    }
}
