//! A program's call of the mask ROM.

use std::time::Duration;

use guru_chip::Revision;
use guru_link::Instant;

use super::clock::Clock;
use super::processor::Processor;
use super::routing;
use super::view::View;
use crate::board::Board;
use crate::cpu::{Bus, Cpu, Fault};
use crate::rom::{Caller, Cycles};

/// The CPU at the first instruction of a function, and the chip around it.
pub(super) struct Call<'a> {
    pub cpu: &'a mut Processor,
    pub board: &'a mut Board,
    clock: &'a Clock,
    /// Cycles of the clock, with those that were spent.
    cycle: u64,
    begin: u64,
    pub revision: Revision,
    pub crystal: u32,
}

impl<'a> Call<'a> {
    pub fn new(cpu: &'a mut Processor, board: &'a mut Board, clock: &'a Clock, cycle: u64) -> Self {
        Self {
            cpu,
            board,
            clock,
            cycle,
            begin: cycle,
            revision: Revision(0),
            crystal: 0,
        }
    }

    /// Cycles that were spent.
    pub fn spent(&self) -> u64 {
        self.cycle - self.begin
    }

    /// Memory and registers at this moment.
    fn view(&mut self) -> View<'_> {
        let steps = self.cpu.steps();
        View::new(self.board, self.clock, self.cycle, steps)
    }

    /// See [`Processor::finish_movsp`].
    pub fn finish_movsp(&mut self) -> Result<bool, Fault> {
        let steps = self.cpu.steps();
        let mut view = View::new(self.board, self.clock, self.cycle, steps);
        self.cpu.finish_movsp(&mut view)
    }
}

impl Caller for Call<'_> {
    fn argument(&mut self, number: u8) -> u32 {
        let Some(on_stack) = number.checked_sub(self.cpu.arguments_in_registers()) else {
            return self.cpu.argument(number);
        };
        let at = self.stack().wrapping_add(4 * u32::from(on_stack));
        self.load_word(at).unwrap_or(0)
    }

    fn stack(&self) -> u32 {
        self.cpu.stack()
    }

    fn load(&mut self, address: u32, into: &mut [u8]) -> Result<(), Fault> {
        if self.board.ram.peek(address, into).is_ok() {
            return Ok(());
        }
        for (offset, byte) in (0..).zip(into) {
            *byte = self.view().load8(address.wrapping_add(offset))?;
        }
        Ok(())
    }

    fn store(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        if self.board.ram.poke(address, bytes).is_ok() {
            return Ok(());
        }
        for (offset, byte) in (0..).zip(bytes) {
            self.view().store8(address.wrapping_add(offset), *byte)?;
        }
        Ok(())
    }

    fn load_word(&mut self, address: u32) -> Result<u32, Fault> {
        self.view().load32(address)
    }

    fn store_word(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        self.view().store32(address, value)
    }

    fn board(&mut self) -> &mut Board {
        self.board
    }

    fn revision(&self) -> Revision {
        self.revision
    }

    fn crystal(&self) -> u32 {
        self.crystal
    }

    fn uart_clock(&mut self) -> u32 {
        self.board.peripherals.uart.clock()
    }

    fn now(&self) -> Instant {
        Instant(Duration::from_nanos(self.clock.at(self.cycle)))
    }

    fn time_of(&self, cycles: Cycles) -> Duration {
        Duration::from_nanos(self.clock.time_of(cycles.0))
    }

    fn spend(&mut self, time: Duration) {
        self.cycle += self.clock.steps_in(time.as_nanos() as u64);
    }

    fn lose_power(&mut self, at: Instant) {
        let at = at.0.as_nanos() as u64;
        let before = self.board.power_fails_at.unwrap_or(u64::MAX);
        self.board.power_fails_at = Some(before.min(at));
    }

    fn enable_interrupts(&mut self, mask: u32, on: bool) -> Result<(), Fault> {
        if !routing::enable(self, mask, on)? {
            self.cpu.enable_interrupts(mask, on);
        }
        Ok(())
    }

    fn set_priority(&mut self, interrupt: u32, priority: u32) -> Result<(), Fault> {
        routing::set_priority(self, interrupt, priority)
    }

    fn route_interrupt(&mut self, source: u32, interrupt: u32) -> Result<(), Fault> {
        routing::route(self, source, interrupt)
    }

    fn usb_received(&mut self) -> usize {
        0
    }

    fn usb_receive(&mut self, _: usize) -> Vec<u8> {
        Vec::new()
    }

    fn usb_send(&mut self, _: &[u8]) {}
}
