//! Source files that an ELF file names, where they are on this machine.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use guru_crash::explain::{SourceLine, Sources};

/// Source files, each read once.
#[derive(Debug, Default)]
pub struct SourceFiles {
    /// Folders in which a relative name is looked for.
    folders: Vec<PathBuf>,
    /// When the program was built.
    built: Option<SystemTime>,
    read: RefCell<HashMap<String, Option<String>>>,
    /// Those that were changed since.
    newer: RefCell<BTreeSet<String>>,
}

/// Endings of source files. An ELF file may name anything, and what it names ends up in a report.
const ENDINGS: [&str; 14] = [
    "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "ino", "inc", "ipp", "rs", "s", "S",
];
/// Longest source file, in bytes.
const MAX_SOURCE: u64 = 8 << 20;
/// A file that is so much newer than the program was changed since: to copy both takes a while.
const SLACK: Duration = Duration::from_secs(60);
/// Most files that are kept.
const MAX_FILES: usize = 64;
/// Lines before and behind the one that is meant.
const AROUND: u32 = 2;

impl SourceFiles {
    /// Of the programs in these ELF files.
    pub fn new(elves: &[&Path]) -> Self {
        let mut files = Self::default();
        for elf in elves {
            let built = fs::metadata(elf).and_then(|found| found.modified()).ok();
            files.built = files.built.max(built);
            // Rust and CMake name files from where the build ran: the project, one or several above.
            let mut folder = elf.parent();
            for _ in 0..4 {
                let Some(here) = folder else { break };
                files.folders.push(here.to_owned());
                folder = here.parent();
            }
        }
        files
    }

    /// What is to be known of the lines that were shown.
    pub fn note(&self) -> Option<String> {
        let newer = self.newer.borrow();
        let names: Vec<_> = newer.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| {
            format!(
                "Changed since the ELF file was made, so that the lines shown may not be those that ran: {}.",
                names.join(", ")
            )
        })
    }

    fn open(&self, name: &str) -> Option<String> {
        let path = Path::new(name);
        let ending = path.extension()?.to_str()?;
        if !ENDINGS.contains(&ending) {
            return None;
        }
        let own = [path.to_owned()];
        let others = self.folders.iter().map(|folder| folder.join(path));
        let path = match path.is_absolute() {
            true => own.into_iter().find(|path| path.is_file()),
            false => others.chain(own).find(|path| path.is_file()),
        }?;
        let found = fs::metadata(&path).ok()?;
        if found.len() > MAX_SOURCE {
            return None;
        }
        let changed = found.modified().ok();
        if self
            .built
            .is_some_and(|built| changed > built.checked_add(SLACK))
        {
            self.newer.borrow_mut().insert(name.to_owned());
        }
        let mut text = Vec::new();
        File::open(&path)
            .ok()?
            .take(MAX_SOURCE)
            .read_to_end(&mut text)
            .ok()?;
        Some(
            String::from_utf8(text)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        )
    }
}

impl Sources for SourceFiles {
    fn around(&self, file: &str, line: u32) -> Vec<SourceLine> {
        let mut read = self.read.borrow_mut();
        if !read.contains_key(file) {
            if read.len() >= MAX_FILES {
                return Vec::new();
            }
            read.insert(file.to_owned(), self.open(file));
        }
        let Some(Some(text)) = read.get(file) else {
            return Vec::new();
        };
        let first = line.saturating_sub(AROUND).max(1);
        let last = line.saturating_add(AROUND);
        let lines = text.lines().skip(first as usize - 1).zip(first..=last);
        let lines = lines.map(|(text, number)| SourceLine {
            number,
            text: text.to_owned(),
        });
        let lines: Vec<_> = lines.collect();
        // A line that is not there is of another file: nothing around it is right.
        match lines.iter().any(|shown| shown.number == line) {
            true => lines,
            false => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use guru_testkit::Scratch;

    use super::*;

    #[test]
    fn lines_around_a_place_are_shown_where_the_file_is() {
        let scratch = Scratch::new();
        let elf = scratch.file("build/app.elf", "");
        scratch.file("main/sensor.c", "one\ntwo\nthree\nfour\nfive\nsix\n");
        let files = SourceFiles::new(&[&elf]);
        let shown = |line| {
            let lines = files.around("main/sensor.c", line);
            let texts = lines
                .into_iter()
                .map(|line| format!("{} {}", line.number, line.text));
            texts.collect::<Vec<_>>()
        };
        assert_eq!(shown(4), ["2 two", "3 three", "4 four", "5 five", "6 six"]);
        assert_eq!(shown(1), ["1 one", "2 two", "3 three"]);
        // A line that the file does not have is another file's.
        assert!(shown(7).is_empty() && shown(0).is_empty());
        assert_eq!(files.note(), None);
    }

    #[test]
    fn an_elf_file_cannot_have_just_any_file_shown() {
        let scratch = Scratch::new();
        let elf = scratch.file("app.elf", "");
        scratch.file("secret", "key\n");
        scratch.file("secret.pem", "key\n");
        let files = SourceFiles::new(&[&elf]);
        for name in ["secret", "secret.pem", "/etc/passwd", "..", "missing.c"] {
            assert!(files.around(name, 1).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_source_that_was_changed_since_is_named() {
        let scratch = Scratch::new();
        let elf = scratch.file("app.elf", "");
        let old = SystemTime::now() - Duration::from_secs(3600);
        File::options()
            .write(true)
            .open(&elf)
            .unwrap()
            .set_modified(old)
            .unwrap();
        scratch.file("main.c", "int main;\n");
        let files = SourceFiles::new(&[&elf]);
        assert_eq!(files.around("main.c", 1).len(), 1);
        assert!(files.note().unwrap().contains("main.c"));
    }
}
