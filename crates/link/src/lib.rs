//! The one seam to the world: bytes and two control lines to a device, and the clock.
//!
//! Everything above this crate is `async` and knows neither threads nor a runtime. Natively every
//! call finishes before it gives control back, so [`block_on`] is a few lines.

mod address;
mod cancel;
mod clock;
mod error;
mod forward;
mod link;
mod memory;
mod open;
mod pace;
#[cfg(any(unix, windows))]
pub mod ports;
#[cfg(unix)]
mod pty;
mod reset;
pub mod rfc2217;
#[cfg(any(unix, windows))]
mod serial;
mod socket;
mod tcp;
pub mod trace;

pub use address::{Address, HostPort, Rfc2217Address};
pub use cancel::Cancel;
pub use clock::{Instant, SystemClock, block_on};
pub use error::LinkError;
pub use link::{Capabilities, Lines, Link, PortInfo, UsbId};
pub use memory::{ManualClock, MemoryLink};
pub use open::{NativeLink, OpenOptions};
#[cfg(unix)]
pub use pty::Pty;
pub use reset::{ResetSequence, ResetSequenceError, Step};
#[cfg(any(unix, windows))]
pub use serial::SerialLink;
pub use tcp::TcpLink;
