//! RV32IMAC with Zicsr and Zifencei, machine mode only: the CPUs of the ESP32-C, -H and -P series
//! as far as loaders and stubs use them.
//!
//! Semantics are those of the RISC-V Instruction Set Manual, volumes I (20191213) and II
//! (20211203). Not modelled: floating point, user mode, memory protection (its registers hold what
//! is written), the vendor's hardware loops and vector instructions: these are illegal instructions.

mod core;
mod csr;
mod decode;
mod handler;

pub use self::core::{Misaligned, Options, Riscv};
pub use self::handler::Interrupted;
