use std::fmt;

/// Command numbers of the ROM loaders (below 0xD0) and the flasher stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Opcode {
    /// Erases a range and starts writing raw blocks.
    FlashBegin = 0x02,
    /// One raw block.
    FlashData = 0x03,
    /// Ends writing; may start the application.
    FlashEnd = 0x04,
    /// Starts writing to RAM.
    MemBegin = 0x05,
    /// Ends writing to RAM; may jump to an entry point.
    MemEnd = 0x06,
    /// One block for RAM.
    MemData = 0x07,
    /// Finds the baud rate; answered eight times by a ROM.
    Sync = 0x08,
    /// Writes a register under a mask.
    WriteReg = 0x09,
    /// Reads a register.
    ReadReg = 0x0A,
    /// Tells the size and geometry of the flash.
    SpiSetParams = 0x0B,
    /// Connects the flash to the SPI controller.
    SpiAttach = 0x0D,
    /// Reads up to 64 bytes of flash (ROM only).
    ReadFlashSlow = 0x0E,
    /// Changes the baud rate, after the answer.
    ChangeBaudrate = 0x0F,
    /// Erases a range and starts writing a zlib stream.
    FlashDeflBegin = 0x10,
    /// One block of the zlib stream.
    FlashDeflData = 0x11,
    /// Ends the zlib stream.
    FlashDeflEnd = 0x12,
    /// MD5 of a range of flash.
    SpiFlashMd5 = 0x13,
    /// Security flags, key purposes, chip id.
    GetSecurityInfo = 0x14,
    /// Starts the check of a secure download certificate.
    SdcVerifyBegin = 0x19,
    /// The certificate.
    SdcVerifyData = 0x1A,
    /// Checks the certificate.
    SdcVerifyEnd = 0x1B,
    /// Starts making the chip info that a secure download certificate is signed for.
    SdcInfoBegin = 0x1C,
    /// The nonce of the chip info.
    SdcInfoData = 0x1D,
    /// Answers the chip info.
    SdcInfoEnd = 0x1E,
    /// Erases the whole flash (stub only, as all that follow).
    EraseFlash = 0xD0,
    /// Erases sectors.
    EraseRegion = 0xD1,
    /// Reads flash in a window of packets.
    ReadFlash = 0xD2,
    /// Agrees on what goes beyond the base protocol (Guru's stub only).
    Capabilities = 0xE0,
    /// Short digests of sectors (Guru's stub only).
    DigestMap = 0xE1,
}

impl Opcode {
    /// Every opcode, ascending.
    pub const ALL: [Self; 29] = [
        Self::FlashBegin,
        Self::FlashData,
        Self::FlashEnd,
        Self::MemBegin,
        Self::MemEnd,
        Self::MemData,
        Self::Sync,
        Self::WriteReg,
        Self::ReadReg,
        Self::SpiSetParams,
        Self::SpiAttach,
        Self::ReadFlashSlow,
        Self::ChangeBaudrate,
        Self::FlashDeflBegin,
        Self::FlashDeflData,
        Self::FlashDeflEnd,
        Self::SpiFlashMd5,
        Self::GetSecurityInfo,
        Self::SdcVerifyBegin,
        Self::SdcVerifyData,
        Self::SdcVerifyEnd,
        Self::SdcInfoBegin,
        Self::SdcInfoData,
        Self::SdcInfoEnd,
        Self::EraseFlash,
        Self::EraseRegion,
        Self::ReadFlash,
        Self::Capabilities,
        Self::DigestMap,
    ];

    /// The opcode with this number, if it is known.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|op| *op as u8 == byte)
    }

    /// The name in the protocol's documentation, such as `FLASH_BEGIN`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FlashBegin => "FLASH_BEGIN",
            Self::FlashData => "FLASH_DATA",
            Self::FlashEnd => "FLASH_END",
            Self::MemBegin => "MEM_BEGIN",
            Self::MemEnd => "MEM_END",
            Self::MemData => "MEM_DATA",
            Self::Sync => "SYNC",
            Self::WriteReg => "WRITE_REG",
            Self::ReadReg => "READ_REG",
            Self::SpiSetParams => "SPI_SET_PARAMS",
            Self::SpiAttach => "SPI_ATTACH",
            Self::ReadFlashSlow => "READ_FLASH_SLOW",
            Self::ChangeBaudrate => "CHANGE_BAUDRATE",
            Self::FlashDeflBegin => "FLASH_DEFL_BEGIN",
            Self::FlashDeflData => "FLASH_DEFL_DATA",
            Self::FlashDeflEnd => "FLASH_DEFL_END",
            Self::SpiFlashMd5 => "SPI_FLASH_MD5",
            Self::GetSecurityInfo => "GET_SECURITY_INFO",
            Self::SdcVerifyBegin => "SDC_VERIF_BEGIN",
            Self::SdcVerifyData => "SDC_VERIF_DATA",
            Self::SdcVerifyEnd => "SDC_VERIF_END",
            Self::SdcInfoBegin => "SDC_GEN_BEGIN",
            Self::SdcInfoData => "SDC_GEN_DATA",
            Self::SdcInfoEnd => "SDC_GEN_END",
            Self::EraseFlash => "ERASE_FLASH",
            Self::EraseRegion => "ERASE_REGION",
            Self::ReadFlash => "READ_FLASH",
            Self::Capabilities => "CAPABILITIES",
            Self::DigestMap => "DIGEST_MAP",
        }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opcode_is_found_by_its_number() {
        for op in Opcode::ALL {
            assert_eq!(Opcode::from_byte(op as u8), Some(op));
        }
        assert_eq!(Opcode::from_byte(0x0C), None);
    }
}
