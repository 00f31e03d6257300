use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use guru_link::block_on;
use guru_loader::{Error as LoaderError, FlashSizeOption, Observer, ReadRequest};

use super::flash::FlashArgs;
use crate::args::{self, Size};
use crate::context::Context;
use crate::error::Error;
use crate::part_file::{PartFile, Stdout};
use crate::partitions::{self, Area, Place, TableArgs};
use crate::session::{self, Device};
use crate::ui::Report;

/// Read flash into a file
///
///     guru read-flash 0x0 ALL backup.bin
///     guru read-flash 0x8000 0x1000 - | xxd
///     guru read-flash nvs nvs.bin
///     guru read-flash factory+0x100:0x20 - | xxd
///
/// A partition, or a part of one, brings its size. The names are those of the table in the device,
/// or in --partition-table.
///
/// The contents go into FILE.part, which gets its name when everything was read and proved by
/// digest: there is never a file that looks complete and is not. An interrupted read goes on where
/// it stopped when it is started again, if what the .part file holds still equals the flash.
///
/// The flasher stub reads as fast as the line is. Without one the ROM loader reads 64 bytes at a
/// time, which takes about 3 minutes for a megabyte at 115200 baud.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ReadFlash {
    /// First byte in flash, or a partition
    #[arg(value_name = "ADDR|NAME", value_parser = partitions::place)]
    place: Place,

    /// Number of bytes, or ALL; and the file to make, where - is standard output
    #[arg(required = true, num_args = 1..=2, value_name = "SIZE FILE")]
    target: Vec<OsString>,

    /// Do not show progress
    #[arg(long)]
    pub no_progress: bool,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    table: TableArgs,
}

impl ReadFlash {
    /// Whether the contents go to standard output.
    pub fn to_stdout(&self) -> bool {
        self.target.last().is_some_and(|output| output == "-")
    }

    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let (size, output) = match (&self.place, &self.target[..]) {
            (_, [size, output]) => {
                let size = args::size(&size.to_string_lossy()).map_err(Error::Usage)?;
                (Some(size), Path::new(output))
            }
            (Place::Slice(_), [output]) => (None, Path::new(output)),
            _ => {
                let text = "a size and a file stand behind an address: 0x9000 0x6000 nvs.bin";
                return Err(Error::Usage(text.to_owned()));
            }
        };
        let table = self.table.of_file()?;
        let area = Area::new(&self.place, size)?;
        if let Some((address, size)) = area.known(table.as_ref()).map_err(Error::Usage)? {
            session::read_length(address, size)?;
        }
        let mut flash = self.flash.options();
        if size == Some(Size::All) && flash.size == FlashSizeOption::Keep {
            // Which size that is should be told.
            flash.size = FlashSizeOption::Detect;
        }
        let request = |device: &mut Device, observer: &mut dyn Observer| {
            let place = area.of_device(&self.table, table.as_ref(), device, &flash, observer)?;
            let (address, size) = place;
            let length = session::read_length(address, size).map_err(Error::in_session)?;
            Ok::<_, LoaderError>(ReadRequest { address, length })
        };
        let report = |file, address, bytes| Report::ReadFlash {
            file,
            address,
            bytes,
        };
        if self.to_stdout() {
            return session::with_device(context, |device, observer| {
                let request = request(device, observer)?;
                let mut sink = Stdout::default();
                block_on(device.read_flash(&flash, request, &mut sink, observer))?;
                let bytes = sink.finish().map_err(LoaderError::Sink)?;
                Ok(report(None, request.address, bytes))
            });
        }
        let mut sink = PartFile::open(output)?;
        session::with_device(context, |device, observer| {
            let request = request(device, observer)?;
            block_on(device.read_flash(&flash, request, &mut sink, observer))?;
            let bytes = sink.finish().map_err(LoaderError::Sink)?;
            Ok(report(Some(output.to_owned()), request.address, bytes))
        })
    }
}
