use std::ops::Range;

use guru_chip::{Banner, Chip};

use crate::flash::Flash;
use crate::fuses::Fuses;
use crate::xts::{BLOCK, Xts};

/// What the ROM prints at a reset.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BootLog {
    /// Printed once.
    pub text: String,
    /// Printed again and again, when there is nothing to boot.
    pub repeat: String,
}

/// Boot log of a chip: into its loader, or from flash.
pub(crate) fn boot_log(
    fuses: Fuses<'_>,
    cause: &str,
    strap: u16,
    download: bool,
    flash: &Flash,
) -> BootLog {
    let Fuses { chip, revision, .. } = fuses;
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
    let rules = chip.efuse.download.as_ref();
    let certificate = chip.efuse.certificate.as_ref();
    if let Some(rules) = certificate.filter(|_| download && fuses.certificate_only()) {
        lines.push(rules.says.to_owned());
    } else if let Some(rules) = rules.filter(|_| download && fuses.download_disabled()) {
        lines.push(rules.says_disabled.to_owned());
    } else if let Some(rules) = rules.filter(|_| download && fuses.secure_download()) {
        lines.push(rules.says_secure.to_owned());
    } else if download {
        lines.extend(banner.waiting.iter().map(|line| (*line).to_owned()));
    } else {
        let key = fuses.flash_key().filter(|_| fuses.flash_encrypted());
        match load_lines(chip, banner, flash, key.as_ref()) {
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
fn load_lines(
    chip: &Chip,
    banner: &Banner,
    flash: &Flash,
    key: Option<&Xts>,
) -> Result<Vec<String>, u32> {
    let start = chip.image.bootloader_offset;
    let read = |range: Range<u32>| match key {
        None => flash.read(range),
        Some(key) => decrypted(flash, range, key),
    };
    let word = |at: u32| {
        let bytes = read(at..at.saturating_add(4));
        bytes
            .iter()
            .rev()
            .fold(0, |word: u32, byte| word << 8 | u32::from(*byte))
    };
    let header = read(start..start + 4);
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
    let wp = format!("{:#04x}", word(start + 8) & 0xFF);
    let fill = |line: &&str| {
        line.replace("{wp}", &wp)
            .replace("{flash_mode}", mode)
            .replace("{clock_div}", &divider.to_string())
    };
    let mut lines: Vec<String> = banner.loading.iter().map(fill).collect();
    let header_len = if chip.image.chip_id.is_some() { 24 } else { 8 };
    let mut at = start + header_len;
    for _ in 0..segments {
        let (address, len) = (word(at), word(at + 4));
        let segment = banner
            .segment
            .replace("{address}", &format!("{address:#010x}"))
            .replace("{len}", &format!("{len:#x}"))
            .replace("{decimal_len}", &len.to_string());
        lines.push(segment);
        at = match at.checked_add(8).and_then(|at| at.checked_add(len)) {
            Some(next) if next < flash.size() => next,
            _ => return Err(word(start)),
        };
    }
    lines.push(format!("entry {:#010x}", word(start + 4)));
    Ok(lines)
}

/// What the CPU sees of encrypted flash.
fn decrypted(flash: &Flash, range: Range<u32>, key: &Xts) -> Vec<u8> {
    let before = range.start % BLOCK as u32;
    let start = range.start - before;
    let mut bytes = flash.read(start..range.end.next_multiple_of(BLOCK as u32));
    key.decrypt(start, &mut bytes);
    let length = range.len();
    bytes
        .into_iter()
        .skip(before as usize)
        .take(length)
        .collect()
}
