//! Where in the source an address is, by DWARF 2 to 5.
//!
//! Nothing that these sections say is believed without a limit: work is counted, nothing calls itself
//! as deep as the data are nested, and what is damaged takes only its own unit with it.

mod details;
mod frames;
mod index;
mod reader;
mod rows;
mod source;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use thiserror::Error;

use crate::symbols::SourceFrame;

use self::details::Details;
use self::frames::Frames;
use self::index::Index;
use self::reader::{OpenUnit, Reader};

pub use self::source::{SourceUnit, source_units};

/// The least that may be kept of units that were looked into, in bytes.
const LEAST_KEPT: usize = 1 << 20;

/// Why debugging information tells less than it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Damage {
    /// It cannot be what it is said to be.
    #[error("{0}")]
    Dwarf(gimli::Error),
    /// Reading it takes more work than a file of its size can need.
    #[error("it tells of more than it has room for")]
    Endless,
    /// It is compressed in another way than with zlib, or is not what the header says.
    #[error(
        "section {0} cannot be decompressed (zlib alone is known: link with -gz=zlib or -gz=none)"
    )]
    Compressed(String),
}

impl From<gimli::Error> for Damage {
    fn from(error: gimli::Error) -> Self {
        Self::Dwarf(error)
    }
}

/// Gives a section by its name; an empty one where there is none.
type Sections<'a, 's> = &'s dyn Fn(&str) -> &'a [u8];

/// What was found in the debugging information of a program so far.
pub(crate) struct Dwarf {
    code: Code,
    index: OnceLock<Index>,
    kept: Mutex<Kept>,
}

/// Units that were looked into.
#[derive(Default)]
struct Kept {
    units: HashMap<u32, Arc<Details>>,
    /// Bytes that they take.
    size: usize,
}

impl Dwarf {
    /// Knows nothing but where the code is.
    pub(crate) fn new(code: Code) -> Self {
        Self {
            code,
            index: OnceLock::new(),
            kept: Mutex::default(),
        }
    }

    /// Where the code is.
    pub(crate) fn code(&self) -> &Code {
        &self.code
    }

    /// What is wrong, as far as can be seen without looking into every unit.
    pub(crate) fn damage(&self, sections: Sections<'_, '_>) -> Option<Damage> {
        self.index(&Reader::new(sections)).damage.clone()
    }

    /// The frames at an address, the innermost first.
    pub(crate) fn frames(
        &self,
        address: u32,
        symbol: Option<&str>,
        sections: Sections<'_, '_>,
    ) -> Vec<SourceFrame> {
        let reader = Reader::new(sections);
        let Some((unit, details)) = self.open(address, &reader) else {
            return Vec::new();
        };
        Frames {
            reader: &reader,
            index: self.index(&reader),
            unit: &unit,
            details: &details,
            symbol,
        }
        .at(address)
    }

    /// Reads what tells the frames at an address.
    pub(crate) fn prepare(&self, address: u32, sections: Sections<'_, '_>) {
        let _ = self.open(address, &Reader::new(sections));
    }

    /// The unit that has code at an address.
    fn open<'a>(&self, address: u32, reader: &Reader<'a>) -> Option<(OpenUnit<'a>, Arc<Details>)> {
        if !self.code.contains(address) {
            return None;
        }
        let place = self.index(reader).find(address)?;
        let unit = reader.unit(place).ok()?;
        let limit = LEAST_KEPT.max(reader.size() / 2);
        let details = self.details(place.offset, limit, || {
            Details::new(reader, &unit, &self.code)
        });
        Some((unit, details))
    }

    fn index(&self, reader: &Reader<'_>) -> &Index {
        self.index.get_or_init(|| Index::new(reader, &self.code))
    }

    /// What a unit holds, if need be looked up. When too much is kept, all is forgotten but the last
    /// one: the next address is likely to be in it.
    fn details(&self, unit: u32, limit: usize, look: impl FnOnce() -> Details) -> Arc<Details> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(details) = kept.units.get(&unit) {
            return details.clone();
        }
        let details = Arc::new(look());
        let size = details.size();
        if kept.size.saturating_add(size) > limit {
            *kept = Kept::default();
        }
        kept.size += size;
        kept.units.insert(unit, details.clone());
        details
    }
}

/// Where a program has code. What the linker left out stays in the debugging information, at 0, at
/// 1 or at the end of the addresses: it is nowhere here.
#[derive(Debug)]
pub(crate) struct Code {
    /// Ascending; they neither overlap nor touch.
    ranges: Vec<Range<u32>>,
}

impl Code {
    /// Of the addresses of sections.
    pub(crate) fn new(sections: impl Iterator<Item = Range<u32>>) -> Self {
        let mut all: Vec<_> = sections.filter(|range| !range.is_empty()).collect();
        all.sort_by_key(|range| range.start);
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for range in all {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }

    /// Whether there is code at an address.
    pub(crate) fn contains(&self, address: u32) -> bool {
        self.clip(address.into(), u64::from(address) + 1).is_some()
    }

    /// What of a range is code, from its start on; nothing when it does not begin in code.
    fn clip(&self, start: u64, end: u64) -> Option<Range<u32>> {
        let start = u32::try_from(start).ok()?;
        let at = self.ranges.partition_point(|range| range.end <= start);
        let section = self.ranges.get(at).filter(|range| range.start <= start)?;
        let end = end.min(section.end.into());
        let range = start..u32::try_from(end).ok()?;
        (!range.is_empty()).then_some(range)
    }
}
