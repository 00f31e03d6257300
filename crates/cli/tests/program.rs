//! The program as a process: signals, pipes, names, and a simulated chip that another process
//! talks to.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it should be"
)]

#[path = "program/boards.rs"]
mod boards;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("guru-program-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn guru(&self, arguments: &[&str]) -> Command {
        self.program(Path::new(env!("CARGO_BIN_EXE_guru")), arguments)
    }

    fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.0)
            .env("HOME", &self.0)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn file(&self, name: &str, contents: &[u8]) {
        fs::write(self.0.join(name), contents).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Presses Ctrl-C.
fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let status = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(status.success());
}

/// Reads lines until one has the text.
fn wait_for(output: &mut impl BufRead, part: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "no line with '{part}'"
        );
        if line.contains(part) {
            return line;
        }
    }
}

/// Starts a program, presses Ctrl-C when a line has the text, and waits for its end.
fn interrupted(mut command: Command, part: &str) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    wait_for(&mut stdout, part);
    interrupt(&child);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stdout = rest;
    output
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

#[test]
fn an_old_name_is_an_old_command_line() {
    let folder = Folder::new("name");
    for name in ["esptool", "esptool.py"] {
        let path = folder.0.join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_guru"), &path).unwrap();
        let output = folder.program(&path, &["version"]).output().unwrap();
        assert!(output.status.success());
        assert!(text(&output.stdout).starts_with("esptool v5.6.0"));
        assert!(text(&output.stdout).ends_with("\n5.6.0\n"));
    }
}

#[test]
fn ctrl_c_in_a_write_says_what_may_be_half_written() {
    let folder = Folder::new("ctrl-c");
    folder.file("noise.bin", &noise(300_000));
    for (name, code, part) in [
        (&[][..], 130, "may be partly erased or written"),
        (
            &["esptool", "--no-stub"][..],
            2,
            "KeyboardInterrupt: Run cancelled by user.",
        ),
    ] {
        let mut arguments = name.to_vec();
        arguments.extend([
            "--port",
            "sim://esp32c3?real",
            "write-flash",
            "0x10000",
            "noise.bin",
        ]);
        let output = interrupted(folder.guru(&arguments), "riting");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(part), "{errors}");
        assert!(errors.contains("0x00010000 to 0x"), "{errors}");
        assert!(errors.contains("still in its loader"), "{errors}");
    }
}

#[test]
fn an_interrupted_dump_leaves_nothing_and_the_old_file_as_it_was() {
    let folder = Folder::new("dump");
    folder.file("old.bin", b"old");
    for (file, port) in [
        ("new.bin", "sim://esp32c3?real"),
        ("old.bin", "sim://esp32?real"),
    ] {
        let arguments = ["dump-mem", "--port", port, "0x3ffb0000", "256k", file];
        let output = interrupted(folder.guru(&arguments), " %");
        assert_eq!(output.status.code(), Some(130));
        assert!(!folder.has(&format!("{file}.part")));
    }
    assert!(!folder.has("new.bin"));
    assert_eq!(folder.read("old.bin"), b"old");
}

#[test]
fn ctrl_c_ends_a_monitor_well_unless_something_is_waited_for() {
    let folder = Folder::new("monitor");
    folder.file("ram.bin", include_bytes!("cmd/memory.in/ram.bin"));
    let port = "sim://esp32c3?real";
    for (options, code) in [
        (&["--monitor"][..], 0),
        (&["--monitor-until", "bye"][..], 130),
    ] {
        let mut arguments = vec!["load-ram", "--port", port, "ram.bin"];
        arguments.extend(options);
        let output = interrupted(folder.guru(&arguments), "Hello");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    }
}

/// Loads a program that asks for a letter, and fails as that says.
fn crash(folder: &Folder, port: &str, options: &[&str]) -> Command {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/crash/esp32c3.bin");
    let mut command = folder.guru(&["load-ram", "--quiet", "--port", port]);
    command.arg(image).args(options);
    command
}

#[test]
fn what_is_piped_in_goes_to_the_program_that_asks_for_it() {
    let folder = Folder::new("piped");
    // Behind the end of the pipe its output is shown on; a pipe that stays open holds up nothing.
    for stays in [false, true] {
        let options = ["--monitor-until", "Rebooting..."];
        let mut command = crash(&folder, "sim://esp32c3", &options);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"b").unwrap();
        let open = stays.then_some(stdin);
        let output = child.wait_with_output().unwrap();
        drop(open);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("Which? null-member"), "{said}");
        assert!(said.contains("MTVAL   : 0x00000024"), "{said}");
    }
}

#[test]
fn who_reads_the_question_first_can_answer_it_then() {
    let folder = Folder::new("asked");
    let mut command = crash(&folder, "sim://esp32c3?real", &["--monitor"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stdin = child.stdin.take().unwrap();
    let mut question = Vec::new();
    stdout.read_until(b'?', &mut question).unwrap();
    stdin.write_all(b"h").unwrap();
    wait_for(&mut stdout, "Illegal instruction");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_terminal_gives_its_keys_to_the_program_and_is_as_before_at_every_end() {
    let folder = Folder::new("keys");
    for ends in ["Ctrl-C", "two Ctrl-C", "the text", "an error"] {
        let terminal = Terminal::open();
        let before = terminal.modes();
        let options: &[&str] = match ends {
            "the text" => &["--monitor-until", "Rebooting..."],
            "an error" => &["--monitor-until", "never", "--monitor-for", "1"],
            _ => &["--monitor"],
        };
        let mut command = crash(&folder, "sim://esp32c3?real", options);
        let mut child = command.stdin(terminal.slave()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        if ends != "an error" {
            let mut question = Vec::new();
            stdout.read_until(b'?', &mut question).unwrap();
            let keys = terminal.modes();
            let of_lines = LocalModes::ECHO | LocalModes::ICANON;
            assert!(!keys.intersects(of_lines), "{ends}: {keys:?}");
            assert!(keys.contains(LocalModes::ISIG), "{ends}: Ctrl-C");
            terminal.press(b"b");
            wait_for(&mut stdout, "MTVAL   : 0x00000024");
        }
        for _ in 0..usize::from(ends == "Ctrl-C") + 2 * usize::from(ends == "two Ctrl-C") {
            interrupt(&child);
        }
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        let status = child.wait().unwrap();
        let code = if ends == "an error" { 3 } else { 0 };
        assert!(
            status.code() == Some(code) || ends == "two Ctrl-C",
            "{ends}: {status}"
        );
        assert_eq!(terminal.modes(), before, "{ends}");
    }
}

/// A terminal with somebody at it.
struct Terminal(File);

impl Terminal {
    fn open() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        Self(master.into())
    }

    /// The end that a program has.
    fn slave(&self) -> File {
        let path = ptsname(&self.0, Vec::new()).unwrap().into_string().unwrap();
        let flags = OFlags::NOCTTY.bits() as i32;
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)
            .unwrap()
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.0).unwrap().local_modes
    }

    fn press(&self, keys: &[u8]) {
        (&self.0).write_all(keys).unwrap();
    }
}

#[test]
fn an_interrupted_read_leaves_no_file_that_looks_complete_and_goes_on_later() {
    let folder = Folder::new("resume");
    let contents = noise(200_000);
    folder.file("noise.bin", &contents);
    let write = [
        "write-flash",
        "--port",
        "sim://esp32c3?flash=f.bin",
        "0",
        "noise.bin",
    ];
    assert!(folder.guru(&write).output().unwrap().status.success());
    let read = |port| {
        let arguments = [
            "read-flash",
            "--no-stub",
            "--port",
            port,
            "0",
            "200000",
            "out.bin",
        ];
        folder.guru(&arguments)
    };
    let output = interrupted(read("sim://esp32c3?flash=f.bin&real"), "50 %");
    assert_eq!(output.status.code(), Some(130));
    assert!(!folder.has("out.bin"));
    assert!(folder.has("out.bin.part"));
    let output = read("sim://esp32c3?flash=f.bin").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("from the interrupted read"),
        "{}",
        text(&output.stdout)
    );
    assert!(!folder.has("out.bin.part"));
    assert_eq!(folder.read("out.bin"), contents);
}

#[test]
fn a_part_file_of_something_else_is_not_gone_on_with() {
    let folder = Folder::new("other");
    folder.file("noise.bin", &noise(100_000));
    folder.file("out.bin.part", &[0x55; 80_000]);
    let write = [
        "write-flash",
        "--port",
        "sim://esp32c3?flash=f.bin",
        "0",
        "noise.bin",
    ];
    assert!(folder.guru(&write).output().unwrap().status.success());
    let read = [
        "read-flash",
        "--port",
        "sim://esp32c3?flash=f.bin",
        "0",
        "100000",
        "out.bin",
    ];
    assert!(folder.guru(&read).output().unwrap().status.success());
    assert_eq!(folder.read("out.bin"), noise(100_000));
}

#[test]
fn a_failed_read_leaves_no_file_that_looks_complete() {
    let folder = Folder::new("failed");
    let port = "sim://esp32c3?fault=drop:rx:1/2,after=40000";
    let read = ["read-flash", "--port", port, "0", "100000", "out.bin"];
    let output = folder.guru(&read).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(!folder.has("out.bin"));
}

#[test]
fn a_simulated_chip_serves_other_processes_until_ctrl_c() {
    let folder = Folder::new("sim");
    folder.file("noise.bin", &noise(5000));
    for kind in ["--tcp", "--rfc2217"] {
        let arguments = ["--format", "json", "sim", "esp32c3", kind, "127.0.0.1:0"];
        let mut server = folder.guru(&arguments).spawn().unwrap();
        let mut stdout = BufReader::new(server.stdout.take().unwrap());
        let first = wait_for(&mut stdout, "\"event\":\"simulator\"");
        let port = first
            .split("\"port\":\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let client = |command: &[&str]| {
            let mut arguments = vec!["--port", port];
            arguments.extend(command);
            let output = folder.guru(&arguments).output().unwrap();
            assert!(output.status.success(), "{kind}: {}", text(&output.stderr));
        };
        client(&["write-flash", "0x10000", "noise.bin"]);
        client(&["read-flash", "0x10000", "5000", "out.bin"]);
        assert_eq!(folder.read("out.bin"), noise(5000));
        interrupt(&server);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert!(
            rest.ends_with("{\"result\":{\"command\":\"sim\"}}\n"),
            "{rest}"
        );
        assert!(server.wait().unwrap().success());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = Folder::new("pipe");
    folder.file("noise.bin", &noise(5000));
    let port = "sim://esp32c3?flash=f.bin";
    for arguments in [
        &["completions", "bash"][..],
        &["write-flash", "--port", port, "0", "noise.bin"],
        &["esptool", "--port", port, "verify-flash", "0", "noise.bin"],
    ] {
        let mut child = folder.guru(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_trace_file_can_be_replayed_and_a_trace_is_shown() {
    let folder = Folder::new("trace");
    let arguments = [
        "--port",
        "sim://esp32c3",
        "--trace",
        "--trace-file",
        "t.trace",
        "read-mac",
    ];
    let output = folder.guru(&arguments).output().unwrap();
    assert!(output.status.success());
    assert!(
        text(&output.stderr).contains("SYNC"),
        "{}",
        text(&output.stderr)
    );
    let trace: guru_link::trace::Trace = text(&folder.read("t.trace")).parse().unwrap();
    assert!(trace.records.len() > 10);
}

#[test]
fn manuals_and_completions_know_every_command() {
    let folder = Folder::new("man");
    assert!(
        folder
            .guru(&["man", "pages"])
            .output()
            .unwrap()
            .status
            .success()
    );
    for command in ["write-flash", "read-flash", "sim", "ports", "config"] {
        let page = text(&folder.read(&format!("pages/guru-{command}.1")));
        assert!(page.contains(&command.replace('-', "\\-")), "{page}");
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let output = folder.guru(&["completions", shell]).output().unwrap();
            assert!(text(&output.stdout).contains(command), "{shell} {command}");
        }
    }
    // What stands below a command has a page as well, and every page has the common options.
    let page = text(&folder.read("pages/guru-config-show.1"));
    let bash = folder.guru(&["completions", "bash"]).output().unwrap();
    for option in ["--port-list", "--port-filter", "--connect-attempts"] {
        assert!(page.contains(&option.replace('-', "\\-")), "{option}");
        assert!(text(&bash.stdout).contains(option), "{option}");
    }
}

#[test]
fn the_configuration_file_counts() {
    let folder = Folder::new("config");
    folder.file(
        "esptool.cfg",
        b"[esptool]\nfoo = 1\ncustom_hard_reset_sequence = R1|W0.1|R0\n",
    );
    let output = folder
        .guru(&["esptool", "--port", "sim://esp32c3", "read-mac"])
        .output()
        .unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        stdout.contains("Loaded custom configuration from "),
        "{stdout}"
    );
    assert!(
        stdout.contains("Custom reset sequence executed: R1|W0.1|R0"),
        "{stdout}"
    );
    assert!(
        stderr.contains("WARNING: Ignoring unknown config option: foo"),
        "{stderr}"
    );
    folder.file("esptool.cfg", b"[esptool]\ntimeout = soon\n");
    let output = folder.guru(&["version"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("timeout = soon"));
}

#[test]
fn a_spy_shows_what_passes_on_the_line() {
    let folder = Folder::new("spy");
    let read = |port: &str| folder.guru(&["read-mac", "--port", port]).output().unwrap();
    let output = read("spy://sim://esp32c3");
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains(" RTS  active\n"), "{errors}");
    let sync = " TX   0000  C0 00 08 24 00 00 00 00  00 07 07 12 20 55 55 55  ...$........ UUU\n";
    assert!(errors.contains(sync), "{errors}");
    assert!(read("spy://sim://esp32c3?file=spy.log").status.success());
    assert!(text(&folder.read("spy.log")).contains(sync));
}

#[test]
fn a_port_that_comes_and_goes_is_tried_as_often_as_is_said() {
    let folder = Folder::new("attempts");
    folder.file("guru.toml", b"open-port-attempts = 3\nchip = 'esp32c3'\n");
    for (arguments, tries) in [
        (&["read-mac", "--port", "/dev/none"][..], 2),
        // Without a chip it does not count.
        (&["read-mac", "--port", "/dev/none", "--chip", "auto"], 0),
    ] {
        let arguments: Vec<_> = ["--format", "json"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let output = folder.guru(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let stdout = text(&output.stdout);
        let failed = stdout.matches("{\"event\":\"open-failed\"").count();
        assert_eq!(failed, tries, "{stdout}");
    }
}

#[test]
fn a_board_in_an_fpga_is_given_more_time() {
    let folder = Folder::new("fpga");
    let delay = |chip: &str| {
        let mut command = folder.guru(&["config", "show", "--chip", chip]);
        let output = command.env("ESPTOOL_ENV_FPGA", " 1 ").output().unwrap();
        let stdout = text(&output.stdout);
        let line = stdout.lines().find(|line| line.starts_with("reset-delay"));
        line.unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(delay("esp32"), "reset-delay 7 ESPTOOL_ENV_FPGA");
    assert!(delay("esp32c3").ends_with(" default"));
}

#[test]
fn the_usual_port_does_not_stand_in_the_way_of_all_boards() {
    let folder = Folder::new("usual");
    folder.file("guru.toml", b"port = 'sim://esp32'\nport-list = 'ports'\n");
    folder.file("ports", b"sim://esp32c3\n");
    let output = folder.guru(&["read-mac", "--all"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("sim://esp32c3: done"));
    // A command that takes one port, and another that takes none.
    folder.file("guru.toml", b"port = ['sim://esp32', 'sim://esp32c3']\n");
    let output = folder
        .guru(&["read-flash", "0", "4", "a"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(folder.guru(&["ports"]).output().unwrap().status.success());
}

/// There is no end to the attempts but Ctrl-C.
#[test]
fn ctrl_c_ends_attempts_without_end() {
    let folder = Folder::new("endless");
    for (name, code, part) in [
        (&[][..], 130, "nothing was changed"),
        (
            &["esptool", "--no-stub"][..],
            2,
            "KeyboardInterrupt: Run cancelled by user.",
        ),
    ] {
        for attempts in ["--connect-attempts=0", "--connect-attempts=-3"] {
            let mut arguments = name.to_vec();
            arguments.extend(["--port", "sim://esp32c3?fault=cut:rx&real", attempts]);
            arguments.extend(["--verbose", "read-mac"]);
            let output = interrupted(folder.guru(&arguments), "sim://esp32c3");
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{errors}");
            assert!(errors.contains(part), "{errors}");
        }
    }
}

/// Chips of an FPGA need a longer reset: as the makers of chips have them.
#[test]
fn an_fpga_has_seven_seconds_for_its_reset() {
    let folder = Folder::new("fpga-reset");
    for (chip, fpga, expected) in [
        ("esp32", "1", true),
        ("esp32", "0", false),
        ("esp32c3", "1", false),
    ] {
        let port = format!("sim://{chip}?fault=cut:rx");
        let mut command = folder.guru(&["--port", &port, "--chip", chip]);
        command
            .args([
                "--connect-attempts",
                "1",
                "--trace-file",
                "trace",
                "read-mac",
            ])
            .env("ESPTOOL_ENV_FPGA", fpga);
        assert_eq!(command.output().unwrap().status.code(), Some(2));
        let trace: guru_link::trace::Trace = text(&folder.read("trace")).parse().unwrap();
        let end = trace.records.last().unwrap().at;
        let long = end > guru_link::Instant(Duration::from_secs(7));
        assert_eq!(long, expected, "{chip} {fpga}: {end:?}");
    }
}
