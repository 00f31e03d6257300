use std::time::Duration;

use crate::Erases;

/// What the line costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Time a byte takes.
    pub byte: Duration,
    /// Time from the end of a request to the start of its answer, beyond the chip's own work.
    pub turn_round: Duration,
}

impl Line {
    /// A UART with 10 bits a byte at `baud` bits per second behind an adapter with `latency`.
    pub fn uart(baud: u32, latency: Duration) -> Self {
        Self {
            byte: Duration::from_secs(10) / baud.max(1),
            turn_round: latency,
        }
    }
}

/// How long the flash works. Typical values of the Winbond W25Q32JV data sheet (revision G,
/// section 9.6): parts of other makers are of the same order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlashTimes {
    /// Erasing a 4 KiB sector.
    pub sector_erase: Duration,
    /// Erasing a 64 KiB block.
    pub block_erase: Duration,
    /// Programming a 256-byte page.
    pub page_program: Duration,
}

impl Default for FlashTimes {
    fn default() -> Self {
        Self {
            sector_erase: Duration::from_millis(45),
            block_erase: Duration::from_millis(150),
            page_program: Duration::from_micros(400),
        }
    }
}

impl FlashTimes {
    /// Time for these erases.
    pub fn erase(&self, erases: Erases) -> Duration {
        self.sector_erase * erases.sectors + self.block_erase * erases.blocks
    }
}
