//! The messages of a mask ROM: strings of its ELF file around the format of the banner.

use std::collections::BTreeSet;

use super::list::{Found, Kind};
use crate::Result;

/// The format of the line with reset and boot mode, in every ROM since the ESP32's.
const BANNER: &str = "rst:0x%x (%s),boot:0x%x (%s)";

/// Strings around the banner that belong to the code that boots: behind them others begin.
const BEFORE: usize = 24;
const BEHIND: usize = 140;

/// Words by which a line says that something is wrong, or that the chip waits.
const TROUBLE: &[&str] = &[
    "err",
    "fail",
    "Fail",
    "FAIL",
    "nvalid",
    "isabled",
    "wait",
    "corrupt",
    "overlap",
    "Panic",
    "panic",
    "Fatal",
    "ncorrect",
    "rong",
    "too large",
    "Too many",
    "No ",
    "untrusted",
    "abort",
    "Abort",
    "Attempting",
    "Falling back",
    "revoke",
    "busy",
    "LockUp",
    "Exception",
    "reset",
    "returned",
    "RECOVERY",
    "Dangerous",
    "< Programmed",
    "Signature",
    "epc1",
    "assert",
    "Saved PC",
];

/// Strings there that do not count, each with the reason.
const NOT_MESSAGES: &[(&str, &str)] = &[
    (
        "secure boot verification succeeded",
        "says that all is well",
    ),
    (" == ETS_OK", "an expression of an assertion"),
    ("err == 0", "an expression of an assertion"),
    (" && ", "an expression of an assertion"),
    (
        "Invalid state",
        "of the mode for returned chips, with no more words",
    ),
    ("(statis)", "of the radio"),
    ("(test)", "of the radio"),
    (" timer, type=", "of the radio"),
    ("get lock, type=", "of the radio"),
    ("frame control", "of the radio"),
    ("csa channel", "of the radio"),
    ("Send Queue Failed", "of the radio"),
    ("error: pll_cal", "of the radio's calibration"),
    ("i=%02d", "of the radio's calibration"),
    ("LoadStore", "the table of causes, which the reasons have"),
    ("Instr", "the table of causes, which the reasons have"),
    ("Inst", "the table of causes, which the reasons have"),
];

/// All messages of the file with this name.
pub fn messages(name: &str, elf: &[u8]) -> Result<Vec<Found>> {
    let chip = name.split(['_', '.']).next().unwrap_or_default();
    if guru_chip::by_id(chip).is_none() {
        return Err(format!("{name}: the name does not begin with a chip's").into());
    }
    let strings = strings(elf);
    let mut found = Vec::new();
    let mut push = |kind, text: &str| {
        found.extend(
            text.lines()
                .filter(|line| line.len() > 4)
                .map(|line| Found {
                    kind,
                    text: line.trim_end().to_owned(),
                    tag: None,
                    code: None,
                    scope: BTreeSet::from([chip.to_owned()]),
                }),
        );
    };
    // Of an application: what the libraries of its language say at the end.
    let Some(banner) = strings.iter().position(|text| text.contains(BANNER)) else {
        return Ok(found);
    };
    let window = &strings[banner.saturating_sub(BEFORE)..strings.len().min(banner + BEHIND)];
    for text in window {
        if is_boot_mode(text) {
            push(Kind::BootMode, text);
        } else if text.contains(' ')
            && TROUBLE.iter().any(|word| text.contains(word))
            && !NOT_MESSAGES.iter().any(|(start, _)| text.contains(start))
        {
            push(Kind::Line, text);
        }
    }
    for text in resets(window) {
        push(Kind::Reset, text);
    }
    for text in &strings {
        if text.contains("panic'ed")
            || text.contains("CORRUPT HEAP")
            || text.starts_with("assertion \"%s")
        {
            push(Kind::Line, text);
        }
    }
    Ok(found)
}

fn is_boot_mode(text: &str) -> bool {
    text.ends_with("_BOOT") || text.starts_with("DOWNLOAD") || text.contains("_BOOT(")
}

/// The names of resets stand in a row with the one for power-on.
fn resets<'t>(window: &[&'t str]) -> Vec<&'t str> {
    let is_name = |text: &str| {
        text == "N/A"
            || text
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let Some(power_on) = window.iter().position(|text| text.starts_with("POWERON")) else {
        return Vec::new();
    };
    let first = window[..power_on]
        .iter()
        .rposition(|text| !is_name(text))
        .map_or(0, |before| before + 1);
    window[first..]
        .iter()
        .take_while(|text| is_name(text))
        .filter(|text| text.len() > 4)
        .copied()
        .collect()
}

/// Printable texts that end with a zero.
fn strings(bytes: &[u8]) -> Vec<&str> {
    bytes
        .split(|byte| *byte == 0)
        .filter_map(|part| {
            let start = part
                .iter()
                .rposition(|byte| !(0x20..0x7F).contains(byte) && !b"\r\n\t".contains(byte))
                .map_or(0, |at| at + 1);
            let text = std::str::from_utf8(&part[start..]).ok()?.trim();
            (text.len() >= 3).then_some(text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_resets_end_where_other_texts_begin() {
        let window = [
            "user code done",
            "N/A",
            "POWERON",
            "RTC_SW_SYS_RST",
            "EFUSE_RST",
            "0123456789ab",
        ];
        assert_eq!(resets(&window), ["POWERON", "RTC_SW_SYS_RST", "EFUSE_RST"]);
    }

    #[test]
    fn a_rom_says_modes_resets_and_trouble() {
        let elf = b"\0SPI_FAST_FLASH_BOOT\0\0rst:0x%x (%s),boot:0x%x (%s)\n\0flash read err, %d\n\0POWERON\0x";
        let found = messages("esp32_rev0_rom.elf", elf).expect("a ROM");
        let texts: Vec<_> = found
            .iter()
            .map(|found| (found.kind, found.text.as_str()))
            .collect();
        assert_eq!(
            texts,
            [
                (Kind::BootMode, "SPI_FAST_FLASH_BOOT"),
                (Kind::Line, "flash read err, %d"),
                (Kind::Reset, "POWERON"),
            ]
        );
    }
}
