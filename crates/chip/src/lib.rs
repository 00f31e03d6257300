//! What is known about each chip, as typed tables made at build time from `chips/*.toml`, and the
//! pure functions that read them.

mod mac;
mod model;
mod revision;
mod rom;
mod tables;

pub use mac::*;
pub use model::*;
pub use revision::*;
pub use tables::*;
