//! Serial ports of this computer. What differs between systems is in `unix.rs` and `windows.rs`,
//! which have the same shape.

#[cfg(target_os = "linux")]
mod holder;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
mod windows;
use std::time::Duration;

#[cfg(windows)]
use windows as platform;

use crate::pace::{Pace, WRITE_TIMEOUT};
use crate::ports;
use crate::{Capabilities, Instant, Lines, Link, LinkError, OpenOptions, PortInfo};

/// Name and process id of a program that has a port open, where the system tells.
pub(crate) fn holder(path: &str) -> Option<String> {
    #[cfg(target_os = "linux")]
    return holder::find(std::path::Path::new(path));
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = path;
        None
    };
}

/// A serial port of this computer: a UART, a USB adapter, a chip's own USB port, a pty.
#[derive(Debug)]
pub struct SerialLink {
    /// `None` between losing the port and opening it again.
    port: Option<platform::Port>,
    path: String,
    info: PortInfo,
    settings: Settings,
    pace: Pace,
}

/// What a port is set to when it is opened: 8 data bits, no parity, 1 stop bit, no flow control,
/// and this.
#[derive(Debug, Clone, Copy)]
struct Settings {
    baud: u32,
    /// Closing the port must not move DTR and RTS.
    keep_lines: bool,
}

impl SerialLink {
    /// Opens a port for this program alone, and leaves DTR and RTS as the system sets them.
    ///
    /// # Errors
    /// [`LinkError::NotFound`], [`LinkError::Busy`], [`LinkError::Permission`],
    /// [`LinkError::BadAddress`] if it is something else than a serial port, and
    /// [`LinkError::Baud`].
    pub fn open(path: &str, options: &OpenOptions) -> Result<Self, LinkError> {
        let usb = ports::usb_id(path);
        let adapter = ports::adapter(usb.as_ref());
        let settings = Settings {
            baud: options.baud,
            keep_lines: adapter.is_some_and(|adapter| adapter.lines_flow_control),
        };
        let port = open_port(path, settings)?;
        let lines = port.has_lines();
        let capabilities = Capabilities {
            lines,
            lines_together: lines && Capabilities::SERIAL.lines_together,
            // A chip's own USB port takes any rate, and none has an effect.
            baud: adapter.is_none_or(|adapter| adapter.max_baud.is_some()),
            latency: ports::latency(path).unwrap_or(Capabilities::SERIAL.latency),
            safe_baud: adapter.and_then(|adapter| adapter.max_baud),
            ..Capabilities::SERIAL
        };
        Ok(Self {
            port: Some(port),
            path: path.to_owned(),
            info: PortInfo {
                name: path.to_owned(),
                usb,
                capabilities,
            },
            settings,
            pace: Pace::start(options.cancel.clone()),
        })
    }

    fn port(&mut self) -> Result<&mut platform::Port, LinkError> {
        self.port.as_mut().ok_or(LinkError::Lost(None))
    }
}

fn open_port(path: &str, settings: Settings) -> Result<platform::Port, LinkError> {
    let port = platform::Port::open(path, settings)?;
    if ports::latency(path).is_some() {
        port.lower_latency();
    }
    Ok(port)
}

impl Link for SerialLink {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        loop {
            let slice = self.pace.slice(deadline)?;
            let count = self.port()?.read(buffer, slice)?;
            if count > 0 || slice.is_zero() {
                return Ok(count);
            }
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        let mut deadline = self.now() + WRITE_TIMEOUT;
        while !bytes.is_empty() {
            let slice = self.pace.slice(deadline)?;
            let count = self.port()?.write(bytes, slice)?;
            bytes = bytes.get(count..).unwrap_or_default();
            if count > 0 {
                deadline = self.now() + WRITE_TIMEOUT;
            } else if slice.is_zero() {
                return Err(LinkError::Stalled);
            }
        }
        Ok(())
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        // What was written must go out at the old rate.
        let deadline = self.now() + WRITE_TIMEOUT;
        while !self.port()?.is_drained()? {
            let slice = self.pace.slice(deadline)?;
            if slice.is_zero() {
                return Err(LinkError::Stalled);
            }
            std::thread::sleep(slice.min(Duration::from_millis(1)));
        }
        self.port()?.set_baud(baud)?;
        self.settings.baud = baud;
        Ok(())
    }

    fn baud(&self) -> u32 {
        self.settings.baud
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        self.port()?.set_lines(lines)
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        self.port()?.discard_input()
    }

    /// As the trait says. A chip's own USB port that came back under another name is found by its
    /// serial number.
    async fn reopen(&mut self) -> Result<(), LinkError> {
        // The old one must be closed first: it holds the port, and its name.
        self.port = None;
        let settings = self.settings;
        let port = match open_port(&self.path, settings) {
            Err(error @ LinkError::NotFound { .. }) => {
                let moved = self.info.usb.as_ref().and_then(ports::find);
                let path = moved.ok_or(error)?;
                let port = open_port(&path, settings)?;
                self.path = path;
                port
            }
            result => result?,
        };
        self.port = Some(port);
        Ok(())
    }

    fn now(&self) -> Instant {
        self.pace.now()
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        self.pace.sleep(time)
    }
}
