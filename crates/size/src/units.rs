//! Whose bytes they are, by debugging information: each compilation unit has a name, and tells what
//! its functions and variables occupy.

use std::collections::HashMap;
use std::ops::Range;

use gimli::{
    AttributeValue, Dwarf, DwarfSections, EndianSlice, LittleEndian, Reader as _, SectionId, Unit,
    constants as dw,
};
use guru_image::{Elf, ElfMemory, ReadError};

/// What is used of it. Frames, locations of variables in registers and the like stay in the file.
const WANTED: [SectionId; 9] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// Folders whose subfolders are components or libraries of their own (ESP-IDF, its component
/// manager, Arduino, PlatformIO).
const LIBRARIES: [&str; 4] = ["components", "managed_components", "libraries", "lib"];

/// Who the bytes at some place are from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// The archive, component, folder or crate.
    pub(crate) archive: String,
    /// The object file or source file.
    pub(crate) object: String,
}

/// Where bytes of which origin are.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    pub(crate) list: Vec<Origin>,
    /// Addresses and a number in the list. None overlap, the lowest is first.
    pub(crate) ranges: Vec<(Range<u64>, u32)>,
    /// Variables by their first address.
    pub(crate) variables: HashMap<u64, u32>,
}

impl Origins {
    /// Sorts the ranges; what two have is the first one's.
    pub(crate) fn sort(&mut self) {
        self.ranges.sort_by_key(|(range, _)| range.start);
        let mut end = 0;
        for (range, _) in &mut self.ranges {
            range.start = range.start.max(end);
            end = end.max(range.end);
        }
        self.ranges.retain(|(range, _)| range.start < range.end);
    }
}

/// Why debugging information is of no use.
#[derive(Debug)]
pub(crate) enum UnitsError {
    Read(ReadError),
    Damaged(String),
}

impl From<ReadError> for UnitsError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<gimli::Error> for UnitsError {
    fn from(error: gimli::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// What the debugging information in an ELF file tells; nothing when there is none.
pub(crate) fn units(elf: &Elf, memory: &ElfMemory) -> Result<Origins, UnitsError> {
    let mut size = 0;
    let sections = DwarfSections::load(|id| {
        let mut debug = memory.debug.iter();
        match debug.find(|(name, _)| name == id.name() && WANTED.contains(&id)) {
            Some((_, data)) => {
                size += data.len();
                elf.bytes(data.clone())
            }
            None => Ok(Vec::new()),
        }
    })?;
    let mut dwarf = sections.borrow(|bytes| EndianSlice::new(bytes, LittleEndian));
    dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
    let mut collector = Collector {
        // A range takes more than this in the file, unless units share it.
        left: size,
        origins: Origins::default(),
    };
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        collector.unit(&dwarf, &dwarf.unit(header)?)?;
    }
    collector.origins.sort();
    Ok(collector.origins)
}

struct Collector {
    /// How many ranges there can still be.
    left: usize,
    origins: Origins,
}

impl Collector {
    fn unit<'a>(
        &mut self,
        dwarf: &Dwarf<Slice<'a>>,
        unit: &Unit<Slice<'a>>,
    ) -> Result<(), UnitsError> {
        let (Some(name), Ok(number)) = (unit.name, u32::try_from(self.origins.list.len())) else {
            return Ok(());
        };
        let folder = unit.comp_dir.map(|folder| folder.to_string_lossy());
        let name = name.to_string_lossy();
        let origin = origin(&name, folder.as_deref().unwrap_or_default());
        self.origins.list.push(origin);
        let mut ranges = dwarf.unit_ranges(unit)?;
        while let Some(range) = ranges.next()? {
            self.count()?;
            // What the linker left out is at 0 or at the end.
            if range.begin != 0 && range.begin < range.end {
                self.origins.ranges.push((range.begin..range.end, number));
            }
        }
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            if abbreviation.tag() != dw::DW_TAG_variable {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            for specification in abbreviation.attributes() {
                let attribute = entries.read_attribute(*specification)?;
                if attribute.name() == dw::DW_AT_location
                    && let AttributeValue::Exprloc(expression) = attribute.value()
                    && let Some(address) = fixed_address(dwarf, unit, expression.0)?
                    && address != 0
                {
                    self.count()?;
                    self.origins.variables.entry(address).or_insert(number);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), UnitsError> {
        let too_many =
            || UnitsError::Damaged("it tells of more places than it has room for".into());
        self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
        Ok(())
    }
}

/// The address that an expression stands for, when it is nothing but one.
fn fixed_address<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    mut expression: Slice<'a>,
) -> Result<Option<u64>, gimli::Error> {
    let address = match (!expression.is_empty())
        .then(|| expression.read_u8())
        .transpose()?
        .map(gimli::DwOp)
    {
        Some(dw::DW_OP_addr) => expression.read_address(unit.encoding().address_size)?,
        Some(dw::DW_OP_addrx) => {
            let index = expression.read_uleb128()? as usize;
            dwarf.address(unit, gimli::DebugAddrIndex(index))?
        }
        _ => return Ok(None),
    };
    Ok(expression.is_empty().then_some(address))
}

/// Whose a source file is.
fn origin(name: &str, folder: &str) -> Origin {
    // rustc: `src/lib.rs/@/crate.hash-cgu.0`
    if let Some((_, unit)) = name.rsplit_once("/@/")
        && let Some((krate, rest)) = unit.split_once('.')
    {
        let part = rest.rsplit_once("-cgu.").map_or("0", |(_, part)| part);
        return Origin {
            archive: krate.to_owned(),
            object: format!("{krate}.cgu.{part}"),
        };
    }
    let absolute = name.starts_with(['/', '\\']) || name.get(1..2) == Some(":");
    let path = match absolute || folder.is_empty() {
        true => name.to_owned(),
        false => format!("{folder}/{name}"),
    };
    let parts: Vec<_> = path
        .split(['/', '\\'])
        .filter(|part| !matches!(*part, "" | "." | ".."))
        .collect();
    let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
    let library = folders
        .windows(2)
        .rev()
        .find(|pair| LIBRARIES.contains(&pair[0]))
        .map(|pair| pair[1]);
    let archive = library.or(folders.last().copied()).unwrap_or(name);
    Origin {
        archive: archive.to_owned(),
        object: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_file_belongs_to_its_component_crate_or_folder() {
        for (name, folder, archive, object) in [
            (
                "/idf/components/freertos/FreeRTOS-Kernel/tasks.c",
                "/build",
                "freertos",
                "/idf/components/freertos/FreeRTOS-Kernel/tasks.c",
            ),
            ("main.c", "/home/me/blink/main", "main", "main.c"),
            (
                "../src/newlib/libc/string/memcpy.c",
                "",
                "string",
                "../src/newlib/libc/string/memcpy.c",
            ),
            ("x.c", "", "x.c", "x.c"),
            (
                r"C:\Arduino\libraries\FastLED\src\lib8tion.cpp",
                "",
                "FastLED",
                r"C:\Arduino\libraries\FastLED\src\lib8tion.cpp",
            ),
            (
                "/cargo/bitflags-2.9.0/src/lib.rs/@/bitflags.de3abaf-cgu.3",
                "/cargo/bitflags-2.9.0",
                "bitflags",
                "bitflags.cgu.3",
            ),
        ] {
            let found = origin(name, folder);
            assert_eq!((&*found.archive, &*found.object), (archive, object));
        }
    }

    #[test]
    fn what_two_ranges_share_is_counted_once() {
        let mut origins = Origins {
            ranges: vec![(10..20, 0), (0..12, 1), (5..8, 2), (15..30, 3)],
            ..Origins::default()
        };
        origins.sort();
        assert_eq!(origins.ranges, [(0..12, 1), (12..20, 0), (20..30, 3)]);
    }
}
