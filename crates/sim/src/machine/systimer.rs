//! The system timer: counters at a fixed rate, and three comparators.
//!
//! Sources: technical reference manuals, "System Timer"; ESP-IDF's `systimer_reg.h`. The ESP32-S2 has
//! one counter and registers of its own.

use guru_chip::SystimerRegisters;

use super::block::{Activity, Block};

const CONF: u32 = 0x00;
/// UNIT0_OP, and UNIT1_OP behind it.
const OP: u32 = 0x04;
const UNIT_LOADS: u32 = 0x0C;
const TARGETS: u32 = 0x1C;
const CONFS: u32 = 0x34;
const VALUES: u32 = 0x40;
const COMP_LOADS: u32 = 0x50;
const UNIT_LOAD: u32 = 0x5C;
const INT_ENA: u32 = 0x64;
const INT_RAW: u32 = 0x68;
const INT_CLR: u32 = 0x6C;
const INT_ST: u32 = 0x70;
pub(super) const LEN: u32 = 0x100;

/// The ESP32-S2's, where they differ, as they would stand on the others.
const SINGLE: [(u32, u32); 16] = [
    (0x04, UNIT_LOAD),
    (0x08, UNIT_LOADS),
    (0x0C, UNIT_LOADS + 4),
    (0x14, TARGETS),
    (0x18, TARGETS + 4),
    (0x1C, TARGETS + 8),
    (0x20, TARGETS + 12),
    (0x24, TARGETS + 16),
    (0x28, TARGETS + 20),
    (0x2C, CONFS),
    (0x30, CONFS + 4),
    (0x34, CONFS + 8),
    (0x38, OP),
    (0x3C, VALUES),
    (0x40, VALUES + 4),
    (0x44, INT_ENA),
];

/// UNITx_OP: the value is caught. It always is at once.
const VALID: u32 = 1 << 29;
/// The same on the ESP32-S2.
const SINGLE_VALID: u32 = 1 << 30;
/// TARGETx_CONF: again and again.
const PERIODIC: u32 = 1 << 30;
const SECOND_UNIT: u32 = 1 << 31;
const PERIOD: u32 = (1 << 26) - 1;
/// TARGETx_CONF of the ESP32-S2: the comparator works.
const SINGLE_WORKS: u32 = 1 << 31;
/// Bits of the counters.
const COUNT: u64 = (1 << 52) - 1;

#[derive(Debug, Clone, Default)]
struct Comparator {
    target: u64,
    conf: u32,
    /// When it rings next, as a value of its counter; `None`: not set up.
    next: Option<u64>,
}

/// The registers.
#[derive(Debug)]
pub(super) struct Systimer {
    map: &'static SystimerRegisters,
    conf: u32,
    /// What is to be added to the ticks since power-up.
    offsets: [u64; 2],
    loads: [u64; 2],
    caught: [u64; 2],
    comparators: [Comparator; 3],
    enabled: u32,
    latched: u32,
}

impl Systimer {
    pub fn new(map: &'static SystimerRegisters) -> Self {
        Self {
            map,
            // The first counter runs.
            conf: 0x4600_0000,
            offsets: [0; 2],
            loads: [0; 2],
            caught: [0; 2],
            comparators: Default::default(),
            enabled: 0,
            latched: 0,
        }
    }

    pub fn base(&self) -> u32 {
        self.map.base
    }

    /// Interrupt sources that are asserted.
    pub fn sources(&mut self, now: u64) -> impl Iterator<Item = u16> + use<> {
        let asserted = self.interrupts(now);
        let first = self.map.source;
        (0..3).filter_map(move |index| (asserted >> index & 1 != 0).then_some(first + index))
    }

    fn ticks(&self, now: u64) -> u64 {
        let ticks = u128::from(now) * u128::from(self.map.mhz) / 1000;
        ticks as u64
    }

    fn value(&self, unit: usize, now: u64) -> u64 {
        self.ticks(now).wrapping_add(self.offsets[unit & 1]) & COUNT
    }

    fn unit_of(&self, comparator: &Comparator) -> usize {
        usize::from(!self.map.single && comparator.conf & SECOND_UNIT != 0)
    }

    fn works(&self, index: usize) -> bool {
        if self.map.single {
            self.comparators[index].conf & SINGLE_WORKS != 0
        } else {
            self.conf >> (24 - index) & 1 != 0
        }
    }

    fn rings_at(&self, index: usize) -> Option<u64> {
        let comparator = &self.comparators[index];
        let next = comparator.next.filter(|_| self.works(index))?;
        let ticks = next.wrapping_sub(self.offsets[self.unit_of(comparator)]) & COUNT;
        let ns = (u128::from(ticks) * 1000).div_ceil(self.map.mhz.into());
        u64::try_from(ns).ok()
    }

    /// What was written to the target or the period takes effect.
    fn arm(&mut self, index: usize, now: u64) {
        let comparator = &self.comparators[index];
        let value = self.value(self.unit_of(comparator), now);
        let next = if comparator.conf & PERIODIC != 0 {
            value + u64::from(comparator.conf & PERIOD).max(1)
        } else {
            // A target in the past rings at once.
            comparator.target.max(value)
        };
        self.comparators[index].next = Some(next);
    }

    fn notice(&mut self, now: u64) {
        for index in 0..3 {
            if self.rings_at(index).is_none_or(|at| at > now) {
                continue;
            }
            self.latched |= 1 << index;
            let comparator = &self.comparators[index];
            let value = self.value(self.unit_of(comparator), now);
            let period = u64::from(comparator.conf & PERIOD).max(1);
            let again = comparator.conf & PERIODIC != 0;
            let comparator = &mut self.comparators[index];
            comparator.next = comparator
                .next
                .filter(|_| again)
                .map(|next| next + (value.saturating_sub(next) / period + 1) * period);
        }
    }

    /// The offset that a register has on chips with two counters.
    fn place(&self, offset: u32) -> Option<u32> {
        if !self.map.single {
            return Some(offset);
        }
        Some(match offset {
            0x48 => INT_RAW,
            0x4C => INT_CLR,
            CONF => CONF,
            // STEP: what is added in a tick; 1 always.
            0x10 | 0xFC => 0xFC,
            _ => SINGLE.iter().find(|(at, _)| *at == offset)?.1,
        })
    }
}

/// Which of the pairs of registers, high then low, and which of the two.
fn pair(offset: u32, first: u32) -> (usize, bool) {
    let index = (offset - first) / 4;
    ((index / 2) as usize, index.is_multiple_of(2))
}

fn half(number: u64, high: bool) -> u32 {
    if high {
        (number >> 32) as u32
    } else {
        number as u32
    }
}

fn with_half(number: u64, high: bool, value: u32) -> u64 {
    let value = u64::from(value);
    let number = if high {
        number & 0xFFFF_FFFF | value << 32
    } else {
        number & !0xFFFF_FFFF | value
    };
    number & COUNT
}

impl Block for Systimer {
    fn read(&mut self, offset: u32, now: u64, _activity: &mut Activity) -> Option<u32> {
        let offset = self.place(offset)?;
        self.notice(now);
        Some(match offset {
            CONF => self.conf,
            OP | 0x08 if self.map.single => SINGLE_VALID,
            OP | 0x08 => VALID,
            UNIT_LOADS..=0x18 => {
                let (unit, high) = pair(offset, UNIT_LOADS);
                half(self.loads[unit], high)
            }
            TARGETS..=0x30 => {
                let (index, high) = pair(offset, TARGETS);
                half(self.comparators[index].target, high)
            }
            CONFS..=0x3C => self.comparators[((offset - CONFS) / 4) as usize].conf,
            VALUES..=0x4C => {
                let (unit, high) = pair(offset, VALUES);
                half(self.caught[unit], high)
            }
            COMP_LOADS..=0x60 => 0,
            INT_ENA => self.enabled,
            INT_RAW => self.latched,
            INT_CLR => 0,
            INT_ST => self.latched & self.enabled,
            // The targets as they have effect.
            0x74..=0x88 => {
                let (index, high) = pair(offset, 0x74);
                half(self.comparators[index].next.unwrap_or(0), !high)
            }
            0xFC => 0,
            _ => return None,
        })
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        let single = self.map.single;
        let Some(offset) = self.place(offset) else {
            return false;
        };
        self.notice(now);
        activity.changed = true;
        match offset {
            CONF => self.conf = value,
            OP | 0x08 => {
                let unit = usize::from(offset != OP);
                self.caught[unit] = self.value(unit, now);
            }
            UNIT_LOADS..=0x18 => {
                let (unit, high) = pair(offset, UNIT_LOADS);
                self.loads[unit] = with_half(self.loads[unit], high, value);
            }
            TARGETS..=0x30 => {
                let (index, high) = pair(offset, TARGETS);
                let comparator = &mut self.comparators[index];
                comparator.target = with_half(comparator.target, high, value);
            }
            CONFS..=0x3C => {
                let index = ((offset - CONFS) / 4) as usize;
                self.comparators[index].conf = value;
                if single {
                    self.arm(index, now);
                }
            }
            COMP_LOADS..=0x58 => self.arm(((offset - COMP_LOADS) / 4) as usize, now),
            UNIT_LOAD | 0x60 => {
                let unit = usize::from(offset != UNIT_LOAD);
                self.offsets[unit] = self.loads[unit].wrapping_sub(self.ticks(now)) & COUNT;
            }
            INT_ENA => self.enabled = value,
            INT_CLR => self.latched &= !value,
            VALUES..=0x4C | INT_RAW | INT_ST | 0x74..=0x88 | 0xFC => {}
            _ => return false,
        }
        true
    }

    fn interrupts(&mut self, now: u64) -> u32 {
        self.notice(now);
        self.latched & self.enabled
    }

    fn next_event(&self, now: u64) -> Option<u64> {
        let rings = (0..3).filter_map(|index| self.rings_at(index));
        rings.filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timers() -> impl Iterator<Item = (&'static str, Systimer)> {
        guru_chip::CHIPS.iter().filter_map(|chip| {
            let map = chip.registers.systimer.as_ref()?;
            Some((chip.id, Systimer::new(map)))
        })
    }

    fn write(timer: &mut Systimer, offset: u32, value: u32, now: u64) {
        assert!(timer.write(offset, value, now, &mut Activity::default()));
    }

    fn read(timer: &mut Systimer, offset: u32, now: u64) -> u32 {
        let value = timer.read(offset, now, &mut Activity::default());
        value.expect("a register")
    }

    #[test]
    fn the_counter_is_caught_and_goes_on_from_what_is_loaded() {
        for (chip, mut timer) in timers() {
            let single = timer.map.single;
            let (op, value, load) = if single {
                (0x38, 0x40, [0x08, 0x0C, 0x04])
            } else {
                (OP, 0x44, [0x0C, 0x10, 0x5C])
            };
            write(&mut timer, op, 1 << 30, 1_000_000);
            assert_ne!(read(&mut timer, op, 1_000_000) & (VALID | SINGLE_VALID), 0);
            let mhz = u32::from(timer.map.mhz);
            assert_eq!(read(&mut timer, value, 2_000_000), 1000 * mhz, "{chip}");
            write(&mut timer, load[0], 1, 0);
            write(&mut timer, load[1], 7, 0);
            write(&mut timer, load[2], 1, 1_000_000);
            write(&mut timer, op, 1 << 30, 2_000_000);
            assert_eq!(read(&mut timer, value, 0), 1000 * mhz + 7, "{chip}");
            assert_eq!(read(&mut timer, value - 4, 0), 1, "{chip}");
        }
    }

    #[test]
    fn a_comparator_rings_once_or_again_and_again() {
        for (chip, mut timer) in timers() {
            let mhz = u32::from(timer.map.mhz);
            let (target, conf, enable, clear) = if timer.map.single {
                (0x18, 0x2C, 0x44, 0x4C)
            } else {
                write(&mut timer, CONF, 0x4600_0000 | 1 << 24, 0);
                (TARGETS + 4, CONFS, INT_ENA, INT_CLR)
            };
            let works = if timer.map.single { SINGLE_WORKS } else { 0 };
            write(&mut timer, enable, 1, 0);
            write(&mut timer, target, 100 * mhz, 0);
            write(&mut timer, conf, works, 0);
            if works == 0 {
                write(&mut timer, COMP_LOADS, 1, 0);
            }
            assert_eq!(timer.next_event(0), Some(100_000), "{chip}");
            assert_eq!(timer.sources(99_999).count(), 0, "{chip}");
            assert!(timer.sources(100_000).eq([timer.map.source]), "{chip}");
            write(&mut timer, clear, 1, 100_000);
            assert_eq!(timer.next_event(100_000), None, "{chip}");

            write(&mut timer, conf, works | PERIODIC | (10 * mhz), 200_000);
            if works == 0 {
                write(&mut timer, COMP_LOADS, 1, 200_000);
            }
            for at in [210_000, 220_000, 230_000] {
                assert_eq!(timer.next_event(at - 1), Some(at), "{chip}");
                assert_eq!(timer.sources(at).count(), 1, "{chip}");
                write(&mut timer, clear, 1, at);
            }
        }
    }
}
