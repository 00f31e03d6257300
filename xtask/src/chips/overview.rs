//! All chips side by side.

use std::fmt::Write as _;

use guru_chip::{
    Architecture, CHIPS, Chip, Crystal, Detection, OtgReset, Revision, SecurityInfoForm,
};
use guru_wire::Opcode;

use super::table::{self, bytes, link, list, yes};

pub fn write(page: &mut String) {
    _ = writeln!(page, "## Which there are\n");
    table::write(
        page,
        [
            "chip",
            "`--chip`",
            "CPU",
            "features of every part",
            "image chip id",
            "told by",
            "bootloader at",
            "ROMs that the simulator plays, from revision",
        ],
        CHIPS.iter().map(|chip| {
            [
                link(chip),
                format!("`{}`", chip.id),
                architecture(chip).into(),
                list(fixed_features(chip)),
                chip.image
                    .chip_id
                    .map_or("none".into(), |id| id.to_string()),
                match chip.detection {
                    Detection::Magic(magic) => format!("magic number {magic:#010x}"),
                    Detection::ChipId(id) => format!("chip id {id}"),
                },
                format!("{:#x}", chip.image.bootloader_offset),
                list(
                    chip.rom
                        .banners
                        .iter()
                        .map(|banner| Revision(banner.min_revision).to_string()),
                ),
            ]
        }),
    );

    _ = writeln!(page, "\n## Ways in, resets, and the loader in ROM\n");
    table::write(
        page,
        [
            "chip",
            "boot log, baud",
            "baud rate can be changed",
            "crystal, MHz",
            "USB-Serial/JTAG",
            "USB-OTG, product id",
            "hard reset over USB-OTG",
            "`--after watchdog-reset`",
            "flash block",
            "over USB-OTG",
            "RAM block",
            "receive buffer",
            "inflates",
            "digest",
        ],
        CHIPS.iter().map(|chip| {
            [
                link(chip),
                chip.rom.log_baud.to_string(),
                answers(chip, Opcode::ChangeBaudrate),
                match chip.crystal {
                    Crystal::Fixed(mhz) => mhz.to_string(),
                    Crystal::Estimated { choices, .. } => list(choices.iter().map(u8::to_string)),
                },
                yes(chip.usb.serial_jtag),
                chip.usb
                    .otg_product
                    .map_or("no".into(), |id| format!("{id:#06x}")),
                match (chip.usb.otg_product, chip.usb.otg_reset) {
                    (None, _) => "-",
                    (_, OtgReset::Pin) => "by RTS",
                    (_, OtgReset::WatchdogIfStrapped) => {
                        "by watchdog when the boot pin was low at reset, else by RTS"
                    }
                    (_, OtgReset::Watchdog) => "by watchdog",
                }
                .into(),
                yes(chip.watchdogs.as_ref().is_some_and(|dogs| dogs.can_reset)),
                bytes(chip.rom.flash_block),
                chip.usb
                    .otg_product
                    .map_or("-".into(), |_| bytes(chip.usb.otg_block)),
                bytes(chip.rom.ram_block),
                bytes(chip.rom.receive.size),
                chip.rom.inflate.map_or("no".into(), |rule| {
                    table::kebab(&format!("{rule:?}")).replace('-', " ")
                }),
                yes(chip.rom.md5),
            ]
        }),
    );

    _ = writeln!(page, "\n## Flash and PSRAM\n");
    table::write(
        page,
        [
            "chip",
            "sizes",
            "frequencies",
            "octal flash by eFuse",
            "32-bit addresses by a stub",
            "encrypted writes of",
            "ROM assumes",
            "`--spi-connection`",
            "flash in the package",
            "PSRAM in the package",
        ],
        CHIPS.iter().map(|chip| {
            [
                link(chip),
                list(chip.flash.size_labels()),
                list(chip.flash.frequency_labels()),
                yes(chip.flash.type_bit.is_some()),
                yes(chip.flash.address_32bit),
                bytes(chip.flash.encrypted_align),
                bytes(chip.rom.default_flash_size),
                pins(chip),
                list(sizes_in_package(chip, "Embedded Flash")),
                list(sizes_in_package(chip, "Embedded PSRAM")),
            ]
        }),
    );

    _ = writeln!(page, "\n## Security\n");
    table::write(
        page,
        [
            "chip",
            "secure boot",
            "flash encryption",
            "loader may be forbidden to encrypt",
            "key blocks",
            "GET_SECURITY_INFO",
            "Secure Download Mode",
            "commands there",
            "download mode can be disabled",
            "USB can be kept from the loader",
            "takes certificates (SDC)",
        ],
        CHIPS.iter().map(|chip| {
            let security = &chip.security;
            let download = chip.efuse.download.as_ref();
            [
                link(chip),
                secure_boot(chip),
                security
                    .crypt_count
                    .map_or("no".into(), |bits| table::bits(chip, &[bits])),
                yes(security.no_manual_encrypt.is_some()),
                match (security.key_purposes.len(), &security.crypt_block) {
                    (0, None) => "none".into(),
                    (0, Some(_)) => "without purposes".into(),
                    (n, _) => n.to_string(),
                },
                match chip.rom.security_info {
                    SecurityInfoForm::None => "no",
                    SecurityInfoForm::Short => "12 bytes",
                    SecurityInfoForm::Long => "20 bytes",
                }
                .into(),
                download
                    .and_then(|rules| rules.secure)
                    .map_or("no".into(), |field| format!("`{field}`")),
                match chip.rom.secure_commands.len() {
                    0 => "-".into(),
                    n => n.to_string(),
                },
                download.map_or("no".into(), |rules| match rules.disabled_since {
                    0 => format!("`{}`", rules.disabled),
                    since => format!("`{}` from {}", rules.disabled, Revision(since)),
                }),
                list(
                    download
                        .iter()
                        .flat_map(|rules| rules.no_serial_jtag.iter().chain(rules.no_otg))
                        .map(|field| format!("`{field}`")),
                ),
                chip.efuse
                    .certificate
                    .as_ref()
                    .map_or("no".into(), |rules| format!("`{}`", rules.enabled)),
            ]
        }),
    );
}

/// In print.
fn architecture(chip: &Chip) -> &'static str {
    match chip.architecture {
        Architecture::XtensaLx106 => "Xtensa LX106",
        Architecture::XtensaLx6 => "Xtensa LX6",
        Architecture::XtensaLx7 => "Xtensa LX7",
        Architecture::Riscv32 => "RISC-V, 32 bits",
    }
}

/// Features that do not depend on eFuses.
fn fixed_features(chip: &Chip) -> impl Iterator<Item = &'static str> {
    chip.identity
        .features
        .iter()
        .filter_map(|group| match group {
            [rule] if rule.when.is_empty() && !rule.text.contains('{') => Some(rule.text),
            _ => None,
        })
}

/// What comes behind `kind` in the texts of features: sizes, or that there may be some.
fn sizes_in_package(chip: &Chip, kind: &str) -> Vec<String> {
    let mut sizes: Vec<String> = Vec::new();
    for rule in chip.identity.features.iter().copied().flatten() {
        let Some(rest) = rule.text.strip_prefix(kind) else {
            continue;
        };
        let size = rest.split('(').next().unwrap_or_default().trim();
        let size = if size.is_empty() { "some" } else { size };
        if !sizes.iter().any(|known| known == size) {
            sizes.push(size.to_owned());
        }
    }
    sizes.sort_by_key(|size| {
        size.trim_end_matches("MB")
            .parse::<u32>()
            .unwrap_or_default()
    });
    sizes
}

/// Whether the loader has a command, and still in Secure Download Mode.
fn answers(chip: &Chip, opcode: Opcode) -> String {
    let secure = chip.rom.answers(opcode as u8, true);
    match (chip.rom.answers(opcode as u8, false), secure) {
        (false, _) => "no",
        (true, false) if !chip.rom.secure_commands.is_empty() => "yes, not in Secure Download Mode",
        (true, _) => "yes",
    }
    .into()
}

/// Which pins can be named.
fn pins(chip: &Chip) -> String {
    let pins = &chip.spi.pins;
    if !pins.custom {
        return "no".into();
    }
    let mut text = list(pins.gpios.iter().map(|(first, last)| match first == last {
        true => format!("GPIO{first}"),
        false => format!("GPIO{first} to {last}"),
    }));
    if let Some(max) = pins.hd_max {
        _ = write!(text, "; HD up to GPIO{max}");
    }
    if pins.hspi {
        text.push_str("; HSPI");
    }
    text
}

/// The eFuse bits that turn it on, and from which revision.
fn secure_boot(chip: &Chip) -> String {
    let security = &chip.security;
    let v1 = security
        .secure_boot_v1
        .map(|bits| format!("V1 {}", table::bits(chip, &[bits])));
    let later = security.secure_boot.iter();
    let later = later.filter(|(bits, _)| Some(*bits) != security.secure_boot_v1);
    let later = later.map(|(bits, since)| {
        let bits = table::bits(chip, &[*bits]);
        match since {
            0 => bits,
            since => format!("{bits} from {}", Revision(*since)),
        }
    });
    let text = list(v1.into_iter().chain(later));
    if text == "-" { "no".into() } else { text }
}
