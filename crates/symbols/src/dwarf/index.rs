//! Which unit an address belongs to.

use std::ops::Range;
use std::sync::Arc;

use gimli::{Abbreviations, DebugInfoOffset};

use crate::intervals::Intervals;

use super::details::Lines;
use super::reader::{OpenUnit, Reader, UnitPlace};
use super::{Code, Damage};

/// All units, and what they occupy.
pub(super) struct Index {
    /// In the order of the file.
    units: Vec<UnitPlace>,
    places: Intervals,
    /// The unit of each range.
    owners: Vec<u32>,
    /// The first thing that was wrong.
    pub(super) damage: Option<Damage>,
}

impl Index {
    /// Reads the first entry of every unit.
    pub(super) fn new(reader: &Reader<'_>, code: &Code) -> Self {
        let (units, damage) = units(reader);
        let mut index = Self {
            units,
            places: Intervals::default(),
            owners: Vec::new(),
            damage,
        };
        let mut ranges = Vec::new();
        for (number, unit) in (0..).zip(opened(reader, &index.units)) {
            let read = unit.and_then(|unit| {
                occupied(reader, &unit, code, |range| {
                    ranges.push(range);
                    index.owners.push(number);
                })?;
                match ranges.len() > reader.most_ranges() {
                    true => Err(Damage::Endless),
                    false => Ok(()),
                }
            });
            if let Err(damage) = read {
                let endless = damage == Damage::Endless;
                index.damage.get_or_insert(damage);
                if endless {
                    break;
                }
            }
        }
        index.places = Intervals::new(ranges);
        index
    }

    /// The unit that has code at an address.
    pub(super) fn find(&self, address: u32) -> Option<UnitPlace> {
        let owner = self.owners.get(self.places.find(address)?)?;
        self.units.get(*owner as usize).copied()
    }

    /// The unit that may hold an offset in `.debug_info`.
    pub(super) fn unit_at(&self, offset: DebugInfoOffset) -> Option<UnitPlace> {
        let behind = self
            .units
            .partition_point(|unit| unit.offset as usize <= offset.0);
        self.units.get(behind.checked_sub(1)?).copied()
    }
}

/// Calls `each` with what a unit occupies.
fn occupied<'a>(
    reader: &Reader<'a>,
    unit: &OpenUnit<'a>,
    code: &Code,
    mut each: impl FnMut(Range<u32>),
) -> Result<(), Damage> {
    let told = unit.extent.for_each(reader, &unit.unit, |range| {
        if let Some(range) = code.clip(range.start, range.end) {
            each(range);
        }
    })?;
    if !told {
        // Some assemblers and linkers leave it to the lines.
        Lines::new(reader, unit, code).ranges().for_each(each);
    }
    Ok(())
}

/// Opens units one after the other.
pub(super) fn opened<'a>(
    reader: &Reader<'a>,
    units: &[UnitPlace],
) -> impl Iterator<Item = Result<OpenUnit<'a>, Damage>> {
    let mut last: Option<(_, Arc<Abbreviations>)> = None;
    units.iter().map(move |place| {
        let header = reader.header(*place)?;
        // Units of one object file share their abbreviations.
        let at = header.debug_abbrev_offset();
        let abbreviations = match &last {
            Some((of, abbreviations)) if *of == at => abbreviations.clone(),
            _ => reader.abbreviations(&header, *place)?,
        };
        last = Some((at, abbreviations.clone()));
        reader.unit_with(header, abbreviations)
    })
}

/// Where the units are, and what ended the list too early.
pub(super) fn units(reader: &Reader<'_>) -> (Vec<UnitPlace>, Option<Damage>) {
    let mut found = Vec::new();
    let mut damage = None;
    let mut headers = reader.dwarf.units();
    loop {
        let header = match headers.next() {
            Ok(Some(header)) => header,
            Ok(None) => break,
            Err(error) => {
                damage = Some(error.into());
                break;
            }
        };
        let offset = header.offset().as_debug_info_offset();
        let offset = offset.and_then(|offset| u32::try_from(offset.0).ok());
        let abbreviations = u32::try_from(header.debug_abbrev_offset().0);
        if let (Some(offset), Ok(abbreviations)) = (offset, abbreviations) {
            found.push(UnitPlace {
                offset,
                abbreviations_end: abbreviations,
            });
        }
    }
    // A table ends where the next one begins: so that all together take no more than the section.
    let mut starts: Vec<u32> = found.iter().map(|unit| unit.abbreviations_end).collect();
    starts.sort_unstable();
    starts.dedup();
    for unit in &mut found {
        let next = starts.partition_point(|start| *start <= unit.abbreviations_end);
        unit.abbreviations_end = starts.get(next).copied().unwrap_or(u32::MAX);
    }
    (found, damage)
}
