//! Where the answer to a command that starts a program ends, and the program's own output begins.
//!
//! The ROM jumps as soon as its answer is in the UART's FIFO. A program that sets the UART up anew
//! may tear the answer, and what it prints follows without a gap: it may hold any bytes, so the
//! rules for packets do not apply to it.

use guru_wire::slip::{Decoder, Event};
use guru_wire::{ErrorCode, Opcode, Response};

/// More than any of these answers, in bytes.
const MAX_ANSWER: usize = 64;

/// An answer in what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Opcode of the command that it answers.
    pub opcode: u8,
    /// Where it ends.
    pub end: usize,
    /// Whether the loader refused.
    pub status: Result<(), ErrorCode>,
}

/// Finds answers in what came.
pub(crate) fn answers(came: &[u8]) -> impl Iterator<Item = Answered> + '_ {
    let mut decoder = Decoder::new(MAX_ANSWER);
    let mut end = 0;
    std::iter::from_fn(move || {
        while end < came.len() {
            let (count, event) = decoder.push(&came[end..]);
            end += count;
            let Some(Event::Packet(packet)) = event else {
                continue;
            };
            let Ok(response) = Response::decode(&packet) else {
                continue;
            };
            if let Ok(status) = response.status(0) {
                let opcode = response.opcode;
                return Some(Answered {
                    opcode,
                    end,
                    status,
                });
            }
        }
        None
    })
}

/// What the program printed, when the answer is not whole: all but the part of the answer at the
/// beginning. In doubt a byte counts as the program's, whose words are not to be lost.
pub(crate) fn behind_torn(came: &[u8], opcode: Opcode, status_len: u8) -> &[u8] {
    /// Bytes of the value word, which may be anything.
    const VALUE: usize = 4;
    let agree = |found: &[u8], expected: &[u8]| {
        let pairs = found.iter().zip(expected);
        pairs
            .take_while(|(found, expected)| found == expected)
            .count()
    };
    let head = [0xC0, 1, opcode as u8, status_len, 0];
    let status = &[0, 0, 0, 0][..usize::from(status_len).min(4)];
    match agree(came, &head) {
        // So few may be chance.
        0..3 => came,
        part if part < head.len() => &came[part..],
        whole => {
            let behind = came.get(whole + VALUE..).unwrap_or_default();
            match agree(behind, status) {
                // The value was torn, or it was not the value any more.
                0 => &came[whole..],
                part => &behind[part..],
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use guru_wire::slip;
    use proptest::prelude::*;

    use super::*;

    fn answer(came: &[u8]) -> Option<(usize, Result<(), ErrorCode>)> {
        let mut found = answers(came).filter(|answer| answer.opcode == Opcode::MemEnd as u8);
        found.next().map(|answer| (answer.end, answer.status))
    }

    fn packet(status: u8) -> Vec<u8> {
        slip::encode(&[
            1,
            6,
            4,
            0,
            7,
            7,
            0x12,
            0x20,
            status,
            u8::from(status > 0) * 5,
            0,
            0,
        ])
    }

    #[test]
    fn what_follows_the_answer_is_the_programs() {
        let mut came = packet(0);
        let end = came.len();
        came.extend(b"Hello");
        assert_eq!(answer(&came), Some((end, Ok(()))));
        let refused = answer(&packet(1));
        assert!(matches!(refused, Some((_, Err(_)))));
    }

    #[test]
    fn an_answer_that_was_torn_is_cut_off_and_no_word_with_it() {
        let whole = packet(0);
        for torn in 3..whole.len() {
            let mut came = whole[..torn].to_vec();
            came.extend(b"Hello");
            assert_eq!(answer(&came), None);
            let text = behind_torn(&came, Opcode::MemEnd, 4);
            assert!(text.ends_with(b"Hello"), "{torn}");
            // Nothing tells the bytes of a torn value from text.
            let value = if (6..=9).contains(&torn) { torn - 5 } else { 0 };
            assert_eq!(text.len(), 5 + value, "{torn}");
        }
        assert_eq!(behind_torn(b"Hello", Opcode::MemEnd, 4), b"Hello");
        assert_eq!(behind_torn(b"\xC0Hello", Opcode::MemEnd, 4), b"\xC0Hello");
    }

    proptest! {
        #[test]
        fn any_output_is_kept_whole(text: Vec<u8>) {
            let mut came = packet(0);
            let end = came.len();
            came.extend(&text);
            prop_assert_eq!(answer(&came), Some((end, Ok(()))));
        }

        #[test]
        fn no_bytes_make_the_search_panic(came: Vec<u8>) {
            let _ = answers(&came).count();
            let _ = behind_torn(&came, Opcode::FlashEnd, 2);
        }
    }
}
