//! The interrupt matrix, which gives each source a number, and the controller that the numbers
//! belong to: lines of the CPU on Xtensa chips, a controller with priorities, or a CLIC.
//!
//! Sources: technical reference manuals, "Interrupt Matrix"; ESP-IDF's `interrupt_core0_reg.h`,
//! `plic_reg.h`, `clic_reg.h` and `interrupt_*_ll.h`.

use guru_chip::{InterruptController, InterruptRegisters};

use super::block::Activity;

/// A controller with priorities: offsets from ENABLE.
const TYPE: u32 = 0x04;
const CLEAR: u32 = 0x08;
const PENDING: u32 = 0x0C;
const PRIORITIES: u32 = 0x10;
const THRESHOLD: u32 = 0x90;
/// The PLIC's CLAIM, and nothing on chips without one.
const CLAIM: u32 = 0x94;
const PRIORITIES_LEN: u32 = 0x98;

/// A CLIC: offsets from its first register.
const CLIC_CONFIG: u32 = 0x00;
const CLIC_INFO: u32 = 0x04;
const CLIC_THRESHOLD: u32 = 0x08;
const CLIC_CONTROL: u32 = 0x1000;
/// Interrupts that are the CPU's own come before those of the matrix.
const CLIC_COUNT: usize = 48;
const CLIC_ENABLED: u32 = 1 << 8;
/// On edges.
const CLIC_EDGE: u32 = 1 << 17;
/// 3 bits of level (`NLBITS`).
const CLIC_LEVEL_BITS: u32 = 3;
const CLIC_LEN: u32 = CLIC_CONTROL + 4 * CLIC_COUNT as u32;

/// Xtensa: a line that is a timer of the CPU's own, so that nothing follows.
const UNUSED_LINE: u32 = 16;

/// The registers.
#[derive(Debug)]
pub(super) struct Interrupts {
    map: &'static InterruptRegisters,
    /// The number of each source.
    numbers: Vec<u32>,
    enabled: u32,
    edges: u32,
    /// Edges that were seen, and lines as they were, a bit a number.
    latched: u64,
    levels: u64,
    priorities: [u32; 32],
    threshold: u32,
    clic_config: u32,
    clic: [u32; CLIC_COUNT],
}

impl Interrupts {
    pub fn new(map: &'static InterruptRegisters) -> Self {
        let unused = if map.controller == InterruptController::Lines {
            UNUSED_LINE
        } else {
            0
        };
        Self {
            map,
            numbers: vec![unused; map.sources.into()],
            enabled: 0,
            edges: 0,
            latched: 0,
            levels: 0,
            priorities: [0; 32],
            threshold: 0,
            clic_config: CLIC_LEVEL_BITS << 1,
            clic: [0; CLIC_COUNT],
        }
    }

    /// The lines of the CPU, a bit an interrupt, given the sources that are asserted. Of a controller
    /// with priorities, no more than the one that comes next.
    pub fn lines(&mut self, sources: &[u16]) -> u64 {
        let mut levels = 0;
        for source in sources {
            let number = self.numbers.get(usize::from(*source)).copied().unwrap_or(0);
            levels |= 1_u64 << (number & 63);
        }
        let edges = match self.map.controller {
            InterruptController::Lines => 0,
            InterruptController::Priorities(_) => self.edges.into(),
            InterruptController::Clic(_) => self.clic_edges(),
        };
        self.latched |= levels & !self.levels & edges;
        self.levels = levels;
        let pending = self.pending(edges);
        match self.map.controller {
            InterruptController::Lines => pending & u64::from(u32::MAX),
            InterruptController::Priorities(_) => {
                let candidates =
                    (1..32).filter(|number| pending >> number & 1 & self.enabled(*number) != 0);
                let priority = |number: &usize| self.priorities[*number];
                let ready = candidates
                    .filter(|number| priority(number) > 0 && priority(number) >= self.threshold);
                first(ready, priority)
            }
            InterruptController::Clic(_) => {
                let ready = (0..CLIC_COUNT).filter(|number| {
                    pending >> number & 1 != 0
                        && self.clic[*number] & CLIC_ENABLED != 0
                        && self.clic[*number] >> 24 >= self.threshold >> 24
                });
                first(ready, |number| self.clic[*number] >> 24)
            }
        }
    }

    fn pending(&self, edges: u64) -> u64 {
        self.levels & !edges | self.latched & edges
    }

    fn enabled(&self, number: usize) -> u64 {
        u64::from(self.enabled) >> number & 1
    }

    fn clic_edges(&self) -> u64 {
        let edges = self.clic.iter().enumerate();
        edges
            .filter(|(_, control)| **control & CLIC_EDGE != 0)
            .fold(0, |bits, (number, _)| bits | 1 << number)
    }

    /// Reads a register at its address. `None`: it is none of these.
    pub fn read(&self, address: u32, sources: &[u16]) -> Option<u32> {
        if let Some(number) = self.numbers.get(self.source(address)?) {
            return Some(*number);
        }
        if let Some(offset) = self.status(address) {
            let word = offset / 4;
            let inside = sources.iter().filter(|source| **source / 32 == word);
            return Some(inside.fold(0, |bits, source| bits | 1 << (source % 32)));
        }
        match self.map.controller {
            InterruptController::Lines => None,
            InterruptController::Priorities(base) => {
                let offset = address.wrapping_sub(base);
                Some(match offset {
                    0 => self.enabled,
                    TYPE => self.edges,
                    CLEAR | CLAIM => 0,
                    PENDING => self.pending(self.edges.into()) as u32,
                    PRIORITIES..THRESHOLD => self.priorities[(offset - PRIORITIES) as usize / 4],
                    THRESHOLD => self.threshold,
                    _ => return None,
                })
            }
            InterruptController::Clic(base) => {
                let offset = address.wrapping_sub(base);
                Some(match offset {
                    CLIC_CONFIG => self.clic_config,
                    CLIC_INFO => CLIC_LEVEL_BITS << 21 | CLIC_COUNT as u32,
                    CLIC_THRESHOLD => self.threshold,
                    CLIC_CONTROL..CLIC_LEN => {
                        let number = (offset - CLIC_CONTROL) as usize / 4;
                        let pending = self.pending(self.clic_edges()) >> number & 1;
                        self.clic[number] & !1 | pending as u32
                    }
                    _ => return None,
                })
            }
        }
    }

    /// Writes a register at its address. `false`: it is none of these.
    pub fn write(&mut self, address: u32, value: u32, activity: &mut Activity) -> bool {
        if let Some(number) = self
            .source(address)
            .and_then(|source| self.numbers.get_mut(source))
        {
            activity.changed |= *number != value;
            *number = value;
            return true;
        }
        if self.status(address).is_some() {
            return true;
        }
        match self.map.controller {
            InterruptController::Lines => return false,
            InterruptController::Priorities(base) => {
                let offset = address.wrapping_sub(base);
                match offset {
                    0 => self.enabled = value,
                    TYPE => self.edges = value,
                    CLEAR => self.latched &= !u64::from(value),
                    PENDING | CLAIM => {}
                    PRIORITIES..THRESHOLD => {
                        self.priorities[(offset - PRIORITIES) as usize / 4] = value & 15;
                    }
                    THRESHOLD => self.threshold = value & 15,
                    _ => return false,
                }
            }
            InterruptController::Clic(base) => {
                let offset = address.wrapping_sub(base);
                match offset {
                    CLIC_CONFIG => self.clic_config = value,
                    CLIC_INFO => {}
                    CLIC_THRESHOLD => self.threshold = value,
                    CLIC_CONTROL..CLIC_LEN => {
                        let number = (offset - CLIC_CONTROL) as usize / 4;
                        self.clic[number] = value & !1;
                        if value & 1 == 0 {
                            self.latched &= !(1 << number);
                        }
                    }
                    _ => return false,
                }
            }
        }
        activity.changed = true;
        true
    }

    /// Place of a register in the matrix, if it is in front of its end or not of it.
    fn source(&self, address: u32) -> Option<usize> {
        Some((address.wrapping_sub(self.map.matrix) / 4) as usize)
    }

    /// Offset of a status register from the first one.
    fn status(&self, address: u32) -> Option<u16> {
        let offset = address.wrapping_sub(self.map.status?);
        let words = u32::from(self.map.sources).div_ceil(32);
        u16::try_from(offset)
            .ok()
            .filter(|offset| u32::from(*offset) < 4 * words)
    }

    /// Whether a controller outside of the matrix, or the matrix itself, is at an address. What this
    /// says no to may still be a register beside them.
    pub fn is_at(&self, address: u32) -> bool {
        let inside = |start: u32, len: u32| address.wrapping_sub(start) < len;
        inside(self.map.matrix, 4 * u32::from(self.map.sources))
            || self.status(address).is_some()
            || match self.map.controller {
                InterruptController::Lines => false,
                InterruptController::Priorities(base) => inside(base, PRIORITIES_LEN),
                InterruptController::Clic(base) => inside(base, CLIC_LEN),
            }
    }
}

/// The bit of the candidate with the highest priority, the highest number among equals.
fn first(candidates: impl Iterator<Item = usize>, priority: impl Fn(&usize) -> u32) -> u64 {
    let next = candidates.max_by_key(priority);
    next.map_or(0, |number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guru_chip::Chip;

    fn chips() -> impl Iterator<Item = (&'static Chip, Interrupts)> {
        guru_chip::CHIPS.iter().filter_map(|chip| {
            let map = chip.registers.interrupts.as_ref()?;
            Some((*chip, Interrupts::new(map)))
        })
    }

    fn write(interrupts: &mut Interrupts, address: u32, value: u32) {
        assert!(interrupts.is_at(address), "{address:#x}");
        assert!(interrupts.write(address, value, &mut Activity::default()));
    }

    /// Leads a source to interrupt 20, as programs do.
    fn lead(interrupts: &mut Interrupts, source: u16) {
        let map = interrupts.map;
        write(interrupts, map.matrix + 4 * u32::from(source), 20);
        match map.controller {
            InterruptController::Lines => {}
            InterruptController::Priorities(base) => {
                write(interrupts, base, 1 << 20);
                write(interrupts, base + PRIORITIES + 80, 3);
                write(interrupts, base + THRESHOLD, 1);
            }
            InterruptController::Clic(base) => {
                write(
                    interrupts,
                    base + CLIC_CONTROL + 80,
                    0x3F << 24 | CLIC_ENABLED,
                );
                write(interrupts, base + CLIC_THRESHOLD, 0x1F << 24);
            }
        }
    }

    #[test]
    fn the_uart_comes_to_the_cpu_by_the_number_that_the_matrix_has() {
        for (chip, mut interrupts) in chips() {
            let uart = chip.registers.uart.source;
            assert_eq!(interrupts.lines(&[uart]) & 1 << 20, 0, "{}", chip.id);
            lead(&mut interrupts, uart);
            assert_eq!(interrupts.lines(&[uart]), 1 << 20, "{}", chip.id);
            if let Some(status) = interrupts.map.status {
                let word = status + u32::from(uart) / 32 * 4;
                assert_eq!(interrupts.read(word, &[uart]), Some(1 << (uart % 32)));
            }
            assert_eq!(interrupts.lines(&[]), 0, "{}", chip.id);
        }
    }

    #[test]
    fn the_threshold_holds_interrupts_back() {
        for (chip, mut interrupts) in chips() {
            lead(&mut interrupts, 5);
            let (at, high) = match interrupts.map.controller {
                InterruptController::Lines => continue,
                InterruptController::Priorities(base) => (base + THRESHOLD, 4),
                InterruptController::Clic(base) => (base + CLIC_THRESHOLD, 0x5F << 24),
            };
            write(&mut interrupts, at, high);
            assert_eq!(interrupts.lines(&[5]), 0, "{}", chip.id);
        }
    }

    #[test]
    fn an_edge_stays_until_it_is_cleared() {
        for (chip, mut interrupts) in chips() {
            lead(&mut interrupts, 5);
            let (at, clear) = match interrupts.map.controller {
                InterruptController::Lines => continue,
                InterruptController::Priorities(base) => {
                    write(&mut interrupts, base + TYPE, 1 << 20);
                    (base + CLEAR, 1 << 20)
                }
                InterruptController::Clic(base) => {
                    let control = 0x3F << 24 | CLIC_ENABLED | CLIC_EDGE;
                    write(&mut interrupts, base + CLIC_CONTROL + 80, control);
                    (base + CLIC_CONTROL + 80, control)
                }
            };
            assert_eq!(interrupts.lines(&[5]), 1 << 20, "{}", chip.id);
            assert_eq!(interrupts.lines(&[]), 1 << 20, "{}", chip.id);
            write(&mut interrupts, at, clear);
            assert_eq!(interrupts.lines(&[]), 0, "{}", chip.id);
        }
    }
}
