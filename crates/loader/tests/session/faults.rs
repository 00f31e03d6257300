use std::time::Duration;

use guru_link::{Link, block_on};
use guru_loader::{ConnectOptions, Error, Event, FlashOptions, Session, Verify, WriteRequest};
use guru_wire::{Begin, Command, slip};

use crate::bench::{
    Events, assert_same, connect, file, fill, flash, read, request, try_connect, write,
};
use guru_testkit::{code, noise};

/// One damaged, lost or extra byte in 10,000 each way.
const BAD_LINES: [&str; 3] = [
    "corrupt:both:1/10000",
    "drop:both:1/10000",
    "duplicate:both:1/10000",
];

#[test]
fn a_write_over_a_bad_line_still_ends_verified() {
    for chip in ["esp32c3", "esp32", "esp32s2", "esp32p4"] {
        for fault in BAD_LINES {
            for seed in 1..4 {
                let address = format!("{chip}?fault={fault},seed={seed}");
                let mut session = connect(&address);
                let bytes = code(150_000, seed);
                let request = request(vec![file("app.bin", 0x1_0000, &bytes)]);
                let report = write(&mut session, request, &mut Events::default())
                    .unwrap_or_else(|error| panic!("{address}: {error}"));
                assert!(report.files[0].verified, "{address}");
                assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, &address);
            }
        }
    }
}

#[test]
fn a_read_over_a_bad_line_ends_right() {
    for chip in ["esp32c3", "esp32"] {
        for fault in BAD_LINES {
            for seed in 1..4 {
                let address = format!("{chip}?fault={fault},seed={seed}");
                let mut session = connect(&address);
                let bytes = noise(40_000, seed);
                fill(&session, 0x1_0000, &bytes);
                let mut sink = Vec::new();
                read(
                    &mut session,
                    0x1_0000,
                    40_000,
                    &mut sink,
                    &mut Events::default(),
                )
                .unwrap_or_else(|error| panic!("{address}: {error}"));
                assert_same(&sink, &bytes, &address);
            }
        }
    }
}

#[test]
fn a_write_resumes_after_the_link_drops_mid_block() {
    for chip in ["esp32c3", "esp32", "esp8266"] {
        let mut session = connect(&format!("{chip}?fault=disconnect:@60000"));
        let bytes = code(150_000, 4);
        let mut events = Events::default();
        write(
            &mut session,
            request(vec![file("app.bin", 0x1_0000, &bytes)]),
            &mut events,
        )
        .unwrap();
        assert!(
            events.has(|event| matches!(event, Event::LinkLost { .. })),
            "{chip}"
        );
        assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, chip);
    }
}

#[test]
fn a_read_resumes_after_the_link_drops() {
    let mut session = connect("esp32c3?fault=disconnect:@30000");
    let bytes = noise(40_000, 5);
    fill(&session, 0, &bytes);
    let mut sink = Vec::new();
    read(&mut session, 0, 40_000, &mut sink, &mut Events::default()).unwrap();
    assert_same(&sink, &bytes, "the file");
}

#[test]
fn power_that_fails_in_mid_erase_or_mid_program_is_survived() {
    for fault in ["power-loss:erase@5", "power-loss:program@40"] {
        let mut session = connect(&format!("esp32c3?fault={fault}"));
        fill(&session, 0x1_0000, &noise(100_000, 6));
        let bytes = code(100_000, 7);
        write(
            &mut session,
            request(vec![file("app.bin", 0x1_0000, &bytes)]),
            &mut Events::default(),
        )
        .unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, fault);
    }
}

#[test]
fn a_flash_that_is_stuck_ends_in_an_error_and_not_in_a_hang() {
    let mut session = connect("esp32c3?fault=stuck-flash:@3");
    let bytes = code(100_000, 8);
    let result = write(
        &mut session,
        request(vec![file("a.bin", 0, &bytes)]),
        &mut Events::default(),
    );
    assert!(result.is_err());
}

#[test]
fn a_chip_without_a_flash_ends_in_an_error() {
    let mut events = Events::default();
    let options = ConnectOptions::default();
    let mut session = try_connect("esp32c3?fault=no-flash", options, &mut events).unwrap();
    let error = write(
        &mut session,
        request(vec![file("a.bin", 0, &[1; 100])]),
        &mut events,
    )
    .unwrap_err();
    assert!(!matches!(error, Error::BadRequest(_)), "{error}");
}

#[test]
fn an_esp8266_is_written_and_read_over_a_bad_line() {
    for fault in BAD_LINES {
        for seed in 1..4 {
            let address = format!("esp8266?fault={fault},seed={seed}");
            let mut session = connect(&address);
            let bytes = code(20_000, seed);
            let request = WriteRequest {
                verify: Verify::ReadBack,
                ..request(vec![file("app.bin", 0x1_0000, &bytes)])
            };
            let report = write(&mut session, request, &mut Events::default())
                .unwrap_or_else(|error| panic!("{address}: {error}"));
            assert!(report.files[0].verified, "{address}");
            assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, &address);
            let mut sink = Vec::new();
            read(
                &mut session,
                0x1_0000,
                20_000,
                &mut sink,
                &mut Events::default(),
            )
            .unwrap_or_else(|error| panic!("{address}: {error}"));
            assert_same(&sink, &bytes, &address);
        }
    }
}

/// Nothing protects BEGIN, so a neighbour can change on a bad line; then it is named.
#[test]
fn under_guard_a_changed_neighbour_is_named() {
    for fault in ["corrupt:tx:1/300", "drop:tx:1/1000"] {
        for seed in 1..10 {
            let address = format!("esp32c3?flash-size=1MB&fault={fault},after=2000,seed={seed}");
            let mut session = connect(&address);
            let before = noise(0x10_0000, seed);
            fill(&session, 0, &before);
            let bytes = code(30_000, seed);
            let request = WriteRequest {
                guard: true,
                ..request(vec![file("app.bin", 0x8000, &bytes)])
            };
            let result = write(&mut session, request, &mut Events::default());
            let after = flash(&session, 0, 0x10_0000);
            let same =
                after[..0x8000] == before[..0x8000] && after[0x1_0000..] == before[0x1_0000..];
            match result {
                Ok(_) => assert!(same, "{address}"),
                Err(Error::NeighbourChanged { .. }) => assert!(!same, "{address}"),
                Err(error) => assert!(
                    matches!(
                        error,
                        Error::LineTooBad { .. } | Error::NoAnswer { .. } | Error::Refused { .. }
                    ),
                    "{address}: {error}"
                ),
            }
        }
    }
}

#[test]
fn a_slow_line_and_a_slow_flash_are_waited_for() {
    for fault in [
        "delay:rx:1/2000:900ms",
        "delay:tx:1/2000:900ms",
        "slow-flash:x8",
    ] {
        let mut session = connect(&format!("esp32c3?fault={fault}"));
        let bytes = code(100_000, 9);
        write(
            &mut session,
            request(vec![file("a.bin", 0, &bytes)]),
            &mut Events::default(),
        )
        .unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert_same(&flash(&session, 0, bytes.len()), &bytes, fault);
    }
}

/// A client that went away in the middle of a long erase must not leave the next one without a flash.
#[test]
fn after_a_reset_in_mid_erase_the_flash_answers_again() {
    let mut session = connect("esp32c3");
    let begin = Begin {
        erase_size: 0x10_0000,
        blocks: 1,
        block_size: 0x400,
        offset: 0,
        encrypted: Some(false),
    };
    let request = slip::encode(&Command::FlashBegin(begin).encode());
    let options = FlashOptions::default();
    block_on(session.flash_info(&options, &mut |_| {})).unwrap();
    let mut link = session.into_link();
    block_on(link.write(&request)).unwrap();
    block_on(link.sleep(Duration::from_millis(300))).unwrap();
    let mut session = block_on(Session::connect(
        link,
        ConnectOptions::default(),
        &mut |_| {},
    ))
    .unwrap();
    let info = block_on(session.flash_info(&options, &mut |_| {})).unwrap();
    assert_eq!(info.size_label, Some("4MB"));
}
