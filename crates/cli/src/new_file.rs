//! Files and folders that a command makes: they get their name when they are complete, so that what has it is
//! never a part.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A file that is being made. Without [`finish`](Self::finish) nothing is left of it.
#[derive(Debug)]
pub struct NewFile {
    target: PathBuf,
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl NewFile {
    /// Makes it, beside its place.
    ///
    /// # Errors
    /// When there can be no such file.
    pub fn create(target: &Path) -> Result<Self, Error> {
        let output = |source| Error::Output {
            path: target.to_owned(),
            source,
        };
        if target.is_dir() {
            return Err(output(io::ErrorKind::IsADirectory.into()));
        }
        let mut name = OsString::from(target);
        name.push(format!(".{}.tmp", std::process::id()));
        let path = PathBuf::from(name);
        let file = File::create(&path).map_err(output)?;
        Ok(Self {
            target: target.to_owned(),
            path,
            file: Some(BufWriter::with_capacity(1 << 16, file)),
        })
    }

    /// It is complete: it takes its name, and the place of an older file. Returns its length in
    /// bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(mut self) -> Result<u64, Error> {
        let finished = self.flush().and_then(|()| {
            // Closed first, since it cannot be renamed while it is open everywhere.
            self.file = None;
            let len = fs::metadata(&self.path)?.len();
            fs::rename(&self.path, &self.target)?;
            Ok(len)
        });
        finished.map_err(|source| Error::Output {
            path: self.target.clone(),
            source,
        })
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        self.file = None;
        let _ = fs::remove_file(&self.path);
    }
}

/// A folder that is being made. Without [`finish`](Self::finish) nothing is left of it.
#[derive(Debug)]
pub struct NewFolder {
    target: PathBuf,
    path: PathBuf,
}

impl NewFolder {
    /// Makes it, beside its place.
    ///
    /// # Errors
    /// When there can be no such folder, or there is one already with something in it.
    pub fn create(target: &Path) -> Result<Self, Error> {
        let output = |source| Error::Output {
            path: target.to_owned(),
            source,
        };
        if target.exists() && fs::read_dir(target).map_err(output)?.next().is_some() {
            return Err(output(io::ErrorKind::DirectoryNotEmpty.into()));
        }
        let mut name = OsString::from(target);
        name.push(format!(".{}.tmp", std::process::id()));
        let path = PathBuf::from(name);
        fs::create_dir_all(&path).map_err(output)?;
        Ok(Self {
            target: target.to_owned(),
            path,
        })
    }

    /// Makes a file in it, with what `contents` gives.
    ///
    /// # Errors
    /// What the file system says, of the file or of the contents.
    pub fn write(&self, name: &str, contents: &mut impl Read) -> Result<(), Error> {
        let copied = File::create_new(self.path.join(name))
            .and_then(|mut file| io::copy(contents, &mut file));
        copied.map(|_| ()).map_err(|source| Error::Output {
            path: self.target.join(name),
            source,
        })
    }

    /// It is complete: it takes its name.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self) -> Result<(), Error> {
        let finished = match fs::remove_dir(&self.target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::rename(&self.path, &self.target),
        };
        finished.map_err(|source| Error::Output {
            path: self.target.clone(),
            source,
        })
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
