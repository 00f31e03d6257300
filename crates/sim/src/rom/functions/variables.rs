//! Variables of the ROM in the program's sight.

use guru_chip::{Chip, Revision, RomData};

use super::call::Caller;
use crate::cpu::Fault;
use crate::options::UsbMode;

/// Where the number of the connection stands in the loader's device.
pub(super) const CONNECTION: u32 = 24;
/// What the page size and the mask of the status register are unless told otherwise.
const PAGE: u32 = 256;
const STATUS_MASK: u32 = 0xFFFF;

/// What the ROM's flash functions know of the flash.
pub(super) struct FlashChip {
    /// Size in bytes.
    pub size: u32,
}

/// Reads what they know.
pub(super) fn flash_chip(data: &RomData, caller: &mut dyn Caller) -> Result<FlashChip, Fault> {
    let size = caller.load_word(data.flash_chip + 4)?;
    Ok(FlashChip { size })
}

/// Tells them.
pub(super) fn set_flash_chip(
    data: &RomData,
    caller: &mut dyn Caller,
    words: &[u32; 6],
) -> Result<(), Fault> {
    for (index, word) in (0..).zip(words) {
        caller.store_word(data.flash_chip + 4 * index, *word)?;
    }
    Ok(())
}

/// The variables as the loader leaves them to a program: address and value. `flash_size` is what
/// SPI_SET_PARAMS said.
pub(crate) fn variables(
    chip: &Chip,
    revision: Revision,
    usb: UsbMode,
    baud: u32,
    flash_size: u32,
) -> Vec<(u32, u32)> {
    let Some(code) = chip.rom_code(revision) else {
        return Vec::new();
    };
    let data = &code.data;
    let mut words = data.words.to_vec();
    // JEDEC id 0: the loader does not ask for it.
    let flash = [0, flash_size, 0x1_0000, 0x1000, PAGE, STATUS_MASK];
    for (index, word) in (0..).zip(flash) {
        words.push((data.flash_chip + 4 * index, word));
    }
    words.extend(data.flash_chip_pointer.map(|at| (at, data.flash_chip)));
    if let Some(device) = data.uart_device {
        let connection = match usb {
            UsbMode::Uart => Some(0),
            UsbMode::Jtag => data.serial_jtag_number,
            UsbMode::Otg => data.otg_number,
        };
        words.push((device, baud));
        words.push((device + CONNECTION, connection.unwrap_or(0).into()));
        // Whatever is there: programs hand it back to the ROM.
        words.extend(data.usb_device_pointer.map(|at| (at, device)));
    }
    words.extend(data.eco_version.zip(data.eco(revision)));
    words
}
