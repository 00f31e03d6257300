//! What a command prints, in the predecessor's words.

mod device;
mod failure;
mod image;
mod lines;
mod notice;

use std::time::{Duration, Instant};

use guru_link::LinkError;
use guru_loader::{Error as LoaderError, Event, Leaving, NotInSecureDownload, Progress, Step};

use super::{certificate, esptool, format, image_info};
use crate::error::Error;
use crate::ui::{self, Message, Report, escape};
pub use failure::{MERGED, reason};
use failure::{TROUBLESHOOTING, bad_pairs, capitalized, chain, fatal, is_stream};
pub use lines::Lines;

/// What the command line says about the job, as far as its text depends on it.
#[derive(Debug)]
pub struct Job {
    /// Name of the command.
    pub command: &'static str,
    /// The chip was named.
    pub chip_named: bool,
    /// `--no-stub`.
    pub no_stub: bool,
    /// A stub does the work.
    pub uses_stub: bool,
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
    /// `merge-bin` tells of each file.
    pub merges_uf2: bool,
    /// Output file of `read-flash`.
    pub output: Option<String>,
    /// Custom sequence for the hard reset.
    pub sequence: Option<String>,
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
        if !self.lines.is_terminal() {
            self.lines.print(&line);
            return;
        }
        self.lines.redraw(&line);
        if complete {
            self.lines.end_line();
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
            Event::UploadingStub { .. } => lines.print("Uploading stub flasher..."),
            Event::StartingStub => lines.print("Running stub flasher..."),
            Event::StubRuns => lines.print("Stub flasher running."),
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
            Message::Image { notice } => image::notice(&mut self.lines, notice),
            Message::Merging { format, files } => {
                image_info::merging(&mut self.lines, *format, *files)
            }
            Message::Adding { file, address } if self.job.merges_uf2 => {
                self.lines
                    .print(&format!("Adding '{}' at {address:#x}...", escape(file)));
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
            Report::ImageInfo(report) => {
                image_info::report(&mut self.lines, &report, self.job.chip_named);
            }
            Report::MergeBin {
                file,
                format,
                bytes,
                target,
                ..
            } => {
                let file = file.display().to_string();
                image_info::merged(&mut self.lines, &file, format, bytes, target);
            }
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
            error if matches!(self.job.command, "load-ram" | "image-info") => ("FILENAME", error),
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
