use std::ops::Range;

use proptest::prelude::*;

use super::code::Code;
use super::riscv::Row;
use super::*;
use crate::rom::Rom;

const CODE: u32 = 0x4200_0000;
const STACK: u32 = 0x3FC9_0000;

/// Code at [`CODE`], cut into functions.
#[derive(Debug, Default)]
struct Fake {
    code: Vec<u8>,
    functions: Vec<Range<u32>>,
    /// Of all functions, where that matters.
    name: Option<&'static str>,
}

impl Fake {
    /// Adds a function of RISC-V instructions, and gives its address.
    fn riscv(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.bytes(&bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> u32 {
        let start = CODE + self.code.len() as u32;
        self.code.extend(bytes);
        self.functions.push(start..start + bytes.len() as u32);
        start
    }
}

impl Code for Fake {
    fn is_code(&self, address: u32) -> bool {
        (CODE..CODE + self.code.len() as u32).contains(&address)
    }

    fn is_of_one_program(&self, _address: u32) -> bool {
        true
    }

    fn read(&self, address: u32, bytes: &mut [u8]) -> bool {
        let at = address.wrapping_sub(CODE) as usize;
        let found = self.code.get(at..at.saturating_add(bytes.len()));
        found.map(|found| bytes.copy_from_slice(found)).is_some()
    }

    fn function(&self, address: u32) -> Option<Range<u32>> {
        self.functions
            .iter()
            .find(|range| range.contains(&address))
            .cloned()
    }

    fn name(&self, _address: u32) -> Option<String> {
        self.name.map(str::to_owned)
    }

    fn row(&self, _address: u32) -> Option<Row> {
        None
    }

    fn rom(&self) -> Option<&'static Rom> {
        None
    }
}

/// A stack of words from [`STACK`] on.
fn stack(words: &[u32]) -> impl Memory + use<> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    move |address: u32, into: &mut [u8]| {
        let at = address.wrapping_sub(STACK) as usize;
        let found = bytes.get(at..at.saturating_add(into.len()));
        found.map(|found| into.copy_from_slice(found)).is_some()
    }
}

fn addi(rd: u32, rs: u32, value: i32) -> u32 {
    (value as u32) << 20 | rs << 15 | rd << 7 | 0x13
}

fn sw(rs: u32, base: u32, offset: u32) -> u32 {
    offset >> 5 << 25 | rs << 20 | base << 15 | 2 << 12 | (offset & 31) << 7 | 0x23
}

fn lw(rd: u32, base: u32, offset: u32) -> u32 {
    offset << 20 | base << 15 | 2 << 12 | rd << 7 | 0x03
}

/// `jalr a5`: where it leads is not known.
const CALL: u32 = 0x0007_80E7;

/// `j .`
const STAY: u32 = 0x6F;

const RET: u32 = 0x8067;

/// A function with a frame of 16 bytes that calls another one.
fn ordinary() -> [u32; 6] {
    [
        addi(2, 2, -16),
        sw(1, 2, 12),
        CALL,
        lw(1, 2, 12),
        addi(2, 2, 16),
        RET,
    ]
}

fn registers(pc: u32, sp: u32, ra: u32) -> Registers {
    let mut registers = Registers {
        pc: Some(pc),
        ..Registers::default()
    };
    (registers.x[1], registers.x[2]) = (Some(ra), Some(sp));
    registers
}

fn pcs(trace: &Trace) -> Vec<u32> {
    trace.frames.iter().map(|frame| frame.pc).collect()
}

/// At each instruction of a function, and of its caller.
#[test]
fn a_caller_is_found_from_every_instruction() {
    let mut code = Fake::default();
    let outer = code.riscv(&ordinary());
    let inner = code.riscv(&ordinary());
    let (back, other) = (outer + 12, inner + 12);
    for (place, sp, ra) in [
        (0, STACK + 16, back),
        (4, STACK, back),
        (8, STACK, back),
        (12, STACK, other),
        (16, STACK, back),
        (20, STACK + 16, back),
    ] {
        let memory = stack(&[0, 0, 0, back, 0, 0, 0, 0]);
        let trace = riscv::unwind_in(&code, &registers(inner + place, sp, ra), &memory);
        assert_eq!(pcs(&trace), [inner + place, back], "at {place}");
        assert_eq!(trace.end, End::ReturnAddressZero);
        assert_eq!(trace.frames[0].cfa, Some(STACK + 16));
    }
}

#[test]
fn a_call_of_a_null_pointer_leads_to_the_caller() {
    let mut code = Fake::default();
    let outer = code.riscv(&ordinary());
    let memory = stack(&[0; 4]);
    let trace = riscv::unwind_in(&code, &registers(0, STACK, outer + 12), &memory);
    assert_eq!(pcs(&trace), [0, outer + 12]);
    assert_eq!(trace.frames[1].how, How::Register);
    assert_eq!(trace.end, End::ReturnAddressZero);
}

#[test]
fn where_the_dump_of_the_stack_ends_is_told_from_a_zero() {
    let mut code = Fake::default();
    let inner = code.riscv(&ordinary());
    let short = stack(&[0, 0, 0]);
    let trace = riscv::unwind_in(&code, &registers(inner + 12, STACK, 0), &short);
    assert_eq!(trace.end, End::StackDumpEnds { at: STACK + 12 });
    let zero = stack(&[0, 0, 0, 0]);
    let trace = riscv::unwind_in(&code, &registers(inner + 12, STACK, 0), &zero);
    assert_eq!(trace.end, End::ReturnAddressZero);
}

/// The return address was overwritten with text; further up an intact one is left.
#[test]
fn a_broken_chain_ends_with_a_reason_and_possible_callers() {
    let mut code = Fake::default();
    let outer = code.riscv(&ordinary());
    let inner = code.riscv(&ordinary());
    let text = u32::from_le_bytes(*b"AAAA");
    let memory = stack(&[0, 0, 0, text, 7, outer + 12, outer + 8, 0]);
    let trace = riscv::unwind_in(&code, &registers(inner + 12, STACK, 0), &memory);
    assert_eq!(pcs(&trace), [inner + 12]);
    assert_eq!(trace.end, End::NotCode { pc: text });
    let possible = Possible {
        at: Some(STACK + 20),
        pc: outer + 12,
    };
    assert_eq!(trace.possible, [possible]);
    // In code, but not behind a call.
    let memory = stack(&[0, 0, 0, outer + 4, 0]);
    let trace = riscv::unwind_in(&code, &registers(inner + 12, STACK, 0), &memory);
    assert_eq!(trace.end, End::NotAfterCall { pc: outer + 4 });
}

/// As rustc compiles functions that do not return, with `panic = "abort"` and no unwind tables.
#[test]
fn a_function_that_did_not_keep_its_return_address_has_no_caller() {
    let mut code = Fake::default();
    let never = code.riscv(&[addi(2, 2, -16), CALL, addi(0, 0, 0)]);
    let memory = stack(&[0; 16]);
    let inner = code.riscv(&ordinary());
    let trace = riscv::unwind_in(&code, &registers(inner, STACK, never + 8), &memory);
    assert_eq!(pcs(&trace), [inner, never + 8]);
    assert_eq!(trace.end, End::NoFrameInformation { pc: never + 8 });
    assert!(
        trace
            .end
            .to_string()
            .contains("frame information is missing")
    );
}

/// `beqz a0, 8`: past the next instruction.
const SKIP: u32 = 0x0005_0463;

/// On one of the two ways to an instruction another function was called.
#[test]
fn a_call_on_one_way_has_overwritten_the_return_address() {
    let mut code = Fake::default();
    let outer = code.riscv(&ordinary());
    let inner = code.riscv(&[
        addi(2, 2, -16),
        sw(1, 2, 12),
        SKIP,
        CALL,
        addi(10, 10, 1),
        lw(1, 2, 12),
        addi(2, 2, 16),
        RET,
    ]);
    let (back, old) = (outer + 12, inner + 16);
    let memory = stack(&[0, 0, 0, back, 0, 0, 0, 0]);
    let trace = riscv::unwind_in(&code, &registers(inner + 16, STACK, old), &memory);
    assert_eq!(pcs(&trace), [inner + 16, back]);
    // One that never returns keeps nothing: then nothing is known behind the call.
    let never = code.riscv(&[CALL, addi(10, 10, 1), 0xFF9F_F06F]);
    let trace = riscv::unwind_in(&code, &registers(never, STACK, never + 4), &memory);
    assert_eq!(pcs(&trace), [never]);
    assert_eq!(trace.end, End::NoFrameInformation { pc: never });
}

/// `lui a5, table`, `add a5, a5, a0`, `lw a5, table(a5)`, `jr a5`.
#[test]
fn what_is_reached_by_a_table_has_a_frame() {
    let mut code = Fake::default();
    let outer = code.riscv(&ordinary());
    let at = |number: u32| outer + 24 + 4 * number;
    // The table is behind the code.
    let table = at(11);
    let inner = code.riscv(&[
        addi(2, 2, -16),
        sw(1, 2, 12),
        table & 0xFFFF_F000 | 15 << 7 | 0x37,
        10 << 20 | 15 << 15 | 15 << 7 | 0x33,
        lw(15, 15, table & 0xFFF),
        15 << 15 | 0x67,
        CALL,
        addi(10, 10, 1),
        lw(1, 2, 12),
        addi(2, 2, 16),
        RET,
    ]);
    code.riscv(&[at(6), at(8), 0]);
    let (back, old) = (outer + 12, inner + 28);
    let memory = stack(&[0, 0, 0, back, 0, 0, 0, 0]);
    for (place, ra) in [(6, back), (7, old), (8, old)] {
        let trace = riscv::unwind_in(&code, &registers(at(place), STACK, ra), &memory);
        assert_eq!(pcs(&trace), [at(place), back], "at {place}");
    }
}

/// What stands there is left over from a call of another function.
#[test]
fn a_return_address_behind_a_call_of_another_function_ends_the_chain() {
    let mut code = Fake::default();
    let mut words = ordinary();
    words[2] = jal_to(1, 16);
    let outer = code.riscv(&words);
    let middle = code.riscv(&ordinary());
    let inner = code.riscv(&ordinary());
    let memory = stack(&[0, 0, 0, outer + 12, 0, 0, 0, 0]);
    let trace = riscv::unwind_in(&code, &registers(middle + 12, STACK, 0), &memory);
    assert_eq!(pcs(&trace), [middle + 12, outer + 12]);
    let trace = riscv::unwind_in(&code, &registers(inner + 12, STACK, 0), &memory);
    assert_eq!(pcs(&trace), [inner + 12]);
    assert_eq!(trace.end, End::OtherCallee { pc: outer + 12 });
}

/// `cm.push {ra, s0-s1}, -32`: `ra` is the lowest of them.
#[test]
fn zcmp_pushes_are_understood() {
    let mut code = Fake::default();
    let outer = code.riscv(&ordinary());
    let push = 0xB802 | 6 << 4 | 1 << 2;
    let inner = code.riscv(&[push | 0x0001 << 16, addi(8, 0, 1), addi(9, 0, 2), CALL, RET]);
    let memory = stack(&[0, 0, 0, 0, 0, outer + 12, 0x50, 0x51, 0, 0, 0, 0]);
    let trace = riscv::unwind_in(&code, &registers(inner + 16, STACK, 0), &memory);
    assert_eq!(pcs(&trace), [inner + 16, outer + 12]);
    assert_eq!(trace.frames[1].registers.x[8], Some(0x50));
    assert_eq!(trace.frames[1].registers.x[9], Some(0x51));
    assert_eq!(trace.frames[0].size, Some(32));
}

/// `jal rd, offset` forward.
fn jal_to(rd: u32, offset: u32) -> u32 {
    (offset >> 1 & 0x3FF) << 21 | rd << 7 | 0x6F
}

/// `outer` calls `middle`, which ends with a jump to `inner`.
#[test]
fn a_function_that_left_by_a_jump_is_shown_if_there_is_one_way() {
    for (middle, shown) in [
        (vec![addi(10, 10, 1), jal_to(0, 12), RET, RET], true),
        (vec![SKIP, jal_to(0, 12), jal_to(0, 8), RET], false),
    ] {
        let mut code = Fake::default();
        let mut words = ordinary();
        words[2] = jal_to(1, 16);
        let outer = code.riscv(&words);
        let middle = code.riscv(&middle);
        let inner = code.riscv(&ordinary());
        let memory = stack(&[0, 0, 0, outer + 12, 0, 0, 0, 0]);
        let trace = riscv::unwind_in(&code, &registers(inner + 12, STACK, 0), &memory);
        let expected = match shown {
            true => vec![inner + 12, middle + 8, outer + 12],
            false => vec![inner + 12, outer + 12],
        };
        assert_eq!(pcs(&trace), expected);
        assert_eq!(trace.frames[1].how == How::TailCall, shown);
        assert_eq!(trace.end, End::ReturnAddressZero);
    }
}

#[test]
fn recursion_without_end_ends() {
    let mut code = Fake::default();
    let function = code.riscv(&ordinary());
    let endless = |address: u32, into: &mut [u8]| {
        let word = if address % 16 == 12 { function + 12 } else { 0 };
        into.copy_from_slice(&word.to_le_bytes()[..into.len()]);
        true
    };
    let trace = riscv::unwind_in(&code, &registers(function + 12, STACK, 0), &endless);
    assert_eq!(trace.frames.len(), MAX_FRAMES);
    assert_eq!(trace.end, End::TooLong);
    assert!(trace.possible.len() <= possible::MOST);
}

/// An interrupt's handler has the interrupts' stack, on which no registers were put.
#[test]
fn a_handler_on_another_stack_ends_the_chain() {
    let mut code = Fake::default();
    let csrr = 0x341 << 20 | 2 << 12 | 5 << 7 | 0x73;
    let handler = code.riscv(&[
        addi(2, 2, -128),
        sw(1, 2, 4),
        addi(5, 2, 128),
        sw(5, 2, 8),
        csrr,
        sw(5, 2, 0),
        CALL,
        STAY,
    ]);
    let interrupted = code.riscv(&ordinary());
    let mut words = [0; 40];
    words[..3].copy_from_slice(&[interrupted + 8, interrupted + 4, STACK + 128]);
    let inner = registers(handler + 4 * 6, STACK, 0);
    let trace = riscv::unwind_in(&code, &inner, &stack(&words));
    assert_eq!(pcs(&trace), [handler + 4 * 6, interrupted + 8]);
    assert_eq!(trace.frames[1].how, How::Trap);
    words[2] = 0;
    let trace = riscv::unwind_in(&code, &inner, &stack(&words));
    assert_eq!(trace.end, End::OtherStack);
}

/// `call8` to somewhere, and a `retw`.
const WINDOWED: [u8; 12] = [0x36, 0x41, 0, 0x25, 0, 0, 0x90, 0, 0, 0, 0, 0];

#[test]
fn a_printed_chain_is_checked() {
    let mut code = Fake::default();
    let function = code.bytes(&WINDOWED);
    let call = function + 3;
    let printed = |pairs: &[(u32, u32)], a0| {
        let mut registers = Registers::default();
        registers.x[0] = a0;
        xtensa::printed_in(&code, pairs, &registers)
    };
    let good = printed(
        &[(function, STACK), (call, STACK + 32), (call, STACK + 64)],
        None,
    );
    assert_eq!((good.frames.len(), good.end), (3, End::Outermost));
    assert_eq!(good.frames[0].size, Some(32));
    let end = |sp, pc| printed(&[(function, STACK), (pc, sp), (call, STACK + 64)], None).end;
    assert_eq!(
        end(STACK - 16, call),
        End::StackDoesNotGrow { sp: STACK - 16 }
    );
    assert_eq!(end(STACK, call), End::SameFrame);
    assert_eq!(end(STACK + 8, call), End::Misaligned { sp: STACK + 8 });
    assert_eq!(
        end(STACK + 32, 0x3FFB_0000),
        End::NotCode { pc: 0x7FFB_0000 }
    );
    assert_eq!(
        end(STACK + 32, function),
        End::NotAfterCall { pc: function }
    );
    // All that is left is the register.
    let lost = printed(
        &[(function, STACK), (0, 0)],
        Some((call + 3) & 0x3FFF_FFFF | 0x8000_0000),
    );
    let possible = Possible {
        at: None,
        pc: call + 3,
    };
    assert_eq!(
        (lost.end, lost.possible),
        (End::ReturnAddressZero, vec![possible])
    );
}

/// ESP-IDF's handlers of interrupts leave the place and the stack of the task as if that had called
/// them. The interrupts' stack may lie above.
#[test]
fn what_a_handler_of_windowed_xtensa_interrupted_comes_next() {
    let mut code = Fake {
        name: Some("_xt_lowint1"),
        ..Fake::default()
    };
    let call = code.bytes(&WINDOWED) + 3;
    let function = code.bytes(&WINDOWED);
    // It calls itself.
    let interrupted = call + 5;
    let link = |pc: u32, windows: u32| pc & 0x3FFF_FFFF | windows << 30;
    // In front of each stack pointer what the caller had: before the handler's, before the task's.
    let mut words = [0; 32];
    words[16..18].copy_from_slice(&[link(call + 3, 2), STACK + 32]);
    words[4..6].copy_from_slice(&[0, STACK + 48]);
    let mut registers = Registers {
        pc: Some(function + 6),
        ..Registers::default()
    };
    registers.x[0] = Some(link(interrupted, 1));
    registers.x[1] = Some(STACK + 80);
    let trace = xtensa::unwind_in(&code, &registers, &stack(&words));
    assert_eq!(pcs(&trace), [function + 6, interrupted, call + 3]);
    assert_eq!(trace.frames[1].how, How::Trap);
    assert_eq!(trace.frames[1].registers.x[1], Some(STACK + 32));
    assert_eq!(trace.end, End::ReturnAddressZero);
    let printed = xtensa::printed_in(
        &code,
        &[
            (function + 6, STACK + 80),
            (interrupted - 3, STACK + 32),
            (call, STACK + 48),
        ],
        &Registers::default(),
    );
    assert_eq!(pcs(&printed), [function + 6, interrupted, call]);
    assert_eq!(printed.frames[1].how, How::Trap);
    code.name = Some("task");
    let trace = xtensa::unwind_in(&code, &registers, &stack(&words));
    assert_eq!(trace.end, End::NotAfterCall { pc: interrupted });
}

#[test]
fn window_bits_come_off() {
    assert_eq!(xtensa::clean(0x800D_1234, 0x4008_0000), 0x400D_1234);
    assert_eq!(xtensa::clean(0xC00D_1234, 0x4008_0000), 0x400D_1234);
    assert_eq!(xtensa::clean(0x400D_1234, 0x4008_0000), 0x400D_1234);
}

#[test]
fn the_operand_of_entry_counts_8_bytes() {
    assert_eq!(xtensa::entry_size([0x36, 0x41, 0x00]), Some(32));
    assert_eq!(xtensa::entry_size([0x36, 0x61, 0x01]), Some(176));
    assert_eq!(xtensa::entry_size([0x36, 0x42, 0x00]), None);
}

fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        (0..0x100_u32).prop_map(|at| CODE + at),
        (0..0x100_u32).prop_map(|at| STACK + 4 * at),
        (0..0x100_u32, 1..4_u32)
            .prop_map(|(at, windows)| (CODE + at) & 0x3FFF_FFFF | windows << 30),
        any::<u32>(),
        Just(0),
        Just(u32::MAX),
    ]
}

proptest! {
    /// Whatever registers, stack and code are: traces end, frames lie in code, and the stack grows.
    #[test]
    fn nothing_makes_a_trace_that_cannot_be(
        code in proptest::collection::vec(any::<u8>(), 0..256),
        cuts in proptest::collection::vec(0..256_u32, 0..8),
        words in proptest::collection::vec(word(), 0..64),
        values in proptest::collection::vec(proptest::option::of(word()), 32),
        pc in word(),
        ps in proptest::option::of(any::<u32>()),
        handlers: bool,
    ) {
        let mut cuts: Vec<u32> = cuts.iter().map(|cut| CODE + cut).chain([CODE, CODE + 256]).collect();
        cuts.sort_unstable();
        let functions = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let code = Fake { code, functions, name: handlers.then_some("_xt_lowint1") };
        let mut registers = Registers { pc: Some(pc), ps, ..Registers::default() };
        for (register, value) in registers.x.iter_mut().zip(values) {
            *register = value;
        }
        let memory = stack(&words);
        let pairs: Vec<(u32, u32)> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        for trace in [
            riscv::unwind_in(&code, &registers, &memory),
            xtensa::unwind_in(&code, &registers, &memory),
            xtensa::printed_in(&code, &pairs, &registers),
        ] {
            prop_assert!(trace.frames.len() <= MAX_FRAMES);
            for frame in trace.frames.iter().skip(1) {
                let known = code.is_code(frame.pc) || code.is_code(frame.pc.wrapping_sub(1));
                prop_assert!(known || frame.how == How::Trap);
            }
            for pair in trace.frames.windows(2) {
                let grows = pair[0].registers.x[1] <= pair[1].registers.x[1];
                prop_assert!(grows || pair[1].how != How::Spilled);
            }
            for possible in &trace.possible {
                prop_assert!(code.is_code(possible.pc.wrapping_sub(1)));
            }
            prop_assert!(!trace.end.to_string().is_empty());
        }
    }

    #[test]
    fn no_call_frame_information_is_too_much(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        version in 1..5_u8,
        address in any::<u32>(),
    ) {
        // Mostly what begins like a common entry.
        if let Some(start) = bytes.first_chunk_mut::<9>() {
            start.copy_from_slice(&[20, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, version]);
        }
        for (debug_frame, eh_frame) in [(bytes.as_slice(), &[][..]), (&[], bytes.as_slice())] {
            let sections = cfi::Sections { debug_frame, eh_frame, eh_frame_address: 0x1000 };
            let index = cfi::Index::new(&sections);
            let _ = index.row(&sections, address);
            if let Some(range) = index.function(address) {
                let _ = index.row(&sections, range.start);
            }
        }
    }
}
