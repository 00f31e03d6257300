//! How the ROM leads interrupts of peripherals to the CPU: by the registers of the interrupt matrix
//! and of the controller behind it.

use guru_chip::{Chip, InterruptController, InterruptRegisters};

use crate::cpu::Fault;
use crate::rom::Caller;

/// Registers of a controller with priorities, behind ENABLE.
const PRIORITIES: u32 = 0x10;
/// Control registers of a CLIC: enable in bit 8, level in the highest byte.
const CLIC_CONTROL: u32 = 0x1000;
const CLIC_ENABLED: u32 = 1 << 8;
const CLIC_LEVEL: u32 = 24;
/// Bits of a level that are not there read as 1 (`NLBITS` is 3).
const CLIC_LOW_LEVEL: u32 = 0x1F;
/// A CLIC's own interrupts come before those that programs number from 0.
const CLIC_FIRST: u32 = 16;

fn registers(chip: &'static Chip) -> Option<&'static InterruptRegisters> {
    chip.registers.interrupts.as_ref()
}

/// The number under which a program has attached a handler of the CPU's interrupt.
pub(super) fn attached_number(chip: &'static Chip, interrupt: u32) -> u32 {
    match registers(chip).map(|map| map.controller) {
        Some(InterruptController::Clic(_)) => interrupt.wrapping_sub(CLIC_FIRST),
        _ => interrupt,
    }
}

/// Enables or disables interrupts, a bit each. `false`: it is the CPU itself that does.
pub(super) fn enable(caller: &mut dyn Caller, mask: u32, on: bool) -> Result<bool, Fault> {
    let change = |word: u32, bits: u32| if on { word | bits } else { word & !bits };
    match registers(caller.board().chip).map(|map| map.controller) {
        None | Some(InterruptController::Lines) => return Ok(false),
        Some(InterruptController::Priorities(base)) => {
            let enabled = caller.load_word(base)?;
            caller.store_word(base, change(enabled, mask))?;
        }
        Some(InterruptController::Clic(base)) => {
            for number in (0..32).filter(|number| mask >> number & 1 != 0) {
                let at = clic_control(base, number);
                let control = caller.load_word(at)?;
                caller.store_word(at, change(control, CLIC_ENABLED))?;
            }
        }
    }
    Ok(true)
}

/// Gives an interrupt a priority, where there are such.
pub(super) fn set_priority(
    caller: &mut dyn Caller,
    interrupt: u32,
    priority: u32,
) -> Result<(), Fault> {
    let Some(map) = registers(caller.board().chip) else {
        return Ok(());
    };
    match map.controller {
        InterruptController::Lines => Ok(()),
        InterruptController::Priorities(base) => {
            caller.store_word(base + PRIORITIES + 4 * (interrupt & 31), priority)
        }
        InterruptController::Clic(base) => {
            let at = clic_control(base, interrupt & 31);
            let control = caller.load_word(at)? & !(0xFF << CLIC_LEVEL);
            let level = (priority & 7) << 5 | CLIC_LOW_LEVEL;
            caller.store_word(at, control | level << CLIC_LEVEL)
        }
    }
}

/// Leads a source to an interrupt.
pub(super) fn route(caller: &mut dyn Caller, source: u32, interrupt: u32) -> Result<(), Fault> {
    let Some(map) = registers(caller.board().chip) else {
        return Ok(());
    };
    if source >= map.sources.into() {
        return Ok(());
    }
    let number = match map.controller {
        InterruptController::Clic(_) => interrupt + CLIC_FIRST,
        _ => interrupt,
    };
    caller.store_word(map.matrix + 4 * source, number)
}

fn clic_control(base: u32, number: u32) -> u32 {
    base + CLIC_CONTROL + 4 * (CLIC_FIRST + number)
}
