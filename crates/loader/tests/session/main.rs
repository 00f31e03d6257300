//! Sessions with simulated chips, in virtual time.

mod bench;
mod connect;
mod faults;
mod read;
mod write;
