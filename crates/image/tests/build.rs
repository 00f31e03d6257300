//! Images of made-up ELF files, without anything to compare them with: what must be in them, and
//! what is refused.

use guru_chip::{Architecture, CHIPS, Chip, by_id};
use guru_image::{
    BuildError, BuildNotice, BuildOptions, BuiltFile, Contents, CountedSegments, Elf, ElfError,
    ElfProblem, ElfSource, Esp8266Version, Form, Image, SharedPage, build,
};
use guru_testkit::elf::{ElfWriter, NOBITS, RISCV, Section, XTENSA};
use guru_testkit::noise;
use proptest::prelude::*;

fn chip(id: &str) -> &'static Chip {
    by_id(id).expect("it is a chip")
}

fn writer(chip: &Chip, sections: Vec<Section>) -> ElfWriter {
    ElfWriter {
        machine: match chip.architecture {
            Architecture::Riscv32 => RISCV,
            _ => XTENSA,
        },
        entry: 0x4038_0000,
        sections,
    }
}

fn read(bytes: Vec<u8>) -> Result<Elf, ElfError> {
    Elf::read(&Contents::from_bytes("app.elf", bytes).expect("it is small"))
}

fn made(chip: &'static Chip, elf: Vec<u8>, options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
    let mut files = build(&read(elf).expect("it is whole"), chip, options, &mut |_| {})?;
    Ok(bytes_of(&files.pop().expect("there is a file")))
}

fn bytes_of(file: &BuiltFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.write_to(&mut bytes).expect("the file is in memory");
    assert_eq!(bytes.len() as u64, file.len());
    bytes
}

/// A section in the RAM of an ESP32-C3.
fn ram(name: &str, offset: u32, len: usize) -> Section {
    Section::new(name, 0x3FC8_0000 + offset, noise(len, offset.into()))
}

/// A section in its mapped flash.
fn mapped(name: &str, offset: u32, len: usize) -> Section {
    Section::new(name, 0x4200_0000 + offset, noise(len, offset.into()))
}

#[test]
fn damaged_files_are_refused_with_the_field_and_its_offset() {
    let c3 = chip("esp32c3");
    let (whole, places) = writer(c3, vec![ram(".data", 0x100, 64)]).write();
    let (section, segment) = (places.sections + 40, places.segments);
    let word = |at: usize, value: u32| {
        let mut bytes = whole.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let half = |at: usize, value: u16| {
        let mut bytes = whole.clone();
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    for (bytes, field, offset) in [
        (b"#!/bin/sh\n".to_vec(), "EI_MAG", 0),
        (Vec::new(), "EI_MAG", 0),
        (whole[..51].to_vec(), "e_ident", 0),
        (half(4, 0x0102), "EI_CLASS", 4),
        (half(5, 0x0102), "EI_DATA", 5),
        (half(18, 62), "e_machine", 18),
        (half(46, 64), "e_shentsize", 46),
        (half(48, 0), "e_shnum", 48),
        (half(42, 56), "e_phentsize", 42),
        (half(50, 99), "e_shstrndx", 50),
        (word(32, 0xFFFF_FFF0), "e_shoff", 32),
        (word(28, 0xFFFF_FFF0), "e_phoff", 28),
        (whole[..whole.len() - 1].to_vec(), "e_shoff", 32),
        (word(section, 0xFFFF), "sh_name", section),
        (word(section + 16, 0xFFFF_FFF0), "sh_size", section + 20),
        (word(section + 20, u32::MAX), "sh_size", section + 20),
        (word(section + 12, 0xFFFF_FFF0), "sh_size", section + 20),
        (word(segment + 4, 0x00FF_FFFF), "p_filesz", segment + 16),
        (word(segment + 16, 65), "p_filesz", segment + 16),
        (word(segment + 12, 0xFFFF_FFF0), "p_filesz", segment + 16),
    ] {
        match read(bytes) {
            Err(ElfError::Field {
                field: found,
                offset: at,
                file,
                ..
            }) => assert_eq!((found, at, &*file), (field, offset as u64, "app.elf")),
            other => panic!("{field}: {other:?}"),
        }
    }
    let error = read(half(4, 0x0102)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "'app.elf': EI_CLASS of the ELF header, at 0x4, is 0x2, and can be 1 (32-bit)"
    );
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let whole = writer(chip("esp32c3"), vec![ram(".data", 0x100, 64)]).bytes();
    for len in 0..whole.len() {
        assert!(read(whole[..len].to_vec()).is_err(), "{len} bytes");
    }
}

#[test]
fn what_the_chip_cannot_hold_or_run_is_refused() {
    let c3 = chip("esp32c3");
    let built = |sections| made(c3, writer(c3, sections).bytes(), &BuildOptions::default());
    let outside = Section::new(".data", 0x1000_0000, vec![1; 8]);
    assert!(matches!(
        built(vec![outside]),
        Err(BuildError::NoMemory { .. })
    ));
    // Its end is behind the RAM's.
    let too_long = Section::new(".data", 0x3FCF_FFF8, vec![1; 16]);
    match built(vec![too_long]) {
        Err(error @ BuildError::NoMemory { .. }) => assert_eq!(
            error.to_string(),
            "'app.elf': section 1 ('.data'): its address 0x3fcffff8 (at 0xac of the file) leads to \
             0x3fcffff8..0x3fd00008, where the ESP32-C3 has no memory"
        ),
        other => panic!("{other:?}"),
    }
    let twice = vec![ram(".data", 0x100, 64), ram(".more", 0x13C, 64)];
    assert!(matches!(built(twice), Err(BuildError::Overlap { .. })));
    assert!(matches!(built(Vec::new()), Err(BuildError::Nothing { .. })));
    let mut bss = ram(".bss", 0, 64);
    bss.kind = NOBITS;
    assert!(matches!(built(vec![bss]), Err(BuildError::Nothing { .. })));
    let other = writer(chip("esp32"), vec![ram(".data", 0x100, 64)]).bytes();
    let error = made(c3, other, &BuildOptions::default()).unwrap_err();
    assert!(matches!(error, BuildError::Machine { .. }), "{error}");
}

#[test]
fn more_segments_than_a_loader_takes_are_refused_with_what_fills_gaps_too() {
    let c3 = chip("esp32c3");
    let in_ram = |count: u32| (0..count).map(|at| ram(".data", at * 0x100, 16)).collect();
    let built =
        |sections: Vec<Section>| made(c3, writer(c3, sections).bytes(), &BuildOptions::default());
    assert_eq!(built(in_ram(16)).unwrap()[1], 16);
    assert!(matches!(
        built(in_ram(17)),
        Err(BuildError::TooManySegments {
            count: 17,
            before_padding: true,
            ..
        })
    ));
    let mut sections: Vec<_> = in_ram(15);
    sections.push(mapped(".text", 0x20, 16));
    // 240 bytes of RAM do not fill the gap of almost a page.
    sections[0].address = 0x3FC9_0000;
    sections.push(mapped(".more", 0x1_0020, 16));
    assert!(matches!(
        built(sections),
        Err(BuildError::TooManySegments { count: 17, .. })
    ));
}

#[test]
fn a_gap_of_one_header_is_filled_by_an_empty_segment() {
    let c3 = chip("esp32c3");
    // The first segment ends 16 bytes before a page, which are the headers of two.
    let sections = vec![mapped(".text", 0x20, 0xFFD0), mapped(".more", 0x1_0000, 64)];
    let image = made(c3, writer(c3, sections).bytes(), &BuildOptions::default()).unwrap();
    assert_eq!(image[1], 3);
    assert_eq!(image[0xFFF0..0xFFF8], [0; 8]);
    let contents = Contents::from_bytes("image", image).unwrap();
    let image = Image::parse(&contents, Form::Extended).unwrap();
    image.verify(&contents).unwrap();
    assert_eq!(image.segments[2].address, 0x4201_0000);
    assert_eq!(image.segments[2].data, 0x1_0000..0x1_0040);
}

#[test]
fn segments_that_share_a_page_are_refused_or_joined() {
    let c3 = chip("esp32c3");
    let elf = writer(
        c3,
        vec![mapped(".text", 0x20, 64), mapped(".more", 0x100, 64)],
    )
    .bytes();
    let refused = made(c3, elf.clone(), &BuildOptions::default());
    assert!(matches!(
        refused,
        Err(BuildError::SamePage { page: 0x1_0000, .. })
    ));
    let options = BuildOptions {
        shared_page: SharedPage::Join,
        ..BuildOptions::default()
    };
    let image = made(c3, elf, &options).unwrap();
    assert_eq!(image[1], 1);
    assert_eq!(image[0x20..0x60], noise(64, 0x20));
    assert_eq!(image[0x60..0x100], [0; 0xA0]);
    assert_eq!(image[0x100..0x140], noise(64, 0x100));
}

#[test]
fn the_digest_of_the_elf_file_stands_in_the_descriptor() {
    let c3 = chip("esp32c3");
    let mut descriptor = mapped(".flash.appdesc", 0x20, 256);
    descriptor.data[0x90..0xB0].fill(0);
    let elf = writer(c3, vec![ram(".data", 0, 64), descriptor]).bytes();
    let image = made(c3, elf.clone(), &BuildOptions::default()).unwrap();
    let digest = read(elf).unwrap().sha256().unwrap();
    assert_eq!(image[0xB0..0xD0], digest);
    let taken = writer(c3, vec![mapped(".flash.appdesc", 0x20, 256)]).bytes();
    assert!(matches!(
        made(c3, taken, &BuildOptions::default()),
        Err(BuildError::DigestPlaceTaken { offset: 0xB0 })
    ));
}

#[test]
fn a_digest_that_no_segment_takes_is_told() {
    let c3 = chip("esp32c3");
    let elf = read(writer(c3, vec![ram(".data", 0, 64)]).bytes()).unwrap();
    let options = BuildOptions {
        elf_sha256_offset: Some(0x1000),
        ..BuildOptions::default()
    };
    let mut told = Vec::new();
    build(&elf, c3, &options, &mut |notice| told.push(notice)).unwrap();
    assert!(told.contains(&BuildNotice::DigestNotPlaced { offset: 0x1000 }));
}

#[test]
fn an_esp8266_image_is_two_files_in_its_first_form() {
    let esp8266 = chip("esp8266");
    let sections = vec![
        Section::new(".data", 0x3FFE_8000, noise(32, 1)),
        Section::new(".irom0.text", 0x4021_0010, noise(48, 2)),
    ];
    let elf = read(writer(esp8266, sections).bytes()).unwrap();
    let build = |version| {
        let options = BuildOptions {
            version,
            ..BuildOptions::default()
        };
        build(&elf, esp8266, &options, &mut |_| {}).unwrap()
    };
    let [irom, rest] = &build(Esp8266Version::V1)[..] else {
        panic!("two files are expected")
    };
    assert_eq!((irom.offset, rest.offset), (Some(0x1_0010), Some(0)));
    assert_eq!(bytes_of(irom), noise(48, 2));
    let contents = Contents::from_bytes("image", bytes_of(rest)).unwrap();
    let image = Image::parse(&contents, Form::Short).unwrap();
    image.verify(&contents).unwrap();
    assert_eq!(image.segments.len(), 1);
    let [one] = &build(Esp8266Version::V2)[..] else {
        panic!("one file is expected")
    };
    assert_eq!(one.offset, Some(0x1_0000));
    assert_eq!(bytes_of(one)[..2], [0xEA, 4]);
}

#[test]
fn both_files_of_an_esp8266_image_have_a_place_in_flash() {
    let esp8266 = chip("esp8266");
    let with_irom_at = |address| {
        let sections = vec![
            Section::new(".data", 0x3FFE_8000, noise(32, 1)),
            Section::new(".irom0.text", address, noise(48, 2)),
        ];
        let elf = read(writer(esp8266, sections).bytes()).unwrap();
        build(&elf, esp8266, &BuildOptions::default(), &mut |_| {})
    };
    // Headers, data and checksum of the other one take 64 bytes.
    assert!(with_irom_at(0x4020_0040).is_ok());
    let error = with_irom_at(0x4020_0000).unwrap_err();
    assert!(
        matches!(error, BuildError::IromOverlap { len: 64, .. }),
        "{error}"
    );
}

/// Sections of a program: in RAM, and in mapped flash behind the start of a page of its own.
fn program() -> impl Strategy<Value = Vec<Section>> {
    let sizes = prop::collection::vec((0_u32..200, 1_usize..3000), 1..6);
    let pages = prop::collection::vec((0_u32..64, 1_usize..70_000), 0..3);
    (sizes, pages).prop_map(|(sizes, pages)| {
        let mut sections = Vec::new();
        let mut at = 0;
        for (gap, len) in sizes {
            sections.push(ram(".data", at + gap * 4, len));
            at += gap * 4 + (len as u32).next_multiple_of(4);
        }
        let mut at = 0;
        for (offset, len) in pages {
            sections.push(mapped(".text", at + offset * 4, len));
            at = (at + offset * 4 + len as u32).next_multiple_of(0x1_0000);
        }
        sections
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_byte_of_a_program_is_in_its_image_at_its_address(
        sections in program(),
        segments in any::<bool>(),
        in_ram in any::<bool>(),
    ) {
        let c3 = chip("esp32c3");
        let options = BuildOptions {
            source: if segments { ElfSource::Segments } else { ElfSource::Sections },
            header: if in_ram { CountedSegments::InRam } else { CountedSegments::All },
            shared_page: SharedPage::Join,
            ..BuildOptions::default()
        };
        let bytes = made(c3, writer(c3, sections.clone()).bytes(), &options).unwrap();
        let contents = Contents::from_bytes("image", bytes.clone()).unwrap();
        let image = Image::parse(&contents, Form::Extended).unwrap();
        image.verify(&contents).unwrap();
        for section in &sections {
            let is_mapped = c3.irom.contains(&section.address);
            if in_ram && is_mapped {
                // Not counted; it lies in the file at its place in a page, whose bytes are there.
                let place = section.address as usize % 0x1_0000;
                let found = (0..bytes.len())
                    .skip(place)
                    .step_by(0x1_0000)
                    .any(|at| bytes[at..].starts_with(&section.data));
                prop_assert!(found, "{:#x}", section.address);
                continue;
            }
            for (at, byte) in section.data.iter().enumerate().step_by(97) {
                let address = section.address + at as u32;
                let holder = image.segments.iter().find(|segment| {
                    let len = segment.data.end - segment.data.start;
                    (segment.address..segment.address + len).contains(&address)
                });
                let holder = holder.expect("every address is in a segment");
                let offset = holder.data.start + (address - holder.address);
                prop_assert_eq!(bytes[offset as usize], *byte);
                if is_mapped {
                    prop_assert_eq!(offset % 0x1_0000, address % 0x1_0000);
                }
            }
        }
    }

    #[test]
    fn no_damage_makes_reader_or_builder_panic(
        sections in program(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        chip in prop::sample::select(CHIPS),
    ) {
        let (mut bytes, places) = writer(chip, sections).write();
        // Mostly in headers.
        let headers: Vec<_> = (0..52 + 64).chain(places.sections..bytes.len()).collect();
        for (at, value) in damage {
            bytes[headers[at.index(headers.len())]] = value;
        }
        if let Ok(elf) = read(bytes) {
            for version in [Esp8266Version::V1, Esp8266Version::V2, Esp8266Version::V3] {
                let options = BuildOptions { version, ..BuildOptions::default() };
                for file in build(&elf, chip, &options, &mut |_| {}).into_iter().flatten() {
                    if file.len() < 1 << 20 {
                        bytes_of(&file);
                    }
                }
            }
        }
    }
}

#[test]
fn a_problem_says_what_could_be() {
    let problem = ElfProblem::Machine { found: 62 };
    assert_eq!(
        problem.to_string(),
        "is 0x3e, and can be 0x5e (Xtensa) or 0xf3 (RISC-V)"
    );
}
