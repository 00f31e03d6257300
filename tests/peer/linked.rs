//! Awkward layouts that a real linker makes, and the images that ours and the reference make of
//! them. `GURU_RISCV_GCC` and `GURU_LX106_GCC` name the compilers, whose `ld` lies beside them.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;

use crate::clients::{Reference, run_ours};
use crate::elf2image::{Combination, Outcome, compare, files};
use crate::process::Environment;
use crate::{Folder, TWO};

/// What is linked. Nothing is executed, so that one source serves all machines.
const SOURCE: &str = r#"
.global entry
.section .code, "ax"
entry: .fill 101, 1, 0x11
.section .more_code, "ax"
.fill 55, 1, 0x22
.section .odd, "aw"
.fill 33, 1, 0x33
.section .even, "aw"
.balign 4
.fill 64, 1, 0x44
.section .aligned, "aw"
.balign 32
.fill 48, 1, 0x55
.section .constants, "a"
.fill 77, 1, 0x66
.section .description, "a"
.balign 16
.word 0xabcd5432
.fill 252, 1, 0
.section .nearly_a_page, "a"
.fill 0xffd8, 1, 0x77
.section .two_pages, "a"
.fill 0x20000, 1, 0x78
.section .zeroed, "aw", @nobits
.skip 40
.section .starters, "aw", @init_array
.word 1, 2, 3
.section .enders, "aw", @fini_array
.word 4
.section .noted, "a", @note
.word 4, 4, 1, 0x00756755, 5
.section .nothing, "a"
"#;

/// Where a chip has its memory: IRAM, DRAM, mapped flash for code and for data.
struct Memory {
    chip: &'static str,
    xtensa: bool,
    iram: u32,
    dram: u32,
    irom: u32,
    drom: u32,
}

const MEMORIES: [Memory; 6] = [
    Memory {
        chip: "esp32",
        xtensa: true,
        iram: 0x4008_0000,
        dram: 0x3FFB_0000,
        irom: 0x400D_0020,
        drom: 0x3F40_0020,
    },
    Memory {
        chip: "esp32s3",
        xtensa: true,
        iram: 0x4037_8000,
        dram: 0x3FC9_0000,
        irom: 0x4200_0020,
        drom: 0x3C00_0020,
    },
    Memory {
        chip: "esp8266",
        xtensa: true,
        iram: 0x4010_0000,
        dram: 0x3FFE_8000,
        // Behind what is loaded, whose file lies before it in flash.
        irom: 0x4024_0010,
        // Data are in RAM.
        drom: 0x3FFE_C000,
    },
    Memory {
        chip: "esp32c3",
        xtensa: false,
        iram: 0x4038_0000,
        dram: 0x3FC9_0000,
        irom: 0x4200_0020,
        drom: 0x3C00_0020,
    },
    Memory {
        chip: "esp32c6",
        xtensa: false,
        iram: 0x4080_0000,
        dram: 0x4082_0000,
        irom: 0x4200_0020,
        drom: 0x4280_0020,
    },
    Memory {
        chip: "esp32p4",
        xtensa: false,
        iram: 0x4FF0_0000,
        dram: 0x4FF4_0000,
        irom: 0x4000_0020,
        drom: 0x4080_0020,
    },
];

/// A layout: what stands within `SECTIONS` of a linker script, where IRAM, DRAM, IROM and DROM are
/// addresses.
struct Layout {
    name: &'static str,
    sections: &'static str,
    /// What ours refuses on purpose (docs/differences.md): words of the error.
    refused: &'static str,
}

const fn layout(name: &'static str, sections: &'static str) -> Layout {
    Layout {
        name,
        sections,
        refused: "",
    }
}

const LAYOUTS: [Layout; 17] = [
    layout(
        "ends that are not aligned",
        ".a IRAM : { *(.code) } .b DRAM : { *(.odd) } .c DROM : { *(.constants) } .d IROM : { *(.more_code) }",
    ),
    layout(
        "sections out of order",
        ".d IROM : { *(.more_code) } .z DRAM + 0x100 : { *(.odd) } .y DRAM : { *(.even) } \
         .c DROM : { *(.constants) } .a IRAM : { *(.code) }",
    ),
    layout(
        "two mapped sections in one page",
        ".a IRAM : { *(.code) } .c IROM : { *(.constants) } .d IROM + 0x2000 : { *(.more_code) }",
    ),
    layout(
        "a mapped section that begins where another page's ends",
        ".a IRAM : { *(.code) } .c IROM : { *(.two_pages) } .d IROM + 0x20000 : { *(.more_code) }",
    ),
    layout(
        "an empty section between others",
        ".a IRAM : { *(.code) } .y DRAM : { *(.even) } .n DRAM + 0x40 : { *(.nothing) here = .; } \
         .z DRAM + 0x40 : { *(.odd) } .d IROM : { *(.more_code) }",
    ),
    layout(
        "a section without bytes between others",
        ".a IRAM : { *(.code) } .y DRAM : { *(.even) } .n : { *(.zeroed) } .z : { *(.odd) } .d IROM : { *(.more_code) }",
    ),
    layout(
        "neighbours that become one",
        ".a IRAM : { *(.code) } .y DRAM : { *(.even) } .x DRAM + 64 : { *(.aligned) } .d IROM : { *(.more_code) }",
    ),
    layout(
        "a gap that an alignment explains",
        ".a IRAM : { *(.code) } .z DRAM : { *(.odd) } .x : { *(.aligned) } .d IROM : { *(.more_code) }",
    ),
    layout(
        "a descriptor that is not the first",
        ".a IRAM : { *(.code) } .c DROM : { *(.constants) } .flash.appdesc DROM + 0x10000 : { *(.description) } \
         .d IROM : { *(.more_code) }",
    ),
    layout(
        "names with odd characters",
        "\".a b [bold]\" IRAM : { *(.code) } \".é'%s\" DRAM : { *(.odd) } \"\\\\n\" DRAM + 36 : { *(.even) } \
         .d IROM : { *(.more_code) }",
    ),
    layout(
        "gaps of several pages",
        ".a IRAM : { *(.code) } .c DROM : { *(.constants) } .d IROM + 0x30000 : { *(.more_code) } \
         .e IROM + 0x98000 : { *(.odd) }",
    ),
    layout(
        "a last page that is hardly begun",
        ".a IRAM : { *(.code) } .c DROM : { *(.nearly_a_page) } .d IROM : { *(.more_code) }",
    ),
    layout(
        "arrays of functions and a note",
        ".a IRAM : { *(.code) } .s DRAM : { *(.starters) } .e DRAM + 12 : { *(.enders) } \
         .n DRAM + 0x80 : { *(.noted) } .d IROM : { *(.more_code) }",
    ),
    layout(
        "16 segments",
        ".a IRAM : { *(.code) } .r0 DRAM : { LONG(1) } .r1 DRAM + 16 : { LONG(1) } .r2 DRAM + 32 : { LONG(1) } \
         .r3 DRAM + 48 : { LONG(1) } .r4 DRAM + 64 : { LONG(1) } .r5 DRAM + 80 : { LONG(1) } \
         .r6 DRAM + 96 : { LONG(1) } .r7 DRAM + 112 : { LONG(1) } .r8 DRAM + 128 : { LONG(1) } \
         .r9 DRAM + 144 : { LONG(1) } .s0 DRAM + 160 : { LONG(1) } .s1 DRAM + 176 : { LONG(1) } \
         .s2 DRAM + 192 : { LONG(1) } .s3 DRAM + 208 : { LONG(1) } .s4 DRAM + 224 : { LONG(1) }",
    ),
    layout(
        "17 segments",
        ".a IRAM : { *(.code) } .r0 DRAM : { LONG(1) } .r1 DRAM + 16 : { LONG(1) } .r2 DRAM + 32 : { LONG(1) } \
         .r3 DRAM + 48 : { LONG(1) } .r4 DRAM + 64 : { LONG(1) } .r5 DRAM + 80 : { LONG(1) } \
         .r6 DRAM + 96 : { LONG(1) } .r7 DRAM + 112 : { LONG(1) } .r8 DRAM + 128 : { LONG(1) } \
         .r9 DRAM + 144 : { LONG(1) } .s0 DRAM + 160 : { LONG(1) } .s1 DRAM + 176 : { LONG(1) } \
         .s2 DRAM + 192 : { LONG(1) } .s3 DRAM + 208 : { LONG(1) } .s4 DRAM + 224 : { LONG(1) } \
         .s5 DRAM + 240 : { LONG(1) }",
    ),
    Layout {
        name: "two sections at one address",
        sections: ".a IRAM : { *(.code) } .y DRAM : { *(.even) } .z DRAM : { *(.odd) }",
        refused: "lies in",
    },
    Layout {
        name: "a section outside of all memory",
        sections: ".a IRAM : { *(.code) } .y 0x10000000 : { *(.even) }",
        refused: "has no memory",
    },
];

/// What is asked for besides.
const OPTIONS: [&str; 4] = ["", "--use-segments", "--ram-only-header", "--secure-pad-v2"];

/// Each layout for each chip, in one process of the reference.
pub fn awkward(reference: &Reference) -> Result<(), Failed> {
    let folder = Folder::new("linked")?;
    let mut combinations = Vec::new();
    let mut refused = Vec::new();
    for (xtensa, variable, flags) in [
        (true, "GURU_LX106_GCC", &[][..]),
        (
            false,
            "GURU_RISCV_GCC",
            &["-march=rv32imc_zicsr", "-mabi=ilp32"][..],
        ),
    ] {
        let Some(gcc) = env::var(variable).ok() else {
            match env::var("GURU_REQUIRE_PEERS").is_ok_and(|value| value == "1") {
                true => return Err(format!("{variable} is not set").into()),
                false => continue,
            }
        };
        let object = assemble(&folder, &gcc, flags)?;
        for memory in MEMORIES.iter().filter(|memory| memory.xtensa == xtensa) {
            for layout in &LAYOUTS {
                // An ESP8266 has no such descriptor; the reference ends with a traceback.
                if memory.chip == "esp8266" && layout.sections.contains(".flash.appdesc") {
                    continue;
                }
                let elf = link(&folder, &gcc, &object, memory, layout)?;
                let options = match layout.refused {
                    "" if TWO.contains(&memory.chip) => &OPTIONS[..],
                    "" => &OPTIONS[..2],
                    _ => &OPTIONS[..1],
                };
                for options in options {
                    let one = Combination {
                        name: layout.name.to_owned(),
                        words: format!("--chip {} elf2image {options} x.elf", memory.chip)
                            .split_whitespace()
                            .map(str::to_owned)
                            .collect(),
                        elf: elf.clone(),
                    };
                    match layout.refused {
                        "" => combinations.push(one),
                        words => refused.push((one, words)),
                    }
                }
            }
        }
    }
    for (one, words) in &refused {
        refused_by_ours(&folder, one, words)?;
    }
    if combinations.is_empty() {
        return Ok(());
    }
    let outcomes = compare("linked images", &combinations, reference)?;
    let same = outcomes.iter().filter(|one| **one == Outcome::Same);
    // Most of them are good ones, or little would be proven.
    match same.count() * 2 >= combinations.len() {
        true => Ok(()),
        false => Err(format!("few became images: {outcomes:#?}").into()),
    }
}

/// That ours makes no file, and names the ELF file, the field's place, and what is wrong.
fn refused_by_ours(folder: &Path, one: &Combination, error: &str) -> Result<(), Failed> {
    let place = folder.join("refused");
    fs::create_dir_all(&place)?;
    fs::write(place.join("x.elf"), &one.elf)?;
    let words: Vec<_> = one.words.iter().map(String::as_str).collect();
    let outcome = run_ours(&words, &place, &Environment::new())?;
    let said = outcome
        .stderr
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let told = [error, "'x.elf': section ", "(at 0x"]
        .iter()
        .all(|words| said.contains(words));
    match outcome.code == Some(2) && told && files(&place)?.is_empty() {
        true => Ok(()),
        false => Err(format!("{}: {:?}: {said}", one.words.join(" "), outcome.code).into()),
    }
}

fn assemble(folder: &Path, gcc: &str, flags: &[&str]) -> Result<String, Failed> {
    fs::write(folder.join("source.s"), SOURCE)?;
    let object = format!("{}.o", flags.len());
    let mut command = Command::new(gcc);
    command
        .args(flags)
        .args(["-c", "source.s", "-o", &object])
        .current_dir(folder);
    run(&mut command)?;
    Ok(object)
}

fn link(
    folder: &Path,
    gcc: &str,
    object: &str,
    memory: &Memory,
    layout: &Layout,
) -> Result<Vec<u8>, Failed> {
    let mut sections = layout.sections.to_owned();
    for (word, address) in [
        ("IRAM", memory.iram),
        ("DRAM", memory.dram),
        ("IROM", memory.irom),
        ("DROM", memory.drom),
    ] {
        sections = sections.replace(word, &format!("{address:#x}"));
    }
    let script = format!("ENTRY(entry)\nSECTIONS {{ {sections} /DISCARD/ : {{ *(*) }} }}\n");
    fs::write(folder.join("script.ld"), script)?;
    let ld = gcc
        .strip_suffix("gcc")
        .ok_or("the compiler is not named gcc")?;
    let mut command = Command::new(format!("{ld}ld"));
    if !memory.xtensa {
        command.arg("-melf32lriscv");
    }
    // Where sections overlap, that is what is tried.
    command
        .args([
            "--no-check-sections",
            "--no-relax",
            "-z",
            "max-page-size=4096",
        ])
        .args(["-T", "script.ld", object, "-o", "linked.elf"])
        .current_dir(folder);
    run(&mut command)?;
    Ok(fs::read(folder.join("linked.elf"))?)
}

fn run(command: &mut Command) -> Result<(), Failed> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}
