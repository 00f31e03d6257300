//! Files that are to be written or compared, with all that can be wrong with them before a port
//! is opened.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use guru_chip::Chip;
use guru_image::{Contents, Elf, Firmware, FirmwareError, FirmwarePart};
use guru_loader::{Error as LoaderError, FilePart, FlashSizeOption};

use crate::args;
use crate::error::Error;

/// Bytes that flash erases at the least.
const SECTOR: u64 = 0x1000;

/// The largest flash that any chip's loader can address, in bytes.
const MAX_FLASH: u64 = 256 << 20;

/// Reads `ADDR FILE ADDR FILE ...` and opens the files. An Intel HEX file becomes as many parts as
/// it has runs of addresses.
///
/// # Errors
/// Says which argument is wrong and what would be right.
pub fn open(arguments: &[OsString], encrypt: bool) -> Result<Vec<FilePart>, Error> {
    let mut parts = Vec::new();
    for (address, path) in pairs(arguments, args::scaled)? {
        for part in Firmware::open(&path)?.parts {
            parts.push(FilePart {
                name: part.contents.name().to_owned(),
                address: part.address.unwrap_or(address),
                contents: part.contents,
                encrypt,
                previous: None,
            });
        }
    }
    Ok(parts)
}

/// Whether there are ELF files among the parts, of which images must be made for the chip.
///
/// # Errors
/// A file that cannot be read, or a damaged ELF file.
pub fn has_elf(parts: &[FilePart]) -> Result<bool, Error> {
    let mut found = false;
    for part in parts {
        for contents in [Some(&part.contents), part.previous.as_ref()] {
            if let Some(contents) = contents
                && Elf::is_elf(contents).map_err(FirmwareError::Read)?
            {
                // A damaged one is told before a port is opened.
                Elf::read(contents)?;
                found = true;
            }
        }
    }
    Ok(found)
}

/// The parts with images in place of ELF files, checked as all are.
///
/// # Errors
/// An ELF file of which no image can be made, or that makes no sense where it shall be.
pub fn for_chip(
    parts: &[FilePart],
    chip: &'static Chip,
    size: &FlashSizeOption,
) -> Result<Vec<FilePart>, Error> {
    let mut made = Vec::with_capacity(parts.len());
    for part in parts {
        let convert = |contents: &Contents| {
            let contents = contents.clone();
            let part_of_it = FirmwarePart {
                address: None,
                contents,
            };
            part_of_it.for_chip(part.address, chip)
        };
        let mut previous = match &part.previous {
            Some(contents) => convert(contents)?,
            None => Vec::new(),
        }
        .into_iter();
        for one in convert(&part.contents)? {
            made.push(FilePart {
                address: one.address.unwrap_or(part.address),
                contents: one.contents,
                previous: previous.next().map(|one| one.contents),
                name: part.name.clone(),
                encrypt: part.encrypt,
            });
        }
    }
    check(&made, Some(chip), size)?;
    Ok(made)
}

/// Gives each part what is believed to be in its place: files, or `skip`, in the parts' order. A
/// HEX file stands for as many parts as it has runs. How many files there are beyond the parts.
///
/// # Errors
/// A file that cannot be read, or that is named `skip`.
pub fn compare<'p>(
    mut parts: impl Iterator<Item = &'p mut FilePart>,
    arguments: &[OsString],
) -> Result<usize, Error> {
    let mut surplus = 0;
    for argument in arguments {
        let first = parts.next();
        if first.is_none() {
            surplus += 1;
        }
        if argument.eq_ignore_ascii_case("skip") {
            if Path::new(argument).exists() {
                return Err(Error::Usage(format!(
                    "there is a file named '{}', which stands for none here; rename it",
                    argument.to_string_lossy()
                )));
            }
            continue;
        }
        let mut runs = Firmware::open(Path::new(argument))?.parts.into_iter();
        if let (Some(part), Some(run)) = (first, runs.next()) {
            part.previous = Some(run.contents);
        }
        for run in runs {
            if let Some(part) = parts.next() {
                part.previous = Some(run.contents);
            }
        }
    }
    Ok(surplus)
}

/// Checks that files fit beside each other and into the flash, by what the command line tells.
///
/// # Errors
/// Says which file is wrong.
pub fn check(parts: &[FilePart], chip: Option<&Chip>, size: &FlashSizeOption) -> Result<(), Error> {
    check_overlap(parts)?;
    check_fit(parts, limit(chip, size))
}

/// Pairs of a place and a file.
///
/// # Errors
/// Says which argument is wrong and what would be right.
pub fn pairs<P>(
    arguments: &[OsString],
    place: impl Fn(&str) -> Result<P, String>,
) -> Result<Vec<(P, PathBuf)>, Error> {
    arguments
        .chunks(2)
        .map(|pair| match pair {
            [address, file] => {
                let word = address.to_string_lossy();
                let place = place(&word).map_err(|reason| Error::BadAddress {
                    word: word.clone().into_owned(),
                    reason,
                })?;
                Ok((place, PathBuf::from(file)))
            }
            _ => Err(Error::NoPartner {
                word: pair.iter().map(|one| one.to_string_lossy()).collect(),
            }),
        })
        .collect()
}

/// No two files may touch the same sector, since erasing for one would destroy the other.
///
/// # Errors
/// Says which do.
pub fn check_overlap(parts: &[FilePart]) -> Result<(), Error> {
    let mut sorted: Vec<&FilePart> = parts.iter().collect();
    sorted.sort_by_key(|part| part.address);
    let mut before: Option<(&FilePart, u64)> = None;
    for part in sorted {
        let start = u64::from(part.address) / SECTOR * SECTOR;
        if let Some((other, end)) = before
            && start < end
        {
            return Err(Error::Overlap {
                address: part.address,
                file: part.name.clone(),
                other: other.name.clone(),
                other_end: end,
            });
        }
        let end =
            (u64::from(part.address) + u64::from(part.contents.len())).next_multiple_of(SECTOR);
        if end > start {
            before = Some((part, end));
        }
    }
    Ok(())
}

fn check_fit(parts: &[FilePart], flash: u64) -> Result<(), Error> {
    for part in parts {
        let length = u64::from(part.contents.len());
        if u64::from(part.address) + length > flash {
            return Err(LoaderError::DoesNotFit {
                file: part.name.clone(),
                length,
                address: part.address,
                flash,
            }
            .into());
        }
    }
    Ok(())
}

/// How large the flash can be, by what is known from the command line.
fn limit(chip: Option<&Chip>, size: &FlashSizeOption) -> u64 {
    let of_chip = chip.and_then(|chip| {
        chip.flash
            .sizes
            .iter()
            .map(|size| u64::from(size.bytes))
            .max()
    });
    let of_option = match size {
        FlashSizeOption::Set(label) => size_bytes(label),
        FlashSizeOption::Keep | FlashSizeOption::Detect => None,
    };
    of_option.or(of_chip).unwrap_or(MAX_FLASH)
}

/// Bytes of a size label such as `4MB` or `2MB-c1`.
pub fn size_bytes(label: &str) -> Option<u64> {
    let label = label.split('-').next()?;
    if let Some(mega) = label.strip_suffix("MB") {
        return Some(mega.parse::<u64>().ok()? << 20);
    }
    Some(label.strip_suffix("KB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, address: u32, length: usize) -> FilePart {
        FilePart {
            name: name.to_owned(),
            address,
            contents: Contents::from_bytes(name, vec![0; length]).unwrap(),
            encrypt: false,
            previous: None,
        }
    }

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn an_odd_list_names_the_argument_without_a_partner() {
        let error = pairs(&arguments(&["0", "a", "0x1000"]), args::scaled)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("'0x1000'") && error.contains("pairs"),
            "{error}"
        );
        let error = pairs(&arguments(&["a.bin", "0"]), args::scaled)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("'a.bin'") && error.contains("0x10000 app.bin"),
            "{error}"
        );
    }

    #[test]
    fn files_may_not_share_a_sector() {
        let error = check_overlap(&[part("b", 0x1800, 1), part("a", 0x1000, 0x10)]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Overlap {
                    address: 0x1800,
                    ..
                }
            ),
            "{error}"
        );
        assert!(check_overlap(&[part("a", 0, 0x1000), part("b", 0x1000, 1)]).is_ok());
        assert!(check_overlap(&[part("a", 0, 0x1001), part("b", 0x1000, 1)]).is_err());
        assert!(check_overlap(&[part("a", 0, 0), part("b", 0, 1)]).is_ok());
        assert!(check_overlap(&[part("a", u32::MAX, 0x2000)]).is_ok());
    }

    #[test]
    fn files_end_inside_the_flash() {
        let set = FlashSizeOption::Set("2MB".into());
        assert!(check_fit(&[part("a", 0x1F_F000, 0x1000)], limit(None, &set)).is_ok());
        assert!(check_fit(&[part("a", 0x1F_F000, 0x1001)], limit(None, &set)).is_err());
        let keep = FlashSizeOption::Keep;
        assert!(check_fit(&[part("a", u32::MAX, 2)], limit(None, &keep)).is_err());
    }

    #[test]
    fn every_size_label_has_bytes() {
        for label in args::FLASH_SIZES {
            assert!(
                size_bytes(label).is_some_and(|bytes| bytes >= 256 << 10),
                "{label}"
            );
        }
        assert_eq!(size_bytes("2MB-c1"), Some(2 << 20));
    }
}
