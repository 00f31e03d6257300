use clap::Args;
use guru_link::block_on;
use guru_loader::MemoryWrite;

use crate::args;
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::session;
use crate::ui::Report;

/// Write a word of memory or a register
///
///     guru write-mem 0x3fc90000 0x12345678
///     guru write-mem 0x60004004 0x100 0x100
///
/// With a mask only its bits are changed. The value before and afterwards is told. Registers of the
/// eFuse controller are refused: a write there can burn fuses, which nothing undoes.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct WriteMem {
    /// Address, a multiple of 4
    #[arg(value_name = "ADDR", value_parser = args::word_address)]
    address: u32,

    /// New value, 32 bits
    #[arg(value_parser = args::number)]
    value: u32,

    /// Bits to change, 32 bits
    #[arg(value_parser = args::number, default_value = "0xffffffff", hide_default_value = true)]
    mask: u32,

    /// Write registers of the eFuse controller too; may burn fuses for ever
    #[arg(long)]
    force: bool,
}

impl WriteMem {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let write = MemoryWrite {
            address: self.address,
            value: self.value,
            mask: self.mask,
        };
        // The predecessor reads nothing, and guards nothing.
        let blind = context.mode == Mode::Esptool;
        session::with_device(context, |device, _| {
            let change = if blind {
                block_on(device.write_memory(write))?;
                None
            } else {
                Some(block_on(device.change_memory(write, self.force))?)
            };
            Ok(Report::WriteMem {
                address: write.address,
                value: write.value,
                mask: write.mask,
                old: change.map(|change| change.old),
                written: change.map(|change| change.written),
                new: change.map(|change| change.new),
            })
        })
    }
}
