//! The RISC-V CPU against the words of the instruction set manual, and against everything that is no instruction.

mod asm;

use guru_sim::cpu::riscv::{Misaligned, Options};
use guru_sim::cpu::{Cpu, Exception, Stop};
use proptest::prelude::*;

use asm::*;

const A: u32 = 10;
const B: u32 = 11;
const OUT: u32 = 12;
const WFI: u32 = 0x1050_0073;
const MSTATUS: u16 = 0x300;
const MIE: u16 = 0x304;
const MTVEC: u16 = 0x305;
const MTVT: u16 = 0x307;
const MEPC: u16 = 0x341;
const MCAUSE: u16 = 0x342;
const MTVAL: u16 = 0x343;
const HANDLER: u32 = RAM + 0x1000;
const DATA: u32 = RAM + 0x2000;

fn lw(rd: u32, rs1: u32, imm: i32) -> u32 {
    i(0x03, 2, rd, rs1, imm)
}

/// A board that has executed these words, and nothing after them.
fn executed(words: &[u32]) -> Board {
    let mut board = Board::new(Options::default(), &bytes(words));
    assert_eq!(board.run(words.len() as u64), Stop::Budget);
    board
}

/// What a register-register instruction gives for two values.
fn of(f7: u32, f3: u32, a: u32, b: u32) -> u32 {
    let mut board = Board::new(Options::default(), &bytes(&[r(0x33, f3, f7, OUT, A, B)]));
    board.cpu.set_register(A as u8, a);
    board.cpu.set_register(B as u8, b);
    assert_eq!(board.run(1), Stop::Budget);
    board.cpu.register(OUT as u8)
}

/// A board about to execute these words, with a handler that is there, and stopping at exceptions.
fn careful(options: Options, words: &[u32]) -> Board {
    let options = Options {
        stop_at_exceptions: true,
        ..options
    };
    let mut board = Board::new(options, &bytes(words));
    board
        .bus
        .memory
        .poke(HANDLER, &bytes(&[MRET]))
        .expect("the handler is in RAM");
    board.cpu.set_csr(MTVEC, HANDLER);
    board
}

fn exception_of(word: u32) -> Exception {
    let mut board = careful(Options::default(), &[word]);
    match board.run(1) {
        Stop::Exception(exception) => exception,
        stop => panic!("{word:#010x}: {stop:?}"),
    }
}

#[test]
fn arithmetic_wraps_and_compares_as_signed_or_not() {
    assert_eq!(of(0x00, 0, u32::MAX, 2), 1);
    assert_eq!(of(0x20, 0, 1, 2), u32::MAX);
    assert_eq!(of(0x00, 2, u32::MAX, 0), 1);
    assert_eq!(of(0x00, 3, u32::MAX, 0), 0);
    assert_eq!(of(0x00, 4, 0b1100, 0b1010), 0b0110);
    assert_eq!(of(0x00, 6, 0b1100, 0b1010), 0b1110);
    assert_eq!(of(0x00, 7, 0b1100, 0b1010), 0b1000);
}

#[test]
fn shifts_take_the_low_five_bits_of_the_amount() {
    assert_eq!(of(0x00, 1, 1, 33), 2);
    assert_eq!(of(0x00, 5, 0x8000_0000, 63), 1);
    assert_eq!(of(0x20, 5, 0x8000_0000, 63), u32::MAX);
}

#[test]
fn multiplication_gives_either_half_of_the_product() {
    assert_eq!(of(1, 0, 0x1_0001, 0x1_0001), 0x2_0001);
    assert_eq!(of(1, 1, u32::MAX, u32::MAX), 0);
    assert_eq!(of(1, 2, u32::MAX, u32::MAX), u32::MAX);
    assert_eq!(of(1, 3, u32::MAX, u32::MAX), 0xFFFF_FFFE);
}

#[test]
fn division_by_zero_and_overflow_have_the_results_of_the_manuals_table() {
    let least = 0x8000_0000;
    assert_eq!(of(1, 4, 7, 0), u32::MAX);
    assert_eq!(of(1, 5, 7, 0), u32::MAX);
    assert_eq!(of(1, 6, 7, 0), 7);
    assert_eq!(of(1, 7, 7, 0), 7);
    assert_eq!(of(1, 4, least, u32::MAX), least);
    assert_eq!(of(1, 6, least, u32::MAX), 0);
    assert_eq!(of(1, 4, (-7_i32) as u32, 2), (-3_i32) as u32);
    assert_eq!(of(1, 6, (-7_i32) as u32, 2), (-1_i32) as u32);
}

#[test]
fn x0_stays_0_whatever_is_written_to_it() {
    let board = executed(&[addi(0, 0, 5), jal(0, 4)]);
    assert_eq!(board.cpu.register(0), 0);
    let mut board = Board::new(Options::default(), &bytes(&[addi(0, 0, 5), addi(1, 0, 7)]));
    board.cpu.set_register(0, 9);
    board.run(2);
    assert_eq!((board.cpu.register(0), board.cpu.register(1)), (0, 7));
    assert_eq!(board.cpu.register(32), 0);
}

#[test]
fn jumps_link_and_branches_reach_backwards() {
    let words = [
        addi(A, 0, 3),
        addi(A, A, -1),
        b(1, A, 0, -4),
        jal(1, 8),
        ECALL,
        auipc(5, 1),
    ];
    let mut board = Board::new(Options::default(), &bytes(&words));
    assert_eq!(board.run(9), Stop::Budget);
    assert_eq!(board.cpu.pc(), RAM + 24);
    assert_eq!(board.cpu.register(1), RAM + 16);
    assert_eq!(board.cpu.register(5), RAM + 20 + 0x1000);
    // The link is written after the target is read, and bit 0 of the target is dropped.
    let mut board = Board::new(Options::default(), &bytes(&[i(0x67, 0, 1, 1, 1)]));
    board.cpu.set_register(1, DATA);
    board.run(1);
    assert_eq!((board.cpu.pc(), board.cpu.register(1)), (DATA, RAM + 4));
}

#[test]
fn loads_extend_by_sign_or_zero_and_stores_change_no_more_than_their_width() {
    let words = [
        i(0x03, 0, 1, A, 0),
        i(0x03, 4, 2, A, 0),
        i(0x03, 1, 3, A, 0),
        i(0x03, 5, 4, A, 0),
        s(0, A, B, 5),
        s(1, A, B, 10),
    ];
    let mut board = Board::new(Options::default(), &bytes(&words));
    board.bus.memory.poke(DATA, &[0x80, 0xFF]).unwrap();
    board.cpu.set_register(A as u8, DATA);
    board.cpu.set_register(B as u8, 0x1234_5678);
    board.run(6);
    let registers = [1, 2, 3, 4].map(|n| board.cpu.register(n));
    assert_eq!(registers, [0xFFFF_FF80, 0x80, 0xFFFF_FF80, 0xFF80]);
    let mut memory = [0; 12];
    board.bus.memory.peek(DATA + 4, &mut memory[..8]).unwrap();
    assert_eq!(memory, [0, 0x78, 0, 0, 0, 0, 0x78, 0x56, 0, 0, 0, 0]);
}

#[test]
fn registers_are_reached_where_no_memory_is() {
    let [uart, _] = li(A, 0x1000_0000);
    let [finisher, _] = li(B, 0x10_0000);
    let words = [uart, addi(1, 0, 0x47), s(0, A, 1, 0), finisher, sw(1, B, 0)];
    let board = executed(&words);
    assert_eq!(board.bus.sent, b"G");
    assert!(board.bus.finished);
}

#[test]
fn misaligned_accesses_work_or_trap_as_the_chip_wants() {
    let mut board = careful(Options::default(), &[lw(1, A, 1)]);
    board.cpu.set_register(A as u8, DATA);
    board.bus.memory.poke(DATA, &[0, 1, 2, 3, 4]).unwrap();
    assert_eq!(board.run(1), Stop::Budget);
    assert_eq!(board.cpu.register(1), 0x0403_0201);
    let traps = Options {
        misaligned: Misaligned::Traps,
        ..Options::default()
    };
    for (word, cause) in [(lw(1, A, 1), 4), (sw(1, A, 1), 6), (s(1, A, 1, 1), 6)] {
        let mut board = careful(traps, &[word]);
        board.cpu.set_register(A as u8, DATA);
        let exception = Exception {
            cause,
            pc: RAM,
            value: DATA + 1,
        };
        assert_eq!(board.run(1), Stop::Exception(exception));
    }
}

#[test]
fn exceptions_tell_cause_place_and_value() {
    let at = |cause, value| Exception {
        cause,
        pc: RAM,
        value,
    };
    assert_eq!(exception_of(ECALL), at(11, 0));
    assert_eq!(exception_of(EBREAK), at(3, 0));
    assert_eq!(exception_of(u32::MAX), at(2, u32::MAX));
    assert_eq!(exception_of(0xABCD_0000), at(2, 0));
    assert_eq!(exception_of(lw(1, 0, 0x40)), at(5, 0x40));
    assert_eq!(exception_of(sw(1, 0, 0x44)), at(7, 0x44));
    // A read-only register may be read with csrrs and x0, not written.
    assert_eq!(exception_of(csrrw(1, 0xF14, 0)).cause, 2);
    assert_eq!(exception_of(csrrs(1, 0xC3F, 0)).cause, 2);
}

#[test]
fn an_exception_masks_interrupts_and_mret_brings_them_back() {
    let mut board = careful(Options::default(), &[ECALL, addi(1, 0, 1)]);
    board.cpu.set_csr(MSTATUS, 8);
    assert!(matches!(board.run(10), Stop::Exception(_)));
    assert_eq!(board.cpu.pc(), HANDLER);
    assert_eq!(board.cpu.csr(MSTATUS), Some(0x1880));
    assert_eq!(board.cpu.csr(MEPC), Some(RAM));
    board.cpu.set_csr(MEPC, RAM + 4);
    assert_eq!(board.run(2), Stop::Budget);
    assert_eq!(board.cpu.register(1), 1);
    assert_eq!(board.cpu.csr(MSTATUS), Some(0x1888));
}

#[test]
fn a_handler_that_is_not_there_locks_the_cpu_up() {
    let mut board = Board::new(Options::default(), &bytes(&[ECALL]));
    assert!(matches!(
        board.run(100),
        Stop::LockedUp(Exception {
            cause: 1,
            pc: 0,
            value: 0
        })
    ));
    assert_eq!(
        board.run(100),
        Stop::LockedUp(Exception {
            cause: 1,
            pc: 0,
            value: 0
        })
    );
}

#[test]
fn interrupts_wait_for_both_masks_and_go_to_their_vector() {
    let mut board = careful(Options::default(), &[addi(1, 1, 1); 8]);
    board.cpu.set_csr(MTVEC, HANDLER | 1);
    board.cpu.set_interrupts(1 << 7 | 1 << 11);
    board.cpu.set_csr(MSTATUS, 8);
    board.run(1);
    assert_eq!(board.cpu.pc(), RAM + 4);
    board.cpu.set_csr(MIE, 1 << 7);
    board.run(1);
    assert_eq!(board.cpu.pc(), HANDLER + 28);
    assert_eq!(board.cpu.csr(MCAUSE), Some(0x8000_0007));
    assert_eq!(board.cpu.csr(MEPC), Some(RAM + 4));
    assert_eq!(board.cpu.csr(MTVAL), Some(0));
}

#[test]
fn an_interrupt_controller_of_its_own_needs_no_mie_and_may_have_a_table() {
    let options = Options {
        mie: false,
        ..Options::default()
    };
    let mut board = careful(options, &[addi(1, 1, 1)]);
    board.cpu.set_csr(MTVEC, HANDLER | 3);
    board.cpu.set_csr(MTVT, DATA);
    board
        .bus
        .memory
        .poke(DATA + 4 * 40, &(RAM + 0x3000).to_le_bytes())
        .unwrap();
    board.cpu.set_csr(MSTATUS, 8);
    board.cpu.set_interrupts(1 << 40);
    board.run(1);
    assert_eq!(board.cpu.pc(), RAM + 0x3000);
    assert_eq!(board.cpu.csr(MCAUSE), Some(0x8000_0028));
}

#[test]
fn wfi_waits_until_an_interrupt_is_pending_even_if_it_is_masked() {
    let mut board = careful(Options::default(), &[WFI, WFI, addi(1, 0, 1)]);
    assert_eq!(board.run(100), Stop::Waiting);
    assert_eq!(board.cpu.pc(), RAM + 4);
    board.cpu.set_csr(MIE, 1 << 11);
    board.cpu.set_interrupts(1 << 11);
    assert_eq!(board.run(2), Stop::Budget);
    assert_eq!(board.cpu.register(1), 1);
}

#[test]
fn counters_count_steps_and_can_be_set() {
    const PCCR: u32 = 0x7E2;
    let words = [
        addi(A, 0, 100),
        csrrw(0, PCCR, A),
        addi(0, 0, 0),
        csrrs(B, PCCR, 0),
    ];
    let board = executed(&words);
    let passed = board.cpu.register(B as u8) - 100;
    assert_eq!(passed, 2);
    assert_eq!(board.cpu.steps(), 4);
    assert_eq!(board.cpu.csr(0xB00), Some(4));
}

/// Numbers from ESP-IDF's headers: `riscv/csr.h`, `csr_clic.h`, `csr_hwlp.h`, `csr_dsp.h`,
/// `rv_utils.h`, and each chip's `soc/soc.h`.
#[test]
fn registers_that_firmware_touches_are_there() {
    let board = Board::new(Options::default(), &[]);
    let mut cpu = board.cpu;
    for number in [
        0x306, 0x307, 0x320, 0x347, 0x3A0, 0x3AF, 0x3B0, 0x3EF, 0x7A0, 0x7A1, 0x7A5, 0x7C0, 0x7C1,
        0x7C5, 0x7C6, 0x7CB, 0x7E0, 0x7E1, 0x7F0, 0x7F3, 0x800, 0x801, 0x803, 0x805, 0x806, 0x80A,
        0xBC0, 0xBCF, 0xBD0, 0xBDF, 0xBE0, 0xBF0, 0xBF2, 0x007, 0x040, 0x047,
    ] {
        assert!(cpu.set_csr(number, 0x55), "{number:#x}");
        assert_eq!(cpu.csr(number), Some(0x55), "{number:#x}");
    }
    // Read-only ones, and the privilege level, which is the machine's.
    for number in [0xF11, 0xF14, 0xFB1, 0xCB1] {
        assert!(cpu.csr(number).is_some(), "{number:#x}");
    }
    assert_eq!((cpu.csr(0x810), cpu.csr(0xC10)), (Some(3), Some(3)));
    // Floating point, of which there is none.
    assert_eq!(cpu.csr(0x003), None);
}

#[test]
fn store_conditional_needs_its_reservation() {
    let words = [
        amo(2, 1, A, 0),
        amo(3, 2, A, B),
        amo(3, 3, A, 0),
        lw(4, A, 0),
    ];
    let mut board = Board::new(Options::default(), &bytes(&words));
    board.cpu.set_register(A as u8, DATA);
    board.cpu.set_register(B as u8, 77);
    board.run(4);
    let registers = [1, 2, 3, 4].map(|n| board.cpu.register(n));
    assert_eq!(registers, [0, 0, 1, 77]);
}

#[test]
fn a_misaligned_atomic_traps_even_where_other_accesses_work() {
    for (word, cause) in [
        (amo(2, 1, A, 0), 4),
        (amo(3, 1, A, B), 6),
        (amo(0, 1, A, B), 6),
    ] {
        let mut board = careful(Options::default(), &[word]);
        board.cpu.set_register(A as u8, DATA + 2);
        let exception = Exception {
            cause,
            pc: RAM,
            value: DATA + 2,
        };
        assert_eq!(board.run(1), Stop::Exception(exception));
    }
}

#[test]
fn atomics_give_the_old_value_and_keep_the_new_one() {
    let cases = [(1, 5), (0, 2), (4, 0xFFFF_FFF8), (12, 5), (8, 0xFFFF_FFFD)];
    let ordered = [(16, 0xFFFF_FFFD), (20, 5), (24, 5), (28, 0xFFFF_FFFD)];
    for (function, new) in cases.into_iter().chain(ordered) {
        let mut board = Board::new(Options::default(), &bytes(&[amo(function, 1, A, B)]));
        board
            .bus
            .memory
            .poke(DATA, &(-3_i32).to_le_bytes())
            .unwrap();
        board.cpu.set_register(A as u8, DATA);
        board.cpu.set_register(B as u8, 5);
        board.run(1);
        let mut memory = [0; 4];
        board.bus.memory.peek(DATA, &mut memory).unwrap();
        assert_eq!(board.cpu.register(1), (-3_i32) as u32);
        assert_eq!(u32::from_le_bytes(memory), new, "function {function}");
    }
}

#[test]
fn a_cpu_without_the_a_extension_has_no_atomics() {
    let options = Options {
        atomics: false,
        ..Options::default()
    };
    let mut board = careful(options, &[amo(0, 1, A, 0)]);
    assert!(matches!(
        board.run(1),
        Stop::Exception(Exception { cause: 2, .. })
    ));
    assert_eq!(board.cpu.csr(0x301), Some(0x4000_1104));
}

#[test]
fn code_that_overwrites_itself_runs_as_written() {
    let words = [sw(B, A, 0), addi(1, 1, 1), jal(0, -8)];
    let mut board = Board::new(Options::default(), &bytes(&words));
    board.cpu.set_register(A as u8, RAM + 4);
    board.cpu.set_register(B as u8, addi(1, 1, 1));
    board.run(6);
    assert_eq!(board.cpu.register(1), 2);
    board.cpu.set_register(B as u8, addi(1, 1, 100));
    board.run(3);
    assert_eq!(board.cpu.register(1), 102);
    // By the debugger, too.
    board
        .bus
        .memory
        .poke(RAM + 4, &bytes(&[addi(1, 1, 1000)]))
        .unwrap();
    board.cpu.set_register(A as u8, DATA);
    board.run(3);
    assert_eq!(board.cpu.register(1), 1102);
}

#[test]
fn a_breakpoint_stops_each_time_round_and_answers_a_call_where_no_memory_is() {
    const ROM: u32 = 0x4000_0010;
    let [high, low] = li(5, ROM);
    let words = [high, low, addi(A, 0, 5), i(0x67, 0, 1, 5, 0), jal(0, -8)];
    let mut board = Board::new(Options::default(), &bytes(&words));
    board.cpu.add_breakpoint(ROM);
    for _ in 0..3 {
        assert_eq!(board.run(100), Stop::Breakpoint);
        assert_eq!((board.cpu.pc(), board.cpu.argument(0)), (ROM, 5));
        board.cpu.return_with(0x1_0000_0002);
        assert_eq!(board.cpu.pc(), RAM + 16);
        assert_eq!((board.cpu.register(10), board.cpu.register(11)), (2, 1));
    }
    // On an instruction of the loop: it is executed when run again.
    board.cpu.remove_breakpoint(ROM);
    board.cpu.add_breakpoint(RAM + 8);
    board
        .bus
        .memory
        .poke(RAM + 12, &bytes(&[addi(6, 6, 1)]))
        .unwrap();
    for round in 0..3 {
        assert_eq!(board.run(100), Stop::Breakpoint);
        assert_eq!((board.cpu.pc(), board.cpu.register(6)), (RAM + 8, round));
    }
}

#[test]
fn a_run_never_takes_more_steps_than_its_budget() {
    let mut board = careful(Options::default(), &[csrrw(0, 0x340, 0), jal(0, -4)]);
    board.cpu.set_csr(MSTATUS, 8);
    board.cpu.set_csr(MIE, u32::MAX);
    board.cpu.set_interrupts(1 << 11);
    board.cpu.add_breakpoint(RAM);
    for budget in [0, 1, 1, 2, 1, 3, 5, 8] {
        let before = board.cpu.steps();
        let ran = board.cpu.run(&mut board.bus, budget);
        assert!(ran.steps <= budget);
        assert_eq!(board.cpu.steps() - before, ran.steps);
    }
}

/// Not a test of time: `cargo test -p guru-sim --release --test riscv -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn speed() {
    // A checksum as a compiler writes it: loads, arithmetic, a store, a branch.
    let words = [
        lw(1, A, 0),
        r(0x33, 4, 0, 2, 2, 1),
        i(0x13, 5, 3, 2, 3),
        r(0x33, 0, 0, 2, 2, 3),
        sw(2, A, 4),
        addi(B, B, 1),
        b(1, B, 0, -24),
        jal(0, -28),
    ];
    let mut board = Board::new(Options::default(), &bytes(&words));
    board.cpu.set_register(A as u8, DATA);
    let start = std::time::Instant::now();
    board.run(200_000_000);
    println!("{:.0} MIPS", 200.0 / start.elapsed().as_secs_f64());
}

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(atomics, traps, mie)| Options {
        atomics,
        mie,
        misaligned: if traps {
            Misaligned::Traps
        } else {
            Misaligned::Works
        },
        ..Options::default()
    })
}

proptest! {
    #[test]
    fn no_words_make_it_panic(
        options in options(),
        code in prop::collection::vec(any::<u8>(), 0..512),
        registers in prop::collection::vec(any::<u32>(), 32),
        start in any::<u32>(),
        lines in any::<u64>(),
    ) {
        let mut board = Board::new(options, &code);
        for (number, value) in (0..).zip(registers) {
            board.cpu.set_register(number, value);
        }
        board.cpu.set_interrupts(lines);
        board.cpu.set_csr(MTVEC, RAM | start & 0x1FF);
        board.run(2000);
        board.cpu.set_pc(start);
        board.run(100);
        prop_assert_eq!(board.cpu.register(0), 0);
    }

    #[test]
    fn each_single_word_is_executed_or_an_exception(word: u32, value: u32) {
        let mut board = careful(Options::default(), &[word]);
        for number in 1..32 {
            board.cpu.set_register(number, value);
        }
        match board.run(1) {
            Stop::Exception(exception) => prop_assert_eq!(exception.pc, RAM),
            stop => prop_assert!(matches!(stop, Stop::Budget | Stop::Waiting)),
        }
        prop_assert_eq!(board.cpu.steps(), 1);
    }
}

#[test]
fn every_compressed_word_is_executed_or_an_exception() {
    let mut board = careful(Options::default(), &[]);
    for half in (0..=u16::MAX).filter(|half| half & 3 != 3) {
        board.bus.memory.poke(RAM, &half.to_le_bytes()).unwrap();
        for number in 1..32 {
            board.cpu.set_register(number, DATA);
        }
        board.cpu.set_pc(RAM);
        let ran = board.cpu.run(&mut board.bus, 1);
        assert_eq!(ran.steps, 1, "{half:#06x}");
        assert!(
            matches!(ran.stop, Stop::Budget | Stop::Exception(_)),
            "{half:#06x}"
        );
        if let Stop::Exception(Exception {
            cause: 2, value, ..
        }) = ran.stop
        {
            assert_eq!(value, half.into());
        }
    }
}
