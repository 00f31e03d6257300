use std::time::Duration;

use guru_chip::CHIPS;
use guru_link::{Cancel, Link, block_on};
use guru_loader::{
    Before, ChipRead, ConnectFailure, ConnectOptions, Error, Event, FlashOptions, Notice, Session,
};
use guru_sim::SimLink;

use crate::bench::{Events, connect, powered, try_connect};

#[test]
fn every_chip_is_detected_and_described_as_it_was_made() {
    for chip in CHIPS {
        let session = connect(&format!("{}?mac=12:34:56:78:9a:bc", chip.id));
        assert_eq!(session.chip().id, chip.id);
        let device = session.device();
        if chip.id != "esp8266" {
            assert_eq!(
                device.mac.as_deref(),
                Some("12:34:56:78:9a:bc"),
                "{}",
                chip.id
            );
        }
        assert!(
            device.description.is_some() && device.crystal_mhz.is_some(),
            "{}",
            chip.id
        );
    }
}

#[test]
fn another_chip_than_the_named_one_is_refused() {
    let chip = guru_chip::by_id("esp32");
    let options = ConnectOptions {
        chip,
        ..ConnectOptions::default()
    };
    let error = try_connect("esp32c3", options, &mut Events::default())
        .err()
        .unwrap();
    assert!(
        matches!(error, Error::WrongChip { named: "ESP32", .. }),
        "{error}"
    );
}

#[test]
fn a_chip_that_runs_its_application_is_named_as_the_reason() {
    let options = ConnectOptions {
        before: Before::NoReset,
        attempts: Some(2),
        ..ConnectOptions::default()
    };
    let error = try_connect("esp32c3?boot=app", options, &mut Events::default())
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            Error::Connect {
                reason: ConnectFailure::Silence | ConnectFailure::WrongBootMode(_),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_chip_that_runs_its_application_is_reset_into_its_loader() {
    for chip in CHIPS {
        connect(&format!("{}?boot=app", chip.id));
    }
}

#[test]
fn usb_serial_jtag_has_a_reset_of_its_own() {
    for chip in CHIPS.iter().filter(|chip| chip.usb.serial_jtag) {
        connect(&format!("{}?boot=app&usb=jtag", chip.id));
    }
}

#[test]
fn the_flash_is_found_on_every_chip() {
    for chip in CHIPS {
        let mut session = connect(&format!("{}?flash-size=4MB", chip.id));
        let info = block_on(session.flash_info(&FlashOptions::default(), &mut |_| {})).unwrap();
        assert_eq!(info.size_label, Some("4MB"), "{}", chip.id);
    }
}

/// The reference needs about 80 round trips for `flash-id`.
#[test]
fn the_flash_is_found_in_forty_round_trips() {
    let mut session = connect("esp32c3");
    block_on(session.flash_info(&FlashOptions::default(), &mut |_| {})).unwrap();
    let commands = session.link().stats().commands;
    assert!(commands <= 40, "{commands}");
}

/// Why a chip cannot be reached that was powered a second ago.
fn reason(address: &str, before: Before) -> ConnectFailure {
    let options = ConnectOptions {
        before,
        attempts: Some(2),
        ..ConnectOptions::default()
    };
    match block_on(Session::connect(powered(address), options, &mut |_| {})) {
        Err(Error::Connect { reason, .. }) => reason,
        Err(error) => panic!("{address}: {error}"),
        Ok(_) => panic!("{address}: it was reached"),
    }
}

#[test]
fn a_wire_that_is_open_is_told_from_what_comes_over_the_others() {
    for chip in CHIPS {
        let id = chip.id;
        let found = reason(&format!("{id}?fault=cut:rx"), Before::DefaultReset);
        assert_eq!(found, ConnectFailure::Silence, "{id}");
        // With a crystal of 26 MHz the boot log comes at 74880 baud and cannot be read.
        let crystal = match id {
            "esp8266" => continue,
            "esp32c2" => "&crystal=40",
            _ => "",
        };
        let address = format!("{id}?boot=app&fault=cut:boot{crystal}");
        let found = reason(&address, Before::DefaultReset);
        let revision = guru_sim::SimOptions::new(chip).revision();
        let mode = chip.rom.boot_mode(revision, false).unwrap();
        let expected = ConnectFailure::WrongBootMode(mode.strap.into());
        assert_eq!(found, expected, "{id}");
        let address = format!("{id}?fault=cut:tx{crystal}");
        let found = reason(&address, Before::DefaultReset);
        assert_eq!(found, ConnectFailure::TxPathDown, "{id}");
    }
}

#[test]
fn a_firmware_that_panics_is_told_with_its_cause() {
    let found = reason("esp32?boot=panic&fault=cut:en", Before::DefaultReset);
    let cause = "IllegalInstruction".to_owned();
    assert_eq!(found, ConnectFailure::Panic(cause));
}

#[test]
fn what_comes_in_place_of_an_answer_is_told_by_its_first_byte() {
    let found = reason("esp32?boot=app&fault=cut:en", Before::NoReset);
    assert!(matches!(found, ConnectFailure::Garbage(_)), "{found}");
}

#[test]
fn an_answer_that_breaks_off_is_told() {
    // Five bytes of an answer pass behind the boot log.
    let mut link = SimLink::open("sim://esp32", Cancel::default()).unwrap();
    let (mut log, deadline) = ([0; 1000], link.now() + Duration::from_secs(1));
    let mut after = 5;
    loop {
        match block_on(link.read(&mut log, deadline)).unwrap() {
            0 => break,
            length => after += length,
        }
    }
    let address = format!("esp32?fault=drop:rx:1/1,after={after}");
    let found = reason(&address, Before::NoReset);
    assert_eq!(found, ConnectFailure::CutShort);
}

/// It answers SYNC with 0. A reset ends it, where there is one.
#[test]
fn the_stub_of_another_program_is_told_and_ended_by_a_reset() {
    for chip in CHIPS {
        let address = format!("{}?boot=stub", chip.id);
        let found = reason(&address, Before::NoReset);
        assert_eq!(found, ConnectFailure::StubRunning, "{}", chip.id);
        connect(&address);
    }
}

#[test]
fn a_chip_that_nobody_knows_is_refused_or_taken_for_the_named_one_with_a_warning() {
    for (address, expected) in [
        ("esp32c3?chip-id=99", ChipRead::Id(99)),
        ("esp32?chip-id=0x12345678", ChipRead::Magic(0x1234_5678)),
    ] {
        let mut events = Events::default();
        match try_connect(address, ConnectOptions::default(), &mut events) {
            Err(Error::UnknownChip(read)) => assert_eq!(read, expected),
            _ => panic!("{address}"),
        }
        let (id, _) = address.split_once('?').unwrap();
        let options = ConnectOptions {
            chip: guru_chip::by_id(id),
            ..ConnectOptions::default()
        };
        let session = try_connect(address, options, &mut events).unwrap();
        assert_eq!(session.chip().id, id);
        let warned = |event: &Event| matches!(event, Event::Notice(Notice::UnexpectedChip { read, .. }) if *read == expected);
        assert!(events.has(warned), "{address}");
    }
}

#[test]
fn a_chip_that_needs_a_higher_rate_is_said_to_when_it_is_named() {
    for (id, baud, expected) in [
        ("esp32c2", 57_600, true),
        ("esp32c2", 115_200, false),
        ("esp32c3", 57_600, false),
    ] {
        let options = ConnectOptions {
            chip: guru_chip::by_id(id),
            baud: Some(baud),
            attempts: Some(1),
            ..ConnectOptions::default()
        };
        let address = format!("{id}?fault=cut:rx");
        let error = try_connect(&address, options, &mut Events::default()).err();
        let error = error.unwrap();
        assert_eq!(error.may_need_higher_rate(), expected, "{id} at {baud}");
    }
}

/// Nothing is sent before the first command: the chip is known to be in step already.
#[test]
fn without_reset_and_sync_a_chip_in_step_is_taken_as_it_is() {
    let session = connect("esp32c3");
    let link = session.into_link();
    let options = ConnectOptions {
        before: Before::NoResetNoSync,
        ..ConnectOptions::default()
    };
    let mut events = Events::default();
    let session = block_on(Session::connect(link, options, &mut events.observer())).unwrap();
    assert_eq!(session.chip().id, "esp32c3");
    assert!(!events.has(|event| matches!(event, Event::ConnectAttempt { .. })));
}
