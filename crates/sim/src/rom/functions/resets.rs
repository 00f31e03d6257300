//! Ways out of a program.

use super::call::{Caller, Done, Progress, Reset, nothing};
use super::{StandIn, State};
use crate::cpu::Fault;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("software_reset", system),
    ("software_reset_cpu", cpu),
    ("ets_set_user_start", user_start),
    ("main_behind_loader", boot),
];

/// `void software_reset(void)`
fn system(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    Ok(Done::Reset(Reset::System))
}

/// `void software_reset_cpu(int core)`
fn cpu(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    Ok(Done::Reset(Reset::Cpu))
}

/// `void ets_set_user_start(uint32_t start)`: where the ROM goes when the program returns.
fn user_start(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    state.user_start = Some(caller.argument(0));
    nothing()
}

/// In the ROM's `main`, behind its loader.
fn boot(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    Ok(Done::Boot)
}
