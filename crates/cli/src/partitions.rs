//! Places in flash by the names of partitions, and where the table with the names comes from.

use std::borrow::Cow;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use guru_chip::{CHIPS, Chip};
use guru_image::{Contents, Firmware, FirmwareError};
use guru_link::block_on;
use guru_loader::{
    Error as LoaderError, Event, FilePart, FlashOptions, FlashSizeOption, Observer, ReadLength,
    ReadRequest,
};
use guru_store::{MAX_LEN, Parsed, Partition, PartitionTable, Rules, Slice, looks_like_table};

use crate::args::{self, Size};
use crate::context::Mode;
use crate::error::Error;
use crate::files;
use crate::session::Device;

/// The longest CSV file that is read, in bytes.
const MAX_CSV: u32 = 256 << 10;

/// Bytes that flash erases at the least.
const SECTOR: u32 = 0x1000;

/// A place in flash, as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address.
    Address(u32),
    /// A partition or a part of it.
    Slice(Slice),
}

/// Reads a place: what begins with a digit is an address, anything else a partition's name.
///
/// # Errors
/// What is wrong, and how a place is written.
pub fn place(text: &str) -> Result<Place, String> {
    match args::scaled(text) {
        Ok(address) => Ok(Place::Address(address)),
        Err(error) if text.starts_with(|c: char| c.is_ascii_digit()) => Err(error),
        Err(error) if text.is_empty() || text.starts_with('-') => Err(error),
        Err(_) => Slice::parse(text, args::scaled)
            .map(Place::Slice)
            .map_err(|error| error.to_string()),
    }
}

/// Where the partition table comes from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Partition table")]
pub struct TableArgs {
    /// Table that names of partitions are looked up in, instead of the device's: CSV, binary, or a
    /// dump of the flash
    #[arg(long, value_name = "FILE")]
    partition_table: Option<PathBuf>,

    #[command(flatten)]
    pub offset: TableOffset,
}

/// Where the partition table lies.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Partition table")]
pub struct TableOffset {
    /// Where the partition table lies in flash
    #[arg(long, value_name = "ADDR", default_value = "0x8000", value_parser = args::scaled)]
    pub partition_table_offset: u32,
}

impl TableArgs {
    /// The table of the file that was named, if one was.
    ///
    /// # Errors
    /// It cannot be read, or is no valid table.
    pub fn of_file(&self) -> Result<Option<PartitionTable>, Error> {
        let path = self.partition_table.as_deref();
        path.map(|path| table_of_file(path, self.offset))
            .transpose()
    }

    /// The table of a file that was read before, or else that of the device.
    ///
    /// # Errors
    /// What the device says, or its table is none.
    pub fn of_device<'t>(
        &self,
        file: Option<&'t PartitionTable>,
        device: &mut Device,
        flash: &FlashOptions,
        observer: &mut dyn Observer,
    ) -> Result<Cow<'t, PartitionTable>, LoaderError> {
        match file {
            Some(table) => Ok(Cow::Borrowed(table)),
            None => {
                let offset = self.offset.partition_table_offset;
                let parsed = read_table(device, flash, offset, observer)?;
                Ok(Cow::Owned(parsed.table))
            }
        }
    }
}

/// Reads the table of a file, and checks it.
///
/// # Errors
/// It cannot be read, or is no valid table.
pub fn table_of_file(path: &Path, offset: TableOffset) -> Result<PartitionTable, Error> {
    let rules = Rules {
        table_offset: offset.partition_table_offset,
        ..Rules::default()
    };
    let source = Source::open(path, &rules)?;
    source.check(&rules)?;
    Ok(source.parsed.table)
}

/// Reads the table of a device, and checks it.
///
/// # Errors
/// What the device says, or there is no valid table.
pub fn read_table(
    device: &mut Device,
    flash: &FlashOptions,
    offset: u32,
    observer: &mut dyn Observer,
) -> Result<Parsed, LoaderError> {
    let bytes = read(device, flash, offset, MAX_LEN as u32, observer)?;
    let rules = Rules {
        table_offset: offset,
        primary_bootloader: Some(device.chip().image.bootloader_offset)
            .filter(|bootloader| *bootloader < offset),
        ..Rules::default()
    };
    let parsed = Parsed::from_binary(&bytes).and_then(|parsed| {
        parsed.check(&rules)?;
        Ok(parsed)
    });
    parsed.map_err(|error| {
        LoaderError::BadRequest(format!(
            "the partition table at 0x{offset:x} of the flash: {error} (--partition-table-offset \
             says where it lies, --partition-table takes one from a file; under flash encryption \
             it cannot be read)"
        ))
    })
}

/// Reads a few bytes of flash without a word about it.
///
/// # Errors
/// What the device says.
pub fn read(
    device: &mut Device,
    flash: &FlashOptions,
    address: u32,
    length: u32,
    observer: &mut dyn Observer,
) -> Result<Vec<u8>, LoaderError> {
    let mut bytes = Vec::new();
    let request = ReadRequest {
        address,
        length: ReadLength::Bytes(length),
    };
    let mut quiet = |event: Event| {
        if matches!(event, Event::Notice(_)) {
            observer.event(event);
        }
    };
    block_on(device.read_flash(flash, request, &mut bytes, &mut quiet))?;
    Ok(bytes)
}

/// A file that holds a table.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The table.
    pub parsed: Parsed,
    /// What the table is written in.
    pub form: TableForm,
    /// All of the file.
    contents: Contents,
    /// Flash address of its first byte, in a dump.
    base: u32,
}

/// How a file holds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableForm {
    /// As text.
    Csv,
    /// As flash does, alone.
    Binary,
    /// Within a dump of the flash, or a merged image.
    Dump,
}

impl Source {
    /// Opens a file: a dump if there is a table where one lies in flash, else a table alone.
    ///
    /// # Errors
    /// It cannot be read, or there is no table.
    pub fn open(path: &Path, rules: &Rules) -> Result<Self, Error> {
        let contents = Contents::open(path).map_err(FirmwareError::Read)?;
        let name = contents.name().to_owned();
        let wrong = |error| Error::Table {
            file: name.clone(),
            error,
        };
        let length = contents.len();
        let piece = |range: Range<u32>| {
            let end = range.end.min(length);
            let mut bytes = vec![0; end.saturating_sub(range.start) as usize];
            contents
                .read_at(range.start, &mut bytes)
                .map_err(FirmwareError::Read)?;
            Ok::<_, Error>(bytes)
        };
        let at = rules.table_offset;
        let at_base = |base: u32| {
            let from = at
                .checked_sub(base)
                .filter(|from| (1..length).contains(from));
            let bytes = from.map_or(Ok(Vec::new()), |from| {
                piece(from..from.saturating_add(MAX_LEN as u32))
            });
            bytes.map(|bytes| (base, bytes))
        };
        // A merged image may begin where a chip has its bootloader.
        let mut dumps = Vec::new();
        let bootloaders = CHIPS.iter().map(|chip| chip.image.bootloader_offset);
        for base in std::iter::once(0).chain(bootloaders) {
            dumps.push(at_base(base)?);
        }
        let in_dump = dumps.iter().find(|(_, bytes)| looks_like_table(bytes));
        let head = piece(0..2)?;
        let (bytes, form, base) = if let Some((base, bytes)) = in_dump {
            (bytes.clone(), TableForm::Dump, *base)
        } else if looks_like_table(&head) {
            (piece(0..MAX_LEN as u32)?, TableForm::Binary, 0)
        } else if length <= MAX_CSV && head != [0xFF; 2] && !head.starts_with(&[0xE9]) {
            (piece(0..length)?, TableForm::Csv, 0)
        } else if let Some((0, bytes)) = dumps.first().filter(|(_, bytes)| !bytes.is_empty()) {
            (bytes.clone(), TableForm::Dump, 0)
        } else {
            return Err(Error::Usage(format!(
                "'{name}' has no partition table at 0x{at:x}: it ends at 0x{length:x}; \
                 --partition-table-offset says where the table lies"
            )));
        };
        let parsed = match form {
            TableForm::Csv => {
                let variable = |name: &str| std::env::var(name).ok();
                Parsed::from_bytes(&bytes, rules, &variable)
            }
            TableForm::Binary | TableForm::Dump => Parsed::from_binary(&bytes),
        };
        Ok(Self {
            parsed: parsed.map_err(wrong)?,
            name,
            form,
            contents,
            base,
        })
    }

    /// First byte of flash behind a dump.
    pub fn end(&self) -> u64 {
        u64::from(self.base) + u64::from(self.contents.len())
    }

    /// Reads from a dump, by the address in flash.
    ///
    /// # Errors
    /// It is not in the dump, or cannot be read.
    pub fn read_at(&self, address: u32, buffer: &mut [u8]) -> Result<(), Error> {
        let at = address.checked_sub(self.base);
        let at = at.ok_or_else(|| {
            let name = &self.name;
            Error::Usage(format!("'{name}' begins behind 0x{address:x} of the flash"))
        })?;
        let read = self.contents.read_at(at, buffer);
        read.map_err(|error| Error::Firmware(error.into()))
    }

    /// Checks the table as ESP-IDF does; gives what is remarkable about it.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn check(&self, rules: &Rules) -> Result<Vec<String>, Error> {
        let remarks = self.parsed.check(rules).map_err(|error| Error::Table {
            file: self.name.clone(),
            error,
        })?;
        Ok(remarks.iter().map(ToString::to_string).collect())
    }
}

/// A place with a size, to be read or erased.
#[derive(Debug, Clone)]
pub enum Area {
    /// By address.
    Bytes(u32, Size),
    /// By name.
    Slice(Slice),
}

impl Area {
    /// From what was typed: a size is needed behind an address, and may be given for a partition.
    ///
    /// # Errors
    /// It is missing, or given twice.
    pub fn new(place: &Place, size: Option<Size>) -> Result<Self, Error> {
        Ok(match (place, size) {
            (Place::Address(address), Some(size)) => Self::Bytes(*address, size),
            (Place::Address(address), None) => {
                return Err(Error::Usage(format!(
                    "a size stands behind an address: 0x{address:x} 0x1000, or 0x{address:x} ALL"
                )));
            }
            (Place::Slice(slice), None | Some(Size::All)) => Self::Slice(slice.clone()),
            (Place::Slice(slice), Some(Size::Bytes(length))) => {
                if slice.length.is_some() || length == 0 {
                    return Err(Error::Usage(format!(
                        "'{slice}' has a size, and 0x{length:x} is another; give one that is not 0"
                    )));
                }
                Self::Slice(slice.clone().with_length(length))
            }
        })
    }

    /// Where it is, when that can be known without a device.
    ///
    /// # Errors
    /// There is no such partition, or it is smaller.
    pub fn known(&self, table: Option<&PartitionTable>) -> Result<Option<(u32, Size)>, String> {
        match (self, table) {
            (Self::Bytes(address, size), _) => Ok(Some((*address, *size))),
            (Self::Slice(_), None) => Ok(None),
            (Self::Slice(slice), Some(table)) => locate(slice, table).map(Some),
        }
    }

    /// Where it is, by the table of a file that was read before, or else that of the device.
    ///
    /// # Errors
    /// What the device says; there is no such partition, or it is smaller.
    pub fn of_device(
        &self,
        args: &TableArgs,
        file: Option<&PartitionTable>,
        device: &mut Device,
        flash: &FlashOptions,
        observer: &mut dyn Observer,
    ) -> Result<(u32, Size), LoaderError> {
        match self {
            Self::Bytes(address, size) => Ok((*address, *size)),
            Self::Slice(slice) => {
                let table = args.of_device(file, device, flash, observer)?;
                locate(slice, &table).map_err(LoaderError::BadRequest)
            }
        }
    }
}

fn locate(slice: &Slice, table: &PartitionTable) -> Result<(u32, Size), String> {
    let (_, range) = slice.resolve(table).map_err(|error| error.to_string())?;
    Ok((range.start, Size::Bytes(range.end - range.start)))
}

/// Files with the places that were named for them.
#[derive(Debug, Clone)]
pub struct Placed(Vec<(Option<Slice>, FilePart)>);

impl Placed {
    /// Reads `PLACE FILE PLACE FILE ...` and opens the files. Under an old name a place is an
    /// address.
    ///
    /// # Errors
    /// Says which argument is wrong and what would be right.
    pub fn open(arguments: &[OsString], mode: Mode) -> Result<Self, Error> {
        let place = |word: &str| match mode {
            Mode::Guru => place(word),
            Mode::Esptool => args::scaled(word).map(Place::Address),
        };
        let mut parts = Vec::new();
        for (place, path) in files::pairs(arguments, place)? {
            let (address, slice) = match place {
                Place::Address(address) => (address, None),
                Place::Slice(slice) => (0, Some(slice)),
            };
            if let Some(slice) = &slice {
                refuse_swapped(slice, &path)?;
            }
            for part in Firmware::open(&path)?.parts {
                if let (Some(address), Some(slice)) = (part.address, &slice) {
                    return Err(Error::Usage(format!(
                        "'{}' brings its own addresses (0x{address:x}), and '{slice}' names \
                         another place; give an address",
                        part.contents.name()
                    )));
                }
                let part = FilePart {
                    name: part.contents.name().to_owned(),
                    address: part.address.unwrap_or(address),
                    contents: part.contents,
                    encrypt: false,
                    previous: None,
                };
                parts.push((slice.clone(), part));
            }
        }
        Ok(Self(parts))
    }

    /// Files at addresses besides.
    pub fn add(&mut self, parts: Vec<FilePart>) {
        self.0.extend(parts.into_iter().map(|part| (None, part)));
    }

    /// The files, without regard to names.
    pub fn parts(&mut self) -> impl Iterator<Item = &mut FilePart> {
        self.0.iter_mut().map(|(_, part)| part)
    }

    /// Whether a table is needed to know where the files go.
    fn needs_table(&self) -> bool {
        self.0.iter().any(|(slice, _)| slice.is_some())
    }

    /// The files at their addresses, images in the place of ELF files, when that can be known: no
    /// name needs a table, or `table` is one, and nothing needs a chip, or `chip` is one. They are
    /// checked against their places, each other and the flash.
    ///
    /// # Errors
    /// There is no such partition; a file is longer than its place, or overlaps another one; the
    /// place is not made of whole sectors; or no image can be made.
    pub fn known(
        &self,
        table: Option<&PartitionTable>,
        chip: Option<&'static Chip>,
        size: &FlashSizeOption,
        use_: Use,
    ) -> Result<Option<Vec<FilePart>>, Error> {
        if table.is_none() && self.needs_table() {
            return Ok(None);
        }
        let mut files = Vec::with_capacity(self.0.len());
        for (slice, part) in &self.0 {
            let mut parts = vec![part.clone()];
            let place = match (slice, table) {
                (Some(slice), Some(table)) => {
                    let found = slice.resolve(table);
                    Some(found.map_err(|error| Error::Usage(error.to_string()))?)
                }
                _ => None,
            };
            if let Some((_, range)) = &place {
                parts[0].address = range.start;
            }
            if files::has_elf(&parts)? {
                let Some(chip) = chip else { return Ok(None) };
                parts = files::for_chip(&parts, chip, size)?;
            }
            if let (Some(slice), Some((partition, range))) = (slice, place) {
                for part in &parts {
                    fit(slice, part, partition, &range, use_).map_err(Error::Usage)?;
                }
            }
            files.extend(parts);
        }
        files::check(&files, chip, size)?;
        Ok(Some(files))
    }

    /// The same with a device: its chip, and where a table is needed, that of a file which was read
    /// before, or its own.
    ///
    /// # Errors
    /// As [`known`](Self::known), and what the device says.
    pub fn of_device(
        &self,
        (args, file): (&TableArgs, Option<&PartitionTable>),
        device: &mut Device,
        flash: &FlashOptions,
        use_: Use,
        observer: &mut dyn Observer,
    ) -> Result<Vec<FilePart>, LoaderError> {
        let table = match self.needs_table() {
            true => Some(args.of_device(file, device, flash, observer)?),
            false => None,
        };
        let files = self.known(table.as_deref(), Some(device.chip()), &flash.size, use_);
        Ok(files.map_err(Error::in_session)?.unwrap_or_default())
    }
}

/// `app.bin 0x10000`: the file is in front.
fn refuse_swapped(slice: &Slice, path: &Path) -> Result<(), Error> {
    let word = slice.to_string();
    let is_address = path.to_str().is_some_and(|path| args::scaled(path).is_ok());
    match args::scaled(&word) {
        Err(reason) if is_address && !path.exists() => Err(Error::BadAddress { word, reason }),
        _ => Ok(()),
    }
}

/// What files are placed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// To be compared.
    Compare,
    /// To be written, in whole sectors.
    Write,
}

/// Whether a file stays in its place, and nothing beside it suffers.
fn fit(
    slice: &Slice,
    part: &FilePart,
    partition: &Partition,
    range: &Range<u32>,
    use_: Use,
) -> Result<(), String> {
    let length = part.contents.len();
    let end = u64::from(part.address) + u64::from(length);
    if part.address < range.start || end > range.end.into() {
        return Err(format!(
            "'{}' has 0x{length:x} bytes; '{slice}' has 0x{:x}",
            part.name,
            range.end - range.start
        ));
    }
    // A sector is erased whole: what else it holds would be lost.
    let whole_end = u64::from(range.end) == partition.end() || range.end.is_multiple_of(SECTOR);
    if use_ == Use::Write && !(range.start.is_multiple_of(SECTOR) && whole_end) {
        return Err(format!(
            "'{slice}' is not made of whole sectors of 0x1000 bytes: writing it would erase what \
             lies beside it"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_or_a_partition() {
        assert_eq!(place("0x9000"), Ok(Place::Address(0x9000)));
        assert_eq!(place("1M"), Ok(Place::Address(1 << 20)));
        for name in ["nvs", "ota_0", "factory+0x100:0x20", "app:4k", "M"] {
            assert!(matches!(place(name), Ok(Place::Slice(_))), "{name}");
        }
        for text in ["0x90g0", "12x", "", "-1", "nvs+x", "nvs:0"] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
