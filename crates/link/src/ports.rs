//! The serial ports of this computer.

#[cfg(any(windows, target_os = "macos"))]
#[path = "ports/enumerated.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "ports/linux.rs"]
mod system;
#[cfg(not(any(windows, target_os = "macos", target_os = "linux")))]
#[path = "ports/other.rs"]
mod system;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use guru_chip::Adapter;
use thiserror::Error;

use crate::UsbId;

/// Espressif's USB vendor id.
const ESPRESSIF: u16 = 0x303A;

/// A serial port of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name to open it by: `/dev/ttyUSB0`, `/dev/cu.usbserial-10`, `COM3`.
    pub path: String,
    /// The USB device behind it, if it is one.
    pub usb: Option<UsbId>,
}

/// Lists serial ports, those that are most likely an Espressif chip first: Espressif's own USB,
/// then USB adapters.
pub fn list() -> Vec<Port> {
    let mut ports = Places::default().list();
    rank(&mut ports);
    ports
}

/// Sorts ports as [`list`] does; among equals the order stays.
pub fn rank(ports: &mut [Port]) {
    ports.sort_by_key(|port| {
        let espressif = port.usb.as_ref().is_some_and(|usb| usb.vendor == ESPRESSIF);
        let kind = system::USB_NAMES
            .iter()
            .position(|name| port.path.contains(name))
            .unwrap_or(system::USB_NAMES.len());
        (!espressif, kind)
    });
}

/// Name and process id of a program that has a port open, where the system tells (Linux).
pub fn holder(path: &str) -> Option<String> {
    crate::serial::holder(path)
}

pub(crate) use system::Places;

impl Places {
    /// What is known about a port by its name, which may be a symbolic link to it.
    pub(crate) fn port(&self, path: &str) -> Known {
        Known {
            usb: self.usb_id(path),
            latency: self.latency(path),
        }
    }

    /// Path of the port of a chip's own USB device, which leaves the bus when the chip resets and
    /// may come back under another name, and as another device when the ROM takes the place of the
    /// application. An adapter does not: of its ports, which have the same ids, this could be the
    /// wrong one.
    pub(crate) fn find(&self, usb: &UsbId) -> Option<String> {
        find_in(&self.list(), usb).map(|port| port.path.clone())
    }
}

/// What is known about a port by its name.
#[derive(Debug)]
pub(crate) struct Known {
    pub usb: Option<UsbId>,
    /// Time that the adapter keeps received bytes back for.
    pub latency: Option<Duration>,
}

/// By what a device is known again, the surest first.
const SAME: [fn(&UsbId, &UsbId) -> bool; 4] = [
    |one, other| one.location.is_some() && one.location == other.location,
    |one, other| one.socket().is_some() && one.socket() == other.socket(),
    |one, other| has_same_serial(one, other) && one.product == other.product,
    has_same_serial,
];

/// The serial number is nearly always the MAC. That of the ROM's USB-OTG device is short, and the
/// same in all chips: there the sockets must not differ.
fn has_same_serial(one: &UsbId, other: &UsbId) -> bool {
    const MAC: usize = 12;
    let apart = matches!((one.socket(), other.socket()), (Some(one), Some(other)) if one != other);
    let Some(serial) = &one.serial else {
        return false;
    };
    one.serial == other.serial && (serial.len() >= MAC || !apart)
}

/// Whether a device is the one that was lost.
pub(crate) fn is_same(found: &UsbId, lost: &UsbId) -> bool {
    found.vendor == lost.vendor && SAME.iter().any(|same| same(found, lost))
}

fn find_in<'a>(ports: &'a [Port], lost: &UsbId) -> Option<&'a Port> {
    if lost.vendor != ESPRESSIF {
        return None;
    }
    SAME.iter().find_map(|same| {
        let is_same = |usb: &UsbId| usb.vendor == ESPRESSIF && same(usb, lost);
        let mut found = ports
            .iter()
            .filter(|port| port.usb.as_ref().is_some_and(is_same));
        let port = found.next()?;
        found.next().is_none().then_some(port)
    })
}

/// What is known about the adapter behind a port.
pub(crate) fn adapter(usb: Option<&UsbId>) -> Option<&'static Adapter> {
    let usb = usb?;
    guru_chip::adapter(usb.vendor, usb.product)
}

/// Which ports to try. Values of one key are alternatives; all keys that have values must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortFilter {
    /// USB vendor ids.
    pub vendors: Vec<u16>,
    /// USB product ids.
    pub products: Vec<u16>,
    /// Parts of the port's name, in any case.
    pub names: Vec<String>,
    /// Parts of the USB serial number, in any case.
    pub serials: Vec<String>,
}

/// Why a text is not a port filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{}; write vid=0x303A, pid=0x1001, name=TEXT or serial=TEXT",
    match problem {
        PortFilterProblem::Form => format!("'{filter}' is not a port filter"),
        PortFilterProblem::Key(key) => format!("'{filter}': a port has no '{key}' to filter by"),
        PortFilterProblem::Id(id) => format!("'{filter}': '{id}' is no USB id of 16 bits"),
    }
)]
pub struct PortFilterError {
    /// The text.
    pub filter: String,
    /// What is wrong with it.
    pub problem: PortFilterProblem,
}

/// What is wrong with a port filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortFilterProblem {
    /// It is not `key=value`.
    Form,
    /// No such key.
    Key(String),
    /// A vendor or product id is not a number, or too large.
    Id(String),
}

impl PortFilter {
    /// Adds a filter such as `vid=0x303A`. Ids are decimal, or have `0x`, `0o` or `0b` before them;
    /// keys are in any case. An empty text is part of every name and serial number.
    ///
    /// # Errors
    /// An unknown key, a missing or malformed value.
    pub fn add(&mut self, filter: &str) -> Result<(), PortFilterError> {
        let error = |problem| PortFilterError {
            filter: filter.to_owned(),
            problem,
        };
        let (key, value) = filter
            .split_once('=')
            .ok_or_else(|| error(PortFilterProblem::Form))?;
        let key = key.trim().to_ascii_lowercase();
        let value = value.trim();
        let id = || id(value).ok_or_else(|| error(PortFilterProblem::Id(value.to_owned())));
        match &*key {
            "vid" => self.vendors.push(id()?),
            "pid" => self.products.push(id()?),
            "name" => self.names.push(value.to_owned()),
            "serial" => self.serials.push(value.to_owned()),
            _ => return Err(error(PortFilterProblem::Key(key))),
        }
        Ok(())
    }

    /// Adds all that another one has.
    pub fn extend(&mut self, other: &Self) {
        self.vendors.extend(&other.vendors);
        self.products.extend(&other.products);
        self.names.extend(other.names.iter().cloned());
        self.serials.extend(other.serials.iter().cloned());
    }

    /// Whether it lets every port through.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a port is wanted.
    pub fn matches(&self, port: &Port) -> bool {
        let usb = port.usb.as_ref();
        let serial = usb
            .and_then(|usb| usb.serial.as_deref())
            .unwrap_or_default();
        one_of(&self.vendors, |id| usb.is_some_and(|usb| usb.vendor == *id))
            && one_of(&self.products, |id| {
                usb.is_some_and(|usb| usb.product == *id)
            })
            && one_of(&self.names, |part| contains(&port.path, part))
            && one_of(&self.serials, |part| contains(serial, part))
    }
}

impl FromStr for PortFilter {
    type Err = PortFilterError;

    /// Reads one filter.
    fn from_str(text: &str) -> Result<Self, PortFilterError> {
        let mut filter = Self::default();
        filter.add(text)?;
        Ok(filter)
    }
}

impl fmt::Display for PortFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vendors = self.vendors.iter().map(|id| format!("vid=0x{id:04x}"));
        let products = self.products.iter().map(|id| format!("pid=0x{id:04x}"));
        let names = self.names.iter().map(|part| format!("name={part}"));
        let serials = self.serials.iter().map(|part| format!("serial={part}"));
        let all: Vec<_> = vendors
            .chain(products)
            .chain(names)
            .chain(serials)
            .collect();
        f.write_str(&all.join(" "))
    }
}

/// A USB id, with a prefix that says its base.
fn id(text: &str) -> Option<u16> {
    let (digits, radix) = match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (text.get(2..)?, 16),
        Some("0o") => (text.get(2..)?, 8),
        Some("0b") => (text.get(2..)?, 2),
        _ => (text, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u16::from_str_radix(digits, radix).ok()
}

/// Whether one of the values fits, or there are none.
fn one_of<T>(values: &[T], fits: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(fits)
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(path: &str, usb: Option<(u16, u16, &str)>) -> Port {
        Port {
            path: path.to_owned(),
            usb: usb.map(|(vendor, product, serial)| UsbId {
                vendor,
                product,
                serial: Some(serial.to_owned()),
                name: None,
                location: None,
            }),
        }
    }

    #[test]
    fn espressif_comes_first_and_usb_before_the_rest() {
        let usb = |at: usize| system::USB_NAMES.get(at).copied().unwrap_or("COM");
        let mut ports = [
            port("ttyS0", None),
            port(&format!("{}1", usb(1)), Some((0x1A86, 0x55D4, "1"))),
            port(&format!("{}0", usb(0)), Some((0x10C4, 0xEA60, "2"))),
            port(&format!("{}2", usb(1)), Some((0x303A, 0x1001, "3"))),
        ];
        rank(&mut ports);
        let ids: Vec<_> = ports
            .iter()
            .map(|port| port.usb.as_ref().map_or(0, |usb| usb.vendor))
            .collect();
        if cfg!(windows) {
            assert_eq!(ids, [0x303A, 0, 0x1A86, 0x10C4]);
        } else {
            assert_eq!(ids, [0x303A, 0x10C4, 0x1A86, 0]);
        }
    }

    #[test]
    fn values_of_a_key_are_alternatives_and_keys_add_up() {
        let mut filter = PortFilter::default();
        for text in ["vid=0x303a", "vid=4292", "name=ttyusb"] {
            filter.add(text).unwrap();
        }
        let usb = |vendor| Some((vendor, 1, "AB12"));
        assert!(filter.matches(&port("/dev/ttyUSB0", usb(0x303A))));
        assert!(filter.matches(&port("/dev/ttyUSB0", usb(4292))));
        assert!(!filter.matches(&port("/dev/ttyACM0", usb(4292))));
        assert!(!filter.matches(&port("/dev/ttyUSB0", usb(1))));
        assert!(!filter.matches(&port("/dev/ttyUSB0", None)));
        filter.add("serial=b1").unwrap();
        assert!(filter.matches(&port("/dev/ttyUSB0", usb(4292))));
    }

    fn own(path: &str, product: u16, serial: &str, location: &str) -> Port {
        let mut port = port(path, Some((0x303A, product, serial)));
        if let Some(usb) = &mut port.usb {
            usb.location = (!location.is_empty()).then(|| location.to_owned());
        }
        port
    }

    fn found(ports: &[Port], lost: &Port) -> Option<String> {
        find_in(ports, lost.usb.as_ref()?).map(|port| port.path.clone())
    }

    #[test]
    fn a_chip_is_known_again_by_its_socket_though_its_rom_is_another_device() {
        let application = own("ttyACM0", 0x4001, "123456", "1-2:1.0");
        let ports = [
            own("ttyACM1", 2, "0", "1-2:1.0"),
            own("ttyACM2", 2, "0", "1-3:1.0"),
        ];
        assert_eq!(found(&ports, &application).as_deref(), Some("ttyACM1"));
        // Its only function has another number.
        let ports = [own("ttyACM1", 2, "0", "1-2:1.2"), ports[1].clone()];
        assert_eq!(found(&ports, &application).as_deref(), Some("ttyACM1"));
    }

    #[test]
    fn where_sockets_are_not_told_a_chip_is_known_again_by_its_serial_number() {
        let lost = own("COM3", 0x1001, "AA", "");
        let ports = [own("COM4", 0x1001, "BB", ""), own("COM5", 0x1001, "AA", "")];
        assert_eq!(found(&ports, &lost).as_deref(), Some("COM5"));
        let ports = [own("COM4", 9, "AA", ""), own("COM5", 0x1001, "BB", "")];
        assert_eq!(found(&ports, &lost).as_deref(), Some("COM4"));
    }

    #[test]
    fn nothing_is_taken_for_a_lost_port_that_might_be_another_board() {
        let lost = own("ttyACM0", 2, "0", "1-2:1.0");
        let twins = [own("ttyACM1", 2, "0", ""), own("ttyACM2", 2, "0", "")];
        assert_eq!(found(&twins, &lost), None);
        let adapter = port("ttyUSB0", Some((0x10C4, 0xEA60, "1")));
        assert_eq!(found(std::slice::from_ref(&adapter), &adapter), None);
    }

    #[test]
    fn a_malformed_filter_is_refused_and_what_is_wrong_is_said() {
        use PortFilterProblem::{Form, Id, Key};
        for (bad, problem) in [
            ("", Form),
            ("vid", Form),
            ("vid=", Id(String::new())),
            ("vid=0xZZ", Id("0xZZ".to_owned())),
            ("vid=65536", Id("65536".to_owned())),
            ("pid=-1", Id("-1".to_owned())),
            ("pid=+1", Id("+1".to_owned())),
            ("Bus=1", Key("bus".to_owned())),
        ] {
            let error = bad.parse::<PortFilter>().unwrap_err();
            assert_eq!(error.filter, bad);
            assert_eq!(error.problem, problem);
            assert!(error.to_string().contains("vid=0x303A"), "{error}");
        }
    }

    #[test]
    fn ids_are_written_in_any_base_and_keys_in_any_case() {
        for text in [
            "vid=0x303a",
            "VID = 12346",
            "vid=0o30072",
            "Vid=0b11000000111010",
        ] {
            let filter: PortFilter = text.parse().unwrap();
            assert_eq!(filter.vendors, [0x303A], "{text}");
            assert_eq!(filter.to_string(), "vid=0x303a");
        }
    }

    #[test]
    fn every_combination_of_keys_lets_through_what_has_them_all() {
        let ports = [
            port("/dev/ttyACM0", Some((0x303A, 0x1001, "84:F7:03:00:00:01"))),
            port("/dev/ttyACM1", Some((0x303A, 0x1002, "84:F7:03:00:00:02"))),
            port("/dev/ttyUSB0", Some((0x10C4, 0xEA60, "0001"))),
            port("/dev/ttyUSB1", Some((0x1A86, 0x55D4, "0001"))),
            port("/dev/ttyS0", None),
        ];
        for (filters, expected) in [
            ("", "ACM0 ACM1 USB0 USB1 S0"),
            ("vid=0x303A", "ACM0 ACM1"),
            ("vid=0x303A pid=0x1001", "ACM0"),
            ("pid=0x1001 pid=0xEA60", "ACM0 USB0"),
            ("vid=0x303A pid=0xEA60", ""),
            ("name=usb", "USB0 USB1"),
            ("name=usb vid=0x10C4", "USB0"),
            ("name=acm name=s0", "ACM0 ACM1 S0"),
            ("serial=84:f7", "ACM0 ACM1"),
            ("serial=84:f7 serial=0001", "ACM0 ACM1 USB0 USB1"),
            ("serial=0001 name=usb vid=0x1a86 pid=0x55d4", "USB1"),
            ("serial=0001 name=acm", ""),
            ("name=", "ACM0 ACM1 USB0 USB1 S0"),
            ("serial=", "ACM0 ACM1 USB0 USB1 S0"),
            ("vid=0", ""),
        ] {
            let mut filter = PortFilter::default();
            for text in filters.split_whitespace() {
                filter.add(text).unwrap();
            }
            let through: Vec<_> = ports
                .iter()
                .filter(|port| filter.matches(port))
                .map(|port| port.path.trim_start_matches("/dev/tty"))
                .collect();
            assert_eq!(through.join(" "), expected, "{filters}");
        }
    }
}
