//! What is found in made-up programs of which all is known.

use guru_symbols::{Machine, Origin, Program, Symbols, SymbolsError};
use guru_testkit::elf::{ElfWriter, NOBITS, RISCV, Section, Symbol, XTENSA};
use guru_testkit::noise;
use proptest::prelude::*;

const TEXT: u32 = 0x4200_0020;
const IRAM: u32 = 0x4038_0000;
const SHN_ABS: u16 = 0xFFF1;

fn symbol(name: &str, address: u32, size: u32, section: u16) -> Symbol {
    Symbol {
        name: name.to_owned(),
        address,
        size,
        section,
        global: true,
    }
}

fn writer(machine: u16) -> ElfWriter {
    let mut bss = Section::new(".dram0.bss", 0x3FC9_0000, vec![0; 64]);
    bss.kind = NOBITS;
    ElfWriter {
        machine,
        entry: TEXT,
        sections: vec![
            Section::new(".flash.text", TEXT, noise(0x100, 1)),
            Section::new(".iram0.text", IRAM, noise(0x40, 2)),
            Section::new(".flash.rodata", 0x3C00_0020, noise(0x40, 3)),
            bss,
        ],
    }
}

fn application(machine: u16) -> Vec<u8> {
    let symbols = [
        symbol("app_main", TEXT, 0x20, 1),
        symbol("_ZN3foo3barEv", TEXT + 0x20, 0x20, 1),
        symbol("never_returns", TEXT + 0x40, 6, 1),
        symbol("next_one", TEXT + 0x46, 0x10, 1),
        symbol("in_ram", IRAM, 0x20, 2),
        symbol("ets_printf", 0x4000_0040, 0, SHN_ABS),
        symbol("_bss_start", 0x3FC9_0000, 0, SHN_ABS),
    ];
    writer(machine).write_with_symbols(&symbols).0
}

fn symbols(machine: u16) -> Symbols {
    let mut symbols = Symbols::new();
    symbols
        .add("app.elf", application(machine))
        .expect("it is right");
    symbols
}

fn named(symbols: &Symbols, address: u32) -> Option<(String, u32)> {
    let location = symbols.locate(address)?;
    assert_eq!(location.address, address);
    Some((location.symbol?, location.offset))
}

#[test]
fn an_address_has_the_name_of_the_function_that_holds_it() {
    let symbols = symbols(RISCV);
    let named = |address| named(&symbols, address);
    assert_eq!(named(TEXT + 4), Some(("app_main".to_owned(), 4)));
    assert_eq!(named(TEXT + 0x3F), Some(("foo::bar()".to_owned(), 0x1F)));
    // Nobody owns it.
    assert_eq!(named(TEXT + 0x60), None);
    // No code is there.
    assert_eq!(named(0x3C00_0020), None);
    assert_eq!(named(0x3FC9_0000), None);
    assert_eq!(named(0), None);
    assert_eq!(named(u32::MAX), None);
}

#[test]
fn a_call_that_never_returns_is_looked_up_in_its_own_function() {
    let symbols = symbols(RISCV);
    let location = symbols.locate_return(TEXT + 0x46).expect("it is known");
    assert_eq!(location.symbol.as_deref(), Some("never_returns"));
    assert_eq!((location.address, location.offset), (TEXT + 0x46, 6));
    assert_eq!(symbols.locate_return(0), None);
}

#[test]
fn the_window_bits_of_xtensa_are_no_part_of_an_address() {
    for bits in [0x4000_0000, 0x8000_0000, 0xC000_0000] {
        let address = (TEXT + 3) & 0x3FFF_FFFF | bits;
        let found = symbols(XTENSA).locate_return(address);
        let location = found.expect("it is known");
        assert_eq!(location.address, TEXT + 3);
        assert_eq!(location.symbol.as_deref(), Some("app_main"));
    }
    // Not of what could be no return address, and not on RISC-V.
    assert_eq!(
        symbols(XTENSA).locate_return((TEXT + 3) & 0x3FFF_FFFF),
        None
    );
    assert_eq!(symbols(RISCV).locate_return(TEXT + 3 + 0x4000_0000), None);
}

#[test]
fn of_several_programs_the_first_one_that_knows_is_believed() {
    let mut symbols = Symbols::new();
    let bootloader = [symbol("call_start_cpu0", IRAM + 0x10, 0x20, 2)];
    let bootloader = writer(RISCV).write_with_symbols(&bootloader).0;
    symbols
        .add("app.elf", application(RISCV))
        .expect("it is right");
    symbols
        .add("bootloader.elf", bootloader)
        .expect("it is right");
    let from = |address| {
        let location = symbols.locate(address)?;
        match location.origin {
            Origin::Program(number) => Some((symbols.programs()[number].name(), location.symbol?)),
            _ => None,
        }
    };
    assert_eq!(from(IRAM + 0x18), Some(("app.elf", "in_ram".to_owned())));
    let second = Some(("bootloader.elf", "call_start_cpu0".to_owned()));
    assert_eq!(from(IRAM + 0x28), second);
}

#[test]
fn a_function_at_a_fixed_address_has_the_name_that_the_linker_script_gives() {
    let symbols = symbols(XTENSA);
    let location = symbols.locate(0x4000_0048).expect("it is near");
    assert_eq!(location.symbol.as_deref(), Some("ets_printf"));
    assert_eq!(location.offset, 8);
    assert!(matches!(location.origin, Origin::Fixed(0)));
    assert!(!symbols.is_code(0x4000_0048));
    assert_eq!(symbols.locate(0x4000_4048), None);
}

#[test]
fn what_is_not_written_to_can_be_read() {
    let symbols = symbols(RISCV);
    let mut bytes = [0; 4];
    assert!(symbols.read(TEXT + 0xFC, &mut bytes));
    assert_eq!(bytes, noise(0x100, 1)[0xFC..]);
    assert!(symbols.read(0x3C00_0020, &mut bytes));
    assert!(!symbols.read(TEXT + 0xFD, &mut bytes));
    assert!(!symbols.read(0x3FC9_0000, &mut bytes));
    assert!(!symbols.read(u32::MAX, &mut bytes));
}

#[test]
fn a_program_tells_what_it_is() {
    let program = Program::new("app.elf", application(XTENSA)).expect("it is right");
    assert_eq!(program.machine(), Machine::Xtensa);
    assert_eq!(program.entry(), TEXT);
    assert!(!program.stripped() && !program.has_lines());
    assert_eq!(program.damage(), None);
    assert_eq!(program.address_of("in_ram"), Some(IRAM));
    assert_eq!(program.address_of("in_ra"), None);
    assert_eq!(program.function(TEXT + 5), Some(TEXT..TEXT + 0x20));
    let text = program.section(".flash.text").expect("it is there");
    assert_eq!((text.address, text.bytes.len()), (TEXT, 0x100));
    let stripped = Program::new("app.elf", writer(RISCV).bytes()).expect("it is right");
    assert!(stripped.stripped());
    assert!(stripped.is_code(TEXT) && stripped.symbol(TEXT).is_none());
}

#[test]
fn what_is_no_program_for_these_chips_is_refused() {
    let good = application(RISCV);
    // 64 bits, big-endian, x86.
    for (at, value) in [(0, 0), (4, 2), (5, 2), (18, 0x3E)] {
        let mut bytes = good.clone();
        bytes[at] = value;
        let error = Program::new("x.elf", bytes).expect_err("it is not for a chip");
        assert!(matches!(error, SymbolsError::Elf(_)), "{error}");
        assert!(error.to_string().contains("x.elf"), "{error}");
    }
    for len in [0, 3, 40, good.len() / 2, good.len() - 1] {
        assert!(
            Program::new("x.elf", good[..len].to_vec()).is_err(),
            "{len}"
        );
    }
}

#[test]
fn debugging_information_that_is_noise_is_no_information() {
    for seed in 0..50 {
        let mut writer = writer(RISCV);
        for name in [
            ".debug_info",
            ".debug_abbrev",
            ".debug_line",
            ".debug_ranges",
        ] {
            writer
                .sections
                .push(Section::new(name, 0, noise(400, seed)));
        }
        let text = [symbol("app_main", TEXT, 0x20, 1)];
        let bytes = writer.write_with_symbols(&text).0;
        let mut symbols = Symbols::new();
        let program = symbols.add("x.elf", bytes).expect("its headers are right");
        assert!(program.has_lines());
        assert_eq!(named(&symbols, TEXT), Some(("app_main".to_owned(), 0)));
    }
}

proptest! {
    #[test]
    fn a_damaged_program_is_refused_or_read(at in 0_usize..2000, value: u8, address: u32) {
        let mut bytes = application(RISCV);
        let at = at % bytes.len();
        bytes[at] = value;
        let mut symbols = Symbols::new();
        if symbols.add("x.elf", bytes).is_ok() {
            let _ = symbols.locate(address);
            let _ = symbols.locate_return(TEXT + (address & 0xFF));
        }
    }
}
