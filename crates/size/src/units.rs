//! Whose bytes they are, by debugging information: each compilation unit has a name, and tells what
//! its functions and variables occupy.

use std::collections::HashMap;
use std::ops::Range;

use guru_image::{Elf, ElfMemory, ReadError};
use guru_symbols::{Damage, source_units};

/// What is used of it.
const WANTED: [&str; 9] = [
    ".debug_abbrev",
    ".debug_addr",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
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

impl From<Damage> for UnitsError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage.to_string())
    }
}

/// What the debugging information in an ELF file tells; nothing when there is none.
pub(crate) fn units(elf: &Elf, memory: &ElfMemory) -> Result<Origins, UnitsError> {
    let mut sections = Vec::new();
    for section in memory.debug.iter().filter(|section| !section.compressed) {
        // Frames, locations of variables in registers and the like stay in the file.
        if WANTED.contains(&&*section.name) {
            sections.push((&section.name, elf.bytes(section.data.clone())?));
        }
    }
    let section = |name: &str| {
        let found = sections.iter().find(|(section, _)| *section == name);
        found.map_or(&[][..], |(_, bytes)| bytes)
    };
    let mut origins = Origins::default();
    source_units(&section, |unit| {
        let (Some(name), Ok(number)) = (unit.name(), u32::try_from(origins.list.len())) else {
            return Ok(());
        };
        let folder = unit.folder().unwrap_or_default();
        origins.list.push(origin(&name, &folder));
        unit.ranges(|range| {
            // What the linker left out is at 0 or at the end.
            if range.start != 0 && range.start < range.end {
                origins.ranges.push((range, number));
            }
        })?;
        unit.variables(|address| {
            if address != 0 {
                origins.variables.entry(address).or_insert(number);
            }
        })
    })?;
    origins.sort();
    Ok(origins)
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
