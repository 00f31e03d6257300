//! Espressif's own flasher stubs, executed by the virtual chip, under the Python esptool that they
//! come with.

use std::fs;

use guru_chip::{CHIPS, Chip};
use guru_testkit::{code, noise};
use libtest_mimic::Failed;

use crate::case::same_bytes;
use crate::clients::Reference;
use crate::simulator::{Simulator, Way};
use crate::{Folder, Test};

/// Where the work is done, and what of it.
const AT: usize = 0x1_0000;
const APP: usize = 24_000;
/// Of the flash.
const SIZE: usize = 4 << 20;

/// The version of the stubs that esptool uploads unless told otherwise.
const NEWEST: &str = "2";

/// One trial for each chip.
pub fn trials() -> impl Iterator<Item = (String, Test<Reference>)> {
    let chips = CHIPS.iter().filter(|chip| !chip.rom_code.is_empty());
    chips.map(|chip| {
        let name = format!("reference works with its own stub on {}", chip.id);
        let test = move |reference: &Reference| works(chip, NEWEST, reference);
        (name, Box::new(test) as Test<Reference>)
    })
}

/// The reference uploads its stub, changes the rate, writes, reads and erases, and all of it is
/// found in the flash. Nothing that the stub touches is missing.
fn works(chip: &Chip, version: &str, reference: &Reference) -> Result<(), Failed> {
    let folder = Folder::new(&format!("official-{}-{version}", chip.id))?;
    let before = noise(SIZE, 1);
    let app = code(APP, 2);
    let flash = folder.join("flash.bin");
    let file = folder.join("app.bin");
    fs::write(&flash, &before)?;
    fs::write(&file, &app)?;
    let simulator = Simulator::start::<&str>(chip.id, Way::Tcp, &flash, &[])?;
    let at = format!("{AT:#x}");
    let file = file.to_string_lossy();
    let arguments = [simulator.port.as_str(), version, &at, &file];
    let outcome = reference.script(include_str!("official_stub.py"), &arguments)?;
    let done = format!("worked with stub {version} on {}", chip.name);
    if !outcome.stdout.contains(&done) {
        return Err(format!("'{done}' is missing\n{outcome}").into());
    }
    let mut expected = before;
    let mut write = |at: usize, bytes: &[u8]| {
        let end = (at + bytes.len()).next_multiple_of(0x1000);
        expected[at..end].fill(0xFF);
        expected[at..at + bytes.len()].copy_from_slice(bytes);
    };
    write(AT, &app);
    write(AT + 0x8000, &app[..0x2345]);
    write(AT + 0x1000, &[0xFF; 0x2000]);
    same_bytes("flash", &simulator.stop()?, &expected)
}
