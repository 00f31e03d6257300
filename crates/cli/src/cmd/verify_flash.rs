use std::ffi::OsString;

use clap::Args;
use guru_link::block_on;
use guru_loader::VerifyRequest;

use super::flash::{FlashArgs, HeaderArgs};
use crate::context::Context;
use crate::error::Error;
use crate::files;
use crate::many::{self, BoardsArgs};
use crate::ui::Report;

/// Compare flash with files
///
///     guru verify-flash 0x10000 app.bin
///
/// Each file is compared by digest; all are looked at, and the exit code is 3 when one differs.
/// With the options that change an image header, what is compared is what write-flash would have
/// written with them.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct VerifyFlash {
    /// Address in flash and file, as often as needed
    #[arg(required = true, num_args = 1.., value_name = "ADDR FILE")]
    files: Vec<OsString>,

    /// Read what differs and show each byte
    #[arg(short, long)]
    diff: bool,

    #[command(flatten)]
    header: HeaderArgs,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl VerifyFlash {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let chip = context.globals.chip.named();
        let flash = self.flash.options();
        let files = files::open(&self.files, false)?;
        // Of an ELF file an image is made when the chip is known.
        let waits = files::has_elf(&files)? && chip.is_none();
        let files = match chip {
            Some(chip) => files::for_chip(&files, chip, &flash.size)?,
            None => files,
        };
        if !waits {
            files::check(&files, chip, &flash.size)?;
        }
        let (mode, frequency) = self.header.parameters();
        let count = files.len();
        let request = VerifyRequest {
            files,
            flash,
            mode,
            frequency,
            diff: self.diff,
        };
        many::with_devices(context, &self.boards, |device, observer| {
            let mut request = request.clone();
            if waits {
                let chip = device.chip();
                request.files = files::for_session(&request.files, chip, &request.flash.size)?;
            }
            block_on(device.verify_flash(request, observer))?;
            Ok(Report::VerifyFlash { files: count })
        })
    }
}
