use std::io::ErrorKind;
use std::time::{Duration, Instant};

use guru_image::{FirmwareError, HeaderError, ImageError, RamError, ReadError, UnknownParameter};
use guru_link::LinkError;
use guru_loader::{
    CannotEncrypt, ChipRead, ConnectFailure, DeviceInfo, Error as LoaderError, Event, ExtendedMac,
    FlashInfo, Guard, Incomparable, Lacking, Leaving, NotInSecureDownload, Notice, Progress,
    SecurityReport, Step, Unverified, UsbMode,
};

use super::{certificate, esptool, format, settings};
use crate::error::Error;
use crate::ui::{self, Message, Out, Report, Stream, escape};

/// What is said of a program for RAM in several pieces.
pub const MERGED: &str =
    "Merged binary image detected. Only one file can be specified for the load-ram command.";

/// Where the predecessor sends those who cannot connect.
const TROUBLESHOOTING: &str =
    "https://docs.espressif.com/projects/esptool/en/latest/troubleshooting.html";

/// What the command line says about the job, as far as its text depends on it.
#[derive(Debug)]
pub struct Job {
    /// Name of the command.
    pub command: &'static str,
    /// The chip was named.
    pub chip_named: bool,
    /// `--no-stub`.
    pub no_stub: bool,
    /// `--after no-reset-stub`.
    pub stays_in_stub: bool,
    /// `--before no-reset` or `no-reset-no-sync`, as it is called.
    pub no_reset: Option<&'static str>,
    /// `--after hard-reset`.
    pub hard_reset: bool,
    /// `--flash-size detect`.
    pub detects_size: bool,
    /// `--flash-size keep`, given or not, where that is an option.
    pub keeps_size: bool,
    /// The size of the range is `ALL`.
    pub all: bool,
    /// `--diff`.
    pub shows_differences: bool,
    /// `--skip-flashed`.
    pub skips_flashed: bool,
    /// No `--no-progress`.
    pub shows_progress: bool,
    /// Output file of `read-flash`.
    pub output: Option<String>,
    /// Custom sequence for the hard reset.
    pub sequence: Option<String>,
}

/// Lines in the predecessor's form.
#[derive(Debug)]
pub struct Lines {
    out: Out,
    err: Out,
    /// Only errors are shown.
    pub silent: bool,
    /// A line was begun and not ended.
    open: bool,
}

impl Lines {
    /// Lines to standard output; warnings and errors to standard error.
    pub fn new() -> Self {
        Self {
            out: Out::new(Stream::Stdout),
            err: Out::new(Stream::Stderr),
            silent: false,
            open: false,
        }
    }

    /// A line.
    pub fn print(&mut self, text: &str) {
        if !self.silent {
            self.end_line();
            self.out.line(text);
        }
    }

    /// A line that goes on.
    fn part(&mut self, text: &str) {
        if !self.silent {
            self.out.part(text);
            self.open = true;
        }
    }

    fn end_line(&mut self) {
        if self.open {
            self.out.line("");
            self.open = false;
        }
    }

    fn note(&mut self, text: &str) {
        self.print(&format!("NOTE: {text}"));
    }

    /// A warning.
    pub fn warn(&mut self, text: &str) {
        if !self.silent {
            self.end_line();
            self.err.line(&format!("WARNING: {text}"));
        }
    }

    fn error(&mut self, text: &str) {
        self.error_text(&format!("ERROR: {text}"));
    }

    /// Text on standard error.
    pub fn error_text(&mut self, text: &str) {
        self.end_line();
        self.err.line(text);
    }

    /// A fatal error. Returns the exit code.
    pub fn fatal(&mut self, text: &str) -> u8 {
        self.print("");
        self.error(&format!("A fatal error occurred: {text}"));
        crate::error::exit::REFUSED
    }
}

/// The events of a session in the predecessor's words.
pub struct Screen {
    lines: Lines,
    job: Job,
    /// Name of the present file.
    file: String,
    /// Its address.
    address: u32,
    /// It was not yet told that the present file is compared with the flash.
    to_compare: bool,
    /// Sectors of the present file that differ from what is believed to be in flash, where that was
    /// compared.
    compared: Option<u32>,
    /// Begin of the present step, and the percentage that was shown last.
    step: Option<(Step, Instant, u64)>,
    /// The chip is connected and its command has begun.
    ready: bool,
    /// The port on which the chip cannot be reset at the end.
    not_reset: Option<String>,
    /// Something was said already about how the chip is left.
    left: bool,
    /// Size of the flash, until it is told.
    size: Option<&'static str>,
    /// `Configuring flash size...` was printed.
    configured: bool,
    /// Name of the chip.
    chip: &'static str,
    /// It is in Secure Download Mode.
    secure_download: bool,
    /// The chip was told of a certificate.
    certificate: bool,
}

impl Screen {
    /// A screen for a job.
    pub fn new(lines: Lines, job: Job) -> Self {
        Self {
            lines,
            job,
            file: String::new(),
            address: 0,
            to_compare: false,
            compared: None,
            step: None,
            ready: false,
            not_reset: None,
            left: false,
            size: None,
            configured: false,
            chip: "chip",
            secure_download: false,
            certificate: false,
        }
    }

    fn property(&mut self, label: &str, value: &str) {
        let label = format!("{label}:");
        self.lines.print(&format!("{label:<20}{}", escape(value)));
    }

    fn device(&mut self, device: &DeviceInfo) {
        if self.lines.open && !self.job.chip_named && !self.lines.silent {
            self.lines.out.line(&format!(" {}", device.chip));
            self.lines.open = false;
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
        if !self.job.no_stub && !certificate::is_about(self.job.command) {
            self.lines.note(
                "This version has no flasher stub: the ROM loader does the work, as with --no-stub.",
            );
        }
    }

    fn addresses(&mut self, mac: &str, extended: Option<&ExtendedMac>) {
        let Some(extended) = extended else {
            return self.property("MAC", mac);
        };
        self.property("MAC", &extended.eui64);
        self.property("BASE MAC", mac);
        self.property("MAC_EXT", &extended.mac_extension);
    }

    fn title(&mut self, title: &str) {
        self.lines.print(title);
        self.lines.print(&"=".repeat(title.len()));
    }

    fn security(&mut self, report: &SecurityReport) {
        self.title("Security Information:");
        for line in format::security(report) {
            self.lines.print(&line);
        }
    }

    fn flash(&mut self, flash: &FlashInfo) {
        self.lines
            .print(&format!("Manufacturer: {:02x}", flash.manufacturer));
        self.lines.print(&format!("Device: {:04x}", flash.device));
        let size = flash.size_label.unwrap_or("Unknown");
        self.lines.print(&format!("Detected flash size: {size}"));
    }

    fn flash_details(&mut self, flash: &FlashInfo) {
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

    fn progress(&mut self, progress: &Progress) {
        let verb = match progress.step {
            Step::Write => "Writing at",
            Step::Read => "Reading from",
            Step::Dump => "Dumping from",
            // The predecessor shows none for these.
            Step::Erase | Step::Load | Step::Verify => return,
        };
        if !self.job.shows_progress || self.lines.silent {
            return;
        }
        let compressed = progress.step == Step::Write && progress.to_send > 0;
        let (done, total) = if compressed {
            (progress.sent, progress.to_send)
        } else {
            (progress.done, progress.total)
        };
        let total = total.max(1);
        let done = done.min(total);
        let complete = done == total;
        let percent = done * 100 / total;
        let began = match self.step {
            Some((step, began, shown)) if step == progress.step => {
                if shown == percent && !(complete && percent < 100) {
                    return;
                }
                began
            }
            _ => Instant::now(),
        };
        self.step = Some((progress.step, began, percent));
        let line = format!(
            "{verb} {:#010x} {} {:>5.1}% {}/{} [{}] ",
            progress.address,
            format::bar(done, total),
            100.0 * done as f64 / total as f64,
            format::bytes(done),
            format::bytes(total),
            format::elapsed(began.elapsed().as_secs()),
        );
        if !self.lines.out.is_terminal() {
            self.lines.print(&line);
            return;
        }
        self.lines.out.part(&format!("\r\x1b[2K{line}"));
        self.lines.open = true;
        if complete {
            self.lines.end_line();
        }
    }

    /// What is not as it should be for an encrypted write.
    fn doubt(&mut self, reason: CannotEncrypt) {
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

    fn notice(&mut self, notice: &Notice) {
        match notice {
            // Shown by our own `device`.
            Notice::NoStub | Notice::SecureDownload => {}
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
                    guru_loader::Severity::Note => self.lines.note(&text),
                    guru_loader::Severity::Warning => self.lines.warn(&text),
                }
            }
        }
    }

    fn configuring(&mut self) {
        if std::mem::replace(&mut self.configured, true) {
            return;
        }
        self.lines.print("Configuring flash size...");
        if self.job.keeps_size {
            self.lines
                .note("In case of failure, please set a specific flash size.");
        }
    }

    fn wrote(&mut self, address: u32, bytes: u64, compressed: Option<u64>, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if let Some(compressed) = compressed {
            self.lines
                .print(&format!("Compressed {bytes} bytes to {compressed}..."));
        }
        let sent = compressed
            .map(|compressed| format!(" ({compressed} compressed)"))
            .unwrap_or_default();
        self.lines.print(&format!(
            "Wrote {bytes} bytes{sent} at {address:#010x} in {seconds:.1} seconds{}.",
            format::rate(bytes, seconds)
        ));
    }

    fn comparing(&mut self) {
        if std::mem::take(&mut self.to_compare) {
            self.lines
                .print("Comparing flash contents against new data...");
        }
    }

    fn verifies(&self) -> bool {
        self.job.command == "verify-flash"
    }
}

impl ui::Screen for Screen {
    fn event(&mut self, event: &Event) {
        if !matches!(event, Event::Progress(_)) {
            self.step = None;
        }
        let lines = &mut self.lines;
        match event {
            Event::Connecting { port } => {
                if let Some(mode) = self.job.no_reset {
                    lines.note(&format!(
                        "Pre-connection option \"{mode}\" was selected. Connection may fail if the \
                         chip is not in bootloader or flasher stub mode."
                    ));
                }
                if is_stream(port) {
                    lines.note(
                        "It's not possible to reset the chip over a TCP socket. Automatic resetting \
                         to bootloader has been disabled, reset the chip manually.",
                    );
                }
                lines.part("Connecting...");
            }
            Event::ConnectAttempt { .. } => lines.part("."),
            Event::DetectingChip => {
                lines.end_line();
                if !self.job.chip_named {
                    lines.part("Detecting chip type...");
                }
            }
            Event::Connected(device) => self.device(device),
            Event::ReadingChipInfo | Event::VerifyingCertificate => {
                self.certificate = true;
                lines.print("");
                lines.print(certificate::begins(event));
            }
            Event::ChangingBaud { baud } => {
                lines.print(&format!("Changing baud rate to {baud}..."));
            }
            Event::BaudChanged { .. } => lines.print("Changed."),
            Event::AttachingFromEfuse {
                pads: [clk, q, d, hd, cs],
            } => lines.print(&format!(
                "Attaching flash from eFuses' SPI pads configuration (CLK:{clk}, Q:{q}, D:{d}, \
                 HD:{hd}, CS:{cs})..."
            )),
            Event::AttachingDefault => lines.print("Enabling default SPI flash mode..."),
            Event::ConfiguringFlash => match self.job.command {
                // Told when the size is known, or not at all.
                "erase-flash" | "erase-region" => {}
                "read-flash" if self.job.all => {}
                _ => self.configuring(),
            },
            Event::FlashSizeDetected { label, .. } => {
                if self.job.all {
                    lines.print(&format!("Detected flash size: {label}"));
                }
                match self.job.command {
                    "read-flash" if self.job.all => self.configuring(),
                    "erase-region" => self.size = Some(label),
                    _ => {}
                }
                if self.job.detects_size {
                    self.lines
                        .print(&format!("Auto-detected flash size: {label}"));
                }
            }
            Event::HeaderPatched {
                parameters,
                digest_updated,
            } => {
                lines.print(&format!("Flash parameters set to {parameters:#06x}."));
                if *digest_updated {
                    lines.print("SHA digest in image updated.");
                }
            }
            Event::FileBegins {
                name,
                address,
                files,
                ..
            } => {
                self.file = escape(name).into_owned();
                self.address = *address;
                self.compared = None;
                self.to_compare = self.job.skips_flashed;
                if *files > 1 && self.job.command == "write-flash" {
                    lines.print(&format!("\nWriting '{}' at {address:#010x}...", self.file));
                }
            }
            Event::Compared {
                changed, trusted, ..
            } => {
                self.compared = Some(*changed);
                lines.print(match (changed, trusted) {
                    (0, true) => {
                        "No changed sectors found and trust flash content mode is enabled, \
                         skipping write and verification."
                    }
                    (0, false) => "No changed sectors found, verifying if data is in flash...",
                    _ => "Changed data sectors found, fast reflashing...",
                });
            }
            Event::RunBegins { address, sectors } => {
                let plural = if *sectors > 1 { "s" } else { "" };
                lines.print(&format!(
                    "Reflashing {sectors} changed sector{plural} at {address:#010x}..."
                ));
            }
            Event::RunWritten {
                address,
                sectors,
                compressed,
                elapsed,
            } => {
                // What is behind the end of the file counts, as it is written by erasing.
                let bytes = u64::from(*sectors) * 0x1000;
                self.wrote(*address, bytes, *compressed, *elapsed);
            }
            // Told run by run.
            Event::Wrote { .. } if self.compared.is_some() => {}
            Event::EraseRange {
                start,
                end,
                unaligned,
            } => {
                self.comparing();
                let lines = &mut self.lines;
                if let Some(address) = unaligned {
                    lines.note(&format!(
                        "Flash address {address:#010x} is not aligned to a 0x1000 byte flash \
                         sector. {:#x} bytes before this address will be erased.",
                        address.saturating_sub(*start)
                    ));
                }
                lines.print(&format!(
                    "Flash will be erased from {start:#010x} to {end:#010x}..."
                ));
                lines.print("Erasing flash...");
            }
            Event::Unchanged {
                whole_file: true, ..
            } => {
                self.comparing();
                let lines = &mut self.lines;
                let (file, address) = (&self.file, self.address);
                match self.compared {
                    Some(0) => {
                        lines.print(&format!("'{file}' at {address:#010x} verified."));
                    }
                    _ => {
                        lines.print(&format!(
                            "'{file}' at {address:#010x} already in flash, skipping write."
                        ));
                    }
                }
            }
            Event::Progress(progress) => self.progress(progress),
            Event::Wrote {
                address,
                bytes,
                compressed,
                elapsed,
                ..
            } => {
                self.wrote(*address, *bytes, *compressed, *elapsed);
            }
            Event::Verifying {
                name,
                address,
                length,
            } => {
                if self.job.command == "verify-flash" {
                    lines.print(&format!(
                        "Verifying {length:#x} ({length}) bytes at {address:#010x} in flash \
                         against '{}'...",
                        escape(name)
                    ));
                } else {
                    lines.print("Verifying written data...");
                }
            }
            Event::Verified { .. } => {
                if self.verifies() {
                    self.lines
                        .print("Verification successful (digest matched).");
                } else {
                    self.lines.print("Hash of data verified.");
                }
            }
            Event::Mismatch {
                expected, found, ..
            } => {
                if !self.verifies() {
                    self.lines.print(&format!("Input MD5: {expected}"));
                    self.lines.print(&format!("Flash MD5: {found}"));
                } else if !self.job.shows_differences {
                    self.lines.print("Verification failed (digest mismatch).");
                }
            }
            Event::Differences { count, bytes } => {
                let first = bytes.first().map_or(0, |(address, ..)| *address);
                lines.print(&format!(
                    "Verification failed: {count} differences, first at {first:#010x}:"
                ));
                for (address, flash, image) in bytes {
                    lines.print(&format!("   {address:#010x} {flash:02x} {image:02x}"));
                }
            }
            Event::ReadDone {
                address,
                bytes,
                elapsed,
                ..
            }
            | Event::Dumped {
                address,
                bytes,
                elapsed,
            } => {
                let verb = match event {
                    Event::Dumped { .. } => "Dumped",
                    _ => "Read",
                };
                let seconds = elapsed.as_secs_f64();
                let file = self.job.output.as_deref().unwrap_or_default();
                lines.print(&format!(
                    "{verb} {bytes} bytes from {address:#010x} in {seconds:.1} seconds{} to '{}'.",
                    format::rate(*bytes, seconds),
                    escape(file)
                ));
            }
            Event::Erasing { range: None } => {
                lines.print("Erasing flash memory (this may take a while)...");
            }
            Event::Erasing { range: Some(_) } => {
                lines.print(
                    "Erasing flash memory region (this may take a while depending on size)...",
                );
                lines.print("Configuring flash size...");
                if let Some(label) = self.size.take() {
                    lines.print(&format!("Auto-detected flash size: {label}"));
                }
            }
            Event::Erased { range, elapsed } => {
                let what = if range.is_some() {
                    "memory region"
                } else {
                    "memory"
                };
                lines.print(&format!(
                    "Flash {what} erased successfully in {:.1} seconds.",
                    elapsed.as_secs_f64()
                ));
            }
            Event::WritingStatus(change) => {
                let status = |value| format::status(&change.before, value);
                lines.print(&format!(
                    "Initial flash memory status: {}",
                    status(change.before.value)
                ));
                lines.print(&format!(
                    "Setting flash memory status: {}",
                    status(change.asked)
                ));
            }
            Event::Dumping { address, length } => {
                let file = self.job.output.as_deref().unwrap_or_default();
                lines.print(&format!(
                    "Dumping {length} bytes from {address:#010x} to file '{}'...",
                    escape(file)
                ));
            }
            Event::Loading { name } => {
                lines.print(&format!("Loading '{}' to RAM...", escape(name)));
            }
            Event::LoadingSegment { address, length } if self.job.shows_progress => {
                lines.print(&format!("Downloading {length} bytes at {address:#010x}"));
            }
            Event::Loaded {
                name,
                segments,
                entry,
            } => lines.print(&format!(
                "Loaded {segments} segments from '{}' to RAM, executing at {entry:#010x}.",
                escape(name)
            )),
            Event::LinkLost { attempt } => {
                if *attempt == 1 {
                    lines.print("\nLost connection, retrying...");
                    lines.part("Waiting for the chip to reconnect");
                } else {
                    lines.part(".");
                }
            }
            // Of an application that is started and reset at once nobody speaks.
            Event::Leaving(Leaving::Running) if self.job.command == "run" => {}
            Event::Leaving(_) if self.certificate => lines.print("\nExiting immediately."),
            // There was more to look at first.
            Event::Leaving(_) if certificate::is_about(self.job.command) => {}
            Event::Leaving(leaving) => {
                if !self.left {
                    lines.print("");
                }
                match leaving {
                    Leaving::InLoader if self.left => {}
                    Leaving::HardReset => lines.print("Hard resetting via RTS pin..."),
                    Leaving::CustomReset => {
                        let sequence = self.job.sequence.as_deref().unwrap_or_default();
                        lines.print(&format!("Custom reset sequence executed: {sequence}"));
                    }
                    Leaving::WatchdogReset => lines.print("Hard resetting with a watchdog..."),
                    Leaving::SoftReset => lines.print("Soft resetting..."),
                    // The line that others wait for, and what is true.
                    Leaving::Running => lines.print("Exiting immediately."),
                    Leaving::InLoader if self.job.hard_reset => {
                        lines.print("Hard resetting via RTS pin...");
                        let port = self.not_reset.take().unwrap_or_default();
                        lines.note(&format!(
                            "{} has no RTS: the chip was not reset and stays in its loader.",
                            escape(&port)
                        ));
                    }
                    Leaving::InLoader if self.job.stays_in_stub => {
                        lines.print("Staying in flasher stub.");
                    }
                    Leaving::InLoader => lines.print("Staying in bootloader."),
                    Leaving::HeldInReset => lines.print("Staying in reset."),
                }
            }
            Event::Notice(notice) => self.notice(notice),
            _ => {}
        }
    }

    fn message(&mut self, message: &Message) {
        match message {
            Message::PortsFound { ports } => {
                self.lines
                    .print(&format!("Found {} serial ports...", ports.len()));
            }
            Message::OpeningPort { port } => {
                self.lines.print(&format!("Serial port {}:", escape(port)));
            }
            Message::OpenFailed {
                reason, attempt: 1, ..
            } => {
                self.lines.print(&escape(reason));
                self.lines.part("Retrying failed connection");
            }
            Message::OpenFailed { attempt, .. } if attempt % 10 == 0 => self.lines.part("."),
            Message::PortFailed { port, reason } => {
                // The reason has lines of our own, and nothing unsafe.
                self.lines
                    .error(&format!("{} failed to connect: {reason}", escape(port)));
            }
            Message::Ready => {
                self.ready = true;
                // Where a certificate is concerned there is more to look at first.
                if !certificate::is_about(self.job.command) {
                    self.lines.print("");
                }
            }
            Message::Note { text } => self.lines.note(text),
            Message::Warning { text } => self.lines.warn(text),
            _ => {}
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Version { .. } => self.lines.print(esptool::LEVEL),
            Report::FlashId(flash) => {
                let title = "Flash Memory Information:";
                self.title(title);
                self.flash(&flash);
                self.flash_details(&flash);
            }
            Report::GetSecurityInfo(report) => self.security(&report),
            Report::ReadSdcChipInfo { file, .. } => {
                let file = file.display().to_string();
                self.lines
                    .print(&format!("Chip info is saved to {}!", escape(&file)));
            }
            Report::VerifySdcCertificate { .. } => {
                self.lines.print("SDC certificate verified successfully.");
            }
            Report::ReadFlashStatus(status) => self
                .lines
                .print(&format!("Flash memory status: {:#06x}", status.value)),
            Report::WriteFlashStatus(change) => self.lines.print(&format!(
                "After flash memory status:   {}",
                format::status(&change.before, change.after.unwrap_or_default())
            )),
            Report::ReadFlashSfdp { address, bytes, id } => {
                if let Some(flash) = &id {
                    self.flash(flash);
                }
                let end = u64::from(address) + bytes.len() as u64 - 1;
                let mut line = format!("Flash memory SFDP[{address}..{end}]: ");
                for byte in bytes {
                    line.push_str(&format!("{byte:#04x} "));
                }
                self.lines.print(&line);
            }
            Report::ReadMem { address, value } => {
                self.lines
                    .print(&format!("{address:#010x} = {value:#010x}"));
            }
            Report::WriteMem {
                address,
                value,
                mask,
                ..
            } => self.lines.print(&format!(
                "Wrote {value:#010x} with mask {mask:#010x} to {address:#010x}."
            )),
            Report::ChipId {
                chip_id: Some(id), ..
            } => {
                self.lines.print(&format!("Chip ID: {id:#010x}"));
            }
            Report::ReadMac(mac) | Report::ChipId { mac, .. } => {
                self.addresses(&mac.mac, mac.extended.as_ref());
            }
            _ => {}
        }
    }

    fn output(&mut self, bytes: &[u8]) -> bool {
        self.lines.end_line();
        ui::pass_on(bytes)
    }

    fn end(&mut self, outcome: Result<(), &Error>) -> u8 {
        let Err(outcome) = outcome else {
            self.lines.end_line();
            return crate::error::exit::SUCCESS;
        };
        let code = outcome.kind().old_exit_code();
        let (argument, inner) = match outcome {
            Error::InOption { option, error } => (*option, &**error),
            error if self.job.command == "load-ram" => ("FILENAME", error),
            error => (super::commands::PAIRS, error),
        };
        if let Some(message) = bad_pairs(inner) {
            let message = format!("Invalid value for '{argument}': {message}");
            return esptool::usage_of(&mut self.lines, self.job.command, &message);
        }
        match outcome {
            Error::Interrupted { state } => {
                self.lines
                    .error("KeyboardInterrupt: Run cancelled by user.");
                if !state.is_empty() {
                    self.lines.error_text(&capitalized(state));
                }
            }
            Error::Session(LoaderError::Link(LinkError::Lost(_) | LinkError::Io(_))) => {
                self.lines.print("");
                self.lines.error(&format!(
                    "A serial exception error occurred: {}\nNote: It is likely not a problem with \
                     this program, but with the hardware connection or drivers.\nFor \
                     troubleshooting steps visit: {TROUBLESHOOTING}",
                    escape(&chain(outcome))
                ));
            }
            Error::Session(error)
                if certificate::is_about(self.job.command)
                    || matches!(error, LoaderError::Certificate(_)) =>
            {
                let command = self.job.command;
                let text = certificate::fatal(command, self.chip, self.secure_download, error);
                let text = text.unwrap_or_else(|| fatal(self.chip, outcome));
                if command == certificate::CHIP_INFO && self.certificate {
                    self.lines.error("Error when read chip_info");
                }
                self.lines.fatal(&text);
            }
            Error::Session(LoaderError::SecureDownload(NotInSecureDownload::Doing(_))) => {
                self.lines.fatal(&format!(
                    "The '{}' command is not available in Secure Download Mode.",
                    self.job.command
                ));
            }
            Error::Session(LoaderError::SecureDownload(NotInSecureDownload::DetectSize))
                if self.job.all =>
            {
                self.lines.fatal(
                    "Detecting flash size is not supported in secure download mode. Set an exact \
                     size value.",
                );
            }
            error => {
                if let Error::Session(LoaderError::CannotEncrypt(reason)) = error {
                    self.doubt(*reason);
                }
                let text = fatal(self.chip, error);
                self.lines.fatal(&text);
            }
        }
        code
    }
}

/// Pins that a chip has its USB on were named for the flash.
fn usb_pins(chip: &str) -> String {
    let chip = guru_chip::CHIPS.iter().find(|known| known.name == chip);
    let pins = chip.map_or(&[][..], |chip| chip.spi.pins.usb_gpios);
    let pins: Vec<String> = pins.iter().map(ToString::to_string).collect();
    let usb = match chip.map(|chip| (chip.usb.serial_jtag, chip.usb.otg_product)) {
        Some((true, Some(_))) => "USB-Serial/JTAG and USB-OTG",
        Some((false, Some(_))) => "USB-OTG",
        _ => "USB-Serial/JTAG",
    };
    format!(
        "GPIO pins {} are used by {usb}, consider using other pins for SPI flash connection.",
        pins.join(" and ")
    )
}

/// An image that is for something else than the chip.
fn mismatch(chip: &str, file: &str, reason: &str) -> String {
    let file = escape(file);
    if reason.starts_with("is an image for") {
        format!("'{file}' is not an {chip} image")
    } else {
        format!("'{file}' {}", escape(reason))
    }
}

/// Whether a port is a plain TCP connection.
fn is_stream(port: &str) -> bool {
    port.starts_with("socket:") || port.starts_with("tcp:")
}

/// What is wrong with addresses and files, which is a mistake in the command line.
fn bad_pairs(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoPartner { .. } => {
            "Must be pairs of an address and the binary filename to write there.".to_owned()
        }
        Error::BadAddress { word, .. } => {
            format!("Address \"{}\" must be a number.", escape(word))
        }
        Error::Firmware(FirmwareError::Read(error)) => unreadable(error),
        Error::Overlap { address, file, .. } => format!(
            "Detected overlap at address: {address:#x} for file: {}.",
            escape(file)
        ),
        _ => return None,
    })
}

/// A file that cannot be read, with the numbers that Python has for it on every system.
fn unreadable(error: &ReadError) -> String {
    let ReadError::Io { name, source } = error else {
        return chain(error);
    };
    let known = match source.kind() {
        ErrorKind::NotFound => "[Errno 2] No such file or directory",
        ErrorKind::PermissionDenied => "[Errno 13] Permission denied",
        ErrorKind::IsADirectory => "[Errno 21] Is a directory",
        _ => return chain(error),
    };
    format!("{known}: '{}'", escape(name))
}

/// Why a port was of no use.
pub fn reason(error: &Error) -> String {
    fatal("", error)
}

/// What a chip does not have.
fn lacking(chip: &str, what: &Lacking) -> String {
    match what {
        Lacking::Hspi => format!("Using --spi-connection HSPI is not supported by {chip}."),
        Lacking::CustomPins => {
            format!("Setting custom --spi-connection pins is not supported by {chip}.")
        }
        Lacking::Gpio { there, .. } => {
            let mut ranges = Vec::new();
            for (first, last) in *there {
                match last - first {
                    1 => ranges.extend([first.to_string(), last.to_string()]),
                    _ => ranges.push(format!("{first}-{last}")),
                }
            }
            let last = ranges.pop().unwrap_or_default();
            let others: String = ranges.iter().map(|range| format!("{range}, ")).collect();
            let or = if ranges.is_empty() { "" } else { "or " };
            format!("SPI Pin numbers must be in the range {others}{or}{last}.")
        }
        Lacking::HoldGpio { most, .. } => format!("SPI HD Pin number must be <= {most}."),
        Lacking::VddSdio => format!("Overriding VDDSDIO is not supported by {chip}."),
        Lacking::Parameter(UnknownParameter {
            what,
            given,
            supported,
        }) => {
            let plural = match *what {
                "frequency" => "frequencies",
                "size" => "sizes",
                _ => "modes",
            };
            format!(
                "Flash {what} '{given}' is not supported by this chip type. Supported {plural}: {}",
                supported.join(", ")
            )
        }
    }
}

/// A range that is not inside of the flash.
fn outside(address: u32, end: u64, size: u64) -> String {
    const REACH: u64 = 16 << 20;
    let length = end.saturating_sub(u64::from(address));
    if length > size {
        return format!(
            "Specified size {length:#x} is greater than detected flash size {size:#x}."
        );
    }
    let (what, limit, past) = if end > REACH {
        ("16MB".to_owned(), "16MB".to_owned(), end - REACH)
    } else {
        let label = match size >> 20 {
            0 => format!("{}KB", size >> 10),
            mega => format!("{mega}MB"),
        };
        let past = end.saturating_sub(size);
        ("detected flash size".to_owned(), label, past)
    };
    format!(
        "Can't access flash regions larger than {what} (set size {length:#x} from address \
         {address:#010x} goes past {limit} by {past:#x} bytes)."
    )
}

/// What the predecessor says of an error.
fn fatal(chip: &str, error: &Error) -> String {
    let Error::Session(error) = error else {
        return match error {
            Error::Config(error) => settings::misconfigured(error),
            Error::NoPort { tried, .. } => format!(
                "Could not connect to an Espressif device on any of the {tried} available serial \
                 ports."
            ),
            Error::Unaligned {
                what: "address", ..
            } => "Offset to erase from must be a multiple of 4096.".to_owned(),
            // It takes no addresses in RAM from Intel HEX.
            Error::Ram(RamError::NoEntry { runs: 2.., .. }) => MERGED.to_owned(),
            Error::Ram(RamError::Image {
                source: ImageError::Header(HeaderError::Magic { found }),
                ..
            }) => format!("Invalid firmware image magic={found:#x}"),
            Error::Ram(RamError::Image {
                source: ImageError::Header(HeaderError::SegmentCount { found }),
                ..
            }) => format!(
                "Invalid segment count {found} (max 16). Usually this indicates a linker script \
                 problem."
            ),
            Error::Unaligned { .. } => {
                "Size of data to erase must be a multiple of 4096.".to_owned()
            }
            Error::SfdpLength { .. } => {
                "Invalid number of bytes to read from SFDP (1-4).".to_owned()
            }
            error => {
                let mut text = capitalized(&chain(error));
                for hint in error.hints() {
                    text.push_str(&format!("\nHint: {hint}"));
                }
                text
            }
        };
    };
    match error {
        LoaderError::Connect { .. } => failure(error),
        LoaderError::UnknownChip(read) => {
            let what = match read {
                ChipRead::Id(id) => format!("ID value {id}"),
                ChipRead::Magic(magic) => format!("magic value {magic:#010x}"),
            };
            format!(
                "Unexpected chip {what}. Failed to autodetect chip type.\nProbably it is unsupported \
                 by this version of esptool."
            )
        }
        LoaderError::WrongChip { named, found } => {
            format!("This chip is {found}, not {named}. Wrong chip argument?")
        }
        LoaderError::DoesNotFit {
            file,
            length,
            address,
            flash,
        } => format!(
            "File '{}' (length {length}) at offset {address:#010x} will not fit in {flash} bytes of \
             flash. Change the flash_size argument or flashing address.",
            escape(file)
        ),
        LoaderError::ImageMismatch { file, reason } => {
            format!(
                "{}. Use --force to flash anyway.",
                mismatch(chip, file, reason)
            )
        }
        LoaderError::Unsupported { opcode } => format!(
            "This command ({:#x}) is not supported in the current download mode",
            *opcode as u8
        ),
        LoaderError::Guarded(guard) => guarded(*guard).to_owned(),
        LoaderError::CannotEncrypt(reason) => cannot_encrypt(*reason),
        LoaderError::Lacking { chip, what } => lacking(chip, what),
        LoaderError::OutsideFlash { address, end, size } => outside(*address, *end, *size),
        LoaderError::SecureDownload(NotInSecureDownload::DetectSize) => {
            "Detecting flash size is not supported in secure download mode. Need to manually \
             specify flash size."
                .to_owned()
        }
        LoaderError::VerifyFailed { .. } => "MD5 of file does not match data in flash!".to_owned(),
        LoaderError::Differs { .. } => "Verification failed.".to_owned(),
        LoaderError::Link(LinkError::NotFound { port }) => not_open(
            port,
            "No such file or directory",
            "Check if the port is correct and ESP connected",
        ),
        LoaderError::Link(
            error @ (LinkError::Connect { port, .. } | LinkError::BadAddress { url: port, .. }),
        ) => not_open(port, &chain(error), ""),
        LoaderError::Link(error @ LinkError::Busy { port, .. }) => not_open(
            port,
            &error.to_string(),
            "Check if the port is not used by another task",
        ),
        LoaderError::Link(error @ LinkError::Permission { port, group }) => {
            let group = group.as_deref().unwrap_or("dialout or uucp");
            let hint = format!("Try to add user into {group} group.");
            not_open(port, &error.to_string(), &hint)
        }
        error => {
            let mut text = capitalized(&chain(error));
            if let Some(hint) = error.hint().and_then(guru_chip::hint) {
                text.push_str(&format!("\nHint: {} {}", hint.cause, hint.remedy));
            }
            text
        }
    }
}

/// What is forbidden unless `--force` is given.
fn guarded(guard: Guard) -> &'static str {
    match guard {
        Guard::SecureBootV1 => {
            "Secure Boot V1 detected, writing to flash regions < 0x8000 is disabled to protect the \
             bootloader. Use the force argument to override, please use with caution, otherwise it \
             may brick your device!"
        }
        Guard::KeyManager => {
            "Flash encryption with Key Manager detected, writing to flash region 0x0-0x2000 is \
             disabled to protect key recovery info. Use the force argument to override, please use \
             with caution, otherwise it may brick your device!"
        }
        Guard::PlainInSecureDownload => {
            "Detected flash encryption and secure download mode enabled.\nFlashing plaintext binary \
             may brick your device! Use the force argument to override the warning."
        }
        Guard::PlainInReleaseMode => {
            "Detected flash encryption enabled and download manual encrypt disabled.\nData must be \
             encrypted appropriately before flashing.\nFlashing plaintext data may brick your \
             device! Use the force argument to override the warning."
        }
        Guard::EraseKeyManager => {
            "Flash encryption with Key Manager detected, erasing flash region 0x0-0x2000 is disabled \
             to protect key recovery info. Use the force argument to override, please use with \
             caution, otherwise it may brick your device!"
        }
        Guard::EraseEncrypted | Guard::EraseSecureBoot => {
            "Active security features detected, erasing flash is disabled as a safety measure. Use \
             the force argument to override, please use with caution, otherwise it may brick your \
             device!"
        }
    }
}

/// Why the chip does not encrypt what it writes.
fn cannot_encrypt(reason: CannotEncrypt) -> String {
    match reason {
        CannotEncrypt::NoEncryption { chip } => {
            format!("{chip} does not support encrypted flashing. ")
        }
        CannotEncrypt::Rom { chip } => format!(
            "{chip} ROM bootloader does not support encrypted writes. Encrypted writing is only \
             supported by the flasher stub. Do not use --no-stub when writing encrypted data."
        ),
        CannotEncrypt::Forbidden => "This chip has encrypt functionality in UART download mode \
                                     disabled. This is the Flash Encryption configuration for \
                                     Production mode instead of Development mode."
            .to_owned(),
        CannotEncrypt::CryptConfig(_) | CannotEncrypt::NoKey | CannotEncrypt::Unaligned { .. } => {
            "Can't perform encrypted flash write, consult Flash Encryption documentation for more \
             information."
                .to_owned()
        }
    }
}

/// A connection that failed, in one sentence; also for a port that is one of several.
fn failure(error: &LoaderError) -> String {
    let LoaderError::Connect { reason, chip, .. } = error else {
        return chain(error);
    };
    let reason = match reason {
        ConnectFailure::Silence => "No serial data received.".to_owned(),
        ConnectFailure::Garbage(first) => {
            format!("Invalid head of packet (0x{first:02X}): Possible serial noise or corruption.")
        }
        ConnectFailure::DownloadDisabled(None) => {
            "Invalid head of packet: Possible serial noise or corruption.".to_owned()
        }
        ConnectFailure::CutShort => "Packet content transfer stopped".to_owned(),
        ConnectFailure::Panic(cause) if cause.is_empty() => {
            "Guru Meditation Error detected.".to_owned()
        }
        ConnectFailure::Panic(cause) => format!("Guru Meditation Error detected ({cause})."),
        // The predecessor looks at no more than the boot mode.
        ConnectFailure::WrongBootMode(mode) | ConnectFailure::DownloadDisabled(Some(mode)) => {
            format!("Wrong boot mode detected ({mode:#x})! The chip needs to be in download mode.")
        }
        ConnectFailure::TxPathDown | ConnectFailure::UsbDownloadDisabled => {
            "Download mode successfully detected, but getting no sync \
                                       reply: The serial TX path seems to be down."
                .to_owned()
        }
        ConnectFailure::NoSyncReply => {
            "Serial data stream stopped: Possible serial noise or corruption.".to_owned()
        }
        ConnectFailure::StubRunning => {
            "A flasher stub is running; reset the chip into its ROM loader.".to_owned()
        }
    };
    let to = chip.map_or("Espressif device", |chip| chip.name);
    let rate = if error.may_need_higher_rate() {
        format!(
            "\nNote: Please set a higher baud rate if {to} doesn't connect (at least 115200 Bd is \
             recommended)."
        )
    } else {
        String::new()
    };
    format!(
        "Failed to connect to {to}: {reason}{rate}\nFor troubleshooting steps visit: \
         {TROUBLESHOOTING}"
    )
}

fn not_open(port: &str, reason: &str, hint: &str) -> String {
    let hint = if hint.is_empty() {
        String::new()
    } else {
        format!("\nHint: {hint}\n")
    };
    format!(
        "Could not open {}, the port is busy or doesn't exist.\n({})\n{hint}",
        escape(port),
        escape(reason)
    )
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut shown = text.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if cause_text != shown {
            text.push_str(&format!(": {cause_text}"));
        }
        shown = cause_text;
        next = cause.source();
    }
    escape(&text).into_owned()
}

/// A sentence begins with a capital letter, unless its first word is a name of something.
fn capitalized(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if word.chars().all(|c| c.is_ascii_lowercase()) => {
            first.to_uppercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
