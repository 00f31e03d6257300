//! The cipher of the flash: XTS-AES over units of 128 bytes.
//!
//! Source: technical reference manuals, "External Memory Encryption and Decryption". The engine
//! works on bytes in the reverse order of IEEE 1619, unit by unit; the number of a unit is its
//! address in flash.

use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256};

/// Bytes of a unit.
const UNIT: u32 = 128;
/// Bytes of a block, which is the least that can be written.
pub(crate) const BLOCK: usize = 16;

/// A key, and with it the strength.
pub(crate) enum Xts {
    /// XTS-AES-128.
    Aes128 {
        data: Box<Aes128>,
        tweak: Box<Aes128>,
    },
    /// XTS-AES-256.
    Aes256 {
        data: Box<Aes256>,
        tweak: Box<Aes256>,
    },
}

impl Xts {
    /// XTS-AES-128 with a key of 32 bytes, as its file holds it.
    pub fn with_128(key: &[u8; 32]) -> Self {
        let (data, tweak) = key.split_at(16);
        Self::Aes128 {
            data: Box::new(Aes128::new(GenericArray::from_slice(data))),
            tweak: Box::new(Aes128::new(GenericArray::from_slice(tweak))),
        }
    }

    /// XTS-AES-256 with the two halves of a key of 64 bytes, as its file holds them.
    pub fn with_256(first: &[u8; 32], second: &[u8; 32]) -> Self {
        Self::Aes256 {
            data: Box::new(Aes256::new(GenericArray::from_slice(first))),
            tweak: Box::new(Aes256::new(GenericArray::from_slice(second))),
        }
    }

    /// Encrypts whole blocks that lie at `address` of the flash, a multiple of 16. A remainder
    /// stays as it is.
    pub fn encrypt(&self, address: u32, bytes: &mut [u8]) {
        self.each(address, bytes, true);
    }

    /// The inverse of [`Self::encrypt`].
    pub fn decrypt(&self, address: u32, bytes: &mut [u8]) {
        self.each(address, bytes, false);
    }

    fn each(&self, address: u32, bytes: &mut [u8], encrypt: bool) {
        let mut at = address;
        for block in bytes.chunks_exact_mut(BLOCK) {
            let tweak = self.tweak(at);
            block.reverse();
            xor(block, &tweak);
            self.apply(block, encrypt);
            xor(block, &tweak);
            block.reverse();
            at = at.wrapping_add(BLOCK as u32);
        }
    }

    fn apply(&self, block: &mut [u8], encrypt: bool) {
        let block = GenericArray::from_mut_slice(block);
        match (self, encrypt) {
            (Self::Aes128 { data, .. }, true) => data.encrypt_block(block),
            (Self::Aes128 { data, .. }, false) => data.decrypt_block(block),
            (Self::Aes256 { data, .. }, true) => data.encrypt_block(block),
            (Self::Aes256 { data, .. }, false) => data.decrypt_block(block),
        }
    }

    /// Tweak of the block at an address: the last block of a unit comes first.
    fn tweak(&self, address: u32) -> [u8; BLOCK] {
        let mut block = GenericArray::from([0; BLOCK]);
        block[..4].copy_from_slice(&(address & !(UNIT - 1)).to_le_bytes());
        match self {
            Self::Aes128 { tweak, .. } => tweak.encrypt_block(&mut block),
            Self::Aes256 { tweak, .. } => tweak.encrypt_block(&mut block),
        }
        let mut tweak = u128::from_le_bytes(block.into());
        for _ in 0..(UNIT - 1 - address % UNIT) / BLOCK as u32 {
            // Times x in GF(2^128).
            let carry = tweak >> 127;
            tweak = (tweak << 1) ^ (carry * 0x87);
        }
        tweak.to_le_bytes()
    }
}

impl std::fmt::Debug for Xts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Aes128 { .. } => "XTS-AES-128",
            Self::Aes256 { .. } => "XTS-AES-256",
        })
    }
}

fn xor(block: &mut [u8], with: &[u8; BLOCK]) {
    for (byte, other) in block.iter_mut().zip(with) {
        *byte ^= other;
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// Not aligned to a unit, and longer than two.
    fn plain() -> Vec<u8> {
        (0..0x130_u32).map(|at| (at * 7 + 3) as u8).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// SHA-256 of what espsecure 5.6.0 makes of the same bytes (`encrypt-flash-data --aes-xts
    /// --address 0x10050`), with keys that count up from 0.
    #[test]
    fn what_is_encrypted_is_what_espsecure_encrypts() {
        let key: Vec<u8> = (0..64).collect();
        let (first, second) = (key[..32].try_into(), key[32..].try_into());
        let (first, second) = (first.unwrap(), second.unwrap());
        for (xts, digest) in [
            (
                Xts::with_128(&first),
                "f10cc70cc6ff6a7b5eede4ff5c4c066013da4a3a8c47a0e00102499ee6428342",
            ),
            (
                Xts::with_256(&first, &second),
                "0abd7b64f9ef1b9e2a429ba99488fd3a9909f44c1ce8e4be438e73b112d202fc",
            ),
        ] {
            let mut bytes = plain();
            xts.encrypt(0x1_0050, &mut bytes);
            assert_eq!(hex(&Sha256::digest(&bytes)), digest, "{xts:?}");
            xts.decrypt(0x1_0050, &mut bytes);
            assert_eq!(bytes, plain(), "{xts:?}");
        }
    }
}
