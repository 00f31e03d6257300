//! A timer group: one or two timers, a watchdog, and the measurement of the slow clock.
//!
//! Sources: technical reference manuals, "Timer Group"; ESP-IDF's `timer_group_reg.h`.

use guru_chip::{ResetScope, TimerGroupRegisters};

use super::block::{Activity, Block};
use super::rtc_watchdog::USB_WATCHDOG;
use super::watchdog::{Kind, Watchdog};

/// First registers of the timers; there may be one or two.
const TIMERS: [u32; 2] = [0x00, 0x24];
const TIMER_LEN: u32 = 0x24;
const WDT_CONFIG0: u32 = 0x48;
/// Prescaler of the watchdog's clock, in the upper half.
const WDT_CONFIG1: u32 = 0x4C;
/// Times of the four stages.
const WDT_CONFIG2: u32 = 0x50;
const WDT_CONFIG5: u32 = 0x5C;
const WDT_FEED: u32 = 0x60;
const WDT_PROTECT: u32 = 0x64;
const CALIBRATION: u32 = 0x68;
const CALIBRATION_RESULT: u32 = 0x6C;
pub(super) const LEN: u32 = 0x100;

const CALIBRATION_START: u32 = 1 << 31;
const CALIBRATION_CYCLING: u32 = 1 << 12;
const CALIBRATION_READY: u32 = 1 << 15;
/// Frequency of the slow clock, in Hz (the internal RC oscillator).
const SLOW_CLOCK: u64 = 136_000;

/// TxCONFIG.
const RUNS: u32 = 1 << 31;
const UP: u32 = 1 << 30;
const RELOADS: u32 = 1 << 29;
const ALARM: u32 = 1 << 10;
const CRYSTAL: u32 = 1 << 9;
/// Bits of the counters; those of the ESP32 have 10 more, which no program lives to see.
const COUNT: u64 = (1 << 54) - 1;

/// One timer.
#[derive(Debug, Clone, Default)]
struct Timer {
    config: u32,
    /// Value at the time `since`.
    base: u64,
    since: u64,
    /// What UPDATE has caught.
    caught: u64,
    alarm: u64,
    load: u64,
}

/// Frequencies that timers count, in Hz.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub apb: u32,
    pub crystal: u32,
}

impl Timer {
    fn ticks_per_second(&self, clocks: Clocks) -> u64 {
        let clock = if self.config & CRYSTAL != 0 {
            clocks.crystal
        } else {
            clocks.apb
        };
        let divider = match self.config >> 13 & 0xFFFF {
            0 => 0x1_0000,
            divider => divider,
        };
        u64::from(clock / divider).max(1)
    }

    fn value(&self, now: u64, clocks: Clocks) -> u64 {
        if self.config & RUNS == 0 {
            return self.base;
        }
        let passed = u128::from(now.saturating_sub(self.since));
        let ticks = passed * u128::from(self.ticks_per_second(clocks)) / 1_000_000_000;
        let ticks = ticks as u64;
        let value = if self.config & UP != 0 {
            self.base.wrapping_add(ticks)
        } else {
            self.base.wrapping_sub(ticks)
        };
        value & COUNT
    }

    /// Goes on from its present value, so that its speed or direction can change.
    fn settle(&mut self, now: u64, clocks: Clocks) {
        self.base = self.value(now, clocks);
        self.since = now;
    }

    /// When it comes to its alarm.
    fn alarm_at(&self, clocks: Clocks) -> Option<u64> {
        if self.config & (RUNS | ALARM) != RUNS | ALARM {
            return None;
        }
        let ticks = if self.config & UP != 0 {
            self.alarm.checked_sub(self.base)
        } else {
            self.base.checked_sub(self.alarm)
        }?;
        let ns = u128::from(ticks) * 1_000_000_000;
        let ns = ns.div_ceil(self.ticks_per_second(clocks).into());
        self.since.checked_add(u64::try_from(ns).ok()?)
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, clocks: Clocks) -> bool {
        let low = |number: u64| number & !0xFFFF_FFFF | u64::from(value);
        let high = |number: u64| number & 0xFFFF_FFFF | u64::from(value) << 32;
        match offset {
            0x00 => {
                self.settle(now, clocks);
                self.config = value;
            }
            0x04 | 0x08 => {}
            0x0C => self.caught = self.value(now, clocks),
            0x10 => self.alarm = low(self.alarm),
            0x14 => self.alarm = high(self.alarm),
            0x18 => self.load = low(self.load),
            0x1C => self.load = high(self.load),
            0x20 => (self.base, self.since) = (self.load & COUNT, now),
            _ => return false,
        }
        true
    }

    fn read(&self, offset: u32) -> Option<u32> {
        Some(match offset {
            0x00 => self.config,
            0x04 => self.caught as u32,
            0x08 => (self.caught >> 32) as u32,
            0x10 => self.alarm as u32,
            0x14 => (self.alarm >> 32) as u32,
            0x18 => self.load as u32,
            0x1C => (self.load >> 32) as u32,
            // Done.
            0x0C | 0x20 => 0,
            _ => return None,
        })
    }
}

/// The registers of a group.
#[derive(Debug)]
pub(super) struct TimerGroup {
    map: &'static TimerGroupRegisters,
    clocks: Clocks,
    timers: [Timer; 2],
    watchdog: Watchdog,
    wdt_clock: u32,
    enabled: u32,
    latched: u32,
    calibration: u32,
    /// When the measurement ends.
    calibrated_at: u64,
    result: u32,
    /// Registers that only hold their value.
    kept: [u32; (LEN / 4) as usize],
}

impl TimerGroup {
    pub fn new(map: &'static TimerGroupRegisters, clocks: Clocks) -> Self {
        let mut group = Self {
            map,
            clocks,
            timers: [Timer::default(), Timer::default()],
            watchdog: Watchdog::new(Kind::Group),
            wdt_clock: 1 << 16,
            enabled: 0,
            latched: 0,
            calibration: 0,
            calibrated_at: 0,
            result: 0,
            kept: [0; (LEN / 4) as usize],
        };
        for timer in &mut group.timers {
            timer.config = UP | RELOADS | 1 << 13;
        }
        group.set_clocks(clocks, 0);
        group
    }

    pub fn set_clocks(&mut self, clocks: Clocks, now: u64) {
        for timer in &mut self.timers {
            timer.settle(now, self.clocks);
        }
        self.clocks = clocks;
        self.watchdog.set_rate(clocks.apb, self.wdt_clock >> 16);
    }

    pub fn base(&self) -> u32 {
        self.map.base
    }

    /// The watchdog runs, and is locked.
    pub fn start_watchdog(&mut self, now: u64) {
        self.watchdog.times[0] = self.clocks.apb.saturating_mul(USB_WATCHDOG);
        self.watchdog.configure(RUNS | 3 << 29, now);
        self.watchdog.protect = 0;
    }

    /// When the watchdog resets something, what, and what the chip then gives as the cause.
    pub fn reset_at(&self) -> Option<(u64, ResetScope, u8)> {
        let (cpu, core) = self.map.causes;
        let (at, scope) = self.watchdog.reset_at()?;
        let cause = if scope == ResetScope::Cpu { cpu } else { core };
        Some((at, scope, cause))
    }

    /// Interrupt sources that are asserted.
    pub fn sources(&mut self, now: u64) -> impl Iterator<Item = u16> + use<> {
        let asserted = self.interrupts(now);
        let sources = self.map.sources.iter().enumerate();
        sources.filter_map(move |(bit, source)| (asserted >> bit & 1 != 0).then_some(*source))
    }

    fn notice(&mut self, now: u64) {
        for index in 0..usize::from(self.map.timers) {
            let clocks = self.clocks;
            let Some(timer) = self.timers.get_mut(index) else {
                continue;
            };
            let Some(at) = timer.alarm_at(clocks).filter(|at| *at <= now) else {
                continue;
            };
            self.latched |= 1 << index;
            timer.settle(now, clocks);
            if timer.config & RELOADS != 0 {
                (timer.base, timer.since) = (timer.load & COUNT, at);
                timer.settle(now, clocks);
            }
            timer.config &= !ALARM;
        }
        if self.watchdog.interrupts_until(now) {
            self.latched |= 1 << self.map.timers;
        }
    }

    /// The timer of a register, and the offset in it.
    fn timer(&mut self, offset: u32) -> Option<(&mut Timer, u32)> {
        let all = self.timers.iter_mut().zip(TIMERS);
        all.take(self.map.timers.into())
            .find(|(_, start)| (*start..start + TIMER_LEN).contains(&offset))
            .map(|(timer, start)| (timer, offset - start))
    }

    fn write_watchdog(&mut self, offset: u32, value: u32, now: u64) {
        if offset == WDT_PROTECT {
            self.watchdog.protect = value;
            return;
        }
        if !self.watchdog.is_open() {
            return;
        }
        match offset {
            WDT_CONFIG0 => self.watchdog.configure(value, now),
            WDT_CONFIG1 => {
                self.wdt_clock = value;
                self.watchdog.set_rate(self.clocks.apb, value >> 16);
            }
            WDT_FEED => self.watchdog.feed(now),
            _ => self.watchdog.times[(offset - WDT_CONFIG2) as usize / 4 % 4] = value,
        }
    }

    /// Counts crystal cycles in a number of slow ones.
    fn calibrate(&mut self, value: u32, now: u64) {
        let starts = value & (CALIBRATION_START | CALIBRATION_CYCLING) != 0
            && value & !self.calibration & (CALIBRATION_START | CALIBRATION_CYCLING) != 0;
        self.calibration = value;
        if starts {
            let cycles = u64::from(value >> 16 & 0x7FFF);
            self.calibrated_at = now + cycles * 1_000_000_000 / SLOW_CLOCK;
            let crystal = cycles * u64::from(self.clocks.crystal) / SLOW_CLOCK;
            self.result = (crystal as u32) << 7;
        }
    }
}

impl Block for TimerGroup {
    fn read(&mut self, offset: u32, now: u64, _activity: &mut Activity) -> Option<u32> {
        if offset >= LEN {
            return None;
        }
        self.notice(now);
        if let Some((timer, offset)) = self.timer(offset) {
            return timer.read(offset);
        }
        let interrupts = self.map.interrupts;
        Some(match offset {
            WDT_CONFIG0 => self.watchdog.config,
            WDT_CONFIG1 => self.wdt_clock,
            WDT_CONFIG2..=WDT_CONFIG5 => {
                self.watchdog.times[(offset - WDT_CONFIG2) as usize / 4 % 4]
            }
            WDT_FEED => 0,
            WDT_PROTECT => self.watchdog.protect,
            CALIBRATION => {
                let ready = self.calibrated_at <= now && self.result != 0;
                self.calibration & !CALIBRATION_READY | if ready { CALIBRATION_READY } else { 0 }
            }
            CALIBRATION_RESULT => self.result,
            _ if offset == interrupts => self.enabled,
            _ if offset == interrupts + 4 => self.latched,
            _ if offset == interrupts + 8 => self.latched & self.enabled,
            _ => *self.kept.get(offset as usize / 4)?,
        })
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        if offset >= LEN {
            return false;
        }
        self.notice(now);
        activity.changed = true;
        let clocks = self.clocks;
        if let Some((timer, offset)) = self.timer(offset) {
            return timer.write(offset, value, now, clocks);
        }
        let interrupts = self.map.interrupts;
        match offset {
            WDT_CONFIG0..=WDT_PROTECT => self.write_watchdog(offset, value, now),
            CALIBRATION => self.calibrate(value, now),
            CALIBRATION_RESULT => {}
            _ if offset == interrupts => self.enabled = value,
            _ if offset == interrupts + 4 || offset == interrupts + 8 => {}
            _ if offset == interrupts + 12 => self.latched &= !value,
            _ => {
                if let Some(kept) = self.kept.get_mut(offset as usize / 4) {
                    *kept = value;
                }
            }
        }
        true
    }

    fn interrupts(&mut self, now: u64) -> u32 {
        self.notice(now);
        self.latched & self.enabled
    }

    fn next_event(&self, now: u64) -> Option<u64> {
        let alarms = self
            .timers
            .iter()
            .filter_map(|timer| timer.alarm_at(self.clocks));
        let calibrated = (self.calibrated_at > now).then_some(self.calibrated_at);
        let reset = self.watchdog.reset_at().map(|(at, _)| at);
        let events = alarms
            .chain(calibrated)
            .chain(self.watchdog.interrupt_at())
            .chain(reset);
        events.filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCKS: Clocks = Clocks {
        apb: 80_000_000,
        crystal: 40_000_000,
    };

    fn groups() -> impl Iterator<Item = (&'static str, TimerGroup)> {
        guru_chip::CHIPS.iter().flat_map(|chip| {
            let groups = chip.registers.timer_groups.iter();
            groups.map(|map| (chip.id, TimerGroup::new(map, CLOCKS)))
        })
    }

    fn write(group: &mut TimerGroup, offset: u32, value: u32, now: u64) {
        assert!(group.write(offset, value, now, &mut Activity::default()));
    }

    fn read(group: &mut TimerGroup, offset: u32, now: u64) -> u32 {
        let value = group.read(offset, now, &mut Activity::default());
        value.expect("a register")
    }

    #[test]
    fn a_timer_counts_its_divided_clock_and_rings() {
        for (chip, mut group) in groups() {
            let base = group.map.interrupts;
            write(&mut group, 0x10, 1000, 0);
            write(&mut group, base, 1, 0);
            write(&mut group, 0x00, RUNS | UP | ALARM | 80 << 13, 0);
            write(&mut group, 0x0C, 1, 500_000);
            assert_eq!(read(&mut group, 0x04, 500_000), 500, "{chip}");
            assert_eq!(group.next_event(500_000), Some(1_000_000), "{chip}");
            assert_eq!(group.sources(999_999).count(), 0);
            let source = group.map.sources[0];
            assert!(group.sources(1_000_000).eq([source]), "{chip}");
            write(&mut group, base + 12, 1, 1_000_001);
            assert_eq!(group.sources(1_000_001).count(), 0, "{chip}");
        }
    }

    #[test]
    fn a_locked_watchdog_keeps_its_registers_and_an_open_one_resets() {
        for (chip, mut group) in groups() {
            write(&mut group, WDT_PROTECT, 0, 0);
            write(&mut group, WDT_CONFIG0, RUNS, 0);
            assert_eq!(read(&mut group, WDT_CONFIG0, 0), 0, "{chip}");
            write(&mut group, WDT_PROTECT, 0x50D8_3AA1, 0);
            // A millisecond is 80000 cycles: 2 of them, then the core is reset.
            write(&mut group, WDT_CONFIG1, 40_000 << 16, 0);
            write(&mut group, WDT_CONFIG2, 4, 0);
            write(&mut group, WDT_CONFIG0, RUNS | 3 << 29, 0);
            let (at, scope, cause) = group.reset_at().expect("a reset");
            assert_eq!((at, scope), (2_000_000, ResetScope::Core), "{chip}");
            assert_eq!(cause, group.map.causes.1);
            write(&mut group, WDT_FEED, 1, 1_500_000);
            assert_eq!(group.next_event(1_500_000), Some(3_500_000), "{chip}");
        }
    }

    #[test]
    fn the_slow_clock_is_measured_with_the_crystal() {
        for (chip, mut group) in groups() {
            write(&mut group, CALIBRATION, 1000 << 16, 0);
            write(&mut group, CALIBRATION, CALIBRATION_START | 1000 << 16, 0);
            assert_eq!(read(&mut group, CALIBRATION, 1) & CALIBRATION_READY, 0);
            let at = group.next_event(1).expect("an end");
            assert_ne!(read(&mut group, CALIBRATION, at) & CALIBRATION_READY, 0);
            assert_eq!(
                read(&mut group, CALIBRATION_RESULT, at) >> 7,
                40_000_000 / 136,
                "{chip}"
            );
        }
    }
}
