//! Ranges of addresses that may overlap, and which one counts at an address.

use std::cmp::Reverse;
use std::ops::Range;

/// No range is here.
const NONE: u32 = u32::MAX;

/// Of the ranges that hold an address, the one that begins last counts; of several the shortest; of
/// these the first that was given. A lookup takes logarithmic time however they overlap: they are cut
/// into stretches that do not.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    /// Where a stretch begins, ascending, and the number of the range that counts up to the next.
    stretches: Vec<(u32, u32)>,
}

impl Intervals {
    /// Of ranges that are numbered in the order in which they are given.
    pub(crate) fn new(ranges: impl IntoIterator<Item = Range<u32>>) -> Self {
        let mut order: Vec<(Range<u32>, u32)> = (0..NONE)
            .zip(ranges)
            .filter(|(_, range)| range.start < range.end)
            .map(|(number, range)| (range, number))
            .collect();
        // What is later in this order counts more, for as long as it lasts.
        order.sort_by_key(|(range, number)| (range.start, Reverse((range.end, *number))));
        let mut cutter = Cutter::default();
        for (range, number) in order {
            cutter.end_up_to(range.start);
            cutter.open.push((range.end, number));
            cutter.begin(range.start, number);
        }
        cutter.end_up_to(u32::MAX);
        cutter.stretches.shrink_to_fit();
        Self {
            stretches: cutter.stretches,
        }
    }

    /// The number of the range that counts at an address.
    pub(crate) fn find(&self, address: u32) -> Option<usize> {
        let behind = self
            .stretches
            .partition_point(|(start, _)| *start <= address);
        let (_, number) = self.stretches.get(behind.checked_sub(1)?)?;
        (*number != NONE).then_some(*number as usize)
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        size_of_val(self.stretches.as_slice())
    }
}

#[derive(Default)]
struct Cutter {
    stretches: Vec<(u32, u32)>,
    /// Ends and numbers of ranges that have begun; the last one counts.
    open: Vec<(u32, u32)>,
}

impl Cutter {
    fn begin(&mut self, start: u32, number: u32) {
        match self.stretches.last_mut() {
            Some(last) if last.0 == start => last.1 = number,
            _ => self.stretches.push((start, number)),
        }
    }

    /// Ends what lasts no longer than to an address.
    fn end_up_to(&mut self, address: u32) {
        while let Some((end, _)) = self.open.last().copied()
            && end <= address
        {
            while self.open.last().is_some_and(|(other, _)| *other <= end) {
                self.open.pop();
            }
            let number = self.open.last().map_or(NONE, |(_, number)| *number);
            self.begin(end, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(ranges: &[Range<u32>], address: u32) -> Option<usize> {
        let holding = ranges
            .iter()
            .enumerate()
            .filter(|(_, range)| range.contains(&address));
        let best = holding
            .max_by_key(|(number, range)| (range.start, Reverse(range.end), Reverse(*number)));
        best.map(|(number, _)| number)
    }

    #[test]
    fn what_is_inside_of_another_counts_while_it_lasts() {
        let ranges = [10..50, 20..30, 20..30, 25..40, 60..60, 70..u32::MAX];
        let intervals = Intervals::new(ranges.clone());
        for (address, number) in [
            (9, None),
            (10, Some(0)),
            (20, Some(1)),
            (24, Some(1)),
            (25, Some(3)),
            (39, Some(3)),
            (40, Some(0)),
            (50, None),
            (60, None),
            (70, Some(5)),
            (u32::MAX - 1, Some(5)),
            (u32::MAX, None),
        ] {
            assert_eq!(intervals.find(address), number, "{address}");
            assert_eq!(counts(&ranges, address), number, "{address}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_found_in_the_range_that_counts(
            ranges in proptest::collection::vec((0_u32..60, 0_u32..20), 0..30),
            address in 0_u32..90,
        ) {
            let ranges: Vec<_> = ranges.iter().map(|(start, len)| *start..start + len).collect();
            let intervals = Intervals::new(ranges.clone());
            prop_assert_eq!(intervals.find(address), counts(&ranges, address));
            prop_assert!(intervals.stretches.len() <= 2 * ranges.len());
        }
    }
}
