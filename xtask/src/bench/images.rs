//! Commands on files alone, ours and the reference's on the same files: CPU time and memory.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use guru_chip::{Chip, ESP32S3};
use guru_testkit::code;
use guru_testkit::elf::{ElfWriter, Section, XTENSA};

use super::process::{Usage, run, usage};
use super::report::mb;
use super::{Aim, MB, Setup};
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
    with: With,
}

/// Beside what ours is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    Reference,
    /// It has no such command.
    Nothing,
}

const TASKS: [Task; 7] = [
    Task {
        name: "elf2image",
        line: "elf2image -o FILE app.elf",
        made: Some("app.bin"),
        files: &["app.elf", "app.bin"],
        with: With::Reference,
    },
    Task {
        name: "image-info",
        line: "image-info app.bin",
        made: None,
        files: &["app.bin"],
        with: With::Reference,
    },
    Task {
        name: "merge-bin, raw",
        line: "merge-bin -f raw -o FILE PARTS",
        made: Some("merged.bin"),
        files: &["merged.bin"],
        with: With::Reference,
    },
    Task {
        name: "merge-bin, Intel HEX",
        line: "merge-bin -f hex -o FILE PARTS",
        made: Some("merged.hex"),
        files: &["merged.hex"],
        with: With::Reference,
    },
    Task {
        name: "merge-bin, UF2",
        line: "merge-bin -f uf2 -o FILE PARTS",
        made: Some("merged.uf2"),
        files: &["merged.uf2"],
        with: With::Reference,
    },
    Task {
        name: "split-bin",
        line: "split-bin -o pieces merged.bin",
        made: None,
        files: &["merged.bin"],
        with: With::Nothing,
    },
    Task {
        name: "partitions of the merged image",
        line: "partitions merged.bin",
        made: None,
        files: &["merged.bin"],
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
    TASKS.iter().map(|task| task.measure(setup)).collect()
}

/// The programs, and what is merged beside the large one.
fn prepare(setup: &Setup) -> Result<()> {
    let folder = &setup.folder;
    fs::write(folder.join("app.elf"), app().bytes())?;
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

/// 10 MB in mapped flash and RAM, with a descriptor, so that a digest of the ELF file goes in.
fn app() -> ElfWriter {
    let mut descriptor = vec![0; 256];
    descriptor[..4].copy_from_slice(&0xABCD_5432_u32.to_le_bytes());
    let data = CHIP.drom.start + 0x20;
    let text = CHIP.irom.start + 0x40_0020;
    ElfWriter {
        machine: XTENSA,
        entry: 0x4037_8000,
        sections: vec![
            Section::new(".iram0.text", 0x4037_8000, code(100_000, 3)),
            Section::new(".dram0.data", 0x3FC9_8000, code(50_000, 4)),
            Section::new(".flash.appdesc", data, descriptor),
            Section::new(".flash.rodata", data + 256, code(3 * MB, 5)),
            Section::new(".flash.text", text, code(7 * MB, 6)),
        ],
    }
}

fn bootloader() -> ElfWriter {
    ElfWriter {
        machine: XTENSA,
        entry: 0x403C_8800,
        sections: vec![Section::new(".iram.text", 0x403C_8800, code(16_000, 7))],
    }
}

impl Task {
    fn measure(&self, setup: &Setup) -> Result<Row> {
        let folder = &setup.folder;
        let ours = usage(
            || self.command(Command::new(&setup.guru), "ours", folder),
            folder,
        )?;
        let reference = match self.with {
            With::Reference => {
                let empty: [&str; 0] = [];
                let program = || setup.reference(empty);
                Some(usage(|| self.command(program(), "theirs", folder), folder)?)
            }
            With::Nothing => None,
        };
        if let Some(name) = self.made {
            if fs::read(folder.join("ours"))? != fs::read(folder.join("theirs"))? {
                return Err(format!("{}: not the same file", self.name).into());
            }
            fs::rename(folder.join("ours"), folder.join(name))?;
        }
        let sizes = self
            .files
            .iter()
            .map(|file| fs::metadata(folder.join(file)));
        let sizes: Vec<_> = sizes.map(|file| Ok(file?.len())).collect::<Result<_>>()?;
        Ok(Row {
            name: self.name,
            file: sizes.into_iter().max().unwrap_or(0),
            ours,
            reference,
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
pub fn aims(rows: &[Row]) -> Vec<Aim> {
    let faster = |name: &str, aim: f64| {
        let row = rows.iter().find(|row| row.name == name);
        let times = row.and_then(Row::times);
        (
            format!("`{name}` of 10 MB: {aim:.0} times less CPU time"),
            times.map_or_else(|| "unknown".to_owned(), |times| format!("{times:.0} times")),
            times.is_some_and(|times| times >= aim),
        )
    };
    let beyond: Option<Vec<_>> = rows.iter().map(Row::beyond).collect();
    let beyond = beyond.and_then(|beyond| beyond.into_iter().max());
    vec![
        faster("elf2image", ELF2IMAGE),
        faster("image-info", IMAGE_INFO),
        (
            "images: memory under the file's size plus 10 MB".to_owned(),
            format!("at most {} beyond it", mb(beyond)),
            beyond.is_some_and(|beyond| beyond < MEMORY),
        ),
    ]
}

/// The table.
pub fn section(rows: &[Row]) -> String {
    let mut text = format!(
        "\n## Images and tables\n\n\
         Of a program of 10 MB for the {}, made up: its ELF file, the image of that, and this merged with a\n\
         bootloader and a partition table. CPU time, user and system, the mean of many runs, which depends on\n\
         this machine; most memory that was resident. Where both make a file, it is the same to the byte.\n\n\
         | command | largest file | CPU time | esptool | times | memory | esptool |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
        CHIP.name
    );
    for row in rows {
        let cpu = |usage: Option<&Usage>| {
            let cpu = usage.and_then(|usage| usage.cpu);
            cpu.map_or_else(String::new, |cpu| {
                format!("{:.1} ms", cpu.as_secs_f64() * 1000.0)
            })
        };
        let theirs = row.reference.as_ref();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            mb(Some(row.file)),
            cpu(Some(&row.ours)),
            cpu(theirs),
            row.times()
                .map_or_else(String::new, |times| format!("{times:.0}")),
            mb(row.ours.memory),
            theirs.map_or_else(String::new, |usage| mb(usage.memory)),
        );
    }
    text
}
