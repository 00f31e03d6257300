//! The UART, by its registers.

use std::time::Duration;

use super::call::{Caller, Done, Progress, nothing, value};
use super::{StandIn, State};
use crate::cpu::Fault;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("GetUartDevice", device),
    ("uart_div_modify", set_divider),
    ("uart_tx_one_char", send),
    ("uart_tx_one_char2", send),
    ("uart_rx_one_char", receive),
    ("uart_tx_flush", flush),
    ("uart_tx_wait_idle", flush),
];

/// Offsets, the same on all chips, from the block in which CLKDIV is at 0x14.
const CLKDIV: u32 = 0x14;
const STATUS: u32 = 0x1C;
/// Bytes that wait to go out at the most.
const FULL: u32 = 126;
/// How long one looks away from a FIFO.
const LOOK: Duration = Duration::from_micros(5);
/// What `uart_rx_one_char` returns when nothing has come.
const NOTHING_CAME: u32 = 1;

fn base(caller: &mut dyn Caller) -> u32 {
    caller.board().chip.uart.clkdiv.wrapping_sub(CLKDIV)
}

/// Bytes that wait in the FIFOs: to go out, and to be read.
fn waiting(caller: &mut dyn Caller) -> Result<(u32, u32), Fault> {
    let base = base(caller);
    let status = caller.load_word(base + STATUS)?;
    Ok((status >> 16 & 0xFF, status & 0xFF))
}

/// `UartDevice *GetUartDevice(void)`
fn device(state: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    value(state.data.uart_device.unwrap_or(0))
}

/// `void uart_div_modify(uint8_t number, uint32_t sixteenths)`, of UART 0 alone
fn set_divider(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let (number, sixteenths) = (caller.argument(0), caller.argument(1));
    if number & 0xFF == 0 {
        let chip = caller.board().chip;
        // The ESP8266 has no sixteenths.
        let whole = matches!(chip.architecture, guru_chip::Architecture::XtensaLx106);
        let divider = if whole {
            sixteenths
        } else {
            sixteenths >> 4 | (sixteenths & 15) << 20
        };
        caller.store_word(chip.uart.clkdiv, divider)?;
        if let Some(update) = chip.registers.uart.update {
            let at = base(caller) + update.addr;
            let word = caller.load_word(at)?;
            caller.store_word(at, word | 1 << update.lsb)?;
        }
    }
    nothing()
}

/// `int uart_tx_one_char(uint8_t byte)`
fn send(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    if waiting(caller)?.0 >= FULL {
        return Ok(Done::Again(caller.now() + LOOK));
    }
    let (base, byte) = (base(caller), caller.argument(0));
    caller.store_word(base, byte & 0xFF)?;
    nothing()
}

/// `int uart_rx_one_char(uint8_t *byte)`
fn receive(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    if waiting(caller)?.1 == 0 {
        return value(NOTHING_CAME);
    }
    let base = base(caller);
    let byte = caller.load_word(base)?;
    let to = caller.argument(0);
    caller.store(to, &[byte as u8])?;
    nothing()
}

/// `void uart_tx_flush(uint8_t number)`, `void uart_tx_wait_idle(uint8_t number)`
fn flush(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    if waiting(caller)?.0 > 0 {
        return Ok(Done::Again(caller.now() + LOOK));
    }
    nothing()
}
