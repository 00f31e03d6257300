//! What a ROM does at its vector, for a CPU without one.

use super::core::Riscv;
use super::csr::{STATUS_MIE, STATUS_MPIE, STATUS_MPP, number};
use crate::cpu::Cpu;

/// A program as an interrupt found it.
pub struct Interrupted {
    x: [u32; 32],
    pc: u32,
    enabled: bool,
}

/// `mcause`: an interrupt, not an exception.
const INTERRUPT: u32 = 1 << 31;
/// Where its number is.
const NUMBER: u32 = 0xFFF;

impl Riscv {
    /// Sets the one address at which interrupts and exceptions are handled, a multiple of 4, and
    /// lets interrupts in.
    pub fn set_vector(&mut self, vector: u32) {
        self.set_csr(number::MTVEC, vector);
        self.set_csr(number::MSTATUS, STATUS_MPP | STATUS_MIE);
    }

    /// The interrupt that is to be handled, at the vector.
    pub fn interrupt_taken(&self) -> Option<u32> {
        let cause = self.csr(number::MCAUSE)?;
        (cause & INTERRUPT != 0).then_some(cause & NUMBER)
    }

    /// At the vector: calls a handler with an argument, by which interrupts stay masked, and lets it
    /// return to `link`.
    pub fn call_handler(&mut self, handler: u32, argument: u32, link: u32) -> Interrupted {
        let mut x = [0; 32];
        for (number, register) in (0..).zip(&mut x) {
            *register = self.register(number);
        }
        let status = self.csr(number::MSTATUS).unwrap_or(0);
        let before = Interrupted {
            x,
            pc: self.csr(number::MEPC).unwrap_or(0),
            enabled: status & STATUS_MPIE != 0,
        };
        self.set_register(1, link);
        self.set_register(2, x[2] & !15);
        self.set_register(10, argument);
        self.set_pc(handler);
        before
    }

    /// The handler has returned.
    pub fn resume(&mut self, before: &Interrupted) {
        for (number, register) in (0..).zip(before.x) {
            self.set_register(number, register);
        }
        let status = STATUS_MPP | STATUS_MPIE | if before.enabled { STATUS_MIE } else { 0 };
        self.set_csr(number::MSTATUS, status);
        self.set_pc(before.pc);
    }
}
