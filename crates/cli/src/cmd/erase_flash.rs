use clap::Args;
use guru_link::block_on;

use super::flash::PinArgs;
use crate::context::Context;
use crate::error::Error;
use crate::many::{self, BoardsArgs};
use crate::ui::Report;

/// Erase the whole flash
///
/// The loader in the chip's ROM has no command for that: the flash is erased through the
/// registers of the flash controller, or region by region where those cannot be reached. It takes
/// up to a few minutes.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct EraseFlash {
    /// Erase even if secure boot or flash encryption is on; may leave a board that does not start
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl EraseFlash {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let flash = self.pins.options();
        many::with_devices(context, &self.boards, |device, observer| {
            block_on(device.erase_flash(&flash, self.force, observer))?;
            Ok(Report::EraseFlash)
        })
    }
}
