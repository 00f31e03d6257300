//! What burnt eFuses do: to the loader, to what it says of itself, and to what it writes.

use guru_chip::{Bits, Chip, Revision};
use guru_wire::Grants;
use sha2::{Digest, Sha256};

use crate::identity::Words;
use crate::options::UsbMode;
use crate::xts::Xts;

/// The words of a chip, read as its ROM reads them.
#[derive(Clone, Copy)]
pub(crate) struct Fuses<'a> {
    pub chip: &'static Chip,
    pub revision: Revision,
    pub words: &'a Words,
    /// What a certificate has opened.
    pub grants: Grants,
}

impl Fuses<'_> {
    /// The ROM does not enter its loader.
    pub fn download_disabled(&self) -> bool {
        let rules = self.chip.efuse.download.as_ref();
        rules
            .filter(|_| !self.grants.download)
            .is_some_and(|rules| {
                rules.disabled_since <= self.revision.0 && self.is_odd(rules.disabled)
            })
    }

    /// Secure Download Mode.
    pub fn secure_download(&self) -> bool {
        let rules = self.chip.efuse.download.as_ref();
        let secure = rules.and_then(|rules| rules.secure);
        let opened = self.grants.download;
        secure.is_some_and(|name| self.is_odd(name)) && !self.download_disabled() && !opened
    }

    /// The ROM knows the commands of the secure download certificate.
    pub fn takes_certificates(&self) -> bool {
        let rules = self.chip.efuse.certificate.as_ref();
        rules.is_some_and(|rules| self.is_odd(rules.enabled))
    }

    /// Of the loader there are only those commands, and what is needed to say them.
    pub fn certificate_only(&self) -> bool {
        self.download_disabled() && self.takes_certificates() && self.grants == Grants::default()
    }

    /// Whether a key block of this purpose holds these bytes.
    pub fn has_key(&self, purpose: u8, bytes: &[u8; 32]) -> bool {
        let purposes = self.chip.security.key_purposes.iter().enumerate();
        purposes
            .filter(|(_, bits)| self.words.get(**bits) == u32::from(purpose))
            .filter_map(|(index, _)| self.chip.efuse.block(&format!("key{index}")))
            .any(|block| self.bytes_at(block.addr) == *bytes)
    }

    /// A field's value.
    pub fn value(&self, name: &str) -> u32 {
        let Some(field) = self.chip.efuse.field(name) else {
            return 0;
        };
        // What was not set reads as zeros.
        let word = |address| Some(self.words.read(address).unwrap_or(0));
        field.read(&word).unwrap_or(0)
    }

    /// Whether the loader listens to this connection.
    pub fn loader_listens(&self, usb: UsbMode) -> bool {
        let Some(rules) = &self.chip.efuse.download else {
            return true;
        };
        let against = match usb {
            UsbMode::Uart => return true,
            UsbMode::Jtag => rules.no_serial_jtag,
            UsbMode::Otg => rules.no_otg,
        };
        !against.iter().any(|name| self.is_odd(name))
    }

    /// The USB-Serial/JTAG peripheral is switched off as a whole.
    pub fn no_serial_jtag(&self) -> bool {
        self.is_odd("DIS_USB_SERIAL_JTAG")
    }

    /// Secure boot, of any version.
    pub fn secure_boot(&self) -> bool {
        let boot = self.chip.security.secure_boot.iter();
        boot.filter(|(_, from)| *from <= self.revision.0)
            .any(|(bits, _)| self.words.get(*bits) != 0)
    }

    /// The loader may not encrypt.
    pub fn manual_encrypt_forbidden(&self) -> bool {
        let bits = self.chip.security.no_manual_encrypt;
        bits.is_some_and(|bits| self.words.get(bits) != 0)
    }

    /// What is read from flash to be run is decrypted first.
    pub fn flash_encrypted(&self) -> bool {
        let count = self.chip.security.crypt_count;
        count.is_some_and(|bits| self.words.get(bits).count_ones() % 2 == 1)
    }

    /// The flags of GET_SECURITY_INFO that show a field each.
    pub fn info_flags(&self) -> u32 {
        let flags = self.chip.efuse.info_flags.iter();
        flags
            .filter(|(_, name)| self.is_odd(name))
            .fold(0, |all, (bit, _)| all | 1 << bit)
    }

    /// The key that the chip's flash encryption uses; all zeros where none is burnt (technical
    /// reference manuals, "Key"). `None`: the ESP32, whose cipher is another one.
    pub fn flash_key(&self) -> Option<Xts> {
        let security = &self.chip.security;
        if let Some(block) = &security.crypt_block {
            return self.only_key(block.key);
        }
        let key_of = |purpose: u32| {
            let place = |bits: &Bits| self.words.get(*bits) == purpose;
            let index = security.key_purposes.iter().position(place)?;
            let block = self.chip.efuse.block(&format!("key{index}"))?;
            Some(self.key_at(block.addr))
        };
        for set in security.xts_keys {
            match *set {
                [one] => {
                    if let Some(key) = key_of(*one) {
                        return Some(Xts::with_128(&key));
                    }
                }
                [first, second] => {
                    // One half alone is used beside zeros.
                    let halves = (key_of(*first), key_of(*second));
                    if halves != (None, None) {
                        let (first, second) = halves;
                        return Some(Xts::with_256(
                            &first.unwrap_or_default(),
                            &second.unwrap_or_default(),
                        ));
                    }
                }
                _ => {}
            }
        }
        Some(Xts::with_128(&[0; 32]))
    }

    /// Whether an odd number of a field's bits is set.
    fn is_odd(&self, name: &str) -> bool {
        let field = self.chip.efuse.field_of(self.revision, name);
        let ones = field.map_or(0, |field| {
            let parts = field.parts.iter();
            parts.map(|part| self.words.get(*part).count_ones()).sum()
        });
        ones % 2 == 1
    }

    /// The key in a block that holds nothing but it. Half a block is a key from which the one that
    /// is used is derived.
    fn only_key(&self, address: u32) -> Option<Xts> {
        let whole = self.chip.efuse.field("XTS_KEY_LENGTH_256")?;
        let key = self.key_at(address);
        if whole.parts.iter().any(|bits| self.words.get(*bits) != 0) {
            return Some(Xts::with_128(&key));
        }
        let half = &key[16..];
        Some(Xts::with_128(&Sha256::digest(half).into()))
    }

    /// A key as its file holds it: eFuse holds the bytes in reverse.
    fn key_at(&self, address: u32) -> [u8; 32] {
        let mut key = self.bytes_at(address);
        key.reverse();
        key
    }

    /// The bytes of a block of eFuse.
    fn bytes_at(&self, address: u32) -> [u8; 32] {
        let mut key = [0; 32];
        for (word, bytes) in (0..).zip(key.chunks_exact_mut(4)) {
            let word = self.words.read(address + 4 * word).unwrap_or(0);
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        key
    }
}
