use clap::Args;
use guru_link::block_on;
use guru_loader::{EraseRegion as Region, FlashSizeOption};

use super::flash::FlashArgs;
use crate::args::{self, Size};
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::many::{self, BoardsArgs};
use crate::partitions::{self, Area, Place, TableArgs};
use crate::session;
use crate::ui::Report;

/// Bytes that flash erases at the least.
const SECTOR: u32 = 0x1000;

/// Erase a part of the flash
///
///     guru erase-region 0x9000 0x6000
///     guru erase-region 0x110000 ALL
///     guru erase-region nvs
///
/// A partition, or a part of one (storage+0x1000:0x2000), brings its size. Address and size are
/// multiples of 4096. In Secure Download Mode the size of the flash cannot be
/// found: beyond 2 MB, --flash-size must say it.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct EraseRegion {
    /// First byte in flash, or a partition
    #[arg(value_name = "ADDR|NAME", value_parser = partitions::place)]
    place: Place,

    /// Number of bytes, or ALL
    #[arg(value_parser = args::size)]
    size: Option<Size>,

    /// Erase even if secure boot or flash encryption is on; may leave a board that does not start
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl EraseRegion {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let table = self.table.of_file()?;
        let area = Area::new(&self.place, self.size)?;
        if let Some((address, size)) = area.known(table.as_ref()).map_err(Error::Usage)? {
            region(address, size)?;
        }
        let options = self.flash.options();
        let mode = context.mode;
        many::with_devices(context, &self.boards, |device, observer| {
            let place = area.of_device(&self.table, table.as_ref(), device, &options, observer)?;
            let (address, size) = place;
            let region = region(address, size).map_err(Error::in_session)?;
            let mut flash = options.clone();
            let mut force = self.force;
            let blind = device.device().secure_download;
            if flash.size == FlashSizeOption::Keep && !blind {
                flash.size = FlashSizeOption::Detect;
            }
            if mode == Mode::Esptool && blind && size != Size::All {
                // The predecessor looks neither at eFuse nor for the end of the flash then.
                flash.size = FlashSizeOption::Set("16MB".to_owned());
                force = true;
            }
            block_on(device.erase_region(&flash, region, force, observer))?;
            Ok(Report::EraseRegion { address })
        })
    }
}

/// What is to be erased, when it is made of whole sectors.
fn region(address: u32, size: Size) -> Result<Region, Error> {
    let aligned = |what, value: u32| match value.is_multiple_of(SECTOR) {
        true => Ok(()),
        false => Err(Error::Unaligned { what, value }),
    };
    aligned("address", address)?;
    if let Size::Bytes(size) = size {
        aligned("size", size)?;
    }
    Ok(Region {
        address,
        length: session::read_length(address, size)?,
    })
}
