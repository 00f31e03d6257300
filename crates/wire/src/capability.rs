//! What a stub of Guru's grants beyond the base protocol, as bits of CAPABILITIES. `stub/README.md`
//! has their exact meaning.

/// DIGEST_MAP is known.
pub const DIGEST_MAP: u32 = 1 << 0;
/// Up to eight blocks of at most 4096 bytes may be on their way.
pub const SMALL_SLOTS: u32 = 1 << 1;
/// Flash from 16 MB on is reached.
pub const ADDRESS_32BIT: u32 = 1 << 2;
