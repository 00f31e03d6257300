//! What eFuse says about the flash, and the guards that follow from it.

use guru_link::Link;

use crate::{CannotEncrypt, Error, Guard, Session};

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

    /// Refuses a write that would break a device; `all` are flash addresses,
    /// `has_plain` says whether anything goes as it is.
    pub(crate) async fn guard_write(
        &mut self,
        all: impl Iterator<Item = u32>,
        has_plain: bool,
    ) -> Result<(), Error> {
        if self.device.secure_download {
            if has_plain && self.flash_encryption().await? {
                return Err(Error::Guarded(Guard::PlainInSecureDownload));
            }
            return Ok(());
        }
        let security = &self.chip.security;
        let lowest = all.min().unwrap_or(u32::MAX);
        if lowest < SECURE_BOOT_V1_END
            && self
                .learn(|words| security.secure_boot_v1_on(words))
                .await?
        {
            return Err(Error::Guarded(Guard::SecureBootV1));
        }
        if !self.flash_encryption().await? {
            return Ok(());
        }
        if lowest < KEY_MANAGER_END && self.key_manager().await? {
            return Err(Error::Guarded(Guard::KeyManager));
        }
        if has_plain
            && self
                .learn(|words| security.manual_encrypt_forbidden(words))
                .await?
        {
            return Err(Error::Guarded(Guard::PlainInReleaseMode));
        }
        Ok(())
    }

    /// Refuses an erase that would break a device; `start` is the first address, `None` the whole
    /// chip.
    pub(crate) async fn guard_erase(&mut self, start: Option<u32>) -> Result<(), Error> {
        if self.flash_encryption().await? {
            let key_manager = start.is_none_or(|start| start < KEY_MANAGER_END)
                && !self.device.secure_download
                && self.key_manager().await?;
            return Err(Error::Guarded(Guard::EraseEncrypted { key_manager }));
        }
        if self.secure_boot().await? {
            return Err(Error::Guarded(Guard::EraseSecureBoot));
        }
        Ok(())
    }

    /// Refuses an encrypted write that the chip cannot make. `careless` skips what
    /// `--ignore-flash-enc-efuse` skips.
    pub(crate) async fn check_encrypted_write(
        &mut self,
        mut addresses: impl Iterator<Item = u32>,
        careless: bool,
    ) -> Result<(), Error> {
        let impossible = |reason| Err(Error::CannotEncrypt(reason));
        let chip = self.chip.name;
        if self.chip.rom.begin_words < 5 {
            return impossible(if self.chip.image.chip_id.is_none() {
                CannotEncrypt::NoEncryption { chip }
            } else {
                CannotEncrypt::Rom { chip }
            });
        }
        let align = self.chip.flash.encrypted_align;
        let unaligned = addresses.find(|address| address % align != 0);
        if let Some(address) = unaligned.filter(|_| !careless) {
            return impossible(CannotEncrypt::Unaligned { address, align });
        }
        if self.device.secure_download {
            return Ok(());
        }
        let security = &self.chip.security;
        if self
            .learn(|words| security.manual_encrypt_forbidden(words))
            .await?
        {
            return impossible(CannotEncrypt::Forbidden);
        }
        if careless {
            return Ok(());
        }
        if let Some(block) = &security.crypt_block {
            let config = self.learn(|words| block.crypt_config(words)).await?;
            if let Some(config) = config.filter(|config| *config != FULL_CRYPT_CONFIG) {
                return impossible(CannotEncrypt::CryptConfig(config));
            }
        }
        if !self
            .learn(|words| security.has_encryption_key(words))
            .await?
        {
            return impossible(CannotEncrypt::NoKey);
        }
        Ok(())
    }
}
