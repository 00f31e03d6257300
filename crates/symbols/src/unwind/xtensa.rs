//! Xtensa with windows: a function finds its caller's registers below its own stack pointer, once
//! they are spilled, as they are when a panic handler runs and in every core dump.
//!
//! Source: Xtensa Instruction Set Architecture Reference Manual, "Windowed Register Option" and "The
//! Windowed Register and Call0 ABIs".

use super::code::{Code, word};
use super::{End, Frame, How, MAX_FRAMES, Memory, Possible, Registers, Trace, possible};
use crate::Symbols;
use crate::rom::RomFrame;

/// The bits of a return address that are not of the address.
const WINDOW: u32 = 0xC000_0000;

/// Of each function, below its stack pointer: the caller's `a0` to `a3`.
const BASE_SAVE_AREA: u32 = 16;

/// The stack pointer is at a multiple of this.
const ALIGNMENT: u32 = 16;

/// The quarter of the address space in which all chips with windows have their code.
const CODE: u32 = 0x4000_0000;

/// How the names of the handlers begin that ESP-IDF's vectors lead to. They leave the place that was
/// interrupted as if it were behind a `call4`, for backtraces.
///
/// Source: ESP-IDF, `components/xtensa/xtensa_vectors.S`, `XT_DEBUG_BACKTRACE`.
const HANDLER: &str = "_xt_";

/// A return address without the window's size in its top two bits: the caller's code is in the same
/// quarter of the address space as `near`.
#[must_use]
pub fn clean(address: u32, near: u32) -> u32 {
    address & !WINDOW | near & WINDOW
}

/// A call that stands before an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// By how many times four registers the window moves: 0 for `call0`.
    pub(crate) windows: u8,
    /// Where it leads, if that is fixed.
    pub(crate) target: Option<u32>,
    /// The register that tells where it leads, if that is not fixed.
    register: u8,
}

/// The call that returns to an address. `None`: there is none, or the code is not known.
pub(crate) fn call_before(code: &dyn Code, address: u32) -> Option<Call> {
    let at = address.checked_sub(3)?;
    let mut bytes = [0; 3];
    if !code.read(at, &mut bytes) {
        return None;
    }
    let [low, middle, high] = bytes;
    let windows = low >> 4 & 3;
    // CALL: 18 bits of offset, the window, 0101. CALLX: 0, 0, the register, 11 and the window, 0.
    if low & 0xF == 5 {
        let offset = u32::from_le_bytes([low, middle, high, 0]) >> 6;
        let offset = ((offset << 14) as i32 >> 14).wrapping_mul(4) as u32;
        let target = (at & !3).wrapping_add(offset).wrapping_add(4);
        return Some(Call {
            windows,
            target: Some(target),
            register: 0,
        });
    }
    (low & 0xCF == 0xC0 && middle & 0xF0 == 0 && high == 0).then_some(Call {
        windows,
        target: None,
        register: middle & 0xF,
    })
}

/// The calls that led to where a CPU stopped, from its registers and its memory, with the windows
/// spilled.
#[must_use]
pub fn unwind(symbols: &Symbols, registers: &Registers, memory: &dyn Memory) -> Trace {
    unwind_in(symbols, registers, memory)
}

pub(crate) fn unwind_in(code: &dyn Code, registers: &Registers, memory: &dyn Memory) -> Trace {
    let mut frames = Vec::new();
    let Some(pc) = registers.pc else {
        return Trace {
            frames,
            end: End::NoProgramCounter,
            possible: Vec::new(),
        };
    };
    let mut next = Ok(Frame {
        pc,
        cfa: None,
        size: None,
        how: How::Fault,
        registers: registers.clone(),
    });
    let end = loop {
        match next {
            Ok(_) if frames.len() >= MAX_FRAMES => break End::TooLong,
            Ok(frame) => frames.push(frame),
            Err(end) => break end,
        }
        next = match frames.last_mut() {
            Some(last) => caller(code, memory, last),
            None => break End::NoProgramCounter,
        };
    };
    let possible = match frames.last().and_then(|frame| frame.registers.x[1]) {
        Some(sp) if !end.is_whole() => {
            let near = near(code, pc);
            possible::search(code, memory, sp, &|word| {
                behind_call(code, word, near).map(|(pc, _)| pc)
            })
        }
        _ => Vec::new(),
    };
    Trace {
        frames,
        end,
        possible,
    }
}

/// An address in the quarter of the caller's code: a jump may have led to where there is no code.
fn near(code: &dyn Code, pc: u32) -> u32 {
    if code.is_code(pc) { pc } else { CODE }
}

/// The address to which a word on the stack would return, and the call before it, if it is behind a
/// call with the window that its top bits tell.
fn behind_call(code: &dyn Code, word: u32, near: u32) -> Option<(u32, Call)> {
    let pc = clean(word, near);
    let call = call_before(code, pc)?;
    let fits = call.windows != 0
        && u32::from(call.windows) == word >> 30
        && code.is_code(pc.wrapping_sub(1));
    fits.then_some((pc, call))
}

/// Whether a call may have led to the function that holds an address. A function that begins with
/// `entry` is entered there only.
fn may_lead(code: &dyn Code, call: Call, here: u32) -> bool {
    let (Some(target), Some(function)) = (call.target, code.function(here)) else {
        return true;
    };
    function.contains(&target)
        || entry(code, function.start).is_none()
        || !code.is_of_one_program(here)
}

/// Whether an address is in a handler that leaves what it interrupted as if that had called it.
fn is_handler(code: &dyn Code, pc: u32) -> bool {
    code.name(pc).is_some_and(|name| name.starts_with(HANDLER))
}

fn caller(code: &dyn Code, memory: &dyn Memory, last: &mut Frame) -> Result<Frame, End> {
    let pc = last.pc;
    let missing = End::NoFrameInformation { pc };
    let here = last.registers.x;
    if !last.is_return()
        && let Some(frame) = not_entered(code, pc, &last.registers)
    {
        last.cfa = here[1];
        last.size = Some(0);
        return Ok(frame);
    }
    let link = here[0].ok_or(missing)?;
    let sp = here[1].ok_or(missing)?;
    let next = clean(link, near(code, pc));
    if link & !WINDOW == 0 {
        return Err(End::ReturnAddressZero);
    }
    let windows = link >> 30;
    let within = if last.is_return() {
        pc.wrapping_sub(1)
    } else {
        pc
    };
    let call = call_before(code, next).filter(|call| u32::from(call.windows) == windows);
    let trap = call.is_none() && windows == 1 && is_handler(code, within);
    let inside = if trap { next } else { next.wrapping_sub(1) };
    if windows == 0 || !code.is_code(inside) {
        return Err(End::NotCode { pc: link });
    }
    if !sp.is_multiple_of(ALIGNMENT) {
        return Err(End::Misaligned { sp });
    }
    match call {
        Some(call) if !may_lead(code, call, within) => {
            return Err(End::OtherCallee { pc: next });
        }
        Some(_) => {}
        // Code of the ROM cannot be seen.
        None if trap || !code.read(next.wrapping_sub(3), &mut [0; 3]) => {}
        None => return Err(End::NotAfterCall { pc: next }),
    }
    let read = |at: u32| word(code, memory, at).ok_or(End::StackDumpEnds { at });
    let save = sp.wrapping_sub(BASE_SAVE_AREA);
    let mut registers = Registers {
        pc: Some(next),
        ..Registers::default()
    };
    // A handler has put there no more than is needed to go on.
    let saved = if trap { 2 } else { 4 };
    for (register, number) in registers.x.iter_mut().zip(0..saved) {
        *register = Some(read(save.wrapping_add(4 * number))?);
    }
    let next_sp = registers.x[1].ok_or(missing)?;
    // A handler may have a stack of its own.
    if next_sp == sp {
        return Err(End::SameFrame);
    }
    if next_sp < sp && !trap {
        return Err(End::StackDoesNotGrow { sp: next_sp });
    }
    if !next_sp.is_multiple_of(ALIGNMENT) {
        return Err(End::Misaligned { sp: next_sp });
    }
    last.cfa = Some(next_sp);
    last.size = next_sp.checked_sub(sp).filter(|_| !trap);
    // What more of the caller's window was its own is at the top of its frame.
    if let Ok(top) = read(next_sp.wrapping_sub(BASE_SAVE_AREA).wrapping_add(4)) {
        let extra = 4 * (windows - 1);
        let area = top.wrapping_sub(BASE_SAVE_AREA).wrapping_sub(4 * extra);
        for number in 0..extra {
            if let Some(register) = registers.x.get_mut(4 + number as usize) {
                *register = read(area.wrapping_add(4 * number)).ok();
            }
        }
    }
    Ok(Frame {
        pc: next,
        cfa: None,
        size: None,
        how: if trap { How::Trap } else { How::Spilled },
        registers,
    })
}

/// The caller where an `entry` is still to be executed, or where a call led to what is no code: the
/// window is the caller's still, and the return address where `entry` would find it.
fn not_entered(code: &dyn Code, pc: u32, registers: &Registers) -> Option<Frame> {
    let wild = !code.is_code(pc);
    if !wild {
        entry(code, pc)?;
    }
    let increment = registers.ps.map(|ps| ps >> 16 & 3);
    let mut callers = (1..4).filter_map(|windows: u32| {
        let link = registers.x[4 * windows as usize]?;
        let (next, call) = behind_call(code, link, near(code, pc))?;
        // The register may be the one that has got the return address.
        let to = call.target.or_else(|| {
            let number = usize::from(call.register);
            registers.x[number].filter(|_| number != 4 * windows as usize)
        });
        let fits = match to {
            Some(to) => to == pc,
            // It may also be code that nothing is known of, and the register's value an old one.
            None => !wild || pc & WINDOW != CODE,
        };
        let told = increment.is_none_or(|increment| increment == windows);
        (link >> 30 == windows && fits && told).then_some((windows, next))
    });
    let (windows, next) = callers.next()?;
    if callers.next().is_some() {
        return None;
    }
    let mut registers = registers.clone();
    registers.pc = Some(next);
    registers.ps = None;
    registers.x[4 * windows as usize..].fill(None);
    Some(Frame {
        pc: next,
        cfa: None,
        size: None,
        how: How::Register,
        registers,
    })
}

/// The bytes of stack that the `entry` at an address takes.
fn entry(code: &dyn Code, address: u32) -> Option<u32> {
    let mut bytes = [0; 3];
    if !code.read(address, &mut bytes) {
        let function = code.rom()?.function(address)?;
        return match function.frame {
            RomFrame::Windowed { size } if function.address == address => Some(size),
            _ => None,
        };
    }
    entry_size(bytes)
}

/// The operand of `entry a1, N` in bytes, if it is that.
#[must_use]
pub fn entry_size(bytes: [u8; 3]) -> Option<u32> {
    let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    // 12 bits that count 8 bytes, the register, 00 11 0110.
    (word & 0xFFF == 0x136).then_some((word >> 12) * 8)
}

/// Checks a chain that the device has printed: pairs of program counter and stack pointer. What
/// cannot be is left out, and is the reason of the end; the rest is [`How::Printed`].
///
/// The first address is where the CPU stopped, the others are those of calls: the device has taken 3
/// from the return addresses. What it leaves out is added from the register dump: the caller, where
/// a call led to what is no code. Where nothing of the chain is of use, `a0` may still tell the caller:
/// a *possible* one.
#[must_use]
pub fn printed(symbols: &Symbols, pairs: &[(u32, u32)], registers: &Registers) -> Trace {
    printed_in(symbols, pairs, registers)
}

pub(crate) fn printed_in(code: &dyn Code, pairs: &[(u32, u32)], registers: &Registers) -> Trace {
    let mut frames: Vec<Frame> = Vec::new();
    let mut end = End::Outermost;
    for &(pc, sp) in pairs {
        if frames.len() >= MAX_FRAMES {
            end = End::TooLong;
            break;
        }
        match link(code, frames.last_mut(), pc, sp) {
            Ok(frame) => frames.push(frame),
            Err(why) => {
                end = why;
                break;
            }
        }
        // The device goes on at `a0`, which is the caller's.
        if let [first] = frames.as_mut_slice()
            && registers.pc == Some(pc)
            && registers.x[1] == Some(sp)
            && let Some(caller) = not_entered(code, pc, registers)
        {
            first.cfa = Some(sp);
            first.size = Some(0);
            frames.push(caller);
        }
    }
    if frames.is_empty() {
        end = End::NoProgramCounter;
    }
    let mut possible = Vec::new();
    if frames.len() < 2 {
        let near = frames.first().map_or(CODE, |frame| near(code, frame.pc));
        let a0 = registers.x[0];
        let caller = a0.and_then(|a0| behind_call(code, a0, near));
        possible.extend(caller.map(|(pc, _)| Possible { at: None, pc }));
    }
    Trace {
        frames,
        end,
        possible,
    }
}

fn link(code: &dyn Code, last: Option<&mut Frame>, pc: u32, sp: u32) -> Result<Frame, End> {
    let mut how = How::Fault;
    let mut pc = pc;
    if let Some(last) = last {
        how = How::Printed;
        if pc == 0 {
            return Err(End::ReturnAddressZero);
        }
        let within = if last.is_return() {
            last.pc.wrapping_sub(1)
        } else {
            last.pc
        };
        // Very old releases print return addresses as they are.
        let known = |pc: u32| code.is_code(pc) || code.is_code(pc.wrapping_add(3));
        if !known(pc) {
            pc = clean(pc, CODE);
        }
        let call = call_before(code, pc.wrapping_add(3)).filter(|call| call.windows != 0);
        let trap = call.is_none() && is_handler(code, within);
        if !code.is_code(if trap { pc.wrapping_add(3) } else { pc }) {
            return Err(End::NotCode { pc });
        }
        if !sp.is_multiple_of(ALIGNMENT) {
            return Err(End::Misaligned { sp });
        }
        let before = last.registers.x[1].unwrap_or_default();
        if sp == before {
            return Err(End::SameFrame);
        }
        if sp < before && !trap {
            return Err(End::StackDoesNotGrow { sp });
        }
        match call {
            Some(call) if !may_lead(code, call, within) => {
                return Err(End::OtherCallee { pc });
            }
            None if trap => {
                // What was interrupted, three bytes early as if it were a return address.
                how = How::Trap;
                pc = pc.wrapping_add(3);
            }
            None if code.read(pc, &mut [0; 3]) => return Err(End::NotAfterCall { pc }),
            _ => {}
        }
        last.cfa = Some(sp);
        last.size = sp.checked_sub(before).filter(|_| how != How::Trap);
    }
    let mut registers = Registers {
        pc: Some(pc),
        ..Registers::default()
    };
    registers.x[1] = Some(sp);
    Ok(Frame {
        pc,
        cfa: None,
        size: None,
        how,
        registers,
    })
}
