//! Words on the stack that may be return addresses.

use super::code::{Code, word};
use super::riscv::call_before;
use super::{Frame, Memory, Possible};

/// How much of the stack is searched, in bytes.
const REACH: u32 = 0x8000;

/// The most that are told.
pub(crate) const MOST: usize = 256;

/// Whether the instruction before an address is a RISC-V call. `None`: it cannot be seen.
pub(crate) fn after_call(code: &dyn Code, address: u32) -> Option<bool> {
    if address & 1 != 0 {
        return Some(false);
    }
    let seen = code.read(address.wrapping_sub(4), &mut [0; 4])
        || code.read(address.wrapping_sub(2), &mut [0; 2]);
    seen.then(|| call_before(code, address).is_some())
}

/// What may be return addresses on the stack of the last frame, on RISC-V.
pub(crate) fn behind(code: &dyn Code, memory: &dyn Memory, frames: &[Frame]) -> Vec<Possible> {
    let sp = frames
        .last()
        .and_then(|frame| frame.registers.x.get(2).copied().flatten());
    let is_it = |word: u32| {
        let fits = code.is_code(word.wrapping_sub(1)) && after_call(code, word) == Some(true);
        fits.then_some(word)
    };
    sp.map_or_else(Vec::new, |sp| search(code, memory, sp, &is_it))
}

/// Looks at the words from an address up, as far as memory is known.
pub(crate) fn search(
    code: &dyn Code,
    memory: &dyn Memory,
    from: u32,
    is_it: &dyn Fn(u32) -> Option<u32>,
) -> Vec<Possible> {
    let end = from.saturating_add(REACH);
    let places = (from.saturating_add(3) & !3..end).step_by(4);
    places
        .map_while(|at| Some((at, word(code, memory, at)?)))
        .filter_map(|(at, word)| {
            let pc = is_it(word)?;
            Some(Possible { at: Some(at), pc })
        })
        .take(MOST)
        .collect()
}
