//! A second client that nobody here wrote: esptool-js, the loader for browsers, under Node with a
//! socket for its serial port. It shares no code with the Python tools, and brings its own table of
//! chips.

use std::path::{Path, PathBuf};
use std::{env, fs};

use guru_chip::{CHIPS, Chip, EraseRule, InflateRule};
use guru_testkit::{code, noise};
use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::json;

use crate::case::same_bytes;
use crate::process::run;
use crate::simulator::{Simulator, Way};
use crate::{Folder, TWO, Test};

/// Version that all expectations are from.
const VERSION: &str = "0.7.0";
/// What drives it.
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/peer/esptool_js.mjs"
);

/// Bytes of the flash.
const SIZE: usize = 2 << 20;
/// What the simulator's flash of this size answers to the command for its JEDEC id.
const FLASH_ID: u32 = 0x15_40EF;
/// What the ESP32's inflater writes at once.
const WINDOW: usize = 0x8000;
/// Bytes of the file.
const LENGTH: usize = 2 * WINDOW;
/// Where the file goes, compressed and raw.
const COMPRESSED_AT: usize = 0x1_0000;
const RAW_AT: usize = 0x10_0000;
const MAC: &str = "7c:df:a1:aa:bb:cc";

/// The folder of esptool-js.
#[derive(Debug, Clone)]
pub struct EsptoolJs(PathBuf);

impl EsptoolJs {
    /// Looks where `GURU_ESPTOOL_JS` says.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find() -> Result<Self, String> {
        let folder = env::var_os("GURU_ESPTOOL_JS")
            .filter(|folder| !folder.is_empty())
            .ok_or("GURU_ESPTOOL_JS names no folder of esptool-js")?;
        let folder = fs::canonicalize(folder).map_err(|error| error.to_string())?;
        let package = fs::read(folder.join("package.json")).map_err(|error| error.to_string())?;
        let package: serde_json::Value =
            serde_json::from_slice(&package).map_err(|error| error.to_string())?;
        if package["version"] != VERSION {
            return Err(format!("GURU_ESPTOOL_JS has no esptool-js {VERSION}"));
        }
        run("node", ["--version"], Path::new("."))
            .map_err(|_| "there is no node to run esptool-js".to_owned())?;
        Ok(Self(folder))
    }
}

/// How the chip is reached, and where it is before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// Plain bytes: it is in its loader.
    InLoader,
    /// With modem lines through an adapter: it has to be reset into its loader.
    FromApp,
    /// Through its own USB-Serial/JTAG, with the sequence for that.
    Jtag,
    /// As the first, and the stub that it brings along does the work.
    WithStub,
}

/// What the script says.
#[derive(Debug, Deserialize)]
struct Found {
    chip: String,
    mac: String,
    flash_id: u32,
}

/// Chips on which its stub runs: one of each kind of core. The Python tool tries the others.
const WITH_STUB: [&str; 3] = ["esp8266", "esp32", "esp32c3"];

/// Every chip, two of them from their application, and some with a stub.
pub fn trials() -> impl Iterator<Item = (String, Test<EsptoolJs>)> {
    CHIPS.iter().flat_map(|chip| {
        let mut ways = vec![Reached::InLoader];
        if TWO.contains(&chip.id) {
            ways.push(Reached::FromApp);
            if chip.usb.serial_jtag {
                ways.push(Reached::Jtag);
            }
        }
        if WITH_STUB.contains(&chip.id) {
            ways.push(Reached::WithStub);
        }
        ways.into_iter().map(move |reached| {
            let test: Test<EsptoolJs> = Box::new(move |peer| flashes(chip, reached, peer));
            (format!("esptool-js flashes {} {reached:?}", chip.id), test)
        })
    })
}

fn flashes(chip: &Chip, reached: Reached, peer: &EsptoolJs) -> Result<(), Failed> {
    let folder = Folder::new(&format!("esptool-js-{}-{reached:?}", chip.id))?;
    let before = noise(SIZE, 1);
    let app = code(LENGTH, 2);
    let (flash, file) = (folder.join("flash.bin"), folder.join("app.bin"));
    fs::write(&flash, &before)?;
    fs::write(&file, &app)?;
    let (way, options): (_, &[&str]) = match reached {
        Reached::InLoader | Reached::WithStub => (Way::Tcp, &[]),
        Reached::FromApp => (Way::Rfc2217, &["--boot", "app"]),
        Reached::Jtag => (Way::Rfc2217, &["--boot", "app", "--set", "usb=jtag"]),
    };
    let options = [&["--mac", MAC], options].concat();
    let simulator = Simulator::start(chip.id, way, &flash, &options)?;

    let mut writes = vec![(RAW_AT, false)];
    let stub = reached == Reached::WithStub;
    if stub || chip.rom.inflate.is_some() {
        writes.push((COMPRESSED_AT, true));
    }
    let job = json!({
        "reset": way.has_lines(),
        "jtag": reached == Reached::Jtag,
        "stub": stub,
        "writes": writes
            .iter()
            .map(|(at, compress)| json!({ "file": file, "address": at, "compress": compress }))
            .collect::<Vec<_>>(),
    });
    let args = [
        Path::new(SCRIPT).as_os_str(),
        peer.0.as_os_str(),
        simulator.port.as_ref(),
        job.to_string().as_ref(),
    ]
    .map(ToOwned::to_owned);
    let outcome = run("node", args, &folder)?.success()?;
    let found: Found = serde_json::from_str(&outcome.stdout)?;
    // It gets one byte of it from an ESP8266.
    let whole = if chip.rom.md5 {
        FLASH_ID
    } else {
        FLASH_ID & 0xFF
    };
    if (found.chip.as_str(), found.mac.as_str(), found.flash_id) != (chip.name, MAC, whole) {
        return Err(format!("esptool-js found {found:?}").into());
    }

    if let Some(complaint) = simulator.complaint() {
        return Err(complaint.into());
    }
    let found = simulator.stop()?;
    let mut expected = before;
    for (at, compress) in writes {
        expected[at..at + LENGTH].copy_from_slice(&app);
        // It knows nothing of the ROM that writes a window more than there is.
        if stub {
            continue;
        }
        if compress && chip.rom.inflate == Some(InflateRule::WholeWindows) {
            let behind = at + LENGTH..at + LENGTH + WINDOW;
            expected[behind.clone()].copy_from_slice(&found[behind]);
        }
        // Nor of the one that erases twice as much.
        if chip.rom.erase == EraseRule::HeadTwice {
            expected[at + LENGTH..at + 2 * LENGTH].fill(0xFF);
        }
    }
    same_bytes("flash", &found, &expected)
}
