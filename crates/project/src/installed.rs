//! Bootloaders that come with what is installed.
//!
//! Sources: `resources/bootloaders` of espflash since 2.0; `tools/sdk` of arduino-esp32 up to 2.0 and
//! `esp32-arduino-libs` since 3.0, which PlatformIO has as packages too.

use std::cmp::Reverse;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use guru_chip::Chip;
use guru_image::FlashMode;

use crate::built_in;

/// Folders below which packages lie. Those that are not there are passed over.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// Homes of cargo (`~/.cargo`).
    pub cargo: Vec<PathBuf>,
    /// Folders of Arduino (`~/.arduino15`).
    pub arduino: Vec<PathBuf>,
    /// Folders of PlatformIO (`~/.platformio`).
    pub platformio: Vec<PathBuf>,
}

/// What may be a bootloader for a chip; it is not looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The file: an image, or an ELF file.
    pub path: PathBuf,
    /// The package that it is from.
    pub package: &'static str,
    /// What is in it, where it is no file but a part of this program.
    pub built_in: Option<Vec<u8>>,
}

/// Where it was looked for bootloaders, and what is wrong with those that were found.
#[derive(Debug, Clone, Default)]
pub struct Searched {
    /// The folders.
    pub folders: Vec<PathBuf>,
    /// Files and what is wrong with them.
    pub refused: Vec<(PathBuf, String)>,
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folders: Vec<_> = self
            .folders
            .iter()
            .map(|folder| format!("'{}'", folder.display()))
            .collect();
        if !folders.is_empty() {
            write!(f, " (looked in {})", folders.join(", "))?;
        }
        for (path, problem) in self.refused.iter().take(3) {
            write!(f, "; '{}' will not do: {problem}", path.display())?;
        }
        Ok(())
    }
}

/// A package, and the folders in it where bootloaders for a chip are.
struct Package {
    name: &'static str,
    /// `*` is any name, the highest version first; `CHIP` is the chip's.
    folders: &'static [&'static str],
}

const CARGO: Package = Package {
    name: "espflash in cargo's registry",
    folders: &["registry/src/*/espflash-*/resources/bootloaders"],
};
const ARDUINO: Package = Package {
    name: "Arduino's core",
    folders: &[
        "packages/esp32/tools/esp32-arduino-libs/*/CHIP/bin",
        "packages/esp32/tools/CHIP-libs/*/bin",
        "packages/esp32/hardware/esp32/*/tools/sdk/CHIP/bin",
        "packages/esp32/hardware/esp32/*/tools/sdk/bin",
    ],
};
const PLATFORMIO: Package = Package {
    name: "PlatformIO's package of Arduino's core",
    folders: &[
        "packages/framework-arduinoespressif32-libs/CHIP/bin",
        "packages/framework-arduinoespressif32/tools/sdk/CHIP/bin",
        "packages/framework-arduinoespressif32/tools/sdk/bin",
    ],
};

/// Files that may be bootloaders for a chip, the likeliest first: by package, then by version, then
/// by what their names say of flash mode and crystal (MHz).
#[must_use]
pub fn bootloaders(
    roots: &Roots,
    chip: &Chip,
    mode: Option<FlashMode>,
    crystal: Option<u8>,
) -> (Vec<Candidate>, Vec<PathBuf>) {
    let places = [
        (&roots.cargo, CARGO),
        (&roots.arduino, ARDUINO),
        (&roots.platformio, PLATFORMIO),
    ];
    let (mut found, mut searched) = (Vec::new(), Vec::new());
    for (roots, package) in places {
        for root in roots {
            searched.push(root.clone());
            for pattern in package.folders {
                for folder in expand(root, &pattern.replace("CHIP", chip.id)) {
                    let mut files = files(&folder, chip.id);
                    files.sort_by_key(|path| rank(path, mode, crystal));
                    found.extend(files.into_iter().map(|path| Candidate {
                        path,
                        package: package.name,
                        built_in: None,
                    }));
                }
            }
        }
    }
    found.extend(
        built_in::bootloader(chip, mode, crystal).map(|bytes| Candidate {
            path: PathBuf::from(format!("{}-bootloader.bin", chip.id)),
            package: "the espflash crate, in this program",
            built_in: Some(bytes),
        }),
    );
    (found, searched)
}

/// Folders by a pattern, in which a part with `*` stands for all that there are.
pub(crate) fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    for part in pattern.split('/') {
        let Some((before, behind)) = part.split_once('*') else {
            folders.iter_mut().for_each(|folder| folder.push(part));
            continue;
        };
        folders = folders
            .iter()
            .flat_map(|folder| {
                let mut names: Vec<_> = names(folder)
                    .into_iter()
                    .filter(|name| name.starts_with(before) && name.ends_with(behind))
                    .collect();
                names.sort_by_key(|name| Reverse(version(name)));
                names.into_iter().map(|name| folder.join(name))
            })
            .collect();
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The numbers in a name, so that 4.10 comes behind 4.9.
fn version(name: &str) -> Vec<u32> {
    let numbers = name.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// Files of a folder that are named as bootloaders are: `esp32c3-bootloader.bin`, and with a variant
/// between; `bootloader_dio_80m.elf` in a folder of one chip.
fn files(folder: &Path, chip: &str) -> Vec<PathBuf> {
    let is_one = |name: &str| {
        let of_chip =
            |rest: &str| rest.starts_with(['-', '_']) && rest.ends_with("-bootloader.bin");
        name.strip_prefix(chip).is_some_and(of_chip)
            || (name.starts_with("bootloader_")
                && [".bin", ".elf"].iter().any(|end| name.ends_with(end)))
    };
    let mut names = names(folder);
    names.retain(|name| is_one(name));
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// How much speaks against a file, by its name.
fn rank(path: &Path, mode: Option<FlashMode>, crystal: Option<u8>) -> (bool, bool, bool) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let says = |word: &str| name.split(['-', '_', '.']).any(|part| part == word);
    // Others than QIO differ in the header alone, which is changed; QIO needs code of its own.
    let quad = matches!(mode, Some(FlashMode::Qio | FlashMode::Qout));
    (
        says("26") != (crystal == Some(26)),
        (says("qio") || says("qout") || says("opi")) != quad,
        // The clock that every flash takes.
        !(says("40m") || says("dio")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use guru_testkit::Scratch;

    fn found(
        roots: &Roots,
        chip: &str,
        crystal: Option<u8>,
        mode: Option<FlashMode>,
    ) -> Vec<String> {
        let chip = guru_chip::by_id(chip).unwrap();
        let (found, _) = bootloaders(roots, chip, mode, crystal);
        let tail = |candidate: &Candidate| {
            let parts: Vec<_> = candidate.path.iter().rev().take(4).collect();
            let parts: Vec<_> = parts
                .iter()
                .rev()
                .map(|part| part.to_string_lossy())
                .collect();
            parts.join("/")
        };
        found.iter().map(tail).collect()
    }

    #[test]
    fn the_newest_espflash_and_the_chip_s_own_crystal_come_first() {
        let scratch = Scratch::new();
        for version in ["4.9.1", "4.10.0"] {
            for file in [
                "esp32-bootloader",
                "esp32-qio-bootloader",
                "esp32_26-bootloader",
                "esp32s3-bootloader",
            ] {
                scratch.file(
                    format!(
                        "registry/src/index/espflash-{version}/resources/bootloaders/{file}.bin"
                    ),
                    "",
                );
            }
        }
        let roots = Roots {
            cargo: vec![scratch.folder().to_owned()],
            ..Roots::default()
        };
        let all = found(&roots, "esp32", Some(40), None);
        assert_eq!(all.len(), 6);
        assert_eq!(
            all[0],
            "espflash-4.10.0/resources/bootloaders/esp32-bootloader.bin"
        );
        assert_eq!(
            all[3],
            "espflash-4.9.1/resources/bootloaders/esp32-bootloader.bin"
        );
        let slow = found(&roots, "esp32", Some(26), None);
        assert!(slow[0].ends_with("esp32_26-bootloader.bin"), "{slow:?}");
        let quad = found(&roots, "esp32", None, Some(FlashMode::Qio));
        assert!(quad[0].ends_with("esp32-qio-bootloader.bin"), "{quad:?}");
        assert_eq!(found(&roots, "esp32c3", None, None), [""; 0]);
    }

    #[test]
    fn arduino_and_platformio_have_them_in_folders_of_chips() {
        let scratch = Scratch::new();
        for file in ["qio_80m.elf", "dio_80m.elf", "dio_40m.elf"] {
            let libs = "packages/esp32/tools/esp32-arduino-libs/idf-release_v5.1-1/esp32c3/bin";
            scratch.file(format!("a/{libs}/bootloader_{file}"), "");
        }
        scratch.file(
            "p/packages/framework-arduinoespressif32/tools/sdk/esp32c3/bin/bootloader_dio_80m.bin",
            "",
        );
        let roots = Roots {
            arduino: vec![scratch.path("a")],
            platformio: vec![scratch.path("p")],
            cargo: vec![scratch.path("none")],
        };
        let all = found(&roots, "esp32c3", None, None);
        assert_eq!(all.len(), 4);
        assert!(
            all[0].ends_with("esp32c3/bin/bootloader_dio_40m.elf"),
            "{all:?}"
        );
        assert!(all[3].ends_with("bootloader_dio_80m.bin"), "{all:?}");
        let chip = guru_chip::by_id("esp32c3").unwrap();
        assert_eq!(bootloaders(&roots, chip, None, None).1.len(), 3);
    }
}
