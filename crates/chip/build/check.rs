//! What an entry must satisfy beyond its shape. Each finding names the file, the key and the value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::bits::{Bits, Blocks, Runs};
use super::schema::{
    Assumed, Chip, Crystal, Detection, Feature, Field, FullField, Quirk, Rule, SecurityInfo,
};

/// Checks one entry by itself; `id` is the name of its file.
pub fn chip(id: &str, chip: &Chip) -> Result<(), Vec<String>> {
    let mut check = Check {
        file: id,
        blocks: chip.efuse.blocks(),
        problems: Vec::new(),
    };
    check.names(id, chip);
    check.rom(chip);
    check.registers(chip);
    check.efuse(chip);
    check.identity(chip);
    check.security(chip);
    check.flash(chip);
    check.memory(chip);
    check.machine(chip);
    check.fast_clock(chip);
    check.quirks(chip);
    if check.problems.is_empty() {
        Ok(())
    } else {
        Err(check.problems)
    }
}

/// Checks what only shows between entries: how chips are told apart, and family ids.
pub fn together(chips: &[(String, Chip)]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut taken = BTreeMap::<String, &str>::new();
    for (id, chip) in chips {
        let detection = match chip.detection {
            Detection::Magic(magic) => format!("detection.magic {magic:#010x}"),
            Detection::ChipId(chip_id) => format!("detection.chip-id {chip_id}"),
        };
        let mut keys = vec![detection, format!("name {}", chip.name)];
        keys.extend(
            chip.uf2_family
                .map(|family| format!("uf2_family {family:#010x}")),
        );
        keys.extend(
            chip.image
                .chip_id
                .map(|chip_id| format!("image.chip_id {chip_id}")),
        );
        for key in keys {
            if let Some(other) = taken.insert(key.clone(), id) {
                problems.push(format!(
                    "chips/{id}.toml: {key}: chips/{other}.toml has it as well"
                ));
            }
        }
    }
    problems
}

struct Check<'a> {
    file: &'a str,
    blocks: Blocks,
    problems: Vec<String>,
}

impl Check<'_> {
    fn fail(&mut self, key: &str, what: impl Display) {
        self.problems
            .push(format!("chips/{}.toml: {key}: {what}", self.file));
    }

    fn require(&mut self, holds: bool, key: &str, what: impl Display) {
        if !holds {
            self.fail(key, what);
        }
    }

    fn names(&mut self, id: &str, chip: &Chip) {
        let plain: String = chip
            .name
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let lower = id
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        self.require(lower, "file name", "small letters and digits only");
        self.require(
            plain == id,
            "name",
            format!("\"{}\" is not the file's name", chip.name),
        );
        match chip.detection {
            Detection::ChipId(chip_id) => {
                self.require(
                    chip.image.chip_id == Some(chip_id),
                    "image.chip_id",
                    "is not that of detection",
                );
                self.require(
                    chip.rom.security_info == SecurityInfo::Long,
                    "rom.security_info",
                    "only the long form tells the chip id",
                );
            }
            Detection::Magic(_) => self.require(
                chip.rom.security_info != SecurityInfo::Long,
                "detection",
                "a chip with the long security info is told by its chip id",
            ),
        }
        self.require(
            chip.image.bootloader_offset.is_multiple_of(0x1000),
            "image.bootloader_offset",
            "is not a multiple of a sector (4096)",
        );
        let pages = &chip.image.mmu_pages;
        self.require(
            pages.is_sorted()
                && pages
                    .iter()
                    .all(|page| page.is_power_of_two() && *page >= 0x1000)
                && pages.contains(&0x1_0000),
            "image.mmu_pages",
            "are not ascending powers of two with 64 KB among them",
        );
    }

    fn rom(&mut self, chip: &Chip) {
        let rom = &chip.rom;
        self.require(
            matches!(rom.status_len, 2 | 4),
            "rom.status_len",
            "must be 2 or 4",
        );
        self.require(
            matches!(rom.begin_words, 4 | 5),
            "rom.begin_words",
            "must be 4 or 5",
        );
        self.require(
            rom.sync_value != 0,
            "rom.sync_value",
            "0 would look like a flasher stub",
        );
        for (key, list) in [
            ("rom.commands", &rom.commands),
            ("rom.secure_commands", &rom.secure_commands),
        ] {
            self.require(ascending(list), key, "must be ascending, each once");
            self.require(
                list.iter().all(|&op| (2..0xd0).contains(&op)),
                key,
                "not a ROM's command",
            );
        }
        let codes: Vec<u8> = rom.reset_reasons.iter().map(|reason| reason.code).collect();
        self.require(
            ascending(&codes),
            "rom.reset_reasons",
            "must be ascending, each once",
        );
        for op in &rom.secure_commands {
            self.require(
                rom.commands.contains(op),
                "rom.secure_commands",
                format!("{op:#04x} is not among rom.commands"),
            );
        }
        for (op, given, key) in [
            (0x10, rom.inflate.is_some(), "rom.inflate"),
            (0x13, rom.md5, "rom.md5"),
            (
                0x14,
                rom.security_info != SecurityInfo::None,
                "rom.security_info",
            ),
        ] {
            self.require(
                rom.commands.contains(&op) == given,
                key,
                format!("does not fit command {op:#04x} in rom.commands"),
            );
        }
        for (key, size) in [
            ("rom.flash_block", rom.flash_block),
            ("rom.ram_block", rom.ram_block),
        ] {
            self.require(
                size > 0 && size.is_multiple_of(0x400) && size <= 0x4000,
                key,
                "odd size",
            );
        }
        self.require(
            rom.receive.size >= 64,
            "rom.receive.size",
            "too small for a command",
        );
        self.require(
            rom.default_flash_size.is_power_of_two(),
            "rom.default_flash_size",
            "must be a power of two",
        );
        self.require(rom.log_baud >= 9600, "rom.log_baud", "too low");
        self.boot_log(chip);
    }

    fn boot_log(&mut self, chip: &Chip) {
        let rom = &chip.rom;
        let revisions: Vec<u16> = rom
            .banners
            .iter()
            .map(|banner| banner.min_revision)
            .collect();
        self.require(
            revisions.first() == Some(&0),
            "rom.banners",
            "the first one must be for 0",
        );
        self.require(
            ascending(&revisions),
            "rom.banners",
            "min_revision must be ascending",
        );
        for banner in &rom.banners {
            let segment = std::slice::from_ref(&banner.segment);
            for (key, lines, known) in [
                (
                    "lines",
                    &banner.lines[..],
                    &["reset", "mode", "mode_name"][..],
                ),
                ("waiting", &banner.waiting, &[]),
                (
                    "loading",
                    &banner.loading,
                    &["wp", "flash_mode", "clock_div"],
                ),
                ("segment", segment, &["address", "len", "decimal_len"]),
            ] {
                for name in lines.iter().flat_map(|line| placeholders(line)) {
                    self.require(
                        known.contains(&name),
                        &format!("rom.banners.{key}"),
                        format!("unknown {{{name}}}"),
                    );
                }
            }
        }
        for download in [false, true] {
            self.require(
                rom.boot_modes
                    .iter()
                    .any(|m| m.download == download && m.min_revision == 0),
                "rom.boot_modes",
                format!("none with download = {download} for revision 0"),
            );
        }
        let mut seen = BTreeSet::new();
        for mode in &rom.boot_modes {
            self.require(
                seen.insert((mode.strap, mode.min_revision)),
                "rom.boot_modes",
                format!("strap {:#x} occurs twice", mode.strap),
            );
            if let Some(strapping) = &chip.strapping {
                let boot_pin_low = mode
                    .strap
                    .checked_shr(strapping.boot_bit.into())
                    .unwrap_or(0)
                    & 1
                    == 0;
                self.require(
                    boot_pin_low == mode.download,
                    "rom.boot_modes",
                    format!("strap {:#x} and strapping.boot_bit disagree", mode.strap),
                );
            }
        }
        self.require(
            chip.usb.serial_jtag != rom.resets.usb.is_empty(),
            "rom.resets.usb",
            "must be given if and only if usb.serial_jtag",
        );
    }

    fn registers(&mut self, chip: &Chip) {
        let spi = &chip.spi;
        self.word("spi.base", spi.base);
        let mut offsets = vec![0, 4, 8, spi.usr, spi.usr1, spi.usr2, spi.w0];
        offsets.extend(spi.mosi_dlen.into_iter().chain(spi.miso_dlen));
        offsets.sort_unstable();
        self.require(ascending(&offsets), "spi", "two registers share an offset");
        self.require(
            offsets.iter().all(|o| o % 4 == 0 && *o < 0x400),
            "spi",
            "an offset is odd",
        );
        self.require(
            spi.mosi_dlen.is_some() == spi.miso_dlen.is_some(),
            "spi.mosi_dlen",
            "and miso_dlen come together",
        );
        if let Some(pins) = &spi.pins {
            self.require(!pins.gpios.is_empty(), "spi.pins.gpios", "no pins");
            let mut next = 0;
            for &(first, last) in &pins.gpios {
                self.require(
                    first <= last && first >= next && last < 64,
                    "spi.pins.gpios",
                    format!("[{first}, {last}] is not an ascending range"),
                );
                next = last.saturating_add(1);
            }
            let valid = |pin: &u8| pins.gpios.iter().any(|(a, b)| (a..=b).contains(&pin));
            self.require(
                pins.usb_gpios.iter().all(valid),
                "spi.pins.usb_gpios",
                "not a valid pin",
            );
            self.require(
                pins.hd_max.iter().all(valid),
                "spi.pins.hd_max",
                "not a valid pin",
            );
        }
        self.word("uart.clkdiv", chip.uart.clkdiv);
        self.word("uart.date", chip.uart.date);
        match &chip.crystal {
            Crystal::Fixed(mhz) => {
                self.require((10..=60).contains(mhz), "crystal.fixed", "odd frequency");
            }
            Crystal::Estimated(estimate) => {
                self.require(estimate.divisor > 0, "crystal.estimated.divisor", "is 0");
                self.require(
                    !estimate.choices.is_empty() && ascending(&estimate.choices),
                    "crystal.estimated.choices",
                    "must be ascending",
                );
                let key = "crystal.estimated.assumed";
                let assumed = match &estimate.assumed {
                    None => None,
                    Some(Assumed::Always(mhz)) => Some(mhz),
                    Some(Assumed::Register(register)) => {
                        self.one(key, Some(&register.bits));
                        Some(&register.usual)
                    }
                };
                self.require(
                    assumed.is_none_or(|mhz| estimate.choices.contains(mhz)),
                    key,
                    "is not among choices",
                );
            }
        }
        if let Some(wdt) = &chip.watchdogs {
            let mut regs = vec![wdt.config0, wdt.config1, wdt.protect];
            if let Some(swd) = &wdt.swd {
                regs.extend([swd.config, swd.protect]);
                self.require(
                    swd.auto_feed < 32,
                    "watchdogs.swd.auto_feed",
                    "is not a bit",
                );
            }
            regs.iter().for_each(|&reg| self.word("watchdogs", reg));
            regs.sort_unstable();
            self.require(
                ascending(&regs),
                "watchdogs",
                "two registers share an address",
            );
        }
        if let Some(strapping) = &chip.strapping {
            self.word("strapping.gpio_strap", strapping.gpio_strap);
            self.require(
                strapping.boot_bit < 16,
                "strapping.boot_bit",
                "is not a strapping bit",
            );
            self.one(
                "strapping.force_download",
                strapping.force_download.as_ref(),
            );
        }
        let usb = &chip.usb;
        self.require(
            usb.otg_product.is_none() || usb.otg_product == chip.image.chip_id,
            "usb.otg_product",
            "is always the chip id",
        );
        self.require(usb.otg_block >= 0x400, "usb.otg_block", "too small");
    }

    fn efuse(&mut self, chip: &Chip) {
        let efuse = &chip.efuse;
        self.word("efuse.base", efuse.base);
        let mut blocks: Vec<_> = efuse
            .blocks
            .iter()
            .map(|(name, place)| (*place, name))
            .collect();
        blocks.sort_unstable();
        let mut end = 0;
        for ((offset, words), name) in blocks {
            let key = format!("efuse.blocks.{name}");
            self.require(
                words > 0 && words <= 64 && offset % 4 == 0,
                &key,
                "odd place or size",
            );
            self.require(offset >= end, &key, "overlaps the block before it");
            end = offset.saturating_add(4 * words.min(64));
        }
        self.require(end <= efuse.len, "efuse.len", "a block ends behind it");
        self.require(
            efuse.base.checked_add(efuse.len).is_some(),
            "efuse.len",
            "too large",
        );
    }

    fn identity(&mut self, chip: &Chip) {
        let identity = &chip.identity;
        for (name, field) in &identity.fields {
            let key = format!("identity.fields.{name}");
            match field {
                Field::Plain(runs) => _ = self.field(&key, runs),
                Field::Full(full) => self.full_field(&key, full),
            }
        }
        for name in ["major", "minor"] {
            self.require(
                identity.fields.contains_key(name) == identity.has_revision,
                &format!("identity.fields.{name}"),
                "must be there if and only if identity.has_revision",
            );
        }
        self.rules("identity.part", &identity.part, chip);
        self.require(
            identity
                .part
                .last()
                .is_some_and(|rule| rule.when.is_empty() && !rule.text.is_empty()),
            "identity.part",
            "the last rule must always hold and have a text",
        );
        for feature in &identity.features {
            match feature {
                Feature::Always(text) => {
                    self.require(!text.is_empty(), "identity.features", "an empty text");
                }
                Feature::First(rules) => self.rules("identity.features", rules, chip),
            }
        }
        self.word_of("identity.mac.low", &identity.mac.low);
        self.word_of("identity.mac.high", &identity.mac.high);
        if let Some(oui) = &identity.mac.oui {
            self.require(!identity.mac.eui64, "identity.mac.eui64", "not beside oui");
            self.word_of("identity.mac.oui", oui);
        }
    }

    fn full_field(&mut self, key: &str, full: &FullField) {
        let width = self.field(key, &full.bits);
        let mut raw = Vec::new();
        for text in full.map.keys().chain(full.names.keys()) {
            match text.parse::<u32>() {
                Ok(value) => raw.push(value),
                Err(e) => self.fail(key, format!("\"{text}\": {e}")),
            }
        }
        if full.map.is_empty() {
            let fits = |value: &u32| width >= 32 || *value < 1 << width;
            self.require(
                raw.iter().all(fits),
                key,
                "a value does not fit into the bits",
            );
        }
        let meanings: BTreeSet<_> = full.map.values().collect();
        self.require(
            meanings.len() == full.map.len(),
            key,
            "two raw values mean the same",
        );
    }

    /// Checks the bits of a field and gives their number.
    fn field(&mut self, key: &str, runs: &Runs) -> u32 {
        let Some(runs) = self.runs(key, runs) else {
            return 32;
        };
        let width = runs.iter().map(|run| u32::from(run.width)).sum();
        self.require(width <= 32, key, "more than 32 bits");
        for (i, a) in runs.iter().enumerate() {
            let overlap =
                |b: &Bits| a.addr == b.addr && a.lsb < b.lsb + b.width && b.lsb < a.lsb + a.width;
            self.require(
                !runs.iter().skip(i + 1).any(overlap),
                key,
                "two runs share a bit",
            );
        }
        width
    }

    fn rules(&mut self, key: &str, rules: &[Rule], chip: &Chip) {
        let fields = &chip.identity.fields;
        for (i, rule) in rules.iter().enumerate() {
            for (name, values) in &rule.when {
                self.require(
                    fields.contains_key(name),
                    key,
                    format!("no field `{name}` in identity.fields"),
                );
                self.require(
                    !values.list().is_empty(),
                    key,
                    format!("no values for `{name}`"),
                );
            }
            for name in placeholders(&rule.text) {
                self.require(
                    fields.contains_key(name),
                    key,
                    format!("{{{name}}} is not in identity.fields"),
                );
            }
            self.require(
                !rule.when.is_empty() || i + 1 == rules.len(),
                key,
                "a rule without conditions hides those behind it",
            );
        }
    }

    fn security(&mut self, chip: &Chip) {
        let security = &chip.security;
        for boot in &security.secure_boot {
            self.one("security.secure_boot", Some(&boot.bits));
        }
        self.one("security.secure_boot_v1", security.secure_boot_v1.as_ref());
        self.one("security.crypt_count", security.crypt_count.as_ref());
        self.one(
            "security.no_manual_encrypt",
            security.no_manual_encrypt.as_ref(),
        );
        self.one("security.key_manager", security.key_manager.as_ref());
        let mut width = 0;
        for purpose in &security.key_purposes {
            if let Some(bits) = self.one("security.key_purposes", Some(purpose)) {
                width = bits.width;
            }
        }
        let mut purposes = BTreeSet::new();
        for text in security.purpose_names.keys() {
            match text.parse::<u32>() {
                Ok(value) => _ = purposes.insert(value),
                Err(e) => self.fail("security.purpose_names", format!("\"{text}\": {e}")),
            }
        }
        self.require(
            purposes.iter().all(|&value| value < 1 << width.min(31)),
            "security.purpose_names",
            "a purpose does not fit into the bits of security.key_purposes",
        );
        for set in &security.xts_keys {
            self.require(
                !set.is_empty() && set.iter().all(|value| purposes.contains(value)),
                "security.xts_keys",
                format!("{set:?}: not among security.purpose_names"),
            );
        }
        if let Some(block) = &security.crypt_block {
            self.word_of("security.crypt_block.key", &block.key);
            let hidden = self.one("security.crypt_block.key_hidden", Some(&block.key_hidden));
            self.one("security.crypt_block.whole", block.whole.as_ref());
            self.require(
                hidden.is_none_or(|bits| (bits.width == 2) == block.whole.is_some()),
                "security.crypt_block.whole",
                "goes with two bits of key_hidden",
            );
            if let Some(config) = &block.config {
                self.one("security.crypt_block.config.value", Some(&config.value));
                self.one("security.crypt_block.config.hidden", Some(&config.hidden));
            }
        }
    }

    fn flash(&mut self, chip: &Chip) {
        let flash = &chip.flash;
        let mut labels = BTreeSet::new();
        let mut codes = BTreeSet::new();
        for (label, code) in &flash.sizes {
            self.require(
                size_bytes(label).is_some_and(|bytes| bytes.is_power_of_two()),
                "flash.sizes",
                format!("\"{label}\" is not a size such as 512KB or 4MB"),
            );
            self.require(
                labels.insert(label) && codes.insert(code),
                "flash.sizes",
                format!("\"{label}\" or its code occurs twice"),
            );
            self.require(
                code & 0xf == 0,
                "flash.sizes",
                format!("{code:#04x}: low nibble not 0"),
            );
        }
        let mut labels = BTreeSet::new();
        for (label, code) in &flash.frequencies {
            let mhz = label
                .strip_suffix('m')
                .and_then(|mhz| mhz.parse::<u8>().ok());
            self.require(
                mhz.is_some(),
                "flash.frequencies",
                format!("\"{label}\" is not like 40m"),
            );
            self.require(
                labels.insert(label),
                "flash.frequencies",
                format!("\"{label}\" twice"),
            );
            self.require(
                *code < 16,
                "flash.frequencies",
                format!("{code:#x} is not a nibble"),
            );
        }
        self.require(!flash.sizes.is_empty(), "flash.sizes", "none");
        self.require(!flash.frequencies.is_empty(), "flash.frequencies", "none");
        self.require(
            matches!(flash.encrypted_align, 16 | 32),
            "flash.encrypted_align",
            "odd unit",
        );
        self.one("flash.type_bit", flash.type_bit.as_ref());
        for rule in &flash.voltage {
            for (bits, _) in &rule.when {
                self.one("flash.voltage", Some(bits));
            }
        }
        self.require(
            flash.voltage.last().is_none_or(|rule| rule.when.is_empty()),
            "flash.voltage",
            "the last rule must always hold",
        );
    }

    fn memory(&mut self, chip: &Chip) {
        let memory = &chip.memory;
        let mut seen = BTreeSet::new();
        for (name, start, end) in &memory.map {
            self.require(start < end, "memory.map", format!("{name} is empty"));
            self.require(
                seen.insert((name, start)),
                "memory.map",
                format!("{name} twice"),
            );
        }
        let mut regions = BTreeMap::<&str, Vec<(u32, u32)>>::new();
        for (name, start, end) in &memory.map {
            regions.entry(name).or_default().push((*start, *end));
        }
        for (name, ranges) in regions {
            for (i, a) in ranges.iter().enumerate() {
                let overlap = ranges.iter().skip(i + 1).any(|b| a.0 < b.1 && b.0 < a.1);
                self.require(!overlap, "memory.map", format!("{name} overlaps itself"));
            }
        }
        let (start, end) = memory.irom;
        self.require(start < end, "memory.irom", "is empty");
        self.require(
            memory.drom.0 <= memory.drom.1,
            "memory.drom",
            "ends before its start",
        );
        for reserved in &memory.rom_reserved {
            let (start, end) = (reserved.start, reserved.end);
            let place = format!("{start:#x} to {end:#x}");
            self.require(
                start < end && reserved.min_revision <= reserved.max_revision,
                "memory.rom_reserved",
                format!("{place} is empty"),
            );
            let mapped = [memory.irom, memory.drom];
            self.require(
                mapped.iter().all(|(from, to)| end <= *from || *to <= start),
                "memory.rom_reserved",
                format!("{place} is mapped flash"),
            );
        }
    }

    fn machine(&mut self, chip: &Chip) {
        let Some(machine) = &chip.machine else {
            return;
        };
        let (cycles, crystal) = machine.clock;
        self.require(cycles > 0 && crystal > 0, "machine.clock", "must not be 0");
        let windows = machine.ram.iter().map(|w| (w.start, w.end));
        let mut ranges: Vec<_> = windows.chain(machine.rom.iter().copied()).collect();
        ranges.sort_unstable();
        for (start, end) in &ranges {
            let place = format!("{start:#x} to {end:#x} is empty");
            self.require(start < end, "machine", place);
        }
        for pair in ranges.windows(2) {
            let place = format!("{:#x} stands in the window before it", pair[1].0);
            self.require(pair[0].1 <= pair[1].0, "machine", place);
        }
    }

    fn fast_clock(&mut self, chip: &Chip) {
        let Some(fast) = &chip.fast_clock else {
            return;
        };
        for write in &fast.writes {
            self.one("fast_clock.writes", Some(&write.bits));
        }
        let place = "fast_clock";
        self.require(!fast.writes.is_empty(), place, "sets nothing");
        self.require(
            fast.crystal != Some(0) && fast.uart != Some(0),
            place,
            "0 MHz",
        );
        self.require(
            fast.uart.is_none() || fast.crystal.is_some(),
            place,
            "`uart` depends on `crystal`",
        );
    }

    fn quirks(&mut self, chip: &Chip) {
        self.require(
            ascending(&chip.quirks),
            "quirks",
            "must be in the order of model.rs",
        );
        for (name, runs) in &chip.named_bits {
            self.one(&format!("named_bits.{name}"), Some(runs));
        }
        for quirk in &chip.quirks {
            let needed: &[&str] = match quirk {
                Quirk::AttachFromEfuse => &["pad_clk", "pad_q", "pad_d", "pad_hd", "pad_cs"],
                Quirk::BaudFromRtcCalibration => &["rtc_calibration", "ck8m"],
                Quirk::FlashPowerUp => &[
                    "flash_pads",
                    "flash_limit",
                    "flash_target",
                    "flash_tieh",
                    "flash_on",
                    "download_xpd",
                ],
                _ => &[],
            };
            for name in needed {
                self.require(
                    chip.named_bits.contains_key(*name),
                    "named_bits",
                    format!("quirk {quirk:?} needs `{name}`"),
                );
            }
        }
        if chip.quirks.contains(&Quirk::Eco0Revision) {
            for name in ["block_major", "block_minor"] {
                self.require(
                    chip.identity.fields.contains_key(name),
                    "identity.fields",
                    format!("quirk eco0-revision needs `{name}`"),
                );
            }
        }
        if chip.quirks.contains(&Quirk::ClearForceDownload) {
            let bit = chip
                .strapping
                .as_ref()
                .and_then(|s| s.force_download.as_ref());
            self.require(
                bit.is_some(),
                "strapping.force_download",
                "quirk clear-force-download needs it",
            );
        }
    }

    fn word(&mut self, key: &str, addr: u32) {
        self.require(
            addr.is_multiple_of(4),
            key,
            format!("{addr:#010x} is not word-aligned"),
        );
    }

    fn word_of(&mut self, key: &str, runs: &Runs) {
        if let Some(bits) = self.one(key, Some(runs)) {
            self.require(bits.width == 32, key, "must be a whole word");
        }
    }

    fn one(&mut self, key: &str, runs: Option<&Runs>) -> Option<Bits> {
        match runs?.parse_one(&self.blocks) {
            Ok(bits) => Some(bits),
            Err(what) => {
                self.fail(key, what);
                None
            }
        }
    }

    fn runs(&mut self, key: &str, runs: &Runs) -> Option<Vec<Bits>> {
        match runs.parse(&self.blocks) {
            Ok(bits) => Some(bits),
            Err(what) => {
                self.fail(key, what);
                None
            }
        }
    }
}

/// Bytes that a size label stands for: `512KB`, `4MB`, `2MB-c1`.
pub fn size_bytes(label: &str) -> Option<u32> {
    let size = label.strip_suffix("-c1").unwrap_or(label);
    if let Some(kb) = size.strip_suffix("KB") {
        return kb.parse::<u32>().ok()?.checked_mul(1 << 10);
    }
    size.strip_suffix("MB")?
        .parse::<u32>()
        .ok()?
        .checked_mul(1 << 20)
}

fn ascending<T: Ord>(list: &[T]) -> bool {
    list.windows(2).all(|pair| matches!(pair, [a, b] if a < b))
}

/// The names in braces in a text.
fn placeholders(text: &str) -> Vec<&str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .collect()
}
