use std::collections::HashMap;

const PAGE: usize = 4096;
/// Pages that are kept at the most (16 MB); writes beyond are lost, so that a client that writes
/// everywhere cannot fill the host's memory.
const MAX_PAGES: usize = 4096;

/// The address space behind everything that is not modelled: what was written is read again, the
/// rest reads as 0.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<u32, Box<[u8; PAGE]>>);

impl Memory {
    pub fn read_word(&self, address: u32) -> u32 {
        let mut word = [0; 4];
        for (offset, byte) in (0..).zip(&mut word) {
            let at = address.wrapping_add(offset);
            if let Some(page) = self.0.get(&(at / PAGE as u32)) {
                *byte = page[at as usize % PAGE];
            }
        }
        u32::from_le_bytes(word)
    }

    pub fn write(&mut self, mut address: u32, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let start = address as usize % PAGE;
            let len = bytes.len().min(PAGE - start);
            let number = address / PAGE as u32;
            if self.0.len() < MAX_PAGES || self.0.contains_key(&number) {
                let page = self.0.entry(number).or_insert_with(|| Box::new([0; PAGE]));
                page[start..start + len].copy_from_slice(&bytes[..len]);
            }
            address = address.wrapping_add(len as u32);
            bytes = &bytes[len..];
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_across_pages_is_read_again() {
        let mut memory = Memory::default();
        memory.write(0x3FFF, &[1, 2, 3, 4, 5]);
        assert_eq!(memory.read_word(0x3FFF), 0x0403_0201);
        assert_eq!(memory.read_word(0x4003), 5);
        memory.write(u32::MAX - 1, &[7; 4]);
        assert_eq!(memory.read_word(0), 0x0707);
    }

    #[test]
    fn writing_everywhere_does_not_fill_the_host() {
        let mut memory = Memory::default();
        for page in 0..10_000_u32 {
            memory.write(page * PAGE as u32, &[1]);
        }
        assert_eq!(memory.0.len(), MAX_PAGES);
    }
}
