//! RISC-V: by call frame information, by the ROM's table, by the function's own instructions, through
//! exceptions and interrupts.

mod instruction;
mod row;
mod support;
mod tail;
mod walk;

use super::code::{Code, word};
use super::possible::after_call;
use super::{End, Frame, How, MAX_FRAMES, Memory, Registers, Trace, possible};
use crate::Symbols;
use instruction::{RA, SP};

pub use row::{Row, Rule};
pub use support::saved_by;
pub(crate) use tail::call_before;
pub use walk::{Function, State, Value, Visit};

/// The calls that led to where a CPU stopped, from its registers and what is left of its memory.
///
/// What `memory` does not have is looked up in the programs' parts that cannot be written.
#[must_use]
pub fn unwind(symbols: &Symbols, registers: &Registers, memory: &dyn Memory) -> Trace {
    unwind_in(symbols, registers, memory)
}

pub(crate) fn unwind_in(code: &dyn Code, registers: &Registers, memory: &dyn Memory) -> Trace {
    let Some(pc) = registers.pc else {
        return Trace {
            frames: Vec::new(),
            end: End::NoProgramCounter,
            possible: Vec::new(),
        };
    };
    let mut unwinder = Unwinder {
        code,
        memory,
        frames: vec![Frame {
            pc,
            cfa: None,
            size: None,
            how: How::Fault,
            registers: registers.clone(),
        }],
        tail_effort: tail::EFFORT,
    };
    let end = loop {
        if unwinder.frames.len() >= MAX_FRAMES {
            break End::TooLong;
        }
        match unwinder.step() {
            Ok(frame) => unwinder.frames.push(frame),
            Err(end) => break end,
        }
    };
    let frames = unwinder.frames;
    let possible = if end.is_whole() {
        Vec::new()
    } else {
        possible::behind(code, memory, &frames)
    };
    Trace {
        frames,
        end,
        possible,
    }
}

/// What tells how a frame looks, the best first.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// How the compiler's support routines go about it.
    Support,
    /// Call frame information.
    Information,
    /// The function's own instructions.
    Instructions,
    /// What is known of the ROM.
    RomTable,
    /// That nothing has been saved yet.
    Nothing,
}

impl Source {
    const ALL: [Self; 5] = [
        Self::Support,
        Self::Information,
        Self::Instructions,
        Self::RomTable,
        Self::Nothing,
    ];
}

struct Unwinder<'a> {
    code: &'a dyn Code,
    memory: &'a dyn Memory,
    /// Never empty.
    frames: Vec<Frame>,
    /// How many functions may still be looked through for tail calls.
    tail_effort: usize,
}

impl Unwinder<'_> {
    /// The caller of the last frame.
    fn step(&mut self) -> Result<Frame, End> {
        let Some(last) = self.frames.last() else {
            return Err(End::NoProgramCounter);
        };
        let (pc, returns) = (last.pc, last.is_return());
        let mut failed = None;
        for source in Source::ALL {
            let Some((row, how)) = self.rules(source) else {
                continue;
            };
            let stepped = self.apply(&row, how).and_then(|frame| {
                if frame.is_return() {
                    self.connect(frame.pc)?;
                }
                Ok(frame)
            });
            let end = match stepped {
                Err(end) if end != End::Outermost => end,
                done => return done,
            };
            let frame = self.frames.last().map(|last| (last.cfa, last.size));
            failed.get_or_insert((end, frame));
            // Only where a function is interrupted it may be in none of the states that are told: compilers
            // do not tell all of the way out, and of ROM only the most usual frame is known.
            let missing = matches!(end, End::StackDumpEnds { .. }) && how == How::RomTable;
            if returns || missing {
                break;
            }
        }
        let Some((end, frame)) = failed else {
            return Err(End::NoFrameInformation { pc });
        };
        if let (Some(last), Some(frame)) = (self.frames.last_mut(), frame) {
            (last.cfa, last.size) = frame;
        }
        Err(end)
    }

    /// Compares the call that returns to an address with the last frame. Functions that the call leads
    /// to and that left by a jump are added.
    fn connect(&mut self, returns_to: u32) -> Result<(), End> {
        let Some(last) = self.frames.last() else {
            return Ok(());
        };
        let here = if last.is_return() {
            last.pc.wrapping_sub(1)
        } else {
            last.pc
        };
        let called = tail::target_of_call(self.code, returns_to);
        let (Some(called), Some(function)) = (called, self.code.function(here)) else {
            return Ok(());
        };
        // A rarely used part of a function has a name of its own.
        let is_part = || {
            let (whole, part) = (self.code.name(called), self.code.name(function.start));
            let rest = part
                .zip(whole)
                .map(|(part, whole)| part.starts_with(&format!("{whole}.")));
            rest == Some(true)
        };
        if called == function.start || function.contains(&called) || is_part() {
            return Ok(());
        }
        let top = last.cfa;
        let between = tail::between(self.code, called, function.start, &mut self.tail_effort);
        if self.frames.len() + between.len() + 1 >= MAX_FRAMES {
            return Ok(());
        }
        if between.is_empty()
            && self.code.is_of_one_program(here)
            && tail::never_leads(self.code, called, here, &mut self.tail_effort)
        {
            return Err(End::OtherCallee { pc: returns_to });
        }
        for pc in between {
            let mut registers = Registers {
                pc: Some(pc),
                ..Registers::default()
            };
            registers.x[usize::from(SP)] = top;
            self.frames.push(Frame {
                pc,
                cfa: top,
                size: top.map(|_| 0),
                how: How::TailCall,
                registers,
            });
        }
        Ok(())
    }

    /// How the frame of the function at an address looks, if it can be told in this way.
    fn rules(&self, source: Source) -> Option<(Row, How)> {
        let last = self.frames.last()?;
        let (pc, returns) = (last.pc, last.is_return());
        // Behind a call that does not return another function may begin.
        let address = if returns { pc.wrapping_sub(1) } else { pc };
        let function = self.code.function(address);
        match source {
            Source::Support if returns => None,
            Source::Support => {
                let restoring = || Some((support::restoring(self.code, pc)?, How::Prologue));
                let row = support::saving(self.code, pc, last.registers.x[5]);
                row.map(|row| (row, How::Support)).or_else(restoring)
            }
            Source::Information => self.code.row(address).map(|row| (row, How::Cfi)),
            Source::Instructions => {
                let state = function_state(self.code, &function?, pc, returns)?;
                Row::of_state(&state).map(|row| (row, How::Prologue))
            }
            Source::RomTable => {
                let rom = self.code.rom().filter(|_| function.is_none())?;
                let function = rom.function(address)?;
                let row = Row::of_rom(&function.frame)?;
                (returns || pc != function.address).then_some((row, How::RomTable))
            }
            // In ROM; or a jump to where there is no code: the call has happened, and nothing else.
            Source::Nothing => {
                let rom = || self.code.rom()?.function(address);
                let nothing =
                    !returns && function.is_none() && (rom().is_some() || !self.code.is_code(pc));
                nothing.then(|| (Row::nothing_saved(), How::Register))
            }
        }
    }

    /// Finds the caller by rules.
    fn apply(&mut self, row: &Row, how: How) -> Result<Frame, End> {
        let Some(last) = self.frames.last_mut() else {
            return Err(End::NoProgramCounter);
        };
        let (pc, returns) = (last.pc, last.is_return());
        let missing = End::NoFrameInformation { pc };
        if row.outermost {
            return Err(End::Outermost);
        }
        let register = |number: u8| last.registers.x.get(usize::from(number)).copied().flatten();
        let base = register(row.base.0).ok_or(missing)?;
        let top = base.wrapping_add(row.base.1 as u32);
        let sp = register(SP);
        let read = |at: u32| word(self.code, self.memory, at);
        let value = |rule: Rule, number: u8| match rule {
            Rule::Same => Ok(register(number)),
            Rule::Lost => Ok(None),
            Rule::Top(offset) => Ok(Some(top.wrapping_add(offset as u32))),
            Rule::At(offset) => {
                let at = top.wrapping_add(offset as u32);
                read(at).map(Some).ok_or(End::StackDumpEnds { at })
            }
            Rule::Register(from) => Ok(register(from)),
            Rule::Number(number) => Ok(Some(number)),
        };
        // A function that has called another cannot have its return address in a register still.
        let clobbered = returns && matches!(row.pc, Rule::Same | Rule::Register(RA));
        let next = if clobbered { None } else { value(row.pc, RA)? };
        let mut registers = Registers::default();
        for ((number, rule), slot) in (0..).zip(&row.registers).zip(&mut registers.x) {
            // One that is not there leaves only itself unknown.
            *slot = value(*rule, number).unwrap_or(None);
        }
        let next_sp = registers.x.get(usize::from(SP)).copied().flatten();
        if row.trap && next_sp != Some(top) {
            return Err(End::OtherStack);
        }
        last.cfa = Some(top);
        last.size = sp.and_then(|sp| top.checked_sub(sp));
        let next = next.ok_or(missing)?;
        registers.pc = Some(next);
        let frame = |how| Frame {
            pc: next,
            cfa: None,
            size: None,
            how,
            registers,
        };
        if row.trap {
            let again = self
                .frames
                .iter()
                .any(|frame| frame.how == How::Trap && frame.cfa == Some(top));
            return if again {
                Err(End::SameFrame)
            } else {
                Ok(frame(How::Trap))
            };
        }
        if how == How::Support {
            return Ok(frame(how));
        }
        if next == 0 {
            return Err(End::ReturnAddressZero);
        }
        // A function that ends with a call may be the last one of all.
        if !self.code.is_code(next.wrapping_sub(1)) {
            return Err(End::NotCode { pc: next });
        }
        if sp == Some(top) && returns {
            return Err(End::SameFrame);
        }
        if sp.is_some_and(|sp| top < sp) {
            return Err(End::StackDoesNotGrow { sp: top });
        }
        if after_call(self.code, next) == Some(false) {
            return Err(End::NotAfterCall { pc: next });
        }
        let how = match row.pc {
            Rule::Same => How::Register,
            _ => how,
        };
        Ok(frame(how))
    }
}

/// What the registers hold where a function is.
fn function_state(
    code: &dyn Code,
    bounds: &std::ops::Range<u32>,
    pc: u32,
    returns: bool,
) -> Option<State> {
    if !returns {
        return tail::walked(code, bounds, |function| function.state_at(pc));
    }
    let call = call_before(code, pc)?;
    let state = tail::walked(code, bounds, |function| function.state_at(call.0))?;
    Some(state.after_call())
}
