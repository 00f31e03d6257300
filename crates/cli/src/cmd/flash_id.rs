use clap::Args;
use guru_link::block_on;

use super::flash::PinArgs;
use crate::context::Context;
use crate::error::Error;
use crate::many::{self, BoardsArgs};
use crate::ui::Report;

/// Show maker, device id and size of the flash
#[derive(Debug, Args)]
pub struct FlashId {
    #[command(flatten)]
    pins: PinArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl FlashId {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let flash = self.pins.options();
        many::with_devices(context, &self.boards, |device, observer| {
            let info = block_on(device.flash_info(&flash, observer))?;
            Ok(Report::FlashId(info))
        })
    }
}
