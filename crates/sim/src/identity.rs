//! Who the chip is: the words that identity, revision and MAC are read from.

use std::collections::BTreeMap;

use guru_chip::{Bits, Chip, Crystal, Detection, Field, MAGIC_ADDRESS, MacAddress, MacLayout};
use guru_chip::{Quirk, Revision};
use thiserror::Error;

/// Words that a program can read and not change: eFuse, and what else tells the chip.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(BTreeMap<u32, u32>);

/// Why a chip cannot be what it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// The chip has no such field.
    #[error("{chip} has no field '{field}'; it has {known}")]
    NoField {
        /// Name of the chip.
        chip: &'static str,
        /// The field asked for.
        field: String,
        /// The fields that it has.
        known: String,
    },
    /// The value does not fit into the field's bits.
    #[error("{chip} cannot show {value} as {field}")]
    Value {
        /// Name of the chip.
        chip: &'static str,
        /// The field.
        field: String,
        /// The value.
        value: u32,
    },
    /// The chip's revision is not in any register.
    #[error("{0} has no revision that could be set")]
    NoRevision(&'static str),
    /// The chip has another crystal, always.
    #[error("{chip} has no {mhz} MHz crystal")]
    Crystal {
        /// Name of the chip.
        chip: &'static str,
        /// The frequency asked for, in MHz.
        mhz: u8,
    },
}

/// MAC of a simulated chip that was given none.
pub(crate) const DEFAULT_MAC: MacAddress = MacAddress([0x7C, 0xDF, 0xA1, 0x00, 0x00, 0x01]);

/// What makes an EUI-64 of a MAC, in the chips that have one.
const DEFAULT_EXTENSION: [u8; 2] = [0xFF, 0xFE];

/// The trim of the internal oscillator that a simulated chip has.
const CK8M_TRIM: u32 = 136;

/// The newest revision whose boot log is known.
pub(crate) fn default_revision(chip: &Chip) -> Revision {
    let newest = chip.rom.banners.iter().map(|banner| banner.min_revision);
    Revision(newest.max().unwrap_or(0))
}

/// The crystal that boards of this chip usually carry, in MHz: the boot log comes at 115200 baud
/// with 40 MHz, and proportionally slower or faster with another one.
pub(crate) fn default_crystal(chip: &Chip) -> u8 {
    match chip.crystal {
        Crystal::Fixed(mhz) => mhz,
        Crystal::Estimated { choices, .. } => {
            let usual = chip.rom.log_baud * 40 / 115_200;
            let nearest = choices
                .iter()
                .min_by_key(|choice| u32::from(**choice).abs_diff(usual));
            nearest.copied().unwrap_or(40)
        }
    }
}

/// Checks that boards of this chip can carry the crystal.
pub(crate) fn check_crystal(chip: &'static Chip, mhz: u8) -> Result<(), IdentityError> {
    let known = match chip.crystal {
        Crystal::Fixed(fixed) => fixed == mhz,
        Crystal::Estimated { choices, .. } => choices.contains(&mhz),
    };
    if known {
        Ok(())
    } else {
        Err(IdentityError::Crystal {
            chip: chip.name,
            mhz,
        })
    }
}

impl Words {
    /// Words of a chip with this revision, MAC and crystal; `drift` is by how much its internal
    /// oscillator is fast, in parts of 1.
    pub fn new(
        chip: &'static Chip,
        revision: Option<Revision>,
        mac: MacAddress,
        fields: &[(String, u32)],
        crystal: u8,
        drift: f64,
    ) -> Result<Self, IdentityError> {
        let mut words = Self::default();
        if let Detection::Magic(magic) = chip.detection {
            words.0.insert(MAGIC_ADDRESS, magic);
        }
        let shown = revision.unwrap_or_else(|| default_revision(chip));
        let parts = [("major", shown.major()), ("minor", shown.minor())];
        for (name, value) in parts {
            match chip.identity.fields.iter().find(|field| field.name == name) {
                Some(field) => words.set_field(chip, field, u32::from(value))?,
                None if value != 0 && revision.is_some() => {
                    return Err(IdentityError::NoRevision(chip.name));
                }
                None => {}
            }
        }
        for (name, value) in fields {
            let Some(field) = chip.identity.fields.iter().find(|field| field.name == name) else {
                let known: Vec<_> = chip
                    .identity
                    .fields
                    .iter()
                    .map(|field| field.name)
                    .collect();
                return Err(IdentityError::NoField {
                    chip: chip.name,
                    field: name.clone(),
                    known: known.join(", "),
                });
            };
            words.set_field(chip, field, *value)?;
        }
        words.set_mac(chip, mac);
        if chip.quirks.contains(&Quirk::BaudFromRtcCalibration) {
            let named = |name| chip.named_bits.iter().find(|(known, _)| *known == name);
            if let (Some((_, ck8m)), Some((_, calibration))) =
                (named("ck8m"), named("rtc_calibration"))
            {
                words.set(*ck8m, CK8M_TRIM);
                let cycles = f64::from(crystal) * 1e6 * 40.0 / (15_625.0 * f64::from(CK8M_TRIM));
                words.set(*calibration, (cycles * (1.0 + drift)).round() as u32);
            }
        }
        Ok(words)
    }

    /// The word at an address, if it is one of these.
    pub fn read(&self, address: u32) -> Option<u32> {
        self.0.get(&address).copied()
    }

    /// The value of a run of bits.
    pub fn get(&self, bits: Bits) -> u32 {
        self.read(bits.addr).unwrap_or(0) >> bits.lsb & mask(bits.width)
    }

    /// Overrides a whole word.
    pub fn put(&mut self, address: u32, value: u32) {
        self.0.insert(address, value);
    }

    pub fn set(&mut self, bits: Bits, value: u32) {
        let word = self.0.entry(bits.addr).or_insert(0);
        let mask = mask(bits.width) << bits.lsb;
        *word = *word & !mask | value << bits.lsb & mask;
    }

    fn set_field(
        &mut self,
        chip: &'static Chip,
        field: &Field,
        value: u32,
    ) -> Result<(), IdentityError> {
        let error = || IdentityError::Value {
            chip: chip.name,
            field: field.name.to_owned(),
            value,
        };
        let width: u32 = field.parts.iter().map(|part| u32::from(part.width)).sum();
        let raw = if field.map.is_empty() {
            value
        } else {
            let listed = field.map.iter().find(|(_, meaning)| *meaning == value);
            // A raw value that is not listed means 0.
            let unlisted = || {
                (0..=mask(width.min(16) as u8))
                    .find(|raw| field.map.iter().all(|(listed, _)| listed != raw))
                    .filter(|_| value == 0)
            };
            listed
                .map(|(raw, _)| *raw)
                .or_else(unlisted)
                .ok_or_else(error)?
        };
        if width < 32 && raw >> width != 0 {
            return Err(error());
        }
        let mut rest = raw;
        for part in field.parts {
            self.set(*part, rest & mask(part.width));
            rest = rest.checked_shr(u32::from(part.width)).unwrap_or(0);
        }
        Ok(())
    }

    fn set_mac(&mut self, chip: &Chip, mac: MacAddress) {
        let [a, b, c, d, e, f] = mac.0;
        let layout = &chip.identity.mac;
        let or = |words: &mut Self, address, value| *words.0.entry(address).or_insert(0) |= value;
        match layout.layout {
            MacLayout::Plain | MacLayout::Eui64 => {
                or(self, layout.low, u32::from_be_bytes([c, d, e, f]));
                let [x, y] = match layout.layout {
                    MacLayout::Eui64 => DEFAULT_EXTENSION,
                    _ => [0; 2],
                };
                or(self, layout.high, u32::from_be_bytes([x, y, a, b]));
            }
            MacLayout::Esp8266 { oui } => {
                or(self, layout.low, u32::from(f) << 24);
                or(self, layout.high, u32::from_be_bytes([0, 0, d, e]));
                let bare = self.read(oui).unwrap_or(0) == 0;
                match [a, b, c] {
                    [0x18, 0xFE, 0x34] if bare => {}
                    [0xAC, 0xD0, 0x74] if bare => or(self, layout.high, 1 << 16),
                    _ => or(self, oui, u32::from_be_bytes([0, a, b, c])),
                }
            }
        }
    }
}

/// The clock that the ESP32's ROM believes to divide for a baud rate, in Hz (rule of
/// `ets_get_detected_xtal_freq`): calibration cycles and the oscillator's trim.
pub(crate) fn believed_clock(chip: &Chip, words: &Words) -> Option<u32> {
    if !chip.quirks.contains(&Quirk::BaudFromRtcCalibration) {
        return None;
    }
    let value = |name| {
        let bits = chip.named_bits.iter().find(|(known, _)| *known == name)?;
        Some(u64::from(words.get(bits.1)))
    };
    let clock = value("rtc_calibration")? * 15_625 * (value("ck8m")? & 0xFF) / 40;
    u32::try_from(clock).ok()
}

fn mask(width: u8) -> u32 {
    u32::MAX.checked_shr(32 - u32::from(width)).unwrap_or(0)
}
