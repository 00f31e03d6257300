//! Time, clocks, and the bus to the analogue parts.

use std::time::Duration;

use super::call::{Caller, Done, Progress, nothing, value};
use super::{StandIn, State};
use crate::cpu::Fault;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("ets_delay_us", delay),
    ("ets_update_cpu_frequency", told),
    ("ets_clk_get_cpu_freq", crystal),
];

/// What the ROM's code does by what its start has left: frequencies in registers of the RTC, a table in
/// RAM (`rom_phyFuns`).
pub(super) const BY_START: &[(&str, StandIn)] = &[
    ("ets_get_apb_freq", apb),
    ("ets_get_xtal_freq", crystal),
    ("rom_i2c_writeReg", told),
    ("rom_i2c_writeReg_Mask", told),
];

/// `void ets_delay_us(uint32_t us)`
fn delay(_: &mut State, caller: &mut dyn Caller, progress: &mut Progress) -> Result<Done, Fault> {
    let now = caller.now();
    let time = Duration::from_micros(caller.argument(0).into());
    let until = *progress.until.get_or_insert(now + time);
    if now < until {
        return Ok(Done::Again(until));
    }
    nothing()
}

/// What only tells the ROM, or the analogue parts, something: how many cycles a microsecond has
/// does not matter here.
fn told(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    nothing()
}

/// `uint32_t ets_get_xtal_freq(void)`, in Hz
fn crystal(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    value(caller.crystal())
}

/// `uint32_t ets_get_apb_freq(void)`, in Hz
fn apb(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let clock = caller.uart_clock();
    value(clock)
}
