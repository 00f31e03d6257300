//! Which files and which calls count.

use super::list::Kind;

/// Folders and files of ESP-IDF whose messages end or prevent a program.
const SOURCES: &[&str] = &[
    // Panic handlers, watchdogs, sanitizers, start of the program.
    "components/esp_system/",
    "components/esp_common/src/",
    "components/esp32/panic.c",
    "components/esp32/dport_panic_highint_hdl.S",
    "components/esp32/cache_err_int.c",
    "components/esp32/brownout.c",
    "components/esp32/cpu_start.c",
    "components/esp32/task_wdt.c",
    "components/esp32/int_wdt.c",
    "components/esp32/stack_check.c",
    "components/esp_gdbstub/src/",
    "components/xtensa/",
    "components/riscv/",
    // abort() and assert().
    "components/esp_libc/src/abort.c",
    "components/esp_libc/src/assert.c",
    "components/newlib/abort.c",
    "components/newlib/assert.c",
    "components/newlib/src/abort.c",
    "components/newlib/src/assert.c",
    "components/freertos/",
    "components/heap/",
    // Brownout and memory protection.
    "components/esp_hw_support/power_supply/",
    "components/esp_hw_support/port/",
    "components/espcoredump/src/",
    "components/espcoredump/include_core_dump/",
    // What prevents the start.
    "components/bootloader_support/src/",
    "components/bootloader/subproject/main/",
    "components/esp_psram/",
    "components/spi_flash/",
    "components/esp_tee/subproject/main/",
];

/// What lies there and does not count, each with the reason.
const NOT_SOURCES: &[(&str, &str)] = &[
    ("/test", "tests"),
    ("test_apps", "tests"),
    ("host_test", "tests"),
    ("linux", "programs that run on a computer"),
    ("openocd_stub_bins", "code that a debugger uploads"),
    ("fpga_overrides", "for Espressif's own FPGA boards"),
    (
        "/trax.c",
        "tracing: its messages answer a wrong call, and nothing ends",
    ),
    (
        "heap_trace",
        "the report of a tool that the program asked for",
    ),
    (
        "heap_task",
        "the report of a tool that the program asked for",
    ),
    (
        "heap_task_info",
        "the report of a tool that the program asked for",
    ),
    ("gdbstub/src/packet.c", "packets of the debugger's protocol"),
    ("gdbstub_xtensa.c", "packets of the debugger's protocol"),
    ("gdbstub_riscv.c", "packets of the debugger's protocol"),
    ("target_xml.c", "packets of the debugger's protocol"),
    (
        "esp_clk_tree",
        "clocks: answers a wrong call, and nothing ends",
    ),
    (
        "/sar_periph_ctrl.c",
        "analog peripherals: answers a wrong call, and nothing ends",
    ),
    (
        "_rtc_calib",
        "clocks: answers a wrong call, and nothing ends",
    ),
    ("/io_mux.c", "pins: answers a wrong call, and nothing ends"),
    ("esp_private/", "no code"),
    ("esp_hmac", "keys: answers a wrong call, and nothing ends"),
    (
        "/rtc_time.c",
        "clocks: answers a wrong call, and nothing ends",
    ),
    ("dbg_stubs.c", "the protocol of the debugger's stubs"),
];

pub fn is_source(path: &str) -> bool {
    if path.starts_with("components/soc/esp") && path.ends_with("/reset_reasons.h") {
        return true;
    }
    let is_code = [".c", ".S", ".cpp", ".h"]
        .iter()
        .any(|end| path.ends_with(end));
    is_code
        && SOURCES.iter().any(|start| path.starts_with(start))
        && !NOT_SOURCES.iter().any(|(part, _)| path.contains(part))
}

/// How a function that prints takes its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printer {
    /// `(tag, format, ...)`, at the level of errors: a line of its own with a prefix.
    Log,
    /// `(format, ...)` with the prefix of a log line.
    Prefixed,
    /// `(format, ...)`; calls in a row make up lines.
    Format,
    /// `(text)`; calls in a row make up lines.
    Text,
    /// `(number)` in hexadecimal, within a line.
    Hex,
    /// `(number)` in decimal, within a line.
    Decimal,
    /// `(letter)` within a line.
    Letter,
    /// `(text)`: ends the program, and the panic handler prints the text as a line.
    Abort,
}

pub fn printer(function: &str) -> Option<Printer> {
    Some(match function {
        "ESP_LOGE" | "ESP_EARLY_LOGE" | "ESP_DRAM_LOGE" => Printer::Log,
        "FAIL_LOAD" | "ESP_COREDUMP_LOGE" | "ESP_COREDUMP_LOGW" | "ESP_COREDUMP_LOGI" => {
            Printer::Prefixed
        }
        "esp_rom_printf"
        | "ets_printf"
        | "tee_panic_print"
        | "ESP_COREDUMP_PRINT"
        | "MULTI_HEAP_STDERR_PRINTF"
        | "panic_printf" => Printer::Format,
        "panic_print_str" | "panicPutStr" => Printer::Text,
        "panic_print_hex" | "panicPutHex" => Printer::Hex,
        "panic_print_dec" | "panicPutDec" => Printer::Decimal,
        "panic_print_char" | "panicPutChar" => Printer::Letter,
        "esp_system_abort" | "panic_abort" => Printer::Abort,
        _ => return None,
    })
}

/// Tables and variables whose texts are printed as they are, by name.
pub fn table(name: &str) -> Option<Kind> {
    Some(match name {
        "reason" | "pseudo_reason" | "edesc" | "rsn" => Kind::Reason,
        "msg" | "cache_error_msg" => Kind::Line,
        _ if name.starts_with("kasan_fmt") || name.ends_with("abort_msg") => Kind::Line,
        _ => return None,
    })
}

/// Macros that a message begins or ends with, with what stands between.
pub const FRAMED: &[(&str, &str, Option<&str>)] = &[
    ("ERR_STR1", "%s", Some("ERR_STR2")),
    ("ASSERT_STR", "%s %s:%s (%s)", None),
];

/// Functions whose name's end is the message's end.
pub const UBSAN: &str = "__ubsan_handle_";
pub const UBSAN_MESSAGE: &str = "Undefined behavior of type ";

/// Texts that are found and do not count, each with the reason.
const NOT_MESSAGES: &[(&str, &str)] = &[
    ("res", "a gap in the table of causes"),
    ("Reserved", "a gap in the table of causes"),
    (
        "Exception was unhandled.",
        "stands at the end of the line with the reason",
    ),
    (
        "KASAN: kernel-address sanitizer initialized",
        "says that all is well",
    ),
    (
        "ESP_FAULT_ASSERT",
        "of a macro against glitches: never printed by a build of users",
    ),
    (
        "FreeRTOS: FreeRTOS Task",
        "the beginning of a line that is put together at run time",
    ),
    (
        "Unsupported DWARF opcode",
        "within a backtrace, beside what ends it",
    ),
    (
        "Could not allocate memory to add new task statistics",
        "a tool that the program asked for",
    ),
    (
        "chip %s doesn't support reading unique id",
        "answers a call, and nothing ends",
    ),
    (
        "No response from device when trying to retrieve Unique ID",
        "answers a call, and nothing ends",
    ),
];

pub fn is_message(text: &str) -> bool {
    !NOT_MESSAGES.iter().any(|(start, _)| {
        text.trim_start().starts_with(start) && (start.len() > 8 || text == *start)
    })
}
