//! The RTC's watchdogs: the one with stages, and the super watchdog, which can be told to feed itself.
//!
//! Sources: technical reference manuals, "Watchdog Timers"; ESP-IDF's `rtc_cntl_reg.h`, `lp_wdt_reg.h`.

use guru_chip::{Chip, ResetScope, SuperWatchdog, Watchdogs};

use super::watchdog::{Kind, Watchdog};

/// Frequency of the slow clock that counts, in Hz (the internal RC oscillator).
const SLOW_CLOCK: u32 = 136_000;
/// How long a chip that was entered over USB-Serial/JTAG lives when nobody silences its
/// watchdogs. Not documented; long enough for a client that silences them first of all.
pub(super) const USB_WATCHDOG: u32 = 10;
const ENABLE: u32 = 1 << 31;
/// CONFIG0: the first stage resets all.
const RESET_ALL: u32 = 4 << 28;
/// Causes, as ROMs number them: the CPU, all but the RTC, all; the super watchdog.
const CAUSES: [u8; 3] = [0xD, 0x9, 0x10];
const SUPER_CAUSE: u8 = 0x12;

/// The registers, at their addresses.
#[derive(Debug)]
pub(crate) struct RtcWatchdog {
    config0: u32,
    protect: u32,
    key: u32,
    dog: Watchdog,
    /// What sessions silence.
    session: Option<&'static Watchdogs>,
    swd: Option<&'static SuperWatchdog>,
    swd_config: u32,
    swd_protect: u32,
    /// When the super watchdog resets the chip.
    swd_expires: Option<u64>,
}

impl RtcWatchdog {
    pub fn new(chip: &'static Chip) -> Option<Self> {
        let own = || {
            let map = chip.registers.rtc_watchdog.as_ref()?;
            Some((map.config0, map.protect, map.key))
        };
        let session = chip.watchdogs.as_ref();
        let session_at = || session.map(|map| (map.config0, map.protect, map.key));
        let (config0, protect, key) = own().or_else(session_at)?;
        let mut dog = Watchdog::new(Kind::Rtc);
        dog.set_rate(SLOW_CLOCK, 1);
        // The ROM leaves it locked.
        dog.protect = 0;
        Some(Self {
            config0,
            protect,
            key,
            dog,
            session,
            swd: session.and_then(|map| map.swd.as_ref()),
            swd_config: 0,
            swd_protect: 0,
            swd_expires: None,
        })
    }

    /// They run while the chip is used over its USB-Serial/JTAG. Answers with the address of CONFIG0
    /// of a watchdog that does so in the place of this one.
    pub fn start_for_usb(&mut self, now: u64) -> Option<u32> {
        let session = self.session.filter(|map| map.swd.is_some())?;
        self.swd_expires = Some(now + u64::from(USB_WATCHDOG) * 1_000_000_000);
        if session.config0 != self.config0 {
            return Some(session.config0);
        }
        self.dog.times[0] = USB_WATCHDOG * SLOW_CLOCK;
        self.dog.configure(ENABLE | RESET_ALL, now);
        None
    }

    /// When one of them resets the chip, and what the chip then gives as the cause.
    pub fn reset_at(&self) -> Option<(u64, u8)> {
        let staged = self.dog.reset_at().map(|(at, scope)| {
            let index = match scope {
                ResetScope::Cpu => 0,
                ResetScope::Core => 1,
                ResetScope::System => 2,
            };
            (at, CAUSES[index])
        });
        let swd = self.swd_expires.map(|at| (at, SUPER_CAUSE));
        [staged, swd].into_iter().flatten().min()
    }

    /// Place of a register among CONFIG0 to 4, FEED and WPROTECT.
    fn offset(&self, address: u32) -> Option<u32> {
        (self.config0..=self.protect)
            .contains(&address)
            .then(|| address - self.config0)
    }

    pub fn read(&self, address: u32) -> Option<u32> {
        if address == self.protect {
            return Some(self.dog.protect);
        }
        if let Some(offset) = self.offset(address) {
            return Some(match offset {
                0x00 => self.dog.config,
                0x04..=0x10 => self.dog.times[(offset / 4 - 1) as usize % 4],
                _ => 0,
            });
        }
        let swd = self.swd?;
        match address {
            _ if address == swd.config => Some(self.swd_config),
            _ if address == swd.protect => Some(self.swd_protect),
            _ => None,
        }
    }

    /// Takes a write to one of the registers; a locked one keeps its value.
    pub fn write(&mut self, address: u32, value: u32, now: u64) -> bool {
        if address == self.protect {
            self.dog.protect = value;
            return true;
        }
        if let Some(offset) = self.offset(address) {
            if self.dog.protect != self.key {
                return true;
            }
            match offset {
                0x00 => self.dog.configure(value, now),
                0x04..=0x10 => self.dog.times[(offset / 4 - 1) as usize % 4] = value,
                _ if address + 4 == self.protect => self.dog.feed(now),
                _ => {}
            }
            return true;
        }
        let Some(swd) = self.swd else {
            return false;
        };
        match address {
            _ if address == swd.protect => self.swd_protect = value,
            _ if address == swd.config => {
                if self.swd_protect == swd.key {
                    self.swd_config = value;
                    if value >> swd.auto_feed & 1 != 0 {
                        self.swd_expires = None;
                    }
                }
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dogs() -> impl Iterator<Item = (&'static str, RtcWatchdog)> {
        let chips = guru_chip::CHIPS.iter();
        chips.filter_map(|chip| Some((chip.id, RtcWatchdog::new(chip)?)))
    }

    #[test]
    fn a_program_that_forgets_it_is_reset_and_one_that_feeds_it_is_not() {
        for (chip, mut dog) in dogs() {
            let base = dog.config0;
            assert!(dog.write(base, ENABLE | RESET_ALL, 0));
            assert_eq!(dog.read(base), Some(0), "{chip}: locked");
            assert!(dog.write(dog.protect, dog.key, 0));
            assert!(dog.write(base + 4, 136_000, 0));
            assert!(dog.write(base, ENABLE | RESET_ALL, 0));
            let (at, cause) = dog.reset_at().expect("a reset");
            assert!(at.abs_diff(1_000_000_000) < 10, "{chip}");
            assert_eq!(cause, 0x10, "{chip}");
            assert!(dog.write(dog.protect - 4, 1, 500_000_000));
            let (at, _) = dog.reset_at().expect("a reset");
            assert!(at.abs_diff(1_500_000_000) < 10, "{chip}");
            assert!(dog.write(base, 0, 0));
            assert_eq!(dog.reset_at(), None, "{chip}");
        }
    }

    #[test]
    fn over_usb_both_have_to_be_silenced() {
        for (chip, mut dog) in dogs() {
            let Some(swd) = dog.swd else {
                continue;
            };
            if dog.start_for_usb(0).is_some() {
                continue;
            }
            dog.write(dog.protect, dog.key, 1);
            dog.write(dog.config0, 0, 1);
            assert_eq!(
                dog.reset_at(),
                Some((10_000_000_000, SUPER_CAUSE)),
                "{chip}"
            );
            dog.write(swd.config, 1 << swd.auto_feed, 1);
            assert!(dog.reset_at().is_some(), "{chip}: locked");
            dog.write(swd.protect, swd.key, 1);
            dog.write(swd.config, 1 << swd.auto_feed, 1);
            assert_eq!(dog.reset_at(), None, "{chip}");
        }
    }
}
