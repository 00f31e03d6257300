//! What the eFuses say about secure boot and flash encryption.

use crate::Revision;
use crate::model::*;
use crate::words::{Words, WordsError, word};

impl Security {
    /// Whether secure boot, of any version that a chip of this revision has, is on.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn secure_boot_on(
        &self,
        revision: Option<Revision>,
        words: Words<'_>,
    ) -> Result<bool, WordsError> {
        let revision = revision.unwrap_or_default();
        for (bits, since) in self.secure_boot {
            if revision.0 >= *since && bits.read(words)? != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether Secure Boot V1 is on, which only the ESP32 has.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn secure_boot_v1_on(&self, words: Words<'_>) -> Result<bool, WordsError> {
        set(self.secure_boot_v1, words)
    }

    /// Whether flash encryption is on: an odd number of bits of the count is set.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn encryption_on(&self, words: Words<'_>) -> Result<bool, WordsError> {
        let Some(count) = self.crypt_count else {
            return Ok(false);
        };
        Ok(count.read(words)?.count_ones() % 2 == 1)
    }

    /// Whether the loader is forbidden to encrypt what it writes.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn manual_encrypt_forbidden(&self, words: Words<'_>) -> Result<bool, WordsError> {
        set(self.no_manual_encrypt, words)
    }

    /// The purpose of each key block, block 0 first.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn purposes(&self, words: Words<'_>) -> Result<Vec<u32>, WordsError> {
        self.key_purposes
            .iter()
            .map(|bits| bits.read(words))
            .collect()
    }

    /// Name of a key purpose.
    #[must_use]
    pub fn purpose_name(&self, purpose: u32) -> Option<&'static str> {
        self.purpose_names
            .iter()
            .find(|(value, _)| *value == purpose)
            .map(|(_, name)| *name)
    }

    /// Whether the chip holds a key for flash encryption, as far as can be seen from outside.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn has_encryption_key(&self, words: Words<'_>) -> Result<bool, WordsError> {
        if let Some(block) = &self.crypt_block {
            return block.has_key(words);
        }
        let purposes = self.purposes(words)?;
        if self
            .xts_keys
            .iter()
            .any(|set| set.iter().all(|value| purposes.contains(value)))
        {
            return Ok(true);
        }
        set(self.key_manager, words)
    }
}

impl CryptBlock {
    /// FLASH_CRYPT_CONFIG; where it cannot be read it is taken to be right (0xF). `None`: the chip
    /// has no such setting.
    ///
    /// # Errors
    /// A word that is needed is missing.
    pub fn crypt_config(&self, words: Words<'_>) -> Result<Option<u32>, WordsError> {
        let Some(config) = &self.config else {
            return Ok(None);
        };
        if config.hidden.read(words)? != 0 {
            Ok(Some(0xf))
        } else {
            config.value.read(words).map(Some)
        }
    }

    fn has_key(&self, words: Words<'_>) -> Result<bool, WordsError> {
        // Of half a block only that half is hidden.
        let (len, hidden) = match self.whole {
            None => (8, 1),
            Some(whole) if whole.read(words)? != 0 => (8, 0b11),
            Some(_) => (4, 0b01),
        };
        if self.key_hidden.read(words)? == hidden {
            return Ok(true);
        }
        for n in 0..len {
            if word(words, self.key + 4 * n)? != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn set(bits: Option<Bits>, words: Words<'_>) -> Result<bool, WordsError> {
    bits.map_or(Ok(false), |bits| bits.read(words).map(|value| value != 0))
}
