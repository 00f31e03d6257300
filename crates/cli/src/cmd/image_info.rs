use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use guru_chip::{Chip, Revision};
use guru_image::{Contents, Firmware, Found, ImageInfo, InfoError, Role, split};
use guru_store::Rules;

use crate::context::{Context, Mode};
use crate::error::Error;
use crate::layout::{self, TableAt};
use crate::ui::{ImagePiece, ImageReport, Report};

/// Show what is in a firmware image, and what keeps it from booting
///
/// The file is an image as builds make it (.bin), flash contents with a partition table (a merged
/// image, a dump), or Intel HEX with one or several images.
///
///     guru image-info app.bin
///     guru image-info --chip esp32c3 --revision v0.3 app.bin
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
}

impl ImageInfoCommand {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let chip = context.globals.chip.named();
        let parts = Firmware::open(&self.file)?.parts;
        if let ([part], Mode::Guru) = (&parts[..], context.mode)
            && part.address.is_none()
            && let Some(report) = self.merged(&part.contents, chip)?
        {
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
        context
            .screen
            .report(Report::ImageInfo(Box::new(ImageReport {
                file: self.file,
                pieces,
                problems: Vec::new(),
            })));
        Ok(())
    }

    /// The images in flash contents with a partition table.
    fn merged(
        &self,
        contents: &Contents,
        chip: Option<&'static Chip>,
    ) -> Result<Option<ImageReport>, Error> {
        let table = TableAt::Offset(Rules::TABLE_OFFSET);
        // What is no table after all is the image's own business.
        let Ok(Some(layout)) = layout::find(contents, None, table) else {
            return Ok(None);
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
            problems: layout.problems(&found),
        }))
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
