//! What is known about the messages of a chip that dies or does not start: data in `knowledge/`, read and
//! checked once, and the search for the entry that a line belongs to.

mod compiled;
mod entry;
mod error;
mod esp_err;
mod family;
mod load;
mod matcher;
mod needles;
mod search;
mod template;

pub use entry::{Cause, DetailRule, Entry, EntryId, Fields, Found, Place, Severity};
pub use error::KnowledgeError;
pub use esp_err::{EspError, esp_errors};
pub use family::Family;
pub use search::Knowledge;
pub use template::fill;
