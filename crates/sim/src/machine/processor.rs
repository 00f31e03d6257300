//! A CPU of either architecture.

use guru_chip::{Architecture, Chip};

use crate::cpu::riscv::{self, Misaligned, Options, Riscv};
use crate::cpu::xtensa::{self, Config, Core};
use crate::cpu::{Bus, Cpu, Fault, Ran};

/// The CPU of a chip: the first core, where there are two.
pub(crate) enum Processor {
    Riscv(Box<Riscv>),
    Xtensa(Box<Core>),
}

/// A program as an interrupt found it.
pub(super) enum Interrupted {
    Riscv(Box<riscv::Interrupted>),
    Xtensa(Box<xtensa::Interrupted>),
}

macro_rules! either {
    ($self:expr, $cpu:ident => $call:expr) => {
        match $self {
            Processor::Riscv($cpu) => $call,
            Processor::Xtensa($cpu) => $call,
        }
    };
}

impl Processor {
    pub fn new(chip: &Chip) -> Self {
        let xtensa = |config| {
            let mut core = Core::new(config);
            core.set_processor_id(0xCDCD);
            core.set_stop_on_exceptions(true);
            Self::Xtensa(Box::new(core))
        };
        match chip.architecture {
            Architecture::XtensaLx106 => xtensa(Config::LX106),
            Architecture::XtensaLx6 => xtensa(Config::ESP32),
            // The ESP32-S2 has one core and no loops, the ESP32-S3 two and all options.
            Architecture::XtensaLx7 if chip.usb.serial_jtag => xtensa(Config::ESP32_S3),
            Architecture::XtensaLx7 => xtensa(Config::ESP32_S2),
            Architecture::Riscv32 => Self::Riscv(Box::new(Riscv::new(Options {
                misaligned: Misaligned::Works,
                mie: false,
                stop_at_exceptions: true,
                ..Options::default()
            }))),
        }
    }

    /// Calls a function with a stack and an address to return to.
    pub fn enter(&mut self, pc: u32, stack: u32, link: u32) {
        match self {
            Self::Riscv(cpu) => {
                cpu.set_register(1, link);
                cpu.set_register(2, stack);
                cpu.set_pc(pc);
            }
            Self::Xtensa(core) => core.enter(pc, stack, link),
        }
    }

    /// Where the function at whose first instruction the CPU is will return to.
    pub fn link(&self) -> u32 {
        match self {
            Self::Riscv(cpu) => cpu.register(1),
            Self::Xtensa(core) => core.link(),
        }
    }

    /// Sets the interrupt lines as they are from now on.
    pub fn set_lines(&mut self, lines: u64) {
        match self {
            Self::Riscv(cpu) => cpu.set_interrupts(lines),
            Self::Xtensa(core) => core.set_lines(lines as u32),
        }
    }

    /// Whether an interrupt is pending that the program lets in.
    pub fn takes_interrupt(&self) -> bool {
        match self {
            Self::Riscv(cpu) => cpu.takes_interrupt(),
            Self::Xtensa(core) => core.takes_interrupt(),
        }
    }

    /// Whether a CPU that waits for an interrupt would go on.
    pub fn wakes(&self) -> bool {
        match self {
            Self::Riscv(cpu) => cpu.wakes(),
            Self::Xtensa(core) => core.wakes(),
        }
    }

    /// Sets the address at which a RISC-V CPU handles interrupts and exceptions, and lets interrupts
    /// in. Xtensa cores have their vectors, and [`Self::enter`] lets interrupts in.
    pub fn set_vector(&mut self, vector: u32) {
        match self {
            Self::Riscv(cpu) => cpu.set_vector(vector),
            Self::Xtensa(_) => {}
        }
    }

    /// At a vector: the interrupt that is to be handled, if it is one.
    pub fn interrupt_taken(&self) -> Option<u32> {
        match self {
            Self::Riscv(cpu) => cpu.interrupt_taken(),
            Self::Xtensa(core) => core.level1().map(u32::from),
        }
    }

    /// At a vector: calls a handler with an argument, and lets it return to `link`.
    pub fn call_handler(&mut self, handler: u32, argument: u32, link: u32) -> Interrupted {
        match self {
            Self::Riscv(cpu) => {
                Interrupted::Riscv(Box::new(cpu.call_handler(handler, argument, link)))
            }
            Self::Xtensa(core) => {
                Interrupted::Xtensa(Box::new(core.call_handler(handler, argument, link)))
            }
        }
    }

    /// Goes on where an interrupt came.
    pub fn resume(&mut self, before: &Interrupted) {
        match (self, before) {
            (Self::Riscv(cpu), Interrupted::Riscv(before)) => cpu.resume(before),
            (Self::Xtensa(core), Interrupted::Xtensa(before)) => core.resume(before),
            // Nobody changes the CPU.
            _ => {}
        }
    }

    /// At a vector, because an Xtensa core could not move its stack pointer by itself: does it.
    /// `false`: it was something else.
    pub fn finish_movsp<B: Bus>(&mut self, bus: &mut B) -> Result<bool, Fault> {
        match self {
            Self::Riscv(_) => Ok(false),
            Self::Xtensa(core) => core.finish_movsp(bus),
        }
    }

    /// Enables or disables interrupts of an Xtensa core, a bit each.
    pub fn enable_interrupts(&mut self, mask: u32, on: bool) {
        if let Self::Xtensa(core) = self {
            core.enable_interrupts(mask, on);
        }
    }

    /// The program's stack pointer.
    pub fn stack(&self) -> u32 {
        match self {
            Self::Riscv(cpu) => cpu.register(2),
            Self::Xtensa(core) => core.register(1),
        }
    }

    /// How many arguments of a function are passed in registers; the others are on the stack.
    pub fn arguments_in_registers(&self) -> u8 {
        match self {
            Self::Riscv(_) => 8,
            Self::Xtensa(_) => 6,
        }
    }

    /// At the first instruction of a function: changes one of its arguments in registers.
    pub fn set_argument(&mut self, number: u8, value: u32) {
        match self {
            Self::Riscv(cpu) => cpu.set_register(10 + (number & 7), value),
            Self::Xtensa(core) => core.set_argument(number, value),
        }
    }
}

impl Cpu for Processor {
    fn run<B: Bus>(&mut self, bus: &mut B, budget: u64) -> Ran {
        match self {
            Self::Riscv(cpu) => cpu.run(bus, budget),
            Self::Xtensa(core) => Cpu::run(&mut **core, bus, budget),
        }
    }

    fn pc(&self) -> u32 {
        either!(self, cpu => cpu.pc())
    }

    fn set_pc(&mut self, pc: u32) {
        either!(self, cpu => Cpu::set_pc(&mut **cpu, pc));
    }

    fn register(&self, number: u8) -> u32 {
        either!(self, cpu => Cpu::register(&**cpu, number))
    }

    fn set_register(&mut self, number: u8, value: u32) {
        either!(self, cpu => Cpu::set_register(&mut **cpu, number, value));
    }

    fn steps(&self) -> u64 {
        either!(self, cpu => cpu.steps())
    }

    fn add_breakpoint(&mut self, address: u32) {
        either!(self, cpu => cpu.add_breakpoint(address));
    }

    fn remove_breakpoint(&mut self, address: u32) {
        either!(self, cpu => cpu.remove_breakpoint(address));
    }

    fn argument(&self, number: u8) -> u32 {
        either!(self, cpu => cpu.argument(number))
    }

    fn return_with(&mut self, value: u64) {
        either!(self, cpu => cpu.return_with(value));
    }

    fn state(&self, into: &mut Vec<u32>) {
        either!(self, cpu => Cpu::state(&**cpu, into));
    }

    fn unsteady(&self) -> u64 {
        either!(self, cpu => cpu.unsteady())
    }

    fn pass(&mut self, steps: u64) {
        either!(self, cpu => Cpu::pass(&mut **cpu, steps));
    }

    fn until_timer(&self) -> u64 {
        either!(self, cpu => Cpu::until_timer(&**cpu))
    }
}
