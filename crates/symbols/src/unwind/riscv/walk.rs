//! A walk through a function's instructions, for code that comes without call frame information:
//! what each instruction finds in the registers, told as what the caller had in them.
//!
//! The walk follows branches and jumps rather than the order in memory, so that early returns,
//! prologues behind a first test (shrink-wrapping) and the halves of an epilogue are all seen as
//! they are. It is bounded by the length of the function and [`MAX_LEN`].

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::instruction::{Op, RA, SP, decode, length};

/// The longest function that is looked through, in bytes.
const MAX_LEN: u32 = 0x8000;

/// Registers that a function leaves as it found them: `s0` to `s11`.
const SAVED: [u8; 12] = [8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27];

/// The values that are remembered on the stack.
const MAX_SLOTS: usize = 64;

/// What is known of a register or a word on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// What the caller had in this register.
    Entry(u8),
    /// So many bytes above where the stack pointer was at the function's first instruction.
    Stack(i32),
    /// A number.
    Constant(i32),
    /// Where the trap came from that this handler is about.
    TrapAddress,
    /// Nothing.
    Unknown,
}

/// The registers before an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    registers: [Value; 32],
    /// What was stored where, counted from the stack pointer at the function's first instruction.
    slots: Vec<(i32, Value)>,
}

impl State {
    fn at_entry() -> Self {
        let mut registers = [Value::Unknown; 32];
        for (number, register) in (0..).zip(&mut registers) {
            *register = Value::Entry(number);
        }
        registers[0] = Value::Constant(0);
        registers[usize::from(SP)] = Value::Stack(0);
        Self {
            registers,
            slots: Vec::new(),
        }
    }

    /// What a function that was called leaves of it.
    #[must_use]
    pub fn after_call(&self) -> Self {
        let mut after = self.clone();
        after.call();
        after
    }

    /// What is in a register, by its number.
    pub fn register(&self, number: u8) -> Value {
        self.registers[usize::from(number & 31)]
    }

    /// The word on the stack in which something was put, counted from the stack pointer at the
    /// function's first instruction.
    pub fn slot_of(&self, value: Value) -> Option<i32> {
        self.slots
            .iter()
            .find(|(_, stored)| *stored == value)
            .map(|(at, _)| *at)
    }

    /// The register by which the stack can be found, and how far above the stack pointer at the first
    /// instruction it points: the stack pointer where that will do.
    pub fn base(&self) -> Option<(u8, i32)> {
        [SP].iter().chain(&SAVED).find_map(|&register| {
            let Value::Stack(offset) = self.register(register) else {
                return None;
            };
            Some((register, offset))
        })
    }

    fn set(&mut self, number: u8, value: Value) {
        if number != 0 {
            self.registers[usize::from(number & 31)] = value;
        }
    }

    fn store(&mut self, base: u8, offset: i32, value: Value) {
        if let Value::Stack(at) = self.register(base) {
            self.put(at.wrapping_add(offset), value);
        }
    }

    fn put(&mut self, at: i32, value: Value) {
        self.slots.retain(|(other, _)| *other != at);
        let worth_it = !matches!(value, Value::Unknown | Value::Constant(_));
        if worth_it && self.slots.len() < MAX_SLOTS {
            self.slots.push((at, value));
        }
    }

    fn load(&self, base: u8, offset: i32) -> Value {
        let Value::Stack(at) = self.register(base) else {
            return Value::Unknown;
        };
        let at = at.wrapping_add(offset);
        let found = self.slots.iter().find(|(slot, _)| *slot == at);
        found.map_or(Value::Unknown, |(_, value)| *value)
    }

    /// What a call leaves of the registers.
    fn call(&mut self) {
        for number in (1..32).filter(|number| !SAVED.contains(number) && !matches!(number, 2..=4)) {
            self.set(number, Value::Unknown);
        }
    }

    /// `ra` and the first saved registers, `ra` lowest.
    fn pushed(count: u8) -> impl Iterator<Item = (u8, i32)> {
        let registers = [RA].into_iter().chain(SAVED).take(usize::from(count));
        registers.zip((1..=i32::from(count)).rev().map(|place| -4 * place))
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::AddImmediate { rd, rs, value } => {
                let sum = match self.register(rs) {
                    Value::Stack(at) => Value::Stack(at.wrapping_add(value)),
                    Value::Constant(number) => Value::Constant(number.wrapping_add(value)),
                    same if value == 0 => same,
                    _ => Value::Unknown,
                };
                self.set(rd, sum);
            }
            Op::Constant { rd, value } => self.set(rd, Value::Constant(value)),
            // Its address counts, and is set by who knows it.
            Op::Near { rd, .. } => self.set(rd, Value::Unknown),
            Op::Add { rd, a, b } => {
                let sum = match (self.register(a), self.register(b)) {
                    (Value::Stack(at), Value::Constant(by))
                    | (Value::Constant(by), Value::Stack(at)) => Value::Stack(at.wrapping_add(by)),
                    (Value::Constant(a), Value::Constant(b)) => Value::Constant(a.wrapping_add(b)),
                    (value, Value::Constant(0)) | (Value::Constant(0), value) => value,
                    _ => Value::Unknown,
                };
                self.set(rd, sum);
            }
            Op::Subtract { rd, a, b } => {
                let difference = match (self.register(a), self.register(b)) {
                    (Value::Stack(at), Value::Constant(by)) => Value::Stack(at.wrapping_sub(by)),
                    (Value::Constant(a), Value::Constant(b)) => Value::Constant(a.wrapping_sub(b)),
                    _ => Value::Unknown,
                };
                self.set(rd, difference);
            }
            Op::Store { rs, base, offset } => self.store(base, offset, self.register(rs)),
            Op::Load { rd, base, offset } => self.set(rd, self.load(base, offset)),
            Op::TrapAddress { rd } => self.set(rd, Value::TrapAddress),
            Op::Push { count, size } => {
                for (register, offset) in Self::pushed(count) {
                    self.store(SP, offset, self.register(register));
                }
                self.apply(Op::AddImmediate {
                    rd: SP,
                    rs: SP,
                    value: -size,
                });
            }
            Op::Pop { count, size, .. } => {
                for (register, offset) in Self::pushed(count) {
                    self.set(register, self.load(SP, size + offset));
                }
                self.apply(Op::AddImmediate {
                    rd: SP,
                    rs: SP,
                    value: size,
                });
            }
            Op::Jump { rd, .. } | Op::JumpRegister { rd, .. } if rd != 0 => self.call(),
            Op::TableCall => self.call(),
            Op::Other { rd } => self.set(rd, Value::Unknown),
            Op::Branch { .. } | Op::Jump { .. } | Op::JumpRegister { .. } | Op::End => {}
        }
    }

    /// What the compiler's support routine `__riscv_save_N` does: `ra` and the first N saved
    /// registers go to the top of a new block, of a multiple of 16 bytes.
    fn save(&mut self, saved: u8) {
        // The names for up to 3, 7 and 11 are of the same code.
        let saved = if saved < 12 { saved | 3 } else { saved };
        for (register, place) in [RA].into_iter().chain(SAVED).zip(1..=i32::from(saved) + 1) {
            self.store(SP, -4 * place, self.register(register));
        }
        let size = (4 * (i32::from(saved) + 1) + 15) & !15;
        self.apply(Op::AddImmediate {
            rd: SP,
            rs: SP,
            value: -size,
        });
        // It returns by t0, and is free to use it and t1.
        self.set(5, Value::Unknown);
        self.set(6, Value::Unknown);
    }
}

/// A function to be walked through.
pub struct Function<'a> {
    /// Its first instruction.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
    /// The two bytes at an address, where they are known.
    pub half: &'a dyn Fn(u32) -> Option<u16>,
    /// Of a function at an address: how many saved registers it stores beside `ra`, if it is one of
    /// the compiler's `__riscv_save_N`.
    pub saves: &'a dyn Fn(u32) -> Option<u8>,
}

/// An instruction that the walk came by.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// Its address.
    pub address: u32,
    /// What is in the registers before it.
    pub state: &'a State,
    /// Whether it is a call.
    pub call: bool,
}

impl Function<'_> {
    /// Comes by each instruction that can be reached without knowing what registers hold, once.
    ///
    /// `visit` may end the walk.
    pub fn walk(&self, visit: &mut dyn FnMut(Visit<'_>) -> ControlFlow<()>) {
        let len = self.end.wrapping_sub(self.start).min(MAX_LEN);
        let mut seen = vec![false; len as usize / 2 + 1];
        let mut ways = vec![(self.start, State::at_entry())];
        // What stands behind a call may never be reached from there, and be what another way leads
        // to: it comes when there is nothing else.
        let mut behind_calls = VecDeque::new();
        while let Some((mut at, mut state)) = ways.pop().or_else(|| behind_calls.pop_front()) {
            loop {
                let offset = at.wrapping_sub(self.start);
                if offset >= len || offset & 1 != 0 || seen[offset as usize / 2] {
                    break;
                }
                seen[offset as usize / 2] = true;
                let Some(low) = (self.half)(at) else { break };
                let next = at.wrapping_add(length(low));
                let high = match length(low) {
                    4 => (self.half)(at.wrapping_add(2)),
                    _ => Some(0),
                };
                let Some(high) = high else { break };
                let op = decode(low, high);
                let visited = visit(Visit {
                    address: at,
                    state: &state,
                    call: op.is_call(),
                });
                if visited.is_break() {
                    return;
                }
                let target = |offset: i32| at.wrapping_add(offset as u32);
                match op {
                    Op::Branch { offset } => ways.push((target(offset), state.clone())),
                    Op::Jump { rd: 0, offset } => {
                        at = target(offset);
                        continue;
                    }
                    Op::Jump { rd: 5, offset } => match (self.saves)(target(offset)) {
                        Some(saved) => state.save(saved),
                        None => state.apply(op),
                    },
                    Op::JumpRegister { rd: 5, rs, offset } => {
                        let saved = match state.register(rs) {
                            Value::Constant(base) => (self.saves)(base.wrapping_add(offset) as u32),
                            _ => None,
                        };
                        match saved {
                            Some(saved) => state.save(saved),
                            None => state.apply(op),
                        }
                    }
                    Op::Near { rd, value } => {
                        state.set(rd, Value::Constant(at.wrapping_add(value as u32) as i32));
                    }
                    Op::JumpRegister { rd: 0, .. } | Op::End | Op::Pop { returns: true, .. } => {
                        break;
                    }
                    _ => state.apply(op),
                }
                if op.is_call() {
                    behind_calls.push_back((next, state));
                    break;
                }
                at = next;
            }
        }
    }

    /// What the registers hold before the instruction at an address.
    ///
    /// Code that is reached by a table of addresses only has the state that the jump through the
    /// table had.
    pub fn state_at(&self, address: u32) -> Option<State> {
        let mut found = None;
        let mut by_table: Option<State> = None;
        self.walk(&mut |visit| {
            if visit.address == address {
                found = Some(visit.state.clone());
                return ControlFlow::Break(());
            }
            if self.jumps_by_table(&visit) {
                by_table = Some(visit.state.clone());
            }
            ControlFlow::Continue(())
        });
        found.or_else(|| by_table.filter(|_| self.start < address && address < self.end))
    }

    fn jumps_by_table(&self, visit: &Visit<'_>) -> bool {
        let half = |at| (self.half)(at).unwrap_or(0);
        let op = decode(half(visit.address), half(visit.address.wrapping_add(2)));
        matches!(op, Op::JumpRegister { rd: 0, rs, .. } if
            visit.state.register(rs) == Value::Unknown && visit.state.register(SP) != Value::Stack(0))
    }
}
