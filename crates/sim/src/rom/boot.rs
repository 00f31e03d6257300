use guru_chip::{Chip, Revision};

use crate::flash::Flash;

/// What the ROM prints at a reset.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BootLog {
    /// Printed once.
    pub text: String,
    /// Printed again and again, when there is nothing to boot.
    pub repeat: String,
}

/// Boot log of a chip of this revision: into its loader, or from flash.
pub(crate) fn boot_log(
    chip: &'static Chip,
    revision: Revision,
    cause: &str,
    strap: u16,
    download: bool,
    flash: &Flash,
) -> BootLog {
    let Some(banner) = chip.rom.banner(revision) else {
        return BootLog::default();
    };
    let mode = chip.rom.boot_mode_of(revision, strap);
    let mode_name = mode.map_or("", |mode| mode.name);
    let mut lines = vec![banner.build.to_owned()];
    for line in banner.lines {
        let line = line
            .replace("{reset}", cause)
            .replace("{mode}", &format!("{strap:#x}"))
            .replace("{mode_name}", mode_name);
        lines.push(line);
    }
    let mut repeat = String::new();
    if download {
        lines.extend(banner.waiting.iter().map(|line| (*line).to_owned()));
    } else {
        match load_lines(chip, flash) {
            Ok(loads) => lines.extend(loads),
            Err(header) => {
                // The line tells the word that was found.
                repeat = banner
                    .no_image
                    .replace("ffffffff", &format!("{header:08x}"));
                if !repeat.is_empty() {
                    repeat.push_str("\r\n");
                }
            }
        }
    }
    let mut text = lines.join("\r\n");
    text.push_str("\r\n");
    BootLog { text, repeat }
}

/// What the ROM says while it loads the image at the bootloader's offset, or the first word of
/// what stands there.
fn load_lines(chip: &Chip, flash: &Flash) -> Result<Vec<String>, u32> {
    let start = chip.image.bootloader_offset;
    let word = |at: u32| {
        let bytes = flash.read(at..at.saturating_add(4));
        bytes
            .iter()
            .rev()
            .fold(0, |word: u32, byte| word << 8 | u32::from(*byte))
    };
    let header = flash.read(start..start + 4);
    let [0xE9, segments @ 1..=16, mode, size_freq] = header[..] else {
        return Err(word(start));
    };
    let mode = match mode {
        0 => "QIO",
        1 => "QOUT",
        2 => "DIO",
        3 => "DOUT",
        _ => "SLOWRD",
    };
    let divider = match size_freq & 0xF {
        0xF => 1,
        code => u32::from(code) + 2,
    };
    let mut lines = vec![format!("mode:{mode}, clock div:{divider}")];
    let header_len = if chip.image.chip_id.is_some() { 24 } else { 8 };
    let mut at = start + header_len;
    for _ in 0..segments {
        let (address, len) = (word(at), word(at + 4));
        lines.push(format!("load:{address:#010x},len:{len:#x}"));
        at = match at.checked_add(8).and_then(|at| at.checked_add(len)) {
            Some(next) if next < flash.size() => next,
            _ => return Err(word(start)),
        };
    }
    lines.push(format!("entry {:#010x}", word(start + 4)));
    Ok(lines)
}
