//! Our own stub, executed by the chips that it was built for.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

mod host;

use std::time::Duration;

use guru_chip::{CHIPS, Chip, Revision};
use guru_link::{Link, block_on};
use guru_sim::Event;
use guru_stub::Source;
use guru_wire::{Command, slip};
use host::{Host, zlib};
use md5::{Digest, Md5};

const BAUD: u32 = 921_600;
const SECTOR: u32 = 0x1000;
const BAD_LENGTH: u16 = 0xC000;
const BAD_CHECKSUM: u16 = 0xC100;
const BAD_BLOCK: u16 = 0xC200;
const BAD_COMMAND: u16 = 0xC300;
const NOT_BEGUN: u16 = 0xC600;
const BAD_STREAM: u16 = 0xC700;
const TOO_LITTLE: u16 = 0xC800;
const TOO_MUCH: u16 = 0xC900;
const NOT_THERE: u16 = 0xFF00;

const FLASH_BEGIN: u8 = 0x02;
const FLASH_DEFL_BEGIN: u8 = 0x10;
const CAN_ALL: u32 = 7;

/// Value and data of an answer, or the status.
type Reply = Result<(u32, Vec<u8>), u16>;

/// A chip on which our stub runs, and a host without any wisdom.
struct Stub {
    host: Host,
    heard: Vec<u8>,
}

/// Every chip that we have a stub for, and what of `sim://` follows its name.
fn boards() -> impl Iterator<Item = (&'static Chip, &'static str)> {
    let chips = CHIPS.iter().copied();
    let all = chips.filter(|chip| program(chip, None).is_some());
    all.flat_map(|chip| {
        let old = (chip.id == "esp32p4").then_some((chip, "rev=1.0"));
        [Some((chip, "")), old].into_iter().flatten()
    })
}

fn program(chip: &Chip, revision: Option<Revision>) -> Option<guru_stub::Stub> {
    Source::Embedded.stub(chip, revision).unwrap()
}

/// Proves a claim on every chip.
fn on_every_chip(claim: impl Fn(&mut Stub)) {
    for (chip, options) in boards() {
        let mut stub = Stub::start(&format!("sim://{}?flash-size=1MB&{options}", chip.id));
        claim(&mut stub);
        stub.expect_no_complaint();
    }
}

/// Text that deflates to half its length, as firmware does.
fn contents(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len)
        .map(|at| if at % 3 == 0 { next() } else { (at >> 9) as u8 })
        .collect()
}

fn md5(data: &[u8]) -> Vec<u8> {
    Md5::digest(data).to_vec()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn begin(size: usize, blocks: usize, block_size: usize, offset: u32) -> Vec<u8> {
    let [size, blocks, block_size] = [size, blocks, block_size].map(|number| number as u32);
    words(&[size, blocks, block_size, offset, 0])
}

impl Stub {
    fn start(url: &str) -> Self {
        let mut host = Host::synced(url);
        let revision = url.contains("rev=1.0").then_some(Revision(100));
        let program = program(host.chip(), revision).unwrap();
        for segment in &program.segments {
            let len = segment.bytes.len() as u32;
            let block = host.chip().rom.ram_block as usize;
            host.ask(&Command::MemBegin {
                size: len,
                blocks: segment.bytes.len().div_ceil(block) as u32,
                block_size: block as u32,
                address: segment.address,
            })
            .unwrap();
            for (sequence, data) in (0..).zip(segment.bytes.chunks(block)) {
                host.ask(&Command::MemData { sequence, data }).unwrap();
            }
        }
        host.link.take_events();
        host.ask(&Command::MemEnd {
            entry: Some(program.entry),
        })
        .unwrap();
        let heard = Vec::new();
        let mut stub = Self { host, heard };
        assert_eq!(stub.frame(), b"OHAI", "{url}");
        let size = stub.size();
        // Fewer moments to execute.
        stub.ask(0x0F, &words(&[BAUD, 115_200])).unwrap();
        stub.host.collect(Duration::from_millis(20));
        stub.host.set_baud(BAUD);
        let params = [0, size, 0x1_0000, SECTOR, 256, 0xFFFF];
        assert_eq!(stub.ask(0x0B, &words(&params)), Ok((0, vec![])), "{url}");
        stub
    }

    fn name(&self) -> String {
        self.host.link.info().name.clone()
    }

    fn size(&self) -> u32 {
        self.host.link.flash().size()
    }

    fn stored(&self, at: u32, len: usize) -> Vec<u8> {
        self.host.link.flash().read(at..at + len as u32)
    }

    /// No register was missing, and nothing crashed.
    fn expect_no_complaint(&mut self) {
        let events = self.host.link.take_events();
        let harmless = |event: &Event| {
            !matches!(
                event,
                Event::Crashed { .. }
                    | Event::UnknownRegister { .. }
                    | Event::UnknownRomFunction { .. }
                    | Event::Overflow { .. }
            )
        };
        assert!(events.iter().all(harmless), "{}: {events:x?}", self.name());
    }

    fn send(&mut self, frame: &[u8]) {
        block_on(self.host.link.write(&slip::encode(frame))).unwrap();
    }

    /// The next frame.
    fn frame(&mut self) -> Vec<u8> {
        let deadline = self.host.link.now() + Duration::from_secs(15);
        let mut buffer = [0; 4096];
        loop {
            let mut ends = (0..self.heard.len()).filter(|at| self.heard[*at] == 0xC0);
            if let (Some(open), Some(close)) = (ends.next(), ends.next()) {
                let raw: Vec<u8> = self.heard.drain(..=close).skip(open).collect();
                if raw.len() == 2 {
                    self.heard.insert(0, 0xC0);
                    continue;
                }
                return unescape(&raw[1..raw.len() - 1]);
            }
            let len = block_on(self.host.link.read(&mut buffer, deadline)).unwrap();
            let name = self.name();
            let device = self.host.link.take_events();
            assert_ne!(len, 0, "{name}: silent, after {device:x?}");
            self.heard.extend_from_slice(&buffer[..len]);
        }
    }

    fn request(&mut self, op: u8, data: &[u8], checksum: u32) {
        let mut frame = vec![0, op];
        frame.extend((data.len() as u16).to_le_bytes());
        frame.extend(checksum.to_le_bytes());
        frame.extend(data);
        self.send(&frame);
    }

    fn answer(&mut self, op: u8) -> Reply {
        let frame = self.frame();
        let name = self.name();
        assert_eq!(frame[..2], [1, op], "{name}: {frame:x?}");
        let len = usize::from(u16::from_le_bytes([frame[2], frame[3]]));
        assert_eq!(frame.len(), 8 + len, "{name}");
        let (data, status) = frame[8..].split_at(len - 2);
        let value = u32::from_le_bytes(frame[4..8].try_into().unwrap());
        match u16::from_be_bytes([status[0], status[1]]) {
            0 => Ok((value, data.to_vec())),
            error => Err(error),
        }
    }

    fn ask(&mut self, op: u8, data: &[u8]) -> Reply {
        self.request(op, data, 0);
        self.answer(op)
    }

    fn send_block(&mut self, op: u8, number: u32, data: &[u8], spoil: u8) {
        let sum = data.iter().fold(0xEF, |sum, byte| sum ^ byte);
        let mut body = words(&[data.len() as u32, number, 0, 0]);
        body.extend(data);
        self.request(op, &body, u32::from(sum ^ spoil));
    }

    fn block(&mut self, op: u8, number: u32, data: &[u8]) -> Reply {
        self.send_block(op, number, data, 0);
        self.answer(op)
    }

    /// Writes a stream, with so many blocks on the way.
    fn write(&mut self, op: u8, at: u32, len: usize, stream: &[u8], block: usize, ahead: usize) {
        let blocks: Vec<_> = stream.chunks(block).collect();
        self.ask(op, &begin(len, blocks.len(), block, at)).unwrap();
        let mut answered = 0;
        for (number, data) in (0..).zip(&blocks) {
            self.send_block(op + 1, number, data, 0);
            if number as usize + 1 >= answered + ahead {
                let got = self.answer(op + 1);
                assert!(
                    got.is_ok(),
                    "{}: {got:x?} {:x?}",
                    self.name(),
                    self.host.link.take_events()
                );
                answered += 1;
            }
        }
        for _ in answered..blocks.len() {
            self.answer(op + 1).unwrap();
        }
        self.ask(op + 2, &words(&[1])).unwrap();
    }

    fn negotiate(&mut self) -> u32 {
        let (got, _) = self.ask(0xE0, &words(&[u32::MAX])).unwrap();
        got
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            0xDB if bytes.next() == Some(&0xDC) => 0xC0,
            other => *other,
        });
    }
    out
}

#[test]
fn every_sync_is_answered_eight_times_with_0() {
    on_every_chip(|stub| {
        let mut sync = vec![0x07, 0x07, 0x12, 0x20];
        sync.extend([0x55; 32]);
        stub.request(0x08, &sync, 0);
        for _ in 0..8 {
            assert_eq!(stub.answer(0x08), Ok((0, vec![])));
        }
    });
}

#[test]
fn a_raw_write_over_old_contents_leaves_the_new_ones_and_nothing_else() {
    on_every_chip(|stub| {
        stub.host.link.flash().load(0, &[0x5A; 0x1_8000]);
        let new = contents(0x5123);
        let mut padded = new.clone();
        padded.resize(new.len().next_multiple_of(0x4000), 0xFF);
        stub.write(FLASH_BEGIN, 0x7000, new.len(), &padded, 0x4000, 1);
        assert!(stub.stored(0x7000, new.len()) == new, "{}", stub.name());
        assert!(stub.stored(0, 0x7000).iter().all(|byte| *byte == 0x5A));
        let end = 0x7000 + new.len().next_multiple_of(0x1000);
        let rest = stub.stored(0x7000 + new.len() as u32, end - 0x7000 - new.len());
        assert!(rest.iter().all(|byte| *byte == 0xFF));
        assert!(
            stub.stored(end as u32, 0x1000)
                .iter()
                .all(|byte| *byte == 0x5A)
        );
    });
}

#[test]
fn a_compressed_write_leaves_what_was_compressed() {
    on_every_chip(|stub| {
        stub.host.link.flash().load(0x1_0000, &[0; 0x2_0000]);
        // More than the inflater's window of 32 KB.
        let new = contents(0x9345);
        let stream = zlib(&new);
        stub.write(FLASH_DEFL_BEGIN, 0x1_0000, new.len(), &stream, 0x4000, 1);
        assert!(stub.stored(0x1_0000, new.len()) == new, "{}", stub.name());
        let (_, digest) = stub
            .ask(0x13, &words(&[0x1_0000, new.len() as u32, 0, 0]))
            .unwrap();
        assert_eq!(digest, md5(&new), "{}", stub.name());
    });
}

#[test]
fn seven_blocks_are_on_the_way_once_that_is_agreed() {
    on_every_chip(|stub| {
        assert_eq!(stub.negotiate() & 3, 3);
        let new = contents(0x8000);
        let stream = zlib(&new);
        assert!(stream.len() > 7 * 0x800);
        stub.write(FLASH_DEFL_BEGIN, 0x2_0000, new.len(), &stream, 0x800, 7);
        assert!(stub.stored(0x2_0000, new.len()) == new, "{}", stub.name());
        stub.write(FLASH_BEGIN, 0x4_0000, new.len(), &new, 0x1000, 7);
        assert!(stub.stored(0x4_0000, new.len()) == new, "{}", stub.name());
    });
}

#[test]
fn the_digest_map_tells_the_sector_that_differs() {
    on_every_chip(|stub| {
        stub.negotiate();
        let mut all = contents(0x8000);
        stub.host.link.flash().load(0x3_0000, &all);
        let ask = words(&[0x3_0000, 0x8000]);
        let (count, before) = stub.ask(0xE1, &ask).unwrap();
        assert_eq!((count, before.len()), (8, 32));
        let expected: Vec<u8> = all
            .chunks(0x1000)
            .flat_map(|s| md5(s)[..4].to_vec())
            .collect();
        assert_eq!(before, expected, "{}", stub.name());
        all[0x5678] ^= 1;
        stub.host.link.flash().load(0x3_0000, &all);
        let (_, after) = stub.ask(0xE1, &ask).unwrap();
        let differ: Vec<_> = (0..8)
            .filter(|n| before[n * 4..][..4] != after[n * 4..][..4])
            .collect();
        assert_eq!(differ, [5]);
        assert_eq!(stub.ask(0xE1, &words(&[1, 0x1000])), Err(BAD_LENGTH));
    });
}

#[test]
fn reading_keeps_the_window_and_ends_with_the_digest() {
    on_every_chip(|stub| {
        let all = contents(0x5001);
        stub.host.link.flash().load(0x1_0003, &all);
        for (window, most) in [(64, 1), (3, 3)] {
            // Before anything is agreed, one packet is on the way whatever is asked for.
            if most == 3 {
                stub.negotiate();
            }
            let ask = words(&[0x1_0003, all.len() as u32, 0x1000, window]);
            assert_eq!(stub.ask(0xD2, &ask), Ok((0, vec![])));
            let mut read = Vec::new();
            // Without an acknowledgement nothing beyond the window comes.
            for _ in 0..most {
                read.extend(stub.frame());
            }
            let deadline = stub.host.link.now() + Duration::from_millis(400);
            let mut buffer = [0; 16];
            let more = block_on(stub.host.link.read(&mut buffer, deadline)).unwrap();
            assert_eq!(more, 0, "{}", stub.name());
            stub.send(&words(&[read.len() as u32]));
            while read.len() < all.len() {
                read.extend(stub.frame());
                stub.send(&words(&[read.len() as u32]));
            }
            assert!(read == all, "{}", stub.name());
            assert_eq!(stub.frame(), md5(&all), "{}", stub.name());
        }
    });
}

#[test]
fn a_read_that_is_given_up_leaves_the_stub_listening() {
    on_every_chip(|stub| {
        let ask = words(&[0, 0x4000, 0x1000, 1]);
        stub.ask(0xD2, &ask).unwrap();
        assert_eq!(stub.frame().len(), 0x1000);
        assert_eq!(
            stub.ask(0x0A, &words(&[stub.host.chip().uart.clkdiv]))
                .map(|_| ()),
            Ok(())
        );
    });
}

#[test]
fn erasing_takes_what_was_asked_for_and_no_more() {
    on_every_chip(|stub| {
        stub.host.link.flash().load(0, &[0; 0x3_0000]);
        stub.ask(0xD1, &words(&[0x3000, 0x1_D000])).unwrap();
        assert!(stub.stored(0, 0x3000).iter().all(|byte| *byte == 0));
        assert!(
            stub.stored(0x3000, 0x1_D000)
                .iter()
                .all(|byte| *byte == 0xFF)
        );
        assert!(
            stub.stored(0x2_0000, 0x1_0000)
                .iter()
                .all(|byte| *byte == 0)
        );
        assert_eq!(stub.ask(0xD1, &words(&[0x123, 0x1000])), Err(BAD_LENGTH));
        let beyond = words(&[stub.size(), 0x1000]);
        assert_eq!(stub.ask(0xD1, &beyond), Err(BAD_LENGTH));
        stub.ask(0xD0, &[]).unwrap();
        assert!(stub.stored(0, 0x3_0000).iter().all(|byte| *byte == 0xFF));
    });
}

#[test]
fn an_erase_ends_at_the_same_step_whether_waiting_is_leapt_over_or_not() {
    for (chip, options) in boards() {
        let erase = |leaps: bool| {
            let mut stub = Stub::start(&format!("sim://{}?flash-size=1MB&{options}", chip.id));
            stub.host.link.flash().load(0x3000, &[0; 0x1000]);
            if !leaps {
                stub.host.link.never_leap();
            }
            stub.request(0xD1, &words(&[0x3000, 0x1000]), 0);
            let mut buffer = [0; 64];
            for moment in 0..10_000 {
                block_on(stub.host.link.sleep(Duration::from_micros(10))).unwrap();
                let now = stub.host.link.now();
                if block_on(stub.host.link.read(&mut buffer, now)).unwrap() > 0 {
                    return (moment, stub.host.link.device().steps());
                }
            }
            panic!("{} {options}: no answer", chip.id);
        };
        let with = erase(true);
        assert!(with.0 > 4_500);
        assert_eq!(with, erase(false), "{} {options}", chip.id);
    }
}

#[test]
fn a_spoilt_a_repeated_and_a_missing_block_are_told_by_the_number_that_is_due() {
    on_every_chip(|stub| {
        let all = contents(0x2000);
        let (first, second) = all.split_at(0x1000);
        stub.ask(0x02, &begin(all.len(), 2, 0x1000, 0x1_0000))
            .unwrap();
        stub.send_block(0x03, 0, first, 1);
        assert_eq!(stub.answer(0x03), Err(BAD_CHECKSUM));
        assert_eq!(stub.block(0x03, 1, second), Err(BAD_BLOCK));
        assert_eq!(stub.block(0x03, 0, first), Ok((1, vec![])));
        assert_eq!(stub.block(0x03, 0, first), Ok((1, vec![])));
        assert_eq!(stub.block(0x03, 1, second), Ok((2, vec![])));
        assert_eq!(stub.block(0x03, 2, second), Err(TOO_MUCH));
        let _ = stub.ask(0x04, &words(&[1]));
        assert!(stub.stored(0x1_0000, all.len()) == all, "{}", stub.name());
        assert_eq!(stub.block(0x03, 0, first), Err(NOT_BEGUN));
    });
}

#[test]
fn malformed_frames_are_refused_or_passed_over_and_touch_nothing() {
    on_every_chip(|stub| {
        let before = contents(0x1000);
        stub.host.link.flash().load(0, &before);
        stub.send(b"no request");
        stub.send(&[0, 2, 9]);
        block_on(stub.host.link.write(b"\xC0\x00\xDB\x00\xC0noise")).unwrap();
        assert_eq!(stub.ask(0x42, &[]), Err(BAD_COMMAND));
        assert_eq!(stub.ask(0x02, &words(&[1, 2, 3])), Err(BAD_LENGTH));
        let size = stub.size();
        let beyond = begin(0x1000, 1, 0x1000, size);
        assert_eq!(stub.ask(0x10, &beyond), Err(BAD_LENGTH));
        let around = begin(0xFFFF_FFFF, 1, 0x1000, 0x10);
        assert_eq!(stub.ask(0x10, &around), Err(BAD_LENGTH));
        // The header says less than comes.
        let mut short = vec![0, 0x0A, 3, 0, 0, 0, 0, 0];
        short.extend([0; 4]);
        stub.send(&short);
        assert_eq!(stub.answer(0x0A), Err(BAD_LENGTH));
        // A frame longer than the slots is dropped.
        stub.send(&vec![0x11; 0x4200]);
        stub.ask(0x10, &begin(0x1000, 1, 0x1000, 0x8000)).unwrap();
        assert_eq!(stub.block(0x11, 0, b"no stream at all"), Ok((1, vec![])));
        assert_eq!(stub.ask(0x12, &words(&[1])), Err(BAD_STREAM));
        stub.ask(0x10, &begin(0x1000, 1, 0x1000, 0x8000)).unwrap();
        stub.block(0x11, 0, &zlib(&before)[..100]).unwrap();
        assert_eq!(stub.ask(0x12, &words(&[1])), Err(TOO_LITTLE));
        assert!(stub.stored(0, 0x1000) == before, "{}", stub.name());
    });
}

#[test]
fn memory_and_registers_are_read_and_written() {
    on_every_chip(|stub| {
        let chip = stub.host.chip();
        let w0 = chip.spi.w0;
        stub.ask(0x09, &words(&[w0, 0x1234_5678, u32::MAX, 0]))
            .unwrap();
        stub.ask(0x09, &words(&[w0, 0xFFFF_FFFF, 0xFF00, 1]))
            .unwrap();
        assert_eq!(stub.ask(0x0A, &words(&[w0])), Ok((0x1234_FF78, vec![])));
        // Over the stub itself nothing is loaded.
        let revision = stub.name().contains("rev=1.0").then_some(Revision(100));
        for segment in program(chip, revision).unwrap().segments {
            let over = words(&[64, 1, 64, segment.address]);
            assert_eq!(stub.ask(0x05, &over), Err(BAD_LENGTH));
        }
    });
}

#[test]
fn security_info_is_what_the_rom_says() {
    for (chip, options) in boards() {
        let url = format!("sim://{}?flash-size=1MB&{options}", chip.id);
        let mut rom = Host::synced(&url);
        let mut stub = Stub::start(&url);
        let got = stub.ask(0x14, &[]);
        if chip.rom.commands.contains(&0x14) {
            let said = rom.ask(&Command::GetSecurityInfo).unwrap();
            assert_eq!(got, Ok((0, said)), "{url}");
        } else {
            assert_eq!(got, Err(NOT_THERE), "{url}");
        }
        stub.expect_no_complaint();
    }
}

#[test]
fn what_the_stub_writes_encrypted_is_what_the_rom_writes() {
    let key: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    let all = contents(0x1000);
    for (chip, options) in boards() {
        let single = chip.security.xts_keys.iter().find(|set| set.len() == 1);
        let Some(purpose) = single.map(|set| set[0]) else {
            continue;
        };
        let url = format!(
            "sim://{}?flash-size=1MB&{options}&set.KEY_PURPOSE_2={purpose}&set.KEY2={key}",
            chip.id
        );
        let block = chip.rom.flash_block as usize;
        let mut rom = Host::synced(&url);
        rom.attach();
        let begin = guru_wire::Begin {
            encrypted: Some(true),
            ..rom.words(all.len() as u32, 4, block as u32, 0x1_0000)
        };
        rom.ask(&Command::FlashBegin(begin)).unwrap();
        for (number, data) in (0..).zip(all.chunks(block)) {
            rom.data(number, data).unwrap();
        }
        let expected = rom.link.flash().read(0x1_0000..0x1_1000);
        assert!(expected != all);
        let mut stub = Stub::start(&url);
        stub.ask(0x10, &words(&[0x1000, 1, 0x4000, 0x1_0000, 1]))
            .unwrap();
        stub.block(0x11, 0, &zlib(&all)).unwrap();
        stub.ask(0x12, &words(&[1])).unwrap();
        assert!(stub.stored(0x1_0000, 0x1000) == expected, "{url}");
        stub.ask(0x02, &words(&[0x1000, 1, 0x4000, 0x2_0000, 0]))
            .unwrap();
        stub.block(0xD4, 0, &all).unwrap();
        stub.ask(0x04, &words(&[1])).unwrap();
        assert!(stub.stored(0x2_0000, 0x1000) != all, "{url}");
        let odd = words(&[0x1000, 1, 0x4000, 0x2_0004, 1]);
        assert_eq!(stub.ask(0x02, &odd), Err(BAD_LENGTH), "{url}");
        stub.expect_no_complaint();
    }
}

#[test]
fn addresses_beyond_16_mb_reach_their_place_where_the_chip_has_them() {
    let all = contents(0x2345);
    for (chip, options) in boards() {
        if !chip.flash.address_32bit {
            continue;
        }
        let mut stub = Stub::start(&format!("sim://{}?{options}&flash-size=32MB", chip.id));
        assert_eq!(stub.negotiate(), CAN_ALL, "{}", chip.id);
        // Over the boundary, and behind it.
        for at in [0x0FF_F000, 0x180_0000] {
            stub.write(FLASH_DEFL_BEGIN, at, all.len(), &zlib(&all), 0x1000, 4);
            assert!(stub.stored(at, all.len()) == all, "{}", chip.id);
            let (_, digest) = stub.ask(0x13, &words(&[at, all.len() as u32])).unwrap();
            assert_eq!(digest, md5(&all), "{}", chip.id);
        }
        assert!(stub.stored(0, 0x4000).iter().all(|byte| *byte == 0xFF));
        // A piece of 64 bytes that begins below the boundary and ends above it.
        let (_, digest) = stub.ask(0x13, &words(&[0xFF_FFF0, 64])).unwrap();
        assert_eq!(digest, md5(&all[0xFF0..0x1030]), "{}", chip.id);
        stub.expect_no_complaint();
    }
}
