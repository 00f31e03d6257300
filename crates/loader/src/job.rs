//! A write before it meets a chip: files as they will stand in flash, divided into streams that are
//! being compressed already.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use guru_chip::{Chip, InflateRule};
use guru_image::{Contents, FlashParameters, Form as ImageForm, Image, Outcome, patch};
use guru_plan::{Form, SECTOR, Span, Stream, StreamRules, check_overlaps, sector_floor, streams};

use crate::compress::{Boards, Compressor, Packed, Work, compress};
use crate::digest::Placed;
use crate::stub::SMALL_WRITE;
use crate::{Compress, Error, FilePart, FlashSizeOption, Lacking, WriteRequest};

/// A write that is being prepared while the port opens and the chip resets: its data are being
/// compressed already. Clones are the same write to other boards.
#[derive(Debug, Clone)]
pub struct WriteJob {
    pub(crate) request: WriteRequest,
    pub(crate) pool: Pool,
}

/// What is prepared, for as many kinds of chip as there are; shared by all clones of a job.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    boards: Boards,
    prepared: Arc<Mutex<Vec<Arc<Prepared>>>>,
}

/// Targets and compression, as they are for one chip.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub chip: &'static Chip,
    pub parameters: FlashParameters,
    /// Whether what is believed to be in flash counts.
    compares: bool,
    compress: Compress,
    by_stub: bool,
    pub targets: Vec<Target>,
    pub compressor: Compressor,
}

/// A file as it goes to flash.
#[derive(Debug)]
pub(crate) struct Target {
    pub name: String,
    /// Address that was asked for.
    pub address: u32,
    /// Bytes of the file itself.
    pub length: u32,
    /// Sector in which the contents begin.
    pub start: u32,
    /// Contents from `start` on: header patched, padded at both ends.
    pub contents: Contents,
    /// What patching did.
    pub outcome: Outcome,
    pub encrypt: bool,
    pub previous: Option<Contents>,
    pub streams: Vec<Planned>,
    /// What the compressed ones are planned for.
    pub inflate: InflateRule,
}

/// A stream and where its compressed form comes from.
#[derive(Debug)]
pub(crate) struct Planned {
    pub stream: Stream,
    pub zlib: Zlib,
}

/// A stream, or a piece of one.
pub(crate) enum Part<'a> {
    Whole(&'a Planned),
    Piece(Planned),
}

impl Part<'_> {
    pub fn planned(&self) -> &Planned {
        match self {
            Self::Whole(planned) => planned,
            Self::Piece(planned) => planned,
        }
    }
}

/// Where a stream's compressed form comes from.
#[derive(Debug)]
pub(crate) enum Zlib {
    /// It has none.
    No,
    /// The compressor's work with this number.
    Work(usize),
    /// It is there.
    Made(Packed),
}

impl Target {
    pub fn placed(&self) -> Placed<'_> {
        Placed {
            start: self.start,
            contents: &self.contents,
        }
    }

    pub fn range(&self) -> Range<u32> {
        self.placed().range()
    }

    /// What a stub has to write where sectors differ: streams as they are planned where all of one
    /// does, and the parts of others, compressed here.
    pub fn parts(&self, differing: &[Range<u32>]) -> Result<Vec<Part<'_>>, Error> {
        let mut parts = Vec::new();
        for planned in &self.streams {
            let stream = &planned.stream;
            for range in differing {
                let range = range.start.max(stream.range.start)..range.end.min(stream.range.end);
                if range.is_empty() {
                    continue;
                }
                if range == stream.range {
                    parts.push(Part::Whole(planned));
                    continue;
                }
                let mut zlib = Zlib::No;
                if !matches!(planned.zlib, Zlib::No) {
                    let work = Work {
                        contents: self.contents.clone(),
                        range: self.placed().inside(&range),
                    };
                    zlib = compress(&work)?.map_or(Zlib::No, |packed| Zlib::Made(Arc::new(packed)));
                }
                let form = stream.form;
                let stream = Stream { range, form };
                parts.push(Part::Piece(Planned { stream, zlib }));
            }
        }
        Ok(parts)
    }

    /// Streams that follow each other without a gap, together.
    pub fn runs(&self) -> impl Iterator<Item = &[Planned]> {
        self.streams
            .chunk_by(|one, next| one.stream.range.end == next.stream.range.start)
    }
}

/// Flash addresses of streams that follow each other.
pub(crate) fn range_of(run: &[Planned]) -> Range<u32> {
    match run {
        [first, .., last] => first.stream.range.start..last.stream.range.end,
        [only] => only.stream.range.clone(),
        [] => 0..0,
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
    pub fn new(request: WriteRequest, named: Option<&'static Chip>) -> Result<Self, Error> {
        Self::begin(request, named, Boards::One)
    }

    /// As [`new`](Self::new), for several boards: each gets a clone, at the same time or later, and
    /// what is prepared for one chip serves all that are alike.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn for_several(request: WriteRequest, named: Option<&'static Chip>) -> Result<Self, Error> {
        Self::begin(request, named, Boards::Several)
    }

    fn begin(
        mut request: WriteRequest,
        named: Option<&'static Chip>,
        boards: Boards,
    ) -> Result<Self, Error> {
        check_files(&request.files)?;
        request.files.sort_by_key(|file| file.address);
        let chip = named.or_else(|| {
            request
                .files
                .iter()
                .find_map(|file| chip_of(&file.contents))
        });
        let pool = Pool {
            boards,
            prepared: Arc::default(),
        };
        if let Some(chip) = chip {
            pool.get(chip, &request, parameters(chip, &request, None)?)?;
        }
        Ok(Self { request, pool })
    }
}

impl Pool {
    /// What was prepared for such a chip, or else is now. Others wait meanwhile: it is mostly theirs.
    pub fn get(
        &self,
        chip: &'static Chip,
        request: &WriteRequest,
        parameters: FlashParameters,
    ) -> Result<Arc<Prepared>, Error> {
        let mut all = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let compares = compares(request);
        let found = all.iter().find(|one| {
            one.chip.id == chip.id
                && one.parameters == parameters
                && one.compares == compares
                && one.compress == request.compress
                && one.by_stub == request.by_stub
        });
        if let Some(found) = found {
            return Ok(Arc::clone(found));
        }
        if self.boards == Boards::One {
            all.clear();
        }
        let made = Arc::new(Prepared::new(chip, request, parameters, self.boards)?);
        all.push(Arc::clone(&made));
        Ok(made)
    }
}

fn compares(request: &WriteRequest) -> bool {
    request.files.iter().any(|file| file.previous.is_some())
}

/// The chip that an image at the start of a file names.
fn chip_of(contents: &Contents) -> Option<&'static Chip> {
    let image = Image::parse(contents, ImageForm::Extended).ok()?;
    guru_chip::by_chip_id(image.extended?.chip_id)
}

/// What is to stand in an image's header. `detected` is the label of the flash's size, where that
/// was asked for.
pub(crate) fn parameters(
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
    .map_err(|error| Error::Lacking {
        chip: chip.name,
        what: Lacking::Parameter(error),
    })
}

impl Prepared {
    fn new(
        chip: &'static Chip,
        request: &WriteRequest,
        parameters: FlashParameters,
        boards: Boards,
    ) -> Result<Self, Error> {
        let compress = request.compress == Compress::Auto;
        let by_rom = StreamRules::new(chip, compress);
        let by_stub = StreamRules {
            inflate: compress.then_some(InflateRule::Exact),
            ..by_rom
        };
        let mut work = Vec::new();
        let mut targets = Vec::new();
        for file in &request.files {
            let large = u64::from(file.contents.len()) >= SMALL_WRITE || !chip.rom.md5;
            let rules = if request.by_stub && large {
                &by_stub
            } else {
                &by_rom
            };
            let target = Target::new(chip, file, parameters, rules, &mut work)?;
            targets.push(target);
        }
        Ok(Self {
            chip,
            parameters,
            compares: compares(request),
            by_stub: request.by_stub,
            compress: request.compress,
            targets,
            compressor: Compressor::start(work, boards),
        })
    }

    /// One file as it is written when flash does not hold what it was believed to.
    pub fn without_belief(&self, file: &FilePart, compress: Compress) -> Result<Self, Error> {
        let request = WriteRequest {
            files: vec![FilePart {
                previous: None,
                ..file.clone()
            }],
            compress,
            by_stub: self.by_stub,
            ..WriteRequest::default()
        };
        Self::new(self.chip, &request, self.parameters, Boards::One)
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
            Ok::<_, Error>((
                patched.contents.preceded_by_erased(before)?,
                patched.outcome,
            ))
        };
        let length = file.contents.len();
        let (contents, outcome) = prepare(file.contents.clone())?;
        let previous = match &file.previous {
            Some(previous) if !file.encrypt => Some(prepare(previous.clone())?.0),
            _ => None,
        };
        let start = sector_floor(file.address);
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
            inflate: rules.inflate.unwrap_or(InflateRule::Exact),
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
                let mut zlib = Zlib::No;
                if stream.form == Form::Deflate {
                    zlib = Zlib::Work(work.len());
                    let range = target.placed().inside(&stream.range);
                    work.push(Work {
                        contents: target.contents.clone(),
                        range,
                    });
                }
                target.streams.push(Planned { stream, zlib });
            }
        }
        Ok(target)
    }

    /// Ranges to write: all, or the sectors that differ from what is believed to be there.
    fn changed(&self) -> Result<Vec<Range<u32>>, Error> {
        let whole = self.range();
        let Some(previous) = &self.previous else {
            return Ok(vec![whole]);
        };
        let mut changed: Vec<Range<u32>> = Vec::new();
        for start in whole.clone().step_by(SECTOR as usize) {
            let at = start - self.start;
            // What lies behind either end counts as erased: that is how a sector is written.
            let new = sector_at(&self.contents, at)?;
            let old = sector_at(previous, at)?;
            let end = whole.end.min(start + SECTOR);
            if new != old {
                match changed.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => changed.push(start..end),
                }
            }
        }
        Ok(changed)
    }
}

/// A sector of contents from an offset on, erased beyond their end.
pub(crate) fn sector_at(contents: &Contents, offset: u32) -> Result<[u8; SECTOR as usize], Error> {
    let mut sector = [0xFF; SECTOR as usize];
    let known = contents.len().saturating_sub(offset).min(SECTOR);
    if known > 0 {
        contents.read_at(offset, &mut sector[..known as usize])?;
    }
    Ok(sector)
}
