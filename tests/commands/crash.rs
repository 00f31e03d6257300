//! From a program that crashes to why it did: `load-ram` shows what it prints and sends it a letter,
//! `explain` reads that.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use guru_chip::Chip;
use libtest_mimic::Failed;

use crate::process::{Environment, Outcome, run_with};
use crate::{GURU, folder};

/// A letter of the menu, and what an explanation of it says on every chip.
const FAULTS: [(&str, &[&str]); 2] = [
    (
        "b",
        &[
            "What happened",
            "36 bytes behind null",
            "sensor_convert at ",
            "src/sensor.c:47",
            "fault_null_member at ",
        ],
    ),
    (
        "l",
        &[
            "channel < MAX_CHANNELS",
            "config_channel at ",
            "src/config.c:31",
            "fault_assert at ",
        ],
    ),
];

/// The example's program for a chip: its image, with the digest of the ELF file, and that file.
pub fn example(chip: &Chip) -> Option<(PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/crash");
    let elf = folder.join(format!("{}.elf", chip.id));
    let image = folder.join(format!("{}.bin", chip.id));
    // The ESP8266's has none.
    let program = if image.exists() { image } else { elf.clone() };
    elf.exists().then_some((program, elf))
}

pub fn is_explained(chip: &Chip, program: &Path, elf: &Path) -> Result<(), Failed> {
    let folder = folder(&format!("crash-{}", chip.id))?;
    let port = format!("sim://{}", chip.id);
    for (letter, parts) in FAULTS {
        fs::write(folder.join("letter"), letter)?;
        let load = [
            "load-ram",
            "--port",
            &port,
            "--monitor-until",
            // The ESP8266's report has no last line.
            if chip.id == "esp8266" {
                "<<<stack<<<"
            } else {
                "Rebooting..."
            },
        ];
        let load = load.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
        let log = fed(load, &folder, "letter")?;
        fs::write(folder.join("crash.log"), &log.stdout)?;
        let explain = ["explain", "-", "--elf"].map(AsRef::as_ref);
        let explained = fed(
            explain.into_iter().chain([elf.as_os_str()]),
            &folder,
            "crash.log",
        )?;
        if let Some(part) = parts.iter().find(|part| !explained.stdout.contains(**part)) {
            return Err(format!("'{part}' is not said\n{explained}\nof\n{log}").into());
        }
    }
    Ok(())
}

fn fed<'a>(
    args: impl Iterator<Item = &'a std::ffi::OsStr>,
    folder: &Path,
    input: &str,
) -> Result<Outcome, Failed> {
    let input = File::open(folder.join(input))?;
    run_with(GURU, args, folder, &Environment::new(), input.into())?.success()
}
