use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use guru_image::{Contents, FirmwareError, Found, Piece, Role, split};

use crate::args;
use crate::context::Context;
use crate::error::Error;
use crate::layout::{self, TableAt};
use crate::new_file::NewFolder;
use crate::ui::{Report, SplitPart, SplitReport};

/// Take a merged image or a flash dump apart
///
/// What is in it is found by its partition table: the bootloader, the table, and each partition, in
/// files of their names. Images end where their headers say, with their signature; data partitions
/// are whole. What is blank is left out. What lies beside all partitions is kept as well.
///
///     guru read-flash 0 ALL dump.bin
///     guru split-bin -o parts dump.bin
///     cd parts && guru write-flash @flash_args
///
/// The folder holds two more files: flash_args, with which 'write-flash' and 'merge-bin' put all of
/// it together again, and manifest.json.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct SplitBin {
    /// Merged image or flash dump
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Folder to make
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    /// Flash address of the first byte; found by where the bootloader is without it
    #[arg(long, value_name = "ADDR", value_parser = args::scaled)]
    offset: Option<u32>,

    /// Flash address of the partition table; 0x8000, or where one is found, without it
    #[arg(long, value_name = "ADDR", value_parser = args::scaled)]
    partition_table_offset: Option<u32>,
}

impl SplitBin {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let contents = Contents::open(&self.file).map_err(FirmwareError::from)?;
        let table = self
            .partition_table_offset
            .map_or(TableAt::Anywhere, TableAt::Offset);
        let Some(layout) = layout::find(&contents, self.offset, table)? else {
            return Err(Error::NoTable {
                file: self.file,
                given: self.partition_table_offset,
            });
        };
        let pieces = split(&contents, layout.base, &layout.places)?;
        let folder = NewFolder::create(&self.output)?;
        let mut names = HashSet::new();
        let mut parts = Vec::new();
        for piece in &pieces {
            parts.push(store(&folder, piece, &mut names)?);
        }
        let report = SplitReport {
            file: self.file,
            folder: self.output,
            chip: layout.chip.map(|chip| chip.id),
            offset: layout.base,
            problems: layout
                .misfits(&contents, &pieces)?
                .into_iter()
                .filter(|misfit| misfit.fatal)
                .map(|misfit| misfit.text)
                .collect(),
            parts,
        };
        let arguments: String = report.parts.iter().filter_map(argument).collect();
        folder.write("flash_args", &mut arguments.as_bytes())?;
        let manifest = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
        folder.write("manifest.json", &mut manifest.as_bytes())?;
        folder.finish()?;
        context.screen.report(Report::SplitBin(Box::new(report)));
        Ok(())
    }
}

/// A line for `flash_args`.
fn argument(part: &SplitPart) -> Option<String> {
    let file = part.file.as_deref()?;
    Some(format!("0x{:x} {file}\n", part.address))
}

/// Writes a piece into a file, unless there is nothing to write.
fn store(
    folder: &NewFolder,
    piece: &Piece,
    names: &mut HashSet<String>,
) -> Result<SplitPart, Error> {
    let place = &piece.place;
    let mut part = SplitPart {
        name: place.name.clone(),
        role: place.role.name(),
        address: place.range.start,
        size: place.range.end.saturating_sub(place.range.start),
        file: None,
        bytes: 0,
        sha256: None,
        blank: matches!(piece.found, Found::Blank),
        leftover: false,
        cut: false,
        problems: Vec::new(),
    };
    if let Found::Bytes {
        contents,
        image,
        leftover,
        cut,
    } = &piece.found
    {
        let file = file_name(place.role, &place.name, place.range.start, names);
        let whole = contents.reader(0..contents.len());
        let mut reader = whole.map_err(FirmwareError::from)?;
        folder.write(&file, &mut reader)?;
        let digest = contents.sha256(0..contents.len());
        let digest = digest.map_err(FirmwareError::from)?;
        part.sha256 = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        part.file = Some(file);
        part.bytes = contents.len();
        part.leftover = *leftover;
        // Where only an image counts, the end of the place is of no interest.
        part.cut = *cut && image.is_none() && place.role != Role::PartitionTable;
        if let Some(image) = image {
            let problems = image.problems();
            let fatal = problems.iter().filter(|problem| problem.is_fatal());
            part.problems = fatal.map(ToString::to_string).collect();
        }
    }
    Ok(part)
}

/// A name that every file system takes, and that is not taken yet, whatever the table says.
fn file_name(role: Role, name: &str, start: u64, names: &mut HashSet<String>) -> String {
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => c,
        _ => '_',
    };
    let stem: String = name.chars().map(plain).collect();
    // Names of devices on Windows, and no name at all.
    let reserved = ["con", "prn", "aux", "nul", ""];
    let numbered = |stem: &str| {
        let stem = stem.to_ascii_lowercase();
        (stem.starts_with("com") || stem.starts_with("lpt")) && stem.len() == 4
    };
    let usable = !reserved.contains(&stem.to_ascii_lowercase().as_str()) && !numbered(&stem);
    let file = format!("{stem}.bin");
    // Upper and lower case are the same to some.
    if usable && names.insert(file.to_ascii_lowercase()) {
        return file;
    }
    let file = format!("{}-{stem}-0x{start:x}.bin", role.name());
    names.insert(file.to_ascii_lowercase());
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_partitions_become_names_of_files() {
        let mut names = HashSet::new();
        let mut name = |name: &str, start| file_name(Role::Data, name, start, &mut names);
        assert_eq!(name("nvs", 0x9000), "nvs.bin");
        assert_eq!(name("NVS", 0xA000), "data-NVS-0xa000.bin");
        assert_eq!(name("../../etc/passwd", 0xB000), "______etc_passwd.bin");
        assert_eq!(name("", 0xC000), "data--0xc000.bin");
        assert_eq!(name("con", 0xD000), "data-con-0xd000.bin");
        assert_eq!(name("com1", 0xE000), "data-com1-0xe000.bin");
        assert_eq!(name("a b\n", 0xF000), "a_b_.bin");
    }
}
