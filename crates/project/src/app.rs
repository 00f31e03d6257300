//! The program that is to be flashed, and its image.

use std::fs;
use std::path::{Path, PathBuf};

use guru_chip::Chip;
use guru_image::{
    BuildOptions, Contents, Elf, Esp8266Version, FlashMode, ImageInfo, InfoError, SharedPage, build,
};

use crate::build::{Build, Settings, System};
use crate::error::ProjectError;

/// What was named to be flashed.
#[derive(Debug, Clone)]
pub enum Program {
    /// An ELF file, of which an image is made.
    Elf {
        /// Where it lies.
        path: PathBuf,
        /// What it is.
        elf: Box<Elf>,
    },
    /// An image, as it goes to flash.
    Image {
        /// Where it lies.
        path: PathBuf,
        /// Its bytes.
        contents: Contents,
    },
}

impl Program {
    /// Opens an ELF file or an image.
    ///
    /// # Errors
    /// It is neither, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, ProjectError> {
        let contents = Contents::open(path)?;
        let path = path.to_owned();
        if Elf::is_elf(&contents)? {
            let elf = Box::new(Elf::read(&contents)?);
            return Ok(Self::Elf { path, elf });
        }
        match ImageInfo::read(&contents, None) {
            Ok(_) => Ok(Self::Image { path, contents }),
            Err(InfoError::Image(guru_image::ImageError::Read(error))) => Err(error.into()),
            Err(error) => Err(ProjectError::NoProgram {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Elf { path, .. } | Self::Image { path, .. } => path,
        }
    }

    /// The chip that it says it is for.
    #[must_use]
    pub fn chip(&self) -> Option<&'static Chip> {
        match self {
            Self::Elf { .. } => None,
            Self::Image { contents, .. } => {
                ImageInfo::read(contents, None).ok().map(|image| image.chip)
            }
        }
    }
}

/// Where the image of an application is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppSource {
    /// It was named itself.
    Given,
    /// It lies beside the ELF file, and was made of it.
    Beside(PathBuf),
    /// It is made of the ELF file here; the file beside it, if there is one, was made of another.
    Made {
        /// An image that is not used.
        other: Option<PathBuf>,
    },
}

/// An image of an application.
#[derive(Debug)]
pub(crate) struct App {
    pub source: AppSource,
    /// The files, with their offsets where the form has such.
    pub files: Vec<(Option<u32>, Contents)>,
}

/// What starts an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartedBy {
    Rom,
    Bootloader,
}

/// The image of a program for a chip.
pub(crate) fn image(
    program: &Program,
    from: Option<&Build>,
    chip: &'static Chip,
    settings: &Settings,
    started_by: StartedBy,
) -> Result<App, ProjectError> {
    let (path, elf) = match program {
        Program::Image { contents, .. } => {
            return Ok(App {
                source: AppSource::Given,
                files: vec![(None, contents.clone())],
            });
        }
        Program::Elf { path, elf } => (path, elf),
    };
    let of_build = from.and_then(|build| build.app.as_ref());
    let beside = of_build.map_or_else(|| path.with_extension("bin"), |app| app.path.clone());
    let mut other = None;
    let mut options = options(settings);
    if beside.is_file() {
        let contents = Contents::open(&beside)?;
        if is_made_of(&contents, &beside, path, elf, from, chip)? {
            return Ok(App {
                source: AppSource::Beside(beside),
                files: vec![(None, contents)],
            });
        }
        // What the project asks for stands in its last image, and nowhere else.
        if of_build.is_some()
            && let Ok(image) = ImageInfo::read(&contents, Some(chip))
            && let Some(header) = image.extended
        {
            options.min_rev = header.min_rev;
            options.min_rev_full = header.min_rev_full;
            options.max_rev_full = header.max_rev_full;
        }
        other = Some(beside);
    }
    match (chip.image.chip_id, started_by) {
        // The bootloader of the ESP8266_RTOS_SDK has images of its own.
        (None, StartedBy::Bootloader) => options.version = Esp8266Version::V3,
        (None, StartedBy::Rom) => needs_eboot(elf, chip)?,
        (Some(_), _) => {}
    }
    Ok(App {
        source: AppSource::Made { other },
        files: made(elf, chip, &options)?,
    })
}

/// Images of an ELF file, in memory.
pub(crate) fn made(
    elf: &Elf,
    chip: &'static Chip,
    options: &BuildOptions,
) -> Result<Vec<(Option<u32>, Contents)>, ProjectError> {
    let mut files = Vec::new();
    for file in build(elf, chip, options, &mut |_| {})? {
        let mut bytes = Vec::new();
        file.write_to(&mut bytes)
            .map_err(|error| ProjectError::Write {
                file: elf.name().to_owned(),
                error,
            })?;
        files.push((file.offset, Contents::from_bytes(elf.name(), bytes)?));
    }
    Ok(files)
}

/// How images are made that are not told otherwise: in the mode that works with every flash.
pub(crate) fn options(settings: &Settings) -> BuildOptions {
    BuildOptions {
        mode: settings.mode.unwrap_or(FlashMode::Dio),
        frequency: settings.frequency.clone(),
        size: settings.size.clone().unwrap_or_else(|| "4MB".to_owned()),
        shared_page: SharedPage::Join,
        ..BuildOptions::default()
    }
}

/// Whether an image was made of this very ELF file: its descriptor has the file's digest. Where there
/// is none, with Zephyr and on the ESP8266, the times of both files tell.
fn is_made_of(
    image: &Contents,
    image_path: &Path,
    path: &Path,
    elf: &Elf,
    from: Option<&Build>,
    chip: &'static Chip,
) -> Result<bool, ProjectError> {
    let info = match ImageInfo::read(image, Some(chip)) {
        Ok(info) => info,
        Err(InfoError::Image(guru_image::ImageError::Read(error))) => return Err(error.into()),
        Err(_) => return Ok(false),
    };
    match info.app {
        Some(app) if app.elf_sha256 != [0; 32] => Ok(app.elf_sha256 == elf.sha256()?),
        _ => {
            let times_tell = chip.image.chip_id.is_none()
                || from.is_some_and(|build| build.system == System::Zephyr);
            let time = |path| fs::metadata(path).and_then(|data| data.modified()).ok();
            let newer = match (time(image_path), time(path)) {
                (Some(image), Some(elf)) => image >= elf,
                _ => false,
            };
            Ok(times_tell && newer)
        }
    }
}

/// A program of Arduino's core for the ESP8266 leaves the first sector to its bootloader.
fn needs_eboot(elf: &Elf, chip: &'static Chip) -> Result<(), ProjectError> {
    const EBOOT: u32 = 0x1000;
    let start = chip.irom.start;
    let mapped = elf
        .sections
        .iter()
        .filter(|section| chip.irom.contains(&section.address))
        .map(|section| section.address)
        .min();
    match mapped {
        Some(address) if (start + EBOOT..start + 2 * EBOOT).contains(&address) => {
            Err(ProjectError::NeedsEboot {
                program: elf.name().to_owned(),
            })
        }
        _ => Ok(()),
    }
}
