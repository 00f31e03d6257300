//! The list, without repetitions, in the order in which people search it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::rom;
use crate::Result;

/// Where a text is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// In the brackets of the line that begins with `Guru Meditation Error`.
    Reason,
    /// As a line, or a part of one.
    Line,
    /// As the name of a reset.
    Reset,
    /// As the number of a reset: the text is the name in the header.
    ResetCode,
    /// As the name of a boot mode.
    BootMode,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Reason => "reason",
            Self::Line => "line",
            Self::Reset => "reset",
            Self::ResetCode => "reset-code",
            Self::BootMode => "boot-mode",
        }
    }
}

/// A text as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub kind: Kind,
    /// The format, as printed.
    pub text: String,
    /// The tag of the log line.
    pub tag: Option<String>,
    /// The number.
    pub code: Option<u8>,
    /// Chips or families for which the file is; empty: all.
    pub scope: BTreeSet<String>,
}

type Key = (Kind, Option<u8>, String, Option<String>);

#[derive(Debug, Default)]
pub struct List {
    messages: BTreeMap<Key, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Chips or families; empty: all.
    scope: BTreeSet<String>,
    everywhere: bool,
    from: BTreeSet<String>,
}

impl List {
    pub fn add(&mut self, found: Found, version: &str, path: &str) {
        let key = (found.kind, found.code, found.text, found.tag);
        let entry = self.messages.entry(key).or_default();
        entry.everywhere |= found.scope.is_empty();
        entry.scope.extend(found.scope);
        entry.from.insert(format!("{version} {path}"));
    }

    pub fn add_elf(&mut self, path: &Path) -> Result<()> {
        let name = path
            .file_name()
            .ok_or("no file")?
            .to_string_lossy()
            .into_owned();
        for found in rom::messages(&name, &std::fs::read(path)?)? {
            self.add(found, &name, "");
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn to_toml(&self) -> String {
        let mut out = String::from(
            "# What ESP-IDF (Apache-2.0) and the mask ROMs print when a chip dies or does not start.\n\
             # Written by `cargo xtask messages CHECKOUT [ELF...]` (see CONTRIBUTING.md), not by hand.\n\
             # `from`: version and file of a source, or the ELF file.\n",
        );
        for ((kind, code, text, tag), entry) in &self.messages {
            out.push_str("\n[[message]]\n");
            let _ = writeln!(out, "kind = \"{}\"", kind.name());
            let _ = writeln!(out, "text = {}", quoted(text));
            if let Some(tag) = tag {
                let _ = writeln!(out, "tag = {}", quoted(tag));
            }
            if let Some(code) = code {
                let _ = writeln!(out, "code = {code:#04x}");
            }
            if !entry.everywhere {
                let _ = writeln!(out, "scope = [{}]", quoted_list(&entry.scope));
            }
            let _ = writeln!(out, "from = [{}]", quoted_list(&entry.from));
        }
        out
    }
}

fn quoted_list(texts: &BTreeSet<String>) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text.trim())).collect();
    texts.join(", ")
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\t', "\\t");
    format!("\"{escaped}\"")
}
