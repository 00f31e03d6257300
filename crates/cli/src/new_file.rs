//! Files and folders that a command makes: they get their name when they are complete, so that what has it is
//! never a part.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use guru_image::{BuiltFile, FirmwareError, WriteError};

use crate::error::Error;

/// A file that is being made. Without [`finish`](Self::finish) nothing is left of it.
#[derive(Debug)]
pub struct NewFile {
    target: PathBuf,
    /// Its name until it is complete; `None`: the target is a device or a pipe, whose place no file may
    /// take.
    path: Option<PathBuf>,
    file: Option<BufWriter<File>>,
    /// Bytes so far.
    length: u64,
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
        let path = (!is_special(target)).then(|| {
            let mut name = OsString::from(target);
            name.push(format!(".{}.tmp", std::process::id()));
            PathBuf::from(name)
        });
        let file = File::create(path.as_deref().unwrap_or(target)).map_err(output)?;
        Ok(Self {
            target: target.to_owned(),
            path,
            file: Some(BufWriter::with_capacity(1 << 16, file)),
            length: 0,
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
            if let Some(path) = &self.path {
                fs::rename(path, &self.target)?;
                self.path = None;
            }
            Ok(self.length)
        });
        finished.map_err(|source| Error::Output {
            path: self.target.clone(),
            source,
        })
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let count = file.write(bytes)?;
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        self.file = None;
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether something is there that is neither a file nor a folder: /dev/null, a pipe.
pub fn is_special(target: &Path) -> bool {
    fs::metadata(target).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Writes images into files of these names: all of them, or none.
///
/// # Errors
/// [`Error::Output`], or the ELF file cannot be read any more.
pub fn write_images(files: &[(PathBuf, BuiltFile)]) -> Result<(), Error> {
    let mut made = Vec::with_capacity(files.len());
    for (path, image) in files {
        let output = |source| Error::Output {
            path: path.clone(),
            source,
        };
        let mut file = NewFile::create(path)?;
        image
            .write_to(&mut file)
            .and_then(|()| Ok(file.flush()?))
            .map_err(|error| match error {
                WriteError::Read(error) => FirmwareError::Read(error).into(),
                WriteError::Write(error) => output(error),
            })?;
        made.push(file);
    }
    for file in made {
        file.finish()?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("guru-new-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_file_takes_its_name_when_it_is_complete() {
        let target = place("complete");
        let mut file = NewFile::create(&target).unwrap();
        file.write_all(b"abc").unwrap();
        file.flush().unwrap();
        assert!(!target.exists());
        assert_eq!(file.finish().unwrap(), 3);
        assert_eq!(fs::read(&target).unwrap(), b"abc");
        // An older one stays until then.
        let mut file = NewFile::create(&target).unwrap();
        file.write_all(b"unfinished").unwrap();
        drop(file);
        assert_eq!(fs::read(&target).unwrap(), b"abc");
        fs::remove_file(target).unwrap();
    }

    #[test]
    fn a_device_is_written_to_and_stays_what_it_is() {
        let target = Path::new("/dev/null");
        if !is_special(target) {
            return;
        }
        let mut file = NewFile::create(target).unwrap();
        file.write_all(b"abc").unwrap();
        assert_eq!(file.finish().unwrap(), 3);
        assert!(is_special(target));
    }
}
