//! Images of the ESP32 and later chips: flash is mapped by pages, so that a segment for mapped flash
//! lies in the image at the same place in a page as in memory.

use guru_chip::Quirk;

use super::draft::{Draft, NOWHERE, Summed};
use super::segment::{Data, Segment};
use super::{
    APP_DESCRIPTOR, AppendedDigest, BuildError, CountedSegments, Layout, SecurePad, SharedPage,
};
use crate::elf::ElfPlace;
use crate::header::{ExtendedHeader, Header};
use crate::image::SEGMENT_HEADER_LEN;

/// Section with a bootloader's descriptor, which stands first among those in RAM.
const BOOT_DESCRIPTOR: &str = ".dram0.bootdesc";

/// A mapped segment that ends within this many bytes of a page's start is made to end behind them
/// ([`Quirk::ShortLastPage`]).
const SHORT: u64 = 0x24;

const SEGMENT_HEADER: u64 = SEGMENT_HEADER_LEN as u64;

pub(super) fn image(layout: &Layout, segments: Vec<Segment>) -> Result<Draft, BuildError> {
    let (mut flash, mut ram) = split(segments, |address| {
        layout.chip.irom.contains(&address) || layout.chip.drom.contains(&address)
    });
    if layout.options.shared_page == SharedPage::Join {
        flash = joined(flash, layout.page);
    }
    to_the_top(&mut flash, APP_DESCRIPTOR);
    to_the_top(&mut ram, BOOT_DESCRIPTOR);
    one_per_page(&flash, layout.page)?;
    let only_ram = layout.options.header == CountedSegments::InRam;
    let digest = layout.options.digest == AppendedDigest::Yes && !only_ram;
    let in_ram = ram.len();

    let mut image = Image {
        layout,
        draft: Draft::new(header(layout), layout.elf_digest),
        count: 0,
    };
    image
        .draft
        .bytes(&extended_header(layout, digest).to_bytes());
    if only_ram {
        image.ram_first(flash, ram)?;
    } else {
        image.flash_first(flash, ram)?;
    }
    image.secure_pad(digest)?;
    if !only_ram {
        image.draft.checksum();
    }
    let count = if only_ram { in_ram } else { image.count };
    image.draft.set_count(layout.counted(count)?);
    if digest {
        image.draft.sha256();
    }
    let mut draft = image.draft;
    let pad_to = u64::from(layout.options.pad_to);
    if pad_to > 0 {
        let len = draft.position();
        draft.erased(len.next_multiple_of(pad_to) - len);
    }
    Ok(draft)
}

/// The common header; its segments are counted when all are there.
pub(super) fn header(layout: &Layout) -> [u8; 8] {
    Header {
        segments: 0,
        flash_mode: layout.flash_mode,
        flash_size_freq: layout.flash_size_freq,
        entry: layout.elf.entry,
    }
    .to_bytes()
}

fn extended_header(layout: &Layout, digest: bool) -> ExtendedHeader {
    ExtendedHeader {
        wp_pin: ExtendedHeader::WP_PIN_DISABLED,
        drive: [0; 3],
        chip_id: layout.chip.image.chip_id.unwrap_or_default(),
        min_rev: layout.options.min_rev,
        min_rev_full: layout.options.min_rev_full,
        max_rev_full: layout.options.max_rev_full,
        reserved: [0; 4],
        hash_appended: digest,
    }
}

/// Those in mapped flash and the others, each by ascending address.
pub(super) fn split(
    mut segments: Vec<Segment>,
    mapped: impl Fn(u32) -> bool,
) -> (Vec<Segment>, Vec<Segment>) {
    segments.sort_by_key(|segment| segment.address);
    segments
        .into_iter()
        .partition(|segment| mapped(segment.address))
}

/// Makes one segment of those, sorted by address, that share a page.
fn joined(flash: Vec<Segment>, page: u32) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::with_capacity(flash.len());
    for segment in flash {
        let start = u64::from(segment.address);
        match joined.last_mut() {
            Some(last) if last.end().div_ceil(page.into()) > start / u64::from(page) => {
                last.data.push_zeros(start.saturating_sub(last.end()));
                last.data.append(segment.data);
            }
            _ => joined.push(segment),
        }
    }
    joined
}

fn to_the_top(segments: &mut [Segment], name: &str) {
    if let Some(at) = segments
        .iter()
        .position(|segment| segment.place.name == name)
    {
        segments[..=at].rotate_right(1);
    }
}

/// A page of mapped flash shows one place of the image alone.
pub(super) fn one_per_page(flash: &[Segment], page: u32) -> Result<(), BuildError> {
    for pair in flash.windows(2) {
        let [one, next] = pair else { continue };
        if one.address / page == next.address / page {
            return Err(BuildError::SamePage {
                place: next.place.clone(),
                other: one.address,
                page,
            });
        }
    }
    Ok(())
}

struct Image<'a> {
    layout: &'a Layout<'a>,
    draft: Draft,
    /// Segments so far.
    count: usize,
}

/// How far a segment is from its place.
enum Gap {
    /// It can begin here.
    None,
    /// A segment with so many bytes must stand before it.
    Bytes(u64),
}

impl Image<'_> {
    fn put(
        &mut self,
        place: &ElfPlace,
        address: u32,
        data: Data,
        summed: Summed,
    ) -> Result<(), BuildError> {
        self.count += 1;
        let elf = &self.layout.elf.contents;
        self.draft.segment(place, address, data, summed, elf)
    }

    fn put_mapped(&mut self, mut segment: Segment, summed: Summed) -> Result<(), BuildError> {
        self.draft.maps = true;
        if self.layout.chip.has(Quirk::ShortLastPage) {
            let end = self.draft.position() + SEGMENT_HEADER + segment.data.len();
            let behind = end % u64::from(self.layout.page);
            if behind < SHORT {
                segment.data.push_zeros(SHORT - behind);
            }
        }
        self.put(&segment.place, segment.address, segment.data, summed)
    }

    /// Bytes of a program for RAM fill the gaps before those in mapped flash, so that few are
    /// wasted.
    fn flash_first(&mut self, flash: Vec<Segment>, ram: Vec<Segment>) -> Result<(), BuildError> {
        let mut ram = ram.into_iter();
        let mut rest = ram.next();
        for segment in flash {
            while let Gap::Bytes(len) = self.gap_before(segment.address) {
                let (address, data) = match &mut rest {
                    Some(from) if len > SEGMENT_HEADER => {
                        let front = from.take_front(len);
                        if from.data.len() == 0 {
                            rest = ram.next();
                        }
                        (front.address, front.data)
                    }
                    _ => (NOWHERE, Data::zeros(len)),
                };
                self.put(&segment.place, address, data, Summed::Yes)?;
            }
            self.put_mapped(segment, Summed::Yes)?;
        }
        for segment in rest.into_iter().chain(ram) {
            self.put(&segment.place, segment.address, segment.data, Summed::Yes)?;
        }
        Ok(())
    }

    /// How many bytes a segment needs that fills the gap before one for `address`.
    fn gap_before(&self, address: u32) -> Gap {
        let page = i64::from(self.layout.page);
        let header = i64::from(SEGMENT_HEADER_LEN);
        let inside = |value: u64| (value % u64::from(self.layout.page)) as i64;
        let gap = page - inside(self.draft.position()) + inside(address.into()) - header;
        if gap == 0 || gap == page {
            return Gap::None;
        }
        // What fills the gap has a header as well. A gap of as much as that is filled by nothing
        // else; the predecessor takes it for none, and fails.
        let len = if gap < header {
            gap - header + page
        } else {
            gap - header
        };
        Gap::Bytes(len.unsigned_abs())
    }

    /// What the ROM loads stands first and is all that it sees; a program maps the rest itself.
    fn ram_first(&mut self, flash: Vec<Segment>, ram: Vec<Segment>) -> Result<(), BuildError> {
        let page = i64::from(self.layout.page);
        let offset = i64::from(self.layout.chip.image.bootloader_offset);
        for segment in ram {
            self.put(&segment.place, segment.address, segment.data, Summed::Yes)?;
        }
        self.draft.checksum();
        // In the order of the linker script.
        for segment in flash.into_iter().rev() {
            let here = (self.draft.position() + 2 * SEGMENT_HEADER) as i64;
            let mut len = (i64::from(segment.address) - here).rem_euclid(page);
            // The image lies at an offset in flash, and pages count from its start.
            if len < offset {
                len += page;
            }
            let len = (len - offset).rem_euclid(page);
            self.put(
                &segment.place,
                NOWHERE,
                Data::zeros(len.unsigned_abs()),
                Summed::No,
            )?;
            self.put_mapped(segment, Summed::No)?;
        }
        Ok(())
    }

    /// Zeros, so that all pages that are mapped are signed.
    fn secure_pad(&mut self, digest: bool) -> Result<(), BuildError> {
        /// The unit that ends with the checksum, and the SHA-256 behind it.
        const CHECKSUM: u64 = 16;
        const DIGEST: u64 = 32;
        /// Version and signature of Secure Boot V1, and what fills up their last unit.
        const SIGNATURE: u64 = 4 + 64 + 12;
        let behind = match self.layout.options.secure_pad {
            SecurePad::V2 => DIGEST,
            SecurePad::V1 if self.layout.chip.security.secure_boot_v1.is_some() => {
                DIGEST + SIGNATURE
            }
            SecurePad::V1 | SecurePad::None => return Ok(()),
        };
        if !digest {
            return Err(BuildError::PadWithoutDigest);
        }
        let page = u64::from(self.layout.page);
        let used = self.draft.position() + SEGMENT_HEADER + CHECKSUM + behind;
        let len = used.next_multiple_of(page) - used;
        self.count += 1;
        self.draft.padding(len, &self.layout.elf.contents)
    }
}
