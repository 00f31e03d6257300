//! The serial protocol of Espressif's ROM loaders and flasher stubs, without I/O: commands become
//! bytes and bytes become responses. Both ends use it, the loader and the simulator.
//!
//! Source of the protocol: esptool's "Serial Protocol" documentation, and the ROM code.

pub mod capability;
mod certificate;
mod checksum;
mod command;
mod error_code;
mod md5;
mod opcode;
mod response;
mod security_info;
pub mod slip;
mod timeout;

pub use certificate::{Certificate, CertificateError, Grants};
pub use checksum::checksum;
pub use command::{Begin, Command, CommandError, HEADER_LEN, RegisterWrite, SYNC_PAYLOAD};
pub use error_code::ErrorCode;
pub use md5::{Md5Error, parse_md5};
pub use opcode::Opcode;
pub use response::{Response, ResponseError, Status};
pub use security_info::{SecurityFlags, SecurityInfo, SecurityInfoError};
pub use timeout::Timeouts;
