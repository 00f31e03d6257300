use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use guru_image::{Extent, Form, extent};
use guru_loader::Error as LoaderError;
use guru_store::{Kind, Md5Row, Parsed, Partition, Rules, SecureBoot, TableError};

use super::flash::FlashArgs;
use crate::args;
use crate::context::Context;
use crate::error::Error;
use crate::new_file::NewFile;
use crate::partitions::{Source, TableForm, TableOffset, read, read_table};
use crate::session;
use crate::ui::{self, Holds, Message, PartitionsReport, Report};

/// Show, check and convert a partition table
///
///     guru partitions                                  # of the device
///     guru partitions flash-dump.bin
///     guru partitions partitions.csv --output partitions.bin
///     guru partitions --output partitions.csv          # of the device, as CSV
///
/// FILE is CSV, the binary form, a dump of the flash or a merged image; without one the table is
/// read from the device. What is shown is the table, what lies where in flash, and how full the
/// slots for applications are.
///
/// A table has to obey all rules of ESP-IDF (gen_esp32part.py); the binary form and CSV are the same
/// to the byte as what that makes. $NAME and ${NAME} in CSV stand for environment variables.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Partitions {
    /// CSV, binary table, dump of the flash or merged image
    file: Option<PathBuf>,

    /// Write the table into this file; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Form of --output; else as its name ends (.csv, .bin), else the one that FILE does not have
    #[arg(long, value_name = "FORM", requires = "output")]
    to: Option<OutputForm>,

    /// Write the binary table without its MD5
    #[arg(long)]
    disable_md5: bool,

    /// Show and convert even what breaks ESP-IDF's rules
    #[arg(long)]
    no_check: bool,

    /// Where the bootloader lies, for tables with an entry for it; known where the chip is
    #[arg(long, value_name = "ADDR", value_parser = args::scaled)]
    primary_bootloader_offset: Option<u32>,

    /// Where the recovery bootloader lies, for tables with an entry for it
    #[arg(long, value_name = "ADDR", value_parser = args::scaled)]
    recovery_bootloader_offset: Option<u32>,

    /// Demand sizes of applications that are fit for this version of secure boot
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "v1")]
    secure: Option<Secure>,

    /// A subtype of the project's own, as often as needed: data,log,0x40
    #[arg(long, value_name = "TYPE,NAME,VALUE")]
    extra_subtype: Vec<String>,

    #[command(flatten)]
    offset: TableOffset,

    #[command(flatten)]
    flash: FlashArgs,
}

/// `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputForm {
    /// Text.
    Csv,
    /// As flash holds it.
    Binary,
}

/// `--secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Secure {
    /// Version 1.
    V1,
    /// Version 2.
    V2,
}

impl Partitions {
    /// Whether the table goes to standard output.
    pub fn to_stdout(&self) -> bool {
        self.output.as_deref() == Some(Path::new("-"))
    }

    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let mut rules = self.rules(context)?;
        if let Some(path) = &self.file {
            return self.of_file(context, path, &rules);
        }
        let flash = self.flash.options();
        session::with_device(context, |device, observer| {
            let at = rules.table_offset;
            let parsed = read_table(device, &flash, at, observer)?;
            let chip = device.chip();
            let bootloader = chip.image.bootloader_offset;
            rules.primary_bootloader.get_or_insert(bootloader);
            let size = guru_link::block_on(device.flash_info(&flash, &mut |_| {}))?.size;
            let output = self
                .output(&parsed, &rules, None)
                .map_err(Error::in_session)?;
            let form = Form::of(&chip.image);
            let mut report = PartitionsReport::new(&parsed.table, &rules, size);
            for line in &mut report.partitions {
                line.holds = held(&line.partition, form, |address, buffer| {
                    let length = buffer.len() as u32;
                    let bytes = read(device, &flash, address, length, observer)?;
                    buffer.copy_from_slice(bytes.get(..buffer.len()).unwrap_or_default());
                    Ok::<_, LoaderError>(())
                })?;
            }
            report.output = output;
            Ok(Report::Partitions(Box::new(report)))
        })
    }

    fn of_file(&self, context: &mut Context, path: &Path, rules: &Rules) -> Result<(), Error> {
        let source = Source::open(path, rules)?;
        if !self.no_check {
            for text in source.check(rules)? {
                context.screen.message(&Message::Warning { text });
            }
        }
        let output = self.output(&source.parsed, rules, Some(source.form))?;
        let mut size = rules.flash_size;
        // A merged image may end in front of the flash's end.
        if source.form == TableForm::Dump && source.end() >= source.parsed.table.end() {
            size.get_or_insert(source.end());
        }
        let mut report = PartitionsReport::new(&source.parsed.table, rules, size);
        report.output = output;
        if source.form == TableForm::Dump {
            let chip = context.globals.chip.named();
            let form = chip.map_or(Form::Extended, |chip| Form::of(&chip.image));
            for line in &mut report.partitions {
                // What lies behind the end of the file is not known.
                line.holds = held(&line.partition, form, |address, buffer| {
                    source.read_at(address, buffer)
                })
                .unwrap_or(None);
            }
        }
        if !self.to_stdout() {
            context.screen.report(Report::Partitions(Box::new(report)));
        }
        Ok(())
    }

    fn rules(&self, context: &Context) -> Result<Rules, Error> {
        let mut rules = Rules {
            table_offset: self.offset.partition_table_offset,
            primary_bootloader: self.primary_bootloader_offset,
            recovery_bootloader: self.recovery_bootloader_offset,
            secure_boot: match self.secure {
                None => SecureBoot::None,
                Some(Secure::V1) => SecureBoot::V1,
                Some(Secure::V2) => SecureBoot::V2,
            },
            flash_size: self.flash.bytes(),
            ..Rules::default()
        };
        if let Some(chip) = context.globals.chip.named() {
            let bootloader = chip.image.bootloader_offset;
            rules.primary_bootloader.get_or_insert(bootloader);
        }
        for text in &self.extra_subtype {
            rules
                .names
                .add(text)
                .map_err(|error| Error::Usage(error.to_string()).in_option("--extra-subtype"))?;
        }
        Ok(rules)
    }

    /// Writes what --output asks for; gives the file that was made.
    fn output(
        &self,
        parsed: &Parsed,
        rules: &Rules,
        form: Option<TableForm>,
    ) -> Result<Option<PathBuf>, Error> {
        let Some(path) = &self.output else {
            return Ok(None);
        };
        let wrong = |error: TableError| Error::Table {
            file: path.display().to_string(),
            error,
        };
        let mut table = parsed.table.clone();
        if self.disable_md5 {
            table.md5_row = Md5Row::Absent;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let to = match (self.to, extension, form) {
            (Some(to), ..) => to,
            (None, Some("csv"), _) => OutputForm::Csv,
            (None, Some("bin"), _) | (None, _, Some(TableForm::Csv)) => OutputForm::Binary,
            _ => OutputForm::Csv,
        };
        let bytes = match to {
            OutputForm::Csv => table.to_csv(&rules.names).map_err(wrong)?.into_bytes(),
            OutputForm::Binary => table.to_binary().map_err(wrong)?,
        };
        let failed = |source| Error::Output {
            path: path.clone(),
            source,
        };
        if self.to_stdout() {
            ui::data(&bytes).map_err(failed)?;
            return Ok(None);
        }
        let mut file = NewFile::create(path)?;
        file.write_all(&bytes).map_err(failed)?;
        file.finish()?;
        Ok(Some(path.clone()))
    }
}

/// What is in a partition that is meant for an image.
pub(super) fn held<E>(
    partition: &Partition,
    form: Form,
    mut read: impl FnMut(u32, &mut [u8]) -> Result<(), E>,
) -> Result<Option<Holds>, E> {
    let kind = partition.kind;
    if !matches!(kind.type_code, Kind::APP | Kind::BOOTLOADER) {
        return Ok(None);
    }
    let found = extent(form, partition.size, |at, buffer| {
        read(partition.offset.saturating_add(at), buffer)
    })?;
    Ok(Some(match found {
        Extent::Erased => Holds::Nothing,
        Extent::Image(bytes) => Holds::Image { bytes },
        Extent::TooLong(bytes) => Holds::TooLong { bytes },
        Extent::Other => Holds::NoImage,
    }))
}
