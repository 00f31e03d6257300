//! What the eFuses say.

use super::call::{Caller, Done, Progress, nothing, value};
use super::{StandIn, State};
use crate::cpu::Fault;
use crate::rom::security::security_info;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("ets_efuse_get_spiconfig", default_pins),
    ("ets_efuse_flash_octal_mode", octal),
    ("GetSecurityInfoProc", security),
    ("esp_rom_recover_key", key_recovery),
];

/// `uint32_t ets_efuse_get_spiconfig(void)`: 0, the default pins. Others, that eFuses may say,
/// are not modelled: the flash is on whatever pins it is attached to.
fn default_pins(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    nothing()
}

/// `bool ets_efuse_flash_octal_mode(void)`
fn octal(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let board = caller.board();
    let bits = board.chip.flash.type_bit;
    value(bits.map_or(0, |bits| board.words.get(bits)))
}

/// `int GetSecurityInfoProc(int *, int *, uint8_t *info)`
fn security(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let to = caller.argument(2);
    let revision = caller.revision();
    let info = security_info(caller.board(), revision);
    match info {
        Some(info) if to != 0 => {
            caller.store(to, &info)?;
            nothing()
        }
        _ => value(1),
    }
}

/// Of the key manager, whose keys are not modelled: there is nothing to recover.
fn key_recovery(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    nothing()
}
