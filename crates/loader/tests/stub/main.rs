//! What the host does with a stub, against one that is played: what goes over the line, in which order,
//! and what becomes of a stub that fails.

#![expect(
    clippy::unwrap_used,
    reason = "a test bench: what cannot be set up fails the test"
)]

mod executed;
mod fake;

use std::sync::Arc;

use fake::{FakeStub, Fault};
use guru_image::Contents;
use guru_link::block_on;
use guru_loader::{
    After, ConnectOptions, EraseRegion, Error, Event, FilePart, FlashOptions, NoStub, Notice,
    ReadLength, ReadRequest, Session, Verify, WriteJob, WriteReport, WriteRequest,
};
use guru_stub::{Kind, Source, StubFile};
use guru_testkit::{code, noise};

type FakeSession = Session<FakeStub>;

const ADDRESS: u32 = 0x1_0000;

/// A session with a chip whose flash of 4 MB holds noise.
fn connect(chip: &str, fault: Fault) -> (FakeSession, Vec<Event>) {
    let link = FakeStub::open(&format!("sim://{chip}?flash-size=4MB"), fault);
    link.flash().load(0, &noise(4 << 20, 9));
    connect_to(link, Source::Embedded).unwrap()
}

fn connect_to(link: FakeStub, source: Source) -> Result<(FakeSession, Vec<Event>), Error> {
    let mut events = Vec::new();
    let options = ConnectOptions {
        stub: Some(source),
        baud: Some(460_800),
        ..ConnectOptions::default()
    };
    let session = block_on(Session::connect(link, options, &mut |event| {
        events.push(event);
    }))?;
    Ok((session, events))
}

fn request(bytes: &[u8]) -> WriteRequest {
    WriteRequest {
        files: vec![FilePart {
            name: "app.bin".to_owned(),
            address: ADDRESS,
            contents: Contents::from_bytes("app.bin", bytes.to_vec()).unwrap(),
            encrypt: false,
            previous: None,
        }],
        by_stub: true,
        ..WriteRequest::default()
    }
}

fn write(session: &mut FakeSession, request: WriteRequest) -> (WriteReport, Vec<Event>) {
    let mut events = Vec::new();
    let job = WriteJob::new(request, None).unwrap();
    let report = block_on(session.write_flash(job, &mut |event| events.push(event)));
    (report.unwrap(), events)
}

fn notices(events: &[Event]) -> Vec<NoStub> {
    let reason = |event: &Event| match event {
        Event::Notice(Notice::NoStub { reason }) => Some(*reason),
        _ => None,
    };
    events.iter().filter_map(reason).collect()
}

fn assert_holds(session: &FakeSession, bytes: &[u8], what: &str) {
    let end = ADDRESS + bytes.len() as u32;
    let found = session.link().flash().read(0..4 << 20);
    let before = noise(4 << 20, 9);
    assert!(found[ADDRESS as usize..end as usize] == *bytes, "{what}");
    assert!(
        found[..ADDRESS as usize] == before[..ADDRESS as usize],
        "{what}"
    );
    let behind = end.next_multiple_of(4096) as usize;
    assert!(found[behind..] == before[behind..], "{what}: behind");
}

#[test]
fn every_chip_is_written_through_its_stub() {
    for chip in guru_chip::CHIPS {
        let (mut session, _) = connect(chip.id, Fault::None);
        let bytes = code(200_001, 1);
        let (report, events) = write(&mut session, request(&bytes));
        assert_holds(&session, &bytes, chip.id);
        if chip.id == "esp32e22" {
            assert_eq!(notices(&events), [NoStub::NoneForChip]);
            continue;
        }
        assert_eq!(notices(&events), [], "{}", chip.id);
        assert!(report.files[0].verified, "{}", chip.id);
        assert_eq!(session.link().counts.starts, 1, "{}", chip.id);
    }
}

#[test]
fn the_first_sector_is_proved_before_the_second_is_touched() {
    let (mut session, _) = connect("esp32c3", Fault::None);
    write(&mut session, request(&code(100_000, 1)));
    let touched = &session.link().counts.touched;
    assert_eq!(touched[0], ADDRESS);
    assert_eq!(session.link().counts.begins, 2, "one sector, then all");

    let (mut session, _) = connect("esp32c3", Fault::WritesNothing);
    let bytes = code(100_000, 1);
    let (_, events) = write(&mut session, request(&bytes));
    assert_eq!(session.link().counts.touched, [ADDRESS]);
    assert_eq!(notices(&events), [NoStub::WritesWrongly]);
    assert_holds(&session, &bytes, "by the ROM");
}

#[test]
fn a_stub_that_is_silent_or_reads_wrongly_is_given_up_before_anything_is_changed() {
    for chip in ["esp32c3", "esp32", "esp8266"] {
        for (fault, reason) in [
            (Fault::Silent, NoStub::Silent),
            (Fault::Misreads, NoStub::OtherContents),
        ] {
            let (mut session, _) = connect(chip, fault);
            let bytes = code(100_000, 1);
            let (report, events) = write(&mut session, request(&bytes));
            assert_eq!(notices(&events), [reason], "{chip}");
            assert!(session.link().counts.touched.is_empty(), "{chip}");
            assert_holds(&session, &bytes, chip);
            let rom = guru_chip::by_id(chip).unwrap().rom.md5;
            assert_eq!(report.files[0].verified, rom, "{chip}");
        }
    }
}

#[test]
fn a_cpu_that_does_not_bear_the_higher_rate_gets_its_stub_without_it() {
    for chip in ["esp32", "esp32c3", "esp32s2", "esp8266"] {
        let (mut session, _) = connect(chip, Fault::DiesWhenFast);
        let bytes = code(100_000, 1);
        let (_, events) = write(&mut session, request(&bytes));
        assert_eq!(notices(&events), [], "{chip}");
        assert_holds(&session, &bytes, chip);
        let counts = &session.link().counts;
        assert_eq!((counts.starts, counts.raised), (2, 1), "{chip}");
    }
    let (mut session, _) = connect("esp32c3", Fault::Resets(4));
    write(&mut session, request(&code(300_000, 1)));
    let counts = &session.link().counts;
    assert_eq!((counts.starts, counts.raised), (2, 2), "after a reset");
}

#[test]
fn an_unchanged_file_costs_no_upload_and_less_than_2_kb() {
    let (mut session, _) = connect("esp32c3", Fault::None);
    let bytes = code(1 << 20, 1);
    session.link().flash().load(ADDRESS, &bytes);
    let before = session.link().counts.bytes;
    let (report, _) = write(&mut session, request(&bytes));
    let counts = &session.link().counts;
    assert_eq!((counts.starts, report.files[0].sent), (0, 0));
    assert!(counts.bytes - before < 2048, "{}", counts.bytes - before);
}

#[test]
fn one_changed_sector_goes_alone() {
    for changed in [0, 70_000, (1 << 20) - 1] {
        let (mut session, _) = connect("esp32c3", Fault::None);
        let bytes = code(1 << 20, 1);
        let mut old = bytes.clone();
        old[changed] ^= 0x55;
        session.link().flash().load(ADDRESS, &old);
        let before = session.link().counts.bytes;
        write(&mut session, request(&bytes));
        assert_holds(&session, &bytes, "one sector");
        let counts = &session.link().counts;
        assert_eq!(counts.touched, [ADDRESS + changed as u32 / 4096 * 4096]);
        let stub = Source::Embedded
            .stub(session.chip(), None)
            .unwrap()
            .unwrap();
        let upload = stub.len() as u64 * 102 / 100 + 200;
        let spent = counts.bytes - before - upload;
        assert!(spent < 6 << 10, "{spent} bytes beside the upload");
    }
}

#[test]
fn what_is_lost_goes_again_and_the_stream_goes_on() {
    for rate in [9, 11, 23] {
        let (mut session, _) = connect("esp32c3", Fault::Loses(rate));
        let bytes = code(300_000, 1);
        let (report, events) = write(&mut session, request(&bytes));
        assert_eq!(notices(&events), [], "{rate}");
        assert_holds(&session, &bytes, "lost frames");
        assert!(report.files[0].verified);
    }
}

#[test]
fn after_a_reset_the_stub_comes_again_and_the_write_goes_on() {
    let (mut session, _) = connect("esp32", Fault::Resets(4));
    let bytes = noise(300_000, 1);
    let (_, events) = write(&mut session, request(&bytes));
    assert_eq!(notices(&events), []);
    assert_holds(&session, &bytes, "after a reset");
    assert_eq!(session.link().counts.starts, 2);
}

#[test]
fn flash_is_read_in_a_window_and_proved_by_digest() {
    for (fault, length) in [
        (Fault::None, 1 << 20),
        (Fault::Loses(50), 200_000),
        (Fault::None, 100_003),
    ] {
        let (mut session, _) = connect("esp32c3", fault);
        let before = session.link().counts.bytes;
        let mut sink = Vec::new();
        let request = ReadRequest {
            address: 0x1234,
            length: ReadLength::Bytes(length),
        };
        block_on(session.read_flash(&FlashOptions::default(), request, &mut sink, &mut |_| {}))
            .unwrap();
        assert!(sink == session.link().flash().read(0x1234..0x1234 + length));
        assert_eq!(session.link().counts.starts, 1);
        if fault == Fault::None {
            let spent = session.link().counts.bytes - before;
            assert!(spent < u64::from(length) * 104 / 100 + 11_000, "{spent}");
        }
    }
}

#[test]
fn a_few_bytes_are_read_by_the_rom() {
    let (mut session, _) = connect("esp32c3", Fault::None);
    let mut sink = Vec::new();
    let request = ReadRequest {
        address: 0,
        length: ReadLength::Bytes(1000),
    };
    block_on(session.read_flash(&FlashOptions::default(), request, &mut sink, &mut |_| {}))
        .unwrap();
    assert_eq!((sink.len(), session.link().counts.starts), (1000, 0));
}

#[test]
fn a_region_is_erased_and_its_first_sector_first() {
    let (mut session, _) = connect("esp32c3", Fault::None);
    let region = EraseRegion {
        address: 0x1_0000,
        length: ReadLength::Bytes(2 << 20),
    };
    block_on(session.erase_region(&FlashOptions::default(), region, false, &mut |_| {})).unwrap();
    let flash = session.link().flash();
    assert!(
        flash
            .read(0x1_0000..0x21_0000)
            .iter()
            .all(|byte| *byte == 0xFF)
    );
    assert_eq!(
        flash.read(0x21_0000..0x40_0000),
        noise(4 << 20, 9)[0x21_0000..]
    );
    let touched = &session.link().counts.touched;
    assert_eq!(touched[..2], [0x1_0000, 0x1_0000]);
}

fn erase_all(session: &mut FakeSession) -> Result<Vec<NoStub>, Error> {
    let mut events = Vec::new();
    let mut observer = |event| events.push(event);
    block_on(session.erase_flash(&FlashOptions::default(), false, &mut observer))?;
    Ok(notices(&events))
}

fn is_blank(session: &FakeSession) -> bool {
    let flash = session.link().flash();
    (0..flash.size()).step_by(1 << 20).all(|at| {
        flash
            .read(at..at + (1 << 20))
            .iter()
            .all(|byte| *byte == 0xFF)
    })
}

#[test]
fn all_of_the_flash_is_erased_and_its_first_sector_first() {
    for chip in ["esp32c3", "esp32", "esp8266"] {
        let (mut session, _) = connect(chip, Fault::None);
        assert_eq!(erase_all(&mut session).unwrap(), []);
        assert!(is_blank(&session), "{chip}");
        let counts = &session.link().counts;
        assert_eq!(
            (counts.starts, &counts.touched[..3]),
            (1, &[0, 0, 0x1000][..])
        );
        assert_eq!(counts.touched.len(), 1 + (4 << 20) / 4096, "{chip}");
    }
}

#[test]
fn the_flashs_own_command_erases_all_of_it_where_no_stub_can_be_trusted() {
    for (fault, touched, reason) in [
        (Fault::Silent, &[][..], NoStub::Silent),
        (Fault::Misreads, &[], NoStub::OtherContents),
        (Fault::WritesNothing, &[0], NoStub::WritesWrongly),
    ] {
        for chip in ["esp32c3", "esp32", "esp8266"] {
            let (mut session, _) = connect(chip, fault);
            assert_eq!(erase_all(&mut session).unwrap(), [reason], "{chip}");
            assert!(is_blank(&session), "{chip} {fault:?}");
            assert_eq!(session.link().counts.touched, touched, "{chip}");
        }
    }
}

/// The one that is played has no addresses of four bytes; it must not erase the first 16 MB twice.
#[test]
fn the_flashs_own_command_erases_what_no_addresses_reach() {
    let link = FakeStub::open("sim://esp32s3?flash-size=32MB", Fault::None);
    link.flash().load(31 << 20, &noise(1 << 20, 9));
    let (mut session, _) = connect_to(link, Source::Embedded).unwrap();
    erase_all(&mut session).unwrap();
    assert!(is_blank(&session));
    assert!(session.link().counts.touched.is_empty());
}

#[test]
fn a_chip_that_refuses_to_be_erased_gets_no_stub() {
    for url in [
        "sim://esp32s3?set.SECURE_BOOT_EN=1",
        "sim://esp32?set.FLASH_CRYPT_CNT=1",
    ] {
        let link = FakeStub::open(url, Fault::None);
        let (mut session, _) = connect_to(link, Source::Embedded).unwrap();
        let refused = erase_all(&mut session);
        assert!(matches!(refused, Err(Error::Guarded { .. })), "{refused:?}");
        assert_eq!(session.link().counts.starts, 0);
    }
}

#[test]
fn the_last_word_can_be_the_roms() {
    let (mut session, _) = connect("esp32c3", Fault::None);
    let bytes = code(100_000, 1);
    let request = WriteRequest {
        verify: Verify::Rom,
        ..request(&bytes)
    };
    let (report, _) = write(&mut session, request);
    assert!(report.files[0].verified);
    // Registers answer both; the ROM alone has this one.
    assert_eq!(session.link().counts.starts, 1);
    assert!(!session.link().stub_runs());
}

#[test]
fn the_chip_is_left_in_its_rom_loader_unless_it_shall_stay_in_the_stub() {
    for (after, stays) in [(After::NoReset, false), (After::NoResetStub, true)] {
        let (mut session, _) = connect("esp32c3", Fault::None);
        write(&mut session, request(&code(100_000, 1)));
        block_on(session.reset(after, &mut |_| {})).unwrap();
        assert_eq!(session.link().stub_runs(), stays);
    }
}

#[test]
fn a_stub_file_that_is_damaged_ends_the_session_before_the_flash_is_asked() {
    let json = |entry: u32, text: &str, text_start: u32, data_start: u32| {
        let json = format!(
            r#"{{"entry": {entry}, "text": "{text}", "text_start": {text_start}, "data": "Zm9v",
                 "data_start": {data_start}}}"#
        );
        (Kind::Official, vec![("esp32c3.json", json.into_bytes())])
    };
    let ours = |sha: &str, length: u32| {
        let toml = format!(
            "entry = 0x40380000\nsha256 = '{sha}'\nsegments = [{{ address = 0x40380000, len = {length} }}]"
        );
        let files = vec![
            ("esp32c3.toml", toml.into_bytes()),
            ("esp32c3.bin", b"code".to_vec()),
        ];
        (Kind::Guru, files)
    };
    const OF_CODE: &str = "5694d08a2e53ffcae0c3103e5ad6f6076abd960eb1f8a56577040bc1028f702b";
    let (text, data) = (0x4038_0000, 0x3FC9_6000);
    let cut = (
        Kind::Official,
        vec![("esp32c3.json", b"{\"entry\": 1}".to_vec())],
    );
    for (what, (kind, files)) in [
        ("a field is missing", cut),
        ("no Base64", json(text, "Zm9v*mFy", text, data)),
        ("entry outside", json(text + 8, "Zm9vYmFy", text, data)),
        ("segments overlap", json(text, "Zm9vYmFy", text, text + 4)),
        ("in flash", json(0x4200_0000, "Zm9vYmFy", 0x4200_0000, data)),
        ("behind RAM", json(text, "Zm9vYmFy", text, 0xFFFF_FFFC)),
        ("not in words", json(text + 2, "Zm9vYmFy", text + 2, data)),
        ("wrong digest", ours(&OF_CODE.replace('5', "6"), 4)),
        ("wrong length", ours(OF_CODE, 8)),
    ] {
        let files = files.into_iter().map(|(name, bytes)| StubFile {
            name: name.to_owned(),
            bytes,
        });
        let link = FakeStub::open("sim://esp32c3?flash-size=1MB", Fault::None);
        let flash = link.flash();
        flash.load(0, &noise(1 << 20, 9));
        let source = Source::Files(kind, Arc::new(files.collect()));
        let error = connect_to(link, source).err().unwrap();
        assert!(matches!(error, Error::Stub(_)), "{what}: {error}");
        assert!(flash.read(0..1 << 20) == noise(1 << 20, 9), "{what}");
    }
}

/// The one that is played has no addresses of four bytes.
#[test]
fn flash_that_no_loader_reaches_is_refused_before_anything_is_changed() {
    let link = FakeStub::open("sim://esp32s3?flash-size=32MB", Fault::None);
    let (mut session, _) = connect_to(link, Source::Embedded).unwrap();
    let mut request = request(&code(100_000, 1));
    request.files[0].address = 0x100_0000;
    let job = WriteJob::new(request, None).unwrap();
    let result = block_on(session.write_flash(job, &mut |_| {}));
    assert!(matches!(result, Err(Error::BeyondAddresses { .. })));
    let region = EraseRegion {
        address: 0x100_0000,
        length: ReadLength::All,
    };
    let options = FlashOptions::default();
    let result = block_on(session.erase_region(&options, region, false, &mut |_| {}));
    assert!(matches!(result, Err(Error::BeyondAddresses { .. })));
    assert!(session.link().counts.touched.is_empty());
}

#[test]
fn a_range_outside_of_the_flash_brings_no_stub() {
    let (mut session, _) = connect("esp32s3", Fault::None);
    let options = FlashOptions::default();
    let region = EraseRegion {
        address: 0x30_0000,
        length: ReadLength::Bytes(0x200_0000),
    };
    let result = block_on(session.erase_region(&options, region, false, &mut |_| {}));
    assert!(matches!(result, Err(Error::OutsideFlash { .. })));
    let mut request = request(&code(100_000, 1));
    request.files[0].address = 0x3F_0000;
    let job = WriteJob::new(request, None).unwrap();
    let result = block_on(session.write_flash(job, &mut |_| {}));
    assert!(matches!(result, Err(Error::DoesNotFit { .. })));
    let counts = &session.link().counts;
    assert_eq!((counts.starts, counts.touched.len()), (0, 0));
}

#[test]
fn the_stub_stays_out_where_it_cannot_run() {
    for (address, reason) in [
        ("esp32c3?set.SECURE_BOOT_EN=1", NoStub::SecureBoot),
        ("esp32c3?secure-download=true", NoStub::SecureDownload),
    ] {
        let link = FakeStub::open(&format!("sim://{address}"), Fault::None);
        let (mut session, _) = connect_to(link, Source::Embedded).unwrap();
        let bytes = code(100_000, 1);
        let (_, events) = write(&mut session, request(&bytes));
        assert_eq!(notices(&events), [reason], "{address}");
    }
}
