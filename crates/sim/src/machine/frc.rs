//! The ESP8266's own: two timers of the CPU's bus and the watchdog.
//!
//! Sources: ESP8266 Technical Reference, "FRC1/FRC2"; `eagle_soc.h` of the ESP8266_RTOS_SDK for the
//! watchdog, whose period is 2^(n + 15) cycles of the bus (published measurements).

use super::block::{Activity, Block};

/// FRC1; FRC2 follows.
const FRC2: u32 = 0x20;
const LOAD: u32 = 0x00;
const COUNT: u32 = 0x04;
const CTRL: u32 = 0x08;
const INT: u32 = 0x0C;
/// FRC2 alone.
const ALARM: u32 = 0x10;
pub(super) const LEN: u32 = 0x34;

const ENABLED: u32 = 1 << 7;
const RELOADS: u32 = 1 << 6;
/// CTRL: an interrupt came (FRC1).
const RANG: u32 = 1 << 8;
/// FRC1 has 23 bits and counts down.
const FRC1_MASK: u64 = (1 << 23) - 1;
/// Clock of the bus, in Hz.
const CLOCK: u64 = 80_000_000;

#[derive(Debug, Default)]
struct Timer {
    load: u32,
    ctrl: u32,
    alarm: u32,
    /// When `load` was the count.
    since: u64,
    /// Up to when it is known whether it rang.
    noticed: u64,
    rang: bool,
}

impl Timer {
    fn hz(&self) -> u64 {
        CLOCK >> [0, 4, 8, 8][(self.ctrl >> 2 & 3) as usize]
    }

    fn ticks(&self, now: u64) -> u64 {
        if self.ctrl & ENABLED == 0 {
            return 0;
        }
        (u128::from(now.saturating_sub(self.since)) * u128::from(self.hz()) / 1_000_000_000) as u64
    }

    /// When it rings next, behind what is known: after `first` ticks and then every `period`.
    fn rings_at(&self, first: u64, period: u64) -> Option<u64> {
        if self.ctrl & ENABLED == 0 {
            return None;
        }
        let known = self.ticks(self.noticed);
        let rounds = (known + 1).saturating_sub(first).div_ceil(period);
        let ns = u128::from(first + rounds * period) * 1_000_000_000;
        Some(
            self.since
                .saturating_add(ns.div_ceil(self.hz().into()) as u64),
        )
    }

    fn notice(&mut self, now: u64, at: Option<u64>) {
        self.rang |= at.is_some_and(|at| at <= now);
        self.noticed = self.noticed.max(now);
    }

    fn restart(&mut self, now: u64) {
        (self.since, self.noticed) = (now, now);
    }
}

/// The two timers.
#[derive(Debug, Default)]
pub(super) struct Frc {
    down: Timer,
    up: Timer,
}

impl Frc {
    fn down_at(&self) -> Option<u64> {
        let first = u64::from(self.down.load) + 1;
        let reloads = self.down.ctrl & RELOADS != 0;
        let period = if reloads { first } else { FRC1_MASK + 1 };
        self.down.rings_at(first, period)
    }

    fn up_at(&self) -> Option<u64> {
        let ticks = self.up.alarm.wrapping_sub(self.up.load);
        self.up.rings_at(ticks.into(), 1 << 32)
    }

    fn notice(&mut self, now: u64) {
        let (down, up) = (self.down_at(), self.up_at());
        self.down.notice(now, down);
        self.up.notice(now, up);
    }
}

impl Block for Frc {
    fn read(&mut self, offset: u32, now: u64, activity: &mut Activity) -> Option<u32> {
        self.notice(now);
        let (timer, register, second) = if offset < FRC2 {
            (&self.down, offset, false)
        } else {
            (&self.up, offset - FRC2, true)
        };
        Some(match register {
            LOAD => timer.load,
            COUNT => {
                activity.moves = true;
                let (load, ticks) = (u64::from(timer.load), timer.ticks(now));
                if second {
                    load.wrapping_add(ticks) as u32
                } else if timer.ctrl & RELOADS != 0 {
                    (load - ticks % (load + 1)) as u32
                } else {
                    (load.wrapping_sub(ticks) & FRC1_MASK) as u32
                }
            }
            CTRL => timer.ctrl & !RANG | if timer.rang { RANG } else { 0 },
            INT => u32::from(timer.rang),
            ALARM if second => timer.alarm,
            _ => return None,
        })
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        self.notice(now);
        activity.changed = true;
        let (timer, register, second) = if offset < FRC2 {
            (&mut self.down, offset, false)
        } else {
            (&mut self.up, offset - FRC2, true)
        };
        match register {
            LOAD => {
                timer.load = if second {
                    value
                } else {
                    value & FRC1_MASK as u32
                };
                timer.restart(now);
                timer.rang = false;
            }
            COUNT => {}
            CTRL => {
                if timer.ctrl & ENABLED == 0 && value & ENABLED != 0 {
                    timer.restart(now);
                }
                timer.ctrl = value;
            }
            INT => timer.rang = false,
            ALARM if second => {
                timer.alarm = value;
                timer.rang = false;
            }
            _ => return false,
        }
        true
    }

    /// FRC1, and FRC2 above it.
    fn interrupts(&mut self, now: u64) -> u32 {
        self.notice(now);
        u32::from(self.down.rang) | u32::from(self.up.rang) << 1
    }

    fn next_event(&self, now: u64) -> Option<u64> {
        let both = [self.down_at(), self.up_at()];
        both.into_iter().flatten().filter(|at| *at > now).min()
    }
}

/// WDT_CTL, WDT_OP, WDT_OP_ND, and WDT_RST, which feeds.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    ctl: u32,
    ops: [u32; 2],
    fed: u64,
}

const WDT_CTL: u32 = 0x00;
const WDT_RST: u32 = 0x14;
/// What feeds it.
const WDT_FEED: u32 = 0x73;
pub(super) const WDT_LEN: u32 = 0x18;

impl Watchdog {
    /// When it resets the chip, after both of its stages.
    pub fn reset_at(&self) -> Option<u64> {
        if self.ctl & 1 == 0 {
            return None;
        }
        let stage = |op: u32| (1_u64 << (15 + (op & 15))) * 1_000_000_000 / CLOCK;
        Some(self.fed + stage(self.ops[0]) + stage(self.ops[1]))
    }
}

impl Block for Watchdog {
    fn read(&mut self, offset: u32, _now: u64, _activity: &mut Activity) -> Option<u32> {
        Some(match offset {
            WDT_CTL => self.ctl,
            0x04 => self.ops[0],
            0x08 => self.ops[1],
            0x0C | 0x10 | WDT_RST => 0,
            _ => return None,
        })
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        activity.changed = true;
        match offset {
            WDT_CTL => {
                if self.ctl & 1 == 0 {
                    self.fed = now;
                }
                self.ctl = value;
            }
            0x04 => self.ops[0] = value,
            0x08 => self.ops[1] = value,
            WDT_RST => {
                if value == WDT_FEED {
                    self.fed = now;
                }
            }
            0x0C | 0x10 => {}
            _ => return false,
        }
        true
    }

    fn next_event(&self, now: u64) -> Option<u64> {
        self.reset_at().filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(block: &mut impl Block, offset: u32, value: u32, now: u64) {
        assert!(block.write(offset, value, now, &mut Activity::default()));
    }

    fn read(block: &mut impl Block, offset: u32, now: u64) -> u32 {
        let value = block.read(offset, now, &mut Activity::default());
        value.expect("a register")
    }

    #[test]
    fn frc1_counts_down_and_frc2_up_to_its_alarm() {
        let mut frc = Frc::default();
        // A sixteenth of the bus: 5 MHz.
        write(&mut frc, LOAD, 500, 0);
        write(&mut frc, CTRL, ENABLED | 1 << 2, 0);
        assert_eq!(read(&mut frc, COUNT, 20_000), 400);
        assert_eq!(frc.interrupts(100_000), 0);
        assert_eq!(frc.interrupts(100_200), 1);
        write(&mut frc, INT, 1, 100_200);
        assert_eq!(frc.interrupts(100_400), 0, "it counts on from 2^23");
        write(&mut frc, CTRL, ENABLED | RELOADS | 1 << 2, 0);
        write(&mut frc, LOAD, 499, 200_000);
        for at in [300_000, 400_000] {
            assert_eq!(frc.next_event(at - 1), Some(at));
            assert_eq!(frc.interrupts(at), 1);
            write(&mut frc, INT, 1, at);
        }
        write(&mut frc, CTRL, 0, 400_000);
        write(&mut frc, FRC2 + LOAD, 0, 500_000);
        write(&mut frc, FRC2 + ALARM, 5000, 500_000);
        write(&mut frc, FRC2 + CTRL, ENABLED | 1 << 2, 500_000);
        assert_eq!(read(&mut frc, FRC2 + COUNT, 520_000), 100);
        assert_eq!(frc.next_event(520_000), Some(1_500_000));
        assert_eq!(frc.interrupts(1_500_000), 2);
    }

    #[test]
    fn the_watchdog_waits_for_its_word() {
        let mut dog = Watchdog::default();
        write(&mut dog, 0x04, 12, 0);
        write(&mut dog, 0x08, 0, 0);
        assert_eq!(dog.reset_at(), None);
        write(&mut dog, WDT_CTL, 0x3D, 0);
        let at = dog.reset_at().expect("a reset");
        write(&mut dog, WDT_RST, 1, 1_000_000);
        assert_eq!(dog.reset_at(), Some(at), "any other word does nothing");
        write(&mut dog, WDT_RST, WDT_FEED, 1_000_000);
        assert_eq!(dog.reset_at(), Some(at + 1_000_000));
    }
}
