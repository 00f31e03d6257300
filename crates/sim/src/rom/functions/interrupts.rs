//! Handlers of interrupts, and which interrupts are let in.

use super::call::{Caller, Done, Progress, nothing};
use super::{StandIn, State};
use crate::cpu::Fault;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("ets_isr_attach", attach),
    ("ets_isr_mask", mask),
    ("ets_isr_unmask", unmask),
    ("intr_matrix_set", route),
    ("esprv_intc_int_set_priority", priority),
];

/// Handlers by the CPU's interrupts.
#[derive(Default)]
pub(super) struct Handlers([Option<(u32, u32)>; 32]);

impl Handlers {
    /// Handler and argument.
    pub fn get(&self, interrupt: u32) -> Option<(u32, u32)> {
        self.0.get(interrupt as usize).copied().flatten()
    }
}

/// `void ets_isr_attach(int interrupt, void (*handler)(void *), void *argument)`
fn attach(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (interrupt, handler) = (caller.argument(0), caller.argument(1));
    if let Some(slot) = state.handlers.0.get_mut(interrupt as usize) {
        *slot = (handler != 0).then(|| (handler, caller.argument(2)));
    }
    nothing()
}

/// `void ets_isr_mask(uint32_t interrupts)`
fn mask(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let mask = caller.argument(0);
    caller.enable_interrupts(mask, false)?;
    nothing()
}

/// `void ets_isr_unmask(uint32_t interrupts)`
fn unmask(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let mask = caller.argument(0);
    caller.enable_interrupts(mask, true)?;
    nothing()
}

/// `void intr_matrix_set(int core, uint32_t source, uint32_t interrupt)`
fn route(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (core, source, interrupt) = (caller.argument(0), caller.argument(1), caller.argument(2));
    if core == 0 {
        caller.route_interrupt(source, interrupt)?;
    }
    nothing()
}

/// `void esprv_intc_int_set_priority(int interrupt, int priority)`
fn priority(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (interrupt, priority) = (caller.argument(0), caller.argument(1));
    caller.set_priority(interrupt, priority)?;
    nothing()
}
