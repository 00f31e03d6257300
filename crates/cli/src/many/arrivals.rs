//! Which boards are new among the ports that there are.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use guru_chip::{ESPRESSIF_VENDOR, MacAddress};
use guru_link::ports::{Port, PortFilter};

use crate::error::Error;
use crate::port_list;

/// Listings in which a port must be before it is used: udev sets its rights a moment after it comes.
const STEADY: u32 = 2;

/// Where ports are looked for.
#[derive(Debug)]
pub struct Source {
    /// The file that lists them; `None`: the system.
    pub list: Option<PathBuf>,
    /// Those that are wanted.
    pub filter: PortFilter,
    /// Those that are named; all, when there is none.
    pub names: Vec<String>,
}

impl Source {
    /// The ports that are there now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn look(&self) -> Result<Vec<Port>, Error> {
        let mut ports = port_list::present(self.list.as_deref())?;
        // A UART on the board of the computer is meant only by who names it.
        let any = self.list.is_some() || !self.names.is_empty() || !self.filter.is_empty();
        ports.retain(|port| {
            (any || port.usb.is_some())
                && self.filter.matches(port)
                && (self.names.is_empty() || self.names.iter().any(|name| is(port, name)))
        });
        Ok(ports)
    }
}

/// Whether a port is the named one; links such as those in `/dev/serial/by-id` lead to it.
fn is(port: &Port, name: &str) -> bool {
    let real = |path: &str| fs::canonicalize(path).unwrap_or_else(|_| path.into());
    port.path == name || real(&port.path) == real(name)
}

/// Tells new boards from those that were there before.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// In how many listings in a row a port was, by name and serial number.
    present: HashMap<(String, Option<String>), u32>,
    /// Boards that had their turn, by a serial number of their own.
    known: HashSet<String>,
}

impl Arrivals {
    /// With ports that are there already and not meant.
    pub fn after(ports: &[Port]) -> Self {
        let mut arrivals = Self::default();
        for port in ports {
            arrivals.present.insert(key(port), STEADY);
            arrivals.known.extend(own_serial(port));
        }
        arrivals
    }

    /// The boards that are new in this listing. A port that is in use is not: its board went away
    /// for a moment, and its session deals with that.
    pub fn new_in(&mut self, ports: Vec<Port>, in_use: impl Fn(&str) -> bool) -> Vec<Port> {
        let here: HashSet<_> = ports.iter().map(key).collect();
        self.present.retain(|key, _| here.contains(key));
        let mut new = Vec::new();
        for port in ports {
            let seen = self.present.entry(key(&port)).or_default();
            if *seen >= STEADY {
                continue;
            }
            *seen += 1;
            if in_use(&port.path) {
                *seen = STEADY;
            } else if *seen == STEADY
                && own_serial(&port).is_none_or(|serial| self.known.insert(serial))
            {
                new.push(port);
            }
        }
        new
    }
}

fn key(port: &Port) -> (String, Option<String>) {
    let serial = port.usb.as_ref().and_then(|usb| usb.serial.clone());
    (port.path.clone(), serial)
}

/// The serial number of a chip's own USB, which is its MAC and leaves the bus with each reset. All
/// adapters of a kind may have the same number.
fn own_serial(port: &Port) -> Option<String> {
    let usb = port.usb.as_ref()?;
    let serial = usb.serial.as_ref()?;
    let own = usb.vendor == ESPRESSIF_VENDOR && serial.parse::<MacAddress>().is_ok();
    own.then(|| serial.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use guru_link::UsbId;

    use super::*;

    fn adapter(path: &str) -> Port {
        port(path, 0x10C4, "0001")
    }

    fn port(path: &str, vendor: u16, serial: &str) -> Port {
        Port {
            path: path.to_owned(),
            usb: Some(UsbId {
                vendor,
                product: 1,
                serial: Some(serial.to_owned()),
                name: None,
                location: None,
            }),
        }
    }

    fn names(ports: &[Port]) -> Vec<&str> {
        ports.iter().map(|port| port.path.as_str()).collect()
    }

    /// What each listing brings.
    fn all(arrivals: &mut Arrivals, listings: &[&[Port]]) -> Vec<Vec<String>> {
        listings
            .iter()
            .map(|listing| {
                let new = arrivals.new_in(listing.to_vec(), |_| false);
                names(&new).into_iter().map(str::to_owned).collect()
            })
            .collect()
    }

    #[test]
    fn a_board_is_new_once_and_when_it_has_stayed_for_a_moment() {
        let (a, b) = (adapter("a"), adapter("b"));
        let mut arrivals = Arrivals::after(std::slice::from_ref(&a));
        let both = [a.clone(), b];
        let new = all(&mut arrivals, &[&[a], &both, &[], &both, &both, &both]);
        // `a` was there at first, and was plugged in again.
        let none: [&str; 0] = [];
        assert_eq!(new[..4], [none; 4]);
        assert_eq!(new[4], ["a", "b"]);
        assert_eq!(new[5], none);
    }

    #[test]
    fn an_adapter_that_comes_back_has_another_board_but_a_chip_is_itself() {
        let chip = port("chip", ESPRESSIF_VENDOR, "84:F7:03:AA:BB:CC");
        let here = [adapter("a"), chip];
        let mut arrivals = Arrivals::default();
        let new = all(&mut arrivals, &[&here, &here, &[], &here, &here]);
        assert_eq!(new[1], ["a", "chip"]);
        assert_eq!(new[4], ["a"]);
        // It counts under another name as well.
        let renamed = [port("other", ESPRESSIF_VENDOR, "84:f7:03:aa:bb:cc")];
        let new = all(&mut arrivals, &[&renamed, &renamed]);
        assert!(new.concat().is_empty());
    }

    #[test]
    fn a_port_in_use_that_comes_back_is_not_a_new_board() {
        let here = [adapter("a")];
        let mut arrivals = Arrivals::default();
        all(&mut arrivals, &[&here, &here, &[]]);
        for _ in 0..3 {
            assert!(arrivals.new_in(here.to_vec(), |_| true).is_empty());
        }
        assert!(all(&mut arrivals, &[&here, &here]).concat().is_empty());
    }
}
