//! The table as people write it.

use std::fmt::Write as _;

use crate::error::{Field, Place, Problem, TableError};
use crate::rules::Rules;
use crate::table::{Md5Row, Parsed, PartitionTable};
use crate::{Flags, Kind, MAX_NAME, Partition, Remark, TABLE_LEN, Vocabulary, number};

/// Text of a file in UTF-8, or in UTF-16 with a byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, TableError> {
    let wide = |bytes: &[u8], order: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| order(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    let text = match bytes {
        [0xEF, 0xBB, 0xBF, text @ ..] => String::from_utf8(text.to_vec()).ok(),
        [0xFF, 0xFE, text @ ..] => wide(text, u16::from_le_bytes),
        [0xFE, 0xFF, text @ ..] => wide(text, u16::from_be_bytes),
        text => String::from_utf8(text.to_vec()).ok(),
    };
    text.filter(|text| !text.contains('\0'))
        .ok_or_else(|| TableError::whole(Problem::NotATable))
}

/// A line, read.
struct Row {
    line: usize,
    name: String,
    kind: Kind,
    offset: Option<u32>,
    /// As it was written: a negative one is where the partition ends.
    size: i64,
    flags: Flags,
}

pub(crate) fn parse(
    text: &str,
    rules: &Rules,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Parsed, TableError> {
    rules.check_bootloader()?;
    let mut remarks = Vec::new();
    let mut rows = Vec::new();
    for (index, line) in text.replace("\r\n", "\n").split(['\n', '\r']).enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        rows.push(row(index + 1, line, rules, variable, &mut remarks)?);
    }
    let places = rows.iter().map(|row| Place::Line(row.line)).collect();
    Ok(Parsed {
        table: PartitionTable {
            partitions: lay_out(rows, rules)?,
            md5_row: Md5Row::Present,
        },
        remarks,
        places,
    })
}

fn row(
    line: usize,
    text: &str,
    rules: &Rules,
    variable: &dyn Fn(&str) -> Option<String>,
    remarks: &mut Vec<Remark>,
) -> Result<Row, TableError> {
    let error = |field| {
        move |problem| TableError {
            place: Place::Line(line),
            field,
            problem,
        }
    };
    let text = expand(text, variable).map_err(error(None))?;
    let mut fields = text.split(',').map(str::trim);
    let mut next = || fields.next().unwrap_or_default();
    let [name, type_code, subtype, offset, size, flags] = [(); 6].map(|()| next());
    let type_code = code(type_code, rules.names.types(), |name| {
        rules.names.type_code(name)
    })
    .map_err(error(Some(Field::Type)))?;
    let subtype =
        subtype_code(type_code, subtype, &rules.names).map_err(error(Some(Field::Subtype)))?;
    let kind = Kind::new(type_code, subtype);
    Ok(Row {
        line,
        name: fit(line, name, remarks).map_err(error(Some(Field::Name)))?,
        kind,
        offset: offset_of(kind, offset, rules).map_err(error(Some(Field::Offset)))?,
        size: size_of(kind, size, rules).map_err(error(Some(Field::Size)))?,
        flags: flags_of(flags).map_err(error(Some(Field::Flags)))?,
    })
}

/// Puts values in the place of `$NAME` and `${NAME}`.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Problem> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        expanded.push_str(before);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after) = match behind
            .strip_prefix('{')
            .and_then(|name| name.split_once('}'))
        {
            Some((name, after)) => (name, after),
            None => behind.split_at(behind.find(|c| !is_name(c)).unwrap_or(behind.len())),
        };
        if name.is_empty() {
            expanded.push('$');
            rest = behind;
            continue;
        }
        expanded.push_str(&variable(name).ok_or_else(|| Problem::UnknownVariable {
            name: name.to_owned(),
        })?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// A name as the table holds it: ESP-IDF cuts what is too long, without a word.
fn fit(line: usize, name: &str, remarks: &mut Vec<Remark>) -> Result<String, Problem> {
    if name.contains('\0') {
        return Err(Problem::NotUtf8);
    }
    if name.len() <= MAX_NAME {
        return Ok(name.to_owned());
    }
    let kept = name.get(..MAX_NAME).ok_or(Problem::NotUtf8)?.to_owned();
    remarks.push(Remark::NameCut {
        line,
        name: name.to_owned(),
        kept: kept.clone(),
    });
    Ok(kept)
}

/// A type or subtype, as a number or by its name.
fn code(
    text: &str,
    known: Vec<String>,
    by_name: impl Fn(&str) -> Option<u8>,
) -> Result<u8, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some(code) = by_name(text) {
        return Ok(code);
    }
    let value = || text.to_owned();
    let code = number(text).ok_or_else(|| Problem::NotANumber {
        value: value(),
        known,
    })?;
    u8::try_from(code).map_err(|_| Problem::OutOfRange {
        value: value(),
        limit: u8::MAX.into(),
    })
}

fn subtype_code(type_code: u8, text: &str, names: &Vocabulary) -> Result<u8, Problem> {
    if text.is_empty() && type_code != Kind::APP {
        return Ok(Kind::UNDEFINED.subtype);
    }
    let by_name = |name: &str| names.subtype(type_code, name);
    code(text, names.subtypes(type_code), by_name)
}

fn integer(text: &str) -> Result<i64, Problem> {
    number(text).ok_or_else(|| Problem::NotANumber {
        value: text.to_owned(),
        known: Vec::new(),
    })
}

/// Where a partition begins; those with fixed places are there whatever the field says.
fn offset_of(kind: Kind, text: &str, rules: &Rules) -> Result<Option<u32>, Problem> {
    let bootloader = |offset: Option<u32>, which| {
        let offset = offset.ok_or(Problem::BootloaderOffset { which })?;
        Ok(Some(offset))
    };
    match kind {
        Kind::PRIMARY_BOOTLOADER => return bootloader(rules.primary_bootloader, "primary"),
        Kind::RECOVERY_BOOTLOADER => return bootloader(rules.recovery_bootloader, "recovery"),
        Kind::PRIMARY_TABLE => return Ok(Some(rules.table_offset)),
        _ if text.is_empty() => return Ok(None),
        _ => {}
    }
    let offset = u32::try_from(integer(text)?).map_err(|_| too_large(text))?;
    Ok(Some(offset))
}

/// The size as it is written; that of bootloaders and tables follows from where the table lies.
fn size_of(kind: Kind, text: &str, rules: &Rules) -> Result<i64, Problem> {
    match kind.type_code {
        Kind::BOOTLOADER => {
            let start = rules
                .primary_bootloader
                .ok_or(Problem::BootloaderOffset { which: "primary" })?;
            return Ok(i64::from(rules.table_offset) - i64::from(start));
        }
        Kind::PARTITION_TABLE => return Ok(TABLE_LEN.into()),
        _ if text.is_empty() => return Err(Problem::Empty),
        _ => {}
    }
    let size = integer(text)?;
    match size.unsigned_abs() {
        0..=0xFFFF_FFFF => Ok(size),
        _ => Err(too_large(text)),
    }
}

fn too_large(text: &str) -> Problem {
    Problem::OutOfRange {
        value: text.to_owned(),
        limit: u32::MAX,
    }
}

fn flags_of(text: &str) -> Result<Flags, Problem> {
    let mut flags = Flags::default();
    for name in text.split(':').filter(|name| !name.is_empty()) {
        let flag = Flags::NAMES.iter().find(|(known, _)| *known == name);
        let (_, flag) = flag.ok_or_else(|| Problem::UnknownFlag {
            flag: name.to_owned(),
        })?;
        flags = flags.with(*flag);
    }
    Ok(flags)
}

/// Gives offsets to those that have none, and sizes to those that say where they end.
fn lay_out(rows: Vec<Row>, rules: &Rules) -> Result<Vec<Partition>, TableError> {
    let mut free = rules.first_free();
    let mut previous = None;
    let mut partitions = Vec::with_capacity(rows.len());
    for row in rows {
        let error = |field, problem| TableError {
            place: Place::Line(row.line),
            field: Some(field),
            problem,
        };
        let alignment = u64::from(Rules::offset_alignment(row.kind));
        let offset = match row.offset {
            Some(offset) if u64::from(offset) < free && !row.kind.is_fixed() => {
                let problem = Problem::BeforePrevious {
                    offset,
                    end: free,
                    previous,
                };
                return Err(error(Field::Offset, problem));
            }
            Some(offset) => offset,
            None => u32::try_from(free.next_multiple_of(alignment))
                .map_err(|_| error(Field::Offset, Problem::BeyondAddressSpace))?,
        };
        let size = match u32::try_from(row.size) {
            Ok(size) => size,
            Err(_) => {
                let end = row.size.unsigned_abs();
                let size = end.checked_sub(offset.into());
                size.and_then(|size| u32::try_from(size).ok())
                    .ok_or_else(|| {
                        error(Field::Size, Problem::EndsBeforeItBegins { offset, end })
                    })?
            }
        };
        let partition = Partition {
            name: row.name,
            kind: row.kind,
            offset,
            size,
            flags: row.flags,
        };
        if partition.end() > 1 << 32 {
            return Err(error(Field::Size, Problem::BeyondAddressSpace));
        }
        if !partition.kind.is_fixed() {
            free = partition.end();
            previous = Some(partition.name.clone());
        }
        partitions.push(partition);
    }
    Ok(partitions)
}

/// The lines are those of `gen_esp32part.py`, so that files made by either are the same.
pub(crate) fn write(table: &PartitionTable, names: &Vocabulary) -> Result<String, TableError> {
    let mut text =
        "# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n".to_owned();
    for (index, partition) in table.partitions.iter().enumerate() {
        let name = &partition.name;
        if !fits_csv(name) {
            return Err(TableError {
                place: Place::Record(index),
                field: Some(Field::Name),
                problem: Problem::NotCsv { name: name.clone() },
            });
        }
        let kind = partition.kind;
        let type_name = names.type_name(kind.type_code).map(str::to_owned);
        let subtype_name = names.subtype_name(kind).map(std::borrow::Cow::into_owned);
        let _ = writeln!(
            text,
            "{name},{},{},0x{:x},{},{}",
            type_name.unwrap_or_else(|| kind.type_code.to_string()),
            subtype_name.unwrap_or_else(|| kind.subtype.to_string()),
            partition.offset,
            size_text(partition.size),
            partition.flags.names(),
        );
    }
    Ok(text)
}

/// Whether a name is read as it is written.
fn fits_csv(name: &str) -> bool {
    name.trim() == name && !name.starts_with('#') && !name.contains([',', '$', '\n', '\r', '\0'])
}

fn size_text(size: u32) -> String {
    for (unit, suffix) in [(1 << 20, 'M'), (1 << 10, 'K')] {
        if size.is_multiple_of(unit) {
            return format!("{}{suffix}", size / unit);
        }
    }
    format!("0x{size:x}")
}
