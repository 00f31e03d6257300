use clap::Args;

use crate::context::Context;
use crate::error::Error;
use crate::many::{self, BoardsArgs};
use crate::session;
use crate::ui::Report;

/// Show the chip's MAC
#[derive(Debug, Args)]
pub struct ReadMac {
    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl ReadMac {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        many::with_devices(context, &self.boards, |device, _| {
            let mac = session::mac(device)?;
            Ok(Report::ReadMac(mac))
        })
    }
}
