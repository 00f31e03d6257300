//! The Xtensa cores: LX106 (ESP8266), LX6 (ESP32) and LX7 (ESP32-S2, ESP32-S3).
//!
//! Modelled: the core instructions with the options of each chip ([`Config`]), the windowed
//! registers with their exceptions taken to the code at the vectors, exceptions, interrupts up to
//! the NMI, timers, MAC16, single precision floating point. One instruction is one cycle.
//!
//! Not modelled: the vector instructions of the ESP32-S3, the steps of the ESP32 for double
//! precision and the GPIO instructions of the ESP32-S2 and -S3, which are illegal instructions;
//! region protection and the core's caches, whose instructions do nothing; debug registers, but
//! for `BREAK`.
//!
//! Source of the behaviour: Xtensa Instruction Set Architecture Reference Manual (Cadence,
//! 2010 and later editions).

mod config;
mod core;
mod decode;
mod execute;
mod float;
mod handler;
mod interrupt;
mod mac;
mod shared;
mod special;
#[cfg(test)]
mod tests;

pub use config::{Config, Interrupts, Misaligned, Vectors};
pub use core::{Cause, Core, Exception, Run, Stop};
pub use handler::{Interrupted, window_vectors};
