use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use guru_chip::{Chip, Revision};
use guru_image::{Contents, Firmware, Found, ImageInfo, InfoError, Role, split};
use guru_store::TableError;

use crate::context::{Context, Mode};
use crate::error::Error;
use crate::layout::{self, Misfit, TableAt};
use crate::partitions::{self, TableOffset};
use crate::ui::{ImagePiece, ImageReport, Report};

/// Show what is in a firmware image, and what keeps it from booting
///
/// The file is an image as builds make it (.bin), flash contents with a partition table (a merged
/// image, a dump), or Intel HEX with one or several images.
///
///     guru image-info app.bin
///     guru image-info --chip esp32c3 --revision v0.3 app.bin
///
/// With --partition-table it is said whether the image goes with the table: whether it fits into the
/// partitions for it, and whether they are within the flash that its header tells of. Flash contents
/// are held against the table in them.
///
/// With --chip and --revision it is said whether the image is for that chip. Checksum and digest are
/// computed again; segments that are run or read from flash must lie as the MMU can map them.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ImageInfoCommand {
    /// Firmware image
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Revision of the chip that it is meant for, such as v0.3
    #[arg(long, value_name = "REVISION", requires = "chip")]
    revision: Option<Revision>,

    /// Partition table of the device that an image is meant for: CSV, binary, or a dump of the flash
    #[arg(long, value_name = "FILE")]
    partition_table: Option<PathBuf>,

    #[command(flatten)]
    offset: TableOffset,
}

impl ImageInfoCommand {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let chip = context.globals.chip.named();
        let table = self.partition_table.as_deref();
        let table = table.map(|path| partitions::table_of_file(path, self.offset));
        let table = table.transpose()?;
        let parts = Firmware::open(&self.file)?.parts;
        if let ([part], Mode::Guru) = (&parts[..], context.mode)
            && part.address.is_none()
            && let Some(report) = self.merged(&part.contents, chip)?
        {
            if table.is_some() {
                return Err(Error::Usage(format!(
                    "'{}' holds a partition table itself; --partition-table is for an image alone",
                    self.file.display()
                )));
            }
            context.screen.report(Report::ImageInfo(Box::new(report)));
            return Ok(());
        }
        let single = parts.len() == 1;
        let mut pieces = Vec::new();
        let mut first = None;
        for part in parts {
            let image = match context.mode {
                // It is taken for what was said, or for what the first one was.
                Mode::Esptool => ImageInfo::read(&part.contents, chip.or(first)),
                Mode::Guru => self.read(&part.contents, chip),
            };
            if let (Ok(image), true) = (&image, pieces.is_empty()) {
                first = Some(image.chip);
            }
            pieces.push(ImagePiece {
                name: None,
                offset: part.address.map(u64::from),
                size: part.contents.len(),
                image: image.map(Box::new).map_err(Arc::new),
            });
        }
        if single && let Some(Err(error)) = pieces.first().map(|piece| &piece.image) {
            return Err(self.no_image(Arc::clone(error)));
        }
        let at = self.offset.partition_table_offset;
        let problems = match (&table, pieces.first()) {
            (
                Some(table),
                Some(ImagePiece {
                    image: Ok(image), ..
                }),
            ) => layout::misfits_of(image, table, at),
            _ => Vec::new(),
        };
        context
            .screen
            .report(Report::ImageInfo(Box::new(ImageReport {
                file: self.file,
                pieces,
                problems,
            })));
        Ok(())
    }

    /// The images in flash contents with a partition table.
    fn merged(
        &self,
        contents: &Contents,
        chip: Option<&'static Chip>,
    ) -> Result<Option<ImageReport>, Error> {
        let table = TableAt::Offset(self.offset.partition_table_offset);
        let layout = match layout::find(contents, None, table) {
            Ok(Some(layout)) => layout,
            Err(Error::TableWithin { offset, source, .. }) => {
                return Ok(self.before_wrong_table(contents, chip, offset, &source));
            }
            Ok(None) | Err(_) => return Ok(None),
        };
        let found = split(contents, layout.base, &layout.places)?;
        let mut pieces = Vec::new();
        for piece in &found {
            let Found::Bytes { contents, .. } = &piece.found else {
                continue;
            };
            if !matches!(piece.place.role, Role::Bootloader | Role::App) {
                continue;
            }
            pieces.push(ImagePiece {
                name: Some(piece.place.name.clone()),
                offset: Some(piece.place.range.start),
                size: contents.len(),
                image: self.read(contents, chip).map(Box::new).map_err(Arc::new),
            });
        }
        Ok(Some(ImageReport {
            file: self.file.clone(),
            pieces,
            problems: layout.misfits(contents, &found)?,
        }))
    }

    /// The bootloader in flash contents whose table is wrong. What begins like a table within an
    /// image is none, and the image's own business.
    fn before_wrong_table(
        &self,
        contents: &Contents,
        chip: Option<&'static Chip>,
        offset: u32,
        wrong: &TableError,
    ) -> Option<ImageReport> {
        let image = self.read(contents, chip).ok()?;
        if image.end > offset {
            return None;
        }
        Some(ImageReport {
            file: self.file.clone(),
            pieces: vec![ImagePiece {
                name: Some("bootloader".to_owned()),
                offset: None,
                size: image.end,
                image: Ok(Box::new(image)),
            }],
            problems: vec![Misfit {
                text: format!("the partition table at 0x{offset:x} of the file is wrong: {wrong}"),
                fatal: true,
            }],
        })
    }

    fn no_image(&self, source: Arc<InfoError>) -> Error {
        Error::NoImage {
            file: self.file.clone(),
            source,
        }
    }

    fn read(
        &self,
        contents: &Contents,
        chip: Option<&'static Chip>,
    ) -> Result<ImageInfo, InfoError> {
        let mut image = ImageInfo::read(contents, None)?;
        if let Some(chip) = chip {
            image.meant_for(contents, chip, self.revision)?;
        }
        Ok(image)
    }
}
