//! RAM and registers as one bus, for the time of a run.

use std::time::Duration;

use guru_link::Instant;

use super::block::Activity;
use super::clock::Clock;
use crate::board::Board;
use crate::cpu::{Bus, Fault, Width};

/// What the CPU sees while it runs.
pub(super) struct View<'a> {
    board: &'a mut Board,
    clock: &'a Clock,
    /// Steps of the CPU less cycles of the clock, at the beginning.
    offset: u64,
    steps: u64,
    pub activity: Activity,
    lines_changed: bool,
}

impl<'a> View<'a> {
    /// A view for a CPU that has made so many `steps`, at this cycle of its clock.
    pub fn new(board: &'a mut Board, clock: &'a Clock, cycle: u64, steps: u64) -> Self {
        Self {
            board,
            clock,
            offset: steps.wrapping_sub(cycle),
            steps,
            activity: Activity::default(),
            lines_changed: false,
        }
    }

    fn now(&self) -> Instant {
        let at = self.clock.at(self.steps.wrapping_sub(self.offset));
        Instant(Duration::from_nanos(at))
    }

    /// Reads registers: the lanes of a narrow access out of the word around them.
    #[cold]
    #[inline(never)]
    fn load_elsewhere(&mut self, address: u32, width: Width) -> Result<u32, Fault> {
        let word = address & !3;
        if self.is_memory(address, width) {
            let mut value = 0;
            for offset in 0..width.bytes() {
                let at = address.checked_add(offset).ok_or(Fault::Unmapped)?;
                value |= u32::from(self.load8(at)?) << (8 * offset);
            }
            return Ok(value);
        }
        if !self.board.answers(word) {
            return Err(Fault::Unmapped);
        }
        let now = self.now();
        let value = self.board.load(word, now, &mut self.activity);
        let at = now.0.as_nanos() as u64;
        self.lines_changed |= self.board.peripherals.lines_changed(at, false);
        Ok(value >> (8 * (address & 3)))
    }

    /// Writes registers: a narrow access writes 0 beside its lanes, except where bytes are registers.
    #[cold]
    #[inline(never)]
    fn store_elsewhere(&mut self, address: u32, width: Width, value: u32) -> Result<(), Fault> {
        let word = address & !3;
        if self.is_memory(address, width) {
            for (offset, byte) in (0..width.bytes()).zip(value.to_le_bytes()) {
                let at = address.checked_add(offset).ok_or(Fault::Unmapped)?;
                self.store8(at, byte)?;
            }
            return Ok(());
        }
        if !self.board.answers(word) {
            return Err(Fault::Unmapped);
        }
        let now = self.now();
        let mut value = value << (8 * (address & 3));
        if width != Width::Word && self.board.peripherals.has_lanes(word) {
            let lanes = u32::MAX >> (32 - 8 * width.bytes()) << (8 * (address & 3));
            value |= self.board.load(word, now, &mut self.activity) & !lanes;
        }
        self.board.store(word, value, now, &mut self.activity);
        let at = now.0.as_nanos() as u64;
        self.lines_changed |= self.board.peripherals.lines_changed(at, true);
        Ok(())
    }

    /// Whether an access begins in memory, and then ends in the next window.
    fn is_memory(&self, address: u32, width: Width) -> bool {
        width != Width::Byte && self.board.ram.holds(address)
    }

    #[inline(always)]
    fn load<const N: usize>(&mut self, address: u32, width: Width) -> Result<u32, Fault> {
        match self.board.ram.load_memory::<N>(address) {
            Some(result) => result,
            None => self.load_elsewhere(address, width),
        }
    }

    #[inline(always)]
    fn store<const N: usize>(
        &mut self,
        address: u32,
        width: Width,
        value: u32,
    ) -> Result<(), Fault> {
        match self.board.ram.store_memory::<N>(address, value) {
            Some(result) => result,
            None => self.store_elsewhere(address, width, value),
        }
    }
}

impl Bus for View<'_> {
    #[inline(always)]
    fn at(&mut self, steps: u64) {
        self.steps = steps;
    }

    #[inline(always)]
    fn lines_changed(&self) -> bool {
        self.lines_changed
    }

    #[inline]
    fn load8(&mut self, address: u32) -> Result<u8, Fault> {
        self.load::<1>(address, Width::Byte)
            .map(|value| value as u8)
    }

    #[inline]
    fn load16(&mut self, address: u32) -> Result<u16, Fault> {
        self.load::<2>(address, Width::Half)
            .map(|value| value as u16)
    }

    #[inline]
    fn load32(&mut self, address: u32) -> Result<u32, Fault> {
        self.load::<4>(address, Width::Word)
    }

    #[inline]
    fn store8(&mut self, address: u32, value: u8) -> Result<(), Fault> {
        self.store::<1>(address, Width::Byte, value.into())
    }

    #[inline]
    fn store16(&mut self, address: u32, value: u16) -> Result<(), Fault> {
        self.store::<2>(address, Width::Half, value.into())
    }

    #[inline]
    fn store32(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        self.store::<4>(address, Width::Word, value)
    }

    fn fetch(&mut self, address: u32) -> Result<u8, Fault> {
        self.board.ram.fetch_memory(address)
    }

    #[inline]
    fn code_epoch(&self) -> u32 {
        self.board.ram.epoch()
    }
}
