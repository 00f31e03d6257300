//! ELF files of which no image can be made: every command that takes one refuses it with the file,
//! the field and where that stands, before a port is opened, and no file is made or changed.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it should be"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Command, Output};

use guru_testkit::elf::{ElfWriter, NOBITS, Places, RISCV, Section, XTENSA};
use guru_testkit::{Scratch, noise};

/// A file, what it is made for, and what the error names of it.
struct Case {
    name: &'static str,
    elf: Vec<u8>,
    options: &'static str,
    /// The field, and what is wrong with it.
    told: String,
}

fn written(machine: u16, sections: Vec<Section>) -> (Vec<u8>, Places) {
    ElfWriter {
        machine,
        entry: 0x4038_0000,
        sections,
    }
    .write()
}

/// A section in the RAM of an ESP32-C3.
fn ram(name: &str, offset: u32, len: usize) -> Section {
    Section::new(name, 0x3FC8_0000 + offset, noise(len, offset.into()))
}

/// A section in its mapped flash.
fn mapped(name: &str, offset: u32, len: usize) -> Section {
    Section::new(name, 0x4200_0000 + offset, noise(len, offset.into()))
}

/// Sections that become one segment each.
fn apart(count: u32) -> Vec<Section> {
    (0..count).map(|at| ram(".data", at * 0x100, 16)).collect()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name, elf: Vec<u8>, options, told: String| {
        cases.push(Case {
            name,
            elf,
            options,
            told,
        });
    };
    let (whole, places) = written(RISCV, vec![ram(".data", 0x100, 64)]);
    let (section, segment) = (places.sections + 40, places.segments);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let word = |at: usize, value: u32| with(at, &value.to_le_bytes());
    let half = |at: usize, value: u16| with(at, &value.to_le_bytes());
    let header = |field: &str, at: usize| format!("{field} of the ELF header, at {at:#x}, ");
    let entry = |field: &str, at: usize| format!("{field} of section 1, at {at:#x}, ");
    let program = |field: &str, at: usize| format!("{field} of program header 0, at {at:#x}, ");

    add("an empty file", Vec::new(), "", header("EI_MAG", 0));
    add(
        "a script",
        b"#!/bin/sh\nexit\n".to_vec(),
        "",
        header("EI_MAG", 0),
    );
    add("an image", [0xE9; 64].to_vec(), "", header("EI_MAG", 0));
    add("HEX", b":00000001FF\n".to_vec(), "", header("EI_MAG", 0));
    add(
        "a part of a header",
        whole[..51].to_vec(),
        "",
        header("e_ident", 0),
    );
    add(
        "no more than a header",
        whole[..52].to_vec(),
        "",
        header("e_shoff", 32),
    );
    add(
        "half a file",
        whole[..whole.len() / 2].to_vec(),
        "",
        header("e_shoff", 32),
    );
    add(
        "all but a byte",
        whole[..whole.len() - 1].to_vec(),
        "",
        header("e_shoff", 32),
    );
    add("64 bits", with(4, &[2]), "", header("EI_CLASS", 4));
    add("big-endian", with(5, &[2]), "", header("EI_DATA", 5));
    add("x86-64", half(18, 62), "", header("e_machine", 18));
    let xtensa = written(XTENSA, vec![ram(".data", 0x100, 64)]).0;
    add(
        "Xtensa for a RISC-V",
        xtensa,
        "",
        header("e_machine", 18) + "is Xtensa",
    );
    add(
        "headers of another size",
        half(46, 64),
        "",
        header("e_shentsize", 46),
    );
    add(
        "program headers of another size",
        half(42, 56),
        "",
        header("e_phentsize", 42),
    );
    add("no sections", half(48, 0), "", header("e_shnum", 48));
    add(
        "more section headers than bytes",
        half(48, 0xFFFF),
        "",
        header("e_shoff", 32),
    );
    add(
        "more program headers than bytes",
        half(44, 0xFFFF),
        "",
        header("e_phoff", 28),
    );
    add(
        "section headers far away",
        word(32, 0xFFFF_FFF0),
        "",
        header("e_shoff", 32),
    );
    add(
        "program headers far away",
        word(28, 0x7FFF_FFFF),
        "",
        header("e_phoff", 28),
    );
    add(
        "names in no section",
        half(50, 99),
        "",
        header("e_shstrndx", 50),
    );
    add(
        "a name outside of the names",
        word(section, 0xFFFF),
        "",
        entry("sh_name", section),
    );
    let size = section + 20;
    add(
        "a huge section",
        word(size, u32::MAX),
        "",
        entry("sh_size", size),
    );
    add(
        "a section that is elsewhere",
        word(section + 16, 0xFFFF_FFF0),
        "",
        entry("sh_size", size),
    );
    add(
        "a section beyond 4 GB",
        word(section + 12, 0xFFFF_FFF0),
        "",
        entry("sh_size", size),
    );
    let size = segment + 16;
    for (name, elf) in [
        (
            "a program header that leads outside",
            word(segment + 4, 0x00FF_FFFF),
        ),
        (
            "a program header with more in the file than in memory",
            word(size, 65),
        ),
        ("a huge segment", word(size, u32::MAX)),
        ("a segment beyond 4 GB", word(segment + 12, 0xFFFF_FFF0)),
    ] {
        add(name, elf.clone(), "", program("p_filesz", size));
        add(name, elf, "--use-segments", program("p_filesz", size));
    }

    let at = |part: &str, at: usize| format!(" (at {at:#x} of the file) {part}");
    let second = |places: Places| places.sections + 2 * 40 + 12;
    let outside = written(RISCV, vec![Section::new(".data", 0x1000_0000, vec![1; 8])]);
    add(
        "memory that is not there",
        outside.0,
        "",
        at("leads to 0x10000000..", outside.1.sections + 52),
    );
    let end = written(RISCV, vec![ram(".data", 0x7_FFF8, 64)]);
    add(
        "memory that ends before",
        end.0,
        "",
        at("leads to 0x3fcffff8..", end.1.sections + 52),
    );
    let mut physical = whole.clone();
    physical[segment + 12..segment + 16].copy_from_slice(&0x0800_0000_u32.to_le_bytes());
    add(
        "a load address in no memory",
        physical,
        "--use-segments",
        at("leads to 0x8000000..", segment + 12),
    );
    let twice = written(RISCV, vec![ram(".data", 0, 64), ram(".more", 60, 64)]);
    add(
        "two sections in one place",
        twice.0.clone(),
        "",
        at("lies in section 1", second(twice.1)),
    );
    add(
        "two segments in one place",
        twice.0,
        "--use-segments",
        at("lies in program header 0", segment + 32 + 12),
    );
    let odd = written(RISCV, vec![mapped(".text", 0x21, 64)]);
    add(
        "an odd address",
        odd.0,
        "",
        at("is not aligned", odd.1.sections + 52),
    );
    let one = written(
        RISCV,
        vec![mapped(".text", 0x20, 64), mapped(".more", 0x100, 64)],
    );
    add(
        "two segments of one page",
        one.0,
        "",
        at("lies in the same page", second(one.1)),
    );

    let mut bss = ram(".bss", 0, 64);
    bss.kind = NOBITS;
    let nothing = written(RISCV, vec![bss, Section::new(".comment", 0, vec![1; 9])]).0;
    add(
        "nothing to load",
        nothing.clone(),
        "",
        header("e_shnum", 48) + "counts nothing",
    );
    add(
        "no segments",
        nothing,
        "--use-segments",
        header("e_phnum", 44) + "counts nothing",
    );
    let many = written(RISCV, apart(17)).0;
    add(
        "17 sections",
        many.clone(),
        "",
        header("e_shnum", 48) + "leads to 17 segments",
    );
    add(
        "17 segments",
        many,
        "--use-segments",
        header("e_phnum", 44) + "leads to 17 segments",
    );
    let mut filled = apart(15);
    filled.extend([mapped(".text", 0x20, 16), mapped(".more", 0x1_0020, 16)]);
    filled[0].address = 0x3FC9_0000;
    let filled = written(RISCV, filled).0;
    add(
        "17 with those that fill gaps",
        filled,
        "",
        header("e_shnum", 48) + "leads to 17 segments",
    );
    cases
}

fn guru(scratch: &Scratch, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guru"))
        .args(words.split_whitespace())
        .current_dir(scratch.folder())
        .env("HOME", scratch.folder())
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

/// All that is in the folder.
fn files(scratch: &Scratch) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(scratch.folder()).unwrap();
    let named = entries.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    named.collect()
}

/// That a command is refused, and leaves all as it was.
fn refused(scratch: &Scratch, words: &str, told: &[&str]) {
    let before = files(scratch);
    let output = guru(scratch, words);
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(2), "{words}: {said}");
    for told in told {
        assert!(said.contains(told), "{words}: no '{told}' in: {said}");
    }
    assert!(!said.contains("panicked"), "{words}: {said}");
    assert!(files(scratch) == before, "{words} left other files");
}

#[test]
fn an_elf_file_without_an_image_is_refused_with_the_field_and_leaves_every_file_as_it_was() {
    let cases = cases();
    assert!(cases.len() > 40);
    for Case {
        name,
        elf,
        options,
        told,
    } in cases
    {
        let scratch = Scratch::new();
        scratch.file("bad.elf", elf);
        scratch.file("old.bin", name);
        let words = format!("--chip esp32c3 elf2image {options} bad.elf");
        // What shares a page is joined but under the old name.
        if name != "two segments of one page" {
            refused(&scratch, &words, &["error: 'bad.elf': ", &told]);
            refused(&scratch, &format!("{words} -o old.bin"), &[&told]);
        }
        let old = format!("esptool {words} -o old.bin");
        refused(&scratch, &old, &["A fatal error occurred: "]);
    }
}

/// Commands that take an ELF file; the first one asks first whether it is for flash at all.
const COMMANDS: [&str; 7] = [
    "--chip esp32c3 flash --port none bad.elf",
    "--chip esp32c3 load-ram --port none bad.elf",
    "--chip esp32c3 write-flash --port none 0x10000 bad.elf",
    "--chip esp32c3 verify-flash --port none 0x10000 bad.elf",
    "--chip esp32c3 merge-bin -o old.bin 0x10000 bad.elf",
    "--chip esp32c3 merge-bin -o new.hex 0x10000 bad.elf",
    "esptool --chip esp32c3 merge-bin -o old.bin 0x10000 bad.elf",
];

#[test]
fn every_command_that_takes_an_elf_file_refuses_a_bad_one_before_a_port_is_opened() {
    for (name, told, commands) in [
        (
            "all but a byte",
            "e_shoff of the ELF header, at 0x20, ",
            &COMMANDS[..],
        ),
        (
            "Xtensa for a RISC-V",
            "e_machine of the ELF header, at 0x12, ",
            &COMMANDS,
        ),
        ("a huge section", "sh_size of section 1, at ", &COMMANDS),
        (
            "a huge segment",
            "p_filesz of program header 0, at ",
            &COMMANDS,
        ),
        (
            "memory that is not there",
            ", where the ESP32-C3 has no memory",
            &COMMANDS[1..],
        ),
        (
            "two sections in one place",
            " lies in section 1 ('.data')",
            &COMMANDS[1..],
        ),
    ] {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let scratch = Scratch::new();
        scratch.file("bad.elf", case.elf);
        scratch.file("old.bin", name);
        for words in commands {
            refused(&scratch, words, &["'bad.elf': ", told]);
        }
    }
}

#[test]
fn a_huge_file_costs_no_memory_and_is_refused() {
    let scratch = Scratch::new();
    // Bytes that no disk holds, and that count all the same.
    let sparse = |name: &str, elf: &[u8], len: u64| {
        let path = scratch.file(name, elf);
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(len).unwrap();
    };
    sparse("huge.elf", b"\x7FELF\x01\x01\x01", 5 << 30);
    let output = guru(&scratch, "--chip esp32s3 elf2image huge.elf");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("'huge.elf' is larger than any flash"),
        "{said}"
    );

    let section = Section::new(".text", 0x4200_0020, vec![1; 4]);
    let (mut elf, places) = written(XTENSA, vec![section]);
    let start = elf.len() as u32;
    let entry = places.sections + 40;
    elf[entry + 16..entry + 20].copy_from_slice(&start.to_le_bytes());
    elf[entry + 20..entry + 24].copy_from_slice(&0x0100_0000_u32.to_le_bytes());
    sparse("long.elf", &elf, u64::from(start) + 0x0100_0000);
    for words in [
        "--chip esp32s3 elf2image long.elf",
        "esptool --chip esp32s3 elf2image long.elf",
    ] {
        let output = guru(&scratch, words);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("16 MB"), "{said}");
    }
    let made: Vec<_> = fs::read_dir(scratch.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(made.len(), 2, "{made:?}");
}
