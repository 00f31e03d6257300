//! Network links over the loopback interface.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use guru_link::rfc2217::{Purge, Server, ServerEvent};
use guru_link::{
    Address, Cancel, Lines, Link, LinkError, NativeLink, OpenOptions, ResetSequence, block_on,
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

fn listen(host: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn open(url: &str) -> Result<NativeLink, LinkError> {
    NativeLink::open(&url.parse::<Address>()?, &OpenOptions::default())
}

fn read(link: &mut impl Link, wait: Duration) -> Result<Vec<u8>, LinkError> {
    let mut buffer = [0; 4096];
    let deadline = link.now() + wait;
    let count = block_on(link.read(&mut buffer, deadline))?;
    Ok(buffer[..count].to_vec())
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

#[test]
fn bytes_pass_over_tcp_and_the_end_of_the_connection_is_a_loss() {
    for scheme in ["socket", "tcp"] {
        let (listener, port) = listen("127.0.0.1");
        let mut link = open(&format!("{scheme}://localhost:{port}")).unwrap();
        let mut device = accept(&listener);
        block_on(link.write(b"ping")).unwrap();
        let mut buffer = [0; 4];
        device.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"ping");
        device.write_all(b"pong").unwrap();
        assert_eq!(read(&mut link, LONG).unwrap(), b"pong");
        assert_eq!(read(&mut link, SHORT).unwrap(), []);
        drop(device);
        assert!(read(&mut link, LONG).unwrap_err().is_lost());
        block_on(link.reopen()).unwrap();
        let mut device = accept(&listener);
        device.write_all(b"again").unwrap();
        assert_eq!(read(&mut link, LONG).unwrap(), b"again");
    }
}

#[test]
fn a_tcp_port_has_neither_lines_nor_baud_rate() {
    let (_listener, port) = listen("127.0.0.1");
    let mut link = open(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let capabilities = link.info().capabilities;
    assert!(!capabilities.lines && !capabilities.baud && capabilities.network);
    let error = block_on(link.set_lines(Lines::both(true, true))).unwrap_err();
    assert!(matches!(error, LinkError::NoLines));
    block_on(link.set_baud(921_600)).unwrap();
}

#[test]
fn ipv6_hosts_are_reached_in_brackets() {
    let Ok(listener) = TcpListener::bind(("::1", 0)) else {
        return; // The machine has no IPv6.
    };
    let port = listener.local_addr().unwrap().port();
    assert!(open(&format!("socket://[::1]:{port}")).is_ok());
}

#[test]
fn discarded_tcp_input_does_not_come_back() {
    let (listener, port) = listen("127.0.0.1");
    let mut link = open(&format!("socket://127.0.0.1:{port}")).unwrap();
    let mut device = accept(&listener);
    device.write_all(&[1; 10_000]).unwrap();
    assert!(!read(&mut link, LONG).unwrap().is_empty());
    block_on(link.sleep(SHORT)).unwrap();
    block_on(link.discard_input()).unwrap();
    device.write_all(b"new").unwrap();
    assert_eq!(read(&mut link, LONG).unwrap(), b"new");
}

#[test]
fn a_host_where_nothing_listens_is_told() {
    let (listener, port) = listen("127.0.0.1");
    drop(listener);
    for scheme in ["socket", "rfc2217"] {
        let error = open(&format!("{scheme}://127.0.0.1:{port}")).unwrap_err();
        assert!(matches!(error, LinkError::Connect { .. }), "{error:?}");
        assert!(error.to_string().contains(&port.to_string()));
    }
}

#[test]
fn network_waits_end_soon_after_being_cancelled() {
    let (listener, port) = listen("127.0.0.1");
    let cancel = Cancel::default();
    let options = OpenOptions {
        cancel: cancel.clone(),
        ..OpenOptions::default()
    };
    let address = format!("socket://127.0.0.1:{port}").parse().unwrap();
    let mut link = NativeLink::open(&address, &options).unwrap();
    let _device = accept(&listener);
    let user = std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        cancel.cancel();
    });
    let start = std::time::Instant::now();
    let error = read(&mut link, LONG).unwrap_err();
    assert!(matches!(error, LinkError::Cancelled), "{error:?}");
    assert!(start.elapsed() < LONG / 5);
    user.join().unwrap();
    // Nobody takes what is written either.
    assert!(matches!(
        block_on(link.write(&[0; 1 << 20])).unwrap_err(),
        LinkError::Cancelled
    ));
}

/// A device behind our RFC 2217 server: tells what the client did, and sends its data back.
struct Rfc2217Device {
    port: u16,
    events: mpsc::Receiver<ServerEvent>,
    segments: mpsc::Receiver<usize>,
    thread: Option<JoinHandle<()>>,
}

impl Rfc2217Device {
    fn start() -> Self {
        let (listener, port) = listen("127.0.0.1");
        let (event, events) = mpsc::channel();
        let (segment, segments) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut stream = accept(&listener);
            let mut server = Server::new(9600);
            let mut buffer = vec![0; 65536];
            loop {
                stream.write_all(&server.take_output()).unwrap();
                let Ok(count @ 1..) = stream.read(&mut buffer) else {
                    return;
                };
                let _ = segment.send(count);
                let mut echo = Vec::new();
                for done in server.receive(&buffer[..count]) {
                    match &done {
                        ServerEvent::Data(data) => echo.extend_from_slice(data),
                        ServerEvent::Purge(Purge::Receive) => echo.clear(),
                        _ => {}
                    }
                    let _ = event.send(done);
                }
                server.send(&echo);
            }
        });
        Self {
            port,
            events,
            segments,
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("rfc2217://127.0.0.1:{}", self.port)
    }

    fn next(&self) -> ServerEvent {
        self.events.recv_timeout(LONG).unwrap()
    }

    /// What has been done so far.
    fn done(&self) -> Vec<ServerEvent> {
        self.events.try_iter().collect()
    }

    fn stop(mut self, link: NativeLink) {
        drop(link);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn the_settings_are_negotiated_when_the_port_opens_and_no_line_moves() {
    let device = Rfc2217Device::start();
    let link = open(&device.url()).unwrap();
    assert_eq!(
        device.done(),
        [
            ServerEvent::Baud(115_200),
            ServerEvent::DataSize(8),
            ServerEvent::Parity(1),
            ServerEvent::StopSize(1),
        ]
    );
    device.stop(link);
}

#[test]
fn bytes_pass_over_rfc2217_whatever_they_are() {
    let device = Rfc2217Device::start();
    let mut link = open(&device.url()).unwrap();
    let all: Vec<u8> = (0..=255).chain([0xFF, 0xFF, 0xF0, 0xFF]).collect();
    block_on(link.write(&all)).unwrap();
    let mut echo = Vec::new();
    while echo.len() < all.len() {
        let more = read(&mut link, LONG).unwrap();
        assert!(!more.is_empty());
        echo.extend(more);
    }
    assert_eq!(echo, all);
    device.stop(link);
}

#[test]
fn lines_and_baud_rate_change_at_the_server_before_the_call_ends() {
    let device = Rfc2217Device::start();
    let mut link = open(&device.url()).unwrap();
    device.done();
    block_on(link.set_baud(921_600)).unwrap();
    assert_eq!(device.done(), [ServerEvent::Baud(921_600)]);
    block_on(link.set_lines(Lines::both(true, false))).unwrap();
    assert_eq!(
        device.done(),
        [ServerEvent::Dtr(true), ServerEvent::Rts(false)]
    );
    let hard = ResetSequence::hard(false);
    block_on(hard.play(&mut link)).unwrap();
    assert_eq!(
        device.done(),
        [ServerEvent::Rts(true), ServerEvent::Rts(false)]
    );
    device.stop(link);
}

/// pySerial's client negotiates all settings again whenever a time-out changes, which makes
/// synchronising slow (esptool issues 383 and 628).
#[test]
fn reading_with_other_deadlines_sends_nothing_and_a_block_is_one_segment() {
    let device = Rfc2217Device::start();
    let mut link = open(&device.url()).unwrap();
    while device.segments.recv_timeout(SHORT * 5).is_ok() {}
    for wait in [1, 5, 20] {
        read(&mut link, Duration::from_millis(wait)).unwrap();
    }
    assert!(device.segments.recv_timeout(SHORT).is_err());
    let block = [0x55; 1100];
    block_on(link.write(&block)).unwrap();
    assert_eq!(device.segments.recv_timeout(LONG).unwrap(), block.len());
    device.stop(link);
}

#[test]
fn discarding_empties_the_servers_buffer_too() {
    let device = Rfc2217Device::start();
    let mut link = open(&device.url()).unwrap();
    device.done();
    block_on(link.write(b"old")).unwrap();
    block_on(link.discard_input()).unwrap();
    assert_eq!(device.next(), ServerEvent::Data(b"old".to_vec()));
    assert_eq!(device.next(), ServerEvent::Purge(Purge::Receive));
    assert_eq!(read(&mut link, SHORT).unwrap(), []);
    block_on(link.write(b"new")).unwrap();
    assert_eq!(read(&mut link, LONG).unwrap(), b"new");
    device.stop(link);
}

/// `esp_rfc2217_server` never confirms a change of DTR or RTS.
#[test]
fn a_server_that_does_not_confirm_lines_is_waited_for_once() {
    let (listener, port) = listen("127.0.0.1");
    let thread = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        let mut server = Server::new(9600);
        let mut buffer = [0; 4096];
        loop {
            stream.write_all(&server.take_output()).unwrap();
            let Ok(count @ 1..) = stream.read(&mut buffer) else {
                return;
            };
            let done = server.receive(&buffer[..count]);
            let lines =
                |event: &ServerEvent| matches!(event, ServerEvent::Dtr(_) | ServerEvent::Rts(_));
            if done.iter().any(lines) {
                server.take_output();
            }
        }
    });
    let mut link = open(&format!("rfc2217://127.0.0.1:{port}")).unwrap();
    let start = link.now();
    for _ in 0..50 {
        block_on(link.set_lines(Lines::dtr(true))).unwrap();
    }
    let taken = link.now() - start;
    assert!(
        taken >= Duration::from_millis(100) && taken < Duration::from_secs(5),
        "{taken:?}"
    );
    drop(link);
    thread.join().unwrap();
}

#[test]
fn a_plain_tcp_port_is_told_from_an_rfc2217_server() {
    let (listener, port) = listen("127.0.0.1");
    let thread = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        stream.write_all(b"rst:0x1 (POWERON)\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = open(&format!("rfc2217://127.0.0.1:{port}?timeout=0.1")).unwrap_err();
    assert!(error.to_string().contains("socket://"), "{error}");
    thread.join().unwrap();
}

#[test]
fn a_server_that_goes_away_is_lost() {
    let (listener, port) = listen("127.0.0.1");
    let thread = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        let mut server = Server::new(9600);
        let mut buffer = [0; 4096];
        loop {
            stream.write_all(&server.take_output()).unwrap();
            let count = stream.read(&mut buffer).unwrap();
            let done = server.receive(&buffer[..count]);
            if done
                .iter()
                .any(|event| matches!(event, ServerEvent::Data(_)))
            {
                return;
            }
        }
    });
    let mut link = open(&format!("rfc2217://127.0.0.1:{port}")).unwrap();
    block_on(link.write(b"bye")).unwrap();
    assert!(read(&mut link, LONG).unwrap_err().is_lost());
    thread.join().unwrap();
}
