//! Makes firmware images of ELF files, to the byte as the predecessor does.

mod draft;
mod esp32;
mod esp8266;
mod segment;

use std::fmt;
use std::io::Write;
use std::ops::Range;

use guru_chip::{Chip, FlashTables};
use serde::Serialize;
use thiserror::Error;

use self::draft::{Draft, ElfDigest};
use self::segment::{Gaps, Segment, merge};
use crate::contents::{Contents, ReadError};
use crate::descriptor::AppDescriptor;
use crate::elf::{Elf, ElfPart, ElfPlace, Loadable, Machine};
use crate::header::MAX_SEGMENTS;
use crate::patch::{FlashMode, FlashParameters, UnknownParameter};
use crate::ram::RamSegment;

pub use self::draft::{Makeup, WriteError};

/// Section with the application's descriptor, which stands first among those in flash.
const APP_DESCRIPTOR: &str = ".flash.appdesc";

/// Where the descriptor at the start of an application keeps the SHA-256 of the ELF file: behind
/// both headers, the segment's, and 144 bytes (`esp_app_desc_t`).
const APP_ELF_DIGEST: u32 = 0xB0;

/// The page by which flash is mapped where nothing else is said, in bytes.
const USUAL_PAGE: u32 = 0x1_0000;

/// What an image shall be like. The default is what the predecessor does without options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOptions {
    /// Form of an ESP8266 image; of no meaning for later chips.
    pub version: Esp8266Version,
    /// Flash mode in the header.
    pub mode: FlashMode,
    /// Flash clock in the header (`40m`); `None`: code 0.
    pub frequency: Option<String>,
    /// Flash size in the header (`4MB`).
    pub size: String,
    /// Lowest chip revision as old bootloaders read it.
    pub min_rev: u8,
    /// Lowest chip revision, major * 100 + minor.
    pub min_rev_full: u16,
    /// Highest chip revision, major * 100 + minor.
    pub max_rev_full: u16,
    /// Room for a signature.
    pub secure_pad: SecurePad,
    /// Offset in the image at which the SHA-256 of the ELF file is put; `None` or 0: into the
    /// application's descriptor, if it has one in flash.
    pub elf_sha256_offset: Option<u32>,
    /// Whether a SHA-256 of the image is appended.
    pub digest: AppendedDigest,
    /// What of the ELF file is taken.
    pub source: ElfSource,
    /// Size in bytes of the page by which flash is mapped; `None`: as the descriptor says, or 64 KB.
    pub mmu_page: Option<u32>,
    /// The image is filled up with 0xFF to a multiple of this, in bytes; 0: not.
    pub pad_to: u32,
    /// Which segments the header counts.
    pub header: CountedSegments,
    /// What becomes of segments that share a page of mapped flash.
    pub shared_page: SharedPage,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            version: Esp8266Version::V1,
            mode: FlashMode::Qio,
            frequency: None,
            size: "1MB".to_owned(),
            min_rev: 0,
            min_rev_full: 0,
            max_rev_full: u16::MAX,
            secure_pad: SecurePad::None,
            elf_sha256_offset: None,
            digest: AppendedDigest::Yes,
            source: ElfSource::Sections,
            mmu_page: None,
            pad_to: 0,
            header: CountedSegments::All,
            shared_page: SharedPage::Refuse,
        }
    }
}

/// Form of an ESP8266 image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Esp8266Version {
    /// Two files: what the ROM loads, and what stays in mapped flash.
    V1,
    /// One file for a bootloader (Espressif's, rBoot).
    V2,
    /// One file as later chips have it, without the extended header (ESP8266_RTOS_SDK).
    V3,
}

/// Room for a signature behind an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurePad {
    /// None.
    None,
    /// Secure Boot V1 (ESP32): with its signature the image ends at a page's end.
    V1,
    /// Secure Boot V2: the sector with the signature begins at a page's start.
    V2,
}

/// Whether a SHA-256 of the image stands behind its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendedDigest {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// What of an ELF file goes into an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElfSource {
    /// Its sections.
    Sections,
    /// Its segments (program headers).
    Segments,
}

/// The field that counts them, and where it stands.
impl fmt::Display for ElfSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sections => "e_shnum of the ELF header, at 0x30,",
            Self::Segments => "e_phnum of the ELF header, at 0x2c,",
        })
    }
}

/// Which segments the header counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedSegments {
    /// All of them.
    All,
    /// Those for RAM, which stand first: the ROM does not see the others. Without a digest.
    InRam,
}

/// What becomes of segments that share a page of mapped flash, and so must lie in the image as they
/// do in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedPage {
    /// Two that begin in one page are refused, as the predecessor does.
    Refuse,
    /// They become one, with zeros between them.
    Join,
}

/// What is good to know while an image is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub enum BuildNotice {
    /// The ELF file was read.
    Begins {
        /// The chip for which an image is made.
        chip: &'static str,
    },
    /// Sections have an address and are of a kind that is not known: one of them is left out.
    UnknownSection {
        /// `sh_type`.
        kind: u32,
    },
    /// What holds the names of sections is not marked as such.
    OddNameTable {
        /// `sh_type`.
        kind: u32,
    },
    /// The chip has one size of pages alone, and it is not the one that was asked for.
    PageIsFixed {
        /// The chip.
        chip: &'static str,
        /// Its size in bytes.
        page: u32,
    },
    /// The ELF file does not say for which size of pages it was linked; its addresses do.
    PageFound {
        /// The size in bytes.
        page: u32,
    },
    /// The application's descriptor is at no page's start, whatever the size.
    DescriptorUnaligned,
    /// The header counts the segments for RAM alone, and no digest is appended.
    OnlyRamCounted,
    /// A gap that an alignment explains was filled.
    GapFilled {
        /// Zeros that were put there.
        bytes: u64,
        /// Name of the section before it.
        before: String,
        /// Name of the section behind it.
        after: String,
    },
    /// Sections that follow each other became one.
    Merged {
        /// How many there are fewer.
        sections: usize,
    },
    /// The segments are known.
    SegmentsReady {
        /// The chip for which they are.
        chip: &'static str,
    },
    /// No segment reaches to where the SHA-256 of the ELF file was to stand.
    DigestNotPlaced {
        /// Offset in the image.
        offset: u32,
    },
}

/// Why no image could be made.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The program is for another machine.
    #[error("'{file}': e_machine of the ELF header, at 0x12, is {machine}, and the {chip} is not")]
    Machine {
        /// The file.
        file: String,
        /// The program's machine.
        machine: Machine,
        /// The chip.
        chip: &'static str,
    },
    /// There is nothing in it for memory.
    #[error("'{file}': {wanted} counts nothing that has bytes and an address: there is no program")]
    Nothing {
        /// The file.
        file: String,
        /// What was looked for.
        wanted: ElfSource,
    },
    /// Memory that the chip does not have.
    #[error(
        "{place} leads to {:#x}..{:#x}, where the {chip} has no memory", memory.start, memory.end
    )]
    NoMemory {
        /// What lies there.
        place: ElfPlace,
        /// First byte, and the one behind the last.
        memory: Range<u64>,
        /// The chip.
        chip: &'static str,
    },
    /// Two sections or segments have the same memory.
    #[error("{place} lies in {other_part} ('{other}'), which ends at {other_end:#x}")]
    Overlap {
        /// The second one.
        place: ElfPlace,
        /// The first one.
        other_part: ElfPart,
        /// Its name.
        other: String,
        /// Where it ends.
        other_end: u64,
    },
    /// A size of pages that the chip does not have.
    #[error(
        "{page} bytes is no size of the {chip}'s pages; there are {}",
        sizes(supported)
    )]
    Page {
        /// What was asked for, by an option or by the application's descriptor.
        page: u64,
        /// The chip.
        chip: &'static str,
        /// What there is.
        supported: &'static [u32],
    },
    /// A flash parameter that the chip does not have.
    #[error(transparent)]
    Parameter(#[from] UnknownParameter),
    /// More segments than can be loaded.
    #[error(
        "'{file}': {wanted} leads to {count} segments{}, and {MAX_SEGMENTS} is the most that an image \
         can have", if *before_padding { "" } else { ", with those that fill gaps" }
    )]
    TooManySegments {
        /// The file.
        file: String,
        /// What was made segments of.
        wanted: ElfSource,
        /// How many there would be.
        count: usize,
        /// Whether these are without what is put between them for alignment.
        before_padding: bool,
    },
    /// Two segments for one page of mapped flash.
    #[error(
        "{place} lies in the same page of {} KB as the one at {other:#x}: the linker script must keep \
         them apart or make one of them", page / 1024
    )]
    SamePage {
        /// The second one.
        place: ElfPlace,
        /// Address of the first one.
        other: u32,
        /// Bytes of a page.
        page: u32,
    },
    /// Mapped flash of an ESP8266 in several pieces.
    #[error(
        "{place} is that of one of {count} segments in mapped flash, and an image of this form has \
         room for one"
    )]
    SeveralIrom {
        /// The second one.
        place: ElfPlace,
        /// How many there are.
        count: usize,
    },
    /// Both files of an ESP8266 image would have bytes for one place in flash.
    #[error(
        "{place} lies at {offset:#x} of the flash, where the file with the header is, whose length is \
         {len:#x}: the linker script must put it behind that"
    )]
    IromOverlap {
        /// The segment for mapped flash.
        place: ElfPlace,
        /// Where in flash that is.
        offset: u32,
        /// Length of the other file, which begins at 0.
        len: u64,
    },
    /// A segment that is not made of words.
    #[error(
        "{place} is not aligned: a segment would have {len:#x} bytes, which is no multiple of 4"
    )]
    OddLength {
        /// What it is for.
        place: ElfPlace,
        /// Its length in bytes.
        len: u64,
    },
    /// A segment of 16 MB or more.
    #[error("{place} begins a segment of {len:#x} bytes, which must have less than 16 MB")]
    SegmentTooLong {
        /// What is first in it.
        place: ElfPlace,
        /// Its length in bytes.
        len: u64,
    },
    /// The digest of the ELF file would not be inside one segment.
    #[error("the SHA-256 of the ELF file at {offset:#x} would not lie inside of one segment")]
    DigestAtBoundary {
        /// Where it was to stand.
        offset: u64,
        /// Where the segment at that place begins, its header included.
        position: u64,
        /// Bytes of the segment.
        len: u64,
    },
    /// Something stands where the digest of the ELF file was to.
    #[error("the 32 bytes at {offset:#x}, where the SHA-256 of the ELF file goes, are not zero")]
    DigestPlaceTaken {
        /// Where it was to stand.
        offset: u64,
    },
    /// Room for a signature makes sense with a digest only.
    #[error("room for a signature needs the appended SHA-256, which is switched off")]
    PadWithoutDigest,
    /// The ELF file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

fn sizes(pages: &[u32]) -> String {
    let pages: Vec<_> = pages
        .iter()
        .map(|page| format!("{}KB", page / 1024))
        .collect();
    pages.join(", ")
}

/// A file to be written to flash.
#[derive(Debug)]
pub struct BuiltFile {
    /// Where in flash it goes, as far as its form says so (ESP8266, versions 1 and 2).
    pub offset: Option<u32>,
    /// Where parts of it are mapped by later chips: it belongs at a multiple of this, in bytes.
    pub page: Option<u32>,
    draft: Draft,
    elf: Contents,
}

impl BuiltFile {
    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no image is empty")]
    #[must_use]
    pub fn len(&self) -> u64 {
        self.draft.position()
    }

    /// How much of it is what.
    #[must_use]
    pub fn makeup(&self) -> Makeup {
        self.draft.makeup()
    }

    /// Writes the image, piece by piece; it is never in memory as a whole.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. What was written until then is no image.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<(), WriteError> {
        self.draft.write_to(&self.elf, out)
    }
}

/// Makes the image of a program for a chip: one file, or two in version 1 for the ESP8266, of which
/// the one for mapped flash comes first.
///
/// # Errors
///
/// [`BuildError`]. The files can be written without another look at what is wrong with the ELF file.
pub fn build(
    elf: &Elf,
    chip: &'static Chip,
    options: &BuildOptions,
    tell: &mut dyn FnMut(BuildNotice),
) -> Result<Vec<BuiltFile>, BuildError> {
    let loadable = check(elf, chip, options.source)?;
    let layout = Layout::new(elf, chip, options, tell)?;
    let mut segments = Segment::all(elf, loadable);
    let mut gaps = Gaps::Keep;
    if options.header == CountedSegments::InRam {
        tell(BuildNotice::OnlyRamCounted);
        segments.sort_by_key(|segment| segment.address);
        if layout.has_extended_header() {
            gaps = Gaps::Fill;
        }
    }
    let segments = merge(segments, layout.tables.memory, gaps, tell);
    if segments.len() > MAX_SEGMENTS.into() {
        return Err(layout.too_many(segments.len(), true));
    }
    tell(BuildNotice::SegmentsReady { chip: chip.name });
    let drafts = match (layout.has_extended_header(), options.version) {
        (true, _) => vec![(None, esp32::image(&layout, segments)?)],
        (false, Esp8266Version::V1) => esp8266::version1(&layout, segments)?,
        (false, Esp8266Version::V2) => vec![esp8266::version2(&layout, segments)?],
        (false, Esp8266Version::V3) => vec![(None, esp8266::version3(&layout, segments)?)],
    };
    if let Some(ElfDigest { offset, .. }) = layout.elf_digest
        && !drafts.iter().any(|(_, draft)| draft.placed)
    {
        // It is where an option of 32 bits said.
        let offset = offset as u32;
        tell(BuildNotice::DigestNotPlaced { offset });
    }
    let files = drafts.into_iter().map(|(offset, draft)| BuiltFile {
        offset,
        page: draft.maps.then_some(layout.page),
        draft,
        elf: elf.contents.clone(),
    });
    Ok(files.collect())
}

/// A program as it is loaded into RAM: what follows each other without a gap in one piece.
pub(crate) fn load(elf: &Elf, chip: &'static Chip) -> Result<Vec<RamSegment>, BuildError> {
    let loadable = check(elf, chip, ElfSource::Sections)?;
    let mut segments = Segment::all(elf, loadable);
    segments.sort_by_key(|segment| segment.address);
    let merged = merge(segments, chip.memory, Gaps::Keep, &mut |_| {});
    let mut program = Vec::with_capacity(merged.len());
    for segment in merged {
        program.push(RamSegment {
            address: segment.address,
            bytes: segment.data.read(&elf.contents)?,
        });
    }
    Ok(program)
}

/// What all layouts need to know.
struct Layout<'a> {
    elf: &'a Elf,
    chip: &'static Chip,
    /// Whose memory and flash tables count.
    tables: &'static Chip,
    options: &'a BuildOptions,
    /// Bytes of a page of mapped flash.
    page: u32,
    /// Bytes 2 and 3 of the header.
    flash_mode: u8,
    flash_size_freq: u8,
    elf_digest: Option<ElfDigest>,
}

impl<'a> Layout<'a> {
    fn new(
        elf: &'a Elf,
        chip: &'static Chip,
        options: &'a BuildOptions,
        tell: &mut dyn FnMut(BuildNotice),
    ) -> Result<Self, BuildError> {
        let extended = chip.image.chip_id.is_some();
        // The predecessor makes version 3 with the tables of the ESP32, flash size and clock
        // included, and bootloaders of the ESP8266_RTOS_SDK expect what it makes.
        let tables = match options.version {
            Esp8266Version::V3 if !extended => &guru_chip::ESP32,
            _ => chip,
        };
        let mapped = |address| match (extended, options.version) {
            (true, _) => chip.irom.contains(&address) || chip.drom.contains(&address),
            (false, Esp8266Version::V3) => address > chip.irom.start,
            // Without a descriptor that anybody reads.
            (false, _) => false,
        };
        let page = page(elf, tables, options, &mapped, tell)?;
        let (flash_mode, flash_size_freq) = flash_bytes(&tables.flash, options)?;
        let source = match options.source {
            ElfSource::Sections => &elf.sections,
            ElfSource::Segments => &elf.segments,
        };
        let described = source
            .iter()
            .find(|section| section.name.contains(APP_DESCRIPTOR))
            .is_some_and(|section| mapped(section.address));
        let offset = options.elf_sha256_offset.filter(|offset| *offset != 0);
        let elf_digest = match offset.or(described.then_some(APP_ELF_DIGEST)) {
            Some(offset) => Some(ElfDigest {
                offset: offset.into(),
                digest: elf.sha256()?,
            }),
            None => None,
        };
        Ok(Self {
            elf,
            chip,
            tables,
            options,
            page,
            flash_mode,
            flash_size_freq,
            elf_digest,
        })
    }

    fn has_extended_header(&self) -> bool {
        self.chip.image.chip_id.is_some()
    }

    fn too_many(&self, count: usize, before_padding: bool) -> BuildError {
        BuildError::TooManySegments {
            file: self.elf.name().to_owned(),
            wanted: self.options.source,
            count,
            before_padding,
        }
    }

    /// Number of segments for the header, when it is not too large.
    fn counted(&self, count: usize) -> Result<u8, BuildError> {
        let fitting = u8::try_from(count)
            .ok()
            .filter(|count| *count <= MAX_SEGMENTS);
        fitting.ok_or_else(|| self.too_many(count, false))
    }
}

/// Bytes 2 and 3 of the header.
fn flash_bytes(tables: &FlashTables, options: &BuildOptions) -> Result<(u8, u8), UnknownParameter> {
    // One by one, so that of two mistakes the size is told, as it always was.
    let size = FlashParameters::new(tables, None, None, Some(&options.size))?;
    let frequency = FlashParameters::new(tables, None, options.frequency.as_deref(), None)?;
    let byte = size.size_code().unwrap_or(0) | frequency.frequency_code().unwrap_or(0);
    Ok((options.mode.code(), byte))
}

/// The size of a page of mapped flash: as an option says, as the application's descriptor says
/// (ESP-IDF 5.4 and later), as its address tells, or the usual one.
fn page(
    elf: &Elf,
    chip: &'static Chip,
    options: &BuildOptions,
    mapped: &dyn Fn(u32) -> bool,
    tell: &mut dyn FnMut(BuildNotice),
) -> Result<u32, BuildError> {
    /// Both headers of the image and that of the segment.
    const HEADERS: u32 = 32;

    let pages = chip.image.mmu_pages;
    let fixed = pages.len() < 2;
    let supported = |page: u64| {
        let found = pages.iter().find(|known| u64::from(**known) == page);
        found.copied().ok_or(BuildError::Page {
            page,
            chip: chip.name,
            supported: pages,
        })
    };
    match options.mmu_page {
        Some(page) if fixed => {
            if page != USUAL_PAGE {
                tell(BuildNotice::PageIsFixed {
                    chip: chip.name,
                    page: USUAL_PAGE,
                });
            }
            return Ok(USUAL_PAGE);
        }
        Some(page) => return supported(page.into()),
        None if fixed => return Ok(USUAL_PAGE),
        None => {}
    }
    let mut sections = elf.sections.iter();
    let Some(section) = sections.find(|section| section.name.contains(APP_DESCRIPTOR)) else {
        return Ok(USUAL_PAGE);
    };
    if !mapped(section.address) || section.data.len() < AppDescriptor::LEN {
        return Ok(USUAL_PAGE);
    }
    let mut bytes = [0; AppDescriptor::LEN];
    elf.contents.read_at(section.data.start, &mut bytes)?;
    let Some(descriptor) = AppDescriptor::parse(&bytes) else {
        return Ok(USUAL_PAGE);
    };
    match descriptor.mmu_page_log2 {
        0 => {
            let start = section.address.saturating_sub(HEADERS);
            let found = pages.iter().rev().find(|page| start.is_multiple_of(**page));
            let notice = match found {
                Some(page) => BuildNotice::PageFound { page: *page },
                None => BuildNotice::DescriptorUnaligned,
            };
            tell(notice);
            Ok(found.copied().unwrap_or(USUAL_PAGE))
        }
        log2 => supported(1_u64.checked_shl(log2.into()).unwrap_or(u64::MAX)),
    }
}

/// What goes into the image: for the chip's machine, in its memory, and nothing twice.
fn check<'a>(
    elf: &'a Elf,
    chip: &'static Chip,
    source: ElfSource,
) -> Result<&'a [Loadable], BuildError> {
    let file = || elf.name().to_owned();
    if !elf.machine.runs_on(chip.architecture) {
        return Err(BuildError::Machine {
            file: file(),
            machine: elf.machine,
            chip: chip.name,
        });
    }
    let loadable = match source {
        ElfSource::Sections => &elf.sections,
        ElfSource::Segments => &elf.segments,
    };
    if loadable.is_empty() {
        return Err(BuildError::Nothing {
            file: file(),
            wanted: source,
        });
    }
    for one in loadable {
        let memory = u64::from(one.address)..end(one);
        if !has_memory(chip, memory.clone()) {
            return Err(BuildError::NoMemory {
                place: one.place(elf),
                memory,
                chip: chip.name,
            });
        }
    }
    let mut sorted: Vec<_> = loadable.iter().collect();
    sorted.sort_by_key(|one| one.address);
    for pair in sorted.windows(2) {
        let [one, next] = pair else { continue };
        if u64::from(next.address) < end(one) {
            return Err(BuildError::Overlap {
                place: next.place(elf),
                other_part: one.part,
                other: one.name.clone(),
                other_end: end(one),
            });
        }
    }
    Ok(loadable)
}

fn end(one: &Loadable) -> u64 {
    u64::from(one.address) + one.data.len() as u64
}

/// Whether a chip has memory, or maps flash, at all of `wanted`.
fn has_memory(chip: &Chip, wanted: Range<u64>) -> bool {
    /// A name for addresses at which nothing is, by which images are filled up.
    const PADDING: &str = "PADDING";
    let named = chip.memory.iter().filter(|range| range.name != PADDING);
    let ram = chip.machine.iter().flat_map(|machine| machine.ram);
    let ranges: Vec<Range<u32>> = named
        .map(|range| range.range.clone())
        .chain(ram.map(|window| window.range.clone()))
        .chain(chip.rom.cache_ram.clone())
        .chain([chip.irom.clone(), chip.drom.clone()])
        .collect();
    let mut at = wanted.start;
    while at < wanted.end {
        let inside =
            |range: &&Range<u32>| u64::from(range.start) <= at && at < u64::from(range.end);
        match ranges.iter().filter(inside).map(|range| range.end).max() {
            Some(end) => at = end.into(),
            None => return false,
        }
    }
    true
}
