//! Logs as chips print them, with names and numbers of our own.

use guru_chip::Chip;
use guru_crash::*;

/// Texts of a small knowledge base: a part of the line, the entry, how much it weighs.
pub struct Texts(pub &'static [(&'static str, &'static str, Severity)]);

pub const TEXTS: Texts = Texts(&[
    ("CORRUPT HEAP: ", "corrupt-heap", Severity::Fatal),
    (
        "Stack smashing protect failure!",
        "stack-smashing",
        Severity::Fatal,
    ),
    (
        "A stack overflow in task",
        "stack-overflow",
        Severity::Fatal,
    ),
    ("Undefined behavior of type", "ubsan", Severity::Fatal),
    (
        "Debug exception reason: ",
        "debug-exception",
        Severity::Note,
    ),
    ("Detected in task", "stack-guard", Severity::Note),
    ("abort() was called", "abort", Severity::Fatal),
    (
        "invalid header: 0xffffffff",
        "invalid-header",
        Severity::Fatal,
    ),
    ("No bootable app", "no-app", Severity::Fatal),
    ("low memory", "low-memory", Severity::Warning),
    (
        "Panic handler entered multiple times",
        "panic-in-panic",
        Severity::Fatal,
    ),
]);

impl Recognise for Texts {
    fn line(&self, text: &str, _: Option<Family>, _: Option<&'static Chip>) -> Option<Known> {
        let (_, entry, severity) = self.0.iter().find(|(part, ..)| text.contains(part))?;
        Some(Known {
            entry: EntryId::from(*entry),
            severity: *severity,
            fields: [("all".to_owned(), text.to_owned())].into(),
        })
    }

    fn reason(
        &self,
        text: &str,
        family: Option<Family>,
        _: Option<&'static Chip>,
    ) -> Option<Known> {
        Some(Known {
            entry: EntryId::from(&*format!("{text}-{family:?}")),
            severity: Severity::Fatal,
            fields: Default::default(),
        })
    }

    fn reset(&self, code: u8, name: &str, chip: Option<&'static Chip>) -> Option<EntryId> {
        Some(EntryId::from(&*format!(
            "{code}-{name}-{}",
            chip.map_or("", |chip| chip.id)
        )))
    }

    fn boot_mode(&self, _: u16, _: &str, _: Option<&'static Chip>) -> Option<EntryId> {
        None
    }
}

pub fn events(log: &str) -> Vec<Event> {
    events_of(log.as_bytes())
}

pub fn events_of(log: &[u8]) -> Vec<Event> {
    let mut parser = Parser::new(&TEXTS, None);
    let mut events = parser.push(log);
    events.extend(parser.finish());
    events
}

pub fn crashes(log: &str) -> Vec<Crash> {
    let crash = |event| match event {
        Event::Crash(crash) => Some(*crash),
        _ => None,
    };
    events(log).into_iter().filter_map(crash).collect()
}

pub const C3_BANNER: &str = "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n\
    rst:0xc (RTC_SW_CPU_RST),boot:0xd (SPI_FAST_FLASH_BOOT)\r\nSaved PC:0x40048b82\r\n\
    SPIWP:0xee\r\nmode:DIO, clock div:1\r\nload:0x3fcd5820,len:0x1714\r\nentry 0x403cc710\r\n\
    I (24) boot: ESP-IDF v5.4 2nd stage bootloader\r\n";

pub const ESP32_BANNER: &str = "ets Jul 29 2019 12:21:46\r\n\r\n\
    rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\nconfigsip: 0, SPIWP:0xee\r\n\
    clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\r\nmode:DIO, clock div:2\r\n\
    load:0x3fff0030,len:7000\r\nentry 0x40080600\r\n";

const XTENSA: [&str; 24] = [
    "PC", "PS", "A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "A12",
    "A13", "A14", "A15", "SAR", "EXCCAUSE", "EXCVADDR", "LBEG", "LEND", "LCOUNT",
];
const RISCV: [&str; 37] = [
    "MEPC", "RA", "SP", "GP", "TP", "T0", "T1", "T2", "S0/FP", "S1", "A0", "A1", "A2", "A3", "A4",
    "A5", "A6", "A7", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "T3", "T4",
    "T5", "T6", "MSTATUS", "MTVEC", "MCAUSE", "MTVAL", "MHARTID",
];

fn table(names: &[&str], value: impl Fn(usize) -> u32) -> Vec<String> {
    let fields: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(index, name)| format!("{name:8}: 0x{:08x}  ", value(index)))
        .collect();
    fields.chunks(4).map(<[String]>::concat).collect()
}

/// The value of a register of these dumps: told apart by core and place.
pub fn value(core: u8, index: usize) -> u32 {
    0x4200_0000 + 0x10_0000 * u32::from(core) + 0x100 * index as u32
}

pub fn xtensa_registers(core: u8) -> String {
    let lines = table(&XTENSA, |index| value(core, index)).join("\r\n");
    format!("Core  {core} register dump:\r\n{lines}\r\n")
}

pub fn riscv_registers(core: u8) -> String {
    let lines = table(&RISCV, |index| value(core, index)).join("\r\n");
    format!("Core  {core} register dump:\r\n{lines}\r\n")
}

pub fn riscv_stack(core: u8, lines: u32) -> String {
    let base = value(core, 2);
    let mut text = "\r\nStack memory:\r\n".to_owned();
    for line in 0..lines {
        let words: Vec<String> = (0..8)
            .map(|word| {
                format!(
                    "0x{:08x}",
                    0x5000_0000 + u32::from(core) * 0x1000 + line * 8 + word
                )
            })
            .collect();
        text += &format!("{:08x}: {}\r\n", base + line * 32, words.join(" "));
    }
    text
}

pub fn xtensa_report(core: u8, reason: &str) -> String {
    format!(
        "Guru Meditation Error: Core  {core} panic'ed ({reason}). Exception was unhandled.\r\n\r\n{}\r\n\r\n\
         Backtrace: 0x{:08x}:0x{:08x} 0x400d3344:0x0badbad0 |<-CORRUPTED\r\n\r\n\r\n\r\n\r\n\
         ELF file SHA256: 53d34b1d1\r\n\r\nRebooting...\r\n",
        xtensa_registers(core),
        value(core, 0),
        value(core, 3),
    )
}

pub fn riscv_report(core: u8, reason: &str) -> String {
    format!(
        "Guru Meditation Error: Core  {core} panic'ed ({reason}). Exception was unhandled.\r\n\r\n{}{}\r\n\r\n\r\n\
         ELF file SHA256: 53d34b1d1\r\n\r\nRebooting...\r\n",
        riscv_registers(core),
        riscv_stack(core, 4),
    )
}

pub const ESP8266: &str = "\n--------------- CUT HERE FOR EXCEPTION DECODER ---------------\n\n\
    Exception (28):\nepc1=0x40201234 epc2=0x00000000 epc3=0x00000000 excvaddr=0x00000008 depc=0x00000000\n\n\
    >>>stack>>>\n\nctx: cont\nsp: 3ffffd40 end: 3fffffd0 offset: 0190\n\
    3ffffed0:  00000000 40201f00 3fff0000 402020ab <\n3ffffee0:  00000001 40201f01 3fff0001 402020ac  \n\
    <<<stack<<<\n\n--------------- CUT HERE FOR EXCEPTION DECODER ---------------\n\n \
    ets Jan  8 2013,rst cause:2, boot mode:(3,6)\n\nload 0x4010f000, len 3424, room 16 \n";

pub const RUST_RISCV: &str = "\n\n!! A panic occured in 'src/main.rs', at line 25, column 5\n\nPanicInfo {\n    \
    payload: Any { .. },\n    message: Some(\n        This is it,\n    ),\n    location: Location {\n        \
    file: \"src/main.rs\",\n        line: 25,\n        col: 5,\n    },\n    can_unwind: true,\n}\n\nBacktrace:\n\n\
    0x420019aa\n0x420019aa - main\n    at src/main.rs:25\n0x4200014c\n";

pub const RUST_XTENSA: &str = "\n\nException occurred on ProCpu 'LoadProhibited'\nContext { PC: 1107296256, \
    PS: 393237, A0: 2181152054, A1: 1070176400, EXCCAUSE: 28, EXCVADDR: 4 }\n0x42001111\n0x42002222\n";

pub const TASK_WATCHDOG: &str = "E (10303) task_wdt: Task watchdog got triggered. The following tasks/users did \
    not reset the watchdog in time:\nE (10303) task_wdt:  - IDLE1 (CPU 1)\nE (10303) task_wdt:  - a user\n\
    E (10303) task_wdt: Tasks currently running:\nE (10303) task_wdt: CPU 0: IDLE0\n\
    E (10303) task_wdt: CPU 1: spinner\n\
    E (10303) task_wdt: Print CPU 1 backtrace\n\n\nBacktrace: 0x400d1122:0x3ffb5570 0x400d3344:0x3ffb5590\n\n";

/// Each with a name, for tests that take all.
pub fn all() -> Vec<(&'static str, String)> {
    vec![
        ("xtensa", format!("{}{}{ESP32_BANNER}", ESP32_BANNER, xtensa_report(1, "LoadProhibited"))),
        ("riscv", format!("{}{}{C3_BANNER}", C3_BANNER, riscv_report(0, "Load access fault"))),
        (
            "both",
            format!(
                "Guru Meditation Error: Core  0 panic'ed (Interrupt wdt timeout on CPU0).\n{}{}{}{}\nELF file \
                 SHA256: abcdef\nCPU halted.\n",
                riscv_registers(0),
                riscv_stack(0, 3),
                riscv_registers(1),
                riscv_stack(1, 3)
            ),
        ),
        ("esp8266", ESP8266.to_owned()),
        ("rust-riscv", RUST_RISCV.to_owned()),
        ("rust-xtensa", RUST_XTENSA.to_owned()),
        ("task-watchdog", TASK_WATCHDOG.to_owned()),
        (
            "abort",
            "CORRUPT HEAP: Bad tail at 0x3ffe270a. Expected 0xbaad5678 got 0xbaac5678\nassert failed: \
             multi_heap_free multi_heap_poisoning.c:259 (head != NULL)\n\n\nBacktrace: 0x40081234:0x3ffb1000 \
             0x40085678:0x3ffb1020\n\n\nELF file SHA256: 1234abcd\n\nRebooting...\n"
                .to_owned(),
        ),
    ]
}
