//! A virtual chip.

pub mod flash;
