//! What the program's panic handler printed, taken apart.

use std::collections::BTreeMap;

use crate::expected::Family;

#[derive(Debug, Default)]
pub struct Report {
    /// The reason, or what software said.
    pub reason: String,
    pub registers: BTreeMap<String, u32>,
    /// Pairs of addresses of code and stack pointers.
    pub backtrace: Vec<(u32, u32)>,
    pub mark: String,
    /// Addresses and words.
    pub stack: Vec<(u32, u32)>,
    pub sha256: String,
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

impl Report {
    /// The first report in a text.
    pub fn parse(text: &str, family: Family) -> Self {
        let mut report = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.split("panic'ed (").nth(1) {
                let (reason, _) = rest.split_once(")").expect("a bracket");
                report.reason = reason.to_owned();
            } else if let Some(rest) = line.strip_prefix("Exception (") {
                let (number, _) = rest.split_once(")").expect("a bracket");
                report.reason = "Exception".to_owned();
                let number = number.parse().expect("a number");
                report.registers.insert("EXCCAUSE".to_owned(), number);
            } else if line.starts_with("epc1=") {
                for pair in line.split(' ') {
                    let (name, value) = pair.split_once('=').expect("a pair");
                    let value = hex(value).expect("a number");
                    let name = if name == "epc1" { "PC" } else { name };
                    report.registers.insert(name.to_ascii_uppercase(), value);
                }
            } else if report.reason.is_empty() && is_said(line) {
                report.reason = line.to_owned();
            } else if let Some(rest) = line.strip_prefix("Backtrace:") {
                let (pairs, mark) = rest.split_once("|<-").unwrap_or((rest, ""));
                report.mark = mark.to_owned();
                for pair in pairs.split_whitespace() {
                    let (pc, sp) = pair.split_once(':').expect("a pair");
                    report
                        .backtrace
                        .push((hex(pc).expect("a number"), hex(sp).expect("a number")));
                }
            } else if let Some(digits) = line.strip_prefix("ELF file SHA256: ") {
                report.sha256 = digits.to_owned();
                break;
            } else if matches!(line.get(8..10), Some(": " | ":  "))
                && line.get(..8).and_then(hex).is_some()
            {
                let address = hex(&line[..8]).unwrap_or(0);
                let words = line[10..].split_whitespace().filter_map(hex);
                report
                    .stack
                    .extend((0..).map(|n| address + 4 * n).zip(words));
            } else {
                report.add_registers(line);
            }
        }
        if family == Family::Riscv && !report.reason.is_empty() {
            assert!(report.registers.len() == 37, "{text}");
        }
        report
    }

    /// Names of eight characters, with a value each.
    fn add_registers(&mut self, line: &str) {
        let mut rest = line;
        while let (Some(name), Some(": 0x")) = (rest.get(..8), rest.get(8..12)) {
            let Some(value) = rest.get(12..20).and_then(hex) else {
                return;
            };
            self.registers
                .entry(name.trim().to_owned())
                .or_insert(value);
            rest = rest.get(22..).unwrap_or("");
        }
    }

    pub fn register(&self, name: &str) -> u32 {
        let value = self.registers.get(name);
        *value.unwrap_or_else(|| panic!("no {name} in {:x?}", self.registers))
    }
}

/// What software says instead of a reason.
fn is_said(line: &str) -> bool {
    [
        "abort() was called",
        "Abort called",
        "Panic ",
        "assert failed: ",
        "Stack smashing",
        "***ERROR***",
        "Undefined behavior",
        "E (5312) task_wdt: Task watchdog got triggered",
    ]
    .iter()
    .any(|begin| line.starts_with(begin))
}
