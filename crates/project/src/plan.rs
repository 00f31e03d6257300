//! What goes where, from all that was found and named; and whether it fits together.

use std::path::{Path, PathBuf};

use guru_chip::{Chip, Revision};
use guru_image::{BuildError, Contents, Elf, ImageError, ImageInfo, InfoError, Problem};
use guru_store::{Kind, MAX_LEN, Parsed, Partition, PartitionTable, Rules, Target};

use crate::app::{App, AppSource, Program, StartedBy, image, made, options};
use crate::build::{Build, BuildFile, Settings, System};
use crate::error::{FoundIn, ProjectError};
use crate::installed::{Roots, Searched, bootloaders};

/// The largest flash for which a default table is made, in bytes: offsets behind it have 32 bits.
const MOST_FLASH: u64 = 16 << 20;

/// What a flash is taken to have whose size is not known, in bytes.
const USUAL_FLASH: u64 = 4 << 20;

/// The word, twice, by which the ROM knows a program that it starts without a header (ESP32-C3 and
/// later: "direct boot").
const DIRECT_BOOT: [u8; 8] = [0x1D, 0x04, 0xDB, 0xAE, 0x1D, 0x04, 0xDB, 0xAE];

/// What is to be flashed, and what was said about it.
#[derive(Debug)]
pub struct Request<'a> {
    /// The program.
    pub program: &'a Program,
    /// The build folder that it is in.
    pub build: Option<&'a Build>,
    /// Which bootloader.
    pub bootloader: BootloaderChoice,
    /// The partition table, where one was named.
    pub table: Option<Table>,
    /// Where the table lies in flash, where that was said.
    pub table_offset: Option<u32>,
    /// The partition for the application, where one was named.
    pub partition: Option<&'a str>,
    /// Flash parameters that were named.
    pub settings: Settings,
    /// Where packages with bootloaders lie.
    pub roots: &'a Roots,
    /// Write what the chip will not start.
    pub force: bool,
}

/// Which bootloader is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootloaderChoice {
    /// That of the build folder, or else one that is installed.
    Find,
    /// This one.
    File(PathBuf),
    /// None: there is one in flash.
    None,
}

/// A partition table that was named.
#[derive(Debug, Clone)]
pub struct Table {
    /// Where it is from.
    pub name: String,
    /// The partitions.
    pub table: PartitionTable,
    /// Whether it is written; else flash holds it.
    pub write: bool,
}

/// The board, as far as it matters. What is not known is left out.
#[derive(Debug, Clone, Copy)]
pub struct Board {
    /// Its chip.
    pub chip: &'static Chip,
    /// The chip's revision.
    pub revision: Option<Revision>,
    /// Bytes of flash.
    pub flash: Option<u64>,
    /// Crystal in MHz.
    pub crystal: Option<u8>,
    /// Whether flash encryption is on.
    pub encrypts: bool,
    /// Whether secure boot is on.
    pub secure_boot: bool,
}

impl Board {
    /// One of which the chip is known, and perhaps the size of the flash.
    #[must_use]
    pub fn unseen(chip: &'static Chip, flash: Option<u64>) -> Self {
        Self {
            chip,
            revision: None,
            flash,
            crystal: None,
            encrypts: false,
            secure_boot: false,
        }
    }
}

/// What goes to flash.
#[derive(Debug)]
pub struct Plan {
    /// The chip.
    pub chip: &'static Chip,
    /// The parts, by address.
    pub parts: Vec<Part>,
    /// The partition table that counts.
    pub table: Option<PartitionTable>,
    /// The partition of the application.
    pub target: Option<Partition>,
    /// Whether the size of the flash is to be written into the bootloader's header, since the
    /// bootloader was built for no board in particular, or the build says so.
    pub sets_size: bool,
    /// The size that the build has for that header, where another one stands there.
    pub size: Option<String>,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// A part of what goes to flash.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is for.
    pub role: Role,
    /// What it is called.
    pub name: String,
    /// Flash offset.
    pub address: u32,
    /// Its bytes.
    pub contents: Contents,
    /// The file, where it is one.
    pub file: Option<PathBuf>,
    /// Who says so.
    pub from: String,
    /// Whether the chip encrypts it.
    pub encrypt: bool,
}

/// What a part is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The second-stage bootloader.
    Bootloader,
    /// The partition table.
    Table,
    /// The application.
    App,
    /// Anything else.
    Data,
}

impl Role {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bootloader => "bootloader",
            Self::Table => "partition-table",
            Self::App => "app",
            Self::Data => "data",
        }
    }
}

/// Says what goes where on a board.
///
/// # Errors
/// Something is missing, damaged, for another chip, or does not fit beside the rest.
pub fn plan(request: &Request<'_>, board: Board) -> Result<Plan, ProjectError> {
    let planner = Planner {
        request,
        board,
        rules: &board.chip.image,
        table_offset: request
            .table_offset
            .or_else(|| request.build?.table.as_ref()?.address)
            .unwrap_or(Rules::TABLE_OFFSET),
    };
    planner.plan()
}

struct Planner<'a> {
    request: &'a Request<'a>,
    board: Board,
    rules: &'static guru_chip::ImageRules,
    table_offset: u32,
}

/// A bootloader that was chosen.
struct Bootloader {
    part: Part,
    info: ImageInfo,
    /// Whether it was built for no board in particular.
    common: bool,
}

impl Planner<'_> {
    fn plan(&self) -> Result<Plan, ProjectError> {
        self.check_build()?;
        self.check_program()?;
        if self.is_started_by_rom() {
            return self.without_bootloader();
        }
        let mut notes = Vec::new();
        let bootloader = self.bootloader(&mut notes)?;
        let table = self.table(bootloader.as_ref())?;
        let (address, target) = self.place(table.as_ref().map(|(_, table)| table))?;
        let settings = self.settings(bootloader.as_ref());
        let app = image(
            self.request.program,
            self.request.build,
            self.board.chip,
            &settings,
            StartedBy::Bootloader,
        )?;
        if let AppSource::Made { other: Some(other) } = &app.source {
            notes.push(format!(
                "'{}' was not made of this ELF file and is left aside; the image is made anew",
                other.display()
            ));
        }
        let mut parts = Vec::new();
        let listed = self.listed_settings();
        let sets_size = bootloader.as_ref().is_some_and(|one| one.common)
            || listed.is_some_and(|settings| settings.detects_size);
        let in_header = bootloader.as_ref().and_then(|one| one.info.flash_size());
        let size = listed
            .and_then(|settings| settings.size.clone())
            .filter(|size| bootloader.is_some() && in_header != Some(size));
        if let (Some(bootloader), Some((_, table))) = (&bootloader, &table) {
            self.check_size(bootloader, &table.table)?;
        }
        parts.extend(bootloader.map(|bootloader| bootloader.part));
        let app = self.app_parts(app, address)?;
        for part in &app {
            if let Some(target) = &target {
                fits(part, target)?;
            }
        }
        parts.extend(app);
        if let Some(build) = self.request.build {
            for file in &build.others {
                parts.push(self.part(Role::Data, file, file.address.unwrap_or(0))?);
            }
        }
        let table = table.map(|(part, table)| {
            parts.extend(part);
            table.table
        });
        if let Some(table) = &table {
            let data = parts.iter().filter(|part| part.role == Role::Data);
            for part in data {
                let inside =
                    |partition: &&Partition| partition.range().contains(&u64::from(part.address));
                if let Some(partition) = table.partitions.iter().find(inside) {
                    fits(part, partition)?;
                }
            }
        }
        parts.sort_by_key(|part| part.address);
        Ok(Plan {
            chip: self.board.chip,
            parts,
            table,
            target,
            sets_size,
            size,
            notes,
        })
    }

    /// The folder is of this chip.
    fn check_build(&self) -> Result<(), ProjectError> {
        let chip = self.board.chip;
        if let Some(build) = self.request.build
            && let Some(built) = build.chip
            && built.id != chip.id
        {
            return Err(ProjectError::OtherChip {
                found: FoundIn::build(build),
                built: built.name,
                chip: chip.name.to_owned(),
            });
        }
        Ok(())
    }

    /// The program is one for flash, behind a bootloader.
    fn check_program(&self) -> Result<(), ProjectError> {
        let chip = self.board.chip;
        let Program::Elf { elf, .. } = self.request.program else {
            return Ok(());
        };
        if !elf.machine.runs_on(chip.architecture) {
            return Err(ProjectError::Build(BuildError::Machine {
                file: elf.name().to_owned(),
                machine: elf.machine,
                chip: chip.name,
            }));
        }
        if self.rules.chip_id.is_none() {
            return Ok(());
        }
        let program = || elf.name().to_owned();
        let mut mapped = elf
            .sections
            .iter()
            .filter(|section| chip.is_flash_mapped(section.address));
        let starts = [chip.irom.start, chip.drom.start];
        if mapped.clone().next().is_none() && !elf.sections.is_empty() {
            return Err(ProjectError::RamOnly {
                program: program(),
                bootloader: self.rules.bootloader_offset,
            });
        }
        if let Some(first) = mapped.find(|section| starts.contains(&section.address)) {
            let mut bytes = [0; DIRECT_BOOT.len()];
            if first.data.len() >= bytes.len() {
                elf.contents().read_at(first.data.start, &mut bytes)?;
            }
            if bytes == DIRECT_BOOT {
                return Err(ProjectError::DirectBoot { program: program() });
            }
        }
        Ok(())
    }

    /// Whether the application stands where the ROM starts what it finds: on the ESP8266 without a
    /// bootloader of its own, and with Zephyr's simple boot.
    fn is_started_by_rom(&self) -> bool {
        let build = self.request.build;
        let at = build.and_then(|build| build.app.as_ref()?.address);
        let own = self.request.bootloader == BootloaderChoice::Find
            && build.is_none_or(|build| build.bootloader.is_none());
        let esp8266 = self.rules.chip_id.is_none() && self.request.table.is_none();
        own && (esp8266 || at == Some(self.rules.bootloader_offset))
    }

    fn without_bootloader(&self) -> Result<Plan, ProjectError> {
        let app = image(
            self.request.program,
            self.request.build,
            self.board.chip,
            &self.request.settings,
            StartedBy::Rom,
        )?;
        let mut parts = self.app_parts(app, self.rules.bootloader_offset)?;
        parts.sort_by_key(|part| part.address);
        Ok(Plan {
            chip: self.board.chip,
            parts,
            table: None,
            target: None,
            sets_size: false,
            size: None,
            notes: Vec::new(),
        })
    }

    fn bootloader(&self, notes: &mut Vec<String>) -> Result<Option<Bootloader>, ProjectError> {
        let start = self.rules.bootloader_offset;
        let build = self.request.build;
        match &self.request.bootloader {
            BootloaderChoice::None => Ok(None),
            BootloaderChoice::File(path) => {
                let file = BuildFile::new(Role::Bootloader.name(), path.clone(), None);
                let contents = self.open(&file.path)?;
                let part = Part {
                    from: "--bootloader".to_owned(),
                    ..self.part_of(Role::Bootloader, &file, start, contents)
                };
                let bootloader = self.checked(part, false)?;
                Ok(Some(bootloader))
            }
            BootloaderChoice::Find => match build.map(|build| (build, &build.bootloader)) {
                Some((build, Some(file))) => {
                    let address = file.address.unwrap_or(start);
                    if address != start {
                        return Err(ProjectError::BootloaderPlace {
                            found: FoundIn::build(build),
                            address,
                            chip: self.board.chip.name,
                            right: start,
                        });
                    }
                    let part = self.part(Role::Bootloader, file, address)?;
                    self.checked(part, false).map(Some)
                }
                // ESP-IDF leaves it out of its list where secure boot is to be on, Zephyr where MCUboot
                // is built by itself: no other one may take its place.
                Some((build, None)) if matches!(build.system, System::EspIdf | System::Zephyr) => {
                    notes.push(format!(
                        "{} names no bootloader: the one in flash stays, and --bootloader FILE writes \
                         another",
                        FoundIn::build(build)
                    ));
                    Ok(None)
                }
                _ => self.installed().map(Some),
            },
        }
    }

    /// The first bootloader of what is installed that will do.
    fn installed(&self) -> Result<Bootloader, ProjectError> {
        let (chip, mode) = (self.board.chip, self.request.settings.mode);
        let (found, folders) = bootloaders(self.request.roots, chip, mode, self.board.crystal);
        let mut searched = Searched {
            folders,
            refused: Vec::new(),
        };
        for candidate in found {
            let file = BuildFile::new(Role::Bootloader.name(), candidate.path.clone(), None);
            let start = self.rules.bootloader_offset;
            let contents = match candidate.built_in {
                Some(bytes) => Ok(Contents::from_bytes(candidate.package, bytes)?),
                None => self.open(&file.path),
            };
            let bootloader = contents.and_then(|contents| {
                let part = Part {
                    from: candidate.package.to_owned(),
                    ..self.part_of(Role::Bootloader, &file, start, contents)
                };
                self.checked(part, true)
            });
            match bootloader {
                Ok(bootloader) if self.table_offset != Rules::TABLE_OFFSET => {
                    return Err(ProjectError::TableElsewhere {
                        file: name_of(&bootloader.part),
                        offset: self.table_offset,
                    });
                }
                Ok(bootloader) => return Ok(bootloader),
                Err(error) => {
                    let problem = match error {
                        ProjectError::BadImage { problem, .. } => problem,
                        error => error.to_string(),
                    };
                    searched.refused.push((candidate.path, problem));
                }
            }
        }
        Err(ProjectError::NoBootloader {
            chip: chip.name,
            searched,
        })
    }

    /// The contents of an image, or the image of an ELF file.
    fn open(&self, path: &Path) -> Result<Contents, ProjectError> {
        let contents = Contents::open(path)?;
        if !Elf::is_elf(&contents)? {
            return Ok(contents);
        }
        let elf = Elf::read(&contents)?;
        let mut files = made(&elf, self.board.chip, &options(&self.request.settings))?;
        match files.pop() {
            Some((_, contents)) => Ok(contents),
            None => Ok(contents),
        }
    }

    /// A bootloader that the chip starts, and that ends before what lies behind it.
    fn checked(&self, part: Part, common: bool) -> Result<Bootloader, ProjectError> {
        let info = self.bootable(&part)?;
        self.check_signed(&part, &info)?;
        let next = match self
            .request
            .build
            .and_then(|build| build.app.as_ref()?.address)
        {
            Some(app) if !self.has_table() => (app, "the application"),
            _ => (self.table_offset, "the partition table"),
        };
        let end = u64::from(part.address) + u64::from(part.contents.len());
        if part.address < next.0 && end > next.0.into() {
            return Err(ProjectError::BootloaderTooLong {
                file: name_of(&part),
                address: part.address,
                length: part.contents.len(),
                what: next.1,
                next: next.0,
            });
        }
        Ok(Bootloader { part, info, common })
    }

    /// An image that the chip starts.
    fn bootable(&self, part: &Part) -> Result<ImageInfo, ProjectError> {
        let bad = |problem: String| ProjectError::BadImage {
            role: part.role.name(),
            file: name_of(part),
            problem,
        };
        let mut info =
            ImageInfo::read(&part.contents, Some(self.board.chip)).map_err(
                |error| match error {
                    InfoError::Image(ImageError::Read(error)) => error.into(),
                    error => bad(error.to_string()),
                },
            )?;
        info.meant_for(&part.contents, self.board.chip, self.board.revision)?;
        match info.problems().into_iter().find(Problem::is_fatal) {
            Some(problem) if !self.request.force => Err(bad(problem.to_string())),
            _ => Ok(info),
        }
    }

    /// What secure boot starts is signed.
    fn check_signed(&self, part: &Part, info: &ImageInfo) -> Result<(), ProjectError> {
        match self.board.secure_boot && info.signature.is_none() && !self.request.force {
            true => Err(ProjectError::Unsigned {
                file: name_of(part),
                remedy: match part.role {
                    Role::Bootloader => ", --bootloader none leaves the one in flash",
                    _ => "",
                },
            }),
            false => Ok(()),
        }
    }

    /// The bootloader knows of all the flash that the table divides.
    fn check_size(
        &self,
        bootloader: &Bootloader,
        table: &PartitionTable,
    ) -> Result<(), ProjectError> {
        let flash = &self.board.chip.flash;
        let listed = self.listed_settings();
        if bootloader.common
            || self.request.settings.size.is_some()
            || listed.is_some_and(|settings| settings.detects_size)
        {
            return Ok(());
        }
        let code = bootloader.info.header.flash_size_freq & 0xF0;
        let listed = listed.and_then(|settings| settings.size.as_deref());
        let size = match listed {
            Some(label) => flash.size_by_label(label),
            None => flash.size_by_code(code),
        };
        match size {
            Some(size) if table.end() > size.bytes.into() => Err(ProjectError::HeaderTooSmall {
                file: name_of(&bootloader.part),
                end: table.end(),
                size: size.label,
            }),
            _ => Ok(()),
        }
    }

    /// What ESP-IDF's list has for the header of its bootloader, which is written with it.
    fn listed_settings(&self) -> Option<&Settings> {
        let build = self.request.build?;
        let listed = build.system == System::EspIdf
            && build.bootloader.is_some()
            && self.request.bootloader == BootloaderChoice::Find;
        listed.then_some(&build.settings)
    }

    /// Whether there is a partition table: all have one but Zephyr.
    fn has_table(&self) -> bool {
        let zephyr = |build: &Build| build.system == System::Zephyr && build.table.is_none();
        self.request.table.is_some() || !self.request.build.is_some_and(zephyr)
    }

    /// The table that counts, and the part to be written.
    fn table(
        &self,
        bootloader: Option<&Bootloader>,
    ) -> Result<Option<(Option<Part>, Table)>, ProjectError> {
        let rules = Rules {
            table_offset: self.table_offset,
            primary_bootloader: Some(self.rules.bootloader_offset)
                .filter(|bootloader| *bootloader < self.table_offset),
            flash_size: self.board.flash,
            ..Rules::default()
        };
        let wrong = |file: &str, error| ProjectError::Table {
            file: file.to_owned(),
            error,
        };
        let part = |name: &str, bytes: Vec<u8>, from: &str| {
            Ok::<_, ProjectError>(Part {
                role: Role::Table,
                name: Role::Table.name().to_owned(),
                address: self.table_offset,
                contents: Contents::from_bytes(name, bytes)?,
                file: None,
                from: from.to_owned(),
                encrypt: false,
            })
        };
        if let Some(named) = &self.request.table {
            let table = named.clone();
            let checked = table.table.check(&rules);
            checked.map_err(|error| wrong(&table.name, error))?;
            let bytes = table.table.to_binary();
            let bytes = bytes.map_err(|error| wrong(&table.name, error))?;
            let part = match table.write {
                true => Some(Part {
                    file: Some(PathBuf::from(&table.name)),
                    ..part(&table.name, bytes, "--partition-table")?
                }),
                false => None,
            };
            return Ok(Some((part, table)));
        }
        if let Some(build) = self.request.build
            && let Some(file) = &build.table
        {
            let part = self.part(Role::Table, file, self.table_offset)?;
            let name = name_of(&part);
            let mut bytes = vec![0; part.contents.len().min(MAX_LEN as u32) as usize];
            part.contents.read_at(0, &mut bytes)?;
            let parsed = Parsed::from_binary(&bytes).map_err(|error| wrong(&name, error))?;
            parsed.check(&rules).map_err(|error| wrong(&name, error))?;
            let table = Table {
                name,
                table: parsed.table,
                write: true,
            };
            return Ok(Some((Some(part), table)));
        }
        if !self.has_table() {
            return Ok(None);
        }
        // One for any program: as large as the flash, and beside what ESP-IDF keeps in flash.
        const NAME: &str = "default";
        let of_header = bootloader.filter(|bootloader| !bootloader.common);
        let of_header = of_header.and_then(|bootloader| {
            let code = bootloader.info.header.flash_size_freq & 0xF0;
            let size = self.board.chip.flash.size_by_code(code);
            size.map(|size| u64::from(size.bytes))
        });
        let named = self.request.settings.size.as_deref();
        let named = named.and_then(|label| self.board.chip.flash.size_by_label(label));
        let flash = match (named, of_header, self.board.flash) {
            (Some(size), ..) => size.bytes.into(),
            (None, Some(header), Some(flash)) => header.min(flash),
            (None, header, flash) => header.or(flash).unwrap_or(USUAL_FLASH),
        };
        let app = flash.min(MOST_FLASH).saturating_sub(0x1_0000);
        let csv = format!(
            "nvs,data,nvs,0x9000,0x6000\nphy_init,data,phy,0xf000,0x1000\n\
             factory,app,factory,0x10000,{app:#x}\n"
        );
        let parsed = Parsed::from_csv(&csv, &rules, &|_| None);
        let parsed = parsed.map_err(|error| wrong(NAME, error))?;
        parsed.check(&rules).map_err(|error| wrong(NAME, error))?;
        let bytes = parsed.table.to_binary();
        let part = part(
            NAME,
            bytes.map_err(|error| wrong(NAME, error))?,
            "the default",
        )?;
        let table = Table {
            name: NAME.to_owned(),
            table: parsed.table,
            write: true,
        };
        Ok(Some((Some(part), table)))
    }

    /// Where the application goes.
    fn place(&self, table: Option<&Table>) -> Result<(u32, Option<Partition>), ProjectError> {
        let of_build = self
            .request
            .build
            .and_then(|build| build.app.as_ref()?.address);
        let Some(Table { name, table, .. }) = table else {
            return of_build
                .map(|address| (address, None))
                .ok_or(ProjectError::NoPlace);
        };
        let mut apps = table
            .partitions
            .iter()
            .filter(|partition| partition.kind.is_app());
        let none = |wanted: String| {
            let there: Vec<_> = table
                .partitions
                .iter()
                .filter(|partition| partition.kind.is_app())
                .map(|partition| format!("'{}' at {:#x}", partition.name, partition.offset))
                .collect();
            ProjectError::NoPartition {
                file: name.clone(),
                wanted,
                there: match there.is_empty() {
                    true => "none".to_owned(),
                    false => there.join(", "),
                },
            }
        };
        let found = match (self.request.partition, of_build) {
            (Some(wanted), _) => {
                let named = apps.find(|partition| partition.name == wanted);
                let by_slot = || match Target::find(table, wanted).ok()? {
                    Target::Factory => table.by_kind(Kind::FACTORY),
                    Target::Slot(slot) => table.by_kind(Kind::ota(slot)?),
                };
                named
                    .or_else(by_slot)
                    .ok_or_else(|| none(format!("'{wanted}'")))?
            }
            (None, Some(address)) => apps
                .find(|partition| partition.offset == address)
                .ok_or_else(|| none(format!("at {address:#x}")))?,
            // What runs when nothing was chosen.
            (None, None) => {
                let first_slot = Kind::ota(0).and_then(|kind| table.by_kind(kind));
                table
                    .by_kind(Kind::FACTORY)
                    .or(first_slot)
                    .or_else(|| apps.next())
                    .ok_or_else(|| none("at all".to_owned()))?
            }
        };
        Ok((found.offset, Some(found.clone())))
    }

    /// What stands in the header of an image that is made: what was named, then what the build says,
    /// then as in the bootloader.
    fn settings(&self, bootloader: Option<&Bootloader>) -> Settings {
        let mut settings = self.request.settings.clone();
        if let Some(build) = self.request.build {
            settings = settings.or(&build.settings);
        }
        let flash = &self.board.chip.flash;
        let known = self.board.flash.and_then(|bytes| u32::try_from(bytes).ok());
        let label = known.and_then(|bytes| flash.size_by_bytes(bytes));
        let Some(Bootloader { info, common, .. }) = bootloader else {
            return settings;
        };
        let of_flash = label.map(|size| size.label.to_owned());
        let mode = info.flash_mode().map(str::to_ascii_lowercase);
        settings.or(&Settings {
            mode: mode.and_then(|mode| mode.parse().ok()),
            frequency: info.flash_frequency().map(str::to_owned),
            size: match common {
                true => of_flash,
                false => info.flash_size().map(str::to_owned),
            },
            ..Settings::default()
        })
    }

    /// The image of the application as parts, checked.
    fn app_parts(&self, app: App, address: u32) -> Result<Vec<Part>, ProjectError> {
        let of_build = self.request.build.and_then(|build| build.app.as_ref());
        let program = self.request.program.path();
        let (file, from) = match &app.source {
            AppSource::Given => (program.to_owned(), "as it was named"),
            AppSource::Beside(path) => (path.clone(), "made of this ELF file by its build"),
            AppSource::Made { .. } => (program.to_owned(), "image made of the ELF file"),
        };
        let mut parts = Vec::new();
        for (offset, contents) in app.files {
            let part = Part {
                role: Role::App,
                name: Role::App.name().to_owned(),
                address: address.saturating_add(offset.unwrap_or(0)),
                contents,
                file: Some(file.clone()),
                from: from.to_owned(),
                encrypt: self.board.encrypts && of_build.is_some_and(|app| app.encrypt),
            };
            // The ESP8266's second file is no image.
            if offset.is_none_or(|offset| offset == 0) {
                let info = self.bootable(&part)?;
                self.check_signed(&part, &info)?;
            }
            parts.push(part);
        }
        Ok(parts)
    }

    /// A file of the build folder.
    fn part(&self, role: Role, file: &BuildFile, address: u32) -> Result<Part, ProjectError> {
        if !file.path.is_file() {
            let found = self.request.build.map(FoundIn::build);
            return Err(ProjectError::Missing {
                path: file.path.clone(),
                found: found.unwrap_or_else(|| FoundIn("an option".to_owned())),
            });
        }
        let contents = Contents::open(&file.path)?;
        Ok(self.part_of(role, file, address, contents))
    }

    fn part_of(&self, role: Role, file: &BuildFile, address: u32, contents: Contents) -> Part {
        let from = self.request.build.map(FoundIn::build);
        Part {
            role,
            name: match role {
                Role::Data => file.name.clone(),
                role => role.name().to_owned(),
            },
            address,
            contents,
            file: Some(file.path.clone()),
            from: from.map(|found| found.0).unwrap_or_default(),
            encrypt: self.board.encrypts && file.encrypt,
        }
    }
}

/// A part's file, or its name.
fn name_of(part: &Part) -> String {
    match &part.file {
        Some(file) => file.display().to_string(),
        None => part.name.clone(),
    }
}

fn fits(part: &Part, partition: &Partition) -> Result<(), ProjectError> {
    let end = u64::from(part.address) + u64::from(part.contents.len());
    match end > partition.end() {
        true => Err(ProjectError::TooLong {
            file: name_of(part),
            length: part.contents.len(),
            partition: partition.name.clone(),
            offset: partition.offset,
            size: partition.size,
        }),
        false => Ok(()),
    }
}
