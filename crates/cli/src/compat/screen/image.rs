//! Images, in the predecessor's words.

use guru_image::{BuildError, BuildNotice, ElfError, ElfProblem, FirmwareError};
use guru_loader::Lacking;

use super::Lines;
use super::failure::lacking;
use crate::error::Error;
use crate::ui::escape;

/// What is told while an image is made.
pub(super) fn notice(lines: &mut Lines, notice: &BuildNotice) {
    match notice {
        BuildNotice::Begins { chip } => lines.print(&format!("Creating {chip} image...")),
        BuildNotice::UnknownSection { kind } => {
            lines.warn(&format!("Unknown section type {kind:#04x} in ELF file"));
        }
        BuildNotice::OddNameTable { kind } => {
            lines.warn(&format!(
                "ELF file has incorrect STRTAB section type {kind:#04x}"
            ));
        }
        BuildNotice::PageIsFixed { chip, page } => lines.warn(&format!(
            "Changing MMU page size is not supported on {chip}! Defaulting to {}KB.",
            page / 1024
        )),
        BuildNotice::PageFound { page } => lines.print(&format!(
            "MMU page size not specified, set to {} KB",
            page / 1024
        )),
        BuildNotice::DescriptorUnaligned => lines.warn(
            "App description segment is not aligned to MMU page size, probably linker script issue \
             or wrong MMU page size. Try to set MMU page size parameter manually.",
        ),
        BuildNotice::OnlyRamCounted => lines.print(
            "Image has only RAM segments visible. ROM segments are hidden and SHA256 digest is not \
             appended.",
        ),
        BuildNotice::GapFilled {
            bytes,
            before,
            after,
        } => lines.note(&format!(
            "Inserting {bytes} bytes padding between {} and {}",
            escape(before),
            escape(after)
        )),
        BuildNotice::Merged { sections } => {
            let plural = if *sections > 1 { "s" } else { "" };
            lines.print(&format!("Merged {sections} ELF section{plural}."));
        }
        BuildNotice::SegmentsReady { chip } => {
            lines.print(&format!("Successfully created {chip} image."));
        }
        // There nothing is said.
        BuildNotice::DigestNotPlaced { offset } => lines.warn(&format!(
            "The SHA-256 of the ELF file is not in the image: no segment reaches to {offset:#x}."
        )),
    }
}

/// Why no image was made, where there are words for it.
pub(super) fn not_made(error: &Error) -> Option<String> {
    match error {
        Error::Elf(error) => bad_elf(error),
        Error::Build(error) => not_built(error),
        Error::Firmware(FirmwareError::Elf(error)) => bad_elf(error),
        Error::Firmware(FirmwareError::Image(error)) => not_built(error),
        _ => None,
    }
}

fn bad_elf(error: &ElfError) -> Option<String> {
    let ElfError::Field { field, problem, .. } = error else {
        return None;
    };
    Some(match (problem, *field) {
        (ElfProblem::NotElf, _) => "Image has invalid ELF magic header".to_owned(),
        (ElfProblem::ShortHeader { .. }, _) => {
            "Image does not have a valid ELF header: unpack requires a buffer of 52 bytes"
                .to_owned()
        }
        (ElfProblem::Machine { found }, _) => format!(
            "Image does not appear to be an Xtensa or an RISCV ELF image. (e_machine = {found:#06x})"
        ),
        (ElfProblem::Value { found, .. }, "e_shentsize") => {
            format!("Image has unexpected section header entry size {found:#x} (not 0x28)")
        }
        (ElfProblem::Value { found, .. }, "e_shstrndx") => {
            format!("ELF file has no STRTAB section at shstrndx {found}")
        }
        (ElfProblem::NoSections, _) => "Image has 0 section headers".to_owned(),
        _ => return None,
    })
}

fn not_built(error: &BuildError) -> Option<String> {
    Some(match error {
        BuildError::Page {
            page,
            chip,
            supported,
        } => {
            let sizes: Vec<_> = supported
                .iter()
                .map(|page| format!("{}KB", page / 1024))
                .collect();
            format!(
                "{page} bytes is not a valid {chip} page size, select from {}.",
                sizes.join(", ")
            )
        }
        BuildError::Parameter(parameter) => lacking("", &Lacking::Parameter(parameter.clone())),
        BuildError::TooManySegments { count, .. } => format!(
            "Invalid segment count {count} (max 16). Usually this indicates a linker script problem."
        ),
        BuildError::SamePage { place, other, page } => format!(
            "Segment loaded at {:#010x} lands in same {} KB flash mapping as segment loaded at \
             {other:#010x}. Can't generate binary. Suggest changing linker script or ELF to merge \
             sections.",
            place.address,
            page / 1024
        ),
        BuildError::SeveralIrom { count, .. } => {
            format!("Found {count} segments that could be irom0. Bad ELF file?")
        }
        BuildError::OddLength { place, len } => format!(
            "Invalid {} segment length {len:#x}. It has to be multiple of 4.",
            escape(&place.name)
        ),
        BuildError::SegmentTooLong { place, len } => format!(
            "Invalid {} segment length {len:#x}. The 16 MB limit has been exceeded.",
            escape(&place.name)
        ),
        BuildError::DigestAtBoundary {
            offset,
            position,
            len,
        } => format!(
            "Cannot place SHA256 digest on segment boundary(elf_sha256_offset={offset}, \
             file_pos={position}, segment_size={len})"
        ),
        BuildError::DigestPlaceTaken { offset } => format!(
            "Contents of segment at SHA256 digest offset {offset:#x} are not zero. Refusing to \
             overwrite."
        ),
        BuildError::PadWithoutDigest => {
            "secure_pad only applies if a SHA-256 digest is also appended to the image".to_owned()
        }
        BuildError::Machine { .. }
        | BuildError::Nothing { .. }
        | BuildError::NoMemory { .. }
        | BuildError::Overlap { .. }
        | BuildError::IromOverlap { .. }
        | BuildError::Read(_) => return None,
    })
}
