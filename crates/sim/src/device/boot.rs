//! How the chip starts: by its supply, a pin, a watchdog, software; and how it stops.

use std::time::Duration;

use guru_link::Instant;
use guru_wire::Grants;

use super::{Cause, Device, Measured, Phase};
use crate::event::Event;
use crate::options::UsbMode;
use crate::rom::{Loader, Receiver, boot_log};

/// How long the supply is away after a power loss.
const POWER_AWAY: Duration = Duration::from_millis(100);
/// How long a chip that may not enter its loader takes from its last word to the next. The ROM waits
/// for 0.2 ms before the reset; how long that takes is an assumption.
const AGAIN: Duration = Duration::from_millis(10);
/// Causes of resets as ROMs number them; USB-Serial/JTAG's lines have another number on the ESP32-P4
/// and -S31.
const POWER_ON: u8 = 1;
const SOFTWARE: u8 = 3;
const SOFTWARE_CPU: u8 = 0xC;
const USB: u8 = 0x15;
/// What an application built with ESP-IDF says when it panics.
const PANIC: &str =
    "Guru Meditation Error: Core  0 panic'ed (IllegalInstruction). Exception was unhandled.\r\n";

impl Device {
    /// The chip starts.
    pub(super) fn boot(&mut self, cause: Cause, download: bool) {
        let again = cause == Cause::Software && download && self.refuses_download();
        self.stats.resets += 1;
        if self.stats.resets > 1 && self.bus.leave(self.now, download) {
            self.connected = false;
            self.to_host.clear();
            self.to_chip.clear();
            (self.dtr, self.rts) = (false, false);
            self.events.push(Event::LeftBus);
        }
        if cause != Cause::Cpu {
            self.board.grants = Grants::default();
        }
        self.board.reset(matches!(cause, Cause::Power | Cause::Pin));
        let now = Instant(Duration::from_nanos(self.now));
        self.board.nor.abandon(now);
        let off = download && self.board.starts_without_flash(self.revision);
        self.board.nor.set_supply(!off);
        if let Some(rom) = &self.rom {
            rom.start(&mut self.board.ram);
        }
        self.machine = None;
        self.loader = Loader::new(&self.board, self.revision);
        self.receiver = Receiver::new();
        self.ring.clear();
        self.busy = None;
        self.measured = Measured::Waiting(0);
        self.set_chip_baud(self.log_baud);
        self.board.peripherals.set_cause(match cause {
            Cause::Power | Cause::Pin => POWER_ON,
            Cause::Software => SOFTWARE,
            Cause::Usb => USB,
            Cause::Cpu => SOFTWARE_CPU,
            Cause::Numbered(number) => number,
        });
        let resets = &self.chip.rom.resets;
        let cause = match cause {
            Cause::Power => resets.power_on,
            Cause::Pin => resets.pin,
            Cause::Software => resets.software,
            Cause::Usb => resets.usb,
            Cause::Numbered(number) => {
                let known = self.chip.registers.causes;
                let text = known.iter().find(|(known, _)| *known == number);
                let other = match number {
                    SOFTWARE => resets.software,
                    _ => resets.watchdog,
                };
                text.map_or(other, |(_, text)| text)
            }
            Cause::Cpu => {
                let rules = self.chip.efuse.certificate.as_ref();
                rules.map_or(resets.software, |rules| rules.reset)
            }
        };
        let strap = self.strap(download);
        self.board.strap = u32::from(strap);
        let log = boot_log(
            self.board.fuses(self.revision),
            cause,
            strap,
            download,
            self.board.nor.cells(),
        );
        let refused = download && self.refuses_download();
        if !again {
            let download = download && !refused;
            self.events.push(Event::Reset { cause, download });
        }
        // What came while the chip was in reset is lost.
        let _ = self.to_chip.take(self.now, None);
        self.say(log.text.into_bytes());
        let ready_at = self.to_host.free_at();
        self.phase = if refused {
            self.boot_at = Some((ready_at + AGAIN.as_nanos() as u64, Cause::Software));
            Phase::Off
        } else if download {
            if self.usb == UsbMode::Jtag {
                self.board.start_usb_watchdogs(self.now);
            }
            Phase::Download { ready_at }
        } else {
            self.run_app(log.repeat, ready_at);
            return;
        };
    }

    /// The loader has ended, and the ROM boots from flash without a reset.
    pub(super) fn boot_app(&mut self) {
        let strap = self.strap(false);
        let log = boot_log(
            self.board.fuses(self.revision),
            "",
            strap,
            false,
            self.board.nor.cells(),
        );
        self.run_app(log.repeat, self.now);
    }

    /// The application runs, or the ROM finds none and says so again and again.
    fn run_app(&mut self, missing: String, next: u64) {
        let repeat = if self.panics {
            PANIC.to_owned()
        } else {
            missing
        };
        if repeat.is_empty() {
            self.events.push(Event::AppNotExecuted);
            self.say(self.says.clone());
        }
        self.phase = Phase::Running { repeat, next };
    }

    /// Whether the ROM resets the chip where it would enter its loader.
    pub(super) fn refuses_download(&self) -> bool {
        let fuses = self.board.fuses(self.revision);
        fuses.download_disabled() && !fuses.certificate_only()
    }

    /// The chip is held in reset or has no supply.
    pub(super) fn stop(&mut self) {
        self.phase = Phase::Off;
        self.machine = None;
        self.busy = None;
        self.ring.clear();
        self.to_host.cut(self.now);
        self.power_fails_at = None;
    }

    pub(super) fn lose_power(&mut self) {
        self.stop();
        self.board.reset(true);
        self.board.nor.power_cycle();
        let at = self.now + POWER_AWAY.as_nanos() as u64;
        self.boot_at = Some((at, Cause::Power));
        self.events.push(Event::PowerLost);
    }

    /// Strapping value of the usual boot mode of either kind.
    fn strap(&self, download: bool) -> u16 {
        let mode = self.chip.rom.boot_mode(self.revision, download);
        mode.map_or(0, |mode| mode.strap)
    }
}
