//! The terms on which a CPU model runs: a budget, reasons to stop, and calls that are answered
//! natively.

use super::Bus;

/// What a program did that the CPU made an exception of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// `mcause` (RISC-V) or `EXCCAUSE` (Xtensa).
    pub cause: u32,
    /// The address of the instruction.
    pub pc: u32,
    /// `mtval` or `EXCVADDR`: the address that could not be reached, or the instruction.
    pub value: u32,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The budget is used up.
    Budget,
    /// The next instruction is at a breakpoint. Running again executes it.
    Breakpoint,
    /// The CPU waits for an interrupt, and none is pending.
    Waiting,
    /// An exception happened and its handler is what runs next. Only where the CPU was told to
    /// stop for these.
    Exception(Exception),
    /// The exception handler cannot execute its first instruction: nothing but a reset helps.
    LockedUp(Exception),
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Instructions executed, and exceptions and interrupts taken. At most the budget.
    pub steps: u64,
    /// Why it ended.
    pub stop: Stop,
}

/// A CPU of either architecture, as the rest of the chip sees it.
pub trait Cpu {
    /// Runs for at most `budget` steps. Interrupts that the bus raises meanwhile are seen by the
    /// next run, so a budget is also how late an interrupt may be.
    fn run<B: Bus>(&mut self, bus: &mut B, budget: u64) -> Ran;

    /// The address of the next instruction.
    fn pc(&self) -> u32;

    /// Continues elsewhere.
    fn set_pc(&mut self, pc: u32);

    /// A register by the number it has in the program's eyes: `x0` to `x31`, or `a0` to `a15`.
    /// One that does not exist reads as 0.
    fn register(&self, number: u8) -> u32;

    /// Sets a register. One that does not exist, and `x0`, stays as it is.
    fn set_register(&mut self, number: u8, value: u32);

    /// Steps since the CPU was made. They feed the timing model.
    fn steps(&self) -> u64;

    /// Stops before the instruction at this address, whether or not there is memory. This is how
    /// ROM functions are answered natively: see [`Cpu::argument`] and [`Cpu::return_with`].
    fn add_breakpoint(&mut self, address: u32);

    /// Takes a breakpoint away.
    fn remove_breakpoint(&mut self, address: u32);

    /// At the first instruction of a function: its `number`-th argument, counted from 0, of those
    /// that are passed in registers; 0 for others.
    fn argument(&self, number: u8) -> u32;

    /// At the first instruction of a function: returns to its caller with up to 64 bits.
    fn return_with(&mut self, value: u64);

    /// Appends all that decides what the CPU does next, except counters of time and what
    /// [`Cpu::unsteady`] counts.
    fn state(&self, into: &mut Vec<u32>);

    /// How often something happened that [`Cpu::state`] does not show: a counter of time was read or
    /// set, a seldom register changed, a trap was taken.
    fn unsteady(&self) -> u64;

    /// Lets as much time pass as that many steps take.
    fn pass(&mut self, steps: u64);

    /// Steps until a timer of the CPU's own rings.
    fn until_timer(&self) -> u64 {
        u64::MAX
    }
}
