//! Parts of partitions by name: `nvs`, `factory+0x100:0x20`.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use crate::{Partition, PartitionTable};

/// A partition, or a part of it: `NAME`, `NAME+OFFSET`, `NAME:LENGTH` or `NAME+OFFSET:LENGTH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// What was written.
    text: String,
    /// Name of the partition.
    pub name: String,
    /// First byte, from the partition's own.
    pub offset: u32,
    /// Number of bytes; `None`: to the end of the partition.
    pub length: Option<u32>,
}

/// Why a slice names no part of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SliceError {
    /// It is not written as it should be.
    #[error("'{text}': {reason} (a part of a partition is written as nvs or factory+0x100:0x20)")]
    Malformed {
        /// What was written.
        text: String,
        /// What is wrong with a number in it.
        reason: String,
    },
    /// No partition has that name.
    #[error("there is no partition '{name}'; {}", there_are(names))]
    NoSuchPartition {
        /// The name.
        name: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// It reaches beyond the end of its partition.
    #[error("'{slice}' ends at 0x{end:x} of the partition '{name}', which has 0x{size:x} bytes")]
    BeyondPartition {
        /// What was written.
        slice: String,
        /// The partition.
        name: String,
        /// Where it would end, from the partition's first byte.
        end: u64,
        /// Size of the partition.
        size: u32,
    },
}

fn there_are(names: &[String]) -> String {
    match names {
        [] => "the table is empty".to_owned(),
        names => format!("there are {}", names.join(", ")),
    }
}

impl Slice {
    /// Reads what was written; `number` reads its numbers.
    ///
    /// # Errors
    /// The name is missing, or what stands behind `+` or `:` is no number.
    pub fn parse(
        text: &str,
        number: impl Fn(&str) -> Result<u32, String>,
    ) -> Result<Self, SliceError> {
        let malformed = |reason: String| SliceError::Malformed {
            text: text.to_owned(),
            reason,
        };
        let (rest, length) = match text.rsplit_once(':') {
            Some((rest, length)) => (rest, Some(number(length).map_err(malformed)?)),
            None => (text, None),
        };
        let (name, offset) = match rest.rsplit_once('+') {
            Some((name, offset)) => (name, number(offset).map_err(malformed)?),
            None => (rest, 0),
        };
        if name.is_empty() {
            return Err(malformed("the name of the partition is missing".to_owned()));
        }
        if length == Some(0) {
            return Err(malformed("the length is 0".to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            name: name.to_owned(),
            offset,
            length,
        })
    }

    /// The same, with another length.
    #[must_use]
    pub fn with_length(mut self, length: u32) -> Self {
        self.text = format!("{}+0x{:x}:0x{length:x}", self.name, self.offset);
        self.length = Some(length);
        self
    }

    /// The bytes of flash that it names, and the partition that they belong to.
    ///
    /// # Errors
    /// There is no such partition, or it is smaller.
    pub fn resolve<'t>(
        &self,
        table: &'t PartitionTable,
    ) -> Result<(&'t Partition, Range<u32>), SliceError> {
        let partition = table
            .by_name(&self.name)
            .ok_or_else(|| SliceError::NoSuchPartition {
                name: self.name.clone(),
                names: table
                    .partitions
                    .iter()
                    .map(|one| one.name.clone())
                    .collect(),
            })?;
        let length = self
            .length
            .unwrap_or(partition.size.saturating_sub(self.offset));
        let end = u64::from(self.offset) + u64::from(length);
        let beyond = SliceError::BeyondPartition {
            slice: self.text.clone(),
            name: partition.name.clone(),
            end,
            size: partition.size,
        };
        if end > partition.size.into() || length == 0 {
            return Err(beyond);
        }
        let start = partition.offset.checked_add(self.offset);
        let range = start.and_then(|start| Some(start..start.checked_add(length)?));
        Ok((partition, range.ok_or(beyond)?))
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flags, Kind, Md5Row};

    fn decimal(text: &str) -> Result<u32, String> {
        text.parse().map_err(|_| format!("'{text}' is no number"))
    }

    fn table() -> PartitionTable {
        PartitionTable {
            partitions: vec![Partition {
                name: "app".into(),
                kind: Kind::FACTORY,
                offset: 0x1_0000,
                size: 0x2000,
                flags: Flags::default(),
            }],
            md5_row: Md5Row::Present,
        }
    }

    fn range(text: &str) -> Result<Range<u32>, SliceError> {
        let slice = Slice::parse(text, decimal)?;
        slice.resolve(&table()).map(|(_, range)| range)
    }

    #[test]
    fn a_slice_is_a_partition_or_a_part_of_it() {
        assert_eq!(range("app"), Ok(0x1_0000..0x1_2000));
        assert_eq!(range("app+16"), Ok(0x1_0010..0x1_2000));
        assert_eq!(range("app:16"), Ok(0x1_0000..0x1_0010));
        assert_eq!(range("app+8190:2"), Ok(0x1_1FFE..0x1_2000));
    }

    #[test]
    fn a_slice_ends_inside_of_its_partition() {
        for text in ["app+8190:3", "app:8193", "app+8192", "app+4294967295:1"] {
            assert!(
                matches!(range(text), Err(SliceError::BeyondPartition { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_slice_or_no_name_is_said() {
        for text in ["", "+1", ":1", "app+", "app:x", "app:0", "app+-1"] {
            assert!(
                matches!(range(text), Err(SliceError::Malformed { .. })),
                "{text}"
            );
        }
        let error = range("nvs").unwrap_err().to_string();
        assert!(
            error.contains("'nvs'") && error.contains("there are app"),
            "{error}"
        );
    }
}
