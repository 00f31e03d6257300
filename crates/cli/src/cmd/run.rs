use clap::Args;
use guru_link::block_on;

use crate::context::{Context, Mode};
use crate::error::Error;
use crate::monitor::{self, MonitorArgs};
use crate::session;
use crate::ui::Report;

/// Start the application in flash without a reset
///
/// The loader ends and the ROM goes on to boot. The peripherals are as the loader leaves them;
/// 'guru reset' starts the application as after power-on.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub monitor: MonitorArgs,
}

impl Run {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        if self.monitor.is_on() {
            context.globals.baud.get_or_insert(monitor::BAUD);
        }
        if context.mode == Mode::Esptool {
            // The predecessor resets the chip afterwards.
            return session::with_device(context, |device, observer| {
                block_on(device.run(observer))?;
                Ok(Report::Run)
            });
        }
        session::with_program(context, &self.monitor, |device, observer| {
            block_on(device.run(observer))?;
            Ok(Report::Run)
        })
    }
}
