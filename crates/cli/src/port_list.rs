//! The serial ports that there are: the system's, or those of a file.

use std::fs;
use std::path::Path;

use guru_chip::ESPRESSIF_VENDOR;
use guru_link::UsbId;
use guru_link::ports::{self, Port, PortFilter};

use crate::error::Error;
use crate::globals::Globals;

/// The ports that there are, the likeliest first.
///
/// # Errors
/// The file that `--port-list` names cannot be read.
pub fn present(list: Option<&Path>) -> Result<Vec<Port>, Error> {
    match list {
        None => Ok(ports::list()),
        Some(path) => read(path),
    }
}

/// Those of them that `--port-filter` lets through.
///
/// # Errors
/// Those of [`present`].
pub fn wanted(globals: &Globals) -> Result<Vec<Port>, Error> {
    let filter = filter(&globals.port_filter);
    let mut ports = present(globals.port_list.as_deref())?;
    ports.retain(|port| filter.matches(port));
    Ok(ports)
}

/// One filter of several.
pub fn filter(filters: &[PortFilter]) -> PortFilter {
    let mut all = PortFilter::default();
    for one in filters {
        all.extend(one);
    }
    all
}

/// Why there is none that could be tried.
pub fn none(globals: &Globals) -> Error {
    let there = present(globals.port_list.as_deref()).unwrap_or_default();
    Error::NoPort {
        tried: 0,
        filter: filter(&globals.port_filter).to_string(),
        there: there.iter().map(describe).collect(),
    }
}

/// A port with what filters look at: `/dev/ttyUSB0 (10c4:ea60, serial 0001)`.
fn describe(port: &Port) -> String {
    let Some(usb) = &port.usb else {
        return port.path.clone();
    };
    let serial = usb
        .serial
        .as_ref()
        .map(|serial| format!(", serial {serial}"))
        .unwrap_or_default();
    format!(
        "{} ({:04x}:{:04x}{serial})",
        port.path, usb.vendor, usb.product
    )
}

/// A list of ports: one a line, and behind it USB ids and a serial number if it has them.
fn read(path: &Path) -> Result<Vec<Port>, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::PortList {
        path: path.to_owned(),
        source,
    })?;
    let mut list: Vec<Port> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(line)
        .collect();
    ports::rank(&mut list);
    Ok(list)
}

fn line(line: &str) -> Option<Port> {
    let mut words = line.split_whitespace().peekable();
    let path = words.next()?.to_owned();
    let ids = words.peek().and_then(|word| ids(word));
    if ids.is_some() {
        words.next();
    }
    let serial = words.next().map(str::to_owned);
    let name: Vec<_> = words.collect();
    // A board that is known by a serial number alone is one with USB of its own.
    let (vendor, product) = match (ids, &serial) {
        (Some(ids), _) => ids,
        (None, Some(_)) => (ESPRESSIF_VENDOR, 0),
        (None, None) => return Some(Port { path, usb: None }),
    };
    Some(Port {
        path,
        usb: Some(UsbId {
            vendor,
            product,
            serial,
            name: (!name.is_empty()).then(|| name.join(" ")),
            location: None,
        }),
    })
}

/// `303a:1001`.
fn ids(word: &str) -> Option<(u16, u16)> {
    let (vendor, product) = word.split_once(':')?;
    let id = |text: &str| {
        let hexadecimal = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        hexadecimal.then(|| u16::from_str_radix(text, 16).ok())?
    };
    Some((id(vendor)?, id(product)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_names_ids_serial_numbers_and_comments() {
        let path = std::env::temp_dir().join(format!("guru-port-list-{}", std::process::id()));
        fs::write(
            &path,
            "# farm\n\n/dev/ttyUSB0 10c4:ea60 0001 CP2102 USB to UART\nsim://esp32c3\n\
             rfc2217://host:1 84:f7:03:aa:bb:cc\n/dev/ttyUSB1 1A86:7523\n",
        )
        .unwrap();
        let ports = present(Some(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        let shown: Vec<_> = ports.iter().map(describe).collect();
        assert_eq!(
            shown,
            [
                "rfc2217://host:1 (303a:0000, serial 84:f7:03:aa:bb:cc)",
                "/dev/ttyUSB0 (10c4:ea60, serial 0001)",
                "/dev/ttyUSB1 (1a86:7523)",
                "sim://esp32c3",
            ]
        );
        let name = ports[1].usb.as_ref().unwrap().name.as_deref();
        assert_eq!(name, Some("CP2102 USB to UART"));
        assert!(matches!(present(Some(&path)), Err(Error::PortList { .. })));
    }

    #[test]
    fn a_mac_is_not_taken_for_usb_ids() {
        assert_eq!(ids("303a:1001"), Some((0x303A, 0x1001)));
        for word in [
            "84:f7:03:aa:bb:cc",
            "303a",
            "303a:",
            "+03a:1001",
            "303a:10010",
        ] {
            assert_eq!(ids(word), None, "{word}");
        }
    }
}
