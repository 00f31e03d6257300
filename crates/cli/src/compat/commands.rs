//! Commands and options of the predecessor, as data.

use super::click::{Command, Opt, Takes, Value};
use crate::args::FLASH_SIZES;

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

const STATUS_BYTES: Opt = one("--bytes", "", Value::Choice(&["1", "2", "3"]), "");

/// Name of the argument with addresses and files.
pub const PAIRS: &str = "<address> <filename>...";

/// Commands that there are.
pub static COMMANDS: [Command; 23] = [
    Command {
        name: "write-flash",
        options: &[
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
        arguments: &[(PAIRS, Value::Text)],
        optional: 0,
        many: true,
    },
    Command {
        name: "read-flash",
        options: &[flag("--no-progress", "-p"), SIZE, FLASH_TYPE, PINS],
        arguments: &[
            ("ADDRESS", Value::Integer),
            ("SIZE", Value::Size),
            ("OUTPUT", Value::Text),
        ],
        optional: 0,
        many: false,
    },
    Command {
        name: "verify-flash",
        options: &[
            flag("--diff", "-d"),
            SIZE,
            MODE,
            FREQUENCY,
            FLASH_TYPE,
            PINS,
        ],
        arguments: &[(PAIRS, Value::Text)],
        optional: 0,
        many: true,
    },
    Command {
        name: "erase-flash",
        options: &[flag("--force", ""), FLASH_TYPE, PINS],
        arguments: &[],
        optional: 0,
        many: false,
    },
    Command {
        name: "erase-region",
        options: &[flag("--force", ""), FLASH_TYPE, PINS],
        arguments: &[("ADDRESS", Value::Integer), ("SIZE", Value::Size)],
        optional: 0,
        many: false,
    },
    Command {
        name: "flash-id",
        options: &[PINS],
        arguments: &[],
        optional: 0,
        many: false,
    },
    Command {
        name: "read-flash-status",
        options: &[STATUS_BYTES, PINS],
        arguments: &[],
        optional: 0,
        many: false,
    },
    Command {
        name: "write-flash-status",
        options: &[flag("--non-volatile", ""), STATUS_BYTES, PINS],
        arguments: &[("VALUE", Value::Integer)],
        optional: 0,
        many: false,
    },
    Command {
        name: "read-flash-sfdp",
        options: &[SIZE, MODE, FREQUENCY, PINS],
        arguments: &[("ADDRESS", Value::Integer), ("BYTES", Value::Integer)],
        optional: 0,
        many: false,
    },
    Command {
        name: "get-security-info",
        options: &[],
        arguments: &[],
        optional: 0,
        many: false,
    },
    Command {
        name: "read-sdc-chip-info",
        options: &[one("--output", "-o", Value::Text, "")],
        arguments: &[],
        optional: 0,
        many: false,
    },
    Command {
        name: "verify-sdc-certificate",
        options: &[],
        arguments: &[("FILENAME", Value::Existing)],
        optional: 0,
        many: false,
    },
    Command {
        name: "chip-id",
        options: &[],
        arguments: &[],
        optional: 0,
        many: false,
    },
    Command {
        name: "read-mac",
        options: &[],
        arguments: &[],
        optional: 0,
        many: false,
    },
    Command {
        name: "read-mem",
        options: &[],
        arguments: &[("ADDRESS", Value::Integer)],
        optional: 0,
        many: false,
    },
    Command {
        name: "write-mem",
        options: &[],
        arguments: &[
            ("ADDRESS", Value::Integer),
            ("VALUE", Value::Integer),
            ("[MASK]", Value::Integer),
        ],
        optional: 1,
        many: false,
    },
    Command {
        name: "dump-mem",
        options: &[],
        arguments: &[
            ("ADDRESS", Value::Integer),
            ("SIZE", Value::Bytes),
            ("OUTPUT", Value::Text),
        ],
        optional: 0,
        many: false,
    },
    Command {
        name: "load-ram",
        options: &[],
        arguments: &[("FILENAME", Value::Text)],
        optional: 0,
        many: false,
    },
    Command {
        name: "run",
        options: &[],
        arguments: &[],
        optional: 0,
        many: false,
    },
    Command {
        name: "read-nand-spare",
        options: &[PINS],
        arguments: &[("PAGE_NUMBER", Value::Integer)],
        optional: 0,
        many: false,
    },
    Command {
        name: "write-nand-spare",
        options: &[PINS],
        arguments: &[
            ("PAGE_NUMBER", Value::Integer),
            ("IS_BAD", Value::Range(0, 1)),
        ],
        optional: 0,
        many: false,
    },
    Command {
        name: "dump-bbm",
        options: &[one("--block-count", "", Value::Decimal, ""), PINS],
        arguments: &[("OUTPUT", Value::Text)],
        optional: 0,
        many: false,
    },
    Command {
        name: "version",
        options: &[],
        arguments: &[],
        optional: 0,
        many: false,
    },
];

/// Commands that will come.
pub const NOT_YET: [&str; 3] = ["elf2image", "image-info", "merge-bin"];

/// Options that help is silent about: known, but not for everyone.
pub const HIDDEN: [&str; 4] = [
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

/// Whether it is the name of a command, there or to come, with hyphens.
pub fn is_command(name: &str) -> bool {
    find(name).is_some() || NOT_YET.contains(&name)
}
