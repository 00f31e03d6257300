use clap::Args;
use guru_link::block_on;
use guru_loader::{EraseRegion as Region, FlashSizeOption};

use super::flash::FlashArgs;
use crate::args::{self, Size};
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::many::{self, BoardsArgs};
use crate::session;
use crate::ui::Report;

/// Bytes that flash erases at the least.
const SECTOR: u32 = 0x1000;

/// Erase a part of the flash
///
///     guru erase-region 0x9000 0x6000
///     guru erase-region 0x110000 ALL
///
/// Address and size are multiples of 4096. In Secure Download Mode the size of the flash cannot be
/// found: beyond 2 MB, --flash-size must say it.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct EraseRegion {
    /// First byte in flash
    #[arg(value_name = "ADDR", value_parser = args::scaled)]
    address: u32,

    /// Number of bytes, or ALL
    #[arg(value_parser = args::size)]
    size: Size,

    /// Erase even if secure boot or flash encryption is on; may leave a board that does not start
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl EraseRegion {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        if !self.address.is_multiple_of(SECTOR) {
            return Err(Error::Unaligned {
                what: "address",
                value: self.address,
            });
        }
        if let Size::Bytes(size) = self.size
            && !size.is_multiple_of(SECTOR)
        {
            return Err(Error::Unaligned {
                what: "size",
                value: size,
            });
        }
        let region = Region {
            address: self.address,
            length: session::read_length(self.address, self.size)?,
        };
        let options = self.flash.options();
        let mode = context.mode;
        many::with_devices(context, &self.boards, |device, observer| {
            let mut flash = options.clone();
            let mut force = self.force;
            let blind = device.device().secure_download;
            if flash.size == FlashSizeOption::Keep && !blind {
                flash.size = FlashSizeOption::Detect;
            }
            if mode == Mode::Esptool && blind && self.size != Size::All {
                // The predecessor looks neither at eFuse nor for the end of the flash then.
                flash.size = FlashSizeOption::Set("16MB".to_owned());
                force = true;
            }
            block_on(device.erase_region(&flash, region, force, observer))?;
            Ok(Report::EraseRegion {
                address: self.address,
            })
        })
    }
}
