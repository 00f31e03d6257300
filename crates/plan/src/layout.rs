use thiserror::Error;

use crate::{sector_ceil, sector_floor};

/// A named range of flash that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'a> {
    /// Name of the file.
    pub name: &'a str,
    /// First byte.
    pub address: u32,
    /// Number of bytes.
    pub length: u64,
}

/// Why files cannot be written together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Two files share a sector, and writing one erases the other.
    #[error("'{name}' at 0x{address:x} overlaps '{other}': both touch the sector at 0x{sector:x}")]
    Overlap {
        /// The later file.
        name: String,
        /// Its first byte.
        address: u32,
        /// The earlier file.
        other: String,
        /// A sector that both touch.
        sector: u32,
    },
    /// A file reaches beyond the addresses that a command can name.
    #[error("'{name}' at 0x{address:x} reaches beyond 4 GiB")]
    BeyondAddressSpace {
        /// The file.
        name: String,
        /// Its first byte.
        address: u32,
    },
}

/// Checks that no two spans touch the same sector.
pub fn check_overlaps(spans: &[Span<'_>]) -> Result<(), LayoutError> {
    let mut sorted: Vec<&Span<'_>> = spans.iter().filter(|span| span.length > 0).collect();
    sorted.sort_by_key(|span| span.address);
    for span in &sorted {
        if u64::from(span.address) + span.length > 1 << 32 {
            return Err(LayoutError::BeyondAddressSpace {
                name: span.name.to_owned(),
                address: span.address,
            });
        }
    }
    for pair in sorted.windows(2) {
        let [first, second] = pair else { continue };
        let end = sector_ceil(u64::from(first.address) + first.length);
        let sector = sector_floor(second.address);
        if u64::from(sector) < end {
            return Err(LayoutError::Overlap {
                name: second.name.to_owned(),
                address: second.address,
                other: first.name.to_owned(),
                sector,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: &str, address: u32, length: u64) -> Span<'_> {
        Span {
            name,
            address,
            length,
        }
    }

    #[test]
    fn files_that_share_a_sector_overlap() {
        let error = check_overlaps(&[span("b", 0x1800, 1), span("a", 0, 0x1001)]).unwrap_err();
        assert_eq!(
            error,
            LayoutError::Overlap {
                name: "b".into(),
                address: 0x1800,
                other: "a".into(),
                sector: 0x1000
            }
        );
    }

    #[test]
    fn files_in_neighbouring_sectors_and_empty_files_do_not() {
        let spans = [span("b", 0x1000, 10), span("a", 0, 0x1000), span("c", 0, 0)];
        assert_eq!(check_overlaps(&spans), Ok(()));
    }

    #[test]
    fn a_file_beyond_the_address_space_is_refused() {
        assert!(matches!(
            check_overlaps(&[span("a", u32::MAX, 2)]),
            Err(LayoutError::BeyondAddressSpace { .. })
        ));
    }
}
