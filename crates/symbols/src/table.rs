//! Which symbol of an ELF file names the code at an address.
//!
//! Source of the entries: the System V ABI, chapter 4, "Symbol Table".

use std::ops::Range;

use crate::intervals::Intervals;

const ENTRY_LEN: usize = 16;

const STT_NOTYPE: u8 = 0;
const STT_OBJECT: u8 = 1;
const STT_FUNC: u8 = 2;
const STB_LOCAL: u8 = 0;
const STB_GLOBAL: u8 = 1;
const SHN_ABS: u16 = 0xFFF1;

/// How far behind its address a name without a size and without a section is used, in bytes. The
/// linker scripts of ESP-IDF and esp-hal give some functions of the ROM such names, not all: far
/// behind one there is another function.
const REACH: u32 = 0x80;

/// A symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Symbol {
    pub(crate) address: u32,
    /// Behind its last byte; without a size up to the next symbol.
    pub(crate) end: u32,
    /// Where its name stands among the names.
    pub(crate) name: u32,
}

/// Symbols of code, by address.
#[derive(Debug, Default)]
pub(crate) struct Table {
    symbols: Vec<Symbol>,
    /// Those with a size.
    sized: Intervals,
    /// Those without one.
    labels: Intervals,
    /// Those that stand for an address alone, the lowest first.
    fixed: Vec<Symbol>,
}

/// A symbol while the best is looked for.
struct Candidate {
    symbol: Symbol,
    kind: Kind,
    /// The lower, the better among those of one place.
    rank: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A function that says how long it is.
    Sized,
    /// Assembly that does not.
    Label,
    /// Data among the code: it ends a label.
    Data,
}

impl Table {
    /// Reads a symbol table. `code` gives the addresses of a section that holds code, by its number.
    /// Entries that lie are left out.
    pub(crate) fn new(
        entries: &[u8],
        names: &[u8],
        code: impl Fn(u16) -> Option<Range<u32>>,
    ) -> Self {
        let mut candidates = Vec::new();
        let mut fixed = Vec::new();
        for entry in entries.chunks_exact(ENTRY_LEN) {
            let (kind, binding) = (entry[12] & 0xF, entry[12] >> 4);
            let (address, size) = (word(entry, 4), word(entry, 8));
            let mut symbol = Symbol {
                address,
                end: address.saturating_add(size),
                name: word(entry, 0),
            };
            let known = matches!(kind, STT_NOTYPE | STT_OBJECT | STT_FUNC);
            if !known || !is_name(from(names, symbol.name)) {
                continue;
            }
            let number = u16::from_le_bytes([entry[14], entry[15]]);
            if number == SHN_ABS && kind != STT_OBJECT {
                fixed.push(symbol);
            } else if let Some(section) = code(number)
                && section.contains(&address)
            {
                symbol.end = match size {
                    0 => section.end,
                    _ => symbol.end.min(section.end),
                };
                let of_binding = match binding {
                    STB_GLOBAL => 0,
                    STB_LOCAL => 2,
                    _ => 1,
                };
                candidates.push(Candidate {
                    symbol,
                    kind: match (kind, size) {
                        (STT_OBJECT, _) => Kind::Data,
                        (_, 0) => Kind::Label,
                        _ => Kind::Sized,
                    },
                    rank: of_binding + if kind == STT_FUNC { 0 } else { 3 },
                });
            }
        }
        candidates.sort_by_key(|one| (one.symbol.address, one.rank));
        fixed.sort_by_key(|symbol: &Symbol| symbol.address);
        // A symbol without a size lasts up to the next one.
        let mut next = u32::MAX;
        let mut last = u32::MAX;
        for one in candidates.iter_mut().rev() {
            if one.symbol.address != last {
                next = last;
                last = one.symbol.address;
            }
            if one.kind == Kind::Label {
                one.symbol.end = one.symbol.end.min(next);
            }
        }
        let places = |wanted: &dyn Fn(&Candidate) -> bool| {
            let places = candidates.iter().map(|one| match wanted(one) {
                true => one.symbol.address..one.symbol.end,
                false => 0..0,
            });
            Intervals::new(places)
        };
        let sized = places(&|one| one.kind == Kind::Sized);
        // A label within a function, or at its start, ends with it.
        let alone = |one: &Candidate| sized.find(one.symbol.address).is_none();
        let labels = places(&|one| one.kind == Kind::Label && alone(one));
        let symbols = candidates.iter().map(|one| one.symbol).collect();
        Self {
            symbols,
            sized,
            labels,
            fixed,
        }
    }

    /// All symbols of sections with code, data among it included, by address.
    pub(crate) fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The symbol of the code at an address: the function that holds it, or else the label before
    /// it.
    pub(crate) fn find(&self, address: u32) -> Option<Symbol> {
        let label = || self.labels.find(address);
        let number = self.sized.find(address).or_else(label)?;
        self.symbols.get(number).copied()
    }

    /// The last symbol without a section that stands not far before an address.
    pub(crate) fn find_fixed(&self, address: u32) -> Option<Symbol> {
        let behind = self
            .fixed
            .partition_point(|symbol| symbol.address <= address);
        let last = self.fixed.get(behind.checked_sub(1)?)?;
        if address - last.address >= REACH {
            return None;
        }
        // Of several names the first one.
        let first = self
            .fixed
            .partition_point(|symbol| symbol.address < last.address);
        self.fixed.get(first).copied()
    }
}

/// All names from an offset on.
fn from(names: &[u8], offset: u32) -> &[u8] {
    names.get(offset as usize..).unwrap_or_default()
}

/// Whether this is the name at an offset.
pub(crate) fn is_named(names: &[u8], offset: u32, name: &str) -> bool {
    let rest = from(names, offset).strip_prefix(name.as_bytes());
    rest.is_some_and(|rest| rest.first() == Some(&0))
}

/// The name at an offset; nothing when there is none.
pub(crate) fn name(names: &[u8], offset: u32) -> &[u8] {
    let rest = from(names, offset);
    let end = rest.iter().position(|byte| *byte == 0);
    end.and_then(|end| rest.get(..end)).unwrap_or_default()
}

/// Whether a name begins that somebody gave: no mapping symbol (`$x`, `$d`), no label of the
/// compiler's own (`.L0`). Its end is not looked for: that of many may be far away.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, [] | [0, ..]) && !name.starts_with(b"$") && !name.starts_with(b".L")
}

/// The 32-bit number at an offset of an entry, which has it.
fn word(entry: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[u8] = b"\0outer\0inner\0label\0$x\0.L3\0alias\0rom\0data\0past\0";

    fn entry(name: &str, address: u32, size: u32, info: u8, section: u16) -> Vec<u8> {
        let at = NAMES
            .windows(name.len() + 1)
            .position(|window| window.strip_suffix(b"\0") == Some(name.as_bytes()));
        let mut entry = Vec::new();
        entry.extend((at.expect("it is among the names") as u32).to_le_bytes());
        entry.extend(address.to_le_bytes());
        entry.extend(size.to_le_bytes());
        entry.extend([info, 0]);
        entry.extend(section.to_le_bytes());
        entry
    }

    fn table(entries: &[Vec<u8>]) -> Table {
        let code = |number| (number == 1).then_some(100..200);
        Table::new(&entries.concat(), NAMES, code)
    }

    fn find(table: &Table, address: u32) -> &str {
        let found = table.find(address).map(|symbol| name(NAMES, symbol.name));
        std::str::from_utf8(found.unwrap_or_default()).expect("names are ASCII")
    }

    #[test]
    fn a_function_counts_more_than_a_label_within_it() {
        let table = table(&[
            entry("$x", 100, 0, 0, 1),
            entry("outer", 100, 40, 0x12, 1),
            entry("inner", 110, 10, 0x02, 1),
            entry("label", 130, 0, 0x10, 1),
            entry(".L3", 135, 0, 0, 1),
            entry("label", 150, 0, 0x10, 1),
            entry("past", 180, 900, 0x12, 1),
            entry("past", 300, 4, 0x12, 1),
            entry("data", 160, 20, 0x11, 1),
        ]);
        for (address, name) in [
            (99, ""),
            (100, "outer"),
            (109, "outer"),
            (110, "inner"),
            (119, "inner"),
            (120, "outer"),
            (135, "outer"),
            (139, "outer"),
            // Behind its end nothing is known.
            (140, ""),
            (150, "label"),
            (159, "label"),
            // Data.
            (160, ""),
            (179, ""),
            (180, "past"),
            (199, "past"),
            (200, ""),
            (301, ""),
        ] {
            assert_eq!(find(&table, address), name, "{address}");
        }
    }

    #[test]
    fn of_several_names_the_global_function_counts() {
        let table = table(&[
            entry("data", 100, 8, 0x10, 1),
            entry("inner", 100, 8, 0x02, 1),
            entry("outer", 100, 8, 0x12, 1),
            entry("alias", 100, 8, 0x12, 1),
        ]);
        assert_eq!(find(&table, 104), "outer");
    }

    #[test]
    fn a_fixed_address_has_a_name_for_a_few_bytes_only() {
        let table = table(&[
            entry("rom", 0x4000_0018, 0, 0x10, SHN_ABS),
            entry("alias", 0x4000_0018, 0, 0x10, SHN_ABS),
        ]);
        let found = |address| {
            let symbol = table.find_fixed(address);
            symbol.map(|symbol| (name(NAMES, symbol.name), symbol.address))
        };
        assert_eq!(found(0x4000_0017), None);
        assert_eq!(found(0x4000_0018), Some((&b"rom"[..], 0x4000_0018)));
        assert_eq!(found(0x4000_0097), Some((&b"rom"[..], 0x4000_0018)));
        assert_eq!(found(0x4000_0098), None);
        assert_eq!(table.find(0x4000_0018), None);
    }
}
