use guru_chip::CHIPS;
use guru_link::block_on;
use guru_loader::{Before, ConnectFailure, ConnectOptions, Error, FlashOptions};

use crate::bench::{Events, connect, try_connect};

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
