//! Ports of every kind, by what the user gives as `--port`.

use std::time::Duration;

use guru_link::ports::PortFilter;
use guru_link::{Address, LinkError, NativeLink, OpenOptions};
use guru_loader::Before;
use guru_sim::{SCHEME, SimLink, SimOptions};

use crate::context::Context;
use crate::error::Error;
use crate::ui::Message;

/// Baud rate at which loaders are reached.
const FIRST_BAUD: u32 = 115_200;

/// How long it is waited before a port that could not be opened is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// A link to a device, or to a simulated one in this process.
pub enum Port {
    /// A real device, or one behind a network.
    Native(Box<NativeLink>),
    /// A simulated one.
    Sim(Box<SimLink>),
}

/// Names of the ports to try when none is named, the likeliest first.
pub fn candidates(filters: &[PortFilter]) -> Vec<String> {
    let filter = filter(filters);
    guru_link::ports::list()
        .into_iter()
        .filter(|port| filter.matches(port))
        .map(|port| port.path)
        .collect()
}

/// One filter of several.
pub fn filter(filters: &[PortFilter]) -> PortFilter {
    let mut filter = PortFilter::default();
    for one in filters {
        filter.vendors.extend(&one.vendors);
        filter.products.extend(&one.products);
        filter.names.extend(one.names.iter().cloned());
        filter.serials.extend(one.serials.iter().cloned());
    }
    filter
}

/// Opens a port, as often as the configuration says.
///
/// # Errors
/// Says what is wrong with the port, and what there is instead.
pub fn open(context: &mut Context, name: &str) -> Result<Port, Error> {
    context.screen.message(&Message::OpeningPort {
        port: name.to_owned(),
    });
    if name.starts_with(SCHEME) {
        return simulated(context, name);
    }
    let attempts = open_attempts(context)?;
    let mut attempt = 1;
    loop {
        match open_once(context, name) {
            Ok(port) => return Ok(port),
            Err(error) if context.cancel.is_cancelled() => return Err(error.into()),
            Err(error @ (LinkError::BadAddress { .. } | LinkError::Cancelled)) => {
                return Err(error.into());
            }
            Err(error) if attempts != 0 && attempt >= attempts => return Err(error.into()),
            Err(error) => context.screen.message(&Message::OpenFailed {
                port: name.to_owned(),
                reason: error.to_string(),
                attempt,
            }),
        }
        std::thread::sleep(RETRY);
        attempt = attempt.saturating_add(1);
    }
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

/// How often a port is tried to be opened; 0: without end.
fn open_attempts(context: &mut Context) -> Result<u32, Error> {
    let attempts = match std::env::var("ESPTOOL_OPEN_PORT_ATTEMPTS") {
        Ok(text) => text.trim().parse().map_err(|_| {
            Error::Usage(format!(
                "ESPTOOL_OPEN_PORT_ATTEMPTS is '{text}'; write a number, 0 for no end"
            ))
        })?,
        Err(_) => context.config.open_port_attempts.unwrap_or(1),
    };
    let globals = &context.globals;
    if attempts != 1 && (globals.port.is_empty() || globals.chip.named().is_none()) {
        context.screen.message(&Message::Warning {
            text: "ESPTOOL_OPEN_PORT_ATTEMPTS (open_port_attempts) counts only together with \
                   --port and --chip"
                .to_owned(),
        });
        return Ok(1);
    }
    Ok(attempts)
}

fn open_once(context: &Context, name: &str) -> Result<Port, LinkError> {
    let address: Address = name.parse()?;
    let options = OpenOptions {
        baud: first_baud(context),
        cancel: context.cancel.clone(),
    };
    NativeLink::open(&address, &options).map(|link| Port::Native(Box::new(link)))
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
