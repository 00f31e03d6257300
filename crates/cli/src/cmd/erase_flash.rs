use clap::Args;
use guru_link::block_on;

use super::flash::FlashArgs;
use crate::context::Context;
use crate::error::Error;
use crate::many::{self, BoardsArgs};
use crate::ui::Report;

/// Erase the whole flash
///
/// The flasher stub does that, 1 MB after the other, and passes over what is blank. The loader in
/// the chip's ROM has no command for it: without a stub the flash is given its own through the
/// registers of the flash controller, which takes up to a few minutes. In Secure Download Mode
/// those cannot be reached: as much is erased, region by region, as --flash-size says.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct EraseFlash {
    /// Erase even if secure boot or flash encryption is on; may leave a board that does not start
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl EraseFlash {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let flash = self.flash.options();
        many::with_devices(context, &self.boards, |device, observer| {
            block_on(device.erase_flash(&flash, self.force, observer))?;
            Ok(Report::EraseFlash)
        })
    }
}
