//! What QEMU of either architecture is given.

use std::env;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// An ELF file of one segment, in a temporary place. Dropped, it is deleted.
pub struct Elf(pub PathBuf);

impl Elf {
    /// For a machine by its number, entered at an address; where the segment goes, as the CPU sees it
    /// and physically.
    pub fn new(machine: u16, entry: u32, base: u32, physical: u32, code: &[u8]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        const HEADERS: u32 = 52 + 32;
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let halves = |halves: &[u16]| -> Vec<u8> {
            halves.iter().flat_map(|half| half.to_le_bytes()).collect()
        };
        let len = code.len() as u32;
        let mut file = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(halves(&[2, machine]));
        file.extend(words(&[1, entry, 52, 0, 0]));
        file.extend(halves(&[52, 32, 1, 40, 0, 0]));
        file.extend(words(&[1, HEADERS, base, physical, len, len, 7, 4]));
        file.extend(code);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("guru-{machine}-{}-{number}.elf", process::id());
        let path = env::temp_dir().join(name);
        std::fs::write(&path, file).expect("a temporary file");
        Self(path)
    }
}

impl Drop for Elf {
    fn drop(&mut self) {
        // A temporary file that stays harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}
