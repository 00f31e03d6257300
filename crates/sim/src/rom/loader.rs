use std::time::Duration;

use guru_chip::{Quirk, Revision};
use guru_link::Instant;
use guru_wire::{ErrorCode, Opcode, Response};
use md5::{Digest, Md5};

use super::certificate::CertificateState;
use super::driver::{Driver, Fail};
use super::flash_write::{FlashWrite, Progress};
use super::receive::PACKET;
use super::security::security_info;
use crate::board::Board;

/// Taking and answering the simplest command, in microseconds. An assumption.
const COMMAND: Duration = Duration::from_micros(20);
/// Digesting, in nanoseconds a byte, beside the reading. An assumption.
const MD5_NS: u64 = 700;
/// Answers to one SYNC.
const SYNC_ANSWERS: u8 = 8;
/// Length of the data in the answer to READ_FLASH_SLOW.
const READ_LEN: usize = 64;

/// The loader of the mask ROM: what it remembers between commands.
pub(crate) struct Loader {
    revision: Revision,
    mode: Mode,
    /// Code that was sent to RAM is run; under secure boot the chip is reset in its place.
    runs_ram: bool,
    /// A flasher stub has taken its place.
    stub: bool,
    /// A SYNC has been answered: until then every other packet is ignored.
    connected: bool,
    /// Opcode of the last answer: what the ROM answers to a command that it does not know.
    last_opcode: u8,
    /// Value word of the last answer: only SYNC and READ_REG set it.
    value: u32,
    /// Flash size as SPI_SET_PARAMS told it.
    flash_size: u32,
    flash: FlashWrite,
    ram: Progress,
    certificate: CertificateState,
}

/// What of the loader there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// All of it.
    Full,
    /// Secure Download Mode.
    Secure,
    /// Download mode is disabled, and a certificate can open it.
    Certificate,
}

/// A packet as the ROM reads it: at fixed places of the buffer, whatever came of it.
pub(super) struct Request<'a>(&'a [u8; PACKET]);

/// What the loader did with a packet.
#[derive(Debug)]
pub(crate) struct Answer {
    /// When it is done.
    pub at: Instant,
    /// Whether it was busy with the flash.
    pub flash: bool,
    /// The answer, before framing, and how often it is sent.
    pub packet: Vec<u8>,
    /// How often the answer is sent.
    pub times: u8,
    /// What follows the answer.
    pub act: Act,
    /// When the supply fails, if a fault struck an operation on the flash.
    pub power_loss: Option<Instant>,
}

/// What the loader does behind its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It waits for the next command.
    Stay,
    /// It never comes back from the command, and does not answer.
    Hang,
    /// It sets the divider of the UART: sixteenths of a clock cycle a bit.
    SetDivider(u32),
    /// It resets the chip.
    Reset,
    /// It has taken a certificate, and resets the CPU.
    ResetCpu,
    /// It ends, and the ROM goes on to boot from flash.
    Boot,
    /// It jumps to code in RAM.
    Jump(u32),
    /// It resets the chip, since code in RAM may not be run.
    RefuseToRun,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Code(ErrorCode),
    /// The ROM waits for the flash, for ever.
    Hangs,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl<'a> Request<'a> {
    pub fn opcode(&self) -> u8 {
        self.0[1]
    }

    /// Length of the payload, as the header says it.
    pub fn payload_len(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[2], self.0[3]]))
    }

    /// The one byte of the checksum that is looked at.
    pub fn checksum(&self) -> u8 {
        self.0[4]
    }

    /// A word of the payload.
    pub fn word(&self, offset: usize) -> u32 {
        let bytes = self.bytes(offset, 4);
        bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte))
    }

    /// Bytes of the payload.
    pub fn bytes(&self, offset: usize, len: usize) -> &'a [u8] {
        let start = (8 + offset).min(PACKET);
        &self.0[start..(start + len).min(PACKET)]
    }
}

impl Loader {
    pub fn new(board: &Board, revision: Revision) -> Self {
        let fuses = board.fuses(revision);
        Self {
            revision,
            mode: match fuses.secure_download() {
                true => Mode::Secure,
                false if fuses.certificate_only() => Mode::Certificate,
                false => Mode::Full,
            },
            runs_ram: !board.chip.rom.ram_needs_insecure_boot || !fuses.secure_boot(),
            stub: false,
            connected: false,
            last_opcode: 0,
            value: 0,
            flash_size: board.chip.rom.default_flash_size,
            flash: FlashWrite::new(),
            ram: Progress::default(),
            certificate: CertificateState::new(),
        }
    }

    /// Size of the flash as SPI_SET_PARAMS told it, in bytes.
    pub fn flash_size(&self) -> u32 {
        self.flash_size
    }

    /// Whether the ROM knows a command as the eFuses are.
    fn knows(&self, opcode: Opcode, board: &Board) -> bool {
        let code = opcode as u8;
        let rules = board.chip.efuse.certificate.as_ref();
        let known = match self.mode {
            Mode::Full => board.chip.rom.answers(code, false),
            Mode::Secure => board.chip.rom.answers(code, true),
            Mode::Certificate => rules.is_some_and(|rules| rules.commands.contains(&code)),
        };
        known
            && (opcode < Opcode::SdcVerifyBegin || board.fuses(self.revision).takes_certificates())
    }

    /// A flasher stub answers in the ROM's place: SYNC with 0, and nothing else.
    pub fn become_stub(&mut self) {
        self.stub = true;
    }

    /// Does what a packet asks for. `None`: the packet is ignored.
    pub fn handle(
        &mut self,
        buffer: &[u8; PACKET],
        board: &mut Board,
        now: Instant,
        clock: u32,
    ) -> Option<Answer> {
        let request = Request(buffer);
        if !self.connected {
            if request.0[..2] != [0, Opcode::Sync as u8] {
                return None;
            }
            self.connected = true;
        }
        if self.stub && request.opcode() != Opcode::Sync as u8 {
            return None;
        }
        let known = Opcode::from_byte(request.opcode())
            .filter(|opcode| self.knows(*opcode, board))
            .filter(|_| request.0[0] == 0);
        let mut driver = Driver {
            board,
            now: now + COMMAND,
            size: self.flash_size,
            power_loss: None,
        };
        let mut data = Vec::new();
        let mut act = Act::Stay;
        let (result, flash) = match known {
            Some(opcode) => {
                self.last_opcode = opcode as u8;
                let result = self.run(opcode, &request, &mut driver, clock, &mut data, &mut act);
                (result, is_flash(opcode))
            }
            // The opcode of the answer stays that of the command before.
            None => (Err(ErrorCode::INVALID_FORMAT.into()), false),
        };
        let status = match result {
            Ok(()) => Ok(()),
            Err(Refusal::Code(code)) => Err(code),
            Err(Refusal::Hangs) => {
                act = Act::Hang;
                Ok(())
            }
        };
        // What was to read does not return.
        let replaced = matches!((known, act), (Some(Opcode::ReadFlashSlow), Act::Jump(_)));
        let status_len = driver.board.chip.rom.status_len;
        let packet =
            Response::new(self.last_opcode, self.value, &data, status, status_len).encode();
        Some(Answer {
            at: driver.now,
            flash,
            packet,
            times: if replaced {
                0
            } else if self.last_opcode == Opcode::Sync as u8 {
                SYNC_ANSWERS
            } else {
                1
            },
            act,
            power_loss: driver.power_loss,
        })
    }

    fn run(
        &mut self,
        opcode: Opcode,
        request: &Request<'_>,
        driver: &mut Driver<'_>,
        clock: u32,
        data: &mut Vec<u8>,
        act: &mut Act,
    ) -> Result<(), Refusal> {
        match opcode {
            Opcode::Sync => self.value = if self.stub { 0 } else { request.word(0) },
            Opcode::ReadReg => self.value = driver.board.read(request.word(0), driver.now),
            Opcode::WriteReg => write_registers(request, driver)?,
            Opcode::FlashBegin | Opcode::FlashDeflBegin => {
                if driver.board.chip.quirks.contains(&Quirk::LegacyAttach) {
                    driver.board.spi.attached = true;
                }
                self.flash.begin(opcode, request, driver, self.revision)?;
            }
            Opcode::FlashData => self.flash.data(request, driver)?,
            Opcode::FlashDeflData => self.flash.deflated_data(request, driver)?,
            Opcode::FlashEnd | Opcode::FlashDeflEnd => {
                // The loader ends even where the totals are wrong; a compressed write has a
                // state of its own that nobody looks at.
                if opcode == Opcode::FlashEnd {
                    *act = Act::Boot;
                }
                self.flash.end(opcode)?;
                if request.bytes(0, 1) == [0] {
                    *act = Act::Reset;
                }
            }
            Opcode::MemBegin => {
                if request.payload_len() != 16 {
                    return Err(ErrorCode::INVALID_FORMAT.into());
                }
                self.ram.begin(request)?;
            }
            Opcode::MemData => {
                let bytes = self.ram.take(request, 1)?;
                driver.board.put(self.ram.address(), bytes);
                self.ram.stored(bytes.len());
            }
            Opcode::MemEnd => {
                if request.payload_len() > 8 {
                    return Err(ErrorCode::INVALID_FORMAT.into());
                }
                if request.bytes(0, 1) == [0] {
                    *act = match self.runs_ram {
                        true => Act::Jump(request.word(4)),
                        false => Act::RefuseToRun,
                    };
                }
            }
            Opcode::SpiSetParams => {
                if request.payload_len() != 24 {
                    return Err(ErrorCode::INVALID_FORMAT.into());
                }
                self.flash_size = request.word(4);
            }
            Opcode::SpiAttach => driver.board.spi.attached = true,
            Opcode::ReadFlashSlow => {
                // The function that reads is called through a pointer in RAM, whatever it is.
                if let Some(function) = replaced_read(driver) {
                    *act = Act::Jump(function);
                    return Ok(());
                }
                data.resize(READ_LEN, 0);
                let len = request.word(4) as usize;
                if len > READ_LEN {
                    return Err(ErrorCode::READ_LENGTH.into());
                }
                read(driver, request.word(0), &mut data[..len])?;
            }
            Opcode::ChangeBaudrate => {
                let rate = request.word(0);
                *act = Act::SetDivider(if request.bytes(4, 1) == [0] {
                    let sixteenths = u64::from(clock) * 16;
                    let divider = sixteenths.checked_div(u64::from(rate));
                    divider.map_or(u32::MAX, |divider| divider as u32)
                } else {
                    rate
                });
            }
            Opcode::SpiFlashMd5 => {
                data.resize(32, 0);
                let digest = digest(driver, request.word(0), request.word(4))?;
                data.clear();
                for byte in digest {
                    data.extend_from_slice(format!("{byte:02x}").as_bytes());
                }
            }
            Opcode::GetSecurityInfo => {
                let info = security_info(driver.board, self.revision);
                *data = info.ok_or(ErrorCode::INVALID_FORMAT)?;
            }
            Opcode::SdcVerifyBegin => self.certificate.verify_begin(request)?,
            Opcode::SdcVerifyData => self.certificate.verify_data(request)?,
            Opcode::SdcVerifyEnd => {
                let fuses = driver.board.fuses(self.revision);
                driver.board.grants = self.certificate.verify_end(request, &fuses)?;
                *act = Act::ResetCpu;
            }
            Opcode::SdcInfoBegin => self.certificate.info_begin(request),
            Opcode::SdcInfoData => {
                let fuses = driver.board.fuses(self.revision);
                self.certificate.info_data(request, &fuses)?;
            }
            Opcode::SdcInfoEnd => *data = self.certificate.info_end(self.mode == Mode::Secure),
            // No ROM knows these.
            Opcode::EraseFlash
            | Opcode::EraseRegion
            | Opcode::ReadFlash
            | Opcode::Capabilities
            | Opcode::DigestMap => return Err(ErrorCode::INVALID_FORMAT.into()),
        }
        Ok(())
    }
}

/// WRITE_REG takes any number of writes in one packet: address, value, mask, delay.
fn write_registers(request: &Request<'_>, driver: &mut Driver<'_>) -> Result<(), Refusal> {
    for at in (0..request.payload_len() / 16).map(|index| index * 16) {
        let (address, value) = (request.word(at), request.word(at + 4));
        let (mask, delay) = (request.word(at + 8), request.word(at + 12));
        driver.spend(Duration::from_micros(u64::from(delay)));
        let old = if mask == u32::MAX {
            0
        } else {
            driver.board.read(address, driver.now)
        };
        let now = driver.now;
        let work = driver.board.write(address, old & !mask | value & mask, now);
        if let Some(time) = work.and_then(|work| work.power_loss) {
            driver.power_loss = Some(now + time);
        }
    }
    Ok(())
}

/// What stands in the ROM's pointer to its function that reads flash, if a client has put it there.
fn replaced_read(driver: &mut Driver<'_>) -> Option<u32> {
    let pointer = driver.board.chip.rom.start_pointer?;
    let function = driver.board.read(pointer, driver.now);
    (function != 0).then_some(function)
}

fn read(driver: &mut Driver<'_>, offset: u32, data: &mut [u8]) -> Result<(), Refusal> {
    match driver.read(offset, data) {
        Ok(()) => Ok(()),
        Err(Fail::Error) => Err(FLASH_READ.into()),
        Err(Fail::Hangs) => Err(Refusal::Hangs),
    }
}

fn digest(driver: &mut Driver<'_>, offset: u32, len: u32) -> Result<[u8; 16], Refusal> {
    let mut digest = Md5::new();
    let mut at = offset;
    // The ROM counts in a signed number: from 2 GiB on there is nothing to do.
    let mut left = if len > i32::MAX as u32 { 0 } else { len };
    let mut piece = [0; 4096];
    while left > 0 {
        let len = left.min(piece.len() as u32);
        let piece = &mut piece[..len as usize];
        read(driver, at, piece)?;
        digest.update(&*piece);
        driver.spend(Duration::from_nanos(MD5_NS * u64::from(len)));
        at = at.wrapping_add(len);
        left -= len;
    }
    Ok(digest.finalize().into())
}

fn is_flash(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::FlashBegin
            | Opcode::FlashData
            | Opcode::FlashDeflBegin
            | Opcode::FlashDeflData
            | Opcode::SpiFlashMd5
            | Opcode::ReadFlashSlow
    )
}

/// The flash could not be read.
const FLASH_READ: ErrorCode = ErrorCode {
    failed: 1,
    code: 0x09,
};
