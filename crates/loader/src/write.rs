//! Files into flash: checks, streams, proof.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use guru_image::{Compatibility, FlashParameters, compatibility};
use guru_link::Link;
use guru_plan::{SECTOR, Stream, erases_of, sector_ceil};
use serde::Serialize;

use crate::compress::Compressor;
use crate::digest::Placed;
use crate::event::Step;
use crate::job::{Part, Planned, Pool, Prepared, Target, WriteJob, Zlib, parameters};
use crate::progress::Meter;
use crate::stream::{Erasure, Payload};
use crate::stub::Need;
use crate::{
    Compress, Error, Event, FilePart, Incomparable, Notice, Observer, Session, Skip, Verify,
    WriteRequest,
};

/// What a write did.
#[derive(Debug, Clone, Serialize)]
pub struct WriteReport {
    /// Each file, by ascending address.
    pub files: Vec<FileReport>,
}

/// What a write did with one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Name of the file.
    pub name: String,
    /// First byte in flash.
    pub address: u32,
    /// Bytes of the file.
    pub length: u32,
    /// Bytes that were found in place and not written.
    pub unchanged: u64,
    /// Sectors of flash that the file lies in.
    pub sectors: u32,
    /// Sectors of those that were written.
    pub sectors_written: u32,
    /// Bytes of data that went over the line.
    pub sent: u64,
    /// Whether the flash was proved to hold the file.
    pub verified: bool,
}

impl<L: Link> Session<L> {
    /// Brings files into flash and proves that they are there.
    ///
    /// # Errors
    ///
    /// Before the first erase: [`Error::Guarded`], [`Error::ImageMismatch`],
    /// [`Error::DoesNotFit`], [`Error::BadRequest`], [`Error::NotPossible`]. After it: what the
    /// link and the chip say, and [`Error::VerifyFailed`]; then
    /// [`unfinished`](Session::unfinished) names what of the flash is neither old nor new.
    pub async fn write_flash(
        &mut self,
        job: WriteJob,
        observer: &mut dyn Observer,
    ) -> Result<WriteReport, Error> {
        let WriteJob { mut request, pool } = job;
        if request.by_stub && !self.stub_may_run() {
            // It is said why.
            self.engage_stub(observer).await?;
        }
        self.need_no_stub();
        let encrypts = request.files.iter().any(|file| file.encrypt);
        request.by_stub &= self.stub_may_run() && (!encrypts || self.stub_may_encrypt());
        if !self.can_inflate() && !request.by_stub {
            request.compress = Compress::Never;
        }
        if let Some(reason) = self.cannot_compare(&request) {
            let mut ignored =
                |option| observer.event(Event::Notice(Notice::WritesAll { option, reason }));
            if request.skip == Skip::Files {
                ignored("--skip-flashed");
            }
            request.skip = Skip::Never;
            if request.files.iter().any(|file| file.previous.is_some()) {
                ignored("--diff-with");
                request
                    .files
                    .iter_mut()
                    .for_each(|file| file.previous = None);
            }
        }
        self.check_security(&request, observer).await?;
        self.check_images(&request, observer).await?;
        let flash = self.attach_sized(&request.flash, observer).await?;
        let room = match flash.detected {
            Some(detected) => flash.size.min(detected),
            None => flash.size,
        };
        for file in request
            .files
            .iter()
            .filter(|file| !file.contents.is_empty())
        {
            let length = u64::from(file.contents.len());
            let end = file.end();
            self.check_known(&request.flash, &flash, end)?;
            if end > room {
                return Err(Error::DoesNotFit {
                    file: file.name.clone(),
                    length,
                    address: file.address,
                    flash: room,
                });
            }
            if !request.by_stub {
                self.check_rom_reach(end)?;
            }
        }
        let ends = request.files.iter().map(FilePart::end);
        let end = ends.max().unwrap_or_default();
        if encrypts && !self.chip.rom.encrypts() {
            self.need_stub(Need::Encryption, observer).await?;
        }
        self.reach(end, observer).await?;
        if request.by_stub && !self.has_digest() {
            self.engage_stub_for(&mut request, room, observer).await?;
        }
        let prepared = self
            .prepare(&request, &pool, flash.detected, observer)
            .await?;
        if request.erase_all {
            self.erase_flash(&request.flash, request.force, observer)
                .await?;
        }
        let guard = if request.guard {
            let ranges: Vec<Range<u32>> = prepared.targets.iter().map(Target::range).collect();
            let before = async |session: &mut Self, observer: &mut dyn Observer| {
                session.guard_before(&ranges, room, observer).await
            };
            Some(self.insist(observer, before).await?)
        } else {
            None
        };
        let end = prepared
            .targets
            .iter()
            .map(|target| target.range().end)
            .max()
            .unwrap_or(0);
        // No more than the write needs: a damaged request cannot reach beyond.
        let end = sector_ceil(u64::from(end)).min(u64::from(u32::MAX)) as u32;
        self.insist(observer, async |session, _| session.tell_size(end).await)
            .await?;
        let mut report = WriteReport { files: Vec::new() };
        for (file, target) in request.files.iter().zip(&prepared.targets) {
            let written = self
                .write_file(file, target, &prepared, &request, observer)
                .await;
            let file = match written {
                Ok(file) => file,
                Err(error) => return Err(self.blame_protection(error, target.range()).await),
            };
            if file.sent > 0 && !file.verified {
                self.check_protection(&target.range(), observer).await?;
            }
            report.files.push(file);
        }
        self.unfinished = None;
        if let Some(guard) = guard {
            self.insist(observer, async |session, observer| {
                session.guard_after(&guard, room, observer).await
            })
            .await?;
        }
        Ok(report)
    }

    /// Where only a stub has a digest, it comes before anything else. If it does not, the job is the
    /// ROM's.
    async fn engage_stub_for(
        &mut self,
        request: &mut WriteRequest,
        room: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        if self.engage_stub(observer).await? {
            return Ok(());
        }
        request.by_stub = false;
        request.skip = Skip::Never;
        for file in &mut request.files {
            file.previous = None;
            let end = u64::from(file.address) + u64::from(file.contents.len());
            self.check_rom_reach(end.min(room))?;
        }
        if !self.can_inflate() {
            request.compress = Compress::Never;
        }
        Ok(())
    }

    /// Why nothing can be found out about what is in flash already.
    fn cannot_compare(&self, request: &WriteRequest) -> Option<Incomparable> {
        if request.erase_all {
            Some(Incomparable::Erased)
        } else if request.files.iter().all(|file| file.encrypt) {
            Some(Incomparable::Encrypted)
        } else if self.device.secure_download {
            Some(Incomparable::SecureDownload)
        } else if !self.has_digest() && !request.by_stub {
            Some(Incomparable::NoDigest)
        } else {
            None
        }
    }

    async fn check_security(
        &mut self,
        request: &WriteRequest,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let (encrypted, plain): (Vec<_>, Vec<_>) =
            request.files.iter().partition(|file| file.encrypt);
        let lowest = request.files.iter().map(|file| file.address).min();
        if let Some(lowest) = lowest.filter(|_| !request.force) {
            self.guard_addresses(lowest).await?;
        }
        if !encrypted.is_empty() {
            let addresses = encrypted.iter().map(|file| file.address);
            let careless = request.ignore_encryption_efuse;
            self.check_encrypted_write(addresses, careless, observer)
                .await?;
        }
        if !plain.is_empty() && !request.force {
            self.guard_plain(observer).await?;
        }
        Ok(())
    }

    /// An image for another chip or revision is refused at the bootloader's place, and named
    /// elsewhere.
    async fn check_images(
        &mut self,
        request: &WriteRequest,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let revision = self.revision;
        for file in request
            .files
            .iter()
            .filter(|file| !file.contents.is_empty())
        {
            let found = compatibility(&file.contents, &self.chip.image, revision)?;
            let Compatibility::Mismatch(mismatch) = found else {
                continue;
            };
            let (file, reason) = (file.name.clone(), mismatch.to_string());
            let at_bootloader = request
                .files
                .iter()
                .any(|part| part.name == file && part.address == self.chip.image.bootloader_offset);
            if at_bootloader && !request.force {
                return Err(Error::ImageMismatch { file, reason });
            }
            observer.event(Event::Notice(Notice::ImageMismatch { file, reason }));
        }
        Ok(())
    }

    /// The files as they are for this chip: mostly as they were prepared while it was reset.
    async fn prepare(
        &mut self,
        request: &WriteRequest,
        pool: &Pool,
        detected: Option<u64>,
        observer: &mut dyn Observer,
    ) -> Result<Arc<Prepared>, Error> {
        let label = detected
            .and_then(|bytes| u32::try_from(bytes).ok())
            .and_then(|bytes| self.chip.flash.size_by_bytes(bytes));
        let mut parameters = parameters(self.chip, request, label.map(|size| size.label))?;
        if !parameters.keep_all() && (self.device.secure_download || self.secure_boot().await?) {
            observer.event(Event::Notice(Notice::HeaderKept));
            parameters = FlashParameters::default();
        }
        pool.get(self.chip, request, parameters)
    }

    async fn write_file(
        &mut self,
        file: &FilePart,
        target: &Target,
        prepared: &Prepared,
        request: &WriteRequest,
        observer: &mut dyn Observer,
    ) -> Result<FileReport, Error> {
        let mut report = FileReport {
            name: target.name.clone(),
            address: target.address,
            length: target.length,
            unchanged: 0,
            sectors: target.contents.len().div_ceil(SECTOR),
            sectors_written: 0,
            sent: 0,
            verified: false,
        };
        observer.event(Event::FileBegins {
            name: target.name.clone(),
            address: target.address,
            length: target.length,
            files: prepared.targets.len(),
        });
        if target.length == 0 {
            let file = target.name.clone();
            observer.event(Event::Notice(Notice::EmptyFile { file }));
            return Ok(report);
        }
        if let Some(event) = Event::of_patch(self.chip, &target.name, &target.outcome) {
            observer.event(event);
        }
        let compressor = &prepared.compressor;
        if target.previous.is_none() {
            self.write_whole(target, compressor, request, &mut report, observer)
                .await?;
        } else if !self
            .write_changed(target, compressor, request, &mut report, observer)
            .await?
        {
            let whole = prepared.without_belief(file, request.compress)?;
            for target in &whole.targets {
                self.write_whole(target, &whole.compressor, request, &mut report, observer)
                    .await?;
            }
        }
        Ok(report)
    }

    async fn write_whole(
        &mut self,
        target: &Target,
        compressor: &Compressor,
        request: &WriteRequest,
        report: &mut FileReport,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let skip = if target.encrypt {
            Skip::Never
        } else {
            request.skip
        };
        if skip != Skip::Never && self.is_in_place(target, request, report, observer).await? {
            return Ok(());
        }
        if request.by_stub {
            self.engage_stub_to_write(u64::from(target.length), observer)
                .await?;
        }
        let mut meter = Meter::new(Step::Write, target.start, u64::from(target.contents.len()));
        let begun = self.channel.now();
        if skip == Skip::Parts
            && let Some(differing) = self.differing_sectors(target.placed(), observer).await?
        {
            let parts = target.parts(&differing)?;
            if !request.erase_all {
                for range in &differing {
                    tell_erase(target, range, observer);
                }
            }
            let pending: Vec<&Planned> = parts.iter().map(Part::planned).collect();
            let written = lengths(&pending);
            meter.skip(u64::from(target.contents.len()).saturating_sub(written));
            meter.at(target.start, observer);
            let compressed = self
                .write_streams(target, &pending, compressor, &mut meter, observer)
                .await?;
            let elapsed = self.channel.now() - begun;
            tell_written(
                target, written, compressed, &meter, elapsed, report, observer,
            );
            report.verified = self
                .prove(target, request.verify, &mut meter, observer)
                .await?;
            return Ok(());
        }
        if !request.erase_all {
            tell_erase(target, &target.range(), observer);
        }
        meter.at(target.start, observer);
        let mut pending: Vec<&Planned> = Vec::new();
        for planned in &target.streams {
            let range = &planned.stream.range;
            let ask = skip == Skip::Parts && target.streams.len() > 1;
            if ask && self.is_there(target.placed(), range, observer).await? {
                observer.event(unchanged(range, false));
                meter.skip(u64::from(planned.stream.length()));
            } else {
                pending.push(planned);
            }
        }
        let compressed = self
            .write_streams(target, &pending, compressor, &mut meter, observer)
            .await?;
        let written = lengths(&pending);
        let elapsed = self.channel.now() - begun;
        tell_written(
            target, written, compressed, &meter, elapsed, report, observer,
        );
        report.verified = self
            .prove(target, request.verify, &mut meter, observer)
            .await?;
        Ok(())
    }

    /// Whether flash holds the whole file already; then that is told, and proved as was asked for.
    pub(crate) async fn is_in_place(
        &mut self,
        target: &Target,
        request: &WriteRequest,
        report: &mut FileReport,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let whole = target.range();
        if !self.is_there(target.placed(), &whole, observer).await? {
            return Ok(false);
        }
        let length = u64::from(target.contents.len());
        report.unchanged = length;
        report.verified = true;
        observer.event(unchanged(&whole, true));
        if request.verify == Verify::ReadBack {
            let mut meter = Meter::new(Step::Write, target.start, length);
            self.prove(target, request.verify, &mut meter, observer)
                .await?;
        }
        Ok(true)
    }

    /// Brings streams of a file into flash. Whether any of them went compressed.
    pub(crate) async fn write_streams(
        &mut self,
        target: &Target,
        run: &[&Planned],
        compressor: &Compressor,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let streams: Vec<Stream> = run.iter().map(|planned| planned.stream.clone()).collect();
        let mut compressed = false;
        let mut erasure = Erasure::default();
        for (planned, wish) in run.iter().zip(erases_of(&streams)) {
            let packed = match &planned.zlib {
                Zlib::Work(work) if self.can_inflate() => compressor.take(*work)?,
                Zlib::Made(packed) => Some(Arc::clone(packed)),
                _ => None,
            };
            compressed |= packed.is_some();
            if let Some(packed) = &packed {
                meter.packed(u64::from(planned.stream.length()), packed.len() as u64);
            }
            if !wish.is_empty() {
                erasure.wish = wish;
            }
            let payload = Payload {
                placed: target.placed(),
                packed: packed.map(|packed| (packed, target.inflate)),
                encrypt: target.encrypt,
            };
            self.write_stream(payload, &planned.stream, &mut erasure, meter, observer)
                .await?;
        }
        Ok(compressed)
    }

    fn can_inflate(&self) -> bool {
        self.answers(guru_wire::Opcode::FlashDeflBegin)
    }

    /// Whether flash holds the contents. A difference mostly shows in the first sector (build
    /// time, digest), so that is asked for first.
    async fn is_there(
        &mut self,
        placed: Placed<'_>,
        range: &Range<u32>,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let first = range.start..range.end.min(range.start + SECTOR);
        self.insist(observer, async |session, _| {
            if !session.holds(placed, &first).await? {
                return Ok(false);
            }
            Ok(first == *range || session.holds(placed, range).await?)
        })
        .await
    }
}

/// Bytes of contents of streams.
fn lengths(streams: &[&Planned]) -> u64 {
    let length = |planned: &&Planned| u64::from(planned.stream.length());
    streams.iter().map(length).sum()
}

/// The end of a file's write, before it is proved.
pub(crate) fn tell_written(
    target: &Target,
    bytes: u64,
    compressed: bool,
    meter: &Meter,
    elapsed: Duration,
    report: &mut FileReport,
    observer: &mut dyn Observer,
) {
    if !compressed
        && target
            .streams
            .iter()
            .any(|planned| matches!(planned.zlib, Zlib::Work(_)))
    {
        let file = target.name.clone();
        observer.event(Event::Notice(Notice::NotCompressible { file }));
    }
    report.sent += meter.data_sent();
    report.unchanged = u64::from(target.contents.len()).saturating_sub(bytes);
    // Whole ones are written, apart from the last of the file.
    report.sectors_written = bytes.div_ceil(SECTOR.into()).min(u32::MAX.into()) as u32;
    observer.event(Event::Wrote {
        name: target.name.clone(),
        address: target.address,
        bytes,
        compressed: compressed.then_some(meter.data_sent()),
        elapsed,
    });
}

fn unchanged(range: &Range<u32>, whole_file: bool) -> Event {
    Event::Unchanged {
        address: range.start,
        length: range.end - range.start,
        whole_file,
    }
}

/// Says what will be erased for a run of the file's sectors, and what of it is not the file's.
pub(crate) fn tell_erase(target: &Target, run: &Range<u32>, observer: &mut dyn Observer) {
    let end = sector_ceil(u64::from(run.end));
    observer.event(Event::EraseRange {
        start: run.start,
        end: (end - 1).min(u64::from(u32::MAX)) as u32,
        unaligned: (run.start < target.address).then_some(target.address),
    });
    let file_end = u64::from(target.address) + u64::from(target.length);
    let before = u64::from(target.address).saturating_sub(u64::from(run.start));
    let behind = end.saturating_sub(file_end);
    for (start, length) in [(u64::from(run.start), before), (file_end, behind)] {
        if length > 0 {
            let (start, length) = (start as u32, length as u32);
            observer.event(Event::Notice(Notice::SharedSector { start, length }));
        }
    }
}
