use clap::Args;
use guru_link::block_on;

use super::flash::PinArgs;
use crate::args;
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::session;
use crate::ui::Report;

/// Addresses have three bytes.
const SPACE: u32 = 1 << 24;
/// The most bytes that are shown at once.
const MAX: u32 = 4096;

/// Show what the flash says of itself (SFDP, JEDEC JESD216)
///
///     guru read-flash-sfdp 0x0 16
///     guru read-flash-sfdp --decode
///
/// --decode reads all tables and tells size, erase commands and their times, reads, how four data
/// lines are enabled, and the commands with 4-byte addresses. Tables of makers are listed.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ReadFlashSfdp {
    /// First byte
    #[arg(value_name = "ADDR", value_parser = args::number, required_unless_present = "decode")]
    address: Option<u32>,

    /// Number of bytes
    #[arg(value_parser = args::number, required_unless_present = "decode")]
    bytes: Option<u32>,

    /// Decode all tables
    #[arg(long, conflicts_with_all = ["address", "bytes"])]
    decode: bool,

    #[command(flatten)]
    pins: PinArgs,
}

impl ReadFlashSfdp {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let flash = self.pins.options();
        let address = self.address.unwrap_or_default();
        let length = self.bytes.unwrap_or_default();
        if !self.decode {
            check(address, length, context.mode)?;
        }
        let mode = context.mode;
        session::with_device(context, |device, observer| {
            if self.decode {
                let sfdp = block_on(device.sfdp(&flash, observer))?;
                return Ok(Report::DecodedSfdp(Box::new(sfdp)));
            }
            let bytes = block_on(device.read_sfdp(&flash, address, length, observer))?;
            let id = match mode {
                // It is attached already, and shown first.
                Mode::Esptool => Some(block_on(device.flash_info(&flash, observer))?),
                Mode::Guru => None,
            };
            Ok(Report::ReadFlashSfdp { address, bytes, id })
        })
    }
}

fn check(address: u32, length: u32, mode: Mode) -> Result<(), Error> {
    let most = match mode {
        Mode::Esptool => 4,
        Mode::Guru => MAX,
    };
    if length == 0 || length > most {
        return Err(Error::SfdpLength { length, most });
    }
    if address.checked_add(length).is_none_or(|end| end > SPACE) {
        return Err(Error::Usage(format!(
            "{length} bytes from 0x{address:x} go beyond the last address, 0x{:x}",
            SPACE - 1
        )));
    }
    Ok(())
}
