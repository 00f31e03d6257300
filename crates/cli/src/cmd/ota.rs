use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use guru_image::{Contents, Form};
use guru_link::block_on;
use guru_loader::{
    Compress, EraseRegion, Error as LoaderError, FilePart, FlashOptions, Observer, ReadLength,
    Skip, Verify, WriteJob, WriteRequest,
};
use guru_store::{
    Kind, OtaData, OtaError, OtaState, Partition, PartitionTable, Rules, SECTOR, Target, Update,
};

use super::flash::FlashArgs;
use super::partitions::held;
use crate::context::Context;
use crate::error::Error;
use crate::partitions::{Source, TableArgs, TableForm, read};
use crate::session::{self, Device};
use crate::ui::{Holds, OtaDone, OtaReport, Report};

/// Show or choose which application is started (otadata)
///
///     guru ota show
///     guru ota select ota_1
///     guru ota erase
///
/// ESP-IDF's bootloader goes by two entries in the partition for otadata: the valid one with the
/// higher sequence number names the OTA slot. A choice is written into the sector of the other
/// entry, so that the old one holds until the new one is there, also when the power fails in
/// between; then it is read back.
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub enum Ota {
    Show(Show),
    Select(Select),
    Erase(Erase),
}

/// Show both entries and what is started next
///
/// FILE is a dump of the flash; without one the device is asked.
#[derive(Debug, Args)]
pub struct Show {
    /// Dump of the flash or merged image
    file: Option<PathBuf>,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    flash: FlashArgs,
}

/// Choose the application that is started next
///
/// TARGET is the name of a partition, ota_1, 1, or factory. A slot without an image is refused,
/// since the bootloader would fall back to another one.
#[derive(Debug, Args)]
pub struct Select {
    /// What to start
    target: String,

    /// What is known of the application: undefined (it is started), new (with rollback it has to
    /// confirm itself at its first start), valid (it has)
    #[arg(long, default_value = "undefined", hide_possible_values = true)]
    state: State,

    /// Choose it even if it holds no image
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    flash: FlashArgs,
}

/// Choose nothing: the factory application is started, or else the first slot
#[derive(Debug, Args)]
pub struct Erase {
    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    flash: FlashArgs,
}

/// `--state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Nothing is known.
    Undefined,
    /// It has never run.
    New,
    /// It works.
    Valid,
}

impl Ota {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        match self {
            Self::Show(command) => match &command.file {
                Some(path) => of_file(context, path, &command.table),
                None => Job::new(&command.table, &command.flash)?.run(context, |_, _| Ok(None)),
            },
            Self::Select(command) => {
                let state = match command.state {
                    State::Undefined => OtaState::Undefined,
                    State::New => OtaState::New,
                    State::Valid => OtaState::Valid,
                };
                Job::new(&command.table, &command.flash)?.run(context, |found, slot| {
                    let target = Target::find(&found.table, &command.target).map_err(bad)?;
                    if !command.force {
                        found.refuse_empty(target, slot)?;
                    }
                    let update = found.data.select(&found.table, target, state);
                    update.map(Some).map_err(bad)
                })
            }
            Self::Erase(command) => Job::new(&command.table, &command.flash)?
                .run(context, |found, _| Ok(Some(found.data.erase()))),
        }
    }
}

/// What is in the flash of a device.
struct Found {
    table: PartitionTable,
    /// The partition of the otadata.
    place: Partition,
    data: OtaData,
}

/// Looks what a partition holds.
type Look<'a> = &'a mut dyn FnMut(&Partition) -> Result<Option<Holds>, LoaderError>;

impl Found {
    /// An application that is not there is not started.
    fn refuse_empty(&self, target: Target, look: Look<'_>) -> Result<(), LoaderError> {
        let kind = match target {
            Target::Factory => Some(Kind::FACTORY),
            Target::Slot(slot) => Kind::ota(slot),
        };
        let Some(partition) = kind.and_then(|kind| self.table.by_kind(kind)) else {
            return Ok(());
        };
        let what = match look(partition)? {
            Some(Holds::Nothing) => "is erased",
            Some(Holds::NoImage) => "holds no image",
            Some(Holds::TooLong { .. }) => "holds an image that is too long for it",
            Some(Holds::Image { .. }) | None => return Ok(()),
        };
        Err(LoaderError::BadRequest(format!(
            "'{}' {what}, and the bootloader would start something else; write an application \
             there first, or choose it with --force",
            partition.name
        )))
    }
}

/// A command about the otadata of a device.
struct Job<'a> {
    args: &'a TableArgs,
    /// The table of a file.
    table: Option<PartitionTable>,
    flash: FlashOptions,
}

impl<'a> Job<'a> {
    fn new(args: &'a TableArgs, flash: &FlashArgs) -> Result<Self, Error> {
        Ok(Self {
            args,
            table: args.of_file()?,
            flash: flash.options(),
        })
    }

    /// Reads what is there, does what `choose` says, and tells what is started next.
    fn run(
        &self,
        context: &mut Context,
        choose: impl Fn(&Found, Look<'_>) -> Result<Option<Update>, LoaderError>,
    ) -> Result<(), Error> {
        let by_stub = context.globals.uses_stub();
        session::with_device(context, |device, observer| {
            refuse_encrypted(device)?;
            let table = self
                .args
                .of_device(self.table.as_ref(), device, &self.flash, observer)?;
            let table = table.into_owned();
            let place = table.by_kind(Kind::OTA_DATA).cloned();
            let place = place.ok_or(OtaError::NoOtaData).map_err(bad)?;
            let data = self.read(device, &place, observer)?;
            let found = Found { table, place, data };
            let form = Form::of(&device.chip().image);
            let update = choose(&found, &mut |partition| {
                self.look(device, form, partition, observer)
            })?;
            let done = match update {
                None => None,
                Some(update) => Some(self.apply(device, &found, update, by_stub, observer)?),
            };
            let after = match done {
                None | Some(OtaDone::Nothing) => found.data,
                Some(_) => self.read(device, &found.place, observer)?,
            };
            if let Some(update) = update
                && after != expected(&found.data, update)
            {
                return Err(LoaderError::Differs {
                    failed: 1,
                    files: 1,
                });
            }
            let mut report = OtaReport::new(&after, &found.table);
            report.done = done;
            if let Some(partition) = after.next_boot(&found.table).partition {
                report.holds = self.look(device, form, partition, observer)?;
            }
            Ok(Report::Ota(Box::new(report)))
        })
    }

    fn read(
        &self,
        device: &mut Device,
        place: &Partition,
        observer: &mut dyn Observer,
    ) -> Result<OtaData, LoaderError> {
        let bytes = read(device, &self.flash, place.offset, 2 * SECTOR, observer)?;
        OtaData::from_bytes(&bytes).map_err(bad)
    }

    fn look(
        &self,
        device: &mut Device,
        form: Form,
        partition: &Partition,
        observer: &mut dyn Observer,
    ) -> Result<Option<Holds>, LoaderError> {
        held(partition, form, |address, buffer| {
            let length = buffer.len() as u32;
            let bytes = read(device, &self.flash, address, length, observer)?;
            buffer.copy_from_slice(&bytes);
            Ok(())
        })
    }

    fn apply(
        &self,
        device: &mut Device,
        found: &Found,
        update: Update,
        by_stub: bool,
        observer: &mut dyn Observer,
    ) -> Result<OtaDone, LoaderError> {
        let address = |sector: usize| found.place.offset + sector as u32 * SECTOR;
        match update {
            Update::Nothing => Ok(OtaDone::Nothing),
            Update::Write { sector, entry } => {
                let mut bytes = entry.to_bytes().to_vec();
                bytes.resize(SECTOR as usize, 0xFF);
                let name = &found.place.name;
                let request = WriteRequest {
                    files: vec![FilePart {
                        name: name.clone(),
                        address: address(sector),
                        contents: Contents::from_bytes(name, bytes)?,
                        encrypt: false,
                        previous: None,
                    }],
                    flash: self.flash.clone(),
                    compress: Compress::Never,
                    skip: Skip::Never,
                    verify: Verify::Digest,
                    by_stub,
                    ..WriteRequest::default()
                };
                let job = WriteJob::new(request, Some(device.chip()))?;
                block_on(device.write_flash(job, observer))?;
                Ok(OtaDone::Written { sector })
            }
            Update::Erase(sectors) => {
                for sector in sectors {
                    let region = EraseRegion {
                        address: address(sector),
                        length: ReadLength::Bytes(SECTOR),
                    };
                    block_on(device.erase_region(&self.flash, region, false, observer))?;
                }
                Ok(OtaDone::Erased)
            }
        }
    }
}

/// What otadata are after an update.
fn expected(data: &OtaData, update: Update) -> OtaData {
    let mut data = *data;
    match update {
        Update::Nothing => {}
        Update::Write { sector, entry } => {
            if let Some(place) = data.entries.get_mut(sector) {
                *place = entry;
            }
        }
        Update::Erase(_) => data = OtaData::ERASED,
    }
    data
}

/// Under flash encryption otadata are encrypted, and what is read and written here is not.
fn refuse_encrypted(device: &mut Device) -> Result<(), LoaderError> {
    match block_on(device.security_report()) {
        Ok(report) if report.flash_encryption => Err(LoaderError::BadRequest(
            "flash encryption is on: otadata in flash are encrypted, and can be read and chosen by \
             the application alone"
                .to_owned(),
        )),
        // A chip without flash encryption does not tell.
        _ => Ok(()),
    }
}

fn of_file(context: &mut Context, path: &Path, args: &TableArgs) -> Result<(), Error> {
    let rules = Rules {
        table_offset: args.offset.partition_table_offset,
        ..Rules::default()
    };
    let source = Source::open(path, &rules)?;
    let table = args
        .of_file()?
        .unwrap_or_else(|| source.parsed.table.clone());
    let place = table.by_kind(Kind::OTA_DATA);
    let place = place.ok_or_else(|| Error::Usage(OtaError::NoOtaData.to_string()))?;
    if source.form != TableForm::Dump {
        return Err(Error::Usage(format!(
            "'{}' is a partition table alone; otadata are in a dump of the flash",
            source.name
        )));
    }
    let mut bytes = vec![0; 2 * SECTOR as usize];
    source.read_at(place.offset, &mut bytes)?;
    let data = OtaData::from_bytes(&bytes).map_err(|error| Error::Usage(error.to_string()))?;
    let mut report = OtaReport::new(&data, &table);
    let chip = context.globals.chip.named();
    let form = chip.map_or(Form::Extended, |chip| Form::of(&chip.image));
    if let Some(partition) = data.next_boot(&table).partition {
        // What lies behind the end of the file is not known.
        let held = held(partition, form, |at, buffer| source.read_at(at, buffer));
        report.holds = held.unwrap_or(None);
    }
    context.screen.report(Report::Ota(Box::new(report)));
    Ok(())
}

fn bad(error: OtaError) -> LoaderError {
    LoaderError::BadRequest(error.to_string())
}
