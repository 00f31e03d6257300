//! The explanation itself: knowledge, findings and frames brought together.

use guru_chip::{Architecture, Chip};
use guru_symbols::Symbols;

use super::address::MemoryMap;
use super::boots;
use super::evidence::Evidence;
use super::findings::{Access, Shown, registers};
use super::log::{Log, SeenCrash, is_software, is_watchdog};
use super::model::{
    ElfFit, ElfVerdict, ExplainedCrash, ExplainedMessage, Explanation, Finding, RankedCause,
    SourceLine,
};
use super::sdkconfig::Sdkconfig;
use super::settings::{LogFacts, settings};
use super::stack::Frames;
use crate::knowledge::{Cause as KnownCause, Entry, Fields, Knowledge, Severity, fill};
use crate::{Cause, Crash, Ending, Family, Message, Part, Torn};

/// Source files, as far as they are there.
pub trait Sources {
    /// A line and those around it; none where the file is not there.
    fn around(&self, file: &str, line: u32) -> Vec<SourceLine>;
}

/// What a log is explained by, beside what is known about messages.
pub struct Inputs<'a> {
    /// The programs and the ROM: [`super::judge`].
    pub symbols: &'a Symbols,
    /// What the ELF files are to the log: [`super::judge`].
    pub elf: &'a ElfVerdict,
    /// The settings of the firmware.
    pub settings: Option<&'a Sdkconfig>,
    /// Source files.
    pub sources: Option<&'a dyn Sources>,
}

/// Entries that say little beside another one, the least first.
const GENERIC: [&str; 8] = [
    "esphome-crash",
    "guru-meditation",
    "task-watchdog-aborts",
    "abort",
    "unhandled-debug-exception",
    "cache-error",
    "esp8266-abort",
    "rust-panic",
];
/// Entries of lines whose contents are shown in places of their own.
const TOLD_ELSEWHERE: [&str; 14] = [
    "esp8266-registers",
    "register-dump",
    "backtrace",
    "stack-memory",
    "isr-context",
    "elf-sha256",
    "rebooting",
    "cpu-halted",
    "gdb-stub",
    "task-watchdog-late",
    "task-watchdog-running",
    "task-watchdog-backtrace",
    "stack-guard-bounds",
    "memory-dump",
];
/// Most causes that are told of a crash.
const MAX_CAUSES: usize = 6;
/// Most further lines of a report that are told.
const MAX_DETAILS: usize = 16;

/// Explains a log.
#[must_use]
pub fn explain(log: &Log, knowledge: &Knowledge, inputs: &Inputs<'_>) -> Explanation {
    let context = Context {
        log,
        knowledge,
        inputs,
        // What is known of the ROM alone, for reports that the ELF files are not for.
        rom_only: {
            let mut symbols = Symbols::new();
            symbols.set_rom(inputs.symbols.rom());
            symbols
        },
    };
    let crashes: Vec<_> = log.crashes.iter().map(|seen| context.crash(seen)).collect();
    let facts = context.facts();
    let (boots, boot_loop) = boots::explain(&context);
    let mut notes = Vec::new();
    if let (Some(target), Some(chip)) = (inputs.settings.and_then(Sdkconfig::target), log.chip)
        && guru_chip::by_id(target).is_some_and(|of_target| of_target.id != chip.id)
    {
        notes.push(format!(
            "The settings are for an {target}, and the log is of an {}: they may be another firmware's.",
            chip.name
        ));
    }
    let to_debugger =
        |seen: &super::log::SeenMessage| seen.message.entry.as_str() == "left-to-debugger";
    if crashes.is_empty() && !log.messages.iter().any(to_debugger) {
        notes.push(context.nothing());
    }
    Explanation {
        summary: summary(log, crashes.len()),
        chip: log.chip.map(|chip| chip.id),
        crash_count: log.crash_count,
        crashes,
        crashes_left_out: log.left_out,
        boot_loop,
        boot_count: log.boot_count,
        boots_left_out: log.boot_count.saturating_sub(log.boots.len() as u64),
        boots,
        messages: context.messages(),
        elf: inputs.elf.clone(),
        settings: inputs
            .settings
            .map(|config| settings(config, &facts))
            .unwrap_or_default(),
        notes,
    }
}

/// The chip's memory map, or what is common to all chips that it can be.
pub(super) fn memory_map(crash: &Crash, chip: Option<&'static Chip>) -> MemoryMap {
    if let Some(chip) = chip.or(crash.chip) {
        return MemoryMap::of(chip);
    }
    let architectures: &[Architecture] = match crash.family {
        Some(Family::Xtensa) => &[Architecture::XtensaLx6, Architecture::XtensaLx7],
        Some(Family::RiscV) => &[Architecture::Riscv32],
        Some(Family::Esp8266) => &[Architecture::XtensaLx106],
        None => &[
            Architecture::XtensaLx6,
            Architecture::XtensaLx7,
            Architecture::Riscv32,
        ],
    };
    let mut stacks = Vec::new();
    let mut code = Vec::new();
    for core in &crash.cores {
        stacks.extend(core.sp());
        code.extend(core.pc());
        for frame in core
            .backtraces
            .iter()
            .flat_map(|backtrace| &backtrace.frames)
        {
            code.push(frame.pc);
            stacks.extend(frame.sp);
        }
    }
    MemoryMap::of_candidates(architectures, &stacks, &code)
}

/// What an explanation is made with.
pub(super) struct Context<'a> {
    pub(super) log: &'a Log,
    pub(super) knowledge: &'a Knowledge,
    pub(super) inputs: &'a Inputs<'a>,
    rom_only: Symbols,
}

impl Context<'_> {
    fn crash(&self, seen: &SeenCrash) -> ExplainedCrash {
        let crash = &seen.crash;
        let (symbols, wrong_elf) = self.symbols_for(crash);
        let map = memory_map(crash, self.log.chip);
        let frames = Frames {
            symbols,
            map: &map,
            sources: self.inputs.sources,
        };
        let mut stacks = frames.of_crash(crash);
        for core in &crash.cores {
            let registers = registers(crash, core, &map, symbols);
            let of_core = |stack: &&mut super::ExplainedStack| stack.core == core.number;
            // Once, where a core has several chains.
            if let Some(stack) = stacks.iter_mut().find(of_core) {
                stack.registers = registers;
            }
        }
        let shown = Shown {
            seen,
            map: &map,
            symbols,
            stacks: &stacks,
            wrong_elf,
        };
        let mut findings = shown.findings();
        let primary = self.primary(crash);
        let known = self.known(crash, primary.and_then(|index| crash.messages.get(index)));
        let functions: Vec<_> = stacks
            .iter()
            .flat_map(|stack| &stack.frames)
            .flat_map(|frame| &frame.places)
            .filter_map(|place| place.function.clone())
            .collect();
        let causes = rank(&known, &findings, &functions);
        findings.retain(|finding| !finding.text.is_empty());
        let core = crash.core();
        ExplainedCrash {
            entry: known.id,
            what: match place(&crash.cause) {
                Some(place) => format!("{} {place}", known.what),
                None => known.what.clone(),
            },
            printed: known.printed,
            lines: seen.lines.clone(),
            count: seen.count,
            meaning: known.meaning,
            task: core.and_then(|core| core.task.clone()),
            core: core
                .and_then(|core| core.number)
                .or_else(|| core_of(&crash.cause)),
            in_isr: core.is_some_and(|core| core.in_isr),
            details: self.details(crash, primary, &known.what),
            stacks,
            findings,
            causes,
            check: known.check,
            remedies: known.remedies,
            settings: known.settings,
            link: known.link,
            ended: crash.end.map(|end| ended(end, crash)),
            torn: crash.torn.iter().map(torn).collect(),
        }
    }

    /// By what the addresses of a crash are decoded, and whether that is for want of the right file.
    fn symbols_for(&self, crash: &Crash) -> (&Symbols, bool) {
        let files = &self.inputs.elf.files;
        let refused = !files.is_empty() && files.iter().all(|file| !file.used);
        let forced = files
            .iter()
            .any(|file| file.used && file.fit == ElfFit::OtherBuild);
        let programs = self.inputs.symbols.programs();
        let same = |digits: &str| {
            programs.iter().any(|program| {
                let digest = program.sha256();
                let mut start = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                digits.bytes().all(|digit| {
                    let digit = char::from(digit).to_digit(16);
                    digit.is_some() && digit == start.next().map(u32::from)
                })
            })
        };
        match &crash.elf_sha256 {
            Some(digits)
                if !programs.is_empty() && !forced && digits.len() >= 4 && !same(digits) =>
            {
                (&self.rom_only, true)
            }
            _ => (self.inputs.symbols, refused),
        }
    }

    /// The message that a crash is told by. `abort() was called` and the first line of a report are in
    /// most of them and say little; a line that explains them says more.
    fn primary(&self, crash: &Crash) -> Option<usize> {
        let weight = |message: &Message| {
            let entry = self.knowledge.entry(message.entry.as_str())?;
            let id = entry.id.as_str();
            Some(
                match (
                    GENERIC.iter().position(|generic| *generic == id),
                    entry.severity,
                ) {
                    (Some(place), _) => place,
                    (None, Severity::Fatal | Severity::Error) => GENERIC.len() + 1,
                    (None, _) if !entry.causes.is_empty() => GENERIC.len(),
                    _ => return None,
                },
            )
        };
        let weights = crash.messages.iter().map(weight).enumerate();
        let weights = weights.filter_map(|(index, weight)| Some((index, weight?)));
        // Of several the first: what follows came of it.
        let best = weights.max_by_key(|(index, weight)| (*weight, std::cmp::Reverse(*index)));
        best.map(|(index, _)| index).or(crash.headline)
    }

    /// What is known about the message that a crash is told by, and about what stood in it.
    fn known(&self, crash: &Crash, message: Option<&Message>) -> Known {
        let chip = self.log.chip.or(crash.chip);
        let Some((message, entry)) = message
            .and_then(|message| Some((message, self.knowledge.entry(message.entry.as_str())?)))
        else {
            return Known::nothing(crash);
        };
        let detail = self
            .knowledge
            .detail(entry, &message.fields, crash.family, chip);
        let mut known = Known::of(entry, message);
        if let Some(found) = detail {
            known.add_detail(found.entry, &found.fields);
        }
        // The report's own first line says more to one who looks for it.
        let opening = crash
            .headline()
            .filter(|opening| opening.line == message.line);
        if let Some(opening) = opening {
            known.printed.clone_from(&opening.text);
        }
        known
    }

    /// The further lines of a report.
    fn details(&self, crash: &Crash, primary: Option<usize>, what: &str) -> Vec<ExplainedMessage> {
        let mut details: Vec<ExplainedMessage> = Vec::new();
        let placed = matches!(crash.cause, Cause::EspError { file: Some(_), .. });
        for (index, message) in crash.messages.iter().enumerate() {
            let id = message.entry.as_str();
            // Told with what happened.
            if placed && id == "esp-error-check-place" {
                continue;
            }
            if Some(index) == primary || GENERIC.contains(&id) || TOLD_ELSEWHERE.contains(&id) {
                continue;
            }
            let Some(mut told) = self.message(message, 1) else {
                continue;
            };
            told.printed = told.printed.trim().to_owned();
            // Said already.
            if told.what == what {
                continue;
            }
            if let Some(known) = details
                .iter_mut()
                .find(|known| known.what == told.what && known.printed == told.printed)
            {
                known.count += 1;
            } else if details.len() < MAX_DETAILS {
                details.push(told);
            }
        }
        details
    }

    /// A message in our words.
    pub(super) fn message(&self, message: &Message, count: u64) -> Option<ExplainedMessage> {
        let entry = self.knowledge.entry(message.entry.as_str())?;
        Some(ExplainedMessage {
            line: message.line,
            printed: message.text.clone(),
            entry: entry.id.as_str().to_owned(),
            what: entry.title(&message.fields),
            count,
            meaning: fill(&entry.meaning, &message.fields),
            remedies: filled(&entry.remedies, &message.fields),
            link: entry.link.clone(),
        })
    }

    /// Messages outside of crashes.
    fn messages(&self) -> Vec<ExplainedMessage> {
        let quiet = self.log.crashes.is_empty();
        let weighs = |message: &Message| {
            let entry = self.knowledge.entry(message.entry.as_str());
            // Beside a crash, what is only good to know would be noise.
            entry.is_some_and(|entry| quiet || entry.severity >= Severity::Warning)
        };
        let seen = self
            .log
            .messages
            .iter()
            .filter(|seen| weighs(&seen.message));
        seen.filter_map(|seen| self.message(&seen.message, seen.count))
            .collect()
    }

    /// What a log without a crash lacks.
    fn nothing(&self) -> String {
        let log = self.log;
        if log.boot_count == 0 && log.messages.is_empty() {
            return "Nothing in this log is known: no crash, no start of a chip, no message. Is it the console's \
                    output, at the right baud rate (115200 for most, 74880 for the ESP8266's first lines)?"
                .to_owned();
        }
        let mut text = "There is no crash report. A report begins with \"Guru Meditation Error\", \
             \"abort() was called\", \"assert failed\" or \"Exception\", and ends with \"Rebooting...\"."
            .to_owned();
        if log.unexplained(is_software) > 0 {
            text.push_str(
                " The chip was restarted by software: by esp_restart(), or by a crash of a firmware that is set to \
                 print nothing (CONFIG_ESP_SYSTEM_PANIC_SILENT_REBOOT).",
            );
        }
        if log.unexplained(is_watchdog) > 0 {
            text.push_str(
                " The chip was reset by a watchdog, or because its CPU locked up, without a report: the program hung \
                 where not even its crash handler could run.",
            );
        }
        text
    }

    fn facts(&self) -> LogFacts {
        let log = self.log;
        let mut facts = LogFacts {
            crashes: log.crash_count,
            unexplained_restarts: log.unexplained(is_software),
            watchdog_resets: log.unexplained(is_watchdog),
            ..LogFacts::default()
        };
        for seen in &log.crashes {
            let crash = &seen.crash;
            let access = Access::of(crash);
            let has = |part: &str| {
                crash
                    .messages
                    .iter()
                    .any(|one| one.entry.as_str().contains(part))
            };
            facts.fault |= matches!(access, Access::Data | Access::Jump | Access::Illegal);
            facts.heap |= has("heap");
            facts.stack |= access == Access::Stack || has("stack");
            facts.cache_off |= access == Access::Cache;
            facts.interrupt_watchdog |= access == Access::InterruptWatchdog;
            facts.task_watchdog |= matches!(crash.cause, Cause::TaskWatchdog { .. });
            facts.silent_assertion |= matches!(
                crash.cause,
                Cause::Assert {
                    expression: None,
                    pc: Some(_),
                    ..
                }
            );
            facts.stack_dump |= crash.family == Some(Family::RiscV)
                && crash
                    .cores
                    .iter()
                    .any(|core| !core.stack.is_empty() && core.backtraces.is_empty());
            facts.torn |= !crash.torn.is_empty();
            facts.debugger |= crash.end == Some(Ending::Debugger);
            facts.core_dump |= crash.core_dump.is_some() || has("coredump-saved");
            if matches!(crash.cause, Cause::Brownout) {
                facts.brownouts += seen.count;
            }
        }
        facts.brownouts += log
            .restarts
            .iter()
            .filter(|(restart, _)| restart.cause == Some(guru_chip::ResetCause::Brownout))
            .map(|(_, count)| count)
            .sum::<u64>();
        facts
    }
}

/// What is known about a crash before its dump is looked at.
struct Known {
    id: String,
    what: String,
    printed: String,
    meaning: String,
    causes: Vec<KnownCause>,
    check: Vec<String>,
    remedies: Vec<String>,
    settings: Vec<String>,
    link: Option<String>,
}

impl Known {
    fn of(entry: &Entry, message: &Message) -> Self {
        let fields = &message.fields;
        Self {
            id: entry.id.as_str().to_owned(),
            what: entry.title(fields),
            printed: message.text.clone(),
            meaning: fill(&entry.meaning, fields),
            causes: causes(entry, fields),
            check: filled(&entry.check, fields),
            remedies: filled(&entry.remedies, fields),
            settings: entry.settings.clone(),
            link: entry.link.clone(),
        }
    }

    /// What is special comes first.
    fn add_detail(&mut self, entry: &Entry, fields: &Fields) {
        self.id = format!("{}/{}", self.id, entry.id.as_str());
        let title = entry.title(fields);
        if title != self.what {
            self.what = format!("{} {title}", self.what);
        }
        let meaning = fill(&entry.meaning, fields);
        if !meaning.is_empty() {
            self.meaning = meaning;
        }
        let special = causes(entry, fields);
        if !special.is_empty() {
            self.causes = special;
        }
        for (list, more) in [
            (&mut self.check, filled(&entry.check, fields)),
            (&mut self.remedies, filled(&entry.remedies, fields)),
            (&mut self.settings, entry.settings.clone()),
        ] {
            let general = std::mem::replace(list, more);
            for text in general {
                if !list.contains(&text) {
                    list.push(text);
                }
            }
        }
        if entry.link.is_some() {
            self.link.clone_from(&entry.link);
        }
    }

    /// Of a report whose first line is missing or in nobody's list.
    fn nothing(crash: &Crash) -> Self {
        let (what, printed) = match &crash.cause {
            Cause::Guru {
                reason: Some(reason),
                ..
            } => (
                format!("The CPU stopped the program: {reason}."),
                format!("Guru Meditation Error ({reason})"),
            ),
            Cause::Esp8266Software { text } => {
                (format!("The program ended: {text}."), text.clone())
            }
            _ => (
                "The program crashed; the line that says why is missing.".to_owned(),
                String::new(),
            ),
        };
        Self {
            id: "unknown".to_owned(),
            what,
            printed,
            meaning: String::new(),
            causes: Vec::new(),
            check: vec![
                "Record the console from before the crash on: the first lines of a report say what happened."
                    .to_owned(),
            ],
            remedies: Vec::new(),
            settings: Vec::new(),
            link: Some(
                "https://docs.espressif.com/projects/esp-idf/en/stable/esp32/api-guides/fatal-errors.html"
                    .to_owned(),
            ),
        }
    }
}

fn causes(entry: &Entry, fields: &Fields) -> Vec<KnownCause> {
    let mut causes = entry.causes.clone();
    for cause in &mut causes {
        cause.text = fill(&cause.text, fields);
    }
    causes
}

fn filled(texts: &[String], fields: &Fields) -> Vec<String> {
    texts.iter().map(|text| fill(text, fields)).collect()
}

/// The causes, those first for which the dump speaks. What it speaks against is left out where there is
/// something that it speaks for.
fn rank(known: &Known, findings: &[Finding], functions: &[String]) -> Vec<RankedCause> {
    let shown = |evidence: &Evidence| match evidence {
        Evidence::FrameFunction(part) => functions.iter().any(|name| name.contains(part)),
        evidence => findings
            .iter()
            .any(|one| one.evidence.as_ref() == Some(evidence)),
    };
    let address_known = findings
        .iter()
        .any(|finding| finding.evidence.as_ref().is_some_and(is_of_address));
    let mut ranked: Vec<(i32, RankedCause)> = known
        .causes
        .iter()
        .map(|cause| {
            let asked: Vec<Evidence> = cause
                .evidence
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect();
            let seen: Vec<_> = asked.iter().filter(|one| shown(one)).cloned().collect();
            // An address is one thing or another.
            let against = seen.is_empty()
                && address_known
                && !asked.is_empty()
                && asked.iter().all(is_of_address);
            let score = i32::from(cause.rank) + 1000 * i32::try_from(seen.len()).unwrap_or(0)
                - if against { 10_000 } else { 0 };
            let text = cause.text.clone();
            (score, RankedCause { text, seen })
        })
        .collect();
    ranked.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    if ranked.iter().any(|(_, cause)| !cause.seen.is_empty()) {
        ranked.retain(|(score, _)| *score >= 0);
    }
    ranked.truncate(MAX_CAUSES);
    ranked.into_iter().map(|(_, cause)| cause).collect()
}

/// Whether it says what the bad address is.
fn is_of_address(evidence: &Evidence) -> bool {
    matches!(
        evidence,
        Evidence::NullPointer
            | Evidence::NullMember
            | Evidence::FreedMemory
            | Evidence::FreshMemory
            | Evidence::UnwrittenStack
            | Evidence::HeapCanary
            | Evidence::Ascii
            | Evidence::FlashCode
            | Evidence::FlashData
            | Evidence::Iram
            | Evidence::Dram
            | Evidence::Rtc
            | Evidence::Psram
            | Evidence::Peripheral
            | Evidence::Rom
            | Evidence::Unmapped
    )
}

/// Where a check in the program failed, and what it says, as far as the lines of the report tell.
fn place(cause: &Cause) -> Option<String> {
    let (function, file, line, told) = match cause {
        Cause::RustPanic {
            message,
            file,
            line,
            ..
        } => (&None, file, line, message),
        Cause::Assert {
            function,
            file,
            line,
            expression,
            ..
        }
        | Cause::EspError {
            function,
            file,
            line,
            expression,
            ..
        } => (function, file, line, expression),
        _ => return None,
    };
    let (file, line) = (file.as_ref()?, (*line)?);
    let told = told.as_ref().map(|told| format!(": {}", told.trim()));
    let told = told.unwrap_or_else(|| ".".to_owned());
    Some(match function {
        Some(function) => format!("It was in {function} ({file}, line {line}){told}"),
        None => format!("It was at {file}, line {line}{told}"),
    })
}

fn core_of(cause: &Cause) -> Option<u8> {
    match cause {
        Cause::Guru { core, .. } | Cause::Abort { core, .. } => *core,
        _ => None,
    }
}

fn ended(end: Ending, crash: &Crash) -> String {
    match end {
        Ending::Rebooting => "The chip restarted.".to_owned(),
        Ending::RebootingIn(seconds) => format!("The chip restarted after {seconds} s."),
        Ending::Halted => "The chip stands still until it is reset.".to_owned(),
        Ending::GdbStub => {
            "The chip waits for GDB on the console; it can be looked at, and does not go on."
                .to_owned()
        }
        Ending::Debugger => {
            "A debugger is attached: the crash was left to it, and nothing more was printed."
                .to_owned()
        }
        Ending::Reset if crash.torn.contains(&Torn::Reset) => {
            "The chip was reset before the report was at its end.".to_owned()
        }
        Ending::Reset => "The chip was reset.".to_owned(),
    }
}

fn torn(torn: &Torn) -> String {
    match torn {
        Torn::BeginningMissing => "Its beginning is missing.".to_owned(),
        Torn::EndMissing => "Its end is missing.".to_owned(),
        Torn::Cut { line, part } => format!("Line {line} is cut off, in {}.", part_name(*part)),
        Torn::Gap { line, part } => {
            format!(
                "Something is missing before line {line}, in {}.",
                part_name(*part)
            )
        }
        Torn::Interleaved { line } => format!(
            "Two reports are mixed from line {line} on; registers that cannot be told apart are left out."
        ),
        Torn::Reset => "The chip was reset in the middle of it.".to_owned(),
        Torn::OtherReport => "Another report begins in the middle of it.".to_owned(),
        Torn::LogEnds => "The log ends in the middle of it.".to_owned(),
        Torn::TooLong { line, part } => format!(
            "From line {line} on there is more of {} than any program prints; the rest is left out.",
            part_name(*part)
        ),
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Opening => "the line that says what happened",
        Part::Registers => "the registers",
        Part::Backtrace => "the backtrace",
        Part::Stack => "the stack memory",
        Part::Code => "the words at the program counter",
        Part::CoreDump => "the core dump",
        Part::Messages => "the messages",
    }
}

/// A log in one sentence.
fn summary(log: &Log, different: usize) -> String {
    let mut text = match (log.crash_count, different) {
        (0, _) => "no crash".to_owned(),
        (1, _) => "one crash".to_owned(),
        (count, 1) => format!("the same crash {count} times"),
        (count, different) if count == different as u64 => format!("{count} different crashes"),
        (count, different) => format!("{count} crashes, {different} of them different"),
    };
    match log.boot_count {
        0 => {}
        1 => text.push_str(", one start of the chip"),
        count => text.push_str(&format!(", {count} starts of the chip")),
    }
    if let Some(chip) = log.chip {
        text.push_str(&format!(" ({})", chip.name));
    }
    text.push('.');
    text
}
