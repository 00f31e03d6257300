//! The program `guru`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(guru::run(std::env::args_os().collect()))
}
