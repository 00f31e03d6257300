use clap::Args;

use crate::context::Context;
use crate::error::Error;
use crate::session;
use crate::ui::Report;

/// Show the chip's MAC
#[derive(Debug, Args)]
pub struct ReadMac {}

impl ReadMac {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        session::with_device(context, |device, _| {
            let mac = session::mac(device)?;
            Ok(Report::ReadMac(mac))
        })
    }
}
