//! Erasing, of regions and of the whole chip.

use std::ops::Range;

use guru_link::Link;
use guru_plan::{SECTOR, aligned_pieces, erase_pieces, erase_request};
use guru_wire::{Begin, Command};

use crate::attach::Flash;
use crate::event::Step;
use crate::progress::Meter;
use crate::read::{ReadLength, flash_range};
use crate::{Error, Event, FlashOptions, NotInSecureDownload, Notice, Observer, Session, SlowJob};

/// Typical whole-chip erase of a 4 MB part: W25Q32JV data sheet, revision G, section 9.6; larger
/// parts take in proportion.
const CHIP_ERASE_SECONDS_PER_MB: u64 = 3;

/// The most bytes of one BEGIN, so that progress shows.
const MAX_PIECE: u32 = 1 << 20;

/// What to erase.
#[derive(Debug, Clone, Copy)]
pub struct EraseRegion {
    /// First byte, a multiple of a sector.
    pub address: u32,
    /// How much, a multiple of a sector.
    pub length: ReadLength,
}

impl EraseRegion {
    /// Checks what can be known without a chip.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] when address or length is not a multiple of a sector.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |what: &str, value: u32| {
            Err(Error::BadRequest(format!(
                "{what} 0x{value:x} is not a multiple of {SECTOR} (0x{SECTOR:x}), the size of a \
                 sector"
            )))
        };
        if !self.address.is_multiple_of(SECTOR) {
            return bad("address", self.address);
        }
        match self.length {
            ReadLength::Bytes(length) if length % SECTOR != 0 => bad("size", length),
            _ => Ok(()),
        }
    }
}

impl<L: Link> Session<L> {
    /// Erases sectors.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for a range that is not aligned, [`Error::OutsideFlash`],
    /// [`Error::SecureDownload`] for all of a flash whose size is not known, [`Error::Guarded`] unless `force`, and what the link and the chip say.
    pub async fn erase_region(
        &mut self,
        options: &FlashOptions,
        region: EraseRegion,
        force: bool,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        region.check()?;
        self.need_no_stub();
        if self.size_is_unknown(options) && region.length == ReadLength::All {
            return Err(NotInSecureDownload::DetectSize.into());
        }
        if !force {
            self.guard_erase(Some(region.address)).await?;
        }
        let flash = self.attach_sized(options, observer).await?;
        if let ReadLength::Bytes(length) = region.length {
            let end = u64::from(region.address) + u64::from(length);
            self.check_known(options, &flash, end)?;
        }
        let range = flash_range(region.address, region.length, flash.size)?;
        if range.is_empty() {
            return Ok(());
        }
        self.reach(u64::from(range.end), observer).await?;
        self.check_rom_reach(u64::from(range.end))?;
        self.insist(observer, async |session, _| {
            session.tell_size(range.end).await
        })
        .await?;
        let told = Some((range.start, range.end - range.start));
        observer.event(Event::Erasing { range: told });
        let begun = self.channel.now();
        self.engage_stub_to_erase(range.len() as u64, observer)
            .await?;
        self.erase_range(range.clone(), observer).await?;
        self.check_protection(&range, observer).await?;
        let elapsed = self.channel.now() - begun;
        observer.event(Event::Erased {
            range: told,
            elapsed,
        });
        Ok(())
    }

    /// Erases the whole chip; in Secure Download Mode as much as the size given says.
    ///
    /// # Errors
    ///
    /// [`Error::SecureDownload`] in that mode without a size,
    /// [`Error::Guarded`] unless `force`, and what the link and the chip say.
    pub async fn erase_flash(
        &mut self,
        options: &FlashOptions,
        force: bool,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if self.size_is_unknown(options) {
            return Err(NotInSecureDownload::doing(
                "erasing all of the flash without --flash-size",
            ));
        }
        if !force {
            self.guard_erase(None).await?;
        }
        let flash = self.attach_sized(options, observer).await?;
        if self.device.secure_download {
            self.reach(flash.size, observer).await?;
        }
        let size = flash.size.min(u64::from(u32::MAX)) as u32;
        observer.event(Event::Erasing { range: None });
        let begun = self.channel.now();
        if self.device.secure_download {
            // No register can be written: the loader erases what it knows of.
            self.insist(observer, async |session, _| session.tell_size(size).await)
                .await?;
            self.erase_range(0..size, observer).await?;
        } else if !self.erase_all_by_stub(&flash, observer).await? {
            let seconds = flash.size.div_ceil(1 << 20) * CHIP_ERASE_SECONDS_PER_MB;
            observer.event(Event::Notice(Notice::Slow {
                what: SlowJob::ChipErase,
                seconds,
            }));
            self.insist(observer, async |session, _| {
                session.erase_chip_by_register(size).await
            })
            .await?;
        }
        let elapsed = self.channel.now() - begun;
        observer.event(Event::Erased {
            range: None,
            elapsed,
        });
        Ok(())
    }

    /// Erases all that the flash's id tells of, piece by piece, so that what is blank takes no time and
    /// progress shows. `false`: the stub could not, or not all of it, and the flash's own command is due.
    async fn erase_all_by_stub(
        &mut self,
        flash: &Flash,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let size = flash.detected.and_then(|size| u32::try_from(size).ok());
        let Some(size) = size else {
            return Ok(false);
        };
        // By the ROM, before the stub looks at it: bits that are lifted so stay until power fails.
        self.insist(observer, async |session, _| {
            session.lift_protection(&(0..size)).await
        })
        .await?;
        if !self
            .engage_stub_to_erase_all(u64::from(size), observer)
            .await?
        {
            return Ok(false);
        }
        self.insist(observer, async |session, _| session.tell_size(size).await)
            .await?;
        let meter = Meter::new(Step::Erase, 0, u64::from(size));
        meter.at(0, observer);
        if self.stub_must_prove() {
            self.prove_stub_erases(&(0..SECTOR), observer).await?;
        }
        self.unfinished = Some(0..size);
        for piece in aligned_pieces(0..size, MAX_PIECE) {
            let erased = self
                .insist(observer, async |session, _| {
                    let runs = session.stub_runs();
                    if runs {
                        session.erase_by_stub(&piece).await?;
                    }
                    Ok(runs)
                })
                .await?;
            if !erased {
                return Ok(false);
            }
            meter.at(piece.end, observer);
        }
        self.unfinished = None;
        self.check_protection(&(0..size), observer).await?;
        Ok(true)
    }

    async fn erase_chip_by_register(&mut self, size: u32) -> Result<(), Error> {
        self.lift_protection(&(0..size)).await?;
        self.unfinished = Some(0..size);
        let limit = self
            .channel
            .timeouts
            .chip_erase
            .max(self.channel.timeouts.max);
        let controller = self.spi_begin().await?;
        self.spi_erase(None, limit).await?;
        self.spi_end(controller).await?;
        self.unfinished = None;
        Ok(())
    }

    /// The ROM does not notice that a part refuses to change what it protects. Where nothing proves
    /// the change, its status registers are asked.
    pub(crate) async fn check_protection(
        &mut self,
        range: &Range<u32>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if self.device.secure_download {
            return Ok(());
        }
        let protection = self
            .insist(observer, async |session, _| {
                session.protection_of(range).await
            })
            .await?;
        protection.map_or(Ok(()), Err)
    }

    /// Erases a sector-aligned range through the loader, in pieces that show progress and keep
    /// time-outs short. After a loss of the port or the chip only the present piece is begun again:
    /// a watchdog that cannot be silenced may be what resets the chip, and would again.
    async fn erase_range(
        &mut self,
        range: Range<u32>,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let total = u64::from(range.end - range.start);
        let meter = Meter::new(Step::Erase, range.start, total);
        self.unfinished = Some(range.clone());
        meter.at(range.start, observer);
        if self.stub_must_prove() {
            let first = range.start..range.start + SECTOR;
            self.prove_stub_erases(&first, observer).await?;
        }
        let pieces = match self.stub_runs() {
            true => aligned_pieces(range, MAX_PIECE),
            false => erase_pieces(range, MAX_PIECE),
        };
        for piece in pieces {
            self.insist(observer, async |session, _| {
                session.erase_piece(&piece).await
            })
            .await?;
            meter.at(piece.end, observer);
        }
        self.unfinished = None;
        Ok(())
    }

    async fn erase_piece(&mut self, piece: &Range<u32>) -> Result<(), Error> {
        if self.stub_runs() {
            return self.erase_by_stub(piece).await;
        }
        let (start, length) = (piece.start, piece.end - piece.start);
        let (asked, rest) = erase_request(self.chip.rom.erase, start, length);
        if rest > 0 {
            self.erase_by_register(piece.end - rest, rest).await?;
        }
        let block_size = self.chip.rom.flash_block;
        let begin = Begin {
            erase_size: asked,
            blocks: asked.div_ceil(block_size),
            block_size,
            offset: start,
            encrypted: self.chip.rom.encrypts().then_some(false),
        };
        let timeout = self.channel.timeouts.erase(length) * self.line.patience;
        let command = Command::FlashBegin(begin);
        self.channel
            .query(&command, 0, timeout, "erasing flash")
            .await?;
        Ok(())
    }
}
