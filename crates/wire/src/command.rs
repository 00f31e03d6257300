use thiserror::Error;

use crate::{Opcode, checksum};

/// Bytes before a command's payload: direction, opcode, length, checksum.
pub const HEADER_LEN: usize = 8;

/// Payload of SYNC: four fixed bytes, then 32 times 0x55, which looks like a square wave on the
/// line so that the ROM can measure the baud rate.
pub const SYNC_PAYLOAD: [u8; 36] = {
    let mut bytes = [0x55; 36];
    bytes[0] = 0x07;
    bytes[1] = 0x07;
    bytes[2] = 0x12;
    bytes[3] = 0x20;
    bytes
};

/// A request to the ROM loader or a flasher stub. Numbers are in bytes; they go out little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// Asks for an answer at this baud rate.
    Sync,
    /// Erases `erase_size` bytes from `offset`, then takes raw blocks.
    FlashBegin(Begin),
    /// Raw block number `sequence`.
    FlashData {
        /// Number of the block, from 0.
        sequence: u32,
        /// Contents; the length must be a multiple of 4.
        data: &'a [u8],
    },
    /// Leaves the flash mode.
    FlashEnd {
        /// `true`: no reset, so that a stub stays and a ROM goes on to the application; `false`: a
        /// reset.
        stay: bool,
    },
    /// Erases `erase_size` bytes from `offset`, then takes blocks of one zlib stream.
    FlashDeflBegin(Begin),
    /// Block number `sequence` of the zlib stream.
    FlashDeflData {
        /// Number of the block, from 0.
        sequence: u32,
        /// A piece of the stream, of any length up to the block size.
        data: &'a [u8],
    },
    /// Leaves the deflate mode.
    FlashDeflEnd {
        /// `true`: stay in the loader; `false`: start the application.
        stay: bool,
    },
    /// Starts a write to RAM.
    MemBegin {
        /// Total bytes.
        size: u32,
        /// Number of blocks.
        blocks: u32,
        /// Bytes a block.
        block_size: u32,
        /// Load address.
        address: u32,
    },
    /// RAM block number `sequence`.
    MemData {
        /// Number of the block, from 0.
        sequence: u32,
        /// Contents.
        data: &'a [u8],
    },
    /// Ends a write to RAM.
    MemEnd {
        /// Where to jump; `None`: stay in the loader.
        entry: Option<u32>,
    },
    /// Sets masked bits of registers, one after the other.
    WriteReg {
        /// The writes; at least one.
        writes: Vec<RegisterWrite>,
    },
    /// Reads a register.
    ReadReg {
        /// Register address.
        address: u32,
    },
    /// Tells the ROM how large the flash is; the geometry is always 64 KiB blocks, 4 KiB sectors,
    /// 256-byte pages and a status mask of 0xFFFF.
    SpiSetParams {
        /// Size of the flash.
        size: u32,
    },
    /// Connects the flash.
    SpiAttach {
        /// Pins, `hd << 24 | cs << 18 | d << 12 | q << 6 | clk`; 0: the default pins; 1: HSPI.
        pins: u32,
    },
    /// Reads flash; the answer always holds 64 bytes.
    ReadFlashSlow {
        /// First byte.
        offset: u32,
        /// Bytes wanted, at most 64.
        length: u32,
    },
    /// Changes the baud rate after the answer.
    ChangeBaudrate {
        /// New rate in bits per second.
        new: u32,
        /// Present rate for a stub, 0 for a ROM.
        old: u32,
    },
    /// MD5 of a range of flash.
    SpiFlashMd5 {
        /// First byte.
        offset: u32,
        /// Number of bytes.
        length: u32,
    },
    /// Security flags, key purposes, chip id.
    GetSecurityInfo,
    /// Starts the check of a secure download certificate.
    SdcVerifyBegin {
        /// Whether a nonce follows the certificate proper.
        nonce: bool,
        /// Bytes of the certificate and the nonce.
        size: u32,
    },
    /// The certificate, and the nonce behind it.
    SdcVerifyData {
        /// Both.
        data: &'a [u8],
    },
    /// Checks the certificate; the status says what came of it.
    SdcVerifyEnd,
    /// Starts making chip info.
    SdcInfoBegin {
        /// Whether there will be a nonce in it.
        nonce: bool,
    },
    /// The nonce for the chip info.
    SdcInfoData {
        /// 32 bytes, or none.
        data: &'a [u8],
    },
    /// Answers the chip info: 64 bytes, of which the first 32 count.
    SdcInfoEnd,
    /// Erases the whole flash (stub).
    EraseFlash,
    /// Erases sectors (stub).
    EraseRegion {
        /// First byte, a multiple of a sector.
        offset: u32,
        /// Bytes, a multiple of a sector.
        length: u32,
    },
    /// Reads flash (stub). Packets of contents follow the answer, each of which is acknowledged by
    /// the number of bytes that have arrived in all, in a frame of four bytes; the last frame is the
    /// MD5 of all.
    ReadFlash {
        /// First byte.
        offset: u32,
        /// Number of bytes.
        length: u32,
        /// Bytes a packet, at most 4096.
        packet: u32,
        /// Packets that may be on their way unacknowledged.
        window: u32,
    },
    /// Asks a stub of Guru's for what goes beyond the base protocol; the value of the answer is what
    /// it grants ([`capability`](crate::capability)).
    Capabilities {
        /// Bits.
        wanted: u32,
    },
    /// The first four bytes of the MD5 of each sector, from a stub that grants
    /// [`DIGEST_MAP`](crate::capability::DIGEST_MAP).
    DigestMap {
        /// First byte, a multiple of a sector.
        offset: u32,
        /// Bytes, a multiple of a sector; at most 16000 sectors.
        length: u32,
    },
}

/// Payload of FLASH_BEGIN and FLASH_DEFL_BEGIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Bytes to erase; for a zlib stream to a ROM, the same range that its contents cover.
    pub erase_size: u32,
    /// Number of data blocks that follow.
    pub blocks: u32,
    /// Largest block.
    pub block_size: u32,
    /// Where in flash the data go.
    pub offset: u32,
    /// Whether the chip shall encrypt what it writes; `None` where the ROM takes four words only.
    pub encrypted: Option<bool>,
}

/// One write of WRITE_REG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterWrite {
    /// Register address.
    pub address: u32,
    /// New value of the masked bits.
    pub value: u32,
    /// Bits to change; all ones writes without reading first.
    pub mask: u32,
    /// Pause before the write in microseconds.
    pub delay_us: u32,
}

/// Why bytes are not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    /// Shorter than a header, or the direction byte is not 0.
    #[error("not a request")]
    NotARequest,
    /// The opcode is not one of the ROM's.
    #[error("unknown opcode 0x{0:02x}")]
    UnknownOpcode(u8),
    /// The length field does not fit the packet, or the payload its opcode.
    #[error("{0}: wrong length")]
    WrongLength(Opcode),
    /// The checksum of a data block does not match. The ROM has already counted the block.
    #[error("{opcode}: wrong checksum of block {sequence}")]
    WrongChecksum {
        /// Which data command.
        opcode: Opcode,
        /// Number that the block carried.
        sequence: u32,
    },
}

impl<'a> Command<'a> {
    /// The command's number.
    pub fn opcode(&self) -> Opcode {
        match self {
            Self::Sync => Opcode::Sync,
            Self::FlashBegin(_) => Opcode::FlashBegin,
            Self::FlashData { .. } => Opcode::FlashData,
            Self::FlashEnd { .. } => Opcode::FlashEnd,
            Self::FlashDeflBegin(_) => Opcode::FlashDeflBegin,
            Self::FlashDeflData { .. } => Opcode::FlashDeflData,
            Self::FlashDeflEnd { .. } => Opcode::FlashDeflEnd,
            Self::MemBegin { .. } => Opcode::MemBegin,
            Self::MemData { .. } => Opcode::MemData,
            Self::MemEnd { .. } => Opcode::MemEnd,
            Self::WriteReg { .. } => Opcode::WriteReg,
            Self::ReadReg { .. } => Opcode::ReadReg,
            Self::SpiSetParams { .. } => Opcode::SpiSetParams,
            Self::SpiAttach { .. } => Opcode::SpiAttach,
            Self::ReadFlashSlow { .. } => Opcode::ReadFlashSlow,
            Self::ChangeBaudrate { .. } => Opcode::ChangeBaudrate,
            Self::SpiFlashMd5 { .. } => Opcode::SpiFlashMd5,
            Self::GetSecurityInfo => Opcode::GetSecurityInfo,
            Self::SdcVerifyBegin { .. } => Opcode::SdcVerifyBegin,
            Self::SdcVerifyData { .. } => Opcode::SdcVerifyData,
            Self::SdcVerifyEnd => Opcode::SdcVerifyEnd,
            Self::SdcInfoBegin { .. } => Opcode::SdcInfoBegin,
            Self::SdcInfoData { .. } => Opcode::SdcInfoData,
            Self::SdcInfoEnd => Opcode::SdcInfoEnd,
            Self::EraseFlash => Opcode::EraseFlash,
            Self::EraseRegion { .. } => Opcode::EraseRegion,
            Self::ReadFlash { .. } => Opcode::ReadFlash,
            Self::Capabilities { .. } => Opcode::Capabilities,
            Self::DigestMap { .. } => Opcode::DigestMap,
        }
    }

    /// The request packet, before SLIP framing.
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = vec![0, self.opcode() as u8, 0, 0, 0, 0, 0, 0];
        let mut sum = 0;
        match *self {
            Self::Sync => packet.extend_from_slice(&SYNC_PAYLOAD),
            Self::FlashBegin(begin) | Self::FlashDeflBegin(begin) => {
                let Begin {
                    erase_size,
                    blocks,
                    block_size,
                    offset,
                    encrypted,
                } = begin;
                push_words(&mut packet, &[erase_size, blocks, block_size, offset]);
                if let Some(encrypted) = encrypted {
                    push_words(&mut packet, &[u32::from(encrypted)]);
                }
            }
            Self::FlashData { sequence, data }
            | Self::FlashDeflData { sequence, data }
            | Self::MemData { sequence, data } => {
                push_words(&mut packet, &[data.len() as u32, sequence, 0, 0]);
                packet.extend_from_slice(data);
                sum = checksum(data);
            }
            Self::FlashEnd { stay } | Self::FlashDeflEnd { stay } => {
                push_words(&mut packet, &[u32::from(stay)]);
            }
            Self::MemBegin {
                size,
                blocks,
                block_size,
                address,
            } => {
                push_words(&mut packet, &[size, blocks, block_size, address]);
            }
            Self::MemEnd { entry } => {
                push_words(
                    &mut packet,
                    &[u32::from(entry.is_none()), entry.unwrap_or(0)],
                );
            }
            Self::WriteReg { ref writes } => {
                for write in writes {
                    let RegisterWrite {
                        address,
                        value,
                        mask,
                        delay_us,
                    } = *write;
                    push_words(&mut packet, &[address, value, mask, delay_us]);
                }
            }
            Self::ReadReg { address } => push_words(&mut packet, &[address]),
            Self::SpiSetParams { size } => {
                push_words(&mut packet, &[0, size, 0x1_0000, 0x1000, 0x100, 0xFFFF]);
            }
            Self::SpiAttach { pins } => push_words(&mut packet, &[pins, 0]),
            Self::ReadFlashSlow { offset, length } => push_words(&mut packet, &[offset, length]),
            Self::ChangeBaudrate { new, old } => push_words(&mut packet, &[new, old]),
            Self::SpiFlashMd5 { offset, length } => {
                push_words(&mut packet, &[offset, length, 0, 0]);
            }
            Self::GetSecurityInfo | Self::EraseFlash => {}
            Self::EraseRegion { offset, length } | Self::DigestMap { offset, length } => {
                push_words(&mut packet, &[offset, length]);
            }
            Self::ReadFlash {
                offset,
                length,
                packet: size,
                window,
            } => push_words(&mut packet, &[offset, length, size, window]),
            Self::Capabilities { wanted } => push_words(&mut packet, &[wanted]),
            Self::SdcVerifyBegin { nonce, size } => {
                push_words(&mut packet, &[u32::from(nonce), size]);
            }
            Self::SdcVerifyData { data } | Self::SdcInfoData { data } => {
                push_words(&mut packet, &[data.len() as u32]);
                packet.extend_from_slice(data);
                sum = checksum(data);
            }
            Self::SdcVerifyEnd => push_words(&mut packet, &[0]),
            Self::SdcInfoBegin { nonce } => push_words(&mut packet, &[u32::from(nonce)]),
            // The ROM does not look at the word.
            Self::SdcInfoEnd => push_words(&mut packet, &[1]),
        }
        let length = (packet.len() - HEADER_LEN) as u16;
        packet[2..4].copy_from_slice(&length.to_le_bytes());
        packet[4..8].copy_from_slice(&sum.to_le_bytes());
        packet
    }

    /// Reads a request packet as a ROM does: the length must fit and the checksum of a data block
    /// must match.
    pub fn decode(packet: &'a [u8]) -> Result<Self, CommandError> {
        let [0, opcode, length_low, length_high, sum @ ..] = packet else {
            return Err(CommandError::NotARequest);
        };
        let Some((sum, payload)) = sum.split_first_chunk::<4>() else {
            return Err(CommandError::NotARequest);
        };
        let opcode = Opcode::from_byte(*opcode).ok_or(CommandError::UnknownOpcode(*opcode))?;
        let wrong_length = CommandError::WrongLength(opcode);
        if payload.len() != usize::from(u16::from_le_bytes([*length_low, *length_high])) {
            return Err(wrong_length);
        }
        let sum = u32::from_le_bytes(*sum);
        let words = |counts: &[usize]| -> Result<Vec<u32>, CommandError> {
            if counts.iter().any(|count| payload.len() == count * 4) {
                Ok(payload.chunks_exact(4).map(word).collect())
            } else {
                Err(wrong_length)
            }
        };
        let data = || -> Result<(u32, &'a [u8]), CommandError> {
            let (head, data) = payload.split_first_chunk::<16>().ok_or(wrong_length)?;
            if word(&head[0..4]) as usize != data.len() {
                return Err(wrong_length);
            }
            let sequence = word(&head[4..8]);
            if checksum(data) != sum {
                return Err(CommandError::WrongChecksum { opcode, sequence });
            }
            Ok((sequence, data))
        };
        // One word in front, and no number: there is one block alone.
        let single = || -> Result<&'a [u8], CommandError> {
            let (len, data) = payload.split_first_chunk::<4>().ok_or(wrong_length)?;
            if word(len) as usize != data.len() {
                return Err(wrong_length);
            }
            if checksum(data) != sum {
                return Err(CommandError::WrongChecksum {
                    opcode,
                    sequence: 0,
                });
            }
            Ok(data)
        };
        let begin = || -> Result<Begin, CommandError> {
            let words = words(&[4, 5])?;
            Ok(Begin {
                erase_size: words[0],
                blocks: words[1],
                block_size: words[2],
                offset: words[3],
                encrypted: words.get(4).map(|flag| *flag != 0),
            })
        };
        Ok(match opcode {
            Opcode::Sync if payload == SYNC_PAYLOAD => Self::Sync,
            Opcode::Sync => return Err(wrong_length),
            Opcode::FlashBegin => Self::FlashBegin(begin()?),
            Opcode::FlashDeflBegin => Self::FlashDeflBegin(begin()?),
            Opcode::FlashData => {
                let (sequence, data) = data()?;
                Self::FlashData { sequence, data }
            }
            Opcode::FlashDeflData => {
                let (sequence, data) = data()?;
                Self::FlashDeflData { sequence, data }
            }
            Opcode::MemData => {
                let (sequence, data) = data()?;
                Self::MemData { sequence, data }
            }
            Opcode::FlashEnd => Self::FlashEnd {
                stay: words(&[1])?[0] != 0,
            },
            Opcode::FlashDeflEnd => Self::FlashDeflEnd {
                stay: words(&[1])?[0] != 0,
            },
            Opcode::MemBegin => {
                let words = words(&[4])?;
                Self::MemBegin {
                    size: words[0],
                    blocks: words[1],
                    block_size: words[2],
                    address: words[3],
                }
            }
            Opcode::MemEnd => {
                let words = words(&[2])?;
                Self::MemEnd {
                    entry: (words[0] == 0).then_some(words[1]),
                }
            }
            Opcode::WriteReg if !payload.is_empty() && payload.len() % 16 == 0 => {
                let write = |bytes: &[u8]| RegisterWrite {
                    address: word(&bytes[0..4]),
                    value: word(&bytes[4..8]),
                    mask: word(&bytes[8..12]),
                    delay_us: word(&bytes[12..16]),
                };
                Self::WriteReg {
                    writes: payload.chunks_exact(16).map(write).collect(),
                }
            }
            Opcode::WriteReg => return Err(wrong_length),
            Opcode::ReadReg => Self::ReadReg {
                address: words(&[1])?[0],
            },
            Opcode::SpiSetParams => Self::SpiSetParams {
                size: words(&[6])?[1],
            },
            Opcode::SpiAttach => Self::SpiAttach {
                pins: words(&[1, 2])?[0],
            },
            Opcode::ReadFlashSlow => {
                let words = words(&[2])?;
                Self::ReadFlashSlow {
                    offset: words[0],
                    length: words[1],
                }
            }
            Opcode::ChangeBaudrate => {
                let words = words(&[2])?;
                Self::ChangeBaudrate {
                    new: words[0],
                    old: words[1],
                }
            }
            Opcode::SpiFlashMd5 => {
                let words = words(&[4])?;
                Self::SpiFlashMd5 {
                    offset: words[0],
                    length: words[1],
                }
            }
            Opcode::GetSecurityInfo => {
                words(&[0])?;
                Self::GetSecurityInfo
            }
            Opcode::SdcVerifyBegin => {
                let words = words(&[2])?;
                Self::SdcVerifyBegin {
                    nonce: words[0] != 0,
                    size: words[1],
                }
            }
            Opcode::SdcVerifyData => Self::SdcVerifyData { data: single()? },
            Opcode::SdcVerifyEnd => {
                words(&[1])?;
                Self::SdcVerifyEnd
            }
            Opcode::SdcInfoBegin => Self::SdcInfoBegin {
                nonce: words(&[1])?[0] != 0,
            },
            Opcode::SdcInfoData => Self::SdcInfoData { data: single()? },
            Opcode::SdcInfoEnd => {
                words(&[1])?;
                Self::SdcInfoEnd
            }
            Opcode::EraseFlash => {
                words(&[0])?;
                Self::EraseFlash
            }
            Opcode::EraseRegion => {
                let words = words(&[2])?;
                Self::EraseRegion {
                    offset: words[0],
                    length: words[1],
                }
            }
            Opcode::ReadFlash => {
                let words = words(&[4])?;
                Self::ReadFlash {
                    offset: words[0],
                    length: words[1],
                    packet: words[2],
                    window: words[3],
                }
            }
            Opcode::Capabilities => Self::Capabilities {
                wanted: words(&[1])?[0],
            },
            Opcode::DigestMap => {
                let words = words(&[2])?;
                Self::DigestMap {
                    offset: words[0],
                    length: words[1],
                }
            }
        })
    }
}

fn push_words(packet: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        packet.extend_from_slice(&word.to_le_bytes());
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sync_has_the_documented_bytes() {
        let packet = Command::Sync.encode();
        assert_eq!(packet[..12], [0, 8, 36, 0, 0, 0, 0, 0, 7, 7, 0x12, 0x20]);
        assert!(packet[12..].iter().all(|byte| *byte == 0x55));
    }

    #[test]
    fn a_rom_with_four_words_gets_no_encryption_flag() {
        let begin = Begin {
            erase_size: 0x1000,
            blocks: 4,
            block_size: 0x400,
            offset: 0x1_0000,
            encrypted: None,
        };
        assert_eq!(Command::FlashBegin(begin).encode().len(), HEADER_LEN + 16);
        let begin = Begin {
            encrypted: Some(false),
            ..begin
        };
        assert_eq!(
            Command::FlashDeflBegin(begin).encode().len(),
            HEADER_LEN + 20
        );
    }

    #[test]
    fn a_damaged_block_is_told_by_its_checksum_and_number() {
        let mut packet = Command::FlashData {
            sequence: 7,
            data: &[1, 2, 3, 4],
        }
        .encode();
        packet[25] ^= 1;
        assert_eq!(
            Command::decode(&packet),
            Err(CommandError::WrongChecksum {
                opcode: Opcode::FlashData,
                sequence: 7
            })
        );
    }

    fn any_begin() -> impl Strategy<Value = Begin> {
        any::<(u32, u32, u32, u32, Option<bool>)>().prop_map(
            |(erase_size, blocks, block_size, offset, encrypted)| Begin {
                erase_size,
                blocks,
                block_size,
                offset,
                encrypted,
            },
        )
    }

    fn any_command(data: &'static [u8]) -> impl Strategy<Value = Command<'static>> {
        let number = any::<u32>;
        prop_oneof![
            Just(Command::Sync),
            Just(Command::GetSecurityInfo),
            any_begin().prop_map(Command::FlashBegin),
            any_begin().prop_map(Command::FlashDeflBegin),
            number().prop_map(move |sequence| Command::FlashData { sequence, data }),
            number().prop_map(move |sequence| Command::FlashDeflData { sequence, data }),
            number().prop_map(move |sequence| Command::MemData { sequence, data }),
            any::<bool>().prop_map(|stay| Command::FlashEnd { stay }),
            any::<bool>().prop_map(|stay| Command::FlashDeflEnd { stay }),
            any::<Option<u32>>().prop_map(|entry| Command::MemEnd { entry }),
            number().prop_map(|address| Command::ReadReg { address }),
            number().prop_map(|size| Command::SpiSetParams { size }),
            number().prop_map(|pins| Command::SpiAttach { pins }),
            any::<(bool, u32)>().prop_map(|(nonce, size)| Command::SdcVerifyBegin { nonce, size }),
            Just(Command::SdcVerifyData { data }),
            Just(Command::SdcVerifyEnd),
            any::<bool>().prop_map(|nonce| Command::SdcInfoBegin { nonce }),
            Just(Command::SdcInfoData { data }),
            Just(Command::SdcInfoEnd),
            Just(Command::EraseFlash),
            any::<(u32, u32)>()
                .prop_map(|(offset, length)| Command::EraseRegion { offset, length }),
            any::<(u32, u32)>().prop_map(|(offset, length)| Command::DigestMap { offset, length }),
            number().prop_map(|wanted| Command::Capabilities { wanted }),
            any::<(u32, u32, u32, u32)>().prop_map(|(offset, length, packet, window)| {
                Command::ReadFlash {
                    offset,
                    length,
                    packet,
                    window,
                }
            }),
            any::<(u32, u32)>()
                .prop_map(|(offset, length)| Command::ReadFlashSlow { offset, length }),
            any::<(u32, u32)>().prop_map(|(new, old)| Command::ChangeBaudrate { new, old }),
            any::<(u32, u32)>()
                .prop_map(|(offset, length)| Command::SpiFlashMd5 { offset, length }),
            prop::collection::vec(any::<(u32, u32, u32, u32)>(), 1..9).prop_map(|writes| {
                let write = |(address, value, mask, delay_us)| RegisterWrite {
                    address,
                    value,
                    mask,
                    delay_us,
                };
                Command::WriteReg {
                    writes: writes.into_iter().map(write).collect(),
                }
            }),
            any::<(u32, u32, u32, u32)>().prop_map(|(size, blocks, block_size, address)| {
                Command::MemBegin {
                    size,
                    blocks,
                    block_size,
                    address,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(command in any_command(b"some data")) {
            let packet = command.encode();
            let decoded = Command::decode(&packet);
            // MEM_END carries no entry when it stays in the loader.
            prop_assert_eq!(decoded, Ok(command));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
            let _ = Command::decode(&bytes);
        }
    }
}
