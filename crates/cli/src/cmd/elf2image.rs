use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use guru_image::{
    AppendedDigest, BuildNotice, BuildOptions, BuiltFile, Contents, CountedSegments, Elf,
    ElfSource, Esp8266Version, FlashMode, SecurePad, SharedPage, build,
};

use crate::args;
use crate::compat;
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::new_file::write_images;
use crate::ui::{ImageFile, Message, Report};

/// Make a firmware image of an ELF file
///
///     guru --chip esp32c3 elf2image app.elf
///     guru --chip esp32 elf2image --flash-mode dio --flash-size 4MB -o app.bin app.elf
///
/// The image is written beside the ELF file, as app.bin, or where --output says. Sections for mapped
/// flash come to lie at their place in a page, those for RAM fill the gaps. An ELF file that is
/// damaged, for another machine, or for memory that the chip does not have is refused, and no file
/// is made.
///
/// For the ESP8266 there are three forms: --version 1 makes two files, whose names begin as --output
/// says and end with their offset in flash; --version 2 one for a bootloader; --version 3 one for
/// the ESP8266_RTOS_SDK.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Elf2image {
    /// ELF file
    #[arg(value_name = "ELF")]
    file: PathBuf,

    /// File to make; for ESP8266 version 1 what the names of both files begin with
    #[arg(short, long, value_name = "FILE")]
    output: Option<OsString>,

    /// Form of an ESP8266 image: 1, 2 or 3
    #[arg(id = "image_version", short = 'e', long = "version", value_name = "N", default_value = "1", value_parser = PossibleValuesParser::new(["1", "2", "3"]), hide_possible_values = true)]
    version: String,

    /// Lowest chip revision as old bootloaders read it
    #[arg(short = 'r', long, value_name = "N", default_value_t = 0, hide = true)]
    min_rev: u8,

    /// Lowest chip revision: major * 100 + minor
    #[arg(long, value_name = "REV", default_value_t = 0)]
    min_rev_full: u16,

    /// Highest chip revision: major * 100 + minor
    #[arg(long, value_name = "REV", default_value_t = u16::MAX)]
    max_rev_full: u16,

    /// Leave room for a signature of Secure Boot V1, so that with it the image ends at a page's end
    /// (ESP32)
    #[arg(long)]
    secure_pad: bool,

    /// Fill up the image so that the sector with signatures of Secure Boot V2 begins at a page's
    /// start
    #[arg(long)]
    secure_pad_v2: bool,

    /// Put the SHA-256 of the ELF file at this offset of the image, not into its application
    /// descriptor
    #[arg(long, value_name = "OFFSET", value_parser = args::number)]
    elf_sha256_offset: Option<u32>,

    /// Append no SHA-256 of the image
    #[arg(long)]
    dont_append_digest: bool,

    /// Take the segments of the ELF file (program headers), not its sections
    #[arg(long)]
    use_segments: bool,

    /// Size of the pages by which flash is mapped: 64KB, 32KB, ... (where the chip has a choice;
    /// else the program says so itself)
    #[arg(long, value_name = "SIZE", value_parser = page)]
    flash_mmu_page_size: Option<u32>,

    /// Fill the image up with 0xFF to a multiple of this size: 4MB, 512KB
    #[arg(long, value_name = "SIZE", value_parser = multiple)]
    pad_to_size: Option<u32>,

    /// Count the segments for RAM alone, which come first: the ROM sees no others. No digest is
    /// appended
    #[arg(long)]
    ram_only_header: bool,

    /// Clock of the flash written into the header: 80m, 40m, ...; code 0 when it is not given
    #[arg(id = "image_freq", long = "flash-freq", env = "ESPTOOL_FF", hide_env_values = true, value_name = "CLOCK", value_parser = one_of(&args::FLASH_FREQUENCIES), hide_possible_values = true)]
    flash_freq: Option<String>,

    /// Mode of the flash written into the header: qio, qout, dio, dout
    #[arg(id = "image_mode", long = "flash-mode", env = "ESPTOOL_FM", hide_env_values = true, default_value = "qio", value_name = "MODE", value_parser = one_of(&args::FLASH_MODES), hide_possible_values = true)]
    flash_mode: String,

    /// Size of the flash written into the header: 256KB to 128MB
    #[arg(id = "image_size", long = "flash-size", env = "ESPTOOL_FS", hide_env_values = true, default_value = "1MB", value_name = "SIZE", value_parser = one_of(&args::FLASH_SIZES), hide_possible_values = true)]
    flash_size: String,
}

/// The value by which variables of the environment leave an image as it is: here there is none yet.
const KEEP: [&str; 2] = ["keep", "detect"];

impl Elf2image {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let Some(chip) = context.globals.chip.named() else {
            return Err(Error::Usage(match context.mode {
                Mode::Guru => "name the chip with --chip: an ELF file does not tell it".to_owned(),
                Mode::Esptool => compat::chip_missing(),
            }));
        };
        let options = self.options(context.mode);
        let contents = Contents::open(&self.file).map_err(guru_image::FirmwareError::Read)?;
        let elf = Elf::read(&contents)?;
        let screen = &mut context.screen;
        let mut tell = |notice| screen.message(&Message::Image { notice });
        if let Some(kind) = elf.odd_names {
            tell(BuildNotice::OddNameTable { kind });
        }
        for kind in &elf.unknown {
            tell(BuildNotice::UnknownSection { kind: *kind });
        }
        tell(BuildNotice::Begins { chip: chip.name });
        let files = build(&elf, chip, &options, &mut tell)?;
        let files: Vec<_> = files
            .into_iter()
            .map(|file| (self.path(&file, options.version), file))
            .collect();
        write_images(&files)?;
        let files = files.into_iter().map(|(path, built)| ImageFile {
            path,
            offset: built.offset,
            bytes: built.len(),
        });
        let files = files.collect();
        context.screen.report(Report::Elf2image {
            chip: chip.name,
            files,
        });
        Ok(())
    }

    fn options(&self, mode: Mode) -> BuildOptions {
        let given = |value: &String| !KEEP.contains(&value.as_str());
        let usual = BuildOptions::default();
        BuildOptions {
            version: match self.version.as_str() {
                "2" => Esp8266Version::V2,
                "3" => Esp8266Version::V3,
                _ => Esp8266Version::V1,
            },
            mode: self.flash_mode.parse().unwrap_or(FlashMode::Qio),
            frequency: self.flash_freq.clone().filter(given),
            size: Some(self.flash_size.clone())
                .filter(given)
                .unwrap_or(usual.size),
            min_rev: self.min_rev,
            min_rev_full: self.min_rev_full,
            max_rev_full: self.max_rev_full,
            secure_pad: match (self.secure_pad, self.secure_pad_v2) {
                (_, true) => SecurePad::V2,
                (true, false) => SecurePad::V1,
                (false, false) => SecurePad::None,
            },
            elf_sha256_offset: self.elf_sha256_offset,
            digest: match self.dont_append_digest {
                true => AppendedDigest::No,
                false => AppendedDigest::Yes,
            },
            source: match self.use_segments {
                true => ElfSource::Segments,
                false => ElfSource::Sections,
            },
            mmu_page: self.flash_mmu_page_size,
            pad_to: self.pad_to_size.unwrap_or(0),
            header: match self.ram_only_header {
                true => CountedSegments::InRam,
                false => CountedSegments::All,
            },
            shared_page: match mode {
                Mode::Guru => SharedPage::Join,
                Mode::Esptool => SharedPage::Refuse,
            },
        }
    }

    /// Where a file goes.
    fn path(&self, file: &BuiltFile, version: Esp8266Version) -> PathBuf {
        let given = self.output.as_ref().filter(|name| *name != "auto");
        let add = |name: &Path, end: String| {
            let mut name = OsString::from(name);
            name.push(end);
            PathBuf::from(name)
        };
        match (file.offset, version, given) {
            (Some(offset), Esp8266Version::V1, given) => {
                let prefix = match given {
                    Some(prefix) => PathBuf::from(prefix),
                    None => add(&self.file, "-".to_owned()),
                };
                add(&prefix, format!("{offset:#07x}.bin"))
            }
            (_, _, Some(name)) => PathBuf::from(name),
            (Some(offset), _, None) => {
                add(&self.file.with_extension(""), format!("-{offset:#07x}.bin"))
            }
            (None, _, None) => self.file.with_extension("bin"),
        }
    }
}

fn one_of(known: &'static [&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(known.iter().chain(&KEEP).copied())
}

/// A size with its unit.
fn multiple(text: &str) -> Result<u32, String> {
    let unit = |name: &str| text.split_once(name).map(|(digits, _)| digits.trim());
    let (digits, scale) = match (unit("MB"), unit("KB")) {
        (Some(digits), _) => (digits, 1 << 20),
        (None, Some(digits)) => (digits, 1 << 10),
        (None, None) => return Err(format!("'{text}' is no size; write 4MB or 512KB")),
    };
    let number: Option<u32> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(scale))
        .filter(|size| *size <= guru_image::MAX_LEN)
        .ok_or_else(|| format!("'{text}' is no size up to 1024MB; write 4MB or 512KB"))
}

fn page(text: &str) -> Result<u32, String> {
    let size = multiple(text)?;
    match (0x2000..=0x4_0000).contains(&size) && size.is_power_of_two() {
        true => Ok(size),
        false => Err(format!(
            "'{text}' is no size of pages; there are 8KB, 16KB, 32KB, 64KB, 128KB and 256KB"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_with_their_unit() {
        assert_eq!(multiple("4MB"), Ok(4 << 20));
        assert_eq!(multiple("512KB"), Ok(512 << 10));
        assert_eq!(multiple("0KB"), Ok(0));
        for wrong in ["", "4", "MB", "-1MB", "2048MB", "99999999MB", "x KB"] {
            assert!(multiple(wrong).is_err(), "{wrong}");
        }
        assert_eq!(page("64KB"), Ok(0x1_0000));
        assert!(page("48KB").is_err() && page("4KB").is_err());
    }
}
