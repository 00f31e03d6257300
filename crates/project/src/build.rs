use std::fmt;
use std::path::PathBuf;

use guru_chip::Chip;
use guru_image::{Contents, FlashMode, ImageInfo};

/// What made a build folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// ESP-IDF, with CMake or under Rust's `esp-idf-sys`.
    EspIdf,
    /// PlatformIO.
    PlatformIo,
    /// Arduino's IDE or `arduino-cli`.
    Arduino,
    /// Zephyr.
    Zephyr,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EspIdf => "ESP-IDF",
            Self::PlatformIo => "PlatformIO",
            Self::Arduino => "Arduino",
            Self::Zephyr => "Zephyr",
        })
    }
}

/// A build folder, as far as it tells what goes to flash with its application.
#[derive(Debug, Clone)]
pub struct Build {
    /// What made it.
    pub system: System,
    /// The folder.
    pub folder: PathBuf,
    /// Name of the file that says most of it, or by which the folder was known.
    pub said_by: String,
    /// The chip it was built for, where that is said.
    pub chip: Option<&'static Chip>,
    /// Flash parameters.
    pub settings: Settings,
    /// The second-stage bootloader.
    pub bootloader: Option<BuildFile>,
    /// The partition table.
    pub table: Option<BuildFile>,
    /// The application's image, and where it goes: its partition where that is not said.
    pub app: Option<BuildFile>,
    /// Whatever else is written: otadata, file systems.
    pub others: Vec<BuildFile>,
}

/// A file of a build folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFile {
    /// What the build system calls it.
    pub name: String,
    /// The file, which may be missing.
    pub path: PathBuf,
    /// Flash offset; `None`: the usual one.
    pub address: Option<u32>,
    /// Whether it is encrypted on a chip with flash encryption.
    pub encrypt: bool,
}

impl Build {
    /// The chip that it was built for, by its images where that is not said. An ESP8266's images do
    /// not tell.
    #[must_use]
    pub fn chip(&self) -> Option<&'static Chip> {
        let of_image = |file: &BuildFile| {
            let contents = Contents::open(&file.path).ok()?;
            let image = ImageInfo::read(&contents, None).ok()?;
            image.extended.is_some().then_some(image.chip)
        };
        let images = [&self.app, &self.bootloader];
        self.chip
            .or_else(|| images.into_iter().flatten().find_map(of_image))
    }
}

impl BuildFile {
    /// One of which no more than the place is known.
    pub(crate) fn new(name: &str, path: PathBuf, address: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            path,
            address,
            encrypt: false,
        }
    }
}

/// What stands in the header of an image about the flash; `None`: nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Mode.
    pub mode: Option<FlashMode>,
    /// Clock, such as `80m`.
    pub frequency: Option<String>,
    /// Size, such as `4MB`.
    pub size: Option<String>,
    /// Whether the size is to be that of the flash that is found (`detect`).
    pub detects_size: bool,
}

impl Settings {
    /// Takes one setting by its name in the options of the predecessor; what leaves it open (`keep`,
    /// `detect`) and what there is not is nothing.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let given = || (!matches!(value, "keep" | "detect" | "")).then(|| value.to_owned());
        match name {
            "flash_mode" | "flash-mode" | "fm" => self.mode = value.parse().ok(),
            "flash_freq" | "flash-freq" | "ff" => self.frequency = given(),
            "flash_size" | "flash-size" | "fs" => {
                self.size = given();
                self.detects_size = value == "detect";
            }
            _ => {}
        }
    }

    /// These, and those where nothing is said.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            mode: self.mode.or(other.mode),
            frequency: self.frequency.clone().or_else(|| other.frequency.clone()),
            size: self.size.clone().or_else(|| other.size.clone()),
            detects_size: self.detects_size,
        }
    }
}
