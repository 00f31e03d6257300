//! Archives: TAR in gzip (POSIX.1-1988, ustar; RFC 1952), and ZIP (PKWARE's APPNOTE 2.0), as far as
//! they are needed to hold a few small files.

use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc, GzBuilder};

use crate::Result;

/// A file in an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path with `/`, not from the root.
    pub path: String,
    pub bytes: Vec<u8>,
    pub executable: bool,
}

impl Entry {
    pub fn text(path: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            path: path.into(),
            bytes,
            executable: false,
        }
    }

    fn mode(&self) -> u32 {
        if self.executable { 0o755 } else { 0o644 }
    }
}

/// Kind of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    TarGz,
    Zip,
}

impl Kind {
    pub fn extension(self) -> &'static str {
        match self {
            Self::TarGz => "tar.gz",
            Self::Zip => "zip",
        }
    }
}

/// The start of 1980, in seconds since 1970, and as ZIP has it: day 1 of month 1 of year 0.
const TIME: u32 = 315_532_800;
const ZIP_DATE: u16 = 1 << 5 | 1;

/// Packs files, in the order of their paths.
pub fn pack(kind: Kind, mut entries: Vec<Entry>) -> Result<Vec<u8>> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    match kind {
        Kind::TarGz => {
            let mut gzip = GzBuilder::new()
                .mtime(0)
                .write(Vec::new(), Compression::best());
            gzip.write_all(&tar(&entries)?)?;
            Ok(gzip.finish()?)
        }
        Kind::Zip => zip(&entries),
    }
}

const TAR_BLOCK: usize = 512;

fn tar(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        let mut header = [0; TAR_BLOCK];
        if entry.path.len() > 100 {
            return Err(format!("{} is too long a path", entry.path).into());
        }
        header[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        octal(&mut header[100..108], entry.mode());
        octal(&mut header[108..116], 0);
        octal(&mut header[116..124], 0);
        octal(&mut header[124..136], u32::try_from(entry.bytes.len())?);
        octal(&mut header[136..148], TIME);
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        // The sum counts its own place as blanks.
        header[148..156].fill(b' ');
        let sum = header.iter().copied().map(u32::from).sum();
        octal(&mut header[148..155], sum);
        out.extend_from_slice(&header);
        out.extend_from_slice(&entry.bytes);
        out.resize(out.len().next_multiple_of(TAR_BLOCK), 0);
    }
    out.resize(out.len() + 2 * TAR_BLOCK, 0);
    Ok(out)
}

/// Digits that fill the field but for its last byte, which is 0.
fn octal(field: &mut [u8], value: u32) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}\0");
    field.copy_from_slice(text.as_bytes());
}

/// What a reader must know, times 10, and who wrote it: Unix, for the permissions.
const ZIP_VERSION: u16 = 20;
const ZIP_UNIX: u16 = 3 << 8;
const ZIP_DEFLATED: u16 = 8;

fn zip(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let mut crc = Crc::new();
        crc.update(&entry.bytes);
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
        deflate.write_all(&entry.bytes)?;
        let packed = deflate.finish()?;

        // What both headers hold, from the version to the length of the path.
        let mut common = Vec::new();
        for value in [ZIP_VERSION, 0, ZIP_DEFLATED, 0, ZIP_DATE] {
            common.extend_from_slice(&value.to_le_bytes());
        }
        common.extend_from_slice(&crc.sum().to_le_bytes());
        for length in [packed.len(), entry.bytes.len()] {
            common.extend_from_slice(&u32::try_from(length)?.to_le_bytes());
        }
        common.extend_from_slice(&u16::try_from(entry.path.len())?.to_le_bytes());
        common.extend_from_slice(&[0; 2]);

        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&(ZIP_UNIX | ZIP_VERSION).to_le_bytes());
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 6]);
        let regular_file = 0o100_000;
        directory.extend_from_slice(&((regular_file | entry.mode()) << 16).to_le_bytes());
        directory.extend_from_slice(&u32::try_from(out.len())?.to_le_bytes());
        directory.extend_from_slice(entry.path.as_bytes());

        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(entry.path.as_bytes());
        out.extend_from_slice(&packed);
    }
    let (start, count) = (u32::try_from(out.len())?, u16::try_from(entries.len())?);
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06");
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&u32::try_from(directory.len())?.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{DeflateDecoder, GzDecoder};

    use super::*;

    fn entries() -> Vec<Entry> {
        let program = Entry {
            path: "guru-1/guru".to_owned(),
            bytes: (0..=255).cycle().take(5000).collect(),
            executable: true,
        };
        vec![
            program,
            Entry::text("guru-1/README.md", b"read me".to_vec()),
            Entry::text("guru-1/docs/empty.md", Vec::new()),
        ]
    }

    /// The files in an archive, in order.
    fn unpacked(kind: Kind, archive: &[u8]) -> Vec<(String, Vec<u8>, bool)> {
        match kind {
            Kind::TarGz => untar(archive),
            Kind::Zip => unzip(archive),
        }
    }

    fn untar(archive: &[u8]) -> Vec<(String, Vec<u8>, bool)> {
        let mut tar = Vec::new();
        GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
        assert_eq!(tar.len() % TAR_BLOCK, 0);
        let number = |field: &[u8]| {
            let text = std::str::from_utf8(field).unwrap();
            usize::from_str_radix(text.trim_end_matches(['\0', ' ']), 8).unwrap()
        };
        let mut found = Vec::new();
        let mut at = 0;
        while tar[at] != 0 {
            let header = &tar[at..at + TAR_BLOCK];
            assert_eq!(&header[257..262], b"ustar");
            let sum: usize = header.iter().copied().map(usize::from).sum();
            let own: usize = header[148..156].iter().copied().map(usize::from).sum();
            assert_eq!(number(&header[148..156]), sum - own + 8 * usize::from(b' '));
            let path = header[..100].split(|byte| *byte == 0).next().unwrap();
            let length = number(&header[124..136]);
            at += TAR_BLOCK;
            found.push((
                String::from_utf8(path.to_vec()).unwrap(),
                tar[at..at + length].to_vec(),
                number(&header[100..108]) == 0o755,
            ));
            at += length.next_multiple_of(TAR_BLOCK);
        }
        assert_eq!(tar[at..], [0; 2 * TAR_BLOCK]);
        found
    }

    fn unzip(archive: &[u8]) -> Vec<(String, Vec<u8>, bool)> {
        let short = |at: usize| usize::from(archive[at]) | usize::from(archive[at + 1]) << 8;
        let long = |at: usize| short(at) | short(at + 2) << 16;
        let end = archive.len() - 22;
        assert_eq!(&archive[end..end + 4], b"PK\x05\x06");
        let mut at = long(end + 16);
        assert_eq!(at + long(end + 12), end);
        let mut found = Vec::new();
        for _ in 0..short(end + 10) {
            assert_eq!(&archive[at..at + 4], b"PK\x01\x02");
            let (packed, length, name) = (long(at + 20), long(at + 24), short(at + 28));
            let path = archive[at + 46..at + 46 + name].to_vec();
            let local = long(at + 42);
            assert_eq!(&archive[local..local + 4], b"PK\x03\x04");
            // Both headers say the same.
            assert_eq!(archive[local + 4..local + 30], archive[at + 6..at + 32]);
            assert_eq!(archive[local + 30..local + 30 + name], path);
            let data = &archive[local + 30 + name..][..packed];
            let mut bytes = Vec::new();
            DeflateDecoder::new(data).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len(), length);
            let mut crc = Crc::new();
            crc.update(&bytes);
            assert_eq!(crc.sum() as usize, long(at + 16));
            let executable = long(at + 38) >> 16 & 0o111 != 0;
            found.push((String::from_utf8(path).unwrap(), bytes, executable));
            at += 46 + name;
        }
        found
    }

    #[test]
    fn an_archive_holds_its_files_in_the_order_of_their_paths() {
        for kind in [Kind::TarGz, Kind::Zip] {
            let found = unpacked(kind, &pack(kind, entries()).unwrap());
            let paths: Vec<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
            assert_eq!(
                paths,
                ["guru-1/README.md", "guru-1/docs/empty.md", "guru-1/guru"]
            );
            for entry in entries() {
                let wanted = (entry.path, entry.bytes, entry.executable);
                assert!(found.contains(&wanted), "{kind:?}: {}", wanted.0);
            }
        }
    }

    #[test]
    fn the_same_files_make_the_same_bytes_in_whatever_order_they_come() {
        for kind in [Kind::TarGz, Kind::Zip] {
            let mut turned = entries();
            turned.reverse();
            assert_eq!(pack(kind, entries()).unwrap(), pack(kind, turned).unwrap());
        }
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        let long = Entry::text("x".repeat(101), Vec::new());
        assert!(pack(Kind::TarGz, vec![long]).is_err());
    }
}
