use std::error::Error as _;
use std::path::PathBuf;

use clap::Args;
use guru_image::RamFile;
use guru_link::block_on;
use guru_loader::{Error as LoaderError, LoadRequest};

use crate::args;
use crate::compat;
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::monitor::{self, MonitorArgs};
use crate::session;
use crate::ui::Report;

/// Load a program into RAM and start it
///
///     guru load-ram test.bin --monitor
///     guru load-ram test.hex --monitor-until PASSED --monitor-for 10
///     echo -n b | guru load-ram crash.elf --monitor-until Rebooting
///
/// FILE is an ELF file or a firmware image whose segments lie in RAM, or Intel HEX with addresses in
/// RAM. Nothing is written to flash. Segments in mapped flash cannot be loaded and are named; a segment in memory
/// that the loader itself works in, or in no RAM at all, is refused.
///
/// The program begins with the UART as the loader leaves it: at 115200 baud with --monitor and
/// without --baud. What is typed goes to it key by key, apart from Ctrl-C; what is piped in goes to it
/// when it has first paused, and its output is shown on when the pipe has ended.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct LoadRam {
    /// ELF file, firmware image or Intel HEX
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Where to start a program from Intel HEX that does not say so itself
    #[arg(long, value_name = "ADDR", value_parser = args::number)]
    entry: Option<u32>,

    /// Load segments wherever they lie, apart from mapped flash
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    pub monitor: MonitorArgs,
}

impl LoadRam {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let file = RamFile::open(&self.file, self.entry)?;
        if context.mode == Mode::Esptool && file.runs() > 1 {
            return Err(Error::Usage(compat::MERGED.to_owned()));
        }
        // What can be known of a chip that was named is known before a port is opened.
        if let Some(chip) = context.globals.chip.named() {
            file.program(chip)?;
        }
        // The predecessor looks at none of this.
        let force = self.force || context.mode == Mode::Esptool;
        if self.monitor.is_on() {
            context.globals.baud.get_or_insert(monitor::BAUD);
        }
        session::with_program(context, &self.monitor, |device, observer| {
            let rules = &device.chip().image;
            let program = file.program(device.chip()).map_err(|error| {
                let cause = error.source().map(|cause| format!(": {cause}"));
                LoaderError::BadRequest(format!("{error}{}", cause.unwrap_or_default()))
            })?;
            let request = LoadRequest {
                name: file.name().to_owned(),
                program,
                mismatch: file.mismatch(rules, device.revision())?,
                force,
            };
            let loaded = block_on(device.load_ram(&request, observer))?;
            Ok(Report::LoadRam {
                file: self.file.clone(),
                segments: loaded.segments,
                bytes: loaded.bytes,
                entry: loaded.entry,
            })
        })
    }
}
