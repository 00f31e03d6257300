use std::time::Duration;

use guru_link::trace::{Counters, Event, Replay, Trace, TraceSink, TraceText};
use guru_link::{Link, block_on};

/// Most of a session that is played back: what a file costs to play must follow from its length.
const EVENTS: usize = 1000;

/// A trace file: what is read is written and read again as the same, can be shown, and plays back
/// to a program that does what was recorded.
pub fn trace(bytes: &[u8]) {
    let Ok(trace) = String::from_utf8_lossy(bytes).parse::<Trace>() else {
        return;
    };
    assert_eq!(trace.to_string().parse().as_ref(), Ok(&trace));
    Counters::of(trace.records.iter().map(|record| &record.event));
    let mut shown = TraceText::new(|line: &str| assert!(!line.contains(char::is_control)));
    shown.start(&trace.header);
    for record in &trace.records {
        shown.record(record);
    }
    let mut replay = Replay::new(trace.clone());
    for record in trace.records.iter().take(EVENTS) {
        // Losses come in the place of what is asked for, so errors are to be expected.
        let _ = match &record.event {
            Event::Write(bytes) => block_on(replay.write(bytes)),
            Event::Read(bytes) => {
                let deadline = replay.now() + Duration::from_secs(1);
                block_on(replay.read(&mut vec![0; bytes.len()], deadline)).map(drop)
            }
            Event::Baud(baud) => block_on(replay.set_baud(*baud)),
            Event::Lines(lines) => block_on(replay.set_lines(*lines)),
            Event::Discard => block_on(replay.discard_input()),
            Event::Reopen | Event::Lost => block_on(replay.reopen()),
        };
    }
    let _ = replay.finish();
}
