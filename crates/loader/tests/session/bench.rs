//! A simulated chip and the steps that every test makes with it.

#![expect(
    clippy::unwrap_used,
    reason = "a test bench: what cannot be set up fails the test"
)]

use std::time::Duration;

use guru_image::Contents;
use guru_link::{Cancel, Link, block_on};
use guru_loader::{
    ConnectOptions, Error, Event, FilePart, FlashOptions, ReadLength, ReadRequest, Session,
    WriteJob, WriteReport, WriteRequest,
};
use guru_sim::SimLink;

pub type SimSession = Session<SimLink>;

/// Events of a session, kept.
#[derive(Default)]
pub struct Events(pub Vec<Event>);

impl Events {
    pub fn observer(&mut self) -> impl FnMut(Event) + '_ {
        |event| self.0.push(event)
    }

    pub fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.0.iter().any(wanted)
    }
}

/// Connects to `sim://` followed by `address`.
pub fn connect(address: &str) -> SimSession {
    try_connect(address, ConnectOptions::default(), &mut Events::default()).unwrap()
}

/// A chip that was powered a second ago, whose boot log nobody has read.
pub fn powered(address: &str) -> SimLink {
    let mut link = SimLink::open(&format!("sim://{address}"), Cancel::default()).unwrap();
    block_on(link.sleep(Duration::from_secs(1))).unwrap();
    block_on(link.discard_input()).unwrap();
    link
}

pub fn try_connect(
    address: &str,
    options: ConnectOptions,
    events: &mut Events,
) -> Result<SimSession, Error> {
    let link = SimLink::open(&format!("sim://{address}"), Cancel::default()).unwrap();
    block_on(Session::connect(link, options, &mut events.observer()))
}

pub fn file(name: &str, address: u32, bytes: &[u8]) -> FilePart {
    FilePart {
        name: name.to_owned(),
        address,
        contents: Contents::from_bytes(name, bytes.to_vec()).unwrap(),
        encrypt: false,
        previous: None,
    }
}

pub fn request(files: Vec<FilePart>) -> WriteRequest {
    WriteRequest {
        files,
        ..WriteRequest::default()
    }
}

pub fn write(
    session: &mut SimSession,
    request: WriteRequest,
    events: &mut Events,
) -> Result<WriteReport, Error> {
    let job = WriteJob::new(request, None)?;
    block_on(session.write_flash(job, &mut events.observer()))
}

pub fn read(
    session: &mut SimSession,
    address: u32,
    length: u32,
    sink: &mut Vec<u8>,
    events: &mut Events,
) -> Result<(), Error> {
    let request = ReadRequest {
        address,
        length: ReadLength::Bytes(length),
    };
    let options = FlashOptions::default();
    block_on(session.read_flash(&options, request, sink, &mut events.observer()))
}

/// Contents of the simulated flash.
pub fn flash(session: &SimSession, address: u32, length: usize) -> Vec<u8> {
    session
        .link()
        .flash()
        .read(address..address + length as u32)
}

/// Fills simulated flash with something that a write must not touch.
pub fn fill(session: &SimSession, address: u32, bytes: &[u8]) {
    session.link().flash().load(address, bytes);
}

/// Asserts that two long runs of bytes are the same, and shows where they differ.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8], about: &str) {
    assert_eq!(found.len(), expected.len(), "{about}: length");
    let differing = found.iter().zip(expected).filter(|(a, b)| a != b).count();
    if let Some(at) = found.iter().zip(expected).position(|(a, b)| a != b) {
        let end = found.len().min(at + 16);
        panic!(
            "{about}: {differing} bytes differ, the first at 0x{at:x}: {:02x?} instead of {:02x?}",
            &found[at..end],
            &expected[at..end]
        );
    }
}
