//! A client that nobody here wrote sees the chip that the simulator was told to be.

use std::fs;

use guru_chip::{CHIPS, Chip, MacLayout};
use guru_testkit::{code, noise};
use libtest_mimic::Failed;

use crate::Folder;
use crate::case::same_bytes;
use crate::clients::Reference;
use crate::simulator::{Simulator, Way};

/// What a simulator is told to be, and what the reference shall print of it.
struct Told {
    chip: &'static str,
    /// Options of `guru sim`.
    options: &'static [&'static str],
    size: usize,
    /// Lines that must be there.
    lines: &'static [&'static str],
}

/// Two of each chip, so that nothing is right by default.
const TOLD: &[Told] = &[
    Told {
        chip: "esp8266",
        options: &["--mac", "18:fe:34:a1:b2:c3"],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP8266EX",
            "Features:           Wi-Fi, 160MHz",
            "Crystal frequency:  26MHz",
            "MAC:                18:fe:34:a1:b2:c3",
            "Detected flash size: 4MB",
        ],
    },
    Told {
        chip: "esp32",
        options: &["--rev", "3.1", "--mac", "24:6f:28:12:34:56"],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP32-D0WDQ6-V3 (revision v3.1)",
            "Crystal frequency:  40MHz",
            "MAC:                24:6f:28:12:34:56",
            "Detected flash size: 4MB",
        ],
    },
    Told {
        chip: "esp32",
        options: &["--rev", "1.0", "--mac", "30:ae:a4:00:ff:01"],
        size: 16 << 20,
        lines: &[
            "Chip type:          ESP32-D0WDQ6 (revision v1.0)",
            "MAC:                30:ae:a4:00:ff:01",
            "Detected flash size: 16MB",
        ],
    },
    Told {
        chip: "esp32s2",
        options: &["--rev", "1.0", "--mac", "7c:df:a1:0b:0c:0d"],
        size: 2 << 20,
        lines: &[
            "Chip type:          ESP32-S2 (revision v1.0)",
            "Crystal frequency:  40MHz",
            "MAC:                7c:df:a1:0b:0c:0d",
            "Detected flash size: 2MB",
        ],
    },
    Told {
        chip: "esp32s3",
        options: &["--rev", "0.2", "--mac", "e8:06:90:99:88:77"],
        size: 8 << 20,
        lines: &[
            "Chip type:          ESP32-S3 (QFN56) (revision v0.2)",
            "Crystal frequency:  40MHz",
            "MAC:                e8:06:90:99:88:77",
            "Detected flash size: 8MB",
        ],
    },
    Told {
        chip: "esp32c3",
        options: &["--rev", "0.4", "--mac", "58:cf:79:de:ad:01"],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP32-C3 (QFN32) (revision v0.4)",
            "Features:           Wi-Fi, BT 5 (LE), Single Core, 160MHz",
            "Crystal frequency:  40MHz",
            "MAC:                58:cf:79:de:ad:01",
            "Detected flash size: 4MB",
        ],
    },
    Told {
        chip: "esp32c3",
        options: &["--rev", "1.1", "--mac", "34:b4:72:00:00:ff"],
        size: 8 << 20,
        lines: &[
            "Chip type:          ESP32-C3 (QFN32) (revision v1.1)",
            "MAC:                34:b4:72:00:00:ff",
            "Detected flash size: 8MB",
        ],
    },
    Told {
        chip: "esp32p4",
        options: &["--rev", "1.0", "--mac", "60:55:f9:f1:f2:f3"],
        size: 16 << 20,
        lines: &[
            "Chip type:          ESP32-P4 (revision v1.0)",
            "Crystal frequency:  40MHz",
            "MAC:                60:55:f9:f1:f2:f3",
            "Detected flash size: 16MB",
        ],
    },
    Told {
        chip: "esp32p4",
        options: &["--rev", "3.0", "--mac", "60:55:f9:01:00:10"],
        size: 32 << 20,
        lines: &[
            "Chip type:          ESP32-P4 (revision v3.0)",
            "MAC:                60:55:f9:01:00:10",
            "Detected flash size: 32MB",
        ],
    },
    // The flash answers only when its supply was switched on.
    Told {
        chip: "esp32p4",
        options: &["--rev", "3.1", "--mac", "60:55:f9:31:00:01"],
        size: 16 << 20,
        lines: &[
            "Chip type:          ESP32-P4 (revision v3.1)",
            "Detected flash size: 16MB",
        ],
    },
    Told {
        chip: "esp32p4",
        options: &["--rev", "3.2", "--mac", "60:55:f9:32:00:01"],
        size: 16 << 20,
        lines: &[
            "Chip type:          ESP32-P4 (revision v3.2)",
            "Detected flash size: 16MB",
        ],
    },
    Told {
        chip: "esp32s31",
        options: &["--rev", "0.0", "--mac", "38:44:be:aa:25:64"],
        size: 16 << 20,
        lines: &[
            "Chip type:          ESP32-S31 (revision v0.0)",
            "Features:           Wi-Fi 6, BT 5.4 (LE), IEEE802.15.4, Dual Core + LP Core, 300MHz",
            "Crystal frequency:  40MHz",
            "MAC:                38:44:be:aa:25:64",
            "Detected flash size: 16MB",
        ],
    },
    Told {
        chip: "esp32s31",
        options: &["--rev", "1.2", "--mac", "38:44:be:00:00:02"],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP32-S31 (revision v1.2)",
            "MAC:                38:44:be:00:00:02",
            "Detected flash size: 4MB",
        ],
    },
    Told {
        chip: "esp32h4",
        options: &["--rev", "0.1", "--mac", "60:55:f9:f7:2c:a2"],
        size: 4 << 20,
        lines: &[
            "Chip type:          Unknown ESP32-H4? (revision v0.1)",
            "Features:           BT 5 (LE), IEEE802.15.4, Dual Core, 96MHz, No Embedded Flash",
            "Crystal frequency:  32MHz",
            "MAC:                60:55:f9:ff:fe:f7:2c:a2",
            "BASE MAC:           60:55:f9:f7:2c:a2",
            "MAC_EXT:            ff:fe",
            "Detected flash size: 4MB",
        ],
    },
    Told {
        chip: "esp32h4",
        options: &[
            "--rev",
            "0.0",
            "--mac",
            "60:55:f9:00:00:03",
            "--set",
            "temperature=1",
            "--set",
            "flash=1",
            "--set",
            "vendor=3",
            "--set",
            "psram=2",
            "--set",
            "psram_vendor=1",
        ],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP32-H4HFL4R2 (revision v0.0)",
            "Features:           BT 5 (LE), IEEE802.15.4, Dual Core, 96MHz, Embedded Flash 4MB (PY), \
             Embedded PSRAM 2MB (AP)",
        ],
    },
    Told {
        chip: "esp32e22",
        options: &["--mac", "e0:72:a1:01:02:03"],
        size: 8 << 20,
        lines: &[
            "Chip type:          ESP32-E22 (revision v0.0)",
            "Features:           Wi-Fi 6E (tri-band, 2x2 MU-MIMO), BT 5.4 (LE) + Classic, Dual Core, \
             500MHz",
            "Crystal frequency:  40MHz",
            "MAC:                e0:72:a1:01:02:03",
            "Detected flash size: 8MB",
        ],
    },
    Told {
        chip: "esp32c2",
        options: &["--rev", "1.0", "--mac", "34:b4:72:01:02:03"],
        size: 2 << 20,
        lines: &[
            "Chip type:          ESP32-C2 (revision v1.0)",
            "Crystal frequency:  26MHz",
            "MAC:                34:b4:72:01:02:03",
            "Detected flash size: 2MB",
        ],
    },
    Told {
        chip: "esp32c2",
        options: &[
            "--rev",
            "2.0",
            "--set",
            "package=1",
            "--set",
            "flash=1",
            "--set",
            "vendor=1",
            "--set",
            "crystal=40",
        ],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP8684H (revision v2.0)",
            "Features:           Wi-Fi, BT 5 (LE), Single Core, 120MHz, Embedded Flash 4MB (XMC)",
            "Crystal frequency:  40MHz",
        ],
    },
    Told {
        chip: "esp32c5",
        options: &[
            "--rev",
            "1.0",
            "--mac",
            "10:bd:a3:dd:a8:e8",
            "--set",
            "psram=2",
            "--set",
            "psram_vendor=1",
            "--set",
            "temp=1",
        ],
        size: 8 << 20,
        lines: &[
            "Chip type:          ESP32-C5HR8 (revision v1.0)",
            "Features:           Wi-Fi 6 (dual-band), BT 5 (LE), IEEE802.15.4, Single Core + LP Core, \
             240MHz, No Embedded Flash, Embedded PSRAM 8MB (AP_3v3)",
            "Crystal frequency:  48MHz",
            "MAC:                10:bd:a3:ff:fe:dd:a8:e8",
            "BASE MAC:           10:bd:a3:dd:a8:e8",
            "MAC_EXT:            ff:fe",
            "Detected flash size: 8MB",
        ],
    },
    Told {
        chip: "esp32c5",
        options: &[
            "--rev",
            "1.2",
            "--set",
            "flash=1",
            "--set",
            "flash_vendor=1",
            "--set",
            "crystal=40",
        ],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP32-C5NF4 (revision v1.2)",
            "Crystal frequency:  40MHz",
        ],
    },
    Told {
        chip: "esp32c6",
        options: &[
            "--rev",
            "0.2",
            "--mac",
            "60:55:f9:f7:2c:a2",
            "--set",
            "package=1",
            "--set",
            "flash=2",
        ],
        size: 8 << 20,
        lines: &[
            "Chip type:          ESP32-C6FH8 (QFN32) (revision v0.2)",
            "Crystal frequency:  40MHz",
            "MAC:                60:55:f9:ff:fe:f7:2c:a2",
            "BASE MAC:           60:55:f9:f7:2c:a2",
            "MAC_EXT:            ff:fe",
        ],
    },
    Told {
        chip: "esp32c61",
        options: &[
            "--rev",
            "1.0",
            "--set",
            "flash=1",
            "--set",
            "psram=1",
            "--set",
            "package=3",
        ],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP32-C61NF4R2LA (revision v1.0)",
            "Features:           Wi-Fi 6, BT 5 (LE), Single Core, 160MHz, Embedded Flash 4MB, \
             Embedded PSRAM 2MB",
            "Crystal frequency:  40MHz",
        ],
    },
    Told {
        chip: "esp32h2",
        options: &[
            "--rev",
            "0.1",
            "--mac",
            "74:4d:bd:61:e6:2c",
            "--set",
            "flash=1",
            "--set",
            "temp=1",
            "--set",
            "vendor=1",
        ],
        size: 4 << 20,
        lines: &[
            "Chip type:          ESP32-H2FH4 (revision v0.1)",
            "Features:           BT 5 (LE), IEEE802.15.4, Single Core, 96MHz, Embedded Flash 4MB (XMC)",
            "Crystal frequency:  32MHz",
            "MAC:                74:4d:bd:ff:fe:61:e6:2c",
            "BASE MAC:           74:4d:bd:61:e6:2c",
        ],
    },
    Told {
        chip: "esp32h2",
        options: &["--rev", "1.2", "--set", "flash=2", "--set", "temp=2"],
        size: 2 << 20,
        lines: &["Chip type:          ESP32-H2FN2S (revision v1.2)"],
    },
    Told {
        chip: "esp32h21",
        options: &[
            "--rev", "0.1", "--set", "flash=2", "--set", "temp=1", "--set", "vendor=1",
        ],
        size: 2 << 20,
        lines: &[
            "Chip type:          ESP32-H21HF2 (revision v0.1)",
            "Features:           BT 5 (LE), IEEE802.15.4, Single Core, 96MHz, Embedded Flash 2MB (FM)",
            "Crystal frequency:  32MHz",
        ],
    },
];

/// The chip, its revision, its crystal, its MAC and its flash are what the simulator was told.
pub fn told(reference: &Reference) -> Result<(), Failed> {
    for told in TOLD {
        let folder = Folder::new(&format!("told-{}-{}", told.chip, told.size))?;
        let flash = folder.join("flash.bin");
        fs::write(&flash, vec![0xFF; told.size])?;
        let simulator = Simulator::start(told.chip, Way::Tcp, &flash, told.options)?;
        let outcome = reference
            .run(
                &["--port", &simulator.port, "--no-stub", "flash-id"],
                &folder,
            )?
            .success()?;
        for line in told.lines {
            if !outcome.stdout.lines().any(|found| found.starts_with(line)) {
                return Err(format!("'{line}' is missing\n{outcome}").into());
            }
        }
    }
    Ok(())
}

/// Every chip has been told to be something.
pub fn all_chips_are_told() -> Result<(), Failed> {
    match CHIPS
        .iter()
        .find(|chip| TOLD.iter().all(|told| told.chip != chip.id))
    {
        None => Ok(()),
        Some(chip) => Err(format!("{} is missing in TOLD", chip.id).into()),
    }
}

/// Bytes of the flash in [`flashes`].
const SIZE: usize = 2 << 20;
/// Where [`flashes`] writes.
const AT: usize = 0x1_0000;

/// The reference detects, writes, verifies, reads and erases, as far as it can without a stub.
pub fn flashes(chip: &Chip, way: Way, reference: &Reference) -> Result<(), Failed> {
    let folder = Folder::new(&format!("flashes-{}-{way:?}", chip.id))?;
    let before = noise(SIZE, 1);
    // An even number of sectors: of an odd one the ESP8266 erases one more when the reference asks.
    let app = code(24_000, 2);
    let flash = folder.join("flash.bin");
    fs::write(&flash, &before)?;
    fs::write(folder.join("app.bin"), &app)?;
    let simulator = Simulator::start(chip.id, way, &flash, &["--mac", "7c:df:a1:aa:bb:cc"])?;
    let run = |args: &[&str]| {
        let port = simulator.port.clone();
        let common = ["--port", &port, "--no-stub"];
        // A pseudo terminal has no modem lines.
        let line: &[&str] = if way.has_lines() {
            &[]
        } else {
            &["--before", "no-reset", "--after", "no-reset"]
        };
        let args: Vec<_> = common.iter().chain(line).chain(args).copied().collect();
        reference.run(&args, &folder)?.success()
    };
    let at = format!("{AT:#x}");

    let mac = match chip.identity.mac.layout {
        MacLayout::Eui64 => "BASE MAC:           7c:df:a1:aa:bb:cc",
        _ => "MAC:                7c:df:a1:aa:bb:cc",
    };
    for line in [mac, "Detecting chip type... "] {
        let outcome = run(&["read-mac"])?;
        let line = match line.strip_suffix("... ") {
            Some(begin) => format!("{begin}... {}", chip.name),
            None => line.to_owned(),
        };
        if !outcome.stdout.contains(&line) {
            return Err(format!("'{line}' is missing\n{outcome}").into());
        }
    }
    run(&["chip-id"])?;
    run(&["flash-id"])?;
    run(&["write-flash", &at, "app.bin"])?;
    let mut expected = before;
    let end = (AT + app.len()).next_multiple_of(0x1000);
    expected[AT..end].fill(0xFF);
    expected[AT..AT + app.len()].copy_from_slice(&app);
    if chip.rom.md5 {
        run(&["verify-flash", &at, "app.bin"])?;
        run(&["read-flash", "0x10fc0", "256", "read.bin"])?;
        same_bytes(
            "read.bin",
            &fs::read(folder.join("read.bin"))?,
            &expected[0x1_0FC0..0x1_10C0],
        )?;
        run(&["erase-region", &at, "0x2000"])?;
        expected[AT..AT + 0x2000].fill(0xFF);
    }
    same_bytes("flash", &simulator.stop()?, &expected)
}
