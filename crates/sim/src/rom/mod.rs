//! The serial loader of the mask ROM. It has no notion of lines and time beyond what is handed to
//! it: a packet in, what it did and what it answers out.
//!
//! Modelled from the code of the ROMs (`UartDwnLdProc` and what it calls, read in the published
//! ELF files of the ESP32 rev. 3 and the ESP32-C3 rev. 3), down to what they do not check.

mod boot;
mod certificate;
mod driver;
mod flash_write;
mod functions;
mod inflate;
mod loader;
mod receive;
mod security;

pub(crate) use boot::boot_log;
pub(crate) use functions::{Caller, Cycles, Functions, Outcome, Reset, variables};
pub(crate) use loader::{Act, Answer, Loader};
pub(crate) use receive::Receiver;
