//! What happens in a session, as lines.

use std::time::Duration;

use guru_loader::{DeviceInfo, Event, Leaving, Notice, Proof, Severity};

use super::Text;
use crate::ui::out::Style;
use crate::ui::{Verbosity, chip, escape};

impl Text {
    /// Shows what has happened.
    pub(super) fn show_event(&mut self, event: &Event) {
        match event {
            Event::Connecting { port } => self.line(&format!("Connecting to {}...", escape(port))),
            Event::ConnectAttempt { attempt } => {
                self.detail(&format!("  attempt {attempt} failed"));
            }
            Event::Connected(device) => self.connected(device),
            Event::ChangingBaud { .. } | Event::DetectingChip => {}
            Event::UploadingStub { own, bytes } => {
                let whose = if *own { "Guru's" } else { "Espressif's" };
                self.detail(&format!("uploading {whose} flasher stub ({bytes} bytes)"));
            }
            Event::StartingStub => {}
            Event::StubRuns => self.detail("the flasher stub runs"),
            Event::BaudChanged { baud } => self.line(&format!("  Baud rate  {baud}")),
            Event::AttachingFromEfuse { pads } => {
                let [clk, q, d, hd, cs] = pads;
                self.detail(&format!(
                    "flash on GPIO CLK {clk}, Q {q}, D {d}, HD {hd}, CS {cs}"
                ));
            }
            Event::AttachingDefault | Event::ConfiguringFlash => {}
            Event::FlashSizeDetected { label, .. } => self.line(&format!("  Flash      {label}")),
            Event::HeaderPatched {
                parameters,
                digest_updated,
            } => {
                let digest = if *digest_updated {
                    ", digest renewed"
                } else {
                    ""
                };
                self.line(&format!(
                    "  flash parameters set to 0x{parameters:04x}{digest}"
                ));
            }
            Event::FileBegins {
                name,
                address,
                length,
                ..
            } => {
                let name = self.out.paint(Style::Strong, &escape(name));
                self.line(&format!("{name}: {length} bytes at 0x{address:08x}"));
            }
            Event::Compared {
                changed: 0,
                trusted,
                ..
            } => {
                if *trusted {
                    self.line("  is believed to be there, nothing to write");
                }
            }
            Event::Compared {
                changed, sectors, ..
            } => {
                self.line(&format!(
                    "  {changed} of {sectors} sectors differ from what --diff-with names"
                ));
            }
            Event::RunBegins { .. } | Event::RunWritten { .. } => {}
            Event::EraseRange { start, end, .. } => {
                self.detail(&format!("  erasing 0x{start:08x} to 0x{end:08x}"));
            }
            Event::Unchanged {
                whole_file: true, ..
            } => {
                self.line("  is there already, nothing to write");
            }
            Event::Unchanged {
                address, length, ..
            } => {
                self.line(&format!(
                    "  {length} bytes at 0x{address:08x} are there already"
                ));
            }
            Event::Progress(progress) => self.show_progress(progress),
            Event::Wrote {
                bytes,
                compressed,
                elapsed,
                ..
            } => {
                let sent = compressed
                    .map(|compressed| format!(" ({compressed} compressed)"))
                    .unwrap_or_default();
                self.line(&format!(
                    "  wrote {bytes} bytes{sent} in {}",
                    rate(*bytes, *elapsed)
                ));
            }
            Event::Verifying {
                name,
                address,
                length,
            } => {
                self.detail(&format!(
                    "  verifying {length} bytes at 0x{address:08x} ({})",
                    escape(name)
                ));
            }
            Event::Verified {
                name,
                address,
                length,
                proof,
            } => {
                let proof = match proof {
                    Proof::Digest => "",
                    Proof::ReadBack => " (read back)",
                    Proof::DigestAndReadBack => " (by digest, and read back)",
                };
                self.line(&format!(
                    "  verified: {length} bytes at 0x{address:08x} equal {}{proof}",
                    escape(name)
                ));
            }
            Event::Mismatch {
                name,
                address,
                length,
                expected,
                found,
            } => {
                self.line(&format!(
                    "  different: {length} bytes at 0x{address:08x} do not equal {}",
                    escape(name)
                ));
                self.detail(&format!("    MD5 of the file  {expected}"));
                self.detail(&format!("    MD5 in the flash {found}"));
            }
            Event::Differences { count, bytes } => {
                self.result(&format!("  {count} bytes differ (address, flash, file):"));
                for (address, flash, file) in bytes {
                    self.result(&format!("    0x{address:08x} {flash:02x} {file:02x}"));
                }
            }
            Event::ReadDone {
                address,
                bytes,
                resumed,
                verified,
                elapsed,
            } => {
                let fresh = bytes.saturating_sub(*resumed);
                let resumed = if *resumed > 0 {
                    format!(", {resumed} of them from the interrupted read")
                } else {
                    String::new()
                };
                let verified = if *verified {
                    ", verified"
                } else {
                    ", not verified"
                };
                self.line(&format!(
                    "  read {bytes} bytes from 0x{address:08x}{resumed}{verified} in {}",
                    rate(fresh, *elapsed)
                ));
            }
            Event::Erasing { range: None } => self.line("Erasing the whole flash..."),
            Event::Erasing {
                range: Some((start, length)),
            } => {
                self.line(&format!("Erasing {length} bytes at 0x{start:08x}..."));
            }
            Event::Erased { elapsed, .. } => {
                self.line(&format!("  erased in {:.1} s", elapsed.as_secs_f64()));
            }
            Event::WritingStatus(change) => {
                for line in chip::status_change(change) {
                    self.line(&line);
                }
                for warning in chip::status_warnings(change) {
                    self.warn(&warning);
                }
            }
            Event::Dumping { .. } => {}
            Event::Dumped {
                bytes,
                address,
                elapsed,
            } => self.line(&format!(
                "  read {bytes} bytes from 0x{address:08x} in {}",
                rate(*bytes, *elapsed)
            )),
            Event::Loading { name } => {
                let name = self.out.paint(Style::Strong, &escape(name));
                self.line(&format!("Loading {name} into RAM"));
            }
            Event::LoadingSegment { address, length } => {
                self.line(&format!("  {length} bytes at 0x{address:08x}"));
            }
            Event::Loaded { entry, .. } => self.line(&format!("  starting at 0x{entry:08x}")),
            Event::LineFault { fault, count } => {
                self.detail(&format!("  fault {count} on the line: {}", escape(fault)));
            }
            Event::LinkLost { attempt } => {
                self.warn(&format!(
                    "the connection was lost; opening the port again ({attempt})"
                ));
            }
            Event::PortMoved { port, .. } => {
                self.line(&format!("The port has come back as {}.", escape(port)));
            }
            Event::Leaving(leaving) => self.line(match leaving {
                Leaving::HardReset => "Reset by RTS; the application runs.",
                Leaving::CustomReset => "Reset by the custom sequence.",
                Leaving::WatchdogReset => "Reset by the watchdog; the application runs.",
                Leaving::SoftReset => "The application was started.",
                Leaving::Running => "The program runs.",
                Leaving::InLoader => "The chip stays in its loader.",
                Leaving::HeldInReset => {
                    "The chip is held in reset, until a program opens the port or it is unplugged."
                }
            }),
            // Nobody minds these.
            Event::Notice(Notice::Slow { seconds: 0..10, .. }) => {}
            Event::Notice(Notice::RomCrystal {
                taken_mhz,
                found_mhz,
            }) if taken_mhz == found_mhz => {}
            Event::Notice(notice @ Notice::UnknownUsb { .. }) => {
                let text = escape(&notice.to_string()).into_owned();
                self.detail(&text);
            }
            Event::Notice(notice) => {
                let text = escape(&notice.to_string()).into_owned();
                match notice.severity() {
                    Severity::Note => self.note(&text),
                    Severity::Warning if self.warned.contains(&text) => {}
                    Severity::Warning => {
                        self.warn(&text);
                        self.warned.push(text);
                    }
                }
            }
            other => {
                let text = format!("{other:?}");
                self.detail(&escape(&text));
            }
        }
    }

    fn connected(&mut self, device: &DeviceInfo) {
        let what = device.description.as_deref().unwrap_or(device.chip);
        if self.board.is_some() && self.verbosity == Verbosity::Normal {
            let mac = device.mac.as_deref().unwrap_or("unknown");
            self.put(&escape(&format!("{what}, MAC {mac}")));
            self.board_bar("connected", 0, 1);
            return;
        }
        let what = self.out.paint(Style::Strong, &escape(what));
        self.line(&format!("{what} on {}", escape(&device.port)));
        if device.secure_download {
            self.line("  Mode       Secure Download");
        }
        if !device.features.is_empty() {
            let features = device.features.join(", ");
            self.line(&format!("  Features   {}", escape(&features)));
        }
        if let Some(mhz) = device.crystal_mhz {
            self.line(&format!("  Crystal    {mhz} MHz"));
        }
        if let Some(mode) = device.usb_mode {
            self.line(&format!("  USB        {}", mode.name()));
        }
        if let Some(mac) = &device.mac {
            self.line(&format!("  MAC        {}", escape(mac)));
        }
        if let Some(extended) = &device.extended_mac {
            self.line(&format!("  EUI-64     {}", escape(&extended.eui64)));
        }
    }
}

fn rate(bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 {
        let kbit = bytes as f64 * 8.0 / 1000.0 / seconds;
        format!("{seconds:.1} s ({kbit:.1} kbit/s)")
    } else {
        format!("{seconds:.1} s")
    }
}
