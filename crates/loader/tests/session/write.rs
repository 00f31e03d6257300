use guru_chip::CHIPS;
use guru_link::block_on;
use guru_loader::{
    Compress, EraseRegion, Error, Event, FlashOptions, Notice, Proof, ReadLength, Unverified,
    Verify, VerifyRequest, WriteRequest,
};

use crate::bench::{Events, assert_same, connect, file, fill, flash, request, write};
use guru_testkit::{code, noise};

#[test]
fn every_chip_holds_what_was_written() {
    for chip in CHIPS {
        for compress in [Compress::Auto, Compress::Never] {
            let mut session = connect(chip.id);
            let bytes = code(100_001, 1);
            let request = WriteRequest {
                compress,
                ..request(vec![file("app.bin", 0x1_0000, &bytes)])
            };
            let report = write(&mut session, request, &mut Events::default()).unwrap();
            assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, chip.id);
            assert_eq!(report.files[0].verified, chip.rom.md5, "{}", chip.id);
        }
    }
}

/// The ESP32's inflater writes whole 32 KiB windows, and the ESP8266's BEGIN erases head sectors
/// twice.
#[test]
fn neighbours_never_change_on_a_clean_line() {
    for chip in CHIPS {
        for length in [
            1, 4096, 20_000, 0x8000, 0x1_0000, 0x1_8000, 0x1_8001, 200_000,
        ] {
            let mut session = connect(chip.id);
            let neighbour = noise(0x10_0000, 7);
            fill(&session, 0, &neighbour);
            let bytes = code(length, 2);
            let request = request(vec![file("app.bin", 0x2_3000, &bytes)]);
            write(&mut session, request, &mut Events::default()).unwrap();
            let end = 0x2_3000 + length.next_multiple_of(0x1000);
            assert_eq!(
                flash(&session, 0, 0x2_3000),
                neighbour[..0x2_3000],
                "{}",
                chip.id
            );
            assert_eq!(
                flash(&session, end as u32, 0x10_0000 - end),
                neighbour[end..],
                "{} {length:#x}",
                chip.id
            );
        }
    }
}

#[test]
fn an_unaligned_file_is_written_and_what_shares_its_sector_is_erased_and_named() {
    let mut session = connect("esp32c3");
    let bytes = code(5000, 3);
    let mut events = Events::default();
    write(
        &mut session,
        request(vec![file("data.bin", 0x1_0123, &bytes)]),
        &mut events,
    )
    .unwrap();
    assert_same(&flash(&session, 0x1_0123, 5000), &bytes, "the flash");
    assert!(events.has(|event| matches!(
        event,
        Event::Notice(Notice::SharedSector {
            start: 0x1_0000,
            length: 0x123
        })
    )));
}

#[test]
fn what_is_in_place_is_not_written_again() {
    let mut session = connect("esp32c3");
    let bytes = code(300_000, 4);
    let files = || vec![file("app.bin", 0x1_0000, &bytes)];
    write(&mut session, request(files()), &mut Events::default()).unwrap();
    let programmed = session.link().stats().programmed_bytes;
    let report = write(&mut session, request(files()), &mut Events::default()).unwrap();
    assert_eq!(session.link().stats().programmed_bytes, programmed);
    assert_eq!(report.files[0].unchanged, 300_000);
    assert!(report.files[0].verified);
}

#[test]
fn streams_that_are_in_place_are_not_written_again() {
    let mut session = connect("esp32c3");
    let mut bytes = code(3 << 20, 5);
    let files = |bytes: &[u8]| vec![file("app.bin", 0x1_0000, bytes)];
    write(&mut session, request(files(&bytes)), &mut Events::default()).unwrap();
    bytes[(3 << 20) - 100] ^= 1;
    let report = write(&mut session, request(files(&bytes)), &mut Events::default()).unwrap();
    assert!(report.files[0].unchanged > 1 << 20);
    assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, "the flash");
}

#[test]
fn an_esp8266_says_that_it_does_not_verify_and_can_be_told_to() {
    let bytes = code(3000, 8);
    let mut events = Events::default();
    let mut session = connect("esp8266");
    write(
        &mut session,
        request(vec![file("app.bin", 0, &bytes)]),
        &mut events,
    )
    .unwrap();
    assert!(events.has(|event| matches!(
        event,
        Event::Notice(Notice::NotVerified {
            reason: Unverified::NoDigest
        })
    )));
    let request = WriteRequest {
        verify: Verify::ReadBack,
        ..request(vec![file("app.bin", 0, &bytes)])
    };
    let report = write(&mut session, request, &mut Events::default()).unwrap();
    assert!(report.files[0].verified);
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_the_first_erase() {
    let mut session = connect("esp32c3?flash-size=2MB");
    let request = request(vec![file("app.bin", 0x1F_F000, &[0; 0x1001])]);
    let error = write(&mut session, request, &mut Events::default()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::DoesNotFit {
                flash: 0x20_0000,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(session.link().stats().erase_commands, 0);
}

#[test]
fn files_that_share_a_sector_are_refused_before_a_port_is_opened() {
    let files = vec![file("a", 0, &[0; 0x1001]), file("b", 0x1800, &[0; 4])];
    let error = guru_loader::check_files(&files).unwrap_err();
    assert!(error.to_string().contains("overlaps"), "{error}");
}

#[test]
fn a_stuck_bit_in_flash_ends_in_an_error_that_names_the_file() {
    let mut session = connect("esp32c3?fault=stuck-bit:0x10100.3");
    let request = request(vec![file("app.bin", 0x1_0000, &[0xFF; 0x1000])]);
    let error = write(&mut session, request, &mut Events::default()).unwrap_err();
    assert!(
        matches!(error, Error::VerifyFailed { .. } | Error::Refused { .. }),
        "{error}"
    );
    assert!(session.unfinished().is_some());
}

#[test]
fn regions_and_the_whole_chip_are_erased_on_every_chip() {
    for chip in CHIPS {
        let mut session = connect(chip.id);
        let before = noise(0x2_0000, 9);
        fill(&session, 0, &before);
        let region = EraseRegion {
            address: 0x3000,
            length: ReadLength::Bytes(0x5000),
        };
        let options = FlashOptions::default();
        block_on(session.erase_region(&options, region, false, &mut |_| {})).unwrap();
        let after = flash(&session, 0, 0x2_0000);
        assert_eq!(after[..0x3000], before[..0x3000], "{}", chip.id);
        assert!(
            after[0x3000..0x8000].iter().all(|byte| *byte == 0xFF),
            "{}",
            chip.id
        );
        assert_eq!(after[0x8000..], before[0x8000..], "{}", chip.id);
        block_on(session.erase_flash(&options, false, &mut |_| {})).unwrap();
        assert!(
            flash(&session, 0, 0x2_0000)
                .iter()
                .all(|byte| *byte == 0xFF),
            "{}",
            chip.id
        );
    }
}

#[test]
fn a_region_must_be_whole_sectors() {
    for (address, length) in [(0x1001, 0x1000), (0x1000, 0x1001)] {
        let region = EraseRegion {
            address,
            length: ReadLength::Bytes(length),
        };
        assert!(matches!(region.check(), Err(Error::BadRequest(_))));
    }
}

#[test]
fn verification_finds_a_single_changed_byte_and_names_it() {
    for chip in CHIPS {
        let mut session = connect(chip.id);
        // Not a multiple of 4, with other data behind it.
        let bytes = code(1003, 10);
        fill(&session, 0x4000, &noise(0x1000, 11));
        fill(&session, 0x4000, &bytes);
        let verify = |diff, bytes: &[u8]| VerifyRequest {
            files: vec![file("data.bin", 0x4000, bytes)],
            diff,
            ..VerifyRequest::default()
        };
        block_on(session.verify_flash(verify(false, &bytes), &mut |_| {})).unwrap();
        let mut changed = bytes.clone();
        changed[1002] ^= 0x10;
        let mut events = Events::default();
        let error = block_on(session.verify_flash(verify(true, &changed), &mut events.observer()))
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::Differs {
                    failed: 1,
                    files: 1
                }
            ),
            "{error}"
        );
        let expected = vec![(0x4000 + 1002, bytes[1002], changed[1002])];
        assert!(events.has(|event| matches!(
            event,
            Event::Differences { count: 1, bytes } if *bytes == expected
        )));
    }
}

#[test]
fn a_file_is_read_back_besides_its_digest_when_that_is_asked_for() {
    let mut session = connect("esp32c3");
    let bytes = code(5001, 13);
    for _ in 0..2 {
        let request = WriteRequest {
            verify: Verify::ReadBack,
            ..request(vec![file("app.bin", 0x1_0000, &bytes)])
        };
        let mut events = Events::default();
        write(&mut session, request, &mut events).unwrap();
        let proof = Proof::DigestAndReadBack;
        assert!(
            events.has(|event| matches!(event, Event::Verified { proof: p, .. } if *p == proof))
        );
    }
}

/// The ROM's device on USB-OTG takes 2 KiB at a time.
#[test]
fn blocks_are_smaller_over_usb_otg() {
    for chip in CHIPS.iter().filter(|chip| chip.usb.otg_product.is_some()) {
        let commands = ["uart", "otg"].map(|usb| {
            let mut session = connect(&format!("{}?usb={usb}", chip.id));
            let before = session.link().stats().commands;
            let bytes = noise(120_000, 14);
            let request = request(vec![file("app.bin", 0x1_0000, &bytes)]);
            write(&mut session, request, &mut Events::default()).unwrap();
            assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, chip.id);
            session.link().stats().commands - before
        });
        let blocks = |size: u64| 120_000_u64.div_ceil(size);
        assert_eq!(
            commands[1] - commands[0],
            blocks(0x800) - blocks(0x1800),
            "{}",
            chip.id
        );
    }
}
