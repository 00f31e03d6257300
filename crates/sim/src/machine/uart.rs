//! UART0, as far as loaders, stubs and small programs use it: bytes, rates, interrupts, and the
//! measurement of a rate. No parity errors, no flow control, no RS-485.
//!
//! Sources: technical reference manuals, "UART Controller"; ESP-IDF's `uart_reg.h` and `uart_ll.h`.
//! The registers up to CONF1 stand at the same offsets on every chip; the others are data.

use std::collections::VecDeque;

use guru_chip::{Bits, UartRegisters};

use super::block::{Activity, Block};
use super::field;

/// Bytes in either FIFO.
pub(super) const FIFO: usize = 128;
const FIFO_REG: u32 = 0x00;
const INT_RAW: u32 = 0x04;
const INT_ST: u32 = 0x08;
const INT_ENA: u32 = 0x0C;
const INT_CLR: u32 = 0x10;
const CLKDIV: u32 = 0x14;
const STATUS: u32 = 0x1C;
const CONF0: u32 = 0x20;

/// As many bytes came as CONF1 says.
const RX_FULL: u32 = 1 << 0;
/// Fewer bytes wait than CONF1 says.
const TX_EMPTY: u32 = 1 << 1;
/// A byte came and found no room.
const RX_OVERFLOW: u32 = 1 << 4;
/// Bytes came, then none for a while.
const RX_TIMEOUT: u32 = 1 << 8;
/// The last byte has gone out.
const TX_DONE: u32 = 1 << 14;
/// STATUS: the levels of the lines, which are high when idle. On the ESP8266, the one chip that
/// shows no state of its transmitter, the first one is low then: Espressif's stub waits for that.
const TX_HIGH: u32 = 1 << 31;
const RX_HIGH: u32 = 1 << 15;

/// Bytes that the largest block has.
const MAX_LEN: usize = 0x100;

/// A byte that the program has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// When it was written, in nanoseconds. It goes out after those before it.
    pub at: u64,
    pub byte: u8,
    /// Rate at which it goes out, in bits per second.
    pub baud: u32,
}

/// The registers, and both FIFOs.
#[derive(Debug)]
pub(crate) struct Uart {
    map: &'static UartRegisters,
    /// Frequency that is divided for the baud rate, in Hz.
    clock: u32,
    /// CLKDIV as it has effect.
    divider: u32,
    received: VecDeque<u8>,
    /// When the last byte came, while its time-out has not been told.
    waits_since: Option<u64>,
    /// When everything written so far has gone out.
    free_at: u64,
    /// TX_DONE is to be raised then.
    sending: bool,
    sent: Vec<Sent>,
    /// Interrupts that stay until they are cleared.
    latched: u32,
    edges: u32,
    kept: [u32; MAX_LEN / 4],
}

impl Uart {
    pub fn new(map: &'static UartRegisters) -> Self {
        let mut kept = [0; MAX_LEN / 4];
        for &(offset, value) in map.initial.iter().chain(map.constants) {
            if let Some(kept) = kept.get_mut(offset as usize / 4) {
                *kept = value;
            }
        }
        Self {
            map,
            clock: 0,
            divider: 0,
            received: VecDeque::new(),
            waits_since: None,
            free_at: 0,
            sending: false,
            sent: Vec::new(),
            latched: 0,
            edges: 0,
            kept,
        }
    }

    /// Sets the frequency, and the divider for a baud rate.
    pub fn set_baud(&mut self, clock: u32, baud: u32) {
        self.clock = clock;
        let sixteenths = u64::from(clock) * 16 / u64::from(baud.max(1));
        let whole = (sixteenths >> 4).min(0xF_FFFF) as u32;
        self.divider = whole | (sixteenths as u32 & 15) << 20;
        self.kept[CLKDIV as usize / 4] = self.divider;
    }

    /// The frequency that is divided has changed.
    pub fn set_clock(&mut self, clock: u32) {
        self.clock = clock;
    }

    /// The frequency that is divided, in Hz.
    pub fn clock(&self) -> u32 {
        self.clock
    }

    /// The divider in the form of its register: 20 bits, and 4 bits of sixteenths above them.
    pub fn divider(&self) -> u32 {
        self.divider
    }

    /// Bits per second, in both directions.
    pub fn baud(&self) -> u32 {
        let sixteenths = (self.divider & 0xF_FFFF) << 4 | self.divider >> 20 & 15;
        let baud = u64::from(self.clock) * 16 / u64::from(sixteenths.max(1));
        u32::try_from(baud).unwrap_or(u32::MAX).max(1)
    }

    /// A byte has arrived at `now`. `false`: it is lost, since the FIFO is full.
    pub fn receive(&mut self, byte: u8, now: u64) -> bool {
        if field::get(self.register(CONF0), self.map.rx_reset) != 0 {
            return true;
        }
        if self.received.len() >= FIFO {
            self.latched |= RX_OVERFLOW;
            return false;
        }
        self.notice(now);
        self.received.push_back(byte);
        self.waits_since = Some(now);
        true
    }

    /// What came over the line, at the rate at which the other end has sent it, is measured if the
    /// program wants it.
    pub fn measure(&mut self, byte: u8, baud: u32) {
        let auto = &self.map.autobaud;
        if field::get(self.register(auto.on.addr), auto.on) == 0 {
            return;
        }
        // Start bit, data from the lowest bit up, stop bit.
        let levels = u32::from(byte) << 1 | 1 << 9;
        let (mut low, mut high, mut run) = (u32::MAX, u32::MAX, 1);
        let mut edges = 1;
        for bit in 1..10 {
            let (before, level) = (levels >> (bit - 1) & 1, levels >> bit & 1);
            if before == level {
                run += 1;
                continue;
            }
            edges += 1;
            let shortest = if before == 0 { &mut low } else { &mut high };
            *shortest = run.min(*shortest);
            run = 1;
        }
        let cycles = self.clock / baud.max(1);
        for (offset, bits) in [(auto.low, low), (auto.high, high)] {
            if let Some(kept) = self.kept.get_mut(offset as usize / 4)
                && bits != u32::MAX
            {
                *kept = bits.saturating_mul(cycles).min(*kept);
            }
        }
        self.edges = (self.edges + edges).min(0x3FF);
    }

    /// What the program has sent since this was last asked.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// Bytes that have come, and nobody has read.
    pub fn take_received(&mut self) -> VecDeque<u8> {
        self.waits_since = None;
        std::mem::take(&mut self.received)
    }

    /// The value of a register that only holds it.
    pub fn register(&self, offset: u32) -> u32 {
        self.kept.get(offset as usize / 4).copied().unwrap_or(0)
    }

    pub fn len(&self) -> u32 {
        self.map.len
    }

    fn field(&self, bits: Bits) -> u32 {
        field::get(self.register(bits.addr), bits)
    }

    /// Half bits of a byte with its start, parity and stop bits.
    fn half_bits(&self) -> u64 {
        let conf = self.register(CONF0);
        let data = 5 + (conf >> 2 & 3);
        let parity = conf >> 1 & 1;
        // 1, 1.5 or 2 stop bits.
        let stop = (conf >> 4 & 3).max(1) + 1;
        u64::from(2 * (1 + data + parity) + stop)
    }

    fn byte_ns(&self) -> u64 {
        (self.half_bits() * 500_000_000 / u64::from(self.baud())).max(1)
    }

    /// Bytes that have not gone out: those in the FIFO, and the one on the line.
    fn unsent(&self, now: u64) -> usize {
        self.free_at.saturating_sub(now).div_ceil(self.byte_ns()) as usize
    }

    fn waiting(&self, now: u64) -> usize {
        self.unsent(now).saturating_sub(1)
    }

    fn send(&mut self, byte: u8, now: u64) {
        if self.waiting(now) >= FIFO {
            return;
        }
        self.sent.push(Sent {
            at: now,
            byte,
            baud: self.baud(),
        });
        self.free_at = self.free_at.max(now) + self.byte_ns();
        self.sending = true;
    }

    /// When the receiver's time-out comes.
    fn timeout_at(&self) -> Option<u64> {
        let since = self.waits_since?;
        if self.field(self.map.timeout_on) == 0 {
            return None;
        }
        let bits =
            u64::from(self.field(self.map.timeout).max(1)) * u64::from(self.map.timeout_unit);
        Some(since + bits * 1_000_000_000 / u64::from(self.baud()))
    }

    /// Latches what time alone has brought.
    fn notice(&mut self, now: u64) {
        if self.timeout_at().is_some_and(|at| at <= now) {
            self.latched |= RX_TIMEOUT;
            self.waits_since = None;
        }
        if self.sending && self.free_at <= now {
            self.sending = false;
            self.latched |= if self.map.tx_done { TX_DONE } else { 0 };
        }
    }

    fn raw(&mut self, now: u64) -> u32 {
        self.notice(now);
        let full = self.field(self.map.rx_full).max(1) as usize;
        let empty = self.field(self.map.tx_empty) as usize;
        let level = |bit: u32, on: bool| if on { bit } else { 0 };
        self.latched
            | level(RX_FULL, self.received.len() >= full)
            | level(TX_EMPTY, self.waiting(now) < empty)
    }

    fn status(&self, now: u64) -> u32 {
        let status = (self.waiting(now) as u32) << 16 | self.received.len() as u32 | RX_HIGH;
        match self.map.tx_state {
            Some(bits) if bits.addr == STATUS => {
                status | TX_HIGH | field::set(0, bits, self.state(now))
            }
            Some(_) => status | TX_HIGH,
            None => status,
        }
    }

    /// State of the transmitter: 0 while nothing is on the line.
    fn state(&self, now: u64) -> u32 {
        u32::from(self.free_at > now)
    }

    fn keep(&mut self, offset: u32, value: u32, activity: &mut Activity) {
        if let Some(kept) = self.kept.get_mut(offset as usize / 4) {
            activity.changed |= *kept != value;
            *kept = value;
        }
        if !self.map.latches {
            self.divider = self.register(CLKDIV);
        }
        let auto = &self.map.autobaud;
        if offset == auto.on.addr && self.field(auto.on) == 0 {
            // Ready for another measurement.
            self.edges = 0;
            for &(offset, value) in self.map.initial {
                if offset == auto.low || offset == auto.high {
                    self.kept[offset as usize / 4] = value;
                }
            }
        }
    }

    fn empty_fifos(&mut self, now: u64, activity: &mut Activity) {
        let conf = self.register(CONF0);
        if field::get(conf, self.map.rx_reset) != 0 && !self.received.is_empty() {
            activity.changed = true;
            self.received.clear();
            self.waits_since = None;
        }
        if field::get(conf, self.map.tx_reset) != 0 && self.waiting(now) > 0 {
            activity.changed = true;
            // What is on the line goes out; the rest was handed over and is taken back.
            let keep = self.unsent(now) - self.waiting(now);
            let drop = self.waiting(now);
            self.sent.truncate(self.sent.len().saturating_sub(drop));
            self.free_at = now + self.byte_ns() * keep as u64;
        }
    }
}

impl Block for Uart {
    fn read(&mut self, offset: u32, now: u64, activity: &mut Activity) -> Option<u32> {
        if offset >= self.map.len {
            return None;
        }
        Some(match offset {
            FIFO_REG => match self.received.pop_front() {
                Some(byte) => {
                    activity.changed = true;
                    if self.received.is_empty() {
                        self.waits_since = None;
                    }
                    byte.into()
                }
                None => 0,
            },
            INT_RAW => self.raw(now),
            INT_ST => self.raw(now) & self.register(INT_ENA),
            STATUS => self.status(now),
            _ if offset == self.map.autobaud.edges => self.edges,
            _ => {
                let mut value = self.register(offset);
                if let Some(bits) = self.map.update.filter(|bits| bits.addr == offset) {
                    value = field::set(value, bits, 0);
                }
                if let Some(bits) = self.map.tx_state.filter(|bits| bits.addr == offset) {
                    value = field::set(value, bits, self.state(now));
                }
                value
            }
        })
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        if offset >= self.map.len {
            return false;
        }
        match offset {
            FIFO_REG => {
                activity.changed = true;
                self.notice(now);
                self.send(value as u8, now);
            }
            INT_RAW | INT_ST | STATUS => {}
            INT_CLR => {
                self.notice(now);
                activity.changed |= self.latched & value != 0;
                self.latched &= !value;
            }
            _ if self.map.constants.iter().any(|(at, _)| *at == offset) => {}
            _ => {
                self.notice(now);
                self.keep(offset, value, activity);
                let update = self.map.update.filter(|bits| bits.addr == offset);
                if update.is_some_and(|bits| field::get(value, bits) != 0) {
                    activity.changed |= self.divider != self.register(CLKDIV);
                    self.divider = self.register(CLKDIV);
                }
                if offset == CONF0 {
                    self.empty_fifos(now, activity);
                }
            }
        }
        true
    }

    fn interrupts(&mut self, now: u64) -> u32 {
        u32::from(self.raw(now) & self.register(INT_ENA) != 0)
    }

    fn next_event(&self, now: u64) -> Option<u64> {
        // The count of bytes that wait changes with each that has gone out.
        let left = self.free_at.saturating_sub(now);
        let sent = (left > 0).then(|| now + (left - 1) % self.byte_ns() + 1);
        let timeout = self.timeout_at().filter(|at| *at > now);
        [sent, timeout].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: u32 = 40_000_000;
    const CONF1: u32 = 0x24;

    struct Bench(Uart, u64);

    impl Bench {
        fn new(chip: &str) -> Self {
            let chip = guru_chip::by_id(chip).expect("a chip");
            let mut uart = Uart::new(&chip.registers.uart);
            uart.set_baud(CLOCK, 115_200);
            Self(uart, 0)
        }

        fn read(&mut self, offset: u32) -> u32 {
            let value = self.0.read(offset, self.1, &mut Activity::default());
            value.expect("a register")
        }

        fn write(&mut self, offset: u32, value: u32) -> bool {
            let mut activity = Activity::default();
            assert!(self.0.write(offset, value, self.1, &mut activity));
            activity.changed
        }
    }

    #[test]
    fn every_chip_divides_its_clock_with_sixteenths() {
        for chip in guru_chip::CHIPS {
            let mut bench = Bench::new(chip.id);
            assert!(
                bench.0.baud().abs_diff(115_200) < 60,
                "{}: {}",
                chip.id,
                bench.0.baud()
            );
            // 21 + 11/16: IDF's numbers for 40 MHz and 1.8432 Mbaud.
            bench.write(CLKDIV, 21 | 11 << 20);
            if let Some(update) = bench.0.map.update {
                bench.write(update.addr, field::set(0, update, 1));
                assert_eq!(field::get(bench.read(update.addr), update), 0);
            }
            assert_eq!(bench.0.baud(), 1_844_380, "{}", chip.id);
        }
    }

    #[test]
    fn a_latched_divider_has_no_effect_before_the_update() {
        let mut bench = Bench::new("esp32c6");
        let before = bench.0.baud();
        bench.write(CLKDIV, 40);
        assert_eq!(bench.read(CLKDIV), 40);
        assert_eq!(bench.0.baud(), before);
        bench.write(0x98, 1);
        assert_eq!(bench.0.baud(), 1_000_000);
    }

    #[test]
    fn bytes_come_out_of_the_fifo_in_order_and_too_many_are_lost() {
        let mut bench = Bench::new("esp32");
        for byte in 0..128 {
            assert!(bench.0.receive(byte, 0));
        }
        assert_eq!(bench.read(STATUS) & 0xFF, 128);
        assert!(!bench.0.receive(200, 0));
        assert_eq!(bench.read(INT_RAW) & RX_OVERFLOW, RX_OVERFLOW);
        let read: Vec<_> = (0..129).map(|_| bench.read(FIFO_REG)).collect();
        assert_eq!(read, (0..128).chain([0]).collect::<Vec<u32>>());
    }

    #[test]
    fn the_threshold_raises_an_interrupt_until_the_fifo_is_read() {
        for chip in [
            "esp8266", "esp32", "esp32s2", "esp32s3", "esp32c3", "esp32p4",
        ] {
            let mut bench = Bench::new(chip);
            bench.write(CONF1, field::set(0, bench.0.map.rx_full, 2));
            bench.write(INT_ENA, RX_FULL);
            bench.0.receive(1, 0);
            assert_eq!(bench.0.interrupts(0), 0, "{chip}");
            bench.0.receive(2, 0);
            assert_eq!(bench.0.interrupts(0), 1, "{chip}");
            assert_eq!(bench.read(INT_ST), RX_FULL);
            bench.write(INT_CLR, RX_FULL);
            assert_eq!(bench.read(INT_ST), RX_FULL, "the bytes are still there");
            bench.read(FIFO_REG);
            assert_eq!(bench.0.interrupts(0), 0, "{chip}");
        }
    }

    #[test]
    fn the_time_out_is_told_once_for_what_came() {
        let mut bench = Bench::new("esp32c6");
        bench.write(0x64, 1 | 20 << 2);
        bench.write(INT_ENA, RX_TIMEOUT);
        bench.0.receive(1, 1000);
        let at = bench.0.next_event(1000).expect("a time-out");
        assert_eq!(at, 1000 + 20 * 1_000_000_000 / u64::from(bench.0.baud()));
        assert_eq!(bench.0.interrupts(at - 1), 0);
        assert_eq!(bench.0.interrupts(at), 1);
        bench.1 = at;
        bench.write(INT_CLR, RX_TIMEOUT);
        assert_eq!(bench.0.interrupts(at + 1_000_000_000), 0);
        assert_eq!(bench.0.next_event(at), None);
    }

    #[test]
    fn sent_bytes_leave_one_by_one_and_the_line_is_busy_until_the_last() {
        let mut bench = Bench::new("esp32");
        bench.0.set_baud(CLOCK, 1_000_000);
        for byte in 0..3 {
            bench.write(FIFO_REG, byte);
        }
        // One is on the line.
        assert_eq!(bench.read(STATUS) >> 16 & 0xFF, 2);
        assert_ne!(bench.read(STATUS) >> 24 & 0xF, 0);
        assert_eq!(bench.0.next_event(0), Some(10_000));
        bench.1 = 10_000;
        assert_eq!(bench.read(STATUS) >> 16 & 0xFF, 1);
        assert_eq!(bench.read(INT_RAW) & TX_DONE, 0);
        bench.1 = 30_000;
        assert_eq!(bench.read(STATUS) >> 16 & 0xFFF, 0);
        assert_eq!(bench.read(INT_RAW) & TX_DONE, TX_DONE);
        assert_eq!(bench.0.next_event(30_000), None);
        let sent: Vec<_> = bench.0.take_sent().iter().map(|sent| sent.byte).collect();
        assert_eq!(sent, [0, 1, 2]);
    }

    #[test]
    fn more_than_the_fifo_holds_is_not_sent() {
        let mut bench = Bench::new("esp32c3");
        for byte in 0..200 {
            bench.write(FIFO_REG, byte);
        }
        assert_eq!(bench.0.take_sent().len(), FIFO + 1);
    }

    #[test]
    fn a_reset_bit_empties_its_fifo() {
        for chip in guru_chip::CHIPS {
            let mut bench = Bench::new(chip.id);
            let map = bench.0.map;
            bench.0.receive(1, 0);
            let conf = bench.read(CONF0);
            assert!(bench.write(CONF0, conf | field::mask(map.rx_reset)));
            bench.0.receive(2, 0);
            bench.write(CONF0, conf);
            assert_eq!(bench.read(STATUS) & 0xFF, 0, "{}", chip.id);
        }
    }

    #[test]
    fn the_shortest_pulses_tell_the_rate() {
        for (chip, on) in [("esp8266", 0x18), ("esp32c3", 0x20), ("esp32h2", 0x20)] {
            let mut bench = Bench::new(chip);
            let map = bench.0.map;
            let kept = bench.read(on);
            bench.write(on, kept | field::mask(map.autobaud.on));
            bench.0.measure(0x55, 40_000);
            assert_eq!(bench.read(map.autobaud.low), 1000, "{chip}");
            assert_eq!(bench.read(map.autobaud.high), 1000, "{chip}");
            assert_eq!(bench.read(map.autobaud.edges), 10, "{chip}");
        }
    }
}
