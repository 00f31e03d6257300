//! From lines to events: a file for each thing that chips print.

mod backtrace;
mod banner;
mod esphome;
mod log;
mod marks;
mod opening;
mod registers;
mod report;
mod scan;
mod stack;
mod starting;
mod tasks;

pub use log::Parser;
