//! What the linker wrote down: which object file of which archive the bytes at an address are from.
//! GNU ld and lld write such maps (`-Map`).

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;

use guru_image::{Contents, ElfMemory, ReadError};
use thiserror::Error;

use crate::units::{Origin, Origins};

/// Object files that are in no archive.
const PROGRAM: &str = "(program)";

/// Why a map is of no use.
#[derive(Debug, Error)]
pub enum MapError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be read to its end.
    #[error("cannot read '{file}'")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "'{file}' is no linker map: it has no memory map of GNU ld or lld (link with -Wl,-Map=FILE)"
    )]
    NoMap {
        /// The file.
        file: String,
    },
    /// It is of another program.
    #[error(
        "'{file}', line {line}: {section} is at {:#x}..{:#x}, and in the ELF file at {:#x}..{:#x}: \
         the map is of another build", found.start, found.end, there.start, there.end
    )]
    OtherBuild {
        /// The file.
        file: String,
        /// The line in it, from 1.
        line: usize,
        /// Name of a section.
        section: String,
        /// Its addresses by the map.
        found: Range<u64>,
        /// Its addresses in the ELF file.
        there: Range<u64>,
    },
}

/// A linker's map.
#[derive(Debug)]
pub struct LinkerMap {
    file: String,
    outputs: Vec<Output>,
    origins: Origins,
}

/// A section of the linked program.
#[derive(Debug)]
struct Output {
    line: usize,
    name: String,
    memory: Range<u64>,
}

/// What a line tells.
#[derive(Debug)]
enum Line<'a> {
    Output(&'a str, Range<u64>),
    Input(&'a str, Range<u64>),
    /// The name of a section whose place is on the next line.
    Begun(&'a str, Kind),
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Output,
    Input,
}

/// Who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Gnu,
    Lld,
}

impl LinkerMap {
    /// Reads a map line by line.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn read(contents: &Contents) -> Result<Self, MapError> {
        let file = contents.name().to_owned();
        let mut map = Self {
            file: file.clone(),
            outputs: Vec::new(),
            origins: Origins::default(),
        };
        let mut numbers = HashMap::new();
        let mut lines = BufReader::new(contents.reader(0..contents.len())?);
        let mut style = None;
        let mut begun: Option<(String, Kind)> = None;
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let read = lines.read_until(b'\n', &mut bytes);
            let failed = |source| MapError::Io {
                file: file.clone(),
                source,
            };
            if read.map_err(failed)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end();
            let Some(style) = style else {
                style = Style::of(text);
                continue;
            };
            let last = begun.take();
            let line = match (style, &last) {
                (Style::Lld, _) => lld(text),
                (Style::Gnu, Some((name, kind))) => gnu_behind(text, name, *kind),
                (Style::Gnu, None) => gnu(text),
            };
            match line {
                Line::Output(name, memory) => map.outputs.push(Output {
                    line: number,
                    name: name.to_owned(),
                    memory,
                }),
                Line::Input(object, memory) => {
                    let list = &mut map.origins.list;
                    let number = *numbers.entry(object.to_owned()).or_insert_with(|| {
                        list.push(origin(object));
                        list.len() as u32 - 1
                    });
                    map.origins.ranges.push((memory, number));
                }
                Line::Begun(name, kind) => begun = Some((name.to_owned(), kind)),
                Line::Nothing => {}
            }
        }
        if map.origins.ranges.is_empty() {
            return Err(MapError::NoMap { file });
        }
        map.origins.sort();
        Ok(map)
    }

    /// Who the bytes are from, when the map is of this program.
    pub(crate) fn origins_in(&self, memory: &ElfMemory) -> Result<&Origins, MapError> {
        for output in &self.outputs {
            let mut sections = memory.sections.iter();
            let Some(section) = sections.find(|section| section.name == output.name) else {
                continue;
            };
            let there = section.memory();
            // An output section without bytes has an address all the same.
            if output.memory != there && !output.memory.is_empty() {
                return Err(MapError::OtherBuild {
                    file: self.file.clone(),
                    line: output.line,
                    section: section.name.clone(),
                    found: output.memory.clone(),
                    there,
                });
            }
        }
        Ok(&self.origins)
    }
}

impl Style {
    /// By the line with which the memory map begins.
    fn of(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().take(5).collect();
        if line == "Linker script and memory map" {
            Some(Self::Gnu)
        } else if words == ["VMA", "LMA", "Size", "Align", "Out"] {
            Some(Self::Lld)
        } else {
            None
        }
    }
}

/// `.text  0x42000020  0x1234`; ` .text.main  0x42000020  0x3c  path/libmain.a(main.o)`; long names
/// stand alone.
fn gnu(line: &str) -> Line<'_> {
    let (kind, rest) = match line.strip_prefix(' ') {
        Some(rest) => (Kind::Input, rest),
        None => (Kind::Output, line),
    };
    let name = rest.split(' ').next().unwrap_or_default();
    if name.is_empty() || name.starts_with('*') {
        return Line::Nothing;
    }
    let behind = rest.get(name.len()..).unwrap_or_default();
    match behind.is_empty() {
        true => Line::Begun(name, kind),
        false => place(behind, name, kind),
    }
}

/// The line behind a long name.
fn gnu_behind<'a>(line: &'a str, name: &'a str, kind: Kind) -> Line<'a> {
    match line.starts_with("  ") {
        true => place(line, name, kind),
        false => gnu(line),
    }
}

/// An address, a size and a file.
fn place<'a>(text: &'a str, name: &'a str, kind: Kind) -> Line<'a> {
    let parsed = word(text).and_then(|(address, rest)| {
        let (size, rest) = word(rest)?;
        Some((hex(address)?, hex(size)?, rest.trim_start()))
    });
    let Some((address, size, object)) = parsed else {
        return Line::Nothing;
    };
    let memory = address..address.saturating_add(size);
    match kind {
        Kind::Output => Line::Output(name, memory),
        Kind::Input if !object.is_empty() && !memory.is_empty() => Line::Input(object, memory),
        Kind::Input => Line::Nothing,
    }
}

/// `42000020 42000020 3c 4         path/main.o:(.text.main)`: how far a name is set in says what it
/// is of.
fn lld(line: &str) -> Line<'_> {
    let parsed = word(line).and_then(|(address, rest)| {
        let (_, rest) = word(rest)?;
        let (size, rest) = word(rest)?;
        let (_, rest) = word(rest)?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(address)?, number(size)?, rest.strip_prefix(' ')?))
    });
    let Some((address, size, rest)) = parsed else {
        return Line::Nothing;
    };
    let memory = address..address.saturating_add(size);
    let name = rest.trim_start_matches(' ');
    match rest.len() - name.len() {
        0 => Line::Output(name, memory),
        8 => match name.rfind(":(") {
            Some(end) if !memory.is_empty() && !name.starts_with('<') => {
                Line::Input(name.get(..end).unwrap_or_default(), memory)
            }
            _ => Line::Nothing,
        },
        _ => Line::Nothing,
    }
}

/// The first word and what is behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(' ').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// `path/libmain.a(main.o)`, or an object file alone.
fn origin(object: &str) -> Origin {
    let name = |path: &str| {
        let name = path.rsplit(['/', '\\']).next();
        name.unwrap_or_default().to_owned()
    };
    let member = object
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once('('));
    match member {
        Some((archive, member)) => {
            let archive = without_hash(&name(archive));
            Origin {
                object: format!("{archive}({member})"),
                archive,
            }
        }
        None => Origin {
            archive: PROGRAM.to_owned(),
            object: object.to_owned(),
        },
    }
}

/// A Rust library without what changes from build to build: `libcore-0123456789abcdef.rlib`.
fn without_hash(archive: &str) -> String {
    const DIGITS: usize = 16;
    let parts = archive
        .strip_suffix(".rlib")
        .and_then(|stem| stem.rsplit_once('-'));
    match parts {
        Some((stem, hash))
            if hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            format!("{stem}.rlib")
        }
        _ => archive.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GNU: &str = "Archive member included\n\n.text  0x1 0x2 not yet\n\
Linker script and memory map\n\n\
LOAD path/main.o\n\
.text           0x0000000042000020       0x50\n\
 *(.text .text.*)\n \
.text.main     0x0000000042000020       0x1c path/main.o\n                \
0x0000000042000020                main\n \
.text.a_function_with_a_long_name\n                \
0x000000004200003c       0x10 esp-idf/x y/libx y.a(x.c.obj)\n \
*fill*         0x000000004200004c        0x4 \n \
.text          0x0000000042000050       0x20 /t/libcore-0123456789abcdef.rlib(core.o)\n\
.a_very_long_output_section\n                \
0x0000000042000070       0x00\n";

    const LLD: &str = "             VMA              LMA     Size Align Out     In      Symbol\n\
        42000020         42000020       50     4 .text\n        \
42000020         42000020       1c     4         path/main.o:(.text.main)\n        \
42000020         42000020       1c     1                 main\n        \
4200003c         4200003c       10     4         esp-idf/x y/libx y.a(x.c.obj):(.text.x)\n        \
4200004c         4200004c        4     4         <internal>:(.text)\n        \
42000050         42000050       20     4         /t/libcore-0123456789abcdef.rlib(core.o):(.text)\n";

    fn read(text: &str) -> Result<LinkerMap, MapError> {
        LinkerMap::read(&Contents::from_bytes("x.map", text.into()).expect("it is small"))
    }

    #[test]
    fn both_linkers_maps_tell_the_same() {
        for text in [GNU, LLD] {
            let map = read(text).expect("it is a map");
            let found: Vec<_> = map
                .origins
                .ranges
                .iter()
                .map(|(range, number)| {
                    let origin = &map.origins.list[*number as usize];
                    (range.clone(), &*origin.archive, &*origin.object)
                })
                .collect();
            assert_eq!(
                found,
                [
                    (0x4200_0020..0x4200_003C, PROGRAM, "path/main.o"),
                    (0x4200_003C..0x4200_004C, "libx y.a", "libx y.a(x.c.obj)"),
                    (
                        0x4200_0050..0x4200_0070,
                        "libcore.rlib",
                        "libcore.rlib(core.o)"
                    ),
                ]
            );
            assert_eq!(map.outputs[0].name, ".text");
            assert_eq!(map.outputs[0].memory, 0x4200_0020..0x4200_0070);
        }
    }

    #[test]
    fn other_files_are_no_maps() {
        for text in [
            "",
            "nothing\n",
            "Linker script and memory map\n",
            "\0\u{1}\n",
        ] {
            assert!(matches!(read(text), Err(MapError::NoMap { .. })), "{text}");
        }
    }
}
