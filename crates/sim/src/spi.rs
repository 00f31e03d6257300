//! The SPI memory controller: how register accesses become commands of the flash.
//!
//! Sources: technical reference manuals, "SPI memory controller"; ESP-IDF's `spi_mem_reg.h`;
//! the mask ROM's own use of the registers.

use guru_chip::{Bits, Chip, SpiController, SpiLengths, SpiRegisters};
use guru_link::Instant;

use crate::flash::{Nor, Work};

const CMD_USR: u32 = 1 << 18;
const USR_COMMAND: u32 = 1 << 31;
const USR_ADDR: u32 = 1 << 30;
const USR_DUMMY: u32 = 1 << 29;
const USR_MISO: u32 = 1 << 28;
const USR_MOSI: u32 = 1 << 27;
/// CTRL: status registers are written two bytes at a time.
const CTRL_WRSR_2B: u32 = 1 << 22;
/// CTRL: address and data, or data alone, go over two or four lines when reading.
const CTRL_QIO: u32 = 1 << 24;
const CTRL_DIO: u32 = 1 << 23;
const CTRL_QUAD: u32 = 1 << 20;
const CTRL_DUAL: u32 = 1 << 14;
/// CTRL: reading begins with dummy cycles.
const CTRL_FAST: u32 = 1 << 13;
/// A cycle on the pins, in picoseconds: 20 MHz, as the ROM sets it. An assumption for most chips.
const CYCLE_PS: u64 = 50_000;
/// A cycle of what CLOCK divides, in picoseconds: 80 MHz. An assumption for chips without such a PLL.
const SOURCE_PS: u64 = 12_500;
/// Commands that read and change nothing: status, identity, contents.
const READS: [u8; 17] = [
    0x03, 0x05, 0x0B, 0x0C, 0x13, 0x15, 0x35, 0x3B, 0x3C, 0x5A, 0x6B, 0x6C, 0x9F, 0xBB, 0xBC, 0xEB,
    0xEC,
];
/// The command that reads the first status register, and the bit in it that says busy.
const READ_STATUS: u8 = 0x05;
const BUSY: u8 = 1;
/// Bytes of the 16 data words.
const DATA: usize = 64;

/// Registers of the controller, with the flash on its pins.
#[derive(Debug)]
pub(crate) struct Spi {
    map: &'static SpiController,
    more: &'static SpiRegisters,
    addr: u32,
    ctrl: u32,
    usr: u32,
    usr1: u32,
    usr2: u32,
    mosi: u32,
    miso: u32,
    /// What RDSR has read, and WRSR writes.
    status: u32,
    /// CLOCK, once it was written.
    clock: Option<u32>,
    /// The register of [`SpiRegisters::hold`].
    misc: u32,
    /// What was sent since chip select is low.
    held: Vec<u8>,
    data: [u8; DATA],
    /// The bits of CMD that the last command was run by.
    command: u32,
    /// When the last command has passed over the pins, in nanoseconds.
    done_at: u64,
    /// The last command did more than read.
    acted: bool,
    /// Commands so far, and those that found the flash busy since that was asked.
    commands: u64,
    polls: u64,
    /// Whether the pins lead to the flash: SPI_ATTACH has been done.
    pub attached: bool,
}

impl Spi {
    pub fn new(chip: &'static Chip) -> Self {
        Self {
            map: &chip.spi,
            more: &chip.registers.spi,
            addr: 0,
            ctrl: 0,
            // As the ROM leaves them: command and MISO phases, 8-bit command, 24-bit address.
            usr: USR_COMMAND | USR_MISO,
            usr1: 23 << 26,
            usr2: 7 << 28,
            mosi: 0,
            miso: 0,
            status: 0,
            clock: None,
            misc: 0,
            held: Vec::new(),
            command: 0,
            data: [0; DATA],
            done_at: 0,
            acted: false,
            commands: 0,
            polls: 0,
            attached: false,
        }
    }

    /// When the command under way at `now` has passed, if there is one.
    pub fn next_event(&self, now: u64) -> Option<u64> {
        (self.done_at > now).then_some(self.done_at)
    }

    /// How long the command under way at `now` still takes, in nanoseconds.
    pub fn left(&self, now: u64) -> u64 {
        self.done_at.saturating_sub(now)
    }

    /// What was under way at `before` ends as long after `now` as it would have ended after `before`.
    pub fn delay(&mut self, before: u64, now: u64) {
        if self.done_at > before {
            self.done_at += now - before;
        }
    }

    /// Commands that have been given.
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// How often the flash has answered that it is busy since this was last asked.
    pub fn take_polls(&mut self) -> u64 {
        std::mem::take(&mut self.polls)
    }

    /// All that can be read back, and whether a command did more than read since this was asked.
    pub fn snapshot(&mut self) -> ([u32; 10], [u8; DATA], bool) {
        let clock = self.clock.unwrap_or(0);
        let registers = [
            self.addr,
            self.ctrl,
            self.usr,
            self.usr1,
            self.usr2,
            self.mosi,
            self.miso,
            clock,
            self.misc,
            self.status,
        ];
        (registers, self.data, std::mem::take(&mut self.acted))
    }

    /// Value of a register, if the address is one of the controller's.
    pub fn read(&self, address: u32, now: Instant) -> Option<u32> {
        let map = self.map;
        if let Some(at) = self.data_at(address) {
            let word = self.data[at..at + 4].try_into().map(u32::from_le_bytes);
            return word.ok();
        }
        Some(match address {
            _ if address == map.cmd => {
                let busy = now.0.as_nanos() < u128::from(self.done_at);
                if busy { self.command } else { 0 }
            }
            _ if address == map.addr => self.addr,
            _ if address == map.ctrl => self.ctrl,
            _ if address == map.usr => self.usr,
            _ if address == map.usr1 => self.usr1,
            _ if address == map.usr2 => self.usr2,
            _ if address == map.cmd + self.more.status => self.status,
            _ if address == map.cmd + self.more.undivided.addr => self.clock.unwrap_or(0),
            _ if self.hold_register() == Some(address) => self.misc,
            _ => match map.lengths {
                SpiLengths::Registers { mosi, .. } if address == mosi => self.mosi,
                SpiLengths::Registers { miso, .. } if address == miso => self.miso,
                _ => return None,
            },
        })
    }

    /// Writes a register. `None`: the address is not one of the controller's. A command that
    /// changes the flash returns what it costs.
    pub fn write(
        &mut self,
        address: u32,
        value: u32,
        now: Instant,
        flash: &mut Nor,
    ) -> Option<Option<Work>> {
        let map = self.map;
        if let Some(at) = self.data_at(address) {
            self.data[at..at + 4].copy_from_slice(&value.to_le_bytes());
            return Some(None);
        }
        match address {
            _ if address == map.cmd => return Some(self.run(value, now, flash)),
            _ if address == map.addr => self.addr = value,
            _ if address == map.ctrl => self.ctrl = value,
            _ if address == map.usr => self.usr = value,
            _ if address == map.usr1 => self.usr1 = value,
            _ if address == map.usr2 => self.usr2 = value,
            _ if address == map.cmd + self.more.status => self.status = value,
            _ if address == map.cmd + self.more.undivided.addr => self.clock = Some(value),
            _ if self.hold_register() == Some(address) => self.misc = value,
            _ => match map.lengths {
                SpiLengths::Registers { mosi, .. } if address == mosi => self.mosi = value,
                SpiLengths::Registers { miso, .. } if address == miso => self.miso = value,
                _ => return None,
            },
        }
        Some(None)
    }

    fn data_at(&self, address: u32) -> Option<usize> {
        let at = address.checked_sub(self.map.w0)? as usize;
        (at < DATA && at.is_multiple_of(4)).then_some(at)
    }

    fn hold_register(&self) -> Option<u32> {
        self.more.hold.map(|bits| self.map.cmd + bits.addr)
    }

    fn run(&mut self, bits: u32, now: Instant, flash: &mut Nor) -> Option<Work> {
        self.command = bits;
        if bits & CMD_USR != 0 {
            return self.run_user(now, flash);
        }
        let fixed = FIXED.iter().find(|(bit, _)| bits & 1 << bit != 0)?;
        self.run_fixed(fixed.1, now, flash)
    }

    /// A command as the USER registers describe it.
    fn run_user(&mut self, now: Instant, flash: &mut Nor) -> Option<Work> {
        let mut sent = Vec::with_capacity(DATA + 8);
        if self.usr & USR_COMMAND != 0 {
            let bits = (self.usr2 >> 28) + 1;
            let command = (self.usr2 as u16).to_le_bytes();
            sent.extend_from_slice(&command[..if bits > 8 { 2 } else { 1 }]);
        }
        if self.usr & USR_ADDR != 0 {
            let bits = (self.usr1 >> 26) + 1;
            let aligned = if self.map.address_msb || bits >= 32 {
                self.addr
            } else {
                self.addr << (32 - bits)
            };
            let bytes = (bits as usize).div_ceil(8).min(4);
            sent.extend_from_slice(&aligned.to_be_bytes()[..bytes]);
        }
        if self.usr & USR_DUMMY != 0 {
            let bits = (self.usr1 & 0xFF) as usize + 1;
            sent.resize(sent.len() + bits.div_ceil(8).min(DATA), 0);
        }
        if self.usr & USR_MOSI != 0 {
            let bytes = data_bytes(self.mosi_bits());
            sent.extend_from_slice(&self.data[..bytes]);
        }
        let received = if self.usr & USR_MISO != 0 {
            data_bytes(self.miso_bits())
        } else {
            0
        };
        self.exchange(&sent, received, now, flash)
    }

    /// One of the commands that have a bit of their own.
    fn run_fixed(&mut self, fixed: Fixed, now: Instant, flash: &mut Nor) -> Option<Work> {
        let [_, high, middle, low] = self.addr.to_be_bytes();
        let address = |command: u8| [command, high, middle, low];
        match fixed {
            Fixed::Plain(command) => self.exchange(&[command], 0, now, flash),
            Fixed::Identity => self.exchange(&[0x9F], 3, now, flash),
            Fixed::Status => {
                let kept = self.data[0];
                let work = self.exchange(&[0x05], 1, now, flash);
                let status = std::mem::replace(&mut self.data[0], kept);
                self.status = self.status & !0xFF | u32::from(status);
                work
            }
            Fixed::Read => {
                // The number of bytes stands above the address where it has no register.
                let len = match (self.addr >> 24, self.map.lengths) {
                    (0, _) | (_, SpiLengths::Registers { .. }) => data_bytes(self.miso_bits()),
                    (len, SpiLengths::InUsr1) => (len as usize).min(DATA),
                };
                let command = match self.ctrl {
                    ctrl if ctrl & CTRL_FAST == 0 => 0x03,
                    ctrl if ctrl & CTRL_QIO != 0 => 0xEB,
                    ctrl if ctrl & CTRL_DIO != 0 => 0xBB,
                    ctrl if ctrl & CTRL_QUAD != 0 => 0x6B,
                    ctrl if ctrl & CTRL_DUAL != 0 => 0x3B,
                    _ => 0x0B,
                };
                self.exchange(&address(command), len, now, flash)
            }
            Fixed::Erase(command) => self.exchange(&address(command), 0, now, flash),
            Fixed::Program => {
                // The number of bytes stands above the address.
                let len = (self.addr >> 24) as usize;
                let mut sent = address(0x02).to_vec();
                sent.extend_from_slice(&self.data[..len.min(DATA)]);
                self.exchange(&sent, 0, now, flash)
            }
            Fixed::WriteStatus => {
                let len = if self.ctrl & CTRL_WRSR_2B != 0 { 2 } else { 1 };
                let mut sent = vec![0x01];
                sent.extend_from_slice(&self.status.to_le_bytes()[..len]);
                self.exchange(&sent, 0, now, flash)
            }
        }
    }

    /// A cycle on the pins, in picoseconds.
    fn cycle_ps(&self) -> u64 {
        let Some(clock) = self.clock else {
            return CYCLE_PS;
        };
        let value = |bits: Bits| u64::from(clock >> bits.lsb) & ((1 << bits.width) - 1);
        if value(self.more.undivided) != 0 {
            return SOURCE_PS;
        }
        let prescaler = self.more.prescaler.map_or(0, value);
        SOURCE_PS * (value(self.more.divider) + 1) * (prescaler + 1)
    }

    /// Lines that data come over.
    fn lines(&self) -> u64 {
        match self.ctrl {
            ctrl if ctrl & CTRL_FAST == 0 => 1,
            ctrl if ctrl & (CTRL_QIO | CTRL_QUAD) != 0 => 4,
            ctrl if ctrl & (CTRL_DIO | CTRL_DUAL) != 0 => 2,
            _ => 1,
        }
    }

    fn exchange(
        &mut self,
        sent: &[u8],
        received: usize,
        now: Instant,
        flash: &mut Nor,
    ) -> Option<Work> {
        self.commands += 1;
        let is_read = |sent: &[u8]| sent.first().is_some_and(|command| READS.contains(command));
        self.acted |= !is_read(sent);
        let cycles = 8 * (sent.len() as u64 + received as u64 / self.lines());
        self.done_at = now.0.as_nanos() as u64 + cycles * self.cycle_ps() / 1000;
        // Looked at when a command ends, as the master of ESP-IDF relies on. Held reads are not
        // modelled: they end with their command.
        let holds = |hold: Bits| self.misc >> hold.lsb & 1 != 0;
        if received == 0 && self.more.hold.is_some_and(holds) {
            self.held.extend_from_slice(sent);
            self.acted = true;
            return None;
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(sent);
        let answer = &mut self.data[..received];
        if !self.attached {
            // The pins lead nowhere, and MISO is pulled down.
            answer.fill(0);
            return None;
        }
        let work = flash.transact(now, &all, answer);
        if let ([READ_STATUS, ..], [status, ..]) = (&*all, &*answer) {
            self.polls += u64::from(status & BUSY);
        }
        work
    }

    fn mosi_bits(&self) -> u32 {
        match self.map.lengths {
            SpiLengths::Registers { .. } => (self.mosi & 0x3FF) + 1,
            SpiLengths::InUsr1 => (self.usr1 >> 17 & 0x1FF) + 1,
        }
    }

    fn miso_bits(&self) -> u32 {
        match self.map.lengths {
            SpiLengths::Registers { .. } => (self.miso & 0x3FF) + 1,
            SpiLengths::InUsr1 => (self.usr1 >> 8 & 0x1FF) + 1,
        }
    }
}

#[derive(Clone, Copy)]
enum Fixed {
    Plain(u8),
    Identity,
    Status,
    Read,
    Erase(u8),
    Program,
    WriteStatus,
}

/// Bits of the CMD register that run a command without the USER registers; the same on every
/// chip from the ESP8266 on.
const FIXED: [(u32, Fixed); 12] = [
    (31, Fixed::Read),
    (30, Fixed::Plain(0x06)),
    (29, Fixed::Plain(0x04)),
    (28, Fixed::Identity),
    (27, Fixed::Status),
    (26, Fixed::WriteStatus),
    (25, Fixed::Program),
    (24, Fixed::Erase(0x20)),
    (23, Fixed::Erase(0xD8)),
    (22, Fixed::Plain(0xC7)),
    (21, Fixed::Plain(0xB9)),
    (20, Fixed::Plain(0xAB)),
];

fn data_bytes(bits: u32) -> usize {
    (bits as usize).div_ceil(8).min(DATA)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::flash::{Flash, Part};

    const READ: u32 = 1 << 31;
    const WRITE_ENABLE: u32 = 1 << 30;
    const READ_STATUS: u32 = 1 << 27;
    const WRITE_STATUS: u32 = 1 << 26;
    const PROGRAM: u32 = 1 << 25;

    struct Bench {
        spi: Spi,
        nor: Nor,
        now: Instant,
    }

    impl Bench {
        fn new(chip: &'static Chip) -> Self {
            let part = Part::of_size(0x40_0000).expect("a part");
            let mut bench = Self {
                spi: Spi::new(chip),
                nor: Nor::new(part, Flash::in_memory(0x40_0000)),
                now: Instant::default(),
            };
            bench.spi.attached = true;
            bench
        }

        fn write(&mut self, address: u32, value: u32) {
            let written = self.spi.write(address, value, self.now, &mut self.nor);
            assert!(written.is_some(), "{address:#x}");
        }

        fn read(&self, address: u32) -> u32 {
            self.spi.read(address, self.now).expect("a register")
        }

        /// Runs a command and waits for controller and flash.
        fn run(&mut self, command: u32) {
            let cmd = self.spi.map.cmd;
            self.write(cmd, command);
            assert_eq!(self.read(cmd), command, "not over at once");
            self.now = Instant(Duration::from_nanos(self.spi.done_at));
            assert_eq!(self.read(cmd), 0);
            self.now = self.now.max(self.nor.busy_until());
        }
    }

    #[test]
    fn status_goes_through_a_register_of_its_own() {
        for chip in guru_chip::CHIPS {
            let mut bench = Bench::new(chip);
            let status = chip.spi.cmd + chip.registers.spi.status;
            bench.write(chip.spi.w0, 0x1234_5678);
            bench.run(WRITE_ENABLE);
            bench.run(READ_STATUS);
            assert_eq!(bench.read(status), 2, "{}", chip.id);
            bench.write(status, 0x1C);
            bench.run(WRITE_STATUS);
            bench.run(READ_STATUS);
            assert_eq!(bench.read(status), 0x1C, "{}", chip.id);
            assert_eq!(bench.read(chip.spi.w0), 0x1234_5678, "{}", chip.id);
        }
    }

    #[test]
    fn commands_with_chip_select_held_are_one_to_the_flash() {
        for chip in guru_chip::CHIPS {
            let Some(hold) = chip.registers.spi.hold else {
                continue;
            };
            let mut bench = Bench::new(chip);
            let misc = chip.spi.cmd + hold.addr;
            let program = |bench: &mut Bench, usr: u32, held: bool, word: u32| {
                bench.write(chip.spi.usr, usr | USR_MOSI);
                bench.write(chip.spi.usr1, 23 << 26 | 31 << 17);
                bench.write(chip.spi.usr2, 7 << 28 | 0x02);
                if let SpiLengths::Registers { mosi, .. } = chip.spi.lengths {
                    bench.write(mosi, 31);
                }
                let at = 0x1000;
                bench.write(
                    chip.spi.addr,
                    if chip.spi.address_msb { at << 8 } else { at },
                );
                bench.write(chip.spi.w0, word);
                bench.write(misc, u32::from(held) << hold.lsb);
                bench.run(CMD_USR);
            };
            bench.run(WRITE_ENABLE);
            program(&mut bench, USR_COMMAND | USR_ADDR, true, 0x0403_0201);
            program(&mut bench, 0, false, 0x0807_0605);
            let found = bench.nor.cells().read(0x1000..0x1008);
            assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8], "{}", chip.id);
            assert_eq!(bench.nor.counts().program_commands, 1, "{}", chip.id);
        }
    }

    #[test]
    fn every_read_mode_brings_the_same_bytes_and_more_lines_bring_them_sooner() {
        for chip in guru_chip::CHIPS {
            let mut bench = Bench::new(chip);
            bench.run(WRITE_ENABLE);
            bench.write(chip.spi.w0, 0x0403_0201);
            bench.write(chip.spi.addr, 4 << 24 | 0x1000);
            bench.run(PROGRAM);
            let mut times = Vec::new();
            for mode in [
                0,
                CTRL_FAST,
                CTRL_FAST | CTRL_DUAL,
                CTRL_FAST | CTRL_QUAD,
                CTRL_FAST | CTRL_QIO,
            ] {
                bench.write(chip.spi.ctrl, mode);
                match chip.spi.lengths {
                    SpiLengths::Registers { miso, .. } => {
                        bench.write(chip.spi.addr, 0x1000);
                        bench.write(miso, 31);
                    }
                    SpiLengths::InUsr1 => bench.write(chip.spi.addr, 4 << 24 | 0x1000),
                }
                bench.write(chip.spi.w0, 0);
                let begin = bench.now;
                bench.run(READ);
                times.push(bench.now.0 - begin.0);
                assert_eq!(
                    bench.read(chip.spi.w0),
                    0x0403_0201,
                    "{} {mode:#x}",
                    chip.id
                );
            }
            assert!(times[3] < times[2] && times[2] < times[1], "{}", chip.id);
        }
    }

    #[test]
    fn the_divider_sets_how_long_a_command_takes() {
        for chip in guru_chip::CHIPS {
            let mut bench = Bench::new(chip);
            let more = &chip.registers.spi;
            let clock = chip.spi.cmd + more.undivided.addr;
            bench.write(clock, 1 << more.undivided.lsb);
            bench.run(WRITE_ENABLE);
            assert_eq!(bench.now.0, Duration::from_nanos(100), "{}", chip.id);
            bench.now = Instant::default();
            bench.write(clock, 3 << more.divider.lsb);
            bench.run(WRITE_ENABLE);
            assert_eq!(bench.now.0, Duration::from_nanos(400), "{}", chip.id);
        }
    }
}
