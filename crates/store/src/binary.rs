//! The table as flash holds it: records of 32 bytes, then the MD5 of them, then an end marker.

use md5::{Digest, Md5};

use crate::error::{Field, Place, Problem, TableError};
use crate::table::{Md5Row, PartitionTable};
use crate::{Flags, Kind, MAX_NAME, Partition};

/// The most bytes that a table takes, end marker included.
pub const MAX_LEN: usize = 0xC00;

/// Bytes of flash that are the table's: a sector, with room for a signature behind the records.
pub const TABLE_LEN: u32 = 0x1000;

/// Bytes of a record.
const RECORD: usize = 32;

/// How the record of a partition begins.
const PARTITION: [u8; 2] = [0xAA, 0x50];

/// How the record of the digest begins.
const DIGEST: [u8; 2] = [0xEB, 0xEB];

/// Whether bytes begin as a table in its binary form does.
#[must_use]
pub fn looks_like_table(bytes: &[u8]) -> bool {
    bytes.starts_with(&PARTITION)
}

/// Reads records up to the end marker; what is behind it does not count.
pub(crate) fn parse(bytes: &[u8]) -> Result<PartitionTable, TableError> {
    let bytes = bytes.get(..MAX_LEN).unwrap_or(bytes);
    let mut partitions = Vec::new();
    let mut md5_row = Md5Row::Absent;
    let mut digest = Md5::new();
    let (records, rest) = bytes.as_chunks::<RECORD>();
    for (index, record) in records.iter().enumerate() {
        let error = |field, problem| TableError {
            place: Place::Record(index),
            field,
            problem,
        };
        if record == &[0xFF; RECORD] {
            if index == 0 {
                return Err(TableError::whole(Problem::Erased));
            }
            return Ok(PartitionTable {
                partitions,
                md5_row,
            });
        }
        let (magic, stored) = (&record[..2], &record[RECORD - 16..]);
        if magic == DIGEST {
            if md5_row == Md5Row::Present {
                return Err(error(None, Problem::SecondMd5));
            }
            let computed = digest.clone().finalize();
            if computed[..] != *stored {
                let problem = Problem::Md5 {
                    computed: hex(&computed),
                    stored: hex(stored),
                };
                return Err(error(None, problem));
            }
            md5_row = Md5Row::Present;
            continue;
        }
        if magic != PARTITION {
            let found = u16::from_le_bytes([record[0], record[1]]);
            return Err(error(None, Problem::Magic { found }));
        }
        digest.update(record);
        let partition = partition(record).map_err(|problem| error(Some(Field::Name), problem))?;
        partitions.push(partition);
    }
    let problem = if rest.is_empty() {
        Problem::NoEnd
    } else {
        Problem::Truncated
    };
    Err(TableError::whole(problem))
}

fn partition(record: &[u8; RECORD]) -> Result<Partition, Problem> {
    let word = |at: usize| {
        u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
    };
    let name = &record[12..12 + MAX_NAME];
    let length = name.iter().position(|byte| *byte == 0);
    let name = &name[..length.unwrap_or(MAX_NAME)];
    Ok(Partition {
        name: std::str::from_utf8(name)
            .map_err(|_| Problem::NotUtf8)?
            .to_owned(),
        kind: Kind::new(record[2], record[3]),
        offset: word(4),
        size: word(8),
        flags: Flags(word(28)),
    })
}

/// Writes [`MAX_LEN`] bytes.
pub(crate) fn write(table: &PartitionTable) -> Result<Vec<u8>, TableError> {
    let mut bytes = Vec::with_capacity(MAX_LEN);
    for partition in &table.partitions {
        let mut name = [0; MAX_NAME];
        let given = partition.name.as_bytes();
        name.get_mut(..given.len())
            .ok_or_else(|| TableError::whole(Problem::NotUtf8))?
            .copy_from_slice(given);
        bytes.extend(PARTITION);
        bytes.extend([partition.kind.type_code, partition.kind.subtype]);
        bytes.extend(partition.offset.to_le_bytes());
        bytes.extend(partition.size.to_le_bytes());
        bytes.extend(name);
        bytes.extend(partition.flags.0.to_le_bytes());
    }
    // Behind the records there is the digest, if wanted, and at least one end marker.
    let mut most = MAX_LEN / RECORD - 1;
    if table.md5_row == Md5Row::Present {
        most -= 1;
        let digest = Md5::digest(&bytes);
        bytes.extend(DIGEST);
        bytes.extend([0xFF; 14]);
        bytes.extend(digest);
    }
    let count = table.partitions.len();
    if count > most {
        return Err(TableError::whole(Problem::TooMany { count, most }));
    }
    bytes.resize(MAX_LEN, 0xFF);
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
