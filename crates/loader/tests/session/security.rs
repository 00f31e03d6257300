//! Chips whose eFuses restrict what their loader does.

use guru_chip::{CHIPS, Chip};
use guru_link::block_on;
use guru_loader::{
    CannotEncrypt, ConnectFailure, ConnectOptions, EraseRegion, Error, ErrorKind, Event, FilePart,
    FlashOptions, FlashSizeOption, Guard, NotInSecureDownload, Notice, ReadLength, Unverified,
    VerifyRequest, WriteRequest,
};

use crate::bench::{
    Events, SimSession, assert_same, connect, file, fill, flash, read, request, try_connect, write,
};
use guru_testkit::{code, noise};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn with_secure_download() -> impl Iterator<Item = &'static Chip> {
    CHIPS
        .iter()
        .copied()
        .filter(|chip| chip.efuse.field("ENABLE_SECURITY_DOWNLOAD").is_some())
}

fn sized(label: &str) -> FlashOptions {
    FlashOptions {
        size: FlashSizeOption::Set(label.to_owned()),
        ..FlashOptions::default()
    }
}

fn encrypted(part: FilePart) -> FilePart {
    FilePart {
        encrypt: true,
        ..part
    }
}

fn write_one(session: &mut SimSession, part: FilePart) -> Result<(), Error> {
    write(session, request(vec![part]), &mut Events::default()).map(drop)
}

#[track_caller]
fn assert_forbidden(result: Result<(), Error>, expected: impl Fn(&Error) -> bool, about: &str) {
    let error = result.expect_err(about);
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{about}: {error}");
    assert!(error.hint().is_some(), "{about}: {error}");
    assert!(expected(&error), "{about}: {error}");
}

#[test]
fn in_secure_download_mode_a_write_is_made_and_said_to_be_unproved() {
    for chip in with_secure_download() {
        let mut session = connect(&format!("{}?secure-download", chip.id));
        fill(&session, 0, &noise(0x2_0000, 1));
        let bytes = code(9001, 1);
        let mut events = Events::default();
        let part = file("app.bin", 0x1_0000, &bytes);
        let report = write(&mut session, request(vec![part]), &mut events).unwrap();
        assert!(!report.files[0].verified, "{}", chip.id);
        assert!(
            events.has(|event| matches!(
                event,
                Event::Notice(Notice::NotVerified {
                    reason: Unverified::SecureDownload
                })
            )),
            "{}",
            chip.id
        );
        assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, chip.id);
    }
}

#[test]
fn what_secure_download_mode_does_not_have_is_refused() {
    let refused = |error: &Error| matches!(error, Error::SecureDownload(_));
    for chip in with_secure_download() {
        let mut session = connect(&format!("{}?secure-download", chip.id));
        let mut events = Events::default();
        let options = FlashOptions::default();
        let result = read(&mut session, 0, 0x1000, &mut Vec::new(), &mut events);
        assert_forbidden(result, refused, chip.id);
        let result = block_on(session.flash_info(&options, &mut events.observer()));
        assert_forbidden(result.map(drop), refused, chip.id);
        let verify = VerifyRequest {
            files: vec![file("app.bin", 0x1_0000, &code(5000, 1))],
            ..VerifyRequest::default()
        };
        let result = block_on(session.verify_flash(verify, &mut events.observer()));
        assert_forbidden(result, refused, chip.id);
        let result = block_on(session.erase_flash(&options, false, &mut events.observer()));
        assert_forbidden(result, refused, chip.id);
    }
}

#[test]
fn in_secure_download_mode_flash_is_touched_no_further_than_its_known_size() {
    let before = noise(4 << 20, 3);
    let bytes = code(9000, 1);
    for chip in with_secure_download() {
        let mut session = connect(&format!("{}?secure-download", chip.id));
        fill(&session, 0, &before);
        let part = || file("app.bin", 0x1F_F000, &bytes);
        let beyond = |error: &Error| {
            matches!(
                error,
                Error::SecureDownload(NotInSecureDownload::Beyond { .. })
            )
        };
        assert_forbidden(write_one(&mut session, part()), beyond, chip.id);
        let region = EraseRegion {
            address: 0x20_0000,
            length: ReadLength::Bytes(0x1000),
        };
        let mut events = Events::default();
        let options = FlashOptions::default();
        let result =
            block_on(session.erase_region(&options, region, false, &mut events.observer()));
        assert_forbidden(result, beyond, chip.id);
        assert_same(&flash(&session, 0, before.len()), &before, chip.id);

        let named = WriteRequest {
            flash: sized("4MB"),
            ..request(vec![part()])
        };
        write(&mut session, named, &mut events).unwrap();
        assert_same(&flash(&session, 0x1F_F000, bytes.len()), &bytes, chip.id);
        let result =
            block_on(session.erase_region(&sized("4MB"), region, false, &mut events.observer()));
        result.unwrap();
    }
}

/// Its addresses have 24 bits: what lies beyond would be written from 0 on.
#[test]
fn what_lies_beyond_16_mb_is_refused() {
    for options in [
        "esp32s3?secure-download&flash-size=32MB",
        "esp32c3?flash-size=32MB",
    ] {
        let mut session = connect(options);
        let start = noise(0x8000, 3);
        fill(&session, 0, &start);
        for address in [0x100_0000, 0xFF_F000] {
            let request = WriteRequest {
                flash: sized("32MB"),
                ..request(vec![file("app.bin", address, &code(9000, 1))])
            };
            let result = write(&mut session, request, &mut Events::default());
            assert!(
                matches!(result, Err(Error::BeyondAddresses { .. })),
                "{options}: {result:?}"
            );
        }
        assert_same(&flash(&session, 0, start.len()), &start, options);
    }
}

#[test]
fn in_secure_download_mode_all_of_a_named_size_is_erased_in_regions() {
    let mut session = connect("esp32c6?secure-download");
    fill(&session, 0, &noise(4 << 20, 3));
    let mut events = Events::default();
    block_on(session.erase_flash(&sized("4MB"), false, &mut events.observer())).unwrap();
    assert_same(&flash(&session, 0, 4 << 20), &vec![0xFF; 4 << 20], "flash");
}

#[test]
fn plain_text_is_kept_from_a_chip_that_could_not_boot_it() {
    for (options, guard) in [
        (
            "esp32c3?set.SPI_BOOT_CRYPT_CNT=1&secure-download",
            Guard::PlainInSecureDownload,
        ),
        (
            "esp32c3?set.SPI_BOOT_CRYPT_CNT=7&set.DIS_DOWNLOAD_MANUAL_ENCRYPT=1",
            Guard::PlainInReleaseMode,
        ),
        (
            "esp32?set.FLASH_CRYPT_CNT=127&set.DISABLE_DL_ENCRYPT=1",
            Guard::PlainInReleaseMode,
        ),
        ("esp32?set.ABS_DONE_0=1", Guard::SecureBootV1),
        (
            "esp32p4?set.SPI_BOOT_CRYPT_CNT=1&set.FORCE_USE_KEY_MANAGER_KEY=2",
            Guard::KeyManager,
        ),
    ] {
        let mut session = connect(options);
        let before = noise(0x1_0000, 3);
        fill(&session, 0, &before);
        let bytes = code(3000, 1);
        let result = write_one(&mut session, file("app.bin", 0x1000, &bytes));
        let guarded = |error: &Error| matches!(error, Error::Guarded(found) if *found == guard);
        assert_forbidden(result, guarded, options);
        assert_same(&flash(&session, 0, before.len()), &before, options);
        let forced = WriteRequest {
            force: true,
            ..request(vec![file("app.bin", 0x1000, &bytes)])
        };
        write(&mut session, forced, &mut Events::default()).unwrap();
        assert_same(&flash(&session, 0x1000, bytes.len()), &bytes, options);
    }
}

#[test]
fn plain_text_for_a_chip_in_development_mode_is_named() {
    let mut session = connect("esp32c3?set.SPI_BOOT_CRYPT_CNT=1");
    let mut events = Events::default();
    let part = file("app.bin", 0x1_0000, &code(3000, 1));
    write(&mut session, request(vec![part]), &mut events).unwrap();
    assert!(events.has(|event| matches!(event, Event::Notice(Notice::PlainOnEncrypted))));
}

#[test]
fn an_erase_that_a_device_would_not_survive_needs_force() {
    for (options, guard) in [
        ("esp32s3?set.SECURE_BOOT_EN=1", Guard::EraseSecureBoot),
        ("esp32?rev=3.0&set.ABS_DONE_1=1", Guard::EraseSecureBoot),
        ("esp32s3?set.SPI_BOOT_CRYPT_CNT=1", Guard::EraseEncrypted),
        (
            "esp32c5?set.SPI_BOOT_CRYPT_CNT=1&set.FORCE_USE_KEY_MANAGER_KEY=2",
            Guard::EraseKeyManager,
        ),
    ] {
        let mut session = connect(options);
        let before = noise(0x1_0000, 3);
        fill(&session, 0, &before);
        let region = EraseRegion {
            address: 0x1000,
            length: ReadLength::Bytes(0x1000),
        };
        let mut events = Events::default();
        let flash_options = FlashOptions::default();
        let result =
            block_on(session.erase_region(&flash_options, region, false, &mut events.observer()));
        let guarded = |error: &Error| matches!(error, Error::Guarded(found) if *found == guard);
        assert_forbidden(result, guarded, options);
        let result = block_on(session.erase_flash(&flash_options, false, &mut events.observer()));
        assert_forbidden(result, |error| matches!(error, Error::Guarded(_)), options);
        assert_same(&flash(&session, 0, before.len()), &before, options);
        block_on(session.erase_region(&flash_options, region, true, &mut events.observer()))
            .unwrap();
        assert_same(&flash(&session, 0x1000, 0x1000), &[0xFF; 0x1000], options);
    }
}

#[test]
fn an_encrypted_write_that_the_chip_cannot_make_is_refused() {
    type Expected = fn(CannotEncrypt) -> bool;
    let states: [(&str, Expected); 6] = [
        ("esp8266", |reason| {
            matches!(reason, CannotEncrypt::NoEncryption { .. })
        }),
        ("esp32", |reason| {
            matches!(reason, CannotEncrypt::Rom { .. })
        }),
        (
            "esp32s3?set.DIS_DOWNLOAD_MANUAL_ENCRYPT=1&set.KEY_PURPOSE_0=4",
            |reason| reason == CannotEncrypt::Forbidden,
        ),
        ("esp32s3", |reason| reason == CannotEncrypt::NoKey),
        ("esp32c2", |reason| reason == CannotEncrypt::NoKey),
        // One half of a key of 256 bits.
        ("esp32s2?set.KEY_PURPOSE_0=2", |reason| {
            reason == CannotEncrypt::NoKey
        }),
    ];
    for (options, expected) in states {
        let mut session = connect(options);
        let part = encrypted(file("app.bin", 0x1_0000, &code(3000, 1)));
        let plain = file("nvs.bin", 0x9000, &code(3000, 2));
        let result = write(
            &mut session,
            request(vec![plain, part]),
            &mut Events::default(),
        );
        let why =
            |error: &Error| matches!(error, Error::CannotEncrypt(reason) if expected(*reason));
        assert_forbidden(result.map(drop), why, options);
        assert_same(&flash(&session, 0, 0x2_0000), &[0xFF; 0x2_0000], options);
    }
}

#[test]
fn an_encrypted_write_without_a_key_is_made_if_insisted_on() {
    let mut session = connect("esp32c3");
    let careless = WriteRequest {
        ignore_encryption_efuse: true,
        ..request(vec![encrypted(file("app.bin", 0x1_0008, &code(3000, 1)))])
    };
    let mut events = Events::default();
    write(&mut session, careless, &mut events).unwrap();
    for wanted in [
        CannotEncrypt::NoKey,
        CannotEncrypt::Unaligned {
            address: 0x1_0008,
            align: 16,
        },
    ] {
        assert!(events.has(|event| matches!(
            event,
            Event::Notice(Notice::EncryptsDespite { reason }) if *reason == wanted
        )));
    }
}

#[test]
fn what_was_encrypted_is_not_said_to_be_verified() {
    let mut session = connect(&format!(
        "esp32c3?set.SPI_BOOT_CRYPT_CNT=1&set.KEY_PURPOSE_0=4&set.KEY0={KEY}"
    ));
    let bytes = code(5001, 1);
    let mut events = Events::default();
    let part = encrypted(file("app.bin", 0x1_0000, &bytes));
    let report = write(&mut session, request(vec![part]), &mut events).unwrap();
    assert!(!report.files[0].verified);
    assert!(events.has(|event| matches!(
        event,
        Event::Notice(Notice::NotVerified {
            reason: Unverified::Encrypted
        })
    )));
    let found = flash(&session, 0x1_0000, bytes.len());
    assert_ne!(found, bytes);
    assert_ne!(found, vec![0xFF; bytes.len()]);
}

#[test]
fn a_chip_whose_download_mode_is_disabled_is_named_as_such() {
    for chip in CHIPS {
        let Some(rules) = &chip.efuse.download else {
            continue;
        };
        let more = match chip.id {
            // Earlier ones do not look at it.
            "esp32" => "&rev=3.0",
            // With 26 MHz its log comes at another rate, and is noise.
            "esp32c2" => "&crystal=40",
            _ => "",
        };
        let address = format!("{}?set.{}=1{more}", chip.id, rules.disabled);
        let options = ConnectOptions {
            attempts: Some(2),
            ..ConnectOptions::default()
        };
        let result = try_connect(&address, options, &mut Events::default());
        let disabled = |error: &Error| {
            matches!(
                error,
                Error::Connect {
                    reason: ConnectFailure::DownloadDisabled(_),
                    ..
                }
            )
        };
        assert_forbidden(result.map(drop), disabled, &address);
    }
}

#[test]
fn a_loader_that_does_not_listen_to_its_usb_is_named_as_such() {
    for chip in CHIPS {
        let Some(rules) = &chip.efuse.download else {
            continue;
        };
        let Some(field) = rules.no_serial_jtag.last() else {
            continue;
        };
        let options = ConnectOptions {
            attempts: Some(2),
            ..ConnectOptions::default()
        };
        let address = format!("{}?usb=jtag&set.{field}=1", chip.id);
        let error = try_connect(&address, options, &mut Events::default())
            .err()
            .unwrap();
        assert!(
            matches!(
                error,
                Error::Connect {
                    reason: ConnectFailure::UsbDownloadDisabled,
                    ..
                }
            ),
            "{address}: {error}"
        );
    }
}
