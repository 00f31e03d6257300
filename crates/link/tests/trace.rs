//! A session recorded on one link and played back.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use guru_link::trace::{Counters, Replay, Trace, TraceSink, TraceText, TraceWriter, Traced};
use guru_link::{Capabilities, Lines, Link, LinkError, ManualClock, MemoryLink, block_on};

const ECHO: Duration = Duration::from_millis(3);

/// What is kept of a session: its file, and lines for people.
#[derive(Clone, Default)]
struct Kept {
    file: Arc<Mutex<Vec<u8>>>,
    lines: Arc<Mutex<Vec<String>>>,
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn sink(&self) -> Box<dyn TraceSink + Send> {
        let lines = Arc::clone(&self.lines);
        let text = TraceText::new(move |line: &str| lines.lock().unwrap().push(line.to_owned()));
        Box::new((TraceWriter::new(Shared(Arc::clone(&self.file))), text))
    }

    fn trace(&self) -> Trace {
        let file = self.file.lock().unwrap().clone();
        String::from_utf8(file).unwrap().parse().unwrap()
    }
}

/// A reset, a change of the baud rate and two questions, each of which is answered.
async fn session(
    link: &mut impl Link,
    mut device: impl FnMut(),
) -> Result<Vec<Vec<u8>>, LinkError> {
    let mut answers = Vec::new();
    link.set_lines(Lines::both(false, true)).await?;
    link.sleep(Duration::from_millis(100)).await?;
    link.set_lines(Lines::rts(false)).await?;
    link.discard_input().await?;
    link.set_baud(460_800).await?;
    for question in [b"first", b"again"] {
        link.write(question).await?;
        device();
        let mut buffer = [0; 64];
        let deadline = link.now() + Duration::from_secs(1);
        let count = link.read(&mut buffer, deadline).await?;
        answers.push(buffer[..count].to_vec());
        // Nothing more comes: this waits.
        let deadline = link.now() + Duration::from_millis(50);
        assert_eq!(link.read(&mut buffer, deadline).await?, 0);
    }
    Ok(answers)
}

fn record(kept: &Kept) -> (Vec<Vec<u8>>, Counters) {
    let clock = ManualClock::jumping();
    let (near, mut far) = MemoryLink::pair(&clock, Capabilities::SERIAL, 115_200);
    let mut link = Traced::with_sink(near, kept.sink());
    let device = || {
        let mut buffer = [0; 64];
        let count = block_on(far.read(&mut buffer, far.now())).unwrap();
        clock.advance(ECHO);
        block_on(far.write(&buffer[..count])).unwrap();
    };
    let answers = block_on(session(&mut link, device)).unwrap();
    let counters = link.counters();
    (answers, counters)
}

#[test]
fn a_recorded_session_plays_back_with_the_same_answers() {
    let kept = Kept::default();
    let (answers, counters) = record(&kept);
    let trace = kept.trace();
    assert_eq!(trace.header.port.name, "memory://near");
    assert_eq!(trace.to_string().parse::<Trace>().unwrap(), trace);
    let events = trace.records.iter().map(|record| &record.event);
    assert_eq!(Counters::of(events), counters);
    assert_eq!((counters.bytes_out, counters.bytes_in), (10, 10));
    assert_eq!(counters.round_trips, 2);

    let mut replay = Traced::new(Replay::new(trace));
    assert_eq!(block_on(session(&mut replay, || ())).unwrap(), answers);
    assert_eq!(replay.baud(), 460_800);
    assert_eq!(replay.counters(), counters);
    replay.into_inner().finish().unwrap();
}

#[test]
fn a_session_can_be_printed_and_kept_at_once() {
    let kept = Kept::default();
    record(&kept);
    let lines = kept.lines.lock().unwrap().join("\n");
    for part in [
        "memory://near at 115200 baud",
        "DTR=0 RTS=1",
        "+0.100000 == RTS=0",
        "460800 baud",
        r#"-> "first""#,
        r#"+0.003000 <- "first""#,
    ] {
        assert!(lines.contains(part), "{part} is not in\n{lines}");
    }
}

#[test]
fn the_end_of_the_device_is_recorded() {
    let kept = Kept::default();
    let clock = ManualClock::jumping();
    let (near, far) = MemoryLink::pair(&clock, Capabilities::SERIAL, 115_200);
    let mut link = Traced::with_sink(near, kept.sink());
    drop(far);
    let deadline = link.now();
    assert!(block_on(link.read(&mut [0; 8], deadline)).is_err());
    let mut replay = Replay::new(kept.trace());
    let deadline = replay.now();
    let error = block_on(replay.read(&mut [0; 8], deadline)).unwrap_err();
    assert!(error.is_lost());
}
