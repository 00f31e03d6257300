use crate::error::{Place, TableError};
use crate::{Kind, Partition, Remark, Rules, Vocabulary, binary, csv, rules};

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// The partitions, in the table's order.
    pub partitions: Vec<Partition>,
    /// Whether a digest follows them.
    pub md5_row: Md5Row,
}

/// Whether the MD5 of the records is part of the table (since ESP-IDF 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Md5Row {
    /// It is.
    #[default]
    Present,
    /// It is not.
    Absent,
}

/// A table, and where its partitions stand in what was read.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The table.
    pub table: PartitionTable,
    /// What is remarkable about how it is written.
    pub remarks: Vec<Remark>,
    /// For each partition its line or record.
    pub(crate) places: Vec<Place>,
}

impl Parsed {
    /// Reads either form: the binary one by its first two bytes, else CSV. `variable` gives what
    /// stands for `$NAME` and `${NAME}` in CSV.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_bytes(
        bytes: &[u8],
        rules: &Rules,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, TableError> {
        if bytes.starts_with(&[0xFF; 32]) || binary::looks_like_table(bytes) {
            Self::from_binary(bytes)
        } else {
            Self::from_csv(&csv::decode(bytes)?, rules, variable)
        }
    }

    /// Reads the binary form, up to its end marker or [`crate::MAX_LEN`] bytes.
    ///
    /// # Errors
    /// What is wrong, and in which record.
    pub fn from_binary(bytes: &[u8]) -> Result<Self, TableError> {
        let table = binary::parse(bytes)?;
        let remarks = table.partitions.iter().filter_map(|partition| {
            let flags = partition.flags.unknown();
            (flags != 0).then(|| Remark::UnknownFlags {
                name: partition.name.clone(),
                flags,
            })
        });
        Ok(Self {
            remarks: remarks.collect(),
            places: (0..table.partitions.len()).map(Place::Record).collect(),
            table,
        })
    }

    /// Reads CSV as `gen_esp32part.py` does: fields `name, type, subtype, offset, size, flags`,
    /// offsets that are left out given in order, a negative size meaning where the partition ends.
    ///
    /// # Errors
    /// What is wrong, and in which line and field.
    pub fn from_csv(
        text: &str,
        rules: &Rules,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, TableError> {
        csv::parse(text, rules, variable)
    }

    /// Checks everything that ESP-IDF demands of a table. Returns what is allowed and probably
    /// not meant.
    ///
    /// # Errors
    /// The first rule that is broken, and where.
    pub fn check(&self, rules: &Rules) -> Result<Vec<Remark>, TableError> {
        let mut remarks = self.remarks.clone();
        remarks.extend(rules::check(&self.table, rules, &|index| {
            self.places.get(index).copied().unwrap_or(Place::Whole)
        })?);
        Ok(remarks)
    }
}

impl PartitionTable {
    /// The [`crate::MAX_LEN`] bytes that go to flash.
    ///
    /// # Errors
    /// There are more partitions than fit, or a name is too long.
    pub fn to_binary(&self) -> Result<Vec<u8>, TableError> {
        binary::write(self)
    }

    /// The table as CSV, which reads as the same again. Unknown flags are lost.
    ///
    /// # Errors
    /// A name that CSV cannot hold.
    pub fn to_csv(&self, names: &Vocabulary) -> Result<String, TableError> {
        csv::write(self, names)
    }

    /// Checks everything that ESP-IDF demands of a table; errors name the record of the binary
    /// form. Returns what is allowed and probably not meant.
    ///
    /// # Errors
    /// The first rule that is broken, and where.
    pub fn check(&self, rules: &Rules) -> Result<Vec<Remark>, TableError> {
        rules::check(self, rules, &Place::Record)
    }

    /// The partition with a name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|one| one.name == name)
    }

    /// The first partition of a kind.
    #[must_use]
    pub fn by_kind(&self, kind: Kind) -> Option<&Partition> {
        self.partitions.iter().find(|one| one.kind == kind)
    }

    /// First byte behind the last partition, 0 without partitions.
    #[must_use]
    pub fn end(&self) -> u64 {
        let ends = self.partitions.iter().map(Partition::end);
        ends.max().unwrap_or(0)
    }
}
