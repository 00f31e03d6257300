//! Register dumps of one or two CPUs.

use std::collections::BTreeMap;

use super::scan::{Field, behind, decimal, fields};
use crate::{Core, Family, RegisterName};

/// Registers that one dump can have; ESP-IDF prints 37.
const MOST: usize = 96;

/// In the order in which ESP-IDF prints them (`panic_arch.c`).
const XTENSA: [&str; 24] = [
    "PC", "PS", "A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "A12",
    "A13", "A14", "A15", "SAR", "EXCCAUSE", "EXCVADDR", "LBEG", "LEND", "LCOUNT",
];
const RISCV: [&str; 37] = [
    "MEPC", "RA", "SP", "GP", "TP", "T0", "T1", "T2", "S0", "S1", "A0", "A1", "A2", "A3", "A4",
    "A5", "A6", "A7", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "T3", "T4",
    "T5", "T6", "MSTATUS", "MTVEC", "MCAUSE", "MTVAL", "MHARTID",
];
const EXTRA: [&str; 9] = [
    "EPC1",
    "EPC2",
    "EPC3",
    "EPC4",
    "EPC5",
    "EPC6",
    "EPC7",
    "DEPC",
    "THREADPTR",
];

/// The CPU of a line `Core  N register dump:`; the inner `None`: its number is cut.
pub(super) fn header(text: &str) -> Option<Option<u8>> {
    let (before, _) = text.split_once("register dump:")?;
    core(before.trim_end())
}

/// Where headers begin in a line.
pub(super) fn starts(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices("register dump:")
        .filter_map(|(at, _)| text.get(..at)?.rfind("Core"))
}

/// The CPU of a line `Core  N was running in ISR context:`.
pub(super) fn in_isr(text: &str) -> Option<Option<u8>> {
    let (before, _) = text.split_once(" was running in ISR context")?;
    core(before)
}

fn core(before: &str) -> Option<Option<u8>> {
    let number = before.get(before.rfind("Core")? + 4..)?.trim();
    Some(
        decimal(number)
            .and_then(|(number, rest)| u8::try_from(number).ok().filter(|_| rest.is_empty())),
    )
}

/// The name by which a register is kept; `None`: it has not the look of one.
fn canonical(name: &str) -> Option<&str> {
    let name = name.strip_suffix("/FP").unwrap_or(name);
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (name.len() <= 10 && name.bytes().all(upper)).then_some(name)
}

fn known(name: &str) -> bool {
    XTENSA.contains(&name) || RISCV.contains(&name) || EXTRA.contains(&name)
}

/// The registers of a line; with `any`, also those of unknown names. Empty unless the line is one of a
/// dump: a single known name among other text is a coincidence.
pub(super) fn line(text: &str, any: bool) -> Vec<Field<'_>> {
    let mut count = 0;
    let mut all: Vec<Field<'_>> = fields(text)
        .filter_map(|field| {
            let name = canonical(field.name)?;
            count += usize::from(known(name));
            (any || known(name)).then_some(Field { name, ..field })
        })
        .collect();
    let first = text.trim_start();
    let leads = all
        .first()
        .is_some_and(|field| first.starts_with(field.name));
    if count == 0 || (count < 2 && !(any && leads)) {
        all.clear();
    }
    all
}

/// What a line of a dump adds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    /// A value is cut.
    pub cut: bool,
    /// Registers are missing before these.
    pub gap: bool,
    /// One was there already, with another value: lines of two dumps are mixed.
    pub mixed: bool,
    /// There are more than any chip has.
    pub many: bool,
}

/// The dump that is being read.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// Place of the last register in the order of printing.
    last: Option<usize>,
    /// Lines of two dumps are mixed: no register of it is to be had.
    pub mixed: bool,
    /// Its header came.
    pub headed: bool,
    /// What follows a dump came, so that no more of it does.
    pub over: bool,
}

impl Dump {
    /// It began, and more of it may come.
    pub(super) fn open(&self) -> bool {
        self.headed && !self.over && self.last != Some(usize::MAX)
    }

    pub(super) fn add(&mut self, core: &mut Core, fields: &[Field<'_>]) -> Added {
        let mut added = Added::default();
        for field in fields {
            let riscv = core.register("MEPC").is_some() || matches!(field.name, "MEPC" | "RA");
            let order: &[&str] = if riscv { &RISCV } else { &XTENSA };
            if let Some(place) = order.iter().position(|name| *name == field.name) {
                match self.last {
                    Some(usize::MAX) => {}
                    Some(last) => added.gap |= place > last + 1,
                    None => added.gap |= place > 0,
                }
                let backwards = self
                    .last
                    .is_some_and(|last| last != usize::MAX && place <= last);
                added.mixed |= backwards && core.register(field.name) != field.value;
                self.last = Some(if place + 1 == order.len() {
                    usize::MAX
                } else {
                    place
                });
            }
            let Some(value) = field.value else {
                added.cut = true;
                continue;
            };
            if core
                .register(field.name)
                .is_some_and(|known| known != value)
            {
                added.mixed = true;
            } else if core.registers.len() < MOST {
                core.registers
                    .insert(RegisterName(field.name.into()), value);
            } else {
                added.many = true;
            }
        }
        self.mixed |= added.mixed;
        if self.mixed {
            core.registers.clear();
        }
        added
    }
}

/// The kind of CPU that has these registers.
pub(super) fn family(registers: &BTreeMap<RegisterName, u32>) -> Option<Family> {
    let any = |names: &[&str]| names.iter().any(|name| registers.contains_key(*name));
    if any(&["MEPC", "MCAUSE", "MTVAL", "RA"]) {
        Some(Family::RiscV)
    } else if any(&["PC", "PS", "EXCCAUSE", "LBEG", "A15"]) {
        Some(Family::Xtensa)
    } else {
        None
    }
}

/// The registers that Rust's `{:?}` prints as `TrapFrame { ra: 1107296456, .. }` or `Context { PC: 32, .. }`.
/// Whether the numbers are decimal or hexadecimal is not said: where they do not show it, none are taken.
pub(super) fn of_struct(text: &str) -> Vec<(String, u32)> {
    let Some(inside) = behind(text, "TrapFrame {").or_else(|| behind(text, "Context {")) else {
        return Vec::new();
    };
    let Some((inside, _)) = inside.split_once('}') else {
        return Vec::new();
    };
    let pairs: Vec<(&str, &str)> = inside
        .split(',')
        .take(MOST)
        .filter_map(|pair| pair.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let values = || pairs.iter().map(|(_, value)| *value);
    let radix = if values().any(|value| value.len() > 8 && !value.starts_with("0x")) {
        10
    } else if values().any(|value| value.bytes().any(|byte| byte.is_ascii_alphabetic())) {
        16
    } else {
        return Vec::new();
    };
    pairs
        .into_iter()
        .filter_map(|(name, value)| {
            let value = u32::from_str_radix(value.trim_start_matches("0x"), radix).ok()?;
            let name = match name.to_ascii_uppercase().as_str() {
                "PC" if text.contains("TrapFrame {") && inside.contains("ra:") => "MEPC".to_owned(),
                name => canonical(name)?.to_owned(),
            };
            Some((name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_the_core() {
        assert_eq!(header("Core  1 register dump:"), Some(Some(1)));
        assert_eq!(header("xCore 0 register dump:MEPC"), Some(Some(0)));
        assert_eq!(header("Core register dump:"), Some(None));
        assert_eq!(header("register dump:"), None);
        assert_eq!(in_isr("Core  0 was running in ISR context:"), Some(Some(0)));
    }

    #[test]
    fn mixed_dumps_give_no_registers() {
        let mut core = Core::default();
        let mut dump = Dump::default();
        let zero = line("MEPC    : 0x42000000  RA      : 0x42000002", true);
        let one = line("MEPC    : 0x42000100  RA      : 0x42000002", true);
        assert_eq!(dump.add(&mut core, &zero), Added::default());
        assert_eq!(core.pc(), Some(0x4200_0000));
        assert!(dump.add(&mut core, &one).mixed);
        let more = line("SP      : 0x3fc00000  GP      : 0x3fc00000", true);
        assert!(!dump.add(&mut core, &more).cut);
        assert!(core.registers.is_empty());
    }

    #[test]
    fn a_log_line_is_no_dump() {
        for text in [
            "heap: 0x3ffb0000 size: 0x00001000",
            "I (12) x: PC: 0x40080000",
            "Saved PC:0x40048b82",
        ] {
            assert!(line(text, false).is_empty(), "{text}");
        }
        let names: Vec<_> = line("NEWREG  : 0x00000001  MTVAL   : 0x00000002", true)
            .iter()
            .map(|field| field.name.to_owned())
            .collect();
        assert_eq!(names, ["NEWREG", "MTVAL"]);
    }

    #[test]
    fn rusts_numbers_are_taken_only_when_their_base_shows() {
        let decimal = of_struct("Context { PC: 32, PS: 393237, A0: 2181152054 }");
        assert_eq!(decimal[2], ("A0".to_owned(), 2_181_152_054));
        let hex = of_struct("TrapFrame { ra: 42000010, t0: 3fc8, pc: 42000014 }");
        assert_eq!(hex[0], ("RA".to_owned(), 0x4200_0010));
        assert_eq!(hex[2], ("MEPC".to_owned(), 0x4200_0014));
        assert!(of_struct("TrapFrame { ra: 42000010, t0: 1 }").is_empty());
        assert!(of_struct("TrapFrame { ra: 1107296456, t0: 1").is_empty());
    }
}
