use clap::Args;
use guru_link::block_on;

use crate::context::{Context, Mode};
use crate::error::Error;
use crate::session;
use crate::ui::Report;

/// Show secure boot, flash encryption, keys and what is switched off
///
/// What the chip's ROM tells, also in Secure Download Mode. The ROM of an ESP32 tells nothing: there
/// it is read from eFuse. An ESP8266 has none of it.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct GetSecurityInfo {}

impl GetSecurityInfo {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let mode = context.mode;
        session::with_device(context, |device, _| {
            if mode == Mode::Esptool {
                device.asks_security()?;
            }
            let report = block_on(device.security_report())?;
            Ok(Report::GetSecurityInfo(Box::new(report)))
        })
    }
}
