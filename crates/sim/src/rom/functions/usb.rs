//! The console on USB-OTG: a CDC-ACM device that the ROM drives.

use super::call::{Caller, Done, Progress, nothing, value};
use super::{StandIn, State};
use crate::cpu::Fault;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("cdc_acm_fifo_fill", fill),
    ("cdc_acm_fifo_read", read),
    ("cdc_acm_rx_fifo_cnt", count),
    ("cdc_acm_irq_callback_set", set_callback),
    ("cdc_acm_irq_rx_enable", enable_receive),
    ("cdc_acm_irq_rx_disable", disable_receive),
    ("cdc_acm_irq_state_enable", settings),
    ("cdc_acm_line_ctrl_get", line),
    ("chip_usb_set_persist_flags", settings),
    ("usb_dc_check_poll_for_interrupts", settings),
    ("usb_dc_prepare_persist", settings),
    ("usb_dw_isr_handler", interrupt),
    ("sip_download_begin", settings),
];

/// What the callback is told: bytes have come.
const RECEIVED: i32 = -4;

/// What the driver remembers.
#[derive(Debug, Default)]
pub(super) struct Console {
    callback: u32,
    device: u32,
    receives: bool,
}

/// `int cdc_acm_fifo_fill(device, const uint8_t *data, int len)`
fn fill(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (data, len) = (caller.argument(1), caller.argument(2));
    let mut bytes = vec![0; len.min(0x1000) as usize];
    caller.load(data, &mut bytes)?;
    caller.usb_send(&bytes);
    value(bytes.len() as u32)
}

/// `int cdc_acm_fifo_read(device, uint8_t *to, int len)`
fn read(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (to, len) = (caller.argument(1), caller.argument(2));
    let bytes = caller.usb_receive(len.min(0x1000) as usize);
    caller.store(to, &bytes)?;
    value(bytes.len() as u32)
}

/// `int cdc_acm_rx_fifo_cnt(device)`
fn count(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    value(caller.usb_received() as u32)
}

/// `void cdc_acm_irq_callback_set(device, void (*callback)(device, int status))`
fn set_callback(
    state: &mut State,
    caller: &mut dyn Caller,
    _: &mut Progress,
) -> Result<Done, Fault> {
    state.console.device = caller.argument(0);
    state.console.callback = caller.argument(1);
    nothing()
}

/// `void cdc_acm_irq_rx_enable(device)`
fn enable_receive(state: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    state.console.receives = true;
    nothing()
}

/// `void cdc_acm_irq_rx_disable(device)`
fn disable_receive(state: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    state.console.receives = false;
    nothing()
}

/// What has no effect here: a reset over the control lines is the bus's own doing, and no chip is
/// reached over SDIO.
fn settings(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    nothing()
}

/// `int cdc_acm_line_ctrl_get(device, uint32_t which, uint32_t *value)`: no line is told.
fn line(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let to = caller.argument(2);
    caller.store_word(to, 0)?;
    nothing()
}

/// `void usb_dw_isr_handler(void *)`: goes on in the program's callback when bytes have come.
fn interrupt(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let console = &state.console;
    if console.receives && console.callback != 0 && caller.usb_received() > 0 {
        let arguments = [console.device, RECEIVED as u32];
        return Ok(Done::GoTo(console.callback, arguments));
    }
    nothing()
}
