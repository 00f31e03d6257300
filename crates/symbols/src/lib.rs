//! What an address in a program stands for: function, file, line and inlined callers, by ELF and
//! DWARF 2 to 5; and whose bytes lie there.
//!
//! Lookups by DWARF are written here, on top of `gimli`: the crate `addr2line` calls itself once for
//! each level of inlining, fails for all units when one is damaged, and has no limit to the work that
//! a lying file can make of it.

mod dwarf;
mod intervals;
mod name;
mod program;
pub mod rom;
mod symbols;
mod table;
pub mod unwind;

pub use dwarf::{Damage, SourceUnit, source_units};
pub use guru_image::Machine;
pub use name::Name;
pub use program::{Program, Section, SymbolsError};
pub use symbols::{Location, Origin, SourceFrame, Symbols};
