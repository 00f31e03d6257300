use std::time::Duration;

use guru_link::{Cancel, Capabilities, Instant, Lines, Link, LinkError, PortInfo, UsbId};

use crate::device::Device;
use crate::event::{Event, Stats};
use crate::flash::Flash;
use crate::options::{OptionsError, Pace, SimOptions, UsbMode};
use crate::pace::Pacer;

/// Bytes that the driver's buffer takes before a write waits, as on Linux.
const DRIVER_BUFFER: usize = 4096;

/// A link to a simulated chip in this process. Its clock is virtual: waiting costs no time,
/// unless real time was asked for.
pub struct SimLink {
    device: Device,
    /// Name of the port before it came back under another one.
    name: String,
    /// USB serial number.
    serial: String,
    info: PortInfo,
    baud: u32,
    now: Instant,
    cancel: Cancel,
    /// Set where real time passes.
    pacer: Option<Pacer>,
    waiting: Vec<u8>,
}

impl SimLink {
    /// A link to a chip as the options say. `cancel` ends every wait.
    ///
    /// # Errors
    ///
    /// The options contradict what the chip can be, or a file cannot be used.
    pub fn new(options: &SimOptions, cancel: Cancel) -> Result<Self, OptionsError> {
        options.check()?;
        let device = Device::new(options)?;
        let name = format!("sim://{}", options.chip.id);
        let serial = options.mac().to_string();
        let (usb, _) = device.usb_id(&serial);
        Ok(Self {
            device,
            info: port_info(options, &name, usb),
            name,
            serial,
            baud: 115_200,
            now: Instant::default(),
            cancel,
            pacer: (options.pace == Some(Pace::Real)).then(Pacer::start),
            waiting: Vec::new(),
        })
    }

    /// A link to a chip by its address: `sim://esp32c3?flash-size=4MB`.
    ///
    /// # Errors
    ///
    /// The address is malformed, or as for [`new`](Self::new).
    pub fn open(url: &str, cancel: Cancel) -> Result<Self, OptionsError> {
        let mut link = Self::new(&url.parse()?, cancel)?;
        link.name = url.to_owned();
        link.info.name = url.to_owned();
        Ok(link)
    }

    /// The contents of the flash.
    pub fn flash(&self) -> Flash {
        self.device.flash().clone()
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        self.device.stats()
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.device.take_events()
    }

    /// See [`Device::never_leap`].
    pub fn never_leap(&mut self) {
        self.device.never_leap();
    }

    /// The chip at the other end.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Goes on to a moment that lies ahead, in real time if that was asked for.
    fn pass(&mut self, until: Instant) -> Result<(), LinkError> {
        if let Some(pacer) = &self.pacer {
            loop {
                let left = until - pacer.now();
                if self.cancel.is_cancelled() {
                    return Err(LinkError::Cancelled);
                }
                if left.is_zero() {
                    break;
                }
                std::thread::sleep(left.min(Cancel::POLL));
            }
        }
        if self.cancel.is_cancelled() {
            return Err(LinkError::Cancelled);
        }
        self.now = self.now.max(until);
        self.advance();
        Ok(())
    }

    /// The present moment; where real time passes it has moved on by itself.
    fn tick(&mut self) {
        if let Some(pacer) = &self.pacer {
            self.now = self.now.max(pacer.now());
        }
        self.advance();
    }

    fn advance(&mut self) {
        let (device, now) = (&mut self.device, self.now);
        match &mut self.pacer {
            Some(pacer) => pacer.simulate(now, || device.advance(now)),
            None => device.advance(now),
        }
    }

    fn check_connection(&self) -> Result<(), LinkError> {
        if self.device.is_connected() {
            Ok(())
        } else {
            Err(LinkError::Lost(None))
        }
    }
}

impl Link for SimLink {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        loop {
            self.tick();
            if self.waiting.is_empty() {
                self.device.poll(self.now, &mut self.waiting);
            }
            if !self.waiting.is_empty() {
                let len = self.waiting.len().min(buffer.len());
                buffer[..len].copy_from_slice(&self.waiting[..len]);
                self.waiting.drain(..len);
                return Ok(len);
            }
            self.check_connection()?;
            if self.now >= deadline {
                return Ok(0);
            }
            let next = self.device.next_event().map_or(deadline, |next| next.at);
            self.pass(next.min(deadline))?;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.tick();
        self.check_connection()?;
        self.device.write(self.now, bytes);
        // The driver takes what its buffer holds; for the rest the caller waits.
        while self.device.unsent() > DRIVER_BUFFER {
            self.check_connection()?;
            let step = match self.device.next_event() {
                Some(next) if next.at > self.now => next.at,
                _ => self.now + Duration::from_millis(1),
            };
            let step = step.min(self.now + Duration::from_millis(10));
            self.pass(step)?;
        }
        self.check_connection()
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        if baud == 0 {
            return Err(LinkError::Baud(baud));
        }
        self.tick();
        self.check_connection()?;
        let drained = self.device.drained_at();
        self.pass(drained)?;
        self.baud = baud;
        self.device.set_baud(self.now, baud);
        Ok(())
    }

    fn baud(&self) -> u32 {
        self.baud
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        self.tick();
        self.check_connection()?;
        self.device.set_lines(self.now, lines);
        Ok(())
    }

    /// The lines end with the link.
    async fn keep_lines(&mut self) -> Result<(), LinkError> {
        self.check_connection()
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        self.tick();
        self.check_connection()?;
        self.waiting.clear();
        self.device.discard();
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        self.tick();
        self.waiting.clear();
        if !self.device.is_on_bus(self.now) {
            return Err(LinkError::NotFound {
                port: self.info.name.clone(),
            });
        }
        self.device.reconnect(self.now);
        let (usb, suffix) = self.device.usb_id(&self.serial);
        self.info.usb = Some(usb);
        self.info.name = format!("{}{suffix}", self.name);
        self.device.set_baud(self.now, self.baud);
        Ok(())
    }

    fn now(&self) -> Instant {
        match &self.pacer {
            Some(pacer) => self.now.max(pacer.now()),
            None => self.now,
        }
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        self.tick();
        let until = self.now + time;
        self.pass(until)
    }
}

/// What is known about the port of the simulated chip.
fn port_info(options: &SimOptions, name: &str, usb: UsbId) -> PortInfo {
    let uart = options.usb == UsbMode::Uart;
    PortInfo {
        name: name.to_owned(),
        capabilities: Capabilities {
            lines: true,
            lines_together: true,
            baud: uart,
            network: false,
            latency: options.latency * 2,
            safe_baud: guru_chip::adapter(usb.vendor, usb.product)
                .filter(|_| uart)
                .and_then(|adapter| adapter.max_baud),
        },
        usb: Some(usb),
    }
}
