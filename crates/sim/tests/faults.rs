//! Each kind of fault does what its name says.

mod host;

use std::time::Duration;

use guru_link::{Link, block_on};
use guru_sim::Event;
use guru_testkit::noise;
use guru_wire::{Command, ErrorCode};
use host::Host;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_dropped_byte_on_the_way_in_costs_the_answer() {
    // SYNC frames are 46 bytes with their framing; the byte is in the first READ_REG.
    let mut host = Host::open("sim://esp32c3");
    host.sync();
    let sent = host.link.stats().bytes_to_chip;
    let mut host = Host::open(&format!("sim://esp32c3?fault=drop:tx:@{}", sent + 13));
    host.sync();
    let read = Command::ReadReg {
        address: 0x6000_007C,
    };
    // The closing delimiter is lost: the packet has not ended.
    host.send(&read);
    assert!(host.collect(SECOND).is_empty());
    host.send(&read);
    assert_eq!(host.collect(SECOND).len(), 1);
}

#[test]
fn a_damaged_block_is_refused_by_its_checksum() {
    let mut host = Host::open("sim://esp32c3?fault=corrupt:tx:@1000");
    host.sync();
    host.attach();
    host.begin(0x1000, 2, 0x400, 0).unwrap();
    let data = noise(1024, 1);
    assert_eq!(host.data(0, &data), Err(ErrorCode::CHECKSUM));
    host.data(1, &data).unwrap();
}

#[test]
fn bytes_from_the_chip_are_lost_doubled_and_delayed() {
    let clean = {
        let mut host = Host::open("sim://esp32c3");
        host.listen(SECOND)
    };
    let with = |fault: &str| {
        let mut host = Host::open(&format!("sim://esp32c3?fault={fault}"));
        let log = host.listen(SECOND);
        (log, host)
    };
    assert_eq!(with("drop:rx:@0").0, clean[1..]);
    assert_eq!(with("duplicate:rx:@0").0, format!("E{clean}"));
    assert_eq!(with("delay:rx:@10:700ms").0, clean);
    assert_ne!(with("corrupt:rx:@3").0, clean);
    let (log, _) = with("delay:rx:@10:2s");
    assert_eq!(log, clean[..10]);
}

#[test]
fn a_lost_connection_can_be_opened_again_and_the_chip_has_stayed() {
    let mut host = Host::open("sim://esp32c3?fault=disconnect:@3000");
    host.sync();
    host.attach();
    host.begin(0x2000, 8, 0x400, 0).unwrap();
    host.data(0, &[1; 1024]).unwrap();
    let packet = Command::FlashData {
        sequence: 1,
        data: &[2; 1024],
    };
    let framed = guru_wire::slip::encode(&packet.encode());
    let mut lost = false;
    for _ in 0..3 {
        if block_on(host.link.write(&framed)).is_err_and(|error| error.is_lost()) {
            lost = true;
            break;
        }
    }
    assert!(lost);
    let deadline = host.link.now() + SECOND;
    let error = block_on(host.link.read(&mut [0; 10], deadline)).unwrap_err();
    assert!(error.is_lost());
    block_on(host.link.reopen()).unwrap();
    host.sync();
    assert_eq!(host.link.flash().read(0..4), [1; 4]);
    assert!(host.link.take_events().contains(&Event::Disconnected));
}

#[test]
fn a_connection_can_be_lost_at_a_time_and_with_it_the_supply() {
    let mut host = Host::open("sim://esp32c3?fault=unplug:2s");
    host.sync();
    block_on(host.link.sleep(SECOND * 3)).unwrap();
    let deadline = host.link.now();
    assert!(block_on(host.link.read(&mut [0; 10], deadline)).is_err());
    block_on(host.link.reopen()).unwrap();
    // It has started anew, and from flash.
    host.send(&Command::Sync);
    assert!(host.collect(SECOND).is_empty());
    host.reset_into_loader();
    host.sync();
}

#[test]
fn power_loss_in_mid_erase_leaves_a_sector_half_erased() {
    let mut host = Host::open("sim://esp32c3?fault=power-loss:erase@3");
    host.sync();
    host.attach();
    host.link.flash().load(0, &[0; 0x4000]);
    host.send(&Command::FlashBegin(host.words(0x4000, 1, 0x400, 0)));
    let log = host.listen(SECOND);
    assert!(log.contains("POWERON"), "{log}");
    let contents = host.link.flash().read(0..0x4000);
    assert!(contents[..0x2000].iter().all(|byte| *byte == 0xFF));
    assert!(contents[0x2000..0x3000].iter().any(|byte| *byte != 0xFF));
    assert!(contents[0x3000..].iter().all(|byte| *byte == 0));
    assert!(host.link.take_events().contains(&Event::PowerLost));
    // The next try meets a chip that works.
    host.reset_into_loader();
    host.sync();
    host.attach();
    host.begin(0x4000, 1, 0x400, 0).unwrap();
    assert!(
        host.link
            .flash()
            .read(0..0x4000)
            .iter()
            .all(|byte| *byte == 0xFF)
    );
}

#[test]
fn power_fails_in_an_erase_that_is_watched_through_registers() {
    let mut host = Host::open("sim://esp32c3?fault=power-loss:erase@1");
    host.sync();
    host.attach();
    host.spi(0x06, None, &[], 0);
    host.spi(0xC7, None, &[], 0);
    assert_eq!(host.spi(0x05, None, &[], 8) & 1, 1);
    host.listen(SECOND * 10);
    assert!(host.link.take_events().contains(&Event::PowerLost));
}

#[test]
fn power_loss_in_mid_program_leaves_part_of_a_block() {
    let mut host = Host::open("sim://esp32c3?fault=power-loss:program@5");
    host.sync();
    host.attach();
    host.begin(0x1000, 4, 0x400, 0).unwrap();
    let data = [0; 1024];
    host.send(&Command::FlashData {
        sequence: 0,
        data: &data,
    });
    host.listen(SECOND);
    let contents = host.link.flash().read(0..1024);
    assert!(contents[..128].iter().all(|byte| *byte == 0));
    assert!(contents[160..].iter().all(|byte| *byte == 0xFF));
}

#[test]
fn a_slow_flash_takes_its_time() {
    let mut host = Host::open("sim://esp32c3?fault=slow-flash:x20");
    host.sync();
    host.attach();
    let begun = host.link.now();
    host.begin(0x1_0000, 1, 0x400, 0).unwrap();
    assert!(host.link.now() - begun > SECOND * 14);
}

#[test]
fn a_stuck_flash_makes_the_loader_wait_for_ever() {
    let mut host = Host::open("sim://esp32c3?fault=stuck-flash:@2");
    host.sync();
    host.attach();
    host.send(&Command::FlashBegin(host.words(0x3000, 1, 0x400, 0)));
    assert!(host.collect(SECOND * 300).is_empty());
    assert!(host.link.take_events().contains(&Event::Stuck));
    // A reset frees the loader, not the flash.
    host.reset_into_loader();
    host.listen(SECOND);
    host.sync();
}

#[test]
fn a_bit_that_is_stuck_shows_when_a_block_is_read_back() {
    let mut host = Host::open("sim://esp32c3?fault=stuck-bit:0x404.3");
    host.sync();
    host.attach();
    host.begin(0x1000, 4, 0x400, 0).unwrap();
    host.data(0, &[0xFF; 1024]).unwrap();
    assert_eq!(host.data(1, &[0xFF; 1024]), Err(ErrorCode::FLASH_WRITE));
}

#[test]
fn without_a_flash_nothing_answers() {
    let mut host = Host::open("sim://esp32c3?fault=no-flash");
    host.sync();
    host.attach();
    assert_eq!(host.spi(0x9F, None, &[], 24), 0xFF_FFFF);
}

#[test]
fn the_same_seed_makes_the_same_faults() {
    let log = |seed| {
        let url = format!("sim://esp32c3?fault=corrupt:rx:1/20,seed={seed}");
        Host::open(&url).listen(SECOND)
    };
    assert_eq!(log(1), log(1));
    assert_ne!(log(1), log(2));
}
