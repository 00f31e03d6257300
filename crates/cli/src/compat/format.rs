//! Numbers and bars in the predecessor's form.

use guru_loader::{FlashStatus, Jtag, SecureBoot, SecurityReport};

/// Contents of as many status registers as were read.
pub fn status(read: &FlashStatus, value: u32) -> String {
    let width = 2 + 2 * usize::from(u8::from(read.bytes));
    format!("{value:#0width$x}")
}

/// What the ROM tells of its security, below the title.
pub fn security(report: &SecurityReport) -> Vec<String> {
    let flags = report.flags.unwrap_or_default();
    let mut lines = vec![format!("Flags: {flags:#010x} ({flags:#b})")];
    if let Some(purposes) = report
        .raw_key_purposes
        .filter(|_| !report.key_purposes.is_empty())
    {
        let purposes: Vec<_> = purposes.iter().map(u8::to_string).collect();
        lines.push(format!("Key Purposes: ({})", purposes.join(", ")));
        lines.extend(report.key_purposes.iter().map(|key| {
            let name = key.name.unwrap_or("UNKNOWN");
            format!("  BLOCK_KEY{} - {name}", key.block)
        }));
    }
    if let (Some(chip_id), Some(version)) = (report.chip_id, report.api_version) {
        lines.push(format!("Chip ID: {chip_id}"));
        lines.push(format!("API Version: {version}"));
    }
    let secure_boot = report.secure_boot != SecureBoot::Off;
    lines.push(format!("Secure Boot: {}", enabled(secure_boot)));
    if secure_boot {
        if report.aggressive_revocation {
            lines.push("Secure Boot Aggressive key revocation: Enabled".to_owned());
        }
        if !report.revoked_keys.is_empty() {
            lines.push("Secure Boot Key Revocation Status:\n".to_owned());
        }
        for key in &report.revoked_keys {
            lines.push(format!("        Secure Boot Key{key} is Revoked\n"));
        }
    }
    lines.push(format!(
        "Flash Encryption: {}",
        enabled(report.flash_encryption)
    ));
    lines.push(format!(
        "SPI Boot Crypt Count (SPI_BOOT_CRYPT_CNT): {:#x}",
        report.crypt_count
    ));
    let also = [
        (
            report.dcache_disabled,
            "Dcache in UART download mode: Disabled",
        ),
        (
            report.icache_disabled,
            "Icache in UART download mode: Disabled",
        ),
        (report.jtag == Jtag::Disabled, "JTAG: Permanently Disabled"),
        (
            report.jtag == Jtag::SoftDisabled,
            "JTAG: Software Access Disabled",
        ),
        (report.usb_disabled, "USB Access: Disabled"),
    ];
    let also = also.iter().filter(|(there, _)| *there);
    lines.extend(also.map(|(_, line)| (*line).to_owned()));
    lines
}

fn enabled(on: bool) -> &'static str {
    if on { "Enabled" } else { "Disabled" }
}

/// A number of bytes: `512B`, `1.20MB`.
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count}B");
    }
    let mut size = count as f64;
    let mut unit = "";
    for suffix in ["kB", "MB", "GB"] {
        size /= 1024.0;
        unit = suffix;
        if size < 1024.0 {
            break;
        }
    }
    format!("{size:.2}{unit}")
}

/// Time since a step began: `59s`, `1:00`.
pub fn elapsed(seconds: u64) -> String {
    if seconds < 60 {
        format!("{seconds}s")
    } else {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

/// A bar of 30 characters, in steps of half a character.
pub fn bar(done: u64, total: u64) -> String {
    const WIDTH: usize = 30;
    if total == 0 || done >= total {
        return "━".repeat(WIDTH);
    }
    let halves = (WIDTH as u64 * 2).saturating_mul(done) / total;
    let full = (halves / 2) as usize;
    let half = if halves % 2 == 1 { "╸" } else { "" };
    let blank = WIDTH - full - usize::from(!half.is_empty());
    format!("{}{half}{}", "━".repeat(full), " ".repeat(blank))
}

/// A rate in the form ` (95.3 kbit/s)`; empty when no time has passed.
pub fn rate(bytes: u64, seconds: f64) -> String {
    if seconds > 0.0 {
        format!(" ({:.1} kbit/s)", bytes as f64 / seconds * 8.0 / 1000.0)
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_binary_steps_and_two_digits() {
        for (count, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00kB"),
            (1_258_291, "1.20MB"),
            (3 << 30, "3.00GB"),
            (3 << 40, "3072.00GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_bar_has_30_characters_at_any_time() {
        for done in 0..=100 {
            assert_eq!(bar(done, 100).chars().count(), 30, "{done}");
        }
        assert_eq!(bar(0, 1), " ".repeat(30));
        assert_eq!(bar(1, 1), "━".repeat(30));
        assert!(bar(1, 40).starts_with("╸ "));
        assert_eq!(bar(5, 0), "━".repeat(30));
    }

    #[test]
    fn minutes_have_two_digits_of_seconds() {
        assert_eq!(elapsed(59), "59s");
        assert_eq!(elapsed(61), "1:01");
    }
}
