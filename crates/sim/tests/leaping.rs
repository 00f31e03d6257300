//! Waiting is leapt over, and nobody can tell.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

mod host;
#[expect(dead_code, reason = "some of it is for other tests")]
mod programs;

use std::time::Duration;

use guru_link::{Link, block_on};
use guru_wire::{Begin, Command, slip};
use host::Host;
use programs::{STUBS, start, stub, words};

/// Moments in steps of 50 us, and the bytes that came then.
type Heard = Vec<(u64, Vec<u8>)>;

/// What comes when, looked at every 50 us.
fn watch(host: &mut Host, script: &[(u64, Vec<u8>)], until: u64) -> Heard {
    let mut script = script.iter().peekable();
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    for step in 0..until {
        while let Some((_, bytes)) = script.next_if(|(at, _)| *at <= step) {
            block_on(host.link.write(bytes)).unwrap();
        }
        block_on(host.link.sleep(Duration::from_micros(50))).unwrap();
        let now = host.link.now();
        let len = block_on(host.link.read(&mut buffer, now)).unwrap();
        if len > 0 {
            heard.push((step, buffer[..len].to_vec()));
        }
    }
    heard
}

fn packet(command: &Command<'_>) -> Vec<u8> {
    slip::encode(&command.encode())
}

/// A session with our stub that uses the line, the flash and the waiting for both.
fn session(url: &str, blob: &str, leaps: bool) -> (Heard, u64) {
    let mut host = Host::synced(url);
    host.attach();
    if !leaps {
        host.link.never_leap();
    }
    let (segments, entry) = stub(blob);
    start(&mut host, &segments, entry);
    let data: Vec<u8> = (0..1024_u32).map(|n| (n * 7 / 8) as u8).collect();
    let begin = Begin {
        erase_size: 0x2000,
        blocks: 1,
        block_size: 1024,
        offset: 0x1000,
        encrypted: None,
    };
    let script = [
        (2_000, packet(&Command::Sync)),
        (4_000, packet(&Command::FlashBegin(begin))),
        (
            6_000,
            packet(&Command::FlashData {
                sequence: 0,
                data: &data,
            }),
        ),
        (
            10_000,
            packet(&Command::ReadFlash {
                offset: 0x1000,
                length: 0x400,
                packet: 0x100,
                window: 64,
            }),
        ),
        (13_000, slip::encode(&0x400_u32.to_le_bytes())),
    ];
    let heard = watch(&mut host, &script, 14_000);
    let flash = host.link.flash().read(0x1000..0x1400);
    assert_eq!(flash, data, "{url}: {:x?}", host.link.take_events());
    (heard, host.link.device().steps())
}

#[test]
fn a_session_with_a_stub_is_the_same_with_leaps_and_without() {
    for (url, blob) in [("sim://esp32c3", "esp32c3"), ("sim://esp32", "esp32")] {
        let with = session(url, blob, true);
        let without = session(url, blob, false);
        assert_eq!(with.0, without.0, "{url}");
        assert_eq!(with.1, without.1, "{url}: steps");
    }
}

#[test]
fn our_stub_writes_and_reads_on_every_chip() {
    for (chip, blob) in STUBS {
        session(&format!("sim://{chip}"), blob, true);
    }
}

/// The ESP32-C3's registers, and what a test does with them.
const ECHO: [u32; 7] = [
    0x6000_0537, // lui a0, 0x60000
    0x01C5_2583, // lw a1, 28(a0): STATUS
    0x0FF5_F593, // andi a1, a1, 255
    0xFE05_8CE3, // beqz a1, -8
    0x0005_2583, // lw a1, 0(a0): FIFO
    0x00B5_2023, // sw a1, 0(a0)
    0xFEDF_F06F, // j -20
];

#[test]
fn an_echo_answers_at_the_same_moments_with_leaps_and_without() {
    let run = |leaps: bool| {
        let mut host = Host::synced("sim://esp32c3");
        if !leaps {
            host.link.never_leap();
        }
        let entry = 0x4038_0000;
        start(&mut host, &vec![(entry, words(&ECHO))], entry);
        let script: Vec<_> = (0..40)
            .map(|n| (100 + n * 37, vec![n as u8; n as usize % 5 + 1]))
            .collect();
        watch(&mut host, &script, 2_000)
    };
    let (with, without) = (run(true), run(false));
    assert_eq!(with, without);
    assert!(with.len() > 40);
}

#[test]
fn an_hour_of_waiting_takes_no_time() {
    let mut host = Host::synced("sim://esp32c3");
    let entry = 0x4038_0000;
    start(&mut host, &vec![(entry, words(&ECHO))], entry);
    let begun = std::time::Instant::now();
    block_on(host.link.sleep(Duration::from_secs(3600))).unwrap();
    assert_eq!(host.link.device().steps() / 3600 / 20_000_000, 1);
    // Step by step it is half an hour.
    assert!(begun.elapsed() < Duration::from_secs(60));
}

/// `cargo test --release -p guru-sim --test leaping -- --ignored`
#[test]
#[ignore = "only a release build is fast"]
fn a_core_makes_fifty_million_steps_a_second() {
    let riscv = [
        0x3FC9_0537_u32, // lui a0, 0x3fc90
        0x0005_2583,     // lw a1, 0(a0)
        0x0015_8593,     // addi a1, a1, 1
        0x00B5_2023,     // sw a1, 0(a0)
        0x00B6_4633,     // xor a2, a2, a1
        0x0016_1693,     // slli a3, a2, 1
        0x00D7_0733,     // add a4, a4, a3
        0xFE9F_F06F,     // j -24
    ];
    let mut host = Host::synced("sim://esp32c3");
    let entry = 0x4038_0000;
    start(&mut host, &vec![(entry, words(&riscv))], entry);
    for _ in 0..3 {
        let (begun, before) = (std::time::Instant::now(), host.link.device().steps());
        block_on(host.link.sleep(Duration::from_secs(2))).unwrap();
        let steps = host.link.device().steps() - before;
        let rate = steps as f64 / begun.elapsed().as_secs_f64() / 1e6;
        eprintln!("{rate:.0} million steps a second");
        assert!(rate >= 50.0);
    }
}
