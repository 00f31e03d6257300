//! What is wrong with a partition table, and where.

use std::fmt;

use thiserror::Error;

/// Why something is no valid partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableError {
    /// Where.
    pub place: Place,
    /// In which field; `None`: in no single one.
    pub field: Option<Field>,
    /// What is wrong.
    pub problem: Problem,
}

impl TableError {
    /// Of the whole table.
    pub(crate) fn whole(problem: Problem) -> Self {
        Self {
            place: Place::Whole,
            field: None,
            problem,
        }
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Whole => {}
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Record(index) => write!(f, "record {index} at +0x{:x}: ", index * 32)?,
        }
        if let Some(field) = self.field {
            write!(f, "{field}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for TableError {}

/// A place in what holds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// No place in particular.
    Whole,
    /// A line of CSV, from 1.
    Line(usize),
    /// A record of 32 bytes of the binary form, from 0.
    Record(usize),
}

/// A field of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Its name.
    Name,
    /// Its type.
    Type,
    /// Its subtype.
    Subtype,
    /// Where it begins.
    Offset,
    /// Its size.
    Size,
    /// Its flags.
    Flags,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Type => "type",
            Self::Subtype => "subtype",
            Self::Offset => "offset",
            Self::Size => "size",
            Self::Flags => "flags",
        })
    }
}

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// Neither binary nor text.
    #[error("this is no partition table: neither its binary form nor CSV in UTF-8 or UTF-16")]
    NotATable,
    /// Nothing but erased flash.
    #[error("there is no partition table: the first record is erased")]
    Erased,
    /// A record that is cut off.
    #[error("the table ends in the middle of a record; each has 32 bytes")]
    Truncated,
    /// A record that is none.
    #[error(
        "a record begins with 0x{found:04x}; that of a partition with 0x50aa, the digest with 0xebeb"
    )]
    Magic {
        /// The first two bytes, little-endian.
        found: u16,
    },
    /// The digest of the records is another.
    #[error("the MD5 of the records is {computed}, the table says {stored}")]
    Md5 {
        /// Of the records.
        computed: String,
        /// In the table.
        stored: String,
    },
    /// A second digest, with which the bootloader refuses the table.
    #[error("there is a second MD5 record; the bootloader takes one")]
    SecondMd5,
    /// No end marker within the most that a table can have.
    #[error("there is no end marker: a record of 32 times 0xff within 0xc00 bytes")]
    NoEnd,
    /// More partitions than the table has room for.
    #[error("{count} partitions do not fit into a table of 0xc00 bytes; {most} do")]
    TooMany {
        /// Partitions that there are.
        count: usize,
        /// The most that there can be.
        most: usize,
    },
    /// A name that is no UTF-8, or no longer when it is cut.
    #[error("it is no UTF-8 within its 16 bytes")]
    NotUtf8,
    /// A name that CSV cannot hold.
    #[error("'{name}' cannot be written as CSV, where it would be read as something else")]
    NotCsv {
        /// The name.
        name: String,
    },
    /// A variable that has no value.
    #[error("the environment variable '{name}' is not set")]
    UnknownVariable {
        /// Its name.
        name: String,
    },
    /// A field that must not be empty.
    #[error("it cannot be empty")]
    Empty,
    /// Neither a number nor a known name.
    #[error("'{value}' is no number{}", or_one_of(known))]
    NotANumber {
        /// What stands there.
        value: String,
        /// Names that could stand there.
        known: Vec<String>,
    },
    /// A number out of range.
    #[error("'{value}' is out of range; the limit is 0x{limit:x}")]
    OutOfRange {
        /// What stands there.
        value: String,
        /// The largest value.
        limit: u32,
    },
    /// A flag without meaning.
    #[error("'{flag}' is no flag; there are encrypted and readonly, with a colon between them")]
    UnknownFlag {
        /// What stands there.
        flag: String,
    },
    /// A bootloader in the table, and it is not known where bootloaders lie.
    #[error("where the {which} bootloader lies must be given")]
    BootloaderOffset {
        /// `primary` or `recovery`.
        which: &'static str,
    },
    /// A bootloader that does not lie in front of the table.
    #[error(
        "the primary bootloader at 0x{bootloader:x} must lie below the partition table at 0x{table:x}"
    )]
    BootloaderAboveTable {
        /// Where the bootloader is said to lie.
        bootloader: u32,
        /// Where the table lies.
        table: u32,
    },
    /// An end that lies in front of the beginning.
    #[error("the partition would end at 0x{end:x}, in front of its offset 0x{offset:x}")]
    EndsBeforeItBegins {
        /// Where it would begin.
        offset: u32,
        /// Where it would end.
        end: u64,
    },
    /// In CSV: a partition in front of the end of the one above it.
    #[error("0x{offset:x} lies in front of 0x{end:x}, where {} ends", behind_what(previous.as_deref()))]
    BeforePrevious {
        /// Where it begins.
        offset: u32,
        /// The first byte that is free.
        end: u64,
        /// The partition above; `None`: the table itself.
        previous: Option<String>,
    },
    /// A partition where the bootloader and the table are.
    #[error("0x{offset:x} lies in front of 0x{first:x}, the end of the partition table")]
    BelowTable {
        /// Where it begins.
        offset: u32,
        /// The first byte behind the table.
        first: u64,
    },
    /// A value that is not aligned.
    #[error("0x{value:x} is not a multiple of 0x{alignment:x}")]
    Unaligned {
        /// The value.
        value: u32,
        /// What it must be a multiple of.
        alignment: u32,
    },
    /// Beyond what 32 bits can name.
    #[error("the partition reaches beyond 4 GiB")]
    BeyondAddressSpace,
    /// Two partitions share bytes.
    #[error("'{name}' at 0x{offset:x} overlaps '{other}' (0x{start:x} to 0x{end:x})")]
    Overlap {
        /// The later one.
        name: String,
        /// Where it begins.
        offset: u32,
        /// The earlier one.
        other: String,
        /// Where that begins.
        start: u32,
        /// Its last byte.
        end: u64,
    },
    /// Two partitions with one name.
    #[error("there is another partition named '{name}'; names must be unique")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A second partition of which there can be one.
    #[error("'{name}' is a second partition for {what}; there can be one")]
    SecondOtaData {
        /// Its name.
        name: String,
        /// `otadata` or `TEE otadata`.
        what: &'static str,
    },
    /// Otadata of the wrong size.
    #[error("'{name}' has 0x{size:x} bytes; a partition for {what} has 0x2000")]
    OtaDataSize {
        /// Its name.
        name: String,
        /// `otadata` or `TEE otadata`.
        what: &'static str,
        /// Its size.
        size: u32,
    },
    /// Read-only, although the system writes it.
    #[error("'{name}' cannot be readonly: otadata and core dumps are always written")]
    AlwaysWritten {
        /// Its name.
        name: String,
    },
    /// NVS that is too small to be written.
    #[error("'{name}' has 0x{size:x} bytes; NVS of less than 0x3000 must be readonly")]
    SmallNvs {
        /// Its name.
        name: String,
        /// Its size.
        size: u32,
    },
    /// Partitions behind the end of the flash.
    #[error("the partitions end at 0x{end:x}, beyond the flash of 0x{flash:x} bytes")]
    BeyondFlash {
        /// First byte behind the last one.
        end: u64,
        /// Size of the flash.
        flash: u64,
    },
}

fn or_one_of(known: &[String]) -> String {
    match known.is_empty() {
        true => String::new(),
        false => format!(" and none of {}", known.join(", ")),
    }
}

fn behind_what(previous: Option<&str>) -> String {
    match previous {
        Some(name) => format!("'{name}' above it"),
        None => "the partition table".to_owned(),
    }
}
