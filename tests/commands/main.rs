//! Every command on every chip, as a user starts it, on a simulated chip in virtual time: it ends
//! well, and the flash holds what it should. Where a chip has nothing of the kind, it is refused.

#[path = "../peer/process.rs"]
mod process;

mod crash;
mod flash;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use guru_chip::{CHIPS, Chip};
use guru_store::{OtaState, Parsed, Rules, SelectEntry};
use guru_testkit::{first_difference, noise};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::process::{Outcome, run};

const GURU: &str = env!("CARGO_BIN_EXE_guru");
/// Where a certificate and the digest of its signer's key are.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/certificate.in");
/// Bytes of flash.
const SIZE: usize = 1 << 20;
/// Where the file is, or goes.
const AT: usize = 0x1_1000;
/// Bytes of the file: five sectors and a bit.
const LENGTH: usize = 22_002;

/// Exit code of what a chip does not have (docs/exit-codes.md).
const FORBIDDEN: i32 = 4;

/// A command and what it is to do to the flash.
#[derive(Clone, Copy)]
struct Job {
    name: &'static str,
    /// The command first; `RAM` is an address of free memory.
    args: &'static [&'static str],
    /// More options of the simulated chip.
    board: &'static str,
    /// Whether the file is in flash before.
    placed: bool,
    /// Whether a partition table and otadata are there.
    layout: bool,
    /// Changes the flash as the command should.
    effect: fn(&mut [u8]),
    /// What standard output must hold.
    says: &'static str,
    /// Whether the chip has such a thing.
    has: fn(&Chip) -> bool,
}

/// A command that changes nothing and that every chip has.
const LOOK: Job = Job {
    name: "",
    args: &[],
    board: "",
    placed: false,
    layout: false,
    effect: |_| {},
    says: "",
    has: |_| true,
};

/// Commands that need no chip.
const WITHOUT_A_CHIP: &[&str] = &[
    "ports",
    "sim",
    "version",
    "config",
    "completions",
    "man",
    "elf2image",
    "image-info",
    "merge-bin",
    "split-bin",
    "size",
    "explain",
];

const JOBS: &[Job] = &[
    Job {
        name: "write-flash",
        args: &["write-flash", "0x11000", "app.bin", "--verify"],
        effect: write,
        says: "verified",
        ..LOOK
    },
    Job {
        name: "write-flash raw",
        args: &["write-flash", "--no-compress", "0x11000", "app.bin"],
        effect: write,
        says: "wrote",
        ..LOOK
    },
    Job {
        name: "write-flash of what is there",
        args: &["write-flash", "0x11000", "app.bin"],
        placed: true,
        effect: write,
        says: "app.bin",
        ..LOOK
    },
    Job {
        name: "write-flash after erasing all",
        args: &["write-flash", "--erase-all", "0x11000", "app.bin"],
        effect: |flash| {
            flash.fill(0xFF);
            write(flash);
        },
        says: "wrote",
        ..LOOK
    },
    Job {
        name: "verify-flash",
        args: &["verify-flash", "0x11000", "app.bin"],
        placed: true,
        says: "app.bin",
        ..LOOK
    },
    Job {
        name: "read-flash",
        args: &["read-flash", "0x11000", "1001", "read.bin"],
        placed: true,
        says: "read.bin",
        ..LOOK
    },
    Job {
        name: "erase-region",
        args: &["erase-region", "0x12000", "0x3000"],
        effect: |flash| flash[0x1_2000..0x1_5000].fill(0xFF),
        says: "erased",
        ..LOOK
    },
    Job {
        name: "erase-flash",
        args: &["erase-flash"],
        effect: |flash| flash.fill(0xFF),
        says: "erased",
        ..LOOK
    },
    Job {
        name: "write-flash by name",
        args: &["write-flash", "storage", "app.bin"],
        layout: true,
        effect: write,
        says: "verified",
        ..LOOK
    },
    Job {
        name: "verify-flash by name",
        args: &["verify-flash", "storage", "app.bin"],
        layout: true,
        placed: true,
        says: "app.bin",
        ..LOOK
    },
    Job {
        name: "read-flash by name",
        args: &["read-flash", "storage:1001", "read.bin"],
        layout: true,
        placed: true,
        says: "read.bin",
        ..LOOK
    },
    Job {
        name: "erase-region by name",
        args: &["erase-region", "storage+0x1000:0x3000"],
        layout: true,
        effect: |flash| flash[0x1_2000..0x1_5000].fill(0xFF),
        says: "erased",
        ..LOOK
    },
    Job {
        name: "partitions",
        args: &["partitions"],
        layout: true,
        says: "storage",
        ..LOOK
    },
    Job {
        name: "ota show",
        args: &["ota", "show"],
        layout: true,
        says: "Next     a at 0x20000",
        ..LOOK
    },
    Job {
        name: "ota select",
        args: &["ota", "select", "ota_1", "--force"],
        layout: true,
        effect: |flash| {
            flash[0xD000..0xE000].fill(0xFF);
            flash[0xD000..0xD020].copy_from_slice(&choice(2));
        },
        says: "Next     b at 0x30000",
        ..LOOK
    },
    Job {
        name: "ota erase",
        args: &["ota", "erase"],
        layout: true,
        effect: |flash| flash[0xC000..0xE000].fill(0xFF),
        says: "no entry chooses anything",
        ..LOOK
    },
    Job {
        name: "flash-id",
        args: &["flash-id"],
        says: "1MB",
        ..LOOK
    },
    Job {
        name: "read-mac",
        args: &["read-mac"],
        says: "7c:df:a1:00:00:01",
        ..LOOK
    },
    Job {
        name: "chip-id",
        args: &["chip-id"],
        ..LOOK
    },
    Job {
        name: "read-flash-status",
        args: &["read-flash-status", "--bytes", "2"],
        board: "&status=0x0204",
        says: "0x0204",
        ..LOOK
    },
    Job {
        name: "write-flash-status",
        args: &["write-flash-status", "0x0200", "--non-volatile", "--yes"],
        says: "took it",
        ..LOOK
    },
    Job {
        name: "read-flash-sfdp",
        args: &["read-flash-sfdp", "0x0", "16"],
        says: "53 46 44 50",
        ..LOOK
    },
    Job {
        name: "read-flash-sfdp decoded",
        args: &["read-flash-sfdp", "--decode"],
        says: "1048576 bytes",
        ..LOOK
    },
    Job {
        name: "get-security-info",
        args: &["get-security-info"],
        says: "Secure boot",
        has: |chip| !chip.security.secure_boot.is_empty(),
        ..LOOK
    },
    Job {
        name: "read-sdc-chip-info",
        args: &["read-sdc-chip-info", "-o", "info.bin"],
        board: "&set.RMA_ENA=1",
        says: "Nonce",
        has: |chip| chip.efuse.certificate.is_some(),
        ..LOOK
    },
    Job {
        name: "verify-sdc-certificate",
        args: &["verify-sdc-certificate", "sdc_cert.bin"],
        board: "&set.RMA_ENA=1&set.DIS_DOWNLOAD_MODE=1&set.KEY_PURPOSE_0=19&set.KEY0=@sdc_key.bin",
        says: "taken",
        has: |chip| chip.efuse.certificate.is_some(),
        ..LOOK
    },
    Job {
        name: "read-mem",
        args: &["read-mem", "RAM"],
        says: " = 0x00000000",
        ..LOOK
    },
    Job {
        name: "write-mem",
        args: &["write-mem", "RAM", "0x12345678", "0xffff"],
        says: "0x00000000 -> 0x00005678",
        ..LOOK
    },
    Job {
        name: "dump-mem",
        args: &["dump-mem", "RAM", "0x100", "ram.bin"],
        says: "ram.bin",
        ..LOOK
    },
    Job {
        name: "load-ram",
        args: &["load-ram", "ram.hex", "--entry", "RAM"],
        says: "The program runs",
        ..LOOK
    },
    Job {
        name: "run",
        args: &["run"],
        says: "The program runs",
        ..LOOK
    },
    Job {
        name: "reset",
        args: &["reset"],
        says: "application runs",
        ..LOOK
    },
    Job {
        name: "reset into the loader",
        args: &["reset", "--into", "download"],
        says: "loader",
        ..LOOK
    },
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let on_chips = CHIPS.iter().flat_map(|chip| {
        JOBS.iter().map(move |job| {
            let name = format!("{} on {}", job.name, chip.id);
            Trial::test(name, move || try_on(chip, job))
        })
    });
    let mut trials: Vec<Trial> = on_chips.collect();
    trials.extend(CHIPS.iter().map(|chip| {
        let name = format!("flash of a program on {}", chip.id);
        Trial::test(name, move || flash::a_program(chip))
    }));
    trials.extend(CHIPS.iter().filter_map(|chip| {
        let (program, elf) = crash::example(chip)?;
        let name = format!("a crash is explained on {}", chip.id);
        Some(Trial::test(name, move || {
            crash::is_explained(chip, &program, &elf)
        }))
    }));
    trials.push(Trial::test(
        "flash brings otadata to start what was flashed",
        flash::a_slot,
    ));
    trials.push(Trial::test("no command is left out", none_left_out));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The program's own list of commands, held against the table.
fn none_left_out() -> Result<(), Failed> {
    let outcome = run(GURU, ["--help"], &folder("help")?)?.success()?;
    let behind = outcome
        .stdout
        .split_once("\nCommands:\n")
        .ok_or("no list")?
        .1;
    let list = behind.split("\n\n").next().unwrap_or_default();
    let names: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    if names.len() < 20 {
        return Err(format!("{names:?} is not the list").into());
    }
    let tried = |name: &str| {
        WITHOUT_A_CHIP.contains(&name)
            || name == "flash"
            || JOBS.iter().any(|job| job.args[0] == name)
    };
    match names.iter().find(|name| !tried(name)) {
        Some(name) => Err(format!("nothing tries '{name}' on the chips").into()),
        None => Ok(()),
    }
}

fn try_on(chip: &Chip, job: &Job) -> Result<(), Failed> {
    let folder = folder(&format!("{}-{}", job.name, chip.id))?;
    let app = noise(LENGTH, 1);
    fs::write(folder.join("app.bin"), &app)?;
    let mut expected = noise(SIZE, 2);
    if job.placed {
        write(&mut expected);
    }
    if job.layout {
        lay_out(&mut expected)?;
    }
    fs::write(folder.join("flash.bin"), &expected)?;
    (job.effect)(&mut expected);

    let ram = free_ram(chip)?;
    fs::write(folder.join("ram.hex"), hex(ram))?;
    for name in ["sdc_cert.bin", "sdc_key.bin"] {
        fs::copy(Path::new(CERTIFICATES).join(name), folder.join(name))?;
    }
    let has = (job.has)(chip);
    // A board cannot be what its chip does not have.
    let board = if has { job.board } else { "" };
    let port = format!("sim://{}?flash=flash.bin{board}", chip.id);
    let ram = format!("{ram:#x}");
    let args = ["--port", &port]
        .into_iter()
        .chain(job.args.iter().map(|arg| match *arg {
            "RAM" => ram.as_str(),
            arg => arg,
        }));
    let outcome: Outcome = run(GURU, args, &folder)?;
    if !has {
        return match outcome.code {
            Some(FORBIDDEN) => Ok(()),
            _ => Err(format!("{} has no such thing\n{outcome}", chip.name).into()),
        };
    }
    let outcome = outcome.success()?;
    if !outcome.stdout.contains(job.says) {
        return Err(format!("'{}' is not said\n{outcome}", job.says).into());
    }
    let found = fs::read(folder.join("flash.bin"))?;
    if let Some(at) = first_difference(&found, &expected) {
        let (found, expected) = (found[at], expected[at]);
        return Err(
            format!("{found:#04x} at {at:#x}, and {expected:#04x} is right\n{outcome}").into(),
        );
    }
    if job.args[0] == "read-flash" && fs::read(folder.join("read.bin"))? != app[..1001] {
        return Err(format!("wrong bytes were read\n{outcome}").into());
    }
    Ok(())
}

/// The file in flash, and the rest of its last sector erased.
fn write(flash: &mut [u8]) {
    let end = AT + LENGTH;
    flash[end..end.next_multiple_of(4096)].fill(0xFF);
    flash[AT..end].copy_from_slice(&noise(LENGTH, 1));
}

/// A partition table, and otadata that choose the first of two slots.
fn lay_out(flash: &mut [u8]) -> Result<(), Failed> {
    let csv = "nvs, data, nvs, , 0x3000\notadata, data, ota, , 0x2000\n\
               storage, data, fat, 0x11000, 0x6000\na, app, ota_0, , 64K\nb, app, ota_1, , 64K";
    let parsed = Parsed::from_csv(csv, &Rules::default(), &|_| None)?;
    let table = parsed.table.to_binary()?;
    flash[0x8000..0x8000 + table.len()].copy_from_slice(&table);
    flash[0xC000..0xE000].fill(0xFF);
    flash[0xC000..0xC020].copy_from_slice(&choice(1));
    Ok(())
}

/// An entry of otadata.
fn choice(sequence: u32) -> [u8; 32] {
    SelectEntry::new(sequence, OtaState::Undefined).to_bytes()
}

/// Instruction RAM behind what the loaders use.
fn free_ram(chip: &Chip) -> Result<u32, Failed> {
    let iram = chip.memory.iter().find(|range| range.name == "IRAM");
    let iram = iram.ok_or_else(|| format!("{} has no IRAM", chip.name))?;
    Ok(iram.range.start + 0x4000)
}

/// Four bytes at an address, as Intel HEX.
fn hex(address: u32) -> String {
    let record = |bytes: &[u8]| {
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let mut line = String::from(":");
        for byte in bytes.iter().chain([&sum.wrapping_neg()]) {
            line.push_str(&format!("{byte:02X}"));
        }
        line + "\n"
    };
    let [first, second, third, fourth] = address.to_be_bytes();
    record(&[2, 0, 0, 4, first, second])
        + &record(&[4, third, fourth, 0, 1, 2, 3, 4])
        + &record(&[0, 0, 0, 1])
}

/// An empty folder for a trial.
fn folder(name: &str) -> Result<PathBuf, Failed> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("commands")
        .join(name.replace(' ', "-"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
