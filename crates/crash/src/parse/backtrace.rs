//! `Backtrace:` lines of every age.

use super::scan::address;
use crate::{Mark, PrintedFrame};

/// What a line, or the rest of one, has of a backtrace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub frames: Vec<PrintedFrame>,
    pub mark: Option<Mark>,
    /// A pair is cut, or there is something else in the line.
    pub cut: bool,
}

/// Pairs `0xPC:0xSP`, with or without separators, and the mark at the end.
pub(super) fn pairs(text: &str) -> Read {
    let mut read = Read::default();
    let mut rest = text.trim_start_matches([' ', ':']);
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.is_empty() {
            return read;
        }
        if let Some((frame, behind)) = pair(rest) {
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

/// A line of GDB's backtrace, which ESP-IDF's monitor puts in the place of stack memory.
pub(super) fn of_gdb(text: &str) -> Option<PrintedFrame> {
    let rest = text.strip_prefix('#')?;
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let (pc, rest) = address(rest.trim_start())?;
    rest.starts_with(" in ")
        .then_some(PrintedFrame { pc, sp: None })
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
        let gdb = "#1  0x42008f10 in app_main () at main.c:3";
        assert_eq!(
            of_gdb(gdb),
            Some(PrintedFrame {
                pc: 0x4200_8f10,
                sp: None
            })
        );
    }
}
