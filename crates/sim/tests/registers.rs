//! What programs on each chip find around their CPU: programs of a few instructions, executed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

mod host;
#[expect(dead_code, reason = "programs that are files are run by other tests")]
mod programs;

use std::time::Duration;

use guru_chip::{Architecture, Bits, CHIPS, Chip, InterruptController, ResetScope};
use guru_link::{Link, block_on};
use guru_sim::Event;
use host::Host;
use programs::{hear, start, words};

/// Chips that execute programs.
fn chips() -> impl Iterator<Item = &'static Chip> {
    CHIPS.iter().copied().filter(|chip| chip.machine.is_some())
}

fn is_riscv(chip: &Chip) -> bool {
    chip.architecture == Architecture::Riscv32
}

/// RAM that takes code, and that the ROM's loader does not work in.
fn code_at(chip: &Chip) -> u32 {
    match chip.id {
        "esp8266" => 0x4010_0000,
        "esp32" => 0x4009_0000,
        "esp32s2" => 0x4002_8000,
        "esp32s3" => 0x4037_8000,
        "esp32c2" | "esp32c3" => 0x4038_0000,
        "esp32h4" => 0x4081_1000,
        "esp32p4" => 0x4FF1_0000,
        "esp32s31" => 0x2F01_0000,
        _ => 0x4080_1000,
    }
}

/// lui and addi that make a number in a register.
fn li(register: u32, value: u32) -> [u32; 2] {
    let upper = value.wrapping_add(0x800) & 0xFFFF_F000;
    [
        upper | register << 7 | 0x37,
        (value & 0xFFF) << 20 | register << 15 | register << 7 | 0x13,
    ]
}

/// Stores words in registers, one after the other, and then goes round in a loop.
fn stores(chip: &Chip, writes: &[(u32, u32)]) -> (Vec<u32>, u32) {
    let at = code_at(chip);
    if is_riscv(chip) {
        let mut code: Vec<_> = writes.iter().flat_map(|&write| store(write)).collect();
        code.push(0x0000_006F); // j .
        return (code, at);
    }
    // Literals, then: l32r a2; l32r a3; s32i a3, a2, 0; and j . at the end.
    let literals: Vec<u32> = writes
        .iter()
        .flat_map(|(to, value)| [*to, *value])
        .collect();
    let entry = at + 4 * literals.len() as u32;
    let mut bytes = words(&literals);
    for (index, _) in (0..).zip(writes) {
        for (register, literal) in [(2, 2 * index), (3, 2 * index + 1)] {
            let here = (at + bytes.len() as u32 + 3) & !3;
            let distance = (at + 4 * literal).wrapping_sub(here) >> 2 & 0xFFFF;
            let word = distance << 8 | register << 4 | 1;
            bytes.extend_from_slice(&word.to_le_bytes()[..3]);
        }
        bytes.extend_from_slice(&[0x32, 0x62, 0x00]);
    }
    bytes.extend_from_slice(&[0x06, 0xFF, 0xFF]);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let code = bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    (code.collect(), entry)
}

/// li a0; li a1; sw a1, 0(a0).
fn store((to, value): (u32, u32)) -> Vec<u32> {
    [&li(10, to)[..], &li(11, value), &[0x00B5_2023]].concat()
}

fn run(chip: &Chip, (code, entry): (Vec<u32>, u32)) -> Host {
    let mut host = Host::synced(&format!("sim://{}", chip.id));
    start(&mut host, &vec![(code_at(chip), words(&code))], entry);
    host
}

/// The causes of the resets that a program has brought about, as the ROM prints them.
fn resets(chip: &Chip, writes: &[(u32, u32)]) -> Vec<&'static str> {
    let mut host = run(chip, stores(chip, writes));
    hear(&mut host, Duration::from_millis(200));
    let events = host.link.take_events();
    let unknown = |event: &Event| {
        let crash = matches!(event, Event::Crashed { .. });
        crash || matches!(event, Event::UnknownRegister { .. })
    };
    assert!(!events.iter().any(unknown), "{}: {events:x?}", chip.id);
    let causes = events.into_iter().filter_map(|event| match event {
        Event::Reset { cause, .. } => Some(cause),
        _ => None,
    });
    causes.collect()
}

fn text(chip: &Chip, number: u8) -> &'static str {
    let mut known = chip.registers.causes.iter();
    known.find(|(known, _)| *known == number).unwrap().1
}

#[test]
fn a_program_that_hangs_is_reset_by_the_watchdog_of_its_timer_group() {
    for chip in chips() {
        for group in chip.registers.timer_groups {
            for (stage, number) in [(2, group.causes.0), (3, group.causes.1)] {
                let causes = resets(
                    chip,
                    &[
                        (group.base + 0x64, 0x50D8_3AA1),
                        (group.base + 0x4C, 8000 << 16),
                        (group.base + 0x50, 100),
                        (group.base + 0x48, 1 << 31 | stage << 29),
                        (group.base + 0x64, 0),
                    ],
                );
                assert_eq!(causes, [text(chip, number)], "{}", chip.id);
            }
        }
    }
}

#[test]
fn a_program_that_hangs_is_reset_by_the_watchdog_of_the_rtc() {
    for chip in chips() {
        let own = chip.registers.rtc_watchdog.as_ref();
        let own = own.map(|dog| (dog.config0, dog.protect, dog.key));
        let session = chip.watchdogs.as_ref();
        let session = session.map(|dog| (dog.config0, dog.protect, dog.key));
        let Some((config0, protect, key)) = own.or(session) else {
            continue;
        };
        for (stage, number) in [(2, 0xD), (3, 0x9), (4, 0x10)] {
            let causes = resets(
                chip,
                &[
                    (protect, key),
                    (config0 + 4, 1360),
                    (config0, 1 << 31 | stage << 28),
                    (protect, 0),
                ],
            );
            assert_eq!(causes, [text(chip, number)], "{}", chip.id);
        }
    }
}

#[test]
fn a_locked_watchdog_does_not_start() {
    for chip in chips() {
        for group in chip.registers.timer_groups {
            let causes = resets(
                chip,
                &[
                    (group.base + 0x64, 1),
                    (group.base + 0x50, 1),
                    (group.base + 0x48, 1 << 31 | 3 << 29),
                ],
            );
            assert!(causes.is_empty(), "{}: {causes:?}", chip.id);
        }
    }
}

#[test]
fn the_esp8266s_watchdog_resets_it() {
    let chip = guru_chip::by_id("esp8266").unwrap();
    let map = chip.registers.frc.as_ref().unwrap();
    let at = map.watchdog;
    let causes = resets(chip, &[(at + 4, 5), (at + 8, 5), (at, 0x3D)]);
    assert_eq!(causes, ["4"]);
}

#[test]
fn a_program_resets_its_chip() {
    for chip in chips() {
        for reset in chip.registers.resets {
            let Bits { addr, lsb, .. } = reset.bits;
            let causes = resets(chip, &[(addr, 1 << lsb)]);
            let expected = match reset.what {
                _ if chip.registers.causes.is_empty() => chip.rom.resets.software,
                ResetScope::Cpu => text(chip, 0xC),
                ResetScope::Core | ResetScope::System => text(chip, 0x3),
            };
            assert_eq!(causes, [expected], "{}", chip.id);
        }
    }
}

/// Answers each byte with the next one, in the handler of the UART's interrupt.
fn echo(chip: &Chip) -> (Vec<u32>, u32) {
    const INTERRUPT: u32 = 20;
    let map = &chip.registers;
    let uart = chip.uart.clkdiv - 0x14;
    let interrupts = map.interrupts.as_ref().unwrap();
    let mut writes = vec![
        (
            interrupts.matrix + 4 * u32::from(map.uart.source),
            INTERRUPT,
        ),
        (uart + map.uart.rx_full.addr, 1),
        (uart + 0x0C, 1),
    ];
    let mode = match interrupts.controller {
        InterruptController::Lines => panic!("no RISC-V"),
        InterruptController::Priorities(base) => {
            writes.extend([
                (base + 0x10 + 4 * INTERRUPT, 1),
                (base + 0x90, 1),
                (base, 1 << INTERRUPT),
            ]);
            0
        }
        InterruptController::Clic(base) => {
            writes.push((base + 0x1000 + 4 * INTERRUPT, 0xFF << 24 | 1 << 8));
            3
        }
    };
    let base = code_at(chip);
    let handler = [
        &li(10, uart)[..],
        &[
            0x0005_2583, // lw a1, 0(a0)
            0x0015_8593, // addi a1, a1, 1
            0x00B5_2023, // sw a1, 0(a0)
            0x3020_0073, // mret
        ],
    ]
    .concat();
    // A table of handlers, and the handler at a multiple of 64.
    let mut code = vec![base + 0x100; 64];
    code.extend_from_slice(&handler);
    code.resize(80, 0x0000_0013);
    let entry = base + 4 * code.len() as u32;
    code.extend(writes.into_iter().flat_map(store));
    code.extend(li(10, base));
    code.push(0x3075_1073); // csrw mtvt, a0
    code.extend(li(10, base + 0x100 + mode));
    code.extend([
        0x3055_1073, // csrw mtvec, a0
        0x3004_6073, // csrsi mstatus, 8
        0x1050_0073, // wfi
        0xFFDF_F06F, // j -4
    ]);
    (code, entry)
}

/// What [`echo`] does with four bytes.
fn assert_echoes(host: &mut Host, chip: &Chip) {
    hear(host, Duration::from_millis(5));
    block_on(host.link.write(b"FHQT")).unwrap();
    let heard = hear(host, Duration::from_millis(50));
    assert_eq!(
        heard,
        b"GIRU",
        "{}: {:x?}",
        chip.id,
        host.link.take_events()
    );
}

#[test]
fn an_interrupt_of_the_uart_wakes_a_program_that_waits() {
    for chip in chips().filter(|chip| is_riscv(chip)) {
        let mut host = run(chip, echo(chip));
        assert_echoes(&mut host, chip);
    }
}

/// Choosing a faster clock for the CPU does not change the UART's rate where it has its own.
#[test]
fn a_program_chooses_its_clock_and_stays_understood() {
    for chip in chips().filter(|chip| is_riscv(chip)) {
        let Some(cpu) = &chip.registers.cpu else {
            continue;
        };
        let (mut code, entry) = echo(chip);
        let setup = store((cpu.select.addr, 1 << cpu.select.lsb));
        // In front of everything else.
        let begin = (entry - code_at(chip)) as usize / 4;
        code.splice(begin..begin, setup);
        let mut host = run(chip, (code, entry));
        assert_echoes(&mut host, chip);
    }
}
