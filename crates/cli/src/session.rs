//! A command's session with a chip: from finding the port to leaving the chip.

use std::time::Duration;

use guru_link::trace::Traced;
use guru_link::{LinkError, block_on};
use guru_loader::{
    After, ConnectOptions, Console, Error as LoaderError, ErrorKind, Event, Leaving, NoSuchReset,
    NotInSecureDownload, Observer, ReadLength, Session, UsbMode,
};

use crate::args::Size;
use crate::cmd::reset::Into;
use crate::compat;
use crate::context::{Context, Mode};
use crate::error::{Error, Kind};
use crate::interrupt;
use crate::monitor::MonitorArgs;
use crate::port::{self, Port};
use crate::port_list;
use crate::port_url;
use crate::stubs;
use crate::trace::{self, Health};
use crate::ui::{Addresses, Message, Report, Screen};

/// How long it is waited before a port is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// A chip, connected.
pub type Device = Session<Traced<Port>>;

/// Finds and connects the chip, does the job, and leaves the chip as `--after` says, also when the
/// job failed.
///
/// # Errors
/// Those of the job and of everything around it.
pub fn with_device(
    context: &mut Context,
    job: impl FnOnce(&mut Device, &mut dyn Observer) -> Result<Report, LoaderError>,
) -> Result<(), Error> {
    interrupt::watch(context);
    let (mut device, health) = connect(context)?;
    let outcome = match device.can_leave(context.globals.after.0) {
        Ok(()) => {
            context.screen.message(&Message::Ready);
            work(context, &mut device, Ending::Leave, job)
        }
        Err(error) => {
            // Nothing was done, and the chip goes back to what it did.
            context.globals.after.0 = After::HardReset;
            work(context, &mut device, Ending::Leave, |_, _| Err(error))
        }
    };
    // The trace file is complete only now.
    drop(device);
    health.tell(context);
    outcome
}

/// As [`with_device`], for a job that ends the loader and starts a program: the chip is not reset
/// then, and what the program prints is shown.
///
/// # Errors
/// Those of the job, of the monitor, and of everything around them.
pub fn with_program(
    context: &mut Context,
    monitor: &MonitorArgs,
    job: impl FnOnce(&mut Device, &mut dyn Observer) -> Result<Report, LoaderError>,
) -> Result<(), Error> {
    interrupt::watch(context);
    let (mut device, health) = connect(context)?;
    context.screen.message(&Message::Ready);
    let mut outcome = work(context, &mut device, Ending::Run, job);
    let mut console = device.into_console();
    if outcome.is_ok() && monitor.is_on() {
        outcome = monitor.show(context, &mut console);
    }
    drop(console);
    health.tell(context);
    outcome
}

/// As [`with_device`]; with a monitor, what the application prints is shown from its first word on.
///
/// # Errors
/// Those of the job, of the monitor, and of everything around them.
pub fn with_application(
    context: &mut Context,
    monitor: &MonitorArgs,
    job: impl FnOnce(&mut Device, &mut dyn Observer) -> Result<Report, LoaderError>,
) -> Result<(), Error> {
    if !monitor.is_on() {
        return with_device(context, job);
    }
    interrupt::watch(context);
    let (mut device, health) = connect(context)?;
    context.screen.message(&Message::Ready);
    // The ROM's own USB device is left through its loader. Else the port has the rate of the boot log
    // before the chip is reset.
    let by_loader = device.device().usb_mode == Some(UsbMode::Otg);
    let ending = match by_loader {
        true => Ending::Leave,
        false => Ending::Run,
    };
    let log_baud = device.chip().rom.log_baud;
    let mut outcome = work(context, &mut device, ending, job);
    let mut console = device.into_console();
    if outcome.is_ok() && !by_loader {
        outcome = block_on(console.set_baud(log_baud))
            .map_err(Error::from)
            .and_then(|()| reset(context, &mut console, Into::App));
    }
    if outcome.is_ok() {
        outcome = monitor.show(context, &mut console);
    }
    drop(console);
    health.tell(context);
    outcome
}

/// A port that nothing was read from, for what needs no loader that answers.
///
/// # Errors
/// The port cannot be opened, or none was named and there is not exactly one.
pub fn open(context: &mut Context) -> Result<(Console<Traced<Port>>, Health), Error> {
    interrupt::watch(context);
    let name = match named_port(context)? {
        Some(name) => name,
        None => the_port(context)?,
    };
    let (link, health) = link_at(context, &name)?;
    Ok((Console::new(link), health))
}

/// The only port that a board can be behind.
fn the_port(context: &Context) -> Result<String, Error> {
    let ports = port_list::wanted(&context.globals)?;
    let names: Vec<_> = ports.into_iter().map(|port| port.path).collect();
    match &names[..] {
        [] => Err(port_list::none(&context.globals)),
        [name] => Ok(name.clone()),
        _ => Err(Error::Usage(format!(
            "there are several ports ({}); name one with --port",
            names.join(", ")
        ))),
    }
}

/// Resets the chip behind a port by its control lines.
///
/// # Errors
/// The port has none, and what the link says.
pub fn reset(
    context: &mut Context,
    console: &mut Console<Traced<Port>>,
    into: Into,
) -> Result<(), Error> {
    let options = options(context)?;
    match into {
        Into::App => {
            let leaving = block_on(console.reset_into_app(&options))?;
            context.screen.event(&Event::Leaving(leaving));
        }
        Into::Download => {
            if !block_on(console.reset_into_loader(&options))? {
                return Err(Error::Usage(
                    "--before no-reset leaves nothing to do; leave it out".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

/// What is done with a chip after a job that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is left as `--after` says.
    Leave,
    /// A program runs that is not to be disturbed.
    Run,
}

fn work(
    context: &mut Context,
    device: &mut Device,
    ending: Ending,
    job: impl FnOnce(&mut Device, &mut dyn Observer) -> Result<Report, LoaderError>,
) -> Result<(), Error> {
    let result = job(device, &mut observer(context.screen.as_mut()));
    let outcome = match result {
        Ok(report) => {
            context.screen.report(report);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            return Err(Error::Interrupted {
                state: state(device),
            });
        }
        Err(error) => Err(Error::from(error)),
    };
    // The predecessor leaves a chip alone whose mode does not have the command.
    let left_alone = |error: &Error| {
        context.mode == Mode::Esptool && matches!(error, Error::Session(error) if is_refused(error))
    };
    if outcome
        .as_ref()
        .is_err_and(|error| error.ends_the_link() || left_alone(error))
    {
        return outcome;
    }
    match (ending, context.mode, &outcome) {
        (Ending::Run, _, Ok(())) => return outcome,
        // The predecessor lets the chip alone even if nothing was started.
        (Ending::Run, Mode::Esptool, Err(_)) => {
            context.screen.event(&Event::Leaving(Leaving::Running));
            return outcome;
        }
        (Ending::Leave, ..) | (Ending::Run, Mode::Guru, Err(_)) => {}
    }
    let after = context.globals.after.0;
    let left = block_on(device.reset(after, &mut observer(context.screen.as_mut())));
    // What went wrong first counts more.
    outcome.and(left.map(drop).map_err(Error::from))
}

/// Whether a whole command is impossible in Secure Download Mode.
fn is_refused(error: &LoaderError) -> bool {
    matches!(
        error,
        LoaderError::SecureDownload(NotInSecureDownload::Doing(_))
    )
}

/// The chip's MAC.
///
/// # Errors
/// In Secure Download Mode it cannot be read.
pub fn mac(device: &Device) -> Result<Addresses, LoaderError> {
    let device = device.device();
    let mac = device.mac.clone().ok_or_else(|| {
        LoaderError::from(NotInSecureDownload::Doing("reading the MAC".to_owned()))
    })?;
    Ok(Addresses {
        mac,
        extended: device.extended_mac.clone(),
    })
}

/// The length of a range that is to be read or erased.
///
/// # Errors
/// When it does not fit into 32 bits.
pub fn read_length(address: u32, size: Size) -> Result<ReadLength, Error> {
    let Size::Bytes(size) = size else {
        return Ok(ReadLength::All);
    };
    if size == 0 {
        return Err(Error::Usage(
            "the size is 0; write at least 1, or ALL".to_owned(),
        ));
    }
    if address.checked_add(size - 1).is_none() {
        return Err(Error::Usage(format!(
            "0x{size:x} bytes from 0x{address:x} go beyond the last address, 0xffffffff"
        )));
    }
    Ok(ReadLength::Bytes(size))
}

fn observer(screen: &mut dyn Screen) -> impl FnMut(Event) + '_ {
    |event| screen.event(&event)
}

/// Connects at the named port, or at the first one with a chip that answers.
fn connect(context: &mut Context) -> Result<(Device, Health), Error> {
    let named = named_port(context)?;
    let attempts = open_attempts(context);
    if let Some(name) = named {
        return connect_again(context, &name, attempts);
    }
    let ports = port_list::wanted(&context.globals)?;
    let names: Vec<_> = ports.into_iter().map(|port| port.path).collect();
    context.screen.message(&Message::PortsFound {
        ports: names.clone(),
    });
    if names.is_empty() {
        return Err(port_list::none(&context.globals));
    }
    for name in &names {
        match connect_again(context, name, 1) {
            Ok(device) => return Ok(device),
            Err(error @ Error::Interrupted { .. }) => return Err(error),
            Err(error) => {
                let reason = reason(context, &error);
                context.screen.message(&Message::PortFailed {
                    port: name.clone(),
                    reason,
                });
            }
        }
    }
    Err(Error::NoPort {
        tried: names.len(),
        filter: port_list::filter(&context.globals.port_filter).to_string(),
        there: Vec::new(),
    })
}

/// The port that was named, if one was.
fn named_port(context: &mut Context) -> Result<Option<String>, Error> {
    if let Some(error) = context.misconfigured.take() {
        return Err(error.into());
    }
    match &context.globals.port[..] {
        [] => Ok(None),
        [name] => Ok(Some(name.clone())),
        _ => {
            let text = "this command takes one port, and several were named";
            Err(Error::Usage(text.to_owned()))
        }
    }
}

/// Opens a port, with what is to be recorded of it.
fn link_at(context: &mut Context, name: &str) -> Result<(Traced<Port>, Health), Error> {
    let target = port_url::follow(&context.globals, name)?;
    let link = port::open(context, &target.name)?;
    trace::traced(context, link, target.spy.as_ref())
}

/// How often a port is opened and connected through; 0 or less: without end.
fn open_attempts(context: &mut Context) -> i64 {
    let attempts = context.config.open_port_attempts;
    let globals = &context.globals;
    if attempts == 1 || (!globals.port.is_empty() && globals.chip.named().is_some()) {
        return attempts;
    }
    context.screen.message(&Message::Warning {
        text: "The ESPTOOL_OPEN_PORT_ATTEMPTS (open_port_attempts) option can only be used with \
               --port and --chip arguments."
            .to_owned(),
    });
    1
}

/// Connects at a port that may be there only now and then: that of a chip with USB of its own that
/// sleeps most of the time.
fn connect_again(
    context: &mut Context,
    name: &str,
    attempts: i64,
) -> Result<(Device, Health), Error> {
    context.screen.message(&Message::OpeningPort {
        port: name.to_owned(),
    });
    let mut attempt: u32 = 1;
    loop {
        let error = match connect_at(context, name) {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let last = attempts > 0 && i64::from(attempt) >= attempts;
        let vain = matches!(error.kind(), Kind::Usage | Kind::Interrupted | Kind::File);
        if last || vain || context.cancel.is_cancelled() {
            return Err(error);
        }
        let reason = reason(context, &error);
        context.screen.message(&Message::OpenFailed {
            port: name.to_owned(),
            reason,
            attempt,
        });
        std::thread::sleep(RETRY);
        attempt = attempt.saturating_add(1);
    }
}

/// Why a port was of no use, in the words of who is asked.
fn reason(context: &Context, error: &Error) -> String {
    match context.mode {
        Mode::Guru => error.to_string(),
        Mode::Esptool => compat::reason(error),
    }
}

fn connect_at(context: &mut Context, name: &str) -> Result<(Device, Health), Error> {
    let (link, health) = link_at(context, name)?;
    let options = options(context)?;
    let connected = block_on(Session::connect(
        link,
        options,
        &mut observer(context.screen.as_mut()),
    ));
    connected
        .map(|device| (device, health))
        .map_err(|error| match error {
            LoaderError::Link(LinkError::Cancelled) => Error::Interrupted {
                state: "nothing was changed".to_owned(),
            },
            error => error.into(),
        })
}

fn options(context: &Context) -> Result<ConnectOptions, Error> {
    let globals = &context.globals;
    let config = &context.config;
    Ok(ConnectOptions {
        stub: stubs::source(globals)?,
        chip: globals.chip.named(),
        identify: context.identify,
        before: globals.before.0,
        attempts: u32::try_from(globals.connect_attempts)
            .ok()
            .filter(|attempts| *attempts > 0),
        baud: globals.baud,
        reset: config.reset.clone(),
        hard_reset: config.hard_reset.clone(),
        reset_delay: config.reset_delay,
        timeouts: config.timeouts(),
        block_attempts: config.write_block_attempts,
        override_vddsdio: globals.override_vddsdio.map(|voltage| voltage.0),
        no_such_reset: match context.mode {
            Mode::Guru => NoSuchReset::Refuse,
            Mode::Esptool => NoSuchReset::HardReset,
        },
    })
}

/// In what state an interrupted job leaves the chip.
fn state(device: &Device) -> String {
    let loader = "the chip is still in its loader; reset it to start its application";
    match device.unfinished() {
        Some(range) => format!(
            "the flash from 0x{:08x} to 0x{:08x} may be partly erased or written; {loader}",
            range.start,
            range.end.saturating_sub(1)
        ),
        None => format!("nothing in the flash is half-written; {loader}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_at_the_last_address() {
        assert!(matches!(
            read_length(u32::MAX, Size::Bytes(1)),
            Ok(ReadLength::Bytes(1))
        ));
        assert!(read_length(u32::MAX, Size::Bytes(2)).is_err());
        assert!(read_length(0, Size::Bytes(0)).is_err());
        assert!(matches!(read_length(5, Size::All), Ok(ReadLength::All)));
    }
}
