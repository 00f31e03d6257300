//! The program `guru`: commands, what they show, and the predecessor's command line beside them.

mod args;
mod at_files;
mod cmd;
mod compat;
pub mod config;
mod context;
mod error;
mod files;
mod globals;
mod interrupt;
mod layout;
mod leading;
mod many;
mod monitor;
mod new_file;
mod packages;
mod part_file;
mod partitions;
mod port;
mod port_list;
mod port_url;
mod program;
mod session;
mod source_files;
mod spy;
mod stubs;
mod terminal;
mod trace;
mod typed;
mod ui;

pub use compat::{OldCommand, OldCommandLine, OldOption, old_command_line};
pub use program::run;
