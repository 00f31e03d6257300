//! A serial NOR flash: its cells, the parts that are known, and what a part makes of the bytes
//! that a controller clocks into it.

mod cells;
mod nor;
mod part;
mod positioned;
mod sfdp;

pub use cells::{Flash, FlashError};
pub(crate) use nor::{Faults, Unit};
pub use nor::{Nor, Refusal, Work};
pub use part::{Part, StatusWrite, Times, parts};

/// Smallest erasable unit of every part, in bytes.
pub const SECTOR: u32 = 0x1000;
/// The erase unit that loaders call a block, in bytes.
pub const BLOCK: u32 = 0x1_0000;
/// Largest unit of one program command, in bytes.
pub const PAGE: u32 = 0x100;
