//! Every command on every chip, as a user starts it, on a simulated chip in virtual time: it ends
//! well, and the flash holds what it should.

#[path = "../peer/process.rs"]
mod process;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use guru_chip::{CHIPS, Chip};
use guru_testkit::{first_difference, noise};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::process::{Outcome, run};

/// Bytes of flash.
const SIZE: usize = 1 << 20;
/// Where the file is, or goes.
const AT: usize = 0x1_1000;
/// Bytes of the file: five sectors and a bit.
const LENGTH: usize = 22_002;

/// A command and what it is to do to the flash.
struct Job {
    name: &'static str,
    args: &'static [&'static str],
    /// Whether the file is in flash before.
    placed: bool,
    /// Changes the flash as the command should.
    effect: fn(&mut [u8]),
    /// What standard output must hold.
    says: &'static str,
}

const JOBS: &[Job] = &[
    Job {
        name: "write-flash",
        args: &["write-flash", "0x11000", "app.bin", "--verify"],
        placed: false,
        effect: write,
        says: "verified",
    },
    Job {
        name: "write-flash raw",
        args: &["write-flash", "--no-compress", "0x11000", "app.bin"],
        placed: false,
        effect: write,
        says: "wrote",
    },
    Job {
        name: "write-flash of what is there",
        args: &["write-flash", "0x11000", "app.bin"],
        placed: true,
        effect: write,
        says: "app.bin",
    },
    Job {
        name: "write-flash after erasing all",
        args: &["write-flash", "--erase-all", "0x11000", "app.bin"],
        placed: false,
        effect: |flash| {
            flash.fill(0xFF);
            write(flash);
        },
        says: "wrote",
    },
    Job {
        name: "verify-flash",
        args: &["verify-flash", "0x11000", "app.bin"],
        placed: true,
        effect: |_| {},
        says: "app.bin",
    },
    Job {
        name: "read-flash",
        args: &["read-flash", "0x11000", "1001", "read.bin"],
        placed: true,
        effect: |_| {},
        says: "read.bin",
    },
    Job {
        name: "erase-region",
        args: &["erase-region", "0x12000", "0x3000"],
        placed: false,
        effect: |flash| flash[0x1_2000..0x1_5000].fill(0xFF),
        says: "erased",
    },
    Job {
        name: "erase-flash",
        args: &["erase-flash"],
        placed: false,
        effect: |flash| flash.fill(0xFF),
        says: "erased",
    },
    Job {
        name: "flash-id",
        args: &["flash-id"],
        placed: false,
        effect: |_| {},
        says: "1MB",
    },
    Job {
        name: "read-mac",
        args: &["read-mac"],
        placed: false,
        effect: |_| {},
        says: "7c:df:a1:00:00:01",
    },
    Job {
        name: "chip-id",
        args: &["chip-id"],
        placed: false,
        effect: |_| {},
        says: "",
    },
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = CHIPS.iter().flat_map(|chip| {
        JOBS.iter().map(move |job| {
            let name = format!("{} on {}", job.name, chip.id);
            Trial::test(name, move || try_on(chip, job))
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn try_on(chip: &Chip, job: &Job) -> Result<(), Failed> {
    let folder = folder(&format!("{}-{}", job.name, chip.id))?;
    let app = noise(LENGTH, 1);
    fs::write(folder.join("app.bin"), &app)?;
    let mut expected = noise(SIZE, 2);
    if job.placed {
        write(&mut expected);
    }
    fs::write(folder.join("flash.bin"), &expected)?;
    (job.effect)(&mut expected);

    let port = format!("sim://{}?flash=flash.bin", chip.id);
    let args = ["--port", &port]
        .into_iter()
        .chain(job.args.iter().copied());
    let outcome: Outcome = run(env!("CARGO_BIN_EXE_guru"), args, &folder)?.success()?;
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
    if job.name == "read-flash" && fs::read(folder.join("read.bin"))? != app[..1001] {
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
