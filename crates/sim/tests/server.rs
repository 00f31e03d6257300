//! A chip that other programs reach.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

mod host;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use guru_link::{Cancel, Link, NativeLink, ResetSequence, block_on};
use guru_sim::{Endpoint, Event, ServeEvent, SimOptions, serve};
use guru_testkit::noise;
use guru_wire::slip::{self, Decoder};
use guru_wire::{Begin, Command, Response};

struct Server {
    cancel: Cancel,
    thread: Option<JoinHandle<Vec<ServeEvent>>>,
    port: String,
}

impl Server {
    fn start(url: &str, endpoint: Endpoint) -> Self {
        let options: SimOptions = url.parse().unwrap();
        let cancel = Cancel::default();
        let (sender, receiver) = mpsc::channel();
        let token = cancel.clone();
        let thread = std::thread::spawn(move || {
            let mut events = Vec::new();
            serve(&options, &endpoint, &token, &mut |event| {
                if let ServeEvent::Listening { port } = &event {
                    sender.send(port.clone()).unwrap();
                }
                events.push(event);
            })
            .unwrap();
            events
        });
        let port = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
        Self {
            cancel,
            thread: Some(thread),
            port,
        }
    }

    fn tcp(url: &str) -> Self {
        Self::start(url, Endpoint::Tcp("127.0.0.1:0".parse().unwrap()))
    }

    fn connect(&self) -> Client<TcpStream> {
        let address = self.port.split_once("://").unwrap().1;
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Client::new(stream)
    }

    fn stop(mut self) -> Vec<ServeEvent> {
        self.cancel.cancel();
        self.thread.take().unwrap().join().unwrap()
    }
}

struct Client<S> {
    stream: S,
    decoder: Decoder,
    pending: Vec<Response>,
}

impl<S: Read + Write> Client<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            decoder: Decoder::new(0x4000),
            pending: Vec::new(),
        }
    }

    fn send(&mut self, command: &Command<'_>) {
        let bytes = slip::encode(&command.encode());
        self.stream.write_all(&bytes).unwrap();
    }

    fn ask(&mut self, command: &Command<'_>) -> Response {
        self.send(command);
        loop {
            while !self.pending.is_empty() {
                let answer = self.pending.remove(0);
                if answer.opcode == command.opcode() as u8 {
                    return answer;
                }
            }
            self.read();
        }
    }

    /// Waits for answers.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        let len = self.stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the server closed the connection");
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            let (taken, event) = self.decoder.push(rest);
            rest = &rest[taken..];
            if let Some(slip::Event::Packet(packet)) = event {
                self.pending.extend(Response::decode(&packet));
            }
        }
    }

    fn attach(&mut self) {
        self.ask(&Command::Sync);
        self.ask(&Command::SpiAttach { pins: 0 });
        self.ask(&Command::SpiSetParams { size: 4 << 20 });
    }

    /// Starts our stub.
    fn run_stub(&mut self, chip: &str) {
        let chip = guru_chip::by_id(chip).unwrap();
        let stub = guru_stub::Source::Embedded.stub(chip, None).unwrap();
        let stub = stub.unwrap();
        for segment in &stub.segments {
            self.load(segment.address, &segment.bytes);
        }
        let entry = Some(stub.entry);
        self.ask(&Command::MemEnd { entry });
    }

    fn load(&mut self, address: u32, bytes: &[u8]) {
        let block_size = 0x1800;
        self.ask(&Command::MemBegin {
            size: bytes.len() as u32,
            blocks: bytes.len().div_ceil(block_size) as u32,
            block_size: block_size as u32,
            address,
        });
        for (sequence, data) in (0..).zip(bytes.chunks(block_size)) {
            self.ask(&Command::MemData { sequence, data });
        }
    }

    fn write(&mut self, offset: u32, data: &[u8]) {
        let blocks = data.chunks(0x400);
        let begin = Command::FlashBegin(Begin {
            erase_size: data.len() as u32,
            blocks: blocks.len() as u32,
            block_size: 0x400,
            offset,
            encrypted: Some(false),
        });
        assert_eq!(self.ask(&begin).body, [0; 4]);
        for (sequence, data) in (0..).zip(blocks) {
            let answer = self.ask(&Command::FlashData { sequence, data });
            assert_eq!(answer.body, [0; 4]);
        }
    }
}

/// Clients that cannot move control lines find the chip in its loader every time, whatever the
/// one before did to it, and the flash as it left it.
#[test]
fn clients_on_tcp_come_one_after_another_to_a_chip_in_its_loader() {
    let server = Server::tcp("sim://esp32c3?fast");
    let data = noise(0x3000, 1);
    {
        let mut client = server.connect();
        client.attach();
        client.write(0x1000, &data);
        client.ask(&Command::ChangeBaudrate {
            new: 921_600,
            old: 0,
        });
        client.ask(&Command::Sync);
        client.ask(&Command::MemEnd { entry: Some(4) });
    }
    {
        let mut client = server.connect();
        client.attach();
        let answer = client.ask(&Command::ReadFlashSlow {
            offset: 0x1000,
            length: 64,
        });
        assert_eq!(answer.body[..64], data[..64]);
    }
    let events = server.stop();
    // Nothing is there.
    let crash = Event::Crashed {
        cause: 1,
        pc: 4,
        value: 4,
    };
    for event in [Event::Started { entry: 4 }, crash] {
        assert!(events.contains(&ServeEvent::Chip(event)), "{events:?}");
    }
    let disconnects = events
        .iter()
        .filter(|event| matches!(event, ServeEvent::Disconnected { .. }));
    assert_eq!(disconnects.count(), 2);
}

/// With `fast` nobody waits for the line or the flash: on a board this takes 45 seconds.
#[test]
fn fast_means_that_time_jumps() {
    let server = Server::tcp("sim://esp32c3?fast");
    let begun = Instant::now();
    let mut client = server.connect();
    client.attach();
    client.write(0, &noise(0x4_0000, 2));
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    server.stop();
}

#[test]
fn in_real_time_an_erase_takes_as_long_as_on_a_board() {
    let server = Server::tcp("sim://esp32c3");
    let mut client = server.connect();
    client.attach();
    let begun = Instant::now();
    client.write(0, &[0; 0x4000]);
    // Four sectors, and sixteen blocks at 115200 baud.
    assert!(begun.elapsed() > Duration::from_millis(4 * 45 + 16 * 90));
    server.stop();
}

#[test]
fn a_fault_that_disconnects_closes_the_connection() {
    let server = Server::tcp("sim://esp32c3?fast&fault=disconnect:@5000");
    let mut client = server.connect();
    client.attach();
    let bytes = slip::encode(&[0; 6000]);
    client.stream.write_all(&bytes).unwrap();
    let mut rest = Vec::new();
    // The end of the stream, or a reset: either says that the connection is gone.
    let _ = client.stream.read_to_end(&mut rest);
    let mut again = server.connect();
    again.ask(&Command::Sync);
    let events = server.stop();
    assert!(events.contains(&ServeEvent::Chip(Event::Disconnected)));
}

#[test]
fn contents_in_a_file_outlive_the_server() {
    let dir = std::env::temp_dir().join(format!("guru-serve-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("flash.bin");
    let url = format!("sim://esp32c3?fast&flash-size=1MB&flash={}", path.display());
    let data = noise(0x1000, 3);
    let server = Server::tcp(&url);
    let mut client = server.connect();
    client.attach();
    client.write(0x2000, &data);
    // What was answered for is in the file already, should the process be killed now.
    let contents = std::fs::read(&path).unwrap();
    assert_eq!(contents.len(), 1 << 20);
    assert_eq!(contents[0x2000..0x3000], data);
    assert!(contents[..0x2000].iter().all(|byte| *byte == 0xFF));
    server.stop();
    std::fs::remove_dir_all(&dir).unwrap();
}

#[cfg(unix)]
#[test]
fn programs_open_a_pty_one_after_another() {
    let server = Server::start("sim://esp32c3?fast", Endpoint::Pty);
    let answered = |bytes: &[u8]| bytes.windows(3).any(|bytes| bytes == [0xC0, 1, 8]);
    let open = || {
        let address = server.port.parse().unwrap();
        NativeLink::open(&address, &guru_link::OpenOptions::default()).unwrap()
    };
    for _ in 0..2 {
        let mut link = open();
        let mut found = Vec::new();
        for _ in 0..10 {
            let sync = slip::encode(&Command::Sync.encode());
            block_on(async {
                link.write(&sync).await.unwrap();
                let deadline = link.now() + Duration::from_millis(300);
                let mut buffer = [0; 256];
                let len = link.read(&mut buffer, deadline).await.unwrap();
                found.extend_from_slice(&buffer[..len]);
            });
            if answered(&found) {
                break;
            }
        }
        assert!(answered(&found), "{found:?}");
        // The program leaves the chip out of its loader.
        let end = slip::encode(&Command::MemEnd { entry: Some(4) }.encode());
        block_on(link.write(&end)).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    server.stop();
}

/// A client whose messages about the lines come far apart still resets the chip as it means to.
#[test]
fn reset_sequences_work_over_rfc2217() {
    let classic = ResetSequence::classic(Duration::from_millis(50));
    for (usb, into_loader) in [
        ("uart", classic.clone()),
        ("jtag", classic),
        ("jtag", ResetSequence::usb_serial_jtag()),
    ] {
        let url = format!("sim://esp32c3?fast&boot=app&usb={usb}");
        let resets = resets_over_rfc2217(&url, &into_loader);
        assert_eq!(resets, [false, true, false], "usb={usb}: {into_loader}");
    }
}

/// Into the loader, and by a pulse on RTS into the application: which resets led into the loader.
fn resets_over_rfc2217(url: &str, into_loader: &ResetSequence) -> Vec<bool> {
    let server = Server::start(url, Endpoint::Rfc2217("127.0.0.1:0".parse().unwrap()));
    let address = server.port.parse().unwrap();
    let mut link = NativeLink::open(&address, &guru_link::OpenOptions::default()).unwrap();
    block_on(into_loader.play(&mut link)).unwrap();
    let mut log = Vec::new();
    block_on(async {
        let deadline = link.now() + Duration::from_secs(20);
        let mut buffer = [0; 256];
        while !String::from_utf8_lossy(&log).contains("waiting for download") {
            let len = link.read(&mut buffer, deadline).await.unwrap();
            assert!(len > 0, "{}", String::from_utf8_lossy(&log));
            log.extend_from_slice(&buffer[..len]);
        }
    });
    block_on(ResetSequence::hard(false).play(&mut link)).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop(link);
    server
        .stop()
        .into_iter()
        .filter_map(|event| match event {
            ServeEvent::Chip(Event::Reset { download, .. }) => Some(download),
            _ => None,
        })
        .collect()
}

/// The same work takes the same time, however long the client thinks.
#[test]
fn counted_time_stands_still_while_the_client_thinks() {
    let took = |pause| {
        let server = Server::tcp("sim://esp32c3?counted");
        let mut client = server.connect();
        client.attach();
        std::thread::sleep(pause);
        client.write(0, &noise(0x8000, 2));
        drop(client);
        let events = server.stop();
        let took = events.iter().find_map(|event| match event {
            ServeEvent::Disconnected { took } => Some(*took),
            _ => None,
        });
        took.expect("the client has gone")
    };
    let quick = took(Duration::ZERO);
    assert_eq!(took(Duration::from_millis(300)), quick);
    assert!(
        quick > Duration::from_secs(2),
        "32 KB at 115200 baud: {quick:?}"
    );
}

/// A client does not have to say something for each of the eight answers to a SYNC.
#[test]
fn counted_time_goes_on_for_what_is_on_its_way() {
    let server = Server::tcp("sim://esp32?counted");
    let mut client = server.connect();
    let begin = Instant::now();
    client.ask(&Command::Sync);
    while client.pending.len() < 7 {
        client.read();
    }
    assert!(begin.elapsed() < Duration::from_secs(1));
    drop(client);
    server.stop();
}

/// A whole flash takes longer than a program is waited for that does nothing.
#[test]
fn counted_time_goes_on_while_a_program_erases() {
    let server = Server::tcp("sim://esp32c3?counted&flash-size=16MB");
    let mut client = server.connect();
    client.attach();
    client.run_stub("esp32c3");
    client.ask(&Command::SpiSetParams { size: 16 << 20 });
    let answer = client.ask(&Command::EraseFlash);
    assert_eq!(answer.body, [0, 0]);
    drop(client);
    let took = server.stop().iter().find_map(|event| match event {
        ServeEvent::Disconnected { took } => Some(*took),
        _ => None,
    });
    assert!(took > Some(Duration::from_secs(20)), "{took:?}");
}

/// A client waits for more than the flash: here the program itself is slow.
#[test]
fn counted_time_goes_on_while_a_program_keeps_its_client_waiting() {
    /// Eight times `ets_delay_us(1000000)`, then a byte to the UART.
    const PROGRAM: [u32; 12] = [
        0x4000_02B7, // lui t0, 0x40000
        0x0502_8293, // addi t0, t0, 0x50
        0x0080_0413, // li s0, 8
        0x000F_4537, // lui a0, 0xf4
        0x2405_0513, // addi a0, a0, 0x240
        0x0002_80E7, // jalr t0
        0xFFF4_0413, // addi s0, s0, -1
        0xFE04_18E3, // bnez s0, four back
        0x6000_02B7, // lui t0, 0x60000
        0x0210_0313, // li t1, '!'
        0x0062_A023, // sw t1, (t0)
        0x0000_006F, // j .
    ];
    let server = Server::tcp("sim://esp32c3?counted");
    let mut client = server.connect();
    client.attach();
    let at = 0x4039_0000;
    let code: Vec<u8> = PROGRAM.iter().flat_map(|word| word.to_le_bytes()).collect();
    client.load(at, &code);
    client.ask(&Command::MemEnd { entry: Some(at) });
    let mut byte = [0];
    client.stream.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"!");
    drop(client);
    let took = server.stop().iter().find_map(|event| match event {
        ServeEvent::Disconnected { took } => Some(*took),
        _ => None,
    });
    let took = took.unwrap();
    assert!(
        took > Duration::from_secs(8) && took < Duration::from_secs(10),
        "{took:?}"
    );
}
