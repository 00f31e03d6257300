//! The commands of the secure download certificate, modelled from the code of the ESP32-S31's ROM
//! (`RmaVerif...`, `RmaGenChipInfo...`, `esp_rom_rma_authenticate`). What its hardware compares is what
//! the tool that signs certificates puts into them: the chip info of MAC, nonce and counter, and the
//! digest of the key. That a failed check can be repeated without a reset is an assumption.

use guru_wire::{Certificate, ErrorCode, Grants, checksum};
use p256::EncodedPoint;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::loader::{Refusal, Request};
use crate::fuses::Fuses;

/// Longest payload of the data commands, and the largest size that BEGIN takes.
const MAX: usize = 0x1800;
const NONCE: usize = 32;
const INFO: usize = 32;

/// What the ROM remembers between the commands.
pub(super) struct CertificateState {
    /// The flag of the last BEGIN of either kind.
    nonce: bool,
    size: u32,
    /// Certificate and nonce; the nonce of the chip info comes to the same place.
    buffer: [u8; Certificate::LEN],
    info: [u8; INFO],
}

impl CertificateState {
    pub fn new() -> Self {
        Self {
            nonce: false,
            size: 0,
            buffer: [0; Certificate::LEN],
            info: [0; INFO],
        }
    }

    /// SDC_VERIF_BEGIN.
    pub fn verify_begin(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let size = request.word(4);
        if size > MAX as u32 {
            return Err(ErrorCode::CERTIFICATE_RANGE.into());
        }
        let nonce = request.word(0);
        if size as usize != length(nonce != 0) {
            return Err(ErrorCode::CERTIFICATE_LENGTH.into());
        }
        // It keeps one byte of the flag.
        (self.nonce, self.size) = (nonce & 0xFF != 0, size);
        Ok(())
    }

    /// SDC_VERIF_DATA.
    pub fn verify_data(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let payload = request.payload_len();
        let len = request.word(0) as usize;
        if payload > MAX + 4 || payload.wrapping_sub(4) < len {
            return Err(ErrorCode::CERTIFICATE_RANGE.into());
        }
        if len != self.size as usize {
            return Err(ErrorCode::CERTIFICATE_LENGTH.into());
        }
        let data = checked(request, len)?;
        if len != length(self.nonce) {
            return Err(ErrorCode::CERTIFICATE_LENGTH.into());
        }
        self.buffer[..len].copy_from_slice(data);
        Ok(())
    }

    /// SDC_VERIF_END: what the certificate opens.
    pub fn verify_end(&self, request: &Request<'_>, fuses: &Fuses<'_>) -> Result<Grants, Refusal> {
        if request.payload_len() < 4 {
            return Err(ErrorCode::CERTIFICATE_RANGE.into());
        }
        let rejected = Refusal::Code(ErrorCode::UNDEFINED);
        let certificate = Certificate::parse(&self.buffer).map_err(|_| rejected)?;
        let grants = certificate.grants();
        let rules = fuses.chip.efuse.certificate.as_ref().ok_or(rejected)?;
        if grants.jtag && fuses.value(rules.no_jtag) != 0 {
            // The hardware never comes to an end.
            return Err(Refusal::Hangs);
        }
        let nonce = if self.nonce {
            certificate.nonce()
        } else {
            [0; NONCE]
        };
        let info = chip_info(fuses, &nonce).ok_or(rejected)?;
        let message = Sha256::new()
            .chain_update(certificate.usage())
            .chain_update(info)
            .finalize();
        let key = certificate.public_key();
        // eFuse holds the digest with its last byte first.
        let mut digest: [u8; 32] = Sha256::digest(key).into();
        digest.reverse();
        let whole = certificate.digest()[..] == Sha256::digest(certificate.digested())[..];
        let known = fuses.has_key(rules.key_purpose, &digest);
        if whole && known && verifies(&key, &message, &certificate.signature()) {
            Ok(grants)
        } else {
            Err(rejected)
        }
    }

    /// SDC_GEN_BEGIN.
    pub fn info_begin(&mut self, request: &Request<'_>) {
        self.nonce = request.word(0) & 0xFF != 0;
    }

    /// SDC_GEN_DATA.
    pub fn info_data(&mut self, request: &Request<'_>, fuses: &Fuses<'_>) -> Result<(), Refusal> {
        if request.payload_len() > MAX + 4 {
            return Err(ErrorCode::CERTIFICATE_RANGE.into());
        }
        let len = request.word(0) as usize;
        let data = checked(request, len)?;
        let mut nonce = [0; NONCE];
        if len != if self.nonce { NONCE } else { 0 } {
            return Err(ErrorCode::NONCE_LENGTH.into());
        }
        nonce[..len].copy_from_slice(data);
        self.buffer[..NONCE].copy_from_slice(&nonce);
        self.info = [0; INFO];
        self.info = chip_info(fuses, &nonce).ok_or(ErrorCode::UNDEFINED)?;
        Ok(())
    }

    /// SDC_GEN_END: the chip info, and behind it nothing; less of it in Secure Download Mode.
    pub fn info_end(&self, secure_download: bool) -> Vec<u8> {
        let mut answer = self.info.to_vec();
        answer.resize(if secure_download { 20 } else { 64 }, 0);
        answer
    }
}

/// Bytes of a certificate.
fn length(nonce: bool) -> usize {
    if nonce {
        Certificate::LEN
    } else {
        Certificate::BARE_LEN
    }
}

/// The data behind one word of length.
fn checked<'a>(request: &Request<'a>, len: usize) -> Result<&'a [u8], Refusal> {
    let data = request.bytes(4, len);
    if data.len() != len || checksum(data) as u8 != request.checksum() {
        return Err(ErrorCode::CHECKSUM.into());
    }
    Ok(data)
}

/// What a certificate is signed for. `None`: it would have to be made of something that is not known
/// outside.
fn chip_info(fuses: &Fuses<'_>, nonce: &[u8; NONCE]) -> Option<[u8; INFO]> {
    let rules = fuses.chip.efuse.certificate.as_ref()?;
    if fuses.value(rules.not_by_mac) != 0 {
        return None;
    }
    // In the order of eFuse, the last byte of the address first.
    let mac = &fuses.chip.identity.mac;
    let word = |address| fuses.words.read(address).unwrap_or(0).to_le_bytes();
    let unique = Sha256::new()
        .chain_update(word(mac.low))
        .chain_update(&word(mac.high)[..2])
        .finalize();
    let info = Sha256::new()
        .chain_update(unique)
        .chain_update(nonce)
        .chain_update([(fuses.value(rules.counter) << 4) as u8])
        .finalize();
    Some(info.into())
}

/// Whether `signature` (r, then s) is that of `key` (x, then y) on P-256 for a message with this
/// SHA-256. All are big-endian.
fn verifies(key: &[u8; 64], digest: &[u8], signature: &[u8; 64]) -> bool {
    let key = EncodedPoint::from_untagged_bytes(key.into());
    let (Ok(key), Ok(signature)) = (
        VerifyingKey::from_encoded_point(&key),
        Signature::from_slice(signature),
    ) else {
        return false;
    };
    key.verify_prehash(digest, &signature).is_ok()
}
