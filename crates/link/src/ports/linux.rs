//! Ports by sysfs, so that neither building nor running needs udev.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Port;
use crate::UsbId;

/// Names of USB ports, the likeliest first.
pub(super) const USB_NAMES: [&str; 2] = ["ttyUSB", "ttyACM"];

/// Where the kernel tells of ports, and where they are opened.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// A folder with an entry for each terminal.
    pub class: PathBuf,
    /// The folder of the device files.
    pub dev: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            class: "/sys/class/tty".into(),
            dev: "/dev".into(),
        }
    }
}

impl Places {
    pub(super) fn list(&self) -> Vec<Port> {
        let Ok(entries) = fs::read_dir(&self.class) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_by(|a, b| natural(a).cmp(&natural(b)));
        names
            .into_iter()
            .filter_map(|name| {
                // Virtual terminals and ptys have no device behind them.
                let entry = self.class.join(&name);
                let device = fs::canonicalize(entry.join("device")).ok()?;
                // The kernel makes places for UARTs that are not there; their type is 0.
                if read(&entry.join("type")).as_deref() == Some("0") {
                    return None;
                }
                let path = self.dev.join(&name);
                path.exists().then(|| Port {
                    path: path.to_string_lossy().into_owned(),
                    usb: usb_of(&device),
                })
            })
            .collect()
    }

    pub(crate) fn usb_id(&self, path: &str) -> Option<UsbId> {
        usb_of(&self.device(path)?)
    }

    /// FTDI's driver tells how long the adapter waits for more bytes, in milliseconds.
    pub(super) fn latency(&self, path: &str) -> Option<Duration> {
        let timer = self.device(path)?.join("latency_timer");
        let millis = read(&timer)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(millis.max(1)))
    }

    /// The device in sysfs behind a path in `/dev`, whatever links lead to it; a name that is in
    /// `/dev` itself counts as it is.
    fn device(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let path = if path.parent() == Some(&self.dev) {
            path.to_owned()
        } else {
            fs::canonicalize(path).ok()?
        };
        fs::canonicalize(self.class.join(path.file_name()?).join("device")).ok()
    }
}

/// The nearest USB device above a device.
fn usb_of(device: &Path) -> Option<UsbId> {
    let mut function = None;
    device.ancestors().find_map(|above| {
        let name = above.file_name()?.to_str()?;
        if above.join("bInterfaceNumber").exists() {
            function = Some(name.to_owned());
        }
        let id = |name: &str| u16::from_str_radix(&read(&above.join(name))?, 16).ok();
        Some(UsbId {
            vendor: id("idVendor")?,
            product: id("idProduct")?,
            serial: read(&above.join("serial")),
            name: read(&above.join("product")),
            location: Some(function.take().unwrap_or_else(|| name.to_owned())),
        })
    })
}

/// A file's text without the line's end; `None` if there is none.
fn read(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Key by which `ttyUSB10` comes after `ttyUSB9`.
fn natural(name: &str) -> (&str, usize, &str) {
    let number = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let (stem, _) = name.split_at(name.len() - number.len());
    (stem, number.len(), number)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use guru_testkit::Scratch;

    /// A sysfs with a USB adapter, a UART that is there, one that is not, and a virtual terminal.
    fn tree(scratch: &Scratch) -> Places {
        let (class, dev) = (scratch.path("class"), scratch.path("dev"));
        let usb = scratch.path("devices/usb1/1-2");
        fs::create_dir_all(usb.join("1-2:1.0/ttyUSB10")).unwrap();
        fs::write(usb.join("1-2:1.0/bInterfaceNumber"), "00\n").unwrap();
        fs::create_dir_all(&dev).unwrap();
        for (file, text) in [
            ("idVendor", "10c4\n"),
            ("idProduct", "ea60\n"),
            ("serial", "0001\n"),
            ("product", "CP2102 USB to UART Bridge Controller\n"),
        ] {
            fs::write(usb.join(file), text).unwrap();
        }
        for (name, kind) in [
            ("ttyUSB10", ""),
            ("ttyUSB9", ""),
            ("ttyS0", "4\n"),
            ("ttyS1", "0\n"),
            ("tty7", ""),
        ] {
            let entry = class.join(name);
            fs::create_dir_all(&entry).unwrap();
            fs::write(dev.join(name), "").unwrap();
            if !kind.is_empty() {
                fs::write(entry.join("type"), kind).unwrap();
            }
            let device = match name {
                "tty7" => continue,
                "ttyUSB9" | "ttyUSB10" => usb.join("1-2:1.0/ttyUSB10"),
                _ => scratch.path("devices"),
            };
            symlink(device, entry.join("device")).unwrap();
        }
        Places { class, dev }
    }

    #[test]
    fn ports_have_the_ids_of_the_usb_device_above_them() {
        let scratch = Scratch::new();
        let ports = tree(&scratch).list();
        let names: Vec<_> = ports
            .iter()
            .map(|port| port.path.rsplit('/').next().unwrap_or_default())
            .collect();
        assert_eq!(names, ["ttyS0", "ttyUSB9", "ttyUSB10"]);
        assert_eq!(ports[0].usb, None);
        assert_eq!(
            ports[2].usb,
            Some(UsbId {
                vendor: 0x10C4,
                product: 0xEA60,
                serial: Some("0001".to_owned()),
                name: Some("CP2102 USB to UART Bridge Controller".to_owned()),
                location: Some("1-2:1.0".to_owned()),
            })
        );
    }

    #[test]
    fn an_ftdi_adapter_tells_how_long_it_waits() {
        let scratch = Scratch::new();
        let places = tree(&scratch);
        let port = places.dev.join("ttyUSB10");
        assert_eq!(places.latency(port.to_str().unwrap()), None);
        let timer = scratch.path("devices/usb1/1-2/1-2:1.0/ttyUSB10/latency_timer");
        fs::write(timer, "16\n").unwrap();
        let latency = places.latency(port.to_str().unwrap());
        assert_eq!(latency, Some(Duration::from_millis(16)));
    }

    #[test]
    fn a_link_to_a_port_has_the_ports_ids() {
        let scratch = Scratch::new();
        let places = tree(&scratch);
        let alias = scratch.path("my-board");
        symlink(places.dev.join("ttyUSB10"), &alias).unwrap();
        let usb = places.usb_id(alias.to_str().unwrap()).unwrap();
        assert_eq!(usb.vendor, 0x10C4);
    }
}
