use std::ops::Range;

use guru_chip::{Chip, InflateRule};

use crate::{SECTOR, sector_ceil};

/// Largest stream, in bytes of contents, so that memory stays bounded.
pub const MAX_STREAM: u32 = 1 << 20;

/// What the inflater of [`InflateRule::WholeWindows`] writes at once, in bytes.
const WINDOW: u32 = 0x8000;

/// Contents that go out behind one BEGIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Flash addresses of the contents; the start is sector-aligned.
    pub range: Range<u32>,
    /// How they go over the line.
    pub form: Form,
}

/// How contents go over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Raw,
    /// As one zlib stream, if that is smaller.
    Deflate,
}

impl Stream {
    /// Number of bytes of contents.
    pub fn length(&self) -> u32 {
        self.range.end - self.range.start
    }

    /// The sectors that it lies in.
    pub fn sectors(&self) -> Range<u32> {
        let end = sector_ceil(u64::from(self.range.end));
        self.range.start..end.min(u64::from(u32::MAX)) as u32
    }

    /// Bytes behind its end that the chip may overwrite when it goes compressed.
    pub fn overrun(&self, inflate: Option<InflateRule>) -> u32 {
        match inflate {
            Some(InflateRule::WholeWindows) => WINDOW - self.length() % WINDOW,
            Some(InflateRule::Exact) | None => 0,
        }
    }
}

/// What the division into streams depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRules {
    /// How the inflater writes; `None`: everything goes raw.
    pub inflate: Option<InflateRule>,
    /// Longest stream in bytes, a multiple of the inflater's window.
    pub max: u32,
}

impl StreamRules {
    /// The rules for a chip's ROM loader. `compress`: whether contents may go compressed.
    pub fn new(chip: &Chip, compress: bool) -> Self {
        Self {
            inflate: chip.rom.inflate.filter(|_| compress),
            max: MAX_STREAM,
        }
    }
}

/// Divides the contents of `range`, whose start is sector-aligned, into the fewest streams that are
/// not longer than allowed. Each costs one round trip; what is erased for them is another matter
/// ([`erases_of`]).
///
/// For an inflater that writes whole windows, the last window and what follows it go raw, so that
/// nothing is ever written behind `range`'s sectors. What it writes behind a compressed stream is
/// erased again by the one that follows; streams end one sector before a window does, so that this is
/// one sector.
pub fn streams(range: Range<u32>, rules: &StreamRules) -> Vec<Stream> {
    let mut streams = Vec::new();
    let (compressed_end, longest) = match rules.inflate {
        None => (range.start, rules.max),
        Some(InflateRule::Exact) => (range.end, rules.max),
        Some(InflateRule::WholeWindows) => {
            let longest = rules.max - SECTOR;
            let mut end = range.start;
            let latest = range.end.saturating_sub(WINDOW).max(range.start);
            while latest - end >= longest {
                end += longest;
            }
            let windows = (latest - end + SECTOR) / WINDOW;
            (end + (windows * WINDOW).saturating_sub(SECTOR), longest)
        }
    };
    divide(
        range.start..compressed_end,
        Form::Deflate,
        longest,
        &mut streams,
    );
    divide(
        compressed_end..range.end,
        Form::Raw,
        rules.max,
        &mut streams,
    );
    streams
}

fn divide(range: Range<u32>, form: Form, longest: u32, streams: &mut Vec<Stream>) {
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min(start.saturating_add(longest));
        streams.push(Stream {
            range: start..end,
            form,
        });
        start = end;
    }
}

/// What BEGIN erases for each of these streams, which are written in this order; nothing, where an
/// earlier one has erased for it.
///
/// One long erase is mostly made of 64 KiB blocks, several short ones of sectors: the first stream of
/// an unbroken run erases for the whole run.
pub fn erases_of(streams: &[Stream]) -> Vec<Range<u32>> {
    let mut erases: Vec<Range<u32>> = Vec::with_capacity(streams.len());
    let mut first = 0;
    for (at, stream) in streams.iter().enumerate() {
        let sectors = stream.sectors();
        if at > 0 && streams[at - 1].range.end == stream.range.start {
            erases[first].end = sectors.end;
            erases.push(sectors.start..sectors.start);
        } else {
            first = at;
            erases.push(sectors);
        }
    }
    erases
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(inflate: Option<InflateRule>) -> StreamRules {
        StreamRules {
            inflate,
            max: MAX_STREAM,
        }
    }

    #[test]
    fn a_file_up_to_the_limit_is_one_stream() {
        let streams = streams(0x1_0000..0x11_0000, &rules(Some(InflateRule::Exact)));
        assert_eq!(
            streams,
            [Stream {
                range: 0x1_0000..0x11_0000,
                form: Form::Deflate
            }]
        );
    }

    #[test]
    fn one_begin_erases_for_a_run_of_streams() {
        let stream = |range| Stream {
            range,
            form: Form::Deflate,
        };
        let streams = [
            stream(0..0x2000),
            stream(0x2000..0x3100),
            stream(0x8000..0x9000),
        ];
        assert_eq!(
            erases_of(&streams),
            [0..0x4000, 0x2000..0x2000, 0x8000..0x9000]
        );
    }

    #[test]
    fn a_small_file_goes_raw_to_an_inflater_that_writes_whole_windows() {
        let streams = streams(0x1000..0x9000, &rules(Some(InflateRule::WholeWindows)));
        assert_eq!(
            streams,
            [Stream {
                range: 0x1000..0x9000,
                form: Form::Raw
            }]
        );
    }

    proptest! {
        #[test]
        fn streams_cover_the_range_in_order(
            start in 0_u32..2000,
            length in 0_u32..8_000_000,
            inflate in prop::option::of(prop_oneof![
                Just(InflateRule::Exact),
                Just(InflateRule::WholeWindows)
            ]),
        ) {
            let start = start * SECTOR;
            let streams = streams(start..start + length, &rules(inflate));
            let mut at = start;
            for stream in &streams {
                prop_assert_eq!(stream.range.start, at);
                prop_assert_eq!(at % SECTOR, 0);
                prop_assert!(stream.length() > 0 && stream.length() <= MAX_STREAM);
                at = stream.range.end;
            }
            prop_assert_eq!(at, start + length);
        }

        #[test]
        fn a_window_overwrites_one_sector_that_a_later_stream_erases(
            start in 0_u32..2000,
            length in 1_u32..4_000_000,
        ) {
            let start = start * SECTOR;
            let inflate = Some(InflateRule::WholeWindows);
            let streams = streams(start..start + length, &rules(inflate));
            for stream in streams.iter().filter(|stream| stream.form == Form::Deflate) {
                prop_assert_eq!(stream.overrun(inflate), SECTOR);
                // A whole window is left for the streams that follow.
                prop_assert!(stream.range.end + WINDOW <= start + length);
            }
            prop_assert_eq!(streams.last().map(|stream| stream.form), Some(Form::Raw));
        }
    }
}
