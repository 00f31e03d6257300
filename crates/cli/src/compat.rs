//! The predecessor's command line, text and exit codes, for those who start this program under
//! its name. Nothing of it reaches into the rest: a command line is read by its own rules and
//! becomes one of ours, and a [`Screen`](crate::ui::Screen) of its own shows the events.

mod arguments;
mod certificate;
mod click;
mod commands;
mod esptool;
mod format;
mod image_info;
mod screen;
mod settings;
mod table;

pub use commands::chip_missing;
pub use esptool::run;
pub use screen::{MERGED, reason};
pub use table::{OldCommand, OldCommandLine, OldOption, old_command_line};
