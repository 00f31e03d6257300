use std::time::Duration;

#[cfg(any(unix, windows))]
use crate::SerialLink;
use crate::rfc2217::Rfc2217Link;
use crate::{Address, Cancel, LinkError, TcpLink};

/// How to open a port.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Baud rate in bits per second.
    pub baud: u32,
    /// Ends the link's waits.
    pub cancel: Cancel,
    /// How long a device may refuse to take any byte before a write fails.
    pub write_timeout: Duration,
}

impl Default for OpenOptions {
    /// 115200 baud, as ROM loaders start with, and 10 s.
    fn default() -> Self {
        Self {
            baud: 115_200,
            cancel: Cancel::default(),
            write_timeout: Duration::from_secs(10),
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

    /// As [`open`](Self::open), with the address as the user wrote it for [`PortInfo::name`](crate::PortInfo::name) and
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

crate::forward_link!(NativeLink {
    #[cfg(any(unix, windows))]
    Serial,
    Tcp,
    Rfc2217,
});
