//! From what a log tells to an explanation: what happened, where, why, and what to do. Pure: files,
//! the screen and the clock are the caller's.

mod address;
mod boots;
mod crash;
mod elf;
mod evidence;
mod findings;
mod log;
mod model;
mod sdkconfig;
mod settings;
mod stack;

pub use address::{AddressClass, MemoryMap, Pattern, Region};
pub use crash::{Inputs, Sources, explain};
pub use elf::{Force, Judged, judge, prepare};
pub use evidence::{Evidence, UnknownEvidence};
pub use log::Log;
pub use model::*;
pub use sdkconfig::Sdkconfig;
pub use settings::{LogFacts, settings};
