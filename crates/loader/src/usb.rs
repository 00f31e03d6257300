//! What the USB ids of a port say.

use guru_chip::{CHIPS, Chip, ESPRESSIF_VENDOR, USB_SERIAL_JTAG_PRODUCT};
use guru_link::PortInfo;

use crate::UsbMode;

/// Product id of a USB device by Espressif.
pub(crate) fn espressif_product(info: &PortInfo) -> Option<u16> {
    let usb = info.usb.as_ref();
    usb.filter(|usb| usb.vendor == ESPRESSIF_VENDOR)
        .map(|usb| usb.product)
}

/// Whether the port is the USB-Serial/JTAG of some chip.
pub(crate) fn is_serial_jtag(info: &PortInfo) -> bool {
    espressif_product(info) == Some(USB_SERIAL_JTAG_PRODUCT)
}

/// Chips whose ROM shows this USB device on USB-OTG.
pub(crate) fn otg_chips(info: &PortInfo) -> impl Iterator<Item = &'static Chip> {
    let chips = CHIPS.iter().copied();
    chips.filter(|chip| is_otg_of(chip, info))
}

fn is_otg_of(chip: &Chip, info: &PortInfo) -> bool {
    let product = espressif_product(info);
    product.is_some() && chip.usb.otg_product == product
}

/// Whether a port is a USB device of some chip's ROM.
pub(crate) fn is_own_usb(info: &PortInfo) -> bool {
    is_serial_jtag(info) || otg_chips(info).next().is_some()
}

/// The USB device of this chip that the port is.
pub(crate) fn usb_mode(chip: &Chip, info: &PortInfo) -> Option<UsbMode> {
    if chip.usb.serial_jtag && is_serial_jtag(info) {
        Some(UsbMode::SerialJtag)
    } else if is_otg_of(chip, info) {
        Some(UsbMode::Otg)
    } else {
        None
    }
}
