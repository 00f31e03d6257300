//! Random programs on our CPU and on QEMU's: they must leave the same registers, memory and
//! exceptions behind.
//!
//! `GURU_QEMU_RISCV32` names the program `qemu-system-riscv32` (Debian: `qemu-system-misc`). Without
//! it the comparison is reported as ignored; with `GURU_REQUIRE_PEERS` of 1 that is a failure.

#[path = "riscv/asm.rs"]
mod asm;
mod emulator;
#[path = "riscv/qemu.rs"]
mod qemu;
mod random;

use std::env;
use std::ffi::OsStr;

use guru_sim::cpu::riscv::Options;

use libtest_mimic::{Arguments, Trial};

use asm::*;
use qemu::theirs;
use random::Random;

const PROGRAMS: u64 = 40;
const LENGTH: usize = 400;
/// Memory that programs load and store, in the middle of which `sp` and `s0` point.
const DATA: u32 = RAM + 0x1_0000;
const DATA_LEN: u32 = 0x1000;
/// Exceptions in their order: cause, value, address.
const LOG: u32 = DATA + DATA_LEN;
const LOG_LEN: u32 = 0x1800;
const BASE: u32 = DATA + DATA_LEN / 2;
const SP: u32 = 2;
const S0: u32 = 8;
/// The handler's and the epilogue's own registers.
const T3: u32 = 28;
const T4: u32 = 29;
const T5: u32 = 30;
const T6: u32 = 31;
const MSCRATCH: u32 = 0x340;
const MEPC: u32 = 0x341;
const MCAUSE: u32 = 0x342;
const MTVAL: u32 = 0x343;
const MTVEC: u32 = 0x305;

const FENCE_I: u32 = 0x100F;
/// Where neither board has anything: null, behind null, between devices, above RAM.
const NOWHERE: [u32; 4] = [0, 0x24, 0x1800_0000, 0xA000_0000];

impl Random {
    fn source(&mut self) -> u32 {
        self.below(32)
    }

    /// A register that a program may change.
    fn target(&mut self) -> u32 {
        loop {
            let register = self.below(T3);
            if register != SP && register != S0 {
                return register;
            }
        }
    }

    /// A value at which arithmetic turns, or any.
    fn value(&mut self) -> u32 {
        let edges = [
            0,
            1,
            u32::MAX,
            0x8000_0000,
            0x7FFF_FFFF,
            31,
            32,
            0xFFFF_8000,
            0xFF,
        ];
        let random = self.next();
        if self.below(2) == 0 {
            edges[random as usize % edges.len()]
        } else {
            random
        }
    }

    fn offset(&mut self) -> i32 {
        self.below(2044) as i32 - 1024
    }

    /// A compressed instruction that changes no register it may not, and does not jump.
    fn short(&mut self) -> u16 {
        loop {
            let half = self.next() as u16;
            let rd = u32::from(half >> 7 & 31);
            let allowed = rd < T3 && rd != SP && rd != S0;
            let (low_is_s0, high_is_s0) = (half >> 2 & 7 == 0, half >> 7 & 7 == 0);
            let good = match (half & 3, half >> 13) {
                (0, 0) => !low_is_s0,
                (0, 2) => high_is_s0 && !low_is_s0,
                (0, 6) => high_is_s0,
                (1, 0 | 2 | 3) => allowed,
                (1, 4) => !high_is_s0,
                (2, 0 | 2) => allowed,
                // c.mv and c.add; what is left of this group jumps.
                (2, 4) => allowed && half >> 2 & 31 != 0,
                (2, 6) => true,
                // Not there, or floating point.
                (0, 1 | 3 | 5 | 7) | (2, 1 | 3 | 5 | 7) => true,
                _ => false,
            };
            if good {
                return half;
            }
        }
    }

    /// One to four instructions that belong together, as bytes.
    fn piece(&mut self) -> Vec<u8> {
        let (rd, rs1, rs2) = (self.target(), self.source(), self.source());
        let f3 = self.below(8);
        let word = match self.below(21) {
            0..=2 => r(0x33, f3, 0, rd, rs1, rs2),
            3..=4 => r(0x33, f3, 1, rd, rs1, rs2),
            // Subtractions, and words that are no instructions.
            5 => r(
                0x33,
                f3,
                [0x20, 0x02, 0x7F][self.below(3) as usize],
                rd,
                rs1,
                rs2,
            ),
            6..=7 => i(0x13, f3, rd, rs1, self.next() as i32),
            8 => r(0x13, 5, 0x20, rd, rs1, rs2),
            9 => return bytes(&li(rd, self.value())),
            10 => i(0x03, f3, rd, S0, self.offset()),
            11 => s(f3, S0, rs2, self.offset()),
            12 => auipc(rd, self.next() & 0xF_FFFF),
            13 => {
                let csr = if self.below(8) == 0 { 0x0C3 } else { MSCRATCH };
                csr << 20 | rs1 << 15 | f3 << 12 | rd << 7 | 0x73
            }
            14 => {
                let function = [0, 1, 4, 8, 12, 16, 20, 24, 28][self.below(9) as usize];
                // Aligned: for others QEMU 7.2 tells of a load, the manual of a store or AMO.
                let at = self.offset() & !3;
                return bytes(&[addi(27, S0, at), amo(function, rd, 27, rs2)]);
            }
            15 => {
                let at = self.offset() & !3;
                let other = if self.below(3) == 0 { 4 } else { 0 };
                // Loading into the address would leave it misaligned, of which QEMU tells only
                // with a reservation.
                let rd = if rd == 27 { 3 } else { rd };
                let pair = [amo(2, rd, 27, 0), addi(27, 27, other), amo(3, 1, 27, rs2)];
                return [bytes(&[addi(27, S0, at)]), bytes(&pair)].concat();
            }
            16 => match self.below(4) {
                0 => ECALL,
                1 => EBREAK,
                2 => u32::MAX,
                _ => return vec![0, 0],
            },
            17 => {
                // Overwrites the instruction after the fence.
                let new = addi(rd, rd, self.offset());
                let [high, low] = li(5, new);
                let words = [
                    high,
                    low,
                    auipc(6, 0),
                    sw(5, 6, 12),
                    FENCE_I,
                    addi(rd, rd, 1),
                ];
                return bytes(&words);
            }
            18 => return bytes(&[auipc(7, 0), i(0x67, 0, rd, 7, 12), addi(rd, rd, 1)]),
            19 => return self.fault(rd, rs2),
            _ => {
                let halves = [self.short(), self.short(), self.short()];
                return halves.iter().flat_map(|half| half.to_le_bytes()).collect();
            }
        };
        word.to_le_bytes().to_vec()
    }

    /// A load, a store or a call where nothing is.
    fn fault(&mut self, rd: u32, rs2: u32) -> Vec<u8> {
        let [high, low] = li(27, NOWHERE[self.below(4) as usize]);
        let access = match self.below(4) {
            0 => i(0x03, [0, 1, 2, 4, 5][self.below(5) as usize], rd, 27, 0),
            1 => s(self.below(3), 27, rs2, 0),
            // Short ones, of s1.
            2 => {
                let kind = if self.below(2) == 0 { 0x4000 } else { 0xC000 };
                let short = kind | 1 << 7 | (rs2 & 7) << 2;
                let move_it = addi(9, 27, 0);
                return [
                    bytes(&[high, low, move_it]),
                    short.to_le_bytes()[..2].to_vec(),
                ]
                .concat();
            }
            // The handler goes on where ra says.
            _ => i(0x67, 0, 1, 27, 0),
        };
        bytes(&[high, low, access])
    }

    /// Registers with values, then pieces, some of them jumped over.
    fn body(&mut self) -> Vec<u8> {
        let mut code = Vec::new();
        for register in 1..T3 {
            let value = if register == SP || register == S0 {
                BASE
            } else {
                self.value()
            };
            code.extend(bytes(&li(register, value)));
        }
        for _ in 0..LENGTH {
            let piece = self.piece();
            let over = piece.len() as i32 + 4;
            match self.below(8) {
                0 => {
                    let f3 = [0, 1, 4, 5, 6, 7][self.below(6) as usize];
                    code.extend(b(f3, self.source(), self.source(), over).to_le_bytes());
                }
                1 => code.extend(jal(self.target(), over).to_le_bytes()),
                _ => {}
            }
            code.extend(piece);
        }
        code
    }
}

/// The whole program: handler, random body, and an epilogue that sends registers, memory and log.
fn program(seed: u64) -> Vec<u8> {
    // The handler appends what it sees to the log and continues after the instruction, or where a call
    // of nothing came from. The value of a breakpoint exception is the implementer's choice, so it is left
    // out.
    let handler = [
        csrrs(T3, MCAUSE, 0),
        sw(T3, T5, 0),
        addi(T4, 0, 3),
        b(0, T3, T4, 12),
        csrrs(T3, MTVAL, 0),
        sw(T3, T5, 4),
        csrrs(T3, MEPC, 0),
        sw(T3, T5, 8),
        addi(T5, T5, 12),
        i(0x03, 2, T4, T5, -12),
        addi(T4, T4, -1),
        // An instruction that cannot be fetched.
        b(1, T4, 0, 12),
        csrrw(0, MEPC, 1),
        MRET,
        // Two bytes further, or four if the low two bits are set.
        i(0x03, 5, T4, T3, 0),
        i(0x13, 7, T4, T4, 3),
        addi(T4, T4, -3),
        addi(T3, T3, 2),
        b(1, T4, 0, 8),
        addi(T3, T3, 2),
        csrrw(0, MEPC, T3),
        MRET,
    ];
    let mut code = bytes(&[
        auipc(T3, 0),
        addi(T3, T3, 16),
        csrrw(0, MTVEC, T3),
        jal(0, 4 + 4 * handler.len() as i32),
    ]);
    code.extend(bytes(&handler));
    code.extend(bytes(&li(T5, LOG)));
    code.extend(bytes(&[addi(T3, 0, 0), addi(T4, 0, 0), addi(T6, 0, 0)]));
    code.extend(Random(seed).body());
    // Registers go before the data, which is then sent with them.
    let [high, low] = li(T3, DATA - 128);
    let mut end = vec![high, low];
    end.extend(
        (1..32)
            .filter(|&n| n != T3 && n != T4)
            .map(|n| sw(n, T3, 4 * n as i32)),
    );
    end.extend([csrrs(T4, MSCRATCH, 0), sw(T4, T3, 0)]);
    end.extend(li(T4, LOG + LOG_LEN));
    end.extend(li(T5, 0x1000_0000));
    end.extend([
        i(0x03, 4, T6, T5, 5),
        i(0x13, 7, T6, T6, 0x20),
        b(0, T6, 0, -8),
        i(0x03, 4, T6, T3, 0),
        s(0, T5, T6, 0),
        addi(T3, T3, 1),
        b(1, T3, T4, -24),
    ]);
    end.extend(li(T5, 0x10_0000));
    end.extend(li(T6, 0x5555));
    end.extend([sw(T6, T5, 0), jal(0, 0)]);
    code.extend(bytes(&end));
    code
}

fn ours(code: &[u8]) -> Vec<u8> {
    let mut board = Board::new(Options::default(), code);
    board.run(1_000_000);
    assert!(board.bus.finished, "the program did not come to its end");
    board.bus.sent
}

fn main() {
    let arguments = Arguments::from_args();
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let qemu = env::var_os("GURU_QEMU_RISCV32");
    let ignored = qemu.is_none() && !required;
    let compare = move || {
        compare(&qemu.ok_or("GURU_QEMU_RISCV32 is not set")?);
        Ok(())
    };
    let trials = vec![
        Trial::test("random_programs_leave_the_same_behind_as_on_qemu", compare)
            .with_kind("needs GURU_QEMU_RISCV32")
            .with_ignored_flag(ignored),
        Trial::test("random_programs_come_to_their_end", || {
            come_to_their_end();
            Ok(())
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn compare(qemu: &OsStr) {
    for seed in 1..=PROGRAMS {
        let code = program(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (ours, theirs) = (ours(&code), theirs(qemu, &code));
        assert_eq!(ours.len(), theirs.len(), "program {seed}: bytes sent");
        // The exceptions first: what else differs often follows from one.
        let log = ours.len() - LOG_LEN as usize;
        let mut order = (log..ours.len()).step_by(4).chain((0..log).step_by(4));
        let differs = order.find(|&at| ours[at..at + 4] != theirs[at..at + 4]);
        if let Some(at) = differs {
            let what = match at.checked_sub(128 + DATA_LEN as usize) {
                Some(in_log) => format!("exception {}, word {}", in_log / 12, in_log % 12 / 4),
                None if at < 128 => format!("x{} (x0 is mscratch)", at / 4),
                None => format!("data at {:#x}", at - 128),
            };
            let context = |sent: &[u8]| -> Vec<String> {
                let words = sent[at.saturating_sub(8)..(at + 12).min(sent.len())].chunks_exact(4);
                words
                    .map(|w| format!("{:08x}", u32::from_le_bytes([w[0], w[1], w[2], w[3]])))
                    .collect()
            };
            panic!(
                "program {seed}: {what}: {:?}, on QEMU {:?}",
                context(&ours),
                context(&theirs)
            );
        }
    }
}

fn come_to_their_end() {
    let mut causes = [0; 16];
    for seed in 1..=PROGRAMS {
        let sent = ours(&program(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        assert_eq!(sent.len() as u32, 128 + DATA_LEN + LOG_LEN);
        for exception in sent[(128 + DATA_LEN) as usize..].chunks_exact(12) {
            causes[usize::from(exception[0] & 15)] += 1;
        }
    }
    // Fetch, illegal, breakpoint, load, store, ecall.
    for cause in [1, 2, 3, 5, 7, 11] {
        assert!(causes[cause] >= 40, "{causes:?}");
    }
}
