//! What was asked for and a chip does not have.

use std::fmt;

use guru_image::UnknownParameter;

/// Something that the chip does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lacking {
    /// A second set of pins for flash.
    Hspi,
    /// Pins for flash that can be chosen.
    CustomPins,
    /// A GPIO that flash can be on.
    Gpio {
        /// The one that was named.
        gpio: u8,
        /// First and last of each range that there is.
        there: &'static [(u8, u8)],
    },
    /// A GPIO that the flash's HD can be on.
    HoldGpio {
        /// The one that was named.
        gpio: u8,
        /// The highest that it can be on.
        most: u8,
    },
    /// A regulator for flash.
    VddSdio,
    /// A mode, frequency or size.
    Parameter(UnknownParameter),
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hspi => f.write_str("--spi-connection HSPI is not supported"),
            Self::CustomPins => f.write_str("--spi-connection with pin numbers is not supported"),
            Self::Gpio { gpio, there } => {
                write!(
                    f,
                    "--spi-connection: there is no GPIO {gpio} for flash; there are "
                )?;
                for (at, (first, last)) in there.iter().enumerate() {
                    let separator = if at > 0 { ", " } else { "" };
                    write!(f, "{separator}{first} to {last}")?;
                }
                Ok(())
            }
            Self::HoldGpio { gpio, most } => write!(
                f,
                "--spi-connection: HD cannot be on GPIO {gpio}, but on those up to {most}"
            ),
            Self::VddSdio => f.write_str("--override-vddsdio: there is no such regulator"),
            Self::Parameter(parameter) => parameter.fmt(f),
        }
    }
}
