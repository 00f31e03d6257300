//! Flasher stubs as files hold them: Guru's own, which are embedded, and Espressif's.
//!
//! A [`Source`] gives the [`Stub`] for a chip, checked as far as it can be without the chip. Nothing
//! here reads a file: who finds stubs hands their bytes over.

mod embedded;
mod error;
mod guru;
mod official;
mod source;
mod stub;

pub use error::StubError;
pub use source::{Source, StubFile};
pub use stub::{Kind, Segment, Stub};
