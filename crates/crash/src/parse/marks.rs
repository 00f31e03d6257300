//! A quick look at a line: most have nothing of a report or a banner in them.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// What lines have that begin a report or a banner: at least one of these. The other files of this folder
/// say what each line has; the tests there go through [`any`].
const MARKS: [&str; 34] = [
    "CRASH DETECTED",
    "Guru Meditation Error",
    "abort() was called",
    "assert",
    "Assert",
    "ESP_ERROR_CHECK",
    "Task watchdog",
    "Brownout",
    "A panic occured",
    "= PANIC =",
    "Exception",
    "Stack overflow detected",
    "panicked at",
    "exception",
    "Soft WDT reset",
    "Abort called",
    "Stack smashing detected",
    "PANIC:",
    "Panic ",
    "-ROM:",
    "ets ",
    "rst:",
    "Saved PC:",
    "Build:",
    "register dump:",
    "Backtrace:",
    ">>>stack>>>",
    "ELF file SHA256",
    "entry 0x",
    "SPIWP:",
    "load",
    ": 0x",
    ":0x",
    "=0x",
];

static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(MARKS).ok());

/// Whether there can be something in the line.
pub(super) fn any(text: &str) -> bool {
    FINDER.as_ref().is_none_or(|finder| finder.is_match(text))
}
