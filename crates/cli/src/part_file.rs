//! Files that are made: under another name until they are complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use guru_loader::FlashSink;

use crate::error::Error;
use crate::new_file::is_special;

/// A file with `.part` behind its name, which gets its name when it is complete.
#[derive(Debug)]
pub struct PartFile {
    target: PathBuf,
    path: PathBuf,
    file: File,
    length: u64,
}

impl PartFile {
    /// Makes the file, or opens what an interrupted read has left.
    ///
    /// # Errors
    /// When it can be neither made nor opened, or the target cannot be replaced.
    pub fn open(target: &Path) -> Result<Self, Error> {
        let mut name = OsString::from(target);
        name.push(".part");
        let path = PathBuf::from(name);
        let output = |source| Error::Output {
            path: target.to_owned(),
            source,
        };
        if target.is_dir() {
            return Err(output(io::ErrorKind::IsADirectory.into()));
        }
        // Its place would be taken; and what was read cannot be read back from there.
        if is_special(target) {
            let what = "it is a device or a pipe: write to a file, or to - for standard output";
            return Err(output(io::Error::other(what)));
        }
        // Found out now, not behind an hour of reading.
        if target.exists() {
            OpenOptions::new()
                .append(true)
                .open(target)
                .map_err(output)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(output)?;
        let length = file.seek(SeekFrom::End(0)).map_err(output)?;
        Ok(Self {
            target: target.to_owned(),
            path,
            file,
            length,
        })
    }

    /// The file is complete: it gets its name. Returns its length in bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(&mut self) -> io::Result<u64> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        Ok(self.length)
    }
}

impl Drop for PartFile {
    /// An empty file is of no use to a later read.
    fn drop(&mut self) {
        if self.length == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl FlashSink for PartFile {
    fn existing(&self) -> u64 {
        self.length
    }

    fn read_back(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(buffer)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length = self.length.min(length);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Standard output as the place for what is read. It is kept until everything was read, since
/// what was written there cannot be taken back.
#[derive(Debug, Default)]
pub struct Stdout(Vec<u8>);

impl Stdout {
    /// Everything was read: it is written.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(&mut self) -> io::Result<u64> {
        crate::ui::data(&self.0)?;
        Ok(self.0.len() as u64)
    }
}

impl FlashSink for Stdout {
    fn existing(&self) -> u64 {
        0
    }

    fn read_back(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let start = usize::try_from(offset).map_err(|_| end())?;
        let bytes = self
            .0
            .get(start..)
            .and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or_else(end)?);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0
            .truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("guru-part-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_gets_its_name_when_it_is_complete() {
        let folder = Folder::new("complete");
        let target = folder.0.join("out.bin");
        let mut part = PartFile::open(&target).unwrap();
        part.append(b"abc").unwrap();
        assert_eq!(folder.names(), ["out.bin.part"]);
        assert_eq!(part.finish().unwrap(), 3);
        drop(part);
        assert_eq!(folder.names(), ["out.bin"]);
        assert_eq!(fs::read(&target).unwrap(), b"abc");
    }

    #[test]
    fn an_interrupted_read_leaves_what_it_has_and_the_old_file_as_it_was() {
        let folder = Folder::new("interrupted");
        let target = folder.0.join("out.bin");
        fs::write(&target, b"old").unwrap();
        let mut part = PartFile::open(&target).unwrap();
        part.append(b"abc").unwrap();
        drop(part);
        assert_eq!(folder.names(), ["out.bin", "out.bin.part"]);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        let mut part = PartFile::open(&target).unwrap();
        assert_eq!(part.existing(), 3);
        let mut kept = [0; 2];
        part.read_back(1, &mut kept).unwrap();
        assert_eq!(&kept, b"bc");
        part.truncate(1).unwrap();
        part.append(b"xyz").unwrap();
        assert_eq!(part.finish().unwrap(), 4);
        assert_eq!(fs::read(&target).unwrap(), b"axyz");
    }

    #[test]
    fn a_read_that_got_nothing_leaves_nothing() {
        let folder = Folder::new("nothing");
        drop(PartFile::open(&folder.0.join("out.bin")).unwrap());
        assert!(folder.names().is_empty());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_found_out_at_once() {
        let folder = Folder::new("place");
        for target in [folder.0.clone(), folder.0.join("no/such/out.bin")] {
            assert!(matches!(PartFile::open(&target), Err(Error::Output { .. })));
        }
    }
}
