//! The chip with its wires, without I/O: bytes and line levels in, bytes out, each with its time.

mod boot;
mod connection;
mod download;
mod executing;
mod lines;

use std::time::Duration;

use guru_chip::{Chip, Detection, MAGIC_ADDRESS, Revision};
use guru_link::Instant;

use crate::board::Board;
use crate::event::{Event, Stats};
use crate::fault::{Cut, Disconnect, FaultSpec, Line, When};
use crate::flash::{Faults, Flash, Nor};
use crate::identity::default_crystal;
use crate::machine::{Machine, RomImage, add_rom};
use crate::options::{Boot, OptionsError, SimOptions, UsbMode};
use crate::rom::{Answer, Loader, Receiver};
use crate::usb::Bus;
use crate::wire::{Wire, byte_ns, garble, understands};

/// How often the line about a missing image comes.
const REPEAT: Duration = Duration::from_millis(100);
/// A byte over the chip's own USB, in nanoseconds: about 800 KB/s, what full speed gives.
const USB_BYTE_NS: u64 = 1250;
/// Bytes to a host that does not read, or to a chip that does not listen, at the most; what comes then is
/// lost.
const MAX_UNREAD: usize = 1 << 20;
const DELIMITER: u8 = 0xC0;
/// Rate at which every host begins.
const DEFAULT_BAUD: u32 = 115_200;

/// A simulated chip with its flash, its USB connection and its clock.
pub struct Device {
    chip: &'static Chip,
    revision: Revision,
    usb: UsbMode,
    latency: u64,
    crystal: u32,
    log_baud: u32,
    /// The loader hears what comes over this connection.
    listens: bool,
    boot_pin_held: bool,
    /// The boot pin was low at the last reset that looked at it: of the supply, of EN, of a
    /// watchdog. A reset over the chip's own USB does not look again.
    strapped: bool,
    /// USB-OTG: RTS alone was asserted.
    usb_armed: bool,
    bus: Bus,
    /// What a program that is not executed prints when it is started.
    says: Vec<u8>,
    /// The mask ROM, where there is an image of it.
    rom: Option<RomImage>,
    /// The CPU, while it executes.
    machine: Option<Box<Machine>>,
    /// Until when somebody may wait for what the program does.
    awaited_until: u64,
    /// Until when the host and the program count as talking with each other.
    talks_until: u64,
    leaps: bool,
    /// There is no UART at the host's end: a socket. The host understands whatever comes.
    rate_follows: bool,

    now: u64,
    board: Board,
    loader: Loader,
    receiver: Receiver,
    phase: Phase,
    busy: Option<Busy>,
    /// Bytes that have come and have not been looked at.
    ring: Vec<u8>,
    to_chip: Wire,
    to_host: Wire,
    chip_baud: u32,
    host_baud: u32,
    measured: Measured,

    dtr: bool,
    rts: bool,
    /// USB-Serial/JTAG: the next reset leads into the loader.
    usb_download: bool,
    boot_at: Option<(u64, Cause)>,
    power_fails_at: Option<u64>,

    /// The application panics again and again.
    panics: bool,
    cut: Cut,
    connected: bool,
    disconnects: Vec<Disconnect>,
    stats: Stats,
    events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// No supply, or held in reset.
    Off,
    /// The loader, ready from this time on.
    Download { ready_at: u64 },
    /// Out of the loader. A line may be printed again and again.
    Running { repeat: String, next: u64 },
    /// A program runs, on the device's [`Machine`].
    Executing,
}

enum Busy {
    /// A command is worked on.
    Command(Answer),
    /// The rate changes as soon as what was said before has gone out.
    Baud { at: u64, baud: u32 },
    /// For ever.
    Stuck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Power,
    Pin,
    Usb,
    Software,
    /// A watchdog or the program, by the chip's number for it.
    Numbered(u8),
    /// The CPU alone, when a certificate was taken: what it opened stays open.
    Cpu,
}

/// Measurement of the host's baud rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measured {
    /// Not yet; so many bytes of 0x55 in a row have been seen.
    Waiting(u32),
    Done,
}

/// When something happens by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// When.
    pub at: Instant,
    /// Whether nobody is waiting for it: the boot log of an empty flash, which is repeated for
    /// ever, a watchdog, a loss of the connection at some time.
    pub idle: bool,
}

impl Device {
    /// A chip as the options say. It is powered at time 0.
    ///
    /// # Errors
    ///
    /// The options contradict what the chip can be, or the flash file cannot be used.
    pub fn new(options: &SimOptions) -> Result<Self, OptionsError> {
        let chip = options.chip;
        let flash = options.open_flash()?;
        let faults = &options.faults;
        for (offset, bit) in &faults.stuck_bits {
            flash.stick(*offset, 1 << bit);
        }
        let mut nor = Nor::new(options.flash_part()?, flash);
        nor.set_status(options.status);
        nor.set_faults(Faults {
            slow: faults.slow_flash.unwrap_or(0),
            stuck_from: faults.stuck_flash,
            power_loss_erase: faults.power_loss_erase,
            power_loss_program: faults.power_loss_program,
            absent: faults.no_flash,
        });
        let mut words = options.words()?;
        if let (Detection::Magic(_), Some(magic)) = (chip.detection, options.chip_id) {
            words.put(MAGIC_ADDRESS, magic);
        }
        let crystal = options.crystal_mhz();
        let mut board = Board::new(chip, nor, words, options.usb);
        let rom = options.rom_image()?;
        if rom.is_none() {
            add_rom(chip, &mut board.ram);
        }
        if let Some(rom) = &rom {
            rom.install(&mut board.ram)?;
        }
        board.chip_id = options.chip_id;
        let revision = options.revision();
        let usual = u32::from(default_crystal(chip));
        let mut device = Self {
            chip,
            revision,
            usb: options.usb,
            latency: options.latency.as_nanos() as u64,
            crystal: u32::from(crystal) * 1_000_000,
            log_baud: chip.rom.log_baud * u32::from(crystal) / usual.max(1),
            listens: board.fuses(revision).loader_listens(options.usb),
            boot_pin_held: options.boot == Boot::Held,
            strapped: matches!(options.boot, Boot::Download | Boot::Held),
            usb_armed: false,
            bus: Bus::new(options),
            says: options.says.clone(),
            rom,
            machine: None,
            awaited_until: 0,
            talks_until: 0,
            leaps: true,
            rate_follows: false,
            now: 0,
            loader: Loader::new(&board, revision),
            board,
            receiver: Receiver::new(),
            phase: Phase::Off,
            busy: None,
            ring: Vec::new(),
            to_chip: Wire::new(line(&faults.tx, faults, 1)),
            to_host: Wire::new(line(&faults.rx, faults, 2)),
            chip_baud: 0,
            host_baud: DEFAULT_BAUD,
            measured: Measured::Waiting(0),
            dtr: false,
            rts: false,
            usb_download: false,
            boot_at: None,
            power_fails_at: None,
            panics: options.boot == Boot::Panic,
            cut: faults.cut,
            connected: true,
            disconnects: faults.disconnects.clone(),
            stats: Stats::default(),
            events: Vec::new(),
        };
        device.boot(Cause::Power, device.strapped);
        if options.boot == Boot::Stub {
            device.loader.become_stub();
            device.phase = Phase::Download { ready_at: 0 };
        }
        Ok(device)
    }

    /// Lets the device live until `now`.
    pub fn advance(&mut self, now: Instant) {
        let until = now.0.as_nanos() as u64;
        loop {
            let next = self.next_inner().filter(|next| next.0 <= until);
            let at = next.map_or(until, |next| next.0);
            if self.phase == Phase::Executing && !self.execute(at) {
                continue;
            }
            if next.is_none() {
                break;
            }
            self.now = self.now.max(at);
            self.step();
        }
        self.now = self.now.max(until);
        let stuck = matches!(self.busy, Some(Busy::Stuck)) || !self.listens;
        let listens = match self.phase {
            Phase::Download { .. } => !stuck,
            Phase::Executing => true,
            Phase::Off | Phase::Running { .. } => false,
        };
        if !listens {
            // Nobody listens.
            while self.to_chip.take(self.now, None).is_some() {}
        }
    }

    /// When the device does something by itself next: `None` if it waits for the host.
    pub fn next_event(&self) -> Option<Next> {
        let inner = self.next_inner();
        let delivery = self.delivery_at().map(|at| (at, false));
        let program = self.program_event();
        let events = [inner, delivery, program];
        let (at, idle) = events.into_iter().flatten().min()?;
        Some(Next {
            at: Instant(Duration::from_nanos(at)),
            idle,
        })
    }

    /// Takes bytes from the host.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) {
        self.advance(now);
        self.stats.writes += 1;
        self.stats.bytes_to_chip += bytes.len() as u64;
        let (baud, byte) = match self.usb {
            UsbMode::Uart => (self.host_baud, byte_ns(self.host_baud)),
            UsbMode::Jtag | UsbMode::Otg => (0, USB_BYTE_NS),
        };
        let start = self.now + self.latency;
        if !self.cut.tx && self.to_chip.pending() <= MAX_UNREAD {
            self.to_chip.send(start, bytes.to_vec(), baud, byte);
        }
        self.check_disconnects();
    }

    /// Appends what has arrived at the host to `bytes`.
    pub fn poll(&mut self, now: Instant, bytes: &mut Vec<u8>) {
        self.advance(now);
        let before = bytes.len();
        // What comes within one latency travels together.
        while let Some(due) = self.delivery_at().filter(|due| *due <= self.now) {
            let Some(arrived) = self.to_host.take(due, None) else {
                break;
            };
            if self.cut.rx {
                continue;
            }
            let heard = self.usb != UsbMode::Uart
                || self.rate_follows
                || understands(self.host_baud, arrived.baud);
            if heard {
                bytes.extend_from_slice(&arrived.bytes);
            } else {
                bytes.extend(garble(&arrived.bytes, arrived.baud, self.host_baud));
            }
        }
        self.stats.bytes_to_host += (bytes.len() - before) as u64;
        self.check_disconnects();
    }

    /// Sets the host's baud rate, from now on.
    pub fn set_baud(&mut self, now: Instant, baud: u32) {
        self.advance(now);
        self.host_baud = baud;
    }

    /// When everything that was written has gone out.
    pub fn drained_at(&self) -> Instant {
        Instant(Duration::from_nanos(self.to_chip.free_at().max(self.now)))
    }

    /// Bytes that were written and have not reached the chip, which need not listen.
    pub fn unsent(&self) -> usize {
        self.to_chip.under_way(self.now)
    }

    /// Bytes that the chip has said and that have not reached the host.
    pub fn unheard(&self) -> usize {
        self.to_host.pending()
    }

    /// Whether a program runs that has been talking, or was talked to, a moment ago.
    pub fn talks_with_program(&self) -> bool {
        self.phase == Phase::Executing && self.now <= self.talks_until
    }

    /// Whether a program runs on the CPU.
    pub fn is_executing(&self) -> bool {
        self.phase == Phase::Executing
    }

    /// The flash's contents.
    pub fn flash(&self) -> &Flash {
        self.board.nor.cells()
    }

    /// A word of memory, or of a register, as the CPU sees it.
    pub fn word(&self, address: u32) -> u32 {
        self.board.peek(address)
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        let counts = self.board.nor.counts();
        Stats {
            erase_commands: counts.erase_commands,
            erased_bytes: counts.erased_bytes,
            program_commands: counts.program_commands,
            programmed_bytes: counts.programmed_bytes,
            sent_to_host: self.to_host.sent(),
            ..self.stats
        }
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        if let Some(error) = self.flash().take_failure() {
            self.events.push(Event::FlashFile {
                error: error.to_string(),
            });
        }
        std::mem::take(&mut self.events)
    }

    /// The baud rate of the chip's UART.
    pub fn chip_baud(&self) -> u32 {
        self.chip_baud
    }

    /// When the first byte that has not been delivered is delivered.
    fn delivery_at(&self) -> Option<u64> {
        Some(self.to_host.next_byte()? + self.latency)
    }

    /// What happens next inside, and whether it is idle repetition.
    fn next_inner(&self) -> Option<(u64, bool)> {
        let mut next: Option<(u64, bool)> = None;
        let mut offer = |at: Option<u64>, idle: bool| {
            if let Some(at) = at.filter(|at| next.is_none_or(|(best, _)| *at < best)) {
                next = Some((at, idle));
            }
        };
        // A chip that resets itself again and again waits for nobody.
        let again = |cause| cause == Cause::Software && self.refuses_download();
        let coming = self.boot_at;
        offer(
            coming.map(|(at, _)| at),
            coming.is_some_and(|(_, cause)| again(cause)),
        );
        offer(self.power_fails_at, false);
        offer(self.board.watchdog_expires().map(|(at, _)| at), true);
        offer(
            self.disconnects
                .iter()
                .filter_map(|disconnect| match disconnect.when {
                    When::Time(time) => Some(time.as_nanos() as u64),
                    When::Bytes(_) => None,
                })
                .min(),
            true,
        );
        match &self.busy {
            Some(Busy::Command(answer)) => offer(Some(nanos(answer.at)), false),
            Some(Busy::Baud { at, .. }) => offer(Some(*at), false),
            Some(Busy::Stuck) => {}
            None => match &self.phase {
                Phase::Download { ready_at } if self.listens => {
                    let arrival = self.to_chip.next_delimiter(DELIMITER);
                    let waiting = (!self.ring.is_empty()).then_some(self.now);
                    let soonest = arrival.into_iter().chain(waiting).min();
                    offer(soonest.map(|at| at.max(*ready_at)), false);
                }
                Phase::Running { repeat, next } if !repeat.is_empty() => offer(Some(*next), true),
                Phase::Executing => offer(self.arrival(), false),
                _ => {}
            },
        }
        next
    }

    /// Does what is due now.
    fn step(&mut self) {
        self.check_disconnects();
        if self.power_fails_at.is_some_and(|at| at <= self.now) {
            self.lose_power();
            return;
        }
        let expired = self.board.watchdog_expires();
        if let Some((_, cause)) = expired.filter(|(at, _)| *at <= self.now) {
            self.stop();
            self.strapped = self.boot_pin_low();
            let download = self.strapped || self.board.download_forced();
            self.boot(Cause::Numbered(cause), download);
            return;
        }
        if let Some((_, cause)) = self.boot_at.filter(|(at, _)| *at <= self.now) {
            self.boot_at = None;
            // Software does not make the chip look at its pins again.
            let again = cause == Cause::Software && self.refuses_download();
            self.strapped = match cause {
                Cause::Cpu => !self.board.grants.spi_boot,
                _ => again || self.boot_pin_low(),
            };
            let forced = matches!(cause, Cause::Numbered(_)) && self.board.download_forced();
            self.boot(cause, self.strapped || forced);
            return;
        }
        match self.busy.take() {
            Some(Busy::Command(answer)) if nanos(answer.at) <= self.now => self.finish(answer),
            Some(Busy::Baud { at, baud }) if at <= self.now => {
                self.absorb(false);
                self.set_chip_baud(baud);
                if self.rate_follows {
                    self.host_baud = baud;
                }
                self.events.push(Event::BaudChanged { baud });
            }
            Some(busy) => self.busy = Some(busy),
            None => self.live(),
        }
    }

    /// Goes on where no command is worked on.
    fn live(&mut self) {
        match &mut self.phase {
            Phase::Off => {}
            Phase::Download { ready_at } => {
                if *ready_at <= self.now {
                    self.receive();
                }
            }
            Phase::Running { repeat, next } => {
                if !repeat.is_empty() && *next <= self.now {
                    let text = repeat.clone().into_bytes();
                    *next = self.now + REPEAT.as_nanos() as u64;
                    self.say(text);
                }
            }
            Phase::Executing => self.hand_over(),
        }
    }

    /// Sends bytes to the host.
    fn say(&mut self, bytes: Vec<u8>) {
        self.say_at(self.now, bytes, self.chip_baud);
    }

    /// Sends bytes to the host from a moment on, at a baud rate where there is a UART.
    fn say_at(&mut self, at: u64, bytes: Vec<u8>, baud: u32) {
        if bytes.is_empty() || !self.connected || self.to_host.pending() > MAX_UNREAD {
            return;
        }
        let (baud, byte) = match self.usb {
            UsbMode::Uart => (baud, byte_ns(baud)),
            UsbMode::Jtag | UsbMode::Otg => (0, USB_BYTE_NS),
        };
        self.to_host.send(at, bytes, baud, byte);
    }
}

fn line(faults: &[crate::fault::LineFault], spec: &FaultSpec, direction: u64) -> Line {
    Line::new(faults, spec.seed.wrapping_mul(2).wrapping_add(direction))
}

fn nanos(at: Instant) -> u64 {
    at.0.as_nanos() as u64
}
