//! What a chip and its flash say of themselves, as lines of text.

use std::fmt::Write;

use guru_loader::{
    AddressBytes, FlashStatus, Jtag, SecureBoot, SecurityReport, SecuritySource, Sfdp,
    StatusChange, Undo,
};

/// `get-security-info`.
pub fn security(report: &SecurityReport) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |label: &str, value: &str| lines.push(format!("{label:<22}{value}"));
    let on = |on: bool| if on { "on" } else { "off" };
    if let Some(flags) = report.flags {
        say("Flags", &format!("0x{flags:08x}"));
    }
    if let Some(chip_id) = report.chip_id {
        say("Chip id", &chip_id.to_string());
    }
    if let Some(version) = report.api_version {
        say("API version", &version.to_string());
    }
    let mode = "on: no memory access, nothing is read";
    if report.source == SecuritySource::Rom {
        let value = if report.secure_download { mode } else { "off" };
        say("Secure download mode", value);
    }
    let boot = match report.secure_boot {
        SecureBoot::Off => "off",
        SecureBoot::On => "on",
        SecureBoot::V1 => "on (version 1)",
        SecureBoot::V2 => "on (version 2)",
    };
    say("Secure boot", boot);
    if report.secure_boot != SecureBoot::Off || report.aggressive_revocation {
        say("  keys revoked", &list(&report.revoked_keys));
        say("  aggressive revoke", on(report.aggressive_revocation));
    }
    let kind = match report.loader_may_encrypt {
        Some(true) if report.flash_encryption => " (development mode: the loader may encrypt)",
        Some(false) if report.flash_encryption => " (release mode: the loader may not encrypt)",
        _ => "",
    };
    let encryption = format!("{}{kind}", on(report.flash_encryption));
    say("Flash encryption", &encryption);
    let count = format!("{} = 0x{:x}", report.crypt_count_name, report.crypt_count);
    say("", &count);
    for key in &report.key_purposes {
        let name = key.name.unwrap_or("unknown");
        say(
            &format!("Key block {}", key.block),
            &format!("{} ({name})", key.purpose),
        );
    }
    let jtag = match report.jtag {
        Jtag::On => "on",
        Jtag::SoftDisabled => "off until software switches it on with a key",
        Jtag::Disabled => "off for ever",
    };
    say("JTAG", jtag);
    if report.source == SecuritySource::Rom {
        say("USB", on(!report.usb_disabled));
    }
    let caches = match (report.dcache_disabled, report.icache_disabled) {
        (false, false) => "on",
        (true, true) => "off",
        (true, false) => "data cache off",
        (false, true) => "instruction cache off",
    };
    say("Caches in download", caches);
    if let Some(disabled) = report.decrypt_disabled {
        let value = if disabled {
            "forbidden in download mode"
        } else {
            "allowed in download mode"
        };
        say("Decryption", value);
    }
    if !report.efuse.is_empty() {
        let words: Vec<_> = report
            .efuse
            .iter()
            .map(|word| format!("{word:08x}"))
            .collect();
        say("eFuse block 0", &words.join(" "));
    }
    lines
}

fn list(numbers: &[u8]) -> String {
    if numbers.is_empty() {
        return "none".to_owned();
    }
    let numbers: Vec<_> = numbers.iter().map(u8::to_string).collect();
    numbers.join(", ")
}

/// `read-flash-status`.
pub fn flash_status(status: &FlashStatus) -> Vec<String> {
    let digits = 2 * usize::from(u8::from(status.bytes));
    let mut lines = vec![
        format!(
            "Flash        {} (JEDEC id 0x{:06x})",
            status.maker.unwrap_or("unknown maker"),
            status.jedec_id.swap_bytes() >> 8
        ),
        format!("Status       0x{:0digits$x}", status.value),
    ];
    if let Some(registers) = status
        .registers
        .filter(|count| *count < u8::from(status.bytes))
    {
        let plural = if registers == 1 { "" } else { "s" };
        lines.push(format!(
            "  of which this flash has {registers} register{plural}"
        ));
    }
    if status.bits.is_empty() {
        lines.push("  what the bits of this flash mean is not known".to_owned());
    }
    for bit in &status.bits {
        lines.push(format!(
            "  {:>2} {:<9}{}  {}",
            bit.bit,
            bit.name,
            u8::from(bit.set),
            bit.meaning
        ));
    }
    if let Some((start, end)) = status.protected {
        lines.push(format!(
            "Protected    0x{start:08x} to 0x{end:08x} cannot be written and erased"
        ));
    }
    lines
}

/// What `write-flash-status` is going to do.
pub fn status_change(change: &StatusChange) -> Vec<String> {
    let digits = 2 * usize::from(u8::from(change.before.bytes));
    let volatile = if change.non_volatile {
        "for good"
    } else {
        "until the flash is reset or loses its power"
    };
    let mut lines = vec![
        format!("Status       0x{:0digits$x}", change.before.value),
        format!("New status   0x{:0digits$x}, {volatile}", change.asked),
    ];
    if change.changes.is_empty() {
        lines.push("  no bit changes".to_owned());
    }
    for bit in &change.changes {
        let mut line = format!(
            "  {:>2} {:<9}{} -> {}",
            bit.bit,
            bit.name.unwrap_or("?"),
            u8::from(!bit.set),
            u8::from(bit.set),
        );
        if let Some(meaning) = bit.meaning {
            let _ = write!(line, "  {meaning}");
        }
        lines.push(line);
    }
    lines
}

/// What is to be feared of a change of status registers.
pub fn status_warnings(change: &StatusChange) -> Vec<String> {
    let warning = |undo: Undo, text: &str| {
        let names: Vec<_> = change
            .changes
            .iter()
            .filter(|bit| bit.undo == undo)
            .map(|bit| match bit.name {
                Some(name) => name.to_owned(),
                None => format!("bit {}", bit.bit),
            })
            .collect();
        (!names.is_empty()).then(|| format!("{}: {text}", names.join(", ")))
    };
    let mut warnings = vec![
        warning(Undo::Never, "this can never be undone"),
        warning(
            Undo::Locks,
            "the status registers cannot be written again before the flash loses its power, and on \
             some parts, together with SRP0, never",
        ),
        warning(
            Undo::NoEffect,
            "this cannot be written, and will not change",
        ),
    ];
    if change.non_volatile {
        warnings.push(warning(
            Undo::Unknown,
            "nothing is known of this; on some parts such bits can never be cleared",
        ));
    }
    warnings.into_iter().flatten().collect()
}

/// `read-flash-sfdp`: sixteen bytes a line.
pub fn hex_dump(address: u32, bytes: &[u8]) -> Vec<String> {
    (address..)
        .step_by(16)
        .zip(bytes.chunks(16))
        .map(|(at, bytes)| {
            let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let text: String = bytes
                .iter()
                .map(|byte| match byte {
                    0x20..0x7F => char::from(*byte),
                    _ => '.',
                })
                .collect();
            format!("{at:06x}  {:<47}  {text}", hex.join(" "))
        })
        .collect()
}

/// `read-flash-sfdp --decode`.
pub fn sfdp(sfdp: &Sfdp) -> Vec<String> {
    let (major, minor) = sfdp.revision;
    let mut lines = vec![format!("SFDP {major}.{minor}")];
    for table in &sfdp.tables {
        let (major, minor) = table.revision;
        lines.push(format!(
            "Table {:04x}   {}, revision {major}.{minor}, {} bytes at 0x{:06x}",
            table.id,
            table.name.unwrap_or("of the maker"),
            table.length,
            table.address
        ));
    }
    if sfdp.more_tables {
        lines.push("There are more tables, which are not listed.".to_owned());
    }
    let mut say = |label: &str, value: String| lines.push(format!("{label:<13}{value}"));
    if let Some(basic) = &sfdp.basic {
        if let Some(size) = basic.size {
            say("Size", format!("{size} bytes"));
        }
        let address = match basic.address_bytes {
            AddressBytes::Three => "3 bytes",
            AddressBytes::ThreeOrFour => "3 or 4 bytes",
            AddressBytes::Four => "4 bytes",
            AddressBytes::Unknown => "unknown",
        };
        say("Addresses", address.to_owned());
        for erase in &basic.erases {
            let time = match (erase.typical_ms, erase.max_ms) {
                (Some(typical), Some(max)) => format!(", typically {typical} ms, at most {max} ms"),
                _ => String::new(),
            };
            say(
                "Erase",
                format!("{} bytes by {:02x}{time}", erase.size, erase.opcode),
            );
        }
        if let Some(times) = &basic.program {
            say(
                "Chip erase",
                format!("typically {} ms", times.chip_erase_ms),
            );
            say(
                "Program",
                format!(
                    "pages of {} bytes; typically {} us a page, {} us the first byte, {} us each \
                     further one, at most {} times that",
                    times.page,
                    times.page_us,
                    times.first_byte_us,
                    times.next_byte_us,
                    times.max_factor
                ),
            );
        }
        for read in &basic.reads {
            say(
                "Fast read",
                format!(
                    "{} by {:02x}, {} mode clocks, {} wait states",
                    read.lines, read.opcode, read.mode_clocks, read.wait_states
                ),
            );
        }
        if let Some(quad) = &basic.quad_enable {
            say("Quad enable", format!("{} ({})", quad.meaning, quad.code));
        }
        say(
            "Status",
            format!("volatile writes after {:02x}", basic.volatile_status_enable),
        );
        if let Some(pair) = &basic.suspend {
            say(
                "Suspend",
                format!("{:02x}, resume {:02x}", pair.enter, pair.leave),
            );
        }
        if let Some(pair) = &basic.power_down {
            say(
                "Power-down",
                format!("{:02x}, release {:02x}", pair.enter, pair.leave),
            );
        }
        for (label, ways) in [
            ("Soft reset", &basic.soft_reset),
            ("4-byte mode", &basic.enter_four_byte),
            ("  left by", &basic.leave_four_byte),
        ] {
            if let Some(ways) = ways.as_ref().filter(|ways| !ways.is_empty()) {
                say(label, ways.join("; "));
            }
        }
    }
    if let Some(four) = &sfdp.four_byte {
        for (name, opcode) in &four.commands {
            say("4-byte", format!("{name} by {opcode:02x}"));
        }
        for (size, opcode) in &four.erases {
            say("4-byte", format!("erase of {size} bytes by {opcode:02x}"));
        }
    }
    lines
}
