//! What is known of firmware images, as values, as text and as JSON.

use std::path::PathBuf;
use std::sync::Arc;

use guru_chip::Revision;
use guru_image::{Checked, ImageInfo, InfoError, Placed, Problem, SegmentInfo};
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::{Value, json};

use super::escape;
use crate::layout::Misfit;

/// What `image-info` finds in a file.
#[derive(Debug, Clone)]
pub struct ImageReport {
    /// The file.
    pub file: PathBuf,
    /// What it is made of: one piece, the runs of Intel HEX, or the images in flash contents.
    pub pieces: Vec<ImagePiece>,
    /// What does not fit together in them, or to a partition table.
    pub problems: Vec<Misfit>,
}

/// A piece of a file, with the image in it.
#[derive(Debug, Clone)]
pub struct ImagePiece {
    /// Its name, where a partition table gives one.
    pub name: Option<String>,
    /// Its flash offset, where the file gives one.
    pub offset: Option<u64>,
    /// Its length in bytes.
    pub size: u32,
    /// The image, or why there is none.
    pub image: Result<Box<ImageInfo>, Arc<InfoError>>,
}

/// A file that was merged with others.
#[derive(Debug, Clone, Serialize)]
pub struct MergedFile {
    /// Its name.
    pub file: String,
    /// Its flash offset.
    pub address: u32,
    /// Its length in bytes.
    pub bytes: u32,
}

impl MergedFile {
    /// Of a part of a merged file.
    pub fn of(part: &Placed) -> Self {
        Self {
            file: part.contents.name().to_owned(),
            address: part.address,
            bytes: part.contents.len(),
        }
    }
}

/// The report as lines of text.
pub(super) fn lines(report: &ImageReport) -> Vec<String> {
    let file = report.file.display().to_string();
    let mut lines = Vec::new();
    for piece in &report.pieces {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut place = match piece.offset {
            Some(offset) => format!(" at 0x{offset:x}"),
            None => String::new(),
        };
        if let Some(name) = &piece.name {
            place.push_str(&format!(" ({})", escape(name)));
        }
        let size = piece.size;
        field(
            &mut lines,
            "File",
            &format!("{}{place}, {size} bytes", escape(&file)),
        );
        match &piece.image {
            Ok(image) => image_lines(&mut lines, image),
            Err(error) => field(&mut lines, "Image", &format!("none: {error}")),
        }
    }
    if !report.problems.is_empty() {
        lines.push(String::new());
    }
    for Misfit { text, fatal } in &report.problems {
        lines.push(format!("{}: {}.", effect(*fatal), escape(text)));
    }
    lines
}

fn field(lines: &mut Vec<String>, name: &str, value: &str) {
    lines.push(format!("{name:<13}{value}"));
}

fn image_lines(lines: &mut Vec<String>, image: &ImageInfo) {
    let mut what = format!("{} for the {}", role(image), image.chip.name);
    if image.outer.is_some() {
        what.push_str(", version 2");
    }
    if let Some(revisions) = revisions(image) {
        what.push_str(&format!(", {revisions}"));
    }
    field(lines, "Image", &what);
    if let Some(app) = &image.app {
        field(
            lines,
            "Application",
            &format!("{} {}", or_none(&app.project), escape(&app.version)),
        );
        let when = format!("{} {}", app.date, app.time);
        field(lines, "Built", &built(when.trim(), &app.idf_version));
        field(lines, "ELF SHA-256", &hex(&app.elf_sha256));
        if app.secure_version != 0 {
            field(lines, "Secure ver.", &app.secure_version.to_string());
        }
        field(
            lines,
            "eFuse block",
            &format!(
                "{} to {}",
                Revision(app.min_efuse_block),
                Revision(app.max_efuse_block)
            ),
        );
        if let Some(page) = app.mmu_page() {
            field(lines, "MMU page", &format!("{} KB", page / 1024));
        }
    }
    if let Some((_, bootloader)) = &image.bootloader {
        let built = built(&bootloader.date_time, &bootloader.idf_version);
        let version = bootloader.version;
        field(lines, "Built", &format!("{built}, version {version}"));
    }
    field(
        lines,
        "Entry point",
        &format!("0x{:08x}", image.header.entry),
    );
    let known = |label: Option<&'static str>| label.unwrap_or("unknown");
    field(
        lines,
        "Flash",
        &format!(
            "{}, {}, {}",
            known(image.flash_mode()),
            known(image.flash_frequency()),
            known(image.flash_size())
        ),
    );
    field(
        lines,
        "Checksum",
        &checked(&image.checksum, |sum| format!("0x{sum:02x}")),
    );
    if let Some(digest) = &image.digest {
        field(lines, "SHA-256", &checked(digest, |digest| hex(digest)));
    }
    if let Some(crc) = &image.crc {
        field(lines, "CRC-32", &checked(crc, |crc| format!("0x{crc:08x}")));
    }
    if let Some(signature) = &image.signature {
        let blocks = match signature.blocks {
            1 => "1 signature".to_owned(),
            count => format!("{count} signatures"),
        };
        let fits = match signature.fits {
            Some(true) => ", for this image",
            Some(false) => ", not for this image",
            None => "",
        };
        let scheme = signature.scheme.name();
        let at = signature.range.start;
        field(
            lines,
            "Signed",
            &format!("{scheme}, {blocks} at 0x{at:x}{fits}"),
        );
    }
    field(lines, "Ends at", &format!("0x{:x}", image.end));
    lines.push(String::new());
    lines.push("Segment  Address     Length     Offset    Memory".to_owned());
    for (number, segment) in image.segments.iter().enumerate() {
        let line = format!(
            "{number:<7}  0x{:08x}  0x{:<7x}  0x{:<6x}  {}",
            segment.address,
            segment.data.len(),
            segment.data.start,
            memory(segment)
        );
        lines.push(line.trim_end().to_owned());
    }
    let problems = image.problems();
    if !problems.is_empty() {
        lines.push(String::new());
    }
    for problem in problems {
        let effect = effect(problem.is_fatal());
        lines.push(format!("{effect}: {problem}."));
    }
}

/// When it was built, where that is known, and with what.
fn built(when: &str, idf_version: &str) -> String {
    let when = escape(when);
    let comma = if when.is_empty() { "" } else { ", " };
    format!("{when}{comma}ESP-IDF {}", escape(idf_version))
}

fn effect(fatal: bool) -> &'static str {
    match fatal {
        true => "Will not boot",
        false => "Doubtful",
    }
}

fn memory(segment: &SegmentInfo) -> String {
    segment.memory.join(", ")
}

fn or_none(text: &str) -> String {
    match text.is_empty() {
        true => "(no name)".to_owned(),
        false => escape(text).into_owned(),
    }
}

/// What the image is, as far as it says.
fn role(image: &ImageInfo) -> &'static str {
    match (&image.app, &image.bootloader) {
        (Some(_), _) => "application",
        (None, Some(_)) => "bootloader",
        (None, None) => "image",
    }
}

fn revisions(image: &ImageInfo) -> Option<String> {
    let header = image.extended?;
    let old = header.max_rev_full == 0;
    Some(match (header.min_rev_full, header.max_rev_full) {
        _ if old && header.min_rev == 0 => "any revision".to_owned(),
        _ if old => format!("revision {} or higher", header.min_rev),
        (0, u16::MAX) => "any revision".to_owned(),
        (min, u16::MAX) => format!("revision {} or higher", Revision(min)),
        (min, max) => format!("revisions {} to {}", Revision(min), Revision(max)),
    })
}

fn checked<T: PartialEq>(value: &Checked<T>, show: impl Fn(&T) -> String) -> String {
    match &value.stored {
        Some(stored) if *stored == value.computed => format!("{}, right", show(stored)),
        Some(stored) => format!(
            "{}, wrong: {} is right",
            show(stored),
            show(&value.computed)
        ),
        None => "missing".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Serialize for ImageReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pieces: Vec<_> = self.pieces.iter().map(piece_value).collect();
        json!({ "file": self.file, "pieces": pieces, "problems": self.problems })
            .serialize(serializer)
    }
}

fn piece_value(piece: &ImagePiece) -> Value {
    let (image, error) = match &piece.image {
        Ok(image) => (image_value(image), Value::Null),
        Err(error) => {
            let kind = match &**error {
                InfoError::NotAnImage {
                    kind: Some(kind), ..
                } => Some(kind.name()),
                _ => None,
            };
            (
                Value::Null,
                json!({ "message": error.to_string(), "kind": kind }),
            )
        }
    };
    json!({ "name": piece.name, "offset": piece.offset, "size": piece.size, "image": image, "error": error })
}

fn image_value(image: &ImageInfo) -> Value {
    let problems = image.problems();
    json!({
        "chip": image.chip.id,
        "version": image.version(),
        "role": role(image),
        "entry": image.header.entry,
        "flash": {
            "mode": image.flash_mode(),
            "frequency": image.flash_frequency(),
            "size": image.flash_size(),
        },
        "extended": image.extended.map(|header| json!({
            "wp_pin": header.wp_pin,
            "drive": header.drive,
            "chip_id": header.chip_id,
            "min_rev": header.min_rev,
            "min_rev_full": header.min_rev_full,
            "max_rev_full": header.max_rev_full,
        })),
        "segments": image.segments.iter().map(|segment| json!({
            "address": segment.address,
            "offset": segment.data.start,
            "length": segment.data.len(),
            "memory": segment.memory,
        })).collect::<Vec<_>>(),
        "checksum": checked_value(&image.checksum, |sum| json!(sum)),
        "sha256": image.digest.as_ref().map(|digest| checked_value(digest, |it| hex(it).into())),
        "crc32": image.crc.as_ref().map(|crc| checked_value(crc, |crc| json!(crc))),
        "application": image.app.as_ref().map(|app| json!({
            "project": app.project,
            "version": app.version,
            "date": app.date,
            "time": app.time,
            "idf_version": app.idf_version,
            "elf_sha256": hex(&app.elf_sha256),
            "secure_version": app.secure_version,
            "min_efuse_block": app.min_efuse_block,
            "max_efuse_block": app.max_efuse_block,
            "mmu_page": app.mmu_page(),
        })),
        "bootloader": image.bootloader.as_ref().map(|(_, bootloader)| json!({
            "version": bootloader.version,
            "idf_version": bootloader.idf_version,
            "date_time": bootloader.date_time,
        })),
        "signature": image.signature.as_ref().map(|signature| json!({
            "scheme": signature.scheme.name(),
            "offset": signature.range.start,
            "blocks": signature.blocks,
            "fits": signature.fits,
        })),
        "end": image.end,
        "boots": !problems.iter().any(Problem::is_fatal),
        "problems": problems.iter().map(|problem| json!({
            "text": problem.to_string(),
            "fatal": problem.is_fatal(),
        })).collect::<Vec<_>>(),
    })
}

fn checked_value<T: PartialEq>(value: &Checked<T>, show: impl Fn(&T) -> Value) -> Value {
    json!({
        "offset": value.offset,
        "stored": value.stored.as_ref().map(&show),
        "computed": show(&value.computed),
        "valid": value.is_valid(),
    })
}
