use clap::Args;
use guru_link::block_on;

use crate::args;
use crate::context::Context;
use crate::error::Error;
use crate::session;
use crate::ui::Report;

/// Read a word of memory or a register
///
///     guru read-mem 0x60000078
///
/// Reading changes some registers, such as those of a FIFO.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ReadMem {
    /// Address, a multiple of 4
    #[arg(value_name = "ADDR", value_parser = args::word_address)]
    address: u32,
}

impl ReadMem {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let address = self.address;
        session::with_device(context, |device, _| {
            let value = block_on(device.read_memory(address))?;
            Ok(Report::ReadMem { address, value })
        })
    }
}
