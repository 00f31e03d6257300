//! Waiting: how a loop that does the same again and again is recognized, and leapt over.
//!
//! A loop waits if it comes back to where it was and nothing is different: the CPU's registers, RAM,
//! all other registers. The flash controller is the exception. A program that asks a busy flash for
//! its status gives it a command in each round; such a round is the same as the one before if it
//! finds the command under way as far from its end, and the clock at the same fraction of a
//! nanosecond.

use super::{Machine, Outcome, QUIET};
use crate::board::Board;
use crate::cpu::Cpu;

/// The longest loop that is recognized as waiting, in steps.
const LONGEST_LOOP: u64 = 2048;
/// The same of one that asks the flash for its status, with as many rounds as it takes until the
/// clock is at the same fraction again.
const LONGEST_POLLING: u64 = 8192;
/// The most quiet steps between two attempts at recognizing a loop.
const MOST_QUIET: u64 = 1 << 16;
/// Answers of a busy flash after which the program may be waiting for it.
pub(super) const POLLS: u64 = 3;
/// The most of them between two attempts.
const MOST_POLLS: u64 = 256;

/// How a program goes round while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Steps after which all is as it was.
    steps: u64,
    /// In each round commands are given to the flash.
    polls: bool,
}

impl Round {
    /// A CPU that does not move.
    pub const STILL: Self = Self {
        steps: 1,
        polls: false,
    };
}

/// An attempt at recognizing a loop: how all was when it began.
#[derive(Debug)]
pub(super) struct Search {
    begin: u64,
    pc: u32,
    cpu: Vec<u32>,
    /// Commands that the flash controller had been given, and how long the last one still took.
    commands: u64,
    left: u64,
    /// When something changes of which the program is not the cause.
    event: Option<u64>,
    /// So many steps are tried.
    longest: u64,
}

impl Machine {
    /// Whether the program may be waiting.
    pub(super) fn seems_to_wait(&self) -> bool {
        let waits = self.quiet >= self.wanted || self.polls >= self.wanted_polls;
        self.leaps && self.waiting.is_none() && waits
    }

    /// Finds out whether the program goes round in a loop that changes nothing; where the moment comes
    /// before that is clear, the next call goes on.
    pub(super) fn find_loop(&mut self, board: &mut Board, until: u64) -> Option<Outcome> {
        let search = match self.search.take() {
            Some(search) => search,
            None => self.begin_search(board),
        };
        while self.cycles - search.begin < search.longest {
            if self.clock.steps_until(self.cycles, until) == 0 {
                self.search = Some(search);
                return None;
            }
            // A change of any kind leaves no step behind.
            let before = self.unmoved;
            if let Some(outcome) = self.slice(board, 1) {
                return Some(outcome);
            }
            if self.unmoved <= before || search.event.is_some_and(|at| at <= self.now()) {
                return None;
            }
            if self.cpu.pc() == search.pc && self.is_back(board, &search) {
                self.waiting = Some(Round {
                    steps: self.cycles - search.begin,
                    polls: board.spi.commands() != search.commands,
                });
                self.wanted = QUIET;
                self.wanted_polls = POLLS;
                return None;
            }
        }
        None
    }

    fn begin_search(&mut self, board: &mut Board) -> Search {
        let longest = if self.quiet >= self.wanted {
            self.wanted = (self.wanted * 2).min(MOST_QUIET);
            LONGEST_LOOP
        } else {
            self.wanted_polls = (self.wanted_polls * 2).min(MOST_POLLS);
            LONGEST_POLLING
        };
        self.quiet = 0;
        self.polls = 0;
        board.ram.remember();
        let mut cpu = std::mem::take(&mut self.state);
        cpu.clear();
        self.cpu.state(&mut cpu);
        let now = self.now();
        Search {
            begin: self.cycles,
            pc: self.cpu.pc(),
            cpu,
            commands: board.spi.commands(),
            left: board.spi.left(now),
            event: board.next_change_beside_commands(now),
            longest,
        }
    }

    /// Whether all is as it was when the search began.
    fn is_back(&mut self, board: &Board, search: &Search) -> bool {
        let steps = self.cycles - search.begin;
        let commands = board.spi.commands() != search.commands;
        if commands && !self.clock.is_whole(steps) || board.spi.left(self.now()) != search.left {
            return false;
        }
        self.state.clear();
        self.cpu.state(&mut self.state);
        self.state == search.cpu && board.ram.is_as_remembered()
    }

    /// Leaps over whole rounds of a loop, up to the next event or the moment. Behind an event the
    /// program may do something else; at the moment it is somewhere in its loop.
    pub(super) fn leap(&mut self, board: &mut Board, round: Round, until: u64) {
        let event = self.next_event(board).filter(|at| *at <= until);
        let horizon = event.unwrap_or(until);
        let timer = self.cpu.until_timer().saturating_sub(1);
        let steps = self.clock.steps_until(self.cycles, horizon);
        let reach = steps.min(timer);
        let now = self.now();
        self.pass(reach - reach % round.steps);
        if round.polls {
            board.spi.delay(now, self.now());
        }
        if event.is_some() || reach < steps {
            self.disturb();
        }
    }

    /// When something changes for a program that waits, with nothing coming from outside.
    pub fn next_event(&self, board: &Board) -> Option<u64> {
        let now = self.now();
        let change = match self.waiting {
            Some(Round { polls: true, .. }) => board.next_change_beside_commands(now),
            _ => board.next_change(now),
        };
        change.into_iter().chain(self.alarm).min()
    }
}
