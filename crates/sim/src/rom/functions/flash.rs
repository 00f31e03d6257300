//! The flash, through the ROM's own driver.

use std::time::Duration;

use super::call::{CALL, Caller, Cycles, Done, Progress, nothing, value};
use super::variables::{FlashChip, flash_chip, set_flash_chip};
use super::{StandIn, State};
use crate::cpu::Fault;
use crate::flash::{BLOCK, PAGE, SECTOR, Unit, Work};
use crate::xts;

pub(super) const FUNCTIONS: &[(&str, StandIn)] = &[
    ("spi_flash_attach", attach),
    ("SelectSpiFunction", pins),
    ("gpio_pad_select_gpio", pins),
    ("esp_rom_spiflash_config_param", configure),
    ("esp_rom_spi_flash_update_id", update_id),
];

/// The driver itself. Where the ROM has two of it (`rom_spiflash_legacy_data`), its code for these goes
/// through tables in RAM that its start fills (`rom_spiflash_legacy_funcs`), and that no ELF file has.
pub(super) const DRIVER: &[(&str, StandIn)] = &[
    ("SPI_write_enable", enable_write),
    ("esp_rom_spiflash_read_statushigh", read_status_high),
    ("SPI_read_status_high", read_status_high_alone),
    ("esp_rom_spiflash_write_status", write_status),
    ("esp_rom_spiflash_unlock", unlock),
    ("esp_rom_spiflash_wait_idle", wait_idle),
    ("esp_rom_spiflash_erase_chip", erase_chip),
    ("esp_rom_spiflash_erase_block", erase_block),
    ("esp_rom_spiflash_erase_sector", erase_sector),
    ("esp_rom_spiflash_write", write),
    ("esp_rom_spiflash_write_encrypted", write_encrypted),
    ("esp_rom_spiflash_write_encrypted_enable", encryption),
    ("esp_rom_spiflash_write_encrypted_disable", encryption),
    ("esp_rom_spiflash_read", read),
    ("esp_rom_opiflash_legacy_driver_init", pins),
    ("esp_rom_opiflash_wait_idle", wait_idle),
    ("esp_rom_opiflash_wren", enable_write),
    ("esp_rom_opiflash_erase_sector", erase_sector),
    ("esp_rom_opiflash_erase_block_64k", erase_block),
];

/// `ESP_ROM_SPIFLASH_RESULT_ERR`
const ERROR: u32 = 1;
/// Bytes that are programmed with one command (`SPI_page_program`).
const CHUNK: u32 = 32;
/// Setting up a command and waiting for its end, in nanoseconds. An assumption.
pub(super) const COMMAND_NS: u64 = 4_000;
/// Reading through the controller's data words, in nanoseconds a byte: 16 words at a time at 20 MHz,
/// dual wires. An assumption.
const READ_NS: u64 = 300;
/// Leading the pins to the flash controller and setting that up. An assumption.
const ATTACH: Cycles = Cycles(8000);
/// Bytes that are read before interrupts are looked at.
const READ_PIECE: u32 = 64;

/// Why the driver does not go on.
pub(super) enum Stop {
    /// It waits.
    Wait(Done),
    /// It reports an error.
    Fails,
}

/// Waits until the flash is idle (`esp_rom_spiflash_wait_idle`). Pins that lead nowhere read as 0:
/// idle, and write enable is never seen set. A part that does not answer reads as 1s: busy for ever.
pub(super) fn idle(caller: &mut dyn Caller) -> Result<(), Stop> {
    let now = caller.now();
    let board = caller.board();
    if !board.spi.attached {
        return Err(Stop::Fails);
    }
    if !board.nor.answers() {
        let look_again = now + Duration::from_secs(1);
        return Err(Stop::Wait(Done::Again(look_again)));
    }
    if board.nor.is_busy(now) {
        return Err(Stop::Wait(Done::Again(board.nor.busy_until())));
    }
    Ok(())
}

/// What a function says when the driver stopped.
pub(super) fn stopped(stop: Stop) -> Result<Done, Fault> {
    match stop {
        Stop::Wait(done) => Ok(done),
        Stop::Fails => value(ERROR),
    }
}

/// A command has been given that takes its time in the flash.
pub(super) fn account(caller: &mut dyn Caller, work: Option<Work>) {
    let now = caller.now();
    if let Some(time) = work.and_then(|work| work.power_loss) {
        caller.lose_power(now + time);
    }
    caller.spend(Duration::from_nanos(COMMAND_NS));
}

fn transact(caller: &mut dyn Caller, sent: &[u8], received: &mut [u8]) {
    let now = caller.now();
    let work = caller.board().nor.transact(now, sent, received);
    account(caller, work);
}

/// `void spi_flash_attach(uint32_t pins, bool legacy)`. Where the flash is, is not modelled.
fn attach(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    caller.board().spi.attached = true;
    Ok(Done::Return(0, ATTACH))
}

/// What chooses pins.
fn pins(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    nothing()
}

/// What sets the encryption engine up: here it needs no setting up.
fn encryption(_: &mut State, _: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    nothing()
}

/// `int esp_rom_spiflash_config_param(id, size, block, sector, page, status_mask)`
fn configure(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    let mut words = [0; 6];
    for (number, word) in (0..).zip(&mut words) {
        *word = caller.argument(number);
    }
    set_flash_chip(&state.data, caller, &words)?;
    nothing()
}

/// `void esp_rom_spi_flash_update_id(void)`
fn update_id(state: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    match idle(caller) {
        Err(Stop::Wait(done)) => return Ok(done),
        // Nothing on the pins reads as 0.
        Err(Stop::Fails) => {
            caller.store_word(state.data.flash_chip, 0)?;
            return nothing();
        }
        Ok(()) => {}
    }
    let mut id = [0; 3];
    transact(caller, &[0x9F], &mut id);
    let word = id.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    caller.store_word(state.data.flash_chip, word)?;
    nothing()
}

/// `int SPI_write_enable(chip *)`
fn enable_write(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    if let Err(stop) = idle(caller) {
        return stopped(stop);
    }
    transact(caller, &[0x06], &mut []);
    nothing()
}

/// `int esp_rom_spiflash_read_statushigh(chip *, uint32_t *status)`: register 2 in bits 15 to 8.
fn read_status_high(
    _: &mut State,
    caller: &mut dyn Caller,
    _: &mut Progress,
) -> Result<Done, Fault> {
    let to = caller.argument(1);
    store_status_high(caller, to)
}

/// The same as the ESP32's ROM has it, whose compiler left out the chip (`SPI_read_status_high$isra$3`).
fn read_status_high_alone(
    _: &mut State,
    caller: &mut dyn Caller,
    _: &mut Progress,
) -> Result<Done, Fault> {
    let to = caller.argument(0);
    store_status_high(caller, to)
}

fn store_status_high(caller: &mut dyn Caller, to: u32) -> Result<Done, Fault> {
    let mut high = [0; 1];
    transact(caller, &[0x35], &mut high);
    caller.store_word(to, u32::from(high[0]) << 8)?;
    nothing()
}

/// `int esp_rom_spiflash_write_status(chip *, uint32_t status)`: registers 1 and 2.
fn write_status(
    _: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    if let Err(stop) = idle(caller) {
        return stopped(stop);
    }
    if progress.begin() {
        let [low, high, ..] = caller.argument(1).to_le_bytes();
        transact(caller, &[0x01, low, high], &mut []);
        return Ok(Done::Again(caller.now()));
    }
    nothing()
}

/// `int esp_rom_spiflash_unlock(void)`: clears block protection and keeps QE.
fn unlock(_: &mut State, caller: &mut dyn Caller, progress: &mut Progress) -> Result<Done, Fault> {
    if let Err(stop) = idle(caller) {
        return stopped(stop);
    }
    if progress.begin() {
        let [_, second] = caller.board().nor.protection();
        transact(caller, &[0x06], &mut []);
        transact(caller, &[0x01, 0, second & 0x02], &mut []);
        return Ok(Done::Again(caller.now()));
    }
    nothing()
}

/// `void esp_rom_spiflash_wait_idle(chip *)`
fn wait_idle(_: &mut State, caller: &mut dyn Caller, _: &mut Progress) -> Result<Done, Fault> {
    match idle(caller) {
        Err(Stop::Wait(done)) => Ok(done),
        _ => nothing(),
    }
}

/// `int esp_rom_spiflash_erase_chip(void)`
fn erase_chip(
    _: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    erase(caller, progress, Unit::Chip, 0)
}

/// `int esp_rom_spiflash_erase_block(uint32_t number)`, of 64 KB
fn erase_block(
    state: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    erase_numbered(state, caller, progress, Unit::Block, BLOCK)
}

/// `int esp_rom_spiflash_erase_sector(uint32_t number)`
fn erase_sector(
    state: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    erase_numbered(state, caller, progress, Unit::Sector, SECTOR)
}

fn erase_numbered(
    state: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
    unit: Unit,
    len: u32,
) -> Result<Done, Fault> {
    let chip = flash_chip(&state.data, caller)?;
    match caller.argument(0).checked_mul(len) {
        Some(at) if at < chip.size => erase(caller, progress, unit, at),
        _ => value(ERROR),
    }
}

fn erase(
    caller: &mut dyn Caller,
    progress: &mut Progress,
    unit: Unit,
    at: u32,
) -> Result<Done, Fault> {
    if let Err(stop) = idle(caller) {
        return stopped(stop);
    }
    if progress.begin() {
        let now = caller.now();
        let nor = &mut caller.board().nor;
        nor.enable_write(now);
        // A refusal goes unnoticed: the part is simply not busy afterwards.
        let work = nor.erase(now, unit, at).ok();
        account(caller, work);
        return Ok(Done::Again(caller.now()));
    }
    nothing()
}

/// `int esp_rom_spiflash_write(uint32_t at, const void *data, uint32_t len)`
fn write(
    state: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    program(state, caller, progress, false)
}

/// `int esp_rom_spiflash_write_encrypted(uint32_t at, const void *data, uint32_t len)`, in blocks
/// of 16 bytes
fn write_encrypted(
    state: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    let (at, len) = (caller.argument(0), caller.argument(2));
    if !(at as usize | len as usize).is_multiple_of(xts::BLOCK) {
        return value(ERROR);
    }
    program(state, caller, progress, true)
}

/// Page by page, and of these a few words at a time; each is waited for.
fn program(
    state: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
    encrypted: bool,
) -> Result<Done, Fault> {
    let (at, data, len) = (caller.argument(0), caller.argument(1), caller.argument(2));
    if progress.begin() && !inside(&flash_chip(&state.data, caller)?, at, len) {
        return value(ERROR);
    }
    loop {
        if let Err(stop) = idle(caller) {
            return stopped(stop);
        }
        if progress.done >= len {
            return nothing();
        }
        let to = at.wrapping_add(progress.done);
        let chunk = (len - progress.done).min(CHUNK).min(PAGE - to % PAGE);
        let mut bytes = [0; CHUNK as usize];
        let bytes = &mut bytes[..chunk as usize];
        caller.load(data.wrapping_add(progress.done), bytes)?;
        if encrypted {
            let revision = caller.revision();
            if let Some(key) = caller.board().fuses(revision).flash_key() {
                key.encrypt(to, bytes);
            }
        }
        let now = caller.now();
        let nor = &mut caller.board().nor;
        nor.enable_write(now);
        let work = nor.program(now, to, bytes).ok();
        account(caller, work);
        progress.done += chunk;
    }
}

/// `int esp_rom_spiflash_read(uint32_t at, uint32_t *to, int len)`
fn read(
    state: &mut State,
    caller: &mut dyn Caller,
    progress: &mut Progress,
) -> Result<Done, Fault> {
    let (at, to, len) = (caller.argument(0), caller.argument(1), caller.argument(2));
    if progress.begin() && !inside(&flash_chip(&state.data, caller)?, at, len) {
        return value(ERROR);
    }
    if let Err(stop) = idle(caller) {
        return stopped(stop);
    }
    let piece = (len - progress.done).min(READ_PIECE);
    if piece == 0 {
        return Ok(Done::Return(0, CALL));
    }
    let mut bytes = [0; READ_PIECE as usize];
    let bytes = &mut bytes[..piece as usize];
    caller
        .board()
        .nor
        .cells()
        .fetch(at.wrapping_add(progress.done), bytes);
    caller.store(to.wrapping_add(progress.done), bytes)?;
    progress.done += piece;
    let now = caller.now();
    Ok(Done::Again(
        now + Duration::from_nanos(READ_NS * u64::from(piece)),
    ))
}

/// The ROM refuses what does not lie in the flash as it was told of it.
fn inside(chip: &FlashChip, at: u32, len: u32) -> bool {
    at.checked_add(len).is_some_and(|end| end <= chip.size)
}
