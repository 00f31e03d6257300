//! Serial ports over a network: Telnet's Com Port Control option (RFC 2217).
//!
//! [`Parser`] and the `encode` functions are the codec for both ends, [`Server`] is the port's end
//! without I/O, and [`Rfc2217Link`] is the client.

mod client;
mod com_port;
mod server;
mod telnet;

pub use client::Rfc2217Link;
pub use com_port::{Control, Notice, PARITY_NONE, Purge, Request, STOP_SIZE_ONE};
pub use server::{ModemState, Server, ServerEvent};
pub use telnet::{MAX_SUBNEGOTIATION, Parser, TelnetEvent, TelnetOption, Verb, encode};
