//! What passes between a program and the function that it called.

use std::time::Duration;

use guru_chip::Revision;
use guru_link::Instant;

use crate::board::Board;
use crate::cpu::Fault;

/// What a function's work costs the CPU, in cycles of a clock that the program may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cycles(pub u64);

/// The program that calls a function, and the chip around both.
pub(crate) trait Caller {
    /// The argument of this number, counted from 0, wherever the calling convention puts it.
    fn argument(&mut self, number: u8) -> u32;
    /// The program's stack pointer.
    fn stack(&self) -> u32;
    /// Copies memory or registers out.
    fn load(&mut self, address: u32, into: &mut [u8]) -> Result<(), Fault>;
    /// Copies into memory or registers.
    fn store(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault>;
    /// Reads a word of memory or a register.
    fn load_word(&mut self, address: u32) -> Result<u32, Fault>;
    /// Writes a word of memory or a register.
    fn store_word(&mut self, address: u32, value: u32) -> Result<(), Fault>;
    /// The chip's peripherals, and its flash.
    fn board(&mut self) -> &mut Board;
    /// The chip's revision.
    fn revision(&self) -> Revision;
    /// Crystal of the board, in Hz.
    fn crystal(&self) -> u32;
    /// Clock that the UART's divider divides, in Hz.
    fn uart_clock(&mut self) -> u32;
    /// Now.
    fn now(&self) -> Instant;
    /// How long so many cycles of the CPU take at the clock that it has now.
    fn time_of(&self, cycles: Cycles) -> Duration;
    /// Lets time pass, without interrupts.
    fn spend(&mut self, time: Duration);
    /// The supply fails at this time.
    fn lose_power(&mut self, at: Instant);
    /// Enables or disables interrupts of the CPU, a bit each.
    fn enable_interrupts(&mut self, mask: u32, on: bool) -> Result<(), Fault>;
    /// Gives one of them a priority, where there are such.
    fn set_priority(&mut self, interrupt: u32, priority: u32) -> Result<(), Fault>;
    /// Leads a peripheral's interrupt source to one of the CPU's.
    fn route_interrupt(&mut self, source: u32, interrupt: u32) -> Result<(), Fault>;
    /// Bytes that have come over USB-OTG and have not been read.
    fn usb_received(&mut self) -> usize;
    /// Takes up to `len` of them.
    fn usb_receive(&mut self, len: usize) -> Vec<u8>;
    /// Sends bytes over USB-OTG.
    fn usb_send(&mut self, bytes: &[u8]);
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It returns to its caller.
    Return(u64),
    /// It waits until this time, with interrupts as the program has them; then it is called again.
    Again(Instant),
    /// It goes on in a function of the program, which returns in its place: address and the first
    /// arguments.
    GoTo(u32, [u32; 2]),
    /// The ROM goes on to boot from flash.
    Boot,
    /// The chip is reset, and the call never returns.
    Reset(Reset),
}

/// How far a reset goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// The digital system.
    System,
    /// The CPU alone.
    Cpu,
}

/// What a function says when it stops for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Its work is done, and takes so many cycles.
    Return(u64, Cycles),
    /// Go on at this time.
    Again(Instant),
    /// Go on in the program, with these arguments.
    GoTo(u32, [u32; 2]),
    Boot,
    Reset(Reset),
}

/// What a function has done so far of one call.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// It has been here before.
    pub begun: bool,
    /// Bytes, or steps.
    pub done: u32,
    /// What it waits for.
    pub until: Option<Instant>,
}

impl Progress {
    /// Whether this is the first time that it asks.
    pub fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }
}

/// Nothing but the call itself.
pub(super) const CALL: Cycles = Cycles(8);

/// Returns a value that takes no time to find.
pub(super) fn value(value: u32) -> Result<Done, Fault> {
    Ok(Done::Return(value.into(), CALL))
}

/// Returns nothing.
pub(super) fn nothing() -> Result<Done, Fault> {
    value(0)
}
