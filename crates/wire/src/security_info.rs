use thiserror::Error;

/// Answer to GET_SECURITY_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityInfo {
    /// What is switched on or off.
    pub flags: SecurityFlags,
    /// SPI_BOOT_CRYPT_CNT: an odd number of ones means flash encryption is on.
    pub crypt_count: u8,
    /// Purpose of key block 0 to 6.
    pub key_purposes: [u8; 7],
    /// Chip id and version of this interface; absent on the ESP32-S2.
    pub chip: Option<(u32, u32)>,
}

/// Flags word of GET_SECURITY_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SecurityFlags(pub u32);

impl SecurityFlags {
    /// Secure boot is on.
    pub const SECURE_BOOT: u32 = 1 << 0;
    /// A secure boot key that fails is revoked at once.
    pub const AGGRESSIVE_REVOKE: u32 = 1 << 1;
    /// Secure Download Mode: only a few commands are answered.
    pub const SECURE_DOWNLOAD: u32 = 1 << 2;
    /// Secure boot key 0 is revoked; the next two bits are keys 1 and 2.
    pub const REVOKE_0: u32 = 1 << 3;
    /// JTAG is off until software switches it on with a key.
    pub const SOFT_DIS_JTAG: u32 = 1 << 6;
    /// JTAG is off for ever.
    pub const HARD_DIS_JTAG: u32 = 1 << 7;
    /// USB is off.
    pub const DIS_USB: u32 = 1 << 8;
    /// The data cache is off while the loader runs.
    pub const DIS_DOWNLOAD_DCACHE: u32 = 1 << 9;
    /// The instruction cache is off while the loader runs.
    pub const DIS_DOWNLOAD_ICACHE: u32 = 1 << 10;
    /// The ROM knows the commands of the secure download certificate.
    pub const DOWNLOAD_CERTIFICATE: u32 = 1 << 11;

    /// Whether secure boot is on.
    pub fn secure_boot(self) -> bool {
        self.0 & Self::SECURE_BOOT != 0
    }

    /// Numbers of the secure boot keys that are revoked.
    pub fn revoked_keys(self) -> Vec<u8> {
        (0..3)
            .filter(|key| self.has(Self::REVOKE_0 << key))
            .collect()
    }

    /// Whether one of the bits above is set.
    pub fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// Whether the chip is in Secure Download Mode.
    pub fn secure_download(self) -> bool {
        self.0 & Self::SECURE_DOWNLOAD != 0
    }
}

/// Why an answer to GET_SECURITY_INFO cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the answer to GET_SECURITY_INFO has {0} bytes; 12 or 20 expected")]
pub struct SecurityInfoError(pub usize);

impl SecurityInfo {
    /// Length of the short form, in bytes.
    pub const SHORT_LEN: usize = 12;
    /// Length of the long form, in bytes.
    pub const LONG_LEN: usize = 20;

    /// Whether flash encryption is on.
    pub fn flash_encryption(&self) -> bool {
        self.crypt_count.count_ones() % 2 == 1
    }

    /// Reads the data of an answer, without its status bytes.
    pub fn decode(data: &[u8]) -> Result<Self, SecurityInfoError> {
        let word =
            |at: usize| u32::from_le_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
        let chip = match data.len() {
            Self::SHORT_LEN => None,
            Self::LONG_LEN => Some((word(12), word(16))),
            other => return Err(SecurityInfoError(other)),
        };
        let mut key_purposes = [0; 7];
        key_purposes.copy_from_slice(&data[5..12]);
        Ok(Self {
            flags: SecurityFlags(word(0)),
            crypt_count: data[4],
            key_purposes,
            chip,
        })
    }

    /// The data of an answer, without its status bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = self.flags.0.to_le_bytes().to_vec();
        data.push(self.crypt_count);
        data.extend_from_slice(&self.key_purposes);
        if let Some((chip_id, api_version)) = self.chip {
            data.extend_from_slice(&chip_id.to_le_bytes());
            data.extend_from_slice(&api_version.to_le_bytes());
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_survive_the_round_trip() {
        for chip in [None, Some((5, 1))] {
            let info = SecurityInfo {
                flags: SecurityFlags(SecurityFlags::SECURE_DOWNLOAD),
                crypt_count: 0b101,
                key_purposes: [9, 0, 0, 4, 0, 0, 0],
                chip,
            };
            assert_eq!(SecurityInfo::decode(&info.encode()), Ok(info));
            assert!(!info.flash_encryption());
        }
        assert_eq!(SecurityInfo::decode(&[0; 13]), Err(SecurityInfoError(13)));
    }
}
