//! What fills an image, added up in several ways.

use std::collections::HashMap;
use std::ops::AddAssign;

use guru_chip::{CHIPS, Chip};
use guru_image::{BuildOptions, Elf, Makeup, SharedPage, build};

use crate::memory::Memory;
use crate::program::{Piece, Program, SizeError};

/// Bytes of an image and of memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes in the image.
    pub image: u64,
    memory: [u64; Memory::ALL.len()],
}

impl Usage {
    /// Bytes of one memory while the program runs.
    #[must_use]
    pub fn of(&self, memory: Memory) -> u64 {
        let place = Memory::ALL.iter().position(|one| *one == memory);
        place
            .and_then(|at| self.memory.get(at))
            .copied()
            .unwrap_or(0)
    }

    /// Bytes of all memories that are not flash.
    #[must_use]
    pub fn ram(&self) -> u64 {
        let ram = Memory::ALL.iter().filter(|memory| !memory.is_flash());
        ram.map(|memory| self.of(*memory)).sum()
    }

    /// Those of the image alone.
    fn image(image: u64) -> Self {
        Self {
            image,
            ..Self::default()
        }
    }

    fn add(&mut self, memory: Memory, bytes: u64) {
        let place = Memory::ALL.iter().position(|one| *one == memory);
        if let Some(sum) = place.and_then(|at| self.memory.get_mut(at)) {
            *sum += bytes;
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.image += other.image;
        for (sum, more) in self.memory.iter_mut().zip(other.memory) {
            *sum += more;
        }
    }
}

/// By what sizes are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The memory in which the bytes are.
    Memory,
    /// The section of the ELF file.
    Section,
    /// The Rust crate by a symbol's name, and where there is none the archive.
    Crate,
    /// The archive by the linker's map; without one the component, folder or crate by debugging
    /// information.
    Archive,
    /// The object file by the linker's map; without one the source file by debugging information.
    Object,
    /// The symbol.
    Symbol,
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose bytes they are. What is in brackets is of nobody.
    pub name: String,
    /// How many.
    pub usage: Usage,
}

/// How large a program is on a chip.
#[derive(Debug)]
pub struct Size<'p> {
    /// The chip.
    pub chip: &'static Chip,
    /// What the bytes of its image are; of the ESP8266 of both files.
    pub makeup: Makeup,
    program: &'p Program,
    /// Where the sections are.
    memories: Vec<Option<Memory>>,
}

impl<'p> Size<'p> {
    /// Of the program in an ELF file on a chip, with the image that `write-flash` makes of it.
    ///
    /// # Errors
    ///
    /// [`SizeError::Build`].
    pub fn on(chip: &'static Chip, elf: &Elf, program: &'p Program) -> Result<Self, SizeError> {
        let options = BuildOptions {
            shared_page: SharedPage::Join,
            ..BuildOptions::default()
        };
        let mut makeup = Makeup::default();
        for file in build(elf, chip, &options, &mut |_| {})? {
            let of_file = file.makeup();
            makeup.program += of_file.program;
            makeup.headers += of_file.headers;
            makeup.padding += of_file.padding;
            makeup.checks += of_file.checks;
        }
        // Where a section is too short for it, the digest of the ELF file lies in padding.
        let with_bytes = program.sections.iter().filter(|one| one.data.is_some());
        let sum = with_bytes.map(|section| u64::from(section.size)).sum();
        makeup.checks += makeup.program.saturating_sub(sum);
        makeup.program = makeup.program.min(sum);
        let sections = program.sections.iter();
        let memories = sections.map(|section| Memory::of(chip, section)).collect();
        Ok(Self {
            chip,
            makeup,
            program,
            memories,
        })
    }

    /// On the chip that the program names, or else on the one that it fits.
    ///
    /// # Errors
    ///
    /// [`SizeError`], with the chips on which it would not be the same.
    pub fn on_its_chip(elf: &Elf, program: &'p Program) -> Result<Self, SizeError> {
        let named = program.chip.as_deref().and_then(guru_chip::by_id);
        if let Some(chip) = named {
            return Self::on(chip, elf, program);
        }
        let mut fitting = Vec::new();
        for chip in CHIPS {
            // No image is made of memory without bytes, and so nobody else looks at where it is.
            if let Ok(size) = Self::on(chip, elf, program)
                && !size.memories.contains(&Some(Memory::Other))
            {
                fitting.push(size);
            }
        }
        let file = || elf.name().to_owned();
        let Some(first) = fitting.first() else {
            return Err(SizeError::NoChip { file: file() });
        };
        let alike = |one: &Self| one.makeup == first.makeup && one.memories == first.memories;
        if !fitting.iter().all(alike) {
            if let Some(at) = program.told_by_folders(fitting.iter().map(|size| size.chip)) {
                return Ok(fitting.swap_remove(at));
            }
            return Err(SizeError::SeveralChips {
                file: file(),
                chips: fitting.iter().map(|size| size.chip.id).collect(),
            });
        }
        Ok(fitting.swap_remove(0))
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> Usage {
        let mut total = Usage::default();
        for row in self.rows(By::Memory) {
            total += row.usage;
        }
        total
    }

    /// The memory of a section; `None`: it stands for none.
    pub fn sections(&self) -> impl Iterator<Item = (Memory, Row)> {
        let sections = self.program.sections.iter().zip(&self.memories);
        sections.filter_map(|(section, memory)| {
            let memory = (*memory)?;
            let mut usage = Usage::default();
            usage.add(memory, section.size.into());
            if section.data.is_some() {
                usage.image = section.size.into();
            }
            let name = section.name.clone();
            Some((memory, Row { name, usage }))
        })
    }

    /// What fills it, the largest part of the image first. The bytes of the image add up to its
    /// length.
    #[must_use]
    pub fn rows(&self, by: By) -> Vec<Row> {
        let mut sums: HashMap<String, Usage> = HashMap::new();
        for piece in &self.program.pieces {
            let Some(Some(memory)) = self.memories.get(piece.section) else {
                continue;
            };
            let usage = self.usage(piece, *memory);
            match sums.get_mut(self.owner(by, piece).as_ref()) {
                Some(sum) => *sum += usage,
                None => {
                    sums.insert(self.owner(by, piece).into_owned(), usage);
                }
            }
        }
        let mut rows: Vec<_> = sums
            .into_iter()
            .map(|(name, usage)| Row { name, usage })
            .collect();
        for (name, image) in [
            ("[headers]", self.makeup.headers),
            ("[padding]", self.makeup.padding),
            ("[checksum and digest]", self.makeup.checks),
        ] {
            rows.push(Row {
                name: name.to_owned(),
                usage: Usage::image(image),
            });
        }
        rows.sort_by(|a, b| {
            let key = |row: &Row| (row.usage.image, row.usage.ram());
            key(b).cmp(&key(a)).then_with(|| a.name.cmp(&b.name))
        });
        rows
    }

    fn usage(&self, piece: &Piece, memory: Memory) -> Usage {
        let mut usage = Usage::default();
        usage.add(memory, piece.len.into());
        let section = self.program.sections.get(piece.section);
        if section.is_some_and(|section| section.data.is_some()) {
            usage.image = piece.len.into();
        }
        usage
    }

    /// Whose a piece is.
    fn owner(&self, by: By, piece: &Piece) -> std::borrow::Cow<'p, str> {
        let program = self.program;
        let name = piece.name.and_then(|at| program.names.get(at as usize));
        let origin = piece.origin.and_then(|at| program.origins.get(at as usize));
        let krate = || name.and_then(|name| name.krate.as_deref());
        let archive = || origin.map(|origin| origin.archive.as_str());
        let section = program.sections.get(piece.section);
        let section = section.map_or("", |section| section.name.as_str());
        let owner = match by {
            By::Memory => {
                let memory = self.memories.get(piece.section).copied().flatten();
                return memory.map_or("", Memory::name).into();
            }
            By::Section => return section.into(),
            By::Crate => krate().or_else(archive),
            By::Archive => archive().or_else(krate),
            By::Object => origin.map(|origin| origin.object.as_str()),
            By::Symbol => name.map(|name| name.text.as_str()),
        };
        match owner {
            Some(owner) => owner.into(),
            None => format!("[{section}]").into(),
        }
    }
}
