use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::SECTOR;
use super::positioned::{read_at, write_at};

const SECTOR_LEN: usize = SECTOR as usize;

/// The contents of a flash chip. Clones share them, so that a test can look at what a session
/// wrote, and contents outlive a link that is opened again.
#[derive(Clone)]
pub struct Flash(Arc<Mutex<Cells>>);

/// Why the file behind a flash cannot be used.
#[derive(Debug, Error)]
#[error("flash file {}: {action}", path.display())]
pub struct FlashError {
    path: PathBuf,
    action: String,
    #[source]
    source: Option<io::Error>,
}

struct Cells {
    size: u32,
    backing: Backing,
    /// Bits that cannot leave 0, as (offset, mask).
    stuck: Vec<(u32, u8)>,
    /// The first failure of the file behind the cells.
    failure: Option<io::Error>,
}

enum Backing {
    /// One entry a sector; `None` is an erased one, so that untouched flash costs no memory.
    Memory(Vec<Option<Box<[u8; SECTOR_LEN]>>>),
    /// Every change is written at its place at once, so that it survives the end of the process.
    File(File),
}

impl Flash {
    /// Erased flash in memory.
    pub fn in_memory(size: u32) -> Self {
        let sectors = size.div_ceil(SECTOR) as usize;
        let mut cells = Vec::new();
        cells.resize_with(sectors, || None);
        Self::new(size, Backing::Memory(cells))
    }

    /// Flash whose contents are a file. A file that does not exist is made, `size` bytes of 0xFF.
    ///
    /// # Errors
    ///
    /// The file cannot be read and written, or has another length than `size`.
    pub fn in_file(path: &Path, size: u32) -> Result<Self, FlashError> {
        let error = |action: &str, source| FlashError {
            path: path.to_owned(),
            action: action.to_owned(),
            source,
        };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                create_erased(path, size).map_err(|source| error("cannot be made", Some(source)))?
            }
            Err(source) => return Err(error("cannot be opened", Some(source))),
        };
        let found = file
            .metadata()
            .map_err(|source| error("cannot be read", Some(source)))?;
        if !found.is_file() {
            return Err(error("is not a file", None));
        }
        if found.len() != u64::from(size) {
            let action = format!("has {} bytes; the flash has {size}", found.len());
            return Err(error(&action, None));
        }
        Ok(Self::new(size, Backing::File(file)))
    }

    /// The length of an existing file that could back a flash.
    pub fn file_size(path: &Path) -> Option<u64> {
        std::fs::metadata(path)
            .ok()
            .filter(|found| found.is_file())
            .map(|found| found.len())
    }

    fn new(size: u32, backing: Backing) -> Self {
        Self(Arc::new(Mutex::new(Cells {
            size,
            backing,
            stuck: Vec::new(),
            failure: None,
        })))
    }

    /// Size in bytes.
    pub fn size(&self) -> u32 {
        self.lock().size
    }

    /// Contents of a range of offsets; what lies beyond the end is left out.
    pub fn read(&self, range: Range<u32>) -> Vec<u8> {
        let mut cells = self.lock();
        let end = range.end.min(cells.size);
        let mut bytes = vec![0; end.saturating_sub(range.start) as usize];
        cells.read(range.start, &mut bytes);
        bytes
    }

    /// Puts contents into the flash as a programmer beside the chip would, without the rules of
    /// programming. What lies beyond the end is left out.
    pub fn load(&self, offset: u32, bytes: &[u8]) {
        let mut cells = self.lock();
        let room = cells.size.saturating_sub(offset) as usize;
        cells.put(offset, &bytes[..bytes.len().min(room)]);
    }

    /// The first failure of the file behind the contents, if there was one since the last call.
    pub fn take_failure(&self) -> Option<io::Error> {
        self.lock().failure.take()
    }

    /// Fills `bytes` from `offset` on; addresses wrap at the size, as they do in the part.
    pub(crate) fn fetch(&self, offset: u32, bytes: &mut [u8]) {
        let mut cells = self.lock();
        let size = cells.size;
        let mut at = offset % size;
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = rest.len().min((size - at) as usize);
            let (now, later) = rest.split_at_mut(len);
            cells.read(at, now);
            rest = later;
            at = 0;
        }
    }

    /// Clears the bits that are 0 in `bytes`, within the part's size.
    pub(super) fn program(&self, offset: u32, bytes: &[u8]) {
        let mut cells = self.lock();
        let room = cells.size.saturating_sub(offset) as usize;
        let bytes = &bytes[..bytes.len().min(room)];
        let mut old = vec![0; bytes.len()];
        cells.read(offset, &mut old);
        for (old, new) in old.iter_mut().zip(bytes) {
            *old &= new;
        }
        cells.put(offset, &old);
    }

    /// Sets all bits of a range.
    pub(super) fn erase(&self, range: Range<u32>) {
        let mut cells = self.lock();
        let range = range.start..range.end.min(cells.size);
        cells.erase(range);
    }

    /// Makes bits of one byte unable to leave 0.
    pub(crate) fn stick(&self, offset: u32, mask: u8) {
        self.lock().stuck.push((offset, mask));
    }

    fn lock(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flash({} bytes)", self.size())
    }
}

impl Cells {
    fn read(&mut self, offset: u32, bytes: &mut [u8]) {
        match &self.backing {
            Backing::Memory(sectors) => {
                for (at, piece) in pieces(offset, bytes.len()) {
                    let piece_offset = offset as usize + piece.start;
                    let start = piece_offset % SECTOR_LEN;
                    let target = &mut bytes[piece];
                    match sectors.get(at).and_then(Option::as_ref) {
                        Some(sector) => {
                            target.copy_from_slice(&sector[start..start + target.len()]);
                        }
                        None => target.fill(0xFF),
                    }
                }
            }
            Backing::File(file) => {
                if let Err(error) = read_at(file, bytes, u64::from(offset)) {
                    self.failure.get_or_insert(error);
                }
            }
        }
        for (at, mask) in &self.stuck {
            if let Some(byte) = at
                .checked_sub(offset)
                .and_then(|at| bytes.get_mut(at as usize))
            {
                *byte &= !mask;
            }
        }
    }

    fn put(&mut self, offset: u32, bytes: &[u8]) {
        match &mut self.backing {
            Backing::Memory(sectors) => {
                for (at, piece) in pieces(offset, bytes.len()) {
                    let start = (offset as usize + piece.start) % SECTOR_LEN;
                    let source = &bytes[piece];
                    let Some(entry) = sectors.get_mut(at) else {
                        continue;
                    };
                    if entry.is_none() && source.iter().all(|byte| *byte == 0xFF) {
                        continue;
                    }
                    let sector = entry.get_or_insert_with(|| Box::new([0xFF; SECTOR_LEN]));
                    sector[start..start + source.len()].copy_from_slice(source);
                }
            }
            Backing::File(file) => {
                if let Err(error) = write_at(file, bytes, u64::from(offset)) {
                    self.failure.get_or_insert(error);
                }
            }
        }
    }

    fn erase(&mut self, range: Range<u32>) {
        let mut offset = range.start;
        while offset < range.end {
            let end = (offset / SECTOR + 1).saturating_mul(SECTOR).min(range.end);
            let whole = offset.is_multiple_of(SECTOR) && end - offset == SECTOR;
            match &mut self.backing {
                Backing::Memory(sectors) if whole => {
                    if let Some(sector) = sectors.get_mut((offset / SECTOR) as usize) {
                        *sector = None;
                    }
                }
                _ => self.put(offset, &[0xFF; SECTOR_LEN][..(end - offset) as usize]),
            }
            offset = end;
        }
    }
}

/// Sector numbers that `len` bytes from `offset` touch, with the part of the bytes in each.
fn pieces(offset: u32, len: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let offset = offset as usize;
    let first = offset / SECTOR_LEN;
    let last = (offset + len).div_ceil(SECTOR_LEN);
    (first..last).map(move |sector| {
        let start = (sector * SECTOR_LEN).max(offset) - offset;
        let end = ((sector + 1) * SECTOR_LEN).min(offset + len) - offset;
        (sector, start..end)
    })
}

/// Makes the file beside its place and renames it, so that none of a wrong length stays behind.
fn create_erased(path: &Path, size: u32) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let unfinished = PathBuf::from(name);
    let made = (|| {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)?;
        let erased = [0xFF; SECTOR_LEN];
        for offset in (0..size).step_by(SECTOR_LEN) {
            let len = (size - offset).min(SECTOR) as usize;
            write_at(&file, &erased[..len], u64::from(offset))?;
        }
        std::fs::rename(&unfinished, path)?;
        Ok(file)
    })();
    if made.is_err() {
        // The reason for the failure is the error that is reported.
        let _ = std::fs::remove_file(&unfinished);
    }
    made
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn untouched_flash_reads_erased() {
        let flash = Flash::in_memory(0x10000);
        assert!(flash.read(0..0x10000).iter().all(|byte| *byte == 0xFF));
    }

    #[test]
    fn what_lies_beyond_the_end_is_left_out() {
        let flash = Flash::in_memory(0x2000);
        flash.load(0x1FFE, &[1, 2, 3, 4]);
        assert_eq!(flash.read(0x1FFE..0x3000), [1, 2]);
    }

    #[test]
    fn a_file_is_made_and_keeps_what_was_written() {
        let dir = std::env::temp_dir().join(format!("guru-cells-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("flash.bin");
        let _ = std::fs::remove_file(&path);
        {
            let flash = Flash::in_file(&path, 0x8000).unwrap();
            flash.program(0x1234, b"kept");
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0x8000);
        let again = Flash::in_file(&path, 0x8000).unwrap();
        assert_eq!(again.read(0x1234..0x1238), b"kept");
        assert_eq!(again.read(0..1), [0xFF]);
        let error = Flash::in_file(&path, 0x4000).unwrap_err();
        assert!(error.to_string().contains("32768"), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    proptest! {
        #[test]
        fn programming_only_clears_bits_and_erasing_sets_them_all(
            writes in prop::collection::vec((0_u32..0x3000, prop::collection::vec(any::<u8>(), 0..600)), 1..20),
        ) {
            let flash = Flash::in_memory(0x3000);
            let mut model = vec![0xFF_u8; 0x3000];
            for (offset, bytes) in &writes {
                flash.program(*offset, bytes);
                for (cell, byte) in model[*offset as usize..].iter_mut().zip(bytes) {
                    *cell &= byte;
                }
            }
            prop_assert_eq!(flash.read(0..0x3000), model.clone());
            flash.erase(0x1000..0x2000);
            model[0x1000..0x2000].fill(0xFF);
            prop_assert_eq!(flash.read(0..0x3000), model);
        }
    }
}
