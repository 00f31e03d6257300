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

use crate::pace::Pace;
use crate::ports::{self, Known, Places};
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
    info: PortInfo,
    settings: Settings,
    pace: Pace,
    places: Places,
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
        Self::open_in(Places::default(), path, options)
    }

    fn open_in(places: Places, path: &str, options: &OpenOptions) -> Result<Self, LinkError> {
        let known = places.port(path);
        let adapter = ports::adapter(known.usb.as_ref());
        let settings = Settings {
            baud: options.baud,
            keep_lines: adapter.is_some_and(|adapter| adapter.lines_flow_control),
        };
        let port = platform::Port::open(path, settings)?;
        let info = info(path, known, &port);
        Ok(Self {
            port: Some(port),
            info,
            settings,
            pace: Pace::start(options),
            places,
        })
    }

    /// Name of the port of the device that was lost.
    fn path_now(&self) -> Result<String, LinkError> {
        let before = &self.info.name;
        let Some(lost) = &self.info.usb else {
            return Ok(before.clone());
        };
        let named = self.places.usb_id(before);
        if named.as_ref().is_some_and(|usb| ports::is_same(usb, lost)) {
            return Ok(before.clone());
        }
        match self.places.find(lost) {
            Some(moved) => Ok(moved),
            // Another device has got the name.
            None if named.is_some() => Err(LinkError::NotFound {
                port: before.clone(),
            }),
            None => Ok(before.clone()),
        }
    }

    fn port(&mut self) -> Result<&mut platform::Port, LinkError> {
        self.port.as_mut().ok_or(LinkError::Lost(None))
    }
}

/// What is known about a port that has just been opened.
fn info(path: &str, known: Known, port: &platform::Port) -> PortInfo {
    if known.latency.is_some() {
        port.lower_latency();
    }
    let adapter = ports::adapter(known.usb.as_ref());
    let lines = port.has_lines();
    PortInfo {
        name: path.to_owned(),
        usb: known.usb,
        capabilities: Capabilities {
            lines,
            lines_together: lines && Capabilities::SERIAL.lines_together,
            // A chip's own USB port takes any rate, and none has an effect.
            baud: adapter.is_none_or(|adapter| adapter.max_baud.is_some()),
            latency: known.latency.unwrap_or(Capabilities::SERIAL.latency),
            safe_baud: adapter.and_then(|adapter| adapter.max_baud),
            ..Capabilities::SERIAL
        },
    }
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
        let mut deadline = self.pace.write_deadline();
        while !bytes.is_empty() {
            let slice = self.pace.slice(deadline)?;
            let count = self.port()?.write(bytes, slice)?;
            bytes = bytes.get(count..).unwrap_or_default();
            if count > 0 {
                deadline = self.pace.write_deadline();
            } else if slice.is_zero() {
                return Err(LinkError::Stalled);
            }
        }
        Ok(())
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        // What was written must go out at the old rate.
        let deadline = self.pace.write_deadline();
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

    async fn keep_lines(&mut self) -> Result<(), LinkError> {
        self.port()?.keep_lines()?;
        self.settings.keep_lines = true;
        Ok(())
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        self.port()?.discard_input()
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        // The old one must be closed first: it holds the port, and its name.
        self.port = None;
        let path = self.path_now()?;
        let port = platform::Port::open(&path, self.settings)?;
        let mut known = self.places.port(&path);
        // While the system has not taken note of it, it is what it was.
        known.usb = known.usb.or_else(|| self.info.usb.take());
        self.info = info(&path, known, &port);
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

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::{Pty, block_on};
    use guru_testkit::Scratch;

    /// A bus with sockets into which pseudo-terminals are plugged.
    struct Bus(Scratch);

    impl Bus {
        fn new() -> Self {
            let scratch = Scratch::new();
            for folder in ["class", "dev"] {
                fs::create_dir_all(scratch.path(folder)).unwrap();
            }
            Self(scratch)
        }

        fn places(&self) -> Places {
            Places {
                class: self.0.path("class"),
                dev: self.0.path("dev"),
            }
        }

        fn path(&self, name: &str) -> String {
            let path = self.0.path(Path::new("dev").join(name));
            path.to_str().unwrap().to_owned()
        }

        fn plug(&self, pty: &Pty, name: &str, socket: &str, product: &str, serial: &str) {
            let device = self.0.path(format!("devices/{socket}-{name}/{socket}"));
            let function = device.join(format!("{socket}:1.0"));
            fs::create_dir_all(&function).unwrap();
            for (file, text) in [
                ("idVendor", "303a"),
                ("idProduct", product),
                ("serial", serial),
            ] {
                fs::write(device.join(file), text).unwrap();
            }
            fs::write(function.join("bInterfaceNumber"), "00").unwrap();
            let entry = self.0.path("class").join(name);
            fs::create_dir_all(&entry).unwrap();
            symlink(function, entry.join("device")).unwrap();
            symlink(pty.path(), self.path(name)).unwrap();
        }

        fn unplug(&self, name: &str) {
            fs::remove_file(self.path(name)).unwrap();
            fs::remove_dir_all(self.0.path("class").join(name)).unwrap();
        }

        fn open(&self, name: &str) -> SerialLink {
            SerialLink::open_in(self.places(), &self.path(name), &OpenOptions::default()).unwrap()
        }
    }

    #[test]
    fn a_port_that_came_back_under_another_name_is_opened_again() {
        let (bus, application) = (Bus::new(), Pty::open().unwrap());
        bus.plug(&application, "ttyACM0", "1-2", "4001", "123456");
        let mut link = bus.open("ttyACM0");
        drop(application);
        bus.unplug("ttyACM0");
        let error = block_on(link.reopen()).unwrap_err();
        assert!(matches!(error, LinkError::NotFound { .. }), "{error}");
        let mut rom = Pty::open().unwrap();
        bus.plug(&rom, "ttyACM1", "1-2", "0002", "0");
        block_on(link.reopen()).unwrap();
        assert_eq!(link.info().name, bus.path("ttyACM1"));
        assert_eq!(link.info().usb.as_ref().unwrap().product, 2);
        block_on(link.write(b"x")).unwrap();
        assert_eq!(rom.read(&mut [0; 4], Duration::from_secs(10)).unwrap(), 1);
    }

    #[test]
    fn another_board_that_got_the_old_name_is_not_opened() {
        let (bus, ours) = (Bus::new(), Pty::open().unwrap());
        bus.plug(&ours, "ttyACM0", "1-2", "1001", "AA");
        let mut link = bus.open("ttyACM0");
        drop(ours);
        bus.unplug("ttyACM0");
        let (other, mut again) = (Pty::open().unwrap(), Pty::open().unwrap());
        bus.plug(&other, "ttyACM0", "1-3", "1001", "BB");
        bus.plug(&again, "ttyACM1", "1-2", "1001", "AA");
        block_on(link.reopen()).unwrap();
        assert_eq!(link.info().name, bus.path("ttyACM1"));
        block_on(link.write(b"x")).unwrap();
        assert_eq!(again.read(&mut [0; 4], Duration::from_secs(10)).unwrap(), 1);
    }

    #[test]
    fn while_only_another_board_is_there_the_lost_one_is_not_found() {
        let (bus, ours) = (Bus::new(), Pty::open().unwrap());
        bus.plug(&ours, "ttyACM0", "1-2", "1001", "AA");
        let mut link = bus.open("ttyACM0");
        drop(ours);
        bus.unplug("ttyACM0");
        let other = Pty::open().unwrap();
        bus.plug(&other, "ttyACM0", "1-3", "1001", "BB");
        let error = block_on(link.reopen()).unwrap_err();
        assert!(matches!(error, LinkError::NotFound { .. }), "{error}");
    }

    #[test]
    fn a_name_that_leads_to_the_port_stays_its_name() {
        let (bus, before) = (Bus::new(), Pty::open().unwrap());
        bus.plug(&before, "ttyACM0", "1-2", "1001", "AA");
        let alias = bus.0.path("my-board").to_str().unwrap().to_owned();
        symlink(bus.path("ttyACM0"), &alias).unwrap();
        let options = OpenOptions::default();
        let mut link = SerialLink::open_in(bus.places(), &alias, &options).unwrap();
        drop(before);
        bus.unplug("ttyACM0");
        let after = Pty::open().unwrap();
        bus.plug(&after, "ttyACM1", "1-2", "1001", "AA");
        fs::remove_file(&alias).unwrap();
        symlink(bus.path("ttyACM1"), &alias).unwrap();
        block_on(link.reopen()).unwrap();
        assert!([alias, bus.path("ttyACM1")].contains(&link.info().name));
    }
}
