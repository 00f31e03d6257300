//! Output, errors and exit code of every command, as a user sees them, against chips in this
//! process.
//!
//! `TRYCMD=overwrite cargo test -p guru --test transcripts` writes the transcripts anew. What
//! depends on how the loader divides its work, and not on what it does, is left open in them.

#![cfg(unix)]

use std::fs;
use std::path::Path;

#[test]
fn commands_say_what_the_transcripts_say() {
    trycmd::TestCases::new()
        .env("HOME", "/nonexistent")
        .env("CARGO_HOME", "/nonexistent/.cargo")
        .env("ARDUINO_DIRECTORIES_DATA", "/nonexistent/.arduino15")
        .env("PLATFORMIO_CORE_DIR", "/nonexistent/.platformio")
        .env("NO_COLOR", "1")
        .case("tests/cmd/*.md")
        .run();
    if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
        redact_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd"));
    }
}

/// Lines that may be there any number of times.
const PROGRESS: [&str; 7] = [
    "Writing at ",
    "Reading from ",
    "  writing 0x",
    "  reading 0x",
    "  erasing 0x",
    "  comparing 0x",
    "{\"event\":\"progress\"",
];

/// What stands between these is open.
const OPEN: [(&str, &str); 13] = [
    ("Chip info  ", ""),
    ("Nonce      ", ""),
    ("done, after ", " s"),
    ("Baud rate  ", ""),
    ("ing-baud\",\"baud\":", "}"),
    ("baud-changed\",\"baud\":", "}"),
    (" in ", " kbit/s)"),
    ("erased in ", " s"),
    ("successfully in ", " seconds."),
    ("\"seconds\":", "}"),
    ("\"sent\":", ","),
    ("takes about ", "s"),
    (" bytes (", " compressed)"),
];

fn redact_all(folder: &Path) {
    for entry in fs::read_dir(folder).expect("the transcripts are there") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).expect("a transcript is text");
            fs::write(&path, redact(&text)).expect("a transcript can be written");
        }
    }
}

fn redact(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if PROGRESS.iter().any(|start| line.starts_with(start)) {
            if lines.last().is_none_or(|last| last != "...") {
                lines.push("...".to_owned());
            }
        } else if line.starts_with("$ ") {
            lines.push(line.to_owned());
        } else {
            lines.push(OPEN.iter().fold(line.to_owned(), |line, (start, end)| {
                open(&line, start, end)
            }));
        }
    }
    lines.join("\n") + "\n"
}

/// Replaces what stands between two texts; an empty end is the end of the line.
fn open(line: &str, start: &str, end: &str) -> String {
    let Some((before, rest)) = line.split_once(start) else {
        return line.to_owned();
    };
    let after = match end {
        "" => "",
        end => match rest.find(end) {
            Some(at) => &rest[at..],
            None => return line.to_owned(),
        },
    };
    format!("{before}{start}[..]{after}")
}

#[test]
fn what_depends_on_the_division_of_work_is_left_open() {
    assert_eq!(
        redact("  writing 0x1: 2 %\n  writing 0x2: 4 %\n  wrote 9 bytes in 0.1 s (2.0 kbit/s)\n"),
        "...\n  wrote 9 bytes in [..] kbit/s)\n"
    );
    assert_eq!(redact("$ guru a in b kbit/s)\n"), "$ guru a in b kbit/s)\n");
    assert_eq!(redact("  Baud rate  1\n"), "  Baud rate  [..]\n");
}
