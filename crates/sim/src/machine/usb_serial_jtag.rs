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
/// Number of the USB frame, one a millisecond.
const FRAM_NUM: u32 = 0x24;
/// How many bytes the host's last packet had.
const OUT_EP1_ST: u32 = 0x3C;
const WR_DONE: u32 = 1 << 0;
const IN_FREE: u32 = 1 << 1;
const OUT_AVAILABLE: u32 = 1 << 2;
/// A frame began.
const SOF: u32 = 1 << 1;
/// A packet came from the host.
const OUT_RECEIVED: u32 = 1 << 2;
/// The host has fetched what was written.
const IN_EMPTY: u32 = 1 << 3;
/// Bytes of a packet, and of the buffer for either direction.
const PACKET: usize = 64;
/// How long a host that listens takes to fetch a packet, in nanoseconds: an assumption.
const FETCH: u64 = 50_000;
/// A frame, in nanoseconds.
const FRAME: u64 = 1_000_000;
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
    /// IN_EMPTY is to be raised then.
    fetching: bool,
    sent: Vec<(u64, Vec<u8>)>,
    latched: u32,
    /// The frame in which SOF was cleared last.
    seen_frame: u64,
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
            fetching: false,
            sent: Vec::new(),
            // Nothing was written yet, so that nothing has to be fetched.
            latched: IN_EMPTY,
            seen_frame: 0,
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
        self.latched |= OUT_RECEIVED;
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
            self.fetching = true;
            now + FETCH
        } else {
            u64::MAX
        };
    }

    fn is_free(&self, now: u64) -> bool {
        now >= self.full_until
    }

    fn raw(&mut self, now: u64) -> u32 {
        if self.fetching && self.is_free(now) {
            self.fetching = false;
            self.latched |= IN_EMPTY;
        }
        let frame = self.connected && now / FRAME > self.seen_frame;
        self.latched | if frame { SOF } else { 0 }
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
                let free = if self.is_free(now) { IN_FREE } else { 0 };
                let available = !self.received.is_empty();
                free | if available { OUT_AVAILABLE } else { 0 }
            }
            INT_RAW => {
                activity.moves = true;
                self.raw(now)
            }
            INT_ST => self.raw(now) & self.enabled,
            INT_ENA => self.enabled,
            FRAM_NUM => {
                activity.moves = true;
                (now / FRAME) as u32 & 0x7FF
            }
            OUT_EP1_ST => (self.received.len() as u32) << 16,
            _ => *self.kept.get(offset as usize / 4)?,
        })
    }

    fn write(&mut self, offset: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        match offset {
            EP1 => {
                if self.is_free(now) {
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
            INT_RAW | INT_ST | FRAM_NUM | OUT_EP1_ST => {}
            INT_ENA => {
                activity.changed |= self.enabled != value;
                self.enabled = value;
            }
            INT_CLR => {
                activity.changed |= self.raw(now) & value != 0;
                self.latched &= !value;
                if value & SOF != 0 {
                    self.seen_frame = now / FRAME;
                }
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

    fn interrupts(&mut self, now: u64) -> u32 {
        u32::from(self.raw(now) & self.enabled != 0)
    }

    fn next_event(&self, now: u64) -> Option<u64> {
        let free = Some(self.full_until).filter(|at| *at > now && *at < u64::MAX);
        let waits = self.connected && self.enabled & SOF != 0 && now / FRAME == self.seen_frame;
        let frame = waits.then(|| (now / FRAME + 1) * FRAME);
        [free, frame].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(usb: &mut UsbSerialJtag, offset: u32, now: u64) -> u32 {
        usb.read(offset, now, &mut Activity::default())
            .expect("a register")
    }

    fn write(usb: &mut UsbSerialJtag, offset: u32, value: u32, now: u64) {
        assert!(usb.write(offset, value, now, &mut Activity::default()));
    }

    #[test]
    fn bytes_leave_as_a_packet_when_it_is_full_or_closed() {
        let mut usb = UsbSerialJtag::new(true);
        for byte in 0..64 {
            assert_eq!(read(&mut usb, EP1_CONF, 0) & IN_FREE, IN_FREE);
            write(&mut usb, EP1, byte, 0);
        }
        assert_eq!(read(&mut usb, EP1_CONF, 0) & IN_FREE, 0);
        write(&mut usb, EP1, 200, 0);
        let now = usb.next_event(0).expect("the host fetches it");
        assert_eq!(read(&mut usb, EP1_CONF, now) & IN_FREE, IN_FREE);
        write(&mut usb, EP1, 201, now);
        write(&mut usb, EP1_CONF, WR_DONE, now);
        let sent = usb.take_sent();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0].1.len(), 64);
        assert_eq!(sent[1], (now, vec![201]));
    }

    #[test]
    fn a_host_that_does_not_listen_leaves_the_buffer_full() {
        let mut usb = UsbSerialJtag::new(false);
        write(&mut usb, EP1, 1, 0);
        write(&mut usb, EP1_CONF, WR_DONE, 0);
        assert_eq!(read(&mut usb, EP1_CONF, 1 << 60) & IN_FREE, 0);
        assert_eq!(usb.next_event(0), None);
    }

    #[test]
    fn what_came_and_what_was_fetched_raise_interrupts_until_cleared() {
        let mut usb = UsbSerialJtag::new(true);
        write(&mut usb, INT_CLR, IN_EMPTY, 0);
        write(&mut usb, INT_ENA, OUT_RECEIVED | IN_EMPTY, 0);
        assert_eq!(usb.interrupts(0), 0);
        usb.receive(7);
        assert_eq!(read(&mut usb, INT_ST, 0), OUT_RECEIVED);
        write(&mut usb, INT_CLR, OUT_RECEIVED, 0);
        assert_eq!(usb.interrupts(0), 0);
        assert_eq!(read(&mut usb, EP1_CONF, 0) & OUT_AVAILABLE, OUT_AVAILABLE);
        assert_eq!(read(&mut usb, EP1, 0), 7);
        assert_eq!(read(&mut usb, EP1_CONF, 0) & OUT_AVAILABLE, 0);
        write(&mut usb, EP1, 1, 0);
        write(&mut usb, EP1_CONF, WR_DONE, 0);
        assert_eq!(usb.interrupts(0), 0);
        assert_eq!(read(&mut usb, INT_ST, FETCH), IN_EMPTY);
    }
}
