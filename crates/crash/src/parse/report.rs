//! A report that is being read.

use std::collections::BTreeMap;

use guru_chip::Chip;

use super::opening::{self, Opening};
use super::registers::{self, Dump};
use super::scan::{address, behind, between, decimal, fields, word};
use super::{backtrace, esphome, scan, stack, tasks};
use crate::*;

/// Registers of CPUs that a report can have: those of both, twice.
const MOST_CORES: usize = 8;
/// Words of stack memory that a report can have.
const MOST_WORDS: usize = 1 << 16;
/// Frames of a backtrace; ESP-IDF prints 100.
const MOST_FRAMES: usize = 512;
/// Backtraces of one CPU.
const MOST_BACKTRACES: usize = 64;
/// Messages of a report, besides that of its reason.
const MOST_MESSAGES: usize = 127;
/// Findings about its text.
const MOST_TORN: usize = 64;

/// What is being read.
#[derive(Debug)]
pub(super) struct Report {
    pub crash: Crash,
    /// One for each of the cores.
    dumps: Vec<Dump>,
    /// Index of the core that lines belong to now.
    current: usize,
    block: Block,
    /// The printed core whose backtrace the task watchdog announced.
    announced: bool,
    words: usize,
    /// A reason whose entry is looked up at the end, when the family is known: its line and message.
    pub reason: Option<(u64, String)>,
    /// The family was not known when lines were looked up.
    pub unsure: bool,
    /// ESPHome prints it, of a crash before the last start.
    kept: bool,
    /// The line with the ELF's digest came.
    digest: bool,
}

/// The block that lines continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Registers,
    Stack,
    Esp8266Stack,
    Backtrace,
    CoreDump,
    /// The list of the task watchdog: who was late, then who runs.
    LateTasks,
    RunningTasks,
    /// A Rust panic's message comes next.
    RustMessage,
}

/// What a line was to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    /// Not of it, as far as its structure goes.
    Nothing,
    /// One of a block of numbers.
    Block,
    /// One with a text that the knowledge base may know.
    Text,
}

/// What an opening line does to a report that is open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It belongs to it.
    Yes,
    /// It begins another one.
    No,
}

impl Report {
    pub(super) fn new(line: u64, chip: Option<&'static Chip>, rom: Option<RomBuild>) -> Self {
        Self {
            crash: Crash {
                lines: line..line + 1,
                family: chip.map(Family::of),
                chip,
                rom,
                cause: Cause::Unknown,
                headline: None,
                messages: Vec::new(),
                cores: Vec::new(),
                elf_sha256: None,
                core_dump: None,
                end: None,
                repeated: 0,
                in_report: false,
                torn: Vec::new(),
            },
            dumps: Vec::new(),
            current: 0,
            block: Block::None,
            announced: false,
            words: 0,
            reason: None,
            unsure: chip.is_none(),
            kept: false,
            digest: false,
        }
    }

    /// A report without its opening can begin with this line.
    pub(super) fn can_begin(text: &str) -> bool {
        registers::header(text).is_some()
            || backtrace::pairs(text.strip_prefix("Backtrace:").unwrap_or_default())
                .frames
                .len()
                > 1
            || registers::line(text, false).len() > 1
            || text.starts_with(">>>stack>>>")
            || (text.starts_with("epc1=0x") && fields(text).count() > 1)
    }

    /// There is more than what happened: registers, stack, a backtrace, or the end.
    pub(super) fn has_state(&self) -> bool {
        let any = |core: &Core| {
            !(core.registers.is_empty() && core.stack.is_empty() && core.backtraces.is_empty())
        };
        self.digest || self.crash.cores.iter().any(any) || self.dumps.iter().any(|dump| dump.headed)
    }

    /// Nothing is missing at its end.
    pub(super) fn complete(&self) -> bool {
        let crash = &self.crash;
        crash.end.is_some()
            || self.digest
            || self.kept
            || match &crash.cause {
                Cause::TaskWatchdog { aborted, .. } => !aborted,
                Cause::Guru { .. } | Cause::Abort { .. } | Cause::Unknown => false,
                Cause::Assert { .. } | Cause::EspError { .. } => false,
                Cause::Esp8266 { .. } | Cause::Esp8266Software { .. } => {
                    self.block != Block::Esp8266Stack && self.has_state()
                }
                _ => true,
            }
    }

    pub(super) fn torn(&mut self, torn: Torn) {
        if self.crash.torn.len() < MOST_TORN && !self.crash.torn.contains(&torn) {
            self.crash.torn.push(torn);
        }
    }

    fn cut(&mut self, line: u64, part: Part) {
        self.torn(Torn::Cut { line, part });
    }

    /// Adds a message; its index.
    pub(super) fn message(&mut self, message: Message) -> Option<usize> {
        if self.crash.messages.len() >= MOST_MESSAGES {
            let part = Part::Messages;
            if !self.crash.torn.iter().any(|torn| {
                matches!(
                    torn,
                    Torn::TooLong {
                        part: Part::Messages,
                        ..
                    }
                )
            }) {
                self.torn(Torn::TooLong {
                    line: message.line,
                    part,
                });
            }
            return None;
        }
        self.crash.lines.start = self.crash.lines.start.min(message.line);
        self.crash.messages.push(message);
        Some(self.crash.messages.len() - 1)
    }

    /// Takes a line that says what happened, if it can be of this report.
    pub(super) fn open(&mut self, line: u64, opening: Opening) -> Joined {
        let same = self.crash.cause == opening.cause && !self.has_state();
        let guru = matches!(opening.cause, Cause::Guru { .. });
        if same && guru {
            self.crash.repeated = self.crash.repeated.saturating_add(1);
            self.extend(line);
            return Joined::Yes;
        }
        // A Rust program prints its registers first, then that it panics because of it.
        let rust = matches!(self.crash.cause, Cause::RustException { .. })
            && matches!(opening.cause, Cause::RustPanic { .. })
            && self
                .crash
                .cores
                .iter()
                .all(|core| core.backtraces.is_empty());
        let bare = self.crash.cause == Cause::Unknown && self.dumps.is_empty();
        if self.has_state() && !bare && !rust {
            return Joined::No;
        }
        let Some(leads) = join(&self.crash.cause, &opening.cause) else {
            return Joined::No;
        };
        self.extend(line);
        if !opening.whole {
            self.cut(line, Part::Opening);
        }
        if matches!(
            opening.cause,
            Cause::Esp8266 { .. } | Cause::Esp8266Software { .. }
        ) {
            // ROMs of other chips print it too.
            self.crash.family.get_or_insert(Family::Esp8266);
        }
        self.block = match opening.cause {
            Cause::TaskWatchdog { .. } => Block::LateTasks,
            Cause::RustPanic { message: None, .. } => Block::RustMessage,
            _ => Block::None,
        };
        if leads {
            if let Cause::Guru {
                reason: Some(reason),
                ..
            } = &opening.cause
            {
                self.reason = Some((line, reason.clone()));
            }
            self.crash.cause = merged(
                std::mem::replace(&mut self.crash.cause, Cause::Unknown),
                opening.cause,
            );
        } else if let (Cause::TaskWatchdog { aborted, .. }, Cause::Abort { .. }) =
            (&mut self.crash.cause, &opening.cause)
        {
            *aborted = true;
        }
        Joined::Yes
    }

    fn extend(&mut self, line: u64) {
        self.crash.lines.end = self.crash.lines.end.max(line + 1);
    }

    /// Reads a line. `body` is what stands behind the log's tag.
    pub(super) fn line(&mut self, line: u64, text: &str, body: &str) -> Took {
        let block = self.core_dump(line, text)
            || self.header(line, text)
            || self.backtrace(line, text)
            || self.registers(line, text)
            || self.stack(line, text);
        let took = if block && !text.contains("|<-") && !text.contains("ended abruptly") {
            Took::Block
        } else if block
            || self.esp8266(line, text)
            || self.kept(line, text)
            || self.detail(line, text, body)
            || self.rust(line, text)
            || self.ending(text)
        {
            Took::Text
        } else {
            Took::Nothing
        };
        if took != Took::Nothing {
            self.extend(line);
        }
        took
    }

    /// The end of a message that the parser does not read further belongs to it too.
    pub(super) fn known(&mut self, line: u64) {
        self.extend(line);
    }

    /// The CPU that lines belong to now.
    fn core(&mut self) -> &mut Core {
        if self.crash.cores.is_empty() {
            let number = match self.crash.cause {
                Cause::Guru { core, .. } | Cause::Abort { core, .. } => core,
                _ => None,
            };
            self.add_core(number);
        }
        let last = self.crash.cores.len() - 1;
        &mut self.crash.cores[self.current.min(last)]
    }

    fn add_core(&mut self, number: Option<u8>) {
        self.crash.cores.push(Core {
            number,
            ..Core::default()
        });
        self.dumps.push(Dump::default());
        self.current = self.crash.cores.len() - 1;
    }

    fn header(&mut self, line: u64, text: &str) -> bool {
        if let Some(number) = registers::in_isr(text) {
            let found = self
                .crash
                .cores
                .iter()
                .position(|core| core.number == number);
            if number.is_some()
                && let Some(index) = found
            {
                self.current = index;
                self.crash.cores[index].in_isr = true;
            }
            self.block = Block::Registers;
            return true;
        }
        let Some(number) = registers::header(text) else {
            return false;
        };
        self.block = Block::Registers;
        self.announced = false;
        // What came before the header is of the CPU that crashed.
        let bare = |core: &Core| core.registers.is_empty() && core.stack.is_empty();
        let own = self
            .crash
            .cores
            .iter()
            .zip(&self.dumps)
            .position(|(core, dump)| {
                !dump.headed
                    && bare(core)
                    && core.backtraces.is_empty()
                    && (core.number == number || core.number.is_none())
            });
        match own {
            Some(index) => self.current = index,
            None if self.crash.cores.len() < MOST_CORES => self.add_core(number),
            None => self.torn(Torn::TooLong {
                line,
                part: Part::Registers,
            }),
        }
        let current = self.current;
        if let (Some(core), Some(dump)) = (
            self.crash.cores.get_mut(current),
            self.dumps.get_mut(current),
        ) {
            core.number = core.number.or(number);
            dump.headed = true;
        }
        // Early releases print the first registers on the same line.
        if let Some(rest) = behind(text, "register dump:") {
            self.registers(line, rest);
        }
        true
    }

    fn registers(&mut self, line: u64, text: &str) -> bool {
        let fields = registers::line(text, self.block == Block::Registers);
        if fields.is_empty() {
            return false;
        }
        self.core();
        let current = self.current;
        let other_open =
            (self.dumps.iter().enumerate()).any(|(index, dump)| index != current && dump.open());
        let (Some(core), Some(dump)) = (
            self.crash.cores.get_mut(current),
            self.dumps.get_mut(current),
        ) else {
            return false;
        };
        let headed = dump.headed;
        let mut added = dump.add(core, &fields);
        // Which of two unfinished dumps this line continues cannot be known.
        if other_open && !dump.mixed {
            dump.mixed = true;
            core.registers.clear();
            added.mixed = true;
        }
        if self.crash.family.is_none() {
            self.crash.family = registers::family(&core.registers);
        }
        if !headed && self.crash.cause == Cause::Unknown {
            self.torn(Torn::BeginningMissing);
        }
        self.block = Block::Registers;
        let part = Part::Registers;
        if added.mixed {
            self.torn(Torn::Interleaved { line });
        } else if added.gap {
            self.torn(Torn::Gap { line, part });
        }
        if added.cut {
            self.cut(line, part);
        }
        if added.many {
            self.torn(Torn::TooLong { line, part });
        }
        true
    }

    fn stack(&mut self, line: u64, text: &str) -> bool {
        if text
            .trim_end()
            .trim_end_matches(':')
            .ends_with("Stack memory")
        {
            self.block = Block::Stack;
            return true;
        }
        let Some(row) = stack::riscv(text) else {
            return false;
        };
        if self.block != Block::Stack && row.words.len() < 8 {
            return false;
        }
        self.block = Block::Stack;
        self.row(line, row);
        true
    }

    /// Adds a row to the CPU whose stack it continues, or whose stack pointer it begins at.
    fn row(&mut self, line: u64, row: stack::Row) {
        let part = Part::Stack;
        if row.cut {
            self.cut(line, part);
        }
        self.words += row.words.len();
        if self.words > MOST_WORDS {
            self.words = MOST_WORDS;
            if !self.crash.torn.iter().any(|torn| {
                matches!(
                    torn,
                    Torn::TooLong {
                        part: Part::Stack,
                        ..
                    }
                )
            }) {
                self.torn(Torn::TooLong { line, part });
            }
            return;
        }
        let continued = |core: &Core| {
            let end = core.stack.last().map(StackBlock::end);
            end == Some(u64::from(row.address))
        };
        let begun = |core: &Core| core.sp() == Some(row.address) && core.stack.is_empty();
        let cores = &self.crash.cores;
        let own = cores.get(self.current).is_some_and(continued);
        let index = if own {
            None
        } else {
            cores
                .iter()
                .position(begun)
                .or_else(|| cores.iter().position(continued))
        };
        let core = match index.and_then(|index| self.crash.cores.get_mut(index)) {
            Some(core) => core,
            None => self.core(),
        };
        let gap = stack::add(&mut core.stack, row);
        self.over();
        if gap {
            self.torn(Torn::Gap { line, part });
        }
    }

    fn backtrace(&mut self, line: u64, text: &str) -> bool {
        if let Some(rest) = behind(text, "Backtrace:") {
            let read = backtrace::pairs(rest);
            if read.frames.is_empty() && read.mark.is_none() && !rest.trim().is_empty() {
                return false;
            }
            self.chain(line, read);
            self.block = Block::Backtrace;
            return true;
        }
        if text.contains("Backtrace ended abruptly") {
            let core = self.core();
            if let Some(last) = core.backtraces.last_mut() {
                last.mark = Some(if text.contains("maximum iterations") {
                    Mark::Continues
                } else {
                    Mark::Corrupted
                });
            }
            return true;
        }
        let trimmed = text.trim();
        let rust = matches!(
            self.crash.cause,
            Cause::RustPanic { .. } | Cause::RustException { .. }
        );
        if let Some((number, frame)) = backtrace::of_gdb(trimmed)
            && self.of_gdb(line, number, frame)
        {
            return true;
        }
        if let Some(frame) =
            backtrace::alone(trimmed).filter(|_| rust || self.block == Block::Backtrace)
        {
            if self.block != Block::Backtrace {
                self.chain(line, backtrace::Read::default());
                self.block = Block::Backtrace;
            }
            self.more(line, &[frame]);
            return true;
        }
        // A terminal may have wrapped the line.
        if self.block == Block::Backtrace && trimmed.starts_with("0x") {
            let read = backtrace::pairs(trimmed);
            if !read.frames.is_empty() {
                let cut = read.cut;
                self.more(line, &read.frames);
                if let Some(last) = self.core().backtraces.last_mut() {
                    last.mark = last.mark.or(read.mark);
                }
                if cut {
                    self.cut(line, Part::Backtrace);
                }
                return true;
            }
        }
        false
    }

    /// Takes a frame of GDB's, numbered; whether it is one of the stack that the registers are of.
    fn of_gdb(&mut self, line: u64, number: u32, frame: Option<PrintedFrame>) -> bool {
        let registers = self
            .dumps
            .get(self.current)
            .is_some_and(|dump| !dump.open());
        let Some(core) = self.crash.cores.get(self.current) else {
            return false;
        };
        let printed = core.backtraces.last();
        let told = printed.map_or(0, |last| last.frames.len());
        // GDB shows no stack pointers: a chain that has them is the program's own.
        let own = printed.is_some_and(|last| last.frames.iter().any(|frame| frame.sp.is_some()));
        if own || !registers || usize::try_from(number) != Ok(told) {
            return false;
        }
        // The first one's address is in the registers.
        let pc = core.pc().filter(|_| number == 0);
        let first = pc.map(|pc| PrintedFrame { pc, sp: None });
        let Some(frame) = frame.or(first) else {
            return false;
        };
        if number == 0 {
            self.chain(line, backtrace::Read::default());
            self.block = Block::Backtrace;
        }
        self.more(line, &[frame]);
        true
    }

    /// Adds a backtrace to the CPU whose frame it begins with.
    fn chain(&mut self, line: u64, read: backtrace::Read) {
        let part = Part::Backtrace;
        if read.cut {
            self.cut(line, part);
        }
        let first = read.frames.first();
        let sp = first.and_then(|frame| frame.sp);
        let owner = self
            .crash
            .cores
            .iter()
            .position(|core| sp.is_some() && core.sp() == sp && core.backtraces.is_empty());
        if let Some(owner) = owner {
            self.current = owner;
        } else if !self.core().backtraces.is_empty()
            && !self.announced
            && self.crash.cores.len() < MOST_CORES
        {
            // The other CPU's: after abort() only backtraces are printed.
            self.add_core(None);
        }
        let announced = self.announced;
        self.over();
        let core = self.core();
        if core.backtraces.len() >= MOST_BACKTRACES {
            self.torn(Torn::TooLong { line, part });
            return;
        }
        let mut frames = read.frames;
        let long = frames.len() > MOST_FRAMES;
        frames.truncate(MOST_FRAMES);
        let plain = if announced { Of::Task } else { Of::Panic };
        let mut task = None;
        // A report with registers says when it is about an interrupt.
        let interrupt = core.in_isr || core.registers.is_empty();
        if interrupt
            && let Some(index) = backtrace::other_stack(&frames)
            && (read.mark.is_none() || index + 1 < frames.len())
        {
            task = Some(frames.split_off(index));
        }
        let of = if task.is_some() { Of::Interrupt } else { plain };
        let (inner, outer) = match task {
            Some(_) => (None, read.mark),
            None => (read.mark, None),
        };
        let backtrace = |frames, mark, of| Backtrace {
            line,
            frames,
            mark,
            of,
            possible: Vec::new(),
        };
        core.backtraces.push(backtrace(frames, inner, of));
        if let Some(frames) = task {
            core.backtraces.push(backtrace(frames, outer, Of::Task));
        }
        if long {
            self.torn(Torn::TooLong { line, part });
        }
    }

    /// What follows the registers of the current CPU has come.
    fn over(&mut self) {
        if let Some(dump) = self.dumps.get_mut(self.current) {
            dump.over = true;
        }
    }

    fn more(&mut self, line: u64, frames: &[PrintedFrame]) {
        let Some(last) = self.core().backtraces.last_mut() else {
            return;
        };
        let room = MOST_FRAMES
            .saturating_sub(last.frames.len())
            .min(frames.len());
        last.frames.extend_from_slice(&frames[..room]);
        if room < frames.len() {
            self.torn(Torn::TooLong {
                line,
                part: Part::Backtrace,
            });
        }
    }

    fn esp8266(&mut self, line: u64, text: &str) -> bool {
        if text.starts_with(">>>stack>>>") {
            self.block = Block::Esp8266Stack;
            self.crash.family = Some(Family::Esp8266);
            return true;
        }
        if text.starts_with("<<<stack<<<") {
            self.block = Block::None;
            return true;
        }
        if text.contains("CUT HERE FOR EXCEPTION DECODER") {
            return true;
        }
        // Before release 2.5 of the core these lines came before the stack's first.
        let esp8266 = matches!(
            self.crash.cause,
            Cause::Esp8266 { .. } | Cause::Esp8266Software { .. }
        );
        if self.block == Block::Esp8266Stack || esp8266 {
            if let Some(context) = text.strip_prefix("ctx: ") {
                self.core().task = Some(context.trim().to_owned());
                return true;
            }
            if let Some(rest) = text.strip_prefix("sp: ") {
                let sp = word(rest).map(|(sp, _)| sp);
                let end = between(rest, "end: ", " ")
                    .and_then(word)
                    .map(|(end, _)| end);
                let core = self.core();
                core.stack_high = end.or(core.stack_high);
                if let Some(sp) = sp {
                    core.registers.insert(RegisterName("SP".into()), sp);
                }
                return true;
            }
            if self.block == Block::Esp8266Stack
                && let Some(row) = stack::esp8266(text)
            {
                self.row(line, row);
                return true;
            }
        }
        if ["epc1=", "epc2=", "epc3=", "excvaddr=", "depc="]
            .iter()
            .any(|name| text.starts_with(name))
        {
            let found: Vec<_> = fields(text)
                .map(|field| (field.name.to_ascii_uppercase(), field.value))
                .collect();
            // esp-open-rtos has one a line, and what keeps crashes for later has two lines.
            let last = found.last().map(|(name, _)| name.as_str());
            let whole =
                matches!(last, Some("EPC3" | "DEPC")) || (found.len() == 1 && last != Some("EPC1"));
            let cut = !whole || found.iter().any(|(_, value)| value.is_none());
            self.crash.family.get_or_insert(Family::Esp8266);
            let core = self.core();
            for (name, value) in found {
                if let Some(value) = value {
                    core.registers.insert(RegisterName(name.into()), value);
                }
            }
            if cut {
                self.cut(line, Part::Registers);
            }
            return true;
        }
        text.starts_with("last failed alloc")
    }

    /// What ESPHome kept.
    fn kept(&mut self, line: u64, text: &str) -> bool {
        if !self.kept {
            return false;
        }
        match esphome::line(text) {
            Some(esphome::Line::Reason(cause, reason)) => {
                if matches!(cause, Cause::Esp8266 { .. } | Cause::Esp8266Software { .. }) {
                    self.crash.family = Some(Family::Esp8266);
                }
                self.reason = reason.map(|reason| (line, reason.to_owned()));
                self.crash.cause = cause;
            }
            Some(esphome::Line::Core(number)) => self.core().number = Some(number),
            Some(esphome::Line::Pc(pc)) => {
                let name = match self.crash.family {
                    Some(Family::RiscV) => "MEPC",
                    Some(Family::Esp8266) => "EPC1",
                    _ => "PC",
                };
                let name = RegisterName(name.into());
                self.core().registers.insert(name, pc);
            }
            Some(esphome::Line::Caller(pc, proven)) => {
                if self.block != Block::Backtrace {
                    self.chain(line, backtrace::Read::default());
                    self.block = Block::Backtrace;
                }
                if proven {
                    self.more(line, &[PrintedFrame { pc, sp: None }]);
                } else if let Some(last) = self.core().backtraces.last_mut()
                    && last.possible.len() < MOST_FRAMES
                {
                    last.possible.push(pc);
                }
            }
            Some(esphome::Line::Advice) => {}
            None => return false,
        }
        true
    }

    /// Takes the numbers of a line that says what happened.
    pub(super) fn values(&mut self, text: &str) {
        self.kept |= text.contains(esphome::OPENING);
        if matches!(self.crash.cause, Cause::RustException { .. }) {
            for name in ["mepc", "mtval"] {
                let value = behind(text, name).and_then(|rest| rest.strip_prefix('='));
                let value = value.and_then(|rest| word(rest.strip_prefix("0x").unwrap_or(rest)));
                if let Some((value, _)) = value {
                    self.crash.family = Some(Family::RiscV);
                    let name = RegisterName(name.to_ascii_uppercase().into());
                    self.core().registers.insert(name, value);
                }
            }
        }
    }

    /// Lines between the opening and the registers.
    fn detail(&mut self, line: u64, text: &str, body: &str) -> bool {
        if let Some(rest) = behind(text, "ELF file SHA256:") {
            self.crash.elf_sha256 = scan::digest(rest);
            self.digest = true;
            self.block = Block::None;
            return true;
        }
        if let Some(rest) = behind(text, "Memory dump at 0x") {
            let read = word(rest).and_then(|(at, rest)| Some((at, rest.strip_prefix(':')?)));
            let mut words = Vec::new();
            let mut left = read.map(|(_, rest)| rest.trim()).unwrap_or_default();
            while let Some((word, behind)) = word(left.strip_prefix("0x").unwrap_or(left)) {
                words.push(word);
                left = behind.trim_start();
            }
            if !left.is_empty() || words.len() < 3 {
                self.cut(line, Part::Code);
            }
            if let Some((at, _)) = read {
                words.truncate(64);
                self.core().code = Some((at, words));
            }
            return true;
        }
        if let Some(task) = between(text, "Detected in task \"", "\"") {
            self.core().task = Some(task.to_owned());
            return false;
        }
        if let Some(rest) = text.strip_prefix("Stack bounds: ") {
            let low = address(rest).map(|(low, _)| low);
            let high = behind(rest, " - ").and_then(address).map(|(high, _)| high);
            let core = self.core();
            (core.stack_low, core.stack_high) = (low, high);
            return false;
        }
        let canary = between(text, "Stack canary watchpoint triggered (", ")")
            .or_else(|| between(text, "A stack overflow in task ", " has been detected"));
        if let Some(task) = canary {
            self.core().task = Some(task.to_owned());
            return false;
        }
        if opening::esp_error_detail(text, &mut self.crash.cause) {
            return true;
        }
        self.watchdog(body)
    }

    fn watchdog(&mut self, body: &str) -> bool {
        let Cause::TaskWatchdog {
            late,
            running,
            aborted,
        } = &mut self.crash.cause
        else {
            return false;
        };
        match (self.block, tasks::line(body)) {
            (_, Some(tasks::Line::Running)) => self.block = Block::RunningTasks,
            (Block::LateTasks, Some(tasks::Line::Late(task))) => {
                if late.len() < MOST_MESSAGES {
                    late.push(task);
                }
            }
            (Block::RunningTasks, Some(tasks::Line::Runs(core, task))) => {
                if running.len() < MOST_CORES {
                    running.push((core, task));
                }
            }
            (_, Some(tasks::Line::Aborting)) => *aborted = true,
            (_, Some(tasks::Line::Print(number))) => {
                let task = running
                    .iter()
                    .find(|(core, _)| *core == number)
                    .map(|(_, task)| task.clone());
                self.block = Block::None;
                if self.crash.cores.len() < MOST_CORES {
                    self.add_core(Some(number));
                    self.core().task = task;
                    self.announced = true;
                }
            }
            _ => return false,
        }
        true
    }

    fn rust(&mut self, line: u64, text: &str) -> bool {
        let rust = matches!(
            self.crash.cause,
            Cause::RustPanic { .. } | Cause::RustException { .. }
        );
        if !rust {
            return false;
        }
        let found = registers::of_struct(text);
        if !found.is_empty() {
            let core = self.core();
            let known: BTreeMap<RegisterName, u32> = found
                .into_iter()
                .map(|(name, value)| (RegisterName(name.into()), value))
                .collect();
            core.registers.extend(known);
            let family = registers::family(&core.registers);
            self.crash.family = self.crash.family.or(family);
            return true;
        }
        if text.trim() == "Context" {
            self.block = Block::Registers;
            return true;
        }
        // The only one without `0x`.
        if let Some((sar, "")) = text.strip_prefix("SAR=").and_then(word) {
            return self.registers(line, &format!("SAR=0x{sar:08x}"));
        }
        if self.block != Block::RustMessage {
            return text.starts_with("TrapFrame {") || text.starts_with("Context {");
        }
        if let Cause::RustPanic { message, .. } = &mut self.crash.cause {
            let text = text.trim();
            let frame = ["PanicInfo {", "payload: ", "message: Some("];
            if !frame.iter().any(|start| text.starts_with(start)) {
                *message = Some(text.trim_end_matches(',').to_owned());
                self.block = Block::None;
            }
        }
        true
    }

    fn core_dump(&mut self, line: u64, text: &str) -> bool {
        if text.contains("= CORE DUMP START =") {
            self.block = Block::CoreDump;
            self.crash.core_dump = Some(line + 1..line + 1);
            return true;
        }
        if self.block != Block::CoreDump {
            return false;
        }
        let Some(lines) = &mut self.crash.core_dump else {
            return false;
        };
        if text.contains("= CORE DUMP END =") {
            lines.end = line;
            self.block = Block::None;
            return true;
        }
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        let body = text.bytes().all(base64);
        if body {
            lines.end = line + 1;
        }
        body
    }

    fn ending(&mut self, text: &str) -> bool {
        let text = text.trim();
        self.crash.end = if let Some(rest) = behind(text, "Rebooting in ") {
            decimal(rest).map(|(seconds, _)| Ending::RebootingIn(seconds))
        } else if text.ends_with("Rebooting...") || text.ends_with("Rebooting ...") {
            Some(match self.crash.end {
                Some(end @ Ending::RebootingIn(_)) => end,
                _ => Ending::Rebooting,
            })
        } else if text.ends_with("CPU halted.") {
            Some(Ending::Halted)
        } else if text.contains("Entering gdb stub now") {
            Some(Ending::GdbStub)
        } else if text.contains("Setting breakpoint at 0x") && text.contains(" and returning") {
            Some(Ending::Debugger)
        } else {
            return false;
        };
        true
    }

    /// Nothing of it can follow.
    pub(super) fn ended(&self) -> bool {
        !matches!(self.crash.end, None | Some(Ending::RebootingIn(_)))
    }

    /// The core dump is being printed.
    pub(super) fn in_core_dump(&self) -> bool {
        self.block == Block::CoreDump
    }

    /// Closes it: it is as whole as it gets. `torn` is what is wrong if its end is missing.
    pub(super) fn close(mut self, torn: Torn) -> Self {
        if self.block == Block::CoreDump {
            let line = self.crash.lines.end;
            self.cut(line, Part::CoreDump);
        }
        if !self.complete() {
            self.torn(torn);
        }
        self
    }
}

/// Whether a line that says what happened can follow another one in the same report, and then whether
/// it says it better.
fn join(before: &Cause, now: &Cause) -> Option<bool> {
    match (before, now) {
        (Cause::Unknown | Cause::Message, _) => Some(true),
        // What was wrong comes first, then that the program gives up.
        (
            Cause::Assert { .. }
            | Cause::EspError { .. }
            | Cause::TaskWatchdog { aborted: _, .. }
            | Cause::RustPanic { .. },
            Cause::Abort { .. },
        ) => Some(false),
        (Cause::RustPanic { .. }, Cause::RustPanic { .. } | Cause::RustException { .. }) => {
            Some(true)
        }
        (Cause::RustException { .. }, Cause::RustPanic { .. }) => Some(false),
        (Cause::Esp8266Software { text }, Cause::Esp8266Software { .. }) => {
            Some(text.starts_with("User exception") || text.starts_with("PANIC"))
        }
        (Cause::Esp8266Software { .. }, Cause::Esp8266 { .. }) => Some(false),
        _ => None,
    }
}

/// The later of two, with what only the earlier says.
fn merged(before: Cause, now: Cause) -> Cause {
    match (before, now) {
        (
            Cause::RustPanic {
                message: old_message,
                file: old_file,
                line: old_line,
                column: old_column,
            },
            Cause::RustPanic {
                message,
                file,
                line,
                column,
            },
        ) => Cause::RustPanic {
            message: message.or(old_message),
            file: file.or(old_file),
            line: line.or(old_line),
            column: column.or(old_column),
        },
        (_, now) => now,
    }
}
