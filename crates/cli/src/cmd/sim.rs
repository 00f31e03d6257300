use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use guru_sim::{Endpoint, Event as ChipEvent, ServeEvent, SimOptions, serve};

use crate::context::Context;
use crate::error::Error;
use crate::interrupt;
use crate::ui::{Message, Report, Screen};

/// Run a virtual chip that other programs can flash
///
///     guru sim esp32c3 --rfc2217 127.0.0.1:2217
///     guru write-flash --port rfc2217://127.0.0.1:2217 0x0 firmware.bin
///
/// The chip behaves as its ROM loader does, with flash that only an erase sets to ones, in the time
/// that a board would take. It stays until Ctrl-C.
///
/// A pseudo-terminal (the default) and plain TCP have no control lines: there the chip is in its
/// loader for each new client. RFC 2217 has them, and resets work as on a board. A port of 0 takes
/// a free one; the first line of output names it.
///
/// eFuse fields have the names that they have in ESP-IDF: a chip with secure boot is
///
///     guru sim esp32c3 --set SECURE_BOOT_EN=1
///
/// and one with flash encryption in development mode
///
///     guru sim esp32c3 --set SPI_BOOT_CRYPT_CNT=1 --set KEY_PURPOSE_0=4 --set KEY0=@key.bin
///
/// This program needs none of that: --port sim://esp32c3 is a chip inside of it, and
/// sim://esp32c3?set.SECURE_BOOT_EN=1 one with a field set.
///
/// Programs that are sent to RAM are executed; what is started from flash is reported, and is not.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Sim {
    /// The chip: esp8266, esp32, esp32s2, esp32c3, ...
    #[arg(value_name = "CHIP")]
    model: String,

    /// Behind a new pseudo-terminal (the default where there are such)
    #[arg(long, group = "endpoint")]
    pty: bool,

    /// Behind a plain TCP port
    #[arg(long, value_name = "ADDR", group = "endpoint", value_parser = address)]
    tcp: Option<SocketAddr>,

    /// Behind a TCP port that speaks RFC 2217, with control lines and baud rate
    #[arg(long, value_name = "ADDR", group = "endpoint", value_parser = address)]
    rfc2217: Option<SocketAddr>,

    /// File that holds the flash; without it the contents end with this program
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,

    /// Size of the flash, such as 4MB
    #[arg(long, value_name = "SIZE")]
    flash_size: Option<String>,

    /// Wafer revision, such as 0.4
    #[arg(long, value_name = "X.Y")]
    rev: Option<String>,

    /// Base MAC
    #[arg(long)]
    mac: Option<String>,

    /// File with eFuse words, an address and a value in hexadecimal on each line
    #[arg(long, value_name = "FILE")]
    efuse: Option<PathBuf>,

    /// ELF file of the chip's mask ROM, for programs in RAM that call it; without it Guru answers for
    /// the functions that flasher stubs call
    #[arg(long, value_name = "FILE")]
    rom: Option<PathBuf>,

    /// Where the chip starts: download (in its loader), held (with its boot button held), app, panic (an application that panics) or stub (left by another program)
    #[arg(long, value_name = "MODE")]
    boot: Option<String>,

    /// What goes wrong, such as drop:rx:1/10000 or cut:tx; may be repeated
    #[arg(long, value_name = "SPEC")]
    fault: Vec<String>,

    /// Do not take the time that a board would take
    #[arg(long)]
    fast: bool,

    /// An eFuse field, such as SECURE_BOOT_EN=1, a key, such as KEY0=@key.bin, or any other option of
    /// sim://, such as usb=jtag; may be repeated
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
}

impl Sim {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        let options = self.options()?;
        let endpoint = self.endpoint();
        interrupt::watch(context);
        let screen = context.screen.as_mut();
        serve(&options, &endpoint, &context.cancel, &mut |event| {
            show(screen, &options, &endpoint, event);
        })?;
        screen.report(Report::Sim);
        Ok(())
    }

    fn options(&self) -> Result<SimOptions, Error> {
        let mut options = SimOptions::for_chip(&self.model)?;
        // Paths need not be text.
        options.flash.clone_from(&self.flash);
        options.efuse.clone_from(&self.efuse);
        options.rom.clone_from(&self.rom);
        for (key, value) in [
            ("flash-size", &self.flash_size),
            ("rev", &self.rev),
            ("mac", &self.mac),
            ("boot", &self.boot),
        ] {
            if let Some(value) = value {
                options.set(key, value)?;
            }
        }
        for fault in &self.fault {
            options.set("fault", fault)?;
        }
        if self.fast {
            options.set("fast", "")?;
        }
        for option in &self.set {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            options.set_field_or_option(key, value)?;
        }
        options.check()?;
        Ok(options)
    }

    fn endpoint(&self) -> Endpoint {
        match (self.tcp, self.rfc2217) {
            (Some(address), _) => Endpoint::Tcp(address),
            (_, Some(address)) => Endpoint::Rfc2217(address),
            _ if self.pty || cfg!(unix) => Endpoint::Pty,
            _ => Endpoint::Rfc2217(SocketAddr::from(([127, 0, 0, 1], 0))),
        }
    }
}

fn show(screen: &mut dyn Screen, options: &SimOptions, endpoint: &Endpoint, event: ServeEvent) {
    let (kind, text) = match event {
        ServeEvent::Listening { port } => {
            let lines = if matches!(endpoint, Endpoint::Pty) {
                " --before no-reset --after no-reset"
            } else {
                ""
            };
            return screen.message(&Message::Simulator {
                chip: options.chip.name.to_owned(),
                command: format!("guru flash-id --port {port}{lines}"),
                port,
                flash: options.flash.clone(),
            });
        }
        ServeEvent::Connected { peer } => ("client", format!("{peer} has connected")),
        ServeEvent::Disconnected { took } => (
            "no-client",
            format!(
                "the client has gone, after {:.3} s by the chip's clock",
                took.as_secs_f64()
            ),
        ),
        ServeEvent::Chip(event) => chip_event(event),
    };
    screen.message(&Message::SimulatorEvent { kind, text });
}

fn chip_event(event: ChipEvent) -> (&'static str, String) {
    match event {
        ChipEvent::Reset { cause, download } => {
            let place = if download {
                "in its loader"
            } else {
                "from flash"
            };
            (
                "reset",
                format!("the chip was reset ({cause}) and starts {place}"),
            )
        }
        ChipEvent::CodeNotExecuted { entry } => (
            "code-not-executed",
            format!("code at 0x{entry:08x} was to be run; it is not executed"),
        ),
        ChipEvent::Started { entry } => ("started", format!("the program at 0x{entry:08x} runs")),
        ChipEvent::UnknownRegister { address, write } => (
            "unknown-register",
            format!(
                "the program {} the register at 0x{address:08x}, which is not modelled",
                if write { "wrote" } else { "read" }
            ),
        ),
        ChipEvent::UnknownRomFunction { address, caller } => (
            "unknown-rom-function",
            format!(
                "the program called the ROM at 0x{address:08x} (from 0x{caller:08x}), where nothing \
                 is modelled; the CPU has stopped"
            ),
        ),
        ChipEvent::Crashed { cause, pc, value } => (
            "crashed",
            format!(
                "the program crashed at 0x{pc:08x} (cause {cause}, value 0x{value:08x}); the CPU has \
                 stopped"
            ),
        ),
        ChipEvent::Returned => (
            "returned",
            "the program has returned to the ROM's loader".to_owned(),
        ),
        ChipEvent::AppNotExecuted => (
            "app-not-executed",
            "the chip has loaded its image from flash; it is not executed".to_owned(),
        ),
        ChipEvent::BaudChanged { baud } => ("baud", format!("the chip talks at {baud} baud")),
        ChipEvent::Overflow { lost } => (
            "overflow",
            format!("{lost} bytes came when the chip could not take them, and are lost"),
        ),
        ChipEvent::PowerLost => ("power-lost", "the supply was lost for a moment".to_owned()),
        ChipEvent::Disconnected => ("disconnected", "the connection was cut".to_owned()),
        ChipEvent::LeftBus => (
            "left-bus",
            "the chip's own USB device has left the bus with the reset".to_owned(),
        ),
        ChipEvent::Stuck => (
            "stuck",
            "the flash is stuck: the chip waits for ever".to_owned(),
        ),
        ChipEvent::FlashFile { error } => {
            ("flash-file", format!("the flash's file failed: {error}"))
        }
    }
}

/// Reads `PORT`, `HOST:PORT` or `:PORT`; without a host it is this computer's own.
fn address(text: &str) -> Result<SocketAddr, String> {
    let error =
        || format!("'{text}' is no address to listen at; write 127.0.0.1:5555, or a port alone");
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.to_socket_addrs()
        .map_err(|_| error())?
        .next()
        .ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_a_host_are_local() {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(address("0"), Ok(local(0)));
        assert_eq!(address(":5555"), Ok(local(5555)));
        assert_eq!(address("127.0.0.1:5555"), Ok(local(5555)));
        for text in ["", "x", "70000", "127.0.0.1"] {
            assert!(
                address(text).unwrap_err().contains("127.0.0.1:5555"),
                "{text}"
            );
        }
    }
}
