//! The loader's port, by the registers of the UART or of USB-Serial/JTAG. Which one it is stands in the
//! ROM's own variable, as its code has it (`uart_tx_one_char` of the ESP32-C3).

use std::time::Duration;

use super::call::{Caller, Done, Progress, nothing, value};
use super::variables::CONNECTION;
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
/// Offsets in the block of USB-Serial/JTAG: a byte in or out, and what can be done with it.
const EP1: u32 = 0x00;
const EP1_CONF: u32 = 0x04;
/// The packet is to go.
const WR_DONE: u32 = 1 << 0;
/// A byte can be written.
const IN_FREE: u32 = 1 << 1;
/// A byte can be read.
const OUT_AVAILABLE: u32 = 1 << 2;
/// How long, at the most, a byte waits for a host that does not listen.
const GIVES_UP: Duration = Duration::from_millis(50);
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

/// The block of USB-Serial/JTAG, where a connection is that one.
fn usb(state: &State, caller: &mut dyn Caller, connection: u32) -> Option<u32> {
    let number = state.data.serial_jtag_number?;
    let registers = caller.board().chip.registers.usb_jtag.as_ref()?;
    (connection == u32::from(number)).then_some(registers.base)
}

/// The connection over which the loader was reached.
fn connection(state: &State, caller: &mut dyn Caller) -> Result<u32, Fault> {
    let device = state.data.uart_device;
    device.map_or(Ok(0), |at| Ok(caller.load_word(at + CONNECTION)? & 0xFF))
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
fn send(
    state: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    let connection = connection(state, caller)?;
    if let Some(usb) = usb(state, caller, connection) {
        return send_over_usb(usb, caller, progress);
    }
    if waiting(caller)?.0 >= FULL {
        return Ok(Done::Again(caller.now() + LOOK));
    }
    let (base, byte) = (base(caller), caller.argument(0));
    caller.store_word(base, byte & 0xFF)?;
    nothing()
}

/// `int usb_uart_tx_one_char(uint8_t byte)`
fn send_over_usb(
    usb: u32,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    let now = caller.now();
    let until = *progress.until.get_or_insert(now + GIVES_UP);
    if caller.load_word(usb + EP1_CONF)? & IN_FREE == 0 {
        return match now < until {
            true => Ok(Done::Again(now + LOOK)),
            false => nothing(),
        };
    }
    let byte = caller.argument(0) & 0xFF;
    caller.store_word(usb + EP1, byte)?;
    if byte == u32::from(b'\n') {
        caller.store_word(usb + EP1_CONF, WR_DONE)?;
    }
    nothing()
}

/// `int uart_rx_one_char(uint8_t *byte)`
fn receive(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let connection = connection(state, caller)?;
    if let Some(usb) = usb(state, caller, connection) {
        if caller.load_word(usb + EP1_CONF)? & OUT_AVAILABLE == 0 {
            return value(NOTHING_CAME);
        }
        let byte = caller.load_word(usb + EP1)?;
        let to = caller.argument(0);
        caller.store(to, &[byte as u8])?;
        return nothing();
    }
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
fn flush(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let number = caller.argument(0) & 0xFF;
    if let Some(usb) = usb(state, caller, number) {
        caller.store_word(usb + EP1_CONF, WR_DONE)?;
        return nothing();
    }
    if waiting(caller)?.0 > 0 {
        return Ok(Done::Again(caller.now() + LOOK));
    }
    nothing()
}
