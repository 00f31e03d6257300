//! What a chip says of its security, for people.

use guru_chip::{Chip, SecurityInfoForm, WordsError};
use guru_link::Link;
use guru_wire::{Opcode, SecurityFlags, SecurityInfo};
use serde::Serialize;

use crate::{Error, Session};

/// Security state of a chip.
#[derive(Debug, Clone, Serialize)]
pub struct SecurityReport {
    /// Where it is from.
    pub source: SecuritySource,
    /// Flags word of GET_SECURITY_INFO.
    pub flags: Option<u32>,
    /// Chip id that the ROM answers.
    pub chip_id: Option<u32>,
    /// Version of the ROM's security interface.
    pub api_version: Option<u32>,
    /// Whether the chip is in Secure Download Mode.
    pub secure_download: bool,
    /// Secure boot.
    pub secure_boot: SecureBoot,
    /// Whether a secure boot key that fails is revoked at once.
    pub aggressive_revocation: bool,
    /// Numbers of the secure boot keys that are revoked.
    pub revoked_keys: Vec<u8>,
    /// Whether flash encryption is on.
    pub flash_encryption: bool,
    /// Name of the field that counts how often encryption was switched.
    pub crypt_count_name: &'static str,
    /// Its value: an odd number of ones means on.
    pub crypt_count: u32,
    /// Whether the loader may encrypt what it writes (development mode); absent where that cannot be
    /// read.
    pub loader_may_encrypt: Option<bool>,
    /// What each key block is for.
    pub key_purposes: Vec<KeyPurpose>,
    /// The purposes as the ROM answers them, the ones that belong to no key block included.
    pub raw_key_purposes: Option<[u8; 7]>,
    /// JTAG.
    pub jtag: Jtag,
    /// Whether the chip's own USB is off.
    pub usb_disabled: bool,
    /// Whether the data cache is off in download mode.
    pub dcache_disabled: bool,
    /// Whether the instruction cache is off in download mode.
    pub icache_disabled: bool,
    /// Whether the loader may not decrypt what it reads; absent where there is no such thing.
    pub decrypt_disabled: Option<bool>,
    /// Words of eFuse block 0, where the report is made of them.
    pub efuse: Vec<u32>,
}

/// Where a security report is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecuritySource {
    /// The ROM's answer to GET_SECURITY_INFO.
    Rom,
    /// eFuse words (ESP32).
    Efuse,
}

/// Secure boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecureBoot {
    /// Any image boots.
    Off,
    /// On.
    On,
    /// On, in the first version (ESP32).
    V1,
    /// On, in the second version (ESP32 from revision 3.0 on).
    V2,
}

/// JTAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jtag {
    /// It works.
    On,
    /// It works once software switched it on with a key.
    SoftDisabled,
    /// It is off for ever.
    Disabled,
}

/// What a key block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeyPurpose {
    /// Number of the block.
    pub block: u8,
    /// Number of the purpose.
    pub purpose: u32,
    /// Its name; absent for one that is not known.
    pub name: Option<&'static str>,
}

/// eFuse fields of a chip whose ROM does not tell its security state.
const DIS_JTAG: &str = "JTAG_DISABLE";
const DIS_DECRYPT: &str = "DISABLE_DL_DECRYPT";
const DIS_CACHE: &str = "DISABLE_DL_CACHE";

impl<L: Link> Session<L> {
    /// The chip's security state: what the ROM tells, or, where it tells nothing, what eFuse says.
    ///
    /// # Errors
    ///
    /// [`Error::NotPossible`] on a chip without security features, and what the link and the chip
    /// say.
    pub async fn security_report(&mut self) -> Result<SecurityReport, Error> {
        match self.security {
            Some(info) => {
                let mut report = of_rom(self.chip, &info);
                if !self.device.secure_download {
                    let security = &self.chip.security;
                    let forbidden = self
                        .learn(|words| security.manual_encrypt_forbidden(words))
                        .await?;
                    report.loader_may_encrypt = Some(!forbidden);
                }
                Ok(report)
            }
            None if self.chip.security.crypt_count.is_none() => Err(Error::NotPossible(format!(
                "{} has neither secure boot nor flash encryption, and its ROM knows no command to \
                 ask for them",
                self.chip.name
            ))),
            None => self.of_efuse().await,
        }
    }

    /// Whether the ROM tells its security state.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] when it does not know GET_SECURITY_INFO.
    pub fn asks_security(&self) -> Result<(), Error> {
        match self.chip.rom.security_info {
            SecurityInfoForm::None => Err(Error::Unsupported {
                opcode: Opcode::GetSecurityInfo,
            }),
            SecurityInfoForm::Short | SecurityInfoForm::Long => Ok(()),
        }
    }

    async fn of_efuse(&mut self) -> Result<SecurityReport, Error> {
        let (chip, revision) = (self.chip, self.revision);
        let security = &chip.security;
        let mut efuse = Vec::new();
        if let Some(block) = chip.efuse.blocks.first() {
            for word in 0..block.words {
                let address = block.addr + 4 * word;
                let value = self
                    .learn(|words| words(address).ok_or(WordsError::Missing(address)))
                    .await?;
                efuse.push(value);
            }
        }
        let v1 = self
            .learn(|words| security.secure_boot_v1_on(words))
            .await?;
        let on = self
            .learn(|words| security.secure_boot_on(revision, words))
            .await?;
        let forbidden = self
            .learn(|words| security.manual_encrypt_forbidden(words))
            .await?;
        let encryption = self.learn(|words| security.encryption_on(words)).await?;
        let count = match security.crypt_count {
            Some(count) => self.learn(|words| count.read(words)).await?,
            None => 0,
        };
        let mut named = [false; 3];
        for (value, name) in named.iter_mut().zip([DIS_JTAG, DIS_DECRYPT, DIS_CACHE]) {
            for bits in chip
                .efuse
                .field(name)
                .map_or(&[] as &[_], |field| field.parts)
            {
                *value |= self.learn(|words| bits.read(words)).await? != 0;
            }
        }
        let [jtag, decrypt, cache] = named;
        Ok(SecurityReport {
            source: SecuritySource::Efuse,
            flags: None,
            chip_id: None,
            api_version: None,
            secure_download: false,
            secure_boot: match (v1, on) {
                (true, _) => SecureBoot::V1,
                (false, true) => SecureBoot::V2,
                (false, false) => SecureBoot::Off,
            },
            aggressive_revocation: false,
            revoked_keys: Vec::new(),
            flash_encryption: encryption,
            crypt_count_name: "FLASH_CRYPT_CNT",
            crypt_count: count,
            loader_may_encrypt: Some(!forbidden),
            key_purposes: Vec::new(),
            raw_key_purposes: None,
            jtag: if jtag { Jtag::Disabled } else { Jtag::On },
            usb_disabled: false,
            dcache_disabled: cache,
            icache_disabled: cache,
            decrypt_disabled: chip.efuse.field(DIS_DECRYPT).map(|_| decrypt),
            efuse,
        })
    }
}

fn of_rom(chip: &Chip, info: &SecurityInfo) -> SecurityReport {
    let flags = info.flags;
    let blocks = chip.security.key_purposes.len();
    let key_purposes = (0_u8..)
        .zip(info.key_purposes)
        .take(blocks)
        .map(|(block, purpose)| KeyPurpose {
            block,
            purpose: u32::from(purpose),
            name: chip.security.purpose_name(u32::from(purpose)),
        })
        .collect();
    SecurityReport {
        source: SecuritySource::Rom,
        flags: Some(flags.0),
        chip_id: info.chip.map(|(chip_id, _)| chip_id),
        api_version: info.chip.map(|(_, version)| version),
        secure_download: flags.secure_download(),
        secure_boot: if flags.secure_boot() {
            SecureBoot::On
        } else {
            SecureBoot::Off
        },
        aggressive_revocation: flags.has(SecurityFlags::AGGRESSIVE_REVOKE),
        revoked_keys: flags.revoked_keys(),
        flash_encryption: info.flash_encryption(),
        crypt_count_name: "SPI_BOOT_CRYPT_CNT",
        crypt_count: u32::from(info.crypt_count),
        loader_may_encrypt: None,
        key_purposes,
        raw_key_purposes: Some(info.key_purposes),
        jtag: if flags.has(SecurityFlags::HARD_DIS_JTAG) {
            Jtag::Disabled
        } else if flags.has(SecurityFlags::SOFT_DIS_JTAG) {
            Jtag::SoftDisabled
        } else {
            Jtag::On
        },
        usb_disabled: flags.has(SecurityFlags::DIS_USB),
        dcache_disabled: flags.has(SecurityFlags::DIS_DOWNLOAD_DCACHE),
        icache_disabled: flags.has(SecurityFlags::DIS_DOWNLOAD_ICACHE),
        decrypt_disabled: None,
        efuse: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(chip: &str, flags: u32) -> SecurityReport {
        let info = SecurityInfo {
            flags: SecurityFlags(flags),
            crypt_count: 0b011,
            key_purposes: [4, 9, 0, 77, 0, 0, 12],
            chip: Some((5, 3)),
        };
        of_rom(guru_chip::by_id(chip).unwrap(), &info)
    }

    #[test]
    fn every_flag_is_decoded() {
        let none = report("esp32c3", 0);
        assert_eq!((none.secure_boot, none.jtag), (SecureBoot::Off, Jtag::On));
        assert!(!none.flash_encryption && none.revoked_keys.is_empty());
        let all = report("esp32c3", 0x7FF);
        assert_eq!(
            (all.secure_boot, all.jtag),
            (SecureBoot::On, Jtag::Disabled)
        );
        assert_eq!(all.revoked_keys, [0, 1, 2]);
        assert!(all.secure_download && all.aggressive_revocation && all.usb_disabled);
        assert!(all.dcache_disabled && all.icache_disabled);
        assert_eq!(report("esp32c3", 1 << 6).jtag, Jtag::SoftDisabled);
        assert_eq!(report("esp32c3", 1 << 4).revoked_keys, [1]);
    }

    #[test]
    fn purposes_are_named_by_the_chips_data() {
        let purposes = report("esp32c3", 0).key_purposes;
        assert_eq!(purposes.len(), 6);
        assert_eq!(purposes[0].name, Some("XTS_AES_128_KEY"));
        assert_eq!(purposes[1].name, Some("SECURE_BOOT_DIGEST0"));
        assert_eq!((purposes[3].purpose, purposes[3].name), (77, None));
    }
}
