//! The functions that are at one address: one with code of its own, and those inlined into it.

use gimli::{
    AttributeValue, DwLang, FileEntry, IncompleteLineProgram, UnitOffset, constants as dw,
};

use crate::name::Name;
use crate::symbols::SourceFrame;

use super::Damage;
use super::details::Details;
use super::index::Index;
use super::reader::{Function, OpenUnit, Reader, Slice};
use super::rows::Row;

/// The deepest inlining that is followed.
const MOST_INLINED: usize = 256;

/// Entries that are gone through for a name.
const MOST_ORIGINS: u32 = 16;

/// The longest path that is shown, in bytes.
const MOST_PATH: usize = 4096;

/// What is needed to find frames.
pub(super) struct Frames<'a, 'r> {
    pub(super) reader: &'r Reader<'a>,
    pub(super) index: &'r Index,
    pub(super) unit: &'r OpenUnit<'a>,
    pub(super) details: &'r Details,
    /// The symbol at the address.
    pub(super) symbol: Option<&'r str>,
}

/// A function that holds an address.
struct Level<'a> {
    /// How deep its entry is nested.
    depth: isize,
    function: Function<'a>,
}

/// A name, and whether it is what the linker sees.
struct Found<'a> {
    text: Slice<'a>,
    linkage: bool,
}

type Lines<'a> = Option<IncompleteLineProgram<Slice<'a>>>;

impl<'a> Frames<'a, '_> {
    /// The frames at an address, the innermost first.
    pub(super) fn at(&self, address: u32) -> Vec<SourceFrame> {
        let row = self.details.lines.find(address);
        let entry = self.details.functions.find(address);
        let levels = entry.map(|entry| self.levels(entry, address));
        let levels = levels.unwrap_or_default();
        if row.is_none() && levels.is_empty() {
            return Vec::new();
        }
        let lines = self.reader.line_program(self.unit).ok().flatten();
        let mut place = row
            .map(|row| self.place_of_row(&lines, row))
            .unwrap_or_default();
        let mut frames = Vec::with_capacity(levels.len().max(1));
        for (below, level) in levels.iter().enumerate().rev() {
            let call = self.place_of_call(&lines, &level.function);
            frames.push(SourceFrame {
                function: self.name_of(&level.function, below == 0),
                inlined: below > 0,
                ..std::mem::replace(&mut place, call)
            });
        }
        if frames.is_empty() {
            // Assembly: lines, and no functions.
            frames.push(SourceFrame {
                function: self.symbol.map(str::to_owned),
                ..place
            });
        }
        frames
    }

    /// The function with an entry and those inlined at an address, the outermost first. Where the
    /// entries are damaged, what stands before counts.
    fn levels(&self, entry: UnitOffset, address: u32) -> Vec<Level<'a>> {
        let mut levels = Vec::new();
        let _ = self.descend(entry, address.into(), &mut levels);
        levels
    }

    fn descend(
        &self,
        entry: UnitOffset,
        address: u64,
        levels: &mut Vec<Level<'a>>,
    ) -> Result<(), Damage> {
        let (reader, unit) = (self.reader, &self.unit.unit);
        let mut entries = unit.header.entries_raw(&unit.abbreviations, Some(entry))?;
        let top = entries.next_depth();
        let Some(abbreviation) = entries.read_abbreviation()? else {
            return Ok(());
        };
        levels.push(Level {
            depth: top,
            function: reader.function(&mut entries, abbreviation)?,
        });
        // Entries below one that is elsewhere are elsewhere too.
        let mut elsewhere = isize::MAX;
        while !entries.is_empty() && entries.next_depth() > top {
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            if depth > elsewhere || abbreviation.tag() != dw::DW_TAG_inlined_subroutine {
                if depth <= elsewhere {
                    let nested = abbreviation.tag() == dw::DW_TAG_subprogram;
                    elsewhere = if nested { depth } else { isize::MAX };
                }
                reader.skip(&mut entries, abbreviation)?;
                continue;
            }
            let function = reader.function(&mut entries, abbreviation)?;
            let mut here = false;
            function.extent.for_each(reader, unit, |range| {
                here |= range.contains(&address);
            })?;
            elsewhere = if here { isize::MAX } else { depth };
            if here {
                while levels.last().is_some_and(|last| last.depth >= depth) {
                    levels.pop();
                }
                if levels.len() > MOST_INLINED {
                    return Err(Damage::Endless);
                }
                levels.push(Level { depth, function });
            }
        }
        Ok(())
    }

    fn name_of(&self, function: &Function<'a>, outermost: bool) -> Option<String> {
        let found = self.found_name(self.unit, function, MOST_ORIGINS);
        let symbol = || self.symbol.filter(|_| outermost).map(str::to_owned);
        match found {
            // The name alone lacks its class or module.
            Some(found) if !found.linkage && mangles(self.unit.language) => {
                symbol().or_else(|| Some(Name::of(found.text.slice()).text))
            }
            Some(found) => Some(Name::of(found.text.slice()).text),
            None => symbol(),
        }
    }

    fn found_name(
        &self,
        unit: &OpenUnit<'a>,
        function: &Function<'a>,
        depth: u32,
    ) -> Option<Found<'a>> {
        let text = |value| self.reader.dwarf.attr_string(&unit.unit, value).ok();
        if let Some(text) = function.linkage_name.and_then(text) {
            let linkage = true;
            return Some(Found { text, linkage });
        }
        let plain = function.name.and_then(text).map(|text| Found {
            text,
            linkage: false,
        });
        let origin = || self.origin_name(unit, function, depth.checked_sub(1)?);
        match origin() {
            Some(found) if found.linkage => Some(found),
            found => plain.or(found),
        }
    }

    /// The name by the entry that another one is an instance of.
    fn origin_name(
        &self,
        unit: &OpenUnit<'a>,
        function: &Function<'a>,
        depth: u32,
    ) -> Option<Found<'a>> {
        let read = |unit: &OpenUnit<'a>, offset| {
            let of = &unit.unit;
            let entries = of.header.entries_raw(&of.abbreviations, Some(offset));
            let mut entries = entries.ok()?;
            let abbreviation = entries.read_abbreviation().ok()??;
            let origin = self.reader.function(&mut entries, abbreviation).ok()?;
            self.found_name(unit, &origin, depth)
        };
        match function.origin? {
            AttributeValue::UnitRef(offset) => read(unit, offset),
            AttributeValue::DebugInfoRef(offset) => {
                let place = self.index.unit_at(offset)?;
                let unit = self.reader.unit(place).ok()?;
                let offset = offset.to_unit_offset(&unit.unit.header)?;
                read(&unit, offset)
            }
            _ => None,
        }
    }

    fn place_of_row(&self, lines: &Lines<'a>, row: Row) -> SourceFrame {
        self.place(lines, Some(row.file.into()), row.line, row.column)
    }

    fn place_of_call(&self, lines: &Lines<'a>, function: &Function<'a>) -> SourceFrame {
        let number = |value: Option<u64>| u32::try_from(value.unwrap_or(0)).unwrap_or(0);
        let (line, column) = (number(function.call_line), number(function.call_column));
        self.place(lines, function.call_file, line, column)
    }

    fn place(&self, lines: &Lines<'a>, file: Option<u64>, line: u32, column: u32) -> SourceFrame {
        let some = |number| Some(number).filter(|number| *number != 0);
        SourceFrame {
            file: file.and_then(|file| self.path(lines.as_ref()?, file)),
            line: some(line),
            column: some(column).filter(|_| line != 0),
            ..SourceFrame::default()
        }
    }

    /// The path of a file, from the folder in which the compiler ran.
    fn path(&self, lines: &IncompleteLineProgram<Slice<'a>>, file: u64) -> Option<String> {
        let header = lines.header();
        let file: &FileEntry<_> = header.file(file)?;
        let unit = &self.unit.unit;
        let text = |value| self.reader.dwarf.attr_string(unit, value).ok();
        let mut path = String::new();
        let folder = unit.comp_dir;
        let subfolder = match file.directory_index() {
            0 if header.version() < 5 => None,
            _ => file.directory(header).and_then(text),
        };
        for part in [folder, subfolder, text(file.path_name())] {
            let part = part.map(|part| part.to_string_lossy()).unwrap_or_default();
            push(&mut path, &part);
        }
        if path.len() > MOST_PATH {
            let end = (0..=MOST_PATH).rev().find(|at| path.is_char_boundary(*at));
            path.truncate(end.unwrap_or(0));
        }
        (!path.is_empty()).then_some(path)
    }
}

/// Whether names of a language differ from its symbols'.
fn mangles(language: Option<DwLang>) -> bool {
    matches!(
        language,
        Some(
            dw::DW_LANG_C_plus_plus
                | dw::DW_LANG_C_plus_plus_03
                | dw::DW_LANG_C_plus_plus_11
                | dw::DW_LANG_C_plus_plus_14
                | dw::DW_LANG_C_plus_plus_17
                | dw::DW_LANG_C_plus_plus_20
                | dw::DW_LANG_Rust
        )
    )
}

/// Goes from a folder to what is in it. Paths are those of the machine of the compiler.
fn push(path: &mut String, part: &str) {
    let drive = |text: &str| {
        text.get(1..3)
            .is_some_and(|root| matches!(root, ":/" | ":\\"))
    };
    if part.starts_with(['/', '\\']) || drive(part) {
        path.clear();
    }
    if !path.is_empty() && !part.is_empty() && !path.ends_with(['/', '\\']) {
        let windows = path.starts_with('\\') || path.get(1..3) == Some(":\\");
        path.push(if windows { '\\' } else { '/' });
    }
    path.push_str(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_where_the_last_absolute_part_does() {
        for (parts, path) in [
            (["/build", "src", "main.c"], "/build/src/main.c"),
            (["/build", "", "main.c"], "/build/main.c"),
            (["/build", "/idf", "main.c"], "/idf/main.c"),
            (["/build/", "/idf", "/x/main.c"], "/x/main.c"),
            (["", "src", "main.c"], "src/main.c"),
            (["C:\\me", "src", "main.c"], "C:\\me\\src\\main.c"),
            (["/build", "C:/me", "main.c"], "C:/me/main.c"),
        ] {
            let mut found = String::new();
            for part in parts {
                push(&mut found, part);
            }
            assert_eq!(found, path);
        }
    }
}
