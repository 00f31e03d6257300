//! Real time, for a chip whose programs may take longer to execute here than they take on a board.

use std::time::Duration;

use guru_link::{Instant, SystemClock};

/// How much virtual time, at the most, may have to be caught up with at once.
const STEP: Duration = Duration::from_millis(20);

/// A clock that follows real time, and waits for the simulation where that cannot.
pub(crate) struct Pacer {
    /// `None`: only what is skipped passes.
    clock: Option<SystemClock>,
    /// Time that was skipped because nobody needs to wait for it.
    skipped: Duration,
    /// Time by which the simulation is late.
    behind: Duration,
    /// Up to where it has come.
    reached: Instant,
}

impl Pacer {
    /// A clock that starts at zero now.
    pub fn start() -> Self {
        Self {
            clock: Some(SystemClock::start()),
            ..Self::counting()
        }
    }

    /// A clock that stands still but for what is skipped.
    pub fn counting() -> Self {
        Self {
            clock: None,
            skipped: Duration::ZERO,
            behind: Duration::ZERO,
            reached: Instant::default(),
        }
    }

    /// The present moment of the simulation.
    pub fn now(&self) -> Instant {
        let ahead = self.real() + self.skipped;
        Instant(ahead - Instant(self.behind)).max(self.reached)
    }

    /// Goes on to a moment at once.
    pub fn skip_to(&mut self, moment: Instant) {
        self.skipped += moment - self.now();
    }

    /// Simulates up to a moment.
    pub fn simulate<T>(&mut self, until: Instant, work: impl FnOnce() -> T) -> T {
        let step = until - self.reached;
        let begun = self.real();
        let result = work();
        let spent = self.real() - begun;
        self.reached = self.reached.max(until);
        self.behind += spent.saturating_sub(step.min(STEP));
        result
    }

    /// Real time, which stands still where only skipped time counts.
    fn real(&self) -> Instant {
        self.clock
            .as_ref()
            .map_or(Instant::default(), SystemClock::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_simulation_makes_time_slow_and_not_the_work_longer_and_longer() {
        let mut pacer = Pacer::start();
        let mut longest = Duration::ZERO;
        for _ in 0..10 {
            let now = pacer.now();
            let step = now - pacer.reached;
            longest = longest.max(step);
            // Three times as slow as real time.
            pacer.simulate(now, || std::thread::sleep(step * 3));
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(longest < Duration::from_millis(100), "{longest:?}");
    }

    #[test]
    fn what_is_skipped_takes_no_time() {
        let mut pacer = Pacer::start();
        let hour = Duration::from_secs(3600);
        pacer.skip_to(Instant::default() + hour);
        assert!(pacer.now() - Instant::default() >= hour);
    }
}
