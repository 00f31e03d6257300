//! What fills an image: which memory, which crate or archive, which symbol. From the ELF file alone,
//! or with the linker's map beside it.

mod map;
mod memory;
mod program;
mod rows;
mod units;

pub use map::{LinkerMap, MapError};
pub use memory::Memory;
pub use program::{Program, SizeError};
pub use rows::{By, Row, Size, Usage};
