//! Models of the chips' CPUs, and what they share: the bus, memory, and the run loop's terms.

mod bus;

pub use bus::{Bus, Fault, Width};
