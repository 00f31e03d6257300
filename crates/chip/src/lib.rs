//! What is known about each chip, as typed tables made at build time from `chips/*.toml`.

mod model;

pub use model::*;
