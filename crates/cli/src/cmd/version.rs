use clap::Args;

use crate::context::{Context, VERSION};
use crate::error::Error;
use crate::ui::Report;

/// Show the version of this program
#[derive(Debug, Args)]
pub struct Version {}

impl Version {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        context.screen.report(Report::Version { version: VERSION });
        Ok(())
    }
}
