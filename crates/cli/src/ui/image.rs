//! What is told of images that are made.

use std::path::PathBuf;

use guru_image::BuildNotice;
use serde::Serialize;

use super::escape;

/// A file of an image.
#[derive(Debug, Clone, Serialize)]
pub struct ImageFile {
    /// The file.
    pub path: PathBuf,
    /// Where in flash it belongs, where its form says so.
    pub offset: Option<u32>,
    /// Its length.
    pub bytes: u64,
}

/// Text of a notice, and how much it matters.
pub(super) enum Told {
    Warning(String),
    Note(String),
    Detail(String),
}

pub(super) fn told(notice: &BuildNotice) -> Told {
    match notice {
        BuildNotice::Begins { chip } => Told::Detail(format!("making an image for the {chip}")),
        BuildNotice::UnknownSection { kind } => Told::Warning(format!(
            "a section with an address is of the unknown type {kind:#x} and is left out"
        )),
        BuildNotice::OddNameTable { kind } => Told::Warning(format!(
            "the section with the names of sections is of type {kind:#x}, not 3 (SHT_STRTAB)"
        )),
        BuildNotice::PageIsFixed { page, .. } => Told::Warning(format!(
            "--flash-mmu-page-size has no effect: this chip's pages have {} KB",
            page / 1024
        )),
        BuildNotice::PageFound { page } => Told::Note(format!(
            "the program does not say for which size of pages it was linked; its addresses say {} \
             KB",
            page / 1024
        )),
        BuildNotice::DescriptorUnaligned => Told::Warning(
            "the application descriptor is not at the start of a page of any size; \
             --flash-mmu-page-size names the right one, if the linker script is right"
                .to_owned(),
        ),
        BuildNotice::OnlyRamCounted => Told::Note(
            "the header counts the segments for RAM alone, and no SHA-256 is appended".to_owned(),
        ),
        BuildNotice::GapFilled {
            bytes,
            before,
            after,
        } => Told::Note(format!(
            "{bytes} bytes are put between {before} and {after} for alignment"
        )),
        BuildNotice::Merged { sections } => Told::Detail(format!("{sections} sections merged")),
        BuildNotice::SegmentsReady { .. } => Told::Detail("the segments are known".to_owned()),
        BuildNotice::DigestNotPlaced { offset } => Told::Warning(format!(
            "the SHA-256 of the ELF file is not in the image: no segment reaches to {offset:#x}"
        )),
    }
}

pub(super) fn lines(files: &[ImageFile]) -> Vec<String> {
    let line = |file: &ImageFile| {
        let path = file.path.display().to_string();
        let place = match file.offset {
            Some(offset) => format!(", for flash at {offset:#x}"),
            None => String::new(),
        };
        format!("Wrote {}: {} bytes{place}", escape(&path), file.bytes)
    };
    files.iter().map(line).collect()
}
