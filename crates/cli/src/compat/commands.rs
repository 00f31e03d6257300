//! Commands and options of the predecessor, as data.

use super::click::{Command, Opt, Takes, Value};
use crate::args::{FLASH_FREQUENCIES, FLASH_MODES, FLASH_SIZES};
use crate::cmd::PAD_SIZES;

const fn flag(long: &'static str, short: &'static str) -> Opt {
    Opt {
        long,
        short,
        takes: Takes::Nothing,
        env: "",
    }
}

const fn one(long: &'static str, short: &'static str, value: Value, env: &'static str) -> Opt {
    Opt {
        long,
        short,
        takes: Takes::One(value),
        env,
    }
}

const fn command(
    name: &'static str,
    options: &'static [Opt],
    arguments: &'static [(&'static str, Value)],
) -> Command {
    Command {
        name,
        options,
        arguments,
        optional: 0,
        many: false,
    }
}

/// Chips that can be named.
pub const CHIPS: [&str; 16] = [
    "auto", "esp8266", "esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c2", "esp32c6", "esp32c61",
    "esp32c5", "esp32e22", "esp32h2", "esp32h21", "esp32p4", "esp32h4", "esp32s31",
];

const FREQUENCIES: [&str; 14] = [
    "keep", "80m", "64m", "60m", "48m", "40m", "32m", "30m", "26m", "24m", "20m", "16m", "15m",
    "12m",
];

const MODES: [&str; 5] = ["keep", "qio", "qout", "dio", "dout"];

const SIZES: [&str; 14] = {
    let mut sizes = ["detect"; 14];
    sizes[1] = "keep";
    let mut at = 0;
    while at < FLASH_SIZES.len() {
        sizes[at + 2] = FLASH_SIZES[at];
        at += 1;
    }
    sizes
};

/// Sizes without a chip that could be asked.
const KNOWN_SIZES: [&str; 13] = {
    let mut sizes = ["keep"; 13];
    let mut at = 0;
    while at < FLASH_SIZES.len() {
        sizes[at + 1] = FLASH_SIZES[at];
        at += 1;
    }
    sizes
};

/// Options before the command.
pub static GROUP: [Opt; 13] = [
    one("--chip", "-c", Value::Chip(&CHIPS), "ESPTOOL_CHIP"),
    one("--port", "-p", Value::Text, "ESPTOOL_PORT"),
    one("--baud", "-b", Value::Baud, "ESPTOOL_BAUD"),
    Opt {
        long: "--port-filter",
        short: "",
        takes: Takes::Words(Value::Text),
        env: "",
    },
    one(
        "--before",
        "",
        Value::ResetMode(&["default-reset", "usb-reset", "no-reset", "no-reset-no-sync"]),
        "ESPTOOL_BEFORE",
    ),
    one(
        "--after",
        "-a",
        Value::ResetMode(&[
            "hard-reset",
            "soft-reset",
            "no-reset",
            "no-reset-stub",
            "watchdog-reset",
        ]),
        "ESPTOOL_AFTER",
    ),
    flag("--no-stub", ""),
    one(
        "--stub-version",
        "",
        Value::Choice(&["1", "2"]),
        "ESPTOOL_STUB_VERSION",
    ),
    flag("--trace", "-t"),
    flag("--verbose", "-v"),
    flag("--silent", "-s"),
    one(
        "--override-vddsdio",
        "",
        Value::Choice(&["1.8V", "1.9V", "OFF"]),
        "",
    ),
    one(
        "--connect-attempts",
        "",
        Value::Decimal,
        "ESPTOOL_CONNECT_ATTEMPTS",
    ),
];

const PINS: Opt = one("--spi-connection", "-sc", Value::Pins, "");
const FLASH_TYPE: Opt = one("--flash-type", "-ft", Value::Choice(&["nor", "nand"]), "");
const FREQUENCY: Opt = one(
    "--flash-freq",
    "-ff",
    Value::Choice(&FREQUENCIES),
    "ESPTOOL_FF",
);
const MODE: Opt = one("--flash-mode", "-fm", Value::Choice(&MODES), "ESPTOOL_FM");
const SIZE: Opt = one("--flash-size", "-fs", Value::Choice(&SIZES), "ESPTOOL_FS");

const IMAGE_FREQUENCY: Opt = one(
    "--flash-freq",
    "-ff",
    Value::Choice(&FLASH_FREQUENCIES),
    "ESPTOOL_FF",
);
const IMAGE_MODE: Opt = one(
    "--flash-mode",
    "-fm",
    Value::Choice(&FLASH_MODES),
    "ESPTOOL_FM",
);
const IMAGE_SIZE: Opt = one(
    "--flash-size",
    "-fs",
    Value::Choice(&FLASH_SIZES),
    "ESPTOOL_FS",
);

const STATUS_BYTES: Opt = one("--bytes", "", Value::Choice(&["1", "2", "3"]), "");

/// Name of the argument with addresses and files.
pub const PAIRS: &str = "<address> <filename>...";

/// Commands that there are.
pub static COMMANDS: [Command; 26] = [
    Command {
        many: true,
        ..command(
            "write-flash",
            &[
                flag("--erase-all", "-e"),
                flag("--no-progress", "-p"),
                flag("--encrypt", ""),
                Opt {
                    long: "--encrypt-files",
                    short: "",
                    takes: Takes::Words(Value::Text),
                    env: "",
                },
                flag("--ignore-flash-enc-efuse", ""),
                Opt {
                    long: "--diff-with",
                    short: "",
                    takes: Takes::Words(Value::FileOrSkip),
                    env: "",
                },
                flag("--trust-flash-content", ""),
                flag("--skip-flashed", "-s"),
                flag("--force", ""),
                flag("--compress", "-z"),
                flag("--no-compress", "-u"),
                one("--nand-end-address", "", Value::Integer, ""),
                SIZE,
                MODE,
                FREQUENCY,
                FLASH_TYPE,
                PINS,
            ],
            &[(PAIRS, Value::Text)],
        )
    },
    command(
        "read-flash",
        &[flag("--no-progress", "-p"), SIZE, FLASH_TYPE, PINS],
        &[
            ("ADDRESS", Value::Integer),
            ("SIZE", Value::Size),
            ("OUTPUT", Value::Text),
        ],
    ),
    Command {
        many: true,
        ..command(
            "verify-flash",
            &[
                flag("--diff", "-d"),
                SIZE,
                MODE,
                FREQUENCY,
                FLASH_TYPE,
                PINS,
            ],
            &[(PAIRS, Value::Text)],
        )
    },
    command("erase-flash", &[flag("--force", ""), FLASH_TYPE, PINS], &[]),
    command(
        "erase-region",
        &[flag("--force", ""), FLASH_TYPE, PINS],
        &[("ADDRESS", Value::Integer), ("SIZE", Value::Size)],
    ),
    command("flash-id", &[PINS], &[]),
    command("read-flash-status", &[STATUS_BYTES, PINS], &[]),
    command(
        "write-flash-status",
        &[flag("--non-volatile", ""), STATUS_BYTES, PINS],
        &[("VALUE", Value::Integer)],
    ),
    command(
        "read-flash-sfdp",
        &[SIZE, MODE, FREQUENCY, PINS],
        &[("ADDRESS", Value::Integer), ("BYTES", Value::Integer)],
    ),
    command("get-security-info", &[], &[]),
    command(
        "read-sdc-chip-info",
        &[one("--output", "-o", Value::Text, "")],
        &[],
    ),
    command(
        "verify-sdc-certificate",
        &[],
        &[("FILENAME", Value::Existing)],
    ),
    command("chip-id", &[], &[]),
    command("read-mac", &[], &[]),
    command("read-mem", &[], &[("ADDRESS", Value::Integer)]),
    Command {
        optional: 1,
        ..command(
            "write-mem",
            &[],
            &[
                ("ADDRESS", Value::Integer),
                ("VALUE", Value::Integer),
                ("[MASK]", Value::Integer),
            ],
        )
    },
    command(
        "dump-mem",
        &[],
        &[
            ("ADDRESS", Value::Integer),
            ("SIZE", Value::Bytes),
            ("OUTPUT", Value::Text),
        ],
    ),
    command("load-ram", &[], &[("FILENAME", Value::Text)]),
    command("run", &[], &[]),
    command("image-info", &[], &[("FILENAME", Value::Text)]),
    Command {
        many: true,
        ..command(
            "merge-bin",
            &[
                one("--output", "-o", Value::Text, ""),
                one("--format", "-f", Value::Choice(&["raw", "uf2", "hex"]), ""),
                one("--chunk-size", "", Value::Chunk, ""),
                flag("--md5-disable", ""),
                one("--target-offset", "-t", Value::Integer, ""),
                one("--pad-to-size", "", Value::Choice(&PAD_SIZES), ""),
                one(
                    "--flash-size",
                    "-fs",
                    Value::Choice(&KNOWN_SIZES),
                    "ESPTOOL_FS",
                ),
                MODE,
                FREQUENCY,
            ],
            &[(PAIRS, Value::Text)],
        )
    },
    command(
        "elf2image",
        &[
            one("--output", "-o", Value::Text, ""),
            one("--version", "-e", Value::Choice(&["1", "2", "3"]), ""),
            one("--min-rev", "-r", Value::Range(0, 256), ""),
            one("--min-rev-full", "", Value::Range(0, 65536), ""),
            one("--max-rev-full", "", Value::Range(0, 65536), ""),
            flag("--secure-pad", ""),
            flag("--secure-pad-v2", ""),
            one("--elf-sha256-offset", "", Value::Integer, ""),
            flag("--dont-append-digest", ""),
            flag("--use-segments", ""),
            one(
                "--flash-mmu-page-size",
                "",
                Value::Choice(&["64KB", "32KB", "16KB", "8KB"]),
                "",
            ),
            one("--pad-to-size", "", Value::Text, ""),
            flag("--ram-only-header", ""),
            IMAGE_SIZE,
            IMAGE_MODE,
            IMAGE_FREQUENCY,
        ],
        &[("FILENAME", Value::Existing)],
    ),
    command(
        "read-nand-spare",
        &[PINS],
        &[("PAGE_NUMBER", Value::Integer)],
    ),
    command(
        "write-nand-spare",
        &[PINS],
        &[
            ("PAGE_NUMBER", Value::Integer),
            ("IS_BAD", Value::Range(0, 1)),
        ],
    ),
    command(
        "dump-bbm",
        &[one("--block-count", "", Value::Decimal, ""), PINS],
        &[("OUTPUT", Value::Text)],
    ),
    command("version", &[], &[]),
];

/// What is said where a chip must be named.
pub fn chip_missing() -> String {
    let chips = CHIPS.get(1..).unwrap_or_default().join(", ");
    format!("Specify the --chip argument (choose from {chips}).")
}

/// Options that help is silent about: known, but not for everyone.
pub const HIDDEN: [&str; 5] = [
    "--min-rev",
    "--stub-version",
    "--flash-type",
    "--nand-end-address",
    "--block-count",
];

/// Older names of options, wherever they stand.
pub const DEPRECATED: [(&str, &str); 7] = [
    ("--flash_size", "--flash-size"),
    ("--flash_freq", "--flash-freq"),
    ("--flash_mode", "--flash-mode"),
    ("--use_segments", "--use-segments"),
    (
        "--ignore_flash_encryption_efuse_setting",
        "--ignore-flash-enc-efuse",
    ),
    ("--fill-flash-size", "--pad-to-size"),
    ("--no-diff-verify", "--trust-flash-content"),
];

/// Commands that help is silent about: those for NAND flash alone.
pub const HIDDEN_COMMANDS: [&str; 3] = ["read-nand-spare", "write-nand-spare", "dump-bbm"];

/// The command of a name, written with hyphens.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// Whether it is the name of a command, with hyphens.
pub fn is_command(name: &str) -> bool {
    find(name).is_some()
}
