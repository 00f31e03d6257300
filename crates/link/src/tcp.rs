use std::time::Duration;

use crate::pace::Pace;
use crate::socket::Socket;
use crate::{Capabilities, HostPort, Instant, Lines, Link, LinkError, OpenOptions, PortInfo};

/// A plain byte stream over TCP: `socket://host:port` and `tcp://host:port`. It has no control
/// lines and no baud rate.
#[derive(Debug)]
pub struct TcpLink {
    socket: Socket,
    host: HostPort,
    info: PortInfo,
    baud: u32,
}

impl TcpLink {
    /// Connects. `name` is the address as the user gave it.
    ///
    /// # Errors
    /// [`LinkError::Connect`] if the host cannot be reached within 10 s.
    pub fn open(name: &str, host: &HostPort, options: &OpenOptions) -> Result<Self, LinkError> {
        let pace = Pace::start(options);
        Ok(Self {
            socket: Socket::connect(host, name, pace)?,
            host: host.clone(),
            info: PortInfo {
                name: name.to_owned(),
                usb: None,
                capabilities: Capabilities::STREAM,
            },
            baud: options.baud,
        })
    }
}

impl Link for TcpLink {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        self.socket.read(buffer, deadline)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.socket.write(bytes)
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        self.baud = baud;
        Ok(())
    }

    fn baud(&self) -> u32 {
        self.baud
    }

    async fn set_lines(&mut self, _: Lines) -> Result<(), LinkError> {
        Err(LinkError::NoLines)
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        let mut buffer = [0; 4096];
        while self.socket.read_now(&mut buffer)?.is_some() {}
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        let pace = self.socket.pace().clone();
        self.socket = Socket::connect(&self.host, &self.info.name, pace)?;
        Ok(())
    }

    fn now(&self) -> Instant {
        self.socket.pace().now()
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        self.socket.pace().sleep(time)
    }
}
