//! Where: from registers, stacks and printed chains to frames with names.

use guru_symbols::unwind::{self, End, Frame, How, Memory, Registers};
use guru_symbols::{Location, Origin, Symbols};

use super::address::{MemoryMap, Region};
use super::crash::Sources;
use super::model::{ExplainedFrame, ExplainedStack, Place};
use crate::{Backtrace, Core, Crash, Family, Mark, Of, StackBlock};

/// Most frames of a stack that are shown.
const MAX_FRAMES: usize = 64;
/// Most possible callers that are shown.
const MAX_POSSIBLE: usize = 24;
/// Frames that are shown with lines of their source.
const WITH_SOURCE: usize = 6;

/// What frames are made by.
pub(super) struct Frames<'a> {
    pub(super) symbols: &'a Symbols,
    pub(super) map: &'a MemoryMap,
    pub(super) sources: Option<&'a dyn Sources>,
}

impl Frames<'_> {
    /// The stacks of a crash, the crashed core's first.
    pub(super) fn of_crash(&self, crash: &Crash) -> Vec<ExplainedStack> {
        let several = crash.cores.len() > 1;
        let mut stacks = Vec::new();
        for core in &crash.cores {
            let before = stacks.len();
            if core.backtraces.is_empty() {
                stacks.extend(self.of_core(core, crash.family));
            }
            for backtrace in &core.backtraces {
                stacks.push(self.printed(core, backtrace, crash.family));
            }
            for stack in stacks.iter_mut().skip(before) {
                stack.core = core.number;
                if let (true, Some(number)) = (several, core.number) {
                    stack.title = format!("{}, core {number}", stack.title);
                }
            }
        }
        stacks
    }

    /// Frames by what the registers and the dumped stack hold.
    fn of_core(&self, core: &Core, family: Option<Family>) -> Option<ExplainedStack> {
        let pc = core.pc();
        if pc.is_none() && (core.stack.is_empty() || self.symbols.programs().is_empty()) {
            return None;
        }
        let memory = Dump(&core.stack);
        let trace = match family {
            Some(Family::RiscV) => {
                let registers = Registers {
                    pc,
                    x: core.x(),
                    ..Registers::default()
                };
                unwind::riscv::unwind(self.symbols, &registers, &memory)
            }
            Some(Family::Esp8266) => {
                let words = core.stack.iter().flat_map(|block| {
                    let addresses = (0u32..).map(|index| block.address.wrapping_add(4 * index));
                    addresses.zip(block.words.iter().copied())
                });
                unwind::Trace {
                    frames: fault(pc),
                    end: End::NoFrameInformation {
                        pc: pc.unwrap_or(0),
                    },
                    possible: unwind::call0::possible(self.symbols, words),
                }
            }
            _ => unwind::Trace {
                frames: fault(pc),
                end: End::StackDumpEnds {
                    at: core.sp().unwrap_or(0),
                },
                possible: Vec::new(),
            },
        };
        let unknown = self.symbols.programs().is_empty();
        let end = match (family, trace.end) {
            // Nobody could find callers: the ELF file is asked for elsewhere.
            (_, end) if end.is_whole() => None,
            (Some(Family::Esp8266), _) => None,
            // Without a program nothing is code: a return address would look wrong that is right.
            (Some(Family::RiscV), _) if unknown && !core.stack.is_empty() => Some(
                "The callers are on the dumped stack; the ELF file is needed to find them."
                    .to_owned(),
            ),
            (Some(Family::RiscV), end) if !unknown => Some(sentence(&end)),
            _ => Some("The report has no backtrace.".to_owned()),
        };
        Some(ExplainedStack {
            title: title(core, Of::Panic),
            core: core.number,
            registers: Vec::new(),
            frames: self.frames(&trace.frames),
            end,
            possible: self.possible(&trace.possible),
        })
    }

    /// Frames that the device printed.
    fn printed(
        &self,
        core: &Core,
        backtrace: &Backtrace,
        family: Option<Family>,
    ) -> ExplainedStack {
        let pairs: Vec<(u32, Option<u32>)> = backtrace
            .frames
            .iter()
            .enumerate()
            .map(|(index, printed)| match core.pc() {
                // The fault is printed three bytes early, as if it were a return address, too.
                Some(pc) if index == 0 && pc.wrapping_sub(3) == printed.pc => (pc, printed.sp),
                _ => (printed.pc, printed.sp),
            })
            .collect();
        let checked = self.checked(core, &pairs, family);
        let (frames, mut end, mut possible) = match checked {
            Some(trace) => {
                let end = (!trace.end.is_whole()).then(|| sentence(&trace.end));
                (
                    self.frames(&trace.frames),
                    end,
                    self.possible(&trace.possible),
                )
            }
            None => (self.unchecked(&pairs), None, Vec::new()),
        };
        let printed = backtrace.possible.iter().take(MAX_POSSIBLE);
        possible.extend(printed.map(|pc| {
            let location = self.symbols.locate_return(*pc);
            self.frame(*pc, location, "possible", None, false)
        }));
        end = match backtrace.mark {
            Some(Mark::Corrupted) => Some(
                "The chain breaks off here: the chip found the stack damaged. What called this is not known."
                    .to_owned(),
            ),
            Some(Mark::Continues) if end.is_none() => {
                Some("There are more callers; the chip printed no more than these.".to_owned())
            }
            _ => end,
        };
        if pairs.len() > MAX_FRAMES {
            let left = pairs.len() - MAX_FRAMES;
            end = Some(format!("{left} further callers are not shown."));
        }
        ExplainedStack {
            title: title(core, backtrace.of),
            core: core.number,
            registers: Vec::new(),
            frames,
            end,
            possible,
        }
    }

    /// A printed chain of Xtensa, held against the program. `None`: there is nothing to hold it
    /// against, or what breaks it is only not known.
    fn checked(
        &self,
        core: &Core,
        pairs: &[(u32, Option<u32>)],
        family: Option<Family>,
    ) -> Option<unwind::Trace> {
        if family != Some(Family::Xtensa) || self.symbols.programs().is_empty() {
            return None;
        }
        let pairs: Option<Vec<_>> = pairs.iter().map(|(pc, sp)| Some((*pc, (*sp)?))).collect();
        let mut registers = Registers {
            pc: core.pc(),
            ps: core.register("PS"),
            ..Registers::default()
        };
        for (number, register) in registers.x.iter_mut().enumerate().take(16) {
            *register = core.register(&format!("A{number}"));
        }
        let trace = unwind::xtensa::printed(self.symbols, &pairs?, &registers);
        let unknown = match trace.end {
            End::NotCode { pc } => self
                .map
                .region(pc)
                .flatten()
                .is_some_and(Region::may_hold_code),
            _ => false,
        };
        (!unknown).then_some(trace)
    }

    /// A printed chain as it is.
    fn unchecked(&self, pairs: &[(u32, Option<u32>)]) -> Vec<ExplainedFrame> {
        let frames = pairs.iter().take(MAX_FRAMES).enumerate();
        frames
            .map(|(index, (pc, sp))| {
                // Callers are printed as calls.
                let location = self.symbols.locate(*pc);
                let next = pairs.get(index + 1).and_then(|(_, sp)| *sp);
                let size = match (sp, next) {
                    (Some(sp), Some(next)) => next.checked_sub(*sp).filter(|size| *size < 1 << 20),
                    _ => None,
                };
                self.frame(*pc, location, "printed", size, index < WITH_SOURCE)
            })
            .collect()
    }

    fn possible(&self, possible: &[unwind::Possible]) -> Vec<ExplainedFrame> {
        let shown = possible.iter().take(MAX_POSSIBLE);
        shown
            .map(|possible| {
                let location = self.symbols.locate_return(possible.pc);
                self.frame(possible.pc, location, "possible", None, false)
            })
            .collect()
    }

    fn frames(&self, frames: &[Frame]) -> Vec<ExplainedFrame> {
        frames
            .iter()
            .take(MAX_FRAMES)
            .enumerate()
            .map(|(index, frame)| {
                let location = frame.locate(self.symbols);
                self.frame(
                    frame.pc,
                    location,
                    how(frame.how),
                    frame.size,
                    index < WITH_SOURCE,
                )
            })
            .collect()
    }

    /// One frame of an address alone.
    pub(super) fn at(&self, address: u32) -> ExplainedFrame {
        let location = self.symbols.locate(address);
        self.frame(address, location, "printed", None, true)
    }

    fn frame(
        &self,
        address: u32,
        location: Option<Location>,
        how: &'static str,
        size: Option<u32>,
        with_source: bool,
    ) -> ExplainedFrame {
        let places = location.map(|location| self.places(location, with_source));
        ExplainedFrame {
            address,
            region: self.map.region(address).flatten().map(Region::name),
            places: places.unwrap_or_default(),
            how,
            stack_bytes: size.filter(|size| *size > 0),
        }
    }

    fn places(&self, location: Location, with_source: bool) -> Vec<Place> {
        let rom = matches!(location.origin, Origin::Rom(_) | Origin::Fixed(_));
        if location.frames.is_empty() {
            return vec![Place {
                offset: location.symbol.is_some().then_some(location.offset),
                function: location.symbol,
                rom,
                ..Place::default()
            }];
        }
        location
            .frames
            .into_iter()
            .map(|frame| {
                let sources = self.sources.filter(|_| with_source);
                let source = match (sources, &frame.file, frame.line) {
                    (Some(sources), Some(file), Some(line)) => sources.around(file, line),
                    _ => Vec::new(),
                };
                Place {
                    function: frame.function,
                    offset: None,
                    file: frame.file,
                    line: frame.line,
                    inlined: frame.inlined,
                    rom,
                    source,
                }
            })
            .collect()
    }
}

/// The words of a dumped stack, as memory.
struct Dump<'a>(&'a [StackBlock]);

impl Memory for Dump<'_> {
    fn read(&self, address: u32, bytes: &mut [u8]) -> bool {
        self.0.iter().any(|block| {
            bytes.iter_mut().enumerate().all(|(index, byte)| {
                let at = (address.checked_sub(block.address)).map(|at| at as usize + index);
                let word = at.and_then(|at| Some((block.words.get(at / 4)?, at % 4)));
                word.is_some_and(|(word, at)| {
                    *byte = word.to_le_bytes()[at];
                    true
                })
            })
        })
    }
}

fn fault(pc: Option<u32>) -> Vec<Frame> {
    let frame = |pc| Frame {
        pc,
        cfa: None,
        size: None,
        how: How::Fault,
        registers: Registers::default(),
    };
    pc.map(frame).into_iter().collect()
}

fn title(core: &Core, of: Of) -> String {
    match (of, &core.task) {
        (Of::Interrupt, _) => "the interrupt handler".to_owned(),
        (Of::Task, Some(task)) => format!("task \"{task}\""),
        (Of::Task, None) if core.in_isr => "the task that was interrupted".to_owned(),
        (Of::Task, None) => "the task that ran".to_owned(),
        (Of::Panic, _) => "the code that ran".to_owned(),
    }
}

/// How a frame was found, in a word.
fn how(how: How) -> &'static str {
    match how {
        How::Fault => "fault",
        How::Cfi => "frame information",
        How::Prologue => "instructions",
        How::RomTable => "ROM table",
        How::Trap => "saved registers",
        How::Printed => "printed",
        How::TailCall => "tail call",
        _ => "registers",
    }
}

/// A reason as a sentence.
fn sentence(end: &End) -> String {
    let text = end.to_string();
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let first: String = first.to_uppercase().collect();
    format!("The chain ends here. {first}{}.", letters.as_str())
}
