//! Compression on a thread of its own, so that the line never waits for it.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use guru_image::Contents;

use crate::Error;

/// Bytes read from a file at a time.
const CHUNK: usize = 32 * 1024;

/// One stream to compress.
#[derive(Debug)]
pub(crate) struct Work {
    /// The file.
    pub contents: Contents,
    /// Bytes of the file.
    pub range: Range<u32>,
}

/// Compressed streams, in the order of the work. One is made ahead of the one in use, so that
/// memory stays bounded.
#[derive(Debug)]
pub(crate) struct Compressor {
    results: Receiver<Compressed>,
    /// The first stream that is still wanted.
    wanted: Arc<AtomicUsize>,
}

impl Compressor {
    /// Begins to compress.
    pub fn start(work: Vec<Work>) -> Self {
        let (sender, results) = sync_channel(0);
        let wanted = Arc::new(AtomicUsize::new(0));
        let skip = Arc::clone(&wanted);
        thread::spawn(move || run(&work, &sender, &skip));
        Self { results, wanted }
    }

    /// The zlib stream of work `index`; `None` when it would not be smaller than its contents.
    /// Work before `index` is given up.
    pub fn take(&mut self, index: usize) -> Result<Option<Vec<u8>>, Error> {
        self.wanted.store(index, Ordering::Relaxed);
        for (done, result) in &self.results {
            if done == index {
                return result;
            }
        }
        Err(Error::NotPossible(
            "the compression thread has stopped".to_owned(),
        ))
    }
}

/// Number of the work, and its zlib stream if that is smaller than its contents.
type Compressed = (usize, Result<Option<Vec<u8>>, Error>);

fn run(work: &[Work], results: &SyncSender<Compressed>, wanted: &AtomicUsize) {
    for (index, work) in work.iter().enumerate() {
        if index < wanted.load(Ordering::Relaxed) {
            continue;
        }
        // The receiver is gone when the write has ended early.
        if results.send((index, compress(work))).is_err() {
            return;
        }
    }
}

fn compress(work: &Work) -> Result<Option<Vec<u8>>, Error> {
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
        let mut compressor = Compressor::start(work);
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
        let mut compressor = Compressor::start(vec![work(&contents, 0..7)]);
        assert_eq!(compressor.take(0).unwrap(), None);
    }
}
