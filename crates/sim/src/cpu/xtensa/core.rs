//! A core's state, its run loop, and how it takes exceptions.

use std::collections::BTreeSet;

use super::config::Config;
use super::decode::{Insn, Op, Second, decode, length};
use crate::cpu::{Bus, Fault};

/// Fields of `PS`.
pub(super) mod ps {
    pub const INTLEVEL: u32 = 0xf;
    pub const EXCM: u32 = 1 << 4;
    pub const UM: u32 = 1 << 5;
    pub const OWB_SHIFT: u32 = 8;
    pub const OWB: u32 = 0xf << OWB_SHIFT;
    pub const CALLINC_SHIFT: u32 = 16;
    pub const CALLINC: u32 = 3 << CALLINC_SHIFT;
    pub const WOE: u32 = 1 << 18;
    /// The bits that exist.
    pub const ALL: u32 = 0x0007_0fff;
}

/// Values of `EXCCAUSE` (the manual's table 4-64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// An instruction that the core does not have.
    IllegalInstruction = 0,
    /// `SYSCALL`.
    Syscall = 1,
    /// A load or store that memory refuses in this width.
    LoadStoreError = 3,
    /// An interrupt of level 1.
    Level1Interrupt = 4,
    /// `MOVSP` where the caller's registers are not in the register file.
    Alloca = 5,
    /// A division by zero.
    IntegerDivideByZero = 6,
    /// An address that is not a multiple of the width, on a core that does not do that.
    LoadStoreAlignment = 9,
    /// A fetch from where there is no code.
    InstFetchProhibited = 20,
    /// A load from where there is nothing.
    LoadProhibited = 28,
    /// A store to where there is nothing, or nothing that can be written.
    StoreProhibited = 29,
    /// An instruction of the floating point unit while `CPENABLE` does not allow it.
    Coprocessor0Disabled = 32,
}

/// A general exception that code should not meet in its normal course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Why.
    pub cause: Cause,
    /// The instruction that raised it.
    pub pc: u32,
    /// The address of the load, store or fetch that was refused.
    pub address: Option<u32>,
    /// It came while another was being handled.
    pub double: bool,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It ran as many instructions as it was given.
    Budget,
    /// It waits for an interrupt (`WAITI`).
    Waiting,
    /// It is about to execute an address at which the caller asked to be told ([`Core::trap_at`]).
    Trap,
    /// An exception was taken: the next instruction is its vector's. Running on is allowed.
    Exception(Exception),
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Instructions executed, those that raised an exception included.
    pub instructions: u64,
    /// Why it ended.
    pub stop: Stop,
}

/// What keeps an instruction from completing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// A general exception.
    General(Cause, Option<u32>),
    /// Stop before this instruction.
    Trap,
}

impl From<Cause> for Interruption {
    fn from(cause: Cause) -> Self {
        Self::General(cause, None)
    }
}

/// Slots of the cache of decoded instructions, one for each of the low bits of an address.
const SLOTS: usize = 1 << 14;

#[derive(Clone, Copy)]
struct Slot {
    pc: u32,
    /// Valid when equal to [`Core::generation`].
    generation: u32,
    insn: Insn,
}

const EMPTY: Slot = Slot {
    pc: 0,
    generation: 0,
    insn: Insn {
        op: Op::Illegal,
        len: 3,
        quad: 0,
        r: 0,
        s: 0,
        t: 0,
        imm: 0,
        second: Second::NONE,
    },
};

/// One core.
pub struct Core {
    pub(super) config: Config,
    /// All physical registers; a core without windows has the first 16.
    pub(super) ar: [u32; 64],
    /// The number of physical registers less 1.
    pub(super) ar_mask: u32,
    /// The first physical register of the window: four times `WINDOWBASE`.
    pub(super) base: u32,
    pub(super) window_start: u16,
    /// The first quarter of the window that belongs to another frame, or 4: an instruction that
    /// names a register there overflows.
    pub(super) window_limit: u8,
    pub(super) pc: u32,
    pub(super) ps: u32,
    pub(super) sar: u32,
    pub(super) br: u32,
    pub(super) lbeg: u32,
    pub(super) lend: u32,
    pub(super) lcount: u32,
    pub(super) litbase: u32,
    pub(super) scompare1: u32,
    /// `ACCLO`, `ACCHI`, `MR0` to `MR3`.
    pub(super) mac: [u32; 6],
    /// `F0` to `F15`, as bits; `FCR`, `FSR`.
    pub(super) fr: [u32; 16],
    pub(super) fcr: u32,
    pub(super) fsr: u32,
    /// `EPC1` to `EPC7`, at 1 to 7; `DEPC` at 0.
    pub(super) epc: [u32; 8],
    /// `EPS2` to `EPS7`.
    pub(super) eps: [u32; 8],
    pub(super) excsave: [u32; 8],
    pub(super) exccause: u32,
    pub(super) excvaddr: u32,
    pub(super) vecbase: u32,
    pub(super) debugcause: u32,
    pub(super) misc: [u32; 4],
    pub(super) cpenable: u32,
    pub(super) threadptr: u32,
    pub(super) prid: u32,
    /// User registers that are kept and have no effect here, by number.
    pub(super) user: [u32; 256],
    /// Registers that are kept and have no effect here, by number.
    pub(super) inert: [u32; 256],
    pub(super) intenable: u32,
    /// Interrupts that are remembered: by software, by an edge or by a timer.
    pub(super) latched: u32,
    /// External lines as they are.
    pub(super) lines: u32,
    pub(super) ccompare: [u32; 3],
    /// `CCOUNT` less [`Core::instructions`].
    pub(super) ccount_offset: u32,
    instructions: u64,
    pub(super) waiting: bool,
    /// Something changed that interrupts depend on.
    pub(super) attention: bool,
    slots: Box<[Slot]>,
    generation: u32,
    epoch: u32,
    traps: BTreeSet<u32>,
    /// The break point at which the last run ended.
    pub(super) stopped_at: Option<u32>,
    pub(super) stop_on_exceptions: bool,
    /// How far the last call's callee turns the window, in quarters: 0 of `CALL0`. `PS.CALLINC`
    /// does not tell, since `CALL0` leaves it alone.
    pub(super) called: u8,
    /// Looks at `CCOUNT`.
    pub(super) times_read: u64,
}

impl Core {
    /// A core as it is after a reset, about to execute its reset vector.
    pub fn new(config: Config) -> Self {
        let mut core = Self {
            config,
            ar: [0; 64],
            ar_mask: if config.windowed {
                u32::from(config.registers.clamp(16, 64).next_power_of_two()) - 1
            } else {
                63
            },
            base: 0,
            window_start: 1,
            window_limit: 4,
            pc: config.reset,
            // The manual's reset value: everything masked.
            ps: ps::EXCM | ps::INTLEVEL,
            sar: 0,
            br: 0,
            lbeg: 0,
            lend: 0,
            lcount: 0,
            litbase: 0,
            scompare1: 0,
            mac: [0; 6],
            fr: [0; 16],
            fcr: 0,
            fsr: 0,
            epc: [0; 8],
            eps: [0; 8],
            excsave: [0; 8],
            exccause: 0,
            excvaddr: 0,
            vecbase: config.vecbase,
            debugcause: 0,
            misc: [0; 4],
            cpenable: 0,
            threadptr: 0,
            prid: 0,
            user: [0; 256],
            inert: [0; 256],
            intenable: 0,
            latched: 0,
            lines: 0,
            ccompare: [0; 3],
            ccount_offset: 0,
            instructions: 0,
            waiting: false,
            attention: false,
            slots: vec![EMPTY; SLOTS].into_boxed_slice(),
            generation: 1,
            epoch: 0,
            traps: BTreeSet::new(),
            stopped_at: None,
            stop_on_exceptions: false,
            called: 0,
            times_read: 0,
        };
        core.window_changed();
        core
    }

    /// Sets what `PRID` reads: 0xCDCD and 0xABAB on the two cores of an ESP32 or ESP32-S3.
    pub fn set_processor_id(&mut self, id: u32) {
        self.prid = id;
    }

    /// Continues at `pc`, and no longer waits.
    pub fn set_pc(&mut self, pc: u32) {
        self.pc = pc;
        self.waiting = false;
    }

    /// Sets register `a0` to `a15` of the window; a higher number is reduced to 4 bits.
    pub fn set_register(&mut self, number: u8, value: u32) {
        self.set(number & 15, value);
    }

    /// Sets `PS`. Unknown bits are dropped.
    pub fn set_ps(&mut self, value: u32) {
        self.ps = value & ps::ALL;
        self.ps_changed();
    }

    /// Lets [`Core::run`] stop with [`Stop::Trap`] before it executes `address`. Costs nothing
    /// elsewhere. The address need hold no code: it is not fetched.
    pub fn trap_at(&mut self, address: u32) {
        if self.traps.insert(address) {
            self.forget_code();
        }
    }

    /// Takes back what [`Core::trap_at`] asked for.
    pub fn remove_trap(&mut self, address: u32) {
        if self.traps.remove(&address) {
            self.forget_code();
        }
    }

    /// Whether runs on the shared terms ([`crate::cpu::Cpu::run`]) end when an exception is taken.
    /// At first they do not. [`Core::run`] always does.
    pub fn set_stop_on_exceptions(&mut self, stop: bool) {
        self.stop_on_exceptions = stop;
    }

    /// The address of the next instruction.
    pub fn pc(&self) -> u32 {
        self.pc
    }

    /// Register `a0` to `a15` of the window; a higher number is reduced to 4 bits.
    pub fn register(&self, number: u8) -> u32 {
        self.get(number & 15)
    }

    /// `PS`.
    pub fn ps(&self) -> u32 {
        self.ps
    }

    /// Instructions executed since the reset.
    pub fn instructions(&self) -> u64 {
        self.instructions
    }

    /// Executes at most `budget` instructions. Taking an interrupt costs none.
    pub fn run<B: Bus>(&mut self, bus: &mut B, budget: u64) -> Run {
        let begin = self.instructions;
        let end = begin.saturating_add(budget);
        let done = |core: &Self, stop| Run {
            instructions: core.instructions - begin,
            stop,
        };
        self.see_epoch(bus);
        loop {
            self.attention = false;
            self.take_interrupt();
            if self.waiting {
                return done(self, Stop::Waiting);
            }
            if self.instructions >= end {
                return done(self, Stop::Budget);
            }
            let from = self.instructions;
            let pause = end.min(from.saturating_add(self.until_timer()));
            let stop = self.stretch(bus, pause);
            if self.instructions != from {
                self.ring(self.ccount().wrapping_sub(1), 1);
            }
            if let Some(stop) = stop {
                return done(self, stop);
            }
        }
    }

    /// Executes up to the count of `pause`, or until something changed that interrupts depend on.
    fn stretch<B: Bus>(&mut self, bus: &mut B, pause: u64) -> Option<Stop> {
        while self.instructions < pause && !self.attention {
            match self.step(bus) {
                Ok(()) => {
                    if bus.lines_changed() {
                        return Some(Stop::Budget);
                    }
                }
                Err(Interruption::Trap) => return Some(Stop::Trap),
                Err(Interruption::General(cause, address)) => {
                    self.instructions += 1;
                    let exception = self.raise(cause, address);
                    if !matches!(cause, Cause::Syscall | Cause::Alloca) {
                        return Some(Stop::Exception(exception));
                    }
                }
            }
        }
        None
    }

    /// Lets time pass while the core waits: `CCOUNT` advances by `cycles` and timers ring.
    pub fn pass(&mut self, cycles: u32) {
        let before = self.ccount();
        self.ccount_offset = self.ccount_offset.wrapping_add(cycles);
        self.ring(before, cycles);
    }

    #[inline(always)]
    fn step<B: Bus>(&mut self, bus: &mut B) -> Result<(), Interruption> {
        let pc = self.pc;
        bus.at(self.instructions);
        let slot = &self.slots[pc as usize & (SLOTS - 1)];
        let insn = if slot.pc == pc && slot.generation == self.generation {
            slot.insn
        } else {
            self.fetch(bus, pc)?
        };
        if insn.quad >= self.window_limit {
            self.overflow(insn.quad);
        } else {
            self.pc = self.execute(bus, insn)?;
        }
        self.instructions += 1;
        Ok(())
    }

    #[cold]
    fn fetch<B: Bus>(&mut self, bus: &mut B, pc: u32) -> Result<Insn, Interruption> {
        let insn = if self.traps.contains(&pc) {
            Insn {
                op: Op::Trap,
                ..EMPTY.insn
            }
        } else {
            let mut byte = |offset: u32| {
                let address = pc.wrapping_add(offset);
                bus.fetch(address).map_err(|_: Fault| {
                    Interruption::General(Cause::InstFetchProhibited, Some(address))
                })
            };
            let first = byte(0)?;
            let mut word = u32::from(first) | u32::from(byte(1)?) << 8;
            if length(first) == 3 {
                word |= u32::from(byte(2)?) << 16;
            }
            decode(word, pc, &self.config)
        };
        self.slots[pc as usize & (SLOTS - 1)] = Slot {
            pc,
            generation: self.generation,
            insn,
        };
        Ok(insn)
    }

    /// Forgets decoded instructions when the bus says that fetched bytes were overwritten.
    #[inline(always)]
    pub(super) fn see_epoch<B: Bus>(&mut self, bus: &B) {
        let epoch = bus.code_epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.forget_code();
        }
    }

    #[cold]
    fn forget_code(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.slots.fill(EMPTY);
            self.generation = 1;
        }
    }

    /// Calls the function at `pc` as windowed or, on a core without windows, as flat code does:
    /// with a stack, and `link` as the address to return to.
    pub fn enter(&mut self, pc: u32, stack: u32, link: u32) {
        self.set_register(1, stack);
        if self.config.windowed {
            self.called = 2;
            self.set_ps(ps::WOE | 2 << ps::CALLINC_SHIFT | ps::UM);
            self.set_register(8, 2 << 30 | link & 0x3fff_ffff);
        } else {
            self.set_ps(ps::UM);
            self.set_register(0, link);
        }
        self.set_pc(pc);
    }

    /// At the first instruction of a function: where it will return to.
    pub fn link(&self) -> u32 {
        let link = self.get(self.called << 2);
        if self.called == 0 {
            link
        } else {
            self.pc & 0xc000_0000 | link & 0x3fff_ffff
        }
    }

    /// Everything but what has to do with the count of cycles.
    pub(super) fn state(&self, into: &mut Vec<u32>) {
        into.push(self.pc);
        into.extend_from_slice(&self.ar);
        into.extend([
            self.base,
            self.window_start.into(),
            self.ps,
            self.sar,
            self.br,
            self.lbeg,
            self.lend,
            self.lcount,
            self.litbase,
            self.scompare1,
            self.exccause,
            self.excvaddr,
            self.vecbase,
            self.debugcause,
            self.cpenable,
            self.threadptr,
            self.intenable,
            self.latched,
            self.called.into(),
            self.waiting.into(),
        ]);
        for group in [
            &self.mac[..],
            &self.epc,
            &self.eps,
            &self.excsave,
            &self.misc,
            &self.ccompare,
            &self.inert,
        ] {
            into.extend_from_slice(group);
        }
    }

    #[inline(always)]
    fn place(&self, number: u8) -> usize {
        ((self.base + u32::from(number)) & self.ar_mask & 63) as usize
    }

    #[inline(always)]
    pub(super) fn get(&self, number: u8) -> u32 {
        self.ar[self.place(number)]
    }

    #[inline(always)]
    pub(super) fn set(&mut self, number: u8, value: u32) {
        self.ar[self.place(number)] = value;
    }

    /// `WINDOWBASE`.
    pub(super) fn window_base(&self) -> u32 {
        self.base >> 2
    }

    pub(super) fn set_window_base(&mut self, value: u32) {
        self.base = (value << 2) & self.ar_mask;
    }

    /// Whether a frame begins `quads` quarters of a window above the current one; below it when
    /// negative.
    pub(super) fn frame_at(&self, quads: i32) -> bool {
        let bit = self.window_base().wrapping_add_signed(quads) & self.ar_mask >> 2;
        self.window_start >> bit & 1 != 0
    }

    /// To be called after a change of `PS` that may let an interrupt in.
    pub(super) fn ps_changed(&mut self) {
        self.window_changed();
        self.attention = true;
    }

    /// To be called after a change of `WINDOWBASE`, `WINDOWSTART`, or `PS`.
    pub(super) fn window_changed(&mut self) {
        let checked = self.config.windowed && self.ps & (ps::WOE | ps::EXCM) == ps::WOE;
        self.window_limit = 4;
        if checked {
            for quad in (1..4u8).rev() {
                if self.frame_at(i32::from(quad)) {
                    self.window_limit = quad;
                }
            }
        }
    }

    /// Makes the instruction at `pc`, which names a register of the quarter `quad`, run again after
    /// the handler has saved the frame that is in its way.
    #[cold]
    pub(super) fn overflow(&mut self, quad: u8) {
        let owb = self.window_base();
        let ahead = (1..=i32::from(quad))
            .find(|&n| self.frame_at(n))
            .unwrap_or(1);
        self.set_window_base(owb.wrapping_add_signed(ahead));
        let vector = if self.frame_at(1) {
            0
        } else if self.frame_at(2) {
            0x80
        } else {
            0x100
        };
        self.window_exception(owb, vector);
    }

    /// Goes to the window vector at `offset`, in the window already chosen; the handler's return
    /// goes back to that of `owb`.
    pub(super) fn window_exception(&mut self, owb: u32, offset: u32) {
        self.ps = self.ps & !ps::OWB | owb << ps::OWB_SHIFT | ps::EXCM;
        self.epc[1] = self.pc;
        self.pc = self.vector(self.config.vectors.window.wrapping_add(offset));
        self.window_changed();
    }

    fn vector(&self, offset: u32) -> u32 {
        self.vecbase.wrapping_add(offset)
    }

    /// Takes a general exception.
    pub(super) fn raise(&mut self, cause: Cause, address: Option<u32>) -> Exception {
        let double = self.ps & ps::EXCM != 0;
        let exception = Exception {
            cause,
            pc: self.pc,
            address,
            double,
        };
        let vectors = self.config.vectors;
        let offset = if double {
            self.epc[0] = self.pc;
            vectors.double
        } else {
            self.epc[1] = self.pc;
            if self.ps & ps::UM != 0 {
                vectors.user
            } else {
                vectors.kernel
            }
        };
        self.exccause = cause as u32;
        if let Some(address) = address {
            self.excvaddr = address;
        }
        self.ps |= ps::EXCM;
        self.pc = self.vector(offset);
        self.window_changed();
        exception
    }

    /// Takes an interrupt or debug exception of `level`, 2 to 7, that returns to `pc`.
    pub(super) fn raise_level(&mut self, level: u8, pc: u32) {
        let index = usize::from(level & 7);
        self.epc[index] = pc;
        self.eps[index] = self.ps;
        self.ps = self.ps & !ps::INTLEVEL | u32::from(level) | ps::EXCM;
        let offset = *self
            .config
            .vectors
            .level
            .get(index.wrapping_sub(2))
            .unwrap_or(&0);
        self.pc = self.vector(offset);
        self.window_changed();
    }
}
