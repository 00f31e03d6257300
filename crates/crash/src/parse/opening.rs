//! Lines that say what happened, with which a report begins.

use super::esphome;
use super::scan::{address, behind, between, decimal, number};
use crate::Cause;

/// What such a line says, and whether it is whole.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Opening {
    pub cause: Cause,
    pub whole: bool,
}

/// Texts with which something begins, also behind something else on the same line.
const GLUED: [&str; 10] = [
    "Guru Meditation Error",
    "abort() was called at PC",
    "assert failed: ",
    "ESP_ERROR_CHECK failed: ",
    "Soft WDT reset",
    "--------------- CUT HERE FOR EXCEPTION DECODER",
    // What follows in a report.
    "Backtrace:",
    "ELF file SHA256:",
    "Rebooting...",
    ">>>stack>>>",
];

/// Where something of a report begins in a line.
pub(super) fn starts(text: &str) -> impl Iterator<Item = usize> {
    let all = move |mark: &'static str| text.match_indices(mark).map(|(at, _)| at);
    let exception = all("Exception (").filter(move |at| {
        let number = text.get(at + 11..).and_then(decimal);
        number.is_some_and(|(_, rest)| rest == "):")
    });
    // With its log's tag, where there is one: `E (1234) task_wdt: `.
    let watchdog = all("Task watchdog got triggered").map(move |at| {
        let before = text.get(..at).unwrap_or_default();
        let tag = before.ends_with(" task_wdt: ").then(|| before.rfind("E ("));
        tag.flatten().unwrap_or(at)
    });
    GLUED
        .iter()
        .flat_map(move |mark| all(mark))
        .chain(exception)
        .chain(watchdog)
}

const BROWNOUT: &str = "Brownout detector was triggered";

/// What a line says of why the program ends.
pub(super) fn read(text: &str) -> Option<Opening> {
    guru(text)
        .or_else(|| kept(text))
        .or_else(|| abort(text))
        .or_else(|| assert(text))
        .or_else(|| esp_error(text))
        .or_else(|| task_watchdog(text))
        .or_else(|| brownout(text))
        .or_else(|| rust(text))
        .or_else(|| esp8266(text))
}

fn guru(text: &str) -> Option<Opening> {
    let rest = behind(text, "Guru Meditation Error")?;
    if let Some(reason) = between(rest, " of type ", " occurred on core") {
        // ESP-IDF before v3.
        let core = behind(rest, "occurred on core").and_then(core_number);
        return Some(Opening {
            cause: Cause::Guru {
                core,
                reason: Some(reason.to_owned()),
            },
            whole: true,
        });
    }
    let core = behind(rest, ": Core").and_then(core_number);
    // A reason can have brackets of its own, and is cut when they do not close.
    let reason = behind(rest, "panic'ed (").and_then(|rest| {
        let closed = rest.split_once("). ").map(|(reason, _)| reason);
        let end = || rest.trim_end().trim_end_matches('.').strip_suffix(')');
        closed
            .or_else(end)
            .or_else(|| rest.split_once(").").map(|(reason, _)| reason))
    });
    Some(Opening {
        whole: reason.is_some(),
        cause: Cause::Guru {
            core,
            reason: reason.map(str::to_owned),
        },
    })
}

/// What ESPHome kept; its next line says what happened.
fn kept(text: &str) -> Option<Opening> {
    text.contains(esphome::OPENING).then_some(Opening {
        cause: Cause::Guru {
            core: None,
            reason: None,
        },
        whole: true,
    })
}

fn core_number(text: &str) -> Option<u8> {
    let (number, _) = decimal(text.trim_start_matches(' '))?;
    u8::try_from(number).ok()
}

fn abort(text: &str) -> Option<Opening> {
    let rest = behind(text, "abort() was called at PC")?.trim_start();
    let pc = address(rest);
    let core = pc.and_then(|(_, rest)| core_number(rest.trim_start().strip_prefix("on core")?));
    Some(Opening {
        cause: Cause::Abort {
            core,
            pc: pc.map(|(pc, _)| pc),
        },
        whole: pc.is_some(),
    })
}

fn assert(text: &str) -> Option<Opening> {
    let (function, file, line, expression) = if let Some(rest) = behind(text, "assert failed: ") {
        if rest.starts_with("0x") {
            let pc = address(rest.trim_end()).map(|(pc, _)| pc);
            return Some(Opening {
                cause: Cause::Assert {
                    function: None,
                    file: None,
                    line: None,
                    expression: None,
                    pc,
                },
                whole: pc.is_some(),
            });
        }
        // assert failed: FUNCTION FILE:LINE (EXPRESSION)
        let expression = rest
            .split_once(" (")
            .and_then(|(_, expression)| expression.trim_end().strip_suffix(')'));
        let head = rest.split_once(" (").map(|(head, _)| head);
        let (place, line) = head.and_then(|head| head.rsplit_once(':')).unzip();
        let (function, file) = match place {
            Some(place) => place.split_once(' ').unzip(),
            None => (rest.split_once(' ').map(|(function, _)| function), None),
        };
        (function, file, line, expression)
    } else if let Some(rest) = behind(text, "Assert failed in ") {
        // The secure part: Assert failed in FUNCTION, FILE:LINE (EXPRESSION)
        let (head, expression) = rest.split_once(" (").unzip();
        let (function, place) = head.and_then(|head| head.split_once(", ")).unzip();
        let (file, line) = place.and_then(|place: &str| place.rsplit_once(':')).unzip();
        let expression = expression.and_then(|text: &str| text.trim_end().strip_suffix(')'));
        (function, file, line, expression)
    } else {
        // ESP-IDF before v4.3: assertion "E" failed: file "F", line N, function: FN
        let rest = behind(text, "assertion \"")?;
        let (expression, rest) = rest.split_once("\" failed: file \"")?;
        let (file, rest) = rest.split_once('"').unzip();
        let line = rest.and_then(|rest: &str| behind(rest, "line "));
        let line = line.map(|line| line.split([',', ' ']).next().unwrap_or_default());
        let function = rest
            .and_then(|rest| behind(rest, "function: "))
            .map(str::trim_end);
        (function, file, line, Some(expression))
    };
    let known = |text: Option<&str>| {
        text.filter(|text| !text.is_empty() && *text != "<cached disabled>")
            .map(str::to_owned)
    };
    let line: Option<u32> = line.and_then(|line| line.trim().parse().ok());
    Some(Opening {
        whole: line.is_some() && expression.is_some(),
        cause: Cause::Assert {
            function: known(function),
            file: known(file),
            line,
            expression: known(expression),
            pc: None,
        },
    })
}

fn esp_error(text: &str) -> Option<Opening> {
    let rest = behind(text, "ESP_ERROR_CHECK failed: esp_err_t ")?;
    let code = number(rest);
    Some(Opening {
        cause: Cause::EspError {
            code: code.map(|(code, _)| code),
            name: code
                .and_then(|(_, rest)| between(rest, "(", ")"))
                .map(str::to_owned),
            pc: behind(rest, " at ").and_then(address).map(|(pc, _)| pc),
            file: None,
            line: None,
            function: None,
            expression: None,
        },
        whole: code.is_some(),
    })
}

/// The lines behind that of `ESP_ERROR_CHECK`; whether this was one.
pub(super) fn esp_error_detail(text: &str, cause: &mut Cause) -> bool {
    let Cause::EspError {
        file,
        line,
        function,
        expression,
        ..
    } = cause
    else {
        return false;
    };
    if let Some(rest) = text.strip_prefix("file: \"") {
        if let Some((name, rest)) = rest.split_once("\" line ") {
            *file = Some(name.to_owned());
            *line = rest.trim().parse().ok();
        }
    } else if let Some(name) = text.strip_prefix("func: ") {
        *function = Some(name.trim().to_owned());
    } else if let Some(text) = text.strip_prefix("expression: ") {
        *expression = Some(text.trim().to_owned());
    } else {
        return false;
    }
    true
}

fn task_watchdog(text: &str) -> Option<Opening> {
    text.contains("Task watchdog got triggered")
        .then(|| Opening {
            cause: Cause::TaskWatchdog {
                late: Vec::new(),
                running: Vec::new(),
                aborted: false,
            },
            whole: true,
        })
}

/// The line, also when the chip died while it was printed: eight characters are enough.
fn brownout(text: &str) -> Option<Opening> {
    let at = text.rfind("Brownout")?;
    let rest = text.get(at..)?.trim_end();
    let whole = rest.starts_with(BROWNOUT);
    // `reset reason: Brownout` is another thing.
    let cut = BROWNOUT.starts_with(rest) && (at == 0 || rest.len() > "Brownout ".len());
    (whole || cut).then_some(Opening {
        cause: Cause::Brownout,
        whole,
    })
}

fn rust(text: &str) -> Option<Opening> {
    let opening = |cause| Opening { cause, whole: true };
    if let Some(place) = between(text, "!! A panic occured in '", "'") {
        let rest = behind(text, ", at line ").and_then(decimal);
        let column = rest.and_then(|(_, rest)| decimal(behind(rest, "column ")?));
        return Some(opening(Cause::RustPanic {
            message: None,
            file: Some(place.to_owned()),
            line: rest.map(|(line, _)| line),
            column: column.map(|(column, _)| column),
        }));
    }
    if text.contains("===== PANIC =====") || text.contains("!! A panic occured at") {
        return Some(opening(Cause::RustPanic {
            message: None,
            file: None,
            line: None,
            column: None,
        }));
    }
    if let Some(rest) =
        behind(text, "Exception occurred ").or_else(|| behind(text, "Exception occured "))
    {
        let (core, name) = rest.split_once('\'')?;
        return Some(opening(Cause::RustException {
            name: name.split('\'').next()?.to_owned(),
            core: core.trim().strip_prefix("on ").map(str::to_owned),
        }));
    }
    let exception = text.strip_prefix("panicked at '").unwrap_or(text);
    if let Some(rest) = exception.strip_prefix("Exception '") {
        let (name, rest) = rest.split_once('\'')?;
        rest.starts_with(" mepc=").then_some(())?;
        return Some(opening(Cause::RustException {
            name: name.to_owned(),
            core: None,
        }));
    }
    if let Some(rest) = behind(text, "Stack overflow detected at 0x") {
        rest.contains(" called by 0x").then_some(())?;
        return Some(opening(Cause::RustException {
            name: "Stack overflow".to_owned(),
            core: None,
        }));
    }
    panicked(text).map(opening)
}

/// `panicked at FILE:LINE:COLUMN:`, before Rust 1.73 `panicked at 'MESSAGE', FILE:LINE:COLUMN`.
fn panicked(text: &str) -> Option<Cause> {
    let rest = behind(text, "panicked at ")?;
    let old = rest
        .strip_prefix('\'')
        .and_then(|rest| rest.rsplit_once("', "));
    let (mut message, place) = match old {
        Some((message, place)) => (Some(message), place),
        None => (None, rest),
    };
    // What defmt prints has the newline as two characters.
    let place = match place.split_once(":\\n") {
        Some((place, text)) => {
            message = Some(text.trim_end_matches('"'));
            place
        }
        None => place,
    };
    let mut parts = place.trim_end().trim_end_matches(':').rsplitn(3, ':');
    let column: u32 = parts.next()?.parse().ok()?;
    let line: u32 = parts.next()?.parse().ok()?;
    Some(Cause::RustPanic {
        message: message.map(str::to_owned),
        file: Some(parts.next()?.to_owned()),
        line: Some(line),
        column: Some(column),
    })
}

fn esp8266(text: &str) -> Option<Opening> {
    let opening = |cause, whole| Some(Opening { cause, whole });
    let numbered = text
        .strip_prefix("Exception (")
        .or_else(|| text.strip_prefix("Fatal exception ("))
        .or_else(|| text.strip_prefix("Fatal exception "));
    if let Some((exception, rest)) = numbered.and_then(decimal) {
        let closed = rest.starts_with([')', '(', ':']);
        let exception = Some(exception).filter(|_| closed);
        return opening(Cause::Esp8266 { exception }, closed);
    }
    // What decoders make of it, and what keeps it for later.
    let told = text
        .strip_prefix("Exception ")
        .and_then(decimal)
        .filter(|(_, rest)| rest.starts_with(": "))
        .or_else(|| decimal(text.strip_prefix("Exception cause: ")?));
    if let Some((exception, _)) = told.filter(|(exception, _)| *exception < 64) {
        let exception = Some(exception);
        return opening(Cause::Esp8266 { exception }, true);
    }
    let software = [
        "Soft WDT reset",
        "Abort called",
        "Unhandled C++ exception: ",
        "User exception (panic/abort/assert)",
        "Stack smashing detected.",
        "Stack overflow detected.",
        "PANIC: Stack overrun",
    ];
    let panic = || {
        let (_, line) = text.strip_prefix("Panic ")?.split_once(':')?;
        decimal(line)?.1.starts_with(' ').then_some(())
    };
    if software.iter().any(|start| text.starts_with(start)) || panic().is_some() {
        let text = text.to_owned();
        return opening(Cause::Esp8266Software { text }, true);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Cause {
        let opening = read(text).unwrap_or_else(|| panic!("{text} opens nothing"));
        assert!(opening.whole && super::super::marks::any(text), "{text}");
        opening.cause
    }

    fn guru(core: u8, reason: &str) -> Cause {
        Cause::Guru {
            core: Some(core),
            reason: Some(reason.to_owned()),
        }
    }

    #[test]
    fn guru_lines_of_every_age_are_read() {
        let reason = "Interrupt wdt timeout on CPU1";
        for line in [
            "Guru Meditation Error: Core  1 panic'ed (Interrupt wdt timeout on CPU1). ",
            "Guru Meditation Error: Core 1 panic'ed (Interrupt wdt timeout on CPU1)",
            "x: 3Guru Meditation Error: Core  1 panic'ed (Interrupt wdt timeout on CPU1).",
            "Guru Meditation Error: Core 1 panic'ed (Interrupt wdt timeout on CPU1). Exception was unhandled.",
            "Guru Meditation Error of type Interrupt wdt timeout on CPU1 occurred on core  1. Exception was unhandled.",
        ] {
            assert_eq!(whole(line), guru(1, reason), "{line}");
        }
    }

    #[test]
    fn a_cut_reason_is_none() {
        let line = "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception";
        let end = line.find("). ").expect("it is there");
        for length in "Guru Meditation Error".len()..=end {
            let opening = read(&line[..length]).expect("it opens");
            assert!(!opening.whole, "{length}");
            assert!(matches!(opening.cause, Cause::Guru { reason: None, .. }));
        }
    }

    #[test]
    fn asserts_of_every_age_are_read() {
        let expected = Cause::Assert {
            function: Some("vTaskX".into()),
            file: Some("tasks.c".into()),
            line: Some(42),
            expression: Some("x != (y)".into()),
            pc: None,
        };
        for line in [
            "assert failed: vTaskX tasks.c:42 (x != (y))",
            "assertion \"x != (y)\" failed: file \"tasks.c\", line 42, function: vTaskX",
            "Assert failed in vTaskX, tasks.c:42 (x != (y))",
        ] {
            assert_eq!(whole(line), expected, "{line}");
        }
        let silent = whole("assert failed: 0x42001234");
        assert!(matches!(
            silent,
            Cause::Assert {
                pc: Some(0x4200_1234),
                ..
            }
        ));
        let cached =
            whole("assert failed: <cached disabled> <cached disabled>:7 (<cached disabled>)");
        assert!(matches!(
            cached,
            Cause::Assert {
                line: Some(7),
                expression: None,
                ..
            }
        ));
        let cut = read("assert failed: vTaskX tas").expect("it opens");
        assert!(!cut.whole && matches!(cut.cause, Cause::Assert { file: None, .. }));
    }

    #[test]
    fn a_brownout_is_told_by_eight_characters() {
        assert_eq!(
            whole("E BOD: Brownout detector was triggered"),
            Cause::Brownout
        );
        let cut = read("Brownout detector was trigg").expect("it opens");
        assert!(!cut.whole && cut.cause == Cause::Brownout);
        assert_eq!(read("Brownout detector is enabled"), None);
        assert_eq!(read("Brown"), None);
        assert_eq!(read("reset reason: Brownout"), None);
        assert!(read("Brownout").is_some());
    }

    #[test]
    fn rust_panics_of_every_age_are_read() {
        for (line, text) in [
            ("panicked at src/main.rs:25:5:", None),
            (
                "thread 'main' panicked at 'boo', src/main.rs:25:5",
                Some("boo"),
            ),
            (
                "!! A panic occured in 'src/main.rs', at line 25, column 5:",
                None,
            ),
            ("ERROR \"panicked at src/main.rs:25:5:\\nboo\"", Some("boo")),
        ] {
            let expected = Cause::RustPanic {
                message: text.map(str::to_owned),
                file: Some("src/main.rs".into()),
                line: Some(25),
                column: Some(5),
            };
            assert_eq!(whole(line), expected, "{line}");
        }
        assert_eq!(read("nobody panicked at the sight"), None);
        let exception = Cause::RustException {
            name: "LoadProhibited".into(),
            core: Some("ProCpu".into()),
        };
        assert_eq!(
            whole("Exception occurred on ProCpu 'LoadProhibited'"),
            exception
        );
        for line in [
            "Exception 'Load access fault' mepc=0x42000000, mtval=0x00000000",
            "panicked at 'Exception 'Load access fault' mepc=420ef8f0, mtval=ffd0000f",
        ] {
            let name = "Load access fault".to_owned();
            assert_eq!(whole(line), Cause::RustException { name, core: None });
        }
    }

    #[test]
    fn esp8266_openings_are_read() {
        for line in [
            "Exception (28):",
            "Fatal exception 28(LoadProhibitedCause):",
            "Fatal exception (28):",
            "Exception 28: LoadProhibited: A load referenced a page",
            "Exception cause: 28",
        ] {
            assert_eq!(
                whole(line),
                Cause::Esp8266 {
                    exception: Some(28)
                },
                "{line}"
            );
        }
        assert!(read("Panic core_esp8266_main.cpp:133 __yield").is_some());
        assert!(read("Panic at the disco").is_none());
        assert_eq!(
            read("Exception (2").map(|opening| opening.cause),
            Some(Cause::Esp8266 { exception: None })
        );
    }

    #[test]
    fn error_checks_are_read_with_what_follows() {
        let mut cause =
            whole("ESP_ERROR_CHECK failed: esp_err_t 0x103 (ESP_ERR_INVALID_STATE) at 0x42001234");
        for line in [
            "file: \"./main/a.c\" line 12",
            "func: app_main",
            "expression: init()",
        ] {
            assert!(esp_error_detail(line, &mut cause));
        }
        assert_eq!(
            cause,
            Cause::EspError {
                code: Some(0x103),
                name: Some("ESP_ERR_INVALID_STATE".into()),
                pc: Some(0x4200_1234),
                file: Some("./main/a.c".into()),
                line: Some(12),
                function: Some("app_main".into()),
                expression: Some("init()".into()),
            }
        );
    }
}
