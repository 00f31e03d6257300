//! What `split-bin` has made, as values, which are its manifest as well, and as text.

use std::path::PathBuf;

use serde::Serialize;

use super::escape;

/// Flash contents that were taken apart.
#[derive(Debug, Clone, Serialize)]
pub struct SplitReport {
    /// The file.
    pub file: PathBuf,
    /// The folder that was made.
    pub folder: PathBuf,
    /// The chip, where an image says it.
    pub chip: Option<&'static str>,
    /// Flash address of the file's first byte.
    pub offset: u32,
    /// The parts, by address.
    pub parts: Vec<SplitPart>,
    /// What does not fit together in them.
    pub problems: Vec<String>,
}

/// One part of them.
#[derive(Debug, Clone, Serialize)]
pub struct SplitPart {
    /// Name: a partition's, or what is always there.
    pub name: String,
    /// What is kept there.
    pub role: &'static str,
    /// Flash address.
    pub address: u64,
    /// Bytes of flash that it has.
    pub size: u64,
    /// The file in the folder; `None`: there is nothing to keep.
    pub file: Option<String>,
    /// Length of that in bytes.
    pub bytes: u32,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: Option<String>,
    /// Whether it is erased flash.
    pub blank: bool,
    /// Whether something behind an image was left out.
    pub leftover: bool,
    /// Whether the contents end before it does.
    pub cut: bool,
    /// What is wrong with the image.
    pub problems: Vec<String>,
}

/// The report as lines of text.
pub(super) fn lines(report: &SplitReport) -> Vec<String> {
    let names = report
        .parts
        .iter()
        .map(|part| escape(&part.name).chars().count());
    let width = names.max().unwrap_or(0);
    let mut lines = Vec::new();
    for part in &report.parts {
        let name = escape(&part.name);
        let what = match &part.file {
            Some(file) => format!("{file}, {} bytes{}", part.bytes, remark(part)),
            None if part.blank => "blank, left out".to_owned(),
            None => "not in the file".to_owned(),
        };
        lines.push(format!("0x{:08x}  {name:<width$}  {what}", part.address));
        for problem in &part.problems {
            lines.push(format!("            will not boot: {problem}"));
        }
    }
    for problem in &report.problems {
        lines.push(format!("Will not boot: {problem}."));
    }
    let folder = report.folder.display().to_string();
    lines.push(format!(
        "All of it is in '{}'; flash_args puts it together again.",
        escape(&folder)
    ));
    lines
}

fn remark(part: &SplitPart) -> &'static str {
    match (part.leftover, part.cut) {
        (true, _) => "; what is behind the image was left out",
        (false, true) => "; the file ends there",
        (false, false) => "",
    }
}
