//! pySerial's RFC 2217 client, which esptool uses, at our server; and our client at pySerial's
//! server.
//!
//! `GURU_ESPTOOL` names a Python with esptool in it. Where it is not set the tests are reported as
//! ignored, unless `GURU_REQUIRE_PEERS` is 1.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guru_link::rfc2217::{ModemState, Purge, Server, ServerEvent};
use guru_link::{Lines, Link, NativeLink, OpenOptions, block_on};
use libtest_mimic::{Arguments, Failed, Trial};

type Check = Result<(), Box<dyn Error>>;

const LONG: Duration = Duration::from_secs(20);

fn main() {
    let arguments = Arguments::from_args();
    let python = env::var_os("GURU_ESPTOOL");
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let trials = [
        (
            "pyserials_client_is_served",
            pyserials_client_is_served as fn(&Path) -> Check,
        ),
        (
            "pyserials_server_serves_our_client",
            pyserials_server_serves_our_client,
        ),
    ]
    .into_iter()
    .map(|(name, check)| {
        let python = python.clone();
        let ignored = python.is_none() && !required;
        Trial::test(name, move || {
            let python = python.ok_or("GURU_ESPTOOL is not set")?;
            check(Path::new(&python)).map_err(|error| Failed::from(error.to_string()))
        })
        .with_kind("needs GURU_ESPTOOL")
        .with_ignored_flag(ignored)
    })
    .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// Ended when the test is over, however it ends.
struct Peer(Child);

impl Peer {
    fn start(python: &Path, script: &str, argument: &str) -> std::io::Result<Self> {
        Command::new(python)
            .args(["-c", script, argument])
            .stdout(Stdio::piped())
            .spawn()
            .map(Self)
    }

    fn succeeds(mut self) -> Check {
        let status = self.0.wait()?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| format!("the peer ended with {status}").into())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const CLIENT: &str = r#"
import serial, sys
port = serial.serial_for_url(sys.argv[1], do_not_open=True, timeout=10)
port.baudrate = 115200
port.open()
port.dtr = False
port.rts = True
port.baudrate = 921600
port.reset_input_buffer()
data = bytes(range(256)) * 5
port.write(data)
assert port.read(len(data)) == data
assert port.cts and not port.dsr
port.timeout = 5
port.write(b"end")
assert port.read(3) == b"end"
port.close()
"#;

/// Waits for the peer to connect, which it never does if it fails before.
fn accept(listener: &TcpListener) -> std::io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && start.elapsed() < LONG => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
        }
    }
}

/// All that esptool does with a port. Without `ign_set_control` its client insists on an answer to
/// each change of a line.
fn pyserials_client_is_served(python: &Path) -> Check {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("rfc2217://127.0.0.1:{}", listener.local_addr()?.port());
    let peer = Peer::start(python, CLIENT, &url)?;
    let mut stream = accept(&listener)?;
    stream.set_read_timeout(Some(LONG))?;
    let mut server = Server::new(9600);
    server.set_modem_state(ModemState {
        cts: true,
        ..ModemState::default()
    });
    let mut done = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        stream.write_all(&server.take_output())?;
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        for event in server.receive(&buffer[..count]) {
            match event {
                ServerEvent::Data(data) => server.send(&data),
                other => done.push(other),
            }
        }
    }
    peer.succeeds()?;
    let wanted = [
        ServerEvent::Baud(115_200),
        ServerEvent::Dtr(false),
        ServerEvent::Rts(true),
        ServerEvent::Baud(921_600),
        ServerEvent::Purge(Purge::Receive),
    ];
    let mut rest = done.iter();
    for event in &wanted {
        if !rest.any(|done| done == event) {
            return Err(format!("{event:?} is not among {done:?}, or too early").into());
        }
    }
    Ok(())
}

const SERVER: &str = r#"
import serial, socket, sys
from serial.rfc2217 import PortManager
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
stream, _ = listener.accept()
class Connection:
    def write(self, data):
        stream.sendall(data)
port = serial.serial_for_url("loop://", timeout=0)
manager = PortManager(port, Connection())
while True:
    data = stream.recv(4096)
    if not data:
        break
    port.write(b"".join(manager.filter(data)))
    back = port.read(4096)
    stream.sendall(b"".join(manager.escape(back)))
print(port.baudrate, port.cts, port.dsr, flush=True)
"#;

fn pyserials_server_serves_our_client(python: &Path) -> Check {
    let mut peer = Peer::start(python, SERVER, "")?;
    let output = peer.0.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    let port = lines.next().ok_or("no port")??;
    let address = format!("rfc2217://localhost:{port}").parse()?;
    let mut link = NativeLink::open(&address, &OpenOptions::default())?;
    let data: Vec<u8> = (0..=255).collect();
    block_on(link.set_baud(460_800))?;
    block_on(link.set_lines(Lines::both(false, true)))?;
    block_on(link.discard_input())?;
    block_on(link.write(&data))?;
    let mut echo = Vec::new();
    let deadline = link.now() + LONG;
    while echo.len() < data.len() {
        let mut buffer = [0; 4096];
        match block_on(link.read(&mut buffer, deadline))? {
            0 => return Err(format!("only {} bytes came back", echo.len()).into()),
            count => echo.extend_from_slice(&buffer[..count]),
        }
    }
    drop(link);
    // A loop ties RTS to CTS and DTR to DSR.
    let state = lines.next().ok_or("no state")??;
    if echo != data || state != "460800 True False" {
        return Err(format!("the server ended with {state:?}").into());
    }
    peer.succeeds()
}
