//! A conversation with a chip's loader: connect, identify, write, read, verify, erase, reset.
//!
//! [`Session`] is where to begin. Everything is `async` over a [`guru_link::Link`] and reports by
//! [`Event`]s; nothing prints.

mod attach;
mod baud;
mod believed;
mod boot_log;
mod certificate;
mod channel;
mod compress;
mod connect;
mod console;
mod device_info;
mod digest;
mod enter;
mod erase;
mod error;
mod event;
mod flash_status;
mod guard;
mod job;
mod lacking;
mod launch;
mod leave;
mod line;
mod memory;
mod notice;
mod options;
mod power;
mod progress;
mod prove;
mod ram;
mod read;
mod recover;
mod refusal;
mod security;
mod security_report;
mod session;
mod sfdp;
mod spi;
mod stream;
mod stub;
mod usb;
mod verify;
mod write;

pub use certificate::*;
pub use console::Console;
pub use device_info::*;
pub use erase::EraseRegion;
pub use error::*;
pub use event::*;
pub use flash_status::*;
pub use job::{WriteJob, check_files};
pub use lacking::Lacking;
pub use memory::{MemoryChange, MemoryWrite};
pub use notice::*;
pub use options::*;
pub use ram::{LoadRequest, Loaded};
pub use read::{FlashSink, ReadLength, ReadRequest};
pub use refusal::*;
pub use security_report::*;
pub use session::Session;
pub use sfdp::*;
pub use write::{FileReport, WriteReport};
