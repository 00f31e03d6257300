//! The same with the stub itself, which the virtual chip executes: every job on every chip that has one.

use guru_chip::{CHIPS, Chip};
use guru_link::{Cancel, block_on};
use guru_loader::{
    ConnectOptions, EraseRegion, Error, Event, FlashOptions, ReadLength, ReadRequest, Session,
    Verify, VerifyRequest, WriteJob, WriteRequest,
};
use guru_sim::SimLink;
use guru_stub::Source;
use guru_testkit::{code, noise};

use super::{ADDRESS, notices, request};

/// Rate, in bits per second, of these jobs.
const BAUD: u32 = 460_800;

fn open(address: &str) -> SimLink {
    SimLink::open(&format!("sim://{address}"), Cancel::default()).unwrap()
}

fn options() -> ConnectOptions {
    ConnectOptions {
        stub: Some(Source::Embedded),
        baud: Some(BAUD),
        ..ConnectOptions::default()
    }
}

fn connect(address: &str) -> (Session<SimLink>, Vec<u8>) {
    let link = open(address);
    let before = noise(4 << 20, 9);
    link.flash().load(0, &before);
    let session = block_on(Session::connect(link, options(), &mut |_| {})).unwrap();
    (session, before)
}

/// Chips that have a stub.
fn chips() -> impl Iterator<Item = &'static Chip> {
    let has_one = |chip: &&Chip| Source::Embedded.stub(chip, None).unwrap().is_some();
    CHIPS.iter().copied().filter(has_one)
}

fn write(session: &mut Session<SimLink>, request: WriteRequest) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    let job = WriteJob::new(request, None)?;
    block_on(session.write_flash(job, &mut |event| events.push(event)))?;
    Ok(events)
}

fn ran(events: &[Event]) -> bool {
    let runs = |event: &Event| matches!(event, Event::StubRuns);
    notices(events).is_empty() && events.iter().any(runs)
}

#[test]
fn every_chips_stub_writes_and_leaves_the_rest_alone() {
    for chip in chips() {
        let (mut session, before) = connect(chip.id);
        let bytes = code(60_001, 1);
        let events = write(&mut session, request(&bytes)).unwrap();
        assert!(ran(&events), "{}: {events:?}", chip.id);
        let (start, end) = (ADDRESS as usize, ADDRESS as usize + bytes.len());
        let found = session.link().flash().read(0..4 << 20);
        assert!(found[start..end] == bytes, "{}", chip.id);
        assert!(found[..start] == before[..start], "{}", chip.id);
        let behind = end.next_multiple_of(4096);
        assert!(found[behind..] == before[behind..], "{}: behind", chip.id);
    }
}

#[test]
fn every_chips_stub_reads() {
    for chip in chips() {
        let (mut session, before) = connect(chip.id);
        let mut sink = Vec::new();
        let mut events = Vec::new();
        let request = ReadRequest {
            address: 0x1003,
            length: ReadLength::Bytes(70_001),
        };
        let options = FlashOptions::default();
        let mut observer = |event| events.push(event);
        block_on(session.read_flash(&options, request, &mut sink, &mut observer)).unwrap();
        assert!(ran(&events), "{}: {events:?}", chip.id);
        assert!(sink == before[0x1003..0x1003 + 70_001], "{}", chip.id);
    }
}

#[test]
fn sectors_are_erased_by_the_stub() {
    for chip in ["esp32c3", "esp32", "esp8266"] {
        let (mut session, before) = connect(chip);
        let region = EraseRegion {
            address: 0x3000,
            length: ReadLength::Bytes(1 << 20),
        };
        let mut events = Vec::new();
        let mut observer = |event| events.push(event);
        let options = FlashOptions::default();
        block_on(session.erase_region(&options, region, false, &mut observer)).unwrap();
        assert!(ran(&events), "{}: {events:?}", chip);
        let found = session.link().flash().read(0..4 << 20);
        let (start, end) = (0x3000, 0x3000 + (1 << 20));
        assert!(found[start..end].iter().all(|byte| *byte == 0xFF));
        assert!(found[..start] == before[..start] && found[end..] == before[end..]);
    }
}

/// Protected or not, over 16 MB or not.
#[test]
fn all_of_the_flash_is_erased_by_the_stub() {
    for board in [
        "esp32c3?flash-size=2MB&part=W25Q16JV&status=0x1c",
        "esp32?flash-size=1MB",
        "esp8266?flash-size=1MB",
        "esp32s3?flash-size=32MB",
    ] {
        let mut session = block_on(Session::connect(open(board), options(), &mut |_| {})).unwrap();
        let flash = session.link().flash();
        let size = flash.size();
        for at in (0..size).step_by(1 << 20) {
            flash.load(at, &noise(1 << 20, 9));
        }
        let mut events = Vec::new();
        let mut observer = |event| events.push(event);
        let all = FlashOptions::default();
        block_on(session.erase_flash(&all, false, &mut observer)).unwrap();
        assert!(ran(&events), "{board}: {events:?}");
        let found = flash.read(0..size);
        assert!(found.iter().all(|byte| *byte == 0xFF), "{board}");
        assert!(session.link().stats().erase_commands > 16, "{board}");
    }
}

#[test]
fn what_is_blank_is_not_erased_again() {
    let mut session = block_on(Session::connect(
        open("esp32c3?flash-size=1MB"),
        options(),
        &mut |_| {},
    ))
    .unwrap();
    session.link().flash().load(0x3_0000, &noise(0x1000, 9));
    let all = FlashOptions::default();
    block_on(session.erase_flash(&all, false, &mut |_| {})).unwrap();
    let found = session.link().flash().read(0..1 << 20);
    assert!(found.iter().all(|byte| *byte == 0xFF));
    assert_eq!(session.link().stats().erase_commands, 1);
}

#[test]
fn one_changed_sector_is_found_by_the_stub_and_goes_alone() {
    for chip in ["esp32c3", "esp32", "esp8266"] {
        let (mut session, _) = connect(chip);
        let bytes = code(200_000, 1);
        let mut old = bytes.clone();
        old[90_000] ^= 0x55;
        session.link().flash().load(ADDRESS, &old);
        let job = WriteJob::new(request(&bytes), None).unwrap();
        let report = block_on(session.write_flash(job, &mut |_| {})).unwrap();
        assert!(report.files[0].sent <= 4096, "{chip}: {report:?}");
        let end = ADDRESS + bytes.len() as u32;
        assert!(session.link().flash().read(ADDRESS..end) == bytes, "{chip}");
    }
}

#[test]
fn an_esp8266_is_verified_by_its_stub() {
    let (mut session, before) = connect("esp8266");
    let mut events = Vec::new();
    let file = request(&before[ADDRESS as usize..][..50_000]).files;
    let request = VerifyRequest {
        files: file,
        ..VerifyRequest::default()
    };
    block_on(session.verify_flash(request, &mut |event| events.push(event))).unwrap();
    assert!(ran(&events), "{events:?}");
}

#[test]
fn the_roms_digest_can_be_the_last_word() {
    let (mut session, _) = connect("esp32c3");
    let request = WriteRequest {
        verify: Verify::Rom,
        ..request(&code(60_000, 1))
    };
    let events = write(&mut session, request).unwrap();
    assert!(ran(&events));
}

/// The supply fails, or the cable is pulled, somewhere; the same write again makes it right.
#[test]
fn after_a_loss_of_power_or_port_at_any_step_the_same_write_makes_it_right() {
    let bytes = code(34_000, 1);
    let end = ADDRESS + bytes.len() as u32;
    let mut random = 2_463_534_242_u32;
    for (chip, round) in (0..10).map(|round| (["esp32c3", "esp32"][round % 2], round / 2)) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let fault = match round {
            0 => format!("power-loss:erase@{}", 1 + random % 3),
            1 | 2 => format!("power-loss:program@{}", 1 + random % 500),
            3 => format!("unplug:@{}", 9000 + random % 25_000),
            _ => format!("disconnect:@{}", 9000 + random % 25_000),
        };
        let mut link = open(&format!("{chip}?flash-size=1MB&fault={fault}"));
        let flash = link.flash();
        flash.load(0, &noise(1 << 20, 9));
        let mut written = false;
        for _ in 0..3 {
            let mut session = block_on(Session::connect(link, options(), &mut |_| {})).unwrap();
            written = write(&mut session, request(&bytes)).is_ok();
            link = session.into_link();
            if written {
                break;
            }
        }
        assert!(written, "{chip} {fault}");
        assert!(flash.read(ADDRESS..end) == bytes, "{chip} {fault}");
        let before = noise(1 << 20, 9);
        let untouched = flash.read(0..ADDRESS) == before[..ADDRESS as usize];
        // A block that is being erased when the supply fails begins below the file for none of them.
        assert!(untouched, "{chip} {fault}: before the file");
    }
}

#[test]
fn flash_beyond_16_mb_is_written_read_verified_and_erased_where_the_stub_has_the_addresses() {
    let link = open("esp32s3?flash-size=32MB");
    let flash = link.flash();
    let start = noise(1 << 18, 9);
    flash.load(0, &start);
    let mut session = block_on(Session::connect(link, options(), &mut |_| {})).unwrap();
    // Over the boundary, and behind it as much as half a block.
    let at = 0x0FF_F000;
    flash.load(at, &noise(1 << 16, 8));
    let bytes = code(40_000, 1);
    let mut request = request(&bytes);
    request.files[0].address = at;
    let files = request.files.clone();
    let events = write(&mut session, request).unwrap();
    assert!(ran(&events), "{events:?}");
    assert!(flash.read(at..at + 40_000) == bytes);

    let request = VerifyRequest {
        files,
        ..VerifyRequest::default()
    };
    block_on(session.verify_flash(request, &mut |_| {})).unwrap();
    let mut sink = Vec::new();
    let request = ReadRequest {
        address: at,
        length: ReadLength::Bytes(40_000),
    };
    let whole = FlashOptions::default();
    block_on(session.read_flash(&whole, request, &mut sink, &mut |_| {})).unwrap();
    assert!(sink == bytes);

    let region = EraseRegion {
        address: 0x100_0000,
        length: ReadLength::Bytes(0x4000),
    };
    block_on(session.erase_region(&whole, region, false, &mut |_| {})).unwrap();
    let blank = flash.read(0x100_0000..0x100_4000);
    assert!(blank.iter().all(|byte| *byte == 0xFF));
    assert!(flash.read(at..0x100_0000) == bytes[..0x1000]);
    assert!(flash.read(0x100_4000..at + 40_000) == bytes[0x5000..]);
    assert!(flash.read(0..1 << 18) == start, "nothing began again at 0");
}

#[test]
fn what_the_stub_writes_encrypted_is_what_the_rom_writes() {
    let key: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    let url = format!("esp32c3?set.SPI_BOOT_CRYPT_CNT=1&set.KEY_PURPOSE_0=4&set.KEY0={key}");
    let bytes = code(40 << 10, 1);
    let mut found = Vec::new();
    for stub in [None, Some(Source::Embedded)] {
        let by_stub = stub.is_some();
        let options = ConnectOptions { stub, ..options() };
        let mut session = block_on(Session::connect(open(&url), options, &mut |_| {})).unwrap();
        let mut request = request(&bytes);
        request.files[0].encrypt = true;
        let events = write(&mut session, request).unwrap();
        assert_eq!(ran(&events), by_stub, "{events:?}");
        let end = ADDRESS + bytes.len() as u32;
        found.push(session.link().flash().read(ADDRESS..end));
    }
    assert!(found[0] == found[1]);
    assert!(found[0] != bytes);
}

#[test]
fn with_secure_boot_the_esp32_s3_is_led_to_its_stub() {
    let link = open("esp32s3?set.SECURE_BOOT_EN=1");
    let mut session = block_on(Session::connect(link, options(), &mut |_| {})).unwrap();
    let bytes = code(40_000, 1);
    let request = WriteRequest {
        force: true,
        ..request(&bytes)
    };
    let events = write(&mut session, request).unwrap();
    assert!(ran(&events), "{events:?}");
    let end = ADDRESS + bytes.len() as u32;
    assert!(session.link().flash().read(ADDRESS..end) == bytes);
}
