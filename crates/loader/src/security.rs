//! What eFuse says about the flash, and the guards that follow from it.

use guru_link::Link;

use crate::{Error, Session};

/// Below this the bootloader of Secure Boot V1 lies, whose digest only the chip knows.
const SECURE_BOOT_V1_END: u32 = 0x8000;

/// Below this the Key Manager keeps what recovers its keys.
const KEY_MANAGER_END: u32 = 0x2000;

/// FLASH_CRYPT_CONFIG under which the ESP32's encryption uses all of the address.
const FULL_CRYPT_CONFIG: u32 = 0xF;

impl<L: Link> Session<L> {
    /// Whether secure boot is on.
    pub(crate) async fn secure_boot(&mut self) -> Result<bool, Error> {
        if let Some(info) = self.security.filter(|_| self.device.secure_download) {
            return Ok(info.flags.secure_boot());
        }
        let (security, revision) = (&self.chip.security, self.revision);
        self.learn(|words| security.secure_boot_on(revision, words))
            .await
    }

    /// Whether flash encryption is on.
    pub(crate) async fn flash_encryption(&mut self) -> Result<bool, Error> {
        if let Some(info) = self.security.filter(|_| self.device.secure_download) {
            return Ok(info.flash_encryption());
        }
        let security = &self.chip.security;
        self.learn(|words| security.encryption_on(words)).await
    }

    async fn key_manager(&mut self) -> Result<bool, Error> {
        let Some(bits) = self.chip.security.key_manager else {
            return Ok(false);
        };
        Ok(self.learn(|words| bits.read(words)).await? != 0)
    }

    /// Refuses a write of plain text that would break a device, `ranges` being flash addresses.
    pub(crate) async fn guard_write(
        &mut self,
        addresses: impl Iterator<Item = u32> + Clone,
    ) -> Result<(), Error> {
        let guarded = |reason: &str| {
            Err(Error::Guarded {
                reason: format!("{reason} (--force overrides; it may make the device unusable)"),
            })
        };
        if self.device.secure_download {
            if self.flash_encryption().await? {
                return guarded(
                    "flash encryption and Secure Download Mode are on: plain text would not boot",
                );
            }
            return Ok(());
        }
        let security = &self.chip.security;
        let lowest = addresses.min().unwrap_or(u32::MAX);
        if lowest < SECURE_BOOT_V1_END
            && self
                .learn(|words| security.secure_boot_v1_on(words))
                .await?
        {
            return guarded(
                "Secure Boot V1 is on: writing below 0x8000 would replace the bootloader that the \
                 chip trusts",
            );
        }
        let encrypted = self.flash_encryption().await?;
        if encrypted && lowest < KEY_MANAGER_END && self.key_manager().await? {
            return guarded(
                "flash encryption uses the Key Manager: 0x0 to 0x2000 holds what recovers its keys",
            );
        }
        if encrypted
            && self
                .learn(|words| security.manual_encrypt_forbidden(words))
                .await?
        {
            return guarded(
                "flash encryption is on and the loader may not encrypt: plain text would not boot",
            );
        }
        Ok(())
    }

    /// Refuses an erase that would break a device; `start` is the first address, `None` the whole
    /// chip.
    pub(crate) async fn guard_erase(&mut self, start: Option<u32>) -> Result<(), Error> {
        let what = if self.flash_encryption().await? {
            "flash encryption"
        } else if self.secure_boot().await? {
            "secure boot"
        } else {
            return Ok(());
        };
        let key_manager = start.is_none_or(|start| start < KEY_MANAGER_END)
            && !self.device.secure_download
            && self.key_manager().await?;
        let more = if key_manager {
            ", and the Key Manager's recovery data would be lost"
        } else {
            ""
        };
        Err(Error::Guarded {
            reason: format!(
                "{what} is on: an erased device may not boot again{more} (--force overrides)"
            ),
        })
    }

    /// Refuses an encrypted write that the chip cannot make. `careless` skips what
    /// `--ignore-flash-enc-efuse` skips.
    pub(crate) async fn check_encrypted_write(
        &mut self,
        addresses: impl Iterator<Item = u32>,
        careless: bool,
    ) -> Result<(), Error> {
        let impossible = |reason: String| Err(Error::NotPossible(reason));
        if self.chip.rom.begin_words < 5 {
            return impossible(format!(
                "the ROM loader of {} cannot write encrypted; that needs a flasher stub",
                self.chip.name
            ));
        }
        let align = self.chip.flash.encrypted_align;
        for address in addresses {
            if address % align != 0 && !careless {
                return Err(Error::BadRequest(format!(
                    "0x{address:x} is not a multiple of {align}, as an encrypted write needs"
                )));
            }
        }
        if self.device.secure_download {
            return Ok(());
        }
        let security = &self.chip.security;
        if self
            .learn(|words| security.manual_encrypt_forbidden(words))
            .await?
        {
            return impossible(
                "this chip's eFuse forbids the loader to encrypt (flash encryption in release \
                 mode)"
                    .to_owned(),
            );
        }
        if careless {
            return Ok(());
        }
        if let Some(block) = &security.crypt_block {
            let config = self.learn(|words| block.crypt_config(words)).await?;
            if let Some(config) = config.filter(|config| *config != FULL_CRYPT_CONFIG) {
                return impossible(format!("FLASH_CRYPT_CONFIG is 0x{config:x} instead of 0xf"));
            }
        }
        if !self
            .learn(|words| security.has_encryption_key(words))
            .await?
        {
            return impossible("no flash encryption key is programmed".to_owned());
        }
        Ok(())
    }
}
