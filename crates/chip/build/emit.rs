//! Writes checked entries as Rust. The text refers to the types of `src/model.rs`, which the
//! compiler holds it to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::bits::{Bits, Blocks, Runs};
use super::check::size_bytes;
use super::extras::Extras;
use super::fuses;
use super::rom_code::RomCode;
use super::schema::{Assumed, Chip, Crystal, Detection, Feature, Field, Machine, Rule};

/// ETS_EFUSE_KEY_PURPOSE_INVALID of most ROMs.
const NO_PURPOSE: u8 = 12;

/// The table of all chips, and each chip as a `static`.
pub fn chips(chips: &[(String, Chip)]) -> Result<String, String> {
    let mut out = String::new();
    let mut names = Vec::new();
    for (id, entry) in chips {
        let name = id.to_uppercase();
        let body = Emit {
            blocks: entry.efuse.blocks(),
        }
        .chip(id, entry)?;
        _ = writeln!(
            out,
            "/// {}.\npub static {name}: Chip = {body};\n",
            entry.name
        );
        names.push(format!("&{name}"));
    }
    _ = writeln!(
        out,
        "/// Every chip of this version, in the order of their names on the command line.\n\
         pub static CHIPS: &[&Chip] = &[{}];\n",
        names.join(", ")
    );
    Ok(out)
}

/// The tables that are not about one chip.
pub fn extras(extras: &Extras) -> String {
    let known = list(&extras.known, |k| {
        format!(
            "KnownChip {{ chip_id: {}, id: {:?}, name: {:?}, dropped: {} }}",
            k.chip_id, k.chip, k.name, k.dropped
        )
    });
    let adapters = list(&extras.adapters, |a| {
        format!(
            "Adapter {{ vendor: {:#06x}, product: {}, name: {:?}, max_baud: {:?}, \
             lines_flow_control: {}, note: {:?} }}",
            a.vendor,
            option(a.product.as_ref(), |p| format!("{p:#06x}")),
            a.name,
            a.max_baud,
            a.lines_flow_control,
            a.note
        )
    });
    let hints = list(&extras.hints, |h| {
        format!(
            "Hint {{ id: {:?}, symptom: {:?}, cause: {:?}, remedy: {:?}, link: {:?} }}",
            h.id, h.symptom, h.cause, h.remedy, h.link
        )
    });
    format!(
        "/// Chip ids of image headers and of GET_SECURITY_INFO, ascending, of chips in and out of \
         this version.\npub static KNOWN: &[KnownChip] = {known};\n\n\
         /// USB-to-serial adapters by vendor and product id; a product before its vendor.\n\
         pub static ADAPTERS: &[Adapter] = {adapters};\n\n\
         /// Hints, by ascending id.\npub static HINTS: &[Hint] = {hints};\n"
    )
}

struct Emit {
    blocks: Blocks,
}

impl Emit {
    fn chip(&self, id: &str, c: &Chip) -> Result<String, String> {
        let detection = match c.detection {
            Detection::Magic(magic) => format!("Detection::Magic({magic:#010x})"),
            Detection::ChipId(chip_id) => format!("Detection::ChipId({chip_id})"),
        };
        let crystal = match &c.crystal {
            Crystal::Fixed(mhz) => format!("Crystal::Fixed({mhz})"),
            Crystal::Estimated(e) => format!(
                "Crystal::Estimated {{ divisor: {}, choices: &{:?}, assumed: AssumedCrystal::{} }}",
                e.divisor,
                e.choices,
                match &e.assumed {
                    None => "Right".into(),
                    Some(Assumed::Always(mhz)) => format!("Always({mhz})"),
                    Some(Assumed::Register(register)) => format!(
                        "Register {{ bits: {}, usual: {} }}",
                        self.one(&register.bits)?,
                        register.usual
                    ),
                }
            ),
        };
        let watchdogs = option(c.watchdogs.as_ref(), |w| {
            let swd = option(w.swd.as_ref(), |s| {
                format!(
                    "SuperWatchdog {{ config: {:#010x}, auto_feed: {}, protect: {:#010x}, \
                     key: {:#010x} }}",
                    s.config, s.auto_feed, s.protect, s.key
                )
            });
            format!(
                "Watchdogs {{ config0: {:#010x}, config1: {:#010x}, protect: {:#010x}, \
                 key: {:#010x}, swd: {swd}, can_reset: {} }}",
                w.config0, w.config1, w.protect, w.key, w.can_reset
            )
        });
        let strapping = match &c.strapping {
            None => "None".into(),
            Some(s) => format!(
                "Some(Strapping {{ gpio_strap: {:#010x}, boot_bit: {}, force_download: {} }})",
                s.gpio_strap,
                s.boot_bit,
                self.option_bits(s.force_download.as_ref())?
            ),
        };
        let memory = list(&c.memory.map, |(name, start, end)| {
            format!("MemoryRange {{ name: {name:?}, range: {start:#010x}..{end:#010x} }}")
        });
        let reserved = list(&c.memory.rom_reserved, |r| {
            format!(
                "ReservedRange {{ range: {:#010x}..{:#010x}, min_revision: {}, max_revision: {} }}",
                r.start, r.end, r.min_revision, r.max_revision
            )
        });
        let machine = option(c.machine.as_ref(), machine);
        let mut named = Vec::new();
        for (name, runs) in &c.named_bits {
            named.push(format!("({name:?}, {})", self.one(runs)?));
        }
        Ok(format!(
            "Chip {{
    id: {id:?},
    name: {:?},
    architecture: Architecture::{:?},
    detection: {detection},
    image: ImageRules {{
        chip_id: {:?},
        bootloader_offset: {:#x},
        legacy_revision: LegacyRevision::{:?},
        mmu_pages: &{:?},
    }},
    rom: {},
    rom_code: {},
    usb: {},
    spi: {},
    uart: Uart {{ clkdiv: {:#010x}, date: {:#010x} }},
    efuse: {},
    identity: {},
    crystal: {crystal},
    security: {},
    watchdogs: {watchdogs},
    strapping: {strapping},
    flash: {},
    memory: {memory},
    machine: {machine},
    fast_clock: {},
    rom_reserved: {reserved},
    irom: {:#010x}..{:#010x},
    drom: {:#010x}..{:#010x},
    uf2_family: {},
    quirks: {},
    named_bits: &[{}],
    registers: {},
}}",
            c.name,
            c.architecture,
            c.image.chip_id,
            c.image.bootloader_offset,
            c.image.legacy_revision,
            c.image.mmu_pages,
            rom(c),
            c.rom_code
                .as_ref()
                .map_or_else(|| "&[]".to_owned(), RomCode::emit),
            usb(c),
            spi(c),
            c.uart.clkdiv,
            c.uart.date,
            self.efuse(c)?,
            self.identity(c)?,
            self.security(c)?,
            self.flash(c)?,
            self.fast_clock(c)?,
            c.memory.irom.0,
            c.memory.irom.1,
            c.memory.drom.0,
            c.memory.drom.1,
            option(c.uf2_family.as_ref(), |family| format!("{family:#010x}")),
            list(&c.quirks, |q| format!("Quirk::{q:?}")),
            named.join(", "),
            match &c.registers {
                Some(registers) => registers.emit(&self.blocks)?,
                None => return Err(format!("{id}: no registers")),
            },
        ))
    }

    fn efuse(&self, c: &Chip) -> Result<String, String> {
        let mut blocks: Vec<_> = self.blocks.iter().collect();
        blocks.sort_by_key(|(_, place)| **place);
        let blocks = list(&blocks, |(name, (addr, words))| {
            format!("EfuseBlock {{ name: {name:?}, addr: {addr:#010x}, words: {words} }}")
        });
        let (base, len) = (c.efuse.base, c.efuse.len);
        let fuses = match &c.fuses {
            Some(fuses) => fuses.emit(&self.blocks)?,
            None => fuses::NONE.to_owned(),
        };
        Ok(format!(
            "EfuseSpace {{ base: {base:#010x}, len: {len:#x}, blocks: {blocks}, {fuses} }}"
        ))
    }

    fn identity(&self, c: &Chip) -> Result<String, String> {
        let i = &c.identity;
        let mut fields = Vec::new();
        for (name, field) in &i.fields {
            let empty = (BTreeMap::new(), BTreeMap::new());
            let (runs, map, names) = match field {
                Field::Plain(runs) => (runs, &empty.0, &empty.1),
                Field::Full(full) => (&full.bits, &full.map, &full.names),
            };
            let parts = runs.parse(&self.blocks)?;
            fields.push(format!(
                "Field {{ name: {name:?}, parts: {}, map: {}, names: {} }}",
                list(&parts, bits),
                by_number(map)?,
                by_number(names)?,
            ));
        }
        let features = list(&i.features, |feature| match feature {
            Feature::Always(text) => format!("&[Rule {{ when: &[], text: {text:?} }}]"),
            Feature::First(rules) => list(rules, rule),
        });
        let (low, high) = (self.addr(&i.mac.low)?, self.addr(&i.mac.high)?);
        let layout = match &i.mac.oui {
            None if i.mac.eui64 => "MacLayout::Eui64".into(),
            None => "MacLayout::Plain".into(),
            Some(oui) => format!("MacLayout::Esp8266 {{ oui: {:#010x} }}", self.addr(oui)?),
        };
        Ok(format!(
            "Identity {{ fields: &[{}], part: {}, has_revision: {}, features: {features}, \
             mac: Mac {{ low: {low:#010x}, high: {high:#010x}, layout: {layout} }} }}",
            fields.join(", "),
            list(&i.part, rule),
            i.has_revision,
        ))
    }

    fn security(&self, c: &Chip) -> Result<String, String> {
        let s = &c.security;
        let mut boot = Vec::new();
        for entry in &s.secure_boot {
            boot.push(format!(
                "({}, {})",
                self.one(&entry.bits)?,
                entry.min_revision
            ));
        }
        let mut purposes = Vec::new();
        for purpose in &s.key_purposes {
            purposes.push(self.one(purpose)?);
        }
        let crypt_block = match &s.crypt_block {
            None => "None".into(),
            Some(b) => {
                let config = match &b.config {
                    None => "None".into(),
                    Some(config) => format!(
                        "Some(CryptConfig {{ value: {}, hidden: {} }})",
                        self.one(&config.value)?,
                        self.one(&config.hidden)?
                    ),
                };
                format!(
                    "Some(CryptBlock {{ key: {:#010x}, key_hidden: {}, whole: {}, \
                     config: {config} }})",
                    self.addr(&b.key)?,
                    self.one(&b.key_hidden)?,
                    self.option_bits(b.whole.as_ref())?,
                )
            }
        };
        Ok(format!(
            "Security {{ secure_boot: &[{}], secure_boot_v1: {}, crypt_count: {}, \
             no_manual_encrypt: {}, key_purposes: &[{}], no_purpose: {}, xts_keys: {}, purpose_names: {}, \
             key_manager: {}, crypt_block: {crypt_block} }}",
            boot.join(", "),
            self.option_bits(s.secure_boot_v1.as_ref())?,
            self.option_bits(s.crypt_count.as_ref())?,
            self.option_bits(s.no_manual_encrypt.as_ref())?,
            purposes.join(", "),
            s.no_purpose.unwrap_or(NO_PURPOSE),
            list(&s.xts_keys, |set| format!("&{set:?}")),
            by_number(&s.purpose_names)?,
            self.option_bits(s.key_manager.as_ref())?,
        ))
    }

    fn flash(&self, c: &Chip) -> Result<String, String> {
        let f = &c.flash;
        let sizes = list(&f.sizes, |(label, code)| {
            let bytes = size_bytes(label).unwrap_or_default();
            format!("FlashSize {{ label: {label:?}, code: {code:#04x}, bytes: {bytes:#x} }}")
        });
        let frequencies = list(&f.frequencies, |(label, code)| {
            format!("({label:?}, {code:#x})")
        });
        let mut voltage = Vec::new();
        for rule in &f.voltage {
            let mut when = Vec::new();
            for (runs, value) in &rule.when {
                when.push(format!("({}, {value})", self.one(runs)?));
            }
            voltage.push(format!(
                "VoltageRule {{ source: {:?}, when: &[{}], volts: {:?} }}",
                rule.source,
                when.join(", "),
                rule.volts
            ));
        }
        Ok(format!(
            "FlashTables {{ sizes: {sizes}, frequencies: {frequencies}, encrypted_align: {}, \
             address_32bit: {}, type_bit: {}, voltage: &[{}] }}",
            f.encrypted_align,
            f.address_32bit,
            self.option_bits(f.type_bit.as_ref())?,
            voltage.join(", "),
        ))
    }

    fn one(&self, runs: &Runs) -> Result<String, String> {
        Ok(bits(&runs.parse_one(&self.blocks)?))
    }

    fn addr(&self, runs: &Runs) -> Result<u32, String> {
        Ok(runs.parse_one(&self.blocks)?.addr)
    }

    fn fast_clock(&self, c: &Chip) -> Result<String, String> {
        let Some(fast) = &c.fast_clock else {
            return Ok("None".into());
        };
        let mut writes = Vec::new();
        for write in &fast.writes {
            writes.push(format!(
                "BitsWrite {{ bits: {}, value: {:#x}, delay_us: {} }}",
                self.one(&write.bits)?,
                write.value,
                write.delay_us
            ));
        }
        Ok(format!(
            "Some(FastClock {{ crystal_mhz: {:?}, uart_mhz: {:?}, writes: &[{}] }})",
            fast.crystal,
            fast.uart,
            writes.join(", ")
        ))
    }

    fn option_bits(&self, runs: Option<&Runs>) -> Result<String, String> {
        match runs {
            None => Ok("None".into()),
            Some(runs) => Ok(format!("Some({})", self.one(runs)?)),
        }
    }
}

fn machine(m: &Machine) -> String {
    let ram = list(&m.ram, |w| {
        format!(
            "RamWindow {{ range: {:#010x}..{:#010x}, bank: {:?}, offset: {:#x}, \
             access: RamAccess::{:?} }}",
            w.start, w.end, w.bank, w.offset, w.access
        )
    });
    format!(
        "Machine {{ clock: {:?}, ram: {ram}, stack: {:#010x}, rom: {} }}",
        m.clock,
        m.stack,
        list(&m.rom, |(start, end)| format!(
            "Range {{ start: {start:#010x}, end: {end:#010x} }}"
        )),
    )
}

fn rom(c: &Chip) -> String {
    let r = &c.rom;
    let banners = list(&r.banners, |b| {
        format!(
            "Banner {{ min_revision: {}, version: {}, build: {:?}, lines: &{:?}, waiting: &{:?}, \
             loading: &{:?}, segment: {:?}, no_image: {:?} }}",
            b.min_revision,
            b.version,
            b.build,
            b.lines,
            b.waiting,
            b.loading,
            b.segment,
            b.no_image
        )
    });
    let modes = list(&r.boot_modes, |m| {
        format!(
            "BootMode {{ strap: {:#x}, name: {:?}, download: {}, min_revision: {} }}",
            m.strap, m.name, m.download, m.min_revision
        )
    });
    let reasons = list(&r.reset_reasons, |reason| {
        format!(
            "ResetReason {{ code: {:#x}, name: {:?}, cause: ResetCause::{:?}, also: {} }}",
            reason.code,
            reason.name,
            reason.cause,
            list(&reason.also, |cause| format!("ResetCause::{cause:?}"))
        )
    });
    format!(
        "Rom {{ status_len: {}, commands: &{:?}, secure_commands: &{:?}, \
         security_info: SecurityInfoForm::{:?}, begin_words: {}, sync_value: {:#010x}, \
         flash_block: {:#x}, ram_block: {:#x}, \
         receive: ReceiveBuffer {{ size: {}, ahead: {} }}, erase: EraseRule::{:?}, \
         inflate: {}, md5: {}, ram_needs_insecure_boot: {}, \
         start_pointer: {}, cache_ram: {}, \
         default_flash_size: {:#x}, banners: {banners}, \
         boot_modes: {modes}, reset_reasons: {reasons}, \
         resets: ResetCauses {{ power_on: {:?}, pin: {:?}, watchdog: {:?}, software: {:?}, \
         usb: {:?} }}, \
         log_baud: {} }}",
        r.status_len,
        r.commands,
        r.secure_commands,
        r.security_info,
        r.begin_words,
        r.sync_value,
        r.flash_block,
        r.ram_block,
        r.receive.size,
        r.receive.ahead,
        r.erase,
        option(r.inflate.as_ref(), |rule| format!("InflateRule::{rule:?}")),
        r.md5,
        r.ram_needs_insecure_boot,
        option(r.start_pointer.as_ref(), |at| format!("{at:#010x}")),
        option(r.cache_ram.as_ref(), |(start, end)| format!(
            "{start:#010x}..{end:#010x}"
        )),
        r.default_flash_size,
        r.resets.power_on,
        r.resets.pin,
        r.resets.watchdog,
        if r.resets.software.is_empty() {
            &r.resets.pin
        } else {
            &r.resets.software
        },
        r.resets.usb,
        r.log_baud,
    )
}

fn usb(c: &Chip) -> String {
    let u = &c.usb;
    format!(
        "Usb {{ serial_jtag: {}, otg_product: {}, otg_block: {:#x}, otg_reset: OtgReset::{:?} }}",
        u.serial_jtag,
        option(u.otg_product.as_ref(), |p| format!("{p:#06x}")),
        u.otg_block,
        u.otg_reset
    )
}

fn spi(c: &Chip) -> String {
    let s = &c.spi;
    let at = |offset: u32| format!("{:#010x}", s.base + offset);
    let lengths = match (s.mosi_dlen, s.miso_dlen) {
        (Some(mosi), Some(miso)) => {
            format!(
                "SpiLengths::Registers {{ mosi: {}, miso: {} }}",
                at(mosi),
                at(miso)
            )
        }
        _ => "SpiLengths::InUsr1".into(),
    };
    let pins = match &s.pins {
        None => "SpiPins { custom: false, hspi: false, gpios: &[], hd_max: None, usb_gpios: &[] }"
            .into(),
        Some(p) => format!(
            "SpiPins {{ custom: true, hspi: {}, gpios: &{:?}, hd_max: {:?}, usb_gpios: &{:?} }}",
            p.hspi, p.gpios, p.hd_max, p.usb_gpios
        ),
    };
    format!(
        "SpiController {{ cmd: {}, addr: {}, ctrl: {}, usr: {}, usr1: {}, usr2: {}, \
         lengths: {lengths}, w0: {}, address_msb: {}, pins: {pins} }}",
        at(0),
        at(4),
        at(8),
        at(s.usr),
        at(s.usr1),
        at(s.usr2),
        at(s.w0),
        s.address_msb
    )
}

fn rule(rule: &Rule) -> String {
    let when: Vec<_> = rule.when.iter().collect();
    let when = list(&when, |(name, values)| {
        format!("({name:?}, &{:?})", values.list())
    });
    format!("Rule {{ when: {when}, text: {:?} }}", rule.text)
}

fn bits(bits: &Bits) -> String {
    format!(
        "Bits {{ addr: {:#010x}, lsb: {}, width: {} }}",
        bits.addr, bits.lsb, bits.width
    )
}

/// A table with numbers as keys, which TOML writes as text, in the order of the numbers.
fn by_number<T: std::fmt::Debug>(map: &BTreeMap<String, T>) -> Result<String, String> {
    let mut pairs = Vec::new();
    for (key, value) in map {
        pairs.push((
            key.parse::<u32>().map_err(|e| format!("\"{key}\": {e}"))?,
            value,
        ));
    }
    pairs.sort_by_key(|(key, _)| *key);
    Ok(list(&pairs, |(key, value)| format!("({key}, {value:?})")))
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    format!(
        "&[{}]",
        items.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

fn option<T>(item: Option<&T>, one: impl Fn(&T) -> String) -> String {
    item.map_or_else(|| "None".into(), |item| format!("Some({})", one(item)))
}
