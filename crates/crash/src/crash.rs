//! What a log tells: boots, crashes and messages. Every number here stood in the log.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use guru_chip::{Chip, ResetCause};

pub use crate::knowledge::{EntryId, Family};

/// One thing that a log tells, in the order of the lines on which it ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A chip came out of reset.
    Boot(Box<Boot>),
    /// A program died, or a watchdog reported.
    Crash(Box<Crash>),
    /// A message that belongs to neither.
    Message(Message),
}

/// A line that the knowledge base knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Line of the log, from one.
    pub line: u64,
    /// The line, without colours and time stamps; what is longer than 512 bytes is cut.
    pub text: String,
    /// Its entry.
    pub entry: EntryId,
    /// What stood in it, by the names of the pattern's groups.
    pub fields: BTreeMap<String, String>,
}

/// The build of a mask ROM, as its banner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RomBuild {
    /// Such as `esp32c3-api1-20210207`; the ESP32's and the ESP8266's have none.
    pub name: Option<String>,
    /// Such as `Feb  7 2021`; empty where the log does not hold it.
    pub date: String,
}

/// A chip came out of reset: what its ROM printed.
#[derive(Debug, Clone, PartialEq)]
pub struct Boot {
    /// Lines of the log, from one, the end excluded.
    pub lines: Range<u64>,
    /// The chip that the banner names.
    pub chip: Option<&'static Chip>,
    /// The ROM.
    pub rom: Option<RomBuild>,
    /// Why the chip was reset.
    pub reset: Option<Reset>,
    /// How it booted.
    pub boot: Option<BootMode>,
    /// Where the CPUs stood before the reset, with the number of the core where it is printed.
    pub saved_pc: Vec<(Option<u8>, u32)>,
    /// What ROM and bootloader complained of; a message is there once.
    pub messages: Vec<Message>,
}

/// The reason of a reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// The number, whose meaning depends on the chip.
    pub code: u8,
    /// The name that the ROM printed, else the one of the chip's table; may be empty.
    pub name: String,
    /// What the number means on this chip, where the chip is known.
    pub cause: Option<ResetCause>,
    /// The entry of the knowledge base.
    pub meaning: Option<EntryId>,
}

/// How a ROM booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootMode {
    /// The strapping pins as printed; the ESP8266's first number.
    pub straps: u16,
    /// The mode's name; empty where none is printed.
    pub name: String,
    /// The ROM waits for a download instead of starting the program.
    pub download: bool,
    /// The entry of the knowledge base.
    pub meaning: Option<EntryId>,
}

/// A crash report, or what is left of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Crash {
    /// Lines of the log, from one, the end excluded.
    pub lines: Range<u64>,
    /// The kind of CPU, from the chip or from the names of registers.
    pub family: Option<Family>,
    /// The chip: of the last banner, else the one that the parser was told.
    pub chip: Option<&'static Chip>,
    /// The ROM of the last banner.
    pub rom: Option<RomBuild>,
    /// What happened.
    pub cause: Cause,
    /// Which of `messages` says it in words.
    pub headline: Option<usize>,
    /// Every line of the report that the knowledge base knows, in order.
    pub messages: Vec<Message>,
    /// What is known of the CPUs, the crashed one first.
    pub cores: Vec<Core>,
    /// The digits of the ELF's SHA-256 that the report shows, or the boot log before it; small letters.
    pub elf_sha256: Option<String>,
    /// Lines of a core dump that was printed, markers excluded, the end excluded.
    pub core_dump: Option<Range<u64>>,
    /// How the report ends.
    pub end: Option<Ending>,
    /// The same opening line came so many times more, with nothing between.
    pub repeated: u32,
    /// It began before the report before it was at its end: a fault in the panic handler, or the other core.
    pub in_report: bool,
    /// What is missing, cut or mixed up.
    pub torn: Vec<Torn>,
}

impl Crash {
    /// The message that says what happened.
    #[must_use]
    pub fn headline(&self) -> Option<&Message> {
        self.messages.get(self.headline?)
    }

    /// The CPU that crashed.
    #[must_use]
    pub fn core(&self) -> Option<&Core> {
        self.cores.first()
    }
}

/// What happened. A field is `None` where the line is cut or does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// `Guru Meditation Error`.
    Guru {
        /// The CPU.
        core: Option<u8>,
        /// The text in brackets.
        reason: Option<String>,
    },
    /// `abort() was called`.
    Abort {
        /// The CPU.
        core: Option<u8>,
        /// Where it was called.
        pc: Option<u32>,
    },
    /// A failed assertion.
    Assert {
        /// The function.
        function: Option<String>,
        /// The source file.
        file: Option<String>,
        /// The line of the source file.
        line: Option<u32>,
        /// What should have been true.
        expression: Option<String>,
        /// Where it failed: of a build without texts.
        pc: Option<u32>,
    },
    /// `ESP_ERROR_CHECK`.
    EspError {
        /// The error's number.
        code: Option<u32>,
        /// The error's name.
        name: Option<String>,
        /// Where it was checked.
        pc: Option<u32>,
        /// The source file.
        file: Option<String>,
        /// The line of the source file.
        line: Option<u32>,
        /// The function.
        function: Option<String>,
        /// What was called.
        expression: Option<String>,
    },
    /// The task watchdog; the program goes on unless it aborts.
    TaskWatchdog {
        /// Who did not reset it in time.
        late: Vec<LateTask>,
        /// What ran on which CPU.
        running: Vec<(u8, String)>,
        /// The program was aborted.
        aborted: bool,
    },
    /// The brownout detector's line, whole or cut.
    Brownout,
    /// An exception of an ESP8266.
    Esp8266 {
        /// Its number.
        exception: Option<u32>,
    },
    /// What else ends a program of the ESP8266's Arduino core, by its line: `Soft WDT reset`,
    /// `Abort called`, `Panic FILE:LINE FUNCTION`, `Unhandled C++ exception: ..`, ..
    Esp8266Software {
        /// The line.
        text: String,
    },
    /// A Rust panic.
    RustPanic {
        /// The message's first line.
        message: Option<String>,
        /// The source file.
        file: Option<String>,
        /// The line of the source file.
        line: Option<u32>,
        /// The column.
        column: Option<u32>,
    },
    /// An exception that a Rust program without ESP-IDF reports.
    RustException {
        /// Its name.
        name: String,
        /// The CPU's name, `ProCpu` or `AppCpu`.
        core: Option<String>,
    },
    /// What the headline says.
    Message,
    /// The lines that say it are missing.
    Unknown,
}

/// A task, or user, that did not reset the task watchdog in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateTask {
    /// Its name.
    pub name: String,
    /// The CPUs it may run on, as printed: `CPU 0`, `CPU 0/1`; empty for a user.
    pub cpus: String,
}

/// How a report ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `Rebooting...`
    Rebooting,
    /// `Rebooting in N seconds...`
    RebootingIn(u32),
    /// `CPU halted.`
    Halted,
    /// `Entering gdb stub now.`
    GdbStub,
    /// A debugger is attached, so the report was left to it.
    Debugger,
    /// A banner came.
    Reset,
}

/// What is wrong with a report's text. Nothing that it concerns was made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Torn {
    /// It begins in the middle.
    BeginningMissing,
    /// A line ends early or has something else in it.
    Cut {
        /// Which.
        line: u64,
        /// What stood there.
        part: Part,
    },
    /// Lines are missing in a block.
    Gap {
        /// The line behind the gap.
        line: u64,
        /// The block.
        part: Part,
    },
    /// Two reports are mixed so that registers cannot be told apart: they are left out.
    Interleaved {
        /// Where that shows.
        line: u64,
    },
    /// The chip was reset in the middle.
    Reset,
    /// Another report begins in the middle.
    OtherReport,
    /// The log ends in the middle.
    LogEnds,
    /// Nothing more of it came for many lines.
    EndMissing,
    /// There is more than anybody prints: the rest was left out.
    TooLong {
        /// Where that begins.
        line: u64,
        /// Of what.
        part: Part,
    },
}

/// A part of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The line that says what happened.
    Opening,
    /// Registers.
    Registers,
    /// A backtrace.
    Backtrace,
    /// Stack memory.
    Stack,
    /// The words at the program counter.
    Code,
    /// The core dump.
    CoreDump,
    /// Messages.
    Messages,
}

/// A register by the name of its architecture's manual, such as `PC`, `A1`, `EXCVADDR`, `MEPC`, `S0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterName(pub Box<str>);

impl Borrow<str> for RegisterName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegisterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a report tells of one CPU.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Core {
    /// Its number.
    pub number: Option<u8>,
    /// Its registers.
    pub registers: BTreeMap<RegisterName, u32>,
    /// It was in an interrupt handler.
    pub in_isr: bool,
    /// Pieces of its stack, each without gaps, in the order of the report.
    pub stack: Vec<StackBlock>,
    /// Its backtraces.
    pub backtraces: Vec<Backtrace>,
    /// Its task; on an ESP8266 the stack's owner: `cont`, `sys`, `bearssl`.
    pub task: Option<String>,
    /// The lowest address of its stack.
    pub stack_low: Option<u32>,
    /// The first address behind its stack.
    pub stack_high: Option<u32>,
    /// The words around the program counter: address, words.
    pub code: Option<(u32, Vec<u32>)>,
}

/// The names of x1 to x31 in RISC-V's calling convention.
const ABI: [&str; 31] = [
    "RA", "SP", "GP", "TP", "T0", "T1", "T2", "S0", "S1", "A0", "A1", "A2", "A3", "A4", "A5", "A6",
    "A7", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "T3", "T4", "T5", "T6",
];

impl Core {
    /// A register by its name.
    #[must_use]
    pub fn register(&self, name: &str) -> Option<u32> {
        self.registers.get(name).copied()
    }

    /// The program counter.
    #[must_use]
    pub fn pc(&self) -> Option<u32> {
        ["PC", "MEPC"]
            .iter()
            .find_map(|name| self.register(name))
            .or_else(|| self.register("EPC1").filter(|_| !self.in_isr))
    }

    /// The stack pointer.
    #[must_use]
    pub fn sp(&self) -> Option<u32> {
        match self.register("SP") {
            None if self.register("MEPC").is_none() => self.register("A1"),
            sp => sp,
        }
    }

    /// The address that a load, store or fetch failed at.
    #[must_use]
    pub fn fault_address(&self) -> Option<u32> {
        ["EXCVADDR", "MTVAL"]
            .iter()
            .find_map(|name| self.register(name))
    }

    /// x0 to x31 of a RISC-V; x0 is always zero.
    #[must_use]
    pub fn x(&self) -> [Option<u32>; 32] {
        let mut x = [None; 32];
        x[0] = Some(0);
        for (place, name) in x[1..].iter_mut().zip(ABI) {
            *place = self.register(name);
        }
        x
    }
}

/// A piece of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackBlock {
    /// Address of the first word.
    pub address: u32,
    /// The words.
    pub words: Vec<u32>,
}

impl StackBlock {
    /// The first address behind it; 64 bits, because it can lie behind the last one.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.address) + 4 * self.words.len() as u64
    }
}

/// A chain of callers that the program printed itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backtrace {
    /// Line of the log, from one.
    pub line: u64,
    /// The frames, innermost first. The addresses of callers are those of the calls, not of the returns.
    pub frames: Vec<PrintedFrame>,
    /// What the program says of its end.
    pub mark: Option<Mark>,
    /// Whose frames they are.
    pub of: Of,
    /// Words of the stack that the program printed because they may be callers.
    pub possible: Vec<u32>,
}

/// A frame of a printed backtrace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrintedFrame {
    /// The address.
    pub pc: u32,
    /// The stack pointer, where it is printed.
    pub sp: Option<u32>,
}

/// What a program says of the end of its backtrace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `|<-CORRUPTED`, or that the chain ended abruptly.
    Corrupted,
    /// `|<-CONTINUES`: there are more frames than it prints.
    Continues,
}

/// Whose frames a backtrace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Those of the CPU that is reported, whatever it did.
    Panic,
    /// Those of an interrupt handler.
    Interrupt,
    /// Those of a task: the one that was interrupted, or that the watchdog found running.
    Task,
}
