//! Ports of every kind, by what the user gives as `--port`.

use guru_link::{Address, NativeLink, OpenOptions};
use guru_loader::Before;
use guru_sim::{Pace, SCHEME, SimLink, SimOptions};

use crate::context::Context;
use crate::error::Error;
use crate::ui::Message;

/// Baud rate at which loaders are reached.
const FIRST_BAUD: u32 = 115_200;

/// A link to a device, or to a simulated one in this process.
pub enum Port {
    /// A real device, or one behind a network.
    Native(Box<NativeLink>),
    /// A simulated one.
    Sim(Box<SimLink>),
}

/// Opens a port.
///
/// # Errors
/// Says what is wrong with the port, and what there is instead.
pub fn open(context: &mut Context, name: &str) -> Result<Port, Error> {
    if name.starts_with(SCHEME) {
        return simulated(context, name);
    }
    let address: Address = name.parse()?;
    let options = OpenOptions {
        baud: first_baud(context),
        cancel: context.cancel.clone(),
        write_timeout: context.config.serial_write_timeout,
    };
    let link = NativeLink::open_as(name, &address, &options)?;
    Ok(Port::Native(Box::new(link)))
}

fn simulated(context: &mut Context, name: &str) -> Result<Port, Error> {
    let options: SimOptions = name.parse()?;
    let link = SimLink::open(name, context.cancel.clone())?;
    if options.flash.is_none() {
        let text = "the simulated flash ends with this program; sim://CHIP?flash=FILE keeps it";
        context.screen.message(&Message::Note {
            text: text.to_owned(),
        });
    }
    Ok(Port::Sim(Box::new(link)))
}

/// Whether a port is a simulated chip in virtual time, where waiting costs none and nothing comes
/// that has not come at once.
pub fn is_virtual(name: &str) -> bool {
    name.starts_with(SCHEME)
        && name
            .parse()
            .is_ok_and(|options: SimOptions| options.pace != Some(Pace::Real))
}

/// The rate that the port is opened at.
fn first_baud(context: &Context) -> u32 {
    match context.globals.baud {
        Some(baud) if context.globals.before.0 == Before::NoResetNoSync => baud,
        Some(baud) => baud.min(FIRST_BAUD),
        None => FIRST_BAUD,
    }
}

guru_link::forward_link!(Port { Native, Sim });
