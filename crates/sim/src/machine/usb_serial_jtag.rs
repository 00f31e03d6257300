//! The USB-Serial/JTAG controller as a port for bytes.
//!
//! Sources: technical reference manuals, "USB Serial/JTAG Controller"; ESP-IDF's
//! `usb_serial_jtag_reg.h`.

use std::collections::VecDeque;

use super::block::{Activity, Block};

const EP1: u32 = 0x00;
const EP1_CONF: u32 = 0x04;
const INT_RAW: u32 = 0x08;
const INT_ST: u32 = 0x0C;
const INT_ENA: u32 = 0x10;
const INT_CLR: u32 = 0x14;
const WR_DONE: u32 = 1 << 0;
const IN_FREE: u32 = 1 << 1;
const OUT_AVAILABLE: u32 = 1 << 2;
/// Bytes of a packet, and of the buffer for either direction.
const PACKET: usize = 64;
/// How long a host that listens takes to fetch a packet, in nanoseconds: an assumption.
const FETCH: u64 = 50_000;
/// Bytes of the block.
pub(super) const LEN: u32 = 0x100;

/// The registers, and the buffers of both directions.
#[derive(Debug)]
pub(crate) struct UsbSerialJtag {
    /// A host has opened the port.
    connected: bool,
    received: VecDeque<u8>,
    filling: Vec<u8>,
    /// Until when the last packet waits for the host.
    full_until: u64,
    sent: Vec<(u64, Vec<u8>)>,
    raw: u32,
    enabled: u32,
    kept: [u32; (LEN / 4) as usize],
}

impl UsbSerialJtag {
    pub fn new(connected: bool) -> Self {
        Self {
            connected,
            received: VecDeque::new(),
            filling: Vec::new(),
            full_until: 0,
            sent: Vec::new(),
            raw: 0,
            enabled: 0,
            kept: [0; (LEN / 4) as usize],
        }
    }

    /// Whether a byte from the host finds room; else it waits with the host.
    pub fn has_room(&self) -> bool {
        self.received.len() < PACKET
    }

    pub fn receive(&mut self, byte: u8) {
        self.received.push_back(byte);
    }

    /// What the program has sent since this was last asked, in packets with their times.
    pub fn take_sent(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.sent)
    }

    fn flush(&mut self, now: u64) {
        if self.filling.is_empty() {
            return;
        }
        let packet = std::mem::take(&mut self.filling);
        self.full_until = if self.connected {
            self.sent.push((now, packet));
            now + FETCH
        } else {
            u64::MAX
        };
    }
}

impl Block for UsbSerialJtag {
    fn read(&mut self, offset: u32, now: u64, activity: &mut Activity) -> Option<u32> {
        Some(match offset {
            EP1 => match self.received.pop_front() {
                Some(byte) => {
                    activity.changed = true;
                    byte.into()
                }
                None => 0,
            },
            EP1_CONF => {
                let free = if now >= self.full_until { IN_FREE } else { 0 };
                let available = !self.received.is_empty();
                free | if available { OUT_AVAILABLE } else { 0 }
            }
            INT_RAW => self.raw,
            INT_ST => self.raw & self.enabled,
            INT_ENA => self.enabled,
            _ => *self.kept.get(offset as usize / 4)?,
        })
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        match offset {
            EP1 => {
                if now >= self.full_until {
                    activity.changed = true;
                    self.filling.push(value as u8);
                    if self.filling.len() == PACKET {
                        self.flush(now);
                    }
                }
            }
            EP1_CONF => {
                if value & WR_DONE != 0 && !self.filling.is_empty() {
                    activity.changed = true;
                    self.flush(now);
                }
            }
            INT_RAW | INT_ST => {}
            INT_ENA => {
                activity.changed |= self.enabled != value;
                self.enabled = value;
            }
            INT_CLR => {
                activity.changed |= self.raw & value != 0;
                self.raw &= !value;
            }
            _ => match self.kept.get_mut(offset as usize / 4) {
                Some(kept) => {
                    activity.changed |= *kept != value;
                    *kept = value;
                }
                None => return false,
            },
        }
        true
    }

    fn next_event(&self, now: u64) -> Option<u64> {
        let free = self.full_until;
        (free > now && free < u64::MAX).then_some(free)
    }
}
