use clap::Args;
use guru_link::block_on;

use super::flash::PinArgs;
use crate::context::Context;
use crate::error::Error;
use crate::session;
use crate::ui::Report;

/// Show maker, device id and size of the flash
#[derive(Debug, Args)]
pub struct FlashId {
    #[command(flatten)]
    pins: PinArgs,
}

impl FlashId {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let flash = self.pins.options();
        session::with_device(context, |device, observer| {
            let info = block_on(device.flash_info(&flash, observer))?;
            Ok(Report::FlashId(info))
        })
    }
}
