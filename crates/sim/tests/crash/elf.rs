//! Symbols and segments of a 32-bit little-endian ELF file.
//!
//! Source: "Tool Interface Standard ELF Specification", version 1.2, book I.

use std::fs;
use std::path::Path;

use crate::programs::Segments;

pub struct Elf {
    file: Vec<u8>,
    pub entry: u32,
    /// Addresses and names, by address; only those of code.
    code: Vec<(u32, String)>,
    all: Vec<(u32, String)>,
}

impl Elf {
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut elf = Self {
            entry: 0,
            code: Vec::new(),
            all: Vec::new(),
            file,
        };
        elf.entry = elf.word(24);
        let (table, count) = (elf.word(32) as usize, elf.word(48) as usize & 0xFFFF);
        let section = |number: usize, field: usize| elf.word(table + 40 * number + 4 * field);
        let symbols = (0..count).find(|&number| section(number, 1) == 2);
        let symbols = symbols.ok_or("no symbols")?;
        let names = section(section(symbols, 6) as usize, 4) as usize;
        let (start, len) = (section(symbols, 4) as usize, section(symbols, 5) as usize);
        let text = |number: u32| (number as usize) < count && section(number as usize, 2) & 4 != 0;
        let (mut code, mut all) = (Vec::new(), Vec::new());
        for at in (start..start + len).step_by(16) {
            let name = elf.file[names + elf.word(at) as usize..].split(|byte| *byte == 0);
            let name = String::from_utf8_lossy(name.into_iter().next().unwrap_or(&[])).into_owned();
            let (address, kind) = (elf.word(at + 4), elf.file[at + 12] & 15);
            if name.is_empty() || name.starts_with(['.', '$', 'L']) || kind > 2 {
                continue;
            }
            if text(elf.word(at + 12) >> 16) && !name.starts_with("_text") {
                code.push((address, name.clone()));
            }
            all.push((address, name));
        }
        let start = all.iter().find(|(_, name)| name == "_text_start");
        let start = start.map_or(0, |(address, _)| *address);
        code.retain(|(address, _)| *address >= start);
        code.sort();
        (elf.code, elf.all) = (code, all);
        Ok(elf)
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.file[at..at + 4].try_into().expect("4 bytes"))
    }

    /// The function at an address of code.
    pub fn function(&self, address: u32) -> Option<&str> {
        let end = self.symbol("_text_end")?;
        let index = self.code.partition_point(|(start, _)| *start <= address);
        let (_, name) = self.code.get(index.checked_sub(1)?)?;
        (address < end).then_some(name)
    }

    pub fn symbol(&self, name: &str) -> Option<u32> {
        let found = self.all.iter().find(|(_, one)| one == name);
        found.map(|(address, _)| *address)
    }

    /// What is loaded.
    pub fn segments(&self) -> Segments {
        let table = self.word(28) as usize;
        let headers = (0..usize::from(self.file[44])).map(|number| table + 32 * number);
        let loaded = headers.filter(|at| self.word(*at) == 1 && self.word(at + 16) > 0);
        let segment = |at: usize| {
            let (offset, len) = (self.word(at + 4) as usize, self.word(at + 16) as usize);
            (self.word(at + 8), self.file[offset..offset + len].to_vec())
        };
        loaded.map(segment).collect()
    }
}
