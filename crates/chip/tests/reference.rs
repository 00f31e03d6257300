//! The second source for every entry: esptool, whose tables other people wrote. `GURU_ESPTOOL` names
//! a Python that has it; without that the tests are reported as ignored, or, when
//! `GURU_REQUIRE_PEERS` is 1, fail.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::error::Error;
use std::fmt::Debug;
use std::io::Write as _;
use std::process::{Command, Stdio};

use guru_chip::*;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

/// Sets of register words that both sides read.
const READINGS: usize = 400;

fn main() {
    let arguments = Arguments::from_args();
    let python = env::var_os("GURU_ESPTOOL");
    let required = env::var_os("GURU_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let trials = CHIPS.iter().map(|chip| {
        let python = python.clone();
        let ignored = python.is_none() && !required;
        let run = move || match python {
            Some(python) => entry_agrees(chip, &python).map_err(|e| Failed::from(e.to_string())),
            None => Err("GURU_ESPTOOL is not set".into()),
        };
        Trial::test(format!("{}_agrees_with_the_reference", chip.id), run)
            .with_kind("needs GURU_ESPTOOL")
            .with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn entry_agrees(chip: &'static Chip, python: &std::ffi::OsStr) -> Result<(), Box<dyn Error>> {
    let sets = word_sets(chip);
    let report = ask(chip, python, &sets)?;
    let mut differences = Differences {
        report: &report,
        found: Vec::new(),
    };
    differences.identity_and_image(chip);
    differences.registers(chip);
    differences.flash_and_memory(chip);
    differences.pins(chip);
    differences.known();
    let readings = report["readings"].as_array().ok_or("no readings")?;
    differences.equal("number of readings", sets.len(), readings.len());
    for (words, theirs) in sets.iter().zip(readings) {
        differences.reading(chip, words, theirs);
    }
    let found = differences.found;
    if found.is_empty() {
        Ok(())
    } else {
        Err(found.join("\n").into())
    }
}

fn ask(
    chip: &Chip,
    python: &std::ffi::OsStr,
    sets: &[BTreeMap<u32, u32>],
) -> Result<Value, Box<dyn Error>> {
    let mut child = Command::new(python)
        .args(["-c", include_str!("reference.py"), chip.id])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let input = serde_json::to_vec(sets)?;
    // The script reads all of its input before it prints.
    child.stdin.take().ok_or("no stdin")?.write_all(&input)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Words for every register that decoding can touch: sparse ones, so that fields are often zero or
/// small, dense ones, and the chip's fields set one by one.
fn word_sets(chip: &Chip) -> Vec<BTreeMap<u32, u32>> {
    let addresses = addresses(chip);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut sets = Vec::new();
    for n in 0..READINGS {
        let words = addresses.iter().map(|&addr| {
            let word = random.next();
            (
                addr,
                match n % 4 {
                    0 => word,
                    1 => word & random.next() & random.next(),
                    2 => word & random.next() & random.next() & random.next() & random.next(),
                    _ => 0,
                },
            )
        });
        let mut words: BTreeMap<u32, u32> = words.collect();
        for field in chip.identity.fields {
            if random.next().is_multiple_of(3) {
                let width: u32 = field.parts.iter().map(|part| u32::from(part.width)).sum();
                let value = random.next() % (1 << width.min(4));
                deposit(chip, field.name, value, &mut words);
            }
        }
        if chip.has(Quirk::Eco0Revision) && n % 8 == 7 {
            // The block version with which the major revision is not what it says.
            for (name, value) in [
                ("block_major", 1),
                ("block_minor", 1),
                ("minor", n / 8 % 2 * 8),
            ] {
                deposit(chip, name, value as u32, &mut words);
            }
        }
        sets.push(words);
    }
    sets
}

/// Sets a field; a value without a raw form leaves it as it was.
fn deposit(chip: &Chip, name: &str, value: u32, words: &mut BTreeMap<u32, u32>) {
    if let Some(field) = chip.identity.field(name) {
        _ = field.deposit(value, &mut |addr, mask, bits| {
            let word = words.entry(addr).or_default();
            *word = *word & !mask | bits;
        });
    }
}

fn addresses(chip: &Chip) -> BTreeSet<u32> {
    let mut all: BTreeSet<u32> = chip.identity_words().into_iter().collect();
    for block in chip.efuse.blocks {
        all.extend((0..block.words).map(|n| block.addr + 4 * n));
    }
    all.extend(
        chip.flash
            .voltage
            .iter()
            .flat_map(|rule| rule.when)
            .map(|(bits, _)| bits.addr),
    );
    all.extend(chip.named_bits.iter().map(|(_, bits)| bits.addr));
    all.extend(chip.strapping.iter().map(|strapping| strapping.gpio_strap));
    all
}

/// A small generator with a fixed seed, so that a difference can be looked at again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

struct Differences<'a> {
    report: &'a Value,
    found: Vec<String>,
}

impl Differences<'_> {
    fn equal<T: PartialEq + Debug>(&mut self, what: &str, ours: T, theirs: T) {
        if ours != theirs && self.found.len() < 20 {
            self.found.push(format!(
                "{what}: ours {ours:#x?}, the reference has {theirs:#x?}"
            ));
        }
    }

    /// A number of the reference, if its class has it.
    fn number(&self, name: &str) -> Option<u32> {
        match &self.report[name] {
            Value::Bool(value) => Some(u32::from(*value)),
            value => value.as_u64().map(|value| value as u32),
        }
    }

    /// Whether the chip's own class says it, not one that it is derived from.
    fn owns(&self, name: &str) -> bool {
        let own = self.report["own"].as_array();
        own.is_some_and(|own| own.contains(&json!(name)))
    }

    fn compare(&mut self, name: &str, ours: impl Into<u32>) {
        let theirs = self.number(name);
        self.equal(name, Some(ours.into()), theirs);
    }

    /// Compares a register of ours with an address and a mask of the reference.
    fn compare_bits(&mut self, reg: &str, mask: &str, ours: Option<Bits>) {
        let theirs = self.number(reg).zip(self.number(mask));
        self.equal(mask, ours.map(|bits| (bits.addr, bits.mask())), theirs);
    }

    fn identity_and_image(&mut self, chip: &Chip) {
        self.equal(
            "CHIP_NAME",
            json!(chip.name),
            self.report["CHIP_NAME"].clone(),
        );
        let chip_id = self.number("IMAGE_CHIP_ID");
        self.equal("IMAGE_CHIP_ID", chip.image.chip_id.map(u32::from), chip_id);
        let detection = if self.number("USES_MAGIC_VALUE") == Some(1) {
            self.number("MAGIC_VALUE").map(Detection::Magic)
        } else {
            chip_id.map(|chip_id| Detection::ChipId(chip_id as u16))
        };
        self.equal("detection", Some(chip.detection), detection);
        self.compare("BOOTLOADER_FLASH_OFFSET", chip.image.bootloader_offset);
        // A chip without a family inherits the ESP32's in the reference, by mistake.
        if let Some(family) = chip.uf2_family {
            self.compare("UF2_FAMILY_ID", family);
        }
        self.compare("USB_SERIAL_JTAG_SUPPORTED", chip.usb.serial_jtag);
        self.compare("USB_OTG_SUPPORTED", chip.usb.otg_product.is_some());
        self.compare("USB_OTG_BLOCK_SIZE", chip.usb.otg_block);
        let informs = chip.rom.security_info != SecurityInfoForm::None;
        self.compare("SECURITY_INFO_SUPPORTED", informs);
        self.compare("ESP_RAM_BLOCK", chip.rom.ram_block);
    }

    fn registers(&mut self, chip: &Chip) {
        let spi = &chip.spi;
        self.compare("SPI_REG_BASE", spi.cmd);
        self.compare("SPI_USR_OFFS", spi.usr - spi.cmd);
        self.compare("SPI_USR1_OFFS", spi.usr1 - spi.cmd);
        self.compare("SPI_USR2_OFFS", spi.usr2 - spi.cmd);
        self.compare("SPI_W0_OFFS", spi.w0 - spi.cmd);
        self.compare("SPI_ADDR_REG_MSB", spi.address_msb);
        let lengths = match spi.lengths {
            SpiLengths::Registers { mosi, miso } => (Some(mosi - spi.cmd), Some(miso - spi.cmd)),
            SpiLengths::InUsr1 => (None, None),
        };
        let theirs = (
            self.number("SPI_MOSI_DLEN_OFFS"),
            self.number("SPI_MISO_DLEN_OFFS"),
        );
        self.equal("SPI_xxxx_DLEN_OFFS", lengths, theirs);
        self.compare("UART_DATE_REG_ADDR", chip.uart.date);
        match chip.crystal {
            Crystal::Estimated { divisor, .. } => {
                self.compare("UART_CLKDIV_REG", chip.uart.clkdiv);
                self.compare("XTAL_CLK_DIVIDER", divisor);
            }
            Crystal::Fixed(mhz) => self.compare("crystal", mhz),
        }
        self.watchdogs(chip);
        if let Some(base) = self
            .number("EFUSE_BASE")
            .or(self.number("EFUSE_RD_REG_BASE"))
        {
            self.equal("EFUSE_BASE", chip.efuse.base, base);
        }
        for (block, name) in [("blk1", "EFUSE_BLOCK1_ADDR"), ("blk2", "EFUSE_BLOCK2_ADDR")] {
            // A class has its parent's address where it does not need the block.
            if let Some(addr) = self.number(name).filter(|_| self.owns(name)) {
                self.equal(
                    name,
                    chip.efuse.block(block).map(|block| block.addr),
                    Some(addr),
                );
            }
        }
        let strapping = chip.strapping.as_ref();
        if let Some(addr) = self.number("GPIO_STRAP_REG")
            && self.owns("GPIO_STRAP_REG")
        {
            self.equal(
                "GPIO_STRAP_REG",
                strapping.map(|s| s.gpio_strap),
                Some(addr),
            );
        }
        if let Some(mask) = self.number("GPIO_STRAP_SPI_BOOT_MASK") {
            self.equal(
                "GPIO_STRAP_SPI_BOOT_MASK",
                strapping.map(|s| 1 << s.boot_bit),
                Some(mask),
            );
        }
        // The reference gives the ESP32-E22 the register of the ESP32-S2, by mistake.
        if chip.id != "esp32e22" {
            self.compare_bits(
                "RTC_CNTL_OPTION1_REG",
                "RTC_CNTL_FORCE_DOWNLOAD_BOOT_MASK",
                strapping.and_then(|s| s.force_download),
            );
        }
        if chip.has(Quirk::BaudFromRtcCalibration) {
            let cycles = chip.bits("rtc_calibration");
            self.equal(
                "RTCCALICFG1",
                cycles.map(|b| b.addr),
                self.number("RTCCALICFG1"),
            );
            let mask = self.number("TIMERS_RTC_CALI_VALUE");
            let shift = self.number("TIMERS_RTC_CALI_VALUE_S");
            let theirs = mask.zip(shift).map(|(mask, shift)| mask << shift);
            self.equal("TIMERS_RTC_CALI_VALUE", cycles.map(Bits::mask), theirs);
        }
        if chip.has(Quirk::FlashPowerUp) {
            let pads = self.number("LP_SYSTEM_REG_ANA_XPD_PAD_GROUP_REG");
            self.equal("pads", chip.bits("flash_pads").map(|b| b.addr), pads);
            for (name, reg, mask) in [
                (
                    "flash_limit",
                    "PMU_EXT_LDO_P0_0P1A_ANA_REG",
                    "PMU_ANA_0P1A_EN_CUR_LIM_0",
                ),
                (
                    "flash_target",
                    "PMU_EXT_LDO_P0_0P1A_REG",
                    "PMU_0P1A_TARGET0_0",
                ),
                (
                    "flash_tieh",
                    "PMU_EXT_LDO_P0_0P1A_REG",
                    "PMU_0P1A_FORCE_TIEH_SEL_0",
                ),
                ("flash_on", "PMU_DATE_REG", "PMU_DATE_FLASH_FORCE_ON"),
                (
                    "download_xpd",
                    "EFUSE_RD_REPEAT_DATA1_REG",
                    "EFUSE_DOWNLOAD_MODE_XPD_ON_MASK",
                ),
            ] {
                self.compare_bits(reg, mask, chip.bits(name));
            }
        }
    }

    fn watchdogs(&mut self, chip: &Chip) {
        let can_reset = chip.watchdogs.as_ref().is_some_and(|wdt| wdt.can_reset);
        self.compare("WATCHDOG_RESET_SUPPORTED", can_reset);
        let Some(wdt) = &chip.watchdogs else { return };
        self.compare("RTC_CNTL_WDTCONFIG0_REG", wdt.config0);
        self.compare("RTC_CNTL_WDTCONFIG1_REG", wdt.config1);
        self.compare("RTC_CNTL_WDTWPROTECT_REG", wdt.protect);
        self.compare("RTC_CNTL_WDT_WKEY", wdt.key);
        if !chip.usb.serial_jtag && wdt.swd.is_none() {
            // It is only silenced where the chip is used over its own USB.
            return;
        }
        let swd = wdt.swd.as_ref();
        for (name, ours) in [
            ("RTC_CNTL_SWD_CONF_REG", swd.map(|swd| swd.config)),
            (
                "RTC_CNTL_SWD_AUTO_FEED_EN",
                swd.map(|swd| 1 << swd.auto_feed),
            ),
            ("RTC_CNTL_SWD_WPROTECT_REG", swd.map(|swd| swd.protect)),
            ("RTC_CNTL_SWD_WKEY", swd.map(|swd| swd.key)),
        ] {
            let theirs = self.number(name);
            self.equal(name, ours, theirs);
        }
    }

    fn flash_and_memory(&mut self, chip: &Chip) {
        let sizes: BTreeMap<_, _> = chip.flash.sizes.iter().map(|s| (s.label, s.code)).collect();
        self.equal(
            "FLASH_SIZES",
            json!(sizes),
            self.report["FLASH_SIZES"].clone(),
        );
        let frequencies: BTreeMap<_, _> = chip.flash.frequencies.iter().copied().collect();
        self.equal(
            "FLASH_FREQUENCY",
            json!(frequencies),
            self.report["FLASH_FREQUENCY"].clone(),
        );
        if let Some(align) = self.number("FLASH_ENCRYPTED_WRITE_ALIGN") {
            self.equal(
                "FLASH_ENCRYPTED_WRITE_ALIGN",
                chip.flash.encrypted_align,
                align,
            );
        }
        self.compare("FLASH_32BIT_ADDR_SUPPORTED", chip.flash.address_32bit);
        let map: Vec<_> = chip
            .memory
            .iter()
            .map(|m| json!([m.range.start, m.range.end, m.name]))
            .collect();
        self.equal("MEMORY_MAP", json!(map), self.report["MEMORY_MAP"].clone());
        if let Some(start) = self.number("IROM_MAP_START") {
            self.equal("IROM_MAP_START", chip.irom.start, start);
            self.compare("IROM_MAP_END", chip.irom.end);
        }
        let drom = (self.number("DROM_MAP_START"), self.number("DROM_MAP_END"));
        let ours = (!chip.drom.is_empty()).then_some((chip.drom.start, chip.drom.end));
        self.equal("DROM_MAP", ours, drom.0.zip(drom.1));
        let names: BTreeMap<_, _> = chip
            .security
            .purpose_names
            .iter()
            .map(|(value, name)| (value.to_string(), name))
            .collect();
        if let Value::Object(theirs) = &self.report["KEY_PURPOSES"] {
            self.equal("KEY_PURPOSES", json!(names), Value::Object(theirs.clone()));
        }
    }

    fn pins(&mut self, chip: &Chip) {
        let pins = &chip.spi.pins;
        self.compare("CUSTOM_SPI_FLASH_PINS_SUPPORTED", pins.custom);
        if !pins.custom {
            return;
        }
        let valid = |pin: &u8| {
            pins.gpios
                .iter()
                .any(|(first, last)| (first..=last).contains(&pin))
        };
        let ours: Vec<u8> = (0..64).filter(valid).collect();
        self.equal("pins", json!(ours), self.report["pins"].clone());
        let hd: Vec<u8> = ours
            .into_iter()
            .filter(|pin| pins.hd_max.is_none_or(|max| *pin <= max))
            .collect();
        self.equal("hd_pins", json!(hd), self.report["hd_pins"].clone());
    }

    fn known(&mut self) {
        let ours: BTreeMap<_, _> = KNOWN
            .iter()
            .filter(|k| !k.dropped)
            .map(|k| (k.id, (k.chip_id, k.name)))
            .collect();
        self.equal("CHIP_DEFS", json!(ours), self.report["known"].clone());
    }

    fn reading(&mut self, chip: &Chip, words: &BTreeMap<u32, u32>, theirs: &Value) {
        let read = |addr: u32| words.get(&addr).copied();
        let revision = chip.revision(&read).ok().flatten();
        // Where no bits are assigned, the reference says 0 (ESP32-E22).
        if let Value::Number(theirs) = &theirs["revision"]
            && chip.identity.has_revision
        {
            self.equal("revision", revision.map(|r| r.0.into()), theirs.as_u64());
        }
        match chip.identify(&read) {
            Ok(ours) => {
                self.equal(
                    "description",
                    json!(ours.description),
                    theirs["description"].clone(),
                );
                self.equal("features", json!(ours.features), theirs["features"].clone());
                self.equal("mac", json!(ours.mac.to_string()), theirs["mac"].clone());
                let eui64 = ours.eui64.map(|eui64| eui64.to_string());
                self.equal("eui64", json!(eui64), theirs["eui64"].clone());
            }
            Err(WordsError::UnknownOui(_)) => self.equal("mac", &Value::Null, &theirs["mac"]),
            Err(e) => self.found.push(e.to_string()),
        }
        let chip_id = chip.numeric_chip_id(&read).unwrap_or(None);
        self.equal("chip_id", json!(chip_id), theirs["chip_id"].clone());
        let voltage = chip.flash.voltage(&read).unwrap_or(None);
        let line = voltage.map(|v| format!("Flash voltage set by {}: {}", v.source, v.volts));
        self.equal(
            "voltage",
            json!(line.into_iter().collect::<Vec<_>>()),
            theirs["voltage"].clone(),
        );
        let security = &chip.security;
        for (name, ours) in [
            ("secure_boot", security.secure_boot_on(revision, &read)),
            ("secure_boot_v1", security.secure_boot_v1_on(&read)),
            ("encryption", security.encryption_on(&read)),
            (
                "no_manual_encrypt",
                security.manual_encrypt_forbidden(&read),
            ),
            ("key", security.has_encryption_key(&read)),
        ] {
            self.equal(
                name,
                ours.map_err(|e| e.to_string()),
                Ok(theirs[name] == json!(true)),
            );
        }
        let config = security
            .crypt_block
            .as_ref()
            .and_then(|block| block.crypt_config(&read).ok().flatten());
        self.equal(
            "crypt_config",
            json!(config),
            theirs["crypt_config"].clone(),
        );
        let purposes = security.purposes(&read).unwrap_or_default();
        // The class of a chip without purposes reads its parent's.
        let has_none = self.report["KEY_PURPOSES"]
            .as_object()
            .is_some_and(|purposes| purposes.is_empty());
        let of_theirs = if has_none {
            json!([])
        } else {
            theirs["purposes"].clone()
        };
        self.equal("purposes", json!(purposes), of_theirs);
        let flash_type = chip.flash.type_bit.and_then(|bits| bits.read(&read).ok());
        if chip.flash.type_bit.is_some() {
            self.equal(
                "flash_type",
                json!(flash_type),
                theirs["flash_type"].clone(),
            );
        }
        if chip.has(Quirk::AttachFromEfuse) {
            let pads = ["pad_clk", "pad_q", "pad_d", "pad_hd", "pad_cs"];
            let pads = pads.map(|name| chip.bits(name).and_then(|bits| bits.read(&read).ok()));
            self.equal("pads", json!(pads), theirs["pads"].clone());
        }
    }
}
