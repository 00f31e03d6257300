//! The compiler's support routines for saving and restoring registers (`-msave-restore`). They are not
//! called as functions are: `__riscv_save_N` by way of `t0`, before anything of its caller is saved, and
//! `__riscv_restore_N` by a jump, to return for the function that jumped.
//!
//! Source: GCC, `libgcc/config/riscv/save-restore.S`.

use super::instruction::{Op, RA, SP, T0};
use super::row::{Row, Rule};
use super::tail::{op_at, walked};
use super::walk::Value;
use crate::unwind::code::Code;

/// The most instructions, and bytes, of a routine and those that it goes on in.
const MOST: u32 = 40;

/// How many registers beside `ra` one of the support routines saves, by its name.
#[must_use]
pub fn saved_by(name: &str) -> Option<u8> {
    let count: u8 = name.strip_prefix("__riscv_save_")?.parse().ok()?;
    (count <= 12).then_some(count)
}

/// How the frame looks of one of the routines that save registers. The function that has called it is at
/// the call still: nothing has changed for it. `t0` is what that register holds.
pub(super) fn saving(code: &dyn Code, pc: u32, t0: Option<u32>) -> Option<Row> {
    saved_by(&code.name(pc)?)?;
    let back = t0?;
    // It may have been entered by the name of one that saves more, which goes on in this one.
    let (call, start) = [4, 2].into_iter().find_map(|len| {
        let call = back.wrapping_sub(len);
        let (op, _) = op_at(code, call).filter(|(_, of)| *of == len)?;
        let start = match op {
            Op::Jump { rd: T0, offset } => call.wrapping_add(offset as u32),
            Op::JumpRegister { rd: T0, rs, offset } => {
                let bounds = code.function(call)?;
                let state = walked(code, &bounds, |function| function.state_at(call))?;
                let Value::Constant(base) = state.register(rs) else {
                    return None;
                };
                base.wrapping_add(offset) as u32
            }
            _ => return None,
        };
        (saved_by(&code.name(start)?).is_some()).then_some((call, start))
    })?;
    let bounds = start..start.saturating_add(2 * MOST);
    let state = walked(code, &bounds, |function| function.state_at(pc))?;
    let mut row = Row::of_state(&state)?;
    row.pc = Rule::Number(call);
    Some(row)
}

/// How the frame looks that one of the routines restores the registers of, by what it will do yet.
pub(super) fn restoring(code: &dyn Code, pc: u32) -> Option<Row> {
    if !code.name(pc)?.starts_with("__riscv_restore_") {
        return None;
    }
    let (mut at, mut popped) = (pc, 0_i32);
    let mut loaded = Vec::new();
    for _ in 0..MOST {
        let (op, len) = op_at(code, at)?;
        at = at.wrapping_add(len);
        match op {
            Op::Load {
                rd,
                base: SP,
                offset,
            } => loaded.push((rd, popped.wrapping_add(offset))),
            Op::AddImmediate {
                rd: SP,
                rs: SP,
                value,
            } => popped = popped.wrapping_add(value),
            Op::Jump { rd: 0, offset } => {
                at = at.wrapping_sub(len).wrapping_add(offset as u32);
            }
            Op::JumpRegister { rd: 0, rs: RA, .. } => {
                let mut row = Row::silent((SP, popped));
                for (register, place) in loaded {
                    let rule = Rule::At(place.wrapping_sub(popped));
                    if let Some(slot) = row.registers.get_mut(usize::from(register)) {
                        *slot = rule;
                    }
                    if register == RA {
                        row.pc = rule;
                    }
                }
                return Some(row);
            }
            _ => return None,
        }
    }
    None
}
