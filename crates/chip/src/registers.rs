//! The shape of `chips/registers/NAME.toml`: the registers that a program finds around its CPU, for
//! the simulator.

use std::ops::Range;

use crate::Bits;

/// Registers of a chip, beside those of [`crate::Chip`]'s other members. All addresses are the CPU's.
#[derive(Debug)]
pub struct Registers {
    /// UART0.
    pub uart: UartRegisters,
    /// The controller of the flash.
    pub spi: SpiRegisters,
    /// USB-Serial/JTAG.
    pub usb_jtag: Option<UsbJtagRegisters>,
    /// Timer groups, with a watchdog each.
    pub timer_groups: &'static [TimerGroupRegisters],
    /// The system timer.
    pub systimer: Option<SystimerRegisters>,
    /// The timers and the watchdog of the ESP8266.
    pub frc: Option<FrcRegisters>,
    /// RTC_WDT_CONFIG0 to RTC_WDT_WPROTECT.
    pub rtc_watchdog: Option<WatchdogRegisters>,
    /// How the sources of interrupts reach the CPU.
    pub interrupts: Option<InterruptRegisters>,
    /// Clock of the peripheral bus, where peripherals use it; elsewhere they run on the crystal.
    pub apb: Option<ClockSelect>,
    /// What [`ClockSource::Pll`] is.
    pub pll: Option<ClockSelect>,
    /// Clock of the CPU.
    pub cpu: Option<ClockSelect>,
    /// Bits that reset something when 1 is written.
    pub resets: &'static [ResetBits],
    /// Cause of the last reset.
    pub reset_cause: Option<Bits>,
    /// What the ROM prints for some of the causes, by ascending number.
    pub causes: &'static [(u8, &'static str)],
    /// Registers that give another number each time.
    pub random: &'static [u32],
    /// Ranges that show other addresses: the range, and the first address that it shows.
    pub mirrors: &'static [(Range<u32>, u32)],
    /// Ranges of registers that hold what is written, and do nothing by it here: clock gates, pads,
    /// power, caches.
    pub stored: &'static [Range<u32>],
    /// What some of these hold after a reset, by ascending address.
    pub initial: &'static [(u32, u32)],
    /// Bits that are always 1: what was asked for is done.
    pub ones: &'static [Bits],
    /// Bits that are always 0: requests, which end at once.
    pub zeros: &'static [Bits],
}

/// A clock that is chosen by bits.
#[derive(Debug)]
pub struct ClockSelect {
    /// The number of the source.
    pub select: Bits,
    /// The sources by number.
    pub from: &'static [ClockSource],
    /// Divider of the chosen clock, less 1.
    pub divide: Option<Bits>,
}

/// What a clock can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockSource {
    /// The crystal.
    Crystal,
    /// The peripheral bus.
    Apb,
    /// The PLL, as [`Registers::pll`] says.
    Pll,
    /// As the ROM's loader left it.
    Loader,
    /// A number of MHz.
    Mhz(u16),
    /// So many times the crystal.
    Multiple(u8),
}

/// UART0 where chips differ. The registers FIFO, INT_RAW, INT_ST, INT_ENA, INT_CLR, CLKDIV, STATUS
/// and CONF0 are the same on all. Addresses here are offsets from the FIFO.
#[derive(Debug)]
pub struct UartRegisters {
    /// Number of its interrupt source; on a chip without a matrix, the CPU's interrupt.
    pub source: u16,
    /// Bytes in the receive FIFO that raise RXFIFO_FULL.
    pub rx_full: Bits,
    /// Bytes in the transmit FIFO below which TXFIFO_EMPTY is raised.
    pub tx_empty: Bits,
    /// Whether the receiver's time-out is on.
    pub timeout_on: Bits,
    /// The time-out.
    pub timeout: Bits,
    /// Bit times in one unit of it.
    pub timeout_unit: u8,
    /// Empties the receive FIFO while it is 1.
    pub rx_reset: Bits,
    /// Empties the transmit FIFO while it is 1.
    pub tx_reset: Bits,
    /// Not 0 while the transmitter has a byte on the line; `None`: nothing tells.
    pub tx_state: Option<Bits>,
    /// Takes what was written over into the UART's own clock domain.
    pub update: Option<Bits>,
    /// Whether writing CLKDIV and the like has no effect before that.
    pub latches: bool,
    /// Measurement of the rate.
    pub autobaud: AutobaudRegisters,
    /// Whether there is TX_DONE.
    pub tx_done: bool,
    /// Clock of the baud rate's divider; `None`: a multiple of the crystal's.
    pub clock: Option<ClockSelect>,
    /// Registers that always have this value.
    pub constants: &'static [(u32, u32)],
    /// What registers hold when the ROM's loader gives way, where it is not 0 and matters: one byte
    /// raises RXFIFO_FULL (`Uart_Init` of the ROMs).
    pub initial: &'static [(u32, u32)],
    /// Bytes of the block.
    pub len: u32,
}

/// Registers that measure the rate of what comes in.
#[derive(Debug)]
pub struct AutobaudRegisters {
    /// On.
    pub on: Bits,
    /// Shortest low pulse.
    pub low: u32,
    /// Shortest high pulse.
    pub high: u32,
    /// Number of edges.
    pub edges: u32,
}

/// SPI1 beyond what a loader's commands touch. Addresses are offsets from its first register.
#[derive(Debug)]
pub struct SpiRegisters {
    /// What RDSR reads into, and WRSR writes.
    pub status: u32,
    /// Clock cycles of a bit, less 1.
    pub divider: Bits,
    /// A divider before that one, less 1.
    pub prescaler: Option<Bits>,
    /// The whole clock, not divided.
    pub undivided: Bits,
    /// Chip select stays low behind a command (`CS_KEEP_ACTIVE` of `spi_mem_reg.h` and `spi_reg.h`).
    pub hold: Option<Bits>,
}

/// USB-Serial/JTAG.
#[derive(Debug)]
pub struct UsbJtagRegisters {
    /// EP1.
    pub base: u32,
    /// Number of its interrupt source.
    pub source: u16,
}

/// A timer group.
#[derive(Debug)]
pub struct TimerGroupRegisters {
    /// T0CONFIG.
    pub base: u32,
    /// Number of timers, 1 or 2.
    pub timers: u8,
    /// Offset of INT_ENA.
    pub interrupts: u32,
    /// Interrupt sources: the timers', then the watchdog's.
    pub sources: &'static [u16],
    /// What [`crate::Registers::reset_cause`] shows after the watchdog has reset the CPU, or all but
    /// the RTC.
    pub causes: (u8, u8),
}

/// The system timer.
#[derive(Debug)]
pub struct SystimerRegisters {
    /// CONF.
    pub base: u32,
    /// One counter, with the registers of the ESP32-S2, in place of two.
    pub single: bool,
    /// Ticks in a microsecond.
    pub mhz: u8,
    /// Interrupt source of the first of three comparators.
    pub source: u16,
}

/// The ESP8266's own.
#[derive(Debug)]
pub struct FrcRegisters {
    /// FRC1_LOAD.
    pub base: u32,
    /// WDT_CTL.
    pub watchdog: u32,
    /// Interrupts of FRC1 and FRC2.
    pub lines: (u16, u16),
}

/// The RTC's watchdog, where it has no place in [`crate::Watchdogs`], because no session has to do
/// with it.
#[derive(Debug)]
pub struct WatchdogRegisters {
    /// CONFIG0; CONFIG1 to 4 follow.
    pub config0: u32,
    /// WPROTECT; FEED stands before it.
    pub protect: u32,
    /// What opens it.
    pub key: u32,
}

/// The interrupt matrix, and what is behind it.
#[derive(Debug)]
pub struct InterruptRegisters {
    /// First register of the matrix, of source 0.
    pub matrix: u32,
    /// Number of sources.
    pub sources: u16,
    /// First of the registers that show which sources are asserted.
    pub status: Option<u32>,
    /// What is behind it.
    pub controller: InterruptController,
}

/// What the numbers in the matrix mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptController {
    /// Interrupts of an Xtensa CPU.
    Lines,
    /// Interrupts of a controller with priorities, whose registers begin with ENABLE at this address.
    Priorities(u32),
    /// Interrupts of a CLIC whose registers begin at this address.
    Clic(u32),
}

/// Bits that reset something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetBits {
    /// Where 1 is to be written.
    pub bits: Bits,
    /// What is reset.
    pub what: ResetScope,
}

/// How much a reset resets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResetScope {
    /// The CPU.
    Cpu,
    /// All but the RTC.
    Core,
    /// All.
    System,
}
