//! Resets, boot logs, baud rates, watchdogs: what happens on the wires.

mod host;

use std::time::Duration;

use guru_chip::{CHIPS, Quirk, Revision};
use guru_link::{Cancel, Link, LinkError, ResetSequence, block_on};
use guru_sim::{Event, SimLink, SimOptions};
use guru_testkit::noise;
use guru_wire::Command;
use host::Host;

const SECOND: Duration = Duration::from_secs(1);

fn listen_at_log_rate(host: &mut Host) -> String {
    let baud = host.chip().rom.log_baud;
    host.set_baud(baud);
    let text = host.listen(Duration::from_millis(300));
    host.set_baud(115_200);
    text
}

#[test]
fn each_reset_sequence_leads_every_chip_into_its_loader() {
    let delay = Duration::from_millis(50);
    for chip in CHIPS {
        for sequence in [
            ResetSequence::classic(delay),
            ResetSequence::unix_tight(delay),
        ] {
            let mut host = Host::open(&format!("sim://{}?boot=app", chip.id));
            block_on(sequence.play(&mut host.link)).unwrap();
            let log = listen_at_log_rate(&mut host);
            let mode = chip.rom.boot_mode(Revision(u16::MAX), true).unwrap();
            assert!(log.contains(mode.name), "{}: {log}", chip.id);
            host.sync();
        }
    }
}

#[test]
fn a_hard_reset_boots_the_application() {
    for chip in CHIPS {
        let mut host = Host::synced(&format!("sim://{}", chip.id));
        host.link.take_events();
        host.reset();
        let log = listen_at_log_rate(&mut host);
        let mode = chip.rom.boot_mode(Revision(u16::MAX), false).unwrap();
        assert!(log.contains(mode.name), "{}: {log}", chip.id);
        let reset = host.link.take_events().remove(0);
        assert!(matches!(
            reset,
            Event::Reset {
                download: false,
                ..
            }
        ));
        host.send(&Command::Sync);
        assert_eq!(host.collect(SECOND).len(), 0, "{}", chip.id);
    }
}

#[test]
fn both_lines_asserted_leave_the_chip_alone() {
    let mut host = Host::synced("sim://esp32c3");
    host.lines(true, true);
    host.lines(false, false);
    host.sync();
}

#[test]
fn without_the_wait_for_en_the_boot_pin_comes_too_late() {
    let mut host = Host::open("sim://esp32c3?boot=app");
    host.lines(false, true);
    block_on(host.link.sleep(Duration::from_millis(100))).unwrap();
    host.lines(false, false);
    block_on(host.link.sleep(Duration::from_millis(10))).unwrap();
    host.lines(true, false);
    block_on(host.link.sleep(Duration::from_millis(50))).unwrap();
    assert!(host.listen(SECOND).contains("SPI_FAST_FLASH_BOOT"));
}

#[test]
fn the_boot_log_is_that_of_the_revision() {
    for (chip, revision, build, boot) in [
        (
            "esp32",
            "0.0",
            "ets Jun  8 2016 00:22:57",
            "0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT",
        ),
        (
            "esp32",
            "1.1",
            "ets Jun  8 2016 00:22:57",
            "0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT",
        ),
        (
            "esp32",
            "3.0",
            "ets Jul 29 2019 12:21:46",
            "0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT",
        ),
        (
            "esp32c3",
            "0.0",
            "esp32c3-20200918",
            "0x1 (POWERON),boot:0x5 (DOWNLOAD(USB/UART0/1))",
        ),
        (
            "esp32c3",
            "0.4",
            "esp32c3-api1-20210207",
            "0x1 (POWERON),boot:0x5 (DOWNLOAD(USB/UART0/1))",
        ),
        (
            "esp32c3",
            "1.1",
            "esp32c3-eco7-20230720",
            "0x1 (POWERON),boot:0x5 (DOWNLOAD(USB/UART0))",
        ),
        (
            "esp32p4",
            "0.0",
            "esp32p4-20230811\r\nBuild:Aug 11 2023",
            "boot:0x307 (DOWNLOAD(USB/UART0/SPI))",
        ),
        (
            "esp32p4",
            "0.1",
            "esp32p4-eco1-20240205\r\nBuild:Feb  5 2024",
            "boot:0x307 (DOWNLOAD",
        ),
        (
            "esp32p4",
            "1.3",
            "esp32p4-eco2-20240710\r\nBuild:Jul 10 2024",
            "boot:0x307 (DOWNLOAD",
        ),
        (
            "esp32p4",
            "3.0",
            "esp32p4-eco5-20250430\r\nBuild:Apr 30 2025",
            "boot:0x307 (DOWNLOAD",
        ),
        (
            "esp32p4",
            "3.1",
            "esp32p4-eco6-20251011\r\nBuild:Oct 11 2025",
            "boot:0x307 (DOWNLOAD",
        ),
        (
            "esp32p4",
            "3.2",
            "esp32p4-eco7-20260109\r\nBuild:Jan  9 2026",
            "boot:0x307 (DOWNLOAD",
        ),
        (
            "esp32s31",
            "0.0",
            "esp32s31-20251218\r\nBuild:Dec 18 2025",
            "boot:0x69 (DOWNLOAD(USB/UART0/SPI))",
        ),
    ] {
        let mut host = Host::open(&format!("sim://{chip}?rev={revision}"));
        let log = host.listen(SECOND);
        assert!(log.contains(build) && log.contains(boot), "{chip}: {log}");
        assert!(log.ends_with("waiting for download\r\n"), "{log}");
    }
}

/// What an erased flash means to the ROMs of the ESP32.
#[test]
fn the_esp32s_roms_complain_in_different_words() {
    for (revision, words) in [
        ("1.0", "flash read err, 1000"),
        ("3.0", "invalid header: 0xffffffff"),
    ] {
        let mut host = Host::open(&format!("sim://esp32?rev={revision}&boot=app"));
        let log = host.listen(SECOND);
        assert!(log.contains(words), "{revision}: {log}");
    }
}

#[test]
fn an_empty_flash_is_complained_about_again_and_again() {
    let mut host = Host::open("sim://esp32c3?boot=app");
    let log = host.listen(SECOND);
    assert!(
        log.matches("invalid header: 0xffffffff").count() > 5,
        "{log}"
    );
}

#[test]
fn an_image_in_flash_is_loaded_line_by_line() {
    let mut host = Host::open("sim://esp32c3");
    let mut image = vec![0xE9, 2, 2, 0x2F, 0x10, 0, 0x38, 0x40];
    image.resize(24, 0);
    for (address, len) in [(0x3FCD_0000_u32, 8_u32), (0x4038_0000, 4)] {
        image.extend(address.to_le_bytes());
        image.extend(len.to_le_bytes());
        image.extend(vec![0; len as usize]);
    }
    host.link.flash().load(0, &image);
    host.reset();
    let log = host.listen(SECOND);
    assert!(log.contains("mode:DIO, clock div:1"), "{log}");
    assert!(log.contains("load:0x3fcd0000,len:0x8"), "{log}");
    assert!(log.contains("load:0x40380000,len:0x4"), "{log}");
    assert!(log.contains("entry 0x40380010"), "{log}");
    assert!(host.link.take_events().contains(&Event::AppNotExecuted));
}

#[test]
fn each_rom_tells_in_its_own_words_what_it_loads() {
    for (chip, lines) in [
        (
            "esp32?rev=1.0",
            "configsip: 0, SPIWP:0xee\r\nclk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,\
             hd_drv:0x00,wp_drv:0x00\r\nmode:DIO, clock div:1\r\nload:0x3fff0000,len:20\r\n",
        ),
        (
            "esp32s2?",
            "SPIWP:0xee\r\nmode:DIO, clock div:1\r\nload:0x3fff0000,len:0x14\r\n",
        ),
        (
            "esp32p4?rev=3.0",
            "(SPI_FAST_FLASH_BOOT)\r\nSPI mode:DIO, clock div:1\r\nload:0x3fff0000,len:0x14\r\n",
        ),
        (
            "esp32s31?",
            "(SPI_FAST_FLASH_BOOT)\r\nSPI mode:DIO, clock div:1\r\nload:0x3fff0000,len:0x14\r\n",
        ),
    ] {
        let mut host = Host::open(&format!("sim://{chip}"));
        let mut image = vec![0xE9, 1, 2, 0x2F, 0, 0, 0, 0, 0xEE];
        image.resize(24, 0);
        image.extend(0x3FFF_0000_u32.to_le_bytes());
        image.extend(20_u32.to_le_bytes());
        image.resize(image.len() + 20, 0);
        let at = host.chip().image.bootloader_offset;
        host.link.flash().load(at, &image);
        host.reset();
        let log = host.listen(SECOND);
        assert!(log.contains(lines), "{chip}: {log}");
    }
}

#[test]
fn any_baud_rate_is_found_by_sync() {
    for baud in [9600, 74_880, 115_200, 230_400, 921_600] {
        for chip in CHIPS {
            let mut host = Host::open(&format!("sim://{}", chip.id));
            host.listen(SECOND);
            host.set_baud(baud);
            host.sync();
            host.read_reg(chip.uart.date);
        }
    }
}

#[test]
fn a_rate_that_does_not_match_gives_garbage_both_ways() {
    let mut host = Host::synced("sim://esp32c3");
    host.set_baud(57_600);
    let commands = host.link.stats().commands;
    for _ in 0..3 {
        host.send(&Command::Sync);
    }
    assert!(host.collect(SECOND).is_empty());
    assert_eq!(host.link.stats().commands, commands);
    // The chip's answer at its own rate is not understood either.
    host.set_baud(115_200);
    host.send(&Command::Sync);
    block_on(host.link.sleep(Duration::from_millis(6))).unwrap();
    host.set_baud(57_600);
    let deadline = host.link.now() + SECOND;
    let mut bytes = [0; 256];
    let len = block_on(host.link.read(&mut bytes, deadline)).unwrap();
    assert!(len > 0);
    assert!(!bytes[..len].starts_with(&[0xC0, 1, 8]));
}

#[test]
fn the_divider_tells_the_crystal() {
    for (url, mhz) in [
        ("sim://esp32c3", 40.0),
        ("sim://esp8266", 26.0),
        ("sim://esp8266?crystal=40", 40.0),
        ("sim://esp32?crystal=26", 26.0),
        ("sim://esp32c2", 26.0),
        ("sim://esp32c2?crystal=40", 40.0),
        ("sim://esp32c5", 48.0),
        ("sim://esp32c5?crystal=40", 40.0),
    ] {
        let mut host = Host::synced(url);
        let guru_chip::Crystal::Estimated { divisor, .. } = host.chip().crystal else {
            continue;
        };
        let clkdiv = host.read_reg(host.chip().uart.clkdiv) & 0xF_FFFF;
        let estimate = 115_200.0 * f64::from(clkdiv) / 1e6 / f64::from(divisor);
        assert!((estimate - mhz).abs() < 1.0, "{url}: {estimate}");
    }
}

/// The ESP32's ROM divides a clock that it has measured against an oscillator that drifts. A
/// client has to compute as the ROM does.
#[test]
fn a_drifted_oscillator_spoils_a_rate_that_was_not_scaled() {
    let chip = guru_chip::by_id("esp32").unwrap();
    let bits = |name| {
        let found = chip.named_bits.iter().find(|(known, _)| *known == name);
        found.unwrap().1
    };
    for scaled in [false, true] {
        let mut host = Host::synced("sim://esp32?fault=drift:%2B7%25");
        assert!(chip.quirks.contains(&Quirk::BaudFromRtcCalibration));
        let mut value = |name| {
            let bits = bits(name);
            let word = host.read_reg(bits.addr) >> bits.lsb;
            u64::from(word) & ((1 << bits.width) - 1)
        };
        let believed = value("rtc_calibration") * 15_625 * value("ck8m") / 40;
        assert!(believed.abs_diff(42_800_000) < 100_000, "{believed}");
        let new = if scaled {
            (921_600 * believed / 40_000_000) as u32
        } else {
            921_600
        };
        host.ask(&Command::ChangeBaudrate { new, old: 0 }).unwrap();
        host.set_baud(921_600);
        host.collect(Duration::from_millis(50));
        host.send(&Command::ReadReg {
            address: 0x3FF4_0078,
        });
        assert_eq!(host.collect(SECOND).is_empty(), !scaled);
    }
}

/// The ROM of the ESP32-C2 divides 40 MHz whatever the crystal, that of the ESP32-C5 what a register
/// says.
#[test]
fn a_crystal_that_the_rom_does_not_expect_spoils_a_rate_that_was_not_scaled() {
    for (url, numerator, denominator) in [
        ("sim://esp32c2?crystal=40", 1, 1),
        ("sim://esp32c2?crystal=26", 40, 26),
        ("sim://esp32c5?crystal=48", 1, 1),
        ("sim://esp32c5?crystal=40", 48, 40),
    ] {
        for scaled in [false, true] {
            let mut host = Host::synced(url);
            let new = if scaled {
                460_800 * numerator / denominator
            } else {
                460_800
            };
            host.ask(&Command::ChangeBaudrate { new, old: 0 }).unwrap();
            host.set_baud(460_800);
            host.collect(Duration::from_millis(50));
            host.send(&Command::ReadReg {
                address: host.chip().uart.date,
            });
            let heard = !host.collect(SECOND).is_empty();
            assert_eq!(heard, scaled || numerator == denominator, "{url}");
        }
    }
}

/// As boards print them.
#[test]
fn boot_logs_are_those_of_the_roms() {
    for (url, log) in [
        (
            "sim://esp32c2?crystal=40",
            "ESP-ROM:esp8684-api2-20220127\r\nBuild:Jan 27 2022\r\n\
             rst:0x1 (POWERON),boot:0x4 (DOWNLOAD(UART0))\r\nwaiting for download\r\n",
        ),
        (
            "sim://esp32c5?rev=1.0",
            "ESP-ROM:esp32c5-eco2-20250121\r\nBuild:Jan 21 2025\r\n\
             rst:0x1 (POWERON),boot:0x8 (DOWNLOAD(UART0/USB))\r\nwaiting for download\r\n",
        ),
        (
            "sim://esp32c5?rev=1.2",
            "ESP-ROM:esp32c5-eco3-20250704\r\nBuild:Jul  4 2025\r\n\
             rst:0x1 (POWERON),boot:0x8 (DOWNLOAD(UART0/USB))\r\nwaiting for download\r\n",
        ),
        (
            "sim://esp32c6",
            "ESP-ROM:esp32c6-20220919\r\nBuild:Sep 19 2022\r\n\
             rst:0x1 (POWERON),boot:0x4 (DOWNLOAD(USB/UART0/SDIO_FEI_FEO))\r\n\
             waiting for download\r\n",
        ),
        (
            "sim://esp32c61?boot=app",
            "ESP-ROM:esp32c61-eco3-20250228\r\nBuild:Feb 28 2025\r\n\
             rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\ninvalid header: 0xffffffff\r\n",
        ),
        (
            "sim://esp32h2?boot=app&usb=jtag",
            "ESP-ROM:esp32h2-20221101\r\nBuild:Nov  1 2022\r\n\
             rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\ninvalid header: 0xffffffff\r\n",
        ),
    ] {
        let heard = Host::open(url).listen(Duration::from_millis(40));
        assert!(heard.starts_with(log), "{url}: {heard}");
    }
}

#[test]
fn usb_serial_jtag_resets_by_its_own_rules() {
    let mut host = Host::open("sim://esp32c3?usb=jtag&boot=app");
    let usb = host.link.info().usb.clone().unwrap();
    assert_eq!((usb.vendor, usb.product), (0x303A, 0x1001));
    assert!(!host.link.info().capabilities.baud);
    block_on(ResetSequence::usb_serial_jtag().play(&mut host.link)).unwrap();
    let log = host.listen(Duration::from_millis(100));
    assert!(log.contains("USB_UART_CHIP_RESET"), "{log}");
    assert!(log.contains("waiting for download"), "{log}");
    // The rate has no effect.
    host.set_baud(9600);
    host.sync();
    block_on(ResetSequence::hard(true).play(&mut host.link)).unwrap();
    assert!(host.listen(SECOND).contains("SPI_FAST_FLASH_BOOT"));
}

/// Watchdogs that nobody silences end a session over USB-Serial/JTAG.
#[test]
fn watchdogs_bite_over_usb_unless_silenced() {
    for silenced in [false, true] {
        let mut host = Host::open("sim://esp32c3?usb=jtag");
        host.sync();
        let dogs = host.chip().watchdogs.as_ref().unwrap();
        if silenced {
            host.write_reg(dogs.protect, dogs.key);
            host.write_reg(dogs.config0, 0);
            host.write_reg(dogs.protect, 0);
            let swd = dogs.swd.as_ref().unwrap();
            host.write_reg(swd.protect, swd.key);
            host.write_reg(swd.config, 1 << swd.auto_feed);
            host.write_reg(swd.protect, 0);
        }
        let log = host.listen(Duration::from_secs(60));
        assert_eq!(log.is_empty(), silenced, "{log}");
    }
}

#[test]
fn the_watchdog_resets_when_it_is_told_to() {
    for chip in CHIPS {
        let Some(dogs) = chip.watchdogs.as_ref().filter(|dogs| dogs.can_reset) else {
            continue;
        };
        let mut host = Host::synced(&format!("sim://{}", chip.id));
        // Locked registers do not change.
        host.write_reg(dogs.config1, 2000);
        assert_eq!(host.read_reg(dogs.config1), 0);
        host.write_reg(dogs.protect, dogs.key);
        host.write_reg(dogs.config1, 2000);
        host.write_reg(dogs.config0, 1 << 31 | 5 << 28 | 1 << 8 | 2);
        host.write_reg(dogs.protect, 0);
        host.set_baud(chip.rom.log_baud);
        let log = host.listen(SECOND);
        assert!(log.contains(chip.rom.resets.watchdog), "{}: {log}", chip.id);
        assert!(log.contains("BOOT"), "{}: {log}", chip.id);
    }
}

#[test]
fn noise_between_packets_does_no_harm() {
    let mut host = Host::synced("sim://esp32c3");
    let mut noise = noise(300, 9);
    noise.retain(|byte| *byte != 0xC0);
    block_on(host.link.write(&noise)).unwrap();
    let address = host.chip().uart.date;
    assert_ne!(host.read_reg(address), 0);
}

/// The ring of the ROM is not bounded by anything but the host's restraint.
#[test]
fn what_comes_during_an_erase_beyond_the_buffer_is_lost() {
    let mut host = Host::synced("sim://esp32c3");
    host.attach();
    host.link.take_events();
    host.send(&Command::FlashBegin(host.words(0x1000, 1, 0x400, 0)));
    for _ in 0..20 {
        host.send(&Command::ReadReg {
            address: 0x6000_007C,
        });
    }
    let answers = host.collect(SECOND);
    assert!(answers.len() < 21, "{}", answers.len());
    assert!(host.link.stats().lost_bytes > 0);
    assert!(
        host.link
            .take_events()
            .iter()
            .any(|event| matches!(event, Event::Overflow { .. }))
    );
}

#[test]
fn a_block_takes_as_long_as_the_line_and_the_flash_need() {
    let mut host = Host::synced("sim://esp32c3");
    host.attach();
    let begun = host.link.now();
    host.begin(0x1_0000, 64, 0x400, 0).unwrap();
    // 16 sectors of 45 ms.
    let erase = host.link.now() - begun;
    assert!(erase > Duration::from_millis(720), "{erase:?}");
    assert!(erase < Duration::from_millis(750), "{erase:?}");
    let begun = host.link.now();
    host.data(0, &[0x5A; 1024]).unwrap();
    // 1058 bytes at 115200 baud are 92 ms; programming 32 pieces, 3.5 ms.
    let block = host.link.now() - begun;
    assert!(block > Duration::from_millis(95), "{block:?}");
    assert!(block < Duration::from_millis(105), "{block:?}");
}

#[test]
fn a_cancelled_wait_ends() {
    let cancel = Cancel::default();
    let options: SimOptions = "sim://esp32c3".parse().unwrap();
    let mut link = SimLink::new(&options, cancel.clone()).unwrap();
    cancel.cancel();
    let error = block_on(link.sleep(SECOND)).unwrap_err();
    assert!(matches!(error, LinkError::Cancelled));
}

#[test]
fn real_time_can_be_asked_for() {
    let mut host = Host::open("sim://esp32c3?real");
    let begun = std::time::Instant::now();
    block_on(host.link.sleep(Duration::from_millis(120))).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(120));
    host.sync();
}

#[test]
fn the_roms_own_usb_device_takes_commands_at_any_rate() {
    for chip in CHIPS {
        for (mode, known) in [
            ("jtag", chip.usb.serial_jtag),
            ("otg", chip.usb.otg_product.is_some()),
        ] {
            let url = format!("sim://{}?usb={mode}", chip.id);
            assert_eq!(url.parse::<SimOptions>().is_ok(), known, "{url}");
            if !known {
                continue;
            }
            let mut host = Host::open(&url);
            host.set_baud(1);
            host.sync();
            host.attach();
            host.begin(0x1000, 2, 0x800, 0).unwrap();
            // What comes while the chip is busy waits on the bus: nothing is lost.
            for sequence in 0..2 {
                host.send(&Command::FlashData {
                    sequence,
                    data: &[sequence as u8; 0x800],
                });
            }
            assert_eq!(host.collect(SECOND).len(), 2, "{url}");
            assert_eq!(host.link.stats().lost_bytes, 0);
        }
    }
}
