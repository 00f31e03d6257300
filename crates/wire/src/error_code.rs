use std::fmt;

/// The two status bytes of a failed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode {
    /// First byte; not 0. A ROM says 1, a stub its own kind of error.
    pub failed: u8,
    /// Second byte: why.
    pub code: u8,
}

impl ErrorCode {
    /// The ROM found the packet malformed, or its block number unexpected.
    pub const INVALID_FORMAT: Self = Self {
        failed: 1,
        code: 0x05,
    };
    /// The ROM could not do it: wrong total at the end of a write, address out of range.
    pub const FAILED: Self = Self {
        failed: 1,
        code: 0x06,
    };
    /// The checksum of a block was wrong; the block was not written, but it was counted.
    pub const CHECKSUM: Self = Self {
        failed: 1,
        code: 0x07,
    };
    /// A block read back differently from what was to be programmed.
    pub const FLASH_WRITE: Self = Self {
        failed: 1,
        code: 0x08,
    };
    /// A range of flash could not be read: it lies beyond the size that the ROM was told.
    pub const FLASH_READ: Self = Self {
        failed: 1,
        code: 0x09,
    };
    /// READ_FLASH_SLOW was asked for more than 64 bytes.
    pub const READ_LENGTH: Self = Self {
        failed: 1,
        code: 0x0A,
    };
    /// The zlib stream is damaged.
    pub const INFLATE: Self = Self {
        failed: 1,
        code: 0x0B,
    };
    /// The zlib stream's Adler-32 is wrong.
    pub const ADLER32: Self = Self {
        failed: 1,
        code: 0x0C,
    };

    /// A secure download certificate was not taken.
    pub const UNDEFINED: Self = Self {
        failed: 1,
        code: 0x00,
    };
    /// A length of the secure download certificate's commands is out of range.
    pub const CERTIFICATE_RANGE: Self = Self {
        failed: 1,
        code: 0x10,
    };
    /// A certificate has another length than it must have, or than was announced.
    pub const CERTIFICATE_LENGTH: Self = Self {
        failed: 1,
        code: 0x11,
    };
    /// The nonce has another length than it must have.
    pub const NONCE_LENGTH: Self = Self {
        failed: 1,
        code: 0x12,
    };

    /// A stub got a packet that is not as long as it says.
    pub const STUB_LENGTH: Self = Self {
        failed: 0xC0,
        code: 0,
    };
    /// A stub got a block whose checksum does not fit; the same block is still due.
    pub const STUB_CHECKSUM: Self = Self {
        failed: 0xC1,
        code: 0,
    };
    /// A stub got a block out of turn; the value of the answer is the number that is due.
    pub const STUB_BLOCK: Self = Self {
        failed: 0xC2,
        code: 0,
    };

    /// Both bytes as one number, failed flag first, as tools print it.
    pub fn number(self) -> u16 {
        u16::from_be_bytes([self.failed, self.code])
    }

    /// What the number means, in a few words.
    pub fn meaning(self) -> &'static str {
        match self.number() {
            0x0100 => "undefined error",
            0x0101 => "an input parameter is invalid",
            0x0102 => "the chip ran out of memory",
            0x0103 => "the chip could not send",
            0x0104 => "the chip could not receive",
            0x0105 => "the message has an invalid format",
            0x0106 => "the message was understood, but its result is wrong",
            0x0107 => "checksum error",
            0x0108 => "flash write error: what was read back differs",
            0x0109 => "flash read error",
            0x010A => "flash read length error",
            0x010B => "the compressed data are damaged",
            0x010C => "the compressed data have a wrong Adler-32",
            0x010D => "a parameter of the compressed write is invalid",
            0x010E => "invalid size of a RAM binary",
            0x010F => "invalid address of a RAM binary",
            0x0110 => "a length of the certificate's commands is out of range",
            0x0111 => "the certificate has another length than it must have",
            0x0112 => "the nonce has another length than it must have",
            0x0164 => "invalid parameter",
            0x0165 => "invalid format",
            0x0166 => "the description is too long",
            0x0167 => "wrong encoding of the description",
            0x0169 => "not enough storage",
            0xC000 => "stub: wrong data length",
            0xC100 => "stub: checksum error",
            0xC200 => "stub: wrong block size",
            0xC300 => "stub: invalid command",
            0xC400 => "stub: SPI operation failed",
            0xC500 => "stub: SPI unlock failed",
            0xC600 => "stub: not in flash mode",
            0xC700 => "stub: inflate error",
            0xC800 => "stub: not enough data",
            0xC900 => "stub: too much data",
            0xFF00 => "stub: command not implemented",
            _ => "unknown error",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}: {}", self.number(), self.meaning())
    }
}
