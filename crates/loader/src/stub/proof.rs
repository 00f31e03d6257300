//! Proof before trust: a stub has to read what the ROM has read, and to write one sector rightly,
//! before it may go on.

use std::ops::Range;

use guru_link::Link;
use guru_stub::Kind;
use guru_wire::{Begin, Command};
use md5::{Digest, Md5};

use super::Failed;
use crate::compress::{Work, compress};
use crate::stream::Payload;
use crate::{Error, NoStub, Observer, Session};

/// Bytes of flash that are compared.
const SAMPLE: u32 = 64;

/// Where flash mostly holds something, behind the bootloader's place: the partition table, the first
/// application.
const PLACES: [u32; 2] = [0x8000, 0x1_0000];

/// What the ROM has read.
#[derive(Debug)]
pub(super) struct Sample {
    address: u32,
    bytes: Vec<u8>,
}

impl<L: Link> Session<L> {
    /// Reads a piece of flash that tells something, if there is one.
    pub(super) async fn sample_by_rom(&mut self) -> Result<Sample, Error> {
        let told = self.flash.as_ref().and_then(|flash| flash.told);
        let reach = told.unwrap_or(self.chip.rom.default_flash_size);
        let mut sample = None;
        for address in [self.chip.image.bootloader_offset]
            .into_iter()
            .chain(PLACES)
            .filter(|address| address + SAMPLE <= reach)
        {
            let bytes = self.read_little(address, SAMPLE).await?;
            let blank = bytes.iter().all(|byte| *byte == bytes[0]);
            sample = Some(Sample { address, bytes });
            if !blank {
                break;
            }
        }
        self.end_register_read().await?;
        sample.ok_or_else(|| Error::NotPossible("the flash is too small for a stub".to_owned()))
    }

    /// Compares the flash's id and the sample with what the stub reads. `Some`: it is not to be trusted.
    pub(super) async fn stub_reads_wrong(
        &mut self,
        sample: &Sample,
    ) -> Result<Option<NoStub>, Failed> {
        let known = self.flash.as_ref().and_then(|flash| flash.id);
        // Ours sets all registers for each transaction; others may count on what they have set.
        let ours = self
            .stub
            .running
            .is_some_and(|stub| stub.kind == Kind::Guru);
        let controller = match ours {
            true => None,
            false => Some(self.spi_begin().await?),
        };
        let id = self.spi_flash_id().await?;
        if let Some(controller) = controller {
            self.spi_end(controller).await?;
        }
        if known.is_some_and(|known| known != id) {
            return Ok(Some(NoStub::OtherId));
        }
        let range = sample.address..sample.address + sample.bytes.len() as u32;
        match self.read_by_stub(&range).await? {
            Some(bytes) if bytes == sample.bytes => Ok(None),
            Some(_) => Ok(Some(NoStub::OtherContents)),
            None => Ok(Some(NoStub::Silent)),
        }
    }

    /// Whether the stub that runs has not yet shown that it writes.
    pub(crate) fn stub_must_prove(&self) -> bool {
        self.stub_runs() && !self.stub.writes
    }

    /// Writes the first sector of what is to be written and compares it. `false`: the stub was given up,
    /// and the ROM goes on.
    pub(crate) async fn prove_stub_writes(
        &mut self,
        payload: &Payload<'_>,
        sector: &Range<u32>,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        self.note_unfinished(sector);
        let placed = payload.placed;
        let written = self
            .insist(observer, async |session, _| {
                if !session.stub_runs() {
                    return Ok(false);
                }
                session.write_one_sector(payload, sector).await?;
                if payload.encrypt {
                    // Without the key no more can be known.
                    return Ok(session.unencrypted(placed, sector).await?.is_none());
                }
                session.holds(placed, sector).await
            })
            .await;
        let proved = match written {
            Ok(proved) => proved,
            Err(Error::NoAnswer { .. } | Error::Refused { .. }) => false,
            Err(error) => return Err(error),
        };
        self.end_proof(proved, observer).await
    }

    /// Erases the first sector of what is to be erased and looks whether it is blank. `false`: as above.
    pub(crate) async fn prove_stub_erases(
        &mut self,
        sector: &Range<u32>,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        self.note_unfinished(sector);
        let blank: [u8; 16] = Md5::digest(vec![0xFF; sector.len()]).into();
        let erased = self
            .insist(observer, async |session, _| {
                if !session.stub_runs() {
                    return Ok(false);
                }
                session.erase_by_stub(sector).await?;
                Ok(session.differs(sector, blank).await?.is_none())
            })
            .await;
        let proved = match erased {
            Ok(proved) => proved,
            Err(Error::NoAnswer { .. } | Error::Refused { .. }) => false,
            Err(error) => return Err(error),
        };
        self.end_proof(proved, observer).await
    }

    async fn end_proof(
        &mut self,
        proved: bool,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        if proved {
            self.stub.writes = true;
        } else if self.stub_runs() {
            self.give_up_stub(NoStub::WritesWrongly, observer).await?;
        }
        Ok(proved)
    }

    /// One sector, or less at the end of the contents.
    async fn write_one_sector(
        &mut self,
        payload: &Payload<'_>,
        sector: &Range<u32>,
    ) -> Result<(), Error> {
        let placed = payload.placed;
        let work = Work {
            contents: placed.contents.clone(),
            range: placed.inside(sector),
        };
        let packed = match payload.encrypt {
            true => None,
            false => compress(&work)?,
        };
        let mut raw = vec![0; sector.len()];
        placed.contents.read_at(work.range.start, &mut raw)?;
        let begin = Begin {
            erase_size: sector.len() as u32,
            blocks: 1,
            block_size: sector.len() as u32,
            offset: sector.start,
            encrypted: Some(payload.encrypt),
        };
        let (sequence, stay) = (0, true);
        let commands = match &packed {
            Some(data) => [
                Command::FlashDeflBegin(begin),
                Command::FlashDeflData { sequence, data },
                Command::FlashDeflEnd { stay },
            ],
            None => [
                Command::FlashBegin(begin),
                Command::FlashData {
                    sequence,
                    data: &raw,
                },
                Command::FlashEnd { stay },
            ],
        };
        let timeout = self.channel.timeouts.command * self.line.patience;
        for command in commands {
            let doing = "writing the first sector";
            self.channel.query(&command, 0, timeout, doing).await?;
        }
        Ok(())
    }

    /// ERASE_REGION.
    pub(crate) async fn erase_by_stub(&mut self, range: &Range<u32>) -> Result<(), Error> {
        let length = range.end - range.start;
        let command = Command::EraseRegion {
            offset: range.start,
            length,
        };
        let timeout = self.channel.timeouts.erase(length) * self.line.patience;
        self.channel
            .query(&command, 0, timeout, "erasing flash")
            .await?;
        Ok(())
    }
}
