//! `flash` with programs that other compilers have linked, and bootloaders of ESP-IDF.

use std::env;
use std::fs;
use std::path::PathBuf;

use libtest_mimic::{Completion, Failed};

use crate::process::run;
use crate::{Folder, TWO};

const GURU: &str = env!("CARGO_BIN_EXE_guru");

/// Real programs without a build folder: the simulated ROM starts what was written, and the second
/// time there is nothing to write. Two chips, since stubs are executed.
pub fn real() -> Result<Completion, Failed> {
    let Some(testdata) = env::var_os("GURU_TESTDATA").map(PathBuf::from) else {
        return Ok(Completion::ignored_with("GURU_TESTDATA is not set"));
    };
    for chip in TWO {
        let folder = Folder::new(&format!("flash-real-{chip}"))?;
        let elf = testdata.join("elf").join(format!("{chip}.elf"));
        fs::copy(elf, folder.join("app.elf"))?;
        let bootloader = testdata
            .join("firmware")
            .join(format!("bootloader-{chip}.bin"));
        fs::copy(bootloader, folder.join("boot.bin"))?;
        let port = format!("sim://{chip}?flash=flash.bin&says=ready");
        let line = [
            "--port",
            &port,
            "flash",
            "app.elf",
            "--bootloader",
            "boot.bin",
        ];
        let until = ["--monitor-until", "ready", "--monitor-for", "5"];
        let first = run(GURU, line.iter().chain(&until), &folder)?.success()?;
        if !first.stderr.contains("Wrote ") {
            return Err(format!("{chip}: it does not say what it wrote\n{first}").into());
        }
        let second = run(GURU, line, &folder)?.success()?;
        if !second.stdout.contains("Wrote 0 of") {
            return Err(format!("{chip}: it writes what is there\n{second}").into());
        }
    }
    Ok(Completion::Completed)
}
