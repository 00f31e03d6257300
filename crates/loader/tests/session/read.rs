use guru_chip::CHIPS;
use guru_loader::{Error, Event, Notice};

use crate::bench::{Events, assert_same, connect, fill, read};
use guru_testkit::noise;

#[test]
fn every_chip_gives_back_what_its_flash_holds() {
    for chip in CHIPS {
        let mut session = connect(chip.id);
        let bytes = noise(5003, 1);
        fill(&session, 0x1_0001, &bytes);
        let mut sink = Vec::new();
        read(
            &mut session,
            0x1_0001,
            5003,
            &mut sink,
            &mut Events::default(),
        )
        .unwrap();
        assert_same(&sink, &bytes, chip.id);
    }
}

#[test]
fn an_interrupted_read_goes_on_behind_what_still_matches() {
    let mut session = connect("esp32c3");
    let bytes = noise(100_000, 2);
    fill(&session, 0, &bytes);
    let mut sink = bytes[..50_000].to_vec();
    let mut events = Events::default();
    read(&mut session, 0, 100_000, &mut sink, &mut events).unwrap();
    assert_same(&sink, &bytes, "the file");
    assert!(events.has(|event| matches!(
        event,
        Event::ReadDone {
            resumed: 49_152,
            ..
        }
    )));
}

#[test]
fn what_was_read_from_another_flash_is_not_kept() {
    let mut session = connect("esp32c3");
    let bytes = noise(20_000, 3);
    fill(&session, 0, &bytes);
    let mut sink = noise(9_000, 4);
    let mut events = Events::default();
    read(&mut session, 0, 20_000, &mut sink, &mut events).unwrap();
    assert_same(&sink, &bytes, "the file");
    assert!(events.has(|event| matches!(event, Event::Notice(Notice::PartNotReused))));
}

#[test]
fn a_read_beyond_the_flash_is_refused() {
    let mut session = connect("esp32c3?flash-size=4MB");
    let mut sink = Vec::new();
    let error = read(
        &mut session,
        0x3F_FFFF,
        2,
        &mut sink,
        &mut Events::default(),
    )
    .unwrap_err();
    assert!(matches!(error, Error::OutsideFlash { .. }), "{error}");
}

#[test]
fn a_read_that_fails_keeps_what_was_proved_and_says_so() {
    let mut session = connect("esp32c3?fault=drop:tx:1/1,after=30000");
    let bytes = noise(150_000, 2);
    fill(&session, 0, &bytes);
    let mut sink = Vec::new();
    let mut events = Events::default();
    read(&mut session, 0, 150_000, &mut sink, &mut events).unwrap_err();
    assert_same(&sink, &bytes[..64 << 10], "the file");
    let kept = |event: &Event| matches!(event, Event::Notice(Notice::PartKept { bytes }) if *bytes == 64 << 10);
    assert!(events.has(kept));
}
