//! Our client at RFC 2217 servers that nobody here wrote: the one that comes with esptool, which
//! confirms no change of a line and resets by itself, and a loop around pySerial's `PortManager`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use guru_testkit::noise;
use libtest_mimic::Failed;

use crate::case::same_bytes;
use crate::clients::Reference;
use crate::process::{clean_environment, run};
use crate::simulator::{Simulator, Way};
use crate::{Folder, Test};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/peer/rfc2217_server.py"
);
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(60);

/// Bytes that are written, and where.
const LENGTH: usize = 1 << 20;
const AT: usize = 0x1_0000;
const SIZE: usize = 2 << 20;
/// Rate of the line in bits per second, and bits of a byte on it.
const BAUD: u32 = 921_600;
const BITS: u32 = 10;
/// What a turn-round takes over USB, and what a network adds to it.
const TURN_ROUND: Duration = Duration::from_millis(2);
const NETWORK: Duration = Duration::from_millis(1);
/// How long a change of a line is waited for that is not confirmed; that happens once.
const UNCONFIRMED: Duration = Duration::from_millis(100);

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Esptool,
    PySerial,
}

/// A server in front of a serial port; it ends with this value.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start(
        maker: Maker,
        serial: &str,
        python: &Reference,
        folder: &Path,
    ) -> Result<Self, Failed> {
        let mut command = Command::new(python.python());
        command
            .arg(SCRIPT)
            .arg(match maker {
                Maker::Esptool => "esptool",
                Maker::PySerial => "pyserial",
            })
            .arg(serial)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        clean_environment(&mut command, folder);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut server = Self {
            child,
            port: String::new(),
        };
        let (sender, numbers) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(number) = line.strip_prefix("listening ") {
                    // Nobody waits for a second one.
                    let _ = sender.send(number.to_owned());
                }
            }
        });
        let number = numbers
            .recv_timeout(START)
            .map_err(|_| format!("the server of {maker:?} does not listen"))?;
        server.port = format!("rfc2217://127.0.0.1:{number}");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both servers, in front of a board without lines and of one with them.
pub fn trials() -> impl Iterator<Item = (String, Test<Reference>)> {
    let ways: &[Way] = if cfg!(unix) {
        &[Way::Pty, Way::Rfc2217]
    } else {
        &[Way::Rfc2217]
    };
    [Maker::Esptool, Maker::PySerial]
        .into_iter()
        .flat_map(move |maker| {
            ways.iter().map(move |&way| {
                let test: Test<Reference> = Box::new(move |python| writes(maker, way, python));
                (
                    format!("ours writes through the server of {maker:?} to a board over {way:?}"),
                    test,
                )
            })
        })
}

/// The same write to a port of this computer and through the server: the same contents, and at most
/// 5 % more time by the model, in which the chip's own work, the same for both, is left out.
fn writes(maker: Maker, way: Way, python: &Reference) -> Result<(), Failed> {
    let folder = Folder::new(&format!("rfc2217-{maker:?}-{way:?}"))?;
    // Does not get smaller, and every value of a byte comes often.
    let app = noise(LENGTH, 7);
    fs::write(folder.join("app.bin"), &app)?;
    let flash = folder.join("flash.bin");
    let before = noise(SIZE, 1);
    let mut expected = before.clone();
    expected[AT..AT + LENGTH].copy_from_slice(&app);

    fs::write(&flash, &before)?;
    let board = Simulator::start("esp32c3", Way::Tcp, &flash, &[] as &[&str])?;
    let local = write(&board.port, Way::Tcp, &folder)?;
    same_bytes("flash through a local port", &board.stop()?, &expected)?;

    fs::write(&flash, &before)?;
    // Only a reset through the server brings it into its loader.
    let options: &[&str] = if way.has_lines() {
        &["--boot", "app"]
    } else {
        &[]
    };
    let board = Simulator::start("esp32c3", way, &flash, options)?;
    let home = folder.join("server");
    fs::create_dir(&home)?;
    let serial = if way.has_lines() {
        // esptool's server then does not reset at the pace of its own client at the board, which
        // spends 100 ms on each line, but at once.
        fs::write(
            home.join("esptool.cfg"),
            "[esptool]\ncustom_reset_sequence = D1\n",
        )?;
        format!("{}?ign_set_control", board.port)
    } else {
        board.port.clone()
    };
    let server = Server::start(maker, &serial, python, &home)?;
    let remote = write(&server.port, way, &folder)?;
    drop(server);
    same_bytes("flash through the server", &board.stop()?, &expected)?;

    let waits = if remote.lines > 0 && maker == Maker::Esptool {
        UNCONFIRMED
    } else {
        Duration::ZERO
    };
    let (local, remote) = (local.time(), remote.time_over_network() + waits);
    if remote > local.mul_f64(1.05) {
        return Err(
            format!("{remote:?} through the server, and {local:?} through a local port").into(),
        );
    }
    Ok(())
}

/// What a session did with its port.
#[derive(Debug, Default)]
struct Traffic {
    bytes: u32,
    round_trips: u32,
    /// Changes of lines.
    lines: u32,
    /// Settings and purges: with lines, what a server is asked for.
    settings: u32,
}

impl Traffic {
    /// Reads a trace: a moment, what was done, and the bytes in hexadecimal.
    fn of(trace: &str) -> Self {
        let mut traffic = Self::default();
        let mut asked = false;
        let timed = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
        for line in trace.lines().filter(timed) {
            let mut words = line.split(' ').skip(1);
            let (what, bytes) = (words.next(), words.next().unwrap_or_default());
            match what {
                Some("write") => {
                    traffic.bytes += bytes.len() as u32 / 2;
                    asked = true;
                }
                Some("read") => {
                    traffic.bytes += bytes.len() as u32 / 2;
                    traffic.round_trips += u32::from(asked);
                    asked = false;
                }
                Some("lines") => traffic.lines += 1,
                Some("baud" | "discard") => traffic.settings += 1,
                _ => {}
            }
        }
        traffic
    }

    fn time(&self) -> Duration {
        Duration::from_secs(1) * self.bytes * BITS / BAUD + TURN_ROUND * self.round_trips
    }

    fn time_over_network(&self) -> Duration {
        self.time() + NETWORK * (self.round_trips + self.lines + self.settings)
    }
}

fn write(port: &str, way: Way, folder: &Path) -> Result<Traffic, Failed> {
    let baud = BAUD.to_string();
    let at = format!("{AT:#x}");
    // The ROM alone: a stub that is executed while real time passes may be late on a busy machine.
    let mut args = vec![
        "--stub",
        "none",
        "--trace-file",
        "trace",
        "--port",
        port,
        "--baud",
        &baud,
        "write-flash",
        &at,
        "app.bin",
    ];
    if !way.has_lines() {
        args.splice(0..0, ["--before", "no-reset", "--after", "no-reset"]);
    }
    run(env!("CARGO_BIN_EXE_guru"), args, folder)?.success()?;
    let traffic = Traffic::of(&fs::read_to_string(folder.join("trace"))?);
    fs::remove_file(folder.join("trace"))?;
    if traffic.bytes < LENGTH as u32 || (traffic.lines > 0) != way.has_lines() {
        return Err(format!("the trace holds {traffic:?}").into());
    }
    Ok(traffic)
}
