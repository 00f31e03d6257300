use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder for a test, which goes with it.
///
/// Its methods panic where the folder cannot be used: a test has nothing else to do then.
pub struct Scratch {
    /// Without links, as programs report it.
    folder: PathBuf,
    _dir: TempDir,
}

impl Scratch {
    /// An empty folder of its own.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        let dir = TempDir::new().expect("a folder for tests can be made");
        let folder = fs::canonicalize(dir.path()).expect("it was just made");
        Self { folder, _dir: dir }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where something of this name would lie in it.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder().join(name)
    }

    /// Makes a file, and the folders that it is in.
    pub fn file(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).expect("a folder for tests can be made");
        fs::write(&path, bytes).expect("a file for tests can be written");
        path
    }
}
