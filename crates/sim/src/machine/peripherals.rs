//! The blocks of registers around a CPU, at their addresses.

use guru_chip::{Bits, Chip, ClockSelect, ClockSource, Registers, ResetScope};

use super::block::{Activity, Block};
use super::field;
use super::frc::{self, Frc};
use super::interrupts::Interrupts;
use super::stored::Stored;
use super::systimer::{self, Systimer};
use super::timer_group::{self, Clocks, TimerGroup};
use super::uart::Uart;
use super::usb_serial_jtag::{self, UsbSerialJtag};
use crate::options::UsbMode;

/// What a chip gives as the cause when a program resets its CPU, or all but the RTC.
const SOFTWARE_CPU: u8 = 0xC;
const SOFTWARE_CORE: u8 = 0x3;
/// The ESP8266's watchdog.
const FRC_WATCHDOG: u8 = 4;

/// All blocks of a chip that are modelled. What a session needs without a running program (the
/// flash controller, the RTC's watchdogs, eFuse) is part of the board itself.
#[derive(Debug)]
pub(crate) struct Peripherals {
    map: &'static Registers,
    pub uart: Uart,
    uart_at: u32,
    pub usb: Option<UsbSerialJtag>,
    usb_at: u32,
    timer_groups: Vec<TimerGroup>,
    systimer: Option<Systimer>,
    frc: Option<(Frc, frc::Watchdog)>,
    interrupts: Option<Interrupts>,
    stored: Stored,
    /// Frequency of the crystal, in Hz, and of the UART's clock where it is a multiple of that.
    crystal: u32,
    uart_clock: u32,
    cpu_hz: Option<u32>,
    /// Registers that choose clocks.
    selects: Vec<u32>,
    /// Sources of interrupts that are asserted.
    sources: Vec<u16>,
    /// Before this moment they are what they are now, unless a register is touched.
    settled_until: Option<u64>,
    lines: u64,
}

/// What is at an address.
enum Place {
    Uart(u32),
    Usb(u32),
    TimerGroup(usize, u32),
    Systimer(u32),
    Frc(u32),
    FrcWatchdog(u32),
    Interrupts,
    /// Registers that hold values, or nothing.
    Elsewhere,
}

impl Peripherals {
    pub fn new(chip: &'static Chip, usb: UsbMode) -> Self {
        let map = &chip.registers;
        let clocks = Clocks { apb: 1, crystal: 1 };
        let uart_at = chip.uart.clkdiv & !0xFF;
        let selects = [
            map.uart.clock.as_ref(),
            map.apb.as_ref(),
            map.pll.as_ref(),
            map.cpu.as_ref(),
        ];
        let selects = selects.into_iter().flatten().flat_map(|clock| {
            let divide = clock.divide.map(|bits| bits.addr);
            [Some(clock.select.addr), divide]
        });
        Self {
            map,
            uart: Uart::new(&map.uart),
            uart_at,
            usb: (map.usb_jtag.as_ref()).map(|_| UsbSerialJtag::new(usb == UsbMode::Jtag)),
            usb_at: map.usb_jtag.as_ref().map_or(0, |usb| usb.base),
            timer_groups: (map.timer_groups.iter())
                .map(|group| TimerGroup::new(group, clocks))
                .collect(),
            systimer: map.systimer.as_ref().map(Systimer::new),
            frc: (map.frc.as_ref()).map(|_| (Frc::default(), frc::Watchdog::default())),
            interrupts: map.interrupts.as_ref().map(Interrupts::new),
            stored: Stored::new(map),
            crystal: 0,
            uart_clock: 0,
            cpu_hz: None,
            selects: selects.flatten().collect(),
            sources: Vec::new(),
            settled_until: None,
            lines: 0,
        }
    }

    /// The clocks as the ROM leaves them: the crystal's frequency in Hz, `of_uart` times that at the
    /// UART where nothing chooses its clock, and the UART at a rate.
    pub fn set_rate(&mut self, crystal: u32, of_uart: u32, baud: u32) {
        self.crystal = crystal;
        self.uart_clock = crystal.saturating_mul(of_uart);
        let clock = self.uart_hz();
        self.uart.set_baud(clock, baud);
        self.clocks_changed(0);
    }

    /// Frequency of the CPU in Hz, where a program has chosen one; else it is as the ROM left it.
    pub fn cpu_hz(&self) -> Option<u32> {
        self.cpu_hz
    }

    /// Why the chip was reset last.
    pub fn set_cause(&mut self, cause: u8) {
        self.stored.set_cause(cause);
    }

    /// The cause of the reset that the program has asked for since this was last asked.
    pub fn take_reset(&mut self) -> Option<u8> {
        Some(match self.stored.take_reset()? {
            ResetScope::Cpu => SOFTWARE_CPU,
            ResetScope::Core | ResetScope::System => SOFTWARE_CORE,
        })
    }

    /// When a watchdog of these resets the chip, and the cause that is given then.
    pub fn reset_at(&self) -> Option<(u64, u8)> {
        let groups = self.timer_groups.iter().filter_map(TimerGroup::reset_at);
        let groups = groups.map(|(at, _, cause)| (at, cause));
        let frc = self.frc.as_ref().and_then(|(_, dog)| dog.reset_at());
        groups.chain(frc.map(|at| (at, FRC_WATCHDOG))).min()
    }

    /// The ROM leaves the watchdog of a timer group running, which has CONFIG0 at this address.
    pub fn start_watchdog(&mut self, config0: u32, now: u64) {
        let groups = self.timer_groups.iter_mut();
        for group in groups.filter(|group| group.base() == config0 & !0xFFF) {
            group.start_watchdog(now);
        }
    }

    /// Whether a register only holds its value.
    pub fn is_stored(&self, address: u32) -> bool {
        self.stored.has(address)
    }

    /// What a register that only holds its value holds.
    pub fn stored(&self, address: u32) -> u32 {
        self.stored.value(address)
    }

    /// Whether an access narrower than a register changes its lanes alone.
    pub fn has_lanes(&self, address: u32) -> bool {
        let interrupts = self.interrupts.as_ref();
        interrupts.is_some_and(|interrupts| interrupts.is_at(address))
    }

    /// Reads a register of a block. `None`: there is none.
    pub fn read(&mut self, address: u32, now: u64, activity: &mut Activity) -> Option<u32> {
        self.settled_until = None;
        match self.place(address) {
            Place::Uart(offset) => self.uart.read(offset, now, activity),
            Place::Usb(offset) => self.usb.as_mut()?.read(offset, now, activity),
            Place::TimerGroup(index, offset) => self
                .timer_groups
                .get_mut(index)?
                .read(offset, now, activity),
            Place::Systimer(offset) => self.systimer.as_mut()?.read(offset, now, activity),
            Place::Frc(offset) => self.frc.as_mut()?.0.read(offset, now, activity),
            Place::FrcWatchdog(offset) => self.frc.as_mut()?.1.read(offset, now, activity),
            Place::Interrupts => {
                self.gather(now);
                self.interrupts.as_ref()?.read(address, &self.sources)
            }
            Place::Elsewhere => self.stored.read(address, activity),
        }
    }

    /// Writes a register of a block. `false`: there is none.
    pub fn write(&mut self, address: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        self.settled_until = None;
        let written = match self.place(address) {
            Place::Uart(offset) => self.uart.write(offset, value, now, activity),
            Place::Usb(offset) => write_to(self.usb.as_mut(), offset, value, now, activity),
            Place::TimerGroup(index, offset) => {
                let group = self.timer_groups.get_mut(index);
                write_to(group, offset, value, now, activity)
            }
            Place::Systimer(offset) => {
                write_to(self.systimer.as_mut(), offset, value, now, activity)
            }
            Place::Frc(offset) => {
                let frc = self.frc.as_mut().map(|(frc, _)| frc);
                write_to(frc, offset, value, now, activity)
            }
            Place::FrcWatchdog(offset) => {
                let dog = self.frc.as_mut().map(|(_, dog)| dog);
                write_to(dog, offset, value, now, activity)
            }
            Place::Interrupts => {
                let interrupts = self.interrupts.as_mut();
                interrupts.is_some_and(|all| all.write(address, value, activity))
            }
            Place::Elsewhere => self.stored.write(address, value, activity),
        };
        if self.selects.contains(&address) {
            self.clocks_changed(now);
        }
        written
    }

    /// The interrupt lines of the CPU that are asserted, a bit a line.
    pub fn lines(&mut self, now: u64) -> u64 {
        if self.settled_until.is_some_and(|until| now < until) {
            return self.lines;
        }
        self.gather(now);
        self.lines = match &mut self.interrupts {
            Some(interrupts) => interrupts.lines(&self.sources),
            None => (self.sources.iter()).fold(0, |lines, line| lines | 1 << (line & 63)),
        };
        self.settled_until = Some(self.next_event(now).unwrap_or(u64::MAX));
        self.lines
    }

    /// Whether an access that has just been made has changed the lines. A read can only take back
    /// one that was asserted.
    pub fn lines_changed(&mut self, now: u64, written: bool) -> bool {
        let before = self.lines;
        (written || before != 0) && self.lines(now) != before
    }

    /// Something has reached a block from outside.
    pub fn disturb(&mut self) {
        self.settled_until = None;
    }

    /// When a block changes by itself next, with nothing coming from outside.
    pub fn next_event(&self, now: u64) -> Option<u64> {
        let usb = self.usb.as_ref().and_then(|usb| usb.next_event(now));
        let groups = (self.timer_groups.iter()).filter_map(|group| group.next_event(now));
        let systimer = self.systimer.as_ref().and_then(|t| t.next_event(now));
        let frc = self.frc.as_ref().and_then(|(frc, _)| frc.next_event(now));
        let single = [self.uart.next_event(now), usb, systimer, frc];
        single.into_iter().flatten().chain(groups).min()
    }

    fn gather(&mut self, now: u64) {
        self.sources.clear();
        if self.uart.interrupts(now) != 0 {
            self.sources.push(self.map.uart.source);
        }
        if let (Some(usb), Some(map)) = (&mut self.usb, &self.map.usb_jtag)
            && usb.interrupts(now) != 0
        {
            self.sources.push(map.source);
        }
        for group in &mut self.timer_groups {
            self.sources.extend(group.sources(now));
        }
        if let Some(systimer) = &mut self.systimer {
            self.sources.extend(systimer.sources(now));
        }
        if let (Some((frc, _)), Some(map)) = (&mut self.frc, &self.map.frc) {
            let both = frc.interrupts(now);
            for (bit, line) in [map.lines.0, map.lines.1].into_iter().enumerate() {
                if both >> bit & 1 != 0 {
                    self.sources.push(line);
                }
            }
        }
    }

    /// The address by which a register is known that is seen at several.
    pub fn unmirrored(&self, address: u32) -> u32 {
        let mirror = self
            .map
            .mirrors
            .iter()
            .find(|(range, _)| range.contains(&address));
        match mirror {
            // The random numbers of some chips are known by an address in the mirror.
            Some((range, shows)) if !self.map.random.contains(&address) => {
                address - range.start + shows
            }
            _ => address,
        }
    }

    fn place(&self, address: u32) -> Place {
        let inside = |start: u32, len: u32| {
            let offset = address.wrapping_sub(start);
            (offset < len).then_some(offset)
        };
        if let Some(offset) = inside(self.uart_at, self.uart.len()) {
            return Place::Uart(offset);
        }
        if self.usb.is_some()
            && let Some(offset) = inside(self.usb_at, usb_serial_jtag::LEN)
        {
            return Place::Usb(offset);
        }
        for (index, group) in self.timer_groups.iter().enumerate() {
            if let Some(offset) = inside(group.base(), timer_group::LEN) {
                return Place::TimerGroup(index, offset);
            }
        }
        if let Some(systimer) = &self.systimer
            && let Some(offset) = inside(systimer.base(), systimer::LEN)
        {
            return Place::Systimer(offset);
        }
        if let Some(map) = &self.map.frc {
            if let Some(offset) = inside(map.base, frc::LEN) {
                return Place::Frc(offset);
            }
            if let Some(offset) = inside(map.watchdog, frc::WDT_LEN) {
                return Place::FrcWatchdog(offset);
            }
        }
        match &self.interrupts {
            Some(interrupts) if interrupts.is_at(address) => Place::Interrupts,
            _ => Place::Elsewhere,
        }
    }

    fn bits(&self, bits: Bits) -> u32 {
        let word = match self.place(bits.addr) {
            Place::Uart(offset) => self.uart.register(offset),
            _ => self.stored.value(bits.addr),
        };
        field::get(word, bits)
    }

    /// The frequency that a clock has. `None`: as the ROM left it.
    fn hz(&self, clock: &ClockSelect) -> Option<u32> {
        let source = clock.from.get(self.bits(clock.select) as usize);
        let hz = match source? {
            ClockSource::Crystal => self.crystal,
            ClockSource::Mhz(mhz) => u32::from(*mhz) * 1_000_000,
            ClockSource::Multiple(times) => self.crystal.saturating_mul(u32::from(*times)),
            ClockSource::Apb => self.apb_hz(),
            ClockSource::Pll => self.hz(self.map.pll.as_ref()?)?,
            ClockSource::Loader => return None,
        };
        let divider = clock.divide.map_or(0, |bits| self.bits(bits));
        Some(hz / (divider + 1))
    }

    fn apb_hz(&self) -> u32 {
        let apb = self.map.apb.as_ref().and_then(|clock| self.hz(clock));
        apb.unwrap_or(self.crystal)
    }

    fn uart_hz(&self) -> u32 {
        let chosen = self.map.uart.clock.as_ref();
        let chosen = chosen.and_then(|clock| self.hz(clock));
        chosen.unwrap_or(self.uart_clock)
    }

    fn clocks_changed(&mut self, now: u64) {
        let clock = self.uart_hz();
        self.uart.set_clock(clock);
        self.cpu_hz = self.map.cpu.as_ref().and_then(|clock| self.hz(clock));
        let clocks = Clocks {
            apb: self.apb_hz(),
            crystal: self.crystal,
        };
        for group in &mut self.timer_groups {
            group.set_clocks(clocks, now);
        }
    }
}

fn write_to<B: Block>(
    block: Option<&mut B>,
    offset: u32,
    value: u32,
    now: u64,
    activity: &mut Activity,
) -> bool {
    block.is_some_and(|block| block.write(offset, value, now, activity))
}
