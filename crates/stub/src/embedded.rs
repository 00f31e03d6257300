//! The stubs that were built from `stub/`.

use guru_chip::{Chip, Revision};

use crate::guru::Description;
use crate::{Stub, StubError};

/// One of them, as `stub/blobs` holds it.
pub(crate) struct Blob {
    /// Name without ending: the chip, and its revisions where there are several.
    stem: &'static str,
    description: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/blobs.rs"));

/// Name of the file, without ending, that holds the stub for a revision of a chip. Espressif's have
/// the same names. `None`: such a chip has no stub.
pub(crate) fn stem(
    chip: &Chip,
    revision: Option<Revision>,
) -> Result<Option<&'static str>, StubError> {
    Ok(find(chip, revision)?.map(|(blob, _)| blob.stem))
}

/// The stub for a revision of a chip.
pub(crate) fn stub(chip: &Chip, revision: Option<Revision>) -> Result<Option<Stub>, StubError> {
    match find(chip, revision)? {
        Some((blob, description)) => {
            let file = format!("{}.bin", blob.stem);
            let stub = description.stub(&file, blob.bytes)?;
            stub.checked(chip).map(Some)
        }
        None => Ok(None),
    }
}

fn find(
    chip: &Chip,
    revision: Option<Revision>,
) -> Result<Option<(&'static Blob, Description)>, StubError> {
    let revision = revision.map_or(0, |revision| revision.0);
    for blob in BLOBS {
        // `esp32p4-rev1` is of the chip `esp32p4`.
        if blob.stem.split('-').next() != Some(chip.id) {
            continue;
        }
        let description = Description::parse(blob.stem, blob.description)?;
        if (description.min_revision..=description.max_revision).contains(&revision) {
            return Ok(Some((blob, description)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use guru_chip::CHIPS;

    use super::*;

    #[test]
    fn every_chip_but_one_has_a_stub_that_passes_its_checks() {
        for chip in CHIPS {
            let stub = stub(chip, Some(Revision(300))).unwrap();
            let Some(stub) = stub else {
                assert_eq!(chip.id, "esp32e22");
                continue;
            };
            assert!(stub.len() <= 8 << 10, "{}: {}", chip.name, stub.len());
        }
    }

    #[test]
    fn the_revision_decides_where_there_are_two() {
        let p4 = guru_chip::by_id("esp32p4").unwrap();
        for (revision, name) in [
            (100, "esp32p4-rev1"),
            (299, "esp32p4-rev1"),
            (300, "esp32p4"),
        ] {
            assert_eq!(stem(p4, Some(Revision(revision))), Ok(Some(name)));
        }
    }
}
