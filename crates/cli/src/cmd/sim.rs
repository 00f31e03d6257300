use clap::Args;

use crate::context::Context;
use crate::error::Error;

/// Run a virtual chip
#[derive(Debug, Args)]
pub struct Sim {}

impl Sim {
    pub(super) fn run(self, _: &mut Context) -> Result<(), Error> {
        Err(Error::NotYet("the simulator".to_owned()))
    }
}
