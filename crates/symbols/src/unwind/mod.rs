//! From the registers of a stopped CPU and what its memory held to the calls that led there, without
//! a debugger.
//!
//! What cannot be known is not guessed: a trace ends with a reason ([`End`]), memory that is not
//! there is told from zeros, and what only looks like a return address is kept apart
//! ([`Trace::possible`]). All of it is bounded, whatever registers, memory and files hold.

pub mod call0;
pub mod cfi;
mod code;
mod possible;
pub mod riscv;
#[cfg(test)]
mod tests;
pub mod xtensa;

use std::fmt;

use crate::{Location, Symbols};

/// The most frames that a trace has.
pub const MAX_FRAMES: usize = 1024;

/// What a device had in its memory.
pub trait Memory {
    /// Fills `bytes` with what was at `address` and behind it; `false` where any of it is not known.
    fn read(&self, address: u32, bytes: &mut [u8]) -> bool;
}

impl<F: Fn(u32, &mut [u8]) -> bool> Memory for F {
    fn read(&self, address: u32, bytes: &mut [u8]) -> bool {
        self(address, bytes)
    }
}

/// The registers of a CPU, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registers {
    /// The address of the instruction, or of the one behind a call.
    pub pc: Option<u32>,
    /// `x0` to `x31` of RISC-V; `a0` to `a15` of Xtensa.
    pub x: [Option<u32>; 32],
    /// `PS` of Xtensa: it tells by how much a call turns the window that has not been completed.
    pub ps: Option<u32>,
}

/// The calls that led to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Why there are no more.
    pub end: End,
    /// Where the chain is broken: words behind the last frame that may be return addresses.
    pub possible: Vec<Possible>,
}

/// One function that had not returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where it is. See [`Frame::locate`].
    pub pc: u32,
    /// The stack pointer of its caller at the call, where that is known.
    pub cfa: Option<u32>,
    /// Bytes that the frame takes of the stack, where that is known.
    pub size: Option<u32>,
    /// How it was found.
    pub how: How,
    /// What its registers held, as far as that is known.
    pub registers: Registers,
}

impl Frame {
    /// Whether [`Frame::pc`] is an address to which a call returns, rather than an instruction that
    /// was executed or was about to be.
    #[must_use]
    pub fn is_return(&self) -> bool {
        let at = [How::Fault, How::Trap, How::Printed, How::Support];
        !at.contains(&self.how)
    }

    /// The place in the source: of the call, where another function was called.
    #[must_use]
    pub fn locate(&self, symbols: &Symbols) -> Option<Location> {
        if self.is_return() {
            symbols.locate_return(self.pc)
        } else {
            symbols.locate(self.pc)
        }
    }
}

/// How a frame was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// It is where the CPU stopped.
    Fault,
    /// The function that it called has call frame information.
    Cfi,
    /// The instructions of the function that it called tell where the return address is.
    Prologue,
    /// It called a function in ROM, whose frame is known.
    RomTable,
    /// What it called has not put the return address on the stack yet, or has no code.
    Register,
    /// It was interrupted: an exception or an interrupt saved its registers.
    Trap,
    /// Its registers were spilled to the stack (windows of Xtensa).
    Spilled,
    /// It called one of the compiler's support routines to save its registers, and has done nothing
    /// else yet. The address is that of the call.
    Support,
    /// The device printed it. The address is that of the call.
    Printed,
    /// It left by a jump to the function before it, and has nothing on the stack any more. The address
    /// is that behind the jump.
    TailCall,
}

/// Why a trace ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The last frame is marked as the outermost one.
    Outermost,
    /// The return address is 0, as in the first function of a task.
    ReturnAddressZero,
    /// The program counter is not known.
    NoProgramCounter,
    /// What comes next lies where the dump of the stack does not reach.
    StackDumpEnds {
        /// The first address that is missing.
        at: u32,
    },
    /// Nothing tells how the frame of the function at this address looks.
    NoFrameInformation {
        /// The address.
        pc: u32,
    },
    /// Where the return address should be is something else.
    NotCode {
        /// What is there.
        pc: u32,
    },
    /// The return address leads to code, but to a place that is not behind a call.
    NotAfterCall {
        /// What is there.
        pc: u32,
    },
    /// The return address leads behind a call, but to one of another function.
    OtherCallee {
        /// What is there.
        pc: u32,
    },
    /// The caller would be the same frame again.
    SameFrame,
    /// The caller's frame would lie below this one's.
    StackDoesNotGrow {
        /// Where it would be.
        sp: u32,
    },
    /// The stack pointer is not at a multiple of 16.
    Misaligned {
        /// Where it is.
        sp: u32,
    },
    /// A handler runs on the interrupts' own stack, and where the interrupted task's registers are
    /// is not known.
    OtherStack,
    /// The device itself found the stack corrupted.
    Corrupted,
    /// The device has printed no more, though there is more.
    Cut,
    /// There are more than [`MAX_FRAMES`].
    TooLong,
}

impl End {
    /// Whether the trace is whole.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Outermost | Self::ReturnAddressZero)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outermost => f.write_str("the last frame is the outermost one"),
            Self::ReturnAddressZero => {
                f.write_str("the return address is 0: the last frame is the outermost one")
            }
            Self::NoProgramCounter => f.write_str("the program counter is not known"),
            Self::StackDumpEnds { at } => {
                write!(f, "the dump of the stack does not reach to {at:#010x}, where the next frame is")
            }
            Self::NoFrameInformation { pc } => write!(
                f,
                "frame information is missing: nothing tells where the function at {pc:#010x} keeps its return address"
            ),
            Self::NotCode { pc } => write!(
                f,
                "the stack is broken: {pc:#010x} stands where a return address should, and is not in code"
            ),
            Self::NotAfterCall { pc } => write!(
                f,
                "the stack is broken: {pc:#010x} stands where a return address should, and is not behind a call"
            ),
            Self::OtherCallee { pc } => write!(
                f,
                "the stack is broken: {pc:#010x} stands where a return address should, and is behind a call of another function"
            ),
            Self::SameFrame => f.write_str("the stack is broken: the caller would be the same frame again"),
            Self::StackDoesNotGrow { sp } => write!(
                f,
                "the stack is broken: the caller's frame would be at {sp:#010x}, below this one"
            ),
            Self::Misaligned { sp } => {
                write!(f, "the stack is broken: {sp:#010x} is no stack pointer, it is misaligned")
            }
            Self::OtherStack => f.write_str(
                "an interrupt has its own stack, and where it left the task's registers is not known",
            ),
            Self::Corrupted => f.write_str("the device found the stack corrupted here"),
            Self::Cut => f.write_str("the device printed no more frames, though there are more"),
            Self::TooLong => write!(f, "there are more than {MAX_FRAMES} frames: this looks like endless recursion"),
        }
    }
}

/// A word on the stack that may be a return address: it leads behind a call. It may also be left over
/// from a function that has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Possible {
    /// Where it stands on the stack; `None`: in a register (`a0` of Xtensa).
    pub at: Option<u32>,
    /// The return address; on Xtensa without the bits for the windows.
    pub pc: u32,
}
