//! A virtual chip: the serial loader of its mask ROM, its flash, its registers and its wires, in
//! virtual time.
//!
//! [`Device`] is the chip without I/O. [`SimLink`] puts it behind the [`guru_link::Link`] that
//! the loader talks through. What can go wrong on purpose is described in [`fault`].
//!
//! Programs that are sent to RAM are executed, on models of the CPUs ([`cpu`]), which see the same
//! memory and registers as the loader. An image in flash is answered for and reported as not executed
//! ([`Event`]).

mod board;
pub mod cpu;
mod device;
mod event;
pub mod fault;
pub mod flash;
mod fuses;
mod identity;
mod link;
mod machine;
mod memory;
mod options;
mod pace;
mod rng;
mod rom;
mod server;
mod spi;
mod usb;
mod wire;
mod xts;

pub use device::{Device, Next};
pub use event::{Event, Stats};
pub use identity::IdentityError;
pub use link::SimLink;
pub use machine::RomError;
pub use options::{Boot, OptionsError, Pace, SCHEME, SimOptions, UsbMode};
pub use server::{Endpoint, ServeError, ServeEvent, serve};
pub use usb::Reenumerate;
