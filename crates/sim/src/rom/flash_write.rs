use std::time::Duration;

use guru_chip::Revision;
use guru_wire::{ErrorCode, Opcode, checksum};

use super::driver::{Driver, Fail};
use super::inflate::{Inflate, InflateFail};
use super::loader::{Refusal, Request};
use crate::xts::{BLOCK, Xts};

/// Largest block size that BEGIN takes, in bytes.
const MAX_BLOCK: u32 = 0x1800;
/// Checking and copying a block, in nanoseconds a byte. An assumption.
const COPY_NS: u64 = 30;
/// Inflating, in nanoseconds a byte of output. An assumption.
const INFLATE_NS: u64 = 150;

/// What a write of numbered blocks remembers, for flash or RAM.
#[derive(Debug, Default)]
pub(super) struct Progress {
    total: u32,
    blocks: u32,
    block_size: u32,
    next: u32,
    received: u32,
    address: u32,
}

/// The two kinds of writes to flash, each with its own progress.
pub(super) struct FlashWrite {
    raw: Progress,
    deflated: Progress,
    inflate: Inflate,
    /// What raw blocks are encrypted with.
    key: Option<Xts>,
}

impl Progress {
    /// Takes the words of a BEGIN.
    pub fn begin(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let block_size = request.word(8);
        if block_size > MAX_BLOCK {
            return Err(ErrorCode::INVALID_FORMAT.into());
        }
        *self = Self {
            total: request.word(0),
            blocks: request.word(4),
            block_size,
            next: 0,
            received: 0,
            address: request.word(12),
        };
        Ok(())
    }

    /// Checks a block and counts it: the number first, which then is used up, and the checksum
    /// behind it.
    pub fn take<'a>(
        &mut self,
        request: &Request<'a>,
        multiple_of: usize,
    ) -> Result<&'a [u8], Refusal> {
        let len = request.word(0) as usize;
        let refused = request.payload_len() > MAX_BLOCK as usize + 16
            || request.word(4) != self.next
            || len > self.block_size as usize
            || !len.is_multiple_of(multiple_of);
        if refused {
            return Err(ErrorCode::INVALID_FORMAT.into());
        }
        self.next = self.next.wrapping_add(1);
        let data = request.bytes(16, len);
        if checksum(data) as u8 != request.checksum() {
            return Err(ErrorCode::CHECKSUM.into());
        }
        Ok(data)
    }

    /// Where the next block goes.
    pub fn address(&self) -> u32 {
        self.address
    }

    /// A block was stored.
    pub fn stored(&mut self, len: usize) {
        self.received = self.received.wrapping_add(len as u32);
        self.address = self.address.wrapping_add(len as u32);
    }
}

impl FlashWrite {
    pub fn new() -> Self {
        Self {
            raw: Progress::default(),
            deflated: Progress::default(),
            inflate: Inflate::new(),
            key: None,
        }
    }

    /// FLASH_BEGIN and FLASH_DEFL_BEGIN: nothing protects their words, and the erase is refused
    /// only beyond the flash's size and off a sector's start. Raw data are encrypted unless eFuse
    /// forbids it, with or without a key; compressed ones never are (`FlashDwnLdStartMsgProc` and
    /// `FlashDwnLdDeflatedStartMsgProc`, alike in all ROMs that take the flag).
    pub fn begin(
        &mut self,
        opcode: Opcode,
        request: &Request<'_>,
        driver: &mut Driver<'_>,
        revision: Revision,
    ) -> Result<(), Refusal> {
        let rom = &driver.board.chip.rom;
        if request.payload_len() != usize::from(rom.begin_words) * 4 {
            return Err(ErrorCode::INVALID_FORMAT.into());
        }
        let deflated = opcode == Opcode::FlashDeflBegin;
        let encrypt = rom.encrypts() && request.word(16) != 0;
        let fuses = driver.board.fuses(revision);
        if encrypt && (deflated || fuses.manual_encrypt_forbidden()) {
            return Err(PARAMETER.into());
        }
        if !deflated {
            self.key = fuses.flash_key().filter(|_| encrypt);
        }
        let erase = rom.erase;
        let progress = if deflated {
            &mut self.deflated
        } else {
            &mut self.raw
        };
        progress.begin(request)?;
        if deflated {
            self.inflate.begin(progress.address);
        }
        match driver.erase(progress.address, progress.total, erase) {
            Ok(()) => Ok(()),
            Err(Fail::Error) => Err(ErrorCode::FAILED.into()),
            Err(Fail::Hangs) => Err(Refusal::Hangs),
        }
    }

    /// FLASH_DATA: programmed, read back, compared by checksum. What is encrypted is not read back.
    pub fn data(&mut self, request: &Request<'_>, driver: &mut Driver<'_>) -> Result<(), Refusal> {
        let data = self.raw.take(request, 4)?;
        driver.spend(Duration::from_nanos(COPY_NS * data.len() as u64));
        let at = self.raw.address;
        if let Some(key) = &self.key {
            if !(at as usize | data.len()).is_multiple_of(BLOCK) {
                return Err(PARAMETER.into());
            }
            let mut data = data.to_vec();
            key.encrypt(at, &mut data);
            if driver.write(at, &data) == Err(Fail::Hangs) {
                return Err(Refusal::Hangs);
            }
            self.raw.stored(data.len());
            return Ok(());
        }
        if driver.write(at, data) == Err(Fail::Hangs) {
            return Err(Refusal::Hangs);
        }
        let mut back = vec![0; data.len()];
        match driver.read(at, &mut back) {
            Err(Fail::Hangs) => return Err(Refusal::Hangs),
            // A read beyond the size leaves the buffer as it was: what was to be written.
            Err(Fail::Error) => back.copy_from_slice(data),
            Ok(()) => {}
        }
        if checksum(&back) as u8 != request.checksum() {
            return Err(ErrorCode::FLASH_WRITE.into());
        }
        self.raw.stored(data.len());
        Ok(())
    }

    /// FLASH_DEFL_DATA: inflated, and written a window at a time without reading back.
    pub fn deflated_data(
        &mut self,
        request: &Request<'_>,
        driver: &mut Driver<'_>,
    ) -> Result<(), Refusal> {
        let Some(rule) = driver.board.chip.rom.inflate else {
            return Err(ErrorCode::INVALID_FORMAT.into());
        };
        let data = self.deflated.take(request, 1)?;
        driver.spend(Duration::from_nanos(COPY_NS * data.len() as u64));
        let last = self.deflated.next == self.deflated.blocks;
        match self.inflate.push(driver, data, last, rule) {
            Ok(produced) => {
                driver.spend(Duration::from_nanos(INFLATE_NS * produced));
                Ok(())
            }
            Err(InflateFail::Status(status)) => Err(Refusal::Code(ErrorCode {
                failed: 1,
                code: 10 + status,
            })),
            Err(InflateFail::Hangs) => Err(Refusal::Hangs),
        }
    }

    /// FLASH_END and FLASH_DEFL_END: all blocks must have been counted, and as many bytes as
    /// BEGIN said. Of a compressed stream the ROM counts no bytes at all, so that only the
    /// blocks matter on the ESP32 and nothing else is compared.
    pub fn end(&mut self, opcode: Opcode) -> Result<(), Refusal> {
        let complete = match opcode {
            Opcode::FlashDeflEnd => self.deflated.next == self.deflated.blocks,
            _ => self.raw.next == self.raw.blocks && self.raw.received == self.raw.total,
        };
        if complete {
            Ok(())
        } else {
            Err(ErrorCode::FAILED.into())
        }
    }
}

/// Encryption was asked for, and cannot be done.
pub(super) const PARAMETER: ErrorCode = ErrorCode {
    failed: 1,
    code: 100,
};
