//! Every command of the ROM loader, on every chip.

mod host;

use std::time::Duration;

use guru_chip::{CHIPS, Chip, Detection, InflateRule, MAGIC_ADDRESS};
use guru_sim::Event;
use guru_testkit::noise;
use guru_wire::{Command, ErrorCode, RegisterWrite, SecurityInfo, parse_md5};
use host::{Host, zlib};
use md5::{Digest, Md5};

fn each_chip(test: impl Fn(&'static Chip, &mut Host)) {
    for chip in CHIPS {
        let mut host = Host::synced(&format!("sim://{}", chip.id));
        test(chip, &mut host);
    }
}

fn knows(chip: &Chip, opcode: u8) -> bool {
    chip.rom.commands.contains(&opcode)
}

#[test]
fn sync_is_answered_eight_times_with_the_value_of_a_rom() {
    for chip in CHIPS {
        let mut host = Host::synced(&format!("sim://{}", chip.id));
        host.send(&Command::Sync);
        let answers = host.collect(Duration::from_millis(100));
        assert_eq!(answers.len(), 8, "{}", chip.id);
        for answer in answers {
            assert_eq!(answer.value, chip.rom.sync_value, "{}", chip.id);
            assert_eq!(answer.body, vec![0; usize::from(chip.rom.status_len)]);
        }
    }
}

#[test]
fn a_chip_is_what_it_was_told_to_be() {
    each_chip(|chip, host| {
        match chip.detection {
            Detection::Magic(magic) => assert_eq!(host.read_reg(MAGIC_ADDRESS), magic),
            Detection::ChipId(id) => {
                let info = host.ask(&Command::GetSecurityInfo).unwrap();
                let info = SecurityInfo::decode(&info).unwrap();
                assert_eq!(info.chip.unwrap().0, u32::from(id));
                assert!(!info.flags.secure_boot() && !info.flash_encryption());
            }
        }
        assert_ne!(host.read_reg(chip.uart.date), 0, "{}", chip.id);
    });
}

/// What GetSecurityInfoProc of the ROMs puts there: the version of the ROM, not of the chip, and a
/// purpose that none has in the place of a block that holds no key.
#[test]
fn security_info_tells_the_roms_version_and_no_seventh_purpose() {
    for (url, version, last) in [
        ("sim://esp32c3?rev=0.4", 3, 12),
        ("sim://esp32c3?rev=1.1", 7, 12),
        ("sim://esp32c2?rev=1.0", 1, 0),
        ("sim://esp32c5?rev=1.0", 2, 19),
        ("sim://esp32c5?rev=1.2", 3, 19),
        ("sim://esp32c6?rev=0.2", 0, 12),
        ("sim://esp32c61?rev=1.0", 3, 16),
        ("sim://esp32h2?rev=1.2", 0, 12),
        ("sim://esp32p4?rev=3.1", 6, 12),
    ] {
        let info = Host::synced(url).ask(&Command::GetSecurityInfo).unwrap();
        let info = SecurityInfo::decode(&info).unwrap();
        assert_eq!(
            info.chip.map(|(_, version)| version),
            Some(version),
            "{url}"
        );
        assert_eq!(info.key_purposes, [0, 0, 0, 0, 0, 0, last], "{url}");
    }
}

#[test]
fn registers_that_are_not_modelled_keep_what_is_written() {
    each_chip(|chip, host| {
        let address = chip
            .memory
            .iter()
            .find(|memory| memory.name == "DRAM")
            .unwrap()
            .range
            .start
            + 0x100;
        assert_eq!(host.read_reg(address), 0);
        host.write_reg(address, 0x1234_5678);
        let reply = host.ask(&Command::WriteReg {
            writes: vec![RegisterWrite {
                address,
                value: 0xFFFF_FFFF,
                mask: 0x0000_FF00,
                delay_us: 10,
            }],
        });
        assert_eq!(reply, Ok(vec![]));
        assert_eq!(host.read_reg(address), 0x1234_FF78, "{}", chip.id);
    });
}

/// The ROM's answer to a command that it does not know carries the opcode of the command before,
/// and is sent as often as that one's answer.
#[test]
fn an_unknown_command_gets_error_05_under_the_last_opcode() {
    each_chip(|chip, host| {
        let address = chip.uart.date;
        host.send_packet(&[0, 0xD0, 0, 0, 0, 0, 0, 0]);
        let answers = host.collect(Duration::from_millis(200));
        assert_eq!(answers.len(), 8, "{}", chip.id);
        assert_eq!(answers[0].opcode, 0x08);
        assert_eq!(answers[0].body[..2], [1, 5]);
        host.read_reg(address);
        host.send_packet(&[0, 0xD0, 0, 0, 0, 0, 0, 0]);
        let answers = host.collect(Duration::from_millis(200));
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].opcode, 0x0A);
    });
}

#[test]
fn raw_blocks_are_written_and_the_digest_tells() {
    each_chip(|chip, host| {
        host.attach();
        let data = noise(4096, 1);
        host.begin(4096, 4, 1024, 0x1_0000).unwrap();
        for (sequence, block) in (0..).zip(data.chunks(1024)) {
            host.data(sequence, block).unwrap();
        }
        assert_eq!(host.link.flash().read(0x1_0000..0x1_1000), data);
        if !chip.rom.md5 {
            return;
        }
        let reply = host.ask(&Command::SpiFlashMd5 {
            offset: 0x1_0000,
            length: 4096,
        });
        let digest = parse_md5(&reply.unwrap()).unwrap();
        assert_eq!(digest[..], Md5::digest(&data)[..], "{}", chip.id);
    });
}

#[test]
fn compressed_streams_are_inflated_by_the_rule_of_the_chip() {
    each_chip(|chip, host| {
        let Some(rule) = chip.rom.inflate else {
            return;
        };
        host.attach();
        // What lies behind the stream shows what the final flush does to it.
        host.link.flash().load(0x2_0000, &[0xA5; 0x2_0000]);
        for len in [1000, 0x8000, 0x9000] {
            let data = noise(len, 2);
            let stream = zlib(&data);
            let blocks: Vec<_> = stream.chunks(0x400).collect();
            let begin = host.words(
                (len as u32).next_multiple_of(4096),
                blocks.len() as u32,
                0x400,
                0x2_0000,
            );
            host.ask(&Command::FlashDeflBegin(begin)).unwrap();
            for (sequence, data) in (0..).zip(blocks) {
                host.ask(&Command::FlashDeflData { sequence, data })
                    .unwrap();
            }
            let end = 0x2_0000 + len as u32;
            assert_eq!(host.link.flash().read(0x2_0000..end), data, "{}", chip.id);
            let erased_to = end.next_multiple_of(4096);
            let window = 0x2_0000 + (len as u32 / 0x8000 + 1) * 0x8000;
            let beyond = host.link.flash().read(erased_to..window);
            match rule {
                InflateRule::Exact => assert!(beyond.iter().all(|byte| *byte == 0xA5)),
                InflateRule::WholeWindows => {
                    assert!(beyond.iter().any(|byte| *byte != 0xA5), "{len:#x}");
                }
            }
            host.link.flash().load(0x2_0000, &[0xA5; 0x2_0000]);
        }
    });
}

#[test]
fn a_damaged_stream_is_refused_with_the_inflaters_code() {
    each_chip(|chip, host| {
        if chip.rom.inflate.is_none() {
            return;
        }
        host.attach();
        let mut stream = zlib(&[7; 5000]);
        let last = stream.len() - 1;
        stream[last] ^= 1;
        let begin = host.words(8192, 1, 0x400, 0);
        host.ask(&Command::FlashDeflBegin(begin)).unwrap();
        let reply = host.ask(&Command::FlashDeflData {
            sequence: 0,
            data: &stream,
        });
        assert_eq!(reply, Err(ErrorCode::ADLER32), "{}", chip.id);
        host.ask(&Command::FlashDeflBegin(begin)).unwrap();
        let reply = host.ask(&Command::FlashDeflData {
            sequence: 0,
            data: &[0xFF; 40],
        });
        assert_eq!(reply, Err(ErrorCode::INFLATE), "{}", chip.id);
    });
}

#[test]
fn reading_answers_64_bytes_always() {
    each_chip(|chip, host| {
        if !knows(chip, 0x0E) {
            return;
        }
        host.attach();
        host.link.flash().load(0x100, b"contents");
        let read =
            |host: &mut Host, offset, length| host.ask(&Command::ReadFlashSlow { offset, length });
        let data = read(host, 0x100, 8).unwrap();
        assert_eq!(data.len(), 64);
        assert_eq!(&data[..8], b"contents");
        assert_eq!(data[8..], [0; 56]);
        assert_eq!(read(host, 0, 65), Err(ErrorCode::READ_LENGTH));
        let beyond = read(host, 0x3F_FFE0, 64).unwrap_err();
        assert_eq!(beyond.number(), 0x0109, "{}", chip.id);
    });
}

/// The number of a block is used up before its checksum is looked at.
#[test]
fn a_block_with_a_wrong_checksum_is_counted_and_not_written() {
    each_chip(|chip, host| {
        host.attach();
        host.begin(4096, 2, 1024, 0).unwrap();
        let data = noise(1024, 3);
        let block = Command::FlashData {
            sequence: 0,
            data: &data,
        };
        let mut damaged = block.encode();
        damaged[100] ^= 1;
        host.send_packet(&damaged);
        let answer = host.answer().unwrap();
        assert_eq!(host.split(answer), Err(ErrorCode::CHECKSUM), "{}", chip.id);
        assert_eq!(host.link.flash().read(0..4), [0xFF; 4]);
        assert_eq!(host.ask(&block), Err(ErrorCode::INVALID_FORMAT));
        host.data(1, &data).unwrap();
        assert_eq!(host.link.flash().read(0..1024), data);
    });
}

#[test]
fn lengths_and_numbers_of_blocks_are_checked() {
    each_chip(|chip, host| {
        host.attach();
        assert_eq!(
            host.begin(4096, 1, 0x1801, 0),
            Err(ErrorCode::INVALID_FORMAT),
            "{}",
            chip.id
        );
        host.begin(4096, 4, 1024, 0).unwrap();
        for (sequence, len) in [(1, 1024), (0, 1028), (0, 1022)] {
            let reply = host.data(sequence, &vec![0; len]);
            assert_eq!(reply, Err(ErrorCode::INVALID_FORMAT), "{sequence} {len}");
        }
        host.data(0, &[0; 1024]).unwrap();
        // Too few or too many words.
        let mut begin = Command::FlashBegin(host.words(0, 0, 0, 0)).encode();
        begin.extend([0; 4]);
        begin[2] += 4;
        host.send_packet(&begin);
        let answer = host.answer().unwrap();
        assert_eq!(host.split(answer), Err(ErrorCode::INVALID_FORMAT));
    });
}

#[test]
fn begin_erases_as_the_rom_does() {
    each_chip(|chip, host| {
        host.attach();
        let twice = chip.rom.erase == guru_chip::EraseRule::HeadTwice;
        for (offset, len, erased_twice) in [
            (0x1_0000, 0x1000, 0x2000),
            (0x1_0000, 0x1_0000, 0x2_0000),
            (0x1_F000, 0x2000, 0x3000),
            (0x1_0000, 0x3_0000, 0x4_0000),
        ] {
            host.link.flash().load(0, &vec![0; 0x10_0000]);
            host.begin(len, 1, 0x400, offset).unwrap();
            let contents = host.link.flash().read(0..0x10_0000);
            let erased = contents.iter().filter(|byte| **byte == 0xFF).count() as u32;
            let first = contents.iter().position(|byte| *byte == 0xFF).unwrap() as u32;
            assert_eq!(first, offset, "{}", chip.id);
            assert_eq!(
                erased,
                if twice { erased_twice } else { len },
                "{}",
                chip.id
            );
        }
        assert_eq!(host.begin(0x1000, 1, 0x400, 0x1001), Err(ErrorCode::FAILED));
    });
}

#[test]
fn blocks_of_64_kib_are_erased_only_while_more_than_16_sectors_remain() {
    let mut host = Host::synced("sim://esp32c3");
    host.attach();
    let count = |host: &mut Host, len, offset| {
        let before = host.link.stats().erase_commands;
        host.begin(len, 1, 0x400, offset).unwrap();
        host.link.stats().erase_commands - before
    };
    assert_eq!(count(&mut host, 0x1_0000, 0), 16);
    assert_eq!(count(&mut host, 0x2_0000, 0), 32);
    assert_eq!(count(&mut host, 0x2_1000, 0), 16 + 1 + 1);
    assert_eq!(count(&mut host, 0x10_0000, 0xF000), 1 + 14 + 15 + 16 - 15);
}

#[test]
fn the_size_that_was_set_bounds_everything() {
    each_chip(|chip, host| {
        if !knows(chip, 0x0B) {
            return;
        }
        host.attach();
        host.ask(&Command::SpiSetParams { size: 0x10_0000 })
            .unwrap();
        assert_eq!(
            host.begin(0x1000, 1, 0x400, 0x10_0000),
            Err(ErrorCode::FAILED)
        );
        assert_eq!(
            host.begin(0x2000, 1, 0x400, 0xF_F000),
            Err(ErrorCode::FAILED)
        );
        host.begin(0x1000, 1, 0x400, 0xF_F000).unwrap();
        if chip.rom.md5 {
            let reply = host.ask(&Command::SpiFlashMd5 {
                offset: 0xF_F000,
                length: 0x1001,
            });
            assert_eq!(reply.unwrap_err().number(), 0x0109, "{}", chip.id);
        }
    });
}

#[test]
fn a_flash_that_was_not_attached_is_not_erased() {
    each_chip(|chip, host| {
        if !knows(chip, 0x0D) {
            return;
        }
        assert_eq!(host.begin(0x1000, 1, 0x400, 0), Err(ErrorCode::FAILED));
        assert_eq!(host.spi(0x9F, None, &[], 24), 0, "{}", chip.id);
    });
}

#[test]
fn the_flash_answers_through_the_controllers_registers() {
    each_chip(|chip, host| {
        host.attach();
        assert_eq!(host.spi(0x9F, None, &[], 24), 0x16_40EF, "{}", chip.id);
        let signature = host.spi(0x5A, Some(0), &[], 32);
        assert_eq!(&signature.to_le_bytes(), b"SFDP", "{}", chip.id);
        // Page program of 64 bytes, a sector erase, the status in between.
        let data = noise(64, 4);
        host.spi(0x06, None, &[], 0);
        assert_eq!(host.spi(0x05, None, &[], 8), 0x02);
        host.spi(0x02, Some(0x1_2300), &data, 0);
        assert_eq!(
            host.link.flash().read(0x1_2300..0x1_2340),
            data,
            "{}",
            chip.id
        );
        assert_eq!(
            host.spi(0x03, Some(0x1_2304), &[], 32),
            u32::from_le_bytes(data[4..8].try_into().unwrap())
        );
        host.spi(0x06, None, &[], 0);
        host.spi(0x20, Some(0x1_2000), &[], 0);
        assert_eq!(host.link.flash().read(0x1_2300..0x1_2304), [0xFF; 4]);
    });
}

#[test]
fn the_whole_chip_can_be_erased_through_the_registers() {
    let mut host = Host::synced("sim://esp32c3");
    host.attach();
    host.link.flash().load(0, &vec![0; 4 << 20]);
    host.spi(0x06, None, &[], 0);
    let begun = guru_link::Link::now(&host.link);
    host.spi(0xC7, None, &[], 0);
    while host.spi(0x05, None, &[], 8) & 1 != 0 {}
    let took = guru_link::Link::now(&host.link) - begun;
    assert!(took >= Duration::from_secs(10), "{took:?}");
    assert!(
        host.link
            .flash()
            .read(0..4 << 20)
            .iter()
            .all(|byte| *byte == 0xFF)
    );
}

#[test]
fn code_in_ram_is_stored_answered_for_and_started() {
    each_chip(|chip, host| {
        let address = chip
            .memory
            .iter()
            .find(|memory| memory.name == "IRAM")
            .unwrap()
            .range
            .start;
        let mut code = noise(100, 5);
        // A jump to itself.
        let stay = match chip.architecture {
            guru_chip::Architecture::Riscv32 => [0x6F, 0, 0, 0],
            _ => [0x06, 0xFF, 0xFF, 0],
        };
        code[..4].copy_from_slice(&stay);
        host.ask(&Command::MemBegin {
            size: 100,
            blocks: 1,
            block_size: 0x1800,
            address,
        })
        .unwrap();
        host.ask(&Command::MemData {
            sequence: 0,
            data: &code,
        })
        .unwrap();
        let word = u32::from_le_bytes(code[96..].try_into().unwrap());
        assert_eq!(host.read_reg(address + 96), word, "{}", chip.id);
        host.link.take_events();
        host.ask(&Command::MemEnd {
            entry: Some(address),
        })
        .unwrap();
        let expected = match chip.machine {
            Some(_) => Event::Started { entry: address },
            None => Event::CodeNotExecuted { entry: address },
        };
        assert_eq!(host.link.take_events(), [expected]);
        host.send(&Command::Sync);
        assert_eq!(host.collect(Duration::from_secs(1)).len(), 0);
    });
}

#[test]
fn an_end_with_wrong_totals_is_refused_with_06() {
    each_chip(|chip, host| {
        host.attach();
        host.begin(4096, 2, 1024, 0).unwrap();
        host.data(0, &[0; 1024]).unwrap();
        let reply = host.ask(&Command::FlashEnd { stay: true });
        assert_eq!(reply, Err(ErrorCode::FAILED), "{}", chip.id);
    });
    each_chip(|chip, host| {
        host.attach();
        host.begin(1024, 1, 1024, 0).unwrap();
        host.data(0, &[0; 1024]).unwrap();
        host.link.take_events();
        host.ask(&Command::FlashEnd { stay: false }).unwrap();
        host.set_baud(chip.rom.log_baud);
        let log = host.listen(Duration::from_secs(1));
        let first = |banner: &guru_chip::Banner| banner.lines[0].split('{').next().unwrap();
        let mut firsts = chip.rom.banners.iter().map(first);
        assert!(firsts.any(|line| log.contains(line)), "{log}");
        assert!(matches!(
            host.link.take_events()[..],
            [
                Event::Reset {
                    download: false,
                    ..
                },
                ..
            ]
        ));
    });
}

#[test]
fn a_new_baud_rate_holds_behind_the_answer() {
    each_chip(|chip, host| {
        let scaled = matches!(
            chip.crystal,
            guru_chip::Crystal::Estimated {
                assumed: guru_chip::AssumedCrystal::Always(_),
                ..
            }
        );
        if !knows(chip, 0x0F)
            || chip
                .quirks
                .contains(&guru_chip::Quirk::BaudFromRtcCalibration)
            || scaled
        {
            return;
        }
        host.ask(&Command::ChangeBaudrate {
            new: 921_600,
            old: 0,
        })
        .unwrap();
        host.set_baud(921_600);
        host.collect(Duration::from_millis(50));
        assert_ne!(host.read_reg(chip.uart.date), 0, "{}", chip.id);
        host.set_baud(115_200);
        host.send(&Command::ReadReg {
            address: chip.uart.date,
        });
        assert_eq!(host.collect(Duration::from_millis(200)).len(), 0);
    });
}

/// ESP32-P4 v3.1 leaves its flash without supply until a client has switched it on.
#[test]
fn the_flash_of_a_p4_must_be_powered_first() {
    for (options, powered) in [
        ("rev=1.3", true),
        ("rev=3.0", true),
        ("rev=3.1", false),
        ("rev=3.2", false),
    ] {
        let mut host = Host::synced(&format!("sim://esp32p4?{options}"));
        host.attach();
        let id = host.spi(0x9F, None, &[], 24);
        assert_eq!(id == 0x16_40EF, powered, "{options}: {id:#x}");
        let chip = host.chip();
        for (name, value) in [("flash_pads", 1), ("flash_on", 3)] {
            let bits = chip.named_bits.iter().find(|(known, _)| *known == name);
            host.write_reg(bits.unwrap().1.addr, value);
        }
        assert_eq!(host.spi(0x9F, None, &[], 24), 0x16_40EF);
    }
}

#[test]
fn secure_download_mode_leaves_few_commands() {
    for chip in CHIPS
        .iter()
        .filter(|chip| !chip.rom.secure_commands.is_empty())
    {
        let mut host = Host::synced(&format!("sim://{}?secure-download", chip.id));
        let info = host.ask(&Command::GetSecurityInfo).unwrap();
        let info = SecurityInfo::decode(&info).unwrap();
        assert!(info.flags.secure_download(), "{}", chip.id);
        host.send(&Command::ReadReg {
            address: chip.uart.date,
        });
        let answer = host.answer().unwrap();
        assert_eq!(answer.opcode, 0x14, "{}", chip.id);
        assert_eq!(host.split(answer).unwrap_err(), ErrorCode::INVALID_FORMAT);
        host.ask(&Command::SpiAttach { pins: 0 }).unwrap();
        host.begin(0x1000, 1, 0x400, 0).unwrap();
        host.data(0, &[1; 1024]).unwrap();
    }
}
