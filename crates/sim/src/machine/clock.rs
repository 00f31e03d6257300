//! Cycles of the CPU and nanoseconds.

const SECOND: u64 = 1_000_000_000;

/// When a cycle begins.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// The cycle in which the clock took its frequency, and when that began, in nanoseconds.
    from: u64,
    origin: u64,
    /// Nanoseconds of so many cycles, without a common divisor.
    nanos: u64,
    cycles: u64,
}

impl Clock {
    /// A clock of a frequency in Hz, that begins at `origin`.
    pub fn new(origin: u64, frequency: u64) -> Self {
        let frequency = frequency.max(1);
        let (mut a, mut b) = (SECOND, frequency);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        Self {
            from: 0,
            origin,
            nanos: SECOND / a,
            cycles: frequency / a,
        }
    }

    /// Goes on with another frequency in Hz from a cycle on.
    pub fn change(&mut self, cycle: u64, frequency: u64) {
        let origin = self.at(cycle);
        *self = Self {
            from: cycle,
            ..Self::new(origin, frequency)
        };
    }

    /// When a cycle begins, in nanoseconds: one since the last change.
    #[inline]
    pub fn at(&self, cycle: u64) -> u64 {
        let cycle = cycle.saturating_sub(self.from);
        let ns = match cycle.checked_mul(self.nanos) {
            Some(product) => product / self.cycles,
            None => (u128::from(cycle) * u128::from(self.nanos) / u128::from(self.cycles)) as u64,
        };
        self.origin.saturating_add(ns)
    }

    /// How many steps from `cycle` on have ended at a moment.
    pub fn steps_until(&self, cycle: u64, moment: u64) -> u64 {
        let passed = u128::from(moment.saturating_sub(self.origin));
        let last = ((passed + 1) * u128::from(self.cycles) - 1) / u128::from(self.nanos);
        u64::try_from(last)
            .unwrap_or(u64::MAX)
            .saturating_add(self.from)
            .saturating_sub(cycle)
    }

    /// Whether so many cycles are a whole number of nanoseconds.
    pub fn is_whole(&self, cycles: u64) -> bool {
        cycles.is_multiple_of(self.cycles)
    }

    /// How long so many cycles are, in nanoseconds without the last fraction.
    pub fn time_of(&self, cycles: u64) -> u64 {
        (u128::from(cycles) * u128::from(self.nanos) / u128::from(self.cycles)) as u64
    }

    /// How many cycles a time in nanoseconds is, at least.
    pub fn steps_in(&self, time: u64) -> u64 {
        (u128::from(time) * u128::from(self.cycles)).div_ceil(u128::from(self.nanos)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_frequency_counts_from_where_it_was_chosen() {
        let mut clock = Clock::new(1000, 40_000_000);
        clock.change(80, 160_000_000);
        assert_eq!(clock.at(80), 3000);
        assert_eq!(clock.at(240), 4000);
        assert_eq!(clock.steps_until(80, 4000), 160);
    }

    #[test]
    fn a_step_ends_by_a_moment_only_if_the_next_cycle_has_begun() {
        for frequency in [40_000_000, 52_000_000, 32_000_000, 48_000_000, 400_000_000] {
            let clock = Clock::new(1000, frequency);
            for cycle in [0, 1, 2, 13, 1_000_000, 3_000_000_000_000] {
                let at = clock.at(cycle);
                assert_eq!(clock.steps_until(0, at), cycle, "{frequency}");
                if cycle > 0 {
                    assert_eq!(clock.steps_until(0, at - 1), cycle - 1);
                }
            }
        }
    }
}
