//! What the CPU of the chip sees: registers, memory, and the flash on its pins.

use std::collections::HashSet;

use guru_chip::{Bits, Chip, Quirk, Revision};
use guru_link::Instant;
use guru_wire::Grants;

use crate::cpu::AddressSpace;
use crate::event::Event;
use crate::flash::{Nor, Work};
use crate::fuses::Fuses;
use crate::identity::{Words, may_leave_flash_off};
use crate::machine::{Activity, Peripherals, RtcWatchdog, below_ram, ram};
use crate::memory::Memory;
use crate::options::UsbMode;
use crate::spi::Spi;

/// The peripherals of a chip, and its flash.
#[derive(Debug)]
pub(crate) struct Board {
    pub chip: &'static Chip,
    pub nor: Nor,
    pub spi: Spi,
    pub words: Words,
    /// RAM, and what of ROM there is, as the CPU sees it.
    pub ram: AddressSpace,
    pub peripherals: Peripherals,
    /// What was written to registers that are not modelled.
    pub memory: Memory,
    usb: UsbMode,
    /// When the supply fails, if a fault struck a command of the program's.
    pub power_fails_at: Option<u64>,
    /// What the program did that somebody should hear of.
    pub reports: Vec<Event>,
    /// Registers without a model of which that has been said, and whether they were written.
    reported: HashSet<(u32, bool)>,
    /// What a secure download certificate has opened, until the chip is reset as a whole.
    pub grants: Grants,
    watchdog: Option<RtcWatchdog>,
    /// The cause of a reset that the program has asked for.
    pub reset_cause: Option<u8>,
    force_download: u32,
    /// Chip id that it does not have and claims all the same.
    pub chip_id: Option<u32>,
    /// Value of GPIO_STRAP.
    pub strap: u32,
}

/// Below this no chip has a register.
const LOWEST: u32 = 0x1000_0000;
impl Board {
    pub fn new(chip: &'static Chip, nor: Nor, words: Words, usb: UsbMode) -> Self {
        Self {
            chip,
            nor,
            spi: Spi::new(chip),
            words,
            ram: ram(chip),
            peripherals: Peripherals::new(chip, usb),
            memory: Memory::default(),
            usb,
            power_fails_at: None,
            reports: Vec::new(),
            reported: HashSet::new(),
            grants: Grants::default(),
            watchdog: RtcWatchdog::new(chip),
            reset_cause: None,
            force_download: 0,
            chip_id: None,
            strap: 0,
        }
    }

    /// The chip was reset. After a reset by its pin, or of its supply, nothing is left of memory
    /// and of the always-on registers.
    pub fn reset(&mut self, all: bool) {
        self.spi = Spi::new(self.chip);
        self.watchdog = RtcWatchdog::new(self.chip);
        self.reset_cause = None;
        self.peripherals = Peripherals::new(self.chip, self.usb);
        self.power_fails_at = None;
        self.reported.clear();
        if all {
            self.memory.clear();
            self.ram.clear();
            self.force_download = 0;
        }
    }

    /// What the eFuses do to a chip of this revision.
    pub fn fuses(&self, revision: Revision) -> Fuses<'_> {
        Fuses {
            chip: self.chip,
            revision,
            words: &self.words,
            grants: self.grants,
        }
    }

    /// Whether the flash of this chip has no supply in the loader until a client switches it on.
    pub fn starts_without_flash(&self, revision: Revision) -> bool {
        let by_efuse = || {
            let bits = self.named_bits("download_xpd");
            bits.is_some_and(|bits| self.words.get(bits) != 0)
        };
        may_leave_flash_off(self.chip, revision) && !(revision == Revision::new(3, 2) && by_efuse())
    }

    /// The flash gets its supply when its pads are on and both bits that force it on are set.
    fn watch_flash_supply(&mut self) {
        if self.nor.has_supply() || !self.chip.quirks.contains(&Quirk::FlashPowerUp) {
            return;
        }
        let value = |name| {
            let bits = self.named_bits(name)?;
            let mask = u32::MAX >> (32 - u32::from(bits.width));
            let value = self.peripherals.stored(bits.addr) >> bits.lsb & mask;
            Some((value, mask))
        };
        let pads = value("flash_pads").is_some_and(|(value, _)| value != 0);
        let forced = value("flash_on").is_some_and(|(value, mask)| value == mask);
        if pads && forced {
            self.nor.set_supply(true);
        }
    }

    fn named_bits(&self, name: &str) -> Option<Bits> {
        let found = self
            .chip
            .named_bits
            .iter()
            .find(|(known, _)| *known == name);
        found.map(|(_, bits)| *bits)
    }

    /// When a watchdog resets the chip, and the cause that the chip gives then.
    pub fn watchdog_expires(&self) -> Option<(u64, u8)> {
        let rtc = self.watchdog.as_ref().and_then(RtcWatchdog::reset_at);
        [rtc, self.peripherals.reset_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The watchdogs that run while the chip is used over its USB-Serial/JTAG.
    pub fn start_usb_watchdogs(&mut self, now: u64) {
        let other = self.watchdog.as_mut();
        let other = other.and_then(|watchdog| watchdog.start_for_usb(now));
        if let Some(config0) = other {
            self.peripherals.start_watchdog(config0, now);
        }
    }

    /// Whether software asked for the loader at the next reset.
    pub fn download_forced(&self) -> bool {
        let bits = self
            .chip
            .strapping
            .as_ref()
            .and_then(|map| map.force_download);
        bits.is_some_and(|bits| self.force_download >> bits.lsb & 1 != 0)
    }

    /// Software asks for the loader at the next reset, or no longer does.
    pub fn force_download(&mut self, on: bool) {
        let bits = self
            .chip
            .strapping
            .as_ref()
            .and_then(|map| map.force_download);
        if let Some(bits) = bits {
            self.force_download &= !(1 << bits.lsb);
            self.force_download |= u32::from(on) << bits.lsb;
        }
    }

    /// A word as the CPU sees it, without the effects that reading it may have.
    pub fn peek(&self, address: u32) -> u32 {
        if let Some(Ok(word)) = self.ram.load_memory::<4>(address) {
            return word;
        }
        if address == self.chip.uart.clkdiv {
            return self.peripherals.uart.divider();
        }
        let known = self.known(address, Instant::default());
        known.unwrap_or_else(|| match self.peripherals.stored(address) {
            0 => self.memory.read_word(address),
            value => value,
        })
    }

    /// Reads a word as the ROM's loader does.
    pub fn read(&mut self, address: u32, now: Instant) -> u32 {
        if let Some(Ok(word)) = self.ram.load_memory::<4>(address) {
            return word;
        }
        let read = self.read_register(address, now, &mut Activity::default());
        read.unwrap_or_else(|| self.memory.read_word(address))
    }

    /// Reads a register. `None`: it is not modelled.
    pub fn read_register(
        &mut self,
        address: u32,
        now: Instant,
        activity: &mut Activity,
    ) -> Option<u32> {
        let at = now.0.as_nanos() as u64;
        let address = self.peripherals.unmirrored(address);
        let known = self.known(address, now);
        known.or_else(|| self.peripherals.read(address, at, activity))
    }

    /// Reads a register for the program that runs. One that is not modelled is reported, and holds
    /// what was written.
    pub fn load(&mut self, address: u32, now: Instant, activity: &mut Activity) -> u32 {
        self.read_register(address, now, activity)
            .unwrap_or_else(|| {
                self.report(address, false);
                self.memory.read_word(address)
            })
    }

    /// Writes a register for the program that runs.
    pub fn store(&mut self, address: u32, value: u32, now: Instant, activity: &mut Activity) {
        let before = self.spi.snapshot();
        let dog = self.watchdog_expires();
        let (known, work) = self.write_register(address, value, now, activity);
        if let Some(time) = work.and_then(|work| work.power_loss) {
            let at = (now + time).0.as_nanos() as u64;
            self.power_fails_at = Some(self.power_fails_at.unwrap_or(u64::MAX).min(at));
        }
        let after = self.spi.snapshot();
        activity.changed |= work.is_some() || after.2 || (before.0, before.1) != (after.0, after.1);
        activity.changed |= dog != self.watchdog_expires();
        if !known {
            self.report(address, true);
            activity.changed |= self.memory.read_word(address) != value;
            self.keep(address, value);
        }
    }

    /// Whether registers may be at an address. Below and above there is nothing, or flash that is not
    /// mapped; and nothing is where a stack comes to that overflows.
    pub fn answers(&self, address: u32) -> bool {
        let machine = self.chip.machine.as_ref();
        let rom = machine.map_or(&[][..], |map| map.rom);
        let mapped = [&self.chip.irom, &self.chip.drom];
        address >= LOWEST
            && !mapped.iter().any(|range| range.contains(&address))
            && !rom.iter().any(|range| range.contains(&address))
            && !machine.is_some_and(|map| below_ram(map).contains(&address))
    }

    /// Whether something came up that the CPU must not run past.
    pub fn wants_attention(&self) -> bool {
        self.power_fails_at.is_some() || self.reset_cause.is_some()
    }

    fn report(&mut self, address: u32, write: bool) {
        if self.reported.insert((address, write)) {
            self.reports.push(Event::UnknownRegister { address, write });
        }
    }

    /// When, after `now`, something that the program can see changes by itself.
    pub fn next_change(&self, now: u64) -> Option<u64> {
        let command = self.spi.next_event(now);
        let other = self.next_change_beside_commands(now);
        command.into_iter().chain(other).min()
    }

    /// The same, beside the end of what the flash controller does.
    pub fn next_change_beside_commands(&self, now: u64) -> Option<u64> {
        let flash = self.nor.busy_until().0.as_nanos();
        let flash = u64::try_from(flash).ok().filter(|at| *at > now);
        let blocks = self.peripherals.next_event(now);
        flash.into_iter().chain(blocks).min()
    }

    /// A register of what a session needs without a program. `None`: the address is none of these.
    fn known(&self, address: u32, now: Instant) -> Option<u32> {
        if let Some(value) = self.spi.read(address, now) {
            return Some(value);
        }
        if let Some(value) = self.words.seen(self.chip, address) {
            return Some(value);
        }
        if let Some(value) = self.watchdog.as_ref().and_then(|dog| dog.read(address)) {
            return Some(value);
        }
        if let Some(map) = &self.chip.strapping {
            if address == map.gpio_strap {
                return Some(self.strap);
            }
            if map.force_download.is_some_and(|bits| bits.addr == address) {
                return Some(self.force_download);
            }
        }
        self.in_efuse(address).then_some(0)
    }

    /// Writes a word as the ROM's loader does; a command for the flash returns what it costs.
    pub fn write(&mut self, address: u32, value: u32, now: Instant) -> Option<Work> {
        if self.ram.store_memory::<4>(address, value).is_some() {
            return None;
        }
        // The loader has the UART for itself.
        if address == self.chip.uart.clkdiv {
            return None;
        }
        let (known, work) = self.write_register(address, value, now, &mut Activity::default());
        if !known {
            self.keep(address, value);
        }
        work
    }

    /// Puts bytes where the ROM's loader is told to.
    pub fn put(&mut self, address: u32, bytes: &[u8]) {
        for (at, byte) in (0..).map(|offset| address.wrapping_add(offset)).zip(bytes) {
            if self.ram.poke(at, &[*byte]).is_err() {
                self.memory.write(at, &[*byte]);
            }
        }
    }

    fn keep(&mut self, address: u32, value: u32) {
        self.memory.write(address, &value.to_le_bytes());
    }

    /// Writes a register. The first answer is whether it is modelled, the second what a command
    /// for the flash costs.
    fn write_register(
        &mut self,
        address: u32,
        value: u32,
        now: Instant,
        activity: &mut Activity,
    ) -> (bool, Option<Work>) {
        let address = self.peripherals.unmirrored(address);
        let at = now.0.as_nanos() as u64;
        if let Some(work) = self.spi.write(address, value, now, &mut self.nor) {
            return (true, work);
        }
        if self.in_efuse(address) {
            return (true, None);
        }
        if self.words.read(address).is_some() {
            if self.peripherals.is_stored(address) {
                self.words.put(address, value);
                self.peripherals.write(address, value, at, activity);
            }
            return (true, None);
        }
        if let Some(watchdog) = &mut self.watchdog
            && watchdog.write(address, value, at)
        {
            return (true, None);
        }
        if let Some(map) = &self.chip.strapping {
            if address == map.gpio_strap {
                return (true, None);
            }
            if map.force_download.is_some_and(|bits| bits.addr == address) {
                activity.changed |= self.force_download != value;
                self.force_download = value;
                // Other bits of the register may reset the chip.
                self.peripherals.write(address, value, at, activity);
                self.reset_cause = self.peripherals.take_reset().or(self.reset_cause);
                return (true, None);
            }
        }
        let known = self.peripherals.write(address, value, at, activity);
        self.reset_cause = self.peripherals.take_reset().or(self.reset_cause);
        if known {
            self.watch_flash_supply();
        }
        (known, None)
    }

    fn in_efuse(&self, address: u32) -> bool {
        let space = &self.chip.efuse;
        address
            .checked_sub(space.base)
            .is_some_and(|offset| offset < space.len)
    }
}
