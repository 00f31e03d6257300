//! One function for each parser that reads what Guru did not write. A function returns, whatever
//! the bytes are; where there is an encoder too, what was decoded encodes to what decodes to it.
//!
//! Two things call them: `tests/replay.rs` with the kept corpus and damaged copies of it, with
//! any Rust and in every test run; and libFuzzer (`fuzz/libfuzzer`).

mod config;
mod crash;
mod elf;
mod image;
mod knowledge;
mod rfc2217;
mod store;
mod symbols;
mod trace;
mod unwind;
mod wire;

pub use config::{config, guru_toml};
pub use crash::panic;
pub use elf::{elf, linker_map};
pub use image::{hex, image};
pub use knowledge::knowledge;
pub use rfc2217::rfc2217;
pub use store::{otadata, partition_csv, partition_table};
pub use symbols::symbols;
pub use trace::trace;
pub use unwind::unwind;
pub use wire::{command, response, security_info, slip};

/// A parser under test.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("slip", slip),
    ("response", response),
    ("command", command),
    ("security_info", security_info),
    ("image", image),
    ("hex", hex),
    ("elf", elf),
    ("linker_map", linker_map),
    ("symbols", symbols),
    ("partition_table", partition_table),
    ("partition_csv", partition_csv),
    ("otadata", otadata),
    ("rfc2217", rfc2217),
    ("trace", trace),
    ("config", config),
    ("guru_toml", guru_toml),
    ("panic", panic),
    ("knowledge", knowledge),
    ("unwind", unwind),
];
