//! `split-bin` of what the reference and others have merged gives back the parts, and merging these
//! gives back the whole.

use std::path::{Path, PathBuf};
use std::{env, fs};

use guru_chip::CHIPS;
use guru_testkit::noise;
use libtest_mimic::Failed;

use crate::Folder;
use crate::case::same_bytes;
use crate::clients::Reference;
use crate::images::{ask, image};
use crate::process::run;

const TABLE: &str = "nvs, data, nvs, , 0x6000\nphy_init, data, phy, , 0x1000\n\
                     factory, app, factory, , 128K\nstorage, data, fat, , 8K\n";

/// A file that comes out, and one that it must equal.
type Part<'a> = (&'a str, &'a str);

/// Merged images among the real firmware, the offset they are for, and parts that are there as well.
const REAL: [(&str, u32, &[Part]); 4] = [
    (
        "merged-esp32c3-4mb.bin",
        0,
        &[
            ("partition-table.bin", "partition-table-4mb.bin"),
            ("factory.bin", "app-esp32c3-test_core_dump-idf5.3.bin"),
        ],
    ),
    (
        "merged-esp32c3-oversized-table.bin",
        0,
        &[
            ("partition-table.bin", "partition-table-oversized.bin"),
            ("factory.bin", "app-esp32c3-test_core_dump-idf5.3.bin"),
        ],
    ),
    ("ESP32_GENERIC-20240105-v1.22.1.bin", 0x1000, &[]),
    ("ESP32_GENERIC-20240602-v1.23.0.bin", 0x1000, &[]),
];

/// Images that the reference has merged for every chip.
pub fn of_the_reference(reference: &Reference) -> Result<(), Failed> {
    let folder = Folder::new("split-bin")?;
    fs::write(folder.join("table.csv"), TABLE)?;
    fs::write(folder.join("data.bin"), noise(0x2000, 1))?;
    guru("partitions table.csv --output table.bin", &folder)?;
    let mut commands = Vec::new();
    for chip in CHIPS {
        let (id, boot) = (chip.id, chip.image.bootloader_offset);
        fs::write(folder.join(format!("{id}.bin")), image(chip))?;
        commands.push(format!(
            "--chip {id} merge-bin -o {id}.merged {boot:#x} {id}.bin 0x8000 table.bin 0x10000 {id}.bin \
             0x30000 data.bin"
        ));
    }
    if let Some(at) = ask(reference, &folder, &commands)?
        .iter()
        .position(|answer| answer.code != 0)
    {
        return Err(format!("refused: {}", commands[at]).into());
    }
    for chip in CHIPS {
        let merged = folder.join(format!("{}.merged", chip.id));
        let own = format!("{}.bin", chip.id);
        let parts = [
            ("bootloader.bin", own.as_str()),
            ("partition-table.bin", "table.bin"),
            ("factory.bin", &own),
            ("storage.bin", "data.bin"),
        ];
        comes_apart(&merged, 0, &folder, &parts, &folder)?;
    }
    Ok(())
}

/// Real merged images in `GURU_TESTDATA`.
pub fn real(_: &Reference) -> Result<(), Failed> {
    let Some(testdata) = env::var_os("GURU_TESTDATA") else {
        return Ok(());
    };
    let firmware = PathBuf::from(testdata).join("firmware");
    let folder = Folder::new("split-bin real")?;
    for (name, base, parts) in REAL {
        comes_apart(&firmware.join(name), base, &firmware, parts, &folder)?;
    }
    Ok(())
}

/// Takes a merged file apart and puts it together again. What the `parts` must equal is in `originals`.
fn comes_apart(
    merged: &Path,
    base: u32,
    originals: &Path,
    parts: &[Part],
    folder: &Path,
) -> Result<(), Failed> {
    let name = merged.display();
    let stem = merged.file_stem().unwrap_or_default().to_string_lossy();
    let place = format!("{stem}.parts");
    guru(&format!("split-bin --output {place} {name}"), folder)?;
    let place = folder.join(place);
    for (ours, original) in parts {
        let what = format!("{ours} of {name}");
        let original = fs::read(originals.join(original))?;
        same_bytes(&what, &fs::read(place.join(ours))?, &original)?;
    }
    let line = format!("merge-bin --target-offset {base:#x} --output again.bin @flash_args");
    guru(&line, &place)?;
    // What is blank at the end is in no part.
    let (again, whole) = (fs::read(place.join("again.bin"))?, fs::read(merged)?);
    let (there, behind) = whole.split_at(again.len().min(whole.len()));
    same_bytes(&format!("the parts of {name}"), &again, there)?;
    match behind.iter().all(|byte| *byte == 0xFF) {
        true => Ok(()),
        false => Err(format!("{name}: the end is in no part").into()),
    }
}

/// Runs a command line of ours, which must end well.
fn guru(line: &str, folder: &Path) -> Result<(), Failed> {
    let program = env!("CARGO_BIN_EXE_guru");
    let outcome = run(program, line.split(' '), folder)?;
    match outcome.code {
        Some(0) => Ok(()),
        _ => Err(format!("{line}\n{outcome}").into()),
    }
}
