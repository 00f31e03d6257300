//! The kept corpus of each fuzz target, and damaged copies of it, on any Rust. The damage is the
//! same in every run: a failure here is seen by everybody, and the searching is libFuzzer's work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use guru_fuzz::{TARGETS, Target};
use libtest_mimic::{Arguments, Failed, Trial};

/// Damaged copies made of each file.
const COPIES: u64 = 300;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = TARGETS
        .iter()
        .map(|&(name, target)| {
            Trial::test(
                format!("{name}_takes_its_corpus_and_damaged_copies"),
                move || replay(name, target),
            )
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn replay(name: &str, target: Target) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no corpus", folder.display()).into());
    }
    target(&[]);
    for file in files {
        let bytes = fs::read(&file)?;
        target(&bytes);
        for seed in 0..COPIES {
            target(&damaged(&bytes, seed));
        }
        for length in 0..bytes.len().min(64) {
            target(&bytes[..length]);
        }
    }
    Ok(())
}

/// A copy with a few bytes changed, lost, doubled or put in.
fn damaged(bytes: &[u8], seed: u64) -> Vec<u8> {
    const INTERESTING: [u8; 8] = [0, 1, 0x7F, 0x80, 0xC0, 0xDB, 0xFE, 0xFF];
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let byte = INTERESTING[random.below(INTERESTING.len())];
        match (random.below(6), at < bytes.len()) {
            (0, true) => bytes[at] ^= 1 << random.below(8),
            (1, true) => bytes[at] = byte,
            (2, true) => drop(bytes.remove(at)),
            (3, true) => {
                let piece = bytes[at..(at + 1 + random.below(16)).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            (4, true) => bytes.truncate(at),
            _ => bytes.insert(at, byte),
        }
    }
    bytes
}

/// xorshift64: the same numbers everywhere and always.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}
