//! `flash`: what it writes is what the simulated ROM starts, and the second time there is nothing to
//! write.

use std::fs;
use std::path::Path;

use guru_chip::{Chip, by_id};
use guru_image::{BuildOptions, Contents, Elf, ImageInfo, build};
use guru_store::{MAX_LEN, Parsed};
use guru_testkit::elf::ElfWriter;
use guru_testkit::noise;
use libtest_mimic::Failed;

use crate::process::{Outcome, run};
use crate::{GURU, SIZE, folder};

/// What the application of the simulated chip says when the ROM has started it.
const SAYS: &str = "ready";

/// A program with a bootloader, in a flash full of something else.
pub fn a_program(chip: &'static Chip) -> Result<(), Failed> {
    let folder = folder(&format!("flash-{}", chip.id))?;
    fs::write(folder.join("flash.bin"), noise(SIZE, 2))?;
    let with_bootloader = prepare(chip, &folder)?;
    let mut args = vec!["flash", "blink.elf"];
    if with_bootloader {
        args.extend(["--bootloader", "boot.bin"]);
    }
    let monitor = ["--monitor-until", SAYS, "--monitor-for", "5"];
    let first = flash(chip, &folder, args.iter().chain(&monitor))?.success()?;
    if !first.stderr.contains("Wrote ") || first.stderr.contains("Wrote 0") {
        return Err(format!("it does not say what it wrote\n{first}").into());
    }
    let held = fs::read(folder.join("flash.bin"))?;
    check(chip, &held, with_bootloader)?;
    let second = flash(chip, &folder, &args)?.success()?;
    if !second.stdout.contains("Wrote 0 of") {
        return Err(format!("it writes what is there\n{second}").into());
    }
    if chip.id == "esp32c3" {
        // Other code in one sector: that, the descriptor with the digest of the ELF file, and the end.
        let mut elf = ElfWriter::application(chip, 1);
        elf.sections[3].data[9000] ^= 1;
        fs::write(folder.join("blink.elf"), elf.bytes())?;
        args.extend(["--format", "json"]);
        let third = flash(chip, &folder, &args)?.success()?;
        let few = ["\"sectors_written\":2,", "\"sectors_written\":3,"];
        if !few.iter().any(|few| third.stdout.contains(few)) {
            return Err(format!("a small change is much to write\n{third}").into());
        }
    }
    Ok(())
}

/// A slot that otadata do not start.
pub fn a_slot() -> Result<(), Failed> {
    let chip = by_id("esp32c3").ok_or("no such chip")?;
    let folder = folder("flash-slot")?;
    prepare(chip, &folder)?;
    let csv = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\n\
               a,app,ota_0,0x10000,192K\nb,app,ota_1,,192K\n";
    fs::write(folder.join("table.csv"), csv)?;
    fs::write(folder.join("flash.bin"), vec![0xFF; SIZE])?;
    let args = [
        "flash",
        "blink.elf",
        "--bootloader",
        "boot.bin",
        "--partition-table",
        "table.csv",
    ];
    let show = |expected: &str| -> Result<(), Failed> {
        let shown = flash(chip, &folder, ["ota", "show"])?.success()?;
        match shown.stdout.contains(expected) {
            true => Ok(()),
            false => Err(format!("not {expected}\n{shown}").into()),
        }
    };
    flash(chip, &folder, args)?.success()?;
    show("Next     a at 0x10000")?;
    let kept = ["--partition", "b", "--keep-otadata"];
    let kept = flash(chip, &folder, args.iter().chain(&kept))?.success()?;
    if !kept.stdout.contains("guru ota select b") {
        return Err(format!("it does not say that something else starts\n{kept}").into());
    }
    show("Next     a at 0x10000")?;
    flash(chip, &folder, args.iter().chain(&["--partition", "ota_1"]))?.success()?;
    show("Next     b at 0x40000")?;
    flash(chip, &folder, args)?.success()?;
    show("Next     a at 0x10000")
}

fn flash<'a>(
    chip: &Chip,
    folder: &Path,
    args: impl IntoIterator<Item = impl AsRef<str> + 'a>,
) -> Result<Outcome, Failed> {
    let port = format!("sim://{}?flash=flash.bin&says={SAYS}", chip.id);
    let mut line = vec!["--port".to_owned(), port];
    line.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    run(GURU, line, folder)
}

/// Writes the program, and a bootloader where the chip needs one.
fn prepare(chip: &'static Chip, folder: &Path) -> Result<bool, Failed> {
    fs::write(
        folder.join("blink.elf"),
        ElfWriter::application(chip, 1).bytes(),
    )?;
    let elf = ElfWriter::in_ram(chip, 7).bytes();
    let elf = Elf::read(&Contents::from_bytes("boot.elf", elf)?)?;
    for file in build(&elf, chip, &BuildOptions::default(), &mut |_| {})? {
        let mut bytes = Vec::new();
        file.write_to(&mut bytes)?;
        fs::write(folder.join("boot.bin"), bytes)?;
    }
    Ok(chip.image.chip_id.is_some())
}

/// Whole images at their places, and a table between them.
fn check(chip: &'static Chip, held: &[u8], with_bootloader: bool) -> Result<(), Failed> {
    let mut places = vec![chip.image.bootloader_offset];
    if with_bootloader {
        places.push(0x1_0000);
        let table = held.get(0x8000..0x8000 + MAX_LEN).ok_or("no room")?;
        let table = Parsed::from_binary(table)?.table;
        let app = table.by_name("factory").ok_or("no factory")?;
        if app.end() != SIZE as u64 {
            return Err(format!("the table ends at {:#x}", app.end()).into());
        }
    }
    for place in places {
        let bytes = held.get(place as usize..).unwrap_or_default();
        let contents = Contents::from_bytes("flash", bytes.to_vec())?;
        let image = ImageInfo::read(&contents, Some(chip))?;
        let fatal = image.problems().into_iter().find(|one| one.is_fatal());
        if let Some(problem) = fatal {
            return Err(format!("at {place:#x}: {problem}").into());
        }
    }
    Ok(())
}
