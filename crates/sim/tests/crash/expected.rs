//! What is known of each fault before it happens: it stands in the program's source.

use crate::elf::Elf;
use crate::report::Report;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Riscv,
    /// With windows of registers.
    Xtensa,
    /// Without: the ESP8266.
    Flat,
}

/// The reason of a family's CPU, or text that is the same for both.
#[derive(Clone, Copy)]
enum Reason {
    Cpu {
        riscv: (&'static str, u32),
        xtensa: (&'static str, u32),
    },
    Said(&'static str),
}

/// The address that the CPU names: MTVAL or EXCVADDR.
#[derive(Clone, Copy)]
enum Value {
    /// Nothing to say.
    Any,
    Is(u32),
    /// Of a symbol.
    At(&'static str),
}

/// Where a fault is there to be chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    All,
    Riscv,
    Xtensa,
    Only(&'static [&'static str]),
}

pub struct Fault {
    pub name: &'static str,
    on: On,
    reason: Reason,
    value: Value,
    /// The functions from the one that fails to the fault's own. `?`: the address is none of code;
    /// `~NAME`: there unless the compiler has made a jump of the call; `^NAME`: has called what is no
    /// function, which on Xtensa has not turned the window to a frame of its own.
    chain: &'static [&'static str],
}

const fn cpu(
    name: &'static str,
    riscv: (&'static str, u32),
    xtensa: (&'static str, u32),
    value: Value,
    chain: &'static [&'static str],
) -> Fault {
    Fault {
        name,
        on: On::All,
        reason: Reason::Cpu { riscv, xtensa },
        value,
        chain,
    }
}

const fn said(name: &'static str, text: &'static str, chain: &'static [&'static str]) -> Fault {
    Fault {
        name,
        on: On::All,
        reason: Reason::Said(text),
        value: Value::Any,
        chain,
    }
}

impl Fault {
    const fn on(mut self, on: On) -> Self {
        self.on = on;
        self
    }
}

const LOAD: ((&str, u32), (&str, u32)) = (("Load access fault", 5), ("LoadProhibited", 28));
const STORE: ((&str, u32), (&str, u32)) = (("Store access fault", 7), ("StoreProhibited", 29));
const FETCH: ((&str, u32), (&str, u32)) = (
    ("Instruction access fault", 1),
    ("InstrFetchProhibited", 20),
);
const NONE: (&str, u32) = ("", 0);

/// In the order of the menu.
pub static FAULTS: &[Fault] = &[
    cpu(
        "null-load",
        LOAD.0,
        LOAD.1,
        Value::Is(0),
        &["average_of_four", "sensor_average", "fault_null_load"],
    ),
    cpu(
        "null-member",
        LOAD.0,
        LOAD.1,
        Value::Is(0x24),
        &["sensor_convert", "sensor_read", "fault_null_member"],
    ),
    cpu(
        "null-store",
        STORE.0,
        STORE.1,
        Value::Is(0),
        &[
            "ring_put",
            "~record_append",
            "record_measurement",
            "fault_null_store",
        ],
    ),
    cpu(
        "null-call",
        FETCH.0,
        FETCH.1,
        Value::Is(0),
        &["?", "^display_update", "display_show", "fault_null_call"],
    ),
    cpu(
        "data-call",
        FETCH.0,
        FETCH.1,
        Value::At("picture"),
        &["?", "^display_update", "display_show", "fault_data_call"],
    )
    .on(On::Only(&["esp32c3", "esp32", "esp32s2", "esp32s3"])),
    cpu(
        "ascii-call",
        FETCH.0,
        FETCH.1,
        // " deg"
        Value::Is(0x6765_6420),
        &[
            "?",
            "^command_dispatch",
            "command_receive",
            "fault_ascii_call",
        ],
    ),
    cpu("ascii-return", FETCH.0, FETCH.1, Value::Any, &["?"]).on(On::Riscv),
    cpu(
        "illegal",
        ("Illegal instruction", 2),
        ("IllegalInstruction", 0),
        Value::Any,
        &["selftest_step", "selftest", "fault_illegal"],
    ),
    cpu(
        "break",
        ("Breakpoint", 3),
        ("Unhandled debug exception", 1),
        Value::Any,
        &["selftest_step", "selftest", "fault_break"],
    ),
    cpu(
        "system-call",
        ("Environment call from M-mode", 11),
        ("Syscall", 1),
        Value::Any,
        &["selftest_step", "selftest", "fault_system_call"],
    ),
    said(
        "abort",
        "abort() was called at PC 0x",
        &[
            "panic_abort",
            "esp_system_abort",
            "abort",
            "config_require",
            "fault_abort",
        ],
    ),
    said(
        "assert",
        "assert failed: config_channel config.c:",
        &[
            "panic_abort",
            "esp_system_abort",
            "__assert_func",
            "config_channel",
            "fault_assert",
        ],
    ),
    said(
        "error-check",
        "abort() was called at PC 0x",
        &[
            "panic_abort",
            "esp_system_abort",
            "abort",
            "_esp_error_check_failed",
            "radio_connect",
            "fault_error_check",
        ],
    ),
    cpu("recursion", STORE.0, STORE.1, Value::Any, &["tree_sum"]),
    said(
        "stack-canary",
        "***ERROR*** A stack overflow in task station has been detected.",
        &[
            "panic_abort",
            "esp_system_abort",
            "vApplicationStackOverflowHook",
            "task_switch",
            "fault_stack_canary",
        ],
    ),
    said(
        "stack-smash",
        "Stack smashing protect failure!",
        &[
            "panic_abort",
            "esp_system_abort",
            "__stack_chk_fail",
            "greet",
            "greet_user",
            "fault_stack_smash",
        ],
    ),
    said(
        "heap-tail",
        "assert failed: multi_heap_free multi_heap_poisoning.c:",
        &[
            "panic_abort",
            "esp_system_abort",
            "__assert_func",
            "multi_heap_free",
            "message_send",
            "fault_heap_tail",
        ],
    ),
    said(
        "heap-head",
        "assert failed: multi_heap_free multi_heap_poisoning.c:",
        &[
            "panic_abort",
            "esp_system_abort",
            "__assert_func",
            "multi_heap_free",
            "message_send",
            "fault_heap_head",
        ],
    ),
    said(
        "heap-after-free",
        "assert failed: multi_heap_malloc multi_heap_poisoning.c:",
        &[
            "panic_abort",
            "esp_system_abort",
            "__assert_func",
            "multi_heap_malloc",
            "message_new",
            "fault_heap_after_free",
        ],
    ),
    said(
        "out-of-bounds",
        "Undefined behavior of type out_of_bounds",
        &[
            "panic_abort",
            "esp_system_abort",
            "__ubsan_handle_out_of_bounds",
            "days_in",
            "fault_out_of_bounds",
        ],
    ),
    cpu(
        "interrupt-watchdog",
        ("Interrupt wdt timeout on CPU0", 24),
        ("Interrupt wdt timeout on CPU0", 5),
        Value::Any,
        &["wait_for_answer", "server_ask", "fault_interrupt_watchdog"],
    ),
    said(
        "task-watchdog",
        "E (5312) task_wdt: Task watchdog got triggered.",
        &["wait_for_answer", "server_ask", "fault_task_watchdog"],
    ),
    cpu(
        "interrupt",
        LOAD.0,
        LOAD.1,
        Value::Is(4),
        &[
            "timer_notify",
            "on_timer",
            "interrupt_entry",
            "wait_for_answer",
            "server_ask",
            "fault_interrupt",
        ],
    ),
    cpu(
        "in-handler",
        STORE.0,
        STORE.1,
        Value::Is(0),
        &["give_up", "fault_in_handler"],
    ),
    cpu(
        "divide",
        NONE,
        ("IntegerDivideByZero", 6),
        Value::Any,
        &["mean", "fault_divide"],
    )
    .on(On::Xtensa),
    cpu(
        "word-only",
        NONE,
        ("LoadStoreError", 3),
        Value::At("_text_start"),
        &["checksum", "fault_word_only"],
    )
    .on(On::Xtensa),
    cpu(
        "misaligned",
        ("Store address misaligned", 6),
        ("LoadStoreAlignment", 9),
        Value::Any,
        &["count_at", "fault_misaligned"],
    )
    .on(On::Only(&["esp32c6", "esp32", "esp32s3"])),
    cpu(
        "coprocessor",
        NONE,
        ("Coprocessor exception", 4),
        Value::Any,
        &["prepare_float", "fault_coprocessor"],
    )
    .on(On::Only(&["esp32", "esp32s3"])),
    cpu(
        "kernel",
        NONE,
        ("Unhandled kernel exception", 3),
        Value::Is(0),
        &["read_word", "fault_kernel"],
    )
    .on(On::Xtensa),
    cpu(
        "double",
        NONE,
        ("Double exception", 2),
        Value::Any,
        &["read_word", "fault_double"],
    )
    .on(On::Xtensa),
];

/// What every chain ends with.
const ROOT: [&str; 3] = ["station_run", "main", "_start"];

impl Fault {
    pub fn is_on(&self, chip: &str, family: Family) -> bool {
        // It has no interrupts and no heap there.
        let on_flat = [
            "abort",
            "assert",
            "recursion",
            "stack-smash",
            "word-only",
            "misaligned",
        ];
        let instruction = ["break", "divide", "coprocessor", "kernel", "double"];
        let at_cpu = matches!(self.reason, Reason::Cpu { .. })
            && !instruction.contains(&self.name)
            && !matches!(self.name, "interrupt-watchdog" | "interrupt" | "in-handler");
        if family == Family::Flat {
            return at_cpu || on_flat.contains(&self.name);
        }
        match self.on {
            On::All => true,
            On::Riscv => family == Family::Riscv,
            On::Xtensa => family == Family::Xtensa,
            On::Only(chips) => chips.contains(&chip),
        }
    }

    /// Compares the first report of a text with what is known.
    pub fn check(&self, what: &str, report: &Report, text: &str, elf: &Elf, family: Family) {
        let (pc, value) = match family {
            Family::Riscv => ("MEPC", "MTVAL"),
            Family::Xtensa | Family::Flat => ("PC", "EXCVADDR"),
        };
        match self.reason {
            Reason::Cpu { riscv, xtensa } => {
                let (cause, (reason, number)) = match family {
                    Family::Riscv => ("MCAUSE", riscv),
                    Family::Xtensa => ("EXCCAUSE", xtensa),
                    Family::Flat => ("EXCCAUSE", ("Exception", xtensa.1)),
                };
                assert_eq!(report.reason, reason, "{what}\n{text}");
                assert_eq!(report.register(cause), number, "{what}: {cause}");
            }
            Reason::Said(_) if family == Family::Flat => {
                assert!(text.contains("User exception"), "{what}\n{text}");
                assert_ne!(report.reason, "", "{what}\n{text}");
            }
            Reason::Said(said) => assert!(report.reason.starts_with(said), "{what}\n{text}"),
        }
        match self.value {
            Value::Any => {}
            Value::Is(number) => assert_eq!(report.register(value), number, "{what}: {value}"),
            Value::At(name) => {
                let address = elf.symbol(name);
                assert_eq!(Some(report.register(value)), address, "{what}: {value}");
            }
        }
        let last = match self.name {
            _ if family == Family::Flat => "<<<stack<<<",
            "in-handler" => "Panic handler entered multiple times. Abort panic handling.",
            _ => "Rebooting...\r\n",
        };
        assert!(text.contains(last), "{what}\n{text}");
        let digits = if family == Family::Flat { 0 } else { 9 };
        assert_eq!(report.sha256.len(), digits, "{what}: {text}");
        if let Some(at) = report.registers.get(pc) {
            let function = elf.function(*at).unwrap_or("?");
            assert_eq!(function, self.chain[0], "{what}: PC 0x{at:08x}\n{text}");
        }
        match family {
            Family::Riscv => self.check_stack(what, report, text, elf),
            Family::Xtensa => self.check_backtrace(what, report, text, elf),
            Family::Flat => self.check_words(what, report, text, elf),
        }
    }

    fn is_whole(&self) -> bool {
        !matches!(self.name, "recursion" | "ascii-return")
    }

    /// The return addresses lie in the dump, in their order.
    fn check_stack(&self, what: &str, report: &Report, text: &str, elf: &Elf) {
        assert!(!report.stack.is_empty(), "{what}: no stack\n{text}");
        if !self.is_whole() {
            return;
        }
        assert_eq!(report.stack[0].0, report.register("SP"), "{what}");
        let callers = self.chain[1..].iter().chain(&ROOT);
        let link = report.register("RA");
        let words = report.stack.iter().map(|(_, word)| *word);
        let mut words = [link].into_iter().chain(words);
        for caller in callers.filter(|name| !name.starts_with('~')) {
            let caller = caller.trim_start_matches('^');
            // A return address, or where an interrupt came.
            let mut places = words.by_ref().flat_map(|word| [word.wrapping_sub(1), word]);
            let found = places.any(|place| elf.function(place) == Some(caller));
            assert!(found, "{what}: {caller} is not in\n{text}");
        }
    }

    /// The ESP8266 prints no return address: that of a function that calls nothing is in a register
    /// alone, and so the callers are told from the second on.
    fn check_words(&self, what: &str, report: &Report, text: &str, elf: &Elf) {
        if !self.is_whole() {
            return;
        }
        // Software gives up a call deeper than there.
        let known = if matches!(self.reason, Reason::Said(_)) {
            3
        } else {
            2
        };
        let callers = self.chain[known..].iter().chain(&ROOT[..2]);
        let mut words = report.stack.iter().map(|(_, word)| *word);
        for caller in callers.filter(|name| !name.starts_with('~')) {
            let found = words.any(|word| elf.function(word.wrapping_sub(3)) == Some(caller));
            assert!(found, "{what}: {caller} is not in\n{text}");
        }
    }

    fn check_backtrace(&self, what: &str, report: &Report, text: &str, elf: &Elf) {
        let functions = report.backtrace.iter().map(|(pc, _)| elf.function(*pc));
        let mut functions: Vec<&str> = functions.map(|name| name.unwrap_or("?")).collect();
        if self.name == "recursion" {
            assert_eq!(functions, self.chain, "{what}\n{text}");
            assert_eq!(report.mark, "CORRUPTED", "{what}");
            return;
        }
        assert_eq!(report.mark, "", "{what}\n{text}");
        // The program is at the first of its instructions: three bytes before is another function.
        if let (Some(first), true) = (functions.first_mut(), self.chain[0] != "?") {
            let pc = report.backtrace[0].0 + 3;
            *first = elf.function(pc).unwrap_or("?");
        }
        if let Some(caller) = self.chain.get(1).and_then(|name| name.strip_prefix('^')) {
            let link = report.register("A8") & 0x3FFF_FFFF | 0x4000_0000;
            assert_eq!(elf.function(link - 3), Some(caller), "{what}\n{text}");
        }
        let chain = self.chain.iter().filter(|name| !name.starts_with('^'));
        let chain = chain.chain(&ROOT);
        let chain: Vec<&str> = chain.map(|name| name.trim_start_matches('~')).collect();
        assert_eq!(functions, chain, "{what}\n{text}");
        assert!(
            report.backtrace.windows(2).all(|two| two[0].1 <= two[1].1) || self.name == "interrupt",
            "{what}: stack pointers grow\n{text}"
        );
    }
}
