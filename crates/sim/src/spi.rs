//! The SPI memory controller: how register accesses become commands of the flash.
//!
//! Sources: technical reference manuals, "SPI memory controller"; ESP-IDF's `spi_mem_reg.h`;
//! the mask ROM's own use of the registers.

use guru_chip::{SpiController, SpiLengths};
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
/// A bit on the pins, in nanoseconds: 20 MHz, as the ROM sets it. An assumption for most chips.
const BIT_NS: u64 = 50;
/// Commands that read and change nothing: status, identity, contents.
const READS: [u8; 10] = [0x03, 0x05, 0x0B, 0x0C, 0x13, 0x15, 0x35, 0x3B, 0x5A, 0x9F];
/// Bytes of the 16 data words.
const DATA: usize = 64;

/// Registers of the controller, with the flash on its pins.
#[derive(Debug)]
pub(crate) struct Spi {
    map: &'static SpiController,
    addr: u32,
    ctrl: u32,
    usr: u32,
    usr1: u32,
    usr2: u32,
    mosi: u32,
    miso: u32,
    data: [u8; DATA],
    /// When the last command has passed over the pins, in nanoseconds.
    done_at: u64,
    /// The last command did more than read.
    acted: bool,
    /// Whether the pins lead to the flash: SPI_ATTACH has been done.
    pub attached: bool,
}

impl Spi {
    pub fn new(map: &'static SpiController) -> Self {
        Self {
            map,
            addr: 0,
            ctrl: 0,
            // As the ROM leaves them: command and MISO phases, 8-bit command, 24-bit address.
            usr: USR_COMMAND | USR_MISO,
            usr1: 23 << 26,
            usr2: 7 << 28,
            mosi: 0,
            miso: 0,
            data: [0; DATA],
            done_at: 0,
            acted: false,
            attached: false,
        }
    }

    /// When the command under way at `now` has passed, if there is one.
    pub fn next_event(&self, now: u64) -> Option<u64> {
        (self.done_at > now).then_some(self.done_at)
    }

    /// All that can be read back, and whether a command did more than read since this was asked.
    pub fn snapshot(&mut self) -> ([u32; 7], [u8; DATA], bool) {
        let registers = [
            self.addr, self.ctrl, self.usr, self.usr1, self.usr2, self.mosi, self.miso,
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
                if busy { CMD_USR } else { 0 }
            }
            _ if address == map.addr => self.addr,
            _ if address == map.ctrl => self.ctrl,
            _ if address == map.usr => self.usr,
            _ if address == map.usr1 => self.usr1,
            _ if address == map.usr2 => self.usr2,
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

    fn run(&mut self, bits: u32, now: Instant, flash: &mut Nor) -> Option<Work> {
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
            Fixed::Read(command, bytes) => self.exchange(&[command], bytes, now, flash),
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
                sent.extend_from_slice(&self.data[..len]);
                self.exchange(&sent, 0, now, flash)
            }
        }
    }

    fn exchange(
        &mut self,
        sent: &[u8],
        received: usize,
        now: Instant,
        flash: &mut Nor,
    ) -> Option<Work> {
        self.acted |= !sent.first().is_some_and(|command| READS.contains(command));
        let bytes = (sent.len() + received) as u64;
        self.done_at = now.0.as_nanos() as u64 + bytes * 8 * BIT_NS;
        let answer = &mut self.data[..received];
        if !self.attached {
            // The pins lead nowhere, and MISO is pulled down.
            answer.fill(0);
            return None;
        }
        flash.transact(now, sent, answer)
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
    Read(u8, usize),
    Erase(u8),
    Program,
    WriteStatus,
}

/// Bits of the CMD register that run a command without the USER registers; the same on every
/// chip from the ESP8266 on. Reading by bit 31 needs a mode of its own and is left out.
const FIXED: [(u32, Fixed); 11] = [
    (30, Fixed::Plain(0x06)),
    (29, Fixed::Plain(0x04)),
    (28, Fixed::Read(0x9F, 3)),
    (27, Fixed::Read(0x05, 1)),
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
