//! Memory and arithmetic.

use super::call::{Caller, Cycles, Done, Progress, value};
use super::{StandIn, State};
use crate::cpu::Fault;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("memcpy", copy),
    ("memmove", copy),
    ("memset", set),
    ("__udivdi3", divide_long),
    ("__udivsi3", divide),
    ("__umodsi3", remainder),
];

/// Moving memory, in cycles a word. An assumption.
const MOVE_CYCLES: u64 = 3;
/// What comes before and behind a move of whole words, in cycles. An assumption.
const ENDS_CYCLES: u64 = 16;
/// Dividing two long numbers, in cycles. An assumption.
const LONG_DIVISION: Cycles = Cycles(80);
/// Bytes that are moved at a time; from the end where the target lies behind the source.
const PIECE: u32 = 0x1000;

/// `void *memmove(void *to, const void *from, size_t len)`
fn copy(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (to, from, len) = (caller.argument(0), caller.argument(1), caller.argument(2));
    let mut buffer = [0; PIECE as usize];
    let backwards = to.wrapping_sub(from) < len;
    let mut done = 0;
    while done < len {
        let piece = PIECE.min(len - done);
        let at = if backwards { len - done - piece } else { done };
        let bytes = &mut buffer[..piece as usize];
        caller.load(from.wrapping_add(at), bytes)?;
        caller.store(to.wrapping_add(at), bytes)?;
        done += piece;
    }
    Ok(Done::Return(to.into(), moving(len)))
}

/// `void *memset(void *to, int byte, size_t len)`
fn set(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (to, byte, len) = (caller.argument(0), caller.argument(1), caller.argument(2));
    let piece = [byte as u8; PIECE as usize];
    let mut done = 0;
    while done < len {
        let len = PIECE.min(len - done);
        caller.store(to.wrapping_add(done), &piece[..len as usize])?;
        done += len;
    }
    Ok(Done::Return(to.into(), moving(len)))
}

fn moving(len: u32) -> Cycles {
    Cycles(ENDS_CYCLES + MOVE_CYCLES * u64::from(len.div_ceil(4)))
}

/// `uint64_t __udivdi3(uint64_t a, uint64_t b)`. By 0 it gives 0.
fn divide_long(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let mut long =
        |low| u64::from(caller.argument(low)) | u64::from(caller.argument(low + 1)) << 32;
    let (a, b) = (long(0), long(2));
    let quotient = a.checked_div(b).unwrap_or(0);
    Ok(Done::Return(quotient, LONG_DIVISION))
}

/// `unsigned __udivsi3(unsigned a, unsigned b)`
fn divide(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (a, b) = (caller.argument(0), caller.argument(1));
    value(a.checked_div(b).unwrap_or(0))
}

/// `unsigned __umodsi3(unsigned a, unsigned b)`
fn remainder(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (a, b) = (caller.argument(0), caller.argument(1));
    value(a.checked_rem(b).unwrap_or(0))
}
