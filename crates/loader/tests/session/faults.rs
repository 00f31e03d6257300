use std::time::Duration;

use guru_link::{Link, block_on};
use guru_loader::{
    ConnectOptions, EraseRegion, Error, Event, FlashOptions, FlashSizeOption, ReadLength, Session,
    Verify, WriteRequest,
};
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

/// Over a network or a bad hub answers stall. An answer does not say which register it is for, so that a
/// late one must not be taken for the next.
#[test]
fn a_line_that_stalls_gives_no_wrong_registers() {
    let mut connected = 0;
    for chip in ["esp32", "esp8266", "esp32c3"] {
        let right = connect(chip).device().mac.clone();
        for fault in ["1/20:150ms", "1/30:170ms", "1/60:250ms", "1/40:400ms"] {
            for seed in 1..12 {
                let address = format!("{chip}?fault=delay:rx:{fault},seed={seed}");
                let options = ConnectOptions::default();
                // It may well fail, and says so.
                if let Ok(session) = try_connect(&address, options, &mut Events::default()) {
                    assert_eq!(session.device().mac, right, "{address}");
                    connected += 1;
                }
            }
        }
    }
    assert!(connected > 80, "{connected}");
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

#[test]
fn a_region_is_erased_on_a_flash_that_is_slower_than_the_time_out() {
    let mut session = connect("esp32c3?part=IS25LP032D&fault=slow-flash:x8");
    fill(&session, 0x1_1000, &noise(0x1_6000, 1));
    let region = EraseRegion {
        address: 0x1_1000,
        length: ReadLength::Bytes(0x1_6000),
    };
    let options = FlashOptions::default();
    block_on(session.erase_region(&options, region, false, &mut |_: Event| {})).unwrap();
    assert_same(
        &flash(&session, 0x1_1000, 0x1_6000),
        &vec![0xFF; 0x1_6000],
        "the region",
    );
}

#[test]
fn what_erasing_all_takes_away_is_no_change_under_guard() {
    let mut session = connect("esp32c3");
    fill(&session, 0, &noise(200_000, 1));
    let bytes = code(20_000, 2);
    let request = WriteRequest {
        guard: true,
        erase_all: true,
        ..request(vec![file("app.bin", 0x1_0000, &bytes)])
    };
    let mut events = Events::default();
    write(&mut session, request, &mut events).unwrap();
    assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, "the file");
}

#[test]
fn a_chip_is_erased_though_the_line_pauses_or_its_flash_is_slow() {
    for board in [
        "esp8266?fault=delay:tx:@2500:28s",
        "esp32c3?secure-download&flash-size=1MB&fault=slow-flash:x20",
        // Its watchdog cannot be silenced, and does not wait.
        "esp32c5?secure-download&usb=jtag&part=BY25Q32BS",
    ] {
        let mut session = connect(board);
        let size = session.link().flash().size();
        fill(&session, 0, &noise(size as usize, 1));
        let options = FlashOptions {
            size: FlashSizeOption::Set(format!("{}MB", size >> 20)),
            ..FlashOptions::default()
        };
        block_on(session.erase_flash(&options, false, &mut |_: Event| {}))
            .unwrap_or_else(|error| panic!("{board}: {error}"));
        let erased = vec![0xFF; size as usize];
        assert_same(&flash(&session, 0, erased.len()), &erased, board);
    }
}

#[test]
fn what_the_rom_does_not_know_of_is_refused_before_it_is_tried() {
    let mut session = connect("esp8266?flash-size=16MB");
    let bytes = code(5000, 1);
    let late = request(vec![
        file("a.bin", 0x1000, &bytes),
        file("b.bin", 0x3F_F000, &bytes),
    ]);
    let error = write(&mut session, late, &mut Events::default()).unwrap_err();
    assert!(
        matches!(error, Error::BeyondRom { end: 0x40_0388, .. }),
        "{error:?}"
    );
    let region = EraseRegion {
        address: 0x40_0000,
        length: ReadLength::Bytes(0x1000),
    };
    let options = FlashOptions::default();
    let erase = block_on(session.erase_region(&options, region, false, &mut |_: Event| {}));
    assert!(matches!(erase, Err(Error::BeyondRom { .. })), "{erase:?}");
    assert_eq!(session.link().stats().erase_commands, 0);
}

/// The part does not take the form in which the ROM would lift its protection.
#[test]
fn an_unverified_write_to_protected_flash_is_no_success() {
    for chip in ["esp32c3", "esp8266"] {
        let mut session = connect(&format!("{chip}?part=GD25Q32C&status=0x1c"));
        let bytes = code(9000, 1);
        let request = WriteRequest {
            verify: Verify::Never,
            ..request(vec![file("app.bin", 0x1_0000, &bytes)])
        };
        let error = write(&mut session, request, &mut Events::default()).unwrap_err();
        assert!(
            matches!(error, Error::Protected { .. }),
            "{chip}: {error:?}"
        );
    }
}
