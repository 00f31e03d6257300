//! Compression on a thread of its own, so that the line never waits for it; done once, however many
//! boards are written to.

use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use guru_image::Contents;

use crate::Error;

/// Bytes read from a file at a time.
const CHUNK: usize = 32 * 1024;

/// Bytes of compressed streams that are kept for other boards. What is beyond lives only as long as
/// a board sends it.
const KEPT: usize = 32 << 20;

/// One stream to compress.
#[derive(Debug)]
pub(crate) struct Work {
    /// The file.
    pub contents: Contents,
    /// Bytes of the file.
    pub range: Range<u32>,
}

/// How many boards the same streams go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boards {
    /// One: a stream is dropped when it was sent.
    One,
    /// Several, at the same time or one after the other.
    Several,
}

/// A zlib stream, shared by the boards that it goes to.
pub(crate) type Packed = Arc<Vec<u8>>;

/// Makes compressed streams. Clones share what was made.
#[derive(Debug, Clone)]
pub(crate) struct Compressor(Arc<Handle>);

/// Ends the thread when nobody wants streams any more.
#[derive(Debug)]
struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    work: Vec<Work>,
    boards: Boards,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    streams: Vec<Made>,
    /// The stream that the thread may make at the furthest. For one board that is one ahead of the
    /// one in use, so that memory stays bounded.
    furthest: usize,
    /// Before this one nothing is made in advance.
    wanted: usize,
    /// Bytes in [`Made::Kept`].
    kept: usize,
    closed: bool,
}

/// What there is of one stream.
#[derive(Debug, Clone)]
enum Made {
    /// Nothing.
    No,
    /// Someone is making it.
    Underway,
    /// It is no smaller than its contents.
    Larger,
    Kept(Packed),
    /// As long as it is in use.
    Lent(Weak<Vec<u8>>),
}

impl Compressor {
    /// Begins to compress.
    pub fn start(work: Vec<Work>, boards: Boards) -> Self {
        let state = State {
            streams: vec![Made::No; work.len()],
            furthest: 0,
            wanted: 0,
            kept: 0,
            closed: false,
        };
        let shared = Arc::new(Shared {
            work,
            boards,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let ahead = Arc::clone(&shared);
        thread::spawn(move || ahead.work_ahead());
        Self(Arc::new(Handle(shared)))
    }

    /// The zlib stream of work `index`; `None` when it would not be smaller than its contents. For
    /// one board each is taken once, and work before it is given up.
    pub fn take(&self, index: usize) -> Result<Option<Packed>, Error> {
        let shared = &self.0.0;
        if index >= shared.work.len() {
            let what = "a stream was asked for that there is not".to_owned();
            return Err(Error::NotPossible(what));
        }
        let mut state = shared.lock();
        state.wanted = state.wanted.max(index);
        state.furthest = state.furthest.max(index + 1);
        shared.changed.notify_all();
        loop {
            match state.streams[index].clone() {
                Made::Underway => state = shared.wait(state),
                Made::Larger => return Ok(None),
                Made::Kept(packed) => {
                    if shared.boards == Boards::One {
                        state.let_go(index);
                    }
                    return Ok(Some(packed));
                }
                Made::Lent(packed) => match packed.upgrade() {
                    Some(packed) => return Ok(Some(packed)),
                    None => state.streams[index] = Made::No,
                },
                Made::No => {
                    state.streams[index] = Made::Underway;
                    drop(state);
                    shared.make(index)?;
                    state = shared.lock();
                }
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one stream after the other, as far ahead as it is allowed.
    fn work_ahead(&self) {
        let mut state = self.lock();
        while !state.closed {
            let end = state.streams.len().min(state.furthest + 1);
            let next = (state.wanted..end).find(|at| matches!(state.streams[*at], Made::No));
            let Some(index) = next else {
                state = self.wait(state);
                continue;
            };
            state.streams[index] = Made::Underway;
            drop(state);
            // Who takes it makes it again, and meets the error.
            if self.make(index).is_err() {
                return;
            }
            state = self.lock();
        }
    }

    /// Makes a stream that is marked as being made.
    fn make(&self, index: usize) -> Result<(), Error> {
        let made = compress(&self.work[index]);
        let mut state = self.lock();
        let (made, result) = match made {
            Ok(Some(packed)) => {
                state.kept += packed.len();
                (Made::Kept(Arc::new(packed)), Ok(()))
            }
            Ok(None) => (Made::Larger, Ok(())),
            Err(error) => (Made::No, Err(error)),
        };
        state.streams[index] = made;
        state.keep_within(KEPT, index);
        self.changed.notify_all();
        result
    }
}

impl State {
    /// Keeps a stream no longer than it is in use.
    fn let_go(&mut self, index: usize) {
        if let Made::Kept(packed) = &self.streams[index] {
            self.kept -= packed.len();
            self.streams[index] = Made::Lent(Arc::downgrade(packed));
        }
    }

    /// Lets go of the first streams, which most boards have behind them, until no more than `limit`
    /// bytes are kept.
    fn keep_within(&mut self, limit: usize, newest: usize) {
        for index in 0..self.streams.len() {
            if self.kept <= limit {
                return;
            }
            if index != newest {
                self.let_go(index);
            }
        }
    }
}

/// The zlib stream of what there is to compress; `None` when it would not be smaller.
pub(crate) fn compress(work: &Work) -> Result<Option<Vec<u8>>, Error> {
    let failed = |error| Error::NotPossible(format!("compression failed: {error}"));
    let limit = work.range.len();
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(limit / 2), Compression::best());
    let mut chunk = vec![0; CHUNK];
    let mut at = work.range.start;
    while at < work.range.end {
        let count = CHUNK.min((work.range.end - at) as usize);
        work.contents.read_at(at, &mut chunk[..count])?;
        encoder.write_all(&chunk[..count]).map_err(failed)?;
        at += count as u32;
    }
    let stream = encoder.finish().map_err(failed)?;
    Ok((stream.len() < limit).then_some(stream))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn work(contents: &Contents, range: Range<u32>) -> Work {
        Work {
            contents: contents.clone(),
            range,
        }
    }

    #[test]
    fn streams_come_in_order_and_skipped_ones_do_not_block() {
        let bytes: Vec<u8> = (0..40_000_u32).map(|n| (n / 100) as u8).collect();
        let contents = Contents::from_bytes("test", bytes.clone()).unwrap();
        let work = (0..4)
            .map(|n| work(&contents, n * 10_000..(n + 1) * 10_000))
            .collect();
        let compressor = Compressor::start(work, Boards::One);
        for index in [0, 3] {
            let stream = compressor.take(index).unwrap().unwrap();
            let mut inflated = Vec::new();
            flate2::read::ZlibDecoder::new(&stream[..])
                .read_to_end(&mut inflated)
                .unwrap();
            assert_eq!(inflated, bytes[index * 10_000..(index + 1) * 10_000]);
        }
    }

    #[test]
    fn what_does_not_shrink_is_not_compressed() {
        let bytes: Vec<u8> = (0..4000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let contents = Contents::from_bytes("test", bytes).unwrap();
        let compressor = Compressor::start(vec![work(&contents, 0..7)], Boards::One);
        assert_eq!(compressor.take(0).unwrap(), None);
    }

    #[test]
    fn boards_share_each_stream_and_one_alone_keeps_none() {
        let contents = Contents::from_bytes("test", vec![7; 30_000]).unwrap();
        let work = || vec![work(&contents, 0..20_000), work(&contents, 20_000..30_000)];
        let first = Compressor::start(work(), Boards::Several);
        let second = first.clone();
        let streams = [
            first.take(1).unwrap().unwrap(),
            first.take(0).unwrap().unwrap(),
        ];
        for (index, stream) in [1, 0].into_iter().zip(&streams) {
            let again = second.take(index).unwrap().unwrap();
            assert!(Arc::ptr_eq(stream, &again));
        }
        assert!(first.take(2).is_err());

        let alone = Compressor::start(work(), Boards::One);
        let taken = Arc::downgrade(&alone.take(0).unwrap().unwrap());
        assert_eq!(taken.strong_count(), 0);
        assert!(alone.take(0).unwrap().is_some());
    }

    #[test]
    fn streams_beyond_the_limit_live_as_long_as_they_are_in_use() {
        let contents = Contents::from_bytes("test", vec![7; 30_000]).unwrap();
        let work = (0..3)
            .map(|n| work(&contents, n * 10_000..(n + 1) * 10_000))
            .collect();
        let compressor = Compressor::start(work, Boards::Several);
        let streams: Vec<_> = (0..3)
            .map(|index| compressor.take(index).unwrap().unwrap())
            .collect();
        let mut state = compressor.0.0.lock();
        state.keep_within(streams[2].len(), 2);
        assert_eq!(state.kept, streams[2].len());
        drop(state);
        assert!(Arc::ptr_eq(
            &streams[0],
            &compressor.take(0).unwrap().unwrap()
        ));
        let gone = Arc::downgrade(&streams[0]);
        drop(streams);
        assert_eq!(gone.strong_count(), 0);
        assert!(compressor.take(0).unwrap().is_some());
    }
}
