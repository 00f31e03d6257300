//! What an ELF file puts into memory, and what is where in it: all sections that have a place in
//! memory, those without bytes in the file included, and the symbol table.
//!
//! Every number of a symbol is checked: that it lies in its section, and its section in the file.

use std::ops::Range;

use super::{
    Elf, ElfError, ElfPart, ElfProblem, File, NOBITS, PREINIT_ARRAY, PROGBITS, STRTAB,
    SectionHeader, half, word,
};
use super::{FINI_ARRAY, INIT_ARRAY, SECTION_LEN};
use crate::contents::ReadError;

const SYMTAB: u32 = 2;
const SYMBOL_LEN: u32 = 16;

const WRITABLE: u32 = 1;
const ALLOC: u32 = 2;
const EXECUTABLE: u32 = 4;
const COMPRESSED: u32 = 0x800;

/// Kinds of symbols that stand for bytes: STT_NOTYPE, STT_OBJECT, STT_FUNC.
const KINDS: Range<u8> = 0..3;

/// Numbers of sections from here on have a meaning of their own (SHN_LORESERVE).
const RESERVED: u16 = 0xFF00;

/// Section with what esp-hal tells of a program, and the symbol there whose bytes name the chip.
const METADATA: &str = ".espressif.metadata";
const CHIP_NAME: &[u8] = b"build_info.CHIP_NAME";

/// Where assembly aligns its end and nothing follows, a symbol is longer than its section, by less
/// than this many bytes: vectors of Xtensa chips in ESP-IDF and in mask ROMs.
const WORD: u64 = 4;

/// Symbols that are read at a time.
const CHUNK: u32 = 4096;

/// A section that has a place in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfSection {
    /// Its number in the file.
    pub index: u16,
    /// Its name.
    pub name: String,
    /// Address of its first byte.
    pub address: u32,
    /// Bytes of memory.
    pub size: u32,
    /// Its bytes in the file; `None`: it has none, as `.bss`.
    pub data: Option<Range<u32>>,
    /// Whether it holds code.
    pub executable: bool,
    /// Whether the program may write to it.
    pub writable: bool,
}

impl ElfSection {
    /// Its addresses.
    #[must_use]
    pub fn memory(&self) -> Range<u64> {
        let start = u64::from(self.address);
        start..start + u64::from(self.size)
    }
}

/// A symbol that stands for bytes of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElfSymbol {
    /// Address of its first byte.
    pub address: u32,
    /// Its length in bytes, never 0.
    pub size: u32,
    /// Number of its section in the file.
    pub section: u16,
    /// Whether other object files see it (STB_GLOBAL, STB_WEAK).
    pub global: bool,
    /// Where its name stands among the names: the same number is the same name.
    pub name: u32,
}

/// A section that tells of the program and has no place in memory: debugging information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfDebug {
    /// Its name.
    pub name: String,
    /// Its bytes in the file.
    pub data: Range<u32>,
    /// Whether they begin with a header of compression (SHF_COMPRESSED).
    pub compressed: bool,
}

/// Where the symbol table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfTable {
    /// Its entries in the file, of 16 bytes each.
    pub entries: Range<u32>,
    /// Their names in the file.
    pub names: Range<u32>,
}

/// What an ELF file puts into memory, and where it tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfLayout {
    /// The sections, in the order of the file. None is empty.
    pub sections: Vec<ElfSection>,
    /// Sections with debugging information.
    pub debug: Vec<ElfDebug>,
    /// The symbol table; none when the file was stripped.
    pub table: Option<ElfTable>,
}

/// What an ELF file puts into memory.
#[derive(Debug, Clone, Default)]
pub struct ElfMemory {
    /// The sections, in the order of the file. None is empty.
    pub sections: Vec<ElfSection>,
    /// The symbols that stand for bytes of these, in the order of the file; none when the file was
    /// stripped.
    pub symbols: Vec<ElfSymbol>,
    /// The chip that the program says it is for (esp-hal).
    pub chip: Option<String>,
    /// Sections with debugging information.
    pub debug: Vec<ElfDebug>,
    names: Vec<u8>,
}

impl ElfMemory {
    /// Bytes of all names.
    #[must_use]
    pub fn names_len(&self) -> usize {
        self.names.len()
    }

    /// A symbol's name as it stands in the file.
    #[must_use]
    pub fn name(&self, symbol: &ElfSymbol) -> &[u8] {
        string(&self.names, symbol.name).unwrap_or_default()
    }
}

/// The name at `offset`; `None` when the names end before it does.
fn string(names: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = names.get(offset as usize..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    rest.get(..end)
}

impl Elf {
    /// Reads what is where in memory. Symbols and their names are kept in memory.
    ///
    /// # Errors
    ///
    /// [`ElfError`].
    pub fn memory(&self) -> Result<ElfMemory, ElfError> {
        let (reader, names) = self.reader()?;
        let (mut memory, metadata) = reader.sections(names)?;
        reader.symbols(&mut memory, metadata)?;
        Ok(memory)
    }

    /// Reads where everything is. What symbols say is not looked at.
    ///
    /// # Errors
    ///
    /// [`ElfError`].
    pub fn layout(&self) -> Result<ElfLayout, ElfError> {
        let (reader, names) = self.reader()?;
        let (memory, _) = reader.sections(names)?;
        Ok(ElfLayout {
            sections: memory.sections,
            debug: memory.debug,
            table: reader.table()?,
        })
    }

    /// A reader, and the number of the section with names.
    fn reader(&self) -> Result<(Reader<'_>, u16), ElfError> {
        let file = File(&self.contents);
        let header = file.header()?;
        let table = &header.sections;
        let bytes = file.table(table, SECTION_LEN, 32, "e_shoff")?;
        let sections = (0..table.count).map(|index| SectionHeader::of(&bytes, index));
        let reader = Reader {
            at: table.offset.into(),
            sections: sections.collect(),
            file,
        };
        Ok((reader, header.names))
    }

    /// Bytes of the file.
    ///
    /// # Errors
    ///
    /// As [`Contents::read_at`](crate::Contents::read_at).
    pub fn bytes(&self, range: Range<u32>) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; range.len()];
        self.contents.read_at(range.start, &mut bytes)?;
        Ok(bytes)
    }
}

struct Reader<'a> {
    file: File<'a>,
    sections: Vec<SectionHeader>,
    /// Where their headers stand.
    at: u64,
}

impl Reader<'_> {
    /// Where the header of a section stands.
    fn at(&self, index: u16) -> u64 {
        self.at + u64::from(index) * u64::from(SECTION_LEN)
    }

    fn data(&self, index: u16, section: &SectionHeader) -> Result<Range<u32>, ElfError> {
        let part = ElfPart::Section(index);
        let at = self.at(index) + 20;
        self.file
            .inside(section.offset, section.size, at, "sh_size", part)
    }

    /// All but the symbols, and the number of the section with metadata.
    fn sections(&self, names: u16) -> Result<(ElfMemory, Option<u16>), ElfError> {
        let mut memory = ElfMemory::default();
        let mut metadata = None;
        let Some(header) = self.sections.get(usize::from(names)) else {
            return Ok((memory, metadata));
        };
        let names = self.data(names, header)?;
        for (index, section) in (0..).zip(&self.sections) {
            let name = self.file.string(&names, section.name)?;
            let no_name = || {
                let part = ElfPart::Section(index);
                let at = self.at(index);
                self.file.error(at, "sh_name", part, ElfProblem::NoName)
            };
            let bytes = matches!(
                section.kind,
                PROGBITS | INIT_ARRAY | FINI_ARRAY | PREINIT_ARRAY
            );
            let placed = section.address != 0 && section.size != 0;
            let reserved = section.kind == NOBITS && section.flags & ALLOC != 0;
            if placed && (bytes || reserved) {
                let part = ElfPart::Section(index);
                let at = self.at(index) + 20;
                self.file
                    .below_4gb(section.address, section.size, at, part)?;
                memory.sections.push(ElfSection {
                    index,
                    name: name.ok_or_else(no_name)?,
                    address: section.address,
                    size: section.size,
                    data: match bytes {
                        true => Some(self.data(index, section)?),
                        false => None,
                    },
                    executable: section.flags & EXECUTABLE != 0,
                    writable: section.flags & WRITABLE != 0,
                });
            } else if section.kind == PROGBITS
                && (section.flags & ALLOC == 0 || section.address == 0)
            {
                let name = name.ok_or_else(no_name)?;
                let compressed = section.flags & COMPRESSED != 0;
                // esp-hal keeps frames of functions in the file alone; a mask ROM's file may have
                // them at address 0.
                if name.starts_with(".debug_") || name == ".eh_frame" {
                    memory.debug.push(ElfDebug {
                        name,
                        data: self.data(index, section)?,
                        compressed,
                    });
                } else if name == METADATA && !compressed {
                    metadata = Some(index);
                }
            }
        }
        Ok((memory, metadata))
    }

    fn table(&self) -> Result<Option<ElfTable>, ElfError> {
        let mut tables = (0_u16..).zip(&self.sections);
        let Some((index, table)) = tables.find(|(_, section)| section.kind == SYMTAB) else {
            return Ok(None);
        };
        let of_table = |offset, field, problem| {
            let part = ElfPart::Section(index);
            Err(self
                .file
                .error(self.at(index) + offset, field, part, problem))
        };
        if table.entry_size != SYMBOL_LEN {
            let problem = ElfProblem::Value {
                found: table.entry_size,
                allowed: "0x10",
            };
            return of_table(36, "sh_entsize", problem);
        }
        let names = u16::try_from(table.link).ok().and_then(|link| {
            let section = self.sections.get(usize::from(link))?;
            (section.kind == STRTAB).then_some((link, section))
        });
        let Some((link, names)) = names else {
            let found = table.link;
            let wanted = "section with names";
            return of_table(24, "sh_link", ElfProblem::NoSuchSection { found, wanted });
        };
        Ok(Some(ElfTable {
            entries: self.data(index, table)?,
            names: self.data(link, names)?,
        }))
    }

    fn symbols(&self, memory: &mut ElfMemory, metadata: Option<u16>) -> Result<(), ElfError> {
        let Some(ElfTable {
            entries: data,
            names,
        }) = self.table()?
        else {
            return Ok(());
        };
        memory.names = vec![0; names.len()];
        self.file.0.read_at(names.start, &mut memory.names)?;

        let mut places: Vec<Option<Range<u64>>> = vec![None; self.sections.len()];
        for section in &memory.sections {
            if let Some(place) = places.get_mut(usize::from(section.index)) {
                *place = Some(section.memory());
            }
        }
        let count = data.len() as u32 / SYMBOL_LEN;
        let mut bytes = Vec::new();
        for first in (0..count).step_by(CHUNK as usize) {
            let now = CHUNK.min(count - first);
            bytes.resize((now * SYMBOL_LEN) as usize, 0);
            let start = data.start + first * SYMBOL_LEN;
            self.file.0.read_at(start, &mut bytes)?;
            for (index, entry) in (first..).zip(bytes.chunks_exact(SYMBOL_LEN as usize)) {
                let at = u64::from(data.start) + u64::from(index) * u64::from(SYMBOL_LEN);
                let number = half(entry, 14);
                let Some(symbol) = self.symbol(index, at, entry, &places, &memory.names)? else {
                    continue;
                };
                if places.get(usize::from(number)).is_some_and(Option::is_some) {
                    memory.symbols.push(symbol);
                } else if metadata == Some(number) && memory.name(&symbol) == CHIP_NAME {
                    memory.chip = self.text(&symbol)?;
                }
            }
        }
        Ok(())
    }

    /// A symbol, if it stands for bytes. What it says is checked.
    fn symbol(
        &self,
        index: u32,
        at: u64,
        entry: &[u8],
        places: &[Option<Range<u64>>],
        names: &[u8],
    ) -> Result<Option<ElfSymbol>, ElfError> {
        let of_symbol = |offset, field, problem| {
            let part = ElfPart::Symbol(index);
            Err(self.file.error(at + offset, field, part, problem))
        };
        let mut symbol = ElfSymbol {
            name: word(entry, 0),
            address: word(entry, 4),
            size: word(entry, 8),
            section: half(entry, 14),
            global: entry[12] >> 4 != 0,
        };
        let section = symbol.section;
        if !KINDS.contains(&(entry[12] & 0xF)) || symbol.size == 0 {
            return Ok(None);
        }
        if section == 0 || section >= RESERVED {
            return Ok(None);
        }
        let Some(place) = places.get(usize::from(section)) else {
            let found = section.into();
            let wanted = "section";
            return of_symbol(14, "st_shndx", ElfProblem::NoSuchSection { found, wanted });
        };
        if string(names, symbol.name).is_none() {
            return of_symbol(0, "st_name", ElfProblem::NoName);
        }
        let start = u64::from(symbol.address);
        let memory = start..start + u64::from(symbol.size);
        if let Some(section) = place {
            let end = section.end.next_multiple_of(WORD);
            if memory.start < section.start || memory.start >= section.end || memory.end > end {
                let section = section.clone();
                return of_symbol(8, "st_size", ElfProblem::OutsideSection { memory, section });
            }
            symbol.size = (memory.end.min(section.end) - memory.start) as u32;
        }
        Ok(Some(symbol))
    }

    /// The short text that a symbol of a section without an address stands for.
    fn text(&self, symbol: &ElfSymbol) -> Result<Option<String>, ElfError> {
        const MAX: u32 = 32;
        let Some(section) = self.sections.get(usize::from(symbol.section)) else {
            return Ok(None);
        };
        let end = symbol.address.checked_add(symbol.size);
        if symbol.size > MAX || end.is_none_or(|end| end > section.size) {
            return Ok(None);
        }
        let data = self.data(symbol.section, section)?;
        let start = data.start + symbol.address;
        let mut bytes = vec![0; symbol.size as usize];
        self.file.0.read_at(start, &mut bytes)?;
        Ok(String::from_utf8(bytes).ok())
    }
}
