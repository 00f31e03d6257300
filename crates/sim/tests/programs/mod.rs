//! Programs for the virtual chip's CPU, for the tests that execute them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::path::Path;
use std::time::Duration;

use guru_link::{Link, block_on};
use guru_wire::Command;

use super::host::Host;

/// Segments of a program: address and contents.
pub type Segments = Vec<(u32, Vec<u8>)>;

/// Chips, and which of our stubs they take.
pub const STUBS: &[(&str, &str)] = &[
    ("esp32c3", "esp32c3"),
    ("esp32", "esp32"),
    ("esp32c2", "esp32c2"),
    ("esp32c5", "esp32c5"),
    ("esp32c6", "esp32c6"),
    ("esp32c61", "esp32c61"),
    ("esp32h2", "esp32h2"),
    ("esp32h21", "esp32h21"),
    ("esp32h4", "esp32h4"),
    ("esp32p4", "esp32p4"),
    ("esp32p4?rev=1.0", "esp32p4-rev1"),
    ("esp32s2", "esp32s2"),
    ("esp32s3", "esp32s3"),
    ("esp32s31", "esp32s31"),
    ("esp8266", "esp8266"),
];

/// Puts a program into RAM and starts it.
pub fn start(host: &mut Host, segments: &Segments, entry: u32) {
    for (address, bytes) in segments {
        let block = 0x1800;
        host.ask(&Command::MemBegin {
            size: bytes.len() as u32,
            blocks: bytes.len().div_ceil(block) as u32,
            block_size: block as u32,
            address: *address,
        })
        .unwrap();
        for (sequence, data) in (0..).zip(bytes.chunks(block)) {
            host.ask(&Command::MemData { sequence, data }).unwrap();
        }
    }
    host.link.take_events();
    host.ask(&Command::MemEnd { entry: Some(entry) }).unwrap();
}

/// What comes in a time.
pub fn hear(host: &mut Host, time: Duration) -> Vec<u8> {
    let deadline = host.link.now() + time;
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let len = block_on(host.link.read(&mut buffer, deadline)).unwrap();
        if len == 0 {
            return heard;
        }
        heard.extend_from_slice(&buffer[..len]);
    }
}

/// An image of the examples.
pub fn example(chip: &str) -> (Segments, u32) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello");
    segments(&std::fs::read(root.join(format!("{chip}.bin"))).unwrap())
}

/// Segments and entry of an image.
pub fn segments(image: &[u8]) -> (Segments, u32) {
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    let mut at = 24;
    let mut segments = Vec::new();
    for _ in 0..image[1] {
        let len = word(at + 4) as usize;
        segments.push((word(at), image[at + 8..at + 8 + len].to_vec()));
        at += 8 + len;
    }
    (segments, word(4))
}

/// Our stub for a chip.
pub fn stub(name: &str) -> (Segments, u32) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stub/blobs");
    let text = std::fs::read_to_string(root.join(format!("{name}.toml"))).unwrap();
    let bytes = std::fs::read(root.join(format!("{name}.bin"))).unwrap();
    let number = |line: &str, key: &str| {
        let rest = line.split(&format!("{key} = ")).nth(1).unwrap();
        let end = rest.find([',', ' ', '}']).unwrap_or(rest.len());
        let digits = &rest[..end];
        match digits.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).unwrap(),
            None => digits.parse().unwrap(),
        }
    };
    let mut segments = Vec::new();
    let mut at = 0;
    let mut entry = 0;
    for line in text.lines() {
        if line.starts_with("entry") {
            entry = number(line, "entry");
        } else if line.contains("{ address") {
            let len = number(line, "len") as usize;
            segments.push((number(line, "address"), bytes[at..at + len].to_vec()));
            at += len;
        }
    }
    (segments, entry)
}

/// Bytes of words.
pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
