use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use guru_link::block_on;
use guru_loader::{Error as LoaderError, StatusBytes, StatusChange, StatusWrite};

use super::flash::PinArgs;
use crate::args;
use crate::context::{Context, Mode};
use crate::error::Error;
use crate::session;
use crate::ui::{self, Report};

/// How many status registers.
#[derive(Debug, Clone, Args)]
pub struct BytesArgs {
    /// Status registers: 1, 2 or 3
    #[arg(long, value_name = "COUNT", default_value = "2", value_parser = bytes(), hide_possible_values = true)]
    bytes: StatusBytes,
}

/// Show the status registers of the flash, and what their bits mean
///
///     guru read-flash-status --bytes 3
///
/// Which bits there are depends on the maker; how much of the flash is protected from writing is told
/// when all registers of the part are read. The registers are those after a reset of the flash, which
/// happens when it is connected.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ReadFlashStatus {
    #[command(flatten)]
    bytes: BytesArgs,

    #[command(flatten)]
    pins: PinArgs,
}

impl ReadFlashStatus {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let flash = self.pins.options();
        session::with_device(context, |device, observer| {
            let status = block_on(device.flash_status(&flash, self.bytes.bytes, observer))?;
            Ok(Report::ReadFlashStatus(Box::new(status)))
        })
    }
}

/// Write the status registers of the flash, and read them back
///
///     guru write-flash-status 0x0200 --non-volatile
///     guru write-flash-status --bytes 1 0x00 --non-volatile --yes
///
/// Each bit that changes is shown with what it does. Without --non-volatile the change is lost when
/// the flash loses its power or is reset, as every command does that connects it.
///
/// Some bits cannot be undone: LB1 to LB3 make security registers read-only for ever, and SRP1 (SRL)
/// locks the status registers until power-off, on some parts for ever. A wrong QE bit keeps a board
/// from starting in modes qio and qout. So --non-volatile asks before it writes.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct WriteFlashStatus {
    /// What to write, register 1 in the lowest byte
    #[arg(value_parser = args::number)]
    value: u32,

    /// Write what outlives the flash's power
    #[arg(long)]
    non_volatile: bool,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    bytes: BytesArgs,

    #[command(flatten)]
    pins: PinArgs,
}

impl WriteFlashStatus {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let flash = self.pins.options();
        let guru = context.mode == Mode::Guru;
        let bytes = self.bytes.bytes;
        let mask = bytes.mask();
        if guru && self.value > mask {
            return Err(Error::Usage(format!(
                "0x{:x} is wider than the registers that --bytes {} names; the limit is 0x{mask:x}",
                self.value,
                u8::from(bytes)
            )));
        }
        let write = StatusWrite {
            // The predecessor cuts what is too wide.
            value: self.value & mask,
            bytes,
            non_volatile: self.non_volatile,
        };
        let asks = guru && self.non_volatile && !self.yes;
        session::with_device(context, |device, observer| {
            let mut agree = |change: &StatusChange| {
                if guru {
                    exists(change)?;
                }
                if asks { ask(change) } else { Ok(()) }
            };
            let change = device.write_flash_status(&flash, write, &mut agree, observer);
            let change = block_on(change)?;
            if guru {
                change.check()?;
            }
            Ok(Report::WriteFlashStatus(Box::new(change)))
        })
    }
}

/// Registers that a part is known not to have are not written.
fn exists(change: &StatusChange) -> Result<(), LoaderError> {
    let asked = u8::from(change.before.bytes);
    match change.before.registers {
        Some(registers) if registers < asked => Err(LoaderError::BadRequest(format!(
            "this flash has {registers} status register{}, not {asked}; use --bytes {registers}",
            if registers == 1 { "" } else { "s" }
        ))),
        _ => Ok(()),
    }
}

fn ask(change: &StatusChange) -> Result<(), LoaderError> {
    if change.changes.is_empty() {
        return Ok(());
    }
    let question = if change.is_final() {
        "Write this, which cannot be undone?"
    } else {
        "Write this?"
    };
    match ui::confirm(question) {
        Some(true) => Ok(()),
        Some(false) => Err(LoaderError::BadRequest("nothing was written".to_owned())),
        None => Err(LoaderError::BadRequest(
            "nothing was written: there is no terminal to ask at; --yes writes without asking"
                .to_owned(),
        )),
    }
}

fn bytes() -> impl TypedValueParser<Value = StatusBytes> {
    PossibleValuesParser::new(["1", "2", "3"]).map(|count| match count.as_str() {
        "1" => StatusBytes::One,
        "2" => StatusBytes::Two,
        _ => StatusBytes::Three,
    })
}
