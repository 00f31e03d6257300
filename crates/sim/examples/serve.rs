//! Serves a simulated chip:
//! `cargo run --example serve -- sim://esp32c3?fast tcp 127.0.0.1:5555`
//! (or `rfc2217 ADDRESS`, or `pty`).

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::process::ExitCode;

use guru_link::Cancel;
use guru_sim::{Endpoint, SimOptions, serve};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (url, endpoint) = match arguments[..] {
        [url, "pty"] => (url, Endpoint::Pty),
        [url, "tcp", address] => (url, Endpoint::Tcp(address.parse()?)),
        [url, "rfc2217", address] => (url, Endpoint::Rfc2217(address.parse()?)),
        _ => return Err("usage: serve sim://CHIP pty | tcp ADDRESS | rfc2217 ADDRESS".into()),
    };
    let options: SimOptions = url.parse()?;
    serve(&options, &endpoint, &Cancel::default(), &mut |event| {
        println!("{event:?}");
    })?;
    Ok(())
}
