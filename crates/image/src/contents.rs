//! Bytes that go to flash, without holding a whole file in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use md5::{Digest, Md5};
use thiserror::Error;

use crate::sha256::Sha256;

/// The largest contents in bytes: 1 GiB, four times the largest flash there is, so that the sum of
/// a length and a padding stays inside 32 bits.
pub const MAX_LEN: u32 = 1 << 30;

/// Bytes read from a file at a time: few enough to stay in the processor's cache.
pub(crate) const CHUNK: usize = 64 * 1024;

/// What erased flash reads as.
const ERASED: u8 = 0xFF;

/// Why contents could not be had.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot read '{name}'")]
    Io {
        /// The file.
        name: Arc<str>,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not the one that was opened any more: its size or its time of modification
    /// differs.
    #[error("'{name}' was changed while it was in use")]
    Changed {
        /// The file.
        name: Arc<str>,
    },
    /// More than [`MAX_LEN`] bytes.
    #[error("'{name}' is larger than any flash ({MAX_LEN} bytes are the limit)")]
    TooLarge {
        /// The file.
        name: Arc<str>,
    },
    /// A range outside the contents was asked for.
    #[error("bytes {start:#x} to {end:#x} of '{name}' were asked for, which has {len:#x}")]
    OutOfRange {
        /// The file.
        name: Arc<str>,
        /// First byte asked for.
        start: u32,
        /// Byte behind the last one asked for.
        end: u64,
        /// Length of the contents.
        len: u32,
    },
}

/// The bytes of one file, or of a part of it, as they shall stand in flash.
///
/// A file stays on disk and is read where it is needed; small replacements and the padding lie
/// over it. Clones share the file, so that a thread which compresses can have one of its own.
#[derive(Debug, Clone)]
pub struct Contents {
    name: Arc<str>,
    source: Source,
    /// Erased bytes before the source.
    head: u32,
    /// Where in the source the contents begin.
    skipped: u32,
    /// Bytes of the source, from there on.
    stored: u32,
    /// Bytes in all: head, source, padding.
    len: u32,
    patches: Arc<Vec<Patch>>,
}

#[derive(Debug, Clone)]
enum Source {
    Bytes(Arc<Vec<u8>>),
    File(Arc<OpenFile>),
}

#[derive(Debug)]
struct OpenFile {
    // A lock and a seek: positioned reads have another name on each platform.
    file: Mutex<File>,
    len: u64,
    modified: Option<SystemTime>,
}

#[derive(Debug, Clone)]
struct Patch {
    offset: u32,
    bytes: Vec<u8>,
}

impl Contents {
    /// Opens a file. What is no regular file (a pipe) is read to its end instead, since it can
    /// only be read once.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`] when it cannot be read, [`ReadError::TooLarge`] above [`MAX_LEN`].
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let name: Arc<str> = path.to_string_lossy().into();
        let io_error = |source| ReadError::Io {
            name: name.clone(),
            source,
        };
        let too_large = || ReadError::TooLarge { name: name.clone() };
        let mut file = File::open(path).map_err(io_error)?;
        let metadata = file.metadata().map_err(io_error)?;
        if metadata.is_dir() {
            return Err(io_error(io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            let mut bytes = Vec::new();
            file.by_ref()
                .take(u64::from(MAX_LEN) + 1)
                .read_to_end(&mut bytes)
                .map_err(io_error)?;
            return Self::from_bytes(&name, bytes);
        }
        let len = u32::try_from(metadata.len()).map_err(|_| too_large())?;
        if len > MAX_LEN {
            return Err(too_large());
        }
        Ok(Self {
            name,
            source: Source::File(Arc::new(OpenFile {
                file: Mutex::new(file),
                len: metadata.len(),
                modified: metadata.modified().ok(),
            })),
            head: 0,
            skipped: 0,
            stored: len,
            len,
            patches: Arc::default(),
        })
    }

    /// Bytes from memory. `name` stands for them in messages.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooLarge`] above [`MAX_LEN`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, ReadError> {
        let name: Arc<str> = name.into();
        match u32::try_from(bytes.len()) {
            Ok(len) if len <= MAX_LEN => Ok(Self {
                name,
                source: Source::Bytes(Arc::new(bytes)),
                head: 0,
                skipped: 0,
                stored: len,
                len,
                patches: Arc::default(),
            }),
            _ => Err(ReadError::TooLarge { name }),
        }
    }

    /// The same contents, with erased bytes (0xFF) behind them up to a multiple of `align`. An
    /// alignment of 0 or 1 changes nothing.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooLarge`] above [`MAX_LEN`].
    pub fn padded_to(mut self, align: u32) -> Result<Self, ReadError> {
        self.len = self
            .len
            .checked_next_multiple_of(align.max(1))
            .filter(|len| *len <= MAX_LEN)
            .ok_or_else(|| self.too_large())?;
        Ok(self)
    }

    /// The same contents, with `count` erased bytes (0xFF) before them.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooLarge`] above [`MAX_LEN`].
    pub fn preceded_by_erased(mut self, count: u32) -> Result<Self, ReadError> {
        self.len = self
            .len
            .checked_add(count)
            .filter(|len| *len <= MAX_LEN)
            .ok_or_else(|| self.too_large())?;
        self.head += count;
        for patch in Arc::make_mut(&mut self.patches) {
            patch.offset += count;
        }
        Ok(self)
    }

    /// The bytes of `range` alone.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfRange`] when the range is not inside.
    pub fn slice(mut self, range: Range<u32>) -> Result<Self, ReadError> {
        self.check_range(range.start, range.len())?;
        let len = range.end.saturating_sub(range.start);
        let into_source = range.start.saturating_sub(self.head).min(self.stored);
        self.head = self.head.saturating_sub(range.start).min(len);
        self.skipped += into_source;
        self.stored = (self.stored - into_source).min(len - self.head);
        self.len = len;
        Arc::make_mut(&mut self.patches).retain_mut(|patch| patch.move_into(&range));
        Ok(self)
    }

    /// The same contents with `bytes` in place of what stood at `offset`. Meant for a few bytes:
    /// they are kept in memory. A later replacement lies over an earlier one.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfRange`] when they do not fit inside.
    pub fn with_replaced(mut self, offset: u32, bytes: &[u8]) -> Result<Self, ReadError> {
        self.check_range(offset, bytes.len())?;
        Arc::make_mut(&mut self.patches).push(Patch {
            offset,
            bytes: bytes.to_vec(),
        });
        Ok(self)
    }

    /// Length in bytes, padding included.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is not one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The file's name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    ///
    /// When the range is not inside, or the file cannot be read or was changed.
    pub fn read_at(&self, offset: u32, buf: &mut [u8]) -> Result<(), ReadError> {
        self.check_range(offset, buf.len())?;
        let before = (self.head.saturating_sub(offset) as usize).min(buf.len());
        let (head, rest) = buf.split_at_mut(before);
        head.fill(ERASED);
        let skipped = offset.saturating_sub(self.head);
        let inside = (self.stored.saturating_sub(skipped) as usize).min(rest.len());
        let (stored, padding) = rest.split_at_mut(inside);
        self.read_source(self.skipped + skipped, stored)?;
        padding.fill(ERASED);
        for patch in self.patches.iter() {
            patch.apply(offset, buf);
        }
        Ok(())
    }

    /// All bytes. Those that were given as they are and that nothing else holds are not copied.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub fn into_bytes(self) -> Result<Vec<u8>, ReadError> {
        let whole = self.head == 0 && self.skipped == 0 && self.stored == self.len;
        let plain = whole && self.patches.is_empty();
        match self.source {
            Source::Bytes(bytes) if plain && bytes.len() == self.len as usize => {
                Ok(Arc::unwrap_or_clone(bytes))
            }
            _ => {
                let mut bytes = vec![0; self.len as usize];
                self.read_at(0, &mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// The bytes of `range` as a stream. Its errors hold a [`ReadError`].
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfRange`] when the range is not inside.
    pub fn reader(&self, range: Range<u32>) -> Result<Reader, ReadError> {
        self.check_range(range.start, range.len())?;
        Ok(Reader {
            contents: self.clone(),
            range,
        })
    }

    /// MD5 of `range`, as the chip computes it of flash.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub fn md5(&self, range: Range<u32>) -> Result<[u8; 16], ReadError> {
        let mut digest = Md5::new();
        self.for_each_chunk(range, |chunk| digest.update(chunk))?;
        Ok(digest.finalize().into())
    }

    /// SHA-256 of `range`.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub fn sha256(&self, range: Range<u32>) -> Result<[u8; 32], ReadError> {
        let mut digest = Sha256::new();
        self.for_each_chunk(range, |chunk| digest.update(chunk))?;
        Ok(digest.finish())
    }

    /// Whether all of `range` is 0xFF, so that an erased sector already holds it.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub fn is_erased(&self, range: Range<u32>) -> Result<bool, ReadError> {
        let mut erased = true;
        self.for_each_chunk(range, |chunk| erased &= chunk.iter().all(|b| *b == ERASED))?;
        Ok(erased)
    }

    /// Calls `f` with the bytes of `range`, piece by piece.
    pub(crate) fn for_each_chunk(
        &self,
        range: Range<u32>,
        mut f: impl FnMut(&[u8]),
    ) -> Result<(), ReadError> {
        self.try_for_each_chunk(CHUNK, range, |_, chunk| {
            f(chunk);
            Ok(())
        })
    }

    /// Calls `f` with the bytes of `range` and where they begin, in pieces of `size` bytes but the
    /// last, until it fails.
    pub(crate) fn try_for_each_chunk<E: From<ReadError>>(
        &self,
        size: usize,
        range: Range<u32>,
        mut f: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_range(range.start, range.len())?;
        let mut buf = vec![0; size.min(range.len())];
        let mut offset = range.start;
        while offset < range.end {
            let count = size.min((range.end - offset) as usize);
            let chunk = &mut buf[..count];
            self.read_at(offset, chunk)?;
            f(offset, chunk)?;
            offset += count as u32;
        }
        Ok(())
    }

    fn read_source(&self, offset: u32, buf: &mut [u8]) -> Result<(), ReadError> {
        if buf.is_empty() {
            return Ok(());
        }
        match &self.source {
            Source::Bytes(bytes) => {
                let start = offset as usize;
                match bytes.get(start..start + buf.len()) {
                    Some(bytes) => buf.copy_from_slice(bytes),
                    None => return Err(self.out_of_range(offset, buf.len())),
                }
                Ok(())
            }
            Source::File(file) => {
                let unchanged = file.read_at(offset, buf).map_err(|source| ReadError::Io {
                    name: self.name.clone(),
                    source,
                })?;
                if unchanged {
                    Ok(())
                } else {
                    Err(ReadError::Changed {
                        name: self.name.clone(),
                    })
                }
            }
        }
    }

    fn check_range(&self, offset: u32, count: usize) -> Result<(), ReadError> {
        if u64::from(offset) + count as u64 > u64::from(self.len) {
            return Err(self.out_of_range(offset, count));
        }
        Ok(())
    }

    fn out_of_range(&self, offset: u32, count: usize) -> ReadError {
        ReadError::OutOfRange {
            name: self.name.clone(),
            start: offset,
            end: u64::from(offset) + count as u64,
            len: self.len,
        }
    }

    fn too_large(&self) -> ReadError {
        ReadError::TooLarge {
            name: self.name.clone(),
        }
    }
}

impl OpenFile {
    /// Fills `buf`, and says whether the file is still the one that was opened.
    fn read_at(&self, offset: u32, buf: &mut [u8]) -> io::Result<bool> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(u64::from(offset)))?;
        match file.read_exact(buf) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        // Looked at behind the read, so that a change during the read is seen as well.
        let metadata = file.metadata()?;
        Ok(metadata.len() == self.len && metadata.modified().ok() == self.modified)
    }
}

impl Patch {
    /// Cuts the patch to a range, at whose start offsets begin anew. Returns whether any of it is
    /// left.
    fn move_into(&mut self, range: &Range<u32>) -> bool {
        let before = range.start.saturating_sub(self.offset) as usize;
        self.bytes.drain(..before.min(self.bytes.len()));
        self.offset = self.offset.saturating_sub(range.start);
        let room = range
            .end
            .saturating_sub(range.start)
            .saturating_sub(self.offset);
        self.bytes.truncate(room as usize);
        !self.bytes.is_empty()
    }

    /// Lays the patch over `buf`, which holds the bytes from `offset` on.
    fn apply(&self, offset: u32, buf: &mut [u8]) {
        let start = self.offset.max(offset);
        let end = (u64::from(self.offset) + self.bytes.len() as u64)
            .min(u64::from(offset) + buf.len() as u64);
        if u64::from(start) >= end {
            return;
        }
        let count = (end - u64::from(start)) as usize;
        let from = (start - self.offset) as usize;
        let to = (start - offset) as usize;
        buf[to..to + count].copy_from_slice(&self.bytes[from..from + count]);
    }
}

/// A range of [`Contents`] as a stream.
#[derive(Debug)]
pub struct Reader {
    contents: Contents,
    range: Range<u32>,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = buf.len().min(self.range.len());
        self.contents
            .read_at(self.range.start, &mut buf[..count])
            .map_err(io::Error::other)?;
        self.range.start += count as u32;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use guru_testkit::Scratch;

    fn bytes(bytes: &[u8]) -> Contents {
        Contents::from_bytes("test", bytes.to_vec()).unwrap()
    }

    fn all(contents: &Contents) -> Vec<u8> {
        let mut out = Vec::new();
        contents
            .reader(0..contents.len())
            .unwrap()
            .read_to_end(&mut out)
            .unwrap();
        out
    }

    #[test]
    fn contents_are_erased_bytes_then_the_file_then_padding() {
        let contents = bytes(b"abcde").padded_to(4).unwrap();
        assert_eq!(all(&contents), b"abcde\xff\xff\xff");
        let contents = contents.preceded_by_erased(3).unwrap();
        assert_eq!(all(&contents), b"\xff\xff\xffabcde\xff\xff\xff");
        assert_eq!(contents.len(), 11);
    }

    #[test]
    fn a_replacement_moves_with_the_bytes_it_replaces() {
        let contents = bytes(b"abcde").with_replaced(1, b"XY").unwrap();
        assert_eq!(all(&contents), b"aXYde");
        let contents = contents.preceded_by_erased(2).unwrap();
        assert_eq!(all(&contents), b"\xff\xffaXYde");
    }

    #[test]
    fn all_bytes_are_those_that_are_read() {
        for contents in [
            bytes(b"abcde"),
            bytes(b"abcde").padded_to(4).unwrap(),
            bytes(b"abcde").preceded_by_erased(3).unwrap(),
            bytes(b"abcde").slice(1..3).unwrap(),
            bytes(b"abcde").with_replaced(1, b"XY").unwrap(),
        ] {
            assert_eq!(contents.clone().into_bytes().unwrap(), all(&contents));
        }
    }

    #[test]
    fn a_replacement_must_fit_inside() {
        let error = bytes(b"abcde").with_replaced(4, b"XY").unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { start: 4, .. }));
    }

    #[test]
    fn digests_are_those_of_the_padded_bytes() {
        let contents = bytes(b"abc");
        // RFC 1321, A.5 and FIPS 180-2, B.1.
        assert_eq!(contents.md5(0..3).unwrap()[..4], [0x90, 0x01, 0x50, 0x98]);
        assert_eq!(
            contents.sha256(0..3).unwrap()[..4],
            [0xBA, 0x78, 0x16, 0xBF]
        );
        let padded = contents.padded_to(4).unwrap();
        assert_eq!(
            padded.md5(0..4).unwrap(),
            bytes(b"abc\xff").md5(0..4).unwrap()
        );
        assert!(!padded.is_erased(0..4).unwrap());
        assert!(padded.is_erased(3..4).unwrap());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Contents::open(Path::new("no/such/file.bin")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read 'no/such/file.bin'");
    }

    #[test]
    fn a_directory_is_refused() {
        assert!(matches!(
            Contents::open(&std::env::temp_dir()),
            Err(ReadError::Io { .. })
        ));
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_open_is_an_error() {
        let scratch = Scratch::new();
        let file = scratch.file("shrinks", [1; 100]);
        let contents = Contents::open(&file).unwrap();
        fs::write(&file, [1; 50]).unwrap();
        let mut buf = [0; 10];
        for offset in [0, 90] {
            let error = contents.read_at(offset, &mut buf).unwrap_err();
            assert!(matches!(error, ReadError::Changed { .. }));
        }
    }

    #[test]
    fn a_file_that_grows_while_it_is_open_is_an_error() {
        let scratch = Scratch::new();
        let file = scratch.file("grows", [1; 100]);
        let contents = Contents::open(&file).unwrap();
        fs::write(&file, [1; 101]).unwrap();
        let error = contents.read_at(0, &mut [0; 10]).unwrap_err();
        assert!(matches!(error, ReadError::Changed { .. }));
    }

    #[test]
    fn a_range_beyond_the_end_is_an_error_not_a_short_read() {
        let error = bytes(b"abc").read_at(2, &mut [0; 2]).unwrap_err();
        assert!(matches!(
            error,
            ReadError::OutOfRange {
                start: 2,
                end: 4,
                len: 3,
                ..
            }
        ));
    }

    #[test]
    fn contents_go_to_another_thread() {
        fn is_send<T: Send + Sync + Clone>() {}
        is_send::<Contents>();
    }

    proptest! {
        /// A file and its bytes in memory read alike, whatever lies over them and wherever one
        /// starts.
        #[test]
        fn a_file_reads_as_its_bytes_do(
            data in prop::collection::vec(any::<u8>(), 0..300),
            head in 0_u32..40,
            align in 0_u32..70,
            patches in prop::collection::vec((0_u32..400, prop::collection::vec(any::<u8>(), 1..20)), 0..4),
            start in 0_u32..400,
            count in 0_usize..400,
        ) {
            let scratch = Scratch::new();
            let file = scratch.file("reads", &data);
            let mut expected = vec![0xFF; head as usize];
            expected.extend(&data);
            let len = expected.len().next_multiple_of(align.max(1) as usize);
            expected.resize(len, 0xFF);
            let mut contents = Contents::open(&file)
                .unwrap()
                .preceded_by_erased(head)
                .unwrap()
                .padded_to(align)
                .unwrap();
            for (offset, bytes) in &patches {
                let at = *offset as usize;
                if at + bytes.len() <= expected.len() {
                    expected[at..at + bytes.len()].copy_from_slice(bytes);
                    contents = contents.with_replaced(*offset, bytes).unwrap();
                }
            }
            prop_assert_eq!(contents.len() as usize, expected.len());
            let mut buf = vec![0; count];
            let wanted = expected.get(start as usize..start as usize + count);
            match contents.read_at(start, &mut buf) {
                Ok(()) => prop_assert_eq!(Some(&buf[..]), wanted),
                Err(_) => prop_assert!(wanted.is_none()),
            }
            if let Some(wanted) = wanted {
                let slice = contents.clone().slice(start..start + count as u32).unwrap();
                prop_assert_eq!(all(&slice), wanted);
            }
            prop_assert_eq!(all(&contents), expected);
        }
    }
}
