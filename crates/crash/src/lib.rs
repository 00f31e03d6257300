//! What a chip prints when it dies, understood: from the bytes of a log to banners, messages and
//! crash reports with their registers, stacks and backtraces. What a line does not say is not there.

mod crash;
pub mod explain;
pub mod knowledge;
mod line;
mod parse;
mod recognise;

pub use crash::*;
pub use knowledge::Severity;
pub use parse::Parser;
pub use recognise::{Known, Recognise};
