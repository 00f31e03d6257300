use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, ioctl_tiocexcl,
    ioctl_tiocnxcl, tcflush, tcgetattr, tcsetattr,
};

use super::Settings;
use crate::{Lines, LinkError};

/// An open terminal device.
#[derive(Debug)]
pub(super) struct Port {
    file: File,
    has_lines: bool,
}

impl Port {
    pub(super) fn open(path: &str, settings: Settings) -> Result<Self, LinkError> {
        // Non-blocking: neither opening nor reading waits for a carrier.
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)
            .map_err(|error| open_error(path, error))?;
        let is_device = file
            .metadata()
            .is_ok_and(|data| data.file_type().is_char_device());
        let has_lines = is_device && lines::get(&file).is_ok();
        let port = Self { file, has_lines };
        port.take(path)?;
        port.configure(settings).map_err(|error| match error {
            LinkError::Io(error) | LinkError::Lost(Some(error)) => open_error(path, error),
            other => other,
        })?;
        Ok(port)
    }

    /// Locks the port against other programs: by a lock that programs ask for, and by the
    /// terminal's own, which opening obeys unless root does it.
    fn take(&self, path: &str) -> Result<(), LinkError> {
        // Not every file system has locks: other errors do not count.
        let lock = flock(&self.file, FlockOperation::NonBlockingLockExclusive);
        if lock == Err(Errno::WOULDBLOCK) {
            return Err(busy(path));
        }
        // A pty keeps this lock after its holder was killed, and nobody could open it again.
        if self.has_lines {
            ioctl_tiocexcl(&self.file).map_err(|error| open_error(path, error.into()))?;
        }
        Ok(())
    }

    fn configure(&self, settings: Settings) -> Result<(), LinkError> {
        let mut termios = tcgetattr(&self.file).map_err(failed)?;
        termios.make_raw();
        let modes = &mut termios.control_modes;
        modes.remove(
            ControlModes::CSIZE
                | ControlModes::CSTOPB
                | ControlModes::PARENB
                | ControlModes::CRTSCTS,
        );
        modes.insert(ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL);
        if settings.keep_lines {
            modes.remove(ControlModes::HUPCL);
        }
        // Reading nothing is then an error of its own, and 0 bytes are the end.
        termios.special_codes[SpecialCodeIndex::VMIN] = 1;
        termios.special_codes[SpecialCodeIndex::VTIME] = 0;
        self.apply(termios, settings.baud)
    }

    #[cfg(not(target_os = "macos"))]
    fn apply(&self, mut termios: Termios, baud: u32) -> Result<(), LinkError> {
        termios.set_speed(baud).map_err(|_| LinkError::Baud(baud))?;
        tcsetattr(&self.file, OptionalActions::Now, &termios).map_err(|error| match error {
            Errno::INVAL => LinkError::Baud(baud),
            other => failed(other),
        })?;
        // A driver that cannot do a rate takes another one and says so here only.
        let actual = tcgetattr(&self.file).map_err(failed)?.output_speed();
        if u64::from(actual.abs_diff(baud)) * 100 > u64::from(baud) * 3 {
            return Err(LinkError::Baud(baud));
        }
        Ok(())
    }

    /// Rates beyond POSIX's have a call of their own, which must come last.
    #[cfg(target_os = "macos")]
    fn apply(&self, mut termios: Termios, baud: u32) -> Result<(), LinkError> {
        termios.set_speed(9600).map_err(|_| LinkError::Baud(baud))?;
        tcsetattr(&self.file, OptionalActions::Now, &termios).map_err(failed)?;
        match lines::set_speed(&self.file, baud) {
            // A pty has no speed.
            Err(Errno::NOTTY) if !self.has_lines => Ok(()),
            Err(Errno::INVAL | Errno::NOTTY) => Err(LinkError::Baud(baud)),
            result => result.map_err(failed),
        }
    }

    /// Waits for at least one byte. 0: there was none in time.
    pub(super) fn read(&mut self, buffer: &mut [u8], wait: Duration) -> Result<usize, LinkError> {
        if buffer.is_empty() || !self.poll(PollFlags::IN, wait)? {
            return Ok(0);
        }
        match self.file.read(buffer) {
            Ok(0) => Err(LinkError::Lost(None)),
            Ok(count) => Ok(count),
            Err(error) if is_wait(&error) => Ok(0),
            Err(error) => Err(map(error)),
        }
    }

    /// Waits until the driver takes at least one byte. 0: it did not in time.
    pub(super) fn write(&mut self, bytes: &[u8], wait: Duration) -> Result<usize, LinkError> {
        match self.file.write(bytes) {
            Err(error) if is_wait(&error) => {}
            result => return result.map_err(map),
        }
        self.poll(PollFlags::OUT, wait)?;
        Ok(0)
    }

    fn poll(&self, flags: PollFlags, wait: Duration) -> Result<bool, LinkError> {
        let mut fds = [PollFd::new(&self.file, flags)];
        let wait = Timespec::try_from(wait).map_err(|_| failed(Errno::INVAL))?;
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(failed(error)),
        }
        let found = fds[0].revents();
        if found.intersects(flags) {
            return Ok(true);
        }
        // Hang-up or error, and nothing left to read.
        Err(LinkError::Lost(None))
    }

    /// Whether the driver has nothing left to send.
    pub(super) fn is_drained(&mut self) -> Result<bool, LinkError> {
        match lines::output_queue(&self.file) {
            Ok(count) => Ok(count == 0),
            Err(Errno::NOTTY | Errno::INVAL) => Ok(true),
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        if self.has_lines {
            // The last bytes are in the UART, where no queue counts them.
            rustix::termios::tcdrain(&self.file).map_err(failed)?;
        }
        let termios = tcgetattr(&self.file).map_err(failed)?;
        self.apply(termios, baud)
    }

    pub(super) fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        lines::set(&self.file, lines).map_err(|error| match error {
            Errno::NOTTY | Errno::INVAL | Errno::OPNOTSUPP => LinkError::NoLines,
            other => failed(other),
        })
    }

    pub(super) fn keep_lines(&mut self) -> Result<(), LinkError> {
        if !self.has_lines {
            return Err(LinkError::NoLines);
        }
        let mut termios = tcgetattr(&self.file).map_err(failed)?;
        termios.control_modes.remove(ControlModes::HUPCL);
        tcsetattr(&self.file, OptionalActions::Now, &termios).map_err(failed)
    }

    pub(super) fn discard_input(&mut self) -> Result<(), LinkError> {
        tcflush(&self.file, QueueSelector::IFlush).map_err(failed)
    }

    /// Asks the driver to hand bytes over at once. Only a few drivers listen: FTDI's adapters
    /// otherwise keep the end of an answer back for 16 ms.
    pub(super) fn lower_latency(&self) {
        // It is slower without, and nothing else.
        #[cfg(target_os = "linux")]
        let _ = lines::set_low_latency(&self.file);
    }

    pub(super) fn has_lines(&self) -> bool {
        self.has_lines
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if self.has_lines {
            // The port is being closed; there is nobody to tell.
            let _ = ioctl_tiocnxcl(&self.file);
        }
    }
}

/// Nothing to read, no room to write, or a signal came.
fn is_wait(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted)
}

fn failed(error: Errno) -> LinkError {
    map(error.into())
}

/// A device that was unplugged, and a pty whose other end closed, answer with one of these.
fn map(error: io::Error) -> LinkError {
    match Errno::from_io_error(&error) {
        Some(Errno::IO | Errno::NXIO | Errno::NODEV | Errno::PIPE) => LinkError::Lost(Some(error)),
        _ => LinkError::Io(error),
    }
}

fn open_error(path: &str, error: io::Error) -> LinkError {
    let port = path.to_owned();
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NXIO | Errno::NODEV) => LinkError::NotFound { port },
        Some(Errno::BUSY) => busy(path),
        Some(Errno::ACCESS | Errno::PERM) => LinkError::Permission {
            port,
            group: group(path),
        },
        Some(Errno::NOTTY | Errno::ISDIR | Errno::NOTDIR) => LinkError::BadAddress {
            url: port,
            reason: "this is not a serial port".to_owned(),
        },
        _ => LinkError::Io(error),
    }
}

fn busy(path: &str) -> LinkError {
    LinkError::Busy {
        port: path.to_owned(),
        holder: super::holder(path),
    }
}

/// Name of the group that a file belongs to, or its number if it has no name.
fn group(path: &str) -> Option<String> {
    let id = Path::new(path).metadata().ok()?.gid();
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| id.to_string()))
}

/// System calls for which there is no safe wrapper.
mod lines {
    #![expect(unsafe_code, reason = "ioctls on a terminal")]

    use std::ffi::c_int;
    use std::fs::File;

    use rustix::io::Errno;
    use rustix::ioctl::{Getter, Opcode, Setter, ioctl};

    use crate::Lines;

    const GET: Opcode = libc::TIOCMGET as Opcode;
    const SET: Opcode = libc::TIOCMSET as Opcode;
    const ASSERT: Opcode = libc::TIOCMBIS as Opcode;
    const RELEASE: Opcode = libc::TIOCMBIC as Opcode;
    const OUTPUT_QUEUE: Opcode = libc::TIOCOUTQ as Opcode;

    /// State of all modem lines.
    pub(super) fn get(file: &File) -> Result<c_int, Errno> {
        // SAFETY: TIOCMGET writes one int.
        unsafe { ioctl(file, Getter::<GET, c_int>::new()) }
    }

    /// Sets one line with one call, and both lines with one call.
    pub(super) fn set(file: &File, lines: Lines) -> Result<(), Errno> {
        match (lines.dtr, lines.rts) {
            (None, None) => Ok(()),
            (Some(dtr), None) => set_one(file, libc::TIOCM_DTR, dtr),
            (None, Some(rts)) => set_one(file, libc::TIOCM_RTS, rts),
            (Some(dtr), Some(rts)) => {
                let mut state = get(file)? & !(libc::TIOCM_DTR | libc::TIOCM_RTS);
                if dtr {
                    state |= libc::TIOCM_DTR;
                }
                if rts {
                    state |= libc::TIOCM_RTS;
                }
                // SAFETY: TIOCMSET reads one int.
                unsafe { ioctl(file, Setter::<SET, c_int>::new(state)) }
            }
        }
    }

    fn set_one(file: &File, line: c_int, on: bool) -> Result<(), Errno> {
        if on {
            // SAFETY: TIOCMBIS reads one int.
            unsafe { ioctl(file, Setter::<ASSERT, c_int>::new(line)) }
        } else {
            // SAFETY: TIOCMBIC reads one int.
            unsafe { ioctl(file, Setter::<RELEASE, c_int>::new(line)) }
        }
    }

    /// Bytes that the driver has not sent yet.
    pub(super) fn output_queue(file: &File) -> Result<c_int, Errno> {
        // SAFETY: TIOCOUTQ writes one int.
        unsafe { ioctl(file, Getter::<OUTPUT_QUEUE, c_int>::new()) }
    }

    /// Sets ASYNC_LOW_LATENCY among the flags of a serial port.
    #[cfg(target_os = "linux")]
    pub(super) fn set_low_latency(file: &File) -> Result<(), Errno> {
        use rustix::ioctl::Updater;

        const GET_SERIAL: Opcode = libc::TIOCGSERIAL as Opcode;
        const SET_SERIAL: Opcode = libc::TIOCSSERIAL as Opcode;
        // Of `struct serial_struct` in linux/serial.h, which has 72 bytes at most, the fifth int.
        const FLAGS: usize = 4;
        const LOW_LATENCY: c_int = 1 << 13;
        let mut serial: [c_int; 32] = [0; 32];
        // SAFETY: TIOCGSERIAL writes a serial_struct, for which the array has room.
        unsafe { ioctl(file, Updater::<GET_SERIAL, _>::new(&mut serial))? };
        if serial[FLAGS] & LOW_LATENCY != 0 {
            return Ok(());
        }
        serial[FLAGS] |= LOW_LATENCY;
        // SAFETY: TIOCSSERIAL reads a serial_struct, which the array holds.
        unsafe { ioctl(file, Setter::<SET_SERIAL, _>::new(serial)) }
    }

    /// Sets any baud rate (IOSSIOSPEED of IOKit's `serial/ioss.h`).
    #[cfg(target_os = "macos")]
    pub(super) fn set_speed(file: &File, baud: u32) -> Result<(), Errno> {
        const SPEED: Opcode = rustix::ioctl::opcode::write::<libc::speed_t>(b'T', 2);
        // SAFETY: IOSSIOSPEED reads one speed_t.
        unsafe {
            ioctl(
                file,
                Setter::<SPEED, libc::speed_t>::new(libc::speed_t::from(baud)),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_open_a_port_is_told_the_group_that_may() {
        let error = open_error("/dev/null", Errno::ACCESS.into());
        let gid = Path::new("/dev/null").metadata().unwrap().gid();
        let LinkError::Permission { port, group } = error else {
            panic!("{error:?}");
        };
        assert_eq!((port.as_str(), gid), ("/dev/null", 0));
        // The group with number 0 is called so on Linux and on the BSDs.
        assert!(["root", "wheel"].contains(&group.unwrap().as_str()));
    }

    #[test]
    fn errors_of_opening_have_their_kinds() {
        for (errno, kind) in [
            (Errno::NOENT, "NotFound"),
            (Errno::NXIO, "NotFound"),
            (Errno::BUSY, "Busy"),
            (Errno::PERM, "Permission"),
            (Errno::NOTTY, "BadAddress"),
            (Errno::MFILE, "Io"),
        ] {
            let error = format!("{:?}", open_error("/dev/null", errno.into()));
            assert!(error.starts_with(kind), "{errno:?}: {error}");
        }
    }
}
