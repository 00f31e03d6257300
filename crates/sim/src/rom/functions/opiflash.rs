//! Commands that a program composes by itself, for flash with 32-bit addresses.

use super::call::{Caller, Done, Progress, nothing};
use super::flash::account;
use super::{StandIn, State};
use crate::cpu::Fault;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[("esp_rom_opiflash_exec_cmd", execute)];

/// Data words of the controller, in bytes.
const DATA: usize = 64;

/// `void esp_rom_opiflash_exec_cmd(int spi, mode, uint32_t command, int command_bits, uint32_t
/// address, int address_bits, int dummy_bits, const uint8_t *out, int out_bits, uint8_t *in, int
/// in_bits, uint32_t chip_select, bool writes)`
fn execute(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let mut arguments = [0; 13];
    for (number, argument) in (0..).zip(&mut arguments) {
        *argument = caller.argument(number);
    }
    let [
        _,
        _,
        command,
        command_bits,
        address,
        address_bits,
        dummy_bits,
        ..,
    ] = arguments;
    let [.., out, out_bits, into, in_bits, _, _] = arguments;
    let mut sent = Vec::with_capacity(DATA + 16);
    sent.extend_from_slice(&command.to_le_bytes()[..bytes(command_bits).min(2)]);
    let shift = 32_u32.saturating_sub(address_bits);
    let aligned = address.checked_shl(shift).unwrap_or(0);
    sent.extend_from_slice(&aligned.to_be_bytes()[..bytes(address_bits).min(4)]);
    sent.resize(sent.len() + bytes(dummy_bits).min(DATA), 0);
    let mut data = [0; DATA];
    if out != 0 {
        let data = &mut data[..bytes(out_bits).min(DATA)];
        caller.load(out, data)?;
        sent.extend_from_slice(data);
    }
    let received = &mut data[..bytes(in_bits).min(DATA)];
    let now = caller.now();
    let board = caller.board();
    let work = if board.spi.attached {
        board.nor.transact(now, &sent, received)
    } else {
        received.fill(0);
        None
    };
    account(caller, work);
    if into != 0 {
        caller.store(into, received)?;
    }
    nothing()
}

fn bytes(bits: u32) -> usize {
    bits.div_ceil(8) as usize
}
