use clap::{Args, ValueEnum};
use guru_link::block_on;
use guru_loader::{After, Before};
use serde::Serialize;

use crate::context::Context;
use crate::error::Error;
use crate::monitor::{self, MonitorArgs};
use crate::session;
use crate::ui::Report;

/// Reset the chip
///
///     guru reset
///     guru reset --into download
///     guru reset --monitor
///
/// By DTR and RTS alone, in the way that suits the port: no loader has to answer. With --after
/// watchdog-reset, soft-reset or hold-in-reset the loader is reached first.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Reset {
    /// What shall run afterwards
    #[arg(long, value_name = "WHAT", default_value = "app")]
    into: Into,

    #[command(flatten)]
    pub monitor: MonitorArgs,
}

/// What runs after a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Into {
    /// The application.
    App,
    /// The ROM's loader.
    Download,
}

impl Reset {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let report = Report::Reset { into: self.into };
        let by_loader = match context.globals.after.0 {
            After::HardReset => false,
            After::SoftReset | After::WatchdogReset | After::HoldInReset => true,
            After::NoReset | After::NoResetStub => {
                return Err(Error::Usage(
                    "--after no-reset leaves nothing to do; write hard-reset, hold-in-reset or watchdog-reset"
                        .to_owned(),
                ));
            }
        };
        if by_loader {
            if self.into == Into::Download || self.monitor.is_on() {
                return Err(Error::Usage(
                    "--into and --monitor go with a reset by the control lines (--after hard-reset)"
                        .to_owned(),
                ));
            }
            return session::with_device(context, |_, _| Ok(report));
        }
        let (mut console, health) = session::open(context)?;
        if self.into == Into::App && console.reset_needs_loader() {
            // The ROM's own USB device: it answers, since it is there.
            drop(console);
            context.globals.before.0 = Before::NoReset;
            return session::with_device(context, |_, _| Ok(report));
        }
        let chip = context.globals.chip.named();
        let baud = chip.map_or(monitor::BAUD, |chip| chip.rom.log_baud);
        block_on(console.set_baud(baud))?;
        session::reset(context, &mut console, self.into)?;
        context.screen.report(report);
        let outcome = if self.monitor.is_on() {
            self.monitor.show(context, &mut console)
        } else {
            Ok(())
        };
        drop(console);
        health.tell(context);
        outcome
    }
}
