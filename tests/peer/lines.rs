//! The lines of output that other programs parse, without what differs from run to run.

use crate::process::Outcome;

/// Beginnings of lines that build systems, IDEs and test frameworks look for.
const PARSED: &[&str] = &[
    "esptool v",
    "Loaded custom configuration from ",
    "Found ",
    "Serial port ",
    "Connecting...",
    "Connected to ",
    "Chip type:",
    "Features:",
    "Crystal frequency:",
    "USB mode:",
    "MAC:",
    "BASE MAC:",
    "MAC_EXT:",
    "Chip ID:",
    "Detecting chip type...",
    "Changing baud rate to ",
    "Changed.",
    "Configuring flash size...",
    "Auto-detected flash size: ",
    "Flash parameters set to ",
    "SHA digest in image updated",
    "Flash will be erased from ",
    "Compressed ",
    "Wrote ",
    "Verifying written data...",
    "Verifying 0x",
    "Hash of data verified.",
    "Cannot verify written data",
    "Flags: ",
    "Key Purposes: ",
    "  BLOCK_KEY",
    "API Version: ",
    "Secure Boot",
    "        Secure Boot",
    "Flash Encryption: ",
    "SPI Boot Crypt Count",
    "JTAG: ",
    "USB Access: ",
    "Dcache in ",
    "Icache in ",
    "Read ",
    "Verification ",
    "Flash memory ",
    "Manufacturer: ",
    "Device: ",
    "Detected flash size: ",
    "Flash type set in eFuse: ",
    "Flash voltage set by ",
    "Hard resetting via RTS pin...",
    "Custom reset sequence executed: ",
    "Soft resetting...",
    "Hard resetting with a watchdog...",
    "Staying in bootloader.",
    "Staying in flasher stub.",
    "NOTE: Watchdog hard reset ",
    "NOTE: Pre-connection option ",
    "NOTE: It's not possible to reset ",
    "Retrying failed connection",
    "Found ",
    "Enabling default SPI flash mode...",
    "Attaching flash from eFuses",
    "A fatal error occurred: ",
    "Failed to connect to ",
    "   0x",
    "Writing '",
    "Comparing flash contents ",
    "'",
    "Changed data sectors ",
    "Reflashing ",
    "No changed sectors ",
    "NOTE: Verification failed after fast reflash ",
    "NOTE: Data not found ",
];

/// Picks the parsed lines out of what a client said on standard output, in their order. Progress
/// lines are left out: how often they come is up to the client.
pub fn parsed_lines(stdout: &str) -> Vec<String> {
    stdout
        .lines()
        .filter(|line| PARSED.iter().any(|begin| line.starts_with(begin)))
        .map(normalised)
        .collect()
}

/// The fatal error on standard error, without the client's way of marking it and of breaking
/// lines.
pub fn fatal_error(stderr: &str) -> Option<String> {
    let (_, message) = stderr.split_once("A fatal error occurred: ")?;
    Some(normalised(
        &message.split_whitespace().collect::<Vec<_>>().join(" "),
    ))
}

/// The mistake in the command line that standard error tells, be it in a frame or not.
pub fn usage_error(stderr: &str) -> Option<String> {
    let plain = stderr.lines().find_map(|line| line.strip_prefix("Error: "));
    let framed = || {
        let lines = stderr
            .lines()
            .filter_map(|line| line.trim().strip_prefix('│'));
        let words: Vec<_> = lines
            .flat_map(|line| line.trim_end_matches('│').split_whitespace())
            .collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    plain.map(str::to_owned).or_else(framed)
}

/// What is told of options, wherever in the output that is: older names that were used, and what
/// has no effect.
pub fn about_options(outcome: &Outcome) -> Vec<&str> {
    const ABOUT: [&str; 3] = [
        "WARNING: Deprecated: ",
        "NOTE: Fast reflashing ",
        "NOTE: Skipping flashing ",
    ];
    let lines = outcome.stderr.lines().chain(outcome.stdout.lines());
    lines
        .filter(|line| ABOUT.iter().any(|begin| line.starts_with(begin)))
        .collect()
}

/// What differs from run to run is replaced: times, rates, ports. Behind `Connecting...` stand
/// dots and notes, as many as it took; our own version stands behind the reference's.
fn normalised(line: &str) -> String {
    for begin in ["Connecting...", "esptool v5.6.0"] {
        if line.starts_with(begin) {
            return begin.to_owned();
        }
    }
    let mut words = Vec::new();
    let mut before = "";
    for word in line.trim_end().split(' ') {
        let number = |word: &str| {
            word.trim_start_matches('(')
                .trim_end_matches("...")
                .parse::<f64>()
                .is_ok()
        };
        words.push(if before == "in" && number(word) {
            "T".to_owned()
        } else if word.starts_with("'/tmp/") || word.ends_with(".hex'") {
            // The reference names temporary files in place of Intel HEX.
            "'HEX'".to_owned()
        } else if word.contains("://") || word.starts_with("/dev/pts/") {
            let colon = if word.ends_with(':') { ":" } else { "" };
            format!("PORT{colon}")
        } else if before == "from" && word.starts_with('/') {
            // In the folder of the client.
            word.rsplit('/').next().unwrap_or_default().to_owned()
        } else {
            word.to_owned()
        });
        before = word;
    }
    let mut line = words.join(" ");
    if let Some(begin) = line.find("Invalid head of packet (0x")
        && let Some(end) = line[begin..].find(')')
    {
        line.replace_range(begin..=begin + end, "Invalid head of packet (X)");
    }
    // How small it gets is up to the compressor.
    if line.starts_with("Compressed ")
        && let Some(begin) = line.rfind(" to ")
    {
        line.replace_range(begin.., " to M...");
    }
    if let (Some(begin), Some(end)) = (line.find(" ("), line.find(" compressed)")) {
        line.replace_range(begin + 2..end, "M");
    }
    if let (Some(begin), Some(end)) = (line.rfind(" ("), line.rfind("kbit/s)")) {
        line.replace_range(begin + 2..end, "R ");
    }
    line
}
