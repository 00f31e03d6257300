//! Core files: written for GDB, read from ESP-IDF's dumps.

use guru_symbols::unwind::{Memory, Registers};

const RISCV: u16 = 0xF3;
const CORE: u16 = 4;
const LOAD: u32 = 1;
const NOTE: u32 = 4;
const PRSTATUS: u32 = 1;
/// Where the registers are in it.
const REGISTERS: usize = 72;

/// What was at addresses.
#[derive(Debug, Clone, Default)]
pub struct Pieces(pub Vec<(u32, Vec<u8>)>);

impl Memory for Pieces {
    fn read(&self, address: u32, bytes: &mut [u8]) -> bool {
        self.0.iter().any(|(start, piece)| {
            let at = address.wrapping_sub(*start) as usize;
            let found = piece.get(at..at.saturating_add(bytes.len()));
            found.map(|found| bytes.copy_from_slice(found)).is_some()
        })
    }
}

/// A core file of one RISC-V thread.
pub fn write(registers: &Registers, memory: &Pieces, flags: u32) -> Vec<u8> {
    let mut status = vec![0; REGISTERS];
    status[24] = 1;
    let values = [registers.pc]
        .into_iter()
        .chain(registers.x[1..].iter().copied());
    status.extend(values.flat_map(|value| value.unwrap_or(0).to_le_bytes()));
    status.extend([0; 4]);
    let mut note = Vec::new();
    for word in [5, status.len() as u32, PRSTATUS] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"CORE\0\0\0\0");
    note.extend(status);

    let count = memory.0.len() + 1;
    let mut offset = 52 + 32 * count as u32;
    let mut file = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(CORE.to_le_bytes());
    file.extend(RISCV.to_le_bytes());
    for word in [1, 0, 52, 0, flags] {
        file.extend(word.to_le_bytes());
    }
    for half in [52, 32, count as u16, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut bytes: Vec<u8> = Vec::new();
    let parts = [(NOTE, 0, &note)].into_iter();
    for (kind, address, part) in parts.chain(memory.0.iter().map(|(at, part)| (LOAD, *at, part))) {
        let len = part.len() as u32;
        for word in [kind, offset, address, 0, len, len, 6, 4] {
            file.extend(u32::to_le_bytes(word));
        }
        offset += len;
        bytes.extend(part);
    }
    file.extend(bytes);
    file
}

/// The threads of a core file, the current one first, as the words of their registers; and its memory.
pub fn read(file: &[u8]) -> (Vec<Vec<u32>>, Pieces) {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
    let (headers, count) = (word(28) as usize, usize::from(file[44]));
    let (mut threads, mut memory) = (Vec::new(), Pieces::default());
    for header in (0..count).map(|number| headers + 32 * number) {
        let (kind, offset, address) = (word(header), word(header + 4) as usize, word(header + 8));
        let bytes = &file[offset..offset + word(header + 16) as usize];
        match kind {
            LOAD => memory.0.push((address, bytes.to_vec())),
            NOTE => notes(bytes, &mut threads),
            _ => {}
        }
    }
    (threads, memory)
}

fn notes(bytes: &[u8], threads: &mut Vec<Vec<u32>>) {
    let mut at = 0;
    while at + 12 <= bytes.len() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let (name, len, kind) = (word(at) as usize, word(at + 4) as usize, word(at + 8));
        let start = at + 12 + name.next_multiple_of(4);
        if kind == PRSTATUS && bytes[at + 12..].starts_with(b"CORE") {
            let registers = &bytes[start + REGISTERS..start + len];
            threads.push(
                registers
                    .chunks_exact(4)
                    .map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes")))
                    .collect(),
            );
        }
        at = start + len.next_multiple_of(4);
    }
}
