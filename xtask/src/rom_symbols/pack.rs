//! Writes the table. Its form is described where it is read, in `crates/symbols/src/rom/table.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use guru_symbols::rom::{Kept, RomBase, RomFrame};

use super::Rom;
use crate::Result;

pub fn table(roms: &[Rom]) -> Result<Vec<u8>> {
    let functions = || roms.iter().flat_map(|rom| &rom.functions);
    let names: BTreeSet<&str> = functions().map(|function| function.name.as_str()).collect();
    let numbers: HashMap<&str, u32> = names.iter().copied().zip(0..).collect();
    // The most usual frames have the shortest numbers.
    let mut counts: BTreeMap<RomFrame, usize> = BTreeMap::new();
    for function in functions() {
        *counts.entry(function.frame).or_default() += 1;
    }
    let mut frames: Vec<RomFrame> = counts.keys().copied().collect();
    frames.sort_by_key(|frame| (usize::MAX - counts[frame], *frame));
    let frame_numbers: HashMap<RomFrame, u32> = frames.iter().copied().zip(0..).collect();

    let mut table = b"GURUROM1".to_vec();
    number(&mut table, names.len() as u32);
    let mut before: &[u8] = &[];
    for name in &names {
        let name = name.as_bytes();
        let shared = name.iter().zip(before).take_while(|(a, b)| a == b).count();
        number(&mut table, shared as u32);
        number(&mut table, (name.len() - shared) as u32);
        table.extend_from_slice(&name[shared..]);
        before = name;
    }
    number(&mut table, frames.len() as u32);
    for one in &frames {
        frame(&mut table, *one);
    }
    number(&mut table, roms.len() as u32);
    for rom in roms {
        let mut bytes = Vec::new();
        let mut end = 0u32;
        for function in &rom.functions {
            let gap = function.address.wrapping_sub(end) as i32;
            number(&mut bytes, (gap << 1 ^ gap >> 31) as u32);
            number(&mut bytes, function.size);
            number(&mut bytes, frame_numbers[&function.frame]);
            number(&mut bytes, numbers[function.name.as_str()]);
            end = function.address.wrapping_add(function.size);
        }
        number(&mut table, rom.chip.id.len() as u32);
        table.extend_from_slice(rom.chip.id.as_bytes());
        number(&mut table, rom.min_revision.into());
        number(&mut table, u32::try_from(rom.functions.len())?);
        number(&mut table, u32::try_from(bytes.len())?);
        table.extend(bytes);
    }
    Ok(table)
}

fn frame(table: &mut Vec<u8>, frame: RomFrame) {
    match frame {
        RomFrame::Unknown => number(table, 0),
        RomFrame::Riscv {
            base,
            size,
            return_address,
            frame_pointer,
        } => {
            number(table, if base == RomBase::StackPointer { 1 } else { 2 });
            number(table, size);
            for kept in [return_address, frame_pointer] {
                number(
                    table,
                    match kept {
                        Kept::Register => 0,
                        Kept::Lost => 1,
                        Kept::Below(distance) => distance,
                    },
                );
            }
        }
        RomFrame::Trap { size } => {
            number(table, 3);
            number(table, size);
        }
        RomFrame::Windowed { size } => {
            number(table, 4);
            number(table, size);
        }
    }
}

fn number(table: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        table.push(value as u8 | 0x80);
        value >>= 7;
    }
    table.push(value as u8);
}
