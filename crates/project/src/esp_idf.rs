//! Build folders of ESP-IDF, and what `esp-idf-sys` puts beside a Rust program.

use std::fs;
use std::path::Path;

use crate::build::{Build, BuildFile, Settings, System};
use crate::error::ProjectError;
use crate::find::{Wanted, read_text};
use crate::listing::{FlashArgs, FlasherArgs, ListedFile};

/// Lists of files, the one that says most first.
const JSON: &str = "flasher_args.json";
const LISTS: [&str; 2] = ["flash_args", "flash_project_args"];

/// The build in `folder`, if its application is the one that is wanted.
pub(crate) fn at(folder: &Path, wanted: Wanted<'_>) -> Result<Option<Build>, ProjectError> {
    if let Some(text) = read_text(&folder.join(JSON))? {
        let list = FlasherArgs::parse(&text).map_err(|error| ProjectError::List {
            path: folder.join(JSON),
            error,
        })?;
        let chip = match &list.chip {
            Some(name) => match guru_chip::by_id(name) {
                Some(chip) => Some(chip),
                None => {
                    return Err(ProjectError::UnknownChip {
                        path: folder.join(JSON),
                        name: name.clone(),
                    });
                }
            },
            None => None,
        };
        let build = from_list(folder, JSON, list.settings, list.files);
        return Ok(take(Build { chip, ..build }, wanted));
    }
    for name in LISTS {
        if let Some(text) = read_text(&folder.join(name))? {
            let list = FlashArgs::parse(&text).map_err(|error| ProjectError::List {
                path: folder.join(name),
                error,
            })?;
            let mut build = from_list(folder, name, list.settings, list.files);
            // No name says which one is the application: the ELF file's does.
            if let Wanted::Program(stem) = wanted
                && build.app.is_none()
            {
                let at = build.others.iter().position(|file| is_of(file, stem));
                build.app = at.map(|at| BuildFile {
                    name: "app".to_owned(),
                    ..build.others.remove(at)
                });
            }
            if let Some(build) = take(build, wanted) {
                return Ok(Some(build));
            }
        }
    }
    Ok(None)
}

/// Bootloader and table beside a program, where `esp-idf-sys` copies them.
pub(crate) fn beside(folder: &Path) -> Option<Build> {
    const TABLE: &str = "partition-table.bin";
    let file = |name: &str, file: &str| {
        let path = folder.join(file);
        path.is_file().then(|| BuildFile::new(name, path, None))
    };
    Some(Build {
        system: System::EspIdf,
        folder: folder.to_owned(),
        said_by: TABLE.to_owned(),
        chip: None,
        settings: Settings::default(),
        bootloader: Some(file("bootloader", "bootloader.bin")?),
        table: Some(file("partition-table", TABLE)?),
        app: None,
        others: Vec::new(),
    })
}

/// Whether a folder's bootloader was made of a program, and of which application it is the
/// bootloader.
pub(crate) fn application_of_bootloader(folder: &Path, stem: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(JSON)).ok()?;
    let files = FlasherArgs::parse(&text).ok()?.files;
    let named = |name: &str| files.iter().find(|file| file.name == name);
    let bootloader = Path::new(&named("bootloader")?.path).file_stem()?;
    (bootloader == stem).then(|| named("app").map(|app| app.path.clone()))?
}

fn take(build: Build, wanted: Wanted<'_>) -> Option<Build> {
    match (wanted, &build.app) {
        (Wanted::Any, _) => Some(build),
        (Wanted::Program(stem), Some(app)) if is_of(app, stem) => Some(build),
        _ => None,
    }
}

fn is_of(file: &BuildFile, stem: &str) -> bool {
    file.path.file_stem().is_some_and(|name| name == stem)
}

pub(crate) fn from_list(
    folder: &Path,
    said_by: &str,
    settings: Settings,
    files: Vec<ListedFile>,
) -> Build {
    let mut build = Build {
        system: System::EspIdf,
        folder: folder.to_owned(),
        said_by: said_by.to_owned(),
        chip: None,
        settings,
        bootloader: None,
        table: None,
        app: None,
        others: Vec::new(),
    };
    for file in files {
        let path = folder.join(&file.path);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy());
        let name = match file.name.is_empty() {
            true => stem.unwrap_or_default().into_owned(),
            false => file.name.clone(),
        };
        let one = BuildFile {
            name,
            path,
            address: Some(file.address),
            encrypt: file.encrypt,
        };
        match file.name.as_str() {
            "bootloader" => build.bootloader = Some(one),
            "partition-table" => build.table = Some(one),
            "app" => build.app = Some(one),
            _ => build.others.push(one),
        }
    }
    build
}
