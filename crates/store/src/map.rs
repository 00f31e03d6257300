//! What lies where in flash.

use std::ops::Range;

use crate::{PartitionTable, TABLE_LEN};

/// A stretch of flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stretch {
    /// In front of the table, which has no entry for it: where the bootloader is.
    Bootloader(Range<u64>),
    /// The partition table.
    Table(Range<u64>),
    /// A partition, by its place in the table.
    Partition(usize, Range<u64>),
    /// Nothing.
    Free(Range<u64>),
}

impl Stretch {
    /// Its bytes.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        match self {
            Self::Bootloader(range)
            | Self::Table(range)
            | Self::Partition(_, range)
            | Self::Free(range) => range.clone(),
        }
    }
}

/// All of the flash in order of addresses, without gaps: `bootloader` is where the ROM finds it,
/// `flash` the size in bytes where it is known, else the end of the last partition. Partitions that
/// overlap follow each other as they begin.
#[must_use]
pub fn map(
    table: &PartitionTable,
    table_offset: u32,
    bootloader: Option<u32>,
    flash: Option<u64>,
) -> Vec<Stretch> {
    let own = u64::from(table_offset)..u64::from(table_offset) + u64::from(TABLE_LEN);
    let named: Vec<Stretch> = (0..)
        .zip(&table.partitions)
        .map(|(index, partition)| Stretch::Partition(index, partition.range()))
        .collect();
    let is_named = |start: u64| named.iter().any(|stretch| stretch.range().start == start);
    let mut stretches = Vec::new();
    if let Some(start) = bootloader.map(u64::from)
        && start < own.start
        && !is_named(start)
    {
        let end = named.iter().map(|stretch| stretch.range().start);
        let end = end.filter(|other| *other > start).min();
        let end = end.unwrap_or(own.start).min(own.start);
        stretches.push(Stretch::Bootloader(start..end));
    }
    if !is_named(own.start) {
        stretches.push(Stretch::Table(own.clone()));
    }
    stretches.extend(named);
    stretches.sort_by_key(|stretch| (stretch.range().start, stretch.range().end));
    let end = flash.unwrap_or_else(|| table.end().max(own.end));
    let mut whole = Vec::with_capacity(stretches.len() * 2);
    let mut free = 0;
    for stretch in stretches {
        let range = stretch.range();
        if range.start > free {
            whole.push(Stretch::Free(free..range.start));
        }
        free = free.max(range.end);
        whole.push(stretch);
    }
    if free < end {
        whole.push(Stretch::Free(free..end));
    }
    whole
}
