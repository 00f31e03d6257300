//! What a ROM does at its vectors, for a core without one: window overflows in code, the rest
//! natively.

use super::core::{Cause, Core, ps};
use crate::cpu::{Bus, Fault};

/// A program as an interrupt found it.
pub struct Interrupted {
    ar: [u32; 64],
    base: u32,
    window_start: u16,
    pc: u32,
    ps: u32,
    sar: u32,
    br: u32,
    lbeg: u32,
    lend: u32,
    lcount: u32,
    scompare1: u32,
    mac: [u32; 6],
    called: u8,
}

/// Below the stack of a core without windows, in bytes: kept for what the ABI does not tell.
const MARGIN: u32 = 128;

impl Core {
    /// Enables or disables interrupts, a bit each.
    pub fn enable_interrupts(&mut self, mask: u32, on: bool) {
        if on {
            self.intenable |= mask;
        } else {
            self.intenable &= !mask;
        }
        self.attention = true;
    }

    /// At the first instruction of a function: changes one of its six arguments in registers.
    pub fn set_argument(&mut self, number: u8, value: u32) {
        if number < 6 {
            self.set((self.called << 2) + 2 + number, value);
        }
    }

    /// The interrupt of level 1 that is to be handled, at the vector of general exceptions.
    pub fn level1(&self) -> Option<u8> {
        if self.exccause != Cause::Level1Interrupt as u32 {
            return None;
        }
        let pending = self.interrupt() & self.intenable;
        let levels = &self.config.interrupts.level;
        (0..32).find(|&number| {
            pending >> number & 1 != 0 && levels.get(usize::from(number)) == Some(&1)
        })
    }

    /// At the vector of general exceptions: calls a handler with an argument, by which the level 1
    /// is masked, and lets it return to `link`.
    pub fn call_handler(&mut self, handler: u32, argument: u32, link: u32) -> Interrupted {
        let before = Interrupted {
            ar: self.ar,
            base: self.base,
            window_start: self.window_start,
            pc: self.epc[1],
            ps: self.ps & !ps::EXCM,
            sar: self.sar,
            br: self.br,
            lbeg: self.lbeg,
            lend: self.lend,
            lcount: self.lcount,
            scompare1: self.scompare1,
            mac: self.mac,
            called: self.called,
        };
        // A loop of the program's must not go on in the handler.
        self.lcount = 0;
        if self.config.windowed {
            // As CALL4: what is left of the program's registers is in `before`.
            self.called = 1;
            self.set(4, 1 << 30 | link & 0x3fff_ffff);
            self.set(6, argument);
            self.set_ps(before.ps & !(ps::CALLINC | ps::INTLEVEL) | 1 << ps::CALLINC_SHIFT | 1);
        } else {
            self.called = 0;
            self.set(0, link);
            self.set(1, self.get(1).wrapping_sub(MARGIN) & !15);
            self.set(2, argument);
            self.set_ps(before.ps & !ps::INTLEVEL | 1);
        }
        self.set_pc(handler);
        before
    }

    /// The handler has returned.
    pub fn resume(&mut self, before: &Interrupted) {
        self.ar = before.ar;
        self.base = before.base;
        self.window_start = before.window_start;
        self.sar = before.sar;
        self.br = before.br;
        self.lbeg = before.lbeg;
        self.lend = before.lend;
        self.lcount = before.lcount;
        self.scompare1 = before.scompare1;
        self.mac = before.mac;
        self.called = before.called;
        self.set_ps(before.ps);
        self.stopped_at = None;
        self.set_pc(before.pc);
    }

    /// At the vector of general exceptions, because of a `MOVSP` whose caller's registers are in
    /// memory: moves them along with the stack pointer, and goes on behind the instruction. `false`:
    /// it was something else.
    ///
    /// # Errors
    ///
    /// The stack is not memory.
    pub fn finish_movsp<B: Bus>(&mut self, bus: &mut B) -> Result<bool, Fault> {
        if self.exccause != Cause::Alloca as u32 {
            return Ok(false);
        }
        let at = self.epc[1];
        let insn = u32::from(bus.fetch(at)?) | u32::from(bus.fetch(at.wrapping_add(1))?) << 8;
        let (t, s) = ((insn >> 4 & 15) as u8, (insn >> 8 & 15) as u8);
        let (old, new) = (self.get(1), self.get(s));
        for offset in [16, 12, 8, 4] {
            let word = bus.load32(old.wrapping_sub(offset))?;
            bus.store32(new.wrapping_sub(offset), word)?;
        }
        self.set(t, new);
        self.set_ps(self.ps & !ps::EXCM);
        self.set_pc(at.wrapping_add(3));
        Ok(true)
    }
}

/// The handlers of window overflow and underflow, as the manual gives them (4.7.1.7), for the six
/// vectors from the first one on.
pub fn window_vectors() -> Vec<u8> {
    let mut code = vec![0; 6 * VECTOR];
    for (index, quads) in (0..).zip([1, 2, 3]) {
        for (under, vector) in [(false, 2 * index), (true, 2 * index + 1)] {
            let mut at = vector * VECTOR;
            for insn in handler(quads, under) {
                code[at..at + 3].copy_from_slice(&insn.to_le_bytes()[..3]);
                at += 3;
            }
        }
    }
    code
}

/// Bytes between two vectors.
const VECTOR: usize = 0x40;
const L32E: u32 = 0x09_0000;
const S32E: u32 = 0x49_0000;
const RFWO: u32 = 0x3400;
const RFWU: u32 = 0x3500;

/// One of them, for a frame of so many quarters of a window.
fn handler(quads: u32, under: bool) -> Vec<u32> {
    // The stack pointer of the frame that the other one called.
    let callee = 4 * quads + 1;
    let quarters = |offset: i32| (16 + offset / 4) as u32;
    let place = |t: u32, s: u32, offset: i32| quarters(offset) << 12 | s << 8 | t << 4;
    let load = |t, s, offset| L32E | place(t, s, offset);
    let access = |t, s, offset| {
        if under {
            load(t, s, offset)
        } else {
            S32E | place(t, s, offset)
        }
    };
    let last = 4 * quads - 1;
    let mut code = vec![access(0, callee, -16)];
    // Where the frame's other registers go: below the stack of its own caller.
    let below = if under { last } else { 0 };
    match (quads, under) {
        (1, _) => code.extend([
            access(1, callee, -12),
            access(2, callee, -8),
            access(3, callee, -4),
        ]),
        (_, false) => code.extend([
            load(0, 1, -12),
            access(1, callee, -12),
            access(2, callee, -8),
            access(3, callee, -4),
        ]),
        (_, true) => code.extend([
            access(1, callee, -12),
            access(2, callee, -8),
            load(last, 1, -12),
            access(3, callee, -4),
        ]),
    }
    let from = -16 * quads as i32;
    for (t, offset) in (4..=last).zip((from..).step_by(4)) {
        code.push(access(t, below, offset));
    }
    code.push(if under { RFWU } else { RFWO });
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What GNU as makes of the manual's handlers.
    #[test]
    fn the_window_handlers_are_the_manuals() {
        let code = window_vectors();
        let words = |at: usize, count: usize| -> Vec<u32> {
            let insns = code[at..at + 3 * count].chunks(3);
            insns
                .map(|b| u32::from(b[0]) | u32::from(b[1]) << 8 | u32::from(b[2]) << 16)
                .collect()
        };
        assert_eq!(
            words(0, 5),
            [0x49C500, 0x49D510, 0x49E520, 0x49F530, 0x3400]
        );
        let underflow8 = [
            0x09C900, 0x09D910, 0x09E920, 0x09D170, 0x09F930, 0x098740, 0x099750, 0x09A760,
            0x09B770, 0x3500,
        ];
        assert_eq!(words(0xC0, 10), underflow8);
        let overflow12 = [
            0x49CD00, 0x09D100, 0x49DD10, 0x49ED20, 0x49FD30, 0x494040, 0x495050, 0x496060,
            0x497070, 0x498080, 0x499090, 0x49A0A0, 0x49B0B0, 0x3400,
        ];
        assert_eq!(words(0x100, 14), overflow12);
    }
}
