//! Programs in RAM, executed by the chip's CPU.

#![expect(clippy::indexing_slicing, reason = "a failure is a failed test")]

mod host;
mod programs;

use std::time::Duration;

use guru_sim::Event;
use guru_wire::Command;
use host::Host;
use programs::{STUBS, example, hear, start, stub, words};

#[test]
fn the_examples_say_hello() {
    for chip in EXAMPLES {
        let mut host = Host::synced(&format!("sim://{chip}"));
        let (segments, entry) = example(chip);
        start(&mut host, &segments, entry);
        let heard = hear(&mut host, Duration::from_millis(500));
        let events = host.link.take_events();
        let text = String::from_utf8_lossy(&heard);
        assert!(
            text.contains("Hello from Guru."),
            "{chip}: {text} {events:x?}"
        );
        assert_eq!(events[0], Event::Started { entry });
        assert!(
            !events
                .iter()
                .any(|event| matches!(event, Event::Crashed { .. })),
            "{chip}: {events:x?}"
        );
    }
}

#[test]
fn our_stub_greets_and_answers() {
    for (chip, blob) in STUBS {
        let mut host = Host::synced(&format!("sim://{chip}"));
        host.attach();
        let (segments, entry) = stub(blob);
        start(&mut host, &segments, entry);
        let heard = hear(&mut host, Duration::from_millis(500));
        let events = host.link.take_events();
        assert!(
            heard.ends_with(b"\xC0OHAI\xC0"),
            "{chip}: {heard:x?} {events:x?} {:?}",
            host.link.device().steps()
        );
        host.send(&Command::Sync);
        let answers = host.collect(Duration::from_millis(100));
        assert!(
            !answers.is_empty(),
            "{chip}: {:x?}",
            host.link.take_events()
        );
        assert_eq!(answers[0].value, 0, "{chip}");
        assert_eq!(events, [Event::Started { entry }], "{chip}");
    }
}

/// Chips with an example.
const EXAMPLES: &[&str] = &["esp32", "esp32c3"];

/// A program that does `code` on the ESP32-C3, and what the simulator says of it.
fn events_of(code: &[u32]) -> Vec<Event> {
    let mut host = Host::synced("sim://esp32c3");
    let entry = 0x4038_0000;
    start(&mut host, &vec![(entry, words(code))], entry);
    hear(&mut host, Duration::from_millis(10));
    let mut events = host.link.take_events();
    assert_eq!(events.remove(0), Event::Started { entry });
    events
}

#[test]
fn a_register_without_a_model_is_told_of_once_for_each_direction() {
    let events = events_of(&[
        0x600F_E537, // lui a0, 0x600fe
        0x0005_2583, // lw a1, 0(a0)
        0x00B5_2023, // sw a1, 0(a0)
        0xFF9F_F06F, // j -8
    ]);
    let told = |write| Event::UnknownRegister {
        address: 0x600F_E000,
        write,
    };
    assert_eq!(events, [told(false), told(true)]);
}

#[test]
fn a_crash_is_told_with_its_place() {
    let events = events_of(&[
        0x0000_0013, // nop
        0x0000_0000,
    ]);
    let crash = Event::Crashed {
        cause: 2,
        pc: 0x4038_0004,
        value: 0,
    };
    assert_eq!(events, [crash]);
}

#[test]
fn a_call_of_a_rom_function_that_is_not_there_is_told_with_its_address() {
    let events = events_of(&[
        0x4000_0537, // lui a0, 0x40000
        0x0025_00E7, // jalr ra, 2(a0)
    ]);
    let call = Event::UnknownRomFunction {
        address: 0x4000_0002,
        caller: 0x4038_0008,
    };
    assert_eq!(events, [call]);
}

#[test]
fn a_store_below_the_ram_is_a_fault_and_no_register() {
    let events = events_of(&[
        0x3FC8_0537, // lui a0, 0x3fc80
        0xFEB5_2E23, // sw a1, -4(a0)
    ]);
    let crash = Event::Crashed {
        cause: 7,
        pc: 0x4038_0004,
        value: 0x3FC7_FFFC,
    };
    assert_eq!(events, [crash]);
}

#[test]
fn a_program_that_returns_is_back_in_the_loader() {
    let events = events_of(&[0x0000_8067]); // ret
    assert_eq!(events, [Event::Returned]);
}

#[test]
fn a_reset_by_the_pin_ends_a_program() {
    let mut host = Host::synced("sim://esp32c3");
    let entry = 0x4038_0000;
    start(&mut host, &vec![(entry, words(&[0x0000_006F]))], entry);
    hear(&mut host, Duration::from_millis(10));
    assert_ne!(host.link.device().steps(), 0);
    host.reset_into_loader();
    assert_eq!(host.link.device().steps(), 0);
    host.sync();
}
