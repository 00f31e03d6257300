use std::collections::HashMap;
use std::time::Duration;

use guru_loader::{DeviceInfo, Event, Leaving, Notice, Progress, Proof, Severity, Step};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::out::Style;
use super::{
    BoardReport, Message, Out, PortLine, Report, Screen, SettingLine, Stream, UnknownKey,
    Verbosity, chip, escape, image,
};
use crate::cmd::reset::Into;
use crate::error::{Error, exit};

/// Text for people: a progress bar on a terminal, plain lines elsewhere.
pub struct Text {
    out: Out,
    err: Out,
    verbosity: Verbosity,
    progress: bool,
    bar: Option<(Step, ProgressBar)>,
    /// Step of the present plain progress lines and the tenth that was told last.
    told: Option<(Step, u64)>,
    warned: Vec<String>,
    /// Set where this shows one of several boards.
    board: Option<String>,
    /// The bars of several boards.
    bars: MultiProgress,
    boards: HashMap<String, Self>,
}

impl Text {
    /// Writes to standard output, or to standard error where that carries data; warnings and
    /// errors go to standard error.
    pub fn new(stream: Stream, verbosity: Verbosity, progress: bool) -> Self {
        Self {
            out: Out::new(stream),
            err: Out::new(Stream::Stderr),
            verbosity,
            progress,
            bar: None,
            told: None,
            warned: Vec::new(),
            board: None,
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()),
            boards: HashMap::new(),
        }
    }

    /// What shows one of several boards: its name before each line, a bar that stays, and without
    /// `--verbose` only what it is, what it warns of and how it ends.
    fn of_board(&mut self, board: &str) -> &mut Self {
        let (verbosity, progress) = (self.verbosity, self.progress);
        let bars = &self.bars;
        self.boards.entry(board.to_owned()).or_insert_with(|| Self {
            board: Some(board.to_owned()),
            bars: bars.clone(),
            ..Self::new(Stream::Stdout, verbosity, progress)
        })
    }

    fn put(&mut self, text: &str) {
        put(&mut self.out, self.board.as_deref(), &self.bars, text);
    }

    fn put_error(&mut self, text: &str) {
        put(&mut self.err, self.board.as_deref(), &self.bars, text);
    }

    /// The bar of one of several boards, which stays to the board's end.
    fn board_bar(&mut self, state: &str, done: u64, total: u64) {
        let Some(board) = self.board.as_deref() else {
            return;
        };
        if !self.out.is_terminal() || !self.progress || self.verbosity == Verbosity::Quiet {
            return;
        }
        let (_, bar) = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} % {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            let bar = self.bars.add(ProgressBar::new(total)).with_style(style);
            bar.set_prefix(escape(board).into_owned());
            (Step::Write, bar)
        });
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(state.to_owned());
    }

    fn line(&mut self, text: &str) {
        let least = match self.board {
            None => Verbosity::Normal,
            Some(_) => Verbosity::Verbose,
        };
        if self.verbosity >= least {
            self.end_bar();
            self.put(text);
        }
    }

    fn detail(&mut self, text: &str) {
        if self.verbosity == Verbosity::Verbose {
            self.line(text);
        }
    }

    fn note(&mut self, text: &str) {
        let label = self.out.paint(Style::Note, "note:");
        self.line(&format!("{label} {text}"));
    }

    fn warn(&mut self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.end_bar();
            let label = self.err.paint(Style::Warning, "warning:");
            self.put_error(&format!("{label} {text}"));
        }
    }

    fn result(&mut self, text: &str) {
        self.end_bar();
        self.put(text);
    }

    fn results(&mut self, lines: Vec<String>) {
        for line in lines {
            self.result(&line);
        }
    }

    fn end_bar(&mut self) {
        // A board's bar stays.
        if self.board.is_some() {
            return;
        }
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.told = None;
    }

    fn show_progress(&mut self, progress: &Progress) {
        if !self.progress || self.verbosity == Verbosity::Quiet {
            return;
        }
        let total = progress.total.max(1);
        if self.board.is_some() {
            self.board_bar(verb(progress.step), progress.done, total);
            return;
        }
        if self.out.is_terminal() {
            let ended = self
                .bar
                .as_ref()
                .is_none_or(|(step, _)| *step != progress.step);
            if ended {
                self.end_bar();
                self.bar = Some((progress.step, bar(progress)));
            }
            if let Some((_, bar)) = &self.bar {
                bar.set_length(total);
                bar.set_position(progress.done);
                bar.set_message(format!("0x{:08x}", progress.address));
            }
            return;
        }
        let tenth = progress.done.min(total) * 10 / total;
        // What begins is told already, and what is done at once will be.
        let begun = matches!(self.told, Some((step, _)) if step == progress.step);
        if tenth == 0 || self.told == Some((progress.step, tenth)) || (tenth == 10 && !begun) {
            return;
        }
        self.told = Some((progress.step, tenth));
        self.out.line(&format!(
            "  {} 0x{:08x}: {} % ({} of {} bytes)",
            verb(progress.step),
            progress.address,
            progress.done * 100 / total,
            progress.done,
            progress.total
        ));
    }

    fn failure(&mut self, error: &Error) {
        let label = self.err.paint(Style::Error, "error:");
        self.put_error(&format!("{label} {}", escape(&error.to_string())));
        for cause in error.causes() {
            self.put_error(&format!("  caused by: {}", escape(&cause)));
        }
        for hint in error.hints() {
            let label = self.err.paint(Style::Note, "hint:");
            self.put_error(&format!("  {label} {}", escape(&hint)));
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

    fn settings(&mut self, settings: &[SettingLine]) {
        let rows: Vec<[String; 3]> = settings
            .iter()
            .map(|setting| {
                let value = match setting.meaning {
                    Some(meaning) => format!("({meaning})"),
                    None => escape(&setting.values.join(", ")).into_owned(),
                };
                let source = match &setting.source {
                    None => "default".to_owned(),
                    Some(source) => escape(&source.to_string()).into_owned(),
                };
                [setting.name.to_owned(), value, source]
            })
            .collect();
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let (names, values) = (width(0), width(1).min(40));
        for (setting, [name, value, source]) in settings.iter().zip(&rows) {
            let style = match setting.source {
                Some(_) => Style::Strong,
                None => Style::Dim,
            };
            let line = format!("{name:<names$}  {value:<values$}  {source}");
            let line = self.out.paint(style, &line);
            self.result(&line);
        }
    }

    fn ports(&mut self, ports: &[PortLine], filtered_out: usize) {
        match (ports.is_empty(), filtered_out) {
            (false, _) => {}
            (true, 0) => self.result("There is no serial port."),
            (true, 1) => self.result("The filter does not let the only serial port through."),
            (true, count) => {
                self.result(&format!(
                    "The filter lets none of the {count} serial ports through."
                ));
            }
        }
        let width = |text: fn(&PortLine) -> Option<&str>| {
            let widths = ports
                .iter()
                .filter_map(text)
                .map(|text| text.chars().count());
            widths.max().unwrap_or(0)
        };
        let names = width(|port| Some(&port.name));
        let serials = width(|port| port.serial.as_deref());
        for port in ports {
            let mut line = format!("{:<names$}", escape(&port.name));
            let usb = port
                .usb
                .map(|(vendor, product)| format!("{vendor:04x}:{product:04x}"));
            line.push_str(&format!("  {:<9}", usb.unwrap_or_default()));
            let serial = port.serial.as_deref().unwrap_or_default();
            line.push_str(&format!("  {:<serials$}", escape(serial)));
            if let Some(description) = &port.description {
                line.push_str(&format!("  {}", escape(description)));
            }
            if let Some(location) = &port.location {
                line.push_str(&format!("  at {}", escape(location)));
            }
            if let Some(baud) = port.safe_baud {
                line.push_str(&format!("  up to {baud} baud"));
            }
            if let Some(holder) = &port.holder {
                line.push_str(&format!("  in use by {}", escape(holder)));
            }
            let style = if port.likely {
                Style::Strong
            } else {
                Style::Dim
            };
            let line = self.out.paint(style, line.trim_end());
            self.result(&line);
        }
    }
}

impl Screen for Text {
    fn event(&mut self, event: &Event) {
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

    fn message(&mut self, message: &Message) {
        match message {
            Message::Image { notice } => match image::told(notice) {
                image::Told::Warning(text) => self.warn(&escape(&text)),
                image::Told::Note(text) => self.note(&escape(&text)),
                image::Told::Detail(text) => self.detail(&escape(&text)),
            },
            Message::Configuration {
                path,
                from_environment,
            } => {
                let from = if *from_environment {
                    " (ESPTOOL_CFGFILE)"
                } else {
                    ""
                };
                let path = path.display().to_string();
                self.detail(&format!("configuration: {}{from}", escape(&path)));
            }
            Message::UnknownKeys { path, keys } => {
                for UnknownKey { key, line, meant } in keys {
                    let meant = match meant {
                        Some(meant) => format!("write '{meant}'"),
                        None => "'guru config show' lists those that there are".to_owned(),
                    };
                    let text = format!("{}:{line}: unknown key '{key}'; {meant}", path.display());
                    self.warn(&escape(&text));
                }
            }
            Message::InvalidConfiguration { path, reason } => {
                let path = path.display().to_string();
                self.warn(&format!(
                    "{} is passed over: {}",
                    escape(&path),
                    escape(reason)
                ));
            }
            Message::PortsFound { ports } => match ports.len() {
                0 | 1 => {}
                count => self.line(&format!(
                    "{count} serial ports are tried, the likeliest first."
                )),
            },
            Message::OpeningPort { .. } => self.board_bar("connecting", 0, 1),
            Message::Ready => {}
            Message::WaitingForBoards => self.line("Waiting for boards; Ctrl-C ends."),
            Message::OpenFailed {
                reason, attempt, ..
            } => {
                self.detail(&format!(
                    "  attempt {attempt} to open the port: {}",
                    escape(reason)
                ));
            }
            Message::PortFailed { port, reason } => {
                let text = if reason.starts_with(port) {
                    reason.clone()
                } else {
                    format!("{port}: {reason}")
                };
                self.warn(&escape(&text));
            }
            Message::Note { text } => self.note(text),
            Message::Warning { text } => self.warn(text),
            Message::Simulator {
                chip,
                port,
                command,
                flash,
            } => {
                let port = self.out.paint(Style::Strong, port);
                self.result(&format!("{chip} at {port}"));
                self.line(&format!("try:  {command}"));
                match flash {
                    Some(path) => {
                        let path = path.display().to_string();
                        self.line(&format!("The flash is kept in {}.", escape(&path)));
                    }
                    None => self
                        .line("The flash is kept in memory: its contents end with this program."),
                }
                self.line("Ctrl-C stops it.");
            }
            Message::SimulatorEvent { text, .. } => self.line(&escape(text)),
            // Passed on as it is.
            Message::Output { .. } => {}
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Elf2image { files, .. } => self.results(image::lines(&files)),
            Report::ChipId {
                chip_id: Some(id), ..
            } => self.result(&format!("Chip id      0x{id:08x}")),
            Report::ReadMac(mac) | Report::ChipId { mac, .. } => {
                self.result(&format!("MAC          {}", escape(&mac.mac)));
                if let Some(extended) = &mac.extended {
                    self.result(&format!("EUI-64       {}", escape(&extended.eui64)));
                }
            }
            Report::FlashId(flash) => {
                self.result(&format!("Manufacturer 0x{:02x}", flash.manufacturer));
                self.result(&format!("Device       0x{:04x}", flash.device));
                self.result(&format!(
                    "Size         {}",
                    flash.size_label.unwrap_or("unknown")
                ));
                if let Some(lines) = flash.data_lines {
                    self.result(&format!("Data lines   {lines} (by eFuse)"));
                }
                if let Some(voltage) = &flash.voltage {
                    self.result(&format!(
                        "Voltage      {} (by {})",
                        voltage.volts, voltage.source
                    ));
                }
            }
            Report::GetSecurityInfo(report) => self.results(chip::security(&report)),
            Report::ReadSdcChipInfo {
                file,
                chip_info,
                nonce,
            } => {
                self.result(&format!("Chip info  {chip_info}"));
                self.result(&format!("Nonce      {nonce}"));
                let file = file.display().to_string();
                self.line(&format!("Both are stored in {}.", escape(&file)));
            }
            Report::VerifySdcCertificate {
                jtag,
                download,
                spi_boot,
            } => {
                let opened = [
                    (jtag, "JTAG"),
                    (download, "download mode"),
                    (spi_boot, "booting from flash"),
                ];
                let opened = opened.iter().filter(|(granted, _)| *granted);
                let opened: Vec<_> = opened.map(|(_, what)| *what).collect();
                let opened = match opened.is_empty() {
                    true => "nothing".to_owned(),
                    false => opened.join(", "),
                };
                self.result("The chip has taken the certificate.");
                self.line(&format!(
                    "Until the next reset it opens: {opened}. Connect with --before no-reset."
                ));
            }
            Report::ReadFlashStatus(status) => self.results(chip::flash_status(&status)),
            Report::WriteFlashStatus(_) => self.line("The flash took it."),
            Report::ReadFlashSfdp { address, bytes, .. } => {
                self.results(chip::hex_dump(address, &bytes));
            }
            Report::DecodedSfdp(sfdp) => self.results(chip::sfdp(&sfdp)),
            Report::Ports {
                ports,
                filtered_out,
            } => self.ports(&ports, filtered_out),
            Report::ConfigShow { settings } => self.settings(&settings),
            Report::Version { version } => self.result(version),
            Report::ReadFlash {
                file: Some(file), ..
            } => {
                let file = file.display().to_string();
                self.line(&format!("  stored in {}", escape(&file)));
            }
            Report::DumpMem {
                file: Some(file), ..
            } => {
                let file = file.display().to_string();
                self.line(&format!("  stored in {}", escape(&file)));
            }
            Report::ReadMem { address, value } => {
                self.result(&format!("0x{address:08x} = 0x{value:08x}"));
            }
            Report::WriteMem {
                address,
                old: Some(old),
                written: Some(written),
                new: Some(new),
                ..
            } => {
                self.result(&format!("0x{address:08x}: 0x{old:08x} -> 0x{written:08x}"));
                if new != written {
                    self.note(&format!(
                        "it reads as 0x{new:08x} now: some of these bits cannot be written, or \
                         change by themselves"
                    ));
                }
            }
            Report::Reset {
                into: Into::Download,
            } => self.line("Reset by DTR and RTS into the loader."),
            Report::VerifyFlash { files } => {
                let what = if files == 1 { "the file" } else { "all files" };
                self.line(&format!("The flash holds {what}."));
            }
            Report::Boards { boards } => {
                let failed = boards.iter().filter(|board| board.error.is_some()).count();
                let done = boards.len() - failed;
                self.line(&format!("{done} of {} boards are done.", boards.len()));
            }
            Report::EraseFlash
            | Report::EraseRegion { .. }
            | Report::ReadFlash { .. }
            | Report::DumpMem { .. }
            | Report::LoadRam { .. }
            | Report::Reset { .. }
            | Report::Run
            | Report::WriteMem { .. }
            | Report::Sim
            | Report::WriteFlash(_) => {}
        }
    }

    fn output(&mut self, bytes: &[u8]) -> bool {
        self.end_bar();
        super::pass_on(bytes)
    }

    fn end(&mut self, outcome: Result<(), &Error>) -> u8 {
        self.end_bar();
        let Err(error) = outcome else {
            return exit::SUCCESS;
        };
        self.failure(error);
        error.exit_code()
    }

    fn board_event(&mut self, board: &str, event: &Event) {
        self.of_board(board).event(event);
    }

    fn board_message(&mut self, board: &str, message: &Message) {
        self.of_board(board).message(message);
    }

    fn board_ended(&mut self, board: &BoardReport) {
        let Some(mut text) = self.boards.remove(&board.port) else {
            return;
        };
        if let Some((_, bar)) = text.bar.take() {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        match (&board.error, &board.result) {
            (Some(error), _) => text.failure(error),
            (None, Some(result)) => {
                text.report(result.clone());
                if self.verbosity > Verbosity::Quiet {
                    text.put(&format!("done, after {:.1} s", board.seconds));
                }
            }
            (None, None) => {}
        }
    }
}

/// Writes a line, past the bars of several boards.
fn put(out: &mut Out, board: Option<&str>, bars: &MultiProgress, text: &str) {
    match board {
        None => out.line(text),
        Some(board) => {
            let line = format!("{}: {}", escape(board), text.trim_start());
            bars.suspend(|| out.line(&line));
        }
    }
}

fn bar(progress: &Progress) -> ProgressBar {
    let template = format!(
        "  {} {{msg}} [{{bar:30}}] {{percent:>3}} % {{bytes}}/{{total_bytes}}, {{eta}} left",
        verb(progress.step)
    );
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(progress.total), ProgressDrawTarget::stdout())
        .with_style(style)
}

fn verb(step: Step) -> &'static str {
    match step {
        Step::Dump => "reading",
        Step::Erase => "erasing",
        Step::Load => "loading",
        Step::Read => "reading",
        Step::Verify => "comparing",
        Step::Write => "writing",
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
