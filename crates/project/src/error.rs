use std::fmt;
use std::io;
use std::path::PathBuf;

use guru_image::{BuildError, ElfError, ReadError, UnknownParameter, WriteError};
use guru_store::TableError;
use thiserror::Error;

use crate::build::Build;
use crate::installed::Searched;
use crate::listing::ListError;

/// Why it cannot be said, or must not be done, what goes to flash with a program.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// A file cannot be read.
    #[error("cannot read '{}': {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Contents cannot be read.
    #[error(transparent)]
    Contents(#[from] ReadError),
    /// A damaged ELF file.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// No image can be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What is to stand in a header is not to be had on the chip.
    #[error(transparent)]
    Parameter(#[from] UnknownParameter),
    /// What was named is neither a program nor an image.
    #[error("'{}' is neither an ELF file nor a firmware image: {reason}", path.display())]
    NoProgram {
        /// The file.
        path: PathBuf,
        /// What it is.
        reason: String,
    },
    /// A list of files that a build has left is wrong.
    #[error("'{}': {error}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What is wrong.
        error: ListError,
    },
    /// A build for a chip of which nothing is known.
    #[error("'{}' is for '{name}', which no known chip is called", path.display())]
    UnknownChip {
        /// What says so.
        path: PathBuf,
        /// The chip's name.
        name: String,
    },
    /// The program is a bootloader.
    #[error(
        "'{}' is the bootloader of the build in '{}'; name its application, that of {app}",
        program.display(), folder.display()
    )]
    IsBootloader {
        /// The program.
        program: PathBuf,
        /// The build folder.
        folder: PathBuf,
        /// The image of the application.
        app: String,
    },
    /// A folder that was named is no build folder.
    #[error(
        "'{}' is no build folder of ESP-IDF, PlatformIO, Arduino or Zephyr: it has none of \
         flasher_args.json, flash_args, partitions.bin, partition-table.bin and runners.yaml",
        folder.display()
    )]
    NoBuild {
        /// The folder.
        folder: PathBuf,
    },
    /// A file that a build folder tells of is not there.
    #[error("'{}' is missing ({found} tells of it); build the project again", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What tells of it.
        found: FoundIn,
    },
    /// The build is for another chip.
    #[error(
        "{found} is for the {built}, and this chip is an {chip}; name another port, or build for it"
    )]
    OtherChip {
        /// What says so.
        found: FoundIn,
        /// The chip it was built for.
        built: &'static str,
        /// The chip that is there.
        chip: String,
    },
    /// A program that is not meant for flash.
    #[error(
        "all of '{program}' lies in RAM: start it there with 'guru load-ram {program}', or let the ROM \
         start it from flash with 'guru write-flash {bootloader:#x} {program}'"
    )]
    RamOnly {
        /// The program.
        program: String,
        /// Where the ROM looks for a program in flash.
        bootloader: u32,
    },
    /// A program that the ROM maps and starts without a header.
    #[error(
        "'{program}' is linked for direct boot, without a header: make it flat with 'objcopy -O \
         binary', and write that with 'guru write-flash 0x0 FILE'"
    )]
    DirectBoot {
        /// The program.
        program: String,
    },
    /// A program that another one must have prepared.
    #[error(
        "'{program}' is linked to lie behind eboot, the bootloader of Arduino's core for the ESP8266, \
         and the file with both is not beside it: write that with 'guru write-flash 0x0 FILE'"
    )]
    NeedsEboot {
        /// The program.
        program: String,
    },
    /// No bootloader is there.
    #[error("no bootloader for the {chip} is to be had{searched}; name one with --bootloader FILE")]
    NoBootloader {
        /// The chip.
        chip: &'static str,
        /// Where it was looked for one.
        searched: Searched,
    },
    /// An image is damaged or not for the chip.
    #[error("the {role} '{file}' will not boot: {problem}")]
    BadImage {
        /// What it is for.
        role: &'static str,
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The bootloader is not where the ROM starts one.
    #[error(
        "{found} puts the bootloader at {address:#x}, and the ROM of the {chip} starts what lies at {right:#x}"
    )]
    BootloaderPlace {
        /// What says so.
        found: FoundIn,
        /// Where it would be.
        address: u32,
        /// The chip.
        chip: &'static str,
        /// Where it must be.
        right: u32,
    },
    /// The bootloader runs into what lies behind it.
    #[error(
        "the bootloader '{file}' has {length:#x} bytes from {address:#x} on, and runs into {what} at \
         {next:#x}"
    )]
    BootloaderTooLong {
        /// The file.
        file: String,
        /// Where it begins.
        address: u32,
        /// Its length in bytes.
        length: u32,
        /// What lies behind it.
        what: &'static str,
        /// Where that begins.
        next: u32,
    },
    /// A bootloader that looks for its table elsewhere.
    #[error(
        "the bootloader '{file}' looks for the partition table at 0x8000, not at {offset:#x}; name one \
         that was built for that with --bootloader"
    )]
    TableElsewhere {
        /// The bootloader.
        file: String,
        /// Where the table is to be.
        offset: u32,
    },
    /// The partition table is wrong.
    #[error("the partition table '{file}': {error}")]
    Table {
        /// The file.
        file: String,
        /// What is wrong.
        error: TableError,
    },
    /// The table ends beyond the flash that the bootloader knows of.
    #[error(
        "the partition table ends at {end:#x}, beyond the {size} of flash in the header of the \
         bootloader '{file}'; --flash-size changes that"
    )]
    HeaderTooSmall {
        /// The bootloader.
        file: String,
        /// Where the last partition ends.
        end: u64,
        /// The size in the header.
        size: &'static str,
    },
    /// There is no such partition for an application.
    #[error("the partition table '{file}' has no application partition {wanted}; it has {there}")]
    NoPartition {
        /// The table.
        file: String,
        /// What was looked for.
        wanted: String,
        /// Those that there are.
        there: String,
    },
    /// What is to be written is longer than its partition.
    #[error(
        "'{file}' has {length:#x} bytes, and partition '{partition}' at {offset:#x} has {size:#x}: it \
         needs a larger one (--partition-table, --partition)"
    )]
    TooLong {
        /// The file.
        file: String,
        /// Its length in bytes.
        length: u32,
        /// The partition.
        partition: String,
        /// Where it begins.
        offset: u32,
        /// Bytes that it has.
        size: u32,
    },
    /// Nothing says where the application goes.
    #[error(
        "nothing says where the application goes; name a partition table with --partition-table"
    )]
    NoPlace,
    /// The chip starts signed images alone.
    #[error(
        "secure boot is on, and '{file}' is not signed: the chip would not start it (--force writes it \
         all the same{remedy})"
    )]
    Unsigned {
        /// The application or bootloader.
        file: String,
        /// What else can be done.
        remedy: &'static str,
    },
    /// An image could not be made for want of something else.
    #[error("the image of '{file}' cannot be made: {error}")]
    Write {
        /// The ELF file.
        file: String,
        /// Why.
        error: WriteError,
    },
}

/// Who says something about a build.
#[derive(Debug, Clone)]
pub struct FoundIn(pub String);

impl FoundIn {
    /// A build folder, by the file that says most of it.
    #[must_use]
    pub fn build(build: &Build) -> Self {
        Self(format!("{} of {}", build.said_by, build.system))
    }
}

impl fmt::Display for FoundIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
