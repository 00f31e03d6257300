//! One chip in detail.

use std::fmt::Write as _;

use guru_chip::{Chip, Revision};
use guru_wire::Opcode;

use super::table::{self, bits, list};

pub fn write(page: &mut String, chip: &Chip) {
    _ = writeln!(page, "## {}\n", chip.name);
    facts(page, chip);
    features(page, chip);
    boot_modes(page, chip);
    memory(page, chip);
    fuses(page, chip);
}

fn facts(page: &mut String, chip: &Chip) {
    let rom = &chip.rom;
    for banner in rom.banners {
        let build = match banner.build {
            "" => "no build line".into(),
            build => format!("`{build}`"),
        };
        let since = Revision(banner.min_revision);
        _ = writeln!(page, "- ROM from {since}: {build}");
    }
    _ = writeln!(page, "- Commands of its loader: {}", commands(rom.commands));
    if !rom.secure_commands.is_empty() {
        let left = commands(rom.secure_commands);
        _ = writeln!(page, "- In Secure Download Mode: {left}");
    }
    if let Some(rules) = &chip.efuse.certificate {
        let left = commands(rules.commands);
        _ = writeln!(
            page,
            "- Where download mode is disabled, for a certificate: {left}"
        );
    }
    let resets = [
        ("power-on", rom.resets.power_on),
        ("pin", rom.resets.pin),
        ("watchdog", rom.resets.watchdog),
        ("software", rom.resets.software),
        ("USB-Serial/JTAG", rom.resets.usb),
    ];
    let told = resets.iter().filter(|(_, text)| !text.is_empty());
    let told = list(told.map(|(cause, text)| format!("{cause} `{text}`")));
    _ = writeln!(page, "- Reset causes in the boot log: {told}");
    if let Some(family) = chip.uf2_family {
        _ = writeln!(page, "- UF2 family: {family:#010x}");
    }
    let windows = [("instructions", &chip.irom), ("data", &chip.drom)];
    let windows = windows.iter().filter(|(_, range)| !range.is_empty());
    let windows = list(
        windows.map(|(what, range)| format!("{what} {:#010x} to {:#010x}", range.start, range.end)),
    );
    _ = writeln!(page, "- Flash is mapped at: {windows}");
    if !chip.flash.voltage.is_empty() {
        let sources = chip.flash.voltage.iter().map(|rule| rule.source);
        let mut sources: Vec<_> = sources.collect();
        sources.dedup();
        _ = writeln!(page, "- Flash voltage is set by: {}", list(sources));
    }
    if !chip.spi.pins.usb_gpios.is_empty() {
        let gpios = chip.spi.pins.usb_gpios.iter();
        let gpios = list(gpios.map(|gpio| format!("GPIO{gpio}")));
        _ = writeln!(page, "- Pins of its USB: {gpios}");
    }
    let quirks = chip.quirks.iter();
    let quirks = list(quirks.map(|quirk| format!("`{}`", table::kebab(&format!("{quirk:?}")))));
    _ = writeln!(page, "- [Quirks](../chips/README.md#quirks): {quirks}");
}

fn commands(opcodes: &[u8]) -> String {
    list(opcodes.iter().map(|byte| match Opcode::from_byte(*byte) {
        Some(opcode) => format!("{byte:02x} {opcode}"),
        None => format!("{byte:02x}"),
    }))
}

/// Parts and features that depend on eFuses.
fn features(page: &mut String, chip: &Chip) {
    let parts = chip.identity.part.iter().map(|rule| rule.text);
    _ = writeln!(page, "- Parts: {}", list(parts));
    let groups = chip.identity.features.iter().copied().filter(|group| {
        let fixed = matches!(group, [rule] if rule.when.is_empty() && !rule.text.contains('{'));
        !fixed
    });
    for group in groups {
        let texts = group.iter().map(|rule| rule.text);
        let texts = list(texts.filter(|text| !text.is_empty()));
        _ = writeln!(page, "- Depending on eFuses: {texts}");
    }
}

fn boot_modes(page: &mut String, chip: &Chip) {
    _ = writeln!(
        page,
        "\n| strapping | boot mode | serial loader | from |\n|---|---|---|---|"
    );
    for mode in chip.rom.boot_modes {
        let since = Revision(mode.min_revision);
        let download = table::yes(mode.download);
        _ = writeln!(
            page,
            "| {:#x} | `{}` | {download} | {since} |",
            mode.strap, mode.name
        );
    }
}

fn memory(page: &mut String, chip: &Chip) {
    _ = writeln!(
        page,
        "\n| memory | from | up to, without it |\n|---|---|---|"
    );
    for memory in chip.memory {
        let range = &memory.range;
        _ = writeln!(
            page,
            "| {} | {:#010x} | {:#010x} |",
            memory.name, range.start, range.end
        );
    }
}

fn fuses(page: &mut String, chip: &Chip) {
    _ = writeln!(page, "\n| eFuse block | read at | words |\n|---|---|---|");
    for block in chip.efuse.blocks {
        _ = writeln!(
            page,
            "| {} | {:#010x} | {} |",
            block.name, block.addr, block.words
        );
    }
    if chip.efuse.fields.is_empty() {
        return;
    }
    _ = writeln!(
        page,
        "\n<details><summary>{} eFuse fields</summary>\n\n| field | bits |\n|---|---|",
        chip.efuse.fields.len()
    );
    for field in chip.efuse.fields {
        let revisions = match (field.since.0, field.until.0) {
            (0, u16::MAX) => String::new(),
            (0, _) => format!(" (before {})", field.until),
            _ => format!(" (since {})", field.since),
        };
        let name = field.name;
        _ = writeln!(page, "| {name}{revisions} | {} |", bits(chip, field.parts));
    }
    _ = writeln!(page, "\n</details>");
}
