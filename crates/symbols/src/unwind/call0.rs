//! The ESP8266 has neither frame pointers nor windows, and its programs no call frame information:
//! all that can be told is which words on the stack are behind a call.

use super::Possible;
use super::possible::MOST;
use super::xtensa::{Call, call_before};
use crate::Symbols;

/// Of the words of a stack, with their addresses, those that may be return addresses: they lead into
/// code, behind a `call0` or `callx0`. Some are left over from functions that have returned.
#[must_use]
pub fn possible(symbols: &Symbols, words: impl Iterator<Item = (u32, u32)>) -> Vec<Possible> {
    let leads_behind_a_call = |pc: u32| {
        // A function that ends with a call may be the last one of all.
        symbols.is_code(pc.wrapping_sub(1))
            && match call_before(symbols, pc) {
                Some(Call {
                    windows: 0, target, ..
                }) => target.is_none_or(|to| symbols.is_code(to)),
                _ => false,
            }
    };
    words
        .filter(|(_, word)| leads_behind_a_call(*word))
        .map(|(at, pc)| Possible { at: Some(at), pc })
        .take(MOST)
        .collect()
}
