//! Which flasher stub is used (`--stub`, `--stub-dir`, `--no-stub`), and where Espressif's is found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use clap::ValueEnum;
use guru_stub::{Kind, Source, StubFile};

use crate::error::Error;
use crate::globals::Globals;

/// `--stub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StubChoice {
    /// Guru's own.
    Guru,
    /// Espressif's, from a Python esptool or an npm package that is installed.
    Official,
    /// The ROM's loader does everything.
    None,
}

/// Folders of an installed esptool with stubs; of two files of one name the first one counts.
const VERSIONS: [&str; 2] = ["2", "1"];

/// Packages of npm with stubs.
const PACKAGES: [&str; 2] = ["esp-flasher-stub", "esptool-js"];

/// More than any stub's file, in bytes.
const MOST: u64 = 1 << 20;

/// Where stubs come from, as the options say. `None`: no stub is used.
///
/// # Errors
/// A folder that cannot be read, or in which no stub is.
pub fn source(globals: &Globals) -> Result<Option<Source>, Error> {
    if globals.no_stub {
        return Ok(None);
    }
    let kind = match globals.stub {
        StubChoice::None => return Ok(None),
        StubChoice::Guru => Kind::Guru,
        StubChoice::Official => Kind::Official,
    };
    let folders = match (&globals.stub_dir, kind) {
        (None, Kind::Guru) => return Ok(Some(Source::Embedded)),
        (Some(dir), _) => within(dir),
        (None, Kind::Official) => installed(),
    };
    let mut files = BTreeMap::new();
    for folder in &folders {
        take(folder, kind, &mut files).map_err(|error| {
            let folder = folder.display();
            Error::Usage(format!("the stubs in '{folder}' cannot be read: {error}"))
        })?;
    }
    if files.is_empty() {
        return Err(Error::Usage(match &globals.stub_dir {
            Some(dir) => format!("there is no flasher stub in '{}'", dir.display()),
            None => {
                "no Python esptool and no npm esp-flasher-stub is installed; name the folder of \
                     their stubs with --stub-dir"
                    .to_owned()
            }
        }));
    }
    Ok(Some(Source::Files(
        kind,
        Arc::new(files.into_values().collect()),
    )))
}

/// A folder that was named, and where the stubs of a package lie in it.
fn within(dir: &Path) -> Vec<PathBuf> {
    let mut folders = vec![dir.to_path_buf()];
    let package = ["esptool/targets/stub_flasher", "targets/stub_flasher", "."];
    for place in package {
        folders.extend(VERSIONS.map(|version| dir.join(place).join(version)));
    }
    let of_npm = ["dist", "lib", "stub_flasher", "lib/targets/stub_flasher"];
    folders.extend(of_npm.map(|place| dir.join(place)));
    folders.retain(|folder| folder.is_dir());
    folders
}

/// Places of packages: beside the programs `esptool` and `python3` of PATH, and `node_modules` here and
/// above. No program is run.
fn installed() -> Vec<PathBuf> {
    const PROGRAMS: [&str; 6] = [
        "esptool",
        "esptool.py",
        "esptool.exe",
        "python3",
        "python",
        "python.exe",
    ];
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = Vec::new();
    for dir in env::split_paths(&path) {
        let programs = PROGRAMS.map(|program| dir.join(program));
        for program in programs.iter().filter(|program| program.is_file()) {
            // An installer of programs links to where the package is.
            let real = fs::canonicalize(program).unwrap_or_else(|_| program.clone());
            for program in [program, &real] {
                folders.extend(site_packages(program).iter().flat_map(|site| within(site)));
            }
            if !folders.is_empty() {
                return folders;
            }
        }
    }
    let here = env::current_dir().unwrap_or_default();
    here.ancestors()
        .flat_map(|folder| PACKAGES.map(|package| folder.join("node_modules").join(package)))
        .find(|folder| folder.is_dir())
        .map(|folder| within(&folder))
        .unwrap_or_default()
}

/// Folders of packages that belong to a program of a Python environment, in which there is an esptool.
fn site_packages(program: &Path) -> Vec<PathBuf> {
    let Some(prefix) = program.parent().and_then(Path::parent) else {
        return Vec::new();
    };
    let mut sites = vec![prefix.join("Lib/site-packages")];
    // Windows has python.exe beside Lib, and scripts a folder below.
    sites.extend(program.parent().map(|dir| dir.join("Lib/site-packages")));
    for lib in ["lib", "lib64", "local/lib"] {
        let entries = fs::read_dir(prefix.join(lib)).into_iter().flatten();
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with("python3") {
                sites.push(entry.path().join("site-packages"));
                sites.push(entry.path().join("dist-packages"));
            }
        }
    }
    sites.retain(|site| site.join("esptool").is_dir());
    sites
}

/// Adds the files of a folder that may be stubs and are not there yet.
fn take(folder: &Path, kind: Kind, files: &mut BTreeMap<String, StubFile>) -> io::Result<()> {
    let endings: &[&str] = match kind {
        Kind::Guru => &["toml", "bin"],
        Kind::Official => &["json"],
    };
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let may_be = name.starts_with("esp") && ending.is_some_and(|it| endings.contains(&it));
        if !may_be || files.contains_key(&name) || entry.metadata()?.len() > MOST {
            continue;
        }
        let bytes = fs::read(&path)?;
        files.insert(name.clone(), StubFile { name, bytes });
    }
    Ok(())
}
