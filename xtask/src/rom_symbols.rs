//! `cargo xtask rom-symbols FOLDER`: what `guru-symbols` knows of the mask ROMs, read out of
//! Espressif's ROM ELF files (espressif/esp-rom-elfs), in `crates/symbols/src/rom/table.bin`.
//!
//! Facts only: names, addresses, sizes, and how frames lie on the stack. How a file's ROM is told is
//! in its own strings, not in its name, whose numbers mean different things for different chips.

mod elf;
mod frames;
mod pack;

use std::fs;
use std::path::{Path, PathBuf};

use guru_chip::{Architecture, Banner, CHIPS, Chip};
use guru_symbols::rom::RomFrame;

use crate::{Result, report};
use elf::RomElf;

/// The table may be no larger than this, in bytes.
const MOST: usize = 500_000;

/// Whether the table is written, or only compared with what would be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    Check,
}

/// A ROM as the table has it.
struct Rom {
    chip: &'static Chip,
    min_revision: u16,
    functions: Vec<Function>,
}

struct Function {
    name: String,
    address: u32,
    size: u32,
    frame: RomFrame,
}

pub fn run(folder: &str, mode: Mode) -> Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "elf"));
    files.sort();
    let mut roms = Vec::new();
    for file in &files {
        let name = file.display();
        let rom = read(&fs::read(file)?).map_err(|error| format!("{name}: {error}"))?;
        let known = rom
            .functions
            .iter()
            .filter(|function| function.frame != RomFrame::Unknown);
        report(&format!(
            "{name}: {} from revision {}, {} functions, frames of {}",
            rom.chip.id,
            rom.min_revision,
            rom.functions.len(),
            known.count()
        ));
        roms.push(rom);
    }
    roms.sort_by_key(|rom| (rom.chip.id, rom.min_revision));
    let table = pack::table(&roms)?;
    if table.len() > MOST {
        return Err(format!("the table has {} bytes: more than {MOST}", table.len()).into());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/symbols/src/rom/table.bin");
    match mode {
        Mode::Write => fs::write(&path, &table)?,
        Mode::Check if fs::read(&path)? == table => {}
        Mode::Check => {
            return Err("crates/symbols/src/rom/table.bin is not what the ROMs give: run `cargo xtask rom-symbols FOLDER`".into());
        }
    }
    report(&format!("{} ROMs, {} bytes", roms.len(), table.len()));
    Ok(())
}

fn read(bytes: &[u8]) -> Result<Rom> {
    let (chip, banner) = whose(bytes)?;
    let elf = RomElf::parse(bytes)?;
    let frames = match chip.architecture {
        Architecture::Riscv32 => frames::riscv(&elf),
        _ => frames::xtensa(&elf),
    };
    Ok(Rom {
        chip,
        min_revision: banner.min_revision,
        functions: elf
            .functions
            .iter()
            .zip(frames)
            .map(|(symbol, frame)| Function {
                name: symbol.name.clone(),
                address: symbol.address,
                size: symbol.size,
                frame,
            })
            .collect(),
    })
}

/// The chip and the boot log whose first line, or build date, the ROM has in it.
fn whose(bytes: &[u8]) -> Result<(&'static Chip, &'static Banner)> {
    let contains = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    let mut best: Option<(usize, &'static Chip, &'static Banner)> = None;
    for chip in CHIPS {
        for banner in chip.rom.banners {
            // "ets Jun  8 2016 00:22:57" is put together when it is printed.
            let text = match banner.build.strip_prefix("ets ") {
                Some(date) => date.get(..11).unwrap_or(date),
                None => banner.build.trim_start_matches("ESP-ROM:"),
            };
            let better = best.is_none_or(|(len, ..)| text.len() > len);
            if better && !text.is_empty() && contains(text) {
                best = Some((text.len(), chip, banner));
            }
        }
    }
    let (_, chip, banner) = best.ok_or("no boot log of a known chip is in it")?;
    Ok((chip, banner))
}
