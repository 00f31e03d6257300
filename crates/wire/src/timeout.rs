use std::time::Duration;

/// How long answers may take. Work on flash scales with its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// An ordinary command.
    pub command: Duration,
    /// One SYNC.
    pub sync: Duration,
    /// MEM_END with an entry point: the ROM may not answer at all.
    pub mem_end: Duration,
    /// Whole-chip erase.
    pub chip_erase: Duration,
    /// Erasing, each MiB.
    pub erase_per_mb: Duration,
    /// Erasing and writing a compressed block, each MiB of its contents.
    pub erase_write_per_mb: Duration,
    /// Digest, each MiB.
    pub md5_per_mb: Duration,
    /// Nothing takes longer.
    pub max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(3),
            sync: Duration::from_millis(100),
            mem_end: Duration::from_millis(200),
            chip_erase: Duration::from_secs(120),
            erase_per_mb: Duration::from_secs(40),
            erase_write_per_mb: Duration::from_secs(40),
            md5_per_mb: Duration::from_secs(8),
            max: Duration::from_secs(240),
        }
    }
}

impl Timeouts {
    /// Time for erasing `bytes`.
    pub fn erase(&self, bytes: u32) -> Duration {
        self.scaled(self.erase_per_mb, bytes)
    }

    /// Time for a compressed block that inflates to `bytes`.
    pub fn erase_write(&self, bytes: u32) -> Duration {
        self.scaled(self.erase_write_per_mb, bytes)
    }

    /// Time for a digest of `bytes`.
    pub fn md5(&self, bytes: u32) -> Duration {
        self.scaled(self.md5_per_mb, bytes)
    }

    fn scaled(&self, per_mb: Duration, bytes: u32) -> Duration {
        per_mb
            .mul_f64(f64::from(bytes) / 1e6)
            .max(self.command)
            .min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_work_gets_the_ordinary_time_and_large_work_is_bounded() {
        let timeouts = Timeouts::default();
        assert_eq!(timeouts.md5(4096), timeouts.command);
        assert_eq!(timeouts.erase(1_000_000), Duration::from_secs(40));
        assert_eq!(timeouts.erase(16 << 20), timeouts.max);
    }
}
