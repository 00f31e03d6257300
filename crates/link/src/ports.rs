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

/// Sorts ports; among equals the order stays.
fn rank(ports: &mut [Port]) {
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
#[error("'{filter}' is not a port filter; write vid=0x303A, pid=0x1001, name=TEXT or serial=TEXT")]
pub struct PortFilterError {
    /// The text.
    pub filter: String,
}

impl PortFilter {
    /// Adds a filter such as `vid=0x303A`. Ids are decimal, or hexadecimal with `0x`.
    ///
    /// # Errors
    /// An unknown key, a missing or malformed value.
    pub fn add(&mut self, filter: &str) -> Result<(), PortFilterError> {
        let error = || PortFilterError {
            filter: filter.to_owned(),
        };
        let (key, value) = filter.split_once('=').ok_or_else(error)?;
        let value = value.trim();
        if value.is_empty() {
            return Err(error());
        }
        let id = || -> Result<u16, PortFilterError> {
            let hex = value
                .strip_prefix("0x")
                .or_else(|| value.strip_prefix("0X"));
            hex.map_or_else(|| value.parse(), |hex| u16::from_str_radix(hex, 16))
                .map_err(|_| error())
        };
        match key.trim() {
            "vid" => self.vendors.push(id()?),
            "pid" => self.products.push(id()?),
            "name" => self.names.push(value.to_owned()),
            "serial" => self.serials.push(value.to_owned()),
            _ => return Err(error()),
        }
        Ok(())
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
    fn a_malformed_filter_is_refused() {
        for bad in [
            "",
            "vid",
            "vid=",
            "vid=0xZZ",
            "vid=65536",
            "pid=-1",
            "bus=1",
            "name=",
        ] {
            let error = bad.parse::<PortFilter>().unwrap_err();
            assert_eq!(error.filter, bad);
        }
    }
}
