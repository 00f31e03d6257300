//! Files into flash: checks, header, streams, verification.

use std::ops::Range;

use guru_chip::Chip;
use guru_image::{
    Compatibility, Contents, FlashParameters, Form as ImageForm, Image, Outcome, compatibility,
    patch,
};
use guru_link::{Instant, Link};
use guru_plan::{
    Form, Line, SECTOR, Span, Stream, StreamRules, check_overlaps, sector_ceil, sector_floor,
    streams,
};
use serde::Serialize;

use crate::compress::{Compressor, Work};
use crate::digest::{Placed, hex};
use crate::event::Step;
use crate::progress::Meter;
use crate::{
    Compress, Error, Event, FilePart, FlashSizeOption, Notice, Observer, Session, Skip, Unverified,
    Verify, WriteRequest,
};

/// Rounds of repair on a line that damages data.
const REPAIRS: u32 = 12;

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
    /// Bytes of data that went over the line.
    pub sent: u64,
    /// Whether the flash was proved to hold the file.
    pub verified: bool,
}

/// A write that is being prepared while the port opens and the chip resets: its data are being
/// compressed already.
#[derive(Debug)]
pub struct WriteJob {
    request: WriteRequest,
    prepared: Option<Prepared>,
}

/// Targets and compression, as they are for one chip.
#[derive(Debug)]
struct Prepared {
    chip: &'static Chip,
    parameters: FlashParameters,
    targets: Vec<Target>,
    compressor: Compressor,
}

/// A file as it goes to flash.
#[derive(Debug)]
struct Target {
    name: String,
    /// Address that was asked for.
    address: u32,
    /// Bytes of the file itself.
    length: u32,
    /// Sector in which the contents begin.
    start: u32,
    /// Contents from `start` on: header patched, padded at both ends.
    contents: Contents,
    /// What patching did.
    outcome: Outcome,
    encrypt: bool,
    previous: Option<Contents>,
    streams: Vec<Planned>,
}

/// A stream and where its compressed form comes from.
#[derive(Debug)]
struct Planned {
    stream: Stream,
    /// Number of the compressor's work, for a compressed one.
    work: Option<usize>,
}

impl Target {
    fn placed(&self) -> Placed<'_> {
        Placed {
            start: self.start,
            contents: &self.contents,
        }
    }

    fn range(&self) -> Range<u32> {
        self.placed().range()
    }
}

/// What can be refused before any port is opened: files that overlap or leave the address space.
///
/// # Errors
///
/// [`Error::BadRequest`] with the file and the address.
pub fn check_files(files: &[FilePart]) -> Result<(), Error> {
    let spans: Vec<Span<'_>> = files
        .iter()
        .map(|file| Span {
            name: &file.name,
            address: file.address,
            length: u64::from(file.contents.len()),
        })
        .collect();
    check_overlaps(&spans).map_err(|error| Error::BadRequest(error.to_string()))
}

impl WriteJob {
    /// Checks what can be checked without a chip, and begins to compress for the chip that is
    /// named, or else for the one that the images name.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for files that cannot be written together, [`Error::Source`] for
    /// files that cannot be read.
    pub fn new(mut request: WriteRequest, named: Option<&'static Chip>) -> Result<Self, Error> {
        check_files(&request.files)?;
        request.files.sort_by_key(|file| file.address);
        let chip = named.or_else(|| {
            request
                .files
                .iter()
                .find_map(|file| chip_of(&file.contents))
        });
        let prepared = match chip {
            Some(chip) => {
                let parameters = parameters(chip, &request, None)?;
                Some(Prepared::new(chip, &request, parameters)?)
            }
            None => None,
        };
        Ok(Self { request, prepared })
    }
}

/// The chip that an image at the start of a file names.
fn chip_of(contents: &Contents) -> Option<&'static Chip> {
    let image = Image::parse(contents, ImageForm::Extended).ok()?;
    guru_chip::by_chip_id(image.extended?.chip_id)
}

/// What is to stand in an image's header. `detected` is the label of the flash's size, where that
/// was asked for.
fn parameters(
    chip: &Chip,
    request: &WriteRequest,
    detected: Option<&str>,
) -> Result<FlashParameters, Error> {
    let size = match &request.flash.size {
        FlashSizeOption::Keep => None,
        FlashSizeOption::Detect => detected,
        FlashSizeOption::Set(label) => Some(label.as_str()),
    };
    FlashParameters::new(
        &chip.flash,
        request.mode,
        request.frequency.as_deref(),
        size,
    )
    .map_err(|error| Error::BadRequest(format!("{}: {error}", chip.name)))
}

impl Prepared {
    fn new(
        chip: &'static Chip,
        request: &WriteRequest,
        parameters: FlashParameters,
    ) -> Result<Self, Error> {
        let compress = request.compress == Compress::Auto;
        // Where to divide hardly depends on the line; the exact rate is not known yet.
        let rules = StreamRules::new(chip, compress, Line::uart(921_600, Default::default()));
        let mut work = Vec::new();
        let mut targets = Vec::new();
        for file in &request.files {
            let target = Target::new(chip, file, parameters, &rules, &mut work)?;
            targets.push(target);
        }
        Ok(Self {
            chip,
            parameters,
            targets,
            compressor: Compressor::start(work),
        })
    }
}

impl Target {
    fn new(
        chip: &Chip,
        file: &FilePart,
        parameters: FlashParameters,
        rules: &StreamRules,
        work: &mut Vec<Work>,
    ) -> Result<Self, Error> {
        let align = if file.encrypt {
            chip.flash.encrypted_align
        } else {
            4
        };
        let prepare = |contents: Contents| {
            let padded = contents.padded_to(align)?;
            let patched = patch(padded, file.address, &chip.image, parameters)?;
            let before = file.address % SECTOR;
            // The chip's flash encryption depends on the address: nothing is put before.
            let before = if file.encrypt { 0 } else { before };
            Ok::<_, Error>((
                patched.contents.preceded_by_erased(before)?,
                patched.outcome,
            ))
        };
        let length = file.contents.len();
        let (contents, outcome) = prepare(file.contents.clone())?;
        let previous = match &file.previous {
            Some(previous) => Some(prepare(previous.clone())?.0),
            None => None,
        };
        let start = if file.encrypt {
            file.address
        } else {
            sector_floor(file.address)
        };
        let mut target = Self {
            name: file.name.clone(),
            address: file.address,
            length,
            start,
            contents,
            outcome,
            encrypt: file.encrypt,
            previous,
            streams: Vec::new(),
        };
        if length == 0 {
            return Ok(target);
        }
        let rules = StreamRules {
            inflate: rules.inflate.filter(|_| !file.encrypt),
            ..*rules
        };
        for range in target.changed()? {
            for stream in streams(range, &rules) {
                let compressed = stream.form == Form::Deflate;
                let number = compressed.then_some(work.len());
                if compressed {
                    let range = target.placed().inside(&stream.range);
                    work.push(Work {
                        contents: target.contents.clone(),
                        range,
                    });
                }
                target.streams.push(Planned {
                    stream,
                    work: number,
                });
            }
        }
        Ok(target)
    }

    /// Ranges to write: all, or the sectors that differ from what is believed to be there.
    fn changed(&self) -> Result<Vec<Range<u32>>, Error> {
        let whole = self.range();
        let Some(previous) = self.previous.as_ref().filter(|_| !self.encrypt) else {
            return Ok(vec![whole]);
        };
        let mut changed: Vec<Range<u32>> = Vec::new();
        let mut new = vec![0; SECTOR as usize];
        let mut old = vec![0; SECTOR as usize];
        for start in whole.clone().step_by(SECTOR as usize) {
            let end = whole.end.min(start + SECTOR);
            let inside = self.placed().inside(&(start..end));
            let length = inside.len();
            self.contents.read_at(inside.start, &mut new[..length])?;
            old.fill(0xFF);
            let known = previous
                .len()
                .saturating_sub(inside.start)
                .min(length as u32);
            if known > 0 {
                previous.read_at(inside.start, &mut old[..known as usize])?;
            }
            if new[..length] != old[..length] {
                match changed.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => changed.push(start..end),
                }
            }
        }
        Ok(changed)
    }
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
        let WriteJob { request, prepared } = job;
        let skip = self.skip_mode(&request, observer);
        self.check_security(&request).await?;
        self.check_images(&request, observer).await?;
        let flash = self
            .insist(observer, async |session, observer| {
                session.attach_sized(&request.flash, observer).await
            })
            .await?;
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
            if u64::from(file.address) + length > room {
                return Err(Error::DoesNotFit {
                    file: file.name.clone(),
                    length,
                    address: file.address,
                    flash: room,
                });
            }
        }
        let mut prepared = self
            .prepare(&request, prepared, flash.detected, observer)
            .await?;
        let guard = if request.guard {
            let ranges: Vec<Range<u32>> = prepared.targets.iter().map(Target::range).collect();
            let before = async |session: &mut Self, observer: &mut dyn Observer| {
                session.guard_before(&ranges, room, observer).await
            };
            Some(self.insist(observer, before).await?)
        } else {
            None
        };
        if request.erase_all {
            self.erase_flash(&request.flash, request.force, observer)
                .await?;
        }
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
        let files = prepared.targets.len();
        let mut report = WriteReport { files: Vec::new() };
        for target in &prepared.targets {
            let file = self
                .write_file(
                    target,
                    &mut prepared.compressor,
                    &request,
                    skip,
                    files,
                    observer,
                )
                .await?;
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

    /// What of skipping is possible for this chip and request.
    fn skip_mode(&self, request: &WriteRequest, observer: &mut dyn Observer) -> Skip {
        let reason = if request.erase_all {
            "the whole chip is erased first"
        } else if self.device.secure_download {
            "the chip is in Secure Download Mode"
        } else if !self.has_digest() {
            "the chip's ROM has no digest command"
        } else {
            return request.skip;
        };
        if request.skip == Skip::Files {
            let reason = reason.to_owned();
            observer.event(Event::Notice(Notice::Ignored {
                option: "--skip-flashed",
                reason,
            }));
        }
        Skip::Never
    }

    async fn check_security(&mut self, request: &WriteRequest) -> Result<(), Error> {
        let plain = request
            .files
            .iter()
            .filter(|file| !file.encrypt)
            .map(|file| file.address);
        if !request.force && plain.clone().next().is_some() {
            self.guard_write(plain).await?;
        }
        let encrypted = request
            .files
            .iter()
            .filter(|file| file.encrypt)
            .map(|file| file.address);
        if encrypted.clone().next().is_some() {
            self.check_encrypted_write(encrypted, request.ignore_encryption_efuse)
                .await?;
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

    /// Takes the preparation that was made while the chip was reset, if it is still right.
    async fn prepare(
        &mut self,
        request: &WriteRequest,
        prepared: Option<Prepared>,
        detected: Option<u64>,
        observer: &mut dyn Observer,
    ) -> Result<Prepared, Error> {
        let label = detected
            .and_then(|bytes| u32::try_from(bytes).ok())
            .and_then(|bytes| self.chip.flash.size_by_bytes(bytes));
        let mut parameters = parameters(self.chip, request, label.map(|size| size.label))?;
        if !parameters.keep_all() && (self.device.secure_download || self.secure_boot().await?) {
            observer.event(Event::Notice(Notice::HeaderKept));
            parameters = FlashParameters::default();
        }
        match prepared {
            Some(prepared)
                if prepared.chip.id == self.chip.id
                    && prepared.parameters == parameters
                    && !self.device.secure_download =>
            {
                Ok(prepared)
            }
            _ => Prepared::new(self.chip, request, parameters),
        }
    }

    async fn write_file(
        &mut self,
        target: &Target,
        compressor: &mut Compressor,
        request: &WriteRequest,
        skip: Skip,
        files: usize,
        observer: &mut dyn Observer,
    ) -> Result<FileReport, Error> {
        let mut report = FileReport {
            name: target.name.clone(),
            address: target.address,
            length: target.length,
            unchanged: 0,
            sent: 0,
            verified: false,
        };
        observer.event(Event::FileBegins {
            name: target.name.clone(),
            address: target.address,
            length: target.length,
            files,
        });
        if target.length == 0 {
            let file = target.name.clone();
            observer.event(Event::Notice(Notice::EmptyFile { file }));
            return Ok(report);
        }
        tell_outcome(target, observer);
        let placed = target.placed();
        let whole = target.range();
        if target.streams.is_empty() {
            // Nothing differs from what is believed to be there.
            if request.trust_flash_content || self.holds(placed, &whole).await? {
                report.unchanged = u64::from(target.contents.len());
                report.verified = !request.trust_flash_content;
                observer.event(unchanged(&whole, true));
                return Ok(report);
            }
        }
        let skip = if target.encrypt { Skip::Never } else { skip };
        if skip != Skip::Never && self.is_there(placed, &whole, observer).await? {
            report.unchanged = u64::from(target.contents.len());
            report.verified = true;
            observer.event(unchanged(&whole, true));
            return Ok(report);
        }
        if !request.erase_all {
            tell_erase(target, observer);
        }
        let begun = self.channel.now();
        let mut meter = Meter::new(Step::Write, target.start, u64::from(target.contents.len()));
        meter.at(target.start, observer);
        let mut compressed = false;
        let several = target.streams.len() > 1;
        for planned in &target.streams {
            let range = &planned.stream.range;
            let length = u64::from(planned.stream.length());
            if several && skip == Skip::Parts && self.is_there(placed, range, observer).await? {
                observer.event(unchanged(range, false));
                meter.skip(length, range.end, observer);
                continue;
            }
            let packed = match planned.work {
                Some(work) if self.can_inflate() => compressor
                    .take(work)
                    .map_err(|error| Error::BadRequest(error.to_string()))?,
                _ => None,
            };
            compressed |= packed.is_some();
            if let Some(packed) = &packed {
                meter.packed(length, packed.len() as u64);
            }
            self.write_stream(
                placed,
                &planned.stream,
                packed,
                target.encrypt,
                &mut meter,
                observer,
            )
            .await?;
        }
        if !compressed && target.streams.iter().any(|planned| planned.work.is_some()) {
            let file = target.name.clone();
            observer.event(Event::Notice(Notice::NotCompressible { file }));
        }
        report.sent = meter.data_sent();
        report.unchanged = meter.skipped();
        tell_wrote(
            target,
            &meter,
            compressed,
            self.channel.now(),
            begun,
            observer,
        );
        report.verified = self.prove(target, request, &mut meter, observer).await?;
        Ok(report)
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

    /// Proves that a file is in flash, and mends what is not. `false`: it could not be proved.
    async fn prove(
        &mut self,
        target: &Target,
        request: &WriteRequest,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let reason = if request.verify == Verify::Never {
            Some(Unverified::NotAsked)
        } else if target.encrypt {
            Some(Unverified::Encrypted)
        } else if self.device.secure_download {
            Some(Unverified::SecureDownload)
        } else if !self.has_digest() && request.verify != Verify::ReadBack {
            Some(Unverified::NoDigest)
        } else {
            None
        };
        if let Some(reason) = reason {
            observer.event(Event::Notice(Notice::NotVerified { reason }));
            return Ok(false);
        }
        let (name, address, length) = (target.name.clone(), target.address, target.length);
        observer.event(Event::Verifying {
            name: name.clone(),
            address,
            length,
        });
        if self.has_digest() {
            self.insist(observer, async |session, observer| {
                session.mend_until_proved(target, meter, observer).await
            })
            .await?;
        } else {
            self.insist(observer, async |session, observer| {
                session.mend_until_read_back(target, meter, observer).await
            })
            .await?;
        }
        observer.event(Event::Verified {
            name,
            address,
            length,
        });
        Ok(true)
    }

    /// Without a digest: reads everything back, and writes sectors that differ again.
    async fn mend_until_read_back(
        &mut self,
        target: &Target,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let placed = target.placed();
        let mut left = target.range();
        let mut rounds = 0;
        while let Some((at, ..)) = self.first_difference(placed, &left, observer).await? {
            let limit = if self.channel.faults() > 0 {
                REPAIRS
            } else {
                1
            };
            if rounds >= limit {
                return Err(Error::VerifyFailed {
                    file: target.name.clone(),
                    address: at,
                    expected: String::new(),
                    found: String::new(),
                });
            }
            rounds += 1;
            let sector = sector_floor(at).max(target.start);
            left.start = sector;
            let range = sector..left.end.min(sector_floor(at).saturating_add(SECTOR));
            let stream = Stream {
                range,
                form: Form::Raw,
            };
            self.write_stream(placed, &stream, None, false, meter, observer)
                .await?;
        }
        Ok(())
    }

    async fn mend_until_proved(
        &mut self,
        target: &Target,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let placed = target.placed();
        let whole = target.range();
        let expected = placed.digest(&whole)?;
        let mut rounds = 0;
        loop {
            let Some(found) = self.differs(&whole, expected).await? else {
                return Ok(());
            };
            // On a clean line a second try tells a passing fault from a worn-out flash.
            let limit = if self.channel.faults() > 0 {
                REPAIRS
            } else {
                1
            };
            if rounds >= limit {
                return Err(Error::VerifyFailed {
                    file: target.name.clone(),
                    address: target.address,
                    expected: hex(expected),
                    found: hex(found),
                });
            }
            rounds += 1;
            for range in self.bad_ranges(placed, whole.clone()).await? {
                let stream = Stream {
                    range,
                    form: Form::Raw,
                };
                self.write_stream(placed, &stream, None, false, meter, observer)
                    .await?;
            }
        }
    }
}

fn unchanged(range: &Range<u32>, whole_file: bool) -> Event {
    Event::Unchanged {
        address: range.start,
        length: range.end - range.start,
        whole_file,
    }
}

fn tell_outcome(target: &Target, observer: &mut dyn Observer) {
    let file = target.name.clone();
    observer.event(match &target.outcome {
        Outcome::NotAsked => return,
        Outcome::NotAnImage => Event::Notice(Notice::NotAnImage { file }),
        Outcome::Invalid(error) => Event::Notice(Notice::InvalidImage {
            file,
            reason: error.to_string(),
        }),
        Outcome::Set {
            word,
            changed,
            digest,
        } => Event::HeaderPatched {
            parameters: *word,
            digest_updated: *digest && *changed,
        },
    });
}

/// Says what will be erased, and what of it is not the file's.
fn tell_erase(target: &Target, observer: &mut dyn Observer) {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for Planned { stream, .. } in &target.streams {
        match runs.last_mut() {
            Some(last) if last.end == stream.range.start => last.end = stream.range.end,
            _ => runs.push(stream.range.clone()),
        }
    }
    for run in &runs {
        let end = sector_ceil(u64::from(run.end));
        observer.event(Event::EraseRange {
            start: run.start,
            end: (end - 1).min(u64::from(u32::MAX)) as u32,
            unaligned: (run.start < target.address).then_some(target.address),
        });
    }
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        return;
    };
    let file_end = u64::from(target.address) + u64::from(target.length);
    let before = u64::from(target.address).saturating_sub(u64::from(first.start));
    let behind = sector_ceil(u64::from(last.end)).saturating_sub(file_end);
    for (start, length) in [(u64::from(first.start), before), (file_end, behind)] {
        if length > 0 {
            let (start, length) = (start as u32, length as u32);
            observer.event(Event::Notice(Notice::SharedSector { start, length }));
        }
    }
}

fn tell_wrote(
    target: &Target,
    meter: &Meter,
    compressed: bool,
    now: Instant,
    begun: Instant,
    observer: &mut dyn Observer,
) {
    observer.event(Event::Wrote {
        name: target.name.clone(),
        address: target.address,
        bytes: u64::from(target.contents.len()) - meter.skipped(),
        compressed: compressed.then_some(meter.data_sent()),
        elapsed: now - begun,
    });
}
