//! The host's control lines, a jumper at the boot pin, and the resets that follow from both.

use std::time::Duration;

use guru_link::{Instant, Lines};

use super::{Cause, DEFAULT_BAUD, Device, Phase};
use crate::options::UsbMode;

/// How long EN takes to rise behind its pull-up and capacitor. Because of it a reset sequence
/// may set its two lines one after the other.
const EN_RISE: Duration = Duration::from_millis(2);

impl Device {
    /// Sets the control lines.
    pub fn set_lines(&mut self, now: Instant, lines: Lines) {
        self.advance(now);
        let before = (self.dtr, self.rts);
        self.dtr = lines.dtr.unwrap_or(self.dtr);
        self.rts = lines.rts.unwrap_or(self.rts);
        if (self.dtr, self.rts) == before {
            return;
        }
        match self.usb {
            UsbMode::Uart if self.cut.en => return,
            UsbMode::Uart => {}
            UsbMode::Jtag => return self.set_jtag_lines(),
            UsbMode::Otg => return self.set_otg_lines(),
        }
        // The two transistors release both pins when both lines are asserted.
        let en_low = self.rts && !self.dtr;
        if en_low {
            self.stop();
            self.boot_at = None;
        } else if self.phase == Phase::Off && self.boot_at.is_none() {
            let at = self.now + EN_RISE.as_nanos() as u64;
            self.boot_at = Some((at, Cause::Pin));
        }
    }

    /// There are no control lines, and the host has no UART: a socket or a pseudo-terminal. The
    /// boot pin is held low or not, as by a jumper, and the host's rate follows the chip's.
    pub fn without_lines(&mut self, download: bool) {
        self.boot_pin_held |= download;
        self.rate_follows = true;
    }

    /// Whether a jumper leads every reset into the loader.
    pub fn is_held_in_loader(&self) -> bool {
        self.boot_pin_held
    }

    /// Resets the chip by its pin, into its loader or from flash, as a whole reset sequence on the
    /// control lines would.
    pub fn pulse_reset(&mut self, now: Instant, download: bool) {
        self.advance(now);
        self.stop();
        self.boot_at = None;
        if self.usb == UsbMode::Uart {
            self.strapped = download || self.boot_pin_held;
            self.boot(Cause::Pin, self.strapped);
        } else {
            self.reset_over_usb(download);
        }
    }

    /// A new client: the chip is reset before it can see anything, and what an earlier client
    /// left on the wires is gone.
    pub fn restart(&mut self, now: Instant) {
        self.advance(now);
        self.stop();
        self.to_chip.clear();
        self.host_baud = DEFAULT_BAUD;
        self.boot_at = None;
        self.strapped = self.boot_pin_held;
        self.boot(Cause::Pin, self.boot_pin_held);
        self.bus.stay();
        self.connected = true;
        if let Phase::Download { ready_at } = &mut self.phase {
            *ready_at = self.now;
            self.to_host.clear();
        }
    }

    fn set_jtag_lines(&mut self) {
        match (self.dtr, self.rts) {
            (false, false) => self.usb_download = false,
            (true, false) => self.usb_download = true,
            (false, true) => self.reset_over_usb(self.usb_download),
            (true, true) => {}
        }
    }

    /// Whoever drives USB-OTG, ROM or application, resets the chip when RTS is released, and DTR
    /// says where to.
    fn set_otg_lines(&mut self) {
        if self.rts {
            self.usb_armed |= !self.dtr;
        } else if std::mem::take(&mut self.usb_armed) {
            self.board.force_download(self.dtr);
            self.reset_over_usb(self.dtr);
        }
    }

    fn reset_over_usb(&mut self, download: bool) {
        let download = download || self.strapped || self.board.download_forced();
        self.stop();
        self.boot(Cause::Usb, download);
    }

    pub(super) fn boot_pin_low(&self) -> bool {
        let by_lines = self.usb == UsbMode::Uart && !self.cut.boot && self.dtr && !self.rts;
        self.boot_pin_held || by_lines
    }
}
