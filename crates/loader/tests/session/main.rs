//! Sessions with simulated chips, in virtual time.

mod believed;
mod bench;
mod connect;
mod faults;
mod leave;
mod memory;
mod read;
mod security;
mod write;
