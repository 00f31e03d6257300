use std::path::{Path, PathBuf};

use clap::Args;
use guru_link::block_on;
use guru_loader::{Error as LoaderError, FlashSink};

use crate::args;
use crate::context::Context;
use crate::error::Error;
use crate::part_file::{PartFile, Stdout};
use crate::session;
use crate::ui::Report;

/// Read memory into a file
///
///     guru dump-mem 0x3fc80000 0x1000 ram.bin
///     guru dump-mem 0x40000000 64k - | sha256sum
///
/// The file gets its name when everything was read. Nothing in the loaders' protocol protects these
/// bytes: on a line that has shown a fault each is read until two readings agree.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct DumpMem {
    /// First byte, a multiple of 4
    #[arg(value_name = "ADDR", value_parser = args::word_address)]
    address: u32,

    /// Number of bytes, a multiple of 4
    #[arg(value_parser = args::words_size)]
    size: u32,

    /// File to make; - is standard output
    #[arg(value_name = "FILE")]
    output: PathBuf,
}

impl DumpMem {
    /// Whether the contents go to standard output.
    pub fn to_stdout(&self) -> bool {
        self.output == Path::new("-")
    }

    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let address = self.address;
        let Some(end) = address.checked_add(self.size) else {
            return Err(Error::Usage(format!(
                "0x{:x} bytes from 0x{address:x} go beyond the last address that can be read, \
                 0xfffffffb",
                self.size
            )));
        };
        let range = address..end;
        if self.to_stdout() {
            return session::with_device(context, |device, observer| {
                let mut sink = Stdout::default();
                block_on(device.dump_memory(range, &mut sink, observer))?;
                let bytes = sink.finish().map_err(LoaderError::Sink)?;
                Ok(Report::DumpMem {
                    file: None,
                    address,
                    bytes,
                })
            });
        }
        let mut sink = PartFile::open(&self.output)?;
        let outcome = session::with_device(context, |device, observer| {
            block_on(device.dump_memory(range, &mut sink, observer))?;
            let bytes = sink.finish().map_err(LoaderError::Sink)?;
            Ok(Report::DumpMem {
                file: Some(self.output.clone()),
                address,
                bytes,
            })
        });
        if outcome.is_err() {
            // Part of a dump is of no use to a later one: it goes with its file.
            let _ = sink.truncate(0);
        }
        outcome
    }
}
