//! What to write and in what order. Pure functions: nothing here knows a port or a file.

mod cost;
mod erase;
mod geometry;
mod layout;
mod stream;

pub use cost::{FlashTimes, Line};
pub use erase::{Erases, aligned_pieces, erase_pieces, erase_request, erases};
pub use geometry::{BLOCK, SECTOR, sector_ceil, sector_floor};
pub use layout::{LayoutError, Span, check_overlaps};
pub use stream::{Form, MAX_STREAM, Stream, StreamRules, erases_of, streams};
