//! Rules by which the caller's registers are found.

use super::instruction::{RA, SP};
use super::walk::{State, Value};
use crate::rom::{Kept, RomBase, RomFrame};

/// `x8`.
const S0: u8 = 8;

/// Registers that a call preserves: `gp`, `tp`, `s0` to `s11`.
const PRESERVED: [u8; 14] = [3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27];

/// Where a caller's register is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Where it was.
    Same,
    /// Nowhere.
    Lost,
    /// In the word so far from the top of the frame.
    At(i32),
    /// It is the address so far from the top of the frame.
    Top(i32),
    /// In another register.
    Register(u8),
    /// It is this.
    Number(u32),
}

/// How a frame looks at one place of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// A register, and what is to be added to it for the top of the frame: the caller's stack pointer.
    pub base: (u8, i32),
    /// Of each register.
    pub registers: [Rule; 32],
    /// Of the address to go on at.
    pub pc: Rule,
    /// There is no caller.
    pub outermost: bool,
    /// The caller was interrupted.
    pub trap: bool,
}

impl Row {
    /// What holds where nothing is said: the convention of calls.
    pub(crate) fn silent(base: (u8, i32)) -> Self {
        let mut registers = [Rule::Lost; 32];
        for (number, rule) in (0..).zip(&mut registers) {
            if PRESERVED.contains(&number) || number == 0 || number == RA {
                *rule = Rule::Same;
            }
            if number == SP {
                *rule = Rule::Top(0);
            }
        }
        Self {
            base,
            registers,
            pc: Rule::Same,
            outermost: false,
            trap: false,
        }
    }

    /// At the first instruction of a function.
    pub(crate) fn nothing_saved() -> Self {
        Self::silent((SP, 0))
    }

    /// By what a walk through the function found. `None`: the frame cannot be found.
    #[must_use]
    pub fn of_state(state: &State) -> Option<Self> {
        let (base, above) = state.base()?;
        let mut row = Self::silent((base, above.wrapping_neg()));
        for (number, rule) in (0..).zip(&mut row.registers) {
            if PRESERVED.contains(&number) || number == RA {
                *rule = rule_of(state, Value::Entry(number), number);
            }
        }
        row.pc = rule_of(state, Value::Entry(RA), RA);
        // Where a handler has put what it interrupted, its registers are beside it.
        if let Some(at) = state.slot_of(Value::TrapAddress) {
            row.trap = true;
            row.pc = Rule::At(at);
            for (number, rule) in (1..).zip(&mut row.registers[1..]) {
                let value = if number == SP {
                    Value::Stack(0)
                } else {
                    Value::Entry(number)
                };
                *rule = state.slot_of(value).map_or(Rule::Same, Rule::At);
                if number == SP && state.slot_of(value).is_none() {
                    *rule = Rule::Top(0);
                }
            }
        }
        Some(row)
    }

    /// By the ROM's table.
    pub(crate) fn of_rom(frame: &RomFrame) -> Option<Self> {
        let rule = |kept| match kept {
            Kept::Register => Rule::Same,
            Kept::Lost => Rule::Lost,
            Kept::Below(distance) => Rule::At((distance as i32).wrapping_neg()),
        };
        match *frame {
            RomFrame::Riscv {
                base,
                size,
                return_address,
                frame_pointer,
            } => {
                let base = match base {
                    RomBase::StackPointer => SP,
                    RomBase::FramePointer => S0,
                };
                let mut row = Self::silent((base, i32::try_from(size).ok()?));
                row.pc = rule(return_address);
                // The others that it saves are not in the table.
                for number in PRESERVED.into_iter().filter(|number| *number > 4) {
                    row.registers[usize::from(number)] = Rule::Lost;
                }
                row.registers[usize::from(S0)] = rule(frame_pointer);
                Some(row)
            }
            RomFrame::Trap { size } => {
                let size = i32::try_from(size).ok()?;
                let mut row = Self::silent((SP, size));
                // The program counter is the first, in place of x0.
                row.pc = Rule::At(-size);
                for (number, rule) in (1..).zip(&mut row.registers[1..]) {
                    *rule = Rule::At(4 * number - size);
                }
                row.trap = true;
                Some(row)
            }
            RomFrame::Unknown | RomFrame::Windowed { .. } => None,
        }
    }
}

fn rule_of(state: &State, value: Value, home: u8) -> Rule {
    if state.register(home) == value {
        return Rule::Same;
    }
    if let Some(at) = state.slot_of(value) {
        return Rule::At(at);
    }
    (1..32)
        .find(|&number| state.register(number) == value)
        .map_or(Rule::Lost, Rule::Register)
}
