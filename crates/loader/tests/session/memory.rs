#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests: what cannot be done fails the test"
)]

use std::time::Duration;

use guru_chip::CHIPS;
use guru_image::{RamProgram, RamSegment};
use guru_link::{Cancel, block_on};
use guru_loader::{Console, Error, Event, Leaving, LoadRequest, MemoryWrite, Notice, Session};
use guru_sim::SimLink;

use guru_testkit::noise;

use crate::bench::{Events, assert_same, connect};

/// RAM of the ESP32-C3 that nobody uses.
const RAM: u32 = 0x3FC9_0000;

fn write(address: u32, value: u32, mask: u32) -> MemoryWrite {
    MemoryWrite {
        address,
        value,
        mask,
    }
}

fn fill(session: &mut Session<SimLink>, words: u32) -> Vec<u8> {
    let bytes = noise(words as usize * 4, 1);
    for (address, word) in (RAM..).step_by(4).zip(bytes.chunks(4)) {
        let value = u32::from_le_bytes(word.try_into().unwrap());
        block_on(session.write_memory(write(address, value, u32::MAX))).unwrap();
    }
    bytes
}

fn dump(session: &mut Session<SimLink>, length: u32) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut events = Events::default();
    block_on(session.dump_memory(RAM..RAM + length, &mut bytes, &mut events.observer()))?;
    Ok(bytes)
}

fn program(segments: &[(u32, usize)]) -> LoadRequest {
    let segment = |(address, length): &(u32, usize)| RamSegment {
        address: *address,
        bytes: noise(*length, u64::from(*address)),
    };
    LoadRequest {
        name: "program".to_owned(),
        program: RamProgram {
            segments: segments.iter().map(segment).collect(),
            entry: 0x4038_0000,
        },
        mismatch: None,
        force: false,
    }
}

/// A program that prints a text on the UART and on USB-Serial/JTAG, at the start of the first segment.
fn saying(text: &[u8], segments: &[(u32, usize)]) -> LoadRequest {
    const CODE: [u32; 13] = [
        0x0000_0517, // auipc a0, 0
        0x0345_0513, // addi  a0, a0, 52
        0x6000_05b7, // lui   a1, 0x60000
        0x6004_36b7, // lui   a3, 0x60043
        0x0005_4603, // lbu   a2, 0(a0)
        0x0006_0a63, // beqz  a2, +20
        0x00c5_a023, // sw    a2, 0(a1)
        0x00c6_a023, // sw    a2, 0(a3)
        0x0015_0513, // addi  a0, a0, 1
        0xfedf_f06f, // j     -20
        0x0010_0613, // li    a2, 1
        0x00c6_a223, // sw    a2, 4(a3)
        0x0000_006f, // j     .
    ];
    let mut request = program(segments);
    let code = CODE.iter().flat_map(|word| word.to_le_bytes());
    let bytes = code.chain(text.iter().copied()).chain([0]);
    let first = request.program.segments.first_mut().unwrap();
    for (place, byte) in first.bytes.iter_mut().zip(bytes) {
        *place = byte;
    }
    request
}

fn load(spec: &str, request: &LoadRequest) -> (Result<Session<SimLink>, Error>, Events) {
    let mut session = connect(spec);
    let mut events = Events::default();
    let loaded = block_on(session.load_ram(request, &mut events.observer()));
    (loaded.map(|_| session), events)
}

fn assert_loaded(session: &Session<SimLink>, request: &LoadRequest, what: &str) {
    for segment in &request.program.segments {
        let padded = segment.padded();
        let device = session.link().device();
        let words = (segment.address..).step_by(4).take(padded.bytes.len() / 4);
        let found: Vec<u8> = words.flat_map(|at| device.word(at).to_le_bytes()).collect();
        assert_same(&found, &padded.bytes, what);
    }
}

/// What a program prints, by the end.
fn printed(session: Session<SimLink>) -> Vec<u8> {
    let mut console = session.into_console();
    let mut text = Vec::new();
    loop {
        let deadline = console.now() + Duration::from_secs(1);
        match block_on(console.read(deadline)).unwrap() {
            bytes if bytes.is_empty() => return text,
            bytes => text.extend(bytes),
        }
    }
}

#[test]
fn a_masked_write_changes_its_bits_alone() {
    for chip in CHIPS {
        let mut session = connect(chip.id);
        let address = chip.memory.iter().find(|memory| memory.name == "DRAM");
        let address = address.unwrap().range.start + 0x100;
        let change = |value, mask| write(address, value, mask);
        block_on(session.write_memory(change(0x1111_1111, u32::MAX))).unwrap();
        let found = block_on(session.change_memory(change(0xFFFF_FFFF, 0xFF00), false)).unwrap();
        assert_eq!(found.old, 0x1111_1111, "{}", chip.id);
        assert_eq!(found.new, 0x1111_FF11, "{}", chip.id);
        assert_eq!(found.written, found.new, "{}", chip.id);
        assert_eq!(block_on(session.read_memory(address)).unwrap(), found.new);
    }
}

#[test]
fn the_efuse_controller_is_left_alone_unless_forced() {
    for chip in CHIPS {
        let mut session = connect(chip.id);
        let controller = write(chip.efuse.base & !3, 1, u32::MAX);
        let commands = session.link().stats().commands;
        let refused = block_on(session.change_memory(controller, false)).unwrap_err();
        assert!(matches!(refused, Error::Harmful { .. }), "{refused}");
        assert_eq!(session.link().stats().commands, commands, "{}", chip.id);
        block_on(session.change_memory(controller, true)).unwrap();
    }
}

#[test]
fn what_is_not_aligned_is_never_sent() {
    let mut session = connect("esp32c3");
    let commands = session.link().stats().commands;
    for error in [
        block_on(session.read_memory(RAM + 2)).unwrap_err(),
        block_on(session.write_memory(write(RAM + 1, 0, 0))).unwrap_err(),
        dump(&mut session, 6).unwrap_err(),
    ] {
        assert!(matches!(error, Error::BadRequest(_)), "{error}");
    }
    assert_eq!(session.link().stats().commands, commands);
}

#[test]
fn memory_is_dumped_in_far_fewer_turns_than_it_has_words() {
    let mut session = connect("esp32c3");
    let bytes = fill(&mut session, 1000);
    let writes = session.link().stats().writes;
    assert_same(&dump(&mut session, 4000).unwrap(), &bytes, "the dump");
    let turns = session.link().stats().writes - writes;
    // Each word is read twice.
    assert!(turns < 80, "{turns}");
    assert_eq!(session.faults(), 0);
}

/// A READ_REG that loses its opcode is a FLASH_END, which ends the loader. So a dump may fail, but
/// it is never wrong.
#[test]
fn a_dump_over_a_bad_line_is_right_or_fails() {
    for fault in [
        "drop:rx:1/300",
        "drop:tx:1/4000",
        "corrupt:rx:1/300",
        "corrupt:rx:1/3000",
        "corrupt:tx:1/4000",
        "duplicate:both:1/300",
    ] {
        let (mut right, mut faults) = (0, 0);
        for seed in 1..9 {
            let spec = format!("esp32c3?fault={fault},after=12000,seed={seed}");
            let mut session = connect(&spec);
            fill(&mut session, 400);
            match dump(&mut session, 1600) {
                Ok(read) => {
                    // A damaged write may have gone anywhere: what is there counts.
                    let device = session.link().device();
                    let held = (RAM..RAM + 1600).step_by(4);
                    let held: Vec<u8> = held.flat_map(|at| device.word(at).to_le_bytes()).collect();
                    assert_same(&read, &held, &spec);
                    right += 1;
                }
                Err(error) => assert!(matches!(error, Error::NoAnswer { .. }), "{error}"),
            }
            faults += session.faults();
        }
        assert!(right > 4 && faults > 0, "{fault}: {right}, {faults}");
    }
}

#[test]
fn a_program_is_in_ram_and_starts_with_its_first_words_heard() {
    let request = saying(b"Hello\nWorld", &[(0x4038_0000, 7001), (RAM, 40), (0, 100)]);
    let (session, events) = load("esp32c3", &request);
    let session = session.unwrap();
    assert!(events.has(|event| matches!(event, Event::Loaded { segments: 2, .. })));
    assert!(events.has(|event| matches!(event, Event::Leaving(Leaving::Running))));
    let held = saying(b"Hello\nWorld", &[(0x4038_0000, 7001), (RAM, 40)]);
    assert_loaded(&session, &held, "RAM");
    assert_eq!(printed(session), b"Hello\nWorld");
}

#[test]
fn first_words_are_heard_at_every_latency_and_on_every_port() {
    // Delimiters and escapes of packets are the program's as well.
    let request = saying(b"\x01\x7F!first", &[(0x4038_0000, 100)]);
    for spec in [
        "latency=0ms",
        "latency=1ms",
        "latency=16ms",
        "latency=150ms",
        "usb=jtag",
    ] {
        let (session, _) = load(&format!("esp32c3?{spec}"), &request);
        assert_eq!(printed(session.unwrap()), b"\x01\x7F!first", "{spec}");
    }
}

#[test]
fn a_torn_answer_takes_no_word_with_it() {
    let text = "first words";
    let request = saying(text.as_bytes(), &[(0x4038_0000, 100)]);
    let (session, _) = load("esp32c3", &request);
    let clean = session.unwrap().link().stats().sent_to_host;
    // The chip's last bytes are its answer, of 14, and the text.
    for lost in 1..=14 {
        let at = clean - text.len() as u64 - lost;
        let (session, _) = load(&format!("esp32c3?fault=drop:rx:@{at}"), &request);
        let printed = printed(session.unwrap());
        assert!(printed.ends_with(text.as_bytes()), "{at}: {printed:?}");
    }
}

#[test]
fn a_request_to_start_that_is_damaged_is_sent_again() {
    let request = saying(b"Hello", &[(0x4038_0000, 100)]);
    let (session, _) = load("esp32c3", &request);
    let sent = session.unwrap().link().stats().bytes_to_chip;
    // Its delimiters, direction and opcode. What is lost in between the ROM cannot tell: MEM_END may
    // be shorter than usual, and no checksum covers it.
    for lost in [1, 16, 17, 18] {
        let spec = format!("esp32c3?fault=drop:tx:@{}", sent - lost);
        let (session, _) = load(&spec, &request);
        let printed = printed(session.unwrap());
        assert!(printed.ends_with(b"Hello"), "{spec}: {printed:?}");
    }
}

#[test]
fn a_program_whose_answer_is_lost_is_not_reported_as_failed() {
    let request = program(&[(0x4038_0000, 100)]);
    let (session, _) = load("esp32c3", &request);
    let heard = session.unwrap().link().stats().sent_to_host;
    let lost: Vec<String> = (1..=14)
        .map(|at| format!("drop:rx:@{}", heard - at))
        .collect();
    let (session, events) = load(&format!("esp32c3?fault={}", lost.join(",")), &request);
    session.unwrap();
    assert!(events.has(|event| matches!(event, Event::Notice(Notice::StartUnanswered))));
}

/// A second write to a register may do what the first has done, again: only the chip's word that
/// it was not done lets it be repeated.
#[test]
fn a_write_whose_answer_is_lost_is_repeated_to_memory_alone() {
    let mut session = connect("esp32c3");
    let heard = session.link().stats().sent_to_host;
    let register = 0x6000_4004;
    for (address, repeated) in [(RAM, true), (register, false)] {
        let mut session = connect(&format!("esp32c3?fault=drop:rx:@{heard}"));
        let outcome = block_on(session.write_memory(write(address, 0x1234, u32::MAX)));
        assert_eq!(outcome.is_ok(), repeated, "{address:x}: {outcome:?}");
        assert_eq!(session.link().device().word(address), 0x1234);
        assert!(repeated || matches!(outcome, Err(Error::NoAnswer { .. })));
    }
    // Of a clean line nobody loses anything.
    block_on(session.write_memory(write(register, 0x1234, u32::MAX))).unwrap();
}

#[test]
fn a_program_over_a_bad_line_is_whole() {
    let request = program(&[(0x4038_0000, 9000), (RAM, 400)]);
    for fault in [
        "drop:tx:1/10000",
        "drop:rx:1/1000",
        "corrupt:tx:1/10000",
        "corrupt:rx:1/300",
        "duplicate:both:1/1000",
    ] {
        for seed in 1..9 {
            let spec = format!("esp32c3?fault={fault},after=2000,seed={seed}");
            let (session, _) = load(&spec, &request);
            let session = session.unwrap_or_else(|error| panic!("{spec}: {error}"));
            assert_loaded(&session, &request, &spec);
        }
    }
}

#[test]
fn segments_in_flash_are_named_and_left_out() {
    let request = program(&[(0x4038_0000, 100), (0x4200_0020, 300)]);
    let (session, events) = load("esp32c3", &request);
    session.unwrap();
    let named = Notice::SegmentInFlash {
        address: 0x4200_0020,
        length: 300,
    };
    assert!(events.has(|event| matches!(event, Event::Notice(notice) if *notice == named)));
    let (refused, _) = load("esp32c3", &program(&[(0x4200_0020, 300)]));
    assert!(matches!(refused, Err(Error::BadRequest(_))));
}

#[test]
fn the_loaders_own_memory_and_what_is_no_ram_are_refused_unless_forced() {
    for address in [0x3FCD_D000, 0x403D_D000, 0x6000_0000] {
        let mut request = program(&[(0x4038_0000, 100), (address, 64)]);
        let (refused, events) = load("esp32c3", &request);
        assert!(matches!(refused, Err(Error::Harmful { .. })), "{address:x}");
        assert!(!events.has(|event| matches!(event, Event::Loading { .. })));
        request.force = true;
        let (loaded, events) = load("esp32c3", &request);
        loaded.unwrap();
        let forced = |event: &Event| matches!(event, Event::Notice(Notice::SegmentForced { .. }));
        assert!(events.has(forced));
    }
}

#[test]
fn segments_that_overlap_are_refused_unless_forced() {
    let mut request = program(&[(RAM, 64), (RAM + 0x1000, 64), (RAM + 60, 4)]);
    let (refused, _) = load("esp32c3", &request);
    assert!(matches!(refused, Err(Error::Harmful { .. })));
    request.force = true;
    load("esp32c3", &request).0.unwrap();
    let touching = program(&[(RAM + 64, 64), (RAM, 64)]);
    load("esp32c3", &touching).0.unwrap();
}

#[test]
fn secure_boot_lets_no_program_start_in_ram_since_the_esp32s2() {
    for (chip, field, address) in [
        ("esp32", "ABS_DONE_0", 0x4008_0400),
        ("esp32s2", "SECURE_BOOT_EN", 0x3FFB_8000),
        ("esp32c6", "SECURE_BOOT_EN", 0x4081_8000),
    ] {
        let (loaded, _) = load(&format!("{chip}?set.{field}=1"), &program(&[(address, 64)]));
        match loaded {
            Ok(_) => assert_eq!(chip, "esp32"),
            Err(error) => assert!(matches!(error, Error::NotPossible(_)), "{chip}: {error}"),
        }
    }
}

#[test]
fn secure_download_mode_has_no_memory() {
    let mut session = connect("esp32c3?secure-download");
    let error = block_on(session.read_memory(RAM)).unwrap_err();
    assert!(matches!(error, Error::SecureDownload(_)), "{error}");
    let (refused, _) = load("esp32c3?secure-download", &program(&[(RAM, 4)]));
    assert!(matches!(refused, Err(Error::SecureDownload(_))));
}

#[test]
fn the_application_is_started_from_flash_on_every_chip() {
    for chip in CHIPS {
        let mut session = connect(chip.id);
        let mut events = Events::default();
        block_on(session.run(&mut events.observer())).unwrap();
        assert!(
            events.has(|event| matches!(event, Event::Leaving(Leaving::Running))),
            "{}",
            chip.id
        );
        // The loader has ended and answers nothing more.
        block_on(session.read_memory(RAM)).unwrap_err();
    }
}

#[test]
fn what_is_typed_is_sent_when_a_lost_port_is_back() {
    let link = SimLink::open("sim://esp32c3?fault=disconnect:2s", Cancel::default()).unwrap();
    let mut console = Console::new(link);
    let begin = console.now();
    let (before, lost) = (
        begin + Duration::from_millis(1999),
        begin + Duration::from_secs(2),
    );
    while console.now() < before {
        block_on(console.read(before)).unwrap();
    }
    // Long enough at the line's rate to be cut off.
    block_on(console.write(&[b'b'; 8000])).unwrap();
    assert!(console.now() > lost);
    block_on(console.write(b"c")).unwrap();
}
