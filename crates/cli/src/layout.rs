//! Where the parts of flash contents lie, by the partition table among them.

use std::ops::Range;

use guru_chip::{CHIPS, Chip};
use guru_image::{
    Contents, Extent, Form, Found, ImageInfo, InfoError, Piece, Region, Role, extent,
};
use guru_store::{Parsed, PartitionTable, Rules, TABLE_LEN};
use serde::Serialize;

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
    ///
    /// # Errors
    /// The contents cannot be read.
    pub fn misfits(&self, contents: &Contents, pieces: &[Piece]) -> Result<Vec<Misfit>, Error> {
        let images = |role: Role| {
            pieces.iter().filter_map(move |piece| match &piece.found {
                Found::Bytes {
                    image: Some(image), ..
                } if piece.place.role == role => Some((piece.place.name.as_str(), image)),
                _ => None,
            })
        };
        let mut misfits = Vec::new();
        let bootloader = images(Role::Bootloader).next();
        if let Some((_, bootloader)) = bootloader
            && let Some(text) = beyond(&self.table, bootloader, "the bootloader's header")
        {
            misfits.push(Misfit { text, fatal: true });
        }
        for (name, app) in images(Role::App) {
            if let Some((_, bootloader)) = bootloader
                && app.chip.id != bootloader.chip.id
            {
                misfits.push(Misfit {
                    text: format!(
                        "'{name}' is an image for {}, and the bootloader is for {}",
                        app.chip.name, bootloader.chip.name
                    ),
                    fatal: true,
                });
            }
            // Of the same size the bootloader's header has told it.
            let told = bootloader.is_some_and(|(_, it)| it.flash_size() == app.flash_size());
            let whose = format!("the header of '{name}'");
            if let (false, Some(text)) = (told, beyond(&self.table, app, &whose)) {
                misfits.push(Misfit { text, fatal: false });
            }
        }
        for piece in pieces {
            if let Found::Bytes { image: None, .. } = &piece.found
                && matches!(piece.place.role, Role::App | Role::Bootloader)
                && let Some(text) = self.outgrown(contents, &piece.place)?
            {
                misfits.push(Misfit { text, fatal: true });
            }
        }
        Ok(misfits)
    }

    /// An image that by its headers ends behind its place.
    fn outgrown(&self, contents: &Contents, place: &Region) -> Result<Option<String>, Error> {
        let size = place.range.end.saturating_sub(place.range.start);
        let at = place.range.start.saturating_sub(self.base.into());
        let there = u64::from(contents.len()).saturating_sub(at).min(size);
        let form = self
            .chip
            .map_or(Form::Extended, |chip| Form::of(&chip.image));
        // Both are inside the contents, which have less than 4 GB.
        let (at, there) = (at as u32, there as u32);
        let found = extent(form, there, |offset, buffer| {
            contents.read_at(at + offset, buffer)
        });
        Ok(match found.map_err(guru_image::FirmwareError::from)? {
            Extent::TooLong(end) if end > size => Some(format!(
                "'{}' has 0x{size:x} bytes, and the image in it needs at least 0x{end:x}",
                place.name
            )),
            _ => None,
        })
    }
}

/// What does not fit together.
#[derive(Debug, Clone, Serialize)]
pub struct Misfit {
    /// What it is.
    pub text: String,
    /// Whether it keeps the chip from booting.
    pub fatal: bool,
}

/// What does not fit between an image and the partition table, which lies at an offset in flash, of
/// the device that it is for. A bootloader that was made for less flash refuses the table; an
/// application does not reach the partitions behind that.
pub fn misfits_of(image: &ImageInfo, table: &PartitionTable, table_offset: u32) -> Vec<Misfit> {
    let signature = image.signature.as_ref();
    let len = signature.map_or(image.end, |signature| signature.range.end);
    let is_bootloader = image.app.is_none() && image.bootloader.is_some();
    let mut misfits = Vec::new();
    let mut add = |text, fatal| misfits.push(Misfit { text, fatal });
    if let Some(text) = beyond(table, image, "its header") {
        add(text, is_bootloader);
    }
    if is_bootloader {
        let end = u64::from(image.chip.image.bootloader_offset) + u64::from(len);
        if end > table_offset.into() {
            add(
                format!(
                    "at its place in flash it ends at 0x{end:x}, and the partition table is at \
                     0x{table_offset:x}"
                ),
                true,
            );
        }
        return misfits;
    }
    let apps = table.partitions.iter().filter(|one| one.kind.is_app());
    let Some(largest) = apps.clone().max_by_key(|app| app.size) else {
        add(
            "the partition table has no partition for applications".to_owned(),
            true,
        );
        return misfits;
    };
    if largest.size < len {
        add(
            format!(
                "it has 0x{len:x} bytes, and the largest partition for applications, '{}', has 0x{:x}",
                largest.name, largest.size
            ),
            true,
        );
        return misfits;
    }
    for app in apps.filter(|app| app.size < len) {
        add(
            format!(
                "it has 0x{len:x} bytes, and the partition '{}' has 0x{:x}",
                app.name, app.size
            ),
            false,
        );
    }
    misfits
}

/// A table that needs more flash than a header says there is.
fn beyond(table: &PartitionTable, image: &ImageInfo, whose: &str) -> Option<String> {
    let label = image.flash_size()?;
    let mut sizes = image.chip.flash.sizes.iter();
    let size = sizes.find(|size| size.label == label)?;
    (table.end() > size.bytes.into()).then(|| {
        format!(
            "the partition table ends at 0x{:x}, beyond the {label} of flash in {whose}",
            table.end()
        )
    })
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

#[cfg(test)]
mod tests {
    use guru_image::split;
    use guru_store::Parsed;

    use super::*;

    /// An image for an ESP32-C3 with one segment; flash of 1 MB by its header.
    fn image(address: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xE9, 1, 2, 0];
        bytes.extend(address.to_le_bytes());
        bytes.extend([0xEE, 0, 0, 0, 5, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0, 0]);
        bytes.extend(address.to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len() | 0xF, 0);
        bytes.push(data.iter().fold(0xEF, |sum, byte| sum ^ byte));
        bytes
    }

    fn bootloader() -> Vec<u8> {
        // The descriptor's first byte.
        let mut data = vec![0; 80];
        data[0] = 0x50;
        image(0x3FC8_0000, &data)
    }

    fn table(csv: &str) -> PartitionTable {
        let parsed = Parsed::from_bytes(csv.as_bytes(), &Rules::default(), &|_| None);
        parsed.expect("it is a table").table
    }

    fn contents(parts: &[(usize, Vec<u8>)]) -> Contents {
        let mut flash = vec![0xFF; 0x2_0000];
        for (at, bytes) in parts {
            flash[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Contents::from_bytes("flash.bin", flash).expect("it is small")
    }

    fn of_flash(csv: &str, bootloader: Vec<u8>, app: Vec<u8>) -> Vec<(String, bool)> {
        let table = table(csv).to_binary().expect("it has a binary form");
        let contents = contents(&[(0, bootloader), (0x8000, table), (0x1_0000, app)]);
        let at = TableAt::Offset(Rules::TABLE_OFFSET);
        let layout = find(&contents, None, at).expect("it can be read");
        let layout = layout.expect("there is a table");
        let pieces = split(&contents, layout.base, &layout.places).expect("none overlap");
        let misfits = layout.misfits(&contents, &pieces).expect("it can be read");
        misfits.into_iter().map(|it| (it.text, it.fatal)).collect()
    }

    #[test]
    fn an_image_that_outgrew_its_partition_does_not_boot() {
        let csv = "app, app, factory, 0x10000, 0x1000\n";
        let large = image(0x4200_0020, &[0; 0x2000]);
        assert_eq!(
            of_flash(csv, bootloader(), large),
            [(
                "'app' has 0x1000 bytes, and the image in it needs at least 0x2030".to_owned(),
                true
            )]
        );
        let small = image(0x4200_0020, &[0; 0x20]);
        assert_eq!(of_flash(csv, bootloader(), small), []);
    }

    #[test]
    fn a_table_beyond_the_flash_keeps_the_bootloader_from_booting() {
        let csv = "app, app, factory, 0x10000, 0xFFF000\n";
        let app = image(0x4200_0020, &[0; 0x20]);
        let text = "the partition table ends at 0x100f000, beyond the 1MB of flash in";
        let fatal = (format!("{text} the bootloader's header"), true);
        assert_eq!(of_flash(csv, bootloader(), app.clone()), [fatal]);
        // One whose header tells of more flash than there is for the table leaves it to the
        // application.
        let mut roomy = bootloader();
        roomy[3] = 0x50;
        let doubtful = (format!("{text} the header of 'app'"), false);
        assert_eq!(of_flash(csv, roomy, app), [doubtful]);
    }

    #[test]
    fn an_image_alone_is_held_against_a_table() {
        let of = |csv: &str, bytes: Vec<u8>| {
            let contents = Contents::from_bytes("x.bin", bytes).expect("it is small");
            let image = ImageInfo::read(&contents, None).expect("it is an image");
            let misfits = misfits_of(&image, &table(csv), Rules::TABLE_OFFSET);
            let texts = misfits.into_iter().map(|it| (it.text, it.fatal));
            texts.collect::<Vec<_>>()
        };
        let app = image(0x4200_0020, &[0; 0x2000]);
        let (small, large) = (
            "a, app, ota_0, 0x10000, 0x1000\n",
            "b, app, ota_1, 0x20000, 0x3000\n",
        );
        let otadata = "o, data, ota, 0x9000, 0x2000\n";
        assert_eq!(
            of(small, app.clone()),
            [(
                "it has 0x2030 bytes, and the largest partition for applications, 'a', has 0x1000"
                    .to_owned(),
                true
            )]
        );
        assert_eq!(
            of(&format!("{otadata}{small}{large}"), app.clone()),
            [(
                "it has 0x2030 bytes, and the partition 'a' has 0x1000".to_owned(),
                false
            )]
        );
        assert_eq!(of(&format!("{otadata}{large}"), app.clone()), []);
        assert_eq!(
            of(otadata, app),
            [(
                "the partition table has no partition for applications".to_owned(),
                true
            )]
        );
        let long = image(0x3FC8_0000, &[&[0x50], &[0; 0x8FFF][..]].concat());
        assert_eq!(
            of(large, long),
            [(
                "at its place in flash it ends at 0x9030, and the partition table is at 0x8000"
                    .to_owned(),
                true
            )]
        );
    }
}
