//! The blocks of registers around a CPU, at their addresses.

use guru_chip::{BlockKind, Chip};

use super::block::{Activity, Block};
use super::uart::{self, Uart};
use super::usb_serial_jtag::{self, UsbSerialJtag};
use crate::options::UsbMode;

/// All blocks of a chip that are modelled. What a session needs without a running program (the
/// flash controller, watchdogs, eFuse) is part of the board itself.
#[derive(Debug)]
pub(crate) struct Peripherals {
    pub uart: Uart,
    /// First addresses at which the UART is seen: on the ESP32 and ESP32-S2 there are two buses.
    uart_at: [u32; 2],
    pub usb: Option<UsbSerialJtag>,
    usb_at: u32,
}

impl Peripherals {
    pub fn new(chip: &Chip, usb: UsbMode) -> Self {
        let blocks = chip.machine.as_ref().map_or(&[][..], |map| map.blocks);
        let usb_at = blocks
            .iter()
            .find(|block| block.kind == BlockKind::UsbSerialJtag);
        Self {
            uart: Uart::new(chip.uart.date & 0xFFF),
            uart_at: [chip.uart.clkdiv & !0xFFF, chip.uart.date & !0xFFF],
            usb: usb_at.map(|_| UsbSerialJtag::new(usb == UsbMode::Jtag)),
            usb_at: usb_at.map_or(0, |block| block.base),
        }
    }

    /// The block at an address, and the offset in it.
    fn find(&mut self, address: u32) -> Option<(&mut dyn Block, u32)> {
        for base in self.uart_at {
            let offset = address.wrapping_sub(base);
            if offset < uart::LEN {
                return Some((&mut self.uart, offset));
            }
        }
        let offset = address.wrapping_sub(self.usb_at);
        if let Some(usb) = self.usb.as_mut().filter(|_| offset < usb_serial_jtag::LEN) {
            return Some((usb, offset));
        }
        None
    }

    /// Reads a register of a block. `None`: there is none.
    pub fn read(&mut self, address: u32, now: u64, activity: &mut Activity) -> Option<u32> {
        let (block, offset) = self.find(address)?;
        block.read(offset, now, activity)
    }

    /// Writes a register of a block. `false`: there is none.
    pub fn write(&mut self, address: u32, value: u32, now: u64, activity: &mut Activity) -> bool {
        match self.find(address) {
            Some((block, offset)) => block.write(offset, value, now, activity),
            None => false,
        }
    }

    /// The interrupt lines of the CPU that are asserted, a bit a line.
    pub fn lines(&mut self, _now: u64) -> u64 {
        0
    }

    /// When a block changes by itself next, with nothing coming from outside.
    pub fn next_event(&self, now: u64) -> Option<u64> {
        let usb = self.usb.as_ref().and_then(|usb| usb.next_event(now));
        [self.uart.next_event(now), usb].into_iter().flatten().min()
    }
}
