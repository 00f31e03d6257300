//! From the ROM's loader into the stub.

use std::sync::Arc;
use std::time::Duration;

use guru_image::RamSegment;
use guru_link::Link;
use guru_stub::{Kind, Stub};
use guru_wire::{Command, capability};

use super::{Failed, MAX_ANSWER, Running};
use crate::channel::{Fault, Started, Synced};
use crate::event::Step;
use crate::progress::Meter;
use crate::{Error, Event, NoStub, Observer, Session};

/// Time in which a stub has come up and greeted.
const GREETING: Duration = Duration::from_millis(600);

/// How often a stub is asked whether it is there when no greeting was seen.
const PROBES: u32 = 4;

impl<L: Link> Session<L> {
    /// Uploads the stub, starts it, lets it prove itself and sets it up.
    pub(super) async fn start_stub(&mut self, observer: &mut dyn Observer) -> Result<(), Failed> {
        let Some(stub) = self.stub.stub.clone() else {
            return Err(Failed::Stub(NoStub::NoneForChip));
        };
        let sample = self.sample_by_rom().await?;
        observer.event(Event::UploadingStub {
            own: stub.kind == Kind::Guru,
            bytes: stub.len() as u64,
        });
        self.upload_stub(&stub).await?;
        observer.event(Event::StartingStub);
        let pointer = self.enter_stub(&stub).await?;
        let running = Running {
            kind: stub.kind,
            granted: 0,
        };
        self.stub.running = Some(running);
        self.channel.expect_stub(Some(MAX_ANSWER));
        if let Some((address, value)) = pointer {
            self.write_reg(address, value).await?;
        }
        self.raise_clock().await?;
        if stub.kind == Kind::Guru {
            self.ask_for_all().await?;
        }
        self.retell_size().await?;
        if let Some(reason) = self.stub_reads_wrong(&sample).await? {
            return Err(Failed::Stub(reason));
        }
        self.clock_works();
        // A rate that the ROM could not change to.
        match self.work_baud {
            Some(baud) => Box::pin(self.raise_baud_to(baud, observer)).await?,
            None => Box::pin(self.raise_baud(observer)).await?,
        }
        if !self.stub_runs() {
            // The rate was not taken, and the chip is in its ROM again.
            return Err(Failed::Stub(NoStub::Silent));
        }
        observer.event(Event::StubRuns);
        Ok(())
    }

    async fn upload_stub(&mut self, stub: &Arc<Stub>) -> Result<(), Error> {
        let segments: Vec<RamSegment> = stub
            .segments
            .iter()
            .map(|segment| RamSegment {
                address: segment.address,
                bytes: segment.bytes.clone(),
            })
            .collect();
        let mut meter = Meter::new(Step::Load, 0, stub.len() as u64);
        for segment in &segments {
            let length = segment.bytes.len() as u32;
            self.send_segment(segment, 0..length, &mut meter, &mut |_| {})
                .await?;
        }
        if self.channel.faults() == 0 {
            // Each block has a checksum, and what was loaded has to prove itself.
            return Ok(());
        }
        self.mend_segments(&segments, &mut meter, &mut |_| {}).await
    }

    /// Starts the stub and waits for its greeting. Gives the pointer that has to be put back then,
    /// where the chip has to be led to it by one, and what it was.
    async fn enter_stub(&mut self, stub: &Stub) -> Result<Option<(u32, u32)>, Failed> {
        let secure = self.chip.rom.ram_needs_insecure_boot && self.secure_boot().await?;
        let (command, pointer) = match self.chip.rom.start_pointer.filter(|_| secure) {
            Some(address) => {
                let end = Command::MemEnd { entry: None };
                let timeout = self.channel.timeouts.command;
                self.channel
                    .query(&end, 0, timeout, "uploading the stub")
                    .await?;
                let value = self.read_reg_surely(address).await?;
                self.write_reg(address, stub.entry).await?;
                let read = Command::ReadFlashSlow {
                    offset: 0,
                    length: 0,
                };
                (read, Some((address, value)))
            }
            None => {
                let entry = Some(stub.entry);
                (Command::MemEnd { entry }, None)
            }
        };
        let (timeout, status_len) = (self.channel.timeouts.mem_end, self.chip.rom.status_len);
        let link = |error| Failed::Session(Error::Link(error));
        let started = if pointer.is_some() {
            self.channel.send(&command).await.map_err(link)?;
            Started::Silent
        } else {
            self.channel
                .start(&command, status_len, timeout)
                .await
                .map_err(link)?
        };
        if let Started::Refused(_) = started {
            return Err(Failed::Stub(NoStub::NotUploaded));
        }
        if self.channel.greeting(GREETING).await.map_err(link)? {
            return Ok(pointer);
        }
        // A greeting may be lost on a bad line; only a stub answers SYNC as one.
        for _ in 0..PROBES {
            match self.channel.sync().await {
                Ok(Synced::Stub) => {
                    self.channel.count_fault();
                    let quiet = self.channel.quiet();
                    self.channel.drain(quiet, quiet * 10).await.map_err(link)?;
                    return Ok(pointer);
                }
                Ok(Synced::Rom) => break,
                Err(Fault::Link(error)) => return Err(link(error)),
                Err(_) => self.channel.discard_input().await.map_err(link)?,
            }
        }
        Err(Failed::Stub(NoStub::Silent))
    }

    /// Agrees with a stub of ours on what goes beyond the base protocol.
    async fn ask_for_all(&mut self) -> Result<(), Error> {
        let wanted = capability::DIGEST_MAP | capability::SMALL_SLOTS | capability::ADDRESS_32BIT;
        let timeout = self.channel.timeouts.command;
        let answer = self
            .channel
            .query(
                &Command::Capabilities { wanted },
                0,
                timeout,
                "setting up the stub",
            )
            .await?;
        if let Some(running) = &mut self.stub.running {
            running.granted = answer.value & wanted;
        }
        Ok(())
    }
}
