//! Functions and variables of the mask ROM: `chips/rom/NAME.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What is known of one chip's ROM.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RomCode {
    pub code: Vec<Code>,
}

/// The ROM of one revision and those that follow.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    pub min_revision: u16,
    pub functions: BTreeMap<String, Addresses>,
    pub data: Data,
}

/// Where a function begins. Several addresses are the same function in ROMs that are not told apart
/// here, or under several names.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Addresses {
    One(u32),
    Several(Vec<u32>),
}

/// Variables of the ROM, by address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub flash_chip: u32,
    pub flash_chip_pointer: Option<u32>,
    pub uart_device: Option<u32>,
    pub usb_device_pointer: Option<u32>,
    pub serial_jtag_number: Option<u8>,
    pub otg_number: Option<u8>,
    pub eco_version: Option<u32>,
    #[serde(default)]
    pub eco_versions: Vec<(u16, u32)>,
    #[serde(default)]
    pub words: Vec<(u32, u32)>,
}

impl Addresses {
    fn all(&self) -> &[u32] {
        match self {
            Self::One(address) => std::slice::from_ref(address),
            Self::Several(addresses) => addresses,
        }
    }
}

impl RomCode {
    /// What is wrong with it; `file` names the chip.
    pub fn check(&self, file: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut fail = |key: &str, what: String| {
            problems.push(format!("chips/rom/{file}.toml: {key}: {what}"));
        };
        let revisions: Vec<u16> = self.code.iter().map(|code| code.min_revision).collect();
        if revisions.first() != Some(&0) || !revisions.is_sorted_by(|a, b| a < b) {
            fail(
                "code",
                format!("min_revision must begin with 0 and ascend: {revisions:?}"),
            );
        }
        for code in &self.code {
            let mut seen = BTreeMap::new();
            for (name, addresses) in &code.functions {
                if addresses.all().is_empty() {
                    fail(name, "no address".into());
                }
                for address in addresses.all() {
                    if let Some(other) = seen.insert(*address, name) {
                        fail(name, format!("{address:#010x} is {other} already"));
                    }
                }
            }
            let data = &code.data;
            let pointers = [data.flash_chip_pointer, data.usb_device_pointer];
            let known = pointers
                .iter()
                .flatten()
                .chain([&data.flash_chip])
                .chain(&data.uart_device);
            for address in known.chain(&data.eco_version) {
                if !address.is_multiple_of(4) {
                    fail(
                        "data",
                        format!("{address:#010x} is not the address of a word"),
                    );
                }
            }
            if data.eco_version.is_some() == data.eco_versions.is_empty() {
                fail(
                    "data.eco_versions",
                    "must be there with eco_version, and only then".into(),
                );
            }
        }
        problems
    }

    /// The table as Rust.
    pub fn emit(&self) -> String {
        let entries: Vec<String> = self.code.iter().map(Code::emit).collect();
        format!("&[{}]", entries.join(", "))
    }
}

impl Code {
    fn emit(&self) -> String {
        let functions: Vec<String> = self
            .functions
            .iter()
            .map(|(name, addresses)| {
                let all: Vec<String> = addresses
                    .all()
                    .iter()
                    .map(|address| format!("{address:#010x}_u32"))
                    .collect();
                format!("({name:?}, &[{}] as &[u32])", all.join(", "))
            })
            .collect();
        let data = &self.data;
        format!(
            "RomCode {{ min_revision: {}, functions: &[{}], data: RomData {{ flash_chip: {:#x}, \
             flash_chip_pointer: {:?}, uart_device: {:?}, usb_device_pointer: {:?}, \
             serial_jtag_number: {:?}, otg_number: {:?}, eco_version: {:?}, eco_versions: &{:?}, \
             words: &{:?} }} }}",
            self.min_revision,
            functions.join(", "),
            data.flash_chip,
            data.flash_chip_pointer,
            data.uart_device,
            data.usb_device_pointer,
            data.serial_jtag_number,
            data.otg_number,
            data.eco_version,
            data.eco_versions,
            data.words,
        )
    }
}
