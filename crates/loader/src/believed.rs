//! Writing only what differs from what is believed to be in flash (`--diff-with`), and finding out
//! whether that was right.

use guru_link::Link;
use guru_plan::sector_ceil;

use crate::compress::Compressor;
use crate::event::Step;
use crate::job::{Planned, Target, range_of};
use crate::progress::Meter;
use crate::write::{tell_erase, tell_written};
use crate::{
    Error, Event, FileReport, Notice, Observer, Session, Skip, Unverified, Verify, WriteRequest,
};

impl<L: Link> Session<L> {
    /// Writes the sectors that differ from what is believed to be in flash. Unless the user trusts
    /// the flash and nothing differs, a digest of the whole file decides whether that was right,
    /// whatever else was asked for: a belief proves nothing.
    ///
    /// `false`: it was not, and the file must be written as a whole.
    pub(crate) async fn write_changed(
        &mut self,
        target: &Target,
        compressor: &Compressor,
        request: &WriteRequest,
        report: &mut FileReport,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let changed = target.runs().map(sectors).sum();
        let trusted = request.trust_flash_content;
        observer.event(Event::Compared {
            changed,
            sectors: target.contents.len().div_ceil(guru_plan::SECTOR),
            trusted,
        });
        let length = u64::from(target.contents.len());
        if changed == 0 && trusted {
            report.unchanged = length;
            let reason = Unverified::Trusted;
            observer.event(Event::Notice(Notice::NotVerified { reason }));
            return Ok(true);
        }
        let ask = changed == 0 || request.skip != Skip::Never;
        if ask && self.is_in_place(target, request, report, observer).await? {
            return Ok(true);
        }
        let wrong = |changed| {
            let file = target.name.clone();
            Event::Notice(Notice::NotAsBelieved { file, changed })
        };
        if changed == 0 {
            observer.event(wrong(false));
            return Ok(false);
        }
        if request.by_stub {
            let sectors = u64::from(changed) * u64::from(guru_plan::SECTOR);
            self.engage_stub_to_write(sectors, observer).await?;
        }
        let mut meter = Meter::new(Step::Write, target.start, length);
        let written = target
            .streams
            .iter()
            .map(|planned| u64::from(planned.stream.length()))
            .sum();
        meter.skip(length.saturating_sub(written));
        let begun = self.channel.now();
        let mut compressed = false;
        for run in target.runs() {
            compressed |= self
                .write_run(target, run, compressor, &mut meter, observer)
                .await?;
        }
        let elapsed = self.channel.now() - begun;
        tell_written(
            target, written, compressed, &meter, elapsed, report, observer,
        );
        let verify = match request.verify {
            Verify::ReadBack => Verify::ReadBack,
            Verify::Rom => Verify::Rom,
            Verify::Digest | Verify::Never => Verify::Digest,
        };
        match self.prove(target, verify, &mut meter, observer).await {
            Ok(verified) => {
                report.verified = verified;
                Ok(true)
            }
            Err(Error::VerifyFailed { .. }) if self.channel.faults() == 0 => {
                observer.event(wrong(true));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes sectors that follow each other. Whether anything went compressed.
    async fn write_run(
        &mut self,
        target: &Target,
        run: &[Planned],
        compressor: &Compressor,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let range = range_of(run);
        let (address, sectors) = (range.start, sectors(run));
        observer.event(Event::RunBegins { address, sectors });
        tell_erase(target, &range, observer);
        let begun = self.channel.now();
        let before = meter.data_sent();
        let streams: Vec<&Planned> = run.iter().collect();
        let compressed = self
            .write_streams(target, &streams, compressor, meter, observer)
            .await?;
        observer.event(Event::RunWritten {
            address,
            sectors,
            compressed: compressed.then(|| meter.data_sent() - before),
            elapsed: self.channel.now() - begun,
        });
        Ok(compressed)
    }
}

/// How many sectors a run takes.
fn sectors(run: &[Planned]) -> u32 {
    let range = range_of(run);
    let bytes = sector_ceil(u64::from(range.end)).saturating_sub(u64::from(range.start));
    (bytes / u64::from(guru_plan::SECTOR)) as u32
}
