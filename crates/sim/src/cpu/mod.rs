//! Models of the chips' CPUs, and what they share: the bus, memory, and the run loop's terms.

mod bus;
mod memory;
pub mod riscv;
mod run;
pub mod xtensa;

pub use bus::{Bus, Fault, Width};
pub use memory::{Access, AddressSpace, Bank, MapError};
pub use run::{Cpu, Exception, Ran, Stop};
