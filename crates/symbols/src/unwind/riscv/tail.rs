//! Functions that left by a jump: `a` calls `b`, and `b` ends with a jump to `c`, which then returns to
//! `a`. On the stack nothing is left of `b`; the code tells of it, if there is only one way.

use std::collections::HashSet;
use std::ops::{ControlFlow, Range};

use super::instruction::{Op, RA, SP, T0, decode, length};
use super::walk::{self, Function, Value};
use crate::unwind::code::Code;

/// The longest chain that is looked for.
const MAX_DEPTH: usize = 6;

/// The most functions that are looked through for one trace.
pub(super) const EFFORT: usize = 500;

/// The ways by which the function that begins at `from` ends in the one that begins at `to`, as the
/// addresses behind the jumps, the last jump first. Empty where there is none, more than one, or one that
/// cannot be seen.
pub(super) fn between(code: &dyn Code, from: u32, to: u32, effort: &mut usize) -> Vec<u32> {
    let mut search = Search {
        code,
        to,
        way: Vec::new(),
        found: None,
        effort,
    };
    let mut way = match search.look(from) {
        Some(()) => search.found.unwrap_or_default(),
        None => return Vec::new(),
    };
    way.reverse();
    way
}

/// Where the call leads that returns to an address, if the code tells.
pub(super) fn target_of_call(code: &dyn Code, returns_to: u32) -> Option<u32> {
    let (at, op) = call_before(code, returns_to)?;
    match op {
        Op::Jump { offset, .. } => Some(at.wrapping_add(offset as u32)),
        Op::JumpRegister { rs, offset, .. } => {
            let bounds = code.function(at)?;
            let state = walked(code, &bounds, |function| function.state_at(at))?;
            let Value::Constant(base) = state.register(rs) else {
                return None;
            };
            Some(base.wrapping_add(offset) as u32)
        }
        _ => None,
    }
}

/// The call that returns to an address, and where it stands; none where the code is not known.
pub(crate) fn call_before(code: &dyn Code, returns_to: u32) -> Option<(u32, Op)> {
    [4, 2].into_iter().find_map(|len| {
        let at = returns_to.wrapping_sub(len);
        let (op, of) = op_at(code, at)?;
        (of == len && op.is_call()).then_some((at, op))
    })
}

struct Search<'a> {
    code: &'a dyn Code,
    to: u32,
    /// Behind the jumps so far.
    way: Vec<u32>,
    found: Option<Vec<u32>>,
    effort: &'a mut usize,
}

impl Search<'_> {
    /// Looks through a function. `None`: there is more than one way, or one that cannot be seen.
    fn look(&mut self, start: u32) -> Option<()> {
        let bounds = self
            .code
            .function(start)
            .filter(|bounds| bounds.start == start)?;
        *self.effort = self.effort.checked_sub(1)?;
        for (behind, target) in jumps(self.code, &bounds)? {
            self.way.push(behind);
            if target == self.to {
                if self.found.is_some() {
                    return None;
                }
                self.found = Some(self.way.clone());
            } else if self.way.len() < MAX_DEPTH && target != start {
                self.look(target)?;
            }
            self.way.pop();
        }
        Some(())
    }
}

/// Whether it is certain that a call of the function at `called` does not end in the one that holds
/// `to`, by jumps or because it goes on there.
pub(super) fn never_leads(code: &dyn Code, called: u32, to: u32, effort: &mut usize) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![called];
    while let Some(at) = open.pop() {
        let Some(bounds) = code.function(at) else {
            return false;
        };
        if bounds.contains(&to) {
            return false;
        }
        if !seen.insert(bounds.start) {
            continue;
        }
        let Some(left) = effort.checked_sub(1) else {
            return false;
        };
        *effort = left;
        let exits = exits(code, &bounds);
        let next = || code.function(bounds.end);
        if !exits.all || exits.last_call && next().is_some_and(|next| next.contains(&to)) {
            return false;
        }
        let Some(jumps) = exits.jumps else {
            return false;
        };
        open.extend(jumps.into_iter().map(|(_, to)| to));
        open.extend(exits.others);
    }
    true
}

/// The jumps out of a function: the addresses behind them, and where they lead. `None`: one leads where
/// a register says.
fn jumps(code: &dyn Code, bounds: &Range<u32>) -> Option<Vec<(u32, u32)>> {
    exits(code, bounds).jumps
}

/// How a function is left other than by returning.
struct Exits {
    /// By jumps: the addresses behind them, and where they lead. `None`: one leads where a register
    /// says.
    jumps: Option<Vec<(u32, u32)>>,
    /// By a branch, a call with another register than `ra`, and where its code ends, but behind a call.
    others: Vec<u32>,
    /// Whether it ends with a call: what comes next belongs to it if that returns.
    last_call: bool,
    /// Whether that is all.
    all: bool,
}

fn exits(code: &dyn Code, bounds: &Range<u32>) -> Exits {
    let mut exits = Exits {
        jumps: Some(Vec::new()),
        others: Vec::new(),
        last_call: false,
        all: bounds.end.wrapping_sub(bounds.start) <= walk::MAX_LEN,
    };
    walked(code, bounds, |function| {
        function.walk(&mut |visit| {
            let Some((op, len)) = op_at(code, visit.address) else {
                exits.all = false;
                return ControlFlow::Continue(());
            };
            let behind = visit.address.wrapping_add(len);
            let near = |offset: i32| Some(visit.address.wrapping_add(offset as u32));
            let (mut jump, mut other) = (None, None);
            let mut goes_on = !visit.call;
            match op {
                Op::Jump { rd: 0, offset } => (jump, goes_on) = (near(offset), false),
                Op::Branch { offset } | Op::Jump { rd: T0, offset } => other = near(offset),
                Op::JumpRegister { rd: 0, rs, offset } => {
                    goes_on = false;
                    match visit.state.register(rs) {
                        // A return, of a support routine too.
                        _ if rs == RA => {}
                        Value::Entry(RA | T0) => {}
                        Value::Constant(base) => jump = Some(base.wrapping_add(offset) as u32),
                        value if function.table(value).is_some() => {}
                        // A jump by a table has a frame, mostly.
                        _ if visit.state.register(SP) == Value::Stack(0) => exits.jumps = None,
                        _ => exits.all = false,
                    }
                }
                Op::JumpRegister { rd: T0, rs, offset } => match visit.state.register(rs) {
                    Value::Constant(base) => other = Some(base.wrapping_add(offset) as u32),
                    _ => exits.all = false,
                },
                Op::End | Op::Pop { returns: true, .. } => goes_on = false,
                _ => {}
            }
            if behind == bounds.end {
                exits.last_call = visit.call;
                exits.others.extend(goes_on.then_some(behind));
            }
            let outside = |to: &u32| !bounds.contains(to);
            exits.others.extend(other.filter(outside));
            if let (Some(jumps), Some(to)) = (&mut exits.jumps, jump.filter(outside)) {
                jumps.push((behind, to));
            }
            match exits.jumps {
                Some(_) => ControlFlow::Continue(()),
                None => ControlFlow::Break(()),
            }
        });
    });
    // Code that cannot be read has no instructions.
    exits.all &=
        code.read(bounds.start, &mut [0; 2]) && code.read(bounds.end.wrapping_sub(2), &mut [0; 2]);
    exits
}

pub(super) fn op_at(code: &dyn Code, at: u32) -> Option<(Op, u32)> {
    let half = |at: u32| {
        let mut bytes = [0; 2];
        code.read(at, &mut bytes).then(|| u16::from_le_bytes(bytes))
    };
    let low = half(at)?;
    let len = length(low);
    let high = if len == 4 {
        half(at.wrapping_add(2))?
    } else {
        0
    };
    Some((decode(low, high), len))
}

/// Gives a function to be walked through.
pub(super) fn walked<T>(
    code: &dyn Code,
    bounds: &Range<u32>,
    each: impl FnOnce(&Function<'_>) -> T,
) -> T {
    let half = |at: u32| {
        let mut bytes = [0; 2];
        code.read(at, &mut bytes).then(|| u16::from_le_bytes(bytes))
    };
    let saves = |at: u32| super::saved_by(&code.name(at)?);
    each(&Function {
        start: bounds.start,
        end: bounds.end,
        half: &half,
        saves: &saves,
    })
}
