//! The chip with its wires, without I/O: bytes and line levels in, bytes out, each with its time.

mod executing;

use std::time::Duration;

use guru_chip::{Chip, Detection, MAGIC_ADDRESS, Revision};
use guru_link::{Instant, Lines, UsbId};
use guru_wire::Grants;

use crate::board::Board;
use crate::event::{Event, Stats};
use crate::fault::{Cut, Disconnect, FaultSpec, Line, When};
use crate::flash::{Faults, Flash, Nor};
use crate::identity::{believed_clock, default_crystal};
use crate::machine::{Machine, RomImage, add_rom};
use crate::options::{Boot, OptionsError, SimOptions, UsbMode};
use crate::rom::{Act, Answer, Loader, Receiver, boot_log};
use crate::usb::Bus;
use crate::wire::{Arrived, Wire, byte_ns, garble, understands};

/// How long EN takes to rise behind its pull-up and capacitor. Because of it a reset sequence
/// may set its two lines one after the other.
const EN_RISE: Duration = Duration::from_millis(2);
/// How long the supply is away after a power loss.
const POWER_AWAY: Duration = Duration::from_millis(100);
/// How often the line about a missing image comes.
const REPEAT: Duration = Duration::from_millis(100);
/// How long a chip that may not enter its loader takes from its last word to the next. The ROM waits
/// for 0.2 ms before the reset; how long that takes is an assumption.
const AGAIN: Duration = Duration::from_millis(10);
/// Receive FIFO of the UART, in bytes, which takes what comes when the ROM does not read.
const FIFO: usize = 128;
/// Bytes of 0x55 in a row that let the ROM measure the baud rate.
const MEASURED: u32 = 8;
/// A byte over the chip's own USB, in nanoseconds: about 800 KB/s, what full speed gives.
const USB_BYTE_NS: u64 = 1250;
/// Bytes to a host that does not read, at the most; what comes then is lost.
const MAX_UNREAD: usize = 1 << 20;
const DELIMITER: u8 = 0xC0;
/// Rate at which every host begins.
const DEFAULT_BAUD: u32 = 115_200;
/// Causes of resets as ROMs number them; USB-Serial/JTAG's lines have another number on the ESP32-P4
/// and -S31.
const POWER_ON: u8 = 1;
const SOFTWARE: u8 = 3;
const SOFTWARE_CPU: u8 = 0xC;
const USB: u8 = 0x15;
/// What an application built with ESP-IDF says when it panics.
const PANIC: &str =
    "Guru Meditation Error: Core  0 panic'ed (IllegalInstruction). Exception was unhandled.\r\n";

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
        if !self.cut.tx {
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

    /// Bytes that were written and have not reached the chip.
    pub fn unsent(&self) -> usize {
        self.to_chip.pending()
    }

    /// Sets the control lines.
    pub fn set_lines(&mut self, now: Instant, lines: Lines) {
        self.advance(now);
        let before = (self.dtr, self.rts);
        self.dtr = lines.dtr.unwrap_or(self.dtr);
        self.rts = lines.rts.unwrap_or(self.rts);
        if (self.dtr, self.rts) == before {
            return;
        }
        match self.usb {
            UsbMode::Uart if self.cut.en => return,
            UsbMode::Uart => {}
            UsbMode::Jtag => return self.set_jtag_lines(),
            UsbMode::Otg => return self.set_otg_lines(),
        }
        // The two transistors release both pins when both lines are asserted.
        let en_low = self.rts && !self.dtr;
        if en_low {
            self.stop();
            self.boot_at = None;
        } else if self.phase == Phase::Off && self.boot_at.is_none() {
            let at = self.now + EN_RISE.as_nanos() as u64;
            self.boot_at = Some((at, Cause::Pin));
        }
    }

    /// Whether the connection holds.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Connects again after a loss, or for another client. What came in between was not heard.
    pub fn reconnect(&mut self, now: Instant) {
        self.advance(now);
        if self.is_on_bus(now) {
            self.connected = true;
            self.discard();
        }
    }

    /// Whether there is a port to connect to. A chip's own USB device is away after a reset.
    pub fn is_on_bus(&self, now: Instant) -> bool {
        self.bus.is_there(nanos(now))
    }

    /// What a port list shows of it now, and what its name has gained by coming back.
    pub(crate) fn usb_id(&self, serial: &str) -> (UsbId, String) {
        let in_loader = !self.bus.comes_and_goes() || matches!(self.phase, Phase::Download { .. });
        let id = crate::usb::id(self.chip, self.usb, serial, in_loader);
        (id, self.bus.suffix())
    }

    /// Throws away what is on its way to the host.
    pub fn discard(&mut self) {
        while let Some(due) = self.delivery_at().filter(|due| *due <= self.now) {
            if self.to_host.take(due, None).is_none() {
                break;
            }
        }
    }

    /// There are no control lines, and the host has no UART: a socket or a pseudo-terminal. The
    /// boot pin is held low or not, as by a jumper, and the host's rate follows the chip's.
    pub fn without_lines(&mut self, download: bool) {
        self.boot_pin_held |= download;
        self.rate_follows = true;
    }

    /// Resets the chip by its pin, into its loader or from flash, as a whole reset sequence on the
    /// control lines would.
    pub fn pulse_reset(&mut self, now: Instant, download: bool) {
        self.advance(now);
        self.stop();
        self.boot_at = None;
        if self.usb == UsbMode::Uart {
            self.strapped = download || self.boot_pin_held;
            self.boot(Cause::Pin, self.strapped);
        } else {
            self.reset_over_usb(download);
        }
    }

    /// A new client: the chip is reset before it can see anything, and what an earlier client
    /// left on the wires is gone.
    pub fn restart(&mut self, now: Instant) {
        self.advance(now);
        self.stop();
        self.to_chip.clear();
        self.host_baud = DEFAULT_BAUD;
        self.boot_at = None;
        self.strapped = self.boot_pin_held;
        self.boot(Cause::Pin, self.boot_pin_held);
        self.bus.stay();
        self.connected = true;
        if let Phase::Download { ready_at } = &mut self.phase {
            *ready_at = self.now;
            self.to_host.clear();
        }
    }

    /// Whether a jumper leads every reset into the loader.
    pub fn is_held_in_loader(&self) -> bool {
        self.boot_pin_held
    }

    /// Whether a program runs that has been talking, or was talked to, a moment ago.
    pub fn talks_with_program(&self) -> bool {
        self.phase == Phase::Executing && self.now <= self.talks_until
    }

    /// Whether the serial loader runs and can go on.
    pub fn in_loader(&self) -> bool {
        let stuck = matches!(self.busy, Some(Busy::Stuck));
        let coming = self.boot_at.is_some() && !self.refuses_download();
        matches!(self.phase, Phase::Download { .. }) && !stuck || coming
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

    /// Looks at what has come, up to the end of one packet.
    fn receive(&mut self) {
        if self.ring.is_empty() {
            let Some(arrived) = self.to_chip.take(self.now, Some(DELIMITER)) else {
                return;
            };
            let bytes = self.hear(arrived);
            self.ring.extend(bytes);
        }
        let (taken, ended) = self.receiver.push(&self.ring);
        self.ring.drain(..taken);
        if !ended {
            return;
        }
        let now = Instant(Duration::from_nanos(self.now));
        let clock = believed_clock(self.chip, &self.board.words).unwrap_or(self.crystal);
        let answer = self
            .loader
            .handle(self.receiver.buffer(), &mut self.board, now, clock);
        if let Some(answer) = answer {
            self.stats.commands += 1;
            // What comes later does not take a failure back that an earlier command has begun.
            self.power_fails_at = answer.power_loss.map(nanos).or(self.power_fails_at);
            if answer.act == Act::Hang {
                self.busy = Some(Busy::Stuck);
                if self.power_fails_at.is_none() {
                    self.events.push(Event::Stuck);
                }
            } else {
                self.busy = Some(Busy::Command(answer));
            }
        }
    }

    /// What the chip's UART makes of bytes on its wire.
    fn hear(&mut self, arrived: Arrived) -> Vec<u8> {
        if self.usb != UsbMode::Uart {
            return arrived.bytes;
        }
        let mut heard = Vec::with_capacity(arrived.bytes.len());
        let mut rest = arrived.bytes.as_slice();
        if let Measured::Waiting(mut run) = self.measured {
            let mut end = rest.len();
            for (at, byte) in rest.iter().enumerate() {
                run = if *byte == 0x55 { run + 1 } else { 0 };
                if run == MEASURED {
                    end = at + 1;
                    break;
                }
            }
            let (before, behind) = rest.split_at(end);
            heard.extend(self.hear_at_rate(before, arrived.baud));
            rest = behind;
            self.measured = Measured::Waiting(run);
            if run == MEASURED {
                self.measured = Measured::Done;
                self.set_chip_baud(arrived.baud);
            }
        }
        heard.extend(self.hear_at_rate(rest, arrived.baud));
        heard
    }

    fn hear_at_rate(&self, bytes: &[u8], baud: u32) -> Vec<u8> {
        if bytes.is_empty() || understands(self.chip_baud, baud) {
            bytes.to_vec()
        } else {
            garble(bytes, baud, self.chip_baud)
        }
    }

    /// Puts what came while the loader was busy into its ring. A ring that runs over looks empty,
    /// because its write index has met its read index; what nobody reads in time stays in the
    /// FIFO, and what does not fit there is lost.
    fn absorb(&mut self, flash: bool) {
        if self.usb != UsbMode::Uart {
            return;
        }
        let receive = self.chip.rom.receive;
        let size = receive.size as usize;
        let mut room = if flash && !receive.ahead {
            FIFO
        } else {
            usize::MAX
        };
        let mut lost = 0;
        while let Some(arrived) = self.to_chip.take(self.now, None) {
            let mut bytes = self.hear(arrived);
            if bytes.len() > room {
                lost += bytes.len() - room;
                bytes.truncate(room);
            }
            room -= bytes.len();
            for byte in bytes {
                self.ring.push(byte);
                self.stats.max_buffered = self.stats.max_buffered.max(self.ring.len());
                if self.ring.len() == size {
                    lost += size;
                    self.ring.clear();
                }
            }
        }
        if lost > 0 {
            self.stats.lost_bytes += lost as u64;
            self.events.push(Event::Overflow { lost: lost as u64 });
        }
    }

    /// A command is done: its answer goes out, and what follows from it happens.
    fn finish(&mut self, answer: Answer) {
        self.absorb(answer.flash);
        for _ in 0..answer.times {
            self.say(guru_wire::slip::encode(&answer.packet));
        }
        match answer.act {
            Act::Stay | Act::Hang => {}
            Act::SetDivider(divider) => {
                self.say(vec![DELIMITER; 2]);
                if self.usb == UsbMode::Uart {
                    let sixteenths = u64::from(self.crystal) * 16;
                    let baud = sixteenths / u64::from(divider.max(1));
                    let baud = baud.clamp(1, u64::from(u32::MAX)) as u32;
                    let at = self.to_host.free_at().max(self.now);
                    self.busy = Some(Busy::Baud { at, baud });
                }
            }
            Act::Reset => {
                self.say(vec![DELIMITER; 2]);
                let at = self.to_host.free_at().max(self.now);
                self.phase = Phase::Off;
                self.boot_at = Some((at, Cause::Software));
            }
            Act::ResetCpu => {
                self.say(vec![DELIMITER; 2]);
                let at = self.to_host.free_at().max(self.now);
                self.phase = Phase::Off;
                self.boot_at = Some((at, Cause::Cpu));
            }
            Act::Boot => self.boot_app(),
            Act::RefuseToRun => {
                self.phase = Phase::Off;
                self.boot_at = Some((self.to_host.free_at().max(self.now), Cause::Software));
            }
            Act::Jump(entry) => {
                self.start_program(entry);
            }
        }
    }

    /// The loader has ended, and the ROM boots from flash without a reset.
    fn boot_app(&mut self) {
        let strap = self.strap(false);
        let log = boot_log(
            self.board.fuses(self.revision),
            "",
            strap,
            false,
            self.board.nor.cells(),
        );
        self.run_app(log.repeat, self.now);
    }

    /// The chip starts.
    fn boot(&mut self, cause: Cause, download: bool) {
        let again = cause == Cause::Software && download && self.refuses_download();
        self.stats.resets += 1;
        if self.stats.resets > 1 && self.bus.leave(self.now, download) {
            self.connected = false;
            self.to_host.clear();
            self.to_chip.clear();
            (self.dtr, self.rts) = (false, false);
            self.events.push(Event::LeftBus);
        }
        if cause != Cause::Cpu {
            self.board.grants = Grants::default();
        }
        self.board.reset(matches!(cause, Cause::Power | Cause::Pin));
        let now = Instant(Duration::from_nanos(self.now));
        self.board.nor.abandon(now);
        let off = download && self.board.starts_without_flash(self.revision);
        self.board.nor.set_supply(!off);
        if let Some(rom) = &self.rom {
            rom.start(&mut self.board.ram);
        }
        self.machine = None;
        self.loader = Loader::new(&self.board, self.revision);
        self.receiver = Receiver::new();
        self.ring.clear();
        self.busy = None;
        self.measured = Measured::Waiting(0);
        self.set_chip_baud(self.log_baud);
        self.board.peripherals.set_cause(match cause {
            Cause::Power | Cause::Pin => POWER_ON,
            Cause::Software => SOFTWARE,
            Cause::Usb => USB,
            Cause::Cpu => SOFTWARE_CPU,
            Cause::Numbered(number) => number,
        });
        let resets = &self.chip.rom.resets;
        let cause = match cause {
            Cause::Power => resets.power_on,
            Cause::Pin => resets.pin,
            Cause::Software => resets.software,
            Cause::Usb => resets.usb,
            Cause::Numbered(number) => {
                let known = self.chip.registers.causes;
                let text = known.iter().find(|(known, _)| *known == number);
                let other = match number {
                    SOFTWARE => resets.software,
                    _ => resets.watchdog,
                };
                text.map_or(other, |(_, text)| text)
            }
            Cause::Cpu => {
                let rules = self.chip.efuse.certificate.as_ref();
                rules.map_or(resets.software, |rules| rules.reset)
            }
        };
        let strap = self.strap(download);
        self.board.strap = u32::from(strap);
        let log = boot_log(
            self.board.fuses(self.revision),
            cause,
            strap,
            download,
            self.board.nor.cells(),
        );
        let refused = download && self.refuses_download();
        if !again {
            let download = download && !refused;
            self.events.push(Event::Reset { cause, download });
        }
        // What came while the chip was in reset is lost.
        let _ = self.to_chip.take(self.now, None);
        self.say(log.text.into_bytes());
        let ready_at = self.to_host.free_at();
        self.phase = if refused {
            self.boot_at = Some((ready_at + AGAIN.as_nanos() as u64, Cause::Software));
            Phase::Off
        } else if download {
            if self.usb == UsbMode::Jtag {
                self.board.start_usb_watchdogs(self.now);
            }
            Phase::Download { ready_at }
        } else {
            self.run_app(log.repeat, ready_at);
            return;
        };
    }

    /// The application runs, or the ROM finds none and says so again and again.
    fn run_app(&mut self, missing: String, next: u64) {
        let repeat = if self.panics {
            PANIC.to_owned()
        } else {
            missing
        };
        if repeat.is_empty() {
            self.events.push(Event::AppNotExecuted);
            self.say(self.says.clone());
        }
        self.phase = Phase::Running { repeat, next };
    }

    /// Whether the ROM resets the chip where it would enter its loader.
    fn refuses_download(&self) -> bool {
        let fuses = self.board.fuses(self.revision);
        fuses.download_disabled() && !fuses.certificate_only()
    }

    /// The chip is held in reset or has no supply.
    fn stop(&mut self) {
        self.phase = Phase::Off;
        self.machine = None;
        self.busy = None;
        self.ring.clear();
        self.to_host.cut(self.now);
        self.power_fails_at = None;
    }

    fn lose_power(&mut self) {
        self.stop();
        self.board.reset(true);
        self.board.nor.power_cycle();
        let at = self.now + POWER_AWAY.as_nanos() as u64;
        self.boot_at = Some((at, Cause::Power));
        self.events.push(Event::PowerLost);
    }

    fn set_jtag_lines(&mut self) {
        match (self.dtr, self.rts) {
            (false, false) => self.usb_download = false,
            (true, false) => self.usb_download = true,
            (false, true) => self.reset_over_usb(self.usb_download),
            (true, true) => {}
        }
    }

    /// Whoever drives USB-OTG, ROM or application, resets the chip when RTS is released, and DTR
    /// says where to.
    fn set_otg_lines(&mut self) {
        if self.rts {
            self.usb_armed |= !self.dtr;
        } else if std::mem::take(&mut self.usb_armed) {
            self.board.force_download(self.dtr);
            self.reset_over_usb(self.dtr);
        }
    }

    fn reset_over_usb(&mut self, download: bool) {
        let download = download || self.strapped || self.board.download_forced();
        self.stop();
        self.boot(Cause::Usb, download);
    }

    fn boot_pin_low(&self) -> bool {
        let by_lines = self.usb == UsbMode::Uart && !self.cut.boot && self.dtr && !self.rts;
        self.boot_pin_held || by_lines
    }

    /// Strapping value of the usual boot mode of either kind.
    fn strap(&self, download: bool) -> u16 {
        let mode = self.chip.rom.boot_mode(self.revision, download);
        mode.map_or(0, |mode| mode.strap)
    }

    fn set_chip_baud(&mut self, baud: u32) {
        self.chip_baud = baud;
        let divisor = match self.chip.crystal {
            guru_chip::Crystal::Estimated { divisor, .. } => u32::from(divisor),
            guru_chip::Crystal::Fixed(_) => 1,
        };
        self.board.peripherals.set_rate(self.crystal, divisor, baud);
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

    fn check_disconnects(&mut self) {
        let bytes = self.stats.bytes_to_chip + self.stats.bytes_to_host;
        let now = self.now;
        let due = |disconnect: &Disconnect| match disconnect.when {
            When::Bytes(count) => bytes >= count,
            When::Time(time) => u128::from(now) >= time.as_nanos(),
        };
        let supply = self.disconnects.iter().any(|one| due(one) && one.supply);
        let before = self.disconnects.len();
        self.disconnects.retain(|one| !due(one));
        if self.disconnects.len() < before {
            self.connected = false;
            self.to_host.clear();
            self.to_chip.clear();
            self.events.push(Event::Disconnected);
            if supply {
                self.lose_power();
            }
        }
    }
}

fn line(faults: &[crate::fault::LineFault], spec: &FaultSpec, direction: u64) -> Line {
    Line::new(faults, spec.seed.wrapping_mul(2).wrapping_add(direction))
}

fn nanos(at: Instant) -> u64 {
    at.0.as_nanos() as u64
}
