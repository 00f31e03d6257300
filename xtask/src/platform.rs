//! Where the sources may know which system they run on.

use std::fs;
use std::path::{Path, PathBuf};

/// Files that call a system, or a crate for one system.
const CALL: &[&str] = &[
    "crates/cli/src/terminal.rs",
    "crates/link/src/ports/enumerated.rs",
    "crates/link/src/ports/linux.rs",
    "crates/link/src/pty.rs",
    "crates/link/src/serial/holder.rs",
    "crates/link/src/serial/unix.rs",
    "crates/link/src/serial/windows.rs",
    "crates/sim/src/flash/positioned.rs",
    "crates/sim/src/server/pty.rs",
];

/// Files that choose between those, or between processors, and call nothing themselves.
const CHOOSE: &[&str] = &[
    "crates/image/src/sha256.rs",
    "crates/link/src/lib.rs",
    "crates/link/src/open.rs",
    "crates/link/src/ports.rs",
    "crates/link/src/serial.rs",
    "crates/sim/src/server/mod.rs",
    "crates/sim/src/server/pump.rs",
];

/// What calls a system.
const CALLS: &[&str] = &[
    "std::os::",
    "libc::",
    "rustix::",
    "nix::",
    "windows_sys::",
    "winapi::",
    "serialport::",
    "/proc/",
    "/sys/",
];

/// What compiles a part for some systems only.
const CHOICES: &[&str] = &[
    "cfg(unix",
    "cfg(windows",
    "cfg(not(unix",
    "cfg(not(windows",
    "cfg(any(unix",
    "cfg(any(windows",
    "cfg(target_os",
    "cfg(target_family",
    "cfg(not(any(",
    "cfg(not(target",
    "cfg(all(unix",
    "cfg(any(target",
];

/// Sources of the crates, without their tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut waiting: Vec<PathBuf> = fs::read_dir(root.join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("src"))
        .collect();
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let inside = fs::read_dir(&path).unwrap();
            waiting.extend(inside.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            found.push((name.replace('\\', "/"), code.to_owned()));
        }
    }
    assert!(found.len() > 100, "only {} sources", found.len());
    found
}

fn misplaced(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut misplaced = Vec::new();
    for (name, code) in sources() {
        if allowed.contains(&name.as_str()) {
            continue;
        }
        for (number, line) in (1..).zip(code.lines()) {
            let line = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| line.contains(word)) {
                misplaced.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    misplaced
}

#[test]
fn only_the_platform_files_call_a_system() {
    let found = misplaced(CALLS, CALL);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_named_files_choose_between_systems() {
    let found = misplaced(CHOICES, &[CALL, CHOOSE].concat());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_named_file_is_there_and_does_what_it_is_named_for() {
    let sources = sources();
    for (names, words) in [(CALL, CALLS), (CHOOSE, CHOICES)] {
        for name in names {
            let code = sources.iter().find(|(found, _)| found == name);
            let (_, code) = code.unwrap_or_else(|| panic!("{name} is missing"));
            assert!(words.iter().any(|word| code.contains(word)), "{name}");
        }
    }
}
