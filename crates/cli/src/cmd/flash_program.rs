use std::path::PathBuf;

use clap::Args;
use guru_chip::Chip;
use guru_image::{Contents, FlashMode};
use guru_link::block_on;
use guru_loader::{
    After, Error as LoaderError, FilePart, FlashOptions, FlashSizeOption, Observer, SecureBoot,
    Skip, WriteJob, WriteRequest,
};
use guru_project::{
    Board, BootloaderChoice, Build, FoundIn, Part, Plan, Program, ProjectError, Request, Role,
    Roots, Settings, Table, plan,
};
use guru_store::{Kind, OtaData, OtaState, Rules, SECTOR, SelectEntry, Target, Update, Why};

use super::flash::{FlashArgs, HeaderArgs};
use crate::args;
use crate::context::Context;
use crate::error::Error;
use crate::globals::ChipArg;
use crate::many::{self, BoardsArgs, Which};
use crate::monitor::MonitorArgs;
use crate::packages;
use crate::partitions::{Source, read, read_table};
use crate::session::{self, Device};
use crate::ui::{FlashPart, FlashReport, Report};

/// Flash a program with all that it needs, and start it
///
///     guru flash build/blink.elf
///     guru flash build/blink.elf --monitor
///     guru flash target/riscv32imc-unknown-none-elf/release/blink
///     guru flash app.elf --bootloader bootloader.bin --partition-table partitions.csv
///
/// PROGRAM is an ELF file, or the image of an application. Bootloader, partition table, chip and flash
/// parameters are those of the build folder that it is in: of ESP-IDF (flasher_args.json, flash_args),
/// PlatformIO, Arduino or Zephyr. A program in no such folder gets a bootloader of what is installed
/// (espflash in cargo's registry, the cores for Arduino and PlatformIO) and a default partition table,
/// with one application as large as the flash allows. Options count more than what is found.
///
/// The image beside the ELF file is taken when it was made of that very file; else one is made. Before
/// anything is written it is checked that all parts are for this chip and revision, are whole, and fit
/// beside each other and into their partitions. Sectors that the flash holds already are left alone.
/// When otadata would start another application, they are changed so that this one starts.
///
/// On a chip with flash encryption, files that the build marks for it are encrypted by the chip.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct FlashProgram {
    /// ELF file, or image of an application
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,

    /// Build folder, in place of the one that the program is in; none: as if it were in none
    #[arg(long, value_name = "DIR")]
    build_dir: Option<PathBuf>,

    /// Bootloader: an image or its ELF file; none: leave the one in flash
    #[arg(long, value_name = "FILE")]
    bootloader: Option<PathBuf>,

    /// Partition table: CSV, binary, or a dump of the flash; none: leave and use the one in flash
    #[arg(long, value_name = "FILE")]
    partition_table: Option<PathBuf>,

    /// Where the partition table lies in flash [default: as the build says, or 0x8000]
    #[arg(long, value_name = "ADDR", value_parser = args::scaled)]
    partition_table_offset: Option<u32>,

    /// Partition for the application, such as ota_1 [default: as the build says, or what starts first]
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,

    /// Leave otadata as they are, also when they start another application
    #[arg(long)]
    keep_otadata: bool,

    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Erase the whole flash first
    #[arg(short, long)]
    erase_all: bool,

    /// Write everything, even what is in the flash already
    #[arg(long)]
    no_skip: bool,

    /// Do not show progress
    #[arg(long)]
    pub no_progress: bool,

    /// Override guards and compatibility checks; may leave a board that does not start
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    header: HeaderArgs,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    pub monitor: MonitorArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

/// The word that stands for no file.
const NONE: &str = "none";

impl FlashProgram {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let which = self.boards.which(&context.globals)?;
        if self.monitor.is_on() {
            if which != Which::One {
                return usage("--monitor shows what one board prints, and several are meant");
            }
            if context.globals.after.0 != After::HardReset {
                return usage("--monitor goes with --after hard-reset: it shows what starts then");
            }
        }
        let job = Job::new(&self, context)?;
        let wanted = context.globals.chip.named();
        if let Some(chip) = wanted.or_else(|| job.chip()) {
            // What can be known before a port is opened is known then.
            if !job.reads_table() {
                let board = Board::unseen(chip, job.size(chip));
                let plan = job.plan(board, job.table.clone())?;
                if self.dry_run {
                    context.screen.report(job.report(&plan, Vec::new()));
                    return Ok(());
                }
            }
            // Of several ports the one with this chip is taken.
            context.globals.chip = ChipArg::Named(chip);
        }
        // What expects the chip may not be an option.
        let expected = context.globals.chip.named().filter(|_| wanted.is_none());
        let other = |error| match (error, expected) {
            (Error::Session(LoaderError::WrongChip { found, .. }), Some(expected)) => {
                Error::Project(ProjectError::OtherChip {
                    found: job.said_by(),
                    built: expected.name,
                    chip: found,
                })
            }
            (error, _) => error,
        };
        let work = |device: &mut Device, observer: &mut dyn Observer| job.run(device, observer);
        match which {
            Which::One => session::with_application(context, &self.monitor, work),
            _ => many::with_devices(context, &self.boards, work),
        }
        .map_err(other)
    }
}

fn usage<T>(text: &str) -> Result<T, Error> {
    Err(Error::Usage(text.to_owned()))
}

/// All that is known before there is a chip.
struct Job<'a> {
    args: &'a FlashProgram,
    program: Program,
    build: Option<Build>,
    /// The table that was named.
    table: Option<Table>,
    roots: Roots,
    settings: Settings,
    flash: FlashOptions,
    by_stub: bool,
}

impl<'a> Job<'a> {
    fn new(args: &'a FlashProgram, context: &Context) -> Result<Self, Error> {
        let program = Program::open(&args.program)?;
        let build = match &args.build_dir {
            None => guru_project::find(&args.program)?,
            Some(folder) if folder.as_os_str() == NONE => None,
            Some(folder) => Some(guru_project::open(folder, &args.program)?),
        };
        let table = match &args.partition_table {
            Some(path) if path.as_os_str() != NONE => {
                let rules = Rules {
                    table_offset: args.partition_table_offset.unwrap_or(Rules::TABLE_OFFSET),
                    ..Rules::default()
                };
                let source = Source::open(path, &rules)?;
                source.check(&rules)?;
                Some(Table {
                    name: source.name.clone(),
                    table: source.parsed.table,
                    write: true,
                })
            }
            _ => None,
        };
        let (mode, frequency) = args.header.parameters();
        let flash = args.flash.options();
        let size = match &flash.size {
            FlashSizeOption::Set(label) => Some(label.clone()),
            FlashSizeOption::Keep | FlashSizeOption::Detect => None,
        };
        Ok(Self {
            args,
            program,
            build,
            table,
            roots: packages::roots(),
            settings: Settings {
                mode,
                frequency,
                size,
                ..Settings::default()
            },
            flash,
            by_stub: context.globals.uses_stub(),
        })
    }

    /// The chip, where program or build say it.
    fn chip(&self) -> Option<&'static Chip> {
        let of_build = self.build.as_ref().and_then(Build::chip);
        of_build.or_else(|| self.program.chip())
    }

    /// Who says it.
    fn said_by(&self) -> FoundIn {
        match &self.build {
            Some(build) => FoundIn::build(build),
            None => FoundIn(format!("'{}'", self.args.program.display())),
        }
    }

    /// Bytes of flash, where that is known.
    fn size(&self, chip: &Chip) -> Option<u64> {
        let label = self.settings.size.as_deref()?;
        let size = chip.flash.size_by_label(label)?;
        Some(size.bytes.into())
    }

    /// Whether the table of the device counts.
    fn reads_table(&self) -> bool {
        let named = self.args.partition_table.as_ref();
        named.is_some_and(|path| path.as_os_str() == NONE)
    }

    fn plan(&self, board: Board, table: Option<Table>) -> Result<Plan, ProjectError> {
        let bootloader = match &self.args.bootloader {
            None => BootloaderChoice::Find,
            Some(path) if path.as_os_str() == NONE => BootloaderChoice::None,
            Some(path) => BootloaderChoice::File(path.clone()),
        };
        let request = Request {
            program: &self.program,
            build: self.build.as_ref(),
            bootloader,
            table,
            table_offset: self.args.partition_table_offset,
            partition: self.args.partition.as_deref(),
            settings: self.settings.clone(),
            roots: &self.roots,
            force: self.args.force,
        };
        plan(&request, board)
    }

    fn run(&self, device: &mut Device, observer: &mut dyn Observer) -> Result<Report, LoaderError> {
        let board = self.look_at(device, observer)?;
        let table = match self.reads_table() {
            true => {
                let offset = self.args.partition_table_offset;
                let offset = offset.unwrap_or(Rules::TABLE_OFFSET);
                let parsed = read_table(device, &self.flash, offset, observer)?;
                Some(Table {
                    name: "in flash".to_owned(),
                    table: parsed.table,
                    write: false,
                })
            }
            false => self.table.clone(),
        };
        let mut plan = self
            .plan(board, table)
            .map_err(|error| Error::from(error).in_session())?;
        let notes = self.choose(&mut plan, board, device, observer)?;
        if self.args.dry_run {
            return Ok(self.report(&plan, notes));
        }
        let mut flash = self.flash.clone();
        if flash.size == FlashSizeOption::Keep {
            flash.size = match &plan.size {
                Some(label) => FlashSizeOption::Set(label.clone()),
                None if plan.sets_size => FlashSizeOption::Detect,
                None => FlashSizeOption::Keep,
            };
        }
        let request = WriteRequest {
            files: plan.parts.iter().map(file_part).collect(),
            flash,
            mode: self.settings.mode.map(|mode| match (plan.sets_size, mode) {
                // Bootloaders are started on two lines and go over to four by themselves.
                (true, FlashMode::Qio) => FlashMode::Dio,
                (true, FlashMode::Qout) => FlashMode::Dout,
                _ => mode,
            }),
            frequency: self.settings.frequency.clone(),
            erase_all: self.args.erase_all,
            force: self.args.force,
            skip: match self.args.no_skip {
                true => Skip::Never,
                false => Skip::Parts,
            },
            by_stub: self.by_stub,
            ..WriteRequest::default()
        };
        let job = WriteJob::new(request, Some(device.chip()))?;
        let written = block_on(device.write_flash(job, observer))?;
        let report = self.report(&plan, notes);
        match report {
            Report::Flash(mut report) => {
                report.wrote(&written);
                Ok(Report::Flash(report))
            }
            report => Ok(report),
        }
    }

    /// What of the board matters.
    fn look_at(
        &self,
        device: &mut Device,
        observer: &mut dyn Observer,
    ) -> Result<Board, LoaderError> {
        let chip = device.chip();
        let mut board = Board::unseen(chip, self.size(chip));
        board.revision = device.revision();
        board.crystal = device.device().crystal_mhz;
        // A chip that has neither does not tell.
        if let Ok(security) = block_on(device.security_report()) {
            board.encrypts = security.flash_encryption;
            board.secure_boot = security.secure_boot != SecureBoot::Off;
        }
        if board.flash.is_none() && !device.device().secure_download {
            let found = block_on(device.flash_info(&self.flash, observer))?;
            board.flash = found.size;
        }
        Ok(board)
    }

    /// Sees to it that the application is what starts: adds to the plan what otadata must be.
    fn choose(
        &self,
        plan: &mut Plan,
        board: Board,
        device: &mut Device,
        observer: &mut dyn Observer,
    ) -> Result<Vec<String>, LoaderError> {
        let mut notes = Vec::new();
        let (Some(table), Some(target)) = (&plan.table, &plan.target) else {
            return Ok(notes);
        };
        let Some(place) = table.by_kind(Kind::OTA_DATA) else {
            return Ok(notes);
        };
        let choice = match (target.kind, target.kind.ota_slot()) {
            (_, Some(slot)) => Target::Slot(slot),
            (Kind::FACTORY, _) => Target::Factory,
            _ => {
                notes.push(format!(
                    "'{}' is nothing that otadata can choose",
                    target.name
                ));
                return Ok(notes);
            }
        };
        if board.encrypts || device.device().secure_download {
            notes.push(format!(
                "which application otadata choose cannot be read here; '{}' starts if it is that",
                target.name
            ));
            return Ok(notes);
        }
        let planned = plan
            .parts
            .iter()
            .position(|part| part.address == place.offset);
        let bytes = match planned.and_then(|at| plan.parts.get(at)) {
            Some(part) => {
                let mut bytes = vec![0xFF; 2 * SECTOR as usize];
                let there = bytes.len().min(part.contents.len() as usize);
                part.contents.read_at(0, &mut bytes[..there])?;
                bytes
            }
            None if self.args.erase_all => vec![0xFF; 2 * SECTOR as usize],
            None => read(device, &self.flash, place.offset, 2 * SECTOR, observer)?,
        };
        let bad = |error: guru_store::OtaError| LoaderError::BadRequest(error.to_string());
        let data = OtaData::from_bytes(&bytes).map_err(bad)?;
        let next = data.next_boot(table);
        // One that has not confirmed itself is not started again.
        let waits = matches!(next.why, Why::Entry(entry) if entry.state == OtaState::PendingVerify);
        if next.partition == Some(target) && !waits {
            return Ok(notes);
        }
        let starts = next
            .partition
            .map_or("no particular application".to_owned(), |one| {
                format!("'{}'", one.name)
            });
        if self.args.keep_otadata {
            notes.push(format!(
                "otadata start {starts}, not '{target}'; 'guru ota select {target}' changes that",
                target = target.name
            ));
            return Ok(notes);
        }
        let update = data
            .select(table, choice, OtaState::Undefined)
            .map_err(bad)?;
        notes.push(format!(
            "otadata started {starts}; now they start '{}'",
            target.name
        ));
        let sector = |entry: &SelectEntry| {
            let mut bytes = match entry.is_erased() {
                true => Vec::new(),
                false => entry.to_bytes().to_vec(),
            };
            bytes.resize(SECTOR as usize, 0xFF);
            bytes
        };
        let whole = |data: &OtaData| data.entries.iter().flat_map(sector).collect::<Vec<_>>();
        let (at, bytes) = match (update, planned) {
            (Update::Nothing, _) => return Ok(notes),
            (Update::Erase(_), _) => (0, whole(&OtaData::ERASED)),
            (Update::Write { sector: at, entry }, None) => (at as u32 * SECTOR, sector(&entry)),
            (Update::Write { sector: at, entry }, Some(_)) => {
                let mut data = data;
                if let Some(place) = data.entries.get_mut(at) {
                    *place = entry;
                }
                (0, whole(&data))
            }
        };
        let part = Part {
            role: Role::Data,
            name: place.name.clone(),
            address: place.offset.saturating_add(at),
            contents: Contents::from_bytes(&place.name, bytes)?,
            file: None,
            from: format!("so that '{}' starts", target.name),
            encrypt: false,
        };
        if let Some(planned) = planned {
            plan.parts.remove(planned);
        }
        plan.parts.push(part);
        plan.parts.sort_by_key(|part| part.address);
        Ok(notes)
    }

    fn report(&self, plan: &Plan, notes: Vec<String>) -> Report {
        Report::Flash(Box::new(FlashReport {
            chip: plan.chip.name,
            build: self.build.as_ref().map(|build| build.system.to_string()),
            partition: plan.target.as_ref().map(|target| target.name.clone()),
            parts: plan.parts.iter().map(FlashPart::from).collect(),
            sectors: 0,
            sectors_written: 0,
            dry_run: self.args.dry_run,
            notes: plan.notes.iter().cloned().chain(notes).collect(),
        }))
    }
}

fn file_part(part: &Part) -> FilePart {
    let file = part.file.as_ref().map(|file| file.display().to_string());
    FilePart {
        name: file.unwrap_or_else(|| part.name.clone()),
        address: part.address,
        contents: part.contents.clone(),
        encrypt: part.encrypt,
        previous: None,
    }
}
