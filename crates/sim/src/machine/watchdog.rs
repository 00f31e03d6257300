//! A watchdog: a counter with four stages that a program has to feed, behind a lock.
//!
//! Sources: technical reference manuals, "Watchdog Timers"; ESP-IDF's `timer_group_reg.h`,
//! `rtc_cntl_reg.h`, `lp_wdt_reg.h`.

use guru_chip::ResetScope;

/// What opens the lock of every watchdog of this kind.
const KEY: u32 = 0x50D8_3AA1;
const ENABLE: u32 = 1 << 31;
const STAGES: usize = 4;

/// What a stage does when its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Nothing,
    Interrupt,
    Reset(ResetScope),
}

/// Where the two kinds of watchdogs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a timer group: 2 bits a stage from bit 29 down.
    Group,
    /// Of the RTC: 3 bits a stage from bit 28 down.
    Rtc,
}

impl Kind {
    fn action(self, config: u32, stage: usize) -> Action {
        let stage = stage as u32;
        let code = match self {
            Self::Group => config >> (29 - 2 * stage) & 3,
            Self::Rtc => config >> (28 - 3 * stage) & 7,
        };
        match code {
            0 => Action::Nothing,
            1 => Action::Interrupt,
            2 => Action::Reset(ResetScope::Cpu),
            3 => Action::Reset(ResetScope::Core),
            _ => Action::Reset(ResetScope::System),
        }
    }
}

/// CONFIG0, the stages' times, FEED and WPROTECT.
#[derive(Debug, Clone)]
pub(super) struct Watchdog {
    kind: Kind,
    pub config: u32,
    /// In ticks, as written and as they have effect.
    pub times: [u32; STAGES],
    lengths: [u32; STAGES],
    pub protect: u32,
    /// Nanoseconds of 2^20 ticks.
    tick: u64,
    /// When it was fed last.
    fed: u64,
    /// Up to when its interrupts are told.
    told: u64,
}

impl Watchdog {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            config: 0,
            times: [0; STAGES],
            lengths: [0; STAGES],
            protect: KEY,
            tick: 0,
            fed: 0,
            told: 0,
        }
    }

    /// How fast it counts, in ticks of 2^20 seconds, so that slow ones are exact too.
    pub fn set_rate(&mut self, hz: u32, prescaler: u32) {
        let ns = (1_000_000_000_u64 << 20) / u64::from(hz.max(1));
        self.tick = ns.saturating_mul(prescaler.max(1).into());
    }

    pub fn is_open(&self) -> bool {
        self.protect == KEY
    }

    /// Begins again with the first stage.
    pub fn feed(&mut self, now: u64) {
        self.lengths = self.times;
        self.fed = now;
        self.told = now;
    }

    /// CONFIG0 is written, which begins anew with the times that were written: an assumption, but
    /// clients of the loader shorten the times of a watchdog that runs, and live to lock it.
    pub fn configure(&mut self, value: u32, now: u64) {
        self.config = value;
        self.feed(now);
    }

    /// The ends of the stages, with what they do; nothing while it is off.
    fn ends(&self) -> impl Iterator<Item = (u64, Action)> + '_ {
        let stages = if self.config & ENABLE != 0 { STAGES } else { 0 };
        let mut at = self.fed;
        (0..stages).map(move |stage| {
            let ticks = u128::from(self.lengths[stage]) * u128::from(self.tick);
            at = at.saturating_add(u64::try_from(ticks >> 20).unwrap_or(u64::MAX));
            (at, self.kind.action(self.config, stage))
        })
    }

    /// When it resets something unless it is fed before.
    pub fn reset_at(&self) -> Option<(u64, ResetScope)> {
        self.ends().find_map(|(at, action)| match action {
            Action::Reset(scope) => Some((at, scope)),
            _ => None,
        })
    }

    /// When, after those that were told, an interrupt comes.
    pub fn interrupt_at(&self) -> Option<u64> {
        let mut ends = self
            .ends()
            .take_while(|(_, action)| !matches!(action, Action::Reset(_)));
        ends.find(|(at, action)| *action == Action::Interrupt && *at > self.told)
            .map(|(at, _)| at)
    }

    /// Whether an interrupt came since this was last asked.
    pub fn interrupts_until(&mut self, now: u64) -> bool {
        let came = self.interrupt_at().is_some_and(|at| at <= now);
        if came {
            self.told = now;
        }
        came
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(config: u32, times: [u32; 4]) -> Watchdog {
        let mut dog = Watchdog::new(Kind::Group);
        dog.set_rate(1_000_000, 1);
        dog.times = times;
        dog.configure(config, 0);
        dog
    }

    #[test]
    fn stages_follow_one_another_until_one_resets() {
        // Interrupt, nothing, core.
        let mut dog = group(ENABLE | 1 << 29 | 3 << 25, [100, 50, 25, 0]);
        assert_eq!(dog.interrupt_at(), Some(100_000));
        assert_eq!(dog.reset_at(), Some((175_000, ResetScope::Core)));
        assert!(!dog.interrupts_until(99_999));
        assert!(dog.interrupts_until(100_000));
        assert!(!dog.interrupts_until(100_001), "told once");
        dog.feed(170_000);
        assert_eq!(dog.reset_at(), Some((345_000, ResetScope::Core)));
        assert_eq!(dog.interrupt_at(), Some(270_000));
    }

    #[test]
    fn the_rtc_has_a_stage_that_resets_all() {
        let mut dog = Watchdog::new(Kind::Rtc);
        dog.set_rate(136_000, 1);
        dog.times[0] = 136_000;
        dog.configure(ENABLE | 4 << 28, 1000);
        let (at, scope) = dog.reset_at().expect("a reset");
        assert!(at.abs_diff(1_000_001_000) < 10, "{at}");
        assert_eq!(scope, ResetScope::System);
    }

    #[test]
    fn one_that_is_off_does_nothing() {
        assert_eq!(group(3 << 29, [1; 4]).reset_at(), None);
    }
}
