use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use guru_link::rfc2217::{ModemState, Purge, Server, ServerEvent};

use crate::options::UsbMode;

/// How long a client may take no byte before it counts as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client wants of the chip.
pub(super) enum Input {
    Data(Vec<u8>),
    Baud(u32),
    /// A reset, into the loader or from flash.
    Reset {
        download: bool,
    },
    /// Drop what is on its way to the client.
    Purge,
}

/// The server's end of a connection.
pub(super) trait Port {
    /// Whether a new client finds the chip restarted: there are no control lines.
    const RESTARTS: bool;
    /// Whether the end of a client cannot be seen.
    const SHARED: bool;

    /// Waits up to `wait` for something to do. An error: the client is gone.
    fn read(&mut self, wait: Duration, inputs: &mut Vec<Input>) -> io::Result<()>;

    /// Hands over what the chip said. An error: the client is gone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A plain TCP connection.
pub(super) struct TcpPort {
    stream: TcpStream,
    timeout: Duration,
}

impl TcpPort {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Self {
            stream,
            timeout: Duration::ZERO,
        })
    }

    fn receive(&mut self, wait: Duration, buffer: &mut [u8]) -> io::Result<usize> {
        if wait.is_zero() {
            self.stream.set_nonblocking(true)?;
        } else if wait != self.timeout {
            self.stream.set_read_timeout(Some(wait))?;
            self.timeout = wait;
        }
        let read = self.stream.read(buffer);
        if wait.is_zero() {
            self.stream.set_nonblocking(false)?;
        }
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            },
            read => read,
        }
    }
}

impl Port for TcpPort {
    const RESTARTS: bool = true;
    const SHARED: bool = false;

    fn read(&mut self, wait: Duration, inputs: &mut Vec<Input>) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let len = self.receive(wait, &mut buffer)?;
        if len > 0 {
            inputs.push(Input::Data(buffer[..len].to_vec()));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
}

/// A TCP connection that carries RFC 2217.
///
/// Control lines that are set one message at a time, with waits of up to 100 ms in between, are too
/// slow for the circuit of a board. As the servers of the field do, this one does not follow each
/// edge but runs the whole sequence that is meant: DTR asserted resets into the loader, RTS
/// released outside of that resets into the application. A chip behind its own USB-Serial/JTAG also
/// takes the sequence for that, whose timing does not matter: DTR alone chooses the loader, and RTS
/// alone, behind it, resets.
pub(super) struct Rfc2217Port {
    tcp: TcpPort,
    server: Server,
    /// DTR is asserted: a reset into the loader has been done.
    in_sequence: bool,
    rts: bool,
    usb: UsbMode,
    /// DTR has been asserted alone, and the lines were not both released since.
    usb_download: bool,
    /// A reset into the loader by the peripheral has been done, and RTS is still asserted.
    usb_reset: bool,
}

impl Rfc2217Port {
    pub fn new(stream: TcpStream, usb: UsbMode) -> io::Result<Self> {
        let mut port = Self {
            tcp: TcpPort::new(stream)?,
            server: Server::new(115_200),
            in_sequence: false,
            rts: false,
            usb,
            usb_download: false,
            usb_reset: false,
        };
        port.server.set_modem_state(ModemState {
            cts: true,
            dsr: true,
            ..ModemState::default()
        });
        port.flush()?;
        Ok(port)
    }

    /// The reset that an edge of DTR means.
    fn set_dtr(&mut self, level: bool) -> Option<Input> {
        let starts = level && !self.in_sequence;
        let ends = !level && self.in_sequence;
        self.in_sequence = level;
        self.look_at_usb();
        let by_usb = self.usb == UsbMode::Jtag && ends && self.rts && self.usb_download;
        self.usb_reset |= by_usb;
        // Both lines asserted as a port is opened mean nothing.
        (by_usb || starts && self.rts).then_some(Input::Reset { download: true })
    }

    /// The reset that an edge of RTS means.
    fn set_rts(&mut self, level: bool) -> Option<Input> {
        let falls = self.rts && !level;
        self.rts = level;
        self.look_at_usb();
        let ends_usb = falls && std::mem::take(&mut self.usb_reset);
        (falls && !self.in_sequence && !ends_usb).then_some(Input::Reset { download: false })
    }

    fn look_at_usb(&mut self) {
        if !self.rts {
            self.usb_download = self.in_sequence;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let output = self.server.take_output();
        if output.is_empty() {
            return Ok(());
        }
        self.tcp.write(&output)
    }
}

impl Port for Rfc2217Port {
    const RESTARTS: bool = false;
    const SHARED: bool = false;

    fn read(&mut self, wait: Duration, inputs: &mut Vec<Input>) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let len = self.tcp.receive(wait, &mut buffer)?;
        for event in self.server.receive(&buffer[..len]) {
            inputs.push(match event {
                ServerEvent::Data(data) => Input::Data(data),
                ServerEvent::Baud(baud) => Input::Baud(baud),
                ServerEvent::Dtr(level) => match self.set_dtr(level) {
                    Some(reset) => reset,
                    None => continue,
                },
                ServerEvent::Rts(level) => match self.set_rts(level) {
                    Some(reset) => reset,
                    None => continue,
                },
                ServerEvent::Purge(Purge::Receive | Purge::Both) => Input::Purge,
                _ => continue,
            });
        }
        self.flush()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.server.send(bytes);
        self.flush()
    }
}
