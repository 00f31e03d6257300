//! Tables and words of Markdown.

use std::fmt::Write as _;

use guru_chip::{Bits, Chip};

/// Writes a table.
pub fn write<const N: usize>(
    page: &mut String,
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    _ = writeln!(page, "| {} |", head.join(" | "));
    _ = writeln!(page, "|{}", "---|".repeat(N));
    for row in rows {
        _ = writeln!(
            page,
            "| {} |",
            row.map(|cell| cell.replace('|', "\\|")).join(" | ")
        );
    }
}

/// A chip's name, with a link to its section.
pub fn link(chip: &Chip) -> String {
    format!("[{}](#{})", chip.name, chip.name.to_lowercase())
}

/// The texts with commas between them, or a dash when there are none.
pub fn list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut line = String::new();
    for text in texts {
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(text.as_ref());
    }
    if line.is_empty() { "-".into() } else { line }
}

/// A truth as a word.
pub fn yes(truth: bool) -> String {
    if truth { "yes" } else { "no" }.into()
}

/// A number of bytes, in the largest unit that leaves no rest.
pub fn bytes(bytes: u32) -> String {
    match bytes {
        0 => "0".into(),
        n if n.is_multiple_of(1 << 20) => format!("{} MB", n >> 20),
        n if n.is_multiple_of(1 << 10) => format!("{} KB", n >> 10),
        n => format!("{n} B"),
    }
}

/// What the data's names are in the data: `ClearForceDownload` is `clear-force-download`.
pub fn kebab(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// Runs of bits as `chips/README.md` writes them: `blk1.3[20:18]`, or with the register's address
/// where no eFuse block holds it; the least significant run first.
pub fn bits(chip: &Chip, runs: &[Bits]) -> String {
    list(runs.iter().map(|run| {
        let word = word(chip, run.addr);
        let top = u32::from(run.lsb) + u32::from(run.width) - 1;
        match run.width {
            32 => word,
            1 => format!("{word}[{top}]"),
            _ => format!("{word}[{top}:{}]", run.lsb),
        }
    }))
}

fn word(chip: &Chip, addr: u32) -> String {
    for block in chip.efuse.blocks {
        let number = addr.wrapping_sub(block.addr) / 4;
        if addr >= block.addr && number < block.words {
            return format!("{}.{number}", block.name);
        }
    }
    format!("{addr:#010x}")
}
