//! Registers that hold what is written and do nothing else here: clock gates, pads, power, caches.
//! Which they are is data; what is not among them is not modelled.

use std::collections::HashMap;

use guru_chip::{Bits, Registers, ResetScope};

use super::block::Activity;
use super::field;
use crate::rng::Rng;

/// The registers, by their addresses.
#[derive(Debug)]
pub(super) struct Stored {
    map: &'static Registers,
    values: HashMap<u32, u32>,
    random: Rng,
    /// What a write has asked for.
    reset: Option<ResetScope>,
}

impl Stored {
    pub fn new(map: &'static Registers) -> Self {
        Self {
            map,
            values: map.initial.iter().copied().collect(),
            random: Rng::new(u64::from(map.uart.source)),
            reset: None,
        }
    }

    /// Why the chip was reset last, as its ROM numbers the causes.
    pub fn set_cause(&mut self, cause: u8) {
        if let Some(bits) = self.map.reset_cause {
            let value = self.value(bits.addr);
            let value = field::set(value, bits, cause.into());
            self.values.insert(bits.addr, value);
        }
    }

    /// The reset that was asked for since this was last asked.
    pub fn take_reset(&mut self) -> Option<ResetScope> {
        self.reset.take()
    }

    /// Whether a register is one of these.
    pub fn has(&self, address: u32) -> bool {
        self.map.stored.iter().any(|range| range.contains(&address))
    }

    /// What a register was written last, or holds after a reset.
    pub fn value(&self, address: u32) -> u32 {
        self.values.get(&address).copied().unwrap_or(0)
    }

    /// Reads a register. `None`: it is none of these.
    pub fn read(&mut self, address: u32, activity: &mut Activity) -> Option<u32> {
        if self.map.random.contains(&address) {
            activity.moves = true;
            return Some(self.random.next() as u32);
        }
        if !self.has(address) {
            return None;
        }
        let at = |bits: &&Bits| bits.addr == address;
        let ones = self.map.ones.iter().filter(at);
        let zeros = self.map.zeros.iter().filter(at);
        let value = ones.fold(self.value(address), |value, bits| {
            value | field::mask(*bits)
        });
        Some(zeros.fold(value, |value, bits| value & !field::mask(*bits)))
    }

    /// Writes a register. `false`: it is none of these.
    pub fn write(&mut self, address: u32, value: u32, activity: &mut Activity) -> bool {
        if !self.has(address) {
            return self.map.random.contains(&address);
        }
        let resets = self.map.resets.iter();
        let asked =
            resets.filter(|reset| reset.bits.addr == address && field::get(value, reset.bits) != 0);
        // Of two at once, the larger.
        self.reset = asked.map(|reset| reset.what).max().max(self.reset);
        let value = match self.map.reset_cause.filter(|bits| bits.addr == address) {
            Some(bits) => field::set(value, bits, field::get(self.value(address), bits)),
            None => value,
        };
        activity.changed |= self.values.insert(address, value).unwrap_or(0) != value;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores() -> impl Iterator<Item = (&'static str, &'static Registers, Stored)> {
        guru_chip::CHIPS.iter().map(|chip| {
            let map = &chip.registers;
            (chip.id, map, Stored::new(map))
        })
    }

    #[test]
    fn what_is_written_is_read_again_and_the_rest_is_unknown() {
        for (chip, map, mut stored) in stores() {
            let mut activity = Activity::default();
            let at = map.stored.first().map_or(0, |range| range.start + 0x10);
            assert!(stored.write(at, 0x1234_5678, &mut activity), "{chip}");
            assert!(activity.changed);
            assert_eq!(stored.read(at, &mut activity), Some(0x1234_5678), "{chip}");
            assert_eq!(stored.read(0x1000_0000, &mut activity), None);
            assert!(!stored.write(0x1000_0000, 0, &mut activity));
        }
    }

    #[test]
    fn what_is_done_at_once_is_never_seen_under_way() {
        for (chip, map, mut stored) in stores() {
            let mut activity = Activity::default();
            for bits in map.ones {
                stored.write(bits.addr, 0, &mut activity);
                let value = stored.read(bits.addr, &mut activity).unwrap_or(0);
                assert_ne!(field::get(value, *bits), 0, "{chip}");
            }
            for bits in map.zeros {
                stored.write(bits.addr, u32::MAX, &mut activity);
                let value = stored.read(bits.addr, &mut activity).unwrap_or(1);
                assert_eq!(field::get(value, *bits), 0, "{chip}");
            }
        }
    }

    #[test]
    fn a_reset_is_asked_for_by_its_bit_alone() {
        for (chip, map, mut stored) in stores() {
            for reset in map.resets {
                let mut activity = Activity::default();
                stored.write(
                    reset.bits.addr,
                    !field::mask(reset.bits) & 0xFF,
                    &mut activity,
                );
                stored.take_reset();
                let value = field::set(0, reset.bits, 1);
                assert!(stored.write(reset.bits.addr, value, &mut activity));
                assert_eq!(stored.take_reset(), Some(reset.what), "{chip}");
                assert_eq!(stored.take_reset(), None, "{chip}");
            }
        }
    }

    #[test]
    fn the_cause_of_a_reset_cannot_be_written_over() {
        for (chip, map, mut stored) in stores() {
            let Some(bits) = map.reset_cause else {
                continue;
            };
            stored.set_cause(9);
            stored.write(bits.addr, 0, &mut Activity::default());
            assert_eq!(field::get(stored.value(bits.addr), bits), 9, "{chip}");
        }
    }

    #[test]
    fn random_numbers_differ() {
        for (chip, map, mut stored) in stores() {
            let mut activity = Activity::default();
            for &at in map.random {
                let (one, other) = (
                    stored.read(at, &mut activity),
                    stored.read(at, &mut activity),
                );
                assert!(one.is_some() && one != other, "{chip}");
            }
        }
    }
}
