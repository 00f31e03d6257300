use std::ops::Range;
use std::time::Duration;

use guru_chip::{BitKind, StatusLayout};
use guru_link::Instant;

use super::{BLOCK, Flash, PAGE, Part, SECTOR, StatusWrite, sfdp};

/// A flash part on its bus: what it makes of commands, and what it remembers beside its cells.
#[derive(Debug)]
pub struct Nor {
    part: &'static Part,
    cells: Flash,
    sfdp: [u8; 256],
    layout: &'static StatusLayout,
    /// Status registers as they hold now, register 1 lowest, without BUSY and WEL.
    status: u32,
    /// Status registers as they will be after power-up.
    kept_status: u32,
    /// The registers cannot be written, by a bit such as SRP1.
    status_locked: bool,
    /// The locks of single blocks were opened, where WPS is set.
    blocks_opened: bool,
    write_enabled: bool,
    volatile_status: bool,
    reset_enabled: bool,
    powered_down: bool,
    supplied: bool,
    four_byte_mode: bool,
    busy_until: Instant,
    faults: Faults,
    counts: Counts,
}

/// What is wrong with a part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Times are multiplied by this; 0: as in the data sheet.
    pub slow: u32,
    /// From this erase or program command on, counted from 1, the part stays busy for ever.
    pub stuck_from: Option<u64>,
    /// The supply fails in the middle of this erase command, counted from 1.
    pub power_loss_erase: Option<u64>,
    /// The supply fails in the middle of this program command, counted from 1.
    pub power_loss_program: Option<u64>,
    /// The part does not answer at all.
    pub absent: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub erase_commands: u64,
    pub program_commands: u64,
    pub erased_bytes: u64,
    pub programmed_bytes: u64,
}

/// What a command that changes contents costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// How long the part is busy from now on.
    pub time: Duration,
    /// After this time the supply fails.
    pub power_loss: Option<Duration>,
}

/// Why a command did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The part is busy, or not there.
    NotReady,
    /// Write enable was not set.
    NotEnabled,
    /// Block protection covers the range.
    Protected,
}

/// A unit that one erase command sets to 0xFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Sector,
    HalfBlock,
    Block,
    Chip,
}

/// BUSY never clears.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
const BUSY: u8 = 1 << 0;
const WEL: u8 = 1 << 1;
/// Bit 7 of register 1: with SRP1 it locks the registers for ever.
const SRP0: u32 = 1 << 7;

impl Nor {
    /// A part with contents of its size.
    pub fn new(part: &'static Part, cells: Flash) -> Self {
        Self {
            part,
            sfdp: sfdp::table(part),
            cells,
            layout: part.status_layout(),
            status: 0,
            kept_status: 0,
            status_locked: false,
            blocks_opened: false,
            write_enabled: false,
            volatile_status: false,
            reset_enabled: false,
            powered_down: false,
            supplied: true,
            four_byte_mode: false,
            busy_until: Instant::default(),
            faults: Faults::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The part comes with this in its status registers, register 1 lowest.
    pub fn set_status(&mut self, status: u32) {
        self.kept_status = status & !self.layout.mask(BitKind::ReadOnly);
        self.restore_status();
    }

    /// The cells.
    pub fn cells(&self) -> &Flash {
        &self.cells
    }

    /// Which part it is.
    pub fn part(&self) -> &'static Part {
        self.part
    }

    /// The supply comes back: volatile state is lost, an operation under way has ended.
    pub fn power_cycle(&mut self) {
        let lock = self.layout.mask(BitKind::Lock);
        // Without bit 7 the lock ends here.
        if self.kept_status & SRP0 == 0 {
            self.kept_status &= !lock;
        }
        self.status_locked = false;
        self.reset();
    }

    /// Commands 66 and 99: as power-up, but locks stay.
    fn reset(&mut self) {
        self.restore_status();
        self.write_enabled = false;
        self.volatile_status = false;
        self.reset_enabled = false;
        self.powered_down = false;
        self.four_byte_mode = false;
        if self.busy_until - Instant::default() < FOR_EVER {
            self.busy_until = Instant::default();
        }
    }

    /// Whoever gave one command after the other is gone: at `now` only the one under way goes on.
    pub fn abandon(&mut self, now: Instant) {
        let last = now + self.part.times.block();
        if !self.hangs() {
            self.busy_until = self.busy_until.min(last);
        }
    }

    /// Whether an erase or program command is under way.
    pub fn is_busy(&self, now: Instant) -> bool {
        now < self.busy_until
    }

    /// One transaction as the part sees it: `sent` holds the command and all that follows it,
    /// dummy bytes included; `received` is filled with what the part drives afterwards. A part
    /// that drives nothing leaves the line high.
    pub fn transact(&mut self, now: Instant, sent: &[u8], received: &mut [u8]) -> Option<Work> {
        received.fill(0xFF);
        if self.faults.absent || !self.supplied {
            return None;
        }
        let (command, rest) = sent.split_first()?;
        let armed = std::mem::take(&mut self.reset_enabled);
        let status_command = matches!(command, 0x05 | 0x35 | 0x15);
        if self.powered_down && *command != 0xAB {
            return None;
        }
        if self.is_busy(now) && !(status_command || matches!(command, 0x66 | 0x99)) {
            return None;
        }
        match *command {
            0x05 => received.fill(self.status_byte(0, now)),
            0x35 => received.fill(self.status_byte(1, now)),
            0x15 => received.fill(self.status_byte(2, now)),
            0x06 => self.write_enabled = true,
            0x50 => self.volatile_status = true,
            0x04 => self.write_enabled = false,
            0x9F => fill_cycling(received, &self.part.jedec),
            0x90 => fill_cycling(received, &[self.part.jedec[0], self.part.jedec[2] - 1]),
            0xAB => {
                self.powered_down = false;
                received.fill(self.part.jedec[2] - 1);
            }
            0xB9 => self.powered_down = true,
            0x66 => self.reset_enabled = true,
            0x99 if armed => {
                self.reset();
            }
            0xB7 => self.four_byte_mode = self.part.four_byte,
            0xE9 => self.four_byte_mode = false,
            0x5A => {
                let (at, _) = address(rest, 3)?;
                for (index, byte) in received.iter_mut().enumerate() {
                    *byte = self.sfdp[(at as usize + index) % self.sfdp.len()];
                }
            }
            // What follows the address, mode bits and dummy cycles, changes nothing here.
            0x03 | 0x0B | 0x3B | 0x6B | 0xBB | 0xEB => {
                let (at, _) = address(rest, self.address_len())?;
                self.cells.fetch(at, received);
            }
            0x13 | 0x0C | 0x3C | 0x6C | 0xBC | 0xEC if self.part.four_byte => {
                let (at, _) = address(rest, 4)?;
                self.cells.fetch(at, received);
            }
            0x01 => return self.write_status(now, 0, rest),
            0x31 => return self.write_status(now, 1, rest),
            0x11 => return self.write_status(now, 2, rest),
            0x98 if std::mem::take(&mut self.write_enabled) => self.blocks_opened = true,
            0x02 => {
                let (at, data) = address(rest, self.address_len())?;
                return self.program(now, at, data).ok();
            }
            0x12 if self.part.four_byte => {
                let (at, data) = address(rest, 4)?;
                return self.program(now, at, data).ok();
            }
            0x20 | 0x52 | 0xD8 => {
                let (at, _) = address(rest, self.address_len())?;
                let unit = match command {
                    0x20 => Unit::Sector,
                    0x52 => Unit::HalfBlock,
                    _ => Unit::Block,
                };
                return self.erase(now, unit, at).ok();
            }
            0x21 | 0xDC if self.part.four_byte => {
                let (at, _) = address(rest, 4)?;
                let unit = if *command == 0x21 {
                    Unit::Sector
                } else {
                    Unit::Block
                };
                return self.erase(now, unit, at).ok();
            }
            0xC7 | 0x60 => return self.erase(now, Unit::Chip, 0).ok(),
            _ => {}
        }
        None
    }

    /// Sets the write enable latch, as command 06 does.
    pub(crate) fn enable_write(&mut self, now: Instant) {
        if !self.is_busy(now) && self.answers() {
            self.write_enabled = true;
        }
    }

    /// Whether reads and writes can work at all.
    pub(crate) fn answers(&self) -> bool {
        self.supplied && !self.faults.absent && !self.powered_down
    }

    /// Whether the part has its supply.
    pub(crate) fn has_supply(&self) -> bool {
        self.supplied
    }

    /// Switches the part's supply.
    pub(crate) fn set_supply(&mut self, on: bool) {
        if on != self.supplied {
            self.supplied = on;
            self.power_cycle();
        }
    }

    /// When the operation under way ends.
    pub(crate) fn busy_until(&self) -> Instant {
        self.busy_until
    }

    /// Whether an operation under way will never end.
    pub(crate) fn hangs(&self) -> bool {
        self.busy_until - Instant::default() >= FOR_EVER
    }

    /// Clears the bits of `data` that are 0, within one page: what goes beyond its end comes
    /// back at its beginning, and of more than a page the last one counts.
    pub(crate) fn program(&mut self, now: Instant, at: u32, data: &[u8]) -> Result<Work, Refusal> {
        self.take_latch(now)?;
        let at = at % self.part.size;
        let page = at / PAGE * PAGE;
        if self.is_protected(&(page..page + PAGE)) {
            return Err(Refusal::Protected);
        }
        self.counts.program_commands += 1;
        let mut bits = [0xFF_u8; PAGE as usize];
        let tail = &data[data.len().saturating_sub(PAGE as usize)..];
        let skipped = data.len() - tail.len();
        for (index, byte) in tail.iter().enumerate() {
            bits[(at as usize + skipped + index) % PAGE as usize] = *byte;
        }
        let loses_power = self.faults.power_loss_program == Some(self.counts.program_commands);
        if loses_power {
            // The first half of the bytes is done, the next one half way.
            let half = tail.len() / 2;
            for index in half..tail.len() {
                let bit = &mut bits[(at as usize + skipped + index) % PAGE as usize];
                *bit = if index == half { *bit | 0xAA } else { 0xFF };
            }
        }
        self.cells.program(page, &bits);
        self.counts.programmed_bytes += tail.len() as u64;
        Ok(self.start(now, self.part.times.program(tail.len()), loses_power))
    }

    /// Sets the unit around `at` to 0xFF.
    pub(crate) fn erase(&mut self, now: Instant, unit: Unit, at: u32) -> Result<Work, Refusal> {
        self.take_latch(now)?;
        let times = self.part.times;
        let (len, time) = match unit {
            Unit::Sector => (SECTOR, times.sector()),
            Unit::HalfBlock => (BLOCK / 2, times.half_block()),
            Unit::Block => (BLOCK, times.block()),
            Unit::Chip => (self.part.size, times.chip(self.part.size)),
        };
        let start = at % self.part.size / len * len;
        let range = start..start + len;
        if self.is_protected(&range) {
            return Err(Refusal::Protected);
        }
        self.counts.erase_commands += 1;
        let loses_power = self.faults.power_loss_erase == Some(self.counts.erase_commands);
        if loses_power {
            self.erase_partly(range);
        } else {
            self.cells.erase(range);
        }
        self.counts.erased_bytes += u64::from(len);
        Ok(self.start(now, time, loses_power))
    }

    /// Erasing sets bits slowly and unevenly: half of the range is erased, in the rest every
    /// other bit is.
    fn erase_partly(&mut self, range: Range<u32>) {
        let middle = range.start + (range.end - range.start) / 2;
        self.cells.erase(range.start..middle);
        for sector in (middle..range.end).step_by(SECTOR as usize) {
            let end = (sector + SECTOR).min(range.end);
            let weak: Vec<u8> = self
                .cells
                .read(sector..end)
                .iter()
                .map(|byte| byte | 0x55)
                .collect();
            self.cells.load(sector, &weak);
        }
    }

    fn take_latch(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.is_busy(now) || !self.answers() {
            return Err(Refusal::NotReady);
        }
        if !std::mem::take(&mut self.write_enabled) {
            return Err(Refusal::NotEnabled);
        }
        Ok(())
    }

    fn start(&mut self, now: Instant, time: Duration, loses_power: bool) -> Work {
        let time = match self.faults.slow {
            0 => time,
            factor => time * factor,
        };
        let operations = self.counts.erase_commands + self.counts.program_commands;
        let stuck = self
            .faults
            .stuck_from
            .is_some_and(|from| operations >= from);
        let time = if stuck { FOR_EVER } else { time };
        self.busy_until = now + time;
        Work {
            time,
            power_loss: loses_power.then_some(time / 2),
        }
    }

    /// Writes registers from `first` on. Bits that only go to 1 stay there; the ones that cannot be
    /// volatile are left alone by a volatile write (W25Q32JV, "Write Enable for Volatile Status
    /// Register").
    fn write_status(&mut self, now: Instant, first: u8, values: &[u8]) -> Option<Work> {
        let volatile = std::mem::take(&mut self.volatile_status);
        if !volatile {
            self.take_latch(now).ok()?;
        }
        let (mask, value) = self.taken(first, values)?;
        if self.status_locked {
            return None;
        }
        let one_time = self.layout.mask(BitKind::OneTime);
        let fixed = self.layout.mask(BitKind::ReadOnly) | if volatile { one_time } else { 0 };
        let change = |old: u32| {
            let new = old & !(mask & !fixed) | value & mask & !fixed;
            new | old & one_time
        };
        self.status = change(self.status);
        if !volatile {
            self.kept_status = change(self.kept_status);
        }
        self.status_locked = self.status & self.layout.mask(BitKind::Lock) != 0;
        let time = if volatile {
            Duration::ZERO
        } else {
            self.part.times.status()
        };
        self.busy_until = now + time;
        Some(Work {
            time,
            power_loss: None,
        })
    }

    /// Bits that a write of registers reaches, and what it brings. `None`: it is not a command of
    /// this part.
    fn taken(&self, first: u8, values: &[u8]) -> Option<(u32, u32)> {
        let (&low, rest) = values.split_first()?;
        let exists = first < self.layout.registers;
        let (mask, value) = match (self.part.status_write, first, rest.first()) {
            (StatusWrite::Single, 0, Some(_)) => return None,
            (StatusWrite::Pair, 0, second) => (
                0xFFFF,
                u32::from(low) | u32::from(*second.unwrap_or(&0)) << 8,
            ),
            (StatusWrite::Pair, ..) => return None,
            (_, 0, Some(second)) => (0xFFFF, u32::from(low) | u32::from(*second) << 8),
            _ if exists => (0xFF << (8 * first), u32::from(low) << (8 * first)),
            _ => return None,
        };
        Some((mask & self.registers_mask(), value))
    }

    fn registers_mask(&self) -> u32 {
        u32::MAX >> (32 - 8 * u32::from(self.layout.registers))
    }

    fn restore_status(&mut self) {
        self.status = self.kept_status & self.registers_mask();
        self.status_locked |= self.status & self.layout.mask(BitKind::Lock) != 0;
        self.blocks_opened = false;
    }

    fn status_byte(&self, register: u8, now: Instant) -> u8 {
        if register >= self.layout.registers {
            return 0xFF;
        }
        let mut byte = (self.status >> (8 * register)) as u8;
        if register == 0 {
            if self.is_busy(now) {
                // WEL stays set until the operation has ended.
                byte |= BUSY | WEL;
            }
            if self.write_enabled {
                byte |= WEL;
            }
        }
        byte
    }

    /// Status registers 1 and 2 as a loader reads them before it unlocks the part.
    pub(crate) fn protection(&self) -> [u8; 2] {
        let [first, second, ..] = self.status.to_le_bytes();
        [first, second]
    }

    fn is_protected(&self, range: &Range<u32>) -> bool {
        if self.blocks_opened {
            return false;
        }
        self.layout
            .protected(self.status, self.part.size)
            .is_some_and(|protected| range.start < protected.end && protected.start < range.end)
    }

    fn address_len(&self) -> usize {
        if self.four_byte_mode { 4 } else { 3 }
    }
}

fn address(bytes: &[u8], len: usize) -> Option<(u32, &[u8])> {
    let (address, rest) = bytes.split_at_checked(len)?;
    let value = address
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte));
    Some((value, rest))
}

fn fill_cycling(target: &mut [u8], source: &[u8]) {
    for (byte, value) in target.iter_mut().zip(source.iter().cycle()) {
        *byte = *value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(Duration::ZERO);

    struct Bench {
        nor: Nor,
        now: Instant,
    }

    impl Bench {
        fn new(size: u32) -> Self {
            Self {
                nor: Nor::new(Part::of_size(size).unwrap(), Flash::in_memory(size)),
                now: NOW,
            }
        }

        /// Sends a command and waits until the part is ready again.
        fn send(&mut self, bytes: &[u8]) -> Option<Work> {
            let work = self.nor.transact(self.now, bytes, &mut []);
            if let Some(work) = work {
                self.now = self.now + work.time;
            }
            work
        }

        fn ask<const N: usize>(&mut self, bytes: &[u8]) -> [u8; N] {
            let mut answer = [0; N];
            self.nor.transact(self.now, bytes, &mut answer);
            answer
        }
    }

    #[test]
    fn a_part_answers_its_own_id() {
        let mut bench = Bench::new(4 << 20);
        assert_eq!(bench.ask(&[0x9F]), [0xEF, 0x40, 0x16]);
    }

    #[test]
    fn nothing_is_written_without_write_enable() {
        let mut bench = Bench::new(1 << 20);
        assert_eq!(bench.send(&[0x02, 0, 0, 0, 0x12]), None);
        assert_eq!(bench.ask(&[0x03, 0, 0, 0]), [0xFF]);
        bench.send(&[0x06]);
        assert!(bench.send(&[0x02, 0, 0, 0, 0x12]).is_some());
        assert_eq!(bench.ask(&[0x03, 0, 0, 0]), [0x12]);
        // The latch is cleared by the command that used it.
        assert_eq!(bench.send(&[0x20, 0, 0, 0]), None);
    }

    #[test]
    fn programming_wraps_within_its_page() {
        let mut bench = Bench::new(1 << 20);
        bench.send(&[0x06]);
        bench.send(&[0x02, 0, 1, 0xFE, 1, 2, 3, 4]);
        assert_eq!(bench.ask(&[0x03, 0, 1, 0xFE]), [1, 2, 0xFF]);
        assert_eq!(bench.ask(&[0x03, 0, 1, 0x00]), [3, 4, 0xFF]);
    }

    #[test]
    fn a_busy_part_answers_its_status_only() {
        let mut bench = Bench::new(1 << 20);
        bench.send(&[0x06]);
        let work = bench.nor.transact(NOW, &[0x20, 0, 0, 0], &mut []).unwrap();
        assert_eq!(work.time, Duration::from_millis(45));
        assert_eq!(bench.ask(&[0x05]), [0x03]);
        assert_eq!(bench.ask(&[0x9F]), [0xFF, 0xFF, 0xFF]);
        bench.now = bench.now + work.time;
        assert_eq!(bench.ask(&[0x05]), [0x00]);
        assert_eq!(bench.ask(&[0x9F]), [0xEF, 0x40, 0x14]);
    }

    #[test]
    fn each_erase_command_erases_its_unit() {
        for (command, len) in [(0x20, SECTOR), (0x52, BLOCK / 2), (0xD8, BLOCK)] {
            let mut bench = Bench::new(1 << 20);
            bench.nor.cells().load(0, &vec![0; 1 << 20]);
            bench.send(&[0x06]);
            bench.send(&[command, 0x05, 0x43, 0x21]);
            let start = 0x5_4321 / len * len;
            let contents = bench.nor.cells().read(0..1 << 20);
            for (offset, byte) in contents.iter().enumerate() {
                let inside = (start..start + len).contains(&(offset as u32));
                assert_eq!(*byte == 0xFF, inside, "{command:#x} at {offset:#x}");
            }
        }
        let mut bench = Bench::new(1 << 20);
        bench.nor.cells().load(0, &vec![0; 1 << 20]);
        bench.send(&[0x06]);
        bench.send(&[0xC7]);
        assert!(
            bench
                .nor
                .cells()
                .read(0..1 << 20)
                .iter()
                .all(|byte| *byte == 0xFF)
        );
    }

    #[test]
    fn block_protection_is_honoured_and_can_be_lifted() {
        let mut bench = Bench::new(4 << 20);
        bench.send(&[0x06]);
        bench.send(&[0x01, 0x04]);
        assert_eq!(bench.ask(&[0x05]), [0x04]);
        for (at, writable) in [([0x00, 0, 0], true), ([0x3F, 0, 0], false)] {
            bench.send(&[0x06]);
            let work = bench.send(&[0x02, at[0], at[1], at[2], 0]);
            assert_eq!(work.is_some(), writable);
        }
        bench.send(&[0x04]);
        bench.send(&[0x06]);
        bench.send(&[0x01, 0x00, 0x02]);
        assert_eq!(bench.ask(&[0x35]), [0x02]);
        bench.send(&[0x06]);
        assert!(bench.send(&[0x02, 0x3F, 0, 0, 0]).is_some());
    }

    fn bench_of(part: &str) -> Bench {
        let part = Part::named(part).unwrap();
        Bench {
            nor: Nor::new(part, Flash::in_memory(part.size)),
            now: NOW,
        }
    }

    #[test]
    fn a_volatile_status_is_lost_with_a_reset_and_a_kept_one_is_not() {
        let mut bench = Bench::new(4 << 20);
        bench.send(&[0x50]);
        assert_eq!(
            bench.send(&[0x01, 0x04, 0x02]).unwrap().time,
            Duration::ZERO
        );
        assert_eq!(bench.ask(&[0x35]), [0x02]);
        bench.send(&[0x66]);
        bench.send(&[0x99]);
        assert_eq!([bench.ask::<1>(&[0x05]), bench.ask(&[0x35])], [[0], [0]]);
        bench.send(&[0x06]);
        assert!(bench.send(&[0x01, 0x04, 0x02]).unwrap().time > Duration::ZERO);
        bench.nor.power_cycle();
        assert_eq!([bench.ask::<1>(&[0x05]), bench.ask(&[0x35])], [[4], [2]]);
    }

    #[test]
    fn one_time_bits_go_to_1_for_ever_and_only_for_good() {
        let mut bench = Bench::new(4 << 20);
        bench.send(&[0x50]);
        bench.send(&[0x31, 0x08]);
        assert_eq!(bench.ask(&[0x35]), [0x00]);
        bench.send(&[0x06]);
        bench.send(&[0x31, 0x08]);
        bench.send(&[0x06]);
        bench.send(&[0x31, 0x00]);
        bench.nor.power_cycle();
        assert_eq!(bench.ask(&[0x35]), [0x08]);
    }

    #[test]
    fn srp1_locks_the_registers_until_power_off_and_with_srp0_for_ever() {
        let mut bench = Bench::new(4 << 20);
        bench.send(&[0x06]);
        bench.send(&[0x01, 0x04, 0x01]);
        for _ in 0..2 {
            bench.send(&[0x06]);
            assert_eq!(bench.send(&[0x01, 0x00, 0x00]), None);
            bench.send(&[0x66]);
            bench.send(&[0x99]);
            assert_eq!(bench.ask(&[0x05]), [0x04]);
        }
        bench.nor.power_cycle();
        assert_eq!(bench.ask(&[0x35]), [0x00]);
        bench.send(&[0x06]);
        bench.send(&[0x01, 0x80, 0x01]);
        bench.nor.power_cycle();
        bench.send(&[0x06]);
        assert_eq!(bench.send(&[0x01, 0x00, 0x00]), None);
        assert_eq!(
            [bench.ask::<1>(&[0x05]), bench.ask(&[0x35])],
            [[0x80], [0x01]]
        );
    }

    #[test]
    fn turned_round_protection_leaves_what_bp_names() {
        let mut bench = Bench::new(4 << 20);
        bench.send(&[0x06]);
        // BP 1 from the top: 64 KiB are free, the rest is not.
        bench.send(&[0x01, 0x04, 0x40]);
        for (at, writable) in [([0x3F, 0, 0], true), ([0x3E, 0xFF, 0], false)] {
            bench.send(&[0x06]);
            let work = bench.send(&[0x20, at[0], at[1], at[2]]);
            assert_eq!(work.is_some(), writable);
        }
    }

    #[test]
    fn blocks_with_locks_of_their_own_are_locked_until_they_are_opened() {
        let mut bench = Bench::new(4 << 20);
        bench.send(&[0x06]);
        bench.send(&[0x11, 0x04]);
        bench.send(&[0x06]);
        assert_eq!(bench.send(&[0x02, 0, 0, 0, 0]), None);
        bench.send(&[0x06]);
        bench.send(&[0x98]);
        bench.send(&[0x06]);
        assert!(bench.send(&[0x02, 0, 0, 0, 0]).is_some());
    }

    #[test]
    fn status_registers_are_written_as_each_part_wants_it() {
        // One byte clears the second register.
        let mut old = bench_of("W25Q80DV");
        old.send(&[0x06]);
        old.send(&[0x01, 0x00, 0x02]);
        assert_eq!(old.ask(&[0x35]), [0x02]);
        old.send(&[0x06]);
        assert_eq!(old.send(&[0x31, 0x00]), None);
        old.send(&[0x06]);
        old.send(&[0x01, 0x00]);
        assert_eq!(old.ask(&[0x35]), [0x00]);
        // Two bytes are one too many.
        let mut single = bench_of("GD25Q32C");
        single.send(&[0x06]);
        assert_eq!(single.send(&[0x01, 0x04, 0x02]), None);
        single.send(&[0x06]);
        single.send(&[0x31, 0x02]);
        assert_eq!(single.ask(&[0x35]), [0x02]);
        // One register is all there is.
        let mut one = bench_of("MX25L3233F");
        one.send(&[0x06]);
        one.send(&[0x01, 0x44]);
        assert_eq!([one.ask::<1>(&[0x05]), one.ask(&[0x35])], [[0x44], [0xFF]]);
    }

    #[test]
    fn four_byte_commands_reach_beyond_16_mb() {
        let mut bench = Bench::new(32 << 20);
        bench.send(&[0x06]);
        bench.send(&[0x12, 0x01, 0, 0, 0, 0x77]);
        assert_eq!(bench.ask(&[0x13, 0x01, 0, 0, 0]), [0x77]);
        assert_eq!(bench.ask(&[0x03, 0, 0, 0]), [0xFF]);
        bench.send(&[0xB7]);
        assert_eq!(bench.ask(&[0x03, 0x01, 0, 0, 0]), [0x77]);
        bench.send(&[0x66]);
        bench.send(&[0x99]);
        assert_eq!(bench.ask(&[0x03, 0, 0, 0]), [0xFF]);
    }

    #[test]
    fn a_part_in_power_down_answers_only_its_release() {
        let mut bench = Bench::new(1 << 20);
        bench.send(&[0xB9]);
        assert_eq!(bench.ask(&[0x9F]), [0xFF, 0xFF, 0xFF]);
        assert_eq!(bench.ask(&[0xAB, 0, 0, 0]), [0x13]);
        assert_eq!(bench.ask(&[0x9F]), [0xEF, 0x40, 0x14]);
    }

    #[test]
    fn power_loss_in_mid_erase_leaves_the_range_half_erased() {
        let mut bench = Bench::new(1 << 20);
        bench.nor.set_faults(Faults {
            power_loss_erase: Some(1),
            ..Faults::default()
        });
        bench.nor.cells().load(0, &[0; 0x2000]);
        bench.send(&[0x06]);
        let work = bench.send(&[0x20, 0, 0, 0]).unwrap();
        assert!(work.power_loss.is_some());
        let contents = bench.nor.cells().read(0..0x2000);
        assert!(contents[..0x800].iter().all(|byte| *byte == 0xFF));
        assert!(contents[0x800..0x1000].iter().all(|byte| *byte == 0x55));
        assert!(contents[0x1000..].iter().all(|byte| *byte == 0));
    }
}
