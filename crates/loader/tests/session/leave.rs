use std::time::Duration;

use guru_chip::{CHIPS, Chip};
use guru_link::{Link, block_on};
use guru_loader::{After, ConnectOptions, Error, Event, Leaving, NoSuchReset, Notice, UsbMode};
use guru_sim::Event as SimEvent;
use guru_testkit::noise;

use crate::bench::{Events, SimSession, connect, file, flash, request, try_connect, write};

fn leave(session: &mut SimSession, after: After, events: &mut Events) -> Result<Leaving, Error> {
    block_on(session.reset(after, &mut events.observer()))
}

/// Where the last reset of the simulated chip led: `true` into its loader.
fn is_in_loader(session: SimSession) -> bool {
    let mut link = session.into_link();
    assert!(block_on(link.sleep(Duration::from_secs(1))).is_ok());
    let resets = link.take_events().into_iter();
    let last = resets
        .filter_map(|event| match event {
            SimEvent::Reset { download, .. } => Some(download),
            _ => None,
        })
        .next_back();
    assert!(last.is_some(), "it was never reset");
    last == Some(true)
}

fn with_watchdog_reset(chip: &Chip) -> bool {
    let watchdogs = chip.watchdogs.as_ref();
    watchdogs.is_some_and(|watchdogs| watchdogs.can_reset)
}

fn stuck(event: &Event) -> bool {
    matches!(event, Event::Notice(Notice::StuckInLoader { .. }))
}

fn moved(event: &Event) -> bool {
    matches!(event, Event::PortMoved { .. })
}

fn jtag_chips() -> impl Iterator<Item = &'static &'static Chip> {
    CHIPS.iter().filter(|chip| chip.usb.serial_jtag)
}

fn otg_chips() -> impl Iterator<Item = &'static &'static Chip> {
    CHIPS.iter().filter(|chip| chip.usb.otg_product.is_some())
}

#[test]
fn a_hard_reset_starts_the_application_on_every_chip() {
    for chip in CHIPS {
        let mut session = connect(chip.id);
        let left = leave(&mut session, After::HardReset, &mut Events::default()).unwrap();
        assert_eq!(left, Leaving::HardReset, "{}", chip.id);
        assert!(!is_in_loader(session), "{}", chip.id);
    }
}

/// A reset over USB-Serial/JTAG does not look at the boot pin again: a chip that was put into its
/// loader by hand stays there.
#[test]
fn a_chip_put_into_its_loader_by_hand_is_got_out_by_watchdog_where_it_has_one() {
    for chip in jtag_chips() {
        let mut events = Events::default();
        let mut session = connect(&format!("{}?usb=jtag", chip.id));
        let left = leave(&mut session, After::HardReset, &mut events).unwrap();
        assert!(events.has(stuck), "{}", chip.id);
        let (expected, in_loader) = match with_watchdog_reset(chip) {
            true => (Leaving::WatchdogReset, false),
            false => (Leaving::InLoader, true),
        };
        assert_eq!(left, expected, "{}", chip.id);
        assert_eq!(is_in_loader(session), in_loader, "{}", chip.id);
    }
}

#[test]
fn a_chip_that_was_reset_over_usb_serial_jtag_goes_back_to_its_application() {
    for chip in jtag_chips() {
        let mut events = Events::default();
        let mut session = connect(&format!("{}?usb=jtag&boot=app", chip.id));
        let left = leave(&mut session, After::HardReset, &mut events).unwrap();
        assert_eq!(left, Leaving::HardReset, "{}", chip.id);
        assert!(!events.has(stuck), "{}", chip.id);
        assert!(!is_in_loader(session), "{}", chip.id);
    }
}

#[test]
fn over_usb_otg_a_strapped_chip_is_reset_by_watchdog_where_it_has_one() {
    for chip in otg_chips() {
        let mut events = Events::default();
        let mut session = connect(&format!("{}?usb=otg&reenumerate=same", chip.id));
        assert_eq!(session.device().usb_mode, Some(UsbMode::Otg), "{}", chip.id);
        let left = leave(&mut session, After::HardReset, &mut events).unwrap();
        if with_watchdog_reset(chip) {
            assert_eq!(left, Leaving::WatchdogReset, "{}", chip.id);
            assert!(!is_in_loader(session), "{}", chip.id);
        } else {
            assert_eq!(left, Leaving::InLoader, "{}", chip.id);
            assert!(events.has(stuck), "{}", chip.id);
        }
    }
}

#[test]
fn a_chip_whose_boot_pin_is_held_low_is_said_to_stay_in_its_loader() {
    for chip in otg_chips() {
        for after in [After::HardReset, After::WatchdogReset] {
            let options = ConnectOptions {
                no_such_reset: NoSuchReset::HardReset,
                ..ConnectOptions::default()
            };
            let mut events = Events::default();
            let address = format!("{}?usb=otg&reenumerate=same&boot=held", chip.id);
            let mut session = try_connect(&address, options, &mut events).unwrap();
            let left = leave(&mut session, after, &mut events).unwrap();
            assert_eq!(left, Leaving::InLoader, "{}", chip.id);
            assert!(events.has(stuck), "{}", chip.id);
        }
    }
}

/// On the way into the loader the application's USB device goes and the ROM's comes, under another
/// name; on the way out the other way round.
#[test]
fn a_port_that_comes_back_under_another_name_is_followed_both_ways() {
    for (chip, usb) in jtag_chips()
        .map(|chip| (chip, "jtag"))
        .chain(otg_chips().map(|chip| (chip, "otg")))
    {
        let mut events = Events::default();
        let address = format!("{}?usb={usb}&reenumerate=other&boot=app", chip.id);
        let mut session = try_connect(&address, ConnectOptions::default(), &mut events).unwrap();
        assert!(events.has(moved), "{address}");
        let name = session.device().port.clone();
        assert!(name.contains('#'), "{name}");
        assert!(session.device().usb_mode.is_some(), "{address}");
        let mut events = Events::default();
        leave(&mut session, After::HardReset, &mut events).unwrap();
        assert!(events.has(moved), "{address}");
        assert_ne!(session.device().port, name);
    }
}

#[test]
fn a_port_that_does_not_come_back_is_waited_for_ten_seconds_and_no_longer() {
    let mut events = Events::default();
    let address = "esp32s3?usb=otg&reenumerate=same&boot=app&away=60s";
    let error = try_connect(address, ConnectOptions::default(), &mut events)
        .err()
        .unwrap();
    assert!(
        matches!(&error, Error::Link(error) if error.is_lost()),
        "{error}"
    );
}

#[test]
fn an_application_without_usb_is_no_error_and_its_missing_port_is_told() {
    let mut events = Events::default();
    let mut session = connect("esp32s3?usb=otg&reenumerate=loader");
    let left = leave(&mut session, After::HardReset, &mut events).unwrap();
    assert_eq!(left, Leaving::WatchdogReset);
    assert!(events.has(|event| matches!(event, Event::Notice(Notice::PortGone { .. }))));
}

#[test]
fn a_write_goes_on_under_the_ports_new_name_after_the_chip_was_lost() {
    let mut events = Events::default();
    let address = "esp32s3?usb=otg&reenumerate=other&boot=app&fault=unplug:@30000";
    let mut session = try_connect(address, ConnectOptions::default(), &mut events).unwrap();
    let name = session.device().port.clone();
    let bytes = noise(100_000, 7);
    write(
        &mut session,
        request(vec![file("app", 0x10000, &bytes)]),
        &mut events,
    )
    .unwrap();
    assert_eq!(flash(&session, 0x10000, bytes.len()), bytes);
    assert_ne!(session.device().port, name);
}

#[test]
fn a_watchdog_reset_starts_the_application_or_is_refused_before_anything_is_done() {
    for chip in CHIPS {
        let mut events = Events::default();
        let mut session = connect(chip.id);
        if with_watchdog_reset(chip) {
            session.can_leave(After::WatchdogReset).unwrap();
            let left = leave(&mut session, After::WatchdogReset, &mut events).unwrap();
            assert_eq!(left, Leaving::WatchdogReset, "{}", chip.id);
            assert!(!is_in_loader(session), "{}", chip.id);
        } else {
            let error = session.can_leave(After::WatchdogReset).unwrap_err();
            assert!(error.to_string().contains(chip.name), "{error}");
            assert!(leave(&mut session, After::WatchdogReset, &mut events).is_err());
        }
    }
}

#[test]
fn in_secure_download_mode_there_is_no_watchdog_reset() {
    let session = connect("esp32c3?secure-download");
    let error = session.can_leave(After::WatchdogReset).unwrap_err();
    assert!(
        error.to_string().contains("Secure Download Mode"),
        "{error}"
    );
}

#[test]
fn a_watchdog_reset_that_there_is_not_becomes_one_by_rts_where_that_is_asked_for() {
    let options = ConnectOptions {
        no_such_reset: NoSuchReset::HardReset,
        ..ConnectOptions::default()
    };
    let mut events = Events::default();
    let mut session = try_connect("esp32", options, &mut events).unwrap();
    let left = leave(&mut session, After::WatchdogReset, &mut events).unwrap();
    assert_eq!(left, Leaving::HardReset);
    assert!(events.has(|event| matches!(event, Event::Notice(Notice::NoWatchdogReset { .. }))));
}

#[test]
fn every_rom_goes_on_to_the_application_when_it_is_asked_to() {
    for chip in CHIPS {
        let mut session = connect(chip.id);
        let left = leave(&mut session, After::SoftReset, &mut Events::default()).unwrap();
        assert_eq!(left, Leaving::SoftReset, "{}", chip.id);
        let mut link = session.into_link();
        block_on(link.sleep(Duration::from_secs(1))).unwrap();
        assert!(!link.device().in_loader(), "{}", chip.id);
    }
}

#[test]
fn a_chip_that_is_held_in_reset_does_not_answer() {
    let mut session = connect("esp32c3");
    session.can_leave(After::HoldInReset).unwrap();
    let left = leave(&mut session, After::HoldInReset, &mut Events::default()).unwrap();
    assert_eq!(left, Leaving::HeldInReset);
    let mut link = session.into_link();
    block_on(link.sleep(Duration::from_secs(5))).unwrap();
    assert!(!link.device().in_loader());
    let deadline = link.now() + Duration::from_secs(1);
    assert_eq!(block_on(link.read(&mut [0; 64], deadline)).unwrap(), 0);
}

#[test]
fn over_its_own_usb_a_chip_cannot_be_held_in_reset() {
    let session = connect("esp32c3?usb=jtag");
    let error = session.can_leave(After::HoldInReset).unwrap_err();
    assert!(error.to_string().contains("EN"), "{error}");
}

/// The same over a pseudo-terminal that really goes away, in real time.
#[cfg(unix)]
#[test]
fn a_read_goes_on_over_a_port_that_went_away_and_came_back() {
    use std::sync::mpsc;

    use guru_link::{Cancel, OpenOptions, SerialLink};
    use guru_loader::{Before, FlashOptions, ReadLength, ReadRequest, Session};
    use guru_sim::{Endpoint, ServeEvent, SimOptions, serve};

    let link = std::env::temp_dir().join(format!("guru-leave-{}", std::process::id()));
    let address = format!(
        "sim://esp32s3?usb=otg&reenumerate=same&away=300ms&fast&link={}",
        link.display()
    );
    let options: SimOptions = address.parse().unwrap();
    let cancel = Cancel::default();
    let (sender, receiver) = mpsc::channel();
    let server = std::thread::spawn({
        let cancel = cancel.clone();
        move || {
            serve(&options, &Endpoint::Pty, &cancel, &mut |event| {
                if let ServeEvent::Listening { port } = event {
                    let _ = sender.send(port);
                }
            })
        }
    });
    let port = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(port, link.to_str().unwrap());
    let serial = SerialLink::open(&port, &OpenOptions::default()).unwrap();
    let options = ConnectOptions {
        before: Before::NoReset,
        ..ConnectOptions::default()
    };
    let mut events = Events::default();
    let mut session = block_on(Session::connect(serial, options, &mut events.observer())).unwrap();
    block_on(session.reset(After::WatchdogReset, &mut events.observer())).unwrap();
    let request = ReadRequest {
        address: 0,
        length: ReadLength::Bytes(100),
    };
    let (options, mut read) = (FlashOptions::default(), Vec::new());
    block_on(session.read_flash(&options, request, &mut read, &mut events.observer())).unwrap();
    assert_eq!(read, [0xFF; 100]);
    assert!(events.has(|event| matches!(event, Event::LinkLost { .. })));
    assert_eq!(receiver.try_iter().count(), 1, "it came back once");
    cancel.cancel();
    server.join().unwrap().unwrap();
    assert!(!link.exists());
}
