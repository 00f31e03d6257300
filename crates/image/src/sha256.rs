//! SHA-256, which is most of the work on an image wherever the processor has no instructions for it.

/// A digest in the making.
///
/// On x86-64 `ring` computes it, which takes half the time of `sha2` on a processor without the SHA
/// extensions; everywhere else `sha2`, which needs no C compiler.
#[derive(Clone)]
pub(crate) struct Sha256(Computed);

#[cfg(target_arch = "x86_64")]
type Computed = ring::digest::Context;
#[cfg(not(target_arch = "x86_64"))]
type Computed = sha2::Sha256;

#[cfg(target_arch = "x86_64")]
impl Sha256 {
    pub(crate) fn new() -> Self {
        Self(Computed::new(&ring::digest::SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        digest
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Sha256 {
    pub(crate) fn new() -> Self {
        Self(sha2::Digest::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        sha2::Digest::finalize(self.0).into()
    }
}

/// The SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(bytes);
    sha.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FIPS 180-4's supplement: "abc", given in two pieces.
    #[test]
    fn digest_is_the_standard_s() {
        let mut sha = Sha256::new();
        sha.update(b"a");
        sha.update(b"bc");
        let digest = sha.finish();
        assert_eq!(digest, sha256(b"abc"));
        let digest: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest, known);
    }
}
