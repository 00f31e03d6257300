//! The device while the ROM's loader listens: its receiver, the measurement of the rate, its answers.

use std::time::Duration;

use guru_link::Instant;

use super::{Busy, Cause, DELIMITER, Device, Measured, Phase, nanos};
use crate::event::Event;
use crate::identity::believed_clock;
use crate::options::UsbMode;
use crate::rom::{Act, Answer};
use crate::wire::{Arrived, garble, understands};

/// Receive FIFO of the UART, in bytes, which takes what comes when the ROM does not read.
const FIFO: usize = 128;
/// Bytes of 0x55 in a row that let the ROM measure the baud rate.
const MEASURED: u32 = 8;

impl Device {
    /// Whether the serial loader runs and can go on.
    pub fn in_loader(&self) -> bool {
        let stuck = matches!(self.busy, Some(Busy::Stuck));
        let coming = self.boot_at.is_some() && !self.refuses_download();
        matches!(self.phase, Phase::Download { .. }) && !stuck || coming
    }

    /// Looks at what has come, up to the end of one packet.
    pub(super) fn receive(&mut self) {
        if self.ring.is_empty() {
            let Some(arrived) = self.to_chip.take(self.now, Some(DELIMITER)) else {
                return;
            };
            let bytes = self.hear(arrived);
            self.ring.extend(bytes);
        }
        let (taken, ended) = self.receiver.push(&self.ring);
        self.ring.drain(..taken);
        if !ended {
            return;
        }
        let now = Instant(Duration::from_nanos(self.now));
        let clock = believed_clock(self.chip, &self.board.words).unwrap_or(self.crystal);
        let answer = self
            .loader
            .handle(self.receiver.buffer(), &mut self.board, now, clock);
        if let Some(answer) = answer {
            self.stats.commands += 1;
            // What comes later does not take a failure back that an earlier command has begun.
            self.power_fails_at = answer.power_loss.map(nanos).or(self.power_fails_at);
            if answer.act == Act::Hang {
                self.busy = Some(Busy::Stuck);
                if self.power_fails_at.is_none() {
                    self.events.push(Event::Stuck);
                }
            } else {
                self.busy = Some(Busy::Command(answer));
            }
        }
    }

    /// Puts what came while the loader was busy into its ring. A ring that runs over looks empty,
    /// because its write index has met its read index; what nobody reads in time stays in the
    /// FIFO, and what does not fit there is lost.
    pub(super) fn absorb(&mut self, flash: bool) {
        if self.usb != UsbMode::Uart {
            return;
        }
        let receive = self.chip.rom.receive;
        let size = receive.size as usize;
        let mut room = if flash && !receive.ahead {
            FIFO
        } else {
            usize::MAX
        };
        let mut lost = 0;
        while let Some(arrived) = self.to_chip.take(self.now, None) {
            let mut bytes = self.hear(arrived);
            if bytes.len() > room {
                lost += bytes.len() - room;
                bytes.truncate(room);
            }
            room -= bytes.len();
            for byte in bytes {
                self.ring.push(byte);
                self.stats.max_buffered = self.stats.max_buffered.max(self.ring.len());
                if self.ring.len() == size {
                    lost += size;
                    self.ring.clear();
                }
            }
        }
        if lost > 0 {
            self.stats.lost_bytes += lost as u64;
            self.events.push(Event::Overflow { lost: lost as u64 });
        }
    }

    /// A command is done: its answer goes out, and what follows from it happens.
    pub(super) fn finish(&mut self, answer: Answer) {
        self.absorb(answer.flash);
        for _ in 0..answer.times {
            self.say(guru_wire::slip::encode(&answer.packet));
        }
        match answer.act {
            Act::Stay | Act::Hang => {}
            Act::SetDivider(divider) => {
                self.say(vec![DELIMITER; 2]);
                if self.usb == UsbMode::Uart {
                    let sixteenths = u64::from(self.crystal) * 16;
                    let baud = sixteenths / u64::from(divider.max(1));
                    let baud = baud.clamp(1, u64::from(u32::MAX)) as u32;
                    let at = self.to_host.free_at().max(self.now);
                    self.busy = Some(Busy::Baud { at, baud });
                }
            }
            Act::Reset => {
                self.say(vec![DELIMITER; 2]);
                let at = self.to_host.free_at().max(self.now);
                self.phase = Phase::Off;
                self.boot_at = Some((at, Cause::Software));
            }
            Act::ResetCpu => {
                self.say(vec![DELIMITER; 2]);
                let at = self.to_host.free_at().max(self.now);
                self.phase = Phase::Off;
                self.boot_at = Some((at, Cause::Cpu));
            }
            Act::Boot => self.boot_app(),
            Act::RefuseToRun => {
                self.phase = Phase::Off;
                self.boot_at = Some((self.to_host.free_at().max(self.now), Cause::Software));
            }
            Act::Jump(entry) => {
                self.start_program(entry);
            }
        }
    }

    /// What the chip's UART makes of bytes on its wire.
    pub(super) fn hear(&mut self, arrived: Arrived) -> Vec<u8> {
        if self.usb != UsbMode::Uart {
            return arrived.bytes;
        }
        let mut heard = Vec::with_capacity(arrived.bytes.len());
        let mut rest = arrived.bytes.as_slice();
        if let Measured::Waiting(mut run) = self.measured {
            let mut end = rest.len();
            for (at, byte) in rest.iter().enumerate() {
                run = if *byte == 0x55 { run + 1 } else { 0 };
                if run == MEASURED {
                    end = at + 1;
                    break;
                }
            }
            let (before, behind) = rest.split_at(end);
            heard.extend(self.hear_at_rate(before, arrived.baud));
            rest = behind;
            self.measured = Measured::Waiting(run);
            if run == MEASURED {
                self.measured = Measured::Done;
                self.set_chip_baud(arrived.baud);
            }
        }
        heard.extend(self.hear_at_rate(rest, arrived.baud));
        heard
    }

    fn hear_at_rate(&self, bytes: &[u8], baud: u32) -> Vec<u8> {
        if bytes.is_empty() || understands(self.chip_baud, baud) {
            bytes.to_vec()
        } else {
            garble(bytes, baud, self.chip_baud)
        }
    }

    pub(super) fn set_chip_baud(&mut self, baud: u32) {
        self.chip_baud = baud;
        let divisor = match self.chip.crystal {
            guru_chip::Crystal::Estimated { divisor, .. } => u32::from(divisor),
            guru_chip::Crystal::Fixed(_) => 1,
        };
        self.board.peripherals.set_rate(self.crystal, divisor, baud);
    }
}
