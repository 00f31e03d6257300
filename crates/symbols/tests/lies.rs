//! Debugging information that lies, and some that is odd and right: written by hand, byte by byte.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use guru_symbols::{Damage, Program, SourceFrame, Symbols};
use guru_testkit::elf::{ElfWriter, RISCV, Section, Symbol};

const TEXT: u32 = 0x4200_0000;
const LEN: u32 = 0x1000;

/// Codes of the abbreviations below.
const UNIT: u8 = 1;
const FUNCTION: u8 = 2;
const INLINED: u8 = 3;
const INSTANCE: u8 = 4;
const UNIT_OF_RANGES: u8 = 5;
const UNKNOWN: u8 = 77;

/// DW_TAG_compile_unit, DW_TAG_subprogram, DW_TAG_inlined_subroutine with low_pc (addr) and high_pc
/// (data4), all but the unit with a name (string); an instance: origin (ref4) in place of the name; a
/// unit of ranges (sec_offset).
const ABBREVIATIONS: &[u8] = &[
    UNIT,
    0x11,
    1,
    0x11,
    0x01,
    0x12,
    0x06,
    0,
    0, //
    FUNCTION,
    0x2E,
    1,
    0x11,
    0x01,
    0x12,
    0x06,
    0x03,
    0x08,
    0,
    0, //
    INLINED,
    0x1D,
    1,
    0x11,
    0x01,
    0x12,
    0x06,
    0x03,
    0x08,
    0,
    0, //
    INSTANCE,
    0x2E,
    0,
    0x11,
    0x01,
    0x12,
    0x06,
    0x31,
    0x13,
    0,
    0, //
    UNIT_OF_RANGES,
    0x11,
    0,
    0x55,
    0x17,
    0,
    0, //
    0,
];

/// Where the first entry of a unit stands in it.
const FIRST: u32 = 11;

/// Entries of `.debug_info`.
#[derive(Default)]
struct Info(Vec<u8>);

impl Info {
    fn entry(&mut self, code: u8, low: u32, len: u32, name: &str) -> &mut Self {
        self.0.push(code);
        self.0.extend(low.to_le_bytes());
        self.0.extend(len.to_le_bytes());
        if !name.is_empty() {
            self.0.extend(name.as_bytes());
            self.0.push(0);
        }
        self
    }

    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn word(&mut self, word: u32) -> &mut Self {
        self.0.extend(word.to_le_bytes());
        self
    }

    /// The unit with these entries: DWARF 4, 32 bits.
    fn unit(&self) -> Vec<u8> {
        let mut unit = (self.0.len() as u32 + FIRST - 4).to_le_bytes().to_vec();
        unit.extend([4, 0, 0, 0, 0, 0, 4]);
        unit.extend(&self.0);
        unit
    }
}

fn writer(info: Vec<u8>) -> ElfWriter {
    ElfWriter {
        machine: RISCV,
        entry: TEXT,
        sections: vec![
            Section::new(".text", TEXT, vec![0; LEN as usize]),
            Section::new(".debug_info", 0, info),
            Section::new(".debug_abbrev", 0, ABBREVIATIONS.to_vec()),
        ],
    }
}

fn program(info: Vec<u8>) -> Symbols {
    let mut symbols = Symbols::new();
    let bytes = writer(info).bytes();
    symbols.add("x.elf", bytes).expect("its headers are right");
    symbols
}

fn names(symbols: &Symbols, address: u32) -> Vec<String> {
    let location = symbols.locate(address);
    let frames = location.map(|location| location.frames).unwrap_or_default();
    let name = |frame: SourceFrame| frame.function.unwrap_or_default();
    frames.into_iter().map(name).collect()
}

#[test]
fn inlined_functions_are_told_from_the_inside_to_the_outside() {
    let mut info = Info::default();
    info.entry(UNIT, TEXT, LEN, "")
        .entry(FUNCTION, TEXT, 0x100, "outer")
        .entry(INLINED, TEXT + 0x10, 0x40, "middle")
        .entry(INLINED, TEXT + 0x20, 0x10, "inner")
        .byte(0)
        .byte(0)
        .entry(INLINED, TEXT + 0x80, 0x10, "other")
        .byte(0)
        .byte(0)
        .byte(0);
    let symbols = program(info.unit());
    for (offset, expected) in [
        (0, &["outer"][..]),
        (0x10, &["middle", "outer"]),
        (0x20, &["inner", "middle", "outer"]),
        (0x30, &["middle", "outer"]),
        (0x50, &["outer"]),
        (0x80, &["other", "outer"]),
        (0x100, &[]),
    ] {
        assert_eq!(names(&symbols, TEXT + offset), expected, "{offset:#x}");
    }
    let location = symbols.locate(TEXT + 0x20).expect("it is known");
    let inlined: Vec<_> = location.frames.iter().map(|frame| frame.inlined).collect();
    assert_eq!(inlined, [true, true, false]);
}

#[test]
fn what_the_linker_left_out_is_nowhere() {
    let mut info = Info::default();
    info.entry(UNIT, 0, u32::MAX, "")
        .entry(FUNCTION, 0, u32::MAX, "at_zero")
        .byte(0)
        .entry(FUNCTION, 1, u32::MAX - 1, "at_one")
        .byte(0)
        .entry(FUNCTION, u32::MAX, 0x100, "at_the_end")
        .byte(0)
        .byte(0);
    let mut bytes = info.unit();
    bytes.extend(
        Info::default()
            .entry(UNIT, TEXT, LEN, "")
            .entry(FUNCTION, TEXT, 0x100, "there")
            .byte(0)
            .byte(0)
            .unit(),
    );
    let symbols = program(bytes);
    assert_eq!(names(&symbols, TEXT), ["there"]);
    assert!(names(&symbols, TEXT + 0x100).is_empty());
    for address in [0, 1, 0x80, u32::MAX] {
        assert_eq!(symbols.locate(address), None);
    }
}

#[test]
fn a_damaged_unit_takes_only_itself() {
    let mut good = Info::default();
    good.entry(UNIT, TEXT, LEN, "")
        .entry(FUNCTION, TEXT, 0x100, "there")
        .byte(0)
        .byte(0);
    let mut damaged = Info::default();
    damaged.entry(UNKNOWN, TEXT, LEN, "");
    let bytes = [damaged.unit(), good.unit(), vec![0xFF; 3]].concat();
    let symbols = program(bytes);
    assert_eq!(names(&symbols, TEXT), ["there"]);
    let damage = symbols.programs()[0].damage();
    assert!(matches!(damage, Some(Damage::Dwarf(_))), "{damage:?}");
}

#[test]
fn what_stands_before_something_damaged_counts() {
    let mut info = Info::default();
    info.entry(UNIT, TEXT, LEN, "")
        .entry(FUNCTION, TEXT, 0x100, "there")
        .entry(INLINED, TEXT, 0x10, "inlined")
        .byte(0)
        .byte(UNKNOWN);
    let symbols = program(info.unit());
    assert_eq!(names(&symbols, TEXT), ["inlined", "there"]);
}

#[test]
fn inlining_as_deep_as_the_file_is_long_ends() {
    let mut info = Info::default();
    info.entry(UNIT, TEXT, LEN, "")
        .entry(FUNCTION, TEXT, LEN, "outer");
    for _ in 0..200_000 {
        info.entry(INLINED, TEXT, LEN, "x");
    }
    let symbols = program(info.unit());
    let names = names(&symbols, TEXT);
    assert!((2..300).contains(&names.len()), "{}", names.len());
    assert_eq!(names.last().map(String::as_str), Some("outer"));
}

#[test]
fn an_entry_that_is_its_own_origin_has_no_name() {
    let mut info = Info::default();
    info.entry(UNIT, TEXT, LEN, "");
    let itself = FIRST + info.0.len() as u32;
    info.entry(INSTANCE, TEXT, 0x10, "").word(itself).byte(0);
    let of_table = Symbol {
        name: "by_the_table".to_owned(),
        address: TEXT,
        size: 0x10,
        section: 1,
        global: true,
    };
    let mut symbols = Symbols::new();
    let bytes = writer(info.unit()).write_with_symbols(&[of_table]).0;
    symbols.add("x.elf", bytes).expect("its headers are right");
    assert_eq!(names(&symbols, TEXT), ["by_the_table"]);
    // Without a symbol there is nothing to say.
    let symbols = program(info.unit());
    assert_eq!(names(&symbols, TEXT), [""]);
}

#[test]
fn units_that_share_one_long_list_of_ranges_come_to_an_end() {
    let mut info = Vec::new();
    for _ in 0..20_000 {
        info.extend(Info::default().byte(UNIT_OF_RANGES).word(0).unit());
    }
    let mut ranges = Vec::new();
    for at in 0..20_000_u32 {
        ranges.extend((TEXT + (at & 0xFFF)).to_le_bytes());
        ranges.extend((TEXT + LEN).to_le_bytes());
    }
    let mut writer = writer(info);
    writer
        .sections
        .push(Section::new(".debug_ranges", 0, ranges));
    let mut symbols = Symbols::new();
    let bytes = writer.bytes();
    let program = symbols.add("x.elf", bytes).expect("its headers are right");
    assert_eq!(program.damage(), Some(Damage::Endless));
    assert_eq!(names(&symbols, TEXT), Vec::<String>::new());
}

/// The file with `.debug_info` as it is with `-gz`; the header says what is in it.
fn compressed(kind: u32, len: impl Fn(u32) -> u32) -> Vec<u8> {
    const SHF_COMPRESSED: u32 = 0x800;
    let mut info = Info::default();
    info.entry(UNIT, TEXT, LEN, "")
        .entry(FUNCTION, TEXT, 0x100, "there")
        .byte(0)
        .byte(0);
    let info = info.unit();
    let mut section = Vec::new();
    for word in [kind, len(info.len() as u32), 1] {
        section.extend(word.to_le_bytes());
    }
    let mut encoder = ZlibEncoder::new(section, Compression::default());
    encoder.write_all(&info).expect("it is in memory");
    let section = encoder.finish().expect("it is in memory");
    let (mut bytes, places) = writer(section).write();
    // sh_flags of the second section.
    let flags = places.sections + 2 * 40 + 8;
    bytes[flags..flags + 4].copy_from_slice(&SHF_COMPRESSED.to_le_bytes());
    bytes
}

#[test]
fn compressed_sections_are_read() {
    let mut symbols = Symbols::new();
    let bytes = compressed(1, |len| len);
    let program = symbols.add("x.elf", bytes).expect("its headers are right");
    assert_eq!(program.damage(), None);
    assert_eq!(names(&symbols, TEXT), ["there"]);
}

#[test]
fn compressed_sections_that_lie_are_left_out_and_told() {
    // Of Zstandard, shorter than it is, longer, and far longer than the file can hold.
    for (kind, change) in [(2, 0), (1, -1), (1, 1), (1, 0x7000_0000)] {
        let bytes = compressed(kind, |len| len.wrapping_add_signed(change));
        let program = Program::new("x.elf", bytes).expect("its headers are right");
        let damage = program.damage();
        assert!(
            matches!(damage, Some(Damage::Compressed(_))),
            "{kind} {change}"
        );
        assert!(program.section(".debug_info").is_none());
    }
}
