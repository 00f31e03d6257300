//! Writing what differs from what is believed to be in flash.

use guru_loader::{Compress, Event, FilePart, Incomparable, Notice, Skip, Verify, WriteRequest};
use guru_testkit::code;
use proptest::prelude::*;

use crate::bench::{Events, SimSession, assert_same, connect, file, fill, flash, request, write};

/// A file with what is believed to be in its place.
fn part(address: u32, new: &[u8], old: &[u8]) -> FilePart {
    FilePart {
        previous: Some(file("old.bin", 0, old).contents),
        ..file("new.bin", address, new)
    }
}

/// A copy with one byte changed.
fn changed(old: &[u8], at: usize) -> Vec<u8> {
    let mut new = old.to_vec();
    new[at] ^= 0xFF;
    new
}

/// The request as the old tool has it: nothing is asked before a write.
fn unasked(part: FilePart) -> WriteRequest {
    WriteRequest {
        skip: Skip::Never,
        ..request(vec![part])
    }
}

fn disbelieved(events: &Events, after_write: bool) -> bool {
    events.has(|event| {
        matches!(
            event,
            Event::Notice(Notice::NotAsBelieved { changed, .. }) if *changed == after_write
        )
    })
}

fn erased(session: &SimSession) -> u64 {
    session.link().stats().erased_bytes
}

#[test]
fn with_the_old_contents_known_only_changed_sectors_are_written() {
    let mut session = connect("esp32c3");
    let old = code(100_000, 6);
    let new = changed(&changed(&old, 50_000), 99_999);
    fill(&session, 0x1_0000, &old);
    let mut events = Events::default();
    let report = write(
        &mut session,
        request(vec![part(0x1_0000, &new, &old)]),
        &mut events,
    )
    .unwrap();
    assert_same(&flash(&session, 0x1_0000, new.len()), &new, "the flash");
    assert_eq!(erased(&session), 0x2000);
    assert_eq!(report.files[0].unchanged, 0x1_8000 - 0x1000);
    assert!(report.files[0].verified);
    assert!(events.has(|event| matches!(
        event,
        Event::Compared {
            changed: 2,
            sectors: 25,
            trusted: false
        }
    )));
    let runs = events.0.iter().filter_map(|event| match event {
        Event::RunWritten {
            address, sectors, ..
        } => Some((*address, *sectors)),
        _ => None,
    });
    assert!(runs.eq([(0x1_C000, 1), (0x2_8000, 1)]));
}

#[test]
fn old_contents_that_were_not_there_are_found_out_and_the_file_is_written_whole() {
    for compress in [Compress::Auto, Compress::Never] {
        for verify in [Verify::Digest, Verify::ReadBack, Verify::Never] {
            let mut session = connect("esp32c3");
            let old = code(100_000, 6);
            let new = changed(&old, 50_000);
            let mut events = Events::default();
            let request = WriteRequest {
                compress,
                verify,
                ..request(vec![part(0x1_0000, &new, &old)])
            };
            write(&mut session, request, &mut events).unwrap();
            assert!(disbelieved(&events, true), "{compress:?} {verify:?}");
            assert_same(&flash(&session, 0x1_0000, new.len()), &new, "the flash");
        }
    }
}

#[test]
fn a_file_that_does_not_differ_from_what_is_not_there_is_written_whole() {
    let mut session = connect("esp32");
    let bytes = code(20_000, 7);
    let mut events = Events::default();
    write(
        &mut session,
        unasked(part(0x1_0000, &bytes, &bytes)),
        &mut events,
    )
    .unwrap();
    assert!(disbelieved(&events, false));
    assert_same(&flash(&session, 0x1_0000, bytes.len()), &bytes, "the flash");
}

#[test]
fn what_is_trusted_is_not_asked_for_and_that_is_told() {
    let mut session = connect("esp32c3");
    let bytes = code(20_000, 8);
    let mut events = Events::default();
    let request = WriteRequest {
        trust_flash_content: true,
        ..request(vec![part(0x1_0000, &bytes, &bytes)])
    };
    let report = write(&mut session, request, &mut events).unwrap();
    assert_eq!(erased(&session), 0);
    assert!(!report.files[0].verified);
    assert!(events.has(|event| matches!(event, Event::Notice(Notice::NotVerified { .. }))));
}

#[test]
fn trust_ends_where_something_is_written() {
    let mut session = connect("esp32c3");
    let old = code(20_000, 9);
    let new = changed(&old, 100);
    let mut events = Events::default();
    let request = WriteRequest {
        trust_flash_content: true,
        ..request(vec![part(0x1_0000, &new, &old)])
    };
    write(&mut session, request, &mut events).unwrap();
    assert!(disbelieved(&events, true));
    assert_same(&flash(&session, 0x1_0000, new.len()), &new, "the flash");
}

/// Else its last bytes would stay behind the new file.
#[test]
fn the_end_of_a_longer_old_file_is_a_difference() {
    let mut session = connect("esp32c3");
    let old = code(6000, 10);
    fill(&session, 0x1_0000, &old);
    let request = unasked(part(0x1_0000, &old[..5000], &old));
    write(&mut session, request, &mut Events::default()).unwrap();
    assert_eq!(flash(&session, 0x1_0000 + 5000, 3192), [0xFF; 3192]);
    assert_eq!(erased(&session), 0x1000);
}

#[test]
fn where_nothing_can_be_asked_everything_is_written() {
    let old = code(10_000, 12);
    let ask = |address: &str, request: WriteRequest| {
        let mut session = connect(address);
        let mut events = Events::default();
        write(&mut session, request, &mut events).unwrap();
        assert_same(&flash(&session, 0x1_0000, old.len()), &old, "the flash");
        let mut reasons = events.0.iter().filter_map(|event| match event {
            Event::Notice(Notice::WritesAll { option, reason }) => Some((*option, *reason)),
            _ => None,
        });
        reasons.next().unwrap()
    };
    let believing = || unasked(part(0x1_0000, &old, &old));
    assert_eq!(
        ask("esp8266", believing()),
        ("--diff-with", Incomparable::NoDigest)
    );
    assert_eq!(
        ask("esp32c3?secure-download=1", believing()),
        ("--diff-with", Incomparable::SecureDownload)
    );
    let erasing = WriteRequest {
        erase_all: true,
        ..believing()
    };
    assert_eq!(
        ask("esp32c3", erasing),
        ("--diff-with", Incomparable::Erased)
    );
    let skipping = WriteRequest {
        skip: Skip::Files,
        ..request(vec![file("new.bin", 0x1_0000, &old)])
    };
    assert_eq!(
        ask("esp8266", skipping),
        ("--skip-flashed", Incomparable::NoDigest)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was believed and whatever is there, the flash holds the file in the end.
    #[test]
    fn no_belief_leaves_a_wrong_file(
        length in 1_usize..40_000,
        old_length in 0_usize..40_000,
        there_length in 0_usize..40_000,
        at in 0_usize..40_000,
        address in (0_u32..16).prop_map(|sector| 0x1_0000 + sector * 0x321),
    ) {
        let base = code(40_000, 3);
        let mut session = connect("esp32c3");
        fill(&session, address, &base[..there_length]);
        let new = changed(&base[..length], at % length);
        write(
            &mut session,
            unasked(part(address, &new, &base[..old_length])),
            &mut Events::default(),
        )
        .unwrap();
        prop_assert!(flash(&session, address, length) == new);
    }
}
