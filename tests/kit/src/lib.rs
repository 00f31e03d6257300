//! What tests and the bench have in common: contents from a seed, folders that go with a test,
//! a proxy that records, and a model of time. No library or program depends on it.

mod contents;
pub mod elf;
pub mod model;
mod proxy;
mod scratch;

pub use contents::{Random, code, first_difference, noise};
pub use proxy::{From, Proxy, Recording};
pub use scratch::Scratch;

use std::error::Error;

/// What went wrong, for the person who reads a failed test.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;
