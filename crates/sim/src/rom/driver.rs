use std::time::Duration;

use guru_chip::EraseRule;
use guru_link::Instant;

use crate::board::Board;
use crate::flash::{BLOCK, PAGE, SECTOR, Unit, Work};

/// Bytes that the ROM programs with one command (`SPI_page_program`).
const CHUNK: u32 = 32;
/// Reading through the controller's data words, in nanoseconds a byte. An assumption: nothing
/// documents it.
const READ_NS: u64 = 400;
/// Setting up one command, in nanoseconds. An assumption as well.
const COMMAND_NS: u64 = 10_000;

/// The ROM's flash functions, with the time that they take.
pub(super) struct Driver<'a> {
    pub board: &'a mut Board,
    pub now: Instant,
    /// Size of the flash as SPI_SET_PARAMS told it.
    pub size: u32,
    /// When the supply fails, if an operation was struck by that.
    pub power_loss: Option<Instant>,
}

/// Why a flash function did not do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fail {
    /// It returned an error.
    Error,
    /// It waits for ever, and the loader with it.
    Hangs,
}

impl Driver<'_> {
    /// Erases whole sectors around a range (`SPIEraseArea`).
    pub fn erase(&mut self, offset: u32, len: u32, rule: EraseRule) -> Result<(), Fail> {
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > self.size) || !offset.is_multiple_of(SECTOR) {
            return Err(Fail::Error);
        }
        self.unlock()?;
        let per_block = BLOCK / SECTOR;
        let sectors = len.div_ceil(SECTOR);
        let mut at = offset / SECTOR;
        let head = (per_block - at % per_block).min(sectors);
        for _ in 0..head {
            self.erase_unit(Unit::Sector, at)?;
            at += 1;
        }
        let mut left = match rule {
            EraseRule::HeadBlocksTail => sectors - head,
            // The ROM of the ESP8266 forgets to subtract the head.
            EraseRule::HeadTwice => sectors,
        };
        while left > per_block {
            self.erase_unit(Unit::Block, at)?;
            at += per_block;
            left -= per_block;
        }
        for _ in 0..left {
            self.erase_unit(Unit::Sector, at)?;
            at += 1;
        }
        Ok(())
    }

    /// Programs, page by page (`SPIWrite`).
    pub fn write(&mut self, offset: u32, data: &[u8]) -> Result<(), Fail> {
        let len = data.len() as u32;
        if offset.checked_add(len).is_none_or(|end| end > self.size) || !len.is_multiple_of(4) {
            return Err(Fail::Error);
        }
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let in_page = PAGE - at % PAGE;
            let chunk = (rest.len() as u32).min(CHUNK).min(in_page) as usize;
            let (now, later) = rest.split_at(chunk);
            self.wait()?;
            self.board.nor.enable_write(self.now);
            // A refusal goes unnoticed: the part is simply not busy afterwards.
            let work = self.board.nor.program(self.now, at, now);
            self.account(work.ok())?;
            at += chunk as u32;
            rest = later;
        }
        self.wait()
    }

    /// Reads (`SPIRead`).
    pub fn read(&mut self, offset: u32, data: &mut [u8]) -> Result<(), Fail> {
        let end = u32::try_from(data.len())
            .ok()
            .and_then(|len| offset.checked_add(len));
        if end.is_none_or(|end| end > self.size) {
            return Err(Fail::Error);
        }
        self.wait()?;
        if self.board.nor.answers() {
            self.board.nor.cells().fetch(offset, data);
        } else {
            data.fill(0xFF);
        }
        self.spend(Duration::from_nanos(READ_NS * data.len() as u64));
        Ok(())
    }

    /// Clears block protection and keeps QE (`SPIUnlock`).
    fn unlock(&mut self) -> Result<(), Fail> {
        self.wait()?;
        let [_, second] = self.board.nor.protection();
        let now = self.now;
        self.board.nor.enable_write(now);
        let work = self
            .board
            .nor
            .transact(now, &[0x01, 0, second & 0x02], &mut []);
        self.account(work)?;
        self.wait()
    }

    fn erase_unit(&mut self, unit: Unit, sector: u32) -> Result<(), Fail> {
        let Some(at) = sector.checked_mul(SECTOR).filter(|at| *at < self.size) else {
            return Err(Fail::Error);
        };
        self.wait()?;
        self.board.nor.enable_write(self.now);
        let work = self.board.nor.erase(self.now, unit, at);
        self.account(work.ok())?;
        self.wait()
    }

    /// Waits until the part is idle (`SPI_Wait_Idle`). Pins that lead nowhere read as 0: idle,
    /// and write enable is never seen set.
    fn wait(&mut self) -> Result<(), Fail> {
        if !self.board.spi.attached {
            return Err(Fail::Error);
        }
        if self.board.nor.hangs() || !self.board.nor.answers() {
            return Err(Fail::Hangs);
        }
        if self.board.nor.is_busy(self.now) {
            self.now = self.board.nor.busy_until();
        }
        self.spend(Duration::from_nanos(COMMAND_NS));
        Ok(())
    }

    fn account(&mut self, work: Option<Work>) -> Result<(), Fail> {
        match work.and_then(|work| work.power_loss) {
            Some(time) => {
                self.power_loss = Some(self.now + time);
                Err(Fail::Hangs)
            }
            None => Ok(()),
        }
    }

    /// Lets time pass.
    pub fn spend(&mut self, time: Duration) {
        self.now = self.now + time;
    }
}
