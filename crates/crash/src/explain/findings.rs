//! What a dump shows: each finding a sentence with its values, and a name that the knowledge base can
//! ask for.

use std::collections::BTreeMap;

use guru_symbols::Symbols;

use super::address::{AddressClass, MemoryMap, Pattern, Region, text_of};
use super::evidence::Evidence;
use super::log::SeenCrash;
use super::model::{ExplainedRegister, ExplainedStack, Finding};
use crate::{Cause, Core, Crash, Family};

/// What the CPU was doing when it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It read or wrote data.
    Data,
    /// It went to an address to execute there.
    Jump,
    /// What it found there is no instruction.
    Illegal,
    /// The flash cache refused.
    Cache,
    /// The interrupt watchdog stopped it.
    InterruptWatchdog,
    /// Something of its stack.
    Stack,
    /// Something else.
    Other,
}

impl Access {
    /// By the reason that the report names.
    pub(super) fn of(crash: &Crash) -> Self {
        let headline = crash.headline();
        let text = match &crash.cause {
            Cause::Guru { reason, .. } => reason.clone().unwrap_or_default(),
            Cause::RustException { name, .. } => name.clone(),
            Cause::Esp8266 { exception } => {
                // The manual of the CPU: EXCCAUSE.
                return match exception {
                    Some(3 | 9 | 28 | 29) => Self::Data,
                    Some(2 | 20) => Self::Jump,
                    Some(0) => Self::Illegal,
                    _ => Self::Other,
                };
            }
            _ => headline
                .map(|message| message.text.clone())
                .unwrap_or_default(),
        };
        let text = text.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["illegal"]) {
            Self::Illegal
        } else if has(&["stack"]) && !has(&["smash"]) {
            Self::Stack
        } else if has(&["interrupt wdt"]) {
            Self::InterruptWatchdog
        } else if has(&["cache"]) {
            Self::Cache
        } else if !matches!(
            crash.cause,
            Cause::Guru { .. } | Cause::RustException { .. }
        ) {
            Self::Other
        } else if has(&["load", "store"]) {
            Self::Data
        } else if has(&[
            "fetch",
            "instruction a",
            "instruction page",
            "instruction misal",
            "instrp",
            "insttlb",
        ]) {
            Self::Jump
        } else {
            Self::Other
        }
    }
}

/// Functions that take a lock, or wait for another core. From ESP-IDF: `spinlock.h`, FreeRTOS's port,
/// `esp_ipc`, `cache_utils.c`.
const LOCKS: [&str; 10] = [
    "spinlock_acquire",
    "vPortEnterCritical",
    "xPortEnterCriticalTimeout",
    "vPortCPUAcquireMutex",
    "uxPortCompareSet",
    "esp_ipc_call",
    "esp_ipc_isr_call",
    "spi_flash_disable_interrupts_caches_and_other_cpu",
    "_lock_acquire",
    "esp_cpu_compare_and_set",
];

/// So near to the stack pointer something is on the stack, in bytes.
const STACK_REACH: u32 = 0x1000;
/// So many bytes of stack can be free again when the guard's interrupt comes.
const RETURNED: u32 = 1024;
/// So many frames of one function are a recursion that deserves a word.
const RECURSION: usize = 6;

/// What the findings are made from.
pub(super) struct Shown<'a> {
    pub(super) seen: &'a SeenCrash,
    pub(super) map: &'a MemoryMap,
    pub(super) symbols: &'a Symbols,
    pub(super) stacks: &'a [ExplainedStack],
    /// There is an ELF file, and it is not this firmware's.
    pub(super) wrong_elf: bool,
}

impl Shown<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut list = List(Vec::new());
        let crash = &self.seen.crash;
        let access = Access::of(crash);
        if let Some(core) = crash.core() {
            match access {
                Access::Data => self.data(&mut list, core),
                Access::Jump => self.jump(&mut list, core),
                Access::Illegal => self.illegal(&mut list, core),
                Access::Cache => list.add(Evidence::CacheOff, cache_text(crash)),
                _ => {}
            }
            if access != Access::Jump {
                self.program_counter(&mut list, core);
            }
            self.return_address(&mut list, core, crash.family);
            self.stack_pointer(&mut list, core, access);
            if core.in_isr {
                let text = match access {
                    Access::InterruptWatchdog => {
                        "An interrupt handler was running when the watchdog came."
                    }
                    _ => {
                        "An interrupt handler ran: it may not block, and in ESP-IDF it may not use floating point \
                         or, while flash is written, anything in flash."
                    }
                };
                list.add(Evidence::InIsr, text.to_owned());
            }
        }
        if access == Access::InterruptWatchdog {
            self.locks(&mut list);
        }
        self.recursion(&mut list);
        self.task_watchdog(&mut list);
        self.heap(&mut list);
        if list.has(&Evidence::StackOverflow) || access == Access::Stack {
            self.largest_frames(&mut list);
        }
        if self.seen.count > 1 {
            let text = format!("It came {} times in the same way.", self.seen.count);
            list.add(Evidence::Repeated, text);
        }
        if self.seen.after_brownout {
            let text =
                "The supply had been too low just before: the reset before it was a brownout.";
            list.add(Evidence::AfterBrownout, text.to_owned());
        }
        if !crash.torn.is_empty() {
            // What is missing is told in its own place.
            list.silent(Evidence::CutOff);
        }
        if self.wrong_elf {
            list.silent(Evidence::WrongElf);
        }
        list.0
    }

    /// A read or a write that failed.
    fn data(&self, list: &mut List, core: &Core) {
        let Some((name, address)) = register_of(core, &["EXCVADDR", "MTVAL"]) else {
            return;
        };
        let lead = format!("{name} is 0x{address:08x}");
        // A stack is memory that can be read and written: what fails there is behind its end.
        if let Some(sp) = core.sp()
            && sp >= STACK_REACH
            && sp.abs_diff(address) < STACK_REACH
            && address >= STACK_REACH
        {
            let place = match sp.abs_diff(address) {
                0 => "where the stack pointer is".to_owned(),
                bytes => format!("{bytes} bytes from the stack pointer"),
            };
            let text = format!(
                "{lead}, {place}: what failed is an access to the stack, which has run over."
            );
            list.add(Evidence::StackOverflow, text);
        }
        self.pointer(list, &lead, address, "accessed");
        let reason = self
            .seen
            .crash
            .headline()
            .map(|message| message.text.to_lowercase());
        if reason.is_some_and(|reason| reason.contains("lign")) && address % 4 != 0 {
            let by = if address % 2 == 0 {
                "a multiple of 2 and not of 4"
            } else {
                "an odd number"
            };
            list.add(Evidence::Misaligned, format!("{lead}, {by}."));
        }
    }

    /// What a bad address says by its value.
    fn pointer(&self, list: &mut List, lead: &str, address: u32, done: &str) {
        let class = self.map.classify(address);
        let (evidence, text) = match &class {
            AddressClass::Null => (
                Evidence::NullPointer,
                format!(
                    "{lead}: a null pointer was {}.",
                    if done == "called" { "called" } else { "used" }
                ),
            ),
            AddressClass::NearNull(offset) => (
                Evidence::NullMember,
                format!(
                    "{lead}, {class}. Such an address has a member {} bytes {} a structure when the pointer to \
                     the structure is null.",
                    offset.unsigned_abs(),
                    if *offset < 0 { "before" } else { "into" }
                ),
            ),
            AddressClass::Pattern(pattern, _) => match pattern_evidence(*pattern) {
                Some(evidence) => (
                    evidence,
                    format!("{lead}: {class}. The pointer was read from there."),
                ),
                None => return list.note(format!("{lead}: {class}.")),
            },
            AddressClass::Text(_) => (
                Evidence::Ascii,
                format!("{lead}, in memory {class}: a string was written over the pointer."),
            ),
            AddressClass::Memory(region) => {
                let text = text_of(address).filter(|_| !self.symbols.is_code(address));
                if let (Some(text), true) = (text, done == "called") {
                    list.add(
                        Evidence::Ascii,
                        format!("{lead}, in memory the text \"{text}\"."),
                    );
                }
                match region_evidence(*region) {
                    Some(evidence) => (evidence, format!("{lead}, in {}.", region.name())),
                    None => return list.note(format!("{lead}, in {}.", region.name())),
                }
            }
            AddressClass::Unmapped => (
                Evidence::Unmapped,
                format!("{lead}: no memory of the chip is there."),
            ),
            AddressClass::Unknown => return,
        };
        list.add(evidence, text);
    }

    /// A jump to where no code is.
    fn jump(&self, list: &mut List, core: &Core) {
        let Some(pc) = core.pc() else { return };
        let lead = format!("The CPU was sent to 0x{pc:08x}");
        self.pointer(list, &lead, pc, "called");
        let code = self
            .map
            .region(pc)
            .flatten()
            .is_some_and(Region::may_hold_code);
        if !self.symbols.is_code(pc) && !code {
            list.silent(Evidence::PcNotCode);
        }
    }

    /// Bytes that are no instruction.
    fn illegal(&self, list: &mut List, core: &Core) {
        let Some((at, words)) = &core.code else {
            return;
        };
        let all = |value: u32| !words.is_empty() && words.iter().all(|word| *word == value);
        if all(Pattern::CacheOff.value()) {
            let value = Pattern::CacheOff.value();
            list.add(
                Evidence::CacheOff,
                format!(
                    "The words at 0x{at:08x} are 0x{value:08x}, which an ESP32 reads from flash while the cache \
                     is off: the program there was called while flash could not be read."
                ),
            );
            return;
        }
        let what = match (all(0), all(u32::MAX)) {
            (true, _) => "zeros",
            (_, true) => "ones",
            _ => return,
        };
        list.add(
            Evidence::FlashUnreadable,
            format!(
                "The words at 0x{at:08x} are all {what}: there is no program there, or flash does not read right."
            ),
        );
    }

    fn program_counter(&self, list: &mut List, core: &Core) {
        let Some(pc) = core.pc() else { return };
        if self.symbols.is_code(pc) {
            return;
        }
        let class = self.map.classify(pc);
        let code = match &class {
            AddressClass::Memory(region) => region.may_hold_code(),
            AddressClass::Unknown => true,
            _ => false,
        };
        if !code {
            let text = format!("The program counter is 0x{pc:08x}, where no code can be: {class}.");
            list.add(Evidence::PcNotCode, text);
        }
    }

    fn return_address(&self, list: &mut List, core: &Core, family: Option<Family>) {
        let name = match family {
            Some(Family::RiscV) => "RA",
            // Of an ESP8266 it is not printed.
            _ => "A0",
        };
        let Some(printed) = core.register(name) else {
            return;
        };
        if printed == 0 {
            return;
        }
        let address = match family {
            // The top two bits are the size of the caller's window.
            Some(Family::Xtensa) => without_window(printed),
            _ => printed,
        };
        if self.symbols.is_code(address) || self.symbols.is_code(printed) {
            return;
        }
        // Text is in no case code; the rest is judged with the window's bits off.
        let class = match self.map.classify(printed) {
            class @ (AddressClass::Text(_) | AddressClass::Pattern(..)) => class,
            _ => self.map.classify(address),
        };
        let code = match &class {
            AddressClass::Memory(region) => region.may_hold_code(),
            AddressClass::Unknown => true,
            _ => false,
        };
        if code {
            return;
        }
        if matches!(class, AddressClass::Text(_)) {
            list.silent(Evidence::Ascii);
        }
        list.add(
            Evidence::ReturnSmashed,
            format!(
                "The return address ({name}) is 0x{printed:08x}, where no code can be: {class}."
            ),
        );
    }

    fn stack_pointer(&self, list: &mut List, core: &Core, access: Access) {
        let Some(sp) = core.sp() else { return };
        if let (Some(low), Some(high)) = (core.stack_low, core.stack_high)
            && low < high
        {
            let size = high - low;
            if sp < low {
                let text = format!(
                    "The stack pointer 0x{sp:08x} is {} bytes below the stack (0x{low:08x} to 0x{high:08x}, {size} bytes).",
                    low - sp
                );
                list.add(Evidence::StackOverflow, text);
                return;
            }
            if sp >= high {
                let text = format!(
                    "The stack pointer 0x{sp:08x} is {} bytes above the stack (0x{low:08x} to 0x{high:08x}).",
                    sp - high
                );
                list.add(Evidence::StackOverflow, text);
                return;
            }
            let left = sp - low;
            let text = format!(
                "Of the stack (0x{low:08x} to 0x{high:08x}, {size} bytes) {left} bytes were left."
            );
            // Functions may have returned before the guard's interrupt came.
            if left < 64 || (access == Access::Stack && left < RETURNED) {
                list.add(Evidence::StackOverflow, text);
            } else if access == Access::Stack {
                list.note(format!(
                    "{text} So the stack pointer was outside only for a moment: it was loaded with a wrong value, or \
                     the stack was changed by hand (setjmp and longjmp, coroutines)."
                ));
            }
            return;
        }
        let class = self.map.classify(sp);
        let stack = match &class {
            AddressClass::Memory(region) => region.may_hold_a_stack(),
            AddressClass::Unknown => true,
            _ => false,
        };
        if !stack {
            list.add(
                Evidence::StackOverflow,
                format!("The stack pointer is 0x{sp:08x}, where no stack can be: {class}."),
            );
        }
    }

    /// Locks among the frames: who holds, who waits.
    fn locks(&self, list: &mut List) {
        for stack in self.stacks {
            let functions = stack.frames.iter().flat_map(|frame| &frame.places);
            let names: Vec<_> = functions
                .filter_map(|place| place.function.as_deref())
                .collect();
            let lock = names
                .iter()
                .rposition(|name| LOCKS.iter().any(|lock| name.contains(lock)));
            let core = stack
                .core
                .map_or_else(|| "A core".to_owned(), |core| format!("Core {core}"));
            if let Some(at) = lock {
                let caller = names.get(at + 1);
                let caller = caller.map(|caller| format!(", called by {caller}"));
                list.note(format!(
                    "{core} is in {}{}: it takes a lock or waits for the other core.",
                    names[at],
                    caller.unwrap_or_default()
                ));
            }
        }
    }

    /// A function that calls itself, itself or through others.
    fn recursion(&self, list: &mut List) {
        let Some(stack) = self.stacks.first() else {
            return;
        };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for frame in &stack.frames {
            if let Some(name) = frame
                .places
                .last()
                .and_then(|place| place.function.as_deref())
            {
                *counts.entry(name).or_insert(0) += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        if let Some((name, count)) = most.filter(|(_, count)| *count >= RECURSION) {
            list.note(format!(
                "{name} is {count} times among the callers: it calls itself."
            ));
        }
    }

    /// Who did not get to run, and who ran in its place.
    fn task_watchdog(&self, list: &mut List) {
        let Cause::TaskWatchdog { late, running, .. } = &self.seen.crash.cause else {
            return;
        };
        for task in late {
            let on = match task.cpus.is_empty() {
                true => String::new(),
                false => format!(" ({})", task.cpus),
            };
            list.note(format!("{}{on} did not report in time.", task.name));
        }
        for (core, task) in running {
            if task.starts_with("IDLE") {
                continue;
            }
            let starved = late
                .iter()
                .any(|one| one.name.starts_with("IDLE") && one.cpus.contains(&core.to_string()));
            list.note(match starved {
                true => format!(
                    "On CPU {core} ran {task}: it kept the core busy, so that the idle task there, which only runs \
                     when nothing else does, had no turn."
                ),
                false => format!("On CPU {core} ran {task}."),
            });
        }
    }

    /// What the heap's check found in place of its mark.
    fn heap(&self, list: &mut List) {
        for message in &self.seen.crash.messages {
            let number = |names: &[&str]| {
                let text = names.iter().find_map(|name| message.fields.get(*name))?;
                let digits = text.trim_start_matches("0x");
                (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok())?
            };
            let (Some(expected), Some(got)) =
                (number(&["expected"]), number(&["got", "found", "actual"]))
            else {
                continue;
            };
            if expected == got {
                continue;
            }
            let pairs = expected.to_le_bytes().into_iter().zip(got.to_le_bytes());
            let differ: Vec<_> = pairs
                .enumerate()
                .filter(|(_, (one, other))| one != other)
                .collect();
            if let [(index, (was, is))] = differ[..] {
                let zero = match is {
                    0 => ", as the zero at the end of a string does",
                    _ => "",
                };
                list.add(
                    Evidence::OneByte,
                    format!(
                        "One byte of the mark was changed, the {}: 0x{was:02x} became 0x{is:02x}{zero}. That is a \
                         write one past the end, not a wild one.",
                        ["first", "second", "third", "fourth"][index]
                    ),
                );
            }
            if let Some(text) = text_of(got) {
                let text =
                    format!("In place of the mark stands the text \"{text}\": a string ran over.");
                list.add(Evidence::Ascii, text);
            } else if got == Pattern::Freed.value() {
                let text = "In place of the mark stands the pattern of freed memory: the block was freed already.";
                list.add(Evidence::FreedMemory, text.to_owned());
            }
        }
    }

    /// Who used the stack.
    fn largest_frames(&self, list: &mut List) {
        let Some(stack) = self.stacks.first() else {
            return;
        };
        let mut by_function: BTreeMap<&str, u32> = BTreeMap::new();
        let (mut all, mut count) = (0_u32, 0);
        for frame in &stack.frames {
            if let Some(bytes) = frame.stack_bytes
                && let Some(name) = frame
                    .places
                    .last()
                    .and_then(|place| place.function.as_deref())
            {
                let sum = by_function.entry(name).or_insert(0);
                *sum = sum.saturating_add(bytes);
                all = all.saturating_add(bytes);
                count += 1;
            }
        }
        let mut functions: Vec<_> = by_function.into_iter().collect();
        functions.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let largest: Vec<_> = functions
            .iter()
            .take(3)
            .map(|(name, bytes)| format!("{name} {bytes}"))
            .collect();
        if count > 1 {
            list.note(format!(
                "Of the stack the {count} frames above take {all} bytes, most of it: {}.",
                largest.join(", ")
            ));
        }
    }
}

/// The registers that say something.
pub(super) fn registers(
    crash: &Crash,
    core: &Core,
    map: &MemoryMap,
    symbols: &Symbols,
) -> Vec<ExplainedRegister> {
    let access = Access::of(crash);
    // Those of the second list only where they are not zero.
    let (always, others): (&[&str], &[&str]) = match crash.family {
        Some(Family::RiscV) => (&["MEPC", "RA", "SP"], &[]),
        Some(Family::Esp8266) => (&["EPC1"], &["EPC2", "EPC3", "DEPC"]),
        _ => (&["PC", "A0", "A1"], &["EPC1", "EPC2", "EPC3", "EPC4"]),
    };
    let bad: &[&str] = match access {
        Access::Data | Access::Cache | Access::Jump => &["EXCVADDR", "MTVAL"],
        _ => &[],
    };
    let shown = always.iter().chain(bad).map(|name| (*name, true));
    let others = others.iter().map(|name| (*name, false));
    shown
        .chain(others)
        .filter_map(|(name, zero)| {
            let value = core.register(name).filter(|value| zero || *value != 0)?;
            let returns = matches!(name, "A0" | "RA");
            let location = match returns {
                true => symbols.locate_return(value),
                false => symbols.locate(value),
            };
            let location = location.filter(|_| !matches!(name, "SP" | "A1"));
            let note = location.and_then(|location| {
                let function = location
                    .frames
                    .last()
                    .and_then(|frame| frame.function.clone());
                Some(format!(
                    "{}+0x{:x}",
                    location.symbol.or(function)?,
                    location.offset
                ))
            });
            let windowed = name == "A0" && crash.family == Some(Family::Xtensa) && value != 0;
            let address = match windowed {
                true => without_window(value),
                false => value,
            };
            Some(ExplainedRegister {
                name: name.to_owned(),
                role: match name {
                    "A0" | "RA" => Some("returns to"),
                    "A1" => Some("SP"),
                    _ => None,
                },
                value,
                class: map.classify(address),
                note,
            })
        })
        .collect()
}

/// A return address with the top bits that code has, in place of the size of the caller's window.
fn without_window(address: u32) -> u32 {
    (address & 0x3fff_ffff) | 0x4000_0000
}

/// Findings, each kind of evidence once.
struct List(Vec<Finding>);

impl List {
    fn add(&mut self, evidence: Evidence, text: String) {
        if !self.has(&evidence) {
            self.0.push(Finding {
                evidence: Some(evidence),
                text,
            });
        }
    }

    /// Evidence that needs no words here.
    fn silent(&mut self, evidence: Evidence) {
        self.add(evidence, String::new());
    }

    /// A fact that no cause asks for.
    fn note(&mut self, text: String) {
        self.0.push(Finding {
            evidence: None,
            text,
        });
    }

    fn has(&self, evidence: &Evidence) -> bool {
        self.0
            .iter()
            .any(|one| one.evidence.as_ref() == Some(evidence))
    }
}

fn pattern_evidence(pattern: Pattern) -> Option<Evidence> {
    match pattern {
        Pattern::UnwrittenStack => Some(Evidence::UnwrittenStack),
        Pattern::Freed => Some(Evidence::FreedMemory),
        Pattern::Fresh => Some(Evidence::FreshMemory),
        Pattern::HeapHead | Pattern::HeapTail => Some(Evidence::HeapCanary),
        Pattern::CacheOff => Some(Evidence::CacheOff),
        Pattern::DeadBeef | Pattern::Ones => None,
    }
}

fn region_evidence(region: Region) -> Option<Evidence> {
    match region {
        Region::FlashCode => Some(Evidence::FlashCode),
        Region::FlashData | Region::Flash => Some(Evidence::FlashData),
        Region::Cached => None,
        Region::Iram => Some(Evidence::Iram),
        Region::Dram | Region::Ram => Some(Evidence::Dram),
        Region::Rtc => Some(Evidence::Rtc),
        Region::Psram => Some(Evidence::Psram),
        Region::Peripheral => Some(Evidence::Peripheral),
        Region::Rom => Some(Evidence::Rom),
    }
}

fn register_of(core: &Core, names: &[&'static str]) -> Option<(&'static str, u32)> {
    names
        .iter()
        .find_map(|name| Some((*name, core.register(name)?)))
}

fn cache_text(crash: &Crash) -> String {
    match crash.core().and_then(Core::pc) {
        Some(pc) => format!(
            "The flash cache was off, or refused, when the CPU was at 0x{pc:08x}: what is needed then has to \
             be in IRAM and DRAM."
        ),
        None => "The flash cache was off, or refused.".to_owned(),
    }
}
