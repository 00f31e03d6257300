//! The tables hold together, and look-ups find what they should.

use std::collections::{BTreeMap, BTreeSet};

use guru_chip::*;

fn chip(id: &str) -> &'static Chip {
    by_id(id).expect("a chip of this version")
}

#[test]
fn chips_stand_in_the_order_of_their_names() {
    let ids: Vec<_> = CHIPS.iter().map(|chip| chip.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for id in ["esp8266", "esp32", "esp32s2", "esp32c3", "esp32p4"] {
        assert!(ids.contains(&id), "no {id}");
    }
}

#[test]
fn a_chip_is_found_however_its_name_is_written() {
    for name in ["esp32c3", "ESP32-C3", "Esp32_C3", "esp32-c3"] {
        assert_eq!(by_id(name).map(|chip| chip.id), Some("esp32c3"), "{name}");
    }
    for name in ["", "auto", "esp32c", "esp32c33", "esp32 c3"] {
        assert!(by_id(name).is_none(), "{name}");
    }
}

#[test]
fn each_chip_is_found_by_what_tells_it_and_by_nothing_else() {
    for chip in CHIPS {
        match chip.detection {
            Detection::Magic(magic) => assert_eq!(by_magic(magic).map(|c| c.id), Some(chip.id)),
            Detection::ChipId(_) => assert!(chip.image.chip_id.is_some()),
        }
        if let Some(chip_id) = chip.image.chip_id {
            assert_eq!(by_chip_id(chip_id).map(|c| c.id), Some(chip.id));
            let known = known_chip_id(chip_id).expect("a chip with an entry is known");
            assert_eq!(known.entry().map(|c| c.id), Some(chip.id));
        }
    }
    assert!(by_magic(0).is_none());
    assert!(by_chip_id(0xffff).is_none());
}

#[test]
fn a_chip_without_an_entry_is_known_by_id_and_name() {
    let c6 = known_chip_id(13).expect("the ESP32-C6 is known");
    assert_eq!((c6.name, c6.dropped), ("ESP32-C6", false));
    assert_eq!(known_name("esp32-c6"), Some(c6));
    assert!(known_chip_id(0xffff).is_none());
    let dropped: Vec<_> = KNOWN
        .iter()
        .filter(|k| k.dropped)
        .map(|k| k.chip_id)
        .collect();
    assert_eq!(dropped, [4, 6, 7, 10, 14, 17]);
}

#[test]
fn every_chip_has_a_boot_log_and_modes_for_all_revisions() {
    for chip in CHIPS {
        for revision in [0, 3, 100, 101, 300, 302, u16::MAX].map(Revision) {
            assert!(chip.rom.banner(revision).is_some(), "{}", chip.id);
            for download in [false, true] {
                let mode = chip.rom.boot_mode(revision, download).expect("a boot mode");
                assert_eq!(mode.download, download);
            }
        }
    }
}

#[test]
fn boot_logs_follow_the_revision() {
    let build = |id, revision| chip(id).rom.banner(Revision(revision)).map(|b| b.build);
    assert_eq!(build("esp32", 101), Some("ets Jun  8 2016 00:22:57"));
    assert_eq!(build("esp32", 300), Some("ets Jul 29 2019 12:21:46"));
    assert_eq!(build("esp32c3", 2), Some("ESP-ROM:esp32c3-20200918"));
    assert_eq!(build("esp32c3", 4), Some("ESP-ROM:esp32c3-api1-20210207"));
    assert_eq!(build("esp32p4", 0), Some("ESP-ROM:esp32p4-20230811"));
    assert_eq!(build("esp32p4", 1), Some("ESP-ROM:esp32p4-eco1-20240205"));
    assert_eq!(build("esp32p4", 103), Some("ESP-ROM:esp32p4-eco2-20240710"));
    assert_eq!(build("esp32p4", 300), Some("ESP-ROM:esp32p4-eco5-20250430"));
    assert_eq!(build("esp32p4", 301), Some("ESP-ROM:esp32p4-eco6-20251011"));
    assert_eq!(build("esp32p4", 302), Some("ESP-ROM:esp32p4-eco7-20260109"));
    assert_eq!(build("esp32s31", 0), Some("ESP-ROM:esp32s31-20251218"));
    let mode = |revision| {
        chip("esp32c3")
            .rom
            .boot_mode(Revision(revision), true)
            .map(|m| m.name)
    };
    assert_eq!(mode(100), Some("DOWNLOAD(USB/UART0/1)"));
    assert_eq!(mode(101), Some("DOWNLOAD(USB/UART0)"));
    let of = |revision| {
        chip("esp32c3")
            .rom
            .boot_mode_of(Revision(revision), 5)
            .map(|m| m.name)
    };
    assert_eq!(of(4), Some("DOWNLOAD(USB/UART0/1)"));
    assert_eq!(of(200), Some("DOWNLOAD(USB/UART0)"));
}

#[test]
fn secure_download_mode_leaves_few_commands() {
    const READ_REG: u8 = 0x0a;
    const FLASH_BEGIN: u8 = 0x02;
    for chip in CHIPS {
        assert!(chip.rom.answers(READ_REG, false) && chip.rom.answers(FLASH_BEGIN, false));
        assert!(!chip.rom.answers(READ_REG, true));
        assert_eq!(
            chip.rom.answers(FLASH_BEGIN, true),
            !chip.rom.secure_commands.is_empty()
        );
    }
}

#[test]
fn flash_sizes_and_frequencies_are_found_by_label_code_and_bytes() {
    let flash = &chip("esp32c3").flash;
    let four = flash.size_by_label("4mb").expect("4 MB");
    assert_eq!((four.label, four.code, four.bytes), ("4MB", 0x20, 4 << 20));
    assert_eq!(flash.size_by_code(0x2f), Some(four));
    assert_eq!(flash.size_by_bytes(4 << 20), Some(four));
    assert_eq!(flash.size_by_label("512KB"), None);
    assert_eq!(flash.size_by_code(0xf0), None);
    assert_eq!(flash.frequency_by_label("80M"), Some(0xf));
    assert_eq!(flash.frequency_by_label("48m"), None);
    assert_eq!(flash.frequency_by_code(0x2f), Some("80m"));
    assert_eq!(flash.frequency_by_code(0x23), None);
    assert_eq!(
        flash.frequency_labels().collect::<Vec<_>>(),
        ["80m", "40m", "26m", "20m"]
    );
    // Two labels, one size: the plain one counts.
    let esp8266 = &chip("esp8266").flash;
    assert_eq!(
        esp8266.size_by_bytes(2 << 20).map(|size| size.label),
        Some("2MB")
    );
    assert_eq!(
        esp8266.size_by_label("2MB-c1").map(|size| size.bytes),
        Some(2 << 20)
    );
    assert_eq!(esp8266.size_labels().count(), 9);
}

#[test]
fn capacity_is_told_from_the_jedec_id() {
    let capacity = |id| {
        JedecId(id)
            .capacity()
            .map(|capacity| (capacity.bytes, capacity.label))
    };
    for (id, expected) in [
        (0x16_40ef, Some((4 << 20, "4MB"))),
        (0x12_40c8, Some((256 << 10, "256KB"))),
        (0x1c_4020, Some((256 << 20, "256MB"))),
        // Octal and stacked families.
        (0x20_ba20, Some((64 << 20, "64MB"))),
        (0x22_ba20, Some((256 << 20, "256MB"))),
        (0x37_81c2, Some((8 << 20, "8MB"))),
        (0x3a_80c2, Some((64 << 20, "64MB"))),
        // Adesto: the size is in the first device byte.
        (0x01_841f, Some((512 << 10, "512KB"))),
        (0x15_871f, Some((4 << 20, "4MB"))),
        (0x15_891f, Some((16 << 20, "16MB"))),
        (0x15_8a1f, None),
        (0x15_831f, None),
        (0x11_40ef, None),
        (0x1d_40ef, None),
        (0x23_40ef, None),
        (0x3b_40ef, None),
        (0x00_0000, None),
        (0xff_ffff, None),
    ] {
        assert_eq!(capacity(id), expected, "{id:06x}");
    }
    let id = JedecId(0x16_40ef);
    assert_eq!((id.manufacturer(), id.device()), (0xef, 0x4016));
    assert!(JedecId(0xff_ffff).is_nothing() && JedecId(0).is_nothing() && !id.is_nothing());
}

#[test]
fn the_crystal_is_told_from_the_divider() {
    for (id, mhz) in [
        ("esp32", 40),
        ("esp32", 26),
        ("esp8266", 26),
        ("esp8266", 40),
    ] {
        let crystal = chip(id).crystal;
        for baud in [115_200, 460_800, 921_600] {
            let divider = crystal.clkdiv(baud, mhz);
            let estimate = crystal.estimate(baud, divider);
            assert_eq!(estimate.mhz, mhz, "{id} at {baud}");
            assert!(!estimate.is_doubtful(), "{id} at {baud}: {estimate:?}");
        }
    }
    let odd = chip("esp32").crystal.estimate(115_200, 347 * 48 / 40);
    assert!(odd.is_doubtful(), "{odd:?}");
    let fixed = chip("esp32c3").crystal.estimate(115_200, 0);
    assert_eq!((fixed.mhz, fixed.is_doubtful()), (40, false));
}

#[test]
fn addresses_are_found_in_the_memory_map() {
    let c3 = chip("esp32c3");
    assert_eq!(
        c3.memory_at(0x4200_0000).map(|memory| memory.name),
        Some("IROM")
    );
    assert_eq!(
        c3.memory_at(0x427f_ffff).map(|memory| memory.name),
        Some("IROM")
    );
    assert!(c3.memory_at(0x4280_0000).is_none());
    assert_eq!(
        c3.memory_names(0x3fc8_8000).collect::<Vec<_>>(),
        ["DRAM", "BYTE_ACCESSIBLE"]
    );
    assert!(c3.is_flash_mapped(0x3c00_0000) && !c3.is_flash_mapped(0x4037_c000));
    let esp8266 = chip("esp8266");
    assert!(esp8266.drom.is_empty() && !esp8266.is_flash_mapped(0));
}

#[test]
fn every_word_that_is_read_lies_in_a_register_that_the_entry_names() {
    for chip in CHIPS {
        for block in chip.efuse.blocks {
            let last = block.addr + 4 * (block.words - 1);
            assert!(
                chip.efuse.contains(block.addr) && chip.efuse.contains(last),
                "{}",
                chip.id
            );
        }
        assert!(!chip.efuse.contains(chip.efuse.base - 4));
        assert!(!chip.efuse.contains(chip.efuse.base + chip.efuse.len));
        // At most one register outside the eFuses is needed to tell what a chip is.
        let others = chip
            .identity_words()
            .into_iter()
            .filter(|addr| !chip.efuse.contains(*addr));
        assert!(others.count() <= 1, "{}", chip.id);
        assert!(chip.identity_words().len() <= 8, "{}", chip.id);
    }
}

#[test]
fn the_esp32s_flash_voltage_is_decided_in_order() {
    let esp32 = chip("esp32");
    let voltage = |sdio: u32, efuse: u32, strap: u32| {
        let words = BTreeMap::from([
            (0x3ff4_8074, sdio),
            (0x3ff5_a010, efuse),
            (0x3ff4_4038, strap),
        ]);
        let voltage = esp32.flash.voltage(&|addr| words.get(&addr).copied());
        voltage
            .expect("all words are there")
            .map(|v| format!("{}: {}", v.source, v.volts))
    };
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(voltage(0, 0, 0), is("a strapping pin: 3.3V"));
    assert_eq!(voltage(0, 0, 1 << 5), is("a strapping pin: 1.8V"));
    assert_eq!(voltage(0, 1 << 16, 0), is("eFuse: OFF"));
    assert_eq!(voltage(0, 1 << 16 | 1 << 14, 1 << 5), is("eFuse: 1.8V"));
    assert_eq!(
        voltage(0, 1 << 16 | 1 << 14 | 1 << 15, 0),
        is("eFuse: 3.3V")
    );
    assert_eq!(voltage(1 << 22, 1 << 16, 0), is("RTC_CNTL: OFF"));
    assert_eq!(voltage(1 << 22 | 1 << 31, 0, 0), is("RTC_CNTL: 1.8V"));
    assert_eq!(
        voltage(1 << 22 | 3 << 29 | 1 << 31, 0, 0),
        is("RTC_CNTL: 1.9V")
    );
}

#[test]
fn only_the_words_that_decide_the_voltage_are_asked_for() {
    let esp32 = chip("esp32");
    let asked = std::cell::RefCell::new(Vec::new());
    let words = |addr| {
        asked.borrow_mut().push(addr);
        Some(1 << 22)
    };
    assert!(esp32.flash.voltage(&words).is_ok());
    let asked: BTreeSet<u32> = asked.into_inner().into_iter().collect();
    assert_eq!(asked, BTreeSet::from([0x3ff4_8074]));
}

#[test]
fn security_is_told_from_the_efuses() {
    let s2 = &chip("esp32s2").security;
    let read = |w2: u32, w3: u32| {
        move |addr| match addr {
            0x3f41_a034 => Some(w2),
            0x3f41_a038 => Some(w3),
            _ => Some(0),
        }
    };
    assert_eq!(s2.encryption_on(&read(0b001 << 18, 0)), Ok(true));
    assert_eq!(s2.encryption_on(&read(0b011 << 18, 0)), Ok(false));
    assert_eq!(s2.encryption_on(&read(0b111 << 18, 0)), Ok(true));
    assert_eq!(s2.secure_boot_on(None, &read(0, 1 << 20)), Ok(true));
    assert_eq!(s2.has_encryption_key(&read(0, 0)), Ok(false));
    // One half of an XTS-AES-256 key is none; both are.
    assert_eq!(s2.has_encryption_key(&read(2 << 24, 0)), Ok(false));
    assert_eq!(s2.has_encryption_key(&read(2 << 24, 3 << 12)), Ok(true));
    assert_eq!(s2.has_encryption_key(&read(0, 4 << 8)), Ok(true));
    assert_eq!(s2.purposes(&read(9 << 28, 0)), Ok(vec![0, 9, 0, 0, 0, 0]));
    assert_eq!(s2.purpose_name(9), Some("SECURE_BOOT_DIGEST0"));
    assert_eq!(s2.purpose_name(15), None);
    let p4 = &chip("esp32p4").security;
    assert_eq!(
        p4.has_encryption_key(&|a| Some(u32::from(a == 0x5012_d034) << 10)),
        Ok(true)
    );
}

#[test]
fn a_field_may_lie_elsewhere_in_a_later_revision() {
    let p4 = &chip("esp32p4").efuse;
    let (early, late) = (Revision::new(1, 3), Revision::new(3, 0));
    let width = |revision, name| p4.field_of(revision, name).map(|field| field.width());
    assert_eq!(width(early, "KEY_PURPOSE_0"), Some(4));
    assert_eq!(width(late, "key_purpose_0"), Some(5));
    assert_eq!(width(early, "SECURE_BOOT_SHA384_EN"), None);
    assert_eq!(width(late, "SECURE_BOOT_SHA384_EN"), Some(1));
    assert_eq!(width(early, "FLASH_TYPE"), Some(1));
    assert_eq!(width(late, "FLASH_TYPE"), None);
    assert_eq!(width(late, "SECURE_BOOT_EN"), Some(1));
    for revision in [early, late] {
        let names: Vec<_> = p4.fields_of(revision).map(|field| field.name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[test]
fn secure_boot_v2_counts_on_the_esp32_from_revision_3_on() {
    let security = &chip("esp32").security;
    let v2 = |addr| Some(u32::from(addr == 0x3ff5_a018) << 5);
    assert_eq!(
        security.secure_boot_on(Some(Revision::new(1, 0)), &v2),
        Ok(false)
    );
    assert_eq!(
        security.secure_boot_on(Some(Revision::new(3, 0)), &v2),
        Ok(true)
    );
    assert_eq!(security.secure_boot_v1_on(&v2), Ok(false));
}

#[test]
fn adapters_are_found_by_product_before_vendor() {
    let name = |vendor, product| adapter(vendor, product).map(|adapter| adapter.name);
    assert_eq!(name(0x10c4, 0xea60), Some("CP2102/CP2102N/CP2104"));
    assert_eq!(
        name(ESPRESSIF_VENDOR, USB_SERIAL_JTAG_PRODUCT),
        Some("USB-Serial/JTAG")
    );
    assert_eq!(name(ESPRESSIF_VENDOR, 0x4001), Some("Espressif USB device"));
    assert_eq!(name(0x10c4, 0x0001), None);
    assert!(adapter(0x10c4, 0xea64).is_some_and(|adapter| adapter.lines_flow_control));
}

#[test]
fn every_hint_says_what_to_do() {
    let ids: Vec<_> = HINTS.iter().map(|hint| hint.id).collect();
    assert!(ids.is_sorted());
    for id in [
        "connect.no-answer",
        "port.busy",
        "write.verify-failed",
        "security.guard",
    ] {
        assert_eq!(hint(id).map(|hint| hint.id), Some(id));
    }
    assert_eq!(hint("connect"), None);
    for hint in HINTS {
        for text in [hint.symptom, hint.cause, hint.remedy] {
            let sentence = text.starts_with(|c: char| c.is_uppercase()) && !text.contains('\n');
            assert!(sentence, "{}: {text}", hint.id);
        }
    }
}

#[test]
fn what_the_virtual_chip_prints_of_resets_is_what_their_numbers_mean() {
    for chip in CHIPS {
        for (code, text) in chip.registers.causes {
            let Some(reason) = chip.rom.reset_reason(*code) else {
                continue;
            };
            assert_eq!(*text, format!("{code:#x} ({})", reason.name), "{}", chip.id);
        }
    }
}
