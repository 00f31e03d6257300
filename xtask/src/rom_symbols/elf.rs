//! Sections and functions of a ROM ELF file.
//!
//! Source: "Tool Interface Standard ELF Specification", version 1.2, book I.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::Result;

const SYMTAB: u32 = 2;
const PROGBITS: u32 = 1;
const EXECUTABLE: u32 = 4;
const NOTYPE: u8 = 0;
const FUNC: u8 = 2;

/// A ROM's code.
pub struct RomElf<'a> {
    sections: Vec<Section<'a>>,
    /// By ascending address, one for each.
    pub functions: Vec<Symbol>,
}

struct Section<'a> {
    name: String,
    kind: u32,
    flags: u32,
    address: u32,
    bytes: &'a [u8],
    link: u32,
}

/// A function.
#[derive(Debug, Clone)]
pub struct Symbol {
    pub name: String,
    pub address: u32,
    pub size: u32,
}

impl<'a> RomElf<'a> {
    pub fn parse(elf: &'a [u8]) -> Result<Self> {
        if !elf.starts_with(b"\x7FELF\x01\x01") {
            return Err("not a 32-bit little-endian ELF file".into());
        }
        let headers = word(elf, 32)? as usize;
        let counts = word(elf, 48)?;
        let (count, names) = (counts & 0xFFFF, counts >> 16);
        let field =
            |index: u32, number: usize| word(elf, headers + 40 * index as usize + 4 * number);
        let bytes_of = |index: u32| -> Result<&'a [u8]> {
            let (offset, size) = (field(index, 4)? as usize, field(index, 5)? as usize);
            let bytes = elf.get(offset..offset + size);
            bytes.ok_or_else(|| "the file is cut: a section lies outside".into())
        };
        let texts = bytes_of(names)?;
        let mut sections = Vec::new();
        for index in 0..count {
            let kind = field(index, 1)?;
            sections.push(Section {
                name: text(texts, field(index, 0)?),
                kind,
                flags: field(index, 2)?,
                address: field(index, 3)?,
                // Of others there may be none.
                bytes: if matches!(kind, PROGBITS | 2 | 3) {
                    bytes_of(index)?
                } else {
                    &[]
                },
                link: field(index, 6)?,
            });
        }
        let functions = functions(&sections)?;
        Ok(Self {
            sections,
            functions,
        })
    }

    /// Bytes at an address of code, up to the end of its section.
    pub fn code(&self, address: u32) -> Option<&'a [u8]> {
        let mut code = self.sections.iter().filter(|section| section.is_code());
        code.find_map(|section| {
            let at = address.checked_sub(section.address)? as usize;
            let bytes = section.bytes.get(at..)?;
            // Behind the end another section may begin.
            (!bytes.is_empty()).then_some(bytes)
        })
    }

    /// A section by its name: address and bytes.
    pub fn section(&self, name: &str) -> Option<(u32, &'a [u8])> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        Some((section.address, section.bytes))
    }
}

impl Section<'_> {
    fn is_code(&self) -> bool {
        self.kind == PROGBITS && self.flags & EXECUTABLE != 0 && !self.bytes.is_empty()
    }

    fn addresses(&self) -> Range<u32> {
        self.address..self.address + self.bytes.len() as u32
    }
}

/// Whether it is a label, whether other files see it not, the length of its name.
type Rank = Reverse<(u8, bool, usize)>;

fn functions(sections: &[Section<'_>]) -> Result<Vec<Symbol>> {
    let table = sections
        .iter()
        .find(|section| section.kind == SYMTAB)
        .ok_or("no symbols")?;
    let names = sections.get(table.link as usize).ok_or("no names")?.bytes;
    // Of several for one address: functions before labels, what other files see before what they
    // do not, and the shortest name.
    let mut best: BTreeMap<u32, (Rank, Symbol, u32)> = BTreeMap::new();
    for entry in table.bytes.chunks_exact(16) {
        let (info, index) = (entry[12], u16::from_le_bytes([entry[14], entry[15]]));
        let (kind, binding) = (info & 0xF, info >> 4);
        let name = text(names, word(entry, 0)?);
        let Some(section) = sections
            .get(usize::from(index))
            .filter(|section| section.is_code())
        else {
            continue;
        };
        let address = word(entry, 4)?;
        // Marks of the assembler's are no names.
        if !matches!(kind, FUNC | NOTYPE)
            || name.is_empty()
            || name.starts_with(['.', '$'])
            || !section.addresses().contains(&address)
        {
            continue;
        }
        let end = section.addresses().end;
        let size = word(entry, 8)?.min(end - address);
        let rank = Reverse((u8::from(kind != FUNC), binding == 0, name.len()));
        let symbol = Symbol {
            name,
            address,
            size,
        };
        let other = best.get(&address);
        if other.is_none_or(|(than, of, _)| (rank, &of.name) > (*than, &symbol.name)) {
            best.insert(address, (rank, symbol, end));
        }
    }
    // Labels within functions say nothing.
    let mut covered = 0;
    let mut kept: Vec<(Symbol, u32)> = Vec::new();
    for (rank, symbol, end) in best.into_values() {
        let label = rank.0.0 != 0;
        if label && symbol.address < covered {
            continue;
        }
        covered = covered.max(symbol.address + symbol.size);
        kept.push((symbol, end));
    }
    let starts: Vec<u32> = kept.iter().map(|(symbol, _)| symbol.address).collect();
    for ((symbol, end), next) in kept
        .iter_mut()
        .zip(starts.iter().skip(1).chain([&u32::MAX]))
    {
        if symbol.size == 0 {
            symbol.size = *next.min(end) - symbol.address;
        }
    }
    Ok(kept.into_iter().map(|(symbol, _)| symbol).collect())
}

fn text(texts: &[u8], at: u32) -> String {
    let rest = texts.get(at as usize..).unwrap_or_default();
    let len = rest
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(rest.len());
    String::from_utf8_lossy(&rest[..len]).into_owned()
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let found = bytes.get(at..at + 4).ok_or("the file is cut")?;
    Ok(u32::from_le_bytes(found.try_into()?))
}
