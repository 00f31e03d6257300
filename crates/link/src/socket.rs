use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use crate::pace::Pace;
use crate::{HostPort, Instant, LinkError};

/// How long a host may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A TCP connection whose waits look at the cancel token.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    pace: Pace,
    /// What was last set: setting it is a system call.
    read_timeout: Duration,
}

impl Socket {
    pub(crate) fn connect(host: &HostPort, name: &str, pace: Pace) -> Result<Self, LinkError> {
        let stream = connect(host, name, &pace)?;
        let slice = crate::Cancel::POLL;
        let set = || -> io::Result<()> {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(slice))?;
            stream.set_write_timeout(Some(slice))
        };
        set().map_err(LinkError::Io)?;
        Ok(Self {
            stream,
            pace,
            read_timeout: slice,
        })
    }

    /// Waits for at least one byte. 0: `deadline` passed.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        deadline: Instant,
    ) -> Result<usize, LinkError> {
        loop {
            // A time-out of zero is not allowed; a deadline that has passed still takes what is
            // there.
            let slice = self.pace.slice(deadline)?;
            let timeout = slice.max(Duration::from_millis(1));
            if timeout != self.read_timeout {
                self.stream
                    .set_read_timeout(Some(timeout))
                    .map_err(LinkError::Io)?;
                self.read_timeout = timeout;
            }
            match self.stream.read(buffer) {
                Ok(0) if buffer.is_empty() => return Ok(0),
                Ok(0) => return Err(LinkError::Lost(None)),
                Ok(count) => return Ok(count),
                Err(error) if is_wait(&error) && slice.is_zero() => return Ok(0),
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }

    /// Takes what has arrived, without waiting; `None`: nothing has.
    pub(crate) fn read_now(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, LinkError> {
        self.stream.set_nonblocking(true).map_err(LinkError::Io)?;
        let result = self.stream.read(buffer);
        self.stream.set_nonblocking(false).map_err(LinkError::Io)?;
        match result {
            Ok(0) => Err(LinkError::Lost(None)),
            Ok(count) => Ok(Some(count)),
            Err(error) if is_wait(&error) => Ok(None),
            Err(error) => Err(lost(error)),
        }
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        let mut deadline = self.pace.write_deadline();
        while !bytes.is_empty() {
            let slice = self.pace.slice(deadline)?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(LinkError::Lost(None)),
                Ok(count) => {
                    bytes = &bytes[count..];
                    deadline = self.pace.write_deadline();
                }
                Err(error) if is_wait(&error) && slice.is_zero() => {
                    return Err(LinkError::Stalled);
                }
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }
}

/// Resolves and connects on a thread of its own: neither can be interrupted.
fn connect(host: &HostPort, name: &str, pace: &Pace) -> Result<TcpStream, LinkError> {
    let (sender, receiver) = mpsc::channel();
    let target = host.clone();
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(connect_blocking(&target));
    });
    let deadline = pace.now() + CONNECT_TIMEOUT * 2;
    loop {
        let slice = pace.slice(deadline)?;
        let error = match receiver.recv_timeout(slice) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(mpsc::RecvTimeoutError::Timeout) if !slice.is_zero() => continue,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        return Err(LinkError::Connect {
            port: name.to_owned(),
            source: error,
        });
    }
}

fn connect_blocking(host: &HostPort) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host.host.as_str(), host.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Nothing happened within the time-out.
fn is_wait(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn lost(error: io::Error) -> LinkError {
    LinkError::Lost(Some(error))
}
