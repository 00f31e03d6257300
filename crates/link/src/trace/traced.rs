use std::borrow::Cow;
use std::time::Duration;

use super::{Counters, Event, Record, TraceHeader};
use crate::{Instant, Lines, Link, LinkError, PortInfo};

/// Takes a session as it happens: prints it, keeps it, or both.
pub trait TraceSink {
    /// A session begins.
    fn start(&mut self, header: &TraceHeader);

    /// Something happened. It must not fail: a sink that can fail keeps its error for later.
    fn record(&mut self, record: &Record<'_>);
}

impl<S: TraceSink + ?Sized> TraceSink for Box<S> {
    fn start(&mut self, header: &TraceHeader) {
        (**self).start(header);
    }

    fn record(&mut self, record: &Record<'_>) {
        (**self).record(record);
    }
}

/// Both get everything.
impl<A: TraceSink, B: TraceSink> TraceSink for (A, B) {
    fn start(&mut self, header: &TraceHeader) {
        self.0.start(header);
        self.1.start(header);
    }

    fn record(&mut self, record: &Record<'_>) {
        self.0.record(record);
        self.1.record(record);
    }
}

/// `None` takes nothing.
impl<S: TraceSink> TraceSink for Option<S> {
    fn start(&mut self, header: &TraceHeader) {
        if let Some(sink) = self {
            sink.start(header);
        }
    }

    fn record(&mut self, record: &Record<'_>) {
        if let Some(sink) = self {
            sink.record(record);
        }
    }
}

/// A link that counts what passes, and hands it to a sink if it has one. Without a sink it costs a
/// few additions a call.
pub struct Traced<L> {
    link: L,
    sink: Option<Box<dyn TraceSink + Send>>,
    counters: Counters,
}

impl<L: Link> Traced<L> {
    /// Counts only.
    pub fn new(link: L) -> Self {
        Self {
            link,
            sink: None,
            counters: Counters::default(),
        }
    }

    /// Counts, and records into `sink`.
    pub fn with_sink(link: L, mut sink: Box<dyn TraceSink + Send>) -> Self {
        sink.start(&TraceHeader {
            port: link.info().clone(),
            baud: link.baud(),
        });
        Self {
            link,
            sink: Some(sink),
            counters: Counters::default(),
        }
    }

    /// Ends the recording, and gives the sink back.
    pub fn take_sink(&mut self) -> Option<Box<dyn TraceSink + Send>> {
        self.sink.take()
    }

    /// The sums so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The link behind it.
    pub fn inner(&self) -> &L {
        &self.link
    }

    /// The link behind it. What is done with it directly is not recorded.
    pub fn inner_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// The link behind it.
    pub fn into_inner(self) -> L {
        self.link
    }

    fn record(&mut self, event: Event<'_>) {
        self.counters.count(&event);
        if let Some(sink) = &mut self.sink {
            let at = self.link.now();
            sink.record(&Record { at, event });
        }
    }

    /// Records what was done, or that the link was lost over it.
    fn done(&mut self, result: Result<(), LinkError>, event: Event<'_>) -> Result<(), LinkError> {
        match &result {
            Ok(()) => self.record(event),
            Err(error) if error.is_lost() => self.record(Event::Lost),
            Err(_) => {}
        }
        result
    }
}

impl<L: Link> Link for Traced<L> {
    fn info(&self) -> &PortInfo {
        self.link.info()
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        let result = self.link.read(buffer, deadline).await;
        match &result {
            Ok(0) => {}
            Ok(count) => {
                let bytes = buffer.get(..*count).unwrap_or_default();
                self.record(Event::Read(Cow::Borrowed(bytes)));
            }
            Err(error) if error.is_lost() => self.record(Event::Lost),
            Err(_) => {}
        }
        result
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let result = self.link.write(bytes).await;
        if bytes.is_empty() {
            return result;
        }
        self.done(result, Event::Write(Cow::Borrowed(bytes)))
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        let result = self.link.set_baud(baud).await;
        self.done(result, Event::Baud(baud))
    }

    fn baud(&self) -> u32 {
        self.link.baud()
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        let result = self.link.set_lines(lines).await;
        if lines == Lines::default() {
            return result;
        }
        self.done(result, Event::Lines(lines))
    }

    async fn keep_lines(&mut self) -> Result<(), LinkError> {
        self.link.keep_lines().await
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        let result = self.link.discard_input().await;
        self.done(result, Event::Discard)
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        let result = self.link.reopen().await;
        self.done(result, Event::Reopen)
    }

    fn now(&self) -> Instant {
        self.link.now()
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        self.link.sleep(time).await
    }
}
