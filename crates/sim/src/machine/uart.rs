//! The UART that the loader talks on, as far as loaders and stubs use it.
//!
//! Sources: technical reference manuals, "UART Controller"; ESP-IDF's `uart_reg.h`. The registers up
//! to STATUS stand at the same offsets on every chip.

use std::collections::VecDeque;

use super::block::{Activity, Block};

/// Bytes in either FIFO.
const FIFO: usize = 128;
const FIFO_REG: u32 = 0x00;
const INT_RAW: u32 = 0x04;
const INT_ST: u32 = 0x08;
const INT_ENA: u32 = 0x0C;
const INT_CLR: u32 = 0x10;
const CLKDIV: u32 = 0x14;
const STATUS: u32 = 0x1C;
/// Takes settings over into the UART's own clock domain, on chips since the ESP32-C6.
const REG_UPDATE: u32 = 0x98;
/// What the date register reads.
const DATE: u32 = 0x2008_2800;
/// Bytes of the block.
pub(super) const LEN: u32 = 0x100;
/// Bits that a byte takes on the line.
const BITS: u64 = 10;

/// A byte that the program has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// When it was written, in nanoseconds.
    pub at: u64,
    pub byte: u8,
    /// Rate at which it goes out, in bits per second.
    pub baud: u32,
}

/// The registers, and both FIFOs.
#[derive(Debug)]
pub(crate) struct Uart {
    /// Frequency that is divided for the baud rate, in Hz.
    clock: u32,
    divider: u32,
    received: VecDeque<u8>,
    /// When everything written so far has gone out.
    free_at: u64,
    sent: Vec<Sent>,
    raw: u32,
    enabled: u32,
    /// What the other registers hold.
    kept: [u32; (LEN / 4) as usize],
}

impl Uart {
    /// The UART after a reset. `date` is the offset of a register that reads as no 0: it is read to
    /// find out whether registers can be read.
    pub fn new(date: u32) -> Self {
        let mut kept = [0; (LEN / 4) as usize];
        if let Some(word) = kept.get_mut(date as usize / 4) {
            *word = DATE;
        }
        Self {
            clock: 0,
            divider: 0,
            received: VecDeque::new(),
            free_at: 0,
            sent: Vec::new(),
            raw: 0,
            enabled: 0,
            kept,
        }
    }

    /// Sets the frequency, and the divider for a baud rate.
    pub fn set_baud(&mut self, clock: u32, baud: u32) {
        self.clock = clock;
        self.divider = clock / baud.max(1);
    }

    /// The divider in the form of its register: 20 bits, and 4 bits of sixteenths above them.
    pub fn divider(&self) -> u32 {
        self.divider
    }

    /// Bits per second.
    pub fn baud(&self) -> u32 {
        let sixteenths = (self.divider & 0xF_FFFF) << 4 | self.divider >> 20 & 15;
        let baud = u64::from(self.clock) * 16 / u64::from(sixteenths.max(1));
        u32::try_from(baud).unwrap_or(u32::MAX).max(1)
    }

    /// A byte has arrived. `false`: it is lost, since the FIFO is full.
    pub fn receive(&mut self, byte: u8) -> bool {
        let room = self.received.len() < FIFO;
        if room {
            self.received.push_back(byte);
        }
        room
    }

    /// What the program has sent since this was last asked.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// Bytes that have come, and nobody has read.
    pub fn take_received(&mut self) -> VecDeque<u8> {
        std::mem::take(&mut self.received)
    }

    fn byte_ns(&self) -> u64 {
        (BITS * 1_000_000_000 / u64::from(self.baud())).max(1)
    }

    /// Bytes that have not gone out.
    fn waiting(&self, now: u64) -> usize {
        self.free_at.saturating_sub(now).div_ceil(self.byte_ns()) as usize
    }

    fn send(&mut self, byte: u8, now: u64) {
        if self.waiting(now) >= FIFO {
            return;
        }
        self.sent.push(Sent {
            at: now,
            byte,
            baud: self.baud(),
        });
        self.free_at = self.free_at.max(now) + self.byte_ns();
    }
}

impl Block for Uart {
    fn read(&mut self, offset: u32, now: u64, activity: &mut Activity) -> Option<u32> {
        Some(match offset {
            FIFO_REG => match self.received.pop_front() {
                Some(byte) => {
                    activity.changed = true;
                    byte.into()
                }
                None => 0,
            },
            INT_RAW => self.raw,
            INT_ST => self.raw & self.enabled,
            INT_ENA => self.enabled,
            CLKDIV => self.divider,
            STATUS => (self.waiting(now) as u32) << 16 | self.received.len() as u32,
            REG_UPDATE => 0,
            _ => *self.kept.get(offset as usize / 4)?,
        })
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        let before = (self.raw, self.enabled, self.divider);
        match offset {
            FIFO_REG => {
                activity.changed = true;
                self.send(value as u8, now);
            }
            INT_RAW | INT_ST | STATUS | REG_UPDATE => {}
            INT_ENA => self.enabled = value,
            INT_CLR => self.raw &= !value,
            CLKDIV => self.divider = value,
            _ => match self.kept.get_mut(offset as usize / 4) {
                Some(kept) => {
                    activity.changed |= *kept != value;
                    *kept = value;
                }
                None => return false,
            },
        }
        activity.changed |= before != (self.raw, self.enabled, self.divider);
        true
    }

    fn next_event(&self, now: u64) -> Option<u64> {
        // The count of bytes that wait changes with each that has gone out.
        let left = self.free_at.checked_sub(now).filter(|left| *left > 0)?;
        let step = (left - 1) % self.byte_ns() + 1;
        Some(now + step)
    }
}
