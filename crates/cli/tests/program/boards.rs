//! The same to several boards.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Folder, interrupt, noise, text, wait_for};

/// Boards in a farm.
const BOARDS: usize = 16;

/// Bytes of which about half go away by compression.
fn firmware(length: usize) -> Vec<u8> {
    let mut bytes = noise(length);
    for chunk in bytes.chunks_mut(128).step_by(2) {
        chunk.fill(0x42);
    }
    bytes
}

fn board(number: usize, chip: &str, more: &str) -> String {
    format!("sim://{chip}?flash=f{number}&mac=7c:df:a1:00:01:{number:02x}{more}")
}

/// `command` with a `--port` for each board.
fn with_ports<'a>(ports: &'a [String], command: &[&'a str]) -> Vec<&'a str> {
    // To execute sixteen stubs takes time.
    let mut words = vec!["--no-stub"];
    for port in ports {
        words.extend(["--port", port.as_str()]);
    }
    words.extend(command);
    words
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    text(bytes).lines().map(parse).collect()
}

fn last(bytes: &[u8]) -> Value {
    lines(bytes).pop().unwrap()
}

#[test]
fn three_bad_boards_of_sixteen_are_named_and_hold_up_nobody() {
    let folder = Folder::new("farm");
    let contents = firmware(150_000);
    folder.file("app.bin", &contents);
    let bad = [
        (3, "&fault=drop:rx:1/2", "connect"),
        (7, "&fault=stuck-flash:@9", "device"),
        (12, "&fault=no-flash", "device"),
    ];
    let ports: Vec<String> = (0..BOARDS)
        .map(|number| {
            let fault = bad.iter().find(|bad| bad.0 == number);
            let chip = if number % 2 == 0 { "esp32c3" } else { "esp32" };
            board(number, chip, fault.map_or("", |bad| bad.1))
        })
        .collect();
    let command = ["--format", "json", "write-flash", "0x10000", "app.bin"];
    let output = folder.guru(&with_ports(&ports, &command)).output().unwrap();
    assert_eq!(output.status.code(), Some(103), "{}", text(&output.stdout));
    let last = last(&output.stdout);
    assert_eq!(last["error"]["kind"], "boards");
    assert_eq!(last["error"]["exit_code"], 103);
    let boards = last["result"]["boards"].as_array().unwrap();
    assert_eq!(boards.len(), BOARDS);
    for (number, board) in boards.iter().enumerate() {
        assert_eq!(board["port"], ports[number]);
        match bad.iter().find(|bad| bad.0 == number) {
            Some((_, _, kind)) => assert_eq!(board["error"]["kind"], *kind, "{board}"),
            None => {
                assert_eq!(board["error"], Value::Null, "{board}");
                assert_eq!(board["result"]["files"][0]["verified"], true, "{board}");
                assert_eq!(board["mac"], format!("7c:df:a1:00:01:{number:02x}"));
                let flash = folder.read(&format!("f{number}"));
                assert!(flash[0x10000..].starts_with(&contents), "board {number}");
            }
        }
    }
    // Every event says whose it is.
    for line in lines(&output.stdout).iter().rev().skip(1) {
        let port = line["port"].as_str().unwrap_or_default();
        assert!(ports.iter().any(|one| one == port), "{line}");
    }
}

#[test]
fn sixteen_boards_take_the_time_of_one_and_not_of_sixteen() {
    let folder = Folder::new("pace");
    folder.file("app.bin", &noise(60_000));
    let run = |boards: std::ops::Range<usize>| {
        let ports: Vec<String> = boards.map(|n| board(n, "esp32c3", "&real")).collect();
        let command = ["--format", "json", "write-flash", "0x10000", "app.bin"];
        let begun = Instant::now();
        let output = folder.guru(&with_ports(&ports, &command)).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stdout));
        let wall = begun.elapsed().as_secs_f64();
        let result = last(&output.stdout)["result"]["boards"].clone();
        let each: Vec<f64> = result
            .as_array()
            .unwrap()
            .iter()
            .map(|board| board["seconds"].as_f64().unwrap())
            .collect();
        (wall, each)
    };
    let (_, two) = run(90..92);
    let (wall, each) = run(0..BOARDS);
    let sum: f64 = each.iter().sum();
    println!(
        "a board of two: {:.2} s; sixteen: {wall:.2} s, in a row {sum:.2} s",
        two[0]
    );
    // On an idle computer it is a sixteenth; a busy one makes each slower, and not the ratio.
    assert!(wall < sum / 6.0, "{wall} s for what is {sum} s in a row");
}

/// Largest resident memory of a process while it ran, in KB.
fn peak(mut child: Child) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let mut stdout = child.stdout.take().unwrap();
    let drain = std::thread::spawn(move || {
        let mut all = Vec::new();
        stdout.read_to_end(&mut all).unwrap();
        all
    });
    let mut peak = 0;
    let status = loop {
        if let Ok(status) = fs::read_to_string(&path) {
            let of = |line: &str| line.split_whitespace().nth(1)?.parse().ok();
            let line = status.lines().find(|line| line.starts_with("VmHWM:"));
            peak = line.and_then(of).unwrap_or(0).max(peak);
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{}", text(&drain.join().unwrap()));
    assert!(peak > 0);
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn sixteen_boards_share_one_copy_of_an_image_of_4_mb() {
    const IMAGE: usize = 4 << 20;
    let folder = Folder::new("memory");
    folder.file("app.bin", &firmware(IMAGE));
    let run = |boards: std::ops::Range<usize>| {
        let ports: Vec<String> = boards.map(|n| board(n, "esp32c3", "")).collect();
        let command = ["-q", "write-flash", "--no-verify", "0", "app.bin"];
        peak(folder.guru(&with_ports(&ports, &command)).spawn().unwrap())
    };
    let one = run(90..91);
    let sixteen = run(0..BOARDS);
    println!("peak of one board: {one} KB, of sixteen: {sixteen} KB");
    let more = sixteen.saturating_sub(one) * 1024;
    // The compressed image once, and less than 1 MB a board for its session and virtual chip.
    assert!(more < 4 * IMAGE as u64, "{more} bytes more than one board");
}

#[test]
fn an_image_for_another_chip_is_refused_board_by_board() {
    let folder = Folder::new("chips");
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello/esp32c3.bin");
    let ports = [board(0, "esp32c3", ""), board(1, "esp32s3", "")];
    let image = image.to_str().unwrap();
    let command = ["--format", "json", "write-flash", "0", image];
    let output = folder.guru(&with_ports(&ports, &command)).output().unwrap();
    assert_eq!(output.status.code(), Some(101), "{}", text(&output.stdout));
    let boards = last(&output.stdout)["result"]["boards"].clone();
    assert_eq!(boards[0]["result"]["files"][0]["verified"], true);
    assert!(
        boards[1]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("esp32c3.bin")
    );
    assert!(!folder.read("f1").iter().any(|byte| *byte != 0xFF));
}

#[test]
fn ctrl_c_ends_all_boards_with_a_state_for_each() {
    let folder = Folder::new("stop");
    folder.file("noise.bin", &noise(400_000));
    let ports: Vec<String> = (0..3).map(|n| board(n, "esp32c3", "&real")).collect();
    let command = ["--format", "json", "write-flash", "0x10000", "noise.bin"];
    let mut child = folder.guru(&with_ports(&ports, &command)).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for port in &ports {
        // All are at it; lines of one may come before those of another.
        let _ = port;
        wait_for(&mut stdout, "\"step\":\"write\"");
    }
    std::thread::sleep(Duration::from_millis(500));
    interrupt(&child);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let last = last(&rest);
    assert_eq!(last["error"]["kind"], "interrupted");
    for board in last["result"]["boards"].as_array().unwrap() {
        let message = board["error"]["message"].as_str().unwrap();
        assert!(message.contains("still in its loader"), "{board}");
    }
}

/// A farm that boards are added to.
struct Farm {
    folder: Folder,
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Farm {
    fn new(name: &str, at_first: &str, more: &[&str]) -> Self {
        let folder = Folder::new(name);
        folder.file("app.bin", &firmware(20_000));
        folder.file("ports", at_first.as_bytes());
        let mut words = vec![
            "--format",
            "json",
            "write-flash",
            "--loop",
            "--port-list",
            "ports",
        ];
        words.extend(more);
        words.extend(["0x10000", "app.bin"]);
        let mut child = folder.guru(&words).stdin(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        wait_for(&mut stdout, "waiting-for-boards");
        Self {
            folder,
            child,
            stdout,
        }
    }

    /// Sets which ports there are.
    fn ports(&self, ports: &[&str]) {
        // By renaming, so that no half of it is read.
        self.folder
            .file("ports.new", (ports.join("\n") + "\n").as_bytes());
        fs::rename(self.folder.0.join("ports.new"), self.folder.0.join("ports")).unwrap();
    }

    /// The next result of a board.
    fn next(&mut self) -> Value {
        let line = wait_for(&mut self.stdout, "{\"event\":\"board\"");
        serde_json::from_str(&line).unwrap()
    }

    /// The result of all, and the exit code.
    fn end(mut self) -> (Value, Option<i32>) {
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).unwrap();
        (last(&rest), self.child.wait().unwrap().code())
    }
}

#[test]
fn a_loop_goes_on_with_each_board_that_is_plugged_in_up_to_a_count() {
    let here = board(0, "esp32c3", "");
    let mut farm = Farm::new("loop", &format!("{here}\n"), &["--count", "3"]);
    let (one, two) = (board(1, "esp32c3", ""), board(2, "esp32", ""));
    let bad = board(3, "esp32c3", "&fault=no-flash");
    farm.ports(&[&here, &one]);
    let first = farm.next();
    assert_eq!(first["port"], one);
    assert_eq!(first["mac"], "7c:df:a1:00:01:01");
    assert_eq!(first["result"]["files"][0]["verified"], true);
    farm.ports(&[&here, &one, &bad]);
    assert_eq!(farm.next()["error"]["kind"], "device");
    farm.ports(&[&here, &two]);
    assert_eq!(farm.next()["port"], two);
    let folder = farm.folder.0.clone();
    assert!(fs::read(folder.join("f2")).unwrap()[0x10000..].starts_with(&firmware(20_000)));
    let (last, code) = farm.end();
    assert_eq!(code, Some(101));
    assert_eq!(last["result"]["boards"].as_array().unwrap().len(), 3);
}

#[test]
fn a_loop_ends_by_ctrl_c_with_what_was_done() {
    let here = board(0, "esp32c3", "");
    // With --all those that are there already count as well.
    let mut farm = Farm::new("loop-end", &format!("{here}\n"), &["--all"]);
    assert_eq!(farm.next()["port"], here);
    // Plugged in again it is another one, as far as anybody can tell.
    farm.ports(&[]);
    std::thread::sleep(Duration::from_secs(1));
    farm.ports(&[&here]);
    let again = farm.next();
    assert_eq!(again["result"]["files"][0]["sent"], 0, "{again}");
    interrupt(&farm.child);
    let (last, code) = farm.end();
    assert_eq!(code, Some(0));
    assert_eq!(last["result"]["boards"].as_array().unwrap().len(), 2);
}

#[test]
fn boards_behind_terminals_and_networks_are_written_to_together() {
    let folder = Folder::new("ways");
    let contents = firmware(30_000);
    folder.file("app.bin", &contents);
    let mut servers = Vec::new();
    let mut ports = Vec::new();
    for (number, kind) in [&["--pty"][..], &["--pty"], &["--rfc2217", "127.0.0.1:0"]]
        .into_iter()
        .enumerate()
    {
        let flash = format!("f{number}");
        let mut words = vec!["--format", "json", "sim", "esp32c3", "--flash", &flash];
        words.extend(kind);
        let mut server = folder.guru(&words).spawn().unwrap();
        let mut stdout = BufReader::new(server.stdout.take().unwrap());
        let line = wait_for(&mut stdout, "\"event\":\"simulator\"");
        let line: Value = serde_json::from_str(&line).unwrap();
        ports.push(line["port"].as_str().unwrap().to_owned());
        // Its output is not of interest, but must go somewhere.
        std::thread::spawn(move || for _ in stdout.lines() {});
        servers.push(server);
    }
    let command = [
        "--before",
        "no-reset",
        "--after",
        "no-reset",
        "write-flash",
        "0x10000",
        "app.bin",
    ];
    let output = folder.guru(&with_ports(&ports, &command)).output().unwrap();
    for mut server in servers {
        interrupt(&server);
        server.wait().unwrap();
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("3 of 3 boards are done."));
    for number in 0..3 {
        let flash = folder.read(&format!("f{number}"));
        assert!(flash[0x10000..].starts_with(&contents), "board {number}");
    }
}

#[test]
fn an_old_name_takes_the_last_port() {
    let folder = Folder::new("last");
    let words = [
        "esptool",
        "--port",
        "sim://nothing",
        "--port",
        "sim://esp32c3",
        "read-mac",
    ];
    let output = folder.guru(&words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("Connected to ESP32-C3 on sim://esp32c3"));
}
