//! From the folder of data files to Rust source.

mod bits;
mod check;
mod emit;
mod extras;
mod fuses;
mod registers;
mod rom_code;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};

/// Files that do not describe a chip.
const NOT_CHIPS: [&str; 3] = ["adapters", "hints", "known"];

/// Reads and checks every file of the folder; gives the source of the tables, or all that is wrong.
pub fn generate(dir: &Path) -> Result<String, Vec<String>> {
    let mut problems = Vec::new();
    let mut chips = Vec::new();
    for path in toml_files(dir).map_err(|e| vec![format!("{}: {e}", dir.display())])? {
        let id = stem(&path);
        if NOT_CHIPS.contains(&id.as_str()) {
            continue;
        }
        match read_chip(&path, &id) {
            Ok(chip) => chips.push((id, chip)),
            Err(more) => problems.extend(more),
        }
    }
    problems.extend(check::together(&chips));

    let extras = extras::read(dir, &chips).map_err(|more| problems.extend(more));
    match (problems.is_empty(), extras) {
        (true, Ok(extras)) => {
            Ok(emit::chips(&chips).map_err(|e| vec![e])? + &emit::extras(&extras))
        }
        _ => Err(problems),
    }
}

/// An entry, with its registers, and with its eFuse fields and what is known of its ROM where there are
/// files of them.
fn read_chip(path: &Path, id: &str) -> Result<schema::Chip, Vec<String>> {
    let mut chip = read::<schema::Chip>(path)?;
    check::chip(id, &chip)?;
    let fuses = path.with_file_name("efuse").join(format!("{id}.toml"));
    if fuses.exists() {
        let fuses = read::<fuses::Fuses>(&fuses)?;
        let problems = fuses.check(id, &chip.efuse.blocks());
        if !problems.is_empty() {
            return Err(problems);
        }
        chip.fuses = Some(fuses);
    }
    let rom = path.with_file_name("rom").join(format!("{id}.toml"));
    if rom.exists() {
        let rom = read::<rom_code::RomCode>(&rom)?;
        let problems = rom.check(id);
        if !problems.is_empty() {
            return Err(problems);
        }
        chip.rom_code = Some(rom);
    }
    let registers = path.with_file_name("registers").join(format!("{id}.toml"));
    let registers = read::<registers::Registers>(&registers)?;
    let problems = registers.check(id, &chip.efuse.blocks());
    if !problems.is_empty() {
        return Err(problems);
    }
    chip.registers = Some(registers);
    Ok(chip)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Vec<String>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).map_err(|e| vec![format!("chips/{name}: {e}")])?;
    toml::from_str(&text).map_err(|e| vec![format!("chips/{name}: {e}")])
}

/// The data files in the order of their names, which is the order of the tables.
fn toml_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
