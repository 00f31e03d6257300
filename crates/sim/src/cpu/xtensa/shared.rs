//! The core on the terms that all CPU models share.

use super::core::{Cause, Core, Stop};
use crate::cpu::{self, Bus, Cpu, Ran};

impl Cpu for Core {
    fn run<B: Bus>(&mut self, bus: &mut B, budget: u64) -> Ran {
        let begin = self.instructions();
        let end = begin.saturating_add(budget);
        let mut over = self.stopped_at.take() == Some(self.pc);
        let stop = loop {
            let left = end.saturating_sub(self.instructions());
            // The instruction under a break point runs alone.
            let lifted = (over && left > 0).then_some(self.pc);
            over = false;
            if let Some(address) = lifted {
                self.remove_trap(address);
            }
            let run = Core::run(self, bus, if lifted.is_some() { 1 } else { left });
            if let Some(address) = lifted {
                self.trap_at(address);
            }
            match run.stop {
                Stop::Budget if lifted.is_some() => {}
                Stop::Budget => break cpu::Stop::Budget,
                Stop::Waiting => break cpu::Stop::Waiting,
                Stop::Trap => {
                    self.stopped_at = Some(self.pc);
                    break cpu::Stop::Breakpoint;
                }
                Stop::Exception(exception) => {
                    let told = cpu::Exception {
                        cause: exception.cause as u32,
                        pc: exception.pc,
                        value: exception.address.unwrap_or(0),
                    };
                    let fetch = exception.cause == Cause::InstFetchProhibited;
                    if fetch && exception.double && exception.pc == self.pc {
                        break cpu::Stop::LockedUp(told);
                    }
                    if self.stop_on_exceptions {
                        break cpu::Stop::Exception(told);
                    }
                }
            }
        };
        Ran {
            steps: self.instructions() - begin,
            stop,
        }
    }

    fn pc(&self) -> u32 {
        self.pc
    }

    fn set_pc(&mut self, pc: u32) {
        self.stopped_at = None;
        Core::set_pc(self, pc);
    }

    fn register(&self, number: u8) -> u32 {
        if number < 16 { self.get(number) } else { 0 }
    }

    fn set_register(&mut self, number: u8, value: u32) {
        if number < 16 {
            self.set(number, value);
        }
    }

    fn steps(&self) -> u64 {
        self.instructions()
    }

    fn add_breakpoint(&mut self, address: u32) {
        self.trap_at(address);
    }

    fn remove_breakpoint(&mut self, address: u32) {
        self.remove_trap(address);
    }

    fn state(&self, into: &mut Vec<u32>) {
        Core::state(self, into);
    }

    fn unsteady(&self) -> u64 {
        self.times_read
    }

    fn pass(&mut self, mut steps: u64) {
        while steps > 0 {
            let part = steps.min(u64::from(u32::MAX >> 1)) as u32;
            Core::pass(self, part);
            steps -= u64::from(part);
        }
    }

    fn until_timer(&self) -> u64 {
        Core::until_timer(self)
    }

    /// Six arguments are passed in registers, in the window that the callee's `ENTRY` will turn to.
    fn argument(&self, number: u8) -> u32 {
        if number < 6 {
            self.get((self.called << 2) + 2 + number)
        } else {
            0
        }
    }

    fn return_with(&mut self, value: u64) {
        let first = self.called << 2;
        let target = self.link();
        self.set(first + 2, value as u32);
        self.set(first + 3, (value >> 32) as u32);
        Cpu::set_pc(self, target);
    }
}
