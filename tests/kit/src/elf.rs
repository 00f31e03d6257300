//! A writer of small ELF files, with whatever in them a test wants.

use guru_chip::{Architecture, Chip};

use crate::noise;

/// Type of sections with bytes for memory.
pub const PROGBITS: u32 = 1;
/// Type of sections without bytes.
pub const NOBITS: u32 = 8;

/// e_machine of Xtensa.
pub const XTENSA: u16 = 0x5E;
/// e_machine of RISC-V.
pub const RISCV: u16 = 0xF3;

const HEADER: usize = 52;
const SECTION: usize = 40;
const SEGMENT: usize = 32;

/// A section to be.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// `sh_type`.
    pub kind: u32,
    /// `sh_addr`.
    pub address: u32,
    /// `sh_addralign`.
    pub align: u32,
    /// Its bytes; of [`NOBITS`] the number counts.
    pub data: Vec<u8>,
}

impl Section {
    /// One with bytes for memory.
    #[must_use]
    pub fn new(name: &str, address: u32, data: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            kind: PROGBITS,
            address,
            align: 4,
            data,
        }
    }
}

/// A function to be in the symbol table, or a variable.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// `st_value`.
    pub address: u32,
    /// `st_size`.
    pub size: u32,
    /// `st_shndx`: the writer's first section has the number 1.
    pub section: u16,
    /// Whether other object files see it.
    pub global: bool,
}

/// An ELF file to be: 32-bit, little-endian. Each section with bytes for memory has a program header.
#[derive(Debug, Clone)]
pub struct ElfWriter {
    /// `e_machine`.
    pub machine: u16,
    /// `e_entry`.
    pub entry: u32,
    /// Its sections; that with their names follows them.
    pub sections: Vec<Section>,
}

/// Where in the file the headers of a written ELF file stand.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// The first program header.
    pub segments: usize,
    /// The first section header, which is that of no section.
    pub sections: usize,
    /// The first symbol, which is none, where there are any.
    pub symbols: usize,
}

impl ElfWriter {
    /// The file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.write().0
    }

    /// The file, and where its headers are.
    #[must_use]
    pub fn write(&self) -> (Vec<u8>, Places) {
        self.write_with_symbols(&[])
    }

    /// The file with a symbol table, the last sections but the one with the sections' names.
    #[must_use]
    pub fn write_with_symbols(&self, symbols: &[Symbol]) -> (Vec<u8>, Places) {
        let loaded = |section: &&Section| section.kind == PROGBITS && section.address != 0;
        let count = self.sections.iter().filter(loaded).count();
        let mut body = vec![0; HEADER + count * SEGMENT];
        let mut names = vec![0];
        let mut sections = vec![0; SECTION];
        let mut segments = Vec::new();
        for section in &self.sections {
            let name = names.len() as u32;
            names.extend(section.name.as_bytes());
            names.push(0);
            body.resize(body.len().next_multiple_of(4), 0);
            let (offset, len) = (body.len() as u32, section.data.len() as u32);
            if section.kind != NOBITS {
                body.extend(&section.data);
            }
            let Section {
                kind,
                address,
                align,
                ..
            } = *section;
            // SHF_ALLOC, and SHF_EXECINSTR of code.
            let flags = match &*section.name {
                name if name.contains("text") => 6,
                name if name.starts_with(".debug") => 0,
                _ => 2,
            };
            words(
                &mut sections,
                &[name, kind, flags, address, offset, len, 0, 0, align, 0],
            );
            if loaded(&section) {
                words(
                    &mut segments,
                    &[1, offset, address, address, len, len, 5, align],
                );
            }
        }
        let mut count_of_sections = self.sections.len() + 2;
        body.resize(body.len().next_multiple_of(4), 0);
        let at_symbols = body.len();
        if !symbols.is_empty() {
            let mut texts = vec![0];
            body.extend([0; 16]);
            for symbol in symbols {
                words(
                    &mut body,
                    &[texts.len() as u32, symbol.address, symbol.size],
                );
                // STT_FUNC
                body.extend([u8::from(symbol.global) << 4 | 2, 0]);
                body.extend(symbol.section.to_le_bytes());
                texts.extend(symbol.name.as_bytes());
                texts.push(0);
            }
            // The table with their names follows them.
            let link = count_of_sections as u32;
            let (offset, len) = (at_symbols as u32, (body.len() - at_symbols) as u32);
            let name = names.len() as u32;
            names.extend(b".symtab\0.strtab\0");
            words(&mut sections, &[name, 2, 0, 0, offset, len, link, 0, 4, 16]);
            let (offset, len) = (body.len() as u32, texts.len() as u32);
            body.extend(texts);
            words(&mut sections, &[name + 8, 3, 0, 0, offset, len, 0, 0, 1, 0]);
            count_of_sections += 2;
        }
        let name = names.len() as u32;
        names.extend(b".shstrtab\0");
        let (offset, len) = (body.len() as u32, names.len() as u32);
        body.extend(names);
        words(&mut sections, &[name, 3, 0, 0, offset, len, 0, 0, 1, 0]);
        body.resize(body.len().next_multiple_of(4), 0);
        let places = Places {
            segments: HEADER,
            sections: body.len(),
            symbols: at_symbols,
        };
        body.extend(sections);

        let mut header = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        header.extend(2_u16.to_le_bytes());
        header.extend(self.machine.to_le_bytes());
        words(&mut header, &[1, self.entry, HEADER as u32]);
        words(&mut header, &[places.sections as u32, 0]);
        let sections = count_of_sections;
        for half in [HEADER, SEGMENT, count, SECTION, sections, sections - 1] {
            header.extend((half as u16).to_le_bytes());
        }
        body[..HEADER].copy_from_slice(&header);
        body[HEADER..HEADER + segments.len()].copy_from_slice(&segments);
        (body, places)
    }
}

fn words(bytes: &mut Vec<u8>, words: &[u32]) {
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

impl ElfWriter {
    /// A program of ESP-IDF's kind for a chip: a descriptor and read-only data in mapped flash, code
    /// there and in RAM. On an ESP8266 without a descriptor.
    #[must_use]
    pub fn application(chip: &Chip, seed: u64) -> Self {
        let mut elf = Self::in_ram(chip, seed);
        if chip.image.chip_id.is_none() {
            let mapped = Section::new(".irom0.text", chip.irom.start + 0x1_0000, noise(9000, seed));
            elf.sections.push(mapped);
            return elf;
        }
        let mut descriptor = vec![0; 256];
        descriptor[..4].copy_from_slice(&0xABCD_5432_u32.to_le_bytes());
        descriptor[48..53].copy_from_slice(b"blink");
        descriptor[180] = 16;
        // At the place in its page where the data before it end in the image, so that this is short.
        let code = chip.irom.start + 0x3_2080;
        elf.entry = code;
        elf.sections.extend([
            Section::new(".flash.appdesc", chip.drom.start + 0x20, descriptor),
            Section::new(".flash.rodata", chip.drom.start + 0x120, noise(8000, seed)),
            Section::new(".flash.text", code, noise(24_000, seed + 1)),
        ]);
        elf
    }

    /// A program that lies in RAM alone, as a bootloader does.
    #[must_use]
    pub fn in_ram(chip: &Chip, seed: u64) -> Self {
        let iram = chip.memory.iter().find(|range| range.name == "IRAM");
        let start = iram.map_or(0, |range| range.range.start) + 0x4000;
        Self {
            machine: match chip.architecture {
                Architecture::Riscv32 => RISCV,
                _ => XTENSA,
            },
            entry: start,
            sections: vec![Section::new(".iram0.text", start, noise(6000, seed + 2))],
        }
    }
}
