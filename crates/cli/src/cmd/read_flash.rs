use std::path::{Path, PathBuf};

use clap::Args;
use guru_link::block_on;
use guru_loader::{Error as LoaderError, FlashSizeOption, ReadRequest};

use super::flash::FlashArgs;
use crate::args::{self, Size};
use crate::context::Context;
use crate::error::Error;
use crate::part_file::{PartFile, Stdout};
use crate::session;
use crate::ui::Report;

/// Read flash into a file
///
///     guru read-flash 0x0 ALL backup.bin
///     guru read-flash 0x8000 0x1000 - | xxd
///
/// The contents go into FILE.part, which gets its name when everything was read and proved by
/// digest: there is never a file that looks complete and is not. An interrupted read goes on where
/// it stopped when it is started again, if what the .part file holds still equals the flash.
///
/// The ROM loader reads 64 bytes at a time, which takes about 3 minutes for a megabyte at 115200
/// baud.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ReadFlash {
    /// First byte in flash
    #[arg(value_name = "ADDR", value_parser = args::scaled)]
    address: u32,

    /// Number of bytes, or ALL
    #[arg(value_parser = args::size)]
    size: Size,

    /// File to make; - is standard output
    #[arg(value_name = "FILE")]
    output: PathBuf,

    /// Do not show progress
    #[arg(long)]
    pub no_progress: bool,

    #[command(flatten)]
    flash: FlashArgs,
}

impl ReadFlash {
    /// Whether the contents go to standard output.
    pub fn to_stdout(&self) -> bool {
        self.output == Path::new("-")
    }

    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let mut flash = self.flash.options();
        if self.size == Size::All && flash.size == FlashSizeOption::Keep {
            // Which size that is should be told.
            flash.size = FlashSizeOption::Detect;
        }
        let request = ReadRequest {
            address: self.address,
            length: session::read_length(self.address, self.size)?,
        };
        let report = |file, bytes| Report::ReadFlash {
            file,
            address: self.address,
            bytes,
        };
        if self.to_stdout() {
            return session::with_device(context, |device, observer| {
                let mut sink = Stdout::default();
                block_on(device.read_flash(&flash, request, &mut sink, observer))?;
                let bytes = sink.finish().map_err(LoaderError::Sink)?;
                Ok(report(None, bytes))
            });
        }
        let mut sink = PartFile::open(&self.output)?;
        session::with_device(context, |device, observer| {
            block_on(device.read_flash(&flash, request, &mut sink, observer))?;
            let bytes = sink.finish().map_err(LoaderError::Sink)?;
            Ok(report(Some(self.output.clone()), bytes))
        })
    }
}
