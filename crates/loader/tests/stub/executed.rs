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

fn connect(address: &str) -> (Session<SimLink>, Vec<u8>) {
    let link = SimLink::open(&format!("sim://{address}"), Cancel::default()).unwrap();
    let before = noise(4 << 20, 9);
    link.flash().load(0, &before);
    let options = ConnectOptions {
        stub: Some(Source::Embedded),
        baud: Some(BAUD),
        ..ConnectOptions::default()
    };
    let session = block_on(Session::connect(link, options, &mut |_| {})).unwrap();
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

/// The supply fails in the middle; the same write again makes it right.
#[test]
fn after_a_loss_of_power_the_same_write_makes_it_right() {
    for at in ["erase@1", "program@3", "program@40", "program@300"] {
        let link = SimLink::open(
            &format!("sim://esp32c3?fault=power-loss:{at}"),
            Cancel::default(),
        );
        let link = link.unwrap();
        let options = ConnectOptions {
            stub: Some(Source::Embedded),
            baud: Some(BAUD),
            ..ConnectOptions::default()
        };
        let mut session = block_on(Session::connect(link, options, &mut |_| {})).unwrap();
        let bytes = code(60_000, 1);
        if write(&mut session, request(&bytes)).is_err() {
            write(&mut session, request(&bytes)).unwrap();
        }
        let end = ADDRESS + bytes.len() as u32;
        assert!(session.link().flash().read(ADDRESS..end) == bytes, "{at}");
    }
}
