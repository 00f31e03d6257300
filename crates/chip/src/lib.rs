//! What is known about each chip, as typed tables made at build time from `chips/*.toml`, and the
//! pure functions that read them.

mod flash;
mod flash_status;
mod identify;
mod jedec;
mod lookup;
mod mac;
mod model;
mod registers;
mod revision;
mod rom;
mod runs;
mod security;
mod tables;
mod words;

pub use flash::*;
pub use flash_status::*;
pub use identify::*;
pub use jedec::*;
pub use lookup::*;
pub use mac::*;
pub use model::*;
pub use registers::*;
pub use revision::*;
pub use tables::*;
pub use words::*;
