//! A simulated chip for other programs: on a pseudo-terminal, on a TCP port, or behind RFC 2217.

mod port;
#[cfg(unix)]
mod pty;
mod pump;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use guru_link::Cancel;
use thiserror::Error;

use crate::device::Device;
use crate::event::Event;
use crate::options::{Boot, OptionsError, SimOptions};
#[cfg(unix)]
use crate::usb::Reenumerate;
use port::{Port, Rfc2217Port, TcpPort};
use pump::Pump;

/// Where a simulated chip can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A new pseudo-terminal. It has no control lines.
    Pty,
    /// A TCP port: bytes only, no control lines.
    Tcp(SocketAddr),
    /// A TCP port that speaks RFC 2217, with baud rate and control lines.
    Rfc2217(SocketAddr),
}

/// What happens while a chip is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServeEvent {
    /// Clients can connect: the name of the port that they are to open, such as
    /// `socket://127.0.0.1:5555`.
    Listening {
        /// Name of the port.
        port: String,
    },
    /// A client has come.
    Connected {
        /// Its address.
        peer: String,
    },
    /// The client has gone, or a fault has cut it off.
    Disconnected {
        /// How long it was there, by the chip's clock.
        took: Duration,
    },
    /// Something happened to the chip.
    Chip(Event),
}

/// Why a chip cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The chip cannot be made.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The port cannot be made.
    #[error("cannot listen on {0}")]
    Listen(String, #[source] io::Error),
    /// The system has no pseudo-terminals.
    #[error("this system has no pseudo-terminals; use a TCP port")]
    NoPty,
}

/// How often a server without a client looks for one.
const ACCEPT: Duration = Duration::from_millis(5);

/// Serves one client after another until `cancel`, in real time or at another
/// [`Pace`](crate::Pace). The flash keeps its contents between clients. Where there
/// are no control lines, the chip is in its loader again for each new client, unless the options
/// say that it boots from flash.
///
/// # Errors
///
/// The options are wrong, or nothing can listen at the endpoint. What befalls a client is an
/// event.
pub fn serve(
    options: &SimOptions,
    endpoint: &Endpoint,
    cancel: &Cancel,
    events: &mut dyn FnMut(ServeEvent),
) -> Result<(), ServeError> {
    options.check().map_err(ServeError::Options)?;
    let mut device = Device::new(options)?;
    if !matches!(endpoint, Endpoint::Rfc2217(_)) {
        device.without_lines(options.boot != Boot::App);
    }
    let pump = Pump::new(device, options.pace, cancel.clone());
    match endpoint {
        Endpoint::Pty => serve_pty(pump, options, events),
        Endpoint::Tcp(address) => serve_tcp(pump, *address, "socket", TcpPort::new, events),
        Endpoint::Rfc2217(address) => {
            let port = |stream| Rfc2217Port::new(stream, options.usb);
            serve_tcp(pump, *address, "rfc2217", port, events)
        }
    }
}

#[cfg(unix)]
fn serve_pty(
    mut pump: Pump,
    options: &SimOptions,
    events: &mut dyn FnMut(ServeEvent),
) -> Result<(), ServeError> {
    let listen = |error| ServeError::Listen("a pseudo-terminal".to_owned(), error);
    let new = || pty::PtyPort::new(options.link.as_deref()).map_err(listen);
    let mut port = new()?;
    let mut is_new = true;
    while !pump.is_cancelled() {
        events(ServeEvent::Listening { port: port.name() });
        if is_new {
            pump.restart();
        } else {
            pump.reconnect();
        }
        pump.run(&mut port, events);
        is_new = pump.is_on_bus();
        if options.reenumerate == Some(Reenumerate::Other) {
            // As long as the old one is there, the new one has another name.
            let next = new()?;
            drop(port);
            pump.wait_for_bus();
            port = next;
        } else {
            drop(port);
            pump.wait_for_bus();
            port = new()?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn serve_pty(_: Pump, _: &SimOptions, _: &mut dyn FnMut(ServeEvent)) -> Result<(), ServeError> {
    Err(ServeError::NoPty)
}

fn serve_tcp<P: Port>(
    mut pump: Pump,
    address: SocketAddr,
    scheme: &str,
    port: impl Fn(std::net::TcpStream) -> io::Result<P>,
    events: &mut dyn FnMut(ServeEvent),
) -> Result<(), ServeError> {
    let listen = |error| ServeError::Listen(address.to_string(), error);
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    events(ServeEvent::Listening {
        port: format!("{scheme}://{bound}"),
    });
    while !pump.is_cancelled() {
        // Any failure is one of a client that is gone again, or passes.
        let Ok((stream, peer)) = listener.accept() else {
            std::thread::sleep(ACCEPT);
            continue;
        };
        let Ok(mut port) = port(stream) else {
            continue;
        };
        events(ServeEvent::Connected {
            peer: peer.to_string(),
        });
        if P::RESTARTS {
            pump.restart();
        } else {
            pump.reconnect();
        }
        pump.run(&mut port, events);
    }
    Ok(())
}
