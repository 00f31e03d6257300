//! A program cut into pieces of which is known whose they are.

use std::collections::HashMap;
use std::ops::Range;

use guru_chip::Chip;
use guru_image::{BuildError, Elf, ElfError, ElfMemory, ElfSection, ElfSymbol, ReadError};
use guru_symbols::Name;
use thiserror::Error;

use crate::map::{LinkerMap, MapError};
use crate::units::{Origin, Origins, UnitsError, units};

/// Why nothing can be said of a program's size.
#[derive(Debug, Error)]
pub enum SizeError {
    /// It is no ELF file of a program, or a damaged one.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The linker's map is of no use.
    #[error(transparent)]
    Map(#[from] MapError),
    /// No image can be made of it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Its names stand for more text than a program has.
    #[error(
        "'{file}': the names of its symbols take more than {limit} bytes when they are written out: the table is damaged"
    )]
    Names {
        /// The file.
        file: String,
        /// What is read at the most.
        limit: usize,
    },
    /// It may be for several chips, on which it is not the same.
    #[error("'{file}' does not tell its chip, and fits several: name one with --chip ({})", chips.join(", "))]
    SeveralChips {
        /// The file.
        file: String,
        /// Their names on the command line.
        chips: Vec<&'static str>,
    },
    /// It is for no chip that is known.
    #[error("'{file}' fits no chip: name one with --chip to see why")]
    NoChip {
        /// The file.
        file: String,
    },
}

impl From<ReadError> for SizeError {
    fn from(error: ReadError) -> Self {
        Self::Elf(error.into())
    }
}

/// A program, cut into pieces.
#[derive(Debug)]
pub struct Program {
    /// Why the debugging information tells nothing, where it is damaged.
    pub damaged: Option<String>,
    /// The chip that the program itself names (esp-hal).
    pub(crate) chip: Option<String>,
    pub(crate) sections: Vec<ElfSection>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) names: Vec<Name>,
    pub(crate) origins: Vec<Origin>,
}

/// Bytes that follow each other and have one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Place in the list of sections.
    pub(crate) section: usize,
    /// Bytes.
    pub(crate) len: u32,
    /// Place in the list of names.
    pub(crate) name: Option<u32>,
    /// Place in the list of origins.
    pub(crate) origin: Option<u32>,
}

impl Program {
    /// Reads symbols and, without a map, the debugging information.
    ///
    /// # Errors
    ///
    /// [`SizeError`]. Debugging information that is damaged is none: it is only left out.
    pub fn read(elf: &Elf, map: Option<&LinkerMap>) -> Result<Self, SizeError> {
        let memory = elf.memory()?;
        let mut damaged = None;
        let mut read = Origins::default();
        let origins = match map {
            Some(map) => map.origins_in(&memory)?,
            None => {
                match units(elf, &memory) {
                    Ok(origins) => read = origins,
                    Err(UnitsError::Read(error)) => return Err(error.into()),
                    Err(UnitsError::Damaged(reason)) => damaged = Some(reason),
                }
                &read
            }
        };
        let mut cutter = Cutter {
            names: Names::new(elf, &memory),
            memory: &memory,
            origins,
            pieces: Vec::new(),
        };
        cutter.cut()?;
        let (pieces, names) = (cutter.pieces, cutter.names.list);
        Ok(Self {
            damaged,
            chip: memory.chip.clone(),
            pieces,
            names,
            origins: match map {
                Some(_) => origins.list.clone(),
                None => read.list,
            },
            sections: memory.sections,
        })
    }
}

impl Program {
    /// The one of some chips that is named in paths of source files, as ESP-IDF has a folder for each
    /// chip in its components.
    pub(crate) fn told_by_folders(
        &self,
        chips: impl Iterator<Item = &'static Chip>,
    ) -> Option<usize> {
        let mut named = chips.enumerate().filter(|(_, chip)| {
            let is_it = |part: &str| part == chip.id;
            let mut origins = self.origins.iter();
            origins.any(|origin| origin.object.split(['/', '\\']).any(is_it))
        });
        let (at, _) = named.next()?;
        named.next().is_none().then_some(at)
    }
}

/// Names that were written out, each once.
struct Names<'a> {
    file: &'a str,
    known: HashMap<u32, u32>,
    list: Vec<Name>,
    /// Bytes that there may still be.
    left: usize,
    limit: usize,
}

impl<'a> Names<'a> {
    fn new(elf: &'a Elf, memory: &ElfMemory) -> Self {
        /// A few programs have names that are mostly repetition.
        const FEW: usize = 16 << 20;
        let limit = FEW + 8 * memory.names_len();
        Self {
            file: elf.name(),
            known: HashMap::new(),
            list: Vec::new(),
            left: limit,
            limit,
        }
    }

    fn number(&mut self, memory: &ElfMemory, symbol: &ElfSymbol) -> Result<u32, SizeError> {
        if let Some(number) = self.known.get(&symbol.name) {
            return Ok(*number);
        }
        let name = Name::of(memory.name(symbol));
        let too_much = || SizeError::Names {
            file: self.file.to_owned(),
            limit: self.limit,
        };
        let left = self.left.checked_sub(name.text.len());
        self.left = left.ok_or_else(too_much)?;
        let number = self.list.len() as u32;
        self.list.push(name);
        self.known.insert(symbol.name, number);
        Ok(number)
    }
}

struct Cutter<'a> {
    memory: &'a ElfMemory,
    origins: &'a Origins,
    names: Names<'a>,
    pieces: Vec<Piece>,
}

impl Cutter<'_> {
    /// Cuts each section where a symbol begins or ends.
    fn cut(&mut self) -> Result<(), SizeError> {
        let memory = self.memory;
        let mut symbols: Vec<&ElfSymbol> = memory.symbols.iter().collect();
        // Of those that begin at one place the longest counts, and of two names for the same the one
        // that others see; what is inside of another belongs to that.
        symbols.sort_by_key(|symbol| {
            let size = u32::MAX - symbol.size;
            (symbol.section, symbol.address, size, !symbol.global)
        });
        for (number, section) in memory.sections.iter().enumerate() {
            let of_it = |symbol: &&ElfSymbol| symbol.section < section.index;
            let first = symbols.partition_point(of_it);
            let mut at = section.memory().start;
            for symbol in symbols.iter().skip(first) {
                if symbol.section != section.index {
                    break;
                }
                let start = u64::from(symbol.address);
                let end = start + u64::from(symbol.size);
                if end <= at {
                    continue;
                }
                self.stretch(number, at..start, None, None);
                let name = self.names.number(memory, symbol)?;
                let origin = self.origins.variables.get(&start).copied();
                self.stretch(number, start.max(at)..end, Some(name), origin);
                at = end;
            }
            self.stretch(number, at..section.memory().end, None, None);
        }
        Ok(())
    }

    /// Cuts the bytes of one symbol, or of none, where their origin changes.
    fn stretch(
        &mut self,
        section: usize,
        memory: Range<u64>,
        name: Option<u32>,
        origin: Option<u32>,
    ) {
        let ranges = &self.origins.ranges;
        let mut at = memory.start;
        let first = ranges.partition_point(|(range, _)| range.end <= at);
        if origin.is_none() {
            for (range, origin) in ranges.iter().skip(first) {
                if range.start >= memory.end {
                    break;
                }
                let (start, end) = (range.start.max(at), range.end.min(memory.end));
                self.piece(section, at..start, name, None);
                self.piece(section, start..end, name, Some(*origin));
                at = end;
            }
        }
        self.piece(section, at..memory.end, name, origin);
    }

    fn piece(
        &mut self,
        section: usize,
        memory: Range<u64>,
        name: Option<u32>,
        origin: Option<u32>,
    ) {
        if memory.start < memory.end {
            self.pieces.push(Piece {
                section,
                // No more than the section has, which is below 4 GB.
                len: (memory.end - memory.start) as u32,
                name,
                origin,
            });
        }
    }
}
