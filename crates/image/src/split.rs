//! Flash contents taken apart again: what lies in which place, and how much of it counts.

use std::ops::Range;

use thiserror::Error;

use crate::contents::{Contents, ReadError};
use crate::image::ImageError;
use crate::info::{ImageInfo, InfoError};

/// Bytes that flash erases at the least.
const SECTOR: u64 = 0x1000;

/// A place in flash that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its name: a partition's, or what is always there.
    pub name: String,
    /// Where in flash it lies.
    pub range: Range<u64>,
    /// What is kept there.
    pub role: Role,
}

/// What is kept in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The bootloader, an image.
    Bootloader,
    /// The partition table.
    PartitionTable,
    /// An application, an image.
    App,
    /// Anything.
    Data,
    /// What is in no place that has a name.
    Unclaimed,
}

impl Role {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bootloader => "bootloader",
            Self::PartitionTable => "partition-table",
            Self::App => "app",
            Self::Data => "data",
            Self::Unclaimed => "unclaimed",
        }
    }
}

/// A place, and what flash contents hold of it.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The place.
    pub place: Region,
    /// What is there.
    pub found: Found,
}

/// What is found in a place.
#[derive(Debug, Clone)]
pub enum Found {
    /// The contents end before it.
    Beyond,
    /// Erased flash.
    Blank,
    /// Bytes that count, from the start of the place on.
    Bytes {
        /// Them.
        contents: Contents,
        /// The image that they are, in a place for one, if they are one.
        image: Option<Box<ImageInfo>>,
        /// Whether something is behind the image that is no part of it, and is left out.
        leftover: bool,
        /// Whether the contents end before the place does.
        cut: bool,
    },
}

/// Why contents cannot be taken apart.
#[derive(Debug, Error)]
pub enum SplitError {
    /// Two places have bytes in common.
    #[error("'{name}' at {start:#x} overlaps '{other}', which ends at {end:#x}")]
    Overlap {
        /// The second one.
        name: String,
        /// Where it begins.
        start: u64,
        /// The first one.
        other: String,
        /// Where that ends.
        end: u64,
    },
    /// The contents cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Takes apart what flash holds from the offset `base` on. The pieces are in the order of their
/// offsets; what is not erased beside the `places` comes as [`Role::Unclaimed`], in whole sectors.
///
/// An image counts up to its end with its signature, a partition table up to its last record,
/// data as a whole.
///
/// # Errors
///
/// [`SplitError`].
pub fn split(contents: &Contents, base: u32, places: &[Region]) -> Result<Vec<Piece>, SplitError> {
    let mut places = places.to_vec();
    places.sort_by_key(|place| place.range.start);
    let end = u64::from(base) + u64::from(contents.len());
    let mut pieces = Vec::new();
    let mut at = u64::from(base);
    let mut before: Option<Region> = None;
    for place in places {
        if let Some(other) = before.filter(|other| other.range.end > place.range.start) {
            return Err(SplitError::Overlap {
                name: place.name,
                start: place.range.start,
                end: other.range.end,
                other: other.name,
            });
        }
        unclaimed(contents, base, at..place.range.start.min(end), &mut pieces)?;
        at = at.max(place.range.end);
        before = Some(place.clone());
        let found = find(contents, base, &place)?;
        pieces.push(Piece { place, found });
    }
    unclaimed(contents, base, at..end, &mut pieces)?;
    Ok(pieces)
}

/// The bytes of a range of flash that lies inside the contents.
fn slice(contents: &Contents, base: u32, range: &Range<u64>) -> Result<Contents, ReadError> {
    let offset = |at: u64| at.saturating_sub(base.into()).min(contents.len().into()) as u32;
    contents
        .clone()
        .slice(offset(range.start)..offset(range.end))
}

fn find(contents: &Contents, base: u32, place: &Region) -> Result<Found, ReadError> {
    // What the contents begin in the middle of is not there as a whole.
    if place.range.start < base.into() {
        return Ok(Found::Beyond);
    }
    let there = slice(contents, base, &place.range)?;
    let len = there.len();
    if len == 0 {
        return Ok(Found::Beyond);
    }
    if there.is_erased(0..len)? {
        return Ok(Found::Blank);
    }
    let cut = u64::from(len) < place.range.end - place.range.start;
    let (counts, image) = match place.role {
        Role::Bootloader | Role::App => match ImageInfo::read(&there, None) {
            Ok(image) => {
                let signature = image.signature.as_ref();
                let end = signature.map_or(image.end, |it| it.range.end);
                // Where the lengths may lie, nothing is left out.
                let end = match image.checksum.is_valid() {
                    true => end,
                    false => written(&there)?.max(end),
                };
                (end, Some(Box::new(image)))
            }
            Err(InfoError::Image(ImageError::Read(error))) => return Err(error),
            // Encrypted, perhaps: blocks of 16 bytes.
            Err(_) => (written(&there)?.next_multiple_of(16).min(len), None),
        },
        Role::PartitionTable => (written(&there)?.max(TABLE.min(len)), None),
        Role::Data | Role::Unclaimed => (len, None),
    };
    Ok(Found::Bytes {
        leftover: !there.is_erased(counts..len)?,
        contents: there.slice(0..counts)?,
        image,
        cut,
    })
}

/// Length in bytes of a partition table as it is made, erased bytes at its end included.
const TABLE: u32 = 0xC00;

/// Bytes up to the last one that is not erased.
fn written(contents: &Contents) -> Result<u32, ReadError> {
    let (mut end, mut at) = (0, 0);
    contents.for_each_chunk(0..contents.len(), |chunk| {
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0xFF) {
            end = at + last as u32 + 1;
        }
        at += chunk.len() as u32;
    })?;
    Ok(end)
}

/// Finds what is not erased in a range without a name, from its first sector to its last.
fn unclaimed(
    contents: &Contents,
    base: u32,
    range: Range<u64>,
    pieces: &mut Vec<Piece>,
) -> Result<(), ReadError> {
    let mut run: Option<u64> = None;
    let mut at = range.start;
    let mut put = |range: Range<u64>| -> Result<(), ReadError> {
        let contents = slice(contents, base, &range)?;
        pieces.push(Piece {
            place: Region {
                name: format!("unclaimed-{:#x}", range.start),
                range,
                role: Role::Unclaimed,
            },
            found: Found::Bytes {
                contents,
                image: None,
                leftover: false,
                cut: false,
            },
        });
        Ok(())
    };
    while at < range.end {
        let next = (at / SECTOR * SECTOR + SECTOR).min(range.end);
        let sector = slice(contents, base, &(at..next))?;
        match (sector.is_erased(0..sector.len())?, run) {
            (false, None) => run = Some(at),
            (true, Some(start)) => {
                put(start..at)?;
                run = None;
            }
            _ => {}
        }
        at = next;
    }
    match run {
        Some(start) => put(start..range.end),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::tests::{extended, image};
    use crate::merge::{Merge, Placed};

    fn place(name: &str, range: Range<u64>, role: Role) -> Region {
        Region {
            name: name.to_owned(),
            range,
            role,
        }
    }

    fn contents(bytes: &[u8]) -> Contents {
        Contents::from_bytes("flash", bytes.to_vec()).unwrap()
    }

    fn bytes(contents: &Contents) -> Vec<u8> {
        let mut bytes = vec![0; contents.len() as usize];
        contents.read_at(0, &mut bytes).unwrap();
        bytes
    }

    fn places() -> Vec<Region> {
        vec![
            place("bootloader", 0x1000..0x8000, Role::Bootloader),
            place("partition-table", 0x8000..0x9000, Role::PartitionTable),
            place("nvs", 0x9000..0xB000, Role::Data),
            place("factory", 0x1_0000..0x2_0000, Role::App),
        ]
    }

    fn merged(parts: &[(u32, &[u8])], target: u32, pad_to: Option<u32>) -> Contents {
        let placed = |(address, bytes): &(u32, &[u8])| Placed {
            address: *address,
            contents: contents(bytes),
        };
        let merge = Merge::new(parts.iter().map(placed).collect()).unwrap();
        let mut all = Vec::new();
        merge.raw(target, pad_to, &mut all).unwrap();
        contents(&all)
    }

    #[test]
    fn what_is_behind_an_image_in_its_place_is_told() {
        let app = image(Some(extended(5)), b"program");
        let flash = merged(
            &[(0x1_0000, &app), (0x1_5000, b"older one")],
            0x1000,
            Some(0x2_0000),
        );
        let pieces = split(&flash, 0x1000, &places()).unwrap();
        let Found::Bytes {
            contents,
            image: Some(_),
            leftover: true,
            cut: false,
        } = &pieces[3].found
        else {
            panic!("{:?}", pieces[3]);
        };
        assert_eq!(bytes(contents), app);
        assert!(matches!(pieces[0].found, Found::Blank));
    }

    #[test]
    fn an_image_whose_lengths_lie_is_taken_as_far_as_it_is_written() {
        let mut app = image(Some(extended(5)), &[1; 100]);
        app[30] = 0xFF;
        let flash = merged(&[(0x1_0000, &app)], 0, None);
        let pieces = split(&flash, 0, &places()).unwrap();
        match &pieces[3].found {
            Found::Bytes {
                contents,
                image: None,
                ..
            } => assert_eq!(bytes(contents)[..app.len()], app),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_has_no_name_is_found_by_sectors() {
        let flash = merged(
            &[(0xC010, b"a"), (0xD000, b"b"), (0xF000, b"c")],
            0,
            Some(0x1_0000),
        );
        let pieces = split(&flash, 0, &places()).unwrap();
        let unclaimed: Vec<_> = pieces
            .iter()
            .filter(|piece| piece.place.role == Role::Unclaimed)
            .map(|piece| (piece.place.name.as_str(), piece.place.range.clone()))
            .collect();
        assert_eq!(
            unclaimed,
            [
                ("unclaimed-0xc000", 0xC000..0xE000),
                ("unclaimed-0xf000", 0xF000..0x1_0000)
            ]
        );
        assert!(matches!(pieces.last().unwrap().found, Found::Beyond));
    }

    #[test]
    fn places_that_overlap_are_refused() {
        let mut places = places();
        places.push(place("other", 0xA000..0xC000, Role::Data));
        let error = split(&contents(&[0; 16]), 0, &places).unwrap_err();
        assert_eq!(
            error.to_string(),
            "'other' at 0xa000 overlaps 'nvs', which ends at 0xb000"
        );
    }

    proptest! {
        #[test]
        fn a_split_gives_back_what_was_merged(
            boot in prop::collection::vec(any::<u8>(), 0..3000),
            table in prop::collection::vec(any::<u8>(), 0xC00),
            nvs in prop::collection::vec(any::<u8>(), 1..0x2000),
            app in prop::collection::vec(any::<u8>(), 0..5000),
            target in prop_oneof![Just(0_u32), Just(0x1000)],
            pad in any::<bool>(),
        ) {
            let boot = image(Some(extended(0)), &boot);
            let app = image(Some(extended(0)), &app);
            let parts: [(u32, &[u8]); 4] =
                [(0x1000, &boot), (0x8000, &table), (0x9000, &nvs), (0x1_0000, &app)];
            let flash = merged(&parts, target, pad.then_some(0x4_0000));
            let pieces = split(&flash, target, &places()).unwrap();
            prop_assert_eq!(pieces.len(), 4);
            for (piece, (address, expected)) in pieces.iter().zip(parts) {
                prop_assert_eq!(piece.place.range.start, u64::from(address));
                let Found::Bytes { contents, leftover: false, .. } = &piece.found else {
                    prop_assert!(
                        expected.iter().all(|byte| *byte == 0xFF),
                        "{:?}", piece
                    );
                    continue;
                };
                let mut expected = expected.to_vec();
                if piece.place.role == Role::Data {
                    expected.resize(0x2000, 0xFF);
                }
                prop_assert_eq!(bytes(contents), expected);
            }
        }

        #[test]
        fn no_contents_and_no_places_make_it_panic(
            flash in prop::collection::vec(prop_oneof![Just(0xFF_u8), Just(0xE9), any::<u8>()], 0..9000),
            base in prop_oneof![Just(0_u32), any::<u32>()],
            places in prop::collection::vec((any::<u32>(), any::<u32>(), 0_usize..4), 0..4),
        ) {
            let roles = [Role::Bootloader, Role::PartitionTable, Role::App, Role::Data];
            let places: Vec<_> = places
                .into_iter()
                .map(|(start, size, role)| {
                    let start = u64::from(start % 0x3000) + u64::from(base);
                    place("p", start..start + u64::from(size % 0x2000), roles[role])
                })
                .collect();
            if let Ok(pieces) = split(&contents(&flash), base, &places) {
                for pair in pieces.windows(2) {
                    prop_assert!(pair[0].place.range.end <= pair[1].place.range.start);
                }
            }
        }
    }
}
