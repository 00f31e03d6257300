//! Where the parts of flash contents lie, by the partition table among them.

use std::ops::Range;

use guru_chip::{CHIPS, Chip};
use guru_image::{Contents, Found, ImageInfo, InfoError, Piece, Region, Role};
use guru_store::{Parsed, PartitionTable, Rules, TABLE_LEN};

use crate::error::Error;

/// Where tables are looked for that are not in their usual place.
const OTHER_PLACES: Range<u32> = 0x3000..0x2_0000;

/// Flash contents with a partition table.
#[derive(Debug)]
pub struct Layout {
    /// Flash offset of their first byte.
    pub base: u32,
    /// The table.
    pub table: PartitionTable,
    /// The chip, where an image says it.
    pub chip: Option<&'static Chip>,
    /// What has a name.
    pub places: Vec<Region>,
}

/// Where to look for the partition table.
#[derive(Debug, Clone, Copy)]
pub enum TableAt {
    /// At this flash offset.
    Offset(u32),
    /// Where it usually is, else in every sector where it can be.
    Anywhere,
}

/// Finds the table and, with it, everything that has a name. `base` is the flash offset of the
/// first byte, where that is known; else it is one from which a chip boots.
///
/// # Errors
/// A table that is wrong, or contents that cannot be read.
pub fn find(
    contents: &Contents,
    base: Option<u32>,
    table: TableAt,
) -> Result<Option<Layout>, Error> {
    let mut bases = base.map_or_else(|| vec![0], |base| vec![base]);
    if base.is_none() {
        for chip in CHIPS {
            let offset = chip.image.bootloader_offset;
            if !bases.contains(&offset) {
                bases.push(offset);
            }
        }
    }
    let mut offsets = vec![match table {
        TableAt::Offset(offset) => offset,
        TableAt::Anywhere => Rules::TABLE_OFFSET,
    }];
    if matches!(table, TableAt::Anywhere) {
        offsets.extend(OTHER_PLACES.step_by(TABLE_LEN as usize));
    }
    for offset in offsets {
        for base in &bases {
            if let Some(table) = table_at(contents, *base, offset)? {
                return Ok(Some(Layout::new(contents, *base, offset, table)?));
            }
        }
    }
    Ok(None)
}

/// The table at a flash offset; `None` when there is none.
fn table_at(contents: &Contents, base: u32, offset: u32) -> Result<Option<PartitionTable>, Error> {
    let Some(at) = offset.checked_sub(base).filter(|at| *at < contents.len()) else {
        return Ok(None);
    };
    // What is behind the end of a file is erased.
    let mut bytes = vec![0xFF; guru_store::MAX_LEN];
    let there = (contents.len() - at).min(bytes.len() as u32);
    contents
        .read_at(at, &mut bytes[..there as usize])
        .map_err(guru_image::FirmwareError::from)?;
    if !guru_store::looks_like_table(&bytes) {
        return Ok(None);
    }
    match Parsed::from_binary(&bytes) {
        Ok(parsed) => Ok(Some(parsed.table)),
        Err(error) => Err(Error::TableWithin {
            file: contents.name().to_owned(),
            offset: at,
            source: error,
        }),
    }
}

impl Layout {
    fn new(
        contents: &Contents,
        base: u32,
        table_offset: u32,
        table: PartitionTable,
    ) -> Result<Self, Error> {
        let chip = chip_of(contents, base)?;
        let mut places = vec![Region {
            name: "partition-table".to_owned(),
            range: table_offset.into()..u64::from(table_offset) + u64::from(TABLE_LEN),
            role: Role::PartitionTable,
        }];
        if let Some(chip) = chip {
            let range = u64::from(chip.image.bootloader_offset)..u64::from(table_offset);
            if range.start < range.end {
                places.push(Region {
                    name: "bootloader".to_owned(),
                    range,
                    role: Role::Bootloader,
                });
            }
        }
        for partition in &table.partitions {
            let range = partition.range();
            // The table may name itself and the bootloader.
            let known = places.iter().any(|place| place.range.start == range.start);
            if range.is_empty() || known {
                continue;
            }
            places.push(Region {
                name: partition.name.clone(),
                range,
                role: match partition.kind.is_app() {
                    true => Role::App,
                    false => Role::Data,
                },
            });
        }
        Ok(Self {
            base,
            table,
            chip,
            places,
        })
    }

    /// What does not fit together in them.
    pub fn problems(&self, pieces: &[Piece]) -> Vec<String> {
        let images = |role: Role| {
            pieces.iter().filter_map(move |piece| match &piece.found {
                Found::Bytes {
                    image: Some(image), ..
                } if piece.place.role == role => Some((piece.place.name.as_str(), image)),
                _ => None,
            })
        };
        let mut problems = Vec::new();
        let Some((_, bootloader)) = images(Role::Bootloader).next() else {
            return problems;
        };
        let code = bootloader.header.flash_size_freq & 0xF0;
        let mut sizes = bootloader.chip.flash.sizes.iter();
        if let Some(size) = sizes.find(|size| size.code == code)
            && self.table.end() > size.bytes.into()
        {
            problems.push(format!(
                "the partition table ends at 0x{:x}, beyond the {} of flash in the bootloader's header",
                self.table.end(),
                size.label
            ));
        }
        for (name, app) in images(Role::App) {
            if app.chip.id != bootloader.chip.id {
                problems.push(format!(
                    "'{name}' is an image for {}, and the bootloader is for {}",
                    app.chip.name, bootloader.chip.name
                ));
            }
        }
        problems
    }
}

/// The chip of the image that stands where that chip boots from.
fn chip_of(contents: &Contents, base: u32) -> Result<Option<&'static Chip>, Error> {
    for chip in CHIPS {
        let start = chip.image.bootloader_offset;
        let Some(at) = start.checked_sub(base).filter(|at| *at < contents.len()) else {
            continue;
        };
        let there = contents
            .clone()
            .slice(at..contents.len())
            .map_err(guru_image::FirmwareError::from)?;
        match ImageInfo::read(&there, None) {
            Ok(image) if image.chip.image.bootloader_offset == start => {
                return Ok(Some(image.chip));
            }
            Err(InfoError::Image(guru_image::ImageError::Read(error))) => {
                return Err(guru_image::FirmwareError::from(error).into());
            }
            _ => {}
        }
    }
    Ok(None)
}
