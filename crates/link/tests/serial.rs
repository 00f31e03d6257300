//! The serial link over a pseudo-terminal.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::os::unix::fs::symlink;
use std::time::Duration;

use guru_link::{
    Address, Cancel, Lines, Link, LinkError, NativeLink, OpenOptions, Pty, SerialLink, block_on,
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

fn open(pty: &Pty) -> SerialLink {
    SerialLink::open(pty.path(), &OpenOptions::default()).unwrap()
}

fn read(link: &mut impl Link, wait: Duration) -> Result<Vec<u8>, LinkError> {
    let mut buffer = [0; 4096];
    let deadline = link.now() + wait;
    let count = block_on(link.read(&mut buffer, deadline))?;
    Ok(buffer[..count].to_vec())
}

fn receive(pty: &mut Pty, length: usize) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while received.len() < length {
        let count = pty.read(&mut buffer, LONG).unwrap();
        assert!(count > 0, "only {} of {length} bytes came", received.len());
        received.extend_from_slice(&buffer[..count]);
    }
    received
}

#[test]
fn every_byte_passes_unchanged_both_ways() {
    let mut pty = Pty::open().unwrap();
    let mut link = open(&pty);
    let all: Vec<u8> = (0..=255).collect();
    block_on(link.write(&all)).unwrap();
    assert_eq!(receive(&mut pty, 256), all);
    assert_eq!(pty.write(&all, LONG).unwrap(), 256);
    let mut answer = Vec::new();
    while answer.len() < 256 {
        answer.extend(read(&mut link, LONG).unwrap());
    }
    assert_eq!(answer, all);
}

#[test]
fn a_read_that_gets_nothing_ends_at_its_deadline() {
    let pty = Pty::open().unwrap();
    let mut link = open(&pty);
    let start = link.now();
    assert_eq!(read(&mut link, SHORT).unwrap(), []);
    assert!(link.now() - start >= SHORT);
}

#[test]
fn a_deadline_that_has_passed_still_takes_what_is_there() {
    let mut pty = Pty::open().unwrap();
    let mut link = open(&pty);
    pty.write(b"x", LONG).unwrap();
    while link.now() < guru_link::Instant(SHORT) {}
    assert_eq!(read(&mut link, Duration::ZERO).unwrap(), b"x");
}

#[test]
fn a_pty_has_no_lines_and_says_so() {
    let pty = Pty::open().unwrap();
    let mut link = open(&pty);
    let capabilities = link.info().capabilities;
    assert!(!capabilities.lines && !capabilities.lines_together);
    for lines in [
        Lines::dtr(true),
        Lines::rts(false),
        Lines::both(true, false),
    ] {
        let error = block_on(link.set_lines(lines)).unwrap_err();
        assert!(matches!(error, LinkError::NoLines), "{error:?}");
    }
}

#[test]
fn any_baud_rate_can_be_set() {
    let pty = Pty::open().unwrap();
    let mut link = open(&pty);
    assert_eq!(pty.baud().unwrap(), 115_200);
    for baud in [460_800, 921_600, 2_000_000, 74_880, 1_234_567] {
        block_on(link.set_baud(baud)).unwrap();
        assert_eq!(link.baud(), baud);
        assert_eq!(pty.baud().unwrap(), baud);
    }
}

#[test]
fn discarded_input_does_not_come_back() {
    let mut pty = Pty::open().unwrap();
    let mut link = open(&pty);
    pty.write(b"old", LONG).unwrap();
    assert_eq!(read(&mut link, LONG).unwrap().first(), Some(&b'o'));
    pty.write(b"old", LONG).unwrap();
    block_on(link.sleep(SHORT)).unwrap();
    block_on(link.discard_input()).unwrap();
    assert_eq!(read(&mut link, SHORT).unwrap(), []);
    pty.write(b"new", LONG).unwrap();
    assert_eq!(read(&mut link, LONG).unwrap(), b"new");
}

#[test]
fn a_port_closes_and_opens_again_on_the_same_terminal() {
    let mut pty = Pty::open().unwrap();
    for round in [b"first", b"again"] {
        let mut link = open(&pty);
        block_on(link.write(round)).unwrap();
        drop(link);
        assert_eq!(receive(&mut pty, 5), round);
        assert_eq!(
            pty.read(&mut [0; 8], SHORT).unwrap(),
            0,
            "closing is no error"
        );
    }
}

#[test]
fn a_symbolic_link_opens_the_port_behind_it() {
    let mut pty = Pty::open().unwrap();
    let alias = std::env::temp_dir().join(format!("guru-link-alias-{}", std::process::id()));
    let _ = std::fs::remove_file(&alias);
    symlink(pty.path(), &alias).unwrap();
    let address: Address = alias.to_str().unwrap().parse().unwrap();
    let link = NativeLink::open(&address, &OpenOptions::default());
    std::fs::remove_file(&alias).unwrap();
    block_on(link.unwrap().write(b"hello")).unwrap();
    assert_eq!(receive(&mut pty, 5), b"hello");
}

#[test]
fn waits_end_within_a_tenth_of_a_second_of_being_cancelled() {
    type Wait = fn(&mut SerialLink) -> Result<(), LinkError>;
    let waits: [(&str, Wait); 3] = [
        ("read", |link| read(link, LONG).map(drop)),
        ("sleep", |link| block_on(link.sleep(LONG))),
        // Nobody reads at the other end.
        ("write", |link| block_on(link.write(&[0; 1 << 20]))),
    ];
    for (name, wait) in waits {
        let pty = Pty::open().unwrap();
        let cancel = Cancel::default();
        let token = cancel.clone();
        let options = OpenOptions {
            cancel,
            ..OpenOptions::default()
        };
        let mut link = SerialLink::open(pty.path(), &options).unwrap();
        let start = std::time::Instant::now();
        let user = std::thread::spawn(move || {
            std::thread::sleep(SHORT);
            token.cancel();
        });
        let error = wait(&mut link).unwrap_err();
        assert!(matches!(error, LinkError::Cancelled), "{name}: {error:?}");
        // Generous, for a busy machine; uncancelled it would be seconds.
        assert!(start.elapsed() < LONG / 5, "{name}: {:?}", start.elapsed());
        user.join().unwrap();
    }
}

#[test]
fn a_port_whose_device_went_away_is_lost() {
    let pty = Pty::open().unwrap();
    let mut link = open(&pty);
    drop(pty);
    let error = read(&mut link, LONG).unwrap_err();
    assert!(error.is_lost(), "{error:?}");
    let error = block_on(link.write(b"x")).unwrap_err();
    assert!(error.is_lost(), "{error:?}");
    let error = block_on(link.reopen()).unwrap_err();
    assert!(matches!(error, LinkError::NotFound { .. }), "{error:?}");
    assert!(
        read(&mut link, SHORT).unwrap_err().is_lost(),
        "it is closed"
    );
}

#[test]
fn reopening_keeps_the_settings() {
    let mut pty = Pty::open().unwrap();
    let mut link = open(&pty);
    block_on(link.set_baud(921_600)).unwrap();
    block_on(link.reopen()).unwrap();
    assert_eq!((link.baud(), pty.baud().unwrap()), (921_600, 921_600));
    block_on(link.write(b"back")).unwrap();
    assert_eq!(receive(&mut pty, 4), b"back");
}

#[test]
fn a_port_in_use_is_busy() {
    let pty = Pty::open().unwrap();
    let _first = open(&pty);
    let error = SerialLink::open(pty.path(), &OpenOptions::default()).unwrap_err();
    let LinkError::Busy { port, holder } = error else {
        panic!("{error:?}");
    };
    assert_eq!(port, pty.path());
    if cfg!(target_os = "linux") {
        let holder = holder.unwrap();
        let id = format!("(pid {})", std::process::id());
        assert!(holder.ends_with(&id), "{holder}");
    }
}

#[test]
fn what_is_no_port_is_told_from_what_is_not_there() {
    let missing = SerialLink::open("/dev/does-not-exist", &OpenOptions::default()).unwrap_err();
    assert!(matches!(missing, LinkError::NotFound { .. }), "{missing:?}");
    for path in ["/dev/null", "/tmp"] {
        let error = SerialLink::open(path, &OpenOptions::default()).unwrap_err();
        assert!(matches!(error, LinkError::BadAddress { .. }), "{error:?}");
    }
}

#[test]
fn a_write_fails_when_no_byte_is_taken_for_as_long_as_was_said() {
    let pty = Pty::open().unwrap();
    let options = OpenOptions {
        write_timeout: SHORT,
        ..OpenOptions::default()
    };
    let mut link = SerialLink::open(pty.path(), &options).unwrap();
    let start = std::time::Instant::now();
    let error = block_on(link.write(&[0; 1 << 20])).unwrap_err();
    assert!(matches!(error, LinkError::Stalled), "{error:?}");
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}
