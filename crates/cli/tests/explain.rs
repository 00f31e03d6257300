//! `guru explain` as a process: pages, hostile and endless logs.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it should be"
)]

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use guru_testkit::{Scratch, noise};

fn explain(scratch: &Scratch, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guru"))
        .arg("explain")
        .args(arguments)
        .current_dir(scratch.folder())
        .env("HOME", scratch.folder())
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const CRASH: &str = "\
Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.\r
\r
Core  0 register dump:\r
PC      : 0x400d5c34  PS      : 0x00060330  A0      : 0x800d5d51  A1      : 0x3ffb5570  \r
EXCVADDR: 0x0000001c  LBEG    : 0x00000000  LEND    : 0x00000000  LCOUNT  : 0x00000000  \r
\r
Backtrace: 0x400d5c31:0x3ffb5570 0x400d5d4e:0x3ffb5590\r
\r
Rebooting...\r
";

#[test]
fn a_page_holds_what_a_log_says_as_text_and_loads_nothing() {
    let scratch = Scratch::new();
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}\u{1b}[2J\"'&";
    let log = format!(
        "***ERROR*** A stack overflow in task {hostile} has been detected.\n\
         assert failed: f {hostile} x.c:1 ({hostile})\n{CRASH}"
    );
    scratch.file("a<b>.log", log);
    let output = explain(&scratch, &["a<b>.log", "--html", "page.html"]);
    assert!(text(&output).contains("page.html"));
    let page = fs::read_to_string(scratch.path("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for forbidden in [
        "<script", "<img", "<b>", "@import", "url(", "\u{1b}", "\u{202e}",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    for tag in page
        .split('<')
        .skip(1)
        .filter_map(|tag| tag.split('>').next())
    {
        assert!(!tag.contains(" src=") && !tag.contains(" on"), "<{tag}>");
    }
    for link in page.split("href=\"").skip(1) {
        assert!(
            link.starts_with("https://"),
            "{}",
            &link[..40.min(link.len())]
        );
    }
    for tag in [
        "h1", "h2", "h3", "p", "ul", "ol", "li", "table", "tr", "td", "pre", "code", "span",
    ] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn no_log_is_too_long_too_wild_or_without_an_end_of_line() {
    let scratch = Scratch::new();
    let start = Instant::now();
    let mut endless = vec![b'A'; 3 << 20];
    endless.extend_from_slice(CRASH.as_bytes());
    scratch.file("endless.log", endless);
    scratch.file("noise.log", noise(1 << 20, 7));
    scratch.file("many.log", CRASH.repeat(1500));
    let different =
        (0..200).map(|at| CRASH.replace("0x400d5c34", &format!("0x400d{:04x}", 4 * at)));
    scratch.file("different.log", different.collect::<String>());
    // Torn at every place.
    let torn = (0..CRASH.len()).step_by(9).map(|end| &CRASH[..end]);
    scratch.file("torn.log", torn.collect::<Vec<_>>().join("\n\n"));

    text(&explain(&scratch, &["noise.log"]));
    text(&explain(&scratch, &["torn.log"]));
    assert!(text(&explain(&scratch, &["endless.log"])).contains("EXCVADDR is 0x0000001c"));
    let many = text(&explain(&scratch, &["many.log"]));
    assert!(
        many.starts_with("many.log: the same crash 1500 times"),
        "{}",
        &many[..80]
    );
    let different = text(&explain(&scratch, &["different.log"]));
    assert!(different.contains("136 further crashes are not shown."));
    assert!(start.elapsed() < Duration::from_secs(120));
}

#[test]
fn a_pasted_log_comes_from_standard_input() {
    let scratch = Scratch::new();
    let log = scratch.file("crash.log", CRASH);
    for arguments in [&["explain"][..], &["explain", "-"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_guru"))
            .args(arguments)
            .stdin(fs::File::open(&log).unwrap())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        assert!(text(&output).starts_with("standard input: one crash."));
    }
}
