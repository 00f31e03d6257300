use clap::Args;
use guru_link::block_on;
use guru_loader::{Event, Notice};

use crate::context::Context;
use crate::error::Error;
use crate::many::{self, BoardsArgs};
use crate::session;
use crate::ui::Report;

/// Show the number of an ESP8266
///
/// Later chips have none; their MAC is shown instead.
#[derive(Debug, Args)]
pub struct ChipId {
    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl ChipId {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        many::with_devices(context, &self.boards, |device, observer| {
            let mac = session::mac(device)?;
            let chip_id = block_on(device.chip_id())?;
            if chip_id.is_none() {
                let chip = device.chip().name;
                observer.event(Event::Notice(Notice::NoChipId { chip }));
            }
            Ok(Report::ChipId { chip_id, mac })
        })
    }
}
