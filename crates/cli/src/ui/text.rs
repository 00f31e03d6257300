mod events;
mod progress;

use std::collections::HashMap;

use guru_loader::{Event, Step};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::out::Style;
use super::{
    BoardReport, Message, Out, PortLine, Report, Screen, SettingLine, Stream, UnknownKey,
    Verbosity, chip, escape, explain, image, image_info, size, split,
};
use crate::cmd::MergeFormat;
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
        self.show_event(event);
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
            Message::Ready | Message::Merging { .. } => {}
            Message::Adding { file, address } => {
                self.line(&format!("0x{address:08x}  {}", escape(file)));
            }
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
            Report::Flash(report) => {
                report.lines().iter().for_each(|line| self.line(line));
                for note in &report.notes {
                    self.note(&escape(note));
                }
            }
            Report::Explain(report) => {
                for line in explain::lines(&report) {
                    let painted = line.iter().map(|(style, text)| match style {
                        Some(style) => self.out.paint(*style, text),
                        None => text.clone(),
                    });
                    let painted: String = painted.collect();
                    self.result(&painted);
                }
                if let Some(path) = &report.html {
                    let path = path.display().to_string();
                    self.line(&format!("\nThe same as a page: {}", escape(&path)));
                }
            }
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
            Report::Partitions(report) => {
                self.results(report.lines());
                if let Some(file) = &report.output {
                    let file = file.display().to_string();
                    self.line(&format!("The table is stored in {}.", escape(&file)));
                }
            }
            Report::Ota(report) => self.results(report.lines()),
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
            Report::ImageInfo(report) => self.results(image_info::lines(&report)),
            Report::SplitBin(report) => self.results(split::lines(&report)),
            Report::Size(report) => self.results(size::lines(&report)),
            Report::MergeBin {
                file,
                format,
                bytes,
                target,
                ..
            } => {
                let file = file.display().to_string();
                let place = match format {
                    MergeFormat::Raw => format!(", to be flashed at 0x{target:x}"),
                    MergeFormat::Hex | MergeFormat::Uf2 => String::new(),
                };
                self.line(&format!("'{}' has {bytes} bytes{place}.", escape(&file)));
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
