//! What ESPHome prints of a crash that it kept over the restart (its `crash_handler.cpp`, one for ESP-IDF and
//! one for the ESP8266).

use super::scan::{address, behind, between, decimal};
use crate::Cause;

/// With this such a report begins.
pub(super) const OPENING: &str = "*** CRASH DETECTED ON PREVIOUS BOOT ***";

/// A line of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'t> {
    /// What happened; the text that ESP-IDF has for it, where there is one.
    Reason(Cause, Option<&'t str>),
    /// The core that crashed.
    Core(u8),
    /// Where it crashed.
    Pc(u32),
    /// A caller; not a proven one, when it is a word of the stack that looks like one.
    Caller(u32, bool),
    /// The advice to use addr2line.
    Advice,
}

pub(super) fn line(text: &str) -> Option<Line<'_>> {
    // `[E][esp32.crash:224]: `, with colours and times taken off already.
    let body = text.split_once("]: ").map_or(text, |(_, body)| body).trim();
    if let Some(reason) = body.strip_prefix("Reason: ") {
        let (cause, reason) = self::reason(reason);
        return Some(Line::Reason(cause, reason));
    }
    if let Some(core) = body.strip_prefix("Crashed core: ") {
        let (core, _) = decimal(core)?;
        return Some(Line::Core(u8::try_from(core).ok()?));
    }
    if let Some(rest) = body.strip_prefix("PC: ") {
        return Some(Line::Pc(address(rest.trim_start())?.0));
    }
    if let Some((_, rest)) = body.strip_prefix("BT").and_then(decimal) {
        let (caller, rest) = address(rest.strip_prefix(": ")?)?;
        return Some(Line::Caller(caller, rest.trim() == "(backtrace)"));
    }
    body.starts_with("Use: addr2line").then_some(Line::Advice)
}

/// `KIND - TEXT`, or the kind alone.
fn reason(text: &str) -> (Cause, Option<&str>) {
    let (kind, told) = match text.split_once(" - ") {
        Some((kind, told)) => (kind, Some(told)),
        None => (text, None),
    };
    let exception = between(text, "(exccause=", ")").and_then(decimal);
    let software = || Cause::Esp8266Software {
        text: kind.to_owned(),
    };
    match kind {
        "Abort" => (
            Cause::Abort {
                core: None,
                pc: None,
            },
            None,
        ),
        "Task wdt" => {
            let cause = Cause::TaskWatchdog {
                late: Vec::new(),
                running: Vec::new(),
                aborted: true,
            };
            (cause, None)
        }
        "Exception" => {
            let exception = exception.map(|(number, _)| number);
            (Cause::Esp8266 { exception }, None)
        }
        "Soft WDT" | "Hardware WDT" => (software(), None),
        _ => {
            let told = told.unwrap_or(kind);
            let known = !told.starts_with("Unknown");
            let reason = known.then_some(told);
            let cause = Cause::Guru {
                core: behind(told, "timeout on CPU")
                    .and_then(decimal)
                    .and_then(|(core, _)| u8::try_from(core).ok()),
                reason: reason.map(str::to_owned),
            };
            (cause, reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_both_chips_are_read() {
        let guru = |core, reason: &str| Cause::Guru {
            core,
            reason: Some(reason.to_owned()),
        };
        let watchdog = "Interrupt wdt timeout on CPU1";
        for (text, expected) in [
            (
                "[E][esp32.crash:224]:   Reason: Fault - StoreProhibited",
                Line::Reason(guru(None, "StoreProhibited"), Some("StoreProhibited")),
            ),
            (
                "  Reason: Interrupt wdt - Interrupt wdt timeout on CPU1",
                Line::Reason(guru(Some(1), watchdog), Some(watchdog)),
            ),
            (
                "[E][esp8266:186]:   Reason: Exception - LoadProhibit (exccause=28)",
                Line::Reason(
                    Cause::Esp8266 {
                        exception: Some(28),
                    },
                    None,
                ),
            ),
            ("Crashed core: 1", Line::Core(1)),
            ("  PC:  0x4011AD40  (fault location)", Line::Pc(0x4011_ad40)),
            ("[E][esp8266:191]:   PC: 0x40253C86", Line::Pc(0x4025_3c86)),
            (
                "  BT0: 0x4011AD3D  (backtrace)",
                Line::Caller(0x4011_ad3d, true),
            ),
            (
                "  BT12: 0x4201AD77  (stack scan)",
                Line::Caller(0x4201_ad77, false),
            ),
            ("  BT1: 0x40259D89", Line::Caller(0x4025_9d89, false)),
        ] {
            assert_eq!(line(text), Some(expected), "{text}");
        }
        let unknown = Cause::Guru {
            core: None,
            reason: None,
        };
        assert_eq!(
            line("Reason: Fault - Unknown"),
            Some(Line::Reason(unknown, None))
        );
        for text in ["BT0: 0x4011AD", "PC: nowhere", "Reason", "BTx: 0x40000000"] {
            assert_eq!(line(text), None, "{text}");
        }
    }
}
