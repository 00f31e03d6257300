//! The log as a whole: which line belongs to which boot, crash or message.

use std::collections::VecDeque;

use guru_chip::Chip;

use super::banner;
use super::marks;
use super::opening::{self, Opening};
use super::registers;
use super::report::{Joined, Report, Took};
use super::scan;
use super::starting::{self, Starting};
use crate::line::{Lines, Prefix, behind_log_tag, text, without_prefix};
use crate::*;

/// Lines after the last one of a report until it counts as ended.
const IDLE: u32 = 48;
/// Lines that a message can stand before a report that it belongs to.
const NEAR: u32 = 16;
/// Bytes of a line that are kept with a message.
const MOST_TEXT: usize = 512;

/// Reads a log as it comes, in pieces of any size, with bounded memory.
///
/// An event comes when it is at its end, which is at the latest some 50 lines after its last line; what is
/// open when the log ends comes from [`Parser::finish`].
pub struct Parser<'k> {
    lines: Lines,
    log: Log<'k>,
}

impl<'k> Parser<'k> {
    /// A parser that asks `knowledge` what texts mean. `chip` is what the log is from where no banner in
    /// it says.
    pub fn new(knowledge: &'k dyn Recognise, chip: Option<&'static Chip>) -> Self {
        Self {
            lines: Lines::new(),
            log: Log {
                knowledge,
                given: chip,
                chip: None,
                rom: None,
                app_sha256: None,
                prefix: Prefix::default(),
                boot: None,
                report: None,
                idle: 0,
                recent: VecDeque::new(),
                events: Vec::new(),
            },
        }
    }

    /// Reads more of the log; what has come to its end.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let log = &mut self.log;
        self.lines
            .push(bytes, |number, line| log.bytes(number, line));
        std::mem::take(&mut self.log.events)
    }

    /// The log is at its end: what was open.
    pub fn finish(&mut self) -> Vec<Event> {
        let log = &mut self.log;
        self.lines.finish(|number, line| log.bytes(number, line));
        self.log.close_boot();
        self.log.close_report(Torn::LogEnds);
        self.log.let_go(u32::MAX);
        std::mem::take(&mut self.log.events)
    }
}

struct Log<'k> {
    knowledge: &'k dyn Recognise,
    /// The chip that the parser was told.
    given: Option<&'static Chip>,
    /// The chip of the last banner.
    chip: Option<&'static Chip>,
    rom: Option<RomBuild>,
    /// The ELF's digest that the running program logged when it started.
    app_sha256: Option<String>,
    /// What stands before each line.
    prefix: Prefix,
    boot: Option<Starting>,
    report: Option<Report>,
    /// Lines since the last one of the open report.
    idle: u32,
    /// Messages that a report may yet claim, with the lines since.
    recent: VecDeque<(Message, Severity, u32)>,
    events: Vec<Event>,
}

impl Log<'_> {
    fn bytes(&mut self, number: u64, bytes: &[u8]) {
        let text = text(bytes);
        let text = self.prefix.strip(without_prefix(&text)).trim_end();
        // What ESP-IDF's monitor says in between.
        if text.is_empty() || text == "---" || text.starts_with("--- ") {
            return;
        }
        // Between reports and banners most lines need no further look.
        if self.report.is_none() && self.boot.is_none() && !marks::any(text) {
            self.age();
            self.text(number, text, Took::Nothing);
            return;
        }
        let mut rest = text;
        while let Some(at) = glued(rest) {
            let (head, tail) = rest.split_at(at);
            if rest.len() == text.len() {
                self.prefix.learn(text, at);
            }
            self.line(number, head.trim_end());
            rest = tail;
        }
        self.line(number, rest);
    }

    fn line(&mut self, number: u64, text: &str) {
        if text.is_empty() {
            return;
        }
        self.age();
        if !self.banner(number, text) {
            self.other(number, text);
        }
        if self.idle > IDLE || self.report.as_ref().is_some_and(Report::ended) {
            self.close_report(Torn::EndMissing);
        }
    }

    /// A line has come.
    fn age(&mut self) {
        self.idle = self.idle.saturating_add(1);
        for (_, _, lines) in &mut self.recent {
            *lines += 1;
        }
        self.let_go_old();
    }

    fn banner(&mut self, number: u64, text: &str) -> bool {
        let Some(line) = banner::line(text) else {
            return false;
        };
        match line {
            banner::Line::Start(chip, rom) => {
                self.start(number, chip, Some(rom));
            }
            banner::Line::Esp8266(chip, rom, cause, mode) => {
                self.start(number, Some(chip), Some(rom));
                if let Some(boot) = &mut self.boot {
                    boot.reset(self.knowledge, cause, mode);
                }
            }
            banner::Line::Reset(cause, mode) => {
                if self
                    .boot
                    .as_ref()
                    .is_none_or(|boot| boot.boot.reset.is_some())
                {
                    // Its first lines are lost; the same chip prints on.
                    let told = self.chip.or(self.given);
                    let chip = told.or_else(|| banner::by_reset(cause.0, cause.1));
                    self.start(number, chip, self.rom.clone());
                }
                if let Some(boot) = &mut self.boot {
                    boot.reset(self.knowledge, cause, mode);
                }
            }
            banner::Line::Date(date) => match &mut self.boot {
                Some(boot) => boot.date(&date),
                None => return false,
            },
            banner::Line::SavedPc(core, pc) => {
                if self.boot.is_none() {
                    self.start(number, self.chip.or(self.given), self.rom.clone());
                }
                if let Some(boot) = &mut self.boot {
                    boot.saved_pc(core, pc);
                }
            }
            banner::Line::Loading { .. } if self.boot.is_none() => return false,
            banner::Line::Loading { .. } => {}
        }
        if let Some(boot) = &mut self.boot {
            boot.extend(number);
            self.rom.clone_from(&boot.boot.rom);
        }
        true
    }

    fn start(&mut self, number: u64, chip: Option<&'static Chip>, rom: Option<RomBuild>) {
        self.close_boot();
        if let Some(report) = &mut self.report {
            if !report.complete() {
                report.torn(Torn::Reset);
            }
            report.crash.end.get_or_insert(Ending::Reset);
        }
        self.close_report(Torn::Reset);
        self.let_go(u32::MAX);
        self.chip = chip;
        self.app_sha256 = None;
        self.boot = Some(Starting::new(number, chip, rom));
    }

    fn other(&mut self, number: u64, text: &str) {
        let body = behind_log_tag(text).unwrap_or(text);
        let printing = self.report.as_ref().is_some_and(Report::in_core_dump);
        if !printing && let Some(opening) = opening::read(text) {
            self.opening(number, text, &opening);
            return;
        }
        let mut took = Took::Nothing;
        if let Some(report) = &mut self.report {
            took = report.line(number, text, body);
        } else if Report::can_begin(text) {
            self.close_boot();
            let mut report = self.new_report(number);
            took = report.line(number, text, body);
            report.torn(Torn::BeginningMissing);
            self.report = Some(report);
        } else if let Some((_, digest)) = text.split_once("ELF file SHA256:") {
            self.app_sha256 = scan::digest(digest).or(self.app_sha256.take());
        }
        if took != Took::Nothing {
            self.idle = 0;
        }
        if took != Took::Block {
            self.text(number, text, took);
        }
    }

    /// A line whose text may be known.
    fn text(&mut self, number: u64, text: &str, took: Took) {
        if self
            .boot
            .as_ref()
            .is_some_and(|_| starting::of_program(text))
        {
            self.close_boot();
        }
        let Some(known) = self.known(text) else {
            if self
                .boot
                .as_mut()
                .is_some_and(|boot| boot.strange(number, text))
            {
                self.close_boot();
            }
            return;
        };
        let severity = known.severity;
        let message = message(number, text, known);
        if let Some(report) = &mut self.report {
            if took == Took::Nothing {
                self.idle = 0;
                report.known(number);
            }
            report.message(message);
        } else if let Some(boot) = &mut self.boot {
            boot.message(message);
        } else if severity == Severity::Fatal {
            let mut report = self.new_report(number);
            self.claim(&mut report);
            report.crash.headline = report.message(message);
            report.crash.cause = Cause::Message;
            self.report = Some(report);
            self.idle = 0;
        } else {
            self.recent.push_back((message, severity, 0));
        }
    }

    fn opening(&mut self, number: u64, text: &str, opening: &Opening) {
        self.close_boot();
        let known = self.known(text);
        let mut nested = false;
        if let Some(report) = &mut self.report {
            match report.open(number, opening.clone()) {
                Joined::Yes => {
                    report.values(text);
                    // What came first says what was wrong.
                    if let Some(known) = known {
                        let index = report.message(message(number, text, known));
                        report.crash.headline = report.crash.headline.or(index);
                    }
                    self.idle = 0;
                    return;
                }
                Joined::No => nested = !report.complete(),
            }
        }
        self.close_report(Torn::OtherReport);
        let mut report = self.new_report(number);
        report.crash.in_report = nested;
        self.claim(&mut report);
        report.open(number, opening.clone());
        report.values(text);
        report.crash.headline =
            known.and_then(|known| report.message(message(number, text, known)));
        self.report = Some(report);
        self.idle = 0;
    }

    fn new_report(&self, number: u64) -> Report {
        Report::new(number, self.chip.or(self.given), self.rom.clone())
    }

    /// Gives a report the messages just before it.
    fn claim(&mut self, report: &mut Report) {
        for (message, severity, _) in std::mem::take(&mut self.recent) {
            if severity >= Severity::Warning {
                report.message(message);
            } else {
                self.events.push(Event::Message(message));
            }
        }
    }

    fn known(&self, text: &str) -> Option<Known> {
        let chip = self.chip.or(self.given);
        let family = match &self.report {
            Some(report) => report.crash.family,
            None => chip.map(Family::of),
        };
        self.knowledge.line(text, family, chip).or_else(|| {
            let body = behind_log_tag(text)?;
            self.knowledge.line(body, family, chip)
        })
    }

    fn close_boot(&mut self) {
        if let Some(boot) = self.boot.take() {
            self.events.push(Event::Boot(Box::new(boot.boot)));
        }
    }

    fn close_report(&mut self, torn: Torn) {
        let Some(report) = self.report.take() else {
            return;
        };
        let report = report.close(torn);
        let (reason, unsure) = (report.reason, report.unsure);
        let mut crash = report.crash;
        if unsure && crash.family.is_some() {
            for message in &mut crash.messages {
                let known = self
                    .knowledge
                    .line(&message.text, crash.family, crash.chip)
                    .or_else(|| {
                        let body = behind_log_tag(&message.text)?;
                        self.knowledge.line(body, crash.family, crash.chip)
                    });
                if let Some(known) = known {
                    message.entry = known.entry;
                    message.fields = known.fields;
                }
            }
        }
        if let Some((line, reason)) = reason
            && let Some(known) = self.knowledge.reason(&reason, crash.family, crash.chip)
        {
            let index = crash
                .messages
                .partition_point(|message| message.line <= line);
            crash.messages.insert(index, message(line, &reason, known));
            crash.headline = Some(match crash.headline {
                Some(first) if first < index => first,
                _ => index,
            });
        }
        if crash.elf_sha256.is_none() {
            crash.elf_sha256.clone_from(&self.app_sha256);
        }
        self.events.push(Event::Crash(Box::new(crash)));
    }

    /// Lets go of the messages that are `lines` lines old, or younger.
    fn let_go(&mut self, lines: u32) {
        while self.recent.front().is_some_and(|(_, _, age)| *age <= lines) {
            if let Some((message, _, _)) = self.recent.pop_front() {
                self.events.push(Event::Message(message));
            }
        }
    }

    fn let_go_old(&mut self) {
        while self.recent.front().is_some_and(|(_, _, age)| *age > NEAR) {
            if let Some((message, _, _)) = self.recent.pop_front() {
                self.events.push(Event::Message(message));
            }
        }
    }
}

/// Where the next thing begins in a line: ends of lines get lost, and what was copied from a web page may be
/// a single line.
fn glued(text: &str) -> Option<usize> {
    let starts = opening::starts(text)
        .chain(registers::starts(text))
        .chain(banner::starts(text));
    let at = starts.filter(|at| *at > 0).min()?;
    (behind_log_tag(text) != text.get(at..)).then_some(at)
}

fn message(line: u64, text: &str, known: Known) -> Message {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Message {
        line,
        text: text[..end].to_owned(),
        entry: known.entry,
        fields: known.fields,
    }
}
