//! What burnt eFuses do to a chip, its loader and its flash.

mod host;

use std::time::Duration;

use guru_chip::{CHIPS, Chip, Revision, SecurityInfoForm};
use guru_sim::SimOptions;
use guru_wire::{Begin, Command, ErrorCode, SecurityInfo};
use host::Host;
use sha2::{Digest, Sha256};

/// Encryption was asked for, and cannot be done.
const PARAMETER: ErrorCode = ErrorCode {
    failed: 1,
    code: 100,
};

/// Keys that count up from 0.
fn key(first: u8) -> String {
    (first..first + 32)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn plain() -> Vec<u8> {
    (0..1024_u32).map(|at| (at * 7 + 3) as u8).collect()
}

fn info(host: &mut Host) -> SecurityInfo {
    let answer = host
        .ask(&Command::GetSecurityInfo)
        .expect("the chip tells its security state");
    SecurityInfo::decode(&answer).expect("the answer is whole")
}

fn with_info() -> impl Iterator<Item = &'static Chip> {
    let known = |chip: &&Chip| chip.rom.security_info != SecurityInfoForm::None;
    CHIPS.iter().copied().filter(known)
}

/// Chips with key blocks that have a purpose, and a purpose for one key of flash encryption.
fn with_keys() -> impl Iterator<Item = (&'static Chip, u32)> {
    with_info().filter_map(|chip| {
        let single = chip.security.xts_keys.iter().find(|set| set.len() == 1)?;
        Some((chip, single[0]))
    })
}

fn begin_encrypted(host: &mut Host) -> Result<Vec<u8>, ErrorCode> {
    host.attach();
    host.ask(&Command::FlashBegin(Begin {
        encrypted: Some(true),
        ..host.words(0x400, 1, 0x400, 0x1_0000)
    }))
}

/// SHA-256 of 1 KB that was written encrypted.
fn encrypted(options: &str) -> String {
    let mut host = Host::synced(options);
    begin_encrypted(&mut host).expect("the chip has a key");
    host.data(0, &plain()).expect("the block fits");
    let digest = Sha256::digest(host.link.flash().read(0x1_0000..0x1_0400));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn each_flag_of_the_security_info_shows_its_field() {
    for chip in with_info() {
        for (bit, name) in chip.efuse.info_flags {
            let mut host = Host::synced(&format!("sim://{}?set.{name}=1", chip.id));
            let flags = info(&mut host).flags.0;
            assert_ne!(flags & 1 << bit, 0, "{} {name}: {flags:#x}", chip.id);
        }
        let mut host = Host::synced(&format!("sim://{}", chip.id));
        assert_eq!(info(&mut host).flags.0, 0, "{}", chip.id);
    }
}

#[test]
fn jtag_is_off_while_an_odd_number_of_its_bits_is_set() {
    for (value, off) in [(0, false), (1, true), (3, false), (7, true)] {
        let mut host = Host::synced(&format!("sim://esp32c3?set.SOFT_DIS_JTAG={value}"));
        assert_eq!(info(&mut host).flags.0, u32::from(off) << 6);
    }
}

#[test]
fn secure_boot_and_purposes_and_the_crypt_count_are_told() {
    for (chip, purpose) in with_keys() {
        if chip.efuse.field("SPI_BOOT_CRYPT_CNT").is_none() {
            continue;
        }
        let mut host = Host::synced(&format!(
            "sim://{}?set.SECURE_BOOT_EN=1&set.SPI_BOOT_CRYPT_CNT=7&set.KEY_PURPOSE_1={purpose}",
            chip.id
        ));
        let info = info(&mut host);
        assert!(info.flags.secure_boot(), "{}", chip.id);
        assert_eq!(info.crypt_count, 7, "{}", chip.id);
        assert_eq!(u32::from(info.key_purposes[1]), purpose, "{}", chip.id);
    }
}

/// Fields are named twice in the data, for the guards and for the tables of eFuse: both must mean
/// the same bits.
#[test]
fn names_and_guards_mean_the_same_bits() {
    for chip in CHIPS.iter().filter(|chip| !chip.efuse.fields.is_empty()) {
        let named = |names: [&str; 2]| {
            let mut found = names.iter().filter_map(|name| chip.efuse.field(name));
            found.next().map(|field| field.parts.to_vec())
        };
        let security = &chip.security;
        let one = |bits: Option<guru_chip::Bits>| bits.map(|bits| vec![bits]);
        let boot = security.secure_boot.first().map(|(bits, _)| *bits);
        assert_eq!(
            named(["SECURE_BOOT_EN", "ABS_DONE_0"]),
            one(boot),
            "{}",
            chip.id
        );
        assert_eq!(
            named(["SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"]),
            one(security.crypt_count),
            "{}",
            chip.id
        );
        assert_eq!(
            named(["DIS_DOWNLOAD_MANUAL_ENCRYPT", "DISABLE_DL_ENCRYPT"]),
            one(security.no_manual_encrypt),
            "{}",
            chip.id
        );
        for (index, bits) in security.key_purposes.iter().enumerate() {
            let name = format!("KEY_PURPOSE_{index}");
            assert_eq!(
                named([&name, &name]),
                Some(vec![*bits]),
                "{} {name}",
                chip.id
            );
        }
        for (name, field) in [
            ("WAFER_VERSION_MAJOR", "major"),
            ("WAFER_VERSION_MINOR", "minor"),
            ("PKG_VERSION", "package"),
        ] {
            let identity = chip
                .identity
                .fields
                .iter()
                .find(|known| known.name == field);
            if let (Some(field), Some(known)) = (chip.efuse.field(name), identity)
                && known.parts.len() == 1
            {
                assert_eq!(field.parts, known.parts, "{} {name}", chip.id);
            }
        }
    }
}

/// The expected digests are those of what espsecure 5.6.0 makes of the same bytes (`encrypt-flash-data
/// --aes-xts --address 0x10000`).
#[test]
fn an_encrypted_write_leaves_what_espsecure_would_have_made() {
    for (chip, purpose) in with_keys() {
        let options = format!(
            "sim://{}?set.KEY_PURPOSE_2={purpose}&set.KEY2={}",
            chip.id,
            key(0)
        );
        assert_eq!(encrypted(&options), XTS_128, "{}", chip.id);
        // What a program can read of the key makes no difference.
        let hidden = format!("{options}&set.RD_DIS=4");
        assert_eq!(encrypted(&hidden), XTS_128, "{}", chip.id);
        let address = chip.efuse.block("key2").unwrap().addr;
        assert_eq!(Host::synced(&options).read_reg(address), 0x1C1D_1E1F);
        assert_eq!(Host::synced(&hidden).read_reg(address), 0);
        if let Some([first, second]) = chip.security.xts_keys.iter().find(|set| set.len() == 2) {
            let options = format!(
                "sim://{}?set.KEY_PURPOSE_1={second}&set.KEY_PURPOSE_3={first}&set.KEY1={}&set.KEY3={}",
                chip.id,
                key(32),
                key(0)
            );
            assert_eq!(encrypted(&options), XTS_256, "{}", chip.id);
        }
    }
}

/// Of a chip with one block of 256 bits, the key may be half of it.
#[test]
fn half_a_key_is_extended_as_espsecure_extends_it() {
    for chip in CHIPS {
        if chip.efuse.field("XTS_KEY_LENGTH_256").is_some() && chip.security.crypt_block.is_some() {
            let half = &key(0)[..32];
            let options = format!("sim://{}?set.KEY0={half}", chip.id);
            assert_eq!(encrypted(&options), XTS_128_OF_HALF, "{}", chip.id);
            let options = format!(
                "sim://{}?set.KEY0={}&set.XTS_KEY_LENGTH_256=1",
                chip.id,
                key(0)
            );
            assert_eq!(encrypted(&options), XTS_128, "{}", chip.id);
        }
    }
}

const XTS_128: &str = "0a5c5ac673e81d70919937b1953e8599b891984c7aeb3baffb4f4e73593ee4e3";
const XTS_256: &str = "6dbd717a0084b210f5cf115593c595595cf0d10efa6dbaed54342b3287522423";
const XTS_128_OF_HALF: &str = "b828f881bc9ab498d5179e57b51863aa4719fea468c7f243c763fd0ff4161c73";

#[test]
fn the_rom_encrypts_neither_where_that_is_forbidden_nor_what_is_compressed() {
    for (chip, _) in with_keys() {
        if chip.security.no_manual_encrypt.is_some() {
            let options = format!("sim://{}?set.DIS_DOWNLOAD_MANUAL_ENCRYPT=1", chip.id);
            let mut host = Host::synced(&options);
            assert_eq!(begin_encrypted(&mut host), Err(PARAMETER), "{}", chip.id);
        }
        let mut host = Host::synced(&format!("sim://{}", chip.id));
        host.attach();
        let deflated = Command::FlashDeflBegin(Begin {
            encrypted: Some(true),
            ..host.words(0x400, 1, 0x400, 0x1_0000)
        });
        assert_eq!(host.ask(&deflated), Err(PARAMETER), "{}", chip.id);
    }
}

#[test]
fn the_rom_encrypts_whole_blocks_of_16() {
    let mut host = Host::synced("sim://esp32c3");
    begin_encrypted(&mut host).expect("the chip has a key");
    assert_eq!(host.data(0, &[1; 20]), Err(PARAMETER));
    // The number is used up.
    host.data(1, &[1; 32]).unwrap();
}

#[test]
fn code_in_ram_is_not_run_under_secure_boot() {
    for (options, runs) in [
        ("sim://esp32c3", true),
        ("sim://esp32c3?set.SECURE_BOOT_EN=1", false),
        ("sim://esp32s3?set.SECURE_BOOT_EN=1", false),
        ("sim://esp32?set.ABS_DONE_0=1", true),
    ] {
        let mut host = Host::synced(options);
        host.link.take_events();
        let entry = 0x4038_0000;
        host.ask(&Command::MemEnd { entry: Some(entry) }).unwrap();
        host.listen(Duration::from_millis(100));
        let ran = host
            .link
            .take_events()
            .iter()
            .any(|event| matches!(event, guru_sim::Event::Started { .. }));
        assert_eq!(ran, runs, "{options}");
    }
}

#[test]
fn a_chip_that_may_not_enter_its_loader_says_so_again_and_again() {
    for chip in CHIPS {
        let Some(rules) = &chip.efuse.download else {
            continue;
        };
        let mut host = Host::open(&format!("sim://{}?set.{}=1", chip.id, rules.disabled));
        host.set_baud(chip.rom.log_baud);
        host.reset_into_loader();
        let log = host.listen(Duration::from_secs(1));
        assert!(
            log.matches(rules.says_disabled).count() > 3,
            "{}: {log}",
            chip.id
        );
        assert!(log.contains(chip.rom.resets.software), "{}: {log}", chip.id);
        host.send(&Command::Sync);
        assert_eq!(host.collect(Duration::from_secs(1)).len(), 0, "{}", chip.id);
        host.link.take_events();
        host.reset();
        let log = host.listen(Duration::from_millis(100));
        let mode = chip.rom.boot_mode(Revision(u16::MAX), false).unwrap();
        assert!(log.contains(mode.name), "{}: {log}", chip.id);
        assert_eq!(host.link.take_events().len(), 1, "{}", chip.id);
    }
}

#[test]
fn an_esp32_of_an_early_revision_enters_its_loader_all_the_same() {
    Host::synced("sim://esp32?rev=1.0&set.UART_DOWNLOAD_DIS=1");
}

#[test]
fn in_secure_download_mode_the_rom_waits_in_other_words() {
    for chip in with_info() {
        let mut host = Host::open(&format!("sim://{}?secure-download", chip.id));
        host.set_baud(chip.rom.log_baud);
        let log = host.listen(Duration::from_secs(1));
        assert!(
            log.ends_with("wait uart download(secure mode)\r\n"),
            "{log}"
        );
    }
}

#[test]
fn a_loader_that_is_kept_from_usb_hears_nothing_there() {
    let options = "sim://esp32c3?usb=jtag&set.DIS_USB_SERIAL_JTAG_DOWNLOAD_MODE=1";
    let mut host = Host::open(options);
    let log = host.listen(Duration::from_millis(500));
    assert!(log.contains("waiting for download"), "{log}");
    host.send(&Command::Sync);
    assert_eq!(host.collect(Duration::from_secs(1)).len(), 0);
    for (options, what) in [
        (
            "sim://esp32c3?usb=jtag&set.DIS_USB_SERIAL_JTAG=1",
            "ESP32-C3",
        ),
        (
            "sim://esp32s3?usb=otg&set.DIS_USB_OTG_DOWNLOAD_MODE=1",
            "ESP32-S3",
        ),
        ("sim://esp32s2?usb=otg&set.DIS_USB=1", "ESP32-S2"),
    ] {
        let error = options.parse::<SimOptions>().unwrap_err().to_string();
        assert!(
            error.contains(what) && error.contains("usb=uart"),
            "{error}"
        );
    }
}

#[test]
fn an_encrypted_image_boots_where_its_key_is_burnt() {
    let options = format!(
        "sim://esp32c3?set.KEY_PURPOSE_0=4&set.KEY0={}&set.SPI_BOOT_CRYPT_CNT=1",
        key(0)
    );
    let mut host = Host::synced(&options);
    let mut image = vec![0xE9, 1, 2, 0x2F, 0x10, 0, 0x38, 0x40];
    image.resize(24, 0);
    for word in [0x3FCD_0000_u32, 8, 0, 0] {
        image.extend(word.to_le_bytes());
    }
    image.resize(48, 0);
    host.attach();
    host.ask(&Command::FlashBegin(Begin {
        encrypted: Some(true),
        ..host.words(0x400, 1, 0x400, 0)
    }))
    .unwrap();
    host.data(0, &image).unwrap();
    assert_ne!(host.link.flash().read(0..1), [0xE9]);
    host.reset();
    let log = host.listen(Duration::from_millis(300));
    assert!(log.contains("load:0x3fcd0000,len:0x8"), "{log}");
    // The same image in plain text is noise to it.
    host.link.flash().load(0, &image);
    host.reset();
    let log = host.listen(Duration::from_millis(300));
    assert!(log.contains("invalid header: 0x"), "{log}");
}

#[test]
fn a_key_that_cannot_be_one_is_refused() {
    for (value, what) in [
        ("12", "1 bytes, and not 32"),
        ("xy", "hexadecimal"),
        ("@/nonexistent/key", "/nonexistent/key"),
    ] {
        let error = format!("sim://esp32c3?set.KEY0={value}").parse::<SimOptions>();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("KEY0") && error.contains(what), "{error}");
    }
    let error = "sim://esp32c3?set.SECURE_BOOT_EN=2".parse::<SimOptions>();
    assert!(error.unwrap_err().to_string().contains("SECURE_BOOT_EN"));
}
