//! What a chip's security features stand against, refused before it is tried.

use std::fmt;

use serde::Serialize;

/// A step that would break a device; `--force` overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// A write below 0x8000 under Secure Boot V1.
    SecureBootV1,
    /// A write below 0x2000 where the Key Manager holds the key of the flash encryption.
    KeyManager,
    /// A write of plain text under flash encryption, in Secure Download Mode.
    PlainInSecureDownload,
    /// A write of plain text under flash encryption, where the loader may not encrypt.
    PlainInReleaseMode,
    /// An erase below 0x2000 where the Key Manager holds the key of the flash encryption.
    EraseKeyManager,
    /// An erase under flash encryption.
    EraseEncrypted,
    /// An erase under secure boot.
    EraseSecureBoot,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecureBootV1 => {
                "Secure Boot V1 is on: writing below 0x8000 would replace the bootloader that the \
                 chip trusts"
            }
            Self::KeyManager => {
                "flash encryption uses the Key Manager: 0x0 to 0x2000 holds what recovers its keys"
            }
            Self::PlainInSecureDownload => {
                "flash encryption and Secure Download Mode are on: plain text would not boot"
            }
            Self::PlainInReleaseMode => {
                "flash encryption is on and the loader may not encrypt: plain text would not boot"
            }
            Self::EraseKeyManager => {
                "flash encryption uses the Key Manager: without what recovers its keys, in 0x0 to \
                 0x2000, the device does not boot again"
            }
            Self::EraseEncrypted => "flash encryption is on: an erased device may not boot again",
            Self::EraseSecureBoot => "secure boot is on: an erased device may not boot again",
        })
    }
}

/// Why a chip cannot encrypt what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CannotEncrypt {
    /// It has no flash encryption (ESP8266).
    NoEncryption {
        /// Name of the chip.
        chip: &'static str,
    },
    /// Its ROM's loader cannot (ESP32).
    Rom {
        /// Name of the chip.
        chip: &'static str,
    },
    /// eFuse forbids it: flash encryption in release mode.
    Forbidden,
    /// FLASH_CRYPT_CONFIG is not 0xF.
    CryptConfig(u32),
    /// No key is burnt.
    NoKey,
    /// A file does not begin on a boundary of the cipher.
    Unaligned {
        /// First byte in flash.
        address: u32,
        /// Bytes of which the address must be a multiple.
        align: u32,
    },
}

impl fmt::Display for CannotEncrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEncryption { chip } => write!(f, "{chip} has no flash encryption"),
            Self::Rom { chip } => write!(
                f,
                "the ROM loader of {chip} cannot write encrypted; that needs a flasher stub"
            ),
            Self::Forbidden => f.write_str(
                "this chip's eFuse forbids the loader to encrypt (flash encryption in release mode)",
            ),
            Self::CryptConfig(config) => {
                write!(f, "FLASH_CRYPT_CONFIG is 0x{config:x} instead of 0xf")
            }
            Self::NoKey => f.write_str("no flash encryption key is programmed"),
            Self::Unaligned { address, align } => write!(
                f,
                "0x{address:x} is not a multiple of {align}, as an encrypted write needs"
            ),
        }
    }
}

/// What Secure Download Mode does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotInSecureDownload {
    /// A whole command, or the step of it that is named.
    Doing(String),
    /// The size of the flash cannot be found out, and was to be.
    DetectSize,
    /// Flash whose size is not known was to be touched beyond what the ROM takes it for.
    Beyond {
        /// Behind the last byte that was to be touched.
        end: u64,
        /// Bytes that the ROM takes the flash for.
        size: u64,
    },
}

impl NotInSecureDownload {
    pub(crate) fn doing(what: &str) -> crate::Error {
        Self::Doing(what.to_owned()).into()
    }
}

impl fmt::Display for NotInSecureDownload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doing(what) => write!(f, "{what} is not possible in Secure Download Mode"),
            Self::DetectSize => f.write_str(
                "the flash size cannot be detected in Secure Download Mode; give it with \
                 --flash-size",
            ),
            Self::Beyond { end, size } => write!(
                f,
                "in Secure Download Mode the chip takes its flash for {size} bytes, and 0x{end:x} \
                 lies beyond them; give the size with --flash-size"
            ),
        }
    }
}

impl From<NotInSecureDownload> for crate::Error {
    fn from(what: NotInSecureDownload) -> Self {
        Self::SecureDownload(what)
    }
}
