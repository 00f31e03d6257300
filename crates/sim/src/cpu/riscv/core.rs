//! The interpreter.

use std::collections::HashSet;

use super::csr::{Csrs, STATUS_MIE, STATUS_MPIE, STATUS_MPP, counts, number};
use super::decode::{self, Kind, NOWHERE, Op};
use crate::cpu::{Bus, Cpu, Exception, Fault, Ran, Stop};

/// Decoded instructions that are kept, by the low bits of their address. A power of two.
const SLOTS: usize = 8192;
/// Registers, [`NOWHERE`], and as many more as make an index of 6 bits always good.
const REGISTERS: usize = 64;

const RA: u8 = 1;
const A0: u8 = 10;
const A1: u8 = 11;

/// `mcause` of exceptions; volume II, table 3.6.
mod cause {
    pub const FETCH: u32 = 1;
    pub const ILLEGAL: u32 = 2;
    pub const BREAKPOINT: u32 = 3;
    pub const LOAD_MISALIGNED: u32 = 4;
    pub const LOAD: u32 = 5;
    pub const STORE_MISALIGNED: u32 = 6;
    pub const STORE: u32 = 7;
    pub const ECALL: u32 = 11;
    /// Set for interrupts.
    pub const INTERRUPT: u32 = 1 << 31;
}

/// What a load or store that is not at a multiple of its width does. Atomic ones always trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misaligned {
    /// It works.
    Works,
    /// Exception 4 or 6.
    Traps,
}

/// What differs between the CPUs of the chips.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `mhartid`.
    pub hart: u32,
    /// Whether it has the A extension. The ESP32-C2 and -C3 do not.
    pub atomics: bool,
    /// What a misaligned access does.
    pub misaligned: Misaligned,
    /// Whether an interrupt line must be enabled in `mie` too. The ESP32-C2 and -C3 have no `mie`,
    /// and a CLIC (-C5, -C61, -P4) leaves it out: there their interrupt controller alone decides.
    pub mie: bool,
    /// Whether a run ends with [`Stop::Exception`] when an exception is taken.
    pub stop_at_exceptions: bool,
}

impl Default for Options {
    /// A first hart with everything, that handles its exceptions by itself.
    fn default() -> Self {
        Self {
            hart: 0,
            atomics: true,
            misaligned: Misaligned::Works,
            mie: true,
            stop_at_exceptions: false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    pc: u32,
    generation: u32,
    op: Op,
}

/// Why an instruction was not simply followed by the next one.
enum Leave {
    Exception {
        cause: u32,
        value: u32,
    },
    /// The instruction is done and `pc` is the next; but interrupts may be possible now.
    Look {
        pc: u32,
    },
    /// As `Look`, but with nothing to do until there is an interrupt.
    Wait {
        pc: u32,
    },
    Breakpoint,
}

/// A RISC-V CPU. See the [module](super).
#[derive(Clone, Debug)]
pub struct Riscv {
    options: Options,
    pc: u32,
    x: [u32; REGISTERS],
    csrs: Csrs,
    /// The address of the last `lr.w`, if no `sc.w` came since.
    reservation: Option<u32>,
    breakpoints: HashSet<u32>,
    /// The breakpoint that ended the last run, which the next one begins with.
    stopped_at: Option<u32>,
    slots: Vec<Slot>,
    /// Slots of other generations are empty. 0 is never current.
    generation: u32,
    epoch: u32,
    /// See [`Cpu::unsteady`].
    unsteady: u64,
}

impl Riscv {
    /// A CPU after reset, at address 0.
    pub fn new(options: Options) -> Self {
        let empty = Slot {
            pc: 0,
            generation: 0,
            op: Op::illegal(0, 2),
        };
        Self {
            options,
            pc: 0,
            x: [0; REGISTERS],
            csrs: Csrs::new(options.hart, options.atomics),
            reservation: None,
            breakpoints: HashSet::new(),
            stopped_at: None,
            slots: vec![empty; SLOTS],
            generation: 1,
            epoch: 0,
            unsteady: 0,
        }
    }

    /// Whether a line is asserted for which the CPU would leave `wfi`.
    pub fn wakes(&self) -> bool {
        self.enabled_interrupts() != 0
    }

    /// Sets which interrupt lines are asserted: bit n is interrupt n, and `mip` shows the
    /// low 32. Lines stay
    /// as they are until the next call. With the chips' interrupt matrix, the caller asserts no
    /// more than the line that is enabled, above the threshold, and of the highest priority.
    pub fn set_interrupts(&mut self, lines: u64) {
        self.csrs.pending = lines;
    }

    /// The value of a control and status register, if the CPU has it.
    pub fn csr(&self, number: u16) -> Option<u32> {
        self.csrs.read(number)
    }

    /// Writes a control and status register as `csrw` does. False if there is none, or it is
    /// read-only.
    pub fn set_csr(&mut self, number: u16, value: u32) -> bool {
        self.csrs.write(number, value)
    }

    fn forget_decoded(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or_else(|| {
            self.slots.iter_mut().for_each(|slot| slot.generation = 0);
            1
        });
    }

    fn enabled_interrupts(&self) -> u64 {
        let mask = if self.options.mie {
            self.csrs.held(number::MIE).into()
        } else {
            u64::MAX
        };
        self.csrs.pending & mask
    }

    /// Whether an interrupt is pending that the program lets in.
    pub fn takes_interrupt(&self) -> bool {
        let lets = self.csrs.held(number::MSTATUS) & STATUS_MIE != 0;
        lets && self.enabled_interrupts() != 0
    }

    /// Takes an interrupt, if one is pending and the program lets it.
    fn interrupt<B: Bus>(&mut self, bus: &mut B) {
        if !self.takes_interrupt() {
            return;
        }
        let lines = self.enabled_interrupts();
        // External, software, timer: the manual's order for one mode. The chips' other lines
        // are ordered by their interrupt matrix; see `set_interrupts`.
        let standard = [11, 3, 7].into_iter().find(|line| lines >> line & 1 != 0);
        let line = standard.unwrap_or(63 - lines.leading_zeros());
        self.trap(cause::INTERRUPT | line, 0);
        // The CLIC's mode: the address of the handler is in a table. If that cannot be read, what
        // fails is the fetch from an address that no handler has.
        if self.csrs.held(number::MTVEC) & 3 == 3 {
            let entry = self.csrs.held(number::MTVT).wrapping_add(line * 4);
            self.pc = bus.load32(entry).unwrap_or(u32::MAX) & !1;
        }
    }

    /// Continues with the handler.
    fn trap(&mut self, cause: u32, value: u32) {
        let csrs = &mut self.csrs;
        csrs.hold(number::MEPC, self.pc);
        csrs.hold(number::MCAUSE, cause);
        csrs.hold(number::MTVAL, value);
        let enabled = csrs.held(number::MSTATUS) & STATUS_MIE != 0;
        csrs.hold(
            number::MSTATUS,
            STATUS_MPP | if enabled { STATUS_MPIE } else { 0 },
        );
        csrs.steps += 1;
        csrs.traps += 1;
        self.unsteady += 1;
        let vector = csrs.held(number::MTVEC);
        let base = if vector & 3 == 3 {
            vector & !0x3F
        } else {
            vector & !3
        };
        let vectored = vector & 3 == 1 && cause & cause::INTERRUPT != 0;
        let offset = if vectored { (cause & 0xFF) * 4 } else { 0 };
        self.pc = base.wrapping_add(offset);
    }

    fn return_from_trap(&mut self) -> u32 {
        self.unsteady += 1;
        let enabled = self.csrs.held(number::MSTATUS) & STATUS_MPIE != 0;
        let status = STATUS_MPP | STATUS_MPIE | if enabled { STATUS_MIE } else { 0 };
        self.csrs.hold(number::MSTATUS, status);
        self.csrs.held(number::MEPC)
    }

    /// Decodes what is at `pc` and remembers it.
    #[cold]
    #[inline(never)]
    fn decode<B: Bus>(&mut self, bus: &mut B, pc: u32) -> Result<Op, Leave> {
        if self.breakpoints.contains(&pc) && self.stopped_at != Some(pc) {
            return Err(Leave::Breakpoint);
        }
        let mut half = |address: u32| -> Result<u16, Leave> {
            let mut bytes = [0; 2];
            for (offset, byte) in (0..).zip(&mut bytes) {
                // The last instruction of the address space may not run over its end.
                let at = address.checked_add(offset).ok_or(Fault::Unmapped);
                *byte = at
                    .and_then(|at| bus.fetch(at))
                    .map_err(|_| Leave::Exception {
                        cause: cause::FETCH,
                        value: address,
                    })?;
            }
            Ok(u16::from_le_bytes(bytes))
        };
        let first = half(pc)?;
        let op = if decode::is_long(first) {
            let second = half(pc.wrapping_add(2))?;
            decode::long(
                u32::from(second) << 16 | u32::from(first),
                self.options.atomics,
            )
        } else {
            decode::short(first)
        };
        // At a breakpoint it must be asked again each time.
        if !self.breakpoints.contains(&pc) {
            let generation = self.generation;
            self.slots[slot_of(pc)] = Slot { pc, generation, op };
        }
        Ok(op)
    }

    #[inline(always)]
    fn fetch<B: Bus>(&mut self, bus: &mut B, pc: u32) -> Result<Op, Leave> {
        let slot = &self.slots[slot_of(pc)];
        if slot.pc == pc && slot.generation == self.generation {
            return Ok(slot.op);
        }
        self.decode(bus, pc)
    }

    #[inline(always)]
    fn get(&self, register: u8) -> u32 {
        self.x[usize::from(register) % REGISTERS]
    }

    #[inline(always)]
    fn set(&mut self, register: u8, value: u32) {
        self.x[usize::from(register) % REGISTERS] = value;
    }

    #[inline(always)]
    fn aligned(&self, address: u32, bytes: u32, cause: u32) -> Result<(), Leave> {
        if address & (bytes - 1) != 0 && self.options.misaligned == Misaligned::Traps {
            return Err(Leave::Exception {
                cause,
                value: address,
            });
        }
        Ok(())
    }

    #[inline(always)]
    fn after_store<B: Bus>(&mut self, bus: &B) {
        if bus.code_epoch() != self.epoch {
            self.epoch = bus.code_epoch();
            self.forget_decoded();
        }
    }

    /// Executes one instruction; gives the address of the next.
    #[inline(always)]
    fn step<B: Bus>(&mut self, bus: &mut B) -> Result<u32, Leave> {
        let pc = self.pc;
        bus.at(self.csrs.steps);
        let op = self.fetch(bus, pc)?;
        let next = pc.wrapping_add(u32::from(op.len));
        let a = self.get(op.rs1);
        let b = self.get(op.rs2);
        let imm = op.imm;
        let result = match op.kind {
            Kind::Lui => imm,
            Kind::Auipc => pc.wrapping_add(imm),
            Kind::Jal => {
                self.set(op.rd, next);
                return Ok(pc.wrapping_add(imm));
            }
            Kind::Jalr => {
                self.set(op.rd, next);
                return Ok(a.wrapping_add(imm) & !1);
            }
            Kind::Beq => return Ok(branch(a == b, pc, imm, next)),
            Kind::Bne => return Ok(branch(a != b, pc, imm, next)),
            Kind::Blt => return Ok(branch((a as i32) < b as i32, pc, imm, next)),
            Kind::Bge => return Ok(branch(a as i32 >= b as i32, pc, imm, next)),
            Kind::Bltu => return Ok(branch(a < b, pc, imm, next)),
            Kind::Bgeu => return Ok(branch(a >= b, pc, imm, next)),
            Kind::Lb | Kind::Lbu => {
                let address = a.wrapping_add(imm);
                let byte = bus.load8(address).map_err(|_| load_fault(address))?;
                if op.kind == Kind::Lb {
                    byte as i8 as u32
                } else {
                    byte.into()
                }
            }
            Kind::Lh | Kind::Lhu => {
                let address = a.wrapping_add(imm);
                self.aligned(address, 2, cause::LOAD_MISALIGNED)?;
                let half = bus.load16(address).map_err(|_| load_fault(address))?;
                if op.kind == Kind::Lh {
                    half as i16 as u32
                } else {
                    half.into()
                }
            }
            Kind::Lw => {
                let address = a.wrapping_add(imm);
                self.aligned(address, 4, cause::LOAD_MISALIGNED)?;
                bus.load32(address).map_err(|_| load_fault(address))?
            }
            Kind::Sb => {
                let address = a.wrapping_add(imm);
                bus.store8(address, b as u8)
                    .map_err(|_| store_fault(address))?;
                self.after_store(bus);
                return Ok(next);
            }
            Kind::Sh => {
                let address = a.wrapping_add(imm);
                self.aligned(address, 2, cause::STORE_MISALIGNED)?;
                bus.store16(address, b as u16)
                    .map_err(|_| store_fault(address))?;
                self.after_store(bus);
                return Ok(next);
            }
            Kind::Sw => {
                let address = a.wrapping_add(imm);
                self.aligned(address, 4, cause::STORE_MISALIGNED)?;
                bus.store32(address, b).map_err(|_| store_fault(address))?;
                self.after_store(bus);
                return Ok(next);
            }
            Kind::Addi => a.wrapping_add(imm),
            Kind::Slti => ((a as i32) < imm as i32).into(),
            Kind::Sltiu => (a < imm).into(),
            Kind::Xori => a ^ imm,
            Kind::Ori => a | imm,
            Kind::Andi => a & imm,
            Kind::Slli => a.wrapping_shl(imm),
            Kind::Srli => a.wrapping_shr(imm),
            Kind::Srai => (a as i32).wrapping_shr(imm) as u32,
            Kind::Add => a.wrapping_add(b),
            Kind::Sub => a.wrapping_sub(b),
            // The wrapping shifts take the low five bits, as the manual wants.
            Kind::Sll => a.wrapping_shl(b),
            Kind::Slt => ((a as i32) < b as i32).into(),
            Kind::Sltu => (a < b).into(),
            Kind::Xor => a ^ b,
            Kind::Srl => a.wrapping_shr(b),
            Kind::Sra => (a as i32).wrapping_shr(b) as u32,
            Kind::Or => a | b,
            Kind::And => a & b,
            Kind::Mul => a.wrapping_mul(b),
            Kind::Mulh => ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32,
            Kind::Mulhsu => ((i64::from(a as i32) * i64::from(b)) >> 32) as u32,
            Kind::Mulhu => ((u64::from(a) * u64::from(b)) >> 32) as u32,
            // Division by 0 and the one overflow have results, not exceptions (table 7.1).
            Kind::Div if b == 0 => u32::MAX,
            Kind::Div => (a as i32).wrapping_div(b as i32) as u32,
            Kind::Divu => a.checked_div(b).unwrap_or(u32::MAX),
            Kind::Rem if b == 0 => a,
            Kind::Rem => (a as i32).wrapping_rem(b as i32) as u32,
            Kind::Remu => a.checked_rem(b).unwrap_or(a),
            Kind::Fence => return Ok(next),
            _ => return self.seldom(bus, op, next),
        };
        self.set(op.rd, result);
        Ok(next)
    }

    /// What loops do not consist of, out of the way of what they do.
    #[inline(never)]
    fn seldom<B: Bus>(&mut self, bus: &mut B, op: Op, next: u32) -> Result<u32, Leave> {
        match op.kind {
            Kind::Csr => {
                self.csr_instruction(op)?;
                Err(Leave::Look { pc: next })
            }
            Kind::Mret => Err(Leave::Look {
                pc: self.return_from_trap(),
            }),
            Kind::Wfi => Err(Leave::Wait { pc: next }),
            Kind::Ecall => Err(Leave::Exception {
                cause: cause::ECALL,
                value: 0,
            }),
            Kind::Ebreak => Err(Leave::Exception {
                cause: cause::BREAKPOINT,
                value: 0,
            }),
            Kind::Illegal => Err(Leave::Exception {
                cause: cause::ILLEGAL,
                value: op.imm,
            }),
            _ => self.atomic(bus, op).map(|()| next),
        }
    }

    fn csr_instruction(&mut self, op: Op) -> Result<(), Leave> {
        let illegal = || Leave::Exception {
            cause: cause::ILLEGAL,
            value: op.imm,
        };
        let csr = (op.imm >> 20) as u16;
        let funct3 = op.imm >> 12 & 7;
        let operand = if funct3 >= 4 {
            op.rs1.into()
        } else {
            self.get(op.rs1)
        };
        let old = self.csrs.read(csr).ok_or_else(illegal)?;
        let (new, writes) = match funct3 & 3 {
            1 => (operand, true),
            2 => (old | operand, op.rs1 != 0),
            _ => (old & !operand, op.rs1 != 0),
        };
        if writes && !self.csrs.write(csr, new) {
            return Err(illegal());
        }
        if counts(csr) || writes && new != old {
            self.unsteady += 1;
        }
        self.set(op.rd, old);
        Ok(())
    }

    fn atomic<B: Bus>(&mut self, bus: &mut B, op: Op) -> Result<(), Leave> {
        let address = self.get(op.rs1);
        let b = self.get(op.rs2);
        if address & 3 != 0 {
            let load = op.kind == Kind::Lr;
            let cause = if load {
                cause::LOAD_MISALIGNED
            } else {
                cause::STORE_MISALIGNED
            };
            return Err(Leave::Exception {
                cause,
                value: address,
            });
        }
        if op.kind == Kind::Sc {
            let holds = self.reservation.take() == Some(address);
            if holds {
                bus.store32(address, b).map_err(|_| store_fault(address))?;
                self.after_store(bus);
            }
            self.set(op.rd, (!holds).into());
            return Ok(());
        }
        let lr = op.kind == Kind::Lr;
        let fault = if lr { load_fault } else { store_fault };
        let old = bus.load32(address).map_err(|_| fault(address))?;
        let new = match op.kind {
            Kind::AmoSwap => b,
            Kind::AmoAdd => old.wrapping_add(b),
            Kind::AmoXor => old ^ b,
            Kind::AmoAnd => old & b,
            Kind::AmoOr => old | b,
            Kind::AmoMin => (old as i32).min(b as i32) as u32,
            Kind::AmoMax => (old as i32).max(b as i32) as u32,
            Kind::AmoMinu => old.min(b),
            Kind::AmoMaxu => old.max(b),
            _ => old,
        };
        if lr {
            self.reservation = Some(address);
        } else {
            bus.store32(address, new)
                .map_err(|_| store_fault(address))?;
            self.after_store(bus);
        }
        self.set(op.rd, old);
        Ok(())
    }

    /// Steps until something else than the next instruction is due.
    fn run_until<B: Bus>(&mut self, bus: &mut B, end: u64) -> Stop {
        if self.csrs.steps < end {
            self.interrupt(bus);
        }
        while self.csrs.steps < end {
            let left = match self.step(bus) {
                Ok(pc) => {
                    self.csrs.steps += 1;
                    self.pc = pc;
                    if bus.lines_changed() {
                        return Stop::Budget;
                    }
                    continue;
                }
                Err(left) => left,
            };
            self.stopped_at = None;
            match left {
                Leave::Look { pc } => {
                    self.csrs.steps += 1;
                    self.pc = pc;
                    if self.csrs.steps < end {
                        self.interrupt(bus);
                    }
                }
                Leave::Wait { pc } => {
                    self.csrs.steps += 1;
                    self.pc = pc;
                    if self.enabled_interrupts() == 0 {
                        return Stop::Waiting;
                    }
                    if self.csrs.steps < end {
                        self.interrupt(bus);
                    }
                }
                Leave::Breakpoint => {
                    self.stopped_at = Some(self.pc);
                    return Stop::Breakpoint;
                }
                Leave::Exception { cause, value } => {
                    let exception = Exception {
                        cause,
                        pc: self.pc,
                        value,
                    };
                    self.trap(cause, value);
                    if self.pc == exception.pc {
                        return Stop::LockedUp(exception);
                    }
                    if self.options.stop_at_exceptions {
                        return Stop::Exception(exception);
                    }
                }
            }
        }
        Stop::Budget
    }
}

impl Cpu for Riscv {
    fn run<B: Bus>(&mut self, bus: &mut B, budget: u64) -> Ran {
        let start = self.csrs.steps;
        if self.stopped_at != Some(self.pc) {
            self.stopped_at = None;
        }
        if budget == 0 {
            return Ran {
                steps: 0,
                stop: Stop::Budget,
            };
        }
        self.after_store(bus);
        // The instruction under a breakpoint runs alone, so that the breakpoint holds again the
        // next time round.
        if self.stopped_at.is_some() {
            let stop = self.run_until(bus, start.saturating_add(1));
            self.stopped_at = None;
            if stop != Stop::Budget {
                return Ran {
                    steps: self.csrs.steps - start,
                    stop,
                };
            }
        }
        let stop = self.run_until(bus, start.saturating_add(budget));
        Ran {
            steps: self.csrs.steps - start,
            stop,
        }
    }

    fn pc(&self) -> u32 {
        self.pc
    }

    fn set_pc(&mut self, pc: u32) {
        self.pc = pc & !1;
        self.stopped_at = None;
    }

    fn register(&self, number: u8) -> u32 {
        if number < NOWHERE {
            self.get(number)
        } else {
            0
        }
    }

    fn set_register(&mut self, number: u8, value: u32) {
        if (1..NOWHERE).contains(&number) {
            self.set(number, value);
        }
    }

    fn steps(&self) -> u64 {
        self.csrs.steps
    }

    fn add_breakpoint(&mut self, address: u32) {
        self.breakpoints.insert(address);
        self.forget_decoded();
    }

    fn remove_breakpoint(&mut self, address: u32) {
        self.breakpoints.remove(&address);
    }

    fn argument(&self, number: u8) -> u32 {
        // a0 to a7
        if number < 8 { self.get(A0 + number) } else { 0 }
    }

    fn return_with(&mut self, value: u64) {
        self.set(A0, value as u32);
        self.set(A1, (value >> 32) as u32);
        self.set_pc(self.get(RA));
    }

    fn state(&self, into: &mut Vec<u32>) {
        into.push(self.pc);
        into.extend_from_slice(&self.x[..32]);
        into.push(self.reservation.unwrap_or(u32::MAX));
    }

    fn unsteady(&self) -> u64 {
        self.unsteady
    }

    fn pass(&mut self, steps: u64) {
        self.csrs.steps += steps;
    }
}

#[inline(always)]
fn slot_of(pc: u32) -> usize {
    (pc >> 1) as usize % SLOTS
}

#[inline(always)]
fn branch(taken: bool, pc: u32, offset: u32, next: u32) -> u32 {
    if taken { pc.wrapping_add(offset) } else { next }
}

fn load_fault(address: u32) -> Leave {
    Leave::Exception {
        cause: cause::LOAD,
        value: address,
    }
}

fn store_fault(address: u32) -> Leave {
    Leave::Exception {
        cause: cause::STORE,
        value: address,
    }
}
