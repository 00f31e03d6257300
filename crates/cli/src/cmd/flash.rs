//! Options about the flash that several commands take.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use guru_image::FlashMode;
use guru_loader::{FlashOptions, FlashSizeOption, SpiConnection};

use super::nand::NEEDS_STUB;
use crate::args;
use crate::files;

/// Where the flash is and how large.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Flash")]
pub struct FlashArgs {
    /// Size of the flash: keep (find it, leave the image), detect (find it, write it into the
    /// image), or 256KB to 128MB
    #[arg(long, env = "ESPTOOL_FS", hide_env_values = true, default_value = "keep", value_name = "SIZE", value_parser = args::flash_size)]
    pub flash_size: FlashSizeOption,

    /// Kind of the flash: nor
    #[arg(long, value_name = "TYPE", hide = true, default_value = "nor", value_parser = kind)]
    flash_type: Nor,

    #[command(flatten)]
    pins: PinArgs,
}

/// The one kind of flash that there is.
#[derive(Debug, Clone, Copy)]
struct Nor;

/// Where the flash is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Flash")]
pub struct PinArgs {
    /// Pins of the flash: SPI, HSPI (ESP32), or CLK,Q,D,HD,CS as GPIO numbers
    #[arg(long, value_name = "PINS", value_parser = args::spi_connection)]
    spi_connection: Option<SpiConnection>,
}

/// What is written into the header of an image at the bootloader's place.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Flash")]
pub struct HeaderArgs {
    /// Mode written into the image at the bootloader's place: keep, qio, qout, dio, dout
    #[arg(long, env = "ESPTOOL_FM", hide_env_values = true, default_value = "keep", value_name = "MODE", value_parser = mode(), hide_possible_values = true)]
    flash_mode: String,

    /// Clock written into the image at the bootloader's place: keep, 80m, 40m, ...
    #[arg(long, env = "ESPTOOL_FF", hide_env_values = true, default_value = "keep", value_name = "CLOCK", value_parser = frequency(), hide_possible_values = true)]
    flash_freq: String,
}

impl FlashArgs {
    /// The size that was given, in bytes.
    pub fn bytes(&self) -> Option<u64> {
        match &self.flash_size {
            FlashSizeOption::Set(label) => files::size_bytes(label),
            FlashSizeOption::Keep | FlashSizeOption::Detect => None,
        }
    }

    /// As a session takes them.
    pub fn options(&self) -> FlashOptions {
        FlashOptions {
            size: self.flash_size.clone(),
            ..self.pins.options()
        }
    }
}

impl PinArgs {
    /// As a session takes them.
    pub fn options(&self) -> FlashOptions {
        FlashOptions {
            connection: self.spi_connection.unwrap_or_default(),
            ..FlashOptions::default()
        }
    }
}

impl HeaderArgs {
    /// Mode and clock, where they are not to be kept.
    pub fn parameters(&self) -> (Option<FlashMode>, Option<String>) {
        let mode = self.flash_mode.parse().ok();
        let frequency = (self.flash_freq != "keep").then(|| self.flash_freq.clone());
        (mode, frequency)
    }
}

fn kind(text: &str) -> Result<Nor, &'static str> {
    match text {
        "nor" => Ok(Nor),
        "nand" => Err(NEEDS_STUB),
        _ => Err("expected nor"),
    }
}

fn mode() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(["keep"].into_iter().chain(args::FLASH_MODES))
}

fn frequency() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(["keep"].into_iter().chain(args::FLASH_FREQUENCIES))
}
