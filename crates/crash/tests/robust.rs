//! Damaged logs: nothing is made up, nothing grows without bound.

mod common;

use common::*;
use guru_crash::*;
use proptest::prelude::*;

/// Every number of the events stands in the log.
fn nothing_is_made_up(log: &str, events: &[Event]) -> Result<(), TestCaseError> {
    let text = log.to_ascii_lowercase();
    let stands =
        |value: u32| text.contains(&format!("{value:08x}")) || text.contains(&value.to_string());
    let rows = |block: &StackBlock| {
        // An address within a block is that of a line, or 4 bytes on in it.
        stands(block.address) && block.words.iter().all(|word| stands(*word))
    };
    for event in events {
        let cores = match event {
            Event::Crash(crash) => &crash.cores[..],
            Event::Boot(boot) => {
                prop_assert!(boot.saved_pc.iter().all(|(_, pc)| stands(*pc)));
                &[]
            }
            Event::Message(_) => &[],
        };
        for core in cores {
            for (name, value) in &core.registers {
                prop_assert!(stands(*value), "{name} {value:#x}");
            }
            for frame in core
                .backtraces
                .iter()
                .flat_map(|backtrace| &backtrace.frames)
            {
                prop_assert!(stands(frame.pc) && frame.sp.is_none_or(stands), "{frame:?}");
            }
            prop_assert!(core.stack.iter().all(rows));
        }
    }
    Ok(())
}

/// Each register of a dump in `log` has the value that the undamaged dumps give it.
fn registers_are_of_one_core(events: &[Event]) -> Result<(), TestCaseError> {
    for event in events {
        let Event::Crash(crash) = event else { continue };
        for core in &crash.cores {
            let cores: std::collections::BTreeSet<u32> = core
                .registers
                .values()
                .filter(|value| (0x4200_0000..0x4220_0000).contains(*value))
                .map(|value| (value - 0x4200_0000) / 0x10_0000)
                .collect();
            prop_assert!(cores.len() < 2, "{:x?}", core.registers);
        }
    }
    Ok(())
}

#[test]
fn every_truncation_of_every_report_is_read_without_invention() {
    for (name, log) in all() {
        for length in (0..log.len()).filter(|length| log.is_char_boundary(*length)) {
            let cut = &log[..length];
            nothing_is_made_up(cut, &events(cut))
                .unwrap_or_else(|e| panic!("{name} {length}: {e}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn events_do_not_depend_on_how_the_bytes_come(
        which in 0usize..8,
        cuts in prop::collection::vec(0usize..4000, 0..12),
    ) {
        let (_, log) = all().swap_remove(which);
        let bytes = log.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut parser = Parser::new(&TEXTS, None);
        let mut found = Vec::new();
        let mut last = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            found.extend(parser.push(&bytes[last..cut]));
            last = cut;
        }
        found.extend(parser.finish());
        prop_assert_eq!(found, events(&log));
    }

    #[test]
    fn lines_lost_doubled_and_mixed_invent_nothing(
        which in 0usize..8,
        other in 0usize..8,
        seed in any::<[u8; 32]>(),
    ) {
        let (one, two) = (all().swap_remove(which).1, all().swap_remove(other).1);
        let mut lines = Vec::new();
        let mut right = two.lines();
        for (index, line) in one.lines().enumerate() {
            let dice = seed[index % 32].wrapping_add(index as u8);
            if dice % 5 != 0 {
                lines.push(line);
            }
            if dice % 3 == 0 {
                lines.extend(right.next());
            }
            if dice % 17 == 0 {
                lines.push(line);
            }
        }
        let log = lines.join("\n");
        nothing_is_made_up(&log, &events(&log))?;
    }

    #[test]
    fn dumps_of_two_cores_in_any_order_of_lines_never_mix(order in prop::collection::vec(any::<bool>(), 40)) {
        for dump in [xtensa_registers as fn(u8) -> String, riscv_registers] {
            let (zero, one) = (dump(0), dump(1));
            let (mut zero, mut one) = (zero.lines(), one.lines());
            let mut log = "Guru Meditation Error: Core  0 panic'ed (Unknown reason).\n".to_owned();
            for first in &order {
                let line = if *first { zero.next() } else { one.next() };
                log += line.unwrap_or_default();
                log += "\n";
            }
            registers_are_of_one_core(&events(&log))?;
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let whole = events_of(&bytes);
        let mut parser = Parser::new(&(), None);
        let mut count = 0;
        for byte in &bytes {
            count += parser.push(&[*byte]).len();
        }
        count += parser.finish().len();
        prop_assert!(count <= bytes.len() + 2 && whole.len() <= bytes.len() + 2);
    }

    #[test]
    fn damaged_reports_are_read(
        which in 0usize..8,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = all().swap_remove(which).1.into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let log = String::from_utf8_lossy(&bytes).into_owned();
        nothing_is_made_up(&log, &events(&log))?;
    }
}

#[test]
fn endless_blocks_are_bounded() {
    let guru =
        "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.\n";
    let mut log = guru.to_owned() + "Stack memory:\n";
    for row in 0..20_000u32 {
        let address = row * 32;
        log += &format!("{address:08x}:{}\n", " 0x00000001".repeat(8));
    }
    log += &"Backtrace: 0x400d1122:0x3ffb5570 0x400d3344:0x3ffb5590\n".repeat(1000);
    log += &format!("Backtrace:{}\n", " 0x400d1122:0x3ffb5570".repeat(2000));
    log += &"Core  0 register dump:\nPC      : 0x00000001  PS      : 0x00000002\n".repeat(1000);
    log += &"Debug exception reason: Stack canary\n".repeat(1000);
    for crash in crashes(&log) {
        let words: usize = crash
            .cores
            .iter()
            .flat_map(|core| &core.stack)
            .map(|b| b.words.len())
            .sum();
        let frames: usize = crash
            .cores
            .iter()
            .flat_map(|core| &core.backtraces)
            .map(|b| b.frames.len())
            .sum();
        assert!(words <= 1 << 16 && frames <= 8 * 64 * 512 && crash.messages.len() <= 128);
        assert!(crash.cores.len() <= 8 && crash.torn.len() <= 64);
        assert!(
            crash
                .torn
                .iter()
                .any(|torn| matches!(torn, Torn::TooLong { .. }))
        );
    }
}

#[test]
fn megabytes_without_a_newline_are_nothing() {
    let piece = vec![b'A'; 1 << 20];
    let mut parser = Parser::new(&TEXTS, None);
    for _ in 0..20 {
        assert!(parser.push(&piece).is_empty());
    }
    assert!(parser.finish().is_empty());
}

#[test]
fn ordinary_lines_cost_microseconds() {
    let lines: String = (0..20_000)
        .map(|i| {
            format!(
                "I ({i}) wifi: state: run -> init (0x{i:x}), rssi: -{} at 0x3ffb{:04x}\r\n",
                i % 90,
                i & 0xffff
            )
        })
        .collect();
    let mut parser = Parser::new(knowledge::Knowledge::builtin(), None);
    parser.push(b"warm\n");
    let start = std::time::Instant::now();
    let count = parser.push(lines.as_bytes()).len() + parser.finish().len();
    let each = start.elapsed() / 20_000;
    assert_eq!(count, 0);
    // It is about one on a machine of its own.
    assert!(each < std::time::Duration::from_micros(50), "{each:?}");
    println!(
        "{each:?} {} MB/s",
        lines.len() as f64 / start.elapsed().as_secs_f64() / 1e6
    );
}
