//! A walk through a function's instructions, for code that comes without call frame information:
//! what each instruction finds in the registers, told as what the caller had in them.
//!
//! The walk follows branches and jumps rather than the order in memory, so that early returns,
//! prologues behind a first test (shrink-wrapping) and the halves of an epilogue are all seen as
//! they are. Where ways meet, what they have in common holds: a call on one of them has overwritten
//! `ra`. It is bounded by the length of the function and [`MAX_LEN`].

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use super::instruction::{Op, RA, SP, T0, decode, length};

/// The longest function that is looked through, in bytes.
pub(super) const MAX_LEN: u32 = 0x8000;

/// How often the places of a function are looked at, on average, at most.
const EFFORT: usize = 24;

/// The most entries of a table of places that are read.
const MAX_TABLE: u32 = 1024;

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
    /// A number and something unknown: the address of an entry in a table that begins there.
    Indexed(i32),
    /// An entry of the table at this address.
    Loaded(i32),
    /// An entry of the table at this address, and that address.
    Relative(i32),
    /// Where the trap came from that this handler is about.
    TrapAddress,
    /// Nothing.
    Unknown,
}

impl Value {
    /// Whether it is one value, even if not which.
    fn is_known(self) -> bool {
        !matches!(
            self,
            Self::Indexed(_) | Self::Loaded(_) | Self::Relative(_) | Self::Unknown
        )
    }
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

    fn holds(&self, value: Value) -> bool {
        self.registers.contains(&value) || self.slot_of(value).is_some()
    }

    /// What holds where a way with this state and another one meet.
    ///
    /// Compilers see to it that the caller can be found behind such a place whichever way was gone.
    /// `None`: it could not be, with `doubts`. The other way is then one that is never gone, as behind
    /// a call that does not return.
    fn meet(&self, other: &Self, doubts: bool) -> Option<Self> {
        let mut met = self.clone();
        for (mine, theirs) in met.registers.iter_mut().zip(&other.registers) {
            if mine != theirs {
                *mine = Value::Unknown;
            }
        }
        met.slots.retain(|slot| other.slots.contains(slot));
        let entries = [RA].into_iter().chain(SAVED).map(Value::Entry);
        let keeps = entries
            .chain([Value::TrapAddress])
            .all(|value| met.holds(value) || !self.holds(value));
        let finds = met.base().is_some() || self.base().is_none();
        (finds && (keeps || !doubts)).then_some(met)
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
        let worth_it = value.is_known() && !matches!(value, Value::Constant(_));
        if worth_it && self.slots.len() < MAX_SLOTS {
            self.slots.push((at, value));
        }
    }

    fn load(&self, base: u8, offset: i32) -> Value {
        let at = match self.register(base) {
            Value::Stack(at) => at.wrapping_add(offset),
            Value::Indexed(table) => return Value::Loaded(table.wrapping_add(offset)),
            _ => return Value::Unknown,
        };
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
                    Value::Indexed(table) => Value::Indexed(table.wrapping_add(value)),
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
                    (Value::Loaded(table), Value::Constant(base))
                    | (Value::Constant(base), Value::Loaded(table))
                        if table == base =>
                    {
                        Value::Relative(table)
                    }
                    (Value::Unknown | Value::Entry(_), Value::Constant(base))
                    | (Value::Constant(base), Value::Unknown | Value::Entry(_)) => {
                        Value::Indexed(base)
                    }
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

/// Where a function goes on behind an instruction.
enum Then {
    Next,
    /// Behind a call, unless what was called never returns.
    BehindCall,
    Either(u32),
    Only(u32),
    /// At one of the places in a table.
    OneOf(Vec<u32>),
    /// Where a register says, which is not known.
    Somewhere,
    /// Back at the caller, or nowhere.
    Nowhere,
}

impl Function<'_> {
    /// Comes by each instruction that can be reached, once, by ascending addresses.
    ///
    /// `visit` may end the walk.
    pub fn walk(&self, visit: &mut dyn FnMut(Visit<'_>) -> ControlFlow<()>) {
        let blocks = Flow::of(self);
        for (&start, state) in &blocks {
            let (mut at, mut state) = (start, state.clone());
            while at == start || !blocks.contains_key(&at) {
                let Some((op, len)) = self.op(at) else { break };
                let visited = visit(Visit {
                    address: at,
                    state: &state,
                    call: op.is_call(),
                });
                if visited.is_break() {
                    return;
                }
                if !matches!(self.step(at, op, &mut state), Then::Next | Then::Either(_)) {
                    break;
                }
                at = at.wrapping_add(len);
            }
        }
    }

    /// What the registers hold before the instruction at an address.
    pub fn state_at(&self, address: u32) -> Option<State> {
        let blocks = Flow::of(self);
        let (&start, state) = blocks.range(..=address).next_back()?;
        self.further(start, state, address)
    }

    /// The places in the function that a table holds to which a jump leads: one to the address in a
    /// register with this value.
    pub(super) fn table(&self, value: Value) -> Option<Vec<u32>> {
        let (table, base) = match value {
            Value::Loaded(table) => (table as u32, 0),
            Value::Relative(table) => (table as u32, table as u32),
            _ => return None,
        };
        let entry = |number: u32| {
            let at = table.wrapping_add(4 * number);
            let (low, high) = ((self.half)(at)?, (self.half)(at.wrapping_add(2))?);
            let to = base.wrapping_add(u32::from(high) << 16 | u32::from(low));
            self.place(to).map(|_| to)
        };
        let places: Vec<u32> = (0..MAX_TABLE).map_while(entry).collect();
        (!places.is_empty()).then_some(places)
    }

    /// The state at an address by that at an earlier one, if all between is executed.
    fn further(&self, from: u32, state: &State, to: u32) -> Option<State> {
        let (mut at, mut state) = (from, state.clone());
        while at < to {
            let (op, len) = self.op(at)?;
            if !matches!(self.step(at, op, &mut state), Then::Next | Then::Either(_)) {
                return None;
            }
            at = at.wrapping_add(len);
        }
        (at == to).then_some(state)
    }

    fn op(&self, at: u32) -> Option<(Op, u32)> {
        self.place(at)?;
        let low = (self.half)(at)?;
        let len = length(low);
        let high = if len == 4 {
            (self.half)(at.wrapping_add(2))?
        } else {
            0
        };
        Some((decode(low, high), len))
    }

    /// Does what an instruction does, and tells where that leads.
    fn step(&self, at: u32, op: Op, state: &mut State) -> Then {
        let target = |offset: i32| at.wrapping_add(offset as u32);
        match op {
            Op::Branch { offset } => return Then::Either(target(offset)),
            Op::Jump { rd: 0, offset } => return Then::Only(target(offset)),
            Op::Jump { rd: T0, offset } => match (self.saves)(target(offset)) {
                Some(saved) => state.save(saved),
                None => state.apply(op),
            },
            Op::JumpRegister { rd: T0, rs, offset } => {
                let saved = match state.register(rs) {
                    Value::Constant(base) => (self.saves)(base.wrapping_add(offset) as u32),
                    _ => None,
                };
                match saved {
                    Some(saved) => state.save(saved),
                    None => state.apply(op),
                }
            }
            // A return, whatever the register seems to hold.
            Op::JumpRegister { rd: 0, rs: RA, .. } => return Then::Nowhere,
            Op::JumpRegister { rd: 0, rs, .. } => {
                let value = state.register(rs);
                return match self.table(value) {
                    Some(places) => Then::OneOf(places),
                    None if value.is_known() => Then::Nowhere,
                    None => Then::Somewhere,
                };
            }
            Op::Near { rd, value } => {
                state.set(rd, Value::Constant(target(value) as i32));
            }
            Op::End | Op::Pop { returns: true, .. } => return Then::Nowhere,
            _ => state.apply(op),
        }
        if op.is_call() {
            Then::BehindCall
        } else {
            Then::Next
        }
    }

    /// The number of a place where an instruction may begin.
    fn place(&self, at: u32) -> Option<usize> {
        let offset = at.wrapping_sub(self.start);
        let len = self.end.wrapping_sub(self.start).min(MAX_LEN);
        (offset < len && offset & 1 == 0).then_some(offset as usize / 2)
    }
}

/// Finds what holds wherever two ways through a function meet.
struct Flow<'a> {
    function: &'a Function<'a>,
    /// The states where ways begin or meet.
    blocks: BTreeMap<u32, State>,
    /// The places of instructions that were come by.
    reached: Vec<bool>,
    /// Blocks to go on from.
    ways: Vec<u32>,
    /// What stands behind a call may never be reached from there, and be what another way leads to:
    /// it comes when there is nothing else.
    behind_calls: VecDeque<(u32, State)>,
    /// Jumps that lead nobody knows where.
    somewhere: BTreeMap<u32, State>,
    /// Whether the function returns or ends with a jump.
    returns: bool,
    /// Whether a way that loses what the caller is found by is taken for one that never is gone.
    doubts: bool,
    /// Instructions that may still be looked at.
    effort: usize,
}

impl<'a> Flow<'a> {
    fn of(function: &'a Function<'a>) -> BTreeMap<u32, State> {
        let len = function.end.wrapping_sub(function.start).min(MAX_LEN);
        let places = len.div_ceil(2) as usize;
        let run = |doubts| {
            let mut flow = Self {
                function,
                blocks: BTreeMap::new(),
                reached: vec![false; places],
                ways: Vec::new(),
                behind_calls: VecDeque::new(),
                somewhere: BTreeMap::new(),
                returns: false,
                doubts,
                effort: EFFORT * places,
            };
            flow.run();
            flow
        };
        let flow = run(true);
        // One that never returns may have kept nothing.
        let flow = if flow.returns { flow } else { run(false) };
        flow.blocks
    }

    fn run(&mut self) {
        self.lead(self.function.start, &State::at_entry());
        let mut unreached = 0;
        loop {
            if let Some(at) = self.ways.pop() {
                self.follow(at);
            } else if let Some((at, state)) = self.behind_calls.pop_front() {
                self.lead(at, &state);
            } else if let Some((at, state)) = self.unreached(&mut unreached) {
                self.lead(at, &state);
            } else {
                break;
            }
        }
    }

    /// A way leads to an address.
    fn lead(&mut self, at: u32, state: &State) {
        let Some(place) = self.function.place(at) else {
            // A jump to another function.
            self.returns = true;
            return;
        };
        if self.reached[place] && !self.blocks.contains_key(&at) {
            // In the middle of a block: it becomes two.
            let before = self.blocks.range(..at).next_back();
            let whole = before.and_then(|(from, state)| self.function.further(*from, state, at));
            self.blocks.extend(whole.map(|whole| (at, whole)));
        }
        let met = match self.blocks.get(&at) {
            None => state.clone(),
            Some(known) => match known.meet(state, self.doubts) {
                Some(met) if met != *known => met,
                _ => return,
            },
        };
        self.blocks.insert(at, met);
        self.ways.push(at);
    }

    fn follow(&mut self, start: u32) {
        let Some(mut state) = self.blocks.get(&start).cloned() else {
            return;
        };
        let mut at = start;
        while let Some((op, len)) = self.function.op(at) {
            let Some(effort) = self.effort.checked_sub(1) else {
                return;
            };
            self.effort = effort;
            if let Some(place) = self.function.place(at) {
                let halves = self.reached.iter_mut().skip(place);
                halves.take(len as usize / 2).for_each(|half| *half = true);
            }
            let then = self.function.step(at, op, &mut state);
            let next = at.wrapping_add(len);
            match then {
                Then::Next => {}
                Then::Either(target) => self.lead(target, &state),
                Then::Only(target) => return self.lead(target, &state),
                Then::OneOf(targets) => {
                    return targets.iter().for_each(|target| self.lead(*target, &state));
                }
                Then::BehindCall => {
                    if self.function.place(next).is_some() {
                        self.behind_calls.push_back((next, state));
                    }
                    return;
                }
                Then::Somewhere => {
                    self.somewhere.insert(at, state);
                    self.returns = true;
                    return;
                }
                Then::Nowhere => {
                    self.returns |= op != Op::End;
                    return;
                }
            }
            at = next;
            if self.blocks.contains_key(&at) {
                return self.lead(at, &state);
            }
        }
    }

    /// The next place that no way has led to. A jump to somewhere may: it has the state of the last
    /// such jump before it, with a frame if possible (the others leave the function).
    fn unreached(&mut self, from: &mut usize) -> Option<(u32, State)> {
        self.somewhere.first_key_value()?;
        while *self.reached.get(*from)? {
            *from += 1;
        }
        // It may not be possible to read it.
        self.reached[*from] = true;
        let at = self.function.start.wrapping_add(2 * *from as u32);
        let has_frame = |state: &State| state.register(SP) != Value::Stack(0);
        let any = self.somewhere.values().any(has_frame);
        let mut jumps = self.somewhere.range(..at).rev();
        let before = jumps.find(|(_, state)| !any || has_frame(state));
        Some((at, before?.1.clone()))
    }
}
