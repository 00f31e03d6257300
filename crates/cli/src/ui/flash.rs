//! What `flash` is about to write and has written, as values and as text.

use std::path::PathBuf;

use guru_loader::WriteReport;
use guru_project::Part;
use serde::Serialize;

use super::escape;

/// A program that was flashed, with what it needs.
#[derive(Debug, Clone, Serialize)]
pub struct FlashReport {
    /// The chip.
    pub chip: &'static str,
    /// The build system whose folder tells of the parts.
    pub build: Option<String>,
    /// Name of the partition with the application.
    pub partition: Option<String>,
    /// The parts, by address.
    pub parts: Vec<FlashPart>,
    /// Sectors of flash that they lie in.
    pub sectors: u32,
    /// Sectors of those that were written.
    pub sectors_written: u32,
    /// Whether all of it was shown alone (`--dry-run`).
    pub dry_run: bool,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// A part of what goes to flash.
#[derive(Debug, Clone, Serialize)]
pub struct FlashPart {
    /// What it is for.
    pub role: &'static str,
    /// What it is called.
    pub name: String,
    /// Flash offset.
    pub address: u32,
    /// Its length in bytes.
    pub bytes: u32,
    /// Its file, or that it is made of.
    pub file: Option<PathBuf>,
    /// Who says so.
    pub from: String,
    /// Whether the chip encrypts it.
    pub encrypted: bool,
    /// Sectors of flash that it lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sectors: Option<u32>,
    /// Sectors of those that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sectors_written: Option<u32>,
}

impl From<&Part> for FlashPart {
    fn from(part: &Part) -> Self {
        Self {
            role: part.role.name(),
            name: part.name.clone(),
            address: part.address,
            bytes: part.contents.len(),
            file: part.file.clone(),
            from: part.from.clone(),
            encrypted: part.encrypt,
            sectors: None,
            sectors_written: None,
        }
    }
}

impl FlashReport {
    /// Adds what was written.
    pub fn wrote(&mut self, written: &WriteReport) {
        for file in &written.files {
            self.sectors = self.sectors.saturating_add(file.sectors);
            self.sectors_written = self.sectors_written.saturating_add(file.sectors_written);
            let mut parts = self.parts.iter_mut();
            if let Some(part) = parts.find(|part| part.address == file.address) {
                part.sectors = Some(file.sectors);
                part.sectors_written = Some(file.sectors_written);
            }
        }
    }

    /// The report as lines of text.
    pub(super) fn lines(&self) -> Vec<String> {
        let names = self.parts.iter().map(|part| part.name.chars().count());
        let width = names.max().unwrap_or(0);
        let mut lines: Vec<_> = self.parts.iter().map(|part| part.line(width)).collect();
        let sectors = self.sectors;
        lines.push(match (self.dry_run, self.sectors_written) {
            (true, _) => "Nothing was written (--dry-run).".to_owned(),
            (false, 0) => format!("Wrote 0 of {sectors} sectors: all is there already."),
            (false, written) => format!("Wrote {written} of {sectors} sectors."),
        });
        lines
    }
}

impl FlashPart {
    fn line(&self, width: usize) -> String {
        let name = escape(&self.name);
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let file = file.map(|file| format!("{}, ", escape(&file)));
        let encrypted = if self.encrypted { ", encrypted" } else { "" };
        let wrote = match (self.sectors_written, self.sectors) {
            (Some(written), Some(all)) => format!(": wrote {written} of {all} sectors"),
            _ => String::new(),
        };
        format!(
            "0x{:08x}  {name:<width$}  {}{} bytes{encrypted} ({}){wrote}",
            self.address,
            file.unwrap_or_default(),
            self.bytes,
            escape(&self.from)
        )
    }
}
