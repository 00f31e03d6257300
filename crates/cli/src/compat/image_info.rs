//! What the predecessor prints of images and of merged files.

use guru_image::{HeaderError, ImageError, ImageInfo, InfoError, MergeError, Part};

use super::commands::CHIPS;
use super::screen::Lines;
use crate::cmd::MergeFormat;
use crate::error::Error;
use crate::ui::{ImageReport, escape};

/// `image-info`.
pub(super) fn report(lines: &mut Lines, report: &ImageReport, chip_named: bool) {
    let count = report.pieces.len();
    if let ([piece], true) = (&report.pieces[..], count == 1) {
        if let Ok(image) = &piece.image {
            warn_of_loading(lines, image);
            lines.print(&format!("Image size: {} bytes", piece.size));
            if !chip_named {
                detected(lines, image);
            }
            print(lines, image);
        }
        return;
    }
    lines.print("Merged binary image detected. Processing each file individually.");
    for (index, piece) in report.pieces.iter().enumerate() {
        let number = index + 1;
        let offset = piece
            .offset
            .map_or_else(|| "unknown".to_owned(), |offset| format!("{offset:#x}"));
        let line = format!(
            "Processing file {number}/{count}, offset: {offset}, size: {} bytes",
            piece.size
        );
        let bar = "=".repeat(line.len());
        for text in ["", &bar, &line, &bar] {
            lines.print(text);
        }
        match &piece.image {
            Ok(image) => {
                if index == 0 && !chip_named {
                    detected(lines, image);
                }
                warn_of_loading(lines, image);
                print(lines, image);
            }
            Err(error) => {
                let error = no_image(error);
                lines.error(&format!("Error processing file {number}/{count}: {error}"));
                lines.error("Probably not a valid firmware image (e.g. partition table).");
            }
        }
    }
}

fn detected(lines: &mut Lines, image: &ImageInfo) {
    lines.print(&format!("Detected image type: {}", image.chip.name));
}

/// What it says while it reads an image of the ESP8266.
fn warn_of_loading(lines: &mut Lines, image: &ImageInfo) {
    if image.extended.is_some() {
        return;
    }
    let header = &image.header;
    let mapped = usize::from(image.outer.is_some());
    if let Some(outer) = &image.outer {
        if outer.segments != 4 {
            lines.warn(&format!(
                "V2 header has unexpected \"segment\" count {} (usually 4)",
                outer.segments
            ));
        }
        if outer.flash_mode != header.flash_mode {
            lines.warn(&format!(
                "Flash mode value in first header ({:#04x}) disagrees with second ({:#04x}). Using \
                 second value.",
                outer.flash_mode, header.flash_mode
            ));
        }
        if outer.flash_size_freq != header.flash_size_freq {
            lines.warn(&format!(
                "Flash size/freq value in first header ({:#04x}) disagrees with second ({:#04x}). \
                 Using second value.",
                outer.flash_size_freq, header.flash_size_freq
            ));
        }
        if outer.entry != header.entry {
            lines.warn(&format!(
                "Entrypoint address in first header ({:#010x}) disagrees with second header \
                 ({:#010x}). Using second value.",
                outer.entry, header.entry
            ));
        }
    }
    for segment in image.segments.iter().skip(mapped) {
        let (address, size) = (segment.address, segment.data.len());
        if !(0x3FFE_0000..=0x4020_0000).contains(&address) || size > 0x1_0000 {
            lines.warn(&format!("Suspicious segment {address:#x}, length {size}"));
        }
    }
}

fn title(lines: &mut Lines, text: &str) {
    lines.print("");
    lines.print(text);
    lines.print(&"=".repeat(text.len()));
}

fn print(lines: &mut Lines, image: &ImageInfo) {
    let chip = image.chip.name;
    let header = &image.header;
    title(lines, &format!("{chip} Image Header"));
    lines.print(&format!("Image version: {}", image.version()));
    lines.print(&match header.entry {
        0 => "Entry point not set".to_owned(),
        entry => format!("Entry point: {:>8}", format!("{entry:#x}")),
    });
    lines.print(&format!("Segments: {}", image.segments.len()));
    match image.flash_size() {
        Some(size) => lines.print(&format!("Flash size: {size}")),
        None => lines.warn(&format!(
            "Invalid flash size ({:#x})",
            header.flash_size_freq & 0xF0
        )),
    }
    match image.flash_frequency() {
        Some(frequency) => lines.print(&format!("Flash freq: {frequency}")),
        None => lines.warn(&format!(
            "Invalid flash frequency ({:#x})",
            header.flash_size_freq & 0x0F
        )),
    }
    match image.flash_mode() {
        Some(mode) => lines.print(&format!("Flash mode: {mode}")),
        None => lines.warn(&format!("Invalid flash mode ({})", header.flash_mode)),
    }
    extended(lines, image);
    segments(lines, image);

    lines.print("");
    let text = format!("{chip} Image Footer");
    lines.print(&text);
    lines.print(&"=".repeat(text.len()));
    let checksum = &image.checksum;
    let verdict = match checksum.is_valid() {
        true => "valid".to_owned(),
        false => format!("invalid - calculated {:#04x}", checksum.computed),
    };
    let stored = checksum.stored.unwrap_or_default();
    lines.print(&format!("Checksum: {stored:#04x} ({verdict})"));
    if let Some(digest) = image.digest.as_ref().filter(|_| image.extended.is_some()) {
        let verdict = if digest.is_valid() {
            "valid"
        } else {
            "invalid"
        };
        let digest = hex(&digest.computed);
        lines.print(&format!("Validation hash: {digest} ({verdict})"));
    }
    descriptors(lines, image);
}

fn extended(lines: &mut Lines, image: &ImageInfo) {
    let Some(header) = &image.extended else {
        return;
    };
    title(lines, &format!("{} Extended Image Header", image.chip.name));
    let disabled = match header.wp_pin {
        guru_image::ExtendedHeader::WP_PIN_DISABLED => " (disabled)",
        _ => "",
    };
    lines.print(&format!("WP pin: {:#x}{disabled}", header.wp_pin));
    let [first, second, third] = header.drive;
    lines.print(&format!(
        "Flash pins drive settings: clk_drv: {:#x}, q_drv: {:#x}, d_drv: {:#x}, cs0_drv: {:#x}, \
         hd_drv: {:#x}, wp_drv: {:#x}",
        first & 0xF,
        first >> 4,
        second & 0xF,
        second >> 4,
        third & 0xF,
        third >> 4
    ));
    let id = header.chip_id;
    let name = guru_chip::by_chip_id(id).map_or("Unknown ID", |chip| chip.name);
    lines.print(&format!("Chip ID: {id} ({name})"));
    let (min, max) = (header.min_rev_full, header.max_rev_full);
    lines.print(&format!(
        "Minimal chip revision: v{}.{}, (legacy min_rev = {})",
        min / 100,
        min % 100,
        header.min_rev
    ));
    lines.print(&format!(
        "Maximal chip revision: v{}.{}",
        max / 100,
        max % 100
    ));
}

fn segments(lines: &mut Lines, image: &ImageInfo) {
    title(lines, "Segments Information");
    lines.print("Segment   Length   Load addr   File offs  Memory types");
    lines.print("-------  -------  ----------  ----------  ------------");
    for (number, segment) in image.segments.iter().enumerate() {
        lines.print(&format!(
            "{number:>7}  {:#07x}  {:#010x}  {:#010x}  {}",
            padded(segment.address, segment.data.len()),
            segment.address,
            segment.offset(),
            segment.memory.join(", ")
        ));
    }
}

/// Lengths are shown as multiples of 4, but for those of padding.
fn padded(address: u32, length: usize) -> usize {
    match address {
        0 => length,
        _ => length.next_multiple_of(4),
    }
}

fn descriptors(lines: &mut Lines, image: &ImageInfo) {
    if let Some(app) = &image.app {
        title(lines, "Application Information");
        lines.print(&format!("Project name: {}", escape(&app.project)));
        lines.print(&format!("App version: {}", escape(&app.version)));
        let (date, time) = (escape(&app.date), escape(&app.time));
        lines.print(&format!("Compile time: {date} {time}"));
        lines.print(&format!("ELF file SHA256: {}", hex(&app.elf_sha256)));
        lines.print(&format!("ESP-IDF: {}", escape(&app.idf_version)));
        for (which, revision) in [
            ("Minimal", app.min_efuse_block),
            ("Maximal", app.max_efuse_block),
        ] {
            lines.print(&format!(
                "{which} eFuse block revision: {}.{}",
                revision / 100,
                revision % 100
            ));
        }
        if let Some(page) = app.mmu_page() {
            lines.print(&format!("MMU page size: {} KB", page / 1024));
        }
        lines.print(&format!("Secure version: {}", app.secure_version));
        return;
    }
    // It looks into the last segment for data alone, which is the first one only where code has
    // memory of another name.
    let for_data = |segment: &guru_image::SegmentInfo| {
        segment.memory.contains(&"DRAM") && padded(segment.address, segment.data.len()) >= 80
    };
    let last = image.segments.iter().rposition(for_data);
    if let Some((number, bootloader)) = &image.bootloader
        && last == Some(*number)
    {
        title(lines, "Bootloader Information");
        lines.print(&format!("Bootloader version: {}", bootloader.version));
        lines.print(&format!("ESP-IDF: {}", escape(&bootloader.idf_version)));
        lines.print(&format!("Compile time: {}", escape(&bootloader.date_time)));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Before files are merged.
pub(super) fn merging(lines: &mut Lines, format: MergeFormat, files: usize) {
    match format {
        MergeFormat::Raw => lines.print(
            "HINT: Consider using --format hex to avoid flashing unused 0xFF padding between input \
             regions.",
        ),
        MergeFormat::Hex if files == 1 => lines.warn(
            "Only one input file specified, output may include additional padding if input file \
             was previously merged. Please refer to the documentation for more information: \
             https://docs.espressif.com/projects/esptool/en/latest/esptool/basic-commands.html#hex-output-format",
        ),
        MergeFormat::Hex | MergeFormat::Uf2 => {}
    }
}

/// When they are merged.
pub(super) fn merged(lines: &mut Lines, file: &str, format: MergeFormat, bytes: u64, target: u32) {
    let ready = match format {
        MergeFormat::Uf2 => "ready to be flashed with any ESP USB Bridge.".to_owned(),
        MergeFormat::Raw | MergeFormat::Hex => format!("ready to flash to offset {target:#x}."),
    };
    let file = escape(file);
    lines.print(&format!("Wrote {bytes:#x} bytes to file '{file}', {ready}"));
}

/// What ends these commands.
pub(super) fn failure(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoChip => format!(
            "Specify the --chip argument (choose from {}).",
            CHIPS[1..].join(", ")
        ),
        Error::NoImage { source, .. } => no_image(source),
        Error::Merge(MergeError::BeforeTarget {
            address, target, ..
        }) => format!(
            "Output data target offset is {target:#x}. Input data offset {address:#x} is before \
             this."
        ),
        _ => return None,
    })
}

fn no_image(error: &InfoError) -> String {
    match error {
        InfoError::Empty => "Image is empty.".to_owned(),
        InfoError::NotAnImage { magic, .. } => {
            format!("This is not a valid image (invalid magic number: {magic:#x}).")
        }
        InfoError::Image(ImageError::Header(HeaderError::SegmentCount { found })) => format!(
            "Invalid segment count {found} (max 16). Usually this indicates a linker script \
             problem."
        ),
        InfoError::Image(ImageError::Header(HeaderError::Magic { found })) => {
            format!("Invalid firmware image magic={found:#x}")
        }
        InfoError::Image(ImageError::Truncated {
            part: Part::Segment { address, start, .. },
            end,
            len,
        }) => format!(
            "End of file reading segment {address:#x}, length {} (actual length {})",
            end - u64::from(*start),
            len.saturating_sub(*start)
        ),
        InfoError::UnknownChip { id } => format!("Unknown image chip ID ({id})."),
        InfoError::Image(error) => format!("This is not a valid image: {error}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_is_cut_off_is_told_with_what_is_there() {
        let part = Part::Segment {
            number: 1,
            address: 0x4038_0000,
            start: 32,
        };
        let error = InfoError::Image(ImageError::Truncated {
            part,
            end: 132,
            len: 60,
        });
        assert_eq!(
            no_image(&error),
            "End of file reading segment 0x40380000, length 100 (actual length 28)"
        );
    }
}
