//! Partition tables and otadata: what is reported, and how it looks.

use std::path::PathBuf;

use guru_store::{
    Flags, NextBoot, OtaData, OtaState, Partition, PartitionTable, Rules, SelectEntry, Stretch,
    Why, map,
};
use serde::{Serialize, Serializer};

use super::escape;

/// A partition table and what is around it.
#[derive(Debug, Clone, Serialize)]
pub struct PartitionsReport {
    /// Where the table lies in flash.
    pub table_offset: u32,
    /// Whether it has a digest.
    pub md5: bool,
    /// Bytes of the flash, where known.
    pub flash_size: Option<u64>,
    /// The partitions in the table's order.
    pub partitions: Vec<PartitionLine>,
    /// What no partition takes.
    pub free: Vec<FreeRange>,
    /// The file that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// All of the flash.
    #[serde(skip)]
    stretches: Vec<Stretch>,
}

/// A partition.
#[derive(Debug, Clone, Serialize)]
pub struct PartitionLine {
    /// As the table has it.
    #[serde(flatten, serialize_with = "partition")]
    pub partition: Partition,
    /// Name of its type, else the number.
    #[serde(rename = "type")]
    type_name: String,
    /// Name of its subtype, else the number.
    subtype: String,
    /// What is in it; `None`: that was not looked at.
    pub holds: Option<Holds>,
}

/// What is in a partition that is meant for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "content", rename_all = "kebab-case")]
pub enum Holds {
    /// It is erased.
    Nothing,
    /// An image.
    Image {
        /// Its length.
        bytes: u32,
    },
    /// An image that by its headers is longer than the partition.
    TooLong {
        /// Where it would end, from the partition's first byte.
        bytes: u64,
    },
    /// Something else.
    NoImage,
}

/// Flash that no partition takes.
#[derive(Debug, Clone, Serialize)]
pub struct FreeRange {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub size: u64,
}

impl PartitionsReport {
    /// Of a table, with nothing known of what the partitions hold.
    pub fn new(table: &PartitionTable, rules: &Rules, flash_size: Option<u64>) -> Self {
        let names = &rules.names;
        let lines = table.partitions.iter().map(|partition| {
            let kind = partition.kind;
            let type_name = names.type_name(kind.type_code).map(str::to_owned);
            let subtype = names.subtype_name(kind).map(std::borrow::Cow::into_owned);
            PartitionLine {
                partition: partition.clone(),
                type_name: type_name.unwrap_or_else(|| kind.type_code.to_string()),
                subtype: subtype.unwrap_or_else(|| kind.subtype.to_string()),
                holds: None,
            }
        });
        let stretches = map(
            table,
            rules.table_offset,
            rules.primary_bootloader,
            flash_size,
        );
        let free = stretches.iter().filter_map(|stretch| match stretch {
            Stretch::Free(range) => Some(FreeRange {
                offset: range.start,
                size: range.end - range.start,
            }),
            _ => None,
        });
        Self {
            table_offset: rules.table_offset,
            md5: table.md5_row == guru_store::Md5Row::Present,
            flash_size,
            partitions: lines.collect(),
            free: free.collect(),
            output: None,
            stretches,
        }
    }

    /// For people: a line for each stretch of flash, and a picture of all.
    pub fn lines(&self) -> Vec<String> {
        let mut rows = vec![
            [
                "", "Name", "Type", "Subtype", "Offset", "Size", "Flags", "Holds",
            ]
            .map(str::to_owned),
        ];
        for stretch in &self.stretches {
            rows.push(self.row(stretch));
        }
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|column| {
                let cells = rows.iter().map(|row| row[column].chars().count());
                cells.max().unwrap_or(0)
            })
            .collect();
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let cells = row.iter().zip(&widths).enumerate();
                let cells = cells.filter(|(_, (_, width))| **width > 0);
                let cells = cells.map(|(column, (cell, width))| {
                    let pad = " ".repeat(width - cell.chars().count());
                    match column {
                        5 => format!("{pad}{cell}"),
                        _ => format!("{cell}{pad}"),
                    }
                });
                cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
            })
            .collect();
        lines.push(String::new());
        lines.extend(self.picture());
        lines
    }

    fn row(&self, stretch: &Stretch) -> [String; 8] {
        let range = stretch.range();
        let key = self.key(stretch).to_string();
        let offset = format!("0x{:08x}", range.start);
        let bytes = size(range.end.saturating_sub(range.start));
        let plain = |name: &str| {
            let none = String::new;
            let name = name.to_owned();
            [
                key.clone(),
                name,
                none(),
                none(),
                offset.clone(),
                bytes.clone(),
                none(),
                none(),
            ]
        };
        match stretch {
            Stretch::Bootloader(_) => plain("(bootloader)"),
            Stretch::Table(_) => plain("(partition table)"),
            Stretch::Free(_) => plain("(free)"),
            Stretch::Partition(index, _) => match self.partitions.get(*index) {
                None => plain(""),
                Some(line) => [
                    key,
                    escape(&line.partition.name).into_owned(),
                    line.type_name.clone(),
                    line.subtype.clone(),
                    offset,
                    bytes,
                    line.partition.flags.names(),
                    line.holds
                        .map_or_else(String::new, |holds| holds.text(line.partition.size.into())),
                ],
            },
        }
    }

    /// The letter of a stretch in the picture.
    fn key(&self, stretch: &Stretch) -> char {
        match stretch {
            Stretch::Bootloader(_) => '#',
            Stretch::Table(_) => '=',
            Stretch::Free(_) => '.',
            Stretch::Partition(index, _) => ('A'..='Z')
                .chain('a'..='z')
                .chain('0'..='9')
                .nth(*index)
                .unwrap_or('+'),
        }
    }

    /// The flash as a strip of letters, each for as many bytes: that of the stretch that has most
    /// of them.
    fn picture(&self) -> Vec<String> {
        const WIDTH: u64 = 64;
        let end = self.stretches.iter().map(|stretch| stretch.range().end);
        let end = end.max().unwrap_or(0).max(1);
        let step = end.div_ceil(WIDTH);
        let cell = |at: u64| {
            let (start, stop) = (at * step, (at + 1) * step);
            let share = |stretch: &&Stretch| {
                let range = stretch.range();
                range.end.min(stop).saturating_sub(range.start.max(start))
            };
            let most = self.stretches.iter().max_by_key(share);
            most.map_or('.', |stretch| self.key(stretch))
        };
        let strip: String = (0..end.div_ceil(step)).map(cell).collect();
        let what = match self.flash_size {
            Some(flash) => format!("{} of flash", size(flash)),
            None => format!("{} up to the last partition", size(end)),
        };
        let free: u64 = self.free.iter().map(|free| free.size).sum();
        vec![
            format!("[{strip}]"),
            format!("{what}, {} to a letter, {} free", size(step), size(free)),
        ]
    }
}

impl Holds {
    fn text(self, room: u64) -> String {
        match self {
            Self::Nothing => "erased".to_owned(),
            Self::NoImage => "no image".to_owned(),
            Self::TooLong { bytes } => {
                format!("an image that ends at {}: too long", size(bytes))
            }
            Self::Image { bytes } => {
                let bytes = u64::from(bytes);
                let tenths = (bytes * 20).div_ceil(room.max(1)).min(20) as usize;
                let bar = format!("{}{}", "#".repeat(tenths), "-".repeat(20 - tenths));
                let percent = bytes * 100 / room.max(1);
                format!("[{bar}] {percent} % ({bytes} bytes)")
            }
        }
    }
}

/// `24 KB`, `1.5 MB`, `300 bytes`.
fn size(bytes: u64) -> String {
    for (unit, name) in [(1 << 20, "MB"), (1 << 10, "KB")] {
        if bytes >= unit {
            return match bytes % unit * 10 / unit {
                0 if bytes.is_multiple_of(unit) => format!("{} {name}", bytes / unit),
                tenths => format!("{}.{tenths} {name}", bytes / unit),
            };
        }
    }
    format!("{bytes} bytes")
}

fn partition<S: Serializer>(partition: &Partition, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Fields<'a> {
        name: &'a str,
        type_code: u8,
        subtype_code: u8,
        offset: u32,
        size: u32,
        encrypted: bool,
        readonly: bool,
    }
    Fields {
        name: &partition.name,
        type_code: partition.kind.type_code,
        subtype_code: partition.kind.subtype,
        offset: partition.offset,
        size: partition.size,
        encrypted: partition.flags.contains(Flags::ENCRYPTED),
        readonly: partition.flags.contains(Flags::READONLY),
    }
    .serialize(serializer)
}

/// Otadata, and what they make the bootloader start.
#[derive(Debug, Clone, Serialize)]
pub struct OtaReport {
    /// Both entries.
    entries: Vec<EntryLine>,
    /// Sector of the entry that counts.
    active: Option<usize>,
    /// What is started next; `None`: all applications are tried in turn.
    next: Option<String>,
    /// Where that lies.
    offset: Option<u32>,
    /// By what it is chosen.
    why: &'static str,
    /// What is in the partition that is started.
    pub holds: Option<Holds>,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<OtaDone>,
}

/// What was done to otadata.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "done", rename_all = "kebab-case")]
pub enum OtaDone {
    /// Nothing: they said so already.
    Nothing,
    /// An entry was written.
    Written {
        /// Into which sector.
        sector: usize,
    },
    /// Both sectors were erased.
    Erased,
}

/// An entry.
#[derive(Debug, Clone, Serialize)]
struct EntryLine {
    /// `erased`, `valid`, `ruled-out` or `wrong-crc`.
    entry: &'static str,
    sequence: u32,
    state: &'static str,
    /// The slot that it names.
    slot: Option<u8>,
    crc: u32,
}

impl OtaReport {
    /// What otadata say, with a table.
    pub fn new(data: &OtaData, table: &PartitionTable) -> Self {
        let NextBoot { partition, why } = data.next_boot(table);
        let slots = table.partitions.iter();
        let slots = slots.filter(|one| one.kind.ota_slot().is_some()).count();
        let entry = |entry: &SelectEntry| EntryLine {
            entry: match entry {
                entry if entry.is_erased() => "erased",
                entry if !entry.crc_matches() => "wrong-crc",
                entry if entry.is_ruled_out() => "ruled-out",
                _ => "valid",
            },
            sequence: entry.sequence,
            state: entry.state.name(),
            slot: entry
                .slot(u8::try_from(slots).unwrap_or(u8::MAX))
                .filter(|_| entry.crc_matches()),
            crc: entry.crc,
        };
        Self {
            entries: data.entries.iter().map(entry).collect(),
            active: data.active(),
            next: partition.map(|partition| partition.name.clone()),
            offset: partition.map(|partition| partition.offset),
            why: reason(why),
            holds: None,
            done: None,
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (sector, entry) in self.entries.iter().enumerate() {
            let mark = if self.active == Some(sector) {
                "  <- counts"
            } else {
                ""
            };
            let text = match entry.entry {
                "erased" => "erased".to_owned(),
                "wrong-crc" => format!(
                    "sequence 0x{:x}, and the CRC 0x{:08x} is not that of it",
                    entry.sequence, entry.crc
                ),
                _ => {
                    let slot = entry.slot.map(|slot| format!(": ota_{slot}"));
                    format!(
                        "sequence {}{}, state {}",
                        entry.sequence,
                        slot.unwrap_or_default(),
                        entry.state
                    )
                }
            };
            lines.push(format!("Entry {sector}  {text}{mark}"));
        }
        let next = match (&self.next, self.offset) {
            (Some(next), Some(offset)) => format!("{} at 0x{offset:x}", escape(next)),
            _ => "the first application that works".to_owned(),
        };
        lines.push(format!("Next     {next} ({})", self.why));
        match self.holds {
            Some(Holds::Image { bytes }) => lines.push(format!("Image    {bytes} bytes")),
            Some(holds) => lines.push(format!(
                "Image    {}; the bootloader will fall back to another application",
                holds.text(0)
            )),
            None => {}
        }
        lines
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::NoChoice => "there is no choice",
        Why::Empty => "no entry chooses anything",
        Why::Broken => "no entry is valid",
        Why::Entry(selected) => match selected.state {
            OtaState::New => "chosen; new, so with rollback it has to confirm itself",
            OtaState::PendingVerify => {
                "chosen; not confirmed yet, so a bootloader with rollback will leave it out"
            }
            _ => "chosen",
        },
    }
}
