//! The loadable parts of a 32-bit little-endian ELF file that our own linker scripts made.
//!
//! Source: "Tool Interface Standard ELF Specification", version 1.2, book I.

use crate::Result;

const PROGRAM_HEADER_LEN: usize = 32;
const PT_LOAD: u32 = 1;

/// A program as its loader wants it.
pub struct Program {
    /// Address at which it starts.
    pub entry: u32,
    /// Address and bytes of each part, in the order of the addresses.
    pub segments: Vec<(u32, Vec<u8>)>,
}

impl Program {
    /// Reads the program headers.
    pub fn parse(elf: &[u8]) -> Result<Self> {
        if !elf.starts_with(b"\x7FELF\x01\x01") {
            return Err("not a 32-bit little-endian ELF file".into());
        }
        let table = word(elf, 28)? as usize;
        let count = word(elf, 44)? as usize & 0xFFFF;
        let mut segments = Vec::new();
        for index in 0..count {
            let header = table + index * PROGRAM_HEADER_LEN;
            let field = |number: usize| word(elf, header + 4 * number);
            let (offset, stored) = (field(1)? as usize, field(4)? as usize);
            if field(0)? != PT_LOAD || stored == 0 {
                continue;
            }
            if stored != field(5)? as usize {
                return Err("a segment has bytes that are not in the file".into());
            }
            let bytes = elf
                .get(offset..offset + stored)
                .ok_or("the file is cut: a segment lies outside")?;
            segments.push((field(2)?, bytes.to_vec()));
        }
        segments.sort();
        Ok(Self {
            entry: word(elf, 24)?,
            segments,
        })
    }
}

fn word(elf: &[u8], offset: usize) -> Result<u32> {
    let bytes = elf.get(offset..offset + 4).ok_or("the file is cut")?;
    Ok(u32::from_le_bytes(bytes.try_into()?))
}
