use std::io;

use thiserror::Error;

/// Why a link cannot be opened or used.
#[derive(Debug, Error)]
pub enum LinkError {
    /// There is no such port.
    #[error("{port}: no such port")]
    NotFound {
        /// Name of the port.
        port: String,
    },
    /// Another program uses the port.
    #[error("{port}: the port is in use{}", holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default())]
    Busy {
        /// Name of the port.
        port: String,
        /// Name and process id of the program that holds it, where the system tells.
        holder: Option<String>,
    },
    /// The user may not open the port.
    #[error("{port}: permission denied{}", group.as_ref().map(|group| format!(" (the port belongs to group '{group}')")).unwrap_or_default())]
    Permission {
        /// Name of the port.
        port: String,
        /// Group that may.
        group: Option<String>,
    },
    /// The host cannot be reached, or nothing listens there.
    #[error("{port}: cannot connect")]
    Connect {
        /// Address of the port.
        port: String,
        /// What the system says.
        source: io::Error,
    },
    /// The address of a port is malformed.
    #[error("{url}: {reason}")]
    BadAddress {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The driver does not take this baud rate.
    #[error("the port does not support {0} baud")]
    Baud(u32),
    /// The port has no control lines, or the driver refuses to set them.
    #[error("the port cannot set DTR and RTS")]
    NoLines,
    /// The device, or the network, took no byte for [`OpenOptions::write_timeout`](crate::OpenOptions).
    #[error("nothing can be written: the device does not take any data")]
    Stalled,
    /// The device went away: unplugged, or the connection was closed.
    #[error("the connection to the port was lost")]
    Lost(#[source] Option<io::Error>),
    /// The other end of the network connection did not do as its protocol says.
    #[error("{0}")]
    Protocol(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// Anything else that the system says.
    #[error("the port failed")]
    Io(#[source] io::Error),
}

impl LinkError {
    /// Whether the device went away, so that opening the port again may help.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}
