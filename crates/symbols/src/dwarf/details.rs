//! What one unit tells: its functions and its lines, by address.

use std::ops::Range;

use gimli::{UnitOffset, constants as dw};

use crate::intervals::Intervals;

use super::reader::{OpenUnit, Reader};
use super::rows::{Row, Rows};
use super::{Code, Damage};

/// Functions and lines of a unit.
pub(super) struct Details {
    pub(super) functions: Functions,
    pub(super) lines: Lines,
}

/// Functions that have code of their own.
#[derive(Default)]
pub(super) struct Functions {
    places: Intervals,
    /// The entry of each range, from the start of the unit.
    entries: Vec<u32>,
}

/// Lines by address.
#[derive(Default)]
pub(super) struct Lines {
    places: Intervals,
    sequences: Vec<Sequence>,
    rows: Rows,
}

/// Code of which the lines were told at once.
struct Sequence {
    memory: Range<u32>,
    /// Which blocks of rows.
    blocks: Range<u32>,
}

impl Details {
    /// Reads all entries and all lines of a unit. Where they are damaged, what stands before counts.
    pub(super) fn new<'a>(reader: &Reader<'a>, unit: &OpenUnit<'a>, code: &Code) -> Self {
        Self {
            functions: Functions::new(reader, unit, code),
            lines: Lines::new(reader, unit, code),
        }
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        let Self { functions, lines } = self;
        functions.places.size()
            + size_of_val(functions.entries.as_slice())
            + lines.places.size()
            + size_of_val(lines.sequences.as_slice())
            + lines.rows.size()
            + size_of::<Self>()
    }
}

impl Functions {
    fn new<'a>(reader: &Reader<'a>, unit: &OpenUnit<'a>, code: &Code) -> Self {
        let mut functions = Self::default();
        let mut ranges = Vec::new();
        let mut read = || -> Result<(), Damage> {
            let unit = &unit.unit;
            let mut entries = unit.header.entries_raw(&unit.abbreviations, None)?;
            while !entries.is_empty() {
                let offset = entries.next_offset();
                let Some(abbreviation) = entries.read_abbreviation()? else {
                    continue;
                };
                if abbreviation.tag() != dw::DW_TAG_subprogram {
                    reader.skip(&mut entries, abbreviation)?;
                    continue;
                }
                let function = reader.function(&mut entries, abbreviation)?;
                let Ok(offset) = u32::try_from(offset.0) else {
                    continue;
                };
                function.extent.for_each(reader, unit, |range| {
                    if let Some(range) = code.clip(range.start, range.end) {
                        ranges.push(range);
                        functions.entries.push(offset);
                    }
                })?;
                if ranges.len() > reader.most_ranges() {
                    return Err(Damage::Endless);
                }
            }
            Ok(())
        };
        // What was read before something damaged counts.
        let _ = read();
        functions.entries.shrink_to_fit();
        functions.places = Intervals::new(ranges);
        functions
    }

    /// The entry of the function that has code at an address.
    pub(super) fn find(&self, address: u32) -> Option<UnitOffset> {
        let entry = self.entries.get(self.places.find(address)?)?;
        Some(UnitOffset(*entry as usize))
    }
}

impl Lines {
    pub(super) fn new<'a>(reader: &Reader<'a>, unit: &OpenUnit<'a>, code: &Code) -> Self {
        let mut lines = Self::default();
        let mut read = || -> Result<(), Damage> {
            let Some(program) = reader.line_program(unit)? else {
                return Ok(());
            };
            reader.step(program.header().raw_program_buf().len())?;
            let mut rows = program.rows();
            while let Some((_, row)) = rows.next_row()? {
                if row.end_sequence() {
                    lines.end(row.address(), code);
                    continue;
                }
                let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
                let Ok(address) = u32::try_from(row.address()) else {
                    continue;
                };
                lines.rows.push(Row {
                    address,
                    file: number(row.file_index()),
                    line: row.line().map_or(0, |line| number(line.get())),
                    column: match row.column() {
                        gimli::ColumnType::LeftEdge => 0,
                        gimli::ColumnType::Column(column) => number(column.get()),
                    },
                });
            }
            Ok(())
        };
        let _ = read();
        lines.rows.forget();
        lines.rows.shrink_to_fit();
        lines.sequences.shrink_to_fit();
        lines.places = Intervals::new(lines.ranges());
        lines
    }

    /// Ends a sequence; forgets it when it is not code.
    fn end(&mut self, end: u64, code: &Code) {
        let first = self.rows.first_of_sequence();
        let memory = first.and_then(|first| code.clip(first.into(), end));
        match memory {
            Some(memory) => {
                let blocks = self.rows.finish();
                self.sequences.push(Sequence { memory, blocks });
            }
            None => self.rows.forget(),
        }
    }

    /// The code that has lines.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u32>> {
        let sequences = self.sequences.iter();
        sequences.map(|sequence| sequence.memory.clone())
    }

    /// The row of an address.
    pub(super) fn find(&self, address: u32) -> Option<Row> {
        let sequence = self.sequences.get(self.places.find(address)?)?;
        self.rows.find(&sequence.blocks, address)
    }
}
