//! A chip's own USB device on the bus: it goes with a reset and comes back.

use std::time::Duration;

use guru_chip::{Chip, ESPRESSIF_VENDOR, USB_SERIAL_JTAG_PRODUCT};
use guru_link::UsbId;

use crate::options::{SimOptions, UsbMode};

/// How a chip's own USB device comes back after a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reenumerate {
    /// As the same port.
    Same,
    /// As a port with another name.
    Other,
    /// As the same port, but only when the chip is in its loader: the application has no USB.
    Loader,
}

/// Product id of an application's USB-OTG device (the first of Espressif's for TinyUSB).
const APPLICATION_PRODUCT: u16 = 0x4001;

/// Whether the chip's own USB device is on the bus.
#[derive(Debug)]
pub(crate) struct Bus {
    how: Option<Reenumerate>,
    away: Duration,
    /// When it is back, in nanoseconds; `None`: it is there.
    back_at: Option<u64>,
    /// How often it has come under another name.
    moves: u32,
}

impl Bus {
    pub fn new(options: &SimOptions) -> Self {
        Self {
            how: options.reenumerate.filter(|_| options.usb != UsbMode::Uart),
            away: options.away,
            back_at: None,
            moves: 0,
        }
    }

    /// Whether resets take the device off the bus.
    pub fn comes_and_goes(&self) -> bool {
        self.how.is_some()
    }

    /// The chip was reset at `now`: whether its device has gone.
    pub fn leave(&mut self, now: u64, download: bool) -> bool {
        let Some(how) = self.how else {
            return false;
        };
        self.back_at = Some(match how {
            Reenumerate::Loader if !download => u64::MAX,
            _ => now.saturating_add(self.away.as_nanos() as u64),
        });
        self.moves += u32::from(how == Reenumerate::Other);
        true
    }

    /// The device is there, whatever happened.
    pub fn stay(&mut self) {
        self.back_at = None;
    }

    /// Whether the device is there, so that its port can be opened.
    pub fn is_there(&self, now: u64) -> bool {
        self.back_at.is_none_or(|at| at <= now)
    }

    /// What the port's name has behind it.
    pub fn suffix(&self) -> String {
        match self.moves {
            0 => String::new(),
            moves => format!("#{moves}"),
        }
    }
}

/// What a port list would show of the device: of the adapter on the UART, or of the chip itself.
pub(crate) fn id(chip: &Chip, mode: UsbMode, serial: &str, in_loader: bool) -> UsbId {
    let (vendor, product, name) = match mode {
        UsbMode::Uart => (0x10C4, 0xEA60, "CP2102N USB to UART Bridge Controller"),
        UsbMode::Jtag => (
            ESPRESSIF_VENDOR,
            USB_SERIAL_JTAG_PRODUCT,
            "USB JTAG/serial debug unit",
        ),
        UsbMode::Otg if in_loader => (
            ESPRESSIF_VENDOR,
            chip.usb.otg_product.unwrap_or(0),
            chip.name,
        ),
        UsbMode::Otg => (ESPRESSIF_VENDOR, APPLICATION_PRODUCT, "Espressif Device"),
    };
    UsbId {
        vendor,
        product,
        serial: Some(serial.to_owned()),
        name: Some(name.to_owned()),
        location: Some("1-1:1.0".to_owned()),
    }
}
