//! What ESP-IDF demands of a table (`gen_esp32part.py`, `PartitionTable.verify`).

use std::collections::HashMap;

use crate::error::{Field, Place, Problem, TableError};
use crate::table::PartitionTable;
use crate::{Flags, Kind, Partition, Remark, TABLE_LEN, Vocabulary};

/// What the checks depend on.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Where the table lies in flash.
    pub table_offset: u32,
    /// Where the ROM finds the bootloader; needed where the table has an entry for it.
    pub primary_bootloader: Option<u32>,
    /// Where the second bootloader lies; needed where the table has an entry for it.
    pub recovery_bootloader: Option<u32>,
    /// For which secure boot the sizes of applications must be fit.
    pub secure_boot: SecureBoot,
    /// Bytes of flash in which the partitions must lie.
    pub flash_size: Option<u64>,
    /// Names of types and subtypes.
    pub names: Vocabulary,
}

/// A version of secure boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecureBoot {
    /// None.
    #[default]
    None,
    /// Version 1: the signature is at the end of the last 64 KB of an application.
    V1,
    /// Version 2: the signature has a sector of its own.
    V2,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            table_offset: Self::TABLE_OFFSET,
            primary_bootloader: None,
            recovery_bootloader: None,
            secure_boot: SecureBoot::None,
            flash_size: None,
            names: Vocabulary::default(),
        }
    }
}

impl Rules {
    /// Where the table lies unless a project says otherwise (`CONFIG_PARTITION_TABLE_OFFSET`).
    pub const TABLE_OFFSET: u32 = 0x8000;

    /// What the offset of a partition must be a multiple of: applications are mapped in pages of
    /// 64 KB, the rest is erased by sectors.
    #[must_use]
    pub fn offset_alignment(kind: Kind) -> u32 {
        if kind.is_app() { 0x1_0000 } else { 0x1000 }
    }

    /// First byte behind the table.
    pub(crate) fn first_free(&self) -> u64 {
        u64::from(self.table_offset) + u64::from(TABLE_LEN)
    }

    /// What the size of an application must be a multiple of.
    fn app_size_alignment(&self) -> u32 {
        match self.secure_boot {
            SecureBoot::V1 => 0x1_0000,
            SecureBoot::None | SecureBoot::V2 => 0x1000,
        }
    }

    pub(crate) fn check_bootloader(&self) -> Result<(), TableError> {
        match self.primary_bootloader {
            Some(bootloader) if bootloader >= self.table_offset => {
                Err(TableError::whole(Problem::BootloaderAboveTable {
                    bootloader,
                    table: self.table_offset,
                }))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn check(
    table: &PartitionTable,
    rules: &Rules,
    place: &dyn Fn(usize) -> Place,
) -> Result<Vec<Remark>, TableError> {
    rules.check_bootloader()?;
    let mut remarks = Vec::new();
    for (index, partition) in table.partitions.iter().enumerate() {
        check_one(partition, rules).map_err(|(field, problem)| TableError {
            place: place(index),
            field: Some(field),
            problem,
        })?;
        remark(partition, &rules.names, &mut remarks);
    }
    check_names(table, place)?;
    check_overlaps(table, rules, place)?;
    for (kind, what) in [
        (Kind::OTA_DATA, "otadata"),
        (Kind::TEE_OTA_DATA, "TEE otadata"),
    ] {
        check_ota_data(table, kind, what, place)?;
    }
    if let Some(flash) = rules.flash_size
        && table.end() > flash
    {
        let end = table.end();
        return Err(TableError::whole(Problem::BeyondFlash { end, flash }));
    }
    Ok(remarks)
}

fn check_one(partition: &Partition, rules: &Rules) -> Result<(), (Field, Problem)> {
    let Partition {
        kind, offset, size, ..
    } = *partition;
    let name = || partition.name.clone();
    let aligned = |field, value: u32, alignment: u32| {
        let problem = Problem::Unaligned { value, alignment };
        match value.is_multiple_of(alignment) {
            true => Ok(()),
            false => Err((field, problem)),
        }
    };
    aligned(Field::Offset, offset, Rules::offset_alignment(kind))?;
    if kind.is_app() {
        aligned(Field::Size, size, rules.app_size_alignment())?;
    }
    if partition.end() > 1 << 32 {
        return Err((Field::Size, Problem::BeyondAddressSpace));
    }
    let is_readonly = partition.flags.contains(Flags::READONLY);
    if matches!(kind, Kind::OTA_DATA | Kind::CORE_DUMP) && is_readonly {
        return Err((Field::Flags, Problem::AlwaysWritten { name: name() }));
    }
    if kind == Kind::NVS && size < 0x3000 && !is_readonly {
        return Err((Field::Size, Problem::SmallNvs { name: name(), size }));
    }
    Ok(())
}

/// A name that says something else than the fields is probably a mistake.
fn remark(partition: &Partition, names: &Vocabulary, remarks: &mut Vec<Remark>) {
    let Kind { type_code, subtype } = partition.kind;
    let name = &partition.name;
    // Names are compared as they are written, in small letters.
    if name.chars().any(char::is_uppercase) {
        return;
    }
    if names.type_code(name).is_some_and(|code| code != type_code) {
        remarks.push(Remark::NamedLikeType {
            name: name.clone(),
            type_code,
        });
    }
    if names.is_subtype(name) && names.subtype(type_code, name) != Some(subtype) {
        remarks.push(Remark::NamedLikeSubtype {
            name: name.clone(),
            type_code,
            subtype,
        });
    }
}

fn check_names(table: &PartitionTable, place: &dyn Fn(usize) -> Place) -> Result<(), TableError> {
    let mut seen = HashMap::new();
    for (index, partition) in table.partitions.iter().enumerate() {
        if seen.insert(&partition.name, index).is_some() {
            return Err(TableError {
                place: place(index),
                field: Some(Field::Name),
                problem: Problem::DuplicateName {
                    name: partition.name.clone(),
                },
            });
        }
    }
    Ok(())
}

fn check_overlaps(
    table: &PartitionTable,
    rules: &Rules,
    place: &dyn Fn(usize) -> Place,
) -> Result<(), TableError> {
    let mut sorted: Vec<(usize, &Partition)> = table.partitions.iter().enumerate().collect();
    sorted.sort_by_key(|(_, partition)| partition.offset);
    let mut last: Option<&Partition> = None;
    for (index, partition) in sorted {
        let offset = partition.offset;
        let error = |problem| TableError {
            place: place(index),
            field: Some(Field::Offset),
            problem,
        };
        let first = rules.first_free();
        if u64::from(offset) < first && !partition.kind.is_fixed() {
            return Err(error(Problem::BelowTable { offset, first }));
        }
        if let Some(last) = last
            && u64::from(offset) < last.end()
        {
            return Err(error(Problem::Overlap {
                name: partition.name.clone(),
                offset,
                other: last.name.clone(),
                start: last.offset,
                end: last.end() - 1,
            }));
        }
        last = Some(partition);
    }
    Ok(())
}

fn check_ota_data(
    table: &PartitionTable,
    kind: Kind,
    what: &'static str,
    place: &dyn Fn(usize) -> Place,
) -> Result<(), TableError> {
    let partitions = table.partitions.iter().enumerate();
    let mut found = partitions.filter(|(_, partition)| partition.kind == kind);
    let Some((index, first)) = found.next() else {
        return Ok(());
    };
    if let Some((index, second)) = found.next() {
        return Err(TableError {
            place: place(index),
            field: Some(Field::Subtype),
            problem: Problem::SecondOtaData {
                name: second.name.clone(),
                what,
            },
        });
    }
    if first.size != 0x2000 {
        return Err(TableError {
            place: place(index),
            field: Some(Field::Size),
            problem: Problem::OtaDataSize {
                name: first.name.clone(),
                what,
                size: first.size,
            },
        });
    }
    Ok(())
}
