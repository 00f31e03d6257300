//! Reports of every family and age.

mod common;

use common::*;
use guru_chip::ResetCause;
use guru_crash::*;

fn boots(log: &str) -> Vec<Boot> {
    let boot = |event| match event {
        Event::Boot(boot) => Some(*boot),
        _ => None,
    };
    events(log).into_iter().filter_map(boot).collect()
}

/// The only crash of a log.
fn crash(log: &str) -> Crash {
    let mut all = crashes(log);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn frame(pc: u32, sp: u32) -> PrintedFrame {
    PrintedFrame { pc, sp: Some(sp) }
}

#[test]
fn an_xtensa_report_is_read_whole() {
    let log = format!("{ESP32_BANNER}{}", xtensa_report(1, "LoadProhibited"));
    let crash = crash(&log);
    assert_eq!(crash.torn, []);
    assert_eq!(crash.family, Some(Family::Xtensa));
    assert_eq!(crash.chip.map(|chip| chip.id), Some("esp32"));
    assert_eq!(
        crash.rom.as_ref().map(|rom| rom.date.as_str()),
        Some("Jul 29 2019")
    );
    let reason = Some("LoadProhibited".to_owned());
    assert_eq!(
        crash.cause,
        Cause::Guru {
            core: Some(1),
            reason
        }
    );
    let headline = crash.headline().expect("a headline");
    assert_eq!(headline.entry.as_str(), "LoadProhibited-Some(Xtensa)");
    let core = crash.core().expect("a core");
    assert_eq!(core.number, Some(1));
    assert_eq!(core.registers.len(), 24);
    assert_eq!(core.register("LCOUNT"), Some(value(1, 23)));
    assert_eq!(
        (core.pc(), core.sp()),
        (Some(value(1, 0)), Some(value(1, 3)))
    );
    assert_eq!(core.fault_address(), Some(value(1, 20)));
    let [backtrace] = &core.backtraces[..] else {
        panic!("{:?}", core.backtraces)
    };
    assert_eq!(backtrace.frames[0], frame(value(1, 0), value(1, 3)));
    assert_eq!(backtrace.mark, Some(Mark::Corrupted));
    assert_eq!(crash.elf_sha256.as_deref(), Some("53d34b1d1"));
    assert_eq!(crash.end, Some(Ending::Rebooting));
    // The banner has 8 lines with text, the report begins behind them.
    assert_eq!(crash.lines.start, 9);
}

#[test]
fn a_riscv_report_is_read_whole() {
    let log = format!(
        "{C3_BANNER}{}{C3_BANNER}",
        riscv_report(0, "Load access fault")
    );
    let crash = crash(&log);
    assert_eq!(crash.torn, []);
    assert_eq!(crash.family, Some(Family::RiscV));
    let core = crash.core().expect("a core");
    assert_eq!(core.registers.len(), 37);
    assert_eq!(core.register("S0"), Some(value(0, 8)));
    assert_eq!(core.x()[8], Some(value(0, 8)));
    assert_eq!(core.x()[31], Some(value(0, 31)));
    assert_eq!(core.sp(), Some(value(0, 2)));
    assert_eq!(core.stack.len(), 1);
    assert_eq!(core.stack[0].address, value(0, 2));
    assert_eq!(core.stack[0].words.len(), 32);
    let boots = boots(&log);
    assert_eq!(boots.len(), 2);
    let boot = &boots[1];
    assert_eq!(boot.chip.map(|chip| chip.id), Some("esp32c3"));
    assert_eq!(boot.saved_pc, [(None, 0x4004_8b82)]);
    let reset = boot.reset.as_ref().expect("a reset");
    assert_eq!(
        (reset.code, reset.cause),
        (0xc, Some(ResetCause::SoftwareCpu))
    );
    assert_eq!(
        reset.meaning.as_ref().map(EntryId::as_str),
        Some("12-RTC_SW_CPU_RST-esp32c3")
    );
    assert!(!boot.boot.as_ref().expect("a mode").download);
    let rom = boot.rom.as_ref().expect("a ROM");
    assert_eq!(
        (rom.name.as_deref(), &*rom.date),
        (Some("esp32c3-api1-20210207"), "Feb  7 2021")
    );
}

#[test]
fn both_cores_are_told_apart() {
    let (_, log) = all().swap_remove(2);
    let crash = crash(&log);
    assert_eq!(crash.torn, []);
    assert_eq!(crash.cores.len(), 2);
    for (number, core) in (0..).zip(&crash.cores) {
        assert_eq!(core.number, Some(number));
        assert_eq!(core.registers.len(), 37);
        assert_eq!(core.stack[0].address, value(number, 2));
        assert_eq!(core.stack[0].words.len(), 24);
    }
    assert_eq!(crash.end, Some(Ending::Halted));
}

#[test]
fn registers_of_cores_that_print_at_once_are_left_out() {
    for (dump, count) in [
        (xtensa_registers as fn(u8) -> String, 24),
        (riscv_registers, 37),
    ] {
        let (zero, one) = (dump(0), dump(1));
        let mixed: Vec<&str> = zero
            .lines()
            .zip(one.lines())
            .flat_map(|(zero, one)| [zero, one])
            .collect();
        let log = format!(
            "Guru Meditation Error: Core  0 panic'ed (Unknown reason).\n{}\n",
            mixed.join("\n")
        );
        let crash = crash(&log);
        assert!(
            crash
                .torn
                .iter()
                .any(|torn| matches!(torn, Torn::Interleaved { .. }))
        );
        assert!(
            crash.cores.iter().all(|core| core.registers.is_empty()),
            "{count}"
        );
    }
}

#[test]
fn a_line_of_the_other_core_within_a_dump_does_no_harm() {
    let report = xtensa_report(0, "StoreProhibited");
    let with = report.replace("A2      :", "I (123) wifi: sta: 0x00000001\r\nA2      :");
    let (one, two) = (crash(&report), crash(&with));
    assert_eq!(one.cores[0].registers, two.cores[0].registers);
    assert_eq!(two.torn, []);
}

#[test]
fn an_interrupts_registers_and_part_of_the_backtrace_are_told_apart() {
    let log = "Guru Meditation Error: Core  0 panic'ed (Interrupt wdt timeout on CPU0). \n"
        .to_owned()
        + &xtensa_registers(0)
        + "Core  0 was running in ISR context:\nEPC1    : 0x400d0001  EPC2    : 0x00000000  EPC3    : \
           0x00000000  EPC4    : 0x40080002\n\nBacktrace: 0x42000000:0x42000300 0x40081111:0x42000320 \
           0x400d0001:0x3ffb4000 0x400d0010:0x3ffb4020\n\nELF file SHA256: abcd1234\nRebooting...\n";
    let crash = crash(&log);
    let core = crash.core().expect("a core");
    assert!(core.in_isr);
    assert_eq!(core.register("EPC4"), Some(0x4008_0002));
    let kinds: Vec<_> = core
        .backtraces
        .iter()
        .map(|b| (b.of, b.frames.len()))
        .collect();
    assert_eq!(kinds, [(Of::Interrupt, 2), (Of::Task, 2)]);
    assert_eq!(crash.torn, []);
}

#[test]
fn what_was_wrong_and_giving_up_are_one_crash() {
    let (_, log) = all().pop().expect("the abort");
    let crash = crash(&log);
    assert_eq!(
        crash.headline().map(|message| message.entry.as_str()),
        Some("corrupt-heap")
    );
    assert!(matches!(
        &crash.cause,
        Cause::Assert {
            line: Some(259),
            ..
        }
    ));
    assert_eq!(crash.cores[0].backtraces[0].frames.len(), 2);
    assert_eq!(crash.torn, []);
    assert_eq!(crash.lines.start, 1);
}

#[test]
fn abort_names_the_core_whose_backtrace_follows() {
    let log = "\nabort() was called at PC 0x400d5678 on core 1\n\n\nBacktrace: 0x40081234:0x3ffb1000 \
               0x40085678:0x3ffb1020\n\n\nBacktrace: 0x40081240:0x3ffb2000 0x40085680:0x3ffb2020\n\n\n\
               ELF file SHA256: 1234abcd\n\nRebooting in 5 seconds...\nRebooting...\n";
    let crash = crash(log);
    assert_eq!(
        crash.cause,
        Cause::Abort {
            core: Some(1),
            pc: Some(0x400d_5678)
        }
    );
    let numbers: Vec<_> = crash.cores.iter().map(|core| core.number).collect();
    assert_eq!(numbers, [Some(1), None]);
    assert_eq!(crash.end, Some(Ending::RebootingIn(5)));
}

#[test]
fn stack_guard_and_canary_name_the_task() {
    let log =
        "Guru Meditation Error: Core  0 panic'ed (Stack protection fault). \n\nDetected in task \
               \"hungry one\" at 0x42001234\nStack pointer: 0x3fc90000\nStack bounds: 0x3fc90010 - \
               0x3fc91000\n\n"
            .to_owned()
            + &riscv_registers(0);
    let one = crash(&log);
    let core = one.core().expect("a core");
    assert_eq!(core.task.as_deref(), Some("hungry one"));
    assert_eq!(
        (core.stack_low, core.stack_high),
        (Some(0x3fc9_0010), Some(0x3fc9_1000))
    );
    assert_eq!(core.registers.len(), 37);
    assert_eq!(one.cores.len(), 1);
    assert!(
        one.messages
            .iter()
            .any(|message| message.entry.as_str() == "stack-guard")
    );

    let log = "Guru Meditation Error: Core  0 panic'ed (Unhandled debug exception). \nDebug exception reason: \
               Stack canary watchpoint triggered (main) \n"
        .to_owned()
        + &xtensa_registers(0);
    assert_eq!(
        crash(&log).core().and_then(|core| core.task.as_deref()),
        Some("main")
    );
}

#[test]
fn the_task_watchdogs_tables_are_read() {
    let crash = crash(TASK_WATCHDOG);
    let Cause::TaskWatchdog {
        late,
        running,
        aborted,
    } = &crash.cause
    else {
        panic!("{:?}", crash.cause)
    };
    let names: Vec<_> = late.iter().map(|task| (&*task.name, &*task.cpus)).collect();
    assert_eq!(names, [("IDLE1", "CPU 1"), ("a user", "")]);
    assert_eq!(running[1], (1, "spinner".to_owned()));
    assert!(!aborted);
    let core = crash.core().expect("a core");
    assert_eq!(
        (core.number, core.task.as_deref()),
        (Some(1), Some("spinner"))
    );
    assert_eq!(core.backtraces[0].of, Of::Task);
    assert_eq!(crash.torn, []);
}

#[test]
fn an_esp8266s_report_is_read() {
    let crash = crash(ESP8266);
    assert_eq!(crash.family, Some(Family::Esp8266));
    assert_eq!(
        crash.cause,
        Cause::Esp8266 {
            exception: Some(28)
        }
    );
    let core = crash.core().expect("a core");
    assert_eq!(core.pc(), Some(0x4020_1234));
    assert_eq!(core.fault_address(), Some(8));
    assert_eq!(
        (core.task.as_deref(), core.stack_high),
        (Some("cont"), Some(0x3fff_ffd0))
    );
    assert_eq!(core.stack[0].words.len(), 8);
    assert_eq!(crash.end, Some(Ending::Reset));
    assert_eq!(crash.torn, []);
    let boot = &boots(ESP8266)[0];
    assert_eq!(boot.chip.map(|chip| chip.id), Some("esp8266"));
    assert_eq!(
        boot.reset.as_ref().and_then(|reset| reset.cause),
        Some(ResetCause::Pin)
    );
    assert_eq!(
        boot.boot.as_ref().map(|mode| (mode.straps, mode.download)),
        Some((3, false))
    );
}

#[test]
fn an_esp8266s_soft_watchdog_and_asserts_are_read() {
    let log = "\nUser exception (panic/abort/assert)\n--------------- CUT HERE FOR EXCEPTION DECODER \
               ---------------\n\nPanic core.cpp:133 __yield\n\n>>>stack>>>\n\nctx: sys\nsp: 3fffec40 end: \
               3fffffb0 offset: 0000\n3fffec40:  00000000 40201f00 3fff0000 402020ab  \n<<<stack<<<\n";
    let crash = crash(log);
    assert_eq!(
        crash.cause,
        Cause::Esp8266Software {
            text: "Panic core.cpp:133 __yield".into()
        }
    );
    assert_eq!(crash.torn, []);
}

#[test]
fn rust_panics_and_exceptions_are_read() {
    let one = crash(RUST_RISCV);
    let Cause::RustPanic {
        message,
        file,
        line,
        column,
    } = &one.cause
    else {
        panic!("{:?}", one.cause)
    };
    assert_eq!(message.as_deref(), Some("This is it"));
    assert_eq!(
        (file.as_deref(), *line, *column),
        (Some("src/main.rs"), Some(25), Some(5))
    );
    let pcs: Vec<_> = one.cores[0].backtraces[0]
        .frames
        .iter()
        .map(|frame| frame.pc)
        .collect();
    assert_eq!(pcs, [0x4200_19aa, 0x4200_014c]);

    let new = "\n====================== PANIC ======================\npanicked at src/bin/a.rs:7:9:\nindex out \
               of bounds\n\nBacktrace:\n\n0x42001234\n0x42005678\n";
    let two = crash(new);
    assert_eq!(
        two.cause,
        Cause::RustPanic {
            message: Some("index out of bounds".into()),
            file: Some("src/bin/a.rs".into()),
            line: Some(7),
            column: Some(9),
        }
    );
    assert_eq!(two.cores[0].backtraces[0].frames.len(), 2);

    let three = crash(RUST_XTENSA);
    assert!(matches!(&three.cause, Cause::RustException { name, .. } if name == "LoadProhibited"));
    assert_eq!(three.cores[0].pc(), Some(1_107_296_256));
    assert_eq!(three.cores[0].fault_address(), Some(4));
    assert_eq!(three.cores[0].backtraces[0].frames.len(), 2);
}

#[test]
fn a_report_that_a_reset_cuts_is_torn_and_whole_up_to_there() {
    let report = riscv_report(0, "Illegal instruction");
    let at = report.find("A3      :").expect("it is there") + "A3      : 0x42".len();
    let log = format!("{}{C3_BANNER}", &report[..at]);
    let crash = crash(&log);
    assert_eq!(crash.end, Some(Ending::Reset));
    assert!(crash.torn.contains(&Torn::Reset));
    assert!(crash.torn.iter().any(|torn| matches!(
        torn,
        Torn::Cut {
            part: Part::Registers,
            ..
        }
    )));
    assert_eq!(crash.cores[0].registers.len(), 13);
    assert_eq!(boots(&log).len(), 1);
}

#[test]
fn a_brownout_is_told_also_when_the_line_is_cut() {
    let log = format!("I (5) x: fine\r\nBrownout detector was trigg{ESP32_BANNER}");
    let one = crash(&log);
    assert_eq!(one.cause, Cause::Brownout);
    assert_eq!(
        one.torn,
        [Torn::Cut {
            line: 2,
            part: Part::Opening
        }]
    );
    assert_eq!(one.end, Some(Ending::Reset));
    let whole = crash("E BOD: Brownout detector was triggered\r\n");
    assert_eq!((whole.cause, whole.torn), (Cause::Brownout, vec![]));
}

#[test]
fn several_crashes_and_boots_are_told_apart() {
    let log = format!("{C3_BANNER}{}", riscv_report(0, "Breakpoint")).repeat(20);
    let kinds: String = events(&log)
        .iter()
        .map(|event| match event {
            Event::Boot(_) => 'b',
            Event::Crash(_) => 'c',
            Event::Message(_) => 'm',
        })
        .collect();
    assert_eq!(kinds, "bc".repeat(20));
}

#[test]
fn a_report_glued_to_other_output_is_found() {
    let log = format!(
        "I (77) app: temperature is 2{}",
        xtensa_report(0, "LoadProhibited")
    );
    assert_eq!(crash(&log).cores[0].registers.len(), 24);
}

#[test]
fn faults_in_the_panic_handler_are_told() {
    let guru =
        "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.\n";
    let log = format!("{}{}", guru.repeat(5), xtensa_registers(1));
    let one = crash(&log);
    assert_eq!(one.repeated, 4);
    let log = format!(
        "{guru}{}{}",
        xtensa_registers(1),
        riscv_report(0, "Illegal instruction")
    );
    let two = crashes(&log);
    assert_eq!(two.len(), 2);
    assert!(two[0].torn.contains(&Torn::OtherReport) && two[1].in_report);
}

#[test]
fn a_report_whose_beginning_is_lost_is_read() {
    let report = xtensa_report(0, "LoadProhibited");
    let at = report.find("A4 ").expect("it is there");
    let crash = crash(&report[at..]);
    assert_eq!(crash.cause, Cause::Unknown);
    assert!(crash.torn.contains(&Torn::BeginningMissing));
    assert_eq!(crash.cores[0].register("A4"), Some(value(0, 6)));
    assert_eq!(crash.cores[0].pc(), None);
}

#[test]
fn what_people_do_to_logs_when_they_paste_them_does_no_harm() {
    let report = xtensa_report(1, "LoadProhibited").replace("\r\n", "\n");
    let expected = crash(&report);
    for prefix in [
        "> ",
        "[14:43:38]",
        "14:43:38.123 -> ",
        "\x1b[0;31m",
        "[0;31m",
    ] {
        let pasted: String = report
            .lines()
            .map(|line| format!("{prefix}{line}\n"))
            .collect();
        assert_eq!(crash(&pasted).cores, expected.cores, "{prefix}");
    }
    let collapsed: String = report
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect();
    assert_eq!(crash(&collapsed).cores, expected.cores);
    let decoded = report.replace("\n\nELF", "\n--- 0x400d1122: app_main at main.c:3\n\nELF");
    assert_eq!(crash(&decoded).cores, expected.cores);
}

#[test]
fn a_core_dump_is_passed_over() {
    let body = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8w\n".repeat(500);
    let report = xtensa_report(0, "LoadProhibited");
    let log = report.replace(
        "Rebooting...",
        &format!(
            "================= CORE DUMP START =================\n{body}================= CORE DUMP END \
             =================\nRebooting..."
        ),
    );
    let crash = crash(&log);
    let lines = crash.core_dump.expect("a core dump");
    assert_eq!(lines.end - lines.start, 500);
    assert_eq!(crash.torn, []);
}

#[test]
fn messages_belong_to_the_boot_or_the_crash_or_stand_alone() {
    let log = format!(
        "{ESP32_BANNER}E (50) boot: No bootable app partitions in the partition table\n\
         invalid header: 0xffffffff\ninvalid header: 0xffffffff\n{ESP32_BANNER}I (9) app: low memory\n\
         I (10) app: x\n"
    );
    let boots = boots(&log);
    let entries: Vec<_> = boots[0]
        .messages
        .iter()
        .map(|message| message.entry.as_str())
        .collect();
    assert_eq!(entries, ["no-app", "invalid-header"]);
    let alone = events(&log)
        .into_iter()
        .filter(|event| matches!(event, Event::Message(_)))
        .count();
    assert_eq!(alone, 1);
    let before = crash(&format!(
        "W (9) app: low memory\n{}",
        xtensa_report(0, "LoadProhibited")
    ));
    assert_eq!(before.messages[0].entry.as_str(), "low-memory");
}

#[test]
fn the_running_programs_digest_serves_a_report_that_has_none() {
    let report = xtensa_report(0, "LoadProhibited").replace("ELF file SHA256: 53d34b1d1", "");
    let log = format!("{ESP32_BANNER}I (99) app_init: ELF file SHA256:  aBc123456...\n{report}");
    assert_eq!(crash(&log).elf_sha256.as_deref(), Some("abc123456"));
}

#[test]
fn words_at_the_program_counter_are_read() {
    let log = "Guru Meditation Error: Core  0 panic'ed (IllegalInstruction). Exception was unhandled.\nMemory dump \
               at 0x400d1120: 00000000 ffffffff 12345678\n"
        .to_owned()
        + &xtensa_registers(0);
    let code = crash(&log).cores[0].code.clone();
    assert_eq!(code, Some((0x400d_1120, vec![0, 0xffff_ffff, 0x1234_5678])));
}

#[test]
fn the_knowledge_base_names_what_happened() {
    for (name, log) in all() {
        let mut parser = Parser::new(knowledge::Knowledge::builtin(), None);
        let mut events = parser.push(log.as_bytes());
        events.extend(parser.finish());
        let crashes = events.iter().filter_map(|event| match event {
            Event::Crash(crash) => Some(crash),
            _ => None,
        });
        for crash in crashes {
            assert!(crash.headline().is_some(), "{name}: {crash:#?}");
        }
        for event in &events {
            if let Event::Boot(boot) = event {
                let reset = boot.reset.as_ref().expect("a reset");
                assert!(reset.meaning.is_some(), "{name}: {reset:?}");
            }
        }
    }
}

/// What a report says, without the numbers of its lines.
type Told = (Cause, Vec<Core>, Option<String>, Option<Ending>);

fn told(log: &str) -> Vec<Told> {
    let told = |crash: Crash| {
        let mut cores = crash.cores;
        for backtrace in cores.iter_mut().flat_map(|core| &mut core.backtraces) {
            backtrace.line = 0;
        }
        (crash.cause, cores, crash.elf_sha256, crash.end)
    };
    crashes(log).into_iter().map(told).collect()
}

#[test]
fn what_stands_before_each_line_is_taken_off() {
    let prefixes: [fn(usize) -> String; 8] = [
        |line| format!("{line}: "),
        |line| format!("{line:5} | "),
        |line| {
            format!(
                "Nov {:2} 15:03:{:02} host ser2net[123]: ",
                1 + line / 60,
                line % 60
            )
        },
        |_| "COM5: ".to_owned(),
        |_| "esp32-1  | ".to_owned(),
        |line| format!("[Apr 29 09:30:{:02}.782] ", line % 60),
        |line| format!("{}.123456 ", 1_700_000_000 + line),
        |line| format!("\x1b[0;33m2026-06-02 15:03:{:02}\x1b[0m ", line % 60),
    ];
    for (name, log) in all() {
        // Lines of these are known only by their beginnings.
        if name.starts_with("rust") {
            continue;
        }
        for prefix in prefixes {
            let lines = log.lines().enumerate();
            let with: Vec<String> = lines.map(|(at, line)| prefix(at + 1) + line).collect();
            assert_eq!(told(&with.join("\n")), told(&log), "{name} {}", prefix(1));
        }
    }
}

#[test]
fn what_other_tools_say_of_addresses_in_between_changes_nothing() {
    let remarks = [
        "0x400d1122: f at /home/x/main/main.c:3 (discriminator 1)",
        "\x1b[0;33m0x400d1122: f at /home/x/main/main.c:3\x1b[0m",
        "ESC[0;33mStack dump detectedESC[0m",
        " (inlined by) g at /home/x/main/main.c:1",
        "0x4000c46c: memset in ROM",
        "0x42001122 - core::f",
        "    at src/main.rs:12",
        "  #0  0x400d1122 in f at src/main.cpp:3",
        "  #1  0x400d1122:0x3ffb5570 in f(int) at src/main.cpp:3",
        "WARNING Decoded 0x400d1122: f() at src/main.cpp:3",
        "WARNING Found stack trace! Trying to decode it",
        "=> 0x400d1122: f at src/main.rs:3",
        "--- 0x400d1122: f at main.c:3",
    ];
    for (name, log) in all() {
        // A Rust program prints such lines itself.
        if name.starts_with("rust") {
            continue;
        }
        for remark in remarks {
            let lines: Vec<&str> = log.lines().flat_map(|line| [line, remark]).collect();
            assert_eq!(told(&lines.join("\n")), told(&log), "{name} {remark}");
        }
    }
}

#[test]
fn what_gdb_shows_in_the_place_of_stack_memory_is_a_backtrace() {
    let report = |first: &str| {
        format!(
            "Guru Meditation Error: Core  0 panic'ed (Store access fault). Exception was unhandled.\n{}\n{first}\n\
             #1  0x42008f34 in app_main () at main.c:30\n\
             #2  0x42015a1e in main_task (args=<optimized out>) at app_startup.c:208\nRebooting...\n",
            riscv_registers(0)
        )
    };
    for first in [
        "#0  crash (p=0x0) at main.c:20",
        "#0  0x42000000 in crash (p=0x0) at main.c:20",
    ] {
        let crash = crash(&report(first));
        let frames: Vec<u32> = crash.cores[0].backtraces[0]
            .frames
            .iter()
            .map(|frame| frame.pc)
            .collect();
        assert_eq!(frames, [value(0, 0), 0x4200_8f34, 0x4201_5a1e], "{first}");
    }
}

#[test]
fn a_report_on_a_single_line_is_read() {
    let report = xtensa_report(1, "LoadProhibited");
    let words: Vec<&str> = report.split_whitespace().collect();
    let single = format!("It says: {} Please help!", words.join(" "));
    let (whole, single) = (crash(&report), crash(&single));
    assert_eq!(single.cause, whole.cause);
    assert_eq!(single.cores[0].registers, whole.cores[0].registers);
    assert_eq!(
        single.cores[0].backtraces[0].frames,
        whole.cores[0].backtraces[0].frames
    );
    assert_eq!(single.elf_sha256, whole.elf_sha256);
}

#[test]
fn the_stack_of_an_esp8266_is_read_in_the_order_of_every_release() {
    let context = "ctx: cont \nsp: 3ffffd40 end: 3fffffd0 offset: 0190\n";
    let old = ESP8266
        .replace("ctx: cont\nsp: 3ffffd40 end: 3fffffd0 offset: 0190\n", "")
        .replace(">>>stack>>>", &format!("{context}\n>>>stack>>>"));
    assert_ne!(old, ESP8266);
    assert_eq!(told(&old), told(ESP8266));
}

#[test]
fn an_esp8266_exception_with_a_register_a_line_is_read() {
    let log = "Fatal exception (28):\nepc1=0x40105ac4\n\n0x40105ac4: f at x.c:2\n\nepc2=0x00000000\n\
               epc3=0x40203469\nexcvaddr=0x00000003\ndepc=0x00000000\n";
    let crash = crash(log);
    let core = crash.core().expect("a core");
    assert_eq!(
        crash.cause,
        Cause::Esp8266 {
            exception: Some(28)
        }
    );
    assert_eq!(
        (core.pc(), core.fault_address(), core.register("EPC3")),
        (Some(0x4010_5ac4), Some(3), Some(0x4020_3469))
    );
}

#[test]
fn what_esphome_kept_of_a_crash_is_a_crash() {
    let log = "[12:31:55][E][esp32.crash:221]: *** CRASH DETECTED ON PREVIOUS BOOT ***\n\
               [12:31:55][E][esp32.crash:224]:   Reason: Fault - StoreProhibited\n\
               [12:31:55][E][esp32.crash:228]:   PC:  0x4011AD40  (fault location)\n\
               WARNING Decoded 0x4011ad40: f() at x.yaml:89\n\
               [12:31:55][E][esp32.crash:242]:   BT0: 0x4011AD3D  (backtrace)\n\
               [12:31:55][E][esp32.crash:242]:   BT1: 0x4011AD95  (backtrace)\n\
               [12:31:56][E][esp32.crash:242]:   BT2: 0x4011AD77  (stack scan)\n";
    let crash = crash(log);
    let reason = Some("StoreProhibited".to_owned());
    assert_eq!(crash.cause, Cause::Guru { core: None, reason });
    let core = crash.core().expect("a core");
    let [backtrace] = &core.backtraces[..] else {
        panic!("{:?}", core.backtraces)
    };
    let frames: Vec<u32> = backtrace.frames.iter().map(|frame| frame.pc).collect();
    assert_eq!(core.pc(), Some(0x4011_ad40));
    assert_eq!(frames, [0x4011_ad3d, 0x4011_ad95]);
    assert_eq!(backtrace.possible, [0x4011_ad77]);
    assert_eq!(crash.torn, []);
}

#[test]
fn registers_of_rust_programs_are_read_in_every_form() {
    let riscv = "5.903834 [ERROR] panicked at 'Exception 'Load access fault' mepc=420ef8f0, mtval=ffd0000f\n\
                 TrapFrame { ra: 1108277650, t0: 202, a0: 8 }' (esp_hal src/exception_handler/mod.rs:46)\n\
                 5.904129 [ERROR] ====================== PANIC ====================== (a b/src/lib.rs:70)\n\
                 5.904151 [ERROR] panicked at src/main.rs:43:5 (a b/src/lib.rs:70)\n\
                 5.904265 [ERROR] Backtrace: (a b/src/lib.rs:70)\n\
                 5.904310 [ERROR] 0x420ef8f0 (a b/src/lib.rs:70)\n\
                 5.904310 [ERROR] 0x42001234 (a b/src/lib.rs:70)\n";
    let found = crash(riscv);
    let core = found.core().expect("a core");
    assert_eq!(
        (core.pc(), core.fault_address(), core.register("RA")),
        (Some(0x420e_f8f0), Some(0xffd0_000f), Some(0x420e_f992))
    );
    assert_eq!(core.backtraces[0].frames.len(), 2);
    let xtensa = "Exception occurred on ProCpu 'LoadProhibited'\nContext\nPC=0x42001a2f       PS=0x00060610\n\
                  A0=0x82002f21       A1=0x3fcd8c40       A2=0x00000000       A3=0x00000000       A4=0x00000001\n\
                  A5=0x00000000       A6=0x00000000       A7=0x00000000       A8=0x00000000       A9=0x00000000\n\
                  A10=0x00000000      A11=0x00000000      A12=0x00000000      A13=0x00000000      A14=0x00000000\n\
                  A15=0x00000000\nSAR=0000001f\nEXCCAUSE=0x0000001c EXCVADDR=0x00000000\n\
                  LBEG=0x00000000     LEND=0x00000000     LCOUNT=0x00000000\n";
    let found = crash(xtensa);
    assert_eq!(found.cores[0].registers.len(), 24);
    assert_eq!(found.cores[0].register("SAR"), Some(0x1f));
    assert_eq!(found.torn, []);
}
