//! The device while a program runs on its CPU.

use super::{Cause, Device, Phase, nanos};
use crate::event::Event;
use crate::machine::{HandOver, Machine, Outcome};
use crate::options::UsbMode;
use crate::rom::{Loader, Receiver};
use crate::wire::byte_ns;

/// How far a program runs, in nanoseconds, before what it did is looked at.
const STRETCH: u64 = 100_000;
/// How long, in nanoseconds, a host may wait for what a program does with what it was sent. Behind
/// that, a program that goes on by itself is nothing that anybody waits for.
const PATIENCE: u64 = 5_000_000_000;

impl Device {
    /// Executes every step of a program, even of loops that only wait: slow, and the same in all that
    /// can be seen from outside.
    pub fn never_leap(&mut self) {
        self.leaps = false;
        if let Some(machine) = &mut self.machine {
            machine.never_leap();
        }
    }

    /// Steps that the program has made since it was started.
    pub fn steps(&self) -> u64 {
        self.machine.as_ref().map_or(0, |machine| machine.steps())
    }

    /// The loader jumps to a program in RAM.
    pub(super) fn start_program(&mut self, entry: u32) {
        let left = HandOver {
            revision: self.revision,
            crystal: self.crystal,
            usb: self.usb,
            baud: self.chip_baud,
            flash_size: self.loader.flash_size(),
            image: self.rom.is_some(),
        };
        let machine = Machine::new(self.chip, entry, left, &mut self.board, self.now);
        let Some(mut machine) = machine else {
            self.phase = Phase::Running {
                repeat: String::new(),
                next: 0,
            };
            self.events.push(Event::CodeNotExecuted { entry });
            // At once: its first bytes follow those of the answer without a gap.
            self.say(self.says.clone());
            return;
        };
        if !self.leaps {
            machine.never_leap();
        }
        self.machine = Some(Box::new(machine));
        self.phase = Phase::Executing;
        self.awaited_until = self.now + PATIENCE;
        self.talks_until = self.awaited_until;
        self.events.push(Event::Started { entry });
        // What the loader has not looked at stands in the FIFO.
        for byte in std::mem::take(&mut self.ring) {
            self.receive_byte(byte);
        }
    }

    /// Runs the program up to a moment. `false`: something happened, so that it must be found out
    /// again what comes next.
    pub(super) fn execute(&mut self, until: u64) -> bool {
        let Some(machine) = &mut self.machine else {
            return true;
        };
        let end = match machine.is_waiting() {
            true => until,
            false => until.min(self.now + STRETCH),
        };
        let outcome = machine.run(&mut self.board, end);
        let reached = machine.now();
        self.await_flash();
        self.collect();
        self.events.append(&mut self.board.reports);
        if let Some(at) = self.board.power_fails_at.take() {
            self.power_fails_at = Some(self.power_fails_at.unwrap_or(u64::MAX).min(at));
        }
        match outcome {
            Outcome::Reached => {
                self.now = self.now.max(end);
                return end == until;
            }
            Outcome::Attention => {
                self.now = self.now.max(reached);
                if let Some(cause) = self.board.reset_cause.take() {
                    self.stop_program();
                    self.boot_at = Some((self.now, Cause::Numbered(cause)));
                }
            }
            Outcome::Stopped => {
                self.now = self.now.max(reached);
                self.machine = None;
                // Whoever crashed says nothing any more, and hears nothing.
                self.phase = Phase::Running {
                    repeat: String::new(),
                    next: 0,
                };
            }
            Outcome::Loader => {
                self.now = self.now.max(reached);
                self.back_to_loader();
            }
            Outcome::Boot => {
                self.now = self.now.max(reached);
                self.stop_program();
                self.boot_app();
            }
            Outcome::Reset => {
                self.now = self.now.max(reached);
                self.stop_program();
                self.boot_at = Some((self.now, Cause::Software));
            }
        }
        false
    }

    /// A host that waits for the program waits for its flash as well: erasing takes up to minutes.
    fn await_flash(&mut self) {
        let nor = &self.board.nor;
        if self.now <= self.awaited_until && !nor.hangs() {
            let ready = nanos(nor.busy_until());
            self.awaited_until = self.awaited_until.max(ready.saturating_add(PATIENCE));
        }
    }

    /// When the program has something new to say, as far as that is known.
    pub(super) fn program_event(&self) -> Option<(u64, bool)> {
        let machine = self.machine.as_ref()?;
        // What is on its way to the program will be waited for.
        let idle = self.now > self.awaited_until && self.arrival().is_none();
        if machine.is_waiting() {
            let at = machine.next_event(&self.board)?;
            return Some((at.max(self.now + 1), idle));
        }
        Some((self.now + STRETCH, idle))
    }

    /// When the next byte for the program arrives.
    pub(super) fn arrival(&self) -> Option<u64> {
        let usb = self.board.peripherals.usb.as_ref();
        let room = match self.usb {
            UsbMode::Uart => true,
            // The host's controller keeps what finds no room.
            UsbMode::Jtag => usb.is_some_and(|usb| usb.has_room()),
            UsbMode::Otg => false,
        };
        self.to_chip.next_byte().filter(|_| room)
    }

    /// Hands over bytes that have arrived.
    pub(super) fn hand_over(&mut self) {
        while self.arrival().is_some_and(|at| at <= self.now) {
            let Some(arrived) = self.to_chip.take_byte(self.now) else {
                return;
            };
            for byte in &arrived.bytes {
                let uart = &mut self.board.peripherals.uart;
                uart.measure(*byte, arrived.baud);
            }
            for byte in self.hear(arrived) {
                self.receive_byte(byte);
            }
        }
    }

    fn receive_byte(&mut self, byte: u8) {
        self.awaited_until = self.now + PATIENCE;
        self.talks_until = self.awaited_until;
        let peripherals = &mut self.board.peripherals;
        let taken = match (self.usb, &mut peripherals.usb) {
            (UsbMode::Jtag, Some(usb)) => {
                usb.receive(byte);
                true
            }
            _ => peripherals.uart.receive(byte, self.now),
        };
        peripherals.disturb();
        if let Some(machine) = &mut self.machine {
            machine.disturb();
        }
        if !taken {
            self.stats.lost_bytes += 1;
            match self.events.last_mut() {
                Some(Event::Overflow { lost }) => *lost += 1,
                _ => self.events.push(Event::Overflow { lost: 1 }),
            }
        }
    }

    /// Puts what the program has sent on the wire, and takes over its baud rate.
    fn collect(&mut self) {
        let peripherals = &mut self.board.peripherals;
        let sent = peripherals.uart.take_sent();
        let packets = match &mut peripherals.usb {
            Some(usb) => usb.take_sent(),
            None => Vec::new(),
        };
        if !sent.is_empty() || !packets.is_empty() {
            self.talks_until = self.now + PATIENCE;
        }
        let baud = peripherals.uart.baud();
        if self.usb == UsbMode::Uart {
            let mut rest = sent.as_slice();
            while let Some(first) = rest.first() {
                // Bytes that follow one another without a gap go out together.
                let mut free = self.to_host.free_at().max(first.at);
                let mut len = 0;
                for byte in rest {
                    if byte.baud != first.baud || byte.at > free {
                        break;
                    }
                    free += byte_ns(first.baud);
                    len += 1;
                }
                let (run, later) = rest.split_at(len);
                let bytes = run.iter().map(|sent| sent.byte).collect();
                self.say_at(first.at, bytes, first.baud);
                rest = later;
            }
            if baud.abs_diff(self.chip_baud) > self.chip_baud / 200 {
                self.chip_baud = baud;
                if self.rate_follows {
                    self.host_baud = baud;
                }
                self.events.push(Event::BaudChanged { baud });
            }
        } else {
            for (at, packet) in packets {
                self.say_at(at, packet, 0);
            }
        }
    }

    fn stop_program(&mut self) {
        self.machine = None;
        self.phase = Phase::Off;
    }

    /// The program has returned, or jumped to where the ROM's loader begins.
    fn back_to_loader(&mut self) {
        self.stop_program();
        self.events.push(Event::Returned);
        self.loader = Loader::new(&self.board, self.revision);
        self.receiver = Receiver::new();
        self.ring = self.board.peripherals.uart.take_received().into();
        self.phase = Phase::Download { ready_at: self.now };
    }
}
