//! A banner that is being read, and what ROM and bootloader print behind it.

use guru_chip::Chip;

use super::banner::{Cause, Mode};
use crate::line::behind_log_tag;
use crate::*;

/// Lines that nobody knows before it is the program that prints.
const STRANGE: u32 = 8;
/// Messages that are kept of one boot.
const MOST_MESSAGES: usize = 64;
/// Cores whose program counter a ROM prints, with room.
const MOST_CORES: usize = 8;

/// Tags of the bootloader's log lines.
const BOOTLOADER: [&str; 8] = [
    "boot",
    "esp_image",
    "flash_parts",
    "qio_mode",
    "secure_boot",
    "flash_encrypt",
    "efuse",
    "bootloader",
];

#[derive(Debug)]
pub(super) struct Starting {
    pub boot: Boot,
    strange: u32,
}

impl Starting {
    pub(super) fn new(line: u64, chip: Option<&'static Chip>, rom: Option<RomBuild>) -> Self {
        Self {
            boot: Boot {
                lines: line..line + 1,
                chip,
                rom,
                reset: None,
                boot: None,
                saved_pc: Vec::new(),
                messages: Vec::new(),
            },
            strange: 0,
        }
    }

    /// The line belongs to it.
    pub(super) fn extend(&mut self, line: u64) {
        self.boot.lines.end = self.boot.lines.end.max(line + 1);
        self.strange = 0;
    }

    pub(super) fn date(&mut self, date: &str) {
        if let Some(rom) = &mut self.boot.rom {
            date.clone_into(&mut rom.date);
        }
    }

    /// Takes the reason of the reset and the boot mode. Without the chip the number says nothing.
    pub(super) fn reset(
        &mut self,
        knowledge: &dyn Recognise,
        cause: Cause<'_>,
        mode: Option<Mode<'_>>,
    ) {
        let (code, name) = cause;
        let chip = self.boot.chip;
        let reason = chip.and_then(|chip| chip.rom.reset_reason(code));
        let shown = match reason {
            Some(reason) if name.is_empty() => reason.name,
            _ => name,
        };
        self.boot.reset = Some(Reset {
            code,
            name: shown.to_owned(),
            cause: reason.map(|reason| reason.cause),
            meaning: knowledge.reset(code, name, chip),
        });
        self.boot.boot = mode.map(|(straps, name)| BootMode {
            straps,
            name: name.to_owned(),
            download: match chip.map(Family::of) {
                // Its first number is that of the pins.
                Some(Family::Esp8266) => straps & 3 == 1,
                _ => name.contains("DOWNLOAD") || name.contains("UART"),
            },
            meaning: knowledge.boot_mode(straps, name, chip),
        });
    }

    pub(super) fn saved_pc(&mut self, core: Option<u8>, pc: Option<u32>) {
        if let Some(pc) = pc
            && self.boot.saved_pc.len() < MOST_CORES
        {
            self.boot.saved_pc.push((core, pc));
        }
    }

    /// Takes a message, once.
    pub(super) fn message(&mut self, message: Message) {
        self.extend(message.line);
        let known = |old: &Message| old.entry == message.entry && old.fields == message.fields;
        let messages = &mut self.boot.messages;
        if messages.len() < MOST_MESSAGES && !messages.iter().any(known) {
            messages.push(message);
        }
    }

    /// A line that nobody knows; whether it is the program that prints by now.
    pub(super) fn strange(&mut self, line: u64, text: &str) -> bool {
        if tag(text).is_some() {
            self.extend(line);
            return false;
        }
        self.strange += 1;
        self.strange > STRANGE
    }
}

/// A log line, but none of the bootloader's.
pub(super) fn of_program(text: &str) -> bool {
    tag(text).is_some_and(|tag| !BOOTLOADER.iter().any(|start| tag.starts_with(start)))
}

/// The tag of a log line.
fn tag(text: &str) -> Option<&str> {
    let body = behind_log_tag(text)?;
    let head = text
        .get(..text.len() - body.len())?
        .trim_end()
        .strip_suffix(':')?;
    head.rsplit(' ').next()
}
