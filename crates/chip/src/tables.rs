//! The tables themselves, and how an entry is found.

use std::ops::Range;

use crate::Revision;
use crate::model::*;
use crate::registers::*;

include!(concat!(env!("OUT_DIR"), "/chips.rs"));

/// A chip id that image headers and GET_SECURITY_INFO can show, in or out of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownChip {
    /// The id.
    pub chip_id: u16,
    /// Name on the command line, such as `esp32c6`.
    pub id: &'static str,
    /// Name in print, such as `ESP32-C6`.
    pub name: &'static str,
    /// An early sample that nobody supports any more.
    pub dropped: bool,
}

impl KnownChip {
    /// The chip's entry, when this version has one.
    #[must_use]
    pub fn entry(&self) -> Option<&'static Chip> {
        by_id(self.id)
    }
}

/// A USB-to-serial adapter, or the USB device that a chip itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adapter {
    /// USB vendor id.
    pub vendor: u16,
    /// USB product id; `None`: any product of the vendor that has no entry of its own.
    pub product: Option<u16>,
    /// Name in print.
    pub name: &'static str,
    /// Highest baud rate that works with ordinary boards and cables; `None`: the rate has no effect.
    pub max_baud: Option<u32>,
    /// DTR and RTS take part in the adapter's hardware flow control, so that a change of DTR behind
    /// the reset sequence resets the chip again: leave the last one out.
    pub lines_flow_control: bool,
    /// What else a person should know; may be empty.
    pub note: &'static str,
}

/// What to tell a person about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Dotted name, such as `connect.no-answer`.
    pub id: &'static str,
    /// What is seen.
    pub symptom: &'static str,
    /// What most often lies behind it.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Where more is written; may be empty.
    pub link: &'static str,
}

/// The chip of a name as people write it: case, hyphens and underscores do not count.
#[must_use]
pub fn by_id(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().copied().find(|chip| same_name(chip.id, name))
}

/// The chip whose images and security info carry this chip id.
#[must_use]
pub fn by_chip_id(chip_id: u16) -> Option<&'static Chip> {
    CHIPS
        .iter()
        .copied()
        .find(|chip| chip.image.chip_id == Some(chip_id))
}

/// The chip with this word at [`MAGIC_ADDRESS`], among those that are told by it.
#[must_use]
pub fn by_magic(magic: u32) -> Option<&'static Chip> {
    CHIPS
        .iter()
        .copied()
        .find(|chip| chip.detection == Detection::Magic(magic))
}

/// What is known about a chip id, whether or not this version has an entry for the chip.
#[must_use]
pub fn known_chip_id(chip_id: u16) -> Option<&'static KnownChip> {
    KNOWN.iter().find(|known| known.chip_id == chip_id)
}

/// What is known about a name, written as for [`by_id`], of a chip that has a chip id.
#[must_use]
pub fn known_name(name: &str) -> Option<&'static KnownChip> {
    KNOWN.iter().find(|known| same_name(known.id, name))
}

/// The adapter with these USB ids: the product's own entry, else the vendor's.
#[must_use]
pub fn adapter(vendor: u16, product: u16) -> Option<&'static Adapter> {
    let of_vendor = || ADAPTERS.iter().filter(|adapter| adapter.vendor == vendor);
    of_vendor()
        .find(|adapter| adapter.product == Some(product))
        .or_else(|| of_vendor().find(|adapter| adapter.product.is_none()))
}

/// The hint with this id.
#[must_use]
pub fn hint(id: &str) -> Option<&'static Hint> {
    HINTS.iter().find(|hint| hint.id == id)
}

/// Compares a name in small letters and digits with one as a person wrote it.
fn same_name(id: &str, written: &str) -> bool {
    let written = written.chars().filter(|c| !matches!(c, '-' | '_'));
    id.chars().eq(written.map(|c| c.to_ascii_lowercase()))
}
