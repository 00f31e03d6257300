use thiserror::Error;

/// A secure download certificate (SDC; RMA in the ROM) as its file holds it: 436 bytes and the nonce
/// for which it was signed. Numbers of the header are little-endian, all others big-endian.
///
/// The layout is that of `esp_rom_rma_authenticate` in the ROM of the ESP32-S31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate<'a> {
    bytes: &'a [u8; Certificate::LEN],
}

/// What a certificate opens, when the chip takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grants {
    /// JTAG is enabled again.
    pub jtag: bool,
    /// The loader knows all its commands again, whatever eFuse says of download mode.
    pub download: bool,
    /// The chip boots from flash, whatever its pins say.
    pub spi_boot: bool,
}

/// Why bytes are not a secure download certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Neither with nor without a nonce.
    #[error("it has {0} bytes, and a certificate with its nonce has {len}", len = Certificate::LEN)]
    Length(usize),
    /// It does not begin as one.
    #[error("it does not begin with a certificate's header")]
    Header,
    /// Its contents are damaged.
    #[error("its checksum is wrong: it is damaged")]
    Checksum,
}

/// `RMAC`, read as a number.
const MAGIC: u32 = 0x524D_4143;
const HEADER: usize = 20;
const USAGE: usize = 256;

impl<'a> Certificate<'a> {
    /// Bytes of a certificate and its nonce.
    pub const LEN: usize = Self::BARE_LEN + 32;
    /// Bytes of a certificate without a nonce.
    pub const BARE_LEN: usize = 436;

    /// A certificate with its nonce.
    ///
    /// # Errors
    ///
    /// What the ROM finds wrong before it looks at the signature.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CertificateError> {
        let length = CertificateError::Length(bytes.len());
        let certificate = Self {
            bytes: bytes.try_into().map_err(|_| length)?,
        };
        let word = |at| u32::from_le_bytes(certificate.array(at));
        // Version 1 and the length of the part that says what is opened; one byte is not looked at.
        let version = word(4) & 0xFFFF_00FF == (USAGE as u32) << 16 | 1;
        let covered = word(8) & 0xFFFF == Self::BARE_LEN as u32;
        if word(0) != MAGIC || !version || !covered {
            return Err(CertificateError::Header);
        }
        if crc32(&bytes[HEADER..Self::BARE_LEN]) != word(12) {
            return Err(CertificateError::Checksum);
        }
        Ok(certificate)
    }

    /// What it opens.
    pub fn grants(&self) -> Grants {
        let [.., bits] = self.array::<4>(HEADER);
        Grants {
            jtag: bits & 1 != 0,
            download: bits & 2 != 0,
            spi_boot: bits & 4 != 0,
        }
    }

    /// What says what it opens, whole: the first part of what is signed. The chip info is the second.
    pub fn usage(&self) -> &'a [u8] {
        &self.bytes[HEADER..HEADER + USAGE]
    }

    /// The signer's public key on the curve P-256: x, then y.
    pub fn public_key(&self) -> [u8; 64] {
        self.array(276)
    }

    /// The signature (ECDSA with SHA-256): r, then s.
    pub fn signature(&self) -> [u8; 64] {
        self.array(340)
    }

    /// SHA-256 of everything between the header and itself.
    pub fn digest(&self) -> [u8; 32] {
        self.array(404)
    }

    /// What [`digest`](Self::digest) is made of.
    pub fn digested(&self) -> &'a [u8] {
        &self.bytes[HEADER..404]
    }

    /// The nonce of the chip info for which it was signed.
    pub fn nonce(&self) -> [u8; 32] {
        self.array(Self::BARE_LEN)
    }

    /// Bytes at a place within.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[at..at + N]);
        array
    }
}

/// `crc32_le(UINT32_MAX, ...)` of the ROM: the CRC of zlib that is begun with all ones, which it
/// inverts before and behind.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = 0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc >>= 1;
            if carry != 0 {
                crc ^= 0xEDB8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `espsecure generate-sdc-certificate` for download mode and JTAG.
    const EXAMPLE: &[u8] = include_bytes!("../../../tests/data/sdc_cert.bin");

    #[test]
    fn a_certificate_of_the_reference_is_read() {
        let certificate = Certificate::parse(EXAMPLE).expect("a certificate");
        let grants = Grants {
            jtag: true,
            download: true,
            spi_boot: false,
        };
        assert_eq!(certificate.grants(), grants);
        assert_eq!(certificate.usage()[..4], [0, 0, 0, 3]);
        assert_eq!(certificate.nonce(), [0x5A; 32]);
        assert_eq!(certificate.digested().len(), 384);
    }

    #[test]
    fn what_the_rom_refuses_without_the_signature_is_refused() {
        let error = |bytes: &[u8]| Certificate::parse(bytes).expect_err("not a certificate");
        assert_eq!(error(&[]), CertificateError::Length(0));
        assert_eq!(error(&EXAMPLE[..436]), CertificateError::Length(436));
        for (at, expected) in [
            (0, CertificateError::Header),
            (4, CertificateError::Header),
            (7, CertificateError::Header),
            (8, CertificateError::Header),
            (12, CertificateError::Checksum),
            (20, CertificateError::Checksum),
            (435, CertificateError::Checksum),
        ] {
            let mut bytes = EXAMPLE.to_vec();
            bytes[at] ^= 1;
            assert_eq!(error(&bytes), expected, "byte {at}");
        }
    }
}
