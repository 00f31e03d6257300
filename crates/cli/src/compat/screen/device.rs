//! What the chip and its flash are.

use guru_loader::{DeviceInfo, ExtendedMac, FlashInfo, SecurityReport, UsbMode};

use super::Screen;
use crate::compat::{certificate, format};
use crate::ui::escape;

impl Screen {
    pub(super) fn property(&mut self, label: &str, value: &str) {
        let label = format!("{label}:");
        self.lines.print(&format!("{label:<20}{}", escape(value)));
    }

    pub(super) fn device(&mut self, device: &DeviceInfo) {
        if !self.job.chip_named {
            self.lines.finish(&format!(" {}", device.chip));
        }
        self.lines.print(&format!(
            "Connected to {} on {}:",
            device.chip,
            escape(&device.port)
        ));
        self.chip = device.chip;
        self.secure_download = device.secure_download;
        if device.secure_download {
            let value = format!("{} in Secure Download Mode", device.chip);
            self.property("Chip type", &value);
        } else if certificate::is_about(self.job.command) {
            self.property("Chip type", device.chip);
        } else {
            self.property(
                "Chip type",
                device.description.as_deref().unwrap_or(device.chip),
            );
            self.property("Features", &device.features.join(", "));
            if let Some(mhz) = device.crystal_mhz {
                self.property("Crystal frequency", &format!("{mhz}MHz"));
            }
            if let Some(mode) = device.usb_mode {
                let name = match mode {
                    UsbMode::SerialJtag => "USB-Serial/JTAG",
                    UsbMode::Otg => "USB-OTG",
                };
                self.property("USB mode", name);
            }
            if let Some(mac) = &device.mac {
                self.addresses(mac, device.extended_mac.as_ref());
            }
        }
        self.lines.print("");
        if !self.job.no_stub && !self.job.uses_stub && !certificate::is_about(self.job.command) {
            self.lines.note(
                "This version has no flasher stub: the ROM loader does the work, as with --no-stub.",
            );
        }
    }

    pub(super) fn addresses(&mut self, mac: &str, extended: Option<&ExtendedMac>) {
        let Some(extended) = extended else {
            return self.property("MAC", mac);
        };
        self.property("MAC", &extended.eui64);
        self.property("BASE MAC", mac);
        self.property("MAC_EXT", &extended.mac_extension);
    }

    pub(super) fn title(&mut self, title: &str) {
        self.lines.print(title);
        self.lines.print(&"=".repeat(title.len()));
    }

    pub(super) fn security(&mut self, report: &SecurityReport) {
        self.title("Security Information:");
        for line in format::security(report) {
            self.lines.print(&line);
        }
    }

    pub(super) fn flash(&mut self, flash: &FlashInfo) {
        self.lines
            .print(&format!("Manufacturer: {:02x}", flash.manufacturer));
        self.lines.print(&format!("Device: {:04x}", flash.device));
        let size = flash.size_label.unwrap_or("Unknown");
        self.lines.print(&format!("Detected flash size: {size}"));
    }

    pub(super) fn flash_details(&mut self, flash: &FlashInfo) {
        match flash.data_lines {
            Some(4) => self
                .lines
                .print("Flash type set in eFuse: quad (4 data lines)"),
            Some(8) => self
                .lines
                .print("Flash type set in eFuse: octal (8 data lines)"),
            _ => {}
        }
        if let Some(voltage) = &flash.voltage {
            self.lines.print(&format!(
                "Flash voltage set by {}: {}",
                voltage.source, voltage.volts
            ));
        }
    }
}
