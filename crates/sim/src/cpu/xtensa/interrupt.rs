//! Interrupt lines, timers, and which interrupt comes next.

use super::core::{Cause, Core, ps};

impl Core {
    /// Sets the external interrupt lines, one bit an interrupt number, as they are from now on.
    /// Numbers that belong to software or a timer are ignored.
    pub fn set_lines(&mut self, lines: u32) {
        let lines = lines & !self.internal();
        let edges = self.config.interrupts.edge | self.nmi();
        self.latched |= lines & !self.lines & edges;
        self.lines = lines;
        self.attention = true;
    }

    /// Whether an interrupt is pending that is enabled.
    pub fn wakes(&self) -> bool {
        self.interrupt() & (self.intenable | self.nmi()) != 0
    }

    /// `CCOUNT`.
    pub(super) fn ccount(&self) -> u32 {
        (self.instructions() as u32).wrapping_add(self.ccount_offset)
    }

    /// `INTERRUPT`.
    pub(super) fn interrupt(&self) -> u32 {
        self.latched | self.lines & !(self.config.interrupts.edge | self.nmi())
    }

    pub(super) fn set_software(&mut self, bits: u32) {
        self.latched |= bits & self.config.interrupts.software;
        self.attention = true;
    }

    pub(super) fn clear_interrupts(&mut self, bits: u32) {
        let interrupts = &self.config.interrupts;
        self.latched &= !(bits & (interrupts.software | interrupts.edge));
        self.attention = true;
    }

    /// Writing a `CCOMPARE` register takes back its interrupt.
    pub(super) fn set_ccompare(&mut self, index: usize, value: u32) {
        if let Some(slot) = self.ccompare.get_mut(index) {
            *slot = value;
        }
        if let Some(&number) = self.config.interrupts.timers.get(index) {
            self.latched &= !(1 << number);
        }
        self.attention = true;
    }

    /// Instructions until the next timer rings: at least 1. A match of this cycle has rung.
    pub(super) fn until_timer(&self) -> u64 {
        let now = self.ccount();
        let count = self.config.interrupts.timers.len();
        let before = self.ccompare.iter().take(count);
        let before = before.map(|at| at.wrapping_sub(now).wrapping_sub(1)).min();
        u64::from(before.unwrap_or(u32::MAX)) + 1
    }

    /// Rings the timers whose value is among the `passed` ones after `before`.
    pub(super) fn ring(&mut self, before: u32, passed: u32) {
        let timers = self.config.interrupts.timers;
        for (&number, &at) in timers.iter().zip(&self.ccompare) {
            if at.wrapping_sub(before).wrapping_sub(1) < passed {
                self.latched |= 1 << number;
                self.attention = true;
            }
        }
    }

    /// Takes the highest interrupt that is pending, enabled and not masked.
    pub(super) fn take_interrupt(&mut self) {
        let Some(highest) = self.next_interrupt() else {
            return;
        };
        if highest == self.config.top_level {
            // It is taken once an edge, and masks itself by its level's return alone.
            self.latched &= !self.nmi();
        }
        self.waiting = false;
        if highest == 1 {
            self.raise(Cause::Level1Interrupt, None);
        } else {
            self.raise_level(highest, self.pc);
        }
    }

    /// Whether an interrupt is pending that the program lets in.
    pub fn takes_interrupt(&self) -> bool {
        self.next_interrupt().is_some()
    }

    /// The level of the interrupt that is to be taken now.
    fn next_interrupt(&self) -> Option<u8> {
        let nmi = self.nmi();
        let pending = self.interrupt() & (self.intenable | nmi);
        if pending == 0 {
            return None;
        }
        let mut level = self.ps & ps::INTLEVEL;
        if self.ps & ps::EXCM != 0 {
            level = level.max(u32::from(self.config.excm_level));
        }
        let highest = (0..32u32)
            .filter(|number| pending >> number & 1 != 0)
            .map(|number| self.config.interrupts.level[number as usize])
            .max()
            .unwrap_or(0);
        let top = highest == self.config.top_level && pending & nmi != 0;
        (u32::from(highest) > level || top).then_some(highest)
    }

    /// The interrupts that no external line sets.
    fn internal(&self) -> u32 {
        let interrupts = &self.config.interrupts;
        let timers = interrupts.timers.iter().fold(0, |bits, &n| bits | 1 << n);
        interrupts.software | timers
    }

    fn nmi(&self) -> u32 {
        self.config.interrupts.nmi.map_or(0, |number| 1 << number)
    }
}
