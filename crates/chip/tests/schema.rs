//! A data file with a mistake does not get past the build, and the message names file and key.

#[path = "../build/generate.rs"]
mod generate;

use std::fs;
use std::path::{Path, PathBuf};

const C3: &str = include_str!("../../../chips/esp32c3.toml");

fn chips() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../chips")
}

/// A folder with the ESP32-C3's file as given and the common files.
fn folder(name: &str, c3: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("schema")
        .join(name);
    fs::create_dir_all(&dir).expect("a folder to write in");
    for file in ["known.toml", "adapters.toml", "hints.toml"] {
        fs::copy(chips().join(file), dir.join(file)).expect("a folder to write in");
    }
    fs::create_dir_all(dir.join("registers")).expect("a folder to write in");
    for name in ["esp32c2", "esp32c3"] {
        let registers = dir.join("registers").join(name).with_extension("toml");
        fs::copy(chips().join("registers/esp32c3.toml"), registers).expect("a folder to write in");
    }
    fs::write(dir.join("esp32c3.toml"), c3).expect("a folder to write in");
    dir
}

/// Replaces one place in the ESP32-C3's file and expects the build to refuse it with this message.
#[track_caller]
fn refused(name: &str, from: &str, to: &str, message: &str) {
    assert!(C3.contains(from), "the file has no `{from}`");
    let dir = folder(name, &C3.replacen(from, to, 1));
    let problems = generate::generate(&dir)
        .expect_err("the entry was accepted")
        .join("\n");
    assert!(
        problems.contains("chips/esp32c3.toml"),
        "no file name in: {problems}"
    );
    assert!(problems.contains(message), "no `{message}` in: {problems}");
}

#[test]
fn the_folder_of_this_repository_is_accepted() {
    let text = generate::generate(&chips()).expect("the data files are right");
    assert!(text.contains("pub static ESP32C3: Chip"));
}

#[test]
fn a_new_file_is_a_new_chip_without_any_code() {
    let dir = folder("new-chip", C3);
    let other = C3
        .replace("ESP32-C3", "ESP32-C2")
        .replace("chip-id = 5", "chip-id = 12")
        .replace("chip_id = 5", "chip_id = 12")
        .replace("0xd42ba06c", "0x2b88d29c");
    fs::write(dir.join("esp32c2.toml"), other).expect("a folder to write in");
    let text = generate::generate(&dir).expect("both entries are right");
    assert!(text.contains("&[&Chip] = &[&ESP32C2, &ESP32C3]"));
}

#[test]
fn a_misspelt_key_is_refused() {
    refused(
        "key",
        "status_len",
        "status_length",
        "unknown field `status_length`",
    );
}

#[test]
fn a_missing_key_is_refused() {
    refused(
        "missing",
        "sync_value = 0x20120707\n",
        "",
        "missing field `sync_value`",
    );
}

#[test]
fn a_name_that_is_not_the_files_is_refused() {
    refused("name", "ESP32-C3\"\narch", "ESP32-C4\"\narch", "name: ");
}

#[test]
fn two_chips_with_one_way_of_detection_are_refused() {
    let dir = folder("twins", C3);
    fs::write(dir.join("esp32c2.toml"), C3.replace("ESP32-C3", "ESP32-C2"))
        .expect("a folder to write in");
    let problems = generate::generate(&dir)
        .expect_err("two chips with one id")
        .join("\n");
    assert!(problems.contains("detection.chip-id 5: chips/esp32c2.toml has it as well"));
}

#[test]
fn a_chip_that_the_list_of_known_ids_does_not_name_is_refused() {
    let dir = folder("unknown", C3);
    let known = fs::read_to_string(dir.join("known.toml")).expect("a folder to write in");
    fs::write(
        dir.join("known.toml"),
        known.replace("\"esp32c3\"", "\"esp32c4\""),
    )
    .expect("a folder to write in");
    let problems = generate::generate(&dir).expect_err("not listed").join("\n");
    assert!(
        problems.contains("chips/known.toml: no entry with chip_id 5"),
        "{problems}"
    );
}

#[test]
fn commands_must_be_ascending_and_fit_the_capabilities() {
    refused(
        "order",
        "0x02, 0x03, 0x04, 0x05",
        "0x03, 0x02, 0x04, 0x05",
        "rom.commands: must be asc",
    );
    refused(
        "md5",
        "md5 = true",
        "md5 = false",
        "rom.md5: does not fit command 0x13",
    );
    refused(
        "secure",
        "[0x02, 0x03, 0x04, 0x08,",
        "[0x01, 0x02, 0x08,",
        "rom.secure_commands: ",
    );
}

#[test]
fn bits_must_lie_in_a_block_that_exists() {
    refused(
        "block",
        "\"blk1.5[25:24]\"",
        "\"blk7.5[25:24]\"",
        "major: \"blk7.5[25:24]\": no eFuse",
    );
    refused(
        "word",
        "\"blk1.5[25:24]\"",
        "\"blk1.6[25:24]\"",
        "`blk1` has 6 words",
    );
    refused(
        "order-of-bits",
        "\"blk1.5[25:24]\"",
        "\"blk1.5[24:25]\"",
        "[HIGH:LOW]",
    );
    refused("bit", "\"blk1.5[25:24]\"", "\"blk1.5[32]\"", "31 at most");
    refused(
        "bracket",
        "\"blk1.5[25:24]\"",
        "\"blk1.5[25:24\"",
        "`]` is missing",
    );
}

#[test]
fn runs_of_a_field_must_not_share_bits() {
    refused(
        "shared",
        "\"blk1.5[23]\"]",
        "\"blk1.3[19]\"]",
        "minor: two runs share a bit",
    );
}

#[test]
fn rules_must_name_fields_that_exist() {
    refused(
        "when",
        "{ package = 0 }",
        "{ pakage = 0 }",
        "identity.part: no field `pakage`",
    );
    refused(
        "text",
        "1MB ({vendor})",
        "1MB ({maker})",
        "identity.features: {maker} is not in",
    );
    refused(
        "hidden",
        "{ when = { package = 1 }, text",
        "{ text",
        "hides those behind it",
    );
    refused(
        "open",
        "  { text = \"Unknown ESP32-C3\" },\n",
        "",
        "identity.part: the last rule must always hold",
    );
}

#[test]
fn blocks_registers_and_ranges_must_not_overlap() {
    refused(
        "blocks",
        "blk2 = [0x5c, 8]",
        "blk2 = [0x58, 8]",
        "efuse.blocks.blk2: overlaps",
    );
    refused(
        "len",
        "len = 0x200",
        "len = 0x100",
        "efuse.len: a block ends behind it",
    );
    refused(
        "spi",
        "usr1 = 0x1c",
        "usr1 = 0x18",
        "spi: two registers share an offset",
    );
    refused(
        "empty",
        "0x42000000, 0x42800000]\ndrom",
        "0x42800000, 0x42000000]\ndrom",
        "memory.irom",
    );
    refused(
        "region",
        "[\"IRAM\", 0x4037c000, 0x403e0000]",
        "[\"IROM\", 0x42700000, 0x43000000]",
        "memory.map: IROM overlaps itself",
    );
}

#[test]
fn flash_tables_must_be_unambiguous() {
    refused(
        "label",
        "[\"1MB\", 0x00]",
        "[\"1 MB\", 0x00]",
        "flash.sizes: \"1 MB\" is not a size",
    );
    refused(
        "code",
        "[\"1MB\", 0x00]",
        "[\"1MB\", 0x10]",
        "\"2MB\" or its code occurs twice",
    );
    refused(
        "nibble",
        "[\"80m\", 0xf]",
        "[\"80m\", 0x1f]",
        "flash.frequencies: 0x1f",
    );
}

#[test]
fn straps_must_agree_with_the_boot_pin() {
    refused(
        "strap",
        "{ strap = 0xd,",
        "{ strap = 0x3,",
        "rom.boot_modes: strap 0x3 and strapping",
    );
}

#[test]
fn a_quirk_without_what_it_needs_is_refused() {
    refused(
        "quirk",
        "uf2_family",
        "quirks = [\"flash-power-up\"]\nuf2_family",
        "named_bits: quirk FlashPowerUp needs `flash_on`",
    );
    refused(
        "eco0",
        "uf2_family",
        "quirks = [\"eco0-revision\"]\nuf2_family",
        "quirk eco0-revision needs `block_major`",
    );
}

#[test]
fn all_mistakes_of_all_files_are_listed_at_once() {
    let two = C3
        .replace("md5 = true", "md5 = false")
        .replace("usr1 = 0x1c", "usr1 = 0x18");
    let dir = folder("many", &two);
    let hints = fs::read_to_string(dir.join("hints.toml")).expect("a folder to write in");
    fs::write(
        dir.join("hints.toml"),
        hints.replace("\"port.busy\"", "\"port.none\""),
    )
    .expect("a folder to write in");
    let problems = generate::generate(&dir)
        .expect_err("three mistakes")
        .join("\n");
    for part in [
        "rom.md5",
        "spi: two",
        "chips/hints.toml: port.none: occurs twice",
    ] {
        assert!(problems.contains(part), "no `{part}` in {problems}");
    }
}
