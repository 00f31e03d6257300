use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use guru_chip::{CHIPS, Chip, Revision};
use guru_link::Instant;

use super::call::{Caller, Cycles, Outcome};
use super::variables::variables;
use super::{ALL, Functions, stand_in};
use crate::board::Board;
use crate::cpu::Fault;
use crate::flash::Nor;
use crate::options::{SimOptions, UsbMode};

/// A program that only calls: memory everywhere, of 0.
struct Program {
    memory: BTreeMap<u32, u8>,
    arguments: Vec<u32>,
    stack: u32,
    board: Board,
    cpu_mhz: u64,
    now: Duration,
    enabled: u32,
}

fn chip(id: &str) -> &'static Chip {
    guru_chip::by_id(id).unwrap()
}

impl Program {
    fn new(chip: &'static Chip) -> Self {
        let options = SimOptions::new(chip);
        let flash = options.open_flash().unwrap();
        let nor = Nor::new(options.flash_part().unwrap(), flash);
        let board = Board::new(chip, nor, options.words().unwrap(), UsbMode::Uart);
        let mut program = Self {
            memory: BTreeMap::new(),
            arguments: Vec::new(),
            stack: 0x1000,
            board,
            cpu_mhz: 160,
            now: Duration::ZERO,
            enabled: 0,
        };
        for (address, word) in variables(chip, Revision(0), UsbMode::Uart, 115_200, 0x40_0000) {
            program.store_word(address, word).unwrap();
        }
        program
    }

    fn bytes(&mut self, address: u32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.load(address, &mut bytes).unwrap();
        bytes
    }
}

impl Caller for Program {
    fn argument(&mut self, number: u8) -> u32 {
        let argument = self.arguments.get(usize::from(number));
        argument.copied().unwrap_or(0)
    }
    fn stack(&self) -> u32 {
        self.stack
    }
    fn load(&mut self, address: u32, into: &mut [u8]) -> Result<(), Fault> {
        for (offset, byte) in (0..).zip(into) {
            let at = address.wrapping_add(offset);
            *byte = self.memory.get(&at).copied().unwrap_or(0);
        }
        Ok(())
    }
    fn store(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        for (offset, byte) in (0..).zip(bytes) {
            self.memory.insert(address.wrapping_add(offset), *byte);
        }
        Ok(())
    }
    fn load_word(&mut self, address: u32) -> Result<u32, Fault> {
        let mut bytes = [0; 4];
        self.load(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
    fn store_word(&mut self, address: u32, value: u32) -> Result<(), Fault> {
        self.store(address, &value.to_le_bytes())
    }
    fn board(&mut self) -> &mut Board {
        &mut self.board
    }
    fn revision(&self) -> Revision {
        Revision(0)
    }
    fn crystal(&self) -> u32 {
        40_000_000
    }
    fn uart_clock(&mut self) -> u32 {
        80_000_000
    }
    fn now(&self) -> Instant {
        Instant(self.now)
    }
    fn time_of(&self, cycles: Cycles) -> Duration {
        Duration::from_nanos(cycles.0 * 1000 / self.cpu_mhz)
    }
    fn spend(&mut self, time: Duration) {
        self.now += time;
    }
    fn lose_power(&mut self, _: Instant) {}
    fn enable_interrupts(&mut self, mask: u32, on: bool) -> Result<(), Fault> {
        self.enabled = if on {
            self.enabled | mask
        } else {
            self.enabled & !mask
        };
        Ok(())
    }
    fn set_priority(&mut self, _: u32, _: u32) -> Result<(), Fault> {
        Ok(())
    }
    fn route_interrupt(&mut self, _: u32, _: u32) -> Result<(), Fault> {
        Ok(())
    }
    fn usb_received(&mut self) -> usize {
        0
    }
    fn usb_receive(&mut self, _: usize) -> Vec<u8> {
        Vec::new()
    }
    fn usb_send(&mut self, _: &[u8]) {}
}

fn address(chip: &Chip, name: &str) -> u32 {
    let code = chip.rom_code(Revision(0)).unwrap();
    let function = code.functions.iter().find(|(known, _)| *known == name);
    function.unwrap_or_else(|| panic!("{}: {name}", chip.id)).1[0]
}

/// Calls a function and waits for it, however often it asks to.
fn call(functions: &mut Functions, program: &mut Program, name: &str, arguments: &[u32]) -> u64 {
    let function = address(program.board.chip, name);
    loop {
        program.arguments = arguments.to_vec();
        match functions.call(function, program).unwrap() {
            Outcome::Return(value) => return value,
            Outcome::Again(at) => program.now = program.now.max(at.0),
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn setup(id: &str) -> (Functions, Program) {
    let chip = chip(id);
    (
        Functions::new(chip, Revision(0), false).unwrap(),
        Program::new(chip),
    )
}

#[test]
fn every_function_of_every_chip_has_a_stand_in() {
    for chip in CHIPS {
        for code in chip.rom_code {
            for (name, _) in code.functions {
                assert!(stand_in(ALL, name).is_some(), "{}: {name}", chip.id);
            }
            let functions = Functions::new(chip, Revision(code.min_revision), false).unwrap();
            let all = code.functions.iter().map(|(_, at)| at.len());
            assert_eq!(functions.addresses().count(), all.sum::<usize>());
        }
    }
}

#[test]
fn memory_moves_over_itself_in_either_direction() {
    let (mut functions, mut program) = setup("esp32c3");
    let bytes: Vec<u8> = (0..0x2345_u32).map(|at| (at * 7) as u8).collect();
    for (from, to) in [(0x1_0000, 0x1_0010), (0x2_0010, 0x2_0000)] {
        program.store(from, &bytes).unwrap();
        let len = bytes.len() as u32;
        let result = call(&mut functions, &mut program, "memmove", &[to, from, len]);
        assert_eq!(result, u64::from(to));
        assert_eq!(program.bytes(to, bytes.len()), bytes);
    }
}

#[test]
fn a_digest_in_pieces_is_that_of_the_whole() {
    let (mut functions, mut program) = setup("esp32c3");
    let text = b"message digest";
    program.store(0x100, text).unwrap();
    call(&mut functions, &mut program, "MD5Init", &[0x4000]);
    for (from, len) in [(0x100, 3), (0x103, 0), (0x103, 11)] {
        call(
            &mut functions,
            &mut program,
            "MD5Update",
            &[0x4000, from, len],
        );
    }
    call(&mut functions, &mut program, "MD5Final", &[0x200, 0x4000]);
    // RFC 1321, A.5.
    let expected = [
        0xf9, 0x6b, 0x69, 0x7d, 0x7c, 0xb7, 0x93, 0x8d, 0x52, 0x5a, 0x2f, 0x31, 0xaa, 0xf1, 0x61,
        0xd0,
    ];
    assert_eq!(program.bytes(0x200, 16), expected);
}

#[test]
fn work_takes_longer_at_a_slower_clock_and_a_delay_does_not() {
    let (mut functions, mut program) = setup("esp32c3");
    let mut took = |name: &str, arguments: &[u32], cpu_mhz| {
        program.cpu_mhz = cpu_mhz;
        let begin = program.now;
        call(&mut functions, &mut program, name, arguments);
        program.now - begin
    };
    for (name, arguments) in [
        ("MD5Update", [0x4000, 0x1_0000, 0x1000]),
        ("memset", [0x1_0000, 0, 0x1000]),
        ("memset", [0x1_0000, 0, 48]),
    ] {
        let fast = took(name, &arguments, 160);
        assert!(fast > Duration::ZERO);
        assert_eq!(took(name, &arguments, 20), 8 * fast, "{name}");
    }
    let delay = ("ets_delay_us", [10_000]);
    let slow = took(delay.0, &delay.1, 20);
    let beyond = slow - took(delay.0, &delay.1, 160);
    assert!(beyond < Duration::from_micros(1), "{beyond:?}");
}

#[test]
fn a_stream_inflates_through_the_programs_window_as_its_blocks_come() {
    let (mut functions, mut program) = setup("esp32c3");
    let plain: Vec<u8> = (0..100_000_u32)
        .map(|at| (at.wrapping_mul(at) >> 9) as u8)
        .collect();
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&plain).unwrap();
    let stream = encoder.finish().unwrap();

    let (window, size) = (0x8_0000, 0x8000_u32);
    let (mut next, mut out) = (window, Vec::new());
    let blocks = stream.chunks(1000);
    let last = blocks.len() - 1;
    for (number, block) in blocks.enumerate() {
        program.store(0x1_0000, block).unwrap();
        let mut done = 0;
        loop {
            program.store_word(0x10, block.len() as u32 - done).unwrap();
            program.store_word(0x14, window + size - next).unwrap();
            let flags = 1 | if number < last { 2 } else { 0 };
            let arguments = [0x4000, 0x1_0000 + done, 0x10, window, next, 0x14, flags];
            let status = call(&mut functions, &mut program, "tinfl_decompress", &arguments);
            let made = program.load_word(0x14).unwrap();
            done += program.load_word(0x10).unwrap();
            out.extend(program.bytes(next, made as usize));
            next = window + (next - window + made) % size;
            if status != 2 {
                assert_eq!(status, if number == last { 0 } else { 1 });
                break;
            }
        }
    }
    assert_eq!(out, plain);
}

#[test]
fn what_is_written_is_read_back_and_erased_again() {
    for id in ["esp32", "esp32c3", "esp32s31"] {
        let (mut functions, mut program) = setup(id);
        let chip = program.board.chip;
        let name = |wanted: &'static str| {
            let code = chip.rom_code(Revision(0)).unwrap();
            code.functions.iter().any(|(known, _)| *known == wanted)
        };
        let bytes: Vec<u8> = (0..1000_u32).map(|at| (at * 5) as u8).collect();
        program.store(0x1_0000, &bytes).unwrap();
        let mut call = |name: &str, arguments: &[u32]| {
            let result = call(&mut functions, &mut program, name, arguments);
            let read = program.bytes(0x2_0000, 1000);
            (result, read, program.now)
        };
        call("spi_flash_attach", &[0, 0]);
        assert_eq!(
            call("esp_rom_spiflash_write", &[0x1010, 0x1_0000, 1000]).0,
            0
        );
        assert_eq!(
            call("esp_rom_spiflash_read", &[0x1010, 0x2_0000, 1000]).1,
            bytes
        );
        if name("esp_rom_spiflash_erase_sector") {
            let (result, _, before) = call("esp_rom_spiflash_erase_sector", &[1]);
            let after = call("esp_rom_spiflash_read", &[0x1010, 0x2_0000, 1000]);
            assert_eq!((result, after.1), (0, vec![0xFF; 1000]));
            assert!(before > Duration::from_millis(20), "{before:?}");
        }
        // Beyond the size that the ROM knows.
        let beyond = [0x40_0000 - 4, 0x2_0000, 8];
        assert_eq!(call("esp_rom_spiflash_read", &beyond).0, 1);
    }
}

#[test]
fn flash_on_no_pins_is_an_error_and_without_supply_for_ever_busy() {
    let (mut functions, mut program) = setup("esp32c3");
    let read = [0, 0x2_0000, 4];
    assert_eq!(
        call(&mut functions, &mut program, "esp_rom_spiflash_read", &read),
        1
    );
    call(&mut functions, &mut program, "spi_flash_attach", &[0, 0]);
    program.board.nor.set_supply(false);
    program.arguments = read.to_vec();
    let function = address(program.board.chip, "esp_rom_spiflash_read");
    for _ in 0..3 {
        let outcome = functions.call(function, &mut program).unwrap();
        let Outcome::Again(at) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(at.0 > program.now);
        program.now = at.0;
    }
}

#[test]
fn calls_in_interrupts_do_not_disturb_the_ones_that_wait() {
    let (mut functions, mut program) = setup("esp32c3");
    let delay = address(program.board.chip, "ets_delay_us");
    program.arguments = vec![1000];
    let begun = functions.call(delay, &mut program);
    assert_eq!(begun, Ok(Outcome::Again(Instant(Duration::from_millis(1)))));
    // An interrupt in between, with a delay of its own.
    program.now = Duration::from_micros(500);
    program.stack -= 0x40;
    program.arguments = vec![100];
    let inner = functions.call(delay, &mut program);
    let until = Instant(Duration::from_micros(600));
    assert_eq!(inner, Ok(Outcome::Again(until)));
    program.now = until.0;
    assert_eq!(functions.call(delay, &mut program), Ok(Outcome::Return(0)));
    program.stack += 0x40;
    program.arguments = vec![1000];
    let outcome = functions.call(delay, &mut program);
    assert_eq!(
        outcome,
        Ok(Outcome::Again(Instant(Duration::from_millis(1))))
    );
    program.now = Duration::from_millis(1);
    assert_eq!(functions.call(delay, &mut program), Ok(Outcome::Return(0)));
}

#[test]
fn handlers_are_found_by_their_interrupt() {
    let (mut functions, mut program) = setup("esp32c3");
    let attach = [5, 0x4038_1234, 7];
    call(&mut functions, &mut program, "ets_isr_attach", &attach);
    call(&mut functions, &mut program, "ets_isr_unmask", &[1 << 5]);
    assert_eq!(functions.handler(5), Some((0x4038_1234, 7)));
    assert_eq!(program.enabled, 1 << 5);
    assert_eq!(functions.handler(6), None);
    assert_eq!(functions.user_start(), None);
    call(
        &mut functions,
        &mut program,
        "ets_set_user_start",
        &[0x4000],
    );
    assert_eq!(functions.user_start(), Some(0x4000));
    // Out of range: ignored.
    call(&mut functions, &mut program, "ets_isr_attach", &[99, 1, 0]);
}
