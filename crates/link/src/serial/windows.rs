use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::time::Duration;

use serialport::{COMPort, ClearBuffer, ErrorKind, SerialPort};

use super::Settings;
use crate::{Cancel, Lines, LinkError};

/// An open COM port.
#[derive(Debug)]
pub(super) struct Port {
    port: COMPort,
    /// What was last set: setting it is a system call.
    timeout: Duration,
    dtr: bool,
    keep_lines: bool,
    has_lines: bool,
}

// System error codes of winerror.h.
const ERROR_FILE_NOT_FOUND: i32 = 2;
const ERROR_PATH_NOT_FOUND: i32 = 3;
const ERROR_ACCESS_DENIED: i32 = 5;
const ERROR_BAD_COMMAND: i32 = 22;
const ERROR_GEN_FAILURE: i32 = 31;
const ERROR_SHARING_VIOLATION: i32 = 32;
const ERROR_OPERATION_ABORTED: i32 = 995;
const ERROR_NO_SUCH_DEVICE: i32 = 433;
const ERROR_DEVICE_REMOVED: i32 = 1617;
const ERROR_DEVICE_NOT_CONNECTED: i32 = 1167;

impl Port {
    pub(super) fn open(path: &str, settings: Settings) -> Result<Self, LinkError> {
        let timeout = Cancel::POLL;
        let port = serialport::new(path, settings.baud).timeout(timeout);
        let port = COMPort::open(&port).map_err(|error| open_error(path, &error))?;
        let mut port = Self {
            port,
            timeout,
            dtr: false,
            keep_lines: settings.keep_lines,
            has_lines: true,
        };
        // The driver may have asserted both. RTS goes first, and DTR follows: with DTR asserted
        // and RTS released the chip runs on, the other way round it would be reset.
        match port.set_lines(Lines::rts(false)) {
            // Some drivers have none; the port is good for a chip that is in its loader already.
            Err(LinkError::NoLines) => port.has_lines = false,
            result => result?,
        }
        Ok(port)
    }

    /// Waits for at least one byte. 0: there was none in time.
    pub(super) fn read(&mut self, buffer: &mut [u8], wait: Duration) -> Result<usize, LinkError> {
        self.set_timeout(wait)?;
        match self.port.read(buffer) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(0),
            Err(error) => Err(map(error)),
        }
    }

    /// Waits until the driver takes at least one byte. 0: it did not in time.
    pub(super) fn write(&mut self, bytes: &[u8], _: Duration) -> Result<usize, LinkError> {
        self.set_timeout(Cancel::POLL)?;
        match self.port.write(bytes) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(0),
            Err(error) => Err(map(error)),
        }
    }

    fn set_timeout(&mut self, timeout: Duration) -> Result<(), LinkError> {
        let timeout = timeout.max(Duration::from_millis(1));
        if timeout != self.timeout {
            self.port.set_timeout(timeout).map_err(failed)?;
            self.timeout = timeout;
        }
        Ok(())
    }

    /// Whether the driver has nothing left to send.
    pub(super) fn is_drained(&mut self) -> Result<bool, LinkError> {
        self.port
            .bytes_to_write()
            .map(|count| count == 0)
            .map_err(failed)
    }

    pub(super) fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        self.port.flush().map_err(map)?;
        self.port
            .set_baud_rate(baud)
            .map_err(|_| LinkError::Baud(baud))
    }

    pub(super) fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        if let Some(dtr) = lines.dtr {
            self.port.write_data_terminal_ready(dtr).map_err(no_lines)?;
            self.dtr = dtr;
        }
        if let Some(rts) = lines.rts {
            self.port.write_request_to_send(rts).map_err(no_lines)?;
            // usbser.sys tells the device of its lines only when DTR is written.
            self.port
                .write_data_terminal_ready(self.dtr)
                .map_err(no_lines)?;
        }
        Ok(())
    }

    /// Most drivers release both lines when the port is closed.
    pub(super) fn keep_lines(&mut self) -> Result<(), LinkError> {
        Err(LinkError::NoLines)
    }

    pub(super) fn discard_input(&mut self) -> Result<(), LinkError> {
        self.port.clear(ClearBuffer::Input).map_err(failed)
    }

    /// The driver's settings decide.
    pub(super) fn lower_latency(&self) {}

    pub(super) fn has_lines(&self) -> bool {
        self.has_lines
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if self.keep_lines {
            // With both released, closing has nothing to move. There is nobody to tell of errors.
            let _ = self.port.write_data_terminal_ready(false);
        }
    }
}

/// What the crate says of an error tells a missing port from a busy one only in the user's
/// language, so the system is asked again.
fn open_error(path: &str, error: &serialport::Error) -> LinkError {
    let device = if path.starts_with('\\') {
        path.to_owned()
    } else {
        format!(r"\\.\{path}")
    };
    let again = OpenOptions::new()
        .read(true)
        .write(true)
        .share_mode(0)
        .open(device);
    let port = path.to_owned();
    match again {
        Ok(_) => failed(error.clone()),
        Err(error) => match error.raw_os_error() {
            Some(ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND | ERROR_NO_SUCH_DEVICE) => {
                LinkError::NotFound { port }
            }
            Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION) => {
                LinkError::Busy { port, holder: None }
            }
            _ => LinkError::Io(error),
        },
    }
}

fn failed(error: serialport::Error) -> LinkError {
    match error.kind() {
        ErrorKind::NoDevice => LinkError::Lost(Some(error.into())),
        _ => LinkError::Io(error.into()),
    }
}

fn no_lines(error: serialport::Error) -> LinkError {
    match error.kind() {
        ErrorKind::NoDevice => LinkError::Lost(Some(error.into())),
        _ => LinkError::NoLines,
    }
}

/// An adapter that was unplugged answers with one of these.
fn map(error: io::Error) -> LinkError {
    match error.raw_os_error() {
        Some(
            ERROR_ACCESS_DENIED
            | ERROR_BAD_COMMAND
            | ERROR_GEN_FAILURE
            | ERROR_OPERATION_ABORTED
            | ERROR_NO_SUCH_DEVICE
            | ERROR_DEVICE_REMOVED
            | ERROR_DEVICE_NOT_CONNECTED,
        ) => LinkError::Lost(Some(error)),
        _ => LinkError::Io(error),
    }
}
