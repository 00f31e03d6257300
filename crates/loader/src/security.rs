//! What eFuse says about the flash, and the guards that follow from it.

use guru_link::Link;

use crate::{CannotEncrypt, Error, Event, Guard, Notice, Observer, Session};

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

    /// Refuses a write, encrypted or not, over what the chip cannot boot without; `lowest` is the
    /// lowest address in flash.
    pub(crate) async fn guard_addresses(&mut self, lowest: u32) -> Result<(), Error> {
        if self.device.secure_download {
            return Ok(());
        }
        let security = &self.chip.security;
        if lowest < SECURE_BOOT_V1_END
            && self
                .learn(|words| security.secure_boot_v1_on(words))
                .await?
        {
            return Err(Error::Guarded(Guard::SecureBootV1));
        }
        if lowest < KEY_MANAGER_END && self.flash_encryption().await? && self.key_manager().await? {
            return Err(Error::Guarded(Guard::KeyManager));
        }
        Ok(())
    }

    /// Refuses a write of plain text that the chip could not boot; says so where it may be wrong.
    pub(crate) async fn guard_plain(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        if !self.flash_encryption().await? {
            return Ok(());
        }
        if self.device.secure_download {
            return Err(Error::Guarded(Guard::PlainInSecureDownload));
        }
        let security = &self.chip.security;
        if self
            .learn(|words| security.manual_encrypt_forbidden(words))
            .await?
        {
            return Err(Error::Guarded(Guard::PlainInReleaseMode));
        }
        observer.event(Event::Notice(Notice::PlainOnEncrypted));
        Ok(())
    }

    /// Refuses an erase that would break a device; `start` is the first address, `None` the whole
    /// chip.
    pub(crate) async fn guard_erase(&mut self, start: Option<u32>) -> Result<(), Error> {
        if self.flash_encryption().await? {
            let low = start.is_some_and(|start| start < KEY_MANAGER_END);
            let guard = if low && !self.device.secure_download && self.key_manager().await? {
                Guard::EraseKeyManager
            } else {
                Guard::EraseEncrypted
            };
            return Err(Error::Guarded(guard));
        }
        if self.secure_boot().await? {
            return Err(Error::Guarded(Guard::EraseSecureBoot));
        }
        Ok(())
    }

    /// Refuses an encrypted write that the chip cannot make; `careless` says what is not as it should
    /// be, where that can be tried all the same.
    pub(crate) async fn check_encrypted_write(
        &mut self,
        mut addresses: impl Iterator<Item = u32>,
        careless: bool,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let chip = self.chip.name;
        let by_stub = self.chip.image.chip_id.is_some() && self.stub_may_encrypt();
        if !self.chip.rom.encrypts() && !by_stub {
            return Err(Error::CannotEncrypt(if self.chip.image.chip_id.is_none() {
                CannotEncrypt::NoEncryption { chip }
            } else {
                CannotEncrypt::Rom { chip }
            }));
        }
        let security = &self.chip.security;
        let readable = !self.device.secure_download;
        if readable
            && self
                .learn(|words| security.manual_encrypt_forbidden(words))
                .await?
        {
            return Err(Error::CannotEncrypt(CannotEncrypt::Forbidden));
        }
        let mut doubtful = |reason| {
            if careless {
                observer.event(Event::Notice(Notice::EncryptsDespite { reason }));
                Ok(())
            } else {
                Err(Error::CannotEncrypt(reason))
            }
        };
        if let Some(block) = security.crypt_block.as_ref().filter(|_| readable) {
            let config = self.learn(|words| block.crypt_config(words)).await?;
            if let Some(config) = config.filter(|config| *config != FULL_CRYPT_CONFIG) {
                doubtful(CannotEncrypt::CryptConfig(config))?;
            }
        }
        if readable
            && !self
                .learn(|words| security.has_encryption_key(words))
                .await?
        {
            doubtful(CannotEncrypt::NoKey)?;
        }
        let align = self.chip.flash.encrypted_align;
        if let Some(address) = addresses.find(|address| address % align != 0) {
            doubtful(CannotEncrypt::Unaligned { address, align })?;
        }
        Ok(())
    }
}
