//! Tasks for people who work on Guru.
fn main() {}
