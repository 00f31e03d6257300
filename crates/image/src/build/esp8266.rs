//! The three forms of ESP8266 images.

use super::draft::{Draft, Summed};
use super::esp32::{header, one_per_page, split};
use super::segment::{Data, Segment};
use super::{BuildError, Layout};

/// First byte of an image of version 2, in place of that of an image.
const V2_MAGIC: u8 = 0xEA;

/// What stands in place of the number of segments there.
const V2_COUNT: u8 = 4;

/// Bytes of a sector, from which offsets in names of files count.
const SECTOR: u32 = 0x1000;

type Placed = (Option<u32>, Draft);

/// The file for mapped flash, as the program has it, and what the ROM loads.
pub(super) fn version1(layout: &Layout, segments: Vec<Segment>) -> Result<Vec<Placed>, BuildError> {
    let (irom, others) = irom(layout, segments)?;
    let mut draft = Draft::new(header(layout), layout.elf_digest);
    loaded(layout, &mut draft, others)?;
    let mut files = Vec::new();
    if let Some(irom) = irom {
        let offset = irom.address - layout.chip.irom.start;
        let len = draft.position();
        if u64::from(offset) < len {
            return Err(BuildError::IromOverlap {
                place: irom.place,
                offset,
                len,
            });
        }
        files.push((Some(offset), Draft::raw(irom.data)));
    }
    files.push((Some(0), draft));
    Ok(files)
}

/// One file: mapped flash, a second header, and what is loaded.
pub(super) fn version2(layout: &Layout, segments: Vec<Segment>) -> Result<Placed, BuildError> {
    let (irom, others) = irom(layout, segments)?;
    let [_, _, rest @ ..] = header(layout);
    let mut outer = [V2_MAGIC, V2_COUNT, 0, 0, 0, 0, 0, 0];
    outer[2..].copy_from_slice(&rest);
    let mut draft = Draft::new(outer, layout.elf_digest);
    let mut offset = 0;
    if let Some(mut irom) = irom {
        offset = irom.address - layout.chip.irom.start;
        irom.data.pad_to(16);
        let elf = &layout.elf.contents;
        draft.segment(&irom.place, 0, irom.data, Summed::No, elf)?;
    }
    let mut inner = header(layout);
    inner[1] = layout.counted(others.len())?;
    draft.bytes(&inner);
    segments_of(layout, &mut draft, others)?;
    draft.checksum();
    draft.crc32();
    Ok((Some(offset / SECTOR * SECTOR), draft))
}

/// One file as the ESP32 has it: mapped flash first, and a digest, but no extended header.
pub(super) fn version3(layout: &Layout, segments: Vec<Segment>) -> Result<Draft, BuildError> {
    /// The linker script leaves room for a segment's header at the start of this section.
    const RODATA: &str = ".flash.rodata";
    const ROOM: u64 = 8;
    let (mut flash, ram) = split(segments, |address| address > layout.chip.irom.start);
    one_per_page(&flash, layout.page)?;
    for segment in &mut flash {
        if segment.place.name == RODATA {
            let mut data = std::mem::take(&mut segment.data);
            data.take_front(ROOM);
            segment.data = data;
        }
    }
    flash.extend(ram);
    let mut draft = Draft::new(header(layout), layout.elf_digest);
    loaded(layout, &mut draft, flash)?;
    draft.sha256();
    Ok(draft)
}

/// Segments, their number in the header, and the checksum.
fn loaded(layout: &Layout, draft: &mut Draft, segments: Vec<Segment>) -> Result<(), BuildError> {
    draft.set_count(layout.counted(segments.len())?);
    segments_of(layout, draft, segments)?;
    draft.checksum();
    Ok(())
}

fn segments_of(
    layout: &Layout,
    draft: &mut Draft,
    segments: Vec<Segment>,
) -> Result<(), BuildError> {
    for segment in segments {
        let data: Data = segment.data;
        let elf = &layout.elf.contents;
        draft.segment(&segment.place, segment.address, data, Summed::Yes, elf)?;
    }
    Ok(())
}

/// The one segment in mapped flash, and the others in their order.
fn irom(
    layout: &Layout,
    segments: Vec<Segment>,
) -> Result<(Option<Segment>, Vec<Segment>), BuildError> {
    let (irom, others): (Vec<_>, Vec<_>) = segments
        .into_iter()
        .partition(|segment| layout.chip.irom.contains(&segment.address));
    if let [_, second, ..] = &irom[..] {
        return Err(BuildError::SeveralIrom {
            place: second.place.clone(),
            count: irom.len(),
        });
    }
    Ok((irom.into_iter().next(), others))
}
