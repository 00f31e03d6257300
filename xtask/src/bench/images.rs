//! Commands on files alone, ours and the reference's on the same files: CPU time and memory.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use guru_chip::{Chip, ESP32S3};
use guru_image::Contents;
use guru_testkit::code;
use guru_testkit::elf::{self, ElfWriter, XTENSA};

use super::process::{Usage, own, run, usages};
use super::report::mb;
use super::{Aim, MB, Section, Setup};
use crate::Result;

/// One that maps flash enough for so large a program.
const CHIP: &Chip = &ESP32S3;
/// How many times the reference's CPU time must be ours, at the least.
const ELF2IMAGE: f64 = 10.0;
const IMAGE_INFO: f64 = 30.0;
/// Memory beyond the size of the largest file, at the most.
const MEMORY: u64 = 10_000_000;

const TABLE: &str =
    "nvs, data, nvs, , 0x6000\nphy_init, data, phy, , 0x1000\nfactory, app, factory, , 12M\n";
const PARTS: &str = "0x0 boot.bin 0x8000 table.bin 0x10000 app.bin";

/// A command line; where it makes a file, both make the same one, in place of FILE.
struct Task {
    name: &'static str,
    line: &'static str,
    /// What the file is called when ours has made it, for the tasks that follow.
    made: Option<&'static str>,
    /// Files of which the largest one counts beside the memory.
    files: &'static [&'static str],
    /// Files of which a SHA-256 has to be made.
    hashed: &'static [&'static str],
    with: With,
}

/// Beside what ours is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    Reference,
    /// It has no such command.
    Nothing,
}

const TASKS: [Task; 10] = [
    Task {
        name: "elf2image, 10 MB",
        line: "elf2image -o FILE bare.elf",
        made: Some("bare.bin"),
        files: &["bare.elf", "bare.bin"],
        hashed: &["bare.bin"],
        with: With::Reference,
    },
    Task {
        name: "elf2image, 10 MB, nine of them for debuggers",
        line: "elf2image -o FILE app1.elf",
        made: Some("app1.bin"),
        files: &["app1.elf", "app1.bin"],
        hashed: &["app1.elf", "app1.bin"],
        with: With::Reference,
    },
    Task {
        name: "image-info, 1 MB",
        line: "image-info app1.bin",
        made: None,
        files: &["app1.bin"],
        hashed: &["app1.bin"],
        with: With::Reference,
    },
    Task {
        name: "elf2image, 10 MB with a descriptor",
        line: "elf2image -o FILE app.elf",
        made: Some("app.bin"),
        files: &["app.elf", "app.bin"],
        hashed: &["app.elf", "app.bin"],
        with: With::Reference,
    },
    Task {
        name: "image-info, 10 MB",
        line: "image-info app.bin",
        made: None,
        files: &["app.bin"],
        hashed: &["app.bin"],
        with: With::Reference,
    },
    Task {
        name: "merge-bin, raw",
        line: "merge-bin -f raw -o FILE PARTS",
        made: Some("merged.bin"),
        files: &["merged.bin"],
        hashed: &[],
        with: With::Reference,
    },
    Task {
        name: "merge-bin, Intel HEX",
        line: "merge-bin -f hex -o FILE PARTS",
        made: Some("merged.hex"),
        files: &["merged.hex"],
        hashed: &[],
        with: With::Reference,
    },
    Task {
        name: "merge-bin, UF2",
        line: "merge-bin -f uf2 -o FILE PARTS",
        made: Some("merged.uf2"),
        files: &["merged.uf2"],
        hashed: &[],
        with: With::Reference,
    },
    Task {
        name: "split-bin",
        line: "split-bin -o pieces merged.bin",
        made: None,
        files: &["merged.bin"],
        hashed: &["app.bin", "app.bin"],
        with: With::Nothing,
    },
    Task {
        name: "partitions of the merged image",
        line: "partitions merged.bin",
        made: None,
        files: &["merged.bin"],
        hashed: &[],
        with: With::Nothing,
    },
];

/// What one command cost.
pub struct Row {
    name: &'static str,
    /// Bytes of the largest file that is read or made.
    file: u64,
    ours: Usage,
    reference: Option<Usage>,
    /// CPU time of ours for SHA-256 alone.
    sha256: Option<Duration>,
}

impl Row {
    /// How many times our CPU time the reference takes.
    fn times(&self) -> Option<f64> {
        let (ours, theirs) = (self.ours.cpu?, self.reference.as_ref()?.cpu?);
        Some(theirs.as_secs_f64() / ours.as_secs_f64())
    }

    /// Memory beyond the size of the file.
    fn beyond(&self) -> Option<u64> {
        Some(self.ours.memory?.saturating_sub(self.file))
    }
}

/// Measures all of them.
pub fn measure(setup: &Setup) -> Result<Vec<Row>> {
    prepare(setup)?;
    let sha256 = sha256_of_a_megabyte();
    TASKS
        .iter()
        .map(|task| task.measure(setup, sha256))
        .collect()
}

/// What the digest costs that both have to make, which is most of what ours does where the processor has
/// no instructions for it.
fn sha256_of_a_megabyte() -> Option<Duration> {
    const TIMES: u32 = 100;
    let contents = Contents::from_bytes("a megabyte", code(MB, 8)).ok()?;
    let spent = own(|| {
        for _ in 0..TIMES {
            let _ = black_box(contents.sha256(0..contents.len()));
        }
    });
    Some(spent? / TIMES)
}

/// The programs, and what is merged beside the large one.
fn prepare(setup: &Setup) -> Result<()> {
    let folder = &setup.folder;
    fs::write(folder.join("bare.elf"), app(10, Descriptor::None).bytes())?;
    fs::write(folder.join("app.elf"), app(10, Descriptor::EspIdf).bytes())?;
    let mut app = app(1, Descriptor::EspIdf);
    // Real ELF files, with their debugging information, are ten times the size of the image or more.
    let debug = elf::Section::new(".debug_info", 0, code(9 * MB, 9));
    app.sections.push(debug);
    fs::write(folder.join("app1.elf"), app.bytes())?;
    fs::write(folder.join("boot.elf"), bootloader().bytes())?;
    fs::write(folder.join("table.csv"), TABLE)?;
    let chip = ["--chip", CHIP.id];
    for line in [
        "elf2image -o boot.bin boot.elf",
        "partitions table.csv -o table.bin",
    ] {
        run(setup.ours(chip.into_iter().chain(line.split(' '))), folder)?;
    }
    Ok(())
}

/// Whether a digest of the ELF file has a place in the image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Descriptor {
    None,
    EspIdf,
}

/// A program with so many MB in mapped flash, of ten parts three for data, and some more in RAM.
fn app(megabytes: usize, descriptor: Descriptor) -> ElfWriter {
    let part = megabytes * MB / 10 / 4 * 4;
    let data = CHIP.drom.start + 0x20;
    let text = CHIP.irom.start + 0x40_0020;
    let mut sections = vec![
        elf::Section::new(".iram0.text", 0x4037_8000, code(100_000, 3)),
        elf::Section::new(".dram0.data", 0x3FC9_8000, code(50_000, 4)),
        elf::Section::new(".flash.rodata", data + 256, code(3 * part, 5)),
        elf::Section::new(".flash.text", text, code(7 * part, 6)),
    ];
    if descriptor == Descriptor::EspIdf {
        let mut bytes = vec![0; 256];
        bytes[..4].copy_from_slice(&0xABCD_5432_u32.to_le_bytes());
        sections.insert(2, elf::Section::new(".flash.appdesc", data, bytes));
    }
    ElfWriter {
        machine: XTENSA,
        entry: 0x4037_8000,
        sections,
    }
}

fn bootloader() -> ElfWriter {
    ElfWriter {
        machine: XTENSA,
        entry: 0x403C_8800,
        sections: vec![elf::Section::new(
            ".iram.text",
            0x403C_8800,
            code(16_000, 7),
        )],
    }
}

impl Task {
    fn measure(&self, setup: &Setup, sha256: Option<Duration>) -> Result<Row> {
        let folder = &setup.folder;
        let ours = || self.command(Command::new(&setup.guru), "ours", folder);
        let theirs = || self.command(setup.reference([""; 0]), "theirs", folder);
        let (ours, reference) = match self.with {
            With::Reference => {
                let [ours, theirs] = usages([&ours, &theirs], folder)?;
                (ours, Some(theirs))
            }
            With::Nothing => {
                let [ours] = usages([&ours], folder)?;
                (ours, None)
            }
        };
        if let Some(name) = self.made {
            if fs::read(folder.join("ours"))? != fs::read(folder.join("theirs"))? {
                return Err(format!("{}: not the same file", self.name).into());
            }
            fs::rename(folder.join("ours"), folder.join(name))?;
        }
        let sizes = |files: &[&str]| -> Result<Vec<u64>> {
            let sizes = files.iter().map(|file| fs::metadata(folder.join(file)));
            sizes.map(|file| Ok(file?.len())).collect()
        };
        let hashed: u64 = sizes(self.hashed)?.iter().sum();
        Ok(Row {
            name: self.name,
            file: sizes(self.files)?.into_iter().max().unwrap_or(0),
            ours,
            reference,
            sha256: sha256.map(|one| one.mul_f64(hashed as f64 / MB as f64)),
        })
    }

    /// The command line for a program, which makes a file of this name.
    fn command(&self, mut program: Command, file: &str, folder: &Path) -> Command {
        // It makes no folder over one that is there.
        let _ = fs::remove_dir_all(folder.join("pieces"));
        let line = self.line.replace("PARTS", PARTS).replace("FILE", file);
        program.args(["--chip", CHIP.id]).args(line.split(' '));
        program
    }
}

/// What was aimed at, what was found, and whether that is enough.
fn aims(rows: &[Row]) -> Vec<Aim> {
    let faster = |name: &str, aim: f64| {
        let row = rows.iter().find(|row| row.name == name);
        let times = row.and_then(Row::times);
        (
            format!("{name}: {aim:.0} times less CPU time"),
            match (times, row) {
                (Some(times), Some(row)) => format!(
                    "{times:.1} times; SHA-256 is {} of {} of ours",
                    ms(row.sha256),
                    ms(row.ours.cpu)
                ),
                _ => "unknown".to_owned(),
            },
            times.is_some_and(|times| times >= aim),
        )
    };
    let beyond: Option<Vec<_>> = rows.iter().map(Row::beyond).collect();
    let beyond = beyond.and_then(|beyond| beyond.into_iter().max());
    vec![
        faster("elf2image, 10 MB", ELF2IMAGE),
        faster("image-info, 1 MB", IMAGE_INFO),
        (
            "images: memory under the file's size plus 10 MB".to_owned(),
            format!("at most {} beyond it", mb(beyond)),
            beyond.is_some_and(|beyond| beyond < MEMORY),
        ),
    ]
}

/// The aims and the table.
pub fn section(rows: &[Row]) -> Section {
    let mut text = format!(
        "\n## Images and tables\n\n\
         Of made-up programs for the {}: ELF files of 10 MB, of which one is debugging information to nine tenths, the\n\
         images of these, and the one of 10 MB merged with a bootloader and a partition table. CPU time, user and system,\n\
         the mean of many runs in turns, which depends on this machine, and what of ours SHA-256 alone takes here\n\
         ({}); most memory that was resident. Where both make a file, it is the same to the byte. A descriptor, as programs of ESP-IDF have it, takes in\n\
         the digest of the whole ELF file, which costs both the same where the processor has no instructions for it.\n\n\
         | command | largest file | CPU time | of it SHA-256 | esptool | times | memory | esptool |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
        CHIP.name,
        match has_sha_instructions() {
            true => "by the processor's instructions for it",
            false => "a processor without instructions for it",
        }
    );
    for row in rows {
        let theirs = row.reference.as_ref();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            mb(Some(row.file)),
            ms(row.ours.cpu),
            ms(row.sha256.filter(|time| !time.is_zero())),
            ms(theirs.and_then(|usage| usage.cpu)),
            row.times()
                .map_or_else(String::new, |times| format!("{times:.1}")),
            mb(row.ours.memory),
            theirs.map_or_else(String::new, |usage| mb(usage.memory)),
        );
    }
    Section {
        aims: aims(rows),
        text,
    }
}

fn ms(time: Option<Duration>) -> String {
    time.map_or_else(String::new, |time| {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    })
}

/// Whether the processor computes SHA-256 itself, as far as the system says so (Linux).
fn has_sha_instructions() -> bool {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    told.split_whitespace()
        .any(|word| matches!(word, "sha_ni" | "sha2"))
}
