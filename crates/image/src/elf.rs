//! What an ELF file says of a program: where its bytes belong and where it starts.
//!
//! Only headers are read; the bytes stay in the file. Every number is checked against the file, and
//! an error names the file, the field and where the field stands.
//!
//! Source: the System V ABI, chapters 4 and 5; machine numbers from its list.

mod memory;

use std::fmt;
use std::ops::Range;

use guru_chip::Architecture;
use thiserror::Error;

use crate::contents::{Contents, ReadError};

pub use self::memory::{ElfDebug, ElfLayout, ElfMemory, ElfSection, ElfSymbol, ElfTable};

/// The first bytes of every ELF file.
pub const ELF_MAGIC: [u8; 4] = *b"\x7FELF";

const HEADER_LEN: u32 = 0x34;
const SECTION_LEN: u16 = 0x28;
const SEGMENT_LEN: u16 = 0x20;

const PROGBITS: u32 = 1;
const STRTAB: u32 = 3;
const NOBITS: u32 = 8;
const INIT_ARRAY: u32 = 14;
const FINI_ARRAY: u32 = 15;
const PREINIT_ARRAY: u32 = 16;

const LOAD: u32 = 1;

/// The longest part of a section's name that is read, in bytes.
const MAX_NAME: u32 = 256;

/// Whose instructions a program is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// EM_XTENSA.
    Xtensa,
    /// EM_RISCV.
    RiscV,
}

impl Machine {
    const ALL: [(u16, Self); 2] = [(0x5E, Self::Xtensa), (0xF3, Self::RiscV)];

    /// Whether a CPU executes them.
    #[must_use]
    pub fn runs_on(self, architecture: Architecture) -> bool {
        (self == Self::RiscV) == (architecture == Architecture::Riscv32)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xtensa => "Xtensa",
            Self::RiscV => "RISC-V",
        })
    }
}

/// Why a file is no ELF file of a program, or a damaged one.
#[derive(Debug, Error)]
pub enum ElfError {
    /// A field has a value that it cannot have.
    #[error("'{file}': {field} of {part}, at {offset:#x}, {problem}")]
    Field {
        /// The file.
        file: String,
        /// Where the field stands in it.
        offset: u64,
        /// Name of the field in the ABI.
        field: &'static str,
        /// What it is a field of.
        part: ElfPart,
        /// What is wrong.
        problem: ElfProblem,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElfPart {
    /// The header of the file.
    Header,
    /// An entry of the section headers, counted from 0.
    Section(u16),
    /// An entry of the program headers, counted from 0.
    Segment(u16),
    /// An entry of the symbol table, counted from 0.
    Symbol(u32),
}

impl fmt::Display for ElfPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the ELF header"),
            Self::Section(index) => write!(f, "section {index}"),
            Self::Segment(index) => write!(f, "program header {index}"),
            Self::Symbol(index) => write!(f, "symbol {index}"),
        }
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElfProblem {
    /// The file does not begin as an ELF file.
    #[error("is not that of an ELF file")]
    NotElf,
    /// The file ends inside of its header.
    #[error("is cut off: the file has {len} bytes, and the header 52")]
    ShortHeader {
        /// Bytes of the file.
        len: u32,
    },
    /// A number that is not among those that there can be.
    #[error("is {found:#x}, and can be {allowed}")]
    Value {
        /// The number.
        found: u32,
        /// What there can be, for people.
        allowed: &'static str,
    },
    /// Instructions of another machine.
    #[error("is {found:#x}, and can be 0x5e (Xtensa) or 0xf3 (RISC-V)")]
    Machine {
        /// The number of the machine.
        found: u16,
    },
    /// Something would lie outside of the file.
    #[error("leads to {end:#x}, and the file ends at {len:#x}: it is cut off or damaged")]
    Outside {
        /// Where what it describes would end.
        end: u64,
        /// Where the file ends.
        len: u32,
    },
    /// There are no section headers.
    #[error("is 0: there are no sections")]
    NoSections,
    /// An address and a size that end above 4 GB.
    #[error("leads to {end:#x}, above the last address 0xffffffff")]
    Wraps {
        /// Where the memory would end.
        end: u64,
    },
    /// More bytes in the file than in memory.
    #[error("is {file:#x}, more than p_memsz, {memory:#x}")]
    LargerThanMemory {
        /// Bytes in the file.
        file: u32,
        /// Bytes in memory.
        memory: u32,
    },
    /// The name table ends inside of a name, or before it.
    #[error("leads past the end of the names")]
    NoName,
    /// The number of a section that there is not, or that is of another kind.
    #[error("is {found}, which is no {wanted}")]
    NoSuchSection {
        /// The number.
        found: u32,
        /// What there should be.
        wanted: &'static str,
    },
    /// Something in memory that is not within its section.
    #[error("leads to {:#x}..{:#x}, and its section is at {:#x}..{:#x}", memory.start, memory.end, section.start, section.end)]
    OutsideSection {
        /// Its addresses.
        memory: Range<u64>,
        /// Those of the section.
        section: Range<u64>,
    },
}

/// Bytes of a program and where they belong: a section or a segment that is neither empty nor at
/// address 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loadable {
    /// What it is in the file.
    pub part: ElfPart,
    /// Name of the section; `PHDR` of a segment.
    pub name: String,
    /// Address of the first byte: `sh_addr` or `p_paddr`.
    pub address: u32,
    /// Its bytes in the file.
    pub data: Range<u32>,
    /// Alignment in bytes; 0 and 1: none.
    pub align: u32,
    /// Where the field with its address stands in the file.
    pub field: u64,
}

impl Loadable {
    /// As errors name it.
    pub(crate) fn place(&self, elf: &Elf) -> ElfPlace {
        ElfPlace {
            file: elf.name().to_owned(),
            part: self.part,
            name: self.name.clone(),
            address: self.address,
            field: self.field,
        }
    }
}

/// What of an ELF file is meant, for errors: the section or segment, and the field with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfPlace {
    /// The file.
    pub file: String,
    /// The section or segment.
    pub part: ElfPart,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: u32,
    /// Where the field with its address stands in the file.
    pub field: u64,
}

impl fmt::Display for ElfPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            part,
            name,
            address,
            field,
        } = self;
        write!(
            f,
            "'{file}': {part} ('{name}'): its address {address:#x} (at {field:#x} of the file)"
        )
    }
}

/// An ELF file of a program.
#[derive(Debug, Clone)]
pub struct Elf {
    /// Whose instructions these are.
    pub machine: Machine,
    /// Address at which the program starts.
    pub entry: u32,
    /// Sections with bytes for memory, in the order of the file.
    pub sections: Vec<Loadable>,
    /// Segments (program headers) with bytes for memory, in the order of the file.
    pub segments: Vec<Loadable>,
    /// Types of sections that have an address and are of no known kind; they are left out.
    pub unknown: Vec<u32>,
    /// Type of the table with the sections' names, when it is not that of such a table.
    pub odd_names: Option<u32>,
    pub(crate) contents: Contents,
}

impl Elf {
    /// Whether contents begin as an ELF file does.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn is_elf(contents: &Contents) -> Result<bool, ReadError> {
        let mut head = [0; 4];
        if contents.len() < 4 {
            return Ok(false);
        }
        contents.read_at(0, &mut head)?;
        Ok(head == ELF_MAGIC)
    }

    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// [`ElfError`].
    pub fn read(contents: &Contents) -> Result<Self, ElfError> {
        let file = File(contents);
        let header = file.header()?;
        let (sections, unknown, odd_names) = file.sections(&header)?;
        let segments = file.segments(&header)?;
        Ok(Self {
            machine: header.machine,
            entry: header.entry,
            sections,
            segments,
            unknown,
            odd_names,
            contents: contents.clone(),
        })
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.contents.name()
    }

    /// The file's bytes, in which [`Loadable::data`] counts.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// SHA-256 of the whole file.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn sha256(&self) -> Result<[u8; 32], ReadError> {
        self.contents.sha256(0..self.contents.len())
    }
}

struct Header {
    machine: Machine,
    entry: u32,
    segments: Table,
    sections: Table,
    names: u16,
}

/// Where a table of headers lies.
struct Table {
    offset: u32,
    count: u16,
}

struct SectionHeader {
    name: u32,
    kind: u32,
    flags: u32,
    address: u32,
    offset: u32,
    size: u32,
    link: u32,
    align: u32,
    entry_size: u32,
}

impl SectionHeader {
    /// One of a table that has it.
    fn of(table: &[u8], index: u16) -> Self {
        let start = usize::from(index) * usize::from(SECTION_LEN);
        let entry = &table[start..start + usize::from(SECTION_LEN)];
        Self {
            name: word(entry, 0),
            kind: word(entry, 4),
            flags: word(entry, 8),
            address: word(entry, 12),
            offset: word(entry, 16),
            size: word(entry, 20),
            link: word(entry, 24),
            align: word(entry, 32),
            entry_size: word(entry, 36),
        }
    }
}

struct File<'a>(&'a Contents);

impl File<'_> {
    fn header(&self) -> Result<Header, ElfError> {
        let len = self.0.len();
        let mut bytes = [0; HEADER_LEN as usize];
        let there = &mut bytes[..len.min(HEADER_LEN) as usize];
        self.0.read_at(0, there)?;
        let of_header =
            |offset, field, problem| Err(self.error(offset, field, ElfPart::Header, problem));
        if there.len() >= 4 && there[..4] != ELF_MAGIC || there.is_empty() {
            return of_header(0, "EI_MAG", ElfProblem::NotElf);
        }
        if len < HEADER_LEN {
            return of_header(0, "e_ident", ElfProblem::ShortHeader { len });
        }
        let value = |found: u32, allowed| ElfProblem::Value { found, allowed };
        if bytes[4] != 1 {
            let problem = value(bytes[4].into(), "1 (32-bit)");
            return of_header(4, "EI_CLASS", problem);
        }
        if bytes[5] != 1 {
            let problem = value(bytes[5].into(), "1 (little-endian)");
            return of_header(5, "EI_DATA", problem);
        }
        let found = half(&bytes, 18);
        let Some((_, machine)) = Machine::ALL.iter().find(|(number, _)| *number == found) else {
            return of_header(18, "e_machine", ElfProblem::Machine { found });
        };
        let header = Header {
            machine: *machine,
            entry: word(&bytes, 24),
            segments: Table {
                offset: word(&bytes, 28),
                count: half(&bytes, 44),
            },
            sections: Table {
                offset: word(&bytes, 32),
                count: half(&bytes, 48),
            },
            names: half(&bytes, 50),
        };
        let size = half(&bytes, 46);
        if size != SECTION_LEN {
            return of_header(46, "e_shentsize", value(size.into(), "0x28"));
        }
        if header.sections.count == 0 {
            return of_header(48, "e_shnum", ElfProblem::NoSections);
        }
        let size = half(&bytes, 42);
        if header.segments.count > 0 && size != SEGMENT_LEN {
            return of_header(42, "e_phentsize", value(size.into(), "0x20"));
        }
        if header.names >= header.sections.count {
            let problem = value(header.names.into(), "the number of a section");
            return of_header(50, "e_shstrndx", problem);
        }
        Ok(header)
    }

    #[expect(clippy::type_complexity, reason = "the three are taken apart at once")]
    fn sections(
        &self,
        header: &Header,
    ) -> Result<(Vec<Loadable>, Vec<u32>, Option<u32>), ElfError> {
        let table = &header.sections;
        let bytes = self.table(table, SECTION_LEN, 32, "e_shoff")?;
        let entry = |index: u16| SectionHeader::of(&bytes, index);
        let at = |index: u16| u64::from(table.offset) + u64::from(index) * u64::from(SECTION_LEN);
        let data = |index: u16, section: &SectionHeader| {
            let (offset, field) = (at(index) + 20, "sh_size");
            let part = ElfPart::Section(index);
            self.inside(section.offset, section.size, offset, field, part)
        };
        let names = entry(header.names);
        let odd_names = (names.kind != STRTAB).then_some(names.kind);
        let names = data(header.names, &names)?;
        let mut loadable = Vec::new();
        let mut unknown = Vec::new();
        for index in 0..table.count {
            let section = entry(index);
            if section.address == 0 || section.size == 0 {
                continue;
            }
            match section.kind {
                PROGBITS | INIT_ARRAY | FINI_ARRAY | PREINIT_ARRAY => {}
                NOBITS | STRTAB => continue,
                kind => {
                    unknown.push(kind);
                    continue;
                }
            }
            let part = ElfPart::Section(index);
            let Some(name) = self.string(&names, section.name)? else {
                return Err(self.error(at(index), "sh_name", part, ElfProblem::NoName));
            };
            self.below_4gb(section.address, section.size, at(index) + 20, part)?;
            loadable.push(Loadable {
                part,
                name,
                address: section.address,
                data: data(index, &section)?,
                align: section.align,
                field: at(index) + 12,
            });
        }
        Ok((loadable, unknown, odd_names))
    }

    fn segments(&self, header: &Header) -> Result<Vec<Loadable>, ElfError> {
        let table = &header.segments;
        if table.count == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.table(table, SEGMENT_LEN, 28, "e_phoff")?;
        let mut loadable = Vec::new();
        for index in 0..table.count {
            let start = usize::from(index) * usize::from(SEGMENT_LEN);
            let entry = &bytes[start..start + usize::from(SEGMENT_LEN)];
            let at = u64::from(table.offset) + start as u64;
            let part = ElfPart::Segment(index);
            if word(entry, 0) != LOAD {
                continue;
            }
            let (offset, address) = (word(entry, 4), word(entry, 12));
            let (file, memory) = (word(entry, 16), word(entry, 20));
            if file > memory {
                let problem = ElfProblem::LargerThanMemory { file, memory };
                return Err(self.error(at + 16, "p_filesz", part, problem));
            }
            if address == 0 || file == 0 {
                continue;
            }
            self.below_4gb(address, file, at + 16, part)?;
            loadable.push(Loadable {
                part,
                name: "PHDR".to_owned(),
                address,
                data: self.inside(offset, file, at + 16, "p_filesz", part)?,
                align: word(entry, 28),
                field: at + 12,
            });
        }
        Ok(loadable)
    }

    /// The bytes of a table of headers: at most 2.6 MB, since there are at most 65535 entries.
    fn table(
        &self,
        table: &Table,
        entry: u16,
        offset: u64,
        field: &'static str,
    ) -> Result<Vec<u8>, ElfError> {
        let len = u32::from(table.count) * u32::from(entry);
        let range = self.inside(table.offset, len, offset, field, ElfPart::Header)?;
        let mut bytes = vec![0; range.len()];
        self.0.read_at(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// The name at `offset` in the table of names, cut where it is very long.
    fn string(&self, names: &Range<u32>, offset: u32) -> Result<Option<String>, ElfError> {
        let Some(rest) = (names.end - names.start).checked_sub(offset) else {
            return Ok(None);
        };
        let mut bytes = vec![0; rest.min(MAX_NAME) as usize];
        self.0.read_at(names.start + offset, &mut bytes)?;
        let end = bytes.iter().position(|byte| *byte == 0);
        let Some(end) = end.or((rest > MAX_NAME).then_some(bytes.len())) else {
            return Ok(None);
        };
        Ok(Some(String::from_utf8_lossy(&bytes[..end]).into_owned()))
    }

    fn inside(
        &self,
        start: u32,
        size: u32,
        offset: u64,
        field: &'static str,
        part: ElfPart,
    ) -> Result<Range<u32>, ElfError> {
        let len = self.0.len();
        match start.checked_add(size) {
            Some(end) if end <= len => Ok(start..end),
            _ => {
                let end = u64::from(start) + u64::from(size);
                Err(self.error(offset, field, part, ElfProblem::Outside { end, len }))
            }
        }
    }

    fn below_4gb(
        &self,
        address: u32,
        size: u32,
        offset: u64,
        part: ElfPart,
    ) -> Result<(), ElfError> {
        let end = u64::from(address) + u64::from(size);
        if end <= 1 << 32 {
            return Ok(());
        }
        let field = match part {
            ElfPart::Segment(_) => "p_filesz",
            _ => "sh_size",
        };
        Err(self.error(offset, field, part, ElfProblem::Wraps { end }))
    }

    fn error(
        &self,
        offset: u64,
        field: &'static str,
        part: ElfPart,
        problem: ElfProblem,
    ) -> ElfError {
        ElfError::Field {
            file: self.0.name().to_owned(),
            offset,
            field,
            part,
            problem,
        }
    }
}

/// The 16-bit number at `offset`, which is inside.
fn half(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

/// The 32-bit number at `offset`, which is inside.
fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from(half(bytes, offset)) | u32::from(half(bytes, offset + 2)) << 16
}
