use std::time::Duration;

use crate::{Instant, LinkError};

/// Bytes and two control lines to a device, and the clock by which it is timed.
///
/// Natively a call blocks until it is done and its future is ready at the first poll. Every wait
/// looks at the link's cancel token at least every 50 ms and then returns
/// [`LinkError::Cancelled`].
#[expect(
    async_fn_in_trait,
    reason = "one thread a board: the futures need not be Send"
)]
pub trait Link {
    /// What is known about the port.
    fn info(&self) -> &PortInfo;

    /// Waits until at least one byte has arrived, and takes as many as fit. 0: `deadline` passed.
    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError>;

    /// Hands all bytes to the device's driver. A network link sends them in one segment where it
    /// can.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError>;

    /// Changes the baud rate, in bits per second, after what was written has gone out. Without a
    /// UART ([`Capabilities::baud`]) it has no effect.
    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError>;

    /// The present baud rate in bits per second.
    fn baud(&self) -> u32;

    /// Sets control lines, both at the same moment where [`Capabilities::lines_together`] holds.
    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError>;

    /// Sees to it that DTR and RTS stay as they are when the port is closed, so that a chip is held
    /// in reset after the program has ended.
    ///
    /// # Errors
    /// [`LinkError::NoLines`] where they cannot be kept: a port of a server, a port on Windows.
    async fn keep_lines(&mut self) -> Result<(), LinkError> {
        Err(LinkError::NoLines)
    }

    /// Throws away what has arrived and was not read.
    async fn discard_input(&mut self) -> Result<(), LinkError>;

    /// Closes what is left of a lost port and opens it again, with the same settings. A chip's own
    /// USB port may come back under another name and as another USB device (its ROM's, its
    /// application's): it is found, and [`info`](Self::info) tells.
    async fn reopen(&mut self) -> Result<(), LinkError>;

    /// The link's clock: the system's, or a simulator's.
    fn now(&self) -> Instant;

    /// Waits, by the link's clock.
    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError>;
}

/// Which control lines to set, and how. `true` asserts the line: with the usual circuit DTR
/// asserted pulls GPIO0 low and RTS asserted pulls EN low. `None` leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// Data terminal ready.
    pub dtr: Option<bool>,
    /// Request to send.
    pub rts: Option<bool>,
}

impl Lines {
    /// Both lines.
    pub const fn both(dtr: bool, rts: bool) -> Self {
        Self {
            dtr: Some(dtr),
            rts: Some(rts),
        }
    }

    /// DTR alone.
    pub const fn dtr(dtr: bool) -> Self {
        Self {
            dtr: Some(dtr),
            rts: None,
        }
    }

    /// RTS alone.
    pub const fn rts(rts: bool) -> Self {
        Self {
            dtr: None,
            rts: Some(rts),
        }
    }
}

/// What is known about a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInfo {
    /// Name as the user gave it or the system lists it: `/dev/ttyUSB0`, `COM3`,
    /// `rfc2217://host:2217`, `sim://esp32c3`.
    pub name: String,
    /// The USB device behind it, if it is one.
    pub usb: Option<UsbId>,
    /// What the port can do.
    pub capabilities: Capabilities,
}

/// Identity of a USB device and of its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbId {
    /// Vendor id.
    pub vendor: u16,
    /// Product id.
    pub product: u16,
    /// Serial number, if it has one.
    pub serial: Option<String>,
    /// Product name, if it has one.
    pub name: Option<String>,
    /// Where it is plugged in, as the system numbers buses, hubs and sockets, and which of the
    /// device's functions it is (`1-2.3:1.0`); it stays when the device comes back as another one.
    pub location: Option<String>,
}

impl UsbId {
    /// Where the device is plugged in, which all its ports have in common.
    pub fn socket(&self) -> Option<&str> {
        let location = self.location.as_deref()?;
        Some(location.split(':').next().unwrap_or(location))
    }
}

/// What a port can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// DTR and RTS exist.
    pub lines: bool,
    /// DTR and RTS change at the same moment.
    pub lines_together: bool,
    /// There is a UART whose baud rate counts.
    pub baud: bool,
    /// The far end is reached over a network: latency is high, and input is not to be discarded
    /// before a reset.
    pub network: bool,
    /// Time between handing over a request and its first byte on the wire plus the way back of
    /// an answer, for cost estimates.
    pub latency: Duration,
    /// Highest baud rate in bits per second that the adapter is known to be safe at; `None`:
    /// unknown.
    pub safe_baud: Option<u32>,
}

impl Capabilities {
    /// A local serial port with both lines, about whose adapter nothing is known.
    pub const SERIAL: Self = Self {
        lines: true,
        lines_together: cfg!(unix),
        baud: true,
        network: false,
        latency: Duration::from_millis(1),
        safe_baud: None,
    };

    /// A plain byte stream: a TCP socket.
    pub const STREAM: Self = Self {
        lines: false,
        lines_together: false,
        baud: false,
        network: true,
        latency: Duration::from_millis(1),
        safe_baud: None,
    };
}
