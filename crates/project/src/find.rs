//! From a program to the build folder that it is in.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::build::Build;
use crate::error::ProjectError;
use crate::{arduino, esp_idf, platformio, zephyr};

/// How far up from a program its build folder is looked for.
const LEVELS: usize = 6;

/// The longest file of a build that is read as text, in bytes.
const MAX_TEXT: u64 = 8 << 20;

/// Of which program a folder must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// The one whose file has this name, without its ending.
    Program(&'a str),
    /// Any: the user has named the folder.
    Any,
}

/// The build folder that a program is in. `None`: it is in none.
///
/// # Errors
/// A folder that is the program's and cannot be used, or a program that is the bootloader of one.
pub fn find(program: &Path) -> Result<Option<Build>, ProjectError> {
    let stem = stem(program);
    let folders = folders_of(program);
    let Some(folder) = folders.first() else {
        return Ok(None);
    };
    if let Some(build) = beside(program, folder, Wanted::Program(&stem))? {
        return Ok(Some(build));
    }
    for folder in &folders {
        if let Some(build) = esp_idf::at(folder, Wanted::Program(&stem))? {
            return Ok(Some(build));
        }
        if let Some(app) = esp_idf::application_of_bootloader(folder, &stem) {
            return Err(ProjectError::IsBootloader {
                program: program.to_owned(),
                folder: folder.clone(),
                app,
            });
        }
    }
    Ok(esp_idf::beside(folder))
}

/// The build in a folder that the user has named.
///
/// # Errors
/// It is none, or cannot be used.
pub fn open(folder: &Path, program: &Path) -> Result<Build, ProjectError> {
    let inner = folder.join("zephyr");
    for folder in [folder, &inner] {
        if let Some(build) = beside(program, folder, Wanted::Any)? {
            return Ok(build);
        }
    }
    let found = match esp_idf::at(folder, Wanted::Any)? {
        Some(build) => Some(build),
        None => esp_idf::beside(folder),
    };
    found.ok_or_else(|| ProjectError::NoBuild {
        folder: folder.to_owned(),
    })
}

/// The builds that lie beside their program.
fn beside(
    program: &Path,
    folder: &Path,
    wanted: Wanted<'_>,
) -> Result<Option<Build>, ProjectError> {
    if let Some(build) = zephyr::at(folder, wanted)? {
        return Ok(Some(build));
    }
    // PlatformIO leaves ESP-IDF's list too, with names that are not those of its files.
    if let Some(build) = platformio::at(folder, program)? {
        return Ok(Some(build));
    }
    arduino::at(folder, program)
}

/// A file's name without its ending.
pub(crate) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The folder of a file and those above it: as they were typed, so far as they were.
fn folders_of(program: &Path) -> Vec<PathBuf> {
    let typed = program.parent().unwrap_or(Path::new("")).ancestors();
    let typed = typed.map(|folder| match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_owned(),
    });
    let mut folders: Vec<_> = typed.collect();
    let above = match folders.last() {
        Some(last) if last.is_relative() => fs::canonicalize(last).ok(),
        _ => None,
    };
    let above = above.iter().flat_map(|folder| folder.ancestors().skip(1));
    folders.extend(above.map(Path::to_owned));
    folders.truncate(LEVELS);
    folders
}

/// A file's text; `None`: there is no such file.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, ProjectError> {
    let failed = |error| ProjectError::Read {
        path: path.to_owned(),
        error,
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MAX_TEXT)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
