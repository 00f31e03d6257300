use guru_chip::Eui64;
use serde::Serialize;

/// What is known about the device after connecting.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceInfo {
    /// Name of the port.
    pub port: String,
    /// Name of the chip, such as `ESP32-C3`.
    pub chip: &'static str,
    /// Part and revision, such as `ESP32-C3 (QFN32) (revision v0.4)`; absent in Secure Download
    /// Mode, where eFuse cannot be read.
    pub description: Option<String>,
    /// Features, as data sheets call them; empty in Secure Download Mode.
    pub features: Vec<String>,
    /// Crystal in MHz; absent where it cannot be told.
    pub crystal_mhz: Option<u8>,
    /// How the chip is reached over its own USB; absent with a UART.
    pub usb_mode: Option<UsbMode>,
    /// Base MAC; absent in Secure Download Mode.
    pub mac: Option<String>,
    /// The longer address, on chips with IEEE 802.15.4; absent in Secure Download Mode.
    #[serde(flatten)]
    pub extended_mac: Option<ExtendedMac>,
    /// Whether the chip is in Secure Download Mode.
    pub secure_download: bool,
}

/// What the base MAC becomes with two more bytes in its middle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExtendedMac {
    /// The whole address.
    pub eui64: String,
    /// The two bytes.
    pub mac_extension: String,
}

impl From<Eui64> for ExtendedMac {
    fn from(eui64: Eui64) -> Self {
        let [x, y] = eui64.extension();
        Self {
            eui64: eui64.to_string(),
            mac_extension: format!("{x:02x}:{y:02x}"),
        }
    }
}

/// How the chip is reached over its own USB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsbMode {
    /// The USB-Serial/JTAG peripheral.
    SerialJtag,
    /// The ROM's CDC device on USB-OTG.
    Otg,
}

impl UsbMode {
    /// Name in print.
    pub fn name(self) -> &'static str {
        match self {
            Self::SerialJtag => "USB-Serial/JTAG",
            Self::Otg => "USB-OTG",
        }
    }
}

/// What is known about the flash.
#[derive(Debug, Clone, Serialize)]
pub struct FlashInfo {
    /// JEDEC id as RDID answers it: manufacturer, type, capacity, manufacturer in the low byte.
    pub jedec_id: u32,
    /// Manufacturer byte.
    pub manufacturer: u8,
    /// Type and capacity bytes, type in the high byte.
    pub device: u16,
    /// Size in bytes, if the id tells it.
    pub size: Option<u64>,
    /// Label of the size, if the id tells it.
    pub size_label: Option<&'static str>,
    /// Data lines that eFuse names: 4 or 8.
    pub data_lines: Option<u8>,
    /// Voltage and what sets it.
    pub voltage: Option<FlashVoltage>,
}

/// Voltage of the flash.
#[derive(Debug, Clone, Serialize)]
pub struct FlashVoltage {
    /// Such as `3.3V`.
    pub volts: &'static str,
    /// Such as `a strapping pin`.
    pub source: &'static str,
}
