//! MAC16: products of 16-bit halves, added up in 40 bits.

use super::core::{Core, Interruption};
use super::decode::{Insn, Op};
use crate::cpu::Bus;

/// How an instruction of MAC16 is told by its word, in the manual's table of formats.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// The factors are registers of the window, `M` registers otherwise.
    pub first_is_window: bool,
    pub second_is_window: bool,
    /// It loads an `M` register meanwhile, from 4 bytes above or below.
    pub loads: Option<u32>,
    /// It multiplies.
    pub multiplies: bool,
}

/// The form that a value of the field `op2` stands for.
pub(super) fn form(op2: u32) -> Option<Form> {
    let up = Some(4);
    let down = Some(0u32.wrapping_sub(4));
    let (first_is_window, second_is_window, loads, multiplies) = match op2 {
        0x0 => (false, false, up, true),
        0x1 => (false, false, down, true),
        0x2 => (false, false, None, true),
        0x3 => (true, false, None, true),
        0x4 => (false, true, up, true),
        0x5 => (false, true, down, true),
        0x6 => (false, true, None, true),
        0x7 => (true, true, None, true),
        0x8 => (false, false, up, false),
        0x9 => (false, false, down, false),
        _ => return None,
    };
    Some(Form {
        first_is_window,
        second_is_window,
        loads,
        multiplies,
    })
}

/// The low or the high half of a factor.
fn half(value: u32, high: bool) -> u32 {
    if high { value >> 16 } else { value & 0xffff }
}

impl Core {
    /// Executes an instruction of MAC16. Its fields `op2` and `op1` are in `imm`.
    #[inline(never)]
    pub(super) fn execute_mac<B: Bus>(
        &mut self,
        bus: &mut B,
        insn: Insn,
    ) -> Result<(), Interruption> {
        debug_assert_eq!(insn.op, Op::Mac16);
        let (op1, op2) = (insn.imm & 15, insn.imm >> 4 & 15);
        let Some(form) = form(op2) else {
            return Ok(());
        };
        let loaded = match form.loads {
            Some(step) => {
                let address = self.get(insn.s).wrapping_add(step);
                Some((address, self.load32(bus, address)?))
            }
            None => None,
        };
        if form.multiplies {
            // M0 or M1 is the first factor, M2 or M3 the second; the accumulator comes before them.
            let first = if form.first_is_window {
                self.get(insn.s)
            } else {
                self.mac[2 + usize::from(insn.r >> 2 & 1)]
            };
            let second = if form.second_is_window {
                self.get(insn.t)
            } else {
                self.mac[4 + usize::from(insn.t >> 2 & 1)]
            };
            let first = half(first, op1 & 1 != 0);
            let second = half(second, op1 & 2 != 0);
            let product = i64::from(first as i16) * i64::from(second as i16);
            let before = i64::from(self.mac[1] as i32) << 32 | i64::from(self.mac[0]);
            let after = match op1 >> 2 {
                0 => i64::from(first) * i64::from(second),
                1 => product,
                2 => before.wrapping_add(product),
                _ => before.wrapping_sub(product),
            };
            self.mac[0] = after as u32;
            self.mac[1] = (after >> 32) as u8 as i8 as u32;
        }
        if let Some((address, value)) = loaded {
            self.set(insn.s, address);
            self.mac[2 + usize::from(insn.r & 3)] = value;
        }
        Ok(())
    }
}
