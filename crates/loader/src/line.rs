//! How much the line is trusted.

use guru_plan::{MAX_STREAM, SECTOR};

/// Rates to fall back to, in bits per second.
const RATES: [u32; 8] = [
    2_000_000, 1_500_000, 921_600, 460_800, 230_400, 115_200, 57_600, 9_600,
];

/// Faults at one rate after which a lower one is tried.
const FAULTS_PER_RATE: u32 = 12;

/// Block size on a line that is not trusted, in bytes; the one that every ROM's documentation names.
const CAREFUL_BLOCK: u32 = 0x400;

/// What the faults so far make of the work that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineState {
    /// Longest stream, in bytes.
    pub max_stream: u32,
    /// Whether data may go compressed and in large blocks: a compressed stream must begin again
    /// after any fault, and a large block is hit by one more often.
    pub trusted: bool,
    /// Faults when the present baud rate was set.
    pub faults_at_rate: u32,
    /// How many times longer than usual a silent chip is waited for: it may be a slow flash.
    pub patience: u32,
}

impl Default for LineState {
    fn default() -> Self {
        Self {
            max_stream: MAX_STREAM,
            trusted: true,
            faults_at_rate: 0,
            patience: 1,
        }
    }
}

impl LineState {
    /// After a stream was lost: shorter ones, and raw. Says whether that is new.
    pub fn trust_less(&mut self) -> bool {
        let was_trusted = self.trusted;
        self.trusted = false;
        self.max_stream = (self.max_stream / 4).max(SECTOR) / SECTOR * SECTOR;
        was_trusted
    }

    /// After a stream went through: longer ones, and in the end compressed again.
    pub fn trust_more(&mut self) {
        self.max_stream = self.max_stream.saturating_mul(2).min(MAX_STREAM);
        self.trusted |= self.max_stream == MAX_STREAM;
        self.patience = 1;
    }

    /// Block size to use, in bytes, where the chip takes up to `largest`.
    pub fn block(&self, largest: u32) -> u32 {
        if self.trusted {
            largest
        } else {
            largest.min(CAREFUL_BLOCK)
        }
    }

    /// After a silence: longer is waited the next time.
    pub fn wait_longer(&mut self) {
        self.patience = (self.patience * 4).min(64);
    }

    /// The next lower baud rate, when there were too many faults at the present one.
    pub fn lower_rate(&self, present: u32, faults: u32) -> Option<u32> {
        if faults.saturating_sub(self.faults_at_rate) < FAULTS_PER_RATE || present <= 115_200 {
            return None;
        }
        RATES.into_iter().find(|rate| *rate < present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_get_shorter_down_to_a_sector() {
        let mut line = LineState::default();
        assert!(line.trust_less());
        for _ in 0..10 {
            assert!(!line.trust_less());
        }
        assert_eq!(line.max_stream, SECTOR);
    }

    #[test]
    fn the_rate_falls_after_repeated_faults_but_not_below_the_usual_one() {
        let line = LineState::default();
        assert_eq!(line.lower_rate(921_600, 3), None);
        assert_eq!(line.lower_rate(921_600, 12), Some(460_800));
        assert_eq!(line.lower_rate(115_200, 100), None);
    }
}
