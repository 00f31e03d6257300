//! Who the chip is: the words that identity, revision and MAC are read from.

use std::collections::BTreeMap;

use guru_chip::{
    AssumedCrystal, Bits, Chip, Crystal, Detection, EfuseBlock, Field, MAGIC_ADDRESS, MacAddress,
    MacLayout, Quirk, Revision,
};
use thiserror::Error;

/// Words that a program cannot change: eFuse, and what else tells the chip.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(BTreeMap<u32, u32>);

/// Bytes of a key block.
const KEY: usize = 32;

/// Why a chip cannot be what it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// The chip has no such field.
    #[error("{chip} has no field '{field}'; {known}")]
    NoField {
        /// Name of the chip.
        chip: &'static str,
        /// The field asked for.
        field: String,
        /// Fields with names like it, or else all.
        known: String,
    },
    /// The value does not fit into the field's bits.
    #[error("{chip}: {field}={value}: expected {expected}")]
    Value {
        /// Name of the chip.
        chip: &'static str,
        /// The field.
        field: String,
        /// The value.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A key cannot be read.
    #[error("{field}: {expected}")]
    Key {
        /// The block.
        field: String,
        /// What is wrong, and what would be right.
        expected: String,
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

/// The newest revision whose boot log is known and whose loader finds its flash powered.
pub(crate) fn default_revision(chip: &Chip) -> Revision {
    let known = chip.rom.banners.iter();
    known
        .map(|banner| Revision(banner.min_revision))
        .filter(|revision| !may_leave_flash_off(chip, *revision))
        .max()
        .unwrap_or_default()
}

/// Whether the flash of this chip may have no supply in the loader until a client switches it on:
/// ESP32-P4 v3.1, and v3.2 unless an eFuse says otherwise.
pub(crate) fn may_leave_flash_off(chip: &Chip, revision: Revision) -> bool {
    chip.quirks.contains(&Quirk::FlashPowerUp)
        && [Revision::new(3, 1), Revision::new(3, 2)].contains(&revision)
}

/// The crystal that boards of this chip usually carry, in MHz: the boot log comes at 115200 baud
/// with 40 MHz, and proportionally slower or faster with another one.
pub(crate) fn default_crystal(chip: &Chip) -> u8 {
    match chip.crystal {
        Crystal::Fixed(mhz) => mhz,
        Crystal::Estimated {
            assumed: AssumedCrystal::Register { usual, .. },
            ..
        } => usual,
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
        fields: &[(String, String)],
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
        // What a key is for decides how its block holds it.
        let is_key = |name: &str| key_block(chip, name).is_some();
        for (name, value) in fields.iter().filter(|(name, _)| !is_key(name)) {
            words.set_named(chip, shown, name, value)?;
        }
        for (name, value) in fields {
            if let Some(block) = key_block(chip, name) {
                words.set_key(chip, name, block, value)?;
            }
        }
        words.set_mac(chip, mac);
        if let Crystal::Estimated {
            assumed: AssumedCrystal::Register { bits, usual },
            ..
        } = chip.crystal
        {
            words.set(bits, usual.into());
        }
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

    /// Sets a field by its name in the tables of the eFuse, or in those of the identity.
    fn set_named(
        &mut self,
        chip: &'static Chip,
        revision: Revision,
        name: &str,
        value: &str,
    ) -> Result<(), IdentityError> {
        let wrong = |width: u32| IdentityError::Value {
            chip: chip.name,
            field: name.to_owned(),
            value: value.to_owned(),
            expected: format!("a number from 0 to {}", mask(width.min(32) as u8)),
        };
        let number = parse_number(value);
        if let Some(field) = chip.efuse.field_of(revision, name) {
            let width = field.width();
            let runs = number.and_then(|number| field.split(number));
            for (run, piece) in runs.ok_or_else(|| wrong(width))? {
                self.set(run, piece);
            }
            return Ok(());
        }
        let fields = chip.identity.fields;
        if let Some(field) = fields.iter().find(|field| field.name == name) {
            let number = number.ok_or_else(|| wrong(field.width()))?;
            return self.set_field(chip, field, number);
        }
        let keys = chip.efuse.blocks.iter().map(|block| block.name);
        let known = fields.iter().map(|field| field.name);
        let known = known.chain(keys.filter(|name| name.starts_with("key")));
        let known: Vec<_> = known
            .chain(chip.efuse.fields_of(revision).map(|field| field.name))
            .collect();
        Err(IdentityError::NoField {
            chip: chip.name,
            field: name.to_owned(),
            known: like(name, &known),
        })
    }

    /// Puts a key into its block: its bytes as hexadecimal digits, or `@` and a file of them. One for
    /// flash encryption is held in reverse.
    fn set_key(
        &mut self,
        chip: &'static Chip,
        name: &str,
        block: EfuseBlock,
        value: &str,
    ) -> Result<(), IdentityError> {
        let error = |expected: String| IdentityError::Key {
            field: name.to_owned(),
            expected,
        };
        let mut key = match value.strip_prefix('@') {
            Some(path) => std::fs::read(path).map_err(|e| error(format!("{path}: {e}")))?,
            None => parse_bytes(value).ok_or_else(|| {
                error("expected the key's bytes in hexadecimal, or @ and its file".to_owned())
            })?,
        };
        let half = chip.efuse.field("XTS_KEY_LENGTH_256").is_some();
        if key.len() != KEY && !(half && key.len() == KEY / 2) {
            let length = key.len();
            return Err(error(format!("the key has {length} bytes, and not {KEY}")));
        }
        if self.is_flash_key(chip, block) {
            key.reverse();
        }
        for (index, word) in (0..).zip(key.chunks_exact(4)) {
            let word = word.iter().rev();
            let word = word.fold(0, |word, byte| word << 8 | u32::from(*byte));
            self.put(block.addr + 4 * index, word);
        }
        Ok(())
    }

    fn is_flash_key(&self, chip: &Chip, block: EfuseBlock) -> bool {
        let security = &chip.security;
        if let Some(only) = &security.crypt_block {
            return only.key == block.addr;
        }
        let index = block.name.strip_prefix("key");
        let index = index.and_then(|index| index.parse::<usize>().ok());
        let bits = index.and_then(|index| security.key_purposes.get(index));
        bits.is_some_and(|bits| {
            let purpose = self.get(*bits);
            security.xts_keys.iter().any(|set| set.contains(&purpose))
        })
    }

    /// The word at an address as a program reads it: of a key that is protected it sees zeros.
    pub fn seen(&self, chip: &Chip, address: u32) -> Option<u32> {
        let value = self.read(address)?;
        let hidden = chip.efuse.field("RD_DIS").is_some_and(|field| {
            let bits = field.parts.first().map_or(0, |bits| self.get(*bits));
            let mut blocks = protected(chip);
            blocks.any(|(bit, block)| {
                bits >> bit & 1 != 0
                    && (block.addr..block.addr + 4 * block.words).contains(&address)
            })
        });
        Some(if hidden { 0 } else { value })
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
        let width = field.width();
        let error = || IdentityError::Value {
            chip: chip.name,
            field: field.name.to_owned(),
            value: value.to_string(),
            expected: if field.map.is_empty() {
                format!("a number from 0 to {}", mask(width.min(32) as u8))
            } else {
                let values: Vec<_> = field
                    .map
                    .iter()
                    .map(|(_, value)| value.to_string())
                    .collect();
                format!("one of {}", values.join(", "))
            },
        };
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
        for (run, piece) in field.split(raw).ok_or_else(error)? {
            self.set(run, piece);
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

/// What to try in place of a name that is not known: what holds it or is held by it, whatever the
/// case, or begins as it does; or else all.
fn like(name: &str, known: &[&str]) -> String {
    let upper = |name: &str| name.to_ascii_uppercase();
    let asked = upper(name);
    let alike = |known: &&&str| {
        let known = upper(known);
        let begins = asked.bytes().zip(known.bytes());
        let same = begins.take_while(|(a, b)| a == b).count();
        known.contains(&asked) || asked.contains(&known) || same * 2 > known.len()
    };
    let close: Vec<&str> = known.iter().filter(alike).copied().collect();
    if close.is_empty() || asked.is_empty() {
        format!("it has {}", known.join(", "))
    } else {
        format!("there is {}", close.join(", "))
    }
}

/// The key block of a name such as `KEY0`, `BLOCK_KEY0` or `BLOCK3`.
fn key_block(chip: &Chip, name: &str) -> Option<EfuseBlock> {
    let name = name.to_ascii_lowercase();
    let bare = name.strip_prefix("block_").unwrap_or(&name);
    let found = match bare.strip_prefix("block") {
        Some(number) => chip.efuse.block(&format!("blk{number}")),
        None => chip
            .efuse
            .block(bare)
            .filter(|block| block.name.starts_with("key")),
    };
    let only = chip.security.crypt_block.as_ref();
    let only = only.filter(|_| bare == "key0").map(|block| EfuseBlock {
        name: "key0",
        addr: block.key,
        words: KEY as u32 / 4,
    });
    found
        .filter(|block| block.words as usize * 4 == KEY)
        .or(only)
}

/// Blocks that can be protected from reading, each with its bit of RD_DIS.
fn protected(chip: &Chip) -> impl Iterator<Item = (usize, EfuseBlock)> {
    let first = chip.security.crypt_block.as_ref();
    let blocks = chip.efuse.blocks.iter().copied();
    blocks
        .filter(move |block| match first {
            Some(first) => block.addr >= first.key,
            None => block.name.starts_with("key"),
        })
        .enumerate()
}

/// The clock that the ROM believes to divide for a baud rate, in Hz, where it may be wrong. On the
/// ESP32 it follows from calibration cycles and the oscillator's trim (rule of
/// `ets_get_detected_xtal_freq`).
pub(crate) fn believed_clock(chip: &Chip, words: &Words) -> Option<u32> {
    if let Ok(Some(mhz)) = chip.crystal.assumed(&|address| words.read(address)) {
        return Some(u32::from(mhz) * 1_000_000);
    }
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

/// A number, decimal or behind `0x`.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| {
            let digit = |byte: u8| (byte as char).to_digit(16);
            Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
        })
        .collect()
}

fn mask(width: u8) -> u32 {
    u32::MAX.checked_shr(32 - u32::from(width)).unwrap_or(0)
}
