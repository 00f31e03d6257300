use std::ops::Range;
use std::time::Duration;

use guru_chip::{Chip, EraseRule, InflateRule};

use crate::{BLOCK, FlashTimes, Line, SECTOR, erases, sector_ceil};

/// Largest stream, in bytes of contents, so that memory stays bounded.
pub const MAX_STREAM: u32 = 1 << 20;

/// What the inflater of [`InflateRule::WholeWindows`] may write behind a stream, in bytes.
const WINDOW: u32 = 0x8000;

/// How a compressed image compares with its contents, for estimates before it is compressed.
const TYPICAL_RATIO: f64 = 0.55;

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
}

/// What the division into streams depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamRules {
    /// How BEGIN erases.
    pub erase: EraseRule,
    /// How the inflater writes; `None`: everything goes raw.
    pub inflate: Option<InflateRule>,
    /// Longest stream in bytes, a multiple of a sector.
    pub max: u32,
    /// What the line costs.
    pub line: Line,
    /// What the flash costs.
    pub flash: FlashTimes,
}

impl StreamRules {
    /// The rules for a chip's ROM loader. `compress`: whether contents may go compressed.
    pub fn new(chip: &Chip, compress: bool, line: Line) -> Self {
        Self {
            erase: chip.rom.erase,
            inflate: chip.rom.inflate.filter(|_| compress),
            max: MAX_STREAM,
            line,
            flash: FlashTimes::default(),
        }
    }

    /// Erase time of a stream over `range` in the erase rule common to all ROMs.
    fn erase_cost(&self, range: Range<u32>) -> Duration {
        let end = sector_ceil(u64::from(range.end));
        self.flash
            .erase(erases(range.start, (end - u64::from(range.start)) as u32))
    }

    /// Where to divide `range`: of the sector boundaries in the last block before `latest`, the one
    /// with the cheapest erase on both sides, and of these the latest. `extra` adds costs of a
    /// boundary beyond its erases.
    fn boundary(&self, range: &Range<u32>, latest: u32, extra: impl Fn(u32) -> Duration) -> u32 {
        let earliest = latest.saturating_sub(BLOCK).max(range.start + SECTOR);
        let rest_end = |at: u32| range.end.min(at.saturating_add(self.max));
        (earliest..=latest)
            .rev()
            .step_by(SECTOR as usize)
            .min_by_key(|at| {
                self.erase_cost(range.start..*at) + self.erase_cost(*at..rest_end(*at)) + extra(*at)
            })
            .unwrap_or(latest)
    }
}

/// Divides the contents of `range`, whose start is sector-aligned, into streams: few, none longer
/// than allowed, and divided where the ROM's way of erasing costs least.
///
/// For an inflater that writes whole windows, the last part goes raw: what is written behind the
/// end of a compressed stream is then erased again by the stream that follows, and never lies
/// outside of `range`'s sectors.
pub fn streams(range: Range<u32>, rules: &StreamRules) -> Vec<Stream> {
    let mut streams = Vec::new();
    if range.is_empty() {
        return streams;
    }
    let (compressed_end, form) = match rules.inflate {
        None => (range.start, Form::Raw),
        Some(InflateRule::Exact) => (range.end, Form::Deflate),
        Some(InflateRule::WholeWindows) => {
            let latest = range.end.saturating_sub(WINDOW) / SECTOR * SECTOR;
            if latest <= range.start {
                (range.start, Form::Raw)
            } else {
                let last_start = range.start.max(latest.saturating_sub(rules.max));
                let raw_costs = |at: u32| {
                    rules
                        .line
                        .byte
                        .mul_f64(f64::from(range.end - at) * (1.0 - TYPICAL_RATIO))
                };
                (
                    rules.boundary(&(last_start..range.end), latest, raw_costs),
                    Form::Deflate,
                )
            }
        }
    };
    divide(range.start..compressed_end, form, rules, &mut streams);
    divide(compressed_end..range.end, Form::Raw, rules, &mut streams);
    streams
}

/// What BEGIN erases for each of these streams, which are written in this order; nothing, where an
/// earlier one has erased for it.
///
/// One long erase is mostly made of 64 KiB blocks, so the first stream of an unbroken run erases for
/// the whole run. Not so for an inflater that writes whole windows: what it writes behind a stream
/// must be erased again.
pub fn erases_of(streams: &[Stream], inflate: Option<InflateRule>) -> Vec<Range<u32>> {
    let mut erases: Vec<Range<u32>> = Vec::with_capacity(streams.len());
    let mut first = 0;
    for (at, stream) in streams.iter().enumerate() {
        let sectors = stream.sectors();
        let goes_on = at > 0 && streams[at - 1].range.end == stream.range.start;
        if goes_on && inflate != Some(InflateRule::WholeWindows) {
            erases[first].end = sectors.end;
            erases.push(sectors.start..sectors.start);
        } else {
            first = at;
            erases.push(sectors);
        }
    }
    erases
}

fn divide(range: Range<u32>, form: Form, rules: &StreamRules, streams: &mut Vec<Stream>) {
    let Range { mut start, end } = range;
    while start < end {
        let stop = if end - start <= rules.max {
            end
        } else {
            rules.boundary(&(start..end), start + rules.max, |_| Duration::ZERO)
        };
        streams.push(Stream {
            range: start..stop,
            form,
        });
        start = stop;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(inflate: Option<InflateRule>) -> StreamRules {
        StreamRules {
            erase: EraseRule::HeadBlocksTail,
            inflate,
            max: MAX_STREAM,
            line: Line::uart(921_600, Duration::from_millis(1)),
            flash: FlashTimes::default(),
        }
    }

    fn erase_time(streams: &[Stream]) -> Duration {
        streams
            .iter()
            .map(|stream| {
                FlashTimes::default()
                    .erase(erases(stream.range.start, stream.sectors().len() as u32))
            })
            .sum()
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
    fn streams_are_not_divided_where_both_sides_erase_single_sectors() {
        let streams = streams(0..4 << 20, &rules(Some(InflateRule::Exact)));
        assert!(streams.len() <= 5, "{streams:x?}");
        let aligned: Vec<Stream> = (0..4)
            .map(|n| Stream {
                range: n << 20..(n + 1) << 20,
                form: Form::Deflate,
            })
            .collect();
        assert!(erase_time(&streams) < erase_time(&aligned));
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
            erases_of(&streams, Some(InflateRule::Exact)),
            [0..0x4000, 0x2000..0x2000, 0x8000..0x9000]
        );
        assert_eq!(
            erases_of(&streams, Some(InflateRule::WholeWindows)),
            [0..0x2000, 0x2000..0x4000, 0x8000..0x9000]
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
            let rules = rules(inflate);
            let streams = streams(start..start + length, &rules);
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
        fn what_a_window_overwrites_is_erased_by_a_later_stream(
            start in 0_u32..2000,
            length in 1_u32..4_000_000,
        ) {
            let start = start * SECTOR;
            let streams = streams(start..start + length, &rules(Some(InflateRule::WholeWindows)));
            for stream in streams.iter().filter(|stream| stream.form == Form::Deflate) {
                prop_assert!(stream.range.end + WINDOW <= start + length);
            }
            prop_assert_eq!(streams.last().map(|stream| stream.form), Some(Form::Raw));
        }
    }
}
