//! The part of a chip that executes programs: a CPU with its clock.
//!
//! What the CPU sees, RAM and registers, belongs to the [`Board`], so that the ROM's loader, which is
//! native code, sees the same.
//!
//! Time: one step of the CPU is one cycle of its clock. [`Machine::run`] executes up to a moment and
//! gives every access to a register its own time. What a program does is a function of what reaches
//! the chip and when, not of how far it is run at a time: interrupt lines are looked at when the count
//! of cycles is a multiple of [`SLICE`], and behind an access to a register that changes them.
//!
//! Waiting is leapt over: a loop that has come back to the same state, and has changed nothing, does the
//! same until the next event (`waiting.rs`). [`Activity`] is how a block of registers says that this
//! does not hold.

mod block;
mod call;
mod clock;
mod field;
mod frc;
mod interrupts;
mod mask_rom;
mod peripherals;
mod processor;
mod rom_image;
mod routing;
mod rtc_watchdog;
mod stored;
mod systimer;
mod timer_group;
mod uart;
mod usb_serial_jtag;
mod view;
mod waiting;
mod watchdog;

use std::collections::HashMap;
use std::ops::Range;

use guru_chip::{Chip, RamAccess};

pub(crate) use block::Activity;
use call::Call;
use clock::Clock;
use mask_rom::{Answer, MaskRom};
pub(crate) use mask_rom::{HandOver, add_rom};
pub(crate) use peripherals::Peripherals;
use processor::Processor;
pub use rom_image::RomError;
pub(crate) use rom_image::RomImage;
pub(crate) use rtc_watchdog::RtcWatchdog;
use view::View;
use waiting::{POLLS, Round, Search};

use crate::board::Board;
use crate::cpu::{Access, AddressSpace, Bus, Cpu, Exception, Ran, Stop};
use crate::event::Event;

/// How far below its RAM a chip is known to have nothing.
const BELOW: u32 = 0x1_0000;
/// Steps from one look at the interrupt lines to the next.
const SLICE: u64 = 512;
/// Steps without any change after which the program may be waiting.
const QUIET: u64 = 512;

/// A CPU that executes, and where in time it is.
pub(crate) struct Machine {
    cpu: Processor,
    clock: Clock,
    /// Of the CPU, now and as the ROM left it, in Hz.
    frequency: u64,
    loader_frequency: u64,
    /// Cycles since the program was started.
    cycles: u64,
    rom: MaskRom,
    /// When a function of the ROM goes on that waits.
    alarm: Option<u64>,
    chip: &'static Chip,
    /// The exception whose handler is what runs next.
    raised: Option<Exception>,
    /// Steps in a row that changed nothing.
    quiet: u64,
    /// Steps in a row that changed nothing but RAM.
    unmoved: u64,
    /// Answers of a busy flash in this time.
    polls: u64,
    /// So many quiet steps, or such answers, are wanted before the next attempt to find a loop.
    wanted: u64,
    wanted_polls: u64,
    /// Such an attempt, under way.
    search: Option<Search>,
    /// The program goes round in a loop.
    waiting: Option<Round>,
    /// The CPU waits for an interrupt.
    asleep: bool,
    leaps: bool,
    /// Of the CPU, to be compared.
    state: Vec<u32>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The moment was reached.
    Reached,
    /// Before it, something happened that concerns more than the CPU: look at the board.
    Attention,
    /// The CPU has stopped for good; [`Board::reports`] says why.
    Stopped,
    /// The program gave control back to the ROM's loader.
    Loader,
    /// The program gave control back to the ROM, which boots from flash.
    Boot,
    /// The program reset the chip.
    Reset,
}

impl Machine {
    /// A CPU that calls the program at `entry` as the ROM's loader does, at `now`, in nanoseconds.
    /// `None`: there is no map of the chip.
    pub fn new(
        chip: &'static Chip,
        entry: u32,
        left: HandOver,
        board: &mut Board,
        now: u64,
    ) -> Option<Self> {
        let map = chip.machine.as_ref()?;
        let rom = MaskRom::new(chip, left)?;
        let (cycles, of_crystal) = map.clock;
        let frequency = u64::from(left.crystal) * u64::from(cycles) / u64::from(of_crystal.max(1));
        let clock = Clock::new(now, frequency);
        let mut cpu = Processor::new(chip);
        rom.enter(&mut Call::new(&mut cpu, board, &clock, 0), entry, left);
        Some(Self {
            cpu,
            clock,
            frequency,
            loader_frequency: frequency,
            cycles: 0,
            rom,
            alarm: None,
            chip,
            raised: None,
            quiet: 0,
            unmoved: 0,
            polls: 0,
            wanted: QUIET,
            wanted_polls: POLLS,
            search: None,
            waiting: None,
            asleep: false,
            leaps: true,
            state: Vec::new(),
        })
    }

    /// Executes every step instead of leaping over waiting: to prove that it makes no difference.
    pub fn never_leap(&mut self) {
        self.leaps = false;
    }

    /// How far the CPU is, in nanoseconds.
    pub fn now(&self) -> u64 {
        self.clock.at(self.cycles)
    }

    /// Instructions that were executed, those that were leapt over among them.
    pub fn steps(&self) -> u64 {
        self.cycles
    }

    /// Whether the program does nothing until something happens.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Something from outside has changed what the program can see.
    pub fn disturb(&mut self) {
        self.waiting = None;
        self.search = None;
        self.wanted = QUIET;
        self.stir();
    }

    /// Something is different from before.
    fn stir(&mut self) {
        self.quiet = 0;
        self.unmoved = 0;
        self.polls = 0;
    }

    /// Executes up to a moment, in nanoseconds: no step begins that would end behind it.
    pub fn run(&mut self, board: &mut Board, until: u64) -> Outcome {
        loop {
            let budget = self.clock.steps_until(self.cycles, until);
            if budget == 0 {
                return Outcome::Reached;
            }
            if let Some(round) = self.waiting {
                self.leap(board, round, until);
                if self.waiting.is_none() && !self.asleep {
                    return Outcome::Attention;
                }
            }
            if self.asleep {
                self.look_at_lines(board);
                if self.asleep {
                    self.waiting = Some(Round::STILL);
                    // The moment of an event that was none for this CPU.
                    self.pass(1);
                    continue;
                }
            }
            let to_look = SLICE - self.cycles % SLICE;
            let budget = self.clock.steps_until(self.cycles, until).min(to_look);
            if budget == 0 {
                return Outcome::Reached;
            }
            let outcome = if self.search.is_some() || self.seems_to_wait() {
                self.find_loop(board, until)
            } else {
                self.slice(board, budget)
            };
            if self.search.is_none() {
                board.ram.forget();
            }
            if let Some(outcome) = outcome {
                return outcome;
            }
            if board.wants_attention() {
                return Outcome::Attention;
            }
        }
    }

    fn pass(&mut self, steps: u64) {
        self.cpu.pass(steps);
        self.cycles += steps;
    }

    fn look_at_lines(&mut self, board: &mut Board) {
        let lines = board.peripherals.lines(self.now());
        self.cpu.set_lines(lines);
        if self.asleep && self.cpu.wakes() {
            self.asleep = false;
            self.waiting = None;
        }
    }

    /// The program may have chosen another clock for the CPU.
    fn look_at_clock(&mut self, board: &Board) {
        let chosen = board.peripherals.cpu_hz().map(u64::from);
        let frequency = chosen.unwrap_or(self.loader_frequency);
        if frequency != self.frequency {
            self.frequency = frequency;
            self.clock.change(self.cycles, frequency);
            self.stir();
        }
    }

    /// Executes at most `budget` steps, up to the next look at the lines.
    fn slice(&mut self, board: &mut Board, budget: u64) -> Option<Outcome> {
        if self.cycles.is_multiple_of(SLICE) {
            self.look_at_lines(board);
            self.look_at_clock(board);
        }
        let steady = self.cpu.unsteady();
        let (ran, activity) = self.execute(board, budget);
        if ran.steps > 0 {
            self.raised = None;
        }
        if activity.changed || activity.moves || self.cpu.unsteady() != steady {
            self.stir();
        } else {
            let stored = board.ram.changed;
            self.quiet = if stored { 0 } else { self.quiet + ran.steps };
            self.unmoved += ran.steps;
        }
        match ran.stop {
            Stop::Budget => None,
            Stop::Waiting => {
                self.asleep = true;
                self.waiting = Some(Round::STILL);
                None
            }
            Stop::Breakpoint => self.call(board),
            Stop::Exception(exception) => {
                self.stir();
                self.raised = Some(exception);
                if board.ram.executes(self.cpu.pc()) {
                    None
                } else {
                    self.crash(board, exception)
                }
            }
            Stop::LockedUp(exception) => self.crash(board, exception),
        }
    }

    fn execute(&mut self, board: &mut Board, budget: u64) -> (Ran, Activity) {
        board.ram.changed = false;
        let mut view = View::new(board, &self.clock, self.cycles, self.cpu.steps());
        let ran = self.cpu.run(&mut view, budget);
        let activity = view.activity;
        let lines_changed = view.lines_changed();
        self.cycles += ran.steps;
        self.polls += board.spi.take_polls();
        if lines_changed {
            self.look_at_lines(board);
        }
        (ran, activity)
    }

    /// The ROM takes over.
    fn call(&mut self, board: &mut Board) -> Option<Outcome> {
        self.stir();
        self.alarm = None;
        let pc = self.cpu.pc();
        let mut call = Call::new(&mut self.cpu, board, &self.clock, self.cycles);
        let answer = self.rom.call(&mut call);
        let spent = call.spent();
        self.pass(spent.max(1));
        match answer {
            Answer::GoOn(cycles) => {
                self.pass(cycles);
                // A handler that has returned has taken its interrupt back.
                self.look_at_lines(board);
            }
            Answer::Again(at) => {
                // Interrupts come in between, and then this call again.
                self.look_at_lines(board);
                if !self.cpu.takes_interrupt() {
                    self.alarm = Some(at);
                    self.waiting = Some(Round::STILL);
                }
            }
            Answer::Loader => return Some(Outcome::Loader),
            Answer::Boot => return Some(Outcome::Boot),
            Answer::Reset => return Some(Outcome::Reset),
            Answer::Fault(_) => {
                let exception = Exception {
                    cause: 0,
                    pc,
                    value: self.cpu.link(),
                };
                return self.stop(board, exception);
            }
            Answer::Unknown => {
                return match self.raised.take() {
                    Some(exception) => self.stop(board, exception),
                    None => self.unknown_function(board, pc),
                };
            }
        }
        None
    }

    fn crash(&mut self, board: &mut Board, exception: Exception) -> Option<Outcome> {
        let map = self.chip.machine.as_ref();
        let rom = map.map_or(&[][..], |map| map.rom);
        let in_rom = rom.iter().any(|range| range.contains(&exception.pc));
        if in_rom && !board.ram.holds(exception.pc) {
            return self.unknown_function(board, exception.pc);
        }
        self.stop(board, exception)
    }

    fn stop(&mut self, board: &mut Board, exception: Exception) -> Option<Outcome> {
        board.reports.push(Event::Crashed {
            cause: exception.cause,
            pc: exception.pc,
            value: exception.value,
        });
        Some(Outcome::Stopped)
    }

    fn unknown_function(&mut self, board: &mut Board, address: u32) -> Option<Outcome> {
        board.reports.push(Event::UnknownRomFunction {
            address,
            caller: self.cpu.link(),
        });
        Some(Outcome::Stopped)
    }
}

/// Below the memory that the ROM's stack lies in, where none of the chips has anything.
pub(crate) fn below_ram(map: &guru_chip::Machine) -> Range<u32> {
    let mut start = map.stack;
    let below = |start: u32| {
        let mut windows = map.ram.iter().map(|window| &window.range);
        windows.find(|range| range.start < start && start <= range.end)
    };
    while let Some(range) = below(start) {
        start = range.start;
    }
    start.saturating_sub(BELOW)..start
}

/// The RAM of a chip, all 0, at its addresses.
pub(crate) fn ram(chip: &Chip) -> AddressSpace {
    let mut space = AddressSpace::default();
    let windows = chip.machine.as_ref().map_or(&[][..], |map| map.ram);
    let mut banks = HashMap::new();
    for window in windows {
        let size = || {
            let same = windows.iter().filter(|one| one.bank == window.bank);
            let ends = same.map(|one| one.offset + (one.range.end - one.range.start));
            ends.max().unwrap_or(0)
        };
        let bank = *banks
            .entry(window.bank)
            .or_insert_with(|| space.add_bank(size()));
        let access = match window.access {
            RamAccess::Any => Access::Ram,
            RamAccess::Data => Access::Data,
            RamAccess::WordOnly => Access::WordOnly,
        };
        let len = window.range.end - window.range.start;
        // The build of the tables has checked that no two of them overlap.
        let _ = space.add_window(window.range.start, len, bank, window.offset, access);
    }
    space
}
