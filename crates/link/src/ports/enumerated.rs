//! Ports as the system enumerates them, on macOS and Windows.

use std::time::Duration;

use serialport::SerialPortType;

use super::Port;
use crate::UsbId;

/// Names of USB ports, the likeliest first.
#[cfg(target_os = "macos")]
pub(super) const USB_NAMES: [&str; 2] = ["usbserial", "usbmodem"];
#[cfg(windows)]
pub(super) const USB_NAMES: [&str; 0] = [];

/// Ports of macOS itself, behind which there is never a device.
const HIDDEN: [&str; 3] = ["Bluetooth-Incoming-Port", "wlan-debug", "cu.debug-console"];

/// Where the system is asked: there is one only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places;

impl Places {
    pub(super) fn list(&self) -> Vec<Port> {
        list()
    }

    pub(crate) fn usb_id(&self, path: &str) -> Option<UsbId> {
        usb_id(path)
    }

    /// Time that the adapter keeps received bytes back for: the system does not tell.
    pub(super) fn latency(&self, _: &str) -> Option<Duration> {
        None
    }
}

fn list() -> Vec<Port> {
    let mut ports: Vec<Port> = serialport::available_ports()
        .unwrap_or_default()
        .into_iter()
        // Each port of macOS has two names; that of incoming calls waits for a carrier.
        .filter(|port| !port.port_name.starts_with("/dev/tty."))
        .filter(|port| !HIDDEN.iter().any(|name| port.port_name.ends_with(name)))
        .map(|port| Port {
            path: port.port_name,
            usb: match port.port_type {
                SerialPortType::UsbPort(usb) => Some(UsbId {
                    vendor: usb.vid,
                    product: usb.pid,
                    serial: usb.serial_number,
                    name: usb.product,
                    location: None,
                }),
                _ => None,
            },
        })
        .collect();
    // The one that was plugged in last comes last there.
    if cfg!(target_os = "macos") {
        ports.reverse();
    }
    ports
}

fn usb_id(path: &str) -> Option<UsbId> {
    // A device's two names on macOS differ in their beginning; links lead to either.
    let resolved = std::fs::canonicalize(path)
        .ok()
        .filter(|_| cfg!(target_os = "macos"))
        .and_then(|path| path.to_str().map(str::to_owned));
    let name = resolved.as_deref().unwrap_or(path);
    let name = name.replacen("/dev/tty.", "/dev/cu.", 1);
    list()
        .into_iter()
        .find(|port| port.path.eq_ignore_ascii_case(&name))
        .and_then(|port| port.usb)
}
