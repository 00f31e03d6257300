use std::time::Duration;

#[cfg(any(unix, windows))]
use crate::SerialLink;
use crate::rfc2217::Rfc2217Link;
use crate::{Address, Cancel, Instant, Lines, Link, LinkError, PortInfo, TcpLink};

/// How to open a port.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Baud rate in bits per second.
    pub baud: u32,
    /// Ends the link's waits.
    pub cancel: Cancel,
}

impl Default for OpenOptions {
    /// 115200 baud, as ROM loaders start with.
    fn default() -> Self {
        Self {
            baud: 115_200,
            cancel: Cancel::default(),
        }
    }
}

/// A link to a real device.
#[derive(Debug)]
pub enum NativeLink {
    /// A serial port of this computer.
    #[cfg(any(unix, windows))]
    Serial(SerialLink),
    /// A plain TCP connection.
    Tcp(TcpLink),
    /// A serial port of an RFC 2217 server.
    Rfc2217(Rfc2217Link),
}

impl NativeLink {
    /// Opens the port at an address.
    ///
    /// # Errors
    /// Those of [`SerialLink::open`], [`TcpLink::open`] and [`Rfc2217Link::open`].
    pub fn open(address: &Address, options: &OpenOptions) -> Result<Self, LinkError> {
        Self::open_as(&address.to_string(), address, options)
    }

    /// As [`open`](Self::open), with the address as the user wrote it for [`PortInfo::name`] and
    /// messages.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_as(
        name: &str,
        address: &Address,
        options: &OpenOptions,
    ) -> Result<Self, LinkError> {
        match address {
            #[cfg(any(unix, windows))]
            Address::Serial(path) => SerialLink::open(path, options).map(Self::Serial),
            #[cfg(not(any(unix, windows)))]
            Address::Serial(path) => Err(LinkError::NotFound { port: path.clone() }),
            Address::Tcp(host) => TcpLink::open(name, host, options).map(Self::Tcp),
            Address::Rfc2217(address) => {
                Rfc2217Link::open(name, address, options).map(Self::Rfc2217)
            }
        }
    }
}

macro_rules! delegate {
    ($self:ident, $link:ident => $call:expr) => {
        match $self {
            #[cfg(any(unix, windows))]
            Self::Serial($link) => $call,
            Self::Tcp($link) => $call,
            Self::Rfc2217($link) => $call,
        }
    };
}

impl Link for NativeLink {
    fn info(&self) -> &PortInfo {
        delegate!(self, link => link.info())
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        delegate!(self, link => link.read(buffer, deadline).await)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        delegate!(self, link => link.write(bytes).await)
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        delegate!(self, link => link.set_baud(baud).await)
    }

    fn baud(&self) -> u32 {
        delegate!(self, link => link.baud())
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        delegate!(self, link => link.set_lines(lines).await)
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        delegate!(self, link => link.discard_input().await)
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        delegate!(self, link => link.reopen().await)
    }

    fn now(&self) -> Instant {
        delegate!(self, link => link.now())
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        delegate!(self, link => link.sleep(time).await)
    }
}
