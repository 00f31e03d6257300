//! Every part name, revision, feature list and MAC out of register words.

use std::collections::BTreeMap;

use guru_chip::*;
use proptest::prelude::*;

/// Register words in which fields are set by name, as a simulator does it.
struct Board {
    chip: &'static Chip,
    words: BTreeMap<u32, u32>,
}

impl Board {
    fn new(id: &str) -> Self {
        let chip = by_id(id).expect("a chip of this version");
        let words = chip
            .identity_words()
            .into_iter()
            .map(|addr| (addr, 0))
            .collect();
        Self { chip, words }
    }

    fn field(mut self, name: &str, value: u32) -> Self {
        let field = self.chip.identity.field(name).expect("a field of the chip");
        let words = &mut self.words;
        field
            .deposit(value, &mut |addr, mask, bits| set(words, addr, mask, bits))
            .expect("fits");
        self
    }

    fn revision(mut self, major: u8, minor: u8) -> Self {
        let words = &mut self.words;
        self.chip
            .deposit_revision(Revision::new(major, minor), &mut |addr, mask, bits| {
                set(words, addr, mask, bits);
            })
            .expect("fits");
        self
    }

    fn mac(mut self, mac: MacAddress) -> Self {
        let words = &mut self.words;
        self.chip
            .identity
            .mac
            .deposit(mac, &mut |addr, mask, bits| set(words, addr, mask, bits));
        self
    }

    /// Sets a whole word.
    fn word(mut self, addr: u32, word: u32) -> Self {
        self.words.insert(addr, word);
        self
    }

    fn identify(&self) -> Identification {
        self.chip
            .identify(&|addr| self.words.get(&addr).copied())
            .expect("all words are there")
    }

    fn description(&self) -> String {
        self.identify().description
    }

    fn features(&self) -> String {
        self.identify().features.join(", ")
    }
}

fn set(words: &mut BTreeMap<u32, u32>, addr: u32, mask: u32, bits: u32) {
    let word = words.entry(addr).or_default();
    *word = *word & !mask | bits;
}

#[test]
fn esp8266_and_every_esp8285_are_named() {
    let name = |board: Board| board.description();
    let plain = || Board::new("esp8266");
    assert_eq!(name(plain()), "ESP8266EX");
    assert_eq!(name(plain().field("flash", 1)), "ESP8285N08");
    assert_eq!(
        name(plain().field("flash", 1).field("hot", 1)),
        "ESP8285H08"
    );
    assert_eq!(name(plain().field("flash", 5)), "ESP8285N16");
    assert_eq!(
        name(plain().field("flash", 5).field("hot", 1)),
        "ESP8285H16"
    );
    let later = || plain().field("esp8285", 1);
    assert_eq!(name(later().field("flash", 2)), "ESP8285N16");
    assert_eq!(
        name(later().field("flash", 2).field("hot", 1)),
        "ESP8285H16"
    );
    // 4 MB and codes without a meaning.
    assert_eq!(name(later().field("flash", 6)), "ESP8285");
    assert_eq!(name(plain().field("flash", 3)), "ESP8285");
    // Size bits without the mark of an ESP8285.
    assert_eq!(name(plain().field("flash", 2)), "ESP8266EX");
}

#[test]
fn esp8266_has_no_revision_and_says_so() {
    let identification = Board::new("esp8266").identify();
    assert_eq!(identification.revision, None);
    assert_eq!(identification.description, identification.part);
    assert_eq!(identification.features, ["Wi-Fi", "160MHz"]);
    let esp8285 = Board::new("esp8266").field("esp8285", 1);
    assert_eq!(esp8285.features(), "Wi-Fi, 160MHz, Embedded Flash");
}

#[test]
fn esp8266_mac_takes_its_oui_from_word_3_or_from_the_selector() {
    let mac = |selector: u32, oui: u32| {
        Board::new("esp8266")
            .word(0x3ff0_0050, 0xab00_0000)
            .word(0x3ff0_0054, selector << 16 | 0x1234)
            .word(0x3ff0_005c, oui)
    };
    assert_eq!(mac(0, 0).identify().mac.to_string(), "18:fe:34:12:34:ab");
    assert_eq!(mac(1, 0).identify().mac.to_string(), "ac:d0:74:12:34:ab");
    assert_eq!(
        mac(2, 0x5c_cf7f).identify().mac.to_string(),
        "5c:cf:7f:12:34:ab"
    );
    let board = mac(2, 0);
    let unknown = board.chip.identify(&|addr| board.words.get(&addr).copied());
    assert_eq!(unknown, Err(WordsError::UnknownOui(2)));
}

#[test]
fn esp8266_chip_id_is_made_of_mac_bytes() {
    let board = Board::new("esp8266")
        .word(0x3ff0_0050, 0xab00_0000)
        .word(0x3ff0_0054, 0x7801_1234);
    let chip_id = board
        .chip
        .numeric_chip_id(&|addr| board.words.get(&addr).copied());
    assert_eq!(chip_id, Ok(Some(0x0112_34ab)));
}

#[test]
fn every_esp32_part_is_named() {
    for (package, single_core, major, name) in [
        (0, 0, 1, "ESP32-D0WDQ6 (revision v1.0)"),
        (0, 1, 1, "ESP32-S0WDQ6 (revision v1.0)"),
        (0, 0, 3, "ESP32-D0WDQ6-V3 (revision v3.0)"),
        (1, 0, 1, "ESP32-D0WD (revision v1.0)"),
        (1, 1, 3, "ESP32-S0WD (revision v3.0)"),
        (1, 0, 3, "ESP32-D0WD-V3 (revision v3.0)"),
        (2, 0, 1, "ESP32-D2WD (revision v1.0)"),
        (3, 0, 1, "Unknown ESP32 (revision v1.0)"),
        (4, 1, 3, "ESP32-U4WDH (revision v3.0)"),
        (5, 0, 1, "ESP32-PICO-D4 (revision v1.0)"),
        (5, 0, 3, "ESP32-PICO-V3 (revision v3.0)"),
        (6, 0, 3, "ESP32-PICO-V3-02 (revision v3.0)"),
        (7, 0, 3, "ESP32-D0WDR2-V3 (revision v3.0)"),
        (8, 0, 0, "Unknown ESP32 (revision v0.0)"),
    ] {
        let board = Board::new("esp32")
            .field("package", package)
            .field("single_core", single_core)
            .revision(major, 0);
        assert_eq!(board.description(), name);
    }
}

#[test]
fn esp32_revision_is_gathered_from_three_registers() {
    for (word3, word5, date, revision) in [
        (0, 0, 0, "v0.0"),
        (1 << 15, 0, 0, "v1.0"),
        (1 << 15, 1 << 20, 0, "v2.0"),
        (1 << 15, 1 << 20, 1 << 31, "v3.0"),
        (1 << 15, 1 << 20 | 1 << 24, 1 << 31, "v3.1"),
        // A combination that was never made.
        (0, 1 << 20, 1 << 31, "v0.0"),
    ] {
        let board = Board::new("esp32")
            .word(0x3ff5_a00c, word3)
            .word(0x3ff5_a014, word5)
            .word(0x3ff6_607c, date);
        let read = board.identify().revision.expect("the ESP32 has revisions");
        assert_eq!(read.to_string(), revision);
    }
}

#[test]
fn esp32_features_follow_the_efuses() {
    assert_eq!(
        Board::new("esp32").features(),
        "Wi-Fi, BT, Dual Core + LP Core, Coding Scheme None"
    );
    let usual = Board::new("esp32")
        .field("rated", 1)
        .field("vref", 9)
        .field("coding", 1);
    assert_eq!(
        usual.features(),
        "Wi-Fi, BT, Dual Core + LP Core, 240MHz, Vref calibration in eFuse, Coding Scheme 3/4"
    );
    let pico = Board::new("esp32")
        .field("no_bt", 1)
        .field("single_core", 1)
        .field("rated", 1)
        .field("slow", 1)
        .field("package", 6)
        .field("blk3_reserved", 1)
        .field("coding", 3);
    assert_eq!(
        pico.features(),
        "Wi-Fi, Single Core + LP Core, 160MHz, Embedded Flash, Embedded PSRAM, \
         BLK3 partially reserved, Coding Scheme None (may contain encoding data)"
    );
}

#[test]
fn every_esp32s2_part_is_named_by_its_flash_and_psram() {
    for (flash, psram, name) in [
        (0, 0, "ESP32-S2"),
        (1, 0, "ESP32-S2FH2"),
        (2, 0, "ESP32-S2FH4"),
        (2, 1, "ESP32-S2FNR2"),
        (0, 1, "ESP32-S2R2"),
        (1, 1, "Unknown ESP32-S2"),
    ] {
        let board = Board::new("esp32s2")
            .field("flash", flash)
            .field("psram", psram);
        assert_eq!(board.description(), format!("{name} (revision v0.0)"));
    }
    assert_eq!(
        Board::new("esp32s2")
            .field("flash", 2)
            .field("psram", 1)
            .field("calibration", 2)
            .features(),
        "Wi-Fi, Single Core, 240MHz, Embedded Flash 4MB, Embedded PSRAM 2MB, \
         ADC and temperature sensor calibration in BLK2 of eFuse V2"
    );
    assert_eq!(
        Board::new("esp32s2")
            .field("flash", 15)
            .field("psram", 15)
            .field("calibration", 7)
            .features(),
        "Wi-Fi, Single Core, 240MHz, Unknown Embedded Flash, Unknown Embedded PSRAM, \
         Unknown calibration in BLK2"
    );
}

#[test]
fn every_esp32c3_part_is_named() {
    for (package, name) in [
        (0, "ESP32-C3 (QFN32)"),
        (1, "ESP8685 (QFN28)"),
        (2, "ESP32-C3 AZ (QFN32)"),
        (3, "ESP8686 (QFN24)"),
        (4, "Unknown ESP32-C3"),
    ] {
        let board = Board::new("esp32c3")
            .field("package", package)
            .revision(0, 4);
        assert_eq!(board.identify().part, name);
        assert_eq!(board.description(), format!("{name} (revision v0.4)"));
    }
    let none = "Wi-Fi, BT 5 (LE), Single Core, 160MHz";
    assert_eq!(Board::new("esp32c3").features(), none);
    let flash = |code, vendor| {
        Board::new("esp32c3")
            .field("flash", code)
            .field("vendor", vendor)
            .features()
    };
    assert_eq!(flash(1, 1), format!("{none}, Embedded Flash 4MB (XMC)"));
    assert_eq!(flash(4, 5), format!("{none}, Embedded Flash 8MB (ZBIT)"));
    // A vendor without a name leaves the parentheses empty, as the reference does.
    assert_eq!(flash(2, 7), format!("{none}, Embedded Flash 2MB ()"));
    assert_eq!(flash(7, 0), format!("{none}, Unknown Embedded Flash ()"));
}

#[test]
fn esp32c3_minor_revision_is_split_over_two_words() {
    let board = Board::new("esp32c3")
        .word(0x6000_8850, 0b011 << 18)
        .word(0x6000_8858, 1 << 23 | 0b01 << 24);
    assert_eq!(board.identify().revision, Some(Revision::new(1, 11)));
    assert_eq!(board.description(), "ESP32-C3 (QFN32) (revision v1.11)");
}

#[test]
fn esp32p4_major_revision_has_its_third_bit_apart() {
    let board = Board::new("esp32p4").word(0x5012_d04c, 1 << 23 | 2);
    assert_eq!(board.description(), "ESP32-P4 (revision v4.2)");
    for (major, minor) in [(0, 0), (1, 3), (3, 0), (3, 2), (7, 15)] {
        let board = Board::new("esp32p4").revision(major, minor);
        assert_eq!(board.identify().revision, Some(Revision::new(major, minor)));
    }
    assert_eq!(
        Board::new("esp32p4").features(),
        "Dual Core + LP Core, 400MHz"
    );
    assert_eq!(
        Board::new("esp32p4").field("package", 1).identify().part,
        "Unknown ESP32-P4"
    );
}

#[test]
fn a_missing_word_is_named() {
    for chip in CHIPS {
        for missing in chip.identity_words() {
            let words = |addr| (addr != missing).then_some(0);
            match chip.identify(&words) {
                Err(e) => assert_eq!(e, WordsError::Missing(missing), "{}", chip.id),
                // The word decides nothing while the others are zero.
                Ok(_) => assert!(chip.identify(&|_| Some(0)).is_ok()),
            }
        }
    }
}

#[test]
fn a_revision_that_the_chip_cannot_hold_is_refused() {
    for (id, revision) in [("esp32", (4, 0)), ("esp32c3", (4, 0)), ("esp8266", (1, 0))] {
        let chip = by_id(id).expect("a chip of this version");
        let revision = Revision::new(revision.0, revision.1);
        assert!(
            chip.deposit_revision(revision, &mut |_, _, _| ()).is_err(),
            "{id}"
        );
    }
}

proptest! {
    #[test]
    fn every_mac_reads_as_it_was_deposited(bytes: [u8; 6]) {
        for chip in CHIPS {
            let mac = MacAddress(bytes);
            // Six bytes that begin with zeros have no form in the ESP8266's OTP.
            if chip.id == "esp8266" && bytes[..3] == [0, 0, 0] {
                continue;
            }
            prop_assert_eq!(Board::new(chip.id).mac(mac).identify().mac, mac);
        }
    }

    #[test]
    fn every_field_reads_as_it_was_deposited(noise: u32, value: u32) {
        for field in CHIPS.iter().flat_map(|chip| chip.identity.fields) {
            let width: u32 = field.parts.iter().map(|part| u32::from(part.width)).sum();
            let value = value & (u32::MAX >> (32 - width));
            let mut words: BTreeMap<u32, u32> = BTreeMap::new();
            let before = words.clone();
            let done = field.deposit(value, &mut |addr, mask, bits| {
                let word = words.entry(addr).or_insert(noise);
                assert_eq!(bits & !mask, 0, "bits outside the mask");
                *word = *word & !mask | bits;
            });
            match done {
                Ok(()) => prop_assert_eq!(field.read(&|addr| words.get(&addr).copied()), Ok(value)),
                Err(_) => prop_assert_eq!(words, before),
            }
        }
    }

    #[test]
    fn macs_and_revisions_survive_their_text(bytes: [u8; 6], major in 0_u8..100, minor in 0_u8..100) {
        let mac = MacAddress(bytes);
        prop_assert_eq!(mac.to_string().parse(), Ok(mac));
        let revision = Revision::new(major, minor);
        prop_assert_eq!(revision.to_string().parse(), Ok(revision));
    }

    #[test]
    fn parsing_a_mac_or_a_revision_never_panics(text in "\\PC{0,20}") {
        _ = text.parse::<MacAddress>();
        _ = text.parse::<Revision>();
    }
}

#[test]
fn texts_that_are_no_mac_or_revision_are_refused() {
    for text in [
        "",
        "aa:bb:cc:dd:ee",
        "aa:bb:cc:dd:ee:ff:00",
        "aa:bb:cc:dd:ee:f",
        "+a:bb:cc:dd:ee:ff",
    ] {
        assert!(text.parse::<MacAddress>().is_err(), "{text}");
    }
    for text in ["", "3", "v", "3.", ".1", "3.1.0", "+3.1", "300.1", "3.+1"] {
        assert!(text.parse::<Revision>().is_err(), "{text}");
    }
}
