//! Addresses that lead to a port without being one, as pySerial has them: `hwgrep://`, `spy://` and
//! `alt://`.

use std::path::PathBuf;

use guru_link::ports::Port;
use guru_link::{Address, LinkError, NativeLink, OpenOptions};
use regex_lite::RegexBuilder;

use crate::error::Error;
use crate::globals::Globals;
use crate::port_list;

/// Where an address leads to.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The port.
    pub name: String,
    /// How to show what passes there.
    pub spy: Option<SpyOptions>,
}

/// How `spy://` shows what passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpyOptions {
    /// In this file; `None`: on standard error.
    pub file: Option<PathBuf>,
    /// With colours.
    pub colour: bool,
    /// Only the bytes themselves; goes with a file.
    pub raw: bool,
}

/// Classes that pySerial has for serial ports; there is one here.
const CLASSES: [&str; 4] = ["Serial", "PosixPollSerial", "VTIMESerial", "Win32Serial"];

/// Follows an address to its port.
///
/// # Errors
/// An option that there is not, a pattern that cannot be read; there is no port that fits.
pub fn follow(globals: &Globals, url: &str) -> Result<Target, Error> {
    let bad = |reason: String| {
        Error::from(LinkError::BadAddress {
            url: url.to_owned(),
            reason,
        })
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok(Target::plain(url));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "hwgrep" => {
            let pattern = Pattern::read(rest).map_err(bad)?;
            let ports = port_list::present(globals.port_list.as_deref())?;
            // It may be plugged in yet.
            let port = pattern.pick(ports, is_free).ok_or(LinkError::NotFound {
                port: url.to_owned(),
            })?;
            Ok(Target::plain(&port.path))
        }
        "spy" => {
            let (inner, query) = rest.split_once('?').unwrap_or((rest, ""));
            let spy = spy_options(query).map_err(bad)?;
            let target = follow(globals, inner)?;
            if target.spy.is_some() {
                return Err(bad("one spy is enough".to_owned()));
            }
            Ok(Target {
                spy: Some(spy),
                ..target
            })
        }
        "alt" => {
            let (inner, query) = rest.split_once('?').unwrap_or((rest, ""));
            match query.split_once('=') {
                None if query.is_empty() => {}
                Some(("class", class)) if CLASSES.contains(&class) => {}
                _ => {
                    let classes = CLASSES.join(", ");
                    return Err(bad(format!("the only option is class, one of {classes}")));
                }
            }
            Ok(Target::plain(inner))
        }
        _ => Ok(Target::plain(url)),
    }
}

impl Target {
    fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            spy: None,
        }
    }
}

fn spy_options(query: &str) -> Result<SpyOptions, String> {
    let mut options = SpyOptions::default();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("file", path) if !path.is_empty() => options.file = Some(path.into()),
            ("color", _) => options.colour = true,
            ("raw", _) => options.raw = true,
            // Reads that bring nothing are not made here.
            ("all", _) => {}
            _ => {
                return Err(format!(
                    "'{option}' is no option of spy://; write file=NAME, color, raw or all"
                ));
            }
        }
    }
    if options.raw && options.file.is_none() {
        return Err("raw needs a file: what a device sends may be anything".to_owned());
    }
    Ok(options)
}

/// What `hwgrep://` looks for.
struct Pattern {
    regex: regex_lite::Regex,
    /// How many that fit are passed over.
    skip: usize,
    /// Whether ports that cannot be opened are passed over.
    skip_busy: bool,
}

impl Pattern {
    /// Reads `REGEX&n=2&skip_busy`.
    fn read(text: &str) -> Result<Self, String> {
        let mut parts = text.split('&');
        let regex = RegexBuilder::new(parts.next().unwrap_or_default())
            .case_insensitive(true)
            .build()
            .map_err(|error| format!("the pattern cannot be read: {error}"))?;
        let mut pattern = Self {
            regex,
            skip: 0,
            skip_busy: false,
        };
        for option in parts {
            match option.split_once('=') {
                None if option == "skip_busy" => pattern.skip_busy = true,
                Some(("n", number)) => {
                    let number: usize = number
                        .parse()
                        .ok()
                        .filter(|number| *number > 0)
                        .ok_or("n is the number of a port, from 1 on")?;
                    pattern.skip = number - 1;
                }
                _ => {
                    return Err(format!(
                        "'{option}' is no option of hwgrep://; write n=NUMBER or skip_busy"
                    ));
                }
            }
        }
        Ok(pattern)
    }

    /// The port that is meant, in the order of names.
    fn pick(&self, mut ports: Vec<Port>, is_free: impl Fn(&Port) -> bool) -> Option<Port> {
        ports.sort_by(|a, b| natural(&a.path).cmp(&natural(&b.path)));
        ports
            .into_iter()
            .filter(|port| texts(port).iter().any(|text| self.regex.is_match(text)))
            .filter(|port| !self.skip_busy || is_free(port))
            .nth(self.skip)
    }
}

/// What the pattern is looked for in: name, description and what pySerial calls the hardware id.
fn texts(port: &Port) -> [String; 3] {
    let Some(usb) = &port.usb else {
        return [port.path.clone(), "n/a".to_owned(), "n/a".to_owned()];
    };
    let mut id = format!("USB VID:PID={:04X}:{:04X}", usb.vendor, usb.product);
    for (key, value) in [("SER", &usb.serial), ("LOCATION", &usb.location)] {
        if let Some(value) = value {
            id.push_str(&format!(" {key}={value}"));
        }
    }
    let file = port.path.rsplit('/').next().unwrap_or_default();
    let description = usb.name.clone().unwrap_or_else(|| file.to_owned());
    [port.path.clone(), description, id]
}

fn is_free(port: &Port) -> bool {
    let Ok(address) = port.path.parse::<Address>() else {
        return true;
    };
    NativeLink::open(&address, &OpenOptions::default()).is_ok()
}

/// Key by which `ttyUSB10` comes after `ttyUSB9`.
fn natural(name: &str) -> Vec<(bool, u64, &str)> {
    let mut rest = name;
    let mut key = Vec::new();
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        let number = part.parse().unwrap_or(u64::MAX);
        key.push((!digits, if digits { number } else { 0 }, part));
        rest = behind;
    }
    key
}

#[cfg(test)]
mod tests {
    use guru_link::UsbId;
    use proptest::prelude::*;

    use super::*;

    fn ports() -> Vec<Port> {
        let port = |path: &str, usb: Option<(u16, u16, &str, &str)>| Port {
            path: path.to_owned(),
            usb: usb.map(|(vendor, product, serial, name)| UsbId {
                vendor,
                product,
                serial: Some(serial.to_owned()),
                name: Some(name.to_owned()),
                location: Some("1-2".to_owned()),
            }),
        };
        vec![
            port("/dev/ttyUSB10", Some((0x10C4, 0xEA60, "0001", "CP2102"))),
            port("/dev/ttyUSB9", Some((0x10C4, 0xEA60, "0002", "CP2102"))),
            port("/dev/ttyACM0", Some((0x303A, 0x1001, "84:F7", "JTAG"))),
            port("/dev/ttyS0", None),
        ]
    }

    fn picked(text: &str) -> Option<String> {
        let pattern = Pattern::read(text).unwrap();
        let port = pattern.pick(ports(), |port| port.path != "/dev/ttyUSB9")?;
        Some(port.path.trim_start_matches("/dev/tty").to_owned())
    }

    #[test]
    fn a_pattern_is_looked_for_in_name_description_and_ids() {
        for (text, expected) in [
            ("cp21", Some("USB9")),
            ("cp21&n=1", Some("USB9")),
            ("cp21&n=2", Some("USB10")),
            ("cp21&n=3", None),
            ("cp21&skip_busy", Some("USB10")),
            ("cp21&n=2&skip_busy", None),
            ("VID:PID=303A:.*ser=84", Some("ACM0")),
            ("LOCATION=1-2$", Some("ACM0")),
            ("tty(S|USB)\\d+$", Some("S0")),
            ("^n/a$", Some("S0")),
            ("nothing", None),
            ("", Some("ACM0")),
        ] {
            assert_eq!(picked(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_said() {
        for (text, part) in [
            ("(", "pattern"),
            ("a&n=0", "from 1"),
            ("a&n=x", "from 1"),
            ("a&b", "skip_busy"),
            ("a&skip_busy=1", "skip_busy"),
        ] {
            let Err(error) = Pattern::read(text) else {
                panic!("{text}");
            };
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_spy_stands_before_a_port() {
        let options = |query| spy_options(query);
        assert_eq!(options(""), Ok(SpyOptions::default()));
        assert_eq!(
            options("file=a.log&color&raw&all"),
            Ok(SpyOptions {
                file: Some("a.log".into()),
                colour: true,
                raw: true
            })
        );
        for query in ["raw", "file=", "dev=x", "colour"] {
            assert!(options(query).is_err(), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = Pattern::read(&text);
            let _ = spy_options(&text);
            let _ = natural(&text);
        }
    }
}
