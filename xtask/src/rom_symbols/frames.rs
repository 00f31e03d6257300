//! How the frames of a ROM's functions lie on the stack.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use guru_symbols::rom::{Kept, RomBase, RomFrame};
use guru_symbols::unwind::cfi::{Index, Sections};
use guru_symbols::unwind::riscv::{Function, Row, Rule, Value, saved_by};
use guru_symbols::unwind::xtensa::entry_size;

use super::elf::RomElf;

/// `x2`, `x8`.
const SP: u8 = 2;
const S0: u8 = 8;

/// The operand of `entry`, with which every function begins that has a frame.
pub fn xtensa(elf: &RomElf<'_>) -> Vec<RomFrame> {
    let frame = |address| {
        let bytes = elf.code(address)?.first_chunk::<3>()?;
        let size = entry_size(*bytes)?;
        Some(RomFrame::Windowed { size })
    };
    let functions = elf.functions.iter();
    functions
        .map(|function| frame(function.address).unwrap_or(RomFrame::Unknown))
        .collect()
}

/// By call frame information where the file has it, and by the functions' own code.
pub fn riscv(elf: &RomElf<'_>) -> Vec<RomFrame> {
    let (eh_frame_address, eh_frame) = elf.section(".eh_frame").unwrap_or_default();
    let sections = Sections {
        eh_frame,
        eh_frame_address,
        ..Sections::default()
    };
    let index = Index::new(&sections);
    let saves: HashMap<u32, u8> = elf
        .functions
        .iter()
        .filter_map(|function| Some((function.address, saved_by(&function.name)?)))
        .collect();
    let functions = elf.functions.iter();
    functions
        .map(|symbol| {
            let function = Function {
                start: symbol.address,
                end: symbol.address + symbol.size,
                half: &|at| {
                    let bytes = elf.code(at)?.first_chunk::<2>()?;
                    Some(u16::from_le_bytes(*bytes))
                },
                saves: &|at| saves.get(&at).copied(),
            };
            // Support routines are called with another register, and handlers do not return.
            if saves.contains_key(&symbol.address) {
                return RomFrame::Unknown;
            }
            frame(&function, |at| index.row(&sections, at))
        })
        .collect()
}

/// The frame that most of a function's calls find.
fn frame(function: &Function<'_>, told: impl Fn(u32) -> Option<Row>) -> RomFrame {
    let mut frames: BTreeMap<RomFrame, u32> = BTreeMap::new();
    let mut deepest = 0;
    let mut calls = false;
    let mut trap = None;
    function.walk(&mut |visit| {
        if let Value::Stack(at) = visit.state.register(SP) {
            deepest = deepest.max(-at);
        }
        let walked = Row::of_state(visit.state);
        if trap.is_none() && walked.as_ref().is_some_and(|row| row.trap) {
            trap = Some(deepest);
        }
        if visit.call {
            calls = true;
            let walked = || Row::of_state(&visit.state.after_call());
            let row = told(visit.address).or_else(walked);
            let frame = row.map_or(RomFrame::Unknown, |row| of_row(&row));
            *frames.entry(frame).or_default() += 1;
        }
        ControlFlow::Continue(())
    });
    if let Some(size) = trap.and_then(|size| u32::try_from(size).ok()) {
        return RomFrame::Trap { size };
    }
    if !calls {
        return RomFrame::Riscv {
            base: RomBase::StackPointer,
            size: u32::try_from(deepest).unwrap_or(0),
            return_address: Kept::Register,
            frame_pointer: Kept::Register,
        };
    }
    let most = frames.into_iter().max_by_key(|(_, count)| *count);
    most.map_or(RomFrame::Unknown, |(frame, _)| frame)
}

fn of_row(row: &Row) -> RomFrame {
    let kept = |rule| match rule {
        Rule::Same => Kept::Register,
        Rule::At(at) if at < 0 => Kept::Below(at.unsigned_abs()),
        _ => Kept::Lost,
    };
    let base = match row.base.0 {
        SP => RomBase::StackPointer,
        S0 => RomBase::FramePointer,
        _ => return RomFrame::Unknown,
    };
    match (u32::try_from(row.base.1), kept(row.pc)) {
        // What has called has its return address on the stack, or never returns.
        (Ok(size), return_address @ Kept::Below(_)) if !row.trap => RomFrame::Riscv {
            base,
            size,
            return_address,
            frame_pointer: kept(row.registers[usize::from(S0)]),
        },
        _ => RomFrame::Unknown,
    }
}
