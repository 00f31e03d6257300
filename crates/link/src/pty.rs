//! A pseudo-terminal: a serial port that other programs open, whose device is this program.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, ioctl_tiocnxcl, tcgetattr, tcsetattr};

/// The device's end of a pseudo-terminal. Other programs open [`path`](Self::path), close it and
/// open it again; it is gone when this is dropped.
#[derive(Debug)]
pub struct Pty {
    master: File,
    /// Kept open, so that the terminal stays, with its settings, while no program has it open.
    slave: File,
    path: String,
}

impl Pty {
    /// Makes a pseudo-terminal in raw mode: no echo, no change of any byte.
    ///
    /// # Errors
    /// What the system says, for instance that there are too many.
    pub fn open() -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        fcntl_setfd(&master, FdFlags::CLOEXEC)?;
        fcntl_setfl(&master, OFlags::NONBLOCK | OFlags::RDWR)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname(&master, Vec::new())?
            .into_string()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
        let slave = File::options()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(&path)?;
        let mut termios = tcgetattr(&slave)?;
        termios.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &termios)?;
        Ok(Self {
            master: master.into(),
            slave,
            path,
        })
    }

    /// Name of the serial port for other programs.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Waits up to `wait` for bytes from the program at the other end. 0: there were none.
    ///
    /// # Errors
    /// What the system says. A program that closes the port is no error.
    pub fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.unlock();
        if !self.poll(PollFlags::IN, wait)? {
            return Ok(0);
        }
        self.master.read(buffer).or_else(nothing)
    }

    /// Waits up to `wait` until bytes can be handed over, and hands over as many as it can. 0:
    /// the other program reads too slowly, or nobody does.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        self.unlock();
        if !self.poll(PollFlags::OUT, wait)? {
            return Ok(0);
        }
        self.master.write(bytes).or_else(nothing)
    }

    /// Baud rate that the other program has set, in bits per second. It has no effect on a
    /// pseudo-terminal.
    ///
    /// # Errors
    /// What the system says.
    pub fn baud(&self) -> io::Result<u32> {
        Ok(tcgetattr(&self.slave)?.output_speed())
    }

    /// Opening a port for oneself lasts as long as the terminal, which here outlives the program
    /// that did so.
    fn unlock(&self) {
        // What fails here fails again where it is told.
        let _ = ioctl_tiocnxcl(&self.slave);
    }

    fn poll(&self, flags: PollFlags, wait: Duration) -> io::Result<bool> {
        let wait = Timespec::try_from(wait)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        match poll(&mut [PollFd::new(&self.master, flags)], Some(&wait)) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn nothing(error: io::Error) -> io::Result<usize> {
    use io::ErrorKind::{Interrupted, WouldBlock};
    match error.kind() {
        WouldBlock | Interrupted => Ok(0),
        _ => Err(error),
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}
