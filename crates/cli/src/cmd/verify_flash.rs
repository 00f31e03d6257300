use std::ffi::OsString;

use clap::Args;
use guru_link::block_on;
use guru_loader::VerifyRequest;

use super::flash::{FlashArgs, HeaderArgs};
use crate::context::Context;
use crate::error::Error;
use crate::many::{self, BoardsArgs};
use crate::partitions::{Placed, TableArgs, Use};
use crate::ui::Report;

/// Compare flash with files
///
///     guru verify-flash 0x10000 app.bin
///     guru verify-flash ota_1 app.bin
///
/// Each file is compared by digest; all are looked at, and the exit code is 3 when one differs.
/// With the options that change an image header, what is compared is what write-flash would have
/// written with them.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct VerifyFlash {
    /// Address in flash or partition, and file, as often as needed
    #[arg(required = true, num_args = 1.., value_name = "ADDR|NAME FILE")]
    files: Vec<OsString>,

    /// Read what differs and show each byte
    #[arg(short, long)]
    diff: bool,

    #[command(flatten)]
    header: HeaderArgs,

    #[command(flatten)]
    flash: FlashArgs,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pub boards: BoardsArgs,
}

impl VerifyFlash {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let chip = context.globals.chip.named();
        let flash = self.flash.options();
        let mut files = Placed::open(&self.files, context.mode)?;
        let table = self.table.of_file()?;
        let known = files.known(table.as_ref(), chip, &flash.size, Use::Compare)?;
        let (mode, frequency) = self.header.parameters();
        let count = files.parts().count();
        let request = VerifyRequest {
            files: Vec::new(),
            flash,
            mode,
            frequency,
            diff: self.diff,
        };
        many::with_devices(context, &self.boards, |device, observer| {
            let flash = request.flash.clone();
            let mut request = request.clone();
            request.files = match &known {
                Some(files) => files.clone(),
                None => {
                    let table = (&self.table, table.as_ref());
                    files.of_device(table, device, &flash, Use::Compare, observer)?
                }
            };
            block_on(device.verify_flash(request, observer))?;
            Ok(Report::VerifyFlash { files: count })
        })
    }
}
