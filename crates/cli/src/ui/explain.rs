//! What `explain` finds, as text, as JSON and as a page of HTML.

mod html;
mod text;

use std::path::PathBuf;

use guru_crash::explain::{ExplainedCrash, ExplainedFrame, ExplainedRegister, Explanation, Place};
use serde::Serialize;

pub use html::page;
pub(super) use text::lines;

/// What `explain` finds.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainReport {
    /// The log's file; `None`: standard input.
    pub file: Option<PathBuf>,
    /// The file with the firmware's settings.
    pub sdkconfig: Option<PathBuf>,
    /// The page that was written.
    pub html: Option<PathBuf>,
    /// What it finds.
    #[serde(flatten)]
    pub explanation: Explanation,
}

impl ExplainReport {
    /// What to call the log.
    fn log_name(&self) -> String {
        match &self.file {
            Some(path) => path.display().to_string(),
            None => "standard input".to_owned(),
        }
    }
}

/// Frames, with how many in a row are the same: a recursion fills the page otherwise.
fn runs(frames: &[ExplainedFrame]) -> impl Iterator<Item = (usize, &ExplainedFrame, usize)> {
    let same = |one: &ExplainedFrame, other: &ExplainedFrame| {
        one.address == other.address && one.stack_bytes == other.stack_bytes
    };
    let mut at = 0;
    frames
        .chunk_by(same as fn(&ExplainedFrame, &ExplainedFrame) -> bool)
        .filter_map(move |run| {
            let number = at;
            at += run.len();
            Some((number, run.first()?, run.len()))
        })
}

/// A place in one line: `read_sensor at main/sensor.c:42`.
fn place(place: &Place) -> String {
    let mut text = place.function.clone().unwrap_or_else(|| "?".to_owned());
    if let Some(offset) = place.offset {
        text.push_str(&format!("+0x{offset:x}"));
    }
    if place.rom {
        text.push_str(" (ROM)");
    }
    if let Some(file) = &place.file {
        text.push_str(&format!(" at {file}"));
        if let Some(line) = place.line {
            text.push_str(&format!(":{line}"));
        }
    }
    if place.inlined {
        text.push_str(" (inlined into the next)");
    }
    text
}

/// What stands behind the address of a frame of which no place is known.
fn unknown(frame: &ExplainedFrame) -> String {
    frame.region.unwrap_or("?").to_owned()
}

/// A register's name and what it is for: `A1 (SP)`.
fn register_name(register: &ExplainedRegister) -> String {
    match register.role {
        Some(role) => format!("{} ({role})", register.name),
        None => register.name.clone(),
    }
}

/// A crash's number among several, where it stands in the log, and how often.
fn headline(crash: &ExplainedCrash, number: Option<usize>) -> String {
    let number = number.map(|number| format!(" {number}"));
    let mut head = format!(
        "Crash{}, {}",
        number.unwrap_or_default(),
        at_lines(&crash.lines, crash.count)
    );
    if crash.count > 1 {
        head.push_str(&format!(" ({})", times(crash.count)));
    }
    head
}

/// Who ran: `Task "main" on core 0, in an interrupt handler.`
fn who(crash: &ExplainedCrash) -> Option<String> {
    let task = crash.task.as_ref().map(|task| format!("task \"{task}\""));
    let core = crash.core.map(|core| format!("core {core}"));
    let isr = crash.in_isr.then(|| "an interrupt handler".to_owned());
    let parts: Vec<_> = [task, core, isr].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Running: {}.", parts.join(", ")))
}

/// `once`, `twice`, `5 times`.
fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// `line 3`, `lines 3, 9 and 12`, `lines 3, 9, 12, ...`.
fn at_lines(lines: &[u64], count: u64) -> String {
    let texts: Vec<_> = lines.iter().map(u64::to_string).collect();
    match &texts[..] {
        [] => String::new(),
        [one] if count <= 1 => format!("line {one}"),
        _ if count > texts.len() as u64 => format!("lines {}, ...", texts.join(", ")),
        [first @ .., last] => format!("lines {} and {last}", first.join(", ")),
    }
}
