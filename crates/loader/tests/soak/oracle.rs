//! What the flash must hold after a command.

use std::iter;
use std::ops::Range;

use guru_link::{Cancel, block_on};
use guru_loader::{Before, ConnectOptions, Error, ErrorKind, Event, Notice, Session, Verify};
use guru_sim::SimLink;
use guru_sim::flash::Flash;
use guru_testkit::first_difference;

use crate::board::Board;
use crate::job::{Brought, Job, Manner, Part, SECTOR};

/// What a command did to what it should have done.
pub enum Verdict {
    Right,
    /// Only what a line that damages requests makes unavoidable.
    Excused(String),
    Wrong(String),
}

/// The contents of a flash, as commands should have left them.
pub struct Model {
    flash: Flash,
    contents: Vec<u8>,
    /// Bits that cannot leave 0.
    stuck: Vec<(usize, u8)>,
    /// Status registers were written: blocks may be protected.
    protected: bool,
}

/// What a success may look like.
struct Expected {
    contents: Vec<u8>,
    /// Ranges that were announced as erased beside a file: as before, or erased.
    margins: Vec<Range<usize>>,
    /// Ranges that were proved: nothing excuses them.
    proved: Vec<Range<usize>>,
}

impl Model {
    /// Of a flash as it is now.
    pub fn new(flash: Flash, board: &Board) -> Self {
        let stuck = board.faults.stuck_bits.iter();
        Self {
            contents: flash.read(0..flash.size()),
            stuck: stuck.map(|(at, bit)| (*at as usize, 1 << bit)).collect(),
            protected: false,
            flash,
        }
    }

    pub fn contents(&self) -> &[u8] {
        &self.contents
    }

    /// Judges a command (`None`: to connect), and goes on from what the flash holds now.
    pub fn judge(
        &mut self,
        board: &Board,
        job: Option<&Job>,
        result: &Result<Brought, Error>,
        events: &[Event],
        before: Before,
    ) -> Verdict {
        let found = self.flash.read(0..self.flash.size());
        let verdict = match (result, job) {
            (Err(error), _) => self.failed(board, job, error, events, before, &found),
            (Ok(brought), Some(job)) => self.succeeded(board, job, brought, events, &found),
            (Ok(_), None) => self.untouched(board, &found),
        };
        self.protected |= matches!(job, Some(Job::WriteStatus(_)));
        self.contents = found;
        verdict
    }

    fn untouched(&self, board: &Board, found: &[u8]) -> Verdict {
        self.outside(board, found, &[], false)
    }

    /// Everything outside of some ranges is as before.
    fn outside(
        &self,
        board: &Board,
        found: &[u8],
        touched: &[Range<usize>],
        named: bool,
    ) -> Verdict {
        let mut expected = self.contents.clone();
        for range in touched {
            let end = range.end.min(expected.len());
            let range = range.start.min(end)..end;
            expected[range.clone()].copy_from_slice(&found[range]);
        }
        match first_difference(found, &expected) {
            None => Verdict::Right,
            Some(_) if named => Verdict::Right,
            Some(at) if board.damages_requests() => {
                Verdict::Excused(format!("{at:#x} changed, outside of what was asked"))
            }
            Some(at) => Verdict::Wrong(format!(
                "{:#04x} at {at:#x}, outside of what was asked, became {:#04x}",
                expected[at], found[at]
            )),
        }
    }

    fn failed(
        &self,
        board: &Board,
        job: Option<&Job>,
        error: &Error,
        events: &[Event],
        before: Before,
        found: &[u8],
    ) -> Verdict {
        let named = matches!(error, Error::NeighbourChanged { .. }) || names_a_change(events);
        if named && board.is_sound() {
            return Verdict::Wrong("a change outside was named, and nothing is wrong".to_owned());
        }
        if board.is_sound() && !self.is_understood(job, error, before) {
            return Verdict::Wrong("an error, and nothing is wrong".to_owned());
        }
        let refused = matches!(error.kind(), ErrorKind::Usage | ErrorKind::Forbidden);
        if let (Some(Job::Verify(part, _)), Error::Differs { .. }) = (job, error)
            && self.contents.get(part.range()) == Some(&part.bytes)
        {
            return damaged(board, "what is the same was said to differ");
        }
        let touched = match job {
            Some(job) if !(refused && board.is_sound()) => touched(job, found.len()),
            _ => Vec::new(),
        };
        self.outside(board, found, &touched, named)
    }

    /// Errors that a sound board may end with.
    fn is_understood(&self, job: Option<&Job>, error: &Error, before: Before) -> bool {
        match (job, error) {
            // The rate that the chip was left at is not the one that is tried.
            (None, Error::Connect { .. }) => before == Before::NoReset,
            (None, _) => false,
            (Some(Job::Verify(part, _)), Error::Differs { .. }) => {
                self.contents.get(part.range()) != Some(&part.bytes)
            }
            (Some(_), Error::Protected { .. } | Error::StatusNotTaken { .. }) => {
                self.protected || matches!(job, Some(Job::WriteStatus(_)))
            }
            (Some(_), error) => matches!(error.kind(), ErrorKind::Usage | ErrorKind::Forbidden),
        }
    }

    fn succeeded(
        &self,
        board: &Board,
        job: &Job,
        brought: &Brought,
        events: &[Event],
        found: &[u8],
    ) -> Verdict {
        let mut contents = self.contents.clone();
        match job {
            Job::Write(parts, manner) => {
                return match self.expected(board, job, parts, *manner, events) {
                    Ok(expected) => self.compare(board, found, expected, names_a_change(events)),
                    Err(why) => Verdict::Wrong(why),
                };
            }
            Job::EraseRegion(range, _) => {
                contents[range.start as usize..range.end as usize].fill(0xFF);
            }
            Job::EraseFlash(_) => contents.fill(0xFF),
            Job::Read(range) => {
                let right = &contents[range.start as usize..range.end as usize];
                if *brought != Brought::Bytes(right.to_vec()) {
                    return unless_told(board, events, "wrong bytes were read");
                }
            }
            Job::Verify(part, _) if contents.get(part.range()) != Some(&part.bytes) => {
                return damaged_unproved(board, "a difference was not found");
            }
            Job::FlashId | Job::Status(_)
                if !board.has_bad_flash() && *brought != Brought::Id(board.part.id().0) =>
            {
                return damaged(board, "another id was read");
            }
            Job::WriteMemory(_) if matches!(brought, Brought::Words(written, new) if written != new) =>
            {
                return damaged(board, "memory holds something else than was written");
            }
            Job::DumpMemory(range) if !matches!(brought, Brought::Bytes(bytes) if bytes.len() == range.len()) =>
            {
                return Verdict::Wrong("not all of the memory was dumped".to_owned());
            }
            _ => {}
        }
        let expected = Expected {
            contents,
            margins: Vec::new(),
            proved: Vec::new(),
        };
        self.compare(board, found, expected, false)
    }

    /// What a write leaves.
    fn expected(
        &self,
        board: &Board,
        job: &Job,
        parts: &[Part],
        manner: Manner,
        events: &[Event],
    ) -> Result<Expected, String> {
        let mut contents = self.contents.clone();
        if manner.erase_all {
            contents.fill(0xFF);
        }
        let unproved = manner.verify == Verify::Never
            || events
                .iter()
                .any(|event| matches!(event, Event::Notice(Notice::NotVerified { .. })));
        let sectors: Vec<_> = parts.iter().map(Part::sectors).collect();
        if parts.iter().any(|part| part.encrypt) {
            let written = self.as_written_without_faults(board, job)?;
            for range in sectors {
                contents[range.clone()].copy_from_slice(&written[range]);
            }
            return Ok(Expected {
                contents,
                margins: Vec::new(),
                proved: Vec::new(),
            });
        }
        let proved = match unproved {
            true => Vec::new(),
            false => parts.iter().map(Part::range).collect(),
        };
        let mut margins = Vec::new();
        for part in parts {
            let (range, sectors) = (part.range(), part.sectors());
            contents[range.clone()].copy_from_slice(&part.bytes);
            for margin in [sectors.start..range.start, range.end..sectors.end] {
                if is_announced(events, &margin) {
                    margins.push(margin);
                }
            }
        }
        Ok(Expected {
            contents,
            margins,
            proved,
        })
    }

    /// The flash of a board on which nothing goes wrong, with the same contents before.
    fn as_written_without_faults(&self, board: &Board, job: &Job) -> Result<Vec<u8>, String> {
        let link = SimLink::open(&board.flawless, Cancel::default());
        let link = link.map_err(|error| error.to_string())?;
        let flash = link.flash();
        flash.load(0, &self.contents);
        let mut ignore = |_: Event| {};
        block_on(async {
            let mut session =
                Session::connect(link, ConnectOptions::default(), &mut ignore).await?;
            job.give(board, &mut session, &mut ignore).await
        })
        .map_err(|error: Error| format!("without faults: {error}"))?;
        Ok(flash.read(0..flash.size()))
    }

    fn compare(&self, board: &Board, found: &[u8], mut expected: Expected, named: bool) -> Verdict {
        for margin in &expected.margins {
            let erased = found[margin.clone()].iter().all(|byte| *byte == 0xFF);
            if erased {
                expected.contents[margin.clone()].fill(0xFF);
            }
        }
        let proved = |at: usize| expected.proved.iter().any(|range| range.contains(&at));
        for (at, bit) in &self.stuck {
            if !proved(*at) {
                expected.contents[*at] &= !bit;
            }
        }
        let Some(at) = first_difference(found, &expected.contents) else {
            return Verdict::Right;
        };
        let text = format!(
            "the flash holds {:#04x} at {at:#x}, and {:#04x} is right",
            found[at], expected.contents[at]
        );
        let damage = expected
            .proved
            .iter()
            .any(|range| found[range.clone()] != expected.contents[range.clone()]);
        if damage {
            return Verdict::Wrong(format!("{text}, though it was proved"));
        }
        if named {
            return Verdict::Right;
        }
        damaged(board, &text)
    }
}

/// Wrong, unless requests can arrive as others: then nothing could have told.
fn damaged(board: &Board, text: &str) -> Verdict {
    if board.damages_requests() || board.damages_answers() {
        Verdict::Excused(text.to_owned())
    } else {
        Verdict::Wrong(text.to_owned())
    }
}

/// Wrong, unless the chip has no digest and the line is bad.
fn damaged_unproved(board: &Board, text: &str) -> Verdict {
    if board.chip.rom.md5 {
        Verdict::Wrong(text.to_owned())
    } else {
        damaged(board, text)
    }
}

/// Wrong, unless it was said that nothing proves it, and the line is bad.
fn unless_told(board: &Board, events: &[Event], text: &str) -> Verdict {
    let told = |event: &Event| matches!(event, Event::Notice(Notice::NotVerified { .. }));
    if events.iter().any(told) {
        damaged(board, text)
    } else {
        Verdict::Wrong(text.to_owned())
    }
}

fn names_a_change(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::Notice(Notice::NeighbourChanged { .. })))
}

/// Whether it was said that these bytes are erased.
fn is_announced(events: &[Event], margin: &Range<usize>) -> bool {
    events.iter().any(|event| match event {
        Event::EraseRange { start, end, .. } => {
            *start as usize <= margin.start && margin.end <= *end as usize + 1
        }
        _ => false,
    })
}

/// What a command may change.
fn touched(job: &Job, size: usize) -> Vec<Range<usize>> {
    match job {
        Job::Write(_, manner) if manner.erase_all => iter::once(0..size).collect(),
        Job::Write(parts, _) => parts.iter().map(Part::sectors).collect(),
        Job::EraseFlash(_) => iter::once(0..size).collect(),
        Job::EraseRegion(range, _) => {
            let end = range.end.next_multiple_of(SECTOR) as usize;
            iter::once(range.start as usize..end).collect()
        }
        _ => Vec::new(),
    }
}
