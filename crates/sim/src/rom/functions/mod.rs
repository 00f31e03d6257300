//! The functions of the mask ROM, done natively for programs that call them at their published
//! addresses (`chips/rom`).
//!
//! What they do and return follows Espressif's headers (`components/esp_rom/include` of ESP-IDF,
//! `include/esp-stub-lib`), and where these say nothing the code of the ROMs themselves. Flash and
//! UART are reached as the ROM reaches them, a command or a byte at a time, so that interrupts come
//! in between.

mod c_library;
mod call;
mod clocks;
mod digests;
mod flash;
mod identity;
mod interrupts;
mod opiflash;
mod resets;
mod uart;
mod usb;
mod variables;

pub(crate) use call::{Caller, Cycles, Outcome, Reset};
pub(crate) use variables::variables;

use std::collections::HashMap;

use guru_chip::{Chip, Revision, RomData};
use guru_link::Instant;

use crate::cpu::Fault;
use call::{Done, Progress};
use digests::Contexts;
use interrupts::Handlers;
use usb::Console;

/// A function of the ROM. It is called again after each time that it asked to wait, with the
/// progress that it noted.
type StandIn = fn(&mut State, &mut dyn Caller, &mut Progress) -> Result<Done, Fault>;

/// Calls that wait at the same time: interrupts may come in one another. A program that leaves
/// such calls behind loses the oldest.
const MAX_UNDER_WAY: usize = 8;
/// What takes less than this takes no notice of interrupts.
const AT_ONCE: Cycles = Cycles(320);

/// The ROM's functions, and what they remember between calls.
pub(crate) struct Functions {
    table: HashMap<u32, StandIn>,
    under_way: Vec<UnderWay>,
    state: State,
}

/// What functions remember.
struct State {
    data: RomData,
    contexts: Contexts,
    handlers: Handlers,
    console: Console,
    /// `ets_set_user_start` was called: where the ROM goes when it gets control back.
    user_start: Option<u32>,
}

/// A call that waits: told from others by where the program's stack was.
struct UnderWay {
    function: u32,
    stack: u32,
    at: At,
}

enum At {
    Working(Progress),
    /// It has done its work and returns at this time.
    Done(Instant, u64),
}

impl Functions {
    /// The functions of a chip's ROM; `None` where their addresses are not known. Beside an `image` of
    /// the ROM only those are done here that have to do with the vectors, with ways out, and with tables
    /// that the ROM's start would have filled.
    pub fn new(chip: &'static Chip, revision: Revision, image: bool) -> Option<Self> {
        let code = chip.rom_code(revision)?;
        let mut table = HashMap::new();
        let themes = match (image, code.data.flash_chip_pointer) {
            (false, _) => ALL,
            (true, None) => BESIDE_IMAGE,
            (true, Some(_)) => BESIDE_IMAGE_OF_TWO_DRIVERS,
        };
        for (name, addresses) in code.functions {
            if let Some(function) = stand_in(themes, name) {
                table.extend(addresses.iter().map(|address| (*address, function)));
            }
        }
        Some(Self {
            table,
            under_way: Vec::new(),
            state: State {
                data: code.data,
                contexts: Contexts::default(),
                handlers: Handlers::default(),
                console: Console::default(),
                user_start: None,
            },
        })
    }

    /// Where functions begin.
    pub fn addresses(&self) -> impl Iterator<Item = u32> + '_ {
        self.table.keys().copied()
    }

    /// The program is at the first instruction of a function. Whoever calls this does what the
    /// outcome says, and calls again when the program comes to the same place after a wait.
    ///
    /// # Errors
    ///
    /// The function was given an address that memory refuses.
    pub fn call(&mut self, function: u32, caller: &mut dyn Caller) -> Result<Outcome, Fault> {
        let Some(stand_in) = self.table.get(&function).copied() else {
            return Err(Fault::Unmapped);
        };
        let stack = caller.stack();
        let under_way = |one: &UnderWay| one.function == function && one.stack == stack;
        let before = self.under_way.iter().position(under_way);
        let mut progress = match before.map(|index| self.under_way.remove(index).at) {
            Some(At::Done(until, value)) => {
                return Ok(self.finish(function, stack, until, value, caller));
            }
            Some(At::Working(progress)) => progress,
            None => Progress::default(),
        };
        match stand_in(&mut self.state, caller, &mut progress)? {
            Done::Return(value, work) => {
                let time = caller.time_of(work);
                if work < AT_ONCE {
                    caller.spend(time);
                    return Ok(Outcome::Return(value));
                }
                let until = caller.now() + time;
                Ok(self.finish(function, stack, until, value, caller))
            }
            Done::Again(at) => {
                self.remember(function, stack, At::Working(progress));
                Ok(Outcome::Again(at))
            }
            Done::GoTo(address, arguments) => Ok(Outcome::GoTo(address, arguments)),
            Done::Boot => Ok(Outcome::Boot),
            Done::Reset(reset) => Ok(Outcome::Reset(reset)),
        }
    }

    /// Where the ROM goes on when a program returns to it, if the program said so.
    pub fn user_start(&self) -> Option<u32> {
        self.state.user_start
    }

    /// What the program attached to an interrupt: handler and argument.
    pub fn handler(&self, interrupt: u32) -> Option<(u32, u32)> {
        self.state.handlers.get(interrupt)
    }

    fn finish(
        &mut self,
        function: u32,
        stack: u32,
        until: Instant,
        value: u64,
        caller: &mut dyn Caller,
    ) -> Outcome {
        if caller.now() >= until {
            return Outcome::Return(value);
        }
        self.remember(function, stack, At::Done(until, value));
        Outcome::Again(until)
    }

    fn remember(&mut self, function: u32, stack: u32, at: At) {
        if self.under_way.len() >= MAX_UNDER_WAY {
            self.under_way.remove(0);
        }
        self.under_way.push(UnderWay {
            function,
            stack,
            at,
        });
    }
}

type Theme = &'static [(&'static str, StandIn)];

const ALL: &[Theme] = &[
    clocks::BY_START,
    clocks::FUNCTIONS,
    digests::FUNCTIONS,
    flash::DRIVER,
    flash::FUNCTIONS,
    identity::FUNCTIONS,
    interrupts::FUNCTIONS,
    c_library::FUNCTIONS,
    opiflash::FUNCTIONS,
    resets::FUNCTIONS,
    uart::FUNCTIONS,
    usb::FUNCTIONS,
];
/// Its code for these relies on what the ROM's start, of which nothing is executed, has set up.
const BESIDE_IMAGE: &[Theme] = &[clocks::BY_START, interrupts::FUNCTIONS, resets::FUNCTIONS];
/// See [`flash::DRIVER`].
const BESIDE_IMAGE_OF_TWO_DRIVERS: &[Theme] = &[
    clocks::BY_START,
    flash::DRIVER,
    interrupts::FUNCTIONS,
    opiflash::FUNCTIONS,
    resets::FUNCTIONS,
];

fn stand_in(themes: &[Theme], name: &str) -> Option<StandIn> {
    let mut all = themes.iter().copied().flatten();
    all.find(|(known, _)| *known == name)
        .map(|(_, function)| *function)
}

#[cfg(test)]
mod tests;
