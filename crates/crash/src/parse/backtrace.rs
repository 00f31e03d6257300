//! `Backtrace:` lines of every age.

use super::scan::{address, decimal};
use crate::{Mark, PrintedFrame};

/// What a line, or the rest of one, has of a backtrace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub frames: Vec<PrintedFrame>,
    pub mark: Option<Mark>,
    /// A pair is cut, or there is something else in the line.
    pub cut: bool,
}

/// Pairs `0xPC:0xSP`, with or without separators, and the mark at the end. Other programs than ESP-IDF's
/// print addresses alone.
pub(super) fn pairs(text: &str) -> Read {
    let mut read = Read::default();
    let mut rest = text.trim_start_matches([' ', ':']);
    let alone = alone_at_start(rest).is_some_and(|(_, behind)| {
        // The first half of a pair is none: it takes two.
        alone_at_start(behind).is_some()
    });
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.is_empty() {
            return read;
        }
        let next = if alone {
            alone_at_start(rest)
        } else {
            pair(rest)
        };
        if let Some((frame, behind)) = next {
            read.frames.push(frame);
            rest = behind;
            continue;
        }
        let mark = rest.trim_end();
        match mark {
            "|<-CORRUPTED" => read.mark = Some(Mark::Corrupted),
            "|<-CONTINUES" => read.mark = Some(Mark::Continues),
            _ => read.cut = true,
        }
        return read;
    }
}

/// An address without a stack pointer at the start, with what follows.
fn alone_at_start(text: &str) -> Option<(PrintedFrame, &str)> {
    let (pc, rest) = address(text.trim_start_matches([' ', ',']))?;
    let apart = rest.is_empty() || rest.starts_with([' ', ',']);
    apart.then_some((PrintedFrame { pc, sp: None }, rest))
}

/// A pair at the start, with what follows.
fn pair(text: &str) -> Option<(PrintedFrame, &str)> {
    let (pc, rest) = address(text)?;
    let rest = rest.strip_prefix(':')?.strip_prefix("0x")?;
    // Where nothing separates the pairs, the next one's `0x` follows the digits at once.
    let (digits, behind) = (rest.get(..8)?, rest.get(8..)?);
    let apart = matches!(
        behind.as_bytes(),
        [] | [b' ' | b',' | b'|', ..] | [b'0', b'x', ..]
    );
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (apart && hex).then_some(())?;
    let sp = u32::from_str_radix(digits, 16).ok();
    Some((PrintedFrame { pc, sp }, behind))
}

/// A line that is an address and nothing else, as Rust programs print their backtraces.
pub(super) fn alone(text: &str) -> Option<PrintedFrame> {
    let (pc, rest) = address(text.trim())?;
    rest.is_empty().then_some(PrintedFrame { pc, sp: None })
}

/// A line of GDB's backtrace, which ESP-IDF's monitor puts in the place of stack memory: its number, and the
/// frame, whose address GDB leaves out where a line of the source begins.
pub(super) fn of_gdb(text: &str) -> Option<(u32, Option<PrintedFrame>)> {
    let (number, rest) = decimal(text.strip_prefix('#')?)?;
    let rest = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(' '))?;
    // What PlatformIO says of a printed address has no arguments.
    (rest.contains(" (") && rest.contains(')')).then_some(())?;
    match address(rest) {
        Some((pc, rest)) => {
            let frame = PrintedFrame { pc, sp: None };
            rest.starts_with(" in ").then_some((number, Some(frame)))
        }
        None => (!rest.starts_with("0x")).then_some((number, None)),
    }
}

/// Index of the first frame on another stack: callers lie above on the same one, and nothing that a
/// program calls has a frame of 64 KB.
pub(super) fn other_stack(frames: &[PrintedFrame]) -> Option<usize> {
    let switched = frames.windows(2).position(|pair| match pair {
        [inner, outer] => match (inner.sp, outer.sp) {
            (Some(inner), Some(outer)) => outer < inner || outer - inner > 0x1_0000,
            _ => false,
        },
        _ => false,
    });
    switched.map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(pc: u32, sp: u32) -> PrintedFrame {
        PrintedFrame { pc, sp: Some(sp) }
    }

    #[test]
    fn pairs_of_every_age_are_read() {
        let frames = vec![
            frame(0x400d_1122, 0x3ffb_5570),
            frame(0x400d_3344, 0x3ffb_5590),
        ];
        for (line, mark) in [
            (" 0x400d1122:0x3ffb5570 0x400d3344:0x3ffb5590", None),
            ("0x400d1122:0x3ffb5570 0x400d3344:0x3ffb5590 ", None),
            ("0x400d1122:0x3ffb55700x400d3344:0x3ffb5590", None),
            (
                ": 0x400d1122:0x3ffb5570 0x400d3344:0x3ffb5590 |<-CORRUPTED",
                Some(Mark::Corrupted),
            ),
            (
                " 0x400d1122:0x3ffb5570 0x400d3344:0x3ffb5590|<-CONTINUES",
                Some(Mark::Continues),
            ),
        ] {
            let expected = Read {
                frames: frames.clone(),
                mark,
                cut: false,
            };
            assert_eq!(pairs(line), expected, "{line}");
        }
    }

    #[test]
    fn addresses_alone_are_frames_when_there_are_two() {
        let read = pairs(" 0x400934d7 0x40093659 0x40092c77");
        let frames: Vec<_> = read.frames.iter().map(|frame| frame.pc).collect();
        assert_eq!(frames, [0x4009_34d7, 0x4009_3659, 0x4009_2c77]);
        assert!(!read.cut && read.frames.iter().all(|frame| frame.sp.is_none()));
        for one in [
            " 0x400934d7",
            " 0x400934d7 0x4009365",
            " 0x400934d7 |<-CORRUPTED",
        ] {
            assert_eq!(pairs(one).frames, [], "{one}");
        }
    }

    #[test]
    fn a_cut_pair_is_left_out() {
        let line = " 0x400d1122:0x3ffb5570 0x400d3344:0x3ffb5590";
        for length in 24..line.len() {
            let read = pairs(&line[..length]);
            assert_eq!(read.frames, [frame(0x400d_1122, 0x3ffb_5570)], "{length}");
            assert!(read.cut, "{length}");
        }
        assert_eq!(pairs(" |<-CORR").mark, None);
    }

    #[test]
    fn a_change_of_stacks_is_seen() {
        let task = [
            frame(0x4008_0000, 0x3ffb_0100),
            frame(0x400d_0000, 0x3ffb_0120),
        ];
        assert_eq!(other_stack(&task), None);
        let both = [
            frame(0x4008_0000, 0x3ffb_e000),
            frame(0x400d_0000, 0x3ffb_0120),
        ];
        assert_eq!(other_stack(&both), Some(1));
    }

    #[test]
    fn what_other_tools_print_is_read() {
        assert_eq!(
            alone(" 0x420019aa "),
            Some(PrintedFrame {
                pc: 0x4200_19aa,
                sp: None
            })
        );
        assert_eq!(alone("0x420019aa - main"), None);
        let frame = PrintedFrame {
            pc: 0x4200_8f10,
            sp: None,
        };
        let gdb = "#1  0x42008f10 in app_main () at main.c:3";
        assert_eq!(of_gdb(gdb), Some((1, Some(frame))));
        assert_eq!(of_gdb("#0  crash (p=0x0) at main.c:3"), Some((0, None)));
        assert_eq!(of_gdb("#0  0x42008f10 in crash at main.c:3"), None);
    }
}
