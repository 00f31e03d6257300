//! Explanations of logs that nobody has in the repository: mutated, cut, random.

use guru_crash::Parser;
use guru_crash::explain::{Evidence, Explanation, Force, Inputs, Log, Sdkconfig, explain, judge};
use guru_crash::knowledge::Knowledge;
use proptest::prelude::*;

const CRASHES: [&str; 3] = [
    "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n\
     Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.\r\n\r\n\
     Core  1 register dump:\r\n\
     PC      : 0x400d5c34  PS      : 0x00060330  A0      : 0x800d5d51  A1      : 0x3ffb5570  \r\n\
     EXCVADDR: 0x0000001c  LBEG    : 0x00000000  LEND    : 0x00000000  LCOUNT  : 0x00000000  \r\n\r\n\
     Backtrace: 0x400d5c31:0x3ffb5570 0x400d5d4e:0x3ffb5590 |<-CORRUPTED\r\n\r\n\
     ELF file SHA256: 8c1f0e2a7\r\n\r\nRebooting...\r\n",
    "Guru Meditation Error: Core  0 panic'ed (Stack protection fault). \r\n\r\n\
     Detected in task \"main\" at 0x42008f10\r\nStack pointer: 0x3fc91a40\r\n\
     Stack bounds: 0x3fc91aa0 - 0x3fc92a90\r\n\r\nCore  0 register dump:\r\n\
     MEPC    : 0x42008f10  RA      : 0x42008f3e  SP      : 0x3fc91a40  GP      : 0x3fc8ba00  \r\n\
     MSTATUS : 0x00001881  MTVEC   : 0x40380001  MCAUSE  : 0x0000001b  MTVAL   : 0x00000000  \r\n\r\n\
     Stack memory:\r\n\
     3fc91a40: 0x00000000 0x3fc8c000 0x42008f10 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000\r\n",
    "CORRUPT HEAP: Bad tail at 0x3ffb710a. Expected 0xbaad5678 got 0xbaad5600\n\
     E (5312) task_wdt: Task watchdog got triggered. The following tasks/users did not reset the watchdog in time:\n\
     E (5312) task_wdt:  - IDLE0 (CPU 0)\nE (5312) task_wdt: Tasks currently running:\n\
     E (5312) task_wdt: CPU 0: crunch\n\nException (28):\nepc1=0x40201044 epc2=0x00000000 epc3=0x00000000 \
     excvaddr=0x00000008 depc=0x00000000\n\n>>>stack>>>\n\nctx: cont\nsp: 3ffffdd0 end: 3fffffd0 offset: 0150\n\
     3fffff20:  00000000 40201f36 3fff0000 402020ab  \n<<<stack<<<\n",
];

fn explained(log: &[u8], piece: usize) -> Explanation {
    let knowledge = Knowledge::builtin();
    let mut parser = Parser::new(knowledge, None);
    let mut seen = Log::new(None);
    for bytes in log.chunks(piece.max(1)) {
        for event in parser.push(bytes) {
            seen.add(event);
        }
    }
    for event in parser.finish() {
        seen.add(event);
    }
    let judged = judge(&seen, Vec::new(), Force::No);
    let settings = Sdkconfig::parse("CONFIG_HEAP_POISONING_DISABLED=y");
    explain(
        &seen,
        knowledge,
        &Inputs {
            symbols: &judged.symbols,
            elf: &judged.verdict,
            settings: settings.as_ref(),
            sources: None,
        },
    )
}

/// A crash with some bytes changed, left out and put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    (0..CRASHES.len(), prop::collection::vec(change, 0..12)).prop_map(|(number, changes)| {
        let mut log = CRASHES[number].as_bytes().to_vec();
        for (at, byte, how) in changes {
            if log.is_empty() {
                break;
            }
            let at = at.index(log.len());
            match how {
                0 => log[at] = byte,
                1 => log.insert(at, byte),
                2 => log.truncate(at),
                _ => drop(log.drain(at..(at + usize::from(byte)).min(log.len()))),
            }
        }
        log
    })
}

#[test]
fn the_knowledge_base_asks_for_evidence_that_there_is() {
    for entry in Knowledge::builtin().entries() {
        for name in entry.causes.iter().flat_map(|cause| &cause.evidence) {
            assert!(name.parse::<Evidence>().is_ok(), "{}: {name}", entry.id);
        }
    }
}

#[test]
fn each_of_these_is_explained_with_causes_and_remedies() {
    for log in CRASHES {
        let explanation = explained(log.as_bytes(), 4096);
        assert!(!explanation.crashes.is_empty(), "{log}");
        for crash in &explanation.crashes {
            assert!(
                !crash.causes.is_empty() && !crash.remedies.is_empty(),
                "{crash:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_log_makes_it_fail(log in mutated(), piece in 1..80_usize) {
        let explanation = explained(&log, piece);
        // However it came in, the same is said.
        let whole = explained(&log, log.len());
        prop_assert_eq!(format!("{explanation:?}"), format!("{whole:?}"));
    }

    #[test]
    fn no_bytes_make_it_fail(log in prop::collection::vec(any::<u8>(), 0..2000)) {
        explained(&log, 64);
    }
}
