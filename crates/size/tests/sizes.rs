//! What is counted, of made-up programs of which all is known.

use guru_chip::{CHIPS, Chip, ESP32C3};
use guru_image::{Contents, Elf, SharedPage, build};
use guru_size::{By, LinkerMap, MapError, Memory, Program, Row, Size, SizeError};
use guru_testkit::elf::{ElfWriter, NOBITS, RISCV, Section, Symbol, XTENSA};
use guru_testkit::noise;

const TEXT: u32 = 0x4200_0020;
const DATA: u32 = 0x3FC8_0000;

fn symbol(name: &str, address: u32, size: u32, section: u16, global: bool) -> Symbol {
    Symbol {
        name: name.to_owned(),
        address,
        size,
        section,
        global,
    }
}

fn bss(name: &str, address: u32, size: usize) -> Section {
    let mut section = Section::new(name, address, vec![0; size]);
    section.kind = NOBITS;
    section
}

/// A program for the ESP32-C3: 0x100 bytes of code, 0x21 of data, and memory without bytes.
fn program() -> ElfWriter {
    ElfWriter {
        machine: RISCV,
        entry: TEXT,
        sections: vec![
            Section::new(".flash.text", TEXT, noise(0x100, 1)),
            Section::new(".dram0.data", DATA, noise(0x21, 2)),
            bss(".dram0.bss", DATA + 0x40, 0x200),
            bss(".dram0.dummy", DATA + 0x1000, 0x800),
            bss(".rotext_dummy", TEXT + 0x1_0000, 0x1_0000),
        ],
    }
}

fn symbols() -> Vec<Symbol> {
    vec![
        symbol(
            "_ZN4core3fmt5write17hef54c23adbace04bE",
            TEXT,
            0x40,
            1,
            true,
        ),
        // Two names for the same, and one inside of it.
        symbol("local_name", TEXT + 0x40, 0x20, 1, false),
        symbol("app_main", TEXT + 0x40, 0x20, 1, true),
        symbol("inside", TEXT + 0x48, 8, 1, true),
        // Reaches into what is another's already.
        symbol("overlaps", TEXT + 0x50, 0x20, 1, true),
        symbol("s_state", DATA, 0x10, 2, false),
        symbol("s_buffer", DATA + 0x40, 0x180, 3, true),
    ]
}

fn elf(bytes: Vec<u8>) -> Elf {
    let contents = Contents::from_bytes("x.elf", bytes).expect("it is small");
    Elf::read(&contents).expect("its headers are right")
}

fn image_len(elf: &Elf, chip: &'static Chip) -> u64 {
    let options = guru_image::BuildOptions {
        shared_page: SharedPage::Join,
        ..Default::default()
    };
    let files = build(elf, chip, &options, &mut |_| {}).expect("an image can be made");
    let mut bytes = Vec::new();
    for file in files {
        file.write_to(&mut bytes).expect("it is in memory");
    }
    bytes.len() as u64
}

fn of<'r>(rows: &'r [Row], name: &str) -> &'r Row {
    let found = rows.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("{name} is not in {rows:#?}"))
}

#[test]
fn each_byte_has_one_owner() {
    let elf = elf(program().write_with_symbols(&symbols()).0);
    let program = Program::read(&elf, None).expect("it can be read");
    let size = Size::on(&ESP32C3, &elf, &program).expect("it is for this chip");
    let rows = size.rows(By::Symbol);
    for (name, image, ram) in [
        ("core::fmt::write", 0x40, 0),
        ("app_main", 0x20, 0),
        ("overlaps", 0x10, 0),
        ("[.flash.text]", 0x100 - 0x70, 0),
        ("s_state", 0x10, 0x10),
        ("[.dram0.data]", 0x11, 0x11),
        ("s_buffer", 0, 0x180),
        ("[.dram0.bss]", 0, 0x80),
    ] {
        let usage = of(&rows, name).usage;
        assert_eq!((usage.image, usage.ram()), (image, ram), "{name}");
    }
    for name in ["local_name", "inside", "[.dram0.dummy]", "[.rotext_dummy]"] {
        assert!(rows.iter().all(|row| row.name != name), "{name}");
    }
    let crates = size.rows(By::Crate);
    assert_eq!(of(&crates, "core").usage.image, 0x40);
    assert_eq!(of(&crates, "[.flash.text]").usage.image, 0xC0);
    let memories = size.rows(By::Memory);
    assert_eq!(
        of(&memories, "flash code").usage.of(Memory::FlashCode),
        0x100
    );
    assert_eq!(of(&memories, "DRAM").usage.of(Memory::Dram), 0x221);
    assert_eq!(size.total().ram(), 0x221);
}

#[test]
fn the_bytes_of_the_image_add_up_on_every_chip() {
    for chip in CHIPS {
        let machine = match chip.architecture {
            guru_chip::Architecture::Riscv32 => RISCV,
            _ => XTENSA,
        };
        let ram = |name| chip.memory.iter().find(|one| one.name == name);
        let iram = ram("IRAM").expect("every chip has some").range.start;
        let dram = ram("DRAM").expect("every chip has some").range.start;
        let mut sections = vec![
            Section::new(".iram0.text", iram + 0x8000, noise(0x123, 3)),
            Section::new(".dram0.data", dram, noise(0x47, 4)),
            Section::new(".flash.text", chip.irom.start + 0x2_0020, noise(0x1234, 5)),
        ];
        if chip.drom != chip.irom && !chip.drom.is_empty() {
            let rodata = chip.drom.start + 0x20;
            sections.push(Section::new(".flash.rodata", rodata, noise(0x77, 6)));
        }
        let at = sections[0].address;
        let writer = ElfWriter {
            machine,
            entry: at,
            sections,
        };
        let elf = elf(writer
            .write_with_symbols(&[symbol("f", at, 0x100, 1, true)])
            .0);
        let program = Program::read(&elf, None).expect("it can be read");
        let size = Size::on(chip, &elf, &program).expect("it is for this chip");
        let len = image_len(&elf, chip);
        assert_eq!(size.makeup.total(), len, "{}", chip.name);
        for by in [
            By::Memory,
            By::Section,
            By::Crate,
            By::Archive,
            By::Object,
            By::Symbol,
        ] {
            let sum: u64 = size.rows(by).iter().map(|row| row.usage.image).sum();
            assert_eq!(sum, len, "{} {by:?}", chip.name);
        }
    }
}

#[test]
fn the_chip_is_found_where_it_makes_no_difference() {
    let mut writer = program();
    let bytes = writer.write_with_symbols(&symbols()).0;
    let elf_of_both = elf(bytes);
    // Data at the start of the ESP32-C3's RAM are in none of the ESP32-C2's.
    let program = Program::read(&elf_of_both, None).expect("it can be read");
    let size = Size::on_its_chip(&elf_of_both, &program).expect("one chip has such memory");
    assert_eq!(size.chip.id, "esp32c3");
    // What both have.
    for (section, address) in [(1, 0x3FCA_0000), (2, 0x3FCA_1000), (3, 0x3FCA_2000)] {
        writer.sections[section].address = address;
    }
    let elf_of_both = elf(writer.bytes());
    let program = Program::read(&elf_of_both, None).expect("it can be read");
    match Size::on_its_chip(&elf_of_both, &program) {
        Ok(size) => assert!(["esp32c2", "esp32c3"].contains(&size.chip.id)),
        Err(SizeError::SeveralChips { chips, .. }) => assert_eq!(chips, ["esp32c2", "esp32c3"]),
        Err(error) => panic!("{error}"),
    }
    writer.sections[0].address = 0x1000;
    let no_chip = elf(writer.bytes());
    let program = Program::read(&no_chip, None).expect("it can be read");
    let found = Size::on_its_chip(&no_chip, &program).map(|size| size.chip.id);
    assert!(matches!(found, Err(SizeError::NoChip { .. })), "{found:?}");
}

#[test]
fn a_map_tells_archives_and_objects() {
    let text = "Linker script and memory map\n\
        .flash.text 0x42000020 0x100\n .text 0x42000020 0x60 a/liba.a(a.o)\n \
        .text 0x42000080 0x80 main.o\n\
        .dram0.bss 0x3fc80040 0x200\n COMMON 0x3fc80040 0x180 a/liba.a(b.o)\n";
    let map = Contents::from_bytes("x.map", text.into()).expect("it is small");
    let map = LinkerMap::read(&map).expect("it is a map");
    let elf_of_map = elf(program().write_with_symbols(&symbols()).0);
    let of_map = Program::read(&elf_of_map, Some(&map)).expect("the map is of it");
    let size = Size::on(&ESP32C3, &elf_of_map, &of_map).expect("it is for this chip");
    let archives = size.rows(By::Archive);
    let usage = of(&archives, "liba.a").usage;
    assert_eq!((usage.image, usage.ram()), (0x60, 0x180));
    assert_eq!(of(&archives, "(program)").usage.image, 0x80);
    let objects = size.rows(By::Object);
    assert_eq!(of(&objects, "liba.a(a.o)").usage.image, 0x60);
    assert_eq!(of(&objects, "main.o").usage.image, 0x80);
    // A crate counts more than an archive.
    let crates = size.rows(By::Crate);
    assert_eq!(of(&crates, "core").usage.image, 0x40);
    assert_eq!(of(&crates, "liba.a").usage.image, 0x20);

    let mut other = program();
    other.sections[0].data.push(0);
    let other = elf(other.bytes());
    let error = Program::read(&other, Some(&map)).expect_err("it is another program");
    assert!(
        matches!(error, SizeError::Map(MapError::OtherBuild { line: 2, .. })),
        "{error}"
    );
}

#[test]
fn a_symbol_table_that_lies_is_named_with_the_place() {
    let writer = program();
    let (bytes, places) = writer.write_with_symbols(&symbols());
    let header = places.sections + 40 * (writer.sections.len() + 1);
    let second = places.symbols + 2 * 16;
    for (offset, value, field) in [
        (header + 36, 24_u32, "sh_entsize of section 6"),
        (header + 24, 1, "sh_link of section 6"),
        (header + 24, 0x7FFF, "sh_link of section 6"),
        (header + 20, 0xFFFF_0000, "sh_size of section 6"),
        (header + 16, 0xFFFF_FFF0, "sh_size of section 6"),
        (second, 0xFFFF, "st_name of symbol 2"),
        (second + 4, TEXT - 4, "st_size of symbol 2"),
        (second + 4, 0, "st_size of symbol 2"),
        (second + 8, 0x200, "st_size of symbol 2"),
        (second + 8, u32::MAX, "st_size of symbol 2"),
        (second + 12, 0x7000_0002, "st_shndx of symbol 2"),
    ] {
        let mut bytes = bytes.clone();
        bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        let elf = elf(bytes);
        let error = Program::read(&elf, None).expect_err(field).to_string();
        let start = format!("'x.elf': {field}, at 0x");
        assert!(error.starts_with(&start), "{field}: {error}");
    }
}

#[test]
fn assembly_that_ends_behind_its_section_by_less_than_a_word_is_no_lie() {
    let mut writer = program();
    writer.sections[0].data.truncate(0xFD);
    let elf = elf(writer
        .write_with_symbols(&[symbol("vectors", TEXT + 0xF0, 0x10, 1, true)])
        .0);
    let program = Program::read(&elf, None).expect("it is cut");
    let size = Size::on(&ESP32C3, &elf, &program).expect("it is for this chip");
    assert_eq!(of(&size.rows(By::Symbol), "vectors").usage.image, 0xD);
}
