//! Notes and warnings.

use guru_loader::{CannotEncrypt, ChipRead, Incomparable, NoStub, Notice, Severity, Unverified};

use super::Screen;
use super::failure::{capitalized, is_stream, mismatch, usb_pins};
use crate::ui::escape;

impl Screen {
    /// What is not as it should be for an encrypted write.
    pub(super) fn doubt(&mut self, reason: CannotEncrypt) {
        match reason {
            CannotEncrypt::CryptConfig(config) => self
                .lines
                .print(&format!("Unexpected FLASH_CRYPT_CONFIG value: {config:#x}")),
            CannotEncrypt::NoKey => self.lines.print("Flash encryption key is not programmed."),
            CannotEncrypt::Unaligned { address, align } => self.lines.warn(&format!(
                "{address:#x} is not {align} byte aligned, can't flash encrypted."
            )),
            // The error says it.
            CannotEncrypt::NoEncryption { .. }
            | CannotEncrypt::Rom { .. }
            | CannotEncrypt::Forbidden => {}
        }
    }

    pub(super) fn notice(&mut self, notice: &Notice) {
        match notice {
            // Shown by our own `device`.
            Notice::SecureDownload => {}
            Notice::NoStub { reason } => {
                let chip = self.chip;
                let what = match reason {
                    NoStub::SecureDownload => "not supported in Secure Download Mode".to_owned(),
                    NoStub::SecureBoot => format!("not supported on {chip} with Secure Boot"),
                    NoStub::NoneForChip => format!("not yet supported on {chip}"),
                    reason => {
                        return self
                            .lines
                            .warn(&format!("Stub flasher is not used: {reason}."));
                    }
                };
                self.lines.warn(&format!(
                    "Stub flasher is {what}, it has been disabled. Set --no-stub to suppress this \
                     warning."
                ));
            }
            Notice::EncryptsDespite { reason } => self.doubt(*reason),
            // It says nothing of these.
            Notice::PlainOnEncrypted | Notice::ReadsEncrypted => {}
            // Nobody minds these.
            Notice::Slow { seconds: 0..10, .. } => {}
            // Told before it is tried to connect.
            Notice::NoReset => {}
            Notice::NotReset { port } if self.ready => self.not_reset = Some(port.clone()),
            Notice::NotReset { port } if is_stream(port) => {}
            Notice::NotReset { port } => self.lines.warn(&format!(
                "Chip was NOT reset. Setting RTS/DTR lines is not supported for port '{}'. Set \
                 --before and --after arguments to 'no-reset' and switch to bootloader manually to \
                 avoid this warning.",
                escape(port)
            )),
            Notice::NoWatchdogReset {
                chip,
                secure_download,
            } => {
                self.lines.print("");
                if *secure_download {
                    self.lines.warn(
                        "Watchdog hard reset is not supported in Secure Download Mode, attempting \
                         classic hard reset instead.",
                    );
                } else {
                    self.lines.note(&format!(
                        "Watchdog hard reset is not supported on {chip}, attempting classic hard \
                         reset instead."
                    ));
                }
                self.left = true;
            }
            // The line that others wait for comes first.
            Notice::StuckInLoader { .. } => {
                self.lines.print("");
                self.lines.print("Hard resetting via RTS pin...");
                self.left = true;
                self.lines.note(&capitalized(&notice.to_string()));
            }
            Notice::Ignored {
                option: "--baud", ..
            } => self
                .lines
                .warn("ROM doesn't support changing baud rate. Keeping initial baud rate 115200."),
            Notice::UnknownCrystal { baud } => self.lines.warn(&format!(
                "Baud rate change is not supported in secure download mode. Keeping {baud} baud."
            )),
            Notice::RomCrystal {
                taken_mhz,
                found_mhz,
            } => self.lines.print(&format!(
                "ROM expects crystal freq: {taken_mhz} MHz, detected {found_mhz} MHz."
            )),
            Notice::UnexpectedChip { chip, read } => {
                let read = match read {
                    ChipRead::Id(id) => format!("read chip ID {id}"),
                    ChipRead::Magic(magic) => format!("read chip magic value {magic:#08x}"),
                };
                self.lines.warn(&format!(
                    "This chip doesn't appear to be an {chip} ({read}). Probably it is unsupported \
                     by this version of esptool. Will attempt to continue anyway."
                ));
            }
            Notice::UnknownUsb { port } => self.lines.note(&format!(
                "Failed to get VID/PID of a device on {0}: {0} is no USB device that the system \
                 lists. Using standard reset sequence.",
                escape(port)
            )),
            Notice::UsbPins { .. } => {
                let text = usb_pins(self.chip);
                self.lines.warn(&text);
            }
            Notice::OddCrystal {
                estimated_khz,
                taken_mhz,
            } => self.lines.warn(&format!(
                "Detected crystal freq {:.2} MHz is quite different to normalized freq {taken_mhz} \
                 MHz. Unsupported crystal in use?",
                f64::from(*estimated_khz) / 1000.0
            )),
            Notice::FlashNotConnected { custom_pins, .. } => {
                self.lines.warn(
                    "Failed to communicate with the flash chip, read/write operations will fail. \
                     Try checking the chip connections or removing any other hardware connected to \
                     IOs.",
                );
                if *custom_pins {
                    self.lines.note(
                        "Some GPIO pins might be used by other peripherals, try using another \
                         combination of pins for SPI flash connection.",
                    );
                }
            }
            Notice::XmcStartUp { fixed: true } => {
                self.lines.warn(
                    "XMC flash chip boot-up failure detected! Running XMC25QHxxC startup flow.",
                );
                self.lines.print("XMC flash chip boot-up fix successful!");
            }
            Notice::XmcStartUp { fixed: false } => {
                self.lines.warn(
                    "XMC flash chip boot-up failure detected! Running XMC25QHxxC startup flow.",
                );
                self.lines.warn(
                    "Could not confirm XMC flash chip boot-up fix. The flash chip may not work.",
                );
            }
            Notice::FlashSizeAssumed { label, .. } => self.lines.warn(&format!(
                "Could not auto-detect flash size, defaulting to {label}."
            )),
            Notice::LargeFlash => self.lines.note(
                "Flash sizes larger than 16MB are not fully supported. Change the flash size \
                 argument in case of a failure.",
            ),
            Notice::SetFlashSizeIfFails => self
                .lines
                .note("In case of failure, please set a specific flash size."),
            Notice::ImageMismatch { file, reason } => {
                let text = mismatch(self.chip, file, reason);
                self.lines.note(&text);
            }
            Notice::ProgramMismatch { file, reason } => {
                let text = mismatch(self.chip, file, reason);
                self.lines
                    .warn(&format!("{text}. The loaded image may not run."));
            }
            Notice::HeaderKept => self
                .lines
                .warn("Security features enabled, so not changing any flash settings."),
            Notice::NotAnImage { address, .. } => self.lines.warn(&format!(
                "Image file at {address:#x} doesn't look like an image file, so not changing any \
                 flash settings."
            )),
            Notice::InvalidImage { address, chip, .. } => self.lines.warn(&format!(
                "Image file at {address:#x} is not a valid {chip} image, so not changing any flash \
                 settings."
            )),
            Notice::EmptyFile { file } => self.lines.warn(&format!("'{file}' is empty.")),
            Notice::NotVerified {
                reason: Unverified::Encrypted | Unverified::SecureDownload,
            } => {
                self.lines.print("Verifying written data...");
                self.lines
                    .print("Cannot verify written data if encrypted or in secure download mode.");
            }
            // Told with what was compared.
            Notice::NotVerified {
                reason: Unverified::Trusted,
            } => {}
            Notice::WritesAll { option, reason } => {
                self.job.skips_flashed = false;
                let what = match *option {
                    "--diff-with" => "Fast reflashing of changed data sectors",
                    _ => "Skipping flashing of already flashed content",
                };
                let reason = match reason {
                    Incomparable::Erased => "enabled erase-all",
                    Incomparable::Encrypted => "enabled encryption",
                    Incomparable::NoDigest => "ESP8266 in ROM bootloader",
                    Incomparable::SecureDownload => "enabled secure download mode",
                };
                self.lines.note(&format!(
                    "{what} is not supported with {reason}. Will flash all data."
                ));
            }
            Notice::NotAsBelieved { changed, .. } => {
                self.compared = None;
                self.lines.note(match changed {
                    true => {
                        "Verification failed after fast reflash (flash content did not match the \
                         expected data). Reflashing the whole image..."
                    }
                    false => "Data not found in flash, flashing the whole image...",
                });
            }
            Notice::NoChipId { chip } => self.lines.warn(&format!(
                "{chip} has no chip ID. Reading MAC address instead."
            )),
            other => {
                let text = capitalized(&other.to_string());
                match other.severity() {
                    Severity::Note => self.lines.note(&text),
                    Severity::Warning => self.lines.warn(&text),
                }
            }
        }
    }
}
