//! Debugging information as it is read: units, entries and ranges, with a limit to the work.

use std::cell::Cell;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use gimli::{
    Abbreviation, Abbreviations, AttributeValue, DebugAbbrev, DebugInfoOffset, DebugLineOffset,
    DebugStrOffsetsBase, DwLang, DwarfFileType, EndianSlice, EntriesRaw, IncompleteLineProgram,
    LittleEndian, Reader as _, Section as _, Unit, UnitHeader, constants as dw,
};

use super::{Damage, Sections};

pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Value<'a> = AttributeValue<Slice<'a>>;

/// Steps for each byte there is. Reading everything once takes about one.
const STEPS_PER_BYTE: u64 = 8;

/// Steps that there are in any case.
const LEAST_STEPS: u64 = 1 << 20;

/// The longest table of abbreviations, and the longest list of a unit's files, in bytes. Those of
/// large programs in one unit have some 10 KB and 100 KB.
const MOST_DESCRIPTION: usize = 1 << 20;

/// What sections say, and how much more of it may be read.
pub(super) struct Reader<'a> {
    pub(super) dwarf: gimli::Dwarf<Slice<'a>>,
    size: usize,
    steps: Cell<u64>,
}

/// Where a unit is.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnitPlace {
    /// From the start of `.debug_info`.
    pub(super) offset: u32,
    /// Where its abbreviations end at the latest, from the start of `.debug_abbrev`.
    pub(super) abbreviations_end: u32,
}

/// A unit.
pub(super) struct OpenUnit<'a> {
    pub(super) unit: Unit<Slice<'a>>,
    /// What it occupies.
    pub(super) extent: Extent<'a>,
    /// Where its lines are.
    pub(super) lines: Option<DebugLineOffset>,
    pub(super) language: Option<DwLang>,
}

/// What a function, inlined or not, occupies: as it is written.
#[derive(Default)]
pub(super) struct Extent<'a> {
    low: Option<Value<'a>>,
    high: Option<Value<'a>>,
    ranges: Option<Value<'a>>,
}

/// An entry that describes a function, inlined or not.
#[derive(Default)]
pub(super) struct Function<'a> {
    pub(super) extent: Extent<'a>,
    pub(super) linkage_name: Option<Value<'a>>,
    pub(super) name: Option<Value<'a>>,
    /// The entry with what this one does not repeat.
    pub(super) origin: Option<Value<'a>>,
    /// Where it is called, of an inlined one.
    pub(super) call_file: Option<u64>,
    pub(super) call_line: Option<u64>,
    pub(super) call_column: Option<u64>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sections: Sections<'a, '_>) -> Self {
        let mut size = 0;
        let Ok(dwarf) = gimli::Dwarf::load(|id| {
            let section = sections(id.name());
            size += section.len();
            Ok::<_, Infallible>(EndianSlice::new(section, LittleEndian))
        });
        Self {
            dwarf,
            size,
            steps: Cell::new(LEAST_STEPS.saturating_add(STEPS_PER_BYTE * size as u64)),
        }
    }

    /// Bytes of all sections.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// How many ranges there can be: each takes more bytes than this, unless many entries have the
    /// same.
    pub(super) fn most_ranges(&self) -> usize {
        self.size / 4
    }

    /// Counts work.
    pub(super) fn step(&self, steps: usize) -> Result<(), Damage> {
        let left = self.steps.get().checked_sub(steps as u64);
        self.steps.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Damage::Endless)
    }

    /// The header of a unit.
    pub(super) fn header(&self, place: UnitPlace) -> Result<UnitHeader<Slice<'a>>, Damage> {
        let offset = DebugInfoOffset(place.offset as usize);
        Ok(self.dwarf.debug_info.header_from_offset(offset)?)
    }

    /// Opens a unit.
    pub(super) fn unit(&self, place: UnitPlace) -> Result<OpenUnit<'a>, Damage> {
        let header = self.header(place)?;
        let abbreviations = self.abbreviations(&header, place)?;
        self.unit_with(header, abbreviations)
    }

    /// The abbreviations of a unit.
    pub(super) fn abbreviations(
        &self,
        header: &UnitHeader<Slice<'a>>,
        place: UnitPlace,
    ) -> Result<Arc<Abbreviations>, Damage> {
        let section = self.dwarf.debug_abbrev.reader().slice();
        let offset = header.debug_abbrev_offset();
        let end = (place.abbreviations_end as usize).min(section.len());
        let end = end.min(offset.0.saturating_add(MOST_DESCRIPTION));
        self.step(end.saturating_sub(offset.0))?;
        let section = section.get(..end).unwrap_or(section);
        Ok(DebugAbbrev::new(section, LittleEndian)
            .abbreviations(offset)?
            .into())
    }

    /// Opens a unit of which the abbreviations are known. Its lines are not read: those of many
    /// units may be the same.
    pub(super) fn unit_with(
        &self,
        header: UnitHeader<Slice<'a>>,
        abbreviations: Arc<Abbreviations>,
    ) -> Result<OpenUnit<'a>, Damage> {
        let mut extent = Extent::default();
        let (mut folder, mut name) = (None, None);
        let (mut lines, mut language) = (None, None);
        let (encoding, kind) = (header.encoding(), DwarfFileType::Main);
        let mut str_offsets_base =
            DebugStrOffsetsBase::default_for_encoding_and_file(encoding, kind);
        let mut addr_base = gimli::DebugAddrBase(0);
        let mut rnglists_base =
            gimli::DebugRngListsBase::default_for_encoding_and_file(encoding, kind);
        let mut entries = header.entries_raw(&abbreviations, None)?;
        let Some(root) = entries.read_abbreviation()? else {
            return Err(gimli::Error::MissingUnitDie.into());
        };
        self.step(1 + root.attributes().len())?;
        for specification in root.attributes() {
            let attribute = entries.read_attribute(*specification)?;
            let value = attribute.value();
            match (attribute.name(), value) {
                (dw::DW_AT_name, value) => name = Some(value),
                (dw::DW_AT_comp_dir, value) => folder = Some(value),
                (dw::DW_AT_stmt_list, AttributeValue::DebugLineRef(at)) => lines = Some(at),
                (dw::DW_AT_language, AttributeValue::Language(of)) => language = Some(of),
                (dw::DW_AT_str_offsets_base, AttributeValue::DebugStrOffsetsBase(base)) => {
                    str_offsets_base = base;
                }
                (
                    dw::DW_AT_addr_base | dw::DW_AT_GNU_addr_base,
                    AttributeValue::DebugAddrBase(base),
                ) => addr_base = base,
                (
                    dw::DW_AT_rnglists_base | dw::DW_AT_GNU_ranges_base,
                    AttributeValue::DebugRngListsBase(base),
                ) => rnglists_base = base,
                (name, value) => extent.take(name, value),
            }
        }
        let mut unit = Unit {
            header,
            abbreviations,
            name: None,
            comp_dir: None,
            low_pc: 0,
            str_offsets_base,
            addr_base,
            loclists_base: gimli::DebugLocListsBase(0),
            rnglists_base,
            line_program: None,
            dwo_id: None,
        };
        let text = |value: Option<Value<'a>>, unit: &Unit<Slice<'a>>| {
            value.and_then(|value| self.dwarf.attr_string(unit, value).ok())
        };
        unit.name = text(name, &unit);
        unit.comp_dir = text(folder, &unit);
        if let Some(low) = extent.low {
            unit.low_pc = self.dwarf.attr_address(&unit, low)?.unwrap_or(0);
        }
        Ok(OpenUnit {
            unit,
            extent,
            lines,
            language,
        })
    }

    /// The program that tells the lines of a unit.
    pub(super) fn line_program(
        &self,
        unit: &OpenUnit<'a>,
    ) -> Result<Option<IncompleteLineProgram<Slice<'a>>>, Damage> {
        let Some(offset) = unit.lines else {
            return Ok(None);
        };
        // A file may take much more memory than bytes here.
        let mut header = *self.dwarf.debug_line.reader();
        header.skip(offset.0)?;
        let (_, format) = header.read_initial_length()?;
        if header.read_u16()? >= 5 {
            header.skip(2)?;
        }
        let len = header.read_length(format)?;
        if len > MOST_DESCRIPTION {
            return Err(Damage::Endless);
        }
        self.step(len)?;
        let (folder, name) = (unit.unit.comp_dir, unit.unit.name);
        let address_size = unit.unit.header.address_size();
        let lines = &self.dwarf.debug_line;
        Ok(Some(lines.program(offset, address_size, folder, name)?))
    }

    /// Reads the attributes of an entry.
    pub(super) fn function(
        &self,
        entries: &mut EntriesRaw<'_, '_, Slice<'a>>,
        abbreviation: &Abbreviation,
    ) -> Result<Function<'a>, Damage> {
        let mut function = Function::default();
        self.step(1 + abbreviation.attributes().len())?;
        for specification in abbreviation.attributes() {
            let attribute = entries.read_attribute(*specification)?;
            let value = attribute.value();
            match attribute.name() {
                dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name => {
                    function.linkage_name = Some(value);
                }
                dw::DW_AT_name => function.name = Some(value),
                dw::DW_AT_abstract_origin | dw::DW_AT_specification => {
                    function.origin = Some(value);
                }
                dw::DW_AT_call_file => {
                    function.call_file = match value {
                        AttributeValue::FileIndex(index) => Some(index),
                        _ => value.udata_value(),
                    };
                }
                dw::DW_AT_call_line => function.call_line = value.udata_value(),
                dw::DW_AT_call_column => function.call_column = value.udata_value(),
                name => function.extent.take(name, value),
            }
        }
        Ok(function)
    }

    /// Passes over the attributes of an entry.
    pub(super) fn skip(
        &self,
        entries: &mut EntriesRaw<'_, '_, Slice<'a>>,
        abbreviation: &Abbreviation,
    ) -> Result<(), Damage> {
        let attributes = abbreviation.attributes();
        self.step(1 + attributes.len())?;
        Ok(entries.skip_attributes(attributes)?)
    }
}

impl<'a> Extent<'a> {
    fn take(&mut self, name: gimli::DwAt, value: Value<'a>) {
        match name {
            dw::DW_AT_low_pc => self.low = Some(value),
            dw::DW_AT_high_pc => self.high = Some(value),
            dw::DW_AT_ranges => self.ranges = Some(value),
            _ => {}
        }
    }

    /// Calls `each` with every range of addresses. Returns whether there is any at all, an empty one
    /// or one that the linker left out included.
    pub(super) fn for_each(
        &self,
        reader: &Reader<'a>,
        unit: &Unit<Slice<'a>>,
        mut each: impl FnMut(Range<u64>),
    ) -> Result<bool, Damage> {
        let dwarf = &reader.dwarf;
        if let Some(ranges) = self.ranges
            && let Some(offset) = dwarf.attr_ranges_offset(unit, ranges)?
        {
            let mut list = dwarf.ranges(unit, offset)?;
            while let Some(raw) = list.next_raw()? {
                reader.step(1)?;
                if let Some(range) = list.convert_raw(raw)? {
                    each(range.begin..range.end);
                }
            }
            return Ok(true);
        }
        let (Some(low), Some(high)) = (self.low, self.high) else {
            return Ok(false);
        };
        let Some(low) = dwarf.attr_address(unit, low)? else {
            return Ok(false);
        };
        let high = match dwarf.attr_address(unit, high)? {
            Some(high) => Some(high),
            None => high.udata_value().and_then(|len| low.checked_add(len)),
        };
        if let Some(high) = high {
            each(low..high);
        }
        Ok(true)
    }
}
