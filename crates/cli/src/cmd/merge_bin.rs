use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use guru_chip::{Chip, ImageRules};
use guru_image::{FlashParameters, Merge, Placed, patch, uf2};
use guru_loader::{Event, FilePart, FlashSizeOption};
use serde::Serialize;

use super::flash::HeaderArgs;
use crate::args;
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::files;
use crate::new_file::NewFile;
use crate::ui::{MergedFile, Message, Report};

/// Merge files into one that is flashed at once
///
/// Each file is preceded by the flash address of its first byte. An Intel HEX file brings its own
/// addresses; the one before it does not count. Of an ELF file an image is made.
///
///     guru merge-bin -o all.bin 0x0 bootloader.bin 0x8000 partitions.bin 0x10000 app.bin
///     guru merge-bin -o all.uf2 --chip esp32s3 @flash_args
///
/// The merged file is what its name ends with, unless --output-format says otherwise: Intel HEX
/// (.hex), UF2 for boards that show up as a drive (.uf2), else raw, which begins at --target-offset
/// and has 0xFF where no file is. Intel HEX and UF2 have no gaps to be flashed.
///
/// 'guru split-bin' takes a raw one apart again.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct MergeBin {
    /// Address in flash and file, as often as needed
    #[arg(required = true, num_args = 1.., value_name = "ADDR FILE")]
    files: Vec<OsString>,

    /// File to make
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// What to make: raw, hex or uf2
    #[arg(
        short = 'f',
        long,
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true
    )]
    output_format: Option<MergeFormat>,

    /// UF2: bytes of data in each block of 512; as many as fit without it
    #[arg(long, value_name = "BYTES", value_parser = args::number)]
    chunk_size: Option<u32>,

    /// UF2: no digest in the blocks
    #[arg(long)]
    md5_disable: bool,

    /// Raw: flash address that the merged file is for
    #[arg(long, value_name = "ADDR", default_value = "0", value_parser = args::scaled)]
    target_offset: u32,

    /// Raw: fill with 0xFF up to this size of flash: 256KB to 128MB
    #[arg(long, value_name = "SIZE", value_parser = PossibleValuesParser::new(PAD_SIZES), hide_possible_values = true)]
    pad_to_size: Option<String>,

    /// Size of the flash, written into the image at the bootloader's place: keep, 256KB to 128MB
    #[arg(long, env = "ESPTOOL_FS", hide_env_values = true, default_value = "keep", value_name = "SIZE", value_parser = args::flash_size)]
    flash_size: FlashSizeOption,

    #[command(flatten)]
    header: HeaderArgs,
}

/// Sizes that can be padded to.
pub const PAD_SIZES: [&str; 10] = [
    "256KB", "512KB", "1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB",
];

/// Forms of a merged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeFormat {
    /// Flash contents as they are.
    Raw,
    /// UF2.
    Uf2,
    /// Intel HEX.
    Hex,
}

impl MergeFormat {
    /// By the name of the file.
    fn of(output: &Path) -> Self {
        let extension = output.extension().map(|text| text.to_ascii_lowercase());
        match extension.as_deref().and_then(|text| text.to_str()) {
            Some("uf2") => Self::Uf2,
            Some("hex" | "ihex" | "ihx") => Self::Hex,
            _ => Self::Raw,
        }
    }
}

impl MergeBin {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let format = match (self.output_format, context.mode) {
            (Some(format), _) => format,
            (None, Mode::Guru) => MergeFormat::of(&self.output),
            (None, Mode::Esptool) => MergeFormat::Raw,
        };
        let chip = context.globals.chip.named();
        let mut files = files::open(&self.files, false)?;
        if files::has_elf(&files)? {
            let chip = chip.ok_or(Error::NoChip)?;
            files = files::for_chip(&files, chip, &FlashSizeOption::Keep)?;
        }
        files.sort_by_key(|file| file.address);
        files::check_overlap(&files)?;
        if context.mode == Mode::Esptool && chip.is_none() {
            return Err(Error::NoChip);
        }
        if context.mode == Mode::Guru {
            self.check_fit(&files, chip, format)?;
        }
        let blocks = match format {
            MergeFormat::Uf2 => Some(self.blocks(chip.ok_or(Error::NoChip)?, context)?),
            MergeFormat::Raw | MergeFormat::Hex => None,
        };
        context.screen.message(&Message::Merging {
            format,
            files: files.len(),
        });
        let mut parts = Vec::new();
        for file in files {
            context.screen.message(&Message::Adding {
                file: file.name.clone(),
                address: file.address,
            });
            parts.push(self.placed(file, chip, context)?);
        }
        let merge = Merge::new(parts)?;
        merge.check_target(self.target_offset)?;

        let mut output = NewFile::create(&self.output)?;
        match blocks {
            Some(blocks) => merge.uf2(&blocks, &mut output)?,
            None if format == MergeFormat::Hex => merge.hex(&mut output)?,
            None => {
                let pad = self.pad_to_size.as_deref().and_then(files::size_bytes);
                let pad = pad.and_then(|bytes| u32::try_from(bytes).ok());
                merge.raw(self.target_offset, pad, &mut output)?;
            }
        }
        let bytes = output.finish()?;
        context.screen.report(Report::MergeBin {
            file: self.output,
            format,
            bytes,
            target: self.target_offset,
            files: merge.parts().iter().map(MergedFile::of).collect(),
        });
        Ok(())
    }

    /// Files end inside the flash, as far as its size is known.
    fn check_fit(
        &self,
        files: &[FilePart],
        chip: Option<&Chip>,
        format: MergeFormat,
    ) -> Result<(), Error> {
        let size = match (&self.flash_size, &self.pad_to_size) {
            (FlashSizeOption::Set(_), _) | (_, None) => self.flash_size.clone(),
            (_, Some(label)) => FlashSizeOption::Set(label.clone()),
        };
        match (&size, format) {
            // Programs for RAM have other addresses, and go as Intel HEX or UF2.
            (FlashSizeOption::Keep, MergeFormat::Hex | MergeFormat::Uf2) => Ok(()),
            _ => files::check(files, chip, &size),
        }
    }

    fn blocks(&self, chip: &Chip, context: &mut Context) -> Result<uf2::Blocks, Error> {
        let family = chip.uf2_family.unwrap_or_default();
        if family == 0 {
            context.screen.message(&Message::Warning {
                text: format!(
                    "No UF2 family ID found for {}, using 0x0 as default.",
                    chip.name
                ),
            });
        }
        uf2::Blocks::new(family, self.chunk_size, !self.md5_disable)
            .map_err(|error| Error::Usage(error.to_string()).in_option("--chunk-size"))
    }

    /// The file with flash parameters in its header, where it has one.
    fn placed(
        &self,
        file: FilePart,
        chip: Option<&'static Chip>,
        context: &mut Context,
    ) -> Result<Placed, Error> {
        let (mode, frequency) = self.header.parameters();
        let size = match &self.flash_size {
            FlashSizeOption::Set(label) => Some(label.as_str()),
            FlashSizeOption::Keep => None,
            FlashSizeOption::Detect => {
                return Err(Error::Usage(
                    "'detect' needs a chip; write keep or a size such as 4MB".to_owned(),
                )
                .in_option("--flash-size"));
            }
        };
        let FilePart {
            name,
            address,
            contents,
            ..
        } = file;
        if mode.is_none() && frequency.is_none() && size.is_none() {
            return Ok(Placed { address, contents });
        }
        let chip = chip.ok_or(Error::NoChip)?;
        let rules: &ImageRules = &chip.image;
        // The predecessor looks at the parameters where it writes them.
        if context.mode == Mode::Esptool && address != rules.bootloader_offset {
            return Ok(Placed { address, contents });
        }
        let parameters = FlashParameters::new(&chip.flash, mode, frequency.as_deref(), size)
            .map_err(|what| guru_loader::Error::Lacking {
                chip: chip.name,
                what: guru_loader::Lacking::Parameter(what),
            })?;
        let patched =
            patch(contents, address, rules, parameters).map_err(guru_image::FirmwareError::from)?;
        if let Some(event) = Event::of_patch(chip, &name, &patched.outcome) {
            context.screen.event(&event);
        }
        Ok(Placed {
            address,
            contents: patched.contents,
        })
    }
}
